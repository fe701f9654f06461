/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * request.c: engines from files and from builds, with the reasons that people are told; the cache
 * folder; what is in the way.
 */
#include "engine/file.h"
#include "engine/model.h"
#include "tests/check.h"
#include "tests/engine/net.h"

#include <fcntl.h>
#include <glib/gstdio.h>
#include <sys/stat.h>
#include <time.h>

/* What one test works with: a copy of a model, a table for it, and a cache folder of its own. */
static char *folder, *model, *table, *cache;
static EnginePreprocess preprocess;

static char *
path_of (const char *name)
{
  return g_build_filename (folder, name, NULL);
}

static void
write_file (const char *path, const char *text)
{
  g_autoptr (GError) error = NULL;

  if (!g_file_set_contents (path, text, -1, &error))
    g_error ("%s", error->message);
}

/* As if it had been written so many seconds ago. */
static void
set_age (const char *path, int seconds)
{
  const struct timespec then = {time (NULL) - seconds, 123456789};

  CHECK_INT (utimensat (AT_FDCWD, path, (struct timespec[]){then, then}, 0), ==, 0);
}

static void
remove_tree (const char *path)
{
  g_autoptr (GDir) dir = g_dir_open (path, 0, NULL);
  const char *name;

  while (dir && (name = g_dir_read_name (dir))) {
    g_autofree char *entry = g_build_filename (path, name, NULL);

    if (g_file_test (entry, G_FILE_TEST_IS_DIR))
      remove_tree (entry);
    else
      g_unlink (entry);
  }
  g_rmdir (path);
}

static int
files_in (const char *path, const char *suffix)
{
  g_autoptr (GDir) dir = g_dir_open (path, 0, NULL);
  const char *name;
  int n = 0;

  while (dir && (name = g_dir_read_name (dir)))
    n += g_str_has_suffix (name, suffix);
  return n;
}

/* A range for every tensor of the model: what it is matters to nobody here. */
static void
write_table (const char *path, float scale)
{
  g_autoptr (CalibTable) made = calib_table_new ("TRT-8601-MinMaxCalibration");
  g_autoptr (EngineModel) loaded = engine_model_load (model, NULL);

  for (guint v = 0; v < loaded->graph->values->len; v++)
    calib_table_set (made, engine_graph_value (loaded->graph, v)->name, scale);
  CHECK (calib_table_save (made, path, NULL));
}

static void
begin (void)
{
  remove_tree (cache);
  remove_tree (folder);
  g_mkdir_with_parents (folder, 0700);

  g_autofree char *source =
      g_build_filename (g_getenv ("INT8_SOURCE_DIR"), "data", "fashion-lenet.onnx", NULL);
  g_autofree char *bytes = NULL;
  g_autoptr (GError) error = NULL;
  gsize size;
  if (!g_file_get_contents (source, &bytes, &size, &error) ||
      !g_file_set_contents (model, bytes, size, &error))
    g_error ("%s", error->message);
  set_age (model, 100);
  write_table (table, 0.05f);
  CHECK (engine_preprocess_preset (&preprocess, "unit"));
  CHECK (engine_preprocess_set (&preprocess, "color-format", "gray", NULL));
}

static EngineRequest
request_for (const char *engine)
{
  return (
      EngineRequest){.model = model, .table = table, .engine = engine, .preprocess = &preprocess};
}

typedef struct {
  Engine *engine;
  EngineRequestReport report;
  GError *error;
  char *told; /* to on_build; NULL when it was not called */
} Outcome;

static void
outcome_clear (Outcome *outcome)
{
  engine_unref (outcome->engine);
  engine_request_report_clear (&outcome->report);
  g_clear_error (&outcome->error);
  g_free (outcome->told);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Outcome, outcome_clear)

static void
note_build (const char *reason, gpointer data)
{
  Outcome *outcome = data;

  CHECK (!outcome->told); /* once */
  outcome->told = g_strdup (reason);
}

static Outcome
obtain (const EngineRequest *request)
{
  Outcome outcome = {0};

  outcome.engine =
      engine_obtain (request, &outcome.report, note_build, NULL, &outcome, NULL, &outcome.error);
  CHECK (!outcome.engine == !!outcome.error);
  if (outcome.engine)
    CHECK (outcome.report.build.layers_int8 + outcome.report.build.layers_fp32 > 0);
  return outcome;
}

static void
check_built (const Outcome *outcome, const char *reason)
{
  if (outcome->error)
    CHECK_FAIL ("%s", outcome->error->message);
  CHECK (outcome->report.built);
  CHECK_STR (outcome->report.reason, reason);
  CHECK_STR (outcome->told, reason);
}

static void
check_loaded (const Outcome *outcome)
{
  if (outcome->error)
    CHECK_FAIL ("%s", outcome->error->message);
  if (outcome->report.built)
    CHECK_FAIL ("built: %s", outcome->report.reason);
  CHECK (!outcome->told && !outcome->report.reason);
}

static void
check_refused (const Outcome *outcome, GQuark domain, int code, const char *text)
{
  CHECK (!outcome->engine);
  if (!g_error_matches (outcome->error, domain, code) || !strstr (outcome->error->message, text))
    CHECK_FAIL ("expected \"%s\", got %s", text,
        outcome->error ? outcome->error->message : "no error");
}

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

static char *
key (const EngineRequest *request)
{
  g_autoptr (GError) error = NULL;
  char *text = engine_request_key (request, &error);

  if (!text)
    g_error ("%s", error->message);
  return text;
}

