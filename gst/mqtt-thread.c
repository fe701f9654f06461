/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * mqtt-thread.c: the thread that owns the connection: it takes lines from the queue, keeps those that the
 * broker has not acknowledged, and comes back when the connection is lost.
 */
#include "gst/mqtt-private.h"

#include <errno.h>
#include <signal.h>
#include <unistd.h>

#define FIRST_DELAY (G_TIME_SPAN_SECOND / 4)
#define LAST_DELAY  (30 * G_TIME_SPAN_SECOND)

/* --- What it says ------------------------------------------------------------------------------ */

static void G_GNUC_PRINTF (3, 4)
    tell (GstInt8Mqtt *self, GstInt8MqttEvent event, const char *format, ...)
{
  g_autofree char *text = NULL;
  va_list args;

  va_start (args, format);
  text = g_strdup_vprintf (format, args);
  va_end (args);
  self->report (event, text, self->data);
}

static void
tell_drops (GstInt8Mqtt *self)
{
  gboolean dropping;

  g_mutex_lock (&self->lock);
  dropping = self->dropping;
  g_mutex_unlock (&self->lock);
  if (dropping && !self->has_told_drop)
    tell (self, GST_INT8_MQTT_DROPPED,
        "%u results wait for %s, and no more may: the oldest are dropped, one for each that comes",
        self->queue_size, self->target.uri);
  self->has_told_drop = dropping;
}

static void
tell_loss (GstInt8Mqtt *self)
{
  if (!self->has_told_loss)
    tell (self, GST_INT8_MQTT_LOST, "%s %s: %s; trying again, meanwhile up to %u results wait",
        self->was_accepted ? "lost the broker" : "no connection to the broker", self->target.uri,
        gst_int8_mqtt_client_why (self->client), self->queue_size);
  self->has_told_loss = TRUE;
}

static void
tell_return (GstInt8Mqtt *self, guint64 dropped)
{
  if (self->has_told_loss)
    tell (self, GST_INT8_MQTT_CONNECTED,
        "connected to %s; %" G_GUINT64_FORMAT " results were dropped meanwhile", self->target.uri,
        dropped);
  self->has_told_loss = FALSE;
}

/* --- Lines ------------------------------------------------------------------------------------- */

void
gst_int8_mqtt_delivered (int id, gpointer data)
{
  GstInt8Mqtt *self = data;

  for (GList *link = self->on_way.head; link; link = link->next) {
    GstInt8MqttLine *line = link->data;

    if (line->id != id)
      continue;
    g_queue_delete_link (&self->on_way, link);
    gst_int8_mqtt_line_free (line);
    g_mutex_lock (&self->lock);
    self->delivered++;
    self->n_on_way--;
    g_mutex_unlock (&self->lock);
    return;
  }
}

static GstInt8MqttLine *
take (GstInt8Mqtt *self)
{
  GstInt8MqttLine *line = NULL;

  g_mutex_lock (&self->lock);
  if (self->n_on_way < GST_INT8_MQTT_IN_FLIGHT && (line = g_queue_pop_head (&self->waiting)))
    self->n_on_way++;
  if (g_queue_is_empty (&self->waiting))
    self->dropping = FALSE;
  g_mutex_unlock (&self->lock);
  return line;
}

/* Takes the newest of those on their way off it: back to the head of the queue, or to nowhere. */
static void
take_back (GstInt8Mqtt *self, gboolean keep)
{
  GstInt8MqttLine *line = g_queue_pop_tail (&self->on_way);

  g_mutex_lock (&self->lock);
  self->n_on_way--;
  if (keep)
    g_queue_push_head (&self->waiting, line);
  else
    self->dropped++;
  g_mutex_unlock (&self->lock);
  if (!keep)
    gst_int8_mqtt_line_free (line);
}

static void
send_waiting (GstInt8Mqtt *self)
{
  GstInt8MqttSent sent = GST_INT8_MQTT_SENT;
  GstInt8MqttLine *line;

  while (sent != GST_INT8_MQTT_NOT_NOW && (line = take (self))) {
    /* First there, then sent: gst_int8_mqtt_delivered() may be called before this one returns. */
    g_queue_push_tail (&self->on_way, line);
    sent = gst_int8_mqtt_client_send (self->client, line->text, &line->id);
    if (sent == GST_INT8_MQTT_NEVER)
      tell (self, GST_INT8_MQTT_UNSENDABLE, "a result was dropped that MQTT cannot carry: %s",
          gst_int8_mqtt_client_why (self->client));
    if (sent != GST_INT8_MQTT_SENT)
      take_back (self, sent == GST_INT8_MQTT_NOT_NOW);
  }
}

