/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* pass-fold.c: chains of reshapes and transposes, and nodes that change nothing. */
#include <math.h>

#include "tests/engine/make-graph.h"

static void
test_back_and_forth (void)
{
  g_autoptr (EngineGraph) graph = engine_graph_new ();
  int v = make_input (graph, "x", DIMS (1, 4, 5, 3));

  v = make_conv (graph, "a", v, 6, 1, 0);
  v = make_transpose (graph, "t1", v, DIMS (0, 3, 1, 2));
  v = make_transpose (graph, "t2", v, DIMS (0, 2, 3, 1));
  v = make_conv (graph, "b", v, 2, 1, 0);
  make_output (graph, v);
  make_run_pass (graph, engine_pass_fold);
  CHECK_DUMP (graph, "x = input f32 [1 4 5 3]\n"
                     "a = conv (x, w [6 1 1 3], b [6]) f32 [1 4 5 6]\n"
                     "b = conv (a, w [2 1 1 6], b [2]) f32 [1 4 5 2]\n"
                     "output b\n");
}

static void
test_transposes_merge (void)
{
  g_autoptr (EngineGraph) graph = engine_graph_new ();
  int v = make_input (graph, "x", DIMS (1, 4, 5, 3));

  v = make_transpose (graph, "t1", v, DIMS (0, 2, 3, 1));
  v = make_transpose (graph, "t2", v, DIMS (0, 1, 3, 2));
  make_output (graph, v);
  make_run_pass (graph, engine_pass_fold);
  CHECK_DUMP (graph, "x = input f32 [1 4 5 3]\n"
                     "t2 = transpose (x) perm [0 2 1 3] f32 [1 5 4 3]\n"
                     "output t2\n");
}

/* Only axes of size 1 move: the bytes stay where they are. */
static void
test_transpose_of_ones (void)
{
  g_autoptr (EngineGraph) graph = engine_graph_new ();
  int v = make_input (graph, "x", DIMS (1, 4, 4, 3));

  v = make_pool (graph, ENGINE_OP_AVGPOOL, "pool", v, 4, 1, 0);
  v = make_transpose (graph, "t", v, DIMS (0, 3, 1, 2));
  v = make_reshape (graph, "r", v, DIMS (1, 3));
  v = make_softmax (graph, "prob", v);
  make_output (graph, v);
  make_run_pass (graph, engine_pass_fold);
  CHECK_DUMP (graph, "x = input f32 [1 4 4 3]\n"
                     "pool = avgpool (x) 4x4 f32 [1 1 1 3]\n"
                     "r = reshape (pool) f32 [1 3]\n"
                     "prob = softmax (r) f32 [1 3]\n"
                     "output prob\n");
}

/* ShuffleNet's shuffle of channels, as ONNX writes it in NCHW. */
static void
test_channel_shuffle (void)
{
  g_autoptr (EngineGraph) graph = engine_graph_new ();
  int v = make_input (graph, "x", DIMS (1, 7, 5, 3));

  v = make_conv (graph, "a", v, 12, 1, 0);
  v = make_transpose (graph, "nchw", v, DIMS (0, 3, 1, 2));
  v = make_reshape (graph, "r1", v, DIMS (1, 2, 6, 7, 5));
  v = make_transpose (graph, "t", v, DIMS (0, 2, 1, 3, 4));
  v = make_reshape (graph, "r2", v, DIMS (1, 12, 7, 5));
  v = make_transpose (graph, "nhwc", v, DIMS (0, 2, 3, 1));
  v = make_conv (graph, "b", v, 2, 1, 0);
  make_output (graph, v);
  make_run_pass (graph, engine_pass_fold);
  CHECK_DUMP (graph, "x = input f32 [1 7 5 3]\n"
                     "a = conv (x, w [12 1 1 3], b [12]) f32 [1 7 5 12]\n"
                     "nhwc#2 = reshape (a) f32 [35 2 6]\n"
                     "nhwc#3 = transpose (nhwc#2) perm [0 2 1] f32 [35 6 2]\n"
                     "nhwc = reshape (nhwc#3) f32 [1 7 5 12]\n"
                     "b = conv (nhwc, w [2 1 1 12], b [2]) f32 [1 7 5 2]\n"
                     "output b\n");
}

