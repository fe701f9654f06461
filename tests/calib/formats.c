/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * formats.c: the files of other tools, guessed, read and written.
 */
#include "tests/calib/common.h"

static CalibDynamicRanges *
parse (CalibFormat format, const char *text, char **note, GError **error)
{
  /* a copy without a terminator: a sanitizer sees a read beyond it */
  const gsize n = strlen (text);
  g_autofree char *copy = g_memdup2 (text, n);
  return calib_format_parse (format, copy, n, NULL, note, error);
}

static void
check_range (const CalibDynamicRanges *ranges, const char *name, double lo, double hi)
{
  double a = NAN, b = NAN;
  if (!calib_dynamic_ranges_lookup (ranges, name, &a, &b))
    CHECK_FAIL ("'%s' has no range", name);
  else if (a != lo || b != hi)
    CHECK_FAIL ("'%s': %.17g .. %.17g, expected %.17g .. %.17g", name, a, b, lo, hi);
}

static char *
write_text (CalibFormat format, const CalibDynamicRanges *ranges, const char *header, char **note,
    GError **error)
{
  gsize size;
  return calib_format_write (format, ranges, header, &size, note, error);
}

typedef struct {
  const char *text, *message;
} Refused;

static void
check_refused (CalibFormat format, const Refused *cases, gsize n)
{
  for (gsize i = 0; i < n; i++) {
    g_autoptr (GError) error = NULL;
    g_autofree char *note = NULL;
    g_autoptr (CalibDynamicRanges) ranges = parse (format, cases[i].text, &note, &error);
    if (ranges)
      CHECK_FAIL ("accepted: %.60s", cases[i].text);
    CHECK_ERROR (error, CALIB_ERROR, CALIB_ERROR_FORMAT, cases[i].message);
  }
}

/* --- Each format ---------------------------------------------------------------------------- */

static void
test_tensorrt (void)
{
  g_autoptr (GError) error = NULL;
  g_autofree char *note = NULL, *written_note = NULL;
  g_autoptr (CalibDynamicRanges) ranges = parse (CALIB_FORMAT_TENSORRT,
      "TRT-8601-EntropyCalibration2\na: 3c010a14\nb: 7f800000\nc:0: 0\n", &note, &error);

  CHECK_OK (ranges != NULL, error);
  CHECK_INT (calib_dynamic_ranges_n_entries (ranges), ==, 2);
  check_range (ranges, "a", -127.0 * 0x1.021428p-7, 127.0 * 0x1.021428p-7);
  check_range (ranges, "c:0", 0, 0);
  CHECK (note && strstr (note, "1 tensors"));

  calib_dynamic_ranges_set (ranges, "far", -3, 254);
  g_autofree char *text = write_text (CALIB_FORMAT_TENSORRT, ranges, "H", &written_note, &error);
  CHECK_STR (text, "H\na: 3c010a14\nc:0: 0\nfar: 40000000\n");
  CHECK (written_note && strstr (written_note, "1 ranges are not symmetric"));
  calib_dynamic_ranges_set (ranges, "far", -1e300, 1e300);
  g_clear_pointer (&written_note, g_free);
  CHECK (!write_text (CALIB_FORMAT_TENSORRT, ranges, "H", &written_note, &error));
  CHECK_ERROR (error, CALIB_ERROR, CALIB_ERROR_FORMAT, "'far'");
}

static void
test_cache (void)
{
  static const Refused refused[] = {
      {"a 1\nb\n", "line 2: expected `name T`"},
      {"a x\n", "line 1: expected"},
      {"a -1\n", "line 1: expected"},
      {"a nan\n", "line 1: expected"},
      {"7\n", "line 1: expected"},
      {"a: 1\n", "separate by `: `"},
      {"a 1\na 2\n", "line 2: 'a' had another range"},
  };
  g_autoptr (GError) error = NULL;
  g_autofree char *note = NULL, *written_note = NULL;
  g_autoptr (CalibDynamicRanges) ranges = parse (CALIB_FORMAT_ORT_CACHE,
      "data_0 2.008338\r\n\n(Unnamed Layer* 0) [Convolution]_output 0\ninput:0  1e-05", &note,
      &error);

  CHECK_OK (ranges != NULL, error);
  check_range (ranges, "data_0", -2.008338, 2.008338);
  check_range (ranges, "(Unnamed Layer* 0) [Convolution]_output", 0, 0);
  check_range (ranges, "input:0", -1e-5, 1e-5);
  CHECK (!note);
  g_autofree char *text = write_text (CALIB_FORMAT_ORT_CACHE, ranges, NULL, &written_note, &error);
  CHECK_STR (text, "data_0 2.008338\n(Unnamed Layer* 0) [Convolution]_output 0\ninput:0 1e-05\n");
  check_refused (CALIB_FORMAT_ORT_CACHE, refused, G_N_ELEMENTS (refused));
}

