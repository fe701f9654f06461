/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * pooling_avx2.c: maximum and average pools, over channels.
 *
 * For one output pixel the taps of its window are walked for 32 channels at a time: 1 register of
 * an int8 maximum, 4 of float maxima and of sums, so that 4 chains run side by side; then for 8
 * channels at a time. Output pixels are shared by the threads; where there are few, averages of float
 * by channels, and of int8, whose sums are exact, by the rows of the window.
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

/* Rows first to end - 1 of the window, from channel c on. */
LANES_INLINE void
sum_s8 (const Average *a, const PoolingWindow *w, int first, int end, int c, __m256i *sum,
    const int registers, int count)
{
  for (int j = 0; j < registers; j++)
    sum[j] = _mm256_setzero_si256 ();
  for (int row = first; row < end; row++) {
    const int8_t *tap = a->args->x + c + w->first + row * w->row_step;

    for (int column = 0; column < w->columns; column++, tap += w->column_step)
      for (int j = 0; j < registers; j++)
        sum[j] = _mm256_add_epi32 (sum[j], lanes_load_s8 (tap + j * 8, count));
  }
}

/* `count` of 8 outputs at value `at` of y. */
LANES_INLINE void
finish_s8 (const Average *a, __m256i sum, float m, float b, size_t at, int count)
{
  const __m256 t =
      _mm256_fmadd_ps (_mm256_cvtepi32_ps (sum), _mm256_set1_ps (m), _mm256_set1_ps (b));

  if (a->f32)
    lanes_store_f32 ((float *) a->args->y + at, t, count);
  else
    lanes_store_s8 ((int8_t *) a->args->y + at,
        lanes_round (t, _mm256_set1_ps (-128), _mm256_set1_ps (127)), count);
}

/* registers * 8 channels, or `count` of the only 8, from channel c on; y begins at value `at`. */
LANES_INLINE void
average_s8_lanes (const Average *a, const PoolingWindow *w, float m, float b, size_t at, int c,
    const int registers, int count)
{
  __m256i sum[4];

  sum_s8 (a, w, 0, w->rows, c, sum, registers, count);
  for (int j = 0; j < registers; j++)
    finish_s8 (a, sum[j], m, b, at + c + j * 8, count);
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

/* One large window, such as that of a global pool, whose rows the threads share. With fewer values that
 * took as long as alone. */
#define MANY_VALUES  (5 * POOLING_GRAIN)
#define MAX_PARTS    8
#define MAX_CHANNELS 1024 /* at once */

typedef struct {
  const Average *a;
  PoolingWindow w;
  int first, channels, parts;
  int32_t (*sums)[MAX_CHANNELS]; /* [parts] */
} Rows;

static void
sum_rows_task (const void *ctx, int task, int thread)
{
  const Rows *rows = ctx;
  const int first = (int) kernel_pool_part (rows->w.rows, rows->parts, task);
  const int end = (int) kernel_pool_part (rows->w.rows, rows->parts, task + 1);
  int32_t *to = rows->sums[task];
  __m256i sum[4];
  int c = 0;

  for (; c + 32 <= rows->channels; c += 32) {
    sum_s8 (rows->a, &rows->w, first, end, rows->first + c, sum, 4, 8);
    for (int j = 0; j < 4; j++)
      _mm256_storeu_si256 ((__m256i *) (to + c + j * 8), sum[j]);
  }
  for (; c < rows->channels; c += 8) {
    sum_s8 (rows->a, &rows->w, first, end, rows->first + c, sum, 1,
        kernel_min_int (8, rows->channels - c));
    _mm256_storeu_si256 ((__m256i *) (to + c), sum[0]);
  }
}

static void
average_rows (const Average *a, size_t pixel, KernelPool *pool)
{
  const KernelPoolS8 *args = a->args;
  int32_t sums[MAX_PARTS][MAX_CHANNELS];
  Rows rows = {.a = a, .w = pooling_window (&args->shape, pixel), .sums = sums};
  float m, b;

  kernel_requant_average (args->ratio, rows.w.divisor, rows.w.rows * rows.w.columns, args->zero_x,
      args->zero_y, &m, &b);
  rows.parts = kernel_min_int (kernel_min_int (kernel_pool_threads (pool), MAX_PARTS), rows.w.rows);
  for (; rows.first < args->shape.c; rows.first += MAX_CHANNELS) {
    rows.channels = kernel_min_int (MAX_CHANNELS, args->shape.c - rows.first);
    kernel_pool_run (pool, sum_rows_task, &rows, rows.parts);
    for (int c = 0; c < rows.channels; c += 8) {
      __m256i sum = _mm256_setzero_si256 ();

      for (int part = 0; part < rows.parts; part++)
        sum = _mm256_add_epi32 (sum, _mm256_loadu_si256 ((const __m256i *) (sums[part] + c)));
      finish_s8 (a, sum, m, b, pixel * args->shape.c + rows.first + c,
          kernel_min_int (8, rows.channels - c));
    }
  }
}

static void
average_s8 (const Average *a, KernelQueue *queue)
{
  const KernelPoolShape *s = &a->args->shape;
  const size_t pixels = pooling_pixels (s), threads = kernel_pool_threads (queue->pool);

  if (2 * pixels > threads || (size_t) s->kh * s->kw * s->c < MANY_VALUES) {
    kernel_pool_range (queue->pool, average_s8_range, a, pixels, pooling_grain (s));
    return;
  }
  for (size_t i = 0; i < pixels; i++)
    average_rows (a, i, queue->pool);
}

void
kernel_avgpool_s8_avx2 (const KernelPoolS8 *args, KernelQueue *queue)
{
  const Average a = {args, false};

  average_s8 (&a, queue);
}

void
kernel_avgpool_s8_f32_avx2 (const KernelPoolS8 *args, KernelQueue *queue)
{
  const Average a = {args, true};

  average_s8 (&a, queue);
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

  while (begin < end) {
    const PoolingPart part = pooling_part (&args->shape, &begin, end);
    const PoolingWindow w = pooling_window (&args->shape, part.pixel);
    float *y = args->y + part.pixel * channels;
    int c = part.c;

    for (; c + 32 <= part.last; c += 32)
      average_f32_lanes (&w, args->x + c, y + c, 4, 8);
    for (; c + 8 <= part.last; c += 8)
      average_f32_lanes (&w, args->x + c, y + c, 1, 8);
    if (c < part.last)
      average_f32_lanes (&w, args->x + c, y + c, 1, part.last - c);
  }
}

void
kernel_avgpool_f32_avx2 (const KernelPoolF32 *args, KernelQueue *queue)
{
  pooling_run (queue->pool, average_f32_range, args, &args->shape);
}
