/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * step-matmul.c: products of activations, and layer normalisation.
 */
#include "engine/step.h"

static KernelMatmul
matmul_args (const EngineGraph *graph, const EngineNode *node)
{
  const EngineValue *x1 = engine_graph_value (graph, node->inputs[0]);
  const EngineValue *x2 = engine_graph_value (graph, node->inputs[1]);
  const EngineValue *y = engine_graph_value (graph, node->output);
  const int last = y->rank - 1;
  const gboolean s8 = x1->type == ENGINE_TYPE_S8;
  const double scales = s8 ? (double) x1->quant.scale * x2->quant.scale : 1;
  const double s_y = y->type == ENGINE_TYPE_S8 ? y->quant.scale : 1;

  return (KernelMatmul){
      .n = engine_value_elements (y) / ((gint64) y->dims[last - 1] * y->dims[last]),
      .rows = y->dims[last - 1],
      .inner = x1->dims[last],
      .cols = y->dims[last],
      .transposed = node->matmul.transposed,
      .m = (float) (scales * node->matmul.factor / s_y),
      .zero_x1 = s8 ? x1->quant.zero : 0,
      .zero_y = y->type == ENGINE_TYPE_S8 ? y->quant.zero : 0,
  };
}

gsize
engine_step_matmul_scratch (const EngineProgram *program, int i, int images, KernelQueue *queue)
{
  const EngineNode *node = engine_graph_node (program->graph, i);
  const KernelOps *ops = program->backend->ops;
  const KernelMatmulScratchFn scratch =
      engine_graph_value (program->graph, node->inputs[0])->type == ENGINE_TYPE_S8
          ? ops->matmul_s8_scratch
          : ops->matmul_f32_scratch;
  KernelMatmul args = matmul_args (program->graph, node);

  args.n *= images;
  return scratch ? scratch (&args, queue) : 0;
}

gboolean
engine_step_matmul (EngineProgram *program, int i, GError **error)
{
  const EngineNode *node = engine_graph_node (program->graph, i);
  const gboolean s8 = engine_graph_value (program->graph, node->inputs[0])->type == ENGINE_TYPE_S8;
  const gboolean s8_y = engine_graph_value (program->graph, node->output)->type == ENGINE_TYPE_S8;
  EngineStep *step = engine_step_add (program, i,
      s8_y ? ENGINE_SLOT_matmul_s8
      : s8 ? ENGINE_SLOT_matmul_s8_f32
           : ENGINE_SLOT_matmul_f32,
      error);

  if (!step)
    return FALSE;
  step->matmul = matmul_args (program->graph, node);
  step->x2 = engine_step_operand (program, node->inputs[1], 0);
  return TRUE;
}

static const void *
constant (EngineProgram *program, int i, int input, GError **error)
{
  const int value = engine_graph_node (program->graph, i)->inputs[input];
  gsize size;
  const void *data = g_bytes_get_data (engine_graph_value (program->graph, value)->data, &size);

  return engine_step_constant (program, i, input, data, size, error);
}

gboolean
engine_step_layernorm (EngineProgram *program, int i, GError **error)
{
  const EngineNode *node = engine_graph_node (program->graph, i);
  const EngineValue *x = engine_graph_value (program->graph, node->inputs[0]);
  const int c = x->dims[x->rank - 1];
  const void *scale = constant (program, i, 1, error);
  const void *shift = scale ? constant (program, i, 2, error) : NULL;
  EngineStep *step = shift ? engine_step_add (program, i, ENGINE_SLOT_layernorm_f32, error) : NULL;

  if (!step)
    return FALSE;
  step->layernorm = (KernelLayernorm){
      .rows = engine_value_elements (x) / c,
      .c = c,
      .epsilon = node->layernorm.epsilon,
      .scale = scale,
      .shift = shift,
  };
  return TRUE;
}
