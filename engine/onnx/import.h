/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * onnx/import.h: what the files of the importer share. Internal to them.
 *
 * Every name of the model becomes an EngineOnnxValue: an activation, which is one or two values of
 * the graph, or a constant. ONNX thinks of images as NCHW, the graph stores NHWC, so an activation
 * has up to two storages:
 *
 *   PLAIN          axes in the order in which ONNX names them
 *   CHANNELS_LAST  axis 1 moved to the end (rank 3 and 4): what convolutions, pools and per-channel
 *                  scales want
 *   FREE           the images in an axis of their own before all others. Attention moves the batch
 *                  behind other axes for a while: such a value is stored in this way only
 *
 * An op asks for the storage it needs; a transpose appears where the value does not have it yet, and
 * the pass "fold" takes out those that cancel.
 *
 * Batch: the graph is written for one image. Shapes that the model computes or states are for the
 * batch it was exported with (onnx->batch); reshapes translate. Where a model moves the batch, the
 * images are outermost in the axis that they are in (EngineOnnxValue.batch_axis).
 *
 * Every import function of an op has the type EngineOnnxImportFn, reads its node, and ends with
 * engine_onnx_define_*(). Errors name the node; engine_onnx_import() adds the file.
 */
#pragma once

#include "engine/engine.h"
#include "engine/graph.h"
#include "engine/onnx/file.h"

/* Constants may have more axes than activations: they end as shapes or weights. */
#define ENGINE_ONNX_MAX_RANK 8
/* Integers serve shapes, masks and tables of places; floats are weights. */
#define ENGINE_ONNX_MAX_INTEGERS (1 << 23)

enum { /* TensorProto.DataType */
  ENGINE_ONNX_FLOAT = 1,
  ENGINE_ONNX_UINT8 = 2,
  ENGINE_ONNX_INT8 = 3,
  ENGINE_ONNX_INT32 = 6,
  ENGINE_ONNX_INT64 = 7,
  ENGINE_ONNX_BOOL = 9,
  ENGINE_ONNX_FLOAT16 = 10,
  ENGINE_ONNX_DOUBLE = 11,
  ENGINE_ONNX_BFLOAT16 = 16,
};
/* Of those, the ones that are read as floats. */
gboolean engine_onnx_is_float (gint64 data_type);
const char *engine_onnx_type_name (int data_type);

/* --- Constants ------------------------------------------------------------------------------- */

/* Dense, in row order; `splat`: one element that stands for all. One of f, i and levels is set. Never
 * changes once made. */
typedef struct {
  gatomicrefcount references;
  int rank;
  gint64 dims[ENGINE_ONNX_MAX_RANK];
  gint64 n;
  gboolean splat;
  const float *f;
  const gint64 *i;
  const guint8 *levels; /* of a quantised tensor, as the file has them: see onnx/quant.c */
  int levels_type;      /* ENGINE_ONNX_INT8 or ENGINE_ONNX_UINT8 */
  gpointer memory; /* that f, i or levels points into, or NULL where the model's message has it */
  /* Of floats that are integers times a scale: the scale of each index of an axis, or, n_scales 1, of
   * all; NULL for others. */
  float *scales;
  int n_scales, scales_axis;
} EngineOnnxConstant;

static inline float
engine_onnx_f (const EngineOnnxConstant *constant, gint64 i)
{
  return constant->f[constant->splat ? 0 : i];
}

static inline gint64
engine_onnx_i (const EngineOnnxConstant *constant, gint64 i)
{
  return constant->i[constant->splat ? 0 : i];
}

EngineOnnxConstant *engine_onnx_constant_ref (EngineOnnxConstant *constant);
void engine_onnx_constant_unref (EngineOnnxConstant *constant);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (EngineOnnxConstant, engine_onnx_constant_unref)

/* --- The import ------------------------------------------------------------------------------ */

