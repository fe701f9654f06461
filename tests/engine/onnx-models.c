/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * onnx-models.c: the small models of models/, one idea each. What a model is imported as and what
 * the float passes make of it is compared with models/dumps.txt, what it computes with
 * models/golden.txt, which ONNX Runtime computed (models.py).
 *
 *   onnx-models            the test
 *   onnx-models --print    the text for dumps.txt, to be read before it is kept
 */
#include <math.h>
#include <stdlib.h>

#include "engine/engine.h"
#include "engine/model.h"
#include "engine/onnx/onnx.h"
#include "tests/check.h"

static const char *
folder (void)
{
  static char *path;

  if (!path)
    path = g_build_filename (g_getenv ("INT8_SOURCE_DIR") ? g_getenv ("INT8_SOURCE_DIR") : ".",
        "tests/engine/models", NULL);
  return path;
}

static char *
read_file (const char *name)
{
  g_autofree char *path = g_build_filename (folder (), name, NULL);
  g_autoptr (GError) error = NULL;
  char *text = NULL;

  if (!g_file_get_contents (path, &text, NULL, &error))
    CHECK_FAIL ("%s", error->message);
  return text ? text : g_strdup ("");
}

static char *
model_path (const char *name)
{
  g_autofree char *file = g_strconcat (name, ".onnx", NULL);

  return g_build_filename (folder (), file, NULL);
}

/* After import, and after the float passes. */
static char *
dump (const char *name)
{
  g_autofree char *path = model_path (name), *imported = NULL, *fused = NULL;
  g_autoptr (GError) error = NULL;
  g_autoptr (EngineGraph) graph = engine_onnx_import (path, NULL, &error);
  g_autoptr (EngineModel) model = graph ? engine_model_load (path, &error) : NULL;

  if (!model)
    return g_strdup_printf ("## %s\n%s\n", name, error->message);
  imported = engine_graph_dump (graph);
  fused = engine_model_dump (model);
  return g_strdup_printf ("## %s\n%s--\n%s", name, imported, fused);
}

static void
test_dumps (void)
{
  g_autofree char *all = read_file ("dumps.txt");
  g_auto (GStrv) expected = g_strsplit (all, "## ", -1);

  CHECK_INT (g_strv_length (expected), >, 50);
  for (int i = 1; expected[0] && expected[i]; i++) {
    g_autofree char *name = g_strndup (expected[i], strcspn (expected[i], "\n"));
    g_autofree char *got = dump (name);

    CHECK_STR (got + strlen ("## "), expected[i]);
  }
}

/* --- Numbers -------------------------------------------------------------------------------- */

/* x[i] = ((29 i + 7) mod 61 - 30) / 16, in the order of the model's axes. */
static void
write_image (const EngineInputInfo *info, gboolean nchw, float *x)
{
  const int h = info->height, w = info->width, c = info->channels;

  for (int i = 0; i < h * w * c; i++) {
    const int to = nchw ? i % (h * w) * c + i / (h * w) : i;

    x[to] = ((29 * i + 7) % 61 - 30) / 16.0f;
  }
}

static void
check_output (const char *name, const float *y, int n, char **expected)
{
  double largest = 0;

  CHECK_INT (n, ==, g_strv_length (expected));
  for (int i = 0; i < n && expected[i]; i++)
    largest = fmax (largest, fabs (g_ascii_strtod (expected[i], NULL)));
  for (int i = 0; i < n && expected[i]; i++) {
    const double value = g_ascii_strtod (expected[i], NULL);

    if (!(fabs (y[i] - value) <= 1e-6 * largest)) {
      CHECK_FAIL ("%s: output %d is %.9g, expected %.9g", name, i, y[i], value);
      return;
    }
  }
}

static void
run_model (const char *name, char **expected, KernelBackend *backend)
{
  const EngineBuildOptions options = {.precision = ENGINE_PRECISION_FP32};
  EngineBuildReport report = {0};
  g_autofree char *path = model_path (name);
  g_autoptr (GError) error = NULL;
  g_autoptr (EngineModel) model = engine_model_load (path, &error);
  g_autoptr (Engine) engine =
      model ? engine_build (model, &options, &report, NULL, NULL, NULL, &error) : NULL;
  g_autoptr (EngineExec) exec = engine ? engine_exec_new (engine, backend, 1, 1, &error) : NULL;
  EngineInputInfo info;

  engine_build_report_clear (&report);
  if (exec) {
    engine_input (engine, &info);
    write_image (&info, !strstr (name, "nhwc"), engine_exec_input (exec, 0));
    if (engine_exec_run (exec, 1, &error))
      check_output (name, engine_exec_output (exec, 0), engine_n_classes (engine), expected);
  }
  if (error)
    CHECK_FAIL ("%s", error->message);
}

static void
test_numbers (void)
{
  g_autofree char *all = read_file ("golden.txt");
  g_auto (GStrv) lines = g_strsplit (g_strstrip (all), "\n", -1);
  char why[256] = "";
  KernelBackend *backend = kernel_open ("ref", why, sizeof why);

  CHECK_STR (why, "");
  CHECK_INT (g_strv_length (lines), >, 50);
  for (int i = 0; backend && lines[i]; i++) {
    g_auto (GStrv) words = g_strsplit (lines[i], " ", -1);
    g_autofree char *name = g_strndup (words[0], strlen (words[0]) - 1);

    run_model (name, words + 1, backend);
  }
  kernel_close (backend);
}

static int
print_dumps (void)
{
  g_autofree char *all = read_file ("golden.txt");
  g_auto (GStrv) lines = g_strsplit (g_strstrip (all), "\n", -1);

  for (int i = 0; lines[i]; i++) {
    g_autofree char *name = g_strndup (lines[i], strcspn (lines[i], ":"));
    g_autofree char *text = dump (name);

    fputs (text, stdout);
  }
  return 0;
}

int
main (int argc, char **argv)
{
  if (argc > 1 && strcmp (argv[1], "--print") == 0)
    return print_dumps ();
  RUN (test_dumps);
  RUN (test_numbers);
  return check_done ();
}
