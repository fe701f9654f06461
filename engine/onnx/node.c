/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* onnx/node.c: what a node says: its inputs and attributes, each checked for its kind. */
#include <string.h>

#include "engine/onnx/import.h"

gboolean
engine_onnx_fail (const EngineOnnxNode *node, EngineError code, GError **error, const char *format,
    ...)
{
  g_autofree char *cause = NULL;
  va_list args;

  va_start (args, format);
  cause = g_strdup_vprintf (format, args);
  va_end (args);
  g_set_error (error, ENGINE_ERROR, code, "node \"%s\" (%s): %s", node->name, node->proto->op_type,
      cause);
  return FALSE;
}

/* --- Inputs --------------------------------------------------------------------------------- */

gboolean
engine_onnx_has_input (const EngineOnnxNode *node, guint i)
{
  return i < node->proto->n_input && node->proto->input[i][0] != '\0';
}

/* The initialisers become values when they are first read: those nobody reads cost nothing. */
static EngineOnnxValue *
read_tensor (EngineOnnx *onnx, const EngineOnnxNode *node, const char *name, GError **error)
{
  const EngineOnnx__TensorProto *tensor = g_hash_table_lookup (onnx->tensors, name);
  EngineOnnxConstant *constant;
  EngineOnnxValue *value;

  if (!tensor) {
    ENGINE_ONNX_UNSUPPORTED ("input \"%s\" is an output of its node that is not computed here",
        name);
    return NULL;
  }
  constant = engine_onnx_tensor_constant (onnx, tensor, error);
  if (!constant)
    return NULL;
  value = engine_onnx_new_value (onnx, name);
  value->constant = constant;
  return value;
}

EngineOnnxValue *
engine_onnx_input (EngineOnnx *onnx, const EngineOnnxNode *node, guint i, GError **error)
{
  EngineOnnxValue *value;

  if (!engine_onnx_has_input (node, i)) {
    ENGINE_ONNX_REFUSE ("input %u is missing", i);
    return NULL;
  }
  value = g_hash_table_lookup (onnx->values, node->proto->input[i]);
  return value ? value : read_tensor (onnx, node, node->proto->input[i], error);
}

EngineOnnxValue *
engine_onnx_activation (EngineOnnx *onnx, const EngineOnnxNode *node, guint i, GError **error)
{
  EngineOnnxValue *value = engine_onnx_input (onnx, node, i, error);

  if (value && value->constant) {
    ENGINE_ONNX_UNSUPPORTED (
        "input %u (\"%s\") is a constant; something computed from the image can be done", i,
        value->name);
    return NULL;
  }
  return value;
}

static const EngineOnnxConstant *
constant_input (EngineOnnx *onnx, const EngineOnnxNode *node, guint i, GError **error)
{
  const EngineOnnxValue *value = engine_onnx_input (onnx, node, i, error);

  if (value && !value->constant) {
    ENGINE_ONNX_UNSUPPORTED ("input %u (\"%s\") is computed from the image; a constant can be done",
        i, value->name);
    return NULL;
  }
  return value ? value->constant : NULL;
}

const EngineOnnxConstant *
engine_onnx_floats (EngineOnnx *onnx, const EngineOnnxNode *node, guint i, GError **error)
{
  const EngineOnnxConstant *constant = constant_input (onnx, node, i, error);

  if (constant && !constant->f) {
    ENGINE_ONNX_REFUSE ("input %u holds integers where floats are needed", i);
    return NULL;
  }
  return constant;
}

const EngineOnnxConstant *
engine_onnx_integers (EngineOnnx *onnx, const EngineOnnxNode *node, guint i, GError **error)
{
  const EngineOnnxConstant *constant = constant_input (onnx, node, i, error);

  if (constant && !constant->i) {
    ENGINE_ONNX_REFUSE ("input %u holds floats where integers are needed", i);
    return NULL;
  }
  return constant;
}

gboolean
engine_onnx_scalar (EngineOnnx *onnx, const EngineOnnxNode *node, guint i, float *value,
    GError **error)
{
  const EngineOnnxConstant *constant = engine_onnx_floats (onnx, node, i, error);

  if (!constant)
    return FALSE;
  if (constant->n != 1)
    return ENGINE_ONNX_REFUSE ("input %u has %" G_GINT64_FORMAT " elements; one is needed", i,
        constant->n);
  *value = engine_onnx_f (constant, 0);
  return TRUE;
}

