/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * choose-precision.c: which layers are given back to FP32: one that was spoilt is found, nothing is
 * given back without need, the figures are those of the engine that the rules make, and the same for
 * any back end and number of threads.
 */
#include "engine/choose-precision.h"

#include <glib/gstdio.h>
#include <string.h>

#include "engine/model.h"
#include "tests/check.h"
#include "tests/comma.h"
#include "tests/engine/net.h"

#define FRAMES 24

static KernelBackend *ref, *cpu;

/* Frames of noise, in [-2, 2] as those of net_calibrate(). */
static GPtrArray *
noise (const EngineModel *model, guint n)
{
  g_autoptr (GRand) rand = g_rand_new_with_seed (7);
  GPtrArray *frames = g_ptr_array_new_with_free_func (g_free);
  EngineInputInfo info;

  engine_model_input (model, &info);
  const gsize values = (gsize) info.height * info.width * info.channels;
  for (guint f = 0; f < n; f++) {
    float *frame = g_new (float, values);

    for (gsize i = 0; i < values; i++)
      frame[i] = (float) g_rand_double_range (rand, -2, 2);
    g_ptr_array_add (frames, frame);
  }
  return frames;
}

static EnginePrecisionChoice *
choose_on (KernelBackend *backend, int threads, const EngineModel *model,
    const EngineBuildOptions *build, const GPtrArray *frames, EnginePrecisionTarget target)
{
  const EnginePrecisionOptions options = {.build = build,
      .frames = frames,
      .alone = 4,
      .target = target,
      .threads = threads};
  g_autoptr (GError) error = NULL;
  EnginePrecisionChoice *choice =
      engine_precision_choose (model, &options, backend, NULL, NULL, NULL, &error);

  if (!choice)
    g_error ("engine_precision_choose: %s", error->message);
  return choice;
}

static EnginePrecisionChoice *
choose (const EngineModel *model, const EngineBuildOptions *build, const GPtrArray *frames,
    EnginePrecisionTarget target)
{
  return choose_on (cpu, 2, model, build, frames, target);
}

/* The score of an engine with rules, without the search. */
static EngineAgreementScore
score_of (const EngineModel *model, const EngineBuildOptions *build, const GPtrArray *frames,
    const EngineLayerRules *rules)
{
  EngineBuildOptions options = *build;
  const gboolean any = rules && engine_layer_rules_n_entries (rules) > 0;
  g_autoptr (GError) error = NULL;
  g_autoptr (Engine) exact = NULL, judged = NULL;
  g_autoptr (EngineComparison) comparison = NULL;
  EngineAgreementScore score;
  EngineInputInfo info;

  options.rules = any ? rules : NULL;
  options.precision = any ? ENGINE_PRECISION_MIXED : ENGINE_PRECISION_INT8;
  exact = engine_build (model, &(EngineBuildOptions){.precision = ENGINE_PRECISION_FP32}, NULL,
      NULL, NULL, NULL, &error);
  judged = engine_build (model, &options, NULL, NULL, NULL, NULL, &error);
  comparison = engine_comparison_new (exact, judged, cpu, &(EngineCompareOptions){0}, &error);
  if (!comparison)
    g_error ("%s", error->message);
  engine_model_input (model, &info);
  for (guint f = 0; f < frames->len; f++) {
    memcpy (engine_comparison_input (comparison), g_ptr_array_index (frames, f),
        sizeof (float) * info.height * info.width * info.channels);
    if (!engine_comparison_push (comparison, &error))
      g_error ("%s", error->message);
  }
  engine_comparison_score (comparison, &score);
  return score;
}

static gboolean
same_score (const EngineAgreementScore *a, const EngineAgreementScore *b)
{
  return a->frames == b->frames && a->top1 == b->top1 && a->top5 == b->top5 && a->sqnr == b->sqnr &&
         a->kl_mean == b->kl_mean && a->kl_p99 == b->kl_p99;
}

