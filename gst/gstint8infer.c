/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * gstint8infer.c: the element int8infer: its documentation, its class, its states.
 */
/**
 * SECTION:element-int8infer
 * @title: int8infer
 * @short_description: classifies video frames with an INT8 network
 *
 * Runs an ONNX image classifier on raw video frames of any size and puts the best classes onto the
 * frames as metadata; the frames themselves pass unchanged. The network is quantised to INT8 with a
 * calibration table, made by int8calib or by TensorRT; the engine is built when the element starts
 * and kept in the user's cache folder, named by the content of all that went into it.
 *
 * ## Example launch lines
 *
 * |[
 * gst-launch-1.0 filesrc location=video.mp4 ! decodebin ! videoconvert ! int8calib model=model.onnx
 * table=model.table eos-when-done=true
 * ]| makes the table from the first 500 frames of a video.
 * |[
 * gst-launch-1.0 -m filesrc location=video.mp4 ! decodebin ! videoconvert ! int8infer
 * model=model.onnx calibration-table=model.table labels=labels.txt post-messages=true ! fakesink
 * ]| classifies every frame and prints the results.
 * |[
 * gst-launch-1.0 filesrc location=video.mp4 ! qtdemux ! h264parse ! nvh264dec ! int8infer backend=cuda
 * batch-size=8 model=model.onnx calibration-table=model.table ! cudadownload ! fakesink
 * ]| classifies the frames of an NVIDIA decoder in the memory of the GPU, where they lie.
 *
 * With GStreamer 1.28 and newer buffers of several streams, multistream/x-analytics-batch, are taken, too:
 * the frames of all go through the network together, and each has its results on itself.
 *
 * ## Results
 *
 * Each frame that has a class with at least #int8infer:threshold confidence carries, as
 * #int8infer:metadata says, a #GstVideoRegionOfInterestMeta over the whole frame, a
 * #GstCustomMeta named "GstInt8ClassificationMeta" and, with GStreamer 1.24 or newer, a
 * GstAnalyticsClsMtd; docs/ELEMENTS.md shows how to read them.
 *
 * ## Messages
 *
 * * progress ("engine") with the fields percent, layer and reason while an engine is built;
 * * element message "int8-engine" once it is there, and again when another has been swapped in:
 *   swapped, built, reason, path, seconds, precision, backend, layers-int8, layers-fp32, tuned,
 *   tactics, inferred;
 * * element message "int8-drift" when the calibration does not fit the frames any more, with
 *   #int8infer:drift-interval: reason, text, examined, missed, window, agreement, logit-sqnr, tensors,
 *   clipped, range-min, range-max, largest;
 * * element message "int8-classification" for every result, with #int8infer:post-messages;
 * * QoS for every frame whose inference was left out, with #int8infer:qos.
 */
#include "gst/gstint8infer-private.h"

#include "gst/stages.h"

GST_DEBUG_CATEGORY (gst_int8_infer_debug);
#define GST_CAT_DEFAULT gst_int8_infer_debug

G_DEFINE_FINAL_TYPE (GstInt8Infer, gst_int8_infer, GST_TYPE_ELEMENT)
GST_ELEMENT_REGISTER_DEFINE (int8infer, "int8infer", GST_RANK_NONE, GST_TYPE_INT8_INFER)

static gboolean
open_devices (GstInt8Infer *self)
{
  g_autoptr (GError) error = NULL;

  if (gst_int8_infer_devices_open (self, &error))
    return TRUE;
  gst_int8_config_post_error (GST_ELEMENT (self), error, NULL);
  return FALSE;
}

static void
copy_settings (GstInt8Infer *self, GstInt8NetworkSettings *settings)
{
  GST_OBJECT_LOCK (self);
  gst_int8_network_settings_copy (&self->settings, settings);
  GST_OBJECT_UNLOCK (self);
}

/* From here on there is a network, or will be. Posts the error where it returns FALSE. */
static gboolean
join (GstInt8Infer *self)
{
  g_auto (GstInt8NetworkSettings) settings = {0};
  g_autoptr (GError) error = NULL;
  g_autofree char *id = NULL;
  GstInt8Member *member;

  copy_settings (self, &settings);
  GST_OBJECT_LOCK (self);
  id = g_strdup (self->instance_id);
  GST_OBJECT_UNLOCK (self);
  member = gst_int8_instance_join (id, GST_ELEMENT (self), &settings, self->devices,
      self->n_devices, &error);
  if (!member) {
    gst_int8_config_post_error (GST_ELEMENT (self), error, NULL);
    return FALSE;
  }
  g_mutex_lock (&self->lock);
  self->member = member;
  self->error_posted = FALSE;
  gst_int8_infer_entries_new (self);
  g_mutex_unlock (&self->lock);
  gst_int8_infer_async_start (self);
  return TRUE;
}

/* The pads are not active any more. */
static void
leave (GstInt8Infer *self)
{
  GstInt8Member *member;

  gst_int8_infer_async_stop (self);
  g_mutex_lock (&self->lock);
  member = g_steal_pointer (&self->member);
  g_mutex_unlock (&self->lock);
  if (!member)
    return;
  gst_int8_member_leave (member);
  gst_int8_infer_entries_free (self);
}

