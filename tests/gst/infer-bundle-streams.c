/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * infer-bundle-streams.c: streams in multistream/x-analytics-batch that int8infer has to tell apart: their caps,
 * what is wrong with them, their frames' turn, their objects, their messages.
 */
#include "tests/gst/common-bundle.h"

#include <string.h>

/* --- Streams --------------------------------------------------------------------------------- */

/* A stream has other caps from one frame to the next, with both under way. */
GST_START_TEST (test_caps_change)
{
  TestElement test = test_bundle_infer ("int8infer batch-size=4 batch-timeout=60000000000");

  for (guint round = 0; round < 2; round++) {
    GstBuffer *bundle = test_bundle_of_two ();
    g_autoptr (GstCaps) rgb = test_caps (GST_VIDEO_FORMAT_RGB, 64, 48);

    test_bundle_add (bundle, 0, test_small_frame (1));
    test_bundle_add (bundle, 0, gst_event_new_caps (rgb));
    test_bundle_add (bundle, 0, test_frame (GST_VIDEO_FORMAT_RGB, 64, 48, 2));
    test_bundle_add (bundle, 1, test_small_frame (3));
    test_bundle_add (bundle, 1, test_small_frame (4));
    bundle = gst_harness_push_and_pull (test.h, bundle);
    test_bundle_check (bundle, 0, 0, 1, TRUE);
    test_bundle_check_frame (test_bundle_get (bundle, 0, 2), 64, 48, 2, TRUE);
    test_bundle_check (bundle, 1, 0, 3, TRUE);
    test_bundle_check (bundle, 1, 1, 4, TRUE);
    gst_buffer_unref (bundle);
  }
  test_element_free (&test);
}
GST_END_TEST;

static GstBuffer *
bundle_with_bad_streams (guint seed)
{
  GstBuffer *bundle = test_bundle_new (5);
  GstCaps *gl = test_caps (GST_VIDEO_FORMAT_GRAY8, 28, 28);

  gst_caps_set_features_simple (gl, gst_caps_features_new ("memory:GLMemory", NULL));
  test_bundle_begin (bundle, 0, "good", test_caps (GST_VIDEO_FORMAT_GRAY8, 28, 28), 0);
  test_bundle_begin (bundle, 1, "sound",
      gst_caps_from_string ("audio/x-raw,format=S16LE,layout=interleaved,rate=48000,channels=1"),
      0);
  test_bundle_begin (bundle, 2, "short", test_caps (GST_VIDEO_FORMAT_RGB, 64, 48), 0);
  test_bundle_begin (bundle, 3, "unknown", NULL, 0);
  test_bundle_begin (bundle, 4, "display", gl, 0);
  for (guint i = 0; i < 5; i++)
    test_bundle_add (bundle, i, test_small_frame (seed + i));
  return bundle;
}

/* One of each bad stream, in any order, and nothing else. */
static void
check_warnings (TestElement *test)
{
  static const char *const texts[][2] = {{"stream 1, \"sound\"", "audio/x-raw"},
      {"stream 2, \"short\"", "64x48"}, {"stream 3, \"unknown\"", "without caps"},
      {"stream 4, \"display\"", "memory:GLMemory"}};
  guint seen = 0, n = 0;
  GstMessage *message;

  while ((message = gst_bus_pop_filtered (test->bus, GST_MESSAGE_WARNING | GST_MESSAGE_ERROR))) {
    g_autoptr (GError) error = NULL;

    fail_unless (GST_MESSAGE_TYPE (message) == GST_MESSAGE_WARNING);
    gst_message_parse_warning (message, &error, NULL);
    for (guint i = 0; i < G_N_ELEMENTS (texts); i++)
      if (strstr (error->message, texts[i][0]) && strstr (error->message, texts[i][1]))
        seen |= 1u << i;
    n++;
    gst_message_unref (message);
  }
  fail_unless_equals_int (n, G_N_ELEMENTS (texts));
  fail_unless_equals_int (seen, (1u << G_N_ELEMENTS (texts)) - 1);
}

/* Frames that cannot be read pass, each such stream is named once, and the others have their results. */
GST_START_TEST (test_bad_streams)
{
  TestElement test = test_bundle_infer ("int8infer batch-size=2");

  for (guint round = 0; round < 3; round++) {
    GstBuffer *out = gst_harness_push_and_pull (test.h, bundle_with_bad_streams (10 * round));

    for (guint i = 0; i < 5; i++)
      test_bundle_check (out, i, 0, 10 * round + i, i == 0);
    gst_buffer_unref (out);
  }
  check_warnings (&test);
  fail_unless_equals_uint64 (test_stat (&test, "failed"), 12);
  fail_unless_equals_uint64 (test_stat (&test, "frames"), 15);

  /* One of them gets better. */
  {
    GstBuffer *bundle = test_bundle_new (5);

    test_bundle_begin (bundle, 3, "unknown", test_caps (GST_VIDEO_FORMAT_GRAY8, 28, 28), 0);
    test_bundle_add (bundle, 3, test_small_frame (7));
    test_bundle_pass (&test, bundle);
  }
  test_element_free (&test);
}
GST_END_TEST;

