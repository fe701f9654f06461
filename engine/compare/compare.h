/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * compare/compare.h: what quantisation does to a network, measured on frames. Part of engine.h.
 *
 *   EngineAgreement    two vectors of class scores a frame: agreement, SQNR, divergence
 *   EngineComparison   two engines of one model, frame by frame: their agreement, and what becomes of
 *                      every activation
 *   EngineSuspect      the layers that do the most damage, and what to do about each
 *
 * SQNR is 10 log10 (sum y^2 / sum (y - yq)^2) in dB over all values of all frames, y being the exact
 * one: infinite where nothing differs (and -infinite where y is all 0 and yq is not), NAN before the
 * first frame. All sums are in double and in one
 * order, so that results are the same for any number of threads and on every back end whose engines
 * give the same bytes (cpu and ref do).
 *
 * An object belongs to one thread at a time. Where a back end fails in the midst of a function it is
 * ENGINE_ERROR_BACKEND, as of engine_exec_run().
 */
#pragma once

#include "engine/engine.h"

G_BEGIN_DECLS

/* From sums of y^2 and (y - yq)^2 over at least one value. */
double engine_sqnr (double signal, double noise);

/* --- Agreement of two networks -------------------------------------------------------------- */

typedef enum {
  ENGINE_SCORES_LOGITS,       /* softmax is still to be applied */
  ENGINE_SCORES_PROBABILITIES /* of a network that ends in softmax */
} EngineScores;

typedef struct {
  guint64 frames;
  double top1; /* share of frames, 0 to 1, with the same best class (of equals the first) */
  double top5; /* ... whose exact best class is among the five best of the other */
  double sqnr; /* of the vectors as they were given */
  /* Kullback-Leibler divergence of softmax, sum p ln (p / q), in nats: over all frames, and the
   * nearest-rank 99th percentile. A probability q that rounded to 0 counts as FLT_MIN. */
  double kl_mean, kl_p99;
} EngineAgreementScore;

typedef struct _EngineAgreement EngineAgreement;
EngineAgreement *engine_agreement_new (guint n_classes, EngineScores scores);
void engine_agreement_free (EngineAgreement *agreement); /* NULL is fine */
G_DEFINE_AUTOPTR_CLEANUP_FUNC (EngineAgreement, engine_agreement_free)

/* n_classes floats each: of the FP32 network, and of the one that is judged. */
void engine_agreement_add (EngineAgreement *agreement, const float *exact, const float *judged);
void engine_agreement_reset (EngineAgreement *agreement);
/* Of every frame so far, in their order; until the next one. */
const double *engine_agreement_divergences (const EngineAgreement *agreement);
/* Every share and mean is NAN before the first frame. */
void engine_agreement_score (const EngineAgreement *agreement, EngineAgreementScore *score);

/* --- Comparison of two engines -------------------------------------------------------------- */

typedef struct {
  /* NULL, or how the frames were made: the int8 input is then the very bytes that a preprocessor
   * gives for the picture, and not only the float tensor rounded. */
  const EnginePreprocess *preprocess;
  gboolean network_only; /* logits alone: faster, and no memory for activations */
  gboolean clips_only;   /* logits, and of activations only `saturated` and `largest`, as the FP32 network
                            has them: nearly as fast, and no memory for them. For neither alone() nor
                            suspects() */
  guint keep;            /* so many of the first frames are kept, for engine_comparison_alone() */
  int threads;           /* 0 for all CPUs */
} EngineCompareOptions;

/* What became of one activation: of those that both engines have by the same name. */
typedef struct {
  const char *name;  /* of the tensor, as tables know it */
  const char *layer; /* that makes it; NULL for the network's input */
  const char *op;    /* "conv", "add" ...; "input" */
  gboolean computes; /* the layer makes new values; others (reshape, concat ...) pass them on */
  EnginePrecision precision; /* int8, fp16 or fp32: the layer's in the engine that is judged */
  gboolean int8;             /* the tensor is int8 there */
  float scale;               /* of int8; 0 of float */
  int zero;
  guint64 n;      /* values of one image */
  double sqnr;    /* cumulative: everything before it is as quantised as it is */
  double cosine;  /* of the angle between the two, all frames as one vector */
  double largest; /* largest exact magnitude */
  /* int8 only, else 0: */
  /* share of values at an end of the int8 range, the exact one being more than half a step beyond it */
  double saturated;
  double clip_noise;    /* their share of the squared error */
  guint levels;         /* different values in use, of 256 */
  guint channels, dead; /* dead: always 0 as int8, but not exactly */
  /* From engine_comparison_alone(), else NAN: only this tensor's layer is int8. */
  double alone;        /* SQNR of this tensor */
  double alone_logits; /* SQNR of the logits */
} EngineTensorScore;

typedef struct _EngineComparison EngineComparison;

/* Two engines of one model on a back end with host_memory: exact is FP32, judged any other.
 * ENGINE_ERROR_MISMATCH for engines of two models, ENGINE_ERROR_BACKEND for a device; those of preprocess and
 * of engine_exec_new(). Engines are referenced; the back end must outlive the comparison. */
