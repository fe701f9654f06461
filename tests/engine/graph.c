/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* graph.c: names, readers, order and shapes. */
#include <math.h>

#include "tests/engine/make-graph.h"

/* --- Names, readers, order -------------------------------------------------------------------- */

static const char *
name_of (const EngineGraph *graph, int value)
{
  return engine_graph_value (graph, value)->name;
}

static void
test_names (void)
{
  g_autoptr (EngineGraph) graph = engine_graph_new ();
  const int a = engine_graph_add_value (graph, "a", ENGINE_TYPE_F32, 0, NULL);
  const int b = engine_graph_add_value (graph, "a", ENGINE_TYPE_F32, 0, NULL);
  const int c = engine_graph_add_value (graph, "a", ENGINE_TYPE_F32, 0, NULL);

  CHECK_STR (name_of (graph, a), "a");
  CHECK_STR (name_of (graph, b), "a#2");
  CHECK_STR (name_of (graph, c), "a#3");
  engine_graph_rename (graph, c, "a");
  CHECK_STR (name_of (graph, c), "a");
  CHECK_STR (name_of (graph, a), "a#4");
  engine_graph_rename (graph, c, name_of (graph, b)); /* the name that is asked for moves */
  CHECK_STR (name_of (graph, c), "a#2");
  CHECK_STR (name_of (graph, b), "a#2#2");
  engine_graph_rename (graph, c, "a#2");
  CHECK_STR (name_of (graph, c), "a#2");
  engine_graph_rename (graph, b, "new");
  CHECK_STR (name_of (graph, b), "new");
}

static void
test_readers (void)
{
  g_autoptr (EngineGraph) graph = engine_graph_new ();
  const int x = make_input (graph, "x", DIMS (1, 2, 2, 3));
  const int a = make_unary (graph, "a", x, RELU);
  const int b = make_binary (graph, ENGINE_OP_ADD, "b", a, a);
  const int c = make_binary (graph, ENGINE_OP_MUL, "c", b, x);

  make_output (graph, c);
  CHECK_INT (engine_graph_n_consumers (graph, x), ==, 2);
  CHECK_INT (engine_graph_n_consumers (graph, a), ==, 1); /* one node, twice */
  CHECK_INT (engine_graph_n_consumers (graph, c), ==, 0);
  CHECK (engine_graph_sole_consumer (graph, x) == NULL);
  CHECK (engine_graph_sole_consumer (graph, a) == engine_graph_node (graph, 1));
  CHECK (engine_graph_sole_consumer (graph, c) == NULL);
  CHECK (engine_graph_is_output (graph, c) && !engine_graph_is_output (graph, b));
  make_output (graph, b);
  CHECK (engine_graph_sole_consumer (graph, b) == NULL);
  engine_graph_replace (graph, b, a);
  CHECK_INT (engine_graph_n_consumers (graph, b), ==, 0);
  CHECK (engine_graph_is_output (graph, a) && !engine_graph_is_output (graph, b));
}

/* Nodes added out of order are sorted, the others keep theirs; what is not needed goes. */
static void
test_compact (void)
{
  g_autoptr (EngineGraph) graph = engine_graph_new ();
  const int x = make_input (graph, "x", DIMS (1, 2, 2, 3));
  const int early = make_unary (graph, "early", x, RELU);
  const int a = make_unary (graph, "a", x, RELU);
  const int dead = make_conv (graph, "dead", a, 4, 1, 0);
  const int b = make_conv (graph, "b", a, 4, 1, 0);
  const int late = make_unary (graph, "late", x, KERNEL_UNARY_SIGMOID, 0, 0);

  engine_graph_node (graph, 0)->inputs[0] = late;
  make_output (graph, b);
  make_output (graph, early);
  CHECK_INT (dead, !=, b);
  engine_graph_compact (graph);
  CHECK_DUMP (graph, "x = input f32 [1 2 2 3]\n"
                     "late = unary (x) sigmoid f32 [1 2 2 3]\n"
                     "early = unary (late) clip 0..inf f32 [1 2 2 3]\n"
                     "a = unary (x) clip 0..inf f32 [1 2 2 3]\n"
                     "b = conv (a, w [4 1 1 3], b [4]) f32 [1 2 2 4]\n"
                     "output b\noutput early\n");
  CHECK (engine_graph_verify (graph, "compact", NULL));
  CHECK_INT (graph->values->len, ==, 7);
  CHECK (!g_hash_table_contains (graph->names, "dead"));
  engine_graph_compact (graph);
  CHECK_INT (graph->values->len, ==, 7);
}

static void
test_copy (void)
{
  g_autoptr (EngineGraph) graph = engine_graph_new (), copy = NULL;
  g_autofree char *before = NULL;
  const int x = make_input (graph, "x", DIMS (1, 2, 2, 3));

  make_output (graph, make_conv (graph, "a", x, 4, 1, 0));
  before = engine_graph_dump (graph);
  copy = engine_graph_copy (graph);
  CHECK_DUMP (copy, before);
  CHECK (engine_graph_verify (copy, "copy", NULL));
  CHECK (engine_graph_value (copy, 1)->data == engine_graph_value (graph, 1)->data);
  engine_graph_node (copy, 0)->inputs[ENGINE_CONV_B] = ENGINE_NONE;
  engine_graph_rename (copy, 0, "y");
  CHECK_DUMP (graph, before);
}

/* A chain that would overflow the stack of anything recursive. */
static void
test_long_chain (void)
{
  g_autoptr (EngineGraph) graph = engine_graph_new ();
  int v = make_input (graph, "x", DIMS (1, 1));
  float lo, hi;

  for (int i = 0; i < 20000; i++) {
    g_autofree char *name = g_strdup_printf ("a%d", i);

    v = make_unary (graph, name, v, RELU);
  }
  make_output (graph, v);
  engine_graph_compact (graph);
  engine_graph_bounds (graph, engine_graph_node (graph, 19999)->output, &lo, &hi);
  CHECK (lo == 0 && hi == INFINITY);
}

