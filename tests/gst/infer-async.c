/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * infer-async.c: int8infer async=true: frames go on while the network, which is held here, is at work, and get
 * the newest result there is; flushes, EOS and state changes with frames under way.
 */
#include "tests/gst/linked.h"

#include <string.h>

#define NONE G_MAXUINT /* no frame */

static TestDevice device;

/* int8infer whose network is there. */
static TestElement
infer_new (const char *properties, GstCaps *caps)
{
  g_autofree char *launch = g_strdup_printf ("int8infer backend=ref async=true %s", properties);
  GstStructure *fields;
  TestElement test;

  test_device_init (&device);
  test = test_infer_new (launch, caps);
  fields = test_wait_message (test.bus, "int8-engine", 20);
  fail_unless (fields != NULL);
  gst_structure_free (fields);
  return test;
}

static void
infer_free (TestElement *test)
{
  test_element_free (test);
  test_device_clear (&device);
}

static void
push (TestElement *test, guint seed)
{
  fail_unless_equals_int (gst_harness_push (test->h, test_small_frame (seed)), GST_FLOW_OK);
}

static const GstStructure *
result_fields (GstBuffer *buffer)
{
  GstCustomMeta *meta = gst_buffer_get_custom_meta (buffer, "GstInt8ClassificationMeta");

  return meta ? gst_custom_meta_get_structure (meta) : NULL;
}

/* The frame that the result on a buffer is of, or NONE; it must be that frame's. */
static guint
result_of (GstBuffer *buffer)
{
  const GstStructure *fields = result_fields (buffer);
  guint64 timestamp;
  Classes expected;
  guint seed;

  if (!fields)
    return NONE;
  fail_unless (gst_structure_get_uint64 (fields, "result_timestamp", &timestamp));
  fail_unless_equals_uint64 (timestamp % TEST_FRAME_DURATION, 0);
  seed = (guint) (timestamp / TEST_FRAME_DURATION);
  expected = test_expected (ENGINE_PRECISION_INT8, 28, 28, seed, 1);
  test_check_classes (buffer, &expected);
  return seed;
}

/* Pulls the frame of that seed. Returns whose result it has, or NONE. */
static guint
pull (TestElement *test, guint seed)
{
  GstBuffer *out = gst_harness_pull (test->h);
  guint of;

  fail_unless (out != NULL);
  fail_unless_equals_uint64 (GST_BUFFER_OFFSET (out), seed);
  of = result_of (out);
  gst_buffer_unref (out);
  return of;
}

static guint
push_and_pull (TestElement *test, guint seed)
{
  push (test, seed);
  return pull (test, seed);
}

/* Pushes frames from `*seed` on until one has a newer result than that of `old`; returns whose. */
static guint
push_until_newer (TestElement *test, guint *seed, guint old)
{
  for (guint i = 0; i < 2000; i++) {
    const guint of = push_and_pull (test, (*seed)++);

    if (of != old) {
      fail_unless (of != NONE && (old == NONE || of > old) && of < *seed);
      return of;
    }
    g_usleep (1000);
  }
  fail ("no newer result came");
  return NONE;
}

/* Frames come out while the network is at work on the first of them; then they have its result, and ever newer
 * ones. */
GST_START_TEST (test_frames_do_not_wait)
{
  TestElement test = infer_new ("", test_small_caps ());
  guint seed = 20, newest = 0;

  test_device_hold (&device);
  for (guint i = 0; i < 20; i++)
    fail_unless_equals_int (push_and_pull (&test, i), NONE);
  test_device_wait_for_visitor (&device);
  test_device_release (&device);
  fail_unless_equals_int (push_until_newer (&test, &seed, NONE), 0);
  for (guint i = 0; i < 5; i++)
    newest = push_until_newer (&test, &seed, newest);
  test_expect_no_error (test.bus);
  infer_free (&test);
}
GST_END_TEST;

