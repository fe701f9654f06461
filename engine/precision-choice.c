/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* precision-choice.c: what choose-precision.c has found: for people, and as a file of layer rules. */
#include "engine/choose-precision.h"
#include "engine/point.h"

#include <math.h>
#include <string.h>

static void
step_clear (gpointer data)
{
  g_free (((EnginePrecisionStep *) data)->without);
}

static void
layer_clear (gpointer data)
{
  g_free (((EnginePrecisionLayer *) data)->tensor);
}

EnginePrecisionChoice *
engine_precision_choice_new (const EnginePrecisionTarget *target)
{
  EnginePrecisionChoice *choice = g_new0 (EnginePrecisionChoice, 1);

  choice->target = *target;
  choice->layers = g_array_new (FALSE, FALSE, sizeof (EnginePrecisionLayer));
  choice->steps = g_array_new (FALSE, FALSE, sizeof (EnginePrecisionStep));
  g_array_set_clear_func (choice->layers, layer_clear);
  g_array_set_clear_func (choice->steps, step_clear);
  return choice;
}

void
engine_precision_choice_free (EnginePrecisionChoice *choice)
{
  if (!choice)
    return;
  g_array_unref (choice->layers);
  g_array_unref (choice->steps);
  engine_layer_rules_free (choice->rules);
  g_free (choice);
}

GPtrArray *
engine_precision_frames (const EngineModel *model, const CalibStatistics *statistics,
    GError **error)
{
  g_autoptr (GPtrArray) frames = g_ptr_array_new ();
  EngineInputInfo input;

  engine_model_input (model, &input);
  for (guint i = 0; i < calib_statistics_n_kept (statistics); i++) {
    gsize n;

    g_ptr_array_add (frames, (gpointer) calib_statistics_kept (statistics, i, &n));
    if (n != (gsize) input.height * input.width * input.channels) {
      g_set_error (error, CALIB_ERROR, CALIB_ERROR_MISMATCH,
          "frame %u of the statistics has %" G_GSIZE_FORMAT
          " values, which is not the network's input: the statistics are of another model",
          i, n);
      return NULL;
    }
  }
  return g_steal_pointer (&frames);
}

/* --- For people ----------------------------------------------------------------------------- */

/* "top-1 agreement of at least 99.5 % (50 of 50 frames)" */
static char *
describe_target (const EnginePrecisionTarget *target, guint64 frames)
{
  GString *text = g_string_new (NULL);

  if (target->top1 > 0)
    g_string_append_printf (text,
        "top-1 agreement of at least %.6g %% (%" G_GUINT64_FORMAT " of %" G_GUINT64_FORMAT
        " frames)",
        100 * target->top1, (guint64) ceil (target->top1 * (double) frames - 1e-9), frames);
  if (target->sqnr > 0)
    g_string_append_printf (text, "%slogit SQNR of at least %.6g dB", text->len ? ", " : "",
        target->sqnr);
  return g_string_free (text, FALSE);
}

char *
engine_precision_choice_summary (const EnginePrecisionChoice *choice)
{
  const EngineAgreementScore *before = &choice->before, *after = &choice->after;
  G_GNUC_UNUSED g_auto (EnginePoint) point = engine_point ();
  g_autofree char *target = describe_target (&choice->target, before->frames);

  if (choice->met && choice->n_fp32 == 0)
    return g_strdup_printf ("%s: int8 meets it (%.2f %%, %.2f dB), and no layer is given back",
        target, 100 * before->top1, before->sqnr);
  return g_strdup_printf (
      "%s: %s with %u of %u layers in fp32: from %.2f to %.2f %%, from %.2f to %.2f dB; %.1f %% of "
      "the operations are int8",
      target, choice->met ? "met" : "not met, the best is", choice->n_fp32, choice->layers->len,
      100 * before->top1, 100 * after->top1, before->sqnr, after->sqnr, 100 * choice->int8_after);
}

static void
append_step (GString *text, const char *what, guint fp32, const EngineAgreementScore *score,
    gboolean met)
{
  g_string_append_printf (text, "%4u  %7.2f  %7.2f  %10.6f  %-3s  %s\n", fp32, 100 * score->top1,
      score->sqnr, score->kl_mean, met ? "yes" : "no", what);
}

