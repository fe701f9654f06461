/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * request-inputs.c: model, table, bias correction, ranges by hand and layer rules of a request, and the key that
 * follows from their contents.
 */
#include "engine/request.h"
#include "engine/hash-cache.h"
#include "engine/model.h"

void
engine_request_inputs_clear (EngineRequestInputs *inputs)
{
  engine_provenance_clear (&inputs->wanted);
  g_clear_pointer (&inputs->model, engine_model_unref);
  g_clear_pointer (&inputs->table, calib_table_free);
  g_clear_pointer (&inputs->dynamic_ranges, calib_dynamic_ranges_free);
  g_clear_pointer (&inputs->rules, engine_layer_rules_free);
  g_clear_pointer (&inputs->bias, engine_bias_free);
}

/* --- Files ---------------------------------------------------------------------------------- */

/* The text of a file, and the SHA-256 of these very bytes. */
static char *
read_text (const char *path, const char *what, gsize *size, char **sha256, GError **error)
{
  char *text;

  if (!g_file_get_contents (path, &text, size, error)) {
    g_prefix_error (error, "cannot read the %s: ", what);
    return NULL;
  }
  *sha256 = g_compute_checksum_for_data (G_CHECKSUM_SHA256, (const guchar *) text, *size);
  return text;
}

static gboolean
read_table (EngineRequestInputs *inputs, const EngineRequest *request, GError **error)
{
  g_autofree char *text = NULL;
  gsize size;

  if (!request->table)
    return TRUE;
  text = read_text (request->table, "calibration table", &size, &inputs->wanted.table, error);
  if (text)
    inputs->table = calib_table_parse (text, size, request->table, error);
  return inputs->table != NULL;
}

/* Bias correction belongs to the table as it is, unless forced. */
static gboolean
read_bias (EngineRequestInputs *inputs, const EngineRequest *request, char **note, GError **error)
{
  g_autofree char *path = request->table ? engine_bias_path (request->table) : NULL, *text = NULL;
  g_autofree char *shown = path ? g_filename_display_name (path) : NULL;
  g_autoptr (GError) local = NULL;
  gsize size;

  if (!path)
    return TRUE;
  text = read_text (path, "bias correction", &size, &inputs->wanted.bias, &local);
  /* That of an older table may be removed at any time; one of a name that is too long cannot be. */
  if (g_error_matches (local, G_FILE_ERROR, G_FILE_ERROR_NOENT) ||
      g_error_matches (local, G_FILE_ERROR, G_FILE_ERROR_NAMETOOLONG))
    return TRUE;
  if (!text) {
    g_propagate_error (error, g_steal_pointer (&local));
    return FALSE;
  }
  inputs->bias = engine_bias_parse (text, inputs->wanted.table, shown, &local);
  if (!inputs->bias && request->force &&
      g_error_matches (local, ENGINE_ERROR, ENGINE_ERROR_MISMATCH)) {
    *note =
        g_strdup_printf ("bias correction '%s' was made with another table, and is used all the "
                         "same",
            shown);
    g_clear_error (&local);
    inputs->bias = engine_bias_parse (text, NULL, shown, &local);
  }
  if (local)
    g_propagate_error (error, g_steal_pointer (&local));
  return inputs->bias != NULL;
}

static gboolean
read_dynamic_ranges (EngineRequestInputs *inputs, const EngineRequest *request, GError **error)
{
  g_autofree char *text = NULL;
  gsize size;

  if (!request->dynamic_ranges)
    return TRUE;
  text = read_text (request->dynamic_ranges, "dynamic ranges", &size,
      &inputs->wanted.dynamic_ranges, error);
  if (text)
    inputs->dynamic_ranges =
        calib_dynamic_ranges_parse (text, size, request->dynamic_ranges, error);
  return inputs->dynamic_ranges != NULL;
}

/* The rules beside the table. */
static gboolean
read_chosen_rules (EngineLayerRules *rules, const EngineRequest *request, GError **error)
{
  g_autoptr (EngineLayerRules) chosen = NULL;
  g_autofree char *path = NULL, *shown = NULL, *table = NULL;

  if (!request->table) {
    g_set_error_literal (error, ENGINE_ERROR, ENGINE_ERROR_RULES,
        "mixed precision takes its layer rules from <table>.precision, and no calibration table is "
        "given; with precision int8 they can be given themselves");
    return FALSE;
  }
  path = engine_layer_rules_path (request->table);
  shown = g_filename_display_name (path);
  table = g_filename_display_name (request->table);
  if (!g_file_test (path, G_FILE_TEST_EXISTS)) {
    g_set_error (error, ENGINE_ERROR, ENGINE_ERROR_RULES,
        "mixed precision needs layer rules in '%s', and there is no such file: gst-int8-1.0 compare "
        "MODEL --table %s --images FOLDER --precision-target 0.99 chooses them and writes it (so does "
        "int8calib precision-target=0.99), or write one with a line 'LAYER:fp32' for each layer that "
        "is to stay in floats",
        shown, table);
    return FALSE;
  }
  chosen = engine_layer_rules_load (path, error);
  if (!chosen)
    return FALSE;
  if (engine_layer_rules_n_entries (chosen) == 0) {
    g_set_error (error, ENGINE_ERROR, ENGINE_ERROR_RULES, "'%s' has no layer rule in it", shown);
    return FALSE;
  }
  engine_layer_rules_append (rules, chosen);
  return TRUE;
}

