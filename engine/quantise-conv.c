/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * quantise-conv.c: the constants of an int8 convolution, and of sums and products. Everything is folded in double and rounded
 * once (docs/NUMERICS.md):
 *
 *   s_w[k] = max (max |W_k|, 0.01 max |W|, 8e-5) / 127
 *   w_q    = W / s_w[k] rounded so that errors cancel (quantise-balance.c), in [-127, 127]; those of a
 *            model that is quantised already are its own, s_w[k] with them
 *   m[k]   = s_x s_w[k] / s_y, of int8 outputs the fraction next to it (quantise-snap.c); s_y times the
 *            channel's factor where channels have scales of their own (equalise.h), and so s_x of what is
 *            depthwise; what is dense has it in W
 *   b_q[k] = rint (bias[k] / (s_y m[k])), the int32 that other runtimes add to the sum
 *   b[k]   = (b_q[k] - zero_x sum (w_q)) m[k] - s_r zero_r / s_y + zero_y
 *
 * A float output is one with s_y = 1, zero_y = 0. The floor keeps a filter that is as good as dead
 * from being blown up to full scale, and m away from 0. Where the model states the scales of activations
 * too, m and b are those that give the levels of ONNX Runtime (quantise-match.c).
 */
#include "engine/quant.h"
#include "engine/quantise.h"
#include "engine/ranges.h"

#include "engine/build.h"

#include <math.h>
#include <string.h>

#define FLOOR_OF_LAYER 0.01
#define FLOOR          8e-5

static double
largest_magnitude (const float *w, gsize n)
{
  double largest = 0;

  for (gsize i = 0; i < n; i++)
    largest = fmax (largest, fabs (w[i]));
  return largest;
}

/* How far from an integer a level may be: weights are floats, and batch norms are folded into them and
 * their scales. */
#define LEVEL_TOLERANCE 1e-3

gboolean
engine_quantise_own_level (float weight, float scale, int *level)
{
  const double exact = (double) weight / scale, whole = rint (exact);

  if (!(fabs (exact - whole) <= LEVEL_TOLERANCE && fabs (whole) <= G_MAXINT16))
    return FALSE;
  *level = (int) whole;
  return TRUE;
}

/* The integers of a filter that a model has quantised itself. FALSE where int8 cannot hold one. */
static gboolean
own_levels (const float *w, gsize n, float scale, gint8 *levels)
{
  for (gsize i = 0; i < n; i++) {
    int level;

    if (!engine_quantise_own_level (w[i], scale, &level) || level < -128 || level > 127)
      return FALSE;
    levels[i] = (gint8) level;
  }
  return TRUE;
}

/* The weights of every input channel, the last axis, times its factor; NULL without factors. */
static float *
multiplied (const EngineValue *weights, const float *factors)
{
  const gsize size = engine_value_elements (weights);
  const int ic = weights->dims[weights->rank - 1];
  float *w = factors ? g_memdup2 (g_bytes_get_data (weights->data, NULL), size * sizeof *w) : NULL;

  for (gsize i = 0; w && i < size; i++)
    w[i] *= factors[i % ic];
  return w;
}

int
engine_quantise_weights (const EngineValue *weights, const float *factors, gint8 *w_q, double *s_w)
{
  const gsize size = engine_value_elements (weights);
  const int oc = weights->dims[0];
  const gsize of_filter = size / oc, taps = (gsize) weights->dims[1] * weights->dims[2];
  g_autofree float *w_f = multiplied (weights, factors);
  const float *w = w_f ? w_f : g_bytes_get_data (weights->data, NULL);
  const double floor_scale = fmax (FLOOR_OF_LAYER * largest_magnitude (w, size), FLOOR);
  const float *own = weights->scales ? g_bytes_get_data (weights->scales, NULL) : NULL;
  int n_anew = 0;

  for (int k = 0; k < oc; k++) {
    if (own && own_levels (w + k * of_filter, of_filter, own[k], w_q + k * of_filter)) {
      s_w[k] = own[k];
      continue;
    }
    n_anew += own != NULL;
    s_w[k] = fmax (largest_magnitude (w + k * of_filter, of_filter), floor_scale) / 127;
    for (gsize i = k * of_filter; i < (k + 1) * of_filter; i++)
      w_q[i] = (gint8) fmin (fmax (rint (w[i] / s_w[k]), -127), 127);
    if (!own && of_filter > taps) /* few taps alone lose more than their sum gains */
      engine_quantise_balance (w + k * of_filter, s_w[k], (int) taps, (int) (of_filter / taps),
          w_q + k * of_filter);
  }
  return n_anew;
}

static gint64
sum_of (const gint8 *x, gsize n)
{
  gint64 sum = 0;

  for (gsize i = 0; i < n; i++)
    sum += x[i];
  return sum;
}

