/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * layer-rules.c: layer rules as text, every truncation of it, and which names a pattern matches.
 */
#include "engine/layer-rules.h"
#include "tests/check.h"
#include "tests/engine/net.h"

#include <glib/gstdio.h>

/* --- Text ----------------------------------------------------------------------------------- */

static void
check_canonical (const char *text, const char *expected)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (EngineLayerRules) rules = engine_layer_rules_parse (text, &error);

  if (!rules) {
    CHECK_FAIL ("%s: %s", text, error->message);
    return;
  }
  g_autofree char *canonical = engine_layer_rules_to_string (rules);
  g_autoptr (EngineLayerRules) again = engine_layer_rules_parse (canonical, NULL);
  g_autoptr (EngineLayerRules) copy = engine_layer_rules_copy (again);
  g_autofree char *same = engine_layer_rules_to_string (copy);

  CHECK_STR (canonical, expected);
  CHECK_STR (same, expected);
  CHECK_INT (engine_layer_rules_n_entries (copy), ==, engine_layer_rules_n_entries (rules));
}

static void
test_canonical_text (void)
{
  check_canonical ("", "");
  check_canonical ("*:fp32,conv1:int8", "*:fp32\nconv1:int8\n");
  check_canonical (" * : fp32 ,, conv1 :output=fp32\n", "*:fp32\nconv1:output=fp32\n");
  check_canonical ("# all\r\n*:fp32\r\n\r\n  # but one, two: three\nconv#2:int8",
      "*:fp32\nconv#2:int8\n");
  check_canonical ("input_1:0:fp32", "input_1:0:fp32\n"); /* the last ':' */
  check_canonical ("(Unnamed Layer* 0) [Convolution]_output:int8",
      "(Unnamed Layer* 0) [Convolution]_output:int8\n");
  check_canonical ("a\\,b:fp32,c\\\\:int8", "a\\,b:fp32\nc\\\\:int8\n");
  check_canonical ("a:int8,#b:fp32", "a:int8\n\\#b:fp32\n"); /* no comment behind a comma */
  check_canonical ("\\#1:fp32,\\ a \\ :fp32", "\\#1:fp32\n\\ a \\ :fp32\n");
  check_canonical ("a\\\nb:fp32", "a\\\nb:fp32\n"); /* a line feed in a name */
}

static void
check_error (const char *text, const char *message)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (EngineLayerRules) rules = engine_layer_rules_parse (text, &error);

  CHECK (!rules);
  CHECK (g_error_matches (error, ENGINE_ERROR, ENGINE_ERROR_RULES));
  if (!error || !strstr (error->message, message))
    CHECK_FAIL ("\"%s\": expected \"%s\", got \"%s\"", text, message,
        error ? error->message : "no error");
}

static void
test_errors (void)
{
  check_error ("conv1", "layer rule 'conv1' (line 1): there is no ':'");
  check_error ("a:int8\n# b\nc:fp16",
      "layer rule 'c:fp16' (line 3): a layer of an INT8 network is int8 or fp32");
  check_error ("a\\\nb:int8,c", "layer rule 'c' (line 2)");
  check_error ("a:int4", "expected `name:int8`");
  check_error ("a:output=fp16", "fp16 is for whole networks");
  check_error ("a:output=", "expected `name:int8`");
  check_error ("a:output=int8+fp32", "expected `name:int8`");
  check_error (":int8", "there is no name");
  check_error ("  : int8", "there is no name");
  check_error ("a:", "expected `name:int8`");
  check_error ("a\\:int8", "ends in a backslash");
  check_error ("\\", "there is no ':'");
  check_error ("\xff\xfe:x", "expected `name:int8`");
}

