/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * guard.h: watches, while an INT8 network runs, whether its calibration still fits the frames. One
 * frame in `interval` is examined on a thread of low priority: it goes through the network once more and
 * through the same network in FP32, and what both make of every tensor is compared (drift.h).
 *
 * The streaming thread pays for making the float tensor of that frame. A frame that comes while one
 * is examined is not: the guard never queues and never waits.
 */
#pragma once

#include "gst/config.h"
#include "gst/drift.h"
#include "gst/frame.h"

G_BEGIN_DECLS

typedef struct {
  guint interval; /* 0: no guard */
  GstInt8DriftLimits limits;
} GstInt8GuardSettings;

/* Property ids, behind those of config.h. */
enum {
  GST_INT8_GUARD_INTERVAL = GST_INT8_CONFIG_LAST + 1,
  GST_INT8_GUARD_WINDOW,
  GST_INT8_GUARD_CLIP,
  GST_INT8_GUARD_AGREEMENT,
  GST_INT8_GUARD_LAST = GST_INT8_GUARD_AGREEMENT
};

void gst_int8_guard_install (GObjectClass *klass);
void gst_int8_guard_settings_init (GstInt8GuardSettings *settings);
/* FALSE: not one of these. Under the element's object lock. */
gboolean gst_int8_guard_set_property (GstInt8GuardSettings *settings, guint id,
    const GValue *value);
gboolean gst_int8_guard_get_property (const GstInt8GuardSettings *settings, guint id,
    GValue *value);

typedef struct _GstInt8Guard GstInt8Guard;

/* engine: INT8, as built from the file `model`; its FP32 twin is made, or taken from the cache, on
 * the guard's own thread. backend: the element's; where it has memory of its own the CPU examines.
 * element: whose messages they are; not referenced, so that stop() or set_element() must come before it goes. */
GstInt8Guard *gst_int8_guard_new (GstElement *element, Engine *engine, const char *model,
    const EngineModelOptions *options, const EnginePreprocess *preprocess, const KernelBackend *backend,
    const GstInt8GuardSettings *settings);
/* At once: what is being examined ends by itself, unheard, and the guard with it. NULL is fine. */
void gst_int8_guard_stop (GstInt8Guard *guard);
/* For add_stats() without a lock of the streaming thread: the guard's own may be held by its thread,
 * which may be waiting for a CPU. */
GstInt8Guard *gst_int8_guard_ref (GstInt8Guard *guard);
void gst_int8_guard_unref (GstInt8Guard *guard);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (GstInt8Guard, gst_int8_guard_unref)

/* Whose messages they are from now on. */
void gst_int8_guard_set_element (GstInt8Guard *guard, GstElement *element);

/* A picture that goes through the network, region as for gst_int8_runner_add(): every interval-th is
 * taken, unless one is being examined. One thread at a time. */
void gst_int8_guard_frame (GstInt8Guard *guard, const GstInt8FrameFormat *format,
    GstBuffer *buffer, const EngineRect *region);

/* drift-examined, drift-missed (guint64: came while another was examined, or before FP32 was there);
 * from the first one on drift-agreement, drift-logit-sqnr, drift-clip (gdouble), drift-tensor
 * (string). Any thread. */
void gst_int8_guard_add_stats (GstInt8Guard *guard, GstStructure *stats);

G_END_DECLS
