/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * infer-precision.c: int8infer with layer-precision, dynamic-ranges, strict and precision=mixed: what
 * the engine becomes, what the message int8-engine lists, what is refused.
 */
#include "tests/gst/common.h"

#include <glib/gstdio.h>

static GstStructure *
engine_message (TestElement *test)
{
  GstStructure *message = test_wait_message (test->bus, "int8-engine", 20);

  fail_unless (message != NULL);
  return message;
}

static void
check_layers (const GstStructure *message, const char *precision, int int8, int fp32)
{
  int n_int8, n_fp32;

  fail_unless (gst_structure_get_int (message, "layers-int8", &n_int8));
  fail_unless (gst_structure_get_int (message, "layers-fp32", &n_fp32));
  fail_unless_equals_string (gst_structure_get_string (message, "precision"), precision);
  fail_unless_equals_int (n_int8, int8);
  fail_unless_equals_int (n_fp32, fp32);
}

/* The first line of a list of the message, which has so many. */
static void
check_list (const GstStructure *message, const char *name, guint n, const char *first)
{
  const GValue *list = gst_structure_get_value (message, name);

  if (n == 0) {
    fail_unless (list == NULL);
    return;
  }
  fail_unless (list != NULL);
  fail_unless_equals_int (gst_value_array_get_size (list), n);
  fail_unless_equals_string (g_value_get_string (gst_value_array_get_value (list, 0)), first);
}

/* Everything in floats gives the classes of precision=fp32, to the bit. */
GST_START_TEST (test_all_float)
{
  const Classes expected = test_expected (ENGINE_PRECISION_FP32, 28, 28, 3, 3);
  TestElement test =
      test_infer_new ("int8infer layer-precision=*:fp32 top-k=3", test_small_caps ());
  GstBuffer *out = gst_harness_push_and_pull (test.h, test_small_frame (3));
  GstStructure *message = engine_message (&test);

  test_check_classes (out, &expected);
  check_layers (message, "mixed", 0, 7);
  check_list (message, "obeyed", 7, "conv1: fp32 (*:fp32)");
  test_expect_no_error (test.bus);
  gst_structure_free (message);
  gst_buffer_unref (out);
  test_element_free (&test);
}
GST_END_TEST;

GST_START_TEST (test_layer_precision)
{
  TestElement test = test_infer_new (
      "int8infer layer-precision=\"conv1:fp32,ip2:output=fp32,prob:int8,none:fp32\"",
      test_small_caps ());
  GstBuffer *out = gst_harness_push_and_pull (test.h, test_small_frame (3));
  GstStructure *message;

  test_expect_warning (test.bus, "'prob'", "there is no int8 kernel for softmax", NULL);
  test_expect_warning (test.bus, "rule none:fp32 matches nothing", NULL);
  message = engine_message (&test);
  check_layers (message, "mixed", 5, 2);
  check_list (message, "obeyed", 2, "conv1: fp32 (conv1:fp32)");
  check_list (message, "refused", 1,
      "layer 'prob' (rule prob:int8): there is no int8 kernel for softmax; add prob:fp32");
  check_list (message, "unmatched", 1, "rule none:fp32");
  gst_structure_free (message);
  gst_buffer_unref (out);
  test_element_free (&test);
}
GST_END_TEST;

/* Without a table; the file says all. */
GST_START_TEST (test_dynamic_ranges)
{
  const char *path = test_path ("ranges");
  g_autofree char *launch =
      g_strdup_printf ("int8infer model=%s dynamic-ranges=%s strict=true", test_model (), path);
  GstStructure *message;
  GstBuffer *out;

  fail_unless (g_file_set_contents (path,
      "data: 0 1\nconv1: -4 4\nconv2: 8\n# a comment\nrelu1: 0 6\n", -1, NULL));
  TestElement test = test_infer_new (launch, test_small_caps ());
  out = gst_harness_push_and_pull (test.h, test_small_frame (3));
  message = engine_message (&test);
  check_layers (message, "int8", 6, 1);
  check_list (message, "inferred", 2, "pool1 <- conv1");
  check_list (message, "obeyed", 0, NULL);
  gst_structure_free (message);
  gst_buffer_unref (out);
  test_element_free (&test);
}
GST_END_TEST;

