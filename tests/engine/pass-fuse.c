/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The passes that fuse: text after each, constants where they are computed, and what must not fuse.
 */
#include <math.h>

#include "tests/comma.h"
#include "tests/engine/make-graph.h"

/* --- fuse-affine ---------------------------------------------------------------------------- */

static void
test_affine_into_conv (void)
{
  g_autoptr (EngineGraph) graph = engine_graph_new ();
  int v = make_input (graph, "x", DIMS (1, 4, 4, 2));
  const EngineNode *conv;

  v = make_conv (graph, "conv", v, 2, 1, 0); /* w 1 2 | 3 4, b 0.5 1.5 */
  v = make_affine (graph, "bn1", v, 2, 1, 10, 1);
  v = make_affine (graph, "bn2", v, 0.5f, 0, 1, 0);
  make_output (graph, v);
  make_run_pass (graph, engine_pass_fuse_affine);
  CHECK_DUMP (graph, "x = input f32 [1 4 4 2]\n"
                     "bn2 = conv (x, w [2 1 1 2], b [2]) f32 [1 4 4 2]\n"
                     "output bn2\n");
  conv = engine_graph_node (graph, 0);
  make_check_floats (graph, conv->inputs[ENGINE_CONV_W],
      (float[]){1 * 1, 2 * 1, 3 * 1.5f, 4 * 1.5f}, 4);
  /* ((b * s1) + t1) * s2 + t2 */
  make_check_floats (graph, conv->inputs[ENGINE_CONV_B],
      (float[]){(0.5f * 2 + 10) * 0.5f + 1, (1.5f * 3 + 11) * 0.5f + 1}, 2);
}

static void
test_affine_becomes_bias (void)
{
  g_autoptr (EngineGraph) graph = engine_graph_new ();
  int v = make_input (graph, "x", DIMS (1, 3));

  v = make_conv (graph, "matmul", v, 2, 1, 0);
  make_last (graph)->inputs[ENGINE_CONV_B] = ENGINE_NONE;
  v = make_affine (graph, "add", v, 1, 0, 7, 1);
  make_output (graph, v);
  make_run_pass (graph, engine_pass_fuse_affine);
  CHECK_DUMP (graph, "x = input f32 [1 3]\n"
                     "add = conv (x, w [2 1 1 3], b [2]) f32 [1 2]\n"
                     "output add\n");
  make_check_floats (graph, engine_graph_node (graph, 0)->inputs[ENGINE_CONV_B], (float[]){7, 8},
      2);
}

static void
test_affine_alone (void)
{
  g_autoptr (EngineGraph) graph = engine_graph_new ();
  int v = make_input (graph, "x", DIMS (1, 4, 4, 2));

  v = make_affine (graph, "scale", v, 2, 1, 10, 1);
  v = make_unary (graph, "relu", v, RELU);
  make_output (graph, v);
  make_run_pass (graph, engine_pass_fuse_affine);
  CHECK_DUMP (graph, "x = input f32 [1 4 4 2]\n"
                     "scale = conv (x, w [2 1 1 1], b [2]) groups 2 f32 [1 4 4 2]\n"
                     "relu = unary (scale) clip 0..inf f32 [1 4 4 2]\n"
                     "output relu\n");
  make_check_floats (graph, engine_graph_node (graph, 0)->inputs[ENGINE_CONV_W], (float[]){2, 3},
      2);
  make_check_floats (graph, engine_graph_node (graph, 0)->inputs[ENGINE_CONV_B], (float[]){10, 11},
      2);
}

