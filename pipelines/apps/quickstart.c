/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * quickstart.c: the main job on real images. Streams training images of Fashion-MNIST as a video
 * into int8calib, then the test images as a video through int8infer in FP32 and INT8, counts top-1
 * from the metadata on the buffers, prints a table and leaves a page with a contact sheet.
 */
#include <gst/gst.h>
#include <gst/video/video.h>
#include <stdlib.h>
#include <unistd.h>

#include "tools/idx.h"
#include "report.h"

#define N_MODELS 2
#define N_RUNS   (2 * N_MODELS)

static const struct {
  const char *name, *file;
} models[N_MODELS] = {{"LeNet", "fashion-lenet"}, {"ResNet", "fashion-resnet"}};

/* Options. */
static char *data_dir, *out_dir = "out", *images_dir = "/usr/share/datasets/fashion-mnist";
static int calibration_frames = 500, test_frames = 10000;

typedef struct {
  Idx train, test, truth;
  char **class_names;
  char *train_video, *test_video; /* raw GRAY8 frames */
  char *table[N_MODELS], *engine[N_MODELS];
  ReportRun runs[N_RUNS];
} Quickstart;

/* --- Running a pipeline ---------------------------------------------------------------------- */

typedef struct {
  const char *what;
  int n, total;
  ReportRun *run;     /* NULL while calibrating */
  gint64 first, last; /* monotonic time of the first and last frame, in us */
  char *engine;       /* path, from the element's message */
} Job;

/* A line that is written over where a person looks, one line at the end where a file does. */
static void
show_progress (const Job *job)
{
  const gboolean end = job->n == job->total;

  if (isatty (STDERR_FILENO))
    g_printerr ("\r%-28s %5d of %d frames%s", job->what, job->n, job->total, end ? "\n" : "");
  else if (end)
    g_printerr ("%-28s %5d frames\n", job->what, job->n);
}

/* The class that int8infer attached, from GStreamer's region of interest metadata. -1 if none. */
static int
read_classification (GstBuffer *buffer, float *confidence)
{
  gpointer state = NULL;
  GstMeta *meta;

  while ((meta = gst_buffer_iterate_meta_filtered (buffer, &state,
              GST_VIDEO_REGION_OF_INTEREST_META_API_TYPE))) {
    GstStructure *param = gst_video_region_of_interest_meta_get_param (
        (GstVideoRegionOfInterestMeta *) meta, "classification");
    double level = 0;
    int id;
    if (param && gst_structure_get_int (param, "label_id", &id)) {
      gst_structure_get_double (param, "confidence", &level);
      *confidence = (float) level;
      return id;
    }
  }
  *confidence = 0;
  return -1;
}

static GstPadProbeReturn
on_frame (GstPad *pad, GstPadProbeInfo *info, gpointer data)
{
  Job *job = data;

  job->last = g_get_monotonic_time ();
  if (job->n == 0)
    job->first = job->last;
  if (job->run && job->n < job->run->n)
    job->run->label[job->n] =
        read_classification (GST_PAD_PROBE_INFO_BUFFER (info), &job->run->confidence[job->n]);
  if (++job->n % 100 == 0 || job->n == job->total)
    show_progress (job);
  return GST_PAD_PROBE_OK;
}

/* Remembers where the engine is. Returns FALSE when the pipeline is over; error tells why. */
static gboolean
handle_message (GstMessage *message, Job *job, GError **error)
{
  switch (GST_MESSAGE_TYPE (message)) {
  case GST_MESSAGE_EOS:
    return FALSE;
  case GST_MESSAGE_ERROR: {
    g_autofree char *debug = NULL;
    gst_message_parse_error (message, error, &debug);
    if (debug)
      g_printerr ("\n%s\n", debug);
    return FALSE;
  }
  case GST_MESSAGE_WARNING: {
    g_autoptr (GError) warning = NULL;
    gst_message_parse_warning (message, &warning, NULL);
    g_printerr ("\nwarning: %s\n", warning->message);
    return TRUE;
  }
  case GST_MESSAGE_ELEMENT: {
    const GstStructure *s = gst_message_get_structure (message);
    if (gst_structure_has_name (s, "int8-engine")) {
      g_free (job->engine);
      job->engine = g_strdup (gst_structure_get_string (s, "path"));
    }
    return TRUE;
  }
  default:
    return TRUE;
  }
}

