/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * mqtt-private.h: what the two sides of the queue share: everybody (mqtt.c), and the thread that owns the
 * connection (mqtt-thread.c).
 */
#pragma once

#include "gst/mqtt-client.h"
#include "gst/mqtt.h"

G_BEGIN_DECLS

typedef struct {
  char *text; /* owned */
  int id;     /* libmosquitto's, once it is on its way */
} GstInt8MqttLine;

void gst_int8_mqtt_line_free (gpointer line);

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
  GQueue waiting; /* of GstInt8MqttLine */
  guint n_on_way; /* length of on_way */
  guint64 delivered, dropped, connections;
  guint64 dropped_before; /* the connection was lost */
  gboolean connected, dropping, closing, ended;
  gint64 deadline; /* once closing */

  /* the thread's */
  GstInt8MqttClient *client;
  GQueue on_way; /* of GstInt8MqttLine, in the order that they were sent */
  gboolean was_accepted, has_told_loss, has_told_drop;
  gint64 delay; /* before the next try, us */
};

/* The thread: connects and sends until it is told to close, or refused. */
gpointer gst_int8_mqtt_run (gpointer mqtt);
/* The client's, in the thread: the line of this id has arrived. */
void gst_int8_mqtt_delivered (int id, gpointer mqtt);

G_END_DECLS
