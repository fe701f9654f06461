/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * dwconv.h: depthwise convolution of int8 along lines, for ordinary windows.
 *
 * The products of an instruction add up inside 32 bits: 4 of int8 or 2 of int16. A depthwise sum
 * runs over the window, never over channels, so that the values of one channel on `group` lines
 * are brought together in 32 bits. This is done once for a column of the input, which then serves
 * every output of its lines that has it in its window: kw of them, and as many lines of output as
 * share the lines of input.
 *
 *     columns   lines of input, DWCONV_PARTS registers for each group of lines, column by column:
 *               of a block of 16 * lanes channels, a lane of register v holds channels 4 v .. 4 v + 3
 *               of its 16, as unpacking bytes twice leaves them and packing integers twice wants
 *               them
 *     strip     outputs of one or two lines from these columns
 *
 * Where the channels do not fill a register its lanes are given to 2 or 4 groups of lines
 * (`places`), so that no part of it is idle.
 *
 * Packed, for every block of channels
 *     int32_t start[DWCONV_PARTS][4 * lanes]
 *     value w[DWCONV_PARTS][kw][groups][lines][4 * lanes][group]   0 outside the window
 */
#pragma once

#include "kernels/cpu/igemm.h"

#define DWCONV_PARTS  4 /* registers that a group of lines of a block fills */
#define DWCONV_LINES  2 /* of output, at most, that are made together */
#define DWCONV_GROUP  4 /* lines that lie together, at most */
#define DWCONV_PLACES 4 /* groups of lines in one register, at most */
#define DWCONV_WINDOW 11

/* One group of lines of input. */
typedef struct {
  /* At the first column that is inside the image and the block's first channel; NULL: padding. */
  const int8_t *x[DWCONV_GROUP][DWCONV_PLACES];
  const int8_t *end; /* of the tensor */
  bool inside;       /* no x is NULL */
  int places;
  int channels;             /* that are wanted of each x */
  int before, inner, after; /* columns: of padding, of the image, of padding */
  size_t x_step;            /* values from column to column */
  int8_t zero_x;
  uint8_t *columns; /* the first register of the first one */
  size_t step;      /* bytes from column to column */
} DwconvColumns;

typedef struct {
  const uint8_t *columns; /* the first tap of the first output */
  size_t output_step, tap_step;
  int kw, groups;
  const uint8_t *w;     /* the block */
  const float *factors; /* [2][DWCONV_PARTS][4 * lanes]: m and b as the sums lie */
  int channels, places;
  int outputs;                            /* of a line */
  int8_t *y[DWCONV_LINES][DWCONV_PLACES]; /* the first output, or NULL where none is wanted */
  size_t y_step;
  int lo, hi;
  int32_t *sums; /* [outputs][lines][DWCONV_PARTS][4 * lanes] in place of y, or NULL */
} DwconvStrip;

/* What an instruction set brings. */
typedef struct DwconvKind {
  int lanes;    /* of 16 bytes, of a register */
  int group;    /* lines whose values lie together: 4 of int8 or 2 of int16 */
  int tile;     /* outputs, of all lines, that strip() makes at once: columns of so many are read */
  int x_offset; /* columns hold x + x_offset; sums start at -x_offset * sum (w) */
  void (*columns) (const DwconvColumns *columns);
  /* m and b of `channels` channels, in the order of DwconvStrip.factors. */
  void (*factors) (const float *m, const float *b, int channels, int places, float *factors);
  void (*strip[DWCONV_LINES]) (const DwconvStrip *strip); /* of 1 line, of 2 */
  /* The t->channels outputs of a pixel, from value `at` of the tile on; sums[p * 4 * lanes + 4 * l + i] is
   * that of channel 16 * l + 4 * p + i. */
  void (*finish) (const IgemmTile *t, const int32_t *sums, size_t at);
  bool (*bounded) (const float *m, const float *b, int channels, float terms);
  int grain; /* products that take a few microseconds */
} DwconvKind;

/* An input channel for every output, and a window that is not huge. */
bool kernel_dwconv_fits (const KernelConvShape *shape);

size_t kernel_dwconv_pack (const DwconvKind *kind, const KernelConvShape *shape, const int8_t *w,
    void *packed);
size_t kernel_dwconv_scratch (const DwconvKind *kind, const KernelConvShape *shape,
    KernelQueue *queue);
void kernel_dwconv_run (const DwconvKind *kind, const IgemmArgs *args, int8_t zero_x,
    KernelQueue *queue);
