/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * mqtt-threads.c: gst/mqtt.h by itself, from several threads at once, with a broker that cuts it off: also
 * made with ThreadSanitizer, and tsan-glib.c.
 */
#include "gst/mqtt.h"

#include <stdio.h>

#include "tests/check.h"
#include "tests/gst/common-mqtt.h"

#define TOPIC     "threads"
#define N_SENDERS 3
#define N_LINES   400

static gint reports; /* atomic */

static void
report (GstInt8MqttEvent event, const char *text, gpointer data)
{
  g_atomic_int_inc (&reports);
}

static gpointer
send_lines (gpointer data)
{
  GstInt8MqttStats stats;

  for (guint i = 0; i < N_LINES; i++) {
    gst_int8_mqtt_send (data, g_strdup_printf ("%u", i));
    if (i % 50 == 0) {
      gst_int8_mqtt_get_stats (data, &stats);
      g_usleep (2000);
    }
  }
  return NULL;
}

static void
check_delivery (const TestBroker *broker, guint qos)
{
  g_autofree char *address = g_strdup_printf ("127.0.0.1:%u", broker->port);
  const GstInt8MqttSettings settings = {.address = address,
      .topic = TOPIC,
      .client_id = "sender",
      .qos = qos,
      .keepalive = 60,
      .queue_size = N_SENDERS * N_LINES};
  GstInt8Mqtt *mqtt = gst_int8_mqtt_new (&settings, report, NULL, NULL);
  TestSubscriber *watcher = test_subscriber_new (broker, TOPIC);
  g_auto (GStrv) lines = NULL;
  GThread *senders[N_SENDERS];
  GstInt8MqttStats stats;

  for (guint i = 0; i < N_SENDERS; i++)
    senders[i] = g_thread_new ("sender", send_lines, mqtt);
  g_usleep (20000);
  test_broker_cut (broker, "sender");
  for (guint i = 0; i < N_SENDERS; i++)
    g_thread_join (senders[i]);
  gst_int8_mqtt_free (mqtt, 20 * GST_SECOND, &stats);
  CHECK (stats.queued == 0 && stats.dropped == 0);
  CHECK (stats.delivered == N_SENDERS * N_LINES);
  lines = test_subscriber_wait (watcher, N_SENDERS * N_LINES);
  CHECK (g_strv_length (lines) >= N_SENDERS * N_LINES);
  test_subscriber_free (watcher);
}

/* Freed while it cannot connect, full. */
static void
test_end (void)
{
  const GstInt8MqttSettings settings = {.address = "127.0.0.1:1",
      .topic = TOPIC,
      .qos = 1,
      .keepalive = 60,
      .queue_size = 10};

  for (guint i = 0; i < 20; i++) {
    GstInt8Mqtt *mqtt = gst_int8_mqtt_new (&settings, report, NULL, NULL);
    GstInt8MqttStats stats;
    GThread *sender = g_thread_new ("sender", send_lines, mqtt);

    g_thread_join (sender);
    gst_int8_mqtt_free (mqtt, i % 2 * GST_MSECOND, &stats);
    CHECK (stats.queued == 10 && stats.dropped == N_LINES - 10 && stats.delivered == 0);
  }
}

static void
test_broker (void)
{
  TestBroker broker;

  if (!test_broker_program ())
    SKIP ("there is no mosquitto");
  test_broker_init (&broker, NULL);
  test_broker_start (&broker);
  for (guint qos = 1; qos <= 2; qos++)
    check_delivery (&broker, qos);
  test_broker_clear (&broker);
}

int
main (void)
{
  RUN (test_end);
  RUN (test_broker);
  return check_done ();
}
