/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * analytics.c: both elements on object detections of GstAnalyticsRelationMeta, and int8infer's results
 * in it, looked up as GStreamer's and DL Streamer's elements do.
 */
#include "tests/gst/common.h"

#include <gst/analytics/analytics.h>

#define WIDTH  120
#define HEIGHT 90

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

/* Returns the id of the detection. */
static guint
detect (GstBuffer *buffer, const char *class, int x, int y, int width, int height)
{
  GstAnalyticsODMtd detection;

  fail_unless (
      gst_analytics_relation_meta_add_od_mtd (gst_buffer_add_analytics_relation_meta (buffer),
          g_quark_from_string (class), x, y, width, height, 0.9f, &detection));
  return detection.id;
}

static void
track (GstBuffer *buffer, guint detection, guint64 id)
{
  GstAnalyticsRelationMeta *relations = gst_buffer_get_analytics_relation_meta (buffer);
  GstAnalyticsTrackingMtd tracking;

  fail_unless (gst_analytics_relation_meta_add_tracking_mtd (relations, id, 0, &tracking));
  fail_unless (gst_analytics_relation_meta_set_relation (relations,
      GST_ANALYTICS_REL_TYPE_RELATE_TO, detection, tracking.id));
}

/* What the element says of a part of a frame that comes as the visible part of one. */
static Classes
classes_of_part (guint seed, guint x, guint y, guint width, guint height)
{
  const Classes classes = test_classes_of_part ("int8infer top-k=3",
      test_caps (GST_VIDEO_FORMAT_GRAY8, WIDTH, HEIGHT), frame (seed), x, y, width, height);

  fail_unless_equals_int (classes.n, 3);
  return classes;
}

static guint
count (GstBuffer *buffer, GstAnalyticsMtdType type)
{
  GstAnalyticsRelationMeta *relations = gst_buffer_get_analytics_relation_meta (buffer);
  gpointer state = NULL;
  GstAnalyticsMtd mtd;
  guint n = 0;

  while (relations && gst_analytics_relation_meta_iterate (relations, &state, type, &mtd))
    n++;
  return n;
}

static guint
count_regions (GstBuffer *buffer)
{
  return gst_buffer_get_n_meta (buffer, GST_VIDEO_REGION_OF_INTEREST_META_API_TYPE);
}

static void
check_classes (GstAnalyticsClsMtd *classification, const Classes *expected)
{
  fail_unless_equals_int (gst_analytics_cls_mtd_get_length (classification), expected->n);
  for (guint i = 0; i < expected->n; i++) {
    g_autofree char *label = g_strdup_printf ("%d", expected->ids[i]);

    fail_unless_equals_string (
        g_quark_to_string (gst_analytics_cls_mtd_get_quark (classification, i)), label);
    fail_unless_equals_float (gst_analytics_cls_mtd_get_level (classification, i),
        (float) expected->confidences[i]);
    fail_unless (i == 0 || gst_analytics_cls_mtd_get_level (classification, i) <=
                               gst_analytics_cls_mtd_get_level (classification, i - 1));
  }
}

/* The only one of its type that `from` has a direct relation of that kind to. */
static gboolean
get_related (GstBuffer *buffer, guint from, GstAnalyticsRelTypes relation, GstAnalyticsMtdType type,
    GstAnalyticsMtd *related)
{
  GstAnalyticsRelationMeta *relations = gst_buffer_get_analytics_relation_meta (buffer);
  GstAnalyticsMtd second;
  gpointer state = NULL;

  if (!gst_analytics_relation_meta_get_direct_related (relations, from, relation, type, &state,
          related))
    return FALSE;
  fail_if (gst_analytics_relation_meta_get_direct_related (relations, from, relation, type, &state,
      &second));
  return TRUE;
}

/* GStreamer's objectdetectionoverlay follows RELATE_TO, DL Streamer's readers CONTAIN, and back to the
 * object IS_PART_OF. */
static void
check_detection (GstBuffer *buffer, guint detection, const Classes *expected)
{
  static const GstAnalyticsRelTypes kinds[] = {GST_ANALYTICS_REL_TYPE_CONTAIN,
      GST_ANALYTICS_REL_TYPE_RELATE_TO, GST_ANALYTICS_REL_TYPE_ANY};

  for (guint i = 0; i < G_N_ELEMENTS (kinds); i++) {
    GstAnalyticsMtd classification, object;

    fail_unless (get_related (buffer, detection, kinds[i], gst_analytics_cls_mtd_get_mtd_type (),
                     &classification) == (expected != NULL));
    if (!expected)
      continue;
    check_classes (&classification, expected);
    fail_unless (get_related (buffer, classification.id, GST_ANALYTICS_REL_TYPE_IS_PART_OF,
        gst_analytics_od_mtd_get_mtd_type (), &object));
    fail_unless_equals_int (object.id, detection);
  }
}

