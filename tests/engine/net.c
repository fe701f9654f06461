/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* net.c: see net.h. */
#include "tests/engine/net.h"

#include "engine/model.h"
#include "engine/pass/pass.h"
#include "engine/quant.h"

#include <math.h>
#include <string.h>

static G_GNUC_NORETURN void
stop (const char *what, GError *error)
{
  g_error ("%s: %s", what, error ? error->message : "?");
  abort ();
}

Net *
net_new (guint32 seed)
{
  Net *net = g_new0 (Net, 1);

  net->graph = engine_graph_new ();
  net->rand = g_rand_new_with_seed (seed);
  return net;
}

void
net_free (Net *net)
{
  engine_graph_free (net->graph);
  g_rand_free (net->rand);
  g_free (net);
}

/* --- One layer ------------------------------------------------------------------------------ */

static EngineNode *
add (Net *net, EngineOp op, const int *inputs, int n)
{
  g_autofree char *name = g_strdup_printf ("%s%d", engine_op_name (op), ++net->count);

  return engine_graph_add_node (net->graph, op, name, inputs, n, name);
}

static int
done (Net *net, EngineNode *node)
{
  g_autoptr (GError) error = NULL;

  if (!engine_graph_infer_shape (net->graph, node, &error))
    stop (node->name, error);
  return node->output;
}

int
net_input (Net *net, int h, int w, int c)
{
  const int value =
      engine_graph_add_value (net->graph, "input", ENGINE_TYPE_F32, 4, (const int[]){1, h, w, c});

  g_array_append_val (net->graph->inputs, value);
  return value;
}

static int
constant (Net *net, const char *what, int rank, const int *dims, const float *data, gsize n)
{
  g_autofree char *name = g_strdup_printf ("%s%d", what, net->count + 1);

  return engine_graph_add_constant (net->graph, name, ENGINE_TYPE_F32, rank, dims,
      g_bytes_new (data, n * sizeof (float)));
}

static int
random_constant (Net *net, const char *what, int rank, const int *dims, double spread)
{
  gsize n = 1;
  g_autofree float *data = NULL;

  for (int i = 0; i < rank; i++)
    n *= dims[i];
  data = g_new (float, n);
  for (gsize i = 0; i < n; i++)
    data[i] = (float) g_rand_double_range (net->rand, -spread, spread);
  return constant (net, what, rank, dims, data, n);
}

int
net_conv (Net *net, int x, NetConv conv)
{
  const int groups = MAX (conv.groups, 1), k = MAX (conv.k, 1), stride = MAX (conv.stride, 1);
  int nhwc[4];

  engine_value_nhwc (engine_graph_value (net->graph, x), nhwc);

  const int of_group = nhwc[3] / groups, w_dims[4] = {conv.oc, k, k, of_group};
  const int w = random_constant (net, "w", 4, w_dims, 2.0 / sqrt (k * k * of_group));
  const int b = random_constant (net, "b", 1, &conv.oc, 0.5);
  const int inputs[] = {x, w, b, ENGINE_NONE, conv.residual ? conv.residual : ENGINE_NONE};
  EngineNode *node = add (net, ENGINE_OP_CONV, inputs, ENGINE_CONV_INPUTS);
  EngineConvParams *p = &node->conv;

  p->stride_h = p->stride_w = stride;
  p->pad_top = p->pad_left = p->pad_bottom = p->pad_right = conv.pad;
  p->groups = groups;
  if (conv.lo != 0 || conv.hi != 0) {
    p->lo = conv.lo;
    p->hi = conv.hi;
  }
  return done (net, node);
}

int
net_conv_given (Net *net, int x, int oc, int k, int ic, const float *w, const float *b)
{
  const int inputs[] = {x,
      constant (net, "w", 4, (const int[]){oc, k, k, ic}, w, (gsize) oc * k * k * ic),
      constant (net, "b", 1, &oc, b, oc), ENGINE_NONE, ENGINE_NONE};

  return done (net, add (net, ENGINE_OP_CONV, inputs, ENGINE_CONV_INPUTS));
}