/* Someone else needs the convolution as it is. */
static void
test_affine_of_shared_conv (void)
{
  g_autoptr (EngineGraph) graph = engine_graph_new ();
  const int x = make_input (graph, "x", DIMS (1, 4, 4, 2));
  const int conv = make_conv (graph, "conv", x, 2, 1, 0);

  make_output (graph, make_affine (graph, "bn", conv, 2, 1, 10, 1));
  make_output (graph, make_unary (graph, "y", conv, RELU));
  make_run_pass (graph, engine_pass_fuse_affine);
  CHECK_DUMP (graph, "x = input f32 [1 4 4 2]\n"
                     "conv = conv (x, w [2 1 1 2], b [2]) f32 [1 4 4 2]\n"
                     "bn = conv (conv, w [2 1 1 1], b [2]) groups 2 f32 [1 4 4 2]\n"
                     "y = unary (conv) clip 0..inf f32 [1 4 4 2]\n"
                     "output bn\noutput y\n");
}

static void
test_affine_identity (void)
{
  g_autoptr (EngineGraph) graph = engine_graph_new ();
  int v = make_input (graph, "x", DIMS (1, 4, 4, 2));

  v = make_pool (graph, ENGINE_OP_MAXPOOL, "pool", v, 2, 2, 0);
  v = make_affine (graph, "times1", v, 1, 0, 0, 0);
  v = make_unary (graph, "relu", v, RELU);
  make_output (graph, v);
  make_run_pass (graph, engine_pass_fuse_affine);
  CHECK_DUMP (graph, "x = input f32 [1 4 4 2]\n"
                     "times1 = maxpool (x) 2x2 stride 2x2 f32 [1 2 2 2]\n"
                     "relu = unary (times1) clip 0..inf f32 [1 2 2 2]\n"
                     "output relu\n");
}

static void
test_affine_of_rank_5 (void)
{
  g_autoptr (EngineGraph) graph = engine_graph_new ();
  g_autoptr (GError) error = NULL;
  int v = make_input (graph, "x", DIMS (1, 2, 2, 2, 3));

  make_output (graph, make_affine (graph, "bn", v, 2, 1, 10, 1));
  CHECK (!engine_pass_fuse_affine (graph, NULL, &error));
  CHECK (g_error_matches (error, ENGINE_ERROR, ENGINE_ERROR_UNSUPPORTED));
  CHECK_STR (error->message,
      "node \"bn\": scale and shift of a tensor of rank 5; 2 to 4 can be done");
}

/* --- fuse-hard-sigmoid, fuse-silu ------------------------------------------------------------ */

/* x * clip (x + 3, 0, 6) / 6 */
static void
test_hard_swish (void)
{
  g_autoptr (EngineGraph) graph = engine_graph_new ();
  const int x = make_input (graph, "x", DIMS (1, 4, 4, 2));
  int v = make_affine (graph, "plus3", x, 1, 0, 3, 0);

  v = make_unary (graph, "clip", v, KERNEL_UNARY_CLIP, 0, 6);
  v = make_binary (graph, ENGINE_OP_MUL, "mul", x, v);
  v = make_affine (graph, "div6", v, 1.0f / 6, 0, 0, 0);
  make_output (graph, make_pool (graph, ENGINE_OP_MAXPOOL, "pool", v, 2, 2, 0));
  make_run_pass (graph, engine_pass_fuse_hard_sigmoid);
  CHECK_DUMP (graph, "x = input f32 [1 4 4 2]\n"
                     "clip/6 = unary (x) hard-sigmoid 0.166666672 0.5 f32 [1 4 4 2]\n"
                     "mul/6 = mul (x, clip/6) f32 [1 4 4 2]\n"
                     "div6 = affine (mul/6, [2], [2]) f32 [1 4 4 2]\n"
                     "pool = maxpool (div6) 2x2 stride 2x2 f32 [1 2 2 2]\n"
                     "output pool\n");
  make_run_pass (graph, engine_pass_fuse_affine);
  make_run_pass (graph, engine_pass_fuse_silu);
  CHECK_DUMP (graph, "x = input f32 [1 4 4 2]\n"
                     "div6 = unary (x) hard-swish f32 [1 4 4 2]\n"
                     "pool = maxpool (div6) 2x2 stride 2x2 f32 [1 2 2 2]\n"
                     "output pool\n");
}