/* What holds for every choice. */
static void
check_choice (const EnginePrecisionChoice *choice, const EngineModel *model,
    const EngineBuildOptions *build, const GPtrArray *frames)
{
  const EngineAgreementScore before = score_of (model, build, frames, build->rules);
  const EngineAgreementScore after = score_of (model, build, frames, choice->rules);
  guint n = 0;

  CHECK (same_score (&choice->before, &before));
  CHECK (same_score (&choice->after, &after));
  if (choice->met)
    CHECK (after.top1 >= choice->target.top1 &&
           (choice->target.sqnr == 0 || after.sqnr >= choice->target.sqnr));
  CHECK (choice->int8_after <= choice->int8_before && choice->int8_before <= 1);
  for (guint i = 0; i < choice->layers->len; i++) {
    const EnginePrecisionLayer *layer = &g_array_index (choice->layers, EnginePrecisionLayer, i);
    gboolean needed = FALSE;

    CHECK (i == 0 || layer[-1].damage >= layer->damage);
    CHECK (layer->operations > 0);
    n += layer->fp32;
    for (guint s = 0; s < choice->steps->len; s++) {
      const EnginePrecisionStep *step = &g_array_index (choice->steps, EnginePrecisionStep, s);

      needed |= !step->met && g_strcmp0 (step->without, layer->tensor) == 0;
    }
    CHECK (!choice->met || layer->fp32 == needed);
  }
  CHECK_INT (n, ==, choice->n_fp32);
}

/* --- A layer that was spoilt ---------------------------------------------------------------- */

/* 5 to 8 convolutions of different widths, and classes. */
static EngineModel *
chain_model (guint32 seed, int *n_convs)
{
  g_autoptr (Net) net = net_new (seed);
  g_autoptr (GRand) rand = g_rand_new_with_seed (seed);
  int x = net_input (net, 8, 8, 3);

  *n_convs = g_rand_int_range (rand, 5, 9);
  for (int i = 0; i < *n_convs; i++)
    x = net_conv (net, x,
        (NetConv){.oc = g_rand_int_range (rand, 6, 17), .k = 3, .pad = 1, .hi = INFINITY});
  return net_model (net_finish (net, net_dense (net, x, 10)));
}

/* A tensor with a tiny range spoils the layer that writes and the one that reads it. */
static void
test_planted (void)
{
  for (guint32 seed = 1; seed <= 20; seed++) {
    int n_convs;
    g_autoptr (EngineModel) model = chain_model (seed, &n_convs);
    g_autoptr (CalibTable) table = net_calibrate (model->graph, seed, 8);
    g_autoptr (GPtrArray) frames = noise (model, FRAMES);
    const EngineBuildOptions build = {.table = table, .strict = TRUE};
    const EngineAgreementScore sound = score_of (model, &build, frames, NULL);
    const int victim = 1 + (int) seed % (n_convs - 1);
    g_autofree char *writer = g_strdup_printf ("conv%d", victim);
    g_autofree char *reader = g_strdup_printf ("conv%d", victim + 1);
    gboolean found = FALSE;
    float scale;

    if (!calib_table_lookup (table, writer, &scale)) {
      CHECK_FAIL ("seed %u: the table has no %s", seed, writer);
      continue;
    }
    calib_table_set (table, writer, scale / 64);
    g_autoptr (EnginePrecisionChoice) choice =
        choose (model, &build, frames, (EnginePrecisionTarget){.sqnr = sound.sqnr - 1});
    check_choice (choice, model, &build, frames);
    CHECK (choice->met && choice->before.sqnr < sound.sqnr - 3);
    CHECK (choice->n_fp32 >= 1 && choice->n_fp32 <= 2);
    for (guint i = 0; i < 2; i++) {
      const EnginePrecisionLayer *layer = &g_array_index (choice->layers, EnginePrecisionLayer, i);

      if (!g_str_equal (layer->tensor, writer) && !g_str_equal (layer->tensor, reader))
        CHECK_FAIL ("seed %u: the worst but %u is %s, not %s", seed, i, layer->tensor, writer);
      found |= layer->fp32;
    }
    CHECK (found && choice->int8_after < choice->int8_before);
  }
}