/* Runs to the end of the stream and counts what arrives at the element "probe"'s sink pad. */
static gboolean
run_pipeline (const char *description, Job *job, GError **error)
{
  g_autoptr (GstElement) pipeline = gst_parse_launch (description, error);
  if (!pipeline)
    return FALSE;
  g_autoptr (GstElement) probed = gst_bin_get_by_name (GST_BIN (pipeline), "probe");
  g_autoptr (GstPad) pad = gst_element_get_static_pad (probed, "sink");
  gst_pad_add_probe (pad, GST_PAD_PROBE_TYPE_BUFFER, on_frame, job, NULL);

  g_autoptr (GstBus) bus = gst_element_get_bus (pipeline);
  g_autoptr (GError) failure = NULL;
  gst_element_set_state (pipeline, GST_STATE_PLAYING);
  for (gboolean going = TRUE; going;) {
    g_autoptr (GstMessage) message = gst_bus_timed_pop (bus, GST_CLOCK_TIME_NONE);
    going = handle_message (message, job, &failure);
  }
  gst_element_set_state (pipeline, GST_STATE_NULL);
  if (failure) {
    g_propagate_error (error, g_steal_pointer (&failure));
    return FALSE;
  }
  if (job->n != job->total) {
    g_set_error (error, GST_STREAM_ERROR, GST_STREAM_ERROR_FAILED,
        "%s: %d of %d frames came through", job->what, job->n, job->total);
    return FALSE;
  }
  return TRUE;
}

/* --- The job --------------------------------------------------------------------------------- */

static gboolean
calibrate (Quickstart *q, int model, GError **error)
{
  g_autofree char *what = g_strdup_printf ("%s: calibrating", models[model].name);
  Job job = {.what = what, .total = calibration_frames};

  q->table[model] = g_strdup_printf ("%s/%s.table", out_dir, models[model].file);
  g_autofree char *launch = g_strdup_printf (
      "filesrc location=\"%s\" ! rawvideoparse format=gray8 width=%d height=%d framerate=30/1 ! "
      "int8calib name=probe model=\"%s/%s.onnx\" table=\"%s\" table-exists=overwrite "
      "max-frames=%d preprocess=unit",
      q->train_video, q->train.width, q->train.height, data_dir, models[model].file,
      q->table[model], calibration_frames);
  return run_pipeline (launch, &job, error);
}

static gboolean
infer (Quickstart *q, int index, GError **error)
{
  const int model = index / 2;
  ReportRun *run = &q->runs[index];
  *run = (ReportRun){.model = models[model].name,
      .precision = index % 2 ? "INT8" : "FP32",
      .n = test_frames,
      .label = g_new (int, test_frames),
      .confidence = g_new (float, test_frames)};
  g_autofree char *what = g_strdup_printf ("%s: %s", run->model, run->precision);
  Job job = {.what = what, .total = test_frames, .run = run};

  g_autofree char *table =
      index % 2 ? g_strdup_printf ("calibration-table=\"%s\"", q->table[model]) : g_strdup ("");
  g_autofree char *launch = g_strdup_printf (
      "filesrc location=\"%s\" ! rawvideoparse format=gray8 width=%d height=%d framerate=30/1 ! "
      "int8infer model=\"%s/%s.onnx\" labels=\"%s/labels-fashion.txt\" precision=%s %s "
      "preprocess=unit metadata=roi ! fakesink name=probe sync=false",
      q->test_video, q->test.width, q->test.height, data_dir, models[model].file, data_dir,
      index % 2 ? "int8" : "fp32", table);
  if (!run_pipeline (launch, &job, error))
    return FALSE;

  const ReportRun *fp32 = &q->runs[index & ~1];
  int agree = 0;
  for (int i = 0; i < run->n; i++) {
    run->correct += run->label[i] == idx_item (&q->truth, i)[0];
    agree += run->label[i] == fp32->label[i];
  }
  run->agreement = (double) agree / run->n;
  run->fps = job.last > job.first ? 1e6 * (job.n - 1) / (job.last - job.first) : 0;
  if (index % 2)
    q->engine[model] = g_steal_pointer (&job.engine);
  g_free (job.engine);
  return TRUE;
}

static gboolean
write_video (const Idx *images, int n, const char *path, GError **error)
{
  return g_file_set_contents (path, (const char *) idx_item (images, 0),
      (gssize) n * images->height * images->width, error);
}

