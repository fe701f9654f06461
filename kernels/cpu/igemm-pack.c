/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * igemm-pack.c: how a convolution is cut into rows and blocks, and its weights in that order.
 *
 * Packed: for every group, for every block of IGEMM_NR channels
 *     int32_t start[IGEMM_NR]                           where x_offset is not 0
 *     value w[taps][run / k_step][IGEMM_NR][k_step]     0 beyond the last channel and the last k
 * and at the end one row of padding.
 */
#include "kernels/cpu/dwconv.h"
#include "kernels/cpu/igemm.h"

#include <string.h>

Igemm
kernel_igemm (const IgemmKind *kind, const KernelConvShape *shape)
{
  Igemm g = {.kind = kind, .shape = shape, .mr = kind->mr ? kind->mr : IGEMM_MR};
  const int k_round = kind->k_round ? kind->k_round : kind->k_step;
  /* A long row is one loop; where a pixel's values suffice, fewer cross the border. */
  const bool merged = !kind->depthwise && shape->groups == 1 && shape->dilation_w == 1 &&
                      !(kind->arrange && shape->ic % k_round == 0);

  g.groups = kind->depthwise ? 1 : shape->groups;
  g.channels = shape->oc / g.groups;
  g.blocks = kernel_divide_up (g.channels, IGEMM_NR);
  g.span = merged ? shape->kw : 1;
  g.taps = shape->kh * (shape->kw / g.span);
  g.k = g.span * (shape->ic / shape->groups);
  /* A stem's lines of 3 * 3 values would be rounded up each for itself, and pointed at. */
  g.gathered = kind->plain && merged && shape->kh > 1 &&
               (size_t) g.k * kind->element <= IGEMM_PIECE && shape->kh <= IGEMM_PIECE;
  if (g.gathered) {
    g.k *= shape->kh;
    g.taps = 1;
  }
  g.run = kernel_divide_up (g.k, k_round) * k_round;
  g.row = kind->depthwise ? shape->oc : g.run;
  g.plain = !kind->depthwise && shape->kh == 1 && shape->kw == 1 && shape->stride_h == 1 &&
            shape->stride_w == 1 && shape->pad_top == 0 && shape->pad_left == 0 &&
            shape->oh == shape->ih && shape->ow == shape->iw;
  g.block_size = (size_t) g.taps * g.run * IGEMM_NR * kind->element;
  if (kind->x_offset != 0)
    g.block_size += IGEMM_NR * sizeof (int32_t);
  g.pad_row = (size_t) g.groups * g.blocks * g.block_size;
  g.packed_size = g.pad_row + (size_t) g.row * kind->element;
  return g;
}

/* Wraps as the accumulators do. */
static int32_t
start_of (const Igemm *g, const int8_t *w)
{
  uint32_t sum = 0;

  for (size_t i = 0; i < (size_t) g->taps * g->k; i++)
    sum += (uint32_t) w[i];
  return (int32_t) (-(uint32_t) g->kind->x_offset * sum);
}

/* `channels` channels from w on; packed is zero. */
static void
pack_block (const Igemm *g, const uint8_t *w, int channels, uint8_t *packed)
{
  const size_t element = g->kind->element, filter = (size_t) g->taps * g->k * element;
  const int k_step = g->kind->k_step;

  if (g->kind->x_offset != 0) {
    for (int c = 0; c < channels; c++) {
      const int32_t start = start_of (g, (const int8_t *) (w + c * filter));

      memcpy (packed + c * sizeof start, &start, sizeof start);
    }
    packed += IGEMM_NR * sizeof (int32_t);
  }
  for (int tap = 0; tap < g->taps; tap++) {
    for (int k = 0; k < g->run; k += k_step, packed += IGEMM_NR * k_step * element) {
      const int left = g->k - k < 0 ? 0 : g->k - k, count = left < k_step ? left : k_step;
      const uint8_t *from = w + ((size_t) tap * g->k + k) * element;

      for (int c = 0; c < channels; c++)
        memcpy (packed + c * k_step * element, from + c * filter, count * element);
    }
  }
}

size_t
kernel_igemm_pack (const IgemmKind *kind, const KernelConvShape *shape, const void *zero,
    const void *w, void *packed)
{
  if (kind->lines && kernel_dwconv_fits (shape))
    return kernel_dwconv_pack (kind->lines, shape, w, packed);

  const Igemm g = kernel_igemm (kind, shape);
  const size_t filter = (size_t) g.taps * g.k * kind->element;
  uint8_t *to = packed;

  if (!packed)
    return g.packed_size;
  memset (packed, 0, g.packed_size);
  for (int group = 0; group < g.groups; group++) {
    for (int c = 0; c < g.channels; c += IGEMM_NR, to += g.block_size) {
      const int left = g.channels - c;

      pack_block (&g, (const uint8_t *) w + ((size_t) group * g.channels + c) * filter,
          left < IGEMM_NR ? left : IGEMM_NR, to);
    }
  }
  for (int i = 0; i < g.row; i++, to += kind->element)
    memcpy (to, zero, kind->element);
  return g.packed_size;
}
