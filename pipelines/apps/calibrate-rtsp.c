/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * calibrate-rtsp.c: calibrates on a network camera that may go away and come back.
 *
 *   calibrate-rtsp URL MODEL.onnx TABLE STATISTICS [FRAMES]     default: stops by itself, at most 2000
 *
 * A camera that is switched off ends its stream or fails; for int8calib the one would be the end and the
 * other would take the pipeline down. So an end of stream is kept from it, and the source is made anew,
 * after 0.5, 1, 2 ... at most 30 seconds, while int8calib stays in PLAYING and goes on counting. A
 * source that has sent nothing for 10 seconds counts as failed. Ctrl-C ends it with what there is.
 *
 *   cc calibrate-rtsp.c $(pkg-config --cflags --libs gstreamer-1.0)
 */
#include <glib-unix.h>
#include <gst/gst.h>
#include <stdlib.h>

#define SILENCE 10 /* seconds */

typedef struct {
  const char *url;
  GMainLoop *loop;
  GstElement *pipeline, *source, *calib;
  guint cuts, wait; /* of the source; milliseconds until it is made again */
  guint restart;    /* its GSource, or 0 */
  guint64 seen;     /* frames at the last look, */
  guint silent;     /* and for how many seconds */
  int status;
} App;

static gboolean start_source (gpointer data);

static guint64
frames_seen (App *app)
{
  GstStructure *stats = NULL;
  guint64 seen = 0;

  g_object_get (app->calib, "calib-stats", &stats, NULL);
  gst_structure_get_uint64 (stats, "seen", &seen);
  gst_structure_free (stats);
  return seen;
}

static void
remove_source (App *app)
{
  if (!app->source)
    return;
  gst_element_set_state (app->source, GST_STATE_NULL);
  gst_bin_remove (GST_BIN (app->pipeline), app->source);
  app->source = NULL;
}

static void
source_failed (App *app, const char *why)
{
  if (app->restart)
    return;
  app->cuts++;
  g_print ("%s; again in %.1f s\n", why, app->wait / 1000.0);
  app->restart = g_timeout_add (app->wait, start_source, app);
  app->wait = MIN (2 * app->wait, 30000);
}

static gboolean
start_source (gpointer data)
{
  App *app = data;
  g_autoptr (GError) error = NULL;

  remove_source (app);
  app->restart = 0;
  app->silent = 0;
  app->source = gst_parse_bin_from_description (
      "rtspsrc name=camera protocols=tcp ! decodebin ! videoconvert name=frames", FALSE, &error);
  if (!app->source) {
    g_printerr ("%s\n", error->message);
    app->status = 1;
    g_main_loop_quit (app->loop);
    return G_SOURCE_REMOVE;
  }
  {
    g_autoptr (GstElement) camera = gst_bin_get_by_name (GST_BIN (app->source), "camera");
    g_autoptr (GstElement) frames = gst_bin_get_by_name (GST_BIN (app->source), "frames");
    g_autoptr (GstPad) pad = gst_element_get_static_pad (frames, "src");

    g_object_set (camera, "location", app->url, NULL);
    gst_element_add_pad (app->source, gst_ghost_pad_new ("src", pad));
  }
  gst_bin_add (GST_BIN (app->pipeline), app->source);
  gst_element_link (app->source, app->calib);
  /* All of the pipeline: one that a source has failed may have lost its state. */
  gst_element_set_state (app->pipeline, GST_STATE_PLAYING);
  return G_SOURCE_REMOVE;
}

/* In the streaming thread: the end of the source is not the end of the calibration. */
static GstPadProbeReturn
keep_eos (GstPad *pad, GstPadProbeInfo *info, gpointer data)
{
  App *app = data;

  if (GST_EVENT_TYPE (GST_PAD_PROBE_INFO_EVENT (info)) != GST_EVENT_EOS)
    return GST_PAD_PROBE_OK;
  gst_element_post_message (app->pipeline, gst_message_new_application (GST_OBJECT (app->pipeline),
                                               gst_structure_new_empty ("source-ended")));
  return GST_PAD_PROBE_DROP;
}

/* Every second. */
static gboolean
watch (gpointer data)
{
  App *app = data;
  const guint64 seen = frames_seen (app);

  if (seen != app->seen) {
    app->seen = seen;
    app->silent = 0;
    app->wait = 500;
  } else if (app->source && !app->restart && ++app->silent >= SILENCE) {
    source_failed (app, "nothing has come for a while");
  }
  return G_SOURCE_CONTINUE;
}

