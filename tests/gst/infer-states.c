/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* infer-states.c: int8infer between states, flushes and queries, and while its engine is built. */
#include "tests/gst/common.h"

#include <string.h>

static void
flush (GstHarness *h)
{
  GstSegment segment;

  fail_unless (gst_harness_push_event (h, gst_event_new_flush_start ()));
  fail_unless (gst_harness_push_event (h, gst_event_new_flush_stop (TRUE)));
  gst_segment_init (&segment, GST_FORMAT_TIME);
  fail_unless (gst_harness_push_event (h, gst_event_new_segment (&segment)));
}

/* A flush during a build is done at once; the build goes on, and what was flushed does not come. */
GST_START_TEST (test_flush_while_loading)
{
  TestGate gate;
  TestElement test = test_infer_at_gate (&gate, "int8infer", test_small_caps ());
  GstBuffer *out;

  fail_unless_equals_int (gst_harness_push (test.h, test_small_frame (1)), GST_FLOW_OK);
  fail_unless_equals_int (gst_harness_push (test.h, test_small_frame (2)), GST_FLOW_OK);
  flush (test.h);
  fail_unless_equals_int (gst_harness_push (test.h, test_small_frame (3)), GST_FLOW_OK);
  fail_unless_equals_int (gst_harness_buffers_received (test.h), 0);
  test_gate_open (&gate);
  out = gst_harness_pull (test.h);
  fail_unless_equals_uint64 (GST_BUFFER_OFFSET (out), 3);
  fail_unless_equals_int (test_result (out).n, 1);
  gst_buffer_unref (out);
  fail_unless_equals_int (gst_harness_buffers_in_queue (test.h), 0);
  test_gate_clear (&gate, test.bus);
  test_element_free (&test);
}
GST_END_TEST;

static gpointer
open_later (gpointer data)
{
  g_usleep (50000);
  test_gate_open (data);
  return NULL;
}

/* PAUSED→READY during a build cancels it; nothing was loaded, and the next start is whole. */
GST_START_TEST (test_stop_while_building)
{
  TestGate gate;
  TestElement test = test_infer_at_gate (&gate, "int8infer", test_small_caps ());
  gboolean cancelled = FALSE;
  GstMessage *message;
  GstBuffer *out;
  GThread *thread;

  fail_unless_equals_int (gst_harness_push (test.h, test_small_frame (1)), GST_FLOW_OK);
  thread = g_thread_new ("open", open_later, &gate);
  fail_unless_equals_int (gst_element_set_state (test.element, GST_STATE_READY),
      GST_STATE_CHANGE_SUCCESS);
  g_thread_join (thread);
  test_gate_clear (&gate, test.bus);
  while ((message = gst_bus_pop (test.bus))) {
    GstProgressType type;

    fail_if (GST_MESSAGE_TYPE (message) == GST_MESSAGE_ERROR);
    fail_if (gst_message_has_name (message, "int8-engine"));
    if (GST_MESSAGE_TYPE (message) == GST_MESSAGE_PROGRESS) {
      gst_message_parse_progress (message, &type, NULL, NULL);
      cancelled |= type == GST_PROGRESS_TYPE_CANCELED;
    }
    gst_message_unref (message);
  }
  fail_unless (cancelled);
  fail_unless_equals_int (gst_harness_buffers_received (test.h), 0);

  fail_unless (gst_element_set_state (test.element, GST_STATE_PLAYING) != GST_STATE_CHANGE_FAILURE);
  gst_harness_set_src_caps (test.h, test_small_caps ());
  out = gst_harness_push_and_pull (test.h, test_small_frame (2));
  fail_unless_equals_int (test_result (out).n, 1);
  gst_buffer_unref (out);
  test_element_free (&test);
}
GST_END_TEST;

