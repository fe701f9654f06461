/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * instance-load.c: the thread that makes networks. It begins with the first member, makes the first
 * network, and has every member post the error where it cannot. Then it waits for settings that change
 * while playing: it makes another network beside the one that runs, to be taken when no batch is under
 * way, and frees the old one then. Where the new one fails, a warning says why and the old one goes on.
 */
#include "gst/instance-private.h"
#include "gst/stages.h"

#define GST_CAT_DEFAULT gst_int8_infer_debug

static void
copy_settings (GstInt8Instance *instance, GstInt8NetworkSettings *settings)
{
  g_mutex_lock (&instance->lock);
  gst_int8_network_settings_copy (&instance->settings, settings);
  g_mutex_unlock (&instance->lock);
  settings->batch_size = instance->batch_size; /* lanes and queues are made for it */
}

/* The elements of the members, referenced. newcomers: only of those that have not heard of a network
 * yet; now they will. */
static GPtrArray *
get_elements (GstInt8Instance *instance, gboolean newcomers)
{
  GPtrArray *elements = g_ptr_array_new_with_free_func (gst_object_unref);

  g_mutex_lock (&instance->lock);
  for (guint i = 0; i < instance->members->len; i++) {
    GstInt8Member *member = instance->members->pdata[i];

    if (newcomers && member->announced)
      continue;
    member->announced = member->announced || newcomers;
    g_ptr_array_add (elements, gst_object_ref (member->element));
  }
  g_mutex_unlock (&instance->lock);
  return elements;
}

/* The element that posts progress and warnings, referenced, or NULL when all are leaving. */
static GstElement *
get_speaker (GstInt8Instance *instance)
{
  g_autoptr (GPtrArray) elements = get_elements (instance, FALSE);

  return elements->len ? gst_object_ref (elements->pdata[0]) : NULL;
}

static void
post_network (GstInt8Instance *instance, const GstInt8Network *network, gboolean newcomers)
{
  g_autoptr (GPtrArray) elements = get_elements (instance, newcomers);

  for (guint i = 0; i < elements->len; i++)
    gst_int8_network_post (elements->pdata[i], network, instance->devices, instance->n_devices);
}

static const char *
hint_for (const GError *error)
{
  return g_error_matches (error, ENGINE_ERROR, ENGINE_ERROR_MISMATCH)
             ? "int8calib makes a table for this model with the same preprocessing properties; "
               "force-table=true uses this one all the same"
             : NULL;
}

/* What comes now is as the settings are now. Returns a reference. */
static GCancellable *
begin_load (GstInt8Instance *instance, gboolean *first)
{
  GstInt8Network *withdrawn;
  GCancellable *cancellable = g_cancellable_new ();

  g_mutex_lock (&instance->lock);
  instance->reload = FALSE;
  withdrawn = g_steal_pointer (&instance->next);
  *first = instance->network == NULL;
  g_clear_object (&instance->cancellable);
  instance->cancellable = g_object_ref (cancellable);
  if (instance->stopping)
    g_cancellable_cancel (cancellable);
  g_mutex_unlock (&instance->lock);
  gst_int8_network_free (withdrawn);
  return cancellable;
}

static GstInt8Network *
load (GstInt8Instance *instance, GstElement *speaker, GCancellable *cancellable, GError **error)
{
  g_auto (GstInt8NetworkSettings) settings = {0};

  copy_settings (instance, &settings);
  if (!speaker) {
    g_set_error_literal (error, G_IO_ERROR, G_IO_ERROR_CANCELLED, "nobody wants it any more");
    return NULL;
  }
  return gst_int8_network_settings_check (&settings, error)
             ? gst_int8_network_new (speaker, &settings, instance->devices, instance->n_devices,
                   cancellable, error)
             : NULL;
}

static void
post_failure (GstInt8Instance *instance, gboolean first, const GError *error)
{
  g_autoptr (GPtrArray) elements = get_elements (instance, FALSE);
  g_autofree char *text = g_strdup_printf (
      "the engine in use goes on, because the new settings cannot be had: %s", error->message);

  for (guint i = 0; i < elements->len; i++)
    if (first)
      gst_int8_config_post_error (elements->pdata[i], error, hint_for (error));
    else
      gst_int8_config_post_warning (elements->pdata[i], error, text, hint_for (error));
}

/* Returns FALSE where there is no network now. */
static gboolean
take_failure (GstInt8Instance *instance, gboolean first, const GError *error)
{
  gboolean outdated;

  g_mutex_lock (&instance->lock);
  outdated = instance->stopping || instance->reload;
  if (first && !outdated)
    instance->load_state = GST_INT8_LOAD_FAILING;
  g_mutex_unlock (&instance->lock);
  if (outdated) {
    GST_DEBUG ("loading was given up: %s", error->message);
    return TRUE;
  }
  post_failure (instance, first, error);
  if (!first)
    return TRUE;
  g_mutex_lock (&instance->lock);
  instance->load_state = GST_INT8_LOAD_FAILED;
  gst_int8_instance_wake_all_locked (instance);
  g_mutex_unlock (&instance->lock);
  return FALSE;
}

