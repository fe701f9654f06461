/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* caffe/weights.c: blobs of a caffemodel, and other constants of a translated net. */
#include <math.h>
#include <string.h>

#include "engine/caffe/net.h"
#include "kernels/half.h"

enum { RAW_DOUBLE, RAW_FLOAT, RAW_FLOAT16 };

/* --- Finding -------------------------------------------------------------------------------- */

static void
add_layer (EngineCaffe *caffe, const char *name, gsize n, EngineCaffe__Blob **blobs)
{
  EngineCaffeBlobs *found;

  if (!name || n == 0)
    return;
  found = g_new (EngineCaffeBlobs, 1);
  *found = (EngineCaffeBlobs){n, blobs};
  g_ptr_array_add (caffe->memory, found);
  g_hash_table_insert (caffe->blobs, (char *) name, found);
}

void
engine_caffe_weights_open (EngineCaffe *caffe)
{
  const EngineCaffe__Weights *weights = caffe->weights;

  for (gsize i = 0; i < weights->n_layers; i++)
    add_layer (caffe, weights->layers[i]->name, weights->layers[i]->n_blobs,
        weights->layers[i]->blobs);
  for (gsize i = 0; i < weights->n_layer; i++)
    add_layer (caffe, weights->layer[i]->name, weights->layer[i]->n_blobs,
        weights->layer[i]->blobs);
}

/* --- Shapes --------------------------------------------------------------------------------- */

/* Without ones in front: a blob before `shape` always has four dims. */
static int
significant (gsize n, const gint64 *from, gint64 *dims)
{
  gsize first = 0;

  while (first < n && from[first] == 1)
    first++;
  if (n - first > ENGINE_ONNX_MAX_RANK)
    return -1;
  for (gsize i = first; i < n; i++)
    dims[i - first] = from[i];
  return (int) (n - first);
}

static gboolean
same_shape (const EngineCaffe__Blob *blob, int rank, const gint64 *dims)
{
  const gint64 old[] = {blob->num, blob->channels, blob->height, blob->width};
  gint64 have[ENGINE_ONNX_MAX_RANK], want[ENGINE_ONNX_MAX_RANK];
  const int n_have = blob->shape ? significant (blob->shape->n_dim, blob->shape->dim, have)
                                 : significant (G_N_ELEMENTS (old), old, have);
  const int n_want = significant (rank, dims, want);

  return n_have == n_want && memcmp (have, want, n_have * sizeof *have) == 0;
}

static char *
shape_text (gsize n, const gint64 *dims)
{
  GString *text = g_string_new (NULL);

  for (gsize i = 0; i < MIN (n, 8); i++)
    g_string_append_printf (text, "%s%" G_GINT64_FORMAT, i ? " x " : "", dims[i]);
  return g_string_free (text, FALSE);
}

static char *
blob_shape_text (const EngineCaffe__Blob *blob)
{
  const gint64 old[] = {blob->num, blob->channels, blob->height, blob->width};

  return blob->shape ? shape_text (blob->shape->n_dim, blob->shape->dim)
                     : shape_text (G_N_ELEMENTS (old), old);
}

/* --- Elements ------------------------------------------------------------------------------- */

static gsize
n_elements (const EngineCaffe__Blob *blob)
{
  static const gsize sizes[] = {[RAW_DOUBLE] = 8, [RAW_FLOAT] = 4, [RAW_FLOAT16] = 2};

  if (blob->n_data > 0)
    return blob->n_data;
  if (blob->n_double_data > 0)
    return blob->n_double_data;
  if (blob->raw_data_type < 0 || blob->raw_data_type > RAW_FLOAT16)
    return 0;
  return blob->raw_data.len / sizes[blob->raw_data_type];
}

