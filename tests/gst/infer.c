/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* infer.c: what int8infer does to frames: results, metadata, order, caps. */
#include "tests/gst/common.h"

#include <math.h>
#include <string.h>

static const GstVideoFormat formats[] = {GST_VIDEO_FORMAT_NV12, GST_VIDEO_FORMAT_I420,
    GST_VIDEO_FORMAT_YV12, GST_VIDEO_FORMAT_RGB, GST_VIDEO_FORMAT_BGR, GST_VIDEO_FORMAT_RGBx,
    GST_VIDEO_FORMAT_BGRx, GST_VIDEO_FORMAT_RGBA, GST_VIDEO_FORMAT_BGRA, GST_VIDEO_FORMAT_GRAY8};

static const struct {
  int width, height;
} sizes[] = {{28, 28}, {1, 1}, {17, 5}, {321, 243}, {640, 360}};

/* Every format of one picture gives the same bytes to the network, so the same confidences. */
GST_START_TEST (test_formats_and_sizes)
{
  const Classes expected = test_expected (__i__ % 2 ? ENGINE_PRECISION_FP32 : ENGINE_PRECISION_INT8,
      sizes[__i__ / 2].width, sizes[__i__ / 2].height, 3, 3);

  for (guint f = 0; f < G_N_ELEMENTS (formats); f++) {
    const int width = sizes[__i__ / 2].width, height = sizes[__i__ / 2].height;
    TestElement test = test_infer_new (__i__ % 2 ? "int8infer top-k=3 precision=fp32 threads=1"
                                                 : "int8infer top-k=3 precision=int8 threads=2",
        test_caps (formats[f], width, height));
    GstBuffer *out = gst_harness_push_and_pull (test.h, test_frame (formats[f], width, height, 3));

    test_expect_no_error (test.bus);
    fail_unless (out != NULL);
    test_check_classes (out, &expected);
    gst_buffer_unref (out);
    test_element_free (&test);
  }
}
GST_END_TEST;

/* The same buffer leaves, with its bytes, times and metadata, whoever else holds it. */
GST_START_TEST (test_buffer_is_passed_on)
{
  TestElement test = test_infer_new ("int8infer", test_caps (GST_VIDEO_FORMAT_I420, 64, 48));
  GstBuffer *in = test_frame (GST_VIDEO_FORMAT_I420, 64, 48, 5), *out;
  GstMapInfo map;

  /* Ours alone: it goes through as it is. */
  gst_buffer_add_video_meta (in, 0, GST_VIDEO_FORMAT_I420, 64, 48);
  out = gst_harness_push_and_pull (test.h, gst_buffer_ref (in));
  /* Held by us too: a copy of the metadata, not of the memory. */
  fail_unless (out != in);
  fail_unless (gst_buffer_peek_memory (out, 0) == gst_buffer_peek_memory (in, 0));
  fail_unless (gst_buffer_get_custom_meta (in, "GstInt8ClassificationMeta") == NULL);
  fail_unless (gst_buffer_get_video_meta (out) != NULL);
  fail_unless_equals_uint64 (GST_BUFFER_PTS (out), 5 * TEST_FRAME_DURATION);
  gst_buffer_map (in, &map, GST_MAP_READ);
  gst_check_buffer_data (out, map.data, map.size);
  gst_buffer_unmap (in, &map);
  gst_buffer_unref (out);

  out = gst_harness_push_and_pull (test.h, in);
  fail_unless (out == in);
  fail_unless (gst_buffer_get_custom_meta (in, "GstInt8ClassificationMeta") != NULL);
  gst_buffer_unref (out);
  test_element_free (&test);
}
GST_END_TEST;

