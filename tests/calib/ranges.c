/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * ranges.c: dynamic ranges given by hand, in the text format of sampleINT8API.
 */
#include "tests/calib/common.h"

static CalibDynamicRanges *
parse (const char *text, GError **error)
{
  /* a copy without a terminator: a sanitizer sees a read beyond it */
  const gsize n = strlen (text);
  g_autofree char *copy = g_memdup2 (text, n);
  return calib_dynamic_ranges_parse (copy, n, NULL, error);
}

static void
check_range (const CalibDynamicRanges *ranges, const char *name, double lo, double hi)
{
  double a = NAN, b = NAN;
  if (!calib_dynamic_ranges_lookup (ranges, name, &a, &b))
    CHECK_FAIL ("'%s' has no range", name);
  else if (a != lo || b != hi)
    CHECK_FAIL ("'%s': %g .. %g, expected %g .. %g", name, a, b, lo, hi);
}

static void
test_lines (void)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (CalibDynamicRanges) ranges =
      parse ("\xef\xbb\xbf# a comment: 1\r\n\r\n"
             "gpu_0/data_0:1.000244122\n"
             "input_1:0: 2.5\n"
             "  (Unnamed Layer* 0) [Convolution]_output :\t-1 3 \r\n"
             "a: b: 0\n"
             "exponent: 1e-3\n"
             "both:-2e+1 .5\n"
             ": : 4\n"
             "again: 1\nagain: -1 1\n"
             "last: +7",
          &error);
  double lo, hi;

  CHECK_OK (ranges != NULL, error);
  if (!ranges)
    return;
  CHECK_INT (calib_dynamic_ranges_n_entries (ranges), ==, 9);
  check_range (ranges, "gpu_0/data_0", -1.000244122, 1.000244122);
  check_range (ranges, "input_1:0", -2.5, 2.5);
  check_range (ranges, "(Unnamed Layer* 0) [Convolution]_output", -1, 3);
  check_range (ranges, "a: b", 0, 0);
  check_range (ranges, "exponent", -1e-3, 1e-3);
  check_range (ranges, "both", -20, 0.5);
  check_range (ranges, ":", -4, 4);
  check_range (ranges, "again", -1, 1);
  check_range (ranges, "last", -7, 7);
  CHECK_STR (calib_dynamic_ranges_entry (ranges, 5, &lo, &hi), "both");
  CHECK (lo == -20 && hi == 0.5);
  CHECK (!calib_dynamic_ranges_lookup (ranges, "lost", &lo, &hi));

  g_autoptr (CalibDynamicRanges) none = parse ("", &error);
  CHECK_OK (none && calib_dynamic_ranges_n_entries (none) == 0, error);
}

static void
test_refused (void)
{
  static const struct {
    const char *text, *message;
  } cases[] = {
      {"a: 1\nb 2\n", "line 2: expected `name: T`"},
      {"a:\n", "line 1: expected"},
      {"a: x\n", "line 1: expected"},
      {"a: 1 2 3\n", "line 1: expected"},
      {"a: 1,2\n", "line 1: expected"},
      {"a: inf\n", "line 1: expected"},
      {"a: -nan 1\n", "line 1: expected"},
      {"a: 0x10\n", "line 1: expected"},
      {"a: 1e999\n", "line 1: expected"},
      {"a: 3c010a14f\n", "line 1: expected"}, /* a TensorRT table is something else */
      {": 1\n", "line 1: there is no tensor's name"},
      {" \t: 1\n", "line 1: there is no tensor's name"},
      {"a: -1\n", "line 1: the range of 'a' is negative"},
      {"\n\na: 2 1\n", "line 3: the range of 'a' is empty"},
      {"a: 1\nb: 1\na: 2\n", "line 3: 'a' had another range, -1 .. 1"},
  };
  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_autoptr (GError) error = NULL;
    g_autoptr (CalibDynamicRanges) ranges = parse (cases[i].text, &error);
    if (ranges)
      CHECK_FAIL ("accepted: %s", cases[i].text);
    CHECK_ERROR (error, CALIB_ERROR, CALIB_ERROR_FORMAT, cases[i].message);
  }
  g_autoptr (GError) error = NULL;
  CHECK (!calib_dynamic_ranges_parse ("a: 1\nb\0: 2\n", 12, "x.txt", &error));
  CHECK_ERROR (error, CALIB_ERROR, CALIB_ERROR_FORMAT, "x.txt, line 2: a zero byte");
  CHECK (!calib_dynamic_ranges_load ("/no/such/file", &error));
  CHECK_ERROR (error, G_FILE_ERROR, G_FILE_ERROR_NOENT, "dynamic ranges");
}

