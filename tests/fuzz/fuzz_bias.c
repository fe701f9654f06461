/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * fuzz_bias.c: corrections of biases, and scales by channel, from text that nobody vouches for. What is read
 * and written is read again as the same.
 */
#define FUZZ_ROUNDS 200000

#include "engine/bias.h"
#include "tests/fuzz/fuzz.h"

#include <math.h>

#define SHA256 "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static const char *const seeds[] = {
    "gst-int8 bias correction 1\ntable " SHA256 "\nconv1: 0.5 -1e-3\ninput_1:0 [x]: 4\nend\n",
    "gst-int8 bias correction 2\ntable " SHA256
    "\nconv1: 1\nchannels\nx:0: 5.5 1 0.25 0.015625\ny: 1 1\nend",
};

FUZZ_TEXT_SEEDS (seeds)

int
LLVMFuzzerTestOneInput (const uint8_t *data, size_t size)
{
  g_autofree char *text = g_strndup ((const char *) data, size);
  g_autoptr (GError) error = NULL;
  g_autoptr (EngineBias) bias = engine_bias_parse (text, NULL, "fuzzed", &error);

  FUZZ_REQUIRE (!bias == !!error);
  if (!bias) {
    FUZZ_REQUIRE (g_error_matches (error, ENGINE_ERROR, ENGINE_ERROR_FILE));
    FUZZ_REQUIRE (g_utf8_validate (error->message, -1, NULL));
    return 0;
  }
  for (guint i = 0; i < engine_bias_n_equalised (bias); i++) {
    float threshold;
    guint n;
    const float *factors =
        engine_bias_channels (bias, engine_bias_equalised (bias, i), &threshold, &n);

    FUZZ_REQUIRE (factors && n > 0 && threshold > 0 && isfinite (threshold));
    for (guint k = 0; k < n; k++)
      FUZZ_REQUIRE (factors[k] > 0 && factors[k] <= 1);
  }
  g_autofree char *written = engine_bias_to_string (bias, SHA256);
  g_autoptr (EngineBias) again = engine_bias_parse (written, SHA256, "written", &error);
  FUZZ_REQUIRE (again);
  g_autofree char *same = engine_bias_to_string (again, SHA256);
  FUZZ_REQUIRE (strcmp (written, same) == 0);
  return 0;
}
