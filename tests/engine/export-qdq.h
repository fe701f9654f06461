/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * export-qdq.h: an INT8 engine of a graph, exported and read back.
 */
#pragma once

#include "engine/onnx/onnx.pb-c.h"
#include "engine/onnx/write.h"
#include "tests/engine/quantised.h"

typedef EngineOnnx__ModelProto OnnxModel;

static inline OnnxModel *
onnx_unpack (GBytes *bytes)
{
  OnnxModel *model = bytes ? engine_onnx__model_proto__unpack (NULL, g_bytes_get_size (bytes),
                                 g_bytes_get_data (bytes, NULL))
                           : NULL;

  if (!model)
    g_error ("what was exported cannot be read");
  return model;
}

static inline void
onnx_free (OnnxModel *model)
{
  engine_onnx__model_proto__free_unpacked (model, NULL);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC (OnnxModel, onnx_free)

/* The graph (taken) as an INT8 engine with thresholds as in quantised.h. */
static inline Engine *
engine_with (EngineGraph *graph, const char *ranges, const EngineBuildOptions *options)
{
  g_auto (Result) r = quantise_with (graph, ranges, options);
  EngineProvenance provenance = {.key = g_strdup (""),
      .model = g_strdup ("m0"),
      .table = g_strdup ("t0"),
      .dynamic_ranges = g_strdup (""),
      .rules = g_strdup (""),
      .preprocess = g_strdup (""),
      .options = g_strdup ("precision=int8"),
      .builder = g_strdup ("b0")};

  if (!r.graph)
    g_error ("%s", r.error->message);
  return engine_new (g_steal_pointer (&r.graph), ENGINE_PRECISION_INT8, &provenance);
}

static inline Engine *
engine_of (EngineGraph *graph, const char *ranges, EngineRanges kind)
{
  return engine_with (graph, ranges, &(EngineBuildOptions){.ranges = kind});
}

static inline const EngineOnnx__TensorProto *
onnx_tensor (const OnnxModel *model, const char *name)
{
  for (gsize i = 0; i < model->graph->n_initializer; i++)
    if (g_str_equal (model->graph->initializer[i]->name, name))
      return model->graph->initializer[i];
  return NULL;
}

/* --- As text -------------------------------------------------------------------------------- */

static inline void
append_tensor (GString *text, const EngineOnnx__TensorProto *tensor)
{
  static const char *const types[] = {"?", "f32", "u8", "s8", "?", "?", "s32", "s64"};
  const guint8 *raw = tensor->raw_data.data;
  gsize n = 1;

  g_string_append_printf (text, " %s", types[tensor->data_type]);
  for (gsize i = 0; i < tensor->n_dims; i++) {
    g_string_append_printf (text, "%c%d", i ? 'x' : ' ', (int) tensor->dims[i]);
    n *= tensor->dims[i];
  }
  g_string_append (text, " =");
  for (gsize i = 0; i < MIN (n, 8); i++)
    g_string_append_printf (text, " %g",
        tensor->data_type == 1   ? ((const float *) raw)[i]
        : tensor->data_type == 2 ? raw[i]
        : tensor->data_type == 3 ? ((const gint8 *) raw)[i]
        : tensor->data_type == 6 ? ((const gint32 *) raw)[i]
                                 : (double) ((const gint64 *) raw)[i]);
  g_string_append (text, n > 8 ? " ...\n" : "\n");
}

static inline void
append_attribute (GString *text, const EngineOnnx__AttributeProto *attribute)
{
  g_string_append_printf (text, " %s=", attribute->name);
  if (attribute->type == 1)
    g_string_append_printf (text, "%g", attribute->f);
  else if (attribute->type == 2)
    g_string_append_printf (text, "%d", (int) attribute->i);
  for (gsize i = 0; i < attribute->n_ints; i++)
    g_string_append_printf (text, "%s%d", i ? "," : "", (int) attribute->ints[i]);
}

static inline void
append_values (GString *text, const char *what, gsize n, EngineOnnx__ValueInfoProto **values)
{
  for (gsize i = 0; i < n; i++) {
    const EngineOnnx__TensorShapeProto *shape = values[i]->type->tensor_type->shape;

    g_string_append_printf (text, "%s %s", what, values[i]->name);
    for (gsize k = 0; k < shape->n_dim; k++)
      if (shape->dim[k]->dim_param)
        g_string_append_printf (text, " %s", shape->dim[k]->dim_param);
      else if (shape->dim[k]->has_dim_value)
        g_string_append_printf (text, " %d", (int) shape->dim[k]->dim_value);
      else
        g_string_append (text, " ?");
    g_string_append_c (text, '\n');
  }
}

/* Inputs, nodes, outputs; with_tensors: and what the initialisers hold. */
static inline char *
onnx_dump (const OnnxModel *model, gboolean with_tensors)
{
  const EngineOnnx__GraphProto *graph = model->graph;
  GString *text = g_string_new (NULL);

  append_values (text, "input", graph->n_input, graph->input);
  for (gsize i = 0; with_tensors && i < graph->n_initializer; i++) {
    g_string_append (text, graph->initializer[i]->name);
    append_tensor (text, graph->initializer[i]);
  }
  for (gsize i = 0; i < graph->n_node; i++) {
    const EngineOnnx__NodeProto *node = graph->node[i];

    g_string_append_printf (text, "%s = %s", node->output[0], node->op_type);
    for (gsize k = 0; k < node->n_input; k++)
      g_string_append_printf (text, " %s", *node->input[k] ? node->input[k] : "_");
    for (gsize k = 0; k < node->n_attribute; k++)
      append_attribute (text, node->attribute[k]);
    g_string_append_c (text, '\n');
  }
  append_values (text, "output", graph->n_output, graph->output);
  return g_string_free (text, FALSE);
}

/* The ops in order, a Q and the DQ behind it as one "QDQ", DQs of constants left out. */
static inline char *
onnx_ops (const OnnxModel *model)
{
  GString *text = g_string_new (NULL);

  for (gsize i = 0; i < model->graph->n_node; i++) {
    const EngineOnnx__NodeProto *node = model->graph->node[i];

    if (g_str_equal (node->op_type, "DequantizeLinear"))
      continue;
    g_string_append_printf (text, "%s%s", text->len ? " " : "",
        g_str_equal (node->op_type, "QuantizeLinear") ? "QDQ" : node->op_type);
  }
  return g_string_free (text, FALSE);
}
