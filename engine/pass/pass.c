/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* pass/pass.c: the ordered tables of passes, and the loop that runs them. */
#include "engine/pass/pass.h"

#include <string.h>

static const EnginePass float_passes[] = {
    {"fold-pairs", engine_pass_fold_pairs},
    {"fuse-matmul", engine_pass_fuse_matmul},
    {"fold", engine_pass_fold},
    {"fold-scales", engine_pass_fold_scales},
    {"fuse-hard-sigmoid", engine_pass_fuse_hard_sigmoid},
    {"fuse-gelu", engine_pass_fuse_gelu},
    {"fuse-affine", engine_pass_fuse_affine},
    {"fuse-pad", engine_pass_fuse_pad},
    {"fuse-flatten", engine_pass_fuse_flatten},
    {"fuse-silu", engine_pass_fuse_silu},
    {"fuse-residual", engine_pass_fuse_residual},
    {"fuse-clamp", engine_pass_fuse_clamp},
    {"imply-relu", engine_pass_imply_relu},
};

static const EnginePass int8_passes[] = {
    {"quantise", engine_pass_quantise},
    {"lut", engine_pass_lut},
};

static const EnginePass fp16_passes[] = {
    {"halve", engine_pass_halve},
};

static void
dump_if_wanted (const EngineGraph *graph, const char *name)
{
  const char *wanted = g_getenv ("INT8_DUMP_PASS");

  if (wanted && (g_str_equal (wanted, "all") || g_str_equal (wanted, name))) {
    g_autofree char *text = engine_graph_dump (graph);

    g_printerr ("# after %s\n%s", name, text);
  }
}

static gboolean
run_passes (EngineGraph *graph, const EnginePass *passes, gsize n_passes,
    const EnginePassContext *context, GError **error)
{
  for (gsize i = 0; i < n_passes; i++) {
    if (!passes[i].run (graph, context, error) ||
        !engine_graph_verify (graph, passes[i].name, error))
      return FALSE;
    dump_if_wanted (graph, passes[i].name);
  }
  return TRUE;
}

gboolean
engine_passes_float (EngineGraph *graph, GError **error)
{
  const EnginePassContext context = {0};

  if (!engine_graph_verify (graph, "import", error))
    return FALSE;
  dump_if_wanted (graph, "import");
  return run_passes (graph, float_passes, G_N_ELEMENTS (float_passes), &context, error);
}

gboolean
engine_passes_int8 (EngineGraph *graph, const EnginePassContext *context, GError **error)
{
  return run_passes (graph, int8_passes, G_N_ELEMENTS (int8_passes), context, error);
}

gboolean
engine_passes_fp16 (EngineGraph *graph, const EnginePassContext *context, GError **error)
{
  return run_passes (graph, fp16_passes, G_N_ELEMENTS (fp16_passes), context, error);
}
