/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * transformer.c: attention and layer normalisation: the pass that fuses around matmul, which nodes are
 * int8, engine files, and random transformers on `cpu` against `ref`, byte for byte.
 */
#include <glib/gstdio.h>

#include "engine/file.h"
#include "engine/exec.h"
#include "tests/engine/make-graph.h"
#include "tests/engine/quantised.h"

/* --- Making --------------------------------------------------------------------------------- */

static int
make_matmul (EngineGraph *graph, const char *name, int a, int b, gboolean transposed)
{
  const int inputs[2] = {a, b};

  engine_graph_add_node (graph, ENGINE_OP_MATMUL, name, inputs, 2, name)->matmul.transposed =
      transposed;
  return make_infer (graph);
}

static int
make_layernorm (EngineGraph *graph, const char *name, int x)
{
  const EngineValue *in = engine_graph_value (graph, x);
  const int c = in->dims[in->rank - 1];
  g_autofree char *s = g_strconcat (name, ".s", NULL), *t = g_strconcat (name, ".t", NULL);
  const int inputs[3] = {x, make_constant (graph, s, DIMS (c), 1, 0.25f),
      make_constant (graph, t, DIMS (c), -0.5f, 0.125f)};

  engine_graph_add_node (graph, ENGINE_OP_LAYERNORM, name, inputs, 3, name)->layernorm.epsilon =
      1e-5f;
  return make_infer (graph);
}

/* --- fuse-matmul ---------------------------------------------------------------------------- */

static void
test_scale_and_transpose (void)
{
  g_autoptr (EngineGraph) graph = engine_graph_new ();
  const int x = make_input (graph, "x", DIMS (1, 2, 6, 4));
  const int q = make_affine (graph, "q", x, 0.5f, 0, 0, 0);
  const int k = make_transpose (graph, "k", x, (const int[]){0, 1, 3, 2}, 4);
  const int scores =
      make_matmul (graph, "scores", q, make_affine (graph, "ks", k, 0.5f, 0, 0, 0), FALSE);

  make_output (graph, make_affine (graph, "y", scores, 3, 0, 0, 0));
  make_run_pass (graph, engine_pass_fuse_matmul);
  make_run_pass (graph, engine_pass_fold);
  CHECK_DUMP (graph, "x = input f32 [1 2 6 4]\n"
                     "y = matmul (x, x) transposed factor 0.75 f32 [1 2 6 6]\n"
                     "output y\n");
}

/* A factor for each feature, a shift, and an operand that somebody else reads stay. */
static void
test_what_stays (void)
{
  g_autoptr (EngineGraph) graph = engine_graph_new ();
  const int x = make_input (graph, "x", DIMS (1, 2, 6, 4));
  const int varying = make_affine (graph, "varying", x, 0.5f, 1, 0, 0);
  const int shifted = make_affine (graph, "shifted", x, 0.5f, 0, 1, 0);
  const int y = make_matmul (graph, "y", varying, shifted, TRUE);
  const int shared = make_affine (graph, "shared", x, 2, 0, 0, 0);

  make_output (graph, y);
  make_output (graph, make_matmul (graph, "z", shared, shared, TRUE));
  make_output (graph, shared);
  make_run_pass (graph, engine_pass_fuse_matmul);
  CHECK_DUMP (graph, "x = input f32 [1 2 6 4]\n"
                     "varying = affine (x, [4], [4]) f32 [1 2 6 4]\n"
                     "shifted = affine (x, [4], [4]) f32 [1 2 6 4]\n"
                     "y = matmul (varying, shifted) transposed f32 [1 2 6 6]\n"
                     "shared = affine (x, [4], [4]) f32 [1 2 6 4]\n"
                     "z = matmul (shared, shared) transposed f32 [1 2 6 6]\n"
                     "output y\noutput z\noutput shared\n");
}

