/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* caffe/token.c: words, numbers, texts and signs of protobuf's text format; and what is skipped. */
#include "engine/caffe/token.h"

#include <string.h>

#include "engine/engine.h"

#define MAX_NESTING 64 /* of what is skipped */

#define FAIL(tokens, ...) engine_caffe_token_fail (tokens, error, __VA_ARGS__)

gboolean
engine_caffe_token_fail (const EngineCaffeTokens *tokens, GError **error, const char *format, ...)
{
  g_autofree char *cause = NULL;
  va_list args;

  va_start (args, format);
  cause = g_strdup_vprintf (format, args);
  va_end (args);
  g_set_error (error, ENGINE_ERROR, ENGINE_ERROR_MODEL, "line %d: %s", tokens->token_line, cause);
  return FALSE;
}

/* --- Tokens --------------------------------------------------------------------------------- */

static void
skip_blanks (EngineCaffeTokens *tokens)
{
  while (tokens->at < tokens->end) {
    if (*tokens->at == '#')
      while (tokens->at < tokens->end && *tokens->at != '\n')
        tokens->at++;
    else if (g_ascii_isspace (*tokens->at))
      tokens->line += *tokens->at++ == '\n';
    else
      break;
  }
}

/* The digits of \ooo or \xhh. */
static guint
read_code (EngineCaffeTokens *tokens, guint base, int digits)
{
  guint value = 0;

  for (; digits > 0 && tokens->at < tokens->end; digits--, tokens->at++) {
    const int digit = g_ascii_xdigit_value (*tokens->at);

    if (digit < 0 || (guint) digit >= base)
      break;
    value = value * base + digit;
  }
  return value & 0xff;
}

static void
read_escape (EngineCaffeTokens *tokens)
{
  static const char names[] = "abfnrtv", values[] = "\a\b\f\n\r\t\v";
  const char c = *tokens->at;
  const char *name = c ? strchr (names, c) : NULL;

  if (c >= '0' && c <= '7') {
    g_string_append_c (tokens->token, (char) read_code (tokens, 8, 3));
  } else if (c == 'x' || c == 'X') {
    tokens->at++;
    g_string_append_c (tokens->token, (char) read_code (tokens, 16, 2));
  } else {
    g_string_append_c (tokens->token, name ? values[name - names] : c);
    tokens->at++;
  }
}

static gboolean
read_string (EngineCaffeTokens *tokens, GError **error)
{
  const char quote = *tokens->at++;

  while (tokens->at < tokens->end && *tokens->at != quote && *tokens->at != '\n') {
    if (*tokens->at == '\\' && tokens->end - tokens->at > 1) {
      tokens->at++;
      read_escape (tokens);
    } else {
      g_string_append_c (tokens->token, *tokens->at++);
    }
    if (tokens->token->len > ENGINE_CAFFE_MAX_TOKEN)
      return FAIL (tokens, "a text of more than %d bytes", ENGINE_CAFFE_MAX_TOKEN);
  }
  if (tokens->at == tokens->end || *tokens->at != quote)
    return FAIL (tokens, "a text without its closing quote");
  tokens->at++;
  if (memchr (tokens->token->str, '\0', tokens->token->len))
    return FAIL (tokens, "a text with a zero byte in it");
  return TRUE;
}

static gboolean
is_word (char c)
{
  return g_ascii_isalnum (c) || c == '_';
}

gboolean
engine_caffe_token_next (EngineCaffeTokens *tokens, GError **error)
{
  skip_blanks (tokens);
  tokens->token_line = tokens->line;
  g_string_truncate (tokens->token, 0);
  tokens->kind = ENGINE_CAFFE_END;
  if (tokens->at == tokens->end)
    return TRUE;
  const char c = *tokens->at, *from = tokens->at;

  if (c == '"' || c == '\'') {
    tokens->kind = ENGINE_CAFFE_STRING;
    return read_string (tokens, error);
  }
  if (g_ascii_isdigit (c) || c == '-' || c == '+' || c == '.') {
    tokens->kind = ENGINE_CAFFE_NUMBER;
    /* the signs of 1e-5 are in it */
    while (tokens->at < tokens->end && (is_word (*tokens->at) || *tokens->at == '.' ||
                                           *tokens->at == '-' || *tokens->at == '+'))
      tokens->at++;
  } else if (is_word (c)) {
    tokens->kind = ENGINE_CAFFE_WORD;
    while (tokens->at < tokens->end && is_word (*tokens->at))
      tokens->at++;
  } else {
    tokens->kind = ENGINE_CAFFE_SIGN;
    tokens->at++;
    if (!strchr ("{}<>[]:,;", c) || c == '\0')
      return FAIL (tokens,
          g_ascii_isprint (c) ? "'%c' is not expected here" : "byte %d is not text", (guchar) c);
  }
  if (tokens->at - from > ENGINE_CAFFE_MAX_TOKEN)
    return FAIL (tokens, "a word of more than %d bytes", ENGINE_CAFFE_MAX_TOKEN);
  g_string_append_len (tokens->token, from, tokens->at - from);
  return TRUE;
}

gboolean
engine_caffe_token_is (const EngineCaffeTokens *tokens, char sign)
{
  return tokens->kind == ENGINE_CAFFE_SIGN && tokens->token->str[0] == sign;
}

gboolean
engine_caffe_token_unexpected (const EngineCaffeTokens *tokens, const char *wanted, GError **error)
{
  if (tokens->kind == ENGINE_CAFFE_END)
    return FAIL (tokens, "the text ends where %s is expected: it is truncated", wanted);
  return FAIL (tokens, "'%.64s' where %s is expected", tokens->token->str, wanted);
}

/* --- What is skipped ------------------------------------------------------------------------ */

char
engine_caffe_token_closing (const EngineCaffeTokens *tokens)
{
  return engine_caffe_token_is (tokens, '{')   ? '}'
         : engine_caffe_token_is (tokens, '<') ? '>'
         : engine_caffe_token_is (tokens, '[') ? ']'
                                               : 0;
}

/* The token is the first of a value: it is skipped, with what it opens. */
gboolean
engine_caffe_token_skip (EngineCaffeTokens *tokens, GError **error)
{
  char stack[MAX_NESTING];
  gboolean pieces;
  int depth = 0;

  if (!engine_caffe_token_closing (tokens) &&
      (tokens->kind == ENGINE_CAFFE_SIGN || tokens->kind == ENGINE_CAFFE_END))
    return engine_caffe_token_unexpected (tokens, "a value", error);
  do {
    if (engine_caffe_token_closing (tokens)) {
      if (depth == MAX_NESTING)
        return FAIL (tokens, "nested more than %d times", MAX_NESTING);
      stack[depth++] = engine_caffe_token_closing (tokens);
    } else if (engine_caffe_token_is (tokens, '}') || engine_caffe_token_is (tokens, '>') ||
               engine_caffe_token_is (tokens, ']')) {
      if (tokens->token->str[0] != stack[depth - 1])
        return FAIL (tokens, "'%s' where '%c' is expected", tokens->token->str, stack[depth - 1]);
      depth--;
    } else if (tokens->kind == ENGINE_CAFFE_END) {
      return engine_caffe_token_unexpected (tokens, "'}'", error);
    }
    const gboolean text = tokens->kind == ENGINE_CAFFE_STRING;

    if (!engine_caffe_token_next (tokens, error))
      return FALSE;
    pieces = text && tokens->kind == ENGINE_CAFFE_STRING; /* of one text */
  } while (depth > 0 || pieces);
  return TRUE;
}
