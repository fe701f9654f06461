/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * preprocessor.c: the kernels that make a tensor from a picture.
 *
 *   plane --resize--> canvas --+--(yuv | grey)--> canvas --+--table--> tensor
 *
 * What depends on size and format only (taps, canvases, arguments) is set up when they change, in
 * one block of the back end's memory; a frame then costs its kernels. A plane that already has its
 * size is read where it lies. Black borders are drawn once: no kernel writes there.
 */
#include "engine/image.h"
#include "engine/engine.h"
#include "engine/mean-image.h"
#include "engine/upload.h"

#include <math.h>
#include <string.h>

typedef struct {
  gboolean used;   /* some component of the tensor comes from it */
  gboolean direct; /* it has its size: no resize, no canvas */
  KernelResizeAxis h, v;
  KernelResize resize; /* x is set for every frame */
  KernelComponent canvas;
  gsize h_at, v_at, canvas_at; /* offsets in the block */
} Plane;

struct _EnginePreprocessor {
  EnginePreprocess preprocess;
  int channels, height, width;
  EngineType type;
  KernelBackend *backend;
  guint8 *table; /* [channels][n_levels] of the type, for bytes at full range or differences from a mean */
  int n_levels;
  gsize table_size;

  EngineImage format; /* what is set up; width 0: nothing */
  EngineGeometry geometry;
  Plane planes[3];
  int n_components;   /* of the picture that are needed */
  gboolean yuv, grey; /* which conversion, if any */
  KernelComponent converted;
  KernelYuv yuv_args;
  KernelGrey grey_args;
  KernelInput input_args;

  /* The block begins with what is uploaded: the table, taps and canvases with borders. The host
   * makes it in `staging`. */
  guint8 *staging, *block;
  gsize staging_size, block_size, mean_at;
};

/* --- Tables --------------------------------------------------------------------------------- */

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

/* Y as a byte at full range, as kernel yuv_rgb_u8 makes it of a grey pixel. */
static int
full_range (const EngineImage *image, int y)
{
  const gint32 v = (image->matrix[0][0] * (y - image->offset[0]) + (1 << 15)) >> 16;

  return CLAMP (v, 0, 255);
}

/* The table for the picture at hand: where Y is the only component, it also widens Y's range. (With a
 * mean image a conversion does.) */
static void
stage_table (const EnginePreprocessor *p, const EngineImage *image, guint8 *to)
{
  const gsize size = p->table_size / ((gsize) p->channels * p->n_levels);

  if (image->kind != ENGINE_IMAGE_YUV || p->channels > 1 || p->preprocess.mean_image) {
    memcpy (to, p->table, p->table_size);
    return;
  }
  for (int i = 0; i < p->n_levels; i++)
    memcpy (to + i * size, p->table + full_range (image, i) * size, size);
}

/* --- Setting up ----------------------------------------------------------------------------- */

static gsize
place (gsize *end, gsize size)
{
  const gsize at = *end;

  *end += (size + KERNEL_ALIGN - 1) / KERNEL_ALIGN * KERNEL_ALIGN;
  return at;
}

/* Which components and planes are read, which conversion follows, what can be read in place. */
static void
choose (EnginePreprocessor *p, const EngineImage *image)
{
  const EngineGeometry *g = &p->geometry;
  const gboolean colour = p->channels == 3;

  p->yuv = image->kind == ENGINE_IMAGE_YUV && (colour || p->preprocess.mean_image);
  p->grey = image->kind == ENGINE_IMAGE_RGB && !colour;
  p->n_components = image->kind == ENGINE_IMAGE_RGB || (p->yuv && colour) ? 3 : 1;
  memset (p->planes, 0, sizeof p->planes);
  for (int j = 0; j < p->n_components; j++)
    p->planes[image->component[j].plane].used = TRUE;
  for (int i = 0; i < image->n_planes; i++) {
    const EnginePlane *plane = &image->planes[i];

    p->planes[i].direct = plane->width == g->full_w && plane->height == g->full_h &&
                          g->full_w == g->out_w && g->full_h == g->out_h &&
                          (p->yuv || p->grey || (g->out_w == p->width && g->out_h == p->height));
  }
}

static gboolean
no_memory (const EnginePreprocessor *p, gsize size, const char *where, GError **error)
{
  g_set_error (error, ENGINE_ERROR, ENGINE_ERROR_MEMORY,
      "preprocessing to %d x %d needs %" G_GSIZE_FORMAT
      " bytes of memory %s, which are not to be had",
      p->width, p->height, size, where);
  return FALSE;
}

/* Both grow only; the contents are lost. */
static gboolean
reserve_staging (EnginePreprocessor *p, gsize size, GError **error)
{
  if (p->staging_size >= size)
    return TRUE;
  g_free (p->staging);
  p->staging = g_try_malloc (size);
  p->staging_size = p->staging ? size : 0;
  return p->staging || no_memory (p, size, "on the host", error);
}

