/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * frame.h: video frames as pictures of the engine, in system memory or where the back end reads them
 * itself. Nothing is copied, and nothing is allocated per frame.
 *
 * GstVideoMeta (any stride and offset) and GstVideoCropMeta are honoured. Colours follow the caps'
 * colorimetry; where it is unknown, GStreamer's default for the frame's size.
 */
#pragma once

#include "engine/engine.h"
#include "gst/cuda-context.h"

G_BEGIN_DECLS

#define GST_INT8_FRAME_FORMATS "{ NV12, I420, YV12, RGB, BGR, RGBx, BGRx, RGBA, BGRA, GRAY8 }"
#define GST_INT8_FRAME_CAPS    GST_INT8_CUDA_CAPS (GST_INT8_FRAME_FORMATS)

/* What is said of buffers that come without caps. */
#define GST_INT8_FRAME_NO_CAPS                                                                     \
  "buffers came without caps, so they are no raw video: put a decoder in front, such as "          \
  "\"decodebin ! videoconvert ! \""

/* What all frames of one caps have in common. */
typedef struct {
  GstVideoInfo info;
  EngineImage image; /* without pointers and strides */
} GstInt8FrameFormat;

/* G_IO_ERROR_INVALID_ARGUMENT for caps that cannot be taken; says what to put in front. */
gboolean gst_int8_frame_format_init (GstInt8FrameFormat *format, const GstCaps *caps,
    GError **error);

/* A frame mapped for reading; not to be copied. */
typedef struct {
  GstVideoFrame map;
  EngineImage image;
  EngineRect crop;
  gboolean has_crop;
  gboolean on_device; /* its planes lie in the memory of the context */
} GstInt8Frame;

/* context: the GstCudaContext that the back end works in; frames in its memory are mapped there. NULL:
 * every frame is mapped in system memory, to which those of a device are copied for it.
 * G_IO_ERROR_INVALID_ARGUMENT for a buffer that does not hold the frame its caps promise. */
gboolean gst_int8_frame_map (GstInt8Frame *frame, const GstInt8FrameFormat *format,
    GstBuffer *buffer, const GstObject *context, GError **error);
void gst_int8_frame_unmap (GstInt8Frame *frame);

/* Queues the work that writes the frame's tensor. The frame, whose image must lie in the memory of the
 * queue's back end, stays mapped until queue_wait(). */
gboolean gst_int8_frame_preprocess (const GstInt8Frame *frame, EnginePreprocessor *preprocessor,
    KernelQueue *queue, void *tensor, GError **error);

G_END_DECLS
