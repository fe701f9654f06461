/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * infer-errors.c: what int8infer says of bad input: one error, which names the cause and what to do,
 * and an element that can be stopped and started again.
 */
#include "tests/gst/common.h"

#include <glib/gstdio.h>
#include <string.h>

static void
expect_eos (GstHarness *h)
{
  gboolean eos = FALSE;
  GstEvent *event;

  while (!eos && (event = gst_harness_pull_event (h))) {
    eos = GST_EVENT_TYPE (event) == GST_EVENT_EOS;
    gst_event_unref (event);
  }
  fail_unless (eos);
}

static GstElement *
infer (GstBus **bus)
{
  GstElement *element = test_element_new ("int8infer", bus);

  g_object_set (element, "model", test_model (), "calibration-table", test_table (), NULL);
  return element;
}

static void
finish (GstElement *element, GstBus *bus)
{
  gst_element_set_state (element, GST_STATE_NULL);
  gst_element_set_bus (element, NULL);
  gst_object_unref (element);
  gst_bus_set_flushing (bus, TRUE);
  gst_object_unref (bus);
}

/* Errors that are known before anything is read fail the state change itself. */
GST_START_TEST (test_settings)
{
  static const struct {
    const char *property, *value, *text1, *text2;
  } cases[] = {
      {"model", "", "no model", "\"model\""},
      {"backend", "cuda:999", "cuda:999", "backend=auto"},
      {"backend", "nonsense", "nonsense", "backend=auto"},
      {"mean", "1,two", "mean", "two"},
  };
  GstBus *bus;
  GstElement *element = infer (&bus);

  g_object_set (element, cases[__i__].property, cases[__i__].value, NULL);
  fail_unless_equals_int (gst_element_set_state (element, GST_STATE_PAUSED),
      GST_STATE_CHANGE_FAILURE);
  test_expect_error (bus, cases[__i__].text1, cases[__i__].text2, NULL);
  finish (element, bus);
}
GST_END_TEST;

/* An empty text is no text: every property is as if it were not set. */
GST_START_TEST (test_empty_texts)
{
  static const char *const needed[] = {"name", "model", "calibration-table", NULL};
  GstBus *bus;
  GstElement *element = infer (&bus);
  GParamSpec **specs;
  GstStructure *message;
  guint n;

  specs = g_object_class_list_properties (G_OBJECT_GET_CLASS (element), &n);
  for (guint i = 0; i < n; i++)
    if (specs[i]->value_type == G_TYPE_STRING && !g_strv_contains (needed, specs[i]->name))
      g_object_set (element, specs[i]->name, "", NULL);
  g_free (specs);
  fail_unless_equals_int (gst_element_set_state (element, GST_STATE_PAUSED),
      GST_STATE_CHANGE_SUCCESS);
  message = test_wait_message (bus, "int8-engine", 20);
  fail_unless (message != NULL);
  gst_structure_free (message);
  test_expect_no_error (bus);
  finish (element, bus);
}
GST_END_TEST;

/* Makes bad_file() or names a file that is not there, for the property. */
static const struct {
  const char *property, *name, *contents, *text;
} bad_files[] = {
    {"model", "missing.onnx", NULL, "missing.onnx"},
    {"model", "empty.onnx", "", "empty.onnx"},
    {"model", "text.onnx", "this is not a model\n", "text.onnx"},
    {"calibration-table", NULL, NULL, "int8calib model="},
    {"calibration-table", "missing.table", NULL, "missing.table"},
    {"calibration-table", "corrupt.table",
        "TRT-8601-EntropyCalibration2\ninput: 3c010a14\nconv1: zebra\n", "3"},
    {"calibration-table", "other.table",
        "TRT-8601-EntropyCalibration2\nsome/other/tensor: 3c010a14\n", "tensor"},
    {"labels", "missing.txt", NULL, "missing.txt"},
    {"labels", "latin1.txt", "caf\xe9\n", "latin1.txt"},
};

