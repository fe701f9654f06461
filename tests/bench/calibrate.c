/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * calibrate.c: what the histograms of a calibration add to the plain FP32 network.
 *
 *   calibrate MODEL.onnx [FRAMES [THREADS [BATCH [BACKEND]]]]      default: 500 frames, 2 threads, batch 1, cpu
 *
 * Both take the same frames (seeded noise, smooth and fine) in turns of ten runs; the first turn of each does
 * not count. Prints seconds of all frames, the ratio of the sums, and the median of the ratios of
 * neighbouring turns. What a device has counted is fetched at the end, which counts; the digest of the statistics
 * is the same for every back end. The caller pins the process: "taskset -c 0,1 calibrate resnet50.onnx".
 */
#include "engine/engine.h"

#include <glib/gstdio.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define IMAGES 16
#define TURN   10

typedef struct {
  KernelBackend *backend;
  EngineExec *plain;
  float *staged; /* [batch]: on their way to a device; else NULL */
  EngineCalibrator *calibrator;
  float *images; /* [IMAGES] */
  gsize elements;
  int batch;
} Bench;

static double
now (void)
{
  return 1e-6 * (double) g_get_monotonic_time ();
}

static double
normal (GRand *random)
{
  const double u = 1 - g_rand_double (random), v = g_rand_double (random);

  return sqrt (-2 * log (u)) * cos (2 * G_PI * v);
}

/* Blocks of 16 values share a part, so that a picture is not white noise. */
static float *
make_images (gsize elements)
{
  GRand *random = g_rand_new_with_seed (1);
  float *images = g_new (float, IMAGES *elements);

  for (gsize i = 0; i < IMAGES * elements; i += 16) {
    const double shared = normal (random);

    for (gsize j = i; j < MIN (i + 16, IMAGES * elements); j++)
      images[j] = (float) (0.8 * shared + 0.6 * normal (random));
  }
  g_rand_free (random);
  return images;
}

static double
run_plain (Bench *bench, int *next, GError **error)
{
  const gsize size = bench->elements * sizeof (float);
  const double begin = now ();

  for (int run = 0; run < TURN; run++) {
    for (int i = 0; i < bench->batch; i++)
      memcpy (bench->staged ? bench->staged + i * bench->elements
                            : engine_exec_input (bench->plain, i),
          bench->images + (*next)++ % IMAGES * bench->elements, size);
    if (bench->staged)
      bench->backend->upload (engine_exec_queue (bench->plain), engine_exec_input (bench->plain, 0),
          bench->staged, bench->batch * size);
    if (!engine_exec_run (bench->plain, bench->batch, error))
      return -1;
  }
  return now () - begin;
}

static double
run_calibrator (Bench *bench, int *next, GError **error)
{
  const double begin = now ();

  for (int i = 0; i < TURN * bench->batch; i++) {
    memcpy (engine_calibrator_input (bench->calibrator),
        bench->images + (*next)++ % IMAGES * bench->elements, bench->elements * sizeof (float));
    if (!engine_calibrator_push (bench->calibrator, error))
      return -1;
  }
  return now () - begin;
}

static int
compare (const void *a, const void *b)
{
  const double x = *(const double *) a, y = *(const double *) b;

  return x < y ? -1 : x > y;
}

static gboolean
measure (Bench *bench, int frames, GError **error)
{
  const int turns = (frames + TURN * bench->batch - 1) / (TURN * bench->batch);
  g_autofree double *ratios = g_new (double, turns);
  double plain = 0, calibrating = 0;
  int a = 0, b = 0;

  for (int turn = -1; turn < turns; turn++) {
    const double p = run_plain (bench, &a, error),
                 c = p < 0 ? -1 : run_calibrator (bench, &b, error);

    if (c < 0)
      return FALSE;
    if (turn < 0)
      continue;
    plain += p;
    calibrating += c;
    ratios[turn] = c / p;
  }
  const double begin = now ();
  if (!engine_calibrator_flush (bench->calibrator, error))
    return FALSE;
  const double fetching = now () - begin;
  calibrating += fetching;
  qsort (ratios, turns, sizeof *ratios, compare);
  frames = turns * TURN * bench->batch;
  printf (
      "%s, batch %d, %d frames: FP32 %.3f s (%.3f ms a frame), with histograms %.3f s (%.3f ms), %.1f ms of it at "
      "the end\n",
      bench->backend->name, bench->batch, frames, plain, 1e3 * plain / frames, calibrating,
      1e3 * calibrating / frames, 1e3 * fetching);
  printf ("histograms add %.1f %% (sums), %.1f %% (median of %d turns)\n",
      100 * (calibrating / plain - 1), 100 * (ratios[turns / 2] - 1), turns);
  return TRUE;
}

