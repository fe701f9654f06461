/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* caffe/text.h: protobuf's text format, as a prototxt is written in it. Internal to the importer. */
#pragma once

#include "engine/onnx/wire.h"

/* Reads text as a message, within a budget; NULL with an error that says the line. A field that
 * descriptor does not know is skipped, with all that is nested in it, in the first two levels of
 * messages and in messages without fields; elsewhere it is refused. Free with
 * engine_onnx_wire_free(), the budget still there. */
ProtobufCMessage *engine_caffe_text (const ProtobufCMessageDescriptor *descriptor, const char *text,
    gsize size, EngineOnnxBudget *budget, GError **error);
