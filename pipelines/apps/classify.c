/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * classify.c: the smallest application: classifies a video (or a test picture) and prints a line
 * per frame, read from the metadata on the buffers.
 *
 *     classify MODEL TABLE [URI]
 */
#include <gst/gst.h>
#include <gst/video/video.h>

static GstPadProbeReturn
print_result (GstPad *pad, GstPadProbeInfo *info, gpointer data)
{
  GstBuffer *buffer = GST_PAD_PROBE_INFO_BUFFER (info);
  gpointer state = NULL;
  GstMeta *meta;

  while ((meta = gst_buffer_iterate_meta_filtered (buffer, &state,
              GST_VIDEO_REGION_OF_INTEREST_META_API_TYPE))) {
    const GstStructure *result = gst_video_region_of_interest_meta_get_param (
        (GstVideoRegionOfInterestMeta *) meta, "classification");
    double confidence;

    if (result && gst_structure_get_double (result, "confidence", &confidence))
      g_print ("%" GST_TIME_FORMAT " %s %.1f %%\n", GST_TIME_ARGS (GST_BUFFER_PTS (buffer)),
          gst_structure_get_string (result, "label"), 100 * confidence);
  }
  return GST_PAD_PROBE_OK;
}

/* Waits for the end. Returns the exit status. */
static int
run (GstElement *pipeline)
{
  g_autoptr (GstBus) bus = gst_element_get_bus (pipeline);

  gst_element_set_state (pipeline, GST_STATE_PLAYING);
  g_autoptr (GstMessage) message =
      gst_bus_timed_pop_filtered (bus, GST_CLOCK_TIME_NONE, GST_MESSAGE_EOS | GST_MESSAGE_ERROR);
  gst_element_set_state (pipeline, GST_STATE_NULL);
  if (GST_MESSAGE_TYPE (message) == GST_MESSAGE_EOS)
    return 0;

  g_autoptr (GError) error = NULL;
  gst_message_parse_error (message, &error, NULL);
  g_printerr ("classify: %s\n", error->message);
  return 1;
}

int
main (int argc, char **argv)
{
  g_autoptr (GError) error = NULL;

  gst_init (&argc, &argv);
  if (argc < 3 || argc > 4) {
    g_printerr ("usage: classify MODEL TABLE [URI]\n");
    return 2;
  }
  g_autofree char *source = argc == 4 ? g_strdup_printf ("uridecodebin uri=\"%s\"", argv[3])
                                      : g_strdup ("videotestsrc num-buffers=30");
  g_autofree char *launch = g_strdup_printf (
      "%s ! videoconvert ! int8infer model=\"%s\" calibration-table=\"%s\" ! fakesink name=end",
      source, argv[1], argv[2]);
  g_autoptr (GstElement) pipeline = gst_parse_launch (launch, &error);
  if (!pipeline) {
    g_printerr ("classify: %s\n", error->message);
    return 1;
  }
  g_autoptr (GstElement) end = gst_bin_get_by_name (GST_BIN (pipeline), "end");
  g_autoptr (GstPad) pad = gst_element_get_static_pad (end, "sink");
  gst_pad_add_probe (pad, GST_PAD_PROBE_TYPE_BUFFER, print_result, NULL, NULL);
  return run (pipeline);
}
