/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * soak.c: a calibration that goes on for days: does its memory stay, and which thresholds?
 *
 *   soak MODEL.onnx [FRAMES]        default: 200000
 *
 * The frames are noise with one pixel of a heavy tail (Pareto, exponent 5): the longer one looks, the larger
 * is the largest. They go through the calibrator with the stopping rule of auto-stop, which is asked
 * at every check and not obeyed. Prints resident memory at every tenth, and how thresholds of each method
 * changed from the first half to the whole. Exits with 1 unless memory is flat (at most 1 MiB more at the
 * end than after a tenth), entropy2 and mse stand still (below 2 %) and minmax is reported as drifting.
 */
#include "calib/convergence.h"
#include "engine/engine.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const CalibMethod methods[] = {CALIB_METHOD_ENTROPY2, CALIB_METHOD_MSE, CALIB_METHOD_MINMAX};

typedef struct {
  EngineCalibrator *calibrator;
  CalibConvergence *convergence;
  CalibStatistics *base;
  gsize elements;
  GRand *random;
  float *half[G_N_ELEMENTS (methods)]; /* thresholds of half the frames, by tensor */
  gboolean drifted;                    /* some check said that max |x| still grows */
} Soak;

static double
resident_mib (void)
{
  g_autofree char *text = NULL;
  long pages = 0;

  if (g_file_get_contents ("/proc/self/statm", &text, NULL, NULL))
    sscanf (text, "%*d %ld", &pages);
  return (double) pages * (double) sysconf (_SC_PAGESIZE) / (1 << 20);
}

/* Random numbers take longer to make than to calibrate on: the noise of a frame is a part of one store. */
#define NOISE 65536
static void
fill (Soak *soak, float *x)
{
  static float noise[NOISE];
  const guint at = g_rand_int (soak->random);

  if (noise[0] == 0)
    for (guint i = 0; i < NOISE; i++)
      noise[i] = (float) g_rand_double (soak->random);
  for (gsize i = 0; i < soak->elements; i++)
    x[i] = noise[(at + i) % NOISE];
  x[g_rand_int (soak->random) % soak->elements] =
      (float) pow (1 - g_rand_double (soak->random), -0.2);
}

static gboolean
add_frame (Soak *soak, GError **error)
{
  CalibStatistics *part, *newest;
  CalibConvergenceState state;

  calib_convergence_targets (soak->convergence, 1, &part, &newest);
  engine_calibrator_set_statistics (soak->calibrator, part, newest);
  fill (soak, engine_calibrator_input (soak->calibrator));
  if (!engine_calibrator_push (soak->calibrator, error))
    return FALSE;
  calib_convergence_added (soak->convergence, 1);
  if (!calib_convergence_is_due (soak->convergence))
    return TRUE;
  calib_convergence_check (soak->convergence);
  calib_convergence_state (soak->convergence, &state);
  if (!state.compared)
    return TRUE;
  soak->drifted |= state.n_drifting > 0;
  printf ("  check at %d frames: largest change %.2f %% (%s)", (int) state.frames,
      100 * state.change, state.tensor);
  if (state.jackknife >= 0)
    printf (", jackknife %.2f %%", 100 * state.jackknife);
  printf ("; max |x| grows in %u of %u tensors%s\n", state.n_drifting, state.n_tensors,
      state.converged ? "; auto-stop would stop" : "");
  return TRUE;
}

static float *
thresholds (const CalibStatistics *statistics, CalibMethod method)
{
  const guint n = calib_statistics_n_tensors (statistics);
  float *t = g_new0 (float, n);

  for (guint i = 0; i < n; i++) {
    const CalibHistogram *h =
        calib_statistics_lookup (statistics, calib_statistics_name (statistics, i));
    CalibThresholdOptions options = {.method = method};
    CalibThreshold threshold = {0};
    CalibSummary summary;

    calib_histogram_summary (h, &summary);
    options.range = summary.min >= 0 ? CALIB_RANGE_FULL : CALIB_RANGE_SYMMETRIC;
    if (calib_threshold (h, &options, &threshold, NULL))
      t[i] = threshold.threshold;
  }
  return t;
}

