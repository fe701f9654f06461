/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * kernels.h: every kernel of the project and the back ends that carry them; their arguments are in
 * args.h.
 *
 * A back end is a memory space, a queue and a table of kernels. `ref` is the specification in
 * plain C; `cpu` and `cuda:N` give the same bytes, faster. One signature serves all of them:
 *
 *     void kernel (const KernelArgs *args, KernelQueue *queue);
 *
 * Kernels are total: they allocate nothing, keep no state and cannot fail. Whatever can be wrong
 * (a shape, an overflow, a missing kernel) is refused earlier, by the planner of engine/; a
 * device error sticks to the queue and is read with KernelBackend.queue_wait().
 *
 * Layout and units, everywhere:
 *   activations   NHWC, dense:  [n][ih][iw][ic] -> [n][oh][ow][oc]
 *   weights       OHWI, dense:  [oc][kh][kw][ic / groups]
 *   int8 values   real = (q - zero) * scale; activations have one scale and zero point, weights one scale
 *                 for each output channel and zero point 0. What differs from channel to channel of an
 *                 activation is the planner's: it is in the weights, m and b that kernels get
 *   n             images in this call, 1 .. the batch the plan was made for
 * Pointers live in the back end's memory space and are aligned to KERNEL_ALIGN bytes where they
 * come from KernelBackend.alloc(); kernels require no more than the element's own alignment.
 * No argument aliases another unless its comment says so.
 *
 * Threads: a back end serves any number of threads at once; a queue belongs to one thread at a time;
 * different queues are independent. Results do not depend on the number of threads of a queue, bit
 * for bit, in float and in int8.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "kernels/args.h"