/* Factors that a float holds only one by one. */
static void
test_large_factors (void)
{
  g_autoptr (EngineGraph) graph = engine_graph_new ();
  const int x = make_input (graph, "x", DIMS (1, 2, 6, 4));
  const int q = make_affine (graph, "q", x, 1e20f, 0, 0, 0);
  const int scores = make_matmul (graph, "scores", q, x, TRUE);

  make_output (graph, make_affine (graph, "y", scores, 1e20f, 0, 0, 0));
  make_run_pass (graph, engine_pass_fuse_matmul);
  CHECK_DUMP (graph, "x = input f32 [1 2 6 4]\n"
                     "scores = matmul (x, x) transposed factor 1.00000002e+20 f32 [1 2 6 6]\n"
                     "y = affine (scores, [6], [6]) f32 [1 2 6 6]\n"
                     "output y\n");
}

static void
test_constants_are_added (void)
{
  g_autoptr (EngineGraph) graph = engine_graph_new ();
  int v = make_input (graph, "x", DIMS (4, 2, 3));

  v = make_unary (graph, "relu", v, KERNEL_UNARY_CLIP, 0, INFINITY);
  v = make_binary (graph, ENGINE_OP_ADD, "bias", v,
      make_constant (graph, "b", DIMS (1, 2, 3), 1, 1));
  v = make_reshape (graph, "grouped", v, DIMS (2, 2, 2, 3));
  v = make_binary (graph, ENGINE_OP_ADD, "y", v,
      make_constant (graph, "mask", DIMS (1, 2, 2, 3), 100, 100));
  make_output (graph, v);
  make_run_pass (graph, engine_pass_fuse_matmul);
  CHECK_DUMP (graph, "x = input f32 [4 2 3]\n"
                     "relu = unary (x) clip 0..inf f32 [4 2 3]\n"
                     "grouped = reshape (relu) f32 [2 2 2 3]\n"
                     "y = add (grouped, [1 2 2 3]) f32 [2 2 2 3]\n"
                     "output y\n");
  make_check_floats (graph, engine_graph_node (graph, 2)->inputs[1],
      (float[]){101, 202, 303, 404, 505, 606, 701, 802, 903, 1004, 1105, 1206}, 12);
}

/* --- What is refused ------------------------------------------------------------------------ */

static void
check_refused (EngineGraph *graph, const char *cause)
{
  g_autoptr (GError) error = NULL;

  CHECK (!engine_graph_verify (graph, "making", &error));
  if (error && !strstr (error->message, cause))
    CHECK_FAIL ("\"%s\" lacks \"%s\"", error->message, cause);
}

static void
test_refused (void)
{
  g_autoptr (EngineGraph) graph = engine_graph_new ();
  int v = make_input (graph, "x", DIMS (1, 2, 6, 4));

  v = make_matmul (graph, "m", v, v, TRUE);
  v = make_layernorm (graph, "n", v);
  make_output (graph, v);
  engine_graph_node (graph, 0)->matmul.factor = NAN;
  check_refused (graph, "factor");
  engine_graph_node (graph, 0)->matmul.factor = 1;
  make_last (graph)->layernorm.epsilon = -1;
  check_refused (graph, "epsilon");
  make_last (graph)->layernorm.epsilon = INFINITY;
  check_refused (graph, "epsilon");
  make_last (graph)->layernorm.epsilon = 0;
  engine_graph_node (graph, 0)->matmul.transposed = FALSE;
  check_refused (graph, "do not fit");
}

static void
test_sums_too_long (void)
{
  g_autoptr (EngineGraph) graph = engine_graph_new ();
  const int x = make_input (graph, "x", DIMS (1, 2, KERNEL_MATMUL_MAX_INNER + 1));

  make_output (graph, make_matmul (graph, "y", x, x, TRUE));
  check_refused (graph, "products are summed");
}

/* --- int8 ----------------------------------------------------------------------------------- */

/* A sum that a normalisation and the next sum read is float, scores are on their way to softmax, and a
 * matmul's second operand is centred though it is never negative. */
