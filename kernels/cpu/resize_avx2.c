/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * resize_avx2.c: resize_u8 with AVX2.
 *
 * A weight has 22 bits and more than vpmaddwd takes, so w = hi * 2^15 + lo: two products of pairs
 * of pixels, summed apart, give the sum of ref exactly (int32 wraps alike, wherever it is cut).
 *
 * Along a row, 16 bytes are spread over 16 lanes of 16 bits so that pairs of lanes hold one channel
 * of two neighbouring pixels: 16, 8, 4 and 4 pixels of 1, 2, 3 and 4 channels. The weights are laid
 * out to match, once per call, behind the rows in the scratch memory; four rows share a load of
 * them. Down a column, two rows are interleaved, 32 bytes at a time.
 */
#include "kernels/backend.h"
#include "kernels/cpu/cpu.h"
#include "kernels/resize.h"

#include <immintrin.h>
#include <string.h>

#define INLINE    static inline __attribute__ ((always_inline))
#define LO_BITS   15
#define ROWS      4           /* of the horizontal pass at once */
#define MIN_BYTES (8 * 1024)  /* of a task, some microseconds of work */

typedef struct {
  const KernelResize *p;
  int begin, end;      /* rows of x that are needed */
  const uint8_t *rows; /* row `begin`, resized horizontally */
  ptrdiff_t rows_stride;
  int chunks;
  const uint8_t *packed; /* for every output: chunks of 16 low, then 16 high parts */
  int tasks;
} Run;

/* --- Layout of a chunk ---------------------------------------------------------------------- */

/* Lanes of a pixel: 3 channels use 4. */
INLINE int
spread (int channels)
{
  return channels == 3 ? 4 : channels;
}

/* The pixel and channel of one of 16 lanes. */
INLINE int
lane_pixel (int lane, int channels)
{
  const int half = lane / 8, pair = lane % 8 / 2;

  return half * (8 / spread (channels)) + pair / spread (channels) * 2 + lane % 2;
}

INLINE int
lane_channel (int lane, int channels)
{
  return lane % 8 / 2 % spread (channels);
}

/* For vpshufb: the byte of each lane; its upper half is 0, and so is the unused lane. */
static __m256i
chunk_shuffle (int channels)
{
  uint8_t bytes[32];

  for (int lane = 0; lane < 16; lane++) {
    const int channel = lane_channel (lane, channels);

    bytes[lane * 2] =
        channel < channels ? (uint8_t)(lane_pixel (lane, channels) * channels + channel) : 0x80;
    bytes[lane * 2 + 1] = 0x80;
  }
  return _mm256_loadu_si256 ((const __m256i *)bytes);
}

/* Windows begin at the first tap, or earlier where they would pass the end of the row. */
INLINE int
window_start (const KernelResizeAxis *h, int i, int window)
{
  return h->first[i] < h->in - window ? h->first[i] : h->in - window;
}

static void
pack_weights (const Run *run, uint8_t *packed)
{
  const KernelResizeAxis *h = run->p->h;
  const int channels = run->p->channels, pixels = 16 / spread (channels);

  for (int i = 0; i < h->out; i++) {
    const int32_t *weight = &h->weight[(size_t)i * h->taps];
    const int shift = h->first[i] - window_start (h, i, run->chunks * pixels);

    for (int c = 0; c < run->chunks; c++, packed += 64) {
      int16_t lo[16], hi[16];

      for (int lane = 0; lane < 16; lane++) {
        const int t = c * pixels + lane_pixel (lane, channels) - shift;
        const int32_t w = t >= 0 && t < h->count[i] ? weight[t] : 0;

        lo[lane] = (int16_t)(w & ((1 << LO_BITS) - 1));
        hi[lane] = (int16_t)(w >> LO_BITS);
      }
      memcpy (packed, lo, 32);
      memcpy (packed + 32, hi, 32);
    }
  }
}

/* --- Horizontal pass ------------------------------------------------------------------------ */

