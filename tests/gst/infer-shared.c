/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * infer-shared.c: elements with one instance-id: one network, batches of all their streams, and nobody
 * who holds up another.
 */
#include "tests/gst/common.h"

#include <string.h>

static TestElement
infer_new (const char *launch)
{
  return test_infer_new (launch, test_small_caps ());
}

static void
wait_for_engine (TestElement *test)
{
  GstStructure *message = test_wait_message (test->bus, "int8-engine", 20);

  fail_unless (message != NULL);
  gst_structure_free (message);
}

/* Four streams with two frames each fill batches of eight; who joins later needs no model of its own, and
 * hears of the network too. */
GST_START_TEST (test_batches_of_all)
{
  TestElement tests[4];

  /* Those that know no model may come before the one that does. */
  for (guint i = 1; i < 4; i++)
    tests[i] = infer_new ("int8infer instance-id=a model=\"\" batch-size=2 batch-timeout=60000000000");
  test_push (&tests[1], 100);
  tests[0] = infer_new ("int8infer instance-id=a batch-size=8 batch-timeout=60000000000");
  for (guint i = 0; i < 4; i++)
    wait_for_engine (&tests[i]);
  for (guint i = 0; i < 7; i++)
    test_push (&tests[i % 4 == 1 ? 2 : i % 4], 200 + i);
  test_check_next (&tests[1], 100);
  for (guint i = 0; i < 7; i++)
    gst_buffer_unref (gst_harness_pull (tests[i % 4 == 1 ? 2 : i % 4].h));
  for (guint round = 0; round < 5; round++) {
    for (guint i = 0; i < 8; i++)
      test_push (&tests[i % 4], 10 * round + i);
    for (guint i = 0; i < 8; i++)
      test_check_next (&tests[i % 4], 10 * round + i);
  }
  for (guint i = 0; i < 4; i++) {
    fail_unless (test_batch_fill (&tests[i]) == 8);
    test_element_free (&tests[i]);
  }
}
GST_END_TEST;

/* Nobody has a model: that is said, once by each, and the frames get their results from who comes after all. */
GST_START_TEST (test_no_model)
{
  TestElement waiting[2] = {infer_new ("int8infer instance-id=b model=\"\""),
      infer_new ("int8infer instance-id=b model=\"\" async=true")};
  TestElement other;

  for (guint i = 0; i < 2; i++)
    test_push (&waiting[i], 7);
  for (guint i = 0; i < 2; i++) {
    GstMessage *message = test_pop (waiting[i].bus, GST_MESSAGE_WARNING, 20);
    GError *error;

    fail_unless (message != NULL);
    gst_message_parse_warning (message, &error, NULL);
    fail_unless (strstr (error->message, "with instance-id \"b\" has a model yet") != NULL);
    g_error_free (error);
    gst_message_unref (message);
  }
  test_push (&waiting[0], 8);
  other = infer_new ("int8infer instance-id=b");
  test_check_next (&waiting[0], 7);
  test_check_next (&waiting[0], 8);
  test_element_free (&other);
  for (guint i = 0; i < 2; i++) {
    fail_unless (gst_bus_pop_filtered (waiting[i].bus, GST_MESSAGE_WARNING) == NULL);
    test_element_free (&waiting[i]);
  }
}
GST_END_TEST;

/* Nobody has a model until one of those that wait is given it. One that cannot be is said, and another may
 * follow. */
GST_START_TEST (test_model_later)
{
  TestElement waiting[2] = {infer_new ("int8infer instance-id=h model=\"\""),
      infer_new ("int8infer instance-id=h model=\"\"")};

  test_push (&waiting[0], 3);
  test_push (&waiting[1], 4);
  g_object_set (waiting[1].element, "calibration-table", test_table (), NULL);
  g_object_set (waiting[1].element, "model", test_model (), "mean", "x", NULL);
  test_expect_warning (waiting[1].bus, "what was set has made no network", "mean", NULL);
  g_object_set (waiting[1].element, "mean", NULL, NULL);
  for (guint i = 0; i < 2; i++) {
    wait_for_engine (&waiting[i]);
    test_check_next (&waiting[i], 3 + i);
    test_expect_no_error (waiting[i].bus);
    test_element_free (&waiting[i]);
  }
}
GST_END_TEST;

