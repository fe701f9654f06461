/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * onnx/matmul.c: products of two activations, as attention has them: MatMul and Einsum. Those with
 * weights are in onnx/conv.c.
 */
#include "engine/onnx/import.h"

#include <string.h>

static int
add_matmul (EngineOnnx *onnx, const EngineOnnxNode *node, const int inputs[2], gboolean transposed,
    GError **error)
{
  EngineNode *made = engine_onnx_add (onnx, node, ENGINE_OP_MATMUL, 0, inputs, 2);

  made->matmul.transposed = transposed;
  return engine_onnx_infer (onnx, node, made, error);
}

static gboolean
both_stored (EngineOnnx *onnx, const EngineOnnxNode *node, EngineOnnxValue *a, EngineOnnxValue *b,
    int inputs[2], GError **error)
{
  inputs[0] = engine_onnx_stored (onnx, node, a, ENGINE_ONNX_PLAIN, error);
  if (inputs[0] == ENGINE_NONE)
    return FALSE;
  inputs[1] = engine_onnx_stored (onnx, node, b, ENGINE_ONNX_PLAIN, error);
  return inputs[1] != ENGINE_NONE;
}

static gboolean
define (EngineOnnx *onnx, const EngineOnnxNode *node, int value)
{
  return engine_onnx_define (onnx, node, 0, value, ENGINE_ONNX_PLAIN) &&
         engine_onnx_mark_features (onnx, node);
}

/* Whether b has one matrix where a has several: heads that share keys or values. */
static gboolean
is_shared (const EngineOnnxValue *a, const EngineOnnxValue *b)
{
  gboolean several = FALSE;

  for (int i = 1; i < a->rank - 2; i++) {
    several = several || a->dims[i] != b->dims[i];
    if (b->dims[i] != 1)
      return FALSE;
  }
  return several && a->dims[0] == b->dims[0];
}

/* Then the rows of all of a's matrices are one's. */
static int
share (EngineOnnx *onnx, const EngineOnnxNode *node, const EngineOnnxValue *a,
    const EngineOnnxValue *b, int inputs[2], GError **error)
{
  const int last = a->rank - 1;
  int rows = 1, dims[ENGINE_MAX_RANK], value;

  for (int i = 1; i < last; i++)
    rows *= a->dims[i]; /* of a value's elements, of which there are fewer than 2^31 */
  inputs[0] = engine_onnx_add_reshape (onnx, node, 0, inputs[0], 3,
      (int[]){a->dims[0], rows, a->dims[last]}, error);
  if (inputs[0] == ENGINE_NONE)
    return ENGINE_NONE;
  inputs[1] = engine_onnx_add_reshape (onnx, node, 0, inputs[1], 3,
      (int[]){b->dims[0], b->dims[last - 1], b->dims[last]}, error);
  if (inputs[1] == ENGINE_NONE)
    return ENGINE_NONE;
  value = add_matmul (onnx, node, inputs, FALSE, error);
  memcpy (dims, a->dims, sizeof dims);
  dims[last] = b->dims[last];
  return engine_onnx_add_reshape (onnx, node, 0, value, a->rank, dims, error);
}

gboolean
engine_onnx_matmul_activations (EngineOnnx *onnx, const EngineOnnxNode *node, EngineOnnxValue *a,
    EngineOnnxValue *b, GError **error)
{
  int inputs[2];

  if (a->rank != b->rank || a->rank < 3)
    return ENGINE_ONNX_UNSUPPORTED (
        "%d axes times %d axes, both computed; as many each, 3 or more, "
        "can be done",
        a->rank, b->rank);
  if (!both_stored (onnx, node, a, b, inputs, error))
    return FALSE;
  if (is_shared (a, b)) {
    const int value = share (onnx, node, a, b, inputs, error);

    if (value == ENGINE_NONE)
      return FALSE;
    engine_graph_rename (onnx->graph, value, node->proto->output[0]);
    return define (onnx, node, value);
  }
  return define (onnx, node, add_matmul (onnx, node, inputs, FALSE, error));
}

/* --- Einsum --------------------------------------------------------------------------------- */

/* The labels of both operands and of the result, without blanks. */
static gboolean
read_equation (const char *equation, char labels[3][ENGINE_MAX_RANK + 1])
{
  int part = 0, n = 0;

  for (const char *c = equation; *c; c++) {
    if (*c == ' ')
      continue;
    if ((*c == ',' && part == 0) || (*c == '-' && c[1] == '>' && part == 1)) {
      labels[part++][n] = '\0';
      n = 0;
      c += *c == '-';
    } else if (g_ascii_isalpha (*c) && n < ENGINE_MAX_RANK) {
      labels[part][n++] = *c;
    } else {
      return FALSE;
    }
  }
  labels[part][n] = '\0';
  return part == 2;
}

/* Whether it is [.. i k], [.. k j] or [.. j k] -> [.. i j]. */
static gboolean
is_matmul (char labels[3][ENGINE_MAX_RANK + 1], gboolean *transposed)
{
  const char *a = labels[0], *b = labels[1], *y = labels[2];
  const gsize rank = strlen (a), n = rank - 2;
  gsize k;

  if (rank < 3 || strlen (b) != rank || strlen (y) != rank || strncmp (a, b, n) != 0 ||
      strncmp (a, y, n) != 0)
    return FALSE;
  *transposed = b[n + 1] == a[n + 1];
  k = *transposed ? n + 1 : n;
  return b[k] == a[n + 1] && y[n] == a[n] && y[n + 1] == b[*transposed ? n : n + 1] &&
         y[n] != y[n + 1] && a[n + 1] != y[n] && a[n + 1] != y[n + 1];
}

gboolean
engine_onnx_import_einsum (EngineOnnx *onnx, const EngineOnnxNode *node, GError **error)
{
  EngineOnnxValue *a = engine_onnx_activation (onnx, node, 0, error);
  EngineOnnxValue *b = a ? engine_onnx_activation (onnx, node, 1, error) : NULL;
  char labels[3][ENGINE_MAX_RANK + 1];
  g_autofree char *equation = NULL;
  gboolean transposed;
  int inputs[2];

  if (!b || !engine_onnx_string (node, "equation", "", &equation, error))
    return FALSE;
  if (!read_equation (equation, labels) || !is_matmul (labels, &transposed))
    return ENGINE_ONNX_UNSUPPORTED (
        "equation \"%.64s\"; products of matrices, as bhik,bhkj->bhij or bhik,bhjk->bhij, can be done",
        equation);
  if ((int) strlen (labels[0]) != a->rank || (int) strlen (labels[1]) != b->rank)
    return ENGINE_ONNX_REFUSE ("equation \"%.64s\" for inputs of %d and %d axes", equation, a->rank,
        b->rank);
  return both_stored (onnx, node, a, b, inputs, error) &&
         define (onnx, node, add_matmul (onnx, node, inputs, transposed, error));
}
