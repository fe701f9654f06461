/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * export/qdq-conv.h: a convolution or fully connected layer on its way into the file: its op (qdq-conv.c), and
 * its constants (qdq-weights.c). Internal to engine/export/.
 */
#pragma once

#include "engine/export/qdq.h"

typedef struct {
  EngineExport *x;
  const EngineNode *node;
  const EngineValue *in, *w, *out;
  gboolean int8;
  EngineExportForm form;           /* of the input */
  double *weight_scale, *bias;     /* per output channel; int8: the scale, else 1 */
  const char *weights, *bias_name; /* tensors for the op */
} EngineExportConv;

/* A tensor of the layer, by a suffix that says which. */
static inline const char *
engine_export_conv_name (const EngineExportConv *c, const char *suffix)
{
  return engine_export_name (c->x, c->node->output, suffix);
}

/* The floats of an input that is constant; NULL where it is absent. */
static inline const float *
engine_export_conv_constant (const EngineExport *x, int value)
{
  return value == ENGINE_NONE ? NULL
                              : g_bytes_get_data (engine_graph_value (x->graph, value)->data, NULL);
}

/* Fills weight_scale and bias, to be freed. */
void engine_export_conv_unfold (EngineExportConv *c);
/* Of output channel k. */
gint64 engine_export_conv_sum_of_levels (const EngineExportConv *c, int k);

/* The weights of either type as the file has them, to be freed. */
void *engine_export_conv_oihw (const EngineExportConv *c);
/* int8, as GEMM reads them without being told to transpose; to be freed. */
gint8 *engine_export_conv_transposed (const EngineExportConv *c);

/* Write initialisers, with DequantizeLinear behind levels, and set `weights` and `bias_name`. */
void engine_export_conv_weights (EngineExportConv *c, int rank, const int *dims);
void engine_export_conv_bias (EngineExportConv *c);
