/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * equalise.h: scales by channel between a convolution and those that read it. Internal to engine/, but for
 * engine_equalise() in bias.h.
 */
#pragma once

#include "engine/bias.h"
#include "engine/graph.h"

/* The nodes (int) that read a value whose channels may have scales of their own: one depthwise convolution,
 * or dense ones, and the max pools on the way to them, whose outputs have the value's scales. NULL where the
 * channels may not. */
GArray *engine_equalise_readers (const EngineGraph *graph, int value);

/* Whether dense convolutions read the value: the factors go into their weights. */
gboolean engine_equalise_is_dense (const EngineGraph *graph, int value);

typedef struct {
  const EngineModel *model;
  const EngineEqualiseOptions *options;
  KernelBackend *backend;
  GCancellable *cancellable;
} EngineEqualiser;

/* Adds the scales before dense convolutions, or those before depthwise ones, as these frames give them. */
gboolean engine_equalise_find (const EngineEqualiser *equaliser, gboolean dense,
    const GPtrArray *frames, EngineBias *bias, GError **error);
/* These scales, and the correction for the weights that they make. */
EngineBias *engine_equalise_corrected (const EngineEqualiser *equaliser,
    const EngineBias *channels);
/* Whether the INT8 network loses less with scales before dense convolutions than with `plain` alone, on
 * frames from which the scales are not: the mean gain of a frame's logits, in dB, is above its standard
 * error. */
gboolean engine_equalise_gains (const EngineEqualiser *equaliser, const EngineBias *plain,
    gboolean *gains, GError **error);