typedef enum {
  ENGINE_ONNX_PLAIN,
  ENGINE_ONNX_CHANNELS_LAST,
  ENGINE_ONNX_FREE,
  ENGINE_ONNX_STORAGES
} EngineOnnxStorage;

/* What an activation is to ONNX where the graph has the real numbers behind it (onnx/quant.c). */
typedef struct {
  enum {
    ENGINE_ONNX_REAL,   /* these numbers */
    ENGINE_ONNX_STATIC, /* levels: real = (level - zero) * scale */
    ENGINE_ONNX_DYNAMIC /* levels of the scale that DynamicQuantizeLinear finds in every image */
  } kind;
  float scale;                      /* where channels have scales of their own, the largest */
  const EngineOnnxConstant *scales; /* of the indices of an axis, or NULL: one for all */
  int axis;
  int zero; /* of int8: 128 below that of uint8 */
  int type; /* ENGINE_ONNX_INT8 or ENGINE_ONNX_UINT8 */
} EngineOnnxLevels;

typedef struct _EngineOnnxValue {
  const char *name;                 /* as it was first called; the message's */
  EngineOnnxConstant *constant;     /* NULL: an activation */
  int stored[ENGINE_ONNX_STORAGES]; /* graph values, ENGINE_NONE where not (yet) stored so */
  int rank;
  int dims[ENGINE_MAX_RANK]; /* as ONNX orders the axes, for one image */
  EngineOnnxLevels levels;
  const char *dynamic; /* the output of a DynamicQuantizeLinear on whose scale or zero point the value
                          depends, or NULL: see onnx/integer.c */
  int batch_axis;            /* other than 0: stored FREE, and only so */
  struct _EngineOnnxValue *repeated; /* what this is copies of, made by Expand; NULL for most */
  gboolean features_last;    /* the last axis is what layers work on: no image, whatever its rank */
} EngineOnnxValue;

typedef struct {
  const EngineOnnxFile *file;
  const EngineOnnx__GraphProto *proto;
  int opset;
  gboolean nchw; /* the image is, so that rank 4 means NCHW everywhere */
  gboolean shaped; /* the shape that the user gave says what the file does not */
  gint64 batch;  /* of the export; 1 where it is dynamic */
  EngineGraph *graph;
  GHashTable *values;         /* name to EngineOnnxValue; several may have one (Identity) */
  GPtrArray *owned;           /* the values */
  GPtrArray *texts;           /* names that the importer made up */
  GHashTable *tensors;        /* name to TensorProto: initialisers nobody has read yet */
  gsize memory, memory_limit; /* bytes of constants made so far */
  gint64 products;            /* of constants, computed so far */
} EngineOnnx;

typedef struct {
  const EngineOnnx__NodeProto *proto;
  const char *name; /* for messages and the graph: its own, or its first output's */
} EngineOnnxNode;

typedef gboolean (
    *EngineOnnxImportFn) (EngineOnnx *onnx, const EngineOnnxNode *node, GError **error);

#define ENGINE_ONNX_OP(op, function, min_inputs, max_inputs, attributes)                           \
  gboolean engine_onnx_import_##function (EngineOnnx *onnx, const EngineOnnxNode *node,            \
      GError **error);
#include "engine/onnx/ops.inc"
#undef ENGINE_ONNX_OP

/* FALSE, with an error that begins with the node's name and op. */
gboolean engine_onnx_fail (const EngineOnnxNode *node, EngineError code, GError **error,
    const char *format, ...) G_GNUC_PRINTF (4, 5);
#define ENGINE_ONNX_REFUSE(...) engine_onnx_fail (node, ENGINE_ERROR_MODEL, error, __VA_ARGS__)
#define ENGINE_ONNX_UNSUPPORTED(...)                                                               \
  engine_onnx_fail (node, ENGINE_ERROR_UNSUPPORTED, error, __VA_ARGS__)