static void
test_what_is_int8 (void)
{
  g_autoptr (EngineGraph) graph = engine_graph_new ();
  const int x = make_input (graph, "x", DIMS (1, 6, 4));
  const int a = make_conv (graph, "a", x, 4, 1, 0);
  const int sum = make_binary (graph, ENGINE_OP_ADD, "sum", a, x);
  const int norm = make_layernorm (graph, "norm", sum);
  const int q = make_unary (graph, "q", make_conv (graph, "qc", norm, 4, 1, 0), KERNEL_UNARY_CLIP,
      0, INFINITY);
  const int scores =
      make_binary (graph, ENGINE_OP_ADD, "biased", make_matmul (graph, "scores", q, q, TRUE),
          make_constant (graph, "b", DIMS (1, 6, 6), 0, 0.5f));
  const int z = make_matmul (graph, "z", make_softmax (graph, "p", scores), q, FALSE);
  const int sum2 =
      make_binary (graph, ENGINE_OP_ADD, "sum2", make_conv (graph, "zc", z, 4, 1, 0), sum);

  make_output (graph, make_conv (graph, "y", make_layernorm (graph, "norm2", sum2), 2, 1, 0));
  make_run_pass (graph, engine_pass_fuse_residual);
  make_run_pass (graph, engine_pass_fuse_clamp);
  g_auto (Result) result = quantise (g_steal_pointer (&graph),
      "x 1, sum 4, norm 2, q 8, scores 3, p 1, z 2, sum2 5, norm2 2");

  check_dump (&result,
      "x = input f32 [1 6 4]\n"
      "x (int8) = quantise (x) s8 [1 6 4] scale 0.00787401572 zero 0 symmetric\n"
      "sum (unadded) = conv (x (int8), w s8 [4 1 1 4], b [4], m [4]) f32 [1 6 4]\n"
      "sum = add (sum (unadded), x) f32 [1 6 4]\n"
      "norm = layernorm (sum, [4], [4]) epsilon 9.99999975e-06 f32 [1 6 4]\n"
      "norm (int8) = quantise (norm) s8 [1 6 4] scale 0.0157480314 zero 0 symmetric\n"
      "q = conv (norm (int8), w s8 [4 1 1 4], b [4], m [4]) clamp 0..inf s8 [1 6 4] scale "
      "0.0629921257 zero 0 symmetric\n"
      "scores = matmul (q, q) transposed f32 [1 6 6]\n"
      "biased = add (scores, [1 6 6]) f32 [1 6 6]\n"
      "p = softmax (biased) f32 [1 6 6]\n"
      "p (int8) = quantise (p) s8 [1 6 6] scale 0.00392156839 zero -128 full\n"
      "z = matmul (p (int8), q) s8 [1 6 4] scale 0.0157480314 zero 0 symmetric\n"
      "sum2 (unadded) = conv (z, w s8 [4 1 1 4], b [4], m [4]) f32 [1 6 4]\n"
      "sum2 = add (sum2 (unadded), sum) f32 [1 6 4]\n"
      "norm2 = layernorm (sum2, [4], [4]) epsilon 9.99999975e-06 f32 [1 6 4]\n"
      "norm2 (int8) = quantise (norm2) s8 [1 6 4] scale 0.0157480314 zero 0 symmetric\n"
      "y = conv (norm2 (int8), w s8 [2 1 1 4], b [2], m [2]) f32 [1 6 2]\n"
      "output y\n");
}

/* --- At random ------------------------------------------------------------------------------ */

static int
pick (Net *net, int n)
{
  return g_rand_int_range (net->rand, 0, n);
}

static int
name_and_infer (Net *net)
{
  return make_infer (net->graph);
}

