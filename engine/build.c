/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * build.c: from a model to an engine, and the engine as an object.
 */
#include "engine/build.h"
#include "engine/explicit.h"
#include "engine/layer-rules.h"
#include "engine/live.h"
#include "engine/model.h"
#include "engine/pass/pass.h"
#include "engine/point.h"

#include <math.h>

const char *
engine_precision_name (EnginePrecision precision)
{
  static const char *const names[] = {"int8", "fp32", "mixed", "fp16"};

  return precision < ENGINE_PRECISION_COUNT ? names[precision] : "?";
}

/* --- Provenance ----------------------------------------------------------------------------- */

void
engine_provenance_clear (EngineProvenance *provenance)
{
  g_clear_pointer (&provenance->key, g_free);
  g_clear_pointer (&provenance->model, g_free);
  g_clear_pointer (&provenance->table, g_free);
  g_clear_pointer (&provenance->bias, g_free);
  g_clear_pointer (&provenance->dynamic_ranges, g_free);
  g_clear_pointer (&provenance->rules, g_free);
  g_clear_pointer (&provenance->preprocess, g_free);
  g_clear_pointer (&provenance->options, g_free);
  g_clear_pointer (&provenance->builder, g_free);
}

void
engine_provenance_copy (EngineProvenance *to, const EngineProvenance *from)
{
  *to = (EngineProvenance){
      .key = g_strdup (from->key),
      .model = g_strdup (from->model),
      .table = g_strdup (from->table),
      .bias = g_strdup (from->bias),
      .dynamic_ranges = g_strdup (from->dynamic_ranges),
      .rules = g_strdup (from->rules),
      .preprocess = g_strdup (from->preprocess),
      .options = g_strdup (from->options),
      .builder = g_strdup (from->builder),
  };
}

gboolean
engine_precision_is_int8 (EnginePrecision precision)
{
  return precision == ENGINE_PRECISION_INT8 || precision == ENGINE_PRECISION_MIXED;
}

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

/* --- The object ----------------------------------------------------------------------------- */

Engine *
engine_new (EngineGraph *graph, EnginePrecision precision, EngineProvenance *provenance)
{
  Engine *engine = g_new0 (Engine, 1);

  g_atomic_ref_count_init (&engine->references);
  engine->graph = graph;
  engine->precision = precision;
  engine->provenance = *provenance;
  *provenance = (EngineProvenance){0};
  return engine;
}

Engine *
engine_ref (Engine *engine)
{
  g_atomic_ref_count_inc (&engine->references);
  return engine;
}

void
engine_unref (Engine *engine)
{
  if (!engine || !engine_live_unref (engine, &engine->references))
    return;
  engine_graph_free (engine->graph);
  engine_provenance_clear (&engine->provenance);
  engine_build_report_clear (&engine->notes);
  g_clear_pointer (&engine->tactics, g_ptr_array_unref);
  g_free (engine);
}

static const EngineValue *
input_of (const Engine *engine)
{
  return engine_graph_value (engine->graph, g_array_index (engine->graph->inputs, int, 0));
}

static int
output_of (const Engine *engine)
{
  return g_array_index (engine->graph->outputs, int, 0);
}

void
engine_input (const Engine *engine, EngineInputInfo *info)
{
  const EngineValue *input = input_of (engine);
  int nhwc[4];

  engine_value_nhwc (input, nhwc);
  *info = (EngineInputInfo){input->name, nhwc[1], nhwc[2], nhwc[3]};
}

int
engine_n_classes (const Engine *engine)
{
  return engine_value_elements (engine_graph_value (engine->graph, output_of (engine)));
}

gboolean
engine_graph_ends_in_softmax (const EngineGraph *graph)
{
  int value = g_array_index (graph->outputs, int, 0);

  for (;;) {
    const int producer = engine_graph_value (graph, value)->producer;
    const EngineNode *node;

    if (producer == ENGINE_NONE)
      return FALSE;
    node = engine_graph_node (graph, producer);
    if (node->op == ENGINE_OP_SOFTMAX)
      return !node->softmax.log;
    if (node->op != ENGINE_OP_RESHAPE && node->op != ENGINE_OP_TRANSPOSE)
      return FALSE;
    value = node->inputs[0];
  }
}

gboolean
engine_has_softmax (const Engine *engine)
{
  return engine_graph_ends_in_softmax (engine->graph);
}

EnginePrecision
engine_precision (const Engine *engine)
{
  return engine->precision;
}

EngineType
engine_input_type (const Engine *engine, float *scale, int *zero)
{
  const EngineValue *input = input_of (engine);
  const gboolean s8 = input->type == ENGINE_TYPE_S8;

  if (scale)
    *scale = s8 ? input->quant.scale : 1;
  if (zero)
    *zero = s8 ? input->quant.zero : 0;
  return input->type;
}

const char *
engine_output_name (const Engine *engine)
{
  return engine_graph_value (engine->graph, g_array_index (engine->graph->outputs, int, 0))->name;
}

char *
engine_dump (const Engine *engine)
{
  return engine_graph_dump (engine->graph);
}

/* --- Building ------------------------------------------------------------------------------- */

void
engine_report_add (GPtrArray **list, const char *format, ...)
{
  G_GNUC_UNUSED g_auto (EnginePoint) point = engine_point (); /* engine files keep these lines */
  va_list args;

  if (!*list)
    *list = g_ptr_array_new_with_free_func (g_free);
  va_start (args, format);
  g_ptr_array_add (*list, g_strdup_vprintf (format, args));
  va_end (args);
}

void
engine_build_report_clear (EngineBuildReport *report)
{
  g_clear_pointer (&report->inferred, g_ptr_array_unref);
  g_clear_pointer (&report->obeyed, g_ptr_array_unref);
  g_clear_pointer (&report->refused, g_ptr_array_unref);
  g_clear_pointer (&report->unmatched, g_ptr_array_unref);
  *report = (EngineBuildReport){0};
}

static GPtrArray *
copy_lines (const GPtrArray *lines)
{
  GPtrArray *copy = NULL;

  for (guint i = 0; lines && i < lines->len; i++)
    engine_report_add (&copy, "%s", (const char *) lines->pdata[i]);
  return copy;
}

void
engine_report (const Engine *engine, EngineBuildReport *report)
{
  g_autoptr (GArray) layers = engine_layers (engine);

  for (guint i = 0; i < layers->len; i++) {
    switch (g_array_index (layers, EngineLayer, i).precision) {
    case ENGINE_PRECISION_INT8:
      report->layers_int8++;
      break;
    case ENGINE_PRECISION_FP16:
      report->layers_fp16++;
      break;
    default:
      report->layers_fp32++;
      break;
    }
  }
  report->inferred = copy_lines (engine->notes.inferred);
  report->obeyed = copy_lines (engine->notes.obeyed);
  report->refused = copy_lines (engine->notes.refused);
  report->unmatched = copy_lines (engine->notes.unmatched);
}

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
