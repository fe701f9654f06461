/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * export/qdq.h: the parts of the Q/DQ export. Internal to engine/.
 *
 * Every value of the graph becomes a tensor of the ONNX file. The graph stores images as NHWC, ONNX
 * wants NCHW: a form says in what order of axes the tensor holds the value, so that the transposes
 * of the graph vanish and few others are needed.
 */
#pragma once

#include "engine/engine.h"
#include "engine/graph.h"
#include "engine/onnx/write.h"

/* What the reader of the file wants; see export/qdq.c. */
typedef struct {
  gboolean uint8;             /* activations are uint8, 128 above int8 */
  gboolean bias_int32;        /* at scale s_x s_w, else float */
  gboolean split_residual;    /* a convolution's sum is quantised before the residual is added */
  gboolean requantise_concat; /* inputs of a concat get its scale before it */
  gboolean exact;             /* ops that round as our engine does: export/qdq-exact.c */
  gboolean split_clamp;       /* quantised before a clamp whose lower end is no level's end, too */
} EngineExportRules;

#define ENGINE_EXPORT_MAX_RANK (2 * ENGINE_MAX_RANK)

/* n_spatial 0: plain, as stored. Else the tensor is [n channels... spatial...], where the value is
 * stored as [n spatial... channels...], or, merged, as [n*spatial channels...]. */
typedef struct {
  const char *tensor; /* what reads the value reads; NULL while there is none */
  gboolean merged;
  int n_spatial, spatial[ENGINE_MAX_RANK];
} EngineExportForm;

typedef struct {
  EngineQuant quant;
  const char *scale, *zero; /* initialisers */
} EngineExportQuant;

typedef struct {
  const EngineGraph *graph;
  EngineOnnxWriter *writer;
  EngineExportRules rules;
  EngineExportForm *forms;             /* per value: as its node made it */
  EngineExportForm *plains, *pictures; /* per value: converted, once it was needed */
  const char **reserved;               /* per value: the name of the network's output that it is */
  const char **output_names;           /* per output */
  GArray *quants;     /* EngineExportQuant: one pair of initialisers for equal ones */
  GHashTable *levels; /* what a DequantizeLinear made: what it read */
} EngineExport;

/* --- Tensors (export/qdq.c) ----------------------------------------------------------------- */

/* A name from a value's and a suffix, taken by nobody else. */
const char *engine_export_name (EngineExport *x, int value, const char *suffix);
/* The name for what a node computes, in float: the value's own if no network's output needs it. */
const char *engine_export_result (EngineExport *x, int value);
/* QuantizeLinear and DequantizeLinear behind a tensor; returns what comes out. */
const char *engine_export_pair (EngineExport *x, int value, const char *tensor,
    const EngineQuant *quant, const char *suffix);
/* The same with levels of one kind taken for levels of another. */
const char *engine_export_pair_of (EngineExport *x, int value, const char *tensor,
    const EngineQuant *from, const EngineQuant *to, const char *suffix);
/* The initialiser. */
const char *engine_export_zero (EngineExport *x, int value, const EngineQuant *quant);
/* The value is computed: a pair follows where it is int8. */
void engine_export_define (EngineExport *x, int value, const char *tensor,
    const EngineExportForm *form);
/* The same tensor stands for the value, in another form. */
void engine_export_alias (EngineExport *x, int value, const EngineExportForm *form);

/* --- Forms (export/qdq-form.c) -------------------------------------------------------------- */

/* Dims in the file; dims[0] is 0 where it is the batch, -1 where it is a multiple. */
int engine_export_dims (const EngineExport *x, int value, const EngineExportForm *form,
    int dims[ENGINE_EXPORT_MAX_RANK]);
/* Where a stored axis is. */
int engine_export_axis (const EngineExport *x, int value, const EngineExportForm *form, int axis);
gboolean engine_export_same_order (const EngineExportForm *a, const EngineExportForm *b);

/* As stored. */
EngineExportForm engine_export_plain (EngineExport *x, int value);
/* [n c h w] or [n c w]; a value of rank 2 as [n c 1 1]. */
EngineExportForm engine_export_picture (EngineExport *x, int value);

void engine_export_reshape (EngineExport *x, const EngineNode *node);
void engine_export_transpose (EngineExport *x, const EngineNode *node);

/* --- Nodes (export/qdq-node.c, export/qdq-conv.c) ------------------------------------------- */

/* Inputs to a node that has no parameters of its own; returns it for its attributes. */
EngineOnnx__NodeProto *engine_export_op (EngineExport *x, const char *op, const char *a,
    const char *b, const char *output);
/* Relu or Clip; lo or hi is finite. */
void engine_export_clamp (EngineExport *x, const char *tensor, float lo, float hi,
    const char *output);

/* --- Unary functions (export/qdq-unary.c) ---------------------------------------------------- */

void engine_export_unary (EngineExport *x, const EngineNode *node);
const char *engine_export_float (EngineExport *x, const char *wanted, float value);
const char *engine_export_int64s (EngineExport *x, const char *wanted, const int *values, int n);
/* Behind what a convolution or pool made, [n c h w]: flattened where the value has rank 2. */
void engine_export_define_picture (EngineExport *x, int value, const char *tensor,
    const EngineExportForm *input);
/* The name for what such a node computes: engine_export_result(), unless a Flatten follows. */
const char *engine_export_picture_result (EngineExport *x, int value);

gboolean engine_export_node (EngineExport *x, const EngineNode *node, GError **error);
gboolean engine_export_conv (EngineExport *x, const EngineNode *node, GError **error);

/* --- What our engine computes, exactly (export/qdq-exact.c) ---------------------------------- */

/* uint8, of a tensor that DequantizeLinear made; NULL where it did not, or nothing is to be exact. */
const char *engine_export_levels (const EngineExport *x, const char *tensor);
/* To float or double; output NULL: a new name. */
const char *engine_export_cast (EngineExport *x, int value, const char *tensor, int type,
    const char *output);
/* A constant [n 1 1...]; n_spatial -1: a scalar. */
const char *engine_export_doubles (EngineExport *x, int value, const double *data, int n,
    int n_spatial);
/* fmaf (a, m, b), of doubles that are floats or int32; output NULL: a new name. */
const char *engine_export_fma (EngineExport *x, int value, const char *a, const char *m,
    const char *b, const char *output);
/* fmaf (level, m, t), the levels being those of int8. */
const char *engine_export_fma_levels (EngineExport *x, int value, const char *levels, float m,
    const char *t);
/* clamp (rintf (t), lo, hi) as the value's levels, and those as reals. */
const char *engine_export_requantised (EngineExport *x, int value, const char *t, int lo, int hi);
/* What is computed, in reals; NULL where something in it is not int8. */
const char *engine_export_exact_binary (EngineExport *x, const EngineNode *node, const char *a,
    const char *b);
/* Over all pixels. `result` is what floats are called. */
const char *engine_export_exact_average (EngineExport *x, const EngineNode *node,
    const EngineExportForm *form, const char *result);
