/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * mqtt-element.h: mqtt.h as part of an element: the properties mqtt-*, and what happens as messages on the
 * bus: a warning when the broker is lost and when lines are dropped, an info when it is back, an error
 * where it can never be had, a warning that counts what was left at the end.
 */
#pragma once

#include "gst/mqtt.h"

G_BEGIN_DECLS

#define GST_INT8_MQTT_PROPERTIES 13

enum {
  GST_INT8_MQTT_ADDRESS,
  GST_INT8_MQTT_TOPIC,
  GST_INT8_MQTT_CLIENT_ID,
  GST_INT8_MQTT_USERNAME,
  GST_INT8_MQTT_PASSWORD,
  GST_INT8_MQTT_CA_FILE,
  GST_INT8_MQTT_CERTIFICATE_FILE,
  GST_INT8_MQTT_KEY_FILE,
  GST_INT8_MQTT_N_TEXTS
};

typedef struct {
  char *texts[GST_INT8_MQTT_N_TEXTS];
  guint qos, keepalive, queue_size;
  GstClockTime drain;
} GstInt8MqttValues;

void gst_int8_mqtt_install (GObjectClass *klass, guint first);
void gst_int8_mqtt_values_init (GstInt8MqttValues *values);
void gst_int8_mqtt_values_copy (const GstInt8MqttValues *from, GstInt8MqttValues *to);
void gst_int8_mqtt_values_clear (GstInt8MqttValues *values);
/* id: from 0. FALSE: not one of these, or read-only. Under the element's object lock. */
gboolean gst_int8_mqtt_values_set (GstInt8MqttValues *values, guint id, const GValue *value);
gboolean gst_int8_mqtt_values_get (const GstInt8MqttValues *values, guint id, GValue *value);

/* TRUE with *mqtt NULL where no address is set. FALSE: the error was posted. */
gboolean gst_int8_mqtt_start (const GstInt8MqttValues *values, GstElement *element,
    GstInt8Mqtt **mqtt);
/* Drains, frees, and says what was left. mqtt may be NULL. */
void gst_int8_mqtt_stop (GstInt8Mqtt *mqtt, GstElement *element, GstClockTime drain);
/* The property mqtt-stats; NULL: there is no connection. */
void gst_int8_mqtt_get_stats_value (GstInt8Mqtt *mqtt, GValue *value);

G_END_DECLS
