/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * precision-measure.h: what the search for layers that stay in floats stands on: how much damage each does
 * alone, and how good the network is with some of them in FP32. Internal to engine/.
 */
#pragma once

#include "engine/choose-precision.h"

/* Shares of the progress, in thousandths: FP32 and INT8, layers alone, the search, taking back. */
#define ENGINE_PROGRESS_ALONE  150
#define ENGINE_PROGRESS_SEARCH 400
#define ENGINE_PROGRESS_TAKE   700
#define ENGINE_PROGRESS_ALL    1000

typedef struct {
  const EngineModel *model;
  const EnginePrecisionOptions *options;
  KernelBackend *backend;
  EnginePrecisionChoice *choice;
  Engine *exact;
  gsize n_classes;
  float *logits; /* of FP32, frame after frame */
  guint worst;   /* the first of the ranking that are considered */
  EngineProgressFn progress;
  gpointer data;
  guint from, to; /* of the progress: this step's */
  GCancellable *cancellable;
} EnginePrecisionSearch;

/* The layer of this place in the ranking. */
static inline EnginePrecisionLayer *
engine_precision_layer_at (const EnginePrecisionSearch *search, guint rank)
{
  return &g_array_index (search->choice->layers, EnginePrecisionLayer, rank);
}

void engine_precision_set_progress (EnginePrecisionSearch *search, guint from, guint to);

/* Builds the FP32 engine and measures INT8 as it is (choice->before and met); ranks the layers, the worst
 * first. */
gboolean engine_precision_rank (EnginePrecisionSearch *search, GError **error);
/* Measures the network with the layers as they are, and adds the step to the choice. without: the layer that
 * it was taken for, or NULL. */
gboolean engine_precision_measure (EnginePrecisionSearch *search, const char *without,
    gboolean *met, GError **error);
