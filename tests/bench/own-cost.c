/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * own-cost.c: what int8infer costs beyond its network, at batch 1 on the CPU: the bare engine against
 * appsrc ! int8infer ! fakesink, on the same frames with the same preprocessing, taking turns in one
 * process.
 *
 *   bench-own-cost MODEL TABLE [THREADS [WIDTH HEIGHT [SECONDS]]]      GST_PLUGIN_PATH says where the plugin is
 *
 * With one thread, that of the element and that of the engine are on the same CPU, the last that the process
 * may use, since CPUs of a virtual machine differ by more than what is looked for.
 * Throughput: short bursts, as fast as they can, for SECONDS; a ratio is of neighbouring bursts.
 * Latency: one frame at a time, GAP_MS apart, so that threads sleep between them as with a camera; of the
 * element from its sink pad to its source pad, of the engine from the first byte read to the last score.
 * Numbers are medians. Exit status 1 where a goal is missed: 3 % of throughput, 0.1 ms of latency.
 */
#include "engine/engine.h"

#include <gst/gst.h>
#include <gst/video/video.h>
#include <math.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>

#define N_FRAMES       8
#define SECONDS        20
#define BURST_SECONDS  0.05
#define WARM_UP        10  /* frames before each burst: whoever computes has found its caches */
#define LATENCY_FRAMES 512 /* as many as the element's stats look back */
#define GAP_MS         10
#define MOST_COST      1.03
#define MOST_LATENCY   0.1

typedef struct {
  GstVideoInfo info;
  GstCaps *caps;
  GstBuffer *frames[N_FRAMES];
} Frames;

typedef struct {
  KernelBackend *backend;
  Engine *engine;
  EngineExec *exec;
  EnginePreprocessor *preprocessor;
  EngineImage images[N_FRAMES];
  guint at; /* the next of them */
  /* A thread of its own, as the element has: woken for every burst. */
  GThread *thread;
  GAsyncQueue *orders, *answers; /* Burst */
  int threads;
} Bare;

typedef struct {
  guint n, warm_up; /* n 0: the end */
  double seconds;
} Burst;

typedef struct {
  GstElement *pipeline, *source, *infer;
  const Frames *frames;
  int threads;
  GMutex lock;
  GCond changed;
  guint64 wanted, sent;   /* lock */
  guint64 arrived;        /* lock: at the sink, all told */
  guint64 first_of_burst; /* lock */
  gint64 first, last;     /* lock: of the burst, at the sink */
  gint64 entered, left;   /* lock: of the newest frame */
} Piped;

static void
give_up (const char *what, const GError *error)
{
  fprintf (stderr, "bench-own-cost: %s%s%s\n", what, error ? ": " : "",
      error ? error->message : "");
  exit (2);
}

/* One thread: the caller goes to the last CPU of the process. */
static void
settle (int threads)
{
  static gsize chosen; /* 1 + the CPU */
  cpu_set_t set;

  if (threads != 1)
    return;
  if (g_once_init_enter (&chosen)) {
    gsize last = 0;

    sched_getaffinity (0, sizeof set, &set);
    for (gsize i = 0; i < CPU_SETSIZE; i++)
      last = CPU_ISSET (i, &set) ? i : last;
    g_once_init_leave (&chosen, last + 1);
  }
  CPU_ZERO (&set);
  CPU_SET (chosen - 1, &set);
  sched_setaffinity (0, sizeof set, &set);
}

/* --- Frames ---------------------------------------------------------------------------------- */

/* Noise: what a frame shows makes no difference to either. */
static void
make_frames (Frames *frames, int width, int height)
{
  GRand *random = g_rand_new_with_seed (1);

  gst_video_info_set_format (&frames->info, GST_VIDEO_FORMAT_I420, (guint) width, (guint) height);
  frames->caps = gst_video_info_to_caps (&frames->info);
  for (guint i = 0; i < N_FRAMES; i++) {
    GstMapInfo map;

    frames->frames[i] = gst_buffer_new_allocate (NULL, GST_VIDEO_INFO_SIZE (&frames->info), NULL);
    gst_buffer_map (frames->frames[i], &map, GST_MAP_WRITE);
    for (gsize at = 0; at < map.size; at++)
      map.data[at] = (guint8) g_rand_int (random);
    gst_buffer_unmap (frames->frames[i], &map);
  }
  g_rand_free (random);
}

