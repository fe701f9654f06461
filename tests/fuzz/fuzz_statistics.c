/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * fuzz_statistics.c: statistics files from bytes that nobody vouches for. The size and the checksum
 * are put right first, or nothing would get past them. What is read is written as the same bytes,
 * gives thresholds and can be merged.
 */
#include "calib/private.h"
#include "tests/fuzz/fuzz.h"

#include <math.h>

#define HEADER 24
#define DIGEST 32

static void
seal (uint8_t *data, size_t size)
{
  gsize length = DIGEST;
  for (int i = 0; i < 8; i++)
    data[16 + i] = (uint8_t) ((uint64_t) size >> 8 * i);
  g_autoptr (GChecksum) checksum = g_checksum_new (G_CHECKSUM_SHA256);
  g_checksum_update (checksum, data, (gssize) (size - DIGEST));
  g_checksum_get_digest (checksum, data + size - DIGEST, &length);
}

uint8_t *
fuzz_seed (unsigned index, size_t *size)
{
  static const float values[] = {1, -2, 0, 0.5f, 3e9f, -0.0f, 1e-40f, 7, 7.5f, NAN, -0.25f,
      INFINITY};
  const CalibProvenance provenance = {(char *) "abc", NULL, (char *) "source", (char *) "", 300};
  if (index >= 6)
    return NULL;
  g_autoptr (CalibStatistics) s =
      calib_statistics_new (index == 0 ? NULL : &provenance, index & CALIB_HISTOGRAM_TENSORRT);
  if (index >= 4)
    calib_statistics_keep_frames (s, index);
  for (guint n = 1; n < 12; n += 3)
    calib_statistics_offer_frame (s, values, n);
  if (index == 5)
    calib_statistics_tensor_for_trt (s, "pool", 1);
  for (guint t = 0; t < index; t++) {
    char name[] = {'a' + t, ':', '0', 0};
    CalibHistogram *h = calib_statistics_tensor (s, name, t);
    calib_histogram_add (h, values, index == 1 ? 9 : 12);
  }
  g_autoptr (GBytes) bytes = calib_statistics_to_bytes (s, NULL);
  const void *data = g_bytes_get_data (bytes, size);
  uint8_t *seed = malloc (*size);
  if (seed)
    memcpy (seed, data, *size);
  return seed;
}

static void
use (const CalibStatistics *s, guint seed)
{
  if (calib_statistics_n_tensors (s) == 0)
    return;
  const CalibHistogram *h = calib_statistics_lookup (s, calib_statistics_name (s, 0));
  /* one method an input: they take milliseconds */
  const CalibMethod method = seed % (4 * CALIB_METHOD_COUNT);
  FUZZ_REQUIRE (calib_statistics_n_kept (s) <= calib_statistics_keeps (s));
  if (method < CALIB_METHOD_COUNT) {
    g_autoptr (GError) error = NULL;
    const CalibThresholdOptions options = {method, 99.9, seed & 64 ? CALIB_RANGE_FULL : 0};
    CalibThreshold t;
    if (calib_threshold (h, &options, &t, &error))
      FUZZ_REQUIRE (t.threshold >= 0 && isfinite (t.threshold));
    else
      FUZZ_REQUIRE (error->domain == CALIB_ERROR);
  }
  for (guint i = 0; i < calib_statistics_n_kept (s); i++) {
    gsize n;
    const float *x = calib_statistics_kept (s, i, &n);
    FUZZ_REQUIRE (x && n > 0);
  }
  for (guint c = 0; c < h->channels; c++) {
    const double mean = calib_histogram_channel_mean (h, c);
    FUZZ_REQUIRE (isnan (mean) || fabs (mean) <= CALIB_SUM_LIMIT);
  }
}

int
LLVMFuzzerTestOneInput (const uint8_t *data, size_t size)
{
  g_autoptr (GError) error = NULL;
  g_autofree uint8_t *copy = g_memdup2 (data, size);
  if (size >= HEADER + DIGEST)
    seal (copy, size);

  g_autoptr (CalibStatistics) s = calib_statistics_parse (copy, size, "fuzz", &error);
  FUZZ_REQUIRE (!s == !!error);
  if (!s) {
    FUZZ_REQUIRE (g_error_matches (error, CALIB_ERROR, CALIB_ERROR_FORMAT) ||
                  g_error_matches (error, CALIB_ERROR, CALIB_ERROR_TRUNCATED));
    return 0;
  }
  gsize n;
  g_autoptr (GBytes) bytes = calib_statistics_to_bytes (s, &error);
  FUZZ_REQUIRE (bytes);
  const void *written = g_bytes_get_data (bytes, &n);
  FUZZ_REQUIRE (n == size && memcmp (written, copy, n) == 0);
  use (s, copy[size - 1]);
  if (!calib_statistics_merge (s, s, &error))
    FUZZ_REQUIRE (g_error_matches (error, CALIB_ERROR, CALIB_ERROR_FORMAT));
  return 0;
}
