/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* cuda-context.c: GstCudaContext and GstCudaMemory; see cuda-context.h. */
#include "gst/cuda-context.h"

#include <stdlib.h>
#include <string.h>

void
gst_int8_cuda_init (GstInt8Cuda *cuda)
{
  g_rec_mutex_init (&cuda->lock);
  cuda->context = NULL;
  cuda->device = -1;
}

void
gst_int8_cuda_drop (GstInt8Cuda *cuda)
{
  g_rec_mutex_lock (&cuda->lock);
  gst_clear_object (&cuda->context);
  g_rec_mutex_unlock (&cuda->lock);
}

void
gst_int8_cuda_clear (GstInt8Cuda *cuda)
{
  gst_int8_cuda_drop (cuda);
  g_rec_mutex_clear (&cuda->lock);
}

KernelBackend *
gst_int8_cuda_open (GstInt8Cuda *cuda, GstElement *element, const char *name, GError **error)
{
  const char *number = strchr (name, ':'), *why = NULL;
  g_autofree char *in_context = NULL;
  KernelBackend *backend;

  if (gst_int8_cuda_take (cuda, element, number ? atoi (number + 1) : -1, &why))
    in_context = gst_int8_cuda_backend_name (cuda);
  else
    GST_INFO_OBJECT (element, "no CUDA context is shared with the pipeline: %s", why);
  backend = engine_backend_open (in_context ? in_context : name, error);
  if (!backend)
    gst_int8_cuda_drop (cuda);
  return backend;
}

#ifdef HAVE_GST_CUDA

#define GST_USE_UNSTABLE_API /* from 1.22 on it changed only in what is guarded below */
#include <cuda.h>            /* gstcudaloader.h of 1.22 wants it before itself */

#include <gst/cuda/gstcudaloader.h>
#include <gst/cuda/gstcudamemory.h>
#include <gst/cuda/gstcudautils.h>

gboolean
gst_int8_cuda_take (GstInt8Cuda *cuda, GstElement *element, int device, const char **why)
{
  gboolean taken;

  if (!gst_cuda_load_library ()) {
    *why = "there is no NVIDIA driver (libcuda.so.1)";
    return FALSE;
  }
  g_rec_mutex_lock (&cuda->lock);
  if (device != cuda->device)
    gst_clear_object (&cuda->context);
  cuda->device = device;
  /* In its place at once: the messages that this posts may set it, from this thread. */
  taken = gst_cuda_ensure_element_context (element, device, (GstCudaContext **) &cuda->context) &&
          cuda->context;
  g_rec_mutex_unlock (&cuda->lock);
  if (!taken)
    *why = "GStreamer makes no CUDA context for that device; see nvidia-smi and "
           "CUDA_VISIBLE_DEVICES";
  return taken;
}

char *
gst_int8_cuda_backend_name (GstInt8Cuda *cuda)
{
  GstCudaContext *context = (GstCudaContext *) cuda->context;
  guint device;

  g_object_get (context, "cuda-device-id", &device, NULL);
  return g_strdup_printf ("cuda:%u@%" G_GINTPTR_MODIFIER "x", device,
      (guintptr) gst_cuda_context_get_handle (context));
}

void
gst_int8_cuda_set_context (GstInt8Cuda *cuda, GstElement *element, GstContext *context)
{
  g_rec_mutex_lock (&cuda->lock);
  gst_cuda_handle_set_context (element, context, cuda->device, (GstCudaContext **) &cuda->context);
  g_rec_mutex_unlock (&cuda->lock);
}

gboolean
gst_int8_cuda_answer_query (GstInt8Cuda *cuda, GstElement *element, GstQuery *query)
{
  gboolean answered;

  if (GST_QUERY_TYPE (query) != GST_QUERY_CONTEXT)
    return FALSE;
  g_rec_mutex_lock (&cuda->lock);
  answered = cuda->context &&
             gst_cuda_handle_context_query (element, query, (GstCudaContext *) cuda->context);
  g_rec_mutex_unlock (&cuda->lock);
  return answered;
}

gboolean
gst_int8_cuda_holds (const GstObject *context, GstBuffer *buffer)
{
  GstMemory *memory;

  if (!context || gst_buffer_n_memory (buffer) != 1)
    return FALSE;
  memory = gst_buffer_peek_memory (buffer, 0);
  return gst_is_cuda_memory (memory) &&
         GST_CUDA_MEMORY_CAST (memory)->context == (const GstCudaContext *) context;
}

gboolean
gst_int8_cuda_map (GstVideoFrame *frame, const GstVideoInfo *info, GstBuffer *buffer)
{
  if (!gst_video_frame_map (frame, (GstVideoInfo *) info, buffer,
          GST_MAP_READ | GST_MAP_CUDA | GST_VIDEO_FRAME_MAP_FLAG_NO_REF))
    return FALSE;
#if GST_CHECK_VERSION(1, 24, 0) /* before, elements wait themselves */
  gst_cuda_memory_sync (GST_CUDA_MEMORY_CAST (gst_buffer_peek_memory (buffer, 0)));
#endif
  return TRUE;
}

#else

gboolean
gst_int8_cuda_take (GstInt8Cuda *cuda, GstElement *element, int device, const char **why)
{
  cuda->device = device;
  *why = "this build knows no memory:CUDAMemory";
  return FALSE;
}

char *
gst_int8_cuda_backend_name (GstInt8Cuda *cuda)
{
  return NULL; /* there is no context */
}

void
gst_int8_cuda_set_context (GstInt8Cuda *cuda, GstElement *element, GstContext *context)
{
}

gboolean
gst_int8_cuda_answer_query (GstInt8Cuda *cuda, GstElement *element, GstQuery *query)
{
  return FALSE;
}

gboolean
gst_int8_cuda_holds (const GstObject *context, GstBuffer *buffer)
{
  return FALSE;
}

gboolean
gst_int8_cuda_map (GstVideoFrame *frame, const GstVideoInfo *info, GstBuffer *buffer)
{
  return FALSE;
}

#endif
