/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* calib.c: int8calib: its table, which frames it takes, and when it ends. */
#include "tests/gst/common.h"

#include <glib/gstdio.h>
#include <string.h>

/* --- The table ------------------------------------------------------------------------------- */

static const struct {
  const char *launch;
  CalibMethod method;
  guint batch;
} methods[] = {
    {"int8calib method=mse", CALIB_METHOD_MSE, 1},
    {"int8calib method=minmax batch-size=3 threads=1", CALIB_METHOD_MINMAX, 1},
    {"int8calib method=percentile threads=2", CALIB_METHOD_PERCENTILE, 5},
    {"int8calib method=entropy2 batch-size=64", CALIB_METHOD_ENTROPY2, 1},
    {"int8calib method=entropy2-trt batch-size=4", CALIB_METHOD_ENTROPY2_TRT, 4},
    {"int8calib method=entropy", CALIB_METHOD_ENTROPY, 1},
    {"int8calib method=mse-relative", CALIB_METHOD_MSE_RELATIVE, 1},
    {"int8calib method=legacy batch-size=4", CALIB_METHOD_LEGACY, 4},
};

/* The element's table is that of the engine on the same frames; batch sizes and threads differ on
 * purpose. */
GST_START_TEST (test_table_equals)
{
  TestCalib c = test_calib_new (methods[__i__].launch);
  const char *path = test_path ("out.table");
  g_autofree char *expected =
      test_expected_table (0, 10, methods[__i__].method, methods[__i__].batch);
  g_autofree char *got = NULL;
  CalibProvenance provenance;
  GstStructure *done;

  g_object_set (c.element, "table", path, NULL);
  test_calib_play (&c);
  fail_unless_equals_int (test_calib_push (&c, 0, 10), GST_FLOW_OK);
  fail_unless (!g_file_test (path, G_FILE_TEST_EXISTS)); /* not before the end */
  fail_unless (gst_harness_push_event (c.h, gst_event_new_eos ()));
  done = test_calib_done (&c);
  got = test_contents (path);
  fail_unless_equals_string (got, expected);
  fail_unless_equals_uint64 (test_field (done, "frames"), 10);
  fail_unless_equals_uint64 (test_field (done, "dropped"), 0);
  fail_unless_equals_uint64 (test_field (done, "non-finite"), 0);
  fail_unless_equals_string (gst_structure_get_string (done, "table"), path);
  fail_unless_equals_string (gst_structure_get_string (done, "method"),
      calib_method_name (methods[__i__].method));
  gst_structure_free (done);

  fail_unless (calib_provenance_load (path, &provenance, NULL));
  fail_unless_equals_uint64 (provenance.frames, 10);
  fail_unless (provenance.model_sha256 && provenance.preprocess_sha256);
  calib_provenance_clear (&provenance);
  test_calib_free (&c);
}
GST_END_TEST;

/* int8infer takes the table with the same properties. */
GST_START_TEST (test_table_fits_infer)
{
  TestCalib c = test_calib_new ("int8calib max-frames=20");
  g_autofree char *launch = NULL;
  TestElement infer;
  GstBuffer *out;

  g_object_set (c.element, "table", test_path ("out.table"), NULL);
  test_calib_play (&c);
  fail_unless_equals_int (test_calib_push (&c, 0, 20), GST_FLOW_OK);
  gst_structure_free (test_calib_done (&c)); /* without EOS */
  fail_unless_equals_int (test_calib_push (&c, 20, 5), GST_FLOW_OK);
  test_calib_free (&c);

  launch = g_strdup_printf ("int8infer model=%s calibration-table=%s", test_model (),
      test_path ("out.table"));
  infer = test_infer_new (launch, test_small_caps ());
  out = gst_harness_push_and_pull (infer.h, test_small_frame (1));
  fail_unless_equals_int (test_result (out).n, 1);
  gst_buffer_unref (out);
  test_expect_no_error (infer.bus);
  test_element_free (&infer);
}
GST_END_TEST;

/* --- Which frames, and the end --------------------------------------------------------------- */

