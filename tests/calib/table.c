/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * table.c: TensorRT's calibration tables, real and awkward ones, and the provenance beside them.
 */
#include "tests/calib/common.h"

static CalibTable *
parse (const char *text, GError **error)
{
  /* a copy without a terminator: a sanitizer sees a read beyond it */
  const gsize n = strlen (text);
  g_autofree char *copy = g_memdup2 (text, n);
  return calib_table_parse (copy, n, NULL, error);
}

static void
check_lookup (const CalibTable *table, const char *name, guint32 word)
{
  float scale = 0;
  if (!calib_table_lookup (table, name, &scale))
    CHECK_FAIL ("'%s' has no range", name);
  else if (word_of (scale) != word)
    CHECK_FAIL ("'%s': %08x, expected %08x", name, word_of (scale), word);
}

/* --- Names and words ------------------------------------------------------------------------ */

static void
test_awkward_names (void)
{
  static const char *const names[] = {"data", "(Unnamed Layer* 0) [Convolution]_output",
      "input_1:0", "a: b", ": ", ": : ", " leading", "trailing ", "tab\tinside",
      "/model.0/act/Mul_output_0", "x: 3c010a14", "3c010a14", "\xc3\xa9t\xc3\xa9",
      "\xff\xfe not UTF-8", "input.1", "a:", ":", "#", "Encoder Output", "\"quoted\""};
  g_autoptr (GError) error = NULL;
  g_autoptr (CalibTable) table = calib_table_new ("TRT-8601-EntropyCalibration2");
  for (guint i = 0; i < G_N_ELEMENTS (names); i++)
    calib_table_set (table, names[i], (float) (i + 1));
  g_autofree char *text = calib_table_to_string (table);
  g_autoptr (CalibTable) again = parse (text, &error);
  CHECK_OK (again != NULL, error);
  if (!again)
    return;
  CHECK_INT (calib_table_n_entries (again), ==, G_N_ELEMENTS (names));
  for (guint i = 0; i < G_N_ELEMENTS (names); i++) {
    float scale;
    CHECK_STR (calib_table_entry (again, i, &scale), names[i]);
    CHECK (scale == (float) (i + 1));
    check_lookup (again, names[i], word_of ((float) (i + 1)));
  }
  float scale;
  CHECK (!calib_table_lookup (again, "dat", &scale));
}

static void
test_words (void)
{
  g_autoptr (GError) error = NULL;
  float scale;
  g_autoptr (CalibTable) table =
      parse ("1\nzero: 0\nshort: 1f\nupper: 3C010A14\npadded: 0000001f\n"
             "inf: 7f800000\nnan: 7fc00001\nminus: bc010a14\nminus zero: "
             "80000000\n",
          &error);
  CHECK_OK (table != NULL, error);
  check_lookup (table, "zero", 0);
  check_lookup (table, "short", 0x1f);
  check_lookup (table, "upper", 0x3c010a14);
  check_lookup (table, "padded", 0x1f);
  check_lookup (table, "minus zero", 0);
  for (guint i = 0; i < 3; i++) {
    const char *name = (const char *[]){"inf", "nan", "minus"}[i];
    CHECK (!calib_table_lookup (table, name, &scale));
  }
  CHECK_STR (calib_table_entry (table, 4, &scale), "inf");
  CHECK (isnan (scale));
  /* what is no range is kept; spelling becomes TensorRT's */
  g_autofree char *text = calib_table_to_string (table);
  CHECK_STR (text, "1\nzero: 0\nshort: 1f\nupper: 3c010a14\npadded: 1f\ninf: 7f800000\n"
                   "nan: 7fc00001\nminus: bc010a14\nminus zero: 80000000\n");

  calib_table_set (table, "inf", 1);
  check_lookup (table, "inf", 0x3f800000);
  CHECK_INT (calib_table_n_entries (table), ==, 8);
}

