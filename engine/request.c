/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * request.c: the engine for a model, a table and a preprocessing: from its file where that fits,
 * else built, saved, and with a reason that people understand.
 *
 * Two places are tried: the path that was asked for, and the cache folder, where a file is named by
 * its key. A place that holds something foreign, or cannot be written, is passed over with a
 * warning.
 */
#include "engine/build.h"
#include "engine/file.h"
#include "engine/hash-cache.h"
#include "engine/live.h"
#include "engine/lock.h"
#include "engine/model.h"
#include "engine/tune.h"

typedef struct {
  const EngineRequest *request;
  EngineRequestReport *report;
  EngineBuildStartFn on_build;
  EngineProgressFn progress;
  gpointer data;
  GCancellable *cancellable;

  char *cache_folder;
  EngineProvenance wanted;
  char *name;         /* of the engine while it lives (live.h) */
  EngineModel *model; /* NULL until it is needed */
  CalibTable *table;  /* NULL for fp32 */
} Obtain;

static void
obtain_clear (Obtain *o)
{
  g_free (o->cache_folder);
  engine_provenance_clear (&o->wanted);
  g_free (o->name);
  g_clear_pointer (&o->model, engine_model_unref);
  g_clear_pointer (&o->table, calib_table_free);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Obtain, obtain_clear)

void
engine_request_report_clear (EngineRequestReport *report)
{
  g_free (report->reason);
  g_free (report->path);
  g_free (report->warning);
  engine_build_report_clear (&report->build);
  *report = (EngineRequestReport){0};
}

G_GNUC_PRINTF (2, 3)
static void
warn (Obtain *o, const char *format, ...)
{
  g_autofree char *text = NULL, *before = g_steal_pointer (&o->report->warning);
  va_list args;

  va_start (args, format);
  text = g_strdup_vprintf (format, args);
  va_end (args);
  o->report->warning = before ? g_strdup_printf ("%s; %s", before, text) : g_steal_pointer (&text);
}

/* --- What is wanted ------------------------------------------------------------------------- */

/* The table, and the SHA-256 of the very bytes that it was read from. */
static gboolean
read_table (Obtain *o, GError **error)
{
  const char *path = o->request->table;
  g_autofree char *text = NULL;
  gsize size;

  o->wanted.table = g_strdup ("");
  if (o->request->precision != ENGINE_PRECISION_INT8)
    return TRUE;
  if (!path) {
    g_set_error_literal (error, ENGINE_ERROR, ENGINE_ERROR_RANGE,
        "INT8 needs a calibration table and none is given: make one with int8calib, or choose "
        "precision fp32");
    return FALSE;
  }
  if (!g_file_get_contents (path, &text, &size, error)) {
    g_prefix_error (error, "cannot read the calibration table: ");
    return FALSE;
  }
  o->table = calib_table_parse (text, size, path, error);
  if (!o->table)
    return FALSE;
  g_free (o->wanted.table);
  o->wanted.table = g_compute_checksum_for_data (G_CHECKSUM_SHA256, (const guchar *) text, size);
  return TRUE;
}

/* In the preprocessing an FP32 engine has no part. */
static char *
preprocess_text (const EngineRequest *request)
{
  if (request->precision != ENGINE_PRECISION_INT8 || !request->preprocess)
    return g_strdup ("");
  return engine_preprocess_to_string (request->preprocess);
}

static char *
key_of (const EngineProvenance *p)
{
  g_autofree char *text = g_strdup_printf (
      "gst-int8 engine\nmodel %s\ntable %s\npreprocess %s\noptions %s\nbuilder %s\n", p->model,
      p->table, p->preprocess, p->options, p->builder);

  return g_compute_checksum_for_string (G_CHECKSUM_SHA256, text, -1);
}

static gboolean
find_wanted (Obtain *o, GError **error)
{
  const EngineRequest *request = o->request;
  g_autofree char *note = NULL;

  if (!request->model) {
    g_set_error_literal (error, ENGINE_ERROR, ENGINE_ERROR_MODEL, "no model is given");
    return FALSE;
  }
  if (!read_table (o, error))
    return FALSE;
  if (!request->no_cache)
    o->cache_folder = g_build_filename (g_get_user_cache_dir (), "gst-int8", NULL);
  o->wanted.model = engine_hash_model (request->model, o->cache_folder, &o->model, &note, error);
  if (!o->wanted.model)
    return FALSE;
  if (note && o->report)
    warn (o, "%s", note);
  o->wanted.preprocess = preprocess_text (request);
  o->wanted.options = engine_options_text (request->precision, request->ranges);
  o->wanted.builder = g_strdup (engine_builder_text ());
  o->wanted.key = key_of (&o->wanted);
  o->name = g_strconcat ("key ", o->wanted.key, NULL);
  return TRUE;
}

char *
engine_request_key (const EngineRequest *request, GError **error)
{
  g_auto (Obtain) o = {.request = request};

  return find_wanted (&o, error) ? g_strdup (o.wanted.key) : NULL;
}