/* However the text ends, it is read or refused, and what is read is read again as the same. */
static void
test_truncations (void)
{
  const char *text = "# comment, with: marks\n*:fp32, a\\,b\\*c:int8\r\n x:0 :output=fp32,\\\\:"
                     "int8\n\xc3\xa4?\\?:output=int8\n\\\n:fp32\n";
  int read = 0, refused = 0;

  for (gsize n = 0; n <= strlen (text); n++)
    for (gsize from = 0; from <= n; from++) {
      g_autofree char *part = g_strndup (text + from, n - from);
      g_autoptr (EngineLayerRules) rules = engine_layer_rules_parse (part, NULL);

      read += rules != NULL;
      refused += rules == NULL;
      if (!rules)
        continue;
      g_autofree char *canonical = engine_layer_rules_to_string (rules);
      g_autoptr (EngineLayerRules) again = engine_layer_rules_parse (canonical, NULL);
      g_autofree char *same = again ? engine_layer_rules_to_string (again) : NULL;
      CHECK_STR (same, canonical);
    }
  CHECK_INT (read, >, 300);
  CHECK_INT (refused, >, 300);
}

static void
test_options_and_files (void)
{
  g_autofree char *folder = g_dir_make_tmp ("int8-rules-XXXXXX", NULL);
  g_autofree char *path = g_build_filename (folder, "a,b:c", NULL);
  g_autofree char *option = g_strconcat ("@", path, NULL), *text = NULL;
  g_autofree char *beside = engine_layer_rules_path ("/x/m.table");
  g_autoptr (GError) error = NULL;

  CHECK_STR (beside, "/x/m.table.precision");
  CHECK (!engine_layer_rules_from_option (option, &error));
  CHECK (g_error_matches (error, G_FILE_ERROR, G_FILE_ERROR_NOENT));
  g_clear_error (&error);
  CHECK (g_file_set_contents (path, "# ours\nconv1:fp32\n", -1, NULL));
  g_autoptr (EngineLayerRules) rules = engine_layer_rules_from_option (option, NULL);
  text = rules ? engine_layer_rules_to_string (rules) : NULL;
  CHECK_STR (text, "conv1:fp32\n");

  CHECK (g_file_set_contents (path, "a:int8\nb:int9", -1, NULL));
  CHECK (!engine_layer_rules_load (path, &error));
  CHECK (error && strstr (error->message, path) && strstr (error->message, "(line 2)"));
  g_clear_error (&error);
  CHECK (g_file_set_contents (path, "a:int8\0b:int8", 13, NULL));
  CHECK (!engine_layer_rules_load (path, &error));
  CHECK (error && strstr (error->message, "zero byte"));
  g_unlink (path);
  g_rmdir (folder);
}

/* --- Matching ------------------------------------------------------------------------------- */

/* Which of the nodes called by names[] the rule matches, as '1's and '0's. Their tensors are called
 * after them, with "_out". */
static char *
matches (const char *pattern, const char *const *names)
{
  g_autoptr (EngineLayerRules) rules = engine_layer_rules_new ();
  g_autoptr (EngineGraph) graph = engine_graph_new ();
  const int dims[] = {1, 4};
  int value = engine_graph_add_value (graph, "input", ENGINE_TYPE_F32, 2, dims);
  g_autofree EngineLayerWish *wishes = NULL;
  g_autofree gboolean *matched = NULL;
  GString *seen = g_string_new (NULL);

  g_array_append_val (graph->inputs, value);
  for (int i = 0; names[i]; i++) {
    g_autofree char *tensor = g_strconcat (names[i], "_out", NULL);

    value = engine_graph_add_node (graph, ENGINE_OP_SOFTMAX, names[i], &value, 1, tensor)->output;
  }
  engine_layer_rules_add (rules, pattern, ENGINE_PRECISION_FP32);
  wishes = engine_layer_rules_apply (rules, graph, &matched);
  for (int i = 0; names[i]; i++)
    g_string_append_c (seen, wishes[i].precision == ENGINE_PRECISION_FP32 ? '1' : '0');
  CHECK_INT (matched[0], ==, strchr (seen->str, '1') != NULL);
  return g_string_free (seen, FALSE);
}

static void
check_matches (const char *pattern, const char *expected)
{
  static const char *const names[] = {"conv1", "conv10", "/a/b/Conv", "x*y", "xzy", "r\xc3\xa4t",
      "a,b", "", "last\xff", NULL};
  g_autofree char *seen = matches (pattern, names);

  if (!g_str_equal (seen, expected))
    CHECK_FAIL ("%s: %s, expected %s", pattern, seen, expected);
}