/* clip (x + 3, 0, 6) / 6, the gate of squeeze-and-excitation */
static void
test_hard_sigmoid (void)
{
  g_autoptr (EngineGraph) graph = engine_graph_new ();
  const int x = make_input (graph, "x", DIMS (1, 4, 4, 2));
  int v = make_pool (graph, ENGINE_OP_AVGPOOL, "mean", x, 4, 1, 0);

  v = make_affine (graph, "plus3", v, 1, 0, 3, 0);
  v = make_unary (graph, "clip", v, KERNEL_UNARY_CLIP, 0, 6);
  v = make_affine (graph, "div6", v, 1.0f / 6, 0, 0, 0);
  make_output (graph, make_binary (graph, ENGINE_OP_MUL, "y", x, v));
  make_run_pass (graph, engine_pass_fuse_hard_sigmoid);
  make_run_pass (graph, engine_pass_fuse_affine);
  make_run_pass (graph, engine_pass_fuse_silu);
  CHECK_DUMP (graph, "x = input f32 [1 4 4 2]\n"
                     "mean = avgpool (x) 4x4 f32 [1 1 1 2]\n"
                     "div6 = unary (mean) hard-sigmoid 0.166666672 0.5 f32 [1 1 1 2]\n"
                     "y = mul (x, div6) f32 [1 4 4 2]\n"
                     "output y\n");
}

/* The new name is one of the table's, and no other in another country. */
static void
test_name_in_any_locale (void)
{
  g_autoptr (EngineGraph) graph = engine_graph_new ();
  int v = make_input (graph, "x", DIMS (1, 4, 4, 2));

  v = make_affine (graph, "plus", v, 1, 0, 0.25f, 0);
  v = make_unary (graph, "clip", v, KERNEL_UNARY_CLIP, 0, 0.5f);
  make_output (graph, make_affine (graph, "times2", v, 2, 0, 0, 0));
  if (!comma_begin ())
    SKIP (COMMA_MISSING);
  make_run_pass (graph, engine_pass_fuse_hard_sigmoid);
  comma_end ();
  CHECK_DUMP (graph, "x = input f32 [1 4 4 2]\n"
                     "clip/0.5 = unary (x) hard-sigmoid 2 0.5 f32 [1 4 4 2]\n"
                     "times2 = affine (clip/0.5, [2], [2]) f32 [1 4 4 2]\n"
                     "output times2\n");
}

/* Without a factor behind it, the clip stays what calibration knows by its name. */
static void
test_clip_without_factor (void)
{
  g_autoptr (EngineGraph) graph = engine_graph_new ();
  int v = make_input (graph, "x", DIMS (1, 4, 4, 2));
  g_autofree char *before = NULL;

  v = make_affine (graph, "plus3", v, 1, 0, 3, 0);
  v = make_unary (graph, "clip", v, KERNEL_UNARY_CLIP, 0, 6);
  make_output (graph, v);
  before = engine_graph_dump (graph);
  make_run_pass (graph, engine_pass_fuse_hard_sigmoid);
  CHECK_DUMP (graph, before);
}

/* A slope of 1e20 / 1e-30: no float. */
static void
test_clip_too_low (void)
{
  g_autoptr (EngineGraph) graph = engine_graph_new ();
  int v = make_affine (graph, "scaled", make_input (graph, "x", DIMS (1, 4, 4, 2)), 1e20f, 0, 0, 0);
  g_autofree char *before = NULL;

  v = make_unary (graph, "clip", v, KERNEL_UNARY_CLIP, 0, 1e-30f);
  make_output (graph, make_affine (graph, "y", v, 1e30f, 0, 0, 0));
  before = engine_graph_dump (graph);
  make_run_pass (graph, engine_pass_fuse_hard_sigmoid);
  CHECK_DUMP (graph, before);
}

