/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* mqtt.c: int8metajson's lines at a real MQTT broker, which is killed, refuses, is slow or is not there. */
#include "tests/gst/common.h"

#include <gio/gio.h>
#include <glib/gstdio.h>
#include <mosquitto.h>
#include <netdb.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "gst/mqtt.h"
#include "tests/gst/common-mqtt.h"

#define TOPIC  "cameras/gate 3"
#define A_KILL 450 /* frames from one end of the broker to the next */

/* --- int8metajson at work ------------------------------------------------------------------------ */

typedef struct {
  GstElement *element;
  GstBus *bus;
  GstHarness *h;
  guint next; /* the frame */
} Sender;

static void
sender_init (Sender *s, const TestBroker *broker, const char *properties)
{
  g_autofree char *launch =
      g_strdup_printf ("int8metajson add-empty-results=true "
                       "mqtt-address=127.0.0.1:%u mqtt-topic=\"" TOPIC "\" %s",
          broker->port, properties);

  s->element = test_element_new (launch, &s->bus);
  s->h = gst_harness_new_with_element (s->element, "sink", "src");
  s->next = 0;
  gst_harness_set_src_caps (s->h, test_small_caps ());
}

static void
sender_push (Sender *s, guint n)
{
  for (guint i = 0; i < n; i++)
    gst_buffer_unref (gst_harness_push_and_pull (s->h, test_small_frame (s->next++)));
}

static guint64
sender_stat (Sender *s, const char *name)
{
  GstStructure *stats = NULL;
  guint64 value = 0;
  guint queued = 0;

  g_object_get (s->element, "mqtt-stats", &stats, NULL);
  if (gst_structure_get_uint (stats, name, &queued))
    value = queued;
  else
    fail_unless (gst_structure_get_uint64 (stats, name, &value));
  gst_structure_free (stats);
  return value;
}

static void
sender_wait (Sender *s, const char *stat, guint64 least)
{
  for (guint i = 0; i < 2000 && sender_stat (s, stat) < least; i++)
    g_usleep (10000);
  fail_unless (sender_stat (s, stat) >= least, "%s stays %" G_GUINT64_FORMAT, stat,
      sender_stat (s, stat));
}

static void
sender_stop (Sender *s)
{
  gst_element_set_state (s->element, GST_STATE_READY); /* not NULL, whose bus forgets */
}

/* Stops it, and everything is delivered in time. */
static void
sender_drain (Sender *s)
{
  GstMessage *message;

  sender_stop (s);
  test_expect_no_error (s->bus);
  while ((message = gst_bus_pop_filtered (s->bus, GST_MESSAGE_WARNING))) {
    g_autoptr (GError) warning = NULL;

    gst_message_parse_warning (message, &warning, NULL);
    fail_if (strstr (warning->message, "not delivered"), "%s", warning->message);
    gst_message_unref (message);
  }
}

