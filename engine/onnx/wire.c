/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* onnx/wire.c: protobuf bytes, checked without recursion and unpacked within a budget. */
#include "engine/onnx/wire.h"

#include <stddef.h>

#include "engine/engine.h"

/* --- Walking -------------------------------------------------------------------------------- */

#define MAX_DEPTH 16 /* messages in messages; ONNX has 6, and 3 more for each graph in a graph */

enum { WIRE_VARINT, WIRE_64, WIRE_BYTES, WIRE_GROUP, WIRE_GROUP_END, WIRE_32 };

typedef struct {
  const ProtobufCMessageDescriptor *descriptor;
  gsize end;
  guint64 seen; /* single messages met, by the index of their field */
} Frame;

typedef struct {
  const EngineOnnxWireFormat *format;
  const guint8 *data;
  gsize at;
  Frame stack[MAX_DEPTH];
  int depth;
} Walk;

static gboolean
not_it (const Walk *walk, const char *what, GError **error)
{
  g_set_error (error, ENGINE_ERROR, ENGINE_ERROR_MODEL,
      "this is not %s: %s at byte %" G_GSIZE_FORMAT "; %s", walk->format->name, what, walk->at,
      walk->format->hint);
  return FALSE;
}

/* At the top, what the file lacks was cut off; deeper, the lengths contradict each other. */
static gboolean
too_short (const Walk *walk, const char *what, GError **error)
{
  if (walk->depth > 1)
    return not_it (walk, what, error);
  g_set_error (error, ENGINE_ERROR, ENGINE_ERROR_MODEL,
      "the file is truncated: it ends with %s; copy or download it again", what);
  return FALSE;
}

static gboolean
read_varint (Walk *walk, gsize end, guint64 *value)
{
  *value = 0;
  for (int shift = 0; shift < 70 && walk->at < end; shift += 7) {
    const guint8 byte = walk->data[walk->at++];

    if (shift < 64)
      *value |= (guint64) (byte & 0x7f) << shift;
    if (byte < 0x80)
      return TRUE;
  }
  return FALSE;
}

/* The wire types that a field of the schema may have. */
static gboolean
fits (const ProtobufCFieldDescriptor *field, int wire)
{
  const gboolean repeated = field->label == PROTOBUF_C_LABEL_REPEATED;

  switch (field->type) {
  case PROTOBUF_C_TYPE_MESSAGE:
  case PROTOBUF_C_TYPE_STRING:
  case PROTOBUF_C_TYPE_BYTES:
    return wire == WIRE_BYTES;
  case PROTOBUF_C_TYPE_FLOAT:
    return wire == WIRE_32 || (repeated && wire == WIRE_BYTES);
  case PROTOBUF_C_TYPE_DOUBLE:
    return wire == WIRE_64 || (repeated && wire == WIRE_BYTES);
  default:
    return wire == WIRE_VARINT || (repeated && wire == WIRE_BYTES);
  }
}

static gboolean
enter (Walk *walk, const ProtobufCFieldDescriptor *field, gsize end, GError **error)
{
  Frame *frame = &walk->stack[walk->depth - 1];
  const guint64 bit = (guint64) 1 << ((field - frame->descriptor->fields) & 63);

  if (field->label != PROTOBUF_C_LABEL_REPEATED && frame->seen & bit)
    return not_it (walk, "a message that may be there once is there twice", error);
  frame->seen |= bit;
  if (walk->depth == MAX_DEPTH)
    return not_it (walk, "messages are nested too deeply", error);
  walk->stack[walk->depth++] = (Frame){field->descriptor, end, 0};
  return TRUE;
}

static gboolean
walk_bytes (Walk *walk, const ProtobufCFieldDescriptor *field, gsize end, GError **error)
{
  guint64 length;

  if (!read_varint (walk, end, &length))
    return too_short (walk, "a length without end", error);
  if (length > end - walk->at) {
    if (!field || walk->depth > 1)
      return not_it (walk, "a field that leaves its message", error);
    g_set_error (error, ENGINE_ERROR, ENGINE_ERROR_MODEL,
        "the file is truncated: field \"%s\" at byte %" G_GSIZE_FORMAT " has %" G_GUINT64_FORMAT
        " bytes, but only %" G_GSIZE_FORMAT " follow; copy or download it again",
        field->name, walk->at, length, end - walk->at);
    return FALSE;
  }
  if (field && field->type == PROTOBUF_C_TYPE_MESSAGE)
    return enter (walk, field, walk->at + length, error);
  walk->at += length;
  return TRUE;
}