static void
test_ncnn (void)
{
  static const Refused refused[] = {
      {"conv1 1.5\nconv2\n", "line 2: expected `layer scale`"},
      {"conv1 x\n", "line 1: expected"},
      {"conv1 1.5 x\n", "line 1: expected"},
      {"conv1 -1\n", "line 1: expected"},
      {"conv1 0\n", "belongs to no range"},
      {"conv1 1\nconv1 2\n", "line 2: 'conv1' had another range"},
  };
  g_autoptr (GError) error = NULL;
  g_autofree char *note = NULL, *written_note = NULL;
  /* as ncnn2table writes it, blanks at the ends of lines and all */
  g_autoptr (CalibDynamicRanges) ranges = parse (CALIB_FORMAT_NCNN,
      "conv1_param_0 181.223480 0.000000 99.5 \nfc_param_0 22.250000 \nconv1 63.500000 \n"
      "group 254.000000 127.000000 508.000000 \nmy_param_x 127 \n",
      &note, &error);

  CHECK_OK (ranges != NULL, error);
  CHECK_INT (calib_dynamic_ranges_n_entries (ranges), ==, 3);
  check_range (ranges, "conv1", -2, 2);
  check_range (ranges, "group", -1, 1);
  check_range (ranges, "my_param_x", -1, 1);
  CHECK (note && strstr (note, "2 layers (_param_)") && strstr (note, "1 layers have several"));

  calib_dynamic_ranges_set (ranges, "zero", 0, 0);
  g_autofree char *text = write_text (CALIB_FORMAT_NCNN, ranges, NULL, &written_note, &error);
  CHECK_STR (text, "conv1 63.5\ngroup 127\nmy_param_x 127\n");
  CHECK (written_note && strstr (written_note, "always 0"));
  check_refused (CALIB_FORMAT_NCNN, refused, G_N_ELEMENTS (refused));
}

#define EXTREME(x) "{\"data\": " x ", \"dtype\": \"float32\", \"CLS\": \"numpy.array\"}"

/* clang-format off */
static const char new_json[] =
    "{\"CLS\": \"TensorsData\", \"data\": {"
    "\"a\": {\"lowest\": " EXTREME ("-1.5") ", \"highest\": " EXTREME ("2") ","
    " \"CLS\": \"TensorData\"},"
    "\"b\": {\"lowest\": " EXTREME ("[-0.5, -4]") ", \"highest\": " EXTREME ("[[1], [0.25]]") ","
    " \"hist\": " EXTREME ("[1, 2, 3]") ", \"bins\": 3},"
    "\"data\": {\"lowest\": 0, \"highest\": 6e0}},"
    "\"calibration_method\": {\"CLS\": \"CalibrationMethod\","
    " \"value\": \"CalibrationMethod.Entropy\"}, \"smooth_quant\": true}";
/* clang-format on */

