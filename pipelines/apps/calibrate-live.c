/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * calibrate-live.c: from a model to INT8 on a running camera. Classifies at once, in FP32 (or with the table
 * that is there), while the same frames calibrate; puts the new table into the running int8infer when
 * it is made; goes on in INT8 and says what that costs and gains. The video never stops.
 *
 *     calibrate-live --model=net.onnx --table=camera.table --labels=net.txt --show /dev/video0
 *
 *     source -> tee -> queue -> int8infer -> (int8overlay -> window) or nothing
 *                \-> queue, leaky -> int8calib
 */
#include "frames.h"
#include "source.h"

#include <glib-unix.h>
#include <unistd.h>

#define DRIFT_INTERVAL 10 /* one frame in so many is compared with FP32 */

static char *model, *table, *labels;
static char **settings, **source_names;
static gboolean show, fast;
static double gap = 0.2;
static int max_frames = 2000, frames_after = -1;

typedef struct {
  GMainLoop *loop;
  GstElement *pipeline, *infer, *calib;
  Frames frames;
  gboolean on_terminal, failed;
  double first_ms;     /* inference of a frame before the exchange, */
  char *first_network; /* and by what */
  guint64 examined;    /* frames compared with FP32 at the last report */
  char *progress;      /* what int8calib, or the builder of the network, said last */
} App;

/* --- What is said ---------------------------------------------------------------------------- */

static void print_line (App *app, const char *format, ...) G_GNUC_PRINTF (2, 3);

/* A line that stays; the one that changes is overwritten on a terminal. */
static void
print_line (App *app, const char *format, ...)
{
  g_autofree char *text = NULL;
  va_list args;

  va_start (args, format);
  text = g_strdup_vprintf (format, args);
  va_end (args);
  g_print ("%s%s\n", app->on_terminal ? "\r\033[K" : "", text);
}

static double
inference_ms (const GstStructure *stats)
{
  guint64 ns = 0;

  gst_structure_get_uint64 (stats, "inference-p50", &ns);
  return (double) ns * 1e-6;
}

/* INT8 beside FP32 on the same frames, as int8infer's drift guard has counted: whenever there are twice as
 * many, and at the end. */
static void
print_agreement (App *app, const GstStructure *stats, gboolean last)
{
  double agreement, sqnr = 0;
  guint64 examined = 0;

  gst_structure_get_uint64 (stats, "drift-examined", &examined);
  if ((!last && examined < MAX (16, 2 * app->examined)) ||
      !gst_structure_get (stats, "drift-agreement", G_TYPE_DOUBLE, &agreement, "drift-logit-sqnr",
          G_TYPE_DOUBLE, &sqnr, NULL))
    return;
  app->examined = examined;
  print_line (app,
      "compared with FP32 on %" G_GUINT64_FORMAT
      " frames: of the last ones %.1f %% have the same class, logits are at %.1f dB",
      examined, 100 * agreement, sqnr);
}

static gboolean
report (gpointer data)
{
  App *app = data;
  g_autofree char *shown = NULL;
  GstStructure *stats = NULL;
  double fps = 0;
  gboolean enough;
  Phase phase;

  g_object_get (app->infer, "stats", &stats, NULL);
  gst_structure_get_double (stats, "fps", &fps);
  g_mutex_lock (&app->frames.lock);
  phase = app->frames.phase;
  shown = g_strdup_printf ("%5.1f %%  %s", 100 * app->frames.confidence,
      app->frames.label ? app->frames.label : "no class yet");
  enough = frames_after >= 0 && app->frames.after >= (guint64) frames_after && phase == CALIBRATED;
  g_mutex_unlock (&app->frames.lock);
  if (phase == CALIBRATED)
    print_agreement (app, stats, FALSE);
  g_print ("%s%5.1f fps  %s  %s%s", app->on_terminal ? "\r\033[K" : "", fps, shown,
      phase == CALIBRATED ? "INT8"
      : app->progress     ? app->progress
                          : "waiting for frames",
      app->on_terminal ? "" : "\n");
  gst_structure_free (stats);
  if (enough)
    g_main_loop_quit (app->loop);
  return G_SOURCE_CONTINUE;
}

