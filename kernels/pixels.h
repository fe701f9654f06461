/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * pixels.h: the kernels that make an input tensor of a picture: resize, colour, table lookup. A part
 * of kernels.h, whose first comment holds here.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The taps of one axis of a resize, made on the host by kernel_resize_filter(). Output i reads
 * count[i] pixels from first[i] on with the coefficients weight[i * taps ...], fixed point with
 * KERNEL_RESIZE_BITS fraction bits. The struct stays in host memory; its arrays move into the back
 * end's, so that what a launch depends on is said here once more. */
#define KERNEL_RESIZE_BITS 22
typedef struct {
  int in, out, taps;
  int begin, end;     /* the pixels that any output reads: begin .. end - 1 */
  bool identity;      /* output i is pixel i */
  int *first, *count; /* [out] */
  int32_t *weight;    /* [out][taps] */
} KernelResizeAxis;

typedef enum {
  KERNEL_SCALING_ANTIALIAS, /* triangle whose support grows when shrinking: Pillow's BILINEAR */
  KERNEL_SCALING_BILINEAR,  /* two taps, as DeepStream */
  KERNEL_SCALING_NEAREST,
  KERNEL_SCALING_COUNT
} KernelScaling;

/* Computes the taps for `out` outputs, numbers from .. from + out - 1 of an axis of `in` pixels
 * that would be resized to `full` pixels as a whole (full == out, from == 0: no crop).
 * Memory: ints and weights are placed in `memory`, which must hold
 * kernel_resize_filter_size (in, full, out, scaling) bytes, and belong to the caller.
 * Requires 1 <= in, full <= 32768 and 0 <= from <= full - out.
 * Source: the arithmetic of Pillow's Image.resize (normalised in double, then rounded to 22 bits
 * away from zero at one half). */
size_t kernel_resize_filter_size (int in, int full, int out, KernelScaling scaling);
void kernel_resize_filter (KernelResizeAxis *axis, int in, int full, int from, int out,
    KernelScaling scaling, void *memory);

/* resize_u8: both passes, horizontal first, rounded and clipped to uint8 between them; a pass
 * along an axis that is the identity is skipped, as Pillow does. Pixels have `channels` interleaved
 * bytes (1..4), all of which are resized. Strides are in bytes. */
typedef struct {
  int channels;
  const KernelResizeAxis *h, *v; /* h: widths, v: heights; read during the call only */
  const uint8_t *x;
  ptrdiff_t x_stride;
  uint8_t *y;
  ptrdiff_t y_stride;
  uint8_t *scratch; /* kernel_resize_scratch() bytes */
} KernelResize;

/* Bytes of scratch for resize_u8, asked for while the axes' arrays are in host memory: the rows of
 * the vertical taps, horizontally resized, and room for the horizontal weights in a kernel's own
 * layout. */
size_t kernel_resize_scratch (const KernelResizeAxis *h, const KernelResizeAxis *v, int channels);

/* One component of an image: `step` bytes from pixel to pixel, `stride` from row to row. */
typedef struct {
  const uint8_t *data;
  ptrdiff_t stride;
  int step;
} KernelComponent;

/* yuv_rgb_u8: three components of one size to interleaved RGB (3 bytes a pixel).
 *   v = (sum_j matrix[i][j] * (in[j] - offset[j]) + 2^15) >> 16, clipped to 0..255 */
typedef struct {
  int width, height;
  KernelComponent in[3];
  int32_t matrix[3][3]; /* 16 fraction bits */
  int32_t offset[3];
  uint8_t *y;
  ptrdiff_t y_stride;
} KernelYuv;

/* grey_u8: Rec. 601 luma of RGB components, as Pillow's convert ("L"):
 *   (19595 r + 38470 g + 7471 b + 32768) >> 16 */
typedef struct {
  int width, height;
  KernelComponent in[3]; /* r, g, b */
  uint8_t *y;
  ptrdiff_t y_stride;
} KernelGrey;

/* input_s8, input_f32: pixels to the input tensor through one table per channel.
 *   y[row][col][k] = table[k][in[k] at (row, col)]     y dense: [height][width][channels]
 * With a mean image, which is laid out as y, the table is that of the differences:
 *   y[row][col][k] = table[k][in[k] at (row, col) - mean[row][col][k] + 255] */
#define KERNEL_INPUT_LEVELS      256
#define KERNEL_INPUT_DIFFERENCES 511
typedef struct {
  int width, height, channels; /* channels 1..4 */
  KernelComponent in[4];
  const uint8_t *mean; /* or NULL */
  const void *table;   /* int8_t or float [channels][256], with a mean [channels][511] */
  void *y;
} KernelInput;

/* picture_s8, picture_f32: all of it at once. Each component of the picture is resized as by resize_u8,
 * from the plane and the byte of a pixel where it lies; the three are converted as by yuv_rgb_u8 or
 * grey_u8; and what becomes of them, which is black (0) where the picture does not reach, goes through the
 * tables of input_*. No pixel that no tap needs is read: begin .. end - 1 of either axis. */
typedef struct {
  const uint8_t *x;
  ptrdiff_t stride;
  int step;                      /* bytes from pixel to pixel */
  const KernelResizeAxis *h, *v; /* the structs are read during the call only */
} KernelPicturePlane;

typedef enum {
  KERNEL_COLOUR_PLAIN, /* no conversion: 1 or 3 components */
  KERNEL_COLOUR_YUV,   /* 3 to red, green, blue */
  KERNEL_COLOUR_GREY   /* 3 to 1 */
} KernelColour;

typedef struct {
  int n_planes, n_components;
  KernelPicturePlane planes[3]; /* all with axes of as many outputs */
  struct {
    int plane, offset;
  } component[3];
  KernelColour colour;
  int32_t matrix[3][3], offset[3]; /* as KernelYuv */
  int top, left;                   /* where the picture lies in the tensor, all of it inside */

  int width, height, channels; /* channels 1 or 3 */
  int pick[3];                 /* what of the picture channel k is */
  const uint8_t *mean;
  const void *table;
  void *y;
} KernelPicture;

#ifdef __cplusplus
}
#endif