static void
test_silu (void)
{
  g_autoptr (EngineGraph) graph = engine_graph_new ();
  const int x = make_input (graph, "x", DIMS (1, 4, 4, 2));
  const int s = make_unary (graph, "s", x, KERNEL_UNARY_SIGMOID, 0, 0);
  const int silu = make_binary (graph, ENGINE_OP_MUL, "silu", s, x);
  const int h = make_unary (graph, "h", silu, KERNEL_UNARY_HARD_SIGMOID, 0.16666667f, 0.5f);

  make_output (graph, make_binary (graph, ENGINE_OP_MUL, "swish", silu, h));
  make_run_pass (graph, engine_pass_fuse_silu);
  CHECK_DUMP (graph, "x = input f32 [1 4 4 2]\n"
                     "silu = unary (x) silu f32 [1 4 4 2]\n"
                     "swish = unary (silu) hard-swish f32 [1 4 4 2]\n"
                     "output swish\n");
}

/* Another function (slope 0.2), another argument, and a gate that is also an output. */
static void
test_not_silu (void)
{
  g_autoptr (EngineGraph) graph = engine_graph_new ();
  const int x = make_input (graph, "x", DIMS (1, 4, 4, 2));
  const int h = make_unary (graph, "h", x, KERNEL_UNARY_HARD_SIGMOID, 0.2f, 0.5f);
  const int a = make_binary (graph, ENGINE_OP_MUL, "a", x, h);
  const int s = make_unary (graph, "s", a, KERNEL_UNARY_SIGMOID, 0, 0);
  const int b = make_binary (graph, ENGINE_OP_MUL, "b", x, s);
  const int t = make_unary (graph, "t", b, KERNEL_UNARY_SIGMOID, 0, 0);
  g_autofree char *before = NULL;

  make_output (graph, make_binary (graph, ENGINE_OP_MUL, "c", b, t));
  make_output (graph, t);
  before = engine_graph_dump (graph);
  make_run_pass (graph, engine_pass_fuse_silu);
  CHECK_DUMP (graph, before);
}

/* --- fuse-pad -------------------------------------------------------------------------------- */

static void
test_pad_into_windows (void)
{
  g_autoptr (EngineGraph) graph = engine_graph_new ();
  const int x = make_input (graph, "x", DIMS (1, 4, 4, 2));
  const int pad = make_pad (graph, "pad", x, 1, 0);

  make_output (graph, make_conv (graph, "conv", pad, 3, 3, 0));
  make_output (graph, make_pool (graph, ENGINE_OP_AVGPOOL, "avg", pad, 2, 2, 0));
  make_run_pass (graph, engine_pass_fuse_pad);
  CHECK_DUMP (graph, "x = input f32 [1 4 4 2]\n"
                     "conv = conv (x, w [3 3 3 2], b [3]) pad 1,1,1,1 f32 [1 4 4 3]\n"
                     "avg = avgpool (x) 2x2 stride 2x2 pad 1,1,1,1 include-pad f32 [1 3 3 2]\n"
                     "output conv\noutput avg\n");
}

static void
test_pad_into_maxpool (void)
{
  g_autoptr (EngineGraph) graph = engine_graph_new ();
  int v = make_input (graph, "x", DIMS (1, 4, 4, 2));

  v = make_unary (graph, "relu", v, RELU);
  v = make_pad (graph, "pad", v, 1, 0);
  make_output (graph, make_pool (graph, ENGINE_OP_MAXPOOL, "max", v, 3, 2, 0));
  make_run_pass (graph, engine_pass_fuse_pad);
  CHECK_DUMP (graph, "x = input f32 [1 4 4 2]\n"
                     "relu = unary (x) clip 0..inf f32 [1 4 4 2]\n"
                     "max = maxpool (relu) 3x3 stride 2x2 pad 1,1,1,1 f32 [1 2 2 2]\n"
                     "output max\n");
}