int
net_dense (Net *net, int x, int oc)
{
  int nhwc[4];
  EngineNode *node;

  engine_value_nhwc (engine_graph_value (net->graph, x), nhwc);

  const int w_dims[4] = {oc, nhwc[1], nhwc[2], nhwc[3]};
  const int w = random_constant (net, "w", 4, w_dims, 2.0 / sqrt (nhwc[1] * nhwc[2] * nhwc[3]));
  const int b = random_constant (net, "b", 1, &oc, 0.5);
  const int inputs[] = {x, w, b, ENGINE_NONE, ENGINE_NONE};

  node = add (net, ENGINE_OP_CONV, inputs, ENGINE_CONV_INPUTS);
  engine_graph_value (net->graph, node->output)->rank = 2;
  return done (net, node);
}

int
net_binary (Net *net, EngineOp op, int x1, int x2, float lo, float hi)
{
  EngineNode *node = add (net, op, (const int[]){x1, x2}, 2);

  node->binary.lo = lo;
  node->binary.hi = hi;
  return done (net, node);
}

int
net_unary (Net *net, int x, KernelUnary kind, float alpha, float beta)
{
  EngineNode *node = add (net, ENGINE_OP_UNARY, &x, 1);

  node->unary.kind = kind;
  node->unary.alpha = alpha;
  node->unary.beta = beta;
  return done (net, node);
}

int
net_pool (Net *net, EngineOp op, int x, int k, int stride, int pad)
{
  EngineNode *node = add (net, op, &x, 1);
  EnginePoolParams *p = &node->pool;

  p->kh = p->kw = k;
  p->stride_h = p->stride_w = stride;
  p->pad_top = p->pad_left = p->pad_bottom = p->pad_right = pad;
  return done (net, node);
}

int
net_global_pool (Net *net, int x)
{
  EngineNode *node = add (net, ENGINE_OP_AVGPOOL, &x, 1);
  int nhwc[4];

  engine_value_nhwc (engine_graph_value (net->graph, x), nhwc);
  node->pool.kh = nhwc[1];
  node->pool.kw = nhwc[2];
  return done (net, node);
}

int
net_concat (Net *net, const int *x, int n, int axis)
{
  EngineNode *node = add (net, ENGINE_OP_CONCAT, x, n);

  node->concat.axis = axis;
  return done (net, node);
}

int
net_slice (Net *net, int x, int axis, int start, int size)
{
  EngineNode *node = add (net, ENGINE_OP_SLICE, &x, 1);

  node->slice.axis = axis;
  node->slice.start = start;
  node->slice.size = size;
  return done (net, node);
}

int
net_reshape (Net *net, int x, int rank, const int *dims)
{
  EngineNode *node = add (net, ENGINE_OP_RESHAPE, &x, 1);
  EngineValue *y = engine_graph_value (net->graph, node->output);

  y->rank = rank;
  memcpy (y->dims, dims, rank * sizeof (int));
  return done (net, node);
}

int
net_transpose (Net *net, int x, const int *perm)
{
  EngineNode *node = add (net, ENGINE_OP_TRANSPOSE, &x, 1);

  memcpy (node->transpose.perm, perm, engine_graph_value (net->graph, x)->rank * sizeof (int));
  return done (net, node);
}

int
net_pad (Net *net, int x, int border, float value)
{
  EngineNode *node = add (net, ENGINE_OP_PAD, &x, 1);

  for (int axis = 1; axis <= 2; axis++)
    node->pad.before[axis] = node->pad.after[axis] = border;
  node->pad.value = value;
  return done (net, node);
}

int
net_softmax (Net *net, int x)
{
  return done (net, add (net, ENGINE_OP_SOFTMAX, &x, 1));
}

EngineGraph *
net_finish (Net *net, int output)
{
  g_autoptr (GError) error = NULL;
  EngineGraph *graph = net->graph;

  g_array_append_val (graph->outputs, output);
  net->graph = engine_graph_new ();
  engine_graph_compact (graph);
  if (!engine_graph_verify (graph, "net_finish", &error))
    stop ("net_finish", error);
  return graph;
}

/* --- At random ------------------------------------------------------------------------------ */

static int
pick (Net *net, int n)
{
  return g_rand_int_range (net->rand, 0, n);
}

/* One more layer on x [1 h w c]; `skip` is an earlier value, which is used where it has x's shape.
 */
