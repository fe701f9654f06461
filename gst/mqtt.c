/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* mqtt.c: see mqtt.h. The queue, which is everybody's, and the thread that owns the connection. */
#include "gst/mqtt.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "gst/mqtt-client.h"

#define FIRST_DELAY (G_TIME_SPAN_SECOND / 4)
#define LAST_DELAY  (30 * G_TIME_SPAN_SECOND)

typedef struct {
  char *text;
  int id; /* libmosquitto's, once it is on its way */
} Line;

struct GstInt8Mqtt {
  GstInt8MqttTarget target;
  GstInt8MqttReport report;
  gpointer data;
  guint queue_size;
  int wake; /* an eventfd: something is waiting, or the end is near */
  GCancellable *cancellable;
  GThread *thread;

  GMutex lock;
  GCond ended_changed;
  GQueue waiting; /* of Line */
  guint n_on_way; /* length of on_way */
  guint64 delivered, dropped, connections;
  guint64 dropped_before; /* the connection was lost */
  gboolean connected, dropping, closing, ended;
  gint64 deadline; /* once closing */

  /* the thread's */
  GstInt8MqttClient *client;
  GQueue on_way; /* of Line, in the order that they were sent */
  gboolean was_accepted, has_told_loss, has_told_drop;
  gint64 delay;
};

static void
line_free (gpointer data)
{
  Line *line = data;

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

/* --- The thread: what it says -------------------------------------------------------------------- */

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

/* --- The thread: lines ---------------------------------------------------------------------------- */

static void
delivered (int id, gpointer data)
{
  GstInt8Mqtt *self = data;

  for (GList *link = self->on_way.head; link; link = link->next) {
    Line *line = link->data;

    if (line->id != id)
      continue;
    g_queue_delete_link (&self->on_way, link);
    line_free (line);
    g_mutex_lock (&self->lock);
    self->delivered++;
    self->n_on_way--;
    g_mutex_unlock (&self->lock);
    return;
  }
}

static Line *
take (GstInt8Mqtt *self)
{
  Line *line = NULL;

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
  Line *line = g_queue_pop_tail (&self->on_way);

  g_mutex_lock (&self->lock);
  self->n_on_way--;
  if (keep)
    g_queue_push_head (&self->waiting, line);
  else
    self->dropped++;
  g_mutex_unlock (&self->lock);
  if (!keep)
    line_free (line);
}

static void
send_waiting (GstInt8Mqtt *self)
{
  GstInt8MqttSent sent = GST_INT8_MQTT_SENT;
  Line *line;

  while (sent != GST_INT8_MQTT_NOT_NOW && (line = take (self))) {
    /* First there, then sent: delivered() may be called before this one returns. */
    g_queue_push_tail (&self->on_way, line);
    sent = gst_int8_mqtt_client_send (self->client, line->text, &line->id);
    if (sent == GST_INT8_MQTT_NEVER)
      tell (self, GST_INT8_MQTT_UNSENDABLE, "a result was dropped that MQTT cannot carry: %s",
          gst_int8_mqtt_client_why (self->client));
    if (sent != GST_INT8_MQTT_SENT)
      take_back (self, sent == GST_INT8_MQTT_NOT_NOW);
  }
}

/* --- The thread: connection ------------------------------------------------------------------------ */

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

static gpointer
run (gpointer data)
{
  GstInt8Mqtt *self = data;
  GstInt8MqttClientState state = GST_INT8_MQTT_CLIENT_DOWN;
  sigset_t pipe_signal;

  /* libmosquitto writes without MSG_NOSIGNAL. */
  sigemptyset (&pipe_signal);
  sigaddset (&pipe_signal, SIGPIPE);
  pthread_sigmask (SIG_BLOCK, &pipe_signal, NULL);
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

/* --- Everybody ------------------------------------------------------------------------------------ */

static void
free_all (GstInt8Mqtt *self)
{
  if (self->client)
    gst_int8_mqtt_client_free (self->client);
  g_queue_clear_full (&self->waiting, line_free);
  g_queue_clear_full (&self->on_way, line_free);
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
  self->delay = FIRST_DELAY;
  self->cancellable = g_cancellable_new ();
  self->wake = eventfd (0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (self->wake < 0)
    g_set_error (error, GST_RESOURCE_ERROR, GST_RESOURCE_ERROR_FAILED, "no eventfd: %s",
        g_strerror (errno));
  else if (gst_int8_mqtt_target_init (&self->target, settings, error) &&
           (self->client = gst_int8_mqtt_client_new (&self->target, delivered, self, error)))
    self->thread = g_thread_try_new ("int8-mqtt", run, self, error);
  if (self->thread)
    return self;
  free_all (self);
  return NULL;
}

void
gst_int8_mqtt_send (GstInt8Mqtt *self, char *line)
{
  Line *added = g_new (Line, 1), *oldest = NULL;
  gboolean was_empty;

  *added = (Line){.text = line};
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
    line_free (oldest);
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