/* --- Does the table belong to the model ----------------------------------------------------- */

static gboolean
check_provenance (Obtain *o, GError **error)
{
  const EngineRequest *request = o->request;
  CalibProvenance provenance = {0};
  g_autoptr (GError) local = NULL;
  g_autofree char *preprocess = NULL;
  const char *differs = NULL;

  if (!o->table)
    return TRUE;
  if (!calib_provenance_load (request->table, &provenance, &local)) {
    if (!local)
      return TRUE; /* a table needs no provenance */
    g_propagate_error (error, g_steal_pointer (&local));
    return FALSE;
  }
  if (request->preprocess)
    preprocess = engine_preprocess_sha256 (request->preprocess);
  if (provenance.model_sha256 && !g_str_equal (provenance.model_sha256, o->wanted.model))
    differs = "another model";
  else if (provenance.preprocess_sha256 && preprocess &&
           !g_str_equal (provenance.preprocess_sha256, preprocess))
    differs = "another preprocessing";
  calib_provenance_clear (&provenance);
  if (!differs)
    return TRUE;
  if (request->force) {
    warn (o, "calibration table '%s' was made for %s, and is used all the same", request->table,
        differs);
    return TRUE;
  }
  g_set_error (error, ENGINE_ERROR, ENGINE_ERROR_MISMATCH,
      "calibration table '%s' was made for %s, says '%s.json'; calibrate again, or force its use",
      request->table, differs, request->table);
  return FALSE;
}

/* --- Loading -------------------------------------------------------------------------------- */

static char *
differences (const EngineProvenance *have, const EngineProvenance *want)
{
  GString *text = g_string_new (NULL);
  const struct {
    const char *have, *want, *what;
  } parts[] = {
      {have->model, want->model, "model changed"},
      {have->table, want->table, "calibration table changed"},
      {have->preprocess, want->preprocess, "preprocessing changed"},
      {have->options, want->options, "precision or ranges changed"},
      {have->builder, want->builder, "made by another version"},
  };

  for (gsize i = 0; i < G_N_ELEMENTS (parts); i++)
    if (!g_str_equal (parts[i].have, parts[i].want))
      g_string_append_printf (text, "%s%s", text->len ? ", " : "", parts[i].what);
  if (text->len == 0)
    g_string_append (text, "made for another request"); /* saved with a key of its own */
  return g_string_free (text, FALSE);
}

/* The engine at a path, or NULL with the reason why there is none that fits. usable: an engine may
 * be saved there. */
static Engine *
load_fitting (Obtain *o, const char *path, char **reason, gboolean *usable)
{
  g_autoptr (GError) error = NULL;
  EngineFileState state;
  g_autoptr (Engine) engine = engine_file_read (path, &state, &error);

  *reason = NULL;
  *usable = state != ENGINE_FILE_FOREIGN && state != ENGINE_FILE_UNREADABLE;
  if (engine && g_str_equal (engine->provenance.key, o->wanted.key))
    return engine_live_share (o->name, g_steal_pointer (&engine));
  switch (state) {
  case ENGINE_FILE_GOOD:
    *reason = differences (&engine->provenance, &o->wanted);
    break;
  case ENGINE_FILE_OTHER:
    *reason = g_strdup ("made by another version");
    break;
  case ENGINE_FILE_CORRUPT:
    *reason = g_strdup_printf ("the file is corrupt: %s", error->message);
    break;
  case ENGINE_FILE_FOREIGN:
  case ENGINE_FILE_UNREADABLE:
    warn (o, "%s", error->message);
    break;
  case ENGINE_FILE_ABSENT:
    break;
  }
  if (!*reason)
    *reason = g_strdup ("no engine yet");
  return NULL;
}

/* --- Building ------------------------------------------------------------------------------- */

/* Builds it, unless somebody in this process has it. */
static Engine *
make (Obtain *o, const char *reason, GError **error)
{
  const EngineBuildOptions options = {.precision = o->request->precision,
      .ranges = o->request->ranges,
      .table = o->table,
      .preprocess = o->request->preprocess};
  Engine *engine = engine_live_find (o->name);

  if (engine)
    return engine;

  o->report->built = TRUE;
  o->report->reason = g_strdup (reason);
  if (o->on_build)
    o->on_build (reason, o->data);
  if (!o->model)
    o->model = engine_model_load (o->request->model, error);
  if (!o->model)
    return NULL;
  if (!g_str_equal (o->model->sha256, o->wanted.model)) {
    g_set_error (error, ENGINE_ERROR, ENGINE_ERROR_MISMATCH,
        "model '%s' changed while it was read; try again", o->request->model);
    return NULL;
  }
  engine = engine_build (o->model, &options, &o->report->build, o->progress, o->data,
      o->cancellable, error);
  if (!engine)
    return NULL;
  engine_provenance_clear (&engine->provenance);
  engine_provenance_copy (&engine->provenance, &o->wanted);
  return engine_live_share (o->name, engine);
}

typedef struct {
  Engine *engine; /* built, or found in this process; NULL so far */
  char *reason;   /* of the first place that is ours: why nothing could be loaded */
} Progress;

