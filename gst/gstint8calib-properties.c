/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* gstint8calib-properties.c: the properties of int8calib. Their values are in gstint8calib-settings.c. */
#include "gst/gstint8calib-properties.h"

static void
set_property (GObject *object, guint id, const GValue *value, GParamSpec *pspec)
{
  GstInt8Calib *self = GST_INT8_CALIB (object);
  gboolean known;

  GST_OBJECT_LOCK (self);
  gst_int8_config_file_note (&self->config_file, pspec);
  known = gst_int8_calib_settings_set (&self->settings, id, value);
  if (id == PROP_CONFIG_FILE) {
    g_free (self->config_file.path);
    self->config_file.path = g_value_dup_string (value);
    known = TRUE;
  }
  GST_OBJECT_UNLOCK (self);
  if (!known)
    G_OBJECT_WARN_INVALID_PROPERTY_ID (object, id, pspec);
  gst_int8_config_warn_if_late (GST_ELEMENT (self), pspec);
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
  known = gst_int8_calib_settings_get (&self->settings, id, value);
  if (id == PROP_CONFIG_FILE) {
    g_value_set_string (value, self->config_file.path);
    known = TRUE;
  }
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
          "How a range is chosen from a distribution. auto tries every method at the end on a sample of the "
          "frames, at most 500 and about 60 MB, which stays in memory and is in no file, unless keep-frames "
          "says how many are. Without a frame to try them on it is mse, and a warning says so",
          gst_int8_calib_method_type (), GST_INT8_METHOD_AUTO, SETTABLE));
  g_object_class_install_property (klass, PROP_BIAS_CORRECTION,
      g_param_spec_enum ("bias-correction", "Bias correction",
          "What rounding takes from the mean of a layer's outputs is given back to its biases, by "
          "<table>.bias, which int8infer reads with the table. full needs a sample of the frames, "
          "as method=auto does",
          gst_int8_calib_bias_correction_type (), GST_INT8_BIAS_CORRECTION_FAST, SETTABLE));
  g_object_class_install_property (klass, PROP_EQUALISE,
      g_param_spec_boolean ("equalise", "Equalise",
          "Where frames are kept (method=auto, keep-frames), channels before depthwise convolutions get "
          "scales of their own, and before others where that helps, in <table>.bias, too. It costs nothing "
          "when running",
          TRUE, SETTABLE));
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
          "Frames that are run at once (more suit a GPU; the CPU takes whole rounds, a frame for every thread); "
          "only entropy2-trt and legacy depend on it",
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
  gst_int8_config_file_install (klass, PROP_CONFIG_FILE);
  install_files (klass);
  install_method (klass);
  install_frames (klass);
  gst_int8_objects_install (klass, PROP_OBJECTS, FALSE, SETTABLE);
  install_stats (klass);
}
