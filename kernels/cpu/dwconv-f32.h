/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * dwconv-f32.h: depthwise conv_f32 along strips, for ordinary windows.
 *
 * A strip is 7 or 8 outputs of a line, wide enough to keep the multipliers busy; it goes down the
 * image, some blocks of channels at a time, so that a line of x is in the first-level cache when
 * the next line of outputs reads it again. Within a line of the window every pixel is loaded once
 * and used for all its columns, from left to right: the order of the sum stays (kh, kw), one chain.
 *
 * Weights are those of the depthwise IgemmKind, which computes every other window.
 */
#pragma once

#include "kernels/cpu/igemm.h"

#define DWCONV_F32_WIDTH   8 /* outputs of a strip, at most */
#define DWCONV_F32_KW      7 /* columns of a window, at most */
#define DWCONV_F32_COLUMNS (2 * (DWCONV_F32_WIDTH - 1) + DWCONV_F32_KW) /* of x below a strip */

/* One line of a strip, one register of channels. */
typedef struct {
  const KernelConvF32 *args;
  const float *x; /* of the image, the first channel */
  const float *w; /* taps are IGEMM_NR apart */
  const float *b;
  int ih, iw;                          /* of the first output's first tap; perhaps outside */
  int outputs;                         /* 1 .. width */
  int channels;                        /* that are left: at least a register, or fewer */
  size_t at;                           /* of the first output in y and r */
  uint16_t inside[DWCONV_F32_COLUMNS]; /* bit i: channel i of a column is there */
} DwconvF32Line;

typedef void (*DwconvF32Fn) (const DwconvF32Line *line);

/* The functions of one window and stride, of width 7 and 8: for lines of which all is there, and
 * for any. */
typedef struct {
  int kw, stride_w;
  DwconvF32Fn whole[2], any[2];
} DwconvF32Window;

/* What an instruction set brings. */
typedef struct DwconvF32Kind {
  int lanes; /* channels of a register: 8 or 16 */
  const DwconvF32Window *windows;
  int n_windows;
} DwconvF32Kind;

/* False, and nothing done, where the kind has no such window. */
bool kernel_dwconv_f32_run (const DwconvF32Kind *kind, const KernelConvF32 *args,
    KernelQueue *queue);

/* clang-format off */
/* The functions of a window, from run_line (line, kw, stride, width, whole), and its row of the
 * table. */
#define DWCONV_F32_FUNCTION(name, kw, stride, width, whole)                                        \
  static void name##_##kw##_##stride##_##width (const DwconvF32Line *line)                         \
  {                                                                                                \
    run_line (line, kw, stride, width, whole);                                                     \
  }
#define DWCONV_F32_FUNCTIONS(kw, stride)                                                           \
  DWCONV_F32_FUNCTION (whole, kw, stride, 7, true)                                                 \
  DWCONV_F32_FUNCTION (whole, kw, stride, 8, true)                                                 \
  DWCONV_F32_FUNCTION (any, kw, stride, 7, false)                                                  \
  DWCONV_F32_FUNCTION (any, kw, stride, 8, false)
#define DWCONV_F32_ROW(kw, stride)                                                                 \
  {kw, stride, {whole_##kw##_##stride##_7, whole_##kw##_##stride##_8},                             \
      {any_##kw##_##stride##_7, any_##kw##_##stride##_8}}

/* All of an instruction set: its windows, and the IgemmKind whose tile is run (). */
#define DWCONV_F32_KIND(suffix, channels)                                                          \
  DWCONV_F32_FUNCTIONS (3, 1)                                                                      \
  DWCONV_F32_FUNCTIONS (3, 2)                                                                      \
  DWCONV_F32_FUNCTIONS (5, 1)                                                                      \
  DWCONV_F32_FUNCTIONS (5, 2)                                                                      \
  DWCONV_F32_FUNCTIONS (7, 1)                                                                      \
  DWCONV_F32_FUNCTIONS (7, 2)                                                                      \
  static const DwconvF32Window windows[] = {                                                       \
      DWCONV_F32_ROW (3, 1), DWCONV_F32_ROW (3, 2),                                                \
      DWCONV_F32_ROW (5, 1), DWCONV_F32_ROW (5, 2),                                                \
      DWCONV_F32_ROW (7, 1), DWCONV_F32_ROW (7, 2),                                                \
  };                                                                                               \
  static const DwconvF32Kind strips = {                                                            \
      .lanes = channels,                                                                           \
      .windows = windows,                                                                          \
      .n_windows = sizeof windows / sizeof *windows,                                               \
  };                                                                                               \
  const IgemmKind kernel_dwconv_f32_##suffix = {                                                   \
      .tile = run,                                                                                 \
      .element = sizeof (float),                                                                   \
      .k_step = 1,                                                                                 \
      .tile_blocks = IGEMM_ALL_BLOCKS,                                                             \
      .grain = 1 << 16,                                                                            \
      .depthwise = true,                                                                           \
      .strips = &strips,                                                                           \
  };
/* clang-format on */
