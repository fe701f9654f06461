/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * calib-bias.c: int8calib writes bias correction beside the table, int8infer reads it, and whoever
 * does not want it gets none, nor an old one.
 */
#include "tests/engine/onnx-text.h"
#include "tests/gst/common.h"

#include <glib/gstdio.h>
#include <math.h>

/* Calibrates to out.table; the path of its correction. */
static char *
calibrate (const char *launch, guint frames)
{
  TestCalib c = test_calib_new (launch);

  g_object_set (c.element, "table", test_path ("out.table"), NULL);
  gst_util_set_object_arg (G_OBJECT (c.element), "table-exists", "overwrite");
  test_calib_play (&c);
  fail_unless_equals_int (test_calib_push (&c, 0, frames), GST_FLOW_OK);
  gst_harness_push_event (c.h, gst_event_new_eos ());
  gst_structure_free (test_calib_done (&c));
  test_calib_free (&c);
  return engine_bias_path (test_path ("out.table"));
}

GST_START_TEST (test_written_and_removed)
{
  g_autofree char *path = calibrate ("int8calib", 5);
  g_autoptr (GError) error = NULL;
  g_autoptr (EngineBias) bias = engine_bias_load (test_path ("out.table"), &error);
  guint channels = 0;

  fail_unless (bias != NULL);
  /* conv2, relu1 lie behind max pools */
  fail_unless_equals_int (engine_bias_n_layers (bias), 2);
  fail_unless (engine_bias_lookup (bias, "conv1", &channels) != NULL);
  fail_unless_equals_int (channels, 20);
  fail_unless (engine_bias_lookup (bias, "ip2", &channels) != NULL);

  g_free (calibrate ("int8calib bias-correction=off", 5));
  fail_unless (!g_file_test (path, G_FILE_TEST_EXISTS));
}
GST_END_TEST;

/* On frames that it keeps for that, which go into the statistics' file if it was asked to keep some. */
GST_START_TEST (test_full)
{
  const gboolean asked = __i__ == 1;
  g_autofree char *launch = g_strdup_printf ("int8calib bias-correction=full %s statistics=%s",
      asked ? "keep-frames=50" : "method=mse", test_path ("out.int8stats"));
  G_GNUC_UNUSED g_autofree char *path = calibrate (launch, 5);
  g_autoptr (GError) error = NULL;
  g_autoptr (EngineBias) bias = engine_bias_load (test_path ("out.table"), &error);
  g_autoptr (CalibStatistics) statistics =
      calib_statistics_load (test_path ("out.int8stats"), &error);

  fail_unless (bias != NULL);
  fail_unless_equals_int (engine_bias_n_layers (bias), 4); /* behind max pools, too */
  fail_unless (statistics != NULL);
  fail_unless_equals_int (calib_statistics_keeps (statistics), asked ? 50 : 0);
  fail_unless_equals_int (calib_statistics_n_kept (statistics), asked ? 5 : 0);
}
GST_END_TEST;

/* A depthwise convolution behind one whose channels are of very different size. */
static const char *
depthwise_model (void)
{
  static const float size[] = {1, 0.5f, 0.05f, 0.001f};
  const char *path = test_path ("depthwise.onnx");
  g_autoptr (GString) text = g_string_new ("input x 1 1 28 28; floats w 4 1 1 1 =");

  for (guint k = 0; k < G_N_ELEMENTS (size); k++) {
    char number[G_ASCII_DTOSTR_BUF_SIZE];
    g_string_append_printf (text, " %s", g_ascii_dtostr (number, sizeof number, size[k]));
  }
  g_string_append (text,
      "; floats d 4 1 3 3; Conv x w -> a; Relu a -> between;"
      "Conv between d -> b group=4; GlobalAveragePool b -> c; Flatten c -> y; output y");
  g_autoptr (GByteArray) file = onnx_text (text->str);
  fail_unless (g_file_set_contents (path, (const char *) file->data, file->len, NULL));
  return path;
}

/* Properties beside those of calibrate(); the scales by channel of its table. */
static EngineBias *
equalise (const char *properties)
{
  g_autofree char *launch = g_strdup_printf (
      "int8calib model=%s table-exists=overwrite bias-correction=off method=mse table=%s %s",
      depthwise_model (), test_path ("out.table"), properties);
  g_autoptr (GError) error = NULL;
  TestCalib c = test_calib_new (launch);

  g_object_set (c.element, "model", depthwise_model (), NULL);
  test_calib_play (&c);
  fail_unless_equals_int (test_calib_push (&c, 0, 5), GST_FLOW_OK);
  gst_harness_push_event (c.h, gst_event_new_eos ());
  gst_structure_free (test_calib_done (&c));
  test_calib_free (&c);
  EngineBias *bias = engine_bias_load (test_path ("out.table"), &error);
  fail_unless (error == NULL);
  return bias;
}

