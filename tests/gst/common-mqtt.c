/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* common-mqtt.c: see common-mqtt.h. */
#include "tests/gst/common-mqtt.h"

#include <arpa/inet.h>
#include <gio/gio.h>
#include <glib/gstdio.h>
#include <mosquitto.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define PATIENCE (20 * G_TIME_SPAN_SECOND)

const char *
test_broker_program (void)
{
  static char *program;

  if (!program)
    program = g_find_program_in_path ("mosquitto");
  if (!program && g_file_test ("/usr/sbin/mosquitto", G_FILE_TEST_IS_EXECUTABLE))
    program = g_strdup ("/usr/sbin/mosquitto");
  return program;
}

/* A socket on a port of the loopback device: a free one where port is 0, else connected to it. */
static int
loopback (guint *port)
{
  struct sockaddr_in address = {.sin_family = AF_INET,
      .sin_port = htons ((guint16) *port),
      .sin_addr.s_addr = htonl (INADDR_LOOPBACK)};
  const int fd = socket (AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  socklen_t length = sizeof address;
  const int rc = *port ? connect (fd, (struct sockaddr *) &address, length)
                       : bind (fd, (struct sockaddr *) &address, length);

  if (rc == 0 && *port == 0 && getsockname (fd, (struct sockaddr *) &address, &length) == 0)
    *port = ntohs (address.sin_port);
  if (rc == 0)
    return fd;
  close (fd);
  return -1;
}

void
test_broker_init (TestBroker *broker, const char *more)
{
  g_autofree char *path = NULL, *text = NULL;
  int fd;

  /* In memory where that can be had: a disk that is busy makes the broker wait for it. */
  *broker = (TestBroker){.folder = g_strdup ("/dev/shm/int8-broker-XXXXXX")};
  if (!g_mkdtemp (broker->folder)) {
    g_free (broker->folder);
    broker->folder = g_dir_make_tmp ("int8-broker-XXXXXX", NULL);
  }
  g_assert_true (broker->folder != NULL);
  path = g_build_filename (broker->folder, "broker.conf", NULL);
  fd = loopback (&broker->port);
  g_assert_cmpint (fd, >=, 0);
  close (fd);
  /* Nothing is saved by itself: a file that is synchronised for every message makes a broker slow. What is there
   * goes to the subscriber at once, so that none is in the broker only when it is killed. */
  text = g_strdup_printf ("listener %u 127.0.0.1\nuser root\npersistence true\n"
                          "persistence_location %s/\nautosave_interval 0\n"
                          "max_inflight_messages 0\nmax_queued_messages 0\n%s\n",
      broker->port, broker->folder, more ? more : "allow_anonymous true");
  g_assert_true (g_file_set_contents (path, text, -1, NULL));
}

/* A test that fails leaves no broker behind. */
static void
end_with_parent (gpointer data)
{
  prctl (PR_SET_PDEATHSIG, SIGKILL);
}

void
test_broker_start (TestBroker *broker)
{
  g_autofree char *path = g_build_filename (broker->folder, "broker.conf", NULL);
  char *argv[] = {(char *) test_broker_program (), "-c", path, NULL};
  const gint64 until = g_get_monotonic_time () + PATIENCE;
  int fd;

  g_assert_true (g_spawn_async (NULL, argv, NULL,
      G_SPAWN_DO_NOT_REAP_CHILD | G_SPAWN_STDOUT_TO_DEV_NULL | G_SPAWN_STDERR_TO_DEV_NULL,
      end_with_parent, NULL, &broker->pid, NULL));
  while ((fd = loopback (&broker->port)) < 0) {
    if (g_get_monotonic_time () > until || waitpid (broker->pid, NULL, WNOHANG) != 0)
      g_error ("mosquitto does not listen on port %u", broker->port);
    g_usleep (10000);
  }
  close (fd);
}

void
test_broker_stop (TestBroker *broker, int signal)
{
  g_assert_cmpint (kill (broker->pid, signal), ==, 0);
  waitpid (broker->pid, NULL, 0);
  broker->pid = 0;
}

void
test_broker_save (const TestBroker *broker)
{
  g_autofree char *path = g_build_filename (broker->folder, "mosquitto.db", NULL);
  const gint64 until = g_get_monotonic_time () + PATIENCE;

  g_assert_cmpint (kill (broker->pid, SIGUSR1), ==, 0);
  while (!g_file_test (path, G_FILE_TEST_EXISTS) && g_get_monotonic_time () < until)
    g_usleep (10000);
  g_assert_true (g_file_test (path, G_FILE_TEST_EXISTS));
}

void
test_broker_clear (TestBroker *broker)
{
  static const char *const files[] = {"broker.conf", "mosquitto.db"};

  if (broker->pid)
    test_broker_stop (broker, SIGTERM);
  for (guint i = 0; i < G_N_ELEMENTS (files); i++) {
    g_autofree char *path = g_build_filename (broker->folder, files[i], NULL);

    g_unlink (path);
  }
  g_assert_cmpint (g_rmdir (broker->folder), ==, 0);
  g_clear_pointer (&broker->folder, g_free);
}

static void
on_accepted (struct mosquitto *mosquitto, void *data, int code)
{
  *(gboolean *) data = code == 0;
}

void
test_broker_cut (const TestBroker *broker, const char *client_id)
{
  gboolean accepted = FALSE;
  struct mosquitto *other = mosquitto_new (client_id, false, &accepted);

  mosquitto_connect_callback_set (other, on_accepted);
  g_assert_cmpint (mosquitto_connect (other, "127.0.0.1", (int) broker->port, 60), ==, 0);
  while (!accepted)
    g_assert_cmpint (mosquitto_loop (other, 1000, 1), ==, 0);
  mosquitto_destroy (other); /* without a word, so that the broker keeps the session */
}

/* --- Subscriber ---------------------------------------------------------------------------------- */

struct TestSubscriber {
  struct mosquitto *mosquitto; /* the thread's */
  GThread *thread;
  gint stop; /* atomic */
  const char *topic;
  GMutex lock;
  GCond changed;
  GPtrArray *messages;
  guint n_subscribed;
};

static void
on_connect (struct mosquitto *mosquitto, void *data, int code)
{
  TestSubscriber *self = data;

  if (code == 0)
    mosquitto_subscribe (mosquitto, NULL, self->topic, 2);
}

static void
on_subscribe (struct mosquitto *mosquitto, void *data, int id, int n, const int *granted)
{
  TestSubscriber *self = data;

  g_mutex_lock (&self->lock);
  self->n_subscribed++;
  g_cond_broadcast (&self->changed);
  g_mutex_unlock (&self->lock);
}

static void
on_message (struct mosquitto *mosquitto, void *data, const struct mosquitto_message *message)
{
  TestSubscriber *self = data;

  g_mutex_lock (&self->lock);
  g_ptr_array_add (self->messages, g_strndup (message->payload, (gsize) message->payloadlen));
  g_cond_broadcast (&self->changed);
  g_mutex_unlock (&self->lock);
}

/* Not libmosquitto's own thread, which waits a second before it connects again. */
static gpointer
run (gpointer data)
{
  TestSubscriber *self = data;

  while (!g_atomic_int_get (&self->stop))
    if (mosquitto_loop (self->mosquitto, 100, 1) != MOSQ_ERR_SUCCESS) {
      g_usleep (100000);
      mosquitto_reconnect (self->mosquitto);
    }
  mosquitto_disconnect (self->mosquitto);
  return NULL;
}

TestSubscriber *
test_subscriber_new (const TestBroker *broker, const char *topic)
{
  TestSubscriber *self = g_new0 (TestSubscriber, 1);

  mosquitto_lib_init ();
  self->topic = topic;
  g_mutex_init (&self->lock);
  g_cond_init (&self->changed);
  self->messages = g_ptr_array_new_with_free_func (g_free);
  self->mosquitto = mosquitto_new ("watcher", false, self);
  mosquitto_connect_callback_set (self->mosquitto, on_connect);
  mosquitto_subscribe_callback_set (self->mosquitto, on_subscribe);
  mosquitto_message_callback_set (self->mosquitto, on_message);
  g_assert_cmpint (mosquitto_connect (self->mosquitto, "127.0.0.1", (int) broker->port, 60), ==, 0);
  self->thread = g_thread_new ("subscriber", run, self);
  test_subscriber_wait_subscribed (self, 1);
  return self;
}

void
test_subscriber_free (TestSubscriber *self)
{
  g_atomic_int_set (&self->stop, 1);
  g_thread_join (self->thread);
  mosquitto_destroy (self->mosquitto);
  g_ptr_array_unref (self->messages);
  g_mutex_clear (&self->lock);
  g_cond_clear (&self->changed);
  g_free (self);
}

char **
test_subscriber_wait (TestSubscriber *self, guint n)
{
  const gint64 until = g_get_monotonic_time () + PATIENCE;
  char **messages;

  g_mutex_lock (&self->lock);
  while (self->messages->len < n && g_cond_wait_until (&self->changed, &self->lock, until))
    ;
  messages = g_new0 (char *, self->messages->len + 1);
  for (guint i = 0; i < self->messages->len; i++)
    messages[i] = g_strdup (g_ptr_array_index (self->messages, i));
  g_mutex_unlock (&self->lock);
  return messages;
}

gboolean
test_subscriber_wait_for (TestSubscriber *self,
    gboolean (*is_it) (const char *message, gpointer data), gpointer data)
{
  const gint64 until = g_get_monotonic_time () + PATIENCE;
  gboolean found = FALSE, in_time = TRUE;

  g_mutex_lock (&self->lock);
  while (!found && in_time) {
    for (guint i = self->messages->len; i > 0 && !found; i--)
      found = is_it (g_ptr_array_index (self->messages, i - 1), data);
    in_time = found || g_cond_wait_until (&self->changed, &self->lock, until);
  }
  g_mutex_unlock (&self->lock);
  return found;
}

void
test_subscriber_wait_subscribed (TestSubscriber *self, guint n)
{
  const gint64 until = g_get_monotonic_time () + PATIENCE;

  g_mutex_lock (&self->lock);
  while (self->n_subscribed < n && g_cond_wait_until (&self->changed, &self->lock, until))
    ;
  g_assert_cmpuint (self->n_subscribed, >=, n);
  g_mutex_unlock (&self->lock);
}
