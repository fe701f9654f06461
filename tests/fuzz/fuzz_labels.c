/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * fuzz_labels.c: label files from bytes that nobody vouches for, for as many classes as the first of them
 * says. Every class has a name.
 */
#include "gst/labels.h"
#include "tests/fuzz/fuzz-file.h"

static const char *const seeds[] = {
    "\3background\r\ncat\r\ndog, domestic\r\n\r\n",
    ("\2\xef\xbb\xbf" /* else "caf" were of the number */
     "caf\xc3\xa9;;"),
    "\4one;two; three ;four\n",
};

FUZZ_TEXT_SEEDS (seeds)

int
LLVMFuzzerTestOneInput (const uint8_t *data, size_t size)
{
  g_autofree char *warning = NULL;
  g_autoptr (GError) error = NULL;

  if (size == 0)
    return 0;
  g_autoptr (GstInt8Labels) labels =
      gst_int8_labels_load (fuzz_path (data + 1, size - 1), data[0], &warning, &error);
  FUZZ_REQUIRE (!labels == !!error);
  if (!labels) {
    FUZZ_REQUIRE (g_error_matches (error, G_CONVERT_ERROR, G_CONVERT_ERROR_ILLEGAL_SEQUENCE));
    FUZZ_REQUIRE (!warning && g_utf8_validate (error->message, -1, NULL));
    return 0;
  }
  FUZZ_REQUIRE (!warning || g_utf8_validate (warning, -1, NULL));
  for (guint i = 0; i < data[0]; i++) {
    const char *name = gst_int8_labels_get (labels, i);

    FUZZ_REQUIRE (*name && g_utf8_validate (name, -1, NULL) && !strchr (name, '\n'));
    FUZZ_REQUIRE (g_quark_try_string (name) == gst_int8_labels_get_quark (labels, i));
  }
  return 0;
}
