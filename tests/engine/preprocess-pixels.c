/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * preprocess-pixels.c: the pixels of tensors: against Pillow, against the formulas of preprocess.h,
 * and between formats that hold the same picture.
 */
#include "tests/engine/picture.h"

#include <math.h>

/* The same in bytes: y = x. */
static guint8 *
bytes_of (const char *text, int channels, int height, int width, const Picture *picture,
    const EngineRect *region)
{
  g_autoptr (GError) error = NULL;
  g_autofree float *y = tensor_of (text, ENGINE_TYPE_F32, 0.0f, 0, channels, height, width,
      &picture->image, region, &error);
  guint8 *bytes = g_malloc0 ((gsize) channels * height * width);

  if (!y)
    CHECK_FAIL ("%s: %s", text, error->message);
  for (int i = 0; y && i < channels * height * width; i++) {
    bytes[i] = (guint8) y[i];
    if (bytes[i] != y[i])
      CHECK_FAIL ("%s: value %d is %g, not a byte", text, i, y[i]);
  }
  return bytes;
}

static guint32
crc_of (const char *text, int channels, int height, int width, const Picture *picture,
    const EngineRect *region)
{
  g_autofree guint8 *bytes = bytes_of (text, channels, height, width, picture, region);

  return pillow_crc32 (bytes, (gsize) channels * height * width);
}

/* --- Against Pillow ------------------------------------------------------------------------- */

static void
test_stretch (void)
{
  for (gsize i = 0; i < G_N_ELEMENTS (PILLOW_RESIZE); i++) {
    const __typeof__ (PILLOW_RESIZE[0]) *v = &PILLOW_RESIZE[i];

    if (v->channels == 4)
      continue;
    g_autofree guint8 *data = draw (v->picture, v->in_w, v->in_h, v->channels, v->seed);
    Picture p = v->channels == 3 ? rgb_picture (data, v->in_w, v->in_h, 3, "rgb")
                                 : grey_picture (data, v->in_w, v->in_h);
    const guint32 crc = crc_of (v->channels == 3 ? "" : "color-format=gray", v->channels, v->out_h,
        v->out_w, &p, NULL);

    if (crc != v->crc)
      CHECK_FAIL ("%d x %d to %d x %d: not Pillow's", v->in_w, v->in_h, v->out_w, v->out_h);
    g_free (p.data);
  }
}

static void
test_centre_crop (void)
{
  for (gsize i = 0; i < G_N_ELEMENTS (PILLOW_CENTRE_CROP); i++) {
    const __typeof__ (PILLOW_CENTRE_CROP[0]) *v = &PILLOW_CENTRE_CROP[i];
    g_autofree guint8 *data = draw (PILLOW_NOISE, v->w, v->h, 3, v->seed);
    g_autofree char *text = g_strdup_printf ("resize-mode=center-crop crop-ratio=%g", v->ratio);
    g_autofree char *grey = g_strdup_printf ("%s color-format=gray", text);
    Picture p = rgb_picture (data, v->w, v->h, 4, "rgbx");

    if (crc_of (text, 3, v->side, v->side, &p, NULL) != v->crc)
      CHECK_FAIL ("%d x %d, crop of %d: not Pillow's", v->w, v->h, v->side);
    if (crc_of (grey, 1, v->side, v->side, &p, NULL) != v->crc_grey)
      CHECK_FAIL ("%d x %d, grey crop of %d: not Pillow's", v->w, v->h, v->side);
    g_free (p.data);
  }
}

static void
test_letterbox (void)
{
  for (gsize i = 0; i < G_N_ELEMENTS (PILLOW_LETTERBOX); i++) {
    const __typeof__ (PILLOW_LETTERBOX[0]) *v = &PILLOW_LETTERBOX[i];
    g_autofree guint8 *data = draw (PILLOW_NOISE, v->w, v->h, 3, v->seed);
    Picture p = rgb_picture (data, v->w, v->h, 3, "bgr");

    if (crc_of ("resize-mode=letterbox", 3, v->out_h, v->out_w, &p, NULL) != v->crc)
      CHECK_FAIL ("%d x %d in %d x %d: not Pillow's", v->w, v->h, v->out_w, v->out_h);
    if (crc_of ("resize-mode=letterbox-centered", 3, v->out_h, v->out_w, &p, NULL) !=
        v->crc_centred)
      CHECK_FAIL ("%d x %d amid %d x %d: not Pillow's", v->w, v->h, v->out_w, v->out_h);
    g_free (p.data);
  }
}

