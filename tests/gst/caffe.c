/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* caffe.c: both elements on Caffe's two files, with proto-file and without. */
#include <glib/gstdio.h>

#include "tests/engine/caffe-model.h"
#include "tests/gst/common.h"

static const char prototxt[] =
    "input: 'data' input_dim: [1, 1, 8, 8]\n"
    "layer { name: 'conv' type: 'Convolution' bottom: 'data' top: 'conv' convolution_param { num_output: "
    "4 kernel_size: 3 } }\n"
    "layer { name: 'relu' type: 'ReLU' bottom: 'conv' top: 'conv' }\n"
    "layer { name: 'ip' type: 'InnerProduct' bottom: 'conv' top: 'ip' inner_product_param { num_output: "
    "3 } }\n"
    "layer { name: 'prob' type: 'Softmax' bottom: 'ip' top: 'prob' }\n";

/* Plays to the end; FALSE with the error's text. */
static gboolean
play (const char *launch, char **failure)
{
  g_autoptr (GError) error = NULL;
  GstElement *pipeline = gst_parse_launch (launch, &error);
  gboolean ok;

  fail_unless (pipeline != NULL, "%s", error ? error->message : launch);
  g_autoptr (GstBus) bus = gst_element_get_bus (pipeline);

  gst_element_set_state (pipeline, GST_STATE_PLAYING);
  g_autoptr (GstMessage) message = test_pop (bus, GST_MESSAGE_EOS | GST_MESSAGE_ERROR, 60);

  fail_unless (message != NULL, "%s: no end", launch);
  ok = GST_MESSAGE_TYPE (message) == GST_MESSAGE_EOS;
  if (!ok) {
    gst_message_parse_error (message, &error, NULL);
    *failure = g_strdup (error->message);
  }
  gst_element_set_state (pipeline, GST_STATE_NULL);
  gst_object_unref (pipeline);
  return ok;
}

#define SOURCE "videotestsrc num-buffers=8 ! video/x-raw,format=GRAY8,width=16,height=16 ! "

GST_START_TEST (test_caffe)
{
  g_autoptr (GByteArray) weights = caffe_weights ("conv 4 1 3 3 | 4; ip 3 144 | 3", FALSE);
  g_autofree char *model = caffe_files (test_folder (), prototxt, weights), *failure = NULL;
  const char *text = test_path ("model.prototxt"), *moved = test_path ("deploy.txt");
  const char *table = test_path ("caffe.table");
  g_autofree char *calibrate = g_strdup_printf (SOURCE "int8calib model=%s table=%s", model, table);
  g_autofree char *by_text =
      g_strdup_printf (SOURCE "int8infer model=%s calibration-table=%s ! fakesink", text, table);
  g_autofree char *with_proto =
      g_strdup_printf (SOURCE "int8infer model=%s proto-file=%s calibration-table=%s ! fakesink",
          model, moved, table);
  g_autofree char *alone =
      g_strdup_printf (SOURCE "int8infer model=%s calibration-table=%s ! fakesink", model, table);

  fail_unless (play (calibrate, &failure), "%s", failure);
  g_autofree char *contents = test_contents (table);

  fail_unless (strstr (contents, "\ndata: ") && strstr (contents, "\nconv: ") &&
                   strstr (contents, "\nip: ") && strstr (contents, "\nprob: "),
      "%s", contents);
  fail_unless (play (by_text, &failure), "%s", failure);
  fail_unless (g_rename (text, moved) == 0);
  fail_unless (play (with_proto, &failure), "%s", failure);
  fail_if (play (alone, &failure));
  fail_unless (strstr (failure, "is not beside it") != NULL, "%s", failure);
}
GST_END_TEST

static Suite *
suite (void)
{
  Suite *s = suite_create ("caffe");
  TCase *tc = tcase_create ("files");

  tcase_add_checked_fixture (tc, test_setup, test_teardown);
  tcase_add_test (tc, test_caffe);
  suite_add_tcase (s, tc);
  return s;
}

int
main (int argc, char **argv)
{
  return test_main (argc, argv, "caffe", suite);
}
