/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* mqtt-element.c: see mqtt-element.h. */
#include "gst/mqtt-element.h"

#include <string.h>

#define DEFAULT_TOPIC      "gst-int8"
#define DEFAULT_QOS        1
#define DEFAULT_KEEPALIVE  60
#define DEFAULT_QUEUE_SIZE 1000
#define DEFAULT_DRAIN      (5 * GST_SECOND)

enum { QOS = GST_INT8_MQTT_N_TEXTS, KEEPALIVE, QUEUE_SIZE, DRAIN, STATS, N_PROPERTIES };
G_STATIC_ASSERT (N_PROPERTIES == GST_INT8_MQTT_PROPERTIES);

/* --- Properties ------------------------------------------------------------------------------ */

#define FLAGS (G_PARAM_READWRITE | G_PARAM_STATIC_STRINGS | GST_PARAM_MUTABLE_READY)

static void
install_text (GObjectClass *klass, guint id, const char *name, const char *nick, const char *blurb)
{
  g_object_class_install_property (klass, id,
      g_param_spec_string (name, nick, blurb,
          strcmp (name, "mqtt-topic") == 0 ? DEFAULT_TOPIC : NULL, FLAGS));
}

static void
install_texts (GObjectClass *klass, guint first)
{
  install_text (klass, first + GST_INT8_MQTT_ADDRESS, "mqtt-address", "MQTT address",
      "Broker that every line is published to: HOST, HOST:PORT, mqtt://HOST:PORT, or mqtts://HOST:PORT "
      "with TLS; ports 1883 and 8883 where none is said (unset = no MQTT)");
  install_text (klass, first + GST_INT8_MQTT_TOPIC, "mqtt-topic", "MQTT topic",
      "Topic of every line, without wildcards");
  install_text (klass, first + GST_INT8_MQTT_CLIENT_ID, "mqtt-client-id", "MQTT client id",
      "Name of this client, unlike that of any other at the broker, which then keeps the session while "
      "it is away: qos 2 needs that to be exactly once (unset = a random one, without a session)");
  install_text (klass, first + GST_INT8_MQTT_USERNAME, "mqtt-username", "MQTT user name",
      "User at the broker (unset = none)");
  install_text (klass, first + GST_INT8_MQTT_PASSWORD, "mqtt-password", "MQTT password",
      "Where the user's password is: env:NAME, a variable of the environment, or file:PATH, the first "
      "line of a file. Not the password itself: a command line can be read by every user of a machine");
  install_text (klass, first + GST_INT8_MQTT_CA_FILE, "mqtt-ca-file", "MQTT CA file",
      "With mqtts://, certificates (PEM) that the broker's must be signed by (unset = the system's)");
  install_text (klass, first + GST_INT8_MQTT_CERTIFICATE_FILE, "mqtt-certificate-file",
      "MQTT certificate file",
      "With mqtts://, this client's certificate (PEM), for brokers that ask for one");
  install_text (klass, first + GST_INT8_MQTT_KEY_FILE, "mqtt-key-file", "MQTT key file",
      "With mqtts://, the private key (PEM) of mqtt-certificate-file");
}

void
gst_int8_mqtt_install (GObjectClass *klass, guint first)
{
  install_texts (klass, first);
  g_object_class_install_property (klass, first + QOS,
      g_param_spec_uint ("mqtt-qos", "MQTT quality of service",
          "0: what is on its way when the connection is lost is lost with it; 1: every line arrives at "
          "least once, in order; 2: exactly once, with mqtt-client-id",
          0, 2, DEFAULT_QOS, FLAGS));
  g_object_class_install_property (klass, first + KEEPALIVE,
      g_param_spec_uint ("mqtt-keepalive", "MQTT keepalive",
          "Seconds without a word after which broker and client look whether the other is still there",
          5, 65535, DEFAULT_KEEPALIVE, FLAGS));
  g_object_class_install_property (klass, first + QUEUE_SIZE,
      g_param_spec_uint ("mqtt-queue-size", "MQTT queue size",
          "Lines that wait while the broker is away or slow; where one more comes the oldest is dropped "
          "and counted",
          1, 10000000, DEFAULT_QUEUE_SIZE, FLAGS));
  g_object_class_install_property (klass, first + DRAIN,
      g_param_spec_uint64 ("mqtt-drain-timeout", "MQTT drain timeout",
          "How long stopping waits, in ns, for the broker to take what is queued; a warning says what was "
          "left",
          0, G_MAXINT64, DEFAULT_DRAIN, FLAGS));
  g_object_class_install_property (klass, first + STATS,
      g_param_spec_boxed ("mqtt-stats", "MQTT statistics",
          "connected (boolean); lines: delivered (acknowledged; written with qos 0), dropped (uint64), "
          "queued (uint); connections so far (uint64)",
          GST_TYPE_STRUCTURE, G_PARAM_READABLE | G_PARAM_STATIC_STRINGS));
}

void
gst_int8_mqtt_values_init (GstInt8MqttValues *values)
{
  *values = (GstInt8MqttValues){.qos = DEFAULT_QOS,
      .keepalive = DEFAULT_KEEPALIVE,
      .queue_size = DEFAULT_QUEUE_SIZE,
      .drain = DEFAULT_DRAIN};
  values->texts[GST_INT8_MQTT_TOPIC] = g_strdup (DEFAULT_TOPIC);
}

