/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* instance-batch.c: pictures into batches, and batches through the network. */
#include "gst/instance-private.h"
#include "gst/stages.h"

#include <string.h>

#define GST_CAT_DEFAULT gst_int8_infer_debug

/* --- Lanes, lock held ------------------------------------------------------------------------ */

/* Batches that a device has under way. */
static guint
load_of_locked (const GstInt8Instance *instance, guint device)
{
  guint n = 0;

  for (guint i = 0; i < instance->n_lanes; i++)
    n += instance->lanes[i].device == device && instance->lanes[i].state != GST_INT8_LANE_FREE;
  return n;
}

/* Where a batch goes that begins now, or NULL. */
static GstInt8Lane *
find_free_lane_locked (GstInt8Instance *instance)
{
  guint least = G_MAXUINT;
  GstInt8Lane *best = NULL;

  for (guint i = 0; i < instance->n_lanes; i++) {
    GstInt8Lane *lane = &instance->lanes[i];
    guint load;

    if (lane->state != GST_INT8_LANE_FREE)
      continue;
    load = load_of_locked (instance, lane->device);
    if (load < least || (load == least && lane->number < best->number)) {
      least = load;
      best = lane;
    }
  }
  return best;
}

/* What runs on the caller's thread has run: such a batch has nothing left to wait for. */
static gboolean
is_over (const GstInt8Instance *instance, const GstInt8Lane *lane)
{
  return instance->devices[lane->device].backend->host_memory;
}

/* The batch to wait for, or NULL: one that is over, else the oldest. */
static GstInt8Lane *
find_running_lane_locked (GstInt8Instance *instance)
{
  GstInt8Lane *best = NULL;

  for (guint i = 0; i < instance->n_lanes; i++) {
    GstInt8Lane *lane = &instance->lanes[i];

    if (lane->state == GST_INT8_LANE_RUNNING &&
        (!best || is_over (instance, lane) > is_over (instance, best) ||
            (is_over (instance, lane) == is_over (instance, best) && lane->number < best->number)))
      best = lane;
  }
  return best;
}

/* When the first batch has to begin: 0 at once, G_MAXINT64 never. */
static gint64
next_due_locked (GstInt8Instance *instance)
{
  gint64 due = G_MAXINT64;

  if (instance->n_queued >= instance->batch_size)
    return 0;
  for (GList *l = instance->active.head; l; l = l->next) {
    GstInt8Member *member = l->data;
    const GstInt8Job *job = *(GstInt8Job **) gst_queue_array_peek_head_struct (member->jobs);

    due = MIN (due, job->due);
  }
  return due;
}

/* A place for a batch that is due, or NULL. */
static GstInt8Lane *
lane_to_start_locked (GstInt8Instance *instance)
{
  GstInt8Lane *lane;
  gint64 due;

  if (instance->n_queued == 0 || !instance->network || instance->next)
    return NULL;
  lane = find_free_lane_locked (instance);
  if (!lane)
    return NULL;
  due = next_due_locked (instance);
  return due == 0 || due <= g_get_monotonic_time () ? lane : NULL;
}

void
gst_int8_instance_exchange_locked (GstInt8Instance *instance)
{
  if (!instance->next || instance->retired)
    return;
  for (guint i = 0; i < instance->n_lanes; i++)
    if (instance->lanes[i].state != GST_INT8_LANE_FREE)
      return;
  instance->retired = instance->network;
  instance->network = g_steal_pointer (&instance->next);
  g_cond_signal (&instance->load_changed);
  gst_int8_instance_pass_on_locked (instance);
}

/* --- Batches --------------------------------------------------------------------------------- */

/* The next picture of the member whose turn it is. */
static void
take_picture_locked (GstInt8Instance *instance, GstInt8Lane *lane)
{
  GstInt8Member *member = instance->active.head->data;
  GstInt8Job *job = *(GstInt8Job **) gst_queue_array_peek_head_struct (member->jobs);

  if (job->n_taken == 0) {
    job->begun = g_get_monotonic_time ();
    job->labels = gst_int8_labels_ref (instance->network->labels);
    job->model_name = instance->network->model_name;
  }
  lane->items[lane->n_items++] = (GstInt8BatchItem){member, job, job->n_taken++};
  member->n_under_way++;
  instance->n_queued--;
  if (job->n_taken == job->n_pictures)
    gst_queue_array_pop_head_struct (member->jobs);
  /* Behind all others. */
  gst_int8_member_set_active_locked (member, FALSE);
  gst_int8_member_set_active_locked (member, !gst_queue_array_is_empty (member->jobs));
}

static void
end_item_locked (const GstInt8BatchItem *item, const GError *error)
{
  GstInt8Job *job = item->job;

  if (error && !job->error)
    job->error = g_error_copy (error);
  job->n_ended++;
  item->member->n_under_way--;
  job->finished = g_get_monotonic_time ();
  g_cond_signal (&item->member->changed);
}

/* All that are left in the lane, which is free then. lock held */
static void
end_batch_locked (GstInt8Instance *instance, GstInt8Lane *lane, const GError *error)
{
  for (guint i = 0; i < lane->n_items; i++)
    end_item_locked (&lane->items[i], error);
  if (!error)
    instance->n_pictures[lane->device] += lane->n_items;
  lane->n_items = 0;
  lane->state = GST_INT8_LANE_FREE;
  gst_int8_instance_exchange_locked (instance);
}

