/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * image.c: pictures: colour matrices, checks, regions, and where they land in the input.
 */
#include "engine/image.h"

#include <math.h>
#include <string.h>

#define INVALID(...) g_set_error (error, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT, __VA_ARGS__)

void
engine_image_set_yuv (EngineImage *image, double kr, double kb, gboolean full_range)
{
  const double kg = 1.0 - kr - kb;
  const double luma = 65536.0 * (full_range ? 1.0 : 255.0 / 219.0);
  const double chroma = 65536.0 * (full_range ? 1.0 : 255.0 / 224.0);
  const double matrix[3][3] = {
      {luma, 0.0, chroma * 2.0 * (1.0 - kr)},
      {luma, -chroma * 2.0 * kb * (1.0 - kb) / kg, -chroma * 2.0 * kr * (1.0 - kr) / kg},
      {luma, chroma * 2.0 * (1.0 - kb), 0.0},
  };

  for (int i = 0; i < 3; i++)
    for (int j = 0; j < 3; j++)
      image->matrix[i][j] = (gint32) rint (matrix[i][j]);
  image->offset[0] = full_range ? 0 : 16;
  image->offset[1] = image->offset[2] = 128;
}

/* --- Checks --------------------------------------------------------------------------------- */

static gboolean
check_plane (const EngineImage *image, int i, GError **error)
{
  const EnginePlane *plane = &image->planes[i];
  const gboolean whole = plane->width == image->width && plane->height == image->height;

  if (plane->width < 1 || plane->width > image->width || plane->height < 1 ||
      plane->height > image->height || (!whole && image->kind != ENGINE_IMAGE_YUV)) {
    INVALID ("plane %d of a picture of %d x %d cannot be %d x %d", i, image->width, image->height,
        plane->width, plane->height);
    return FALSE;
  }
  if (!plane->data || plane->step < 1 || plane->step > 4 ||
      ABS (plane->stride) < (gssize) plane->width * plane->step) {
    INVALID ("plane %d of a picture of %d x %d: %s%d bytes a pixel, %" G_GSSIZE_FORMAT
             " bytes a row cannot be",
        i, image->width, image->height, plane->data ? "" : "no data, ", plane->step, plane->stride);
    return FALSE;
  }
  return TRUE;
}

/* Bounds within which kernel yuv_rgb_u8 cannot overflow. */
static gboolean
check_matrix (const EngineImage *image, GError **error)
{
  for (int i = 0; i < 3; i++) {
    gboolean bad = image->offset[i] < 0 || image->offset[i] > 255;

    for (int j = 0; j < 3; j++)
      bad = bad || image->matrix[i][j] > 1 << 20 || image->matrix[i][j] < -(1 << 20);
    if (bad) {
      INVALID ("the YUV matrix of a picture is out of bounds in row %d", i);
      return FALSE;
    }
  }
  return TRUE;
}

static gboolean
check_image (const EngineImage *image, GError **error)
{
  const int n_components = image->kind == ENGINE_IMAGE_GREY ? 1 : 3;

  if (image->width < 1 || image->height < 1 || image->width > ENGINE_MAX_SIDE ||
      image->height > ENGINE_MAX_SIDE) {
    INVALID ("a picture of %d x %d cannot be used: sides are 1 to %d pixels", image->width,
        image->height, ENGINE_MAX_SIDE);
    return FALSE;
  }
  if (image->n_planes < 1 || image->n_planes > 3) {
    INVALID ("a picture has 1 to 3 planes, not %d", image->n_planes);
    return FALSE;
  }
  for (int i = 0; i < image->n_planes; i++)
    if (!check_plane (image, i, error))
      return FALSE;
  for (int j = 0; j < n_components; j++) {
    const int plane = image->component[j].plane, offset = image->component[j].offset;

    if (plane < 0 || plane >= image->n_planes || offset < 0 ||
        offset >= image->planes[plane].step) {
      INVALID ("component %d of a picture cannot be byte %d of plane %d", j, offset, plane);
      return FALSE;
    }
  }
  const EnginePlane *first = &image->planes[image->component[0].plane];
  if (first->width != image->width || first->height != image->height) {
    INVALID ("the plane of Y must have the size of the picture, %d x %d, not %d x %d", image->width,
        image->height, first->width, first->height);
    return FALSE;
  }
  return image->kind != ENGINE_IMAGE_YUV || check_matrix (image, error);
}

/* --- Region --------------------------------------------------------------------------------- */

