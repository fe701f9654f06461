/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * engine.h: from an ONNX classifier to numbers. The only header of engine/ that gst/ and tools/
 * include.
 *
 *   EngineModel       an ONNX file, imported and fused: what calibration observes
 *   EngineCalibrator  runs a model in FP32 and fills CalibStatistics
 *   Engine            an executable network (INT8 or FP32), built from a model or loaded from a file
 *   EngineExec        one engine on one back end: memory for a batch, and run()
 *
 * Errors are GErrors: ENGINE_ERROR, CALIB_ERROR, G_FILE_ERROR, and G_IO_ERROR_CANCELLED. A message
 * names the file, the node or tensor, the cause, and what to do next.
 *
 * Threads: EngineModel and Engine never change after they are made and are shared freely between
 * threads (atomic reference counts). engine_load() and engine_obtain() give the object that is there
 * already while somebody has the same file, or the engine of the same request. EngineExec and EngineCalibrator belong to one thread at a time.
 */
#pragma once

#include <gio/gio.h>
#include "calib/calib.h"
#include "engine/preprocess.h"
#include "engine/tensor.h"
#include "kernels/kernels.h"

G_BEGIN_DECLS

#define ENGINE_ERROR (engine_error_quark ())
GQuark engine_error_quark (void);
typedef enum {
  ENGINE_ERROR_MODEL,       /* not an ONNX model, or one that contradicts itself */
  ENGINE_ERROR_UNSUPPORTED, /* an op, attribute, type or shape that is valid but not done here */
  ENGINE_ERROR_RANGE,       /* INT8 without a range for some tensor: lists the first of them */
  ENGINE_ERROR_MISMATCH,    /* table or statistics of another model or preprocessing */
  ENGINE_ERROR_FILE,        /* an engine file that is corrupt, of another version, or not ours */
  ENGINE_ERROR_BACKEND,     /* the back end lacks a kernel, or its device failed */
  ENGINE_ERROR_MEMORY       /* says how much was needed */
} EngineError;

/* --- Model ---------------------------------------------------------------------------------- */

typedef struct _EngineModel EngineModel;

/* Reads an ONNX file (opsets 7 to 21; external data inside the model's folder only), imports, folds
 * and fuses it. Memory is bounded by a multiple of the file's size (external data included) and a
 * fixed part of 150 MB, whatever the file claims: see BUDGET_ and MEMORY_ in engine/onnx*.c. */
EngineModel *engine_model_load (const char *path, GError **error);
EngineModel *engine_model_ref (EngineModel *model);
void engine_model_unref (EngineModel *model); /* NULL is fine */
G_DEFINE_AUTOPTR_CLEANUP_FUNC (EngineModel, engine_model_unref)

/* One image, NHWC. */
typedef struct {
  const char *name;
  int height, width, channels;
} EngineInputInfo;
void engine_model_input (const EngineModel *model, EngineInputInfo *info);

int engine_model_n_classes (const EngineModel *model); /* values of the first output, per image */
/* Whether the network itself ends in softmax. */
gboolean engine_model_has_softmax (const EngineModel *model);
const char *engine_model_sha256 (const EngineModel *model); /* of the file and its external data */
char *engine_model_dump (const EngineModel *model);         /* the fused graph as text */

/* --- Calibration ---------------------------------------------------------------------------- */

typedef struct _EngineCalibrator EngineCalibrator;

/* statistics belongs to the caller and must outlive the calibrator; batch images are run at once
 * (only entropy2-trt depends on the number). threads: 0 for all CPUs. */
EngineCalibrator *engine_calibrator_new (EngineModel *model, KernelBackend *backend, int batch,
    int threads, CalibStatistics *statistics, GError **error);
void engine_calibrator_free (EngineCalibrator *calibrator); /* drops images not yet run */
G_DEFINE_AUTOPTR_CLEANUP_FUNC (EngineCalibrator, engine_calibrator_free)

/* Where the next image goes: float, NHWC, in host memory. */
float *engine_calibrator_input (EngineCalibrator *calibrator);
/* The image is there. Runs the batch and adds its activations when it is full. */
gboolean engine_calibrator_push (EngineCalibrator *calibrator, GError **error);
/* Runs what is waiting. */
gboolean engine_calibrator_flush (EngineCalibrator *calibrator, GError **error);

/* The table: an entry for every activation of the fused graph, in its order. Tensors that must share
 * a range (max pool, concat, reshape ...) do; what is never negative is known to mse.
 * CALIB_ERROR_MISMATCH where the statistics lack tensors of the model. */
CalibTable *engine_calibration_table (const EngineModel *model, const CalibStatistics *statistics,
    CalibMethod method, double percentile, guint trt_version, GError **error);

