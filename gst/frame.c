/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* frame.c: GstVideoInfo and GstVideoFrame in the engine's terms. */
#include "gst/frame.h"

#include <string.h>

static void
describe_yuv (EngineImage *image, const GstVideoInfo *info)
{
  const GstVideoColorimetry *colorimetry = &info->colorimetry;
  double kr, kb;

  /* gst_video_info_from_caps() has filled in a matrix unless the caps name one it cannot use. */
  if (!gst_video_color_matrix_get_Kr_Kb (colorimetry->matrix, &kr, &kb)) {
    kr = 0.299;
    kb = 0.114;
  }
  engine_image_set_yuv (image, kr, kb, colorimetry->range == GST_VIDEO_COLOR_RANGE_0_255);
}

static void
describe_planes (EngineImage *image, const GstVideoInfo *info)
{
  image->width = GST_VIDEO_INFO_WIDTH (info);
  image->height = GST_VIDEO_INFO_HEIGHT (info);
  image->n_planes = (int) GST_VIDEO_INFO_N_PLANES (info);
  /* An alpha component is not looked at. */
  for (guint c = 0; c < MIN (GST_VIDEO_INFO_N_COMPONENTS (info), 3); c++) {
    const int plane = GST_VIDEO_INFO_COMP_PLANE (info, c);

    image->component[c].plane = plane;
    image->component[c].offset = GST_VIDEO_INFO_COMP_POFFSET (info, c);
    image->planes[plane].width = GST_VIDEO_INFO_COMP_WIDTH (info, c);
    image->planes[plane].height = GST_VIDEO_INFO_COMP_HEIGHT (info, c);
    image->planes[plane].step = GST_VIDEO_INFO_COMP_PSTRIDE (info, c);
  }
}

/* Pads take no other; streams of a bundle may be anything. */
static gboolean
check_memory (const GstCaps *caps, GError **error)
{
  const GstCapsFeatures *features = gst_caps_get_features (caps, 0);

  for (guint i = 0; i < gst_caps_features_get_size (features); i++) {
    const char *name = gst_caps_features_get_nth (features, i);

    if (!g_str_has_prefix (name, "memory:") ||
        g_str_equal (name, GST_CAPS_FEATURE_MEMORY_SYSTEM_MEMORY) ||
        strstr (GST_INT8_FRAME_CAPS, name))
      continue;
    g_set_error (error, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT,
        "frames in %s cannot be read by this build; put an element in front that brings them to system memory",
        name);
    return FALSE;
  }
  return TRUE;
}

gboolean
gst_int8_frame_format_init (GstInt8FrameFormat *format, const GstCaps *caps, GError **error)
{
  static const char advice[] =
      "put \"videoconvert ! \" in front; " GST_INT8_FRAME_FORMATS " are taken";
  EngineImage *image = &format->image;

  *image = (EngineImage){0};
  if (!gst_video_info_from_caps (&format->info, caps)) {
    g_autofree char *text = gst_caps_to_string (caps);

    g_set_error (error, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT, "no raw video: %s; %s", text,
        advice);
    return FALSE;
  }
  if (!check_memory (caps, error))
    return FALSE;
  if (GST_VIDEO_INFO_WIDTH (&format->info) > ENGINE_MAX_SIDE ||
      GST_VIDEO_INFO_HEIGHT (&format->info) > ENGINE_MAX_SIDE) {
    g_set_error (error, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT,
        "frames of %dx%d are larger than %dx%d; put \"videoscale ! \" in front",
        GST_VIDEO_INFO_WIDTH (&format->info), GST_VIDEO_INFO_HEIGHT (&format->info),
        ENGINE_MAX_SIDE, ENGINE_MAX_SIDE);
    return FALSE;
  }

  describe_planes (image, &format->info);
  switch (GST_VIDEO_INFO_FORMAT (&format->info)) {
  case GST_VIDEO_FORMAT_NV12:
  case GST_VIDEO_FORMAT_I420:
  case GST_VIDEO_FORMAT_YV12:
    image->kind = ENGINE_IMAGE_YUV;
    describe_yuv (image, &format->info);
    return TRUE;
  case GST_VIDEO_FORMAT_RGB:
  case GST_VIDEO_FORMAT_BGR:
  case GST_VIDEO_FORMAT_RGBx:
  case GST_VIDEO_FORMAT_BGRx:
  case GST_VIDEO_FORMAT_RGBA:
  case GST_VIDEO_FORMAT_BGRA:
    image->kind = ENGINE_IMAGE_RGB;
    return TRUE;
  case GST_VIDEO_FORMAT_GRAY8:
    image->kind = ENGINE_IMAGE_GREY;
    return TRUE;
  default:
    g_set_error (error, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT, "frames in format %s; %s",
        GST_VIDEO_INFO_NAME (&format->info), advice);
    return FALSE;
  }
}

