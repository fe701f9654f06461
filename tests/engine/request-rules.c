/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * request-rules.c: requests with layer rules and ranges by hand: what is built, why it is built anew,
 * what is refused.
 */
#include "tests/engine/request.h"

static void
check_layers (const Outcome *outcome, int int8, int fp32)
{
  if (outcome->error)
    CHECK_FAIL ("%s", outcome->error->message);
  CHECK_INT (outcome->report.build.layers_int8, ==, int8);
  CHECK_INT (outcome->report.build.layers_fp32, ==, fp32);
}

static void
test_layer_precision (void)
{
  begin ();
  g_autofree char *path = path_of ("my.engine");
  EngineRequest request = request_for (path);

  {
    g_auto (Outcome) plain = obtain (&request);
    check_layers (&plain, 6, 1);
    CHECK_INT (engine_precision (plain.engine), ==, ENGINE_PRECISION_INT8);
  }
  request.layer_precision = "conv*:fp32,no such layer:fp32";
  {
    g_auto (Outcome) mixed = obtain (&request), loaded = obtain (&request);
    check_built (&mixed, "layer precision changed");
    check_layers (&mixed, 4, 3);
    CHECK_INT (engine_precision (mixed.engine), ==, ENGINE_PRECISION_MIXED);
    CHECK_INT (mixed.report.build.obeyed->len, ==, 2);
    CHECK_INT (mixed.report.build.unmatched->len, ==, 1);
    CHECK_STR (mixed.report.build.unmatched->pdata[0], "rule no such layer:fp32");
    check_loaded (&loaded);
  }
  {
    g_auto (Outcome) loaded = obtain (&request); /* from the file, now that nobody has it */
    check_loaded (&loaded);
    check_layers (&loaded, 4, 3);
    CHECK_INT (engine_precision (loaded.engine), ==, ENGINE_PRECISION_MIXED);
    CHECK_INT (loaded.report.build.obeyed->len, ==, 2);
    CHECK_STR (loaded.report.build.unmatched->pdata[0], "rule no such layer:fp32");
  }
  request.strict = TRUE;
  {
    g_auto (Outcome) strict = obtain (&request);
    check_refused (&strict, ENGINE_ERROR, ENGINE_ERROR_RULES,
        "rule no such layer:fp32 matches nothing");
  }
  request.layer_precision = "ip1:fp32"; /* a node of the ONNX file; its tensor is relu1 */
  {
    g_auto (Outcome) strict = obtain (&request);
    check_built (&strict, "layer precision changed, precision or ranges changed");
    check_layers (&strict, 5, 2);
  }
}

static void
test_mixed (void)
{
  begin ();
  g_autofree char *chosen = engine_layer_rules_path (table);
  EngineRequest request = request_for (NULL);

  request.precision = ENGINE_PRECISION_MIXED;
  {
    g_auto (Outcome) outcome = obtain (&request);
    check_refused (&outcome, ENGINE_ERROR, ENGINE_ERROR_RULES, chosen);
    check_refused (&outcome, ENGINE_ERROR, ENGINE_ERROR_RULES, "LAYER:fp32");
  }
  write_file (chosen, "# none\n");
  {
    g_auto (Outcome) outcome = obtain (&request);
    check_refused (&outcome, ENGINE_ERROR, ENGINE_ERROR_RULES, "has no layer rule in it");
  }
  write_file (chosen, "conv1:fp32\nconv2:fp31\n");
  {
    g_auto (Outcome) outcome = obtain (&request);
    check_refused (&outcome, ENGINE_ERROR, ENGINE_ERROR_RULES, "conv2:fp31' (line 2)");
  }
  write_file (chosen, "conv1:fp32\nconv2:fp32\n");
  {
    g_auto (Outcome) outcome = obtain (&request);
    check_built (&outcome, "no engine yet");
    check_layers (&outcome, 4, 3);
  }
  request.layer_precision = "conv2:int8";
  {
    g_auto (Outcome) outcome = obtain (&request);
    check_layers (&outcome, 5, 2);
  }
  request.table = NULL;
  {
    g_auto (Outcome) outcome = obtain (&request);
    check_refused (&outcome, ENGINE_ERROR, ENGINE_ERROR_RULES, "no calibration table");
  }
}

