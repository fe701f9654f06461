/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * request.c: engines from files and from builds, with the reasons that people are told; the cache
 * folder; what is in the way.
 */
#include "tests/engine/request.h"

#include <limits.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

/* --- The cache folder ----------------------------------------------------------------------- */

static void
test_built_then_loaded (void)
{
  begin ();
  const EngineRequest request = request_for (NULL);
  g_auto (Outcome) first = obtain (&request), second = obtain (&request);

  check_built (&first, "no engine yet");
  check_loaded (&second);
  CHECK (!first.report.warning && !second.report.warning);
  CHECK_STR (second.report.path, first.report.path);
  CHECK (g_str_has_prefix (first.report.path, cache));
  CHECK_INT (files_in (cache, ".engine"), ==, 1);
  CHECK_INT (files_in (cache, ".lock"), ==, 0);
  CHECK_INT (first.report.build.layers_int8, ==, second.report.build.layers_int8);
}

static void
test_loaded_fast (void)
{
  begin ();
  const EngineRequest request = request_for (NULL);
  double best = 1e9;

  for (int i = 0; i < 6; i++) {
    g_auto (Outcome) outcome = obtain (&request);

    if (i > 0)
      check_loaded (&outcome);
    best = MIN (best, outcome.report.seconds);
  }
  printf ("loaded in %.2f ms\n", best * 1000);
  CHECK (best < 0.05);
}

static void
test_no_cache (void)
{
  begin ();
  EngineRequest request = request_for (NULL);

  request.no_cache = TRUE;
  for (int i = 0; i < 2; i++) {
    g_auto (Outcome) outcome = obtain (&request);

    check_built (&outcome, "engine files are not used");
    CHECK (!outcome.report.path && !outcome.report.warning);
  }
  CHECK (!g_file_test (cache, G_FILE_TEST_EXISTS));
}

/* In a child: GLib asks the environment once. */
static void
test_no_absolute_cache (void)
{
  begin ();
  g_autofree char *path = path_of ("my.engine");
  int status;
  const pid_t child = fork ();

  if (child == 0) {
    const EngineRequest nowhere = request_for (NULL), somewhere = request_for (path);

    g_setenv ("XDG_CACHE_HOME", "relative", TRUE);
    g_setenv ("HOME", "", TRUE);
    CHECK_INT (chdir (home), ==, 0);
    {
      g_auto (Outcome) built = obtain (&nowhere);

      check_built (&built, "no engine yet");
      CHECK (!built.report.path);
      CHECK (built.report.warning && strstr (built.report.warning, "XDG_CACHE_HOME and HOME"));
    }
    {
      g_auto (Outcome) kept = obtain (&somewhere);

      check_built (&kept, "no engine yet");
      CHECK_STR (kept.report.path, path);
      CHECK (!kept.report.warning);
    }
    CHECK (!g_file_test ("relative", G_FILE_TEST_EXISTS));
    fflush (stdout);
    _exit (check_failures_in_test > 0);
  }
  CHECK_INT (waitpid (child, &status, 0), ==, child);
  CHECK (WIFEXITED (status) && WEXITSTATUS (status) == 0);
}

static void
test_fp32_needs_no_table (void)
{
  begin ();
  EngineRequest request = request_for (NULL);

  request.precision = ENGINE_PRECISION_FP32;
  request.table = NULL;
  g_auto (Outcome) outcome = obtain (&request);
  check_built (&outcome, "no engine yet");
  CHECK_INT (outcome.report.build.layers_int8, ==, 0);
}

/* --- Reasons -------------------------------------------------------------------------------- */

static void
test_reasons (void)
{
  begin ();
  g_autofree char *path = path_of ("my.engine"), *bytes = NULL;
  EngineRequest request = request_for (path);
  EnginePreprocess other = preprocess;
  gsize size;

  {
    g_auto (Outcome) first = obtain (&request), again = obtain (&request);
    check_built (&first, "no engine yet");
    CHECK_STR (first.report.path, path);
    check_loaded (&again);
  }
  write_table (table, 0.06f);
  {
    g_auto (Outcome) outcome = obtain (&request);
    check_built (&outcome, "calibration table changed");
  }
  CHECK (engine_preprocess_set (&other, "mean", "0.5", NULL));
  request.preprocess = &other;
  {
    g_auto (Outcome) outcome = obtain (&request);
    check_built (&outcome, "preprocessing changed");
  }
  request.ranges = ENGINE_RANGES_SYMMETRIC;
  {
    g_auto (Outcome) outcome = obtain (&request);
    check_built (&outcome, "precision or ranges changed");
  }
  /* One weight: the last bytes of the file are some. */
  CHECK (g_file_get_contents (model, &bytes, &size, NULL));
  bytes[size / 2] ^= 1;
  CHECK (g_file_set_contents (model, bytes, size, NULL));
  write_table (table, 0.07f);
  {
    g_auto (Outcome) outcome = obtain (&request);
    check_built (&outcome, "model changed, calibration table changed");
  }
  {
    g_auto (Outcome) outcome = obtain (&request);
    check_loaded (&outcome);
  }
  CHECK_INT (files_in (cache, ".engine"), ==, 0);
}

