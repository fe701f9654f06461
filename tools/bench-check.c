/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * bench-check.c: random images, and whether another back end gives the same bytes for them. Zeros
 * would hide errors, and a GPU that multiplies them draws less power and runs faster.
 */
#include "tools/bench.h"

#include <string.h>

#define SEED 1

/* One image after the other from a generator of its own: a batch does not change them. */
static void
fill (const Engine *engine, void *image, gsize values, GRand *rand)
{
  const gboolean s8 = engine_input_type (engine, NULL, NULL) == ENGINE_TYPE_S8;

  for (gsize i = 0; i < values; i++)
    if (s8)
      ((gint8 *) image)[i] = (gint8) g_rand_int_range (rand, -128, 128);
    else
      ((float *) image)[i] = (float) g_rand_double_range (rand, -2, 2);
}

gboolean
bench_fill_inputs (const Bench *bench, KernelBackend *backend, EngineExec *exec, GError **error)
{
  EngineInputInfo info;
  engine_input (bench->engine, &info);
  const gsize values = (gsize) info.height * info.width * info.channels;
  const gsize size =
      values * (engine_input_type (bench->engine, NULL, NULL) == ENGINE_TYPE_S8 ? 1 : 4);
  g_autoptr (GRand) rand = g_rand_new_with_seed (SEED);
  g_autofree void *image = g_malloc (size);

  for (int i = 0; i < bench->batch; i++) {
    fill (bench->engine, image, values, rand);
    backend->upload (engine_exec_queue (exec), engine_exec_input (exec, i), image, size);
    const char *failure = backend->queue_wait (engine_exec_queue (exec)); /* the image is reused */
    if (failure) {
      g_set_error (error, ENGINE_ERROR, ENGINE_ERROR_BACKEND, "back end '%s' failed: %s",
          backend->name, failure);
      return FALSE;
    }
  }
  return TRUE;
}

static gsize
count_different (const Bench *bench, EngineExec *other)
{
  const gsize size = engine_n_classes (bench->engine) * sizeof (float);
  gsize different = 0;

  for (int i = 0; i < bench->batch; i++) {
    const guint8 *a = (const guint8 *) engine_exec_output (bench->exec, i);
    const guint8 *b = (const guint8 *) engine_exec_output (other, i);

    for (gsize k = 0; k < size; k++)
      different += a[k] != b[k];
  }
  return different;
}

gboolean
bench_check (const Bench *bench, const char *name, GError **error)
{
  KernelBackend *backend = engine_backend_open (name, error);
  EngineExec *exec =
      backend ? engine_exec_new (bench->engine, backend, bench->batch, 0, error) : NULL;
  gboolean ok = exec && bench_fill_inputs (bench, backend, exec, error) &&
                engine_exec_run (exec, bench->batch, error) &&
                engine_exec_run (bench->exec, bench->batch, error);

  if (ok) {
    const gsize different = count_different (bench, exec);

    g_print ("check       %d images of %d values: %" G_GSIZE_FORMAT " bytes differ from %s\n",
        bench->batch, engine_n_classes (bench->engine), different, backend->name);
    ok = different == 0;
    if (!ok)
      g_set_error (error, ENGINE_ERROR, ENGINE_ERROR_BACKEND,
          "back ends '%s' and '%s' give different results; please report it with the engine file",
          bench->backend->name, backend->name);
  }
  engine_exec_free (exec);
  engine_backend_close (backend);
  return ok;
}
