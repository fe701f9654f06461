/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * infer-bundle.c: int8infer on multistream/x-analytics-batch. Bundles are made by hand; the last test has
 * those of analyticscombiner, where that is installed.
 */
#include "tests/gst/common-bundle.h"

#include <string.h>

/* --- What comes out -------------------------------------------------------------------------- */

/* Streams of any format and size, with events between their frames: everything is where it was, itself, and
 * each frame has its results, whatever the batches of the network. */
GST_START_TEST (test_streams)
{
  static const char *launch[] = {"int8infer", "int8infer batch-size=3",
      "int8infer batch-size=16 batch-timeout=2000000"};
  TestElement test =
      test_infer_new (launch[__i__], test_bundle_caps (test_caps (GST_VIDEO_FORMAT_GRAY8, 28, 28),
                                         test_caps (GST_VIDEO_FORMAT_NV12, 64, 48),
                                         test_caps (GST_VIDEO_FORMAT_RGB, 120, 90), NULL));

  for (guint round = 0; round < 3; round++) {
    GstBuffer *bundle = test_bundle_new (3), *out;
    GstBuffer *frames[] = {test_small_frame (round),
        test_frame (GST_VIDEO_FORMAT_NV12, 64, 48, 10 + round),
        test_frame (GST_VIDEO_FORMAT_NV12, 64, 48, 20 + round)};
    GstEvent *gap = gst_event_new_gap (0, GST_SECOND);

    test_bundle_begin (bundle, 0, "a", test_caps (GST_VIDEO_FORMAT_GRAY8, 28, 28), 0);
    test_bundle_begin (bundle, 1, "b", test_caps (GST_VIDEO_FORMAT_NV12, 64, 48), 0);
    test_bundle_begin (bundle, 2, "c", test_caps (GST_VIDEO_FORMAT_RGB, 120, 90), 0);
    test_bundle_add (bundle, 0, frames[0]);
    test_bundle_add (bundle, 1, frames[1]);
    test_bundle_add (bundle, 1, gap);
    test_bundle_add (bundle, 1, frames[2]);
    for (guint i = 0; round == 1 && i < 20; i++)
      test_bundle_add (bundle, 2, test_frame (GST_VIDEO_FORMAT_RGB, 120, 90, 30 + i));

    GST_BUFFER_PTS (bundle) = round * GST_SECOND;
    out = gst_harness_push_and_pull (test.h, bundle);
    fail_unless (out == bundle);
    fail_unless_equals_uint64 (GST_BUFFER_PTS (out), round * GST_SECOND);
    fail_unless (test_bundle_get (out, 0, 0) == frames[0]);
    fail_unless (test_bundle_get (out, 1, 0) == frames[1]);
    fail_unless (test_bundle_get (out, 1, 1) == gap);
    fail_unless (test_bundle_get (out, 1, 2) == frames[2]);
    test_bundle_check_frame (frames[0], 28, 28, round, TRUE);
    test_bundle_check_frame (frames[1], 64, 48, 10 + round, TRUE);
    test_bundle_check_frame (frames[2], 64, 48, 20 + round, TRUE);
    fail_unless_equals_int (test_bundle_length (out, 2), round == 1 ? 20 : 0);
    for (guint i = 0; i < test_bundle_length (out, 2); i++)
      test_bundle_check_frame (test_bundle_get (out, 2, i), 120, 90, 30 + i, TRUE);
    gst_buffer_unref (out);
  }
  fail_unless_equals_uint64 (test_stat (&test, "frames"), 3 * 3 + 20);
  test_expect_no_error (test.bus);
  test_element_free (&test);
}
GST_END_TEST;

