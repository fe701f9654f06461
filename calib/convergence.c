/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * convergence.c: the stopping rule: thresholds of all frames so far against those of half of them, a
 * jackknife over eight parts, and how often the newest frames clip.
 */
#include "calib/convergence.h"

#include "calib/private.h"

#include <math.h>

#define PARTS  CALIB_CONVERGENCE_PARTS
#define CHANGE CALIB_CONVERGENCE_CHANGE
/* Clipping of fewer values than this part says nothing about a threshold. */
#define RARE 1e-5

/* What is known of a tensor at one check. */
typedef struct {
  float threshold, max_abs; /* threshold: NAN where no value was finite */
} Range;

typedef struct {
  guint64 frames;
  Range ranges[]; /* by tensor */
} Snapshot;

/* Of a tensor, by the last check. */
typedef struct {
  double change, jackknife, clipping, drift;
} Finding;

struct _CalibConvergence {
  CalibStatistics *base; /* the caller's */
  CalibStatistics *parts[PARTS], *newest;
  CalibThresholdOptions options;
  guint threads;
  guint64 frames, batches;
  guint step;           /* the next check is at frames_of (step) */
  GPtrArray *snapshots; /* of Snapshot, the oldest first */
  Finding *findings;    /* by tensor; NULL before the first check */
  CalibConvergenceState state;
};

/* 32, 45, 64, 91, 128, ...: at the first two thresholds are only remembered. */
static guint64
frames_of (guint step)
{
  return (guint64) rint (CALIB_CONVERGENCE_FIRST / 2 * exp2 (0.5 * step));
}

CalibConvergence *
calib_convergence_new (CalibStatistics *base, const CalibThresholdOptions *options, guint threads,
    GError **error)
{
  CalibProvenance provenance = base->provenance;
  CalibConvergence *c;

  if (base->flags & CALIB_HISTOGRAM_TENSORRT || calib_method_flags (options->method)) {
    g_set_error (error, CALIB_ERROR, CALIB_ERROR_UNAVAILABLE,
        "TensorRT's own histograms depend on the order of frames: whether they have converged cannot be "
        "told from parts of them; take method=entropy2, or a number of frames");
    return NULL;
  }
  c = g_new0 (CalibConvergence, 1);
  provenance.frames = 0;
  for (int p = 0; p < PARTS; p++)
    c->parts[p] = calib_statistics_new (&provenance, base->flags); /* frames are kept by base */
  c->newest = calib_statistics_new (&provenance, base->flags);
  c->base = base;
  c->options = *options;
  c->threads = threads > 0 ? threads : g_get_num_processors ();
  c->snapshots = g_ptr_array_new_with_free_func (g_free);
  return c;
}

void
calib_convergence_free (CalibConvergence *c)
{
  if (!c)
    return;
  for (int p = 0; p < PARTS; p++)
    calib_statistics_free (c->parts[p]);
  calib_statistics_free (c->newest);
  g_ptr_array_unref (c->snapshots);
  g_free (c->findings);
  g_free (c);
}

/* --- Frames --------------------------------------------------------------------------------- */

void
calib_convergence_targets (CalibConvergence *c, guint frames, CalibStatistics **part,
    CalibStatistics **newest)
{
  const gboolean compared = frames_of (c->step) >= CALIB_CONVERGENCE_FIRST;
  const gboolean is_newest = (double) (c->frames + frames) > 0.9 * (double) frames_of (c->step);

  *part = c->parts[c->batches % PARTS];
  *newest = compared && is_newest ? c->newest : NULL;
}

void
calib_convergence_added (CalibConvergence *c, guint frames)
{
  c->frames += frames;
  c->batches++;
}

gboolean
calib_convergence_is_due (const CalibConvergence *c)
{
  return c->frames >= frames_of (c->step);
}

/* --- One tensor ----------------------------------------------------------------------------- */

static guint
n_tensors (const CalibConvergence *c)
{
  return c->parts[0]->tensors->len;
}

