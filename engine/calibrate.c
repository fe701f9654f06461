/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * calibrate.c: activations of the FP32 network into histograms.
 *
 * Histograms are filled by all threads of the exec, each by one at a time: what a histogram holds depends
 * on the values alone, TensorRT's on the order of the batches too. A device counts for itself (counts.h), and a
 * flush adds what it has counted; for TensorRT's histograms it shows its activations.
 */
#include "engine/build.h"
#include "engine/calibrate.h"
#include "engine/exec.h"
#include "engine/model.h"

/* Statistics of the caller's, with their histograms of what is observed, by number. */
typedef struct {
  CalibStatistics *statistics;
  CalibHistogram **histograms;
} Target;

struct _EngineCalibrator {
  EngineModel *model;
  KernelBackend *backend;
  EngineExec *exec;
  GHashTable *numbers; /* name of an activation to its number, from 1 on; names are the graph's */
  GArray *observed;    /* int: values, by number */
  GMutex *locks;       /* by number less 1: who adds to histograms of this activation */
  GPtrArray *targets;  /* of Target: all that were ever asked for */
  const Target *to[2]; /* where activations go; the second may be NULL */
  CalibStatistics *keeper; /* those it was made with: they alone keep frames */
  gboolean counts;     /* the exec does, on a device */
  float *staged;       /* [batch]: images on their way to a device; else NULL */
  gsize image;         /* values */
  int batch, waiting;
  guint64 uncollected; /* images that were counted, and are not in the statistics yet */
};

/* Sums per channel up to so many channels: a histogram then takes at most 300 KiB, TensorRT's included. */
#define MAX_CHANNEL_SUMS 1770

static int
summed_channels (const EngineValue *v)
{
  const int last = v->dims[v->rank - 1];

  return last <= MAX_CHANNEL_SUMS ? last : 0;
}

/* The histogram of a value. Statistics that are continued hold it already. NULL where these statistics
 * do not observe it. */
static CalibHistogram *
histogram_of (CalibStatistics *statistics, const EngineGraph *graph, int value)
{
  const EngineValue *v = engine_graph_value (graph, value);
  const guint channels = summed_channels (v);

  if (!engine_is_observed (graph, statistics, value))
    return NULL;
  return engine_makes_values (graph, v)
             ? calib_statistics_tensor (statistics, v->name, channels)
             : calib_statistics_tensor_for_trt (statistics, v->name, channels);
}

static gboolean
check_provenance (const EngineModel *model, const CalibStatistics *statistics, GError **error)
{
  const char *of_statistics = calib_statistics_provenance (statistics)->model_sha256;

  if (!of_statistics || g_str_equal (of_statistics, model->sha256))
    return TRUE;
  g_set_error (error, ENGINE_ERROR, ENGINE_ERROR_MISMATCH,
      "the statistics are of another model (SHA-256 %.12s..., this is %.12s...): start new ones "
      "for '%s'",
      of_statistics, model->sha256, model->path);
  return FALSE;
}

/* From 1 on; 0 for what is not observed. */
static int
number_of (const EngineCalibrator *calibrator, const char *name)
{
  return GPOINTER_TO_INT (g_hash_table_lookup (calibrator->numbers, name));
}

static void
tap (const EngineTap *tap, gpointer data)
{
  EngineCalibrator *calibrator = data;
  const int number = number_of (calibrator, tap->name);

  if (number == 0)
    return;
  g_mutex_lock (&calibrator->locks[number - 1]);
  for (guint i = 0; i < G_N_ELEMENTS (calibrator->to); i++)
    if (calibrator->to[i] && calibrator->to[i]->histograms[number - 1])
      calib_histogram_add (calibrator->to[i]->histograms[number - 1], tap->x,
          tap->n * tap->elements);
  g_mutex_unlock (&calibrator->locks[number - 1]);
}

static void
take_counts (const EngineCounted *counted, const CalibCounts *counts, gpointer data)
{
  const EngineCalibrator *calibrator = data;
  const EngineGraph *graph = engine_exec_program (calibrator->exec)->graph; /* not the model's */
  const int number = number_of (calibrator, engine_graph_value (graph, counted->value)->name);

  for (guint i = 0; i < G_N_ELEMENTS (calibrator->to); i++)
    if (calibrator->to[i])
      calib_histogram_add_counts (calibrator->to[i]->histograms[number - 1], counts);
}

static void
free_target (gpointer data)
{
  Target *target = data;

  g_free (target->histograms);
  g_free (target);
}

