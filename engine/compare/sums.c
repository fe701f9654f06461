/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* compare/sums.c: what is added up over the values of one activation, always in their order. */
#include "engine/compare/private.h"
#include "engine/ranges.h"
#include "kernels/half.h"

#include <math.h>

#define CHANNEL_EXACT  1 /* some exact value of the channel was not 0 */
#define CHANNEL_JUDGED 2

void
engine_tensor_sums_init (EngineTensorSums *sums, guint channels)
{
  *sums = (EngineTensorSums){.channels = g_new0 (guint8, channels)};
}

void
engine_tensor_sums_clear (EngineTensorSums *sums)
{
  g_free (sums->channels);
  *sums = (EngineTensorSums){0};
}

/* The part that int8 and float have in common: of values as their readers see them. */
static inline double
add_value (EngineTensorSums *sums, const EngineTensorPair *pair, double exact, double seen)
{
  const double y = CLAMP (exact, pair->lo, pair->hi), judged = CLAMP (seen, pair->lo, pair->hi);
  const double e = y - judged;

  sums->signal += y * y;
  sums->noise += e * e;
  sums->judged += judged * judged;
  sums->product += y * judged;
  if (fabs (y) > sums->largest)
    sums->largest = fabs (y);
  return e * e;
}

static void
add_float (EngineTensorSums *sums, const EngineTensorPair *pair, const float *x)
{
  for (gsize i = 0; i < pair->elements; i++)
    add_value (sums, pair, pair->exact[i], x[i]);
}

static void
add_halves (EngineTensorSums *sums, const EngineTensorPair *pair, const KernelHalf *x)
{
  for (gsize i = 0; i < pair->elements; i++)
    add_value (sums, pair, pair->exact[i], kernel_half_to_f32 (x[i]));
}

static void
add_int8 (EngineTensorSums *sums, const EngineTensorPair *pair, const EngineTap *tap)
{
  const double scale = tap->scale;
  const double lowest = (-128.5 - tap->zero) * scale, highest = (127.5 - tap->zero) * scale;
  const gint8 *q = tap->x;
  const float *exact = pair->exact;

  for (gsize row = 0; row < pair->elements; row += pair->channels)
    for (guint k = 0; k < pair->channels; k++) {
      const gsize i = row + k;
      const double y = CLAMP (exact[i], pair->lo, pair->hi);
      const double factor = tap->factors ? (double) tap->factors[k] : 1;
      const double noise = add_value (sums, pair, y, (q[i] - tap->zero) * scale * factor);

      sums->seen[(guint8) q[i]] = 1;
      sums->channels[k] |= (y != 0 ? CHANNEL_EXACT : 0) | (q[i] != tap->zero ? CHANNEL_JUDGED : 0);
      if ((q[i] == 127 && y > highest * factor) || (q[i] == -128 && y < lowest * factor)) {
        sums->saturated++;
        sums->clipped += noise;
      }
    }
}

void
engine_tensor_sums_add (EngineTensorSums *sums, const EngineTensorPair *pair, const EngineTap *tap)
{
  sums->n += pair->elements;
  if (tap->type == ENGINE_TYPE_F32)
    add_float (sums, pair, tap->x);
  else if (tap->type == ENGINE_TYPE_F16)
    add_halves (sums, pair, tap->x);
  else
    add_int8 (sums, pair, tap);
}

/* As engine_tensor_sums_add_clips(), of channels with ranges of their own. */
static void
add_clips_by_channel (EngineTensorSums *sums, const EngineTensorPair *pair, const float *exact)
{
  const double lowest = (-128.5 - pair->zero) * pair->scale;
  const double highest = (127.5 - pair->zero) * pair->scale;

  for (gsize row = 0; row < pair->elements; row += pair->channels)
    for (guint k = 0; k < pair->channels; k++) {
      const double y = CLAMP (exact[row + k], pair->lo, pair->hi);

      sums->saturated += y > highest * pair->factors[k] || y < lowest * pair->factors[k];
      if (fabs (y) > sums->largest)
        sums->largest = fabs (y);
    }
  sums->n += pair->elements;
}

#define LANES 8 /* sums at the same time: no addition waits for the one before */