static GstBusSyncReply
change_at_error (G_GNUC_UNUSED GstBus *bus, GstMessage *message, gpointer element)
{
  if (GST_MESSAGE_TYPE (message) == GST_MESSAGE_ERROR)
    g_object_set (element, "model", test_model (), NULL);
  return GST_BUS_PASS;
}

/* Where there can be no network any more, that is said, from the moment that the error is on its way. */
GST_START_TEST (test_change_after_failure)
{
  TestElement test;

  test.element = test_element_new ("int8infer model=/nonexistent.onnx precision=fp32", &test.bus);
  gst_bus_set_sync_handler (test.bus, change_at_error, test.element, NULL);
  test.h = gst_harness_new_with_element (test.element, "sink", "src");
  test_expect_warning (test.bus, "set the pipeline to NULL first", NULL);
  test_expect_error (test.bus, "/nonexistent.onnx", NULL);
  g_object_set (test.element, "model", test_model (), NULL);
  test_expect_warning (test.bus, "set the pipeline to NULL first", NULL);
  test_element_free (&test);
}
GST_END_TEST;

/* What one changes is changed for all, and nothing else is: not to the values that the one has which named no
 * model, or came later with others. */
GST_START_TEST (test_change_by_any)
{
  TestElement tests[] = {infer_new ("int8infer instance-id=i precision=fp32"),
      infer_new ("int8infer instance-id=i model=\"\""), infer_new ("int8infer instance-id=i")};

  fail_unless (
      g_file_set_contents (test_path ("labels"), "a\nb\nc\nd\ne\nf\ng\nh\ni\nj\n", -1, NULL));
  for (guint i = 0; i < 3; i++)
    wait_for_engine (&tests[i]);
  for (guint i = 1; i < 3; i++) {
    g_object_set (tests[i].element, "labels", test_path ("labels"), NULL);
    for (guint k = 0; k < 3; k++) {
      GstStructure *message = test_wait_message (tests[k].bus, "int8-engine", 20);
      gboolean swapped;

      fail_unless (message && gst_structure_get_boolean (message, "swapped", &swapped) && swapped);
      fail_unless_equals_string (gst_structure_get_string (message, "precision"), "fp32");
      gst_structure_free (message);
    }
  }
  for (guint i = 0; i < 3; i++)
    test_element_free (&tests[i]);
}
GST_END_TEST;

/* A frame waits for others no longer than batch-timeout, and the latency query says so. */
GST_START_TEST (test_timeout)
{
  TestElement test = infer_new ("int8infer batch-size=4 batch-timeout=80000000");
  GstQuery *query = gst_query_new_latency ();
  GstClockTime min, max;
  gint64 begin;

  wait_for_engine (&test);
  test_push (&test, 0); /* the first one of a network takes longer */
  test_check_next (&test, 0);
  begin = g_get_monotonic_time ();
  test_push (&test, 1);
  test_check_next (&test, 1);
  fail_unless (g_get_monotonic_time () - begin >= 80000);

  fail_unless (gst_element_query (test.element, query));
  gst_query_parse_latency (query, NULL, &min, &max);
  fail_unless_equals_uint64 (min, 80 * GST_MSECOND);

  /* A full batch waits for nothing. */
  g_object_set (test.element, "batch-timeout", 3600 * GST_SECOND, NULL);
  for (guint i = 2; i < 6; i++)
    test_push (&test, i);
  for (guint i = 2; i < 6; i++)
    test_check_next (&test, i);
  g_object_set (test.element, "batch-timeout", (guint64) 5 * GST_MSECOND, NULL);
  fail_unless (gst_element_query (test.element, query));
  gst_query_parse_latency (query, NULL, &min, &max);
  fail_unless_equals_uint64 (min, 5 * GST_MSECOND);
  gst_query_unref (query);
  test_element_free (&test);
}
GST_END_TEST;

/* What cannot be followed by more frames is not kept waiting: the end of the stream, an event. */
GST_START_TEST (test_end_is_urgent)
{
  TestElement test = infer_new ("int8infer batch-size=8 batch-timeout=60000000000");

  test_push (&test, 1);
  test_push (&test, 2);
  fail_unless (gst_harness_push_event (test.h, gst_event_new_eos ()));
  test_check_next (&test, 1);
  test_check_next (&test, 2);
  test_element_free (&test);
}
GST_END_TEST;

