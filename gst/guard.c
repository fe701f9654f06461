/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * guard.c: the thread that examines frames.
 *
 * The guard belongs to two: the network that it watches, until stop(), and its thread. A frame takes
 * as long as two networks on one slow thread, and a state change does not wait for that: the thread
 * ends by itself and frees the guard. From stop() on it posts nothing.
 *
 * Where others want all CPUs the thread may be taken off its CPU for a second, with the lock: the
 * streaming thread never waits for the lock, but tries again with its next frame.
 */
#include "gst/guard.h"

#include <errno.h>
#include <sched.h>
#include <sys/resource.h>

GST_DEBUG_CATEGORY_EXTERN (gst_int8_infer_debug);
#define GST_CAT_DEFAULT gst_int8_infer_debug

#define LEAST_PRIORITY 19

typedef enum {
  PREPARING, /* the thread is making the comparison */
  IDLE,      /* its input is the streaming thread's */
  FULL,      /* its input is the thread's */
  OFF        /* failed, and said so */
} State;

struct _GstInt8Guard {
  gatomicrefcount references;
  Engine *engine;
  char *model, *proto, *shape;
  EnginePreprocess preprocess;
  GstInt8GuardSettings settings;
  char *backend_name;
  GCancellable *cancellable;

  /* made by the thread before IDLE */
  KernelBackend *backend;
  EngineComparison *comparison;
  EnginePreprocessor *preprocessor;
  KernelQueue *queue;

  GMutex lock;
  GCond changed;
  /* lock */
  State state;
  GstElement *element; /* NULL: stopped */
  guint64 examined, missed;
  GstInt8DriftVerdict verdict;

  /* the streaming thread's */
  guint64 seen;
  guint64 passed; /* missed, and not counted yet */
  gboolean taken; /* a frame is in the input, and the state not yet FULL */

  /* the thread's */
  GstInt8Drift *drift;
  guint quiet; /* frames until a message may come again */
};

GstInt8Guard *
gst_int8_guard_ref (GstInt8Guard *guard)
{
  g_atomic_ref_count_inc (&guard->references);
  return guard;
}

void
gst_int8_guard_unref (GstInt8Guard *guard)
{
  if (!g_atomic_ref_count_dec (&guard->references))
    return;
  gst_int8_drift_free (guard->drift);
  engine_preprocessor_free (guard->preprocessor);
  if (guard->queue)
    guard->backend->queue_free (guard->queue);
  engine_comparison_free (guard->comparison);
  engine_backend_close (guard->backend);
  engine_unref (guard->engine);
  g_object_unref (guard->cancellable);
  g_mutex_clear (&guard->lock);
  g_cond_clear (&guard->changed);
  g_free (guard->backend_name);
  g_free (guard->model);
  g_free (guard->proto);
  g_free (guard->shape);
  g_free (guard);
}

/* A reference, or NULL once the guard is stopped. */
static GstElement *
get_element (GstInt8Guard *guard)
{
  GstElement *element;

  g_mutex_lock (&guard->lock);
  element = guard->element ? gst_object_ref (guard->element) : NULL;
  g_mutex_unlock (&guard->lock);
  return element;
}

static void
fail (GstInt8Guard *guard, const GError *error)
{
  GstElement *element = get_element (guard);

  g_mutex_lock (&guard->lock);
  guard->state = OFF;
  g_cond_signal (&guard->changed);
  g_mutex_unlock (&guard->lock);
  if (!element)
    return;
  GST_ELEMENT_WARNING (element, LIBRARY, FAILED, ("the drift guard is off: %s", error->message),
      ("frames are classified all the same; setting drift-interval again tries once more"));
  gst_object_unref (element);
}

/* --- The thread ------------------------------------------------------------------------------ */

/* What it examines is wanted, but never instead of a frame: with all CPUs busy it has a share of 0.3 % of
 * one (SCHED_IDLE), or 1.5 %. */
static void
lower_priority (void)
{
#ifdef __linux__ /* where both are of the calling thread */
  const struct sched_param none = {0};

  if (sched_setscheduler (0, SCHED_IDLE, &none) != 0 &&
      setpriority (PRIO_PROCESS, 0, LEAST_PRIORITY) != 0)
    GST_WARNING ("the drift guard runs at normal priority: %s", g_strerror (errno));
#endif
}

static gboolean
make_preprocessor (GstInt8Guard *guard, GError **error)
{
  EngineInputInfo input;

  engine_input (guard->engine, &input);
  guard->preprocessor = engine_preprocessor_new (&guard->preprocess, input.channels, input.height,
      input.width, ENGINE_TYPE_F32, 1, 0, guard->backend, error);
  guard->queue = guard->backend->queue_new (guard->backend, 1);
  if (guard->preprocessor && !guard->queue)
    g_set_error (error, ENGINE_ERROR, ENGINE_ERROR_MEMORY, "no memory for a queue");
  return guard->preprocessor && guard->queue;
}

