/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * export/qdq.c: an INT8 engine as an ONNX file of float ops between QuantizeLinear and
 * DequantizeLinear, for other runtimes. What is written is what our engine executes: its levels of
 * weights, its scales, its zero points, its float layers.
 */
#include "engine/export/qdq.h"

#include <string.h>

#include "engine/build.h"

#define OPSET 13 /* the first with scales per channel */

const char *
engine_export_target_name (EngineExportTarget target)
{
  static const char *const names[] = {"tensorrt", "onnxruntime", "openvino"};

  return target < ENGINE_EXPORT_TARGET_COUNT ? names[target] : "?";
}

/* uint8: ONNX Runtime turns int8 activations into it only where a single node reads them, and does not
 * mix the two; OpenVINO 2026.4 computes something else for int8 on some networks (SqueezeNet: the
 * class of 62 % of the frames). The levels are the same. */
static const EngineExportRules target_rules[] = {
    [ENGINE_EXPORT_TENSORRT] = {.requantise_concat = TRUE},
    [ENGINE_EXPORT_ONNXRUNTIME] = {.uint8 = TRUE,
        .bias_int32 = TRUE,
        .split_residual = TRUE,
        .split_clamp = TRUE},
    [ENGINE_EXPORT_OPENVINO] = {.uint8 = TRUE},
};

/* --- Tensors -------------------------------------------------------------------------------- */

const char *
engine_export_name (EngineExport *x, int value, const char *suffix)
{
  g_autofree char *wanted = g_strconcat (engine_graph_value (x->graph, value)->name, suffix, NULL);

  return engine_onnx_writer_name (x->writer, wanted);
}

const char *
engine_export_result (EngineExport *x, int value)
{
  if (!x->reserved[value])
    return engine_export_name (x, value, "");
  return engine_graph_value (x->graph, value)->type == ENGINE_TYPE_F32
             ? x->reserved[value]
             : engine_export_name (x, value, "_float");
}

/* Equal scales and zero points are the same initialisers: who shares a range shows it. */
static EngineExportQuant
quant_of (EngineExport *x, int value, const EngineQuant *quant, const char *suffix)
{
  EngineExportQuant made = {.quant = *quant};

  for (guint i = 0; i < x->quants->len; i++) {
    const EngineExportQuant *other = &g_array_index (x->quants, EngineExportQuant, i);

    if (other->quant.scale == quant->scale && other->quant.zero == quant->zero)
      return *other;
  }
  g_autofree char *scale = g_strconcat (suffix, "_scale", NULL);
  g_autofree char *zero = g_strconcat (suffix, "_zero_point", NULL);
  const guint8 level = (guint8) (quant->zero + (x->rules.uint8 ? 128 : 0));

  made.scale = engine_export_name (x, value, scale);
  made.zero = engine_export_name (x, value, zero);
  engine_onnx_writer_tensor (x->writer, made.scale, ENGINE_ONNX_FLOAT, 0, NULL,
      g_memdup2 (&quant->scale, sizeof (float)), sizeof (float));
  engine_onnx_writer_tensor (x->writer, made.zero,
      x->rules.uint8 ? ENGINE_ONNX_UINT8 : ENGINE_ONNX_INT8, 0, NULL, g_memdup2 (&level, 1), 1);
  g_array_append_val (x->quants, made);
  return made;
}

const char *
engine_export_zero (EngineExport *x, int value, const EngineQuant *quant)
{
  return quant_of (x, value, quant, "").zero;
}

const char *
engine_export_pair_of (EngineExport *x, int value, const char *tensor, const EngineQuant *from,
    const EngineQuant *to, const char *suffix)
{
  const EngineExportQuant q = quant_of (x, value, from, suffix),
                          dq = quant_of (x, value, to, suffix);
  const gboolean last = *suffix == '\0' && x->reserved[value];
  g_autofree char *q_suffix = g_strconcat (suffix, "_q", NULL);
  g_autofree char *dq_suffix = g_strconcat (suffix, "_dq", NULL);
  const char *levels = engine_export_name (x, value, q_suffix);
  const char *reals = last ? x->reserved[value] : engine_export_name (x, value, dq_suffix);

  engine_onnx_writer_node (x->writer, "QuantizeLinear",
      (const char *const[]){tensor, q.scale, q.zero}, 3, levels);
  engine_onnx_writer_node (x->writer, "DequantizeLinear",
      (const char *const[]){levels, dq.scale, dq.zero}, 3, reals);
  g_hash_table_insert (x->levels, (gpointer) reals, (gpointer) levels);
  return reals;
}