static int
random_operand (Net *net, EngineOp op, int x, int rank, const int *dims)
{
  g_autofree char *name = g_strdup_printf ("operand%d", net->count);
  const int k = make_constant (net->graph, name, dims, rank, -1 + 0.25f * pick (net, 8), 0.01f);
  const int inputs[2] = {x, k};

  g_free (g_steal_pointer (&name));
  name = g_strdup_printf ("with%d", net->count++);
  engine_graph_add_node (net->graph, op, name, inputs, 2, name);
  return name_and_infer (net);
}

static int
random_norm (Net *net, int x)
{
  g_autofree char *name = g_strdup_printf ("norm%d", net->count++);

  return make_layernorm (net->graph, name, x);
}

static int
random_matmul (Net *net, int a, int b, gboolean transposed)
{
  g_autofree char *name = g_strdup_printf ("matmul%d", net->count++);

  make_matmul (net->graph, name, a, b, transposed);
  make_last (net->graph)->matmul.factor = transposed ? 0.3f : 1;
  return make_last (net->graph)->output;
}

/* [1 t c] to [1 heads t d] and back. */
static int
to_heads (Net *net, int x, int heads, int t, int d)
{
  return net_transpose (net, net_reshape (net, x, 4, (const int[]){1, t, heads, d}),
      (const int[]){0, 2, 1, 3});
}

/* x [1 t c] */
static int
random_block (Net *net, int x, int t, int heads, int d)
{
  const int c = heads * d, norm = random_norm (net, x);
  int part[3], scores, y;

  for (int i = 0; i < 3; i++)
    part[i] = to_heads (net, net_conv (net, norm, (NetConv){.oc = c}), heads, t, d);
  scores = random_matmul (net, part[0], part[1], TRUE);
  if (pick (net, 2))
    scores = random_operand (net, ENGINE_OP_ADD, scores, 4, (const int[]){1, heads, t, t});
  y = random_matmul (net, net_softmax (net, scores), part[2], FALSE);
  y = net_reshape (net, net_transpose (net, y, (const int[]){0, 2, 1, 3}), 3,
      (const int[]){1, t, c});
  x = net_conv (net, y, (NetConv){.oc = c, .residual = x});
  y = net_conv (net, random_norm (net, x), (NetConv){.oc = 2 * c});
  y = net_unary (net, y, pick (net, 2) ? KERNEL_UNARY_SILU : KERNEL_UNARY_GELU, 0, 0);
  return net_conv (net, y, (NetConv){.oc = c, .residual = x});
}

static EngineGraph *
random_transformer (guint32 seed)
{
  g_autoptr (Net) net = net_new (seed);
  const int h = 2 + pick (net, 5), w = 2 + pick (net, 5), heads = 1 + pick (net, 3);
  const int d = 1 + pick (net, 9), c = heads * d, t = h * w;
  int x = net_conv (net, net_input (net, h, w, 3), (NetConv){.oc = c});

  x = net_reshape (net, x, 3, (const int[]){1, t, c});
  x = random_operand (net, ENGINE_OP_ADD, x, 3, (const int[]){1, t, c});
  if (pick (net, 3) == 0)
    x = random_operand (net, ENGINE_OP_MUL, x, 3, (const int[]){1, 1, c});
  for (int i = 1 + pick (net, 2); i > 0; i--)
    x = random_block (net, x, t, heads, d);
  x = random_norm (net, x);
  x = pick (net, 2) ? net_slice (net, x, 1, 0, 1) : net_pool (net, ENGINE_OP_AVGPOOL, x, 1, 1, 0);
  return net_finish (net, net_dense (net, x, 5));
}

static EngineExec *
exec_new (Engine *engine, KernelBackend *backend, int batch, int threads)
{
  g_autoptr (GError) error = NULL;
  EngineExec *exec = engine_exec_new (engine, backend, batch, threads, &error);

  if (!exec)
    g_error ("engine_exec_new: %s", error->message);
  return exec;
}