/* --- The engine alone ------------------------------------------------------------------------ */

static void
describe (EngineImage *image, const GstVideoInfo *info, GstBuffer *buffer)
{
  GstMapInfo map;
  double kr, kb;

  gst_buffer_map (buffer, &map, GST_MAP_READ);
  *image = (EngineImage){.kind = ENGINE_IMAGE_YUV,
      .width = GST_VIDEO_INFO_WIDTH (info),
      .height = GST_VIDEO_INFO_HEIGHT (info),
      .n_planes = 3};
  for (int p = 0; p < 3; p++) {
    image->component[p].plane = p;
    image->planes[p] = (EnginePlane){.data = map.data + GST_VIDEO_INFO_PLANE_OFFSET (info, p),
        .stride = GST_VIDEO_INFO_PLANE_STRIDE (info, p),
        .width = GST_VIDEO_INFO_COMP_WIDTH (info, p),
        .height = GST_VIDEO_INFO_COMP_HEIGHT (info, p),
        .step = 1};
  }
  if (!gst_video_color_matrix_get_Kr_Kb (info->colorimetry.matrix, &kr, &kb))
    give_up ("frames without a colour matrix", NULL);
  engine_image_set_yuv (image, kr, kb, info->colorimetry.range == GST_VIDEO_COLOR_RANGE_0_255);
  gst_buffer_unmap (buffer, &map); /* system memory stays where it is */
}

static void
bare_init (Bare *bare, const Frames *frames, const char *model, const char *table, int threads)
{
  g_autoptr (GError) error = NULL;
  EnginePreprocess preprocess;
  EngineRequest request = {.model = model, .table = table, .preprocess = &preprocess};
  EngineRequestReport report = {0};
  EngineInputInfo input;
  EngineType type;
  float scale;
  int zero;

  bare->threads = threads;
  engine_preprocess_preset (&preprocess, "imagenet");
  bare->backend = engine_backend_open ("cpu", &error);
  if (bare->backend)
    bare->engine = engine_obtain (&request, &report, NULL, NULL, NULL, NULL, &error);
  if (bare->engine)
    bare->exec = engine_exec_new (bare->engine, bare->backend, 1, threads, &error);
  if (!bare->exec)
    give_up (model, error);
  engine_request_report_clear (&report);
  engine_input (bare->engine, &input);
  type = engine_input_type (bare->engine, &scale, &zero);
  bare->preprocessor = engine_preprocessor_new (&preprocess, input.channels, input.height,
      input.width, type, scale, zero, bare->backend, &error);
  if (!bare->preprocessor)
    give_up (model, error);
  for (guint i = 0; i < N_FRAMES; i++)
    describe (&bare->images[i], &frames->info, frames->frames[i]);
}

static void
bare_frames (Bare *bare, guint n)
{
  g_autoptr (GError) error = NULL;

  for (guint i = 0; i < n; i++)
    if (!engine_preprocessor_run (bare->preprocessor, &bare->images[bare->at++ % N_FRAMES], NULL,
            engine_exec_queue (bare->exec), engine_exec_input (bare->exec, 0), &error) ||
        !engine_exec_run (bare->exec, 1, &error))
      give_up ("the engine", error);
}

static gpointer
bare_thread (gpointer data)
{
  Bare *bare = data;
  Burst *burst;

  settle (bare->threads);
  while ((burst = g_async_queue_pop (bare->orders))->n > 0) {
    bare_frames (bare, burst->warm_up);
    const gint64 begin = g_get_monotonic_time ();

    bare_frames (bare, burst->n);
    burst->seconds = (double) (g_get_monotonic_time () - begin) * 1e-6;
    g_async_queue_push (bare->answers, burst);
  }
  return NULL;
}

/* The seconds of n frames. */
static double
bare_run (Bare *bare, guint n, guint warm_up)
{
  Burst burst = {.n = n, .warm_up = warm_up};

  g_async_queue_push (bare->orders, &burst);
  g_async_queue_pop (bare->answers);
  return burst.seconds;
}

