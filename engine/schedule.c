/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * schedule.c: where a program is cut: an estimate of what every node costs by image and by layer, in
 * bytes that one core could have read from its third-level cache in the same time.
 *
 * By image a node reads all its weights for each image. By layer it reads them once for the batch,
 * but the activations of a batch come and go beyond the second level, and several threads wait for
 * the slowest of them at every kernel.
 *
 * The constants are those of servers of these years, and rough. Nothing but speed depends on them:
 * at the cheapest cut the costs of both sides are nearly equal, and a cache of half or twice the
 * size moves it by a few layers and the speed by a few percent.
 */
#include "engine/schedule.h"

/* What a core has to itself of its caches; a step function for what is a slope in truth. */
#define SECOND_LEVEL (1024.0 * 1024)
#define THIRD_LEVEL  (4 * 1024.0 * 1024)
/* Memory costs so many times what the third level does. */
#define MEMORY 2
/* Handing one kernel to several threads: about 10 microseconds. */
#define HANDING_OVER (256 * 1024.0)
/* Waiting for the slowest thread, as a part of the kernel's time: 5 % measured on an idle machine, 20 %
 * and more on a busy one. */
#define WAITING (1.0 / 16)
/* Products of a convolution that take as long as reading a byte. */
#define PRODUCTS_S8  16
#define PRODUCTS_F32 2
/* Two cuts are as good as each other that differ by less than this part of a run. */
#define NEARLY 0.0025

typedef struct {
  double images; /* a batch, for each lane */
  double batch;
  gboolean alone; /* one lane */
} Load;

typedef struct {
  double weights, activations; /* bytes; activations of one image */
  double products;             /* of one image, as bytes that could have been read meanwhile */
} Work;

/* Beyond a core's second level, for one image, where `images` are worked on at the same time. */
static double
from_beyond (double bytes, double images)
{
  const double together = bytes * images;

  if (together <= SECOND_LEVEL)
    return 0;
  return together <= THIRD_LEVEL ? bytes : MEMORY * bytes;
}

/* Every value of the output is a sum of one filter's products. */
static double
conv_products (const EngineGraph *graph, const EngineNode *node)
{
  const EngineValue *w = engine_graph_value (graph, node->inputs[ENGINE_CONV_W]);
  const double filter = engine_value_elements (w) / (double) w->dims[0];

  return engine_value_elements (engine_graph_value (graph, node->output)) * filter /
         (w->type == ENGINE_TYPE_S8 ? PRODUCTS_S8 : PRODUCTS_F32);
}

static double
matmul_products (const EngineGraph *graph, const EngineNode *node)
{
  const EngineValue *x1 = engine_graph_value (graph, node->inputs[0]);

  return engine_value_elements (engine_graph_value (graph, node->output)) *
         (double) x1->dims[x1->rank - 1] /
         (x1->type == ENGINE_TYPE_S8 ? PRODUCTS_S8 : PRODUCTS_F32);
}

static Work
work_of (const EngineGraph *graph, int i)
{
  const EngineNode *node = engine_graph_node (graph, i);
  const EngineValue *y = engine_graph_value (graph, node->output);
  Work work = {.activations = engine_value_elements (y) * (double) engine_type_size (y->type)};

  if (node->op == ENGINE_OP_RESHAPE)
    return (Work){0};
  if (node->op == ENGINE_OP_CONV)
    work.products = conv_products (graph, node);
  else if (node->op == ENGINE_OP_MATMUL)
    work.products = matmul_products (graph, node);
  for (int k = 0; k < node->n_inputs; k++) {
    if (node->inputs[k] == ENGINE_NONE)
      continue;

    const EngineValue *x = engine_graph_value (graph, node->inputs[k]);
    const double bytes = engine_value_elements (x) * (double) engine_type_size (x->type);
    *(x->data ? &work.weights : &work.activations) += bytes;
  }
  return work;
}

static double
cost_by_image (const Work *work)
{
  return work->weights + from_beyond (work->activations, 1);
}

static double
cost_by_layer (const Work *work, const Load *load)
{
  const double bytes = work->weights / load->batch + from_beyond (work->activations, load->images);

  return load->alone ? bytes : bytes + HANDING_OVER / load->images + WAITING * work->products;
}

/* The last of the cuts that cost nearly as little as the cheapest: the later, the smaller the memory
 * for the batch. */
static int
choose_cut (const EngineGraph *graph, const Load *load)
{
  const int n = graph->nodes->len;
  g_autofree double *beyond = g_new (double, n + 1); /* cost of a cut beyond that of no cut */
  double whole = 0, least = 0;
  int cut = n;

  beyond[0] = 0;
  for (int i = 0; i < n; i++) {
    const Work work = work_of (graph, i);
    const double by_layer = cost_by_layer (&work, load);

    whole += by_layer + work.products;
    beyond[i + 1] = beyond[i] + cost_by_image (&work) - by_layer;
    least = MIN (least, beyond[i + 1]);
  }
  while (beyond[cut] > least + NEARLY * whole)
    cut--;
  return cut;
}

EngineSchedule
engine_schedule_new (const EngineGraph *graph, KernelBackend *backend, KernelQueue *queue,
    int max_batch)
{
  EngineSchedule schedule = {.cut = graph->nodes->len, .lanes = 1};

  if (backend->queue_each)
    schedule.lanes = backend->queue_lanes (queue);
  /* With one image there is nothing to choose but memory, and it is all the same. */
  if (!backend->queue_each || max_batch == 1 ||
      engine_schedule_by_image (&schedule, max_batch) == 0) {
    schedule.cut = 0;
    return schedule;
  }

  const Load load = {
      .images = MAX (1, (double) max_batch / schedule.lanes),
      .batch = max_batch,
      .alone = schedule.lanes == 1,
  };
  schedule.cut = choose_cut (graph, &load);
  return schedule;
}

/* Full rounds of all lanes go by image. A rest that leaves a few lanes idle does so too; a smaller
 * one is faster shared out layer by layer, at the 50 to 80 % that threads reach that way. */
int
engine_schedule_by_image (const EngineSchedule *schedule, int batch)
{
  const int rest = batch % schedule->lanes;

  if (schedule->cut == 0)
    return 0;
  return 4 * rest >= 3 * schedule->lanes ? batch : batch - rest;
}
