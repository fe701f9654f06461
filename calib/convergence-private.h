/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * convergence-private.h: the inside of a CalibConvergence. Internal to calib/.
 *
 *   convergence        frames, when a check is due, and what it comes to
 *   convergence-judge  what a check finds of every tensor
 */
#pragma once

#include "calib/convergence.h"
#include "calib/private.h"

G_BEGIN_DECLS

/* What is known of a tensor at one check. */
typedef struct {
  float threshold, max_abs; /* threshold: NAN where no value was finite */
} CalibConvergenceRange;

typedef struct {
  guint64 frames;
  CalibConvergenceRange ranges[]; /* by tensor */
} CalibConvergenceSnapshot;

/* Of a tensor, by the last check. */
typedef struct {
  double change, jackknife, clipping, drift;
} CalibConvergenceFinding;

struct _CalibConvergence {
  CalibStatistics *base; /* the caller's */
  CalibStatistics *parts[CALIB_CONVERGENCE_PARTS], *newest;
  CalibThresholdOptions options;
  guint threads;
  guint64 frames, batches;
  guint step;                        /* of the next check */
  GPtrArray *snapshots;              /* of CalibConvergenceSnapshot, the oldest first */
  CalibConvergenceFinding *findings; /* by tensor; NULL before the first check */
  CalibConvergenceState state;
};

static inline guint
calib_convergence_n_tensors (const CalibConvergence *c)
{
  return c->parts[0]->tensors->len;
}

/* The newest snapshot of about half the frames, or less of them; NULL when there is none. */
const CalibConvergenceSnapshot *calib_convergence_half (const CalibConvergence *c, guint64 frames);

/* Fills the snapshot, whose frames are set, and the findings. */
void calib_convergence_judge (CalibConvergence *c, CalibConvergenceSnapshot *now);

G_END_DECLS