static gboolean
interrupted (gpointer data)
{
  App *app = data;

  g_signal_emit_by_name (app->calib, "finish");
  return G_SOURCE_CONTINUE;
}

static void
handle_error (App *app, GstMessage *message)
{
  g_autoptr (GError) error = NULL;

  gst_message_parse_error (message, &error, NULL);
  if (app->source &&
      gst_object_has_as_ancestor (GST_MESSAGE_SRC (message), GST_OBJECT (app->source))) {
    source_failed (app, error->message);
    return;
  }
  /* What a source that was removed had still to say is of no interest. */
  if (!gst_object_has_as_ancestor (GST_MESSAGE_SRC (message), GST_OBJECT (app->pipeline)))
    return;
  g_printerr ("%s\n", error->message);
  app->status = 1;
  g_main_loop_quit (app->loop);
}

static gboolean
on_message (GstBus *bus, GstMessage *message, gpointer data)
{
  App *app = data;
  guint64 frames = 0;

  if (GST_MESSAGE_TYPE (message) == GST_MESSAGE_ERROR) {
    handle_error (app, message);
  } else if (gst_message_has_name (message, "source-ended")) {
    source_failed (app, "the stream has ended");
  } else if (gst_message_has_name (message, "int8-calibration-done")) {
    gst_structure_get_uint64 (gst_message_get_structure (message), "frames", &frames);
    g_print ("%" G_GUINT64_FORMAT " frames, cut %u times\n", frames, app->cuts);
    app->status = 0;
    g_main_loop_quit (app->loop);
  } else if (GST_MESSAGE_TYPE (message) == GST_MESSAGE_PROGRESS) {
    g_autofree char *text = NULL;

    gst_message_parse_progress (message, NULL, NULL, &text);
    g_print ("%s\n", text);
  }
  return G_SOURCE_CONTINUE;
}

static gboolean
make_calib (App *app, char **argv, const char *frames)
{
  app->calib = gst_element_factory_make ("int8calib", NULL);
  if (!app->calib) {
    g_printerr ("no element int8calib: set GST_PLUGIN_PATH to the folder of libgstint8.so\n");
    return FALSE;
  }
  g_object_set (app->calib, "model", argv[2], "table", argv[3], "statistics", argv[4], "max-frames",
      frames ? (guint) atoi (frames) : 2000, "auto-stop", frames == NULL, NULL);
  app->pipeline = gst_pipeline_new (NULL);
  gst_bin_add (GST_BIN (app->pipeline), app->calib);
  {
    g_autoptr (GstPad) pad = gst_element_get_static_pad (app->calib, "sink");

    gst_pad_add_probe (pad, GST_PAD_PROBE_TYPE_EVENT_DOWNSTREAM, keep_eos, app, NULL);
  }
  return TRUE;
}

int
main (int argc, char **argv)
{
  App app = {.wait = 500, .status = 1};
  guint bus_watch, timer, signal_source;
  GstBus *bus;

  gst_init (&argc, &argv);
  if (argc < 5 || argc > 6) {
    g_printerr ("usage: %s URL MODEL.onnx TABLE STATISTICS [FRAMES]\n", argv[0]);
    return 2;
  }
  if (!make_calib (&app, argv, argc > 5 ? argv[5] : NULL))
    return 1;
  app.url = argv[1];
  app.loop = g_main_loop_new (NULL, FALSE);
  bus = gst_element_get_bus (app.pipeline);
  bus_watch = gst_bus_add_watch (bus, on_message, &app);
  timer = g_timeout_add_seconds (1, watch, &app);
  signal_source = g_unix_signal_add (SIGINT, interrupted, &app);

  start_source (&app);
  g_main_loop_run (app.loop);

  if (app.restart)
    g_source_remove (app.restart);
  remove_source (&app);
  gst_element_set_state (app.pipeline, GST_STATE_NULL);
  g_source_remove (bus_watch);
  g_source_remove (timer);
  g_source_remove (signal_source);
  gst_object_unref (bus);
  gst_object_unref (app.pipeline);
  g_main_loop_unref (app.loop);
  return app.status;
}
