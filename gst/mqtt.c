/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* mqtt.c: see mqtt.h. The queue as everybody sees it: lines go in, and nobody waits. */
#include "gst/mqtt-private.h"

#include <errno.h>
#include <sys/eventfd.h>
#include <unistd.h>

void
gst_int8_mqtt_line_free (gpointer data)
{
  GstInt8MqttLine *line = data;

  g_free (line->text);
  g_free (line);
}

static void
wake_up (GstInt8Mqtt *self)
{
  const guint64 one = 1;

  /* EAGAIN: it is awake already. */
  while (write (self->wake, &one, sizeof one) < 0 && errno == EINTR)
    ;
}

static void
free_all (GstInt8Mqtt *self)
{
  if (self->client)
    gst_int8_mqtt_client_free (self->client);
  g_queue_clear_full (&self->waiting, gst_int8_mqtt_line_free);
  g_queue_clear_full (&self->on_way, gst_int8_mqtt_line_free);
  g_clear_object (&self->cancellable);
  if (self->wake >= 0)
    close (self->wake);
  gst_int8_mqtt_target_clear (&self->target);
  g_mutex_clear (&self->lock);
  g_cond_clear (&self->ended_changed);
  g_free (self);
}

GstInt8Mqtt *
gst_int8_mqtt_new (const GstInt8MqttSettings *settings, GstInt8MqttReport report, gpointer data,
    GError **error)
{
  GstInt8Mqtt *self = g_new0 (GstInt8Mqtt, 1);

  g_mutex_init (&self->lock);
  g_cond_init (&self->ended_changed);
  g_queue_init (&self->waiting);
  g_queue_init (&self->on_way);
  self->report = report;
  self->data = data;
  self->queue_size = settings->queue_size;
  self->cancellable = g_cancellable_new ();
  self->wake = eventfd (0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (self->wake < 0)
    g_set_error (error, GST_RESOURCE_ERROR, GST_RESOURCE_ERROR_FAILED, "no eventfd: %s",
        g_strerror (errno));
  else if (gst_int8_mqtt_target_init (&self->target, settings, error) &&
           (self->client =
                   gst_int8_mqtt_client_new (&self->target, gst_int8_mqtt_delivered, self, error)))
    self->thread = g_thread_try_new ("int8-mqtt", gst_int8_mqtt_run, self, error);
  if (self->thread)
    return self;
  free_all (self);
  return NULL;
}

void
gst_int8_mqtt_send (GstInt8Mqtt *self, char *line)
{
  GstInt8MqttLine *added = g_new (GstInt8MqttLine, 1), *oldest = NULL;
  gboolean was_empty;

  *added = (GstInt8MqttLine){.text = line};
  g_mutex_lock (&self->lock);
  if (self->waiting.length >= self->queue_size) {
    oldest = g_queue_pop_head (&self->waiting);
    self->dropped++;
    was_empty = !self->dropping;
    self->dropping = TRUE;
  } else {
    was_empty = g_queue_is_empty (&self->waiting);
  }
  g_queue_push_tail (&self->waiting, added);
  g_mutex_unlock (&self->lock);
  if (was_empty)
    wake_up (self);
  if (oldest)
    gst_int8_mqtt_line_free (oldest);
}

void
gst_int8_mqtt_get_stats (GstInt8Mqtt *self, GstInt8MqttStats *stats)
{
  g_mutex_lock (&self->lock);
  *stats = (GstInt8MqttStats){.connected = self->connected,
      .delivered = self->delivered,
      .dropped = self->dropped,
      .queued = self->waiting.length + self->n_on_way,
      .connections = self->connections};
  g_mutex_unlock (&self->lock);
}

void
gst_int8_mqtt_free (GstInt8Mqtt *self, GstClockTime drain, GstInt8MqttStats *stats)
{
  const gint64 deadline = g_get_monotonic_time () + (gint64) (drain / 1000);

  g_mutex_lock (&self->lock);
  self->deadline = deadline;
  self->closing = TRUE;
  wake_up (self);
  /* Where nothing is left the thread ends at once, unless it is connecting. */
  while (!self->ended && (self->waiting.length > 0 || self->n_on_way > 0) &&
         g_cond_wait_until (&self->ended_changed, &self->lock, deadline))
    ;
  g_mutex_unlock (&self->lock);
  g_cancellable_cancel (self->cancellable); /* names and TCP */
  g_thread_join (self->thread);
  gst_int8_mqtt_get_stats (self, stats);
  free_all (self);
}
