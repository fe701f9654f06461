/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* verify.c: everything that the verifier must find in a graph, and a graph that INT8_DUMP_PASS prints. */
#include <math.h>

#include "tests/engine/make-graph.h"

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
break_residual (const Sound *s)
{
  node_of (s, s->conv)->inputs[ENGINE_CONV_R] = s->x; /* three channels for four */
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
      {break_residual, "node \"conv\" (conv): residual and output differ in shape"},
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
  RUN (test_verifier);
  RUN (test_dump_pass);
  return check_done ();
}