/* --- onnx/tensor.c: constants ---------------------------------------------------------------- */

/* Counts bytes against the limit. ENGINE_ERROR_MEMORY. */
gpointer engine_onnx_alloc (EngineOnnx *onnx, gint64 n, gsize size, GError **error);
/* Checks dims against the data that is there, before anything is allocated. */
gboolean engine_onnx_tensor_check (const EngineOnnx__TensorProto *tensor, GError **error);
EngineOnnxConstant *engine_onnx_tensor_constant (EngineOnnx *onnx,
    const EngineOnnx__TensorProto *tensor, GError **error);
/* Room for a constant that the caller fills. */
EngineOnnxConstant *engine_onnx_new_floats (EngineOnnx *onnx, int rank, const gint64 *dims,
    gboolean splat, float **f, GError **error);
EngineOnnxConstant *engine_onnx_new_integers (EngineOnnx *onnx, int rank, const gint64 *dims,
    gint64 **i, GError **error);

/* --- onnx/node.c: what a node says ----------------------------------------------------------- */

/* Whether the input is there; optional ones may be left out. */
gboolean engine_onnx_has_input (const EngineOnnxNode *node, guint i);
EngineOnnxValue *engine_onnx_input (EngineOnnx *onnx, const EngineOnnxNode *node, guint i,
    GError **error);
/* The input must be of this kind. */
EngineOnnxValue *engine_onnx_activation (EngineOnnx *onnx, const EngineOnnxNode *node, guint i,
    GError **error);
const EngineOnnxConstant *engine_onnx_floats (EngineOnnx *onnx, const EngineOnnxNode *node, guint i,
    GError **error);
const EngineOnnxConstant *engine_onnx_integers (EngineOnnx *onnx, const EngineOnnxNode *node,
    guint i, GError **error);
/* A float constant with one element. */
gboolean engine_onnx_scalar (EngineOnnx *onnx, const EngineOnnxNode *node, guint i, float *value,
    GError **error);

/* NULL where absent. */
const EngineOnnx__AttributeProto *engine_onnx_attribute (const EngineOnnxNode *node,
    const char *name);
/* These give `otherwise` where the attribute is absent, an error where it has another type. */
gboolean engine_onnx_int (const EngineOnnxNode *node, const char *name, gint64 otherwise,
    gint64 *value, GError **error);
gboolean engine_onnx_float (const EngineOnnxNode *node, const char *name, float otherwise,
    float *value, GError **error);
gboolean engine_onnx_string (const EngineOnnxNode *node, const char *name, const char *otherwise,
    char **value, GError **error);
/* n -1 where absent; values are the message's. */
gboolean engine_onnx_ints (const EngineOnnxNode *node, const char *name, const gint64 **values,
    int *n, GError **error);
/* Integers that are an attribute in old opsets and an input in newer ones; at most one axis. Free
 * with g_free(). */
gboolean engine_onnx_ints_or_input (EngineOnnx *onnx, const EngineOnnxNode *node, const char *name,
    guint input, gint64 **values, int *n, GError **error);
/* Makes -rank .. rank - 1 to 0 .. rank - 1. */
gboolean engine_onnx_axis (const EngineOnnxNode *node, gint64 axis, int rank, int *result,
    GError **error);
/* Marks the axes of a reduction, over all where none is named unless `noop_with_empty_axes` says otherwise. */
gboolean engine_onnx_mark_reduced (const EngineOnnxNode *node, const gint64 *axes, int n, int rank,
    gboolean *marked, GError **error);

/* --- onnx/value.c: reading and making values ------------------------------------------------- */

/* The graph value of an activation in a storage; adds a transpose where it is not stored so yet. */
int engine_onnx_stored (EngineOnnx *onnx, const EngineOnnxNode *node, EngineOnnxValue *value,
    EngineOnnxStorage storage, GError **error);
