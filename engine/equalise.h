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

/* How far all of it is, in frames that have run. */
void engine_equalise_tell (const EngineEqualiser *equaliser, guint done);

/* --- Observing ------------------------------------------------------------------------------ */

/* Every so many-th frame is in a part. Set p is all frames but those of part p, which it is judged on; the last
 * set is all frames. */
#define ENGINE_EQUALISE_PARTS 5
#define ENGINE_EQUALISE_ALL   ENGINE_EQUALISE_PARTS
#define ENGINE_EQUALISE_SETS  (ENGINE_EQUALISE_PARTS + 1)

/* One whose channels may have scales of their own. */
typedef struct {
  int value;
  guint channels;
  GArray *readers; /* as engine_equalise_readers() */
  gboolean dense;
  float *largest; /* [part][channel]: magnitudes */
  /* Of every set; before depthwise convolutions of all frames only, else NULL. */
  float *factors[ENGINE_EQUALISE_SETS];             /* [channel] */
  CalibHistogram *histograms[ENGINE_EQUALISE_SETS]; /* of the values divided by them */
  GMutex locks[ENGINE_EQUALISE_SETS]; /* who is at a histogram; the last: at `largest`, too */
} EngineEqualiseTensor;

typedef struct _EngineEqualiseObservation EngineEqualiseObservation;

/* Runs the FP32 network on the options' frames. dense: tensors before dense convolutions, too; these take
 * ENGINE_EQUALISE_SETS histograms of 256 KiB each. */
EngineEqualiseObservation *engine_equalise_observe (const EngineEqualiser *equaliser,
    gboolean dense, GError **error);
void engine_equalise_observation_free (EngineEqualiseObservation *observation); /* NULL is fine */
G_DEFINE_AUTOPTR_CLEANUP_FUNC (EngineEqualiseObservation, engine_equalise_observation_free)
/* EngineEqualiseTensor, in the order of the network. */
const GPtrArray *engine_equalise_tensors (const EngineEqualiseObservation *observation);

/* --- Scales --------------------------------------------------------------------------------- */

/* Adds the scales before dense convolutions, or those before depthwise ones, as a set of frames gives them. */
gboolean engine_equalise_add (const EngineEqualiser *equaliser,
    const EngineEqualiseObservation *observation, gboolean dense, guint set, EngineBias *bias,
    GError **error);
/* These scales, and the correction for the weights that they make. */
EngineBias *engine_equalise_corrected (const EngineEqualiser *equaliser,
    const EngineBias *channels);
/* Whether the INT8 network loses less with scales before dense convolutions than with `plain` alone, on
 * frames from which the scales are not: the mean gain of a frame's logits, in dB, is above its standard
 * error. */
gboolean engine_equalise_gains (const EngineEqualiser *equaliser,
    const EngineEqualiseObservation *observation, const EngineBias *plain, gboolean *gains,
    GError **error);