/* 16 bytes; a chunk of 3 channels uses 12 of them, and at the end of a row there are no more. */
INLINE __m256i
load_chunk (const uint8_t *x, bool twelve)
{
  uint64_t eight;
  uint32_t four;

  if (!twelve)
    return _mm256_broadcastsi128_si256 (_mm_loadu_si128 ((const __m128i *)x));
  memcpy (&eight, x, 8);
  memcpy (&four, x + 8, 4);
  return _mm256_broadcastsi128_si256 (_mm_set_epi64x (four, (int64_t)eight));
}

/* Sums of the lanes of one channel; pixels of four rows in the order of memory. */
INLINE __m128i
reduce (const __m256i *lo, const __m256i *hi, int channels)
{
  __m128i sum[ROWS], bytes;

#pragma GCC unroll 4
  for (int r = 0; r < ROWS; r++) {
    const __m256i both = _mm256_add_epi32 (lo[r], _mm256_slli_epi32 (hi[r], LO_BITS));

    sum[r] = _mm_add_epi32 (_mm256_castsi256_si128 (both), _mm256_extracti128_si256 (both, 1));
  }
  if (channels == 1) {
    sum[0] = _mm_hadd_epi32 (_mm_hadd_epi32 (sum[0], sum[1]), _mm_hadd_epi32 (sum[2], sum[3]));
  } else if (channels == 2) {
    sum[0] =
        _mm_add_epi32 (_mm_unpacklo_epi64 (sum[0], sum[1]), _mm_unpackhi_epi64 (sum[0], sum[1]));
    sum[1] =
        _mm_add_epi32 (_mm_unpacklo_epi64 (sum[2], sum[3]), _mm_unpackhi_epi64 (sum[2], sum[3]));
  }
  for (int r = 0; r < (channels == 1 ? 1 : channels == 2 ? 2 : ROWS); r++)
    sum[r] = _mm_srai_epi32 (
        _mm_add_epi32 (sum[r], _mm_set1_epi32 (KERNEL_RESIZE_HALF)), KERNEL_RESIZE_BITS);
  if (channels == 1)
    bytes = _mm_packs_epi32 (sum[0], sum[0]);
  else if (channels == 2)
    bytes = _mm_packs_epi32 (sum[0], sum[1]);
  else
    return _mm_packus_epi16 (_mm_packs_epi32 (sum[0], sum[1]), _mm_packs_epi32 (sum[2], sum[3]));
  return _mm_packus_epi16 (bytes, bytes);
}

/* Four rows. The fourth byte of a pixel of 3 channels is stored too, and then overwritten. */
INLINE void
resize_rows (const Run *run, const uint8_t *const *x, uint8_t *const *y, int channels)
{
  const KernelResizeAxis *h = run->p->h;
  const int pixels = 16 / spread (channels), window = run->chunks * pixels;
  const __m256i shuffle = chunk_shuffle (channels);
  const uint8_t *packed = run->packed;

  for (int i = 0; i < h->out; i++) {
    const int start = window_start (h, i, window);
    const bool at_end = channels == 3 && start + window + 2 > h->in;
    const bool four = channels == 3 && i < h->out - 1;
    size_t at = (size_t)start * channels;
    __m256i lo[ROWS], hi[ROWS];
    uint8_t bytes[16];

#pragma GCC unroll 4
    for (int r = 0; r < ROWS; r++)
      lo[r] = hi[r] = _mm256_setzero_si256 ();
    for (int c = 0; c < run->chunks; c++, packed += 64, at += pixels * channels) {
      const __m256i w_lo = _mm256_loadu_si256 ((const __m256i *)packed);
      const __m256i w_hi = _mm256_loadu_si256 ((const __m256i *)(packed + 32));
      const bool twelve = at_end && c == run->chunks - 1;

#pragma GCC unroll 4
      for (int r = 0; r < ROWS; r++) {
        const __m256i v = _mm256_shuffle_epi8 (load_chunk (x[r] + at, twelve), shuffle);

        lo[r] = _mm256_add_epi32 (lo[r], _mm256_madd_epi16 (v, w_lo));
        hi[r] = _mm256_add_epi32 (hi[r], _mm256_madd_epi16 (v, w_hi));
      }
    }
    _mm_storeu_si128 ((__m128i *)bytes, reduce (lo, hi, channels));
#pragma GCC unroll 4
    for (int r = 0; r < ROWS; r++)
      if (four)
        memcpy (y[r] + (size_t)i * channels, bytes + r * 4, 4);
      else
        memcpy (y[r] + (size_t)i * channels, bytes + r * spread (channels), channels);
  }
}

