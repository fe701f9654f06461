/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* bounds.c: what values a tensor can have, and which of them make a difference to who reads it. */
#include <math.h>

#include "tests/engine/make-graph.h"

/* --- Bounds ---------------------------------------------------------------------------------- */

typedef void (*FindFn) (const EngineGraph *graph, int value, float *lo, float *hi);

static void
check_found (FindFn find, const EngineGraph *graph, int value, float lo, float hi)
{
  float got_lo, got_hi;

  find (graph, value, &got_lo, &got_hi);
  if (got_lo != lo || got_hi != hi)
    CHECK_FAIL ("%s: %g..%g, expected %g..%g", engine_graph_value (graph, value)->name, got_lo, got_hi, lo, hi);
}

static void
check_bounds (const EngineGraph *graph, int value, float lo, float hi)
{
  check_found (engine_graph_bounds, graph, value, lo, hi);
}

static void
test_bounds (void)
{
  g_autoptr (EngineGraph) graph = engine_graph_new ();
  const int x = make_input (graph, "x", DIMS (1, 4, 4, 3));
  const int conv = make_conv (graph, "conv", x, 3, 1, 0);
  const int relu6 = make_unary (graph, "relu6", x, KERNEL_UNARY_CLIP, 0, 6);
  const int low = make_unary (graph, "low", x, KERNEL_UNARY_CLIP, -3, 2);
  const int sigmoid = make_unary (graph, "sigmoid", x, KERNEL_UNARY_SIGMOID, 0, 0);
  int v;

  check_bounds (graph, x, -INFINITY, INFINITY);
  check_bounds (graph, conv, -INFINITY, INFINITY);
  check_bounds (graph, relu6, 0, 6);
  check_bounds (graph, sigmoid, 0, 1);
  check_bounds (graph, make_unary (graph, "silu", x, KERNEL_UNARY_SILU, 0, 0), -0.2784646f,
      INFINITY);
  check_bounds (graph, make_unary (graph, "silu+", relu6, KERNEL_UNARY_SILU, 0, 0), 0, 6);
  check_bounds (graph, make_unary (graph, "swish", low, KERNEL_UNARY_HARD_SWISH, 0, 0), -0.375f, 2);
  check_bounds (graph, make_unary (graph, "leaky", low, KERNEL_UNARY_LEAKY_RELU, 0.5f, 0), -1.5f,
      2);
  check_bounds (graph, make_unary (graph, "odd", low, KERNEL_UNARY_LEAKY_RELU, -1, 0), -INFINITY,
      INFINITY);
  check_bounds (graph, make_binary (graph, ENGINE_OP_ADD, "add", relu6, low), -3, 8);
  check_bounds (graph, make_binary (graph, ENGINE_OP_MUL, "mul", relu6, low), -18, 12);
  check_bounds (graph, make_binary (graph, ENGINE_OP_MUL, "mul2", relu6, x), -INFINITY, INFINITY);
  v = make_binary (graph, ENGINE_OP_ADD, "clamped", relu6, x);
  make_last (graph)->binary.lo = 1;
  check_bounds (graph, v, 1, INFINITY);
  check_bounds (graph, make_concat (graph, "concat", low, sigmoid, 3), -3, 2);
  check_bounds (graph, make_pool (graph, ENGINE_OP_MAXPOOL, "max", v, 2, 2, 0), 1, INFINITY);
  v = make_pool (graph, ENGINE_OP_AVGPOOL, "avg", v, 2, 2, 1);
  check_bounds (graph, v, 1, INFINITY);
  make_last (graph)->pool.include_pad = TRUE;
  check_bounds (graph, v, 0, INFINITY);
  check_bounds (graph, make_pad (graph, "pad", relu6, 1, -2), -2, 6);
  check_bounds (graph, make_slice (graph, "slice", relu6, 3, 0, 1), 0, 6);
  check_bounds (graph, make_softmax (graph, "softmax", low), 0, 1);
  v = make_softmax (graph, "log", low);
  make_last (graph)->softmax.log = TRUE;
  check_bounds (graph, v, -INFINITY, 0);
}

/* Sharing makes 2^60 paths; each node is looked at once. */
static void
test_bounds_of_a_lattice (void)
{
  g_autoptr (EngineGraph) graph = engine_graph_new ();
  int v = make_unary (graph, "a", make_input (graph, "x", DIMS (1, 1)), KERNEL_UNARY_CLIP, -1, 1);

  for (int i = 0; i < 60; i++)
    v = make_binary (graph, ENGINE_OP_MUL, "m", v, v);
  check_bounds (graph, v, -1, 1);
}