/* --- Objects --------------------------------------------------------------------------------- */

/* Detections are what counts where there are some; each has its own result, and nothing is added that
 * would be a second object. */
GST_START_TEST (test_objects)
{
  static const char *launch[] = {"int8infer process-mode=objects top-k=3",
      "int8infer process-mode=objects top-k=3 batch-size=3 object-class=car;bus",
      "int8infer process-mode=objects top-k=3 metadata=analytics"};
  TestElement test = infer_new (launch[__i__]);

  for (guint seed = 0; seed < 3; seed++) {
    GstBuffer *buffer = frame (seed), *out;
    const Classes car = classes_of_part (seed, 5, 7, 28, 30);
    const Classes person = classes_of_part (seed, 50, 20, 28, 28);
    const Classes cut = classes_of_part (seed, WIDTH - 28, HEIGHT - 40, 28, 40);
    const guint ids[] = {detect (buffer, "car", 5, 7, 28, 30),
        detect (buffer, "person", 50, 20, 28, 28),
        detect (buffer, "bus", WIDTH - 28, HEIGHT - 40, 300, 100),
        detect (buffer, "car", -50, 3, 28, 28)};
    const gboolean filtered = __i__ == 1;

    gst_buffer_add_video_region_of_interest_meta (buffer, "car", 0, 0, 40, 40);
    out = gst_harness_push_and_pull (test.h, buffer);
    fail_unless (out == buffer);
    check_detection (out, ids[0], &car);
    check_detection (out, ids[1], filtered ? NULL : &person);
    check_detection (out, ids[2], &cut);
    check_detection (out, ids[3], NULL); /* outside */
    fail_unless_equals_int (count (out, gst_analytics_od_mtd_get_mtd_type ()), 4);
    fail_unless_equals_int (count (out, gst_analytics_cls_mtd_get_mtd_type ()), filtered ? 2 : 3);
    fail_unless_equals_int (count_regions (out), 1);
    fail_unless (gst_video_region_of_interest_meta_get_param (
                     gst_buffer_get_video_region_of_interest_meta (out), "classification") == NULL);
    fail_unless ((test_result (out).n > 0) == (__i__ < 2));
    gst_buffer_unref (out);
  }
  test_element_free (&test);
}
GST_END_TEST;

/* A frame that somebody else holds keeps its relations as they were, and the copy has the results. */
GST_START_TEST (test_frames_of_others)
{
  TestElement test = infer_new ("int8infer process-mode=objects top-k=3");
  const Classes car = classes_of_part (1, 5, 7, 28, 28);
  GstBuffer *buffer = frame (1), *out;
  const guint id = detect (buffer, "car", 5, 7, 28, 28);

  out = gst_harness_push_and_pull (test.h, gst_buffer_ref (buffer));
  fail_unless (out != buffer);
  check_detection (buffer, id, NULL);
  check_detection (out, id, &car);
  gst_buffer_unref (out);
  gst_buffer_unref (buffer);
  test_element_free (&test);
}
GST_END_TEST;

/* Two classifiers, one behind the other: every object has both results. */
GST_START_TEST (test_two_classifiers)
{
  TestElement first = infer_new ("int8infer process-mode=objects");
  TestElement second = infer_new ("int8infer process-mode=objects");
  GstBuffer *buffer = frame (1);
  const guint id = detect (buffer, "car", 5, 7, 28, 28);
  gpointer state = NULL;
  GstAnalyticsMtd mtd;
  guint n = 0;

  buffer = gst_harness_push_and_pull (first.h, buffer);
  buffer = gst_harness_push_and_pull (second.h, buffer);
  while (gst_analytics_relation_meta_get_direct_related (
      gst_buffer_get_analytics_relation_meta (buffer), id, GST_ANALYTICS_REL_TYPE_CONTAIN,
      gst_analytics_cls_mtd_get_mtd_type (), &state, &mtd))
    n++;
  fail_unless_equals_int (n, 2);
  gst_buffer_unref (buffer);
  test_element_free (&first);
  test_element_free (&second);
}
GST_END_TEST;