static gboolean
prepare (GstInt8Guard *guard, GError **error)
{
  const EngineRequest request = {.model = guard->model,
      .model_options = {.proto = guard->proto, .shape = guard->shape},
      .precision = ENGINE_PRECISION_FP32,
      .preprocess = &guard->preprocess};
  const EngineCompareOptions options = {.preprocess = &guard->preprocess,
      .clips_only = TRUE,
      .threads = 1};
  g_autoptr (Engine) exact = NULL;

  guard->backend = engine_backend_open (guard->backend_name, error);
  if (!guard->backend)
    return FALSE;
  exact = engine_obtain (&request, NULL, NULL, NULL, NULL, guard->cancellable, error);
  if (!exact || g_cancellable_set_error_if_cancelled (guard->cancellable, error))
    return FALSE;
  guard->comparison = engine_comparison_new (exact, guard->engine, guard->backend, &options, error);
  if (!guard->comparison)
    return FALSE;
  guard->drift = gst_int8_drift_new (guard->comparison, &guard->settings.limits);
  return make_preprocessor (guard, error);
}

/* Says what there is to say; one frame has been added. */
static void
report (GstInt8Guard *guard, guint64 examined, guint64 missed, const GstInt8DriftVerdict *verdict)
{
  GstElement *element = get_element (guard);
  GstStructure *fields;

  if (!element)
    return;
  GST_INFO_OBJECT (element,
      "drift: %" G_GUINT64_FORMAT " frames examined, %" G_GUINT64_FORMAT " missed; the last %u: "
      "agreement %.3f, logit SQNR %.1f dB, most clipped %s with %.2g",
      examined, missed, verdict->frames, verdict->agreement, verdict->sqnr, verdict->tensor,
      verdict->clip);
  if ((verdict->clips || verdict->disagrees) && guard->quiet == 0) {
    fields = gst_int8_drift_to_structure (guard->drift);
    gst_structure_set (fields, "examined", G_TYPE_UINT64, examined, "missed", G_TYPE_UINT64, missed,
        NULL);
    GST_WARNING_OBJECT (element, "%s", gst_structure_get_string (fields, "text"));
    gst_element_post_message (element, gst_message_new_element (GST_OBJECT (element), fields));
    guard->quiet = guard->settings.limits.window;
  }
  gst_object_unref (element);
}

static gboolean
examine (GstInt8Guard *guard, GError **error)
{
  GstInt8DriftVerdict verdict;
  guint64 examined, missed;

  engine_comparison_reset (guard->comparison);
  if (!engine_comparison_push (guard->comparison, error))
    return FALSE;
  gst_int8_drift_add (guard->drift, guard->comparison);
  gst_int8_drift_verdict (guard->drift, &verdict);
  guard->quiet -= guard->quiet > 0;

  g_mutex_lock (&guard->lock);
  examined = ++guard->examined;
  missed = guard->missed;
  guard->verdict = verdict;
  guard->state = IDLE;
  g_mutex_unlock (&guard->lock);
  report (guard, examined, missed, &verdict);
  return TRUE;
}

/* FALSE: stopped, or off. */
static gboolean
wait_for_frame (GstInt8Guard *guard)
{
  gboolean full;

  g_mutex_lock (&guard->lock);
  while (guard->element && guard->state == IDLE)
    g_cond_wait (&guard->changed, &guard->lock);
  full = guard->element && guard->state == FULL;
  g_mutex_unlock (&guard->lock);
  return full;
}

static gpointer
guard_thread (gpointer data)
{
  GstInt8Guard *guard = data;
  g_autoptr (GError) error = NULL;
  gboolean ok;

  lower_priority ();
  ok = prepare (guard, &error);
  if (ok) {
    g_mutex_lock (&guard->lock);
    guard->state = IDLE;
    g_mutex_unlock (&guard->lock);
  }
  while (ok && wait_for_frame (guard))
    ok = examine (guard, &error);
  if (!ok)
    fail (guard, error);
  gst_int8_guard_unref (guard);
  return NULL;
}

/* --- From other threads ---------------------------------------------------------------------- */

