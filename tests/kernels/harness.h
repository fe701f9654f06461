/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * harness.h: compares the kernels of any back end with `ref`, byte for byte (dav1d's checkasm is
 * the model). A test of one kernel looks so:
 *
 *     static void
 *     test_lut_s8 (Harness *h)
 *     {
 *       for (size_t size = 1; size < 70; size++) {
 *         KernelLutS8 args = {.size = size};
 *         HarnessCase *c = harness_case (h, &args, "%zu values", size);
 *
 *         harness_fill_s8 (h, harness_in (c, HARNESS_S8, size, &args.x), size, HARNESS_RANDOM);
 *         harness_fill_s8 (h, harness_in (c, HARNESS_S8, 256, &args.lut), 256, HARNESS_RANDOM);
 *         harness_out (c, HARNESS_S8, size, &args.y);
 *         harness_run (c);
 *       }
 *     }
 *
 * harness_run() calls the kernel of ref, and then that of each back end on queues of 1, 2 and 3
 * threads, in memory of that back end. Buffers lie at the beginning of a page, or at its end, with
 * an inaccessible page beside, or are aligned to no more than their element; the bytes around them
 * are checked. Inputs must come back unchanged.
 */
#pragma once

#include "kernels/kernels.h"

typedef struct Harness Harness;
typedef struct HarnessCase HarnessCase;

/* A kernel's test: the slot's name as in kernel-ops.inc. bench() builds cases in the same way;
 * harness_run() then measures them. A family ends with an entry whose kernel is NULL. */
typedef struct {
  const char *kernel;
  void (*test) (Harness *h);
  void (*bench) (Harness *h);
} HarnessTest;

extern const HarnessTest harness_conv[], harness_elementwise[], harness_pool[], harness_move[],
    harness_softmax[], harness_matmul[], harness_pixels[], harness_picture[], harness_half[], harness_count[];

/* --- Cases ---------------------------------------------------------------------------------- */

/* HARNESS_F16 and HARNESS_F32 are compared bit for bit too, but any NaN equals any NaN. */
typedef enum {
  HARNESS_S8,
  HARNESS_U8,
  HARNESS_I32,
  HARNESS_U64,
  HARNESS_F16,
  HARNESS_F32
} HarnessType;

/* Starts a case of the kernel under test and gives it its own random sequence. `args` is the
 * kernel's argument struct; it must live until harness_run(). The description is printed when the
 * case fails. Never NULL. */
HarnessCase *harness_case (Harness *h, const void *args, const char *description, ...)
    __attribute__ ((format (printf, 3, 4)));

typedef enum { HARNESS_IN, HARNESS_OUT, HARNESS_IN_OUT, HARNESS_SCRATCH } HarnessRole;

/* Adds a buffer of `count` elements and returns host memory for the test to fill (zero at first).
 * `slot` is the address of the pointer, in args or in a struct that args points to, which must be
 * set to the buffer before the kernel is called. */
void *harness_buffer (HarnessCase *c, HarnessRole role, HarnessType type, size_t count, void *slot,
    const char *name);
#define harness_in(c, type, count, slot) harness_buffer (c, HARNESS_IN, type, count, slot, #slot)
/* Every element must be written. */
#define harness_out(c, type, count, slot) harness_buffer (c, HARNESS_OUT, type, count, slot, #slot)
/* Keeps what the test puts there: outputs with gaps, kernels in place. */
#define harness_in_out(c, type, count, slot)                                                       \
  harness_buffer (c, HARNESS_IN_OUT, type, count, slot, #slot)
/* Another pointer to `offset` bytes into a buffer: `data` is what one of the above returned. */
void harness_point (HarnessCase *c, void *slot, const void *data, size_t offset);
/* The bytes may be used freely. */
void harness_scratch (HarnessCase *c, size_t size, void *slot);

/* Buffers whose size or contents depend on the back end. Returns the size; writes the contents
 * unless memory is NULL. */
typedef size_t (
    *HarnessMakeFn) (const void *user, const KernelOps *ops, KernelQueue *queue, void *memory);
void harness_made_in (HarnessCase *c, HarnessMakeFn make, const void *user, void *slot);
void harness_made_scratch (HarnessCase *c, HarnessMakeFn make, const void *user, void *slot);

/* A kernel with several ways: the case is run once with *tactic = 0, and once with each number from 1
 * for which name() is not NULL on that back end. */
typedef const char *(*HarnessTacticFn) (const void *user, const KernelOps *ops, int tactic);
void harness_tactics (HarnessCase *c, HarnessTacticFn name, const void *user, int *tactic);

/* Float outputs of the tactics whose name begins so may differ from ref's by bound[i] each, which
 * fill() computes: NaN where the output must be NaN, infinity where nothing can be said. */
typedef void (*HarnessBoundFn) (const void *user, float *bound);
void harness_tolerance (HarnessCase *c, const char *tactics, HarnessBoundFn fill, const void *user);

/* Operations of one call, for GOP/s in the bench; else GB/s of all buffers are printed. */
void harness_operations (HarnessCase *c, double operations);

/* Ends the program, for a mistake in a test and not in a kernel. */
void harness_require (bool condition, const char *what);

/* Runs, compares (or measures) and frees the case. */
void harness_run (HarnessCase *c);

/* --- Data ----------------------------------------------------------------------------------- */

/* At most one draw in the arguments of a call: C does not say which is evaluated first, and a seed
 * must make the same cases on every machine. */
uint64_t harness_random (Harness *h);
int harness_range (Harness *h, int lo, int hi); /* both included */
float harness_uniform (Harness *h, float lo, float hi);

typedef enum {
  HARNESS_RANDOM,
  HARNESS_EXTREMES, /* the lowest and the highest value in random order */
  HARNESS_LOW,
  HARNESS_HIGH,
  HARNESS_SMALL, /* -2 .. 2 */
  HARNESS_DATA_COUNT
} HarnessData;
void harness_fill_s8 (Harness *h, int8_t *data, size_t count, HarnessData kind);
void harness_fill_u8 (Harness *h, uint8_t *data, size_t count, HarnessData kind);
const char *harness_data_name (HarnessData kind);

typedef enum {
  HARNESS_PLAIN,   /* -4 .. 4 */
  HARNESS_WIDE,    /* both signs, magnitudes 2^-40 .. 2^40 */
  HARNESS_SPECIAL, /* plain, and one in eight is NaN, infinite, zero, subnormal or huge */
  HARNESS_FLOATS_COUNT
} HarnessFloats;
void harness_fill_f32 (Harness *h, float *data, size_t count, HarnessFloats kind);
/* Plain ones are multiples of 1/8 in -2 .. 2: float sums of their products are exact in any order, up to
 * a million. Wide ones have any bits that are finite. */
void harness_fill_f16 (Harness *h, KernelHalf *data, size_t count, HarnessFloats kind);
const char *harness_floats_name (HarnessFloats kind);