/* An empty buffer that stands for a gap is nothing to look at. */
GST_START_TEST (test_gap_buffer)
{
  TestElement test = test_bundle_infer ("int8infer");
  GstBuffer *bundle = test_bundle_of_two (), *gap = gst_buffer_new ();

  GST_BUFFER_FLAG_SET (gap, GST_BUFFER_FLAG_GAP);
  test_bundle_add (bundle, 0, gap);
  test_bundle_add (bundle, 0, test_small_frame (1));
  bundle = gst_harness_push_and_pull (test.h, bundle);
  fail_unless (test_bundle_get (bundle, 0, 0) == gap);
  test_bundle_check (bundle, 0, 1, 1, TRUE);
  gst_buffer_unref (bundle);
  fail_unless (gst_bus_pop_filtered (test.bus, GST_MESSAGE_WARNING | GST_MESSAGE_ERROR) == NULL);
  fail_unless_equals_uint64 (test_stat (&test, "failed"), 0);
  test_element_free (&test);
}
GST_END_TEST;

/* Each stream counts its own frames. */
GST_START_TEST (test_interval)
{
  TestElement test = test_bundle_infer ("int8infer interval=2 batch-size=2");

  for (guint round = 0; round < 6; round++) {
    GstBuffer *bundle = test_bundle_of_two ();

    test_bundle_add (bundle, 0, test_small_frame (round));
    if (round >= 2) { /* that one began later */
      test_bundle_add (bundle, 1, test_small_frame (round));
      test_bundle_add (bundle, 1, test_small_frame (round + 1));
    }
    bundle = gst_harness_push_and_pull (test.h, bundle);
    test_bundle_check (bundle, 0, 0, round, round % 3 == 0);
    for (guint i = 0; round >= 2 && i < 2; i++)
      test_bundle_check (bundle, 1, i, round + i, (2 * (round - 2) + i) % 3 == 0);
    gst_buffer_unref (bundle);
  }
  test_element_free (&test);
}
GST_END_TEST;

/* --- Objects --------------------------------------------------------------------------------- */

/* A frame with an object that a tracker calls 7. */
static GstBuffer *
frame_with_object (guint seed)
{
  GstBuffer *frame = test_frame (GST_VIDEO_FORMAT_GRAY8, 120, 90, seed);
  GstAnalyticsRelationMeta *relations = gst_buffer_add_analytics_relation_meta (frame);
  GstAnalyticsTrackingMtd track;
  GstAnalyticsODMtd object;

  fail_unless (gst_analytics_relation_meta_add_od_mtd (relations, g_quark_from_string ("car"), 10,
      20, 50, 40, 0.9f, &object));
  fail_unless (gst_analytics_relation_meta_add_tracking_mtd (relations, 7, 0, &track));
  fail_unless (gst_analytics_relation_meta_set_relation (relations,
      GST_ANALYTICS_REL_TYPE_RELATE_TO, object.id, track.id));
  return frame;
}

/* What the object has, looked up as DL Streamer's readers do. */
static double
confidence_of_object (GstBuffer *frame)
{
  GstAnalyticsRelationMeta *relations = gst_buffer_get_analytics_relation_meta (frame);
  gpointer state = NULL, related = NULL;
  GstAnalyticsODMtd object;
  GstAnalyticsClsMtd classes;

  fail_unless (gst_analytics_relation_meta_iterate (relations, &state,
      gst_analytics_od_mtd_get_mtd_type (), &object));
  fail_unless (gst_analytics_relation_meta_get_direct_related (relations, object.id,
      GST_ANALYTICS_REL_TYPE_CONTAIN, gst_analytics_cls_mtd_get_mtd_type (), &related, &classes));
  return gst_analytics_cls_mtd_get_level (&classes, 0);
}

static double
confidence_of_part (guint seed)
{
  return (float) test_classes_of_part ("int8infer", test_caps (GST_VIDEO_FORMAT_GRAY8, 120, 90),
      test_frame (GST_VIDEO_FORMAT_GRAY8, 120, 90, seed), 10, 20, 50, 40)
      .confidences[0];
}

/* Object 7 of one stream is not object 7 of another; each keeps its result until it is due, or until another
 * stream takes that place. */
