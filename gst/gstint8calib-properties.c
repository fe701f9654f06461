/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* gstint8calib-properties.c: the properties of int8calib, and the values behind them. */
#include "gst/gstint8calib-private.h"

enum {
  PROP_TABLE = GST_INT8_CONFIG_LAST + 1,
  PROP_TABLE_EXISTS,
  PROP_STATISTICS,
  PROP_MERGE,
  PROP_METHOD,
  PROP_BIAS_CORRECTION,
  PROP_PERCENTILE,
  PROP_TRT_VERSION,
  PROP_BATCH_SIZE,
  PROP_MAX_FRAMES,
  PROP_AUTO_STOP,
  PROP_INTERVAL,
  PROP_MIN_GAP,
  PROP_SCENE_CHANGE,
  PROP_PROCESS_MODE,
  PROP_OBJECT_CLASS,
  PROP_OBJECT_MIN_WIDTH,
  PROP_OBJECT_MIN_HEIGHT,
  PROP_CALIB_STATS,
  PROP_CHECKPOINT_INTERVAL,
  PROP_EOS_WHEN_DONE,
  PROP_QDQ_MODEL,
  PROP_QDQ_TARGET,
  PROP_REPORT,
  PROP_KEEP_FRAMES,
  PROP_PRECISION_TARGET
};

#define DEFAULT_METHOD              CALIB_METHOD_MSE
#define DEFAULT_PERCENTILE          99.99
#define DEFAULT_TRT_VERSION         8601
#define DEFAULT_BATCH_SIZE          1
#define DEFAULT_MAX_FRAMES          500
#define DEFAULT_INTERVAL            1
#define DEFAULT_CHECKPOINT_INTERVAL 100

void
gst_int8_calib_settings_copy (const GstInt8CalibSettings *from, GstInt8CalibSettings *to)
{
  *to = *from;
  gst_int8_config_copy (&from->config, &to->config);
  to->table = g_strdup (from->table);
  to->statistics = g_strdup (from->statistics);
  to->merge = g_strdup (from->merge);
  to->qdq_model = g_strdup (from->qdq_model);
  to->report = g_strdup (from->report);
  to->object_class = g_strdup (from->object_class);
}

void
gst_int8_calib_settings_clear (GstInt8CalibSettings *settings)
{
  gst_int8_config_clear (&settings->config);
  g_clear_pointer (&settings->table, g_free);
  g_clear_pointer (&settings->statistics, g_free);
  g_clear_pointer (&settings->merge, g_free);
  g_clear_pointer (&settings->qdq_model, g_free);
  g_clear_pointer (&settings->report, g_free);
  g_clear_pointer (&settings->object_class, g_free);
}

/* An empty text is none. */
static void
take_text (char **field, const GValue *value)
{
  const char *text = g_value_get_string (value);

  g_free (*field);
  *field = text && *text ? g_strdup (text) : NULL;
}

