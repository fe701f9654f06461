/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * onnx/onnx.c: from a model's message to a graph: the opset, the image that goes in, node by node, and
 * what comes out.
 */
#include "engine/onnx/onnx.h"

#include <string.h>

#include "engine/onnx/chain.h"
#include "engine/onnx/levels.h"
#include "engine/onnx/order.h"

#define MIN_OPSET 1
#define MAX_OPSET 21
/* What the graph's constants may take, in all and with those in between: weights are copied once
 * for their order, and constants made of shapes (ConstantOfShape, Range) are in no file. */
#define MEMORY_FACTOR 8
#define MEMORY_BASE   (128 << 20)

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
  return engine_onnx_add_image (onnx, input->name, type->shape, error);
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
      return ENGINE_ONNX_UNSUPPORTED ("attribute \"%s\" is not known in opset 1 to 21",
          attribute->name);
    if (engine_onnx_attribute (node, attribute->name) != attribute)
      return ENGINE_ONNX_REFUSE ("attribute \"%s\" is there twice", attribute->name);
  }
  return TRUE;
}

static gboolean import_node (EngineOnnx *onnx, const EngineOnnxChains *chains,
    const EngineOnnx__NodeProto *proto, GError **error);

/* All of it in place of its last node. */
static gboolean
import_chain (EngineOnnx *onnx, const EngineOnnxChain *chain, const EngineOnnxNode *node,
    GError **error)
{
  EngineOnnxLayerNorm norm;

  if (node->proto != engine_onnx_chain_end (chain))
    return TRUE;
  if (engine_onnx_chain_read (onnx, chain, &norm))
    return engine_onnx_layernorm (onnx, node, norm.x, norm.axis, norm.scale, norm.shift,
        norm.epsilon, error);
  for (int i = 0; i < chain->n; i++)
    if (!import_node (onnx, NULL, chain->nodes[i], error))
      return FALSE;
  return TRUE;
}

/* chains: NULL where they are not looked for. */
static gboolean
import_node (EngineOnnx *onnx, const EngineOnnxChains *chains, const EngineOnnx__NodeProto *proto,
    GError **error)
{
  const EngineOnnxOp *op = engine_onnx_op (proto);
  const EngineOnnxNode node = {proto,
      proto->name && proto->name[0] ? proto->name : proto->output[0]};
  const EngineOnnxChain *chain = chains ? engine_onnx_chain_of (chains, proto) : NULL;
  g_autoptr (GError) cause = NULL;

  if (check_node (&node, op, &cause) && engine_onnx_check_levels (onnx, &node, &cause) &&
      (chain ? import_chain (onnx, chain, &node, &cause) : op->import (onnx, &node, &cause))) {
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
  if (engine_graph_is_output (onnx->graph, stored)) /* a choice among scores that are one, too */
    return TRUE;
  engine_graph_rename (onnx->graph, stored, name);
  g_array_append_val (onnx->graph->outputs, stored);
  return TRUE;
}

/* --- All ------------------------------------------------------------------------------------ */

gboolean
engine_onnx_add_initialisers (EngineOnnx *onnx, const EngineOnnx__GraphProto *graph, GError **error)
{
  for (gsize i = 0; i < graph->n_initializer; i++) {
    EngineOnnx__TensorProto *tensor = graph->initializer[i];

    if (!tensor->name || !tensor->name[0])
      return REFUSE (ENGINE_ERROR_MODEL, "an initialiser has no name");
    if (g_hash_table_contains (onnx->tensors, tensor->name) ||
        g_hash_table_contains (onnx->values, tensor->name))
      return REFUSE (ENGINE_ERROR_MODEL, "two values are named \"%s\"", tensor->name);
    if (!engine_onnx_check_name (tensor->name, "name", error) ||
        !engine_onnx_tensor_check (tensor, error))
      return FALSE;
    g_hash_table_insert (onnx->tensors, tensor->name, tensor);
  }
  return TRUE;
}

static gboolean
import_nodes (EngineOnnx *onnx, const EngineOnnx__GraphProto *graph, const GArray *order,
    GError **error)
{
  g_autoptr (EngineOnnxChains) chains = engine_onnx_chains_new (graph);

  for (guint i = 0; i < order->len; i++)
    if (!import_node (onnx, chains, graph->node[g_array_index (order, int, i)], error))
      return FALSE;
  return TRUE;
}

gboolean
engine_onnx_import_subgraph (EngineOnnx *onnx, const EngineOnnx__GraphProto *graph, GError **error)
{
  g_autoptr (GArray) order = engine_onnx_order (graph, onnx, error);

  return order && engine_onnx_add_initialisers (onnx, graph, error) &&
         import_nodes (onnx, graph, order, error);
}

static gboolean
import_graph (EngineOnnx *onnx, GError **error)
{
  g_autoptr (GArray) order = NULL;

  if (!onnx->proto)
    return REFUSE (ENGINE_ERROR_MODEL, "it holds no graph; export the model, not a tensor of it");
  if (onnx->proto->n_output == 0)
    return REFUSE (ENGINE_ERROR_MODEL, "it has no output");
  if (!read_opset (onnx, error))
    return FALSE;
  order = engine_onnx_order (onnx->proto, onnx, error);
  if (!order || !engine_onnx_add_initialisers (onnx, onnx->proto, error) ||
      !read_input (onnx, error) || !import_nodes (onnx, onnx->proto, order, error))
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

/* Of the files; and of the image's dims where the user had to give them, for each is another network. */
static char *
digest (const EngineOnnx *onnx)
{
  const EngineGraph *graph = onnx->graph;
  const EngineValue *x = engine_graph_value (graph, g_array_index (graph->inputs, int, 0));
  g_autofree char *of_files = engine_onnx_file_sha256 (onnx->file), *text = NULL;

  if (!onnx->shaped)
    return g_steal_pointer (&of_files);
  text = g_strdup_printf ("%s %dx%dx%d", of_files, x->dims[1], x->dims[2], x->dims[3]);
  return g_compute_checksum_for_string (G_CHECKSUM_SHA256, text, -1);
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
    *sha256 = digest (&onnx);
  return g_steal_pointer (&graph);
}

EngineGraph *
engine_onnx_import_with (const char *path, const EngineModelOptions *options, char **sha256,
    GError **error)
{
  g_autoptr (EngineOnnxFile) file = engine_onnx_file_open (path, options, error);

  if (file && options && options->shape)
    file->shape = g_strdup (options->shape);
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
