/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * common-mqtt.h: a real broker (mosquitto) on a port of the loopback device, and a subscriber that keeps
 * what it gets. Both can be away and come back: the broker can save its sessions, and does when it is ended
 * by SIGTERM.
 */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/* NULL: not installed. */
const char *test_broker_program (void);

typedef struct {
  GPid pid; /* 0: it is not running */
  guint port;
  char *folder;
} TestBroker;
/* A free port and a configuration; more: further lines of it, or NULL. Does not start it. */
void test_broker_init (TestBroker *broker, const char *more);
void test_broker_start (TestBroker *broker); /* until it listens */
void test_broker_stop (TestBroker *broker, int signal);
/* Has it write down sessions and subscriptions, for the first time: they outlive SIGKILL then. */
void test_broker_save (const TestBroker *broker);
void test_broker_clear (TestBroker *broker);
/* Has the broker cut off the client of that id, by taking its session over for a moment. */
void test_broker_cut (const TestBroker *broker, const char *client_id);

typedef struct TestSubscriber TestSubscriber;
/* Of `topic` with qos 2, in a session that outlives broker and connection; waits until the broker knows it. */
TestSubscriber *test_subscriber_new (const TestBroker *broker, const char *topic);
void test_subscriber_free (TestSubscriber *subscriber);
/* Waits until there are n messages, 20 s at most. All so far, NULL-terminated, in the order that they came. */
char **test_subscriber_wait (TestSubscriber *subscriber, guint n);
/* Waits until a message is the one; FALSE: it does not come within 20 s. */
gboolean test_subscriber_wait_for (TestSubscriber *subscriber,
    gboolean (*is_it) (const char *message, gpointer data), gpointer data);
/* Waits until it has subscribed for the n-th time: it does so whenever it is connected. */
void test_subscriber_wait_subscribed (TestSubscriber *subscriber, guint n);

G_END_DECLS
