/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* meta-json.c: what int8metajson writes of int8infer's results, read back as JSON. */
#include "tests/gst/common.h"

#include <json-glib/json-glib.h>
#include <stdio.h>
#include <string.h>

#define WIDTH  120
#define HEIGHT 90

/* The lines that int8metajson writes for n frames; the first has two objects, the second none. */
static char **
lines_of (const char *infer, const char *json, guint n)
{
  g_autofree char *launch =
      g_strdup_printf ("%s name=infer model=%s calibration-table=%s ! int8metajson location=%s %s",
          infer, test_model (), test_table (), test_path ("results.json"), json);
  GstHarness *h = gst_harness_new_parse (launch);
  g_autofree char *text = NULL;
  GstSegment segment;

  gst_harness_set_src_caps (h, test_caps (GST_VIDEO_FORMAT_GRAY8, WIDTH, HEIGHT));
  gst_segment_init (&segment, GST_FORMAT_TIME);
  segment.start = TEST_FRAME_DURATION;
  segment.time = 10 * TEST_FRAME_DURATION; /* the stream time of frame i is i + 9 frames */
  gst_harness_push_event (h, gst_event_new_segment (&segment));
  for (guint i = 1; i <= n; i++) {
    GstBuffer *buffer = test_frame (GST_VIDEO_FORMAT_GRAY8, WIDTH, HEIGHT, i);

    if (i == 1) {
      GstVideoRegionOfInterestMeta *car =
          gst_buffer_add_video_region_of_interest_meta (buffer, "car", 30, 45, 60, 30);

      gst_video_region_of_interest_meta_add_param (car,
          gst_structure_new ("object_id", "id", G_TYPE_INT, 11, NULL));
      gst_video_region_of_interest_meta_add_param (car,
          gst_structure_new ("detection", "confidence", G_TYPE_DOUBLE, 0.5, "label_id", G_TYPE_INT,
              2, NULL));
      gst_buffer_add_video_region_of_interest_meta (buffer, "ca\"fé", 0, 0, 28, 28);
    }
    gst_buffer_unref (gst_harness_push_and_pull (h, buffer));
  }
  gst_harness_teardown (h);
  text = test_contents (test_path ("results.json"));
  fail_unless (!*text || g_str_has_suffix (text, "\n"));
  return g_strsplit (text, "\n", -1);
}

static JsonObject *
parse (JsonParser *parser, const char *line)
{
  fail_unless (json_parser_load_from_data (parser, line, -1, NULL), "not JSON: %s", line);
  return json_node_get_object (json_parser_get_root (parser));
}