/* Hands the pictures to the runner; one that cannot be read ends here, alone. */
static void
add_pictures (GstInt8Instance *instance, GstInt8Lane *lane, GstInt8Runner *runner)
{
  guint n = 0;

  for (guint i = 0; i < lane->n_items; i++) {
    const GstInt8BatchItem item = lane->items[i];
    const EngineRect *region = &item.job->pictures[item.picture].region;
    g_autoptr (GError) error = NULL;

    if (gst_int8_runner_add (runner, item.job->format, item.job->buffer,
            region->width ? region : NULL, &error)) {
      lane->items[n++] = item;
    } else {
      g_mutex_lock (&instance->lock);
      end_item_locked (&item, error);
      g_mutex_unlock (&instance->lock);
    }
  }
  lane->n_items = n;
}

/* While a device works on them. */
static void
show_to_guard (GstInt8Instance *instance, const GstInt8Lane *lane, GstInt8Guard *guard)
{
  if (!guard || !g_mutex_trylock (&instance->guard_lock))
    return;
  for (guint i = 0; i < lane->n_items; i++) {
    const GstInt8Job *job = lane->items[i].job;
    const EngineRect *region = &job->pictures[lane->items[i].picture].region;

    gst_int8_guard_frame (guard, job->format, job->buffer, region->width ? region : NULL);
  }
  g_mutex_unlock (&instance->guard_lock);
}

/* Of several devices an error says whose it is. */
static void
name_device (const GstInt8Instance *instance, const GstInt8Lane *lane, GError **error)
{
  g_autofree char *name = NULL;

  if (!*error || instance->n_devices < 2)
    return;
  name = gst_int8_device_name (&instance->devices[lane->device]);
  g_prefix_error (error, "device %s (number %u of %u): ", name, lane->device + 1,
      instance->n_devices);
}

/* Begins a batch with what is queued. lock held, given back in between */
static void
start_batch_locked (GstInt8Instance *instance, GstInt8Lane *lane)
{
  GstInt8Network *network = instance->network; /* stays while a lane is not free */
  GstInt8Runner *runner = network->runners[lane->runner];
  const char *device = instance->devices[lane->device].backend->name;
  GstInt8Stage batch, stage;
  g_autoptr (GError) error = NULL;
  gboolean started;

  lane->state = GST_INT8_LANE_STARTING;
  while (lane->n_items < instance->batch_size && instance->n_queued > 0)
    take_picture_locked (instance, lane);
  g_mutex_unlock (&instance->lock);
  GST_INT8_STAGE_BEGIN (&batch, "batch");
  GST_INT8_STAGE_BEGIN (&stage, "preprocess");
  add_pictures (instance, lane, runner);
  gst_int8_stage_end (&stage, device, lane->n_items);
  GST_INT8_STAGE_BEGIN (&stage, "run");
  started = lane->n_items > 0 && gst_int8_runner_start (runner, &error);
  gst_int8_stage_end (&stage, device, lane->n_items);
  if (started)
    show_to_guard (instance, lane, network->guard);
  gst_int8_stage_end (&batch, device, lane->n_items);
  g_mutex_lock (&instance->lock);
  for (guint i = 0; i < lane->n_items; i++)
    lane->items[i].job->batch = lane->n_items;
  if (started) {
    lane->number = ++instance->n_begun;
    lane->state = GST_INT8_LANE_RUNNING;
  } else {
    name_device (instance, lane, &error);
    end_batch_locked (instance, lane, error);
  }
}

static void
classify (const GstInt8BatchItem *item, guint at, GstInt8Runner *runner)
{
  const GstInt8Job *job = item->job;
  GstInt8Picture *picture = &job->pictures[item->picture];
  const GstInt8Class *best;

  picture->n_classes =
      gst_int8_runner_classify (runner, at, job->top_k, job->threshold, job->softmax, &best);
  memcpy (picture->classes, best, picture->n_classes * sizeof *best);
  if (job->wants_output)
    gst_int8_runner_output (runner, at, &picture->output);
}

/* Waits for a batch and hands out its results. lock held, given back in between */
static void
finish_batch_locked (GstInt8Instance *instance, GstInt8Lane *lane)
{
  GstInt8Runner *runner = instance->network->runners[lane->runner];
  g_autoptr (GError) error = NULL;
  GstInt8Stage stage;

  lane->state = GST_INT8_LANE_ENDING;
  g_mutex_unlock (&instance->lock);
  GST_INT8_STAGE_BEGIN (&stage, "wait");
  if (gst_int8_runner_wait (runner, &error))
    for (guint i = 0; i < lane->n_items; i++)
      classify (&lane->items[i], i, runner);
  gst_int8_stage_end (&stage, instance->devices[lane->device].backend->name, lane->n_items);
  g_mutex_lock (&instance->lock);
  name_device (instance, lane, &error);
  end_batch_locked (instance, lane, error);
}

/* --- Who works -------------------------------------------------------------------------------- */

gboolean
gst_int8_instance_has_work_locked (GstInt8Instance *instance)
{
  return lane_to_start_locked (instance) || find_running_lane_locked (instance);
}

gboolean
gst_int8_instance_work_locked (GstInt8Instance *instance, gboolean may_start)
{
  GstInt8Lane *running = find_running_lane_locked (instance);
  GstInt8Lane *lane = may_start && !(running && is_over (instance, running))
                          ? lane_to_start_locked (instance)
                          : NULL;

  if (lane)
    start_batch_locked (instance, lane);
  else if (running)
    finish_batch_locked (instance, running);
  return lane || running;
}
