/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* infer-states.c: int8infer between states, flushes and queries, and while its engine is built. */
#include "tests/gst/common.h"

#include <string.h>

#define CAPS test_caps (GST_VIDEO_FORMAT_GRAY8, 28, 28)

static GstBuffer *
frame (guint seed)
{
  return test_frame (GST_VIDEO_FORMAT_GRAY8, 28, 28, seed);
}

static void
flush (GstHarness *h)
{
  GstSegment segment;

  fail_unless (gst_harness_push_event (h, gst_event_new_flush_start ()));
  fail_unless (gst_harness_push_event (h, gst_event_new_flush_stop (TRUE)));
  gst_segment_init (&segment, GST_FORMAT_TIME);
  fail_unless (gst_harness_push_event (h, gst_event_new_segment (&segment)));
}

/* int8infer whose loader stands at the gate. */
static TestElement
infer_at_gate (TestGate *gate, const char *launch)
{
  g_autofree char *full = g_strdup_printf ("%s engine=%s", launch, test_path ("gate.engine"));
  TestElement test;

  test.element = test_element_new (full, &test.bus);
  g_object_set (test.element, "model", test_model (), "calibration-table", test_table (), NULL);
  test_gate_init (gate, test.bus, "engine");
  test.h = gst_harness_new_with_element (test.element, "sink", "src");
  gst_harness_set_src_caps (test.h, CAPS);
  test_gate_wait_for_visitor (gate);
  return test;
}

static gpointer
push_one (gpointer data)
{
  return GINT_TO_POINTER (gst_harness_push (data, frame (1)));
}