static gboolean
reserve_block (EnginePreprocessor *p, gsize size, GError **error)
{
  if (p->block_size >= size)
    return TRUE;
  if (p->block)
    p->backend->free (p->backend, p->block);
  p->block = p->backend->alloc (p->backend, size);
  p->block_size = p->block ? size : 0;
  return p->block || no_memory (p, size, "of the back end", error);
}

/* Before a conversion a canvas holds the resized picture, after it the whole input. */
static gsize
place_canvas (KernelComponent *canvas, int width, int height, int step, gsize *end, gsize *at)
{
  const gsize size = (gsize) width * height * step;

  canvas->step = step;
  canvas->stride = (ptrdiff_t) width * step;
  *at = place (end, size);
  return size;
}

static gsize
mean_size (const EnginePreprocessor *p)
{
  return p->preprocess.mean_image ? (gsize) p->width * p->height * p->channels : 0;
}

/* Lays out and makes the part that is uploaded. */
static gboolean
stage (EnginePreprocessor *p, const EngineImage *image, gsize *end, gsize *converted_at,
    GError **error)
{
  const EngineGeometry *g = &p->geometry;
  const KernelScaling scaling = p->preprocess.scaling;
  gsize size[3] = {0, 0, 0}, converted_size = 0;

  place (end, p->table_size);
  p->mean_at = place (end, mean_size (p));
  for (int i = 0; i < image->n_planes; i++) {
    const EnginePlane *from = &image->planes[i];
    Plane *plane = &p->planes[i];

    if (!plane->used || plane->direct)
      continue;
    plane->h_at =
        place (end, kernel_resize_filter_size (from->width, g->full_w, g->out_w, scaling));
    plane->v_at =
        place (end, kernel_resize_filter_size (from->height, g->full_h, g->out_h, scaling));
    if (!p->yuv && !p->grey)
      size[i] =
          place_canvas (&plane->canvas, p->width, p->height, from->step, end, &plane->canvas_at);
  }
  if (p->yuv || p->grey)
    converted_size =
        place_canvas (&p->converted, p->width, p->height, p->yuv ? 3 : 1, end, converted_at);

  if (!reserve_staging (p, *end, error))
    return FALSE;
  stage_table (p, image, p->staging);
  if (p->preprocess.mean_image)
    memcpy (p->staging + p->mean_at, p->preprocess.mean_image->pixels, mean_size (p));
  for (int i = 0; i < image->n_planes; i++) {
    Plane *plane = &p->planes[i];

    if (!plane->used || plane->direct)
      continue;
    kernel_resize_filter (&plane->h, image->planes[i].width, g->full_w, g->from_x, g->out_w,
        scaling, p->staging + plane->h_at);
    kernel_resize_filter (&plane->v, image->planes[i].height, g->full_h, g->from_y, g->out_h,
        scaling, p->staging + plane->v_at);
    memset (p->staging + plane->canvas_at, 0, size[i]); /* black, as Y too: below its range */
  }
  memset (p->staging + *converted_at, 0, converted_size);
  return TRUE;
}

static void
rebase (KernelResizeAxis *axis, const guint8 *from, guint8 *to)
{
  axis->first = (int *) (to + ((guint8 *) axis->first - from));
  axis->count = (int *) (to + ((guint8 *) axis->count - from));
  axis->weight = (gint32 *) (to + ((guint8 *) axis->weight - from));
}

/* The arguments of the kernels, for all that does not change from frame to frame. */
static void
set_args (EnginePreprocessor *p, const EngineImage *image, gsize converted_at, gsize scratch_at)
{
  const EngineGeometry *g = &p->geometry;
  const gboolean converts = p->yuv || p->grey;
  guint8 *y = p->block + converted_at;

  for (int i = 0; i < image->n_planes; i++) {
    Plane *plane = &p->planes[i];
    KernelComponent *canvas = &plane->canvas;
    guint8 *at = p->block + plane->canvas_at;

    if (!plane->used || plane->direct)
      continue;
    rebase (&plane->h, p->staging, p->block);
    rebase (&plane->v, p->staging, p->block);
    canvas->data = at;
    if (!converts)
      at += g->at_y * canvas->stride + (ptrdiff_t) g->at_x * canvas->step;
    plane->resize = (KernelResize){canvas->step, &plane->h, &plane->v, NULL, 0, at, canvas->stride,
        p->block + scratch_at};
  }
  p->converted.data = y;
  if (converts)
    y += g->at_y * p->converted.stride + (ptrdiff_t) g->at_x * p->converted.step;
  p->yuv_args = (KernelYuv){.width = g->out_w, .height = g->out_h, .y = y};
  p->yuv_args.y_stride = p->converted.stride;
  memcpy (p->yuv_args.matrix, image->matrix, sizeof image->matrix);
  memcpy (p->yuv_args.offset, image->offset, sizeof image->offset);
  if (p->n_components == 1) /* Y stands in for U and V, which have no part in it */
    for (int i = 0; i < 3; i++)
      p->yuv_args.matrix[i][1] = p->yuv_args.matrix[i][2] = 0;
  p->grey_args = (KernelGrey){.width = g->out_w, .height = g->out_h, .y = y};
  p->grey_args.y_stride = p->converted.stride;
  p->input_args = (KernelInput){p->width, p->height, p->channels, .table = p->block};
  if (p->preprocess.mean_image)
    p->input_args.mean = p->block + p->mean_at;
}

