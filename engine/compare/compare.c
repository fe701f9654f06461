/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * compare/compare.c: two engines of one model, run on the same frames. The FP32 engine goes first and leaves
 * a copy of every activation; the tap of the other compares with it.
 */
#include "engine/compare/private.h"
#include "engine/taps.h"
#include "kernels/half.h"

#include <string.h>

/* --- Taps ----------------------------------------------------------------------------------- */

static void
keep_exact (const EngineTap *tap, gpointer data)
{
  const EngineComparison *comparison = data;
  EngineTensorPair *pair = g_hash_table_lookup (comparison->by_name, tap->name);

  if (!pair)
    return;
  if (comparison->clips_only)
    engine_tensor_sums_add_clips (&pair->sums, pair, tap->x);
  if (pair->exact)
    memcpy (pair->exact, tap->x, pair->elements * sizeof (float));
}

void
engine_tap_floats (const EngineTap *tap, float *x)
{
  const gsize n = tap->n * tap->elements;

  if (tap->type == ENGINE_TYPE_F32)
    memcpy (x, tap->x, n * sizeof *x);
  else if (tap->type == ENGINE_TYPE_F16)
    for (gsize i = 0; i < n; i++)
      x[i] = kernel_half_to_f32 (((const KernelHalf *) tap->x)[i]);
  else
    for (gsize i = 0; i < n; i++)
      x[i] = (float) (((const gint8 *) tap->x)[i] - tap->zero) * tap->scale *
             (tap->factors ? tap->factors[i % tap->channels] : 1);
}

/* Every pair is one tap's: no two threads are at the same. */
static void
judge (const EngineTap *tap, gpointer data)
{
  const EngineComparison *comparison = data;
  EngineTensorPair *pair = g_hash_table_lookup (comparison->by_name, tap->name);

  if (!pair)
    return;
  if (!comparison->network_only && !comparison->clips_only)
    engine_tensor_sums_add (&pair->sums, pair, tap);
  if (pair == &comparison->pairs[comparison->logits])
    engine_tap_floats (tap, comparison->judged_logits);
}

/* --- Making --------------------------------------------------------------------------------- */

/* The value that softmax is applied to at the end of the network, else its output. */
static int
find_logits (const EngineGraph *graph)
{
  int value = g_array_index (graph->outputs, int, 0);

  if (!engine_graph_ends_in_softmax (graph))
    return value;
  for (;;) {
    const EngineNode *node = engine_graph_node (graph, engine_graph_value (graph, value)->producer);

    value = node->inputs[0];
    if (node->op == ENGINE_OP_SOFTMAX)
      return value;
  }
}

const EngineValue *
engine_comparison_value (const EngineGraph *graph, const char *name)
{
  const int index = GPOINTER_TO_INT (g_hash_table_lookup (graph->names, name));

  return index ? engine_graph_value (graph, index - 1) : NULL;
}

/* Adds the pair of a value of the exact graph, where the judged one has it too. */
static void
add_pair (EngineComparison *comparison, GArray *pairs, int value)
{
  const EngineValue *exact = engine_graph_value (comparison->exact->graph, value);
  const EngineValue *judged = engine_comparison_value (comparison->judged->graph, exact->name);

  if (!judged || judged->data || engine_value_elements (judged) != engine_value_elements (exact))
    return;

  EngineTensorPair pair = {.value = value,
      .name = exact->name,
      .elements = engine_value_elements (exact),
      .channels = exact->dims[exact->rank - 1],
      .int8 = judged->type == ENGINE_TYPE_S8,
      .scale = judged->quant.scale,
      .zero = judged->quant.zero,
      .factors = judged->factors ? g_bytes_get_data (judged->factors, NULL) : NULL,
      .alone_logits = NAN};
  engine_graph_useful (comparison->exact->graph, value, &pair.lo, &pair.hi);
  if (!comparison->clips_only)
    pair.exact = g_new (float, pair.elements);
  engine_tensor_sums_init (&pair.sums, pair.channels);
  g_array_append_val (pairs, pair);
}

