/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * plan.h: where the activations of a graph live. Internal to engine/.
 *
 * One arena holds them all. Values that are the same bytes (a reshape and its input) or may be
 * overwritten by their last reader (element-wise ops, a residual) share a place; the places are put
 * into the arena largest first, each into the smallest gap that its lifetime leaves. A plan is made
 * from a verified graph alone, so nothing in it comes from a file.
 */
#pragma once

#include "engine/engine.h"
#include "engine/graph.h"

typedef enum {
  ENGINE_PLAN_DEFAULT = 0,
  ENGINE_PLAN_SEPARATE = 1 << 0 /* no memory is used twice: what tests compare with */
} EnginePlanFlags;

typedef struct {
  int n_values;
  int *place;    /* per value: the value whose memory it shares, itself where it is the first;
                    ENGINE_NONE for constants */
  gsize *offset; /* per value: bytes from the arena's start, a multiple of KERNEL_ALIGN */
  gsize *size;   /* per value: bytes for max_batch images, not rounded up */
  gsize arena;   /* bytes */
} EnginePlan;

/* ENGINE_ERROR_MEMORY where a tensor of so many images cannot be addressed. */
EnginePlan *engine_plan_new (const EngineGraph *graph, int max_batch, EnginePlanFlags flags,
    GError **error);
void engine_plan_free (EnginePlan *plan); /* NULL is fine */
G_DEFINE_AUTOPTR_CLEANUP_FUNC (EnginePlan, engine_plan_free)
