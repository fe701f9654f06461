/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * mnist-input.c: the entry `data` of NVIDIA's published MNIST tables, from the images they were
 * made of: TRT-7000 from training images 50..549 / 255, TRT-5100 from test images 0..499 / 256.
 * Both by TensorRT's histogram in batches of 50 and by the order-independent one.
 */
#include "tests/calib/common.h"
#include "tests/golden/idx.h"

#define N_IMAGES 500

/* Images first..first + 499 of an IDX file, divided by `divisor`; NULL where there is no data. */
static float *
read_images (const char *name, guint first, float divisor)
{
  const gsize size = (gsize) N_IMAGES * IDX_PIXELS;
  g_autofree char *path = test_data (name);
  if (!path)
    return NULL;

  g_autofree guint8 *bytes = idx_read (path, IDX_IMAGES, (gsize) first * IDX_PIXELS, size);
  float *x = g_new (float, size);
  for (gsize i = 0; i < size; i++)
    x[i] = (float) bytes[i] / divisor;
  return x;
}

static void
check_entry (const char *name, guint first, float divisor, guint32 word)
{
  g_autofree float *x = read_images (name, first, divisor);
  if (!x)
    SKIP ("%s is not in INT8_TEST_DATA", name);

  g_autoptr (CalibStatistics) statistics = calib_statistics_new (NULL, CALIB_HISTOGRAM_TENSORRT);
  CalibHistogram *h = calib_statistics_tensor (statistics, "data", 1);
  for (guint batch = 0; batch < N_IMAGES; batch += 50)
    calib_histogram_add (h, x + batch * IDX_PIXELS, 50 * IDX_PIXELS);

  for (guint m = 0; m < 2; m++) {
    g_autoptr (GError) error = NULL;
    const CalibThresholdOptions options = {m ? CALIB_METHOD_ENTROPY2_TRT : CALIB_METHOD_ENTROPY2, 0,
        CALIB_RANGE_SYMMETRIC};
    CalibThreshold t;
    CHECK_OK (calib_threshold (h, &options, &t, &error), error);
    CHECK_INT (t.bin, ==, 2040);
    CHECK_INT (word_of (t.threshold / 127.0f), ==, word);
    printf ("%s, %s: m = %u, data: %08x, divergence %g\n", name, calib_method_name (options.method),
        t.bin, word_of (t.threshold / 127.0f), t.score);
  }
}

static void
test_trt_7000 (void)
{
  check_entry ("mnist/train-images-idx3-ubyte.gz", 50, 255, 0x3c008912);
}

static void
test_trt_5100 (void)
{
  check_entry ("mnist/t10k-images-idx3-ubyte.gz", 0, 256, 0x3c000889);
}

int
main (void)
{
  RUN (test_trt_7000);
  RUN (test_trt_5100);
  return check_done ();
}
