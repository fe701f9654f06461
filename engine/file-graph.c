/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * file-graph.c: a graph and its provenance as the message of file.proto. Reading only makes sure
 * that what it builds is safe to look at; whether it is a sound graph is the verifier's question.
 */
#include "engine/file.h"
#include "engine/onnx/wire.h"
#include "engine/tactics.h"
#include "file.pb-c.h"

#include <string.h>

/* Unpacked, a network takes up to 13 times the bytes of its message (measured; the shorter the names, the
 * more); empty values, two bytes each, would take 100 times. */
#define MEMORY_OF_A_BYTE 24
#define MEMORY_AT_LEAST  65536

/* Planning takes time with the square of these: 0.4 s at the most. The importer takes 16384 nodes, and
 * quantising adds a conversion to few of them. */
#define MAX_NODES  32768
#define MAX_VALUES (8 * MAX_NODES)

static const char *const type_names[] = {"f32", "s8", "f16"}; /* in the order of EngineType */
static const char *const range_names[] = {"symmetric", "full", "affine"};

/* The index of a name in a list, or -1. */
static int
index_of (const char *const *names, int n, const char *name)
{
  for (int i = 0; i < n; i++)
    if (g_str_equal (names[i], name))
      return i;
  return -1;
}

static int
op_from_name (const char *name)
{
  for (int op = 0; op < ENGINE_OP_COUNT; op++)
    if (g_str_equal (engine_op_name (op), name))
      return op;
  return -1;
}

static gsize
aligned (gsize size)
{
  return (size + KERNEL_ALIGN - 1) / KERNEL_ALIGN * KERNEL_ALIGN;
}

/* --- Writing -------------------------------------------------------------------------------- */

static EngineFile__Value *
write_value (const EngineValue *value, gsize *constants_size)
{
  EngineFile__Value *out = g_new (EngineFile__Value, 1);

  engine_file__value__init (out);
  out->name = value->name;
  out->type = (char *) type_names[value->type];
  out->n_dims = value->rank;
  out->dims = (uint32_t *) value->dims; /* positive, as the verifier knows */
  if (value->data) {
    out->constant = TRUE;
    out->offset = *constants_size;
    *constants_size = aligned (*constants_size + g_bytes_get_size (value->data));
  }
  /* of constants, operands of ADD and MUL have one */
  if (value->type == ENGINE_TYPE_S8 && (!value->data || value->quant.scale > 0)) {
    out->scale = value->quant.scale;
    out->zero = value->quant.zero;
    out->range = (char *) range_names[value->quant.range];
  }
  if (value->factors) {
    out->n_factors = g_bytes_get_size (value->factors) / sizeof (float);
    out->factors = (float *) g_bytes_get_data (value->factors, NULL);
  }
  return out;
}

static EngineFile__Node *
write_node (const EngineNode *node)
{
  g_autoptr (GArray) ints = g_array_new (FALSE, FALSE, sizeof (gint32));
  g_autoptr (GArray) floats = g_array_new (FALSE, FALSE, sizeof (float));
  EngineFile__Node *out = g_new (EngineFile__Node, 1);

  engine_file_node_write (node, ints, floats);
  engine_file__node__init (out);
  out->op = (char *) engine_op_name (node->op);
  out->name = node->name;
  out->n_inputs = node->n_inputs;
  out->inputs = node->inputs;
  out->output = node->output;
  out->n_ints = ints->len;
  out->n_floats = floats->len;
  out->ints = (int32_t *) g_array_free (g_steal_pointer (&ints), FALSE);
  out->floats = (float *) g_array_free (g_steal_pointer (&floats), FALSE);
  return out;
}

static void
write_provenance (EngineFile__Engine *message, const EngineProvenance *provenance, const char *key)
{
  message->key = (char *) (key ? key : provenance->key);
  message->model = provenance->model;
  message->table = provenance->table;
  message->bias = provenance->bias;
  message->dynamic_ranges = provenance->dynamic_ranges;
  message->rules = provenance->rules;
  message->preprocess = provenance->preprocess;
  message->options = provenance->options;
  message->builder = provenance->builder;
}

static void
write_lines (const GPtrArray *lines, size_t *n, char ***out)
{
  *n = lines ? lines->len : 0;
  *out = lines ? (char **) lines->pdata : NULL;
}

