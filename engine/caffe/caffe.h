/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * caffe/caffe.h: Caffe's models, a prototxt and a caffemodel, as the messages of an ONNX file, which the
 * importer reads as any other. Internal to engine/.
 *
 *   caffe-file     the two files, and which belong together
 *   caffe-text     a prototxt, or any message of protobuf's text format; caffe-token its words
 *   caffe-phase    which layers make the classifier
 *   caffe-net      layers in order, blobs and their names
 *   caffe-weights  blobs of the caffemodel
 *   caffe-*        one family of layers each
 */
#pragma once

#include "engine/onnx/file.h"

/* Whether the model is Caffe's: its name ends in .caffemodel or .prototxt, or a proto is given. */
gboolean engine_caffe_is (const char *path, const EngineModelOptions *options);
/* The caffemodel is the file's bytes, the prototxt its one external file. Memory is bounded as that of
 * ONNX files is: ENGINE_ONNX_BUDGET, for each of the two, and MEMORY_ of onnx/onnx.c. */
EngineOnnxFile *engine_caffe_open (const char *path, const EngineModelOptions *options,
    GError **error);
/* The same from bytes; the paths are what errors name. */
EngineOnnxFile *engine_caffe_new (GBytes *weights, const char *weights_path, GBytes *text,
    const char *text_path, GError **error);
