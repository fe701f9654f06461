/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* runner.c: frames through an engine. */
#include "gst/runner.h"

#include <string.h>

struct _GstInt8Runner {
  Engine *engine;
  KernelBackend *backend;
  const GstObject *context;
  EngineExec *exec;
  EnginePreprocessor *preprocessor;
  guint max_batch, n_classes;
  guint n_mapped;
  GstInt8Frame *frames; /* max_batch */
  EngineUpload *
      *uploads;          /* max_batch, where frames have to be brought to the back end; else NULL */
  float *scores;         /* n_classes */
  GstInt8Class *classes; /* n_classes */
};

GstInt8Runner *
gst_int8_runner_new (Engine *engine, const EnginePreprocess *preprocess, KernelBackend *backend,
    const GstObject *context, guint max_batch, guint threads, GError **error)
{
  g_autoptr (GstInt8Runner) runner = g_new0 (GstInt8Runner, 1);
  EngineInputInfo input;
  EngineType type;
  float scale = 1;
  int zero = 0;

  engine_input (engine, &input);
  if (!engine_preprocess_check (preprocess, input.channels, error))
    return NULL;

  runner->engine = engine_ref (engine);
  runner->backend = backend;
  runner->context = context;
  runner->max_batch = max_batch;
  runner->n_classes = (guint) engine_n_classes (engine);
  runner->frames = g_new0 (GstInt8Frame, max_batch);
  if (!backend->host_memory)
    runner->uploads = g_new0 (EngineUpload *, max_batch);
  for (guint i = 0; runner->uploads && i < max_batch; i++)
    runner->uploads[i] = engine_upload_new (backend);
  runner->scores = g_new0 (float, runner->n_classes);
  runner->classes = g_new0 (GstInt8Class, runner->n_classes);
  runner->exec = engine_exec_new (engine, backend, (int) max_batch, (int) threads, error);
  if (!runner->exec)
    return NULL;
  type = engine_input_type (engine, &scale, &zero);
  runner->preprocessor = engine_preprocessor_new (preprocess, input.channels, input.height,
      input.width, type, scale, zero, backend, error);
  if (!runner->preprocessor)
    return NULL;
  return g_steal_pointer (&runner);
}

void
gst_int8_runner_free (GstInt8Runner *runner)
{
  if (!runner)
    return;
  engine_preprocessor_free (runner->preprocessor);
  if (runner->exec)
    engine_exec_free (runner->exec);
  engine_unref (runner->engine);
  for (guint i = 0; runner->uploads && i < runner->max_batch; i++)
    engine_upload_free (runner->uploads[i]);
  g_free (runner->uploads);
  g_free (runner->frames);
  g_free (runner->scores);
  g_free (runner->classes);
  g_free (runner);
}

const char *
gst_int8_runner_tactics (const GstInt8Runner *runner)
{
  return engine_exec_tuning (runner->exec);
}

static void
unmap_all (GstInt8Runner *runner)
{
  while (runner->n_mapped > 0)
    gst_int8_frame_unmap (&runner->frames[--runner->n_mapped]);
}

gboolean
gst_int8_runner_add (GstInt8Runner *runner, const GstInt8FrameFormat *format, GstBuffer *buffer,
    const EngineRect *region, GError **error)
{
  const guint at = runner->n_mapped;
  GstInt8Frame *frame = &runner->frames[at];
  const EngineRect *part;

  g_return_val_if_fail (at < runner->max_batch, FALSE);
  if (!gst_int8_frame_map (frame, format, buffer, runner->context, error))
    return FALSE;
  part = region ? region : frame->has_crop ? &frame->crop : NULL;
  if (engine_preprocessor_run_from_host (runner->preprocessor, &frame->image, part,
          runner->uploads && !frame->on_device ? runner->uploads[at] : NULL,
          engine_exec_queue (runner->exec), engine_exec_input (runner->exec, (int) at), error)) {
    runner->n_mapped++;
    return TRUE;
  }
  /* The first error is the one to report; what is queued still reads the frame. */
  runner->backend->queue_wait (engine_exec_queue (runner->exec));
  gst_int8_frame_unmap (frame);
  return FALSE;
}

gboolean
gst_int8_runner_start (GstInt8Runner *runner, GError **error)
{
  g_return_val_if_fail (runner->n_mapped > 0, FALSE);
  if (engine_exec_start (runner->exec, (int) runner->n_mapped, error))
    return TRUE;
  unmap_all (runner);
  return FALSE;
}

gboolean
gst_int8_runner_wait (GstInt8Runner *runner, GError **error)
{
  const gboolean ok = engine_exec_wait (runner->exec, error);

  unmap_all (runner);
  return ok;
}

guint
gst_int8_runner_classify (GstInt8Runner *runner, guint picture, guint top_k, double threshold,
    GstInt8Softmax softmax, const GstInt8Class **best)
{
  const float *scores = engine_exec_output (runner->exec, (int) picture);

  *best = runner->classes;
  if (softmax == GST_INT8_SOFTMAX_ON ||
      (softmax == GST_INT8_SOFTMAX_AUTO && !engine_has_softmax (runner->engine))) {
    memcpy (runner->scores, scores, runner->n_classes * sizeof *scores);
    engine_softmax (runner->scores, (int) runner->n_classes);
    scores = runner->scores;
  }
  return gst_int8_top_k (scores, runner->n_classes, top_k, threshold, runner->classes);
}

void
gst_int8_runner_output (GstInt8Runner *runner, guint picture, GstInt8Output *output)
{
  *output = (GstInt8Output){.values = g_memdup2 (engine_exec_output (runner->exec, (int) picture),
                                runner->n_classes * sizeof *output->values),
      .n = runner->n_classes,
      .is_softmaxed = engine_has_softmax (runner->engine)};
}
