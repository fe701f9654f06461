/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * meta.h: the result of a classification as metadata on a buffer, and as a message.
 *
 *   roi     GstVideoRegionOfInterestMeta over the whole frame, its roi_type the attribute name,
 *           with one "classification" param per class, best first, as DL Streamer's applications
 *           read it:
 *             label, model_name, attribute_name (string), label_id (int), confidence (double)
 *           of an object that is a region of interest already: the params are added to that one
 *   custom  GstCustomMeta "GstInt8ClassificationMeta", a structure with the fields
 *             label (string), label_id (int), confidence (double) of the best class,
 *             labels (array of string), label_ids (array of int), confidences (array of double),
 *             model_name, attribute_name (string)
 *           of an older frame (async) also result_timestamp (guint64), as in the region's params,
 *           and of an object: x, y, width, height in a frame of frame_width x frame_height, region_id (int),
 *           object_class (string), object_id (guint64, where a tracker has given one), object_confidence
 *           (double) and object_label_id (int) where the detector has said them
 *
 *   analytics (GStreamer >= 1.24) GstAnalyticsClsMtd of the buffer's GstAnalyticsRelationMeta: the labels
 *           as quarks and the confidences, best first. That of a frame has no relations; that of an
 *           object detection is related to its GstAnalyticsODMtd:
 *             detection -> classification  CONTAIN (read by DL Streamer), RELATE_TO (read by GStreamer)
 *             classification -> detection  IS_PART_OF
 *           and, of an older frame (async) whose timestamp is known, a GstReferenceTimestampMeta with that,
 *           and the caps timestamp/x-int8-result,mtd=(uint)N, N being the classification's id
 *
 * docs/ELEMENTS.md shows how to read them from C and from Python.
 */
#pragma once

#include <gst/gst.h>
#include "gst/classify.h"
#include "gst/labels.h"
#include "gst/regions.h"

G_BEGIN_DECLS

#define GST_INT8_CLASSIFICATION_META "GstInt8ClassificationMeta"

#define GST_INT8_RESULT_TIMESTAMP "timestamp/x-int8-result"

#define GST_INT8_MAX_TOP_K 1000

typedef enum {
  GST_INT8_METADATA_NONE = 0,
  GST_INT8_METADATA_ROI = 1 << 0,
  GST_INT8_METADATA_CUSTOM = 1 << 1,
  /* Only where HAVE_GST_ANALYTICS; of an object only where it is a detection. */
  GST_INT8_METADATA_ANALYTICS = 1 << 2,
} GstInt8Metadata;

/* What a frame, or an object on it, was found to show. Nothing is owned. */
typedef struct {
  const GstInt8Class *classes; /* best first */
  guint n_classes;             /* 1 .. GST_INT8_MAX_TOP_K */
  const GstInt8Labels *labels;
  const char *model_name, *attribute_name; /* interned: metadata refers to them */
  guint width, height;                     /* of the frame */
  const GstInt8Object *object;             /* or NULL: the frame */
  gboolean older;                          /* async: it is of the frame with this timestamp */
  GstClockTime of_pts;
} GstInt8Result;

/* Registers the custom metadata; once per process, from the plugin's init. */
gboolean gst_int8_meta_register (void);

/* buffer must be writable. */
void gst_int8_meta_attach (GstBuffer *buffer, const GstInt8Result *result, GstInt8Metadata kinds);

#ifdef HAVE_GST_TENSOR_META
/* The network's output itself, of a frame, as a tensor of the buffer's GstTensorMeta (GStreamer >= 1.26):
 * 1 x n floats, with the id classification-generic-out, or -softmaxed-out where the network ends in a
 * softmax. Takes values. buffer must be writable. */
void gst_int8_meta_attach_tensor (GstBuffer *buffer, float *values, guint n, gboolean is_softmaxed);
#endif

/* The next custom metadata on a buffer, as gst_buffer_iterate_meta() goes on: its fields, or NULL. */
const GstStructure *gst_int8_meta_next (GstBuffer *buffer, gpointer *state);

/* For an element that has found none: where there are results of another kind it posts a warning, once. */
void gst_int8_meta_warn_of_others (GstElement *element, GstBuffer *buffer, gboolean *warned);

/* Where an object of a result is in a frame that has this size now (0: it is not known), since elements that
 * scale frames leave custom metadata as it is. FALSE: the result is of the frame itself. */
gboolean gst_int8_meta_get_rect (const GstStructure *fields, int width, int height,
    EngineRect *rect);

/* The element message "int8-classification": the fields of the custom metadata, and the times of the
 * buffer: timestamp, duration, running-time, stream-time (guint64; GST_CLOCK_TIME_NONE where
 * unknown). */
GstMessage *gst_int8_result_message (GstObject *source, const GstInt8Result *result,
    const GstBuffer *buffer, const GstSegment *segment);

G_END_DECLS
