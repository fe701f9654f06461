/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * onnx.c: from a model's message to a graph: the opset, the image that goes in, node by node, and
 * what comes out.
 */
#include "engine/onnx.h"

#include <string.h>

#include "engine/onnx-chain.h"
#include "engine/onnx-order.h"

#define MIN_OPSET 7
#define MAX_OPSET 21
/* What the graph's constants may take, in all and with those in between: weights are copied once
 * for their order, and constants made of shapes (ConstantOfShape, Range) are in no file. */
#define MEMORY_FACTOR 8
#define MEMORY_BASE   (128 << 20)
#define MAX_BATCH     65536
#define MAX_SIDE      32768 /* of pictures: see kernel_resize_filter() */

#define REFUSE(code, ...) refuse (error, code, __VA_ARGS__)

G_GNUC_PRINTF (3, 4)
static gboolean
refuse (GError **error, EngineError code, const char *format, ...)
{
  va_list args;

  va_start (args, format);
  if (error)
    *error = g_error_new_valist (ENGINE_ERROR, code, format, args);
  va_end (args);
  return FALSE;
}

/* --- Opset ---------------------------------------------------------------------------------- */

static gboolean
read_opset (EngineOnnx *onnx, GError **error)
{
  const EngineOnnx__ModelProto *model = onnx->file->model;
  gint64 version = 0;

  for (gsize i = 0; i < model->n_opset_import; i++) {
    const EngineOnnx__OperatorSetIdProto *opset = model->opset_import[i];

    if (!opset->domain || !opset->domain[0] || strcmp (opset->domain, "ai.onnx") == 0)
      version = MAX (version, opset->version);
  }
  if (version == 0)
    return REFUSE (ENGINE_ERROR_MODEL,
        "it does not say for which opset it was written; export it again with a current exporter");
  if (version < MIN_OPSET || version > MAX_OPSET)
    return REFUSE (ENGINE_ERROR_UNSUPPORTED,
        "opset %" G_GINT64_FORMAT "; %d to %d are supported: export it again, or convert it with "
        "onnx.version_converter",
        version, MIN_OPSET, MAX_OPSET);
  onnx->opset = version;
  return TRUE;
}

/* --- Input ---------------------------------------------------------------------------------- */

/* The input that is no initialiser; there must be one. */
static const EngineOnnx__ValueInfoProto *
find_input (const EngineOnnx *onnx, GError **error)
{
  const EngineOnnx__ValueInfoProto *input = NULL;

  for (gsize i = 0; i < onnx->proto->n_input; i++) {
    const EngineOnnx__ValueInfoProto *candidate = onnx->proto->input[i];

    if (g_hash_table_contains (onnx->tensors, candidate->name))
      continue;
    if (input) {
      REFUSE (ENGINE_ERROR_UNSUPPORTED,
          "it has several inputs (\"%s\", \"%s\" ...); a classifier of one image can be done",
          input->name, candidate->name);
      return NULL;
    }
    input = candidate;
  }
  if (!input)
    REFUSE (ENGINE_ERROR_MODEL, "it has no input");
  return input;
}

static char *
shape_text (const EngineOnnx__TensorShapeProto *shape)
{
  GString *text = g_string_new ("[");

  for (gsize i = 0; i < MIN (shape->n_dim, 8); i++) {
    const EngineOnnx__DimensionProto *dim = shape->dim[i];

    g_string_append (text, i ? " " : "");
    if (dim->has_dim_value)
      g_string_append_printf (text, "%" G_GINT64_FORMAT, dim->dim_value);
    else
      g_string_append (text, "?");
  }
  g_string_append (text, shape->n_dim > 8 ? " ...]" : "]");
  return g_string_free (text, FALSE);
}

static gboolean
is_channels (gint64 dim)
{
  return dim == 1 || dim == 3 || dim == 4;
}