/* A quarter past the end is the last row once more. */
static void
horizontal_task (const void *ctx, int task, int thread)
{
  const Run *run = ctx;
  const KernelResize *p = run->p;
  const int groups = (run->end - run->begin + ROWS - 1) / ROWS;
  const int last = (int)((int64_t)groups * (task + 1) / run->tasks);

  for (int g = (int)((int64_t)groups * task / run->tasks); g < last; g++) {
    const uint8_t *x[ROWS];
    uint8_t *y[ROWS];

    for (int r = 0; r < ROWS; r++) {
      const int row =
          run->begin + g * ROWS + r < run->end ? g * ROWS + r : run->end - run->begin - 1;

      x[r] = p->x + (run->begin + row) * p->x_stride;
      y[r] = (uint8_t *)run->rows + row * run->rows_stride;
    }
    if (p->channels == 1)
      resize_rows (run, x, y, 1);
    else if (p->channels == 2)
      resize_rows (run, x, y, 2);
    else if (p->channels == 3)
      resize_rows (run, x, y, 3);
    else
      resize_rows (run, x, y, 4);
  }
}

/* --- Vertical pass -------------------------------------------------------------------------- */

/* 16 bytes of two rows, in pairs. */
INLINE void
load_pairs (const uint8_t *a, const uint8_t *b, __m256i *pairs)
{
  const __m256i x = _mm256_cvtepu8_epi16 (_mm_loadu_si128 ((const __m128i *)a));
  const __m256i y = _mm256_cvtepu8_epi16 (_mm_loadu_si128 ((const __m128i *)b));

  pairs[0] = _mm256_unpacklo_epi16 (x, y);
  pairs[1] = _mm256_unpackhi_epi16 (x, y);
}

INLINE __m256i
finish (__m256i lo, __m256i hi)
{
  const __m256i sum = _mm256_add_epi32 (lo, _mm256_slli_epi32 (hi, LO_BITS));

  return _mm256_srai_epi32 (
      _mm256_add_epi32 (sum, _mm256_set1_epi32 (KERNEL_RESIZE_HALF)), KERNEL_RESIZE_BITS);
}

/* 32 columns. An odd row is paired with itself and weight 0. */
static void
resize_block (const int32_t *weight, int count, const uint8_t *x, ptrdiff_t stride, uint8_t *y)
{
  __m256i lo[4], hi[4], pairs[4];

#pragma GCC unroll 4
  for (int k = 0; k < 4; k++)
    lo[k] = hi[k] = _mm256_setzero_si256 ();
  for (int t = 0; t < count; t += 2) {
    const bool two = t + 1 < count;
    const uint8_t *a = x + t * stride, *b = two ? a + stride : a;
    const int32_t wa = weight[t], wb = two ? weight[t + 1] : 0;
    const int32_t low = (1 << LO_BITS) - 1;
    const __m256i w_lo = _mm256_set1_epi32 ((wb & low) << 16 | (wa & low));
    const __m256i w_hi = _mm256_set1_epi32 (wb >> LO_BITS << 16 | wa >> LO_BITS);

    load_pairs (a, b, pairs);
    load_pairs (a + 16, b + 16, pairs + 2);
#pragma GCC unroll 4
    for (int k = 0; k < 4; k++) {
      lo[k] = _mm256_add_epi32 (lo[k], _mm256_madd_epi16 (pairs[k], w_lo));
      hi[k] = _mm256_add_epi32 (hi[k], _mm256_madd_epi16 (pairs[k], w_hi));
    }
  }
#pragma GCC unroll 4
  for (int k = 0; k < 4; k++)
    lo[k] = finish (lo[k], hi[k]);
  const __m256i bytes =
      _mm256_packus_epi16 (_mm256_packs_epi32 (lo[0], lo[1]), _mm256_packs_epi32 (lo[2], lo[3]));
  _mm256_storeu_si256 ((__m256i *)y, _mm256_permute4x64_epi64 (bytes, 0xd8));
}