/* A flush during a build is done at once; the build goes on, and what was flushed does not come. */
GST_START_TEST (test_flush_while_loading)
{
  TestGate gate;
  TestElement test = infer_at_gate (&gate, "int8infer");
  GstBuffer *out;

  fail_unless_equals_int (gst_harness_push (test.h, frame (1)), GST_FLOW_OK);
  fail_unless_equals_int (gst_harness_push (test.h, frame (2)), GST_FLOW_OK);
  flush (test.h);
  fail_unless_equals_int (gst_harness_push (test.h, frame (3)), GST_FLOW_OK);
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

/* The queue is bounded: upstream waits while the network is not there, and a flush frees it. */
GST_START_TEST (test_flush_wakes_upstream)
{
  TestGate gate;
  TestElement test = infer_at_gate (&gate, "int8infer");
  GThread *thread;

  fail_unless_equals_int (gst_harness_push (test.h, frame (0)), GST_FLOW_OK);
  fail_unless_equals_int (gst_harness_push (test.h, frame (1)), GST_FLOW_OK);
  thread = g_thread_new ("push", push_one, test.h);
  g_usleep (20000); /* it waits for room by now, or will find none */
  fail_unless (gst_harness_push_event (test.h, gst_event_new_flush_start ()));
  fail_unless_equals_int (GPOINTER_TO_INT (g_thread_join (thread)), GST_FLOW_FLUSHING);
  test_gate_open (&gate);
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
  TestElement test = infer_at_gate (&gate, "int8infer");
  gboolean cancelled = FALSE;
  GstMessage *message;
  GstBuffer *out;
  GThread *thread;

  fail_unless_equals_int (gst_harness_push (test.h, frame (1)), GST_FLOW_OK);
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
  gst_harness_set_src_caps (test.h, CAPS);
  out = gst_harness_push_and_pull (test.h, frame (2));
  fail_unless_equals_int (test_result (out).n, 1);
  gst_buffer_unref (out);
  test_element_free (&test);
}
GST_END_TEST;

/* Progress tells how far a build is, at which layer, and why it is. */
GST_START_TEST (test_progress)
{
  g_autofree char *launch = g_strdup_printf ("int8infer engine=%s", test_path ("p.engine"));
  TestElement test = test_infer_new (launch, CAPS);
  int starts = 0, percent = -1, ends = 0;
  GstMessage *message;

  while (!ends && (message = gst_bus_timed_pop_filtered (test.bus, 20 * GST_SECOND,
                       GST_MESSAGE_PROGRESS | GST_MESSAGE_ERROR))) {
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

/* Frames come while others are inferred and pushed, and a flush cuts in: none of the frames before
 * the flush comes after it. */
static gpointer
push_many (gpointer data)
{
  GstHarness *h = data;
  GstFlowReturn result = GST_FLOW_OK;

  for (guint i = 0; i < 1000 && result == GST_FLOW_OK; i++)
    result = gst_harness_push (h, frame (i));
  return GINT_TO_POINTER (result);
}

GST_START_TEST (test_flush_while_inferring)
{
  TestElement test = test_infer_new (__i__ % 2 ? "int8infer batch-size=4" : "int8infer", CAPS);
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
  fail_unless_equals_int (gst_harness_push (test.h, frame (5000)), GST_FLOW_OK);
  out = gst_harness_pull (test.h);
  fail_unless_equals_uint64 (GST_BUFFER_OFFSET (out), 5000);
  gst_buffer_unref (out);
  test_expect_no_error (test.bus);
  test_element_free (&test);
}
GST_END_TEST;

/* Caps that were queued when a flush came are not lost. */
GST_START_TEST (test_flush_keeps_caps)
{
  TestGate gate;
  TestElement test = infer_at_gate (&gate, "int8infer");
  GstBuffer *out;
  GstCaps *caps, *expected = test_caps (GST_VIDEO_FORMAT_RGB, 40, 30);

  fail_unless_equals_int (gst_harness_push (test.h, frame (1)), GST_FLOW_OK);
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
  TestElement test = test_infer_new ("int8infer batch-size=3", CAPS);

  for (guint round = 0; round < 3; round++) {
    GstSegment segment;
    gboolean eos = FALSE;
    GstEvent *event;

    for (guint i = 0; i < 8; i++)
      fail_unless_equals_int (gst_harness_push (test.h, frame (i)), GST_FLOW_OK);
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
    fail_unless_equals_int (gst_harness_push (test.h, frame (9)), GST_FLOW_EOS);
    fail_unless (gst_harness_push_event (test.h, gst_event_new_stream_start ("next")));
    gst_harness_set_src_caps (test.h, CAPS);
    gst_segment_init (&segment, GST_FORMAT_TIME);
    fail_unless (gst_harness_push_event (test.h, gst_event_new_segment (&segment)));
  }
  test_element_free (&test);
}
GST_END_TEST;

static GstPadProbeReturn
answer_latency (GstPad *pad, GstPadProbeInfo *info, gpointer data)
{
  GstQuery *query = GST_PAD_PROBE_INFO_QUERY (info);
  const GstClockTime *max = data;

  if (GST_QUERY_TYPE (query) != GST_QUERY_LATENCY)
    return GST_PAD_PROBE_OK;
  gst_query_set_latency (query, TRUE, 30 * GST_MSECOND, *max);
  return GST_PAD_PROBE_HANDLED;
}

/* Nothing is added to the least latency; the greatest grows by what the queue can hold. */
GST_START_TEST (test_latency)
{
  TestElement test = test_infer_new (__i__ ? "int8infer batch-size=7" : "int8infer", CAPS);
  const GstClockTime held = (__i__ ? 8 : 2) * TEST_FRAME_DURATION;
  GstClockTime upstream_max = 50 * GST_MSECOND, min, max;
  GstQuery *query = gst_query_new_latency ();
  gboolean live;

  gst_pad_add_probe (test.h->srcpad, GST_PAD_PROBE_TYPE_QUERY_UPSTREAM, answer_latency,
      &upstream_max, NULL);
  fail_unless (gst_pad_peer_query (test.h->sinkpad, query));
  gst_query_parse_latency (query, &live, &min, &max);
  fail_unless (live);
  fail_unless_equals_uint64 (min, 30 * GST_MSECOND);
  fail_unless_equals_uint64 (max, 50 * GST_MSECOND + held);

  upstream_max = GST_CLOCK_TIME_NONE;
  fail_unless (gst_pad_peer_query (test.h->sinkpad, query));
  gst_query_parse_latency (query, NULL, &min, &max);
  fail_unless_equals_uint64 (min, 30 * GST_MSECOND);
  fail_unless_equals_uint64 (max, GST_CLOCK_TIME_NONE);
  gst_query_unref (query);
  test_element_free (&test);
}
GST_END_TEST;

static GstPadProbeReturn
answer_allocation (GstPad *pad, GstPadProbeInfo *info, gpointer data)
{
  GstQuery *query = GST_PAD_PROBE_INFO_QUERY (info);

  if (GST_QUERY_TYPE (query) != GST_QUERY_ALLOCATION)
    return GST_PAD_PROBE_OK;
  gst_query_add_allocation_pool (query, NULL, 784, 2, 5);
  gst_query_add_allocation_meta (query, GST_VIDEO_META_API_TYPE, NULL);
  return GST_PAD_PROBE_HANDLED;
}

/* Downstream's answer, with the buffers added that the element holds; and an answer where
 * downstream has none. */
GST_START_TEST (test_allocation)
{
  TestElement test = test_infer_new (__i__ ? "int8infer batch-size=4" : "int8infer", CAPS);
  const guint held = __i__ ? 5 + 4 : 2 + 1;
  GstCaps *caps = CAPS;
  guint size, min, max;
  GstQuery *query;

  query = gst_query_new_allocation (caps, TRUE);
  fail_unless (gst_pad_peer_query (test.h->srcpad, query));
  fail_unless_equals_int (gst_query_get_n_allocation_pools (query), 1);
  gst_query_parse_nth_allocation_pool (query, 0, NULL, &size, &min, &max);
  fail_unless_equals_int (size, 28 * 28);
  fail_unless_equals_int (min, held);
  fail_unless_equals_int (max, 0);
  gst_query_unref (query);

  gst_pad_add_probe (test.h->sinkpad, GST_PAD_PROBE_TYPE_QUERY_DOWNSTREAM, answer_allocation, NULL,
      NULL);
  query = gst_query_new_allocation (caps, TRUE);
  fail_unless (gst_pad_peer_query (test.h->srcpad, query));
  fail_unless_equals_int (gst_query_get_n_allocation_pools (query), 1);
  gst_query_parse_nth_allocation_pool (query, 0, NULL, &size, &min, &max);
  fail_unless_equals_int (min, 2 + held);
  fail_unless_equals_int (max, 5 + held);
  fail_unless (gst_query_find_allocation_meta (query, GST_VIDEO_META_API_TYPE, NULL));
  gst_query_unref (query);
  gst_caps_unref (caps);
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
  TestElement test = infer_at_gate (&gate, "int8infer");
  GThread *thread;

  fail_unless_equals_int (gst_harness_push (test.h, frame (1)), GST_FLOW_OK);
  thread = g_thread_new ("query", query_drain, test.h);
  g_usleep (20000);
  fail_unless (gst_harness_push_event (test.h, gst_event_new_flush_start ()));
  fail_unless (!GPOINTER_TO_INT (g_thread_join (thread)));
  test_gate_open (&gate);
  test_gate_clear (&gate, test.bus);
  test_element_free (&test);
}
GST_END_TEST;

GST_START_TEST (test_caps_query)
{
  TestElement test = test_infer_new ("int8infer", CAPS);
  GstCaps *wanted = gst_caps_from_string ("video/x-raw,format={I420,Y42B},width=100"), *caps;

  gst_harness_set_sink_caps (test.h, gst_caps_ref (wanted));
  caps = gst_pad_peer_query_caps (test.h->srcpad, NULL);
  fail_unless_equals_int (gst_caps_get_size (caps), 1);
  fail_unless_equals_string (gst_structure_get_string (gst_caps_get_structure (caps, 0), "format"),
      "I420");
  gst_caps_unref (caps);
  gst_caps_unref (wanted);
  test_element_free (&test);
}
GST_END_TEST;

/* Downstream has had enough: EOS goes upstream as a flow, and comes back as an event. */
GST_START_TEST (test_downstream_ends)
{
  g_autofree char *launch =
      g_strdup_printf ("videotestsrc ! video/x-raw,format=GRAY8,width=28,height=28 ! "
                       "int8infer model=%s precision=fp32 batch-size=%d ! %s",
          test_model (), __i__ % 2 ? 4 : 1,
          __i__ < 2 ? "identity eos-after=3 ! fakesink" : "fakesink num-buffers=5");
  GstElement *pipeline = gst_parse_launch (launch, NULL);
  GstBus *bus = gst_element_get_bus (pipeline);
  GstMessage *message;

  gst_element_set_state (pipeline, GST_STATE_PLAYING);
  message = gst_bus_timed_pop_filtered (bus, 20 * GST_SECOND, GST_MESSAGE_EOS | GST_MESSAGE_ERROR);
  fail_unless (message && GST_MESSAGE_TYPE (message) == GST_MESSAGE_EOS);
  gst_message_unref (message);
  gst_element_set_state (pipeline, GST_STATE_NULL);
  gst_object_unref (bus);
  gst_object_unref (pipeline);
}
GST_END_TEST;

/* Without a peer upstream is told; linked later, the element goes on with what it has queued. */
GST_START_TEST (test_not_linked)
{
  GstFlowReturn result = GST_FLOW_OK;
  GstElement *element;
  GstBuffer *out;
  GstHarness *h;
  GstPad *src;
  GstBus *bus;

  element = test_element_new ("int8infer precision=fp32", &bus);
  g_object_set (element, "model", test_model (), NULL);
  h = gst_harness_new_with_element (element, "sink", NULL);
  gst_harness_set_src_caps (h, CAPS);
  for (guint i = 0; i < 10 && result == GST_FLOW_OK; i++)
    result = gst_harness_push (h, frame (i));
  fail_unless_equals_int (result, GST_FLOW_NOT_LINKED);

  src = gst_element_get_static_pad (element, "src");
  gst_harness_add_element_src_pad (h, src);
  gst_object_unref (src);
  out = gst_harness_push_and_pull (h, frame (20));
  fail_unless (out != NULL);
  gst_buffer_unref (out);
  test_expect_no_error (bus);
  gst_harness_teardown (h);
  gst_element_set_bus (element, NULL);
  gst_object_unref (element);
  gst_bus_set_flushing (bus, TRUE);
  gst_object_unref (bus);
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
  tcase_add_test (tcase, test_flush_wakes_upstream);
  tcase_add_test (tcase, test_stop_while_building);
  tcase_add_test (tcase, test_progress);
  tcase_add_loop_test (tcase, test_flush_while_inferring, 0, 8);
  tcase_add_test (tcase, test_flush_keeps_caps);
  tcase_add_test (tcase, test_eos_and_new_stream);
  tcase_add_loop_test (tcase, test_latency, 0, 2);
  tcase_add_loop_test (tcase, test_allocation, 0, 2);
  tcase_add_test (tcase, test_serialised_query);
  tcase_add_test (tcase, test_caps_query);
  tcase_add_loop_test (tcase, test_downstream_ends, 0, 4);
  tcase_add_test (tcase, test_not_linked);
  suite_add_tcase (suite, tcase);
  return suite;
}

int
main (int argc, char **argv)
{
  return test_main (argc, argv, "infer-states", make_suite);
}
