/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * fuzz_rules.c: layer rules from text that nobody vouches for. What is read and written is read again as
 * the same, and wishes of a network's layers what it wished before.
 */
#define FUZZ_ROUNDS 20000

#include "engine/layer-rules.h"
#include "tests/engine/net.h"
#include "tests/fuzz/fuzz.h"

static const char *const seeds[] = {
    "# comment, with: marks\n*:fp32, a\\,b\\*c:int8\r\n conv1 :output=fp32,\\\\:int8\n",
    ",#v*1:int8 ",
    "conv?:fp32,*v*1:int8,input0:output=int8\n\xc3\xa4?\\?:output=int8\n\\\n:fp32\n",
};

FUZZ_TEXT_SEEDS (seeds)

static const EngineGraph *
network (void)
{
  static EngineGraph *graph;

  if (!graph)
    graph = net_random (7);
  return graph;
}

static void
require_same_wishes (const EngineLayerRules *rules, const EngineLayerRules *again)
{
  const guint n_nodes = network ()->nodes->len, n_rules = engine_layer_rules_n_entries (rules);
  g_autofree gboolean *matched = NULL, *matched_again = NULL;
  g_autofree EngineLayerWish *wishes = engine_layer_rules_apply (rules, network (), &matched);
  g_autofree EngineLayerWish *same = engine_layer_rules_apply (again, network (), &matched_again);

  FUZZ_REQUIRE (memcmp (wishes, same, n_nodes * sizeof *wishes) == 0);
  for (guint i = 0; i < n_rules; i++)
    FUZZ_REQUIRE (matched[i] == matched_again[i]);
  for (guint i = 0; i < n_nodes; i++) {
    FUZZ_REQUIRE (
        wishes[i].precision_rule < (int) n_rules && wishes[i].output_rule < (int) n_rules);
    FUZZ_REQUIRE (wishes[i].precision_rule < 0 || matched[wishes[i].precision_rule]);
    FUZZ_REQUIRE (wishes[i].output_rule < 0 || matched[wishes[i].output_rule]);
  }
}

int
LLVMFuzzerTestOneInput (const uint8_t *data, size_t size)
{
  g_autofree char *text = g_strndup ((const char *) data, size);
  g_autoptr (GError) error = NULL;
  g_autoptr (EngineLayerRules) rules = engine_layer_rules_parse (text, &error);

  FUZZ_REQUIRE (!rules == !!error);
  if (!rules) {
    FUZZ_REQUIRE (g_error_matches (error, ENGINE_ERROR, ENGINE_ERROR_RULES));
    FUZZ_REQUIRE (g_utf8_validate (error->message, -1, NULL));
    return 0;
  }
  g_autofree char *written = engine_layer_rules_to_string (rules);
  g_autoptr (EngineLayerRules) again = engine_layer_rules_parse (written, &error);
  FUZZ_REQUIRE (again);
  FUZZ_REQUIRE (engine_layer_rules_n_entries (rules) == engine_layer_rules_n_entries (again));
  g_autofree char *same = engine_layer_rules_to_string (again);
  FUZZ_REQUIRE (strcmp (written, same) == 0);
  require_same_wishes (rules, again);
  return 0;
}
