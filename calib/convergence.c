/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * convergence.c: the stopping rule: thresholds of all frames so far against those of half of them, a
 * jackknife over eight parts, and how often the newest frames clip.
 */
#include "calib/convergence-private.h"

#include <math.h>

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
  for (int p = 0; p < CALIB_CONVERGENCE_PARTS; p++)
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
  for (int p = 0; p < CALIB_CONVERGENCE_PARTS; p++)
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

  *part = c->parts[c->batches % CALIB_CONVERGENCE_PARTS];
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

/* --- A check -------------------------------------------------------------------------------- */

static const char *
tensor_name (const CalibConvergence *c, guint tensor)
{
  return calib_statistics_name (c->parts[0], tensor);
}

static gboolean
is_changing (const CalibConvergenceFinding *f)
{
  return !(f->change < CALIB_CONVERGENCE_CHANGE && f->jackknife < CALIB_CONVERGENCE_CHANGE &&
           f->clipping < CALIB_CONVERGENCE_CLIPPING);
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
summarise (CalibConvergence *c, const CalibConvergenceSnapshot *now)
{
  CalibConvergenceState *s = &c->state;
  const guint in_a_row = s->in_a_row;

  *s = (CalibConvergenceState){.compared = calib_convergence_half (c, now->frames)->frames,
      .jackknife = -1};
  for (guint i = 0; i < calib_convergence_n_tensors (c); i++) {
    const CalibConvergenceFinding *f = &c->findings[i];
    const char *name = tensor_name (c, i);

    if (isnan (now->ranges[i].threshold))
      continue;
    s->n_tensors++;
    s->n_changing += is_changing (f);
    s->n_drifting += f->drift >= CALIB_CONVERGENCE_CHANGE;
    keep_largest (f->change, name, &s->change, &s->tensor);
    keep_largest (f->clipping, name, &s->clipping, &s->clipping_tensor);
    keep_largest (f->drift, name, &s->drift, &s->drift_tensor);
    if (f->jackknife >= 0)
      keep_largest (f->jackknife, name, &s->jackknife, &s->jackknife_tensor);
  }
  s->in_a_row = s->n_tensors > 0 && s->n_changing == 0 ? in_a_row + 1 : 0;
  s->converged = s->in_a_row >= CALIB_CONVERGENCE_IN_A_ROW;
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
  CalibConvergenceSnapshot *now =
      g_malloc0 (sizeof *now + calib_convergence_n_tensors (c) * sizeof (CalibConvergenceRange));

  now->frames = c->frames;
  if (!c->findings)
    c->findings = g_new0 (CalibConvergenceFinding, calib_convergence_n_tensors (c));
  calib_convergence_judge (c, now);
  if (calib_convergence_half (c, c->frames))
    summarise (c, now);
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
badness (const CalibConvergenceFinding *f)
{
  return MAX (MAX (f->change, f->jackknife) / CALIB_CONVERGENCE_CHANGE,
      f->clipping / CALIB_CONVERGENCE_CLIPPING);
}

static int
compare_badness (gconstpointer a, gconstpointer b, gpointer findings)
{
  const guint i = *(const guint *) a, j = *(const guint *) b;
  const double x = badness ((const CalibConvergenceFinding *) findings + i);
  const double y = badness ((const CalibConvergenceFinding *) findings + j);

  return x > y ? -1 : x < y ? 1 : i < j ? -1 : 1;
}

char *
calib_convergence_changing (const CalibConvergence *c, guint most)
{
  g_autoptr (GArray) tensors = g_array_new (FALSE, FALSE, sizeof (guint));
  GString *text = g_string_new (NULL);

  for (guint i = 0; c->state.compared && i < calib_convergence_n_tensors (c); i++)
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
  for (int p = 0; p < CALIB_CONVERGENCE_PARTS; p++)
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
