/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* graph.c: names, readers, order, shapes and bounds; and everything the verifier must find. */
#include <math.h>

#include "tests/engine/make-graph.h"

#define RELU KERNEL_UNARY_CLIP, 0, INFINITY

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

/* --- Bounds ---------------------------------------------------------------------------------- */

typedef void (*FindFn) (const EngineGraph *graph, int value, float *lo, float *hi);

static void
check_found (FindFn find, const EngineGraph *graph, int value, float lo, float hi)
{
  float got_lo, got_hi;

  find (graph, value, &got_lo, &got_hi);
  if (got_lo != lo || got_hi != hi)
    CHECK_FAIL ("%s: %g..%g, expected %g..%g", name_of (graph, value), got_lo, got_hi, lo, hi);
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

/* --- Verifier -------------------------------------------------------------------------------- */

typedef struct {
  EngineGraph *graph;
  int x, conv, relu, pool, concat, prob;
} Sound;

/* One of most things, all of it right. */
static Sound
sound_graph (void)
{
  Sound s = {.graph = engine_graph_new ()};
  int v;

  s.x = make_input (s.graph, "x", DIMS (1, 4, 4, 3));
  s.conv = make_conv (s.graph, "conv", s.x, 4, 3, 1);
  s.relu = make_unary (s.graph, "relu", s.conv, RELU);
  s.pool = make_pool (s.graph, ENGINE_OP_MAXPOOL, "pool", s.relu, 2, 2, 0);
  s.concat = make_concat (s.graph, "concat", s.pool, s.pool, 3);
  v = make_transpose (s.graph, "t", s.concat, DIMS (0, 3, 1, 2));
  v = make_reshape (s.graph, "flat", v, DIMS (1, 32));
  s.prob = make_softmax (s.graph, "prob", v);
  make_output (s.graph, s.prob);
  return s;
}

static EngineNode *
node_of (const Sound *s, int value)
{
  return engine_graph_node (s->graph, engine_graph_value (s->graph, value)->producer);
}

static void
break_order (const Sound *s)
{
  node_of (s, s->conv)->inputs[0] = s->pool;
}

static void
break_index (const Sound *s)
{
  node_of (s, s->relu)->inputs[0] = 1000;
}

static void
break_producer (const Sound *s)
{
  engine_graph_value (s->graph, s->relu)->producer = 0;
}

static void
break_name (const Sound *s)
{
  EngineValue *value = engine_graph_value (s->graph, s->relu);

  g_hash_table_remove (s->graph->names, value->name);
  g_free (value->name);
  value->name = g_strdup ("conv");
}

static void
break_dims (const Sound *s)
{
  engine_graph_value (s->graph, s->pool)->dims[1] = 3;
}

static void
break_zero_dim (const Sound *s)
{
  engine_graph_value (s->graph, s->x)->dims[1] = 0;
}

static void
break_elements (const Sound *s)
{
  engine_graph_value (s->graph, s->x)->dims[1] = 1 << 24;
  engine_graph_value (s->graph, s->x)->dims[2] = 1 << 24;
}

static void
break_constant_size (const Sound *s)
{
  engine_graph_value (s->graph, node_of (s, s->conv)->inputs[ENGINE_CONV_W])->dims[0] = 5;
}

static void
break_constant_operand (const Sound *s)
{
  node_of (s, s->relu)->inputs[0] = node_of (s, s->conv)->inputs[ENGINE_CONV_W];
}

static void
break_activation_operand (const Sound *s)
{
  node_of (s, s->conv)->inputs[ENGINE_CONV_W] = s->x;
}

static void
break_arity (const Sound *s)
{
  node_of (s, s->pool)->n_inputs = 0;
}

static void
break_op (const Sound *s)
{
  node_of (s, s->pool)->op = ENGINE_OP_COUNT;
}

static void
break_type (const Sound *s)
{
  engine_graph_value (s->graph, s->relu)->type = ENGINE_TYPE_S8;
  engine_graph_value (s->graph, s->relu)->quant.scale = 1;
}

static void
break_scale (const Sound *s)
{
  engine_graph_value (s->graph, s->relu)->type = ENGINE_TYPE_S8;
}

static void
break_clamp (const Sound *s)
{
  node_of (s, s->conv)->conv.lo = NAN;
}

static void
break_empty_clamp (const Sound *s)
{
  node_of (s, s->relu)->unary.alpha = 2;
  node_of (s, s->relu)->unary.beta = 1;
}

static void
break_function (const Sound *s)
{
  node_of (s, s->relu)->unary.kind = KERNEL_UNARY_COUNT;
}

static void
break_output (const Sound *s)
{
  g_array_index (s->graph->outputs, int, 0) = s->x;
}

static void
break_no_output (const Sound *s)
{
  g_array_set_size (s->graph->outputs, 0);
}

static void
break_two_inputs (const Sound *s)
{
  g_array_append_val (s->graph->inputs, s->x);
}

static void
break_stray (const Sound *s)
{
  const int stray =
      engine_graph_add_value (s->graph, "stray", ENGINE_TYPE_F32, 4, (int[]){1, 4, 4, 4});

  node_of (s, s->relu)->inputs[0] = stray;
}

static void
break_m (const Sound *s)
{
  EngineNode *conv = node_of (s, s->conv);

  conv->inputs[ENGINE_CONV_M] = conv->inputs[ENGINE_CONV_B];
}

static void
break_bias (const Sound *s)
{
  EngineValue *bias = engine_graph_value (s->graph, node_of (s, s->conv)->inputs[ENGINE_CONV_B]);

  bias->rank = 2;
  bias->dims[0] = bias->dims[1] = 2;
}

static void
test_verifier (void)
{
  static const struct {
    void (*break_it) (const Sound *s);
    const char *message;
  } cases[] = {
      {break_order, "node \"conv\" (conv): input 0 (\"pool\") is computed later"},
      {break_index, "node \"relu\" (unary): input 0: value 1000 does not exist"},
      {break_producer, "node \"relu\" (unary): output "},
      {break_name, "the name is not unique"},
      {break_dims, "node \"pool\" (maxpool): its output does not have the shape"},
      {break_zero_dim, "value \"x\": axis 1 has size 0"},
      {break_elements, "value \"x\": more than 2147483648 elements"},
      {break_constant_size, "constant \"conv.w\": 432 bytes where its dims need 540"},
      {break_constant_operand, "node \"relu\" (unary): input 0 (\"conv.w\") is a constant"},
      {break_activation_operand, "node \"conv\" (conv): input 1 (\"x\") is not a constant"},
      {break_arity, "node \"pool\" (maxpool): 0 inputs; 1 to 1 are possible"},
      {break_op, "node \"pool\": op "},
      {break_type, "node \"relu\" (unary): the types"},
      {break_scale, "value \"relu\": scale 0, zero 0"},
      {break_clamp, "node \"conv\" (conv): clamp nan..inf"},
      {break_empty_clamp, "node \"relu\" (unary): parameters 2 and 1"},
      {break_function, "node \"relu\" (unary): function "},
      {break_output, "output \"x\" is not computed by any node"},
      {break_no_output, "no output"},
      {break_two_inputs, "2 inputs; one image is needed"},
      {break_stray, "input 0 (\"stray\") is not computed by any node"},
      {break_m, "node \"conv\" (conv): int8 needs both m and b, float takes no m"},
      {break_bias, "node \"conv\" (conv): b is not float [4]"},
  };
  Sound sound = sound_graph ();

  CHECK (engine_graph_verify (sound.graph, "making", NULL));
  engine_graph_free (sound.graph);
  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++) {
    const Sound s = sound_graph ();
    g_autoptr (GError) error = NULL;

    cases[i].break_it (&s);
    CHECK (!engine_graph_verify (s.graph, "breaking", &error));
    if (!g_error_matches (error, ENGINE_ERROR, ENGINE_ERROR_MODEL) ||
        !g_str_has_prefix (error->message, "after breaking: ") ||
        !strstr (error->message, cases[i].message))
      CHECK_FAIL ("%s\n--- expected\n%s", error->message, cases[i].message);
    engine_graph_free (s.graph);
  }
}

