/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* onnx-text.c: ONNX files from one line of text. */
#include "tests/engine/onnx-text.h"

#include <stdlib.h>
#include <string.h>

/* --- The wire ------------------------------------------------------------------------------- */

void
onnx_varint (GByteArray *out, guint64 value)
{
  do {
    const guint8 byte = (value & 0x7f) | (value > 0x7f ? 0x80 : 0);

    g_byte_array_append (out, &byte, 1);
    value >>= 7;
  } while (value);
}

void
onnx_int (GByteArray *out, int field, gint64 value)
{
  onnx_varint (out, (guint64) field << 3);
  onnx_varint (out, value);
}

void
onnx_bytes (GByteArray *out, int field, gconstpointer data, gsize size)
{
  onnx_varint (out, (guint64) field << 3 | 2);
  onnx_varint (out, size);
  g_byte_array_append (out, data, size);
}

void
onnx_string (GByteArray *out, int field, const char *text)
{
  onnx_bytes (out, field, text, strlen (text));
}

void
onnx_message (GByteArray *out, int field, GByteArray *message)
{
  onnx_bytes (out, field, message->data ? message->data : (const guint8 *) "", message->len);
  g_byte_array_unref (message);
}

static void
onnx_float (GByteArray *out, int field, float value)
{
  onnx_varint (out, (guint64) field << 3 | 5);
  g_byte_array_append (out, (const guint8 *) &value, sizeof value); /* tests run on little-endian */
}

/* --- Tensors -------------------------------------------------------------------------------- */

enum { FLOAT = 1, INT8 = 3, INT64 = 7 };

/* "name" or "name:type" */
static char *
split_type (const char *word, int *type)
{
  const char *colon = strrchr (word, ':');

  if (!colon || !g_ascii_isdigit (colon[1]))
    return g_strdup (word);
  *type = atoi (colon + 1);
  return g_strndup (word, colon - word);
}

/* Words from i on up to "=" or the end, or a word with "=" in it. */
static int
add_dims (GByteArray *tensor, char **words, int i, guint64 *elements)
{
  *elements = 1;
  for (; words[i] && !strchr (words[i], '='); i++) {
    const gint64 dim = g_ascii_strtoll (words[i], NULL, 10);

    onnx_int (tensor, 1, dim);
    *elements *= dim;
  }
  return i;
}

static GByteArray *
floats_tensor (char **words)
{
  GByteArray *tensor = g_byte_array_new ();
  g_autoptr (GByteArray) raw = g_byte_array_new ();
  guint64 elements;
  int i = add_dims (tensor, words, 2, &elements);

  for (guint64 k = 0; k < elements; k++) {
    const float value = words[i] ? g_ascii_strtod (words[i + 1 + k], NULL) : 1;

    g_byte_array_append (raw, (const guint8 *) &value, sizeof value);
  }
  onnx_int (tensor, 2, FLOAT);
  onnx_string (tensor, 8, words[1]);
  onnx_bytes (tensor, 9, raw->data, raw->len);
  return tensor;
}

static GByteArray *
ints_tensor (char **words, gboolean scalar)
{
  GByteArray *tensor = g_byte_array_new ();
  g_autoptr (GByteArray) raw = g_byte_array_new ();

  for (int i = 3; words[i]; i++) {
    const gint64 value = g_ascii_strtoll (words[i], NULL, 10);

    g_byte_array_append (raw, (const guint8 *) &value, sizeof value);
  }
  if (!scalar)
    onnx_int (tensor, 1, raw->len / 8);
  onnx_int (tensor, 2, INT64);
  onnx_string (tensor, 8, words[1]);
  onnx_bytes (tensor, 9, raw->data, raw->len);
  return tensor;
}

/* In int32_data, where all small types have a place; ones without a "=". */
static GByteArray *
levels_tensor (char **words)
{
  GByteArray *tensor = g_byte_array_new ();
  int type = INT8;
  g_autofree char *name = split_type (words[1], &type);
  guint64 elements;
  const int i = add_dims (tensor, words, 2, &elements);

  for (guint64 k = 0; k < elements; k++)
    onnx_int (tensor, 5, words[i] ? g_ascii_strtoll (words[i + 1 + k], NULL, 10) : 1);
  onnx_int (tensor, 2, type);
  onnx_string (tensor, 8, name);
  return tensor;
}

static GByteArray *
claimed_tensor (char **words)
{
  GByteArray *tensor = g_byte_array_new ();
  int type = FLOAT;
  g_autofree char *name = split_type (words[1], &type);
  guint64 elements;

  add_dims (tensor, words, 2, &elements);
  onnx_int (tensor, 2, type);
  onnx_string (tensor, 8, name);
  onnx_bytes (tensor, 9, "\0\0\200\77", 4);
  return tensor;
}

static GByteArray *
external_tensor (char **words)
{
  GByteArray *tensor = g_byte_array_new ();
  guint64 elements;

  for (int i = add_dims (tensor, words, 2, &elements); words[i]; i++) {
    GByteArray *entry = g_byte_array_new ();
    g_auto (GStrv) pair = g_strsplit (words[i], "=", 2);

    onnx_string (entry, 1, pair[0]);
    onnx_string (entry, 2, pair[1]);
    onnx_message (tensor, 13, entry);
  }
  onnx_int (tensor, 2, FLOAT);
  onnx_string (tensor, 8, words[1]);
  onnx_int (tensor, 14, 1);
  return tensor;
}

