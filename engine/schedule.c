/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * schedule.c: where a program is cut: an estimate of the bytes that come from beyond the second-level
 * cache of a core, for one image, on both sides of every possible cut.
 *
 * By image a node reads all of its weights for each image: those of a part never fit the cache at
 * once where it matters. By layer they are read once for the batch, but then the activations come
 * and go, unless those of the images that a thread has to itself fit the cache.
 *
 * Only the choice between the two is made from this, and at the cut they are nearly equal: a cache
 * of half or twice the size moves the cut by a few layers and the speed by a few percent.
 */
#include "engine/schedule.h"

/* What a core has to itself of its caches; a step function for what is a slope in truth. */
#define SECOND_LEVEL (1024.0 * 1024)
#define THIRD_LEVEL  (4 * 1024.0 * 1024)
/* Memory costs so many times what the third level does. */
#define MEMORY 2
/* Handing one kernel to all threads and waiting for the slowest, as bytes that one thread could have
 * read meanwhile: about 10 microseconds. */
#define HANDING_OVER (256 * 1024.0)

typedef struct {
  double images; /* a batch, for each lane */
  double batch;
  gboolean alone; /* one lane */
} Load;

typedef struct {
  double weights, activations; /* bytes; activations of one image */
} Traffic;

/* Beyond a core's second level, for one image, where `images` are worked on at the same time. */
static double
from_beyond (double bytes, double images)
{
  const double together = bytes * images;

  if (together <= SECOND_LEVEL)
    return 0;
  return together <= THIRD_LEVEL ? bytes : MEMORY * bytes;
}

static Traffic
traffic_of (const EngineGraph *graph, int i)
{
  const EngineNode *node = engine_graph_node (graph, i);
  const EngineValue *y = engine_graph_value (graph, node->output);
  Traffic traffic = {0, engine_value_elements (y) * (double) engine_type_size (y->type)};

  if (node->op == ENGINE_OP_RESHAPE)
    return (Traffic){0, 0};
  for (int k = 0; k < node->n_inputs; k++) {
    if (node->inputs[k] == ENGINE_NONE)
      continue;

    const EngineValue *x = engine_graph_value (graph, node->inputs[k]);
    const double bytes = engine_value_elements (x) * (double) engine_type_size (x->type);
    *(x->data ? &traffic.weights : &traffic.activations) += bytes;
  }
  return traffic;
}

static double
cost_by_image (const Traffic *traffic)
{
  return traffic->weights + from_beyond (traffic->activations, 1);
}

static double
cost_by_layer (const Traffic *traffic, const Load *load)
{
  return traffic->weights / load->batch + from_beyond (traffic->activations, load->images) +
         (load->alone ? 0 : HANDING_OVER / load->images);
}

/* The cheapest cut; of equal ones the last, which has the smallest arena. */
static int
cheapest_cut (const EngineGraph *graph, const Load *load)
{
  double cost = 0, least = 0; /* beyond that of no cut */
  int cut = 0;

  for (int i = 0; i < (int) graph->nodes->len; i++) {
    const Traffic traffic = traffic_of (graph, i);

    cost += cost_by_image (&traffic) - cost_by_layer (&traffic, load);
    if (cost <= least) {
      least = cost;
      cut = i + 1;
    }
  }
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
  schedule.cut = cheapest_cut (graph, &load);
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
