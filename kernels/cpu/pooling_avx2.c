/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * pooling_avx2.c: maximum and average pools, over channels.
 *
 * For one output pixel the taps of its window are walked for 32 channels at a time: 1 register of
 * an int8 maximum, 4 of float maxima and of sums, so that 4 chains run side by side; then for 8
 * channels at a time. Output pixels are shared by the threads.
 */
#include "kernels/cpu/lanes_avx2.h"
#include "kernels/cpu/pooling.h"
#include "kernels/requant.h"

/* --- Maximum -------------------------------------------------------------------------------- */

LANES_INLINE __m256i
max_s8_32 (const PoolingWindow *w, const int8_t *x)
{
  __m256i max = _mm256_set1_epi8 (INT8_MIN);

  for (int row = 0; row < w->rows; row++) {
    const int8_t *tap = x + w->first + row * w->row_step;

    for (int column = 0; column < w->columns; column++, tap += w->column_step)
      max = _mm256_max_epi8 (max, _mm256_loadu_si256 ((const __m256i *) tap));
  }
  return max;
}

LANES_INLINE __m256i
max_s8_8 (const PoolingWindow *w, const int8_t *x, int count)
{
  __m256i max = _mm256_set1_epi32 (INT8_MIN);

  for (int row = 0; row < w->rows; row++) {
    const int8_t *tap = x + w->first + row * w->row_step;

    for (int column = 0; column < w->columns; column++, tap += w->column_step)
      max = _mm256_max_epi32 (max, lanes_load_s8 (tap, count));
  }
  return max;
}

static void
max_s8_range (const void *ctx, size_t begin, size_t end)
{
  const KernelPoolS8 *args = ctx;
  const int channels = args->shape.c;

  for (size_t i = begin; i < end; i++) {
    const PoolingWindow w = pooling_window (&args->shape, i);
    int8_t *y = (int8_t *) args->y + i * channels;
    int c = 0;

    for (; c + 32 <= channels; c += 32)
      _mm256_storeu_si256 ((__m256i *) (y + c), max_s8_32 (&w, args->x + c));
    for (; c + 8 <= channels; c += 8)
      lanes_store_s8 (y + c, max_s8_8 (&w, args->x + c, 8), 8);
    if (c < channels)
      lanes_store_s8 (y + c, max_s8_8 (&w, args->x + c, channels - c), channels - c);
  }
}

void
kernel_maxpool_s8_avx2 (const KernelPoolS8 *args, KernelQueue *queue)
{
  kernel_pool_range (queue->pool, max_s8_range, args, pooling_pixels (&args->shape),
      pooling_grain (&args->shape));
}

/* As ref: the first of equal values stays, and so does the first NaN. */
LANES_INLINE __m256
greater (__m256 max, __m256 x)
{
  const __m256 first_nan =
      _mm256_and_ps (_mm256_cmp_ps (x, x, _CMP_UNORD_Q), _mm256_cmp_ps (max, max, _CMP_ORD_Q));

  return _mm256_blendv_ps (max, x, _mm256_or_ps (_mm256_cmp_ps (x, max, _CMP_GT_OQ), first_nan));
}

/* registers * 8 channels, or `count` of the only 8. */
LANES_INLINE void
max_f32_lanes (const PoolingWindow *w, const float *x, float *y, const int registers, int count)
{
  __m256 max[4];

  for (int j = 0; j < registers; j++)
    max[j] = _mm256_set1_ps (-INFINITY);
  for (int row = 0; row < w->rows; row++) {
    const float *tap = x + w->first + row * w->row_step;

    for (int column = 0; column < w->columns; column++, tap += w->column_step)
      for (int j = 0; j < registers; j++)
        max[j] = greater (max[j], lanes_load_f32 (tap + j * 8, count));
  }
  for (int j = 0; j < registers; j++)
    lanes_store_f32 (y + j * 8, max[j], count);
}

static void
max_f32_range (const void *ctx, size_t begin, size_t end)
{
  const KernelPoolF32 *args = ctx;
  const int channels = args->shape.c;

  for (size_t i = begin; i < end; i++) {
    const PoolingWindow w = pooling_window (&args->shape, i);
    float *y = args->y + i * channels;
    int c = 0;

    for (; c + 32 <= channels; c += 32)
      max_f32_lanes (&w, args->x + c, y + c, 4, 8);
    for (; c + 8 <= channels; c += 8)
      max_f32_lanes (&w, args->x + c, y + c, 1, 8);
    if (c < channels)
      max_f32_lanes (&w, args->x + c, y + c, 1, channels - c);
  }
}

void
kernel_maxpool_f32_avx2 (const KernelPoolF32 *args, KernelQueue *queue)
{
  kernel_pool_range (queue->pool, max_f32_range, args, pooling_pixels (&args->shape),
      pooling_grain (&args->shape));
}