static void
test_json (void)
{
  g_autofree char *deep = g_strnfill (100000, '['), *hidden = NULL, *note = NULL, *none = NULL;
  g_autoptr (GError) error = NULL;
  hidden = g_strdup_printf ("{\"a\": /*\"*/ %s", deep);
  const Refused refused[] = {
      {"", "JSON"},
      {"{", "JSON"},
      {"[]", "expected a JSON object"},
      {"{\"a\": 1}", "'a' has no finite range"},
      {"{\"a\": [1]}", "'a' has no finite range"},
      {"{\"a\": [1, null]}", "'a' has no finite range"},
      {"{\"a\": [1, \"2\"]}", "'a' has no finite range"},
      {"{\"a\": {\"lowest\": 1}}", "'a' has no finite range"},
      {"{\"a\": {\"lowest\": 1, \"highest\": {\"data\": []}}}", "'a' has no finite range"},
      {"{\"a\": [2, 1]}", "the range of 'a', 2 .. 1, is empty"},
      {"{\"a\": [NaN, 1]}", "JSON"},
      {deep, "nests deeper"},
      {hidden, "no JSON"},
      {"{\"a\": [1, 2]} \xff", "UTF-8"},
      {"{\"format\": \"gst-int8 calibration provenance\", \"version\": 1}", "name the table"},
  };

  /* ONNX Runtime 1.8 to 1.15 wrote this */
  g_autoptr (CalibDynamicRanges) old =
      parse (CALIB_FORMAT_ORT_JSON, "{\"data_0\": [-2.5, 1], \"x\": [0, 3.0]}", &none, &error);
  CHECK_OK (old != NULL, error);
  check_range (old, "data_0", -2.5, 1);
  check_range (old, "x", 0, 3);
  CHECK (!none);

  /* and later ones this, with an axis for the batch, with channels, with histograms */
  g_autoptr (CalibDynamicRanges) ranges = parse (CALIB_FORMAT_ORT_JSON, new_json, &note, &error);
  CHECK_OK (ranges != NULL, error);
  if (ranges) {
    CHECK_INT (calib_dynamic_ranges_n_entries (ranges), ==, 3);
    check_range (ranges, "a", -1.5, 2);
    check_range (ranges, "b", -4, 1);
    check_range (ranges, "data", 0, 6);
  }
  CHECK (note && strstr (note, "1 tensors have a range for each channel") &&
         strstr (note, "SmoothQuant"));
  check_refused (CALIB_FORMAT_ORT_JSON, refused, G_N_ELEMENTS (refused));

  g_autoptr (CalibDynamicRanges) small = calib_dynamic_ranges_new ();
  g_autofree char *written_note = NULL;
  calib_dynamic_ranges_set (small, "a \"b\"", -1e-5, 2e22);
  g_autofree char *text = write_text (CALIB_FORMAT_ORT_JSON, small, NULL, &written_note, &error);
  CHECK (text && strstr (text, "\"a \\\"b\\\"\": {\"lowest\": {\"data\": -1e-05, ") &&
         strstr (text, "\"data\": 2e+22, "));
}

/* --- ONNX Runtime's flatbuffers -------------------------------------------------------------- */

static void
test_flatbuffers (void)
{
  g_autoptr (CalibDynamicRanges) ranges = calib_dynamic_ranges_new ();
  g_autofree char *note = NULL, *read_note = NULL;
  g_autoptr (GError) error = NULL;
  CalibFormat guessed;
  gsize size;

  calib_dynamic_ranges_set (ranges, "a", -0.5, 2);
  calib_dynamic_ranges_set (ranges, "tw\no, four", -1e-5, 1e-5);
  calib_dynamic_ranges_set (ranges, "zero", 0, 0);
  g_autofree char *bytes =
      calib_format_write (CALIB_FORMAT_ORT_FLATBUFFERS, ranges, NULL, &size, &note, &error);
  CHECK_OK (bytes != NULL, error);
  CHECK (note && strstr (note, "1 ranges are not symmetric"));
  CHECK_OK (calib_format_guess (bytes, size, "x.table", &guessed, &error), error);
  CHECK_INT (guessed, ==, CALIB_FORMAT_ORT_FLATBUFFERS);
  g_autoptr (CalibDynamicRanges) again =
      calib_format_parse (guessed, bytes, size, NULL, &read_note, &error);
  CHECK_OK (again && calib_dynamic_ranges_n_entries (again) == 3, error);
  if (again) {
    check_range (again, "a", -2, 2);
    check_range (again, "tw\no, four", -1e-5, 1e-5);
    check_range (again, "zero", 0, 0);
  }

  /* cut anywhere but in the zeros at its end it is an error, as is an entry with another number */
  for (gsize n = 0; n < size - 3; n++) {
    g_autofree char *cut = g_memdup2 (bytes, n);
    if (calib_format_parse (CALIB_FORMAT_ORT_FLATBUFFERS, cut, n, NULL, &read_note, &error))
      CHECK_FAIL ("%u of %u bytes were accepted", (guint) n, (guint) size);
    CHECK_ERROR (error, CALIB_ERROR, CALIB_ERROR_FORMAT, "onnxruntime-flatbuffers: ");
  }
  char *number = NULL;
  for (gsize i = 0; i + 5 < size; i++)
    if (memcmp (bytes + i, "1e-05", 5) == 0)
      number = bytes + i;
  CHECK (number != NULL);
  if (number)
    *number = '-';
  CHECK (!calib_format_parse (CALIB_FORMAT_ORT_FLATBUFFERS, bytes, size, NULL, &read_note, &error));
  CHECK_ERROR (error, CALIB_ERROR, CALIB_ERROR_FORMAT, "entry 1");
}

