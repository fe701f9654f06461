/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * step-conv.c: convolutions: shape, packed weights, and the constants that packing leaves.
 */
#include "engine/quant.h"
#include "engine/step.h"

static KernelConvShape
conv_shape (const EngineGraph *graph, const EngineNode *node)
{
  const EngineConvParams *params = &node->conv;
  const EngineValue *w = engine_graph_value (graph, node->inputs[ENGINE_CONV_W]);
  int x[4], y[4];

  engine_value_nhwc (engine_graph_value (graph, node->inputs[ENGINE_CONV_X]), x);
  engine_value_nhwc (engine_graph_value (graph, node->output), y);
  return (KernelConvShape){
      .n = x[0],
      .ih = x[1],
      .iw = x[2],
      .ic = x[3],
      .oh = y[1],
      .ow = y[2],
      .oc = y[3],
      .kh = w->dims[1],
      .kw = w->dims[2],
      .stride_h = params->stride_h,
      .stride_w = params->stride_w,
      .dilation_h = params->dilation_h,
      .dilation_w = params->dilation_w,
      .pad_top = params->pad_top,
      .pad_left = params->pad_left,
      .groups = params->groups,
  };
}

static EngineType
conv_type (const EngineGraph *graph, const EngineNode *node)
{
  return engine_graph_value (graph, node->inputs[ENGINE_CONV_X])->type;
}

KernelConvShape
engine_step_conv_shape (const EngineGraph *graph, int i)
{
  return conv_shape (graph, engine_graph_node (graph, i));
}

EngineType
engine_step_conv_type (const EngineGraph *graph, int i)
{
  return conv_type (graph, engine_graph_node (graph, i));
}

/* With the way to compute it, and what the back end's own choice of one depends on. */
static KernelConvShape
shape_of_step (const EngineProgram *program, int i)
{
  const EngineSchedule *schedule = &program->schedule;
  KernelConvShape shape = conv_shape (program->graph, engine_graph_node (program->graph, i));

  shape.tactic = program->tactics ? program->tactics[i] : 0;
  shape.threads = i < schedule->cut ? 1 : schedule->lanes;
  return shape;
}

gsize
engine_step_conv_scratch (const EngineProgram *program, int i, int images, KernelQueue *queue)
{
  const EngineNode *node = engine_graph_node (program->graph, i);
  const KernelOps *ops = program->backend->ops;
  const KernelConvScratchFn of_type[] = {[ENGINE_TYPE_F32] = ops->conv_f32_scratch,
      [ENGINE_TYPE_S8] = ops->conv_s8_scratch,
      [ENGINE_TYPE_F16] = ops->conv_f16_scratch};
  const KernelConvScratchFn scratch = of_type[conv_type (program->graph, node)];
  KernelConvShape shape = shape_of_step (program, i);

  shape.n *= images;
  return scratch ? scratch (&shape, queue) : 0;
}

typedef struct {
  const EngineProgram *program;
  int node;
  const KernelConvShape *shape;
} Packing;

/* Bytes, and the packed weights unless `packed` is NULL. */
static gsize
pack_into (const KernelOps *ops, EngineType type, const KernelConvShape *shape, int zero,
    const void *w, void *packed)
{
  if (type == ENGINE_TYPE_S8)
    return ops->conv_s8_pack (shape, zero, w, packed);
  return (type == ENGINE_TYPE_F16 ? ops->conv_f16_pack : ops->conv_f32_pack) (shape, w, packed);
}

/* Weights in the order that the back end's kernel wants. */
static void *
pack (gpointer data, gsize *size, GError **error)
{
  const Packing *packing = data;
  const EngineProgram *program = packing->program;
  const KernelConvShape *shape = packing->shape;
  const KernelOps *ops = program->backend->ops;
  const EngineGraph *graph = program->graph;
  const EngineNode *node = engine_graph_node (graph, packing->node);
  const EngineType type = conv_type (graph, node);
  const int zero = engine_graph_value (graph, node->inputs[ENGINE_CONV_X])->quant.zero;
  const void *w =
      g_bytes_get_data (engine_graph_value (graph, node->inputs[ENGINE_CONV_W])->data, NULL);

  if (type == ENGINE_TYPE_S8    ? !ops->conv_s8_pack
      : type == ENGINE_TYPE_F16 ? !ops->conv_f16_pack || !ops->conv_f16
                                : !ops->conv_f32_pack) {
    g_set_error (error, ENGINE_ERROR, ENGINE_ERROR_BACKEND,
        "back end '%s' has no convolution of %s, which layer '%s' needs; choose another back end or "
        "precision",
        program->backend->name, engine_type_name (type), node->name);
    return NULL;
  }

  *size = pack_into (ops, type, shape, zero, w, NULL);
  void *packed = g_try_malloc (MAX (*size, 1));
  if (!packed) {
    g_set_error (error, ENGINE_ERROR, ENGINE_ERROR_MEMORY,
        "no memory for %" G_GSIZE_FORMAT " bytes of weights of layer '%s'", *size, node->name);
    return NULL;
  }
  pack_into (ops, type, shape, zero, w, packed);
  return packed;
}

/* Packed int8 weights depend on the input's zero point, too, and are an engine's own. Others are the
 * model's: engines that differ in a few layers, as layer comparison makes them, share the rest. */
