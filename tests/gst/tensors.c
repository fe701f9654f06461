/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* tensors.c: int8infer's output-tensors: the network's output as GstTensorMeta. */
#include "tests/gst/common.h"

#include <gst/analytics/analytics.h>
#include <string.h>

#define N_CLASSES 10
#define LOGITS    "classification-generic-out"
#define SOFTMAXED "classification-generic-softmaxed-out" /* fashion-lenet ends in one */

static TestElement
infer_new (const char *launch)
{
  return test_infer_new (launch, test_small_caps ());
}

static GstBuffer *
classified (TestElement *test, guint seed)
{
  return gst_harness_push_and_pull (test->h, test_small_frame (seed));
}

/* A copy of the tensor's values, once everything that describes them is right. */
static void
read_values (GstBuffer *buffer, guint index, const char *id, float *values)
{
  GstTensorMeta *meta = gst_buffer_get_tensor_meta (buffer);
  const GstTensor *tensor;

  fail_unless (meta != NULL, "no GstTensorMeta");
  tensor = gst_tensor_meta_get (meta, index);
  fail_unless_equals_string (g_quark_to_string (tensor->id), id);
  fail_unless_equals_int (tensor->data_type, GST_TENSOR_DATA_TYPE_FLOAT32);
  fail_unless_equals_int (tensor->layout, GST_TENSOR_LAYOUT_CONTIGUOUS);
  fail_unless_equals_int (tensor->dims_order, GST_TENSOR_DIM_ORDER_ROW_MAJOR);
  fail_unless_equals_int (tensor->num_dims, 2);
  fail_unless_equals_int (tensor->dims[0], 1);
  fail_unless_equals_int (tensor->dims[1], N_CLASSES);
  fail_unless_equals_int (gst_buffer_extract (tensor->data, 0, values, N_CLASSES * sizeof *values),
      gst_buffer_get_size (tensor->data));
  fail_unless_equals_int (gst_buffer_get_size (tensor->data), N_CLASSES * sizeof *values);
}

/* The values are those that the classes come from, in INT8 and in FP32, in every frame of a batch. */
GST_START_TEST (test_values)
{
  g_autofree char *launch =
      g_strdup_printf ("int8infer precision=%s batch-size=3 softmax=off top-k=%d "
                       "output-tensors=true",
          __i__ ? "fp32" : "int8", N_CLASSES);
  TestElement test = infer_new (launch);

  for (guint seed = 1; seed <= 7; seed++) {
    GstBuffer *buffer = classified (&test, seed);
    const Classes classes = test_result (buffer);
    float values[N_CLASSES];

    read_values (buffer, 0, SOFTMAXED, values);
    fail_unless_equals_int (classes.n, N_CLASSES);
    for (guint i = 0; i < N_CLASSES; i++)
      fail_unless ((double) values[classes.ids[i]] == classes.confidences[i]);
    gst_buffer_unref (buffer);
  }
  test_element_free (&test);
}
GST_END_TEST;

/* Neither softmax, nor threshold, nor metadata=none is about them. They are there when asked for only, and from
 * then on. */
GST_START_TEST (test_options)
{
  TestElement plain = infer_new ("int8infer softmax=off output-tensors=true");
  TestElement test = infer_new ("int8infer softmax=on threshold=2 metadata=none");
  GstBuffer *buffer = classified (&plain, 1);
  float expected[N_CLASSES], values[N_CLASSES];

  read_values (buffer, 0, SOFTMAXED, expected);
  gst_buffer_unref (buffer);
  buffer = classified (&test, 1);
  fail_unless (gst_buffer_get_tensor_meta (buffer) == NULL);
  gst_buffer_unref (buffer);
  g_object_set (test.element, "output-tensors", TRUE, NULL);
  buffer = classified (&test, 1);
  read_values (buffer, 0, SOFTMAXED, values);
  fail_unless (memcmp (values, expected, sizeof values) == 0);
  fail_unless_equals_int (test_result (buffer).n, 0);
  gst_buffer_unref (buffer);
  test_element_free (&plain);
  test_element_free (&test);
}
GST_END_TEST;

/* Two networks, one metadata: the first one's tensor stays where it was. The second ends without a softmax. */
GST_START_TEST (test_two)
{
  TestElement first = infer_new ("int8infer output-tensors=true");
  g_autofree char *resnet =
      g_build_filename (g_getenv ("INT8_SOURCE_DIR"), "data", "fashion-resnet.onnx", NULL);
  g_autofree char *launch =
      g_strdup_printf ("int8infer model=%s precision=fp32 output-tensors=true", resnet);
  TestElement second = infer_new (launch);
  GstBuffer *buffer = classified (&first, 2), *copy;
  float before[N_CLASSES], values[N_CLASSES];

  read_values (buffer, 0, SOFTMAXED, before);
  buffer = gst_harness_push_and_pull (second.h, buffer);
  fail_unless_equals_int (gst_buffer_get_n_meta (buffer, GST_TENSOR_META_API_TYPE), 1);
  fail_unless_equals_int (gst_buffer_get_tensor_meta (buffer)->num_tensors, 2);
  read_values (buffer, 0, SOFTMAXED, values);
  fail_unless (memcmp (values, before, sizeof values) == 0);
  read_values (buffer, 1, LOGITS, values);
  fail_if (memcmp (values, before, sizeof values) == 0);
  copy = gst_buffer_copy (buffer);
  gst_buffer_unref (buffer);
  gst_buffer_unref (copy);
  test_element_free (&first);
  test_element_free (&second);
}
GST_END_TEST;