/* The file that ONNX Runtime wrote of SqueezeNet. */
static void
test_real_flatbuffers (void)
{
  g_autofree char *path =
      test_data ("calibration-tables/ort_format_squeezenet/squeezenet_calibration.flatbuffers");
  g_autofree char *bytes = NULL, *note = NULL, *written_note = NULL;
  g_autoptr (GError) error = NULL;
  CalibFormat guessed;
  gsize size, n;

  if (!path)
    SKIP ("calibration-tables is not in INT8_TEST_DATA");
  CHECK (g_file_get_contents (path, &bytes, &size, NULL));
  CHECK_OK (calib_format_guess (bytes, size, path, &guessed, &error), error);
  CHECK_INT (guessed, ==, CALIB_FORMAT_ORT_FLATBUFFERS);
  g_autoptr (CalibDynamicRanges) ranges =
      calib_format_parse (guessed, bytes, size, path, &note, &error);
  CHECK_OK (ranges && calib_dynamic_ranges_n_entries (ranges) == 66, error);
  if (!ranges)
    return;
  check_range (ranges, "data_0", -1, 1);
  check_range (ranges, "fire2/expand1x1_1", -4.193192481994629, 4.193192481994629);
  check_range (ranges, "conv10_1", -20.257797241210938, 20.257797241210938);
  g_autofree char *written = calib_format_write (guessed, ranges, NULL, &n, &written_note, &error);
  g_autoptr (CalibDynamicRanges) again =
      calib_format_parse (guessed, written, n, path, &note, &error);
  g_autofree char *a = calib_dynamic_ranges_to_string (ranges);
  g_autofree char *b = again ? calib_dynamic_ranges_to_string (again) : NULL;
  CHECK_STR (b, a);
}

/* Cut after any byte JSON is an error. Files of lines may end anywhere; whatever is left of them is read,
 * or refused with the last line. */
static void
test_truncation (void)
{
  static const char *const texts[CALIB_FORMAT_COUNT] = {
      "TRT-8601-EntropyCalibration2\na: 3c010a14\nb: 2\n",
      "a: 1.5\nb: -1 2\n",
      new_json,
      "a b 1.5\nc 2e-3\n",
      "", /* test_flatbuffers() */
      "conv_param_0 1 2 \nconv 3.5 \n",
  };
  for (guint f = 0; f < CALIB_FORMAT_COUNT; f++) {
    for (gsize n = 0; n < strlen (texts[f]); n++) {
      g_autofree char *cut = g_strndup (texts[f], n), *note = NULL;
      g_autoptr (GError) error = NULL;
      g_autoptr (CalibDynamicRanges) ranges = parse (f, cut, &note, &error);
      CHECK (!ranges == !!error);
      if (f == CALIB_FORMAT_ORT_JSON && ranges)
        CHECK_FAIL ("accepted: %s", cut);
    }
  }
}

/* --- Names ---------------------------------------------------------------------------------- */