GST_START_TEST (test_objects)
{
  g_auto (GStrv) lines = lines_of (
      "int8infer process-mode=objects attribute-name=colour top-k=3 attribute-name=colour",
      "source=\"gate 3\" tags=\"{\\\"a\\\":1}\"", 2);
  g_autoptr (JsonParser) parser = json_parser_new ();
  JsonObject *root = parse (parser, lines[0]), *object, *detection, *box, *colour;
  JsonArray *objects = json_object_get_array_member (root, "objects");

  fail_unless_equals_string (lines[1], ""); /* the second frame has nothing */
  fail_unless_equals_int (json_array_get_length (objects), 2);
  object = json_array_get_object_element (objects, 0);
  fail_unless_equals_int (json_object_get_int_member (object, "x"), 30);
  fail_unless_equals_int (json_object_get_int_member (object, "h"), 30);
  fail_unless_equals_int (json_object_get_int_member (object, "id"), 11);
  fail_unless_equals_string (json_object_get_string_member (object, "roi_type"), "car");
  fail_unless_equals_int (json_object_get_int_member (object, "region_id"), 0);
  detection = json_object_get_object_member (object, "detection");
  fail_unless (json_object_get_double_member (detection, "confidence") == 0.5);
  fail_unless_equals_int (json_object_get_int_member (detection, "label_id"), 2);
  fail_unless_equals_string (json_object_get_string_member (detection, "label"), "car");
  box = json_object_get_object_member (detection, "bounding_box");
  fail_unless (json_object_get_double_member (box, "x_min") == 0.25);
  fail_unless (json_object_get_double_member (box, "x_max") == 0.75);
  fail_unless (json_object_get_double_member (box, "y_min") == 0.5);
  colour = json_object_get_object_member (object, "colour");
  fail_unless_equals_string (
      json_object_get_string_member (json_object_get_object_member (colour, "model"), "name"),
      "fashion-lenet");
  fail_unless_equals_int (json_array_get_length (json_object_get_array_member (colour, "classes")),
      3);
  fail_unless (json_object_get_double_member (colour, "confidence") > 0);
  object = json_array_get_object_element (objects, 1);
  fail_unless_equals_string (json_object_get_string_member (object, "roi_type"), "ca\"fé");
  fail_unless (!json_object_has_member (object, "id"));
  fail_unless (json_object_has_member (object, "region_id"));
  fail_if (
      json_object_has_member (json_object_get_object_member (object, "detection"), "confidence"));

  fail_unless_equals_int (json_object_get_int_member (root, "timestamp"), 10 * TEST_FRAME_DURATION);
  fail_unless_equals_string (json_object_get_string_member (root, "source"), "gate 3");
  fail_unless_equals_int (
      json_object_get_int_member (json_object_get_object_member (root, "tags"), "a"), 1);
  fail_unless_equals_int (
      json_object_get_int_member (json_object_get_object_member (root, "resolution"), "height"),
      HEIGHT);
}
GST_END_TEST;

/* Frames that are scaled in between: pixels are those of the frame that int8metajson sees. */
GST_START_TEST (test_scaled)
{
  g_auto (GStrv) lines = lines_of (
      "int8infer instance-id=j process-mode=objects attribute-name=a ! videoscale ! video/x-raw,width=240,height=45 ! "
      "int8infer instance-id=j process-mode=objects attribute-name=b",
      "", 1);
  g_autoptr (JsonParser) parser = json_parser_new ();
  JsonArray *objects = json_object_get_array_member (parse (parser, lines[0]), "objects");
  JsonObject *object = json_array_get_object_element (objects, 0), *box;

  fail_unless_equals_int (json_array_get_length (objects), 2);
  fail_unless (json_object_has_member (object, "a") && json_object_has_member (object, "b"));
  fail_unless_equals_int (json_object_get_int_member (object, "x"), 60);
  fail_unless_equals_int (json_object_get_int_member (object, "w"), 120);
  fail_unless_equals_int (json_object_get_int_member (object, "h"), 15);
  box = json_object_get_object_member (json_object_get_object_member (object, "detection"),
      "bounding_box");
  fail_unless (json_object_get_double_member (box, "x_min") == 0.25);
  fail_unless (json_object_get_double_member (box, "x_max") == 0.75);
}
GST_END_TEST;

/* Results that only others read are not passed over in silence. */
GST_START_TEST (test_other_metadata)
{
  static const char *const kinds[] = {"roi", "both", "none"};
  g_autofree char *launch =
      g_strdup_printf ("int8infer metadata=%s model=%s calibration-table=%s ! "
                       "int8metajson location=%s ! int8overlay",
          kinds[__i__], test_model (), test_table (), test_path ("results.json"));
  GstHarness *h = gst_harness_new_parse (launch);
  g_autoptr (GstBus) bus = gst_bus_new ();
  guint warnings = 0;
  GstMessage *message;

  gst_element_set_bus (h->element, bus);
  gst_harness_set_src_caps (h, test_caps (GST_VIDEO_FORMAT_BGRx, WIDTH, HEIGHT));
  for (guint i = 0; i < 3; i++)
    gst_buffer_unref (
        gst_harness_push_and_pull (h, test_frame (GST_VIDEO_FORMAT_BGRx, WIDTH, HEIGHT, i)));
  while ((message = gst_bus_pop_filtered (bus, GST_MESSAGE_WARNING))) {
    g_autoptr (GError) warning = NULL;

    gst_message_parse_warning (message, &warning, NULL);
    fail_unless (strstr (warning->message, "metadata=auto") != NULL, "%s", warning->message);
    gst_message_unref (message);
    warnings++;
  }
  fail_unless_equals_int (warnings, __i__ == 0 ? 2 : 0);
  gst_element_set_bus (h->element, NULL);
  gst_harness_teardown (h);
}
GST_END_TEST;