/* Bytes of a file, of any alignment, in the order of bytes of those who wrote it: little-endian. */
static float
raw_element (const EngineCaffe__Blob *blob, gsize i)
{
  const guint8 *at = blob->raw_data.data;
  guint16 half;
  guint32 word;
  guint64 two_words;
  float single;
  double value;

  switch (blob->raw_data_type) {
  case RAW_FLOAT16:
    memcpy (&half, at + i * sizeof half, sizeof half);
    return kernel_half_to_f32 (GUINT16_FROM_LE (half));
  case RAW_FLOAT:
    memcpy (&word, at + i * sizeof word, sizeof word);
    word = GUINT32_FROM_LE (word);
    memcpy (&single, &word, sizeof single);
    return single;
  default:
    memcpy (&two_words, at + i * sizeof two_words, sizeof two_words);
    two_words = GUINT64_FROM_LE (two_words);
    memcpy (&value, &two_words, sizeof value);
    return (float) value;
  }
}

const float *
engine_caffe_weights (EngineCaffe *caffe, const EngineCaffeLayer *layer, gsize i, int rank,
    const gint64 *dims, GError **error)
{
  const EngineCaffeBlobs *found = g_hash_table_lookup (caffe->blobs, layer->name);
  const EngineCaffe__Blob *blob = found && i < found->n ? found->blobs[i] : NULL;
  const gint64 wanted = engine_onnx_elements (rank, dims);
  const gsize n = blob ? n_elements (blob) : 0;
  g_autofree char *want = shape_text (rank, dims), *have = NULL;
  float *data;

  if (!blob) {
    ENGINE_CAFFE_REFUSE ("the caffemodel has %" G_GSIZE_FORMAT
                         " blobs of a layer of this name, and %" G_GSIZE_FORMAT
                         " are needed; is it of another network?",
        found ? found->n : 0, i + 1);
    return NULL;
  }
  if (n == 0 || (wanted >= 0 && n != (gsize) wanted) || !same_shape (blob, rank, dims)) {
    have = blob_shape_text (blob);
    ENGINE_CAFFE_REFUSE ("blob %" G_GSIZE_FORMAT " of the caffemodel is %s with %" G_GSIZE_FORMAT
                         " numbers (double, float and float16 are read), and %s is needed",
        i, have, n, want);
    return NULL;
  }
  if (blob->n_data > 0)
    return blob->data;
  data = g_try_new (float, n);
  if (!data) {
    engine_caffe_fail (layer, ENGINE_ERROR_MEMORY, error,
        "no memory for %" G_GSIZE_FORMAT " weights", n);
    return NULL;
  }
  g_ptr_array_add (caffe->memory, data);
  for (gsize k = 0; k < n; k++)
    data[k] = blob->n_double_data > 0 ? (float) blob->double_data[k] : raw_element (blob, k);
  return data;
}

/* --- Constants ------------------------------------------------------------------------------ */

const char *
engine_caffe_floats (EngineCaffe *caffe, const EngineCaffeLayer *layer, const char *what, int rank,
    const gint64 *dims, const float *data)
{
  const char *name = engine_caffe_inner (caffe, layer, what);

  engine_onnx_writer_floats (caffe->writer, name, rank, dims, data);
  return name;
}

const char *
engine_caffe_scalar (EngineCaffe *caffe, const EngineCaffeLayer *layer, const char *what,
    float value)
{
  const gint64 one = 1;
  float *data = g_new (float, 1);

  *data = value;
  g_ptr_array_add (caffe->memory, data);
  return engine_caffe_floats (caffe, layer, what, 1, &one, data);
}

const char *
engine_caffe_integers (EngineCaffe *caffe, const EngineCaffeLayer *layer, const char *what, int n,
    const gint64 *values)
{
  const char *name = engine_caffe_inner (caffe, layer, what);

  engine_onnx_writer_tensor (caffe->writer, name, ENGINE_ONNX_INT64, 1, &n,
      g_memdup2 (values, n * sizeof *values), n * sizeof *values);
  return name;
}
