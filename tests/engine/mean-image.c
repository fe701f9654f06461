/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * mean-image.c: inputs less a mean image: every difference, formats and borders, the text, the exact
 * range, and files that are refused.
 */
#include "tests/engine/picture.h"

#include <glib/gstdio.h>
#include <math.h>

static char *folder;

/* A file of that content; the path is the caller's. */
static char *
write_file (const char *name, const char *header, const guint8 *pixels, gsize size)
{
  const gsize at = strlen (header);
  g_autofree char *data = g_malloc (at + size);
  char *path = g_build_filename (folder, name, NULL);

  if (at > 0)
    memcpy (data, header, at);
  if (size > 0)
    memcpy (data + at, pixels, size);
  CHECK (g_file_set_contents (path, data, (gssize) (at + size), NULL));
  return path;
}

static char *
write_mean (int channels, int height, int width, const guint8 *mean)
{
  g_autofree char *header =
      g_strdup_printf ("P%d\n%d %d\n255\n", channels == 3 ? 6 : 5, width, height);

  return write_file ("mean.ppm", header, mean, (gsize) channels * height * width);
}

/* --- Values ---------------------------------------------------------------------------------- */

/* Byte x less mean m of channel k, in float and in int8; y = x - m where the text says no more. */
static void
check_difference (int x, int m, float y, int level)
{
  if (y != (float) ((x - m) * 0.5 / 4))
    CHECK_FAIL ("%d - %d is %g", x, m, y);
  if (level != (int) CLAMP (rintf ((float) ((x - m) * 0.5 / 4) / 0.25f) + 3, -128.0f, 127.0f))
    CHECK_FAIL ("%d - %d is level %d", x, m, level);
}

/* Pixel (row, col) has the value col, and its mean is row: all pairs of two bytes. */
static void
test_every_difference (void)
{
  const int n = 256 * 256 * 3;
  g_autofree guint8 *rgb = g_malloc (n), *mean = g_malloc (n);

  for (int i = 0; i < n; i++) {
    rgb[i] = (guint8) (i / 3 % 256);
    mean[i] = (guint8) (i / (256 * 3) + i % 3); /* one more for each channel, modulo 256 */
  }
  Picture p = rgb_picture (rgb, 256, 256, 4, "bgrx");
  g_autofree char *path = write_mean (3, 256, 256, mean);
  g_autofree char *text = g_strdup_printf ("scale-factor=0.5 std=4 mean-file=%s", path);
  g_autofree float *y = tensor_of (text, ENGINE_TYPE_F32, 0, 0, 3, 256, 256, &p.image, NULL, NULL);
  g_autofree gint8 *levels =
      tensor_of (text, ENGINE_TYPE_S8, 0.25f, 3, 3, 256, 256, &p.image, NULL, NULL);
  for (int i = 0; i < n; i++)
    check_difference (rgb[i], mean[i], y[i], levels[i]);
  g_free (p.data);
}

/* The means of a picture of any format are subtracted from what the tensor is without them, and from
 * black where a letterbox has its border; the channels are those of the tensor. */
static void
check_format (const char *text, int channels, const Picture *picture)
{
  const int n = channels * 20 * 24;
  g_autofree guint8 *mean = draw (PILLOW_NOISE, 24, 20, channels, 77);
  g_autofree char *path = write_mean (channels, 20, 24, mean);
  g_autofree char *less = g_strdup_printf ("%s mean-file=%s", text, path);
  g_autofree float *x =
      tensor_of (text, ENGINE_TYPE_F32, 0, 0, channels, 20, 24, &picture->image, NULL, NULL);
  g_autofree float *y =
      tensor_of (less, ENGINE_TYPE_F32, 0, 0, channels, 20, 24, &picture->image, NULL, NULL);
  int different = 0;

  CHECK (x && y);
  for (int i = 0; x && y && i < n; i++)
    different += y[i] != x[i] - mean[i];
  if (different)
    CHECK_FAIL ("%s: %d of %d values are wrong", text, different, n);
}

