/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * onnx-text.h: ONNX files from one line of text, byte by byte, so that tests can also make those
 * that no library would write. Statements between semicolons:
 *
 *   opset 13                        the default; "opset -" leaves it out; "opset com.foo 1"
 *   input x 1 3 8 8                 float; ? is not fixed; "input x:2 ..." has data type 2; "input x"
 *                                   alone has no shape
 *   output y
 *   floats w 4 3 3 3                that many ones
 *   floats b 2 = 0.5 nan
 *   ints s = 1 -1                   int64, rank 1
 *   int k = 3                       int64, rank 0
 *   levels w 2 2 = 1 -2 3 4         int8; "levels w:2 ..." is uint8, w:6 int32, others as said
 *   claim w 1 1000 1000             a float tensor that says so and has 4 bytes; "claim w:10 ..."
 *                                   has data type 10
 *   file w 4 3 3 3 location=a.bin offset=0 ...
 *   Conv x w _ -> y pads=[1,1,1,1] group=1 alpha=0.5f auto_pad=VALID
 *   com.foo.Op x -> y               an op of another domain
 *
 * "_" is an input or output that is left out. Integers, floats with an f, lists and words become
 * attributes of their type; "x=" has a type but no value, "x=T" is a tensor.
 */
#pragma once

#include <glib.h>

/* The wire, for what the text cannot say. */
void onnx_varint (GByteArray *out, guint64 value);
void onnx_int (GByteArray *out, int field, gint64 value);
void onnx_bytes (GByteArray *out, int field, gconstpointer data, gsize size);
void onnx_string (GByteArray *out, int field, const char *text);
/* Takes the message. */
void onnx_message (GByteArray *out, int field, GByteArray *message);

/* A ModelProto; aborts on text that it does not understand. */
GByteArray *onnx_text (const char *text);
