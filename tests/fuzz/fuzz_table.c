/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * fuzz_table.c: calibration tables from text that nobody vouches for. What is read and written is
 * read again as the same.
 */
#define FUZZ_ROUNDS 200000

#include "calib/calib.h"
#include "tests/fuzz/fuzz.h"

#include <math.h>

static const char *const seeds[] = {
    "TRT-8601-EntropyCalibration2\ninput_1:0: 3c010a14\n(Unnamed Layer* 0) [Convolution]_output: 0\n",
    "1\r\na: b: 7f800000\r\n\r\n: : ffffffff\r\n",
    "\n\xef\xbb\xbfheader\nx: 1\nx: 2\ny: 3C010A14 \nz: 80000000",
};

FUZZ_TEXT_SEEDS (seeds)

int
LLVMFuzzerTestOneInput (const uint8_t *data, size_t size)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (CalibTable) table = calib_table_parse ((const char *) data, size, NULL, &error);
  FUZZ_REQUIRE (!table == !!error);
  if (!table) {
    FUZZ_REQUIRE (g_error_matches (error, CALIB_ERROR, CALIB_ERROR_FORMAT));
    FUZZ_REQUIRE (g_utf8_validate (error->message, -1, NULL));
    return 0;
  }

  g_autofree char *text = calib_table_to_string (table);
  g_autoptr (CalibTable) again = calib_table_parse (text, strlen (text), NULL, &error);
  FUZZ_REQUIRE (again);
  g_autofree char *same = calib_table_to_string (again);
  FUZZ_REQUIRE (strcmp (text, same) == 0);
  FUZZ_REQUIRE (calib_table_n_entries (table) == calib_table_n_entries (again));
  for (guint i = 0; i < calib_table_n_entries (table); i++) {
    float scale, found;
    const char *name = calib_table_entry (table, i, &scale);
    const gboolean has_range = calib_table_lookup (again, name, &found);
    FUZZ_REQUIRE (has_range ? found == scale : isnan (scale));
  }
  return 0;
}
