/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* onnx/write.c: the messages of an ONNX file, and their bytes. */
#include "engine/onnx/write.h"

#include <string.h>

#include "engine/engine.h"

#define IR_VERSION     7 /* of opset 13 */
#define MAX_ATTRIBUTES 8
#define MAX_FILE       G_MAXINT32 /* protobuf's, which every reader of ONNX has */

/* AttributeProto.type */
enum { TYPE_FLOAT = 1, TYPE_INT = 2, TYPE_INTS = 7 };

struct _EngineOnnxWriter {
  GPtrArray *memory; /* everything that messages point to */
  GHashTable *names; /* given out */
  GPtrArray *nodes, *tensors, *inputs, *outputs, *metadata;
  const char *name; /* of the graph */
};

/* --- Memory --------------------------------------------------------------------------------- */

static gpointer
keep (EngineOnnxWriter *writer, gpointer memory)
{
  g_ptr_array_add (writer->memory, memory);
  return memory;
}

static char *
keep_text (EngineOnnxWriter *writer, const char *text)
{
  return keep (writer, g_strdup (text));
}

/* A new message with its init function run. */
#define DEFINE_MESSAGE(Type, init)                                                                 \
  static EngineOnnx__##Type *new_##Type (EngineOnnxWriter *writer)                                 \
  {                                                                                                \
    EngineOnnx__##Type *message = keep (writer, g_new (EngineOnnx__##Type, 1));                    \
                                                                                                   \
    engine_onnx__##init##__init (message);                                                         \
    return message;                                                                                \
  }

/* clang-format off */
DEFINE_MESSAGE (ModelProto, model_proto)
DEFINE_MESSAGE (GraphProto, graph_proto)
DEFINE_MESSAGE (OperatorSetIdProto, operator_set_id_proto)
DEFINE_MESSAGE (NodeProto, node_proto)
DEFINE_MESSAGE (AttributeProto, attribute_proto)
DEFINE_MESSAGE (TensorProto, tensor_proto)
DEFINE_MESSAGE (ValueInfoProto, value_info_proto)
DEFINE_MESSAGE (TypeProto, type_proto)
DEFINE_MESSAGE (TensorTypeProto, tensor_type_proto)
DEFINE_MESSAGE (TensorShapeProto, tensor_shape_proto)
DEFINE_MESSAGE (DimensionProto, dimension_proto)
DEFINE_MESSAGE (StringStringEntryProto, string_string_entry_proto)
/* clang-format on */

EngineOnnxWriter *
engine_onnx_writer_new (const char *graph_name)
{
  EngineOnnxWriter *writer = g_new (EngineOnnxWriter, 1);

  *writer = (EngineOnnxWriter){
      .memory = g_ptr_array_new_with_free_func (g_free),
      .names = g_hash_table_new (g_str_hash, g_str_equal),
      .nodes = g_ptr_array_new (),
      .tensors = g_ptr_array_new (),
      .inputs = g_ptr_array_new (),
      .outputs = g_ptr_array_new (),
      .metadata = g_ptr_array_new (),
  };
  writer->name = keep_text (writer, graph_name);
  return writer;
}

void
engine_onnx_writer_free (EngineOnnxWriter *writer)
{
  if (!writer)
    return;
  g_ptr_array_unref (writer->nodes);
  g_ptr_array_unref (writer->tensors);
  g_ptr_array_unref (writer->inputs);
  g_ptr_array_unref (writer->outputs);
  g_ptr_array_unref (writer->metadata);
  g_hash_table_unref (writer->names);
  g_ptr_array_unref (writer->memory);
  g_free (writer);
}

const char *
engine_onnx_writer_name (EngineOnnxWriter *writer, const char *wanted)
{
  char *name = g_strdup (wanted);

  for (int i = 2; g_hash_table_contains (writer->names, name); i++) {
    g_free (name);
    name = g_strdup_printf ("%s#%d", wanted, i);
  }
  g_hash_table_add (writer->names, keep (writer, name));
  return name;
}

/* --- Nodes ---------------------------------------------------------------------------------- */

EngineOnnx__NodeProto *
engine_onnx_writer_node (EngineOnnxWriter *writer, const char *op, const char *const *inputs,
    int n_inputs, const char *output)
{
  EngineOnnx__NodeProto *node = new_NodeProto (writer);

  node->op_type = keep_text (writer, op);
  node->name = keep (writer, g_strconcat (output, " (", op, ")", NULL));
  node->input = keep (writer, g_new (char *, n_inputs));
  node->n_input = n_inputs;
  for (int i = 0; i < n_inputs; i++)
    node->input[i] = keep_text (writer, inputs[i] ? inputs[i] : "");
  node->output = keep (writer, g_new (char *, 1));
  node->output[0] = keep_text (writer, output);
  node->n_output = 1;
  node->attribute = keep (writer, g_new (EngineOnnx__AttributeProto *, MAX_ATTRIBUTES));
  g_ptr_array_add (writer->nodes, node);
  return node;
}

