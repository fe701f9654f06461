/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * classify-streams.c: many videos, one network, one process. Prints every second what each stream shows,
 * how sure the network is, and how many frames a second came.
 *
 *     classify-streams --model=net.onnx --table=net.table --labels=net.txt
 *         rtsp://gate/stream /dev/video0 shop.mp4 test:ball
 *
 * Every stream has a pipeline of its own: one that fails or ends stops nobody else. Their int8infer elements
 * have the same instance-id, so that the network is in memory once, and its batches are filled by all.
 * Results are read from the metadata on the buffers.
 */
#include "source.h"

#include <glib-unix.h>
#include <gst/video/video.h>

static char *model, *table, *labels;
static char **settings, **source_names;
static gboolean fast;
static double period = 1;
static int frames_wanted = -1;

typedef struct _App App;

typedef struct {
  App *app;
  const char *name;
  GstElement *pipeline;
  gboolean playing, failed;
  GMutex lock; /* of what follows, which the stream's thread writes */
  guint64 frames, results;
  char *label; /* of the newest frame that had a class */
  double confidence;
  guint64 reported; /* frames at the last report; of the main thread */
} Stream;

struct _App {
  GMainLoop *loop;
  Stream *streams;
  guint n_streams, n_playing;
  gboolean told;          /* what the network is */
  char *problem;          /* that was printed last */
  gint64 begun, reported; /* g_get_monotonic_time(): of the start, of the last report */
};

/* --- Results --------------------------------------------------------------------------------- */

/* Takes the class of the frame, or of the object on it that is surest. In the stream's thread. */
static GstPadProbeReturn
read_results (GstPad *pad, GstPadProbeInfo *info, gpointer data)
{
  Stream *stream = data;
  gpointer state = NULL;
  double best = -1;
  GstMeta *meta;

  g_mutex_lock (&stream->lock);
  stream->frames++;
  while ((meta = gst_buffer_iterate_meta_filtered (GST_PAD_PROBE_INFO_BUFFER (info), &state,
              GST_VIDEO_REGION_OF_INTEREST_META_API_TYPE))) {
    const GstStructure *result = gst_video_region_of_interest_meta_get_param (
        (GstVideoRegionOfInterestMeta *) meta, "classification");
    double confidence;

    if (!result || !gst_structure_get_double (result, "confidence", &confidence))
      continue;
    stream->results++;
    if (confidence <= best)
      continue;
    best = stream->confidence = confidence;
    g_free (stream->label);
    stream->label = g_strdup (gst_structure_get_string (result, "label"));
  }
  g_mutex_unlock (&stream->lock);
  return GST_PAD_PROBE_OK;
}

static gboolean
report (gpointer data)
{
  App *app = data;
  const gint64 now = g_get_monotonic_time ();
  const double seconds = (double) (now - app->reported) * 1e-6;

  for (guint i = 0; i < app->n_streams; i++) {
    Stream *stream = &app->streams[i];
    const char *state = stream->playing ? "" : stream->failed ? "  (failed)" : "  (ended)";

    g_mutex_lock (&stream->lock);
    g_print ("%7.1f s  %-20s %8.1f fps  ", (double) (now - app->begun) * 1e-6, stream->name,
        (double) (stream->frames - stream->reported) / seconds);
    if (stream->label)
      g_print ("%5.1f %%  %s%s\n", 100 * stream->confidence, stream->label, state);
    else
      g_print ("%7s  %s%s\n", "-", stream->frames ? "no class" : "no frame yet", state);
    stream->reported = stream->frames;
    g_mutex_unlock (&stream->lock);
  }
  app->reported = now;
  return G_SOURCE_CONTINUE;
}

/* One line a stream, last of all. */
static void
print_sums (App *app)
{
  const double seconds = (double) (g_get_monotonic_time () - app->begun) * 1e-6;

  for (guint i = 0; i < app->n_streams; i++) {
    const Stream *stream = &app->streams[i];

    g_print ("%s: %" G_GUINT64_FORMAT " frames, %" G_GUINT64_FORMAT
             " results, %.1f frames a second%s\n",
        stream->name, stream->frames, stream->results, (double) stream->frames / seconds,
        stream->failed ? ", failed" : "");
  }
}

/* --- Streams --------------------------------------------------------------------------------- */

static void
stop (Stream *stream)
{
  if (!stream->playing)
    return;
  stream->playing = FALSE;
  gst_element_set_state (stream->pipeline, GST_STATE_NULL);
  if (--stream->app->n_playing == 0)
    g_main_loop_quit (stream->app->loop);
}