/* dims of NCHW or NHWC; 0 where not fixed. */
static gboolean
check_image (const char *name, const char *text, const gint64 *dims, EngineOnnxStorage *storage,
    GError **error)
{
  const int spatial = is_channels (dims[1]) ? 2 : 1;

  *storage = spatial == 2 ? ENGINE_ONNX_CHANNELS_LAST : ENGINE_ONNX_PLAIN;
  if (spatial == 1 && !is_channels (dims[3]))
    return REFUSE (ENGINE_ERROR_UNSUPPORTED,
        "input \"%s\" is %s: neither [n c h w] nor [n h w c] with 1, 3 or 4 channels", name, text);
  if (dims[spatial] < 1 || dims[spatial + 1] < 1)
    return REFUSE (ENGINE_ERROR_UNSUPPORTED,
        "input \"%s\" is %s: height and width are not fixed; export it with a fixed size, or fix "
        "it with onnxruntime.tools.make_dynamic_shape_fixed",
        name, text);
  if (dims[spatial] > MAX_SIDE || dims[spatial + 1] > MAX_SIDE || dims[0] > MAX_BATCH)
    return REFUSE (ENGINE_ERROR_UNSUPPORTED,
        "input \"%s\" is %s; images up to %d by %d, exported with a batch up to %d, can be done",
        name, text, MAX_SIDE, MAX_SIDE, MAX_BATCH);
  return TRUE;
}

static gboolean
add_image (EngineOnnx *onnx, const char *name, const EngineOnnx__TensorShapeProto *shape,
    GError **error)
{
  g_autofree char *text = shape_text (shape);
  gint64 dims[4];
  int stored[4], value;
  EngineOnnxStorage storage;

  if (shape->n_dim != 4)
    return REFUSE (ENGINE_ERROR_UNSUPPORTED,
        "input \"%s\" is %s, which is no image: [n c h w] or [n h w c] is needed%s", name, text,
        shape->n_dim == 3 ? "; export it with a batch axis" : "");
  for (int i = 0; i < 4; i++)
    dims[i] = shape->dim[i]->has_dim_value ? MAX (shape->dim[i]->dim_value, 0) : 0;
  if (!check_image (name, text, dims, &storage, error))
    return FALSE;
  onnx->batch = MAX (dims[0], 1);
  onnx->nchw = storage == ENGINE_ONNX_CHANNELS_LAST;
  stored[0] = 1;
  for (int i = 1; i < 4; i++)
    stored[i] = dims[storage == ENGINE_ONNX_PLAIN ? i : 1 + i % 3];
  value = engine_graph_add_value (onnx->graph, name, ENGINE_TYPE_F32, 4, stored);
  g_array_append_val (onnx->graph->inputs, value);
  return engine_onnx_define_as (onnx, name, value, storage);
}

static gboolean
read_input (EngineOnnx *onnx, GError **error)
{
  const EngineOnnx__ValueInfoProto *input = find_input (onnx, error);
  const EngineOnnx__TensorTypeProto *type;

  if (!input)
    return FALSE;
  type = input->type ? input->type->tensor_type : NULL;
  if (!type || !type->shape)
    return REFUSE (ENGINE_ERROR_UNSUPPORTED,
        "input \"%s\" has no shape; export the model with shapes", input->name);
  if (!engine_onnx_is_float (type->elem_type))
    return REFUSE (ENGINE_ERROR_UNSUPPORTED,
        "input \"%s\" is of type %s; float or float16 is needed: export the model in float (fp32)",
        input->name, engine_onnx_type_name (type->elem_type));
  return add_image (onnx, input->name, type->shape, error);
}

/* --- Nodes ---------------------------------------------------------------------------------- */

static gboolean
is_listed (const char *list, const char *word)
{
  g_auto (GStrv) words = g_strsplit (list, " ", -1);

  return g_strv_contains ((const char *const *) words, word);
}

