/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * drift.h: what the last examined frames say about a calibration: the share of values beyond the
 * calibrated range, tensor by tensor, and how far INT8 still agrees with FP32. Numbers only; the
 * guard (guard.h) brings the frames. Belongs to one thread at a time.
 */
#pragma once

#include <gst/gst.h>

#include "engine/engine.h"

G_BEGIN_DECLS

/* Nothing is said before `window` frames have been examined, and of the last `window` afterwards. */
typedef struct {
  guint window;
  double clip;      /* drift where more than this share of a tensor's values is beyond its range */
  double agreement; /* drift where a smaller share of the frames has the same best class */
} GstInt8DriftLimits;

typedef struct {
  guint frames;       /* of the window, so far */
  double agreement;   /* share of them with the best class of FP32 */
  double sqnr;        /* of the logits, dB: the mean over them of noise / signal */
  const char *tensor; /* that is clipped most, by their mean; "" where none is clipped at all */
  double clip;        /* its share */
  gboolean clips, disagrees; /* beyond the limits; only when the window is full */
} GstInt8DriftVerdict;

typedef struct _GstInt8Drift GstInt8Drift;

/* For the tensors of the comparison, which must outlive it. */
GstInt8Drift *gst_int8_drift_new (const EngineComparison *comparison,
    const GstInt8DriftLimits *limits);
void gst_int8_drift_free (GstInt8Drift *drift); /* NULL is fine */
G_DEFINE_AUTOPTR_CLEANUP_FUNC (GstInt8Drift, gst_int8_drift_free)

/* One more frame: the only one that the comparison has seen since it was reset. */
void gst_int8_drift_add (GstInt8Drift *drift, const EngineComparison *comparison);
void gst_int8_drift_verdict (const GstInt8Drift *drift, GstInt8DriftVerdict *verdict);

/* The fields of the message "int8-drift": window (guint), agreement, logit-sqnr (gdouble), reason
 * ("clipping", "agreement", or both with a comma), text (for people), and of the tensors that are clipped
 * most, at most five, arrays: tensors (string), clipped (gdouble, share), range-min, range-max
 * (calibrated), largest (gdouble, largest exact magnitude). */
GstStructure *gst_int8_drift_to_structure (const GstInt8Drift *drift);

G_END_DECLS