static void
test_headers (void)
{
  g_autofree char *a = calib_table_header (CALIB_METHOD_ENTROPY2, 8601);
  g_autofree char *b = calib_table_header (CALIB_METHOD_ENTROPY2_TRT, 101400);
  g_autofree char *c = calib_table_header (CALIB_METHOD_PERCENTILE, 7000);
  CHECK_STR (a, "TRT-8601-EntropyCalibration2");
  CHECK_STR (b, "TRT-101400-EntropyCalibration2");
  CHECK_STR (c, "TRT-7000-MinMaxCalibration");

  static const char *const headers[] = {"1", "03ff00000000000003feffffde7210be9",
      "TRT-100300-EntropyCalibration2", "anything at all", "almost: an entry",
      "x: ", "x: 123456789"};
  for (guint i = 0; i < G_N_ELEMENTS (headers); i++) {
    g_autoptr (GError) error = NULL;
    g_autofree char *text = g_strconcat (headers[i], "\nx: 1\n", NULL);
    g_autoptr (CalibTable) table = parse (text, &error);
    CHECK_OK (table != NULL, error);
    CHECK_STR (table ? calib_table_get_header (table) : "", headers[i]);
  }
}

/* --- Liberal reading, and what is refused --------------------------------------------------- */

static void
test_liberal_reading (void)
{
  static const char *const texts[] = {"H\na: 1\nb: 2\n", "H\r\na: 1\r\nb: 2\r\n",
      "\n\nH\n\na: 1\n\n\nb: 2\n\n", "\xef\xbb\xbfH\na: 1\nb: 2\n", "H\na: 1 \nb: 2\t\n",
      "H\na: 7\nb: 2\na: 1\n"};
  for (guint i = 0; i < G_N_ELEMENTS (texts); i++) {
    g_autoptr (GError) error = NULL;
    g_autoptr (CalibTable) table = parse (texts[i], &error);
    CHECK_OK (table != NULL, error);
    g_autofree char *text = table ? calib_table_to_string (table) : NULL;
    CHECK_STR (text, "H\na: 1\nb: 2\n");
  }
  g_autoptr (GError) error = NULL;
  g_autoptr (CalibTable) header_only = parse ("H", &error);
  CHECK_OK (header_only && calib_table_n_entries (header_only) == 0, error);
  g_autoptr (CalibTable) unended = parse ("H\na: 0\nb: 3c010a14", &error);
  CHECK_OK (unended && calib_table_n_entries (unended) == 2, error);
  g_autoptr (CalibTable) zero = parse ("H\na: 3c010a14\nb: 0", &error);
  CHECK_OK (zero && calib_table_n_entries (zero) == 2, error);
}

static void
test_refused (void)
{
  static const struct {
    const char *text, *message;
  } cases[] = {
      {"", "line 1: the table is empty"},
      {"\n\r\n", "the table is empty"},
      {"a: 3c010a14\nb: 3c010a14\n", "line 1: an entry where the header belongs"},
      {"H\na: 1\nb 2\n", "line 3: expected `name: hex`"},
      {"H\na: 1\nb:2\n", "line 3: expected"},
      {"H\na: g\n", "line 2: expected"},
      {"H\na: 1.5\n", "line 2: expected"},
      {"H\na: -1\n", "line 2: expected"},
      {"H\na: 0x3c\n", "line 2: expected"},
      {"H\n\na: \n", "line 3: expected"},
      {"H\na: 123456789\n", "line 2: the number after the last `: ` has more than 8"},
      {"H\n: 1\n", "line 2: there is no name"},
      {"H\nbinary\n", "line 2: expected"},
      {"H\na: 3c010a14\nb: 3c010a1", "line 3: the file ends within this line"},
      {"H\na: 3c010a14\nb: 3", "line 3: the file ends within this line"},
  };
  g_autoptr (GError) error = NULL;
  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_autoptr (CalibTable) table = parse (cases[i].text, &error);
    CHECK (table == NULL);
    CHECK_ERROR (error, CALIB_ERROR, CALIB_ERROR_FORMAT, cases[i].message);
  }
  CHECK (!calib_table_parse ("H\na\0b: 1\n", 10, "some/file", &error));
  CHECK_ERROR (error, CALIB_ERROR, CALIB_ERROR_FORMAT, "some/file, line 2: a zero byte");
}

/* --- Files ---------------------------------------------------------------------------------- */

