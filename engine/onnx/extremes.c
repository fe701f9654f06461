/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * onnx/extremes.c: Clip, Min, Max and PRelu. With one number they are functions of a value; with one a
 * channel, or another activation, sums with the part of a difference that is positive:
 *
 *     max (x, y) = y + max (x - y, 0)        PRelu (x) = max (x, 0) + slope * min (x, 0)
 */
#include <float.h>
#include <math.h>

#include "engine/onnx/fold.h"
#include "engine/onnx/levels.h"

/* Attributes before opset 11, inputs since. */
static gboolean
clip_bound (EngineOnnx *onnx, const EngineOnnxNode *node, const char *attribute, guint input,
    float otherwise, float *value, GError **error)
{
  if (engine_onnx_has_input (node, input))
    return engine_onnx_scalar (onnx, node, input, value, error);
  return engine_onnx_float (node, attribute, otherwise, value, error);
}

gboolean
engine_onnx_import_clip (EngineOnnx *onnx, const EngineOnnxNode *node, GError **error)
{
  float lo, hi;

  if (!clip_bound (onnx, node, "min", 1, -INFINITY, &lo, error) ||
      !clip_bound (onnx, node, "max", 2, INFINITY, &hi, error))
    return FALSE;
  lo = lo <= -FLT_MAX ? -INFINITY : lo;
  hi = hi >= FLT_MAX ? INFINITY : hi;
  if (!(lo <= hi))
    return ENGINE_ONNX_REFUSE ("min is %g and max %g", lo, hi);
  return engine_onnx_unary (onnx, node, KERNEL_UNARY_CLIP, lo, hi, error);
}

/* --- Min, Max -------------------------------------------------------------------------------- */

static gboolean
fold_extreme (EngineOnnx *onnx, const EngineOnnxNode *node, gboolean max, GError **error)
{
  const EngineOnnxConstant *x = engine_onnx_input (onnx, node, 0, error)->constant;
  EngineOnnxResult result;

  if (!engine_onnx_result_new (onnx, &result, x->f != NULL, x->rank, x->dims, error))
    return FALSE;
  for (guint k = 0; k < node->proto->n_input; k++) {
    const EngineOnnxConstant *next = engine_onnx_input (onnx, node, k, error)->constant;

    if (!next->f != !x->f || (next->n != x->n && next->n != 1)) {
      engine_onnx_constant_unref (result.constant);
      return ENGINE_ONNX_UNSUPPORTED ("constants of other shapes or types than the first");
    }
    for (gint64 i = 0; i < x->n; i++) {
      const gint64 j = next->n == 1 ? 0 : i;

      if (x->f && (k == 0 || (engine_onnx_f (next, j) > result.f[i]) == max))
        result.f[i] = engine_onnx_f (next, j);
      if (x->i && (k == 0 || (engine_onnx_i (next, j) > result.i[i]) == max))
        result.i[i] = engine_onnx_i (next, j);
    }
  }
  return engine_onnx_define_constant (onnx, node, result.constant);
}

/* An activation and a number. */
static gboolean
with_number (EngineOnnx *onnx, const EngineOnnxNode *node, EngineOnnxValue *x, float number,
    gboolean max, GError **error)
{
  const EngineOnnxStorage storage = engine_onnx_storage (onnx, x);
  const int stored = engine_onnx_stored (onnx, node, x, storage, error);

  return stored != ENGINE_NONE && engine_onnx_define (onnx, node, 0,
                                      engine_onnx_add_unary (onnx, node, stored, KERNEL_UNARY_CLIP,
                                          max ? number : -INFINITY, max ? INFINITY : number, error),
                                      storage);
}

