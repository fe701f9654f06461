/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * gstint8calib-private.h: what the files of int8calib share.
 *
 *   gstint8calib.c             class and states, and the ends of a stream
 *   gstint8calib-device.c      back ends, and tensors of frames that lie on a device
 *   gstint8calib-frames.c      the sink: frames, or objects on them, become tensors in slots
 *   gstint8calib-messages.c    how far it is and why it ended: progress, "int8-calibration-done"
 *   gstint8calib-properties.c  properties
 *   gstint8calib-settings.c    their values
 *   gstint8calib-worker.c      the thread that takes tensors from the slots through the network
 *   gstint8calib-output.c      statistics, table and messages; what can be refused beforehand
 *   gstint8calib-method.c      what is chosen and corrected on kept frames: method=auto, full bias correction
 *   gstint8calib-precision.c   precision-target
 *
 * Threads: the streaming thread fills slots, the worker empties them and owns the calibration,
 * applications set properties and emit `finish`. `lock` guards what is marked so; it is not held
 * while anything is computed, written or posted.
 */
#pragma once

#include "calib/convergence.h"
#include "gst/config.h"
#include "gst/frame.h"
#include "gst/gstint8calib.h"
#include "gst/config-file.h"
#include "gst/objects.h"
#include "gst/progress.h"
#include "gst/sampler.h"

G_BEGIN_DECLS

GST_DEBUG_CATEGORY_EXTERN (gst_int8_calib_debug);

/* Tensors between the streaming thread and the worker. */
#define GST_INT8_CALIB_SLOTS 4

typedef enum {
  GST_INT8_TABLE_EXISTS_USE,
  GST_INT8_TABLE_EXISTS_OVERWRITE,
  GST_INT8_TABLE_EXISTS_REFUSE
} GstInt8TableExists;

/* Of the property "method", beside every CalibMethod. */
#define GST_INT8_METHOD_AUTO CALIB_METHOD_COUNT

typedef enum {
  GST_INT8_BIAS_CORRECTION_FAST,
  GST_INT8_BIAS_CORRECTION_OFF,
  GST_INT8_BIAS_CORRECTION_FULL
} GstInt8BiasCorrection;


/* Read once, when the element goes to PAUSED. */
typedef struct {
  GstInt8Config config;
  char *table, *statistics;
  char *merge; /* paths between ';' */
  GstInt8TableExists table_exists;
  gboolean choose_method; /* "auto": method is the default until one is chosen, at the end */
  CalibMethod method;
  double percentile;
  GstInt8BiasCorrection bias_correction;
  gboolean equalise;
  guint trt_version;
  guint batch_size;
  guint max_frames; /* 0: no limit */
  gboolean auto_stop;
  guint interval;
  GstClockTime min_gap;
  double scene_change; /* 0: not looked at */
  GstInt8ObjectSettings objects;
  guint checkpoint_interval; /* frames; 0: never */
  gboolean eos_when_done;
  char *qdq_model; /* path, or NULL */
  char *report;    /* likewise */
  guint keep_frames;
  double precision_target; /* share of frames; 0: no layers are chosen */
  EngineExportTarget qdq_target;
} GstInt8CalibSettings;

typedef enum {
  GST_INT8_CALIB_IDLE,    /* READY and below */
  GST_INT8_CALIB_LOADING, /* no slots yet */
  GST_INT8_CALIB_RUNNING,
  GST_INT8_CALIB_DONE,  /* files written, message posted; frames are dropped */
  GST_INT8_CALIB_FAILED /* its message has been posted */
} GstInt8CalibPhase;

/* Why the calibration ended. */
typedef enum {
  GST_INT8_CALIB_BY_MAX_FRAMES,
  GST_INT8_CALIB_BY_EOS,
  GST_INT8_CALIB_BY_FINISH,
  GST_INT8_CALIB_CONVERGED
} GstInt8CalibReason;

struct _GstInt8Calib {
  GstBaseSink parent;