static gboolean
load_images (Quickstart *q, GError **error)
{
  struct {
    const char *file;
    Idx *idx;
  } files[] = {{"train-images-idx3-ubyte.gz", &q->train}, {"t10k-images-idx3-ubyte.gz", &q->test},
      {"t10k-labels-idx1-ubyte.gz", &q->truth}};

  for (guint i = 0; i < G_N_ELEMENTS (files); i++) {
    g_autofree char *path = g_build_filename (images_dir, files[i].file, NULL);
    if (!idx_load (path, files[i].idx, error)) {
      g_prefix_error (error, "Fashion-MNIST (Debian: apt-get install dataset-fashion-mnist): ");
      return FALSE;
    }
  }
  calibration_frames = MIN (calibration_frames, q->train.n);
  test_frames = MIN (test_frames, MIN (q->test.n, q->truth.n));

  g_autofree char *labels = g_build_filename (data_dir, "labels-fashion.txt", NULL);
  g_autofree char *text = NULL;
  if (!g_file_get_contents (labels, &text, NULL, error))
    return FALSE;
  q->class_names = g_strsplit (g_strchomp (text), "\n", -1);

  g_mkdir_with_parents (out_dir, 0777);
  q->train_video = g_build_filename (out_dir, "train.gray", NULL);
  q->test_video = g_build_filename (out_dir, "test.gray", NULL);
  return write_video (&q->train, calibration_frames, q->train_video, error) &&
         write_video (&q->test, test_frames, q->test_video, error);
}

static void
print_result (const Quickstart *q, const char *report)
{
  g_print ("\n%-8s %-9s %8s %10s %10s\n", "model", "precision", "top-1", "agreement", "frames/s");
  for (int i = 0; i < N_RUNS; i++)
    g_print ("%-8s %-9s %6.2f %% %8.2f %% %10.0f\n", q->runs[i].model, q->runs[i].precision,
        100.0 * q->runs[i].correct / q->runs[i].n, 100 * q->runs[i].agreement, q->runs[i].fps);
  g_print ("\n");
  for (int i = 0; i < N_MODELS; i++)
    g_print ("%s: table %s, engine %s\n", models[i].name, q->table[i],
        q->engine[i] ? q->engine[i] : "(not kept)");
  g_print ("report: %s\n", report);
}

static gboolean
run (Quickstart *q, GError **error)
{
  if (!load_images (q, error))
    return FALSE;
  for (int model = 0; model < N_MODELS; model++)
    if (!calibrate (q, model, error) || !infer (q, 2 * model, error) ||
        !infer (q, 2 * model + 1, error))
      return FALSE;

  g_autofree char *report = g_build_filename (out_dir, "report.html", NULL);
  if (!report_write (report, q->runs, N_RUNS, &q->test, &q->truth, q->class_names, error))
    return FALSE;
  print_result (q, report);
  return TRUE;
}

static void
quickstart_clear (Quickstart *q)
{
  idx_clear (&q->train);
  idx_clear (&q->test);
  idx_clear (&q->truth);
  g_strfreev (q->class_names);
  g_free (q->train_video);
  g_free (q->test_video);
  for (int i = 0; i < N_MODELS; i++) {
    g_free (q->table[i]);
    g_free (q->engine[i]);
  }
  for (int i = 0; i < N_RUNS; i++) {
    g_free (q->runs[i].label);
    g_free (q->runs[i].confidence);
  }
}

int
main (int argc, char **argv)
{
  /* clang-format off */
  const GOptionEntry entries[] = {
      {"models", 0, 0, G_OPTION_ARG_FILENAME, &data_dir,
          "Folder of the two models and their labels", "DIR"},
      {"images", 0, 0, G_OPTION_ARG_FILENAME, &images_dir, "Folder of Fashion-MNIST's IDX files",
          "DIR"},
      {"out", 0, 0, G_OPTION_ARG_FILENAME, &out_dir,
          "Where tables and the report go (default: out)", "DIR"},
      {"calibration-frames", 0, 0, G_OPTION_ARG_INT, &calibration_frames, "Default 500", "N"},
      {"test-frames", 0, 0, G_OPTION_ARG_INT, &test_frames, "Default 10000", "N"},
      {NULL},
  };
  g_autoptr (GOptionContext) context = g_option_context_new ("- calibrate, infer, compare");
  g_autoptr (GError) error = NULL;
  Quickstart q = {0};

  g_option_context_add_main_entries (context, entries, NULL);
  g_option_context_add_group (context, gst_init_get_option_group ());
  if (!g_option_context_parse (context, &argc, &argv, &error)) {
    g_printerr ("quickstart: %s (see --help)\n", error->message);
    return 2;
  }
  if (!data_dir)
    data_dir = "data";
  const gboolean ok = calibration_frames > 0 && test_frames > 0 && run (&q, &error);
  if (!ok)
    g_printerr (
        "\nquickstart: %s\n", error ? error->message : "the numbers of frames must be above 0");
  quickstart_clear (&q);
  return ok ? EXIT_SUCCESS : EXIT_FAILURE;
}
