/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * onnx/tensor.c: constants. A tensor's dims are claims; nothing is allocated before they agree with
 * the bytes that are there.
 */
#include <string.h>

#include "engine/onnx/import.h"
#include "kernels/half.h"

const char *
engine_onnx_type_name (int data_type)
{
  static const char *const names[] = {"undefined", "float", "uint8", "int8", "uint16", "int16",
      "int32", "int64", "string", "bool", "float16", "double", "uint32", "uint64", "complex64",
      "complex128", "bfloat16", "float8e4m3fn", "float8e4m3fnuz", "float8e5m2", "float8e5m2fnuz", "uint4",
      "int4", "float4e2m1"};

  return data_type >= 0 && data_type < (int) G_N_ELEMENTS (names) ? names[data_type]
                                                                  : "an unknown type";
}

/* --- Memory --------------------------------------------------------------------------------- */

EngineOnnxConstant *
engine_onnx_constant_ref (EngineOnnxConstant *constant)
{
  g_atomic_ref_count_inc (&constant->references);
  return constant;
}

void
engine_onnx_constant_unref (EngineOnnxConstant *constant)
{
  if (!g_atomic_ref_count_dec (&constant->references))
    return;
  g_free (constant->memory);
  g_free (constant->scales);
  g_free (constant);
}

gpointer
engine_onnx_alloc (EngineOnnx *onnx, gint64 n, gsize size, GError **error)
{
  const gsize bytes = (gsize) MAX (n, 1) * size; /* n is far below 2^60: see MAX_ELEMENTS */
  gpointer memory = NULL;

  if (bytes <= onnx->memory_limit - onnx->memory)
    memory = g_try_malloc (bytes);
  if (!memory) {
    g_set_error (error, ENGINE_ERROR, ENGINE_ERROR_MEMORY,
        "constants of %" G_GSIZE_FORMAT " MiB and %" G_GSIZE_FORMAT
        " MiB more are needed; for a file of %" G_GSIZE_FORMAT " KiB, %" G_GSIZE_FORMAT
        " MiB are allowed",
        onnx->memory >> 20, bytes >> 20, onnx->file->size >> 10, onnx->memory_limit >> 20);
    return NULL;
  }
  onnx->memory += bytes;
  return memory;
}

static EngineOnnxConstant *
new_constant (int rank, const gint64 *dims, gint64 n)
{
  EngineOnnxConstant *constant = g_new0 (EngineOnnxConstant, 1);

  g_atomic_ref_count_init (&constant->references);
  constant->rank = rank;
  for (int i = 0; i < rank; i++)
    constant->dims[i] = dims[i];
  constant->n = n;
  return constant;
}

gint64
engine_onnx_elements (int rank, const gint64 *dims)
{
  gint64 n = 1;

  for (int i = 0; i < rank; i++) {
    if (dims[i] < 0 || dims[i] > ENGINE_MAX_ELEMENTS)
      return -1;
    n *= dims[i]; /* below 2^31 * 2^31 */
    if (n > ENGINE_MAX_ELEMENTS)
      return -1;
  }
  return n;
}

EngineOnnxConstant *
engine_onnx_new_floats (EngineOnnx *onnx, int rank, const gint64 *dims, gboolean splat, float **f,
    GError **error)
{
  const gint64 n = engine_onnx_elements (rank, dims);
  EngineOnnxConstant *constant;

  if (n < 0) {
    g_set_error (error, ENGINE_ERROR, ENGINE_ERROR_MODEL,
        "a constant has a negative dim or more than %" G_GINT64_FORMAT " elements",
        ENGINE_MAX_ELEMENTS);
    return NULL;
  }
  *f = engine_onnx_alloc (onnx, splat ? 1 : n, sizeof (float), error);
  if (!*f)
    return NULL;
  constant = new_constant (rank, dims, n);
  constant->splat = splat;
  constant->f = constant->memory = *f;
  return constant;
}

EngineOnnxConstant *
engine_onnx_new_integers (EngineOnnx *onnx, int rank, const gint64 *dims, gint64 **i,
    GError **error)
{
  const gint64 n = engine_onnx_elements (rank, dims);
  EngineOnnxConstant *constant;

  if (n < 0 || n > ENGINE_ONNX_MAX_INTEGERS) {
    g_set_error (error, ENGINE_ERROR, ENGINE_ERROR_UNSUPPORTED,
        "an integer constant has a negative dim or more than %d elements; integers serve shapes "
        "and places only",
        ENGINE_ONNX_MAX_INTEGERS);
    return NULL;
  }
  *i = engine_onnx_alloc (onnx, n, sizeof (gint64), error);
  if (!*i)
    return NULL;
  constant = new_constant (rank, dims, n);
  constant->i = constant->memory = *i;
  return constant;
}

/* --- Tensors of the file --------------------------------------------------------------------- */

gboolean
engine_onnx_is_float (gint64 data_type)
{
  return data_type == ENGINE_ONNX_FLOAT || data_type == ENGINE_ONNX_FLOAT16 ||
         data_type == ENGINE_ONNX_BFLOAT16 || data_type == ENGINE_ONNX_DOUBLE;
}