static void
print_sums (App *app)
{
  GstStructure *stats = NULL;

  print_line (app, "end");
  frames_print (&app->frames);
  if (app->frames.phase != CALIBRATED)
    return;
  g_object_get (app->infer, "stats", &stats, NULL);
  print_agreement (app, stats, TRUE);
  if (app->frames.after >= 512) /* what the medians are of */
    print_line (app, "inference: %.2f ms a frame in INT8, %.2f ms before (%s)",
        inference_ms (stats), app->first_ms, app->first_network);
  gst_structure_free (stats);
}

/* --- From the table to INT8 ------------------------------------------------------------------ */

/* One network is made for all that is set here, beside the one that runs, which goes on meanwhile. */
static void
take_table (App *app, const GstStructure *done)
{
  const char *reason = gst_structure_get_string (done, "reason");
  GstStructure *stats = NULL;
  guint64 frames = 0;
  guint drift = 0;

  gst_structure_get_uint64 (done, "frames", &frames);
  print_line (app, "table: %s, from %" G_GUINT64_FORMAT " frames (%s), method %s",
      gst_structure_get_string (done, "table"), frames, reason ? reason : "it was there",
      gst_structure_get_string (done, "method"));
  g_object_get (app->infer, "stats", &stats, "drift-interval", &drift, NULL);
  app->first_ms = inference_ms (stats);
  gst_structure_free (stats);
  frames_set_phase (&app->frames, EXCHANGING);
  g_clear_pointer (&app->progress, g_free);
  g_object_freeze_notify (G_OBJECT (app->infer));
  gst_util_set_object_arg (G_OBJECT (app->infer), "precision",
      gst_structure_has_field (done, "precision") ? "mixed" : "int8");
  g_object_set (app->infer, "calibration-table", table, "drift-interval",
      drift ? drift : DRIFT_INTERVAL, NULL);
  g_object_thaw_notify (G_OBJECT (app->infer));
}

static void
take_network (App *app, const GstStructure *engine)
{
  gboolean swapped = FALSE;
  int n_int8 = 0, n_fp32 = 0;

  gst_structure_get (engine, "swapped", G_TYPE_BOOLEAN, &swapped, "layers-int8", G_TYPE_INT,
      &n_int8, "layers-fp32", G_TYPE_INT, &n_fp32, NULL);
  print_line (app, "network: %s on %s, %d layers in INT8 and %d in FP32%s",
      gst_structure_get_string (engine, "precision"), gst_structure_get_string (engine, "backend"),
      n_int8, n_fp32, swapped ? "; it has taken over" : "");
  if (swapped && app->frames.phase == EXCHANGING)
    frames_set_phase (&app->frames, CALIBRATED);
  else if (!app->first_network)
    app->first_network = g_strdup (gst_structure_get_string (engine, "precision"));
}

/* Through one branch: the pipeline would ask through both, and the video would begin twice. */
static gboolean
play_again (App *app)
{
  g_autoptr (GstPad) pad = gst_element_get_static_pad (app->infer, "src");

  return gst_pad_send_event (pad, gst_event_new_seek (1, GST_FORMAT_TIME, GST_SEEK_FLAG_FLUSH,
                                      GST_SEEK_TYPE_SET, 0, GST_SEEK_TYPE_NONE, 0));
}

/* A file is played again until INT8 has seen some of it; then its end is the end. */
static void
take_end (App *app)
{
  if (app->frames.after > 0) {
    g_main_loop_quit (app->loop);
    return;
  }
  frames_restart (&app->frames);
  if (play_again (app)) {
    print_line (app, "the video has ended; once more from its beginning");
    return;
  }
  g_printerr (
      "calibrate-live: the stream has ended before the INT8 network was there, and cannot be played "
      "again\n");
  app->failed = TRUE;
  g_main_loop_quit (app->loop);
}

static void
take_problem (App *app, GstMessage *message)
{
  g_autofree char *text = source_describe (message);

  g_printerr ("%scalibrate-live: %s\n", app->on_terminal ? "\r\033[K" : "", text);
  /* A table that int8infer does not take is a warning; it goes on as before. */
  if (GST_MESSAGE_TYPE (message) == GST_MESSAGE_ERROR ||
      (app->frames.phase == EXCHANGING && GST_MESSAGE_SRC (message) == GST_OBJECT (app->infer))) {
    app->failed = TRUE;
    g_main_loop_quit (app->loop);
  }
}