/* --- Attributes ----------------------------------------------------------------------------- */

enum {
  TYPE_FLOAT = 1,
  TYPE_INT = 2,
  TYPE_STRING = 3,
  TYPE_TENSOR = 4,
  TYPE_FLOATS = 6,
  TYPE_INTS = 7
};

const EngineOnnx__AttributeProto *
engine_onnx_attribute (const EngineOnnxNode *node, const char *name)
{
  for (gsize i = 0; i < node->proto->n_attribute; i++) {
    const EngineOnnx__AttributeProto *attribute = node->proto->attribute[i];

    if (attribute->name && strcmp (attribute->name, name) == 0)
      return attribute;
  }
  return NULL;
}

/* Old files lack the type, and those of proto3 writers lack fields that are zero or empty. */
static gboolean
check_type (const EngineOnnxNode *node, const EngineOnnx__AttributeProto *attribute, int type,
    gboolean has_field, GError **error)
{
  if (attribute->has_type ? attribute->type == type : has_field)
    return TRUE;
  return ENGINE_ONNX_REFUSE ("attribute \"%s\" has type %d; %d is needed", attribute->name,
      attribute->type, type);
}

gboolean
engine_onnx_int (const EngineOnnxNode *node, const char *name, gint64 otherwise, gint64 *value,
    GError **error)
{
  const EngineOnnx__AttributeProto *attribute = engine_onnx_attribute (node, name);

  *value = attribute ? attribute->i : otherwise;
  return !attribute || check_type (node, attribute, TYPE_INT, attribute->has_i, error);
}

gboolean
engine_onnx_float (const EngineOnnxNode *node, const char *name, float otherwise, float *value,
    GError **error)
{
  const EngineOnnx__AttributeProto *attribute = engine_onnx_attribute (node, name);

  *value = attribute ? attribute->f : otherwise;
  return !attribute || check_type (node, attribute, TYPE_FLOAT, attribute->has_f, error);
}

gboolean
engine_onnx_string (const EngineOnnxNode *node, const char *name, const char *otherwise,
    char **value, GError **error)
{
  const EngineOnnx__AttributeProto *attribute = engine_onnx_attribute (node, name);

  *value = NULL;
  if (attribute && !check_type (node, attribute, TYPE_STRING, attribute->has_s, error))
    return FALSE;
  if (!attribute)
    *value = g_strdup (otherwise);
  else if (attribute->s.len == 0) /* nothing is nowhere */
    *value = g_strdup ("");
  else
    *value = g_strndup ((const char *) attribute->s.data, attribute->s.len);
  return TRUE;
}

gboolean
engine_onnx_ints (const EngineOnnxNode *node, const char *name, const gint64 **values, int *n,
    GError **error)
{
  const EngineOnnx__AttributeProto *attribute = engine_onnx_attribute (node, name);

  *values = attribute ? attribute->ints : NULL;
  *n = attribute ? (int) MIN (attribute->n_ints, G_MAXINT) : -1;
  return !attribute || check_type (node, attribute, TYPE_INTS, attribute->n_ints > 0, error);
}

gboolean
engine_onnx_ints_or_input (EngineOnnx *onnx, const EngineOnnxNode *node, const char *name,
    guint input, gint64 **values, int *n, GError **error)
{
  const EngineOnnxConstant *constant;
  const gint64 *ints;

  *values = NULL;
  if (!engine_onnx_has_input (node, input)) {
    if (!engine_onnx_ints (node, name, &ints, n, error))
      return FALSE;
    *values = *n > 0 ? g_memdup2 (ints, *n * sizeof (gint64)) : NULL;
    return TRUE;
  }
  constant = engine_onnx_integers (onnx, node, input, error);
  if (!constant)
    return FALSE;
  if (constant->rank > 1)
    return ENGINE_ONNX_REFUSE ("input %u has %d axes; one is needed", input, constant->rank);
  *n = constant->n;
  *values = g_memdup2 (constant->i, *n * sizeof (gint64));
  return TRUE;
}

gboolean
engine_onnx_axis (const EngineOnnxNode *node, gint64 axis, int rank, int *result, GError **error)
{
  if (axis < -rank || axis >= rank)
    return ENGINE_ONNX_REFUSE ("axis %" G_GINT64_FORMAT " does not exist: there are %d", axis,
        rank);
  *result = axis < 0 ? axis + rank : axis;
  return TRUE;
}