static int
random_layer (Net *net, int x, int skip)
{
  const EngineValue *v = engine_graph_value (net->graph, x);
  const int h = v->dims[1], w = v->dims[2], c = v->dims[3];
  const gboolean same =
      skip != x && skip > 0 &&
      memcmp (engine_graph_value (net->graph, skip)->dims, v->dims, sizeof v->dims) == 0;

  switch (pick (net, 15)) {
  case 0:
    return net_conv (net, x, (NetConv){.oc = 1 + pick (net, 9), .k = 3, .pad = 1, .hi = 6});
  case 1:
    return net_conv (net, x, (NetConv){.oc = c, .k = 3, .pad = 1, .groups = c});
  case 2:
    return net_conv (net, x, (NetConv){.oc = c, .residual = same ? skip : 0, .hi = INFINITY});
  case 3:
    return net_binary (net, ENGINE_OP_ADD, x, same ? skip : x, -INFINITY, INFINITY);
  case 4:
    return net_binary (net, ENGINE_OP_MUL, x, same ? skip : x, 0, 20);
  case 5: /* squeeze and excitation */
    return net_binary (net, ENGINE_OP_MUL, x,
        net_unary (net, net_conv (net, net_global_pool (net, x), (NetConv){.oc = c}),
            KERNEL_UNARY_SIGMOID, 0, 0),
        -INFINITY, INFINITY);
  case 6:
    return net_unary (net, x, pick (net, 2) ? KERNEL_UNARY_SILU : KERNEL_UNARY_HARD_SWISH, 0, 0);
  case 7:
    return net_unary (net, x, KERNEL_UNARY_LEAKY_RELU, 0.1f, 0);
  case 8:
    return h > 1 && w > 1 ? net_pool (net, ENGINE_OP_MAXPOOL, x, 2, 2, 0) : x;
  case 9:
    return net_pool (net, ENGINE_OP_AVGPOOL, x, 3, 1, 1);
  case 10: {
    const int other = net_conv (net, x, (NetConv){.oc = 1 + pick (net, 5), .hi = 1});
    return net_concat (net, (const int[]){x, other, x}, 3, 3);
  }
  case 11:
    return net_concat (net,
        (const int[]){net_slice (net, x, 3, c / 2, c - c / 2),
            net_slice (net, x, 3, 0, MAX (c / 2, 1))},
        2, 3);
  case 12: /* what a channel shuffle is made of */
    return net_reshape (net,
        net_transpose (net, net_reshape (net, x, 4, (const int[]){1, h * w, c, 1}),
            (const int[]){0, 2, 1, 3}),
        4, (const int[]){1, h, w, c});
  case 13:
    return net_pad (net, x, 1, pick (net, 2) ? 0.0f : -0.5f);
  default:
    return net_conv (net, x, (NetConv){.oc = 2 + pick (net, 7), .stride = 1 + pick (net, 2)});
  }
}

EngineGraph *
net_random (guint32 seed)
{
  g_autoptr (Net) net = net_new (seed);
  int x = net_input (net, 4 + pick (net, 9), 4 + pick (net, 9), 1 + pick (net, 4)), skip = 0;
  const int layers = 3 + pick (net, 12);

  x = net_conv (net, x, (NetConv){.oc = 2 + pick (net, 6), .k = 3, .pad = 1});
  for (int i = 0; i < layers; i++) {
    const int before = x;

    x = random_layer (net, x, skip);
    if (pick (net, 2))
      skip = before;
  }
  x = pick (net, 2) ? net_dense (net, x, 5) : net_global_pool (net, x);
  if (pick (net, 2))
    x = net_softmax (net, x);
  return net_finish (net, x);
}

/* --- Engines -------------------------------------------------------------------------------- */

static EngineProvenance
test_provenance (void)
{
  return (EngineProvenance){g_strdup ("key"), g_strdup ("model"), g_strdup ("table"),
      g_strdup ("bias"), g_strdup ("dynamic ranges"), g_strdup ("rules"), g_strdup ("preprocess"),
      g_strdup ("options"), g_strdup (engine_builder_text ())};
}

EngineModel *
net_model (EngineGraph *graph)
{
  EngineModel *model = g_new0 (EngineModel, 1);

  g_atomic_ref_count_init (&model->references);
  model->path = g_strdup ("net.onnx");
  model->sha256 = g_strdup ("0123456789abcdef");
  model->graph = graph;
  return model;
}

Engine *
net_engine (EngineGraph *graph)
{
  EngineProvenance provenance = test_provenance ();

  return engine_new (graph, ENGINE_PRECISION_FP32, &provenance);
}