static gint64
magnitude_of (const gint8 *x, gsize n)
{
  gint64 sum = 0;

  for (gsize i = 0; i < n; i++)
    sum += ABS ((int) x[i]);
  return sum;
}

static gboolean
all_finite (const float *x, gsize n)
{
  for (gsize i = 0; i < n; i++)
    if (!isfinite (x[i]))
      return FALSE;
  return TRUE;
}

static const float *
floats (const EngineGraph *graph, int value)
{
  return value == ENGINE_NONE ? NULL
                              : g_bytes_get_data (engine_graph_value (graph, value)->data, NULL);
}

/* Of channels with scales of their own; NULL where they have none. */
static const float *
factors_of (const EngineValue *value)
{
  return value->factors ? g_bytes_get_data (value->factors, NULL) : NULL;
}

typedef struct {
  double s_x, zero_x, s_y, zero_y, residual; /* residual: s_r zero_r */
  int lo, hi;                                /* of the output's levels */
  int snaps; /* to fractions whose denominators it divides; 0: does not */
  gboolean matches, whole_bias;
} Folding;

/* Of a channel. */
typedef struct {
  double s_x, s_w, s_y, bias;
  gint64 sum, magnitude; /* of the weights' levels */
} Channel;

static Folding
folding_of (const EngineGraph *graph, const EngineNode *node, gboolean stated)
{
  const EngineQuant *x = &engine_graph_value (graph, node->inputs[ENGINE_CONV_X])->quant;
  const EngineValue *y = engine_graph_value (graph, node->output);
  const int r = node->inputs[ENGINE_CONV_R];
  Folding f = {.s_x = x->scale, .zero_x = x->zero, .s_y = 1};

  if (y->type == ENGINE_TYPE_S8) {
    f.s_y = y->quant.scale;
    f.zero_y = y->quant.zero;
  }
  if (r != ENGINE_NONE) {
    const EngineQuant *quant = &engine_graph_value (graph, r)->quant;
    f.residual = (double) quant->scale * quant->zero;
    f.snaps = stated ? 0 : engine_quantise_simple_denominator (quant->scale / f.s_y);
  }
  /* Floats that a model states are added as floats. */
  f.whole_bias = y->type == ENGINE_TYPE_S8 || !stated;
  if (y->type == ENGINE_TYPE_S8 && r == ENGINE_NONE) {
    f.snaps = !stated;
    f.matches = stated;
    f.lo = engine_quant_level (&y->quant, node->conv.lo);
    f.hi = engine_quant_level (&y->quant, node->conv.hi);
  }
  return f;
}

static void
fold_channel (const Folding *f, const Channel *c, float *m, float *b)
{
  const double exact = c->s_x * c->s_w / c->s_y;
  const double factor = f->snaps ? engine_quantise_snap (exact, f->snaps) : exact;
  const double bias = c->bias / c->s_y / factor;
  const double b_q = f->whole_bias ? rint (bias) : bias;
  const double start = b_q - f->zero_x * c->sum;
  const EngineStatedSums sums = {.factor = (float) c->s_x * (float) c->s_w / (float) c->s_y,
      .start = start,
      .least = b_q - 255.0 * c->magnitude,
      .most = b_q + 255.0 * c->magnitude,
      .zero = (int) f->zero_y,
      .lo = f->lo,
      .hi = f->hi};

  *m = (float) factor;
  /* Times m as it is rounded, so that the rounding tells in acc + b_q only, not in each of them. */
  *b = (float) (start * *m - f->residual / c->s_y + f->zero_y);
  if (f->matches)
    engine_quantise_match (&sums, m, b);
}

static void
replace_constants (EngineGraph *graph, int i, gint8 *w_q, float *m, float *b)
{
  const EngineNode *node = engine_graph_node (graph, i);
  const EngineValue *w = engine_graph_value (graph, node->inputs[ENGINE_CONV_W]);
  const gsize size = engine_value_elements (w);
  const int oc = w->dims[0];
  int dims[4];
  g_autofree char *w_name = g_strconcat (node->name, " w", NULL);
  g_autofree char *m_name = g_strconcat (node->name, " m", NULL);
  g_autofree char *b_name = g_strconcat (node->name, " b", NULL);

  memcpy (dims, w->dims, sizeof dims);

  const int w_value = engine_graph_add_constant (graph, w_name, ENGINE_TYPE_S8, 4, dims,
      g_bytes_new_take (w_q, size));
  const int m_value = engine_graph_add_constant (graph, m_name, ENGINE_TYPE_F32, 1, &oc,
      g_bytes_new_take (m, oc * sizeof (float)));
  const int b_value = engine_graph_add_constant (graph, b_name, ENGINE_TYPE_F32, 1, &oc,
      g_bytes_new_take (b, oc * sizeof (float)));
  int *inputs = engine_graph_node (graph, i)->inputs;

  inputs[ENGINE_CONV_W] = w_value;
  inputs[ENGINE_CONV_M] = m_value;
  inputs[ENGINE_CONV_B] = b_value;
}

