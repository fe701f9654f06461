/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * make-graph.h: small graphs in few lines. Each function adds one node, infers its shape (which
 * must succeed) and returns the value it makes; parameters are set on make_last() afterwards only
 * where they do not change the shape.
 */
#pragma once

#include <math.h>
#include <stdarg.h>

#include "engine/engine.h"
#include "engine/graph.h"
#include "engine/pass/pass.h"
#include "tests/check.h"

#define DIMS(...) (int[]){__VA_ARGS__}, G_N_ELEMENTS (((int[]){__VA_ARGS__}))
#define RELU      KERNEL_UNARY_CLIP, 0, INFINITY /* for make_unary() */

static inline int
make_input (EngineGraph *graph, const char *name, const int *dims, int rank)
{
  const int value = engine_graph_add_value (graph, name, ENGINE_TYPE_F32, rank, dims);

  g_array_append_val (graph->inputs, value);
  return value;
}

static inline void
make_output (EngineGraph *graph, int value)
{
  g_array_append_val (graph->outputs, value);
}

/* 1, 2, 3 ... times step, from start */
static inline int
make_constant (EngineGraph *graph, const char *name, const int *dims, int rank, float start,
    float step)
{
  gsize n = 1;
  float *data;

  for (int i = 0; i < rank; i++)
    n *= dims[i];
  data = g_new (float, n);
  for (gsize i = 0; i < n; i++)
    data[i] = start + step * i;
  return engine_graph_add_constant (graph, name, ENGINE_TYPE_F32, rank, dims,
      g_bytes_new_take (data, n * sizeof (float)));
}

static inline EngineNode *
make_last (EngineGraph *graph)
{
  return engine_graph_node (graph, graph->nodes->len - 1);
}

static inline int
make_infer (EngineGraph *graph)
{
  g_autoptr (GError) error = NULL;
  EngineNode *node = make_last (graph);

  if (!engine_graph_infer_shape (graph, node, &error))
    CHECK_FAIL ("%s", error->message);
  return node->output;
}

static inline EngineNode *
make_node (EngineGraph *graph, EngineOp op, const char *name, int x)
{
  return engine_graph_add_node (graph, op, name, &x, 1, name);
}

/* kxk, stride 1, `pad` on each side, weights 1, 2, 3 ..., bias 0.5, 1.5, ... */
static inline int
make_conv (EngineGraph *graph, const char *name, int x, int oc, int k, int pad)
{
  const EngineValue *in = engine_graph_value (graph, x);
  const int rank = in->rank, ic = in->dims[rank - 1], kh = rank == 4 ? k : 1;
  g_autofree char *w = g_strconcat (name, ".w", NULL), *b = g_strconcat (name, ".b", NULL);
  int inputs[ENGINE_CONV_INPUTS] = {x, make_constant (graph, w, DIMS (oc, kh, k, ic), 1, 1),
      make_constant (graph, b, DIMS (oc), 0.5f, 1), ENGINE_NONE, ENGINE_NONE};
  EngineNode *node = engine_graph_add_node (graph, ENGINE_OP_CONV, name, inputs, 5, name);

  node->conv.pad_left = node->conv.pad_right = pad;
  if (rank == 4)
    node->conv.pad_top = node->conv.pad_bottom = pad;
  return make_infer (graph);
}

static inline int
make_affine (EngineGraph *graph, const char *name, int x, float scale, float scale_step,
    float shift, float shift_step)
{
  const EngineValue *in = engine_graph_value (graph, x);
  const int c = in->dims[in->rank - 1];
  g_autofree char *s = g_strconcat (name, ".s", NULL), *t = g_strconcat (name, ".t", NULL);
  const int inputs[3] = {x, make_constant (graph, s, DIMS (c), scale, scale_step),
      make_constant (graph, t, DIMS (c), shift, shift_step)};

  engine_graph_add_node (graph, ENGINE_OP_AFFINE, name, inputs, 3, name);
  return make_infer (graph);
}