/* Whole frames; empty ones only where they are wanted; append keeps what was there. */
GST_START_TEST (test_frames)
{
  g_auto (GStrv) lines = lines_of ("int8infer interval=1", "add-empty-results=true", 4);
  g_auto (GStrv) more = NULL;
  g_autoptr (JsonParser) parser = json_parser_new ();
  JsonObject *root;

  fail_unless_equals_int (g_strv_length (lines), 5);
  for (guint i = 0; i < 4; i++) {
    JsonArray *objects;

    root = parse (parser, lines[i]);
    objects = json_object_get_array_member (root, "objects");
    fail_unless_equals_int (json_array_get_length (objects), i % 2 == 0);
    fail_unless_equals_int (json_object_get_int_member (root, "timestamp"),
        (i + 10) * TEST_FRAME_DURATION);
    if (i % 2 == 0) {
      JsonObject *object = json_array_get_object_element (objects, 0);

      fail_if (json_object_has_member (object, "roi_type"));
      fail_if (json_object_has_member (object, "region_id"));
      fail_unless_equals_int (json_object_get_int_member (object, "w"), WIDTH);
      fail_unless (!json_object_has_member (object, "detection"));
      fail_unless (!json_object_has_member (
          json_object_get_object_member (object, "classification"), "classes"));
    }
  }
  more = lines_of ("int8infer", "append=true", 1);
  fail_unless_equals_int (g_strv_length (more), 6);
  fail_unless_equals_string (more[0], lines[0]);
}
GST_END_TEST;

/* What three classifiers say of one object is in one; names that are taken get a number. */
GST_START_TEST (test_several)
{
  g_autofree char *infer =
      g_strdup_printf ("int8infer process-mode=objects attribute-name=colour model=%s "
                       "calibration-table=%s ! int8infer process-mode=objects "
                       "attribute-name=x model=%s calibration-table=%s ! "
                       "int8infer process-mode=objects attribute-name=colour",
          test_model (), test_table (), test_model (), test_table ());
  g_auto (GStrv) lines = lines_of (infer, "", 1);
  g_autoptr (JsonParser) parser = json_parser_new ();
  JsonArray *objects = json_object_get_array_member (parse (parser, lines[0]), "objects");

  fail_unless_equals_int (json_array_get_length (objects), 2);
  for (guint i = 0; i < 2; i++) {
    static const char *const attributes[] = {"colour", "x#2", "colour#2"};
    JsonObject *object = json_array_get_object_element (objects, i);

    fail_unless_equals_int (json_object_get_int_member (object, "x"), i == 0 ? 30 : 0);
    for (guint j = 0; j < G_N_ELEMENTS (attributes); j++)
      fail_unless (
          json_object_has_member (json_object_get_object_member (object, attributes[j]), "label"),
          "%s", lines[0]);
  }
}
GST_END_TEST;

