/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * pass/pass.h: the passes between import and plan. Internal to engine/.
 *
 *   import -> fold -> fuse          engine_passes_float(): what calibration observes and names
 *          -> quantise -> lut       engine_passes_int8():  what an INT8 engine executes
 *          -> halve                 engine_passes_fp16():  what an FP16 engine executes
 *
 * A pass is a function that changes a graph; pass/pass.c holds the ordered table, read top to bottom,
 * runs engine_graph_verify() after each, and prints the graph after the pass named in
 * INT8_DUMP_PASS ("all" for each) to standard error.
 */
#pragma once

#include "engine/engine.h"
#include "engine/graph.h"

typedef struct {
  const EngineBuildOptions *options; /* NULL for the float passes */
  EngineBuildReport *report;         /* likewise */
  EngineProgressFn progress;         /* may be NULL, as the next two */
  gpointer progress_data;
  GCancellable *cancellable;
} EnginePassContext;

typedef struct {
  const char *name;
  gboolean (*run) (EngineGraph *graph, const EnginePassContext *context, GError **error);
} EnginePass;

/* Float passes, in order. */
gboolean engine_pass_fold_pairs (EngineGraph *, const EnginePassContext *, GError **);  /* of quantised models: Q and DQ that round nothing */
gboolean engine_pass_fuse_matmul (EngineGraph *, const EnginePassContext *, GError **); /* scale and transpose around matmul */
gboolean engine_pass_fold (EngineGraph *, const EnginePassContext *, GError **);        /* constants, no-ops, transposes */
gboolean engine_pass_fold_scales (EngineGraph *, const EnginePassContext *, GError **); /* of quantised models: scales for each channel */
gboolean engine_pass_fuse_hard_sigmoid (EngineGraph *, const EnginePassContext *, GError **); /* clip (x + 3, 0, 6) / 6 */
gboolean engine_pass_fuse_gelu (EngineGraph *, const EnginePassContext *, GError **);   /* x / 2 * (1 + erf (x / sqrt (2))), and with tanh */
gboolean engine_pass_fuse_affine (EngineGraph *, const EnginePassContext *, GError **); /* batch norm into conv, else depthwise 1x1 */
gboolean engine_pass_fuse_pad (EngineGraph *, const EnginePassContext *, GError **);    /* Pad into conv and pools */
gboolean engine_pass_fuse_flatten (EngineGraph *, const EnginePassContext *, GError **);/* flatten + fully connected: window of the whole input */
gboolean engine_pass_fuse_silu (EngineGraph *, const EnginePassContext *, GError **);   /* x * sigmoid (x); x * hardsigmoid (x) */
gboolean engine_pass_fuse_residual (EngineGraph *, const EnginePassContext *, GError **); /* add into conv */
gboolean engine_pass_fuse_clamp (EngineGraph *, const EnginePassContext *, GError **);  /* Relu, Clip into conv, add, mul */
gboolean engine_pass_imply_relu (EngineGraph *, const EnginePassContext *, GError **);  /* of quantised models: levels that begin at 0 */

/* INT8 passes. */
gboolean engine_pass_quantise (EngineGraph *, const EnginePassContext *, GError **);
gboolean engine_pass_lut (EngineGraph *, const EnginePassContext *, GError **);

/* The FP16 pass. */
gboolean engine_pass_halve (EngineGraph *, const EnginePassContext *, GError **);

gboolean engine_passes_float (EngineGraph *graph, GError **error);
gboolean engine_passes_int8 (EngineGraph *graph, const EnginePassContext *context, GError **error);
gboolean engine_passes_fp16 (EngineGraph *graph, const EnginePassContext *context, GError **error);