static EngineOnnx__AttributeProto *
add_attribute (EngineOnnxWriter *writer, EngineOnnx__NodeProto *node, const char *name, int type)
{
  EngineOnnx__AttributeProto *attribute = new_AttributeProto (writer);

  g_assert (node->n_attribute < MAX_ATTRIBUTES);
  attribute->name = keep_text (writer, name);
  attribute->has_type = TRUE;
  attribute->type = type;
  node->attribute[node->n_attribute++] = attribute;
  return attribute;
}

void
engine_onnx_writer_int (EngineOnnxWriter *writer, EngineOnnx__NodeProto *node, const char *name,
    gint64 value)
{
  EngineOnnx__AttributeProto *attribute = add_attribute (writer, node, name, TYPE_INT);

  attribute->has_i = TRUE;
  attribute->i = value;
}

void
engine_onnx_writer_float (EngineOnnxWriter *writer, EngineOnnx__NodeProto *node, const char *name,
    float value)
{
  EngineOnnx__AttributeProto *attribute = add_attribute (writer, node, name, TYPE_FLOAT);

  attribute->has_f = TRUE;
  attribute->f = value;
}

static gint64 *
keep_int64s (EngineOnnxWriter *writer, const int *values, int n)
{
  gint64 *out = keep (writer, g_new (gint64, n));

  for (int i = 0; i < n; i++)
    out[i] = values[i];
  return out;
}

void
engine_onnx_writer_ints (EngineOnnxWriter *writer, EngineOnnx__NodeProto *node, const char *name,
    const int *values, int n)
{
  EngineOnnx__AttributeProto *attribute = add_attribute (writer, node, name, TYPE_INTS);

  attribute->n_ints = n;
  attribute->ints = keep_int64s (writer, values, n);
}

/* --- Tensors -------------------------------------------------------------------------------- */

/* ONNX is little-endian. */
static void
to_little_endian (void *data, gsize size, gsize element)
{
  guint8 *bytes = data;

  if (G_BYTE_ORDER == G_LITTLE_ENDIAN)
    return;
  for (gsize at = 0; at + element <= size; at += element)
    for (gsize i = 0; i < element / 2; i++) {
      const guint8 swap = bytes[at + i];

      bytes[at + i] = bytes[at + element - 1 - i];
      bytes[at + element - 1 - i] = swap;
    }
}

void
engine_onnx_writer_tensor (EngineOnnxWriter *writer, const char *name, int type, int rank,
    const int *dims, void *data, gsize size)
{
  EngineOnnx__TensorProto *tensor = new_TensorProto (writer);
  const gsize element = type == ENGINE_ONNX_INT8 || type == ENGINE_ONNX_UINT8 ? 1
                        : type == ENGINE_ONNX_INT64                           ? sizeof (gint64)
                                                                              : sizeof (gint32);

  to_little_endian (data, size, element);
  tensor->name = keep_text (writer, name);
  tensor->has_data_type = TRUE;
  tensor->data_type = type;
  tensor->n_dims = rank;
  tensor->dims = keep_int64s (writer, dims, rank);
  tensor->has_raw_data = TRUE;
  tensor->raw_data.data = keep (writer, data);
  tensor->raw_data.len = size;
  g_ptr_array_add (writer->tensors, tensor);
}

void
engine_onnx_writer_floats (EngineOnnxWriter *writer, const char *name, int rank,
    const gint64 *dims, const float *data)
{
  EngineOnnx__TensorProto *tensor = new_TensorProto (writer);

  tensor->name = keep_text (writer, name);
  tensor->has_data_type = TRUE;
  tensor->data_type = ENGINE_ONNX_FLOAT;
  tensor->n_dims = rank;
  tensor->dims = keep (writer, g_memdup2 (dims, rank * sizeof *dims));
  tensor->n_float_data = engine_onnx_elements (rank, dims);
  tensor->float_data = (float *) data; /* which nobody changes */
  g_ptr_array_add (writer->tensors, tensor);
}

/* --- Inputs and outputs --------------------------------------------------------------------- */