static gboolean
set_setting (GstInt8CalibSettings *settings, guint id, const GValue *value)
{
  switch (id) {
  case PROP_TABLE:
    take_text (&settings->table, value);
    return TRUE;
  case PROP_TABLE_EXISTS:
    settings->table_exists = g_value_get_enum (value);
    return TRUE;
  case PROP_STATISTICS:
    take_text (&settings->statistics, value);
    return TRUE;
  case PROP_MERGE:
    take_text (&settings->merge, value);
    return TRUE;
  case PROP_METHOD:
    settings->choose_method = g_value_get_enum (value) == GST_INT8_METHOD_AUTO;
    settings->method = settings->choose_method ? DEFAULT_METHOD : g_value_get_enum (value);
    return TRUE;
  case PROP_BIAS_CORRECTION:
    settings->bias_correction = g_value_get_enum (value);
    return TRUE;
  case PROP_PERCENTILE:
    settings->percentile = g_value_get_double (value);
    return TRUE;
  case PROP_TRT_VERSION:
    settings->trt_version = g_value_get_uint (value);
    return TRUE;
  case PROP_BATCH_SIZE:
    settings->batch_size = g_value_get_uint (value);
    return TRUE;
  case PROP_MAX_FRAMES:
    settings->max_frames = g_value_get_uint (value);
    return TRUE;
  case PROP_AUTO_STOP:
    settings->auto_stop = g_value_get_boolean (value);
    return TRUE;
  case PROP_INTERVAL:
    settings->interval = g_value_get_uint (value);
    return TRUE;
  case PROP_MIN_GAP:
    settings->min_gap = g_value_get_uint64 (value);
    return TRUE;
  case PROP_SCENE_CHANGE:
    settings->scene_change = g_value_get_double (value);
    return TRUE;
  case PROP_PROCESS_MODE:
    settings->process_mode = g_value_get_enum (value);
    return TRUE;
  case PROP_OBJECT_CLASS:
    take_text (&settings->object_class, value);
    return TRUE;
  case PROP_OBJECT_MIN_WIDTH:
    settings->object_min_width = g_value_get_uint (value);
    return TRUE;
  case PROP_OBJECT_MIN_HEIGHT:
    settings->object_min_height = g_value_get_uint (value);
    return TRUE;
  case PROP_CHECKPOINT_INTERVAL:
    settings->checkpoint_interval = g_value_get_uint (value);
    return TRUE;
  case PROP_EOS_WHEN_DONE:
    settings->eos_when_done = g_value_get_boolean (value);
    return TRUE;
  case PROP_QDQ_MODEL:
    take_text (&settings->qdq_model, value);
    return TRUE;
  case PROP_QDQ_TARGET:
    settings->qdq_target = g_value_get_enum (value);
    return TRUE;
  case PROP_REPORT:
    take_text (&settings->report, value);
    return TRUE;
  case PROP_KEEP_FRAMES:
    settings->keep_frames = g_value_get_uint (value);
    return TRUE;
  case PROP_PRECISION_TARGET:
    settings->precision_target = g_value_get_double (value);
    return TRUE;
  default:
    return gst_int8_config_set_property (&settings->config, id, value);
  }
}

static gboolean
get_setting (const GstInt8CalibSettings *settings, guint id, GValue *value)
{
  switch (id) {
  case PROP_TABLE:
    g_value_set_string (value, settings->table);
    return TRUE;
  case PROP_TABLE_EXISTS:
    g_value_set_enum (value, settings->table_exists);
    return TRUE;
  case PROP_STATISTICS:
    g_value_set_string (value, settings->statistics);
    return TRUE;
  case PROP_MERGE:
    g_value_set_string (value, settings->merge);
    return TRUE;
  case PROP_METHOD:
    g_value_set_enum (value, settings->choose_method ? GST_INT8_METHOD_AUTO : settings->method);
    return TRUE;
  case PROP_BIAS_CORRECTION:
    g_value_set_enum (value, settings->bias_correction);
    return TRUE;
  case PROP_PERCENTILE:
    g_value_set_double (value, settings->percentile);
    return TRUE;
  case PROP_TRT_VERSION:
    g_value_set_uint (value, settings->trt_version);
    return TRUE;
  case PROP_BATCH_SIZE:
    g_value_set_uint (value, settings->batch_size);
    return TRUE;
  case PROP_MAX_FRAMES:
    g_value_set_uint (value, settings->max_frames);
    return TRUE;
  case PROP_AUTO_STOP:
    g_value_set_boolean (value, settings->auto_stop);
    return TRUE;
  case PROP_INTERVAL:
    g_value_set_uint (value, settings->interval);
    return TRUE;
  case PROP_MIN_GAP:
    g_value_set_uint64 (value, settings->min_gap);
    return TRUE;
  case PROP_SCENE_CHANGE:
    g_value_set_double (value, settings->scene_change);
    return TRUE;
  case PROP_PROCESS_MODE:
    g_value_set_enum (value, settings->process_mode);
    return TRUE;
  case PROP_OBJECT_CLASS:
    g_value_set_string (value, settings->object_class);
    return TRUE;
  case PROP_OBJECT_MIN_WIDTH:
    g_value_set_uint (value, settings->object_min_width);
    return TRUE;
  case PROP_OBJECT_MIN_HEIGHT:
    g_value_set_uint (value, settings->object_min_height);
    return TRUE;
  case PROP_CHECKPOINT_INTERVAL:
    g_value_set_uint (value, settings->checkpoint_interval);
    return TRUE;
  case PROP_EOS_WHEN_DONE:
    g_value_set_boolean (value, settings->eos_when_done);
    return TRUE;
  case PROP_QDQ_MODEL:
    g_value_set_string (value, settings->qdq_model);
    return TRUE;
  case PROP_QDQ_TARGET:
    g_value_set_enum (value, settings->qdq_target);
    return TRUE;
  case PROP_REPORT:
    g_value_set_string (value, settings->report);
    return TRUE;
  case PROP_KEEP_FRAMES:
    g_value_set_uint (value, settings->keep_frames);
    return TRUE;
  case PROP_PRECISION_TARGET:
    g_value_set_double (value, settings->precision_target);
    return TRUE;
  default:
    return gst_int8_config_get_property (&settings->config, id, value);
  }
}

