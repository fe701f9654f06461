/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * onnx/image.c: the image that goes in: its dims as the model states them, and where it leaves them
 * open, or takes a vector, as the user gives them (EngineModelOptions.shape).
 */
#include <string.h>

#include "engine/onnx/import.h"

#define MAX_BATCH 65536
#define MAX_SIDE  32768 /* of pictures: see kernel_resize_filter() */

#define REFUSE(code, ...)                                                                          \
  (g_set_error (error, ENGINE_ERROR, ENGINE_ERROR_##code, __VA_ARGS__), FALSE)

static char *
shape_text (const EngineOnnx__TensorShapeProto *shape)
{
  GString *text = g_string_new ("[");

  for (gsize i = 0; i < MIN (shape->n_dim, 8); i++) {
    const EngineOnnx__DimensionProto *dim = shape->dim[i];

    g_string_append (text, i ? " " : "");
    if (dim->has_dim_value)
      g_string_append_printf (text, "%" G_GINT64_FORMAT, dim->dim_value);
    else
      g_string_append (text, "?");
  }
  g_string_append (text, shape->n_dim > 8 ? " ...]" : "]");
  return g_string_free (text, FALSE);
}

static gboolean
is_channels (gint64 dim)
{
  return dim == 1 || dim == 3 || dim == 4;
}

/* --- What the user gives ---------------------------------------------------------------------- */

/* "3;224;224", "3x224x224", or with the batch, which says nothing, in front; and with "NAME:" before
 * that. dims of one image. */
static gboolean
read_given (const char *given, const char *name, gint64 dims[3], GError **error)
{
  const char *colon = strrchr (given, ':');
  g_auto (GStrv) words = g_strsplit_set (colon ? colon + 1 : given, "x;", -1);
  const guint n = g_strv_length (words);

  if (colon && (strlen (name) != (gsize) (colon - given) || !g_str_has_prefix (given, name)))
    return REFUSE (MODEL, "the shape \"%s\" is for an input of another name; the model's is \"%s\"",
        given, name);
  if (n != 3 && n != 4)
    return REFUSE (MODEL,
        "the shape \"%s\" has %u numbers; give those of one image, as 3;224;224 or %s:1x3x224x224",
        given, n, name);
  for (guint i = n - 3; i < n; i++) {
    guint64 value;

    if (!g_ascii_string_to_unsigned (words[i], 10, 1, MAX_SIDE, &value, NULL))
      return REFUSE (MODEL, "the shape \"%s\": \"%s\" is no number from 1 to %d", given, words[i],
          MAX_SIDE);
    dims[i - (n - 3)] = value;
  }
  return TRUE;
}

/* Fills what is open in dims (n and three more). */
static gboolean
apply_given (const char *given, const char *name, const char *text, gint64 dims[4], GError **error)
{
  gint64 image[3];

  if (!given)
    return TRUE;
  if (!read_given (given, name, image, error))
    return FALSE;
  for (int i = 0; i < 3; i++) {
    if (dims[1 + i] > 0 && dims[1 + i] != image[i])
      return REFUSE (MODEL, "the shape \"%s\" does not fit input \"%s\", which is %s", given, name,
          text);
    dims[1 + i] = image[i];
  }
  return TRUE;
}

/* --- Images ---------------------------------------------------------------------------------- */

/* dims of NCHW or NHWC; 0 where not fixed. */
static gboolean
check_image (const char *name, const char *text, const gint64 *dims, EngineOnnxStorage *storage,
    GError **error)
{
  const int spatial = is_channels (dims[1]) ? 2 : 1;

  *storage = spatial == 2 ? ENGINE_ONNX_CHANNELS_LAST : ENGINE_ONNX_PLAIN;
  if (spatial == 1 && !is_channels (dims[3]))
    return REFUSE (UNSUPPORTED,
        "input \"%s\" is %s: neither [n c h w] nor [n h w c] with 1, 3 or 4 channels", name, text);
  if (dims[spatial] < 1 || dims[spatial + 1] < 1)
    return REFUSE (UNSUPPORTED,
        "input \"%s\" is %s: height and width are not fixed; give them, as infer-dims=3;224;224 of the "
        "elements or --shapes %s:1x3x224x224 of gst-int8-1.0",
        name, text, name);
  if (dims[spatial] > MAX_SIDE || dims[spatial + 1] > MAX_SIDE || dims[0] > MAX_BATCH)
    return REFUSE (UNSUPPORTED,
        "input \"%s\" is %s; images up to %d by %d, exported with a batch up to %d, can be done",
        name, text, MAX_SIDE, MAX_SIDE, MAX_BATCH);
  return TRUE;
}

static int
add_input (EngineOnnx *onnx, const char *name, const gint64 *dims, EngineOnnxStorage storage)
{
  int stored[4] = {1}, value;

  for (int i = 1; i < 4; i++)
    stored[i] = dims[storage == ENGINE_ONNX_PLAIN ? i : 1 + i % 3];
  value = engine_graph_add_value (onnx->graph, name, ENGINE_TYPE_F32, 4, stored);
  g_array_append_val (onnx->graph->inputs, value);
  onnx->nchw = storage == ENGINE_ONNX_CHANNELS_LAST;
  return value;
}

/* A vector, which the user says is an image of NCHW: a reshape makes the one of the other. */
static gboolean
add_vector (EngineOnnx *onnx, const char *name, const char *text,
    const EngineOnnx__TensorShapeProto *shape, GError **error)
{
  const gint64 elements = shape->dim[1]->has_dim_value ? shape->dim[1]->dim_value : 0;
  const gint64 batch = shape->dim[0]->has_dim_value ? shape->dim[0]->dim_value : 1;
  g_autofree char *flat_name = g_strconcat (name, ":flat", NULL);
  EngineOnnx__NodeProto proto = ENGINE_ONNX__NODE_PROTO__INIT;
  char *outputs[] = {flat_name};
  const EngineOnnxNode node = {&proto, name};
  gint64 dims[4] = {1};
  EngineOnnxValue *image;
  EngineNode *reshape;
  int plain;

  if (!apply_given (onnx->file->shape, name, text, dims, error))
    return FALSE;
  if (!is_channels (dims[1]) || dims[1] * dims[2] * dims[3] != elements || batch > MAX_BATCH)
    return REFUSE (MODEL, "the shape \"%s\" does not fit input \"%s\", which is %s",
        onnx->file->shape, name, text);
  onnx->shaped = TRUE;
  proto.op_type = (char *) "input";
  proto.output = outputs;
  proto.n_output = 1;
  onnx->batch = MAX (batch, 1);
  if (!engine_onnx_define_as (onnx, name, add_input (onnx, name, dims, ENGINE_ONNX_CHANNELS_LAST),
          ENGINE_ONNX_CHANNELS_LAST))
    return FALSE;
  image = g_hash_table_lookup (onnx->values, name);
  plain = engine_onnx_stored (onnx, &node, image, ENGINE_ONNX_PLAIN, error);
  if (plain == ENGINE_NONE)
    return FALSE;
  reshape = engine_onnx_add (onnx, &node, ENGINE_OP_RESHAPE, 0, &plain, 1);
  EngineValue *flat = engine_graph_value (onnx->graph, reshape->output);
  flat->rank = 2;
  flat->dims[0] = 1;
  flat->dims[1] = elements;
  return engine_onnx_define_as (onnx, name, engine_onnx_infer (onnx, &node, reshape, error),
      ENGINE_ONNX_PLAIN);
}

gboolean
engine_onnx_add_image (EngineOnnx *onnx, const char *name,
    const EngineOnnx__TensorShapeProto *shape, GError **error)
{
  g_autofree char *text = shape_text (shape);
  EngineOnnxStorage storage;
  gint64 dims[4];

  if (shape->n_dim == 2 && onnx->file->shape)
    return add_vector (onnx, name, text, shape, error);
  if (shape->n_dim != 4)
    return REFUSE (UNSUPPORTED,
        "input \"%s\" is %s, which is no image: [n c h w] or [n h w c] is needed%s", name, text,
        shape->n_dim == 3 ? "; export it with a batch axis"
        : shape->n_dim == 2
            ? "; if it is one, give its shape, as infer-dims=1;28;28 of the elements or "
              "--shapes 1x28x28 of gst-int8-1.0"
            : "");
  for (int i = 0; i < 4; i++)
    dims[i] = shape->dim[i]->has_dim_value ? MAX (shape->dim[i]->dim_value, 0) : 0;
  onnx->shaped = onnx->file->shape && (dims[1] == 0 || dims[2] == 0 || dims[3] == 0);
  if (!apply_given (onnx->file->shape, name, text, dims, error) ||
      !check_image (name, text, dims, &storage, error))
    return FALSE;
  onnx->batch = MAX (dims[0], 1);
  return engine_onnx_define_as (onnx, name, add_input (onnx, name, dims, storage), storage);
}
