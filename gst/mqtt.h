/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * mqtt.h: lines of text to an MQTT 3.1.1 broker, through libmosquitto, without ever making who sends them
 * wait.
 *
 * Lines wait in a bounded queue; where it is full the oldest is dropped and counted. One thread owns the
 * connection: it connects, sends at most GST_INT8_MQTT_IN_FLIGHT lines ahead of what the broker has
 * acknowledged, and when the connection is lost connects again, after 0.25 s, then twice as long each time
 * up to 30 s. Nothing that was not acknowledged is forgotten: it is sent again, before what came later. So
 * with qos 1 every line that was not dropped reaches the broker at least once and in order, with qos 2 exactly
 * once as long as the broker keeps the session, for which it needs a client-id, and both keep to the protocol;
 * with qos 0 what was on its way is lost with the connection.
 */
#pragma once

#include <gst/gst.h>

G_BEGIN_DECLS

#define GST_INT8_MQTT_IN_FLIGHT 20

typedef struct {
  const char *address;   /* [mqtt://|mqtts://]HOST[:PORT]; an IPv6 address in [] */
  const char *topic;     /* without wildcards */
  const char *client_id; /* NULL: a random one, and a session per connection */
  const char *username;  /* or NULL */
  const char *password;  /* env:NAME or file:PATH; or NULL */
  const char *ca_file;   /* of mqtts; NULL: the system's */
  const char *certificate_file, *key_file; /* of mqtts, both or neither; PEM */
  guint qos;                               /* 0 .. 2 */
  guint keepalive;                         /* s; 5 .. 65535 */
  guint queue_size;                        /* lines; 1 and more */
} GstInt8MqttSettings;

typedef enum {
  GST_INT8_MQTT_CONNECTED, /* again, after a LOST */
  GST_INT8_MQTT_LOST,      /* or never had: once until it is there; goes on trying */
  GST_INT8_MQTT_REFUSED,   /* by the broker, before it ever accepted: the thread has ended */
  GST_INT8_MQTT_DROPPED,   /* the first line of this outage */
  GST_INT8_MQTT_UNSENDABLE /* a line that no broker can be sent: it is dropped, the others go on */
} GstInt8MqttEvent;

/* From the connection's thread, never under a lock; text is for people and says why. */
typedef void (*GstInt8MqttReport) (GstInt8MqttEvent event, const char *text, gpointer data);

typedef struct {
  gboolean connected;
  guint64 delivered; /* with qos 0: handed to the system; else acknowledged by the broker */
  guint64 dropped;
  guint queued;        /* waiting, or on their way */
  guint64 connections; /* that the broker accepted */
} GstInt8MqttStats;

typedef struct GstInt8Mqtt GstInt8Mqtt;

/* Checks all settings and starts connecting; does not wait for that. NULL with an error that says which
 * setting is wrong. */
GstInt8Mqtt *gst_int8_mqtt_new (const GstInt8MqttSettings *settings, GstInt8MqttReport report,
    gpointer data, GError **error);
/* Takes line. Any thread; never blocks. */
void gst_int8_mqtt_send (GstInt8Mqtt *mqtt, char *line);
void gst_int8_mqtt_get_stats (GstInt8Mqtt *mqtt, GstInt8MqttStats *stats);
/* Waits until everything is delivered, at most drain (ns), says goodbye and frees all. stats: how it ended;
 * queued is what was left. No report comes afterwards. */
void gst_int8_mqtt_free (GstInt8Mqtt *mqtt, GstClockTime drain, GstInt8MqttStats *stats);

G_END_DECLS
