/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * elementwise-s8_avx512.c: add and mul of int8, 64 values at a time.
 *
 * Every whole number on the way to the last step is below 2^24, so that products and differences of
 * float are exact. Bounds are applied to bytes, where no output can be beyond int32; AVX2's kernels
 * do the others.
 */
#include "kernels/cpu/elementwise.h"
#include "kernels/cpu/lanes_avx512.h"

#include <math.h>
#include <string.h>

/* Values of a register of bytes, and registers of float that hold them. */
#define WIDTH 64
#define PARTS 4

/* The largest |x|, and |(x1 - zero1) * (x2 - zero2)|. */
#define MOST_VALUE   128.0f
#define MOST_PRODUCT (255.0f * 255.0f)

static bool
is_bounded (float t)
{
  return t < 0x1p30f; /* and not a NaN */
}

typedef struct {
  __m512 part[PARTS];
} Floats;

LANES_INLINE Floats
load (const int8_t *x, __mmask64 mask)
{
  Floats f;

  IGEMM_EACH (i, PARTS) {
    const __m128i sixteen = _mm_maskz_loadu_epi8 ((__mmask16) (mask >> 16 * i), x + 16 * i);

    f.part[i] = _mm512_cvtepi32_ps (_mm512_cvtepi8_epi32 (sixteen));
  }
  return f;
}

