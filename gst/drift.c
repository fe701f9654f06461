/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* drift.c: sliding means over examined frames. */
#include "gst/drift.h"

#include <math.h>

#define MOST_TENSORS 5 /* that a message names */

/* An int8 activation that its layer computes; those that pass on others' values have the same. */
typedef struct {
  guint index; /* in the comparison */
  const char *name;
  double lowest, highest;   /* the calibrated range */
  float *clipped, *largest; /* [window]: share of values beyond it; largest exact magnitude */
} Tensor;

struct _GstInt8Drift {
  GstInt8DriftLimits limits;
  guint64 n; /* frames ever added */
  Tensor *tensors;
  guint n_tensors;
  gboolean *agreed; /* [window] */
  double *noise;    /* [window]: of the logits, noise / signal */
};

GstInt8Drift *
gst_int8_drift_new (const EngineComparison *comparison, const GstInt8DriftLimits *limits)
{
  const guint n = engine_comparison_n_tensors (comparison);
  GstInt8Drift *drift = g_new0 (GstInt8Drift, 1);

  g_return_val_if_fail (limits->window > 0, NULL);

  drift->limits = *limits;
  drift->tensors = g_new0 (Tensor, n);
  drift->agreed = g_new0 (gboolean, limits->window);
  drift->noise = g_new0 (double, limits->window);
  for (guint i = 0; i < n; i++) {
    EngineTensorScore score;

    engine_comparison_tensor (comparison, i, &score);
    if (!score.int8 || !score.computes)
      continue;
    drift->tensors[drift->n_tensors++] = (Tensor){.index = i,
        .name = score.name,
        .lowest = (-128.0 - score.zero) * score.scale,
        .highest = (127.0 - score.zero) * score.scale,
        .clipped = g_new0 (float, limits->window),
        .largest = g_new0 (float, limits->window)};
  }
  return drift;
}

void
gst_int8_drift_free (GstInt8Drift *drift)
{
  if (!drift)
    return;
  for (guint i = 0; i < drift->n_tensors; i++) {
    g_free (drift->tensors[i].clipped);
    g_free (drift->tensors[i].largest);
  }
  g_free (drift->tensors);
  g_free (drift->agreed);
  g_free (drift->noise);
  g_free (drift);
}

void
gst_int8_drift_add (GstInt8Drift *drift, const EngineComparison *comparison)
{
  const guint at = (guint) (drift->n++ % drift->limits.window);
  EngineAgreementScore agreement;

  engine_comparison_score (comparison, &agreement);
  drift->agreed[at] = agreement.top1 > 0.5; /* of one frame: 0 or 1 */
  drift->noise[at] = pow (10, -agreement.sqnr / 10);
  for (guint i = 0; i < drift->n_tensors; i++) {
    EngineTensorScore score;

    engine_comparison_tensor (comparison, drift->tensors[i].index, &score);
    drift->tensors[i].clipped[at] = (float) score.saturated;
    drift->tensors[i].largest[at] = (float) score.largest;
  }
}

static guint
n_frames (const GstInt8Drift *drift)
{
  return (guint) MIN (drift->n, drift->limits.window);
}

/* --- Verdict --------------------------------------------------------------------------------- */

static double
clipped_share (const GstInt8Drift *drift, const Tensor *tensor)
{
  const guint n = n_frames (drift);
  double sum = 0;

  for (guint i = 0; i < n; i++)
    sum += tensor->clipped[i];
  return n ? sum / n : 0;
}

void
gst_int8_drift_verdict (const GstInt8Drift *drift, GstInt8DriftVerdict *verdict)
{
  const guint n = n_frames (drift);
  const gboolean full = n == drift->limits.window;
  double noise = 0;
  guint agreed = 0;

  *verdict = (GstInt8DriftVerdict){.frames = n, .agreement = NAN, .sqnr = NAN, .tensor = ""};
  if (n == 0)
    return;
  for (guint i = 0; i < n; i++) {
    agreed += drift->agreed[i];
    noise += drift->noise[i];
  }
  verdict->agreement = (double) agreed / n;
  verdict->sqnr = engine_sqnr (n, noise);
  for (guint i = 0; i < drift->n_tensors; i++) {
    const double share = clipped_share (drift, &drift->tensors[i]);

    if (share > verdict->clip) {
      verdict->clip = share;
      verdict->tensor = drift->tensors[i].name;
    }
  }
  verdict->clips = full && verdict->clip > drift->limits.clip;
  verdict->disagrees = full && verdict->agreement < drift->limits.agreement;
}

