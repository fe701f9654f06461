/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * engine.h: from an ONNX or Caffe classifier to numbers. The only header of engine/ that gst/ and tools/
 * include.
 *
 *   EngineModel       an ONNX file, or Caffe's two, imported and fused: what calibration observes
 *   EngineCalibrator  runs a model in FP32 and fills CalibStatistics
 *   Engine            an executable network (INT8 or FP32), built from a model or loaded from a file
 *   EngineExec        one engine on one back end: memory for a batch, and run()
 *
 * Errors are GErrors: ENGINE_ERROR, CALIB_ERROR, G_FILE_ERROR, and G_IO_ERROR_CANCELLED. A message
 * names the file, the node or tensor, the cause, and what to do next.
 *
 * Threads: EngineModel and Engine never change after they are made and are shared freely between
 * threads (atomic reference counts). engine_load() and engine_obtain() give the object that is there
 * already while somebody has the same file, or the engine of the same request. EngineExec and
 * EngineCalibrator belong to one thread at a time.
 *
 * A char * that a function returns is the caller's, for g_free(); a const char * lives as long as the
 * object that was asked. A GCancellable, and what reports progress, may be NULL.
 */
#pragma once

#include <gio/gio.h>
#include "calib/calib.h"
#include "engine/precision.h"
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
  ENGINE_ERROR_MEMORY,      /* says how much was needed */
  ENGINE_ERROR_RULES        /* layer rules that are none; what `strict` makes an error */
} EngineError;

/* --- Model ---------------------------------------------------------------------------------- */

typedef struct _EngineModel EngineModel;

/* Reads an ONNX file (opsets 1 to 21; external data inside the model's folder only), imports, folds
 * and fuses it. Memory for what the file says is bounded by 72 times its size (external data included)
 * and 144 MiB, whatever it claims: see ENGINE_ONNX_BUDGET and MEMORY_ in engine/onnx/.
 * ENGINE_ERROR_MODEL, _UNSUPPORTED or _MEMORY for what is in the file, G_FILE_ERROR where it cannot be read. */
EngineModel *engine_model_load (const char *path, GError **error);

/* What a model's file does not say; all zero is nothing. */
typedef struct {
  const char *proto; /* Caffe: the prototxt of a caffemodel, or the caffemodel of a prototxt; NULL:
                        beside it, with its name */
  const char *shape; /* of one image in the model's order, "3;224;224" or "input:1x3x224x224": where the
                        model leaves axes open, or takes a vector; NULL: as the model says */
} EngineModelOptions;
/* The same, and Caffe's models: a path that ends in .caffemodel or .prototxt, or any with a proto.
 * options may be NULL. ENGINE_ERROR_MODEL or _UNSUPPORTED for a shape that is none, or not the model's. */
EngineModel *engine_model_load_with (const char *path, const EngineModelOptions *options,
    GError **error);
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
/* Whether it is quantised already (QuantizeLinear, QLinearConv ...). An INT8 engine has the model's own
 * scales then, needs no table or ranges by hand and takes none; what the model has not quantised is
 * float. An FP32 engine rounds where the model says. DynamicQuantizeLinear does not count: a table
 * says what it would find in every image. */
gboolean engine_model_is_quantised (const EngineModel *model);
const char *engine_model_sha256 (const EngineModel *model); /* of the file and its external data */
char *engine_model_dump (const EngineModel *model);         /* the fused graph as text */
char *engine_model_dot (const EngineModel *model);          /* the same for Graphviz */
/* The names of all tensors that a table or dynamic ranges can have, input first (to be freed with
 * g_ptr_array_unref(); the texts belong to the model). */
GPtrArray *engine_model_tensors (const EngineModel *model);

/* --- Calibration ---------------------------------------------------------------------------- */

typedef struct _EngineCalibrator EngineCalibrator;

/* statistics belongs to the caller and must outlive the calibrator; batch images are run at once
 * (only entropy2-trt and legacy depend on the number). threads: 0 for all CPUs. Where the number does not
 * matter and kernels run on the CPU, it is rounded up to as many images for every thread, and each goes
 * through the network on one of them: that is the fastest.
 * A device counts activations in its own memory, and statistics get the counts from engine_calibrator_flush();
 * where they collect TensorRT's histograms, activations are downloaded instead.
 * ENGINE_ERROR_UNSUPPORTED for a model that is quantised already, _MISMATCH for statistics of another model;
 * else as engine_exec_new(). */