static void
test_other_builder (void)
{
  begin ();
  g_autofree char *path = path_of ("my.engine");
  const EngineRequest request = request_for (path);

  {
    g_auto (Outcome) first = obtain (&request);
    g_free (first.engine->provenance.builder);
    first.engine->provenance.builder = g_strdup ("gst-int8 0.0.1 builder 0");
    CHECK (engine_save (first.engine, "key of then", path, NULL));
  }
  g_auto (Outcome) again = obtain (&request);
  check_built (&again, "made by another version");
}

static void
test_corrupt (void)
{
  begin ();
  g_autofree char *path = path_of ("my.engine"), *bytes = NULL;
  const EngineRequest request = request_for (path);
  gsize size;

  {
    g_auto (Outcome) outcome = obtain (&request);
    check_built (&outcome, "no engine yet");
  }
  CHECK (g_file_get_contents (path, &bytes, &size, NULL));
  CHECK (g_file_set_contents (path, bytes, size / 2, NULL));
  {
    g_auto (Outcome) outcome = obtain (&request);
    CHECK (outcome.report.built);
    CHECK (g_str_has_prefix (outcome.report.reason, "the file is corrupt: "));
    CHECK_STR (outcome.report.path, path);
    CHECK (!outcome.report.warning);
  }
  g_auto (Outcome) again = obtain (&request);
  check_loaded (&again);
}

/* --- What is in the way --------------------------------------------------------------------- */

static void
test_foreign_file (void)
{
  begin ();
  g_autofree char *path = path_of ("tensorrt.plan"), *after = NULL;
  const EngineRequest request = request_for (path);

  write_file (path, "ftrt: the work of many hours");
  g_auto (Outcome) first = obtain (&request), second = obtain (&request);
  check_built (&first, "no engine yet");
  check_loaded (&second);
  CHECK (g_str_has_prefix (second.report.path, cache));
  CHECK (first.report.warning && strstr (first.report.warning, path));
  CHECK (second.report.warning != NULL);
  CHECK (g_file_get_contents (path, &after, NULL, NULL));
  CHECK_STR (after, "ftrt: the work of many hours");
}

static void
test_unwritable_place (void)
{
  begin ();
  const EngineRequest request = request_for ("/proc/int8/my.engine");
  g_auto (Outcome) first = obtain (&request), second = obtain (&request);

  check_built (&first, "no engine yet");
  check_loaded (&second);
  CHECK (first.report.warning && strstr (first.report.warning, "/proc/int8/my.engine"));
  CHECK (g_str_has_prefix (first.report.path, cache));
}

/* The cache folder is a file: an engine is built all the same, and told that it is kept nowhere. */
static void
test_unwritable_cache (void)
{
  begin ();
  write_file (cache, "");
  const EngineRequest request = request_for (NULL);
  g_auto (Outcome) outcome = obtain (&request);

  check_built (&outcome, "no engine yet");
  CHECK (!outcome.report.path);
  CHECK (outcome.report.warning != NULL);
  g_unlink (cache);
}

/* Nothing larger than 1000 bytes can be written any more. */
static void
test_disk_full (void)
{
  begin ();
  g_autofree char *path = path_of ("my.engine"), *before = NULL, *after = NULL;
  const EngineRequest request = request_for (path);
  struct rlimit old;
  gsize size, size_after;

  {
    g_auto (Outcome) outcome = obtain (&request);
    check_built (&outcome, "no engine yet");
  }
  CHECK (g_file_get_contents (path, &before, &size, NULL));
  write_table (table, 0.06f);
  CHECK_INT (getrlimit (RLIMIT_FSIZE, &old), ==, 0);
  signal (SIGXFSZ, SIG_IGN);
  CHECK_INT (setrlimit (RLIMIT_FSIZE, &(struct rlimit){1000, old.rlim_max}), ==, 0);
  {
    g_auto (Outcome) outcome = obtain (&request);
    check_built (&outcome, "calibration table changed");
    CHECK (!outcome.report.path);
    CHECK (outcome.report.warning && strstr (outcome.report.warning, path));
  }
  CHECK_INT (setrlimit (RLIMIT_FSIZE, &old), ==, 0);
  CHECK (g_file_get_contents (path, &after, &size_after, NULL));
  CHECK (size == size_after && memcmp (before, after, size) == 0);
  CHECK_INT (files_in (folder, ".tmp") + files_in (cache, ".tmp"), ==, 0);
  CHECK_INT (files_in (folder, ".lock") + files_in (cache, ".lock"), ==, 0);
}

