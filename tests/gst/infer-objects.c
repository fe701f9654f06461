/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* infer-objects.c: int8infer on what a detector has marked: which objects, and what they are given. */
#include "tests/gst/common.h"

#include <string.h>

#define WIDTH  120
#define HEIGHT 90

/* Returns the region, to which params can be added. */
static GstVideoRegionOfInterestMeta *
mark (GstBuffer *buffer, const char *class, guint x, guint y, guint width, guint height)
{
  return gst_buffer_add_video_region_of_interest_meta (buffer, class, x, y, width, height);
}

static void
set_object_id (GstVideoRegionOfInterestMeta *region, int id)
{
  gst_video_region_of_interest_meta_add_param (region,
      gst_structure_new ("object_id", "id", G_TYPE_INT, id, NULL));
}

static GstBuffer *
frame (guint seed)
{
  return test_frame (GST_VIDEO_FORMAT_GRAY8, WIDTH, HEIGHT, seed);
}

static TestElement
infer_new (const char *launch)
{
  return test_infer_new (launch, test_caps (GST_VIDEO_FORMAT_GRAY8, WIDTH, HEIGHT));
}

/* The class that the element gives to a part of a frame when it comes as the visible part of a frame. */
static Classes
classes_of_part (guint seed, guint x, guint y, guint width, guint height)
{
  const Classes classes = test_classes_of_part ("int8infer",
      test_caps (GST_VIDEO_FORMAT_GRAY8, WIDTH, HEIGHT), frame (seed), x, y, width, height);

  fail_unless_equals_int (classes.n, 1);
  return classes;
}

static const GstStructure *
classification (GstVideoRegionOfInterestMeta *region)
{
  return gst_video_region_of_interest_meta_get_param (region, "classification");
}

/* The n-th region of the buffer. */
static GstVideoRegionOfInterestMeta *
region (GstBuffer *buffer, guint n)
{
  gpointer state = NULL;
  GstMeta *meta;

  while ((meta = gst_buffer_iterate_meta_filtered (buffer, &state,
              GST_VIDEO_REGION_OF_INTEREST_META_API_TYPE)))
    if (n-- == 0)
      return (GstVideoRegionOfInterestMeta *) meta;
  fail ("there is no such region");
  return NULL;
}

static void
check_region (GstBuffer *buffer, guint n, const Classes *expected)
{
  const GstStructure *param = classification (region (buffer, n));
  double confidence;
  int id;

  if (!expected) {
    fail_unless (param == NULL);
    return;
  }
  fail_unless (param != NULL);
  fail_unless (gst_structure_get (param, "label_id", G_TYPE_INT, &id, "confidence", G_TYPE_DOUBLE,
      &confidence, NULL));
  fail_unless_equals_int (id, expected->ids[0]);
  fail_unless (confidence == expected->confidences[0]);
}

/* Objects are cut to the frame, filtered, and have the results of their own part; batches mix objects of
 * several frames. */
GST_START_TEST (test_objects)
{
  static const char *launch[] = {"int8infer process-mode=objects",
      "int8infer process-mode=objects batch-size=3 object-class=car;bus object-min-width=20 "
      "object-max-height=60"};
  TestElement test = infer_new (launch[__i__]);

  for (guint seed = 0; seed < 4; seed++) {
    GstBuffer *buffer = frame (seed), *out;
    const Classes first = classes_of_part (seed, 5, 7, 28, 30);
    const Classes person = classes_of_part (seed, 50, 20, 28, 28);
    const Classes cut = classes_of_part (seed, WIDTH - 28, HEIGHT - 40, 28, 40);
    const Classes tall = classes_of_part (seed, 0, 0, 28, 80);
    const Classes small = classes_of_part (seed, 0, 50, 10, 10);

    mark (buffer, "car", 5, 7, 28, 30);
    mark (buffer, "person", 50, 20, 28, 28);
    mark (buffer, "car", 0, 50, 10, 10);
    mark (buffer, "bus", WIDTH - 28, HEIGHT - 40, 300, 100);
    mark (buffer, "car", WIDTH + 10, 3, 28, 28);
    mark (buffer, "car", 0, 0, 28, 80);
    out = gst_harness_push_and_pull (test.h, buffer);
    fail_unless (out == buffer);
    check_region (out, 0, &first);
    check_region (out, 1, __i__ ? NULL : &person);
    check_region (out, 2, __i__ ? NULL : &small);
    check_region (out, 3, &cut);
    check_region (out, 4, NULL); /* outside */
    check_region (out, 5, __i__ ? NULL : &tall);
    gst_buffer_unref (out);
  }
  test_element_free (&test);
}
GST_END_TEST;

/* A frame without objects, and one that somebody else holds: whose regions stay as they were. */
GST_START_TEST (test_frames_of_others)
{
  TestElement test = infer_new ("int8infer process-mode=objects");
  GstBuffer *buffer = frame (1), *out;

  out = gst_harness_push_and_pull (test.h, frame (0));
  fail_unless_equals_int (test_result (out).n, 0);
  gst_buffer_unref (out);

  mark (buffer, "car", 5, 7, 28, 28);
  out = gst_harness_push_and_pull (test.h, gst_buffer_ref (buffer));
  fail_unless (out != buffer);
  fail_unless (classification (region (buffer, 0)) == NULL);
  fail_unless (classification (region (out, 0)) != NULL);
  fail_unless_equals_int (test_result (out).n, 1);
  gst_buffer_unref (out);
  gst_buffer_unref (buffer);
  test_element_free (&test);
}
GST_END_TEST;

