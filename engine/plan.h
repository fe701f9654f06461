/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * plan.h: where the activations of a graph live. Internal to engine/.
 *
 * Values that are the same bytes (a reshape and its input) or may be overwritten by their last
 * reader (element-wise ops, a residual) share a place; the places are put into an arena largest
 * first, each into the smallest gap that its lifetime leaves.
 *
 * There are two arenas, because the nodes before the cut run by image and those behind it by layer
 * (engine/schedule.h). What is needed only before the cut has room for one image, in an arena that
 * every lane has for itself; everything else has room for the whole batch.
 *
 * A plan is made from a verified graph alone, so nothing in it comes from a file.
 */
#pragma once

#include "engine/engine.h"
#include "engine/graph.h"

typedef enum {
  ENGINE_PLAN_DEFAULT = 0,
  ENGINE_PLAN_SEPARATE = 1 << 0 /* no memory is used twice: what tests compare with */
} EnginePlanFlags;

typedef enum {
  ENGINE_SPACE_NONE, /* constants */
  ENGINE_SPACE_BATCH,
  ENGINE_SPACE_IMAGE,
  ENGINE_SPACE_COUNT
} EngineSpace;

typedef struct {
  int n_values;
  /* Per value: the one whose memory it shares, itself where it is the first; ENGINE_NONE for
   * constants. */
  int *place;
  EngineSpace *space; /* per value, the same for all that share a place */
  gsize *size;        /* per value: bytes of one image, not rounded up; images lie back to back */
  /* Per value: bytes from the start of its arena, a multiple of KERNEL_ALIGN. n arenas for one image
   * are one for n images, with n times the offset. */
  gsize *offset;
  gsize arena[ENGINE_SPACE_COUNT]; /* bytes */
} EnginePlan;

/* The first `cut` nodes run by image: 0 for none. kept: per node, the first node that may overwrite
 * its output, even where nobody reads it any more; NULL where nothing is kept. ENGINE_ERROR_MEMORY where a
 * tensor of so many images cannot be addressed. */
EnginePlan *engine_plan_new (const EngineGraph *graph, int max_batch, int cut, const int *kept,
    EnginePlanFlags flags, GError **error);
void engine_plan_free (EnginePlan *plan); /* NULL is fine */
G_DEFINE_AUTOPTR_CLEANUP_FUNC (EnginePlan, engine_plan_free)