  /* object lock */
  GstInt8ConfigFile config_file;
  GstInt8CalibSettings settings;

  /* constant while in PAUSED and PLAYING */
  GstInt8CalibSettings run;
  KernelBackend *backend; /* of the FP32 network */
  KernelBackend *host;    /* of all else: the same where the CPU sees its memory, or cpu */
  GstInt8Cuda cuda;       /* has a context where the back end works in the pipeline's */
  GThread *worker;

  GMutex lock;
  GCond changed; /* broadcast whenever something below changes */
  /* lock */
  GstInt8CalibPhase phase;
  gboolean upstream_known; /* source and live are set, or nothing will come */
  gboolean live;
  char *source;
  gboolean unlocked; /* the base class wants its streaming thread back */
  gboolean finish;   /* no more frames: make the table */
  GstInt8CalibReason reason;
  gboolean stop;      /* leave, keeping what there is */
  guint head, filled; /* slots [head, head + filled) hold tensors, in a ring */
  GstInt8Sampler sampler;
  CalibConvergenceState convergence_state; /* of the last check */

  /* made by the worker before RUNNING; then the streaming thread's */
  float *slots[GST_INT8_CALIB_SLOTS];
  gsize slot_size; /* bytes */
  EngineInputInfo input;
  EnginePreprocessor *preprocessor;
  KernelQueue *queue;
  EnginePreprocessor *device_preprocessor; /* of frames in the memory of `backend`; NULL: there are none */
  KernelQueue *device_queue;
  void *device_tensor;

  /* the streaming thread */
  GstInt8FrameFormat format;
  gboolean has_format;
  GstInt8RegionFilter filter; /* made with the run */

  /* the worker */
  EngineModel *model;
  EnginePreprocess preprocess;
  CalibStatistics *statistics;
  EngineCalibrator *calibrator;
  CalibConvergence *convergence; /* NULL without auto-stop */
  guint64 processed;             /* frames of this run that went into the calibrator */
  char *precision; /* of precision-target: what was reached, for people; else NULL */
  gint64 begun;                  /* g_get_monotonic_time() of the first frame */
  gint64 told;                   /* that of the last progress */
  char *ranking;                 /* of method=auto, for people; else NULL */
};

/* types */
GType gst_int8_calib_table_exists_type (void);
GType gst_int8_calib_method_type (void);
GType gst_int8_calib_bias_correction_type (void);

/* properties */
void gst_int8_calib_properties_install (GObjectClass *klass);

/* settings: their values. init() sets what is not 0 at first, copy() writes over anything. */
void gst_int8_calib_settings_init (GstInt8CalibSettings *settings);
void gst_int8_calib_settings_copy (const GstInt8CalibSettings *from, GstInt8CalibSettings *to);
void gst_int8_calib_settings_clear (GstInt8CalibSettings *settings);

/* export: the property "qdq-model", if it is set. */
GType gst_int8_calib_qdq_target_type (void);
gboolean gst_int8_calib_export (GstInt8Calib *self, const CalibTable *table, const EngineBias *bias,
    GError **error);

/* method: the frames that statistics, new or continued, are to keep: in their file with keep-frames or
 * precision-target, else in memory, where something needs them. */
void gst_int8_calib_keep_frames (GstInt8Calib *self, CalibStatistics *statistics);
/* method=auto: sets run.method, and posts the ranking; without a frame the default, and a warning. Does
 * nothing with any other. */
gboolean gst_int8_calib_choose_method (GstInt8Calib *self, const EngineBias *bias, GError **error);
/* What goes beside the table: bias (taken), with scales by channel where frames are kept and equalise is
 * set; for bias-correction=full another one. */
EngineBias *gst_int8_calib_finish_bias (GstInt8Calib *self, EngineBias *bias,
    const CalibTable *table, GError **error);

/* precision: the property "precision-target", if it is set. Frames are kept for it, unless keep-frames
 * says how many. */
