/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * preprocessor-whole.c: preprocessing as one kernel, on devices, where every launch costs.
 */
#include "engine/preprocessor.h"

#include <string.h>

void
engine_preprocessor_set_whole (EnginePreprocessor *p, const EngineImage *image)
{
  const EngineGeometry *g = &p->geometry;
  KernelPicture *args = &p->picture;

  *args = (KernelPicture){.n_components = p->n_components,
      .colour = p->colour,
      .top = g->at_y,
      .left = g->at_x,
      .width = p->width,
      .height = p->height,
      .channels = p->channels,
      .mean = p->preprocess.mean_image ? p->block + p->mean_at : NULL,
      .table = p->block};
  memcpy (args->matrix, p->matrix, sizeof args->matrix);
  memcpy (args->offset, image->offset, sizeof args->offset);
  for (int k = 0; k < p->channels; k++) /* a grey picture has one colour */
    args->pick[k] = p->n_components == 1 && p->channels == 3 ? 0 : engine_preprocessor_pick (p, k);
}

void
engine_preprocessor_run_whole (EnginePreprocessor *p, const EngineImage *image, KernelQueue *queue,
    void *tensor)
{
  const KernelOps *ops = p->backend->ops;
  KernelPicture *args = &p->picture;
  int of[3]; /* planes that are not used are left out */

  args->n_planes = 0;
  for (int i = 0; i < image->n_planes; i++) {
    const EnginePlane *plane = &image->planes[i];

    if (!p->planes[i].used)
      continue;
    of[i] = args->n_planes;
    args->planes[args->n_planes++] = (KernelPicturePlane){plane->data, plane->stride, plane->step,
        &p->planes[i].h, &p->planes[i].v};
  }
  for (int j = 0; j < p->n_components; j++) {
    args->component[j].plane = of[p->component[j].plane];
    args->component[j].offset = p->component[j].offset;
  }
  args->y = tensor;
  (p->type == ENGINE_TYPE_S8 ? ops->picture_s8 : ops->picture_f32) (args, queue);
}
