/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * explicit.c: models that are quantised already as INT8 engines. Those of models/ give, without a table,
 * what ONNX Runtime computed with them (golden.txt), in int8 throughout; and what is said about those that
 * cannot be right.
 */
#include <glib/gstdio.h>
#include <math.h>
#include <string.h>

#include "engine/build.h"
#include "engine/model.h"
#include "engine/onnx/onnx.h"
#include "engine/quant.h"
#include "engine/quantise.h"
#include "tests/check.h"
#include "tests/engine/onnx-text.h"

static const char *
source_path (const char *name)
{
  static char *path;

  g_free (path);
  path = g_build_filename (g_getenv ("INT8_SOURCE_DIR") ? g_getenv ("INT8_SOURCE_DIR") : ".",
      "tests/engine/models", name, NULL);
  return path;
}

static EngineModel *
model_of (const char *text, GError **error)
{
  g_autofree char *folder = g_dir_make_tmp ("int8-explicit-XXXXXX", NULL);
  g_autofree char *path = g_build_filename (folder, "model.onnx", NULL);
  g_autoptr (GByteArray) bytes = onnx_text (text);
  EngineModel *model = NULL;

  if (g_file_set_contents (path, (const char *) bytes->data, bytes->len, error))
    model = engine_model_load (path, error);
  g_unlink (path);
  g_rmdir (folder);
  return model;
}

static Engine *
build (const EngineModel *model, const EngineBuildOptions *options, EngineBuildReport *report,
    GError **error)
{
  return engine_build (model, options, report, NULL, NULL, NULL, error);
}

/* --- Numbers -------------------------------------------------------------------------------- */

/* As onnx-models.c has it: x[i] = ((29 i + 7) mod 61 - 30) / 16 in NCHW. */
static void
write_image (const Engine *engine, void *to)
{
  EngineInputInfo info;
  EngineQuant quant;
  const EngineType type = engine_input_type (engine, &quant.scale, &quant.zero);

  engine_input (engine, &info);
  const int pixels = info.height * info.width, c = info.channels;

  for (int i = 0; i < pixels * c; i++) {
    const int at = i % pixels * c + i / pixels;
    const float x = ((29 * i + 7) % 61 - 30) / 16.0f;

    if (type == ENGINE_TYPE_S8)
      ((gint8 *) to)[at] = engine_quant_level (&quant, x);
    else
      ((float *) to)[at] = x;
  }
}

static void
check_outputs (const char *name, const float *y, int n, char **expected)
{
  CHECK_INT (n, ==, g_strv_length (expected));
  for (int i = 0; i < n && expected[i]; i++) {
    const double value = g_ascii_strtod (expected[i], NULL);

    if (!(fabs (y[i] - value) <= 1e-5 * (1 + fabs (value)))) {
      CHECK_FAIL ("%s: output %d is %.9g, expected %.9g", name, i, y[i], value);
      return;
    }
  }
}

static void
run_model (const char *name, char **expected, KernelBackend *backend)
{
  const EngineBuildOptions options = {.precision = ENGINE_PRECISION_INT8, .strict = TRUE};
  g_autofree char *file = g_strconcat (name, ".onnx", NULL);
  EngineBuildReport report = {0};
  g_autoptr (GError) error = NULL;
  g_autoptr (EngineModel) model = engine_model_load (source_path (file), &error);
  g_autoptr (Engine) engine = model ? build (model, &options, &report, &error) : NULL;
  g_autoptr (EngineExec) exec = engine ? engine_exec_new (engine, backend, 1, 1, &error) : NULL;

  if (!exec) {
    CHECK_FAIL ("%s", error->message);
    return;
  }
  CHECK (engine_model_is_quantised (model));
  if (report.layers_fp32 > 0 && !g_str_has_suffix (name, "-float")) /* names what it is about */
    CHECK_FAIL ("%s: %d layers are float", name, report.layers_fp32);
  write_image (engine, engine_exec_input (exec, 0));
  if (engine_exec_run (exec, 1, &error))
    check_outputs (name, engine_exec_output (exec, 0), engine_n_classes (engine), expected);
  else
    CHECK_FAIL ("%s", error->message);
  engine_build_report_clear (&report);
}

