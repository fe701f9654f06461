/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * caffe-text.c: the text format of protobuf, by the descriptor of a message.
 *
 * Memory is the budget's, as of messages unpacked from bytes: each byte of text becomes some bytes of
 * structs, and arrays grow by doubling. Messages nest as deeply as the descriptor does, and what is
 * skipped is walked without recursion.
 */
#include "engine/caffe-text.h"

#include <string.h>

#include "engine/engine.h"

#define MAX_NESTING    64 /* of what is skipped */
#define MAX_TOKEN      65536
#define TOLERANT       2 /* levels at which fields may be unknown */
#define FIRST_ELEMENTS 4

typedef enum { END, WORD, NUMBER, STRING, SIGN } TokenKind;

typedef struct {
  const char *at, *end;
  int line, depth;
  ProtobufCAllocator allocator;
  EngineOnnxBudget *budget;
  /* the token in front of `at`; a string's quotes are taken off and its escapes resolved */
  TokenKind kind;
  int token_line;
  GString *token;
} Reader;

#define FAIL(reader, ...) fail (reader, error, __VA_ARGS__)

G_GNUC_PRINTF (3, 4)
static gboolean
fail (const Reader *reader, GError **error, const char *format, ...)
{
  g_autofree char *cause = NULL;
  va_list args;

  va_start (args, format);
  cause = g_strdup_vprintf (format, args);
  va_end (args);
  g_set_error (error, ENGINE_ERROR, ENGINE_ERROR_MODEL, "line %d: %s", reader->token_line, cause);
  return FALSE;
}

/* --- Tokens --------------------------------------------------------------------------------- */

static void
skip_blanks (Reader *reader)
{
  while (reader->at < reader->end) {
    if (*reader->at == '#')
      while (reader->at < reader->end && *reader->at != '\n')
        reader->at++;
    else if (g_ascii_isspace (*reader->at))
      reader->line += *reader->at++ == '\n';
    else
      break;
  }
}

/* The digits of \ooo or \xhh. */
static guint
read_code (Reader *reader, guint base, int digits)
{
  guint value = 0;

  for (; digits > 0 && reader->at < reader->end; digits--, reader->at++) {
    const int digit = g_ascii_xdigit_value (*reader->at);

    if (digit < 0 || (guint) digit >= base)
      break;
    value = value * base + digit;
  }
  return value & 0xff;
}

static void
read_escape (Reader *reader)
{
  static const char names[] = "abfnrtv", values[] = "\a\b\f\n\r\t\v";
  const char c = *reader->at;
  const char *name = c ? strchr (names, c) : NULL;

  if (c >= '0' && c <= '7') {
    g_string_append_c (reader->token, (char) read_code (reader, 8, 3));
  } else if (c == 'x' || c == 'X') {
    reader->at++;
    g_string_append_c (reader->token, (char) read_code (reader, 16, 2));
  } else {
    g_string_append_c (reader->token, name ? values[name - names] : c);
    reader->at++;
  }
}

static gboolean
read_string (Reader *reader, GError **error)
{
  const char quote = *reader->at++;

  while (reader->at < reader->end && *reader->at != quote && *reader->at != '\n') {
    if (*reader->at == '\\' && reader->end - reader->at > 1) {
      reader->at++;
      read_escape (reader);
    } else {
      g_string_append_c (reader->token, *reader->at++);
    }
    if (reader->token->len > MAX_TOKEN)
      return FAIL (reader, "a text of more than %d bytes", MAX_TOKEN);
  }
  if (reader->at == reader->end || *reader->at != quote)
    return FAIL (reader, "a text without its closing quote");
  reader->at++;
  if (memchr (reader->token->str, '\0', reader->token->len))
    return FAIL (reader, "a text with a zero byte in it");
  return TRUE;
}

static gboolean
is_word (char c)
{
  return g_ascii_isalnum (c) || c == '_';
}