static gboolean
on_message (GstBus *bus, GstMessage *message, gpointer data)
{
  const GstStructure *fields = gst_message_get_structure (message);
  App *app = data;

  switch (GST_MESSAGE_TYPE (message)) {
  case GST_MESSAGE_ERROR:
  case GST_MESSAGE_WARNING:
    take_problem (app, message);
    break;
  case GST_MESSAGE_EOS:
    take_end (app);
    break;
  case GST_MESSAGE_PROGRESS:
    g_clear_pointer (&app->progress, g_free);
    gst_message_parse_progress (message, NULL, NULL, &app->progress);
    break;
  case GST_MESSAGE_ELEMENT:
    if (gst_structure_has_name (fields, "int8-calibration-done"))
      take_table (app, fields);
    else if (gst_structure_has_name (fields, "int8-engine"))
      take_network (app, fields);
    else if (gst_structure_has_name (fields, "int8-drift"))
      print_line (app, "drift: %s", gst_structure_get_string (fields, "text"));
    break;
  default:
    break;
  }
  return G_SOURCE_CONTINUE;
}

/* The first Ctrl-C ends the calibration with what there is, the next one the program. */
static gboolean
interrupted (gpointer data)
{
  App *app = data;
  static gboolean again;

  if (app->frames.phase == CALIBRATING && !again) {
    print_line (app, "no more frames are taken for the table; Ctrl-C once more ends the program");
    g_signal_emit_by_name (app->calib, "finish");
  } else {
    g_main_loop_quit (app->loop);
  }
  again = TRUE;
  return G_SOURCE_CONTINUE;
}

/* --- The pipeline ---------------------------------------------------------------------------- */

/* What both elements have, preprocessing above all, is set on both. */
static gboolean
configure (App *app, GError **error)
{
  const gboolean there = g_file_test (table, G_FILE_TEST_EXISTS);
  GstElement *both[] = {app->infer, app->calib};

  g_object_set (app->infer, "model", model, "labels", labels, NULL);
  if (there) {
    g_object_set (app->infer, "calibration-table", table, NULL);
    print_line (app, "%s is there: in INT8 with it, until another one is made", table);
  } else {
    gst_util_set_object_arg (G_OBJECT (app->infer), "precision", "fp32");
  }
  g_object_set (app->calib, "model", model, "table", table, "max-frames", (guint) max_frames,
      "auto-stop", TRUE, "min-gap", (guint64) (gap * GST_SECOND), "async", FALSE, NULL);
  gst_util_set_object_arg (G_OBJECT (app->calib), "table-exists", "overwrite");
  for (guint i = 0; settings && settings[i]; i++)
    if (!source_set_property (settings[i], both, G_N_ELEMENTS (both), error))
      return FALSE;
  return TRUE;
}

static gboolean
make_pipeline (App *app, GError **error)
{
  g_autofree char *launch =
      g_strdup_printf ("tee name=tee ! queue ! int8infer name=infer ! %s "
                       "tee. ! queue leaky=downstream max-size-buffers=4 ! int8calib name=calib",
          show   ? "videoconvert ! int8overlay ! videoconvert ! autovideosink"
          : fast ? "fakesink sync=false"
                 : "fakesink sync=true");
  g_autoptr (GstElement) tee = NULL;
  GstElement *source, *probe = source_make_element ("int8infer", NULL, error);

  if (!probe)
    return FALSE;
  gst_object_unref (probe);
  source = source_new (source_names[0], !fast, error);
  if (!source)
    return FALSE;
  app->pipeline = gst_parse_launch (launch, error);
  if (!app->pipeline) {
    gst_object_unref (source);
    return FALSE;
  }
  app->infer = gst_bin_get_by_name (GST_BIN (app->pipeline), "infer");
  app->calib = gst_bin_get_by_name (GST_BIN (app->pipeline), "calib");
  tee = gst_bin_get_by_name (GST_BIN (app->pipeline), "tee");
  gst_bin_add (GST_BIN (app->pipeline), source);
  gst_element_link (source, tee);
  frames_init (&app->frames, app->infer);
  return configure (app, error);
}

