/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * gstint8calib-frames.c: the sink of int8calib: which frames are taken, and how they, or the objects on
 * them, become tensors in the slots of the worker.
 */
#include "gst/gstint8calib-private.h"

#define GST_CAT_DEFAULT gst_int8_calib_debug

GstFlowReturn
gst_int8_calib_fail (GstInt8Calib *self, const GError *error, GstFlowReturn result)
{
  gst_int8_config_post_error (GST_ELEMENT (self), error, NULL);
  return result;
}

/* Whether upstream is live, and where its frames come from; asked with the first frame. */
static void
ask_upstream (GstInt8Calib *self)
{
  GstPad *pad = GST_BASE_SINK_PAD (self);
  g_autoptr (GstQuery) latency = gst_query_new_latency ();
  g_autoptr (GstQuery) uri = gst_query_new_uri ();
  g_autofree char *source = NULL;
  gboolean live = FALSE;

  if (gst_pad_peer_query (pad, latency))
    gst_query_parse_latency (latency, &live, NULL, NULL);
  if (gst_pad_peer_query (pad, uri))
    gst_query_parse_uri (uri, &source);
  g_mutex_lock (&self->lock);
  self->live = live;
  self->source = g_steal_pointer (&source);
  self->upstream_known = TRUE;
  g_cond_broadcast (&self->changed);
  g_mutex_unlock (&self->lock);
  GST_DEBUG_OBJECT (self, "upstream is %slive", live ? "" : "not ");
}

/* --- Slots ----------------------------------------------------------------------------------- */

/* Waits for something that only the worker or an unlock brings about; lock held. The base class
 * gets its thread back where it asks for it, and lends it again in PLAYING. */
GstFlowReturn
gst_int8_calib_wait_locked (GstInt8Calib *self)
{
  GstFlowReturn result = GST_FLOW_OK;

  if (!self->unlocked) {
    g_cond_wait (&self->changed, &self->lock);
    return GST_FLOW_OK;
  }
  g_mutex_unlock (&self->lock);
  result = gst_base_sink_wait_preroll (GST_BASE_SINK (self));
  g_mutex_lock (&self->lock);
  return result;
}

/* Where the next tensor goes, or NULL where there is to be none; then *result is what render()
 * returns. */
static float *
find_slot (GstInt8Calib *self, GstFlowReturn *result)
{
  GstInt8SamplerCounts *counts = &self->sampler.counts;
  const guint max = self->run.max_frames;
  float *slot = NULL;

  *result = GST_FLOW_OK;
  g_mutex_lock (&self->lock);
  while (*result == GST_FLOW_OK) {
    if (self->phase == GST_INT8_CALIB_FAILED) {
      *result = GST_FLOW_ERROR;
    } else if (self->phase == GST_INT8_CALIB_DONE || self->finish ||
               (max && counts->taken >= max)) {
      counts->late++;
      *result = self->run.eos_when_done ? GST_FLOW_EOS : GST_FLOW_OK;
      break;
    } else if (self->phase == GST_INT8_CALIB_RUNNING && self->filled < GST_INT8_CALIB_SLOTS) {
      slot = self->slots[(self->head + self->filled) % GST_INT8_CALIB_SLOTS];
      break;
    } else if (self->live) {
      counts->dropped++;
      break;
    } else {
      *result = gst_int8_calib_wait_locked (self);
    }
  }
  g_mutex_unlock (&self->lock);
  return slot;
}

static void
sign (const GstInt8Calib *self, const float *tensor, GstInt8Signature *signature)
{
  const EngineInputInfo *input = &self->input;

  gst_int8_signature_make (signature, tensor, input->height, input->width, input->channels);
}

/* The tensor in the slot is the worker's now. */
static void
hand_over (GstInt8Calib *self, const float *slot)
{
  GstInt8Signature signature;

  sign (self, slot, &signature);
  g_mutex_lock (&self->lock);
  gst_int8_sampler_count (&self->sampler, &signature);
  self->filled++;
  g_cond_broadcast (&self->changed);
  g_mutex_unlock (&self->lock);
}

/* Whether the tensor of a frame in the slot shows something new; remembers it as taken then. */
static gboolean
is_new_scene (GstInt8Calib *self, GstClockTime time, const float *slot)
{
  const gboolean looked_at = self->run.scene_change > 0;
  GstInt8Signature scene;
  gboolean is_new;

  if (looked_at)
    sign (self, slot, &scene);
  g_mutex_lock (&self->lock);
  is_new = !looked_at || gst_int8_sampler_is_new (&self->sampler, &scene);
  if (is_new)
    gst_int8_sampler_take (&self->sampler, time, looked_at ? &scene : NULL);
  g_mutex_unlock (&self->lock);
  return is_new;
}

/* --- Frames ---------------------------------------------------------------------------------- */