/* Errors of the loader come on the bus; upstream then gets an error flow, and downstream its EOS. */
GST_START_TEST (test_bad_files)
{
  const char *path = bad_files[__i__].name ? test_path (bad_files[__i__].name) : "";
  GstFlowReturn result = GST_FLOW_OK;
  GstElement *element;
  GstHarness *h;
  GstBus *bus;

  element = infer (&bus);
  if (bad_files[__i__].contents)
    fail_unless (g_file_set_contents (path, bad_files[__i__].contents, -1, NULL));
  g_object_set (element, bad_files[__i__].property, path, NULL);
  h = gst_harness_new_with_element (element, "sink", "src");
  gst_harness_set_src_caps (h, test_small_caps ());
  for (guint i = 0; i < 10 && result == GST_FLOW_OK; i++)
    result = gst_harness_push (h, test_small_frame (i));
  fail_unless_equals_int (result, GST_FLOW_ERROR);
  test_expect_error (bus, bad_files[__i__].text, NULL);
  expect_eos (h);
  fail_unless_equals_int (gst_harness_buffers_received (h), 0);

  /* Put right, it starts. */
  fail_unless_equals_int (gst_element_set_state (element, GST_STATE_READY),
      GST_STATE_CHANGE_SUCCESS);
  g_object_set (element, "model", test_model (), "calibration-table", test_table (), "labels", NULL,
      NULL);
  gst_harness_play (h);
  gst_harness_set_src_caps (h, test_small_caps ());
  gst_buffer_unref (gst_harness_push_and_pull (h, test_small_frame (1)));
  test_expect_no_error (bus);
  gst_harness_teardown (h);
  finish (element, bus);
}
GST_END_TEST;

/* The right model with preprocessing that the table was not made for. */
GST_START_TEST (test_mismatch)
{
  EnginePreprocess preprocess;
  g_autofree char *sha256 = NULL;
  CalibProvenance provenance = {.frames = 1};
  GstElement *element;
  GstBus *bus;

  element = infer (&bus);
  test_preprocess (&preprocess);
  sha256 = engine_preprocess_sha256 (&preprocess);
  provenance.preprocess_sha256 = sha256;
  fail_unless (calib_provenance_save (&provenance, "minmax", test_table (), NULL));
  g_object_set (element, "mean", "0.5", NULL);
  fail_unless (gst_element_set_state (element, GST_STATE_PAUSED) != GST_STATE_CHANGE_FAILURE);
  test_expect_error (bus, "preprocess", NULL);
  finish (element, bus);
}
GST_END_TEST;

/* Preprocessing that makes no sense for the model's input. */
GST_START_TEST (test_preprocessing)
{
  static const struct {
    const char *property, *value, *text;
  } cases[] = {{"preprocess", "imagenet", "mean"}, {"std", "0", "std"},
      {"color-format", "rgb", "channel"}};
  GstElement *element;
  GstBus *bus;

  element = infer (&bus);
  gst_util_set_object_arg (G_OBJECT (element), cases[__i__].property, cases[__i__].value);
  fail_unless (gst_element_set_state (element, GST_STATE_PAUSED) != GST_STATE_CHANGE_FAILURE);
  test_expect_error (bus, cases[__i__].text, NULL);
  finish (element, bus);
}
GST_END_TEST;

GST_START_TEST (test_labels_of_another_model)
{
  g_autofree char *launch = NULL;
  TestElement test;
  GstBuffer *out;
  GstVideoRegionOfInterestMeta *roi;
  const char *label;
  char *index;

  fail_unless (g_file_set_contents (test_path ("three.txt"), "x\ny\nz\n", -1, NULL));
  launch = g_strdup_printf ("int8infer labels=%s", test_path ("three.txt"));
  test = test_infer_new (launch, test_small_caps ());
  out = gst_harness_push_and_pull (test.h, test_small_frame (1));
  roi = gst_buffer_get_video_region_of_interest_meta (out);
  label = gst_structure_get_string (roi->params->data, "label");
  index = g_strdup_printf ("%d", test_result (out).ids[0]);
  fail_unless_equals_string (label, index);
  g_free (index);
  gst_buffer_unref (out);
  test_expect_warning (test.bus, "three.txt", "3 labels", "10 classes", NULL);
  test_expect_no_error (test.bus);
  test_element_free (&test);
}
GST_END_TEST;