static void
test_numbers (void)
{
  g_autofree char *all = NULL;
  char why[256] = "";
  KernelBackend *backend = kernel_open ("ref", why, sizeof why);
  int n = 0;

  CHECK (g_file_get_contents (source_path ("golden.txt"), &all, NULL, NULL));
  g_auto (GStrv) lines = g_strsplit (all ? all : "", "\n", -1);

  CHECK_STR (why, "");
  for (int i = 0; backend && lines[i]; i++) {
    g_auto (GStrv) words = g_strsplit (lines[i], " ", -1);

    if (!g_str_has_prefix (lines[i], "quant-"))
      continue;
    words[0][strlen (words[0]) - 1] = '\0'; /* the colon */
    run_model (words[0], words + 1, backend);
    n++;
  }
  CHECK_INT (n, >=, 13);
  kernel_close (backend);
}

/* --- Graphs --------------------------------------------------------------------------------- */

#define X "levels xz:2 1 = 121; floats xs 1 = 0.5; "
#define W "levels w 2 3 1 1 = 1 -2 3 -128 127 0; floats ws 2 = 0.25 0.125; levels wz 2 = 0 0; "
#define SQUARE                                                                                     \
  "levels w 3 3 1 1 = 1 -2 3 -128 127 0 5 6 7; floats ws 3 = 0.25 0.125 0.5; levels wz 3 = 0 0 0; "
#define Y "levels yz:2 1 = 0; floats ys 1 = 0.75; "
#define READ                                                                                       \
  "QuantizeLinear x xs xz -> q; DequantizeLinear q xs xz -> d; DequantizeLinear w ws wz -> v axis=0; "

static void
check_engine (const char *text, const EngineBuildOptions *options, const char *expected)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (EngineModel) model = model_of (text, &error);
  g_autoptr (Engine) engine = model ? build (model, options, NULL, &error) : NULL;
  g_autofree char *dump = engine ? engine_dump (engine) : NULL;

  CHECK_STR (dump ? dump : error->message, expected);
}

/* Everything between the pairs is int8, under the names of the real values; a ReLU is implied. */
static void
test_graphs (void)
{
  const EngineBuildOptions int8 = {.precision = ENGINE_PRECISION_INT8};

  check_engine ("input x 1 3 4 4; " X W Y READ "Conv d v -> c; QuantizeLinear c ys yz -> cq; "
                "DequantizeLinear cq ys yz -> y; output y",
      &int8,
      "x = input s8 [1 4 4 3] scale 0.5 zero -7 affine\n"
      "c = conv (x, w s8 [2 1 1 3], b [2], m [2]) clamp 0..inf s8 [1 4 4 2] scale 0.75 zero -128 full\n"
      "y = transpose (c) perm [0 3 1 2] s8 [1 2 4 4] scale 0.75 zero -128 full\n"
      "y (float) = dequantise (y) f32 [1 2 4 4]\n"
      "output y (float)\n");
  /* A residual that is quantised before the sum stays so, and one that is not joins the convolution. */
  check_engine ("input x 1 3 4 4; " X SQUARE Y READ "Conv d v -> c; QuantizeLinear c xs xz -> cq; "
                "DequantizeLinear cq xs xz -> e; Add e d -> s; QuantizeLinear s ys yz -> sq; "
                "DequantizeLinear sq ys yz -> t; GlobalAveragePool t -> y; output y",
      &int8,
      "x = input s8 [1 4 4 3] scale 0.5 zero -7 affine\n"
      "c = conv (x, w s8 [3 1 1 3], b [3], m [3]) s8 [1 4 4 3] scale 0.5 zero -7 affine\n"
      "s = add (c, x) clamp 0..inf s8 [1 4 4 3] scale 0.75 zero -128 full\n"
      "y = avgpool (s) 4x4 f32 [1 1 1 3]\n"
      "output y\n");
  check_engine (
      "input x 1 3 4 4; " X SQUARE Y READ "Conv d v -> c; Add c d -> s; "
      "QuantizeLinear s ys yz -> sq; DequantizeLinear sq ys yz -> t; GlobalAveragePool t -> y; "
      "output y",
      &int8,
      "x = input s8 [1 4 4 3] scale 0.5 zero -7 affine\n"
      "s = conv (x, w s8 [3 1 1 3], b [3], m [3], r x) clamp 0..inf s8 [1 4 4 3] scale 0.75 zero -128 "
      "full\n"
      "y = avgpool (s) 4x4 f32 [1 1 1 3]\n"
      "output y\n");
  /* Weights that are no levels, and values that are not quantised, are float. */
  check_engine (
      "input x 1 3 4 4; " X Y "floats f 2 3 1 1; QuantizeLinear x xs xz -> q; "
      "DequantizeLinear q xs xz -> d; Conv d f -> c; QuantizeLinear c ys yz -> cq; "
      "DequantizeLinear cq ys yz -> e; Sigmoid e -> g; GlobalAveragePool g -> y; output y",
      &int8,
      "x = input s8 [1 4 4 3] scale 0.5 zero -7 affine\n"
      "d = dequantise (x) f32 [1 4 4 3]\n"
      "c = conv (d, w [2 1 1 3]) clamp 0..inf f32 [1 4 4 2]\n"
      "cq = quantise (c) s8 [1 4 4 2] scale 0.75 zero -128 full\n"
      "e = dequantise (cq) f32 [1 4 4 2]\n"
      "g = unary (e) sigmoid f32 [1 4 4 2]\n"
      "y = avgpool (g) 4x4 f32 [1 1 1 2]\n"
      "output y\n");
}

