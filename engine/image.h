/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * image.h: pictures and where they land in the input. Internal to engine/.
 */
#pragma once

#include "engine/preprocess.h"

/* The picture, or the region of it, as a picture of its own, checked: sizes, strides, components.
 * G_IO_ERROR_INVALID_ARGUMENT says what does not fit. */
gboolean engine_image_region (const EngineImage *image, const EngineRect *region,
    EngineImage *result, GError **error);

/* Whether all that the set-up of a preprocessor depends on is the same. */
gboolean engine_image_same_format (const EngineImage *a, const EngineImage *b);

/* The picture is resized to full_w x full_h as a whole; of that, out_w x out_h from (from_x,
 * from_y) on are needed, and lie at (at_x, at_y) of the input. */
typedef struct {
  int full_w, full_h, from_x, from_y, out_w, out_h, at_x, at_y;
} EngineGeometry;

/* As EngineResizeMode says. G_IO_ERROR_INVALID_ARGUMENT where the whole would be too large. */
gboolean engine_geometry (const EnginePreprocess *preprocess, int width, int height,
    int input_width, int input_height, EngineGeometry *geometry, GError **error);
