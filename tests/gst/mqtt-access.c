/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* mqtt-access.c: passwords and certificates of an MQTT broker, and settings that can never work. */
#include "tests/gst/mqtt-sender.h"

#include <netdb.h>
#include <stdio.h>

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
  Suite *suite = suite_create ("int8metajson-mqtt-access");
  TCase *tcase = tcase_create ("mqtt-access");

  tcase_set_timeout (tcase, 90);
  suite_add_tcase (suite, tcase);
  tcase_add_checked_fixture (tcase, test_setup, test_teardown);
  tcase_add_test (tcase, test_refused);
  if (!test_broker_program ()) {
    printf ("SKIP there is no mosquitto: nothing is sent to a broker\n");
    return suite;
  }
  tcase_add_test (tcase, test_password);
  tcase_add_test (tcase, test_tls);
  return suite;
}

int
main (int argc, char **argv)
{
  return test_main (argc, argv, "mqtt-access", make_suite);
}