static void
bare_start (Bare *bare)
{
  bare->orders = g_async_queue_new ();
  bare->answers = g_async_queue_new ();
  bare->thread = g_thread_new ("engine", bare_thread, bare);
}

static void
bare_clear (Bare *bare)
{
  Burst end = {0};

  g_async_queue_push (bare->orders, &end);
  g_thread_join (bare->thread);
  g_async_queue_unref (bare->orders);
  g_async_queue_unref (bare->answers);
  engine_preprocessor_free (bare->preprocessor);
  engine_exec_free (bare->exec);
  engine_unref (bare->engine);
  engine_backend_close (bare->backend);
}

/* --- The element ----------------------------------------------------------------------------- */

/* Memory is shared, metadata is not. */
static GstBuffer *
next_frame_locked (Piped *piped)
{
  GstBuffer *buffer = gst_buffer_copy (piped->frames->frames[piped->sent % N_FRAMES]);

  GST_BUFFER_PTS (buffer) = piped->sent++ * 10 * GST_MSECOND;
  return buffer;
}

/* In the source's own thread: a frame whenever it has none. */
static void
need_data (GstElement *source, guint size, gpointer data)
{
  Piped *piped = data;
  GstBuffer *buffer = NULL;
  GstFlowReturn result;

  g_mutex_lock (&piped->lock);
  if (piped->sent < piped->wanted)
    buffer = next_frame_locked (piped);
  g_mutex_unlock (&piped->lock);
  if (buffer)
    g_signal_emit_by_name (source, "push-buffer", buffer, &result);
  gst_clear_buffer (&buffer);
}

static GstPadProbeReturn
note_entry (GstPad *pad, GstPadProbeInfo *info, gpointer data)
{
  Piped *piped = data;

  g_mutex_lock (&piped->lock);
  piped->entered = g_get_monotonic_time ();
  g_mutex_unlock (&piped->lock);
  return GST_PAD_PROBE_OK;
}

static GstPadProbeReturn
note_exit (GstPad *pad, GstPadProbeInfo *info, gpointer data)
{
  const gint64 now = g_get_monotonic_time ();
  Piped *piped = data;

  if (!gst_buffer_get_custom_meta (GST_PAD_PROBE_INFO_BUFFER (info), "GstInt8ClassificationMeta"))
    give_up ("a frame has no result", NULL);
  g_mutex_lock (&piped->lock);
  if (piped->arrived++ == piped->first_of_burst)
    piped->first = now;
  piped->last = piped->left = now;
  if (piped->arrived == piped->wanted)
    g_cond_signal (&piped->changed);
  g_mutex_unlock (&piped->lock);
  return GST_PAD_PROBE_OK;
}

/* In the thread that it is about. */
static GstBusSyncReply
settle_task (GstBus *bus, GstMessage *message, gpointer data)
{
  const Piped *piped = data;
  GstStreamStatusType type;
  GstElement *owner;

  if (GST_MESSAGE_TYPE (message) != GST_MESSAGE_STREAM_STATUS)
    return GST_BUS_PASS;
  gst_message_parse_stream_status (message, &type, &owner);
  if (type == GST_STREAM_STATUS_TYPE_ENTER && owner == piped->infer)
    settle (piped->threads);
  return GST_BUS_PASS;
}

static void
watch (GstElement *element, const char *pad_name, GstPadProbeCallback probe, Piped *piped)
{
  g_autoptr (GstPad) pad = gst_element_get_static_pad (element, pad_name);

  gst_pad_add_probe (pad, GST_PAD_PROBE_TYPE_BUFFER, probe, piped, NULL);
}

