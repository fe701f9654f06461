/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * cpu-x86.c: features of x86-64 that compilers' own tests do not know: AVX-VNNI and AMX.
 *
 * The tile registers of AMX must be saved by the system, and Linux lets a process use them that
 * asks: they make the frame of a signal 8 KiB larger. It refuses where a thread's alternate signal
 * stack is too small for that; then there is no AMX, and everything else works.
 */
#include "kernels/cpu/cpu.h"

#if defined(__x86_64__)

#include <cpuid.h>
#include <pthread.h>
#if defined(__linux__)
#include <sys/syscall.h>
#include <unistd.h>
#endif

/* XCR0: what the system saves. */
#define SAVES_YMM   (3u << 1)
#define SAVES_TILES (3u << 17) /* their configuration and their data */

static bool
system_saves (unsigned state)
{
  unsigned eax, ebx, ecx, edx;

  if (!__get_cpuid (1, &eax, &ebx, &ecx, &edx) || !(ecx & bit_OSXSAVE))
    return false;
  __asm__("xgetbv" : "=a"(eax), "=d"(edx) : "c"(0));
  return (eax & state) == state;
}

bool
kernel_cpu_has_avx_vnni (void)
{
  unsigned eax, ebx, ecx, edx;

  if (!__get_cpuid_count (7, 0, &eax, &ebx, &ecx, &edx) || eax < 1)
    return false;
  __cpuid_count (7, 1, eax, ebx, ecx, edx);
  return eax & 1u << 4 && system_saves (SAVES_YMM);
}

#if defined(__linux__)

/* Of the system's arch_prctl(), by number: the headers may be older. */
#define REQUEST_PERMISSION 0x1023
#define TILE_DATA          18

static bool
has_amx (void)
{
  const unsigned tile = 1u << 24, int8 = 1u << 25;
  unsigned eax, ebx, ecx, edx;

  return __get_cpuid_count (7, 0, &eax, &ebx, &ecx, &edx) && edx & tile && edx & int8 &&
         system_saves (SAVES_TILES);
}

static bool permitted;

static void
request (void)
{
  permitted = has_amx () && syscall (SYS_arch_prctl, REQUEST_PERMISSION, TILE_DATA) == 0;
}

bool
kernel_cpu_may_use_amx (void)
{
  static pthread_once_t once = PTHREAD_ONCE_INIT;

  pthread_once (&once, request);
  return permitted;
}

#else

bool
kernel_cpu_may_use_amx (void)
{
  return false;
}

#endif
#else

bool
kernel_cpu_has_avx_vnni (void)
{
  return false;
}

bool
kernel_cpu_may_use_amx (void)
{
  return false;
}

#endif