/* region: of the frame; NULL for all of it. */
static gboolean
preprocess (GstInt8Calib *self, GstInt8Frame *frame, const EngineRect *region, float *slot,
    GError **error)
{
  if (region) {
    frame->crop = *region;
    frame->has_crop = TRUE;
  }
  return gst_int8_calib_preprocess (self, frame, slot, error);
}

static GstFlowReturn
render_frame (GstInt8Calib *self, GstBuffer *buffer, GError **error)
{
  GstFlowReturn result;
  GstInt8Frame frame;
  float *slot = find_slot (self, &result);
  gboolean ok;

  if (!slot)
    return result;
  if (!gst_int8_frame_map (&frame, &self->format, buffer, self->cuda.context, error))
    return GST_FLOW_ERROR;
  ok = preprocess (self, &frame, NULL, slot, error);
  gst_int8_frame_unmap (&frame);
  if (!ok)
    return GST_FLOW_ERROR;
  if (is_new_scene (self, GST_BUFFER_PTS (buffer), slot))
    hand_over (self, slot);
  return GST_FLOW_OK;
}

/* The scene is that of the whole frame, whatever is on it. */
static gboolean
frame_is_new (GstInt8Calib *self, GstBuffer *buffer, GstInt8Frame *frame, GstFlowReturn *result,
    GError **error)
{
  float *slot = NULL;

  if (self->run.scene_change > 0) {
    slot = find_slot (self, result);
    if (!slot)
      return FALSE;
    if (!preprocess (self, frame, NULL, slot, error)) {
      *result = GST_FLOW_ERROR;
      return FALSE;
    }
  }
  return is_new_scene (self, GST_BUFFER_PTS (buffer), slot);
}

static GstFlowReturn
take_objects (GstInt8Calib *self, GstInt8Regions *regions, GstInt8Frame *frame, GError **error)
{
  GstFlowReturn result = GST_FLOW_OK;
  GstInt8Object object;

  while (result == GST_FLOW_OK && gst_int8_regions_next (regions, &object)) {
    float *slot = find_slot (self, &result);

    if (!slot)
      continue;
    if (!preprocess (self, frame, &object.rect, slot, error))
      return GST_FLOW_ERROR;
    hand_over (self, slot);
  }
  return result;
}

static GstFlowReturn
render_objects (GstInt8Calib *self, GstBuffer *buffer, GError **error)
{
  GstFlowReturn result = GST_FLOW_OK;
  GstInt8Regions regions;
  GstInt8Frame frame;
  GstInt8Object object;
  EngineRect visible;

  if (!gst_int8_frame_map (&frame, &self->format, buffer, self->cuda.context, error))
    return GST_FLOW_ERROR;
  visible = frame.has_crop ? frame.crop : (EngineRect){0, 0, frame.image.width, frame.image.height};
  gst_int8_regions_init (&regions, buffer, &visible, &self->filter);
  if (!gst_int8_regions_next (&regions, &object)) {
    g_mutex_lock (&self->lock);
    self->sampler.counts.empty++;
    g_mutex_unlock (&self->lock);
  } else if (frame_is_new (self, buffer, &frame, &result, error)) {
    gst_int8_regions_init (&regions, buffer, &visible, &self->filter);
    result = take_objects (self, &regions, &frame, error);
  }
  gst_int8_frame_unmap (&frame);
  return result;
}

/* A place in the stream where there is no frame, which int8infer lets pass, too. */
static gboolean
skip_gap (GstInt8Calib *self, GstBuffer *buffer)
{
  if (!GST_BUFFER_FLAG_IS_SET (buffer, GST_BUFFER_FLAG_GAP) || gst_buffer_get_size (buffer) > 0)
    return FALSE;
  g_mutex_lock (&self->lock);
  self->sampler.counts.seen++;
  self->sampler.counts.empty++;
  g_mutex_unlock (&self->lock);
  return TRUE;
}

GstFlowReturn
gst_int8_calib_render (GstBaseSink *sink, GstBuffer *buffer)
{
  GstInt8Calib *self = GST_INT8_CALIB (sink);
  g_autoptr (GError) error = NULL;
  GstFlowReturn result;
  gboolean wanted;

  if (!self->has_format) {
    g_set_error_literal (&error, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT, GST_INT8_FRAME_NO_CAPS);
    return gst_int8_calib_fail (self, error, GST_FLOW_NOT_NEGOTIATED);
  }
  if (!self->upstream_known)
    ask_upstream (self);
  if (skip_gap (self, buffer))
    return GST_FLOW_OK;
  g_mutex_lock (&self->lock);
  wanted = gst_int8_sampler_is_wanted (&self->sampler, GST_BUFFER_PTS (buffer));
  g_mutex_unlock (&self->lock);
  if (!wanted)
    return GST_FLOW_OK;
  result = self->run.objects.mode == GST_INT8_PROCESS_OBJECTS
               ? render_objects (self, buffer, &error)
               : render_frame (self, buffer, &error);
  return error ? gst_int8_calib_fail (self, error, result) : result;
}
