/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* caffe-check.h: nets of Caffe (caffe-model.h) run, and their outputs against known numbers. */
#pragma once

#include <math.h>

#include "engine/engine.h"
#include "tests/check.h"
#include "tests/engine/caffe-model.h"
#include "tests/folder.h"

#define MAX_VALUES 4096

static char *folder; /* of this program */

/* A blob for one image, as Caffe orders it. */
typedef struct {
  int c, h, w;
  double v[MAX_VALUES];
} Blob;

#define AT(b, k, i, j) (b)->v[((k) * (b)->h + (i)) * (b)->w + (j)]

static inline double
pixel (int i)
{
  return ((29 * i + 7) % 61 - 30) / 16.0;
}

static inline Blob
image (int c, int h, int w)
{
  Blob blob = {c, h, w, {0}};

  for (int i = 0; i < c * h * w; i++)
    blob.v[i] = pixel (i);
  return blob;
}

static inline Engine *
build (const char *path, const EngineModelOptions *source, GError **error)
{
  const EngineBuildOptions options = {.precision = ENGINE_PRECISION_FP32};
  g_autoptr (EngineModel) model = engine_model_load_with (path, source, error);

  return model ? engine_build (model, &options, NULL, NULL, NULL, NULL, error) : NULL;
}

static inline void
run (Engine *engine, const Blob *x, Blob *y, GError **error)
{
  KernelBackend *backend = engine_backend_open ("ref", error);
  EngineExec *exec = backend ? engine_exec_new (engine, backend, 1, 1, error) : NULL;

  if (exec) {
    float *input = engine_exec_input (exec, 0);

    for (int k = 0; k < x->c; k++)
      for (int i = 0; i < x->h * x->w; i++)
        input[i * x->c + k] = (float) x->v[k * x->h * x->w + i];
    if (engine_exec_run (exec, 1, error))
      for (int i = 0; i < y->c * y->h * y->w; i++)
        y->v[i] = engine_exec_output (exec, 0)[i];
  }
  engine_exec_free (exec);
  engine_backend_close (backend);
}

/* The outputs of a net for x; weights are unreferenced. */
static inline void
check_model (const char *label, const char *prototxt, GByteArray *weights, const Blob *x,
    const Blob *expected)
{
  g_autoptr (GError) error = NULL;
  g_autofree char *path = caffe_files (folder, prototxt, weights);
  g_autoptr (Engine) engine = build (path, NULL, &error);
  const int n = expected->c * expected->h * expected->w;
  Blob y = {expected->c, expected->h, expected->w, {0}};
  double largest = 1e-3;

  g_byte_array_unref (weights);
  if (engine && engine_n_classes (engine) != n)
    CHECK_FAIL ("%s: %d values, expected %d", label, engine_n_classes (engine), n);
  else if (engine)
    run (engine, x, &y, &error);
  if (error) {
    CHECK_FAIL ("%s: %s", label, error->message);
    return;
  }
  for (int i = 0; i < n; i++)
    largest = fmax (largest, fabs (expected->v[i]));
  for (int i = 0; i < n; i++)
    if (!(fabs (y.v[i] - expected->v[i]) <= 2e-6 * largest)) {
      CHECK_FAIL ("%s: output %d is %.9g, expected %.9g", label, i, y.v[i], expected->v[i]);
      return;
    }
}

static inline void
caffe_begin (void)
{
  folder = g_dir_make_tmp ("caffe-XXXXXX", NULL);
  g_setenv ("XDG_CACHE_HOME", folder, TRUE);
}

/* check_done() */
static inline int
caffe_end (void)
{
  test_folder_remove (folder);
  g_free (folder);
  return check_done ();
}
