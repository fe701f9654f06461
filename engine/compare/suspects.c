/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * compare/suspects.c: which layers do the damage, why, and what would help.
 *
 * Where layers were run alone, the damage of one is the noise that it brings into the logits by
 * itself. Else it is estimated from the cumulative figures: noise over signal of the layer's output,
 * less the largest of its inputs. A network that cleans noise away (pooling, clamps) makes the
 * estimate of later layers too small.
 */
#include "engine/compare/private.h"
#include "engine/ranges.h"

#include <math.h>

#define MOSTLY       0.5 /* this share of the noise is what the trouble is called after */
#define FEW_LEVELS   48
#define WIDE         16 /* a step is, from this part of the values' RMS on */
#define DEAD_PERCENT 10

static void
suspect_free (gpointer data)
{
  EngineSuspect *suspect = data;

  g_free (suspect->why);
  g_free (suspect->precision);
  g_free (suspect->range);
  g_free (suspect);
}

static double
noise_share (const EngineTensorSums *sums)
{
  return sums->signal > 0 ? sums->noise / sums->signal : 0;
}

static double
estimated_damage (const EngineComparison *comparison, const EngineTensorPair *pair)
{
  const EngineGraph *graph = comparison->exact->graph;
  const EngineNode *node =
      engine_graph_node (graph, engine_graph_value (graph, pair->value)->producer);
  double before = 0;

  for (int k = 0; k < node->n_inputs; k++) {
    const EngineTensorPair *input = node->inputs[k] == ENGINE_NONE
                                        ? NULL
                                        : g_hash_table_lookup (comparison->by_name,
                                              engine_graph_value (graph, node->inputs[k])->name);

    if (input)
      before = fmax (before, noise_share (&input->sums));
  }
  return noise_share (&pair->sums) - before;
}

static double
damage_of (const EngineComparison *comparison, const EngineTensorPair *pair)
{
  return isnan (pair->alone_logits) ? estimated_damage (comparison, pair)
                                    : pow (10, -pair->alone_logits / 10);
}

/* Which sums tell what the layer itself does. */
static const EngineTensorSums *
own_sums (const EngineTensorPair *pair)
{
  return pair->alone.n > 0 ? &pair->alone : &pair->sums;
}

/* The noise of rounding the outputs to their steps, at the most: zeros are exact. */
static double
rounding_of_values (const EngineTensorPair *pair)
{
  return (double) own_sums (pair)->n * pair->scale * pair->scale / 12;
}

static double
rms_of (const EngineTensorSums *sums)
{
  return sqrt (sums->signal / (double) sums->n);
}

/* Of what goes into the layer: only convolutions have weights. */
static const char *
rounding_before (const EngineTensorScore *score)
{
  return g_str_equal (score->op, "conv") ? "rounding of its weights and input"
                                         : "rounding of its input";
}

static char *
explain (const EngineTensorPair *pair, const EngineTensorScore *score)
{
  const EngineTensorSums *own = own_sums (pair);
  char text[G_ASCII_DTOSTR_BUF_SIZE], rms[G_ASCII_DTOSTR_BUF_SIZE];

  if (!score->int8)
    return g_strdup (rounding_before (score));
  if (own->clipped > MOSTLY * own->noise)
    return g_strdup_printf (
        "clipping: %s %% of its values are beyond the range and make %.0f %% of "
        "the noise",
        g_ascii_formatd (text, sizeof text, "%.2g",
            100.0 * (double) own->saturated / (double) own->n),
        100 * own->clipped / own->noise);
  if (score->dead * 100 >= score->channels * DEAD_PERCENT)
    return g_strdup_printf ("rounding: %u of %u channels are always 0", score->dead,
        score->channels);
  if (score->levels <= FEW_LEVELS)
    return g_strdup_printf ("rounding: %u of 256 levels are in use", score->levels);
  if (rounding_of_values (pair) > MOSTLY * own->noise && pair->scale * WIDE > rms_of (own))
    return g_strdup_printf ("rounding: steps of %s are wide for its values, whose RMS is %s",
        g_ascii_formatd (text, sizeof text, "%.3g", pair->scale),
        g_ascii_formatd (rms, sizeof rms, "%.3g", rms_of (own)));
  return g_strdup (rounding_of_values (pair) > MOSTLY * own->noise ? "rounding of its values"
                                                                   : rounding_before (score));
}

static char *
wider_range (const EngineTensorPair *pair)
{
  const EngineTensorSums *own = own_sums (pair);
  char text[G_ASCII_DTOSTR_BUF_SIZE];

  if (!pair->int8 || own->clipped <= MOSTLY * own->noise)
    return NULL;
  /* It is read back: no locale. */
  return g_strconcat (pair->name, ": ", g_ascii_formatd (text, sizeof text, "%.9g", own->largest),
      NULL);
}

static EngineSuspect *
suspect_new (const EngineComparison *comparison, guint tensor, double damage)
{
  const EngineTensorPair *pair = &comparison->pairs[tensor];
  g_autofree char *pattern = engine_layer_pattern (pair->name);
  EngineSuspect *suspect = g_new0 (EngineSuspect, 1);
  EngineTensorScore score;

  engine_comparison_tensor (comparison, tensor, &score);
  suspect->tensor = tensor;
  suspect->damage = damage;
  suspect->why = explain (pair, &score);
  suspect->precision = g_strconcat (pattern, ":fp32", NULL);
  suspect->range = wider_range (pair);
  return suspect;
}

static int
compare_suspects (gconstpointer a, gconstpointer b)
{
  const EngineSuspect *x = *(EngineSuspect *const *) a, *y = *(EngineSuspect *const *) b;

  if (x->damage != y->damage)
    return x->damage < y->damage ? 1 : -1;
  return x->tensor < y->tensor ? -1 : 1;
}

GPtrArray *
engine_comparison_suspects (const EngineComparison *comparison)
{
  GPtrArray *suspects = g_ptr_array_new_with_free_func (suspect_free);

  for (guint i = 0; i < engine_comparison_n_tensors (comparison); i++) {
    const EngineTensorPair *pair = &comparison->pairs[i];
    const int producer = engine_graph_value (comparison->exact->graph, pair->value)->producer;

    if (producer == ENGINE_NONE || pair->sums.n == 0 ||
        engine_op_passes_values (engine_graph_node (comparison->exact->graph, producer)->op) ||
        engine_comparison_precision (comparison, pair) != ENGINE_PRECISION_INT8)
      continue;
    const double damage = damage_of (comparison, pair);
    if (damage > 0)
      g_ptr_array_add (suspects, suspect_new (comparison, i, damage));
  }
  g_ptr_array_sort (suspects, compare_suspects);
  return suspects;
}
