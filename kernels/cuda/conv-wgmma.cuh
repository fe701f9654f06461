/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * conv-wgmma.cuh: the instructions of Hopper that conv-wgmma.cu uses: barriers in shared memory,
 * the bulk copy engine, and matrix products of a warpgroup.
 */
#pragma once

#include "kernels/cuda/conv-blocks.h"

#if defined(__CUDA_ARCH_FEAT_SM90_ALL)

/* --- Barriers ------------------------------------------------------------------------------- */

static __device__ __forceinline__ void
barrier_init (uint32_t barrier, int arrivals)
{
  asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(barrier), "r"(arrivals));
}

static __device__ __forceinline__ void
barrier_wait (uint32_t barrier, uint32_t parity)
{
  asm volatile("{\n\t.reg .pred done;\n"
               "again:\n\t"
               "mbarrier.try_wait.parity.shared::cta.b64 done, [%0], %1;\n\t"
               "@!done bra again;\n\t}" ::"r"(barrier),
               "r"(parity)
               : "memory");
}

static __device__ __forceinline__ void
barrier_expect (uint32_t barrier, uint32_t bytes)
{
  asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(barrier), "r"(bytes)
               : "memory");
}

static __device__ __forceinline__ void
barrier_arrive (uint32_t barrier)
{
  asm volatile("mbarrier.arrive.shared::cta.b64 _, [%0];" ::"r"(barrier) : "memory");
}

/* A barrier of the 128 threads of one warpgroup. */
static __device__ __forceinline__ void
group_sync (int group)
{
  asm volatile("bar.sync %0, 128;" ::"r"(group + 1) : "memory");
}

/* --- Copies --------------------------------------------------------------------------------- */

static __device__ __forceinline__ void
copy_bulk (uint32_t to, const void *from, uint32_t bytes, uint32_t barrier)
{
  asm volatile("cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes "
               "[%0], [%1], %2, [%3];" ::"r"(to),
               "l"(from), "r"(bytes), "r"(barrier)
               : "memory");
}

static __device__ __forceinline__ void
copy_box (uint32_t to, const CUtensorMap *map, int column, int row, uint32_t barrier)
{
  asm volatile("cp.async.bulk.tensor.2d.shared::cluster.global.mbarrier::complete_tx::bytes "
               "[%0], [%1, {%2, %3}], [%4];" ::"r"(to),
               "l"(map), "r"(column), "r"(row), "r"(barrier)
               : "memory");
}

static __device__ __forceinline__ void
copy_pixels (uint32_t to, const CUtensorMap *map, int c, int w, int h, int n, int dx, int dy,
    uint32_t barrier)
{
  asm volatile("cp.async.bulk.tensor.4d.shared::cluster.global.im2col.mbarrier::complete_tx::bytes "
               "[%0], [%1, {%2, %3, %4, %5}], [%6], {%7, %8};" ::"r"(to),
               "l"(map), "r"(c), "r"(w), "r"(h), "r"(n), "r"(barrier), "h"((uint16_t) dx),
               "h"((uint16_t) dy)
               : "memory");
}

static __device__ __forceinline__ void
store_box (const CUtensorMap *map, uint32_t from, int column, int row)
{
  asm volatile(
      "cp.async.bulk.tensor.2d.global.shared::cta.bulk_group [%0, {%1, %2}], [%3];" ::"l"(map),
      "r"(column), "r"(row), "r"(from)
      : "memory");
}

/* The same of an image: (channel, column, row, image). */
static __device__ __forceinline__ void
copy_image_box (uint32_t to, const CUtensorMap *map, int c, int w, int h, int n, uint32_t barrier)
{
  asm volatile("cp.async.bulk.tensor.4d.shared::cluster.global.mbarrier::complete_tx::bytes "
               "[%0], [%1, {%2, %3, %4, %5}], [%6];" ::"r"(to),
               "l"(map), "r"(c), "r"(w), "r"(h), "r"(n), "r"(barrier)
               : "memory");
}

