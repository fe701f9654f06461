/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * cuda-context.h: the CUDA context that an element shares with its pipeline, and frames that lie in it.
 *
 * Memory of one CUDA context cannot be read by kernels of another, and kernels of two contexts take
 * turns on a device. So the back end works in the GstCudaContext that GStreamer's own elements
 * (nvh264dec, cudaupload ...) agree on: asked for with a context query and the message "need-context",
 * made here where nobody has one, and handed on to whoever asks.
 *
 * In a build without gstreamer-cuda-1.0 there is never a context, and every frame is in system
 * memory.
 */
#pragma once

#include <gst/video/video.h>
#include "engine/engine.h"

G_BEGIN_DECLS

/* A caps string of one raw format list in both kinds of memory, where the build knows both. */
#ifdef HAVE_GST_CUDA
#define GST_INT8_CUDA_CAPS(formats)                                                                \
  GST_VIDEO_CAPS_MAKE (formats)                                                                    \
  "; " GST_VIDEO_CAPS_MAKE_WITH_FEATURES ("memory:CUDAMemory", formats)
#else
#define GST_INT8_CUDA_CAPS(formats) GST_VIDEO_CAPS_MAKE (formats)
#endif

typedef struct {
  GRecMutex lock;     /* of `context`; recursive: taking one posts a message that may set it */
  GstObject *context; /* a GstCudaContext, or NULL */
  int device;         /* that was asked for; -1: any */
} GstInt8Cuda;

void gst_int8_cuda_init (GstInt8Cuda *cuda);
void gst_int8_cuda_clear (GstInt8Cuda *cuda);

/* Takes or makes the context of a device (-1: the pipeline's, or the first). FALSE where this build,
 * this machine or this device has no CUDA: `why` (static) says which. */
gboolean gst_int8_cuda_take (GstInt8Cuda *cuda, GstElement *element, int device, const char **why);
void gst_int8_cuda_drop (GstInt8Cuda *cuda);
/* The name by which engine_backend_open() opens the device in the context that was taken. */
char *gst_int8_cuda_backend_name (GstInt8Cuda *cuda);

/* Opens "cuda" or "cuda:N" in the context that the device has in this pipeline; else, or where the build
 * knows none, in one of its own, where frames come from system memory. ENGINE_ERROR_BACKEND. */
KernelBackend *gst_int8_cuda_open (GstInt8Cuda *cuda, GstElement *element, const char *name,
    GError **error);

/* For GstElementClass.set_context, and for queries of both pads. */
void gst_int8_cuda_set_context (GstInt8Cuda *cuda, GstElement *element, GstContext *context);
gboolean gst_int8_cuda_answer_query (GstInt8Cuda *cuda, GstElement *element, GstQuery *query);

/* Whether the buffer lies in the memory of this context, so that the back end can read it where it
 * is. FALSE for NULL. */
gboolean gst_int8_cuda_holds (const GstObject *context, GstBuffer *buffer);
/* Maps such a buffer: pointers are the device's. What others have queued on it is done. */
gboolean gst_int8_cuda_map (GstVideoFrame *frame, const GstVideoInfo *info, GstBuffer *buffer);

G_END_DECLS