static inline int
make_unary (EngineGraph *graph, const char *name, int x, KernelUnary kind, float alpha, float beta)
{
  EngineNode *node = make_node (graph, ENGINE_OP_UNARY, name, x);

  node->unary.kind = kind;
  node->unary.alpha = alpha;
  node->unary.beta = beta;
  return make_infer (graph);
}

static inline int
make_binary (EngineGraph *graph, EngineOp op, const char *name, int a, int b)
{
  const int inputs[2] = {a, b};

  engine_graph_add_node (graph, op, name, inputs, 2, name);
  return make_infer (graph);
}

static inline int
make_concat (EngineGraph *graph, const char *name, int a, int b, int axis)
{
  const int inputs[2] = {a, b};

  engine_graph_add_node (graph, ENGINE_OP_CONCAT, name, inputs, 2, name)->concat.axis = axis;
  return make_infer (graph);
}

static inline int
make_pool (EngineGraph *graph, EngineOp op, const char *name, int x, int k, int stride, int pad)
{
  EngineNode *node = make_node (graph, op, name, x);

  node->pool = (EnginePoolParams){k, k, stride, stride, 1, 1, pad, pad, pad, pad, FALSE, FALSE};
  return make_infer (graph);
}

static inline int
make_reshape (EngineGraph *graph, const char *name, int x, const int *dims, int rank)
{
  EngineValue *y =
      engine_graph_value (graph, make_node (graph, ENGINE_OP_RESHAPE, name, x)->output);

  y->rank = rank;
  memcpy (y->dims, dims, rank * sizeof (int));
  return make_infer (graph);
}

static inline int
make_transpose (EngineGraph *graph, const char *name, int x, const int *perm, int rank)
{
  memcpy (make_node (graph, ENGINE_OP_TRANSPOSE, name, x)->transpose.perm, perm,
      rank * sizeof (int));
  return make_infer (graph);
}

static inline int
make_slice (EngineGraph *graph, const char *name, int x, int axis, int start, int size)
{
  EngineNode *node = make_node (graph, ENGINE_OP_SLICE, name, x);

  node->slice.axis = axis;
  node->slice.start = start;
  node->slice.size = size;
  return make_infer (graph);
}

/* `pad` on both sides of height and width of a rank 4 value */
static inline int
make_pad (EngineGraph *graph, const char *name, int x, int pad, float value)
{
  EngineNode *node = make_node (graph, ENGINE_OP_PAD, name, x);

  for (int i = 1; i <= 2; i++)
    node->pad.before[i] = node->pad.after[i] = pad;
  node->pad.value = value;
  return make_infer (graph);
}

static inline int
make_softmax (EngineGraph *graph, const char *name, int x)
{
  make_node (graph, ENGINE_OP_SOFTMAX, name, x);
  return make_infer (graph);
}

#define CHECK_DUMP(graph, expected)                                                                \
  do {                                                                                             \
    g_autofree char *check_dump = engine_graph_dump (graph);                                       \
    CHECK_STR (check_dump, expected);                                                              \
  } while (0)

/* Verifies, runs one pass, verifies again. */
static inline void
make_run_pass (EngineGraph *graph,
    gboolean (*pass) (EngineGraph *, const EnginePassContext *, GError **))
{
  g_autoptr (GError) error = NULL;

  if (!engine_graph_verify (graph, "making", &error) || !pass (graph, NULL, &error) ||
      !engine_graph_verify (graph, "the pass", &error))
    CHECK_FAIL ("%s", error->message);
}

static inline void
make_check_floats (const EngineGraph *graph, int value, const float *expected, gsize n)
{
  const float *x = g_bytes_get_data (engine_graph_value (graph, value)->data, NULL);

  for (gsize i = 0; i < n; i++)
    if (x[i] != expected[i])
      CHECK_FAIL ("value %zu is %g, expected %g", i, x[i], expected[i]);
}
