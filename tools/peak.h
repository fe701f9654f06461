/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * peak.h: what this CPU can compute at the most: loops that touch nothing but registers. A layer's
 * speed is told as a share of it, here and in tests/bench.
 */
#pragma once

typedef enum {
  PEAK_INT8, /* vpdpbusd: the instruction that the int8 kernels are made of */
  PEAK_FP16, /* devices only */
  PEAK_FP32, /* vfmadd231ps */
  PEAK_COUNT
} PeakKind;

/* The instruction and its width, or NULL where none of this kind is known for this CPU. Features
 * that are masked (kernel_cpu_flags()) count as absent. AMX is not measured. */
const char *peak_instruction (PeakKind kind);
/* Multiplications and additions of one run of one thread; 0 where there is no instruction. */
double peak_operations (PeakKind kind);
/* The seconds that so many runs take on so many threads at once; below 0 where a thread could not be
 * started. */
double peak_seconds (PeakKind kind, int threads, long runs);
