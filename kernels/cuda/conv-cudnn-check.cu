/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * conv-cudnn-check.cu: whether an int8 plan of cuDNN gives the bytes of conv-plain.cu.
 *
 * The data make rounding visible. In even channels accumulators are multiples of 64 and m is 2^-7: half
 * of all t are ties. In odd ones b puts t of one output as near to a tie as a float can: whether the
 * product was rounded before the sum decides it. The first and last two images are compared.
 */
#include "kernels/cuda/conv-cudnn-check.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct S8 {
  using Args = KernelConvS8;
  using Value = int8_t;

  static __host__ __device__ int8_t random (size_t i, uint32_t seed)
  {
    return (int8_t) scramble ((uint32_t) i * 2 + seed);
  }

  static void run_plain (const KernelConvS8 *args, CudnnCheck *check)
  {
    kernel_conv_s8_cuda_plain.run (args, check->to_f32, &check->queue);
  }

  static const float *factors (const KernelConvS8 &args)
  {
    return args.m;
  }

  static const float *residual_factor (const KernelConvS8 &args)
  {
    return &args.mr;
  }
};

static void
make_weights (const KernelConvShape *s, int8_t *w)
{
  const size_t window = (size_t) s->kh * s->kw * (s->ic / s->groups);

  for (size_t i = 0; i < window * s->oc; i++) {
    const uint32_t random = scramble ((uint32_t) i + 0x30000001u);

    if (i / window % 2 == 1)
      w[i] = (int8_t) (random % 255 - 127);
    else /* about four of a window are not zero */
      w[i] = random / 2 % window < 4 ? (random & 1 ? 64 : -64) : 0;
  }
}

/* acc: the sums of image 0. */
static void
aim (const KernelConvShape *s, const float *acc, bool with_r, float mr, float *m, float *b)
{
  const size_t pixels = (size_t) s->oh * s->ow;

  for (int k = 0; k < s->oc; k++) {
    const uint32_t random = scramble ((uint32_t) k + 0x40000001u);
    const size_t i = random % pixels * s->oc + k;
    float largest = 1;

    if (k % 2 == 0) {
      m[k] = 0x1p-7f;
      b[k] = (float) ((int) (random >> 16) % 41 - 20);
      continue;
    }
    for (size_t p = k; p < pixels * s->oc; p += s->oc)
      largest = fmaxf (largest, fabsf (acc[p]));
    m[k] = 100 / largest;
    b[k] = (float) ((int) (random >> 16) % 200 - 100 + 0.5 - (double) acc[i] * m[k] -
                    (with_r ? (double) S8::random (i, SEED_R) * mr : 0));
  }
}

/* --- Running -------------------------------------------------------------------------------- */

/* m and b on the host, from the sums of image 0 by the plain kernel. */
static void
make_factors (CudnnCheck *check, KernelConvS8 args, bool with_r, float *m, float *b)
{
  const size_t size = outputs_of_image (check) * sizeof (float);
  float *acc = (float *) malloc (size);

  for (int k = 0; k < check->shape.oc; k++) {
    m[k] = 1;
    b[k] = 0;
  }
  args.shape.n = 1;
  args.m = (const float *) take_copy (check, m, check->shape.oc * sizeof *m);
  args.b = (const float *) take_copy (check, b, check->shape.oc * sizeof *b);
  args.y = take (check, size);
  if (!acc)
    note (check, cudaErrorMemoryAllocation);
  if (check->error == cudaSuccess) {
    kernel_conv_s8_cuda_plain.run (&args, true, &check->queue);
    note (check, cudaMemcpyAsync (acc, args.y, size, cudaMemcpyDeviceToHost, check->queue.stream));
    note (check, cudaStreamSynchronize (check->queue.stream));
  }
  if (check->error == cudaSuccess)
    aim (&check->shape, acc, with_r, args.mr, m, b);
  free (acc);
}

static void
check_plan (CudnnCheck *check, cudnnHandle_t handle, const CudnnPlan *plan, int8_t *w,
    int8_t *packed, float *m, float *b)
{
  const KernelConvShape *s = &check->shape;
  const size_t n_x = (size_t) s->n * s->ih * s->iw * s->ic;
  const size_t n_w = (size_t) s->oc * s->kh * s->kw * (s->ic / s->groups);
  const bool with_r = check->conv->steps & CUDNN_STEP_RESIDUAL;
  const bool clamp = check->conv->steps & CUDNN_STEP_CLAMP;
  KernelConvS8 args = {.shape = *s, .mr = with_r ? 0.5f : 0.0f};
  const int8_t *plain_w;

  args.lo = clamp ? (int8_t) check->conv->lo : INT8_MIN;
  args.hi = clamp ? (int8_t) check->conv->hi : INT8_MAX;
  make_weights (s, w);
  plain_w = (const int8_t *) take_copy (check, w, n_w);
  args.w = take_copy (check, packed, kernel_conv_s8_cuda_plain.pack (s, 0, w, packed));
  args.x = (const int8_t *) take (check, n_x);
  run_fill<S8> (check, args.x, 0, n_x, SEED_X);
  make_factors (check, args, with_r, m, b);
  args.m = (const float *) take_copy (check, m, s->oc * sizeof *m);
  args.b = (const float *) take_copy (check, b, s->oc * sizeof *b);
  if (check->error == cudaSuccess)
    run_both<S8> (check, handle, plan, args, plain_w);
}

void
kernel_cudnn_check_s8 (CudnnCheck *check, cudnnHandle_t handle, const CudnnPlan *plan)
{
  const KernelConvShape *s = &check->shape;
  const size_t n_w = (size_t) s->oc * s->kh * s->kw * (s->ic / s->groups);
  int8_t *w = (int8_t *) malloc (n_w);
  int8_t *packed = (int8_t *) malloc (kernel_conv_s8_cuda_plain.pack (s, 0, NULL, NULL));
  float *m = (float *) malloc (s->oc * sizeof *m), *b = (float *) malloc (s->oc * sizeof *b);

  check->to_f32 = plan->conv.out == CUDNN_DATA_FLOAT;
  if (w && packed && m && b)
    check_plan (check, handle, plan, w, packed, m, b);
  else
    note (check, cudaErrorMemoryAllocation);
  cudaStreamSynchronize (
      check->queue.stream); /* what it copies from is freed next; a failure is known already */
  free (w);
  free (packed);
  free (m);
  free (b);
}

bool
kernel_cudnn_check (CudaBackend *cuda, cudnnHandle_t handle, cudaStream_t stream,
    const CudnnPlan *plan, char *why, size_t why_size)
{
  CudnnCheck check = {.queue = {.cuda = cuda, .stream = stream},
      .shape = shape_of (&plan->conv),
      .conv = &plan->conv};

  if (plan->conv.in == CUDNN_DATA_INT8)
    kernel_cudnn_check_s8 (&check, handle, plan);
  else
    kernel_cudnn_check_f16 (&check, handle, plan);
  while (check.n_taken > 0)
    cudaFreeAsync (check.taken[--check.n_taken], stream);
  cudaStreamSynchronize (stream);
  if (check.error != cudaSuccess)
    snprintf (why, why_size, "it could not be checked: %s", cudaGetErrorString (check.error));
  else if (check.different > 0)
    snprintf (why, why_size, "%zu bytes differ from the reference", check.different);
  return check.error == cudaSuccess && check.different == 0;
}
