/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * gstint8calib.c: the element int8calib: its documentation, its class and its states, and how a
 * stream ends.
 */
/**
 * SECTION:element-int8calib
 * @title: int8calib
 * @short_description: makes an INT8 calibration table from live or recorded video
 *
 * Runs an ONNX image classifier in FP32 on video frames, collects the distribution of every
 * activation, and writes the calibration table that int8infer and TensorRT need for INT8. It
 * prepares frames with the same code and the same properties as int8infer.
 *
 * ## Example launch lines
 *
 * |[
 * gst-launch-1.0 -m filesrc location=video.mp4 ! decodebin ! videoconvert ! int8calib
 * model=model.onnx table=model.table eos-when-done=true
 * ]| calibrates with the first 500 frames of a video and ends.
 * |[
 * gst-launch-1.0 -e v4l2src ! videoconvert ! int8calib model=model.onnx table=model.table
 * statistics=camera.int8stats min-gap=1000000000 max-frames=1000 eos-when-done=true
 * ]| takes one frame a second from a camera, and keeps what it learnt for tomorrow.
 *
 * ## Live and recorded sources
 *
 * A live source is never held up: frames that come while the network is busy are dropped and
 * counted. A file is taken whole: it waits for the network.
 *
 * ## The end
 *
 * After #int8calib:max-frames frames, at EOS, or on the action signal #int8calib::finish, the
 * statistics and the table with its provenance (`<table>.json`) are written atomically, then the
 * element message "int8-calibration-done" is posted: skipped, table, statistics, frames, dropped,
 * tensors, method, seconds, non-finite. Frames that come later are dropped. Where the element is
 * stopped without EOS, only the statistics file is written.
 */
#include "gst/gstint8calib-private.h"

GST_DEBUG_CATEGORY (gst_int8_calib_debug);
#define GST_CAT_DEFAULT gst_int8_calib_debug

enum { SIGNAL_FINISH, SIGNAL_COUNT };
static guint signals[SIGNAL_COUNT];

G_DEFINE_FINAL_TYPE (GstInt8Calib, gst_int8_calib, GST_TYPE_BASE_SINK)
GST_ELEMENT_REGISTER_DEFINE (int8calib, "int8calib", GST_RANK_NONE, GST_TYPE_INT8_CALIB)

static GstStaticPadTemplate sink_template = GST_STATIC_PAD_TEMPLATE ("sink", GST_PAD_SINK,
    GST_PAD_ALWAYS, GST_STATIC_CAPS (GST_INT8_FRAME_CAPS));

/* --- Caps ------------------------------------------------------------------------------------ */

static gboolean
set_caps (GstBaseSink *sink, GstCaps *caps)
{
  GstInt8Calib *self = GST_INT8_CALIB (sink);
  g_autoptr (GError) error = NULL;

  self->has_format = gst_int8_frame_format_init (&self->format, caps, &error);
  if (!self->has_format)
    gst_int8_calib_fail (self, error, GST_FLOW_NOT_NEGOTIATED);
  return self->has_format;
}

static gboolean
propose_allocation (GstBaseSink *sink, GstQuery *query)
{
  gst_query_add_allocation_meta (query, GST_VIDEO_META_API_TYPE, NULL);
  gst_query_add_allocation_meta (query, GST_VIDEO_CROP_META_API_TYPE, NULL);
  return TRUE;
}

/* --- The end --------------------------------------------------------------------------------- */

static void
end_frames (GstInt8Calib *self, GstInt8CalibReason reason)
{
  g_mutex_lock (&self->lock);
  if (!self->finish) {
    self->finish = TRUE;
    self->reason = reason;
  }
  g_cond_broadcast (&self->changed);
  g_mutex_unlock (&self->lock);
}

static void
request_finish (GstInt8Calib *self)
{
  end_frames (self, GST_INT8_CALIB_BY_FINISH);
}

/* EOS is posted by the base class after this returns: after "int8-calibration-done". */
static GstFlowReturn
wait_event (GstBaseSink *sink, GstEvent *event)
{
  GstInt8Calib *self = GST_INT8_CALIB (sink);
  GstFlowReturn result;

  result = GST_BASE_SINK_CLASS (gst_int8_calib_parent_class)->wait_event (sink, event);
  if (result != GST_FLOW_OK || GST_EVENT_TYPE (event) != GST_EVENT_EOS)
    return result;
  end_frames (self, GST_INT8_CALIB_BY_EOS);
  g_mutex_lock (&self->lock);
  while (result == GST_FLOW_OK && self->phase != GST_INT8_CALIB_DONE) {
    if (self->phase == GST_INT8_CALIB_FAILED)
      result = GST_FLOW_ERROR;
    else
      result = gst_int8_calib_wait_locked (self);
  }
  g_mutex_unlock (&self->lock);
  return result;
}

static gboolean
set_unlocked (GstInt8Calib *self, gboolean unlocked)
{
  g_mutex_lock (&self->lock);
  self->unlocked = unlocked;
  g_cond_broadcast (&self->changed);
  g_mutex_unlock (&self->lock);
  return TRUE;
}

static gboolean
unlock (GstBaseSink *sink)
{
  return set_unlocked (GST_INT8_CALIB (sink), TRUE);
}

static gboolean
unlock_stop (GstBaseSink *sink)
{
  return set_unlocked (GST_INT8_CALIB (sink), FALSE);
}

