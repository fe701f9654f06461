/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * graph.h: the network between import and plan. Internal to engine/.
 *
 * Flat arrays of values and nodes that refer to each other by index. Values are physical: their
 * dims are as stored, images are NHWC, weights OHWI; the importer inserts the transposes that
 * ONNX's NCHW makes necessary, and the passes remove them again.
 *
 * Batch: every activation has its batch on axis 0, and the graph is written for one image
 * (dims[0] as it is for batch 1). A run of n images multiplies axis 0 of every activation by n;
 * the verifier refuses what that would break (a transpose that moves axis 0, a concat on it ...).
 *
 * Names: a value keeps the ONNX value name wherever it survives; a fused node's output has the name
 * of the last value it stands for (conv + Relu: the Relu's output). Calibration tables use them.
 *
 * Threads: a graph belongs to one thread while it is changed; it is never changed after the last
 * pass, and shared freely then.
 */
#pragma once

#include <glib.h>
#include "engine/tensor.h"
#include "kernels/kernels.h"

#define ENGINE_MAX_RANK KERNEL_MAX_RANK
#define ENGINE_NONE (-1)
/* Behind the name of a value that an importer stored a second time, with its axes moved. */
#define ENGINE_NHWC_SUFFIX ":nhwc"
#define ENGINE_NCHW_SUFFIX ":nchw"
/* Bounds that keep every product of dims in int64 and every tensor addressable. */
#define ENGINE_MAX_DIM (1 << 24)
#define ENGINE_MAX_ELEMENTS ((gint64) 1 << 31)
/* int8 products of an output that int32 holds the sum of: 2^31 / 2^14. */
#define ENGINE_MAX_ACCUMULATED 131072

/* How the 256 levels are spent (NUMERICS). */
typedef enum {
  ENGINE_RANGE_SYMMETRIC, /* zero 0, scale T / 127 */
  ENGINE_RANGE_FULL,      /* zero -128, scale T / 255: never negative */
  ENGINE_RANGE_AFFINE,    /* lo <= 0 <= hi, scale (hi - lo) / 255 */
  ENGINE_RANGE_COUNT
} EngineRange;

typedef struct {
  float scale; /* > 0 and finite */
  int zero;    /* -128 .. 127 */
  EngineRange range;
} EngineQuant;

typedef struct {
  char *name; /* unique in the graph, never NULL */
  EngineType type;
  int rank;
  int dims[ENGINE_MAX_RANK];
  EngineQuant quant; /* where type is S8 and the value an activation or an operand of ADD or MUL */
  GBytes *data;      /* contents of a constant, dense; NULL for activations */
  GBytes *scales;    /* float [oc] of weights that a model has quantised itself: every weight of filter k
                        is an integer times scales[k]; else NULL */
  GBytes *factors;   /* float [channels] of an int8 activation: real = (level - zero) * scale *
                        factors[channel]; NULL where all are 1 (engine/equalise.h) */
  int producer;      /* node index; ENGINE_NONE for inputs and constants */
} EngineValue;

typedef enum {
#define ENGINE_OP(ID, name, min_inputs, max_inputs) ENGINE_OP_##ID,
#include "ops.inc"
#undef ENGINE_OP
  ENGINE_OP_COUNT
} EngineOp;

/* The inputs of a convolution. Absent ones are ENGINE_NONE. */
enum {
  ENGINE_CONV_X, /* rank 4 [n ih iw ic], 3 [n iw ic] or 2 [n ic]; missing axes count as 1 */
  ENGINE_CONV_W, /* [oc kh kw ic/groups], F32 or S8 */
  ENGINE_CONV_B, /* F32 [oc]; float: the bias, may be absent; int8: b[k] of kernels.h */
  ENGINE_CONV_M, /* F32 [oc]; int8 only: m[k] */
  ENGINE_CONV_R, /* residual of the output's shape */
  ENGINE_CONV_INPUTS
};

/* The inputs of ADD and MUL. */
enum {
  ENGINE_BINARY_X1,
  /* An activation of the same shape, or one value per image and channel, [n 1 1 c]; or a constant
   * that is the same for every image: the axes of x1 from some axis on, and 1 before. */
  ENGINE_BINARY_X2
};

typedef struct {
  int stride_h, stride_w, dilation_h, dilation_w;
  int pad_top, pad_left, pad_bottom, pad_right;
  int groups;
  float lo, hi; /* fused clamp, in real values, -INFINITY and INFINITY where there is none */
} EngineConvParams;

typedef struct {
  int kh, kw, stride_h, stride_w, dilation_h, dilation_w;
  int pad_top, pad_left, pad_bottom, pad_right;
  gboolean include_pad; /* average pools: the divisor counts padding */
  gboolean ceil_mode;   /* a last window may reach beyond the padding, if it starts before it */
} EnginePoolParams;

typedef struct {
  EngineOp op;
  char *name; /* for people: the ONNX node's name, else its output's */
  int n_inputs;
  int *inputs; /* value indices */
  int output;  /* value index: every node has one */
  union {
    EngineConvParams conv;
    EnginePoolParams pool;
    struct {
      gboolean transposed; /* x2 is [.. cols inner], else [.. inner cols] */
      float factor;        /* of every product */
    } matmul;
    struct {
      float epsilon;
    } layernorm;
    struct {
      int before, after;       /* neighbours that count, of the last axis */
      float alpha, beta, bias; /* as in KernelLrn: alpha is of the plain sum */
    } lrn;
    struct {
      float lo, hi; /* fused clamp of ADD and MUL */
    } binary;
    struct {
      KernelUnary kind;
      float alpha, beta;
    } unary;
    struct {
      int axis;
    } concat;
    struct {
      int axis, start, size; /* start .. start + size - 1 of the axis; never axis 0 */
    } slice;
    struct {
      int perm[ENGINE_MAX_RANK];
    } transpose;
    struct {
      int before[ENGINE_MAX_RANK], after[ENGINE_MAX_RANK];
      float value;
    } pad;
    struct {
      gboolean log;
    } softmax;
  };
} EngineNode;

typedef struct {
  GArray *values;    /* EngineValue */
  GArray *nodes;     /* EngineNode, every node after its inputs' producers */
  GArray *inputs;    /* int: value indices; one image input */
  GArray *outputs;   /* int: value indices */
  GHashTable *names; /* name (the value's own) to index + 1; kept by the functions below */
} EngineGraph;

EngineGraph *engine_graph_new (void);
void engine_graph_free (EngineGraph *graph); /* NULL is fine */
G_DEFINE_AUTOPTR_CLEANUP_FUNC (EngineGraph, engine_graph_free)
EngineGraph *engine_graph_copy (const EngineGraph *graph); /* constants are shared */

/* Adding. Names are copied and made unique with a suffix "#2" where taken. Pointers to values and
 * nodes are valid until the next addition. */
int engine_graph_add_value (EngineGraph *graph, const char *name, EngineType type, int rank,
    const int *dims);
/* Takes data (transfer full); its size must be that of the dims. */
int engine_graph_add_constant (EngineGraph *graph, const char *name, EngineType type, int rank,
    const int *dims, GBytes *data);
/* Appends a node whose parameters are neutral (strides, dilations and groups 1, no clamp). Its
 * output value is made with type F32 and rank 0: set the parameters, then call
 * engine_graph_infer_shape(). */
EngineNode *engine_graph_add_node (EngineGraph *graph, EngineOp op, const char *name,
    const int *inputs, int n_inputs, const char *output_name);

static inline EngineValue *
engine_graph_value (const EngineGraph *graph, int value)
{
  return &g_array_index (graph->values, EngineValue, value);
}

static inline EngineNode *
engine_graph_node (const EngineGraph *graph, int node)
{
  return &g_array_index (graph->nodes, EngineNode, node);
}

gint64 engine_value_elements (const EngineValue *value); /* of one image */
gboolean engine_value_has_dims (const EngineValue *value, int rank, const int *dims);
gboolean engine_value_same_dims (const EngineValue *a, const EngineValue *b);
gsize engine_type_size (EngineType type);
const char *engine_type_name (EngineType type); /* "f32", "s8", "f16" */
const char *engine_range_name (EngineRange range); /* "symmetric", "full", "affine" */
const char *engine_op_name (EngineOp op);
/* n h w c of a value of rank 2 to 4, as ENGINE_CONV_X says. */
void engine_value_nhwc (const EngineValue *value, int nhwc[4]);

/* Computes the dims of the node's output from its inputs and parameters (RESHAPE: checks that the
 * elements agree with dims already set; CONV and pools with one output pixel: an output that
 * already has rank 2 keeps it, [n oc]). Conversions set the type too. ENGINE_ERROR_MODEL
 * names the node and what does not fit. */
gboolean engine_graph_infer_shape (EngineGraph *graph, EngineNode *node, GError **error);
/* The same without storing them; rank and dims are untouched on error. */
gboolean engine_graph_output_dims (const EngineGraph *graph, const EngineNode *node, int *rank,
    int dims[ENGINE_MAX_RANK], GError **error);

/* The nodes that read a value; graph outputs are not counted. */
int engine_graph_n_consumers (const EngineGraph *graph, int value);
/* The only node that reads the value, or NULL when there are others or it is a graph output. */
EngineNode *engine_graph_sole_consumer (const EngineGraph *graph, int value);
gboolean engine_graph_is_output (const EngineGraph *graph, int value);
/* Every reader of `from` (graph outputs included) reads `to`. */
void engine_graph_replace (EngineGraph *graph, int from, int to);
/* Renames; the name is taken away from whoever has it (a dead value). */
void engine_graph_rename (EngineGraph *graph, int value, const char *name);
/* Sorts the nodes, drops nodes and values that no output needs, renumbers. */
void engine_graph_compact (EngineGraph *graph);

/* What a value can be, whatever the image: from clamps and unary functions; -INFINITY, INFINITY
 * when nothing is known. Quantisation derives `full` and `affine` from it. */
void engine_graph_bounds (const EngineGraph *graph, int value, float *lo, float *hi);

/* The same, cut to what its readers tell apart (a hard swish nothing below -3): clamped to it, the value
 * gives the same outputs. */
void engine_graph_useful (const EngineGraph *graph, int value, float *lo, float *hi);

/* One stable line per node; constants by shape. For tests and `gst-int8-1.0 inspect`. */
char *engine_graph_dump (const EngineGraph *graph);
/* Adds the line of one. */
void engine_graph_dump_node (GString *out, const EngineGraph *graph, const EngineNode *node);

/* Everything that later rooms rely on: indices, order, single producers, unique names, ranks, dims,
 * types and arity of every op, constants of the right size, finite parameters, int32 accumulators
 * that cannot overflow, the batch axis. Errors name node and cause: ENGINE_ERROR_MODEL, or
 * ENGINE_ERROR_UNSUPPORTED for what is valid but not done here. `after` says where it was called. */
gboolean engine_graph_verify (const EngineGraph *graph, const char *after, GError **error);