/* One place. Returns the engine when the place has it in the end; NULL, without an error, when
 * another place is to be tried, with progress->engine set where only saving failed. */
static Engine *
try_place (Obtain *o, const char *path, Progress *progress, GError **error)
{
  g_autoptr (EngineLock) lock = NULL;
  g_autoptr (GError) local = NULL;
  g_autofree char *reason = NULL;
  gboolean usable;
  Engine *engine = load_fitting (o, path, &reason, &usable);

  if (!engine && usable && !progress->reason)
    progress->reason = g_strdup (reason);
  if (engine || !usable)
    return engine;

  lock = engine_lock_take (path, o->cancellable, &local);
  if (!lock) {
    if (g_error_matches (local, G_IO_ERROR, G_IO_ERROR_CANCELLED))
      g_propagate_error (error, g_steal_pointer (&local));
    else
      warn (o, "%s", local->message);
    return NULL;
  }
  /* Somebody else may have built it meanwhile. */
  g_clear_pointer (&reason, g_free);
  engine = load_fitting (o, path, &reason, &usable);
  if (engine || !usable)
    return engine;

  if (!progress->engine)
    progress->engine = make (o, progress->reason, error);
  if (!progress->engine)
    return NULL;
  if (!engine_file_write (progress->engine, NULL, path, &local)) {
    warn (o, "the engine could not be saved: %s", local->message);
    return NULL;
  }
  return g_steal_pointer (&progress->engine);
}

static Engine *
obtain_from_places (Obtain *o, GError **error)
{
  g_autofree char *name = g_strconcat (o->wanted.key, ".engine", NULL);
  g_autofree char *cached = o->cache_folder ? g_build_filename (o->cache_folder, name, NULL) : NULL;
  const char *places[] = {o->request->no_cache ? NULL : o->request->engine, cached};
  Progress progress = {0};
  g_autoptr (GError) local = NULL;
  Engine *engine = NULL;

  for (gsize i = 0; i < G_N_ELEMENTS (places) && !engine && !local; i++) {
    if (!places[i])
      continue;
    if (places[i] == cached)
      (void) g_mkdir_with_parents (o->cache_folder, 0700); /* the lock says where it fails */
    engine = try_place (o, places[i], &progress, &local);
    if (engine)
      o->report->path = g_strdup (places[i]);
  }
  if (!engine && !local) /* kept nowhere */
    engine = progress.engine ? g_steal_pointer (&progress.engine)
                             : make (o,
                                   o->request->no_cache ? "engine files are not used"
                                   : progress.reason    ? progress.reason
                                                        : "no engine yet",
                                   &local);
  if (local)
    g_propagate_error (error, g_steal_pointer (&local));
  engine_unref (progress.engine);
  g_free (progress.reason);
  return engine;
}

/* --- Tuning --------------------------------------------------------------------------------- */

static void
begin_tuning (gpointer data)
{
  const Obtain *o = data;

  if (o->on_build && !o->report->built)
    o->on_build ("not tuned for this machine yet", o->data);
}

static void
pass_progress (guint done, guint total, const char *what, gpointer data)
{
  const Obtain *o = data;

  if (o->progress)
    o->progress (done, total, what, o->data);
}

static gboolean
tune (Obtain *o, Engine *engine, GError **error)
{
  const EngineTuneRequest request = {.engine = engine,
      .backend = o->request->tune_for,
      .max_batch = o->request->tune_batch,
      .threads = o->request->tune_threads,
      .path = o->report->path,
      .begin = begin_tuning,
      .progress = pass_progress,
      .data = o,
      .cancellable = o->cancellable};
  g_autofree char *warning = NULL;

  if (!o->request->tune_for)
    return TRUE;
  if (!engine_tune_and_keep (&request, &o->report->tuned, &warning, error))
    return FALSE;
  if (warning)
    warn (o, "%s", warning);
  return TRUE;
}

Engine *
engine_obtain (const EngineRequest *request, EngineRequestReport *report,
    EngineBuildStartFn on_build, EngineProgressFn progress, gpointer data,
    GCancellable *cancellable, GError **error)
{
  const gint64 start = g_get_monotonic_time ();
  EngineRequestReport ignored = {0};
  g_auto (Obtain) o = {.request = request,
      .report = report ? report : &ignored,
      .on_build = on_build,
      .progress = progress,
      .data = data,
      .cancellable = cancellable};
  Engine *engine = NULL;

  if (find_wanted (&o, error) && check_provenance (&o, error) &&
      engine_live_begin (o.name, cancellable, error)) {
    engine = obtain_from_places (&o, error);
    if (engine && !tune (&o, engine, error))
      g_clear_pointer (&engine, engine_unref);
    engine_live_end (o.name);
  }
  if (engine && !o.report->built)
    engine_count_layers (engine, &o.report->build);
  o.report->seconds = (g_get_monotonic_time () - start) / 1e6;
  engine_request_report_clear (&ignored);
  return engine;
}
