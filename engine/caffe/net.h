/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * caffe/net.h: what the files that translate Caffe's layers share. Internal to them.
 *
 * A blob is a name that layers write one after the other (in place, bottom == top); each version is a
 * value with a name of its own. The last one has the blob's, as a calibration table of TensorRT has
 * it, the others are BLOB@LAYER. Shapes are followed, for one image: what a layer means depends on
 * them (a fully connected layer flattens, a scale has as many axes as its input).
 *
 * The translation of a layer has the type EngineCaffeFn: it reads bottoms, adds nodes to the writer,
 * and says what its tops are, with engine_caffe_define(). Errors name the layer.
 */
#pragma once

#include "engine/caffe/caffe.pb-c.h"
#include "engine/onnx/write.h"

#define ENGINE_CAFFE_MAX_RANK 4

typedef struct {
  const char *name; /* in the ONNX file */
  int rank;
  gint64 dims[ENGINE_CAFFE_MAX_RANK]; /* [0] is 1 */
  gboolean read;                      /* by a layer */
} EngineCaffeValue;

typedef struct {
  EngineCaffe__Net *net;
  EngineCaffe__Weights *weights;
  EngineOnnxBudget text_budget, weights_budget;

  EngineOnnxWriter *writer;
  GPtrArray *memory;        /* values, and weights that were no floats */
  GHashTable *values;       /* name of a blob to EngineCaffeValue: its latest version */
  GHashTable *last_writers; /* name of a blob to index of a layer + 1 */
  GHashTable *blobs;        /* name of a layer to EngineCaffeBlobs */
  GPtrArray *order;         /* of all values, as they are written */
  gint64 batch;             /* of the prototxt */
} EngineCaffe;

/* Of a layer in the caffemodel. */
typedef struct {
  gsize n;
  EngineCaffe__Blob **blobs;
} EngineCaffeBlobs;

typedef struct {
  const EngineCaffe__Layer *proto;
  const char *name, *type;
  int index;
  gsize n_bottoms;
  EngineCaffeValue **bottoms;
} EngineCaffeLayer;

typedef gboolean (
    *EngineCaffeFn) (EngineCaffe *caffe, const EngineCaffeLayer *layer, GError **error);

/* The message of an ONNX file, which lives as long as caffe; once. */
EngineOnnx__ModelProto *engine_caffe_net (EngineCaffe *caffe, GError **error);
void engine_caffe_net_clear (EngineCaffe *caffe); /* all but the unpacked messages */

/* --- Layers ---------------------------------------------------------------------------------- */

typedef struct {
  const char *name, *v1; /* its type, and what it was called in V1, or NULL */
  EngineCaffeFn import;
  guint min_bottoms, max_bottoms; /* beyond max: not looked at */
} EngineCaffeType;

#define ENGINE_CAFFE_LAYER(name, v1, function, min, max)                                           \
  gboolean engine_caffe_import_##function (EngineCaffe *caffe, const EngineCaffeLayer *layer,      \
      GError **error);
#include "engine/caffe/layers.inc"
#undef ENGINE_CAFFE_LAYER

/* NULL where it is not translated. */
const EngineCaffeType *engine_caffe_type (const char *name);
/* EngineCaffe__Layer *, in their order (caffe/phase.c); inputs are among them. */
GPtrArray *engine_caffe_layers (const EngineCaffe__Net *net, GError **error);

/* FALSE, with an error. */
gboolean engine_caffe_refuse (GError **error, EngineError code, const char *format, ...)
    G_GNUC_PRINTF (3, 4);
gboolean engine_caffe_fail (const EngineCaffeLayer *layer, EngineError code, GError **error,
    const char *format, ...) G_GNUC_PRINTF (4, 5);
/* In functions that have `layer` and `error`. */
#define ENGINE_CAFFE_REFUSE(...) engine_caffe_fail (layer, ENGINE_ERROR_MODEL, error, __VA_ARGS__)
#define ENGINE_CAFFE_UNSUPPORTED(...)                                                              \
  engine_caffe_fail (layer, ENGINE_ERROR_UNSUPPORTED, error, __VA_ARGS__)

/* The name of top i's value. */
const char *engine_caffe_top (EngineCaffe *caffe, const EngineCaffeLayer *layer, gsize i);
/* A value inside of the layer: LAYER/what. */
const char *engine_caffe_inner (EngineCaffe *caffe, const EngineCaffeLayer *layer,
    const char *what);
/* A node with the layer's name; inputs end with NULL. */
EngineOnnx__NodeProto *engine_caffe_node (EngineCaffe *caffe, const EngineCaffeLayer *layer,
    const char *op, const char *output, ...) G_GNUC_NULL_TERMINATED;
/* Top i is the value `name`, with these dims. */
gboolean engine_caffe_define (EngineCaffe *caffe, const EngineCaffeLayer *layer, gsize i,
    const char *name, int rank, const gint64 *dims, GError **error);
/* Top 0, with the shape of bottom 0. */
gboolean engine_caffe_define_same (EngineCaffe *caffe, const EngineCaffeLayer *layer,
    const char *name, GError **error);
/* An axis counted from the end if below 0; FALSE where x has none such. */
gboolean engine_caffe_axis (const EngineCaffeLayer *layer, gint64 axis, int rank, int *result,
    GError **error);
gint64 engine_caffe_count (const EngineCaffeValue *value, int from,
    int to); /* of axes from .. to - 1 */
/* A reshape of bottom `x`, named `output`. */
void engine_caffe_reshape (EngineCaffe *caffe, const EngineCaffeLayer *layer, const char *x,
    const char *output, int rank, const gint64 *dims);

/* --- Constants (caffe/weights.c) --------------------------------------------------------------- */

/* Finds the layers of the caffemodel. */
void engine_caffe_weights_open (EngineCaffe *caffe);
/* Blob i of the layer, which must have these dims, up to ones in front. */
const float *engine_caffe_weights (EngineCaffe *caffe, const EngineCaffeLayer *layer, gsize i,
    int rank, const gint64 *dims, GError **error);
/* Names of constants. Data is used where it lies, or copied. Their order is that of the calls, so each is a
 * statement of its own: compilers evaluate arguments in orders of their own. */
const char *engine_caffe_floats (EngineCaffe *caffe, const EngineCaffeLayer *layer,
    const char *what, int rank, const gint64 *dims, const float *data);
const char *engine_caffe_scalar (EngineCaffe *caffe, const EngineCaffeLayer *layer,
    const char *what, float value);
const char *engine_caffe_integers (EngineCaffe *caffe, const EngineCaffeLayer *layer,
    const char *what, int n, const gint64 *values);