GST_START_TEST (test_mixed)
{
  g_autofree char *rules = engine_layer_rules_path (test_table ());
  GstStructure *message;
  GstBuffer *out;

  fail_unless (g_file_set_contents (rules, "conv1:fp32\n", -1, NULL));
  TestElement test = test_infer_new ("int8infer precision=mixed", test_small_caps ());
  out = gst_harness_push_and_pull (test.h, test_small_frame (3));
  message = engine_message (&test);
  check_layers (message, "mixed", 5, 2);
  gst_structure_free (message);
  gst_buffer_unref (out);
  test_element_free (&test);
  g_unlink (rules);
}
GST_END_TEST;

/* Halves need no ranges; `ref` runs them as devices do. */
GST_START_TEST (test_fp16)
{
  g_autofree char *launch =
      g_strdup_printf ("int8infer precision=fp16 backend=ref model=%s", test_model ());
  TestElement test = test_infer_new (launch, test_small_caps ());
  GstBuffer *out = gst_harness_push_and_pull (test.h, test_small_frame (3));
  GstStructure *message = engine_message (&test);
  int fp16;

  check_layers (message, "fp16", 0, 1);
  fail_unless (gst_structure_get_int (message, "layers-fp16", &fp16));
  fail_unless_equals_int (fp16, 6);
  gst_structure_free (message);
  gst_buffer_unref (out);
  test_element_free (&test);
}
GST_END_TEST;

static const struct {
  const char *launch, *text1, *text2;
} errors[] = {
    {"int8infer precision=fp16 backend=cpu", "kernels of halves", "precision fp32"},
    {"int8infer precision=mixed", ".precision", "LAYER:fp32"},
    {"int8infer precision=fp32 layer-precision=conv1:fp32", "precision fp32", "int8"},
    {"int8infer layer-precision=conv1:fp16", "conv1:fp16", "whole networks"},
    {"int8infer layer-precision=@/no/such/rules", "/no/such/rules", "layer rules"},
    {"int8infer strict=true layer-precision=convx:fp32", "strict", "convx:fp32 matches nothing"},
    {"int8infer strict=true layer-precision=*:int8", "strict", "no int8 kernel for softmax"},
    {"int8infer dynamic-ranges=/no/such/ranges", "/no/such/ranges", "dynamic ranges"},
};

GST_START_TEST (test_errors)
{
  TestElement test = test_infer_new (errors[__i__].launch, test_small_caps ());
  GstFlowReturn result = GST_FLOW_OK;

  for (guint i = 0; i < 10 && result == GST_FLOW_OK; i++)
    result = gst_harness_push (test.h, test_small_frame (i));
  fail_unless_equals_int (result, GST_FLOW_ERROR);
  test_expect_error (test.bus, errors[__i__].text1, errors[__i__].text2, NULL);
  fail_unless_equals_int (gst_harness_buffers_received (test.h), 0);
  test_element_free (&test);
}
GST_END_TEST;

