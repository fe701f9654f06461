/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* calib-refused.c: int8calib: what it refuses before the first frame, or with it. */
#include "tests/gst/common.h"

#include <string.h>
#include <unistd.h>

static void
check_refused (TestCalib *c, const char *text1, const char *text2)
{
  fail_unless_equals_int (gst_element_set_state (c->element, GST_STATE_PAUSED),
      GST_STATE_CHANGE_FAILURE);
  test_expect_error (c->bus, text1, text2, NULL);
}

GST_START_TEST (test_settings)
{
  static const struct {
    const char *property, *value, *text1, *text2;
  } cases[] = {
      {"model", "", "no model", "\"model\""},
      {"model", "/nonexistent.onnx", "model=/nonexistent.onnx", "No such file"},
      {"proto-file", "/nonexistent.prototxt", "proto-file=/nonexistent.prototxt", "No such file"},
      {"table", "", "nothing to write", "\"table\""},
      {"table", "/no/such/folder/out.table", "/no/such/folder", "make the folder"},
      {"qdq-model", "/no/such/folder/q.onnx", "/no/such/folder", "make the folder"},
      {"table", "/proc/out.table", "/proc", "folder"},
      {"table", "/tmp", "/tmp", "is a folder"},
      {"statistics", "/no/such/folder/s.int8stats", "/no/such/folder", "make the folder"},
      {"backend", "cuda:999", "cuda:999", "backend=auto"},
      {"mean", "x", "mean", "x"},
  };
  TestCalib c = test_calib_new ("int8calib");

  g_object_set (c.element, "table", test_path ("out.table"), NULL);
  g_object_set (c.element, cases[__i__].property, cases[__i__].value, NULL);
  check_refused (&c, cases[__i__].text1, cases[__i__].text2);
  test_calib_free (&c);
}
GST_END_TEST;

GST_START_TEST (test_merge_settings)
{
  TestCalib c = test_calib_new ("int8calib method=entropy2-trt");

  g_object_set (c.element, "table", test_path ("out.table"), "merge", "a.int8stats", NULL);
  check_refused (&c, "entropy2-trt", "merge");
  gst_util_set_object_arg (G_OBJECT (c.element), "method", "entropy2");
  gst_element_set_state (c.element, GST_STATE_READY);
  g_object_set (c.element, "statistics", "a.int8stats", NULL);
  check_refused (&c, "a.int8stats", "twice");
  test_calib_free (&c);
}
GST_END_TEST;

/* Nothing is written over the model, or over another file that is written. */
GST_START_TEST (test_one_place)
{
  static const struct {
    const char *property, *name, *other, *text;
  } cases[] = {
      {"table", "m.onnx", "\"model\"", "written over"},
      {"statistics", "link.onnx", "\"model\"", "written over"},
      {"report", "m.onnx", "\"model\"", "written over"},
      {"qdq-model", "link.onnx", "\"model\"", "written over"},
      {"statistics", "out.table", "\"statistics\"", "written over"},
      {"report", "./out.table", "\"report\"", "written over"},
      {"merge", "link.int8stats", "merge", "twice"},
  };
  const char *path = test_path (cases[__i__].name);
  TestCalib c = test_calib_new ("int8calib preprocess=unit table-exists=overwrite");
  g_autofree char *model = NULL, *after = NULL;
  gsize size, size_after;

  fail_unless (g_file_get_contents (test_model (), &model, &size, NULL));
  fail_unless (g_file_set_contents (test_path ("m.onnx"), model, size, NULL));
  fail_unless_equals_int (symlink (test_path ("m.onnx"), test_path ("link.onnx")), 0);
  if (g_str_equal (cases[__i__].property, "merge")) {
    g_object_set (c.element, "statistics", test_path ("s.int8stats"), NULL);
    fail_unless (g_file_set_contents (test_path ("s.int8stats"), "", -1, NULL));
    fail_unless_equals_int (symlink (test_path ("s.int8stats"), path), 0);
  }
  g_object_set (c.element, "model", test_path ("m.onnx"), "table", test_path ("out.table"), NULL);
  g_object_set (c.element, cases[__i__].property, path, NULL);
  check_refused (&c, cases[__i__].other, cases[__i__].text);
  fail_unless (g_file_get_contents (test_path ("m.onnx"), &after, &size_after, NULL));
  fail_unless (size == size_after && memcmp (model, after, size) == 0);
  test_calib_free (&c);
}
GST_END_TEST;

/* Errors of the worker: on the bus once, and as a flow to upstream. */
GST_START_TEST (test_worker_errors)
{
  static const struct {
    const char *property, *name, *contents, *text;
  } cases[] = {
      {"model", "text.onnx", "not a model", "text.onnx"},
      {"statistics", "bad.int8stats", "not statistics", "bad.int8stats"},
      {"merge", "missing.int8stats", NULL, "missing.int8stats"},
      {"table", "corrupt.table", "TRT-8601-EntropyCalibration2\nx: zebra\n", "corrupt.table"},
  };
  const char *path = test_path (cases[__i__].name);
  TestCalib c = test_calib_new ("int8calib");
  GstFlowReturn result = GST_FLOW_OK;

  if (cases[__i__].contents)
    fail_unless (g_file_set_contents (path, cases[__i__].contents, -1, NULL));
  g_object_set (c.element, "table", test_path ("out.table"), NULL);
  g_object_set (c.element, cases[__i__].property, path, NULL);
  test_calib_play (&c);
  for (guint i = 0; i < 1000 && result == GST_FLOW_OK; i++)
    result = test_calib_push (&c, i, 1);
  fail_unless_equals_int (result, GST_FLOW_ERROR);
  test_expect_error (c.bus, cases[__i__].text, NULL);
  fail_unless (!g_file_test (test_path ("out.table"), G_FILE_TEST_EXISTS));
  test_calib_free (&c);
}
GST_END_TEST;

static Suite *
make_suite (void)
{
  Suite *suite = suite_create ("int8calib refused");
  TCase *tcase = tcase_create ("refused");

  tcase_set_timeout (tcase, 60);
  tcase_add_checked_fixture (tcase, test_setup, test_teardown);
  tcase_add_loop_test (tcase, test_settings, 0, 11);
  tcase_add_loop_test (tcase, test_one_place, 0, 7);
  tcase_add_test (tcase, test_merge_settings);
  tcase_add_loop_test (tcase, test_worker_errors, 0, 4);
  suite_add_tcase (suite, tcase);
  return suite;
}

int
main (int argc, char **argv)
{
  return test_main (argc, argv, "calib-refused", make_suite);
}
