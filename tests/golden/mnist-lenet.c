/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * mnist-lenet.c: NVIDIA's LeNet of sampleINT8, whose calibration tables are published, in batches of
 * 50. The bins must be theirs exactly. The words are those bins times the largest activation, a sum of
 * up to 800 products, which depends on the order of its additions: by up to 4 units in the last place
 * (3e-7) in the order of this project, and by up to 3 when each is rounded once.
 * Then the accuracy of INT8 against FP32 on the 10,000 test images.
 */
#include "tests/calib/common.h"
#include "tests/golden/classify.h"
#include "tests/golden/double-sums.h"

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

static gboolean
has_images (void)
{
  g_autofree char *train = test_data ("mnist/train-images-idx3-ubyte.gz");
  g_autofree char *t10k = test_data ("mnist/t10k-images-idx3-ubyte.gz");

  return train && t10k;
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
  guint bin; /* m, or k of the legacy calibrator; 0 where the entry is that of the pool's input */
  guint32 word;
} Entry;

typedef struct {
  const char *title, *set;
  gsize first;
  float divisor;
  CalibMethod method;
  Entry entries[8];
} Published;

static const Published published[] = {
    {"TensorRT 7.0, EntropyCalibration2", "train", 50, 255, CALIB_METHOD_ENTROPY2_TRT,
        {{"data", 2040, 0x3c008912}, {"conv1", 611, 0x3c88edfc}, {"pool1", 0, 0x3c88edfc},
            {"conv2", 1080, 0x3ddc858b}, {"pool2", 0, 0x3ddc858b}, {"ip1", 1231, 0x3db6bd6e},
            {"ip2", 1283, 0x3e691968}, {"prob", 2048, 0x3c010a14}}},
    {"TensorRT 5.1, EntropyCalibration2", "t10k", 0, 256, CALIB_METHOD_ENTROPY2_TRT,
        {{"data", 2040, 0x3c000889}, {"conv1", 610, 0x3c8954be}, {"pool1", 0, 0x3c8954be},
            {"conv2", 1018, 0x3dd33169}, {"pool2", 0, 0x3dd33169}, {"ip1", 1155, 0x3daeff07},
            {"ip2", 1250, 0x3e7d50ec}, {"prob", 2048, 0x3c010a14}}},
    {"TensorRT 3, Legacy", "t10k", 0, 256, CALIB_METHOD_LEGACY,
        {{"data", 2048, 0x3c008102}, {"conv1", 1023, 0x3ce61f4d}, {"pool1", 1061, 0x3cdb9660},
            {"conv2", 1024, 0x3dd4555e}, {"pool2", 2048, 0x3da615aa}, {"ip1", 1221, 0x3db8ea7b},
            {"ip2", 1163, 0x3e6b9750}, {"prob", 2048, 0x3c010204}}},
};

/* Both are finite and above 0. */
static int
ulps_between (guint32 a, guint32 b)
{
  return (int) a - (int) b;
}

static void
check_bin (const CalibStatistics *statistics, const Published *p, const Entry *entry)
{
  const CalibThresholdOptions options = {.method = p->method};
  const CalibHistogram *histogram = calib_statistics_lookup (statistics, entry->name);
  g_autoptr (GError) error = NULL;
  CalibThreshold threshold = {0};

  CHECK_OK (calib_threshold (histogram, &options, &threshold, &error), error);
  CHECK_INT (threshold.bin, ==, entry->bin);
}

/* The order of additions in a sum. */
typedef enum {
  SUMS_OF_ENGINE, /* conv_f32 of kernels.h */
  SUMS_IN_DOUBLE  /* rounded once: no order */
} Sums;

static CalibStatistics *
calibrate_in_double (const EngineModel *model, const guint8 *images, float divisor)
{
  enum { BATCH = 50, PIXELS = BATCH * IDX_PIXELS };
  CalibStatistics *statistics = calib_statistics_new (NULL, CALIB_HISTOGRAM_TENSORRT);
  g_autofree float *x = g_new (float, PIXELS);

  for (int first = 0; first < 500; first += BATCH) {
    for (int k = 0; k < PIXELS; k++)
      x[k] = images[first * IDX_PIXELS + k] / divisor;
    double_sums_run (model, x, BATCH, statistics);
  }
  return statistics;
}

/* Returns the greatest difference of a word. */
static int
check_published (EngineModel *model, const Published *p, Sums sums, int most)
{
  g_autofree guint8 *images = read_images (p->set, p->first, 500);
  g_autoptr (CalibStatistics) statistics =
      sums == SUMS_IN_DOUBLE
          ? calibrate_in_double (model, images, p->divisor)
          : classify_calibrate (model, images, p->divisor, CALIB_HISTOGRAM_TENSORRT);
  g_autoptr (GError) error = NULL;
  g_autoptr (CalibTable) table =
      engine_calibration_table (model, statistics, p->method, 0, 7000, &error);
  int worst = 0;

  if (!table)
    g_error ("%s", error->message);
  printf ("%s, images of '%s' from %u on / %g\n", p->title, p->set, (guint) p->first, p->divisor);
  for (guint i = 0; i < G_N_ELEMENTS (p->entries); i++) {
    const Entry *entry = &p->entries[i];
    float scale = 0;

    CHECK (calib_table_lookup (table, entry->name, &scale));
    const int ulps = ulps_between (word_of (scale), entry->word);
    printf ("  %-6s bin %4u  %08x  published %08x  %+d ulp\n", entry->name, entry->bin,
        word_of (scale), entry->word, ulps);
    CHECK_INT (ABS (ulps), <=, most);
    worst = MAX (worst, ABS (ulps));
    if (entry->bin)
      check_bin (statistics, p, entry);
  }
  return worst;
}

static void
check_all_published (Sums sums, int most)
{
  static const char *const names[] = {"the engine's sums", "sums in double"};
  g_autoptr (EngineModel) model = load_lenet ();
  int worst = 0;

  if (!model || !has_images ())
    SKIP ("MNIST and its LeNet are not in INT8_TEST_DATA");
  for (guint i = 0; i < G_N_ELEMENTS (published); i++) {
    const int ulps = check_published (model, &published[i], sums, most);

    worst = MAX (worst, ulps);
  }
  printf ("%s: at most %d ulp\n", names[sums], worst);
}

static void
test_published (void)
{
  check_all_published (SUMS_OF_ENGINE, 4);
}

static void
test_published_sums_in_double (void)
{
  check_all_published (SUMS_IN_DOUBLE, 3);
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
  classify_check (model, calibration, images, labels, 9900, 0);
}

int
main (void)
{
  RUN (test_published);
  RUN (test_published_sums_in_double);
  RUN (test_accuracy);
  return check_done ();
}
