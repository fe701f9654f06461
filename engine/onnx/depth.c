/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* onnx/depth.c: DepthToSpace and SpaceToDepth: a transpose of six axes between two reshapes. */
#include <string.h>

#include "engine/onnx/import.h"

int
engine_onnx_add_shuffle (EngineOnnx *onnx, const EngineOnnxNode *node, int value,
    const int before[6], const int perm[6], int rank, const int *after, GError **error)
{
  EngineNode *transpose;

  value = engine_onnx_add_reshape (onnx, node, 0, value, 6, before, error);
  if (value == ENGINE_NONE)
    return ENGINE_NONE;
  transpose = engine_onnx_add (onnx, node, ENGINE_OP_TRANSPOSE, 0, &value, 1);
  memcpy (transpose->transpose.perm, perm, 6 * sizeof *perm);
  return engine_onnx_add_reshape (onnx, node, 0, engine_onnx_infer (onnx, node, transpose, error),
      rank, after, error);
}

static gboolean
shuffle (EngineOnnx *onnx, const EngineOnnxNode *node, const int before[6], const int perm[6],
    const int after[4], GError **error)
{
  EngineOnnxValue *x = engine_onnx_activation (onnx, node, 0, error);
  const int value = engine_onnx_add_shuffle (onnx, node,
      engine_onnx_stored (onnx, node, x, ENGINE_ONNX_CHANNELS_LAST, error), before, perm, 4, after,
      error);

  if (value == ENGINE_NONE)
    return FALSE;
  engine_graph_rename (onnx->graph, value, node->proto->output[0]);
  return engine_onnx_define (onnx, node, 0, value, ENGINE_ONNX_CHANNELS_LAST);
}

static gboolean
read_block (EngineOnnx *onnx, const EngineOnnxNode *node, const EngineOnnxValue **x, int *block,
    GError **error)
{
  gint64 size;

  *x = engine_onnx_activation (onnx, node, 0, error);
  if (!*x || !engine_onnx_int (node, "blocksize", 0, &size, error))
    return FALSE;
  if ((*x)->rank != 4 || size < 1 || size > 4096)
    return ENGINE_ONNX_UNSUPPORTED ("an input of %d axes, blocks of %" G_GINT64_FORMAT, (*x)->rank,
        size);
  *block = size;
  return TRUE;
}

gboolean
engine_onnx_import_depth_to_space (EngineOnnx *onnx, const EngineOnnxNode *node, GError **error)
{
  const EngineOnnxValue *x;
  g_autofree char *mode = NULL;
  int b = 1;

  if (!read_block (onnx, node, &x, &b, error) ||
      !engine_onnx_string (node, "mode", "DCR", &mode, error))
    return FALSE;
  const int c = x->dims[1], h = x->dims[2], w = x->dims[3];

  if (c % (b * b) != 0)
    return ENGINE_ONNX_REFUSE ("%d channels in blocks of %d by %d", c, b, b);
  const int rest = c / (b * b), after[] = {1, h * b, w * b, rest};

  if (strcmp (mode, "CRD") == 0)
    return shuffle (onnx, node, (const int[]){1, h, w, rest, b, b}, (const int[]){0, 1, 4, 2, 5, 3},
        after, error);
  return shuffle (onnx, node, (const int[]){1, h, w, b, b, rest}, (const int[]){0, 1, 3, 2, 4, 5},
      after, error);
}

gboolean
engine_onnx_import_space_to_depth (EngineOnnx *onnx, const EngineOnnxNode *node, GError **error)
{
  const EngineOnnxValue *x;
  int b = 1;

  if (!read_block (onnx, node, &x, &b, error))
    return FALSE;
  const int c = x->dims[1], h = x->dims[2], w = x->dims[3];

  if (h % b != 0 || w % b != 0)
    return ENGINE_ONNX_REFUSE ("%d by %d pixels in blocks of %d", h, w, b);
  return shuffle (onnx, node, (const int[]){1, h / b, b, w / b, b, c},
      (const int[]){0, 1, 3, 2, 4, 5}, (const int[]){1, h / b, w / b, b * b * c}, error);
}
