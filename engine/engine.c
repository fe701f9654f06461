/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* engine.c: an engine as an object: what it holds, what it was made of, and what people are told of it. */
#include "engine/build.h"
#include "engine/live.h"
#include "engine/point.h"

const char *
engine_precision_name (EnginePrecision precision)
{
  static const char *const names[] = {"int8", "fp32", "mixed", "fp16"};

  return precision < ENGINE_PRECISION_COUNT ? names[precision] : "?";
}

gboolean
engine_precision_is_int8 (EnginePrecision precision)
{
  return precision == ENGINE_PRECISION_INT8 || precision == ENGINE_PRECISION_MIXED;
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
  return engine_graph_value (engine->graph, output_of (engine))->name;
}

char *
engine_dump (const Engine *engine)
{
  return engine_graph_dump (engine->graph);
}

/* --- Its report ----------------------------------------------------------------------------- */

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
