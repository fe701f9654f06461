/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* input.c: images and tensors of files, in the input tensor of a network. */
#include <math.h>

#include "tools/samples.h"

struct _ToolInput {
  EnginePreprocessor *preprocessor;
  EngineUpload *upload; /* NULL: the back end computes in host memory */
  KernelBackend *backend;
  KernelQueue *queue;
  EngineInputInfo info;
  EngineType type;
  float scale;
  int zero;
  void *tensor; /* in host memory */
};

ToolInput *
tool_input_new (const EnginePreprocess *preprocess, const EngineInputInfo *info, EngineType type,
    float scale, int zero, KernelBackend *backend, GError **error)
{
  g_autoptr (ToolInput) input = g_new0 (ToolInput, 1);

  input->backend = backend;
  input->info = *info;
  input->type = type;
  input->scale = scale;
  input->zero = zero;
  input->tensor = g_new (float, (gsize) info->height * info->width * info->channels);
  input->preprocessor = engine_preprocessor_new (preprocess, info->channels, info->height,
      info->width, type, scale, zero, backend, error);
  if (!input->preprocessor)
    return NULL;
  input->queue = backend->queue_new (backend, 1);
  if (!backend->host_memory)
    input->upload = engine_upload_new (backend);
  if (input->queue)
    return g_steal_pointer (&input);
  g_set_error (error, ENGINE_ERROR, ENGINE_ERROR_BACKEND, "back end '%s' could not make a queue",
      backend->name);
  return NULL;
}

ToolInput *
tool_input_of_engine (const EnginePreprocess *preprocess, const Engine *engine,
    KernelBackend *backend, GError **error)
{
  EngineInputInfo info;
  float scale = 1;
  int zero = 0;
  const EngineType type = engine_input_type (engine, &scale, &zero);

  engine_input (engine, &info);
  return tool_input_new (preprocess, &info, type, scale, zero, backend, error);
}

void
tool_input_free (ToolInput *input)
{
  if (!input)
    return;
  engine_upload_free (input->upload);
  g_clear_pointer (&input->preprocessor, engine_preprocessor_free);
  if (input->queue)
    input->backend->queue_free (input->queue);
  g_free (input->tensor);
  g_free (input);
}

/* [c h w] to [h w c], in the tensor's type. */
static gsize
convert (ToolInput *input, const float *x)
{
  const int c = input->info.channels, pixels = input->info.height * input->info.width;

  for (int k = 0; k < c; k++)
    for (int i = 0; i < pixels; i++) {
      const float value = x[k * pixels + i];

      if (input->type == ENGINE_TYPE_S8)
        ((gint8 *) input->tensor)[i * c + k] =
            (gint8) fmin (fmax (rint ((double) value / input->scale + input->zero), -128), 127);
      else
        ((float *) input->tensor)[i * c + k] = value;
    }
  return (gsize) c * pixels * (input->type == ENGINE_TYPE_S8 ? 1 : sizeof (float));
}

gboolean
tool_input_write (ToolInput *input, const ToolSample *sample, void *tensor, GError **error)
{
  const char *failure;

  if (sample->tensor)
    input->backend->upload (input->queue, tensor, input->tensor, convert (input, sample->tensor));
  else if (!engine_preprocessor_run_from_host (input->preprocessor, sample->image, NULL,
               input->upload, input->queue, tensor, error)) {
    g_prefix_error (error, "'%s': ", sample->name);
    return FALSE;
  }
  failure = input->backend->queue_wait (input->queue);
  if (failure)
    g_set_error (error, ENGINE_ERROR, ENGINE_ERROR_BACKEND, "back end '%s' failed: %s",
        input->backend->name, failure);
  return !failure;
}
