/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* caffe/scale.c: products and sums, with constants or of blobs. */
#include "engine/caffe/net.h"

#include <math.h>
#include <string.h>

/* --- Batch normalisation -------------------------------------------------------------------- */

/* A constant of one number for each channel: f (blob[i], ...). */
static const char *
channels (EngineCaffe *caffe, const EngineCaffeLayer *layer, const char *what, const float *from,
    double factor, double shift, gint64 n)
{
  float *data = g_new (float, n);

  for (gint64 i = 0; i < n; i++)
    data[i] = (float) ((from ? from[i] * factor : 0) + shift);
  g_ptr_array_add (caffe->memory, data);
  return engine_caffe_floats (caffe, layer, what, 1, &n, data);
}

/* The blobs are sums over a moving window, and by what to divide them. */
gboolean
engine_caffe_import_batch_norm (EngineCaffe *caffe, const EngineCaffeLayer *layer, GError **error)
{
  const EngineCaffe__BatchNorm *param = layer->proto->batch_norm_param;
  const EngineCaffeValue *x = layer->bottoms[0];
  const gint64 c = x->rank > 1 ? x->dims[1] : 1, one = 1;
  const float *mean, *variance = NULL, *factor = NULL;
  const char *name, *ones, *zeros, *means, *variances;
  EngineOnnx__NodeProto *node;

  if (param && param->has_use_global_stats && !param->use_global_stats)
    return ENGINE_CAFFE_UNSUPPORTED (
        "use_global_stats is false: it normalises each batch by itself; set it to true");
  mean = engine_caffe_weights (caffe, layer, 0, 1, &c, error);
  if (mean)
    variance = engine_caffe_weights (caffe, layer, 1, 1, &c, error);
  if (variance)
    factor = engine_caffe_weights (caffe, layer, 2, 1, &one, error);
  if (!factor)
    return FALSE;
  const double scale = factor[0] == 0 ? 0 : 1.0 / factor[0];

  name = engine_caffe_top (caffe, layer, 0);
  ones = channels (caffe, layer, "scale", NULL, 0, 1, c);
  zeros = channels (caffe, layer, "shift", NULL, 0, 0, c);
  means = channels (caffe, layer, "mean", mean, scale, 0, c);
  variances = channels (caffe, layer, "variance", variance, scale, 0, c);
  node = engine_caffe_node (caffe, layer, "BatchNormalization", name, x->name, ones, zeros, means,
      variances, NULL);
  engine_onnx_writer_float (caffe->writer, node, "epsilon", param ? param->eps : 1e-5f);
  return engine_caffe_define_same (caffe, layer, name, error);
}

/* --- Scale and bias ------------------------------------------------------------------------- */

/* A blob of weights for axes axis .. axis + num_axes - 1 of the input, with ones for those after
 * them. */
static const char *
broadcast (EngineCaffe *caffe, const EngineCaffeLayer *layer, const char *what, gsize blob,
    gint64 axis, gint64 num_axes, GError **error)
{
  const EngineCaffeValue *x = layer->bottoms[0];
  gint64 dims[ENGINE_CAFFE_MAX_RANK] = {1, 1, 1, 1};
  const float *data;
  int first, n;

  if (!engine_caffe_axis (layer, axis, x->rank, &first, error))
    return NULL;
  n = num_axes < 0 ? x->rank - first : (int) MIN (num_axes, ENGINE_CAFFE_MAX_RANK + 1);
  if (first == 0 && n > 0) {
    ENGINE_CAFFE_UNSUPPORTED ("axis 0: one value for each image of a batch");
    return NULL;
  }
  if (first + n > x->rank) {
    ENGINE_CAFFE_REFUSE ("num_axes is %" G_GINT64_FORMAT " at axis %d of %d", num_axes, first,
        x->rank);
    return NULL;
  }
  memcpy (dims, x->dims + first, n * sizeof *dims);
  data = engine_caffe_weights (caffe, layer, blob, n, dims, error);
  if (!data)
    return NULL;
  return engine_caffe_floats (caffe, layer, what, MAX (x->rank - first, 1), dims, data);
}