static void
run_images (const Engine *engine, EngineExec *exec, int batch, guint32 seed)
{
  g_autoptr (GError) error = NULL;

  for (int i = 0; i < batch; i++)
    net_fill_input (engine, exec, i, seed, i);
  if (!engine_exec_run (exec, batch, &error))
    g_error ("engine_exec_run: %s", error->message);
}

static void
check_same (Engine *engine, KernelBackend *ref, KernelBackend *cpu, guint32 seed)
{
  g_autoptr (EngineExec) a = exec_new (engine, ref, 1, 1), b = exec_new (engine, cpu, 5, 2);
  const gsize n = engine_n_classes (engine);

  run_images (engine, b, 5, seed);
  for (int i = 0; i < 5; i++) {
    net_fill_input (engine, a, 0, seed, i);
    g_autoptr (GError) error = NULL;

    if (!engine_exec_run (a, 1, &error))
      g_error ("engine_exec_run: %s", error->message);
    if (memcmp (engine_exec_output (a, 0), engine_exec_output (b, i), n * sizeof (float)) != 0)
      CHECK_FAIL ("seed %u, image %d: cpu differs from ref", seed, i);
  }
}

static void
check_file (const Engine *engine, guint32 seed)
{
  g_autofree char *path = g_strdup_printf ("%s/transformer-%u.int8engine", g_get_tmp_dir (), seed);
  g_autofree char *before = engine_graph_dump (engine->graph), *after = NULL;
  g_autoptr (GError) error = NULL;
  g_autoptr (Engine) loaded = NULL;

  if (!engine_save (engine, "key", path, &error))
    g_error ("engine_save: %s", error->message);
  loaded = engine_load (path, "key", &error);
  g_unlink (path);
  if (!loaded)
    g_error ("engine_load: %s", error->message);
  after = engine_graph_dump (loaded->graph);
  CHECK_STR (after, before);
}

static void
test_random (void)
{
  KernelBackend *ref = net_backend ("ref"), *cpu = net_backend ("cpu");

  for (guint32 seed = 1; seed <= 60; seed++) {
    g_autoptr (EngineGraph) graph = random_transformer (seed);
    g_autoptr (Engine) int8 = net_engine_int8 (graph, (EngineRanges) (seed % 2), seed);
    g_autoptr (Engine) fp32 = net_engine (g_steal_pointer (&graph));

    check_same (fp32, ref, cpu, seed);
    check_same (int8, ref, cpu, seed);
    if (seed <= 10)
      check_file (int8, seed);
  }
  kernel_close (ref);
  kernel_close (cpu);
}

/* In int8 they stay close to float. */
static void
test_follows_fp32 (void)
{
  KernelBackend *ref = net_backend ("ref");
  double noise = 0, signal = 0;

  for (guint32 seed = 1; seed <= 40; seed++) {
    g_autoptr (EngineGraph) graph = random_transformer (seed);
    g_autoptr (Engine) int8 = net_engine_int8 (graph, ENGINE_RANGES_FULL, seed);
    g_autoptr (Engine) fp32 = net_engine (g_steal_pointer (&graph));
    g_autoptr (EngineExec) a = exec_new (fp32, ref, 1, 1), b = exec_new (int8, ref, 1, 1);

    run_images (fp32, a, 1, seed);
    run_images (int8, b, 1, seed);
    for (guint k = 0; k < engine_n_classes (fp32); k++) {
      const double x = engine_exec_output (a, 0)[k], y = engine_exec_output (b, 0)[k];

      noise += (x - y) * (x - y);
      signal += x * x;
    }
  }
  CHECK (noise < 0.01 * signal);
  kernel_close (ref);
}

int
main (void)
{
  RUN (test_scale_and_transpose);
  RUN (test_what_stays);
  RUN (test_large_factors);
  RUN (test_constants_are_added);
  RUN (test_refused);
  RUN (test_sums_too_long);
  RUN (test_what_is_int8);
  RUN (test_random);
  RUN (test_follows_fp32);
  return check_done ();
}
