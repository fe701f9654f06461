/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * batcher.c: the threads of an instance by themselves: members that submit, wait, take back, are woken, come
 * and go, while settings change and networks are exchanged. The networks are made here and compute
 * nothing: a picture's class is its buffer's offset, so that every result tells whose it is. Also built
 * with ThreadSanitizer and pthread's locks (tsan-glib.c); it wants G_SLICE=always-malloc then, since it sees
 * nothing of GLib's allocator either.
 */
#include "gst/instance-private.h"
#include "gst/stages.h"
#include "tests/check.h"

#define N_MEMBERS          6
#define N_ROUNDS           400
#define WINDOW             3 /* jobs of a member under way */
#define PICTURES           3 /* of a job, at most */
#define BATCH              4
#define UNREADABLE(offset) ((offset) % 31 == 30)

GST_DEBUG_CATEGORY (gst_int8_infer_debug);

/* --- Networks that compute nothing ----------------------------------------------------------- */

/* Belongs to one thread at a time: nothing in it is guarded. */
struct _GstInt8Runner {
  guint n, offsets[BATCH];
  gboolean ended;
  GstInt8Class best;
};

static gint n_networks, n_made, n_warnings; /* atomic: alive; asked for; posted */
static KernelBackend devices[] = {{.name = "host", .host_memory = TRUE}, {.name = "device"}};

gboolean
gst_int8_runner_add (GstInt8Runner *runner, const GstInt8FrameFormat *format, GstBuffer *buffer,
    const EngineRect *region, GError **error)
{
  if (runner->ended)
    runner->n = 0;
  runner->ended = FALSE;
  if (UNREADABLE (GST_BUFFER_OFFSET (buffer))) {
    g_set_error_literal (error, G_IO_ERROR, G_IO_ERROR_FAILED, "unreadable");
    return FALSE;
  }
  runner->offsets[runner->n++] = (guint) GST_BUFFER_OFFSET (buffer);
  return TRUE;
}

gboolean
gst_int8_runner_start (GstInt8Runner *runner, GError **error)
{
  return TRUE;
}

gboolean
gst_int8_runner_wait (GstInt8Runner *runner, GError **error)
{
  g_usleep (runner->offsets[0] % 7 * 10);
  runner->ended = TRUE;
  return TRUE;
}

guint
gst_int8_runner_classify (GstInt8Runner *runner, guint picture, guint top_k, double threshold,
    GstInt8Softmax softmax, const GstInt8Class **best)
{
  runner->best = (GstInt8Class){.index = runner->offsets[picture]};
  *best = &runner->best;
  return 1;
}

void
gst_int8_runner_output (GstInt8Runner *runner, guint picture, GstInt8Output *output)
{
}

guint
gst_int8_device_lanes (const GstInt8Device *device)
{
  return device->backend->host_memory ? 1 : GST_INT8_DEVICE_LANES;
}

char *
gst_int8_device_name (const GstInt8Device *device)
{
  return g_strdup (device->backend->name);
}

/* Every fifth cannot be had. */
GstInt8Network *
gst_int8_network_new (GstElement *element, const GstInt8NetworkSettings *settings,
    const GstInt8Device *device, guint n_devices, GCancellable *cancellable, GError **error)
{
  GstInt8Network *network;

  g_usleep (300);
  if (g_cancellable_set_error_if_cancelled (cancellable, error))
    return NULL;
  if (g_atomic_int_add (&n_made, 1) % 5 == 4) {
    g_set_error_literal (error, G_IO_ERROR, G_IO_ERROR_FAILED, "not this time");
    return NULL;
  }
  network = g_new0 (GstInt8Network, 1);
  network->model_name = "model";
  for (guint i = 0; i < n_devices; i++)
    for (guint k = gst_int8_device_lanes (&device[i]); k > 0; k--)
      network->runners[network->n_runners++] = g_new0 (GstInt8Runner, 1);
  g_atomic_int_inc (&n_networks);
  return network;
}

void
gst_int8_network_free (GstInt8Network *network)
{
  if (!network)
    return;
  for (guint i = 0; i < network->n_runners; i++)
    g_free (network->runners[i]);
  g_free (network);
  g_atomic_int_add (&n_networks, -1);
}

