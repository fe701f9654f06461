/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * stats.h: what int8infer counts while it runs, in constant memory.
 * Thread-safe: the streaming thread adds, an application reads.
 */
#pragma once

#include <gst/gst.h>

G_BEGIN_DECLS

/* Percentiles and the rate are taken over the most recent frames. */
#define GST_INT8_STATS_WINDOW 512

typedef struct {
  GMutex lock;
  guint64 frames, dropped, failed, pictures;
  guint64 n;                               /* samples ever written to the rings */
  gint64 latency[GST_INT8_STATS_WINDOW];   /* µs from the sink pad to the result */
  gint64 inference[GST_INT8_STATS_WINDOW]; /* µs of preprocessing and network */
  gint64 finished[GST_INT8_STATS_WINDOW];  /* g_get_monotonic_time() */
  guint batch[GST_INT8_STATS_WINDOW];
} GstInt8Stats;

void gst_int8_stats_init (GstInt8Stats *stats);
void gst_int8_stats_clear (GstInt8Stats *stats);
void gst_int8_stats_reset (GstInt8Stats *stats);

/* A frame that arrived, was begun and finished at these g_get_monotonic_time()s, the last of its
 * `pictures` in a batch of so many. */
void gst_int8_stats_add (GstInt8Stats *stats, gint64 arrived, gint64 begun, gint64 finished,
    guint pictures, guint batch);
/* A frame that was not to be looked at, or had no object. */
void gst_int8_stats_pass (GstInt8Stats *stats);
/* A frame that could not be read, and passed all the same. */
void gst_int8_stats_fail (GstInt8Stats *stats);
/* A frame that was too late. */
void gst_int8_stats_drop (GstInt8Stats *stats);

/* "stats": frames, dropped, failed and pictures (guint64), fps, batch-fill (gdouble), latency-p50, latency-p99, inference-p50 and
 * inference-p99 (guint64, nanoseconds; 0 before the first frame). */
GstStructure *gst_int8_stats_to_structure (GstInt8Stats *stats);

G_END_DECLS