static gboolean
next (Reader *reader, GError **error)
{
  skip_blanks (reader);
  reader->token_line = reader->line;
  g_string_truncate (reader->token, 0);
  reader->kind = END;
  if (reader->at == reader->end)
    return TRUE;
  const char c = *reader->at, *from = reader->at;

  if (c == '"' || c == '\'') {
    reader->kind = STRING;
    return read_string (reader, error);
  }
  if (g_ascii_isdigit (c) || c == '-' || c == '+' || c == '.') {
    reader->kind = NUMBER;
    /* the signs of 1e-5 are in it */
    while (reader->at < reader->end && (is_word (*reader->at) || *reader->at == '.' ||
                                           *reader->at == '-' || *reader->at == '+'))
      reader->at++;
  } else if (is_word (c)) {
    reader->kind = WORD;
    while (reader->at < reader->end && is_word (*reader->at))
      reader->at++;
  } else {
    reader->kind = SIGN;
    reader->at++;
    if (!strchr ("{}<>[]:,;", c) || c == '\0')
      return FAIL (reader,
          g_ascii_isprint (c) ? "'%c' is not expected here" : "byte %d is not text", (guchar) c);
  }
  if (reader->at - from > MAX_TOKEN)
    return FAIL (reader, "a word of more than %d bytes", MAX_TOKEN);
  g_string_append_len (reader->token, from, reader->at - from);
  return TRUE;
}

static gboolean
is_sign (const Reader *reader, char sign)
{
  return reader->kind == SIGN && reader->token->str[0] == sign;
}

static gboolean
not_expected (const Reader *reader, const char *wanted, GError **error)
{
  if (reader->kind == END)
    return FAIL (reader, "the text ends where %s is expected: it is truncated", wanted);
  return FAIL (reader, "'%.64s' where %s is expected", reader->token->str, wanted);
}

/* --- What is skipped ------------------------------------------------------------------------ */

static char
closing (const Reader *reader)
{
  return is_sign (reader, '{')   ? '}'
         : is_sign (reader, '<') ? '>'
         : is_sign (reader, '[') ? ']'
                                 : 0;
}

/* The token is the first of a value: it is skipped, with what it opens. */
static gboolean
skip_value (Reader *reader, GError **error)
{
  char stack[MAX_NESTING];
  int depth = 0;

  if (!closing (reader) && (reader->kind == SIGN || reader->kind == END))
    return not_expected (reader, "a value", error);
  do {
    if (closing (reader)) {
      if (depth == MAX_NESTING)
        return FAIL (reader, "nested more than %d times", MAX_NESTING);
      stack[depth++] = closing (reader);
    } else if (is_sign (reader, '}') || is_sign (reader, '>') || is_sign (reader, ']')) {
      if (reader->token->str[0] != stack[depth - 1])
        return FAIL (reader, "'%s' where '%c' is expected", reader->token->str, stack[depth - 1]);
      depth--;
    } else if (reader->kind == END) {
      return not_expected (reader, "'}'", error);
    }
    if (!next (reader, error))
      return FALSE;
  } while (depth > 0);
  return TRUE;
}

/* --- Memory --------------------------------------------------------------------------------- */

static gpointer
allocate (Reader *reader, gsize size, GError **error)
{
  gpointer memory = reader->allocator.alloc (reader->allocator.allocator_data, size);

  if (!memory)
    g_set_error (error, ENGINE_ERROR, ENGINE_ERROR_MEMORY,
        "line %d: reading takes more than %" G_GSIZE_FORMAT " MiB; no real model does",
        reader->token_line, reader->budget->limit >> 20);
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

  *value = g_ascii_strtoll (reader->token->str, &end, 0);
  if (reader->kind != NUMBER || *end || end == reader->token->str || *value == G_MAXINT64 ||
      *value == G_MININT64)
    return FAIL (reader, "%s is '%.64s', which is no integer", name, reader->token->str);
  return TRUE;
}

static gboolean
read_float (Reader *reader, const char *name, float *value, GError **error)
{
  char *end;

  *value = (float) g_ascii_strtod (reader->token->str, &end);
  if ((reader->kind != NUMBER && reader->kind != WORD) || end == reader->token->str ||
      (*end && strcmp (end, "f") != 0))
    return FAIL (reader, "%s is '%.64s', which is no number", name, reader->token->str);
  return TRUE;
}