/* The last block of a row overlaps the one before; a row of less than a block is summed in C. */
static void
vertical_task (const void *ctx, int task, int thread)
{
  const Run *run = ctx;
  const KernelResizeAxis *v = run->p->v;
  const int width = run->p->h->out * run->p->channels;
  const int last = (int)((int64_t)v->out * (task + 1) / run->tasks);

  for (int i = (int)((int64_t)v->out * task / run->tasks); i < last; i++) {
    const int32_t *weight = &v->weight[(size_t)i * v->taps];
    const uint8_t *x = run->rows + (v->first[i] - run->begin) * run->rows_stride;
    uint8_t *y = run->p->y + i * run->p->y_stride;

    for (int col = 0; width >= 32 && col < width; col += 32) {
      const int at = col < width - 32 ? col : width - 32;

      resize_block (weight, v->count[i], x + at, run->rows_stride, y + at);
    }
    for (int col = 0; width < 32 && col < width; col++) {
      int32_t sum = KERNEL_RESIZE_HALF;

      for (int t = 0; t < v->count[i]; t++)
        sum += weight[t] * x[t * run->rows_stride + col];
      y[col] = kernel_resize_clip (sum);
    }
  }
}

/* --- Both ----------------------------------------------------------------------------------- */

static void
run_tasks (Run *run, KernelPoolFn fn, int items, size_t bytes, KernelQueue *queue)
{
  const size_t tasks = bytes / MIN_BYTES, most = (size_t)kernel_pool_threads (queue->pool) * 4;

  run->tasks = (int)(tasks < most ? tasks : most);
  run->tasks = run->tasks < items ? run->tasks : items;
  run->tasks = run->tasks > 1 ? run->tasks : 1;
  kernel_pool_run (queue->pool, fn, run, run->tasks);
}

void
kernel_resize_u8_avx2 (const KernelResize *p, KernelQueue *queue)
{
  const KernelResizeAxis *h = p->h, *v = p->v;
  const bool skip_h = h->identity, skip_v = v->identity;
  const int pixels = 16 / spread (p->channels);
  Run run = {.p = p, .begin = v->begin, .end = v->end};
  size_t size;

  run.chunks = kernel_resize_chunks (h, p->channels);
  if ((skip_h && skip_v) || (!skip_h && run.chunks * pixels > h->in)) {
    kernel_resize_u8_ref (p, queue);
    return;
  }

  run.rows = p->x + run.begin * p->x_stride;
  run.rows_stride = p->x_stride;
  if (!skip_h) {
    uint8_t *packed = p->scratch + kernel_resize_rows_size (h, v, p->channels);

    pack_weights (&run, packed);
    run.packed = packed;
    run.rows = skip_v ? p->y : p->scratch;
    run.rows_stride = skip_v ? p->y_stride : (ptrdiff_t)h->out * p->channels;
    size = (size_t)(run.end - run.begin) * h->in * p->channels;
    run_tasks (&run, horizontal_task, (run.end - run.begin + ROWS - 1) / ROWS, size, queue);
  }
  if (!skip_v) {
    size = (size_t)v->out * v->taps * h->out * p->channels;
    run_tasks (&run, vertical_task, v->out, size / 4, queue);
  }
}