static void
test_formats (void)
{
  static const char *const texts[][2] = {{"", "color-format=gray"},
      {"color-format=bgr resize-mode=letterbox", "color-format=gray resize-mode=letterbox"},
      {"resize-mode=center-crop", "color-format=gray resize-mode=letterbox-centered"}};
  g_autofree guint8 *data = draw (PILLOW_NOISE, 61, 47, 3, 5),
                    *grey = draw (PILLOW_NOISE, 61, 47, 1, 6);
  Picture pictures[] = {rgb_picture (data, 61, 47, 3, "rgb"), rgb_picture (data, 61, 47, 4, "xbgr"),
      grey_picture (grey, 61, 47), yuv_picture (data, 61, 47, NV12),
      yuv_picture (data, 61, 47, I420)};

  for (gsize i = 0; i < G_N_ELEMENTS (pictures); i++) {
    for (gsize t = 0; t < G_N_ELEMENTS (texts); t++) {
      check_format (texts[t][0], 3, &pictures[i]);
      check_format (texts[t][1], 1, &pictures[i]);
    }
    g_free (pictures[i].data);
  }
}

/* --- The description ------------------------------------------------------------------------- */

static void
test_text (void)
{
  static const guint8 pixels[2 * 3] = {0, 1, 2, 253, 254, 255};
  g_autofree char *path = write_mean (3, 1, 2, pixels);
  g_autofree char *spaces =
      write_file ("a mean.ppm", "P6 # a comment\n# another\n2\t1 255\n", pixels, 6);
  g_autofree char *quoted = g_strdup_printf ("mean-file='%s' std=2", spaces);
  static const char expected[] =
      "color-format=bgr scale-factor=1 mean=0 mean-file=sha256:"
      "48ee66a440f1e0099433e00d95cf1233e67aafd9f01741b3e9188c5b87be4211 std=1 resize-mode=center-crop "
      "crop-ratio=0.875 scaling=antialias";
  EnginePreprocess p, q;

  CHECK (engine_preprocess_preset (&p, "imagenet-caffe"));
  CHECK (engine_preprocess_set (&p, "mean-file", path, NULL));
  g_autofree char *text = engine_preprocess_to_string (&p);
  CHECK_STR (text, expected);

  /* The content counts, not the name, and not comments. */
  CHECK (engine_preprocess_preset (&q, "imagenet-caffe"));
  CHECK (engine_preprocess_parse (&q, quoted, NULL));
  CHECK (q.mean_image == p.mean_image);
  CHECK (q.std[0] == 2);

  /* A path that says something else now. */
  static const guint8 other[2 * 3] = {0, 1, 2, 253, 254, 250};
  g_autofree char *same_path = write_mean (3, 1, 2, other);
  CHECK (engine_preprocess_set (&q, "mean-file", same_path, NULL));
  CHECK (q.mean_image != p.mean_image);
  g_autofree char *sha_p = engine_preprocess_sha256 (&p), *sha_q = engine_preprocess_sha256 (&q);
  CHECK (!g_str_equal (sha_p, sha_q));
}

/* Per channel, 0 - the largest mean to 255 - the smallest. */
static void
test_range (void)
{
  static const guint8 pixels[2 * 3] = {10, 20, 100, 30, 15, 101};
  g_autofree char *path = write_mean (3, 1, 2, pixels);
  EnginePreprocess p;
  double lo, hi;

  engine_preprocess_preset (&p, "raw");
  CHECK (engine_preprocess_set (&p, "mean-file", path, NULL));
  CHECK (engine_preprocess_set (&p, "std", "1,1,2", NULL));
  engine_preprocess_range (&p, 3, &lo, &hi);
  CHECK (lo == -50.5 && hi == 245);
}

/* --- Refused --------------------------------------------------------------------------------- */

static void
check_refused (const char *path, GQuark domain, int code, const char *says)
{
  g_autoptr (GError) error = NULL;
  EnginePreprocess p;

  engine_preprocess_preset (&p, "raw");
  CHECK (!engine_preprocess_set (&p, "mean-file", path, &error));
  if (!g_error_matches (error, domain, code) || !strstr (error->message, says))
    CHECK_FAIL ("%s: \"%s\" does not say \"%s\"", path, error ? error->message : "", says);
  CHECK (!p.mean_image);
}

