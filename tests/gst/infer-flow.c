/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* infer-flow.c: int8infer as a filter: order, caps in mid-stream, its engine file, late frames. */
#include "tests/gst/common.h"

#include <string.h>

static void
push_frames (TestElement *test, guint first, guint n)
{
  for (guint i = first; i < first + n; i++)
    fail_unless_equals_int (gst_harness_push (test->h, test_small_frame (i)), GST_FLOW_OK);
}

typedef struct {
  guint buffers, events;
} Seen;

static GstPadProbeReturn
check_serial (GstPad *pad, GstPadProbeInfo *info, gpointer data)
{
  Seen *seen = data;

  if (GST_IS_BUFFER (info->data)) {
    fail_unless_equals_uint64 (GST_BUFFER_OFFSET (GST_BUFFER (info->data)), seen->buffers);
    seen->buffers++;
  } else if (GST_EVENT_TYPE (info->data) == GST_EVENT_CUSTOM_DOWNSTREAM) {
    guint after;

    gst_structure_get_uint (gst_event_get_structure (GST_EVENT (info->data)), "after", &after);
    fail_unless_equals_int (seen->buffers, after + 1);
    seen->events++;
  } else if (GST_EVENT_TYPE (info->data) == GST_EVENT_EOS) {
    fail_unless_equals_int (seen->buffers, 40);
    seen->events++;
  }
  return GST_PAD_PROBE_OK;
}

/* Buffers, events among them, and EOS leave in the order in which they came, at any batch size. */
GST_START_TEST (test_order)
{
  g_autofree char *launch = g_strdup_printf ("int8infer batch-size=%d", 1 + 3 * __i__);
  TestElement test = test_infer_new (launch, test_small_caps ());
  GstPad *pad = gst_element_get_static_pad (test.element, "src");
  Seen seen = {0};
  GstEvent *event;
  gboolean eos = FALSE;

  gst_pad_add_probe (pad, GST_PAD_PROBE_TYPE_BUFFER | GST_PAD_PROBE_TYPE_EVENT_DOWNSTREAM,
      check_serial, &seen, NULL);
  for (guint i = 0; i < 40; i++) {
    push_frames (&test, i, 1);
    if (i % 5 == 2)
      gst_harness_push_event (test.h,
          gst_event_new_custom (GST_EVENT_CUSTOM_DOWNSTREAM,
              gst_structure_new ("mark", "after", G_TYPE_UINT, i, NULL)));
  }
  gst_harness_push_event (test.h, gst_event_new_eos ());
  while (!eos && (event = gst_harness_pull_event (test.h))) {
    eos = GST_EVENT_TYPE (event) == GST_EVENT_EOS;
    gst_event_unref (event);
  }
  fail_unless (eos);
  fail_unless_equals_int (seen.buffers, 40);
  fail_unless_equals_int (seen.events, 8 + 1);
  for (guint i = 0; i < 40; i++) {
    GstBuffer *out = gst_harness_pull (test.h);

    if (i % 13 == 0) {
      const Classes expected = test_expected (ENGINE_PRECISION_INT8, 28, 28, i, 1);

      test_check_classes (out, &expected);
    }
    gst_buffer_unref (out);
  }
  gst_object_unref (pad);
  test_element_free (&test);
}
GST_END_TEST;

/* Size and format change in mid-stream, with frames of the old caps still queued. */
GST_START_TEST (test_renegotiation)
{
  static const struct {
    GstVideoFormat format;
    int width, height;
  } stages[] = {{GST_VIDEO_FORMAT_NV12, 640, 360}, {GST_VIDEO_FORMAT_GRAY8, 28, 28},
      {GST_VIDEO_FORMAT_BGRA, 33, 77}, {GST_VIDEO_FORMAT_I420, 1280, 720},
      {GST_VIDEO_FORMAT_NV12, 640, 360}};
  TestElement test = test_infer_new (__i__ ? "int8infer batch-size=4" : "int8infer",
      test_caps (stages[0].format, stages[0].width, stages[0].height));

  for (guint s = 0; s < G_N_ELEMENTS (stages); s++) {
    gst_harness_set_src_caps (test.h,
        test_caps (stages[s].format, stages[s].width, stages[s].height));
    for (guint i = 0; i < 3; i++)
      fail_unless_equals_int (
          gst_harness_push (test.h,
              test_frame (stages[s].format, stages[s].width, stages[s].height, 10 * s + i)),
          GST_FLOW_OK);
  }
  for (guint s = 0; s < G_N_ELEMENTS (stages); s++)
    for (guint i = 0; i < 3; i++) {
      const Classes expected =
          test_expected (ENGINE_PRECISION_INT8, stages[s].width, stages[s].height, 10 * s + i, 1);
      GstBuffer *out = gst_harness_pull (test.h);

      fail_unless_equals_uint64 (GST_BUFFER_OFFSET (out), 10 * s + i);
      test_check_classes (out, &expected);
      gst_buffer_unref (out);
    }
  test_expect_no_error (test.bus);
  test_element_free (&test);
}
GST_END_TEST;

