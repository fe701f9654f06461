/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * mqtt-client.c: see mqtt-client.h. libmosquitto is used without its thread and without its select(), which
 * ends at 1024 file descriptors.
 */
#include "gst/mqtt-client.h"

#include <errno.h>
#include <mosquitto.h>
#include <poll.h>
#include <string.h>

#define CONNECT_TIMEOUT 10 /* s: for a TCP connection, and again for the broker to accept it */
#define LOOP_PACKETS    64 /* at most, in one turn */
#define MAX_PAYLOAD     268435455 /* of the protocol, less what the topic takes */

struct GstInt8MqttClient {
  const GstInt8MqttTarget *target;
  struct mosquitto *mosquitto;
  GSocketClient *probe;
  GstInt8MqttDelivered delivered;
  gpointer data;
  GstInt8MqttClientState state;
  gint64 accept_by;
  gboolean is_confused; /* a protocol error */
  char *why, *log;      /* log: the last error that libmosquitto has told */
};

/* --- Callbacks of libmosquitto: all from serve(), connect() and send() --------------------------- */

static void
on_connect (struct mosquitto *mosquitto, void *data, int code)
{
  GstInt8MqttClient *self = data;

  if (code == 0) {
    self->state = GST_INT8_MQTT_CLIENT_ACCEPTED;
    return;
  }
  /* Code 3 is "server unavailable"; the others are about what it was told. */
  self->state = code == 3 ? GST_INT8_MQTT_CLIENT_DOWN : GST_INT8_MQTT_CLIENT_REFUSED;
  g_free (self->why);
  self->why =
      g_strdup_printf ("the broker refuses the connection: %s", mosquitto_connack_string (code));
}

static void
on_publish (struct mosquitto *mosquitto, void *data, int id)
{
  GstInt8MqttClient *self = data;

  self->delivered (id, self->data);
}

static void
on_log (struct mosquitto *mosquitto, void *data, int level, const char *text)
{
  GstInt8MqttClient *self = data;

  if (level != MOSQ_LOG_ERR)
    return;
  g_free (self->log);
  self->log = g_strdup (text);
}

/* --- Life ---------------------------------------------------------------------------------------- */

static int
configure (GstInt8MqttClient *self)
{
  const GstInt8MqttTarget *target = self->target;
  int result = MOSQ_ERR_SUCCESS;

  if (target->username)
    result = mosquitto_username_pw_set (self->mosquitto, target->username, target->password);
  if (result == MOSQ_ERR_SUCCESS && target->tls && target->ca_file)
    result = mosquitto_tls_set (self->mosquitto, target->ca_file, NULL, target->certificate_file,
        target->key_file, NULL);
  else if (result == MOSQ_ERR_SUCCESS && target->tls)
    result = mosquitto_int_option (self->mosquitto, MOSQ_OPT_TLS_USE_OS_CERTS, 1);
  mosquitto_max_inflight_messages_set (self->mosquitto, GST_INT8_MQTT_IN_FLIGHT);
  mosquitto_connect_callback_set (self->mosquitto, on_connect);
  mosquitto_publish_callback_set (self->mosquitto, on_publish);
  mosquitto_log_callback_set (self->mosquitto, on_log);
  return result;
}

/* Once in a process, for its life: a second user of libmosquitto would lose it to a cleanup of ours. */
static void
init_library (void)
{
  static gsize done = 0;

  if (g_once_init_enter (&done)) {
    mosquitto_lib_init ();
    g_once_init_leave (&done, 1);
  }
}

static int
make (GstInt8MqttClient *self, gboolean has_session)
{
  self->mosquitto = mosquitto_new (self->target->client_id, !has_session, self);
  return self->mosquitto ? configure (self) : MOSQ_ERR_NOMEM;
}

GstInt8MqttClient *
gst_int8_mqtt_client_new (const GstInt8MqttTarget *target, GstInt8MqttDelivered delivered,
    gpointer data, GError **error)
{
  GstInt8MqttClient *self = g_new0 (GstInt8MqttClient, 1);
  int result;

  init_library ();
  self->target = target;
  self->delivered = delivered;
  self->data = data;
  self->probe = g_socket_client_new ();
  g_socket_client_set_timeout (self->probe, CONNECT_TIMEOUT);
  g_socket_client_set_enable_proxy (self->probe, FALSE);
  result = make (self, target->has_session);
  if (result == MOSQ_ERR_SUCCESS)
    return self;
  g_set_error (error, GST_RESOURCE_ERROR, GST_RESOURCE_ERROR_SETTINGS,
      "libmosquitto does not take the settings of %s: %s", target->uri,
      mosquitto_strerror (result));
  gst_int8_mqtt_client_free (self);
  return NULL;
}

gboolean
gst_int8_mqtt_client_renew (GstInt8MqttClient *self)
{
  if (!self->is_confused)
    return FALSE;
  self->is_confused = FALSE;
  mosquitto_destroy (self->mosquitto);
  /* The settings were taken once: only memory can lack, and the next connect() says so. */
  make (self, FALSE);
  return TRUE;
}

void
gst_int8_mqtt_client_free (GstInt8MqttClient *self)
{
  if (self->mosquitto) {
    if (self->state == GST_INT8_MQTT_CLIENT_ACCEPTED)
      mosquitto_disconnect (self->mosquitto);
    mosquitto_destroy (self->mosquitto);
  }
  g_object_unref (self->probe);
  g_free (self->why);
  g_free (self->log);
  g_free (self);
}

const char *
gst_int8_mqtt_client_why (const GstInt8MqttClient *self)
{
  return self->why ? self->why : "no reason known";
}

/* --- Connection ---------------------------------------------------------------------------------- */