static gboolean
set_up (EnginePreprocessor *p, const EngineImage *image, KernelQueue *queue, GError **error)
{
  const EngineGeometry *g = &p->geometry;
  const char *failure = p->backend->queue_wait (queue); /* it may still use block and staging */
  gsize end = 0, uploaded, converted_at = 0, scratch = 0;

  p->format.width = 0;
  if (failure) {
    g_set_error (error, ENGINE_ERROR, ENGINE_ERROR_BACKEND, "back end %s failed: %s",
        p->backend->name, failure);
    return FALSE;
  }
  if (!engine_geometry (&p->preprocess, image->width, image->height, p->width, p->height,
          &p->geometry, error))
    return FALSE;
  choose (p, image);
  if (!stage (p, image, &end, &converted_at, error))
    return FALSE;

  uploaded = end;
  for (int i = 0; i < image->n_planes; i++) {
    Plane *plane = &p->planes[i];

    if (!plane->used || plane->direct)
      continue;
    if (p->yuv || p->grey)
      place_canvas (&plane->canvas, g->out_w, g->out_h, image->planes[i].step, &end,
          &plane->canvas_at);
    scratch = MAX (scratch, kernel_resize_scratch (&plane->h, &plane->v, image->planes[i].step));
  }
  const gsize scratch_at = place (&end, scratch);
  if (!reserve_block (p, end, error))
    return FALSE;
  p->backend->upload (queue, p->block, p->staging, uploaded);
  set_args (p, image, converted_at, scratch_at);
  p->format = *image;
  return TRUE;
}

/* To the device: no more than is read. */
static gboolean
fetch (const EnginePreprocessor *p, EngineUpload *upload, KernelQueue *queue, EngineImage *image,
    GError **error)
{
  EngineRect parts[3] = {0};

  for (int i = 0; i < image->n_planes; i++) {
    const Plane *plane = &p->planes[i];
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
  const KernelOps *ops = p->backend->ops;
  KernelComponent in[3] = {{0}};
  EngineImage part;

  if (!engine_image_region (image, region, &part, error))
    return FALSE;
  if (!engine_image_same_format (&part, &p->format) && !set_up (p, &part, queue, error))
    return FALSE;
  if (upload && !fetch (p, upload, queue, &part, error))
    return FALSE;

  for (int i = 0; i < part.n_planes; i++)
    if (p->planes[i].used && !p->planes[i].direct) {
      p->planes[i].resize.x = part.planes[i].data;
      p->planes[i].resize.x_stride = part.planes[i].stride;
      ops->resize_u8 (&p->planes[i].resize, queue);
    }
  for (int j = 0; j < p->n_components; j++) {
    const int i = part.component[j].plane;
    const EnginePlane *from = &part.planes[i];

    in[j] = p->planes[i].direct ? (KernelComponent){from->data, from->stride, from->step}
                                : p->planes[i].canvas;
    in[j].data += part.component[j].offset;
  }
  for (int j = p->n_components; j < 3; j++)
    in[j] = in[0];
  if (p->yuv) {
    memcpy (p->yuv_args.in, in, sizeof in);
    ops->yuv_rgb_u8 (&p->yuv_args, queue);
  } else if (p->grey) {
    memcpy (p->grey_args.in, in, sizeof in);
    ops->grey_u8 (&p->grey_args, queue);
  }

  for (int k = 0; k < p->channels; k++) {
    const int j = p->preprocess.color_format == ENGINE_COLOR_BGR ? 2 - k : k;

    p->input_args.in[k] = p->yuv || p->grey ? p->converted : in[p->n_components > 1 ? j : 0];
    if (p->yuv)
      p->input_args.in[k].data += j;
  }
  p->input_args.y = tensor;
  (p->type == ENGINE_TYPE_S8 ? ops->input_s8 : ops->input_f32) (&p->input_args, queue);
  return TRUE;
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

  if (!missing)
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
  p->n_levels = 256 - engine_preprocess_least (preprocess);
  p->table_size =
      (gsize) channels * p->n_levels * (type == ENGINE_TYPE_S8 ? 1 : sizeof (float));
  p->table = g_malloc (p->table_size);
  fill_table (p, scale, zero);
  return p;
}

void
engine_preprocessor_free (EnginePreprocessor *preprocessor)
{
  if (!preprocessor)
    return;
  if (preprocessor->block)
    preprocessor->backend->free (preprocessor->backend, preprocessor->block);
  g_free (preprocessor->staging);
  g_free (preprocessor->table);
  g_free (preprocessor);
}