static void
write_notes (EngineFile__Engine *message, const EngineBuildReport *notes)
{
  write_lines (notes->inferred, &message->n_inferred, &message->inferred);
  write_lines (notes->obeyed, &message->n_obeyed, &message->obeyed);
  write_lines (notes->refused, &message->n_refused, &message->refused);
  write_lines (notes->unmatched, &message->n_unmatched, &message->unmatched);
}

static EngineFile__Tactics *
write_tactics (const EngineTactics *tactics)
{
  EngineFile__Tactics *out = g_new (EngineFile__Tactics, 1);

  engine_file__tactics__init (out);
  out->backend = tactics->backend;
  out->description = tactics->description;
  out->cpu = tactics->cpu;
  out->threads = tactics->threads;
  out->batch = tactics->batch;
  out->offered = tactics->offered;
  out->n_names = tactics->names->len;
  out->names = (char **) tactics->names->pdata;
  return out;
}

void *
engine_file_pack (const Engine *engine, const char *key, gsize *message_size, gsize *constants_size)
{
  const EngineGraph *graph = engine->graph;
  g_autoptr (GPtrArray) tactics = engine_tactics_list (engine);
  EngineFile__Engine message;
  void *packed;

  *constants_size = 0;
  engine_file__engine__init (&message);
  message.precision = (char *) engine_precision_name (engine->precision);
  write_provenance (&message, &engine->provenance, key);
  write_notes (&message, &engine->notes);
  message.n_inputs = graph->inputs->len;
  message.inputs = (uint32_t *) graph->inputs->data;
  message.n_outputs = graph->outputs->len;
  message.outputs = (uint32_t *) graph->outputs->data;
  message.n_values = graph->values->len;
  message.values = g_new (EngineFile__Value *, message.n_values);
  for (gsize v = 0; v < message.n_values; v++)
    message.values[v] = write_value (engine_graph_value (graph, v), constants_size);
  message.n_nodes = graph->nodes->len;
  message.nodes = g_new (EngineFile__Node *, message.n_nodes);
  for (gsize i = 0; i < message.n_nodes; i++)
    message.nodes[i] = write_node (engine_graph_node (graph, i));
  message.n_tactics = tactics->len;
  message.tactics = g_new (EngineFile__Tactics *, message.n_tactics);
  for (gsize i = 0; i < message.n_tactics; i++)
    message.tactics[i] = write_tactics (g_ptr_array_index (tactics, i));

  *message_size = engine_file__engine__get_packed_size (&message);
  packed = g_malloc (*message_size);
  engine_file__engine__pack (&message, packed);

  for (gsize v = 0; v < message.n_values; v++)
    g_free (message.values[v]);
  for (gsize i = 0; i < message.n_nodes; i++) {
    g_free (message.nodes[i]->ints);
    g_free (message.nodes[i]->floats);
    g_free (message.nodes[i]);
  }
  for (gsize i = 0; i < message.n_tactics; i++)
    g_free (message.tactics[i]);
  g_free (message.tactics);
  g_free (message.values);
  g_free (message.nodes);
  return packed;
}

void
engine_file_copy_constants (const Engine *engine, guint8 *memory)
{
  gsize offset = 0;

  for (guint v = 0; v < engine->graph->values->len; v++) {
    const EngineValue *value = engine_graph_value (engine->graph, v);
    const void *data;
    gsize size;

    if (!value->data)
      continue;
    data = g_bytes_get_data (value->data, &size);
    memcpy (memory + offset, data, size);
    offset = aligned (offset + size);
  }
}

/* --- Reading -------------------------------------------------------------------------------- */

G_GNUC_PRINTF (2, 3)
static gboolean
refuse (GError **error, const char *format, ...)
{
  va_list args;

  va_start (args, format);
  if (error)
    *error = g_error_new_valist (ENGINE_ERROR, ENGINE_ERROR_FILE, format, args);
  va_end (args);
  return FALSE;
}

