/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * calib-kill.c: int8calib is killed with SIGKILL at random instants, again and again, on the same files.
 * Every time they are the old ones or the new ones, whole, and what is lost is at most one checkpoint
 * interval beside the frames that were under way.
 *
 *   gst-calib-kill [KILLS]      default 20; "1 passed, 0 failed" is the last line
 */
#include "calib/calib.h"
#include "tests/check.h"
#include "tests/sanitized.h"

#include <gio/gio.h>
#include <gst/gst.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define INTERVAL 5  /* frames between checkpoints */
#define FRAMES   60 /* frames of a run, which then writes its table */
#define WAY      5  /* frames that may be under way: four slots and the network */
/* Microseconds that a child lives, of which it needs 0.2 seconds to begin, with a sanitizer 1 to 2. */
#if SANITIZED_ADDRESS
#define LONGEST 5000000
#else
#define LONGEST 700000
#endif

/* What a child tells before it dies. */
typedef struct {
  volatile gint runs; /* that were completed */
  volatile gint
      accepted; /* frames that int8calib has taken, with those of the file that it continued */
} Shared;

typedef struct {
  char *folder, *table, *statistics;
  Shared *shared;
  GRand *random;
  guint n_entries;                                   /* of the first table */
  guint64 frames;                                    /* in the file, the last time */
  guint before_first, while_running, with_temporary; /* kills, by what they met */
} Kills;

/* --- The child ------------------------------------------------------------------------------- */

typedef struct {
  Shared *shared;
  GstElement *calib;
  guint64 base;
} Run;

static GstPadProbeReturn
tell (GstPad *pad, GstPadProbeInfo *info, gpointer data)
{
  const Run *run = data;
  GstStructure *stats = NULL;
  guint64 taken = 0;

  g_object_get (run->calib, "calib-stats", &stats, NULL);
  gst_structure_get_uint64 (stats, "taken", &taken);
  gst_structure_free (stats);
  g_atomic_int_set (&run->shared->accepted, (gint) (run->base + taken));
  return GST_PAD_PROBE_OK;
}

static guint64
frames_in (const char *path)
{
  g_autoptr (CalibStatistics) statistics = calib_statistics_load (path, NULL);

  return statistics ? calib_statistics_provenance (statistics)->frames : 0;
}

/* One calibration after the other, until the end. */
static void
calibrate_for_ever (const Kills *kills)
{
  g_autofree char *model =
      g_build_filename (g_getenv ("INT8_SOURCE_DIR"), "data", "fashion-lenet.onnx", NULL);
  g_autofree char *launch = g_strdup_printf (
      "videotestsrc pattern=snow ! video/x-raw,format=GRAY8,width=28,height=28 ! "
      "int8calib name=calib model=%s table=%s statistics=%s table-exists=overwrite max-frames=%d "
      "checkpoint-interval=%d method=minmax threads=1",
      model, kills->table, kills->statistics, FRAMES, INTERVAL);
  Run run = {.shared = kills->shared};

  gst_init (NULL, NULL);
  for (;;) {
    GstElement *pipeline = gst_parse_launch (launch, NULL);
    g_autoptr (GstBus) bus = NULL;
    g_autoptr (GstPad) pad = NULL;
    GstMessage *message;

    if (!pipeline)
      _exit (1); /* the parent sees that it was not killed */
    bus = gst_element_get_bus (pipeline);
    run.base = frames_in (kills->statistics);
    run.calib = gst_bin_get_by_name (GST_BIN (pipeline), "calib");
    pad = gst_element_get_static_pad (run.calib, "sink");
    gst_pad_add_probe (pad, GST_PAD_PROBE_TYPE_BUFFER, tell, &run, NULL);
    gst_element_set_state (pipeline, GST_STATE_PLAYING);
    message = gst_bus_timed_pop_filtered (bus, GST_CLOCK_TIME_NONE,
        GST_MESSAGE_ELEMENT | GST_MESSAGE_ERROR);
    if (GST_MESSAGE_TYPE (message) == GST_MESSAGE_ERROR) {
      gst_message_unref (message);
      _exit (1);
    }
    gst_message_unref (message);
    g_atomic_int_inc (&kills->shared->runs);
    gst_element_set_state (pipeline, GST_STATE_NULL);
    gst_object_unref (run.calib);
    gst_object_unref (pipeline);
  }
}

/* --- The parent ------------------------------------------------------------------------------ */

static void
check_table (Kills *kills)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (CalibTable) table = NULL;
  CalibProvenance provenance = {0};

  if (!g_file_test (kills->table, G_FILE_TEST_EXISTS)) {
    CHECK_INT (kills->shared->runs, ==, 0);
    return;
  }
  table = calib_table_load (kills->table, &error);
  if (!table) {
    CHECK_FAIL ("%s", error->message);
    return;
  }
  if (!kills->n_entries)
    kills->n_entries = calib_table_n_entries (table);
  CHECK_INT (calib_table_n_entries (table), ==, kills->n_entries);
  if (!calib_provenance_load (kills->table, &provenance, &error) && error)
    CHECK_FAIL ("%s", error->message);
  calib_provenance_clear (&provenance);
}