static void
app_clear (App *app)
{
  if (app->infer)
    frames_clear (&app->frames);
  gst_clear_object (&app->infer);
  gst_clear_object (&app->calib);
  gst_clear_object (&app->pipeline);
  g_main_loop_unref (app->loop);
  g_free (app->progress);
  g_free (app->first_network);
}

/* --- The program ----------------------------------------------------------------------------- */

static gboolean
parse_options (int *argc, char ***argv, GError **error)
{
  /* clang-format off */
  const GOptionEntry entries[] = {
      {"model", 0, 0, G_OPTION_ARG_FILENAME, &model, "The classifier, ONNX", "FILE"},
      {"table", 0, 0, G_OPTION_ARG_FILENAME, &table,
          "The calibration table to be made; where it is there, INT8 begins with it", "FILE"},
      {"labels", 0, 0, G_OPTION_ARG_FILENAME, &labels, "Names of its classes, one a line", "FILE"},
      {"frames", 0, 0, G_OPTION_ARG_INT, &max_frames,
          "Calibrate on so many at most; it ends sooner when more would change nothing (2000)", "N"},
      {"gap", 0, 0, G_OPTION_ARG_DOUBLE, &gap,
          "Seconds between two frames for the table: neighbours are alike (0.2)", "S"},
      {"set", 0, 0, G_OPTION_ARG_STRING_ARRAY, &settings,
          "A property of int8infer, of int8calib, or of both, as preprocess=unit; may come several times",
          "NAME=VALUE"},
      {"show", 0, 0, G_OPTION_ARG_NONE, &show, "Show the video, with its classes drawn over it", NULL},
      {"then", 0, 0, G_OPTION_ARG_INT, &frames_after, "End after so many frames in INT8", "N"},
      {"fast", 0, 0, G_OPTION_ARG_NONE, &fast,
          "A file or test picture as fast as it goes, not at the rate it has", NULL},
      {G_OPTION_REMAINING, 0, 0, G_OPTION_ARG_FILENAME_ARRAY, &source_names, NULL, "SOURCE"},
      {NULL},
  };
  /* clang-format on */
  g_autoptr (GOptionContext) context = g_option_context_new ("- calibrate on live video");

  g_option_context_set_summary (context, SOURCE_HELP
      ".\nCtrl-C ends the calibration with the frames that there are, once more the program.");
  g_option_context_add_main_entries (context, entries, NULL);
  g_option_context_add_group (context, gst_init_get_option_group ());
  if (!g_option_context_parse (context, argc, argv, error))
    return FALSE;
  if (model && table && source_names && !source_names[1] && max_frames > 0 && gap >= 0)
    return TRUE;
  g_set_error_literal (error, G_OPTION_ERROR, G_OPTION_ERROR_BAD_VALUE,
      "--model, --table and one SOURCE are needed; --frames must be above 0, --gap at least 0");
  return FALSE;
}

static void
run (App *app)
{
  g_autoptr (GstBus) bus = gst_element_get_bus (app->pipeline);
  const guint timer = g_timeout_add (app->on_terminal ? 250 : 1000, report, app);
  const guint signal_source = g_unix_signal_add (SIGINT, interrupted, app);

  gst_bus_add_watch (bus, on_message, app);
  gst_element_set_state (app->pipeline, GST_STATE_PLAYING);
  g_main_loop_run (app->loop);
  print_sums (app);
  gst_element_set_state (app->pipeline, GST_STATE_NULL);
  gst_bus_remove_watch (bus);
  g_source_remove (timer);
  g_source_remove (signal_source);
}

int
main (int argc, char **argv)
{
  App app = {.on_terminal = isatty (STDOUT_FILENO)};
  g_autoptr (GError) error = NULL;
  gboolean ok;

  if (!parse_options (&argc, &argv, &error)) {
    g_printerr ("calibrate-live: %s (see --help)\n", error->message);
    return 2;
  }
  app.loop = g_main_loop_new (NULL, FALSE);
  if (make_pipeline (&app, &error)) {
    run (&app);
  } else {
    g_printerr ("calibrate-live: %s\n", error->message);
    app.failed = TRUE;
  }
  ok = !app.failed && app.frames.phase == CALIBRATED;
  app_clear (&app);
  return ok ? 0 : 1;
}