/* y + clip (x - y) of two graph values of equal dims. */
static int
extreme_of (EngineOnnx *onnx, const EngineOnnxNode *node, int x, int y, gboolean max,
    GError **error)
{
  int minus = engine_onnx_add_uniform_affine (onnx, node, y, -1, error), sum, part;

  if (minus == ENGINE_NONE)
    return ENGINE_NONE;
  sum = engine_onnx_infer (onnx, node,
      engine_onnx_add (onnx, node, ENGINE_OP_ADD, 0, (int[]){x, minus}, 2), error);
  if (sum == ENGINE_NONE)
    return ENGINE_NONE;
  part = engine_onnx_add_unary (onnx, node, sum, KERNEL_UNARY_CLIP, max ? 0 : -INFINITY,
      max ? INFINITY : 0, error);
  return part == ENGINE_NONE
             ? ENGINE_NONE
             : engine_onnx_infer (onnx, node,
                   engine_onnx_add (onnx, node, ENGINE_OP_ADD, 0, (int[]){part, y}, 2), error);
}

static gboolean
of_activations (EngineOnnx *onnx, const EngineOnnxNode *node, EngineOnnxValue *a, gboolean max,
    GError **error)
{
  const EngineOnnxStorage storage = engine_onnx_storage (onnx, a);
  int result = engine_onnx_stored (onnx, node, a, storage, error);

  for (guint i = 1; i < node->proto->n_input && result != ENGINE_NONE; i++) {
    EngineOnnxValue *b = engine_onnx_activation (onnx, node, i, error);
    const int y = b ? engine_onnx_stored (onnx, node, b, storage, error) : ENGINE_NONE;

    if (y == ENGINE_NONE)
      return FALSE;
    result = extreme_of (onnx, node, result, y, max, error);
  }
  if (result == ENGINE_NONE)
    return FALSE;
  engine_graph_rename (onnx->graph, result, node->proto->output[0]);
  return engine_onnx_define (onnx, node, 0, result, storage);
}

/* The part of input 0 that is above 0, and the one below. */
static gboolean
positive_part (EngineOnnx *onnx, const EngineOnnxNode *node, GError **error)
{
  return engine_onnx_unary (onnx, node, KERNEL_UNARY_CLIP, 0, INFINITY, error);
}

static gboolean
negative_part (EngineOnnx *onnx, const EngineOnnxNode *node, GError **error)
{
  return engine_onnx_unary (onnx, node, KERNEL_UNARY_CLIP, -INFINITY, 0, error);
}

/* Input `of`, the only activation, and one constant of any shape: k + part of (x - k). */
static gboolean
with_constant (EngineOnnx *onnx, const EngineOnnxNode *node, guint of, gboolean max, GError **error)
{
  const char *x = node->proto->input[of], *k = node->proto->input[1 - of];
  const char *difference = engine_onnx_between (onnx), *part = engine_onnx_between (onnx);

  return engine_onnx_import_as (onnx, node, engine_onnx_import_sub, (const char *[]){x, k}, 2,
             difference, error) &&
         engine_onnx_import_as (onnx, node, max ? positive_part : negative_part, &difference, 1,
             part, error) &&
         engine_onnx_import_as (onnx, node, engine_onnx_import_add, (const char *[]){part, k}, 2,
             node->proto->output[0], error);
}

static gboolean
import_extreme (EngineOnnx *onnx, const EngineOnnxNode *node, gboolean max, GError **error)
{
  EngineOnnxValue *x = NULL;
  const EngineOnnxConstant *number = NULL;
  guint activations = 0;

  for (guint i = 0; i < node->proto->n_input; i++) {
    EngineOnnxValue *value = engine_onnx_input (onnx, node, i, error);

    if (!value)
      return FALSE;
    activations += !value->constant;
    x = value->constant ? x : value;
    number = value->constant ? value->constant : number;
  }
  if (activations == 0)
    return fold_extreme (onnx, node, max, error);
  if (activations == 1 && node->proto->n_input == 1)
    return engine_onnx_define_alias (onnx, node, x);
  if (activations == 1 && node->proto->n_input == 2 && number->n == 1 && number->f)
    return with_number (onnx, node, x, engine_onnx_f (number, 0), max, error);
  if (activations == 1 && node->proto->n_input == 2 && number->f)
    return with_constant (onnx, node, engine_onnx_input (onnx, node, 0, error) != x, max, error);
  if (activations < node->proto->n_input)
    return ENGINE_ONNX_UNSUPPORTED ("constants among more than two inputs");
  return of_activations (onnx, node, engine_onnx_input (onnx, node, 0, error), max, error);
}

