/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * bias-full.c: full bias correction (Nagel et al., "Data-Free Quantization through Weight Equalization
 * and Bias Correction", 2019, and "A White Paper on Neural Network Quantization", 2021). Frames run
 * through the FP32 network and, layer after layer, through the INT8 network with all corrections before
 * that layer: what its outputs, residual added and not yet clamped, are off by goes to its bias.
 *
 * Not the mean over all values is given back, as there, but the median over the frames of the mean over a
 * frame: where a range clips, a few frames have large errors of one sign, and a mean would shift all
 * others to make up for them (docs/CALIBRATION.md has both measured).
 */
#include "engine/bias.h"
#include "engine/build.h"
#include "engine/model.h"
#include "engine/quant.h"

#include <string.h>

#define UNCLAMPED " (unclamped)"

typedef struct {
  const char *name; /* of its output tensor; the model's */
  guint channels;
  double *exact; /* per frame and channel: means of the FP32 network */
} Layer;

typedef struct {
  const EngineModel *model;
  const CalibTable *table;
  const EngineBiasOptions *options;
  KernelBackend *backend;
  GCancellable *cancellable;
  GArray *layers;     /* Layer, in the order of the network */
  GHashTable *by_tap; /* tensor of the FP32 network to Layer: what is to be averaged */
  guint frame;
  EngineBias *bias; /* what has been corrected so far */
} Full;

static const EngineValue *
value_of (const EngineGraph *graph, const char *name)
{
  const int index = GPOINTER_TO_INT (g_hash_table_lookup (graph->names, name));

  return index ? engine_graph_value (graph, index - 1) : NULL;
}

/* Adds the mean of every channel, the last axis. */
static void
average (const float *x, gsize n, guint channels, double *means)
{
  for (guint k = 0; k < channels; k++)
    means[k] = 0;
  for (gsize i = 0; i < n; i++)
    means[i % channels] += x[i];
  for (guint k = 0; k < channels; k++)
    means[k] /= (double) (n / channels);
}

/* Frames go through the FP32 network, and then through the INT8 one up to each layer. */
static void
tell (const Full *full, guint layer, guint frame, const char *what)
{
  const EngineBiasOptions *options = full->options;
  const guint n = options->frames->len;

  if (options->progress)
    options->progress (layer * n + frame, (full->layers->len + 1) * n, what,
        options->progress_data);
}

/* --- The FP32 network ----------------------------------------------------------------------- */

/* The clamp becomes a node of its own, which takes the name. */
static void
split_clamp (EngineGraph *graph, int i)
{
  const int raw = engine_graph_node (graph, i)->output;
  g_autofree char *name = g_strdup (engine_graph_value (graph, raw)->name);
  g_autofree char *inner = g_strconcat (name, UNCLAMPED, NULL);
  EngineNode *clip = engine_graph_add_node (graph, ENGINE_OP_UNARY, name, &raw, 1, name);
  EngineNode *conv = engine_graph_node (graph, i);
  const int clipped = clip->output, at = (int) graph->nodes->len - 1;
  EngineValue *x = engine_graph_value (graph, raw), *y = engine_graph_value (graph, clipped);

  clip->unary.kind = KERNEL_UNARY_CLIP;
  clip->unary.alpha = conv->conv.lo;
  clip->unary.beta = conv->conv.hi;
  conv->conv.lo = -INFINITY;
  conv->conv.hi = INFINITY;
  y->rank = x->rank;
  memcpy (y->dims, x->dims, sizeof y->dims);
  engine_graph_replace (graph, raw, clipped);
  engine_graph_node (graph, at)->inputs[0] = raw;
  engine_graph_rename (graph, raw, inner);
  engine_graph_rename (graph, clipped, name);
}

/* All convolutions without their clamps. */
static EngineGraph *
unclamped (const EngineGraph *graph)
{
  EngineGraph *copy = engine_graph_copy (graph);

  for (guint i = 0; i < graph->nodes->len; i++) {
    const EngineNode *node = engine_graph_node (copy, i);

    if (node->op == ENGINE_OP_CONV && (node->conv.lo != -INFINITY || node->conv.hi != INFINITY))
      split_clamp (copy, i);
  }
  engine_graph_compact (copy);
  return copy;
}

/* Every layer has its own array, so threads do not meet. */
static void
tap_exact (const EngineTap *tap, gpointer data)
{
  const Full *full = data;
  const Layer *layer = g_hash_table_lookup (full->by_tap, tap->name);

  if (layer)
    average (tap->x, tap->n * tap->elements, layer->channels,
        layer->exact + (gsize) full->frame * layer->channels);
}

static void
find_layers (Full *full)
{
  const EngineGraph *graph = full->model->graph;

  for (guint i = 0; i < graph->nodes->len; i++) {
    const EngineNode *node = engine_graph_node (graph, i);
    Layer layer = {.name = engine_graph_value (graph, node->output)->name};

    if (node->op != ENGINE_OP_CONV)
      continue;
    layer.channels = engine_graph_value (graph, node->inputs[ENGINE_CONV_W])->dims[0];
    layer.exact = g_new0 (double, (gsize) layer.channels * full->options->frames->len);
    g_array_append_val (full->layers, layer);
  }
  for (guint i = 0; i < full->layers->len; i++) {
    Layer *layer = &g_array_index (full->layers, Layer, i);
    const int v = GPOINTER_TO_INT (g_hash_table_lookup (graph->names, layer->name)) - 1;
    const EngineNode *node = engine_graph_node (graph, engine_graph_value (graph, v)->producer);
    const gboolean clamped = node->conv.lo != -INFINITY || node->conv.hi != INFINITY;

    g_hash_table_insert (full->by_tap, g_strconcat (layer->name, clamped ? UNCLAMPED : "", NULL),
        layer);
  }
}

static gboolean
run_exact (Full *full, GError **error)
{
  const EngineBuildOptions fp32 = {.precision = ENGINE_PRECISION_FP32};
  const GPtrArray *frames = full->options->frames;
  g_autoptr (EngineGraph) graph = unclamped (full->model->graph);
  EngineModel model = *full->model;
  g_autoptr (Engine) engine = NULL;
  g_autoptr (EngineExec) exec = NULL;
  EngineInputInfo input;

  model.graph = graph;
  if (engine_graph_verify (graph, "bias correction", error))
    engine = engine_build (&model, &fp32, NULL, NULL, NULL, full->cancellable, error);
  if (engine)
    exec = engine_exec_new_tapped (engine, full->backend, 1, full->options->threads, tap_exact,
        full, error);
  if (!exec)
    return FALSE;
  engine_input (engine, &input);
  for (full->frame = 0; full->frame < frames->len; full->frame++) {
    tell (full, 0, full->frame, "fp32");
    memcpy (engine_exec_input (exec, 0), g_ptr_array_index (frames, full->frame),
        sizeof (float) * input.height * input.width * input.channels);
    if (g_cancellable_set_error_if_cancelled (full->cancellable, error) ||
        !engine_exec_run (exec, 1, error))
      return FALSE;
  }
  return TRUE;
}

/* --- The INT8 network up to a layer --------------------------------------------------------- */

/* The float value that the layer has before its clamp; its producer is changed to have none.
 * ENGINE_NONE where the layer is not int8. */
static int
raw_output (EngineGraph *graph, const char *name)
{
  const EngineValue *value = value_of (graph, name);
  const int made = value ? value->producer : ENGINE_NONE;
  EngineNode *node = made == ENGINE_NONE ? NULL : engine_graph_node (graph, made);
  int raw = node ? node->output : ENGINE_NONE;

  if (!node || value->type != ENGINE_TYPE_F32)
    return ENGINE_NONE;
  if (node->op == ENGINE_OP_ADD) {
    node->binary.lo = -INFINITY;
    node->binary.hi = INFINITY;
  } else if (node->op == ENGINE_OP_UNARY) {
    raw = node->inputs[0];
  }
  if (node->op != ENGINE_OP_CONV)
    node = engine_graph_node (graph, engine_graph_value (graph, node->inputs[0])->producer);
  return node->op == ENGINE_OP_CONV &&
                 engine_graph_value (graph, node->inputs[ENGINE_CONV_X])->type == ENGINE_TYPE_S8
             ? raw
             : ENGINE_NONE;
}

/* An engine that ends in the layer's raw output, or NULL: with an error, or where it is not int8. */
static Engine *
build_up_to (const Full *full, const char *name, GError **error)
{
  g_autoptr (EngineLayerRules) rules = engine_layer_rules_new ();
  g_autofree char *pattern = engine_layer_pattern (name);
  const EngineBuildOptions options = {.precision = ENGINE_PRECISION_INT8,
      .ranges = full->options->ranges,
      .table = full->table,
      .preprocess = full->options->preprocess,
      .rules = rules,
      .bias = full->bias};
  g_autoptr (Engine) whole = NULL;
  g_autoptr (EngineGraph) graph = NULL;
  EngineProvenance provenance;
  int raw;

  engine_layer_rules_add_output (rules, pattern, ENGINE_TYPE_F32);
  whole = engine_build (full->model, &options, NULL, NULL, NULL, full->cancellable, error);
  if (!whole)
    return NULL;
  graph = engine_graph_copy (whole->graph);
  raw = raw_output (graph, name);
  if (raw == ENGINE_NONE)
    return NULL;
  g_array_set_size (graph->outputs, 0);
  g_array_append_val (graph->outputs, raw);
  engine_graph_compact (graph);
  if (!engine_graph_verify (graph, "bias correction", error) ||
      !engine_graph_is_executable (graph, error))
    return NULL;
  engine_provenance_copy (&provenance, &whole->provenance);
  return engine_new (g_steal_pointer (&graph), ENGINE_PRECISION_INT8, &provenance);
}

static void
fill (const Engine *engine, const float *frame, void *input)
{
  EngineInputInfo info;
  EngineQuant quant = {0};
  const EngineType type = engine_input_type (engine, &quant.scale, &quant.zero);

  engine_input (engine, &info);
  const gsize n = (gsize) info.height * info.width * info.channels;
  if (type == ENGINE_TYPE_F32)
    memcpy (input, frame, n * sizeof *frame);
  else
    for (gsize i = 0; i < n; i++)
      ((gint8 *) input)[i] = engine_quant_level (&quant, frame[i]);
}

/* Per frame and channel: how far the means are below those of the FP32 network. */
static double *
measure (const Full *full, const Layer *layer, Engine *engine, GError **error)
{
  const GPtrArray *frames = full->options->frames;
  g_autoptr (EngineExec) exec =
      engine_exec_new (engine, full->backend, 1, full->options->threads, error);
  g_autofree double *off = g_new (double, (gsize) frames->len * layer->channels);
  const guint number = 1 + (guint) (layer - &g_array_index (full->layers, Layer, 0));

  if (!exec)
    return NULL;
  for (guint f = 0; f < frames->len; f++) {
    double *of_frame = off + (gsize) f * layer->channels;

    tell (full, number, f, layer->name);
    fill (engine, g_ptr_array_index (frames, f), engine_exec_input (exec, 0));
    if (g_cancellable_set_error_if_cancelled (full->cancellable, error) ||
        !engine_exec_run (exec, 1, error))
      return NULL;
    average (engine_exec_output (exec, 0), engine_n_classes (engine), layer->channels, of_frame);
    for (guint k = 0; k < layer->channels; k++)
      of_frame[k] = layer->exact[(gsize) f * layer->channels + k] - of_frame[k];
  }
  return g_steal_pointer (&off);
}

/* --- Corrections ---------------------------------------------------------------------------- */

static int
compare_doubles (gconstpointer a, gconstpointer b)
{
  const double x = *(const double *) a, y = *(const double *) b;

  return (x > y) - (x < y);
}

/* Sorts. Of an even number, the mean of the two in the middle. */
static double
median (double *x, guint n)
{
  qsort (x, n, sizeof *x, compare_doubles);
  return (x[(n - 1) / 2] + x[n / 2]) / 2;
}

static gboolean
correct (Full *full, const Layer *layer, GError **error)
{
  const guint n_frames = full->options->frames->len;
  g_autofree double *off = NULL, *of_channel = g_new (double, n_frames);
  g_autofree float *shifts = g_new (float, layer->channels);
  g_autoptr (GError) cause = NULL;
  g_autoptr (Engine) engine = build_up_to (full, layer->name, &cause);

  if (engine)
    off = measure (full, layer, engine, &cause);
  if (!off) {
    if (!cause)
      return TRUE; /* a layer in floats */
    g_propagate_prefixed_error (error, g_steal_pointer (&cause), "correcting '%s': ", layer->name);
    return FALSE;
  }
  for (guint k = 0; k < layer->channels; k++) {
    for (guint f = 0; f < n_frames; f++)
      of_channel[f] = off[(gsize) f * layer->channels + k];
    shifts[k] = (float) median (of_channel, n_frames);
    if (!isfinite (shifts[k]))
      return TRUE; /* nor are the activations, and the calibration has said so */
  }
  engine_bias_set (full->bias, layer->name, shifts, layer->channels);
  return TRUE;
}

static void
clear_layer (gpointer data)
{
  g_free (((Layer *) data)->exact);
}

EngineBias *
engine_bias_full (const EngineModel *model, const CalibTable *table,
    const EngineBiasOptions *options, KernelBackend *backend, GCancellable *cancellable,
    GError **error)
{
  g_autoptr (GArray) layers = g_array_new (FALSE, FALSE, sizeof (Layer));
  g_autoptr (GHashTable) by_tap = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
  g_autoptr (EngineBias) bias = engine_bias_new ();
  Full full = {model, table, options, backend, cancellable, layers, by_tap, 0, bias};

  if (options->frames->len == 0) {
    g_set_error_literal (error, CALIB_ERROR, CALIB_ERROR_EMPTY,
        "full bias correction runs frames, and there are none: calibrate with int8calib "
        "keep-frames=50, or take the fast one");
    return NULL;
  }
  if (options->equalised)
    engine_bias_copy_channels (bias, options->equalised);
  g_array_set_clear_func (layers, clear_layer);
  find_layers (&full);
  if (!run_exact (&full, error))
    return NULL;
  for (guint i = 0; i < layers->len; i++)
    if (!correct (&full, &g_array_index (layers, Layer, i), error))
      return NULL;
  tell (&full, layers->len + 1, 0, "done");
  return g_steal_pointer (&bias);
}

GPtrArray *
engine_bias_frames (const EngineModel *model, const CalibStatistics *statistics, GError **error)
{
  g_autoptr (GPtrArray) frames = g_ptr_array_new ();
  EngineInputInfo input;

  engine_model_input (model, &input);
  for (guint i = 0; i < calib_statistics_n_kept (statistics); i++) {
    gsize n;
    const float *frame = calib_statistics_kept (statistics, i, &n);

    if (n != (gsize) input.height * input.width * input.channels) {
      g_set_error (error, CALIB_ERROR, CALIB_ERROR_MISMATCH,
          "frame %u of the statistics has %" G_GSIZE_FORMAT
          " values, the network takes %dx%dx%d: the statistics are of another model",
          i, n, input.height, input.width, input.channels);
      return NULL;
    }
    g_ptr_array_add (frames, (gpointer) frame);
  }
  return g_steal_pointer (&frames);
}