/* An engine that cannot be kept where it was asked for is kept elsewhere, and that is said. */
GST_START_TEST (test_unwritable_engine)
{
  g_autofree char *launch =
      g_strdup_printf ("int8infer engine=%s", "/proc/no-such-folder/lenet.engine");
  TestElement test = test_infer_new (launch, test_small_caps ());
  GstBuffer *out = gst_harness_push_and_pull (test.h, test_small_frame (1));

  fail_unless_equals_int (test_result (out).n, 1);
  gst_buffer_unref (out);
  test_expect_warning (test.bus, "/proc/no-such-folder", "the engine is kept in", NULL);
  test_element_free (&test);
}
GST_END_TEST;

/* A file of another program where the engine is to be: it stays as it is. */
GST_START_TEST (test_foreign_engine)
{
  static const char plan[] = "somebody else's engine";
  g_autofree char *launch = g_strdup_printf ("int8infer engine=%s", test_path ("model.plan"));
  g_autofree char *contents = NULL;
  TestElement test;

  fail_unless (g_file_set_contents (test_path ("model.plan"), plan, -1, NULL));
  test = test_infer_new (launch, test_small_caps ());
  gst_buffer_unref (gst_harness_push_and_pull (test.h, test_small_frame (1)));
  test_expect_warning (test.bus, "model.plan", "the engine is kept in", NULL);
  fail_unless (g_file_get_contents (test_path ("model.plan"), &contents, NULL, NULL));
  fail_unless_equals_string (contents, plan);
  test_element_free (&test);
}
GST_END_TEST;

/* Buffers and caps that upstream should not have sent. */
GST_START_TEST (test_short_buffer)
{
  TestElement test = test_infer_new ("int8infer", test_caps (GST_VIDEO_FORMAT_RGB, 64, 48));
  GstFlowReturn result = GST_FLOW_OK;

  for (guint i = 0; i < 10 && result == GST_FLOW_OK; i++)
    result = gst_harness_push (test.h, gst_buffer_new_allocate (NULL, 100, NULL));
  fail_unless_equals_int (result, GST_FLOW_ERROR);
  test_expect_error (test.bus, "100 bytes", "64x48", "9216", NULL);
  test_element_free (&test);
}
GST_END_TEST;

GST_START_TEST (test_bad_crop)
{
  TestElement test = test_infer_new ("int8infer", test_small_caps ());
  GstBuffer *in = test_small_frame (1);
  GstVideoCropMeta *crop = gst_buffer_add_video_crop_meta (in);
  GstFlowReturn result;

  crop->x = 20;
  crop->y = 0;
  crop->width = G_MAXUINT - 10;
  crop->height = 28;
  result = gst_harness_push (test.h, in);
  for (guint i = 0; i < 10 && result == GST_FLOW_OK; i++)
    result = gst_harness_push (test.h, test_small_frame (1));
  fail_unless_equals_int (result, GST_FLOW_ERROR);
  test_expect_error (test.bus, "crop", "28x28", NULL);
  test_element_free (&test);
}
GST_END_TEST;

/* A GstVideoMeta that leads out of the buffer's memory, or describes another frame. */
GST_START_TEST (test_bad_meta)
{
  TestElement test = test_infer_new ("int8infer", test_small_caps ());
  GstBuffer *in = test_small_frame (1);
  gsize offset[GST_VIDEO_MAX_PLANES] = {0};
  gint stride[GST_VIDEO_MAX_PLANES] = {__i__ ? 28 : 29};
  GstFlowReturn result;

  gst_buffer_add_video_meta_full (in, 0, GST_VIDEO_FORMAT_GRAY8, __i__ ? 27 : 28, 28, 1, offset,
      stride);
  result = gst_harness_push (test.h, in);
  for (guint i = 0; i < 10 && result == GST_FLOW_OK; i++)
    result = gst_harness_push (test.h, test_small_frame (i));
  fail_unless_equals_int (result, GST_FLOW_ERROR);
  test_expect_error (test.bus, __i__ ? "27x28" : "784 bytes", "28x28", NULL);
  test_element_free (&test);
}
GST_END_TEST;

