/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * convergence.h: whether more frames would still change the thresholds: the stopping rule of
 * docs/CALIBRATION.md.
 *
 * Frames are dealt in turn to eight statistics, whose sum is exactly what one would hold; those of the
 * newest tenth go to another besides. Memory: ten times that of one statistics, base included.
 *
 *   calib_convergence_targets (c, frames, &part, &newest);   before every batch: where it goes
 *   calib_convergence_added (c, frames);                     behind it
 *   if (calib_convergence_is_due (c))
 *     calib_convergence_check (c);
 *
 * An object, and the statistics that it hands out, belong to one thread at a time.
 */
#pragma once

#include "calib/calib.h"

G_BEGIN_DECLS

typedef struct _CalibConvergence CalibConvergence;

/* The rule. A check at n frames compares with the thresholds at n / 2. */
#define CALIB_CONVERGENCE_FIRST    64 /* frames of the first check; each has sqrt (2) times more */
#define CALIB_CONVERGENCE_PARTS    8  /* of the jackknife */
#define CALIB_CONVERGENCE_CHANGE   0.02 /* of T, between n / 2 and n, and as jackknife deviation */
#define CALIB_CONVERGENCE_CLIPPING 3.0  /* how often the newest tenth may clip, to the rest */
#define CALIB_CONVERGENCE_IN_A_ROW 2    /* checks that must hold */

/* base: what the new frames continue, empty or not; it is the caller's, outlives the object, and is
 * changed by calib_convergence_finish() only; frames that are to be kept are offered to it, and not to
 * parts. The rule looks at the new frames alone. options: range is not looked at (a tensor that was never
 * negative counts as such). threads: that compute thresholds.
 * NULL with CALIB_ERROR_UNAVAILABLE for statistics with TensorRT's own histograms: parts of them do not
 * merge. */
CalibConvergence *calib_convergence_new (CalibStatistics *base,
    const CalibThresholdOptions *options, guint threads, GError **error);
void calib_convergence_free (CalibConvergence *convergence); /* NULL is fine */
G_DEFINE_AUTOPTR_CLEANUP_FUNC (CalibConvergence, calib_convergence_free)

/* Where the next batch of so many frames goes; *newest is NULL where it goes to *part alone. These are the
 * same nine objects for the life of this one. */
void calib_convergence_targets (CalibConvergence *convergence, guint frames, CalibStatistics **part,
    CalibStatistics **newest);
void calib_convergence_added (CalibConvergence *convergence, guint frames);
/* Whether as many frames have come as the next check is at. */
gboolean calib_convergence_is_due (const CalibConvergence *convergence);

/* What a check found. A name is NULL where there is nothing to name, and lives as long as the object. */
typedef struct {
  guint64 frames;   /* new ones, so far */
  guint64 compared; /* the thresholds are compared with those of so many frames; 0: no check yet */
  double change;    /* the largest |dT / T|, of `tensor` */
  const char *tensor;
  /* The largest deviation / T, of `jackknife_tensor`; -1: not computed, since T changed too much already. */
  double jackknife;
  const char *jackknife_tensor;
  /* How many times as often as the rest the newest tenth clips, at worst; infinite: only it does. */
  double clipping;
  const char *clipping_tensor;
  guint n_tensors;  /* that have a threshold */
  guint n_changing; /* of these: one of the three conditions does not hold */
  guint n_drifting; /* of these: max |x|, minmax's T, grew by CALIB_CONVERGENCE_CHANGE or more */
  double drift;     /* the largest growth of max |x|, of `drift_tensor` */
  const char *drift_tensor;
  guint in_a_row; /* checks that held, up to this one */
  gboolean converged;
} CalibConvergenceState;

/* Thresholds of all tensors; up to nine times when little changes. Allocates. */
void calib_convergence_check (CalibConvergence *convergence);
/* Of the last check; frames is what came since, too. */
void calib_convergence_state (const CalibConvergence *convergence, CalibConvergenceState *state);
/* The tensors of n_changing, the worst first, at most `most`: "conv1, conv7 and 3 more"; "" for none. To be
 * freed with g_free(). */
char *calib_convergence_changing (const CalibConvergence *convergence, guint most);

/* base and all new frames, in new statistics: for a checkpoint. Errors are those of calib_statistics_merge(),
 * such as for new frames of another network than base's. */
CalibStatistics *calib_convergence_sum (const CalibConvergence *convergence, GError **error);
/* Adds all new frames to base, once; nothing may be added afterwards. Errors as above. */
gboolean calib_convergence_finish (CalibConvergence *convergence, GError **error);

G_END_DECLS