/* Progress tells how far a build is, at which layer, and why it is. */
GST_START_TEST (test_progress)
{
  g_autofree char *launch = g_strdup_printf ("int8infer engine=%s", test_path ("p.engine"));
  TestElement test = test_infer_new (launch, test_small_caps ());
  int starts = 0, percent = -1, ends = 0;
  GstMessage *message;

  while (!ends && (message = test_pop (test.bus, GST_MESSAGE_PROGRESS | GST_MESSAGE_ERROR, 20))) {
    const GstStructure *fields = gst_message_get_structure (message);
    GstProgressType type;
    int now;

    fail_if (GST_MESSAGE_TYPE (message) == GST_MESSAGE_ERROR);
    gst_message_parse_progress (message, &type, NULL, NULL);
    fail_unless (gst_structure_has_field (fields, "reason"));
    starts += type == GST_PROGRESS_TYPE_START;
    ends += type == GST_PROGRESS_TYPE_COMPLETE;
    fail_unless_equals_int (starts, 1);
    if (type == GST_PROGRESS_TYPE_CONTINUE) {
      fail_unless (gst_structure_get_int (fields, "percent", &now));
      fail_unless (now > percent && now <= 100);
      fail_unless (gst_structure_has_field (fields, "layer"));
      percent = now;
    }
    gst_message_unref (message);
  }
  fail_unless_equals_int (ends, 1);
  test_element_free (&test);
}
GST_END_TEST;

/* Frames come without end while others are inferred and pushed, and a flush cuts in: none of the frames before
 * the flush comes after it. */
static gpointer
push_many (gpointer data)
{
  GstHarness *h = data;
  GstFlowReturn result = GST_FLOW_OK;

  for (guint i = 0; result == GST_FLOW_OK; i++)
    result = gst_harness_push (h, test_small_frame (i % 1000));
  return GINT_TO_POINTER (result);
}

GST_START_TEST (test_flush_while_inferring)
{
  TestElement test =
      test_infer_new (__i__ % 2 ? "int8infer batch-size=4" : "int8infer", test_small_caps ());
  GThread *thread = g_thread_new ("push", push_many, test.h);
  GstBuffer *out;

  gst_buffer_unref (gst_harness_pull (test.h));
  g_usleep (__i__ * 700);
  fail_unless (gst_harness_push_event (test.h, gst_event_new_flush_start ()));
  fail_unless_equals_int (GPOINTER_TO_INT (g_thread_join (thread)), GST_FLOW_FLUSHING);
  while ((out = gst_harness_try_pull (test.h)))
    gst_buffer_unref (out);
  fail_unless (gst_harness_push_event (test.h, gst_event_new_flush_stop (TRUE)));
  {
    GstSegment segment;

    gst_segment_init (&segment, GST_FORMAT_TIME);
    fail_unless (gst_harness_push_event (test.h, gst_event_new_segment (&segment)));
  }
  fail_unless_equals_int (gst_harness_push (test.h, test_small_frame (5000)), GST_FLOW_OK);
  out = gst_harness_pull (test.h);
  fail_unless_equals_uint64 (GST_BUFFER_OFFSET (out), 5000);
  gst_buffer_unref (out);
  test_expect_no_error (test.bus);
  test_element_free (&test);
}
GST_END_TEST;

/* The queue is bounded: upstream waits while the network is not there, and a flush frees it. How many frames there is
 * room for depends on the device, two of which hold more than one. */
GST_START_TEST (test_flush_wakes_upstream)
{
  TestGate gate;
  TestElement test = test_infer_at_gate (&gate,
      __i__ ? "int8infer backend=cpu,cpu" : "int8infer", test_small_caps ());
  GThread *thread = g_thread_new ("push", push_many, test.h);

  g_usleep (20000); /* it waits for room by now, or will find none */
  fail_unless (gst_harness_push_event (test.h, gst_event_new_flush_start ()));
  fail_unless_equals_int (GPOINTER_TO_INT (g_thread_join (thread)), GST_FLOW_FLUSHING);
  test_gate_open (&gate);
  test_gate_clear (&gate, test.bus);
  test_element_free (&test);
}
GST_END_TEST;

/* Caps that were queued when a flush came are not lost. */
GST_START_TEST (test_flush_keeps_caps)
{
  TestGate gate;
  TestElement test = test_infer_at_gate (&gate, "int8infer", test_small_caps ());
  GstBuffer *out;
  GstCaps *caps, *expected = test_caps (GST_VIDEO_FORMAT_RGB, 40, 30);

  fail_unless_equals_int (gst_harness_push (test.h, test_small_frame (1)), GST_FLOW_OK);
  gst_harness_set_src_caps (test.h, gst_caps_ref (expected)); /* behind the frame */
  flush (test.h);
  test_gate_open (&gate);
  out = gst_harness_push_and_pull (test.h, test_frame (GST_VIDEO_FORMAT_RGB, 40, 30, 2));
  fail_unless_equals_int (test_result (out).n, 1);
  caps = gst_pad_get_current_caps (test.h->sinkpad);
  fail_unless (gst_caps_is_equal (caps, expected));
  gst_caps_unref (caps);
  gst_caps_unref (expected);
  gst_buffer_unref (out);
  test_gate_clear (&gate, test.bus);
  test_element_free (&test);
}
GST_END_TEST;