static gboolean
walk_field (Walk *walk, GError **error)
{
  const Frame *frame = &walk->stack[walk->depth - 1];
  const gsize end = frame->end;
  const ProtobufCFieldDescriptor *field;
  guint64 tag, value;
  gsize fixed;

  if (!read_varint (walk, end, &tag) || tag >> 3 == 0 || tag >> 3 > G_MAXINT32 / 8)
    return not_it (walk, "a field without a number", error);
  field = protobuf_c_message_descriptor_get_field (frame->descriptor, tag >> 3);
  if (field && !fits (field, tag & 7))
    return not_it (walk, "a field of another type", error);
  switch (tag & 7) {
  case WIRE_VARINT:
    return read_varint (walk, end, &value) || too_short (walk, "a number without end", error);
  case WIRE_BYTES:
    return walk_bytes (walk, field, end, error);
  case WIRE_32:
  case WIRE_64:
    fixed = (tag & 7) == WIRE_32 ? 4 : 8;
    if (end - walk->at < fixed)
      return too_short (walk, "a number without end", error);
    walk->at += fixed;
    return TRUE;
  default:
    return not_it (walk, "a field of a type that it does not use", error);
  }
}

gboolean
engine_onnx_wire_check (const EngineOnnxWireFormat *format, const guint8 *data, gsize size,
    GError **error)
{
  Walk walk = {format, data, 0, {{format->descriptor, size, 0}}, 1};

  while (walk.depth > 0) {
    if (walk.at == walk.stack[walk.depth - 1].end)
      walk.depth--;
    else if (!walk_field (&walk, error))
      return FALSE;
  }
  return TRUE;
}

/* --- Unpacking ------------------------------------------------------------------------------ */

/* Before each allocation, so that freeing knows what it gives back. */
typedef union {
  gsize size;
  max_align_t align;
} Header;

static void *
budget_alloc (void *data, size_t size)
{
  EngineOnnxBudget *budget = data;
  const gsize all = size + sizeof (Header);
  Header *header;

  if (all < size || budget->used > budget->limit)
    return NULL;
  budget->used += all;
  if (budget->used > budget->limit)
    return NULL; /* and used tells why */
  budget->peak = MAX (budget->peak, budget->used);
  header = g_try_malloc (all);
  if (!header)
    return NULL;
  header->size = all;
  return header + 1;
}

static void
budget_free (void *data, void *memory)
{
  EngineOnnxBudget *budget = data;
  Header *header = (Header *) memory - 1;

  if (!memory)
    return;
  if (budget->used <= budget->limit)
    budget->used -= header->size;
  g_free (header);
}

ProtobufCAllocator
engine_onnx_wire_allocator (EngineOnnxBudget *budget)
{
  return (ProtobufCAllocator){budget_alloc, budget_free, budget};
}

ProtobufCMessage *
engine_onnx_wire_unpack (const ProtobufCMessageDescriptor *descriptor, const guint8 *data,
    gsize size, EngineOnnxBudget *budget)
{
  ProtobufCAllocator allocator = engine_onnx_wire_allocator (budget);

  return protobuf_c_message_unpack (descriptor, &allocator, size, data);
}

ProtobufCMessage *
engine_onnx_wire_load (const ProtobufCMessageDescriptor *descriptor, const guint8 *data, gsize size,
    EngineOnnxBudget *budget, GError **error)
{
  ProtobufCMessage *message;

  budget->limit = ENGINE_ONNX_BUDGET (size);
  message = engine_onnx_wire_unpack (descriptor, data, size, budget);
  if (!message && budget->used > budget->limit)
    g_set_error (error, ENGINE_ERROR, ENGINE_ERROR_MEMORY,
        "unpacking %" G_GSIZE_FORMAT " bytes takes more than %" G_GSIZE_FORMAT
        " MiB; no real model does",
        size, budget->limit >> 20);
  else if (!message)
    g_set_error (error, ENGINE_ERROR, ENGINE_ERROR_MODEL,
        "the file is damaged: its fields cannot be read; copy or download it again");
  return message;
}

void
engine_onnx_wire_free (ProtobufCMessage *message, EngineOnnxBudget *budget)
{
  ProtobufCAllocator allocator = engine_onnx_wire_allocator (budget);

  if (message)
    protobuf_c_message_free_unpacked (message, &allocator);
}