static void
check_roi (GstBuffer *buffer, const Classes *expected, const char *label)
{
  GstVideoRegionOfInterestMeta *roi = gst_buffer_get_video_region_of_interest_meta (buffer);
  guint k = 0;

  fail_unless (roi != NULL);
  fail_unless_equals_string (g_quark_to_string (roi->roi_type), "garment");
  fail_unless (roi->x == 0 && roi->y == 0 && roi->w == 40 && roi->h == 30);
  for (GList *param = roi->params; param; param = param->next, k++) {
    const GstStructure *fields = param->data;
    double confidence;
    int id;

    fail_unless (gst_structure_has_name (fields, "classification"));
    fail_unless (gst_structure_get_double (fields, "confidence", &confidence));
    fail_unless (gst_structure_get_int (fields, "label_id", &id));
    fail_unless_equals_int (id, expected->ids[k]);
    fail_unless (confidence == expected->confidences[k]);
    fail_unless_equals_string (gst_structure_get_string (fields, "model_name"), "fashion-lenet");
    fail_unless_equals_string (gst_structure_get_string (fields, "attribute_name"), "garment");
    if (k == 0)
      fail_unless_equals_string (gst_structure_get_string (fields, "label"), label);
  }
  fail_unless_equals_int (k, expected->n);
}

GST_START_TEST (test_metadata)
{
  static const char labels[] = "a\nb\nc\nd\ne\nf\ng\nh\ni\nj\n";
  const Classes expected = test_expected (ENGINE_PRECISION_INT8, 40, 30, 7, 4);
  const char label[2] = {(char) ('a' + expected.ids[0]), '\0'};
  g_autofree char *launch = NULL;
  GstStructure *message;
  const GValue *array;
  TestElement test;
  GstBuffer *out;

  fail_unless (g_file_set_contents (test_path ("labels.txt"), labels, -1, NULL));
  launch = g_strdup_printf ("int8infer top-k=4 attribute-name=garment post-messages=true labels=%s",
      test_path ("labels.txt"));
  test = test_infer_new (launch, test_caps (GST_VIDEO_FORMAT_RGB, 40, 30));
  out = gst_harness_push_and_pull (test.h, test_frame (GST_VIDEO_FORMAT_RGB, 40, 30, 7));
  test_check_classes (out, &expected);
  check_roi (out, &expected, label);
  array = gst_structure_get_value (
      gst_custom_meta_get_structure (gst_buffer_get_custom_meta (out, "GstInt8ClassificationMeta")),
      "labels");
  fail_unless_equals_string (g_value_get_string (gst_value_array_get_value (array, 0)), label);
  gst_buffer_unref (out);

  message = test_wait_message (test.bus, "int8-classification", 5);
  fail_unless (message != NULL);
  fail_unless_equals_string (gst_structure_get_string (message, "label"), label);
  fail_unless_equals_uint64 (g_value_get_uint64 (gst_structure_get_value (message, "running-time")),
      7 * TEST_FRAME_DURATION);
  gst_structure_free (message);
  test_element_free (&test);
}
GST_END_TEST;

static GstPadProbeReturn
take_result (GstPad *pad, GstPadProbeInfo *info, gpointer data)
{
  *(Classes *) data = test_result (GST_PAD_PROBE_INFO_BUFFER (info));
  return GST_PAD_PROBE_OK;
}

/* The result is about what the frame shows: it outlives a change of format and size. */
GST_START_TEST (test_metadata_survives)
{
  g_autofree char *launch = g_strdup_printf (
      "videotestsrc num-buffers=1 ! video/x-raw,format=NV12,width=64,height=48 ! "
      "int8infer model=%s precision=fp32 top-k=3 ! videoconvert ! "
      "video/x-raw,format=RGB ! videoscale ! video/x-raw,width=20 ! fakesink name=end",
      test_model ());
  GstElement *pipeline = gst_parse_launch (launch, NULL);
  GstElement *end = gst_bin_get_by_name (GST_BIN (pipeline), "end");
  GstPad *pad = gst_element_get_static_pad (end, "sink");
  GstBus *bus = gst_element_get_bus (pipeline);
  Classes classes = {0};
  GstMessage *message;

  gst_pad_add_probe (pad, GST_PAD_PROBE_TYPE_BUFFER, take_result, &classes, NULL);
  gst_element_set_state (pipeline, GST_STATE_PLAYING);
  message = test_pop (bus, GST_MESSAGE_EOS | GST_MESSAGE_ERROR, 20);
  fail_unless (message && GST_MESSAGE_TYPE (message) == GST_MESSAGE_EOS);
  fail_unless_equals_int (classes.n, 3);
  gst_message_unref (message);
  gst_element_set_state (pipeline, GST_STATE_NULL);
  gst_object_unref (pad);
  gst_object_unref (end);
  gst_object_unref (bus);
  gst_object_unref (pipeline);
}
GST_END_TEST;