static void
piped_init (Piped *piped, const Frames *frames, const char *model, const char *table, int threads)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (GstBus) bus = NULL;
  g_autofree char *launch = g_strdup_printf (
      "appsrc name=source format=time max-buffers=1 emit-signals=true ! "
      "int8infer name=infer backend=cpu preprocess=imagenet color-format=rgb model=\"%s\" "
      "calibration-table=\"%s\" threads=%d ! fakesink sync=false",
      model, table, threads);

  *piped = (Piped){.frames = frames, .threads = threads};
  g_mutex_init (&piped->lock);
  g_cond_init (&piped->changed);
  piped->pipeline = gst_parse_launch (launch, &error);
  if (error)
    give_up ("the pipeline", error);
  piped->source = gst_bin_get_by_name (GST_BIN (piped->pipeline), "source");
  piped->infer = gst_bin_get_by_name (GST_BIN (piped->pipeline), "infer");
  g_object_set (piped->source, "caps", frames->caps, NULL);
  g_signal_connect (piped->source, "need-data", G_CALLBACK (need_data), piped);
  watch (piped->infer, "sink", note_entry, piped);
  watch (piped->infer, "src", note_exit, piped);
  bus = gst_element_get_bus (piped->pipeline);
  gst_bus_set_sync_handler (bus, settle_task, piped, NULL);
  gst_element_set_state (piped->pipeline, GST_STATE_PLAYING);
}

static void
piped_clear (Piped *piped)
{
  gst_element_set_state (piped->pipeline, GST_STATE_NULL);
  gst_object_unref (piped->source);
  gst_object_unref (piped->infer);
  gst_object_unref (piped->pipeline);
  g_mutex_clear (&piped->lock);
  g_cond_clear (&piped->changed);
}

static void
check_bus (Piped *piped)
{
  g_autoptr (GstBus) bus = gst_element_get_bus (piped->pipeline);
  g_autoptr (GstMessage) message = gst_bus_pop_filtered (bus, GST_MESSAGE_ERROR);
  g_autoptr (GError) error = NULL;

  if (!message)
    return;
  gst_message_parse_error (message, &error, NULL);
  give_up ("int8infer", error);
}

/* n frames through the pipeline, all of which come out; the burst begins when the first that is no warm-up has. */
static void
piped_send (Piped *piped, guint n, guint warm_up)
{
  GstFlowReturn result;
  GstBuffer *buffer;

  g_mutex_lock (&piped->lock);
  piped->first_of_burst = piped->arrived + warm_up;
  piped->wanted += n;
  buffer = next_frame_locked (piped); /* the source has been told to wait: this wakes it */
  g_mutex_unlock (&piped->lock);
  g_signal_emit_by_name (piped->source, "push-buffer", buffer, &result);
  gst_buffer_unref (buffer);
  g_mutex_lock (&piped->lock);
  while (piped->arrived < piped->wanted) {
    g_cond_wait_until (&piped->changed, &piped->lock, g_get_monotonic_time () + G_USEC_PER_SEC);
    check_bus (piped);
  }
  g_mutex_unlock (&piped->lock);
}

/* The seconds of n frames, from one at the source pad to the one n later. */
static double
piped_run (Piped *piped, guint n)
{
  piped_send (piped, WARM_UP + n, WARM_UP - 1);
  return (double) (piped->last - piped->first) * 1e-6;
}

/* --- Numbers --------------------------------------------------------------------------------- */

static int
compare (const void *a, const void *b)
{
  const double x = *(const double *) a, y = *(const double *) b;

  return (x > y) - (x < y);
}

/* Sorts. */
static double
percentile (double *x, guint n, guint percent)
{
  qsort (x, n, sizeof *x, compare);
  return x[((n - 1) * percent + 50) / 100];
}

static void
print_ratios (const char *what, double *ratios, guint n)
{
  const double low = percentile (ratios, n, 25), high = percentile (ratios, n, 75);

  /* Of the median, were they normal: 1.25 times that of the mean. */
  const double error = 1.25 * (high - low) / 1.349 / sqrt (n);

  printf ("  %s: %.4f +- %.4f (middle half %.4f to %.4f)\n", what, percentile (ratios, n, 50),
      error, low, high);
}

/* How much longer the element takes for a frame than the engine, as a ratio. Bursts go in threes, engine,
 * element, engine, so that the engine is also compared with itself: what that is off 1 is noise. */