/* The samples of a subsampled axis that pixels [begin, begin + size) touch. */
static void
cut_axis (int begin, int size, int pixels, int *samples, int *first)
{
  const int each = (pixels + *samples - 1) / *samples;
  const int last = MIN (*samples - 1, (begin + size - 1) / each);

  *first = MIN (*samples - 1, begin / each);
  *samples = last - *first + 1;
}

gboolean
engine_image_region (const EngineImage *image, const EngineRect *region, EngineImage *result,
    GError **error)
{
  if (!check_image (image, error))
    return FALSE;
  *result = *image;
  if (!region)
    return TRUE;
  if (region->x < 0 || region->y < 0 || region->width < 1 || region->height < 1 ||
      region->x > image->width - region->width || region->y > image->height - region->height) {
    INVALID ("the region %d x %d at (%d, %d) does not lie in the picture of %d x %d", region->width,
        region->height, region->x, region->y, image->width, image->height);
    return FALSE;
  }
  result->width = region->width;
  result->height = region->height;
  for (int i = 0; i < image->n_planes; i++) {
    EnginePlane *plane = &result->planes[i];
    int col, row;

    cut_axis (region->x, region->width, image->width, &plane->width, &col);
    cut_axis (region->y, region->height, image->height, &plane->height, &row);
    plane->data += row * plane->stride + (gssize) col * plane->step;
  }
  return TRUE;
}

/* --- Geometry ------------------------------------------------------------------------------- */

static gboolean
centre_crop (double ratio, int w, int h, int W, int H, EngineGeometry *g, GError **error)
{
  const double box_w = rint (W / ratio), box_h = rint (H / ratio);
  gint64 full_w = ENGINE_MAX_SIDE + 1, full_h = ENGINE_MAX_SIDE + 1;

  if (box_w <= ENGINE_MAX_SIDE && box_h <= ENGINE_MAX_SIDE) {
    full_w = (gint64) box_w;
    full_h = (gint64) box_h;
    if (full_w * h >= full_h * w)
      full_h = full_w * h / w;
    else
      full_w = full_h * w / h;
  }
  if (full_w > ENGINE_MAX_SIDE || full_h > ENGINE_MAX_SIDE) {
    INVALID ("center-crop of %d x %d to %d x %d would resize a side beyond %d pixels; choose "
             "another resize-mode or a larger crop-ratio than %g",
        w, h, W, H, ENGINE_MAX_SIDE, ratio);
    return FALSE;
  }
  *g = (EngineGeometry){(int) full_w, (int) full_h, (int) rint ((full_w - W) / 2.0),
      (int) rint ((full_h - H) / 2.0), W, H, 0, 0};
  return TRUE;
}

gboolean
engine_geometry (const EnginePreprocess *preprocess, int width, int height, int input_width,
    int input_height, EngineGeometry *geometry, GError **error)
{
  const gint64 w = width, h = height, W = input_width, H = input_height;
  EngineGeometry *g = geometry;

  if (preprocess->resize_mode == ENGINE_RESIZE_CENTER_CROP)
    return centre_crop (preprocess->crop_ratio, width, height, input_width, input_height, g, error);

  *g = (EngineGeometry){input_width, input_height, 0, 0, input_width, input_height, 0, 0};
  if (preprocess->resize_mode == ENGINE_RESIZE_STRETCH)
    return TRUE;
  if (W * h <= H * w)
    g->full_h = (int) MAX (1, W * h / w);
  else
    g->full_w = (int) MAX (1, H * w / h);
  g->out_w = g->full_w;
  g->out_h = g->full_h;
  if (preprocess->resize_mode == ENGINE_RESIZE_LETTERBOX_CENTERED) {
    g->at_x = (input_width - g->out_w) / 2;
    g->at_y = (input_height - g->out_h) / 2;
  }
  return TRUE;
}

gboolean
engine_image_same_format (const EngineImage *a, const EngineImage *b)
{
  if (a->kind != b->kind || a->width != b->width || a->height != b->height ||
      a->n_planes != b->n_planes)
    return FALSE;
  for (int i = 0; i < a->n_planes; i++)
    if (a->planes[i].width != b->planes[i].width || a->planes[i].height != b->planes[i].height ||
        a->planes[i].step != b->planes[i].step)
      return FALSE;
  for (int j = 0; j < (a->kind == ENGINE_IMAGE_GREY ? 1 : 3); j++)
    if (a->component[j].plane != b->component[j].plane ||
        a->component[j].offset != b->component[j].offset)
      return FALSE;
  return a->kind != ENGINE_IMAGE_YUV || (memcmp (a->matrix, b->matrix, sizeof a->matrix) == 0 &&
                                            memcmp (a->offset, b->offset, sizeof a->offset) == 0);
}
