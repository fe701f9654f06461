/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * live.c: within a process one content is one Engine, whoever asks for it and wherever it came from,
 * as long as somebody has it; and one name is one back end.
 */
#include "engine/live.h"
#include "tests/engine/request.h"

static void
test_requests_share (void)
{
  begin ();
  EngineRequest request = request_for (NULL);
  g_autofree char *path = path_of ("my.engine");

  {
    g_auto (Outcome) first = obtain (&request), second = obtain (&request);
    check_built (&first, "no engine yet");
    check_loaded (&second);
    CHECK (first.engine == second.engine);

    /* Kept where it was asked for, without another build. */
    request.engine = path;
    g_auto (Outcome) third = obtain (&request);
    check_loaded (&third);
    CHECK (third.engine == first.engine);
    CHECK_STR (third.report.path, path);
    CHECK (g_file_test (path, G_FILE_TEST_EXISTS));

    CHECK_INT (g_unlink (path), ==, 0);
    CHECK (g_file_set_contents (path, "GSTINT8E", -1, NULL));
    g_auto (Outcome) fourth = obtain (&request);
    check_loaded (&fourth);
    CHECK (fourth.engine == first.engine);
  }
  /* The list kept nothing alive: it is read from the file. */
  g_auto (Outcome) later = obtain (&request);
  check_loaded (&later);
  write_table (table, 0.06f);
  g_auto (Outcome) other = obtain (&request);
  check_built (&other, "calibration table changed");
  CHECK (other.engine != later.engine);
}

static void
test_without_files (void)
{
  begin ();
  EngineRequest request = request_for (NULL);

  request.no_cache = TRUE;
  g_auto (Outcome) first = obtain (&request), second = obtain (&request);
  check_built (&first, "engine files are not used");
  check_loaded (&second);
  CHECK (first.engine == second.engine);
}

static void
test_files_share (void)
{
  begin ();
  g_autofree char *path = path_of ("my.engine"), *copy = path_of ("copy.engine"), *bytes = NULL;
  const EngineRequest request = request_for (path);
  gsize size;

  {
    g_auto (Outcome) built = obtain (&request);
    check_built (&built, "no engine yet");
  }
  CHECK (g_file_get_contents (path, &bytes, &size, NULL));
  CHECK (g_file_set_contents (copy, bytes, size, NULL));
  g_autoptr (Engine) a = engine_load (path, NULL, NULL);
  g_autoptr (Engine) b = engine_load (path, NULL, NULL);
  g_autoptr (Engine) c = engine_load (copy, NULL, NULL);
  g_auto (Outcome) d = obtain (&request);
  CHECK (a && a == b && a == d.engine);
  CHECK (c && a != c); /* by identity: nobody compares contents */
  CHECK (!engine_load (path, "another key", NULL));

  /* Replaced, and written over in place. */
  CHECK (engine_save (a, NULL, path, NULL));
  g_autoptr (Engine) replaced = engine_load (path, NULL, NULL);
  CHECK (replaced && replaced != a);
  set_age (path, 7);
  g_autoptr (Engine) touched = engine_load (path, NULL, NULL);
  CHECK (touched && touched != replaced);
}

static gpointer
obtain_in_thread (gpointer data)
{
  EngineRequest request = request_for (NULL);

  request.no_cache = TRUE;
  return engine_obtain (&request, data, NULL, NULL, NULL, NULL, NULL);
}

static void
test_started_at_once (void)
{
  for (int round = 0; round < 5; round++) {
    begin ();
    GThread *threads[6];
    Engine *engines[6];
    EngineRequestReport reports[6] = {0};
    int built = 0;

    for (int i = 0; i < 6; i++)
      threads[i] = g_thread_new ("obtain", obtain_in_thread, &reports[i]);
    for (int i = 0; i < 6; i++) {
      engines[i] = g_thread_join (threads[i]);
      built += reports[i].built;
      CHECK (engines[i] && engines[i] == engines[0]);
    }
    CHECK_INT (built, ==, 1);
    for (int i = 0; i < 6; i++) {
      engine_unref (engines[i]);
      engine_request_report_clear (&reports[i]);
    }
  }
}

/* References come and go in all threads while the last one may be anybody's. */
static gpointer
come_and_go (gpointer path)
{
  for (int i = 0; i < 200; i++) {
    g_autoptr (Engine) engine = engine_load (path, NULL, NULL);

    if (!engine || engine_n_classes (engine) < 1)
      return path;
  }
  return NULL;
}

static void
test_let_go_and_found_again (void)
{
  begin ();
  g_autofree char *path = path_of ("my.engine");
  const EngineRequest request = request_for (path);
  GThread *threads[4];

  {
    g_auto (Outcome) built = obtain (&request);
    check_built (&built, "no engine yet");
  }
  for (int i = 0; i < 4; i++)
    threads[i] = g_thread_new ("load", come_and_go, path);
  for (int i = 0; i < 4; i++)
    CHECK (g_thread_join (threads[i]) == NULL);
}

static gpointer
cancel_soon (gpointer cancellable)
{
  g_usleep (50000);
  g_cancellable_cancel (cancellable);
  return NULL;
}

static void
test_waiting_is_cancelled (void)
{
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  g_autoptr (GError) error = NULL;

  CHECK (engine_live_begin ("key x", NULL, NULL));
  CHECK (engine_live_begin ("key y", NULL, NULL));
  GThread *thread = g_thread_new ("cancel", cancel_soon, cancellable);
  CHECK (!engine_live_begin ("key x", cancellable, &error));
  CHECK (g_error_matches (error, G_IO_ERROR, G_IO_ERROR_CANCELLED));
  g_thread_join (thread);
  engine_live_end ("key x");
  engine_live_end ("key y");
  CHECK (engine_live_begin ("key x", NULL, NULL));
  engine_live_end ("key x");
}

static void
test_backends (void)
{
  g_autoptr (GError) error = NULL;
  KernelBackend *a = engine_backend_open ("cpu", NULL), *b = engine_backend_open ("cpu", NULL);
  KernelBackend *ref = engine_backend_open ("ref", NULL);

  CHECK (a && a == b && a != ref);
  engine_backend_close (a);
  CHECK_STR (b->name, "cpu");
  CHECK (b == engine_backend_open ("cpu", NULL));
  engine_backend_close (b);
  engine_backend_close (b);
  engine_backend_close (ref);
  engine_backend_close (NULL);
  CHECK (!engine_backend_open ("abacus", &error));
  CHECK (g_error_matches (error, ENGINE_ERROR, ENGINE_ERROR_BACKEND));
  CHECK (strstr (error->message, "'abacus' cannot be opened: ") != NULL);
}

int
main (void)
{
  request_init ();
  RUN (test_requests_share);
  RUN (test_without_files);
  RUN (test_files_share);
  RUN (test_started_at_once);
  RUN (test_let_go_and_found_again);
  RUN (test_waiting_is_cancelled);
  RUN (test_backends);
  return request_done ();
}