/* --- Any network ---------------------------------------------------------------------------- */

static void
test_random_networks (void)
{
  guint given_back = 0;

  for (guint32 seed = 1; seed <= 25; seed++) {
    g_autoptr (EngineModel) model = net_model (net_random (seed));
    g_autoptr (CalibTable) table = net_calibrate (model->graph, seed, 8);
    g_autoptr (GPtrArray) frames = noise (model, FRAMES);
    const EngineBuildOptions build = {.table = table, .strict = TRUE};
    const EngineAgreementScore int8 = score_of (model, &build, frames, NULL);
    g_autoptr (EnginePrecisionChoice) all =
        choose (model, &build, frames, (EnginePrecisionTarget){.top1 = 1});
    g_autoptr (EnginePrecisionChoice) better =
        choose (model, &build, frames, (EnginePrecisionTarget){.sqnr = fmax (int8.sqnr, 0) + 6});

    CHECK (all->met && all->after.top1 == 1 && better->met);
    check_choice (all, model, &build, frames);
    check_choice (better, model, &build, frames);
    given_back += better->n_fp32;
  }
  CHECK (given_back > 25);
}

/* All layers in floats are the FP32 network, whatever concats and reshapes are between them. */
static void
test_all_given_back (void)
{
  for (guint32 seed = 1; seed <= 40; seed++) {
    g_autoptr (EngineModel) model = net_model (net_random (seed));
    g_autoptr (CalibTable) table = net_calibrate (model->graph, seed, 8);
    g_autoptr (GPtrArray) frames = noise (model, 4);
    const EngineBuildOptions build = {.table = table, .strict = TRUE};
    g_autoptr (EnginePrecisionChoice) choice =
        choose (model, &build, frames, (EnginePrecisionTarget){.sqnr = 1e300});

    CHECK (choice->met && choice->after.sqnr == INFINITY && choice->after.kl_mean == 0);
    check_choice (choice, model, &build, frames);
  }
}

static void
test_same_everywhere (void)
{
  for (guint32 seed = 1; seed <= 8; seed++) {
    g_autoptr (EngineModel) model = net_model (net_random (seed));
    g_autoptr (CalibTable) table = net_calibrate (model->graph, seed, 8);
    g_autoptr (GPtrArray) frames = noise (model, 8);
    const EngineBuildOptions build = {.table = table};
    const EnginePrecisionTarget target = {.sqnr = 45};
    g_autoptr (EnginePrecisionChoice) a = choose_on (ref, 1, model, &build, frames, target);
    g_autoptr (EnginePrecisionChoice) b = choose_on (cpu, 3, model, &build, frames, target);
    g_autofree char *text_a = engine_precision_choice_text (a);
    g_autofree char *text_b = engine_precision_choice_text (b);
    g_autofree char *rules_a = engine_layer_rules_to_string (a->rules);
    g_autofree char *rules_b = engine_layer_rules_to_string (b->rules);

    CHECK_STR (text_b, text_a);
    CHECK_STR (rules_b, rules_a);
    CHECK (same_score (&a->after, &b->after));
  }
}

/* The text is a part of a file. */
static void
test_any_locale (void)
{
  int n_convs;
  g_autoptr (EngineModel) model = chain_model (1, &n_convs);
  g_autoptr (CalibTable) table = net_calibrate (model->graph, 1, 8);
  g_autoptr (GPtrArray) frames = noise (model, FRAMES);
  const EngineBuildOptions build = {.table = table};
  g_autoptr (EnginePrecisionChoice) choice =
      choose (model, &build, frames, (EnginePrecisionTarget){.sqnr = 45});
  g_autofree char *text = engine_precision_choice_text (choice);
  g_autofree char *summary = engine_precision_choice_summary (choice);

  if (!comma_begin ())
    SKIP (COMMA_MISSING);
  g_autofree char *text_there = engine_precision_choice_text (choice);
  g_autofree char *summary_there = engine_precision_choice_summary (choice);
  g_autofree char *number = g_strdup_printf ("%.1f", 0.5);
  comma_end ();
  CHECK_STR (text_there, text);
  CHECK_STR (summary_there, summary);
  CHECK_STR (number, "0,5"); /* which the two left as it was */
}