/* Frames that do not wait have the output of the frame that their result is of; others have none yet. */
GST_START_TEST (test_async)
{
  TestElement test = infer_new ("int8infer async=true output-tensors=true");
  TestElement waiting = infer_new ("int8infer output-tensors=true");
  GstBuffer *off;
  guint n = 0;

  for (guint i = 0; i < 4000 && n < 20; i++) {
    GstBuffer *buffer = classified (&test, i), *same;
    GstCustomMeta *meta = gst_buffer_get_custom_meta (buffer, "GstInt8ClassificationMeta");
    float values[N_CLASSES], expected[N_CLASSES];
    guint64 time;

    fail_unless_equals_int (gst_buffer_get_n_meta (buffer, GST_TENSOR_META_API_TYPE), meta ? 1 : 0);
    if (meta) {
      fail_unless (gst_structure_get_uint64 (gst_custom_meta_get_structure (meta),
          "result_timestamp", &time));
      fail_unless_equals_int (gst_buffer_get_tensor_meta (buffer)->num_tensors, 1);
      read_values (buffer, 0, SOFTMAXED, values);
      same = classified (&waiting, (guint) (time / TEST_FRAME_DURATION));
      read_values (same, 0, SOFTMAXED, expected);
      fail_unless (memcmp (values, expected, sizeof values) == 0);
      gst_buffer_unref (same);
      n++;
    }
    gst_buffer_unref (buffer);
    g_usleep (1000);
  }
  fail_unless_equals_int (n, 20);

  g_object_set (test.element, "output-tensors", FALSE, NULL);
  off = classified (&test, 5000);
  fail_unless_equals_int (test_result (off).n, 1);
  fail_unless (gst_buffer_get_tensor_meta (off) == NULL);
  gst_buffer_unref (off);
  test_element_free (&test);
  test_element_free (&waiting);
}
GST_END_TEST;

/* Frames that pass, or are dropped with a result under way, and objects have none, and nothing leaks. */
GST_START_TEST (test_none)
{
  TestElement test = infer_new ("int8infer interval=1 output-tensors=true batch-size=4");
  TestElement objects = infer_new ("int8infer process-mode=objects output-tensors=true");
  GstBuffer *buffer;

  gst_buffer_unref (classified (&test, 1));
  buffer = classified (&test, 2);
  fail_unless (gst_buffer_get_tensor_meta (buffer) == NULL);
  gst_buffer_unref (buffer);
  for (guint i = 3; i < 30; i++)
    gst_harness_push (test.h, test_small_frame (i));
  gst_harness_push_event (test.h, gst_event_new_flush_start ());
  gst_harness_push_event (test.h, gst_event_new_flush_stop (TRUE));

  buffer = test_small_frame (1);
  gst_buffer_add_video_region_of_interest_meta (buffer, "car", 0, 0, 14, 14);
  buffer = gst_harness_push_and_pull (objects.h, buffer);
  fail_unless_equals_int (test_result (buffer).n, 1);
  fail_unless (gst_buffer_get_tensor_meta (buffer) == NULL);
  gst_buffer_unref (buffer);
  test_expect_warning (objects.bus, "output-tensors", "process-mode=objects", NULL);
  gst_buffer_unref (gst_harness_push_and_pull (objects.h, test_small_frame (2)));
  fail_unless (gst_bus_pop_filtered (objects.bus, GST_MESSAGE_WARNING) == NULL);
  test_element_free (&test);
  test_element_free (&objects);
}
GST_END_TEST;

static Suite *
make_suite (void)
{
  Suite *suite = suite_create ("int8infer-tensors");
  TCase *tcase = tcase_create ("tensors");

  tcase_set_timeout (tcase, 60);
  suite_add_tcase (suite, tcase);
  tcase_add_checked_fixture (tcase, test_setup, test_teardown);
  tcase_add_loop_test (tcase, test_values, 0, 2);
  tcase_add_test (tcase, test_options);
  tcase_add_test (tcase, test_two);
  tcase_add_test (tcase, test_async);
  tcase_add_test (tcase, test_none);
  return suite;
}

int
main (int argc, char **argv)
{
  return test_main (argc, argv, "tensors", make_suite);
}
