/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * file-unpack.c: the graph, its provenance and its tactics from the message of file.proto. Reading only makes
 * sure that what it builds is safe to look at; whether it is a sound graph is the verifier's question.
 */
#include "engine/file.h"
#include "engine/onnx/wire.h"
#include "engine/tactics.h"
#include "file.pb-c.h"

/* Unpacked, a network takes up to 13 times the bytes of its message (measured; the shorter the names, the
 * more); empty values, two bytes each, would take 100 times. */
#define MEMORY_OF_A_BYTE 24
#define MEMORY_AT_LEAST  65536

/* Planning takes time with the square of these: 0.4 s at the most. The importer takes 16384 nodes, and
 * quantising adds a conversion to few of them. */
#define MAX_NODES  32768
#define MAX_VALUES (8 * MAX_NODES)

/* The value of an enumeration that has this name, or -1. */
#define FROM_NAME(what, COUNT)                                                                     \
  static int what##_from_name (const char *name)                                                   \
  {                                                                                                \
    for (int i = 0; i < COUNT; i++)                                                                \
      if (g_str_equal (engine_##what##_name (i), name))                                            \
        return i;                                                                                  \
    return -1;                                                                                     \
  }
FROM_NAME (op, ENGINE_OP_COUNT)
FROM_NAME (type, ENGINE_TYPE_COUNT)
FROM_NAME (range, ENGINE_RANGE_COUNT)
FROM_NAME (precision, ENGINE_PRECISION_COUNT)

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
  const int type = type_from_name (in->type);
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
  range = range_from_name (in->range);
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
  const int precision = precision_from_name (message->precision);
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
