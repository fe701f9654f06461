/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * mnist-lenet.c: NVIDIA's LeNet of sampleINT8, whose calibration tables are published: TRT-7000 from
 * training images 50..549 / 255, TRT-5100 from test images 0..499 / 256, both in batches of 50. The
 * bins must be theirs exactly; the words may differ by 4 ulp, because a GPU sums in another order.
 * Then the accuracy of INT8 against FP32 on the 10,000 test images.
 */
#include "engine/engine.h"
#include "tests/calib/common.h"

#define SIZE   (28 * 28)
#define N_TEST 10000

/* --- Data ----------------------------------------------------------------------------------- */

/* The bytes of an IDX file behind its header; NULL where there is no data. */
static guint8 *
read_idx (const char *name, gsize header, gsize skip, gsize size)
{
  g_autofree char *path = test_data (name);
  g_autoptr (GError) error = NULL;
  gsize n_read;

  if (!path)
    return NULL;
  g_autoptr (GFile) file = g_file_new_for_path (path);
  g_autoptr (GFileInputStream) packed = g_file_read (file, NULL, &error);
  if (!packed)
    g_error ("%s: %s", path, error->message);
  g_autoptr (GZlibDecompressor) gunzip = g_zlib_decompressor_new (G_ZLIB_COMPRESSOR_FORMAT_GZIP);
  g_autoptr (GInputStream) stream =
      g_converter_input_stream_new (G_INPUT_STREAM (packed), G_CONVERTER (gunzip));
  g_autofree guint8 *bytes = g_malloc (header + skip + size);
  if (!g_input_stream_read_all (stream, bytes, header + skip + size, &n_read, NULL, &error) ||
      n_read != header + skip + size)
    g_error ("%s: %s", path, error ? error->message : "the file is too short");
  return g_memdup2 (bytes + header + skip, size);
}

static guint8 *
read_images (const char *set, gsize first, gsize n)
{
  g_autofree char *name = g_strdup_printf ("mnist/%s-images-idx3-ubyte.gz", set);

  return read_idx (name, 16, first * SIZE, n * SIZE);
}

static EngineModel *
load_lenet (void)
{
  g_autofree char *path = test_data ("mnist/mnist_lenet.onnx");
  g_autoptr (GError) error = NULL;
  EngineModel *model = path ? engine_model_load (path, &error) : NULL;

  if (path && !model)
    g_error ("%s", error->message);
  return model;
}

static KernelBackend *
open_cpu (void)
{
  char why[256];
  KernelBackend *backend = kernel_open ("cpu", why, sizeof why);

  if (!backend)
    g_error ("cpu: %s", why);
  return backend;
}

/* 500 images through the FP32 network in batches of 50. */
static CalibStatistics *
calibrate (EngineModel *model, const guint8 *images, float divisor, CalibHistogramFlags flags)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (CalibStatistics) statistics = calib_statistics_new (NULL, flags);
  KernelBackend *backend = open_cpu ();
  EngineCalibrator *calibrator = engine_calibrator_new (model, backend, 50, 0, statistics, &error);

  if (!calibrator)
    g_error ("%s", error->message);
  for (int i = 0; i < 500; i++) {
    float *input = engine_calibrator_input (calibrator);

    for (int k = 0; k < SIZE; k++)
      input[k] = images[i * SIZE + k] / divisor;
    if (!engine_calibrator_push (calibrator, &error))
      g_error ("%s", error->message);
  }
  CHECK (engine_calibrator_flush (calibrator, &error));
  CHECK_INT (calib_statistics_provenance (statistics)->frames, ==, 500);
  engine_calibrator_free (calibrator);
  kernel_close (backend);
  return g_steal_pointer (&statistics);
}

/* --- The published tables ------------------------------------------------------------------- */

typedef struct {
  const char *name;
  guint bin;
  guint32 word;
} Entry;

static guint
ulps_between (guint32 a, guint32 b)
{
  return a > b ? a - b : b - a; /* both are finite and above 0 */
}

static void
check_published (const char *set, gsize first, float divisor, const Entry *entries, gsize n)
{
  const CalibThresholdOptions options = {.method = CALIB_METHOD_ENTROPY2_TRT};
  g_autofree guint8 *images = read_images (set, first, 500);
  g_autoptr (EngineModel) model = load_lenet ();
  g_autoptr (GError) error = NULL;

  if (!images || !model)
    SKIP ("MNIST and its LeNet are not in INT8_TEST_DATA");

  g_autoptr (CalibStatistics) statistics =
      calibrate (model, images, divisor, CALIB_HISTOGRAM_TENSORRT);
  g_autoptr (CalibTable) table =
      engine_calibration_table (model, statistics, CALIB_METHOD_ENTROPY2_TRT, 0, 7000, &error);
  if (!table)
    g_error ("%s", error->message);
  for (gsize i = 0; i < n; i++) {
    const CalibHistogram *histogram = calib_statistics_lookup (statistics, entries[i].name);
    CalibThreshold threshold = {0};
    float scale = 0;

    CHECK (calib_table_lookup (table, entries[i].name, &scale));
    CHECK_INT (ulps_between (word_of (scale), entries[i].word), <=, 4);
    printf ("%s: %08x, published %08x", entries[i].name, word_of (scale), entries[i].word);
    if (entries[i].bin) {
      CHECK_OK (calib_threshold (histogram, &options, &threshold, &error), error);
      CHECK_INT (threshold.bin, ==, entries[i].bin);
      printf (", m = %u", threshold.bin);
    } else {
      CHECK (!histogram); /* the entry is that of the pool's input */
    }
    printf ("\n");
  }
}

