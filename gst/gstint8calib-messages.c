/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * gstint8calib-messages.c: what int8calib says of a calibration: how far it is, which frames it took,
 * whether it has converged, and that it is done.
 */
#include "gst/gstint8calib-private.h"

#include <math.h>

#define GST_CAT_DEFAULT gst_int8_calib_debug

static const char *const reasons[] = {
    [GST_INT8_CALIB_BY_MAX_FRAMES] = "max-frames",
    [GST_INT8_CALIB_BY_EOS] = "eos",
    [GST_INT8_CALIB_BY_FINISH] = "finish",
    [GST_INT8_CALIB_CONVERGED] = "converged",
};

/* What is said of, from one moment. */
typedef struct {
  GstInt8SamplerCounts counts;
  CalibConvergenceState convergence;
  GstInt8CalibReason reason;
  double effective;
} Snapshot;

static Snapshot
look (GstInt8Calib *self)
{
  Snapshot s;

  g_mutex_lock (&self->lock);
  s.counts = self->sampler.counts;
  s.convergence = self->convergence_state;
  s.reason = self->reason;
  s.effective = gst_int8_sampler_effective (&self->sampler);
  g_mutex_unlock (&self->lock);
  return s;
}

/* --- Fields ---------------------------------------------------------------------------------- */

/* Which frames: seen, taken, skipped-interval, skipped-gap, skipped-similar, skipped-empty, dropped,
 * late (guint64), effective-frames (gdouble). */
static void
add_counts (GstStructure *fields, const Snapshot *s)
{
  /* clang-format off */
  gst_structure_set (fields,
      "seen", G_TYPE_UINT64, s->counts.seen,
      "taken", G_TYPE_UINT64, s->counts.taken,
      "skipped-interval", G_TYPE_UINT64, s->counts.interval,
      "skipped-gap", G_TYPE_UINT64, s->counts.gap,
      "skipped-similar", G_TYPE_UINT64, s->counts.similar,
      "skipped-empty", G_TYPE_UINT64, s->counts.empty,
      "dropped", G_TYPE_UINT64, s->counts.dropped,
      "late", G_TYPE_UINT64, s->counts.late,
      "effective-frames", G_TYPE_DOUBLE, s->effective, NULL);
  /* clang-format on */
}

/* The last check of auto-stop, where there was one: converged (gboolean), largest-change (gdouble, as
 * part of T) of largest-change-tensor (string), jackknife (gdouble; absent where T changes too much to be
 * worth it), clipping-ratio (gdouble), changing, drifting (guint: tensors that do not stand still, and whose
 * max |x| still grows), drift (gdouble) of drift-tensor (string). */
static void
add_convergence (GstStructure *fields, const CalibConvergenceState *c)
{
  if (!c->compared || !c->tensor)
    return;
  /* clang-format off */
  gst_structure_set (fields,
      "converged", G_TYPE_BOOLEAN, c->converged,
      "largest-change", G_TYPE_DOUBLE, c->change,
      "largest-change-tensor", G_TYPE_STRING, c->tensor,
      "clipping-ratio", G_TYPE_DOUBLE, c->clipping,
      "changing", G_TYPE_UINT, c->n_changing,
      "drifting", G_TYPE_UINT, c->n_drifting,
      "drift", G_TYPE_DOUBLE, c->drift,
      "drift-tensor", G_TYPE_STRING, c->drift_tensor, NULL);
  /* clang-format on */
  if (c->jackknife >= 0)
    gst_structure_set (fields, "jackknife", G_TYPE_DOUBLE, c->jackknife, NULL);
}

GstStructure *
gst_int8_calib_stats (GstInt8Calib *self)
{
  const Snapshot s = look (self);
  GstStructure *fields = gst_structure_new_empty ("int8-calibration-stats");

  add_counts (fields, &s);
  add_convergence (fields, &s.convergence);
  return fields;
}

/* --- Progress -------------------------------------------------------------------------------- */

/* "; skipped 20 (16 by interval, 4 similar), dropped 3" */
static void
append_counts (const GstInt8Calib *self, GString *text, const GstInt8SamplerCounts *c)
{
  const gboolean objects = self->run.objects.mode == GST_INT8_PROCESS_OBJECTS;
  const struct {
    guint64 n;
    const char *why;
  } skipped[] = {{c->interval, "by interval"}, {c->gap, "by min-gap"}, {c->similar, "similar"},
      {c->empty, objects ? "without an object" : "empty"}};
  const guint64 all = c->interval + c->gap + c->similar + c->empty;
  const char *before = " (";

  if (all)
    g_string_append_printf (text, "; skipped %" G_GUINT64_FORMAT, all);
  for (guint i = 0; i < G_N_ELEMENTS (skipped); i++) {
    if (!skipped[i].n)
      continue;
    g_string_append_printf (text, "%s%" G_GUINT64_FORMAT " %s", before, skipped[i].n,
        skipped[i].why);
    before = ", ";
  }
  g_string_append_printf (text, "%s%s dropped %" G_GUINT64_FORMAT, all ? ")" : "", all ? "," : ";",
      c->dropped);
}