static gsize
element_size (int data_type)
{
  switch (data_type) {
  case ENGINE_ONNX_FLOAT16:
  case ENGINE_ONNX_BFLOAT16:
    return 2;
  case ENGINE_ONNX_DOUBLE:
    return 8;
  case ENGINE_ONNX_FLOAT:
  case ENGINE_ONNX_INT32:
    return 4;
  case ENGINE_ONNX_INT64:
    return 8;
  case ENGINE_ONNX_BOOL:
  case ENGINE_ONNX_INT8:
  case ENGINE_ONNX_UINT8:
    return 1;
  default:
    return 0; /* not read here */
  }
}

/* Elements in the field for the tensor's type. */
static gsize
typed_elements (const EngineOnnx__TensorProto *tensor)
{
  switch (tensor->data_type) {
  case ENGINE_ONNX_FLOAT:
    return tensor->n_float_data;
  case ENGINE_ONNX_DOUBLE:
    return tensor->n_double_data;
  case ENGINE_ONNX_INT64:
    return tensor->n_int64_data;
  default: /* 32 bits and less, a word each */
    return tensor->n_int32_data;
  }
}

static const char *
tensor_name (const EngineOnnx__TensorProto *tensor)
{
  return tensor->name ? tensor->name : "";
}

gboolean
engine_onnx_tensor_check (const EngineOnnx__TensorProto *tensor, GError **error)
{
  const gsize size = element_size (tensor->data_type);
  gint64 n;
  gsize present;

  if (tensor->n_dims > ENGINE_ONNX_MAX_RANK) {
    g_set_error (error, ENGINE_ERROR, ENGINE_ERROR_UNSUPPORTED,
        "tensor \"%s\" has %" G_GSIZE_FORMAT " axes; %d can be done", tensor_name (tensor),
        tensor->n_dims, ENGINE_ONNX_MAX_RANK);
    return FALSE;
  }
  n = engine_onnx_elements (tensor->n_dims, tensor->dims);
  if (n < 0) {
    g_set_error (error, ENGINE_ERROR, ENGINE_ERROR_MODEL,
        "tensor \"%s\" has a negative dim or more than %" G_GINT64_FORMAT " elements",
        tensor_name (tensor), ENGINE_MAX_ELEMENTS);
    return FALSE;
  }
  if (size == 0 || tensor->data_location != 0)
    return TRUE; /* refused, or checked, by whoever reads it */
  present = tensor->raw_data.len > 0 ? tensor->raw_data.len / size : typed_elements (tensor);
  if (present == (gsize) n && (tensor->raw_data.len == 0 || tensor->raw_data.len % size == 0))
    return TRUE;
  g_set_error (error, ENGINE_ERROR, ENGINE_ERROR_MODEL,
      "tensor \"%s\" says it has %" G_GINT64_FORMAT
      " elements of %s, but its data has %" G_GSIZE_FORMAT,
      tensor_name (tensor), n, engine_onnx_type_name (tensor->data_type), present);
  return FALSE;
}

static float
float_of_bits (guint32 bits)
{
  float value;

  memcpy (&value, &bits, sizeof value);
  return value;
}

static float
float_of_half (guint16 half, int data_type)
{
  return data_type == ENGINE_ONNX_BFLOAT16 ? float_of_bits ((guint32) half << 16)
                                           : kernel_half_to_f32 (half);
}

/* Rounded where it is a double. */
static float
read_float (const guint8 *bytes, int data_type)
{
  guint16 half;
  guint32 word;
  guint64 two_words;
  double value;

  if (data_type == ENGINE_ONNX_FLOAT) {
    memcpy (&word, bytes, sizeof word);
    return float_of_bits (GUINT32_FROM_LE (word));
  }
  if (data_type == ENGINE_ONNX_DOUBLE) {
    memcpy (&two_words, bytes, sizeof two_words);
    two_words = GUINT64_FROM_LE (two_words);
    memcpy (&value, &two_words, sizeof value);
    return value;
  }
  memcpy (&half, bytes, sizeof half);
  return float_of_half (GUINT16_FROM_LE (half), data_type);
}

/* Element i of the typed field. */
static float
typed_float (const EngineOnnx__TensorProto *tensor, gint64 i)
{
  if (tensor->data_type == ENGINE_ONNX_DOUBLE)
    return tensor->double_data[i];
  return float_of_half (tensor->int32_data[i], tensor->data_type);
}

static gint64
read_integer (const guint8 *bytes, int data_type)
{
  guint32 word;
  guint64 two_words;

  if (data_type == ENGINE_ONNX_BOOL)
    return bytes[0] != 0;
  if (data_type == ENGINE_ONNX_INT32) {
    memcpy (&word, bytes, sizeof word);
    return (gint32) GUINT32_FROM_LE (word);
  }
  memcpy (&two_words, bytes, sizeof two_words);
  return (gint64) GUINT64_FROM_LE (two_words);
}