/* EOS drains what is queued, and a new stream may follow. */
GST_START_TEST (test_eos_and_new_stream)
{
  TestElement test = test_infer_new ("int8infer batch-size=3", test_small_caps ());

  for (guint round = 0; round < 3; round++) {
    GstSegment segment;
    gboolean eos = FALSE;
    GstEvent *event;

    for (guint i = 0; i < 8; i++)
      fail_unless_equals_int (gst_harness_push (test.h, test_small_frame (i)), GST_FLOW_OK);
    fail_unless (gst_harness_push_event (test.h, gst_event_new_eos ()));
    while (!eos && (event = gst_harness_pull_event (test.h))) {
      eos = GST_EVENT_TYPE (event) == GST_EVENT_EOS;
      gst_event_unref (event);
    }
    fail_unless (eos);
    fail_unless_equals_int (gst_harness_buffers_in_queue (test.h), 8);
    for (guint i = 0; i < 8; i++) {
      GstBuffer *out = gst_harness_pull (test.h);

      fail_unless_equals_uint64 (GST_BUFFER_OFFSET (out), i);
      gst_buffer_unref (out);
    }
    fail_unless_equals_int (gst_harness_push (test.h, test_small_frame (9)), GST_FLOW_EOS);
    fail_unless (gst_harness_push_event (test.h, gst_event_new_stream_start ("next")));
    gst_harness_set_src_caps (test.h, test_small_caps ());
    gst_segment_init (&segment, GST_FORMAT_TIME);
    fail_unless (gst_harness_push_event (test.h, gst_event_new_segment (&segment)));
  }
  test_element_free (&test);
}
GST_END_TEST;

static gpointer
query_drain (gpointer data)
{
  GstHarness *h = data;
  GstQuery *query = gst_query_new_drain ();
  const gboolean answered = gst_pad_peer_query (h->srcpad, query);

  gst_query_unref (query);
  return GINT_TO_POINTER (answered);
}

/* A serialised query behind a frame waits for the frame, and does not survive a flush. */
GST_START_TEST (test_serialised_query)
{
  TestGate gate;
  TestElement test = test_infer_at_gate (&gate, "int8infer", test_small_caps ());
  GThread *thread;

  fail_unless_equals_int (gst_harness_push (test.h, test_small_frame (1)), GST_FLOW_OK);
  thread = g_thread_new ("query", query_drain, test.h);
  g_usleep (20000);
  fail_unless (gst_harness_push_event (test.h, gst_event_new_flush_start ()));
  fail_unless (!GPOINTER_TO_INT (g_thread_join (thread)));
  test_gate_open (&gate);
  test_gate_clear (&gate, test.bus);
  test_element_free (&test);
}
GST_END_TEST;

static Suite *
make_suite (void)
{
  Suite *suite = suite_create ("int8infer states");
  TCase *tcase = tcase_create ("states");

  tcase_set_timeout (tcase, 60);
  tcase_add_checked_fixture (tcase, test_setup, test_teardown);
  tcase_add_test (tcase, test_flush_while_loading);
  tcase_add_loop_test (tcase, test_flush_wakes_upstream, 0, 2);
  tcase_add_test (tcase, test_stop_while_building);
  tcase_add_test (tcase, test_progress);
  tcase_add_loop_test (tcase, test_flush_while_inferring, 0, 8);
  tcase_add_test (tcase, test_flush_keeps_caps);
  tcase_add_test (tcase, test_eos_and_new_stream);
  tcase_add_test (tcase, test_serialised_query);
  suite_add_tcase (suite, tcase);
  return suite;
}

int
main (int argc, char **argv)
{
  return test_main (argc, argv, "infer-states", make_suite);
}