/* --- Build ---------------------------------------------------------------------------------- */

typedef enum {
  ENGINE_PRECISION_INT8,
  ENGINE_PRECISION_FP32,
  ENGINE_PRECISION_COUNT
} EnginePrecision;
const char *engine_precision_name (EnginePrecision precision); /* "int8", "fp32" */

typedef enum {
  ENGINE_RANGES_FULL,     /* full and affine ranges where a tensor allows them; the most accurate */
  ENGINE_RANGES_SYMMETRIC /* zero point 0 everywhere, as TensorRT */
} EngineRanges;

typedef struct {
  EnginePrecision precision;
  EngineRanges ranges;
  const CalibTable *table;            /* INT8 only; a range for every tensor that needs one */
  const EnginePreprocess *preprocess; /* gives the input its exact range; NULL: from the table */
} EngineBuildOptions;

typedef struct {
  int layers_int8, layers_fp32; /* nodes that compute; reshapes do not count */
  GPtrArray *inferred; /* char *, or NULL: tensors whose range came from another's, "pool1 <-
                                   conv1", or that were always 0, "relu5 <- always 0, T = 1" */
} EngineBuildReport;
void engine_build_report_clear (EngineBuildReport *report);

/* done counts from 0 to total; what names the layer. Called in the thread that builds. */
typedef void (*EngineProgressFn) (guint done, guint total, const char *what, gpointer data);

typedef struct _Engine Engine;

/* report may be NULL, else zeroed; cleared by the caller. */
Engine *engine_build (const EngineModel *model, const EngineBuildOptions *options,
    EngineBuildReport *report, EngineProgressFn progress, gpointer data, GCancellable *cancellable,
    GError **error);
Engine *engine_ref (Engine *engine);
void engine_unref (Engine *engine); /* NULL is fine */
G_DEFINE_AUTOPTR_CLEANUP_FUNC (Engine, engine_unref)

void engine_input (const Engine *engine, EngineInputInfo *info);
int engine_n_classes (const Engine *engine);
gboolean engine_has_softmax (const Engine *engine);
EnginePrecision engine_precision (const Engine *engine);
/* How images are written into the input tensor. */
EngineType engine_input_type (const Engine *engine, float *scale, int *zero);
char *engine_dump (const Engine *engine);

/* --- Engine file ---------------------------------------------------------------------------- */

/* The file is portable: the same bytes serve every back end. Its layout is in engine/file.c. Saving
 * is atomic and under a lock; a file that does not carry our magic is never overwritten. key is
 * engine_request_key() or any text; loading with a key that differs from the file's is
 * ENGINE_ERROR_MISMATCH (NULL: not compared). Weights are mapped, not read. */
gboolean engine_save (const Engine *engine, const char *key, const char *path, GError **error);
Engine *engine_load (const char *path, const char *key, GError **error);

/* What an element asks for: all that decides the bytes of an engine. */
typedef struct {
  const char *model;  /* path */
  const char *table;  /* path, or NULL */
  const char *engine; /* path of the engine file, or NULL: the cache folder, named by the key */
  gboolean no_cache;  /* neither read nor write a file */
  gboolean force;     /* use a table whose provenance does not match */
  EnginePrecision precision;
  EngineRanges ranges;
  const EnginePreprocess *preprocess;
  /* Timing the ways to compute every convolution, unless the file has that for this machine, back
   * end, batch and threads. The key does not depend on it, and results neither. */
  KernelBackend *tune_for; /* NULL: no tuning */
  int tune_batch, tune_threads;
} EngineRequest;

/* SHA-256 (hex) over the contents of model and table, the preprocessing, the options and the
 * version of the builder. Hashes of files are remembered by (device, inode, size, mtime). */
char *engine_request_key (const EngineRequest *request, GError **error);

typedef struct {
  gboolean built; /* else loaded */
  gboolean tuned; /* ways were timed now */
  char
      *reason; /* for people: why it was built: "no engine yet", "model changed", "calibration table
                      changed", "the file is corrupt: ..."; NULL where it was loaded */
  char *path;  /* where the engine file is; NULL when it could not be kept */
  char *warning; /* something that was worked around, such as an unwritable folder; or NULL */
  double seconds;
  EngineBuildReport build;
} EngineRequestReport;
void engine_request_report_clear (EngineRequestReport *report);

/* Loads the engine, or builds and saves it. on_build is called once before a build starts, with the
 * reason. A corrupt file of ours is rebuilt; a foreign file is left alone and the cache folder used,
 * and so is an unwritable place; report->warning says so. on_build is also called once before tuning
 * starts, where nothing was built. */