static void
test_dynamic_ranges (void)
{
  begin ();
  g_autofree char *path = path_of ("my.engine"), *ranges = path_of ("ranges");
  EngineRequest request = request_for (path);

  write_file (ranges, "conv1: 1\nconv2: 2\nrelu1: 0 3\n");
  request.table = NULL;
  request.dynamic_ranges = ranges;
  {
    g_auto (Outcome) alone = obtain (&request);
    check_built (&alone, "no engine yet");
    check_layers (&alone, 6, 1);
    CHECK_INT (alone.report.build.inferred->len, ==, 2);
  }
  request.table = table;
  {
    g_auto (Outcome) both = obtain (&request);
    check_built (&both, "calibration table changed");
    CHECK (!both.report.build.inferred);
  }
  write_file (ranges, "conv1: 1\nconv2: 2.5\nnowhere: 0 3\n");
  {
    g_auto (Outcome) changed = obtain (&request);
    check_built (&changed, "dynamic ranges changed");
    CHECK_STR (changed.report.build.unmatched->pdata[0], "range of nowhere");
  }
  write_file (ranges, "conv1: 1\n");
  request.table = NULL;
  {
    g_auto (Outcome) missing = obtain (&request);
    check_refused (&missing, ENGINE_ERROR, ENGINE_ERROR_RANGE, "'conv2'");
  }
  write_file (ranges, "conv1: one\n");
  {
    g_auto (Outcome) wrong = obtain (&request);
    check_refused (&wrong, CALIB_ERROR, CALIB_ERROR_FORMAT, ranges);
  }
  request.dynamic_ranges = "/no/such/ranges";
  {
    g_auto (Outcome) absent = obtain (&request);
    check_refused (&absent, G_FILE_ERROR, G_FILE_ERROR_NOENT, "/no/such/ranges");
  }
}

static void
test_fp32_has_no_choice (void)
{
  begin ();
  EngineRequest request = request_for (NULL);

  request.precision = ENGINE_PRECISION_FP32;
  request.layer_precision = "conv1:int8";
  g_auto (Outcome) outcome = obtain (&request);
  check_refused (&outcome, ENGINE_ERROR, ENGINE_ERROR_RULES, "precision fp32");
}

/* The lists that layer comparison and people start from. */
static void
test_lists (void)
{
  begin ();
  g_autoptr (EngineModel) loaded = engine_model_load (model, NULL);
  g_autoptr (GPtrArray) tensors = engine_model_tensors (loaded);
  g_autoptr (GArray) layers = engine_model_layers (loaded);
  g_autoptr (GString) text = g_string_new (NULL);

  for (guint i = 0; i < tensors->len; i++)
    g_string_append_printf (text, "%s ", (const char *) tensors->pdata[i]);
  CHECK_STR (text->str, "data conv1 pool1 conv2 pool2 relu1 ip2 prob ");
  g_string_set_size (text, 0);
  for (guint i = 0; i < layers->len; i++) {
    const EngineLayer *layer = &g_array_index (layers, EngineLayer, i);

    g_string_append_printf (text, "%s %s %s %s\n", layer->name, layer->tensor, layer->op,
        engine_precision_name (layer->precision));
    CHECK_INT (layer->output, ==, ENGINE_TYPE_F32);
  }
  CHECK_STR (text->str, "conv1 conv1 conv int8\n"
                        "pool1 pool1 maxpool int8\n"
                        "conv2 conv2 conv int8\n"
                        "pool2 pool2 maxpool int8\n"
                        "ip1 relu1 conv int8\n"
                        "ip2 ip2 conv int8\n"
                        "prob prob softmax fp32\n");
}

int
main (void)
{
  request_init ();
  RUN (test_layer_precision);
  RUN (test_mixed);
  RUN (test_dynamic_ranges);
  RUN (test_fp32_has_no_choice);
  RUN (test_lists);
  return request_done ();
}
