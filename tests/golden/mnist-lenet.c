/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * mnist-lenet.c: NVIDIA's LeNet of sampleINT8, whose calibration tables are published: TRT-7000 from
 * training images 50..549 / 255, TRT-5100 from test images 0..499 / 256, both in batches of 50. The
 * bins must be theirs exactly. The words are those bins times the largest activation, a sum of up to 800
 * products: here one chain of additions, on their GPU a tree. They may differ by 8 ulp, 5e-7.
 * Then the accuracy of INT8 against FP32 on the 10,000 test images.
 */
#include "tests/calib/common.h"
#include "tests/golden/classify.h"

#define MAX_ULPS 8

/* --- Data ----------------------------------------------------------------------------------- */

/* NULL where there is no data. */
static guint8 *
read_data (const char *name, gsize header, gsize skip, gsize size)
{
  g_autofree char *path = test_data (name);

  return path ? idx_read (path, header, skip, size) : NULL;
}

static guint8 *
read_images (const char *set, gsize first, gsize n)
{
  g_autofree char *name = g_strdup_printf ("mnist/%s-images-idx3-ubyte.gz", set);

  return read_data (name, IDX_IMAGES, first * IDX_PIXELS, n * IDX_PIXELS);
}

static EngineModel *
load_lenet (void)
{
  g_autofree char *path = test_data ("mnist/mnist_lenet.onnx");

  return path ? classify_load (path) : NULL;
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
      classify_calibrate (model, images, divisor, CALIB_HISTOGRAM_TENSORRT);
  g_autoptr (CalibTable) table =
      engine_calibration_table (model, statistics, CALIB_METHOD_ENTROPY2_TRT, 0, 7000, &error);
  if (!table)
    g_error ("%s", error->message);
  for (gsize i = 0; i < n; i++) {
    const CalibHistogram *histogram = calib_statistics_lookup (statistics, entries[i].name);
    CalibThreshold threshold = {0};
    float scale = 0;

    CHECK (calib_table_lookup (table, entries[i].name, &scale));
    CHECK_INT (ulps_between (word_of (scale), entries[i].word), <=, MAX_ULPS);
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

static void
test_accuracy (void)
{
  g_autofree guint8 *calibration = read_images ("train", 50, 500);
  g_autofree guint8 *images = read_images ("t10k", 0, CLASSIFY_IMAGES);
  g_autofree guint8 *labels =
      read_data ("mnist/t10k-labels-idx1-ubyte.gz", IDX_LABELS, 0, CLASSIFY_IMAGES);
  g_autoptr (EngineModel) model = load_lenet ();

  if (!calibration || !images || !labels || !model)
    SKIP ("MNIST and its LeNet are not in INT8_TEST_DATA");
  classify_check (model, calibration, images, labels, 9900, CALIB_METHOD_COUNT);
}

int
main (void)
{
  RUN (test_trt_7000);
  RUN (test_trt_5100);
  RUN (test_accuracy);
  return check_done ();
}