/* --- Shapes ---------------------------------------------------------------------------------- */

static void
check_dims (const EngineGraph *graph, int value, const int *dims, int rank)
{
  const EngineValue *v = engine_graph_value (graph, value);

  CHECK_INT (v->rank, ==, rank);
  for (int i = 0; i < rank; i++)
    CHECK_INT (v->dims[i], ==, dims[i]);
}

static void
test_shapes (void)
{
  g_autoptr (EngineGraph) graph = engine_graph_new ();
  const int x = make_input (graph, "x", DIMS (2, 7, 6, 4));
  const int row = make_reshape (graph, "row", x, DIMS (2, 42, 4));
  EngineNode *node;
  int v;

  v = make_conv (graph, "conv", x, 5, 3, 1);
  check_dims (graph, v, DIMS (2, 7, 6, 5));
  check_dims (graph, make_conv (graph, "conv1d", row, 5, 3, 1), DIMS (2, 42, 5));
  check_dims (graph, make_pool (graph, ENGINE_OP_MAXPOOL, "pool", x, 3, 2, 1), DIMS (2, 4, 3, 4));
  node = make_node (graph, ENGINE_OP_AVGPOOL, "flat", x);
  node->pool.kh = 7;
  node->pool.kw = 6;
  engine_graph_value (graph, node->output)->rank = 2;
  check_dims (graph, make_infer (graph), DIMS (2, 4));
  node = make_node (graph, ENGINE_OP_AVGPOOL, "not flat", x);
  node->pool.kh = 6;
  node->pool.kw = 6;
  engine_graph_value (graph, node->output)->rank = 2; /* two pixels: rank 2 cannot be kept */
  check_dims (graph, make_infer (graph), DIMS (2, 2, 1, 4));
  check_dims (graph, make_concat (graph, "concat", x, v, 3), DIMS (2, 7, 6, 9));
  check_dims (graph, make_slice (graph, "slice", x, 2, 1, 3), DIMS (2, 7, 3, 4));
  check_dims (graph, make_transpose (graph, "t", x, DIMS (0, 3, 1, 2)), DIMS (2, 4, 7, 6));
  check_dims (graph, make_pad (graph, "pad", x, 2, 0), DIMS (2, 11, 10, 4));
  v = make_node (graph, ENGINE_OP_QUANTISE, "q", x)->output;
  make_infer (graph);
  CHECK_INT (engine_graph_value (graph, v)->type, ==, ENGINE_TYPE_S8);
}

/* The last window must begin inside the input or the padding before it. */
static void
test_ceil_mode (void)
{
  static const struct {
    int in, k, stride, before, after, floor, ceil;
  } cases[] = {{6, 3, 2, 0, 0, 2, 3}, {7, 3, 2, 0, 0, 3, 3}, {6, 2, 3, 1, 1, 3, 3},
      {5, 2, 3, 1, 1, 2, 2}, {4, 2, 5, 0, 0, 1, 1}, {6, 2, 5, 0, 0, 1, 2}, {2, 1, 3, 0, 2, 2, 2}};

  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++)
    for (int ceil_mode = 0; ceil_mode < 2; ceil_mode++) {
      g_autoptr (EngineGraph) graph = engine_graph_new ();
      const int x = make_input (graph, "x", DIMS (1, cases[i].in, 1, 1));
      EngineNode *node = make_node (graph, ENGINE_OP_MAXPOOL, "pool", x);

      node->pool.kh = cases[i].k;
      node->pool.stride_h = cases[i].stride;
      node->pool.pad_top = cases[i].before;
      node->pool.pad_bottom = cases[i].after;
      node->pool.ceil_mode = ceil_mode;
      check_dims (graph, make_infer (graph),
          DIMS (1, ceil_mode ? cases[i].ceil : cases[i].floor, 1, 1));
    }
}

static void
test_shape_errors (void)
{
  g_autoptr (EngineGraph) graph = engine_graph_new ();
  const int x = make_input (graph, "x", DIMS (1, 1 << 12, 1 << 12, 4));
  g_autoptr (GError) error = NULL;
  EngineNode *node;

  node = make_node (graph, ENGINE_OP_MAXPOOL, "pool", x);
  node->pool.kh = 5000;
  CHECK (!engine_graph_infer_shape (graph, node, &error));
  CHECK (g_error_matches (error, ENGINE_ERROR, ENGINE_ERROR_MODEL));
  CHECK_STR (error->message,
      "node \"pool\" (maxpool): height: the window reaches over 5000 pixels, the padded input has "
      "4096");
  g_clear_error (&error);
  node = make_node (graph, ENGINE_OP_PAD, "pad", x);
  node->pad.after[1] = 1 << 25;
  CHECK (!engine_graph_infer_shape (graph, node, &error));
  CHECK_STR (error->message, "node \"pad\" (pad): axis 1 of the output has size 33558528; 1 to "
                             "16777216 is possible");
  g_clear_error (&error);
  node = make_node (graph, ENGINE_OP_PAD, "pad2", x);
  node->pad.after[3] = 1 << 20;
  CHECK (!engine_graph_infer_shape (graph, node, &error));
  CHECK_STR (error->message, "node \"pad2\" (pad): the output has more than 2147483648 elements");
}

int
main (void)
{
  RUN (test_names);
  RUN (test_readers);
  RUN (test_compact);
  RUN (test_copy);
  RUN (test_long_chain);
  RUN (test_shapes);
  RUN (test_ceil_mode);
  RUN (test_shape_errors);
  return check_done ();
}
