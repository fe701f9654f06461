/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * gstint8calib-device.c: the back ends of int8calib, and frames that lie in the memory of the one that runs
 * the network: they become tensors there, which are a fraction of a frame, and those come to the host.
 */
#include "gst/gstint8calib-private.h"

#define GST_CAT_DEFAULT gst_int8_calib_debug

/* --- Back ends ------------------------------------------------------------------------------- */

/* Of the FP32 network. */
static KernelBackend *
open_network (GstInt8Calib *self, const GstInt8Config *config, GError **error)
{
  const char *asked = config->backend && *config->backend ? config->backend : "auto";
  const gboolean any = g_str_equal (asked, "auto");
  g_autoptr (GError) local = NULL;
  KernelBackend *backend = NULL;

  if (any || g_str_has_prefix (asked, "cuda"))
    backend = gst_int8_cuda_open (&self->cuda, GST_ELEMENT (self), any ? "cuda" : asked, &local);
  if (backend)
    return backend;
  if (any)
    GST_INFO_OBJECT (self, "the CPU computes: %s", local->message);
  return gst_int8_config_open_backend (config, error);
}

void
gst_int8_calib_device_close (GstInt8Calib *self)
{
  g_clear_pointer (&self->host, engine_backend_close);
  g_clear_pointer (&self->backend, engine_backend_close);
  gst_int8_cuda_drop (&self->cuda);
}

/* A device computes the network; what is done seldom, or is bound to pictures in system memory, the CPU
 * does then. */
gboolean
gst_int8_calib_device_open (GstInt8Calib *self)
{
  g_auto (GstInt8Config) config = {0};
  g_autoptr (GError) error = NULL;

  GST_OBJECT_LOCK (self);
  gst_int8_config_copy (&self->settings.config, &config);
  GST_OBJECT_UNLOCK (self);
  self->backend = open_network (self, &config, &error);
  if (self->backend)
    self->host =
        engine_backend_open (self->backend->host_memory ? self->backend->name : "cpu", &error);
  if (self->host) {
    GST_INFO_OBJECT (self, "back end %s: %s", self->backend->name, self->backend->description);
    return TRUE;
  }
  gst_int8_calib_fail (self, error, GST_FLOW_ERROR);
  gst_int8_calib_device_close (self);
  return FALSE;
}

/* --- Frames ---------------------------------------------------------------------------------- */

gboolean
gst_int8_calib_device_make (GstInt8Calib *self, GError **error)
{
  const EngineInputInfo *input = &self->input;

  if (!self->cuda.context)
    return TRUE; /* no frame is found in its memory */
  self->device_preprocessor = engine_preprocessor_new (&self->preprocess, input->channels,
      input->height, input->width, ENGINE_TYPE_F32, 1, 0, self->backend, error);
  if (!self->device_preprocessor)
    return FALSE;
  self->device_queue = self->backend->queue_new (self->backend, 1);
  self->device_tensor = self->backend->alloc (self->backend, self->slot_size);
  if (self->device_queue && self->device_tensor)
    return TRUE;
  g_set_error (error, ENGINE_ERROR, ENGINE_ERROR_MEMORY,
      "back end %s has no memory for a frame of %" G_GSIZE_FORMAT " bytes", self->backend->name,
      self->slot_size);
  return FALSE;
}

void
gst_int8_calib_device_free (GstInt8Calib *self)
{
  g_clear_pointer (&self->device_preprocessor, engine_preprocessor_free);
  if (self->device_tensor)
    self->backend->free (self->backend, self->device_tensor);
  self->device_tensor = NULL;
  if (self->device_queue)
    self->backend->queue_free (self->device_queue);
  self->device_queue = NULL;
}

/* Of the frame, with its crop, on its device or on the host; *why: what failed behind the calls. */
static gboolean
run (GstInt8Calib *self, const GstInt8Frame *frame, float *slot, const char **why, GError **error)
{
  gboolean ok;

  if (!frame->on_device) {
    ok = gst_int8_frame_preprocess (frame, self->preprocessor, self->queue, slot, error);
    *why = self->host->queue_wait (self->queue);
    return ok;
  }
  ok = gst_int8_frame_preprocess (frame, self->device_preprocessor, self->device_queue,
      self->device_tensor, error);
  if (ok)
    self->backend->download (self->device_queue, slot, self->device_tensor, self->slot_size);
  *why = self->backend->queue_wait (self->device_queue);
  return ok;
}

gboolean
gst_int8_calib_preprocess (GstInt8Calib *self, const GstInt8Frame *frame, float *slot,
    GError **error)
{
  const char *why;

  if (!run (self, frame, slot, &why, error))
    return FALSE;
  if (why)
    g_set_error (error, ENGINE_ERROR, ENGINE_ERROR_BACKEND, "preprocessing failed: %s", why);
  return !why;
}
