/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * step.c: the program of a graph: its memory on a back end, its steps, and how a step runs.
 */
#include "engine/step.h"
#include "engine/weights.h"

#include <string.h>

/* --- Running: images multiply axis 0 of every argument ---------------------------------------- */

static inline void *
resolve (const EngineOperand *operand, const EngineSpan *span)
{
  if (operand->space == ENGINE_SPACE_NONE)
    return NULL;
  return span->space[operand->space].memory + operand->offset +
         operand->stride * span->space[operand->space].times;
}

#define TRAMPOLINE(Args, field, multiply, input, more)                                             \
  static void run_##Args (const EngineStep *step, const EngineSpan *span, KernelQueue *queue)      \
  {                                                                                                \
    Args args = step->field;                                                                       \
    args.multiply *= span->images;                                                                 \
    args.input = resolve (&step->x, span);                                                         \
    args.y = resolve (&step->y, span);                                                             \
    more;                                                                                          \
    ((void (*) (const Args *, KernelQueue *)) step->kernel) (&args, queue);                        \
  }

#define CONV args.r = resolve (&step->x2, span), args.scratch = span->scratch
/* A constant's address is in the arguments. */
#define BINARY args.x2 = step->x2.space == ENGINE_SPACE_NONE ? args.x2 : resolve (&step->x2, span)

TRAMPOLINE (KernelConvS8, conv_s8, shape.n, x, CONV)
TRAMPOLINE (KernelConvF32, conv_f32, shape.n, x, CONV)
TRAMPOLINE (KernelConvF16, conv_f16, shape.n, x, CONV)
TRAMPOLINE (KernelBinaryF16, binary_f16, n, x1, BINARY)
TRAMPOLINE (KernelUnaryF16, unary_f16, size, x, )
TRAMPOLINE (KernelWidth, width, size, x, )
TRAMPOLINE (KernelPoolF16, pool_f16, shape.n, x, )
TRAMPOLINE (KernelBinaryS8, binary_s8, n, x1, BINARY)
TRAMPOLINE (KernelBinaryF32, binary_f32, n, x1, BINARY)
TRAMPOLINE (KernelLutS8, lut, size, x, )
TRAMPOLINE (KernelUnaryF32, unary, size, x, )
TRAMPOLINE (KernelConvert, convert, size, x, )
TRAMPOLINE (KernelPoolS8, pool_s8, shape.n, x, )
TRAMPOLINE (KernelPoolF32, pool_f32, shape.n, x, )
TRAMPOLINE (KernelCopy, copy, rows, x, )
TRAMPOLINE (KernelTranspose, transpose, dims[0], x, )
TRAMPOLINE (KernelPad, pad, dims[0], x, )
TRAMPOLINE (KernelSoftmax, softmax, rows, x, )
TRAMPOLINE (KernelLrn, lrn, rows, x, )
TRAMPOLINE (KernelLayernorm, layernorm, rows, x, )
TRAMPOLINE (KernelMatmul, matmul, n, x1, BINARY; args.scratch = span->scratch)

/* Pixels are written before a run, and activations counted beside it, not by a step. */
#define run_KernelResize NULL
#define run_KernelYuv    NULL
#define run_KernelGrey   NULL
#define run_KernelInput  NULL
#define run_KernelPicture NULL
#define run_KernelCount  NULL

static const struct {
  const char *name;
  void (*run) (const EngineStep *step, const EngineSpan *span, KernelQueue *queue);
} slots[] = {
#define KERNEL_OP(name, Args) [ENGINE_SLOT_##name] = {#name, run_##Args},
#include "kernels/kernel-ops.inc"
#undef KERNEL_OP
};

static EngineKernelFn
slot_kernel (const KernelOps *ops, EngineSlot slot)
{
  switch (slot) {
#define KERNEL_OP(name, Args)                                                                      \
  case ENGINE_SLOT_##name:                                                                         \
    return (EngineKernelFn) ops->name;
#include "kernels/kernel-ops.inc"
#undef KERNEL_OP
  default:
    return NULL;
  }
}

const char *
engine_slot_name (EngineSlot slot)
{
  return slots[slot].name;
}

/* --- Making --------------------------------------------------------------------------------- */

EngineOperand
engine_step_operand (const EngineProgram *program, int value, gsize inner)
{
  const EnginePlan *plan = program->plan;

  if (plan->space[value] == ENGINE_SPACE_IMAGE)
    return (EngineOperand){ENGINE_SPACE_IMAGE, inner, plan->offset[value]};
  return (EngineOperand){ENGINE_SPACE_BATCH, plan->offset[value] + inner, plan->size[value]};
}