/* Once: every stream is told of the network that they share. */
static void
print_network (App *app, const GstStructure *fields)
{
  int n_int8 = 0, n_fp32 = 0;

  if (app->told)
    return;
  app->told = TRUE;
  gst_structure_get (fields, "layers-int8", G_TYPE_INT, &n_int8, "layers-fp32", G_TYPE_INT, &n_fp32,
      NULL);
  g_print ("network: %s on %s, %d layers in INT8 and %d in FP32, for %u streams\n",
      gst_structure_get_string (fields, "precision"), gst_structure_get_string (fields, "backend"),
      n_int8, n_fp32, app->n_streams);
}

/* What concerns the network concerns every stream: it is said at length once. */
static void
print_problem (Stream *stream, GstMessage *message)
{
  App *app = stream->app;
  g_autofree char *text = source_describe (message);

  g_printerr ("classify-streams: %s: %s\n", stream->name,
      g_strcmp0 (app->problem, text) == 0 ? "the same" : text);
  g_free (app->problem);
  app->problem = g_steal_pointer (&text);
}

static gboolean
on_message (GstBus *bus, GstMessage *message, gpointer data)
{
  Stream *stream = data;

  switch (GST_MESSAGE_TYPE (message)) {
  case GST_MESSAGE_ERROR:
  case GST_MESSAGE_WARNING:
    print_problem (stream, message);
    if (GST_MESSAGE_TYPE (message) == GST_MESSAGE_ERROR) {
      stream->failed = TRUE;
      stop (stream);
    }
    break;
  case GST_MESSAGE_EOS:
    stop (stream);
    break;
  case GST_MESSAGE_ELEMENT:
    if (gst_message_has_name (message, "int8-engine"))
      print_network (stream->app, gst_message_get_structure (message));
    break;
  default:
    break;
  }
  return G_SOURCE_CONTINUE;
}

/* The classifier of a stream. All have the same id and say the same; the first one's settings count. */
static GstElement *
make_infer (GError **error)
{
  GstElement *infer = source_make_element ("int8infer", NULL, error);

  if (!infer)
    return NULL;
  g_object_set (infer, "instance-id", "classify-streams", "model", model, "calibration-table",
      table, "labels", labels, NULL);
  for (guint i = 0; settings && settings[i]; i++)
    if (!source_set_property (settings[i], &infer, 1, error)) {
      gst_object_unref (infer);
      return NULL;
    }
  return infer;
}

static gboolean
make_pipeline (Stream *stream, GError **error)
{
  g_autoptr (GstPad) pad = NULL;
  GstElement *source, *infer, *sink;

  stream->pipeline = gst_pipeline_new (NULL);
  source = source_new (stream->name, !fast, error);
  if (!source)
    return FALSE;
  gst_bin_add (GST_BIN (stream->pipeline), source);
  infer = make_infer (error);
  if (!infer)
    return FALSE;
  gst_bin_add (GST_BIN (stream->pipeline), infer);
  sink = source_make_element ("fakesink", NULL, error);
  if (!sink)
    return FALSE;
  gst_bin_add (GST_BIN (stream->pipeline), sink);
  g_object_set (sink, "sync", !fast, "num-buffers", frames_wanted, NULL);
  gst_element_link_many (source, infer, sink, NULL);
  pad = gst_element_get_static_pad (sink, "sink");
  gst_pad_add_probe (pad, GST_PAD_PROBE_TYPE_BUFFER, read_results, stream, NULL);
  return TRUE;
}

static gboolean
make_streams (App *app, GError **error)
{
  for (guint i = 0; i < app->n_streams; i++) {
    Stream *stream = &app->streams[i];
    g_autoptr (GstBus) bus = NULL;

    if (!make_pipeline (stream, error))
      return FALSE;
    bus = gst_element_get_bus (stream->pipeline);
    gst_bus_add_watch (bus, on_message, stream);
  }
  return TRUE;
}

/* Each is stopped by its own message where it fails. */
static void
play (App *app)
{
  for (guint i = 0; i < app->n_streams; i++) {
    app->streams[i].playing = TRUE;
    app->n_playing++;
  }
  for (guint i = 0; i < app->n_streams; i++)
    gst_element_set_state (app->streams[i].pipeline, GST_STATE_PLAYING);
}

