/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * choose-precision.h: which layers of an INT8 network stay in floats, so that it agrees with its FP32
 * self as much as is asked for. Part of engine.h.
 *
 * Layers are ranked by the damage that each does alone (engine_comparison_alone()). The worst are given
 * back to FP32 until the whole network meets the target on all frames, and those of them without which
 * it is met as well are INT8 again. The result is the same for any number of threads.
 */
#pragma once

#include "engine/compare/compare.h"

G_BEGIN_DECLS

/* What is not asked for is 0. */
typedef struct {
  double top1; /* at least this share of frames has the best class of FP32, above 0 to 1 */
  double sqnr; /* at least this SQNR of the logits, in dB, above 0 */
} EnginePrecisionTarget;

typedef struct {
  /* Table and all that goes with it; the precision is not looked at. Rules that it has are obeyed, and
   * come first in those that are chosen. */
  const EngineBuildOptions *build;
  const GPtrArray *frames; /* const float *: input tensors of the FP32 network, NHWC */
  guint alone;             /* layers are run alone on so many of them, at least 1 */
  EnginePrecisionTarget target;
  int threads; /* 0 for all CPUs */
} EnginePrecisionOptions;

/* A layer that INT8 has a kernel for. */
typedef struct {
  char *tensor;       /* its output */
  double damage;      /* noise over signal of the logits where it alone is INT8; NAN: not measured */
  guint64 operations; /* of one image: multiply-adds of convolutions, else values read */
  gboolean fp32;      /* given back */
} EnginePrecisionLayer;

/* A network that was measured: the worst `worst` layers were FP32, but for those that had been found
 * not to matter and the one named `without`. */
typedef struct {
  guint worst, fp32; /* fp32: layers that were */
  char *without;     /* or NULL */
  EngineAgreementScore score;
  gboolean met;
} EnginePrecisionStep;

typedef struct {
  EnginePrecisionTarget target;
  gboolean met;                       /* else what follows is the best that was reached */
  EngineAgreementScore before, after; /* in INT8, and with the rules */
  guint n_fp32;                       /* layers given back; 0 where INT8 meets the target */
  double int8_before, int8_after;     /* share of the network's operations */
  GArray *layers;                     /* EnginePrecisionLayer, the worst first */
  GArray *steps;                      /* EnginePrecisionStep, as they were taken */
  EngineLayerRules *rules;            /* engine_precision_rules() */
} EnginePrecisionChoice;

/* CALIB_ERROR_EMPTY without frames, ENGINE_ERROR_RULES for a target that is none. The back end needs
 * host_memory. A frame must have as many values as the network's input. */
EnginePrecisionChoice *engine_precision_choose (const EngineModel *model,
    const EnginePrecisionOptions *options, KernelBackend *backend, EngineProgressFn progress,
    gpointer data, GCancellable *cancellable, GError **error);
EnginePrecisionChoice *engine_precision_choice_new (const EnginePrecisionTarget *target); /* empty */
void engine_precision_choice_free (EnginePrecisionChoice *choice); /* NULL is fine */
G_DEFINE_AUTOPTR_CLEANUP_FUNC (EnginePrecisionChoice, engine_precision_choice_free)

/* The given rules (or NULL), `tensor:fp32` for every layer that is given back, and for what moves values
 * between layers in FP32. Empty where nothing was given, and nothing is given back. */
EngineLayerRules *engine_precision_rules (const EngineModel *model, const EngineLayerRules *given,
    const GArray *layers);

/* The frames that statistics keep, as options take them; to be freed with g_ptr_array_unref() before
 * the statistics are. CALIB_ERROR_MISMATCH where they are none of the model's. */
GPtrArray *engine_precision_frames (const EngineModel *model, const CalibStatistics *statistics,
    GError **error);

/* What was reached, in a sentence. */
char *engine_precision_choice_summary (const EnginePrecisionChoice *choice);
/* The steps and the ranking for people, lines. */
char *engine_precision_choice_text (const EnginePrecisionChoice *choice);

/* Writes `<table>.precision`, which ENGINE_PRECISION_MIXED reads: the rules, above them how they were
 * found, as comments. Where INT8 meets the target, one rule says that the worst layer is INT8. Not for a
 * choice that does not meet its target. */
gboolean engine_precision_choice_save (const EnginePrecisionChoice *choice, const CalibTable *table,
    const char *table_path, GError **error);

G_END_DECLS