gboolean
engine_onnx_import_max (EngineOnnx *onnx, const EngineOnnxNode *node, GError **error)
{
  return import_extreme (onnx, node, TRUE, error);
}

gboolean
engine_onnx_import_min (EngineOnnx *onnx, const EngineOnnxNode *node, GError **error)
{
  return import_extreme (onnx, node, FALSE, error);
}

/* --- PRelu ----------------------------------------------------------------------------------- */

/* slope * min (x, 0) + max (x, 0), the slopes along the last axis of a storage; takes them. */
static gboolean
prelu (EngineOnnx *onnx, const EngineOnnxNode *node, EngineOnnxValue *x, EngineOnnxStorage storage,
    float *slopes, GError **error)
{
  const int stored = engine_onnx_stored (onnx, node, x, storage, error);
  int positive, negative, sum;

  if (stored == ENGINE_NONE) {
    g_free (slopes);
    return FALSE;
  }
  positive = engine_onnx_add_unary (onnx, node, stored, KERNEL_UNARY_CLIP, 0, INFINITY, error);
  negative = engine_onnx_add_unary (onnx, node, stored, KERNEL_UNARY_CLIP, -INFINITY, 0, error);
  if (positive == ENGINE_NONE || negative == ENGINE_NONE) {
    g_free (slopes);
    return FALSE;
  }
  negative = engine_onnx_add_affine (onnx, node, negative, slopes, NULL, error);
  if (negative == ENGINE_NONE)
    return FALSE;
  sum = engine_onnx_infer (onnx, node,
      engine_onnx_add (onnx, node, ENGINE_OP_ADD, 0, (int[]){negative, positive}, 2), error);
  if (sum == ENGINE_NONE)
    return FALSE;
  engine_graph_rename (onnx->graph, sum, node->proto->output[0]);
  return engine_onnx_define (onnx, node, 0, sum, storage);
}

/* The slope may be one number, or one a channel: [c], as some exporters write, or [c 1 1]. */
gboolean
engine_onnx_import_prelu (EngineOnnx *onnx, const EngineOnnxNode *node, GError **error)
{
  EngineOnnxValue *x = engine_onnx_activation (onnx, node, 0, error);
  const EngineOnnxConstant *slope = x ? engine_onnx_floats (onnx, node, 1, error) : NULL;
  gboolean uniform = TRUE;
  float *slopes;
  int axis;

  if (!slope)
    return FALSE;
  for (gint64 i = 1; i < slope->n; i++)
    uniform = uniform && engine_onnx_f (slope, i) == engine_onnx_f (slope, 0);
  if (uniform && slope->n > 0)
    return engine_onnx_unary (onnx, node, KERNEL_UNARY_LEAKY_RELU, engine_onnx_f (slope, 0), 0,
        error);
  axis = slope->rank < x->rank && slope->dims[0] == x->dims[1] && x->rank > 1 ? 1 : x->rank - 1;
  if (slope->n != x->dims[axis] ||
      (axis == 1 && !engine_onnx_may_be_channels_last (x) && x->rank > 2))
    return ENGINE_ONNX_UNSUPPORTED (
        "the slope has %" G_GINT64_FORMAT " values; one, or one a channel, can be done", slope->n);
  slopes = engine_onnx_alloc (onnx, slope->n, sizeof (float), error);
  if (!slopes)
    return FALSE;
  for (gint64 i = 0; i < slope->n; i++)
    slopes[i] = engine_onnx_f (slope, i);
  return prelu (onnx, node, x, axis == 1 ? ENGINE_ONNX_CHANNELS_LAST : ENGINE_ONNX_PLAIN, slopes,
      error);
}