static EngineOnnx__ValueInfoProto *
value_info (EngineOnnxWriter *writer, const char *name, int rank, const int *dims)
{
  EngineOnnx__ValueInfoProto *info = new_ValueInfoProto (writer);
  EngineOnnx__TensorTypeProto *type = new_TensorTypeProto (writer);

  type->has_elem_type = TRUE;
  type->elem_type = ENGINE_ONNX_FLOAT;
  type->shape = new_TensorShapeProto (writer);
  type->shape->n_dim = rank;
  type->shape->dim = keep (writer, g_new (EngineOnnx__DimensionProto *, rank));
  for (int i = 0; i < rank; i++) {
    EngineOnnx__DimensionProto *dim = type->shape->dim[i] = new_DimensionProto (writer);

    if (dims[i] > 0) {
      dim->has_dim_value = TRUE;
      dim->dim_value = dims[i];
    } else {
      dim->dim_param = keep_text (writer, "N");
    }
  }
  info->name = keep_text (writer, name);
  info->type = new_TypeProto (writer);
  info->type->tensor_type = type;
  return info;
}

void
engine_onnx_writer_input (EngineOnnxWriter *writer, const char *name, int rank, const int *dims)
{
  g_ptr_array_add (writer->inputs, value_info (writer, name, rank, dims));
}

void
engine_onnx_writer_output (EngineOnnxWriter *writer, const char *name, int rank, const int *dims)
{
  g_ptr_array_add (writer->outputs, value_info (writer, name, rank, dims));
}

void
engine_onnx_writer_metadata (EngineOnnxWriter *writer, const char *key, const char *value)
{
  EngineOnnx__StringStringEntryProto *entry = new_StringStringEntryProto (writer);

  entry->key = keep_text (writer, key);
  entry->value = keep_text (writer, value);
  g_ptr_array_add (writer->metadata, entry);
}

/* --- The file ------------------------------------------------------------------------------- */

EngineOnnx__ModelProto *
engine_onnx_writer_model (EngineOnnxWriter *writer, int opset)
{
  EngineOnnx__ModelProto *model = new_ModelProto (writer);
  EngineOnnx__GraphProto *graph = new_GraphProto (writer);
  EngineOnnx__OperatorSetIdProto *set = new_OperatorSetIdProto (writer);

  set->domain = keep_text (writer, "");
  set->has_version = TRUE;
  set->version = opset;
  graph->name = (char *) writer->name;
  graph->node = (EngineOnnx__NodeProto **) writer->nodes->pdata;
  graph->n_node = writer->nodes->len;
  graph->initializer = (EngineOnnx__TensorProto **) writer->tensors->pdata;
  graph->n_initializer = writer->tensors->len;
  graph->input = (EngineOnnx__ValueInfoProto **) writer->inputs->pdata;
  graph->n_input = writer->inputs->len;
  graph->output = (EngineOnnx__ValueInfoProto **) writer->outputs->pdata;
  graph->n_output = writer->outputs->len;
  model->has_ir_version = TRUE;
  model->ir_version = IR_VERSION;
  model->producer_name = keep_text (writer, "gst-int8");
  model->producer_version = keep_text (writer, INT8_VERSION);
  model->graph = graph;
  model->opset_import = keep (writer, g_new (EngineOnnx__OperatorSetIdProto *, 1));
  model->opset_import[0] = set;
  model->n_opset_import = 1;
  model->metadata_props = (EngineOnnx__StringStringEntryProto **) writer->metadata->pdata;
  model->n_metadata_props = writer->metadata->len;
  return model;
}

GBytes *
engine_onnx_writer_finish (EngineOnnxWriter *writer, int opset, GError **error)
{
  const EngineOnnx__ModelProto *model = engine_onnx_writer_model (writer, opset);
  guint8 *bytes;
  gsize size;

  size = engine_onnx__model_proto__get_packed_size (model);
  if (size > MAX_FILE) {
    g_set_error (error, ENGINE_ERROR, ENGINE_ERROR_UNSUPPORTED,
        "the ONNX file would have %" G_GSIZE_FORMAT " bytes; %d is the most that protobuf holds",
        size, MAX_FILE);
    return NULL;
  }
  bytes = g_try_malloc (size);
  if (!bytes) {
    g_set_error (error, ENGINE_ERROR, ENGINE_ERROR_MEMORY,
        "no memory for an ONNX file of %" G_GSIZE_FORMAT " bytes", size);
    return NULL;
  }
  engine_onnx__model_proto__pack (model, bytes);
  return g_bytes_new_take (bytes, size);
}
