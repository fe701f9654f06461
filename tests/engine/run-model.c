/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * run-model.c: runs a model in float on one image, for comparison with other runtimes.
 *
 *   run-model MODEL.onnx BACKEND < image > output      float32, the image as [h w c]
 *   run-model MODEL.onnx                               prints "h w c classes"
 *
 * SHAPE in the environment is EngineModelOptions.shape.
 */
#include <stdio.h>
#include <string.h>

#include "engine/engine.h"

static gboolean
run (EngineModel *model, const char *backend_name, GError **error)
{
  const EngineBuildOptions options = {.precision = ENGINE_PRECISION_FP32};
  EngineBuildReport report = {0};
  char why[256] = "";
  KernelBackend *backend = kernel_open (backend_name, why, sizeof why);
  g_autoptr (Engine) engine = NULL;
  g_autoptr (EngineExec) exec = NULL;
  EngineInputInfo info;
  gsize n;

  if (!backend) {
    g_set_error (error, ENGINE_ERROR, ENGINE_ERROR_BACKEND, "%s: %s", backend_name, why);
    return FALSE;
  }
  engine = engine_build (model, &options, &report, NULL, NULL, NULL, error);
  engine_build_report_clear (&report);
  exec = engine ? engine_exec_new (engine, backend, 1, 0, error) : NULL;
  if (exec) {
    engine_input (engine, &info);
    n = (gsize) info.height * info.width * info.channels;
    if (fread (engine_exec_input (exec, 0), sizeof (float), n, stdin) != n)
      g_set_error (error, ENGINE_ERROR, ENGINE_ERROR_MISMATCH,
          "the input is shorter than %zu floats", n);
    else if (engine_exec_run (exec, 1, error))
      fwrite (engine_exec_output (exec, 0), sizeof (float), engine_n_classes (engine), stdout);
  }
  g_clear_pointer (&exec, engine_exec_free);
  kernel_close (backend);
  return error == NULL || *error == NULL;
}

int
main (int argc, char **argv)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (EngineModel) model = NULL;
  EngineModelOptions options = {0};
  EngineInputInfo info;

  if (argc < 2 || argc > 3) {
    fprintf (stderr, "usage: run-model MODEL.onnx [BACKEND < image > output]\n");
    return 2;
  }
  options.shape = g_getenv ("SHAPE");
  model = engine_model_load_with (argv[1], &options, &error);
  if (model && argc == 2) {
    engine_model_input (model, &info);
    printf ("%d %d %d %d\n", info.height, info.width, info.channels,
        engine_model_n_classes (model));
  } else if (model) {
    run (model, argv[2], &error);
  }
  if (error)
    fprintf (stderr, "%s\n", error->message);
  return error ? 1 : 0;
}