static void
test_trt_7000 (void)
{
  static const Entry entries[] = {
      {"data", 2040, 0x3c008912},
      {"conv1", 611, 0x3c88edfc},
      {"pool1", 0, 0x3c88edfc},
      {"conv2", 1080, 0x3ddc858b},
      {"pool2", 0, 0x3ddc858b},
      {"ip1", 1231, 0x3db6bd6e},
      {"ip2", 1283, 0x3e691968},
      {"prob", 2048, 0x3c010a14},
  };

  check_published ("train", 50, 255, entries, G_N_ELEMENTS (entries));
}

static void
test_trt_5100 (void)
{
  static const Entry entries[] = {
      {"data", 2040, 0x3c000889},
      {"conv1", 610, 0x3c8954be},
      {"pool1", 0, 0x3c8954be},
      {"conv2", 1018, 0x3dd33169},
      {"pool2", 0, 0x3dd33169},
      {"ip1", 1155, 0x3daeff07},
      {"ip2", 1250, 0x3e7d50ec},
      {"prob", 2048, 0x3c010a14},
  };

  check_published ("t10k", 0, 256, entries, G_N_ELEMENTS (entries));
}

/* --- Accuracy ------------------------------------------------------------------------------- */

static int
top1 (const float *x, int n)
{
  int best = 0;

  for (int k = 1; k < n; k++)
    best = x[k] > x[best] ? k : best;
  return best;
}

/* The classes of all test images. */
static guint8 *
classify (const EngineModel *model, const EngineBuildOptions *options, const guint8 *images)
{
  enum { BATCH = 50 };
  g_autoptr (GError) error = NULL;
  g_autoptr (Engine) engine = engine_build (model, options, NULL, NULL, NULL, NULL, &error);
  KernelBackend *backend = open_cpu ();
  EngineExec *exec = engine ? engine_exec_new (engine, backend, BATCH, 0, &error) : NULL;
  guint8 *classes = g_malloc (N_TEST);
  float scale;
  int zero;

  if (!exec)
    g_error ("%s", error->message);
  const EngineType type = engine_input_type (engine, &scale, &zero);
  for (int i = 0; i < N_TEST; i++) {
    void *input = engine_exec_input (exec, i % BATCH);

    for (int k = 0; k < SIZE; k++) {
      const double x = images[(gsize) i * SIZE + k] / 255.0;
      if (type == ENGINE_TYPE_S8)
        ((gint8 *) input)[k] = (gint8) CLAMP (rint (x / scale + zero), -128, 127);
      else
        ((float *) input)[k] = (float) x;
    }
    if (i % BATCH < BATCH - 1)
      continue;
    CHECK (engine_exec_run (exec, BATCH, &error));
    for (int k = 0; k < BATCH; k++)
      classes[i - BATCH + 1 + k] =
          (guint8) top1 (engine_exec_output (exec, k), engine_n_classes (engine));
  }
  engine_exec_free (exec);
  kernel_close (backend);
  return classes;
}

static int
count_equal (const guint8 *a, const guint8 *b)
{
  int n = 0;

  for (int i = 0; i < N_TEST; i++)
    n += a[i] == b[i];
  return n;
}

static void
test_accuracy (void)
{
  g_autofree guint8 *calibration = read_images ("train", 50, 500);
  g_autofree guint8 *images = read_images ("t10k", 0, N_TEST);
  g_autofree guint8 *labels = read_idx ("mnist/t10k-labels-idx1-ubyte.gz", 8, 0, N_TEST);
  g_autoptr (EngineModel) model = load_lenet ();
  g_autoptr (GError) error = NULL;

  if (!calibration || !images || !labels || !model)
    SKIP ("MNIST and its LeNet are not in INT8_TEST_DATA");

  EnginePreprocess preprocess;
  CHECK (engine_preprocess_preset (&preprocess, "unit"));
  g_autoptr (CalibStatistics) statistics =
      calibrate (model, calibration, 255, CALIB_HISTOGRAM_DEFAULT);
  g_autofree guint8 *fp32 =
      classify (model, &(EngineBuildOptions){.precision = ENGINE_PRECISION_FP32}, images);
  const int right_fp32 = count_equal (fp32, labels);
  CHECK_INT (right_fp32, >=, 9900);
  printf ("FP32: %d of %d\n", right_fp32, N_TEST);

  for (int method = 0; method < CALIB_METHOD_COUNT; method++) {
    if (method == CALIB_METHOD_ENTROPY2_TRT)
      continue;
    for (int ranges = 0; ranges < 2; ranges++) {
      g_autoptr (CalibTable) table =
          engine_calibration_table (model, statistics, method, 99.99, 8601, &error);
      const EngineBuildOptions options = {.precision = ENGINE_PRECISION_INT8,
          .ranges = (EngineRanges) ranges,
          .table = table,
          .preprocess = &preprocess};
      g_autofree guint8 *int8 = classify (model, &options, images);
      const int right = count_equal (int8, labels), agree = count_equal (int8, fp32);

      printf ("INT8 %-10s %-9s: %d of %d, agrees with FP32 on %d\n", calib_method_name (method),
          ranges == ENGINE_RANGES_FULL ? "full" : "symmetric", right, N_TEST, agree);
      CHECK_INT (ABS (right - right_fp32), <=, 30);
      CHECK_INT (agree, >=, 9900);
    }
  }
}

int
main (void)
{
  RUN (test_trt_7000);
  RUN (test_trt_5100);
  RUN (test_accuracy);
  return check_done ();
}
