/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* compare-precision.c: the layers that stay in floats, chosen on the frames of a comparison. */
#include "tools/compare.h"

#define FRAMES_ALONE 8 /* where --alone 0 leaves layers out of the comparison */

gboolean
compare_has_target (const Compare *compare)
{
  return compare->target.top1 > 0 || compare->target.sqnr > 0;
}

void
compare_collect_frame (Compare *compare, const float *frame, gsize n)
{
  if (!compare->frames)
    compare->frames = g_ptr_array_new_with_free_func (g_free);
  g_ptr_array_add (compare->frames, g_memdup2 (frame, n * sizeof *frame));
}

static gboolean
find_frames (Compare *compare, GError **error)
{
  if (compare->images)
    return TRUE; /* collected on their way */
  compare->frames = engine_precision_frames (compare->model, compare->statistics, error);
  if (compare->frames && compare->max_frames > 0)
    g_ptr_array_set_size (compare->frames, (int) MIN (compare->frames->len, compare->max_frames));
  return compare->frames != NULL;
}

gboolean
compare_choose_precision (Compare *compare, const CompareCandidate *candidate, GError **error)
{
  EngineBuildOptions build = compare->build;
  g_autoptr (EnginePrecisionChoice) choice = NULL;

  build.table = candidate->table;
  build.bias = candidate->bias;
  build.rules = compare->rules;
  if (!find_frames (compare, error))
    return FALSE;
  const EnginePrecisionOptions options = {.build = &build,
      .frames = compare->frames,
      .alone = compare->alone > 0 ? compare->alone : FRAMES_ALONE,
      .target = compare->target,
      .threads = compare->threads};
  choice = engine_precision_choose (compare->model, &options, compare->backend, tool_progress, NULL,
      NULL, error);
  if (!choice)
    return FALSE;
  g_autofree char *text = engine_precision_choice_text (choice);
  g_autofree char *summary = engine_precision_choice_summary (choice);
  g_autofree char *path = engine_layer_rules_path (candidate->label);
  g_print ("\nlayers given back to fp32, INT8 against FP32 on %u frames:\n%s\n%s\n",
      compare->frames->len, text, summary);
  if (!choice->met) {
    g_set_error (error, ENGINE_ERROR, ENGINE_ERROR_RULES,
        "'%s' is not written: the target cannot be met, not with all layers in fp32. Are the "
        "logits numbers on all frames?",
        path);
    return FALSE;
  }
  if (!engine_precision_choice_save (choice, candidate->table, candidate->label, error))
    return FALSE;
  g_print ("written to %s, for precision=mixed\n", path);
  return TRUE;
}
