/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * export/qdq-exact.c: layers in ops of integers and doubles that round where our engine rounds, and
 * nowhere else (docs/NUMERICS.md). A product of an int32 and a float is exact in double, and the sum is
 * rounded at 2^-53 before it becomes a float: fmaf, but for one case in 2^29.
 *
 * Whatever adds to the file is a statement of its own: compilers evaluate arguments in orders of their own,
 * and would number names differently.
 */
#include "engine/export/qdq.h"

#include "engine/quant.h"
#include "kernels/requant.h"

const char *
engine_export_levels (const EngineExport *x, const char *tensor)
{
  return x->rules.exact ? g_hash_table_lookup (x->levels, tensor) : NULL;
}

const char *
engine_export_cast (EngineExport *x, int value, const char *tensor, int type, const char *output)
{
  EngineOnnx__NodeProto *node;

  if (!output)
    output = engine_export_name (x, value, "_double");
  node = engine_export_op (x, "Cast", tensor, NULL, output);
  engine_onnx_writer_int (x->writer, node, "to", type);
  return output;
}

const char *
engine_export_doubles (EngineExport *x, int value, const double *data, int n, int n_spatial)
{
  const char *name = engine_export_name (x, value, "_constant");
  const int dims[1 + ENGINE_MAX_RANK] = {n, 1, 1, 1, 1};

  engine_onnx_writer_tensor (x->writer, name, ENGINE_ONNX_DOUBLE, n_spatial < 0 ? 0 : 1 + n_spatial,
      dims, g_memdup2 (data, n * sizeof (double)), n * sizeof (double));
  return name;
}

static const char *
scalar (EngineExport *x, int value, double number)
{
  return engine_export_doubles (x, value, &number, 1, -1);
}

const char *
engine_export_fma (EngineExport *x, int value, const char *a, const char *m, const char *b,
    const char *output)
{
  const char *product = engine_export_name (x, value, "_product");
  const char *sum = engine_export_name (x, value, "_double");

  engine_export_op (x, "Mul", a, m, product);
  engine_export_op (x, "Add", product, b, sum);
  return engine_export_cast (x, value, sum, ENGINE_ONNX_FLOAT,
      output ? output : engine_export_name (x, value, "_t"));
}

/* Levels, which are uint8, less a number. */
static const char *
less (EngineExport *x, int value, const char *levels, int number)
{
  const char *shifted = engine_export_name (x, value, "_shifted");
  const char *cast = engine_export_cast (x, value, levels, ENGINE_ONNX_DOUBLE, NULL);
  const char *by = scalar (x, value, number);

  engine_export_op (x, "Sub", cast, by, shifted);
  return shifted;
}

const char *
engine_export_fma_levels (EngineExport *x, int value, const char *levels, float m, const char *t)
{
  const char *addend = engine_export_cast (x, value, t, ENGINE_ONNX_DOUBLE, NULL);
  const char *shifted = less (x, value, levels, 128), *factor = scalar (x, value, m);

  return engine_export_fma (x, value, shifted, factor, addend, NULL);
}

const char *
engine_export_requantised (EngineExport *x, int value, const char *t, int lo, int hi)
{
  const EngineQuant one = {.scale = 1};

  if (lo > -128 || hi < 127) {
    const char *clamped = engine_export_name (x, value, "_clamped");

    engine_export_clamp (x, t, (float) lo, (float) hi, clamped);
    t = clamped;
  }
  return engine_export_pair_of (x, value, t, &one, &engine_graph_value (x->graph, value)->quant,
      "_exact");
}

/* --- Sums and products ---------------------------------------------------------------------- */

const char *
engine_export_exact_binary (EngineExport *x, const EngineNode *node, const char *a, const char *b)
{
  const EngineQuant *x1 = &engine_graph_value (x->graph, node->inputs[0])->quant;
  const EngineQuant *x2 = &engine_graph_value (x->graph, node->inputs[1])->quant;
  const EngineValue *y = engine_graph_value (x->graph, node->output);
  const char *u1 = engine_export_levels (x, a), *u2 = engine_export_levels (x, b), *t;

  if (!u1 || !u2 || y->type != ENGINE_TYPE_S8)
    return NULL;
  if (node->op == ENGINE_OP_ADD) {
    const EngineQuantSum sum = engine_quant_sum (x1, x2, &y->quant);
    const char *shifted = less (x, node->output, u2, 128);
    const char *m2 = scalar (x, node->output, sum.m2), *b2 = scalar (x, node->output, sum.b);

    t = engine_export_fma (x, node->output, shifted, m2, b2, NULL);
    t = engine_export_fma_levels (x, node->output, u1, sum.m1, t);
  } else {
    const char *product = engine_export_name (x, node->output, "_levels");
    const char *shifted1 = less (x, node->output, u1, x1->zero + 128);
    const char *shifted2 = less (x, node->output, u2, x2->zero + 128);
    const float m = (float) ((double) x1->scale / y->quant.scale * x2->scale);
    const char *factor = scalar (x, node->output, m);
    const char *zero = scalar (x, node->output, y->quant.zero);

    engine_export_op (x, "Mul", shifted1, shifted2, product);
    t = engine_export_fma (x, node->output, product, factor, zero, NULL);
  }
  return engine_export_requantised (x, node->output, t,
      engine_quant_level (&y->quant, node->binary.lo),
      engine_quant_level (&y->quant, node->binary.hi));
}

/* --- Pools ---------------------------------------------------------------------------------- */

const char *
engine_export_exact_average (EngineExport *x, const EngineNode *node, const EngineExportForm *form,
    const char *result)
{
  const EngineValue *in = engine_graph_value (x->graph, node->inputs[0]);
  const EngineValue *y = engine_graph_value (x->graph, node->output);
  const char *levels = engine_export_levels (x, form->tensor);
  const char *sum, *shifted, *along, *factor, *addend, *t;
  const gboolean s8 = y->type == ENGINE_TYPE_S8;
  const int axes[2] = {2, 3}, pixels = node->pool.kh * node->pool.kw;
  float m, b;

  if (!levels)
    return NULL;
  kernel_requant_average (in->quant.scale / (s8 ? (double) y->quant.scale : 1), pixels, pixels,
      in->quant.zero, s8 ? y->quant.zero : 0, &m, &b);
  sum = engine_export_name (x, node->output, "_sum");
  shifted = less (x, node->output, levels, 128);
  along = engine_export_int64s (x, engine_export_name (x, node->output, "_axes"), axes,
      form->n_spatial);
  engine_export_op (x, "ReduceSum", shifted, along, sum);
  factor = scalar (x, node->output, m);
  addend = scalar (x, node->output, b);
  t = engine_export_fma (x, node->output, sum, factor, addend, s8 ? NULL : result);
  return s8 ? engine_export_requantised (x, node->output, t, -128, 127) : t;
}
