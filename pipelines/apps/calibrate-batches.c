/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * calibrate-batches.c: a program that has its own batches of pictures, such as one written around
 * TensorRT's IInt8Calibrator, calibrates with them: what getBatch() returned goes into appsrc.
 *
 *     calibrate-batches MODEL TABLE WIDTH HEIGHT <grey-pictures.raw
 *
 * Pictures are bytes, as they come from a camera or decoder: preprocessing (here x / 255, the default for
 * models with one channel) is int8calib's. For batches that are preprocessed already there is
 * gst-int8-1.0 calibrate.
 */
#include <gst/app/gstappsrc.h>
#include <gst/gst.h>
#include <gst/video/video.h>
#include <stdio.h>
#include <stdlib.h>

#define BATCH 50

/* The program's own: fills pictures of `size` bytes and returns how many there are. */
static size_t
get_batch (guint8 *pictures, size_t size)
{
  return fread (pictures, size, BATCH, stdin);
}

/* push_buffer() waits while the element is behind (block=true), and fails once the stream has ended. */
static gboolean
push_picture (GstAppSrc *source, const guint8 *picture, size_t size)
{
  GstBuffer *buffer = gst_buffer_new_memdup (picture, size);

  return gst_app_src_push_buffer (source, buffer) == GST_FLOW_OK;
}

static guint
push_all (GstAppSrc *source, size_t size)
{
  g_autofree guint8 *pictures = g_malloc (BATCH * size);
  guint pushed = 0;
  gboolean ok = TRUE;

  for (size_t n; ok && (n = get_batch (pictures, size)) > 0;)
    for (size_t i = 0; ok && i < n; i++) {
      ok = push_picture (source, pictures + i * size, size);
      pushed += ok;
    }
  gst_app_src_end_of_stream (source);
  return pushed;
}

/* An element that fails takes no more pictures: nobody may wait for it. */
static GstBusSyncReply
end_after_error (GstBus *bus, GstMessage *message, gpointer source)
{
  if (GST_MESSAGE_TYPE (message) == GST_MESSAGE_ERROR)
    gst_app_src_end_of_stream (source);
  return GST_BUS_PASS;
}

/* int8calib writes the table at the end of the stream and says so before it passes the end on. */
static gboolean
wait_for_table (GstElement *pipeline)
{
  g_autoptr (GstBus) bus = gst_element_get_bus (pipeline);
  gboolean done = FALSE;

  for (;;) {
    g_autoptr (GstMessage) message = gst_bus_timed_pop_filtered (bus, GST_CLOCK_TIME_NONE,
        GST_MESSAGE_EOS | GST_MESSAGE_ERROR | GST_MESSAGE_ELEMENT);
    const GstStructure *fields = gst_message_get_structure (message);

    if (GST_MESSAGE_TYPE (message) == GST_MESSAGE_ERROR) {
      g_autoptr (GError) error = NULL;

      gst_message_parse_error (message, &error, NULL);
      g_printerr ("calibrate-batches: %s\n", error->message);
      return FALSE;
    }
    if (GST_MESSAGE_TYPE (message) == GST_MESSAGE_EOS)
      return done;
    if (gst_structure_has_name (fields, "int8-calibration-done")) {
      guint64 frames = 0;

      gst_structure_get_uint64 (fields, "frames", &frames);
      g_print ("%s: %" G_GUINT64_FORMAT " pictures\n", gst_structure_get_string (fields, "table"),
          frames);
      done = TRUE;
    }
  }
}

static GstElement *
make_pipeline (const char *model, const char *table, int width, int height, GError **error)
{
  g_autofree char *launch = g_strdup_printf (
      "appsrc name=source format=time do-timestamp=true block=true max-buffers=%d "
      "caps=video/x-raw,format=GRAY8,width=%d,height=%d,framerate=0/1 ! int8calib model=\"%s\" "
      "table=\"%s\"",
      BATCH, width, height, model, table);

  return gst_parse_launch (launch, error);
}

int
main (int argc, char **argv)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (GstElement) pipeline = NULL;
  GstVideoInfo info;
  guint pushed = 0;
  gboolean ok;

  gst_init (&argc, &argv);
  if (argc != 5 ||
      !gst_video_info_set_format (&info, GST_VIDEO_FORMAT_GRAY8, atoi (argv[3]), atoi (argv[4]))) {
    g_printerr ("usage: calibrate-batches MODEL TABLE WIDTH HEIGHT <grey-pictures.raw\n");
    return 2;
  }
  /* rows of video frames begin at multiples of four bytes */
  if (GST_VIDEO_INFO_PLANE_STRIDE (&info, 0) != GST_VIDEO_INFO_WIDTH (&info)) {
    g_printerr ("calibrate-batches: the width must be a multiple of 4\n");
    return 2;
  }
  pipeline = make_pipeline (argv[1], argv[2], atoi (argv[3]), atoi (argv[4]), &error);
  if (!pipeline) {
    g_printerr ("calibrate-batches: %s\n", error->message);
    return 1;
  }
  g_autoptr (GstElement) source = gst_bin_get_by_name (GST_BIN (pipeline), "source");

  g_autoptr (GstBus) bus = gst_element_get_bus (pipeline);

  gst_bus_set_sync_handler (bus, end_after_error, source, NULL);
  if (gst_element_set_state (pipeline, GST_STATE_PLAYING) != GST_STATE_CHANGE_FAILURE)
    pushed = push_all (GST_APP_SRC (source), GST_VIDEO_INFO_SIZE (&info));
  ok = wait_for_table (pipeline);
  gst_element_set_state (pipeline, GST_STATE_NULL);
  if (ok && pushed == 0)
    g_printerr ("calibrate-batches: no pictures came in\n");
  return ok && pushed > 0 ? 0 : 1;
}