static gboolean
make_pairs (EngineComparison *comparison, GError **error)
{
  const EngineGraph *graph = comparison->exact->graph;
  const int logits = find_logits (graph);
  GArray *pairs = g_array_new (FALSE, FALSE, sizeof (EngineTensorPair));

  if (comparison->network_only)
    add_pair (comparison, pairs, logits);
  else
    add_pair (comparison, pairs, g_array_index (graph->inputs, int, 0));
  for (guint i = 0; i < graph->nodes->len && !comparison->network_only; i++)
    add_pair (comparison, pairs, engine_graph_node (graph, i)->output);

  comparison->n_pairs = comparison->logits = pairs->len;
  comparison->pairs = (EngineTensorPair *) (gpointer) g_array_free (pairs, FALSE);
  for (guint i = 0; i < comparison->n_pairs; i++) {
    if (comparison->pairs[i].value == logits)
      comparison->logits = i;
    g_hash_table_insert (comparison->by_name, (gpointer) comparison->pairs[i].name,
        &comparison->pairs[i]);
  }
  if (comparison->logits < comparison->n_pairs) {
    EngineTensorPair *pair = &comparison->pairs[comparison->logits];

    if (!pair->exact)
      pair->exact = g_new (float, pair->elements);
    return TRUE;
  }
  g_set_error (error, ENGINE_ERROR, ENGINE_ERROR_MISMATCH,
      "the engine that is judged has no tensor '%s', the class scores of the FP32 engine: they are "
      "of different models",
      engine_graph_value (graph, logits)->name);
  return FALSE;
}

static gboolean
check_engines (const EngineComparison *comparison, const EnginePreprocess *preprocess,
    GError **error)
{
  const Engine *exact = comparison->exact, *judged = comparison->judged;
  EngineInputInfo a, b;

  if (!comparison->backend->host_memory) {
    g_set_error (error, ENGINE_ERROR, ENGINE_ERROR_BACKEND,
        "comparing reads every activation, which back end '%s' keeps on its device; use 'cpu'",
        comparison->backend->name);
    return FALSE;
  }
  engine_input (exact, &a);
  engine_input (judged, &b);
  if (exact->precision != ENGINE_PRECISION_FP32 ||
      g_strcmp0 (exact->provenance.model, judged->provenance.model) != 0 || a.height != b.height ||
      a.width != b.width || a.channels != b.channels) {
    g_set_error_literal (error, ENGINE_ERROR, ENGINE_ERROR_MISMATCH,
        "an FP32 engine and another engine of the same model are needed: build both from one file");
    return FALSE;
  }
  return !preprocess || engine_preprocess_check (preprocess, a.channels, error);
}

EngineComparison *
engine_comparison_new (Engine *exact, Engine *judged, KernelBackend *backend,
    const EngineCompareOptions *options, GError **error)
{
  const gsize group_bytes = options->clips_only ? ENGINE_TAPS_BYTES : G_MAXSIZE;
  g_autoptr (EngineComparison) comparison = g_new0 (EngineComparison, 1);
  EngineInputInfo input;

  comparison->exact = engine_ref (exact);
  comparison->judged = engine_ref (judged);
  comparison->backend = backend;
  comparison->network_only = options->network_only;
  comparison->clips_only = options->clips_only;
  comparison->keep = options->keep;
  comparison->kept = g_ptr_array_new_with_free_func (g_free);
  comparison->by_name = g_hash_table_new (g_str_hash, g_str_equal);
  if (!check_engines (comparison, options->preprocess, error) || !make_pairs (comparison, error))
    return NULL;

  engine_input (exact, &input);
  comparison->input_channels = input.channels;
  comparison->input_elements = (gsize) input.height * input.width * input.channels;
  comparison->has_preprocess = options->preprocess != NULL;
  if (options->preprocess)
    comparison->preprocess = *options->preprocess;
  const EngineTensorPair *logits = &comparison->pairs[comparison->logits];
  comparison->agreement = engine_agreement_new (logits->elements, ENGINE_SCORES_LOGITS);
  comparison->judged_logits = g_new (float, logits->elements);
  comparison->exact_exec = engine_exec_new_kept (exact, backend, 1, options->threads, group_bytes,
      keep_exact, comparison, error);
  if (!comparison->exact_exec)
    return NULL;
  comparison->judged_exec = engine_exec_new_kept (judged, backend, 1, options->threads, group_bytes,
      judge, comparison, error);
  return comparison->judged_exec ? g_steal_pointer (&comparison) : NULL;
}