/* What analyticssplitter's readers find on a frame is what they find on one that was never in a bundle. */
GST_START_TEST (test_metadata)
{
  TestElement test = test_bundle_infer ("int8infer top-k=2");
  const Classes expected = test_expected (ENGINE_PRECISION_INT8, 28, 28, 4, 2);
  GstVideoRegionOfInterestMeta *region;
  GstAnalyticsClsMtd classes;
  GstBuffer *bundle = test_bundle_of_two (), *out;
  gpointer state = NULL;

  test_bundle_add (bundle, 1, test_small_frame (4));
  bundle = gst_harness_push_and_pull (test.h, bundle);
  out = test_bundle_get (bundle, 1, 0);
  test_check_classes (out, &expected);
  region = gst_buffer_get_video_region_of_interest_meta (out);
  fail_unless (region && gst_video_region_of_interest_meta_get_param (region, "classification"));
  fail_unless (gst_analytics_relation_meta_iterate (gst_buffer_get_analytics_relation_meta (out),
      &state, gst_analytics_cls_mtd_get_mtd_type (), &classes));
  fail_unless_equals_int (gst_analytics_cls_mtd_get_length (&classes), 2);
  fail_unless_equals_float (gst_analytics_cls_mtd_get_level (&classes, 0),
      (float) expected.confidences[0]);
  gst_buffer_unref (bundle);
  test_element_free (&test);
}
GST_END_TEST;

/* In turn of one stream and the other. */
static GstBuffer *
bundle_of_four (guint first)
{
  GstBuffer *bundle = test_bundle_of_two ();

  for (guint i = 0; i < 4; i++)
    test_bundle_add (bundle, i % 2, test_small_frame (first + i));
  return bundle;
}

/* Frames of all streams fill one batch of the network, and nothing waits longer. */
GST_START_TEST (test_one_batch)
{
  TestElement test = test_bundle_infer ("int8infer batch-size=4 batch-timeout=60000000000");

  for (guint round = 0; round < 3; round++)
    test_bundle_pass (&test, bundle_of_four (round));
  fail_unless (test_batch_fill (&test) == 4);
  /* One frame does not fill a batch; where EOS comes next no other will. */
  {
    GstBuffer *bundle = test_bundle_of_two ();

    test_bundle_add (bundle, 0, test_small_frame (9));
    fail_unless_equals_int (gst_harness_push (test.h, bundle), GST_FLOW_OK);
    fail_unless (gst_harness_push_event (test.h, gst_event_new_eos ()));
    bundle = gst_harness_pull (test.h);
    test_bundle_check (bundle, 0, 0, 9, TRUE);
    gst_buffer_unref (bundle);
  }
  test_element_free (&test);
}
GST_END_TEST;

/* Bundles without frames keep their place between others, and so do those without anything. */
GST_START_TEST (test_empty)
{
  TestElement test = test_bundle_infer ("int8infer batch-size=4 batch-timeout=1000000");

  for (guint i = 0; i < 6; i++) {
    GstBuffer *bundle = i == 2 ? test_bundle_new (0) : test_bundle_of_two ();

    if (i % 2 == 1)
      test_bundle_add (bundle, 0, test_small_frame (i));
    if (i == 4)
      test_bundle_add (bundle, 1, gst_event_new_eos ());
    GST_BUFFER_OFFSET (bundle) = i;
    fail_unless_equals_int (gst_harness_push (test.h, bundle), GST_FLOW_OK);
  }
  for (guint i = 0; i < 6; i++) {
    GstBuffer *out = gst_harness_pull (test.h);

    fail_unless_equals_uint64 (GST_BUFFER_OFFSET (out), i);
    if (i % 2 == 1)
      test_bundle_check (out, 0, 0, i, TRUE);
    gst_buffer_unref (out);
  }
  fail_unless_equals_uint64 (test_stat (&test, "frames"), 3);
  test_element_free (&test);
}
GST_END_TEST;

