/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * net.h: small networks for tests of the engine, built by hand or at random, without ONNX.
 *
 * Values are named "<op><n>" in the order of their making. Weights are drawn from the net's own
 * generator: one seed, one network.
 */
#pragma once

#include <math.h>

#include "engine/build.h"
#include "engine/graph.h"

typedef struct {
  EngineGraph *graph;
  GRand *rand;
  int count; /* names used */
} Net;

Net *net_new (guint32 seed);
void net_free (Net *net);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (Net, net_free)

/* Each returns the value it makes. */
int net_input (Net *net, int h, int w, int c);
typedef struct {
  int oc, k, stride, pad, groups; /* 0 stands for 1, but for pad */
  float lo, hi;                   /* both 0: no clamp */
  int residual;                   /* value; 0 for none: value 0 is the input */
} NetConv;
int net_conv (Net *net, int x, NetConv conv);
/* A fully connected layer over the whole of x: [1 oc]. */
int net_dense (Net *net, int x, int oc);
/* Weights [oc][kh][kw][ic] and bias [oc] as given. */
int net_conv_given (Net *net, int x, int oc, int k, int ic, const float *w, const float *b);
int net_binary (Net *net, EngineOp op, int x1, int x2, float lo, float hi);
int net_unary (Net *net, int x, KernelUnary kind, float alpha, float beta);
int net_pool (Net *net, EngineOp op, int x, int k, int stride, int pad);
int net_global_pool (Net *net, int x);
int net_concat (Net *net, const int *x, int n, int axis);
int net_slice (Net *net, int x, int axis, int start, int size);
int net_reshape (Net *net, int x, int rank, const int *dims);
int net_transpose (Net *net, int x, const int *perm);
int net_pad (Net *net, int x, int border, float value);
int net_softmax (Net *net, int x);

/* Adds the output, verifies, and hands the graph over. Stops the program on an unsound graph. */
EngineGraph *net_finish (Net *net, int output);

/* A network of 3 to 14 layers with branches, residuals, concats, gates and a float end. */
EngineGraph *net_random (guint32 seed);

/* A model of a graph (taken), as if it had been imported. */
EngineModel *net_model (EngineGraph *graph);
/* An FP32 engine of a graph (taken). */
Engine *net_engine (EngineGraph *graph);
/* A table for the graph: the largest magnitudes over `images` random images. */
CalibTable *net_calibrate (const EngineGraph *graph, guint32 seed, int images);
/* The table of a model by minmax over frames (const float *: input tensors). What was seen is added to
 * `statistics` unless it is NULL. */
CalibTable *net_table (EngineModel *model, KernelBackend *backend, const GPtrArray *frames,
    CalibStatistics *statistics);
/* The graph (kept) made int8 by a table of its own. */
Engine *net_engine_int8 (const EngineGraph *graph, EngineRanges ranges, guint32 seed);
Engine *net_engine_with (const EngineGraph *graph, const EngineBuildOptions *options);

/* Image `i` of a seed: values of the input tensor, the same whatever the batch. FP32 inputs lie in
 * [-2, 2]; for int8 the same values, quantised. */
void net_fill_input (const Engine *engine, EngineExec *exec, int at, guint32 seed, int i);

KernelBackend *net_backend (const char *name); /* stops the program where it cannot be opened */
