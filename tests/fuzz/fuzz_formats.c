/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * fuzz_formats.c: ranges in the formats of other tools, from text that nobody vouches for. Every input
 * is read as each format. What is read is sound, and what can be written is read again as the same.
 */
#define FUZZ_ROUNDS 20000

#include "calib/calib.h"
#include "tests/fuzz/fuzz.h"

#include <math.h>

static const char *const seeds[] = {
    "TRT-8601-EntropyCalibration2\ninput_1:0: 3c010a14\n(Unnamed Layer* 0) [Convolution]_output: "
    "0\nx: 7f800000\n",
    "# by hand\ngpu_0/data_0:1.000244122\na: b: -1 3\nc: 2e-3\n",
    "data_0 2.008338\n(Unnamed Layer* 0) [Convolution]_output 0\ninput:0  1e-05",
    "conv1_param_0 181.223480 0.000000 99.5 \nconv1 63.500000 \ngroup 254.0 127.0 \n",
    "{\"data_0\": [-2.5, 1], \"x\": [0, 3.0], \"caf\\u00e9\": [[1, 2], [[3]]]}",
    "{\"CLS\": \"TensorsData\", \"data\": {\"a\": {\"lowest\": {\"data\": -1.5, \"dtype\": "
    "\"float32\", \"CLS\": \"numpy.array\"}, \"highest\": {\"data\": [2, 3e0], \"dtype\": "
    "\"float32\"}, \"CLS\": \"TensorData\"}, \"b\": {\"lowest\": 0, \"highest\": 1}}, "
    "\"calibration_method\": {\"CLS\": \"CalibrationMethod\", \"value\": "
    "\"CalibrationMethod.MinMax\"}, \"smooth_quant\": true}",
};

static uint8_t *
flatbuffers_seed (size_t *size)
{
  g_autoptr (CalibDynamicRanges) ranges = calib_dynamic_ranges_new ();
  g_autofree char *note = NULL;
  gsize n;

  calib_dynamic_ranges_set (ranges, "data_0", -1, 1);
  calib_dynamic_ranges_set (ranges, "conv1_1", -3.32, 3.32);
  calib_dynamic_ranges_set (ranges, "x", 0, 0);
  g_autofree char *bytes =
      calib_format_write (CALIB_FORMAT_ORT_FLATBUFFERS, ranges, NULL, &n, &note, NULL);
  uint8_t *seed = malloc (n);
  if (seed)
    memcpy (seed, bytes, n);
  *size = n;
  return seed;
}

uint8_t *
fuzz_seed (unsigned index, size_t *size)
{
  if (index == G_N_ELEMENTS (seeds))
    return flatbuffers_seed (size);
  if (index > G_N_ELEMENTS (seeds))
    return NULL;
  *size = strlen (seeds[index]);
  return (uint8_t *) strdup (seeds[index]);
}

/* From ranges to text and back: equal, or the larger magnitude where the format knows no other. */
static void
write_and_read (CalibFormat format, const CalibDynamicRanges *ranges)
{
  g_autoptr (GError) error = NULL;
  g_autofree char *note = NULL, *note_again = NULL;
  gsize size;
  g_autofree char *text = calib_format_write (format, ranges, "header", &size, &note, &error);

  FUZZ_REQUIRE (!text == !!error);
  if (!text) {
    FUZZ_REQUIRE (g_error_matches (error, CALIB_ERROR, CALIB_ERROR_FORMAT));
    FUZZ_REQUIRE (g_utf8_validate (error->message, -1, NULL));
    return;
  }
  g_autoptr (CalibDynamicRanges) again =
      calib_format_parse (format, text, size, NULL, &note_again, &error);
  FUZZ_REQUIRE (again);
  for (guint i = 0; i < calib_dynamic_ranges_n_entries (ranges); i++) {
    double lo, hi, l, h;
    const char *name = calib_dynamic_ranges_entry (ranges, i, &lo, &hi);
    const double t = fmax (-lo, hi) > 0 ? fmax (-lo, hi) : fmax (fabs (lo), fabs (hi));

    if (!calib_dynamic_ranges_lookup (again, name, &l, &h)) {
      FUZZ_REQUIRE (
          format == CALIB_FORMAT_NCNN); /* 0 has no 127 / T, and weights have their names */
      continue;
    }
    if (format == CALIB_FORMAT_RANGES || format == CALIB_FORMAT_ORT_JSON)
      FUZZ_REQUIRE (l == lo && h == hi);
    else if (format == CALIB_FORMAT_ORT_CACHE || format == CALIB_FORMAT_ORT_FLATBUFFERS)
      FUZZ_REQUIRE (h == t && l == -t);
    else if (format == CALIB_FORMAT_TENSORRT)
      FUZZ_REQUIRE ((float) (h / 127) == (float) (t / 127));
    else
      FUZZ_REQUIRE (fabs (h - t) <= 4e-16 * t || t < 1e-290);
  }
}

int
LLVMFuzzerTestOneInput (const uint8_t *data, size_t size)
{
  const char *text = (const char *) data;
  g_autoptr (GError) guess_error = NULL;
  CalibFormat guessed;

  for (guint f = 0; f < CALIB_FORMAT_COUNT; f++) {
    g_autoptr (GError) error = NULL;
    g_autofree char *note = NULL;
    g_autoptr (CalibDynamicRanges) ranges = calib_format_parse (f, text, size, NULL, &note, &error);

    FUZZ_REQUIRE (!ranges == !!error);
    if (!ranges) {
      FUZZ_REQUIRE (g_error_matches (error, CALIB_ERROR, CALIB_ERROR_FORMAT));
      FUZZ_REQUIRE (g_utf8_validate (error->message, -1, NULL));
      continue;
    }
    for (guint i = 0; i < calib_dynamic_ranges_n_entries (ranges); i++) {
      double lo, hi;
      calib_dynamic_ranges_entry (ranges, i, &lo, &hi);
      FUZZ_REQUIRE (isfinite (lo) && isfinite (hi) && lo <= hi);
    }
    for (guint to = 0; to < CALIB_FORMAT_COUNT; to++)
      write_and_read (to, ranges);
  }
  FUZZ_REQUIRE (calib_format_guess (text, size, NULL, &guessed, &guess_error) == !guess_error);
  return 0;
}