/* An object with an id is classified in every third frame and has that result in between; one without is
 * classified in all. */
GST_START_TEST (test_tracked_objects)
{
  TestElement test = infer_new ("int8infer process-mode=objects reclassify-interval=3");
  Classes first = {0};

  for (guint i = 0; i < 7; i++) {
    GstBuffer *buffer = frame (i), *out;
    const Classes now = classes_of_part (i, 5, 7, 28, 28);
    const Classes other = classes_of_part (i, 60, 7, 28, 28);

    if (i % 3 == 0)
      first = now;
    set_object_id (mark (buffer, "car", 5, 7, 28, 28), 11);
    mark (buffer, "car", 60, 7, 28, 28);
    out = gst_harness_push_and_pull (test.h, buffer);
    check_region (out, 0, &first);
    check_region (out, 1, &other);
    gst_buffer_unref (out);
  }
  fail_unless_equals_uint64 (test_stat (&test, "frames"), 7);
  fail_unless_equals_uint64 (test_stat (&test, "pictures"), 7 + 3);
  test_element_free (&test);
}
GST_END_TEST;

/* Fields of an object's custom metadata and message. */
GST_START_TEST (test_fields)
{
  TestElement test = infer_new ("int8infer process-mode=objects post-messages=true metadata=custom");
  GstBuffer *buffer = frame (2), *out;
  GstCustomMeta *meta;
  GstStructure *message;
  int x, y, width, height;
  guint64 id;

  set_object_id (mark (buffer, "van", 100, 60, 40, 28), 3);
  out = gst_harness_push_and_pull (test.h, buffer);
  fail_unless (classification (region (out, 0)) == NULL);
  meta = gst_buffer_get_custom_meta (out, "GstInt8ClassificationMeta");
  message = test_wait_message (test.bus, "int8-classification", 5);
  fail_unless (meta && message);
  for (guint i = 0; i < 2; i++) {
    const GstStructure *fields = i ? message : gst_custom_meta_get_structure (meta);

    fail_unless (gst_structure_get (fields, "x", G_TYPE_INT, &x, "y", G_TYPE_INT, &y, "width",
        G_TYPE_INT, &width, "height", G_TYPE_INT, &height, "object_id", G_TYPE_UINT64, &id, NULL));
    fail_unless_equals_int (x, 100);
    fail_unless_equals_int (y, 60);
    fail_unless_equals_int (width, 20);
    fail_unless_equals_int (height, 28);
    fail_unless_equals_uint64 (id, 3);
    fail_unless_equals_string (gst_structure_get_string (fields, "object_class"), "van");
  }
  gst_structure_free (message);
  gst_buffer_unref (out);
  test_element_free (&test);
}
GST_END_TEST;

/* Many objects on one frame: more than a batch, and more than were there before. */
GST_START_TEST (test_many_objects)
{
  TestElement test = infer_new ("int8infer process-mode=objects batch-size=4 top-k=2");

  for (guint n = 1; n <= 40; n += 13) {
    GstBuffer *buffer = frame (n), *out;
    Classes expected[40];

    for (guint i = 0; i < n; i++)
      mark (buffer, "car", i, i, 28, 28);
    for (guint i = 0; i < n; i += 5)
      expected[i] = classes_of_part (n, i, i, 28, 28);
    out = gst_harness_push_and_pull (test.h, buffer);
    for (guint i = 0; i < n; i += 5)
      check_region (out, i, &expected[i]);
    gst_buffer_unref (out);
  }
  test_element_free (&test);
}
GST_END_TEST;

/* interval=2: the first of three frames is looked at. */
GST_START_TEST (test_interval)
{
  TestElement test = infer_new ("int8infer interval=2");

  for (guint i = 0; i < 7; i++) {
    GstBuffer *out = gst_harness_push_and_pull (test.h, frame (i));

    fail_unless_equals_int (test_result (out).n, i % 3 == 0);
    gst_buffer_unref (out);
  }
  fail_unless_equals_uint64 (test_stat (&test, "frames"), 7);
  fail_unless_equals_uint64 (test_stat (&test, "pictures"), 3);
  fail_unless_equals_uint64 (test_stat (&test, "dropped"), 0);
  test_element_free (&test);
}
GST_END_TEST;

static Suite *
make_suite (void)
{
  Suite *suite = suite_create ("int8infer objects");
  TCase *tcase = tcase_create ("objects");

  tcase_set_timeout (tcase, 60);
  suite_add_tcase (suite, tcase);
  tcase_add_checked_fixture (tcase, test_setup, test_teardown);
  tcase_add_loop_test (tcase, test_objects, 0, 2);
  tcase_add_test (tcase, test_frames_of_others);
  tcase_add_test (tcase, test_tracked_objects);
  tcase_add_test (tcase, test_fields);
  tcase_add_test (tcase, test_many_objects);
  tcase_add_test (tcase, test_interval);
  return suite;
}

int
main (int argc, char **argv)
{
  return test_main (argc, argv, "infer-objects", make_suite);
}
