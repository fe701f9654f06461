/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * conv-depthwise.cu: depthwise convolutions 3x3 and 5x5 of stride 1 and 2, int8.
 *
 * A thread makes a tile of outputs of four channels. A pixel's four channels are one word;
 * the words of four neighbouring pixels are transposed, so that a word holds one channel of them
 * and __dp4a multiplies it with four weights of a row. The shift to each output is one instruction.
 */
#include "kernels/cuda/vector.h"

#include <string.h>

#define THREADS 128

static bool
suits (const KernelConvShape *s, int sm)
{
  return s->groups == s->ic && s->groups == s->oc && s->ic % 4 == 0 && s->kh == s->kw &&
         (s->kh == 3 || s->kh == 5) && s->stride_h == s->stride_w && s->stride_h <= 2 &&
         s->dilation_h == 1 && s->dilation_w == 1 && (int64_t) s->oh * s->ow * s->ic <= INT32_MAX;
}

/* [c / 4][kh][1 or 2 words of the row][4 channels], rows filled up with 0. */
static size_t
pack (const KernelConvShape *s, int8_t zero_x, const int8_t *w, void *packed)
{
  const size_t row = s->kw > 4 ? 8 : 4, size = (size_t) s->ic * s->kh * row;
  int8_t *y = (int8_t *) packed;

  if (!packed)
    return size;
  memset (y, 0, size);
  for (int c = 0; c < s->ic; c++)
    for (int kh = 0; kh < s->kh; kh++)
      for (int kw = 0; kw < s->kw; kw++) {
        const size_t word = ((size_t) c / 4 * s->kh + kh) * (row / 4) + kw / 4;

        y[(word * 4 + c % 4) * 4 + kw % 4] = w[((size_t) c * s->kh + kh) * s->kw + kw];
      }
  return size;
}

/* --- On the device -------------------------------------------------------------------------- */

/* Four pixels of four channels to four channels of four pixels. */
static __device__ inline void
transpose (const uint32_t *pixel, uint32_t *channel)
{
  const uint32_t low01 = __byte_perm (pixel[0], pixel[1], 0x5140);
  const uint32_t low23 = __byte_perm (pixel[2], pixel[3], 0x5140);
  const uint32_t high01 = __byte_perm (pixel[0], pixel[1], 0x7362);
  const uint32_t high23 = __byte_perm (pixel[2], pixel[3], 0x7362);

  channel[0] = __byte_perm (low01, low23, 0x5410);
  channel[1] = __byte_perm (low01, low23, 0x7632);
  channel[2] = __byte_perm (high01, high23, 0x5410);
  channel[3] = __byte_perm (high01, high23, 0x7632);
}

/* Bytes first .. first + 3 of a row of words. */
static __device__ inline int
bytes_from (const uint32_t *words, int first)
{
  if (first % 4 == 0)
    return (int) words[first / 4];
  return (int) __funnelshift_r (words[first / 4], words[first / 4 + 1], 8 * (first % 4));
}

/* The four channels of a pixel, or `padding`. Written out, because a compiler branches around each
 * load, which then wait for one another. */
template <bool fast>
static __device__ inline uint32_t
load_pixel (const int8_t *at, bool inside, uint32_t padding)
{
  uint32_t pixel = padding;

  if (fast)
    asm("{\n .reg .pred p;\n setp.ne.u32 p, %2, 0;\n @p ld.global.u32 %0, [%1];\n}"
        : "+r"(pixel)
        : "l"(at), "r"((uint32_t) inside));
  else if (inside)
    pixel = kernel_cuda_word (at[0], at[1], at[2], at[3]);
  return pixel;
}

/* The pixels of one input row under the tile, channel by channel; those outside are zero_x. x is
 * that of column iw. */
template <int COLUMNS, int WORDS, bool fast>
static __device__ inline void
load_row (const KernelConvS8 &a, const int8_t *x, int iw, bool inside, uint32_t words[4][WORDS + 1])
{
  const uint32_t padding = (uint8_t) a.zero_x * 0x01010101u;

#pragma unroll
  for (int q = 0; q < WORDS; q++) {
    uint32_t pixel[4], channel[4];

#pragma unroll
    for (int i = 0; i < 4; i++) {
      const int column = q * 4 + i;

      pixel[i] = 0; /* beyond the tile: its weights are 0 */
      if (column < COLUMNS)
        pixel[i] = load_pixel<fast> (x + column * a.shape.ic,
            inside && (unsigned) (iw + column) < (unsigned) a.shape.iw, padding);
    }
    transpose (pixel, channel);
#pragma unroll
    for (int c = 0; c < 4; c++)
      words[c][q] = channel[c];
  }
#pragma unroll
  for (int c = 0; c < 4; c++)
    words[c][WORDS] = 0;
}

