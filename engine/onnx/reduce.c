/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * onnx/reduce.c: sums, norms and pools of powers as means of powers: each is what the ops that it is
 * made of say.
 */
#include "engine/onnx/import.h"
#include "engine/onnx/levels.h"

const char *
engine_onnx_between (EngineOnnx *onnx)
{
  /* No name of a model has a control character. */
  char *name = g_strdup_printf ("\001%u", onnx->texts->len);

  g_ptr_array_add (onnx->texts, name);
  return name;
}

static gint64
elements (EngineOnnx *onnx, const char *name)
{
  const EngineOnnxValue *value = g_hash_table_lookup (onnx->values, name);
  gint64 n = 1;

  if (value && value->constant)
    return value->constant->n;
  for (int i = 0; value && i < value->rank; i++)
    n *= value->dims[i];
  return n;
}

/* output = input * factor */
static gboolean
scale (EngineOnnx *onnx, const EngineOnnxNode *node, const char *input, double factor,
    const char *output, GError **error)
{
  float *f;
  EngineOnnxConstant *constant = engine_onnx_new_floats (onnx, 0, NULL, FALSE, &f, error);
  const char *inputs[2] = {input};

  if (!constant)
    return FALSE;
  f[0] = factor;
  inputs[1] = engine_onnx_between (onnx);
  engine_onnx_new_value (onnx, inputs[1])->constant = constant;
  return engine_onnx_import_as (onnx, node, engine_onnx_import_mul, inputs, 2, output, error);
}

/* p 1: of the values themselves, or `absolute`; p 2: of their squares, and the root of the result. Sums
 * are means times how many there are: `count`, or, 0, as many as the shapes tell. */
static gboolean
mean_of_powers (EngineOnnx *onnx, const EngineOnnxNode *node, EngineOnnxImportFn mean, int p,
    gboolean absolute, gboolean root, gint64 count, GError **error)
{
  const char *result = node->proto->output[0], *x = node->proto->input[0];
  const char *inputs[2] = {x, node->proto->n_input > 1 ? node->proto->input[1] : NULL};
  const char *power = p == 2 || absolute ? engine_onnx_between (onnx) : x;
  const char *mean_name = engine_onnx_between (onnx),
             *sum = root ? engine_onnx_between (onnx) : result;

  if (p == 2 && !engine_onnx_import_as (onnx, node, engine_onnx_import_mul,
                    (const char *const[]){x, x}, 2, power, error))
    return FALSE;
  if (p == 1 && absolute &&
      !engine_onnx_import_as (onnx, node, engine_onnx_import_abs, &x, 1, power, error))
    return FALSE;
  inputs[0] = power;
  if (!engine_onnx_import_as (onnx, node, mean, inputs, node->proto->n_input, mean_name, error))
    return FALSE;
  if (count == 0)
    count = elements (onnx, power) / MAX (elements (onnx, mean_name), 1);
  if (!scale (onnx, node, mean_name, count, sum, error))
    return FALSE;
  return !root ||
         engine_onnx_import_as (onnx, node, engine_onnx_import_sqrt, &sum, 1, result, error);
}

gboolean
engine_onnx_import_reduce_sum (EngineOnnx *onnx, const EngineOnnxNode *node, GError **error)
{
  return mean_of_powers (onnx, node, engine_onnx_import_reduce_mean, 1, FALSE, FALSE, 0, error);
}

gboolean
engine_onnx_import_reduce_l1 (EngineOnnx *onnx, const EngineOnnxNode *node, GError **error)
{
  return mean_of_powers (onnx, node, engine_onnx_import_reduce_mean, 1, TRUE, FALSE, 0, error);
}

gboolean
engine_onnx_import_reduce_l2 (EngineOnnx *onnx, const EngineOnnxNode *node, GError **error)
{
  return mean_of_powers (onnx, node, engine_onnx_import_reduce_mean, 2, FALSE, TRUE, 0, error);
}

gboolean
engine_onnx_import_reduce_sum_square (EngineOnnx *onnx, const EngineOnnxNode *node, GError **error)
{
  return mean_of_powers (onnx, node, engine_onnx_import_reduce_mean, 2, FALSE, FALSE, 0, error);
}

static gboolean
read_p (const EngineOnnxNode *node, gint64 *p, GError **error)
{
  if (!engine_onnx_int (node, "p", 2, p, error))
    return FALSE;
  return *p == 1 || *p == 2 ||
         ENGINE_ONNX_UNSUPPORTED ("p is %" G_GINT64_FORMAT "; 1 and 2 can be done", *p);
}

gboolean
engine_onnx_import_global_lp_pool (EngineOnnx *onnx, const EngineOnnxNode *node, GError **error)
{
  gint64 p;

  return read_p (node, &p, error) &&
         mean_of_powers (onnx, node, engine_onnx_import_global_averagepool, p, TRUE, p == 2, 0,
             error);
}

gboolean
engine_onnx_import_lp_pool (EngineOnnx *onnx, const EngineOnnxNode *node, GError **error)
{
  EngineOnnxValue *x = engine_onnx_activation (onnx, node, 0, error);
  EngineOnnxWindow w;
  gint64 p;

  if (!x || !read_p (node, &p, error) || !engine_onnx_window (node, x, NULL, &w, error))
    return FALSE;
  if (w.before[0] || w.before[1] || w.after[0] || w.after[1])
    return ENGINE_ONNX_UNSUPPORTED ("padding");
  return mean_of_powers (onnx, node, engine_onnx_import_averagepool, p, TRUE, p == 2,
      (gint64) w.kernel[0] * w.kernel[1], error);
}