GST_START_TEST (test_huge_caps)
{
  GstElement *element;
  GstHarness *h;
  GstBus *bus;

  element = infer (&bus);
  h = gst_harness_new_with_element (element, "sink", "src");
  gst_harness_set_src_caps (h, test_caps (GST_VIDEO_FORMAT_GRAY8, 40000, 2));
  test_expect_error (bus, "40000x2", "videoscale", NULL);
  gst_harness_teardown (h);
  finish (element, bus);
}
GST_END_TEST;

/* A file without its decoder. */
GST_START_TEST (test_no_caps)
{
  g_autofree char *launch =
      __i__
          ? g_strdup_printf ("fakesrc num-buffers=9 ! int8calib model=%s statistics=%s",
                test_model (), test_path ("s.int8stats"))
          : g_strdup_printf ("fakesrc num-buffers=9 ! int8infer precision=fp32 model=%s ! fakesink",
                test_model ());
  GstElement *pipeline = gst_parse_launch (launch, NULL);
  GstBus *bus = gst_element_get_bus (pipeline);
  GstMessage *message;
  g_autoptr (GError) error = NULL;

  gst_element_set_state (pipeline, GST_STATE_PLAYING);
  message = test_pop (bus, GST_MESSAGE_ERROR, 20);
  fail_unless (message != NULL);
  gst_message_parse_error (message, &error, NULL);
  fail_unless (strstr (error->message, "decodebin") != NULL, "%s", error->message);
  gst_message_unref (message);
  gst_element_set_state (pipeline, GST_STATE_NULL);
  gst_bus_set_flushing (bus, TRUE);
  gst_object_unref (bus);
  gst_object_unref (pipeline);
}
GST_END_TEST;

/* Formats that are not in the template never reach the element. */
GST_START_TEST (test_unsupported_format)
{
  TestElement test = test_infer_new ("int8infer", test_small_caps ());
  GstCaps *caps =
      gst_caps_from_string ("video/x-raw,format=Y42B,width=28,height=28,framerate=25/1");

  fail_if (gst_pad_peer_query_accept_caps (test.h->srcpad, caps));
  gst_pad_push_event (test.h->srcpad, gst_event_new_caps (caps));
  fail_unless_equals_int (
      gst_harness_push (test.h, gst_buffer_new_allocate (NULL, 2 * 28 * 28, NULL)),
      GST_FLOW_NOT_NEGOTIATED);
  gst_caps_unref (caps);
  test_expect_no_error (test.bus);
  test_element_free (&test);
}
GST_END_TEST;

static Suite *
make_suite (void)
{
  Suite *suite = suite_create ("int8infer errors");
  TCase *tcase = tcase_create ("errors");

  tcase_set_timeout (tcase, 60);
  tcase_add_checked_fixture (tcase, test_setup, test_teardown);
  tcase_add_loop_test (tcase, test_settings, 0, 4);
  tcase_add_test (tcase, test_empty_texts);
  tcase_add_loop_test (tcase, test_bad_files, 0, G_N_ELEMENTS (bad_files));
  tcase_add_test (tcase, test_mismatch);
  tcase_add_loop_test (tcase, test_preprocessing, 0, 3);
  tcase_add_test (tcase, test_labels_of_another_model);
  tcase_add_test (tcase, test_unwritable_engine);
  tcase_add_test (tcase, test_foreign_engine);
  tcase_add_test (tcase, test_short_buffer);
  tcase_add_test (tcase, test_bad_crop);
  tcase_add_loop_test (tcase, test_bad_meta, 0, 2);
  tcase_add_test (tcase, test_huge_caps);
  tcase_add_test (tcase, test_unsupported_format);
  tcase_add_loop_test (tcase, test_no_caps, 0, 2);
  suite_add_tcase (suite, tcase);
  return suite;
}

int
main (int argc, char **argv)
{
  return test_main (argc, argv, "infer-errors", make_suite);
}