static gboolean
check_node (const EngineOnnxNode *node, const EngineOnnxOp *op, GError **error)
{
  const EngineOnnx__NodeProto *proto = node->proto;

  if (proto->n_input < op->min_inputs || proto->n_input > op->max_inputs)
    return ENGINE_ONNX_REFUSE ("%" G_GSIZE_FORMAT " inputs; %u to %u are possible", proto->n_input,
        op->min_inputs, op->max_inputs);
  for (gsize i = 0; i < proto->n_attribute; i++) {
    const EngineOnnx__AttributeProto *attribute = proto->attribute[i];

    if (!attribute->name)
      return ENGINE_ONNX_REFUSE ("an attribute has no name");
    if (!is_listed (op->attributes, attribute->name))
      return ENGINE_ONNX_UNSUPPORTED ("attribute \"%s\" is not known in opset 7 to 21",
          attribute->name);
    if (engine_onnx_attribute (node, attribute->name) != attribute)
      return ENGINE_ONNX_REFUSE ("attribute \"%s\" is there twice", attribute->name);
  }
  return TRUE;
}

static gboolean
import_checked (EngineOnnx *onnx, const EngineOnnxChains *chains, const EngineOnnxOp *op,
    const EngineOnnxNode *node, GError **error)
{
  if (engine_onnx_chains_skip (chains, node->proto))
    return TRUE;
  return engine_onnx_chains_end (chains, node->proto)
             ? engine_onnx_import_chain (onnx, chains, node, error)
             : op->import (onnx, node, error);
}

static gboolean
import_node (EngineOnnx *onnx, const EngineOnnxChains *chains, const EngineOnnx__NodeProto *proto,
    GError **error)
{
  const EngineOnnxOp *op = engine_onnx_op (proto);
  const EngineOnnxNode node = {proto,
      proto->name && proto->name[0] ? proto->name : proto->output[0]};

  g_autoptr (GError) cause = NULL;

  if (check_node (&node, op, &cause) && engine_onnx_check_levels (onnx, &node, &cause) &&
      import_checked (onnx, chains, op, &node, &cause)) {
    engine_onnx_pass_levels (onnx, &node);
    return TRUE;
  }
  if (!g_str_has_prefix (cause->message, "node \"")) /* what concerns tensors in general */
    g_prefix_error (&cause, "node \"%s\" (%s): ", node.name, proto->op_type);
  g_propagate_error (error, g_steal_pointer (&cause));
  return FALSE;
}

/* --- Outputs -------------------------------------------------------------------------------- */

/* Whether the order of axes cannot be told from the bytes. */
static gboolean
is_vector (const EngineOnnxValue *value)
{
  int large = 0;

  for (int i = 0; i < value->rank; i++)
    large += value->dims[i] > 1;
  return large <= 1;
}

static gboolean
add_output (EngineOnnx *onnx, const char *name, GError **error)
{
  EngineOnnx__NodeProto proto = ENGINE_ONNX__NODE_PROTO__INIT;
  const EngineOnnxNode node = {&proto, name};
  EngineOnnxValue *value = g_hash_table_lookup (onnx->values, name);
  int stored;

  if (!value || value->constant)
    return REFUSE (ENGINE_ERROR_UNSUPPORTED, "output \"%s\" does not depend on the image", name);
  if (value->levels.kind != ENGINE_ONNX_REAL || value->dynamic)
    return REFUSE (ENGINE_ERROR_UNSUPPORTED,
        "output \"%s\" is integers; a DequantizeLinear is needed behind it", name);
  if (value->stored[ENGINE_ONNX_PLAIN] == g_array_index (onnx->graph->inputs, int, 0) ||
      value->stored[ENGINE_ONNX_CHANNELS_LAST] == g_array_index (onnx->graph->inputs, int, 0))
    return REFUSE (ENGINE_ERROR_MODEL, "output \"%s\" is the input itself", name);
  proto.op_type = (char *) "output";
  stored = engine_onnx_stored (onnx, &node, value,
      is_vector (value) && value->stored[ENGINE_ONNX_CHANNELS_LAST] != ENGINE_NONE
          ? ENGINE_ONNX_CHANNELS_LAST
          : ENGINE_ONNX_PLAIN,
      error);
  if (stored == ENGINE_NONE)
    return FALSE;
  if (!engine_graph_is_output (onnx->graph, stored))
    engine_graph_rename (onnx->graph, stored, name);
  g_array_append_val (onnx->graph->outputs, stored);
  return TRUE;
}

