/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * mean-image.h: pictures that are subtracted from inputs. Internal to engine/.
 */
#pragma once

#include "engine/preprocess.h"

/* One for each content, for the life of the process, so that a description that points to it stays a
 * value. */
struct _EngineMeanImage {
  int width, height, channels;
  char sha256[65];     /* of the file as a PPM without comments */
  guint8 lo[3], hi[3]; /* of each channel */
  guint8 *pixels;      /* [height][width][channels] */
};

/* A binary PPM (P6), or for one channel a PGM (P5), of 8 bits. G_FILE_ERROR where it cannot be read,
 * G_IO_ERROR_INVALID_ARGUMENT where it is something else. */
const EngineMeanImage *engine_mean_image_read (const char *path, GError **error);