static void
set_property (GObject *object, guint id, const GValue *value, GParamSpec *pspec)
{
  GstInt8Calib *self = GST_INT8_CALIB (object);
  gboolean known;

  GST_OBJECT_LOCK (self);
  known = set_setting (&self->settings, id, value);
  GST_OBJECT_UNLOCK (self);
  if (!known)
    G_OBJECT_WARN_INVALID_PROPERTY_ID (object, id, pspec);
}

static void
get_property (GObject *object, guint id, GValue *value, GParamSpec *pspec)
{
  GstInt8Calib *self = GST_INT8_CALIB (object);
  gboolean known;

  if (id == PROP_CALIB_STATS) {
    g_value_take_boxed (value, gst_int8_calib_stats (self));
    return;
  }
  GST_OBJECT_LOCK (self);
  known = get_setting (&self->settings, id, value);
  GST_OBJECT_UNLOCK (self);
  if (!known)
    G_OBJECT_WARN_INVALID_PROPERTY_ID (object, id, pspec);
}

/* --- Installation ---------------------------------------------------------------------------- */

#define SETTABLE (G_PARAM_READWRITE | G_PARAM_STATIC_STRINGS | GST_PARAM_MUTABLE_READY)

static void
install_files (GObjectClass *klass)
{
  g_object_class_install_property (klass, PROP_TABLE,
      g_param_spec_string ("table", "Table",
          "Path of the calibration table that is written, in TensorRT's text format; its "
          "provenance goes to <table>.json. This or statistics must be set",
          NULL, SETTABLE));
  g_object_class_install_property (klass, PROP_TABLE_EXISTS,
      g_param_spec_enum ("table-exists", "Table exists", "What to do when the table exists already",
          gst_int8_calib_table_exists_type (), GST_INT8_TABLE_EXISTS_USE, SETTABLE));
  g_object_class_install_property (klass, PROP_STATISTICS,
      g_param_spec_string ("statistics", "Statistics file",
          "Path of the histograms that are written, continued where the file exists, and from "
          "which other tables can be made without the frames (unset = none)",
          NULL, SETTABLE));
  g_object_class_install_property (klass, PROP_MERGE,
      g_param_spec_string ("merge", "Merge",
          "Paths of other statistics files, separated by ';', that the table takes into account",
          NULL, SETTABLE));
  g_object_class_install_property (klass, PROP_QDQ_MODEL,
      g_param_spec_string ("qdq-model", "Q/DQ model",
          "Path of an ONNX file with QuantizeLinear and DequantizeLinear that is written with the "
          "table, for qdq-target to run (unset = none)",
          NULL, SETTABLE));
  g_object_class_install_property (klass, PROP_QDQ_TARGET,
      g_param_spec_enum ("qdq-target", "Q/DQ target", "Whose rules the Q/DQ model follows",
          gst_int8_calib_qdq_target_type (), ENGINE_EXPORT_ONNXRUNTIME, SETTABLE));
  g_object_class_install_property (klass, PROP_REPORT,
      g_param_spec_string ("report", "Report",
          "Path of an HTML page that is written with the table: histograms and the ranges of every "
          "method and, with keep-frames, agreement with FP32 and the layers that do the most damage "
          "(unset = none)",
          NULL, SETTABLE));
  g_object_class_install_property (klass, PROP_KEEP_FRAMES,
      g_param_spec_uint ("keep-frames", "Keep frames",
          "So many input tensors are kept with the statistics and in their file, a fair sample of all "
          "frames, to compare INT8 with FP32 on (0 = none, or as many as the file has that is "
          "continued; more cannot be added to one)",
          0, 100000, 0, SETTABLE));
  g_object_class_install_property (klass, PROP_PRECISION_TARGET,
      g_param_spec_double ("precision-target", "Precision target",
          "Layers are given back to FP32, few and the worst, until this share of kept frames has FP32's best "
          "class: <table>.precision, for int8infer precision=mixed. Keeps 200 frames unless keep-frames says "
          "how many. Calibrated frames flatter: gst-int8-1.0 compare takes others (0 = off)",
          0, 1, 0, SETTABLE));
}