KernelBackend *
net_backend (const char *name)
{
  char why[256] = "";
  KernelBackend *backend = kernel_open (name, why, sizeof why);

  if (!backend)
    g_error ("back end %s: %s", name, why);
  return backend;
}

void
net_fill_input (const Engine *engine, EngineExec *exec, int at, guint32 seed, int i)
{
  EngineQuant quant = {0};
  EngineInputInfo info;
  const EngineType type = engine_input_type (engine, &quant.scale, &quant.zero);
  void *input = engine_exec_input (exec, at);
  GRand *rand = g_rand_new_with_seed (seed * 1009 + i);

  engine_input (engine, &info);
  for (int k = 0; k < info.height * info.width * info.channels; k++) {
    const float x = (float) g_rand_double_range (rand, -2, 2);

    if (type == ENGINE_TYPE_S8)
      ((gint8 *) input)[k] = engine_quant_level (&quant, x);
    else
      ((float *) input)[k] = x;
  }
  g_rand_free (rand);
}

static void
note_largest (const EngineTap *tap, gpointer data)
{
  const float *x = tap->x;
  float largest = 0, before = 0;

  for (gsize i = 0; i < tap->n * tap->elements; i++)
    largest = fmaxf (largest, fabsf (x[i]));
  calib_table_lookup (data, tap->name, &before);
  calib_table_set (data, tap->name, fmaxf (before, largest / 127));
}

CalibTable *
net_calibrate (const EngineGraph *graph, guint32 seed, int images)
{
  g_autoptr (GError) error = NULL;
  CalibTable *table = calib_table_new ("TRT-8601-MinMaxCalibration");
  KernelBackend *backend = net_backend ("ref");
  g_autoptr (Engine) engine = net_engine (engine_graph_copy (graph));
  g_autoptr (EngineExec) exec =
      engine_exec_new_tapped (engine, backend, 1, 1, note_largest, table, &error);

  if (!exec)
    stop ("net_calibrate", error);
  for (int i = 0; i < images; i++) {
    net_fill_input (engine, exec, 0, seed, i);
    if (!engine_exec_run (exec, 1, &error))
      stop ("net_calibrate", error);
  }
  g_clear_pointer (&exec, engine_exec_free);
  kernel_close (backend);
  return table;
}

CalibTable *
net_table (EngineModel *model, KernelBackend *backend, const GPtrArray *frames,
    CalibStatistics *statistics)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (CalibStatistics) own = calib_statistics_new (NULL, CALIB_HISTOGRAM_DEFAULT);
  CalibStatistics *seen = statistics ? statistics : own;
  g_autoptr (EngineCalibrator) calibrator =
      engine_calibrator_new (model, backend, 1, 1, seen, &error);
  EngineInputInfo input;
  CalibTable *table;

  engine_model_input (model, &input);
  for (guint f = 0; calibrator && !error && f < frames->len; f++) {
    memcpy (engine_calibrator_input (calibrator), frames->pdata[f],
        sizeof (float) * input.height * input.width * input.channels);
    engine_calibrator_push (calibrator, &error);
  }
  if (error)
    stop ("net_table", error);
  table = engine_calibration_table (model, seen, CALIB_METHOD_MINMAX, 0, 8601, &error);
  if (!table)
    stop ("net_table", error);
  return table;
}

Engine *
net_engine_int8 (const EngineGraph *graph, EngineRanges ranges, guint32 seed)
{
  g_autoptr (CalibTable) table = net_calibrate (graph, seed, 8);
  const EngineBuildOptions options = {.precision = ENGINE_PRECISION_INT8,
      .ranges = ranges,
      .table = table};

  return net_engine_with (graph, &options);
}

Engine *
net_engine_with (const EngineGraph *graph, const EngineBuildOptions *options)
{
  g_autoptr (GError) error = NULL;
  const EnginePassContext context = {.options = options};
  EngineGraph *copy = engine_graph_copy (graph);
  EngineProvenance provenance = test_provenance ();

  if (engine_precision_is_int8 (options->precision) && !engine_passes_int8 (copy, &context, &error))
    stop ("net_engine_with", error);
  if (options->precision == ENGINE_PRECISION_FP16 && !engine_passes_fp16 (copy, &context, &error))
    stop ("net_engine_with", error);
  return engine_new (copy, options->precision, &provenance);
}
