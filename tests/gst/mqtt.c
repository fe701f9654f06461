/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* mqtt.c: int8metajson's lines at a real MQTT broker, which is killed, is slow or is not there. */
#include "tests/gst/mqtt-sender.h"

#include <gio/gio.h>
#include <mosquitto.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "gst/mqtt.h"

#define A_KILL 450 /* frames from one end of the broker to the next */

/* --- What arrives -------------------------------------------------------------------------------- */

static guint
frame_of (const char *line)
{
  const char *timestamp = strstr (line, "\"timestamp\":");

  fail_unless (timestamp != NULL, "no timestamp in %s", line);
  return (guint) (g_ascii_strtoull (timestamp + strlen ("\"timestamp\":"), NULL, 10) /
                  TEST_FRAME_DURATION);
}

static gboolean
is_frame (const char *line, gpointer frame)
{
  return frame_of (line) == GPOINTER_TO_UINT (frame);
}

/* Every frame from first to last has come, and none before an earlier one had. Returns how many came again. */
static guint
check_in_order (char **lines, guint first, guint last)
{
  guint next = first, again = 0;

  for (char **line = lines; *line; line++) {
    const guint frame = frame_of (*line);

    fail_unless (frame <= next && frame >= first, "frame %u came before frame %u", frame, next);
    if (frame == next)
      next++;
    else
      again++;
  }
  fail_unless_equals_int (next, last + 1);
  return again;
}

/* --- Tests --------------------------------------------------------------------------------------- */

/* What arrives is what is in the file, for each quality of service. */
GST_START_TEST (test_delivers)
{
  g_autofree char *properties = g_strdup_printf ("mqtt-qos=%d source=\"fé\\\"\" location=%s", __i__,
      test_path ("lines.json"));
  g_auto (GStrv) lines = NULL;
  g_autofree char *file = NULL, *joined = NULL;
  TestSubscriber *watcher;
  TestBroker broker;
  Sender s;

  test_broker_init (&broker, NULL);
  test_broker_start (&broker);
  watcher = test_subscriber_new (&broker, TOPIC);
  sender_init (&s, &broker, properties);
  sender_push (&s, 200);
  sender_wait (&s, "delivered", 200);
  fail_unless_equals_uint64 (sender_stat (&s, "connections"), 1);
  fail_unless_equals_uint64 (sender_stat (&s, "dropped"), 0);
  fail_unless_equals_uint64 (sender_stat (&s, "queued"), 0);
  lines = test_subscriber_wait (watcher, 200);
  sender_clear (&s);
  joined = g_strjoinv ("\n", lines);
  file = test_contents (test_path ("lines.json"));
  fail_unless_equals_string (g_strchomp (file), joined);
  test_subscriber_free (watcher);
  test_broker_clear (&broker);
}
GST_END_TEST;

/* Of n frames none is missing that the broker had not acknowledged when it was killed: those that were sent since
 * the time before and acknowledged it may have lost. Returns how many. */
static guint
check_only_lost_by_broker (char **lines, guint n, const guint *acknowledged, guint n_kills)
{
  g_autofree gboolean *came = g_new0 (gboolean, n);
  guint last = 0, lost = 0;

  for (char **line = lines; *line; line++) {
    const guint frame = frame_of (*line);

    fail_unless (came[frame] || frame >= last, "frame %u came after frame %u", frame, last);
    came[frame] = TRUE;
    last = MAX (last, frame);
  }
  for (guint frame = 0; frame < n; frame++) {
    gboolean excused = FALSE;

    for (guint i = 0; i < n_kills; i++)
      excused = excused || (frame >= i * A_KILL && frame < acknowledged[i]);
    fail_unless (came[frame] || excused, "frame %u is lost; acknowledged when killed: %u, %u, %u",
        frame, acknowledged[0], acknowledged[1], acknowledged[2]);
    lost += !came[frame];
  }
  return lost;
}

/* Ended three times in the middle: at once, so that it has what it had sent on and no more, or so that it can
 * write down what it holds. No line that it had not acknowledged is lost, and their order is kept. */
