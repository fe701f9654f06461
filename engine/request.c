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
#include "engine/live.h"
#include "engine/lock.h"
#include "engine/model.h"
#include "engine/request.h"
#include "engine/tune.h"

typedef struct {
  const EngineRequest *request;
  EngineRequestReport *report;
  EngineBuildStartFn on_build;
  EngineProgressFn progress;
  gpointer data;
  GCancellable *cancellable;

  char *cache_folder;
  EngineRequestInputs inputs;
  char *name; /* of the engine while it lives (live.h) */
} Obtain;

static void
obtain_clear (Obtain *o)
{
  g_free (o->cache_folder);
  engine_request_inputs_clear (&o->inputs);
  g_free (o->name);
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

/* A relative path is no place: nobody finds again what lies where the process happened to be. */
static void
find_cache_folder (Obtain *o)
{
  const char *folder = g_get_user_cache_dir ();

  if (g_path_is_absolute (folder))
    o->cache_folder = g_build_filename (folder, "gst-int8", NULL);
  else if (o->report && !o->request->engine)
    warn (o,
        "the engine is not kept, and is built again next time: XDG_CACHE_HOME and HOME in the environment name "
        "no absolute path; set one of them, or say where the engine file is to be");
}

/* Reads what the request names. */
static gboolean
find_wanted (Obtain *o, GError **error)
{
  g_autofree char *note = NULL;

  if (!o->request->no_cache)
    find_cache_folder (o);
  if (!engine_request_inputs_read (&o->inputs, o->request, o->cache_folder, &note, error))
    return FALSE;
  if (note && o->report)
    warn (o, "%s", note);
  o->name = g_strconcat ("key ", o->inputs.wanted.key, NULL);
  return TRUE;
}

char *
engine_request_key (const EngineRequest *request, GError **error)
{
  g_auto (Obtain) o = {.request = request};

  return find_wanted (&o, error) ? g_strdup (o.inputs.wanted.key) : NULL;
}

static gboolean
check_provenance (Obtain *o, GError **error)
{
  g_autofree char *note = NULL;

  if (!engine_request_inputs_check (&o->inputs, o->request, &note, error))
    return FALSE;
  if (note)
    warn (o, "%s", note);
  return TRUE;
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
      {have->bias, want->bias, "bias correction changed"},
      {have->dynamic_ranges, want->dynamic_ranges, "dynamic ranges changed"},
      {have->rules, want->rules, "layer precision changed"},
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
  if (engine && g_str_equal (engine->provenance.key, o->inputs.wanted.key))
    return engine_live_share (o->name, g_steal_pointer (&engine));
  switch (state) {
  case ENGINE_FILE_GOOD:
    *reason = differences (&engine->provenance, &o->inputs.wanted);
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
      .table = o->inputs.table,
      .dynamic_ranges = o->inputs.dynamic_ranges,
      .rules = o->inputs.rules,
      .bias = o->inputs.bias,
      .strict = o->request->strict,
      .preprocess = o->request->preprocess};
  Engine *engine = engine_live_find (o->name);

  if (engine)
    return engine;

  o->report->built = TRUE;
  o->report->reason = g_strdup (reason);
  if (o->on_build)
    o->on_build (reason, o->data);
  if (!o->inputs.model)
    o->inputs.model = engine_model_load_with (o->request->model, &o->request->model_options,
        error);
  if (!o->inputs.model)
    return NULL;
  if (!g_str_equal (o->inputs.model->sha256, o->inputs.wanted.model)) {
    g_set_error (error, ENGINE_ERROR, ENGINE_ERROR_MISMATCH,
        "model '%s' changed while it was read; try again", o->inputs.model->path);
    return NULL;
  }
  engine =
      engine_build (o->inputs.model, &options, NULL, o->progress, o->data, o->cancellable, error);
  if (!engine)
    return NULL;
  engine_provenance_clear (&engine->provenance);
  engine_provenance_copy (&engine->provenance, &o->inputs.wanted);
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
  g_autofree char *name = g_strconcat (o->inputs.wanted.key, ".engine", NULL);
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

/* A detector's output, or a map of features, is read as classes as well; whoever wants that gets it. */
static void
warn_of_output (Obtain *o, const Engine *engine)
{
  const EngineGraph *graph = engine->graph;
  const EngineValue *output = engine_graph_value (graph, g_array_index (graph->outputs, int, 0));
  g_autoptr (GString) dims = g_string_new (NULL);
  int long_axes = 0;

  for (int i = 1; i < output->rank; i++) {
    g_string_append_printf (dims, "%s%d", i > 1 ? " x " : "", output->dims[i]);
    long_axes += output->dims[i] > 1;
  }
  if (long_axes > 1)
    warn (o,
        "the output '%s' of the network is %s, not one vector of classes as a classifier has: its %d "
        "values are taken for as many classes",
        output->name, dims->str, engine_n_classes (engine));
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
  if (engine) {
    engine_report (engine, &o.report->build);
    warn_of_output (&o, engine);
  }
  o.report->seconds = (g_get_monotonic_time () - start) / 1e6;
  engine_request_report_clear (&ignored);
  return engine;
}