static double
throughput (Bare *bare, Piped *piped, double seconds)
{
  const double one = bare_run (bare, 16, WARM_UP) / 16;
  const guint n = (guint) MAX (4, BURST_SECONDS / one);
  const guint rounds = (guint) MAX (10, seconds / (3 * (WARM_UP + n) * one));
  g_autofree double *alone = g_new (double, rounds), *with = g_new (double, rounds),
                    *ratio = g_new (double, rounds), *control = g_new (double, rounds);

  for (guint i = 0; i < rounds; i++) {
    const double before = bare_run (bare, n, WARM_UP);
    double after;

    with[i] = piped_run (piped, n);
    after = bare_run (bare, n, WARM_UP);
    alone[i] = (before + after) / 2;
    ratio[i] = with[i] / alone[i];
    control[i] = after / before;
  }
  printf ("throughput: engine %.1f frames/s, int8infer %.1f\n", n / percentile (alone, rounds, 50),
      n / percentile (with, rounds, 50));
  print_ratios ("int8infer's time / the engine's", ratio, rounds);
  print_ratios ("the engine's / its own", control, rounds);
  return percentile (ratio, rounds, 50);
}

/* How much later a frame leaves the element than the engine, in ms. */
static double
latency (Bare *bare, Piped *piped)
{
  double alone[LATENCY_FRAMES], with[LATENCY_FRAMES], more[LATENCY_FRAMES];
  guint64 inside = 0, network = 0;
  GstStructure *stats = NULL;

  for (guint i = 0; i < LATENCY_FRAMES; i++) {
    g_usleep (GAP_MS * 1000);
    alone[i] = 1e3 * bare_run (bare, 1, 0);
    g_usleep (GAP_MS * 1000);
    piped_send (piped, 1, 0);
    with[i] = (double) (piped->left - piped->entered) * 1e-3;
    more[i] = with[i] - alone[i];
  }
  g_object_get (piped->infer, "stats", &stats, NULL);
  gst_structure_get (stats, "latency-p50", G_TYPE_UINT64, &inside, "inference-p50", G_TYPE_UINT64,
      &network, NULL);
  gst_structure_free (stats);
  const double middle = percentile (more, LATENCY_FRAMES, 50);

  printf (
      "latency: engine %.3f ms (p90 %.3f), int8infer %.3f ms (p90 %.3f); %.3f ms more: until a thread begins %.3f, "
      "preprocessing and network %.3f\n",
      percentile (alone, LATENCY_FRAMES, 50), percentile (alone, LATENCY_FRAMES, 90),
      percentile (with, LATENCY_FRAMES, 50), percentile (with, LATENCY_FRAMES, 90), middle,
      (double) (inside - network) * 1e-6, (double) network * 1e-6);
  return middle;
}

int
main (int argc, char **argv)
{
  const int threads = argc > 3 ? atoi (argv[3]) : 1;
  const int width = argc > 5 ? atoi (argv[4]) : 640, height = argc > 5 ? atoi (argv[5]) : 480;
  const double seconds = argc > 6 ? g_ascii_strtod (argv[6], NULL) : SECONDS;
  Frames frames = {0};
  Bare bare = {0};
  Piped piped;
  double cost, later;
  gboolean bad;

  gst_init (&argc, &argv);
  if (argc < 3 || threads < 0 || width < 1 || height < 1 || seconds <= 0) {
    fprintf (stderr, "usage: bench-own-cost MODEL TABLE [THREADS [WIDTH HEIGHT [SECONDS]]]\n");
    return 2;
  }
  make_frames (&frames, width, height);
  bare_init (&bare, &frames, argv[1], argv[2], threads);
  piped_init (&piped, &frames, argv[1], argv[2], threads);
  piped_run (&piped, 20);
  bare_start (&bare);
  bare_run (&bare, 20, 0);
  cost = throughput (&bare, &piped, seconds);
  later = latency (&bare, &piped);
  bad = cost > MOST_COST || later > MOST_LATENCY;
  printf ("%s, %d threads, %dx%d: %.1f %% of throughput, %.3f ms of latency: %s\n", argv[1],
      threads, width, height, 100 * (cost - 1), later, bad ? "NOT reached" : "reached");
  piped_clear (&piped);
  bare_clear (&bare);
  for (guint i = 0; i < N_FRAMES; i++)
    gst_buffer_unref (frames.frames[i]);
  gst_caps_unref (frames.caps);
  return bad;
}
