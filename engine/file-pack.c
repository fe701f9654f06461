/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* file-pack.c: a graph, its provenance and its tactics into the message of file.proto. */
#include "engine/file.h"
#include "engine/tactics.h"
#include "file.pb-c.h"

#include <string.h>

static gsize
aligned (gsize size)
{
  return (size + KERNEL_ALIGN - 1) / KERNEL_ALIGN * KERNEL_ALIGN;
}

static EngineFile__Value *
write_value (const EngineValue *value, gsize *constants_size)
{
  EngineFile__Value *out = g_new (EngineFile__Value, 1);

  engine_file__value__init (out);
  out->name = value->name;
  out->type = (char *) engine_type_name (value->type);
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
    out->range = (char *) engine_range_name (value->quant.range);
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
