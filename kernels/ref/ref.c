/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * ref.c: the back end "ref", the specification in plain C: host memory, and a queue that has run
 * everything when a kernel returns.
 */
#include "kernels/backend.h"

#include <stdlib.h>
#include <string.h>

static size_t
conv_scratch (const KernelConvShape *shape, KernelQueue *queue)
{
  return 0;
}

static const char *
conv_tactic (const KernelConvShape *shape, int tactic)
{
  return tactic == 0 ? "plain" : NULL;
}

/* Complete by construction: a kernel of the list that has no reference does not link. */
const KernelOps kernel_ops_ref = {
    .conv_s8_pack = kernel_conv_s8_pack_ref,
    .conv_f32_pack = kernel_conv_f32_pack_ref,
    .conv_f16_pack = kernel_conv_f16_pack_ref,
    .conv_s8_scratch = conv_scratch,
    .conv_f32_scratch = conv_scratch,
    .conv_f16_scratch = conv_scratch,
    .conv_s8_tactic = conv_tactic,
    .conv_f32_tactic = conv_tactic,
    .conv_f16_tactic = conv_tactic,
    .matmul_s8_scratch = kernel_matmul_s8_scratch_ref,
    .matmul_f32_scratch = kernel_matmul_f32_scratch_ref,
#define KERNEL_OP(name, Args) .name = kernel_##name##_ref,
#include "kernels/kernel-ops.inc"
#undef KERNEL_OP
};

static void *
host_alloc (KernelBackend *backend, size_t size)
{
  void *memory = NULL;

  return posix_memalign (&memory, KERNEL_ALIGN, size > 0 ? size : 1) == 0 ? memory : NULL;
}

static void
host_free (KernelBackend *backend, void *memory)
{
  free (memory);
}

static void
copy_bytes (KernelQueue *queue, void *to, const void *from, size_t size)
{
  memcpy (to, from, size);
}

/* Nothing is kept, so one object is every queue. */
struct KernelQueue {
  char unused;
};

static KernelQueue *
queue_new (KernelBackend *backend, int threads)
{
  static KernelQueue queue;

  return &queue;
}

static void
queue_free (KernelQueue *queue)
{
}

static const char *
queue_wait (KernelQueue *queue)
{
  return NULL;
}

static int
queue_lanes (KernelQueue *queue)
{
  return 1;
}

static void
queue_each (KernelQueue *queue, KernelEachFn fn, void *ctx, int pieces)
{
  for (int i = 0; i < pieces; i++)
    fn (ctx, i, 0, queue);
}

static void
close_backend (KernelBackend *backend)
{
}

KernelBackend *
kernel_open_ref (char *why, size_t why_size)
{
  static KernelBackend backend = {
      .name = "ref",
      .description = "plain C, the specification",
      .ops = &kernel_ops_ref,
      .host_memory = true,
      .alloc = host_alloc,
      .free = host_free,
      .queue_new = queue_new,
      .queue_free = queue_free,
      .queue_wait = queue_wait,
      .upload = copy_bytes,
      .download = copy_bytes,
      .queue_lanes = queue_lanes,
      .queue_each = queue_each,
      .close = close_backend,
  };

  return &backend;
}
