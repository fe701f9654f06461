/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * layer-match.c: which layers a rule means. Patterns are matched byte by byte, but for `?`, which is
 * a character of UTF-8: names of a model need not be valid UTF-8, and no name can do harm.
 */
#include "engine/layer-rules.h"

#include <string.h>

/* The end of the character at x. */
static const char *
next_character (const char *x)
{
  x++;
  while ((*x & 0xc0) == 0x80)
    x++;
  return x;
}

/* Whether all of the pattern [p, end) matches all of x. What a `*` takes is tried from nothing on;
 * only the last one is ever tried again, so the time is the product of the lengths. */
static gboolean
glob_matches (const char *p, const char *end, const char *x)
{
  const char *star = NULL, *retry = NULL;

  for (;;) {
    if (p < end && *p == '*') {
      star = ++p;
      retry = x;
    } else if (p == end && !*x) {
      return TRUE;
    } else if (p < end && *x && *p == '?') {
      p++;
      x = next_character (x);
    } else if (p < end && *x && p[*p == '\\'] == *x) {
      p += 1 + (*p == '\\');
      x++;
    } else if (star && *retry) {
      p = star;
      x = ++retry;
    } else {
      return FALSE;
    }
  }
}

/* The name that a pattern without wildcards stands for, or NULL. */
static char *
plain_name (const EngineLayerRule *rule)
{
  GString *name = g_string_sized_new (rule->pattern_size);

  for (gsize i = 0; i < rule->pattern_size; i++) {
    if (rule->text[i] == '*' || rule->text[i] == '?') {
      g_string_free (name, TRUE);
      return NULL;
    }
    i += rule->text[i] == '\\';
    g_string_append_c (name, rule->text[i]);
  }
  return g_string_free (name, FALSE);
}

static void
wish (EngineLayerWish *of_node, const EngineLayerRule *rule, int index)
{
  if (rule->of_output) {
    of_node->output = rule->value;
    of_node->output_rule = index;
  } else {
    of_node->precision = rule->value;
    of_node->precision_rule = index;
  }
}

/* The producer of the tensor with this name, or ENGINE_NONE. */
static int
producer_of (const EngineGraph *graph, const char *tensor)
{
  const int value = GPOINTER_TO_INT (g_hash_table_lookup (graph->names, tensor)) - 1;

  return value < 0 ? ENGINE_NONE : engine_graph_value (graph, value)->producer;
}

static gboolean
apply_rule (const EngineLayerRule *rule, int index, const EngineGraph *graph,
    EngineLayerWish *wishes)
{
  g_autofree char *plain = plain_name (rule);
  const int producer = plain ? producer_of (graph, plain) : ENGINE_NONE;
  const char *end = rule->text + rule->pattern_size;
  gboolean any = producer != ENGINE_NONE;

  if (any) {
    wish (&wishes[producer], rule, index);
    return TRUE;
  }
  for (guint i = 0; i < graph->nodes->len; i++) {
    const EngineNode *node = engine_graph_node (graph, i);
    const char *tensor = engine_graph_value (graph, node->output)->name;

    if (plain ? !g_str_equal (node->name, plain)
              : !glob_matches (rule->text, end, node->name) &&
                    !glob_matches (rule->text, end, tensor))
      continue;
    wish (&wishes[i], rule, index);
    any = TRUE;
  }
  return any;
}

EngineLayerWish *
engine_layer_rules_apply (const EngineLayerRules *rules, const EngineGraph *graph,
    gboolean **matched)
{
  const guint n_rules = rules ? rules->list->len : 0;
  EngineLayerWish *wishes = g_new (EngineLayerWish, graph->nodes->len);
  gboolean *flags = g_new0 (gboolean, n_rules);

  for (guint i = 0; i < graph->nodes->len; i++)
    wishes[i] = (EngineLayerWish){ENGINE_NONE, ENGINE_NONE, ENGINE_NONE, ENGINE_NONE};
  for (guint r = 0; r < n_rules; r++)
    flags[r] = apply_rule (&g_array_index (rules->list, EngineLayerRule, r), r, graph, wishes);
  *matched = flags;
  return wishes;
}
