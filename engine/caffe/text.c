/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * caffe/text.c: the text format of protobuf, by the descriptor of a message.
 *
 * Memory is the budget's, as of messages unpacked from bytes: each byte of text becomes some bytes of
 * structs, and arrays grow by doubling. Messages nest as deeply as the descriptor does, and what is
 * skipped is walked without recursion.
 */
#include "engine/caffe/text.h"

#include <string.h>

#include "engine/caffe/token.h"
#include "engine/engine.h"

#define TOLERANT       2 /* levels at which fields may be unknown */
#define FIRST_ELEMENTS 4

typedef struct {
  EngineCaffeTokens t;
  int depth; /* of messages */
  ProtobufCAllocator allocator;
  EngineOnnxBudget *budget;
} Reader;

#define FAIL(reader, ...) engine_caffe_token_fail (&(reader)->t, error, __VA_ARGS__)

/* --- Memory --------------------------------------------------------------------------------- */

static gpointer
allocate (Reader *reader, gsize size, GError **error)
{
  gpointer memory = reader->allocator.alloc (reader->allocator.allocator_data, size);

  if (!memory)
    g_set_error (error, ENGINE_ERROR, ENGINE_ERROR_MEMORY,
        "line %d: reading takes more than %" G_GSIZE_FORMAT " MiB; no real model does",
        reader->t.token_line, reader->budget->limit >> 20);
  return memory;
}

static gsize
element_size (const ProtobufCFieldDescriptor *field)
{
  switch (field->type) {
  case PROTOBUF_C_TYPE_BOOL:
    return sizeof (protobuf_c_boolean);
  case PROTOBUF_C_TYPE_FLOAT:
    return sizeof (float);
  case PROTOBUF_C_TYPE_ENUM:
    return sizeof (int);
  case PROTOBUF_C_TYPE_INT64:
    return sizeof (gint64);
  default:
    return sizeof (gpointer); /* text and messages */
  }
}

/* Where the next value of the field goes. The element counts at once: freeing a message that is not
 * finished must find it, so texts and messages in it are NULL first. */
static gpointer
element (Reader *reader, ProtobufCMessage *message, const ProtobufCFieldDescriptor *field,
    GError **error)
{
  gpointer member = (guint8 *) message + field->offset;
  gsize *n = (gsize *) ((guint8 *) message + field->quantifier_offset);
  const gsize size = element_size (field);
  gpointer grown;

  if (field->label != PROTOBUF_C_LABEL_REPEATED)
    return member;
  if (*n == 0 || (*n >= FIRST_ELEMENTS && (*n & (*n - 1)) == 0)) {
    grown = allocate (reader, MAX (*n * 2, FIRST_ELEMENTS) * size, error);
    if (!grown)
      return NULL;
    if (*n > 0) {
      memcpy (grown, *(gpointer *) member, *n * size);
      reader->allocator.free (reader->allocator.allocator_data, *(gpointer *) member);
    }
    *(gpointer *) member = grown;
  }
  return memset (*(guint8 **) member + (*n)++ * size, 0, size);
}

/* --- Values --------------------------------------------------------------------------------- */

static gboolean
read_integer (Reader *reader, const char *name, gint64 *value, GError **error)
{
  char *end;

  *value = g_ascii_strtoll (reader->t.token->str, &end, 0);
  if (reader->t.kind != ENGINE_CAFFE_NUMBER || *end || end == reader->t.token->str ||
      *value == G_MAXINT64 || *value == G_MININT64)
    return FAIL (reader, "%s is '%.64s', which is no integer", name, reader->t.token->str);
  return TRUE;
}

static gboolean
read_float (Reader *reader, const char *name, float *value, GError **error)
{
  char *end;

  *value = (float) g_ascii_strtod (reader->t.token->str, &end);
  if ((reader->t.kind != ENGINE_CAFFE_NUMBER && reader->t.kind != ENGINE_CAFFE_WORD) ||
      end == reader->t.token->str || (*end && strcmp (end, "f") != 0))
    return FAIL (reader, "%s is '%.64s', which is no number", name, reader->t.token->str);
  return TRUE;
}

static gboolean
read_bool (Reader *reader, const char *name, protobuf_c_boolean *value, GError **error)
{
  const char *text = reader->t.token->str;

  *value = strcmp (text, "true") == 0 || strcmp (text, "1") == 0 || strcmp (text, "t") == 0;
  if (*value || strcmp (text, "false") == 0 || strcmp (text, "0") == 0 || strcmp (text, "f") == 0)
    return TRUE;
  return FAIL (reader, "%s is '%.64s'; it is true or false", name, text);
}