/* The second bottom, with ones for the axes that it lacks. */
static const char *
second (EngineCaffe *caffe, const EngineCaffeLayer *layer, gint64 axis, GError **error)
{
  const EngineCaffeValue *x = layer->bottoms[0], *by = layer->bottoms[1];
  gint64 dims[ENGINE_CAFFE_MAX_RANK] = {1, 1, 1, 1};
  const char *name;
  int first;

  if (!engine_caffe_axis (layer, axis, x->rank, &first, error))
    return NULL;
  if (first != 0 || by->rank > x->rank || memcmp (by->dims, x->dims, by->rank * sizeof *dims)) {
    ENGINE_CAFFE_UNSUPPORTED ("two bottoms, at axis %d; the second must have the first axes of the "
                              "first, from axis 0 on",
        first);
    return NULL;
  }
  if (by->rank == x->rank)
    return by->name;
  memcpy (dims, by->dims, by->rank * sizeof *dims);
  name = engine_caffe_inner (caffe, layer, "broadcast");
  engine_caffe_reshape (caffe, layer, by->name, name, x->rank, dims);
  return name;
}

gboolean
engine_caffe_import_scale (EngineCaffe *caffe, const EngineCaffeLayer *layer, GError **error)
{
  const EngineCaffe__Scale standard = ENGINE_CAFFE__SCALE__INIT,
                           *param =
                               layer->proto->scale_param ? layer->proto->scale_param : &standard;
  const gboolean learned = layer->n_bottoms == 1;
  const char *by = learned
                       ? broadcast (caffe, layer, "scale", 0, param->axis, param->num_axes, error)
                       : second (caffe, layer, param->axis, error);
  const char *bias = NULL, *name, *product;

  if (!by)
    return FALSE;
  if (param->bias_term && !learned)
    return ENGINE_CAFFE_UNSUPPORTED ("bias_term with two bottoms");
  if (param->bias_term) {
    bias = broadcast (caffe, layer, "bias", 1, param->axis, param->num_axes, error);
    if (!bias)
      return FALSE;
  }
  name = engine_caffe_top (caffe, layer, 0);
  product = bias ? engine_caffe_inner (caffe, layer, "product") : name;
  engine_caffe_node (caffe, layer, "Mul", product, layer->bottoms[0]->name, by, NULL);
  if (bias)
    engine_caffe_node (caffe, layer, "Add", name, product, bias, NULL);
  return engine_caffe_define_same (caffe, layer, name, error);
}

gboolean
engine_caffe_import_bias (EngineCaffe *caffe, const EngineCaffeLayer *layer, GError **error)
{
  const EngineCaffe__Bias standard = ENGINE_CAFFE__BIAS__INIT,
                          *param = layer->proto->bias_param ? layer->proto->bias_param : &standard;
  const char *by = layer->n_bottoms == 1
                       ? broadcast (caffe, layer, "bias", 0, param->axis, param->num_axes, error)
                       : second (caffe, layer, param->axis, error);
  const char *name;

  if (!by)
    return FALSE;
  name = engine_caffe_top (caffe, layer, 0);
  engine_caffe_node (caffe, layer, "Add", name, layer->bottoms[0]->name, by, NULL);
  return engine_caffe_define_same (caffe, layer, name, error);
}

/* --- Of blobs ------------------------------------------------------------------------------- */

/* Bottom i times its coefficient. */
static const char *
scaled (EngineCaffe *caffe, const EngineCaffeLayer *layer, const EngineCaffe__Eltwise *param,
    gsize i)
{
  const char *x = layer->bottoms[i]->name, *name;

  if (param->n_coeff == 0 || param->coeff[i] == 1)
    return x;
  name = engine_caffe_inner (caffe, layer, "scaled");
  engine_caffe_node (caffe, layer, "Mul", name, x,
      engine_caffe_scalar (caffe, layer, "coeff", param->coeff[i]), NULL);
  return name;
}