static void
test_save_and_load (void)
{
  g_autofree char *folder = test_folder ();
  g_autofree char *path = g_build_filename (folder, "table", NULL);
  g_autoptr (GError) error = NULL;
  float scale;

  CHECK (!calib_table_load (path, &error));
  CHECK_ERROR (error, G_FILE_ERROR, G_FILE_ERROR_NOENT, path);

  g_autoptr (CalibTable) table = calib_table_new ("H");
  calib_table_set (table, "a", 0.5f);
  CHECK_OK (calib_table_save (table, path, &error), error);
  g_autoptr (CalibTable) loaded = calib_table_load (path, &error);
  CHECK_OK (loaded && calib_table_lookup (loaded, "a", &scale) && scale == 0.5f, error);

  /* what would be read back as something else is not written, and the old file stays */
  calib_table_set (table, "two\nlines", 1);
  CHECK (!calib_table_save (table, path, &error));
  CHECK_ERROR (error, CALIB_ERROR, CALIB_ERROR_FORMAT, "line 3: a tensor's name");
  static const char *const headers[] = {"", "x: 1", "two\nlines", "dos\r", "\xef\xbb\xbfmark"};
  for (guint i = 0; i < G_N_ELEMENTS (headers); i++) {
    g_autoptr (CalibTable) bad = calib_table_new (headers[i]);
    CHECK (!calib_table_save (bad, path, &error));
    CHECK_ERROR (error, CALIB_ERROR, CALIB_ERROR_FORMAT, "header");
  }
  g_autofree char *text = NULL;
  CHECK (g_file_get_contents (path, &text, NULL, NULL));
  CHECK_STR (text, "H\na: 3f000000\n");

  /* a file that never ends */
  CHECK (!calib_table_load ("/dev/zero", &error));
  CHECK_ERROR (error, CALIB_ERROR, CALIB_ERROR_FORMAT, "larger than");
  test_folder_remove (folder);
}

/* Every real table is read; all of these are in TensorRT's own spelling, so they are written back
 * byte for byte. */
static void
test_real_tables (void)
{
  g_autofree char *folder = test_data ("calibration-tables");
  const char *name;
  guint n_tables = 0, n_entries = 0, n_without_range = 0;
  if (!folder)
    SKIP ("calibration-tables is not in INT8_TEST_DATA");

  /* Its folders hold other formats: dynamic-ranges/ (`name:T`, and class labels) and
   * ort_format_squeezenet/ (ONNX Runtime's flatbuffer). */
  g_autoptr (GDir) dir = g_dir_open (folder, 0, NULL);
  while ((name = g_dir_read_name (dir))) {
    g_autoptr (GError) error = NULL;
    g_autofree char *path = g_build_filename (folder, name, NULL);
    if (g_file_test (path, G_FILE_TEST_IS_DIR))
      continue;
    g_autoptr (CalibTable) table = calib_table_load (path, &error);
    CHECK_OK (table != NULL, error);
    if (!table)
      continue;
    g_autofree char *written = calib_table_to_string (table), *read = NULL;
    CHECK (g_file_get_contents (path, &read, NULL, NULL));
    if (g_strcmp0 (written, read) != 0)
      CHECK_FAIL ("%s is not written back byte for byte", path);
    n_tables++;
    for (guint i = 0; i < calib_table_n_entries (table); i++) {
      float scale;
      calib_table_entry (table, i, &scale);
      n_entries++;
      n_without_range += isnan (scale);
    }
  }
  printf ("%u tables, %u entries, %u of them without a range\n", n_tables, n_entries,
      n_without_range);
  CHECK_INT (n_tables, >=, 20);
  CHECK_INT (n_without_range, >, 0); /* the folder has a table full of infinities */

  /* the other formats are refused with a line, not misread */
  static const char *const others[] = {"dynamic-ranges/resnet50_per_tensor_dynamic_range.txt",
      "dynamic-ranges/reference_labels.txt",
      "ort_format_squeezenet/squeezenet_calibration.flatbuffers"};
  for (guint i = 0; i < G_N_ELEMENTS (others); i++) {
    g_autoptr (GError) error = NULL;
    g_autofree char *path = g_build_filename (folder, others[i], NULL);
    g_autoptr (CalibTable) table = calib_table_load (path, &error);
    CHECK (table == NULL);
    CHECK_ERROR (error, CALIB_ERROR, CALIB_ERROR_FORMAT, "line ");
  }
}

/* --- Provenance ----------------------------------------------------------------------------- */

