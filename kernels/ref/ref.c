/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * ref.c: the back end "ref", the specification in plain C: host memory, and a queue that has run
 * everything when a kernel returns.
 */
#include "kernels/backend.h"

#include <stdlib.h>
#include <string.h>

size_t
kernel_conv_scratch_ref (const KernelConvShape *shape, KernelQueue *queue)
{
  return 0;
}

/* clang-format off */
const KernelOps kernel_ops_ref = {
  .conv_s8_pack = kernel_conv_s8_pack_ref,
  .conv_f32_pack = kernel_conv_f32_pack_ref,
  .conv_s8_scratch = kernel_conv_scratch_ref,
  .conv_f32_scratch = kernel_conv_scratch_ref,
  .conv_s8 = kernel_conv_s8_ref,
  .conv_s8_f32 = kernel_conv_s8_f32_ref,
  .conv_f32 = kernel_conv_f32_ref,
  .add_s8 = kernel_add_s8_ref,
  .add_f32 = kernel_add_f32_ref,
  .mul_s8 = kernel_mul_s8_ref,
  .mul_f32 = kernel_mul_f32_ref,
  .lut_s8 = kernel_lut_s8_ref,
  .unary_f32 = kernel_unary_f32_ref,
  .quantise_s8 = kernel_quantise_s8_ref,
  .dequantise_f32 = kernel_dequantise_f32_ref,
  .maxpool_s8 = kernel_maxpool_s8_ref,
  .maxpool_f32 = kernel_maxpool_f32_ref,
  .avgpool_s8 = kernel_avgpool_s8_ref,
  .avgpool_s8_f32 = kernel_avgpool_s8_f32_ref,
  .avgpool_f32 = kernel_avgpool_f32_ref,
  .copy_s8 = kernel_copy_s8_ref,
  .copy_f32 = kernel_copy_f32_ref,
  .transpose_s8 = kernel_transpose_s8_ref,
  .transpose_f32 = kernel_transpose_f32_ref,
  .pad_s8 = kernel_pad_s8_ref,
  .pad_f32 = kernel_pad_f32_ref,
  .softmax_f32 = kernel_softmax_f32_ref,
  .resize_u8 = kernel_resize_u8_ref,
  .yuv_rgb_u8 = kernel_yuv_rgb_u8_ref,
  .grey_u8 = kernel_grey_u8_ref,
  .input_s8 = kernel_input_s8_ref,
  .input_f32 = kernel_input_f32_ref,
};
/* clang-format on */

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
      .close = close_backend,
  };

  return &backend;
}
