/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* stats.c: counters and sliding percentiles. */
#include "gst/stats.h"

#include <stdlib.h>
#include <string.h>

void
gst_int8_stats_init (GstInt8Stats *stats)
{
  memset (stats, 0, sizeof *stats);
  g_mutex_init (&stats->lock);
}

void
gst_int8_stats_clear (GstInt8Stats *stats)
{
  g_mutex_clear (&stats->lock);
}

void
gst_int8_stats_reset (GstInt8Stats *stats)
{
  g_mutex_lock (&stats->lock);
  stats->frames = stats->dropped = stats->failed = stats->pictures = stats->n = 0;
  g_mutex_unlock (&stats->lock);
}

void
gst_int8_stats_add (GstInt8Stats *stats, gint64 arrived, gint64 begun, gint64 finished,
    guint pictures, guint batch)
{
  guint at;

  g_mutex_lock (&stats->lock);
  at = stats->n++ % GST_INT8_STATS_WINDOW;
  stats->frames++;
  stats->pictures += pictures;
  stats->latency[at] = finished - arrived;
  stats->inference[at] = finished - begun;
  stats->finished[at] = finished;
  stats->batch[at] = batch;
  g_mutex_unlock (&stats->lock);
}

void
gst_int8_stats_pass (GstInt8Stats *stats)
{
  g_mutex_lock (&stats->lock);
  stats->frames++;
  g_mutex_unlock (&stats->lock);
}

void
gst_int8_stats_fail (GstInt8Stats *stats)
{
  g_mutex_lock (&stats->lock);
  stats->frames++;
  stats->failed++;
  g_mutex_unlock (&stats->lock);
}

void
gst_int8_stats_drop (GstInt8Stats *stats)
{
  g_mutex_lock (&stats->lock);
  stats->frames++;
  stats->dropped++;
  g_mutex_unlock (&stats->lock);
}

static int
compare_times (const void *a, const void *b)
{
  const gint64 x = *(const gint64 *) a, y = *(const gint64 *) b;

  return (x > y) - (x < y);
}

/* Nearest-rank percentile of a sorted ring, in nanoseconds. */
static guint64
percentile (const gint64 *sorted, guint n, guint percent)
{
  return n ? (guint64) sorted[((n - 1) * percent + 50) / 100] * 1000 : 0;
}

GstStructure *
gst_int8_stats_to_structure (GstInt8Stats *stats)
{
  gint64 latency[GST_INT8_STATS_WINDOW], inference[GST_INT8_STATS_WINDOW];
  guint64 frames, dropped, failed, pictures, n;
  gint64 span = 0;
  guint64 fill = 0;
  guint kept;

  g_mutex_lock (&stats->lock);
  frames = stats->frames;
  dropped = stats->dropped;
  failed = stats->failed;
  pictures = stats->pictures;
  n = stats->n;
  kept = (guint) MIN (n, GST_INT8_STATS_WINDOW);
  memcpy (latency, stats->latency, kept * sizeof *latency);
  memcpy (inference, stats->inference, kept * sizeof *inference);
  for (guint i = 0; i < kept; i++)
    fill += stats->batch[i];
  if (kept > 1)
    span = stats->finished[(n - 1) % GST_INT8_STATS_WINDOW] -
           stats->finished[(n - kept) % GST_INT8_STATS_WINDOW];
  g_mutex_unlock (&stats->lock);

  qsort (latency, kept, sizeof *latency, compare_times);
  qsort (inference, kept, sizeof *inference, compare_times);
  /* clang-format off */
  return gst_structure_new ("stats",
      "frames", G_TYPE_UINT64, frames,
      "dropped", G_TYPE_UINT64, dropped,
      "failed", G_TYPE_UINT64, failed,
      "pictures", G_TYPE_UINT64, pictures,
      "fps", G_TYPE_DOUBLE, span > 0 ? (kept - 1) * 1e6 / (double) span : 0.0,
      "batch-fill", G_TYPE_DOUBLE, kept ? (double) fill / kept : 0.0,
      "latency-p50", G_TYPE_UINT64, percentile (latency, kept, 50),
      "latency-p99", G_TYPE_UINT64, percentile (latency, kept, 99),
      "inference-p50", G_TYPE_UINT64, percentile (inference, kept, 50),
      "inference-p99", G_TYPE_UINT64, percentile (inference, kept, 99), NULL);
  /* clang-format on */
}