static gboolean
read_enum (Reader *reader, const ProtobufCFieldDescriptor *field, int *value, GError **error)
{
  const ProtobufCEnumDescriptor *type = field->descriptor;
  const ProtobufCEnumValue *found =
      protobuf_c_enum_descriptor_get_value_by_name (type, reader->t.token->str);
  char *end;
  const gint64 number = g_ascii_strtoll (reader->t.token->str, &end, 10);

  if (!found && reader->t.kind == ENGINE_CAFFE_NUMBER && !*end && number >= 0 && number < G_MAXINT)
    found = protobuf_c_enum_descriptor_get_value (type, (int) number);
  if (!found)
    return FAIL (reader, "%s cannot be '%.64s'", field->name, reader->t.token->str);
  *value = found->value;
  return TRUE;
}

/* Texts may be in several pieces; V1 has words where there are texts since. Goes on to what follows. */
static gboolean
read_text (Reader *reader, const char *name, char **value, GError **error)
{
  g_autofree char *text = NULL;

  if (reader->t.kind != ENGINE_CAFFE_STRING && reader->t.kind != ENGINE_CAFFE_WORD)
    return FAIL (reader, "%s is '%.64s'; a text in quotes is expected", name, reader->t.token->str);
  do {
    const gboolean more = reader->t.kind == ENGINE_CAFFE_STRING;
    char *before = g_steal_pointer (&text);

    text = g_strconcat (before ? before : "", reader->t.token->str, NULL);
    g_free (before);
    if (strlen (text) > ENGINE_CAFFE_MAX_TOKEN)
      return FAIL (reader, "a text of more than %d bytes", ENGINE_CAFFE_MAX_TOKEN);
    if (!engine_caffe_token_next (&reader->t, error))
      return FALSE;
    if (!more)
      break;
  } while (reader->t.kind == ENGINE_CAFFE_STRING);
  *value = allocate (reader, strlen (text) + 1, error);
  if (*value)
    strcpy (*value, text);
  return *value != NULL;
}

static ProtobufCMessage *read_message (Reader *reader, const ProtobufCMessageDescriptor *descriptor,
    char end, GError **error);

static gboolean
read_submessage (Reader *reader, const ProtobufCFieldDescriptor *field, gpointer *where,
    GError **error)
{
  const char end =
      engine_caffe_token_is (&reader->t, '{') || engine_caffe_token_is (&reader->t, '<')
          ? engine_caffe_token_closing (&reader->t)
          : 0;

  if (!end)
    return engine_caffe_token_unexpected (&reader->t, "'{'", error);
  if (!engine_caffe_token_next (&reader->t, error))
    return FALSE;
  reader->depth++;
  *where = read_message (reader, field->descriptor, end, error);
  reader->depth--;
  return *where && engine_caffe_token_next (&reader->t, error);
}

static gboolean
read_value (Reader *reader, ProtobufCMessage *message, const ProtobufCFieldDescriptor *field,
    GError **error)
{
  gpointer where = element (reader, message, field, error);
  gboolean ok;

  if (!where)
    return FALSE;
  switch (field->type) {
  case PROTOBUF_C_TYPE_MESSAGE:
    return read_submessage (reader, field, where, error);
  case PROTOBUF_C_TYPE_STRING:
    return read_text (reader, field->name, where, error);
  case PROTOBUF_C_TYPE_BOOL:
    ok = read_bool (reader, field->name, where, error);
    break;
  case PROTOBUF_C_TYPE_FLOAT:
    ok = read_float (reader, field->name, where, error);
    break;
  case PROTOBUF_C_TYPE_ENUM:
    ok = read_enum (reader, field, where, error);
    break;
  case PROTOBUF_C_TYPE_INT64:
    ok = read_integer (reader, field->name, where, error);
    break;
  default:
    g_assert_not_reached (); /* the schema has no other */
  }
  return ok && engine_caffe_token_next (&reader->t, error);
}

/* --- Messages ------------------------------------------------------------------------------- */

/* Single fields may be there once. */
static gboolean
mark (const Reader *reader, ProtobufCMessage *message, const ProtobufCFieldDescriptor *field,
    guint64 *seen, GError **error)
{
  const guint64 bit = (guint64) 1 << (field - message->descriptor->fields);
  const gboolean counted =
      field->type != PROTOBUF_C_TYPE_MESSAGE && field->type != PROTOBUF_C_TYPE_STRING;

  if (field->label == PROTOBUF_C_LABEL_REPEATED)
    return TRUE;
  if (*seen & bit)
    return FAIL (reader, "%s is there twice", field->name);
  *seen |= bit;
  if (counted)
    *(protobuf_c_boolean *) ((guint8 *) message + field->quantifier_offset) = TRUE;
  return TRUE;
}

