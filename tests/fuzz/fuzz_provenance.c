/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * fuzz_provenance.c: where a table comes from, as JSON that nobody vouches for. What is read and written
 * is read again as the same.
 */
#define FUZZ_ROUNDS 20000

#include "calib/private.h"
#include "tests/fuzz/fuzz.h"

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (CalibProvenance, calib_provenance_clear)

#define HEAD "{\"format\": \"" CALIB_PROVENANCE_FORMAT "\", \"version\": 1"

static const char *const seeds[] = {
    HEAD
    ", \"method\" : \"mse\", \"model-sha256\": \"0123abcd\", \"preprocess-sha256\": \"x\",\n"
    "\"source\": \"rtsp://camera \\\"1\\\"\\u00e9\\ud83d\\ude00\", \"tool\": \"gst-int8\", \"frames\": 300}\n",
    HEAD ", \"future\": [1, {\"x\": 2.5e3}], \"frames\": 9223372036854775807}",
    HEAD ", \"tool\": \"half a pair: \\ude00\"}",
    HEAD ", \"tool\": null, \"frames\": -1, \"source\": [true]}",
};

FUZZ_TEXT_SEEDS (seeds)

static gboolean
is_text (const char *string)
{
  return !string || g_utf8_validate (string, -1, NULL);
}

int
LLVMFuzzerTestOneInput (const uint8_t *data, size_t size)
{
  g_autofree char *text = g_strndup ((const char *) data, size); /* as calib_file_read() ends it */
  g_autoptr (GError) error = NULL;
  g_auto (CalibProvenance) provenance, again;

  FUZZ_REQUIRE (calib_provenance_parse (text, size, "fuzz", &provenance, &error) == !error);
  if (error) {
    FUZZ_REQUIRE (g_error_matches (error, CALIB_ERROR, CALIB_ERROR_FORMAT));
    FUZZ_REQUIRE (g_utf8_validate (error->message, -1, NULL));
    FUZZ_REQUIRE (!provenance.model_sha256 && !provenance.source && !provenance.tool);
    again = (CalibProvenance){0};
    return 0;
  }
  FUZZ_REQUIRE (is_text (provenance.model_sha256) && is_text (provenance.preprocess_sha256));
  FUZZ_REQUIRE (is_text (provenance.source) && is_text (provenance.tool));
  g_autofree char *written = calib_provenance_to_text (&provenance, "mse");
  FUZZ_REQUIRE (calib_provenance_parse (written, strlen (written), "written", &again, &error));
  FUZZ_REQUIRE (again.frames == provenance.frames);
  g_autofree char *same = calib_provenance_to_text (&again, "mse");
  FUZZ_REQUIRE (strcmp (written, same) == 0);
  return 0;
}