static __device__ __forceinline__ void
store_image_box (const CUtensorMap *map, uint32_t from, int c, int w, int h, int n)
{
  asm volatile(
      "cp.async.bulk.tensor.4d.global.shared::cta.bulk_group [%0, {%1, %2, %3, %4}], [%5];" ::"l"(
          map),
      "r"(c), "r"(w), "r"(h), "r"(n), "r"(from)
      : "memory");
}

static __device__ __forceinline__ void
store_commit (void)
{
  asm volatile("cp.async.bulk.commit_group;" ::: "memory");
}

/* Until at most `left` stores of this thread still read shared memory. */
template <int left>
static __device__ __forceinline__ void
store_wait_read (void)
{
  asm volatile("cp.async.bulk.wait_group.read %0;" ::"n"(left) : "memory");
}

/* Ordinary stores to shared memory, before the copy engine reads them. */
static __device__ __forceinline__ void
store_fence (void)
{
  asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
}

/* Volatile: in this order, or the compiler loads all factors of a tile before it uses one. */
static __device__ __forceinline__ float4
load_quad (uint32_t from)
{
  float4 v;

  asm volatile("ld.volatile.shared.v4.f32 {%0, %1, %2, %3}, [%4];"
               : "=f"(v.x), "=f"(v.y), "=f"(v.z), "=f"(v.w)
               : "r"(from));
  return v;
}

/* Of each thread of this warpgroup; those who copy need few. */
template <int count, bool more>
static __device__ __forceinline__ void
set_registers (void)
{
  if (more)
    asm volatile("setmaxnreg.inc.sync.aligned.u32 %0;" ::"n"(count));
  else
    asm volatile("setmaxnreg.dec.sync.aligned.u32 %0;" ::"n"(count));
}

/* --- Products ------------------------------------------------------------------------------- */

/* A matrix in rows of kb bytes, swizzled: 8 rows are one pattern. */
template <int kb>
static __device__ __forceinline__ uint64_t
matrix (uint32_t address)
{
  return (uint64_t) (address >> 4 & 0x3fff) | (uint64_t) 1 << 16 | (uint64_t) (8 * kb >> 4) << 32 |
         (uint64_t) (kb == 128 ? 1 : 2) << 62;
}

static __device__ __forceinline__ void
wgmma_fence (void)
{
  asm volatile("wgmma.fence.sync.aligned;" ::: "memory");
}

static __device__ __forceinline__ void
wgmma_commit (void)
{
  asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory");
}

template <int left>
static __device__ __forceinline__ void
wgmma_wait (void)
{
  asm volatile("wgmma.wait_group.sync.aligned %0;" ::"n"(left) : "memory");
}

/* d (64 pixels x 64 or 128 channels) = a * b, added to d where `add`: 32 bytes of k, of int8 with int32
 * sums or of half with float sums. */
/* clang-format off */
#define CONV_R8(i) "+r"(d[i]), "+r"(d[i + 1]), "+r"(d[i + 2]), "+r"(d[i + 3]), \
  "+r"(d[i + 4]), "+r"(d[i + 5]), "+r"(d[i + 6]), "+r"(d[i + 7])
#define CONV_F8(i) "+f"(d[i]), "+f"(d[i + 1]), "+f"(d[i + 2]), "+f"(d[i + 3]), \
  "+f"(d[i + 4]), "+f"(d[i + 5]), "+f"(d[i + 6]), "+f"(d[i + 7])

static __device__ __forceinline__ void
wgmma (int (&d)[32], uint64_t a, uint64_t b, int add)
{
  asm volatile ("{\n\t.reg .pred p;\n\tsetp.ne.b32 p, %34, 0;\n\t"
      "wgmma.mma_async.sync.aligned.m64n64k32.s32.s8.s8 {"
      "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, "
      "%16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31}, "
      "%32, %33, p;\n\t}"
      : CONV_R8 (0), CONV_R8 (8), CONV_R8 (16), CONV_R8 (24)
      : "l"(a), "l"(b), "r"(add));
}

