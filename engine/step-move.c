/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * step-move.c: pools, and the ops that only move bytes: concat, slice, transpose, pad.
 */
#include "engine/quant.h"
#include "engine/step.h"

#include <string.h>

static KernelPoolShape
pool_shape (const EngineGraph *graph, const EngineNode *node)
{
  const EnginePoolParams *params = &node->pool;
  int x[4], y[4];

  engine_value_nhwc (engine_graph_value (graph, node->inputs[0]), x);
  engine_value_nhwc (engine_graph_value (graph, node->output), y);
  return (KernelPoolShape){
      .n = x[0],
      .ih = x[1],
      .iw = x[2],
      .c = x[3],
      .oh = y[1],
      .ow = y[2],
      .kh = params->kh,
      .kw = params->kw,
      .stride_h = params->stride_h,
      .stride_w = params->stride_w,
      .dilation_h = params->dilation_h,
      .dilation_w = params->dilation_w,
      .pad_top = params->pad_top,
      .pad_left = params->pad_left,
      .pad_bottom = params->pad_bottom,
      .pad_right = params->pad_right,
      .include_pad = params->include_pad,
  };
}

gboolean
engine_step_pool (EngineProgram *program, int i, GError **error)
{
  const EngineNode *node = engine_graph_node (program->graph, i);
  const EngineValue *x = engine_graph_value (program->graph, node->inputs[0]);
  const EngineValue *y = engine_graph_value (program->graph, node->output);
  const gboolean s8 = x->type == ENGINE_TYPE_S8, s8_y = y->type == ENGINE_TYPE_S8;
  const KernelPoolShape shape = pool_shape (program->graph, node);
  EngineSlot slot = ENGINE_SLOT_OF (avgpool, x->type);

  if (node->op == ENGINE_OP_MAXPOOL)
    slot = ENGINE_SLOT_OF (maxpool, x->type);
  else if (s8 && !s8_y)
    slot = ENGINE_SLOT_avgpool_s8_f32;

  EngineStep *step = engine_step_add (program, i, slot, error);
  if (!step)
    return FALSE;
  if (s8)
    step->pool_s8 = (KernelPoolS8){
        .shape = shape,
        .ratio = (double) x->quant.scale / (s8_y ? y->quant.scale : 1.0f),
        .zero_x = x->quant.zero,
        .zero_y = s8_y ? y->quant.zero : 0,
    };
  else if (x->type == ENGINE_TYPE_F16)
    step->pool_f16 = (KernelPoolF16){.shape = shape};
  else
    step->pool_f32 = (KernelPoolF32){.shape = shape};
  return TRUE;
}

/* The table that gives bytes of one scale the meaning of another: a concat's small input. */
static const gint8 *
requantise_table (EngineProgram *program, int node, int input, const EngineQuant *from,
    const EngineQuant *to, GError **error)
{
  gint8 lut[256];

  for (int level = -128; level < 128; level++)
    lut[level + 128] = engine_quant_level (to, engine_quant_real (from, level));
  return engine_step_constant (program, node, input, lut, sizeof lut, error);
}

/* Elements before an axis of one image (rows), and from the axis on (width). */
static void
split_at (const EngineValue *value, int axis, gsize *rows, gsize *width)
{
  *rows = *width = 1;
  for (int i = 0; i < value->rank; i++)
    *(i < axis ? rows : width) *= value->dims[i];
}

/* Each input is copied into its slice of every row of the output. */
gboolean
engine_step_concat (EngineProgram *program, int i, GError **error)
{
  const EngineNode *node = engine_graph_node (program->graph, i);
  const EngineValue *y = engine_graph_value (program->graph, node->output);
  const gboolean s8 = y->type == ENGINE_TYPE_S8;
  gsize rows, y_width, inner = 0;

  split_at (y, node->concat.axis, &rows, &y_width);
  for (int k = 0; k < node->n_inputs; k++) {
    const EngineValue *x = engine_graph_value (program->graph, node->inputs[k]);
    const gsize width = engine_value_elements (x) / rows;
    const gint8 *lut = NULL;

    if (s8 && !engine_quant_equal (&x->quant, &y->quant)) {
      lut = requantise_table (program, i, k, &x->quant, &y->quant, error);
      if (!lut)
        return FALSE;
    }
    EngineStep *step = engine_step_add (program, i, ENGINE_SLOT_OF (copy, y->type), error);
    if (!step)
      return FALSE;
    step->copy = (KernelCopy){
        .rows = rows,
        .width = width,
        .x_stride = width,
        .y_stride = y_width,
        .lut = lut,
    };
    step->x = engine_step_operand (program, node->inputs[k], 0);
    step->y = engine_step_operand (program, node->output, inner);
    inner += width * engine_type_size (y->type);
  }
  return TRUE;
}

gboolean
engine_step_slice (EngineProgram *program, int i, GError **error)
{
  const EngineNode *node = engine_graph_node (program->graph, i);
  const EngineValue *x = engine_graph_value (program->graph, node->inputs[0]);
  gsize rows, x_width;
  EngineStep *step = engine_step_add (program, i, ENGINE_SLOT_OF (copy, x->type), error);

  if (!step)
    return FALSE;
  split_at (x, node->slice.axis, &rows, &x_width);

  const gsize unit = x_width / x->dims[node->slice.axis], width = node->slice.size * unit;
  step->copy = (KernelCopy){
      .rows = rows,
      .width = width,
      .x_stride = x_width,
      .y_stride = width,
  };
  step->x = engine_step_operand (program, node->inputs[0],
      node->slice.start * unit * engine_type_size (x->type));
  return TRUE;
}

gboolean
engine_step_transpose (EngineProgram *program, int i, GError **error)
{
  const EngineNode *node = engine_graph_node (program->graph, i);
  const EngineValue *x = engine_graph_value (program->graph, node->inputs[0]);
  EngineStep *step = engine_step_add (program, i, ENGINE_SLOT_OF (transpose, x->type), error);

  if (!step)
    return FALSE;

  KernelTranspose *args = &step->transpose;
  args->rank = x->rank;
  memcpy (args->dims, x->dims, x->rank * sizeof (int));
  memcpy (args->perm, node->transpose.perm, x->rank * sizeof (int));
  return TRUE;
}

gboolean
engine_step_pad (EngineProgram *program, int i, GError **error)
{
  const EngineNode *node = engine_graph_node (program->graph, i);
  const EngineValue *x = engine_graph_value (program->graph, node->inputs[0]);
  EngineStep *step = engine_step_add (program, i, ENGINE_SLOT_OF (pad, x->type), error);

  if (!step)
    return FALSE;

  KernelPad *args = &step->pad;
  args->rank = x->rank;
  memcpy (args->dims, x->dims, x->rank * sizeof (int));
  memcpy (args->before, node->pad.before, x->rank * sizeof (int));
  memcpy (args->after, node->pad.after, x->rank * sizeof (int));
  args->value_f32 = node->pad.value;
  if (x->type == ENGINE_TYPE_S8)
    args->value_s8 = engine_quant_level (&x->quant, node->pad.value);
  return TRUE;
}