static const struct {
  const char *mode;
  gboolean roi, custom;
} kinds[] = {{"auto", TRUE, TRUE}, {"roi", TRUE, FALSE}, {"custom", FALSE, TRUE},
    {"both", TRUE, TRUE}, {"none", FALSE, FALSE}};

GST_START_TEST (test_kinds_of_metadata)
{
  g_autofree char *launch = g_strdup_printf ("int8infer metadata=%s", kinds[__i__].mode);
  TestElement test = test_infer_new (launch, test_small_caps ());
  GstBuffer *out = gst_harness_push_and_pull (test.h, test_small_frame (1));

  fail_unless ((gst_buffer_get_video_region_of_interest_meta (out) != NULL) == kinds[__i__].roi);
  fail_unless ((gst_buffer_get_custom_meta (out, "GstInt8ClassificationMeta") != NULL) ==
               kinds[__i__].custom);
  gst_buffer_unref (out);
  test_element_free (&test);
}
GST_END_TEST;

/* Properties that may change while frames flow: each takes effect with the next frame. */
GST_START_TEST (test_options_change_in_playing)
{
  const Classes probabilities = test_expected (ENGINE_PRECISION_INT8, 28, 28, 2, 1);
  TestElement test = test_infer_new ("int8infer", test_small_caps ());
  GstBuffer *out;

  out = gst_harness_push_and_pull (test.h, test_small_frame (2));
  test_check_classes (out, &probabilities);
  gst_buffer_unref (out);

  g_object_set (test.element, "top-k", 10, NULL);
  out = gst_harness_push_and_pull (test.h, test_small_frame (2));
  fail_unless_equals_int (test_result (out).n, 10);
  gst_buffer_unref (out);

  /* Just above the best: no metadata at all. */
  g_object_set (test.element, "threshold", nextafter (probabilities.confidences[0], 2), NULL);
  out = gst_harness_push_and_pull (test.h, test_small_frame (2));
  fail_unless_equals_int (test_result (out).n, 0);
  fail_unless (gst_buffer_get_video_region_of_interest_meta (out) == NULL);
  gst_buffer_unref (out);
  g_object_set (test.element, "threshold", probabilities.confidences[0], NULL);
  out = gst_harness_push_and_pull (test.h, test_small_frame (2));
  fail_unless_equals_int (test_result (out).n, 1);
  gst_buffer_unref (out);

  test_element_free (&test);
}
GST_END_TEST;

static Classes
classes_with (TestElement *test, const char *softmax)
{
  Classes classes;
  GstBuffer *out;

  gst_util_set_object_arg (G_OBJECT (test->element), "softmax", softmax);
  out = gst_harness_push_and_pull (test->h, test_small_frame (2));
  classes = test_result (out);
  gst_buffer_unref (out);
  fail_unless_equals_int (classes.n, 10); /* threshold 0 leaves out no negative value either */
  return classes;
}

