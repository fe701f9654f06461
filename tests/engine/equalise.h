/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* equalise.h: frames and comparisons for the tests of scales by channel. */
#pragma once

#include "engine/bias.h"
#include "engine/equalise.h"
#include "engine/model.h"
#include "tests/check.h"
#include "tests/engine/net.h"

#include <math.h>

#define FRAMES 8
#define PIXELS (4 * 4 * 2)

static KernelBackend *cpu;

static inline GPtrArray *
make_frames (void)
{
  GPtrArray *frames = g_ptr_array_new_with_free_func (g_free);

  for (guint f = 0; f < FRAMES; f++) {
    float *x = g_new (float, PIXELS);

    for (int k = 0; k < PIXELS; k++)
      x[k] = sinf ((float) f + 0.7f * (float) k);
    g_ptr_array_add (frames, x);
  }
  return frames;
}

/* What the first convolution writes. */
static inline const char *
between (const EngineModel *model)
{
  return engine_graph_value (model->graph, engine_graph_node (model->graph, 0)->output)->name;
}

/* SQNR of the logits in dB, and of the tensor between. */
static inline double
sqnr (const EngineModel *model, const EngineBuildOptions *options, const GPtrArray *frames,
    double *inside)
{
  const EngineBuildOptions fp32 = {.precision = ENGINE_PRECISION_FP32};
  g_autoptr (Engine) exact = engine_build (model, &fp32, NULL, NULL, NULL, NULL, NULL);
  g_autoptr (GError) error = NULL;
  g_autoptr (Engine) judged = engine_build (model, options, NULL, NULL, NULL, NULL, &error);
  g_autoptr (EngineComparison) comparison =
      judged ? engine_comparison_new (exact, judged, cpu,
                   &(EngineCompareOptions){.threads = 1, .keep = FRAMES}, &error)
             : NULL;
  EngineAgreementScore score;

  if (!comparison)
    g_error ("%s", error->message);
  for (guint f = 0; f < frames->len; f++) {
    memcpy (engine_comparison_input (comparison), frames->pdata[f], PIXELS * sizeof (float));
    CHECK (engine_comparison_push (comparison, NULL));
  }
  CHECK (engine_comparison_alone (comparison, NULL, NULL, NULL, NULL));
  engine_comparison_score (comparison, &score);
  for (guint i = 0; i < engine_comparison_n_tensors (comparison); i++) {
    EngineTensorScore tensor;

    engine_comparison_tensor (comparison, i, &tensor);
    /* what each layer does alone is known in real values, too */
    if (i > 0 && options->bias && engine_bias_n_equalised (options->bias) > 0)
      CHECK (tensor.alone > 15 && tensor.alone_logits > 10);
    if (g_str_equal (tensor.name, between (model)))
      *inside = tensor.sqnr;
    CHECK (!g_str_equal (tensor.name, between (model)) || tensor.saturated < 0.01);
  }
  return score.sqnr;
}