/* Properties keep what they are given, and empty texts are none. */
GST_START_TEST (test_properties)
{
  GstBus *bus;
  GstElement *element = test_element_new ("int8infer", &bus);
  g_autofree char *ranges = NULL, *rules = NULL;
  gboolean strict;
  int precision;

  g_object_get (element, "dynamic-ranges", &ranges, "layer-precision", &rules, "strict", &strict,
      NULL);
  fail_unless (!ranges && !rules && !strict);
  gst_util_set_object_arg (G_OBJECT (element), "precision", "mixed");
  g_object_set (element, "dynamic-ranges", "r", "layer-precision", "a:int8", "strict", TRUE, NULL);
  g_object_get (element, "dynamic-ranges", &ranges, "layer-precision", &rules, "strict", &strict,
      "precision", &precision, NULL);
  fail_unless_equals_string (ranges, "r");
  fail_unless_equals_string (rules, "a:int8");
  fail_unless (strict);
  fail_unless_equals_int (precision, ENGINE_PRECISION_MIXED);
  gst_element_set_bus (element, NULL);
  gst_object_unref (element);
  gst_object_unref (bus);

  TestElement test = test_infer_new (
      "int8infer precision=fp32 dynamic-ranges=\"\" layer-precision=\"\"", test_small_caps ());
  gst_buffer_unref (gst_harness_push_and_pull (test.h, test_small_frame (1)));
  test_expect_no_error (test.bus);
  test_element_free (&test);
}
GST_END_TEST;

static char *
quantised_model (const char *name)
{
  return g_build_filename (g_getenv ("INT8_SOURCE_DIR"), "tests", "engine", "models", name, NULL);
}

/* A model that is quantised already needs no table; one that is given is not used, and that is said. */
GST_START_TEST (test_quantised)
{
  g_autofree char *path = quantised_model ("quant-gemm.onnx");
  g_autofree char *launch = g_strdup_printf ("int8infer top-k=4 model=%s%s%s", path,
      __i__ ? " calibration-table=" : "", __i__ ? test_table () : "");
  TestElement test = test_infer_new (launch, test_small_caps ());
  GstBuffer *out = gst_harness_push_and_pull (test.h, test_small_frame (3));
  GstStructure *message;

  if (__i__)
    test_expect_warning (test.bus, "not as asked: calibration table", "quantised already", NULL);
  message = engine_message (&test);
  check_layers (message, "int8", 1, 0);
  check_list (message, "refused", __i__,
      "calibration table: the model is quantised already, with scales of its own");
  test_expect_no_error (test.bus);
  gst_structure_free (message);
  gst_buffer_unref (out);
  test_element_free (&test);
}
GST_END_TEST;

/* There is nothing to calibrate. */
GST_START_TEST (test_calibrate_quantised)
{
  g_autofree char *path = quantised_model ("quant-gemm.onnx");
  TestCalib c = test_calib_new ("int8calib");
  GstFlowReturn result = GST_FLOW_OK;

  g_object_set (c.element, "model", path, "table", test_path ("quantised.table"), NULL);
  test_calib_play (&c);
  for (guint i = 0; i < 50 && result == GST_FLOW_OK; i++)
    result = gst_harness_push (c.h, test_small_frame (i));
  fail_unless_equals_int (result, GST_FLOW_ERROR);
  test_expect_error (c.bus, "there is nothing to calibrate", "int8infer", NULL);
  test_calib_free (&c);
}
GST_END_TEST;

static Suite *
make_suite (void)
{
  Suite *suite = suite_create ("int8infer precision");
  TCase *tcase = tcase_create ("precision");

  tcase_set_timeout (tcase, 60);
  tcase_add_checked_fixture (tcase, test_setup, test_teardown);
  tcase_add_test (tcase, test_all_float);
  tcase_add_test (tcase, test_layer_precision);
  tcase_add_test (tcase, test_dynamic_ranges);
  tcase_add_test (tcase, test_mixed);
  tcase_add_test (tcase, test_fp16);
  tcase_add_loop_test (tcase, test_errors, 0, G_N_ELEMENTS (errors));
  tcase_add_test (tcase, test_properties);
  tcase_add_loop_test (tcase, test_quantised, 0, 2);
  tcase_add_test (tcase, test_calibrate_quantised);
  suite_add_tcase (suite, tcase);
  return suite;
}

int
main (int argc, char **argv)
{
  return test_main (argc, argv, "infer-precision", make_suite);
}