static __device__ __forceinline__ void
wgmma (int (&d)[64], uint64_t a, uint64_t b, int add)
{
  asm volatile ("{\n\t.reg .pred p;\n\tsetp.ne.b32 p, %66, 0;\n\t"
      "wgmma.mma_async.sync.aligned.m64n128k32.s32.s8.s8 {"
      "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, "
      "%16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31, "
      "%32, %33, %34, %35, %36, %37, %38, %39, %40, %41, %42, %43, %44, %45, %46, %47, "
      "%48, %49, %50, %51, %52, %53, %54, %55, %56, %57, %58, %59, %60, %61, %62, %63}, "
      "%64, %65, p;\n\t}"
      : CONV_R8 (0), CONV_R8 (8), CONV_R8 (16), CONV_R8 (24),
      CONV_R8 (32), CONV_R8 (40), CONV_R8 (48), CONV_R8 (56)
      : "l"(a), "l"(b), "r"(add));
}

static __device__ __forceinline__ void
wgmma (float (&d)[32], uint64_t a, uint64_t b, int add)
{
  asm volatile ("{\n\t.reg .pred p;\n\tsetp.ne.b32 p, %34, 0;\n\t"
      "wgmma.mma_async.sync.aligned.m64n64k16.f32.f16.f16 {"
      "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, "
      "%16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31}, "
      "%32, %33, p, 1, 1, 0, 0;\n\t}"
      : CONV_F8 (0), CONV_F8 (8), CONV_F8 (16), CONV_F8 (24)
      : "l"(a), "l"(b), "r"(add));
}

static __device__ __forceinline__ void
wgmma (float (&d)[64], uint64_t a, uint64_t b, int add)
{
  asm volatile ("{\n\t.reg .pred p;\n\tsetp.ne.b32 p, %66, 0;\n\t"
      "wgmma.mma_async.sync.aligned.m64n128k16.f32.f16.f16 {"
      "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, "
      "%16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31, "
      "%32, %33, %34, %35, %36, %37, %38, %39, %40, %41, %42, %43, %44, %45, %46, %47, "
      "%48, %49, %50, %51, %52, %53, %54, %55, %56, %57, %58, %59, %60, %61, %62, %63}, "
      "%64, %65, p, 1, 1, 0, 0;\n\t}"
      : CONV_F8 (0), CONV_F8 (8), CONV_F8 (16), CONV_F8 (24),
      CONV_F8 (32), CONV_F8 (40), CONV_F8 (48), CONV_F8 (56)
      : "l"(a), "l"(b), "r"(add));
}

/* The same with a in registers, as mma.m16n8k32 has it in each warp; b in 8 x 16 byte matrices: two
 * along k side by side, 256 bytes to the next 8 channels. */
static __device__ __forceinline__ uint64_t
matrix_of_bricks (uint32_t address)
{
  return (uint64_t) (address >> 4 & 0x3fff) | (uint64_t) (128 >> 4) << 16 |
         (uint64_t) (256 >> 4) << 32;
}

static __device__ __forceinline__ void
wgmma_registers (int (&d)[32], const uint32_t (&a)[4], uint64_t b, int add)
{
  asm volatile ("{\n\t.reg .pred p;\n\tsetp.ne.b32 p, %37, 0;\n\t"
      "wgmma.mma_async.sync.aligned.m64n64k32.s32.s8.s8 {"
      "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, "
      "%16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31}, "
      "{%32, %33, %34, %35}, %36, p;\n\t}"
      : CONV_R8 (0), CONV_R8 (8), CONV_R8 (16), CONV_R8 (24)
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b), "r"(add));
}

static __device__ __forceinline__ void
wgmma_registers (float (&d)[32], const uint32_t (&a)[4], uint64_t b, int add)
{
  asm volatile ("{\n\t.reg .pred p;\n\tsetp.ne.b32 p, %37, 0;\n\t"
      "wgmma.mma_async.sync.aligned.m64n64k16.f32.f16.f16 {"
      "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, "
      "%16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31}, "
      "{%32, %33, %34, %35}, %36, p, 1, 1, 0;\n\t}"
      : CONV_F8 (0), CONV_F8 (8), CONV_F8 (16), CONV_F8 (24)
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b), "r"(add));
}

#undef CONV_R8
#undef CONV_F8
/* clang-format on */

#endif
