/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * request.h: a model, a table and a cache folder of their own for tests of engine_obtain().
 */
#pragma once

#include "engine/file.h"
#include "engine/model.h"
#include "tests/check.h"
#include "tests/engine/net.h"
#include "tests/folder.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <time.h>

/* What one test works with: a copy of a model, a table for it, and a cache folder of its own. */
static char *home, *folder, *model, *table, *cache;
static EnginePreprocess preprocess;

static inline char *
path_of (const char *name)
{
  return g_build_filename (folder, name, NULL);
}

static inline void
write_file (const char *path, const char *text)
{
  g_autoptr (GError) error = NULL;

  if (!g_file_set_contents (path, text, -1, &error))
    g_error ("%s", error->message);
}

/* As if it had been written so many seconds ago. */
static inline void
set_age (const char *path, int seconds)
{
  const struct timespec then = {time (NULL) - seconds, 123456789};

  CHECK_INT (utimensat (AT_FDCWD, path, (struct timespec[]){then, then}, 0), ==, 0);
}

static inline int
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
static inline void
write_table (const char *path, float scale)
{
  g_autoptr (CalibTable) made = calib_table_new ("TRT-8601-MinMaxCalibration");
  g_autoptr (EngineModel) loaded = engine_model_load (model, NULL);

  for (guint v = 0; v < loaded->graph->values->len; v++)
    calib_table_set (made, engine_graph_value (loaded->graph, v)->name, scale);
  CHECK (calib_table_save (made, path, NULL));
}

static inline void
begin (void)
{
  test_folder_remove (cache);
  test_folder_remove (folder);
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

static inline EngineRequest
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

static inline void
outcome_clear (Outcome *outcome)
{
  engine_unref (outcome->engine);
  engine_request_report_clear (&outcome->report);
  g_clear_error (&outcome->error);
  g_free (outcome->told);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Outcome, outcome_clear)

static inline void
note_build (const char *reason, gpointer data)
{
  Outcome *outcome = data;

  CHECK (!outcome->told); /* once */
  outcome->told = g_strdup (reason);
}

static inline Outcome
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

static inline void
check_built (const Outcome *outcome, const char *reason)
{
  if (outcome->error)
    CHECK_FAIL ("%s", outcome->error->message);
  CHECK (outcome->report.built);
  CHECK_STR (outcome->report.reason, reason);
  CHECK_STR (outcome->told, reason);
}

static inline void
check_loaded (const Outcome *outcome)
{
  if (outcome->error)
    CHECK_FAIL ("%s", outcome->error->message);
  if (outcome->report.built)
    CHECK_FAIL ("built: %s", outcome->report.reason);
  CHECK (!outcome->told && !outcome->report.reason);
}

static inline void
check_refused (const Outcome *outcome, GQuark domain, int code, const char *text)
{
  CHECK (!outcome->engine);
  if (!g_error_matches (outcome->error, domain, code) || !strstr (outcome->error->message, text))
    CHECK_FAIL ("expected \"%s\", got %s", text,
        outcome->error ? outcome->error->message : "no error");
}

/* Before the first test: the cache folder is this program's own from now on. */
static inline void
request_init (void)
{
  home = g_dir_make_tmp ("int8-request-XXXXXX", NULL);
  g_setenv ("XDG_CACHE_HOME", home, TRUE);
  if (!g_getenv ("INT8_SOURCE_DIR"))
    g_setenv ("INT8_SOURCE_DIR", ".", TRUE);
  cache = g_build_filename (home, "gst-int8", NULL);
  folder = g_build_filename (home, "work", NULL);
  model = path_of ("model.onnx");
  table = path_of ("model.table");
}

static inline int
request_done (void)
{
  test_folder_remove (home);
  g_free (home);
  g_free (cache);
  g_free (folder);
  g_free (model);
  g_free (table);
  return check_done ();
}
