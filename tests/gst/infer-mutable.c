/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * infer-mutable.c: every property of int8infer that says that it may be changed while playing is, and does what it
 * says: the table below must name them all.
 */
#include "tests/gst/common.h"

#include <string.h>

typedef enum {
  SWAPS,   /* the network is made anew and takes over */
  REFUSED, /* it was read, but cannot be had: a warning with this text, and the old network goes on */
  ELSEWHERE /* tested by itself: below, or in the file that the text names */
} Effect;

static const struct {
  const char *name, *value;
  Effect effect;
  const char *text; /* of the warning; or field=value of int8-engine; or the file */
} properties[] = {
    {"model", "(model)", SWAPS, NULL},
    {"labels", "(labels)", SWAPS, NULL},
    {"calibration-table", "(table)", SWAPS, NULL},
    {"force-table", "true", SWAPS, NULL},
    {"dynamic-ranges", "/nonexistent/ranges", REFUSED, "/nonexistent/ranges"},
    {"engine", "(engine)", SWAPS, "path=(engine)"},
    {"precision", "fp32", SWAPS, "precision=fp32"},
    {"layer-precision", "*:fp32", SWAPS, "precision=mixed"},
    {"strict", "true", SWAPS, NULL},
    {"ranges", "symmetric", SWAPS, NULL},
    {"tune", "true", SWAPS, NULL},
    {"proto-file", "/nonexistent/net.prototxt", REFUSED, "/nonexistent/net.prototxt"},
    {"infer-dims", "1;29;28", REFUSED, "29"},
    {"mean-file", "/nonexistent/mean.ppm", REFUSED, "/nonexistent/mean.ppm"},
    {"preprocess", "raw", SWAPS, NULL},
    {"color-format", "rgb", REFUSED, "rgb"},
    {"scale-factor", "0.5", SWAPS, NULL},
    {"mean", "0.25", SWAPS, NULL},
    {"std", "0.25", SWAPS, NULL},
    {"resize-mode", "letterbox", SWAPS, NULL},
    {"crop-ratio", "0.5", SWAPS, NULL},
    {"scaling", "nearest", SWAPS, NULL},
    {"drift-interval", "2", SWAPS, NULL},
    {"drift-window", "8", SWAPS, NULL},
    {"drift-clip", "0.5", SWAPS, NULL},
    {"drift-agreement", "0.5", SWAPS, NULL},
    {"top-k", NULL, ELSEWHERE, "infer.c"},
    {"threshold", NULL, ELSEWHERE, "infer.c"},
    {"softmax", NULL, ELSEWHERE, "infer.c"},
    {"qos", NULL, ELSEWHERE, "infer-flow.c"},
    {"output-tensors", NULL, ELSEWHERE, "analytics.c"},
    {"metadata", NULL, ELSEWHERE, NULL},
    {"attribute-name", NULL, ELSEWHERE, NULL},
    {"post-messages", NULL, ELSEWHERE, NULL},
    {"interval", NULL, ELSEWHERE, NULL},
    {"batch-timeout", NULL, ELSEWHERE, NULL},
    {"process-mode", NULL, ELSEWHERE, NULL},
    {"object-class", NULL, ELSEWHERE, NULL},
    {"object-min-width", NULL, ELSEWHERE, NULL},
    {"object-min-height", NULL, ELSEWHERE, NULL},
    {"object-max-width", NULL, ELSEWHERE, NULL},
    {"object-max-height", NULL, ELSEWHERE, NULL},
    {"reclassify-interval", NULL, ELSEWHERE, NULL},
    {"reclassify-confidence", NULL, ELSEWHERE, NULL},
    {"track-votes", NULL, ELSEWHERE, NULL},
};

/* The table has every property with that flag. */
GST_START_TEST (test_all_are_here)
{
  GstElement *element = gst_element_factory_make ("int8infer", NULL);
  GParamSpec **specs;
  guint n;

  specs = g_object_class_list_properties (G_OBJECT_GET_CLASS (element), &n);
  for (guint i = 0; i < n; i++) {
    gboolean found = !(specs[i]->flags & GST_PARAM_MUTABLE_PLAYING);

    for (guint k = 0; k < G_N_ELEMENTS (properties); k++)
      found = found || g_str_equal (properties[k].name, specs[i]->name);
    fail_unless (found, "%s: nothing changes it while playing", specs[i]->name);
  }
  g_free (specs);
  gst_object_unref (element);
}
GST_END_TEST;