static void
check_pad_stays (EngineGraph *graph, int y)
{
  g_autofree char *before = NULL;

  make_output (graph, y);
  before = engine_graph_dump (graph);
  make_run_pass (graph, engine_pass_fuse_pad);
  CHECK_DUMP (graph, before);
}

static void
test_pad_that_stays (void)
{
  for (int i = 0; i < 5; i++) {
    g_autoptr (EngineGraph) graph = engine_graph_new ();
    const int x = make_input (graph, "x", DIMS (1, 4, 4, 2));
    const int pad = make_pad (graph, "pad", x, i == 3 ? 3 : 1, i == 0 ? 1 : 0);
    int y;

    if (i == 0 || i == 3) /* not zero; whole windows in the padding */
      y = make_conv (graph, "y", pad, 3, 3, 0);
    else if (i == 1) /* the input may be negative: a zero is larger */
      y = make_pool (graph, ENGINE_OP_MAXPOOL, "y", pad, 3, 1, 0);
    else if (i == 2) /* the pool's own padding does not count, the Pad's does */
      y = make_pool (graph, ENGINE_OP_AVGPOOL, "y", pad, 3, 1, 1);
    else /* channels are padded too */ {
      make_last (graph)->pad.after[3] = 1;
      y = make_conv (graph, "y", make_infer (graph), 3, 3, 0);
    }
    check_pad_stays (graph, y);
  }
}

/* One more window begins in the Pad's bottom row than may begin in padding. */
static void
test_pad_and_ceil_mode (void)
{
  g_autoptr (EngineGraph) graph = engine_graph_new ();
  int v = make_input (graph, "x", DIMS (1, 4, 4, 2));
  EngineNode *node;

  v = make_pad (graph, "pad", v, 1, 0);
  node = make_node (graph, ENGINE_OP_AVGPOOL, "y", v);
  node->pool = (EnginePoolParams){2, 2, 5, 5, 1, 1, .ceil_mode = TRUE};
  v = make_infer (graph);
  CHECK_INT (engine_graph_value (graph, v)->dims[1], ==, 2);
  check_pad_stays (graph, v);
}

/* --- fuse-flatten ---------------------------------------------------------------------------- */

static void
test_flatten (void)
{
  g_autoptr (EngineGraph) graph = engine_graph_new ();
  int v = make_input (graph, "x", DIMS (1, 2, 3, 2));
  /* the flat vector is c, h, w: 12 weights 1 .. 12; the picture h, w, c */
  static const float expected[12] = {1, 7, 2, 8, 3, 9, 4, 10, 5, 11, 6, 12};

  v = make_transpose (graph, "nchw", v, DIMS (0, 3, 1, 2));
  v = make_reshape (graph, "flat", v, DIMS (1, 12));
  v = make_conv (graph, "fc", v, 2, 1, 0);
  make_output (graph, v);
  make_run_pass (graph, engine_pass_fuse_flatten);
  CHECK_DUMP (graph, "x = input f32 [1 2 3 2]\n"
                     "fc = conv (x, w [2 2 3 2], b [2]) f32 [1 2]\n"
                     "output fc\n");
  make_check_floats (graph, engine_graph_node (graph, 0)->inputs[ENGINE_CONV_W], expected, 12);
}

/* Two heads on one flat vector, which was also brought into shape in several steps. */
static void
test_flatten_shared (void)
{
  g_autoptr (EngineGraph) graph = engine_graph_new ();
  int v = make_input (graph, "x", DIMS (1, 2, 3, 2));
  static const float expected[12] = {1, 7, 2, 8, 3, 9, 4, 10, 5, 11, 6, 12};

  v = make_reshape (graph, "r", v, DIMS (6, 2));
  v = make_reshape (graph, "r1", v, DIMS (1, 6, 2));
  v = make_transpose (graph, "t", v, DIMS (0, 2, 1));
  v = make_reshape (graph, "flat", v, DIMS (1, 12));
  make_output (graph, make_conv (graph, "a", v, 2, 1, 0));
  make_output (graph, make_conv (graph, "b", v, 3, 1, 0));
  make_run_pass (graph, engine_pass_fuse_flatten);
  CHECK_DUMP (graph, "x = input f32 [1 2 3 2]\n"
                     "a = conv (x, w [2 2 3 2], b [2]) f32 [1 2]\n"
                     "b = conv (x, w [3 2 3 2], b [3]) f32 [1 3]\n"
                     "output a\noutput b\n");
  make_check_floats (graph, engine_graph_node (graph, 0)->inputs[ENGINE_CONV_W], expected, 12);
}