/* More detections than a new GstAnalyticsRelationMeta has room for. */
GST_START_TEST (test_many_objects)
{
  TestElement test = infer_new ("int8infer process-mode=objects batch-size=4 top-k=3");
  GstBuffer *buffer = frame (3), *out;
  guint ids[60];

  for (guint i = 0; i < G_N_ELEMENTS (ids); i++)
    ids[i] = detect (buffer, "car", (int) i, (int) i, 28, 28);
  out = gst_harness_push_and_pull (test.h, buffer);
  for (guint i = 0; i < G_N_ELEMENTS (ids); i += 13) {
    const Classes part = classes_of_part (3, i, i, 28, 28);

    check_detection (out, ids[i], &part);
  }
  fail_unless_equals_int (count (out, gst_analytics_cls_mtd_get_mtd_type ()), G_N_ELEMENTS (ids));
  gst_buffer_unref (out);
  test_element_free (&test);
}
GST_END_TEST;

/* --- Tracks ---------------------------------------------------------------------------------- */

/* An object with a tracking id, which may have all 64 bits, is classified in every third frame. */
GST_START_TEST (test_tracks)
{
  static const guint64 id = G_GUINT64_CONSTANT (0x8000000000000005);
  TestElement test = infer_new ("int8infer process-mode=objects top-k=3 reclassify-interval=3");
  GstStructure *stats;
  Classes newest = {0};

  for (guint i = 0; i < 7; i++) {
    GstBuffer *buffer = frame (i), *out;
    const Classes now = classes_of_part (i, 5, 7, 28, 28);
    const Classes other = classes_of_part (i, 60, 7, 28, 28);
    const guint untracked = detect (buffer, "car", 60, 7, 28, 28);
    const guint tracked = detect (buffer, "car", 5, 7, 28, 28);
    const GstStructure *fields;
    guint64 object_id;

    if (i % 3 == 0)
      newest = now;
    track (buffer, tracked, id);
    out = gst_harness_push_and_pull (test.h, buffer);
    check_detection (out, tracked, &newest);
    check_detection (out, untracked, &other);
    /* The custom metadata of the first object, which nobody tracks. */
    fields = gst_custom_meta_get_structure (
        gst_buffer_get_custom_meta (out, "GstInt8ClassificationMeta"));
    fail_if (gst_structure_get_uint64 (fields, "object_id", &object_id));
    gst_buffer_unref (out);
  }
  g_object_get (test.element, "stats", &stats, NULL);
  fail_unless_equals_uint64 (test_field (stats, "pictures"), 7 + 3);
  gst_structure_free (stats);
  test_element_free (&test);
}
GST_END_TEST;

GST_START_TEST (test_track_in_custom_metadata)
{
  TestElement test = infer_new ("int8infer process-mode=objects");
  GstBuffer *buffer = frame (1), *out;
  guint64 id = 0;

  track (buffer, detect (buffer, "van", 5, 7, 28, 28), 77);
  out = gst_harness_push_and_pull (test.h, buffer);
  fail_unless (gst_structure_get_uint64 (
      gst_custom_meta_get_structure (gst_buffer_get_custom_meta (out, "GstInt8ClassificationMeta")),
      "object_id", &id));
  fail_unless_equals_uint64 (id, 77);
  gst_buffer_unref (out);
  test_element_free (&test);
}
GST_END_TEST;

/* --- Kinds of metadata ----------------------------------------------------------------------- */

static const struct {
  const char *mode;
  guint frame_regions, frame_classes;         /* of a frame that is looked at as a whole */
  guint detection_regions, detection_classes; /* of one detection */
  gboolean region_params;                     /* of one region of interest */
} kinds[] = {{"auto", 1, 1, 0, 1, TRUE}, {"analytics", 0, 1, 0, 1, TRUE},
    {"both", 1, 0, 1, 0, TRUE}, {"roi", 1, 0, 1, 0, TRUE}, {"custom", 0, 0, 0, 0, FALSE},
    {"none", 0, 0, 0, 0, FALSE}};

static GstBuffer *
run (const char *launch, const char *mode, GstBuffer *buffer)
{
  g_autofree char *text = g_strdup_printf ("%s top-k=2 metadata=%s", launch, mode);
  TestElement test = infer_new (text);
  GstBuffer *out = gst_harness_push_and_pull (test.h, buffer);

  test_element_free (&test);
  return out;
}