static void
test_region (void)
{
  for (gsize i = 0; i < G_N_ELEMENTS (PILLOW_REGION); i++) {
    const __typeof__ (PILLOW_REGION[0]) *v = &PILLOW_REGION[i];
    const EngineRect region = {v->x, v->y, v->rect_w, v->rect_h};
    g_autofree guint8 *data = draw (PILLOW_NOISE, v->w, v->h, 3, v->seed);
    Picture p = rgb_picture (data, v->w, v->h, 1, "gbr");

    if (crc_of ("", 3, v->out_h, v->out_w, &p, &region) != v->crc)
      CHECK_FAIL ("%d x %d of %d x %d: not Pillow's", v->rect_w, v->rect_h, v->w, v->h);
    g_free (p.data);
  }
}

/* --- Formats -------------------------------------------------------------------------------- */

static void
check_same (const char *what, const guint8 *a, const guint8 *b, gsize size)
{
  for (gsize i = 0; i < size; i++)
    if (a[i] != b[i]) {
      CHECK_FAIL ("%s: byte %" G_GSIZE_FORMAT " is %d, not %d", what, i, a[i], b[i]);
      return;
    }
}

static void
test_rgb_formats (void)
{
  static const struct {
    int step;
    const char *order;
  } formats[] = {{3, "bgr"}, {4, "rgbx"}, {4, "bgrx"}, {4, "xrgb"}, {4, "xbgr"}, {1, "rgb"},
      {1, "gbr"}};
  static const char *const texts[] = {"", "resize-mode=letterbox-centered", "scaling=bilinear",
      "scaling=nearest resize-mode=center-crop"};
  g_autofree guint8 *data = draw (PILLOW_NOISE, 97, 61, 3, 7);
  Picture rgb = rgb_picture (data, 97, 61, 3, "rgb");

  for (gsize t = 0; t < G_N_ELEMENTS (texts); t++) {
    g_autofree char *bgr = g_strdup_printf ("%s color-format=bgr", texts[t]);
    g_autofree guint8 *expected = bytes_of (texts[t], 3, 40, 50, &rgb, NULL);
    g_autofree guint8 *swapped = g_malloc (3 * 40 * 50);

    for (int i = 0; i < 3 * 40 * 50; i++)
      swapped[i] = expected[i / 3 * 3 + 2 - i % 3];
    for (gsize f = 0; f < G_N_ELEMENTS (formats); f++) {
      Picture p = rgb_picture (data, 97, 61, formats[f].step, formats[f].order);
      g_autofree guint8 *y = bytes_of (texts[t], 3, 40, 50, &p, NULL);
      g_autofree guint8 *z = bytes_of (bgr, 3, 40, 50, &p, NULL);

      check_same (formats[f].order, y, expected, 3 * 40 * 50);
      check_same (formats[f].order, z, swapped, 3 * 40 * 50);
      g_free (p.data);
    }
  }
  g_free (rgb.data);
}

static void
test_yuv_formats (void)
{
  static const int sizes[][2] = {{64, 48}, {63, 49}, {1, 1}, {2, 1}, {1, 5}, {50, 40}};
  static const char *const texts[] = {"", "color-format=bgr resize-mode=letterbox"};

  for (gsize s = 0; s < G_N_ELEMENTS (sizes); s++)
    for (gsize t = 0; t < G_N_ELEMENTS (texts); t++) {
      const int w = sizes[s][0], h = sizes[s][1];
      g_autofree guint8 *data = draw (PILLOW_NOISE, w, h, 3, 11);
      Picture nv12 = yuv_picture (data, w, h, NV12);
      g_autofree guint8 *expected = bytes_of (texts[t], 3, 40, 50, &nv12, NULL);

      for (Layout layout = NV21; layout <= YV12; layout++) {
        Picture p = yuv_picture (data, w, h, layout);
        g_autofree guint8 *y = bytes_of (texts[t], 3, 40, 50, &p, NULL);

        check_same ("NV21, I420 or YV12 and NV12", y, expected, 3 * 40 * 50);
        g_free (p.data);
      }
      g_free (nv12.data);
    }
}