static const void *
packed_weights (EngineProgram *program, int i, const KernelConvShape *shape, GError **error)
{
  const EngineNode *node = engine_graph_node (program->graph, i);
  const EngineType type = conv_type (program->graph, node);
  Packing packing = {program, i, shape};
  EngineConstantKey key = {.backend = program->backend,
      .input = ENGINE_CONV_W,
      /* The back end's own choice may differ with the threads, and the weights with it. */
      .way = shape->tactic != 0 ? shape->tactic : -shape->threads};

  if (type == ENGINE_TYPE_S8) {
    key.owner = program->graph;
    key.node = i;
  } else {
    key.owner = engine_graph_value (program->graph, node->inputs[ENGINE_CONV_W])->data;
    key.type = type;
    key.shape = *shape;
  }
  return engine_step_packed (program, &key, pack, &packing, error);
}

/* A float vector of the node, one value a channel; zeros where it is absent. */
static const float *
channel_constant (EngineProgram *program, int i, int input, int oc, GError **error)
{
  const EngineNode *node = engine_graph_node (program->graph, i);

  if (node->inputs[input] != ENGINE_NONE) {
    gsize size;
    const void *data =
        g_bytes_get_data (engine_graph_value (program->graph, node->inputs[input])->data, &size);
    return engine_step_constant (program, i, input, data, size, error);
  }

  g_autofree float *zeros = g_new0 (float, oc);
  return engine_step_constant (program, i, input, zeros, oc * sizeof (float), error);
}

static gboolean
conv_s8 (EngineProgram *program, int i, const KernelConvShape *shape, GError **error)
{
  const EngineGraph *graph = program->graph;
  const EngineNode *node = engine_graph_node (graph, i);
  const EngineValue *x = engine_graph_value (graph, node->inputs[ENGINE_CONV_X]);
  const EngineValue *y = engine_graph_value (graph, node->output);
  const int r = node->inputs[ENGINE_CONV_R];
  KernelConvS8 args = {.shape = *shape, .zero_x = x->quant.zero};

  args.w = packed_weights (program, i, shape, error);
  args.m = args.w ? channel_constant (program, i, ENGINE_CONV_M, shape->oc, error) : NULL;
  args.b = args.m ? channel_constant (program, i, ENGINE_CONV_B, shape->oc, error) : NULL;
  if (!args.b)
    return FALSE;

  if (y->type == ENGINE_TYPE_S8) {
    args.lo = engine_quant_level (&y->quant, node->conv.lo);
    args.hi = engine_quant_level (&y->quant, node->conv.hi);
  }
  if (r != ENGINE_NONE)
    args.mr = (float) ((double) engine_graph_value (graph, r)->quant.scale / y->quant.scale);

  EngineStep *step = engine_step_add (program, i,
      y->type == ENGINE_TYPE_S8 ? ENGINE_SLOT_conv_s8 : ENGINE_SLOT_conv_s8_f32, error);
  if (!step)
    return FALSE;
  step->conv_s8 = args;
  if (r != ENGINE_NONE)
    step->x2 = engine_step_operand (program, r, 0);
  return TRUE;
}

static gboolean
conv_f32 (EngineProgram *program, int i, const KernelConvShape *shape, GError **error)
{
  const EngineNode *node = engine_graph_node (program->graph, i);
  const int r = node->inputs[ENGINE_CONV_R];
  KernelConvF32 args = {.shape = *shape, .lo = node->conv.lo, .hi = node->conv.hi};

  args.w = packed_weights (program, i, shape, error);
  args.b = args.w ? channel_constant (program, i, ENGINE_CONV_B, shape->oc, error) : NULL;
  if (!args.b)
    return FALSE;

  EngineStep *step = engine_step_add (program, i, ENGINE_SLOT_conv_f32, error);
  if (!step)
    return FALSE;
  step->conv_f32 = args;
  if (r != ENGINE_NONE)
    step->x2 = engine_step_operand (program, r, 0);
  return TRUE;
}

static gboolean
conv_f16 (EngineProgram *program, int i, const KernelConvShape *shape, GError **error)
{
  const EngineNode *node = engine_graph_node (program->graph, i);
  const int r = node->inputs[ENGINE_CONV_R];
  KernelConvF16 args = {.shape = *shape, .lo = node->conv.lo, .hi = node->conv.hi};

  args.w = packed_weights (program, i, shape, error);
  args.b = args.w ? channel_constant (program, i, ENGINE_CONV_B, shape->oc, error) : NULL;
  if (!args.b)
    return FALSE;

  EngineStep *step = engine_step_add (program, i, ENGINE_SLOT_conv_f16, error);
  if (!step)
    return FALSE;
  step->conv_f16 = args;
  if (r != ENGINE_NONE)
    step->x2 = engine_step_operand (program, r, 0);
  return TRUE;
}

gboolean
engine_step_conv (EngineProgram *program, int i, GError **error)
{
  const KernelConvShape shape = shape_of_step (program, i);

  switch (engine_step_conv_type (program->graph, i)) {
  case ENGINE_TYPE_S8:
    return conv_s8 (program, i, &shape, error);
  case ENGINE_TYPE_F16:
    return conv_f16 (program, i, &shape, error);
  default:
    return conv_f32 (program, i, &shape, error);
  }
}