EngineStep *
engine_step_add (EngineProgram *program, int node, EngineSlot slot, GError **error)
{
  const EngineKernelFn kernel = slot_kernel (program->backend->ops, slot);

  if (!kernel) {
    g_set_error (error, ENGINE_ERROR, ENGINE_ERROR_BACKEND,
        "back end '%s' has no kernel %s, which layer '%s' needs; choose another back end",
        program->backend->name, slots[slot].name, engine_graph_node (program->graph, node)->name);
    return NULL;
  }

  const EngineNode *of = engine_graph_node (program->graph, node);
  const EngineStep step = {
      .run = slots[slot].run,
      .kernel = kernel,
      .slot = slot,
      .node = node,
      .x = engine_step_operand (program, of->inputs[0], 0),
      .y = engine_step_operand (program, of->output, 0),
  };
  g_array_append_val (program->steps, step);
  return &g_array_index (program->steps, EngineStep, program->steps->len - 1);
}

/* For the whole batch, and for one image in every lane. */
static gsize
activation_bytes (const EngineProgram *program)
{
  const gsize *arena = program->plan->arena;

  return arena[ENGINE_SPACE_BATCH] + arena[ENGINE_SPACE_IMAGE] * program->schedule.lanes;
}

static void *
allocate (const EngineProgram *program, gsize size, const char *what, GError **error)
{
  void *memory = program->backend->alloc (program->backend, MAX (size, 1));

  if (!memory)
    g_set_error (error, ENGINE_ERROR, ENGINE_ERROR_MEMORY,
        "back end '%s' has no %.1f MiB for %s: a batch of %d takes %.1f MiB for activations, and "
        "the layers so far %.1f MiB for constants; lower the batch size",
        program->backend->name, size / 1048576.0, what, program->max_batch,
        activation_bytes (program) / 1048576.0, program->constant_bytes / 1048576.0);
  return memory;
}

/* Host bytes on their way to the back end. */
typedef struct {
  EngineProgram *program;
  EngineBytesFn bytes;
  gpointer data;
} Upload;

static void *
upload (gpointer data, gsize *size, GError **error)
{
  const Upload *job = data;
  const EngineProgram *program = job->program;
  g_autofree void *bytes = job->bytes (job->data, size, error);
  void *memory = bytes ? allocate (program, *size, "a constant", error) : NULL;

  if (!memory)
    return NULL;
  program->backend->upload (program->queue, memory, bytes, *size);

  /* Other queues read it, too. */
  const char *failure = program->backend->queue_wait (program->queue);
  if (!failure)
    return memory;
  program->backend->free (program->backend, memory);
  g_set_error (error, ENGINE_ERROR, ENGINE_ERROR_BACKEND, "back end '%s' failed to upload: %s",
      program->backend->name, failure);
  return NULL;
}

const void *
engine_step_packed (EngineProgram *program, const EngineConstantKey *key, EngineBytesFn bytes,
    gpointer data, GError **error)
{
  Upload job = {program, bytes, data};
  EngineConstant *constant = engine_constant_get (key, upload, &job, error);

  if (!constant)
    return NULL;
  g_ptr_array_add (program->constants, constant);
  program->constant_bytes += engine_constant_size (constant);
  return engine_constant_memory (constant);
}

static void *
copy_bytes (gpointer data, gsize *size, GError **error)
{
  const void *bytes = g_bytes_get_data (data, size);

  return g_memdup2 (bytes, *size);
}

const void *
engine_step_constant (EngineProgram *program, int node, int input, const void *data, gsize size,
    GError **error)
{
  const EngineConstantKey key = {program->graph, program->backend, node, input};
  g_autoptr (GBytes) bytes = g_bytes_new_static (data, size);

  return engine_step_packed (program, &key, copy_bytes, bytes, error);
}

static gboolean
add_node (EngineProgram *program, int i, GError **error)
{
  const EngineNode *node = engine_graph_node (program->graph, i);

  switch (node->op) {
  case ENGINE_OP_CONV:
    return engine_step_conv (program, i, error);
  case ENGINE_OP_MATMUL:
    return engine_step_matmul (program, i, error);
  case ENGINE_OP_LRN:
    return engine_step_lrn (program, i, error);
  case ENGINE_OP_LAYERNORM:
    return engine_step_layernorm (program, i, error);
  case ENGINE_OP_ADD:
  case ENGINE_OP_MUL:
    return engine_step_binary (program, i, error);
  case ENGINE_OP_UNARY:
    return engine_step_unary (program, i, error);
  case ENGINE_OP_MAXPOOL:
  case ENGINE_OP_AVGPOOL:
    return engine_step_pool (program, i, error);
  case ENGINE_OP_CONCAT:
    return engine_step_concat (program, i, error);
  case ENGINE_OP_SLICE:
    return engine_step_slice (program, i, error);
  case ENGINE_OP_RESHAPE:
    return TRUE; /* the plan gives both values one place */
  case ENGINE_OP_TRANSPOSE:
    return engine_step_transpose (program, i, error);
  case ENGINE_OP_PAD:
    return engine_step_pad (program, i, error);
  case ENGINE_OP_SOFTMAX:
    return engine_step_softmax (program, i, error);
  case ENGINE_OP_QUANTISE:
  case ENGINE_OP_DEQUANTISE:
    return engine_step_convert (program, i, error);
  case ENGINE_OP_NARROW:
  case ENGINE_OP_WIDEN:
    return engine_step_width (program, i, error);
  case ENGINE_OP_AFFINE: /* the fuse pass leaves none */
  case ENGINE_OP_COUNT:
    break;
  }
  g_set_error (error, ENGINE_ERROR, ENGINE_ERROR_UNSUPPORTED,
      "layer '%s': there is no kernel for op '%s'", node->name, engine_op_name (node->op));
  return FALSE;
}