/* --- Inputs, nodes --------------------------------------------------------------------------- */

static GByteArray *
value_info (char **words)
{
  GByteArray *info = g_byte_array_new (), *shape = g_byte_array_new ();
  GByteArray *tensor = g_byte_array_new (), *type = g_byte_array_new ();
  int data_type = FLOAT;
  g_autofree char *name = split_type (words[1], &data_type);

  for (int i = 2; words[i]; i++) {
    GByteArray *dim = g_byte_array_new ();

    if (words[i][0] == '?')
      onnx_string (dim, 2, words[i]);
    else
      onnx_int (dim, 1, g_ascii_strtoll (words[i], NULL, 10));
    onnx_message (shape, 1, dim);
  }
  onnx_int (tensor, 1, data_type);
  if (words[2])
    onnx_message (tensor, 2, shape);
  else
    g_byte_array_unref (shape);
  onnx_message (type, 1, tensor);
  onnx_string (info, 1, name);
  onnx_message (info, 2, type);
  return info;
}

static GByteArray *
attribute (const char *word)
{
  enum { TYPE_FLOAT = 1, TYPE_INT, TYPE_STRING, TYPE_TENSOR, TYPE_INTS = 7 };
  GByteArray *out = g_byte_array_new ();
  g_auto (GStrv) pair = g_strsplit (word, "=", 2);
  const char *value = pair[1];
  char *end;
  int type = TYPE_STRING;

  onnx_string (out, 1, pair[0]);
  if (strcmp (value, "T") == 0) {
    static const char *const words[] = {"floats", "t", "1", NULL};

    type = TYPE_TENSOR;
    onnx_message (out, 5, floats_tensor ((char **) words));
  } else if (value[0] == '[') {
    g_auto (GStrv) items = g_strsplit_set (value, "[,]", -1);

    type = TYPE_INTS;
    for (int i = 0; items[i]; i++)
      if (items[i][0])
        onnx_int (out, 8, g_ascii_strtoll (items[i], NULL, 10));
  } else if (value[0] && strchr ("-0123456789", value[0])) {
    const gint64 integer = g_ascii_strtoll (value, &end, 10);

    type = *end ? TYPE_FLOAT : TYPE_INT;
    if (*end)
      onnx_float (out, 2, g_ascii_strtod (value, NULL));
    else
      onnx_int (out, 3, integer);
  } else if (value[0]) {
    onnx_string (out, 4, value);
  }
  onnx_int (out, 20, type);
  return out;
}

static GByteArray *
node (char **words)
{
  GByteArray *out = g_byte_array_new ();
  const char *dot = strrchr (words[0], '.');
  int field = 1;

  onnx_string (out, 4, dot ? dot + 1 : words[0]);
  if (dot) {
    g_autofree char *domain = g_strndup (words[0], dot - words[0]);

    onnx_string (out, 7, domain);
  }
  for (int i = 1; words[i]; i++) {
    if (strcmp (words[i], "->") == 0)
      field = 2;
    else if (strchr (words[i], '='))
      onnx_message (out, 5, attribute (words[i]));
    else
      onnx_string (out, field, strcmp (words[i], "_") == 0 ? "" : words[i]);
  }
  return out;
}

/* --- Models --------------------------------------------------------------------------------- */

static void
add_opset (GByteArray *model, char **words)
{
  GByteArray *opset = g_byte_array_new ();

  if (words[2])
    onnx_string (opset, 1, words[1]);
  onnx_int (opset, 2, g_ascii_strtoll (words[2] ? words[2] : words[1], NULL, 10));
  onnx_message (model, 8, opset);
}

static void
add_statement (GByteArray *model, GByteArray *graph, char **words, gboolean *has_opset)
{
  const char *word = words[0];

  if (strcmp (word, "opset") == 0) {
    *has_opset = TRUE;
    if (strcmp (words[1], "-") != 0)
      add_opset (model, words);
  } else if (strcmp (word, "input") == 0) {
    onnx_message (graph, 11, value_info (words));
  } else if (strcmp (word, "output") == 0) {
    onnx_message (graph, 12, value_info (words));
  } else if (strcmp (word, "floats") == 0) {
    onnx_message (graph, 5, floats_tensor (words));
  } else if (strcmp (word, "ints") == 0 || strcmp (word, "int") == 0) {
    onnx_message (graph, 5, ints_tensor (words, strcmp (word, "int") == 0));
  } else if (strcmp (word, "levels") == 0) {
    onnx_message (graph, 5, levels_tensor (words));
  } else if (strcmp (word, "claim") == 0) {
    onnx_message (graph, 5, claimed_tensor (words));
  } else if (strcmp (word, "file") == 0) {
    onnx_message (graph, 5, external_tensor (words));
  } else {
    onnx_message (graph, 1, node (words));
  }
}

GByteArray *
onnx_text (const char *text)
{
  GByteArray *model = g_byte_array_new (), *graph = g_byte_array_new ();
  g_auto (GStrv) statements = g_strsplit (text, ";", -1);
  gboolean has_opset = FALSE;

  onnx_int (model, 1, 8);
  for (int i = 0; statements[i]; i++) {
    g_auto (GStrv) words = g_strsplit (g_strstrip (statements[i]), " ", -1);

    if (words[0])
      add_statement (model, graph, words, &has_opset);
  }
  if (!has_opset)
    add_opset (model, (char *[]){(char *) "opset", (char *) "13", NULL});
  onnx_message (model, 7, graph);
  return model;
}