EngineComparison *engine_comparison_new (Engine *exact, Engine *judged, KernelBackend *backend,
    const EngineCompareOptions *options, GError **error);
void engine_comparison_free (EngineComparison *comparison); /* NULL is fine */
G_DEFINE_AUTOPTR_CLEANUP_FUNC (EngineComparison, engine_comparison_free)

/* Where the next frame goes: float, NHWC, as the FP32 network takes it. */
float *engine_comparison_input (EngineComparison *comparison);
/* The frame is there. Runs both. */
gboolean engine_comparison_push (EngineComparison *comparison, GError **error);

/* Forgets what it has seen, but for the frames that it keeps. */
void engine_comparison_reset (EngineComparison *comparison);

/* Of the logits: what softmax is applied to, where the network ends in one. */
void engine_comparison_score (const EngineComparison *comparison, EngineAgreementScore *score);
/* Tensors in the order of the network; none with network_only. Texts live as long as the
 * comparison. */
guint engine_comparison_n_tensors (const EngineComparison *comparison);
void engine_comparison_tensor (const EngineComparison *comparison, guint tensor,
    EngineTensorScore *score);

/* Quantises one layer at a time, of those that are int8 in the judged engine: for every kept frame,
 * what the layer makes of its exact inputs in int8 goes on through the FP32 network. Not with
 * network_only or clips_only; CALIB_ERROR_EMPTY where no frame was kept, ENGINE_ERROR_UNSUPPORTED for a layer
 * that reads what the FP32 network does not have. */
gboolean engine_comparison_alone (EngineComparison *comparison, EngineProgressFn progress,
    gpointer data, GCancellable *cancellable, GError **error);

/* A frame that statistics keep (calib_statistics_kept()), as if it were written to the input.
 * CALIB_ERROR_MISMATCH where it is of another size. */
gboolean engine_comparison_push_kept (EngineComparison *comparison,
    const CalibStatistics *statistics, guint index, GError **error);
/* A comparison that has seen all of them, of the engine that model and options make. CALIB_ERROR_EMPTY
 * where none are kept; else as engine_build() and the functions above. */
EngineComparison *engine_comparison_of_kept (const EngineModel *model,
    const EngineBuildOptions *options, const CalibStatistics *statistics, KernelBackend *backend,
    const EngineCompareOptions *how, GCancellable *cancellable, GError **error);

/* --- Suspects ------------------------------------------------------------------------------- */

typedef struct {
  guint tensor; /* of the comparison */
  /* noise that the layer adds: to the logits where engine_comparison_alone() ran, else to its own output
   * beyond what came in; as a share of the signal's power */
  double damage;
  char *why;       /* for people */
  char *precision; /* a layer rule that gives the layer back to float, "conv1:fp32" */
  char *range;     /* a dynamic range that would have clipped nothing, "conv1: 6.25"; NULL where
                      clipping is not most of the noise */
} EngineSuspect;

/* EngineSuspect, by damage, the worst first; layers that do none are left out. To be freed with
 * g_ptr_array_unref(). */
GPtrArray *engine_comparison_suspects (const EngineComparison *comparison);

/* --- Choosing a calibration method ------------------------------------------------------------ */

typedef struct {
  EngineRanges ranges;
  double percentile;                  /* of CALIB_METHOD_PERCENTILE */
  const EnginePreprocess *preprocess; /* as in EngineCompareOptions */
  const EngineBias *bias;             /* of all methods alike, or NULL */
  int threads;                        /* 0 for all CPUs */
  EngineProgressFn progress;          /* in frames that have run, with the method; or NULL */
  gpointer progress_data;
} EngineChooseOptions;

/* How many frames are worth keeping: of images that the model takes, as many as some 60 MB hold, 16 to 500;
 * 100 of 224x224 in three channels. Methods are tried on the first of them, as many as half of that holds, 8 to
 * 500: a sample of the kept ones. Scales by channel (bias.h) are found and judged on all. */
guint engine_calibration_frames (const EngineModel *model);

typedef struct {
  CalibMethod method;
  EngineAgreementScore score;
  gboolean best; /* or no worse than the best one by what these frames can tell */
} EngineMethodScore;

/* Method "auto": every method that the statistics can serve, judged on all frames that they keep. Of
 * EngineMethodScore, the first being the choice; to be freed with g_array_unref(). First come the
 * method of the least mean divergence and those whose divergence is larger by two standard errors of the
 * difference at most, the highest logit SQNR first; then the others, the least divergence first.
 * CALIB_ERROR_EMPTY where no frames are kept. These frames are in the histograms, too:
 * docs/CALIBRATION.md tells how much that matters. */
GArray *engine_calibration_rank (const EngineModel *model, const CalibStatistics *statistics,
    const EngineChooseOptions *options, KernelBackend *backend, GCancellable *cancellable,
    GError **error);
/* The ranking for people, a line each under a line of titles; the best ones are marked. */
char *engine_calibration_ranking_text (const GArray *ranking);

G_END_DECLS

#include "engine/choose-precision.h"