static void
test_reshapes (void)
{
  g_autoptr (EngineGraph) graph = engine_graph_new ();
  int v = make_input (graph, "x", DIMS (1, 4, 6));

  v = make_reshape (graph, "same", v, DIMS (1, 4, 6));
  v = make_unary (graph, "relu", v, KERNEL_UNARY_CLIP, 0, INFINITY);
  v = make_reshape (graph, "r1", v, DIMS (1, 6, 4));
  v = make_reshape (graph, "r2", v, DIMS (1, 3, 8));
  v = make_unary (graph, "sigmoid", v, KERNEL_UNARY_SIGMOID, 0, 0);
  make_output (graph, v);
  make_run_pass (graph, engine_pass_fold);
  CHECK_DUMP (graph, "x = input f32 [1 4 6]\n"
                     "relu = unary (x) clip 0..inf f32 [1 4 6]\n"
                     "r2 = reshape (relu) f32 [1 3 8]\n"
                     "sigmoid = unary (r2) sigmoid f32 [1 3 8]\n"
                     "output sigmoid\n");
}

/* Where axes do not divide each other, nothing may be assumed. */
static void
test_axes_that_do_not_divide (void)
{
  g_autoptr (EngineGraph) graph = engine_graph_new ();
  int v = make_input (graph, "x", DIMS (1, 4, 6));
  g_autofree char *before = NULL;

  v = make_transpose (graph, "t1", v, DIMS (0, 2, 1));
  v = make_reshape (graph, "r", v, DIMS (1, 8, 3));
  v = make_transpose (graph, "t2", v, DIMS (0, 2, 1));
  make_output (graph, v);
  before = engine_graph_dump (graph);
  make_run_pass (graph, engine_pass_fold);
  CHECK_DUMP (graph, before);
}

/* A transpose that someone else reads is not done twice; a reshape costs nothing. */
static void
test_shared_chains (void)
{
  g_autoptr (EngineGraph) graph = engine_graph_new ();
  const int x = make_input (graph, "x", DIMS (1, 4, 6));
  const int t = make_transpose (graph, "t", x, DIMS (0, 2, 1));
  const int u = make_transpose (graph, "u", make_reshape (graph, "r", t, DIMS (1, 6, 2, 2)),
      DIMS (0, 1, 3, 2));
  const int back = make_transpose (graph, "back", t, DIMS (0, 2, 1));

  make_output (graph, make_unary (graph, "y0", t, KERNEL_UNARY_SIGMOID, 0, 0));
  make_output (graph, make_unary (graph, "y1", u, KERNEL_UNARY_SIGMOID, 0, 0));
  make_output (graph, make_unary (graph, "y2", back, KERNEL_UNARY_SIGMOID, 0, 0));
  make_run_pass (graph, engine_pass_fold);
  CHECK_DUMP (graph, "x = input f32 [1 4 6]\n"
                     "t = transpose (x) perm [0 2 1] f32 [1 6 4]\n"
                     "r = reshape (t) f32 [1 6 2 2]\n"
                     "u = transpose (r) perm [0 1 3 2] f32 [1 6 2 2]\n"
                     "y0 = unary (t) sigmoid f32 [1 6 4]\n"
                     "y1 = unary (u) sigmoid f32 [1 6 2 2]\n"
                     "y2 = unary (x) sigmoid f32 [1 4 6]\n"
                     "output y0\noutput y1\noutput y2\n");
}