/* --- Average of int8 ------------------------------------------------------------------------ */

typedef struct {
  const KernelPoolS8 *args;
  bool f32; /* of y */
} Average;

/* registers * 8 channels, or `count` of the only 8, from channel c on; y begins at value `at`. */
LANES_INLINE void
average_s8_lanes (const Average *a, const PoolingWindow *w, float m, float b, size_t at, int c,
    const int registers, int count)
{
  __m256i sum[4];

  for (int j = 0; j < registers; j++)
    sum[j] = _mm256_setzero_si256 ();
  for (int row = 0; row < w->rows; row++) {
    const int8_t *tap = a->args->x + c + w->first + row * w->row_step;

    for (int column = 0; column < w->columns; column++, tap += w->column_step)
      for (int j = 0; j < registers; j++)
        sum[j] = _mm256_add_epi32 (sum[j], lanes_load_s8 (tap + j * 8, count));
  }
  for (int j = 0; j < registers; j++) {
    const __m256 t =
        _mm256_fmadd_ps (_mm256_cvtepi32_ps (sum[j]), _mm256_set1_ps (m), _mm256_set1_ps (b));
    const size_t to = at + c + j * 8;

    if (a->f32)
      lanes_store_f32 ((float *) a->args->y + to, t, count);
    else
      lanes_store_s8 ((int8_t *) a->args->y + to,
          lanes_round (t, _mm256_set1_ps (-128), _mm256_set1_ps (127)), count);
  }
}

static void
average_s8_range (const void *ctx, size_t begin, size_t end)
{
  const Average *a = ctx;
  const KernelPoolS8 *args = a->args;
  const int channels = args->shape.c;

  for (size_t i = begin; i < end; i++) {
    const PoolingWindow w = pooling_window (&args->shape, i);
    float m, b;
    int c = 0;

    kernel_requant_average (args->ratio, w.divisor, w.rows * w.columns, args->zero_x, args->zero_y,
        &m, &b);
    for (; c + 32 <= channels; c += 32)
      average_s8_lanes (a, &w, m, b, i * channels, c, 4, 8);
    for (; c + 8 <= channels; c += 8)
      average_s8_lanes (a, &w, m, b, i * channels, c, 1, 8);
    if (c < channels)
      average_s8_lanes (a, &w, m, b, i * channels, c, 1, channels - c);
  }
}

void
kernel_avgpool_s8_avx2 (const KernelPoolS8 *args, KernelQueue *queue)
{
  const Average a = {args, false};

  kernel_pool_range (queue->pool, average_s8_range, &a, pooling_pixels (&args->shape),
      pooling_grain (&args->shape));
}

void
kernel_avgpool_s8_f32_avx2 (const KernelPoolS8 *args, KernelQueue *queue)
{
  const Average a = {args, true};

  kernel_pool_range (queue->pool, average_s8_range, &a, pooling_pixels (&args->shape),
      pooling_grain (&args->shape));
}

/* --- Average of float ----------------------------------------------------------------------- */

LANES_INLINE void
average_f32_lanes (const PoolingWindow *w, const float *x, float *y, const int registers, int count)
{
  __m256 sum[4];

  for (int j = 0; j < registers; j++)
    sum[j] = _mm256_setzero_ps ();
  for (int row = 0; row < w->rows; row++) {
    const float *tap = x + w->first + row * w->row_step;

    for (int column = 0; column < w->columns; column++, tap += w->column_step)
      for (int j = 0; j < registers; j++)
        sum[j] = _mm256_add_ps (sum[j], lanes_load_f32 (tap + j * 8, count));
  }
  for (int j = 0; j < registers; j++)
    lanes_store_f32 (y + j * 8, _mm256_div_ps (sum[j], _mm256_set1_ps ((float) w->divisor)), count);
}

static void
average_f32_range (const void *ctx, size_t begin, size_t end)
{
  const KernelPoolF32 *args = ctx;
  const int channels = args->shape.c;

  for (size_t i = begin; i < end; i++) {
    const PoolingWindow w = pooling_window (&args->shape, i);
    float *y = args->y + i * channels;
    int c = 0;

    for (; c + 32 <= channels; c += 32)
      average_f32_lanes (&w, args->x + c, y + c, 4, 8);
    for (; c + 8 <= channels; c += 8)
      average_f32_lanes (&w, args->x + c, y + c, 1, 8);
    if (c < channels)
      average_f32_lanes (&w, args->x + c, y + c, 1, channels - c);
  }
}

void
kernel_avgpool_f32_avx2 (const KernelPoolF32 *args, KernelQueue *queue)
{
  kernel_pool_range (queue->pool, average_f32_range, args, pooling_pixels (&args->shape),
      pooling_grain (&args->shape));
}