/* Whatever a result holds, the line is JSON, and numbers are as short as they can be. */
GST_START_TEST (test_odd_values)
{
  GstElement *json = gst_element_factory_make ("int8metajson", NULL);
  GstHarness *h;
  GstBuffer *buffer = test_small_frame (1);
  GstCustomMeta *meta = gst_buffer_add_custom_meta (buffer, "GstInt8ClassificationMeta");
  g_autoptr (JsonParser) parser = json_parser_new ();
  g_autofree char *text = NULL;
  GValue none = G_VALUE_INIT;
  JsonObject *root, *object;

  g_object_set (json, "location", test_path ("odd.json"), "source", "a\\b\xe9", "tags",
      "{\n \"a\": [1,\n2]}", NULL);
  h = gst_harness_new_with_element (json, "sink", "src");
  gst_harness_set_src_caps (h, test_small_caps ());
  gst_structure_set (gst_custom_meta_get_structure (meta), "label", G_TYPE_STRING,
      "caf\"\\ \n\t\x01 fé", "label_id", G_TYPE_INT, 1, "confidence", G_TYPE_DOUBLE, (double) 0.1f,
      "model_name", G_TYPE_STRING, "m", "attribute_name", G_TYPE_STRING, "", NULL);
  gst_value_array_init (&none, 0);
  gst_structure_set_value (gst_custom_meta_get_structure (meta), "labels", &none);
  g_value_unset (&none);
  gst_buffer_unref (gst_harness_push_and_pull (h, buffer));

  buffer = test_small_frame (2);
  meta = gst_buffer_add_custom_meta (buffer, "GstInt8ClassificationMeta");
  gst_structure_set (gst_custom_meta_get_structure (meta), "label", G_TYPE_STRING, "", "label_id",
      G_TYPE_INT, 1, "confidence", G_TYPE_DOUBLE, G_MAXDOUBLE * 10, "model_name", G_TYPE_STRING,
      "m", "attribute_name", G_TYPE_STRING, "a", NULL);
  gst_value_array_init (&none, 0);
  gst_structure_set_value (gst_custom_meta_get_structure (meta), "labels", &none);
  g_value_unset (&none);
  gst_buffer_unref (gst_harness_push_and_pull (h, buffer));
  gst_object_unref (json);
  gst_harness_teardown (h);

  text = test_contents (test_path ("odd.json"));
  fail_unless (strstr (text, "\"confidence\":0.100000001,") != NULL, "%s", text);
  fail_unless (strstr (text, "\"confidence\":null,") != NULL, "%s", text);
  fail_unless (strstr (text, "\"tags\":{\"a\":[1,2]}}\n") != NULL, "%s", text);
  *strchr (text, '\n') = '\0';
  root = parse (parser, text);
  object = json_array_get_object_element (json_object_get_array_member (root, "objects"), 0);
  fail_unless_equals_string (
      json_object_get_string_member (json_object_get_object_member (object, ""), "label"),
      "caf\"\\ \n\t\x01 fé");
  fail_unless_equals_string (json_object_get_string_member (root, "source"), "a\\b\xef\xbf\xbd");
}
GST_END_TEST;

/* The line of a frame whose result is of the frame with that timestamp. */
static char *
line_of_older (GstClockTime of)
{
  GstElement *json = gst_element_factory_make ("int8metajson", NULL);
  GstBuffer *buffer = test_small_frame (5);
  GstCustomMeta *meta = gst_buffer_add_custom_meta (buffer, "GstInt8ClassificationMeta");
  GValue none = G_VALUE_INIT;
  GstSegment segment;
  GstHarness *h;

  g_object_set (json, "location", test_path ("older.json"), NULL);
  h = gst_harness_new_with_element (json, "sink", "src");
  gst_harness_set_src_caps (h, test_small_caps ());
  gst_segment_init (&segment, GST_FORMAT_TIME);
  segment.start = 3 * TEST_FRAME_DURATION;
  segment.time = TEST_FRAME_DURATION; /* the stream time of frame i is i - 2 frames */
  gst_harness_push_event (h, gst_event_new_segment (&segment));
  gst_value_array_init (&none, 0);
  gst_structure_set (gst_custom_meta_get_structure (meta), "label", G_TYPE_STRING, "a", "label_id",
      G_TYPE_INT, 1, "confidence", G_TYPE_DOUBLE, 0.5, "model_name", G_TYPE_STRING, "m",
      "attribute_name", G_TYPE_STRING, "what", "result_timestamp", G_TYPE_UINT64, of, NULL);
  gst_structure_take_value (gst_custom_meta_get_structure (meta), "labels", &none);
  gst_buffer_unref (gst_harness_push_and_pull (h, buffer));
  gst_object_unref (json);
  gst_harness_teardown (h);
  return test_contents (test_path ("older.json"));
}