#define CHANNELS                                                                                   \
  "input x 1 3 4 4; " X SQUARE Y READ                                                              \
  "floats rs 3 = 0.5 0.25 1; levels rz:2 3 = 0 0 0; levels u 3 1 3 3; floats us 1 = 0.5; "         \
  "levels uz 1 = 0; DequantizeLinear u us uz -> o; floats lo = 0; floats hi = 64; "                \
  "Conv d v -> c; "
#define CHANNEL_PAIR "QuantizeLinear r rs rz -> rq; DequantizeLinear rq rs rz -> rd; "
#define END                                                                                        \
  "QuantizeLinear e ys yz -> eq; DequantizeLinear eq ys yz -> t; GlobalAveragePool t -> y; output y"

/* A scale for each channel goes into the weights before and behind it. It stays a multiplication of its own
 * where a clamp ends below the last level of a channel, and where the channels are added up. */
static void
test_channels (void)
{
  const EngineBuildOptions int8 = {.precision = ENGINE_PRECISION_INT8};

  check_engine (CHANNELS "Relu c -> r; " CHANNEL_PAIR "Conv rd o -> e group=3 pads=[1,1,1,1]; " END,
      &int8,
      "x = input s8 [1 4 4 3] scale 0.5 zero -7 affine\n"
      "rq = conv (x, w s8 [3 1 1 3], b [3], m [3]) clamp 0..inf s8 [1 4 4 3] scale 1 zero -128 full\n"
      "e = conv (rq, w s8 [3 3 3 1], b [3], m [3]) pad 1,1,1,1 groups 3 clamp 0..inf s8 [1 4 4 3] scale 0.75 zero -128 "
      "full\n"
      "y = avgpool (e) 4x4 f32 [1 1 1 3]\n"
      "output y\n");
  check_engine (CHANNELS "Clip c lo hi -> r; " CHANNEL_PAIR "Conv rd v -> e; " END, &int8,
      "x = input s8 [1 4 4 3] scale 0.5 zero -7 affine\n"
      "r (unclamped) = conv (x, w s8 [3 1 1 3], b [3], m [3]) f32 [1 4 4 3]\n"
      "r = unary (r (unclamped)) clip 0..64 f32 [1 4 4 3]\n"
      "rq = conv (r, w [3 1 1 1], b [3]) groups 3 clamp 0..inf f32 [1 4 4 3]\n"
      "rq#2 = quantise (rq) s8 [1 4 4 3] scale 1 zero -128 full\n"
      "rq#3 = conv (rq#2, w s8 [3 1 1 1], b [3], m [3]) groups 3 f32 [1 4 4 3]\n"
      "e = conv (rq#3, w [3 1 1 3]) clamp 0..inf f32 [1 4 4 3]\n"
      "eq = quantise (e) s8 [1 4 4 3] scale 0.75 zero -128 full\n"
      "y = avgpool (eq) 4x4 f32 [1 1 1 3]\n"
      "output y\n");
}

/* --- Weights -------------------------------------------------------------------------------- */

/* The integers of the model, -128 included, come back; filters with others do not. */
static void
test_weights (void)
{
  const float w[] = {-128 * 0.1f, 127 * 0.1f, 0, 3 * 0.3f, -130 * 0.3f, 0.3f, 0.5f, 1, 1.5f};
  const float scales[] = {0.1f, 0.3f, 0.7f};
  const gint8 expected[] = {-128, 127, 0};
  EngineValue value = {.type = ENGINE_TYPE_F32,
      .rank = 4,
      .dims = {3, 1, 1, 3},
      .data = g_bytes_new_static (w, sizeof w),
      .scales = g_bytes_new_static (scales, sizeof scales)};
  gint8 levels[9];
  double s_w[3];

  CHECK_INT (engine_quantise_weights (&value, NULL, levels, s_w), ==, 2);
  CHECK (memcmp (levels, expected, sizeof expected) == 0);
  CHECK (s_w[0] == (double) 0.1f);
  CHECK_INT (levels[4], ==, -127);
  CHECK_INT (levels[8], ==, 127);
  g_bytes_unref (value.data);
  g_bytes_unref (value.scales);
}