/* Lists of frames, between single ones; a list that somebody else holds stays as it was. */
GST_START_TEST (test_lists)
{
  TestElement test =
      test_bundle_infer (__i__ ? "int8infer batch-size=2" : "int8infer batch-size=8");

  for (guint round = 0; round < 2; round++) {
    GstBuffer *bundle = test_bundle_of_two ();
    GstBufferList *list = gst_buffer_list_new (), *out;

    for (guint i = 0; i < 5; i++)
      gst_buffer_list_add (list, test_small_frame (10 + i));
    test_bundle_add (bundle, 0, test_small_frame (1));
    test_bundle_add (bundle, 0, round ? gst_buffer_list_ref (list) : list);
    test_bundle_add (bundle, 0, gst_buffer_list_new ());
    test_bundle_add (bundle, 0, test_small_frame (2));
    bundle = gst_harness_push_and_pull (test.h, bundle);
    test_bundle_check (bundle, 0, 0, 1, TRUE);
    test_bundle_check (bundle, 0, 3, 2, TRUE);
    out = test_bundle_get (bundle, 0, 1);
    fail_unless (GST_IS_BUFFER_LIST (out));
    fail_unless ((out == list) == (round == 0));
    fail_unless_equals_int (gst_buffer_list_length (out), 5);
    for (guint i = 0; i < 5; i++) {
      test_bundle_check_frame (gst_buffer_list_get (out, i), 28, 28, 10 + i, TRUE);
      if (round)
        test_bundle_check_frame (gst_buffer_list_get (list, i), 28, 28, 10 + i, FALSE);
    }
    fail_unless_equals_int (gst_buffer_list_length (test_bundle_get (bundle, 0, 2)), 0);
    gst_buffer_unref (bundle);
    if (round)
      gst_buffer_list_unref (list);
  }
  test_element_free (&test);
}
GST_END_TEST;

/* A bundle, or a frame in it, that somebody else holds stays as it was; no pixel is copied. */
GST_START_TEST (test_shared)
{
  TestElement test = test_bundle_infer ("int8infer batch-size=2");
  GstBuffer *bundle = test_bundle_of_two (), *frame = test_small_frame (3), *out;
  GstMemory *memory = gst_buffer_peek_memory (frame, 0);

  test_bundle_add (bundle, 0, frame);
  out = gst_harness_push_and_pull (test.h, gst_buffer_ref (bundle));
  fail_unless (out != bundle);
  fail_unless (test_bundle_get (bundle, 0, 0) == frame);
  test_bundle_check (bundle, 0, 0, 3, FALSE);
  test_bundle_check (out, 0, 0, 3, TRUE);
  fail_unless (gst_buffer_peek_memory (test_bundle_get (out, 0, 0), 0) == memory);
  gst_buffer_unref (out);

  gst_buffer_ref (frame);
  out = gst_harness_push_and_pull (test.h, bundle);
  fail_unless (out == bundle);
  fail_unless (test_bundle_get (out, 0, 0) != frame);
  test_bundle_check_frame (frame, 28, 28, 3, FALSE);
  test_bundle_check (out, 0, 0, 3, TRUE);
  fail_unless (gst_buffer_peek_memory (test_bundle_get (out, 0, 0), 0) == memory);
  gst_buffer_unref (out);
  gst_buffer_unref (frame);
  test_element_free (&test);
}
GST_END_TEST;

/* --- Around it ------------------------------------------------------------------------------- */

/* A thread that pushes bundles of four frames. */
typedef struct {
  GstHarness *h;
  guint n;
  int pushed; /* atomic */
} Pusher;

static gpointer
push_bundles (gpointer data)
{
  Pusher *pusher = data;

  for (guint i = 0; i < pusher->n; i++) {
    if (gst_harness_push (pusher->h, bundle_of_four (4 * i)) != GST_FLOW_OK)
      break;
    g_atomic_int_inc (&pusher->pushed);
  }
  return NULL;
}

static GThread *
start_pushing (Pusher *pusher, int until)
{
  GThread *thread = g_thread_new ("bundles", push_bundles, pusher);

  while (g_atomic_int_get (&pusher->pushed) < until)
    g_usleep (1000);
  return thread;
}

static GstCaps *
caps_of_two (void)
{
  return test_bundle_caps (test_small_caps (), test_small_caps (), NULL);
}

/* Flushed, or stopped, while the network is built: some frames of a bundle are under way, others are still in
 * it, another bundle is queued. Nothing leaks (the fixture looks), and what comes after a flush is as ever. */
