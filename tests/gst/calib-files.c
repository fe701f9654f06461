/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* calib-files.c: int8calib: statistics and tables that are there already, and frames that are odd. */
#include "tests/gst/common.h"

#include <glib/gstdio.h>
#include <string.h>

/* --- Statistics ------------------------------------------------------------------------------ */

/* Frames in two sittings, or on two machines, give the table of all of them. */
GST_START_TEST (test_statistics)
{
  const gboolean merge = __i__ == 1;
  g_autofree char *expected = test_expected_table (0, 12, CALIB_METHOD_MSE, 1), *got = NULL;
  GstStructure *done;
  TestCalib c;

  c = test_calib_new ("int8calib");
  g_object_set (c.element, "statistics", test_path ("a.int8stats"), NULL); /* and no table */
  test_calib_play (&c);
  fail_unless_equals_int (test_calib_push (&c, 0, 5), GST_FLOW_OK);
  gst_harness_push_event (c.h, gst_event_new_eos ());
  gst_structure_free (test_calib_done (&c));
  test_calib_free (&c);

  c = test_calib_new ("int8calib method=mse batch-size=2");
  g_object_set (c.element, "statistics", test_path (merge ? "b.int8stats" : "a.int8stats"), "table",
      test_path ("out.table"), NULL);
  if (merge)
    g_object_set (c.element, "merge", test_path ("a.int8stats"), NULL);
  test_calib_play (&c);
  fail_unless_equals_int (test_calib_push (&c, 5, 7), GST_FLOW_OK);
  gst_harness_push_event (c.h, gst_event_new_eos ());
  done = test_calib_done (&c);
  fail_unless_equals_uint64 (test_field (done, "frames"), 12);
  gst_structure_free (done);
  got = test_contents (test_path ("out.table"));
  fail_unless_equals_string (got, expected);
  test_calib_free (&c);

  if (merge) {
    g_autoptr (CalibStatistics) own = calib_statistics_load (test_path ("b.int8stats"), NULL);

    fail_unless_equals_uint64 (calib_statistics_provenance (own)->frames, 7);
  }
}
GST_END_TEST;

static guint
kept_in_file (const char *path)
{
  g_autoptr (CalibStatistics) statistics = calib_statistics_load (test_path (path), NULL);

  fail_unless (statistics != NULL);
  return calib_statistics_n_kept (statistics);
}

/* Methods are tried by default; the frames for that are in memory, not in the file. A run that has none, of
 * statistics that have none, says what it takes instead. */
GST_START_TEST (test_auto_is_private)
{
  const gboolean asked = __i__ == 1;
  g_autofree char *fallback = NULL, *expected = test_expected_table (0, 5, CALIB_METHOD_MSE, 1);
  const char *text = asked ? "int8calib keep-frames=5" : "int8calib";
  TestCalib c = test_calib_new (text);
  GstStructure *done;

  g_object_set (c.element, "statistics", test_path ("a.int8stats"), "table",
      test_path ("out.table"), NULL);
  test_calib_play (&c);
  fail_unless_equals_int (test_calib_push (&c, 0, 5), GST_FLOW_OK);
  gst_harness_push_event (c.h, gst_event_new_eos ());
  done = test_calib_done (&c);
  fail_unless (strstr (gst_structure_get_string (done, "ranking"), " best") != NULL);
  gst_structure_free (done);
  test_calib_free (&c);
  fail_unless_equals_int (kept_in_file ("a.int8stats"), asked ? 5 : 0);

  c = test_calib_new ("int8calib table-exists=overwrite");
  g_object_set (c.element, "merge", test_path ("a.int8stats"), "table", test_path ("out.table"),
      NULL);
  test_calib_play (&c);
  gst_harness_push_event (c.h, gst_event_new_eos ());
  if (!asked)
    test_expect_warning (c.bus, "method=auto", "there are none", "method=mse", "keep-frames", NULL);
  done = test_calib_done (&c);
  fail_unless_equals_int (gst_structure_has_field (done, "ranking"), asked);
  fallback = test_contents (test_path ("out.table"));
  fail_unless (asked || g_str_equal (fallback, expected));
  gst_structure_free (done);
  test_calib_free (&c);
}
GST_END_TEST;

/* Until the worker says so many frames are done. */
static void
wait_for_progress (GstBus *bus, const char *text)
{
  gboolean found = FALSE;

  while (!found) {
    GstMessage *message = test_pop (bus, GST_MESSAGE_PROGRESS | GST_MESSAGE_ERROR, 30);
    g_autofree char *said = NULL;

    fail_unless (message && GST_MESSAGE_TYPE (message) == GST_MESSAGE_PROGRESS);
    gst_message_parse_progress (message, NULL, NULL, &said);
    found = strstr (said, text) != NULL;
    gst_message_unref (message);
  }
}