/* --- The ends ------------------------------------------------------------------------------- */

static void
test_already_met (void)
{
  int n_convs;
  g_autoptr (EngineModel) model = chain_model (1, &n_convs);
  g_autoptr (CalibTable) table = net_calibrate (model->graph, 1, 8);
  g_autoptr (GPtrArray) frames = noise (model, FRAMES);
  const EngineBuildOptions build = {.table = table};
  g_autoptr (EnginePrecisionChoice) choice =
      choose (model, &build, frames, (EnginePrecisionTarget){.sqnr = 1});
  g_autofree char *summary = engine_precision_choice_summary (choice);

  CHECK (choice->met && choice->n_fp32 == 0 && choice->steps->len == 0);
  CHECK_INT (engine_layer_rules_n_entries (choice->rules), ==, 0);
  CHECK (same_score (&choice->before, &choice->after));
  CHECK (choice->int8_after == 1 && choice->int8_before == 1);
  CHECK (strstr (summary, "no layer is given back"));
  CHECK_INT (choice->layers->len, ==, n_convs + 1);
}

/* Logits that are no numbers are never good enough. */
static void
test_not_met (void)
{
  int n_convs;
  g_autoptr (EngineModel) model = chain_model (2, &n_convs);
  g_autoptr (CalibTable) table = net_calibrate (model->graph, 2, 8);
  g_autoptr (GPtrArray) frames = noise (model, FRAMES);
  const EngineBuildOptions build = {.table = table};

  ((float *) g_ptr_array_index (frames, FRAMES - 1))[5] = NAN;
  g_autoptr (EnginePrecisionChoice) choice =
      choose (model, &build, frames, (EnginePrecisionTarget){.sqnr = 10});
  g_autofree char *summary = engine_precision_choice_summary (choice);

  CHECK (!choice->met && isnan (choice->after.sqnr));
  CHECK (strstr (summary, "not met, the best is"));
  for (guint s = 0; s < choice->steps->len; s++)
    CHECK (g_array_index (choice->steps, EnginePrecisionStep, s).score.top1 <= choice->after.top1);
}

static void
watch (guint done, guint total, const char *what, gpointer data)
{
  guint *last = data;

  CHECK (done >= *last && done <= total && *what);
  *last = done;
  if (done == total)
    CHECK_STR (what, "done");
}

static void
test_progress_and_cancelling (void)
{
  int n_convs;
  g_autoptr (EngineModel) model = chain_model (3, &n_convs);
  g_autoptr (CalibTable) table = net_calibrate (model->graph, 3, 8);
  g_autoptr (GPtrArray) frames = noise (model, FRAMES);
  const EngineBuildOptions build = {.table = table};
  const EnginePrecisionOptions options = {.build = &build,
      .frames = frames,
      .alone = 2,
      .target = {.sqnr = 60}};
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  g_autoptr (GError) error = NULL;
  guint last = 0;
  g_autoptr (EnginePrecisionChoice) choice =
      engine_precision_choose (model, &options, cpu, watch, &last, NULL, &error);

  CHECK (choice && choice->met && last == 1000);
  g_cancellable_cancel (cancellable);
  CHECK (!engine_precision_choose (model, &options, cpu, NULL, NULL, cancellable, &error));
  CHECK (g_error_matches (error, G_IO_ERROR, G_IO_ERROR_CANCELLED));
}