/* The frame that is looked at stays as it is, though who has it downstream writes into it. */
GST_START_TEST (test_memory_is_shared_for_reading)
{
  TestElement test = infer_new ("", test_small_caps ());
  GstBuffer *out;
  guint seed = 8;
  GstMapInfo map;

  test_device_hold (&device);
  push (&test, 7);
  out = gst_harness_pull (test.h);
  out = gst_buffer_make_writable (out);
  fail_unless (gst_buffer_map (out, &map, GST_MAP_WRITE));
  memset (map.data, 0, map.size);
  gst_buffer_unmap (out, &map);
  gst_buffer_unref (out);
  test_device_release (&device);
  fail_unless_equals_int (push_until_newer (&test, &seed, NONE),
      7); /* with the result of frame 7 */
  infer_free (&test);
}
GST_END_TEST;

static gpointer
release_later (gpointer data)
{
  g_usleep (50000);
  test_device_release (data);
  return NULL;
}

/* A flush drops what is under way, and what was found before. */
GST_START_TEST (test_flush)
{
  TestElement test = infer_new (__i__ ? "batch-size=4" : "", test_small_caps ());
  guint seed = 1, newest;
  GstSegment segment;
  GThread *thread;

  push_and_pull (&test, 0);
  push_until_newer (&test, &seed, NONE);
  test_device_hold (&device);
  newest = push_and_pull (&test, seed++);
  for (guint i = 0; i < 5; i++) {
    const guint of = push_and_pull (&test, seed++);

    fail_unless (of != NONE && of >= newest);
  }
  thread = g_thread_new ("release", release_later, &device);
  fail_unless (gst_harness_push_event (test.h, gst_event_new_flush_start ()));
  g_thread_join (thread);
  fail_unless (gst_harness_push_event (test.h, gst_event_new_flush_stop (TRUE)));
  gst_segment_init (&segment, GST_FORMAT_TIME);
  fail_unless (gst_harness_push_event (test.h, gst_event_new_segment (&segment)));
  test_device_hold (&device);
  seed = 5000;
  for (guint i = 0; i < 5; i++)
    fail_unless_equals_int (push_and_pull (&test, seed++), NONE);
  test_device_release (&device);
  fail_unless (push_until_newer (&test, &seed, NONE) >= 5000);
  test_expect_no_error (test.bus);
  infer_free (&test);
}
GST_END_TEST;

/* The timestamps of all messages of results. */
static guint
count_messages (TestElement *test, guint64 *last)
{
  GstMessage *message;
  guint n = 0;

  while ((message = gst_bus_pop_filtered (test->bus, GST_MESSAGE_ELEMENT | GST_MESSAGE_ERROR))) {
    fail_if (GST_MESSAGE_TYPE (message) == GST_MESSAGE_ERROR);
    if (gst_message_has_name (message, "int8-classification")) {
      fail_unless (
          gst_structure_get_uint64 (gst_message_get_structure (message), "timestamp", last));
      n++;
    }
    gst_message_unref (message);
  }
  return n;
}

static void
wait_for_eos (TestElement *test)
{
  gboolean eos = FALSE;
  GstEvent *event;

  while (!eos && (event = gst_harness_pull_event (test->h))) {
    eos = GST_EVENT_TYPE (event) == GST_EVENT_EOS;
    gst_event_unref (event);
  }
  fail_unless (eos);
}

/* EOS comes when all are done: each that was looked at is a message, posted once and in order. */
GST_START_TEST (test_eos_drains)
{
  TestElement test =
      infer_new ("post-messages=true batch-size=4 batch-timeout=3600000000000", test_small_caps ());
  guint64 last = 0;
  GThread *thread;

  test_device_hold (&device);
  for (guint i = 0; i < 3; i++)
    fail_unless_equals_int (push_and_pull (&test, i), NONE);
  fail_unless_equals_int (count_messages (&test, &last), 0);
  thread = g_thread_new ("release", release_later, &device);
  fail_unless (gst_harness_push_event (test.h, gst_event_new_eos ()));
  wait_for_eos (&test);
  g_thread_join (thread);
  fail_unless_equals_int (count_messages (&test, &last), 3);
  fail_unless_equals_uint64 (last, 2 * TEST_FRAME_DURATION);
  infer_free (&test);
}
GST_END_TEST;