#ifdef __cplusplus
extern "C" {
#endif

#define KERNEL_ALIGN 64

typedef struct KernelBackend KernelBackend;
typedef struct KernelQueue KernelQueue;

/* --- The table of a back end ---------------------------------------------------------------- */

/* Packing: returns the bytes needed; writes them unless packed is NULL. Host memory on both
 * sides; the result is uploaded by the caller. Depends on the shape (n aside) and the weights. */
typedef size_t (*KernelConvS8PackFn) (const KernelConvShape *shape, int8_t zero_x, const int8_t *w,
    void *packed);
typedef size_t (*KernelConvF32PackFn) (const KernelConvShape *shape, const float *w, void *packed);
/* Scratch of one call on this queue, for any n up to shape->n. 0 is common. */
typedef size_t (*KernelConvScratchFn) (const KernelConvShape *shape, KernelQueue *queue);
/* The ways to compute a shape (its own tactic aside), for whoever times them: the name of tactic
 * 1, 2, ... for people, NULL beyond the last; for 0, the name of the one that it stands for. */
typedef const char *(*KernelConvTacticFn) (const KernelConvShape *shape, int tactic);
/* As KernelConvScratchFn; pointers of args are not read. NULL: the kernels need none. */
typedef size_t (*KernelMatmulScratchFn) (const KernelMatmul *args, KernelQueue *queue);

/* A NULL slot means "not on this back end"; the planner refuses by name. `ref` has all. */
typedef struct {
  KernelConvS8PackFn conv_s8_pack;
  KernelConvF32PackFn conv_f32_pack;
  KernelConvF32PackFn conv_f16_pack; /* of float weights */
  KernelConvScratchFn conv_s8_scratch;
  KernelConvScratchFn conv_f32_scratch;
  KernelConvScratchFn conv_f16_scratch;
  KernelConvTacticFn conv_s8_tactic;
  KernelConvTacticFn conv_f32_tactic;
  KernelConvTacticFn conv_f16_tactic;
  KernelMatmulScratchFn matmul_s8_scratch;
  KernelMatmulScratchFn matmul_f32_scratch;
#define KERNEL_OP(name, Args) void (*name) (const Args *args, KernelQueue *queue);
#include "kernel-ops.inc"
#undef KERNEL_OP
} KernelOps;

/* --- Back ends ------------------------------------------------------------------------------ */

/* One of many independent pieces of work. queue has one thread; lane is 0 .. queue_lanes() - 1 and
 * no two pieces have the same at the same time: it selects memory. */
typedef void (*KernelEachFn) (void *ctx, int piece, int lane, KernelQueue *queue);

/* What was queued between record_begin() and record_end(), to be queued again at once. */
typedef struct KernelRecording KernelRecording;

/* Of a device, a second, measured: 0 where there is no such instruction. */
typedef struct {
  double int8, fp16, fp32; /* multiplications and additions */
  double bytes;            /* read and written by a copy of far more than any cache holds */
  /* what was measured, for people; NULL where there is none */
  const char *int8_instruction, *fp16_instruction, *fp32_instruction;
} KernelLimits;

struct KernelBackend {
  const char *name;        /* "ref", "cpu", "cuda:0" */
  const char *description; /* one line for people: "AVX-512 VNNI" */
  const KernelOps *ops;
  bool host_memory; /* the CPU may read and write what alloc() returns */

  /* NULL when there is no memory. KERNEL_ALIGN-aligned, contents undefined. To be freed before the back
   * end is closed, once no queue works with it. */
  void *(*alloc) (KernelBackend *backend, size_t size);
  void (*free) (KernelBackend *backend, void *memory);
  /* Memory of the host that upload() and download() are fastest with, and that recordings may copy
   * to; NULL where any memory is as good. */
  void *(*host_alloc) (KernelBackend *backend, size_t size);
  void (*host_free) (KernelBackend *backend, void *memory);

  /* threads: how many may work for the queue, its caller among them; 0 takes the CPUs this process
   * may use; devices ignore it. Queues share the others: no more work at a time than there are CPUs.
   * NULL when no thread or no memory could be had. Free a queue before its back end. */
  KernelQueue *(*queue_new) (KernelBackend *backend, int threads);
  void (*queue_free) (KernelQueue *queue);
  /* Waits for everything queued; until then the queue counts as working. NULL, or what failed, once
   * per failure; the text is valid until the next call on the queue. */
  const char *(*queue_wait) (KernelQueue *queue);

  /* `size` bytes, ordered with the queue's kernels; the host side may be reused after queue_wait(). */
  void (*upload) (KernelQueue *queue, void *device, const void *host, size_t size);
  void (*download) (KernelQueue *queue, void *host, const void *device, size_t size);

  /* Where kernels run on the queue's threads, else NULL. Calls fn for 0 .. pieces - 1 in any order
   * and returns when all are done: a batch shared out by images scales where one shared out
   * kernel by kernel waits for its slowest part at every one. Not from within a piece. */
  int (*queue_lanes) (KernelQueue *queue);
  void (*queue_each) (KernelQueue *queue, KernelEachFn fn, void *ctx, int pieces);

  /* Where launching costs more than a small kernel, else NULL. Between the two, kernels and copies
   * are recorded, not run; record_end() is NULL when that failed, and queue_wait() says why.
   * A recording runs with the pointers and shapes that it was made with. Free it before its queue. */
  void (*record_begin) (KernelQueue *queue);
  KernelRecording *(*record_end) (KernelQueue *queue);
  void (*replay) (KernelQueue *queue, KernelRecording *recording);
  void (*recording_free) (KernelQueue *queue, KernelRecording *recording);

  /* Where the device keeps time, else NULL. marks() makes marks 0 .. count - 1, which are the queue's
   * until it is freed; false when that failed. mark() notes when the queue gets there, in every replay
   * where it was recorded; mark_seconds() is between two of them, once queue_wait() has returned. */
  bool (*marks) (KernelQueue *queue, int count);
  void (*mark) (KernelQueue *queue, int mark);
  double (*mark_seconds) (KernelQueue *queue, int from, int to);

  /* Measures what the device can do at the most, in some 100 ms and 1 GiB of its memory, or NULL.
   * False when that failed; queue_wait() says why. Nothing may be queued meanwhile. */
  bool (*limits) (KernelQueue *queue, KernelLimits *limits);

  void (*close) (KernelBackend *backend);
};

/* Opens "ref", "cpu", "cuda:N" or "cuda" (device 0). NULL when it is not to be had; `why` then
 * holds one sentence with the cause (cut to why_size, always terminated). Thread-safe.
 * A CUDA device's memory belongs to a context, by default the device's primary one; "cuda:N@ADDRESS"
 * takes the CUcontext at that address (hexadecimal) of device N, which must outlive the back end, to
 * read what somebody else has there. */
KernelBackend *kernel_open (const char *name, char *why, size_t why_size);
/* NULL is fine. */
void kernel_close (KernelBackend *backend);

/* CPU features that kernels of `cpu` may use. The one test hook: features outside the mask
 * are treated as absent by back ends opened afterwards. INT8_CPU_MASK (hex) in the environment
 * does the same for a whole process. Not thread-safe. */
typedef enum {
  KERNEL_CPU_AVX2 = 1 << 0,   /* AVX2 and FMA */
  KERNEL_CPU_AVX512 = 1 << 1, /* F, BW, DQ, VL */
  KERNEL_CPU_AVX512_VNNI = 1 << 2,
  KERNEL_CPU_AVX_VNNI = 1 << 3, /* its 256-bit form, on CPUs without AVX-512 too */
  KERNEL_CPU_AMX_INT8 = 1 << 4,
  KERNEL_CPU_AVX512_VBMI = 1 << 5,
  KERNEL_CPU_NEON = 1 << 16,     /* AArch64 */
  KERNEL_CPU_NEON_DOT = 1 << 17, /* sdot */
} KernelCpuFlags;
void kernel_cpu_set_mask (unsigned mask);
unsigned kernel_cpu_flags (void); /* detected & mask */

#ifdef __cplusplus
}
#endif
