/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * preprocess.c: the description of a preprocessing: its text in both directions, and what is refused.
 */
#include "engine/preprocess.h"
#include "tests/check.h"
#include "tests/comma.h"

#include <math.h>

static void
check_text (const EnginePreprocess *p, const char *expected)
{
  g_autofree char *text = engine_preprocess_to_string (p);

  CHECK_STR (text, expected);
}

static void
test_presets (void)
{
  static const char *const text[][2] = {
      {"raw", "color-format=rgb scale-factor=1 mean=0 std=1 resize-mode=stretch scaling=antialias"},
      {"unit", "color-format=rgb scale-factor=0.00392156862745098 mean=0 std=1 resize-mode=stretch "
               "scaling=antialias"},
      {"imagenet", "color-format=rgb scale-factor=0.00392156862745098 mean=0.485,0.456,0.406 "
                   "std=0.229,0.224,0.225 resize-mode=center-crop crop-ratio=0.875 "
                   "scaling=antialias"},
      {"imagenet-caffe", "color-format=bgr scale-factor=1 mean=103.939,116.779,123.68 std=1 "
                         "resize-mode=center-crop crop-ratio=0.875 scaling=antialias"},
  };
  EnginePreprocess p;

  for (gsize i = 0; i < G_N_ELEMENTS (text); i++) {
    CHECK (engine_preprocess_preset (&p, text[i][0]));
    CHECK (engine_preprocess_check (&p, 3, NULL));
    check_text (&p, text[i][1]);
  }
  CHECK (!engine_preprocess_preset (&p, "Imagenet"));
  check_text (&p, text[3][1]);
}

/* Tables and engines carry it: a change here makes them all stale. */
static void
test_sha256 (void)
{
  EnginePreprocess p;

  CHECK (engine_preprocess_preset (&p, "imagenet"));
  g_autofree char *sha = engine_preprocess_sha256 (&p);
  CHECK_STR (sha, "ec9084e83967104f71746150d6bcd08323f4fe5229ed43a55555846ceca9c643");
}

static void
test_canonical (void)
{
  EnginePreprocess p, q;

  engine_preprocess_preset (&p, "raw");
  CHECK (engine_preprocess_parse (&p, " mean=5;5,5 std=2.50 \n scale-factor=1e0 crop-ratio=0.5",
      NULL));
  check_text (&p, "color-format=rgb scale-factor=1 mean=5 std=2.5 resize-mode=stretch "
                  "scaling=antialias");
  CHECK (engine_preprocess_set (&p, "mean", "-0", NULL));
  CHECK (engine_preprocess_set (&p, "scale-factor", "0.1", NULL));
  CHECK (engine_preprocess_set (&p, "std", "0.30000000000000004 1e-5, 1e+22;", NULL));
  CHECK (engine_preprocess_set (&p, "color-format", "gray", NULL));
  CHECK (engine_preprocess_set (&p, "scaling", "nearest", NULL));
  CHECK (engine_preprocess_set (&p, "resize-mode", "letterbox-centered", NULL));
  check_text (&p, "color-format=gray scale-factor=0.1 mean=0 std=0.30000000000000004,1e-05,1e+22 "
                  "resize-mode=letterbox-centered scaling=nearest");

  for (int format = 0; format < ENGINE_COLOR_COUNT; format++)
    for (int mode = 0; mode < ENGINE_RESIZE_COUNT; mode++)
      for (int scaling = 0; scaling < KERNEL_SCALING_COUNT; scaling++) {
        engine_preprocess_preset (&p, "raw");
        p.color_format = format;
        p.resize_mode = mode;
        p.scaling = scaling;
        p.scale_factor = 1.0 / 3.0;
        p.crop_ratio = 0.9;
        p.mean[0] = 1e-300;
        g_autofree char *text = engine_preprocess_to_string (&p);
        engine_preprocess_preset (&q, "imagenet-caffe");
        CHECK (engine_preprocess_parse (&q, text, NULL));
        check_text (&q, text);
        CHECK (q.scale_factor == p.scale_factor && q.mean[0] == p.mean[0]);
      }
}

static void
test_locale (void)
{
  EnginePreprocess p;

  if (!comma_begin ())
    SKIP (COMMA_MISSING);
  engine_preprocess_preset (&p, "imagenet");
  CHECK (engine_preprocess_set (&p, "mean", "0.5", NULL));
  g_autofree char *text = engine_preprocess_to_string (&p);
  comma_end ();
  CHECK (strstr (text, "mean=0.5 std=0.229,0.224,0.225") != NULL);
}