GstInt8Guard *
gst_int8_guard_new (GstElement *element, Engine *engine, const char *model,
    const EngineModelOptions *options, const EnginePreprocess *preprocess, const KernelBackend *backend,
    const GstInt8GuardSettings *settings)
{
  GstInt8Guard *guard = g_new0 (GstInt8Guard, 1);

  g_atomic_ref_count_init (&guard->references);
  g_atomic_ref_count_inc (&guard->references); /* the thread's */
  g_mutex_init (&guard->lock);
  g_cond_init (&guard->changed);
  guard->element = element;
  guard->engine = engine_ref (engine);
  guard->model = g_strdup (model);
  guard->proto = g_strdup (options->proto);
  guard->shape = g_strdup (options->shape);
  guard->preprocess = *preprocess;
  guard->settings = *settings;
  guard->backend_name = g_strdup (backend->host_memory ? backend->name : "cpu");
  guard->cancellable = g_cancellable_new ();
  guard->verdict.tensor = "";
  g_thread_unref (g_thread_new ("int8infer-guard", guard_thread, guard));
  return guard;
}

void
gst_int8_guard_stop (GstInt8Guard *guard)
{
  if (!guard)
    return;
  g_mutex_lock (&guard->lock);
  guard->element = NULL;
  g_cond_signal (&guard->changed);
  g_mutex_unlock (&guard->lock);
  g_cancellable_cancel (guard->cancellable);
  gst_int8_guard_unref (guard);
}

void
gst_int8_guard_set_element (GstInt8Guard *guard, GstElement *element)
{
  g_mutex_lock (&guard->lock);
  guard->element = element;
  g_mutex_unlock (&guard->lock);
}

/* The picture as the FP32 network takes it. */
static gboolean
take (GstInt8Guard *guard, const GstInt8FrameFormat *format, GstBuffer *buffer,
    const EngineRect *region, GError **error)
{
  GstInt8Frame frame;
  const char *why;
  gboolean ok;

  if (!gst_int8_frame_map (&frame, format, buffer, NULL, error))
    return FALSE;
  if (region) {
    frame.crop = *region;
    frame.has_crop = TRUE;
  }
  ok = gst_int8_frame_preprocess (&frame, guard->preprocessor, guard->queue,
      engine_comparison_input (guard->comparison), error);
  why = guard->backend->queue_wait (guard->queue);
  gst_int8_frame_unmap (&frame);
  if (ok && why) {
    g_set_error (error, ENGINE_ERROR, ENGINE_ERROR_BACKEND, "preprocessing failed: %s", why);
    return FALSE;
  }
  return ok;
}

/* lock held */
static void
count_passed_locked (GstInt8Guard *guard)
{
  guard->missed += guard->passed;
  guard->passed = 0;
}

/* Has the thread examine what was taken. */
static void
hand_over (GstInt8Guard *guard)
{
  if (!g_mutex_trylock (&guard->lock))
    return;
  count_passed_locked (guard);
  guard->state = FULL;
  guard->taken = FALSE;
  g_cond_signal (&guard->changed);
  g_mutex_unlock (&guard->lock);
}

/* Whether the input is the streaming thread's; else the frame is passed by. */
static gboolean
may_take (GstInt8Guard *guard)
{
  gboolean idle = FALSE;

  guard->passed++;
  if (guard->taken || !g_mutex_trylock (&guard->lock))
    return FALSE;
  idle = guard->state == IDLE;
  if (idle || guard->state == OFF)
    guard->passed--;
  count_passed_locked (guard);
  g_mutex_unlock (&guard->lock);
  return idle;
}

void
gst_int8_guard_frame (GstInt8Guard *guard, const GstInt8FrameFormat *format, GstBuffer *buffer,
    const EngineRect *region)
{
  g_autoptr (GError) error = NULL;

  if (guard->taken)
    hand_over (guard);
  if (++guard->seen % guard->settings.interval != 0 || !may_take (guard))
    return;
  guard->taken = take (guard, format, buffer, region, &error);
  if (guard->taken)
    hand_over (guard);
  else
    fail (guard, error);
}

void
gst_int8_guard_add_stats (GstInt8Guard *guard, GstStructure *stats)
{
  GstInt8DriftVerdict verdict;
  guint64 examined, missed;

  g_mutex_lock (&guard->lock);
  examined = guard->examined;
  missed = guard->missed;
  verdict = guard->verdict;
  g_mutex_unlock (&guard->lock);
  gst_structure_set (stats, "drift-examined", G_TYPE_UINT64, examined, "drift-missed",
      G_TYPE_UINT64, missed, NULL);
  if (examined > 0)
    gst_structure_set (stats, "drift-agreement", G_TYPE_DOUBLE, verdict.agreement,
        "drift-logit-sqnr", G_TYPE_DOUBLE, verdict.sqnr, "drift-clip", G_TYPE_DOUBLE, verdict.clip,
        "drift-tensor", G_TYPE_STRING, verdict.tensor, NULL);
}