gboolean
engine_quantise_conv (EngineGraph *graph, int i, gboolean stated, const float *correction,
    EngineBuildReport *report, GError **error)
{
  const EngineNode *node = engine_graph_node (graph, i);
  const EngineValue *weights = engine_graph_value (graph, node->inputs[ENGINE_CONV_W]);
  const EngineValue *x = engine_graph_value (graph, node->inputs[ENGINE_CONV_X]);
  const EngineValue *y = engine_graph_value (graph, node->output);
  const gsize size = engine_value_elements (weights);
  const int oc = weights->dims[0];
  const gsize of_filter = size / oc;
  const float *w = floats (graph, node->inputs[ENGINE_CONV_W]);
  const float *bias = floats (graph, node->inputs[ENGINE_CONV_B]);
  const Folding f = folding_of (graph, node, stated);
  const float *f_x = factors_of (x), *f_y = factors_of (y);
  const gboolean dense = node->conv.groups == 1; /* else channel k reads channel k */
  g_autofree gint8 *w_q = g_malloc (size);
  g_autofree double *s_w = g_new (double, oc);
  g_autofree float *m = g_new (float, oc), *b = g_new (float, oc);
  int n_anew;

  if (!all_finite (w, size) || (bias && !all_finite (bias, oc))) {
    g_set_error (error, ENGINE_ERROR, ENGINE_ERROR_MODEL,
        "layer '%s' has a weight or bias that is not finite; it cannot be INT8", node->name);
    return FALSE;
  }
  n_anew = engine_quantise_weights (weights, dense ? f_x : NULL, w_q, s_w);
  if (n_anew > 0)
    engine_report_add (&report->refused,
        "layer '%s': %d of %d filters have weights more than 128 levels from their zero point, which "
        "int8 does not hold; they are quantised anew",
        node->name, n_anew, oc);
  for (int k = 0; k < oc; k++) {
    const Channel channel = {.s_x = f.s_x * (f_x && !dense ? (double) f_x[k] : 1),
        .s_w = s_w[k],
        .s_y = f.s_y * (f_y ? (double) f_y[k] : 1),
        .bias = (bias ? (double) bias[k] : 0) + (correction ? correction[k] : 0),
        .sum = sum_of (w_q + k * of_filter, of_filter),
        .magnitude = magnitude_of (w_q + k * of_filter, of_filter)};

    fold_channel (&f, &channel, &m[k], &b[k]);
  }
  if (!all_finite (m, oc) || !all_finite (b, oc)) {
    g_set_error (error, ENGINE_ERROR, ENGINE_ERROR_RANGE,
        "layer '%s': input range %g and output range %g are too far apart for float32; check "
        "their entries in the calibration table",
        node->name, f.s_x * 127, f.s_y * 127);
    return FALSE;
  }
  replace_constants (graph, i, g_steal_pointer (&w_q), g_steal_pointer (&m), g_steal_pointer (&b));
  return TRUE;
}

gboolean
engine_quantise_operand (EngineGraph *graph, int i, GError **error)
{
  const EngineNode *node = engine_graph_node (graph, i);
  const EngineValue *x2 = engine_graph_value (graph, node->inputs[ENGINE_BINARY_X2]);
  const gsize size = engine_value_elements (x2);
  const float *x = g_bytes_get_data (x2->data, NULL);
  double lo = 0, hi = 0;
  gint8 *q;

  if (!all_finite (x, size)) {
    g_set_error (error, ENGINE_ERROR, ENGINE_ERROR_MODEL,
        "layer '%s' has an operand that is not finite; it cannot be INT8", node->name);
    return FALSE;
  }
  for (gsize k = 0; k < size; k++) {
    lo = fmin (lo, x[k]);
    hi = fmax (hi, x[k]);
  }
  const EngineQuant quant = engine_quant_from_range (lo, hi);
  g_autofree char *name = g_strconcat (node->name, " x2", NULL);
  int dims[ENGINE_MAX_RANK];

  memcpy (dims, x2->dims, sizeof dims);
  q = g_malloc (size);
  for (gsize k = 0; k < size; k++)
    q[k] = engine_quant_level (&quant, x[k]);
  const int value = engine_graph_add_constant (graph, name, ENGINE_TYPE_S8, x2->rank, dims,
      g_bytes_new_take (q, size));
  engine_graph_value (graph, value)->quant = quant;
  engine_graph_node (graph, i)->inputs[ENGINE_BINARY_X2] = value;
  return TRUE;
}