static void
test_errors (void)
{
  static const EnginePrecisionTarget bad[] = {{0, 0}, {1.01, 0}, {-1, 0}, {NAN, 0}, {0, -1},
      {0, INFINITY}};
  int n_convs;
  g_autoptr (EngineModel) model = chain_model (4, &n_convs);
  g_autoptr (CalibTable) table = net_calibrate (model->graph, 4, 8);
  g_autoptr (CalibStatistics) statistics = calib_statistics_new (NULL, CALIB_HISTOGRAM_DEFAULT);
  g_autoptr (GPtrArray) frames = noise (model, 1), none = g_ptr_array_new ();
  const EngineBuildOptions build = {.table = table};
  EnginePrecisionOptions options = {.build = &build, .frames = frames, .alone = 1};

  for (guint i = 0; i < G_N_ELEMENTS (bad); i++) {
    g_autoptr (GError) error = NULL;

    options.target = bad[i];
    CHECK (!engine_precision_choose (model, &options, cpu, NULL, NULL, NULL, &error));
    CHECK (g_error_matches (error, ENGINE_ERROR, ENGINE_ERROR_RULES));
  }
  options.target.sqnr = 10;
  options.frames = none;
  g_autoptr (GError) error = NULL;
  CHECK (!engine_precision_choose (model, &options, cpu, NULL, NULL, NULL, &error));
  CHECK (g_error_matches (error, CALIB_ERROR, CALIB_ERROR_EMPTY));
  g_clear_error (&error);
  calib_statistics_keep_frames (statistics, 1);
  calib_statistics_offer_frame (statistics, g_ptr_array_index (frames, 0), 8 * 8 * 3 - 1);
  CHECK (!engine_precision_frames (model, statistics, &error));
  CHECK (g_error_matches (error, CALIB_ERROR, CALIB_ERROR_MISMATCH));
}

/* --- The file ------------------------------------------------------------------------------- */

/* What is read back is what was chosen; a target that int8 meets leaves a rule that changes nothing. */
static void
test_file (void)
{
  g_autofree char *folder = g_dir_make_tmp ("int8-XXXXXX", NULL);
  g_autofree char *path = g_build_filename (folder, "net.table", NULL);
  g_autofree char *beside = engine_layer_rules_path (path);
  int n_convs;
  g_autoptr (EngineModel) model = chain_model (5, &n_convs);
  g_autoptr (CalibTable) table = net_calibrate (model->graph, 5, 8);
  g_autoptr (GPtrArray) frames = noise (model, FRAMES);
  const EngineBuildOptions build = {.table = table, .strict = TRUE};

  for (int met = 0; met < 2; met++) {
    g_autoptr (EnginePrecisionChoice) choice =
        choose (model, &build, frames, (EnginePrecisionTarget){.sqnr = met ? 1 : 60});
    g_autoptr (GError) error = NULL;
    g_autofree char *text = NULL, *expected = engine_layer_rules_to_string (choice->rules);

    CHECK (engine_precision_choice_save (choice, table, path, &error));
    CHECK (g_file_get_contents (beside, &text, NULL, &error));
    CHECK (text && g_str_has_prefix (text, "# Layers for precision=mixed, chosen on 24 frames"));
    g_autoptr (EngineLayerRules) rules = engine_layer_rules_load (beside, &error);
    if (!rules)
      g_error ("%s", error->message);
    g_autofree char *read = engine_layer_rules_to_string (rules);
    const EngineAgreementScore score = score_of (model, &build, frames, rules);
    if (met)
      CHECK (engine_layer_rules_n_entries (rules) == 1 && g_str_has_suffix (read, ":int8\n"));
    else
      CHECK_STR (read, expected);
    CHECK (same_score (&score, &choice->after));
    CHECK ((choice->n_fp32 == 0) == met);
  }
  g_unlink (beside);
  g_rmdir (folder);
}

int
main (void)
{
  ref = net_backend ("ref");
  cpu = net_backend ("cpu");
  RUN (test_planted);
  RUN (test_random_networks);
  RUN (test_all_given_back);
  RUN (test_same_everywhere);
  RUN (test_any_locale);
  RUN (test_already_met);
  RUN (test_not_met);
  RUN (test_progress_and_cancelling);
  RUN (test_errors);
  RUN (test_file);
  kernel_close (cpu);
  kernel_close (ref);
  return check_done ();
}