static void
install_method (GObjectClass *klass)
{
  g_object_class_install_property (klass, PROP_METHOD,
      g_param_spec_enum ("method", "Method",
          "How a range is chosen from a distribution. auto tries every method at the end, on frames "
          "that are kept: 50, unless keep-frames says how many",
          gst_int8_calib_method_type (), DEFAULT_METHOD, SETTABLE));
  g_object_class_install_property (klass, PROP_BIAS_CORRECTION,
      g_param_spec_enum ("bias-correction", "Bias correction",
          "What rounding weights takes from the mean of a layer's outputs is given back to its biases, by "
          "<table>.bias, which int8infer reads with the table",
          gst_int8_calib_bias_correction_type (), GST_INT8_BIAS_CORRECTION_FAST, SETTABLE));
  g_object_class_install_property (klass, PROP_PERCENTILE,
      g_param_spec_double ("percentile", "Percentile",
          "method=percentile: this share of all magnitudes, in percent, is inside the range", 1,
          100, DEFAULT_PERCENTILE, SETTABLE));
  g_object_class_install_property (klass, PROP_TRT_VERSION,
      g_param_spec_uint ("trt-version", "TensorRT version",
          "Version in the table's first line, which TensorRT compares with its own: 8601 is "
          "8.6.1, 101400 is 10.14.0",
          1, 999999, DEFAULT_TRT_VERSION, SETTABLE));
  g_object_class_install_property (klass, PROP_BATCH_SIZE,
      g_param_spec_uint ("batch-size", "Batch size",
          "Frames that are run at once (more suit a GPU); only entropy2-trt and legacy depend on it",
          1, 256, DEFAULT_BATCH_SIZE, SETTABLE));
}