/* Made once for each statistics, so that going from one to the other costs nothing. */
static const Target *
find_target (EngineCalibrator *calibrator, CalibStatistics *statistics)
{
  const EngineGraph *graph = calibrator->model->graph;
  const GArray *observed = calibrator->observed;
  Target *target;

  for (guint i = 0; i < calibrator->targets->len; i++) {
    target = calibrator->targets->pdata[i];
    if (target->statistics == statistics)
      return target;
  }
  target = g_new (Target, 1);
  target->statistics = statistics;
  target->histograms = g_new (CalibHistogram *, observed->len);
  for (guint i = 0; i < observed->len; i++)
    target->histograms[i] = histogram_of (statistics, graph, g_array_index (observed, int, i));
  g_ptr_array_add (calibrator->targets, target);
  return target;
}

/* All activations: which of them is decided for each statistics. */
static void
find_observed (EngineCalibrator *calibrator)
{
  const EngineGraph *graph = calibrator->model->graph;

  for (int v = 0; v < (int) graph->values->len; v++) {
    if (engine_graph_value (graph, v)->data)
      continue;
    g_array_append_val (calibrator->observed, v);
    g_hash_table_insert (calibrator->numbers, engine_graph_value (graph, v)->name,
        GINT_TO_POINTER (calibrator->observed->len));
  }
  calibrator->locks = g_new0 (GMutex, calibrator->observed->len);
  for (guint i = 0; i < calibrator->observed->len; i++)
    g_mutex_init (&calibrator->locks[i]);
}

/* --- Making --------------------------------------------------------------------------------- */

/* One that counts what these statistics observe. The engine's graph is a copy of the model's, with its
 * values in other places. */
static EngineExec *
new_counting (Engine *engine, KernelBackend *backend, int batch, int threads,
    const CalibStatistics *statistics, GError **error)
{
  g_autoptr (GArray) counted = g_array_new (FALSE, FALSE, sizeof (EngineCounted));

  for (int v = 0; v < (int) engine->graph->values->len; v++) {
    const EngineCounted one = {v, summed_channels (engine_graph_value (engine->graph, v))};

    if (engine_is_observed (engine->graph, statistics, v))
      g_array_append_val (counted, one);
  }
  return engine_exec_new_counting (engine, backend, batch, threads,
      (const EngineCounted *) (gpointer) counted->data, counted->len, error);
}

static gboolean
make_exec (EngineCalibrator *calibrator, Engine *engine, KernelBackend *backend, int threads,
    const CalibStatistics *statistics, GError **error)
{
  const gboolean trt = calib_statistics_flags (statistics) & CALIB_HISTOGRAM_TENSORRT;

  if (trt) {
    calibrator->exec = engine_exec_new_tapped (engine, backend, calibrator->batch, threads, tap,
        calibrator, error);
  } else if (backend->host_memory) {
    const int lanes = engine_backend_lanes (backend, threads);

    calibrator->batch = (calibrator->batch + lanes - 1) / lanes * lanes;
    calibrator->exec = engine_exec_new_tapped_by_image (engine, backend, calibrator->batch, threads,
        tap, calibrator, error);
  } else {
    calibrator->counts = TRUE;
    calibrator->exec =
        new_counting (engine, backend, calibrator->batch, threads, statistics, error);
  }
  return calibrator->exec != NULL;
}

/* Where images wait for their batch: the network's input, or memory that a device reads itself. */
static gboolean
make_input (EngineCalibrator *calibrator, KernelBackend *backend, GError **error)
{
  EngineInputInfo input;

  engine_model_input (calibrator->model, &input);
  calibrator->backend = backend;
  calibrator->image = (gsize) input.height * input.width * input.channels;
  if (backend->host_memory)
    return TRUE;

  const gsize size = calibrator->batch * calibrator->image * sizeof (float);

  calibrator->staged =
      backend->host_alloc ? backend->host_alloc (backend, size) : g_try_malloc (size);
  if (!calibrator->staged)
    g_set_error (error, ENGINE_ERROR, ENGINE_ERROR_MEMORY,
        "no memory for %d images of %.1f MiB on their way to back end '%s'; lower the batch size",
        calibrator->batch, calibrator->image * sizeof (float) / 1048576.0, backend->name);
  return calibrator->staged != NULL;
}