/* --- What makes the network anew -------------------------------------------------------------- */

static char *
value_of (const char *text)
{
  if (g_str_equal (text, "(model)"))
    return g_strdup (test_model ());
  if (g_str_equal (text, "(table)"))
    return g_strdup (test_table ());
  if (g_str_equal (text, "(engine)"))
    return g_strdup (test_path ("mutable.engine"));
  if (g_str_equal (text, "(labels)")) {
    fail_unless (
        g_file_set_contents (test_path ("labels"), "a\nb\nc\nd\ne\nf\ng\nh\ni\nj\n", -1, NULL));
    return g_strdup (test_path ("labels"));
  }
  return g_strdup (text);
}

static void
push_and_pull (TestElement *test, guint seed, gboolean with_result)
{
  GstBuffer *out = gst_harness_push_and_pull (test->h, test_small_frame (seed));

  fail_unless_equals_uint64 (GST_BUFFER_OFFSET (out), seed);
  fail_unless_equals_int (test_result (out).n > 0, with_result);
  gst_buffer_unref (out);
}

static void
check_swapped (TestElement *test, const char *expected)
{
  GstStructure *fields = test_wait_message (test->bus, "int8-engine", 20);
  gboolean swapped;

  fail_unless (fields != NULL, "no other network came");
  fail_unless (gst_structure_get_boolean (fields, "swapped", &swapped) && swapped);
  if (expected) {
    g_auto (GStrv) pair = g_strsplit (expected, "=", 2);
    g_autofree char *value = value_of (pair[1]);

    fail_unless_equals_string (gst_structure_get_string (fields, pair[0]), value);
  }
  gst_structure_free (fields);
}

GST_START_TEST (test_setting)
{
  const char *name = properties[__i__].name;
  g_autofree char *value = NULL;
  TestElement test;

  if (properties[__i__].effect == ELSEWHERE)
    return;
  value = value_of (properties[__i__].value);
  test = test_infer_new ("int8infer force-table=true", test_small_caps ());
  if (g_str_equal (name, "force-table")) /* has another value than it will be given */
    g_object_set (test.element, name, FALSE, NULL);
  push_and_pull (&test, 1, TRUE);
  gst_structure_free (test_wait_message (test.bus, "int8-engine", 20));
  while (g_str_equal (name, "force-table") && gst_bus_have_pending (test.bus))
    gst_message_unref (gst_bus_pop (test.bus));

  gst_util_set_object_arg (G_OBJECT (test.element), name, value);
  if (properties[__i__].effect == SWAPS)
    check_swapped (&test, properties[__i__].text);
  else
    test_expect_warning (test.bus, properties[__i__].text, "goes on", NULL);
  for (guint i = 2; i < 6; i++)
    push_and_pull (&test, i, TRUE);
  test_expect_no_error (test.bus);
  test_element_free (&test);
}
GST_END_TEST;

/* --- What nothing changes while playing ------------------------------------------------------- */

static const char *const elements[] = {"int8infer precision=fp32", "int8calib", "int8metajson"};

static void
set_path (GstElement *element, const char *property, const char *path)
{
  if (g_object_class_find_property (G_OBJECT_GET_CLASS (element), property))
    g_object_set (element, property, path, NULL);
}

/* Each is read when the element starts; later a warning says so. */
GST_START_TEST (test_too_late)
{
  TestElement test = {.element = test_element_new (elements[__i__], &test.bus)};
  GParamSpec **specs;
  guint n, n_late = 0;

  set_path (test.element, "model", test_model ());
  set_path (test.element, "table", test_path ("late.table"));
  set_path (test.element, "location", test_path ("late.json"));
  fail_unless (gst_element_set_state (test.element, GST_STATE_PLAYING) != GST_STATE_CHANGE_FAILURE);
  specs = g_object_class_list_properties (G_OBJECT_GET_CLASS (test.element), &n);
  for (guint i = 0; i < n; i++) {
    GValue value = G_VALUE_INIT;

    if (specs[i]->owner_type != G_OBJECT_TYPE (test.element) ||
        !(specs[i]->flags & G_PARAM_WRITABLE) || (specs[i]->flags & GST_PARAM_MUTABLE_PLAYING))
      continue;
    g_value_init (&value, specs[i]->value_type);
    g_object_get_property (G_OBJECT (test.element), specs[i]->name, &value);
    g_object_set_property (G_OBJECT (test.element), specs[i]->name, &value);
    g_value_unset (&value);
    test_expect_warning (test.bus, specs[i]->name, "what runs goes on without it", NULL);
    n_late++;
  }
  fail_unless (n_late >= 7, "%u", n_late);
  g_free (specs);
  test_element_free (&test);
}
GST_END_TEST;