static void
test_provenance (void)
{
  g_autofree char *folder = test_folder ();
  g_autofree char *table = g_build_filename (folder, "table", NULL);
  g_autofree char *side = g_strconcat (table, ".json", NULL);
  g_autoptr (GError) error = NULL;
  CalibProvenance p = {(char *) "x", (char *) "x", (char *) "x", (char *) "x", 5};

  CHECK (!calib_provenance_load (table, &p, &error) && !error);
  CHECK (!p.model_sha256 && !p.tool && p.frames == 0);

  const CalibProvenance full = {(char *) "abc", NULL, (char *) "/tmp/\"x\"\n\xff",
      (char *) "gst-int8", G_MAXINT64};
  CHECK_OK (calib_provenance_save (&full, "entropy2", table, &error), error);
  CHECK_OK (calib_provenance_load (table, &p, &error), error);
  CHECK_STR (p.model_sha256, "abc");
  CHECK (p.preprocess_sha256 == NULL);
  CHECK_STR (p.source,
      "/tmp/\"x\"\n\xef\xbf\xbd"); /* JSON has no room for a byte that is no text */
  CHECK_STR (p.tool, "gst-int8");
  CHECK_INT (p.frames, ==, G_MAXINT64);
  calib_provenance_clear (&p);

  g_autofree char *text = NULL;
  CHECK (g_file_get_contents (side, &text, NULL, NULL));
  CHECK (strstr (text, "\"method\" : \"entropy2\"") && g_str_has_suffix (text, "}\n"));
  const CalibProvenance large = {.frames = G_MAXUINT64};
  CHECK (!calib_provenance_save (&large, "mse", table, &error));
  CHECK_ERROR (error, CALIB_ERROR, CALIB_ERROR_FORMAT, "frames");
  test_folder_remove (folder);
}

static void
test_hostile_provenance (void)
{
  g_autofree char *folder = test_folder ();
  g_autofree char *table = g_build_filename (folder, "table", NULL);
  g_autofree char *side = g_strconcat (table, ".json", NULL);
  g_autofree char *deep = g_strnfill (900000, '[');
  g_autofree char *sneaky = g_strdup_printf ("{\"a\": %s", deep);
#define GOOD "\"format\": \"gst-int8 calibration provenance\", \"version\": 1"
  const char *const texts[] = {"", "{", "[]", "null", "1", "{}", "\xff\xfe", deep, sneaky,
      "{\"format\": \"other\"}", "{\"format\": 1}",
      "{\"format\": \"gst-int8 calibration provenance\"}", "{" GOOD ", \"tool\": 3}",
      "{" GOOD ", \"tool\": null}", "{" GOOD ", \"frames\": -1}", "{" GOOD ", \"frames\": \"7\"}",
      "{" GOOD ", \"frames\": 1.5}", "{" GOOD ", \"source\": [\"x\"]}",
      "{" GOOD ", \"model-sha256\": \"x\", \"frames\": {}}"};
  for (guint i = 0; i < G_N_ELEMENTS (texts); i++) {
    g_autoptr (GError) error = NULL;
    CalibProvenance p;
    CHECK (g_file_set_contents (side, texts[i], -1, NULL));
    if (calib_provenance_load (table, &p, &error))
      CHECK_FAIL ("accepted: %.60s", texts[i]);
    CHECK (p.model_sha256 == NULL); /* nothing is left to be freed */
    CHECK_ERROR (error, CALIB_ERROR, CALIB_ERROR_FORMAT, "table.json");
  }
  g_autoptr (GError) error = NULL;
  CalibProvenance p;
  CHECK (g_file_set_contents (side, "{" GOOD ", \"future\": [1, {\"x\": 2}]}", -1, NULL));
  CHECK_OK (calib_provenance_load (table, &p, &error), error);
  CHECK (p.model_sha256 == NULL && p.frames == 0);
  calib_provenance_clear (&p);
  test_folder_remove (folder);
}

int
main (void)
{
  RUN (test_awkward_names);
  RUN (test_words);
  RUN (test_headers);
  RUN (test_liberal_reading);
  RUN (test_refused);
  RUN (test_save_and_load);
  RUN (test_real_tables);
  RUN (test_provenance);
  RUN (test_hostile_provenance);
  return check_done ();
}
