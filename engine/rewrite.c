/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* rewrite.c: the few moves that passes share. */
#include "engine/rewrite.h"

#include <math.h>
#include <string.h>

EngineNode *
engine_rewrite_producer (const EngineGraph *graph, int value)
{
  const int producer =
      value == ENGINE_NONE ? ENGINE_NONE : engine_graph_value (graph, value)->producer;

  return producer == ENGINE_NONE ? NULL : engine_graph_node (graph, producer);
}

EngineNode *
engine_rewrite_own_producer (const EngineGraph *graph, const EngineNode *reader, int value,
    EngineOp op)
{
  EngineNode *producer = engine_rewrite_producer (graph, value);
  int reads = 0;

  if (!producer || producer->op != op || engine_graph_sole_consumer (graph, value) != reader)
    return NULL;
  for (int i = 0; i < reader->n_inputs; i++)
    reads += reader->inputs[i] == value;
  return reads == 1 ? producer : NULL;
}

const float *
engine_rewrite_floats (const EngineGraph *graph, int value)
{
  return g_bytes_get_data (engine_graph_value (graph, value)->data, NULL);
}

int
engine_rewrite_constant (EngineGraph *graph, const char *name, int rank, const int *dims,
    float *data)
{
  gsize elements = 1;

  for (int i = 0; i < rank; i++)
    elements *= dims[i];
  return engine_graph_add_constant (graph, name, ENGINE_TYPE_F32, rank, dims,
      g_bytes_new_take (data, elements * sizeof (float)));
}

gboolean
engine_rewrite_uniform (const EngineGraph *graph, const EngineNode *affine, float *scale,
    float *shift)
{
  const float *s = engine_rewrite_floats (graph, affine->inputs[1]);
  const float *t = engine_rewrite_floats (graph, affine->inputs[2]);
  const int c = engine_graph_value (graph, affine->inputs[1])->dims[0];

  for (int k = 1; k < c; k++)
    if (s[k] != s[0] || t[k] != t[0])
      return FALSE;
  *scale = s[0];
  *shift = t[0];
  return TRUE;
}

void
engine_rewrite_scale_affine (EngineGraph *graph, EngineNode *affine, double factor)
{
  const EngineValue *scale = engine_graph_value (graph, affine->inputs[1]);
  const float *s = engine_rewrite_floats (graph, affine->inputs[1]);
  const int c = scale->dims[0];
  float *scaled = g_new (float, c);

  for (int k = 0; k < c; k++)
    scaled[k] = s[k] * factor;
  affine->inputs[1] = engine_rewrite_constant (graph, scale->name, 1, &c, scaled);
}

void
engine_rewrite_keep_scales (EngineGraph *graph, int from, int to, const float *factor)
{
  GBytes *scales = engine_graph_value (graph, from)->scales;
  const int oc = engine_graph_value (graph, to)->dims[0];
  float *scaled;

  if (!scales)
    return;
  scaled = g_memdup2 (g_bytes_get_data (scales, NULL), oc * sizeof (float));
  for (int k = 0; factor && k < oc; k++)
    if (factor[k] != 0) /* all levels are 0 then, of any scale */
      scaled[k] *= fabsf (factor[k]);
  engine_graph_value (graph, to)->scales = g_bytes_new_take (scaled, oc * sizeof (float));
}

int
engine_rewrite_convert (EngineGraph *graph, EngineOp op, int value, const char *suffix)
{
  const EngineValue *from = engine_graph_value (graph, value);
  g_autofree char *name = g_strdup_printf ("%s (%s)", from->name, suffix);
  const EngineNode *node = engine_graph_add_node (graph, op, name, &value, 1, name);
  EngineValue *made = engine_graph_value (graph, node->output);

  from = engine_graph_value (graph, value); /* the addition may have moved it */
  made->rank = from->rank;
  memcpy (made->dims, from->dims, sizeof made->dims);
  made->type = op == ENGINE_OP_QUANTISE ? ENGINE_TYPE_S8
               : op == ENGINE_OP_NARROW ? ENGINE_TYPE_F16
                                        : ENGINE_TYPE_F32;
  return node->output;
}

void
engine_rewrite_to_unary (EngineNode *node, int x, KernelUnary kind)
{
  node->op = ENGINE_OP_UNARY;
  node->n_inputs = 1;
  node->inputs[0] = x;
  node->unary.kind = kind;
  node->unary.alpha = node->unary.beta = 0;
}

/* A node that nobody needs must not count as a reader of its inputs. */
static void
drop_producer (EngineGraph *graph, int value)
{
  EngineNode *node = engine_rewrite_producer (graph, value);

  if (node) {
    node->op = ENGINE_OP_COUNT;
    node->n_inputs = 0;
  }
}

void
engine_rewrite_stand_for (EngineGraph *graph, int from, int to)
{
  engine_graph_replace (graph, from, to);
  engine_graph_rename (graph, to, engine_graph_value (graph, from)->name);
  drop_producer (graph, from);
}

gboolean
engine_rewrite_bypass (EngineGraph *graph, int from, int to)
{
  if (engine_graph_is_output (graph, from)) {
    if (engine_graph_is_output (graph, to) || !engine_rewrite_producer (graph, to))
      return FALSE;
    engine_rewrite_stand_for (graph, from, to);
  } else {
    engine_graph_replace (graph, from, to);
    drop_producer (graph, from);
  }
  return TRUE;
}
