/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * gstint8calib-precision.c: the property "precision-target": at the end layers are given back to FP32 on
 * the frames that were kept, and written beside the table.
 */
#include "gst/gstint8calib-private.h"

#define GST_CAT_DEFAULT gst_int8_calib_debug

/* Where keep-frames says nothing: one of them is half a percent. */
#define FRAMES_KEPT 200
/* On which every layer is run alone. */
#define FRAMES_ALONE 8

typedef struct {
  GstInt8Calib *self;
  GCancellable *cancellable;
  GstInt8Pace pace;
} Choice;

void
gst_int8_calib_keep_for_precision (GstInt8Calib *self, CalibStatistics *statistics)
{
  if (self->run.precision_target > 0 && self->run.keep_frames == 0)
    calib_statistics_keep_frames (statistics, FRAMES_KEPT);
}

static gboolean
is_stopping (GstInt8Calib *self)
{
  gboolean stop;

  g_mutex_lock (&self->lock);
  stop = self->stop;
  g_mutex_unlock (&self->lock);
  return stop;
}

static void
on_progress (guint done, guint total, const char *what, gpointer data)
{
  Choice *choice = data;
  const int percent = (int) ((guint64) done * 100 / total);
  const gboolean first = choice->pace.at == 0;
  g_autofree char *text = NULL;

  if (is_stopping (choice->self))
    g_cancellable_cancel (choice->cancellable);
  if (!gst_int8_pace_is_due (&choice->pace, percent))
    return;
  text = g_strdup_printf ("choosing layers for fp32: %d %%, %s", percent, what);
  gst_int8_progress_post (GST_ELEMENT (choice->self),
      first ? GST_PROGRESS_TYPE_START : GST_PROGRESS_TYPE_CONTINUE,
      &(GstInt8Progress){.code = "precision", .text = text, .layer = what, .percent = percent});
}

static void
post_end (GstInt8Calib *self, const GError *error)
{
  const gboolean cancelled = g_error_matches (error, G_IO_ERROR, G_IO_ERROR_CANCELLED);

  gst_int8_progress_post (GST_ELEMENT (self),
      !error      ? GST_PROGRESS_TYPE_COMPLETE
      : cancelled ? GST_PROGRESS_TYPE_CANCELED
                  : GST_PROGRESS_TYPE_ERROR,
      &(GstInt8Progress){.code = "precision",
          .text = !error      ? "layers for fp32 chosen"
                  : cancelled ? "stopped before layers for fp32 were chosen"
                              : error->message,
          .percent = error ? -1 : 100});
}

static EnginePrecisionChoice *
choose (GstInt8Calib *self, const CalibTable *table, const EngineBias *bias, GError **error)
{
  const EngineBuildOptions build = {.precision = ENGINE_PRECISION_INT8,
      .ranges = ENGINE_RANGES_FULL,
      .table = table,
      .bias = bias,
      .preprocess = &self->preprocess};
  g_autoptr (GPtrArray) frames = engine_precision_frames (self->model, self->statistics, error);
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  Choice state = {self, cancellable, {0}};

  if (!frames)
    return NULL;
  const EnginePrecisionOptions options = {.build = &build,
      .frames = frames,
      .alone = FRAMES_ALONE,
      .target.top1 = self->run.precision_target,
      .threads = (int) self->run.config.threads};
  return engine_precision_choose (self->model, &options, self->host, on_progress, &state,
      cancellable, error);
}

/* Twice each: gst-launch shows the second. */
static void
tell (GstInt8Calib *self, const EnginePrecisionChoice *choice)
{
  g_autofree char *details = engine_precision_choice_text (choice);

  GST_DEBUG_OBJECT (self, "the layers that were chosen\n%s", details);
  if (choice->met)
    GST_ELEMENT_INFO (self, STREAM, FAILED, ("%s", self->precision), ("%s", self->precision));
  else
    GST_ELEMENT_WARNING (self, STREAM, FAILED,
        ("%s; no layers are written beside %s", self->precision, self->run.table),
        ("%s", self->precision));
}

gboolean
gst_int8_calib_choose_precision (GstInt8Calib *self, const CalibTable *table,
    const EngineBias *bias, GError **error)
{
  g_autoptr (EnginePrecisionChoice) choice = NULL;
  g_autoptr (GError) failure = NULL;

  if (self->run.precision_target == 0)
    return TRUE;
  choice = choose (self, table, bias, &failure);
  post_end (self, failure);
  if (g_error_matches (failure, G_IO_ERROR, G_IO_ERROR_CANCELLED))
    return TRUE; /* the table is there; whoever stops wants no error */
  if (choice) {
    g_free (self->precision);
    self->precision = engine_precision_choice_summary (choice);
    tell (self, choice);
    if (!choice->met || engine_precision_choice_save (choice, table, self->run.table, &failure))
      return TRUE;
  }
  g_propagate_prefixed_error (error, g_steal_pointer (&failure),
      "precision-target=%g: ", self->run.precision_target);
  return FALSE;
}
