/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * onnx/select.c: comparisons and choices among constants: Expand and Tile (of activations:
 * onnx/broadcast.c), Where, OneHot, Equal, Mod and what else exporters make masks and shapes with. Nothing of it
 * is left in the graph.
 */
#include <math.h>
#include <string.h>

#include "engine/onnx/fold.h"

#define MAX_OPERANDS 3

/* Constants that are broadcast to common dims and read together, element by element. */
typedef struct {
  int n, rank;
  const EngineOnnxConstant *x[MAX_OPERANDS];
  gint64 dims[ENGINE_ONNX_MAX_RANK];
  gint64 stride[MAX_OPERANDS][ENGINE_ONNX_MAX_RANK];
  gint64 at[MAX_OPERANDS], index[ENGINE_ONNX_MAX_RANK];
} Walk;

static const EngineOnnxConstant *
constant_input (EngineOnnx *onnx, const EngineOnnxNode *node, guint i, GError **error)
{
  const EngineOnnxValue *value = engine_onnx_input (onnx, node, i, error);

  if (value && !value->constant)
    ENGINE_ONNX_UNSUPPORTED ("input %u (\"%s\") is computed from the image; constants can be done",
        i, value->name);
  return value ? value->constant : NULL;
}

static gboolean
walk_widen (Walk *walk, int rank, const gint64 *dims)
{
  for (int i = 0; i < rank; i++) {
    gint64 *dim = &walk->dims[walk->rank - rank + i];

    if (*dim != 1 && dims[i] != 1 && dims[i] != *dim)
      return FALSE;
    if (*dim == 1)
      *dim = dims[i];
  }
  return TRUE;
}

/* With the inputs' dims, or, where shape is given, those and the shape's. */
static gboolean
walk_begin (Walk *walk, EngineOnnx *onnx, const EngineOnnxNode *node, int n, int rank,
    const gint64 *shape, GError **error)
{
  gboolean fits = TRUE;

  *walk = (Walk){.n = n, .rank = rank};
  for (int i = 0; i < n; i++) {
    walk->x[i] = constant_input (onnx, node, i, error);
    if (!walk->x[i])
      return FALSE;
    walk->rank = MAX (walk->rank, walk->x[i]->rank);
  }
  for (int i = 0; i < walk->rank; i++)
    walk->dims[i] = 1;
  for (int i = 0; i < n; i++)
    fits = fits && walk_widen (walk, walk->x[i]->rank, walk->x[i]->dims);
  if (!fits || !walk_widen (walk, rank, shape))
    return ENGINE_ONNX_REFUSE ("the shapes of its inputs do not fit");
  for (int i = 0; i < n; i++) {
    const int missing = walk->rank - walk->x[i]->rank;
    gint64 own[ENGINE_ONNX_MAX_RANK];

    engine_onnx_row_strides (walk->x[i]->rank, walk->x[i]->dims, own);
    for (int axis = missing; axis < walk->rank; axis++)
      walk->stride[i][axis] = walk->x[i]->dims[axis - missing] == 1 ? 0 : own[axis - missing];
  }
  return TRUE;
}

static void
walk_next (Walk *walk)
{
  for (int axis = walk->rank - 1; axis >= 0; axis--) {
    const gboolean more = ++walk->index[axis] < walk->dims[axis];

    for (int i = 0; i < walk->n; i++)
      walk->at[i] += walk->stride[i][axis] * (more ? 1 : 1 - walk->dims[axis]);
    if (more)
      return;
    walk->index[axis] = 0;
  }
}

static double
walk_value (const Walk *walk, int i)
{
  return walk->x[i]->f ? engine_onnx_f (walk->x[i], walk->at[i])
                       : (double) engine_onnx_i (walk->x[i], walk->at[i]);
}

/* --- Of one -------------------------------------------------------------------------------- */

gboolean
engine_onnx_import_expand (EngineOnnx *onnx, const EngineOnnxNode *node, GError **error)
{
  EngineOnnxValue *value = engine_onnx_input (onnx, node, 0, error);
  const EngineOnnxConstant *shape = value ? engine_onnx_integers (onnx, node, 1, error) : NULL;
  gint64 dims[ENGINE_ONNX_MAX_RANK];
  EngineOnnxResult result;
  Walk walk;

  if (!shape)
    return FALSE;
  if (shape->n > ENGINE_ONNX_MAX_RANK)
    return ENGINE_ONNX_UNSUPPORTED ("a shape of %" G_GINT64_FORMAT " axes", shape->n);
  if (!value->constant)
    return engine_onnx_expand_activation (onnx, node, value, shape, error);
  for (gint64 i = 0; i < shape->n; i++)
    dims[i] = engine_onnx_i (shape, i);
  if (!walk_begin (&walk, onnx, node, 1, shape->n, dims, error) ||
      !engine_onnx_result_new (onnx, &result, value->constant->f != NULL, walk.rank, walk.dims,
          error))
    return FALSE;
  for (gint64 to = 0; to < result.constant->n; to++, walk_next (&walk))
    engine_onnx_result_copy (&result, to, value->constant, walk.at[0]);
  return engine_onnx_define_constant (onnx, node, result.constant);
}