/* --- States ---------------------------------------------------------------------------------- */

static gboolean
read_config_file (GstInt8Calib *self)
{
  /* nvinfer's count batches of inference. */
  static const char *const foreign[] = {"interval", "batch-size", NULL};
  g_autoptr (GError) error = NULL;

  if (gst_int8_config_file_apply (&self->config_file, GST_ELEMENT (self), foreign, &error))
    return TRUE;
  gst_int8_config_post_error (GST_ELEMENT (self), error, NULL);
  return FALSE;
}

static GstStateChangeReturn
change_state (GstElement *element, GstStateChange transition)
{
  GstInt8Calib *self = GST_INT8_CALIB (element);
  GstStateChangeReturn ret;

  switch (transition) {
  case GST_STATE_CHANGE_NULL_TO_READY:
    if (!read_config_file (self) || !gst_int8_calib_device_open (self))
      return GST_STATE_CHANGE_FAILURE;
    break;
  case GST_STATE_CHANGE_READY_TO_PAUSED:
    if (!gst_int8_calib_worker_start (self))
      return GST_STATE_CHANGE_FAILURE;
    break;
  case GST_STATE_CHANGE_PAUSED_TO_READY:
    gst_int8_calib_worker_stop (self);
    break;
  default:
    break;
  }

  ret = GST_ELEMENT_CLASS (gst_int8_calib_parent_class)->change_state (element, transition);

  if (transition == GST_STATE_CHANGE_PAUSED_TO_READY ||
      (transition == GST_STATE_CHANGE_READY_TO_PAUSED && ret == GST_STATE_CHANGE_FAILURE)) {
    gst_int8_calib_worker_stop (self);
    gst_int8_calib_worker_join (self);
  }
  if (transition == GST_STATE_CHANGE_READY_TO_NULL)
    gst_int8_calib_device_close (self);
  return ret;
}

/* --- CUDA context ---------------------------------------------------------------------------- */

static void
set_context (GstElement *element, GstContext *context)
{
  gst_int8_cuda_set_context (&GST_INT8_CALIB (element)->cuda, element, context);
  GST_ELEMENT_CLASS (gst_int8_calib_parent_class)->set_context (element, context);
}

static gboolean
answer_query (GstBaseSink *sink, GstQuery *query)
{
  return gst_int8_cuda_answer_query (&GST_INT8_CALIB (sink)->cuda, GST_ELEMENT (sink), query) ||
         GST_BASE_SINK_CLASS (gst_int8_calib_parent_class)->query (sink, query);
}

static void
finalize (GObject *object)
{
  GstInt8Calib *self = GST_INT8_CALIB (object);

  gst_int8_config_file_clear (&self->config_file);
  gst_int8_calib_settings_clear (&self->settings);
  gst_int8_calib_settings_clear (&self->run);
  gst_int8_cuda_clear (&self->cuda);
  g_mutex_clear (&self->lock);
  g_cond_clear (&self->changed);
  G_OBJECT_CLASS (gst_int8_calib_parent_class)->finalize (object);
}

static void
gst_int8_calib_class_init (GstInt8CalibClass *klass)
{
  GObjectClass *object_class = G_OBJECT_CLASS (klass);
  GstElementClass *element_class = GST_ELEMENT_CLASS (klass);
  GstBaseSinkClass *sink_class = GST_BASE_SINK_CLASS (klass);

  GST_DEBUG_CATEGORY_INIT (gst_int8_calib_debug, "int8calib", 0, "INT8 calibration");
  object_class->finalize = finalize;
  gst_int8_calib_properties_install (object_class);
  /**
   * GstInt8Calib::finish:
   *
   * Ends the calibration with the frames that have been taken: files are written and
   * "int8-calibration-done" is posted. Returns at once.
   */
  signals[SIGNAL_FINISH] = g_signal_new_class_handler ("finish", G_TYPE_FROM_CLASS (klass),
      G_SIGNAL_RUN_LAST | G_SIGNAL_ACTION, G_CALLBACK (request_finish), NULL, NULL, NULL,
      G_TYPE_NONE, 0);

  element_class->change_state = change_state;
  element_class->set_context = set_context;
  sink_class->set_caps = set_caps;
  sink_class->propose_allocation = propose_allocation;
  sink_class->query = answer_query;
  sink_class->render = gst_int8_calib_render;
  sink_class->wait_event = wait_event;
  sink_class->unlock = unlock;
  sink_class->unlock_stop = unlock_stop;
  gst_element_class_add_static_pad_template (element_class, &sink_template);
  gst_element_class_set_static_metadata (element_class, "INT8 calibrator", "Sink/Analyzer/Video",
      "Makes an INT8 calibration table for an ONNX image classifier from video frames",
      "The gst-int8 authors");
}

static void
gst_int8_calib_init (GstInt8Calib *self)
{
  g_mutex_init (&self->lock);
  g_cond_init (&self->changed);
  gst_int8_cuda_init (&self->cuda);
  gst_int8_config_file_init (&self->config_file);
  gst_int8_calib_settings_init (&self->settings);
  gst_base_sink_set_sync (GST_BASE_SINK (self), FALSE);
  gst_base_sink_set_last_sample_enabled (GST_BASE_SINK (self), FALSE);
}