GST_START_TEST (test_flush)
{
  const char *launch = __i__ % 2 ? "int8infer batch-size=3" : "int8infer";
  TestGate gate;
  TestElement test = test_infer_at_gate (&gate, launch, caps_of_two ());
  Pusher pusher = {.h = test.h, .n = 5};
  GThread *thread = start_pushing (&pusher, 2);
  GstSegment segment;

  fail_unless (gst_harness_push_event (test.h, gst_event_new_flush_start ()));
  g_thread_join (thread);
  test_gate_open (&gate);
  if (__i__ < 2) {
    fail_unless (gst_harness_push_event (test.h, gst_event_new_flush_stop (TRUE)));
    gst_segment_init (&segment, GST_FORMAT_TIME);
    fail_unless (gst_harness_push_event (test.h, gst_event_new_segment (&segment)));
    test_bundle_pass (&test, bundle_of_four (3));
  }
  test_gate_clear (&gate, test.bus);
  test_element_free (&test);
}
GST_END_TEST;

/* The queue counts frames, not bundles: three of four frames are in the element while nothing leaves it, and
 * the next one waits. */
GST_START_TEST (test_queue)
{
  TestGate gate;
  TestElement test = test_infer_at_gate (&gate, "int8infer batch-size=4", caps_of_two ());
  Pusher pusher = {.h = test.h, .n = 9};
  GThread *thread = start_pushing (&pusher, 3);

  g_usleep (50000);
  fail_unless_equals_int (g_atomic_int_get (&pusher.pushed), 3);
  test_gate_open (&gate);
  for (guint i = 0; i < 9; i++) {
    GstBuffer *bundle = gst_harness_pull (test.h);

    for (guint k = 0; k < 4; k++)
      test_bundle_check (bundle, k % 2, k / 2, 4 * i + k, TRUE);
    gst_buffer_unref (bundle);
  }
  g_thread_join (thread);
  test_gate_clear (&gate, test.bus);
  test_element_free (&test);
}
GST_END_TEST;

GST_START_TEST (test_no_metadata)
{
  TestElement test = test_bundle_infer ("int8infer");
  GstFlowReturn result = GST_FLOW_OK;

  for (guint i = 0; i < 10 && result == GST_FLOW_OK; i++)
    result = gst_harness_push (test.h, gst_buffer_new ());
  fail_unless_equals_int (result, GST_FLOW_ERROR);
  test_expect_error (test.bus, "GstAnalyticsBatchMeta", NULL);
  test_element_free (&test);
}
GST_END_TEST;

GST_START_TEST (test_async)
{
  TestElement test = test_bundle_infer ("int8infer async=true");
  GstFlowReturn result = GST_FLOW_OK;

  for (guint i = 0; i < 10 && result == GST_FLOW_OK; i++)
    result = gst_harness_push (test.h, test_bundle_of_two ());
  fail_unless_equals_int (result, GST_FLOW_NOT_NEGOTIATED);
  test_expect_error (test.bus, "async=false", "instance-id", NULL);
  test_element_free (&test);
}
GST_END_TEST;

/* A stream of frames after one of bundles, and the other way round. */
GST_START_TEST (test_bundles_and_frames)
{
  TestElement test = test_bundle_infer ("int8infer batch-size=2");

  for (guint round = 0; round < 4; round++) {
    if (round % 2) {
      gst_harness_set_src_caps (test.h, test_small_caps ());
      test_push (&test, round);
      test_check_next (&test, round);
    } else {
      gst_harness_set_src_caps (test.h, caps_of_two ());
      test_bundle_pass (&test, bundle_of_four (round));
    }
  }
  test_element_free (&test);
}
GST_END_TEST;

/* --- GStreamer's own elements ---------------------------------------------------------------- */

static void
count_results (GstElement *sink, GstBuffer *buffer, GstPad *pad, guint *count)
{
  *count += test_result (buffer).n == 1 ? 1 : 1000;
}

static void
link_stream (GstElement *splitter, GstPad *pad, GstElement *pipeline)
{
  g_autofree char *name = g_strdup_printf ("sink%c", GST_PAD_NAME (pad)[strlen ("src_0_")]);
  g_autoptr (GstElement) sink = gst_bin_get_by_name (GST_BIN (pipeline), name);
  g_autoptr (GstPad) into = gst_element_get_static_pad (sink, "sink");

  fail_unless_equals_int (gst_pad_link (pad, into), GST_PAD_LINK_OK);
}

