/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * gstint8infer-load.c: the thread that makes networks. It begins with READY→PAUSED, makes the first
 * network, and posts the one error where it cannot. Then it waits for settings that change while
 * playing: it makes another network beside the one that runs and leaves it to the task, which takes
 * it between two batches and leaves the old one here, to be freed. Where the new one fails, a warning
 * says why and the old one goes on.
 */
#include "gst/gstint8infer-private.h"

#define GST_CAT_DEFAULT gst_int8_infer_debug

static void
copy_settings (GstInt8Infer *self, GstInt8InferSettings *settings)
{
  GST_OBJECT_LOCK (self);
  gst_int8_infer_settings_copy (&self->settings, settings);
  GST_OBJECT_UNLOCK (self);
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
begin_load (GstInt8Infer *self, gboolean *first)
{
  GstInt8Network *withdrawn;
  GCancellable *cancellable = g_cancellable_new ();

  g_mutex_lock (&self->lock);
  self->reload = FALSE;
  withdrawn = g_steal_pointer (&self->next);
  *first = self->network == NULL;
  g_clear_object (&self->cancellable);
  self->cancellable = g_object_ref (cancellable);
  if (self->stopping)
    g_cancellable_cancel (cancellable);
  g_mutex_unlock (&self->lock);
  gst_int8_infer_network_free (withdrawn);
  return cancellable;
}

static GstInt8Network *
load (GstInt8Infer *self, gboolean first, GCancellable *cancellable, GError **error)
{
  g_auto (GstInt8InferSettings) settings = {0};

  copy_settings (self, &settings);
  settings.batch_size = self->batch_size; /* the queue is made for it */
  if (!first)
    GST_INFO_OBJECT (self, "another network is made beside the one that runs");
  return gst_int8_infer_settings_check (&settings, error)
             ? gst_int8_infer_network_new (self, &settings, cancellable, error)
             : NULL;
}

/* Returns FALSE where there is no network now. */
static gboolean
take_failure (GstInt8Infer *self, gboolean first, const GError *error)
{
  g_autofree char *text = NULL;
  gboolean outdated;

  g_mutex_lock (&self->lock);
  outdated = self->stopping || self->reload;
  g_mutex_unlock (&self->lock);
  if (outdated) {
    GST_DEBUG_OBJECT (self, "loading was given up: %s", error->message);
    return TRUE;
  }
  if (!first) {
    text = g_strdup_printf ("the engine in use goes on, because the new settings cannot be had: %s",
        error->message);
    gst_int8_config_post_warning (GST_ELEMENT (self), error, text, hint_for (error));
    return TRUE;
  }
  gst_int8_config_post_error (GST_ELEMENT (self), error, hint_for (error));
  g_mutex_lock (&self->lock);
  self->load_state = GST_INT8_LOAD_FAILED;
  self->error_posted = TRUE;
  g_cond_broadcast (&self->changed);
  g_mutex_unlock (&self->lock);
  return FALSE;
}

static void
take_success (GstInt8Infer *self, gboolean first, GstInt8Network *network)
{
  if (first)
    gst_int8_infer_network_post (self, network);
  g_mutex_lock (&self->lock);
  if (first) {
    self->network = network;
    self->load_state = GST_INT8_LOAD_READY;
  } else {
    network->swapped = TRUE;
    self->next = network;
  }
  g_cond_broadcast (&self->changed);
  g_mutex_unlock (&self->lock);
}

static gboolean
load_once (GstInt8Infer *self)
{
  gboolean first, ok = TRUE;
  g_autoptr (GCancellable) cancellable = begin_load (self, &first);
  g_autoptr (GError) error = NULL;
  GstInt8Network *network = load (self, first, cancellable, &error);

  if (network)
    take_success (self, first, network);
  else
    ok = take_failure (self, first, error);
  return ok;
}

/* The task has taken the new network. lock held, given back in between */
static void
end_exchange_locked (GstInt8Infer *self)
{
  GstInt8Network *retired = g_steal_pointer (&self->retired);
  const GstInt8Network *network = self->network; /* stays, while `next` is not set */

  g_mutex_unlock (&self->lock);
  gst_int8_infer_network_post (self, network);
  gst_int8_infer_network_free (retired);
  g_mutex_lock (&self->lock);
}

/* Waits until settings have changed. FALSE: it is time to stop. */
static gboolean
wait_for_change (GstInt8Infer *self)
{
  gboolean go_on;

  g_mutex_lock (&self->lock);
  while (!self->stopping && (self->retired || !self->reload)) {
    if (self->retired)
      end_exchange_locked (self);
    else
      g_cond_wait (&self->load_changed, &self->lock);
  }
  go_on = !self->stopping;
  g_mutex_unlock (&self->lock);
  return go_on;
}

static gpointer
load_thread (gpointer data)
{
  GstInt8Infer *self = data;

  while (load_once (self) && wait_for_change (self))
    ;
  return NULL;
}

/* --- From other threads ---------------------------------------------------------------------- */

gboolean
gst_int8_infer_load_start (GstInt8Infer *self)
{
  g_auto (GstInt8InferSettings) settings = {0};
  g_autoptr (GError) error = NULL;

  copy_settings (self, &settings);
  if (!gst_int8_infer_settings_check (&settings, &error)) {
    gst_int8_config_post_error (GST_ELEMENT (self), error, NULL);
    return FALSE;
  }

  self->n_batches = self->backend->host_memory ? 1 : GST_INT8_INFER_BATCHES;
  gst_int8_infer_batches_new (self, settings.batch_size);
  g_mutex_lock (&self->lock);
  self->batch_size = settings.batch_size;
  self->capacity = settings.batch_size + 1;
  self->error_posted = FALSE;
  self->load_state = GST_INT8_LOAD_BUSY;
  self->reload = self->stopping = FALSE;
  self->loader = g_thread_new ("int8infer-load", load_thread, self);
  g_mutex_unlock (&self->lock);
  return TRUE;
}

/* Has the loader look again, or stop: whatever it is making is not wanted any more. */
static void
interrupt (GstInt8Infer *self, gboolean stop)
{
  g_autoptr (GCancellable) cancellable = NULL;

  g_mutex_lock (&self->lock);
  self->stopping = self->stopping || stop;
  self->reload = self->loader && !stop;
  if (self->cancellable)
    cancellable = g_object_ref (self->cancellable);
  g_cond_signal (&self->load_changed);
  g_mutex_unlock (&self->lock);
  if (cancellable)
    g_cancellable_cancel (cancellable);
}

void
gst_int8_infer_load_again (GstInt8Infer *self)
{
  interrupt (self, FALSE);
}

void
gst_int8_infer_load_cancel (GstInt8Infer *self)
{
  interrupt (self, TRUE);
}

void
gst_int8_infer_exchange_locked (GstInt8Infer *self)
{
  self->retired = self->network;
  self->network = g_steal_pointer (&self->next);
  g_cond_signal (&self->load_changed);
}

void
gst_int8_infer_load_join (GstInt8Infer *self)
{
  GstInt8Network *networks[3];
  GThread *loader;

  g_mutex_lock (&self->lock);
  loader = g_steal_pointer (&self->loader);
  g_mutex_unlock (&self->lock);
  if (!loader)
    return;
  g_thread_join (loader);
  g_mutex_lock (&self->lock);
  self->load_state = GST_INT8_LOAD_NONE;
  g_clear_object (&self->cancellable);
  networks[0] = g_steal_pointer (&self->network);
  networks[1] = g_steal_pointer (&self->next);
  networks[2] = g_steal_pointer (&self->retired);
  g_mutex_unlock (&self->lock);
  for (guint i = 0; i < G_N_ELEMENTS (networks); i++)
    gst_int8_infer_network_free (networks[i]);
  gst_int8_infer_batches_free (self);
}
