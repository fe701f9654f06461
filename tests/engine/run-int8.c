/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * run-int8.c: runs a model in INT8 on images, for comparison with other runtimes.
 *
 *   run-int8 MODEL.onnx TABLE full|symmetric < images > outputs
 *
 * float32, images as [h w c], one after the other until the end of the input.
 */
#include <stdio.h>
#include <string.h>

#include "engine/engine.h"
#include "engine/graph.h"
#include "engine/quant.h"

#define BATCH 16

typedef struct {
  Engine *engine;
  EngineExec *exec;
  EngineQuant quant;
  gsize elements;
  float *image;
} Runner;

static void
quantise (const Runner *r, int image)
{
  gint8 *to = engine_exec_input (r->exec, image);

  for (gsize i = 0; i < r->elements; i++)
    to[i] = engine_quant_level (&r->quant, r->image[i]);
}

/* Up to a batch of images; returns how many there were. */
static int
read_batch (const Runner *r)
{
  int n = 0;

  while (n < BATCH && fread (r->image, sizeof (float), r->elements, stdin) == r->elements)
    quantise (r, n++);
  return n;
}

static gboolean
run_all (const Runner *r, GError **error)
{
  const gsize classes = engine_n_classes (r->engine);
  int n;

  while ((n = read_batch (r)) > 0) {
    if (!engine_exec_run (r->exec, n, error))
      return FALSE;
    for (int i = 0; i < n; i++)
      fwrite (engine_exec_output (r->exec, i), sizeof (float), classes, stdout);
  }
  return TRUE;
}

static gboolean
run (const char *model, const char *table, EngineRanges ranges, GError **error)
{
  const EngineRequest request = {.model = model,
      .table = table,
      .no_cache = TRUE,
      .force = TRUE,
      .precision = ENGINE_PRECISION_INT8,
      .ranges = ranges};
  g_autoptr (Engine) engine = engine_obtain (&request, NULL, NULL, NULL, NULL, NULL, error);
  KernelBackend *backend = engine ? engine_backend_open ("cpu", error) : NULL;
  g_autoptr (EngineExec) exec = backend ? engine_exec_new (engine, backend, BATCH, 0, error) : NULL;
  EngineInputInfo info;
  gboolean ok = FALSE;

  if (exec) {
    Runner r = {.engine = engine, .exec = exec};

    engine_input (engine, &info);
    (void) engine_input_type (engine, &r.quant.scale, &r.quant.zero);
    r.elements = (gsize) info.height * info.width * info.channels;
    r.image = g_new (float, r.elements);
    ok = run_all (&r, error);
    g_free (r.image);
  }
  g_clear_pointer (&exec, engine_exec_free);
  engine_backend_close (backend);
  return ok;
}

int
main (int argc, char **argv)
{
  g_autoptr (GError) error = NULL;
  const gboolean symmetric = argc == 4 && strcmp (argv[3], "symmetric") == 0;

  if (argc != 4 || (!symmetric && strcmp (argv[3], "full") != 0)) {
    fprintf (stderr, "usage: run-int8 MODEL.onnx TABLE full|symmetric < images > outputs\n");
    return 2;
  }
  if (run (argv[1], argv[2], symmetric ? ENGINE_RANGES_SYMMETRIC : ENGINE_RANGES_FULL, &error))
    return 0;
  fprintf (stderr, "%s\n", error->message);
  return 1;
}