static gboolean
read_config_file (GstInt8Infer *self)
{
  g_autoptr (GError) error = NULL;

  if (gst_int8_config_file_apply (&self->config_file, GST_ELEMENT (self), NULL, &error))
    return TRUE;
  gst_int8_config_post_error (GST_ELEMENT (self), error, NULL);
  return FALSE;
}

static GstStateChangeReturn
change_state (GstElement *element, GstStateChange transition)
{
  GstInt8Infer *self = GST_INT8_INFER (element);
  GstStateChangeReturn ret;

  switch (transition) {
  case GST_STATE_CHANGE_NULL_TO_READY:
    if (!read_config_file (self) || !open_devices (self))
      return GST_STATE_CHANGE_FAILURE;
    break;
  case GST_STATE_CHANGE_READY_TO_PAUSED:
    gst_int8_stats_reset (&self->stats);
    gst_int8_infer_reset_task (self);
    if (!join (self))
      return GST_STATE_CHANGE_FAILURE;
    break;
  default:
    break;
  }

  ret = GST_ELEMENT_CLASS (gst_int8_infer_parent_class)->change_state (element, transition);

  if (transition == GST_STATE_CHANGE_PAUSED_TO_READY ||
      (transition == GST_STATE_CHANGE_READY_TO_PAUSED && ret == GST_STATE_CHANGE_FAILURE))
    leave (self);
  if (transition == GST_STATE_CHANGE_READY_TO_NULL)
    gst_int8_infer_devices_close (self);
  return ret;
}

static void
set_context (GstElement *element, GstContext *context)
{
  GstInt8Infer *self = GST_INT8_INFER (element);

  gst_int8_cuda_set_context (&self->cuda, element, context);
  GST_ELEMENT_CLASS (gst_int8_infer_parent_class)->set_context (element, context);
}

static void
configure (GstInt8Infer *self, GArray *changes)
{
  g_autoptr (GError) error = NULL;
  g_autofree char *text = NULL;

  g_mutex_lock (&self->lock);
  if (self->member)
    gst_int8_member_configure (self->member, gst_int8_infer_apply_changes, changes, &error);
  g_mutex_unlock (&self->lock);
  if (!error)
    return;
  text = g_strdup_printf ("what was set has made no network: %s", error->message);
  gst_int8_config_post_warning (GST_ELEMENT (self), error, text, NULL);
}

/* Comes once for all that one g_object_set() sets: one network is made for them. */
static void
dispatch_properties_changed (GObject *object, guint n, GParamSpec **pspecs)
{
  GstInt8Infer *self = GST_INT8_INFER (object);
  g_autoptr (GArray) changes = gst_int8_infer_take_changes (self);

  if (changes->len > 0)
    configure (self, changes);
  G_OBJECT_CLASS (gst_int8_infer_parent_class)->dispatch_properties_changed (object, n, pspecs);
}

static void
finalize (GObject *object)
{
  GstInt8Infer *self = GST_INT8_INFER (object);

  gst_int8_network_settings_clear (&self->settings);
  g_array_unref (self->changes);
  g_free (self->instance_id);
  g_free (self->device_id);
  gst_int8_config_file_clear (&self->config_file);
  gst_int8_object_settings_clear (&self->objects);
  gst_int8_stream_unref (self->stream);
  gst_int8_infer_bundle_clear (&self->bundle);
  gst_int8_stats_clear (&self->stats);
  gst_int8_cuda_clear (&self->cuda);
  gst_queue_array_free (self->items);
  g_mutex_clear (&self->lock);
  g_cond_clear (&self->changed);
  G_OBJECT_CLASS (gst_int8_infer_parent_class)->finalize (object);
}

static void
gst_int8_infer_class_init (GstInt8InferClass *klass)
{
  GObjectClass *object_class = G_OBJECT_CLASS (klass);
  GstElementClass *element_class = GST_ELEMENT_CLASS (klass);

  GST_DEBUG_CATEGORY_INIT (gst_int8_infer_debug, "int8infer", 0, "INT8 image classification");
  gst_int8_stages_init ();
  object_class->finalize = finalize;
  object_class->dispatch_properties_changed = dispatch_properties_changed;
  gst_int8_infer_properties_install (object_class);
  element_class->change_state = change_state;
  element_class->set_context = set_context;
  gst_int8_infer_pads_install (element_class);
  gst_element_class_set_static_metadata (element_class, "INT8 image classifier",
      "Filter/Analyzer/Video",
      "Classifies video frames with an INT8 (or FP16, FP32) network from ONNX and attaches the classes as metadata",
      "The gst-int8 authors");
}

static void
gst_int8_infer_init (GstInt8Infer *self)
{
  g_mutex_init (&self->lock);
  g_cond_init (&self->changed);
  gst_int8_stats_init (&self->stats);
  gst_int8_cuda_init (&self->cuda);
  self->items = gst_queue_array_new_for_struct (sizeof (GstInt8Item), 16);
  self->result = GST_FLOW_FLUSHING;
  self->stream = gst_int8_stream_new ();
  gst_int8_infer_bundle_init (&self->bundle);
  gst_int8_config_file_init (&self->config_file);
  gst_int8_infer_properties_init (self);
  gst_int8_infer_reset_task (self);
  gst_int8_infer_pads_init (self);
}