static void
test_names (void)
{
  static const struct {
    const char *name, *formats; /* t r j c f n: those that can hold it */
  } names[] = {
      {"conv1", "trjcfn"},
      {"input_1:0", "trjcfn"},
      {"(Unnamed Layer* 0) [Convolution]_output", "trjcf"},
      {"a: b", "trjcf"},
      {"a:", "trjf"},
      {" a", "tjf"},
      {"a\t", "tjf"},
      {"#1", "tjf"},
      {"two\nlines", "jf"},
      {"\xff", "trcfn"},
      {"\"quoted\\", "trjcfn"},
      {"", ""},
  };
  for (guint i = 0; i < G_N_ELEMENTS (names); i++) {
    for (guint f = 0; f < CALIB_FORMAT_COUNT; f++) {
      g_autoptr (CalibDynamicRanges) ranges = calib_dynamic_ranges_new ();
      g_autoptr (GError) error = NULL;
      g_autofree char *note = NULL, *again_note = NULL, *text = NULL;
      gsize size;
      calib_dynamic_ranges_set (ranges, names[i].name, -127, 127);
      text = calib_format_write (f, ranges, "H", &size, &note, &error);
      if (!text != !strchr (names[i].formats, "trjcfn"[f]))
        CHECK_FAIL ("'%s' in %s: %s", names[i].name, calib_format_name (f),
            text ? text : error->message);
      if (!text) {
        CHECK_ERROR (error, CALIB_ERROR, CALIB_ERROR_FORMAT, "rename it in the model");
        continue;
      }
      g_autoptr (CalibDynamicRanges) again =
          calib_format_parse (f, text, size, NULL, &again_note, &error);
      CHECK_OK (again != NULL, error);
      if (again)
        check_range (again, names[i].name, -127, 127);
    }
  }
}

/* --- Guessing ------------------------------------------------------------------------------- */

static void
test_guess (void)
{
  static const struct {
    const char *text, *path;
    int format; /* -1: an error */
  } cases[] = {
      {"TRT-8601-EntropyCalibration2\na: 3c010a14\n", NULL, CALIB_FORMAT_TENSORRT},
      {"TRT-8601-EntropyCalibration2\ndamaged\n", NULL, CALIB_FORMAT_TENSORRT},
      {"\xef\xbb\xbfTRT-7000-X\n", "x.cache", CALIB_FORMAT_TENSORRT},
      {"1\na: 3c010a14\n", NULL, CALIB_FORMAT_TENSORRT},
      {"a: 1.5\nb: 2\n", NULL, CALIB_FORMAT_RANGES},
      {"a:1\n", "x.table", CALIB_FORMAT_RANGES},
      {"# by hand\nb: -1 2\n", NULL, CALIB_FORMAT_RANGES},
      {"\n {\"a\": [1, 2]}", NULL, CALIB_FORMAT_ORT_JSON},
      {"{", NULL, CALIB_FORMAT_ORT_JSON},
      {"a 1.5\nb c 2\n", NULL, CALIB_FORMAT_ORT_CACHE},
      {"a_param_0 1 2 3\na 7\n", NULL, -1}, /* a cache with blanks in its names? */
      {"a_param_0 1 2 3\na 7\n", "x.table", CALIB_FORMAT_NCNN},
      {"a 1.5\nb 2\n", NULL, -1},
      {"a 1.5\nb 2\n", "calibration.cache", CALIB_FORMAT_ORT_CACHE},
      {"a 1.5\nb 2\n", "net.table", CALIB_FORMAT_NCNN},
      {"input:0 1.5\n", NULL, -1},
      {"input:0 1.5\n", "x.cache", CALIB_FORMAT_ORT_CACHE},
      {"tench\ngoldfish\n", NULL, -1},
  };
  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_autoptr (GError) error = NULL;
    CalibFormat format = CALIB_FORMAT_COUNT;
    const gboolean known =
        calib_format_guess (cases[i].text, strlen (cases[i].text), cases[i].path, &format, &error);
    if (known != (cases[i].format >= 0) || (known && (int) format != cases[i].format))
      CHECK_FAIL ("%s (%s): %s", cases[i].text, cases[i].path ? cases[i].path : "no name",
          known ? calib_format_name (format) : error->message);
    if (!known)
      CHECK_ERROR (error, CALIB_ERROR, CALIB_ERROR_FORMAT, "say which it is");
  }
  CalibFormat format;
  for (guint n = 0; n <= 3; n++) {
    g_autoptr (GError) error = NULL;
    CHECK (!calib_format_guess (" \n\t", n, "a file", &format, &error));
    CHECK_ERROR (error, CALIB_ERROR, CALIB_ERROR_EMPTY, "a file: it is empty");
  }
  for (guint f = 0; f < CALIB_FORMAT_COUNT; f++)
    CHECK (calib_format_from_name (calib_format_name (f), &format) && format == f);
  CHECK (!calib_format_from_name ("caffe", &format));
}