/* --- The table ------------------------------------------------------------------------------ */

static void
save_provenance (const char *of_model, const char *of_preprocess)
{
  const CalibProvenance provenance = {.model_sha256 = (char *) of_model,
      .preprocess_sha256 = (char *) of_preprocess};

  CHECK (calib_provenance_save (&provenance, "minmax", table, NULL));
}

static void
test_table_of_another_model (void)
{
  begin ();
  EngineRequest request = request_for (NULL);
  g_autofree char *sha = engine_preprocess_sha256 (&preprocess);

  save_provenance ("0123", sha);
  {
    g_auto (Outcome) outcome = obtain (&request);
    check_refused (&outcome, ENGINE_ERROR, ENGINE_ERROR_MISMATCH, "made for another model");
    CHECK (!outcome.told);
  }
  request.force = TRUE;
  {
    g_auto (Outcome) outcome = obtain (&request);
    check_built (&outcome, "no engine yet");
    CHECK (outcome.report.warning && strstr (outcome.report.warning, "used all the same"));
  }
  /* What was forced once is in the cache, and still refused without force. */
  request.force = FALSE;
  {
    g_auto (Outcome) outcome = obtain (&request);
    check_refused (&outcome, ENGINE_ERROR, ENGINE_ERROR_MISMATCH, "made for another model");
  }
  save_provenance (NULL, "4567");
  {
    g_auto (Outcome) outcome = obtain (&request);
    check_refused (&outcome, ENGINE_ERROR, ENGINE_ERROR_MISMATCH, "made for another preprocessing");
  }
  g_autoptr (EngineModel) loaded = engine_model_load (model, NULL);
  save_provenance (engine_model_sha256 (loaded), sha);
  {
    g_auto (Outcome) outcome = obtain (&request);
    check_loaded (&outcome);
  }
}

/* A map of features, as a detector's or a backbone's. */
static void
test_output_is_no_vector (void)
{
  begin ();
  g_autofree char *path =
      g_build_filename (g_getenv ("INT8_SOURCE_DIR"), "tests", "engine", "models", "conv.onnx", NULL);
  const EngineRequest request = {.model = path,
      .precision = ENGINE_PRECISION_FP32,
      .no_cache = TRUE};
  g_auto (Outcome) outcome = obtain (&request);

  CHECK (outcome.report.warning && strstr (outcome.report.warning, "not one vector of classes"));
}

static void
test_bad_requests (void)
{
  begin ();
  EngineRequest request = request_for (NULL);

  request.table = NULL;
  {
    g_auto (Outcome) outcome = obtain (&request);
    check_refused (&outcome, ENGINE_ERROR, ENGINE_ERROR_RANGE, "int8calib");
  }
  request.table = "/no/such/table";
  {
    g_auto (Outcome) outcome = obtain (&request);
    check_refused (&outcome, G_FILE_ERROR, G_FILE_ERROR_NOENT, "/no/such/table");
  }
  request = request_for (NULL);
  request.model = "/no/such/model.onnx";
  {
    g_auto (Outcome) outcome = obtain (&request);
    check_refused (&outcome, G_FILE_ERROR, G_FILE_ERROR_NOENT, "/no/such/model.onnx");
  }
  write_file (table, "TRT-8601-MinMaxCalibration\nip1: 3c008912\n");
  request = request_for (NULL);
  {
    g_auto (Outcome) outcome = obtain (&request);
    check_refused (&outcome, ENGINE_ERROR, ENGINE_ERROR_RANGE, "another model");
    CHECK_STR (outcome.told, "no engine yet");
  }
  CHECK_INT (files_in (cache, ".lock"), ==, 0);
  CHECK_INT (files_in (cache, ".engine"), ==, 0);
}

static void
check_message (const EngineRequest *request, const char *text)
{
  g_auto (Outcome) refused = obtain (request);

  CHECK (refused.error && strstr (refused.error->message, text));
  CHECK (refused.error && g_utf8_validate (refused.error->message, -1, NULL));
}