EngineCalibrator *engine_calibrator_new (EngineModel *model, KernelBackend *backend, int batch,
    int threads, CalibStatistics *statistics, GError **error);
void engine_calibrator_free (EngineCalibrator *calibrator); /* drops images not yet run */
G_DEFINE_AUTOPTR_CLEANUP_FUNC (EngineCalibrator, engine_calibrator_free)

/* Between two batches, behind a flush: whatever comes next is added to these statistics, and to `also` unless it
 * is NULL. They outlive the calibrator. Nothing is allocated for statistics that it has met before. All of
 * them collect what the first ones do, as far as devices are concerned. Frames are kept by those alone that
 * the calibrator was made with. */
void engine_calibrator_set_statistics (EngineCalibrator *calibrator, CalibStatistics *statistics,
    CalibStatistics *also);
/* Where the next image goes, until the next push: float, NHWC, in host memory. */
float *engine_calibrator_input (EngineCalibrator *calibrator);
/* The image is there. Runs the batch when it is full, and adds its activations, or leaves them to the flush.
 * ENGINE_ERROR_BACKEND where it fails, here and in the flush. */
gboolean engine_calibrator_push (EngineCalibrator *calibrator, GError **error);
/* Runs what is waiting. The statistics now hold all images, and may be read. */
gboolean engine_calibrator_flush (EngineCalibrator *calibrator, GError **error);

/* The table: an entry for every activation of the fused graph, in its order. Tensors that must share
 * a range (max pool, concat, reshape ...) do, but for entropy and legacy; what is never negative is
 * known to mse.
 * percentile: of CALIB_METHOD_PERCENTILE. trt_version: of the header, as calib_table_header() takes it.
 * CALIB_ERROR_MISMATCH where the statistics lack tensors of the model; else as calib_threshold(), with the
 * tensor's name. */
CalibTable *engine_calibration_table (const EngineModel *model, const CalibStatistics *statistics,
    CalibMethod method, double percentile, guint trt_version, GError **error);

/* --- Build ---------------------------------------------------------------------------------- */

typedef enum {
  ENGINE_RANGES_FULL,     /* full and affine ranges where a tensor allows them; the most accurate */
  ENGINE_RANGES_SYMMETRIC /* zero point 0 everywhere, as TensorRT */
} EngineRanges;

/* A layer that computes; reshapes, concats and the like do not count. Texts belong to the model or
 * engine. */
typedef struct {
  const char *name;          /* the ONNX node's, else its tensor's; not always unique */
  const char *tensor;        /* its output, unique: what tables and dynamic ranges call it */
  const char *op;            /* "conv", "add" ... */
  EnginePrecision precision; /* of a model's layer: int8 where there is a kernel for it, else fp32 */
  EngineType output;         /* type of its output; of a model: float */
} EngineLayer;
/* In the order of execution: EngineLayer, to be freed with g_array_unref(). */
GArray *engine_model_layers (const EngineModel *model);

typedef struct _EngineBias EngineBias; /* corrections of biases: engine/bias.h */

typedef struct {
  EnginePrecision precision; /* mixed needs rules, int8 may have them, fp32 and fp16 take none */
  EngineRanges ranges;
  const CalibTable *table; /* INT8: a range for every tensor that needs one, or NULL: from ..., or of a
                              model that is quantised already */
  const CalibDynamicRanges *dynamic_ranges; /* ranges by hand, which go before the table's; or NULL */
  const EnginePreprocess *preprocess; /* gives the input its exact range; NULL: from the table */
  const EngineLayerRules *rules;      /* or NULL */
  const EngineBias *bias;             /* of layers that are int8 (engine/bias.h), or NULL */
  gboolean strict; /* what was asked for and cannot be had is ENGINE_ERROR_RULES, instead of a line
                      in the report's unmatched or refused */
} EngineBuildOptions;

typedef struct {
  int layers_int8, layers_fp32, layers_fp16; /* nodes that compute; reshapes do not count */
  /* Of char *, or NULL for none. Engine files keep them. */
  GPtrArray *obeyed;    /* layers with a rule: "conv1: fp32 (conv*:fp32)" */
  GPtrArray *refused;   /* "softmax5: int8 (*:int8): there is no such kernel"; a range by hand that
                           had to be widened */
  GPtrArray *unmatched; /* rules and ranges by hand that no layer or tensor has: "rule convx:fp32" */
  GPtrArray *inferred;  /* tensors whose range came from another's, "pool1 <- conv1", or that were
                           always 0, "relu5 <- always 0, T = 1" */
} EngineBuildReport;
void engine_build_report_clear (EngineBuildReport *report);

