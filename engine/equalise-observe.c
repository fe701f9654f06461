/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * equalise-observe.c: what the FP32 network makes of the frames, where channels may have scales of their own:
 * the largest magnitudes, and then the histograms of what the factors from them scale. Two runs over the
 * frames, for all sets of them at once, every thread with an image of its own. A histogram is the same for
 * any order of values, so any number of threads gives the same scales.
 *
 * Before a depthwise convolution factors are square roots of the largest magnitude of every channel over
 * frames, as a share of the tensor's: the root leaves a channel that is small on few frames room to be larger
 * on others, and weights lose nothing. Before dense ones they are square roots of the ratio of that to the
 * largest weight that reads the channel, so that activation and weights lose the same (Nagel et al.,
 * "Data-Free Quantization through Weight Equalization and Bias Correction", 2019).
 */
#include "engine/build.h"
#include "engine/equalise.h"
#include "engine/exec.h"
#include "engine/model.h"

#include <math.h>
#include <string.h>

/* A channel that is smaller still keeps 1 / 64 of the range: frames to come may be larger. */
#define LEAST (1.0f / 64)
/* Values that a histogram takes at a time. */
#define BLOCK 1024

struct _EngineEqualiseObservation {
  GHashTable *by_name; /* EngineEqualiseTensor; in `tensors`, too */
  GPtrArray *tensors;  /* in the order of the network */
  guint part;          /* that of the frames which run */
  gboolean scaling;    /* the second run */
};

/* --- Tensors -------------------------------------------------------------------------------- */

static void
tensor_free (gpointer data)
{
  EngineEqualiseTensor *tensor = data;

  g_array_unref (tensor->readers);
  g_free (tensor->largest);
  for (guint s = 0; s < ENGINE_EQUALISE_SETS; s++) {
    g_free (tensor->factors[s]);
    calib_histogram_free (tensor->histograms[s]);
    g_mutex_clear (&tensor->locks[s]);
  }
  g_free (tensor);
}

/* Those before depthwise convolutions are not judged: they need no set but that of all frames. */
static EngineEqualiseTensor *
tensor_new (const EngineGraph *graph, int value, GArray *readers)
{
  EngineEqualiseTensor *tensor = g_new0 (EngineEqualiseTensor, 1);
  const EngineValue *x = engine_graph_value (graph, value);

  tensor->value = value;
  tensor->readers = readers;
  tensor->dense = engine_equalise_is_dense (graph, value);
  tensor->channels = x->dims[x->rank - 1];
  tensor->largest = g_new0 (float, ENGINE_EQUALISE_PARTS * tensor->channels);
  for (guint s = 0; s < ENGINE_EQUALISE_SETS; s++) {
    g_mutex_init (&tensor->locks[s]);
    if (!tensor->dense && s != ENGINE_EQUALISE_ALL)
      continue;
    tensor->factors[s] = g_new0 (float, tensor->channels);
    tensor->histograms[s] = calib_histogram_new (0, CALIB_HISTOGRAM_DEFAULT);
  }
  return tensor;
}

static void
find_tensors (EngineEqualiseObservation *o, const EngineGraph *graph, gboolean dense)
{
  for (int v = 0; v < (int) graph->values->len; v++) {
    GArray *readers = engine_equalise_readers (graph, v);

    if (!readers)
      continue;
    if (!dense && engine_equalise_is_dense (graph, v)) {
      g_array_unref (readers);
      continue;
    }
    EngineEqualiseTensor *tensor = tensor_new (graph, v, readers);
    g_ptr_array_add (o->tensors, tensor);
    g_hash_table_insert (o->by_name, engine_graph_value (graph, v)->name, tensor);
  }
}

/* --- Observing ------------------------------------------------------------------------------ */

static void
find_largest (EngineEqualiseTensor *tensor, guint part, const float *x, gsize n)
{
  const guint channels = tensor->channels;
  float *largest = tensor->largest + part * channels;

  g_mutex_lock (&tensor->locks[ENGINE_EQUALISE_ALL]);
  for (gsize i = 0; i < n; i += channels)
    for (guint k = 0; k < channels; k++) {
      const float magnitude = fabsf (x[i + k]);

      largest[k] = magnitude > largest[k] && magnitude <= G_MAXFLOAT ? magnitude : largest[k];
    }
  g_mutex_unlock (&tensor->locks[ENGINE_EQUALISE_ALL]);
}

/* Through a buffer of as few pixels as are whole blocks. */
static void
count_scaled (EngineEqualiseTensor *tensor, guint set, const float *x, gsize n)
{
  const gsize channels = tensor->channels, even = channels & -channels;
  const gsize size = MIN (n, channels * (BLOCK / MIN (even, BLOCK)));
  const float *factors = tensor->factors[set];
  g_autofree float *scaled = g_new (float, size);

  for (gsize start = 0; start < n; start += size) {
    const gsize end = MIN (size, n - start);

    for (gsize i = 0; i < end; i += channels)
      for (gsize k = 0; k < channels; k++)
        scaled[i + k] = x[start + i + k] / factors[k];
    g_mutex_lock (&tensor->locks[set]);
    calib_histogram_add (tensor->histograms[set], scaled, end);
    g_mutex_unlock (&tensor->locks[set]);
  }
}

static void
observe (const EngineTap *tap, gpointer data)
{
  const EngineEqualiseObservation *o = data;
  EngineEqualiseTensor *tensor = g_hash_table_lookup (o->by_name, tap->name);
  const gsize n = tap->n * tap->elements;

  if (!tensor)
    return;
  if (!o->scaling)
    find_largest (tensor, o->part, tap->x, n);
  for (guint s = 0; o->scaling && s < ENGINE_EQUALISE_SETS; s++)
    if (tensor->histograms[s] && s != o->part)
      count_scaled (tensor, s, tap->x, n);
}

