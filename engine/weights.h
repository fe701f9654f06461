/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * weights.h: constants in a back end's memory, packed and uploaded once, however many execs of an
 * engine there are. Internal to engine/.
 *
 * A constant is what a back end makes of one input of one node: packed weights, a bias, a table. It
 * lives as long as a program has it; nothing is kept for later. Threads: any.
 */
#pragma once

#include "engine/graph.h"

typedef struct _EngineConstant EngineConstant;

/* What decides the bytes. The owner is an engine's graph, or weights that engines of one model share
 * (GBytes): nobody changes them, and they live as long as any program of them: the address stands for
 * the contents. */
typedef struct {
  gconstpointer owner;
  KernelBackend *backend;
  int node, input; /* of a graph */
  int way; /* that weights are packed for: a tactic, or the threads that it is left to, negative; 0 for
              other constants */
  /* Of weights, else 0 */
  EngineType type; /* that they are packed for */
  KernelConvShape shape;
} EngineConstantKey;

/* Makes the constant: memory of key's back end, ready for every queue, or NULL with an error. */
typedef void *(*EngineConstantFn) (gpointer data, gsize *size, GError **error);

/* The constant, made now or before. Where two threads want the same one, one makes it and the other
 * waits; where that fails, the other tries for itself. */
EngineConstant *engine_constant_get (const EngineConstantKey *key, EngineConstantFn make,
    gpointer data, GError **error);
void engine_constant_release (EngineConstant *constant);

const void *engine_constant_memory (const EngineConstant *constant);
gsize engine_constant_size (const EngineConstant *constant);
