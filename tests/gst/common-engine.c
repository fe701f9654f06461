/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* common-engine.c: frames, and what the engine says of them without the elements; see common.h. */
#include "tests/gst/common.h"

#include <math.h>

/* --- Frames ---------------------------------------------------------------------------------- */

GstCaps *
test_caps (GstVideoFormat format, int width, int height)
{
  GstCaps *caps = gst_caps_new_simple ("video/x-raw", "format", G_TYPE_STRING,
      gst_video_format_to_string (format), "width", G_TYPE_INT, width, "height", G_TYPE_INT, height,
      "framerate", GST_TYPE_FRACTION, 25, 1, NULL);

  if (GST_VIDEO_FORMAT_INFO_IS_YUV (gst_video_format_get_info (format)))
    gst_caps_set_simple (caps, "colorimetry", G_TYPE_STRING, "1:4:0:0", NULL);
  return caps;
}

/* In fractions of the frame, so that one seed is one motif at every size. */
static guint8
picture (double x, double y, guint seed)
{
  const double cx = 0.3 + 0.4 * ((seed * 37 % 11) / 10.0), cy = 0.3 + 0.4 * ((seed * 53 % 7) / 6.0);
  const double r = 0.15 + 0.3 * ((seed * 29 % 13) / 12.0);
  const double d = hypot (x - cx, (y - cy) * (1 + seed % 3)) / r;

  return (guint8) lrint (235 * exp (-d * d * d * d) + 20 * x * y);
}

GstBuffer *
test_frame (GstVideoFormat format, int width, int height, guint seed)
{
  g_autoptr (GstCaps) caps = test_caps (format, width, height);
  GstVideoInfo info;
  GstVideoFrame frame;
  GstBuffer *buffer;

  fail_unless (gst_video_info_from_caps (&info, caps));
  buffer = gst_buffer_new_allocate (NULL, GST_VIDEO_INFO_SIZE (&info), NULL);
  gst_buffer_memset (buffer, 0, 128, GST_VIDEO_INFO_SIZE (&info)); /* no chroma; any alpha */
  fail_unless (gst_video_frame_map (&frame, &info, buffer, GST_MAP_WRITE));
  for (int row = 0; row < height; row++)
    for (int col = 0; col < width; col++) {
      const guint8 grey = picture ((col + 0.5) / width, (row + 0.5) / height, seed);
      const gboolean yuv = GST_VIDEO_INFO_IS_YUV (&info);

      for (guint c = 0; c < (yuv ? 1 : MIN (GST_VIDEO_INFO_N_COMPONENTS (&info), 3)); c++)
        GST_VIDEO_FRAME_COMP_DATA (&frame, c)
      [row * GST_VIDEO_FRAME_COMP_STRIDE (&frame, c) +
          col * GST_VIDEO_FRAME_COMP_PSTRIDE (&frame, c)] = grey;
    }
  gst_video_frame_unmap (&frame);
  GST_BUFFER_PTS (buffer) = seed * TEST_FRAME_DURATION;
  GST_BUFFER_DURATION (buffer) = TEST_FRAME_DURATION;
  GST_BUFFER_OFFSET (buffer) = seed;
  return buffer;
}

GstCaps *
test_small_caps (void)
{
  return test_caps (GST_VIDEO_FORMAT_GRAY8, 28, 28);
}

GstBuffer *
test_small_frame (guint seed)
{
  return test_frame (GST_VIDEO_FORMAT_GRAY8, 28, 28, seed);
}

/* --- A table --------------------------------------------------------------------------------- */

void
test_preprocess (EnginePreprocess *preprocess)
{
  fail_unless (engine_preprocess_preset (preprocess, "unit"));
  fail_unless (engine_preprocess_set (preprocess, "color-format", "gray", NULL));
}

/* The picture of a seed at the network's own size, as the tensor of preprocess "unit". */
static void
fill_input (float *x, int width, int height, guint seed)
{
  g_autoptr (GstBuffer) buffer = test_frame (GST_VIDEO_FORMAT_GRAY8, width, height, seed);
  GstMapInfo map;

  gst_buffer_map (buffer, &map, GST_MAP_READ);
  for (int row = 0; row < height; row++)
    for (int col = 0; col < width; col++)
      x[row * width + col] = (float) (map.data[row * GST_ROUND_UP_4 (width) + col] * (1 / 255.0));
  gst_buffer_unmap (buffer, &map);
}

