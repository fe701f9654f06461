/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * onnx/file.h: an ONNX file as a message in memory, and the files beside it. Internal to the
 * importer.
 */
#pragma once

#include <glib.h>

#include "engine/engine.h"
#include "engine/graph.h"
#include "engine/onnx/onnx.pb-c.h"
#include "engine/onnx/wire.h"

typedef struct {
  char *path;
  GBytes *bytes;
  EngineOnnx__ModelProto *model;
  EngineOnnxBudget budget;  /* of the message */
  gpointer owner;           /* whom the message belongs to where it was not unpacked from bytes */
  GDestroyNotify free_owner;
  GHashTable *external;     /* location in the model to EngineOnnxExternal */
  GPtrArray *external_list; /* the same, each file once, in order of first mention */
  gsize size;               /* of all files, in bytes */
  char *shape;              /* EngineModelOptions.shape */
} EngineOnnxFile;

typedef struct {
  char *path; /* real */
  GBytes *bytes;
} EngineOnnxExternal;

/* Errors begin with the path. options may be NULL; where they or the path say so, the file is Caffe's
 * (caffe/caffe.h). */
EngineOnnxFile *engine_onnx_file_open (const char *path, const EngineModelOptions *options,
    GError **error);
/* External data lies beside path. */
EngineOnnxFile *engine_onnx_file_new (GBytes *bytes, const char *path, GError **error);
void engine_onnx_file_free (EngineOnnxFile *file); /* NULL is fine */
G_DEFINE_AUTOPTR_CLEANUP_FUNC (EngineOnnxFile, engine_onnx_file_free)

/* FALSE where the bytes are of a format that is known and no model that is read here. */
gboolean engine_onnx_file_recognise (const guint8 *data, gsize size, GError **error);
gboolean engine_onnx_file_is_text (const guint8 *data, gsize size);

/* Puts the path in front of a message, and makes it a line of text whatever names it quotes. */
void engine_onnx_file_blame (const char *path, GError **error);

/* engine_onnx_import() of a file that is open. */
EngineGraph *engine_onnx_import_file (const EngineOnnxFile *file, char **sha256, GError **error);

/* Hex, over the model and the external files. */
char *engine_onnx_file_sha256 (const EngineOnnxFile *file);

/* The part of an external file that holds a tensor's data. */
const guint8 *engine_onnx_file_external (const EngineOnnxFile *file,
    const EngineOnnx__TensorProto *tensor, gsize *size, GError **error);