/* --- The connection ---------------------------------------------------------------------------- */

static void
set_connected (GstInt8Mqtt *self, gboolean connected)
{
  guint64 dropped = 0;

  g_mutex_lock (&self->lock);
  self->connected = connected;
  if (connected) {
    self->connections++;
    dropped = self->dropped - self->dropped_before;
  } else if (!self->has_told_loss) {
    self->dropped_before = self->dropped;
  }
  g_mutex_unlock (&self->lock);
  if (connected) {
    self->was_accepted = TRUE;
    self->delay = FIRST_DELAY;
    tell_return (self, dropped);
  } else if (gst_int8_mqtt_client_renew (self->client) || self->target.qos == 0) {
    /* What libmosquitto does not keep: of qos 0 all that it had not written. */
    while (!g_queue_is_empty (&self->on_way))
      take_back (self, TRUE);
  }
}

static gboolean
is_over (GstInt8Mqtt *self)
{
  gboolean over;

  g_mutex_lock (&self->lock);
  over = self->closing && ((g_queue_is_empty (&self->waiting) && self->n_on_way == 0) ||
                              g_get_monotonic_time () >= self->deadline);
  g_mutex_unlock (&self->lock);
  return over;
}

/* Until when the thread may sleep. */
static gint64
limit (GstInt8Mqtt *self, gint64 until)
{
  g_mutex_lock (&self->lock);
  if (self->closing)
    until = MIN (until, self->deadline);
  g_mutex_unlock (&self->lock);
  return until;
}

static void
clear_wake (GstInt8Mqtt *self)
{
  guint64 count;

  while (read (self->wake, &count, sizeof count) < 0 && errno == EINTR)
    ;
}

/* A connection for as long as it lasts. */
static GstInt8MqttClientState
stay_connected (GstInt8Mqtt *self)
{
  GstInt8MqttClientState before = GST_INT8_MQTT_CLIENT_WAITING, state = before;

  while (!is_over (self)) {
    state = gst_int8_mqtt_client_serve (self->client, self->wake, limit (self, G_MAXINT64));
    clear_wake (self);
    if (state != GST_INT8_MQTT_CLIENT_WAITING && state != GST_INT8_MQTT_CLIENT_ACCEPTED)
      break;
    if (state != before)
      set_connected (self, TRUE);
    before = state;
    if (state == GST_INT8_MQTT_CLIENT_ACCEPTED)
      send_waiting (self);
    tell_drops (self);
  }
  return state;
}

/* Sleeps before the next try; a quarter more or less, so that many cameras do not come back at once. */
static void
wait_for_next_try (GstInt8Mqtt *self)
{
  const gint64 until = g_get_monotonic_time () +
                       (gint64) ((double) self->delay * g_random_double_range (0.75, 1.25));

  self->delay = MIN (2 * self->delay, LAST_DELAY);
  while (!is_over (self) && g_get_monotonic_time () < until) {
    GPollFD fd = {.fd = self->wake, .events = G_IO_IN};
    const gint64 left = limit (self, until) - g_get_monotonic_time ();

    g_poll (&fd, 1, (int) ((MAX (left, 0) + 999) / 1000));
    clear_wake (self);
    tell_drops (self);
  }
}

gpointer
gst_int8_mqtt_run (gpointer data)
{
  GstInt8Mqtt *self = data;
  GstInt8MqttClientState state = GST_INT8_MQTT_CLIENT_DOWN;
  sigset_t pipe_signal;

  /* libmosquitto writes without MSG_NOSIGNAL. */
  sigemptyset (&pipe_signal);
  sigaddset (&pipe_signal, SIGPIPE);
  pthread_sigmask (SIG_BLOCK, &pipe_signal, NULL);
  self->delay = FIRST_DELAY;
  while (!is_over (self)) {
    state = gst_int8_mqtt_client_connect (self->client, self->cancellable);
    if (state == GST_INT8_MQTT_CLIENT_WAITING)
      state = stay_connected (self);
    if (is_over (self))
      break;
    set_connected (self, FALSE);
    if (state == GST_INT8_MQTT_CLIENT_REFUSED && !self->was_accepted) {
      tell (self, GST_INT8_MQTT_REFUSED, "%s: %s", self->target.uri,
          gst_int8_mqtt_client_why (self->client));
      break;
    }
    tell_loss (self);
    wait_for_next_try (self);
  }
  g_mutex_lock (&self->lock);
  self->ended = TRUE;
  self->connected = FALSE;
  g_cond_signal (&self->ended_changed);
  g_mutex_unlock (&self->lock);
  return NULL;
}