void
gst_int8_mqtt_values_copy (const GstInt8MqttValues *from, GstInt8MqttValues *to)
{
  *to = *from;
  for (guint i = 0; i < GST_INT8_MQTT_N_TEXTS; i++)
    to->texts[i] = g_strdup (from->texts[i]);
}

void
gst_int8_mqtt_values_clear (GstInt8MqttValues *values)
{
  for (guint i = 0; i < GST_INT8_MQTT_N_TEXTS; i++)
    g_clear_pointer (&values->texts[i], g_free);
}

gboolean
gst_int8_mqtt_values_set (GstInt8MqttValues *values, guint id, const GValue *value)
{
  if (id < GST_INT8_MQTT_N_TEXTS) {
    g_free (values->texts[id]);
    values->texts[id] = g_value_dup_string (value);
    return TRUE;
  }
  switch (id) {
  case QOS:
    values->qos = g_value_get_uint (value);
    return TRUE;
  case KEEPALIVE:
    values->keepalive = g_value_get_uint (value);
    return TRUE;
  case QUEUE_SIZE:
    values->queue_size = g_value_get_uint (value);
    return TRUE;
  case DRAIN:
    values->drain = g_value_get_uint64 (value);
    return TRUE;
  default:
    return FALSE;
  }
}

gboolean
gst_int8_mqtt_values_get (const GstInt8MqttValues *values, guint id, GValue *value)
{
  if (id < GST_INT8_MQTT_N_TEXTS) {
    g_value_set_string (value, values->texts[id]);
    return TRUE;
  }
  switch (id) {
  case QOS:
    g_value_set_uint (value, values->qos);
    return TRUE;
  case KEEPALIVE:
    g_value_set_uint (value, values->keepalive);
    return TRUE;
  case QUEUE_SIZE:
    g_value_set_uint (value, values->queue_size);
    return TRUE;
  case DRAIN:
    g_value_set_uint64 (value, values->drain);
    return TRUE;
  default:
    return FALSE;
  }
}

void
gst_int8_mqtt_get_stats_value (GstInt8Mqtt *mqtt, GValue *value)
{
  GstInt8MqttStats stats = {0};

  if (mqtt)
    gst_int8_mqtt_get_stats (mqtt, &stats);
  g_value_take_boxed (value,
      gst_structure_new ("mqtt-stats", "connected", G_TYPE_BOOLEAN, stats.connected, "delivered",
          G_TYPE_UINT64, stats.delivered, "dropped", G_TYPE_UINT64, stats.dropped, "queued",
          G_TYPE_UINT, stats.queued, "connections", G_TYPE_UINT64, stats.connections, NULL));
}

/* --- Messages -------------------------------------------------------------------------------- */

static void
report (GstInt8MqttEvent event, const char *text, gpointer element)
{
  switch (event) {
  case GST_INT8_MQTT_CONNECTED:
    GST_ELEMENT_INFO (element, RESOURCE, OPEN_WRITE, ("%s", text), (NULL));
    break;
  case GST_INT8_MQTT_LOST:
    GST_ELEMENT_WARNING (element, RESOURCE, OPEN_WRITE, ("%s", text), (NULL));
    break;
  case GST_INT8_MQTT_REFUSED:
    GST_ELEMENT_ERROR (element, RESOURCE, NOT_AUTHORIZED, ("%s", text), (NULL));
    break;
  case GST_INT8_MQTT_DROPPED:
  case GST_INT8_MQTT_UNSENDABLE:
    GST_ELEMENT_WARNING (element, RESOURCE, WRITE, ("%s", text), (NULL));
    break;
  }
}

gboolean
gst_int8_mqtt_start (const GstInt8MqttValues *values, GstElement *element, GstInt8Mqtt **mqtt)
{
  const GstInt8MqttSettings settings = {.address = values->texts[GST_INT8_MQTT_ADDRESS],
      .topic = values->texts[GST_INT8_MQTT_TOPIC],
      .client_id = values->texts[GST_INT8_MQTT_CLIENT_ID],
      .username = values->texts[GST_INT8_MQTT_USERNAME],
      .password = values->texts[GST_INT8_MQTT_PASSWORD],
      .ca_file = values->texts[GST_INT8_MQTT_CA_FILE],
      .certificate_file = values->texts[GST_INT8_MQTT_CERTIFICATE_FILE],
      .key_file = values->texts[GST_INT8_MQTT_KEY_FILE],
      .qos = values->qos,
      .keepalive = values->keepalive,
      .queue_size = values->queue_size};
  g_autoptr (GError) error = NULL;

  *mqtt = NULL;
  if (!settings.address || !*settings.address)
    return TRUE;
  *mqtt = gst_int8_mqtt_new (&settings, report, element, &error);
  if (!*mqtt)
    GST_ELEMENT_ERROR (element, RESOURCE, SETTINGS, ("%s", error->message), (NULL));
  return *mqtt != NULL;
}

void
gst_int8_mqtt_stop (GstInt8Mqtt *mqtt, GstElement *element, GstClockTime drain)
{
  GstInt8MqttStats stats;

  if (!mqtt)
    return;
  gst_int8_mqtt_free (mqtt, drain, &stats);
  if (stats.queued > 0)
    GST_ELEMENT_WARNING (element, RESOURCE, WRITE,
        ("%u results were not delivered within mqtt-drain-timeout, %.3g s", stats.queued,
            (double) drain / GST_SECOND),
        ("%" G_GUINT64_FORMAT " were, %" G_GUINT64_FORMAT " were dropped before", stats.delivered,
            stats.dropped));
}