/* To READY with a frame under way, and back. */
GST_START_TEST (test_stop_and_start)
{
  TestElement test = infer_new ("", test_small_caps ());

  for (guint round = 0; round < 3; round++) {
    guint seed = 100 * round + 1;
    GThread *thread;

    test_device_hold (&device);
    push_and_pull (&test, 100 * round);
    test_device_wait_for_visitor (&device);
    thread = g_thread_new ("release", release_later, &device);
    fail_unless_equals_int (gst_element_set_state (test.element, GST_STATE_READY),
        GST_STATE_CHANGE_SUCCESS);
    g_thread_join (thread);
    fail_unless (
        gst_element_set_state (test.element, GST_STATE_PLAYING) != GST_STATE_CHANGE_FAILURE);
    gst_harness_set_src_caps (test.h, test_small_caps ());
    fail_unless (push_until_newer (&test, &seed, NONE) > 100 * round);
  }
  test_expect_no_error (test.bus);
  infer_free (&test);
}
GST_END_TEST;

/* Frames of another size come while one of the old size is looked at. */
GST_START_TEST (test_other_caps)
{
  TestElement test = infer_new ("metadata=both", test_caps (GST_VIDEO_FORMAT_GRAY8, 28, 28));
  GstVideoRegionOfInterestMeta *roi = NULL;
  GstBuffer *out;

  test_device_hold (&device);
  fail_unless_equals_int (push_and_pull (&test, 3), NONE);
  test_device_wait_for_visitor (&device);
  gst_harness_set_src_caps (test.h, test_caps (GST_VIDEO_FORMAT_RGB, 40, 30));
  out = gst_harness_push_and_pull (test.h, test_frame (GST_VIDEO_FORMAT_RGB, 40, 30, 4));
  gst_buffer_unref (out);
  test_device_release (&device);
  for (guint i = 0; i < 2000 && !roi; i++) {
    out = gst_harness_push_and_pull (test.h, test_frame (GST_VIDEO_FORMAT_RGB, 40, 30, 5 + i));
    roi = gst_buffer_get_video_region_of_interest_meta (out);
    if (roi) {
      fail_unless_equals_int (result_of (out), 3);
      fail_unless_equals_int (roi->w, 40); /* over the frame that it is on */
      fail_unless_equals_int (roi->h, 30);
      fail_unless (gst_structure_has_field (
          gst_video_region_of_interest_meta_get_param (roi, "classification"), "result_timestamp"));
    }
    gst_buffer_unref (out);
    g_usleep (1000);
  }
  fail_unless (roi != NULL);
  infer_free (&test);
}
GST_END_TEST;

/* A device that fails is one error, though no frame waits for it. */
GST_START_TEST (test_failing_device)
{
  TestElement test = infer_new ("", test_small_caps ());
  GstFlowReturn result = GST_FLOW_OK;

  push_and_pull (&test, 0);
  test_device_break (&device, 1, "the fan has stopped");
  for (guint i = 1; i < 2000 && result == GST_FLOW_OK; i++) {
    result = gst_harness_push (test.h, test_small_frame (i));
    g_usleep (1000);
  }
  fail_unless_equals_int (result, GST_FLOW_ERROR);
  test_expect_error (test.bus, "the fan has stopped", NULL);
  infer_free (&test);
}
GST_END_TEST;

/* --- Objects --------------------------------------------------------------------------------- */

static GstBuffer *
frame_with_objects (guint seed)
{
  GstBuffer *buffer = test_frame (GST_VIDEO_FORMAT_GRAY8, 120, 90, seed);

  for (int i = 0; i < 3; i++) {
    GstVideoRegionOfInterestMeta *region = gst_buffer_add_video_region_of_interest_meta (buffer,
        "thing", 10 + 30 * (guint) i, 20, 28, 28);

    if (i < 2)
      gst_video_region_of_interest_meta_add_param (region,
          gst_structure_new ("object_id", "id", G_TYPE_INT, 40 + i, NULL));
  }
  return buffer;
}

