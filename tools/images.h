/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * images.h: pictures for commands that look at frames, decoded by GStreamer into the formats that
 * the elements take, so that the preprocessor makes the same bytes of them.
 */
#pragma once

#include "engine/engine.h"

/* Files from places, each a file, a folder (all regular files below it, in the order of their names,
 * numbers in them by value; hidden ones are left out) or a list (*.txt: a path a line, relative to the list's folder; blank
 * lines and lines that begin with '#' are skipped). An error where a place does not exist or nothing
 * was found. */
GPtrArray *tool_images_find (char *const *places, GError **error); /* char * */

/* Called with every frame of every file, valid during the call. */
typedef gboolean (
    *ToolImageFn) (const EngineImage *image, const char *path, gpointer data, GError **error);
/* Stops after max frames (0: never), and with the first file that cannot be decoded. Other files than
 * pictures and videos are such files, but for .tsv, .csv, .json, .md and .txt inside folders, which
 * tool_images_find() leaves out. */
gboolean tool_images_read (const GPtrArray *paths, guint max, ToolImageFn image, gpointer data,
    GError **error);
