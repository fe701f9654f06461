/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* agreement.c: how far the class scores of two networks agree. */
#include "engine/engine.h"

#include <float.h>
#include <math.h>

struct _EngineAgreement {
  guint n;
  EngineScores scores;
  guint64 frames, top1, top5;
  double signal, noise; /* sums of y^2 and (y - yq)^2 */
  double kl;            /* sum over the frames */
  GArray *frame_kl;     /* double */
};

EngineAgreement *
engine_agreement_new (guint n_classes, EngineScores scores)
{
  g_return_val_if_fail (n_classes > 0, NULL);

  EngineAgreement *agreement = g_new0 (EngineAgreement, 1);

  agreement->n = n_classes;
  agreement->scores = scores;
  agreement->frame_kl = g_array_new (FALSE, FALSE, sizeof (double));
  return agreement;
}

void
engine_agreement_free (EngineAgreement *agreement)
{
  if (!agreement)
    return;
  g_array_unref (agreement->frame_kl);
  g_free (agreement);
}

void
engine_agreement_reset (EngineAgreement *agreement)
{
  GArray *frame_kl = agreement->frame_kl;

  g_array_set_size (frame_kl, 0);
  *agreement =
      (EngineAgreement){.n = agreement->n, .scores = agreement->scores, .frame_kl = frame_kl};
}

static guint
best (const float *x, guint n)
{
  guint b = 0;

  for (guint i = 1; i < n; i++)
    if (x[i] > x[b])
      b = i;
  return b;
}

/* How many classes come before class b: the higher ones, and of equal ones the first. */
static guint
rank (const float *x, guint n, guint b)
{
  guint before = 0;

  for (guint i = 0; i < n; i++)
    before += x[i] > x[b] || (x[i] == x[b] && i < b);
  return before;
}

/* ln (sum exp (x)), so that x - it is the logarithm of softmax. */
static double
log_sum (const float *x, guint n)
{
  const double max = x[best (x, n)];
  double sum = 0;

  for (guint i = 0; i < n; i++)
    sum += exp (x[i] - max);
  return max + log (sum);
}

static double
divergence_of_logits (const float *x, const float *y, guint n)
{
  const double of_x = log_sum (x, n), of_y = log_sum (y, n);
  double kl = 0;

  for (guint i = 0; i < n; i++) {
    const double p = x[i] - of_x;

    if (exp (p) > 0)
      kl += exp (p) * (p - (y[i] - of_y));
  }
  return kl;
}

static double
divergence_of_probabilities (const float *p, const float *q, guint n)
{
  double kl = 0;

  for (guint i = 0; i < n; i++)
    if (p[i] > 0)
      kl += p[i] * log (p[i] / (double) (q[i] > FLT_MIN ? q[i] : FLT_MIN));
  return kl;
}

void
engine_agreement_add (EngineAgreement *agreement, const float *exact, const float *judged)
{
  const guint n = agreement->n, b = best (exact, n);
  double kl = agreement->scores == ENGINE_SCORES_LOGITS
                  ? divergence_of_logits (exact, judged, n)
                  : divergence_of_probabilities (exact, judged, n);

  kl = kl < 0 ? 0 : kl; /* by rounding only; NAN stays */
  agreement->frames++;
  agreement->top1 += best (judged, n) == b;
  agreement->top5 += rank (judged, n, b) < 5;
  for (guint i = 0; i < n; i++) {
    const double y = exact[i], e = y - judged[i];

    agreement->signal += y * y;
    agreement->noise += e * e;
  }
  agreement->kl += kl;
  g_array_append_val (agreement->frame_kl, kl);
}

const double *
engine_agreement_divergences (const EngineAgreement *agreement)
{
  return (const double *) agreement->frame_kl->data;
}

static int
compare_doubles (gconstpointer a, gconstpointer b)
{
  const double x = *(const double *) a, y = *(const double *) b;

  return (x > y) - (x < y);
}

/* Nearest rank. */
static double
percentile (const GArray *values, double share)
{
  g_autofree double *sorted = g_memdup2 (values->data, values->len * sizeof *sorted);

  qsort (sorted, values->len, sizeof *sorted, compare_doubles);
  return sorted[(guint) ceil (share * values->len) - 1];
}

void
engine_agreement_score (const EngineAgreement *agreement, EngineAgreementScore *score)
{
  const double n = (double) agreement->frames;

  *score = (EngineAgreementScore){agreement->frames, NAN, NAN, NAN, NAN, NAN};
  if (agreement->frames == 0)
    return;
  score->top1 = (double) agreement->top1 / n;
  score->top5 = (double) agreement->top5 / n;
  score->sqnr = engine_sqnr (agreement->signal, agreement->noise);
  score->kl_mean = agreement->kl / n;
  score->kl_p99 = percentile (agreement->frame_kl, 0.99);
}

double
engine_sqnr (double signal, double noise)
{
  return noise == 0 ? INFINITY : 10 * log10 (signal / noise);
}