/* Floats are used where they lie, if they can be; raw NULL: in the typed field. */
static EngineOnnxConstant *
float_tensor (EngineOnnx *onnx, const EngineOnnx__TensorProto *tensor, const guint8 *raw,
    GError **error)
{
  const gint64 n = engine_onnx_elements (tensor->n_dims, tensor->dims);
  const gsize size = element_size (tensor->data_type);
  const gboolean usable = tensor->data_type == ENGINE_ONNX_FLOAT &&
                          (!raw || (G_BYTE_ORDER == G_LITTLE_ENDIAN &&
                                       (guintptr) raw % sizeof (float) == 0));
  static const float none = 0;
  EngineOnnxConstant *constant;
  float *f;

  if (usable) {
    constant = new_constant (tensor->n_dims, tensor->dims, n);
    constant->f = n == 0 ? &none : raw ? (const float *) (const void *) raw : tensor->float_data;
    return constant;
  }
  constant = engine_onnx_new_floats (onnx, tensor->n_dims, tensor->dims, FALSE, &f, error);
  for (gint64 i = 0; constant && i < n; i++)
    f[i] = raw ? read_float (raw + i * size, tensor->data_type) : typed_float (tensor, i);
  return constant;
}

static EngineOnnxConstant *
integer_tensor (EngineOnnx *onnx, const EngineOnnx__TensorProto *tensor, const guint8 *raw,
    GError **error)
{
  const gsize size = element_size (tensor->data_type);
  EngineOnnxConstant *constant;
  gint64 *values;

  constant = engine_onnx_new_integers (onnx, tensor->n_dims, tensor->dims, &values, error);
  for (gint64 i = 0; constant && i < constant->n; i++)
    values[i] = raw ? read_integer (raw + i * size, tensor->data_type)
                : tensor->data_type == ENGINE_ONNX_INT64 ? tensor->int64_data[i]
                                                         : tensor->int32_data[i];
  return constant;
}

/* Levels of a quantised tensor, where they lie if they are bytes there. */
static EngineOnnxConstant *
level_tensor (EngineOnnx *onnx, const EngineOnnx__TensorProto *tensor, const guint8 *raw,
    GError **error)
{
  const gint64 n = engine_onnx_elements (tensor->n_dims, tensor->dims);
  const int lowest = tensor->data_type == ENGINE_ONNX_INT8 ? -128 : 0;
  EngineOnnxConstant *constant;
  guint8 *levels = NULL;

  if (!raw && !(levels = engine_onnx_alloc (onnx, n, 1, error)))
    return NULL;
  for (gint64 i = 0; levels && i < n; i++) {
    const gint32 level = tensor->int32_data[i];

    if (level < lowest || level > lowest + 255) {
      g_set_error (error, ENGINE_ERROR, ENGINE_ERROR_MODEL, "tensor \"%s\" of type %s holds %d",
          tensor_name (tensor), engine_onnx_type_name (tensor->data_type), level);
      g_free (levels);
      return NULL;
    }
    levels[i] = (guint8) level;
  }
  constant = new_constant (tensor->n_dims, tensor->dims, n);
  constant->levels = raw ? raw : levels;
  constant->levels_type = tensor->data_type;
  constant->memory = levels;
  return constant;
}

EngineOnnxConstant *
engine_onnx_tensor_constant (EngineOnnx *onnx, const EngineOnnx__TensorProto *tensor,
    GError **error)
{
  const gsize size = element_size (tensor->data_type);
  const guint8 *raw = NULL;
  gsize bytes;

  if (!engine_onnx_tensor_check (tensor, error))
    return NULL;
  if (size == 0) {
    g_set_error (error, ENGINE_ERROR, ENGINE_ERROR_UNSUPPORTED,
        "tensor \"%s\" is of type %s; float, float16, bfloat16, double, int8, uint8, int32, int64 and bool "
        "can be read: convert the model to float (fp32), or quantise it to 8 bits",
        tensor_name (tensor), engine_onnx_type_name (tensor->data_type));
    return NULL;
  }
  if (tensor->data_location != 0) {
    const gint64 n = engine_onnx_elements (tensor->n_dims, tensor->dims);

    raw = engine_onnx_file_external (onnx->file, tensor, &bytes, error);
    if (!raw)
      return NULL;
    if (bytes != n * size) {
      g_set_error (error, ENGINE_ERROR, ENGINE_ERROR_MODEL,
          "tensor \"%s\" needs %" G_GSIZE_FORMAT
          " bytes of external data and is given %" G_GSIZE_FORMAT,
          tensor_name (tensor), n * size, bytes);
      return NULL;
    }
  } else if (tensor->raw_data.len > 0) {
    raw = tensor->raw_data.data;
  }
  if (tensor->data_type == ENGINE_ONNX_INT8 || tensor->data_type == ENGINE_ONNX_UINT8)
    return level_tensor (onnx, tensor, raw, error);
  return engine_onnx_is_float (tensor->data_type) ? float_tensor (onnx, tensor, raw, error)
                                                  : integer_tensor (onnx, tensor, raw, error);
}