/* Beside a table of the longest name nothing else can lie. */
static void
test_longest_name (void)
{
  begin ();
  g_autofree char *name = g_strnfill (NAME_MAX, 't'), *longest = path_of (name);
  EngineRequest request = request_for (NULL);

  write_table (table, 0.01f);
  CHECK_INT (g_rename (table, longest), ==, 0);
  request.table = longest;
  g_auto (Outcome) built = obtain (&request);
  check_built (&built, "no engine yet");
}

/* Paths are bytes, messages are UTF-8: bindings of GLib to other languages insist on it. */
static void
test_paths_of_any_bytes (void)
{
  begin ();
  g_autofree char *onnx = path_of ("a b \xff.onnx"), *engine = path_of ("a b \xff.engine");
  g_autofree char *other = path_of ("a b \xff"), *bias = g_strconcat (other, ".bias", NULL);
  g_autofree char *missing = path_of ("\xff.table"), *bytes = NULL;
  EngineRequest request = request_for (engine);
  gsize size;

  CHECK (g_file_get_contents (model, &bytes, &size, NULL));
  CHECK (g_file_set_contents (onnx, bytes, size, NULL));
  write_table (other, 0.01f);
  request.model = onnx;
  request.table = other;
  {
    g_auto (Outcome) built = obtain (&request);
    check_built (&built, "no engine yet");
    CHECK_STR (built.report.path, engine);
  }
  write_file (engine, "something else");
  {
    g_auto (Outcome) warned = obtain (&request);
    CHECK (warned.engine != NULL);
    CHECK (strstr (warned.report.warning, "it is no engine file of gst-int8"));
    CHECK (g_utf8_validate (warned.report.warning, -1, NULL));
  }
  request.precision = ENGINE_PRECISION_MIXED;
  check_message (&request, ".precision");
  request.precision = ENGINE_PRECISION_INT8;
  write_file (bias, "nothing of ours");
  check_message (&request, ".bias");
  request.table = missing;
  check_message (&request, "No such file");
}

/* --- Many at once, and cancelled ------------------------------------------------------------ */

static gpointer
obtain_in_thread (gpointer data)
{
  const EngineRequest request = request_for (NULL);
  EngineRequestReport report = {0};
  g_autoptr (Engine) engine = engine_obtain (&request, &report, NULL, NULL, NULL, NULL, NULL);
  const int result = !engine ? -100 : report.built;

  engine_request_report_clear (&report);
  return GINT_TO_POINTER (result);
}

static void
test_one_builds_for_all (void)
{
  begin ();
  GThread *threads[6];
  int built = 0;

  for (int i = 0; i < 6; i++)
    threads[i] = g_thread_new ("obtain", obtain_in_thread, NULL);
  for (int i = 0; i < 6; i++)
    built += GPOINTER_TO_INT (g_thread_join (threads[i]));
  CHECK_INT (built, ==, 1);
  CHECK_INT (files_in (cache, ".engine"), ==, 1);
}

static void
cancel_build (const char *reason, gpointer cancellable)
{
  g_cancellable_cancel (cancellable);
}

static void
test_cancelled (void)
{
  begin ();
  const EngineRequest request = request_for (NULL);
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  g_autoptr (GError) error = NULL;
  EngineRequestReport report = {0};

  CHECK (!engine_obtain (&request, &report, cancel_build, NULL, cancellable, cancellable, &error));
  CHECK (g_error_matches (error, G_IO_ERROR, G_IO_ERROR_CANCELLED));
  CHECK_INT (files_in (cache, ".engine"), ==, 0);
  CHECK_INT (files_in (cache, ".lock"), ==, 0);
  engine_request_report_clear (&report);
}

int
main (void)
{
  request_init ();
  RUN (test_no_absolute_cache); /* before anybody asks where the cache folder is */
  RUN (test_built_then_loaded);
  RUN (test_loaded_fast);
  RUN (test_no_cache);
  RUN (test_fp32_needs_no_table);
  RUN (test_reasons);
  RUN (test_other_builder);
  RUN (test_corrupt);
  RUN (test_foreign_file);
  RUN (test_unwritable_place);
  RUN (test_unwritable_cache);
  RUN (test_disk_full);
  RUN (test_table_of_another_model);
  RUN (test_output_is_no_vector);
  RUN (test_bad_requests);
  RUN (test_longest_name);
  RUN (test_paths_of_any_bytes);
  RUN (test_one_builds_for_all);
  RUN (test_cancelled);
  return request_done ();
}
