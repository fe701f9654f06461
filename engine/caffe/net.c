/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* caffe/net.c: layers in their order, with the blobs that they read and write. */
#include "engine/caffe/net.h"

#include <string.h>

#define OPSET 13

#define REFUSE(code, ...) engine_caffe_refuse (error, code, __VA_ARGS__)

gboolean
engine_caffe_refuse (GError **error, EngineError code, const char *format, ...)
{
  va_list args;

  va_start (args, format);
  if (error)
    *error = g_error_new_valist (ENGINE_ERROR, code, format, args);
  va_end (args);
  return FALSE;
}

/* --- Blobs ---------------------------------------------------------------------------------- */

static gpointer
keep (EngineCaffe *caffe, gpointer memory)
{
  g_ptr_array_add (caffe->memory, memory);
  return memory;
}

static void
set_value (EngineCaffe *caffe, const char *blob, const char *name, int rank, const gint64 *dims)
{
  EngineCaffeValue *value = keep (caffe, g_new0 (EngineCaffeValue, 1));

  value->name = name;
  value->rank = rank;
  memcpy (value->dims, dims, rank * sizeof *dims);
  g_hash_table_insert (caffe->values, (char *) blob, value);
  g_ptr_array_add (caffe->order, value);
}

/* Dropout and the like in place write nothing new. */
static gboolean
writes (const EngineCaffe__Layer *layer, gsize top)
{
  const EngineCaffeType *type = engine_caffe_type (layer->type);

  return !type || type->import != engine_caffe_import_dropout || layer->n_bottom == 0 ||
         strcmp (layer->top[top], layer->bottom[0]) != 0;
}

/* Who writes a blob last gives its value the blob's name; that of an input stays the input's. */
static void
find_last_writers (EngineCaffe *caffe, const GPtrArray *layers)
{
  const gpointer input = GINT_TO_POINTER (-1);

  for (gsize i = 0; i < caffe->net->n_input; i++)
    g_hash_table_insert (caffe->last_writers, caffe->net->input[i], input);
  for (guint i = 0; i < layers->len; i++) {
    const EngineCaffe__Layer *layer = g_ptr_array_index (layers, i);
    const gpointer writer = engine_caffe_type (layer->type) ? GINT_TO_POINTER ((int) i + 1) : input;

    for (gsize t = 0; t < layer->n_top; t++) {
      const gpointer before = g_hash_table_lookup (caffe->last_writers, layer->top[t]);

      if (!before || (before != input && writes (layer, t)))
        g_hash_table_insert (caffe->last_writers, layer->top[t], writer);
    }
  }
}

/* Nothing else may have the names of blobs. */
static void
reserve_names (EngineCaffe *caffe)
{
  GHashTableIter iter;
  gpointer blob;

  g_hash_table_iter_init (&iter, caffe->last_writers);
  while (g_hash_table_iter_next (&iter, &blob, NULL))
    (void) engine_onnx_writer_name (caffe->writer, blob);
}

const char *
engine_caffe_top (EngineCaffe *caffe, const EngineCaffeLayer *layer, gsize i)
{
  const char *blob = i < layer->proto->n_top ? layer->proto->top[i] : layer->name;
  g_autofree char *version = NULL;

  if (i >= layer->proto->n_top) /* a loss, whose top may be left out */
    return engine_onnx_writer_name (caffe->writer, blob);
  if (GPOINTER_TO_INT (g_hash_table_lookup (caffe->last_writers, blob)) == layer->index + 1)
    return blob;
  version = g_strconcat (blob, "@", layer->name, NULL);
  return engine_onnx_writer_name (caffe->writer, version);
}

const char *
engine_caffe_inner (EngineCaffe *caffe, const EngineCaffeLayer *layer, const char *what)
{
  g_autofree char *name = g_strconcat (layer->name, "/", what, NULL);

  return engine_onnx_writer_name (caffe->writer, name);
}

gboolean
engine_caffe_define (EngineCaffe *caffe, const EngineCaffeLayer *layer, gsize i, const char *name,
    int rank, const gint64 *dims, GError **error)
{
  const EngineCaffe__Layer *proto = layer->proto;
  const char *blob = i < proto->n_top ? proto->top[i] : layer->name;
  gboolean in_place = FALSE;

  for (gsize b = 0; b < proto->n_bottom; b++)
    in_place = in_place || strcmp (proto->bottom[b], blob) == 0;
  if (!in_place && g_hash_table_contains (caffe->values, blob))
    return ENGINE_CAFFE_REFUSE ("it writes blob \"%s\", which another layer has written", blob);
  if (engine_onnx_elements (rank, dims) <= 0)
    return ENGINE_CAFFE_REFUSE ("its output would be empty, or too large");
  set_value (caffe, blob, name, rank, dims);
  return TRUE;
}