/* done counts from 0 to total; what names the layer. Called in the thread that builds. */
typedef void (*EngineProgressFn) (guint done, guint total, const char *what, gpointer data);

typedef struct _Engine Engine;

/* report may be NULL, else zeroed; cleared by the caller. ENGINE_ERROR_RANGE where a tensor has no range, or
 * one that leads beyond floats; _RULES and _UNSUPPORTED for options that contradict each other or the
 * model, and _RULES for what strict makes an error; _MODEL for weights that are not finite; _MISMATCH for a
 * bias of other layers. */
Engine *engine_build (const EngineModel *model, const EngineBuildOptions *options,
    EngineBuildReport *report, EngineProgressFn progress, gpointer data, GCancellable *cancellable,
    GError **error);
/* The whole report of an engine, built or loaded. report is zeroed, and cleared by the caller. */
void engine_report (const Engine *engine, EngineBuildReport *report);
/* Its layers, as engine_model_layers(), conversions left out. */
GArray *engine_layers (const Engine *engine);
/* For people: why the layer has its precision, "rule conv*:fp32", "no int8 kernel for softmax"; NULL
 * where the engine's precision says it all. */
char *engine_layer_reason (const Engine *engine, const EngineLayer *layer);
Engine *engine_ref (Engine *engine);
void engine_unref (Engine *engine); /* NULL is fine */
G_DEFINE_AUTOPTR_CLEANUP_FUNC (Engine, engine_unref)

void engine_input (const Engine *engine, EngineInputInfo *info);
int engine_n_classes (const Engine *engine);
gboolean engine_has_softmax (const Engine *engine);
EnginePrecision engine_precision (const Engine *engine);
/* How images are written into the input tensor. */
EngineType engine_input_type (const Engine *engine, float *scale, int *zero);
const char *engine_output_name (const Engine *engine); /* of the first output */
char *engine_dump (const Engine *engine);
char *engine_dot (const Engine *engine); /* the same for Graphviz, coloured by precision */

/* --- Engine file ---------------------------------------------------------------------------- */

/* The file is portable: the same bytes serve every back end. Its layout is in engine/file.c. Saving
 * is atomic and under a lock; a file that does not carry our magic is never overwritten. key is
 * engine_request_key() or any text; loading with a key that differs from the file's is
 * ENGINE_ERROR_MISMATCH (NULL: not compared). Weights are mapped, not read.
 * ENGINE_ERROR_FILE: loading what is corrupt, of another version or not ours, saving over what is not ours;
 * saving also _UNSUPPORTED for a network whose description a file cannot hold, and _MEMORY. */
gboolean engine_save (const Engine *engine, const char *key, const char *path, GError **error);
Engine *engine_load (const char *path, const char *key, GError **error);

/* What an element asks for: all that decides the bytes of an engine. */
typedef struct {
  const char *model;  /* path */
  EngineModelOptions model_options;
  const char *table;  /* path, or NULL */
  const char *dynamic_ranges;  /* path of ranges by hand (calib_dynamic_ranges_load()), or NULL */
  const char *layer_precision; /* engine_layer_rules_from_option(), or NULL; ENGINE_PRECISION_MIXED
                                  reads those beside the table first */
  const char *engine; /* path of the engine file, or NULL: the cache folder, named by the key */
  gboolean no_cache;  /* neither read nor write a file */
  gboolean force;     /* use a table whose provenance does not match */
  gboolean strict;    /* as in EngineBuildOptions */
  EnginePrecision precision;
  EngineRanges ranges;
  const EnginePreprocess *preprocess;
  /* Timing the ways to compute every convolution, unless the file has that for this machine, back
   * end, batch and threads. The key does not depend on it, and results neither. */
  KernelBackend *tune_for; /* NULL: no tuning */
  int tune_batch, tune_threads;
} EngineRequest;

/* SHA-256 (hex) over the contents of model and table, the preprocessing, the options and the
 * version of the builder. Hashes of files are remembered by (device, inode, size, mtime).
 * ENGINE_ERROR_MODEL without a model, _RULES for rules that are none or contradict the precision; else those
 * of the files. */
char *engine_request_key (const EngineRequest *request, GError **error);