LANES_INLINE void
store (const KernelBinaryS8 *args, int8_t *y, const Floats *f, __mmask64 mask)
{
  const __m512i order = _mm512_setr_epi32 (0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
  const __m512i low = _mm512_packs_epi32 (lanes_round (f->part[0]), lanes_round (f->part[1]));
  const __m512i high = _mm512_packs_epi32 (lanes_round (f->part[2]), lanes_round (f->part[3]));
  const __m512i bytes = _mm512_permutexvar_epi32 (order, _mm512_packs_epi16 (low, high));

  _mm512_mask_storeu_epi8 (y, mask,
      _mm512_min_epi8 (_mm512_max_epi8 (bytes, _mm512_set1_epi8 (args->lo)),
          _mm512_set1_epi8 (args->hi)));
}

/* --- Operands of one size ------------------------------------------------------------------- */

typedef __m512 (*PairFn) (const KernelBinaryS8 *args, __m512 x1, __m512 x2);

LANES_INLINE __m512
add_pair (const KernelBinaryS8 *args, __m512 x1, __m512 x2)
{
  const __m512 t = _mm512_fmadd_ps (x2, _mm512_set1_ps (args->m2), _mm512_set1_ps (args->b));

  return _mm512_fmadd_ps (x1, _mm512_set1_ps (args->m1), t);
}

LANES_INLINE __m512
mul_pair (const KernelBinaryS8 *args, __m512 x1, __m512 x2)
{
  const __m512 product = _mm512_mul_ps (_mm512_sub_ps (x1, _mm512_set1_ps (args->zero1)),
      _mm512_sub_ps (x2, _mm512_set1_ps (args->zero2)));

  return _mm512_fmadd_ps (product, _mm512_set1_ps (args->m1), _mm512_set1_ps (args->b));
}

LANES_INLINE void
pairs (const KernelBinaryS8 *args, const int8_t *x1, const int8_t *x2, int8_t *y, size_t count,
    PairFn fn)
{
  for (size_t i = 0; i < count; i += WIDTH) {
    const __mmask64 mask = count - i < WIDTH ? lanes_mask_64 (count - i) : ~(__mmask64) 0;
    const Floats a = load (x1 + i, mask), b = load (x2 + i, mask);
    Floats t;

    IGEMM_EACH (j, PARTS)
      t.part[j] = fn (args, a.part[j], b.part[j]);
    store (args, y + i, &t, mask);
  }
}

/* --- The second operand for all rows -------------------------------------------------------- */

/* What one row's values of x2 make of x1: fmaf (x1, factor, offset). */
typedef struct {
  Floats factor, offset;
} Broadcast;

LANES_INLINE void
apply (const KernelBinaryS8 *args, const Broadcast *x2, const bool multiply, const int8_t *x1,
    int8_t *y, __mmask64 mask)
{
  Floats t = load (x1, mask);

  IGEMM_EACH (j, PARTS) {
    if (multiply)
      t.part[j] =
          _mm512_fmadd_ps (_mm512_fmadd_ps (t.part[j], x2->factor.part[j], x2->offset.part[j]),
              _mm512_set1_ps (args->m1), _mm512_set1_ps (args->b));
    else
      t.part[j] = _mm512_fmadd_ps (t.part[j], _mm512_set1_ps (args->m1), x2->offset.part[j]);
  }
  store (args, y, &t, mask);
}

LANES_INLINE Broadcast
prepare (const KernelBinaryS8 *args, const int8_t *x2, const bool multiply)
{
  Broadcast b = {.factor = load (x2, ~(__mmask64) 0)};

  IGEMM_EACH (j, PARTS) {
    if (multiply) {
      b.factor.part[j] = _mm512_sub_ps (b.factor.part[j], _mm512_set1_ps (args->zero2));
      b.offset.part[j] = _mm512_mul_ps (b.factor.part[j], _mm512_set1_ps (-args->zero1));
    } else {
      b.offset.part[j] =
          _mm512_fmadd_ps (b.factor.part[j], _mm512_set1_ps (args->m2), _mm512_set1_ps (args->b));
    }
  }
  return b;
}

/* Rows of one image. Where several rows fit a register they are taken at once. */
LANES_INLINE void
broadcast_rows (const KernelBinaryS8 *args, const int8_t *x1, const int8_t *x2, int8_t *y,
    size_t rows, const bool multiply)
{
  const size_t c = args->c, together = c < WIDTH ? WIDTH / c : 1;

  for (size_t k = 0; k < c; k += WIDTH) {
    const size_t width = c - k < WIDTH ? c - k : WIDTH;
    int8_t values[WIDTH] = {0};
    size_t row = 0;

    for (size_t i = 0; i < together; i++)
      memcpy (values + i * width, x2 + k, width);

    const Broadcast b = prepare (args, values, multiply);
    const __mmask64 mask = lanes_mask_64 (together * width);

    for (; row + together <= rows; row += together)
      apply (args, &b, multiply, x1 + row * c + k, y + row * c + k, mask);
    if (row < rows)
      apply (args, &b, multiply, x1 + row * c + k, y + row * c + k,
          lanes_mask_64 ((rows - row) * width));
  }
}

/* begin and end count what elementwise_split() says. */
LANES_INLINE void
binary_range (const KernelBinaryS8 *ctx, size_t begin, size_t end, const bool multiply)
{
  const KernelBinaryS8 args = *ctx; /* stays in registers: stores of bytes might change any other */
  const size_t rows = args.rows, c = args.c;

  if (!args.x2_broadcast) {
    const size_t period = ELEMENTWISE_PERIOD (&args);

    for (size_t count; begin < end; begin += count) {
      count = elementwise_until (begin, end - begin, period);
      pairs (&args, args.x1 + begin, args.x2 + begin % period, args.y + begin, count,
          multiply ? mul_pair : add_pair);
    }
    return;
  }
  while (begin < end) {
    const size_t image = begin / rows, next = (image + 1) * rows < end ? (image + 1) * rows : end;

    broadcast_rows (&args, args.x1 + begin * c, args.x2 + image * c, args.y + begin * c,
        next - begin, multiply);
    begin = next;
  }
}

static void
add_range (const void *ctx, size_t begin, size_t end)
{
  binary_range (ctx, begin, end, false);
}

static void
mul_range (const void *ctx, size_t begin, size_t end)
{
  binary_range (ctx, begin, end, true);
}

void
kernel_add_s8_avx512 (const KernelBinaryS8 *args, KernelQueue *queue)
{
  if (is_bounded (MOST_VALUE * (fabsf (args->m1) + fabsf (args->m2)) + fabsf (args->b)))
    ELEMENTWISE_SPLIT (args, ELEMENTWISE_BYTE_GRAIN, queue, add_range);
  else
    kernel_add_s8_avx2 (args, queue);
}

void
kernel_mul_s8_avx512 (const KernelBinaryS8 *args, KernelQueue *queue)
{
  if (is_bounded (MOST_PRODUCT * fabsf (args->m1) + fabsf (args->b)))
    ELEMENTWISE_SPLIT (args, ELEMENTWISE_BYTE_GRAIN, queue, mul_range);
  else
    kernel_mul_s8_avx2 (args, queue);
}