/* The storage for ops that take any: the one there is (CHANNELS_LAST if both). But what a reshape
 * makes in a model of NCHW images is an image again if it has four axes. */
EngineOnnxStorage engine_onnx_storage (const EngineOnnx *onnx, const EngineOnnxValue *value);
gboolean engine_onnx_may_be_channels_last (const EngineOnnxValue *value);
/* Where an axis of ONNX is in a storage. */
int engine_onnx_stored_axis (const EngineOnnxValue *value, EngineOnnxStorage storage, int axis);

/* The same in FREE storage, wherever the batch is. */
int engine_onnx_stored_free (EngineOnnx *onnx, const EngineOnnxNode *node, EngineOnnxValue *value,
    GError **error);
/* Output i is this graph value, stored FREE with the batch in an axis; where that is 0, PLAIN. */
gboolean engine_onnx_define_free (EngineOnnx *onnx, const EngineOnnxNode *node, guint i,
    int graph_value, int batch_axis, GError **error);

/* Adds a node to the graph, named like output i. Set its parameters, then infer. */
EngineNode *engine_onnx_add (EngineOnnx *onnx, const EngineOnnxNode *node, EngineOp op, guint i,
    const int *inputs, int n_inputs);
/* The value it makes, or ENGINE_NONE where it does not fit. */
int engine_onnx_infer (EngineOnnx *onnx, const EngineOnnxNode *node, EngineNode *made,
    GError **error);
/* A constant of the graph named `what` of this node; takes data. ENGINE_NONE where an element is not
 * finite. */
int engine_onnx_add_floats (EngineOnnx *onnx, const EngineOnnxNode *node, const char *what,
    int rank, const int *dims, float *data, GError **error);

EngineOnnxValue *engine_onnx_new_value (EngineOnnx *onnx, const char *name);
gboolean engine_onnx_define_as (EngineOnnx *onnx, const char *name, int graph_value,
    EngineOnnxStorage storage);
/* Output i of the node is this graph value, stored so; ENGINE_NONE gives FALSE. */
gboolean engine_onnx_define (EngineOnnx *onnx, const EngineOnnxNode *node, guint i, int graph_value,
    EngineOnnxStorage storage);
/* Takes the constant; NULL gives FALSE. */
gboolean engine_onnx_define_constant (EngineOnnx *onnx, const EngineOnnxNode *node,
    EngineOnnxConstant *constant);
/* Output 0 is the same as another value. */
gboolean engine_onnx_define_alias (EngineOnnx *onnx, const EngineOnnxNode *node,
    EngineOnnxValue *value);

/* --- onnx/onnx.c: subgraphs ------------------------------------------------------------------- */

/* The nodes of a graph within the model, which see all values there are and add theirs. */
gboolean engine_onnx_import_subgraph (EngineOnnx *onnx, const EngineOnnx__GraphProto *graph,
    GError **error);
/* Its initialisers, checked, for whoever reads them. */
gboolean engine_onnx_add_initialisers (EngineOnnx *onnx, const EngineOnnx__GraphProto *graph,
    GError **error);

/* --- Shared between families ----------------------------------------------------------------- */

/* onnx/reduce.c: a name for a value between the ops that one is made of. */
const char *engine_onnx_between (EngineOnnx *onnx);

/* onnx/image.c: the model's input, of this shape. */
gboolean engine_onnx_add_image (EngineOnnx *onnx, const char *name,
    const EngineOnnx__TensorShapeProto *shape, GError **error);

/* onnx/window.c: windows of convolutions and pools. Axis 0 is the height, 1 where there is none. */
typedef struct {
  int kernel[2], stride[2], dilation[2], before[2], after[2];
} EngineOnnxWindow;
/* kernel: of the weights, or NULL where the node has to say. */
gboolean engine_onnx_window (const EngineOnnxNode *node, const EngineOnnxValue *x,
    const int *kernel, EngineOnnxWindow *window, GError **error);