static gboolean
print_digest (const CalibStatistics *statistics, GError **error)
{
  g_autofree char *folder = g_dir_make_tmp ("int8-calibrate-XXXXXX", error), *data = NULL;
  g_autofree char *path = folder ? g_build_filename (folder, "x.int8stats", NULL) : NULL;
  gsize size;
  const gboolean read = path && calib_statistics_save (statistics, path, error) &&
                        g_file_get_contents (path, &data, &size, error);
  g_autofree char *sha256 =
      read ? g_compute_checksum_for_data (G_CHECKSUM_SHA256, (const guchar *) data, size) : NULL;

  if (path) {
    g_unlink (path);
    g_rmdir (folder);
  }
  if (sha256)
    printf ("statistics: %" G_GSIZE_FORMAT " bytes, SHA-256 %s\n", size, sha256);
  return read;
}

static gboolean
prepare (Bench *bench, const char *path, int threads, KernelBackend *backend,
    CalibStatistics *statistics, GError **error)
{
  const EngineBuildOptions options = {.precision = ENGINE_PRECISION_FP32};
  g_autoptr (EngineModel) model = engine_model_load (path, error);
  g_autoptr (Engine) engine =
      model ? engine_build (model, &options, NULL, NULL, NULL, NULL, error) : NULL;
  EngineInputInfo info;

  if (!engine)
    return FALSE;
  engine_model_input (model, &info);
  bench->elements = (gsize) info.height * info.width * info.channels;
  bench->images = make_images (bench->elements);
  bench->backend = backend;
  if (!backend->host_memory)
    bench->staged = backend->host_alloc (backend, bench->batch * bench->elements * sizeof (float));
  bench->plain = engine_exec_new (engine, backend, bench->batch, threads, error);
  if (!bench->plain)
    return FALSE;
  bench->calibrator =
      engine_calibrator_new (model, backend, bench->batch, threads, statistics, error);
  return bench->calibrator != NULL;
}

int
main (int argc, char **argv)
{
  const int frames = argc > 2 ? atoi (argv[2]) : 500, threads = argc > 3 ? atoi (argv[3]) : 2;
  g_autoptr (CalibStatistics) statistics = calib_statistics_new (NULL, CALIB_HISTOGRAM_DEFAULT);
  Bench bench = {.batch = argc > 4 ? atoi (argv[4]) : 1};
  g_autoptr (GError) error = NULL;
  KernelBackend *backend;

  if (argc < 2 || argc > 6 || frames < 1 || threads < 1 || bench.batch < 1) {
    fprintf (stderr, "usage: %s MODEL.onnx [FRAMES [THREADS [BATCH [BACKEND]]]]\n", argv[0]);
    return 2;
  }
  backend = engine_backend_open (argc > 5 ? argv[5] : "cpu", &error);
  if (!backend || !prepare (&bench, argv[1], threads, backend, statistics, &error) ||
      !measure (&bench, frames, &error) || !print_digest (statistics, &error))
    fprintf (stderr, "%s\n", error->message);
  engine_calibrator_free (bench.calibrator);
  engine_exec_free (bench.plain);
  if (bench.staged)
    backend->host_free (backend, bench.staged);
  g_free (bench.images);
  engine_backend_close (backend);
  return error ? 1 : 0;
}