GST_START_TEST (test_tracks)
{
  TestElement test = test_infer_new ("int8infer process-mode=objects reclassify-interval=100",
      test_bundle_caps (test_caps (GST_VIDEO_FORMAT_GRAY8, 120, 90),
          test_caps (GST_VIDEO_FORMAT_GRAY8, 120, 90), NULL));
  const double first = confidence_of_part (1), second = confidence_of_part (2),
               third = confidence_of_part (5);

  fail_if (first == second || first == third);
  for (guint round = 0; round < 5; round++) {
    GstBuffer *bundle = test_bundle_new (2);

    test_bundle_begin (bundle, 0, round < 4 ? "street" : "yard",
        test_caps (GST_VIDEO_FORMAT_GRAY8, 120, 90), 0);
    test_bundle_begin (bundle, 1, "gate", test_caps (GST_VIDEO_FORMAT_GRAY8, 120, 90), 0);
    test_bundle_add (bundle, 0, frame_with_object (1 + round));
    test_bundle_add (bundle, 1, frame_with_object (2 + round));
    bundle = gst_harness_push_and_pull (test.h, bundle);
    fail_unless (
        confidence_of_object (test_bundle_get (bundle, 0, 0)) == (round < 4 ? first : third));
    fail_unless (confidence_of_object (test_bundle_get (bundle, 1, 0)) == second);
    gst_buffer_unref (bundle);
  }
  test_element_free (&test);
}
GST_END_TEST;

/* --- Around it ------------------------------------------------------------------------------- */

static void
check_message (TestElement *test, guint stream, const char *id, GstClockTime running)
{
  g_autoptr (GstStructure) fields = test_wait_message (test->bus, "int8-classification", 20);
  guint number;

  fail_unless (fields != NULL && gst_structure_get_uint (fields, "stream", &number));
  fail_unless_equals_int (number, stream);
  fail_unless_equals_string (gst_structure_get_string (fields, "stream-id"), id);
  fail_unless_equals_uint64 (test_field (fields, "running-time"), running);
}

/* Messages say whose they are, and the time in the stream's own segment. */
GST_START_TEST (test_messages)
{
  TestElement test = test_bundle_infer ("int8infer post-messages=true");
  GstBuffer *bundle = test_bundle_new (2);

  test_bundle_begin (bundle, 0, "left", test_small_caps (), 0);
  test_bundle_begin (bundle, 1, "right", test_small_caps (), 2 * TEST_FRAME_DURATION);
  test_bundle_add (bundle, 0, test_small_frame (5));
  test_bundle_add (bundle, 1, test_small_frame (5));
  test_bundle_add (bundle, 1, gst_event_new_stream_start ("other"));
  test_bundle_add (bundle, 1, test_small_frame (6));
  gst_buffer_unref (gst_harness_push_and_pull (test.h, bundle));
  check_message (&test, 0, "left", 5 * TEST_FRAME_DURATION);
  check_message (&test, 1, "right", 3 * TEST_FRAME_DURATION);
  check_message (&test, 1, "other", 4 * TEST_FRAME_DURATION);
  test_element_free (&test);
}
GST_END_TEST;

/* Frames that a sink calls late pass, of whatever stream. */
GST_START_TEST (test_qos)
{
  TestElement test = test_bundle_infer ("int8infer qos=true");
  GstBuffer *bundle = test_bundle_of_two ();

  gst_harness_push_upstream_event (test.h,
      gst_event_new_qos (GST_QOS_TYPE_UNDERFLOW, 0.5, 0, 10 * TEST_FRAME_DURATION));
  test_bundle_add (bundle, 0, test_small_frame (9));
  test_bundle_add (bundle, 0, test_small_frame (10));
  test_bundle_add (bundle, 1, test_small_frame (11));
  bundle = gst_harness_push_and_pull (test.h, bundle);
  test_bundle_check (bundle, 0, 0, 9, FALSE);
  test_bundle_check (bundle, 0, 1, 10, TRUE);
  test_bundle_check (bundle, 1, 0, 11, TRUE);
  gst_buffer_unref (bundle);
  fail_unless_equals_uint64 (test_stat (&test, "dropped"), 1);
  test_element_free (&test);
}
GST_END_TEST;

static Suite *
make_suite (void)
{
  Suite *suite = suite_create ("infer-bundle-streams");
  TCase *tcase = tcase_create ("streams");

  suite_add_tcase (suite, tcase);
  tcase_set_timeout (tcase, 60);
  tcase_add_checked_fixture (tcase, test_setup, test_teardown);
  tcase_add_test (tcase, test_caps_change);
  tcase_add_test (tcase, test_bad_streams);
  tcase_add_test (tcase, test_gap_buffer);
  tcase_add_test (tcase, test_interval);
  tcase_add_test (tcase, test_tracks);
  tcase_add_test (tcase, test_messages);
  tcase_add_test (tcase, test_qos);
  return suite;
}

int
main (int argc, char **argv)
{
  return test_main (argc, argv, "infer-bundle-streams", make_suite);
}
