/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * fuzz_config.c: configurations of nvinfer, INI and YAML, from text that nobody vouches for. What is read
 * is made settings of; every entry ends in one of them, or an error says which cannot be.
 */
#define FUZZ_ROUNDS 20000

#include "gst/config-file.h"
#include "tests/fuzz/fuzz.h"

static const char *const seeds[] = {
    "[property]\ngpu-id=0\nnet-scale-factor=0.0039\nonnx-file=../m.onnx\nlabelfile-path=l.txt\n"
    "offsets=124;117;104\nnetwork-mode=1\nprocess-mode=2\nclassifier-threshold=0.51\n"
    "layer-device-precision=conv1:fp32:gpu;a:b:gpu:int8;\n[class-attrs-all]\ntopk=20\n"
    "[int8]\nstd=1,2,3\nlayer-overrides=a.txt\n",
    "%YAML:1.0\nproperty:\n  gpu-id: 0\n  offsets: [1, 2, 3]\n  network-type: 1 # legacy\n"
    "  maintain-aspect-ratio: 1\n  input-dims: 3;224;224;0\nclass-attrs-all:\n  threshold: 0.5\nempty:\n",
};

FUZZ_TEXT_SEEDS (seeds)

static void
run (const char *text, size_t size, gboolean is_yaml)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (GPtrArray) entries = gst_int8_config_file_parse (text, size, is_yaml, &error);
  g_auto (GstInt8ConfigSettings) settings = {0};

  FUZZ_REQUIRE (!entries == !!error);
  if (!entries) {
    FUZZ_REQUIRE (g_utf8_validate (error->message, -1, NULL));
    return;
  }
  if (!gst_int8_config_settings_make (entries, "/folder", &settings, &error)) {
    FUZZ_REQUIRE (error && g_utf8_validate (error->message, -1, NULL));
    return;
  }
  FUZZ_REQUIRE (settings.properties->len % 3 == 0);
  for (guint i = 0; i < settings.properties->len; i++)
    FUZZ_REQUIRE (settings.properties->pdata[i]);
}

int
LLVMFuzzerTestOneInput (const uint8_t *data, size_t size)
{
  g_autofree char *text = g_strndup ((const char *) data, size);

  if (memchr (data, '\0', size))
    return 0; /* refused, as the tests show */
  run (text, size, FALSE);
  run (text, size, TRUE);
  return 0;
}
