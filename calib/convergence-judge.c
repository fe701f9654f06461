/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * convergence-judge.c: what a check finds of every tensor: its threshold against that of half the frames,
 * what a jackknife over the parts says of it, and how often the newest frames clip.
 */
#include "calib/convergence-private.h"

#include <math.h>

#define PARTS CALIB_CONVERGENCE_PARTS
/* Clipping of fewer values than this part says nothing about a threshold. */
#define RARE 1e-5

/* --- One tensor ----------------------------------------------------------------------------- */

/* Every part that has seen a batch holds the same tensors in the same order: one calibrator made them. */
static const CalibHistogram *
histogram_of (const CalibStatistics *s, guint tensor)
{
  return ((const CalibTensor *) s->tensors->pdata[tensor])->histogram;
}

/* The sum of all parts but one; `without` is PARTS for all. */
static CalibHistogram *
sum_parts (const CalibConvergence *c, guint tensor, int without)
{
  CalibHistogram *sum =
      calib_histogram_new (histogram_of (c->parts[0], tensor)->channels, CALIB_HISTOGRAM_DEFAULT);

  for (int p = 0; p < PARTS; p++)
    if (p != without && c->parts[p]->tensors->len > tensor)
      (void) calib_histogram_merge (sum, histogram_of (c->parts[p], tensor), NULL);
  return sum;
}

static float
threshold_of (const CalibConvergence *c, const CalibHistogram *h)
{
  CalibThresholdOptions options = c->options;
  CalibThreshold threshold;

  options.range = h->min >= 0 ? CALIB_RANGE_FULL : CALIB_RANGE_SYMMETRIC;
  return calib_threshold (h, &options, &threshold, NULL) ? threshold.threshold : NAN;
}

/* Values whose whole bin lies at T or above. */
static guint64
n_clipped (const CalibHistogram *h, float threshold)
{
  const double first = ceil (ldexp (threshold, -h->exponent));
  guint64 n = 0;

  for (int j = (int) MIN (first, CALIB_BINS); j < CALIB_BINS; j++)
    n += h->bins[j] + h->bins[CALIB_BINS + j];
  return n;
}

/* How many times as often the newest clip as the rest do. */
static double
compare_clipping (const CalibHistogram *all, const CalibHistogram *newest, float threshold)
{
  const guint64 clipped = n_clipped (newest, threshold);
  const guint64 n_newest = calib_histogram_n_finite (newest);
  const guint64 n_rest = calib_histogram_n_finite (all) - n_newest;
  const guint64 clipped_rest =
      n_clipped (all, threshold) - MIN (clipped, n_clipped (all, threshold));

  if ((double) clipped <= RARE * (double) n_newest)
    return 0;
  return (double) clipped / (double) n_newest * (double) n_rest / (double) clipped_rest;
}

static double
relative (double difference, double of)
{
  return difference == 0 ? 0 : fabs (difference) / of;
}

const CalibConvergenceSnapshot *
calib_convergence_half (const CalibConvergence *c, guint64 frames)
{
  for (guint i = c->snapshots->len; i-- > 0;) {
    const CalibConvergenceSnapshot *s = c->snapshots->pdata[i];
    if (2 * s->frames <= frames + frames / 16)
      return s;
  }
  return NULL;
}

static void
judge_whole (CalibConvergence *c, guint tensor, CalibConvergenceSnapshot *now)
{
  const CalibConvergenceSnapshot *half = calib_convergence_half (c, now->frames);
  g_autoptr (CalibHistogram) all = sum_parts (c, tensor, PARTS);
  CalibConvergenceRange *range = &now->ranges[tensor];
  CalibConvergenceFinding *finding = &c->findings[tensor];

  *range = (CalibConvergenceRange){threshold_of (c, all), calib_histogram_max_abs (all)};
  *finding = (CalibConvergenceFinding){.jackknife = -1};
  if (!half || isnan (range->threshold))
    return;
  const CalibConvergenceRange *before = &half->ranges[tensor];
  finding->change = isnan (before->threshold)
                        ? INFINITY
                        : relative (range->threshold - before->threshold, range->threshold);
  finding->drift = relative (range->max_abs - before->max_abs, range->max_abs);
  if (c->newest->tensors->len == calib_convergence_n_tensors (c) &&
      histogram_of (c->newest, tensor)->n > 0)
    finding->clipping = compare_clipping (all, histogram_of (c->newest, tensor), range->threshold);
}

/* The deviation of T that leaving out one part at a time tells. */
static void
judge_parts (CalibConvergence *c, guint tensor, CalibConvergenceSnapshot *now)
{
  const double all = now->ranges[tensor].threshold;
  double t[PARTS], mean = 0, squares = 0;

  if (isnan (all))
    return;
  if (c->batches < PARTS) {
    c->findings[tensor].jackknife = INFINITY;
    return;
  }
  for (int p = 0; p < PARTS; p++) {
    g_autoptr (CalibHistogram) rest = sum_parts (c, tensor, p);
    t[p] = threshold_of (c, rest);
    mean += t[p] / PARTS;
  }
  for (int p = 0; p < PARTS; p++)
    squares += (t[p] - mean) * (t[p] - mean);
  const double deviation = relative (sqrt (squares * (PARTS - 1) / PARTS), all);
  c->findings[tensor].jackknife = isnan (deviation) ? INFINITY : deviation;
}

/* --- All tensors ---------------------------------------------------------------------------- */

typedef void (*JudgeFn) (CalibConvergence *c, guint tensor, CalibConvergenceSnapshot *now);

typedef struct {
  CalibConvergence *c;
  JudgeFn judge;
  CalibConvergenceSnapshot *now;
  int next;
} Work;

static gpointer
work (gpointer data)
{
  Work *w = data;
  guint tensor;

  while ((tensor = (guint) g_atomic_int_add (&w->next, 1)) < calib_convergence_n_tensors (w->c))
    w->judge (w->c, tensor, w->now);
  return NULL;
}

/* Thresholds take 10 ms and more, networks have hundreds of tensors: all threads take part. */
static void
judge_all (CalibConvergence *c, JudgeFn judge, CalibConvergenceSnapshot *now)
{
  Work w = {c, judge, now, 0};
  const guint n = MIN (c->threads, calib_convergence_n_tensors (c));
  g_autoptr (GPtrArray) threads = g_ptr_array_new ();

  for (guint i = 1; i < n; i++) {
    GThread *thread = g_thread_try_new ("convergence", work, &w, NULL);
    if (thread) /* else the others do its part */
      g_ptr_array_add (threads, thread);
  }
  work (&w);
  for (guint i = 0; i < threads->len; i++)
    g_thread_join (threads->pdata[i]);
}

static gboolean
holds_so_far (const CalibConvergence *c, const CalibConvergenceSnapshot *now)
{
  for (guint i = 0; i < calib_convergence_n_tensors (c); i++)
    if (!isnan (now->ranges[i].threshold) && !(c->findings[i].change < CALIB_CONVERGENCE_CHANGE))
      return FALSE;
  return TRUE;
}

void
calib_convergence_judge (CalibConvergence *c, CalibConvergenceSnapshot *now)
{
  judge_all (c, judge_whole, now);
  /* A jackknife takes eight times as long: it is for thresholds that stand still. */
  if (calib_convergence_half (c, now->frames) && holds_so_far (c, now))
    judge_all (c, judge_parts, now);
}