static GstInt8MqttClientState
go_down (GstInt8MqttClient *self, int result)
{
  const char *text = result == MOSQ_ERR_ERRNO       ? g_strerror (errno)
                     : result == MOSQ_ERR_CONN_LOST ? "the broker has closed the connection"
                                                    : mosquitto_strerror (result);

  self->is_confused = result == MOSQ_ERR_PROTOCOL || result == MOSQ_ERR_MALFORMED_PACKET;
  /* A refusal has said why already. */
  if (self->state != GST_INT8_MQTT_CLIENT_REFUSED && result != MOSQ_ERR_CONN_REFUSED) {
    g_free (self->why);
    self->why = self->log ? g_strdup_printf ("%s (%s)", text, self->log) : g_strdup (text);
  }
  if (self->state != GST_INT8_MQTT_CLIENT_REFUSED)
    self->state = GST_INT8_MQTT_CLIENT_DOWN;
  return self->state;
}

/* mosquitto_connect() waits for a name server and for TCP as long as the system does, minutes, and cannot be
 * cancelled. So it is called only when a connection could be made just now. */
static gboolean
is_reachable (GstInt8MqttClient *self, GCancellable *cancellable)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (GSocketConnection) connection = g_socket_client_connect_to_host (self->probe,
      self->target->host, (guint16) self->target->port, cancellable, &error);

  if (connection)
    return TRUE;
  g_free (self->why);
  self->why = g_strdup (error->message);
  return FALSE;
}

GstInt8MqttClientState
gst_int8_mqtt_client_connect (GstInt8MqttClient *self, GCancellable *cancellable)
{
  int result;

  self->state = GST_INT8_MQTT_CLIENT_DOWN;
  g_clear_pointer (&self->log, g_free);
  if (!self->mosquitto)
    return go_down (self, MOSQ_ERR_NOMEM);
  if (!is_reachable (self, cancellable))
    return self->state;
  result = mosquitto_connect (self->mosquitto, self->target->host, (int) self->target->port,
      (int) self->target->keepalive);
  if (result != MOSQ_ERR_SUCCESS)
    return go_down (self, result);
  self->accept_by = g_get_monotonic_time () + CONNECT_TIMEOUT * G_TIME_SPAN_SECOND;
  return self->state = GST_INT8_MQTT_CLIENT_WAITING;
}

static int
timeout_of (const GstInt8MqttClient *self, gint64 until)
{
  const gint64 now = g_get_monotonic_time ();

  /* Keepalive is looked after once a second. */
  until = MIN (until, now + G_TIME_SPAN_SECOND);
  if (self->state == GST_INT8_MQTT_CLIENT_WAITING)
    until = MIN (until, self->accept_by);
  return (int) (MAX (until - now, 0) + 999) / 1000;
}

GstInt8MqttClientState
gst_int8_mqtt_client_serve (GstInt8MqttClient *self, int wake, gint64 until)
{
  const int out = mosquitto_want_write (self->mosquitto) ? POLLOUT : 0;
  struct pollfd fds[] = {
      {.fd = mosquitto_socket (self->mosquitto), .events = (short) (POLLIN | out)},
      {.fd = wake, .events = POLLIN}};
  int result = fds[0].fd >= 0 ? MOSQ_ERR_SUCCESS : MOSQ_ERR_CONN_LOST;

  if (result == MOSQ_ERR_SUCCESS)
    poll (fds, G_N_ELEMENTS (fds), timeout_of (self, until));
  if (fds[0].revents & (POLLIN | POLLHUP | POLLERR))
    result = mosquitto_loop_read (self->mosquitto, LOOP_PACKETS);
  if (result == MOSQ_ERR_SUCCESS && (fds[0].revents & POLLOUT))
    result = mosquitto_loop_write (self->mosquitto, LOOP_PACKETS);
  if (result == MOSQ_ERR_SUCCESS)
    result = mosquitto_loop_misc (self->mosquitto);
  if (result != MOSQ_ERR_SUCCESS)
    return go_down (self, result);
  if (self->state == GST_INT8_MQTT_CLIENT_WAITING && g_get_monotonic_time () >= self->accept_by) {
    g_free (self->why);
    self->why = g_strdup ("connected, but nothing there answers as an MQTT broker");
    self->state = GST_INT8_MQTT_CLIENT_DOWN;
  }
  return self->state;
}

GstInt8MqttSent
gst_int8_mqtt_client_send (GstInt8MqttClient *self, const char *line, int *id)
{
  const gsize length = strlen (line);
  /* Never retained: a result is of its moment. */
  const int result = length > MAX_PAYLOAD
                         ? MOSQ_ERR_PAYLOAD_SIZE
                         : mosquitto_publish (self->mosquitto, id, self->target->topic,
                               (int) length, line, (int) self->target->qos, false);

  switch (result) {
  case MOSQ_ERR_SUCCESS:
    return GST_INT8_MQTT_SENT;
  case MOSQ_ERR_INVAL:
  case MOSQ_ERR_PAYLOAD_SIZE:
  case MOSQ_ERR_OVERSIZE_PACKET:
    g_free (self->why);
    self->why =
        g_strdup_printf ("%" G_GSIZE_FORMAT " bytes: %s", length, mosquitto_strerror (result));
    return GST_INT8_MQTT_NEVER;
  case MOSQ_ERR_NOMEM:
    return GST_INT8_MQTT_NOT_NOW;
  default:
    /* Of qos 1 and 2 libmosquitto keeps the message until it was delivered. */
    return self->target->qos > 0 ? GST_INT8_MQTT_SENT : GST_INT8_MQTT_NOT_NOW;
  }
}
