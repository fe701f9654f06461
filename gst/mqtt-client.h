/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * mqtt-client.h: one client of one broker: what mqtt.h's settings mean once they are checked, and the
 * connection, which is libmosquitto's. Belongs to one thread; the caller polls.
 */
#pragma once

#include <gio/gio.h>

#include "gst/mqtt.h"

G_BEGIN_DECLS

/* Settings, checked; all owned. */
typedef struct {
  char *uri; /* for people: without user and password */
  char *host, *topic, *client_id, *username, *password, *ca_file, *certificate_file, *key_file;
  guint port, qos, keepalive;
  gboolean tls, has_session;
} GstInt8MqttTarget;

gboolean gst_int8_mqtt_target_init (GstInt8MqttTarget *target, const GstInt8MqttSettings *settings,
    GError **error);
void gst_int8_mqtt_target_clear (GstInt8MqttTarget *target);

typedef struct GstInt8MqttClient GstInt8MqttClient;

/* Of a message with that id: the system has it (qos 0), or the broker. */
typedef void (*GstInt8MqttDelivered) (int id, gpointer data);

GstInt8MqttClient *gst_int8_mqtt_client_new (const GstInt8MqttTarget *target,
    GstInt8MqttDelivered delivered, gpointer data, GError **error);
void gst_int8_mqtt_client_free (GstInt8MqttClient *client);

typedef enum {
  GST_INT8_MQTT_CLIENT_DOWN,     /* gst_int8_mqtt_client_why() says why */
  GST_INT8_MQTT_CLIENT_REFUSED,  /* the same, and another try would end the same */
  GST_INT8_MQTT_CLIENT_WAITING,  /* for the broker to accept */
  GST_INT8_MQTT_CLIENT_ACCEPTED, /* messages may be sent */
} GstInt8MqttClientState;

/* Connects; messages that were not delivered before will be sent again when the broker has accepted. Waits
 * for names and for TCP, 10 s at most, or until it is cancelled. */
GstInt8MqttClientState gst_int8_mqtt_client_connect (GstInt8MqttClient *client,
    GCancellable *cancellable);
/* Reads and writes what there is, or waits for it until `until` (g_get_monotonic_time()) or until wake is
 * readable; delivered() is called from here. */
GstInt8MqttClientState gst_int8_mqtt_client_serve (GstInt8MqttClient *client, int wake,
    gint64 until);
/* After DOWN: where libmosquitto and the broker have disagreed about what was said, everything starts anew, without
 * the session, since they might do so for ever (libmosquitto 2.1.2 reads what it had not read of a connection that was
 * cut as the beginning of the next one). TRUE: no message that was not delivered will be sent again. */
gboolean gst_int8_mqtt_client_renew (GstInt8MqttClient *client);
const char *gst_int8_mqtt_client_why (const GstInt8MqttClient *client);

typedef enum {
  GST_INT8_MQTT_SENT,    /* or will be, when the connection is back */
  GST_INT8_MQTT_NOT_NOW, /* the connection is going down */
  GST_INT8_MQTT_NEVER    /* too long; why() says it */
} GstInt8MqttSent;
/* *id is written before delivered() can be called for it. */
GstInt8MqttSent gst_int8_mqtt_client_send (GstInt8MqttClient *client, const char *line, int *id);

G_END_DECLS