static void
append_steps (GString *text, const EnginePrecisionChoice *choice)
{
  g_string_append (text, "fp32  top-1 %  SQNR dB  divergence  met  what is in fp32\n");
  append_step (text, "nothing", 0, &choice->before, choice->met && choice->steps->len == 0);
  for (guint i = 0; i < choice->steps->len; i++) {
    const EnginePrecisionStep *step = &g_array_index (choice->steps, EnginePrecisionStep, i);
    g_autofree char *what = step->without
                                ? g_strdup_printf ("without %s", step->without)
                                : g_strdup_printf ("the worst %u of the ranking", step->worst);

    append_step (text, what, step->fp32, &step->score, step->met);
  }
}

char *
engine_precision_choice_text (const EnginePrecisionChoice *choice)
{
  GString *text = g_string_new (NULL);
  G_GNUC_UNUSED g_auto (EnginePoint) point = engine_point ();
  guint64 all = 0;

  append_steps (text, choice);
  for (guint i = 0; i < choice->layers->len; i++)
    all += g_array_index (choice->layers, EnginePrecisionLayer, i).operations;
  g_string_append (text, "\nrank  damage     operations  chosen  layer\n");
  for (guint i = 0; i < choice->layers->len; i++) {
    const EnginePrecisionLayer *layer = &g_array_index (choice->layers, EnginePrecisionLayer, i);

    g_string_append_printf (text, "%4u  %9.3e  %8.3f %%  %-6s  %s\n", i + 1, layer->damage,
        100 * (double) layer->operations / (double) MAX (all, 1), layer->fp32 ? "fp32" : "int8",
        layer->tensor);
  }
  return g_string_free (text, FALSE);
}

/* --- The file ------------------------------------------------------------------------------- */

/* Names of a model can hold anything: a line break in one must not end the comment. */
static void
append_comment (GString *file, const char *text)
{
  g_auto (GStrv) lines = g_strsplit_set (text, "\n\r", -1);

  for (char **line = lines; *line; line++)
    g_string_append_printf (file, "#%s%s\n", **line ? " " : "", *line);
}

/* Mixed precision needs a rule; this one says what is so. */
static void
append_none (GString *file, const EnginePrecisionChoice *choice)
{
  const EnginePrecisionLayer *worst = &g_array_index (choice->layers, EnginePrecisionLayer, 0);
  g_autofree char *pattern = engine_layer_pattern (worst->tensor);

  append_comment (file, "No layer is in fp32; the worst, too, is int8:");
  g_string_append_printf (file, "%s:%s\n", pattern, engine_precision_name (ENGINE_PRECISION_INT8));
}

gboolean
engine_precision_choice_save (const EnginePrecisionChoice *choice, const CalibTable *table,
    const char *table_path, GError **error)
{
  g_autofree char *path = engine_layer_rules_path (table_path);
  g_autofree char *contents = calib_table_to_string (table);
  g_autofree char *sha256 = g_compute_checksum_for_string (G_CHECKSUM_SHA256, contents, -1);
  g_autofree char *summary = engine_precision_choice_summary (choice);
  g_autofree char *details = engine_precision_choice_text (choice);
  g_autofree char *rules = engine_layer_rules_to_string (choice->rules);
  g_autofree char *head =
      g_strdup_printf ("Layers for precision=mixed, chosen on %" G_GUINT64_FORMAT
                       " frames for the table with SHA-256\n%s\n%s\n",
          choice->before.frames, sha256, summary);
  g_autoptr (GString) file = g_string_new (NULL);

  g_return_val_if_fail (choice->met, FALSE);

  if (*rules == '\0' && choice->layers->len == 0) {
    g_set_error (error, ENGINE_ERROR, ENGINE_ERROR_RULES,
        "'%s' is not written: the network has no layer in int8 that could be given back", path);
    return FALSE;
  }
  append_comment (file, head);
  append_comment (file, details);
  if (*rules)
    g_string_append (file, rules);
  else
    append_none (file, choice);
  return calib_file_replace (path, file->str, file->len, error);
}
