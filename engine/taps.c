/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * taps.c: groups of activations, and a run that hands them to a tap.
 */
#include "engine/taps.h"

typedef struct {
  const EngineGraph *graph;
  GArray *values, *first;
  int group_values; /* where the group begins in values */
} Maker;

static gsize
value_bytes (const EngineGraph *graph, int value)
{
  const EngineValue *v = engine_graph_value (graph, value);

  return engine_value_elements (v) * engine_type_size (v->type);
}

static int
compare_sizes (gconstpointer a, gconstpointer b, gpointer graph)
{
  const gsize x = value_bytes (graph, *(const int *) a), y = value_bytes (graph, *(const int *) b);

  return x != y ? (x < y ? 1 : -1) : *(const int *) a - *(const int *) b;
}

/* Largest first: the last to be taken is a short one. */
static void
end_group (Maker *maker)
{
  const int begin = maker->group_values, n = maker->values->len;

  g_qsort_with_data (&g_array_index (maker->values, int, begin), n - begin, sizeof (int),
      compare_sizes, (gpointer) maker->graph);
  g_array_append_val (maker->first, n);
  maker->group_values = n;
}

EngineTaps *
engine_taps_new (const EngineGraph *graph, int max_batch, gsize group_bytes)
{
  const int n = graph->nodes->len;
  EngineTaps *taps = g_new0 (EngineTaps, 1);
  g_autoptr (GArray) values = g_array_new (FALSE, FALSE, sizeof (int));
  g_autoptr (GArray) first = g_array_new (FALSE, FALSE, sizeof (int));
  Maker maker = {graph, values, first, 0};

  taps->max_batch = max_batch;
  taps->kept = g_new (int, n);
  g_array_append_val (first, maker.group_values);
  for (guint i = 0; i < graph->inputs->len; i++)
    g_array_append_val (values, g_array_index (graph->inputs, int, i));
  for (int begin = 0, end; begin < n; begin = end) {
    gsize bytes = 0;

    for (end = begin; end < n && (end == begin || bytes <= group_bytes); end++) {
      const int output = engine_graph_node (graph, end)->output;

      bytes += value_bytes (graph, output) * max_batch;
      g_array_append_val (values, output);
    }
    for (int i = begin; i < end; i++)
      taps->kept[i] = end;
    end_group (&maker);
  }
  taps->n_groups = first->len - 1;
  taps->values = (int *) (gpointer) g_array_free (g_steal_pointer (&values), FALSE);
  taps->first = (int *) (gpointer) g_array_free (g_steal_pointer (&first), FALSE);
  return taps;
}

gboolean
engine_taps_fetch (EngineTaps *taps, const EngineGraph *graph, KernelBackend *device, int threads,
    GError **error)
{
  gsize most = 0;

  taps->device = device;
  taps->at = g_new (gsize, taps->first[taps->n_groups]);
  for (int g = 0; g < taps->n_groups; g++) {
    gsize size = 0;

    for (int i = taps->first[g]; i < taps->first[g + 1]; i++) {
      taps->at[i] = size;
      size += value_bytes (graph, taps->values[i]) * taps->max_batch;
      size = (size + KERNEL_ALIGN - 1) / KERNEL_ALIGN * KERNEL_ALIGN;
    }
    most = MAX (most, size);
  }
  taps->host = device->host_alloc ? device->host_alloc (device, most) : g_try_malloc (most);
  if (!taps->host) {
    g_set_error (error, ENGINE_ERROR, ENGINE_ERROR_MEMORY,
        "no memory for %.1f MiB of activations from back end '%s'; lower the batch size",
        most / 1048576.0, device->name);
    return FALSE;
  }
  taps->cpu = engine_backend_open ("cpu", error);
  taps->threads = taps->cpu ? taps->cpu->queue_new (taps->cpu, threads) : NULL;
  if (taps->cpu && !taps->threads)
    g_set_error (error, ENGINE_ERROR, ENGINE_ERROR_BACKEND,
        "back end 'cpu' could not make a queue with %d threads", threads);
  return taps->threads != NULL;
}

void
engine_taps_free (EngineTaps *taps)
{
  if (!taps)
    return;
  if (taps->threads)
    taps->cpu->queue_free (taps->threads);
  engine_backend_close (taps->cpu);
  if (taps->device && taps->device->host_free)
    taps->device->host_free (taps->device, taps->host);
  else
    g_free (taps->host);
  g_free (taps->at);
  g_free (taps->kept);
  g_free (taps->values);
  g_free (taps->first);
  g_free (taps);
}

