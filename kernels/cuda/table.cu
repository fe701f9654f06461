/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * table.cu: the slots, each with what all of them need around a launch.
 */
#include "kernels/cuda/cuda.h"

/* Pictures go through picture_*. */
#define KERNEL_OP_PASS(name, Args)
/* Nothing is launched after a failure: whoever waits is told of the first one only. */
#define KERNEL_OP(name, Args)                                                                      \
  static void run_##name (const Args *args, KernelQueue *queue)                                    \
  {                                                                                                \
    if (queue->failure[0] != '\0' || !kernel_cuda_enter (queue->cuda, queue))                      \
      return;                                                                                      \
    queue->last = #name;                                                                           \
    kernel_##name##_cuda (args, queue);                                                            \
    kernel_cuda_check (queue, #name, cudaGetLastError ());                                         \
    kernel_cuda_leave (queue->cuda);                                                               \
  }
#include "kernels/kernel-ops.inc"
#undef KERNEL_OP

static size_t
no_scratch (const KernelMatmul *args, KernelQueue *queue)
{
  return 0;
}

void
kernel_cuda_fill_ops (KernelOps *ops, int sm)
{
#define KERNEL_OP_PASS(name, Args) ops->name = NULL;
#define KERNEL_OP(name, Args)      ops->name = run_##name;
#include "kernels/kernel-ops.inc"
#undef KERNEL_OP
  ops->matmul_s8_scratch = no_scratch;
  ops->matmul_f32_scratch = no_scratch;
  kernel_cuda_fill_conv (ops, sm);
}
