/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * request-key.c: the key of a request is made of contents, and the hash of a model is remembered only as
 * long as it is sure to hold.
 */
#include "tests/engine/onnx-text.h"
#include "tests/engine/request.h"

static char *
key (const EngineRequest *request)
{
  g_autoptr (GError) error = NULL;
  char *text = engine_request_key (request, &error);

  if (!text)
    g_error ("%s", error->message);
  return text;
}

static void
test_key (void)
{
  begin ();
  EngineRequest request = request_for (NULL);
  EnginePreprocess other = preprocess;
  g_autofree char *before = key (&request), *copy = path_of ("a copy.onnx"), *bytes = NULL;
  g_autofree char *same = NULL, *fp32 = NULL, *symmetric = NULL, *raw = NULL, *wider = NULL;
  gsize size;

  CHECK_INT (strlen (before), ==, 64);
  CHECK (g_file_get_contents (model, &bytes, &size, NULL));
  CHECK (g_file_set_contents (copy, bytes, size, NULL));
  request.model = copy;
  request.engine = "/somewhere/else";
  same = key (&request);
  CHECK_STR (same, before); /* contents, never names */

  request.precision = ENGINE_PRECISION_FP32;
  fp32 = key (&request);
  request.precision = ENGINE_PRECISION_INT8;
  request.ranges = ENGINE_RANGES_SYMMETRIC;
  symmetric = key (&request);
  request.ranges = ENGINE_RANGES_FULL;
  CHECK (engine_preprocess_set (&other, "scale-factor", "1", NULL));
  request.preprocess = &other;
  raw = key (&request);
  request.preprocess = &preprocess;
  write_table (table, 0.06f);
  wider = key (&request);
  const char *keys[] = {before, fp32, symmetric, raw, wider};
  for (gsize i = 0; i < G_N_ELEMENTS (keys); i++)
    for (gsize j = 0; j < i; j++)
      CHECK (!g_str_equal (keys[i], keys[j]));
}

/* Ranges by hand and layer rules count by what they say. */
static void
test_key_of_rules_and_ranges (void)
{
  begin ();
  EngineRequest request = request_for (NULL);
  g_autofree char *ranges = path_of ("ranges"), *rules = path_of ("rules");
  g_autofree char *chosen = engine_layer_rules_path (table);
  g_autofree char *option = g_strconcat ("@", rules, NULL);
  char *keys[8] = {key (&request)};

  write_file (ranges, "conv1: 1\n");
  write_file (rules, "# ours\n  *:fp32\n");
  write_file (chosen, "*:fp32");
  request.dynamic_ranges = ranges;
  keys[1] = key (&request);
  write_file (ranges, "conv1: 2\n");
  keys[2] = key (&request);
  request.layer_precision = option;
  keys[3] = key (&request);
  request.layer_precision = "*:fp32,a:int8";
  keys[4] = key (&request);
  request.layer_precision = "*:fp32\n";
  g_autofree char *same = key (&request);
  CHECK_STR (same, keys[3]); /* a file or not, spelt so or so */
  request.strict = TRUE;
  keys[5] = key (&request);
  request.strict = FALSE;
  request.layer_precision = NULL;
  request.precision = ENGINE_PRECISION_MIXED;
  g_autofree char *mixed = key (&request);
  CHECK_STR (mixed, keys[3]);
  request.layer_precision = "a:int8";
  g_autofree char *appended = key (&request);
  CHECK_STR (appended, keys[4]);
  request = request_for (NULL);
  request.layer_precision = " ,\n# nothing\n";
  g_autofree char *nothing = key (&request);
  CHECK_STR (nothing, keys[0]);
  for (int i = 0; keys[i]; i++)
    for (int j = 0; j < i; j++)
      CHECK (!g_str_equal (keys[i], keys[j]));
  for (int i = 0; keys[i]; i++)
    g_free (keys[i]);
}

/* --- Remembered hashes ---------------------------------------------------------------------- */

static char *
memory (void)
{
  g_autofree char *path = g_build_filename (cache, "hashes", NULL);
  char *text = NULL;

  g_file_get_contents (path, &text, NULL, NULL);
  return text ? text : g_strdup ("");
}

