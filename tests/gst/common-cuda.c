/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* common-cuda.c: see common-cuda.h. */
#include "tests/gst/common-cuda.h"

#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

static GstPadProbeReturn
keep_result (GstPad *pad, GstPadProbeInfo *info, gpointer data)
{
  g_autoptr (GstCaps) caps = gst_pad_get_current_caps (pad);
  TestResults *results = data;

  fail_unless (results->n < TEST_FRAMES);
  results->on_device =
      gst_caps_features_contains (gst_caps_get_features (caps, 0), "memory:CUDAMemory");
  results->classes[results->n++] = test_result (GST_PAD_PROBE_INFO_BUFFER (info));
  return GST_PAD_PROBE_OK;
}

guint
test_play_to_end (GstElement *pipeline)
{
  GstBus *bus = gst_element_get_bus (pipeline);
  gboolean end = FALSE;
  guint contexts = 0;

  gst_element_set_state (pipeline, GST_STATE_PLAYING);
  while (!end) {
    GstMessage *message =
        test_pop (bus, GST_MESSAGE_EOS | GST_MESSAGE_ERROR | GST_MESSAGE_HAVE_CONTEXT, 60);
    g_autoptr (GError) error = NULL;

    fail_unless (message != NULL, "the pipeline hangs");
    if (GST_MESSAGE_TYPE (message) == GST_MESSAGE_ERROR)
      gst_message_parse_error (message, &error, NULL);
    fail_unless (!error, "%s", error ? error->message : "");
    contexts += GST_MESSAGE_TYPE (message) == GST_MESSAGE_HAVE_CONTEXT;
    end = GST_MESSAGE_TYPE (message) == GST_MESSAGE_EOS;
    gst_message_unref (message);
  }
  gst_object_unref (bus);
  return contexts;
}

void
test_keep_results (GstElement *pipeline, const char *name, TestResults *results)
{
  GstElement *end = gst_bin_get_by_name (GST_BIN (pipeline), name);
  GstPad *pad = gst_element_get_static_pad (end, "sink");

  gst_pad_add_probe (pad, GST_PAD_PROBE_TYPE_BUFFER, keep_result, results, NULL);
  gst_object_unref (pad);
  gst_object_unref (end);
}

GstElement *
test_launch (const char *launch)
{
  g_autoptr (GError) error = NULL;
  GstElement *pipeline = gst_parse_launch_full (launch, NULL, GST_PARSE_FLAG_FATAL_ERRORS, &error);

  fail_unless (pipeline != NULL, "%s: %s", launch, error ? error->message : "?");
  return pipeline;
}

TestResults
test_run (const char *source, const char *infer)
{
  g_autofree char *launch =
      g_strdup_printf ("%s ! int8infer top-k=8 %s ! fakesink name=end", source, infer);
  GstElement *pipeline = test_launch (launch);
  TestResults results = {0};

  test_keep_results (pipeline, "end", &results);
  results.contexts = test_play_to_end (pipeline);
  gst_element_set_state (pipeline, GST_STATE_NULL);
  gst_object_unref (pipeline);
  return results;
}

void
test_compare (const TestResults *a, const TestResults *b, const char *what)
{
  fail_unless (a->n > 0);
  fail_unless_equals_int (a->n, b->n);
  for (guint i = 0; i < a->n; i++) {
    fail_unless (a->classes[i].n > 0);
    fail_unless (a->classes[i].n == b->classes[i].n, "%s, frame %u", what, i);
    for (guint k = 0; k < a->classes[i].n; k++)
      fail_unless (a->classes[i].ids[k] == b->classes[i].ids[k] &&
                       a->classes[i].confidences[k] == b->classes[i].confidences[k],
          "%s, frame %u, place %u: %d %.9g, expected %d %.9g", what, i, k, a->classes[i].ids[k],
          a->classes[i].confidences[k], b->classes[i].ids[k], b->classes[i].confidences[k]);
  }
}

gboolean
test_have (const char *element)
{
  GstElementFactory *factory = gst_element_factory_find (element);

  if (!factory)
    printf ("SKIP part: GStreamer has no %s here\n", element);
  else
    gst_object_unref (factory);
  return factory != NULL;
}

/* Before GStreamer 1.24 nvh264dec is another element, which wants an OpenGL display. */
const char *
test_decoder_name (void)
{
  GstElementFactory *old = gst_element_factory_find ("nvh264sldec");

  if (!old)
    return "nvh264dec";
  gst_object_unref (old);
  return "nvh264sldec";
}

/* In a process of its own: every test is one, and a driver does not survive its process's fork. */
gboolean
test_device_opens (void)
{
  const pid_t child = fork ();
  int status = -1;

  if (child == 0) {
    char why[256] = "";
    KernelBackend *backend = kernel_open ("cuda", why, sizeof why);

    if (!backend) {
      printf ("SKIP cuda: %s\n", why);
      fflush (stdout);
    }
    _exit (backend ? 0 : 77);
  }
  g_assert_true (child > 0 && waitpid (child, &status, 0) == child);
  return WIFEXITED (status) && WEXITSTATUS (status) == 0;
}
