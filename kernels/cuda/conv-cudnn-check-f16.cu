/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * conv-cudnn-check-f16.cu: whether a plan of halves gives the bytes of conv-plain.cu.
 *
 * x, w, b and r are multiples of 1/8 in -2 .. 2: sums of up to 2^18 products are exact in float, in any order,
 * and only sums in less, or values that are rounded on the way, can give other bytes. The first and last two
 * images are compared.
 */
#include "kernels/cuda/conv-cudnn-check.h"

#include <math.h>
#include <stdlib.h>

#define SEED_W 0x70000001u
#define SEED_B 0x80000001u

static __host__ __device__ inline float
random_exact (size_t i, uint32_t seed)
{
  return (float) ((int) (scramble ((uint32_t) i * 2 + seed) % 33) - 16) * 0.125f;
}

struct F16 {
  using Args = KernelConvF16;
  using Value = KernelHalf;

  static __device__ KernelHalf random (size_t i, uint32_t seed)
  {
    return kernel_half_of_f32 (random_exact (i, seed));
  }

  static void run_plain (const KernelConvF16 *args, CudnnCheck *check)
  {
    kernel_conv_f16_cuda_plain.run (args, &check->queue);
  }

  static const float *factors (const KernelConvF16 &)
  {
    return NULL;
  }

  static const float *residual_factor (const KernelConvF16 &)
  {
    static const float one = 1;

    return &one;
  }
};

/* w, half, packed and b are memory of the host. */
static void
check_plan (CudnnCheck *check, cudnnHandle_t handle, const CudnnPlan *plan, float *w,
    KernelHalf *half, void *packed, float *b)
{
  const KernelConvShape *s = &check->shape;
  const size_t n_x = (size_t) s->n * s->ih * s->iw * s->ic;
  const size_t n_w = (size_t) s->oc * s->kh * s->kw * (s->ic / s->groups);
  const bool clamp = check->conv->steps & CUDNN_STEP_CLAMP;
  KernelConvF16 args = {.shape = *s};
  const void *own_w;

  args.lo = clamp ? check->conv->lo : -INFINITY;
  args.hi = clamp ? check->conv->hi : INFINITY;
  for (size_t i = 0; i < n_w; i++) {
    w[i] = random_exact (i, SEED_W);
    half[i] = kernel_half_of_f32 (w[i]);
  }
  for (int k = 0; k < s->oc; k++)
    b[k] = random_exact (k, SEED_B);
  own_w = take_copy (check, half, n_w * sizeof *half);
  args.w = take_copy (check, packed, kernel_conv_f16_cuda_plain.pack (s, w, packed));
  args.b = (const float *) take_copy (check, b, s->oc * sizeof *b);
  args.x = (const KernelHalf *) take (check, n_x * sizeof *args.x);
  run_fill<F16> (check, args.x, 0, n_x, SEED_X);
  if (check->error == cudaSuccess)
    run_both<F16> (check, handle, plan, args, own_w);
}

void
kernel_cudnn_check_f16 (CudnnCheck *check, cudnnHandle_t handle, const CudnnPlan *plan)
{
  const KernelConvShape *s = &check->shape;
  const size_t n_w = (size_t) s->oc * s->kh * s->kw * (s->ic / s->groups);
  float *w = (float *) malloc (n_w * sizeof *w), *b = (float *) malloc (s->oc * sizeof *b);
  KernelHalf *half = (KernelHalf *) malloc (n_w * sizeof *half);
  void *packed = malloc (kernel_conv_f16_cuda_plain.pack (s, NULL, NULL));

  if (w && b && half && packed)
    check_plan (check, handle, plan, w, half, packed, b);
  else
    note (check, cudaErrorMemoryAllocation);
  cudaStreamSynchronize (check->queue.stream); /* what it copies from is freed next */
  free (w);
  free (b);
  free (half);
  free (packed);
}
