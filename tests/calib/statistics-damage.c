/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * statistics-damage.c: statistics files that are cut, changed, or contradict themselves.
 */
#include "tests/calib/make-statistics.h"

static void
test_truncation (void)
{
  g_autoptr (CalibStatistics) s = make_statistics (CALIB_HISTOGRAM_TENSORRT, 5);
  g_autoptr (GBytes) bytes = calib_statistics_to_bytes (s, NULL);
  gsize size;
  const guint8 *data = g_bytes_get_data (bytes, &size);
  for (gsize n = 0; n < size; n++) {
    g_autoptr (GError) error = NULL;
    /* a copy of exactly n bytes: a sanitizer sees a read beyond it */
    g_autofree guint8 *copy = g_memdup2 (data, n);
    CHECK (!calib_statistics_parse (copy, n, "x", &error));
    CHECK_ERROR (error, CALIB_ERROR, CALIB_ERROR_TRUNCATED, "ends after");
  }
}

static void
test_every_byte_counts (void)
{
  g_autoptr (CalibStatistics) s = make_statistics (CALIB_HISTOGRAM_TENSORRT, 5);
  g_autoptr (GBytes) bytes = calib_statistics_to_bytes (s, NULL);
  gsize size;
  const guint8 *data = g_bytes_get_data (bytes, &size);
  g_autofree guint8 *copy = g_memdup2 (data, size);
  for (gsize i = 0; i < size; i++) {
    g_autoptr (GError) error = NULL;
    copy[i] ^= 1 << i % 8;
    if (calib_statistics_parse (copy, size, "x", &error) ||
        (error->code != CALIB_ERROR_FORMAT && error->code != CALIB_ERROR_TRUNCATED))
      CHECK_FAIL ("byte %zu changed: not refused", i);
    copy[i] = data[i];
  }
}

/* A file that says less than it is, with a checksum of it all. */
static void
test_longer_than_it_says (void)
{
  g_autoptr (CalibStatistics) s = make_statistics (0, 5);
  g_autoptr (GBytes) bytes = calib_statistics_to_bytes (s, NULL);
  g_autoptr (GChecksum) checksum = g_checksum_new (G_CHECKSUM_SHA256);
  g_autoptr (GError) error = NULL;
  gsize size, length = 32;
  const guint8 *data = g_bytes_get_data (bytes, &size);
  g_autofree guint8 *longer = g_malloc0 (size + 1);
  memcpy (longer, data, size - 32);
  g_checksum_update (checksum, longer, (gssize) size + 1 - 32);
  g_checksum_get_digest (checksum, longer + size + 1 - 32, &length);
  CHECK (!calib_statistics_parse (longer, size + 1, "x", &error));
  CHECK_ERROR (error, CALIB_ERROR, CALIB_ERROR_FORMAT, "longer");
}

/* A file whose checksum is right and whose contents cannot have come from a histogram. */
static void
check_refused (const CalibStatistics *s, const char *what)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (GBytes) bytes = calib_statistics_to_bytes (s, &error);
  gsize size;
  const void *data = g_bytes_get_data (bytes, &size);
  g_autoptr (CalibStatistics) loaded = calib_statistics_parse (data, size, "x", &error);
  if (loaded || !g_error_matches (error, CALIB_ERROR, CALIB_ERROR_FORMAT))
    CHECK_FAIL ("%s: not refused", what);
}

#define N_CONTRADICTIONS 27

static void
contradict (CalibStatistics *s, guint which)
{
  CalibHistogram *h = calib_statistics_tensor (s, "input:0", 0);
  CalibHistogram *sums = calib_statistics_tensor (s, "(Unnamed Layer* 0) [Convolution]_output", 1);
  CalibHistogram *nan = calib_statistics_tensor (s, "nan", 5);
  CalibHistogram *zeros = calib_statistics_tensor (s, "zeros", 3);
  const int top = (int) ldexpf (h->max, -h->exponent);

  /* clang-format off */
  switch (which) {
  case 0: h->n++; break;
  case 1: h->n_zero++; break;
  case 2: h->n_nonfinite = h->n + 1; break;
  case 3: h->bins[5]++; break;
  case 4: h->max *= 2; break;
  case 5: h->max = NAN; break;
  case 6: h->min = -INFINITY; break;
  case 7: h->min = h->max + 1; break;
  case 8: h->min = 0; break;                               /* which was not counted */
  case 9: h->bins[top]--; h->bins[3]++; break;             /* nothing where the maximum is */
  case 10: h->bins[top + 1]++; h->bins[3]--; break;        /* something above it */
  case 11: /* the sum wraps around 2^64 and fits */
    calib_histogram_drop_trt (h);
    h->n += 7 - h->bins[3];
    h->bins[3] = G_MAXUINT64;
    h->bins[4] += 8;
    break;
  case 12: zeros->max = 1; break;
  case 13: zeros->min = -0.0f; break;
  case 14: zeros->n++; zeros->n_zero++; zeros->trt->bins[0]++; break; /* not times 3 channels */
  case 15: calib_histogram_set_sum (sums, 0, (CalibSum)1 << 80); break;
  case 16: nan->channel_nonfinite[0]++; break;
  case 17: nan->channel_nonfinite[0] = G_MAXUINT64; break;
  case 18: h->trt->range = 0; break;
  case 19: h->trt->range = NAN; break;
  case 20: h->trt->range /= 8; break;                      /* below the maximum */
  case 21: h->trt->range *= 1.0000000001; break;           /* no float32 */
  case 22: h->trt->bins[7]++; break;
  case 23: zeros->trt->range = 1; break;
  case 24: h->trt->range = INFINITY; break;
  case 25: s->flags = 0; break;                            /* but there are TensorRT's histograms */
  case 26: s->flags |= 2; break;                           /* unknown */
  }
  /* clang-format on */
}

static void
test_contradictions (void)
{
  for (guint c = 0; c < N_CONTRADICTIONS; c++) {
    char what[32];
    g_autoptr (CalibStatistics) s = make_statistics (CALIB_HISTOGRAM_TENSORRT, 6);
    contradict (s, c);
    g_snprintf (what, sizeof what, "contradiction %u", c);
    check_refused (s, what);
  }

  g_autoptr (CalibStatistics) twice = make_statistics (0, 6);
  CalibTensor *first = twice->tensors->pdata[0];
  g_free (first->name);
  first->name = g_strdup ("zeros");
  check_refused (twice, "the same name twice");
}

int
main (void)
{
  RUN (test_truncation);
  RUN (test_every_byte_counts);
  RUN (test_longer_than_it_says);
  RUN (test_contradictions);
  return check_done ();
}