/* [1, 2, 3] */
static gboolean
read_list (Reader *reader, ProtobufCMessage *message, const ProtobufCFieldDescriptor *field,
    GError **error)
{
  if (field->label != PROTOBUF_C_LABEL_REPEATED)
    return FAIL (reader, "a list, but %s has one value", field->name);
  if (!engine_caffe_token_next (&reader->t, error))
    return FALSE;
  while (!engine_caffe_token_is (&reader->t, ']')) {
    if (!read_value (reader, message, field, error))
      return FALSE;
    if (engine_caffe_token_is (&reader->t, ',') ? !engine_caffe_token_next (&reader->t, error)
                                                : !engine_caffe_token_is (&reader->t, ']'))
      return *error ? FALSE : engine_caffe_token_unexpected (&reader->t, "']'", error);
  }
  return engine_caffe_token_next (&reader->t, error);
}

static gboolean
read_field (Reader *reader, ProtobufCMessage *message, guint64 *seen, GError **error)
{
  const ProtobufCMessageDescriptor *descriptor = message->descriptor;
  const ProtobufCFieldDescriptor *field =
      protobuf_c_message_descriptor_get_field_by_name (descriptor, reader->t.token->str);
  gboolean ok;

  if (reader->t.kind != ENGINE_CAFFE_WORD)
    return engine_caffe_token_unexpected (&reader->t, "the name of a field", error);
  if (!field && reader->depth >= TOLERANT && descriptor->n_fields > 0)
    return FAIL (reader, "'%.64s' is not known here (%s), and might change what the layer computes",
        reader->t.token->str, descriptor->short_name);
  if (field && !mark (reader, message, field, seen, error))
    return FALSE;
  if (!engine_caffe_token_next (&reader->t, error))
    return FALSE;
  if (engine_caffe_token_is (&reader->t, ':')) {
    if (!engine_caffe_token_next (&reader->t, error))
      return FALSE;
  } else if (!engine_caffe_token_is (&reader->t, '{') && !engine_caffe_token_is (&reader->t, '<')) {
    return engine_caffe_token_unexpected (&reader->t, "':'", error);
  }
  ok = !field                                    ? engine_caffe_token_skip (&reader->t, error)
       : engine_caffe_token_is (&reader->t, '[') ? read_list (reader, message, field, error)
                                                 : read_value (reader, message, field, error);
  if (ok && (engine_caffe_token_is (&reader->t, ',') || engine_caffe_token_is (&reader->t, ';')))
    ok = engine_caffe_token_next (&reader->t, error);
  return ok;
}

/* Fields up to the closing sign, or, if end is 0, to the end of the text. */
static ProtobufCMessage *
read_message (Reader *reader, const ProtobufCMessageDescriptor *descriptor, char end,
    GError **error)
{
  ProtobufCMessage *message = allocate (reader, descriptor->sizeof_message, error);
  guint64 seen = 0;

  if (!message)
    return NULL;
  protobuf_c_message_init (descriptor, message);
  while (end ? !engine_caffe_token_is (&reader->t, end) : reader->t.kind != ENGINE_CAFFE_END) {
    const gboolean ok =
        reader->t.kind == ENGINE_CAFFE_END
            ? engine_caffe_token_unexpected (&reader->t, end == '}' ? "'}'" : "'>'", error)
            : read_field (reader, message, &seen, error);

    if (!ok) {
      protobuf_c_message_free_unpacked (message, &reader->allocator);
      return NULL;
    }
  }
  return message;
}

ProtobufCMessage *
engine_caffe_text (const ProtobufCMessageDescriptor *descriptor, const char *text, gsize size,
    EngineOnnxBudget *budget, GError **error)
{
  g_autoptr (GString) token = g_string_new (NULL);
  g_autoptr (GError) cause = NULL;
  Reader reader = {.t = {.at = text, .end = text + size, .line = 1, .token = token},
      .allocator = engine_onnx_wire_allocator (budget),
      .budget = budget};
  ProtobufCMessage *message = NULL;

  if (size >= 3 && memcmp (text, "\xef\xbb\xbf", 3) == 0)
    reader.t.at += 3; /* some editors mark UTF-8 */
  if (engine_caffe_token_next (&reader.t, &cause))
    message = read_message (&reader, descriptor, 0, &cause);
  if (cause)
    g_propagate_error (error, g_steal_pointer (&cause));
  return message;
}