const char *
engine_export_pair (EngineExport *x, int value, const char *tensor, const EngineQuant *quant,
    const char *suffix)
{
  return engine_export_pair_of (x, value, tensor, quant, quant, suffix);
}

void
engine_export_alias (EngineExport *x, int value, const EngineExportForm *form)
{
  x->forms[value] = *form;
}

void
engine_export_define (EngineExport *x, int value, const char *tensor, const EngineExportForm *form)
{
  const EngineValue *v = engine_graph_value (x->graph, value);

  x->forms[value] = *form;
  x->forms[value].tensor =
      v->type == ENGINE_TYPE_S8 ? engine_export_pair (x, value, tensor, &v->quant, "") : tensor;
}

/* --- The interface of the network ----------------------------------------------------------- */

/* An output of the network is known by the name that it had before it was quantised. */
static int
known_value (const EngineGraph *graph, int output)
{
  const int producer = engine_graph_value (graph, output)->producer;

  if (producer == ENGINE_NONE || engine_graph_node (graph, producer)->op != ENGINE_OP_DEQUANTISE)
    return output;
  return engine_graph_node (graph, producer)->inputs[0];
}

/* Whether it has one order of axes only. */
static gboolean
is_vector (const EngineValue *value)
{
  int axes = 0;

  for (int i = 1; i < value->rank; i++)
    axes += value->dims[i] > 1;
  return axes <= 1;
}

/* Names of outputs are nobody else's. Other outputs than vectors may have to be turned first. */
static void
reserve_names (EngineExport *x)
{
  for (guint i = 0; i < x->graph->outputs->len; i++) {
    const int value = known_value (x->graph, g_array_index (x->graph->outputs, int, i));

    x->output_names[i] = engine_export_name (x, value, "");
    if (is_vector (engine_graph_value (x->graph, value)))
      x->reserved[value] = x->output_names[i];
  }
}

static void
with_batch (int *dims, int batch)
{
  if (batch > 0)
    dims[0] = dims[0] == 0 ? batch : dims[0];
}

static void
add_input (EngineExport *x, int batch)
{
  const int input = g_array_index (x->graph->inputs, int, 0);
  const EngineValue *value = engine_graph_value (x->graph, input);
  const char *name = engine_export_name (x, input, "");
  EngineExportForm form = {.n_spatial = MAX (value->rank - 2, 0)};
  int dims[ENGINE_EXPORT_MAX_RANK];

  for (int i = 0; i < form.n_spatial; i++)
    form.spatial[i] = value->dims[1 + i];

  const int rank = engine_export_dims (x, input, &form, dims);

  with_batch (dims, batch);
  engine_onnx_writer_input (x->writer, name, rank, dims);
  engine_export_define (x, input, name, &form);
}

/* As stored, which is the model's order. */
static void
add_outputs (EngineExport *x, int batch)
{
  for (guint i = 0; i < x->graph->outputs->len; i++) {
    const int output = g_array_index (x->graph->outputs, int, i);
    const gboolean vector = is_vector (engine_graph_value (x->graph, output));
    const EngineExportForm form = vector ? x->forms[output] : engine_export_plain (x, output);
    const char *name = x->output_names[i];
    int dims[ENGINE_EXPORT_MAX_RANK];
    const int rank = engine_export_dims (x, output, &form, dims);

    if (!g_str_equal (form.tensor, name))
      engine_export_op (x, "Identity", form.tensor, NULL, name);
    with_batch (dims, batch);
    engine_onnx_writer_output (x->writer, name, rank, dims);
  }
}

static void
add_metadata (EngineExport *x, const Engine *engine, EngineExportTarget target)
{
  const EngineProvenance *from = &engine->provenance;
  const struct {
    const char *key, *value;
  } entries[] = {
      {"gst-int8.made-by", from->builder},
      {"gst-int8.for", engine_export_target_name (target)},
      {"gst-int8.model-sha256", from->model},
      {"gst-int8.table-sha256", from->table},
      {"gst-int8.dynamic-ranges-sha256", from->dynamic_ranges},
      {"gst-int8.layer-rules", from->rules},
      {"gst-int8.preprocess", from->preprocess},
      {"gst-int8.options", from->options},
  };

  for (gsize i = 0; i < G_N_ELEMENTS (entries); i++)
    if (*entries[i].value)
      engine_onnx_writer_metadata (x->writer, entries[i].key, entries[i].value);
}

