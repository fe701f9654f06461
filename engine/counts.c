/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * counts.c: states in a device's memory, the kernels that fill them, and the way back.
 */
#include "engine/counts.h"

#include "engine/plan.h"

G_STATIC_ASSERT (KERNEL_COUNT_BINS == CALIB_BINS);

/* A sum of channels holds so many values. */
#define MOST_VALUES ((guint64) 1 << 32)

static int
producer_of (const EngineGraph *graph, const EngineCounted *counted)
{
  return engine_graph_value (graph, counted->value)->producer;
}

static int
compare_producers (gconstpointer a, gconstpointer b, gpointer graph)
{
  return producer_of (graph, a) - producer_of (graph, b);
}

static void
lay_out (EngineCounts *counts, const EngineGraph *graph)
{
  counts->most_images = G_MAXUINT64;
  for (int i = 0; i < counts->n; i++) {
    const EngineCounted *counted = &counts->counted[i];
    const gsize size = kernel_counts_size (counted->channels);

    counts->offset[i] = counts->size;
    counts->size += (size + KERNEL_ALIGN - 1) / KERNEL_ALIGN * KERNEL_ALIGN;
    if (counted->channels > 0)
      counts->most_images = MIN (counts->most_images,
          MOST_VALUES * (guint64) counted->channels /
              engine_value_elements (engine_graph_value (graph, counted->value)));
  }
}

static guint8 *
host_memory (const EngineCounts *counts)
{
  return counts->backend->host_alloc ? counts->backend->host_alloc (counts->backend, counts->size)
                                     : g_try_malloc (counts->size);
}

EngineCounts *
engine_counts_new (const EngineGraph *graph, KernelBackend *backend, KernelQueue *queue,
    const EngineCounted *counted, int n, GError **error)
{
  g_autoptr (EngineCounts) counts = g_new0 (EngineCounts, 1);

  counts->backend = backend;
  counts->queue = queue;
  counts->n = n;
  counts->counted = g_memdup2 (counted, n * sizeof *counted);
  counts->offset = g_new (gsize, n);
  g_qsort_with_data (counts->counted, n, sizeof *counted, compare_producers, (gpointer) graph);
  lay_out (counts, graph);
  if (!backend->ops->count_f32) {
    g_set_error (error, ENGINE_ERROR, ENGINE_ERROR_BACKEND,
        "back end '%s' has no kernel count_f32, which calibration needs; choose another back end",
        backend->name);
    return NULL;
  }
  counts->device = backend->alloc (backend, counts->size);
  counts->host = host_memory (counts);
  counts->zeros = host_memory (counts);
  if (!counts->device || !counts->host || !counts->zeros) {
    g_set_error (error, ENGINE_ERROR, ENGINE_ERROR_MEMORY,
        "back end '%s' has no %.1f MiB%s for the counts of %d activations; free some, or calibrate on "
        "'cpu'",
        backend->name, counts->size / 1048576.0, counts->device ? " of page-locked memory" : "", n);
    return NULL;
  }
  memset (counts->zeros, 0, counts->size);
  backend->upload (queue, counts->device, counts->zeros, counts->size);
  return g_steal_pointer (&counts);
}

void
engine_counts_free (EngineCounts *counts)
{
  if (!counts)
    return;

  KernelBackend *backend = counts->backend;

  backend->free (backend, counts->device);
  if (backend->host_free) {
    backend->host_free (backend, counts->host);
    backend->host_free (backend, counts->zeros);
  } else {
    g_free (counts->host);
    g_free (counts->zeros);
  }
  g_free (counts->counted);
  g_free (counts->offset);
  g_free (counts);
}

/* --- Running -------------------------------------------------------------------------------- */

static void
count (const EngineCounts *counts, const EngineProgram *program, int i, int batch)
{
  const EngineCounted *counted = &counts->counted[i];
  const EngineValue *value = engine_graph_value (program->graph, counted->value);
  const KernelCount args = {
      .size = batch * engine_value_elements (value),
      .channels = counted->channels,
      .x = engine_program_value (program, counted->value),
      .y = (KernelCounts *) (gpointer) (counts->device + counts->offset[i]),
  };

  counts->backend->ops->count_f32 (&args, counts->queue);
}

void
engine_counts_run (const EngineCounts *counts, const EngineProgram *program, int batch)
{
  const EngineSpan span = engine_program_span (program, 0, batch, ENGINE_NONE);
  const guint n_steps = program->steps->len;
  guint step = 0;

  for (int i = 0; i <= counts->n; i++) {
    const int last = i < counts->n ? producer_of (program->graph, &counts->counted[i]) : G_MAXINT;

    for (; step < n_steps; step++) {
      const EngineStep *next = &g_array_index (program->steps, EngineStep, step);

      if (next->node > last)
        break;
      next->run (next, &span, program->queue);
    }
    if (i < counts->n)
      count (counts, program, i, batch);
  }
}

/* --- Collecting ----------------------------------------------------------------------------- */

static float
float_of_key (guint32 key)
{
  const guint32 bits = kernel_count_bits (key);
  float x;

  memcpy (&x, &bits, sizeof x);
  return x;
}

static void
hand_over (const EngineCounted *counted, const KernelCounts *state, EngineCountsFn fn,
    gpointer data)
{
  const KernelChannelCounts *from = (const KernelChannelCounts *) (state + 1);
  g_autofree CalibChannelCounts *channels = g_new (CalibChannelCounts, counted->channels);
  const CalibCounts counts = {
      .n = state->n,
      .n_zero = state->n_zero,
      .n_nonfinite = state->n_nonfinite,
      .min = state->highest ? float_of_key (~state->lowest) : 0,
      .max = state->highest ? float_of_key (state->highest) : 0,
      .bins = {state->bins[0], state->bins[1]},
      .channels = channels,
  };

  for (int c = 0; c < counted->channels; c++)
    channels[c] = (CalibChannelCounts){from[c].high, from[c].low, from[c].nonfinite};
  fn (counted, &counts, data);
}

const char *
engine_counts_collect (EngineCounts *counts, EngineCountsFn fn, gpointer data)
{
  KernelBackend *backend = counts->backend;
  const char *failure;

  backend->download (counts->queue, counts->host, counts->device, counts->size);
  failure = backend->queue_wait (counts->queue);
  if (failure)
    return failure;
  backend->upload (counts->queue, counts->device, counts->zeros, counts->size);
  counts->images = 0;
  for (int i = 0; i < counts->n; i++)
    hand_over (&counts->counted[i],
        (const KernelCounts *) (gpointer) (counts->host + counts->offset[i]), fn, data);
  return NULL;
}