/* The one place where a number from the file becomes a pointer. */
static GBytes *
constant_at (GBytes *constants, guint64 offset, const EngineValue *value, GError **error)
{
  const gsize available = g_bytes_get_size (constants);
  const guint64 size = engine_value_elements (value) * engine_type_size (value->type);

  if (offset % KERNEL_ALIGN != 0 || offset > available || size > available - offset) {
    refuse (error,
        "constant '%s' (%" G_GUINT64_FORMAT " bytes at %" G_GUINT64_FORMAT
        ") lies outside the %" G_GSIZE_FORMAT " bytes of constants",
        value->name, size, offset, available);
    return NULL;
  }
  return g_bytes_new_from_bytes (constants, offset, size);
}

/* Dims whose product can be computed; the verifier knows the exact bounds. */
static gboolean
read_dims (const EngineFile__Value *in, int *dims, GError **error)
{
  gint64 elements = 1;

  if (in->n_dims < 1 || in->n_dims > ENGINE_MAX_RANK)
    return refuse (error, "value '%s' has rank %" G_GSIZE_FORMAT, in->name, in->n_dims);
  for (gsize i = 0; i < in->n_dims; i++) {
    if (in->dims[i] < 1 || in->dims[i] > ENGINE_MAX_DIM)
      return refuse (error, "value '%s' has %u elements on axis %" G_GSIZE_FORMAT, in->name,
          in->dims[i], i);
    dims[i] = in->dims[i];
    elements *= dims[i];
    if (elements > ENGINE_MAX_ELEMENTS)
      return refuse (error, "value '%s' is too large", in->name);
  }
  return TRUE;
}

static gboolean
read_factors (EngineValue *value, const EngineFile__Value *in, GError **error)
{
  if (in->n_factors != (gsize) value->dims[value->rank - 1])
    return refuse (error, "value '%s' has scales for %" G_GSIZE_FORMAT " of %d channels", in->name,
        in->n_factors, value->dims[value->rank - 1]);
  for (gsize i = 0; i < in->n_factors; i++)
    if (!(in->factors[i] > 0 && in->factors[i] <= 1))
      return refuse (error, "value '%s' has a channel's factor of %g", in->name,
          (double) in->factors[i]);
  value->factors = g_bytes_new (in->factors, in->n_factors * sizeof (float));
  return TRUE;
}

static gboolean
read_value (EngineGraph *graph, const EngineFile__Value *in, GBytes *constants, GError **error)
{
  const int type = index_of (type_names, G_N_ELEMENTS (type_names), in->type);
  int dims[ENGINE_MAX_RANK];
  EngineValue *value;
  int range;

  if (type < 0)
    return refuse (error, "value '%s' has the unknown type '%s'", in->name, in->type);
  if (!read_dims (in, dims, error))
    return FALSE;
  value = engine_graph_value (graph,
      engine_graph_add_value (graph, in->name, (EngineType) type, in->n_dims, dims));
  if (!g_str_equal (value->name, in->name))
    return refuse (error, "two values are called '%s'", in->name);
  if (in->constant) {
    value->data = constant_at (constants, in->offset, value, error);
    if (!value->data)
      return FALSE;
  }
  if (value->type != ENGINE_TYPE_S8 || (in->constant && in->scale == 0))
    return TRUE;
  range = index_of (range_names, G_N_ELEMENTS (range_names), in->range);
  if (range < 0)
    return refuse (error, "value '%s' has the unknown range '%s'", in->name, in->range);
  value->quant = (EngineQuant){in->scale, in->zero, (EngineRange) range};
  return in->n_factors == 0 || read_factors (value, in, error);
}

static gboolean
read_node (EngineGraph *graph, const EngineFile__Node *in, GError **error)
{
  const int op = op_from_name (in->op);
  EngineNode node = {0};

  if (op < 0)
    return refuse (error, "layer '%s' has the unknown op '%s'", in->name, in->op);
  if (in->output >= graph->values->len ||
      engine_graph_value (graph, in->output)->producer != ENGINE_NONE)
    return refuse (error, "layer '%s' writes value %u", in->name, in->output);
  node.op = op;
  if (!engine_file_node_read (&node, in->ints, in->n_ints, in->floats, in->n_floats))
    return refuse (error, "layer '%s' has not the parameters of op '%s'", in->name, in->op);
  node.name = g_strdup (in->name);
  node.n_inputs = in->n_inputs;
  node.inputs = g_memdup2 (in->inputs, in->n_inputs * sizeof (int));
  node.output = in->output;
  engine_graph_value (graph, node.output)->producer = graph->nodes->len;
  g_array_append_val (graph->nodes, node);
  return TRUE;
}

