/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* calib-precision.c: int8calib: layers chosen for precision=mixed, and stopping while they are. */
#include "tests/gst/common.h"

#include <string.h>

static GstStructure *
calibrate (TestCalib *c, guint begin, int frames)
{
  test_calib_play (c);
  fail_unless_equals_int (test_calib_push (c, begin, frames), GST_FLOW_OK);
  gst_harness_push_event (c->h, gst_event_new_eos ());
  return test_calib_done (c);
}

/* Frames are kept for it, and int8infer takes what was written. */
GST_START_TEST (test_target)
{
  TestCalib c = test_calib_new ("int8calib precision-target=0.9");
  g_autoptr (GstStructure) done = NULL;
  g_autoptr (CalibStatistics) statistics = NULL;
  g_autoptr (EngineLayerRules) rules = NULL;
  g_autofree char *launch =
      g_strdup_printf ("int8infer precision=mixed model=%s calibration-table=%s", test_model (),
          test_path ("out.table"));
  double target;

  g_object_get (c.element, "precision-target", &target, NULL);
  fail_unless (target == 0.9);
  g_object_set (c.element, "table", test_path ("out.table"), "statistics", test_path ("s"), NULL);
  done = calibrate (&c, 0, 12);
  fail_unless (strstr (gst_structure_get_string (done, "precision"),
      "top-1 agreement of at least 90 % (11 of 12 frames): "));
  test_calib_free (&c);

  statistics = calib_statistics_load (test_path ("s"), NULL);
  fail_unless (statistics != NULL);
  fail_unless_equals_int (calib_statistics_keeps (statistics), 200);
  fail_unless_equals_int (calib_statistics_n_kept (statistics), 12);
  rules = engine_layer_rules_load (test_path ("out.table.precision"), NULL);
  fail_unless (rules && engine_layer_rules_n_entries (rules) > 0);

  TestElement infer = test_infer_new (launch, test_small_caps ());
  GstBuffer *out = gst_harness_push_and_pull (infer.h, test_small_frame (0));
  fail_unless (test_result (out).n > 0);
  gst_buffer_unref (out);
  test_element_free (&infer);
}
GST_END_TEST;

/* A file that keeps frames is continued as it is. */
GST_START_TEST (test_continued)
{
  TestCalib c = test_calib_new ("int8calib keep-frames=3");
  g_autoptr (CalibStatistics) statistics = NULL;

  g_object_set (c.element, "statistics", test_path ("s"), NULL);
  gst_structure_free (calibrate (&c, 0, 6));
  test_calib_free (&c);
  c = test_calib_new ("int8calib precision-target=0.5");
  g_object_set (c.element, "table", test_path ("out.table"), "statistics", test_path ("s"), NULL);
  g_autoptr (GstStructure) done = calibrate (&c, 6, 2);
  fail_unless (strstr (gst_structure_get_string (done, "precision"), "(2 of 3 frames)"));
  test_calib_free (&c);
  statistics = calib_statistics_load (test_path ("s"), NULL);
  fail_unless_equals_int (calib_statistics_keeps (statistics), 3);
}
GST_END_TEST;

typedef struct {
  TestGate gate;
  GstElement *element;
} Stop;

/* Once the element has been told to stop, and had time to pass it on. */
static gpointer
open_later (gpointer data)
{
  Stop *stop = data;

  while (GST_STATE_TARGET (stop->element) != GST_STATE_NULL)
    g_usleep (1000);
  g_usleep (300000);
  test_gate_open (&stop->gate);
  return NULL;
}

/* Stopped while layers are chosen: the table is there, and nothing else is said or written. */
GST_START_TEST (test_stopped)
{
  TestCalib c = test_calib_new ("int8calib precision-target=1 max-frames=6");
  Stop stop = {.element = c.element};

  g_object_set (c.element, "table", test_path ("out.table"), NULL);
  test_gate_init (&stop.gate, c.bus, "precision");
  test_calib_play (&c);
  fail_unless_equals_int (test_calib_push (&c, 0, 6), GST_FLOW_OK);
  test_gate_wait_for_visitor (&stop.gate);
  GThread *opener = g_thread_new ("opener", open_later, &stop);
  fail_unless_equals_int (gst_element_set_state (c.element, GST_STATE_NULL),
      GST_STATE_CHANGE_SUCCESS);
  g_thread_join (opener);
  test_gate_clear (&stop.gate, c.bus);
  test_expect_no_error (c.bus);
  fail_unless (g_file_test (test_path ("out.table"), G_FILE_TEST_EXISTS));
  fail_if (g_file_test (test_path ("out.table.precision"), G_FILE_TEST_EXISTS));
  test_calib_free (&c);
}
GST_END_TEST;

GST_START_TEST (test_needs_a_table)
{
  TestCalib c = test_calib_new ("int8calib precision-target=0.9");

  g_object_set (c.element, "statistics", test_path ("s"), NULL);
  fail_unless_equals_int (gst_element_set_state (c.element, GST_STATE_PAUSED),
      GST_STATE_CHANGE_FAILURE);
  test_expect_error (c.bus, "precision-target", "\"table\"", NULL);
  test_calib_free (&c);
}
GST_END_TEST;

static Suite *
make_suite (void)
{
  Suite *suite = suite_create ("int8calib precision");
  TCase *tcase = tcase_create ("precision");

  tcase_set_timeout (tcase, 60);
  tcase_add_checked_fixture (tcase, test_setup, test_teardown);
  tcase_add_test (tcase, test_target);
  tcase_add_test (tcase, test_continued);
  tcase_add_test (tcase, test_stopped);
  tcase_add_test (tcase, test_needs_a_table);
  suite_add_tcase (suite, tcase);
  return suite;
}

int
main (int argc, char **argv)
{
  return test_main (argc, argv, "calib-precision", make_suite);
}