static void
test_patterns (void)
{
  check_matches ("conv1", "100000000");
  check_matches ("conv1_out", "100000000"); /* the tensor */
  check_matches ("conv*", "110000000");
  check_matches ("*", "111111111");
  check_matches ("**", "111111111");
  check_matches ("conv?_out", "100000000");
  check_matches ("*onv", "001000000");
  check_matches ("?a*/C*v", "001000000");
  check_matches ("x*y", "000110000");
  check_matches ("x\\*y", "000100000");
  check_matches ("x?y", "000110000");
  check_matches ("r?t", "000001000"); /* a character, not a byte */
  check_matches ("r??t", "000000000");
  check_matches ("a\\,b", "000000100");
  check_matches ("*1*", "110000000");
  check_matches ("*_out*", "111111111");
  check_matches ("*\\*", "000000000");
  check_matches ("_out", "000000010"); /* of the layer without a name */
  check_matches ("last?", "000000001");
  check_matches ("nothing", "000000000");
  check_matches ("*b*b*b*", "000000000");
}

/* A pattern made of a name matches that name and no other. */
static void
test_pattern_of_a_name (void)
{
  static const char *const names[] = {"a", "a*", "*", "?", "\\", "\\\\", "#a", " a ", "a,b", "a\nb",
      "a:int8", "\r", " ", NULL};

  for (int i = 0; names[i]; i++) {
    g_autofree char *pattern = engine_layer_pattern (names[i]);
    g_autofree char *text = g_strconcat (pattern, ":fp32", NULL);
    g_autofree char *seen = matches (pattern, names), *canonical = NULL;
    g_autoptr (EngineLayerRules) rules = engine_layer_rules_parse (text, NULL);

    for (int k = 0; names[k]; k++)
      CHECK_INT (seen[k], ==, k == i ? '1' : '0');
    canonical = rules ? engine_layer_rules_to_string (rules) : NULL;
    g_autofree char *expected = g_strconcat (text, "\n", NULL);
    CHECK_STR (canonical, expected);
  }
}

/* Stars are tried in a time that is bounded by the lengths. */
static void
test_many_stars (void)
{
  g_autoptr (GString) pattern = g_string_new (NULL), name = g_string_new (NULL);
  const gint64 start = g_get_monotonic_time ();

  for (int i = 0; i < 500; i++)
    g_string_append (pattern, "*a");
  g_string_append_c (pattern, 'b');
  for (int i = 0; i < 5000; i++)
    g_string_append_c (name, 'a');
  g_autofree char *seen = matches (pattern->str, (const char *const[]){name->str, NULL});

  CHECK_STR (seen, "0");
  CHECK_INT (g_get_monotonic_time () - start, <, 5 * G_USEC_PER_SEC);
}

static void
test_last_rule_wins (void)
{
  g_autoptr (EngineLayerRules) rules = engine_layer_rules_parse (
      "conv*:fp32,conv1:int8,conv1:output=fp32,*1:output=int8,conv2:output=fp32,none:fp32", NULL);
  g_autoptr (Net) net = net_new (1);
  const int x = net_conv (net, net_input (net, 2, 2, 1), (NetConv){.oc = 1});
  g_autoptr (EngineGraph) graph = net_finish (net, net_dense (net, x, 2));
  g_autofree gboolean *matched = NULL;
  g_autofree EngineLayerWish *wishes = engine_layer_rules_apply (rules, graph, &matched);

  CHECK_INT (wishes[0].precision, ==, ENGINE_PRECISION_INT8);
  CHECK_INT (wishes[0].precision_rule, ==, 1);
  CHECK_INT (wishes[0].output, ==, ENGINE_TYPE_S8);
  CHECK_INT (wishes[0].output_rule, ==, 3);
  CHECK_INT (wishes[1].precision, ==, ENGINE_PRECISION_FP32);
  CHECK_INT (wishes[1].output, ==, ENGINE_TYPE_F32);
  for (int r = 0; r < 6; r++)
    CHECK_INT (matched[r], ==, r != 5);
}

int
main (void)
{
  RUN (test_canonical_text);
  RUN (test_errors);
  RUN (test_truncations);
  RUN (test_options_and_files);
  RUN (test_patterns);
  RUN (test_pattern_of_a_name);
  RUN (test_many_stars);
  RUN (test_last_rule_wins);
  return check_done ();
}