GST_START_TEST (test_max_frames_and_eos)
{
  TestCalib c = test_calib_new ("int8calib method=mse max-frames=7 eos-when-done=true");
  g_autofree char *expected = test_expected_table (0, 7, CALIB_METHOD_MSE, 1), *got = NULL;

  g_object_set (c.element, "table", test_path ("out.table"), NULL);
  test_calib_play (&c);
  fail_unless_equals_int (test_calib_push (&c, 0, 7), GST_FLOW_OK);
  fail_unless_equals_int (test_calib_push (&c, 7, 1), GST_FLOW_EOS);
  gst_structure_free (test_calib_done (&c));
  got = test_contents (test_path ("out.table"));
  fail_unless_equals_string (got, expected);
  test_calib_free (&c);
}
GST_END_TEST;

/* Frames 0, 3, 6, ...; of these, those at least 4 frames apart: 0, 6, 12, 18. */
GST_START_TEST (test_interval_and_gap)
{
  TestCalib c = test_calib_new ("int8calib interval=3");
  GstStructure *done;

  g_object_set (c.element, "table", test_path ("out.table"), "min-gap",
      4 * (guint64) TEST_FRAME_DURATION, NULL);
  test_calib_play (&c);
  fail_unless_equals_int (test_calib_push (&c, 0, 20), GST_FLOW_OK);
  gst_harness_push_event (c.h, gst_event_new_eos ());
  done = test_calib_done (&c);
  fail_unless_equals_uint64 (test_field (done, "frames"), 4);
  gst_structure_free (done);
  test_calib_free (&c);
}
GST_END_TEST;

GST_START_TEST (test_finish)
{
  TestCalib c = test_calib_new ("int8calib max-frames=0");
  GstStructure *done;

  g_object_set (c.element, "table", test_path ("out.table"), NULL);
  test_calib_play (&c);
  fail_unless_equals_int (test_calib_push (&c, 0, 6), GST_FLOW_OK);
  g_signal_emit_by_name (c.element, "finish");
  done = test_calib_done (&c);
  fail_unless_equals_uint64 (test_field (done, "frames"), 6);
  gst_structure_free (done);
  fail_unless_equals_int (test_calib_push (&c, 6, 3), GST_FLOW_OK); /* dropped */
  test_calib_free (&c);
}
GST_END_TEST;

static gboolean
is_progress (GstMessage *message, const char *code, GstProgressType type)
{
  g_autofree char *of = NULL;
  GstProgressType is = GST_PROGRESS_TYPE_ERROR;

  if (GST_MESSAGE_TYPE (message) == GST_MESSAGE_PROGRESS)
    gst_message_parse_progress (message, &is, &of, NULL);
  return g_strcmp0 (of, code) == 0 && is == type;
}

/* The message comes before EOS, and progress tells of frames, and of what is done with them at the end. */
GST_START_TEST (test_order_of_messages)
{
  static const char *const codes[] = {"calibration", "method", "equalisation"};
  g_autofree char *launch =
      g_strdup_printf ("videotestsrc num-buffers=30 ! video/x-raw,format=NV12,width=64,height=48 ! "
                       "int8calib model=%s table=%s max-frames=0",
          test_model (), test_path ("out.table"));
  GstElement *pipeline = gst_parse_launch (launch, NULL);
  GstBus *bus = gst_element_get_bus (pipeline);
  gboolean done = FALSE, eos = FALSE;
  guint starts = 0, ends = 0, frames = 0;

  gst_element_set_state (pipeline, GST_STATE_PLAYING);
  while (!eos) {
    GstMessage *message = test_pop (bus, GST_MESSAGE_ANY, 30);

    fail_unless (message != NULL);
    fail_if (GST_MESSAGE_TYPE (message) == GST_MESSAGE_ERROR);
    done |= gst_message_has_name (message, "int8-calibration-done");
    frames += is_progress (message, "calibration", GST_PROGRESS_TYPE_CONTINUE);
    for (guint i = 0; i < G_N_ELEMENTS (codes); i++) {
      starts += is_progress (message, codes[i], GST_PROGRESS_TYPE_START);
      ends += is_progress (message, codes[i], GST_PROGRESS_TYPE_COMPLETE);
    }
    eos = GST_MESSAGE_TYPE (message) == GST_MESSAGE_EOS;
    gst_message_unref (message);
  }
  fail_unless (done);
  fail_unless (frames >= 1); /* after 25 frames, and each second */
  fail_unless_equals_int (starts, 3);
  fail_unless_equals_int (ends, 3);
  gst_element_set_state (pipeline, GST_STATE_NULL);
  gst_object_unref (bus);
  gst_object_unref (pipeline);
}
GST_END_TEST;