/* --- Running -------------------------------------------------------------------------------- */

/* Some images on their way through the network. */
typedef struct {
  const EngineTaps *taps;
  const EngineProgram *program;
  EngineSpan span;
  EngineTapFn tap;
  gpointer data;
  int first; /* of the group, in taps->values */
} Run;

static void *
value_at (const Run *run, int value)
{
  const EngineOperand operand = engine_step_operand (run->program, value, 0);

  return run->span.space[operand.space].memory + operand.offset +
         operand.stride * run->span.space[operand.space].times;
}

static void
show (const Run *run, int i)
{
  const EngineTaps *taps = run->taps;
  const int value = taps->values[i];
  const EngineValue *v = engine_graph_value (run->program->graph, value);
  const EngineTap tap = {
      .name = v->name,
      .type = v->type,
      .x = taps->host ? taps->host + taps->at[i] : value_at (run, value),
      .scale = v->type == ENGINE_TYPE_S8 ? v->quant.scale : 1,
      .zero = v->type == ENGINE_TYPE_S8 ? v->quant.zero : 0,
      .n = run->span.images,
      .elements = engine_value_elements (v),
      .channels = v->dims[v->rank - 1],
      .factors = v->factors ? g_bytes_get_data (v->factors, NULL) : NULL,
  };

  run->tap (&tap, run->data);
}

/* Steps up to those of the group's last node. */
static void
run_group (const Run *run, int *node, guint *step, KernelQueue *queue)
{
  const GArray *steps = run->program->steps;

  *node = run->taps->kept[*node];
  for (; *step < steps->len; (*step)++) {
    const EngineStep *next = &g_array_index (steps, EngineStep, *step);

    if (next->node >= *node)
      break;
    next->run (next, &run->span, queue);
  }
}

/* --- By layer ------------------------------------------------------------------------------- */

static void
show_piece (void *ctx, int piece, int lane, KernelQueue *queue)
{
  const Run *run = ctx;

  show (run, run->first + piece);
}

/* Queues the copies of a group. */
static void
download (const Run *run, int n)
{
  const EngineTaps *taps = run->taps;
  const EngineProgram *program = run->program;

  for (int i = run->first; i < run->first + n; i++)
    program->backend->download (program->queue, taps->host + taps->at[i],
        value_at (run, taps->values[i]),
        value_bytes (program->graph, taps->values[i]) * run->span.images);
}

static const char *
run_by_layer (Run *run)
{
  const EngineTaps *taps = run->taps;
  const EngineProgram *program = run->program;
  KernelBackend *backend = program->backend;
  guint step = 0;
  int node = 0;

  for (int g = 0; g < taps->n_groups; g++) {
    const int n = taps->first[g + 1] - taps->first[g];

    run->first = taps->first[g];
    run_group (run, &node, &step, program->queue);
    if (taps->host) {
      download (run, n);
      const char *failure = backend->queue_wait (program->queue);
      if (failure)
        return failure;
      taps->cpu->queue_each (taps->threads, show_piece, run, n);
    } else {
      backend->queue_each (program->queue, show_piece, run, n);
    }
  }
  return backend->queue_wait (program->queue);
}

/* --- By image ------------------------------------------------------------------------------- */

static void
run_image (void *ctx, int image, int lane, KernelQueue *queue)
{
  Run run = *(const Run *) ctx;
  guint step = 0;
  int node = 0;

  run.span = engine_program_span (run.program, image, 1, lane);
  for (int g = 0; g < run.taps->n_groups; g++) {
    run_group (&run, &node, &step, queue);
    for (int i = run.taps->first[g]; i < run.taps->first[g + 1]; i++)
      show (&run, i);
  }
}

const char *
engine_taps_run (const EngineTaps *taps, const EngineProgram *program, int batch, EngineTapFn tap,
    gpointer data)
{
  const int by_image = engine_schedule_by_image (&program->schedule, batch);
  Run run = {.taps = taps, .program = program, .tap = tap, .data = data};

  if (by_image > 0)
    program->backend->queue_each (program->queue, run_image, &run, by_image);
  if (by_image == batch)
    return program->backend->queue_wait (program->queue);
  run.span = engine_program_span (program, by_image, batch - by_image, ENGINE_NONE);
  return run_by_layer (&run);
}