/* --- All ------------------------------------------------------------------------------------ */

static gboolean
read_initialisers (EngineOnnx *onnx, GError **error)
{
  for (gsize i = 0; i < onnx->proto->n_initializer; i++) {
    EngineOnnx__TensorProto *tensor = onnx->proto->initializer[i];

    if (!engine_onnx_tensor_check (tensor, error))
      return FALSE;
    g_hash_table_insert (onnx->tensors, tensor->name, tensor);
  }
  return TRUE;
}

static gboolean
import_graph (EngineOnnx *onnx, GError **error)
{
  g_autoptr (GArray) order = NULL;
  g_autoptr (EngineOnnxChains) chains = NULL;

  if (!onnx->proto)
    return REFUSE (ENGINE_ERROR_MODEL, "it holds no graph; export the model, not a tensor of it");
  if (onnx->proto->n_output == 0)
    return REFUSE (ENGINE_ERROR_MODEL, "it has no output");
  if (!read_opset (onnx, error))
    return FALSE;
  order = engine_onnx_order (onnx->proto, error);
  if (!order || !read_initialisers (onnx, error) || !read_input (onnx, error))
    return FALSE;
  chains = engine_onnx_chains_new (onnx->proto);
  for (guint i = 0; i < order->len; i++)
    if (!import_node (onnx, chains, onnx->proto->node[g_array_index (order, int, i)], error))
      return FALSE;
  for (gsize i = 0; i < onnx->proto->n_output; i++)
    if (!add_output (onnx, onnx->proto->output[i]->name, error))
      return FALSE;
  engine_graph_compact (onnx->graph);
  return engine_graph_verify (onnx->graph, "import", error);
}

static void
value_free (gpointer data)
{
  EngineOnnxValue *value = data;

  if (value->constant)
    engine_onnx_constant_unref (value->constant);
  g_free (value);
}

EngineGraph *
engine_onnx_import_file (const EngineOnnxFile *file, char **sha256, GError **error)
{
  g_autoptr (EngineGraph) graph = engine_graph_new ();
  EngineOnnx onnx = {.file = file, .proto = file->model->graph, .batch = 1, .graph = graph};
  gboolean ok;

  onnx.memory_limit = MEMORY_BASE + file->size * MEMORY_FACTOR;
  onnx.values = g_hash_table_new (g_str_hash, g_str_equal);
  onnx.owned = g_ptr_array_new_with_free_func (value_free);
  onnx.texts = g_ptr_array_new_with_free_func (g_free);
  onnx.tensors = g_hash_table_new (g_str_hash, g_str_equal);
  ok = import_graph (&onnx, error);
  g_hash_table_unref (onnx.values);
  g_ptr_array_unref (onnx.owned);
  g_ptr_array_unref (onnx.texts);
  g_hash_table_unref (onnx.tensors);
  if (!ok) {
    engine_onnx_file_blame (file->path, error);
    return NULL;
  }
  if (sha256)
    *sha256 = engine_onnx_file_sha256 (file);
  return g_steal_pointer (&graph);
}

EngineGraph *
engine_onnx_import_with (const char *path, const EngineModelOptions *options, char **sha256,
    GError **error)
{
  g_autoptr (EngineOnnxFile) file = engine_onnx_file_open (path, options, error);

  return file ? engine_onnx_import_file (file, sha256, error) : NULL;
}

EngineGraph *
engine_onnx_import (const char *path, char **sha256, GError **error)
{
  return engine_onnx_import_with (path, NULL, sha256, error);
}

EngineGraph *
engine_onnx_import_bytes (GBytes *bytes, const char *path, char **sha256, GError **error)
{
  g_autoptr (EngineOnnxFile) file = engine_onnx_file_new (bytes, path, error);

  return file ? engine_onnx_import_file (file, sha256, error) : NULL;
}