static gboolean
read_bool (Reader *reader, const char *name, protobuf_c_boolean *value, GError **error)
{
  const char *text = reader->token->str;

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
      protobuf_c_enum_descriptor_get_value_by_name (type, reader->token->str);
  char *end;
  const gint64 number = g_ascii_strtoll (reader->token->str, &end, 10);

  if (!found && reader->kind == NUMBER && !*end && number >= 0 && number < G_MAXINT)
    found = protobuf_c_enum_descriptor_get_value (type, (int) number);
  if (!found)
    return FAIL (reader, "%s cannot be '%.64s'", field->name, reader->token->str);
  *value = found->value;
  return TRUE;
}

/* Texts may be in several pieces; V1 has words where there are texts since. Goes on to what follows. */
static gboolean
read_text (Reader *reader, const char *name, char **value, GError **error)
{
  g_autofree char *text = NULL;

  if (reader->kind != STRING && reader->kind != WORD)
    return FAIL (reader, "%s is '%.64s'; a text in quotes is expected", name, reader->token->str);
  do {
    const gboolean more = reader->kind == STRING;
    char *before = g_steal_pointer (&text);

    text = g_strconcat (before ? before : "", reader->token->str, NULL);
    g_free (before);
    if (strlen (text) > MAX_TOKEN)
      return FAIL (reader, "a text of more than %d bytes", MAX_TOKEN);
    if (!next (reader, error))
      return FALSE;
    if (!more)
      break;
  } while (reader->kind == STRING);
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
  const char end = is_sign (reader, '{') || is_sign (reader, '<') ? closing (reader) : 0;

  if (!end)
    return not_expected (reader, "'{'", error);
  if (!next (reader, error))
    return FALSE;
  reader->depth++;
  *where = read_message (reader, field->descriptor, end, error);
  reader->depth--;
  return *where && next (reader, error);
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
  return ok && next (reader, error);
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
  if (!next (reader, error))
    return FALSE;
  while (!is_sign (reader, ']')) {
    if (!read_value (reader, message, field, error))
      return FALSE;
    if (is_sign (reader, ',') ? !next (reader, error) : !is_sign (reader, ']'))
      return *error ? FALSE : not_expected (reader, "']'", error);
  }
  return next (reader, error);
}

static gboolean
read_field (Reader *reader, ProtobufCMessage *message, guint64 *seen, GError **error)
{
  const ProtobufCMessageDescriptor *descriptor = message->descriptor;
  const ProtobufCFieldDescriptor *field =
      protobuf_c_message_descriptor_get_field_by_name (descriptor, reader->token->str);
  gboolean ok;

  if (reader->kind != WORD)
    return not_expected (reader, "the name of a field", error);
  if (!field && reader->depth >= TOLERANT && descriptor->n_fields > 0)
    return FAIL (reader, "'%.64s' is not known here (%s), and might change what the layer computes",
        reader->token->str, descriptor->short_name);
  if (field && !mark (reader, message, field, seen, error))
    return FALSE;
  if (!next (reader, error))
    return FALSE;
  if (is_sign (reader, ':')) {
    if (!next (reader, error))
      return FALSE;
  } else if (!is_sign (reader, '{') && !is_sign (reader, '<')) {
    return not_expected (reader, "':'", error);
  }
  ok = !field                  ? skip_value (reader, error)
       : is_sign (reader, '[') ? read_list (reader, message, field, error)
                               : read_value (reader, message, field, error);
  if (ok && (is_sign (reader, ',') || is_sign (reader, ';')))
    ok = next (reader, error);
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
  while (end ? !is_sign (reader, end) : reader->kind != END) {
    const gboolean ok = reader->kind == END
                            ? not_expected (reader, end == '}' ? "'}'" : "'>'", error)
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
  Reader reader = {.at = text,
      .end = text + size,
      .line = 1,
      .allocator = engine_onnx_wire_allocator (budget),
      .budget = budget,
      .token = token};
  ProtobufCMessage *message = NULL;

  if (size >= 3 && memcmp (text, "\xef\xbb\xbf", 3) == 0)
    reader.at += 3; /* some editors mark UTF-8 */
  if (next (&reader, &cause))
    message = read_message (&reader, descriptor, 0, &cause);
  if (cause)
    g_propagate_error (error, g_steal_pointer (&cause));
  return message;
}