gboolean
engine_caffe_define_same (EngineCaffe *caffe, const EngineCaffeLayer *layer, const char *name,
    GError **error)
{
  const EngineCaffeValue *x = layer->bottoms[0];

  return engine_caffe_define (caffe, layer, 0, name, x->rank, x->dims, error);
}

/* --- Nodes ---------------------------------------------------------------------------------- */

gboolean
engine_caffe_fail (const EngineCaffeLayer *layer, EngineError code, GError **error,
    const char *format, ...)
{
  g_autofree char *cause = NULL;
  va_list args;

  va_start (args, format);
  cause = g_strdup_vprintf (format, args);
  va_end (args);
  return REFUSE (code, "layer \"%s\" (%s): %s", layer->name, layer->type, cause);
}

EngineOnnx__NodeProto *
engine_caffe_node (EngineCaffe *caffe, const EngineCaffeLayer *layer, const char *op,
    const char *output, ...)
{
  EngineOnnx__NodeProto *node;
  const char *inputs[8], *input;
  int n = 0;
  va_list args;

  va_start (args, output);
  while ((input = va_arg (args, const char *)) && n < (int) G_N_ELEMENTS (inputs))
    inputs[n++] = input;
  va_end (args);
  node = engine_onnx_writer_node (caffe->writer, op, inputs, n, output);
  node->name = (char *) layer->name; /* rules for layers go by it */
  return node;
}

void
engine_caffe_reshape (EngineCaffe *caffe, const EngineCaffeLayer *layer, const char *x,
    const char *output, int rank, const gint64 *dims)
{
  const char *shape = engine_caffe_integers (caffe, layer, "shape", rank, dims);

  engine_caffe_node (caffe, layer, "Reshape", output, x, shape, NULL);
}

gboolean
engine_caffe_axis (const EngineCaffeLayer *layer, gint64 axis, int rank, int *result,
    GError **error)
{
  const gint64 from_start = axis < 0 ? axis + rank : axis;

  if (from_start < 0 || from_start >= rank)
    return ENGINE_CAFFE_REFUSE ("axis %" G_GINT64_FORMAT " of an input with %d", axis, rank);
  *result = (int) from_start;
  return TRUE;
}

gint64
engine_caffe_count (const EngineCaffeValue *value, int from, int to)
{
  return engine_onnx_elements (to - from, value->dims + from);
}

/* --- Inputs --------------------------------------------------------------------------------- */

static gboolean
add_input (EngineCaffe *caffe, const char *blob, gsize n, const gint64 *dims, GError **error)
{
  gint64 image[ENGINE_CAFFE_MAX_RANK] = {1};
  int of_writer[ENGINE_CAFFE_MAX_RANK] = {1};

  if (n != ENGINE_CAFFE_MAX_RANK)
    return REFUSE (ENGINE_ERROR_UNSUPPORTED,
        "input \"%s\" has %" G_GSIZE_FORMAT " dims; an image has 4, [n c h w]", blob, n);
  if (g_hash_table_contains (caffe->values, blob))
    return REFUSE (ENGINE_ERROR_MODEL, "two inputs are named \"%s\"", blob);
  for (int i = 0; i < ENGINE_CAFFE_MAX_RANK; i++)
    if (dims[i] < 1 || dims[i] > 65536)
      return REFUSE (ENGINE_ERROR_UNSUPPORTED,
          "input \"%s\" has a dim of %" G_GINT64_FORMAT "; 1 to 65536 can be done", blob, dims[i]);
  for (int i = 1; i < ENGINE_CAFFE_MAX_RANK; i++)
    of_writer[i] = (int) (image[i] = dims[i]);
  caffe->batch = dims[0];
  engine_onnx_writer_input (caffe->writer, blob, ENGINE_CAFFE_MAX_RANK, of_writer);
  set_value (caffe, blob, blob, ENGINE_CAFFE_MAX_RANK, image);
  return TRUE;
}

/* `input` beside the layers, with one shape or four dims for each. */
static gboolean
add_net_inputs (EngineCaffe *caffe, GError **error)
{
  const EngineCaffe__Net *net = caffe->net;

  for (gsize i = 0; i < net->n_input; i++) {
    const EngineCaffe__Shape *shape = i < net->n_input_shape ? net->input_shape[i] : NULL;
    gboolean ok;

    if (!shape && net->n_input_dim < 4 * (i + 1))
      return REFUSE (ENGINE_ERROR_MODEL, "input \"%s\" has no shape", net->input[i]);
    ok = shape ? add_input (caffe, net->input[i], shape->n_dim, shape->dim, error)
               : add_input (caffe, net->input[i], 4, net->input_dim + 4 * i, error);
    if (!ok)
      return FALSE;
  }
  return TRUE;
}