GST_START_TEST (test_equalise)
{
  g_autoptr (EngineBias) bias = equalise ("keep-frames=5");
  const float *factors;
  float threshold = 0;
  guint channels = 0;

  fail_unless (bias != NULL);
  fail_unless_equals_int (engine_bias_n_equalised (bias), 1);
  factors = engine_bias_channels (bias, "between", &threshold, &channels);
  fail_unless (factors != NULL && threshold > 0);
  fail_unless_equals_int (channels, 4);
  /* sqrt (r / max r), at least 1 / 64 */
  fail_unless (factors[0] == 1);
  fail_unless (fabsf (factors[1] - sqrtf (0.5f)) < 1e-5f);
  fail_unless (fabsf (factors[2] - sqrtf (0.05f)) < 1e-5f);
  fail_unless (fabsf (factors[3] - sqrtf (0.001f)) < 1e-5f);
}
GST_END_TEST;

/* Nor where no frames are kept: histograms know no channels. */
GST_START_TEST (test_not_equalised)
{
  gboolean on = FALSE;
  g_autoptr (GstElement) element = gst_element_factory_make ("int8calib", NULL);

  g_object_get (element, "equalise", &on, NULL);
  fail_unless (on);
  g_object_set (element, "equalise", FALSE, NULL);
  g_object_get (element, "equalise", &on, NULL);
  fail_unless (!on);
  gst_clear_object (&element);

  g_autoptr (EngineBias) first = equalise ("keep-frames=5");
  fail_unless (first != NULL);
  g_autoptr (EngineBias) off = equalise ("keep-frames=5 equalise=false");
  fail_unless (off == NULL); /* and the file of before is gone */
  g_autoptr (EngineBias) without = equalise ("keep-frames=0");
  fail_unless (without == NULL);
}
GST_END_TEST;

static Classes
classify (void)
{
  TestElement test = test_infer_new ("int8infer top-k=3", test_small_caps ());
  GstBuffer *out;
  Classes classes;

  gst_element_set_state (test.element, GST_STATE_READY);
  g_object_set (test.element, "calibration-table", test_path ("out.table"), NULL);
  gst_harness_play (test.h);
  gst_harness_set_src_caps (test.h, test_small_caps ());
  out = gst_harness_push_and_pull (test.h, test_small_frame (7));
  classes = test_result (out);
  gst_buffer_unref (out);
  test_element_free (&test);
  return classes;
}

/* Corrections change confidences, so somebody read them. */
GST_START_TEST (test_read)
{
  g_autofree char *path = calibrate ("int8calib", 5), *text = NULL;
  const Classes corrected = classify ();
  Classes plain;

  fail_unless (g_file_get_contents (path, &text, NULL, NULL));
  g_unlink (path);
  plain = classify ();
  fail_unless (corrected.n == 3 && plain.n == 3);
  fail_unless (corrected.confidences[0] != plain.confidences[0]);
}
GST_END_TEST;

/* What an interrupted calibration may leave: corrections that belong to another table. */
GST_START_TEST (test_of_another_table)
{
  g_autofree char *path = calibrate ("int8calib", 5);
  g_autofree char *launch = g_strdup_printf ("int8infer model=%s calibration-table=%s",
      test_model (), test_path ("out.table"));
  g_autofree char *text = NULL;
  GstFlowReturn result = GST_FLOW_OK;

  fail_unless (g_file_get_contents (path, &text, NULL, NULL));
  g_free (calibrate ("int8calib method=minmax", 3));
  fail_unless (g_file_set_contents (path, text, -1, NULL));
  TestElement test = test_infer_new (launch, test_small_caps ());
  for (guint i = 0; i < 10 && result == GST_FLOW_OK; i++)
    result = gst_harness_push (test.h, test_small_frame (i));
  fail_unless_equals_int (result, GST_FLOW_ERROR);
  test_expect_error (test.bus, path, "another calibration table", NULL);
  test_element_free (&test);
}
GST_END_TEST;

static Suite *
make_suite (void)
{
  Suite *suite = suite_create ("int8calib bias correction");
  TCase *tcase = tcase_create ("bias");

  tcase_set_timeout (tcase, 60);
  tcase_add_checked_fixture (tcase, test_setup, test_teardown);
  tcase_add_test (tcase, test_written_and_removed);
  tcase_add_loop_test (tcase, test_full, 0, 2);
  tcase_add_test (tcase, test_equalise);
  tcase_add_test (tcase, test_not_equalised);
  tcase_add_test (tcase, test_read);
  tcase_add_test (tcase, test_of_another_table);
  suite_add_tcase (suite, tcase);
  return suite;
}

int
main (int argc, char **argv)
{
  return test_main (argc, argv, "calib-bias", make_suite);
}