GST_START_TEST (test_kinds)
{
  const GstAnalyticsMtdType classification = gst_analytics_cls_mtd_get_mtd_type ();
  GstBuffer *buffer;

  buffer = run ("int8infer", kinds[__i__].mode, frame (1));
  fail_unless_equals_int (count_regions (buffer), kinds[__i__].frame_regions);
  fail_unless_equals_int (count (buffer, classification), kinds[__i__].frame_classes);
  gst_buffer_unref (buffer);

  buffer = frame (1);
  detect (buffer, "car", 5, 7, 28, 28);
  buffer = run ("int8infer process-mode=objects", kinds[__i__].mode, buffer);
  fail_unless_equals_int (count_regions (buffer), kinds[__i__].detection_regions);
  fail_unless_equals_int (count (buffer, classification), kinds[__i__].detection_classes);
  gst_buffer_unref (buffer);

  buffer = frame (1);
  gst_buffer_add_video_region_of_interest_meta (buffer, "car", 5, 7, 28, 28);
  buffer = run ("int8infer process-mode=objects", kinds[__i__].mode, buffer);
  fail_unless_equals_int (count_regions (buffer), 1);
  fail_unless_equals_int (count (buffer, GST_ANALYTICS_MTD_TYPE_ANY), 0);
  fail_unless ((gst_video_region_of_interest_meta_get_param (
                    gst_buffer_get_video_region_of_interest_meta (buffer), "classification") !=
                   NULL) == kinds[__i__].region_params);
  gst_buffer_unref (buffer);
}
GST_END_TEST;

/* What is found of a frame as a whole has no relations, whatever else is on the frame. */
GST_START_TEST (test_whole_frame)
{
  static const char labels[] = "a\nb\nc\nd\ne\nf\ng\nh\ni\nj\n";
  g_autofree char *launch =
      g_strdup_printf ("int8infer top-k=2 labels=%s", test_path ("labels.txt"));
  GstAnalyticsRelationMeta *relations;
  GstAnalyticsMtd mtd, other;
  gpointer state = NULL, related = NULL;
  GstBuffer *buffer = frame (1);
  Classes expected;
  TestElement test;
  guint detection;

  fail_unless (g_file_set_contents (test_path ("labels.txt"), labels, -1, NULL));
  test = infer_new (launch);
  detection = detect (buffer, "car", 5, 7, 28, 28);
  buffer = gst_harness_push_and_pull (test.h, buffer);
  expected = test_result (buffer);
  relations = gst_buffer_get_analytics_relation_meta (buffer);
  fail_unless (gst_analytics_relation_meta_iterate (relations, &state,
      gst_analytics_cls_mtd_get_mtd_type (), &mtd));
  fail_unless_equals_int (gst_analytics_cls_mtd_get_length (&mtd), 2);
  for (guint i = 0; i < 2; i++)
    fail_unless_equals_int (g_quark_to_string (gst_analytics_cls_mtd_get_quark (&mtd, i))[0],
        'a' + expected.ids[i]);
  check_detection (buffer, detection, NULL);
  fail_if (gst_analytics_relation_meta_get_direct_related (relations, mtd.id,
      GST_ANALYTICS_REL_TYPE_ANY, GST_ANALYTICS_MTD_TYPE_ANY, &related, &other));
  gst_buffer_unref (buffer);
  test_element_free (&test);
}
GST_END_TEST;

/* The time of the frame that a classification is of, or NONE where it is of the frame that it is on. */
static GstClockTime
time_of (GstBuffer *buffer, const GstAnalyticsMtd *classification)
{
  g_autoptr (GstCaps) reference =
      gst_caps_new_simple ("timestamp/x-int8-result", "mtd", G_TYPE_UINT, classification->id, NULL);
  GstReferenceTimestampMeta *meta = gst_buffer_get_reference_timestamp_meta (buffer, reference);

  return meta ? meta->timestamp : GST_CLOCK_TIME_NONE;
}

static gboolean
first_classification (GstBuffer *buffer, GstAnalyticsMtd *mtd)
{
  GstAnalyticsRelationMeta *relations = gst_buffer_get_analytics_relation_meta (buffer);
  gpointer state = NULL;

  return relations && gst_analytics_relation_meta_iterate (relations, &state,
                          gst_analytics_cls_mtd_get_mtd_type (), mtd);
}

/* Pushes frames until one has a result; the frame must not be the one that it is of. */
static void
check_async (TestElement *test, GstBuffer *(*make) (guint seed))
{
  GstAnalyticsMtd mtd;
  gboolean found = FALSE;

  for (guint i = 1; i < 4000 && !found; i++) {
    GstBuffer *buffer = gst_harness_push_and_pull (test->h, make (i)), *copy;

    found = first_classification (buffer, &mtd);
    if (found) {
      GstCustomMeta *meta = gst_buffer_get_custom_meta (buffer, "GstInt8ClassificationMeta");
      GstClockTime expected;

      fail_unless (gst_structure_get_uint64 (gst_custom_meta_get_structure (meta),
          "result_timestamp", &expected));
      fail_unless_equals_uint64 (time_of (buffer, &mtd), expected);
      fail_unless (expected < GST_BUFFER_PTS (buffer));
      copy = gst_buffer_copy (buffer);
      fail_unless (first_classification (copy, &mtd));
      fail_unless_equals_uint64 (time_of (copy, &mtd), expected);
      mtd.id++;
      fail_unless (time_of (copy, &mtd) == GST_CLOCK_TIME_NONE);
      gst_buffer_unref (copy);
    }
    gst_buffer_unref (buffer);
    g_usleep (1000);
  }
  fail_unless (found);
}