/* --- What cannot be exported ---------------------------------------------------------------- */

static gboolean
check_value (const EngineValue *value, EngineExportTarget target, GError **error)
{
  if (value->type != ENGINE_TYPE_F32 && value->type != ENGINE_TYPE_S8) {
    g_set_error (error, ENGINE_ERROR, ENGINE_ERROR_UNSUPPORTED,
        "tensor '%s' is neither int8 nor float32; a Q/DQ export has no other types", value->name);
    return FALSE;
  }
  if (target == ENGINE_EXPORT_TENSORRT && value->type == ENGINE_TYPE_S8 && value->quant.zero != 0) {
    g_set_error (error, ENGINE_ERROR, ENGINE_ERROR_UNSUPPORTED,
        "tensor '%s' has the zero point %d; TensorRT knows 0 only: build with ranges symmetric",
        value->name, value->quant.zero);
    return FALSE;
  }
  return TRUE;
}

static gboolean
check (const Engine *engine, const EngineExportOptions *options, GError **error)
{
  if (engine->precision != ENGINE_PRECISION_INT8 && engine->precision != ENGINE_PRECISION_MIXED) {
    g_set_error (error, ENGINE_ERROR, ENGINE_ERROR_UNSUPPORTED,
        "a Q/DQ export needs an INT8 engine, this one is %s; build it with a calibration table",
        engine_precision_name (engine->precision));
    return FALSE;
  }
  for (guint v = 0; v < engine->graph->values->len; v++) {
    const EngineValue *value = engine_graph_value (engine->graph, v);

    if (!value->data && !check_value (value, options->target, error))
      return FALSE;
  }
  return TRUE;
}

/* -------------------------------------------------------------------------------------------- */

static GBytes *
export_graph (EngineExport *x, const Engine *engine, const EngineExportOptions *options,
    GError **error)
{
  reserve_names (x);
  add_input (x, options->batch);
  for (guint i = 0; i < x->graph->nodes->len; i++)
    if (!engine_export_node (x, engine_graph_node (x->graph, i), error))
      return NULL;
  add_outputs (x, options->batch);
  add_metadata (x, engine, options->target);
  return engine_onnx_writer_finish (x->writer, OPSET, error);
}

GBytes *
engine_export_qdq_bytes (const Engine *engine, const EngineExportOptions *options, GError **error)
{
  const guint n = engine->graph->values->len;
  g_autoptr (EngineOnnxWriter) writer = engine_onnx_writer_new ("gst-int8");
  EngineExport x = {
      .graph = engine->graph,
      .writer = writer,
      .rules = target_rules[options->target],
      .forms = g_new0 (EngineExportForm, n),
      .plains = g_new0 (EngineExportForm, n),
      .pictures = g_new0 (EngineExportForm, n),
      .reserved = g_new0 (const char *, n),
      .output_names = g_new0 (const char *, engine->graph->outputs->len),
      .quants = g_array_new (FALSE, FALSE, sizeof (EngineExportQuant)),
      .levels = g_hash_table_new (g_str_hash, g_str_equal),
  };
  GBytes *bytes = NULL;

  x.rules.exact = options->exact && options->target == ENGINE_EXPORT_ONNXRUNTIME;
  x.rules.split_residual = x.rules.split_residual && !x.rules.exact;
  if (check (engine, options, error))
    bytes = export_graph (&x, engine, options, error);
  g_free (x.forms);
  g_free (x.plains);
  g_free (x.pictures);
  g_free (x.reserved);
  g_free (x.output_names);
  g_array_unref (x.quants);
  g_hash_table_unref (x.levels);
  return bytes;
}

gboolean
engine_export_qdq (const Engine *engine, const EngineExportOptions *options, const char *path,
    GError **error)
{
  g_autoptr (GBytes) bytes = engine_export_qdq_bytes (engine, options, error);

  return bytes &&
         calib_file_replace (path, g_bytes_get_data (bytes, NULL), g_bytes_get_size (bytes), error);
}