/* --- What matters ---------------------------------------------------------------------------- */

static void
check_useful (const EngineGraph *graph, int value, float lo, float hi)
{
  check_found (engine_graph_useful, graph, value, lo, hi);
}

/* Of what only this function reads. */
static void
check_reader (KernelUnary reader, float alpha, float beta, float lo, float hi)
{
  g_autoptr (EngineGraph) graph = engine_graph_new ();
  const int x = make_input (graph, "x", DIMS (1, 4));

  make_output (graph, make_unary (graph, "reader", x, reader, alpha, beta));
  check_useful (graph, x, lo, hi);
}

static void
test_useful_by_reader (void)
{
  check_reader (KERNEL_UNARY_HARD_SWISH, 0, 0, -3, INFINITY);
  check_reader (KERNEL_UNARY_CLIP, -1, 6, -1, 6);
  check_reader (RELU, 0, INFINITY);
  check_reader (KERNEL_UNARY_HARD_SIGMOID, 0.25f, 0.5f, -2, 2);
  check_reader (KERNEL_UNARY_HARD_SIGMOID, -0.25f, 0.5f, -2, 2);
  check_reader (KERNEL_UNARY_HARD_SIGMOID, 0.25f, 2, -8, -4);
  check_reader (KERNEL_UNARY_HARD_SIGMOID, 0, 0.5f, -INFINITY, INFINITY);
  /* never quite constant, and not continuous */
  check_reader (KERNEL_UNARY_SILU, 0, 0, -INFINITY, INFINITY);
  check_reader (KERNEL_UNARY_SIGMOID, 0, 0, -INFINITY, INFINITY);
  check_reader (KERNEL_UNARY_THRESHOLD, 1, 0, -INFINITY, INFINITY);
}

static void
test_useful_by_all_readers (void)
{
  g_autoptr (EngineGraph) graph = engine_graph_new ();
  const int x = make_input (graph, "x", DIMS (1, 4, 4, 3));
  const int a = make_conv (graph, "a", x, 3, 1, 0), b = make_conv (graph, "b", x, 3, 1, 0);
  const int c = make_conv (graph, "c", x, 3, 1, 0), d = make_conv (graph, "d", x, 3, 1, 0);
  const int clip = make_unary (graph, "clip", c, KERNEL_UNARY_CLIP, -8, 2);
  const int pool = make_pool (graph, ENGINE_OP_MAXPOOL, "pool", a, 1, 1, 0);
  const int concat = make_concat (graph, "concat", pool, b, 3);
  const int swish = make_unary (graph, "swish", concat, KERNEL_UNARY_HARD_SWISH, 0, 0);
  const int gate = make_unary (graph, "gate", b, KERNEL_UNARY_HARD_SIGMOID, 0.125f, 0.5f);
  const int of_clip = make_unary (graph, "of_clip", clip, KERNEL_UNARY_HARD_SWISH, 0, 0);
  const int of_d = make_unary (graph, "of_d", d, KERNEL_UNARY_HARD_SWISH, 0, 0);
  const int product = make_binary (graph, ENGINE_OP_MUL, "product", d, of_d);

  make_output (graph, swish);
  make_output (graph, gate);
  make_output (graph, of_clip);
  make_output (graph, product);
  check_useful (graph, a, -3, INFINITY); /* through the pool and the concat */
  check_useful (graph, pool, -3, INFINITY);
  check_useful (graph, concat, -3, INFINITY);
  check_useful (graph, b, -4, INFINITY); /* two readers, and what either sees */
  check_useful (graph, clip, -3, 2);     /* what it can be, of what is seen */
  check_useful (graph, c, -8, 2);
  check_useful (graph, d, -INFINITY, INFINITY); /* the product sees all */
  check_useful (graph, swish, -0.375f, INFINITY);
  make_output (graph, a);
  check_useful (graph, a, -INFINITY, INFINITY);
  check_useful (graph, pool, -3, INFINITY);
}

int
main (void)
{
  RUN (test_bounds);
  RUN (test_bounds_of_a_lattice);
  RUN (test_useful_by_reader);
  RUN (test_useful_by_all_readers);
  return check_done ();
}