/* --- What the next frame obeys ---------------------------------------------------------------- */

GST_START_TEST (test_metadata)
{
  TestElement test = test_infer_new ("int8infer", test_small_caps ());
  GstStructure *fields;
  GstBuffer *out;

  push_and_pull (&test, 1, TRUE);
  gst_util_set_object_arg (G_OBJECT (test.element), "metadata", "none");
  push_and_pull (&test, 2, FALSE);
  g_object_set (test.element, "post-messages", TRUE, "attribute-name", "garment", NULL);
  push_and_pull (&test, 3, FALSE);
  fields = test_wait_message (test.bus, "int8-classification", 20);
  fail_unless (fields != NULL);
  fail_unless_equals_string (gst_structure_get_string (fields, "attribute_name"), "garment");
  gst_structure_free (fields);
  g_object_set (test.element, "post-messages", FALSE, NULL);
  gst_util_set_object_arg (G_OBJECT (test.element), "metadata", "roi");
  out = gst_harness_push_and_pull (test.h, test_small_frame (4));
  fail_unless (gst_buffer_get_video_region_of_interest_meta (out) != NULL);
  fail_unless_equals_int (test_result (out).n, 0); /* no custom metadata */
  gst_buffer_unref (out);
  test_expect_no_error (test.bus);
  test_element_free (&test);
}
GST_END_TEST;

GST_START_TEST (test_interval)
{
  TestElement test = test_infer_new ("int8infer", test_small_caps ());

  for (guint i = 0; i < 4; i++)
    push_and_pull (&test, i, TRUE);
  g_object_set (test.element, "interval", 1, NULL);
  for (guint i = 4; i < 10; i++)
    push_and_pull (&test, i, i % 2 == 0);
  g_object_set (test.element, "interval", 0, NULL);
  for (guint i = 10; i < 14; i++)
    push_and_pull (&test, i, TRUE);
  test_element_free (&test);
}
GST_END_TEST;

static GstClockTime
least_latency (TestElement *test)
{
  GstQuery *query = gst_query_new_latency ();
  GstClockTime least;

  fail_unless (gst_pad_peer_query (test->h->sinkpad, query));
  gst_query_parse_latency (query, NULL, &least, NULL);
  gst_query_unref (query);
  return least;
}

/* The latency grows by exactly the timeout, where batches have room for more than one; the pipeline is told. */
GST_START_TEST (test_batch_timeout)
{
  TestElement test =
      test_infer_new (__i__ ? "int8infer batch-size=4" : "int8infer", test_small_caps ());
  const GstClockTime timeout = 7654321;
  GstMessage *message;

  gst_harness_set_upstream_latency (test.h, 30 * GST_MSECOND);
  push_and_pull (&test, 1, TRUE);
  fail_unless_equals_uint64 (least_latency (&test), 30 * GST_MSECOND);
  g_object_set (test.element, "batch-timeout", timeout, NULL);
  message = test_pop (test.bus, GST_MESSAGE_LATENCY, 20);
  fail_unless (message != NULL);
  gst_message_unref (message);
  fail_unless_equals_uint64 (least_latency (&test), 30 * GST_MSECOND + (__i__ ? timeout : 0));
  push_and_pull (&test, 2, TRUE); /* after the timeout, though the batch is not full */
  g_object_set (test.element, "batch-timeout", (guint64) 0, NULL);
  fail_unless_equals_uint64 (least_latency (&test), 30 * GST_MSECOND);
  test_element_free (&test);
}
GST_END_TEST;

/* --- Objects ---------------------------------------------------------------------------------- */

/* One object of 30x20, followed by a tracker. */
static GstBuffer *
frame_with_object (guint seed)
{
  GstBuffer *buffer = test_frame (GST_VIDEO_FORMAT_GRAY8, 120, 90, seed);
  GstVideoRegionOfInterestMeta *region =
      gst_buffer_add_video_region_of_interest_meta (buffer, "thing", 40, 30, 30, 20);

  gst_video_region_of_interest_meta_add_param (region,
      gst_structure_new ("object_id", "id", G_TYPE_INT, 1, NULL));
  return buffer;
}

