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

#define SEED_X 0x50000001u
#define SEED_R 0x60000001u
#define SEED_W 0x70000001u
#define SEED_B 0x80000001u

static __host__ __device__ inline float
random_exact (size_t i, uint32_t seed)
{
  return (float) ((int) (scramble ((uint32_t) i * 2 + seed) % 33) - 16) * 0.125f;
}

static __global__ void
__launch_bounds__ (KERNEL_CUDA_THREADS)
    fill (KernelHalf *x, size_t first, size_t count, uint32_t seed)
{
  const size_t i = kernel_cuda_item ();

  if (i < count)
    x[i] = kernel_half_of_f32 (random_exact (first + i, seed));
}

static void
run_fill (CudnnCheck *check, void *x, size_t first, size_t count, uint32_t seed)
{
  if (x)
    fill<<<kernel_cuda_blocks (count, KERNEL_CUDA_THREADS), KERNEL_CUDA_THREADS, 0,
        check->queue.stream>>> ((KernelHalf *) x, first, count, seed);
}

static size_t
outputs_of_image (const CudnnCheck *check)
{
  return (size_t) check->shape.oh * check->shape.ow * check->shape.oc;
}

/* The images first ... by the plain kernel against those of y. */
static void
compare (CudnnCheck *check, KernelConvF16 args, int first, int images, bool with_r,
    unsigned long long *different)
{
  const size_t one = outputs_of_image (check), bytes = images * one * sizeof (KernelHalf);
  const uint8_t *y = (const uint8_t *) (args.y + first * one);

  args.shape.n = images;
  args.x += (size_t) first * args.shape.ih * args.shape.iw * args.shape.ic;
  args.y = (KernelHalf *) take (check, bytes);
  if (with_r) {
    args.r = (const KernelHalf *) take (check, bytes);
    run_fill (check, (void *) args.r, first * one, images * one, SEED_R);
  }
  if (check->error != cudaSuccess)
    return;
  kernel_conv_f16_cuda_plain.run (&args, &check->queue);
  count_different<<<kernel_cuda_blocks (bytes, KERNEL_CUDA_THREADS), KERNEL_CUDA_THREADS, 0,
      check->queue.stream>>> (y, (const uint8_t *) args.y, bytes, different);
}

/* The plan overwrites its residual, which engines have it do too. */
static void
run_both (CudnnCheck *check, cudnnHandle_t handle, const CudnnPlan *plan, KernelConvF16 args,
    const void *w, bool with_r)
{
  static const float one = 1;
  const KernelConvShape *s = &check->shape;
  const size_t count = s->n * outputs_of_image (check);
  const int images = s->n < IMAGES ? s->n : IMAGES;
  unsigned long long *different = (unsigned long long *) take (check, sizeof *different), found = 0;
  CudnnPointers p = {.x = args.x, .w = w, .b = args.b, .mr = &one};

  args.y = (KernelHalf *) take (check, count * sizeof *args.y);
  p.r = p.y = args.y;
  p.workspace = take (check, plan->workspace);
  if (check->error != cudaSuccess)
    return;
  note (check, cudaMemsetAsync (different, 0, sizeof *different, check->queue.stream));
  note (check, cudaMemsetAsync (args.y, 0x55, count * sizeof *args.y, check->queue.stream));
  if (with_r)
    run_fill (check, args.y, 0, count, SEED_R);
  if (kernel_cudnn_plan_run (plan, handle, &p) != CUDNN_STATUS_SUCCESS)
    note (check, cudaErrorLaunchFailure);
  compare (check, args, 0, images, with_r, different);
  if (s->n > images)
    compare (check, args, s->n - images, images, with_r, different);
  note (check, cudaGetLastError ());
  note (check, cudaMemcpyAsync (&found, different, sizeof found, cudaMemcpyDeviceToHost,
                   check->queue.stream));
  note (check, cudaStreamSynchronize (check->queue.stream));
  check->different = found;
}

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
  run_fill (check, (void *) args.x, 0, n_x, SEED_X);
  if (check->error == cudaSuccess)
    run_both (check, handle, plan, args, own_w, check->conv->steps & CUDNN_STEP_RESIDUAL);
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