static CalibTable *
make_table (GError **error)
{
  g_autoptr (EngineModel) model = engine_model_load (test_model (), error);
  g_autofree char *sha256 = NULL;
  g_autoptr (CalibStatistics) statistics = NULL;
  KernelBackend *backend = kernel_open ("cpu", NULL, 0);
  EngineCalibrator *calibrator;
  EnginePreprocess preprocess;
  CalibProvenance provenance = {0};
  EngineInputInfo input;
  CalibTable *table = NULL;
  gboolean ok = TRUE;

  fail_unless (model != NULL && backend != NULL);
  test_preprocess (&preprocess);
  sha256 = engine_preprocess_sha256 (&preprocess);
  provenance.model_sha256 = (char *) engine_model_sha256 (model);
  provenance.preprocess_sha256 = sha256;
  statistics = calib_statistics_new (&provenance, CALIB_HISTOGRAM_DEFAULT);
  engine_model_input (model, &input);
  calibrator = engine_calibrator_new (model, backend, 1, 1, statistics, error);
  for (guint seed = 0; calibrator && ok && seed < 16; seed++) {
    fill_input (engine_calibrator_input (calibrator), input.width, input.height, seed);
    ok = engine_calibrator_push (calibrator, error);
  }
  engine_calibrator_free (calibrator);
  if (ok)
    table = engine_calibration_table (model, statistics, CALIB_METHOD_MINMAX, 0, 8601, error);
  kernel_close (backend);
  return table;
}

const char *
test_table (void)
{
  const char *path = test_path ("test.table");

  if (!g_file_test (path, G_FILE_TEST_EXISTS)) {
    g_autoptr (GError) error = NULL;
    g_autoptr (CalibTable) table = make_table (&error);

    fail_unless (table && calib_table_save (table, path, &error), "no table: %s",
        error ? error->message : "?");
  }
  return path;
}

/* --- Expected results ------------------------------------------------------------------------ */

static Engine *
obtain (EnginePrecision precision, const EnginePreprocess *preprocess)
{
  g_autoptr (EngineModel) model = engine_model_load (test_model (), NULL);
  g_autoptr (CalibTable) table = calib_table_load (test_table (), NULL);
  const EngineBuildOptions options = {.precision = precision,
      .ranges = ENGINE_RANGES_FULL,
      .table = precision == ENGINE_PRECISION_INT8 ? table : NULL,
      .preprocess = preprocess};
  g_autoptr (GError) error = NULL;
  Engine *engine = engine_build (model, &options, NULL, NULL, NULL, NULL, &error);

  fail_unless (engine != NULL, "%s", error ? error->message : "?");
  return engine;
}

static gboolean
describe_frame (EngineImage *image, const GstMapInfo *map, int width, int height)
{
  *image =
      (EngineImage){.kind = ENGINE_IMAGE_GREY, .width = width, .height = height, .n_planes = 1};
  image->planes[0] = (EnginePlane){.data = map->data,
      .stride = GST_ROUND_UP_4 (width),
      .width = width,
      .height = height,
      .step = 1};
  return TRUE;
}

Classes
test_expected (EnginePrecision precision, int width, int height, guint seed, guint top_k)
{
  g_autoptr (GstBuffer) buffer = test_frame (GST_VIDEO_FORMAT_GRAY8, width, height, seed);
  KernelBackend *backend = kernel_open ("ref", NULL, 0); /* not what the element takes */
  g_autofree float *scores = NULL;
  Classes result = {.n = top_k};
  EnginePreprocessor *preprocessor;
  EnginePreprocess preprocess;
  EngineInputInfo input;
  EngineImage image;
  EngineExec *exec;
  EngineType type;
  GstMapInfo map;
  Engine *engine;
  float scale;
  int zero, n;

  test_preprocess (&preprocess);
  engine = obtain (precision, &preprocess);
  engine_input (engine, &input);
  type = engine_input_type (engine, &scale, &zero);
  exec = engine_exec_new (engine, backend, 1, 1, NULL);
  preprocessor = engine_preprocessor_new (&preprocess, input.channels, input.height, input.width,
      type, scale, zero, backend, NULL);
  gst_buffer_map (buffer, &map, GST_MAP_READ);
  fail_unless (describe_frame (&image, &map, width, height) &&
               engine_preprocessor_run (preprocessor, &image, NULL, engine_exec_queue (exec),
                   engine_exec_input (exec, 0), NULL) &&
               engine_exec_run (exec, 1, NULL));
  gst_buffer_unmap (buffer, &map);

  n = engine_n_classes (engine);
  scores = g_memdup2 (engine_exec_output (exec, 0), n * sizeof (float));
  if (!engine_has_softmax (engine))
    engine_softmax (scores, n);
  for (guint k = 0; k < top_k; k++) {
    int best = 0;

    for (int i = 1; i < n; i++)
      if (scores[i] > scores[best])
        best = i;
    result.ids[k] = best;
    result.confidences[k] = scores[best];
    scores[best] = -1;
  }
  engine_preprocessor_free (preprocessor);
  engine_exec_free (exec);
  engine_unref (engine);
  kernel_close (backend);
  return result;
}

void
test_push (TestElement *test, guint seed)
{
  fail_unless_equals_int (gst_harness_push (test->h, test_small_frame (seed)), GST_FLOW_OK);
}

void
test_check_next (TestElement *test, guint seed)
{
  const Classes expected = test_expected (ENGINE_PRECISION_INT8, 28, 28, seed, 1);
  GstBuffer *out = gst_harness_pull (test->h);

  fail_unless (out != NULL);
  fail_unless_equals_uint64 (GST_BUFFER_OFFSET (out), seed);
  test_check_classes (out, &expected);
  gst_buffer_unref (out);
}