/* Four channels of one output; i is the index of the first. */
template <bool fast>
static __device__ inline void
store (const KernelConvS8 &a, size_t i, const float *m, const float *b, const int32_t *acc,
    bool to_f32)
{
  int y[4];

#pragma unroll
  for (int k = 0; k < 4; k++) {
    float t = fmaf ((float) acc[k], m[k], b[k]);

    if (!fast && to_f32)
      ((float *) a.y)[i + k] = t;
    else if (!fast && a.r)
      t = fmaf ((float) a.r[i + k], a.mr, t);
    y[k] = kernel_round_s8 (t, a.lo, a.hi);
  }
  if (fast)
    store_s8<4> ((int8_t *) a.y + i, y);
  else
    for (int k = 0; k < 4 && !to_f32; k++)
      ((int8_t *) a.y)[i + k] = (int8_t) y[k];
}

/* What a thread's number is made of: ((n * strips + strip) * tiles + tile) * groups + group. */
typedef struct {
  Divisor groups, tiles, strips;
  int count;
} Split;

/* ROWS output rows by COLS columns by four channels: an input row serves up to K output rows. `fast`
 * wants x and y aligned to words, int8 output and no residual; the other does all. */
template <int K, int S, int ROWS, int COLS, bool fast>
static __global__ void
__launch_bounds__ (THREADS) depthwise (const __grid_constant__ KernelConvS8 a,
    const __grid_constant__ Split split, bool to_f32)
{
  constexpr int columns = (COLS - 1) * S + K, words = (columns + 3) / 4, parts = K > 4 ? 2 : 1;
  const KernelConvShape &s = a.shape;
  const int item = (int) kernel_cuda_item ();
  int group, tile, strip;
  const int n = divide (divide (divide (item, split.groups, &group), split.tiles, &tile),
      split.strips, &strip);
  const int oh = strip * ROWS, ow = tile * COLS;
  const int ih = oh * S - s.pad_top, iw = ow * S - s.pad_left;
  const int4 *w = (const int4 *) a.w + group * K * parts;
  const int8_t *x = a.x + (((ptrdiff_t) n * s.ih + ih) * s.iw + iw) * s.ic + group * 4;
  int32_t acc[ROWS][COLS][4] = {};
  int4 weights[K][parts];

  if (item >= split.count)
    return;
#pragma unroll
  for (int i = 0; i < K * parts; i++)
    weights[i / parts][i % parts] = w[i];
#pragma unroll
  for (int i = 0; i < (ROWS - 1) * S + K; i++, x += (ptrdiff_t) s.iw * s.ic) {
    uint32_t channel[4][words + 1];

    load_row<columns, words, fast> (a, x, iw, (unsigned) (ih + i) < (unsigned) s.ih, channel);
#pragma unroll
    for (int row = 0; row < ROWS; row++) {
      const int kh = i - row * S;

      if (kh < 0 || kh >= K)
        continue;
#pragma unroll
      for (int part = 0; part < parts; part++)
#pragma unroll
        for (int j = 0; j < COLS; j++) {
          const int4 &four = weights[kh][part];
          const int at = j * S + part * 4;
          int32_t *sum = acc[row][j];

          sum[0] = __dp4a (bytes_from (channel[0], at), four.x, sum[0]);
          sum[1] = __dp4a (bytes_from (channel[1], at), four.y, sum[1]);
          sum[2] = __dp4a (bytes_from (channel[2], at), four.z, sum[2]);
          sum[3] = __dp4a (bytes_from (channel[3], at), four.w, sum[3]);
        }
    }
  }

  float m[4], b[4];

#pragma unroll
  for (int k = 0; k < 4; k++) {
    m[k] = a.m[group * 4 + k];
    b[k] = a.b[group * 4 + k];
  }
#pragma unroll
  for (int row = 0; row < ROWS; row++)
#pragma unroll
    for (int j = 0; j < COLS; j++)
      if (oh + row < s.oh && ow + j < s.ow)
        store<fast> (a, (((size_t) n * s.oh + oh + row) * s.ow + ow + j) * s.oc + group * 4, m, b,
            acc[row][j], to_f32);
}

