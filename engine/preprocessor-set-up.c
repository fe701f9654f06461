/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * preprocessor-set-up.c: what depends on size and format of the pictures only, in one block of the back
 * end's memory: the table, the mean image, taps, canvases; and the arguments of kernels.
 */
#include "engine/engine.h"
#include "engine/mean-image.h"
#include "engine/preprocessor.h"

#include <string.h>

/* --- Table ----------------------------------------------------------------------------------- */

/* Y as a byte at full range, as kernel yuv_rgb_u8 makes it of a grey pixel. */
static int
full_range (const EngineImage *image, int y)
{
  const gint32 v = (image->matrix[0][0] * (y - image->offset[0]) + (1 << 15)) >> 16;

  return CLAMP (v, 0, 255);
}

/* The table for the picture at hand: where Y is the only component, it also widens Y's range. */
static void
stage_table (const EnginePreprocessor *p, const EngineImage *image, guint8 *to)
{
  const gsize size = p->table_size / ((gsize) p->channels * p->n_levels);

  if (image->kind != ENGINE_IMAGE_YUV || p->n_components > 1) {
    memcpy (to, p->table, p->table_size);
    return;
  }
  for (int i = 0; i < p->n_levels; i++)
    memcpy (to + i * size, p->table + full_range (image, i) * size, size);
}

/* --- Choices --------------------------------------------------------------------------------- */

/* Y alone, where a table of differences cannot widen its range: through the matrix, without chroma. */
static void
choose_luma (EnginePreprocessor *p)
{
  p->n_components = 3;
  p->component[2] = p->component[1] = p->component[0];
  for (int i = 0; i < 3; i++)
    p->matrix[i][1] = p->matrix[i][2] = 0;
}

/* Which components and planes are read, and which conversion follows. */
static void
choose (EnginePreprocessor *p, const EngineImage *image)
{
  const gboolean colour = p->channels == 3, yuv = image->kind == ENGINE_IMAGE_YUV;
  const gboolean luma = yuv && !colour && p->preprocess.mean_image;

  p->colour = (yuv && colour) || luma                      ? KERNEL_COLOUR_YUV
              : image->kind == ENGINE_IMAGE_RGB && !colour ? KERNEL_COLOUR_GREY
                                                           : KERNEL_COLOUR_PLAIN;
  p->n_components = image->kind == ENGINE_IMAGE_RGB || (yuv && colour) ? 3 : 1;
  memcpy (p->matrix, image->matrix, sizeof p->matrix);
  for (int j = 0; j < 3; j++) {
    p->component[j].plane = image->component[j].plane;
    p->component[j].offset = image->component[j].offset;
  }
  if (luma)
    choose_luma (p);
  memset (p->planes, 0, sizeof p->planes);
  for (int j = 0; j < p->n_components; j++)
    p->planes[p->component[j].plane].used = TRUE;
}

/* --- Memory ---------------------------------------------------------------------------------- */