/* --- From format to format ------------------------------------------------------------------- */

/* The words of a table come back bit for bit by way of every format that can say them. */
static void
check_words (const char *table, gsize size, const char *path)
{
  g_autoptr (GError) error = NULL;
  g_autofree char *note = NULL;
  g_autoptr (CalibDynamicRanges) ranges =
      calib_format_parse (CALIB_FORMAT_TENSORRT, table, size, path, &note, &error);
  CalibFormat guessed;

  CHECK_OK (ranges != NULL, error);
  CHECK (calib_format_guess (table, size, path, &guessed, &error));
  CHECK_INT (guessed, ==, CALIB_FORMAT_TENSORRT);
  for (guint f = 0; ranges && f < CALIB_FORMAT_COUNT; f++) {
    g_autofree char *first = NULL, *second = NULL;
    gsize n;
    g_autofree char *text = calib_format_write (f, ranges, "H", &n, &first, &error);
    if (!text) {
      CHECK_INT (f, ==, CALIB_FORMAT_NCNN); /* blanks in names */
      g_clear_error (&error);
      continue;
    }
    g_autoptr (CalibDynamicRanges) again = calib_format_parse (f, text, n, NULL, &second, &error);
    CHECK_OK (again != NULL, error);
    for (guint i = 0; again && i < calib_dynamic_ranges_n_entries (ranges); i++) {
      double lo, hi, l, h;
      const char *name = calib_dynamic_ranges_entry (ranges, i, &lo, &hi);
      if (f == CALIB_FORMAT_NCNN && hi == 0)
        continue; /* there is no 127 / 0 */
      if (!calib_dynamic_ranges_lookup (again, name, &l, &h))
        CHECK_FAIL ("%s, %s: '%s' is lost", path, calib_format_name (f), name);
      else if ((float) (h / 127) != (float) (hi / 127) || -l != h)
        CHECK_FAIL ("%s, %s: '%s' was %.17g, is %.17g", path, calib_format_name (f), name, hi, h);
    }
  }
}

static void
test_words_survive (void)
{
  g_autofree char *folder = test_data ("calibration-tables");
  g_autoptr (GString) made = g_string_new ("TRT-8601-EntropyCalibration2\n");
  const char *name;
  Random r = {3};
  guint n = 0;

  for (guint i = 0; i < 3000; i++)
    g_string_append_printf (made, "t%u: %x\n", i,
        (guint) (random_bits (&r) % (0x7f000000 - 0x800000) + 0x800000));
  check_words (made->str, made->len, "made");
  if (!folder)
    SKIP ("calibration-tables is not in INT8_TEST_DATA");

  g_autoptr (GDir) dir = g_dir_open (folder, 0, NULL);
  while ((name = g_dir_read_name (dir))) {
    g_autofree char *path = g_build_filename (folder, name, NULL), *text = NULL;
    gsize size;
    if (g_file_test (path, G_FILE_TEST_IS_DIR) || !g_file_get_contents (path, &text, &size, NULL))
      continue;
    check_words (text, size, path);
    n++;
  }
  printf ("%u real tables through all formats\n", n);
  CHECK_INT (n, >=, 20);
}

int
main (void)
{
  RUN (test_tensorrt);
  RUN (test_cache);
  RUN (test_ncnn);
  RUN (test_json);
  RUN (test_flatbuffers);
  RUN (test_real_flatbuffers);
  RUN (test_truncation);
  RUN (test_names);
  RUN (test_guess);
  RUN (test_words_survive);
  return check_done ();
}
