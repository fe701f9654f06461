/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * preprocessor-passes.c: preprocessing as kernels of their own:
 *
 *   plane --resize--> canvas --+--(yuv | grey)--> canvas --+--table--> tensor
 *
 * A plane that already has its size is read where it lies. Black borders are drawn once: no kernel
 * writes there.
 */
#include "engine/engine.h"
#include "engine/preprocessor.h"

#include <string.h>

static gboolean
converts (const EnginePreprocessor *p)
{
  return p->colour != KERNEL_COLOUR_PLAIN;
}

void
engine_preprocessor_choose_direct (EnginePreprocessor *p, const EngineImage *image)
{
  const EngineGeometry *g = &p->geometry;

  for (int i = 0; i < image->n_planes; i++) {
    const EnginePlane *plane = &image->planes[i];

    p->planes[i].direct = plane->width == g->full_w && plane->height == g->full_h &&
                          g->full_w == g->out_w && g->full_h == g->out_h &&
                          (converts (p) || (g->out_w == p->width && g->out_h == p->height));
  }
}

/* Before a conversion a canvas holds the resized picture, after it the whole input. */
static void
place_canvas (KernelComponent *canvas, int width, int height, int step, gsize *end, gsize *at)
{
  canvas->step = step;
  canvas->stride = (ptrdiff_t) width * step;
  *at = engine_preprocessor_place (end, (gsize) width * height * step);
}

void
engine_preprocessor_place_canvases (EnginePreprocessor *p, const EngineImage *image, gsize *end)
{
  for (int i = 0; i < image->n_planes && !converts (p); i++)
    if (p->planes[i].used && !p->planes[i].direct)
      place_canvas (&p->planes[i].canvas, p->width, p->height, image->planes[i].step, end,
          &p->planes[i].canvas_at);
  if (converts (p))
    place_canvas (&p->converted, p->width, p->height, p->colour == KERNEL_COLOUR_YUV ? 3 : 1, end,
        &p->converted_at);
}

gsize
engine_preprocessor_place_scratch (EnginePreprocessor *p, const EngineImage *image, gsize *end)
{
  const EngineGeometry *g = &p->geometry;
  gsize scratch = 0;

  for (int i = 0; i < image->n_planes; i++) {
    EnginePlaneWay *plane = &p->planes[i];

    if (!plane->used || plane->direct)
      continue;
    if (converts (p))
      place_canvas (&plane->canvas, g->out_w, g->out_h, image->planes[i].step, end,
          &plane->canvas_at);
    scratch = MAX (scratch, kernel_resize_scratch (&plane->h, &plane->v, image->planes[i].step));
  }
  return engine_preprocessor_place (end, scratch);
}

/* For all that does not change from frame to frame. */
void
engine_preprocessor_set_passes (EnginePreprocessor *p, gsize scratch_at)
{
  const EngineGeometry *g = &p->geometry;
  guint8 *y = p->block + p->converted_at;

  for (int i = 0; i < p->format.n_planes; i++) {
    EnginePlaneWay *plane = &p->planes[i];
    KernelComponent *canvas = &plane->canvas;
    guint8 *at = p->block + plane->canvas_at;

    if (!plane->used || plane->direct)
      continue;
    canvas->data = at;
    if (!converts (p))
      at += g->at_y * canvas->stride + (ptrdiff_t) g->at_x * canvas->step;
    plane->resize = (KernelResize){canvas->step, &plane->h, &plane->v, NULL, 0, at, canvas->stride,
        p->block + scratch_at};
  }
  p->converted.data = y;
  if (converts (p))
    y += g->at_y * p->converted.stride + (ptrdiff_t) g->at_x * p->converted.step;
  p->yuv = (KernelYuv){.width = g->out_w, .height = g->out_h, .y = y};
  p->yuv.y_stride = p->converted.stride;
  memcpy (p->yuv.matrix, p->matrix, sizeof p->matrix);
  memcpy (p->yuv.offset, p->format.offset, sizeof p->format.offset);
  p->grey = (KernelGrey){.width = g->out_w, .height = g->out_h, .y = y};
  p->grey.y_stride = p->converted.stride;
  p->input = (KernelInput){p->width, p->height, p->channels, .table = p->block};
  if (p->preprocess.mean_image)
    p->input.mean = p->block + p->mean_at;
}

void
engine_preprocessor_run_passes (EnginePreprocessor *p, const EngineImage *image, KernelQueue *queue,
    void *tensor)
{
  const KernelOps *ops = p->backend->ops;
  KernelComponent in[3] = {{0}};

  for (int i = 0; i < image->n_planes; i++)
    if (p->planes[i].used && !p->planes[i].direct) {
      p->planes[i].resize.x = image->planes[i].data;
      p->planes[i].resize.x_stride = image->planes[i].stride;
      ops->resize_u8 (&p->planes[i].resize, queue);
    }
  for (int j = 0; j < p->n_components; j++) {
    const int i = p->component[j].plane;
    const EnginePlane *from = &image->planes[i];

    in[j] = p->planes[i].direct ? (KernelComponent){from->data, from->stride, from->step}
                                : p->planes[i].canvas;
    in[j].data += p->component[j].offset;
  }
  if (p->colour == KERNEL_COLOUR_YUV) {
    memcpy (p->yuv.in, in, sizeof in);
    ops->yuv_rgb_u8 (&p->yuv, queue);
  } else if (p->colour == KERNEL_COLOUR_GREY) {
    memcpy (p->grey.in, in, sizeof in);
    ops->grey_u8 (&p->grey, queue);
  }

  for (int k = 0; k < p->channels; k++) {
    const int j = engine_preprocessor_pick (p, k);

    p->input.in[k] = converts (p) ? p->converted : in[p->n_components > 1 ? j : 0];
    if (p->colour == KERNEL_COLOUR_YUV)
      p->input.in[k].data += j;
  }
  p->input.y = tensor;
  (p->type == ENGINE_TYPE_S8 ? ops->input_s8 : ops->input_f32) (&p->input, queue);
}
