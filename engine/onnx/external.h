/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* onnx/external.h: data files beside a model. Internal to the importer. */
#pragma once

#include "engine/onnx/file.h"

/* Maps a regular file. The error lacks the path: "cannot be read: ...". */
GBytes *engine_onnx_map (const char *path, GError **error);

/* Opens every file that the initialisers name, and adds their sizes to file->size. */
gboolean engine_onnx_external_open (EngineOnnxFile *file, GError **error);
