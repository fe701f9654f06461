/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* model.c: an imported and fused model, shared between threads because it never changes. */
#include "engine/build.h"
#include "engine/explicit.h"
#include "engine/model.h"
#include "engine/onnx/onnx.h"
#include "engine/pass/pass.h"

static const EngineValue *
input_value (const EngineModel *model)
{
  return engine_graph_value (model->graph, g_array_index (model->graph->inputs, int, 0));
}

static const EngineValue *
output_value (const EngineModel *model)
{
  return engine_graph_value (model->graph, g_array_index (model->graph->outputs, int, 0));
}

EngineModel *
engine_model_load (const char *path, GError **error)
{
  return engine_model_load_with (path, NULL, error);
}

EngineModel *
engine_model_load_with (const char *path, const EngineModelOptions *options, GError **error)
{
  g_autofree char *sha256 = NULL, *shown = g_filename_display_name (path);
  g_autoptr (EngineGraph) graph = engine_onnx_import_with (path, options, &sha256, error);
  EngineModel *model;

  if (!graph)
    return NULL;
  if (!engine_passes_float (graph, error)) {
    g_prefix_error (error, "model \"%s\": ", shown);
    return NULL;
  }
  model = g_new (EngineModel, 1);
  g_atomic_ref_count_init (&model->references);
  model->path = g_steal_pointer (&shown);
  model->sha256 = g_steal_pointer (&sha256);
  model->graph = g_steal_pointer (&graph);
  return model;
}

EngineModel *
engine_model_ref (EngineModel *model)
{
  g_atomic_ref_count_inc (&model->references);
  return model;
}

void
engine_model_unref (EngineModel *model)
{
  if (!model || !g_atomic_ref_count_dec (&model->references))
    return;
  engine_graph_free (model->graph);
  g_free (model->sha256);
  g_free (model->path);
  g_free (model);
}

void
engine_model_input (const EngineModel *model, EngineInputInfo *info)
{
  const EngineValue *input = input_value (model);

  info->name = input->name;
  info->height = input->dims[1];
  info->width = input->dims[2];
  info->channels = input->dims[3];
}

int
engine_model_n_classes (const EngineModel *model)
{
  return engine_value_elements (output_value (model));
}

gboolean
engine_model_has_softmax (const EngineModel *model)
{
  return engine_graph_ends_in_softmax (model->graph);
}

gboolean
engine_model_is_quantised (const EngineModel *model)
{
  return engine_graph_is_explicit (model->graph);
}

const char *
engine_model_sha256 (const EngineModel *model)
{
  return model->sha256;
}

char *
engine_model_dump (const EngineModel *model)
{
  return engine_graph_dump (model->graph);
}