static void
test_hash_is_remembered (void)
{
  begin ();
  const EngineRequest request = request_for (NULL);
  g_autofree char *first = key (&request), *remembered = memory (), *again = NULL;
  g_autofree char *changed = NULL, *bytes = NULL, *forged = NULL;
  g_autoptr (EngineModel) loaded = engine_model_load (model, NULL);
  struct stat st;
  gsize size;

  CHECK_INT (stat (model, &st), ==, 0);
  g_autofree char *identity = g_strdup_printf ("[%llu-%llu-%lld-", (unsigned long long) st.st_dev,
      (unsigned long long) st.st_ino, (long long) st.st_size);
  CHECK (strstr (remembered, identity) != NULL);
  CHECK (strstr (remembered, engine_model_sha256 (loaded)) != NULL);
  again = key (&request);
  CHECK_STR (again, first);

  /* It is the memory that is asked: another hash in it gives another key. */
  g_autofree char *hashes = g_build_filename (cache, "hashes", NULL);
  g_auto (GStrv) parts = g_strsplit (remembered, engine_model_sha256 (loaded), 2);
  g_autofree char *other = g_strnfill (64, 'a');
  g_autofree char *lie = g_strjoinv (other, parts);
  write_file (hashes, lie);
  forged = key (&request);
  CHECK (!g_str_equal (forged, first));
  write_file (hashes, remembered);

  /* Same size, other contents, other time. */
  CHECK (g_file_get_contents (model, &bytes, &size, NULL));
  bytes[size / 2] ^= 1;
  const int fd = g_open (model, O_WRONLY, 0);
  CHECK (write (fd, bytes, size) == (gssize) size);
  close (fd);
  set_age (model, 50);
  changed = key (&request);
  CHECK (!g_str_equal (changed, first));
}

static void
copy_file (const char *name, const char *to)
{
  g_autofree char *from =
      g_build_filename (g_getenv ("INT8_SOURCE_DIR"), "tests", "engine", "models", name, NULL);
  g_autofree char *bytes = NULL;
  g_autoptr (GError) error = NULL;
  gsize size;

  if (!g_file_get_contents (from, &bytes, &size, &error) ||
      !g_file_set_contents (to, bytes, size, &error))
    g_error ("%s", error->message);
}

/* The weights lie in a file beside the model, which does not change itself. */
static void
test_external_data_is_watched (void)
{
  begin ();
  g_autofree char *onnx = path_of ("external.onnx"), *data = path_of ("external.bin");
  const EngineRequest request = {.model = onnx, .precision = ENGINE_PRECISION_FP32};
  g_autofree char *bytes = NULL;
  gsize size;

  copy_file ("external.onnx", onnx);
  copy_file ("external.bin", data);
  set_age (onnx, 100);
  set_age (data, 100);
  g_autofree char *first = key (&request), *remembered = memory (), *again = key (&request);
  CHECK (strstr (remembered, "external.bin") != NULL);
  CHECK_STR (again, first);

  CHECK (g_file_get_contents (data, &bytes, &size, NULL));
  bytes[0] ^= 1;
  CHECK (g_file_set_contents (data, bytes, size, NULL));
  set_age (data, 50);
  g_autofree char *changed = key (&request);
  CHECK (!g_str_equal (changed, first));
}

/* The input's name stands in the shape, and that in the name of a group, which must not hold brackets. */
static void
test_shape_is_remembered (void)
{
  begin ();
  g_autofree char *onnx = path_of ("brackets.onnx");
  const EngineRequest request = {.model = onnx,
      .model_options = {.shape = "x[0]:1x3x8x8"},
      .precision = ENGINE_PRECISION_FP32};
  g_autoptr (GByteArray) bytes = onnx_text ("opset 13; input x[0] ? 3 ? ?; floats w 4 3 3 3; "
                                            "Conv x[0] w -> c; GlobalAveragePool c -> p; "
                                            "Flatten p -> y; output y");

  CHECK (g_file_set_contents (onnx, (const char *) bytes->data, bytes->len, NULL));
  set_age (onnx, 100);
  g_autofree char *first = key (&request), *remembered = memory (), *again = key (&request);
  CHECK (strstr (remembered, "sha256=") != NULL);
  CHECK_STR (again, first);
}

static void
test_fresh_model_is_not_remembered (void)
{
  begin ();
  set_age (model, 0);
  const EngineRequest request = request_for (NULL);
  G_GNUC_UNUSED g_autofree char *first = key (&request);
  g_autofree char *remembered = memory ();

  CHECK_STR (remembered, "");
}

static void
test_damaged_memory (void)
{
  begin ();
  const EngineRequest request = request_for (NULL);
  g_autofree char *first = key (&request), *hashes = g_build_filename (cache, "hashes", NULL);
  const char *damage[] = {"", "\x01\x02\xff", "[", "[x]\nsha256=1\n", "sha256=abc\n"};

  for (gsize i = 0; i < G_N_ELEMENTS (damage); i++) {
    write_file (hashes, damage[i]);
    g_autofree char *again = key (&request);
    CHECK_STR (again, first);
  }
}

int
main (void)
{
  request_init ();
  RUN (test_key);
  RUN (test_key_of_rules_and_ranges);
  RUN (test_hash_is_remembered);
  RUN (test_external_data_is_watched);
  RUN (test_shape_is_remembered);
  RUN (test_fresh_model_is_not_remembered);
  RUN (test_damaged_memory);
  return request_done ();
}