EngineCalibrator *
engine_calibrator_new (EngineModel *model, KernelBackend *backend, int batch, int threads,
    CalibStatistics *statistics, GError **error)
{
  const EngineBuildOptions options = {.precision = ENGINE_PRECISION_FP32};
  g_autoptr (EngineCalibrator) calibrator = NULL;
  g_autoptr (Engine) engine = NULL;

  g_return_val_if_fail (batch >= 1, NULL);

  if (engine_model_is_quantised (model)) {
    g_set_error (error, ENGINE_ERROR, ENGINE_ERROR_UNSUPPORTED,
        "model \"%s\" is quantised already, and its own scales are used: there is nothing to calibrate. "
        "Give it to int8infer as it is, without a calibration table; or calibrate the float model that it "
        "was made from",
        model->path);
    return NULL;
  }
  if (!check_provenance (model, statistics, error))
    return NULL;
  engine = engine_build (model, &options, NULL, NULL, NULL, NULL, error);
  if (!engine)
    return NULL;

  calibrator = g_new0 (EngineCalibrator, 1);
  calibrator->model = engine_model_ref (model);
  calibrator->batch = batch;
  calibrator->numbers = g_hash_table_new (g_str_hash, g_str_equal);
  calibrator->observed = g_array_new (FALSE, FALSE, sizeof (int));
  calibrator->targets = g_ptr_array_new_with_free_func (free_target);
  if (!make_input (calibrator, backend, error) ||
      !make_exec (calibrator, engine, backend, threads, statistics, error))
    return NULL;
  find_observed (calibrator);
  calibrator->keeper = statistics;
  engine_calibrator_set_statistics (calibrator, statistics, NULL);
  return g_steal_pointer (&calibrator);
}

void
engine_calibrator_set_statistics (EngineCalibrator *calibrator, CalibStatistics *statistics,
    CalibStatistics *also)
{
  g_return_if_fail (calibrator->waiting == 0 && calibrator->uncollected == 0);

  calibrator->to[0] = find_target (calibrator, statistics);
  calibrator->to[1] = also ? find_target (calibrator, also) : NULL;
}

void
engine_calibrator_free (EngineCalibrator *calibrator)
{
  if (!calibrator)
    return;
  engine_exec_free (calibrator->exec);
  if (calibrator->backend && calibrator->backend->host_free && calibrator->staged)
    calibrator->backend->host_free (calibrator->backend, calibrator->staged);
  else
    g_free (calibrator->staged);
  g_ptr_array_unref (calibrator->targets);
  for (guint i = 0; calibrator->locks && i < calibrator->observed->len; i++)
    g_mutex_clear (&calibrator->locks[i]);
  g_free (calibrator->locks);
  g_array_unref (calibrator->observed);
  g_hash_table_unref (calibrator->numbers);
  engine_model_unref (calibrator->model);
  g_free (calibrator);
}

/* --- Images --------------------------------------------------------------------------------- */

/* Of the batch; in host memory. */
static float *
image_at (const EngineCalibrator *calibrator, int image)
{
  return calibrator->staged ? calibrator->staged + image * calibrator->image
                            : engine_exec_input (calibrator->exec, image);
}

float *
engine_calibrator_input (EngineCalibrator *calibrator)
{
  return image_at (calibrator, calibrator->waiting);
}

/* Counts the images that were run, and offers them to be kept. */
static void
add_frames (const EngineCalibrator *calibrator, int images)
{
  for (guint i = 0; i < G_N_ELEMENTS (calibrator->to); i++)
    if (calibrator->to[i])
      calib_statistics_add_frames (calibrator->to[i]->statistics, images);
  for (int i = 0; i < images; i++)
    calib_statistics_offer_frame (calibrator->keeper, image_at (calibrator, i), calibrator->image);
}

static gboolean
collect (EngineCalibrator *calibrator, GError **error)
{
  if (calibrator->uncollected == 0)
    return TRUE;
  calibrator->uncollected = 0;
  return engine_exec_collect (calibrator->exec, take_counts, calibrator, error);
}

static gboolean
run (EngineCalibrator *calibrator, GError **error)
{
  const int images = calibrator->waiting;

  calibrator->waiting = 0;
  if (calibrator->counts && !engine_exec_has_room (calibrator->exec, images) &&
      !collect (calibrator, error))
    return FALSE;
  if (calibrator->staged)
    calibrator->backend->upload (engine_exec_queue (calibrator->exec),
        engine_exec_input (calibrator->exec, 0), calibrator->staged,
        images * calibrator->image * sizeof (float));
  if (!engine_exec_run (calibrator->exec, images, error))
    return FALSE;
  if (calibrator->counts)
    calibrator->uncollected += images;
  add_frames (calibrator, images);
  return TRUE;
}

gboolean
engine_calibrator_push (EngineCalibrator *calibrator, GError **error)
{
  calibrator->waiting++;
  return calibrator->waiting < calibrator->batch || run (calibrator, error);
}

gboolean
engine_calibrator_flush (EngineCalibrator *calibrator, GError **error)
{
  return (calibrator->waiting == 0 || run (calibrator, error)) && collect (calibrator, error);
}