void
engine_tensor_sums_add_clips (EngineTensorSums *sums, const EngineTensorPair *pair,
    const float *exact)
{
  const float lowest = pair->int8 ? (float) ((-128.5 - pair->zero) * pair->scale) : -INFINITY;
  const float highest = pair->int8 ? (float) ((127.5 - pair->zero) * pair->scale) : INFINITY;
  const float lo = pair->lo, hi = pair->hi;
  const gsize whole = pair->elements - pair->elements % LANES;
  float largest[LANES] = {0};
  guint beyond[LANES] = {0};

  if (pair->factors) {
    add_clips_by_channel (sums, pair, exact);
    return;
  }
  for (gsize i = 0; i < whole; i += LANES)
    for (int k = 0; k < LANES; k++) {
      const float y = CLAMP (exact[i + k], lo, hi), size = fabsf (y);

      beyond[k] += (y > highest) + (y < lowest);
      largest[k] = size > largest[k] ? size : largest[k];
    }
  for (gsize i = whole; i < pair->elements; i++) {
    const float y = CLAMP (exact[i], lo, hi), size = fabsf (y);

    beyond[0] += (y > highest) + (y < lowest);
    largest[0] = size > largest[0] ? size : largest[0];
  }
  for (int k = 0; k < LANES; k++) {
    sums->saturated += beyond[k];
    if (largest[k] > sums->largest)
      sums->largest = largest[k];
  }
  sums->n += pair->elements;
}

static guint
count_levels (const EngineTensorSums *sums)
{
  guint n = 0;

  for (int i = 0; i < 256; i++)
    n += sums->seen[i];
  return n;
}

static guint
count_dead (const EngineTensorSums *sums, guint channels)
{
  guint n = 0;

  for (guint k = 0; k < channels; k++)
    n += sums->channels[k] == CHANNEL_EXACT;
  return n;
}

static double
cosine (const EngineTensorSums *sums)
{
  if (sums->signal == 0 || sums->judged == 0)
    return sums->signal == sums->judged ? 1 : 0;
  return sums->product / (sqrt (sums->signal) * sqrt (sums->judged));
}

/* What is known of a tensor after the first frame. */
static void
describe_sums (const EngineTensorPair *pair, EngineTensorScore *score)
{
  const EngineTensorSums *sums = &pair->sums;

  score->sqnr = engine_sqnr (sums->signal, sums->noise);
  score->cosine = cosine (sums);
  score->largest = sums->largest;
  if (!pair->int8)
    return;
  score->saturated = (double) sums->saturated / (double) sums->n;
  score->clip_noise = sums->noise > 0 ? sums->clipped / sums->noise : 0;
  score->levels = count_levels (sums);
  score->dead = count_dead (sums, pair->channels);
}

static void
describe_clips (const EngineTensorPair *pair, EngineTensorScore *score)
{
  score->largest = pair->sums.largest;
  score->saturated = (double) pair->sums.saturated / (double) pair->sums.n;
}

void
engine_comparison_tensor (const EngineComparison *comparison, guint tensor,
    EngineTensorScore *score)
{
  g_return_if_fail (tensor < engine_comparison_n_tensors (comparison));

  const EngineTensorPair *pair = &comparison->pairs[tensor];
  const EngineGraph *graph = comparison->exact->graph;
  const int producer = engine_graph_value (graph, pair->value)->producer;
  const EngineNode *node = producer == ENGINE_NONE ? NULL : engine_graph_node (graph, producer);

  *score = (EngineTensorScore){.name = pair->name,
      .layer = node ? node->name : NULL,
      .op = node ? engine_op_name (node->op) : "input",
      .computes = node && !engine_op_passes_values (node->op),
      .precision = engine_comparison_precision (comparison, pair),
      .int8 = pair->int8,
      .scale = pair->int8 ? pair->scale : 0,
      .zero = pair->int8 ? pair->zero : 0,
      .n = pair->elements,
      .channels = pair->channels,
      .sqnr = NAN,
      .cosine = NAN,
      .alone = pair->alone.n > 0 ? engine_sqnr (pair->alone.signal, pair->alone.noise) : NAN,
      .alone_logits = pair->alone_logits};
  if (pair->sums.n > 0 && comparison->clips_only)
    describe_clips (pair, score);
  else if (pair->sums.n > 0)
    describe_sums (pair, score);
}