void
gst_int8_network_post (GstElement *element, const GstInt8Network *network,
    const GstInt8Device *device, guint n_devices)
{
}

void
gst_int8_network_settings_copy (const GstInt8NetworkSettings *from, GstInt8NetworkSettings *to)
{
  *to = *from;
  to->table = g_strdup (from->table);
}

void
gst_int8_network_settings_clear (GstInt8NetworkSettings *settings)
{
  g_clear_pointer (&settings->table, g_free);
}

gboolean
gst_int8_network_settings_check (const GstInt8NetworkSettings *settings, GError **error)
{
  return TRUE;
}

void
gst_int8_config_post_error (GstElement *element, const GError *error, const char *hint)
{
  g_error ("%s", error->message);
}

void
gst_int8_config_post_warning (GstElement *element, const GError *error, const char *text,
    const char *hint)
{
  g_atomic_int_inc (&n_warnings);
}

/* No labels, no guard. */
GstInt8Labels *
gst_int8_labels_ref (GstInt8Labels *labels)
{
  return labels;
}

void
gst_int8_labels_unref (GstInt8Labels *labels)
{
}

GstInt8Guard *
gst_int8_guard_ref (GstInt8Guard *guard)
{
  return guard;
}

void
gst_int8_guard_set_element (GstInt8Guard *guard, GstElement *element)
{
}

void
gst_int8_guard_frame (GstInt8Guard *guard, const GstInt8FrameFormat *format, GstBuffer *buffer,
    const EngineRect *region)
{
}

GQuark
engine_error_quark (void)
{
  return g_quark_from_static_string ("engine-error-quark");
}

KernelBackend *
engine_backend_open (const char *name, GError **error)
{
  return g_str_equal (name, devices[0].name) ? &devices[0] : &devices[1];
}

void
engine_backend_close (KernelBackend *backend)
{
}

/* --- Members --------------------------------------------------------------------------------- */

/* A place for a job, and what it needs. */
typedef struct {
  GstInt8Job job;
  GstBuffer buffer;
  GstInt8Picture pictures[PICTURES];
  GstInt8Class classes[PICTURES];
} Place;

typedef struct {
  guint number;
  GstElement *element; /* any object: it is only referenced */
  GstInt8Member *member;
  gint stop; /* atomic: of who wakes it */
  guint done, wrong, unreadable;
} Client;

static GstInt8Member *
join (GstElement *element)
{
  const GstInt8NetworkSettings settings = {.config.model = (char *) "model", .batch_size = BATCH};
  static const GstInt8Device both[] = {{.backend = &devices[0]}, {.backend = &devices[1]}};

  return gst_int8_instance_join ("batcher", element, &settings, both, G_N_ELEMENTS (both), NULL);
}

static void
submit (Client *client, Place *place, guint round)
{
  GstInt8Job *job = &place->job;

  GST_BUFFER_OFFSET (&place->buffer) = client->number * 10000 + round;
  job->buffer = &place->buffer;
  job->pictures = place->pictures;
  job->n_pictures = round % (PICTURES + 1);
  job->top_k = 1;
  job->timeout = round % 3 * 200;
  for (guint i = 0; i < job->n_pictures; i++)
    place->pictures[i] = (GstInt8Picture){.classes = &place->classes[i]};
  gst_int8_member_submit (client->member, job);
}

static void
check_job (Client *client, const Place *place, guint round)
{
  const guint64 offset = GST_BUFFER_OFFSET (&place->buffer);
  const gboolean bad = place->job.n_pictures > 0 && UNREADABLE (offset);

  client->done++;
  client->unreadable += bad;
  client->wrong += offset != client->number * 10000 + round || (place->job.error != NULL) != bad;
  for (guint i = 0; i < place->job.n_pictures && !bad; i++)
    client->wrong += place->pictures[i].n_classes != 1 || place->classes[i].index != offset;
}

