/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* upload.c: pictures to a device; see upload.h. */
#include "gst/upload.h"

#include <string.h>

void
gst_int8_upload_clear (GstInt8Upload *upload)
{
  KernelBackend *backend = upload->backend;

  if (upload->device)
    backend->free (backend, upload->device);
  if (upload->host && backend->host_free)
    backend->host_free (backend, upload->host);
  else
    g_free (upload->host);
  *upload = (GstInt8Upload){0};
}

static gboolean
reserve (GstInt8Upload *upload, KernelBackend *backend, gsize size, GError **error)
{
  if (upload->size >= size)
    return TRUE;
  gst_int8_upload_clear (upload);
  upload->backend = backend;
  upload->host = backend->host_alloc ? backend->host_alloc (backend, size) : g_try_malloc (size);
  upload->device = upload->host ? backend->alloc (backend, size) : NULL;
  if (upload->device) {
    upload->size = size;
    return TRUE;
  }
  g_set_error (error, ENGINE_ERROR, ENGINE_ERROR_MEMORY,
      "back end '%s' has no %.1f MiB for a frame on its way to the device%s: make batch-size or the "
      "frames smaller",
      backend->name, size / 1048576.0, upload->host ? "" : ", page-locked");
  gst_int8_upload_clear (upload);
  return FALSE;
}

static gsize
row_bytes (const EnginePlane *plane)
{
  return (gsize) plane->width * plane->step;
}

/* Between the beginnings of rows: as dense as alignment allows. */
static gsize
row_stride (const EnginePlane *plane)
{
  return (row_bytes (plane) + KERNEL_ALIGN - 1) / KERNEL_ALIGN * KERNEL_ALIGN;
}

static void
copy_plane (guint8 *to, const EnginePlane *plane)
{
  const gsize bytes = row_bytes (plane), stride = row_stride (plane);

  if (plane->stride == (gssize) stride) {
    memcpy (to, plane->data, stride * (gsize) (plane->height - 1) + bytes);
    return;
  }
  for (int row = 0; row < plane->height; row++)
    memcpy (to + (gsize) row * stride, plane->data + row * plane->stride, bytes);
}

gboolean
gst_int8_upload_image (GstInt8Upload *upload, KernelBackend *backend, KernelQueue *queue,
    EngineImage *image, GError **error)
{
  gsize size = 0, at = 0;

  for (int p = 0; p < image->n_planes; p++)
    size += row_stride (&image->planes[p]) * (gsize) image->planes[p].height;
  if (!reserve (upload, backend, size, error))
    return FALSE;
  for (int p = 0; p < image->n_planes; p++) {
    EnginePlane *plane = &image->planes[p];

    copy_plane (upload->host + at, plane);
    plane->stride = (gssize) row_stride (plane);
    plane->data = upload->device + at;
    at += (gsize) plane->stride * (gsize) plane->height;
  }
  backend->upload (queue, upload->device, upload->host, size);
  return TRUE;
}