/* The most that a convolution or matmul of nodes from .. to - 1 needs for so many images. */
static gsize
scratch_size (const EngineProgram *program, int from, int to, int images, KernelQueue *queue)
{
  gsize size = 0;

  for (int i = from; i < to; i++)
    if (engine_graph_node (program->graph, i)->op == ENGINE_OP_CONV)
      size = MAX (size, engine_step_conv_scratch (program, i, images, queue));
    else if (engine_graph_node (program->graph, i)->op == ENGINE_OP_MATMUL)
      size = MAX (size, engine_step_matmul_scratch (program, i, images, queue));
  return size;
}

/* Called once, for the queue of a lane. */
static void
set_lane_scratch (void *ctx, int piece, int lane, KernelQueue *queue)
{
  EngineProgram *program = ctx;
  const gsize size = scratch_size (program, 0, program->schedule.cut, 1, queue);

  program->lane_scratch = (size + KERNEL_ALIGN - 1) / KERNEL_ALIGN * KERNEL_ALIGN;
}

/* By image and by layer are never done at the same time: one scratch serves both. */
static gboolean
allocate_scratch (EngineProgram *program, GError **error)
{
  const EngineSchedule *schedule = &program->schedule;
  const int nodes = program->graph->nodes->len;
  gsize size = scratch_size (program, schedule->cut, nodes, program->max_batch, program->queue);

  if (schedule->cut > 0) {
    program->backend->queue_each (program->queue, set_lane_scratch, program, 1);
    size = MAX (size, program->lane_scratch * schedule->lanes);
    size = MAX (size, scratch_size (program, 0, schedule->cut, schedule->lanes, program->queue));
  }
  if (size == 0)
    return TRUE;
  program->scratch = allocate (program, size, "scratch", error);
  return program->scratch != NULL;
}

static gboolean
allocate_activations (EngineProgram *program, GError **error)
{
  program->arena = allocate (program, activation_bytes (program), "activations", error);
  if (!program->arena)
    return FALSE;
  program->lanes = program->arena + program->plan->arena[ENGINE_SPACE_BATCH];
  return TRUE;
}

EngineProgram *
engine_program_new (const EngineGraph *graph, KernelBackend *backend, KernelQueue *queue,
    int max_batch, const EngineProgramOptions *options, GError **error)
{
  g_autoptr (EngineProgram) program = g_new0 (EngineProgram, 1);

  program->graph = graph;
  program->backend = backend;
  program->queue = queue;
  program->max_batch = max_batch;
  program->tactics = options->tactics;
  program->constants = g_ptr_array_new_with_free_func ((GDestroyNotify) engine_constant_release);
  program->steps = g_array_new (FALSE, FALSE, sizeof (EngineStep));
  program->schedule = options->schedule ? *options->schedule
                                        : engine_schedule_new (graph, backend, queue, max_batch);
  if (program->schedule.lanes == 0)
    program->schedule.lanes = backend->queue_lanes (queue);
  program->plan = engine_plan_new (graph, max_batch, program->schedule.cut, options->kept,
      options->flags, error);
  if (!program->plan || !allocate_activations (program, error) ||
      !allocate_scratch (program, error))
    return NULL;
  for (int i = 0; i < (int) graph->nodes->len; i++) {
    if (!add_node (program, i, error))
      return NULL;
    if (i < program->schedule.cut)
      program->cut_steps = program->steps->len;
  }
  program->tactics = NULL; /* the caller's */
  return g_steal_pointer (&program);
}

void
engine_program_free (EngineProgram *program)
{
  if (!program)
    return;
  if (program->scratch)
    program->backend->free (program->backend, program->scratch);
  if (program->arena)
    program->backend->free (program->backend, program->arena);
  g_ptr_array_unref (program->constants);
  g_array_unref (program->steps);
  engine_plan_free ((EnginePlan *) program->plan);
  g_free (program);
}