static void
sender_clear (Sender *s)
{
  gst_harness_teardown (s->h);
  gst_element_set_bus (s->element, NULL);
  gst_object_unref (s->element);
  gst_object_unref (s->bus);
}

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

    /* Who only looks whether somebody is there is not counted. */
    if (g_input_stream_read (in, bytes, sizeof bytes, NULL, NULL) > 0) {
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

/* Where it is not, a test says that it is skipped. */
static gboolean
have_program (const char *name)
{
  g_autofree char *path = g_find_program_in_path (name);

  if (!path)
    printf ("SKIP there is no %s\n", name);
  return path != NULL;
}

static void
run (const char *command)
{
  int status = 1;

  fail_unless (g_spawn_command_line_sync (command, NULL, NULL, &status, NULL) && status == 0, "%s",
      command);
}

/* A password of a file and of the environment opens the broker; another one ends the pipeline. */
GST_START_TEST (test_password)
{
  const char *passwords = test_path ("passwords"), *secret = test_path ("secret");
  g_autofree char *more = g_strdup_printf ("allow_anonymous false\npassword_file %s", passwords);
  g_autofree char *make =
      g_strdup_printf ("mosquitto_passwd -b -c %s camera \"open sesame\"", passwords);
  g_autofree char *from_file =
      g_strdup_printf ("mqtt-username=camera mqtt-password=file:%s", secret);
  TestBroker broker;
  Sender s;

  if (!have_program ("mosquitto_passwd"))
    return;
  run (make);
  g_file_set_contents (secret, "open sesame\n", -1, NULL);
  g_setenv ("TEST_MQTT_PASSWORD", "open sesame", TRUE);
  test_broker_init (&broker, more);
  test_broker_start (&broker);

  sender_init (&s, &broker, from_file);
  sender_push (&s, 5);
  sender_wait (&s, "delivered", 5);
  sender_clear (&s);
  sender_init (&s, &broker, "mqtt-username=camera mqtt-password=env:TEST_MQTT_PASSWORD");
  sender_push (&s, 5);
  sender_wait (&s, "delivered", 5);
  sender_clear (&s);

  g_setenv ("TEST_MQTT_PASSWORD", "guess", TRUE);
  sender_init (&s, &broker,
      "mqtt-username=camera mqtt-password=env:TEST_MQTT_PASSWORD mqtt-drain-timeout=0");
  test_expect_error (s.bus, "refuses", "127.0.0.1", NULL);
  sender_push (&s, 5); /* goes on, into the queue */
  sender_clear (&s);
  test_broker_clear (&broker);
}
GST_END_TEST;

/* A bare root need not have an /etc/hosts. */
static gboolean
have_localhost (void)
{
  struct addrinfo *found = NULL;
  const int result = getaddrinfo ("localhost", NULL, NULL, &found);

  if (result != 0) {
    printf ("SKIP \"localhost\" has no address: %s\n", gai_strerror (result));
    return FALSE;
  }
  freeaddrinfo (found);
  return TRUE;
}

/* A certificate authority, and a server certificate of it for localhost. */
static void
make_certificates (const char *folder)
{
  static const char *const commands[] = {
      "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout %s/ca.key -out "
      "%s/ca.pem -days 2 -subj /CN=test-ca",
      "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout %s/other.key -out "
      "%s/other.pem -days 2 -subj /CN=other-ca",
      "openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout %s/server.key -out "
      "%s/server.csr -subj /CN=localhost",
      "openssl x509 -req -in %s/server.csr -CA %s/ca.pem -CAkey %s/ca.key -CAcreateserial -out "
      "%s/server.pem -days 2"};

  for (guint i = 0; i < G_N_ELEMENTS (commands); i++) {
    g_auto (GStrv) parts = g_strsplit (commands[i], "%s", -1);
    g_autofree char *command = g_strjoinv (folder, parts);

    run (command);
  }
}

GST_START_TEST (test_tls)
{
  const char *folder = test_folder ();
  g_autofree char *more = g_strdup_printf (
      "allow_anonymous true\ncertfile %s/server.pem\nkeyfile %s/server.key", folder, folder);
  g_autofree char *good = NULL, *bad = NULL;
  TestBroker broker;
  Sender s;

  if (!have_program ("openssl") || !have_localhost ())
    return;
  make_certificates (folder);
  test_broker_init (&broker, more);
  test_broker_start (&broker);
  good = g_strdup_printf ("mqtt-address=mqtts://localhost:%u mqtt-ca-file=%s/ca.pem", broker.port,
      folder);
  bad = g_strdup_printf ("mqtt-address=mqtts://localhost:%u mqtt-ca-file=%s/other.pem "
                         "mqtt-drain-timeout=0",
      broker.port, folder);
  sender_init (&s, &broker, good);
  sender_push (&s, 20);
  sender_wait (&s, "delivered", 20);
  test_expect_no_error (s.bus);
  sender_clear (&s);
  sender_init (&s, &broker, bad);
  test_expect_warning (s.bus, "no connection", "certificate verify failed", NULL);
  sender_clear (&s);
  test_broker_clear (&broker);
}
GST_END_TEST;

/* What can never work is an error, once, before the first frame. */
GST_START_TEST (test_refused)
{
  static const struct {
    const char *properties, *text;
  } cases[] = {
      {"mqtt-address=http://broker", "http://"},
      {"mqtt-address=broker:0", "port 0"},
      {"mqtt-address=broker:70000", "broker:70000"},
      {"mqtt-address=\"a broker\"", "no address"},
      {"mqtt-address=mqtt://me:secret@broker", "mqtt-username"},
      {"mqtt-address=broker/topic", "mqtt-topic"},
      {"mqtt-address=broker mqtt-topic=a/#", "wildcards"},
      {"mqtt-address=broker mqtt-topic=\"\"", "mqtt-topic is empty"},
      {"mqtt-address=broker mqtt-username=me mqtt-password=secret", "env:NAME or file:PATH"},
      {"mqtt-address=broker mqtt-username=me mqtt-password=env:NO_SUCH_VARIABLE",
          "no such variable"},
      {"mqtt-address=broker mqtt-username=me mqtt-password=file:/nowhere/x", "/nowhere/x"},
      {"mqtt-address=broker mqtt-password=env:HOME", "mqtt-username"},
      {"mqtt-address=mqtts://broker mqtt-ca-file=/nowhere/ca.pem", "/nowhere/ca.pem"},
      {"mqtt-address=mqtts://broker mqtt-certificate-file=/dev/null", "belong together"},
      {"mqtt-address=broker mqtt-ca-file=/dev/null", "not encrypted"},
  };

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_autofree char *launch = g_strconcat ("int8metajson ", cases[i].properties, NULL);
    GstBus *bus;
    GstElement *element = test_element_new (launch, &bus);

    fail_unless_equals_int (gst_element_set_state (element, GST_STATE_PAUSED),
        GST_STATE_CHANGE_FAILURE);
    test_expect_error (bus, cases[i].text, NULL);
    fail_if (strstr (cases[i].properties, "secret") && gst_bus_have_pending (bus));
    gst_element_set_state (element, GST_STATE_NULL);
    gst_element_set_bus (element, NULL);
    gst_object_unref (element);
    gst_object_unref (bus);
  }
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
  tcase_add_test (tcase, test_refused);
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
  tcase_add_test (tcase, test_password);
  tcase_add_test (tcase, test_tls);
  return suite;
}

int
main (int argc, char **argv)
{
  return test_main (argc, argv, "mqtt", make_suite);
}
