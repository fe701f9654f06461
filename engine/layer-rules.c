/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * layer-rules.c: layer rules as text and as a list. What they do to a graph is in layer-match.c and
 * pass/quantise.c.
 */
#include "engine/layer-rules.h"

#include <string.h>

EngineLayerRules *
engine_layer_rules_new (void)
{
  EngineLayerRules *rules = g_new (EngineLayerRules, 1);

  rules->list = g_array_new (FALSE, FALSE, sizeof (EngineLayerRule));
  return rules;
}

void
engine_layer_rules_free (EngineLayerRules *rules)
{
  if (!rules)
    return;
  for (guint i = 0; i < rules->list->len; i++)
    g_free (g_array_index (rules->list, EngineLayerRule, i).text);
  g_array_unref (rules->list);
  g_free (rules);
}

guint
engine_layer_rules_n_entries (const EngineLayerRules *rules)
{
  return rules->list->len;
}

/* Takes text, `pattern:value`. */
static void
append (EngineLayerRules *rules, char *text, gsize pattern_size, gboolean of_output, int value)
{
  const EngineLayerRule rule = {text, pattern_size, of_output, value};

  g_array_append_val (rules->list, rule);
}

void
engine_layer_rules_append (EngineLayerRules *rules, const EngineLayerRules *more)
{
  for (guint i = 0; i < more->list->len; i++) {
    const EngineLayerRule *rule = &g_array_index (more->list, EngineLayerRule, i);

    append (rules, g_strdup (rule->text), rule->pattern_size, rule->of_output, rule->value);
  }
}

EngineLayerRules *
engine_layer_rules_copy (const EngineLayerRules *rules)
{
  EngineLayerRules *copy = engine_layer_rules_new ();

  engine_layer_rules_append (copy, rules);
  return copy;
}

void
engine_layer_rules_add (EngineLayerRules *rules, const char *pattern, EnginePrecision precision)
{
  g_return_if_fail (precision == ENGINE_PRECISION_INT8 || precision == ENGINE_PRECISION_FP32);
  append (rules, g_strdup_printf ("%s:%s", pattern, engine_precision_name (precision)),
      strlen (pattern), FALSE, precision);
}

void
engine_layer_rules_add_output (EngineLayerRules *rules, const char *pattern, EngineType type)
{
  append (rules,
      g_strdup_printf ("%s:output=%s", pattern, type == ENGINE_TYPE_S8 ? "int8" : "fp32"),
      strlen (pattern), TRUE, type);
}

char *
engine_layer_pattern (const char *name)
{
  const gsize n = strlen (name);
  GString *pattern = g_string_sized_new (n);

  for (gsize i = 0; i < n; i++) {
    if (strchr ("*?\\,\n\r", name[i]) || (i == 0 && name[i] == '#') ||
        ((i == 0 || i == n - 1) && g_ascii_isspace (name[i])))
      g_string_append_c (pattern, '\\');
    g_string_append_c (pattern, name[i]);
  }
  return g_string_free (pattern, FALSE);
}

char *
engine_layer_rules_path (const char *table)
{
  return g_strconcat (table, ".precision", NULL);
}

/* --- Text ----------------------------------------------------------------------------------- */

typedef struct {
  EngineLayerRules *rules;
  guint line;
} Reader;

static gboolean
refuse (const Reader *reader, const char *text, gsize n, const char *cause, GError **error)
{
  g_autofree char *shown = g_utf8_make_valid (text, n);

  g_set_error (error, ENGINE_ERROR, ENGINE_ERROR_RULES, "layer rule '%s' (line %u): %s", shown,
      reader->line, cause);
  return FALSE;
}

/* The value behind the last ':', or the cause why it is none. */
static const char *
read_value (const char *value, gboolean *of_output, int *number)
{
  static const char output[] = "output=";

  *of_output = g_str_has_prefix (value, output);
  if (*of_output)
    value += strlen (output);
  if (g_str_equal (value, "int8"))
    *number = *of_output ? (int) ENGINE_TYPE_S8 : (int) ENGINE_PRECISION_INT8;
  else if (g_str_equal (value, "fp32"))
    *number = *of_output ? (int) ENGINE_TYPE_F32 : (int) ENGINE_PRECISION_FP32;
  else if (g_str_equal (value, "fp16"))
    return "a layer of an INT8 network is int8 or fp32; fp16 is for whole networks (precision fp16)";
  else
    return "expected `name:int8`, `name:fp32`, `name:output=int8` or `name:output=fp32`";
  return NULL;
}