static void
check_statistics (Kills *kills)
{
  const gint accepted = g_atomic_int_get (&kills->shared->accepted);
  g_autoptr (GError) error = NULL;
  g_autoptr (CalibStatistics) statistics = calib_statistics_load (kills->statistics, &error);
  guint64 frames = 0;

  if (statistics)
    frames = calib_statistics_provenance (statistics)->frames;
  else if (!g_error_matches (error, G_FILE_ERROR, G_FILE_ERROR_NOENT))
    CHECK_FAIL ("%s", error->message);
  CHECK_INT (frames, >=, kills->frames);
  CHECK_INT (frames + INTERVAL + WAY, >=, accepted);
  kills->frames = frames;
}

/* A child that is killed while it writes leaves a temporary file; nobody reads it. */
static gboolean
remove_temporary (const Kills *kills)
{
  g_autoptr (GDir) dir = g_dir_open (kills->folder, 0, NULL);
  gboolean found = FALSE;
  const char *name;

  while ((name = g_dir_read_name (dir))) {
    g_autofree char *path = g_build_filename (kills->folder, name, NULL);

    if (g_str_has_prefix (name, ".int8-") && unlink (path) == 0)
      found = TRUE;
  }
  return found;
}

static void
kill_one (Kills *kills)
{
  const gint before = g_atomic_int_get (&kills->shared->accepted);
  const pid_t pid = fork ();
  int status = 0;

  if (pid == 0)
    calibrate_for_ever (kills);
  g_usleep ((gulong) g_rand_int_range (kills->random, 0, LONGEST));
  kill (pid, SIGKILL);
  CHECK (waitpid (pid, &status, 0) == pid);
  CHECK (WIFSIGNALED (status) && WTERMSIG (status) == SIGKILL);
  if (g_atomic_int_get (&kills->shared->accepted) == before)
    kills->before_first++;
  else
    kills->while_running++;
  check_table (kills);
  check_statistics (kills);
  kills->with_temporary += remove_temporary (kills);
}

/* A registry of its own, made by a child that is left alone. */
static void
make_registry (const Kills *kills)
{
  g_autofree char *path = g_build_filename (kills->folder, "registry.bin", NULL);
  pid_t pid;
  int status = 1;

  g_setenv ("GST_REGISTRY", path, TRUE);
  pid = fork ();
  if (pid == 0) {
    gst_init (NULL, NULL);
    _exit (0);
  }
  CHECK (waitpid (pid, &status, 0) == pid && status == 0);
}

static guint n_kills = 20;

static void
test_kills (void)
{
  g_autofree char *folder = g_dir_make_tmp ("int8-kill-XXXXXX", NULL);
  g_autofree char *table = g_build_filename (folder, "out.table", NULL);
  g_autofree char *statistics = g_build_filename (folder, "out.int8stats", NULL);
  g_autofree char *remove = g_strdup_printf ("rm -r '%s'", folder);
  Kills kills = {.folder = folder, .table = table, .statistics = statistics};

  kills.random = g_rand_new_with_seed (1);
  kills.shared =
      mmap (NULL, sizeof (Shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (kills.shared == MAP_FAILED)
    g_error ("no memory to share");
  make_registry (&kills);
  for (guint i = 0; i < n_kills && !check_failures_in_test; i++)
    kill_one (&kills);
  printf (
      "%u kills: %u before the first frame, %u later, %u of them while a file was written; %d tables "
      "made, %d frames kept\n",
      n_kills, kills.before_first, kills.while_running, kills.with_temporary, kills.shared->runs,
      (int) kills.frames);
  CHECK_INT (kills.while_running, >, 0);
  munmap (kills.shared, sizeof (Shared));
  g_rand_free (kills.random);
  CHECK_INT (system (remove), ==, 0);
}

int
main (int argc, char **argv)
{
  setvbuf (stdout, NULL, _IOLBF, 0);
  if (!g_getenv ("INT8_SOURCE_DIR") || !g_getenv ("GST_PLUGIN_PATH")) {
    printf ("SKIP run it with \"meson test\", which sets INT8_SOURCE_DIR and GST_PLUGIN_PATH\n");
    return 77;
  }
  if (argc > 1)
    n_kills = (guint) atoi (argv[1]);
  g_setenv ("GST_REGISTRY_FORK", "no",
      TRUE); /* its scanner would be a program without our sanitizers */
  RUN (test_kills);
  return check_done ();
}