/* How many regions of the buffer have a result, all of which are of that frame. */
static guint
count_results (GstBuffer *buffer, guint of)
{
  gpointer state = NULL;
  GstMeta *meta;
  guint n = 0;

  while ((meta = gst_buffer_iterate_meta_filtered (buffer, &state,
              GST_VIDEO_REGION_OF_INTEREST_META_API_TYPE))) {
    GstVideoRegionOfInterestMeta *region = (GstVideoRegionOfInterestMeta *) meta;
    const GstStructure *fields =
        gst_video_region_of_interest_meta_get_param (region, "classification");
    guint64 timestamp;

    if (!fields)
      continue;
    fail_unless (gst_video_region_of_interest_meta_get_param (region, "object_id") != NULL);
    fail_unless (gst_structure_get_uint64 (fields, "result_timestamp", &timestamp));
    fail_unless_equals_uint64 (timestamp, of * TEST_FRAME_DURATION);
    n++;
  }
  return n;
}

/* Objects have the last result of their track; those that nobody follows have none, and a warning says so once. */
GST_START_TEST (test_objects)
{
  TestElement test = infer_new ("process-mode=objects reclassify-interval=4294967295 batch-size=2",
      test_caps (GST_VIDEO_FORMAT_GRAY8, 120, 90));
  guint found = 0;
  GstBuffer *out;

  test_device_hold (&device);
  for (guint i = 0; i < 4; i++) {
    out = gst_harness_push_and_pull (test.h, frame_with_objects (i));
    fail_unless_equals_int (count_results (out, 0), 0);
    gst_buffer_unref (out);
  }
  test_device_release (&device);
  for (guint i = 4; i < 2000 && found < 2; i++) {
    out = gst_harness_push_and_pull (test.h, frame_with_objects (i));
    found = count_results (out, 0);
    gst_buffer_unref (out);
    g_usleep (1000);
  }
  fail_unless_equals_int (found, 2);
  test_expect_warning (test.bus, "follows", NULL);
  fail_unless (gst_bus_pop_filtered (test.bus, GST_MESSAGE_WARNING) == NULL);
  infer_free (&test);
}
GST_END_TEST;

/* batch-timeout is no latency of frames that do not wait. */
GST_START_TEST (test_latency)
{
  TestElement test = infer_new ("batch-size=4 batch-timeout=100000000", test_small_caps ());
  GstQuery *query = gst_query_new_latency ();
  GstClockTime least, most;

  gst_harness_set_upstream_latency (test.h, 10 * GST_MSECOND);
  fail_unless (gst_element_query (test.element, query));
  gst_query_parse_latency (query, NULL, &least, &most);
  fail_unless_equals_uint64 (least, 10 * GST_MSECOND);
  gst_query_unref (query);
  infer_free (&test);
}
GST_END_TEST;

static Suite *
make_suite (void)
{
  Suite *suite = suite_create ("int8infer async");
  TCase *tcase = tcase_create ("async");

  tcase_set_timeout (tcase, 60);
  tcase_add_checked_fixture (tcase, test_setup, test_teardown);
  tcase_add_test (tcase, test_frames_do_not_wait);
  tcase_add_test (tcase, test_memory_is_shared_for_reading);
  tcase_add_loop_test (tcase, test_flush, 0, 2);
  tcase_add_test (tcase, test_eos_drains);
  tcase_add_test (tcase, test_stop_and_start);
  tcase_add_test (tcase, test_other_caps);
  tcase_add_test (tcase, test_failing_device);
  tcase_add_test (tcase, test_objects);
  tcase_add_test (tcase, test_latency);
  suite_add_tcase (suite, tcase);
  return suite;
}

int
main (int argc, char **argv)
{
  return test_main_linked (argc, argv, "infer-async", make_suite);
}