/* At the size of the input, only the matrix acts: within rounding of the formula in double. */
static void
test_yuv_matrix (void)
{
  static const double spaces[][2] = {{0.299, 0.114}, {0.2126, 0.0722}, {0.2627, 0.0593}};
  g_autofree guint8 *data = draw (PILLOW_NOISE, 64, 64, 3, 5);
  Picture p = yuv_picture (data, 64, 64, Y444);

  for (int i = 0; i < 6; i++) {
    const double kr = spaces[i / 2][0], kb = spaces[i / 2][1], kg = 1.0 - kr - kb;
    const gboolean full = i % 2;

    engine_image_set_yuv (&p.image, kr, kb, full);
    g_autofree guint8 *rgb = bytes_of ("", 3, 64, 64, &p, NULL);
    for (int k = 0; k < 64 * 64; k++) {
      const guint8 *in = &data[k * 3], *out = &rgb[k * 3];
      const double y = full ? in[0] : (in[0] - 16) * 255.0 / 219.0;
      const double pb = (in[1] - 128) * (full ? 1.0 : 255.0 / 224.0);
      const double pr = (in[2] - 128) * (full ? 1.0 : 255.0 / 224.0);
      const double r = y + 2 * (1 - kr) * pr, b = y + 2 * (1 - kb) * pb;
      const double g = (y - kr * r - kb * b) / kg;

      CHECK (fabs (CLAMP (r, 0, 255) - out[0]) < 0.51);
      CHECK (fabs (CLAMP (g, 0, 255) - out[1]) < 0.51);
      CHECK (fabs (CLAMP (b, 0, 255) - out[2]) < 0.51);
    }
  }
  g_free (p.data);
}

/* Planes are resized before the matrix is applied; on a smooth picture without clipped colours that
 * is the same as converting first, but for roundings: 1/2 for each of two passes and three
 * components, times the matrix. */
static void
test_yuv_order (void)
{
  guint8 data[90 * 70 * 3];

  for (int i = 0; i < 90 * 70; i++) {
    const int row = i / 90, col = i % 90;

    data[i * 3] = (guint8) (110 + row / 2 + col / 3);
    data[i * 3 + 1] = (guint8) (110 + row / 3);
    data[i * 3 + 2] = (guint8) (140 - col / 3);
  }
  Picture yuv = yuv_picture (data, 90, 70, Y444);
  g_autofree guint8 *rgb = bytes_of ("", 3, 70, 90, &yuv, NULL);
  Picture first = rgb_picture (rgb, 90, 70, 3, "rgb");
  g_autofree guint8 *expected = bytes_of ("", 3, 33, 41, &first, NULL);
  g_autofree guint8 *y = bytes_of ("", 3, 33, 41, &yuv, NULL);
  for (int i = 0; i < 33 * 41 * 3; i++)
    CHECK (ABS (y[i] - expected[i]) <= 2);
  g_free (yuv.data);
  g_free (first.data);
}

