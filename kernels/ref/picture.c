/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * picture.c: picture_s8 and picture_f32, the specification: every value of the tensor by itself, from
 * the pixels that it needs.
 */
#include "kernels/backend.h"
#include "kernels/resize.h"

/* One byte of a row, horizontally resized. */
static uint8_t
across (const KernelResizeAxis *h, const uint8_t *row, int step, int col)
{
  const int32_t *weight = &h->weight[(size_t) col * h->taps];
  const uint8_t *x = row + (ptrdiff_t) h->first[col] * step;
  int32_t sum = KERNEL_RESIZE_HALF;

  for (int t = 0; t < h->count[col]; t++)
    sum += weight[t] * x[(ptrdiff_t) t * step];
  return kernel_resize_clip (sum);
}

/* A component at a pixel of the resized picture. */
static uint8_t
component (const KernelPicture *p, int j, int row, int col)
{
  const KernelPicturePlane *plane = &p->planes[p->component[j].plane];
  const KernelResizeAxis *v = plane->v;
  const int32_t *weight = &v->weight[(size_t) row * v->taps];
  const uint8_t *x = plane->x + v->first[row] * plane->stride + p->component[j].offset;
  int32_t sum = KERNEL_RESIZE_HALF;

  for (int t = 0; t < v->count[row]; t++)
    sum += weight[t] * across (plane->h, x + t * plane->stride, plane->step, col);
  return kernel_resize_clip (sum);
}

/* What the tensor's pixel shows: red, green and blue, or grey. */
static void
colours (const KernelPicture *p, int row, int col, uint8_t *c)
{
  const KernelResizeAxis *h = p->planes[0].h, *v = p->planes[0].v;
  KernelComponent in[3] = {{0}};
  uint8_t x[3] = {0};

  c[0] = c[1] = c[2] = 0;
  if (row < p->top || row >= p->top + v->out || col < p->left || col >= p->left + h->out)
    return;
  for (int j = 0; j < p->n_components; j++) {
    x[j] = component (p, j, row - p->top, col - p->left);
    in[j] = (KernelComponent){&x[j], 1, 1};
  }
  if (p->colour == KERNEL_COLOUR_YUV) {
    KernelYuv yuv = {1, 1, {in[0], in[1], in[2]}, {{0}}, {0}, c, 3};

    for (int i = 0; i < 9; i++)
      yuv.matrix[i / 3][i % 3] = p->matrix[i / 3][i % 3];
    for (int i = 0; i < 3; i++)
      yuv.offset[i] = p->offset[i];
    kernel_yuv_rgb_u8_ref (&yuv, NULL);
  } else if (p->colour == KERNEL_COLOUR_GREY) {
    const KernelGrey grey = {1, 1, {in[0], in[1], in[2]}, c, 1};

    kernel_grey_u8_ref (&grey, NULL);
  } else {
    for (int j = 0; j < p->n_components; j++)
      c[j] = x[j];
  }
}

/* One pixel of the tensor, through its tables. */
static void
pixel (const KernelPicture *p, int row, int col, size_t element,
    void (*input) (const KernelInput *, KernelQueue *))
{
  const size_t at = ((size_t) row * p->width + col) * p->channels;
  KernelInput args = {1, 1, p->channels, .mean = p->mean ? p->mean + at : NULL, .table = p->table};
  uint8_t c[3];

  colours (p, row, col, c);
  for (int k = 0; k < p->channels; k++)
    args.in[k] = (KernelComponent){&c[p->pick[k]], 1, 1};
  args.y = (char *) p->y + at * element;
  input (&args, NULL);
}

void
kernel_picture_s8_ref (const KernelPicture *p, KernelQueue *queue)
{
  for (int row = 0; row < p->height; row++)
    for (int col = 0; col < p->width; col++)
      pixel (p, row, col, sizeof (int8_t), kernel_input_s8_ref);
}

void
kernel_picture_f32_ref (const KernelPicture *p, KernelQueue *queue)
{
  for (int row = 0; row < p->height; row++)
    for (int col = 0; col < p->width; col++)
      pixel (p, row, col, sizeof (float), kernel_input_f32_ref);
}
