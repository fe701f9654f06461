/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* build.c: from a model to an engine: whether the options agree, the passes, and what it was made of. */
#include "engine/build.h"
#include "engine/explicit.h"
#include "engine/model.h"
#include "engine/pass/pass.h"

/* --- Provenance ----------------------------------------------------------------------------- */

/* Mixed precision is int8 with rules, which have a text of their own. */
char *
engine_options_text (EnginePrecision precision, EngineRanges ranges, gboolean strict)
{
  if (!engine_precision_is_int8 (precision))
    return g_strdup_printf ("precision=%s", engine_precision_name (precision));
  return g_strdup_printf ("precision=int8 ranges=%s%s",
      ranges == ENGINE_RANGES_FULL ? "full" : "symmetric", strict ? " strict" : "");
}

const char *
engine_builder_text (void)
{
  return "gst-int8 " INT8_VERSION " builder " G_STRINGIFY (ENGINE_BUILDER);
}

/* Takes text; "" for NULL. */
static char *
sha256_of (char *text)
{
  g_autofree char *taken = text;

  return taken ? g_compute_checksum_for_string (G_CHECKSUM_SHA256, taken, -1) : g_strdup ("");
}

static EngineProvenance
provenance_of (const EngineModel *model, const EngineBuildOptions *options)
{
  const gboolean int8 = engine_precision_is_int8 (options->precision);

  return (EngineProvenance){
      .key = g_strdup (""),
      .model = g_strdup (model->sha256),
      .table = sha256_of (int8 && options->table ? calib_table_to_string (options->table) : NULL),
      .bias = sha256_of (int8 && options->bias ? engine_bias_to_string (options->bias, "") : NULL),
      .dynamic_ranges = sha256_of (int8 && options->dynamic_ranges
                                       ? calib_dynamic_ranges_to_string (options->dynamic_ranges)
                                       : NULL),
      .rules = options->rules ? engine_layer_rules_to_string (options->rules) : g_strdup (""),
      .preprocess = int8 && options->preprocess ? engine_preprocess_to_string (options->preprocess)
                                                : g_strdup (""),
      .options = engine_options_text (options->precision, options->ranges, options->strict),
      .builder = g_strdup (engine_builder_text ()),
  };
}

/* --- Building ------------------------------------------------------------------------------- */

/* What a back end and the elements rely on, beyond what every graph must have. */
gboolean
engine_graph_is_executable (const EngineGraph *graph, GError **error)
{
  const EngineValue *input = engine_graph_value (graph, g_array_index (graph->inputs, int, 0));
  const EngineValue *output = engine_graph_value (graph, g_array_index (graph->outputs, int, 0));

  if (input->rank < 2 || input->rank > 4 || input->dims[0] != 1) {
    g_set_error (error, ENGINE_ERROR, ENGINE_ERROR_UNSUPPORTED,
        "input '%s' has rank %d; an image [1 h w c] is needed", input->name, input->rank);
    return FALSE;
  }
  if (output->type != ENGINE_TYPE_F32) {
    g_set_error (error, ENGINE_ERROR, ENGINE_ERROR_UNSUPPORTED, "output '%s' is not float",
        output->name);
    return FALSE;
  }
  for (guint i = 0; i < graph->nodes->len; i++) {
    const EngineNode *node = engine_graph_node (graph, i);

    if (node->op == ENGINE_OP_UNARY && node->n_inputs == 1 &&
        engine_graph_value (graph, node->inputs[0])->type == ENGINE_TYPE_S8) {
      g_set_error (error, ENGINE_ERROR, ENGINE_ERROR_UNSUPPORTED,
          "layer '%s' works on int8 without a table", node->name);
      return FALSE;
    }
  }
  return TRUE;
}

static gboolean
check_options (const EngineModel *model, const EngineBuildOptions *options, GError **error)
{
  const gboolean explicit = engine_graph_is_explicit (model->graph);
  const gboolean rules = options->rules && engine_layer_rules_n_entries (options->rules) > 0;

  if (rules && !engine_precision_is_int8 (options->precision)) {
    g_set_error_literal (error, ENGINE_ERROR, ENGINE_ERROR_RULES,
        "layer rules choose between int8 and fp32: they need precision int8 or mixed");
    return FALSE;
  }
  if (options->precision == ENGINE_PRECISION_MIXED && !rules) {
    g_set_error_literal (error, ENGINE_ERROR, ENGINE_ERROR_RULES,
        "mixed precision needs layer rules such as 'conv1:fp32'");
    return FALSE;
  }
  if (explicit && options->precision == ENGINE_PRECISION_FP16) {
    g_set_error (error, ENGINE_ERROR, ENGINE_ERROR_UNSUPPORTED,
        "%s is quantised already, which says int8: choose precision int8, or fp32 for what the file says "
        "in floats",
        model->path);
    return FALSE;
  }
  if (engine_precision_is_int8 (options->precision) && !explicit && !options->table &&
      !options->dynamic_ranges) {
    g_set_error_literal (error, ENGINE_ERROR, ENGINE_ERROR_RANGE,
        "INT8 needs a calibration table or dynamic ranges: make a table with int8calib or "
        "gst-int8-1.0 calibrate, or choose precision fp32");
    return FALSE;
  }
  if (options->preprocess) {
    EngineInputInfo input;

    engine_model_input (model, &input);
    return engine_preprocess_check_size (options->preprocess, input.height, input.width, error);
  }
  return TRUE;
}

/* Of what was built. */
static EnginePrecision
precision_of (const EngineBuildOptions *options)
{
  return options->rules && engine_layer_rules_n_entries (options->rules) > 0
             ? ENGINE_PRECISION_MIXED
             : options->precision;
}

/* The graph that is executed. */
static EngineGraph *
build_graph (const EngineModel *model, const EnginePassContext *context, GError **error)
{
  g_autoptr (EngineGraph) graph = engine_graph_copy (model->graph);
  const EnginePrecision precision = context->options->precision;

  if ((engine_precision_is_int8 (precision) && !engine_passes_int8 (graph, context, error)) ||
      (precision == ENGINE_PRECISION_FP16 && !engine_passes_fp16 (graph, context, error)) ||
      !engine_graph_is_executable (graph, error)) {
    g_prefix_error (error, "%s: ", model->path);
    return NULL;
  }
  return g_steal_pointer (&graph);
}

Engine *
engine_build (const EngineModel *model, const EngineBuildOptions *options,
    EngineBuildReport *report, EngineProgressFn progress, gpointer data, GCancellable *cancellable,
    GError **error)
{
  EngineBuildReport notes = {0};
  const EnginePassContext context = {options, &notes, progress, data, cancellable};
  EngineProvenance provenance;
  EngineGraph *graph;
  Engine *engine;

  if (!check_options (model, options, error) ||
      g_cancellable_set_error_if_cancelled (cancellable, error))
    return NULL;

  graph = build_graph (model, &context, error);
  if (!graph) {
    engine_build_report_clear (&notes);
    return NULL;
  }
  provenance = provenance_of (model, options);
  engine = engine_new (graph, precision_of (options), &provenance);
  engine->notes = notes;
  if (report)
    engine_report (engine, report);
  return engine;
}