/* "; largest change 1.3 % (conv7), jackknife 0.9 %" */
static void
append_convergence (GString *text, const CalibConvergenceState *c)
{
  if (!c->compared || !c->tensor)
    return;
  g_string_append_printf (text, "; largest change %.1f %% (%s)", 100 * c->change, c->tensor);
  if (c->jackknife >= 0)
    g_string_append_printf (text, ", jackknife %.1f %%", 100 * c->jackknife);
}

void
gst_int8_calib_post_progress (GstInt8Calib *self, GstProgressType type, int percent)
{
  const guint max = self->run.max_frames;
  const gboolean complete = type == GST_PROGRESS_TYPE_COMPLETE;
  const Snapshot s = look (self);
  g_autoptr (GString) text = g_string_new (complete ? "calibrated" : "calibrating");
  g_autoptr (GstStructure) fields = gst_structure_new_empty ("int8-calibration-stats");

  g_string_append_printf (text, ": %" G_GUINT64_FORMAT, self->processed);
  if (max && !complete)
    g_string_append_printf (text, " of %u", max);
  g_string_append (text, self->processed == 1 && (complete || !max) ? " frame" : " frames");
  /* of those that were taken: some of them wait to be processed */
  if (self->processed > 1) {
    const double effective = fmin (s.effective, (double) self->processed);

    g_string_append_printf (text, ", as good as %.0f independent %s", effective,
        effective < 1.5 ? "one" : "ones");
  }
  append_counts (self, text, &s.counts);
  append_convergence (text, &s.convergence);
  add_counts (fields, &s);
  add_convergence (fields, &s.convergence);
  gst_int8_progress_post (GST_ELEMENT (self), type,
      &(GstInt8Progress){.code = "calibration",
          .text = text->str,
          .percent = percent,
          .fields = fields});
}

void
gst_int8_calib_post_work (guint done, guint total, const char *what, gpointer data)
{
  GstInt8CalibWork *work = data;
  const int percent = (int) ((guint64) done * 100 / total);
  const gboolean first = work->pace.at == 0;
  g_autofree char *text = NULL;

  if (!gst_int8_pace_is_due (&work->pace, percent))
    return;
  text = g_strdup_printf ("%s: %d %%, %s", work->text, percent, what);
  gst_int8_progress_post (GST_ELEMENT (work->self),
      first           ? GST_PROGRESS_TYPE_START
      : done == total ? GST_PROGRESS_TYPE_COMPLETE
                      : GST_PROGRESS_TYPE_CONTINUE,
      &(GstInt8Progress){.code = work->code, .text = text, .percent = percent});
}

char *
gst_int8_calib_nothing (GstInt8Calib *self)
{
  const char *file = self->run.table ? self->run.table : self->run.statistics;
  const Snapshot s = look (self);
  GString *text = g_string_new (NULL);

  if (s.counts.seen == 0) {
    g_string_append (text, "the stream ended before its first frame: ");
  } else {
    g_string_append_printf (text, "%" G_GUINT64_FORMAT " frames came and none was taken",
        s.counts.seen);
    append_counts (self, text, &s.counts);
    g_string_append (text, ": ");
  }
  g_string_append_printf (text, "nothing was calibrated, and %s was not written", file);
  if (s.counts.seen > 0 && s.counts.empty == s.counts.seen &&
      self->run.objects.mode == GST_INT8_PROCESS_OBJECTS)
    g_string_append (text,
        ". process-mode=objects takes what a detector before it has marked: put one there, or see "
        "object-class and the sizes of objects that are wanted");
  return g_string_free (text, FALSE);
}

/* --- Convergence ----------------------------------------------------------------------------- */

static void
append_drift (GString *text, const CalibConvergenceState *c, CalibMethod method)
{
  if (c->n_drifting == 0)
    return;
  g_string_append_printf (text,
      "; max |x| still grows in %u of %u tensors (%s by %.1f %%), so minmax drifts", c->n_drifting,
      c->n_tensors, c->drift_tensor, 100 * c->drift);
  if (method == CALIB_METHOD_MINMAX)
    g_string_append (text,
        ": outliers keep moving it; mse, percentile and entropy2 need fewer frames");
}

