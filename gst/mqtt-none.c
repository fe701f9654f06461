/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* mqtt-none.c: mqtt.h where libmosquitto was not there to build with: asking for it is an error. */
#include "gst/mqtt.h"

GstInt8Mqtt *
gst_int8_mqtt_new (const GstInt8MqttSettings *settings, GstInt8MqttReport report, gpointer data,
    GError **error)
{
  g_set_error (error, GST_RESOURCE_ERROR, GST_RESOURCE_ERROR_SETTINGS,
      "mqtt-address=%s: this plugin was built without MQTT; build it where libmosquitto is "
      "(Debian: libmosquitto-dev)",
      settings->address);
  return NULL;
}

/* There is none to call them with. */
void
gst_int8_mqtt_send (GstInt8Mqtt *mqtt, char *line)
{
  g_free (line);
}

void
gst_int8_mqtt_get_stats (GstInt8Mqtt *mqtt, GstInt8MqttStats *stats)
{
  *stats = (GstInt8MqttStats){0};
}

void
gst_int8_mqtt_free (GstInt8Mqtt *mqtt, GstClockTime drain, GstInt8MqttStats *stats)
{
  *stats = (GstInt8MqttStats){0};
}