static void
install_frames (GObjectClass *klass)
{
  g_object_class_install_property (klass, PROP_MAX_FRAMES,
      g_param_spec_uint ("max-frames", "Maximum of frames",
          "The calibration is complete after so many frames (0 = at EOS)", 0, G_MAXUINT,
          DEFAULT_MAX_FRAMES, SETTABLE));
  g_object_class_install_property (klass, PROP_INTERVAL,
      g_param_spec_uint ("interval", "Interval", "Take every Nth frame", 1, G_MAXUINT,
          DEFAULT_INTERVAL, SETTABLE));
  g_object_class_install_property (klass, PROP_MIN_GAP,
      g_param_spec_uint64 ("min-gap", "Minimum gap",
          "Least time between two frames that are taken, in nanoseconds of their timestamps", 0,
          G_MAXINT64, 0, SETTABLE));
  g_object_class_install_property (klass, PROP_SCENE_CHANGE,
      g_param_spec_double ("scene-change", "Scene change",
          "Take a frame only if it differs from the last one taken by more than this part of the range of "
          "values, on average over a grid of 8 x 8: 0.01 leaves out what looks the same, 0.1 takes new "
          "scenes (0 = do not compare)",
          0, 1, 0, SETTABLE));
  g_object_class_install_property (klass, PROP_AUTO_STOP,
      g_param_spec_boolean ("auto-stop", "Stop automatically",
          "The calibration is complete as soon as more frames would not change the thresholds, at the "
          "latest after max-frames. Checked at 64, 91, 128, 181 ... frames; takes ten times the memory of "
          "the statistics",
          FALSE, SETTABLE));
  g_object_class_install_property (klass, PROP_CHECKPOINT_INTERVAL,
      g_param_spec_uint ("checkpoint-interval", "Checkpoint interval",
          "Write the statistics file every so many frames, so that no more are lost (0 = only "
          "at the end)",
          0, G_MAXUINT, DEFAULT_CHECKPOINT_INTERVAL, SETTABLE));
  g_object_class_install_property (klass, PROP_EOS_WHEN_DONE,
      g_param_spec_boolean ("eos-when-done", "EOS when done",
          "End the stream when the calibration is complete. Through a tee this ends every branch",
          FALSE, SETTABLE));
}

static void
install_objects (GObjectClass *klass)
{
  g_object_class_install_property (klass, PROP_PROCESS_MODE,
      g_param_spec_enum ("process-mode", "Process mode",
          "What goes through the network: frames, or the objects on them (GstAnalytics object detections "
          "or GstVideoRegionOfInterestMeta); each object counts as a frame then",
          gst_int8_calib_process_mode_type (), GST_INT8_PROCESS_FRAME, SETTABLE));
  g_object_class_install_property (klass, PROP_OBJECT_CLASS,
      g_param_spec_string ("object-class", "Object class",
          "process-mode=objects: only objects of these classes, separated by ';' (unset = all)",
          NULL, SETTABLE));
  g_object_class_install_property (klass, PROP_OBJECT_MIN_WIDTH,
      g_param_spec_uint ("object-min-width", "Least width of objects",
          "process-mode=objects: in pixels of the frame, of the part inside it", 0, ENGINE_MAX_SIDE,
          0, SETTABLE));
  g_object_class_install_property (klass, PROP_OBJECT_MIN_HEIGHT,
      g_param_spec_uint ("object-min-height", "Least height of objects",
          "process-mode=objects: in pixels of the frame, of the part inside it", 0, ENGINE_MAX_SIDE,
          0, SETTABLE));
}

static void
install_stats (GObjectClass *klass)
{
  g_object_class_install_property (klass, PROP_CALIB_STATS,
      g_param_spec_boxed ("calib-stats", "Calibration statistics",
          "Which frames came, were taken and were not, and why; how many different ones; the last check "
          "of auto-stop",
          GST_TYPE_STRUCTURE, G_PARAM_READABLE | G_PARAM_STATIC_STRINGS));
}

void
gst_int8_calib_properties_install (GObjectClass *klass)
{
  klass->set_property = set_property;
  klass->get_property = get_property;
  gst_int8_config_install (klass, GST_PARAM_MUTABLE_READY);
  install_files (klass);
  install_method (klass);
  install_frames (klass);
  install_objects (klass);
  install_stats (klass);
}

void
gst_int8_calib_properties_init (GstInt8Calib *self)
{
  gst_int8_config_init (&self->settings.config);
  self->settings.method = DEFAULT_METHOD;
  self->settings.qdq_target = ENGINE_EXPORT_ONNXRUNTIME;
  self->settings.percentile = DEFAULT_PERCENTILE;
  self->settings.trt_version = DEFAULT_TRT_VERSION;
  self->settings.batch_size = DEFAULT_BATCH_SIZE;
  self->settings.max_frames = DEFAULT_MAX_FRAMES;
  self->settings.interval = DEFAULT_INTERVAL;
  self->settings.checkpoint_interval = DEFAULT_CHECKPOINT_INTERVAL;
}
