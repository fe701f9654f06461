/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * equalise.h: scales by channel between a convolution and a depthwise one. Internal to engine/, but for
 * engine_equalise() in bias.h.
 */
#pragma once

#include "engine/bias.h"
#include "engine/graph.h"

/* The depthwise convolution for which a value's channels may have scales of their own, or ENGINE_NONE. */
int engine_equalise_reader (const EngineGraph *graph, int value);
