/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* caffe/unary.c: activations, normalisation across channels, softmax, and what changes nothing. */
#include "engine/caffe/net.h"

#include <string.h>

/* A node with an attribute of floats, or none. */
static gboolean
add_unary (EngineCaffe *caffe, const EngineCaffeLayer *layer, const char *op, const char *attribute,
    float value, GError **error)
{
  const char *name = engine_caffe_top (caffe, layer, 0);
  EngineOnnx__NodeProto *node =
      engine_caffe_node (caffe, layer, op, name, layer->bottoms[0]->name, NULL);

  if (attribute)
    engine_onnx_writer_float (caffe->writer, node, attribute, value);
  return engine_caffe_define_same (caffe, layer, name, error);
}

gboolean
engine_caffe_import_relu (EngineCaffe *caffe, const EngineCaffeLayer *layer, GError **error)
{
  const EngineCaffe__Relu *param = layer->proto->relu_param;

  if (param && param->negative_slope != 0)
    return add_unary (caffe, layer, "LeakyRelu", "alpha", param->negative_slope, error);
  return add_unary (caffe, layer, "Relu", NULL, 0, error);
}

gboolean
engine_caffe_import_elu (EngineCaffe *caffe, const EngineCaffeLayer *layer, GError **error)
{
  const EngineCaffe__Elu *param = layer->proto->elu_param;

  return add_unary (caffe, layer, "Elu", "alpha", param ? param->alpha : 1, error);
}

gboolean
engine_caffe_import_sigmoid (EngineCaffe *caffe, const EngineCaffeLayer *layer, GError **error)
{
  return add_unary (caffe, layer, "Sigmoid", NULL, 0, error);
}

gboolean
engine_caffe_import_tanh (EngineCaffe *caffe, const EngineCaffeLayer *layer, GError **error)
{
  return add_unary (caffe, layer, "Tanh", NULL, 0, error);
}

gboolean
engine_caffe_import_prelu (EngineCaffe *caffe, const EngineCaffeLayer *layer, GError **error)
{
  const EngineCaffe__Prelu *param = layer->proto->prelu_param;
  const EngineCaffeValue *x = layer->bottoms[0];
  const gint64 channels = param && param->channel_shared ? 1 : x->rank > 1 ? x->dims[1] : 1;
  const gint64 dims[] = {channels, 1, 1};
  const float *slopes = engine_caffe_weights (caffe, layer, 0, 1, &channels, error);
  const char *name;

  if (!slopes)
    return FALSE;
  name = engine_caffe_top (caffe, layer, 0);
  engine_caffe_node (caffe, layer, "PRelu", name, x->name,
      engine_caffe_floats (caffe, layer, "slope", MAX (x->rank - 1, 1), dims, slopes), NULL);
  return engine_caffe_define_same (caffe, layer, name, error);
}

/* Caffe divides alpha by the size as ONNX does. */
gboolean
engine_caffe_import_lrn (EngineCaffe *caffe, const EngineCaffeLayer *layer, GError **error)
{
  const EngineCaffe__Lrn standard = ENGINE_CAFFE__LRN__INIT,
                         *param = layer->proto->lrn_param ? layer->proto->lrn_param : &standard;
  EngineOnnx__NodeProto *node;
  const char *name;

  if (param->norm_region != ENGINE_CAFFE__LRN__REGION__ACROSS_CHANNELS)
    return ENGINE_CAFFE_UNSUPPORTED ("norm_region WITHIN_CHANNEL; ACROSS_CHANNELS can be done");
  if (param->local_size < 1 || param->local_size > 65535 || param->local_size % 2 == 0)
    return ENGINE_CAFFE_REFUSE ("local_size is %" G_GINT64_FORMAT "; an odd number is needed",
        param->local_size);
  name = engine_caffe_top (caffe, layer, 0);
  node = engine_caffe_node (caffe, layer, "LRN", name, layer->bottoms[0]->name, NULL);
  engine_onnx_writer_int (caffe->writer, node, "size", param->local_size);
  engine_onnx_writer_float (caffe->writer, node, "alpha", param->alpha);
  engine_onnx_writer_float (caffe->writer, node, "beta", param->beta);
  engine_onnx_writer_float (caffe->writer, node, "bias", param->k);
  return engine_caffe_define_same (caffe, layer, name, error);
}

/* Of a loss it is what the loss is of. */
gboolean
engine_caffe_import_softmax (EngineCaffe *caffe, const EngineCaffeLayer *layer, GError **error)
{
  const EngineCaffe__Softmax *param = layer->proto->softmax_param;
  const EngineCaffeValue *x = layer->bottoms[0];
  const char *name;
  int axis;

  if (!engine_caffe_axis (layer, param ? param->axis : 1, x->rank, &axis, error))
    return FALSE;
  name = engine_caffe_top (caffe, layer, 0);
  engine_onnx_writer_int (caffe->writer,
      engine_caffe_node (caffe, layer, "Softmax", name, x->name, NULL), "axis", axis);
  return engine_caffe_define_same (caffe, layer, name, error);
}

gboolean
engine_caffe_import_dropout (EngineCaffe *caffe, const EngineCaffeLayer *layer, GError **error)
{
  const EngineCaffeValue *x = layer->bottoms[0];
  const char *name;

  if (layer->proto->n_top > 0 && strcmp (layer->proto->top[0], layer->proto->bottom[0]) == 0)
    return engine_caffe_define_same (caffe, layer, x->name, error);
  name = engine_caffe_top (caffe, layer, 0);
  engine_caffe_node (caffe, layer, "Identity", name, x->name, NULL);
  return engine_caffe_define_same (caffe, layer, name, error);
}

gboolean
engine_caffe_import_split (EngineCaffe *caffe, const EngineCaffeLayer *layer, GError **error)
{
  const EngineCaffeValue *x = layer->bottoms[0];

  for (gsize i = 0; i < layer->proto->n_top; i++) {
    const char *name = engine_caffe_top (caffe, layer, i);

    engine_caffe_node (caffe, layer, "Identity", name, x->name, NULL);
    if (!engine_caffe_define (caffe, layer, i, name, x->rank, x->dims, error))
      return FALSE;
  }
  return TRUE;
}