static gboolean
add_layer_inputs (EngineCaffe *caffe, const EngineCaffeLayer *layer, GError **error)
{
  const EngineCaffe__Input *param = layer->proto->input_param;

  if (!param || param->n_shape == 0)
    return ENGINE_CAFFE_REFUSE ("it has no shape");
  for (gsize i = 0; i < layer->proto->n_top; i++) {
    const EngineCaffe__Shape *shape = param->shape[MIN (i, param->n_shape - 1)];

    if (!add_input (caffe, layer->proto->top[i], shape->n_dim, shape->dim, error))
      return FALSE;
  }
  return TRUE;
}

/* --- All ------------------------------------------------------------------------------------ */

static gboolean
find_bottoms (EngineCaffe *caffe, const EngineCaffeType *type, EngineCaffeLayer *layer,
    GError **error)
{
  const EngineCaffe__Layer *proto = layer->proto;

  if (proto->n_bottom < type->min_bottoms)
    return ENGINE_CAFFE_REFUSE ("%" G_GSIZE_FORMAT " bottoms; at least %u are needed",
        proto->n_bottom, type->min_bottoms);
  layer->n_bottoms = MIN (proto->n_bottom, type->max_bottoms);
  for (gsize i = 0; i < layer->n_bottoms; i++) {
    layer->bottoms[i] = g_hash_table_lookup (caffe->values, proto->bottom[i]);
    if (!layer->bottoms[i])
      return ENGINE_CAFFE_REFUSE ("it reads blob \"%s\", which no layer before it writes",
          proto->bottom[i]);
    layer->bottoms[i]->read = TRUE;
  }
  return TRUE;
}

static gboolean
import_layer (EngineCaffe *caffe, const EngineCaffe__Layer *proto, int index, GError **error)
{
  const EngineCaffeType *type = engine_caffe_type (proto->type);
  g_autofree EngineCaffeValue **bottoms = g_new0 (EngineCaffeValue *, proto->n_bottom + 1);
  EngineCaffeLayer layer = {proto, proto->name, proto->type, index, 0, bottoms};

  if (!type)
    return add_layer_inputs (caffe, &layer, error);
  return find_bottoms (caffe, type, &layer, error) && type->import (caffe, &layer, error);
}

/* The output is the value written last of those that no layer reads: side branches for training come
 * before it. */
static gboolean
add_output (EngineCaffe *caffe, GError **error)
{
  const EngineCaffeValue *value = NULL;
  int dims[ENGINE_CAFFE_MAX_RANK];

  for (guint i = caffe->order->len; i > 0 && (!value || value->read); i--)
    value = g_ptr_array_index (caffe->order, i - 1);
  if (!value)
    return REFUSE (ENGINE_ERROR_MODEL, "it has no input");
  if (value->read)
    return REFUSE (ENGINE_ERROR_MODEL, "it has no output: every blob is read by a layer");
  for (int i = 0; i < value->rank; i++)
    dims[i] = (int) value->dims[i];
  engine_onnx_writer_output (caffe->writer, value->name, value->rank, dims);
  return TRUE;
}

EngineOnnx__ModelProto *
engine_caffe_net (EngineCaffe *caffe, GError **error)
{
  g_autoptr (GPtrArray) layers = engine_caffe_layers (caffe->net, error);

  if (!layers)
    return NULL;
  caffe->writer = engine_onnx_writer_new (caffe->net->name ? caffe->net->name : "");
  caffe->memory = g_ptr_array_new_with_free_func (g_free);
  caffe->order = g_ptr_array_new ();
  caffe->values = g_hash_table_new (g_str_hash, g_str_equal);
  caffe->last_writers = g_hash_table_new (g_str_hash, g_str_equal);
  caffe->blobs = g_hash_table_new (g_str_hash, g_str_equal);
  engine_caffe_weights_open (caffe);
  find_last_writers (caffe, layers);
  reserve_names (caffe);
  if (!add_net_inputs (caffe, error))
    return NULL;
  for (guint i = 0; i < layers->len; i++)
    if (!import_layer (caffe, g_ptr_array_index (layers, i), (int) i, error))
      return NULL;
  return add_output (caffe, error) ? engine_onnx_writer_model (caffe->writer, OPSET) : NULL;
}

void
engine_caffe_net_clear (EngineCaffe *caffe)
{
  g_clear_pointer (&caffe->order, g_ptr_array_unref);
  g_clear_pointer (&caffe->values, g_hash_table_unref);
  g_clear_pointer (&caffe->last_writers, g_hash_table_unref);
  g_clear_pointer (&caffe->blobs, g_hash_table_unref);
  g_clear_pointer (&caffe->memory, g_ptr_array_unref);
  g_clear_pointer (&caffe->writer, engine_onnx_writer_free);
}