GST_START_TEST (test_broker_ends)
{
  enum { KILLS = 3, FRAMES = KILLS * A_KILL + 50 };
  const int signal = __i__ ? SIGKILL : SIGTERM;
  guint acknowledged[KILLS];
  g_auto (GStrv) lines = NULL;
  TestSubscriber *watcher;
  TestBroker broker;
  Sender s;

  test_broker_init (&broker, NULL);
  test_broker_start (&broker);
  watcher = test_subscriber_new (&broker, TOPIC);
  test_broker_save (&broker);
  sender_init (&s, &broker, "mqtt-qos=1 mqtt-drain-timeout=20000000000");
  for (guint i = 0; i < KILLS; i++) {
    sender_push (&s, 300);
    sender_wait (&s, "delivered", i * A_KILL + 20);
    test_broker_stop (&broker, signal);
    sender_push (&s, A_KILL - 300);
    test_expect_warning (s.bus, "broker", "trying again", NULL);
    acknowledged[i] = (guint) sender_stat (&s, "delivered");
    test_broker_start (&broker);
    sender_wait (&s, "connections", i + 2);
    /* What is acknowledged while the subscriber is away is in the broker only. */
    test_subscriber_wait_subscribed (watcher, i + 2);
    fail_unless (
        test_subscriber_wait_for (watcher, is_frame, GUINT_TO_POINTER ((i + 1) * A_KILL - 1)));
  }
  sender_push (&s, 50);
  sender_drain (&s);
  fail_unless (test_subscriber_wait_for (watcher, is_frame, GUINT_TO_POINTER (FRAMES - 1)));
  sender_clear (&s);
  lines = test_subscriber_wait (watcher, 0);
  if (signal == SIGTERM)
    printf ("%u lines, %u of them came again\n", FRAMES, check_in_order (lines, 0, FRAMES - 1));
  else
    printf ("%u lines, %u of them acknowledged and lost by the broker\n", FRAMES,
        check_only_lost_by_broker (lines, FRAMES, acknowledged, KILLS));
  test_subscriber_free (watcher);
  test_broker_clear (&broker);
}
GST_END_TEST;

/* With a session that both sides keep, everything comes exactly once however often the connection is cut. (When it
 * is restarted itself, mosquitto 2.0.11 loses some messages of qos 2 that it has acknowledged.) */
GST_START_TEST (test_exactly_once)
{
  g_auto (GStrv) lines = NULL;
  TestSubscriber *watcher;
  TestBroker broker;
  const guint cuts = 5;
  Sender s;

  if (mosquitto_lib_version (NULL, NULL, NULL) >= 2001000) {
    printf (
        "SKIP libmosquitto 2.1 reads what is left of a connection that was cut as part of the next\n");
    return;
  }
  test_broker_init (&broker, NULL);
  test_broker_start (&broker);
  watcher = test_subscriber_new (&broker, TOPIC);
  sender_init (&s, &broker, "mqtt-qos=2 mqtt-client-id=gate mqtt-drain-timeout=20000000000");
  for (guint i = 0; i < cuts; i++) {
    sender_push (&s, 200);
    sender_wait (&s, "delivered", i * 200 + 20);
    test_broker_cut (&broker, "gate");
    sender_wait (&s, "connections", i + 2);
  }
  sender_drain (&s);
  sender_clear (&s);
  lines = test_subscriber_wait (watcher, cuts * 200);
  fail_unless_equals_int (check_in_order (lines, 0, cuts * 200 - 1), 0);
  test_subscriber_free (watcher);
  test_broker_clear (&broker);
}
GST_END_TEST;

/* Accepts connections on a port, takes what comes for a while, and then says what no broker may. */
static gpointer
talk_nonsense (gpointer data)
{
  GSocketListener *listener = data;
  GSocketConnection *connection;
  guint n = 0;

  while (n == 0 && (connection = g_socket_listener_accept (listener, NULL, NULL, NULL))) {
    GInputStream *in = g_io_stream_get_input_stream (G_IO_STREAM (connection));
    GOutputStream *out = g_io_stream_get_output_stream (G_IO_STREAM (connection));
    char bytes[4096];
    const gssize size = g_input_stream_read (in, bytes, sizeof bytes, NULL, NULL);

    /* Who only looks whether somebody is there is not counted, nor is the subscriber, who comes back, too. */
    if (size > 0 && !memmem (bytes, (gsize) size, "watcher", 7)) {
      g_output_stream_write_all (out, "\x20\x02\x00\x00", 4, NULL, NULL, NULL); /* accepted */
      for (guint i = 0; i < GST_INT8_MQTT_IN_FLIGHT; i++)
        g_input_stream_read (in, bytes, i == 0 ? sizeof bytes : 1, NULL, NULL);
      g_output_stream_write_all (out, "\x62\x02\x00\x00", 4, NULL, NULL, NULL); /* message 0 */
      n++;
    }
    g_object_unref (connection);
  }
  return NULL;
}