/* Whatever the numbers, they are read back as the same. */
static void
test_written_and_read (void)
{
  g_autofree char *folder = test_folder ();
  g_autofree char *path = g_build_filename (folder, "ranges.txt", NULL);
  g_autoptr (CalibDynamicRanges) ranges = calib_dynamic_ranges_new ();
  g_autoptr (GError) error = NULL;
  Random r = {5};

  calib_dynamic_ranges_set (ranges, "plain", -2, 2);
  calib_dynamic_ranges_set (ranges, "a: b", -0.25, 1);
  g_autofree char *text = calib_dynamic_ranges_to_string (ranges);
  CHECK_STR (text, "plain: 2\na: b: -0.25 1\n");

  for (guint i = 0; i < 1000; i++) {
    char name[16];
    double a = random_awkward (&r), b = random_awkward (&r) * random_unit (&r);
    g_snprintf (name, sizeof name, "t%u:0", i);
    a = isfinite (a) ? a : 0;
    b = i % 3 == 0 || !isfinite (b) ? -a : b;
    calib_dynamic_ranges_set (ranges, name, MIN (a, b), MAX (a, b));
  }
  CHECK_OK (calib_dynamic_ranges_save (ranges, path, &error), error);
  g_autoptr (CalibDynamicRanges) again = calib_dynamic_ranges_load (path, &error);
  CHECK_OK (again != NULL, error);
  CHECK_INT (calib_dynamic_ranges_n_entries (again), ==, 1002);
  for (guint i = 0; i < 1002; i++) {
    double lo, hi;
    const char *name = calib_dynamic_ranges_entry (ranges, i, &lo, &hi);
    check_range (again, name, lo, hi);
  }
  test_folder_remove (folder);
}

static void
test_names_that_cannot_be (void)
{
  static const char *const names[] = {"", "two\nlines", " blank", "blank ", "\ttab", "# comment",
      "\xef\xbb\xbfmark"};
  g_autofree char *folder = test_folder ();
  g_autofree char *path = g_build_filename (folder, "ranges.txt", NULL);

  for (guint i = 0; i < G_N_ELEMENTS (names); i++) {
    g_autoptr (CalibDynamicRanges) ranges = calib_dynamic_ranges_new ();
    g_autoptr (GError) error = NULL;
    calib_dynamic_ranges_set (ranges, names[i], -1, 1);
    CHECK (!calib_dynamic_ranges_save (ranges, path, &error));
    CHECK_ERROR (error, CALIB_ERROR, CALIB_ERROR_FORMAT, "cannot be written in this format");
  }
  CHECK_INT (test_n_files (folder), ==, 0);
  test_folder_remove (folder);
}

static void
test_nvidias_file (void)
{
  g_autofree char *path =
      test_data ("calibration-tables/dynamic-ranges/resnet50_per_tensor_dynamic_range.txt");
  g_autoptr (GError) error = NULL;

  if (!path)
    SKIP ("NVIDIA's dynamic ranges are not in INT8_TEST_DATA");
  g_autoptr (CalibDynamicRanges) ranges = calib_dynamic_ranges_load (path, &error);
  CHECK_OK (ranges != NULL, error);
  CHECK_INT (calib_dynamic_ranges_n_entries (ranges), ==, 183);
  check_range (ranges, "gpu_0/conv1_1", -5.43116007373, 5.43116007373);

  g_autofree char *text = calib_dynamic_ranges_to_string (ranges);
  g_autoptr (CalibDynamicRanges) again = parse (text, &error);
  CHECK_OK (again != NULL, error);
  for (guint i = 0; i < 183; i++) {
    double lo, hi;
    const char *name = calib_dynamic_ranges_entry (ranges, i, &lo, &hi);
    check_range (again, name, lo, hi);
  }
}

int
main (void)
{
  RUN (test_lines);
  RUN (test_refused);
  RUN (test_written_and_read);
  RUN (test_names_that_cannot_be);
  RUN (test_nvidias_file);
  return check_done ();
}
