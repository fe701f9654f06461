/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * step.h: what an EngineExec runs: kernels with their arguments filled in. Internal to engine/.
 *
 * A step is one kernel call. Its arguments are written for one image when the engine is put on a
 * back end; run() copies them, multiplies the images, sets the pointers to activations, and calls
 * the kernel. Nothing is looked up or allocated per frame.
 */
#pragma once

#include "engine/engine.h"
#include "engine/graph.h"
#include "engine/plan.h"
#include "engine/schedule.h"
#include "engine/weights.h"

typedef enum {
#define KERNEL_OP(name, Args) ENGINE_SLOT_##name,
#include "kernels/kernel-ops.inc"
#undef KERNEL_OP
  ENGINE_SLOT_COUNT
} EngineSlot;
/* The slot of an op that has one for every type. */
#define ENGINE_SLOT_OF(op, type)                                                                   \
  ((type) == ENGINE_TYPE_S8    ? ENGINE_SLOT_##op##_s8                                             \
   : (type) == ENGINE_TYPE_F16 ? ENGINE_SLOT_##op##_f16                                            \
                               : ENGINE_SLOT_##op##_f32)

typedef void (*EngineKernelFn) (void); /* called through the type of its slot only */

/* Where a step finds an activation: `offset` bytes into the memory of its space, and `stride` more
 * for each of EngineSpan.times. That is all the difference between a step by image and by layer. */
typedef struct {
  EngineSpace space;
  gsize offset, stride;
} EngineOperand;

/* The images that a step runs for, and their memory. */
typedef struct {
  int images;
  struct {
    guint8 *memory;
    int times; /* ENGINE_SPACE_BATCH: the first of the images; ENGINE_SPACE_IMAGE: how many */
  } space[ENGINE_SPACE_COUNT];
  void *scratch;
} EngineSpan;

typedef struct _EngineStep EngineStep;
struct _EngineStep {
  void (*run) (const EngineStep *step, const EngineSpan *span, KernelQueue *queue);
  EngineKernelFn kernel;
  EngineSlot slot;
  int node;               /* of the graph */
  EngineOperand x, x2, y; /* x2: the second input or the residual, where there is one */
  union {                 /* activations and scratch are NULL here: run() sets them */
    KernelConvS8 conv_s8;
    KernelConvF32 conv_f32;
    KernelConvF16 conv_f16;
    KernelBinaryF16 binary_f16;
    KernelUnaryF16 unary_f16;
    KernelWidth width;
    KernelPoolF16 pool_f16;
    KernelBinaryS8 binary_s8;
    KernelBinaryF32 binary_f32;
    KernelLutS8 lut;
    KernelUnaryF32 unary;
    KernelConvert convert;
    KernelPoolS8 pool_s8;
    KernelPoolF32 pool_f32;
    KernelCopy copy;
    KernelTranspose transpose;
    KernelPad pad;
    KernelSoftmax softmax;
    KernelLayernorm layernorm;
    KernelLrn lrn;
    KernelMatmul matmul;
  };
};

/* Choices that are otherwise the engine's own: for tests, and for who must see every activation. */
typedef struct {
  EnginePlanFlags flags;
  const EngineSchedule *schedule; /* NULL: engine_schedule_new() */
  const int *tactics;             /* per node; NULL: 0 everywhere */
  const int *kept;                /* of engine_plan_new() */
} EngineProgramOptions;

/* The steps of a graph on a back end, and the memory that they point into. */
typedef struct {
  const EngineGraph *graph;
  const EnginePlan *plan;
  const int *tactics; /* per node, while the program is made; NULL: 0 */
  EngineSchedule schedule;
  KernelBackend *backend;
  KernelQueue *queue;
  int max_batch;
  /* The back end's memory. */
  guint8 *arena;        /* ENGINE_SPACE_BATCH */
  guint8 *lanes;        /* ENGINE_SPACE_IMAGE of every lane, back to back; behind the arena */
  guint8 *scratch;      /* of one convolution, or of one in each lane; NULL where none needs any */
  gsize lane_scratch;   /* bytes of one lane's */
  GPtrArray *constants; /* EngineConstant: packed weights, biases, tables; shared */
  gsize constant_bytes;
  GArray *steps;   /* EngineStep, in the order in which they run */
  guint cut_steps; /* the first so many run by image */
} EngineProgram;

/* The arena, scratch and constants of a graph on a back end, and its steps. ENGINE_ERROR_BACKEND
 * names a kernel that the back end lacks, ENGINE_ERROR_MEMORY says how much was needed. */
EngineProgram *engine_program_new (const EngineGraph *graph, KernelBackend *backend,
    KernelQueue *queue, int max_batch, const EngineProgramOptions *options, GError **error);
void engine_program_free (EngineProgram *program); /* NULL is fine */
G_DEFINE_AUTOPTR_CLEANUP_FUNC (EngineProgram, engine_program_free)

/* "conv_s8" */
const char *engine_slot_name (EngineSlot slot);

/* Queues the steps for the first `batch` images; returns NULL. With `seconds`, [lanes + 1][steps],
 * what each step takes is added there, by image in its lane's row and by layer in the last; each is
 * waited for, and what failed is returned. */
const char *engine_program_run (const EngineProgram *program, int batch, double *seconds);
/* `images` images from `first` on: one in the memory of a lane, or by layer in that of all lanes
 * (ENGINE_NONE), which holds as many. */
EngineSpan engine_program_span (const EngineProgram *program, int first, int images, int lane);
/* Where an activation of ENGINE_SPACE_BATCH lives. */
void *engine_program_value (const EngineProgram *program, int value);

/* --- For the step-*.c files, which make the steps of one kind of node ------------------------ */

/* Appends a step whose arguments are zero, from the node's first input to its output; valid until
 * the next one. */
EngineStep *engine_step_add (EngineProgram *program, int node, EngineSlot slot, GError **error);
/* Memory of the back end with a copy of the data, which belongs to an input of the node (any number
 * of the caller's where it is no input's). Shared with other programs of the graph (weights.h): the
 * same node and input must always give the same bytes. */
const void *engine_step_constant (EngineProgram *program, int node, int input, const void *data,
    gsize size, GError **error);
/* The same with bytes (to be freed with g_free) that are only made where nobody has made them. */
typedef void *(*EngineBytesFn) (gpointer data, gsize *size, GError **error);
const void *engine_step_packed (EngineProgram *program, const EngineConstantKey *key,
    EngineBytesFn bytes, gpointer data, GError **error);

gboolean engine_step_conv (EngineProgram *program, int node, GError **error);
gboolean engine_step_matmul (EngineProgram *program, int node, GError **error);
gboolean engine_step_lrn (EngineProgram *program, int node, GError **error);
gboolean engine_step_layernorm (EngineProgram *program, int node, GError **error);
gboolean engine_step_binary (EngineProgram *program, int node, GError **error);
gboolean engine_step_unary (EngineProgram *program, int node, GError **error);
gboolean engine_step_pool (EngineProgram *program, int node, GError **error);
gboolean engine_step_concat (EngineProgram *program, int node, GError **error);
gboolean engine_step_slice (EngineProgram *program, int node, GError **error);
gboolean engine_step_transpose (EngineProgram *program, int node, GError **error);
gboolean engine_step_pad (EngineProgram *program, int node, GError **error);
gboolean engine_step_softmax (EngineProgram *program, int node, GError **error);
gboolean engine_step_convert (EngineProgram *program, int node, GError **error);
gboolean engine_step_width (EngineProgram *program, int node, GError **error);

/* A value as an operand, from byte `inner` of each image on. */
EngineOperand engine_step_operand (const EngineProgram *program, int value, gsize inner);
/* Scratch of a matmul's kernel for so many images. */
gsize engine_step_matmul_scratch (const EngineProgram *program, int node, int images,
    KernelQueue *queue);
/* A convolution for one image, with tactic 0, and whether its input is int8. */
KernelConvShape engine_step_conv_shape (const EngineGraph *graph, int node);
EngineType engine_step_conv_type (const EngineGraph *graph, int node); /* of its input */
/* Scratch of the convolution's kernel for so many images. */
gsize engine_step_conv_scratch (const EngineProgram *program, int node, int images,
    KernelQueue *queue);