/* The confidence of the object's result; 0 where it has none. */
static double
confidence_of (TestElement *test, guint seed)
{
  GstBuffer *out = gst_harness_push_and_pull (test->h, frame_with_object (seed));
  const Classes classes = test_result (out);

  gst_buffer_unref (out);
  return classes.n ? classes.confidences[0] : 0;
}

static guint64
n_pictures (TestElement *test)
{
  GstStructure *stats;
  guint64 n;

  g_object_get (test->element, "stats", &stats, NULL);
  n = test_field (stats, "pictures");
  gst_structure_free (stats);
  return n;
}

static const struct {
  const char *name, *away, *back;
} filters[] = {
    {"object-class", "other", "other;thing"},
    {"object-min-width", "31", "30"},
    {"object-min-height", "21", "20"},
    {"object-max-width", "29", "30"},
    {"object-max-height", "19", "20"},
};

GST_START_TEST (test_objects)
{
  TestElement test = test_infer_new ("int8infer", test_caps (GST_VIDEO_FORMAT_GRAY8, 120, 90));
  double whole, object;

  whole = confidence_of (&test, 5);
  gst_util_set_object_arg (G_OBJECT (test.element), "process-mode", "objects");
  object = confidence_of (&test, 5);
  fail_unless (object > 0 && whole > 0 && object != whole);
  for (guint i = 0; i < G_N_ELEMENTS (filters); i++) {
    gst_util_set_object_arg (G_OBJECT (test.element), filters[i].name, filters[i].away);
    fail_unless (confidence_of (&test, 5) == 0, "%s=%s", filters[i].name, filters[i].away);
    gst_util_set_object_arg (G_OBJECT (test.element), filters[i].name, filters[i].back);
    fail_unless (confidence_of (&test, 5) == object, "%s=%s", filters[i].name, filters[i].back);
  }
  gst_util_set_object_arg (G_OBJECT (test.element), "process-mode", "frame");
  fail_unless (confidence_of (&test, 5) == whole);
  test_element_free (&test);
}
GST_END_TEST;

GST_START_TEST (test_tracks)
{
  TestElement test = test_infer_new ("int8infer process-mode=objects",
      test_caps (GST_VIDEO_FORMAT_GRAY8, 120, 90));
  const double first = confidence_of (&test, 5), other = confidence_of (&test, 6);
  guint64 n = n_pictures (&test);
  double voted;

  fail_unless_equals_uint64 (n, 2);
  fail_unless (first != other);
  g_object_set (test.element, "reclassify-interval", G_MAXUINT, NULL);
  fail_unless (confidence_of (&test, 5) == other); /* its last result */
  fail_unless_equals_uint64 (n_pictures (&test), n);
  g_object_set (test.element, "reclassify-confidence", 1.0, NULL);
  fail_unless (confidence_of (&test, 5) == first);
  fail_unless_equals_uint64 (n_pictures (&test), ++n);
  g_object_set (test.element, "reclassify-confidence", 0.0, NULL);
  fail_unless (confidence_of (&test, 6) == first);
  fail_unless_equals_uint64 (n_pictures (&test), n);
  g_object_set (test.element, "reclassify-interval", 0, "track-votes", 100, NULL);
  voted = confidence_of (&test, 6);
  fail_unless (voted != first && voted != other); /* a mean over all so far */
  g_object_set (test.element, "track-votes", 1, NULL);
  fail_unless (confidence_of (&test, 6) == other);
  test_element_free (&test);
}
GST_END_TEST;

static Suite *
make_suite (void)
{
  Suite *suite = suite_create ("int8infer mutable");
  TCase *tcase = tcase_create ("mutable");

  tcase_set_timeout (tcase, 60);
  tcase_add_checked_fixture (tcase, test_setup, test_teardown);
  tcase_add_test (tcase, test_all_are_here);
  tcase_add_loop_test (tcase, test_setting, 0, G_N_ELEMENTS (properties));
  tcase_add_loop_test (tcase, test_too_late, 0, G_N_ELEMENTS (elements));
  tcase_add_test (tcase, test_metadata);
  tcase_add_test (tcase, test_interval);
  tcase_add_loop_test (tcase, test_batch_timeout, 0, 2);
  tcase_add_test (tcase, test_objects);
  tcase_add_test (tcase, test_tracks);
  suite_add_tcase (suite, tcase);
  return suite;
}

int
main (int argc, char **argv)
{
  return test_main (argc, argv, "infer-mutable", make_suite);
}