/* Downstream of one blocks; the other goes on, and so does the first once it may. */
static GstPadProbeReturn
hold (GstPad *pad, GstPadProbeInfo *info, gpointer data)
{
  return GST_PAD_PROBE_OK; /* blocks until it is removed */
}

GST_START_TEST (test_one_is_held_up)
{
  TestElement held = infer_new ("int8infer instance-id=b batch-size=2");
  TestElement other = infer_new ("int8infer instance-id=b");
  GstPad *pad = gst_element_get_static_pad (held.element, "src");
  gulong probe;

  wait_for_engine (&other);
  probe = gst_pad_add_probe (pad, GST_PAD_PROBE_TYPE_BLOCK | GST_PAD_PROBE_TYPE_BUFFER, hold, NULL,
      NULL);
  for (guint i = 0; i < 3; i++)
    test_push (&held, i);
  for (guint i = 0; i < 50; i++) {
    test_push (&other, i);
    test_check_next (&other, i);
  }
  fail_unless_equals_int (gst_harness_buffers_in_queue (held.h), 0);
  gst_pad_remove_probe (pad, probe);
  for (guint i = 0; i < 3; i++)
    test_check_next (&held, i);
  gst_object_unref (pad);
  test_element_free (&held);
  test_element_free (&other);
}
GST_END_TEST;

/* A buffer that does not hold its frame ends its own stream only, though it shares a batch. */
GST_START_TEST (test_error_of_one)
{
  TestElement bad = infer_new ("int8infer instance-id=c batch-size=2 batch-timeout=60000000000");
  TestElement good = infer_new ("int8infer instance-id=c batch-timeout=60000000000");
  GstBuffer *torn = test_small_frame (7);

  gst_buffer_set_size (torn, 100);
  wait_for_engine (&good);
  test_push (&good, 1);
  fail_unless_equals_int (gst_harness_push (bad.h, torn), GST_FLOW_OK);
  test_check_next (&good, 1);
  test_expect_error (bad.bus, "100 bytes", NULL);
  test_element_free (&bad);
  g_object_set (good.element, "batch-timeout", (guint64) 0, NULL);
  for (guint i = 2; i < 10; i++) {
    test_push (&good, i);
    test_check_next (&good, i);
  }
  test_expect_no_error (good.bus);
  test_element_free (&good);
}
GST_END_TEST;

/* A flush takes back the frames of its own stream from a batch that waits. */
GST_START_TEST (test_flush_of_one)
{
  TestElement one = infer_new ("int8infer instance-id=d batch-size=3 batch-timeout=60000000000");
  TestElement second = infer_new ("int8infer instance-id=d batch-timeout=60000000000");
  GstSegment segment;

  wait_for_engine (&second);
  test_push (&one, 1);
  test_push (&second, 2);
  fail_unless (gst_harness_push_event (one.h, gst_event_new_flush_start ()));
  fail_unless (gst_harness_push_event (one.h, gst_event_new_flush_stop (TRUE)));
  gst_segment_init (&segment, GST_FORMAT_TIME);
  fail_unless (gst_harness_push_event (one.h, gst_event_new_segment (&segment)));
  test_push (&second, 3);
  test_push (&one, 4); /* the third */
  test_check_next (&second, 2);
  test_check_next (&second, 3);
  test_check_next (&one, 4);
  fail_unless_equals_int (gst_harness_buffers_received (one.h), 1);
  test_element_free (&one);
  test_element_free (&second);
}
GST_END_TEST;

/* The one that came first, and spoke for the network, goes; a new table comes through another. */
GST_START_TEST (test_first_leaves)
{
  TestElement one = infer_new ("int8infer instance-id=e");
  TestElement second = infer_new ("int8infer instance-id=e");
  TestElement third;
  GstStructure *message;
  gboolean swapped;

  wait_for_engine (&second);
  test_push (&one, 1);
  test_check_next (&one, 1);
  test_element_free (&one);
  test_push (&second, 2);
  test_check_next (&second, 2);
  g_object_set (second.element, "ranges", 1, NULL);
  message = test_wait_message (second.bus, "int8-engine", 20);
  fail_unless (message && gst_structure_get_boolean (message, "swapped", &swapped) && swapped);
  gst_structure_free (message);
  third = infer_new ("int8infer instance-id=e model=\"\"");
  wait_for_engine (&third);
  test_element_free (&second);
  test_push (&third, 5);
  gst_buffer_unref (gst_harness_pull (third.h));
  test_element_free (&third);
}
GST_END_TEST;

