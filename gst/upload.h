/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * upload.h: one frame in system memory, on its way to a back end with memory of its own: through
 * memory that the device reads itself, so that the copy runs while the caller goes on.
 */
#pragma once

#include "engine/engine.h"

G_BEGIN_DECLS

/* Zero it first. Both grow to the largest frame yet seen, and are reused. */
typedef struct {
  KernelBackend *backend;
  guint8 *host, *device;
  gsize size;
} GstInt8Upload;

/* Copies the picture and queues its way to the device, where `image` points afterwards; the planes
 * themselves are not needed any more. Not again before the queue has been waited for.
 * ENGINE_ERROR_MEMORY. */
gboolean gst_int8_upload_image (GstInt8Upload *upload, KernelBackend *backend, KernelQueue *queue,
    EngineImage *image, GError **error);
void gst_int8_upload_clear (GstInt8Upload *upload);

G_END_DECLS