/* --- fuse-residual --------------------------------------------------------------------------- */

static void
test_residual (void)
{
  g_autoptr (EngineGraph) graph = engine_graph_new ();
  const int x = make_input (graph, "x", DIMS (1, 4, 4, 2));
  const int a = make_conv (graph, "a", x, 2, 3, 1);
  const int b = make_conv (graph, "b", x, 2, 1, 0);
  const int sum = make_binary (graph, ENGINE_OP_ADD, "sum", a, b);
  const int c = make_conv (graph, "c", sum, 2, 3, 1);

  make_output (graph, make_binary (graph, ENGINE_OP_ADD, "sum2", c, sum));
  make_run_pass (graph, engine_pass_fuse_residual);
  CHECK_DUMP (graph, "x = input f32 [1 4 4 2]\n"
                     "a = conv (x, w [2 3 3 2], b [2]) pad 1,1,1,1 f32 [1 4 4 2]\n"
                     "sum = conv (x, w [2 1 1 2], b [2], r a) f32 [1 4 4 2]\n"
                     "sum2 = conv (sum, w [2 3 3 2], b [2], r sum) pad 1,1,1,1 f32 [1 4 4 2]\n"
                     "output sum2\n");
}

/* The other operand may come later than the convolution: nodes are sorted again. */
static void
test_residual_computed_later (void)
{
  g_autoptr (EngineGraph) graph = engine_graph_new ();
  const int x = make_input (graph, "x", DIMS (1, 4, 4, 2));
  const int a = make_conv (graph, "a", x, 2, 3, 1);
  const int b = make_pool (graph, ENGINE_OP_MAXPOOL, "b", x, 3, 1, 1);

  make_output (graph, make_binary (graph, ENGINE_OP_ADD, "sum", a, b));
  make_run_pass (graph, engine_pass_fuse_residual);
  CHECK_DUMP (graph, "x = input f32 [1 4 4 2]\n"
                     "b = maxpool (x) 3x3 pad 1,1,1,1 f32 [1 4 4 2]\n"
                     "sum = conv (x, w [2 3 3 2], b [2], r b) pad 1,1,1,1 f32 [1 4 4 2]\n"
                     "output sum\n");
}

/* Broadcast; the conv has other readers; a value added to itself; the conv is clamped before. */
static void
test_residual_that_stays (void)
{
  for (int i = 0; i < 4; i++) {
    g_autoptr (EngineGraph) graph = engine_graph_new ();
    const int x = make_input (graph, "x", DIMS (1, 4, 4, 2));
    const int a = make_conv (graph, "a", x, 2, 3, 1);
    g_autofree char *before = NULL;
    int b = x;

    if (i == 0)
      b = make_pool (graph, ENGINE_OP_AVGPOOL, "b", x, 4, 1, 0);
    else if (i == 1)
      make_output (graph, a);
    else if (i == 2)
      b = a;
    else
      make_last (graph)->conv.lo = 0;
    make_output (graph, make_binary (graph, ENGINE_OP_ADD, "sum", a, b));
    before = engine_graph_dump (graph);
    make_run_pass (graph, engine_pass_fuse_residual);
    CHECK_DUMP (graph, before);
  }
}

/* --- fuse-clamp ------------------------------------------------------------------------------ */

