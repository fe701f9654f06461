/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * step.h: what an EngineExec runs: kernels with their arguments filled in. Internal to engine/.
 *
 * A step is one kernel call. Its arguments are written for one image when the engine is put on a
 * back end; run() copies them, multiplies the images, and calls the kernel. Nothing is looked up,
 * computed or allocated per frame.
 */
#pragma once

#include "engine/engine.h"
#include "engine/graph.h"
#include "engine/plan.h"

typedef enum {
#define KERNEL_OP(name, Args) ENGINE_SLOT_##name,
#include "kernels/kernel-ops.inc"
#undef KERNEL_OP
  ENGINE_SLOT_COUNT
} EngineSlot;

typedef void (*EngineKernelFn) (void); /* called through the type of its slot only */

typedef struct _EngineStep EngineStep;
struct _EngineStep {
  void (*run) (const EngineStep *step, int batch, KernelQueue *queue);
  EngineKernelFn kernel;
  EngineSlot slot;
  int node; /* of the graph */
  union {
    KernelConvS8 conv_s8;
    KernelConvF32 conv_f32;
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
  };
};

/* The steps of a graph on a back end, and the memory that they point into. */
typedef struct {
  const EngineGraph *graph;
  const EnginePlan *plan;
  KernelBackend *backend;
  KernelQueue *queue;
  int max_batch;
  guint8 *arena;        /* the back end's memory, as are scratch and constants */
  void *scratch;        /* for one convolution at a time; NULL where none needs any */
  GPtrArray *constants; /* EngineConstant: packed weights, biases, tables; shared */
  gsize constant_bytes;
  GArray *steps; /* EngineStep, in the order in which they run */
} EngineProgram;

/* The arena, scratch and constants of a graph on a back end, and its steps. ENGINE_ERROR_BACKEND
 * names a kernel that the back end lacks, ENGINE_ERROR_MEMORY says how much was needed. */
EngineProgram *engine_program_new (const EngineGraph *graph, KernelBackend *backend,
    KernelQueue *queue, int max_batch, EnginePlanFlags flags, GError **error);
void engine_program_free (EngineProgram *program); /* NULL is fine */
G_DEFINE_AUTOPTR_CLEANUP_FUNC (EngineProgram, engine_program_free)

/* "conv_s8" */
const char *engine_slot_name (EngineSlot slot);

/* Where an activation lives. */
void *engine_program_value (const EngineProgram *program, int value);

/* --- For the step-*.c files, which make the steps of one kind of node ------------------------ */

/* Appends a step whose arguments are zero; valid until the next one. */
EngineStep *engine_step_add (EngineProgram *program, int node, EngineSlot slot, GError **error);
/* Memory of the back end with a copy of the data, which belongs to an input of the node (any number
 * of the caller's where it is no input's). Shared with other programs of the graph (weights.h): the
 * same node and input must always give the same bytes. */
const void *engine_step_constant (EngineProgram *program, int node, int input, const void *data,
    gsize size, GError **error);
/* The same with bytes (to be freed with g_free) that are only made where nobody has made them. */
typedef void *(*EngineBytesFn) (gpointer data, gsize *size, GError **error);
const void *engine_step_packed (EngineProgram *program, int node, int input, int tactic,
    EngineBytesFn bytes, gpointer data, GError **error);

gboolean engine_step_conv (EngineProgram *program, int node, GError **error);
gboolean engine_step_binary (EngineProgram *program, int node, GError **error);
gboolean engine_step_unary (EngineProgram *program, int node, GError **error);
gboolean engine_step_pool (EngineProgram *program, int node, GError **error);
gboolean engine_step_concat (EngineProgram *program, int node, GError **error);
gboolean engine_step_slice (EngineProgram *program, int node, GError **error);
gboolean engine_step_transpose (EngineProgram *program, int node, GError **error);
gboolean engine_step_pad (EngineProgram *program, int node, GError **error);
gboolean engine_step_softmax (EngineProgram *program, int node, GError **error);
gboolean engine_step_convert (EngineProgram *program, int node, GError **error);

/* Scratch of the convolution's kernel for the whole batch. */
gsize engine_step_conv_scratch (const EngineProgram *program, int node);