static gboolean
check_eltwise (const EngineCaffeLayer *layer, const EngineCaffe__Eltwise *param, GError **error)
{
  const EngineCaffeValue *x = layer->bottoms[0];

  if (param->n_coeff > 0 && param->n_coeff != layer->n_bottoms)
    return ENGINE_CAFFE_REFUSE ("%" G_GSIZE_FORMAT " coefficients for %" G_GSIZE_FORMAT " bottoms",
        param->n_coeff, layer->n_bottoms);
  if (param->n_coeff > 0 && param->operation != ENGINE_CAFFE__ELTWISE__OPERATION__SUM)
    return ENGINE_CAFFE_REFUSE ("coefficients, which sums alone have");
  for (gsize i = 1; i < layer->n_bottoms; i++) {
    const EngineCaffeValue *y = layer->bottoms[i];

    if (y->rank != x->rank || memcmp (y->dims, x->dims, x->rank * sizeof *x->dims))
      return ENGINE_CAFFE_REFUSE ("bottoms \"%s\" and \"%s\" have different shapes",
          layer->proto->bottom[0], layer->proto->bottom[i]);
  }
  return TRUE;
}

gboolean
engine_caffe_import_eltwise (EngineCaffe *caffe, const EngineCaffeLayer *layer, GError **error)
{
  const EngineCaffe__Eltwise standard = ENGINE_CAFFE__ELTWISE__INIT,
                             *param = layer->proto->eltwise_param ? layer->proto->eltwise_param
                                                                  : &standard;
  const char *const op = param->operation == ENGINE_CAFFE__ELTWISE__OPERATION__SUM    ? "Add"
                         : param->operation == ENGINE_CAFFE__ELTWISE__OPERATION__PROD ? "Mul"
                                                                                      : "Max";
  const char *name, *so_far;

  if (!check_eltwise (layer, param, error))
    return FALSE;
  name = engine_caffe_top (caffe, layer, 0);
  so_far = scaled (caffe, layer, param, 0);
  if (layer->n_bottoms == 1)
    engine_caffe_node (caffe, layer, "Identity", name, so_far, NULL);
  for (gsize i = 1; i < layer->n_bottoms; i++) {
    const char *y = i + 1 == layer->n_bottoms ? name : engine_caffe_inner (caffe, layer, "so far");

    engine_caffe_node (caffe, layer, op, y, so_far, scaled (caffe, layer, param, i), NULL);
    so_far = y;
  }
  return engine_caffe_define_same (caffe, layer, name, error);
}

/* --- (shift + scale x) ^ power ---------------------------------------------------------------- */

gboolean
engine_caffe_import_power (EngineCaffe *caffe, const EngineCaffeLayer *layer, GError **error)
{
  const EngineCaffe__Power standard = ENGINE_CAFFE__POWER__INIT,
                           *param =
                               layer->proto->power_param ? layer->proto->power_param : &standard;
  const struct {
    const char *op, *what;
    float by, neutral;
  } steps[] = {{"Mul", "scale", param->scale, 1}, {"Add", "shift", param->shift, 0},
      {"Pow", "power", param->power, 1}};
  const char *x = layer->bottoms[0]->name, *name;
  int last = -1;

  for (int i = 0; i < (int) G_N_ELEMENTS (steps); i++)
    if (steps[i].by != steps[i].neutral)
      last = i;
  name = engine_caffe_top (caffe, layer, 0);
  if (last < 0)
    engine_caffe_node (caffe, layer, "Identity", name, x, NULL);
  for (int i = 0; i <= last; i++) {
    const char *y = i == last ? name : NULL;

    if (steps[i].by == steps[i].neutral)
      continue;
    if (!y)
      y = engine_caffe_inner (caffe, layer, i == 0 ? "scaled" : "shifted");
    engine_caffe_node (caffe, layer, steps[i].op, y, x,
        engine_caffe_scalar (caffe, layer, steps[i].what, steps[i].by), NULL);
    x = y;
  }
  return engine_caffe_define_same (caffe, layer, name, error);
}