/* A stream: some jobs ahead, results in order, now and then a flush. */
static gpointer
run_client (gpointer data)
{
  Client *client = data;
  Place places[WINDOW] = {0};
  guint oldest = 0;

  for (guint round = 0; round < N_ROUNDS; round++) {
    while (round - oldest >= WINDOW) {
      Place *place = &places[oldest % WINDOW];

      if (gst_int8_member_wait (client->member, &place->job, round % 5 == 0) == GST_INT8_JOB_DONE)
        check_job (client, place, oldest++);
    }
    submit (client, &places[round % WINDOW], round);
    if (round % 50 == 49) {
      gst_int8_member_cancel (client->member);
      oldest = round + 1;
    }
  }
  gst_int8_member_cancel (client->member);
  for (guint i = 0; i < WINDOW; i++)
    gst_int8_job_clear (&places[i].job);
  return NULL;
}

static void
change (GstInt8NetworkSettings *settings, gpointer data)
{
  settings->strict = !settings->strict;
}

/* Events that come in between, and other settings. */
static gpointer
run_disturber (gpointer data)
{
  Client *client = data;

  for (guint i = 0; !g_atomic_int_get (&client->stop); i++) {
    gst_int8_member_wake (client->member);
    if (i % 16 == 0)
      gst_int8_member_configure (client->member, change, NULL, NULL);
    g_usleep (200);
  }
  return NULL;
}

/* Somebody who comes and goes, with a job each time. */
static gpointer
run_visitor (gpointer data)
{
  Client *client = data;

  for (guint round = 0; round < N_ROUNDS / 4; round++) {
    Place place = {0};
    GstInt8JobState state;

    client->member = join (client->element);
    gst_int8_member_batch_size (client->member);
    if (round % 4 == 0)
      client->wrong += !gst_int8_member_configure (client->member, change, NULL, NULL);
    submit (client, &place, round);
    do
      state = gst_int8_member_wait (client->member, &place.job, TRUE);
    while (state == GST_INT8_JOB_WOKEN);
    check_job (client, &place, round);
    gst_int8_job_clear (&place.job);
    gst_int8_member_leave (client->member);
  }
  return NULL;
}

static void
client_init (Client *client, guint number)
{
  *client = (Client){.number = number, .element = g_object_new (G_TYPE_OBJECT, NULL)};
}

static void
test_threads (void)
{
  GThread *threads[N_MEMBERS], *disturber, *visitor_thread;
  Client clients[N_MEMBERS], visitor;
  guint done = 0, unreadable = 0;

  /* What GLib makes when it is first used is none of the threads' doing. */
  g_error_free (g_error_new_literal (G_IO_ERROR, G_IO_ERROR_FAILED, "first"));
  client_init (&visitor, N_MEMBERS);
  for (guint i = 0; i < N_MEMBERS; i++) {
    client_init (&clients[i], i);
    clients[i].member = join (clients[i].element);
    CHECK (clients[i].member != NULL);
  }
  for (guint i = 0; i < N_MEMBERS; i++)
    threads[i] = g_thread_new ("client", run_client, &clients[i]);
  disturber = g_thread_new ("disturber", run_disturber, &clients[0]);
  visitor_thread = g_thread_new ("visitor", run_visitor, &visitor);
  for (guint i = 0; i < N_MEMBERS; i++)
    g_thread_join (threads[i]);
  g_thread_join (visitor_thread);
  g_atomic_int_set (&clients[0].stop, 1);
  g_thread_join (disturber);
  for (guint i = 0; i < N_MEMBERS; i++) {
    gst_int8_member_leave (clients[i].member);
    g_object_unref (clients[i].element);
    CHECK_INT (clients[i].wrong, ==, 0);
    done += clients[i].done;
    unreadable += clients[i].unreadable;
  }
  g_object_unref (visitor.element);
  CHECK_INT (visitor.done, ==, N_ROUNDS / 4);
  CHECK_INT (visitor.wrong, ==, 0);
  CHECK_INT (done, >=, N_MEMBERS * N_ROUNDS / 2);
  CHECK_INT (unreadable, >, 0);
  CHECK_INT (n_made, >=, 5);
  CHECK_INT (n_warnings, >, 0);
  CHECK_INT (n_networks, ==, 0);
  printf ("%u jobs, %d networks, %d warnings\n", done + visitor.done, n_made, n_warnings);
}

int
main (void)
{
  gst_int8_stages_init ();
  RUN (test_threads);
  return check_done ();
}