static gboolean
read_crop (GstInt8Frame *frame, GstBuffer *buffer, GError **error)
{
  const GstVideoCropMeta *crop = gst_buffer_get_video_crop_meta (buffer);
  const EngineImage *image = &frame->image;

  frame->has_crop = crop != NULL;
  if (!crop)
    return TRUE;
  if (crop->width == 0 || crop->height == 0 || crop->x > (guint) image->width ||
      crop->y > (guint) image->height || crop->width > (guint) image->width - crop->x ||
      crop->height > (guint) image->height - crop->y) {
    g_set_error (error, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT,
        "a buffer's crop rectangle, %ux%u at %u,%u, does not lie inside its frame of %dx%d",
        crop->width, crop->height, crop->x, crop->y, image->width, image->height);
    return FALSE;
  }
  frame->crop = (EngineRect){.x = (int) crop->x,
      .y = (int) crop->y,
      .width = (int) crop->width,
      .height = (int) crop->height};
  return TRUE;
}

/* A GstVideoMeta may describe a larger frame, of which the caps' is the top left part. */
static gboolean
check_meta (const GstInt8FrameFormat *format, GstBuffer *buffer, GError **error)
{
  const GstVideoMeta *meta = gst_buffer_get_video_meta (buffer);
  const GstVideoInfo *info = &format->info;

  if (!meta || (meta->format == GST_VIDEO_INFO_FORMAT (info) &&
                   meta->n_planes == GST_VIDEO_INFO_N_PLANES (info) &&
                   meta->width >= (guint) GST_VIDEO_INFO_WIDTH (info) &&
                   meta->height >= (guint) GST_VIDEO_INFO_HEIGHT (info)))
    return TRUE;
  g_set_error (error, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT,
      "a buffer's GstVideoMeta says %s, %ux%u, but its caps say %s, %dx%d: upstream is at fault",
      gst_video_format_to_string (meta->format), meta->width, meta->height,
      GST_VIDEO_INFO_NAME (info), GST_VIDEO_INFO_WIDTH (info), GST_VIDEO_INFO_HEIGHT (info));
  return FALSE;
}

/* Points the image at the mapped planes; FALSE when one reaches beyond its memory. */
static gboolean
point_planes (GstInt8Frame *frame)
{
  for (int p = 0; p < frame->image.n_planes; p++) {
    EnginePlane *plane = &frame->image.planes[p];
    /* Without GstVideoMeta one mapping holds all planes. */
    const GstMapInfo *map = &frame->map.map[frame->map.meta ? p : 0];
    gssize first, last;

    plane->data = GST_VIDEO_FRAME_PLANE_DATA (&frame->map, p);
    plane->stride = GST_VIDEO_FRAME_PLANE_STRIDE (&frame->map, p);
    first = plane->data - map->data;
    last = first + plane->stride * (gssize) (plane->height - 1);
    if (MIN (first, last) < 0 ||
        MAX (first, last) + (gssize) plane->width * plane->step > (gssize) map->size)
      return FALSE;
  }
  return TRUE;
}

static gboolean
map_frame (GstInt8Frame *frame, const GstInt8FrameFormat *format, GstBuffer *buffer,
    const GstObject *context)
{
  frame->on_device = gst_int8_cuda_holds (context, buffer);
  if (frame->on_device)
    return gst_int8_cuda_map (&frame->map, &format->info, buffer);
  return gst_video_frame_map (&frame->map, (GstVideoInfo *) &format->info, buffer,
      GST_MAP_READ | GST_VIDEO_FRAME_MAP_FLAG_NO_REF);
}

gboolean
gst_int8_frame_map (GstInt8Frame *frame, const GstInt8FrameFormat *format, GstBuffer *buffer,
    const GstObject *context, GError **error)
{
  gboolean mapped;

  if (!check_meta (format, buffer, error))
    return FALSE;
  frame->image = format->image;
  mapped = map_frame (frame, format, buffer, context);
  if (!mapped || !point_planes (frame)) {
    g_set_error (error, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT,
        "a buffer of %" G_GSIZE_FORMAT " bytes does not hold a %s frame of %dx%d (%" G_GSIZE_FORMAT
        " bytes): upstream sends something else than its caps say",
        gst_buffer_get_size (buffer), GST_VIDEO_INFO_NAME (&format->info),
        GST_VIDEO_INFO_WIDTH (&format->info), GST_VIDEO_INFO_HEIGHT (&format->info),
        GST_VIDEO_INFO_SIZE (&format->info));
    if (mapped)
      gst_int8_frame_unmap (frame);
    return FALSE;
  }
  if (!read_crop (frame, buffer, error)) {
    gst_int8_frame_unmap (frame);
    return FALSE;
  }
  return TRUE;
}

void
gst_int8_frame_unmap (GstInt8Frame *frame)
{
  gst_video_frame_unmap (&frame->map);
}

gboolean
gst_int8_frame_preprocess (const GstInt8Frame *frame, EnginePreprocessor *preprocessor,
    KernelQueue *queue, void *tensor, GError **error)
{
  return engine_preprocessor_run (preprocessor, &frame->image,
      frame->has_crop ? &frame->crop : NULL, queue, tensor, error);
}