/* --- Message --------------------------------------------------------------------------------- */

typedef struct {
  const Tensor *tensor;
  double share;
} Ranked;

static int
compare_shares (gconstpointer a, gconstpointer b)
{
  const Ranked *x = a, *y = b;

  return (x->share < y->share) - (x->share > y->share);
}

/* Ranked, the most clipped first. */
static GArray *
rank_tensors (const GstInt8Drift *drift)
{
  GArray *ranked = g_array_new (FALSE, FALSE, sizeof (Ranked));

  for (guint i = 0; i < drift->n_tensors; i++) {
    const Ranked one = {&drift->tensors[i], clipped_share (drift, &drift->tensors[i])};

    if (one.share > 0)
      g_array_append_val (ranked, one);
  }
  g_array_sort (ranked, compare_shares);
  g_array_set_size (ranked, MIN (ranked->len, MOST_TENSORS));
  return ranked;
}

static void
append_double (GValue *array, double x)
{
  GValue value = G_VALUE_INIT;

  g_value_init (&value, G_TYPE_DOUBLE);
  g_value_set_double (&value, x);
  gst_value_array_append_and_take_value (array, &value);
}

static void
append_string (GValue *array, const char *text)
{
  GValue value = G_VALUE_INIT;

  g_value_init (&value, G_TYPE_STRING);
  g_value_set_string (&value, text);
  gst_value_array_append_and_take_value (array, &value);
}

static void
add_tensors (const GstInt8Drift *drift, const GArray *ranked, GstStructure *fields)
{
  static const char *const names[] = {"tensors", "clipped", "range-min", "range-max", "largest"};
  GValue arrays[G_N_ELEMENTS (names)] = {G_VALUE_INIT};

  for (guint k = 0; k < G_N_ELEMENTS (names); k++)
    gst_value_array_init (&arrays[k], ranked->len);
  for (guint i = 0; i < ranked->len; i++) {
    const Ranked *one = &g_array_index (ranked, Ranked, i);
    double largest = 0;

    for (guint k = 0; k < n_frames (drift); k++)
      largest = MAX (largest, one->tensor->largest[k]);
    append_string (&arrays[0], one->tensor->name);
    append_double (&arrays[1], one->share);
    append_double (&arrays[2], one->tensor->lowest);
    append_double (&arrays[3], one->tensor->highest);
    append_double (&arrays[4], largest);
  }
  for (guint k = 0; k < G_N_ELEMENTS (names); k++)
    gst_structure_take_value (fields, names[k], &arrays[k]);
}

static char *
describe (const GstInt8DriftVerdict *verdict, const GArray *ranked)
{
  const Ranked *worst = ranked->len ? &g_array_index (ranked, Ranked, 0) : NULL;
  g_autofree char *clipping =
      worst ? g_strdup_printf ("%.3g %% of %s lies beyond its range of %.4g to %.4g",
                  100 * worst->share, worst->tensor->name, worst->tensor->lowest,
                  worst->tensor->highest)
            : g_strdup ("no tensor is clipped");

  return g_strdup_printf (
      "of the last %u examined frames %.3g %% have the best class of FP32, logit "
      "SQNR %.3g dB; %s. Calibrate on frames as they are now (int8calib; "
      "\"merge\" adds the statistics from before) and set calibration-table, "
      "which may be done while playing",
      verdict->frames, 100 * verdict->agreement, verdict->sqnr, clipping);
}

GstStructure *
gst_int8_drift_to_structure (const GstInt8Drift *drift)
{
  g_autoptr (GArray) ranked = rank_tensors (drift);
  g_autofree char *text = NULL;
  GstInt8DriftVerdict verdict;
  GstStructure *fields;

  gst_int8_drift_verdict (drift, &verdict);
  text = describe (&verdict, ranked);
  /* clang-format off */
  fields = gst_structure_new ("int8-drift",
      "window", G_TYPE_UINT, verdict.frames,
      "agreement", G_TYPE_DOUBLE, verdict.agreement,
      "logit-sqnr", G_TYPE_DOUBLE, verdict.sqnr,
      "reason", G_TYPE_STRING, verdict.clips && verdict.disagrees ? "clipping, agreement"
                               : verdict.clips                    ? "clipping"
                               : verdict.disagrees                ? "agreement"
                                                                  : "",
      "text", G_TYPE_STRING, text, NULL);
  /* clang-format on */
  add_tensors (drift, ranked, fields);
  return fields;
}