static void
app_init (App *app)
{
  static char *tests[] = {"test:ball", "test:snow", "test:smpte", "test:circular", NULL};
  char **names = source_names ? source_names : tests;

  app->n_streams = g_strv_length (names);
  app->streams = g_new0 (Stream, app->n_streams);
  app->loop = g_main_loop_new (NULL, FALSE);
  for (guint i = 0; i < app->n_streams; i++) {
    app->streams[i].app = app;
    app->streams[i].name = names[i];
    g_mutex_init (&app->streams[i].lock);
  }
}

static void
app_clear (App *app)
{
  for (guint i = 0; i < app->n_streams; i++) {
    Stream *stream = &app->streams[i];

    if (stream->pipeline) {
      g_autoptr (GstBus) bus = gst_element_get_bus (stream->pipeline);

      gst_element_set_state (stream->pipeline, GST_STATE_NULL);
      gst_bus_remove_watch (bus);
      gst_object_unref (stream->pipeline);
    }
    g_mutex_clear (&stream->lock);
    g_free (stream->label);
  }
  g_free (app->streams);
  g_free (app->problem);
  g_main_loop_unref (app->loop);
}

/* --- The program ----------------------------------------------------------------------------- */

static gboolean
interrupted (gpointer data)
{
  g_main_loop_quit (((App *) data)->loop);
  return G_SOURCE_CONTINUE;
}

static gboolean
parse_options (int *argc, char ***argv, GError **error)
{
  /* clang-format off */
  const GOptionEntry entries[] = {
      {"model", 0, 0, G_OPTION_ARG_FILENAME, &model, "The classifier, ONNX", "FILE"},
      {"table", 0, 0, G_OPTION_ARG_FILENAME, &table,
          "Its calibration table (calibrate-live makes one); --set=precision=fp32 needs none", "FILE"},
      {"labels", 0, 0, G_OPTION_ARG_FILENAME, &labels, "Names of its classes, one a line", "FILE"},
      {"set", 0, 0, G_OPTION_ARG_STRING_ARRAY, &settings,
          "A property of int8infer, such as batch-size=4; may come several times", "NAME=VALUE"},
      {"period", 0, 0, G_OPTION_ARG_DOUBLE, &period, "Seconds from report to report (1)", "S"},
      {"frames", 0, 0, G_OPTION_ARG_INT, &frames_wanted, "End each stream after so many", "N"},
      {"fast", 0, 0, G_OPTION_ARG_NONE, &fast,
          "Files and test pictures as fast as it goes, not at the rate they have", NULL},
      {G_OPTION_REMAINING, 0, 0, G_OPTION_ARG_FILENAME_ARRAY, &source_names, NULL, "[SOURCE...]"},
      {NULL},
  };
  /* clang-format on */
  g_autoptr (GOptionContext) context = g_option_context_new ("- classify many videos");

  g_option_context_set_summary (context,
      SOURCE_HELP ". Default: four test pictures. Ctrl-C ends it.");
  g_option_context_add_main_entries (context, entries, NULL);
  g_option_context_add_group (context, gst_init_get_option_group ());
  if (!g_option_context_parse (context, argc, argv, error))
    return FALSE;
  if (model && period > 0 && frames_wanted != 0)
    return TRUE;
  g_set_error_literal (error, G_OPTION_ERROR, G_OPTION_ERROR_BAD_VALUE,
      !model ? "--model is missing" : "--period and --frames must be above 0");
  return FALSE;
}

int
main (int argc, char **argv)
{
  g_autoptr (GError) error = NULL;
  guint timer, signal_source;
  gboolean ok = TRUE;
  App app = {0};

  if (!parse_options (&argc, &argv, &error)) {
    g_printerr ("classify-streams: %s (see --help)\n", error->message);
    return 2;
  }
  app_init (&app);
  if (!make_streams (&app, &error)) {
    g_printerr ("classify-streams: %s\n", error->message);
    app_clear (&app);
    return 1;
  }
  app.begun = app.reported = g_get_monotonic_time ();
  timer = g_timeout_add ((guint) (1000 * period), report, &app);
  signal_source = g_unix_signal_add (SIGINT, interrupted, &app);
  play (&app);
  g_main_loop_run (app.loop);

  g_source_remove (timer);
  g_source_remove (signal_source);
  for (guint i = 0; i < app.n_streams; i++) {
    stop (&app.streams[i]);
    ok = ok && !app.streams[i].failed;
  }
  print_sums (&app);
  app_clear (&app);
  return ok ? 0 : 1;
}