/* onnx/function.c: a function of input 0, which may be a constant, as output 0. */
gboolean engine_onnx_unary (EngineOnnx *onnx, const EngineOnnxNode *node, KernelUnary kind,
    float alpha, float beta, GError **error);
/* The same of a graph value, as a graph value; ENGINE_NONE where it does not fit. */
int engine_onnx_add_unary (EngineOnnx *onnx, const EngineOnnxNode *node, int stored,
    KernelUnary kind, float alpha, float beta, GError **error);

/* onnx/affine.c: x * scale + shift along the last axis, of a graph value and as one; takes both, of
 * which shift may be NULL. */
int engine_onnx_add_affine (EngineOnnx *onnx, const EngineOnnxNode *node, int stored, float *scale,
    float *shift, GError **error);
/* One factor for all. */
int engine_onnx_add_uniform_affine (EngineOnnx *onnx, const EngineOnnxNode *node, int stored,
    float scale, GError **error);
/* x * scale + shift along the last axis of a storage, as output 0; takes both. */
gboolean engine_onnx_affine (EngineOnnx *onnx, const EngineOnnxNode *node, EngineOnnxValue *x,
    EngineOnnxStorage storage, float *scale, float *shift, GError **error);

/* A graph value with other dims; ENGINE_NONE gives itself. Named like output i. */
/* Gives a graph value the name of output 0, unless that is one of engine_onnx_between(). */
void engine_onnx_name_output (EngineOnnx *onnx, const EngineOnnxNode *node, int value);
int engine_onnx_add_reshape (EngineOnnx *onnx, const EngineOnnxNode *node, guint i, int value,
    int rank, const int *dims, GError **error);

/* onnx/depth.c: pixels and channels of a graph value exchanged: a transpose of six axes between two
 * reshapes; ENGINE_NONE gives itself. */
int engine_onnx_add_shuffle (EngineOnnx *onnx, const EngineOnnxNode *node, int value,
    const int before[6], const int perm[6], int rank, const int *after, GError **error);

/* onnx/move.c: `size` elements from `start` on along an axis of a graph value. Named like output i. */
int engine_onnx_add_slice (EngineOnnx *onnx, const EngineOnnxNode *node, guint i, int value,
    int axis, int start, int size, GError **error);
/* `count` elements from `from` on in steps, all within the axis. */
int engine_onnx_add_strided_slice (EngineOnnx *onnx, const EngineOnnxNode *node, int value,
    int axis, gint64 from, gint64 step, gint64 count, GError **error);

/* Output 0 has its features in the last axis. TRUE. */
gboolean engine_onnx_mark_features (EngineOnnx *onnx, const EngineOnnxNode *node);

/* onnx/matmul.c: output 0 is a b. */
gboolean engine_onnx_matmul_activations (EngineOnnx *onnx, const EngineOnnxNode *node,
    EngineOnnxValue *a, EngineOnnxValue *b, GError **error);
/* onnx/broadcast.c: output 0 is x, repeated to a shape of the model, or so often along each axis. */
gboolean engine_onnx_expand_activation (EngineOnnx *onnx, const EngineOnnxNode *node,
    EngineOnnxValue *x, const EngineOnnxConstant *shape, GError **error);
gboolean engine_onnx_tile_activation (EngineOnnx *onnx, const EngineOnnxNode *node,
    EngineOnnxValue *x, const EngineOnnxConstant *repeats, GError **error);
/* Two activations as graph values that ADD and MUL combine, the larger first. */
gboolean engine_onnx_align (EngineOnnx *onnx, const EngineOnnxNode *node, EngineOnnxValue *a,
    EngineOnnxValue *b, EngineOnnxStorage *storage, int inputs[2], GError **error);
/* onnx/gather.c: output 0 is what input 1 names of x. */
gboolean engine_onnx_gather_activation (EngineOnnx *onnx, const EngineOnnxNode *node,
    EngineOnnxValue *x, GError **error);
