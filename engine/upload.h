/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* upload.h: what the preprocessor asks of an EngineUpload. Internal to engine/. */
#pragma once

#include "engine/preprocess.h"

/* Copies a part of each plane of the picture, in pixels of that plane (width 0: none), and queues its
 * way to the device; the planes then point there, so that what was copied is found as before. Not
 * again before the queue has been waited for. ENGINE_ERROR_MEMORY. */
gboolean engine_upload_planes (EngineUpload *upload, KernelQueue *queue, EngineImage *image,
    const EngineRect parts[3], GError **error);