static GstBuffer *
frame_with_tracked (guint seed)
{
  GstBuffer *buffer = frame (seed);

  track (buffer, detect (buffer, "car", 5, 7, 28, 28), 7);
  return buffer;
}

/* Each frame, or object, tells how old its result is; those of frames that waited tell nothing. */
GST_START_TEST (test_async)
{
  TestElement test = infer_new ("int8infer async=true");
  TestElement objects = infer_new ("int8infer async=true process-mode=objects");
  TestElement waiting = infer_new ("int8infer");
  GstAnalyticsMtd mtd;
  GstBuffer *buffer;

  check_async (&test, frame);
  check_async (&objects, frame_with_tracked);
  buffer = gst_harness_push_and_pull (waiting.h, frame (1));
  fail_unless (first_classification (buffer, &mtd));
  fail_unless (time_of (buffer, &mtd) == GST_CLOCK_TIME_NONE);
  gst_buffer_unref (buffer);
  test_element_free (&test);
  test_element_free (&objects);
  test_element_free (&waiting);
}
GST_END_TEST;

/* --- int8calib ------------------------------------------------------------------------------- */

/* Two small frames above each other, and one between them that does not count. */
static GstBuffer *
tower (guint top, guint bottom)
{
  GstBuffer *buffer = gst_buffer_append (test_small_frame (top), test_small_frame (top + 100));

  buffer = gst_buffer_append (buffer, test_small_frame (bottom));
  detect (buffer, "car", 0, 0, 28, 28);
  detect (buffer, "person", 0, 28, 28, 28);
  detect (buffer, "car", 0, 56, 28, 28);
  return buffer;
}

/* A calibration on detections is that on the frames that they were cut from. */
GST_START_TEST (test_calibration)
{
  g_autofree char *expected = test_expected_table (0, 12, CALIB_METHOD_MSE, 1), *got = NULL;
  TestCalib c = test_calib_new ("int8calib method=mse process-mode=objects object-class=car");
  GstStructure *done;

  g_object_set (c.element, "table", test_path ("objects.table"), NULL);
  c.h = gst_harness_new_with_element (c.element, "sink", NULL);
  gst_harness_set_live (c.h, FALSE);
  gst_harness_set_src_caps (c.h, test_caps (GST_VIDEO_FORMAT_GRAY8, 28, 3 * 28));
  for (guint i = 0; i < 12; i += 2)
    fail_unless_equals_int (gst_harness_push (c.h, tower (i, i + 1)), GST_FLOW_OK);
  gst_harness_push_event (c.h, gst_event_new_eos ());
  done = test_calib_done (&c);
  fail_unless_equals_uint64 (test_field (done, "frames"), 12);
  gst_structure_free (done);
  got = test_contents (test_path ("objects.table"));
  fail_unless_equals_string (got, expected);
  test_calib_free (&c);
}
GST_END_TEST;

static Suite *
make_suite (void)
{
  Suite *suite = suite_create ("GstAnalytics");
  TCase *tcase = tcase_create ("analytics");

  tcase_set_timeout (tcase, 60);
  suite_add_tcase (suite, tcase);
  tcase_add_checked_fixture (tcase, test_setup, test_teardown);
  tcase_add_loop_test (tcase, test_objects, 0, 3);
  tcase_add_test (tcase, test_frames_of_others);
  tcase_add_test (tcase, test_two_classifiers);
  tcase_add_test (tcase, test_many_objects);
  tcase_add_test (tcase, test_tracks);
  tcase_add_test (tcase, test_track_in_custom_metadata);
  tcase_add_loop_test (tcase, test_kinds, 0, G_N_ELEMENTS (kinds));
  tcase_add_test (tcase, test_whole_frame);
  tcase_add_test (tcase, test_async);
  tcase_add_test (tcase, test_calibration);
  return suite;
}

int
main (int argc, char **argv)
{
  return test_main (argc, argv, "analytics", make_suite);
}