static void
test_refused_files (void)
{
  static const guint8 pixels[2 * 3] = {0};
  static const struct {
    const char *header;
    gsize size;
    const char *says;
  } bad[] = {
      {"", 0, "does not begin with P6"},
      {"P", 0, "does not begin with P6"},
      {"P3\n2 1\n255\n1 2 3 4 5 6\n", 0, "but one in ASCII"},
      {"\x08\x01\x10\x03", 6, ".binaryproto"},
      {"P6\n2 1\n65535\n", 6, "it must be 255"},
      {"P6\n2 1\n100\n", 6, "is 100, but"},
      {"P6\n2 1\n255\n", 5,
          "truncated: a picture of 2x1 has 6 bytes behind its header, here are 5"},
      {"P6\n30000 30000\n255\n", 6, "truncated"},
      {"P6\n2 1\n255", 0, "the header"},
      {"P6\n2 -1\n255\n", 6, "the header"},
      {"P6\n0 1\n255\n", 6, "the header"},
      {"P6\n2 99999999999999999999\n255\n", 6, "the header"},
      {"P6\n40000 1\n255\n", 6, "the header"},
      {"P6\n2x1\n255\n", 6, "the header"},
      {"P6\n2 # no end", 0, "the header"},
  };

  for (gsize i = 0; i < G_N_ELEMENTS (bad); i++) {
    g_autofree char *path = write_file ("bad.ppm", bad[i].header, pixels, bad[i].size);

    check_refused (path, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT, bad[i].says);
  }
  g_autofree char *missing = g_build_filename (folder, "missing.ppm", NULL);
  check_refused (missing, G_FILE_ERROR, G_FILE_ERROR_NOENT, "missing.ppm' cannot be read");
  check_refused ("", G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT, "a path is needed");
  check_refused ("sha256:00", G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT, "not the path");
  check_refused ("/dev/zero", G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT, "does not begin with P6");
}

static void
check_refused_input (const char *text, int channels, int height, int width, const char *says)
{
  g_autoptr (GError) error = NULL;
  EnginePreprocess p;

  engine_preprocess_preset (&p, "raw");
  CHECK (engine_preprocess_parse (&p, text, NULL));
  g_autoptr (EnginePreprocessor) made =
      engine_preprocessor_new (&p, channels, height, width, ENGINE_TYPE_F32, 0, 0, backend, &error);
  CHECK (!made);
  if (!g_error_matches (error, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT) ||
      !strstr (error->message, says))
    CHECK_FAIL ("%s: \"%s\" does not say \"%s\"", text, error ? error->message : "", says);
}

static void
test_refused_inputs (void)
{
  static const guint8 pixels[2 * 3] = {0};
  g_autofree char *path = write_mean (3, 1, 2, pixels);
  g_autofree char *plain = g_strdup_printf ("mean=1 mean-file=%s", path);
  g_autofree char *both = g_strdup_printf ("mean-file=%s mean=0,0,1", path);
  g_autofree char *grey = g_strdup_printf ("mean-file=%s color-format=gray", path);
  g_autofree char *pgm = write_file ("mean.pgm", "P5 2 1 255\n", pixels, 2);
  g_autofree char *colour = g_strdup_printf ("mean-file=%s", pgm);

  check_refused_input (plain, 3, 2, 1, "the image is 2x1, but the network's input 1x2");
  check_refused_input (both, 3, 1, 2, "mean and mean-file are both given");
  check_refused_input (grey, 1, 1, 2, "the image has 3 channels, the network's input 1");
  check_refused_input (colour, 3, 1, 2, "the image has 1 channel, the network's input 3");
}

static void
tests (void)
{
  RUN (test_every_difference);
  RUN (test_formats);
  RUN (test_text);
  RUN (test_range);
  RUN (test_refused_files);
  RUN (test_refused_inputs);
}

int
main (void)
{
  static const char *const files[] = {"mean.ppm", "a mean.ppm", "bad.ppm", "mean.pgm"};
  int status;

  folder = g_dir_make_tmp ("int8-mean-XXXXXX", NULL);
  status = picture_main (tests);
  for (gsize i = 0; i < G_N_ELEMENTS (files); i++) {
    g_autofree char *path = g_build_filename (folder, files[i], NULL);

    g_remove (path);
  }
  g_rmdir (folder);
  g_free (folder);
  return status;
}