GST_START_TEST (test_softmax)
{
  g_autoptr (EngineModel) model = engine_model_load (test_model (), NULL);
  TestElement test = test_infer_new ("int8infer top-k=10", test_small_caps ());
  const Classes off = classes_with (&test, "off"), on = classes_with (&test, "on");
  const Classes by_default = classes_with (&test, "auto");
  const Classes *expected = engine_model_has_softmax (model) ? &off : &on;
  double sum = 0;

  for (guint k = 0; k < 10; k++)
    sum += exp (off.confidences[k] - off.confidences[0]);
  for (guint k = 0; k < 10; k++) {
    const double probability = exp (off.confidences[k] - off.confidences[0]) / sum;

    fail_unless_equals_int (on.ids[k], off.ids[k]);
    fail_unless (fabs (on.confidences[k] - probability) < 1e-6);
    fail_unless (by_default.confidences[k] == expected->confidences[k]);
  }
  test_element_free (&test);
}
GST_END_TEST;

/* Padded strides and an offset in the buffer (GstVideoMeta), and a crop rectangle. */
GST_START_TEST (test_strides_and_crop)
{
  const Classes expected = test_expected (ENGINE_PRECISION_INT8, 28, 28, 4, 2);
  TestElement test = test_infer_new ("int8infer top-k=2", test_small_caps ());
  gsize offset[GST_VIDEO_MAX_PLANES] = {100};
  gint stride[GST_VIDEO_MAX_PLANES] = {61};
  GstBuffer *in, *plain = test_small_frame (4), *out;
  GstVideoCropMeta *crop;
  GstMapInfo map;

  gst_buffer_map (plain, &map, GST_MAP_READ);
  in = gst_buffer_new_allocate (NULL, 100 + 61 * 27 + 28, NULL); /* no byte after the last row */
  gst_buffer_memset (in, 0, 77, -1);
  for (int row = 0; row < 28; row++)
    gst_buffer_fill (in, 100 + 61 * row, map.data + 28 * row, 28);
  gst_buffer_add_video_meta_full (in, 0, GST_VIDEO_FORMAT_GRAY8, 28, 28, 1, offset, stride);
  out = gst_harness_push_and_pull (test.h, in);
  test_check_classes (out, &expected);
  gst_buffer_unref (out);

  /* The picture in the middle of a larger one. */
  gst_harness_set_src_caps (test.h, test_caps (GST_VIDEO_FORMAT_GRAY8, 60, 50));
  in = gst_buffer_new_allocate (NULL, 60 * 50, NULL);
  gst_buffer_memset (in, 0, 200, -1);
  for (int row = 0; row < 28; row++)
    gst_buffer_fill (in, 60 * (row + 9) + 21, map.data + 28 * row, 28);
  crop = gst_buffer_add_video_crop_meta (in);
  crop->x = 21;
  crop->y = 9;
  crop->width = crop->height = 28;
  out = gst_harness_push_and_pull (test.h, in);
  test_check_classes (out, &expected);
  gst_buffer_unref (out);
  gst_buffer_unmap (plain, &map);
  gst_buffer_unref (plain);
  test_element_free (&test);
}
GST_END_TEST;

static Suite *
make_suite (void)
{
  Suite *suite = suite_create ("int8infer");
  TCase *tcase = tcase_create ("frames");

  tcase_set_timeout (tcase, 120); /* instrumented builds */
  tcase_add_checked_fixture (tcase, test_setup, test_teardown);
  tcase_add_loop_test (tcase, test_formats_and_sizes, 0, 2 * G_N_ELEMENTS (sizes));
  tcase_add_test (tcase, test_buffer_is_passed_on);
  tcase_add_test (tcase, test_metadata);
  tcase_add_test (tcase, test_metadata_survives);
  tcase_add_loop_test (tcase, test_kinds_of_metadata, 0, G_N_ELEMENTS (kinds));
  tcase_add_test (tcase, test_options_change_in_playing);
  tcase_add_test (tcase, test_softmax);
  tcase_add_test (tcase, test_strides_and_crop);
  suite_add_tcase (suite, tcase);
  return suite;
}

int
main (int argc, char **argv)
{
  return test_main (argc, argv, "infer", make_suite);
}