static gboolean
tile_constant (EngineOnnx *onnx, const EngineOnnxNode *node, const EngineOnnxConstant *x,
    const EngineOnnxConstant *repeats, GError **error)
{
  gint64 dims[ENGINE_ONNX_MAX_RANK], stride[ENGINE_ONNX_MAX_RANK];
  EngineOnnxResult result;

  for (int i = 0; i < x->rank; i++) {
    const gint64 times = engine_onnx_i (repeats, i);

    if (times < 0 || times > ENGINE_MAX_DIM || x->dims[i] > ENGINE_MAX_DIM)
      return ENGINE_ONNX_REFUSE ("axis %d is repeated %" G_GINT64_FORMAT " times", i, times);
    dims[i] = x->dims[i] * times;
  }
  if (!engine_onnx_result_new (onnx, &result, x->f != NULL, x->rank, dims, error))
    return FALSE;
  engine_onnx_row_strides (x->rank, x->dims, stride);
  for (gint64 to = 0; to < result.constant->n; to++) {
    gint64 rest = to, from = 0;

    for (int i = x->rank - 1; i >= 0; rest /= dims[i--])
      from += rest % dims[i] % x->dims[i] * stride[i];
    engine_onnx_result_copy (&result, to, x, from);
  }
  return engine_onnx_define_constant (onnx, node, result.constant);
}

gboolean
engine_onnx_import_tile (EngineOnnx *onnx, const EngineOnnxNode *node, GError **error)
{
  EngineOnnxValue *x = engine_onnx_input (onnx, node, 0, error);
  const EngineOnnxConstant *repeats = x ? engine_onnx_integers (onnx, node, 1, error) : NULL;
  const int rank = !repeats ? 0 : x->constant ? x->constant->rank : x->rank;

  if (!repeats)
    return FALSE;
  if (repeats->n != rank)
    return ENGINE_ONNX_REFUSE ("%" G_GINT64_FORMAT " repeats for %d axes", repeats->n, rank);
  return x->constant ? tile_constant (onnx, node, x->constant, repeats, error)
                     : engine_onnx_tile_activation (onnx, node, x, repeats, error);
}

gboolean
engine_onnx_import_not (EngineOnnx *onnx, const EngineOnnxNode *node, GError **error)
{
  const EngineOnnxConstant *x = engine_onnx_integers (onnx, node, 0, error);
  EngineOnnxResult result;

  if (!x || !engine_onnx_result_new (onnx, &result, FALSE, x->rank, x->dims, error))
    return FALSE;
  for (gint64 i = 0; i < x->n; i++)
    result.i[i] = !engine_onnx_i (x, i);
  return engine_onnx_define_constant (onnx, node, result.constant);
}

/* --- Of two --------------------------------------------------------------------------------- */

/* Integers as exporters use them, dims and indices, are exact in double. */
typedef gint64 (*CompareFn) (double a, double b);

static gboolean
compare (EngineOnnx *onnx, const EngineOnnxNode *node, CompareFn fn, GError **error)
{
  EngineOnnxResult result;
  Walk walk;

  if (!walk_begin (&walk, onnx, node, 2, 0, NULL, error) ||
      !engine_onnx_result_new (onnx, &result, FALSE, walk.rank, walk.dims, error))
    return FALSE;
  for (gint64 to = 0; to < result.constant->n; to++, walk_next (&walk))
    result.i[to] = fn (walk_value (&walk, 0), walk_value (&walk, 1));
  return engine_onnx_define_constant (onnx, node, result.constant);
}