/* analyticscombiner and analyticssplitter (gst-plugins-rs), where they are installed. */
GST_START_TEST (test_combiner)
{
  g_autofree char *launch = NULL;
  g_autoptr (GstElement) pipeline = NULL, splitter = NULL;
  g_autoptr (GstMessage) message = NULL;
  g_autoptr (GstBus) bus = NULL;
  guint counts[3] = {0};

  if (!gst_registry_check_feature_version (gst_registry_get (), "analyticscombiner", 0, 0, 0)) {
    g_print ("SKIP test_combiner: there is no analyticscombiner (gst-plugins-rs)\n");
    return;
  }
  launch = g_strdup_printf (
      "analyticscombiner name=c batch-duration=100000000 ! int8infer batch-size=8 model=%s "
      "calibration-table=%s ! analyticssplitter name=s "
      "videotestsrc num-buffers=40 ! video/x-raw,format=GRAY8,width=28,height=28,framerate=20/1 ! c.sink_0 "
      "videotestsrc num-buffers=20 ! video/x-raw,format=NV12,width=64,height=48,framerate=10/1 ! c.sink_1 "
      "videotestsrc num-buffers=7 ! video/x-raw,format=RGB,width=120,height=90,framerate=30/1 ! c.sink_2 "
      "fakesink name=sink0 signal-handoffs=true async=false fakesink name=sink1 signal-handoffs=true "
      "async=false fakesink name=sink2 signal-handoffs=true async=false",
      test_model (), test_table ());
  pipeline = gst_object_ref_sink (gst_parse_launch (launch, NULL));
  splitter = gst_bin_get_by_name (GST_BIN (pipeline), "s");
  g_signal_connect (splitter, "pad-added", G_CALLBACK (link_stream), pipeline);
  for (guint i = 0; i < 3; i++) {
    g_autofree char *name = g_strdup_printf ("sink%u", i);
    g_autoptr (GstElement) sink = gst_bin_get_by_name (GST_BIN (pipeline), name);

    g_signal_connect (sink, "handoff", G_CALLBACK (count_results), &counts[i]);
  }
  gst_element_set_state (pipeline, GST_STATE_PLAYING);
  bus = gst_element_get_bus (pipeline);
  message = test_pop (bus, GST_MESSAGE_EOS | GST_MESSAGE_ERROR | GST_MESSAGE_WARNING, 60);
  fail_unless (message && GST_MESSAGE_TYPE (message) == GST_MESSAGE_EOS);
  fail_unless_equals_int (counts[0], 40);
  fail_unless_equals_int (counts[1], 20);
  fail_unless_equals_int (counts[2], 7);
  gst_element_set_state (pipeline, GST_STATE_NULL);
}
GST_END_TEST;

static Suite *
make_suite (void)
{
  Suite *suite = suite_create ("infer-bundle");
  TCase *tcase = tcase_create ("bundle");

  suite_add_tcase (suite, tcase);
  tcase_set_timeout (tcase, 60);
  tcase_add_checked_fixture (tcase, test_setup, test_teardown);
  tcase_add_loop_test (tcase, test_streams, 0, 3);
  tcase_add_test (tcase, test_metadata);
  tcase_add_test (tcase, test_one_batch);
  tcase_add_test (tcase, test_empty);
  tcase_add_loop_test (tcase, test_lists, 0, 2);
  tcase_add_test (tcase, test_shared);
  tcase_add_loop_test (tcase, test_flush, 0, 4);
  tcase_add_test (tcase, test_queue);
  tcase_add_test (tcase, test_no_metadata);
  tcase_add_test (tcase, test_async);
  tcase_add_test (tcase, test_bundles_and_frames);
  tcase_add_test (tcase, test_combiner);
  return suite;
}

int
main (int argc, char **argv)
{
  return test_main (argc, argv, "infer-bundle", make_suite);
}