/* --- On the host ---------------------------------------------------------------------------- */

/* n images from x and y on: as many as give thread numbers below 2^31. */
template <int K, int S, int ROWS, int COLS, bool fast>
static void
launch (const KernelConvS8 *args, bool to_f32, KernelQueue *queue)
{
  const KernelConvShape *s = &args->shape;
  const int groups = s->ic / 4, tiles = (s->ow + COLS - 1) / COLS;
  const int strips = (s->oh + ROWS - 1) / ROWS;
  const size_t image = (size_t) groups * tiles * strips, most = INT32_MAX / image;
  KernelConvS8 a = *args;

  for (size_t n = 0; n < (size_t) s->n; n += most) {
    const size_t y_at = n * s->oh * s->ow * s->oc, left = s->n - n;
    const int count = (int) (image * (left < most ? left : most));
    const Split split = {make_divisor (groups), make_divisor (tiles), make_divisor (strips), count};

    a.x = args->x + n * s->ih * s->iw * s->ic;
    a.y = (int8_t *) args->y + y_at * (to_f32 ? sizeof (float) : 1);
    a.r = args->r ? args->r + y_at : NULL;
    depthwise<K, S, ROWS, COLS, fast>
        <<<kernel_cuda_blocks (count, THREADS), THREADS, 0, queue->stream>>> (a, split, to_f32);
  }
}

/* What tiles of so many rows and columns compute for one channel, with what nobody asked for. */
static int
tiled (const KernelConvShape *s, int rows, int columns)
{
  return (s->oh + rows - 1) / rows * rows * ((s->ow + columns - 1) / columns * columns);
}

/* Large tiles reuse more, small ones make more threads where there is little to do. Seven columns are
 * what the small layers of networks for 224 x 224 want. Each is a tactic too. */
typedef enum { CHOOSE, SMALL, STRIP, SEVEN } Tile;

static Tile
choose_tile (const KernelConvShape *s, int strip_rows, int multiprocessors)
{
  const size_t threads = (size_t) s->n * s->oh * s->ow * s->oc / (16 * strip_rows);

  if (threads < (size_t) multiprocessors * 256)
    return SMALL;
  return tiled (s, 2, 7) < tiled (s, strip_rows, 4) ? SEVEN : STRIP;
}

template <int K, int S>
static void
launch_tile (const KernelConvS8 *args, Tile tile, bool to_f32, KernelQueue *queue)
{
  constexpr int strip_rows = K == 3 ? 4 : 2;

  if (tile == CHOOSE)
    tile = choose_tile (&args->shape, strip_rows, queue->cuda->multiprocessors);
  if (!kernel_cuda_aligned (args->x, 4) || !kernel_cuda_aligned (args->y, 4) || to_f32 || args->r)
    launch<K, S, 1, 4, false> (args, to_f32, queue);
  else if (tile == SMALL)
    launch<K, S, 1, 4, true> (args, to_f32, queue);
  else if (tile == SEVEN)
    launch<K, S, 2, 7, true> (args, to_f32, queue);
  else
    launch<K, S, strip_rows, 4, true> (args, to_f32, queue);
}

template <Tile tile>
static void
run (const KernelConvS8 *args, bool to_f32, KernelQueue *queue)
{
  const KernelConvShape *s = &args->shape;

  if (s->kh == 3 && s->stride_h == 1)
    launch_tile<3, 1> (args, tile, to_f32, queue);
  else if (s->kh == 3)
    launch_tile<3, 2> (args, tile, to_f32, queue);
  else if (s->stride_h == 1)
    launch_tile<5, 1> (args, tile, to_f32, queue);
  else
    launch_tile<5, 2> (args, tile, to_f32, queue);
}

const CudaConvS8 kernel_conv_s8_cuda_depthwise = {.name = "depthwise",
    .suits = suits,
    .pack = pack,
    .run = run<CHOOSE>};
const CudaConvS8 kernel_conv_s8_cuda_depthwise_small = {.name = "depthwise, 1 x 4",
    .suits = suits,
    .pack = pack,
    .run = run<SMALL>};
const CudaConvS8 kernel_conv_s8_cuda_depthwise_strip = {.name = "depthwise, strips of 4",
    .suits = suits,
    .pack = pack,
    .run = run<STRIP>};
const CudaConvS8 kernel_conv_s8_cuda_depthwise_seven = {.name = "depthwise, 2 x 7",
    .suits = suits,
    .pack = pack,
    .run = run<SEVEN>};
