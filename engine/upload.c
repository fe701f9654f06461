/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * upload.c: pictures in host memory, on their way to a back end with memory of its own: through memory
 * that the device reads itself, so that the copy runs while the caller goes on.
 */
#include "engine/upload.h"

#include "engine/engine.h"

#include <string.h>

/* Both grow to the largest picture yet seen. */
struct _EngineUpload {
  KernelBackend *backend;
  guint8 *host, *device;
  gsize size;
};

EngineUpload *
engine_upload_new (KernelBackend *backend)
{
  EngineUpload *upload = g_new0 (EngineUpload, 1);

  upload->backend = backend;
  return upload;
}

static void
release (EngineUpload *upload)
{
  KernelBackend *backend = upload->backend;

  if (upload->device)
    backend->free (backend, upload->device);
  if (upload->host && backend->host_free)
    backend->host_free (backend, upload->host);
  else
    g_free (upload->host);
  upload->host = upload->device = NULL;
  upload->size = 0;
}

void
engine_upload_free (EngineUpload *upload)
{
  if (!upload)
    return;
  release (upload);
  g_free (upload);
}

static gboolean
reserve (EngineUpload *upload, gsize size, GError **error)
{
  KernelBackend *backend = upload->backend;

  if (upload->size >= size)
    return TRUE;
  release (upload);
  upload->host = backend->host_alloc ? backend->host_alloc (backend, size) : g_try_malloc (size);
  upload->device = upload->host ? backend->alloc (backend, size) : NULL;
  if (upload->device) {
    upload->size = size;
    return TRUE;
  }
  g_set_error (error, ENGINE_ERROR, ENGINE_ERROR_MEMORY,
      "back end '%s' has no %.1f MiB%s for a picture on its way to the device: make the batch or the "
      "pictures smaller",
      backend->name, size / 1048576.0, upload->host ? "" : " of page-locked memory");
  release (upload);
  return FALSE;
}

/* Between the beginnings of rows: as dense as alignment allows. */
static gsize
row_stride (const EnginePlane *plane, const EngineRect *part)
{
  return ((gsize) part->width * plane->step + KERNEL_ALIGN - 1) / KERNEL_ALIGN * KERNEL_ALIGN;
}

static void
copy_part (guint8 *to, const EnginePlane *plane, const EngineRect *part)
{
  const gsize bytes = (gsize) part->width * plane->step, stride = row_stride (plane, part);
  const guint8 *from = plane->data + part->y * plane->stride + (gssize) part->x * plane->step;

  if (plane->stride == (gssize) stride) {
    memcpy (to, from, stride * (gsize) (part->height - 1) + bytes);
    return;
  }
  for (int row = 0; row < part->height; row++)
    memcpy (to + (gsize) row * stride, from + row * plane->stride, bytes);
}

gboolean
engine_upload_planes (EngineUpload *upload, KernelQueue *queue, EngineImage *image,
    const EngineRect parts[3], GError **error)
{
  gsize size = 0, at = 0;

  for (int p = 0; p < image->n_planes; p++)
    if (parts[p].width > 0)
      size += row_stride (&image->planes[p], &parts[p]) * (gsize) parts[p].height;
  if (!reserve (upload, size, error))
    return FALSE;
  for (int p = 0; p < image->n_planes; p++) {
    EnginePlane *plane = &image->planes[p];
    const EngineRect *part = &parts[p];

    if (part->width == 0)
      continue;
    copy_part (upload->host + at, plane, part);
    plane->stride = (gssize) row_stride (plane, part);
    plane->data = upload->device + at - part->y * plane->stride - (gssize) part->x * plane->step;
    at += (gsize) plane->stride * (gsize) part->height;
  }
  upload->backend->upload (queue, upload->device, upload->host, size);
  return TRUE;
}