/* Stopped without EOS: the statistics are kept, no table is written, and the next run continues. */
GST_START_TEST (test_checkpoint)
{
  g_autofree char *expected = test_expected_table (0, 9, CALIB_METHOD_MSE, 1), *got = NULL;
  g_autoptr (CalibStatistics) statistics = NULL;
  TestCalib c = test_calib_new ("int8calib method=mse batch-size=4 max-frames=100");

  g_object_set (c.element, "statistics", test_path ("s.int8stats"), "table",
      test_path ("out.table"), NULL);
  test_calib_play (&c);
  fail_unless_equals_int (test_calib_push (&c, 0, 6), GST_FLOW_OK);
  wait_for_progress (c.bus, " 6 of 100 frames"); /* two of them in an unfinished batch */
  gst_element_set_state (c.element, GST_STATE_READY);
  fail_unless (!g_file_test (test_path ("out.table"), G_FILE_TEST_EXISTS));
  statistics = calib_statistics_load (test_path ("s.int8stats"), NULL);
  fail_unless (statistics != NULL);
  fail_unless_equals_uint64 (calib_statistics_provenance (statistics)->frames, 6);

  gst_harness_play (c.h);
  gst_harness_set_src_caps (c.h, test_small_caps ());
  fail_unless_equals_int (test_calib_push (&c, 6, 3), GST_FLOW_OK);
  gst_harness_push_event (c.h, gst_event_new_eos ());
  gst_structure_free (test_calib_done (&c));
  got = test_contents (test_path ("out.table"));
  fail_unless_equals_string (got, expected);
  test_calib_free (&c);
}
GST_END_TEST;

GST_START_TEST (test_checkpoint_interval)
{
  TestCalib c = test_calib_new ("int8calib checkpoint-interval=4 batch-size=2 max-frames=0");
  g_autoptr (CalibStatistics) statistics = NULL;

  g_object_set (c.element, "statistics", test_path ("s.int8stats"), NULL);
  test_calib_play (&c);
  fail_unless_equals_int (test_calib_push (&c, 0, 5), GST_FLOW_OK);
  for (guint i = 0; i < 500 && !g_file_test (test_path ("s.int8stats"), G_FILE_TEST_EXISTS); i++)
    g_usleep (10000);
  statistics = calib_statistics_load (test_path ("s.int8stats"), NULL);
  fail_unless (statistics != NULL);
  fail_unless_equals_uint64 (calib_statistics_provenance (statistics)->frames, 4);
  test_calib_free (&c);
}
GST_END_TEST;

/* --- Q/DQ model ------------------------------------------------------------------------------ */

/* Is written with the table, says so in its metadata, and is read as what it is. */
GST_START_TEST (test_qdq_model)
{
  static const char *const targets[] = {"onnxruntime", "openvino", "tensorrt"};
  const char *target = targets[__i__];
  TestCalib c = test_calib_new ("int8calib");
  g_autofree char *contents = NULL;
  g_autoptr (GError) error = NULL;
  g_autoptr (EngineModel) model = NULL;
  gsize size;

  gst_util_set_object_arg (G_OBJECT (c.element), "qdq-target", target);
  g_object_set (c.element, "table", test_path ("out.table"), "qdq-model", test_path ("q.onnx"),
      NULL);
  test_calib_play (&c);
  fail_unless_equals_int (test_calib_push (&c, 0, 3), GST_FLOW_OK);
  gst_harness_push_event (c.h, gst_event_new_eos ());
  gst_structure_free (test_calib_done (&c));
  fail_unless (g_file_get_contents (test_path ("q.onnx"), &contents, &size, NULL));
  fail_unless (memmem (contents, size, target, strlen (target)) != NULL);
  model = engine_model_load (test_path ("q.onnx"), &error);
  fail_unless (model != NULL, "%s", error ? error->message : "");
  fail_unless (engine_model_is_quantised (model));
  test_calib_free (&c);
}
GST_END_TEST;

/* --- An existing table ----------------------------------------------------------------------- */

static const char old_table[] = "TRT-8601-EntropyCalibration2\ninput: 3c010a14\n";

GST_START_TEST (test_table_exists)
{
  static const char *const modes[] = {"use", "overwrite", "refuse"};
  const char *path = test_path ("out.table");
  g_autofree char *launch = g_strdup_printf ("int8calib table-exists=%s", modes[__i__]);
  g_autofree char *got = NULL;
  TestCalib c = test_calib_new (launch);
  gboolean skipped;
  GstStructure *done;

  g_object_set (c.element, "table", path, NULL);
  fail_unless (g_file_set_contents (path, old_table, -1, NULL));
  if (__i__ == 2) {
    fail_unless_equals_int (gst_element_set_state (c.element, GST_STATE_PAUSED),
        GST_STATE_CHANGE_FAILURE);
    test_expect_error (c.bus, "out.table", "table-exists", NULL);
  } else {
    test_calib_play (&c);
    fail_unless_equals_int (test_calib_push (&c, 0, 3), GST_FLOW_OK);
    gst_harness_push_event (c.h, gst_event_new_eos ());
    done = test_calib_done (&c);
    fail_unless (gst_structure_get_boolean (done, "skipped", &skipped));
    fail_unless_equals_int (skipped, __i__ == 0);
    gst_structure_free (done);
  }
  got = test_contents (path);
  fail_unless_equals_int (g_str_equal (got, old_table), __i__ != 1);
  test_calib_free (&c);
}
GST_END_TEST;