static void
test_key (void)
{
  begin ();
  EngineRequest request = request_for (NULL);
  EnginePreprocess other = preprocess;
  g_autofree char *before = key (&request), *copy = path_of ("a copy.onnx"), *bytes = NULL;
  g_autofree char *same = NULL, *fp32 = NULL, *symmetric = NULL, *raw = NULL, *wider = NULL;
  gsize size;

  CHECK_INT (strlen (before), ==, 64);
  CHECK (g_file_get_contents (model, &bytes, &size, NULL));
  CHECK (g_file_set_contents (copy, bytes, size, NULL));
  request.model = copy;
  request.engine = "/somewhere/else";
  same = key (&request);
  CHECK_STR (same, before); /* contents, never names */

  request.precision = ENGINE_PRECISION_FP32;
  fp32 = key (&request);
  request.precision = ENGINE_PRECISION_INT8;
  request.ranges = ENGINE_RANGES_SYMMETRIC;
  symmetric = key (&request);
  request.ranges = ENGINE_RANGES_FULL;
  CHECK (engine_preprocess_set (&other, "scale-factor", "1", NULL));
  request.preprocess = &other;
  raw = key (&request);
  request.preprocess = &preprocess;
  write_table (table, 0.06f);
  wider = key (&request);
  const char *keys[] = {before, fp32, symmetric, raw, wider};
  for (gsize i = 0; i < G_N_ELEMENTS (keys); i++)
    for (gsize j = 0; j < i; j++)
      CHECK (!g_str_equal (keys[i], keys[j]));
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
  g_auto (Outcome) first = obtain (&request);

  g_free (first.engine->provenance.builder);
  first.engine->provenance.builder = g_strdup ("gst-int8 0.0.1 builder 0");
  CHECK (engine_save (first.engine, "key of then", path, NULL));
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

/* --- Remembered hashes ---------------------------------------------------------------------- */

static char *
memory (void)
{
  g_autofree char *path = g_build_filename (cache, "hashes", NULL);
  char *text = NULL;

  g_file_get_contents (path, &text, NULL, NULL);
  return text ? text : g_strdup ("");
}

static void
test_hash_is_remembered (void)
{
  begin ();
  const EngineRequest request = request_for (NULL);
  g_autofree char *first = key (&request), *remembered = memory (), *again = NULL;
  g_autofree char *changed = NULL, *bytes = NULL, *forged = NULL;
  g_autoptr (EngineModel) loaded = engine_model_load (model, NULL);
  struct stat st;
  gsize size;

  CHECK_INT (stat (model, &st), ==, 0);
  g_autofree char *identity = g_strdup_printf ("[%llu-%llu-%lld-", (unsigned long long) st.st_dev,
      (unsigned long long) st.st_ino, (long long) st.st_size);
  CHECK (strstr (remembered, identity) != NULL);
  CHECK (strstr (remembered, engine_model_sha256 (loaded)) != NULL);
  again = key (&request);
  CHECK_STR (again, first);

  /* It is the memory that is asked: another hash in it gives another key. */
  g_autofree char *hashes = g_build_filename (cache, "hashes", NULL);
  g_auto (GStrv) parts = g_strsplit (remembered, engine_model_sha256 (loaded), 2);
  g_autofree char *other = g_strnfill (64, 'a');
  g_autofree char *lie = g_strjoinv (other, parts);
  write_file (hashes, lie);
  forged = key (&request);
  CHECK (!g_str_equal (forged, first));
  write_file (hashes, remembered);

  /* Same size, other contents, other time. */
  CHECK (g_file_get_contents (model, &bytes, &size, NULL));
  bytes[size / 2] ^= 1;
  const int fd = g_open (model, O_WRONLY, 0);
  CHECK (write (fd, bytes, size) == (gssize) size);
  close (fd);
  set_age (model, 50);
  changed = key (&request);
  CHECK (!g_str_equal (changed, first));
}

static void
test_fresh_model_is_not_remembered (void)
{
  begin ();
  set_age (model, 0);
  const EngineRequest request = request_for (NULL);
  g_autofree char *first = key (&request), *remembered = memory ();

  CHECK_STR (remembered, "");
}

static void
test_damaged_memory (void)
{
  begin ();
  const EngineRequest request = request_for (NULL);
  g_autofree char *first = key (&request), *hashes = g_build_filename (cache, "hashes", NULL);
  const char *damage[] = {"", "\x01\x02\xff", "[", "[x]\nsha256=1\n", "sha256=abc\n"};

  for (gsize i = 0; i < G_N_ELEMENTS (damage); i++) {
    write_file (hashes, damage[i]);
    g_autofree char *again = key (&request);
    CHECK_STR (again, first);
  }
}

int
main (void)
{
  g_autofree char *home = g_dir_make_tmp ("int8-request-XXXXXX", NULL);

  g_setenv ("XDG_CACHE_HOME", home, TRUE);
  if (!g_getenv ("INT8_SOURCE_DIR"))
    g_setenv ("INT8_SOURCE_DIR", ".", TRUE);
  cache = g_build_filename (home, "gst-int8", NULL);
  folder = g_build_filename (home, "work", NULL);
  model = path_of ("model.onnx");
  table = path_of ("model.table");
  RUN (test_built_then_loaded);
  RUN (test_loaded_fast);
  RUN (test_key);
  RUN (test_no_cache);
  RUN (test_fp32_needs_no_table);
  RUN (test_reasons);
  RUN (test_other_builder);
  RUN (test_corrupt);
  RUN (test_foreign_file);
  RUN (test_unwritable_place);
  RUN (test_unwritable_cache);
  RUN (test_table_of_another_model);
  RUN (test_bad_requests);
  RUN (test_one_builds_for_all);
  RUN (test_cancelled);
  RUN (test_hash_is_remembered);
  RUN (test_fresh_model_is_not_remembered);
  RUN (test_damaged_memory);
  remove_tree (home);
  return check_done ();
}
