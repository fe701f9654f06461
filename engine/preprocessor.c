/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * preprocessor.c: tensors from pictures. What depends on size and format only is set up when they
 * change; a frame then costs its kernels, or the one.
 */
#include "engine/engine.h"
#include "engine/preprocessor.h"
#include "engine/upload.h"

#include <math.h>

/* Levels as QuantizeLinear has them, to the last bit: pixels of some models lie in the middle between
 * two levels, all of them, and the zero point may be odd. */
static void
fill_table (EnginePreprocessor *p, float scale, int zero)
{
  const int least = engine_preprocess_least (&p->preprocess);

  for (int k = 0; k < p->channels; k++)
    for (int i = 0; i < p->n_levels; i++) {
      const double y = engine_preprocess_value (&p->preprocess, k, least + i);

      if (p->type == ENGINE_TYPE_F32)
        ((float *) p->table)[k * p->n_levels + i] = (float) y;
      else
        ((gint8 *) p->table)[k * p->n_levels + i] =
            (gint8) CLAMP (rintf ((float) y / scale) + zero, -128.0f, 127.0f);
    }
}

/* To the device: no more than is read. */
static gboolean
fetch (const EnginePreprocessor *p, EngineUpload *upload, KernelQueue *queue, EngineImage *image,
    GError **error)
{
  EngineRect parts[3] = {0};

  for (int i = 0; i < image->n_planes; i++) {
    const EnginePlaneWay *plane = &p->planes[i];
    const KernelResizeAxis *h = &plane->h, *v = &plane->v;

    if (plane->used && plane->direct)
      parts[i] = (EngineRect){0, 0, image->planes[i].width, image->planes[i].height};
    else if (plane->used)
      parts[i] = (EngineRect){h->begin, v->begin, h->end - h->begin, v->end - v->begin};
  }
  return engine_upload_planes (upload, queue, image, parts, error);
}

/* --- Public --------------------------------------------------------------------------------- */

gboolean
engine_preprocessor_run (EnginePreprocessor *preprocessor, const EngineImage *image,
    const EngineRect *region, KernelQueue *queue, void *tensor, GError **error)
{
  return engine_preprocessor_run_from_host (preprocessor, image, region, NULL, queue, tensor,
      error);
}

gboolean
engine_preprocessor_run_from_host (EnginePreprocessor *preprocessor, const EngineImage *image,
    const EngineRect *region, EngineUpload *upload, KernelQueue *queue, void *tensor,
    GError **error)
{
  EnginePreprocessor *p = preprocessor;
  EngineImage part;

  if (!engine_image_region (image, region, &part, error))
    return FALSE;
  if (!engine_image_same_format (&part, &p->format) &&
      !engine_preprocessor_set_up (p, &part, queue, error))
    return FALSE;
  if (upload && !fetch (p, upload, queue, &part, error))
    return FALSE;
  if (p->whole)
    engine_preprocessor_run_whole (p, &part, queue, tensor);
  else
    engine_preprocessor_run_passes (p, &part, queue, tensor);
  return TRUE;
}

static gboolean
takes_whole (const KernelBackend *backend, EngineType type)
{
  return type == ENGINE_TYPE_S8 ? backend->ops->picture_s8 != NULL
                                : backend->ops->picture_f32 != NULL;
}

static gboolean
check_backend (const KernelBackend *backend, EngineType type, GError **error)
{
  const KernelOps *ops = backend->ops;
  const char *missing = !ops->resize_u8                              ? "resize_u8"
                        : !ops->yuv_rgb_u8                           ? "yuv_rgb_u8"
                        : !ops->grey_u8                              ? "grey_u8"
                        : type == ENGINE_TYPE_S8 && !ops->input_s8   ? "input_s8"
                        : type == ENGINE_TYPE_F32 && !ops->input_f32 ? "input_f32"
                                                                     : NULL;

  if (!missing || takes_whole (backend, type))
    return TRUE;
  g_set_error (error, ENGINE_ERROR, ENGINE_ERROR_BACKEND,
      "back end %s has no kernel %s, which preprocessing needs", backend->name, missing);
  return FALSE;
}

EnginePreprocessor *
engine_preprocessor_new (const EnginePreprocess *preprocess, int channels, int height, int width,
    EngineType type, float scale, int zero, KernelBackend *backend, GError **error)
{
  if (!engine_preprocess_check (preprocess, channels, error) ||
      !engine_preprocess_check_size (preprocess, height, width, error) ||
      !check_backend (backend, type, error))
    return NULL;
  if (height < 1 || width < 1 || height > ENGINE_MAX_SIDE || width > ENGINE_MAX_SIDE) {
    g_set_error (error, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT,
        "an input of %d x %d pixels cannot be filled: sides are 1 to %d", width, height,
        ENGINE_MAX_SIDE);
    return NULL;
  }
  if (type == ENGINE_TYPE_S8 &&
      (!(scale > 0.0f) || !isfinite (scale) || zero < -128 || zero > 127)) {
    g_set_error (error, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT,
        "an int8 input cannot have scale %g and zero point %d", scale, zero);
    return NULL;
  }

  EnginePreprocessor *p = g_new0 (EnginePreprocessor, 1);

  p->preprocess = *preprocess;
  p->channels = channels;
  p->height = height;
  p->width = width;
  p->type = type;
  p->backend = backend;
  p->whole = takes_whole (backend, type);
  p->max_set_ups = p->whole && !backend->host_memory ? ENGINE_SET_UPS : 1;
  p->n_levels = 256 - engine_preprocess_least (preprocess);
  p->table_size = (gsize) channels * p->n_levels * (type == ENGINE_TYPE_S8 ? 1 : sizeof (float));
  p->table = g_malloc (p->table_size);
  fill_table (p, scale, zero);
  return p;
}

void
engine_preprocessor_free (EnginePreprocessor *preprocessor)
{
  if (!preprocessor)
    return;
  engine_preprocessor_free_set_ups (preprocessor);
  g_free (preprocessor->table);
  g_free (preprocessor);
}
