/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* caffe-model.c: see caffe-model.h. */
#include "tests/engine/caffe-model.h"

#include <glib/gstdio.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/half.h"
#include "tests/engine/onnx-text.h"

/* Field numbers of Caffe's messages. */
enum { NET_LAYERS = 2, NET_LAYER = 100 };
enum { LAYER_NAME = 1, LAYER_BLOBS = 7, V1_NAME = 4, V1_BLOBS = 6 };
enum {
  BLOB_NUM = 1,
  BLOB_DATA = 5,
  BLOB_SHAPE = 7,
  BLOB_DOUBLE = 8,
  BLOB_RAW_TYPE = 10,
  BLOB_RAW = 12
};

float
caffe_weight (int blob, int i)
{
  return ((17 * i + 5 * blob + 3) % 31 - 15.5f) / 32;
}

static void
add_data (GByteArray *blob, const char *how, int index, int n)
{
  g_autoptr (GByteArray) data = g_byte_array_new ();

  for (int i = 0; i < n; i++) {
    const float signed_value = caffe_weight (index, i);
    const float value = strcmp (how, "positive") == 0 ? fabsf (signed_value) : signed_value;
    const double wide = value;
    const KernelHalf half = kernel_half_of_f32 (value);

    if (strcmp (how, "double") == 0)
      g_byte_array_append (data, (const guint8 *) &wide, sizeof wide);
    else if (strcmp (how, "half") == 0)
      g_byte_array_append (data, (const guint8 *) &half, sizeof half);
    else
      g_byte_array_append (data, (const guint8 *) &value, sizeof value);
  }
  if (strcmp (how, "half") == 0 || strcmp (how, "raw") == 0) {
    onnx_int (blob, BLOB_RAW_TYPE, strcmp (how, "half") == 0 ? 2 : 1);
    onnx_bytes (blob, BLOB_RAW, data->data, data->len);
  } else {
    onnx_bytes (blob, strcmp (how, "double") == 0 ? BLOB_DOUBLE : BLOB_DATA, data->data, data->len);
  }
}

static GByteArray *
make_blob (const char *text, int index)
{
  g_auto (GStrv) words = g_strsplit_set (text, " ", -1);
  GByteArray *blob = g_byte_array_new (), *shape = g_byte_array_new ();
  const char *how = "";
  int dims[8], rank = 0, n = 1;

  for (char **word = words; *word; word++) {
    if (g_ascii_isalpha (**word))
      how = *word;
    else if (**word && rank < 8)
      n *= dims[rank++] = atoi (*word);
  }
  for (int i = 0; i < rank; i++) {
    if (strcmp (how, "legacy") == 0)
      onnx_int (blob, BLOB_NUM + i, dims[i]);
    else
      onnx_int (shape, 1, dims[i]);
  }
  if (strcmp (how, "legacy") != 0)
    onnx_message (blob, BLOB_SHAPE, shape);
  else
    g_byte_array_unref (shape);
  add_data (blob, how, index, n);
  return blob;
}

GByteArray *
caffe_weights (const char *layers, gboolean v1)
{
  GByteArray *net = g_byte_array_new ();
  g_auto (GStrv) statements = g_strsplit (layers, ";", -1);

  onnx_string (net, 1, "test");
  for (char **statement = statements; *statement; statement++) {
    const char *text = g_strstrip (*statement), *rest = strchr (text, ' ');
    g_autofree char *name = rest ? g_strndup (text, rest - text) : g_strdup (text);
    g_auto (GStrv) blobs = g_strsplit (rest ? rest : "", "|", -1);
    GByteArray *layer = g_byte_array_new ();

    onnx_string (layer, v1 ? V1_NAME : LAYER_NAME, name);
    for (int i = 0; blobs[i]; i++)
      onnx_message (layer, v1 ? V1_BLOBS : LAYER_BLOBS, make_blob (blobs[i], i));
    onnx_message (net, v1 ? NET_LAYERS : NET_LAYER, layer);
  }
  return net;
}

char *
caffe_files (const char *folder, const char *prototxt, GByteArray *weights)
{
  g_autofree char *text = g_build_filename (folder, "model.prototxt", NULL);
  char *path = g_build_filename (folder, "model.caffemodel", NULL);

  g_unlink (text); /* GLib 2.74 does not cut a longer file */
  g_unlink (path);
  if (!g_file_set_contents (text, prototxt, -1, NULL) ||
      !g_file_set_contents (path, (const char *) weights->data, weights->len, NULL))
    abort ();
  return path;
}