static void
test_refused_text (void)
{
  static const struct {
    const char *key, *value, *says;
  } bad[] = {
      {"mean", "", "a number is needed"},
      {"mean", " ; ", "is not a number"},
      {"mean", "1,,2", "is not a number at \",2\""},
      {"mean", "0.4x", "is not a number"},
      {"mean", "1,2,3,4,5", "more than 4 numbers"},
      {"mean", "0,485;0,456;0,406", "decimals are written with a point"},
      {"std", "nan", "is not a number"},
      {"std", "inf", "is not a number"},
      {"scale-factor", "1 2", "more than 1 number;"},
      {"scale-factor", "1/255", "is not a number"},
      {"crop-ratio", "big", "is not a number"},
      {"color-format", "RGB", "none of rgb, bgr, gray"},
      {"resize-mode", "crop", "none of stretch, letterbox, letterbox-centered, center-crop"},
      {"scaling", "", "none of antialias, bilinear, nearest"},
      {"preprocess", "caffe", "raw, unit, imagenet, imagenet-caffe"},
      {"means", "1", "no key \"means\""},
  };
  EnginePreprocess p;

  for (gsize i = 0; i < G_N_ELEMENTS (bad); i++) {
    g_autoptr (GError) error = NULL;
    g_autofree char *before = NULL;

    engine_preprocess_preset (&p, "imagenet");
    before = engine_preprocess_to_string (&p);
    CHECK (!engine_preprocess_set (&p, bad[i].key, bad[i].value, &error));
    CHECK (g_error_matches (error, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT));
    if (error && !strstr (error->message, bad[i].says))
      CHECK_FAIL ("%s=%s: \"%s\" does not say \"%s\"", bad[i].key, bad[i].value, error->message,
          bad[i].says);
    check_text (&p, before);
  }

  g_autoptr (GError) error = NULL;
  engine_preprocess_preset (&p, "raw");
  CHECK (!engine_preprocess_parse (&p, "mean=1 std", &error));
  CHECK (error && strstr (error->message, "\"std\" is not key=value"));
  CHECK (p.mean[0] == 0.0);
}

static void
test_refused_values (void)
{
  static const struct {
    int channels;
    const char *text, *says;
  } bad[] = {
      {1, "preprocess=raw", "set color-format to gray"},
      {3, "color-format=gray", "set it to rgb or bgr"},
      {2, "preprocess=raw", "only 1 and 3 channels"},
      {1, "preprocess=imagenet color-format=gray", "mean has 3 values"},
      {3, "std=1,2", "std has 2 values, but the network's input has 3 channels"},
      {3, "std=1,0,1", "std: 0 cannot be used; it must be finite and above 0"},
      {3, "std=-1", "std: -1"},
      {3, "scale-factor=0", "scale-factor: 0"},
      {3, "scale-factor=1e300", "beyond float32"},
      {3, "crop-ratio=0", "crop-ratio: 0 is not in (0, 1]"},
      {3, "crop-ratio=1.01", "crop-ratio: 1.01"},
  };
  EnginePreprocess p;

  for (gsize i = 0; i < G_N_ELEMENTS (bad); i++) {
    g_autoptr (GError) error = NULL;

    engine_preprocess_preset (&p, "raw");
    CHECK (engine_preprocess_parse (&p, bad[i].text, NULL));
    CHECK (!engine_preprocess_check (&p, bad[i].channels, &error));
    CHECK (g_error_matches (error, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT));
    if (error && !strstr (error->message, bad[i].says))
      CHECK_FAIL ("%s: \"%s\" does not say \"%s\"", bad[i].text, error->message, bad[i].says);
  }
}

static void
test_range (void)
{
  EnginePreprocess p;
  double lo, hi;

  engine_preprocess_preset (&p, "imagenet");
  engine_preprocess_range (&p, 3, &lo, &hi);
  CHECK (lo == (0.0 - 0.485) / 0.229);
  CHECK (hi == (255 * (1.0 / 255.0) - 0.406) / 0.225);
  engine_preprocess_preset (&p, "imagenet-caffe");
  engine_preprocess_range (&p, 3, &lo, &hi);
  CHECK (lo == -123.68 && hi == 255 - 103.939);
  engine_preprocess_preset (&p, "raw");
  engine_preprocess_range (&p, 1, &lo, &hi);
  CHECK (lo == 0.0 && hi == 255.0);
}

int
main (void)
{
  RUN (test_presets);
  RUN (test_sha256);
  RUN (test_canonical);
  RUN (test_locale);
  RUN (test_refused_text);
  RUN (test_refused_values);
  RUN (test_range);
  return check_done ();
}