void
engine_comparison_free (EngineComparison *comparison)
{
  if (!comparison)
    return;
  engine_exec_free (comparison->exact_exec);
  engine_exec_free (comparison->judged_exec);
  for (guint i = 0; i < comparison->n_pairs; i++) {
    g_free (comparison->pairs[i].exact);
    engine_tensor_sums_clear (&comparison->pairs[i].sums);
    engine_tensor_sums_clear (&comparison->pairs[i].alone);
  }
  g_free (comparison->pairs);
  g_free (comparison->judged_logits);
  g_hash_table_unref (comparison->by_name);
  g_ptr_array_unref (comparison->kept);
  engine_agreement_free (comparison->agreement);
  engine_unref (comparison->exact);
  engine_unref (comparison->judged);
  g_free (comparison);
}

/* --- Running -------------------------------------------------------------------------------- */

float *
engine_comparison_input (EngineComparison *comparison)
{
  return engine_exec_input (comparison->exact_exec, 0);
}

gboolean
engine_comparison_push (EngineComparison *comparison, GError **error)
{
  const float *frame = engine_comparison_input (comparison);

  if (comparison->kept->len < comparison->keep)
    g_ptr_array_add (comparison->kept,
        g_memdup2 (frame, comparison->input_elements * sizeof *frame));
  engine_comparison_fill (comparison, frame);
  if (!engine_exec_run (comparison->exact_exec, 1, error) ||
      !engine_exec_run (comparison->judged_exec, 1, error))
    return FALSE;
  engine_agreement_add (comparison->agreement, comparison->pairs[comparison->logits].exact,
      comparison->judged_logits);
  return TRUE;
}

static void
reset_sums (EngineTensorSums *sums, guint channels)
{
  engine_tensor_sums_clear (sums);
  engine_tensor_sums_init (sums, channels);
}

void
engine_comparison_reset (EngineComparison *comparison)
{
  for (guint i = 0; i < comparison->n_pairs; i++)
    reset_sums (&comparison->pairs[i].sums, comparison->pairs[i].channels);
  engine_agreement_reset (comparison->agreement);
}

gboolean
engine_comparison_push_frame (EngineComparison *comparison, const float *frame,
    const float *logits, GError **error)
{
  g_return_val_if_fail (!logits || comparison->network_only, FALSE);

  if (!logits) {
    memcpy (engine_comparison_input (comparison), frame,
        comparison->input_elements * sizeof *frame);
    return engine_comparison_push (comparison, error);
  }
  engine_comparison_fill (comparison, frame);
  if (!engine_exec_run (comparison->judged_exec, 1, error))
    return FALSE;
  engine_agreement_add (comparison->agreement, logits, comparison->judged_logits);
  return TRUE;
}

void
engine_comparison_score (const EngineComparison *comparison, EngineAgreementScore *score)
{
  engine_agreement_score (comparison->agreement, score);
}

int
engine_comparison_node (const EngineComparison *comparison, const EngineTensorPair *pair)
{
  const EngineGraph *graph = comparison->judged->graph;
  const EngineValue *value = engine_comparison_value (graph, pair->name);

  /* A convolution that writes floats leaves its clamp to a node of its own. */
  if (value->producer != ENGINE_NONE && value->type == ENGINE_TYPE_F32 &&
      engine_graph_node (graph, value->producer)->op == ENGINE_OP_UNARY) {
    g_autofree char *inner = g_strconcat (pair->name, " (unclamped)", NULL);
    const EngineValue *raw = engine_comparison_value (graph, inner);

    value = raw ? raw : value;
  }
  return value->producer;
}

EnginePrecision
engine_comparison_precision (const EngineComparison *comparison, const EngineTensorPair *pair)
{
  const EngineGraph *graph = comparison->judged->graph;
  const int node = engine_comparison_node (comparison, pair);

  if (node == ENGINE_NONE)
    return ENGINE_PRECISION_FP32;
  switch (engine_graph_value (graph, engine_graph_node (graph, node)->inputs[0])->type) {
  case ENGINE_TYPE_S8:
    return ENGINE_PRECISION_INT8;
  case ENGINE_TYPE_F16:
    return ENGINE_PRECISION_FP16;
  default:
    return ENGINE_PRECISION_FP32;
  }
}

guint
engine_comparison_n_tensors (const EngineComparison *comparison)
{
  return comparison->network_only ? 0 : comparison->n_pairs;
}