static gboolean
read_rules (EngineRequestInputs *inputs, const EngineRequest *request, GError **error)
{
  g_autoptr (EngineLayerRules) rules = engine_layer_rules_new (), given = NULL;

  if (request->precision == ENGINE_PRECISION_MIXED && !read_chosen_rules (rules, request, error))
    return FALSE;
  if (request->layer_precision) {
    given = engine_layer_rules_from_option (request->layer_precision, error);
    if (!given)
      return FALSE;
    engine_layer_rules_append (rules, given);
  }
  if (engine_layer_rules_n_entries (rules) == 0)
    return TRUE;
  inputs->rules = g_steal_pointer (&rules);
  g_free (inputs->wanted.rules);
  inputs->wanted.rules = engine_layer_rules_to_string (inputs->rules);
  return TRUE;
}

/* What only int8 needs. */
static gboolean
read_for_int8 (EngineRequestInputs *inputs, const EngineRequest *request, char **note,
    GError **error)
{
  if (!read_table (inputs, request, error) || !read_bias (inputs, request, note, error) ||
      !read_dynamic_ranges (inputs, request, error) || !read_rules (inputs, request, error))
    return FALSE;
  if (request->preprocess)
    inputs->wanted.preprocess = engine_preprocess_to_string (request->preprocess);
  return TRUE;
}

/* --- The key -------------------------------------------------------------------------------- */

static char *
key_of (const EngineProvenance *p)
{
  g_autoptr (GString) text = g_string_new (NULL);

  g_string_append_printf (text,
      "gst-int8 engine\nmodel %s\ntable %s\npreprocess %s\noptions %s\nbuilder %s\n", p->model,
      p->table, p->preprocess, p->options, p->builder);
  if (*p->bias)
    g_string_append_printf (text, "bias %s\n", p->bias);
  if (*p->dynamic_ranges)
    g_string_append_printf (text, "dynamic ranges %s\n", p->dynamic_ranges);
  if (*p->rules)
    g_string_append_printf (text, "rules\n%s", p->rules);
  return g_compute_checksum_for_string (G_CHECKSUM_SHA256, text->str, -1);
}

static void
make_empty (char **text)
{
  if (!*text)
    *text = g_strdup ("");
}

static void
add_note (char **note, const char *more)
{
  g_autofree char *before = *note;

  if (before && more)
    *note = g_strdup_printf ("%s; %s", before, more);
  else
    *note = g_strdup (before ? before : more);
}

gboolean
engine_request_inputs_read (EngineRequestInputs *inputs, const EngineRequest *request,
    const char *cache_folder, char **note, GError **error)
{
  EngineProvenance *wanted = &inputs->wanted;
  g_autofree char *forced = NULL;

  if (!request->model) {
    g_set_error_literal (error, ENGINE_ERROR, ENGINE_ERROR_MODEL, "no model is given");
    return FALSE;
  }
  if (engine_precision_is_int8 (request->precision)) {
    if (!read_for_int8 (inputs, request, &forced, error))
      return FALSE;
  } else if (request->layer_precision) {
    g_set_error (error, ENGINE_ERROR, ENGINE_ERROR_RULES,
        "layer precision is given, and precision %s, which leaves nothing to choose: take int8",
        engine_precision_name (request->precision));
    return FALSE;
  }
  wanted->model = engine_hash_model (request->model, &request->model_options, cache_folder,
      &inputs->model, note, error);
  if (!wanted->model)
    return FALSE;
  add_note (note, forced);
  make_empty (&wanted->bias);
  make_empty (&wanted->table);
  make_empty (&wanted->dynamic_ranges);
  make_empty (&wanted->rules);
  make_empty (&wanted->preprocess); /* in which engines of floats have no part */
  wanted->options = engine_options_text (request->precision, request->ranges, request->strict);
  wanted->builder = g_strdup (engine_builder_text ());
  wanted->key = key_of (wanted);
  return TRUE;
}

/* --- Does the table belong to the model ----------------------------------------------------- */

gboolean
engine_request_inputs_check (const EngineRequestInputs *inputs, const EngineRequest *request,
    char **note, GError **error)
{
  CalibProvenance provenance = {0};
  g_autoptr (GError) local = NULL;
  g_autofree char *preprocess = NULL, *table = NULL;
  const char *differs = NULL;

  if (!inputs->table)
    return TRUE;
  if (!calib_provenance_load (request->table, &provenance, &local)) {
    if (!local)
      return TRUE; /* a table needs no provenance */
    g_propagate_error (error, g_steal_pointer (&local));
    return FALSE;
  }
  if (request->preprocess)
    preprocess = engine_preprocess_sha256 (request->preprocess);
  if (provenance.model_sha256 && !g_str_equal (provenance.model_sha256, inputs->wanted.model))
    differs = "another model";
  else if (provenance.preprocess_sha256 && preprocess &&
           !g_str_equal (provenance.preprocess_sha256, preprocess))
    differs = "another preprocessing";
  calib_provenance_clear (&provenance);
  if (!differs)
    return TRUE;
  table = g_filename_display_name (request->table);
  if (request->force) {
    *note = g_strdup_printf ("calibration table '%s' was made for %s, and is used all the same",
        table, differs);
    return TRUE;
  }
  g_set_error (error, ENGINE_ERROR, ENGINE_ERROR_MISMATCH,
      "calibration table '%s' was made for %s, says '%s.json'; calibrate again, or force its use (force-table=true, --force)",
      table, differs, table);
  return FALSE;
}