/* --- Factors -------------------------------------------------------------------------------- */

/* The largest weight that reads every channel, as a share of its filter's largest; 0 where none does. */
static float *
largest_weights (const EngineGraph *graph, const EngineEqualiseTensor *tensor)
{
  float *largest = g_new0 (float, tensor->channels);

  for (guint i = 0; i < tensor->readers->len; i++) {
    const EngineNode *node = engine_graph_node (graph, g_array_index (tensor->readers, int, i));

    if (node->op != ENGINE_OP_CONV)
      continue;
    const EngineValue *weights = engine_graph_value (graph, node->inputs[ENGINE_CONV_W]);
    const gsize size = engine_value_elements (weights), of_filter = size / weights->dims[0];
    const float *w = g_bytes_get_data (weights->data, NULL);

    for (gsize start = 0; start < size; start += of_filter) {
      float of_this = 0;

      for (gsize k = start; k < start + of_filter; k++)
        of_this = fmaxf (of_this, fabsf (w[k]));
      for (gsize k = start; k < start + of_filter && of_this > 0; k++)
        largest[k % tensor->channels] =
            fmaxf (largest[k % tensor->channels], fabsf (w[k]) / of_this);
    }
  }
  return largest;
}

/* From the magnitudes of the set's frames to shares of the largest. weights: NULL before depthwise
 * convolutions; a channel that no weight reads takes no part. */
static void
find_factors (EngineEqualiseTensor *tensor, guint set, const float *weights)
{
  float *factors = tensor->factors[set], largest = 0;

  for (guint k = 0; k < tensor->channels; k++) {
    for (guint part = 0; part < ENGINE_EQUALISE_PARTS; part++)
      if (part != set)
        factors[k] = fmaxf (factors[k], tensor->largest[part * tensor->channels + k]);
    if (weights)
      factors[k] = weights[k] > 0 ? factors[k] / weights[k] : 0;
    largest = fmaxf (largest, factors[k]);
  }
  for (guint k = 0; k < tensor->channels; k++) {
    const gboolean counts = largest > 0 && (!weights || weights[k] > 0);

    factors[k] = counts ? fmaxf (sqrtf (factors[k] / largest), LEAST) : 1;
  }
}

static void
find_all_factors (const EngineEqualiseObservation *o, const EngineGraph *graph)
{
  for (guint i = 0; i < o->tensors->len; i++) {
    EngineEqualiseTensor *tensor = o->tensors->pdata[i];
    g_autofree float *weights = tensor->dense ? largest_weights (graph, tensor) : NULL;

    for (guint s = 0; s < ENGINE_EQUALISE_SETS; s++)
      if (tensor->factors[s])
        find_factors (tensor, s, weights);
  }
}

/* --- Running -------------------------------------------------------------------------------- */

/* A run is of frames of one part. */
static gboolean
run_part (const EngineEqualiser *e, EngineExec *exec, int batch, guint part, guint *done,
    GError **error)
{
  const GPtrArray *frames = e->options->frames;
  EngineInputInfo input;
  int waiting = 0;

  engine_model_input (e->model, &input);
  const gsize size = sizeof (float) * input.height * input.width * input.channels;
  for (guint f = part; f < frames->len; f += ENGINE_EQUALISE_PARTS) {
    memcpy (engine_exec_input (exec, waiting++), frames->pdata[f], size);
    if (waiting < batch && f + ENGINE_EQUALISE_PARTS < frames->len)
      continue;
    engine_equalise_tell (e, *done);
    if (g_cancellable_set_error_if_cancelled (e->cancellable, error) ||
        !engine_exec_run (exec, waiting, error))
      return FALSE;
    *done += (guint) waiting;
    waiting = 0;
  }
  return TRUE;
}

static gboolean
run (const EngineEqualiser *e, EngineEqualiseObservation *o, GError **error)
{
  const EngineBuildOptions fp32 = {.precision = ENGINE_PRECISION_FP32};
  const int lanes = engine_backend_lanes (e->backend, e->options->threads);
  g_autoptr (Engine) engine =
      engine_build (e->model, &fp32, NULL, NULL, NULL, e->cancellable, error);
  g_autoptr (EngineExec) exec = engine ? engine_exec_new_tapped_by_image (engine, e->backend, lanes,
                                             e->options->threads, observe, o, error)
                                       : NULL;
  guint done = 0;

  if (!exec)
    return FALSE;
  for (int second = 0; second < 2; second++) {
    if (second)
      find_all_factors (o, e->model->graph);
    o->scaling = second;
    for (o->part = 0; o->part < ENGINE_EQUALISE_PARTS; o->part++)
      if (!run_part (e, exec, lanes, o->part, &done, error))
        return FALSE;
  }
  return TRUE;
}

EngineEqualiseObservation *
engine_equalise_observe (const EngineEqualiser *e, gboolean dense, GError **error)
{
  g_autoptr (EngineEqualiseObservation) o = g_new0 (EngineEqualiseObservation, 1);

  o->by_name = g_hash_table_new (g_str_hash, g_str_equal);
  o->tensors = g_ptr_array_new_with_free_func (tensor_free);
  find_tensors (o, e->model->graph, dense);
  return o->tensors->len == 0 || run (e, o, error) ? g_steal_pointer (&o) : NULL;
}

void
engine_equalise_observation_free (EngineEqualiseObservation *o)
{
  if (!o)
    return;
  g_hash_table_unref (o->by_name);
  g_ptr_array_unref (o->tensors);
  g_free (o);
}

const GPtrArray *
engine_equalise_tensors (const EngineEqualiseObservation *o)
{
  return o->tensors;
}