/* --- What is asked for ------------------------------------------------------------------------- */

#define MODEL                                                                                      \
  "input x 1 3 4 4; " X SQUARE Y READ "Conv d v -> c; QuantizeLinear c ys yz -> cq; "              \
  "DequantizeLinear cq ys yz -> e; GlobalAveragePool e -> y; output y"
#define DYNAMIC                                                                                    \
  "input x 1 3 4 4; " W "floats s 1 = 0.25; DynamicQuantizeLinear x -> q qs qz; "                  \
  "ConvInteger q w qz -> i; Cast i -> r to=1; Mul qs s -> p; Mul r p -> y; output y"

static void
check_failure (const EngineModel *model, const EngineBuildOptions *options, const char *message)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (Engine) engine = build (model, options, NULL, &error);

  if (engine)
    CHECK_FAIL ("built; expected: %s", message);
  else if (!strstr (error->message, message))
    CHECK_FAIL ("%s\n--- expected\n%s", error->message, message);
}

static void
test_options (void)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (EngineModel) model = model_of (MODEL, &error);
  g_autoptr (CalibTable) table = calib_table_new ("TRT-8601-EntropyCalibration2");
  g_autoptr (EngineLayerRules) rules = engine_layer_rules_parse ("c:fp32", &error);
  const CalibProvenance provenance = {.frames = 0};
  g_autoptr (CalibStatistics) statistics = calib_statistics_new (&provenance, 0);
  g_autoptr (EngineCalibrator) calibrator = NULL;
  g_autoptr (Engine) engine = NULL;
  KernelBackend *backend = engine_backend_open ("ref", &error);
  EngineBuildOptions options = {.precision = ENGINE_PRECISION_INT8, .table = table};
  EngineBuildReport report = {0};

  CHECK (model && backend);
  engine = build (model, &options, &report, &error);
  CHECK (engine && report.refused && report.refused->len == 1);
  CHECK_STR (report.refused->pdata[0],
      "calibration table: the model is quantised already, with scales of its own");
  engine_build_report_clear (&report);
  options.strict = TRUE;
  check_failure (model, &options, "strict: calibration table: the model is quantised already");
  options = (EngineBuildOptions){.precision = ENGINE_PRECISION_FP16};
  check_failure (model, &options, "is quantised already, which says int8");

  options = (EngineBuildOptions){.precision = ENGINE_PRECISION_INT8, .rules = rules};
  engine_unref (engine);
  engine = build (model, &options, &report, &error);
  CHECK (engine && report.obeyed && report.obeyed->len == 1);
  CHECK_INT (report.layers_fp32, ==, 1);
  engine_build_report_clear (&report);

  calibrator = engine_calibrator_new (model, backend, 1, 1, statistics, &error);
  CHECK (!calibrator && strstr (error->message, "there is nothing to calibrate"));
  engine_backend_close (backend);
}

/* Levels that every image decides anew are those of a table here. */
static void
test_dynamic (void)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (EngineModel) model = model_of (DYNAMIC, &error);
  g_autoptr (CalibTable) table = calib_table_new ("TRT-8601-EntropyCalibration2");
  g_autoptr (Engine) engine = NULL;
  EngineBuildOptions options = {.precision = ENGINE_PRECISION_INT8};
  EngineBuildReport report = {0};

  if (!model) {
    CHECK_FAIL ("%s", error->message);
    return;
  }
  CHECK (!engine_model_is_quantised (model));
  check_failure (model, &options, "INT8 needs a calibration table");
  calib_table_set (table, "x", 2.0f / 127);
  options.table = table;
  engine = build (model, &options, &report, &error);
  if (!engine)
    CHECK_FAIL ("%s", error->message);
  CHECK_INT (report.layers_int8, ==, 1);
  CHECK (!report.refused);
  engine_build_report_clear (&report);
}

int
main (void)
{
  RUN (test_numbers);
  RUN (test_graphs);
  RUN (test_channels);
  RUN (test_weights);
  RUN (test_options);
  RUN (test_dynamic);
  return check_done ();
}
