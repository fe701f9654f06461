/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* agreement.c: agreement of class scores: figures by hand, equals, percentiles, probabilities. */
#include "tests/engine/judged.h"

static void
test_agreement_by_hand (void)
{
  const float exact[] = {1, 2, 3, 0, -1, -2}, judged[] = {1, 3, 2, 0, -1, -2};
  const float last[] = {9, 8, 0, 7, 6, 5};
  g_autoptr (EngineAgreement) agreement = engine_agreement_new (6, ENGINE_SCORES_LOGITS);
  EngineAgreementScore score;
  double p[6], sum_p = 0;

  engine_agreement_score (agreement, &score);
  CHECK_INT (score.frames, ==, 0);
  CHECK (isnan (score.top1) && isnan (score.top5) && isnan (score.sqnr) && isnan (score.kl_mean));

  engine_agreement_add (agreement, exact, judged);
  engine_agreement_score (agreement, &score);
  for (int i = 0; i < 6; i++)
    sum_p += exp (exact[i]);
  for (int i = 0; i < 6; i++)
    p[i] = exp (exact[i]) / sum_p;
  CHECK (score.top1 == 0 && score.top5 == 1);
  CHECK_NEAR (score.sqnr, 10 * log10 (19.0 / 2));
  /* both sums of exponentials are the same: only two classes count */
  CHECK_NEAR (score.kl_mean, p[1] * (2 - 3) + p[2] * (3 - 2));
  CHECK (score.kl_p99 == score.kl_mean);

  engine_agreement_add (agreement, exact, last); /* the best is the sixth of the other */
  engine_agreement_add (agreement, exact, exact);
  engine_agreement_score (agreement, &score);
  CHECK_INT (score.frames, ==, 3);
  CHECK_NEAR (score.top1, 1.0 / 3);
  CHECK_NEAR (score.top5, 2.0 / 3);
  engine_agreement_reset (agreement);
  engine_agreement_score (agreement, &score);
  CHECK (score.frames == 0 && isnan (score.kl_p99));
}

/* Of equal scores the first class is the best. */
static void
test_agreement_of_equals (void)
{
  const float equal[] = {1, 1, 1, 1, 1, 1, 1}, sixth[] = {0, 0, 0, 0, 0, 1, 0};
  g_autoptr (EngineAgreement) agreement = engine_agreement_new (7, ENGINE_SCORES_LOGITS);
  EngineAgreementScore score;

  engine_agreement_add (agreement, sixth, equal); /* five equal ones come before it */
  engine_agreement_score (agreement, &score);
  CHECK (score.top1 == 0 && score.top5 == 0);
  engine_agreement_add (agreement, equal, equal);
  engine_agreement_score (agreement, &score);
  CHECK (score.top1 == 0.5 && score.top5 == 0.5);
}

static void
test_percentile (void)
{
  const float exact[] = {2, 0}, judged[] = {0, 2};
  g_autoptr (EngineAgreement) agreement = engine_agreement_new (2, ENGINE_SCORES_LOGITS);
  EngineAgreementScore score;

  for (int i = 0; i < 198; i++)
    engine_agreement_add (agreement, exact, exact);
  engine_agreement_add (agreement, exact, judged);
  engine_agreement_add (agreement, exact, judged);
  engine_agreement_score (agreement, &score);
  CHECK (score.kl_p99 == 0 && score.kl_mean > 0); /* the 198th of 200 */
  engine_agreement_add (agreement, exact, judged);
  engine_agreement_score (agreement, &score);
  CHECK (score.kl_p99 > 1); /* the 199th of 201 */
}

static void
test_probabilities (void)
{
  const float exact[] = {1, 2, 3}, judged[] = {1.5f, 2, 2};
  float p[3], q[3], gone[] = {1, 0, 0};
  g_autoptr (EngineAgreement) logits = engine_agreement_new (3, ENGINE_SCORES_LOGITS);
  g_autoptr (EngineAgreement) shares = engine_agreement_new (3, ENGINE_SCORES_PROBABILITIES);
  EngineAgreementScore a, b;

  memcpy (p, exact, sizeof p);
  memcpy (q, judged, sizeof q);
  engine_softmax (p, 3);
  engine_softmax (q, 3);
  engine_agreement_add (logits, exact, judged);
  engine_agreement_add (shares, p, q);
  engine_agreement_score (logits, &a);
  engine_agreement_score (shares, &b);
  CHECK (fabs (a.kl_mean - b.kl_mean) < 1e-6);
  engine_agreement_add (shares, p, gone);
  engine_agreement_score (shares, &b);
  CHECK (isfinite (b.kl_mean) && b.kl_mean > 10);
}

int
main (void)
{
  RUN (test_agreement_by_hand);
  RUN (test_agreement_of_equals);
  RUN (test_percentile);
  RUN (test_probabilities);
  return check_done ();
}
