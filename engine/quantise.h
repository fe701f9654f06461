/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * quantise.h: the parts of pass/quantise.c. Internal to engine/.
 */
#pragma once

#include "engine/pass/pass.h"

/* What a node works on and writes. */
typedef enum {
  ENGINE_WORK_INT8,
  ENGINE_WORK_INT8_TO_FLOAT, /* convolutions, matmuls and average pools only */
  ENGINE_WORK_FLOAT
} EngineWork;

/* The work of every node (to be freed), as the rules in the options want it: what they cannot have goes
 * into the report. Without rules everything is int8 that has an int8 kernel, but for the end of the
 * network. *plain is what it would be without the rules (to be freed). */
EngineWork *engine_quantise_work (const EngineGraph *graph, const EnginePassContext *context,
    EngineWork **plain);

/* Whether a node of this work reads its input k as int8; not where there is none. The residual of a
 * convolution that writes floats is added to them as floats. */
gboolean engine_quantise_reads_int8 (const EngineNode *node, EngineWork work, int k);

/* Per value (to be freed): whether it is int8, or read as int8: a constant never. */
gboolean *engine_quantise_needed (const EngineGraph *graph, const EngineWork *work);

/* Channels with scales of their own. */
typedef struct {
  float *thresholds;     /* per value: T of the scaled values; NAN where there are no scales */
  const float **factors; /* per value: the bias correction's, or NULL */
  gboolean
      *uncorrected; /* per node: its correction is for weights with factors, and they get none */
} EngineQuantiseChannels;

/* Those in the options' bias correction, where no layer rule and no range by hand is against it.
 * channels is zeroed; cleared by the caller, also after FALSE: they are of another model. */
gboolean engine_quantise_channels (const EngineGraph *graph, const EnginePassContext *context,
    const EngineWork *work, EngineQuantiseChannels *channels, GError **error);
void engine_quantise_channels_clear (EngineQuantiseChannels *channels);

/* Scale and zero point of every value that is int8 or is turned into it, in order of the values;
 * quant[v].scale is 0 for the others. FALSE with ENGINE_ERROR_RANGE when ranges are missing.
 * needed[v]: whether value v will be int8. plain[v]: whether it would be without layer rules; such
 * values have their part in ranges that are shared, so that rules change no range. thresholds[v]: goes
 * before the table's, unless it is NAN. */
gboolean engine_quantise_ranges (const EngineGraph *graph, const EnginePassContext *context,
    const gboolean *needed, const gboolean *plain, const float *thresholds, EngineQuant *quant,
    GError **error);

/* The number of scales that a weight of a model that is quantised already is; FALSE where it is no whole
 * number. */
gboolean engine_quantise_own_level (float weight, float scale, int *level);

/* The int8 weights of a convolution, and the scale of each of its filters: the model's own where it has
 * quantised them. factors: of every input channel, which its weights are multiplied by; or NULL. Returns how
 * many filters of such a model need levels beyond int8 (uint8 far from its zero point) and are quantised
 * anew. */
int engine_quantise_weights (const EngineValue *weights, const float *factors, gint8 *w_q,
    double *s_w);

/* Moves the levels of a filter, w / scale rounded to the nearest, by one where that makes rounding errors cancel:
 * within half a level over the taps of every channel, and over the filter as a whole. */
void engine_quantise_balance (const float *w, double scale, int taps, int channels, gint8 *levels);

/* A convolution that writes floats cannot add or clamp: that becomes a node after it, which takes the
 * name that the table and the user know. */
void engine_quantise_split_end (EngineGraph *graph, int node);

/* With `strict`, what the report would say is an error. */
gboolean engine_quantise_check_strict (const EnginePassContext *context, GError **error);

/* Replaces the constant operand of an ADD or MUL by int8 with a range of its own. */
gboolean engine_quantise_operand (EngineGraph *graph, int node, GError **error);

/* Replaces the weights and bias of a convolution whose input and output have got their types and
 * quants: int8 weights, m, b. stated: the quants are the model's own. correction: added to the bias, or
 * NULL. report: hears of weights that cannot be as the model has them. */
gboolean engine_quantise_conv (EngineGraph *graph, int node, gboolean stated,
    const float *correction, EngineBuildReport *report, GError **error);

/* The fraction next to m that brings products with whole numbers near no tie: its odd denominator is a
 * multiple of `of`, which is odd. */
double engine_quantise_snap (double m, int of);
/* The simplest fraction of odd denominator, up to 63, that is x or up to 1 / 63 more, else the nearest above;
 * x where that is 1 / 16 more. And the denominator, 0 for what is no such fraction. */
double engine_quantise_simple_fraction (double x);
int engine_quantise_simple_denominator (double x);

/* What a channel of a model with stated scales adds up, and what ONNX Runtime makes of it. */
typedef struct {
  float factor;       /* s_x s_w / s_y, in float */
  double start;       /* of the sum of levels: the bias, and what zero_x makes of the weights */
  double least, most; /* sums */
  int zero, lo, hi;   /* of the output: levels */
} EngineStatedSums;

/* The m and b next to the factor that give the same levels. Returns 0, or, where there are no such floats,
 * how many sums next to a tie get another level: those far from the zero point count less. */
float engine_quantise_match (const EngineStatedSums *sums, float *m, float *b);
