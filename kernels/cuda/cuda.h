/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * cuda.h: the inside of the back end "cuda:N".
 *
 * A kernel of the table is kernel_<slot>_cuda (args, queue). It launches on queue->stream and does
 * nothing else: it allocates nothing, waits for nothing and checks nothing. Before each call
 * table.cu has made the device current; after it, it asks for errors and keeps the first with the
 * slot's name. Calls may be recorded (stream capture), so that everything a launch depends on is in
 * its arguments.
 *
 * Compiled with -fmad=false: a product and a sum are fused where fmaf says so, nowhere else.
 */
#pragma once

#include "kernels/kernels.h"
#include "kernels/requant.h"

#include <cuda.h>
#include <cuda_runtime.h>

#ifdef __cplusplus
extern "C" {
#endif

/* --- The device ----------------------------------------------------------------------------- */

typedef struct CudnnCache CudnnCache; /* cudnn-plans.c */

typedef struct {
  KernelBackend backend; /* the first member: a KernelBackend * is one of these */
  KernelOps ops;
  CUcontext context; /* current while any function of this back end runs */
  bool primary;      /* it is the device's own, and retained; else somebody else's */
  int device;
  int capability; /* of the device, 10 * major + minor */
  int sm;         /* of the code that runs there, as convolutions see it: 75, 80, 90, 100 or 120 */
  int multiprocessors;
  int shared_memory; /* most bytes of a block, after cudaFuncSetAttribute */
  CudnnCache *cudnn; /* NULL: there is no cuDNN */
  char name[24], description[320];
} CudaBackend;

struct KernelQueue {
  CudaBackend *cuda;
  cudaStream_t stream; /* non-blocking: independent of the legacy stream */
  const char *last;    /* the slot called last, for messages */
  struct cudnnContext *cudnn; /* on that stream; NULL until a convolution may take cuDNN */
  bool recording;
  cudaEvent_t *marks;
  int n_marks;
  char failure[320]; /* the first since the last wait, or "" */
  char told[320];    /* what queue_wait() returned */
};

/* Keeps an error, unless it is cudaSuccess or one is kept already; queue_wait() tells it. `what`
 * names the kernel or the copy. */
void kernel_cuda_check (KernelQueue *queue, const char *what, cudaError_t error);

/* What every function does first and last: makes the context current, and puts back what was.
 * False, and kept in the queue (may be NULL), when that fails. */
bool kernel_cuda_enter (CudaBackend *cuda, KernelQueue *queue);
void kernel_cuda_leave (CudaBackend *cuda);

/* queue.cu; as kernels.h says. */
KernelQueue *kernel_cuda_queue_new (KernelBackend *backend, int threads);
void kernel_cuda_queue_free (KernelQueue *queue);
const char *kernel_cuda_queue_wait (KernelQueue *queue);
void kernel_cuda_upload (KernelQueue *queue, void *device, const void *host, size_t size);
void kernel_cuda_download (KernelQueue *queue, void *host, const void *device, size_t size);
void kernel_cuda_record_begin (KernelQueue *queue);
KernelRecording *kernel_cuda_record_end (KernelQueue *queue);
void kernel_cuda_replay (KernelQueue *queue, KernelRecording *recording);
void kernel_cuda_recording_free (KernelQueue *queue, KernelRecording *recording);
bool kernel_cuda_marks (KernelQueue *queue, int count);
void kernel_cuda_mark (KernelQueue *queue, int mark);
double kernel_cuda_mark_seconds (KernelQueue *queue, int from, int to);

/* limits.cu; as kernels.h says. */
bool kernel_cuda_limits (KernelQueue *queue, KernelLimits *limits);

/* The slots. table.cu adds entering, leaving and errors. */
#define KERNEL_OP_PASS(name, Args)
#define KERNEL_OP(name, Args) void kernel_##name##_cuda (const Args *args, KernelQueue *queue);
#include "kernels/kernel-ops.inc"
#undef KERNEL_OP
void kernel_cuda_fill_ops (KernelOps *ops, int sm);
int kernel_cuda_conv_level (int compute_capability); /* the `sm` above, from 10 * major + minor */
void kernel_cuda_fill_conv (KernelOps *ops, int sm);

/* --- Convolutions --------------------------------------------------------------------------- */

/* One way to convolve. The lists in conv.cu are ordered: tactic 0 is the first that suits, 1, 2, ...
 * count those that suit. "plain" suits everything; what comes behind it is for whoever times them.
 * Packed weights and scratch are those of the same entry. */
typedef struct {
  const char *name;
  /* Whether it can do this shape, whatever n, on a device of compute capability sm: 75, 80, 90,
   * 100 or 120, where each but 90 and 100 (wgmma, tcgen05) has what those before it have. */
  bool (*suits) (const KernelConvShape *shape, int sm);
  KernelConvS8PackFn pack;
  KernelConvScratchFn scratch; /* NULL: none */
  /* y is int8, or float with to_f32 (no r, lo, hi): every entry does both. */
  void (*run) (const KernelConvS8 *args, bool to_f32, KernelQueue *queue);
} CudaConvS8;

typedef struct {
  const char *name;
  bool (*suits) (const KernelConvShape *shape, int sm);
  KernelConvF32PackFn pack;
  KernelConvScratchFn scratch; /* NULL: none */
  void (*run) (const KernelConvF32 *args, KernelQueue *queue);
} CudaConvF32;

typedef struct {
  const char *name;
  bool (*suits) (const KernelConvShape *shape, int sm);
  KernelConvF32PackFn pack;
  KernelConvScratchFn scratch; /* NULL: none */
  void (*run) (const KernelConvF16 *args, KernelQueue *queue);
} CudaConvF16;

/* Each defined in conv-<name>.cu; conv.cu puts them in order. */
extern const CudaConvS8 kernel_conv_s8_cuda_depthwise, kernel_conv_s8_cuda_depthwise_small,
    kernel_conv_s8_cuda_depthwise_strip, kernel_conv_s8_cuda_depthwise_seven,
    kernel_conv_s8_cuda_plain;
extern const CudaConvF32 kernel_conv_f32_cuda_depthwise, kernel_conv_f32_cuda_tiles,
    kernel_conv_f32_cuda_plain;
/* [kh][kw][ic / groups][oc] */
size_t kernel_conv_f32_pack_cuda_plain (const KernelConvShape *shape, const float *w, void *packed);

/* --- Launching ------------------------------------------------------------------------------ */

#define KERNEL_CUDA_THREADS 256

/* Blocks so that every item has a thread of its own. */
static inline unsigned
kernel_cuda_blocks (size_t items, unsigned threads)
{
  return (unsigned) ((items + threads - 1) / threads);
}

/* Whether wide accesses are allowed: pointers promise no more than their element's alignment. */
static inline bool
kernel_cuda_aligned (const void *pointer, size_t bytes)
{
  return ((uintptr_t) pointer & (bytes - 1)) == 0;
}

#ifdef __cplusplus
}
#endif

/* --- On the device -------------------------------------------------------------------------- */

#ifdef __CUDACC__

/* The number of this thread in a one-dimensional launch. */
static __device__ inline size_t
kernel_cuda_item (void)
{
  return (size_t) blockIdx.x * blockDim.x + threadIdx.x;
}

/* Byte i of a word, as int8; and four bytes to a word, the first lowest. */
static __device__ inline int
kernel_cuda_byte (uint32_t word, int i)
{
  return (int8_t) (word >> (8 * i));
}

static __device__ inline uint32_t
kernel_cuda_word (int b0, int b1, int b2, int b3)
{
  return __byte_perm (__byte_perm (b0, b1, 0x0040), __byte_perm (b2, b3, 0x0040), 0x5410);
}

#endif