/* onnx/operand.c: output 0 is x op k, the constant being as large as it likes to be, but for '/' with
 * zeros, which the result shows. */
gboolean engine_onnx_with_operand (EngineOnnx *onnx, const EngineOnnxNode *node, char op,
    EngineOnnxValue *x, const EngineOnnxConstant *k, GError **error);
/* Output 0 joins one activation and constants. */
gboolean engine_onnx_concat_constants (EngineOnnx *onnx, const EngineOnnxNode *node, gint64 axis,
    GError **error);
/* onnx/layernorm.c: output 0 is x normalised over an axis, the last or an image's channels; scale and
 * shift may be NULL. */
gboolean engine_onnx_layernorm (EngineOnnx *onnx, const EngineOnnxNode *node, EngineOnnxValue *x,
    int axis, const EngineOnnxConstant *scale, const EngineOnnxConstant *shift, float epsilon,
    GError **error);
/* Whether it may be over this axis. */
gboolean engine_onnx_may_normalise (const EngineOnnxValue *x, int axis);

/* onnx/reshape.c: output 0 is x with these dims, for the batch of the export. */
gboolean engine_onnx_reshape_activation (EngineOnnx *onnx, const EngineOnnxNode *node,
    EngineOnnxValue *x, int rank, const gint64 *dims, GError **error);
/* Output 0 is the constant with these dims. */
gboolean engine_onnx_reshape_constant (EngineOnnx *onnx, const EngineOnnxNode *node,
    EngineOnnxConstant *constant, int rank, const gint64 *dims, GError **error);
gint64 engine_onnx_elements (int rank, const gint64 *dims);

/* onnx/fold.c, onnx/arithmetic.c, onnx/fold-layer.c: what other ops do to constants. */
gboolean engine_onnx_fold_binary (EngineOnnx *onnx, const EngineOnnxNode *node, char op,
    const EngineOnnxConstant *a, const EngineOnnxConstant *b, GError **error);
gboolean engine_onnx_fold_matmul (EngineOnnx *onnx, const EngineOnnxNode *node,
    const EngineOnnxConstant *a, const EngineOnnxConstant *b, GError **error);
typedef struct {
  gboolean transposed_a, transposed_b;
  float alpha, beta;
} EngineOnnxGemm;
gboolean engine_onnx_fold_gemm (EngineOnnx *onnx, const EngineOnnxNode *node,
    const EngineOnnxGemm *p, GError **error);
gboolean engine_onnx_fold_conv (EngineOnnx *onnx, const EngineOnnxNode *node, GError **error);
/* Over one axis, or all from it on. */
gboolean engine_onnx_fold_softmax (EngineOnnx *onnx, const EngineOnnxNode *node, gint64 axis,
    gboolean one_axis, gboolean logarithm, GError **error);
gboolean engine_onnx_fold_concat (EngineOnnx *onnx, const EngineOnnxNode *node, gint64 axis,
    GError **error);
/* from, step and count of every axis */
gboolean engine_onnx_fold_slice (EngineOnnx *onnx, const EngineOnnxNode *node,
    const EngineOnnxConstant *x, const gint64 *from, const gint64 *step, const gint64 *count,
    GError **error);
gboolean engine_onnx_fold_transpose (EngineOnnx *onnx, const EngineOnnxNode *node,
    const EngineOnnxConstant *x, const int *perm, GError **error);
/* The mean or the largest over the marked axes. */
gboolean engine_onnx_fold_reduce (EngineOnnx *onnx, const EngineOnnxNode *node,
    const EngineOnnxConstant *x, const gboolean *marked, gboolean max, gboolean keep,
    GError **error);
gboolean engine_onnx_fold_cast (EngineOnnx *onnx, const EngineOnnxNode *node, EngineOnnxConstant *x,
    gint64 to, GError **error);