/* Remembers thresholds, or compares them; FALSE where a method did what it should not. */
static gboolean
look (Soak *soak, gboolean compare, GError **error)
{
  g_autoptr (CalibStatistics) sum = calib_convergence_sum (soak->convergence, error);
  gboolean good = sum != NULL;

  for (guint m = 0; sum && m < G_N_ELEMENTS (methods); m++) {
    g_autofree float *now = thresholds (sum, methods[m]);
    double largest = 0;
    guint of = 0;

    if (!compare) {
      soak->half[m] = g_steal_pointer (&now);
      continue;
    }
    for (guint i = 0; i < calib_statistics_n_tensors (sum); i++) {
      const double change = now[i] > 0 ? fabs (now[i] - soak->half[m][i]) / now[i] : 0;

      if (change > largest) {
        largest = change;
        of = i;
      }
    }
    printf ("%-8s from half the frames to all: largest change %.2f %% (%s)\n",
        calib_method_name (methods[m]), 100 * largest, calib_statistics_name (sum, of));
    good &= methods[m] == CALIB_METHOD_MINMAX || largest < CALIB_CONVERGENCE_CHANGE;
  }
  return good;
}

static gboolean
soak_through (Soak *soak, int frames, GError **error)
{
  const gint64 begin = g_get_monotonic_time ();
  double tenth = 0, end = 0;
  gboolean good;

  for (int i = 1; i <= frames; i++) {
    if (!add_frame (soak, error) || (i == frames / 2 && !look (soak, FALSE, error)))
      return FALSE;
    if (i % (frames / 10) != 0)
      continue;
    calib_statistics_free (calib_convergence_sum (soak->convergence, NULL)); /* as a checkpoint */
    end = resident_mib ();
    if (i == frames / 10)
      tenth = end;
    printf ("%6d frames, %5.0f s: %.1f MiB resident\n", i,
        (double) (g_get_monotonic_time () - begin) * 1e-6, end);
  }
  good = look (soak, TRUE, error) && end - tenth <= 1 && soak->drifted;
  printf (
      "memory: %.1f MiB after a tenth, %.1f at the end; minmax was %sreported as drifting: %s\n",
      tenth, end, soak->drifted ? "" : "not ", good ? "as it should be" : "NOT as it should be");
  return good;
}

int
main (int argc, char **argv)
{
  const CalibThresholdOptions options = {.method = CALIB_METHOD_MSE};
  const int frames = argc > 2 ? atoi (argv[2]) : 200000;
  Soak soak = {.random = g_rand_new_with_seed (1)};
  g_autoptr (GError) error = NULL;
  EngineModel *model;
  EngineInputInfo info;
  KernelBackend *backend;
  gboolean good = FALSE;

  setvbuf (stdout, NULL, _IOLBF, 0);
  if (argc < 2 || argc > 3 || frames < 10) {
    fprintf (stderr, "usage: %s MODEL.onnx [FRAMES]\n", argv[0]);
    return 2;
  }
  backend = engine_backend_open ("cpu", &error);
  model = backend ? engine_model_load (argv[1], &error) : NULL;
  soak.base = calib_statistics_new (NULL, CALIB_HISTOGRAM_DEFAULT);
  soak.convergence = calib_convergence_new (soak.base, &options, 0, NULL);
  if (model) {
    engine_model_input (model, &info);
    soak.elements = (gsize) info.height * info.width * info.channels;
    soak.calibrator = engine_calibrator_new (model, backend, 1, 1, soak.base, &error);
  }
  if (soak.calibrator)
    good = soak_through (&soak, frames, &error);
  if (error)
    fprintf (stderr, "%s\n", error->message);
  engine_calibrator_free (soak.calibrator);
  calib_convergence_free (soak.convergence);
  calib_statistics_free (soak.base);
  for (guint m = 0; m < G_N_ELEMENTS (methods); m++)
    g_free (soak.half[m]);
  g_rand_free (soak.random);
  engine_model_unref (model);
  engine_backend_close (backend);
  return good ? 0 : 1;
}