#define COMPARISON(name, expression)                                                               \
  static gint64 name##_of (double a, double b)                                                     \
  {                                                                                                \
    return expression;                                                                             \
  }                                                                                                \
  gboolean engine_onnx_import_##name (EngineOnnx *onnx, const EngineOnnxNode *node,                \
      GError **error)                                                                              \
  {                                                                                                \
    return compare (onnx, node, name##_of, error);                                                 \
  }
COMPARISON (equal, a == b)
COMPARISON (greater, a > b)
COMPARISON (greater_or_equal, a >= b)
COMPARISON (less, a < b)
COMPARISON (less_or_equal, a <= b)
COMPARISON (and, a != 0 && b != 0)
COMPARISON (or, a != 0 || b != 0)

/* The remainder has the divisor's sign; with fmod, and of floats, the dividend's. */
gboolean
engine_onnx_import_mod (EngineOnnx *onnx, const EngineOnnxNode *node, GError **error)
{
  EngineOnnxResult result;
  gint64 truncated;
  Walk walk;

  if (!engine_onnx_int (node, "fmod", 0, &truncated, error) ||
      !walk_begin (&walk, onnx, node, 2, 0, NULL, error))
    return FALSE;
  if (walk.x[0]->f || walk.x[1]->f)
    return ENGINE_ONNX_UNSUPPORTED ("floats; integers can be done");
  if (!engine_onnx_result_new (onnx, &result, FALSE, walk.rank, walk.dims, error))
    return FALSE;
  for (gint64 to = 0; to < result.constant->n; to++, walk_next (&walk)) {
    const gint64 a = engine_onnx_i (walk.x[0], walk.at[0]);
    const gint64 b = engine_onnx_i (walk.x[1], walk.at[1]);

    if (b == 0 || b == -1) { /* G_MININT64 % -1 overflows */
      if (b == 0) {
        engine_onnx_constant_unref (result.constant);
        return ENGINE_ONNX_REFUSE ("a division by zero");
      }
      result.i[to] = 0;
      continue;
    }
    result.i[to] = a % b;
    if (!truncated && result.i[to] != 0 && (result.i[to] < 0) != (b < 0))
      result.i[to] += b;
  }
  return engine_onnx_define_constant (onnx, node, result.constant);
}

/* --- Of three ------------------------------------------------------------------------------- */

gboolean
engine_onnx_import_where (EngineOnnx *onnx, const EngineOnnxNode *node, GError **error)
{
  EngineOnnxResult result;
  Walk walk;

  if (!walk_begin (&walk, onnx, node, 3, 0, NULL, error))
    return FALSE;
  if (!walk.x[1]->f != !walk.x[2]->f)
    return ENGINE_ONNX_REFUSE ("integers and floats");
  if (!engine_onnx_result_new (onnx, &result, walk.x[1]->f != NULL, walk.rank, walk.dims, error))
    return FALSE;
  for (gint64 to = 0; to < result.constant->n; to++, walk_next (&walk)) {
    const int chosen = walk_value (&walk, 0) != 0 ? 1 : 2;

    engine_onnx_result_copy (&result, to, walk.x[chosen], walk.at[chosen]);
  }
  return engine_onnx_define_constant (onnx, node, result.constant);
}

/* --- OneHot --------------------------------------------------------------------------------- */

/* Inputs: indices, how many values there are of them, and what stands for the others and for the one. */
gboolean
engine_onnx_import_one_hot (EngineOnnx *onnx, const EngineOnnxNode *node, GError **error)
{
  const EngineOnnxConstant *x = engine_onnx_integers (onnx, node, 0, error);
  const EngineOnnxConstant *depth = x ? engine_onnx_integers (onnx, node, 1, error) : NULL;
  const EngineOnnxConstant *values = depth ? constant_input (onnx, node, 2, error) : NULL;
  gint64 attribute, dims[ENGINE_ONNX_MAX_RANK + 1], n, inner = 1;
  EngineOnnxResult result;
  int axis;

  if (!values || !engine_onnx_int (node, "axis", -1, &attribute, error) ||
      !engine_onnx_axis (node, attribute, x->rank + 1, &axis, error))
    return FALSE;
  if (depth->n != 1 || values->n != 2)
    return ENGINE_ONNX_REFUSE ("%" G_GINT64_FORMAT " depths and %" G_GINT64_FORMAT
                               " values; one and two are needed",
        depth->n, values->n);
  n = engine_onnx_i (depth, 0);
  if (n < 1 || n > ENGINE_MAX_DIM)
    return ENGINE_ONNX_REFUSE ("a depth of %" G_GINT64_FORMAT, n);
  for (int i = 0; i <= x->rank; i++) {
    dims[i] = i == axis ? n : x->dims[i - (i > axis)];
    inner *= i > axis ? dims[i] : 1;
  }
  if (!engine_onnx_result_new (onnx, &result, values->f != NULL, x->rank + 1, dims, error))
    return FALSE;
  for (gint64 to = 0; to < result.constant->n; to++) {
    const gint64 at = engine_onnx_i (x, to / inner / n * inner + to % inner);

    engine_onnx_result_copy (&result, to, values, (at < 0 ? at + n : at) == to / inner % n);
  }
  return engine_onnx_define_constant (onnx, node, result.constant);
}