gsize
engine_preprocessor_place (gsize *end, gsize size)
{
  const gsize at = *end;

  *end += (size + KERNEL_ALIGN - 1) / KERNEL_ALIGN * KERNEL_ALIGN;
  return at;
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

/* So that sizes that differ a little do not cost new memory each. */
static gsize
rounded (gsize size)
{
  gsize result = 4096;

  while (result < size)
    result *= 2;
  return result;
}

static void
free_staging (const EnginePreprocessor *p, EngineSetUp *set_up)
{
  if (p->backend->host_alloc && set_up->staging)
    p->backend->host_free (p->backend, set_up->staging);
  else
    g_free (set_up->staging);
  set_up->staging = NULL;
  set_up->staging_size = 0;
}

/* Memory that the device reads itself, where there is such: other memory it would copy first, and for that
 * it may wait. The contents are lost. */
static gboolean
reserve_staging (EnginePreprocessor *p, EngineSetUp *set_up, gsize size, GError **error)
{
  KernelBackend *backend = p->backend;

  if (set_up->staging_size < size) {
    free_staging (p, set_up);
    size = rounded (size);
    set_up->staging =
        backend->host_alloc ? backend->host_alloc (backend, size) : g_try_malloc (size);
    if (!set_up->staging)
      return no_memory (p, size, "on the host", error);
    set_up->staging_size = size;
  }
  p->staging = set_up->staging;
  return TRUE;
}

static gboolean
reserve_block (EnginePreprocessor *p, EngineSetUp *set_up, gsize size, GError **error)
{
  KernelBackend *backend = p->backend;

  if (set_up->block_size < size) {
    if (set_up->block)
      backend->free (backend, set_up->block);
    size = rounded (size);
    set_up->block_size = 0;
    set_up->block = backend->alloc (backend, size);
    if (!set_up->block)
      return no_memory (p, size, "of the back end", error);
    set_up->block_size = size;
  }
  p->block = set_up->block;
  return TRUE;
}

void
engine_preprocessor_free_set_ups (EnginePreprocessor *p)
{
  for (guint i = 0; i < ENGINE_SET_UPS; i++) {
    free_staging (p, &p->set_ups[i]);
    if (p->set_ups[i].block)
      p->backend->free (p->backend, p->set_ups[i].block);
  }
}

/* Memory that no queued work uses. */
static EngineSetUp *
next_set_up (EnginePreprocessor *p, KernelQueue *queue, GError **error)
{
  if (p->n_set_ups == p->max_set_ups) {
    const char *failure = p->backend->queue_wait (queue);

    p->n_set_ups = 0;
    if (failure) {
      g_set_error (error, ENGINE_ERROR, ENGINE_ERROR_BACKEND, "back end %s failed: %s",
          p->backend->name, failure);
      return NULL;
    }
  }
  return &p->set_ups[p->n_set_ups++];
}

/* --- The part that is uploaded --------------------------------------------------------------- */

static gboolean
is_resized (const EnginePreprocessor *p, int plane)
{
  return p->planes[plane].used && !p->planes[plane].direct;
}

static gsize
mean_size (const EnginePreprocessor *p)
{
  return p->preprocess.mean_image ? (gsize) p->width * p->height * p->channels : 0;
}

static gsize
lay_out (EnginePreprocessor *p, const EngineImage *image)
{
  const EngineGeometry *g = &p->geometry;
  const KernelScaling scaling = p->preprocess.scaling;
  gsize end = 0;

  engine_preprocessor_place (&end, p->table_size);
  p->mean_at = engine_preprocessor_place (&end, mean_size (p));
  for (int i = 0; i < image->n_planes; i++) {
    const EnginePlane *from = &image->planes[i];
    EnginePlaneWay *plane = &p->planes[i];

    if (!is_resized (p, i))
      continue;
    plane->h_at = engine_preprocessor_place (&end,
        kernel_resize_filter_size (from->width, g->full_w, g->out_w, scaling));
    plane->v_at = engine_preprocessor_place (&end,
        kernel_resize_filter_size (from->height, g->full_h, g->out_h, scaling));
  }
  if (!p->whole)
    engine_preprocessor_place_canvases (p, image, &end);
  return end;
}

/* What lies between is black: canvases, as Y too, which is below its range. */
static void
fill (EnginePreprocessor *p, const EngineImage *image, gsize size)
{
  const EngineGeometry *g = &p->geometry;
  const KernelScaling scaling = p->preprocess.scaling;

  memset (p->staging, 0, size);
  stage_table (p, image, p->staging);
  if (p->preprocess.mean_image)
    memcpy (p->staging + p->mean_at, p->preprocess.mean_image->pixels, mean_size (p));
  for (int i = 0; i < image->n_planes; i++) {
    EnginePlaneWay *plane = &p->planes[i];

    if (!is_resized (p, i))
      continue;
    kernel_resize_filter (&plane->h, image->planes[i].width, g->full_w, g->from_x, g->out_w,
        scaling, p->staging + plane->h_at);
    kernel_resize_filter (&plane->v, image->planes[i].height, g->full_h, g->from_y, g->out_h,
        scaling, p->staging + plane->v_at);
  }
}

static void
rebase (KernelResizeAxis *axis, const guint8 *from, guint8 *to)
{
  axis->first = (int *) (to + ((guint8 *) axis->first - from));
  axis->count = (int *) (to + ((guint8 *) axis->count - from));
  axis->weight = (gint32 *) (to + ((guint8 *) axis->weight - from));
}

/* --------------------------------------------------------------------------------------------- */

gboolean
engine_preprocessor_set_up (EnginePreprocessor *p, const EngineImage *image, KernelQueue *queue,
    GError **error)
{
  EngineSetUp *set_up = next_set_up (p, queue, error);
  gsize end, uploaded, scratch_at = 0;

  p->format.width = 0;
  if (!set_up || !engine_geometry (&p->preprocess, image->width, image->height, p->width, p->height,
                     &p->geometry, error))
    return FALSE;
  choose (p, image);
  if (!p->whole)
    engine_preprocessor_choose_direct (p, image);
  uploaded = end = lay_out (p, image);
  if (!reserve_staging (p, set_up, end, error))
    return FALSE;
  fill (p, image, end);
  if (!p->whole)
    scratch_at = engine_preprocessor_place_scratch (p, image, &end);
  if (!reserve_block (p, set_up, end, error))
    return FALSE;
  p->backend->upload (queue, p->block, p->staging, uploaded);
  for (int i = 0; i < image->n_planes; i++)
    if (is_resized (p, i)) {
      rebase (&p->planes[i].h, p->staging, p->block);
      rebase (&p->planes[i].v, p->staging, p->block);
    }
  p->format = *image;
  if (p->whole)
    engine_preprocessor_set_whole (p, image);
  else
    engine_preprocessor_set_passes (p, scratch_at);
  return TRUE;
}
