/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * compare/alone.c: one layer at a time. A frame runs through the FP32 network, which keeps all its
 * activations. Then, from the last layer to the first: the exact inputs of the layer are quantised
 * into the int8 engine, the layer runs there, its output takes the place of the exact one, and the
 * rest of the FP32 network runs again. What a layer reads is exact still, since only later values have
 * been written over.
 *
 * The arithmetic is that of an engine in which this layer alone is int8, without building one.
 */
#include "engine/compare/private.h"
#include "engine/quant.h"

#include <math.h>
#include <string.h>

/* Of a value that pass/quantise.c makes where an int8 layer reads what a float one has made. */
#define INT8_SUFFIX " (int8)"

typedef struct {
  EngineTensorPair *pair;
  int node; /* of the judged graph */
  EngineTensorSums sums;
  EngineAgreement *agreement;
} Layer;

static void
layer_clear (gpointer data)
{
  Layer *layer = data;

  engine_tensor_sums_clear (&layer->sums);
  engine_agreement_free (layer->agreement);
}

/* Every layer that is int8 in the judged engine, in the order of the network. */
static GArray *
find_layers (EngineComparison *comparison)
{
  const guint n_classes = comparison->pairs[comparison->logits].elements;
  GArray *layers = g_array_new (FALSE, FALSE, sizeof (Layer));

  g_array_set_clear_func (layers, layer_clear);
  for (guint i = 0; i < comparison->n_pairs; i++) {
    EngineTensorPair *pair = &comparison->pairs[i];
    Layer layer = {.pair = pair, .node = engine_comparison_node (comparison, pair)};

    if (engine_comparison_precision (comparison, pair) != ENGINE_PRECISION_INT8)
      continue;
    engine_tensor_sums_init (&layer.sums, pair->channels);
    layer.agreement = engine_agreement_new (n_classes, ENGINE_SCORES_LOGITS);
    g_array_append_val (layers, layer);
  }
  return layers;
}

/* --- Running parts of a network ------------------------------------------------------------- */

/* The steps of the nodes from..to. */
static gboolean
run_nodes (const EngineComparison *comparison, const EngineProgram *program, int from, int to,
    GError **error)
{
  const EngineSpan span = engine_program_span (program, 0, 1, ENGINE_NONE);
  const char *failure;

  for (guint s = 0; s < program->steps->len; s++) {
    const EngineStep *step = &g_array_index (program->steps, EngineStep, s);

    if (step->node >= from && step->node <= to)
      step->run (step, &span, program->queue);
  }
  failure = comparison->backend->queue_wait (program->queue);
  if (!failure)
    return TRUE;
  g_set_error (error, ENGINE_ERROR, ENGINE_ERROR_BACKEND, "back end '%s' failed: %s",
      comparison->backend->name, failure);
  return FALSE;
}

/* The exact values of an activation of the judged graph; NULL where the FP32 network has none. */
static const EngineTensorPair *
exact_of (const EngineComparison *comparison, const char *name)
{
  g_autofree char *known = NULL;
  const EngineTensorPair *pair = g_hash_table_lookup (comparison->by_name, name);

  if (pair || !g_str_has_suffix (name, INT8_SUFFIX))
    return pair;
  known = g_strndup (name, strlen (name) - strlen (INT8_SUFFIX));
  return g_hash_table_lookup (comparison->by_name, known);
}

static gboolean
quantise_inputs (const EngineComparison *comparison, const Layer *layer, GError **error)
{
  const EngineProgram *program = engine_exec_program (comparison->judged_exec);
  const EngineGraph *graph = program->graph;
  const EngineNode *node = engine_graph_node (graph, layer->node);

  for (int k = 0; k < node->n_inputs; k++) {
    const EngineValue *value =
        node->inputs[k] == ENGINE_NONE ? NULL : engine_graph_value (graph, node->inputs[k]);

    if (!value || value->data)
      continue;
    const EngineTensorPair *exact = exact_of (comparison, value->name);
    if (!exact || value->type != ENGINE_TYPE_S8) {
      g_set_error (error, ENGINE_ERROR, ENGINE_ERROR_UNSUPPORTED,
          "layer '%s' reads '%s', which the FP32 network does not have", node->name, value->name);
      return FALSE;
    }
    gint8 *levels = engine_program_value (program, node->inputs[k]);
    const float *factors = value->factors ? g_bytes_get_data (value->factors, NULL) : NULL;
    for (gsize i = 0; i < exact->elements; i++)
      levels[i] = engine_quant_level (&value->quant,
          exact->exact[i] / (factors ? (double) factors[i % exact->channels] : 1));
  }
  return TRUE;
}