typedef void (*EngineBuildStartFn) (const char *reason, gpointer data);
Engine *engine_obtain (const EngineRequest *request, EngineRequestReport *report,
    EngineBuildStartFn on_build, EngineProgressFn progress, gpointer data,
    GCancellable *cancellable, GError **error);

/* --- Execution ------------------------------------------------------------------------------ */

/* The back end of a name (kernel_open()): one for all who have it open at the same time, so that they
 * share packed weights. */
KernelBackend *engine_backend_open (const char *name, GError **error);
void engine_backend_close (KernelBackend *backend); /* NULL is fine */

typedef struct _EngineExec EngineExec;

/* Allocates everything for 1 .. max_batch images; nothing is allocated afterwards. The back end must
 * outlive it. threads: 0 for all CPUs. */
EngineExec *engine_exec_new (Engine *engine, KernelBackend *backend, int max_batch, int threads,
    GError **error);
void engine_exec_free (EngineExec *exec);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (EngineExec, engine_exec_free)

/* The input tensor of one image of the batch, in the back end's memory: NHWC, of
 * engine_input_type(). */
void *engine_exec_input (EngineExec *exec, int image);
KernelQueue *engine_exec_queue (EngineExec *exec);
/* For people: whose choice of ways to compute convolutions this is, and why not the engine file's. */
const char *engine_exec_tuning (const EngineExec *exec);
/* Runs the first `batch` images and waits. ENGINE_ERROR_BACKEND names the failure. */
gboolean engine_exec_run (EngineExec *exec, int batch, GError **error);
/* The first output of one image: engine_n_classes() floats in host memory, until the next run. */
const float *engine_exec_output (EngineExec *exec, int image);

/* Called once a run for the input and every float activation, with the n images of the run of
 * `elements` values each, the last axis `channels` long: by the threads of the exec, several at the
 * same time, in any order. */
typedef void (*EngineTapFn) (const char *name, const float *x, gsize n, gsize elements,
    guint channels, gpointer data);
/* An exec whose every run calls a tap: layer by layer, with memory for all activations of many layers
 * (256 MiB of them, or of one layer and the batch where that is more). Only on back
 * ends with host_memory and FP32 engines. Calibration and layer comparison stand on it. */
EngineExec *engine_exec_new_tapped (Engine *engine, KernelBackend *backend, int max_batch,
    int threads, EngineTapFn tap, gpointer data, GError **error);

/* --- Tuning --------------------------------------------------------------------------------- */

typedef struct {
  gboolean timed;           /* FALSE: no convolution has more than one way on this back end */
  int convolutions, chosen; /* chosen: those that take another way than the back end's own choice */
  double seconds;
} EngineTuneReport;

/* Times the ways that the back end has for every convolution, with this batch and these threads (0 for
 * all CPUs), and has the engine remember the fastest: execs made afterwards for the same use them,
 * and so do files. An engine holds such choices for many machines. */
gboolean engine_tune (Engine *engine, KernelBackend *backend, int max_batch, int threads,
    EngineTuneReport *report, EngineProgressFn progress, gpointer data, GCancellable *cancellable,
    GError **error);
/* Whom the engine is tuned for, one line each; "" for nobody. */
char *engine_tuned_for (const Engine *engine);

/* --- Profile -------------------------------------------------------------------------------- */

/* One kernel call of a network, for people. */
typedef struct {
  const char *name;      /* of the layer; all texts live as long as the exec */
  const char *kernel;    /* its slot of KernelOps: "conv_s8" */
  int x[3], y[3];        /* height, width, channels of the layer's first input and of its output */
  int kh, kw, stride;    /* of a convolution or pool, else 0 */
  int groups;            /* of a convolution, else 0 */
  const char *tactic;    /* of a convolution: the back end's way; else NULL */
  double operations;     /* multiplications and additions for one image; convolutions only */
  double image_bytes;    /* activations read and written for one image */
  double constant_bytes; /* weights and other constants as the graph has them, read once a call */
} EngineStepInfo;

guint engine_exec_n_steps (const EngineExec *exec);
void engine_exec_step (const EngineExec *exec, guint step, EngineStepInfo *info);

/* Called at the end of a run for every step, in order, with the time it took: of steps that several
 * threads run for one image each, the mean of the threads. While it is set, runs wait after each
 * step, which costs time of its own; taps are not called. NULL ends it. */
typedef void (*EngineProfileFn) (guint step, double seconds, gpointer data);
void engine_exec_set_profile (EngineExec *exec, EngineProfileFn profile, gpointer data);

/* Softmax over n values, in place; the maximum is subtracted. */
void engine_softmax (float *x, int n);

G_END_DECLS