/* --- Passes ---------------------------------------------------------------------------------- */

static GString *printed;

static void
remember (const char *text)
{
  g_string_append (printed, text);
}

static void
test_dump_pass (void)
{
  const Sound s = sound_graph ();
  g_autoptr (GError) error = NULL;
  GPrintFunc before;

  printed = g_string_new (NULL);
  g_setenv ("INT8_DUMP_PASS", "fuse-clamp", TRUE);
  before = g_set_printerr_handler (remember);
  CHECK (engine_passes_float (s.graph, &error));
  g_set_printerr_handler (before);
  g_unsetenv ("INT8_DUMP_PASS");
  CHECK_STR (printed->str, "# after fuse-clamp\n"
                           "x = input f32 [1 4 4 3]\n"
                           "relu = conv (x, w [4 3 3 3], b [4]) pad 1,1,1,1 clamp 0..inf f32 "
                           "[1 4 4 4]\n"
                           "pool = maxpool (relu) 2x2 stride 2x2 f32 [1 2 2 4]\n"
                           "concat = concat (pool, pool) axis 3 f32 [1 2 2 8]\n"
                           "t = transpose (concat) perm [0 3 1 2] f32 [1 8 2 2]\n"
                           "flat = reshape (t) f32 [1 32]\n"
                           "prob = softmax (flat) f32 [1 32]\n"
                           "output prob\n");
  g_string_free (printed, TRUE);
  engine_graph_free (s.graph);
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
  RUN (test_bounds);
  RUN (test_bounds_of_a_lattice);
  RUN (test_useful_by_reader);
  RUN (test_useful_by_all_readers);
  RUN (test_verifier);
  RUN (test_dump_pass);
  return check_done ();
}
