/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* caffe/file.c: opens a prototxt and its caffemodel, and checks and unpacks both. */
#include <string.h>

#include "engine/caffe/caffe.h"
#include "engine/caffe/net.h"
#include "engine/caffe/text.h"
#include "engine/onnx/external.h"

#define MAX_TEXT (16 << 20) /* a hundred times the largest known */

#define WEIGHTS ".caffemodel"
#define TEXT    ".prototxt"

/* --- Which files ---------------------------------------------------------------------------- */

gboolean
engine_caffe_is (const char *path, const EngineModelOptions *options)
{
  return (options && options->proto) || g_str_has_suffix (path, WEIGHTS) ||
         g_str_has_suffix (path, TEXT);
}

static char *
beside (const char *path, const char *suffix, const char *other)
{
  g_autofree char *stem = g_strndup (path, strlen (path) - strlen (suffix));

  return g_strconcat (stem, other, NULL);
}

/* Either may be called the model. */
static gboolean
find_files (const char *path, const char *proto, char **weights, char **text, GError **error)
{
  const gboolean is_text = g_str_has_suffix (path, TEXT);
  g_autofree char *found = NULL;

  if (!proto) {
    found = is_text ? beside (path, TEXT, WEIGHTS) : beside (path, WEIGHTS, TEXT);
    if (!g_file_test (found, G_FILE_TEST_EXISTS)) {
      g_set_error (error, G_FILE_ERROR, G_FILE_ERROR_NOENT,
          "model \"%s\" is one of Caffe's two files, and the other, \"%s\", is not beside it: give "
          "it as the proto file",
          path, found);
      return FALSE;
    }
  }
  *weights = g_strdup (is_text ? (proto ? proto : found) : path);
  *text = g_strdup (is_text ? path : proto ? proto : found);
  return TRUE;
}

/* --- Unpacking ------------------------------------------------------------------------------ */

static gboolean
unpack_weights (EngineCaffe *caffe, GBytes *bytes, GError **error)
{
  static const EngineOnnxWireFormat format = {&engine_caffe__weights__descriptor, "a caffemodel",
      "give the weights that Caffe saved, *" WEIGHTS ", and as the proto file the network, *" TEXT};
  gsize size;
  const guint8 *data = g_bytes_get_data (bytes, &size);

  if (!engine_onnx_file_recognise (data, size, error))
    return FALSE;
  if (engine_onnx_file_is_text (data, size)) {
    g_set_error (error, ENGINE_ERROR, ENGINE_ERROR_MODEL, "this is a text file, not %s; %s",
        format.name, format.hint);
    return FALSE;
  }
  if (!engine_onnx_wire_check (&format, data, size, error))
    return FALSE;
  caffe->weights = (EngineCaffe__Weights *) engine_onnx_wire_load (format.descriptor, data, size,
      &caffe->weights_budget, error);
  return caffe->weights != NULL;
}

static gboolean
unpack_text (EngineCaffe *caffe, GBytes *bytes, GError **error)
{
  gsize size;
  const char *text = g_bytes_get_data (bytes, &size);

  if (!engine_onnx_file_recognise ((const guint8 *) text, size, error))
    return FALSE;
  if (size > MAX_TEXT) {
    g_set_error (error, ENGINE_ERROR, ENGINE_ERROR_UNSUPPORTED,
        "%" G_GSIZE_FORMAT " bytes of text; up to %d can be read: give the network without its "
        "weights",
        size, MAX_TEXT);
    return FALSE;
  }
  caffe->text_budget.limit = ENGINE_ONNX_BUDGET (size); /* "layer{}" becomes a struct of 300 */
  caffe->net = (EngineCaffe__Net *) engine_caffe_text (&engine_caffe__net__descriptor, text, size,
      &caffe->text_budget, error);
  return caffe->net != NULL;
}

static void
caffe_free (gpointer data)
{
  EngineCaffe *caffe = data;

  engine_onnx_wire_free ((ProtobufCMessage *) caffe->weights, &caffe->weights_budget);
  engine_onnx_wire_free ((ProtobufCMessage *) caffe->net, &caffe->text_budget);
  engine_caffe_net_clear (caffe);
  g_free (caffe);
}

/* --- Opening -------------------------------------------------------------------------------- */

static void
external_free (gpointer data)
{
  EngineOnnxExternal *external = data;

  g_bytes_unref (external->bytes);
  g_free (external->path);
  g_free (external);
}

EngineOnnxFile *
engine_caffe_new (GBytes *weights, const char *weights_path, GBytes *text, const char *text_path,
    GError **error)
{
  g_autoptr (EngineOnnxFile) file = g_new0 (EngineOnnxFile, 1);
  EngineCaffe *caffe = g_new0 (EngineCaffe, 1);
  EngineOnnxExternal *external = g_new (EngineOnnxExternal, 1);

  *external = (EngineOnnxExternal){g_strdup (text_path), g_bytes_ref (text)};
  file->path = g_strdup (weights_path);
  file->bytes = g_bytes_ref (weights);
  file->size = g_bytes_get_size (weights) + g_bytes_get_size (text);
  file->external = g_hash_table_new (g_str_hash, g_str_equal); /* no tensor names one */
  file->external_list = g_ptr_array_new_with_free_func (external_free);
  g_ptr_array_add (file->external_list, external);
  file->owner = caffe;
  file->free_owner = caffe_free;
  if (!unpack_weights (caffe, weights, error)) {
    engine_onnx_file_blame (weights_path, error);
    return NULL;
  }
  if (!unpack_text (caffe, text, error)) {
    engine_onnx_file_blame (text_path, error);
    return NULL;
  }
  file->model = engine_caffe_net (caffe, error);
  if (file->model)
    return g_steal_pointer (&file);
  engine_onnx_file_blame (text_path, error);
  return NULL;
}

EngineOnnxFile *
engine_caffe_open (const char *path, const EngineModelOptions *options, GError **error)
{
  g_autofree char *weights_path = NULL, *text_path = NULL;
  g_autoptr (GBytes) weights = NULL, text = NULL;

  if (!find_files (path, options ? options->proto : NULL, &weights_path, &text_path, error))
    return NULL;
  weights = engine_onnx_map (weights_path, error);
  if (!weights) {
    g_prefix_error (error, "model \"%s\" ", weights_path);
    return NULL;
  }
  text = engine_onnx_map (text_path, error);
  if (!text) {
    g_prefix_error (error, "model \"%s\" ", text_path);
    return NULL;
  }
  return engine_caffe_new (weights, weights_path, text, text_path, error);
}