/* After a protocol error everything that was not acknowledged comes, also where libmosquitto has given it up. */
GST_START_TEST (test_nonsense)
{
  GSocketListener *listener = g_socket_listener_new ();
  GInetAddress *loopback = g_inet_address_new_loopback (G_SOCKET_FAMILY_IPV4);
  GSocketAddress *address;
  g_auto (GStrv) lines = NULL;
  TestSubscriber *watcher;
  TestBroker broker;
  GThread *thread;
  Sender s;

  test_broker_init (&broker, NULL);
  test_broker_start (&broker);
  watcher = test_subscriber_new (&broker, TOPIC);
  test_broker_stop (&broker, SIGTERM);
  address = g_inet_socket_address_new (loopback, (guint16) broker.port);
  fail_unless (g_socket_listener_add_address (listener, address, G_SOCKET_TYPE_STREAM,
      G_SOCKET_PROTOCOL_TCP, NULL, NULL, NULL));
  thread = g_thread_new ("nonsense", talk_nonsense, listener);
  sender_init (&s, &broker, __i__ ? "mqtt-qos=2 mqtt-client-id=gate" : "mqtt-qos=1");
  sender_push (&s, 100);
  test_expect_warning (s.bus, "lost the broker", "protocol", NULL);
  g_socket_listener_close (listener);
  g_thread_join (thread);
  test_broker_start (&broker);
  sender_wait (&s, "delivered", 100);
  lines = test_subscriber_wait (watcher, 100);
  fail_unless_equals_int (check_in_order (lines, 0, 99), 0);
  sender_clear (&s);
  g_object_unref (listener);
  g_object_unref (address);
  g_object_unref (loopback);
  test_subscriber_free (watcher);
  test_broker_clear (&broker);
}
GST_END_TEST;

/* No broker: the oldest lines go, and are counted; what is left arrives when it comes. */
GST_START_TEST (test_queue)
{
  g_auto (GStrv) lines = NULL;
  TestSubscriber *watcher;
  TestBroker broker;
  Sender s;

  test_broker_init (&broker, NULL);
  test_broker_start (&broker);
  watcher = test_subscriber_new (&broker, TOPIC);
  test_broker_stop (&broker, SIGTERM);
  sender_init (&s, &broker, "mqtt-queue-size=10");
  test_expect_warning (s.bus, "no connection", "127.0.0.1", NULL);
  sender_push (&s, 30);
  fail_unless_equals_uint64 (sender_stat (&s, "dropped"), 20);
  fail_unless_equals_uint64 (sender_stat (&s, "queued"), 10);
  test_expect_warning (s.bus, "10 results wait", "oldest are dropped", NULL);
  test_broker_start (&broker);
  sender_wait (&s, "delivered", 10);
  lines = test_subscriber_wait (watcher, 10);
  fail_unless_equals_int (check_in_order (lines, 20, 29), 0);
  sender_clear (&s);
  test_subscriber_free (watcher);
  test_broker_clear (&broker);
}
GST_END_TEST;

/* Something that accepts connections and says nothing holds up neither frames nor, for long, the end. */
GST_START_TEST (test_never_blocks)
{
  GSocketListener *deaf = g_socket_listener_new ();
  const TestBroker nobody = {.port = g_socket_listener_add_any_inet_port (deaf, NULL, NULL)};
  gint64 begin;
  Sender s;

  sender_init (&s, &nobody, "mqtt-drain-timeout=200000000");
  begin = g_get_monotonic_time ();
  sender_push (&s, 500);
  sender_stop (&s);
  fail_unless (g_get_monotonic_time () - begin < 5 * G_TIME_SPAN_SECOND);
  test_expect_warning (s.bus, "500 results were not delivered", "0.2 s", NULL);
  sender_clear (&s);
  g_object_unref (deaf);
}
GST_END_TEST;

static Suite *
make_suite (void)
{
  Suite *suite = suite_create ("int8metajson-mqtt");
  TCase *tcase = tcase_create ("mqtt");

  tcase_set_timeout (tcase, 90);
  suite_add_tcase (suite, tcase);
  tcase_add_checked_fixture (tcase, test_setup, test_teardown);
  tcase_add_test (tcase, test_never_blocks);
  if (!test_broker_program ()) {
    printf ("SKIP there is no mosquitto: nothing is sent to a broker\n");
    return suite;
  }
  tcase_add_loop_test (tcase, test_delivers, 0, 3);
  tcase_add_loop_test (tcase, test_broker_ends, 0, 2);
  tcase_add_test (tcase, test_exactly_once);
  tcase_add_loop_test (tcase, test_nonsense, 0, 2);
  tcase_add_test (tcase, test_queue);
  return suite;
}

int
main (int argc, char **argv)
{
  return test_main (argc, argv, "mqtt", make_suite);
}