static const char *
tensor_name (const CalibConvergence *c, guint tensor)
{
  return calib_statistics_name (c->parts[0], tensor);
}

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

/* --- All tensors ---------------------------------------------------------------------------- */

typedef struct {
  CalibConvergence *c;
  void (*judge) (CalibConvergence *c, guint tensor, Snapshot *now);
  Snapshot *now;
  int next;
} Work;

static gpointer
work (gpointer data)
{
  Work *w = data;
  guint tensor;

  while ((tensor = (guint) g_atomic_int_add (&w->next, 1)) < n_tensors (w->c))
    w->judge (w->c, tensor, w->now);
  return NULL;
}

/* Thresholds take 10 ms and more, networks have hundreds of tensors: all threads take part. */
static void
judge_all (CalibConvergence *c, void (*judge) (CalibConvergence *, guint, Snapshot *),
    Snapshot *now)
{
  Work w = {c, judge, now, 0};
  const guint n = MIN (c->threads, n_tensors (c));
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

/* The newest snapshot of about half the frames, or less of them; NULL when there is none. */
static const Snapshot *
half_of (const CalibConvergence *c, guint64 frames)
{
  for (guint i = c->snapshots->len; i-- > 0;) {
    const Snapshot *s = c->snapshots->pdata[i];
    if (2 * s->frames <= frames + frames / 16)
      return s;
  }
  return NULL;
}

static void
judge_whole (CalibConvergence *c, guint tensor, Snapshot *now)
{
  const Snapshot *half = half_of (c, now->frames);
  g_autoptr (CalibHistogram) all = sum_parts (c, tensor, PARTS);
  Range *range = &now->ranges[tensor];
  Finding *finding = &c->findings[tensor];

  *range = (Range){threshold_of (c, all), calib_histogram_max_abs (all)};
  *finding = (Finding){.jackknife = -1};
  if (!half || isnan (range->threshold))
    return;
  const Range *before = &half->ranges[tensor];
  finding->change = isnan (before->threshold)
                        ? INFINITY
                        : relative (range->threshold - before->threshold, range->threshold);
  finding->drift = relative (range->max_abs - before->max_abs, range->max_abs);
  if (c->newest->tensors->len == n_tensors (c) && histogram_of (c->newest, tensor)->n > 0)
    finding->clipping = compare_clipping (all, histogram_of (c->newest, tensor), range->threshold);
}

/* The deviation of T that leaving out one part at a time tells. */
static void
judge_parts (CalibConvergence *c, guint tensor, Snapshot *now)
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

/* --- A check -------------------------------------------------------------------------------- */

static gboolean
is_changing (const Finding *f)
{
  return !(f->change < CHANGE && f->jackknife < CHANGE && f->clipping < CALIB_CONVERGENCE_CLIPPING);
}

static void
keep_largest (double value, const char *name, double *largest, const char **of)
{
  if (*of && !(value > *largest))
    return;
  *largest = value;
  *of = name;
}

static void
summarise (CalibConvergence *c, const Snapshot *now)
{
  CalibConvergenceState *s = &c->state;
  const guint in_a_row = s->in_a_row;

  *s = (CalibConvergenceState){.compared = half_of (c, now->frames)->frames, .jackknife = -1};
  for (guint i = 0; i < n_tensors (c); i++) {
    const Finding *f = &c->findings[i];
    const char *name = tensor_name (c, i);

    if (isnan (now->ranges[i].threshold))
      continue;
    s->n_tensors++;
    s->n_changing += is_changing (f);
    s->n_drifting += f->drift >= CHANGE;
    keep_largest (f->change, name, &s->change, &s->tensor);
    keep_largest (f->clipping, name, &s->clipping, &s->clipping_tensor);
    keep_largest (f->drift, name, &s->drift, &s->drift_tensor);
    if (f->jackknife >= 0)
      keep_largest (f->jackknife, name, &s->jackknife, &s->jackknife_tensor);
  }
  s->in_a_row = s->n_tensors > 0 && s->n_changing == 0 ? in_a_row + 1 : 0;
  s->converged = s->in_a_row >= CALIB_CONVERGENCE_IN_A_ROW;
}

static gboolean
holds_so_far (const CalibConvergence *c, const Snapshot *now)
{
  for (guint i = 0; i < n_tensors (c); i++)
    if (!isnan (now->ranges[i].threshold) && !(c->findings[i].change < CHANGE))
      return FALSE;
  return TRUE;
}

static void
clear_newest (CalibConvergence *c)
{
  for (guint i = 0; i < c->newest->tensors->len; i++)
    calib_histogram_clear (((CalibTensor *) c->newest->tensors->pdata[i])->histogram);
  c->newest->provenance.frames = 0;
}

void
calib_convergence_check (CalibConvergence *c)
{
  Snapshot *now = g_malloc0 (sizeof *now + n_tensors (c) * sizeof (Range));

  now->frames = c->frames;
  if (!c->findings)
    c->findings = g_new0 (Finding, n_tensors (c));
  judge_all (c, judge_whole, now);
  if (half_of (c, c->frames)) {
    /* A jackknife takes eight times as long: it is for thresholds that stand still. */
    if (holds_so_far (c, now))
      judge_all (c, judge_parts, now);
    summarise (c, now);
  }
  g_ptr_array_add (c->snapshots, now);
  clear_newest (c);
  while (frames_of (c->step) <= c->frames)
    c->step++;
}

void
calib_convergence_state (const CalibConvergence *c, CalibConvergenceState *state)
{
  *state = c->state;
  state->frames = c->frames;
}

/* --- Which tensors -------------------------------------------------------------------------- */

/* How far from what the rule wants. */
static double
badness (const Finding *f)
{
  return MAX (MAX (f->change, f->jackknife) / CHANGE, f->clipping / CALIB_CONVERGENCE_CLIPPING);
}

static int
compare_badness (gconstpointer a, gconstpointer b, gpointer findings)
{
  const guint i = *(const guint *) a, j = *(const guint *) b;
  const double x = badness ((const Finding *) findings + i);
  const double y = badness ((const Finding *) findings + j);

  return x > y ? -1 : x < y ? 1 : i < j ? -1 : 1;
}

char *
calib_convergence_changing (const CalibConvergence *c, guint most)
{
  g_autoptr (GArray) tensors = g_array_new (FALSE, FALSE, sizeof (guint));
  GString *text = g_string_new (NULL);

  for (guint i = 0; c->state.compared && i < n_tensors (c); i++)
    if (badness (&c->findings[i]) >= 1)
      g_array_append_val (tensors, i);
  g_array_sort_with_data (tensors, compare_badness, c->findings);
  for (guint i = 0; i < MIN (tensors->len, most); i++)
    g_string_append_printf (text, "%s%s", i ? ", " : "",
        tensor_name (c, g_array_index (tensors, guint, i)));
  if (tensors->len > most)
    g_string_append_printf (text, " and %u more", tensors->len - most);
  return g_string_free (text, FALSE);
}

/* --- The sum -------------------------------------------------------------------------------- */

static gboolean
add_parts (const CalibConvergence *c, CalibStatistics *to, GError **error)
{
  for (int p = 0; p < PARTS; p++)
    if (c->parts[p]->provenance.frames > 0 && !calib_statistics_merge (to, c->parts[p], error))
      return FALSE;
  return TRUE;
}

CalibStatistics *
calib_convergence_sum (const CalibConvergence *c, GError **error)
{
  CalibProvenance provenance = c->base->provenance;
  g_autoptr (CalibStatistics) sum = NULL;

  provenance.frames = 0;
  sum = calib_statistics_new (&provenance, c->base->flags);
  return calib_statistics_merge (sum, c->base, error) && add_parts (c, sum, error)
             ? g_steal_pointer (&sum)
             : NULL;
}

gboolean
calib_convergence_finish (CalibConvergence *c, GError **error)
{
  return add_parts (c, c->base, error);
}