/* The engine is built once, then loaded; the bus says which and why. */
GST_START_TEST (test_engine_file)
{
  static const struct {
    const char *ranges;
    gboolean built;
  } runs[] = {{"full", TRUE}, {"full", FALSE}, {"symmetric", TRUE}, {"symmetric", FALSE}};

  for (guint run = 0; run < G_N_ELEMENTS (runs); run++) {
    g_autofree char *launch = g_strdup_printf ("int8infer engine=%s ranges=%s",
        test_path ("lenet.engine"), runs[run].ranges);
    TestElement test = test_infer_new (launch, test_small_caps ());
    GstStructure *message = test_wait_message (test.bus, "int8-engine", 20);
    gboolean built;
    int layers;

    fail_unless (message != NULL);
    fail_unless (gst_structure_get_boolean (message, "built", &built));
    fail_unless_equals_int (built, runs[run].built);
    fail_unless_equals_string (gst_structure_get_string (message, "path"),
        test_path ("lenet.engine"));
    fail_unless ((gst_structure_get_string (message, "reason") != NULL) == built);
    if (built)
      fail_unless (gst_structure_get_int (message, "layers-int8", &layers) && layers > 0);
    gst_structure_free (message);
    test_element_free (&test);
  }
}
GST_END_TEST;

/* Tuned once, and no frame gets other classes for it. What there is to choose depends on the CPU. */
GST_START_TEST (test_tune)
{
  g_autofree char *launch =
      g_strdup_printf ("int8infer tune=true threads=2 engine=%s", test_path ("tuned.engine"));
  const Classes expected = test_expected (ENGINE_PRECISION_INT8, 64, 48, 3, 1);
  gboolean first_tuned = FALSE;

  for (int run = 0; run < 3; run++) {
    TestElement test = test_infer_new (run < 2 ? launch : "int8infer threads=2",
        test_caps (GST_VIDEO_FORMAT_RGB, 64, 48));
    GstBuffer *out =
        gst_harness_push_and_pull (test.h, test_frame (GST_VIDEO_FORMAT_RGB, 64, 48, 3));
    GstStructure *message = test_wait_message (test.bus, "int8-engine", 20);
    const char *tactics;
    gboolean tuned;

    fail_unless (message != NULL && out != NULL);
    test_check_classes (out, &expected);
    gst_buffer_unref (out);
    fail_unless (gst_structure_get_boolean (message, "tuned", &tuned));
    tactics = gst_structure_get_string (message, "tactics");
    fail_unless (tactics != NULL);
    fail_unless (run == 0 || !tuned);
    if (run == 0)
      first_tuned = tuned;
    if (run < 2)
      fail_unless_equals_int (g_str_has_prefix (tactics, "timed on this machine"), first_tuned);
    gst_structure_free (message);
    test_element_free (&test);
  }
}
GST_END_TEST;

GST_START_TEST (test_stats)
{
  TestElement test = test_infer_new ("int8infer", test_small_caps ());
  GstStructure *stats;
  guint64 frames, dropped, p50, p99, inference;
  double fps;

  g_object_get (test.element, "stats", &stats, NULL);
  gst_structure_get (stats, "frames", G_TYPE_UINT64, &frames, "latency-p99", G_TYPE_UINT64, &p99,
      NULL);
  fail_unless (frames == 0 && p99 == 0);
  gst_structure_free (stats);
  for (guint i = 0; i < 20; i++)
    gst_buffer_unref (gst_harness_push_and_pull (test.h, test_small_frame (i)));
  g_object_get (test.element, "stats", &stats, NULL);
  fail_unless (gst_structure_get (stats, "frames", G_TYPE_UINT64, &frames, "dropped", G_TYPE_UINT64,
      &dropped, "fps", G_TYPE_DOUBLE, &fps, "latency-p50", G_TYPE_UINT64, &p50, "latency-p99",
      G_TYPE_UINT64, &p99, "inference-p50", G_TYPE_UINT64, &inference, NULL));
  fail_unless_equals_uint64 (frames, 20);
  fail_unless_equals_uint64 (dropped, 0);
  fail_unless (fps > 0 && p50 > 0 && p50 <= p99 && inference <= p99);
  gst_structure_free (stats);
  test_element_free (&test);
}
GST_END_TEST;