/* The layer's output on the judged engine. */
static gboolean
run_layer (const EngineComparison *comparison, Layer *layer, EngineTap *tap, GError **error)
{
  const EngineProgram *program = engine_exec_program (comparison->judged_exec);
  const EngineValue *value = engine_comparison_value (program->graph, layer->pair->name);

  if (!quantise_inputs (comparison, layer, error) ||
      !run_nodes (comparison, program, layer->node, layer->node, error) ||
      (value->producer != layer->node &&
          !run_nodes (comparison, program, value->producer, value->producer, error)))
    return FALSE;
  *tap = (EngineTap){.name = value->name,
      .type = value->type,
      .x = engine_program_value (program,
          (int) (value - &g_array_index (program->graph->values, EngineValue, 0))),
      .scale = value->type == ENGINE_TYPE_S8 ? value->quant.scale : 1,
      .zero = value->type == ENGINE_TYPE_S8 ? value->quant.zero : 0,
      .n = 1,
      .elements = layer->pair->elements,
      .channels = layer->pair->channels,
      .factors = value->factors ? g_bytes_get_data (value->factors, NULL) : NULL};
  return TRUE;
}

/* --- Measuring ------------------------------------------------------------------------------ */

static gboolean
measure (EngineComparison *comparison, Layer *layer, GError **error)
{
  const EngineProgram *program = engine_exec_program (comparison->exact_exec);
  const EngineTensorPair *logits = &comparison->pairs[comparison->logits];
  const int node = engine_graph_value (program->graph, layer->pair->value)->producer;
  EngineTap tap;

  if (!run_layer (comparison, layer, &tap, error))
    return FALSE;
  engine_tensor_sums_add (&layer->sums, layer->pair, &tap);
  engine_tap_floats (&tap, engine_program_value (program, layer->pair->value));
  if (!run_nodes (comparison, program, node + 1, (int) program->graph->nodes->len, error))
    return FALSE;
  engine_agreement_add (layer->agreement, logits->exact,
      engine_program_value (program, logits->value));
  return TRUE;
}

static void
keep_results (const GArray *layers)
{
  for (guint i = 0; i < layers->len; i++) {
    Layer *layer = &g_array_index (layers, Layer, i);
    EngineAgreementScore score;

    engine_agreement_score (layer->agreement, &score);
    layer->pair->alone_logits = score.sqnr;
    engine_tensor_sums_clear (&layer->pair->alone);
    layer->pair->alone = layer->sums;
    layer->sums = (EngineTensorSums){0};
  }
}

gboolean
engine_comparison_alone (EngineComparison *comparison, EngineProgressFn progress, gpointer data,
    GCancellable *cancellable, GError **error)
{
  g_autoptr (GArray) layers = NULL;
  guint done = 0;

  g_return_val_if_fail (!comparison->network_only && !comparison->clips_only, FALSE);

  if (comparison->kept->len == 0) {
    g_set_error_literal (error, CALIB_ERROR, CALIB_ERROR_EMPTY,
        "layers cannot be run alone: no frame was kept");
    return FALSE;
  }
  layers = find_layers (comparison);
  const guint total = layers->len * comparison->kept->len;
  for (guint f = 0; f < comparison->kept->len; f++) {
    memcpy (engine_comparison_input (comparison), g_ptr_array_index (comparison->kept, f),
        comparison->input_elements * sizeof (float));
    if (!engine_exec_run (comparison->exact_exec, 1, error))
      return FALSE;
    for (guint i = layers->len; i-- > 0;) {
      Layer *layer = &g_array_index (layers, Layer, i);

      if (g_cancellable_set_error_if_cancelled (cancellable, error))
        return FALSE;
      if (progress)
        progress (done++, total, layer->pair->name, data);
      if (!measure (comparison, layer, error)) {
        g_prefix_error (error, "only '%s' as int8: ", layer->pair->name);
        return FALSE;
      }
    }
  }
  keep_results (layers);
  if (progress)
    progress (total, total, "done", data);
  return TRUE;
}