static gboolean
is_escaped (const char *text, gsize at)
{
  gsize backslashes = 0;

  while (backslashes < at && text[at - 1 - backslashes] == '\\')
    backslashes++;
  return backslashes % 2 == 1;
}

/* Blanks around [*text, *text + *n); one behind a backslash belongs to the name. */
static void
trim (const char **text, gsize *n)
{
  while (*n > 0 && g_ascii_isspace (**text)) {
    (*text)++;
    (*n)--;
  }
  while (*n > 0 && g_ascii_isspace ((*text)[*n - 1]) && !is_escaped (*text, *n - 1))
    (*n)--;
}

static gboolean
read_entry (Reader *reader, const char *text, gsize n, GError **error)
{
  const char *cause, *colon, *pattern;
  gsize pattern_size;
  gboolean of_output;
  int number;

  trim (&text, &n);
  if (n == 0)
    return TRUE;
  colon = g_strrstr_len (text, n, ":");
  if (!colon)
    return refuse (reader, text, n, "there is no ':' between name and precision", error);

  g_autofree char *value = g_strndup (colon + 1, text + n - colon - 1);

  g_strstrip (value);
  cause = read_value (value, &of_output, &number);
  pattern = text;
  pattern_size = colon - text;
  trim (&pattern, &pattern_size);
  if (!cause && pattern_size == 0)
    cause = "there is no name before the ':'";
  if (!cause && is_escaped (pattern, pattern_size))
    cause = "the name ends in a backslash; write two for one";
  if (cause)
    return refuse (reader, text, n, cause, error);

  /* Behind a comma '#' is a name's; on the line of its own that the canonical text has it would be a comment's. */
  const gboolean hash = *pattern == '#';

  append (reader->rules,
      g_strdup_printf ("%s%.*s:%s", hash ? "\\" : "", (int) pattern_size, pattern, value),
      pattern_size + hash, of_output, number);
  return TRUE;
}

/* Whether the line at `text` is a comment. */
static gboolean
is_comment (const char *text)
{
  while (*text == ' ' || *text == '\t')
    text++;
  return *text == '#';
}

EngineLayerRules *
engine_layer_rules_parse (const char *text, GError **error)
{
  g_autoptr (EngineLayerRules) rules = engine_layer_rules_new ();
  Reader reader = {rules, 1};
  gboolean line_start = TRUE;

  while (*text) {
    gsize n = 0;
    guint lines = 0;

    if (line_start && is_comment (text)) {
      n = strcspn (text, "\n");
    } else {
      for (; text[n] && text[n] != ',' && text[n] != '\n'; n++)
        if (text[n] == '\\' && text[n + 1])
          lines += text[++n] == '\n';
      if (!read_entry (&reader, text, n, error))
        return NULL;
    }
    reader.line += lines + (text[n] == '\n');
    line_start = text[n] == '\n';
    text += n + (text[n] != '\0');
  }
  return g_steal_pointer (&rules);
}

EngineLayerRules *
engine_layer_rules_load (const char *path, GError **error)
{
  g_autofree char *text = NULL, *shown = g_filename_display_name (path);
  EngineLayerRules *rules;
  gsize size;

  if (!g_file_get_contents (path, &text, &size, error)) {
    g_prefix_error (error, "cannot read the layer rules: ");
    return NULL;
  }
  if (memchr (text, 0, size)) {
    g_set_error (error, ENGINE_ERROR, ENGINE_ERROR_RULES,
        "'%s' has a zero byte in it: it is no file of layer rules", shown);
    return NULL;
  }
  rules = engine_layer_rules_parse (text, error);
  if (!rules)
    g_prefix_error (error, "%s: ", shown);
  return rules;
}

EngineLayerRules *
engine_layer_rules_from_option (const char *text, GError **error)
{
  return *text == '@' ? engine_layer_rules_load (text + 1, error)
                      : engine_layer_rules_parse (text, error);
}

char *
engine_layer_rules_to_string (const EngineLayerRules *rules)
{
  GString *text = g_string_new (NULL);

  for (guint i = 0; i < rules->list->len; i++)
    g_string_append_printf (text, "%s\n", engine_layer_rules_text (rules, i));
  return g_string_free (text, FALSE);
}

const char *
engine_layer_rules_text (const EngineLayerRules *rules, int rule)
{
  return g_array_index (rules->list, EngineLayerRule, rule).text;
}