/* A live source is not held up while the worker stands still: what finds no slot is counted. */
GST_START_TEST (test_live)
{
  TestCalib c = test_calib_new ("int8calib max-frames=0");
  GstStructure *done;
  TestGate gate;

  g_object_set (c.element, "table", test_path ("out.table"), NULL);
  test_gate_init (&gate, c.bus, "calibration");
  test_calib_play (&c);
  gst_harness_set_live (c.h, TRUE);
  fail_unless_equals_int (test_calib_push (&c, 0, 1),
      GST_FLOW_OK);                   /* the worker learns of upstream */
  test_gate_wait_for_visitor (&gate); /* it posts that it starts; slots are there */
  fail_unless_equals_int (test_calib_push (&c, 1, 50), GST_FLOW_OK);
  test_gate_open (&gate);
  fail_unless (gst_harness_push_event (c.h, gst_event_new_eos ()));
  done = test_calib_done (&c);
  fail_unless_equals_uint64 (test_field (done, "frames"), 4); /* the slots */
  fail_unless_equals_uint64 (test_field (done, "dropped"), 47);
  gst_structure_free (done);
  test_gate_clear (&gate, c.bus);
  test_calib_free (&c);
}
GST_END_TEST;

static gpointer
push_rest (gpointer data)
{
  return GINT_TO_POINTER (test_calib_push (data, 4, 3));
}

/* Upstream waits for a slot, the worker does not come: a flush and a stop get through. */
GST_START_TEST (test_unlock)
{
  TestCalib c = test_calib_new ("int8calib max-frames=0");
  GThread *thread;
  TestGate gate;

  g_object_set (c.element, "table", test_path ("out.table"), NULL);
  test_gate_init (&gate, c.bus, "calibration");
  test_calib_play (&c);
  fail_unless_equals_int (test_calib_push (&c, 0, 4), GST_FLOW_OK);
  test_gate_wait_for_visitor (&gate);
  thread = g_thread_new ("push", push_rest, &c);
  g_usleep (20000);
  fail_unless (gst_harness_push_event (c.h, gst_event_new_flush_start ()));
  fail_unless_equals_int (GPOINTER_TO_INT (g_thread_join (thread)), GST_FLOW_FLUSHING);
  fail_unless (gst_harness_push_event (c.h, gst_event_new_flush_stop (TRUE)));
  test_gate_open (&gate);
  test_gate_clear (&gate, c.bus);
  test_calib_free (&c);
}
GST_END_TEST;

static Suite *
make_suite (void)
{
  Suite *suite = suite_create ("int8calib");
  TCase *tcase = tcase_create ("calibration");

  tcase_set_timeout (tcase, 60);
  tcase_add_checked_fixture (tcase, test_setup, test_teardown);
  tcase_add_loop_test (tcase, test_table_equals, 0, G_N_ELEMENTS (methods));
  tcase_add_test (tcase, test_table_fits_infer);
  tcase_add_test (tcase, test_max_frames_and_eos);
  tcase_add_test (tcase, test_interval_and_gap);
  tcase_add_test (tcase, test_finish);
  tcase_add_test (tcase, test_order_of_messages);
  tcase_add_test (tcase, test_live);
  tcase_add_test (tcase, test_unlock);
  suite_add_tcase (suite, tcase);
  return suite;
}

int
main (int argc, char **argv)
{
  return test_main (argc, argv, "calib", make_suite);
}