/* A frame that its sink calls late is passed on without a result; without qos it is not. */
GST_START_TEST (test_qos)
{
  TestElement test = test_infer_new ("int8infer qos=true", test_small_caps ());
  GstStructure *stats;
  GstSegment segment;
  GstMessage *message;
  guint64 dropped;
  GstBuffer *out;

  out = gst_harness_push_and_pull (test.h, test_small_frame (1));
  fail_unless_equals_int (test_result (out).n, 1);
  gst_buffer_unref (out);
  /* Frame 1 was 2 frames late: what is due before 1 + 2 * 2 + 1 comes too late. */
  gst_harness_push_upstream_event (test.h,
      gst_event_new_qos (GST_QOS_TYPE_UNDERFLOW, 1.5, 2 * (GstClockTimeDiff) TEST_FRAME_DURATION,
          TEST_FRAME_DURATION));
  out = gst_harness_push_and_pull (test.h, test_small_frame (5));
  fail_unless_equals_int (test_result (out).n, 0);
  gst_buffer_unref (out);
  out = gst_harness_push_and_pull (test.h, test_small_frame (6));
  fail_unless_equals_int (test_result (out).n, 1);
  gst_buffer_unref (out);
  g_object_set (test.element, "qos", FALSE, NULL);
  out = gst_harness_push_and_pull (test.h, test_small_frame (4));
  fail_unless_equals_int (test_result (out).n, 1);
  gst_buffer_unref (out);

  /* A seek makes a new start. */
  g_object_set (test.element, "qos", TRUE, NULL);
  fail_unless (gst_harness_push_event (test.h, gst_event_new_flush_start ()));
  fail_unless (gst_harness_push_event (test.h, gst_event_new_flush_stop (TRUE)));
  gst_segment_init (&segment, GST_FORMAT_TIME);
  fail_unless (gst_harness_push_event (test.h, gst_event_new_segment (&segment)));
  out = gst_harness_push_and_pull (test.h, test_small_frame (0));
  fail_unless_equals_int (test_result (out).n, 1);
  gst_buffer_unref (out);

  g_object_get (test.element, "stats", &stats, NULL);
  gst_structure_get_uint64 (stats, "dropped", &dropped);
  fail_unless_equals_uint64 (dropped, 1);
  gst_structure_free (stats);
  message = gst_bus_pop_filtered (test.bus, GST_MESSAGE_QOS);
  fail_unless (message != NULL);
  gst_message_unref (message);
  test_element_free (&test);
}
GST_END_TEST;

static GstPadProbeReturn
count (GstPad *pad, GstPadProbeInfo *info, gpointer data)
{
  g_atomic_int_inc ((gint *) data);
  return GST_PAD_PROBE_OK;
}

/* A sink that has seen enough gets none of the frames that are under way. */
GST_START_TEST (test_sink_has_enough)
{
  g_autofree char *launch = g_strdup_printf (
      "videotestsrc num-buffers=200 ! int8infer name=infer model=%s calibration-table=%s batch-size=4 ! "
      "fakesink num-buffers=10",
      test_model (), test_table ());
  GstElement *pipeline = gst_parse_launch (launch, NULL);
  GstElement *infer = gst_bin_get_by_name (GST_BIN (pipeline), "infer");
  GstPad *pad = gst_element_get_static_pad (infer, "src");
  GstBus *bus = gst_element_get_bus (pipeline);
  GstMessage *message;
  gint frames = 0;

  gst_pad_add_probe (pad, GST_PAD_PROBE_TYPE_BUFFER, count, &frames, NULL);
  gst_element_set_state (pipeline, GST_STATE_PLAYING);
  message = test_pop (bus, GST_MESSAGE_EOS | GST_MESSAGE_ERROR, 60);
  fail_unless (message && GST_MESSAGE_TYPE (message) == GST_MESSAGE_EOS);
  gst_message_unref (message);
  gst_element_set_state (pipeline, GST_STATE_NULL);
  fail_unless_equals_int (frames, 10);
  gst_object_unref (bus);
  gst_object_unref (pad);
  gst_object_unref (infer);
  gst_object_unref (pipeline);
}
GST_END_TEST;

static Suite *
make_suite (void)
{
  Suite *suite = suite_create ("int8infer flow");
  TCase *tcase = tcase_create ("flow");

  tcase_set_timeout (tcase, 120); /* instrumented builds */
  tcase_add_checked_fixture (tcase, test_setup, test_teardown);
  tcase_add_loop_test (tcase, test_order, 0, 3);
  tcase_add_loop_test (tcase, test_renegotiation, 0, 2);
  tcase_add_test (tcase, test_engine_file);
  tcase_add_test (tcase, test_tune);
  tcase_add_test (tcase, test_stats);
  tcase_add_test (tcase, test_qos);
  tcase_add_test (tcase, test_sink_has_enough);
  suite_add_tcase (suite, tcase);
  return suite;
}

int
main (int argc, char **argv)
{
  return test_main (argc, argv, "infer-flow", make_suite);
}
