/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* judged.h: engines of networks without ONNX, compared with each other on frames. */
#pragma once

#include "engine/compare/private.h"
#include "engine/model.h"
#include "tests/check.h"
#include "tests/engine/net.h"

#include <string.h>

#define CHECK_NEAR(a, b)                                                                           \
  do {                                                                                             \
    const double check_a = (a), check_b = (b);                                                     \
    if (!(fabs (check_a - check_b) <= 1e-9 * fmax (1, fabs (check_b))))                            \
      CHECK_FAIL ("%s == %s: %.17g and %.17g", #a, #b, check_a, check_b);                          \
  } while (0)

static inline EngineModel *
model_of (EngineGraph *graph)
{
  EngineModel *model = g_new0 (EngineModel, 1);

  g_atomic_ref_count_init (&model->references);
  model->path = g_strdup ("net.onnx");
  model->sha256 = g_strdup ("0123456789abcdef");
  model->graph = graph;
  return model;
}

static inline Engine *
build (const EngineModel *model, const EngineBuildOptions *options)
{
  g_autoptr (GError) error = NULL;
  Engine *engine = engine_build (model, options, NULL, NULL, NULL, NULL, &error);

  if (!engine)
    g_error ("engine_build: %s", error->message);
  return engine;
}

static inline Engine *
build_float (const EngineModel *model)
{
  return build (model, &(EngineBuildOptions){.precision = ENGINE_PRECISION_FP32});
}

static inline EngineComparison *
compare (Engine *exact, Engine *judged, KernelBackend *backend, EngineCompareOptions options)
{
  g_autoptr (GError) error = NULL;
  EngineComparison *comparison = engine_comparison_new (exact, judged, backend, &options, &error);

  if (!comparison)
    g_error ("engine_comparison_new: %s", error->message);
  return comparison;
}

static inline void
push (EngineComparison *comparison, const float *frame, gsize n)
{
  g_autoptr (GError) error = NULL;

  memcpy (engine_comparison_input (comparison), frame, n * sizeof *frame);
  if (!engine_comparison_push (comparison, &error))
    CHECK_FAIL ("%s", error->message);
}

/* Frames of noise, the same ones for every comparison of the model. */
static inline void
push_noise (EngineComparison *comparison, const EngineModel *model, int frames)
{
  g_autoptr (GRand) rand = g_rand_new_with_seed (1);
  EngineInputInfo info;

  engine_model_input (model, &info);
  const gsize n = (gsize) info.height * info.width * info.channels;
  g_autofree float *frame = g_new (float, n);
  for (int f = 0; f < frames; f++) {
    for (gsize i = 0; i < n; i++)
      frame[i] = (float) g_rand_double_range (rand, -2, 2);
    push (comparison, frame, n);
  }
}

/* A chain with an average pool and a gate, whose layers share no ranges. */
static inline EngineModel *
chain_model (guint32 seed)
{
  g_autoptr (Net) net = net_new (seed);
  const int x = net_input (net, 8, 8, 3);
  const int a = net_conv (net, x, (NetConv){.oc = 8, .k = 3, .pad = 1, .hi = 6});
  const int b = net_conv (net, a, (NetConv){.oc = 8, .k = 3, .pad = 1, .groups = 8});
  const int c = net_unary (net, b, KERNEL_UNARY_SILU, 0, 0);
  const int d = net_binary (net, ENGINE_OP_ADD, c, a, -INFINITY, INFINITY);
  const int e = net_global_pool (net, d);

  return model_of (net_finish (net, net_dense (net, e, 6)));
}