/* A result's time is told as its frame's is, also where it was before this segment, and not where it is unknown. */
GST_START_TEST (test_older)
{
  static const guint64 times[] = {4 * TEST_FRAME_DURATION, 0, GST_CLOCK_TIME_NONE};

  for (guint i = 0; i < G_N_ELEMENTS (times); i++) {
    g_autofree char *line = line_of_older (times[i]);
    g_autoptr (JsonParser) parser = json_parser_new ();
    JsonObject *root = parse (parser, line);
    JsonObject *what = json_object_get_object_member (
        json_array_get_object_element (json_object_get_array_member (root, "objects"), 0), "what");

    fail_unless_equals_int64 (json_object_get_int_member (root, "timestamp"),
        3 * (gint64) TEST_FRAME_DURATION);
    if (times[i] == GST_CLOCK_TIME_NONE)
      fail_if (json_object_has_member (what, "result_timestamp"), "%s", line);
    else
      fail_unless_equals_int64 (json_object_get_int_member (what, "result_timestamp"),
          (gint64) times[i] - 2 * (gint64) TEST_FRAME_DURATION);
  }
}
GST_END_TEST;

static void
check_refused (const char *launch, const char *what)
{
  GstBus *bus;
  GstElement *element = test_element_new (launch, &bus);

  fail_unless_equals_int (gst_element_set_state (element, GST_STATE_PAUSED),
      GST_STATE_CHANGE_FAILURE);
  test_expect_error (bus, what, NULL);
  gst_element_set_state (element, GST_STATE_NULL);
  gst_element_set_bus (element, NULL);
  gst_object_unref (element);
  gst_object_unref (bus);
}

GST_START_TEST (test_errors)
{
  check_refused ("int8metajson location=/nowhere/results.json", "/nowhere/results.json");
  check_refused ("int8metajson tags=[1]", "JSON object");
  check_refused ("int8metajson tags={a", "JSON object");
}
GST_END_TEST;

/* A disk that is full ends the stream with an error, not with a file that lacks lines. */
GST_START_TEST (test_full_disk)
{
  GstHarness *h;
  GstBuffer *buffer;

  if (!g_file_test ("/dev/full", G_FILE_TEST_EXISTS)) {
    printf ("SKIP there is no /dev/full\n");
    return;
  }
  h = gst_harness_new_parse ("int8metajson location=/dev/full add-empty-results=true");
  gst_harness_set_src_caps (h, test_small_caps ());
  buffer = test_small_frame (1);
  fail_unless_equals_int (gst_harness_push (h, buffer), GST_FLOW_ERROR);
  gst_harness_teardown (h);
}
GST_END_TEST;

static Suite *
make_suite (void)
{
  Suite *suite = suite_create ("int8metajson");
  TCase *tcase = tcase_create ("json");

  tcase_set_timeout (tcase, 60);
  suite_add_tcase (suite, tcase);
  tcase_add_checked_fixture (tcase, test_setup, test_teardown);
  tcase_add_test (tcase, test_objects);
  tcase_add_test (tcase, test_scaled);
  tcase_add_loop_test (tcase, test_other_metadata, 0, 3);
  tcase_add_test (tcase, test_frames);
  tcase_add_test (tcase, test_several);
  tcase_add_test (tcase, test_odd_values);
  tcase_add_test (tcase, test_older);
  tcase_add_test (tcase, test_errors);
  tcase_add_test (tcase, test_full_disk);
  return suite;
}

int
main (int argc, char **argv)
{
  return test_main (argc, argv, "meta-json", make_suite);
}
