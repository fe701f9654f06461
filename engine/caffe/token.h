/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* caffe/token.h: the words of protobuf's text format, one at a time. Internal to caffe/text.c. */
#pragma once

#include <glib.h>

#define ENGINE_CAFFE_MAX_TOKEN 65536 /* bytes */

typedef enum {
  ENGINE_CAFFE_END,
  ENGINE_CAFFE_WORD,
  ENGINE_CAFFE_NUMBER,
  ENGINE_CAFFE_STRING,
  ENGINE_CAFFE_SIGN
} EngineCaffeTokenKind;

typedef struct {
  const char *at, *end; /* of the text; at: behind the token */
  int line;             /* of `at`, from 1 on */
  EngineCaffeTokenKind kind;
  int token_line;
  GString *token; /* a string's quotes are taken off and its escapes resolved */
} EngineCaffeTokens;

gboolean engine_caffe_token_next (EngineCaffeTokens *tokens, GError **error);
gboolean engine_caffe_token_is (const EngineCaffeTokens *tokens, char sign);
/* What closes the token's sign; 0 where it opens nothing. */
char engine_caffe_token_closing (const EngineCaffeTokens *tokens);
/* The token is the first of a value: goes on behind it, with what it opens, without recursion. */
gboolean engine_caffe_token_skip (EngineCaffeTokens *tokens, GError **error);

/* ENGINE_ERROR_MODEL that begins with the line; FALSE. */
gboolean engine_caffe_token_fail (const EngineCaffeTokens *tokens, GError **error,
    const char *format, ...) G_GNUC_PRINTF (3, 4);
gboolean engine_caffe_token_unexpected (const EngineCaffeTokens *tokens, const char *wanted,
    GError **error);