void
gst_int8_calib_post_convergence (GstInt8Calib *self)
{
  const Snapshot s = look (self);
  const CalibConvergenceState *c = &s.convergence;
  g_autoptr (GString) text = g_string_new (NULL);
  g_autofree char *changing = calib_convergence_changing (self->convergence, 3);

  if (c->converged) {
    g_string_append_printf (text,
        "converged after %" G_GUINT64_FORMAT " frames: from %" G_GUINT64_FORMAT
        " frames on no threshold changed by more than %.1f %% (%s), jackknife %.1f %%",
        self->processed, c->compared, 100 * c->change, c->tensor, 100 * c->jackknife);
    append_drift (text, c, self->run.method);
    /* Twice: gst-launch shows the second. */
    GST_ELEMENT_INFO (self, STREAM, FAILED, ("%s", text->str), ("%s", text->str));
    return;
  }
  g_string_append_printf (text,
      "not converged after %" G_GUINT64_FORMAT " frames (%s): ", self->processed,
      reasons[s.reason]);
  if (!c->compared)
    g_string_append_printf (text, "the first check is at %d frames", CALIB_CONVERGENCE_FIRST);
  else if (c->n_changing == 0)
    g_string_append (text, "nothing changed at the last check, but it takes two in a row");
  else
    g_string_append_printf (text,
        "at the last check %u of %u tensors did not stand still: %s; the largest change was %.1f %% (%s)",
        c->n_changing, c->n_tensors, changing, 100 * c->change, c->tensor);
  append_drift (text, c, self->run.method);
  g_string_append (text,
      "; the table is made all the same. Take more frames, or more different ones");
  GST_ELEMENT_WARNING (self, STREAM, FAILED, ("%s", text->str), (NULL));
}

/* --- Done ------------------------------------------------------------------------------------ */

/* Strings of fields are UTF-8, which paths need not be. */
static void
add_path (GstStructure *fields, const char *name, const char *path)
{
  g_autofree char *shown = g_filename_display_name (path);

  gst_structure_set (fields, name, G_TYPE_STRING, shown, NULL);
}

/* "int8-calibration-done": skipped (gboolean: the table was there), table and statistics (string,
 * where written), frames (guint64: in the statistics, with those continued and merged), tensors (guint:
 * entries of the table), method (string; of auto the chosen one), ranking (string, with auto: all
 * methods, the best first), seconds (gdouble), non-finite (guint64: NaN and infinite
 * activations), precision (string: with precision-target, what was reached), backend (string: what
 * computed the network) and reason (string: why it ended) unless skipped, and which frames (add_counts). */
void
gst_int8_calib_post_done (GstInt8Calib *self, const GstInt8CalibOutcome *outcome)
{
  const double seconds = (double) (g_get_monotonic_time () - self->begun) * 1e-6;
  const Snapshot s = look (self);
  /* clang-format off */
  GstStructure *fields = gst_structure_new ("int8-calibration-done",
      "skipped", G_TYPE_BOOLEAN, outcome->skipped,
      "frames", G_TYPE_UINT64, outcome->frames,
      "tensors", G_TYPE_UINT, outcome->n_tensors,
      "method", G_TYPE_STRING, calib_method_name (self->run.method),
      "seconds", G_TYPE_DOUBLE, outcome->skipped ? 0.0 : seconds,
      "non-finite", G_TYPE_UINT64, outcome->n_nonfinite, NULL);
  /* clang-format on */

  add_counts (fields, &s);
  add_convergence (fields, &s.convergence);
  if (!outcome->skipped)
    gst_structure_set (fields, "reason", G_TYPE_STRING, reasons[s.reason], "backend", G_TYPE_STRING,
        self->backend->name, NULL);
  if (self->ranking)
    gst_structure_set (fields, "ranking", G_TYPE_STRING, self->ranking, NULL);
  if (self->precision)
    gst_structure_set (fields, "precision", G_TYPE_STRING, self->precision, NULL);
  if (self->run.table)
    add_path (fields, "table", self->run.table);
  if (self->run.statistics && !outcome->skipped)
    add_path (fields, "statistics", self->run.statistics);
  GST_INFO_OBJECT (self, "%" GST_PTR_FORMAT, fields);
  gst_element_post_message (GST_ELEMENT (self),
      gst_message_new_element (GST_OBJECT (self), fields));
}
