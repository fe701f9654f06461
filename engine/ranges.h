/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * ranges.h: which values share one range, and how a range becomes scale and zero point. Internal to
 * engine/.
 */
#pragma once

#include "engine/engine.h"
#include "engine/graph.h"

/* A concat's input with less than this part of the largest range keeps a range of its own; its
 * bytes go through a table on their way into the concat. At 1 / 4 it would lose two of its eight
 * bits. */
#define ENGINE_RANGE_FAR_SMALLER 0.25f

/* Whether the values (and bytes) that go in come out again, and no others but a pad's. */
gboolean engine_op_passes_values (EngineOp op);

/* Groups of values whose bytes pass from one to the other: max pools, slices, reshapes, transposes,
 * pads, and the inputs and output of a concat, but for inputs that are far smaller.
 *
 * scale: per value, the table's word (T / 127), or NAN where there is none; on return that of its
 * group, the largest, or NAN where no member has any. Returns, per value, the member that stands
 * for the group (to be freed). */
int *engine_ranges_share (const EngineGraph *graph, float *scale);

/* The same where some values have a range by hand (fixed[v], which fixes the group's on return), and
 * that is kept: members of a group without one take it, and an input of a concat with one stays out of
 * the concat's group. Where several members of a group have one, the largest counts. */
int *engine_ranges_share_fixed (const EngineGraph *graph, float *scale, gboolean *fixed);

/* Scale and zero point of values in [lo, hi], which is made to hold 0. lo == -hi is symmetric, lo
 * == 0 full, anything else affine. An empty range stands for a tensor that is always 0 and gets
 * scale 1 / 127. */
EngineQuant engine_quant_from_range (double lo, double hi);
/* The same, the step of an affine range a little wider: both ends lie within, so that what is clipped gets a
 * level that is no nearer to 0 than the end. */
EngineQuant engine_quant_covering (double lo, double hi);
/* The same range with a larger scale: its lower end stays. */
EngineQuant engine_quant_widened (const EngineQuant *quant, double scale);