void gst_int8_calib_keep_for_precision (GstInt8Calib *self, CalibStatistics *statistics);
gboolean gst_int8_calib_choose_precision (GstInt8Calib *self, const CalibTable *table,
    const EngineBias *bias, GError **error);

/* report: the property "report", if it is set. */
gboolean gst_int8_calib_report (GstInt8Calib *self, const CalibTable *table, const EngineBias *bias,
    GError **error);

/* device: back ends, for READY; open() posts the error where it returns FALSE. */
gboolean gst_int8_calib_device_open (GstInt8Calib *self);
void gst_int8_calib_device_close (GstInt8Calib *self);
/* What is needed for frames on the device, with the run. */
gboolean gst_int8_calib_device_make (GstInt8Calib *self, GError **error);
void gst_int8_calib_device_free (GstInt8Calib *self);
/* The tensor of a frame, or of its crop, to the slot; done when it returns. */
gboolean gst_int8_calib_preprocess (GstInt8Calib *self, const GstInt8Frame *frame, float *slot,
    GError **error);

/* frames: render() of the base class. */
GstFlowReturn gst_int8_calib_render (GstBaseSink *sink, GstBuffer *buffer);
/* Posts the error; returns `result`. */
GstFlowReturn gst_int8_calib_fail (GstInt8Calib *self, const GError *error, GstFlowReturn result);
/* Waits for something that only the worker or an unlock brings about; lock held. */
GstFlowReturn gst_int8_calib_wait_locked (GstInt8Calib *self);

/* worker: start() posts the error where it returns FALSE; stop() tells it to leave; join() waits
 * and frees the run. */
gboolean gst_int8_calib_worker_start (GstInt8Calib *self);
void gst_int8_calib_worker_stop (GstInt8Calib *self);
void gst_int8_calib_worker_join (GstInt8Calib *self);

/* check: what can be told without reading the model. */
gboolean gst_int8_calib_check_settings (const GstInt8CalibSettings *settings, GError **error);
/* The items of `merge`, without empty ones. */
char **gst_int8_calib_merge_paths (const GstInt8CalibSettings *settings);
/* Whether a table that is there already is to be used instead of a new one. */
gboolean gst_int8_calib_table_is_there (const GstInt8CalibSettings *settings);
/* output: for the worker. Existing table: fits, or an error; posts that nothing was done. */
gboolean gst_int8_calib_use_table (GstInt8Calib *self, GError **error);
/* New statistics, or those of the file, continued. Also tries the files to be merged. */
CalibStatistics *gst_int8_calib_open_statistics (GstInt8Calib *self, GError **error);
/* Writes the statistics file, if there is to be one, with all frames so far. */
gboolean gst_int8_calib_save_statistics (GstInt8Calib *self, GError **error);
/* Writes all files and posts "int8-calibration-done". */
gboolean gst_int8_calib_complete (GstInt8Calib *self, GError **error);

/* messages */
typedef struct {
  guint64 frames, n_nonfinite;
  guint n_tensors;
  gboolean skipped;
} GstInt8CalibOutcome;
void gst_int8_calib_post_done (GstInt8Calib *self, const GstInt8CalibOutcome *outcome);
void gst_int8_calib_post_progress (GstInt8Calib *self, GstProgressType type, int percent);
/* Work after the last frame: progress of its own, from START at the first call to COMPLETE when all is done. */
typedef struct {
  GstInt8Calib *self;
  const char *code, *text; /* text: what is done, for people */
  GstInt8Pace pace;
} GstInt8CalibWork;
void gst_int8_calib_post_work (guint done, guint total, const char *what, gpointer work);
/* With auto-stop: why it ended here, or what was still changing. */
void gst_int8_calib_post_convergence (GstInt8Calib *self);
/* The property "calib-stats". */
GstStructure *gst_int8_calib_stats (GstInt8Calib *self);
/* Why there is nothing to write. */
char *gst_int8_calib_nothing (GstInt8Calib *self);

G_END_DECLS