/* Another model needs another id; and so does one whose network could not be made. */
GST_START_TEST (test_who_may_not_join)
{
  TestElement one = infer_new ("int8infer instance-id=f");
  TestElement other;

  wait_for_engine (&one);
  other.element = test_element_new ("int8infer instance-id=f model=/other.onnx precision=fp32",
      &other.bus);
  other.h = NULL;
  fail_unless_equals_int (gst_element_set_state (other.element, GST_STATE_PAUSED),
      GST_STATE_CHANGE_FAILURE);
  test_expect_error (other.bus, "instance-id \"f\"", "/other.onnx", NULL);
  test_element_free (&other);
  test_push (&one, 3);
  test_check_next (&one, 3);
  test_element_free (&one);
}
GST_END_TEST;

#define STREAMS 16
#define FRAMES  60

typedef struct {
  TestElement test;
  guint stream;
} Stream;

static gpointer
run_stream (gpointer data)
{
  Stream *stream = data;

  for (guint i = 0; i < FRAMES; i++) {
    test_push (&stream->test, i);
    if (stream->stream % 3 == 0 && i % 20 == 19) {
      GstSegment segment;

      fail_unless (gst_harness_push_event (stream->test.h, gst_event_new_flush_start ()));
      fail_unless (gst_harness_push_event (stream->test.h, gst_event_new_flush_stop (TRUE)));
      gst_segment_init (&segment, GST_FORMAT_TIME);
      fail_unless (gst_harness_push_event (stream->test.h, gst_event_new_segment (&segment)));
    }
  }
  return NULL;
}

/* Streams of their own threads, some of which flush: the others lose nothing and keep their order. */
GST_START_TEST (test_many_streams)
{
  Stream streams[STREAMS];
  GThread *threads[STREAMS];

  for (guint s = 0; s < STREAMS; s++) {
    streams[s].test = infer_new (s % 2 ? "int8infer instance-id=g batch-timeout=1000000"
                                       : "int8infer instance-id=g batch-size=8");
    streams[s].stream = s;
  }
  for (guint s = 0; s < STREAMS; s++)
    threads[s] = g_thread_new ("stream", run_stream, &streams[s]);
  for (guint s = 0; s < STREAMS; s++) {
    g_thread_join (threads[s]);
    if (s % 3)
      for (guint i = 0; i < FRAMES; i++) {
        GstBuffer *out = gst_harness_pull (streams[s].test.h);

        fail_unless_equals_uint64 (GST_BUFFER_OFFSET (out), i);
        fail_unless_equals_int (test_result (out).n, 1);
        gst_buffer_unref (out);
      }
    test_expect_no_error (streams[s].test.bus);
  }
  for (guint s = 0; s < STREAMS; s++)
    test_element_free (&streams[s].test);
}
GST_END_TEST;

static Suite *
make_suite (void)
{
  Suite *suite = suite_create ("int8infer shared");
  TCase *tcase = tcase_create ("shared");

  tcase_set_timeout (tcase, 90);
  suite_add_tcase (suite, tcase);
  tcase_add_checked_fixture (tcase, test_setup, test_teardown);
  tcase_add_test (tcase, test_batches_of_all);
  tcase_add_test (tcase, test_no_model);
  tcase_add_test (tcase, test_model_later);
  tcase_add_test (tcase, test_change_after_failure);
  tcase_add_test (tcase, test_change_by_any);
  tcase_add_test (tcase, test_timeout);
  tcase_add_test (tcase, test_end_is_urgent);
  tcase_add_test (tcase, test_one_is_held_up);
  tcase_add_test (tcase, test_error_of_one);
  tcase_add_test (tcase, test_flush_of_one);
  tcase_add_test (tcase, test_first_leaves);
  tcase_add_test (tcase, test_who_may_not_join);
  tcase_add_test (tcase, test_many_streams);
  return suite;
}

int
main (int argc, char **argv)
{
  return test_main (argc, argv, "infer-shared", make_suite);
}