/* Images of a batch may share axis 0 with something else, but never leave it. */
static void
test_batch_axis (void)
{
  g_autoptr (EngineGraph) graph = engine_graph_new ();
  int v = make_input (graph, "x", DIMS (1, 8, 6));

  v = make_reshape (graph, "r1", v, DIMS (8, 6));
  v = make_reshape (graph, "r2", v, DIMS (8, 2, 3));
  v = make_transpose (graph, "t1", v, DIMS (0, 2, 1));
  v = make_transpose (graph, "t2", v, DIMS (0, 2, 1));
  v = make_transpose (graph, "t3", v, DIMS (0, 2, 1));
  v = make_reshape (graph, "r3", v, DIMS (1, 48));
  make_output (graph, v);
  make_run_pass (graph, engine_pass_fold);
  CHECK_DUMP (graph, "x = input f32 [1 8 6]\n"
                     "t2 = reshape (x) f32 [8 2 3]\n"
                     "t3 = transpose (t2) perm [0 2 1] f32 [8 3 2]\n"
                     "r3 = reshape (t3) f32 [1 48]\n"
                     "output r3\n");
}

static void
test_no_ops (void)
{
  g_autoptr (EngineGraph) graph = engine_graph_new ();
  int v = make_input (graph, "x", DIMS (1, 4, 5, 3));

  v = make_conv (graph, "a", v, 2, 1, 0);
  v = make_unary (graph, "clip", v, KERNEL_UNARY_CLIP, -INFINITY, INFINITY);
  v = make_pad (graph, "pad", v, 0, 0);
  v = make_slice (graph, "slice", v, 3, 0, 2);
  engine_graph_add_node (graph, ENGINE_OP_CONCAT, "concat", &v, 1, "concat")->concat.axis = 3;
  make_output (graph, make_infer (graph));
  make_run_pass (graph, engine_pass_fold);
  CHECK_DUMP (graph, "x = input f32 [1 4 5 3]\n"
                     "concat = conv (x, w [2 1 1 3], b [2]) f32 [1 4 5 2]\n"
                     "output concat\n");
}

/* One value cannot have the names of two outputs, nor of the input and an output. */
static void
test_outputs_keep_their_names (void)
{
  g_autoptr (EngineGraph) graph = engine_graph_new ();
  const int x = make_input (graph, "x", DIMS (1, 3));
  const int y = make_unary (graph, "y", x, KERNEL_UNARY_SIGMOID, 0, 0);

  make_output (graph, y);
  make_output (graph, make_reshape (graph, "z", y, DIMS (1, 3)));
  make_output (graph, make_reshape (graph, "w", x, DIMS (1, 3)));
  make_run_pass (graph, engine_pass_fold);
  CHECK_DUMP (graph, "x = input f32 [1 3]\n"
                     "y = unary (x) sigmoid f32 [1 3]\n"
                     "z = reshape (y) f32 [1 3]\n"
                     "w = reshape (x) f32 [1 3]\n"
                     "output y\noutput z\noutput w\n");
}

static void
test_dead_nodes (void)
{
  g_autoptr (EngineGraph) graph = engine_graph_new ();
  const int x = make_input (graph, "x", DIMS (1, 2, 2, 3));
  const int a = make_conv (graph, "a", x, 2, 1, 0);

  make_conv (graph, "dead", a, 2, 1, 0);
  make_output (graph, a);
  make_run_pass (graph, engine_pass_fold);
  CHECK_DUMP (graph, "x = input f32 [1 2 2 3]\n"
                     "a = conv (x, w [2 1 1 3], b [2]) f32 [1 2 2 2]\n"
                     "output a\n");
}

int
main (void)
{
  RUN (test_back_and_forth);
  RUN (test_transposes_merge);
  RUN (test_transpose_of_ones);
  RUN (test_channel_shuffle);
  RUN (test_reshapes);
  RUN (test_axes_that_do_not_divide);
  RUN (test_shared_chains);
  RUN (test_batch_axis);
  RUN (test_no_ops);
  RUN (test_outputs_keep_their_names);
  RUN (test_dead_nodes);
  return check_done ();
}
