/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * compare/private.h: the inside of an EngineComparison. Internal to engine/compare/.
 */
#pragma once

#include "engine/build.h"
#include "engine/compare/compare.h"
#include "engine/exec.h"

/* What is added up for one activation over the frames. */
typedef struct {
  double signal, noise;   /* sums of y^2 and (y - yq)^2 */
  double judged, product; /* sums of yq^2 and y yq */
  double clipped;         /* the noise of saturated values */
  double largest;         /* max |y| */
  guint64 n, saturated;
  guint8 seen[256]; /* levels, by their byte */
  guint8 *channels; /* per channel CHANNEL_ bits */
} EngineTensorSums;

/* An activation that both engines have. */
typedef struct {
  int value; /* of the exact graph */
  const char *name;
  gsize elements; /* of one image */
  guint channels;
  float *exact;  /* the frame's; NULL where clips_only does not want them */
  gboolean int8; /* as the judged engine has it */
  float scale;
  int zero;
  const float *factors; /* as EngineTap has them; the judged engine's */
  float lo, hi;         /* engine_graph_useful(): values count as if clamped to it */
  EngineTensorSums sums;
  EngineTensorSums alone; /* of the network in which only this layer is int8; n = 0: not run */
  double alone_logits;    /* SQNR of its logits */
} EngineTensorPair;

struct _EngineComparison {
  Engine *exact, *judged;
  KernelBackend *backend;
  EngineExec *exact_exec, *judged_exec;
  EngineTensorPair *pairs; /* in the order of the exact graph */
  guint n_pairs, logits;   /* logits: the pair of the class scores */
  gboolean network_only, clips_only;
  GHashTable *by_name; /* name to EngineTensorPair */
  EngineAgreement *agreement;
  float *judged_logits; /* the frame's */
  gsize input_elements;
  guint input_channels;
  gboolean has_preprocess;
  EnginePreprocess preprocess;
  GPtrArray *kept; /* float *: frames */
  guint keep;
};

/* Sums of nothing. */
void engine_tensor_sums_init (EngineTensorSums *sums, guint channels);
void engine_tensor_sums_clear (EngineTensorSums *sums);
/* Adds one frame: what was tapped, against pair->exact. */
void engine_tensor_sums_add (EngineTensorSums *sums, const EngineTensorPair *pair,
    const EngineTap *tap);
/* Adds of one frame what clips_only wants, from the exact values alone. */
void engine_tensor_sums_add_clips (EngineTensorSums *sums, const EngineTensorPair *pair,
    const float *exact);
/* A frame into the input tensor of the judged engine. */
void engine_comparison_fill (const EngineComparison *comparison, const float *frame);
/* As engine_comparison_push(), of a frame from elsewhere. Where the FP32 network's logits for it are
 * known, that network does not run: with network_only. */
gboolean engine_comparison_push_frame (EngineComparison *comparison, const float *frame,
    const float *logits, GError **error);
/* The node of the judged engine that computes the tensor; ENGINE_NONE for the network's input. */
int engine_comparison_node (const EngineComparison *comparison, const EngineTensorPair *pair);
/* int8, fp16 or fp32: of that node; fp32 of the input. */
EnginePrecision engine_comparison_precision (const EngineComparison *comparison,
    const EngineTensorPair *pair);
/* The value of a name, or NULL. */
const EngineValue *engine_comparison_value (const EngineGraph *graph, const char *name);
/* A tap's values as floats. */
void engine_tap_floats (const EngineTap *tap, float *x);