static void
take_success (GstInt8Instance *instance, gboolean first, GstInt8Network *network)
{
  if (first)
    post_network (instance, network, TRUE);
  g_mutex_lock (&instance->lock);
  gst_int8_instance_set_speaker_locked (instance, network);
  if (first) {
    instance->network = network;
    instance->load_state = GST_INT8_LOAD_READY;
    gst_int8_instance_wake_all_locked (instance);
  } else {
    network->swapped = TRUE;
    instance->next = network;
    gst_int8_instance_exchange_locked (instance);
  }
  g_mutex_unlock (&instance->lock);
}

static gboolean
load_once (GstInt8Instance *instance)
{
  gboolean first, ok = TRUE;
  g_autoptr (GCancellable) cancellable = begin_load (instance, &first);
  /* Until the network is among those that a leaving member looks after. */
  g_autoptr (GstElement) speaker = get_speaker (instance);
  g_autoptr (GError) error = NULL;
  GstInt8Network *network;
  GstInt8Stage stage;

  GST_INT8_STAGE_BEGIN (&stage, "load");
  network = load (instance, speaker, cancellable, &error);
  gst_int8_stage_end (&stage, instance->devices[0].backend->name, 0);
  if (network)
    take_success (instance, first, network);
  else
    ok = take_failure (instance, first, error);
  return ok;
}

/* The new network has been taken. */
static void
end_exchange (GstInt8Instance *instance, GstInt8Network *retired)
{
  post_network (instance, instance->network, FALSE); /* it stays while `next` is not set */
  gst_int8_network_free (retired);
}

/* What there is to do beside making networks: to tell who came later, and of an exchange. lock held, given
 * back in between */
static gboolean
tidy_locked (GstInt8Instance *instance)
{
  GstInt8Network *retired = g_steal_pointer (&instance->retired);
  const GstInt8Network *network = instance->network; /* freed by this thread only */
  gboolean newcomers = FALSE;

  for (guint i = 0; network && i < instance->members->len; i++)
    newcomers = newcomers || !((GstInt8Member *) instance->members->pdata[i])->announced;
  if (!retired && !newcomers)
    return FALSE;
  g_mutex_unlock (&instance->lock);
  if (newcomers)
    post_network (instance, network, TRUE);
  if (retired)
    end_exchange (instance, retired);
  g_mutex_lock (&instance->lock);
  return TRUE;
}

/* Waits until settings have changed. FALSE: it is time to stop. */
static gboolean
wait_for_change (GstInt8Instance *instance)
{
  gboolean go_on;

  g_mutex_lock (&instance->lock);
  while (!instance->stopping) {
    if (tidy_locked (instance))
      continue;
    if (instance->reload)
      break;
    g_cond_wait (&instance->load_changed, &instance->lock);
  }
  go_on = !instance->stopping;
  g_mutex_unlock (&instance->lock);
  return go_on;
}

static gpointer
load_thread (gpointer data)
{
  GstInt8Instance *instance = data;

  while (load_once (instance) && wait_for_change (instance))
    ;
  return NULL;
}

/* --- From other threads ---------------------------------------------------------------------- */

void
gst_int8_instance_load_start (GstInt8Instance *instance)
{
  g_mutex_lock (&instance->lock);
  instance->load_state = GST_INT8_LOAD_BUSY;
  instance->loader = g_thread_new ("int8infer-load", load_thread, instance);
  g_mutex_unlock (&instance->lock);
}

void
gst_int8_instance_load_tell (GstInt8Instance *instance)
{
  g_mutex_lock (&instance->lock);
  g_cond_signal (&instance->load_changed);
  g_mutex_unlock (&instance->lock);
}

/* Has the loader look again, or stop: whatever it is making is not wanted any more. */
static void
interrupt (GstInt8Instance *instance, gboolean stop)
{
  g_autoptr (GCancellable) cancellable = NULL;

  g_mutex_lock (&instance->lock);
  instance->stopping = instance->stopping || stop;
  instance->reload = instance->loader && !stop;
  if (instance->cancellable)
    cancellable = g_object_ref (instance->cancellable);
  g_cond_signal (&instance->load_changed);
  g_mutex_unlock (&instance->lock);
  if (cancellable)
    g_cancellable_cancel (cancellable);
}

void
gst_int8_instance_load_again (GstInt8Instance *instance)
{
  interrupt (instance, FALSE);
}

void
gst_int8_instance_load_cancel (GstInt8Instance *instance)
{
  interrupt (instance, TRUE);
}

void
gst_int8_instance_load_join (GstInt8Instance *instance)
{
  /* Nobody else has the instance any more. */
  if (!instance->loader)
    return;
  g_thread_join (g_steal_pointer (&instance->loader));
  g_clear_object (&instance->cancellable);
  g_clear_pointer (&instance->network, gst_int8_network_free);
  g_clear_pointer (&instance->next, gst_int8_network_free);
  g_clear_pointer (&instance->retired, gst_int8_network_free);
}
