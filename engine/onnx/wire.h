/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * onnx/wire.h: protobuf bytes before they are unpacked. Internal to the importer.
 *
 * protobuf-c trusts its input more than a media framework may: it recurses, merges a message that
 * occurs twice by copying, and takes several times the memory of the wire. So the bytes are walked
 * first, without recursion, and unpacked within a budget.
 */
#pragma once

#include <glib.h>
#include <protobuf-c/protobuf-c.h>

typedef struct {
  const ProtobufCMessageDescriptor *descriptor; /* of the whole file */
  const char *name, *hint; /* "an ONNX file", "export the model to ONNX" */
} EngineOnnxWireFormat;

/* Walks a message and those in it, as far as the descriptor knows them. ENGINE_ERROR_MODEL tells a
 * file that ends too early from one that is something else. */
gboolean engine_onnx_wire_check (const EngineOnnxWireFormat *format, const guint8 *data, gsize size,
    GError **error);

typedef struct {
  gsize used, peak, limit;
} EngineOnnxBudget;

/* What a model's message may take: unpacked structs are larger than their bytes on the wire (2 bytes may become a
 * struct of 150 and its pointer), but what makes a model large are weights, which stay as they are. */
#define ENGINE_ONNX_BUDGET(size) ((16 << 20) + (gsize) (size) * 64)

/* Memory for messages that are made in other ways; NULL when limit would be exceeded. */
ProtobufCAllocator engine_onnx_wire_allocator (EngineOnnxBudget *budget);

/* NULL when the bytes do not parse, or when limit would be exceeded: then used > limit. Free with
 * engine_onnx_wire_free(), the budget still there. */
ProtobufCMessage *engine_onnx_wire_unpack (const ProtobufCMessageDescriptor *descriptor,
    const guint8 *data, gsize size, EngineOnnxBudget *budget);
/* The same for a model, with that budget. ENGINE_ERROR_MEMORY, or ENGINE_ERROR_MODEL for bytes that do not
 * parse. */
ProtobufCMessage *engine_onnx_wire_load (const ProtobufCMessageDescriptor *descriptor,
    const guint8 *data, gsize size, EngineOnnxBudget *budget, GError **error);
void engine_onnx_wire_free (ProtobufCMessage *message, EngineOnnxBudget *budget);
