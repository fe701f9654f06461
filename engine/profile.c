/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * profile.c: the steps of an EngineExec as people know them, and a run that times each.
 */
#include "engine/exec.h"

/* By the device's own clock, in one recording: launched and waited for one by one, small kernels
 * would take several times as long. */
static const char *
run_marked (const EngineProgram *program, int batch, double *seconds)
{
  KernelBackend *backend = program->backend;
  KernelQueue *queue = program->queue;
  const guint steps = program->steps->len;
  const EngineSpan span = engine_program_span (program, 0, batch, ENGINE_NONE);
  const char *failure;

  if (!backend->marks (queue, steps + 1))
    return "no marks could be made to time steps with";
  backend->record_begin (queue);
  backend->mark (queue, 0);
  for (guint i = 0; i < steps; i++) {
    const EngineStep *step = &g_array_index (program->steps, EngineStep, i);

    step->run (step, &span, queue);
    backend->mark (queue, i + 1);
  }
  KernelRecording *recording = backend->record_end (queue);
  if (recording)
    backend->replay (queue, recording);
  failure = backend->queue_wait (queue);
  for (guint i = 0; recording && !failure && i < steps; i++)
    seconds[i] = backend->mark_seconds (queue, i, i + 1);
  if (recording)
    backend->recording_free (queue, recording);
  else if (!failure)
    failure = "no recording could be made, and the queue has no cause";
  return failure;
}

const char *
engine_profile_run (const EngineProgram *program, int batch, EngineProfileFn profile, gpointer data)
{
  const guint steps = program->steps->len;
  const int lanes = program->schedule.lanes;
  g_autofree double *seconds = g_new0 (double, (gsize) (lanes + 1) * steps);
  const char *failure = program->backend->queue_wait (program->queue);

  if (!failure && program->backend->marks && program->backend->record_begin)
    failure = run_marked (program, batch, seconds + (gsize) lanes * steps);
  else if (!failure)
    failure = engine_program_run (program, batch, seconds);
  for (guint i = 0; i < steps && !failure; i++) {
    double by_image = 0;

    for (int lane = 0; lane < lanes; lane++)
      by_image += seconds[(gsize) lane * steps + i];
    profile (i, by_image / lanes + seconds[(gsize) lanes * steps + i], data);
  }
  return failure;
}

/* Height, width and channels of one image. Of other tensors the last axes count as channels and
 * width, and all before them as height. */
static void
describe_dims (const EngineValue *value, int hwc[3])
{
  const int rank = value->rank;

  hwc[2] = value->dims[rank - 1];
  hwc[1] = rank > 2 ? value->dims[rank - 2] : 1;
  hwc[0] = rank > 1 ? (int) (engine_value_elements (value) / hwc[1] / hwc[2]) : 1;
}

static double
bytes_of (const EngineGraph *graph, int value)
{
  const EngineValue *v = engine_graph_value (graph, value);

  return (double) engine_value_elements (v) * (double) engine_type_size (v->type);
}

static void
describe_conv (const EngineProgram *program, const EngineStep *step, EngineStepInfo *info)
{
  const KernelOps *ops = program->backend->ops;
  const gboolean f32 = step->slot == ENGINE_SLOT_conv_f32, f16 = step->slot == ENGINE_SLOT_conv_f16;
  const KernelConvShape *shape = f32   ? &step->conv_f32.shape
                                 : f16 ? &step->conv_f16.shape
                                       : &step->conv_s8.shape;
  const KernelConvTacticFn tactic = f32   ? ops->conv_f32_tactic
                                    : f16 ? ops->conv_f16_tactic
                                          : ops->conv_s8_tactic;

  info->kh = shape->kh;
  info->kw = shape->kw;
  info->stride = shape->stride_h;
  info->groups = shape->groups;
  info->tactic = tactic ? tactic (shape, shape->tactic) : NULL;
  info->operations = 2.0 * shape->n * shape->oh * shape->ow * shape->oc * shape->kh * shape->kw *
                     (shape->ic / shape->groups);
}

static void
describe_matmul (const KernelMatmul *args, EngineStepInfo *info)
{
  info->operations = 2.0 * args->n * args->rows * args->inner * args->cols;
}

static const KernelPoolShape *
pool_shape (const EngineStep *step, EngineType type)
{
  return type == ENGINE_TYPE_S8    ? &step->pool_s8.shape
         : type == ENGINE_TYPE_F16 ? &step->pool_f16.shape
                                   : &step->pool_f32.shape;
}

static void
describe_pool (const KernelPoolShape *shape, EngineStepInfo *info)
{
  info->kh = shape->kh;
  info->kw = shape->kw;
  info->stride = shape->stride_h;
}

/* What a node reads and writes, each once. */
static void
count_bytes (const EngineProgram *program, const EngineStep *step, EngineStepInfo *info)
{
  const EngineGraph *graph = program->graph;
  const EngineNode *node = engine_graph_node (graph, step->node);

  if (step->slot == ENGINE_SLOT_copy_s8 || step->slot == ENGINE_SLOT_copy_f16 ||
      step->slot == ENGINE_SLOT_copy_f32) {
    const gsize size = engine_type_size (engine_graph_value (graph, node->output)->type);
    info->image_bytes = 2.0 * (double) (step->copy.rows * step->copy.width * size);
    return;
  }
  info->image_bytes = bytes_of (graph, node->output);
  for (int k = 0; k < node->n_inputs; k++) {
    const int input = node->inputs[k];

    if (input == ENGINE_NONE)
      continue;
    if (engine_graph_value (graph, input)->data)
      info->constant_bytes += bytes_of (graph, input);
    else
      info->image_bytes += bytes_of (graph, input);
  }
}

guint
engine_exec_n_steps (const EngineExec *exec)
{
  return engine_exec_program (exec)->steps->len;
}

void
engine_exec_step (const EngineExec *exec, guint i, EngineStepInfo *info)
{
  const EngineProgram *program = engine_exec_program (exec);
  const EngineStep *step = &g_array_index (program->steps, EngineStep, i);
  const EngineNode *node = engine_graph_node (program->graph, step->node);

  *info = (EngineStepInfo){.name = node->name, .kernel = engine_slot_name (step->slot)};
  describe_dims (engine_graph_value (program->graph, node->inputs[0]), info->x);
  describe_dims (engine_graph_value (program->graph, node->output), info->y);
  if (node->op == ENGINE_OP_CONV)
    describe_conv (program, step, info);
  else if (node->op == ENGINE_OP_MATMUL)
    describe_matmul (&step->matmul, info);
  else if (node->op == ENGINE_OP_MAXPOOL || node->op == ENGINE_OP_AVGPOOL)
    describe_pool (pool_shape (step, engine_graph_value (program->graph, node->inputs[0])->type),
        info);
  count_bytes (program, step, info);
}