static gboolean
read_interface (GArray *list, const uint32_t *values, gsize n, GError **error)
{
  for (gsize i = 0; i < n; i++) {
    const int value = values[i];

    if (values[i] > G_MAXINT)
      return refuse (error, "value %u is named as input or output", values[i]);
    g_array_append_val (list, value);
  }
  return TRUE;
}

static gboolean
read_graph (EngineGraph *graph, const EngineFile__Engine *message, GBytes *constants,
    GError **error)
{
  if (message->n_nodes > MAX_NODES || message->n_values > MAX_VALUES)
    return refuse (error, "it has %" G_GSIZE_FORMAT " layers and %" G_GSIZE_FORMAT " values",
        message->n_nodes, message->n_values);
  for (gsize v = 0; v < message->n_values; v++)
    if (!read_value (graph, message->values[v], constants, error))
      return FALSE;
  for (gsize i = 0; i < message->n_nodes; i++)
    if (!read_node (graph, message->nodes[i], error))
      return FALSE;
  return read_interface (graph->inputs, message->inputs, message->n_inputs, error) &&
         read_interface (graph->outputs, message->outputs, message->n_outputs, error);
}

static EngineProvenance
read_provenance (const EngineFile__Engine *message)
{
  return (EngineProvenance){
      .key = g_strdup (message->key),
      .model = g_strdup (message->model),
      .table = g_strdup (message->table),
      .bias = g_strdup (message->bias),
      .dynamic_ranges = g_strdup (message->dynamic_ranges),
      .rules = g_strdup (message->rules),
      .preprocess = g_strdup (message->preprocess),
      .options = g_strdup (message->options),
      .builder = g_strdup (message->builder),
  };
}

static GPtrArray *
read_lines (char *const *lines, gsize n)
{
  GPtrArray *list = NULL;

  for (gsize i = 0; i < n; i++)
    engine_report_add (&list, "%s", lines[i]);
  return list;
}

static EngineBuildReport
read_notes (const EngineFile__Engine *message)
{
  return (EngineBuildReport){
      .inferred = read_lines (message->inferred, message->n_inferred),
      .obeyed = read_lines (message->obeyed, message->n_obeyed),
      .refused = read_lines (message->refused, message->n_refused),
      .unmatched = read_lines (message->unmatched, message->n_unmatched),
  };
}

/* Taken as it is: what it means is asked when somebody wants it. */
static void
read_tactics (Engine *engine, const EngineFile__Tactics *in)
{
  engine_tactics_add (engine, engine_tactics_new_given (in->backend, in->description, in->cpu,
                                  in->threads, in->batch, in->offered, in->names, in->n_names));
}

static Engine *
read_engine (const EngineFile__Engine *message, GBytes *constants, GError **error)
{
  static const char *const precisions[] = {"int8", "fp32", "mixed", "fp16"};
  const int precision = index_of (precisions, G_N_ELEMENTS (precisions), message->precision);
  g_autoptr (EngineGraph) graph = engine_graph_new ();
  EngineProvenance provenance;
  Engine *engine;

  if (precision < 0) {
    refuse (error, "its precision is '%s'", message->precision);
    return NULL;
  }
  if (!read_graph (graph, message, constants, error))
    return NULL;
  provenance = read_provenance (message);
  engine = engine_new (g_steal_pointer (&graph), (EnginePrecision) precision, &provenance);
  engine->notes = read_notes (message);
  for (gsize i = 0; i < message->n_tactics; i++)
    read_tactics (engine, message->tactics[i]);
  return engine;
}

Engine *
engine_file_unpack (const void *packed, gsize size, GBytes *constants, GError **error)
{
  EngineOnnxBudget budget = {.limit = MEMORY_AT_LEAST + MEMORY_OF_A_BYTE * size};
  ProtobufCMessage *message =
      engine_onnx_wire_unpack (&engine_file__engine__descriptor, packed, size, &budget);
  Engine *engine = NULL;

  if (!message)
    refuse (error, "its description of the network %s",
        budget.used > budget.limit ? "would take far more memory than any of its size"
                                   : "cannot be read");
  else
    engine = read_engine ((const EngineFile__Engine *) message, constants, error);
  engine_onnx_wire_free (message, &budget);
  return engine;
}