typedef struct {
  gboolean built; /* else loaded */
  gboolean tuned; /* ways were timed now */
  char *reason;   /* for people: why it was built: "no engine yet", "model changed", "calibration
                     table changed", "the file is corrupt: ..."; NULL where it was loaded */
  char *path;     /* where the engine file is; NULL when it could not be kept */
  char *warning;  /* something that was worked around, such as an unwritable folder; or NULL */
  double seconds;
  EngineBuildReport build;
} EngineRequestReport;
void engine_request_report_clear (EngineRequestReport *report);

/* Loads the engine, or builds and saves it. on_build is called once before a build starts, with the
 * reason. A corrupt file of ours is rebuilt; a foreign file is left alone and the cache folder used,
 * and so is an unwritable place; report->warning says so. on_build is also called once before tuning
 * starts, where nothing was built. report may be NULL, else zeroed; it is to be cleared after an error, too.
 * Errors are those of the files, of engine_model_load_with(), engine_build() and engine_tune(), and
 * ENGINE_ERROR_MISMATCH for a table of another model or preprocessing, unless forced. */
typedef void (*EngineBuildStartFn) (const char *reason, gpointer data);
Engine *engine_obtain (const EngineRequest *request, EngineRequestReport *report,
    EngineBuildStartFn on_build, EngineProgressFn progress, gpointer data,
    GCancellable *cancellable, GError **error);

/* --- Execution ------------------------------------------------------------------------------ */

/* The back end of a name (kernel_open()): one for all who have it open at the same time, so that they
 * share packed weights. Thread-safe. ENGINE_ERROR_BACKEND says why it is not to be had. */
KernelBackend *engine_backend_open (const char *name, GError **error);
void engine_backend_close (KernelBackend *backend); /* NULL is fine */

typedef struct _EngineExec EngineExec;

/* Allocates everything for 1 .. max_batch images; nothing is allocated afterwards. The back end must
 * outlive it. threads: 0 for all CPUs. ENGINE_ERROR_BACKEND names the kernel that is missing, or what the
 * device says; ENGINE_ERROR_MEMORY how much is needed. */
EngineExec *engine_exec_new (Engine *engine, KernelBackend *backend, int max_batch, int threads,
    GError **error);
void engine_exec_free (EngineExec *exec);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (EngineExec, engine_exec_free)

/* The input tensor of one image of the batch, 0 .. max_batch - 1, in the back end's memory: NHWC, of
 * engine_input_type(). The same for the life of the exec. */
void *engine_exec_input (EngineExec *exec, int image);
KernelQueue *engine_exec_queue (EngineExec *exec); /* the exec's */
/* For people: whose choice of ways to compute convolutions this is, and why not the engine file's. */
const char *engine_exec_tuning (const EngineExec *exec);
/* Runs the first `batch` images, 1 .. max_batch, and waits. ENGINE_ERROR_BACKEND names the failure. */
gboolean engine_exec_run (EngineExec *exec, int batch, GError **error);
/* The same in two halves: between them a device works, and the caller need not wait. Where kernels
 * run on the caller's thread the first half does it all. After a start() that failed there is nothing
 * to wait for. */
gboolean engine_exec_start (EngineExec *exec, int batch, GError **error);
gboolean engine_exec_wait (EngineExec *exec, GError **error);
/* The first output of one image: engine_n_classes() floats in host memory, until the next run. */
const float *engine_exec_output (EngineExec *exec, int image);

/* An activation as a run leaves it: n images of `elements` values each, the last axis `channels`
 * long. */
typedef struct {
  const char *name;
  EngineType type;
  const void *x; /* float; halves (kernels/half.h); or int8: real = (x - zero) * scale */
  float scale;
  int zero;
  gsize n, elements;
  guint channels;
  const float *factors; /* of int8, by channel: real = (x - zero) * scale * factor; NULL: all 1 */
} EngineTap;

/* Called once a run for the input and every activation: by the threads of the exec, several at the
 * same time, in any order. */
typedef void (*EngineTapFn) (const EngineTap *tap, gpointer data);
/* An exec whose every run calls a tap: layer by layer, with memory for all activations of many layers
 * (5 MB of them, or of one layer and the batch where that is more). From devices activations are
 * downloaded. Calibration and layer comparison stand on it. */
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
 * and so do files. An engine holds such choices for many machines. report is filled, also where it fails:
 * as engine_exec_new() and engine_exec_run() do, or cancelled. */
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

/* Softmax over n values, at least 1, in place; the maximum is subtracted. */
void engine_softmax (float *x, int n);

G_END_DECLS

#include "engine/bias.h"
#include "engine/compare/compare.h"
#include "engine/export/export.h"
#include "engine/report/report.h"