static void
test_clamp (void)
{
  g_autoptr (EngineGraph) graph = engine_graph_new ();
  const int x = make_input (graph, "x", DIMS (1, 4, 4, 2));
  int v = make_conv (graph, "a", x, 2, 3, 1);

  v = make_unary (graph, "relu", v, RELU);
  v = make_unary (graph, "six", v, KERNEL_UNARY_CLIP, -INFINITY, 6);
  v = make_binary (graph, ENGINE_OP_ADD, "add", v, x);
  v = make_unary (graph, "clip", v, KERNEL_UNARY_CLIP, -1, 1);
  v = make_pool (graph, ENGINE_OP_AVGPOOL, "pool", v, 2, 2, 0);
  v = make_unary (graph, "relu1", v, RELU);
  v = make_unary (graph, "relu2", v, RELU);
  make_output (graph, v);
  make_run_pass (graph, engine_pass_fuse_clamp);
  CHECK_DUMP (graph, "x = input f32 [1 4 4 2]\n"
                     "six = conv (x, w [2 3 3 2], b [2]) pad 1,1,1,1 clamp 0..6 f32 [1 4 4 2]\n"
                     "clip = add (six, x) clamp -1..1 f32 [1 4 4 2]\n"
                     "pool = avgpool (clip) 2x2 stride 2x2 f32 [1 2 2 2]\n"
                     "relu2 = unary (pool) clip 0..inf f32 [1 2 2 2]\n"
                     "output relu2\n");
}

/* Clamps that do not meet: everything is one value. */
static void
test_clamps_apart (void)
{
  g_autoptr (EngineGraph) graph = engine_graph_new ();
  int v = make_conv (graph, "a", make_input (graph, "x", DIMS (1, 4, 4, 2)), 2, 3, 1);

  v = make_unary (graph, "b", v, KERNEL_UNARY_CLIP, 2, 3);
  v = make_unary (graph, "c", v, KERNEL_UNARY_CLIP, -1, 1);
  make_output (graph, v);
  make_run_pass (graph, engine_pass_fuse_clamp);
  CHECK_DUMP (graph, "x = input f32 [1 4 4 2]\n"
                     "c = conv (x, w [2 3 3 2], b [2]) pad 1,1,1,1 clamp 1..1 f32 [1 4 4 2]\n"
                     "output c\n");
}

static void
test_clamp_of_shared_conv (void)
{
  g_autoptr (EngineGraph) graph = engine_graph_new ();
  const int a = make_conv (graph, "a", make_input (graph, "x", DIMS (1, 4, 4, 2)), 2, 3, 1);
  g_autofree char *before = NULL;

  make_output (graph, make_unary (graph, "relu", a, RELU));
  make_output (graph, make_unary (graph, "sigmoid", a, KERNEL_UNARY_SIGMOID, 0, 0));
  before = engine_graph_dump (graph);
  make_run_pass (graph, engine_pass_fuse_clamp);
  CHECK_DUMP (graph, before);
}

int
main (void)
{
  RUN (test_affine_into_conv);
  RUN (test_affine_becomes_bias);
  RUN (test_affine_alone);
  RUN (test_affine_of_shared_conv);
  RUN (test_affine_identity);
  RUN (test_affine_of_rank_5);
  RUN (test_hard_swish);
  RUN (test_hard_sigmoid);
  RUN (test_name_in_any_locale);
  RUN (test_clip_without_factor);
  RUN (test_clip_too_low);
  RUN (test_silu);
  RUN (test_not_silu);
  RUN (test_pad_into_windows);
  RUN (test_pad_into_maxpool);
  RUN (test_pad_that_stays);
  RUN (test_pad_and_ceil_mode);
  RUN (test_flatten);
  RUN (test_flatten_shared);
  RUN (test_residual);
  RUN (test_residual_computed_later);
  RUN (test_residual_that_stays);
  RUN (test_clamp);
  RUN (test_clamps_apart);
  RUN (test_clamp_of_shared_conv);
  return check_done ();
}