/* Statistics and tables of other preprocessing are not mixed. */
GST_START_TEST (test_other_preprocessing)
{
  const gboolean table = __i__ == 1;
  GstFlowReturn result = GST_FLOW_OK;
  TestCalib c = test_calib_new ("int8calib");

  g_object_set (c.element, table ? "table" : "statistics", test_path ("file"), NULL);
  test_calib_play (&c);
  fail_unless_equals_int (test_calib_push (&c, 0, 3), GST_FLOW_OK);
  gst_harness_push_event (c.h, gst_event_new_eos ());
  gst_structure_free (test_calib_done (&c));
  test_calib_free (&c);

  c = test_calib_new ("int8calib mean=0.5");
  g_object_set (c.element, table ? "table" : "statistics", test_path ("file"), NULL);
  test_calib_play (&c);
  for (guint i = 0; i < 1000 && result == GST_FLOW_OK; i++)
    result = test_calib_push (&c, i, 1);
  fail_unless_equals_int (result, GST_FLOW_ERROR);
  test_expect_error (c.bus, "other preprocessing", test_path ("file"), NULL);
  test_calib_free (&c);
}
GST_END_TEST;

GST_START_TEST (test_eos_first)
{
  TestCalib c = test_calib_new ("int8calib");

  g_object_set (c.element, "table", test_path ("out.table"), NULL);
  test_calib_play (&c);
  gst_harness_push_event (c.h, gst_event_new_eos ());
  test_expect_error (c.bus, "before its first frame", "out.table", NULL);
  fail_unless (!g_file_test (test_path ("out.table"), G_FILE_TEST_EXISTS));
  test_calib_free (&c);
}
GST_END_TEST;

/* Black frames: the input was never anything but 0. */
GST_START_TEST (test_all_zero)
{
  TestCalib c = test_calib_new ("int8calib");

  g_object_set (c.element, "table", test_path ("out.table"), NULL);
  test_calib_play (&c);
  for (guint i = 0; i < 2; i++) {
    GstBuffer *buffer = gst_buffer_new_allocate (NULL, 28 * 28, NULL);

    gst_buffer_memset (buffer, 0, 0, -1);
    fail_unless_equals_int (gst_harness_push (c.h, buffer), GST_FLOW_OK);
  }
  gst_harness_push_event (c.h, gst_event_new_eos ());
  test_expect_warning (c.bus, "0 in every frame", NULL);
  gst_structure_free (test_calib_done (&c));
  test_calib_free (&c);
}
GST_END_TEST;

/* Inputs that are finite, while the network's sums are not. With a black frame among them the table is
 * made from what is finite, and the rest is counted and named; without, there is nothing to make it
 * from. */
GST_START_TEST (test_nonfinite)
{
  TestCalib c = test_calib_new ("int8calib scale-factor=1e36");
  const gboolean black = __i__ == 1;
  GstStructure *done;

  g_object_set (c.element, "table", test_path ("out.table"), NULL);
  test_calib_play (&c);
  if (black) {
    GstBuffer *buffer = gst_buffer_new_allocate (NULL, 28 * 28, NULL);

    gst_buffer_memset (buffer, 0, 0, -1);
    fail_unless_equals_int (gst_harness_push (c.h, buffer), GST_FLOW_OK);
  }
  fail_unless_equals_int (test_calib_push (&c, 0, 3), GST_FLOW_OK);
  gst_harness_push_event (c.h, gst_event_new_eos ());
  if (black) {
    test_expect_warning (c.bus, "NaN or infinite", NULL);
    done = test_calib_done (&c);
    fail_unless (test_field (done, "non-finite") > 0);
    gst_structure_free (done);
  } else {
    test_expect_error (c.bus, "NaN or infinite", NULL);
  }
  fail_unless_equals_int (g_file_test (test_path ("out.table"), G_FILE_TEST_EXISTS), black);
  test_calib_free (&c);
}
GST_END_TEST;

static Suite *
make_suite (void)
{
  Suite *suite = suite_create ("int8calib files");
  TCase *tcase = tcase_create ("calibration");

  tcase_set_timeout (tcase, 60);
  tcase_add_checked_fixture (tcase, test_setup, test_teardown);
  tcase_add_loop_test (tcase, test_statistics, 0, 2);
  tcase_add_loop_test (tcase, test_auto_is_private, 0, 2);
  tcase_add_test (tcase, test_checkpoint);
  tcase_add_test (tcase, test_checkpoint_interval);
  tcase_add_loop_test (tcase, test_table_exists, 0, 3);
  tcase_add_loop_test (tcase, test_qdq_model, 0, 3);
  tcase_add_loop_test (tcase, test_other_preprocessing, 0, 2);
  tcase_add_test (tcase, test_eos_first);
  tcase_add_test (tcase, test_all_zero);
  tcase_add_loop_test (tcase, test_nonfinite, 0, 2);
  suite_add_tcase (suite, tcase);
  return suite;
}

int
main (int argc, char **argv)
{
  return test_main (argc, argv, "calib-files", make_suite);
}