static void
test_grey (void)
{
  guint8 black[4 * 3], grey[16 * 3];
  g_autofree guint8 *noise = draw (PILLOW_NOISE, 40, 30, 1, 3);
  Picture g = grey_picture (noise, 40, 30);
  g_autofree guint8 *one = bytes_of ("color-format=gray", 1, 20, 25, &g, NULL);
  g_autofree guint8 *three = bytes_of ("", 3, 20, 25, &g, NULL);

  for (int i = 0; i < 20 * 25 * 3; i++)
    CHECK_INT (three[i], ==, one[i / 3]);

  /* Y alone gives what the matrix makes of a grey pixel, 16 and below to 0, 235 and above to 255. */
  for (int i = 0; i < 16; i++) {
    const guint8 pixel[3] = {(guint8) (i * 17), 128, 128};

    memcpy (&grey[i * 3], pixel, 3);
  }
  Picture y = yuv_picture (grey, 16, 1, Y444);
  g_autofree guint8 *luma = bytes_of ("color-format=gray", 1, 1, 16, &y, NULL);
  g_autofree guint8 *rgb = bytes_of ("", 3, 1, 16, &y, NULL);
  for (int i = 0; i < 16 * 3; i++)
    CHECK_INT (rgb[i], ==, luma[i / 3]);
  CHECK_INT (luma[0], ==, 0);
  CHECK_INT (luma[15], ==, 255);

  /* The border of a letterbox is black there too, though Y 16 is black. */
  for (int i = 0; i < 4 * 3; i++)
    black[i] = 235;
  Picture p = yuv_picture (black, 4, 1, NV12);
  g_autofree guint8 *box = bytes_of ("color-format=gray resize-mode=letterbox", 1, 4, 4, &p, NULL);
  for (int i = 0; i < 16; i++)
    CHECK_INT (box[i], ==, i < 4 ? 255 : 0);
  g_free (g.data);
  g_free (y.data);
  g_free (p.data);
}

/* A region of a subsampled picture on even pixels is the picture that was cut out; on odd ones it
 * takes one more chroma sample. */
static void
test_yuv_region (void)
{
  static const EngineRect regions[] = {{0, 0, 63, 41}, {2, 4, 30, 20}, {62, 40, 1, 1},
      {10, 0, 53, 2}};
  g_autofree guint8 *data = draw (PILLOW_NOISE, 63, 41, 3, 9);
  Picture whole = yuv_picture (data, 63, 41, NV12);

  for (gsize i = 0; i < G_N_ELEMENTS (regions); i++) {
    const EngineRect *r = &regions[i];
    g_autofree guint8 *cut = g_malloc ((gsize) r->width * r->height * 3);

    for (int row = 0; row < r->height; row++)
      memcpy (cut + row * r->width * 3, data + ((row + r->y) * 63 + r->x) * 3,
          (gsize) r->width * 3);
    Picture p = yuv_picture (cut, r->width, r->height, I420);
    g_autofree guint8 *expected = bytes_of ("", 3, 9, 14, &p, NULL);
    g_autofree guint8 *y = bytes_of ("", 3, 9, 14, &whole, r);
    check_same ("region", y, expected, 3 * 9 * 14);
    g_free (p.data);
  }

  /* Pixels 3 and 4 touch the samples of 2, 3 and of 4, 5. */
  const EngineRect odd = {3, 2, 2, 2};
  g_autofree guint8 *y = bytes_of ("scaling=nearest", 3, 2, 2, &whole, &odd);
  for (int i = 0; i < 4; i++) {
    const int row = 2 + i / 2, col = 3 + i % 2;
    const guint8 pixel[3] = {*byte_at (&whole, 0, row, col), *byte_at (&whole, 1, 1, col / 2),
        *byte_at (&whole, 2, 1, col / 2)};
    Picture p = yuv_picture (pixel, 1, 1, Y444);
    g_autofree guint8 *expected = bytes_of ("", 3, 1, 1, &p, NULL);

    check_same ("odd region", y + i * 3, expected, 3);
    g_free (p.data);
  }
  g_free (whole.data);
}

static void
tests (void)
{
  RUN (test_stretch);
  RUN (test_centre_crop);
  RUN (test_letterbox);
  RUN (test_region);
  RUN (test_rgb_formats);
  RUN (test_yuv_formats);
  RUN (test_yuv_matrix);
  RUN (test_yuv_order);
  RUN (test_grey);
  RUN (test_yuv_region);
}

int
main (void)
{
  return picture_main (tests);
}
