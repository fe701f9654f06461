/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * onnx-errors.c: models that are wrong or not supported, and what is said about each. Every message
 * begins with the file and names the node, tensor or input.
 */
#include <string.h>
#include <unistd.h>

#include "engine/engine.h"
#include "tests/check.h"
#include "tests/engine/onnx-text.h"
#include "tests/folder.h"

#define MODEL       ENGINE_ERROR_MODEL
#define UNSUPPORTED ENGINE_ERROR_UNSUPPORTED
#define MEMORY      ENGINE_ERROR_MEMORY

static char *folder; /* of this run */

typedef struct {
  const char *text;
  EngineError code;
  const char *message; /* part of it */
} Case;

static void
check_refused (const char *label, const guint8 *data, gsize size, int code, const char *message)
{
  g_autofree char *path = g_build_filename (folder, "model.onnx", NULL);
  g_autofree char *prefix = g_strdup_printf ("model \"%s\"", path);
  g_autoptr (GError) error = NULL;
  g_autoptr (EngineModel) model = NULL;

  g_unlink (path); /* GLib 2.74 does not cut a longer file */
  CHECK (g_file_set_contents_full (path, (const char *) data, size, G_FILE_SET_CONTENTS_NONE, 0600,
      NULL));
  model = engine_model_load (path, &error);
  if (model) {
    CHECK_FAIL ("%s: loaded; expected: %s", label, message);
    return;
  }
  if (error->domain != ENGINE_ERROR || error->code != code || !strstr (error->message, message) ||
      !g_str_has_prefix (error->message, prefix) || !g_utf8_validate (error->message, -1, NULL))
    CHECK_FAIL ("%s:\n--- got %d\n%s\n--- expected %d\n%s", label, error->code, error->message,
        code, message);
}

static void
check_cases (const Case *cases, gsize n)
{
  for (gsize i = 0; i < n; i++) {
    g_autoptr (GByteArray) bytes = onnx_text (cases[i].text);

    check_refused (cases[i].text, bytes->data, bytes->len, cases[i].code, cases[i].message);
  }
}

#define CHECK_CASES(...)                                                                           \
  do {                                                                                             \
    static const Case check_cases_table[] = {__VA_ARGS__};                                         \
    check_cases (check_cases_table, G_N_ELEMENTS (check_cases_table));                             \
  } while (0)

/* --- Not a model ----------------------------------------------------------------------------- */

static void
test_files (void)
{
  static const struct {
    const char *bytes;
    const char *message;
  } files[] = {
      {"", "this is an empty file"},
      {"# a text\nof two lines\n", "this is a text file"},
      {"<!DOCTYPE html><html>not found</html>", "this is a text file"},
      {"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "git lfs pull"},
      {"ptrt\1\2\3\4", "this is a TensorRT engine"},
      {"ftrt\1\2\3\4", "this is a TensorRT engine"},
      {"GSTINT8E\1\2", "this is an engine file of gst-int8"},
      {"\x89PNG\r\n\x1a\n", "this is a PNG picture"},
      {"\xff\xd8\xff\xe0", "this is a JPEG picture"},
      {"PK\x03\x04\x14", "torch.onnx.export()"},
      {"\x89HDF\r\n", "tf2onnx"},
      {"\x1c\x01\x02\x03TFL3", "TensorFlow Lite"},
      {"\x1f\x8b\x08", "unpack it first"},
      {"\x01\x02\x03\x04", "this is not an ONNX file"},
      {"\x08\x08", "it holds no graph"},
      /* a TensorProto: dims, data_type, name */
      {"\x08\x01\x10\x01\x42\x01x", "this is not an ONNX file: a field of another type at byte 3"},
      {"\x08\x08\x3a\x7f\x0a\x01",
          "the file is truncated: field \"graph\" at byte 4 has 127 bytes"},
      {"\x08\x08\x12\x04tensorflow", "this is not an ONNX file"},
      {"\x08\xff", "the file is truncated"},
  };

  for (gsize i = 0; i < G_N_ELEMENTS (files); i++)
    check_refused (files[i].message, (const guint8 *) files[i].bytes, strlen (files[i].bytes),
        MODEL, files[i].message);
}

static void
check_unreadable (const char *path, int code, const char *message)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (EngineModel) model = engine_model_load (path, &error);

  CHECK (!model);
  if (!g_error_matches (error, G_FILE_ERROR, code) || !strstr (error->message, message))
    CHECK_FAIL ("%s", error->message);
}

static void
test_unreadable (void)
{
  g_autofree char *missing = g_build_filename (folder, "missing.onnx", NULL);
  g_autofree char *text = g_strdup_printf ("model \"%s\" cannot be read: No such file", missing);

  check_unreadable (missing, G_FILE_ERROR_NOENT, text);
  check_unreadable (folder, G_FILE_ERROR_FAILED, "is a folder, not a file");
  check_unreadable ("/dev/null", G_FILE_ERROR_FAILED, "is a device or a pipe, not a file");
}

/* Every prefix of a model; what is before the graph could be a whole file. */
static void
test_truncated (void)
{
  g_autoptr (GByteArray) bytes =
      onnx_text ("input x 1 3 8 8; floats w 4 3 3 3; Conv x w -> y pads=[1,1,1,1]; output y");

  for (guint size = 3; size < bytes->len; size++)
    check_refused ("prefix", bytes->data, size, MODEL,
        size == 6 ? "it holds no graph" : "the file is truncated");
}

/* --- The wire -------------------------------------------------------------------------------- */

static GByteArray *
nested (int depth)
{
  GByteArray *message = g_byte_array_new ();

  for (int i = 0; i < depth; i++) {
    GByteArray *outer = g_byte_array_new ();

    onnx_message (outer, 6, message); /* of GraphProto: unknown to us */
    message = outer;
  }
  return message;
}

static void
test_wire (void)
{
  g_autoptr (GByteArray) twice = onnx_text ("input x 1 3 8 8; Relu x -> y; output y");
  g_autoptr (GByteArray) group = g_byte_array_new ();
  g_autoptr (GByteArray) deep = g_byte_array_new ();
  g_autoptr (GByteArray) length = g_byte_array_new ();

  onnx_message (twice, 7, nested (1));
  check_refused ("two graphs", twice->data, twice->len, MODEL, "there twice");

  onnx_varint (group, 7 << 3 | 3);
  onnx_varint (group, 1);
  check_refused ("group", group->data, group->len, MODEL, "this is not an ONNX file");

  onnx_varint (length, 7 << 3 | 2);
  onnx_varint (length, G_MAXUINT64);
  onnx_int (length, 1, 8);
  check_refused ("length", length->data, length->len, MODEL, "truncated");

  /* deeper than any stack: what is not known is not entered */
  onnx_int (deep, 1, 8);
  onnx_message (deep, 7, nested (20000));
  check_refused ("deep", deep->data, deep->len, MODEL, "it has no output");
}

static void
test_many_small_messages (void)
{
  g_autoptr (GByteArray) bytes = g_byte_array_new ();
  GByteArray *graph = g_byte_array_new ();

  for (int i = 0; i < 1000000; i++)
    onnx_bytes (graph, 5, "", 0); /* TensorProto: 2 bytes become some 200 */
  onnx_int (bytes, 1, 8);
  onnx_message (bytes, 7, graph);
  check_refused ("tensors", bytes->data, bytes->len, MEMORY, "MiB; no real model does");
}

/* --- What is in the graph --------------------------------------------------------------------- */

static void
test_opset (void)
{
  CHECK_CASES ({"opset -; input x 1 3 8 8; Relu x -> y; output y", MODEL, "for which opset"},
      {"opset 22; input x 1 3 8 8; Relu x -> y; output y", UNSUPPORTED, "opset 22; 1 to 21"},
      {"opset com.foo 13; input x 1 3 8 8; Relu x -> y; output y", MODEL, "for which opset"});
}

static void
test_interface (void)
{
  CHECK_CASES ({"input x 1 3 8 8; Relu x -> y", MODEL, "it has no output"},
      {"floats w 1 3 8 8; Relu w -> y; output y", MODEL, "it has no input"},
      {"input x 1 3 8 8; input z 1 3 8 8; Add x z -> y; output y", UNSUPPORTED,
          "it has several inputs (\"x\", \"z\" ...)"},
      {"input x 1 784; Relu x -> y; output y", UNSUPPORTED,
          "input \"x\" is [1 784], which is no image"},
      {"input x 3 8 8; Relu x -> y; output y", UNSUPPORTED, "export it with a batch axis"},
      {"input x; Relu x -> y; output y", UNSUPPORTED, "input \"x\" has no shape"},
      {"input x:6 1 3 8 8; Relu x -> y; output y", UNSUPPORTED, "input \"x\" is of type int32"},
      {"input x:99 1 3 8 8; Relu x -> y; output y", UNSUPPORTED, "of type an unknown type"},
      {"input x 1 2 8 8; Relu x -> y; output y", UNSUPPORTED,
          "neither [n c h w] nor [n h w c] with 1, 3 or 4 channels"},
      {"input x 1 3 ? ?; Relu x -> y; output y", UNSUPPORTED,
          "input \"x\" is [1 3 ? ?]: height and width are not fixed"},
      {"input x ? ? ? 3; Relu x -> y; output y", UNSUPPORTED, "height and width are not fixed"},
      {"input x ? ? ? ?; Relu x -> y; output y", UNSUPPORTED, "neither [n c h w]"},
      {"input x 1 3 -8 8; Relu x -> y; output y", UNSUPPORTED, "[1 3 -8 8]: height and width"},
      {"input x 1 3 8 4611686018427387904; Relu x -> y; output y", UNSUPPORTED, "32768 by 32768"},
      {"input x 4611686018427387904 3 8 8; Relu x -> y; output y", UNSUPPORTED, "batch up to"},
      {"input x 1 1 1 1 1 1 1 1 1 1 1 1; Relu x -> y; output y", UNSUPPORTED,
          "[1 1 1 1 1 1 1 1 ...]"},
      {"input x 1 3 8 8; Identity x -> y; output y", MODEL, "output \"y\" is the input itself"},
      {"input x 1 3 8 8; output x", MODEL, "output \"x\" is the input itself"},
      {"input x 1 3 8 8; floats w 3; Identity w -> y; output y", UNSUPPORTED,
          "output \"y\" does not depend on the image"},
      {"input x 1 3 8 8; floats w 3; output w", UNSUPPORTED, "does not depend on the image"});
}

static void
test_names_and_order (void)
{
  CHECK_CASES ({"input x 1 3 8 8; Relu z -> y; output y", MODEL,
                   "node \"y\" (Relu) reads \"z\", which is neither"},
      {"input x 1 3 8 8; Relu x -> y; output z", MODEL, "the list of outputs reads \"z\""},
      {"input x 1 3 8 8; Relu x -> y; Sigmoid x -> y; output y", MODEL,
          "two values are named \"y\""},
      {"input x 1 3 8 8; Relu x -> x; output x", MODEL, "two values are named \"x\""},
      {"input x 1 3 8 8; floats w 3; floats w 3; Relu x -> y; output y", MODEL,
          "two values are named \"w\""},
      {"input x 1 3 8 8; Add x a -> b; Relu b -> a; output a", MODEL, "the nodes form a cycle"},
      {"input x 1 3 8 8; Add x y -> y; output y", MODEL, "the nodes form a cycle"},
      {"input x 1 3 8 8; Relu x; output y", MODEL, "node 0 (Relu) has no output"},
      {"input x 1 3 8 8; Relu x -> _; output y", MODEL, "node 0 (Relu) has no output"},
      {"input x 1 3 8 8; Relu x -> \x01; output \x01", MODEL, "the name \"\\001\" is too long"},
      {"input x 1 3 8 8; Relu x -> \xff; output \xff", MODEL, "not UTF-8"},
      {"input x 1 3 8 8; MaxPool x -> y i kernel_shape=[2,2]; Relu i -> z; output z", UNSUPPORTED,
          "node \"z\" (Relu): input \"i\" is an output of its node that is not computed here"});
}

static void
test_unknown_ops (void)
{
  CHECK_CASES ({"input x 1 3 8 8; Foo x -> a; Bar a -> b; Relu b -> c; Foo c -> d; "
                "com.me.Relu d -> y; Unused x -> z; output y",
                   UNSUPPORTED,
                   "4 nodes are of ops that are not supported: Foo (node \"a\"), Bar (node \"b\"), "
                   "com.me.Relu (node \"y\"); "},
      {"input x 1 3 ? ?; com.microsoft.QLinearWhere x -> y; output y", UNSUPPORTED,
          "1 node is of ops that are not supported: com.microsoft.QLinearWhere (node \"y\"); give the "
          "quantised model as it was before"},
      {"input x 1 3 8 8; Scan x -> y; output y", UNSUPPORTED, "control flow"},
      {"input x 1 3 8 8; StatefulPartitionedCall x -> y; output y", UNSUPPORTED,
          "run_functions_eagerly"});
}

static void
test_conv_transpose (void)
{
  CHECK_CASES ({"input x 1 3 8 8; floats w 4 2 3 3; ConvTranspose x w -> y; output y", MODEL,
                   "1 groups, 3 channels, weights for 4"},
      {"input x 1 3 8 8; floats w 3 2 3 3; ConvTranspose x w -> y group=2; output y", MODEL,
          "2 groups, 3 channels"},
      {"input x 1 3 8 8; floats w 3 2 3; ConvTranspose x w -> y; output y", UNSUPPORTED,
          "input of 4 axes, weights of 3"},
      {"input x 1 3 8 8; floats w 3 2 3 3; floats b 3; ConvTranspose x w b -> y; output y", MODEL,
          "the bias does not have one value for each of 2 outputs"},
      {"input x 1 3 8 8; floats w 3 2 3 3; ConvTranspose x w -> y pads=[5,5,5,5]; output y", MODEL,
          "0 of 10 outputs from 8"},
      {"input x 1 3 8 8; floats w 3 2 3 3; ConvTranspose x w -> y output_shape=[8]; output y", MODEL,
          "output_shape has 1 numbers"},
      {"input x 1 3 8 8; floats w 3 2 3 3; ConvTranspose x w -> y strides=[60000,60000]; output y",
          UNSUPPORTED, "strides that make 7200000000 channels"},
      {"input x 1 3 8 8; floats w 3 2 3 3; ConvTranspose x w -> y output_padding=[-1,0]; output y",
          UNSUPPORTED, "output_padding holds -1"});
}

#define LEVELS "input x 1 3 8 8; floats s 1 = 0.5; levels z 1 = 3; levels u:2 1 = 3; "

#define CHANNELS "input x 1 3 8 8; floats s 3 = 1 2 3; levels z:2 1 = 0; "

static void
test_quantised (void)
{
  CHECK_CASES (
      {"input x 1 3 8 8; floats s 1 = 0; QuantizeLinear x s -> q; DequantizeLinear q s -> y; output y",
          MODEL, "node \"q\" (QuantizeLinear): scale 0 is 0; above 0 and finite"},
      {"input x 1 3 8 8; floats s 1 = nan; QuantizeLinear x s -> q; DequantizeLinear q s -> y; output y",
          MODEL, "scale 0 is nan"},
      {"input x 1 3 8 8; floats s 1 = -1; QuantizeLinear x s -> q; DequantizeLinear q s -> y; output y",
          MODEL, "scale 0 is -1"},
      {"input x 1 3 8 8; floats s 8 = 1 2 3 4 5 6 7 8; QuantizeLinear x s -> q axis=2; DequantizeLinear q s -> y axis=2; "
       "output y",
          UNSUPPORTED, "an activation with 8 scales on axis 2"},
      {"input x 1 3 8 8; floats s 2 = 1 2; QuantizeLinear x s -> q; DequantizeLinear q s -> y; output y",
          UNSUPPORTED, "an activation with 2 scales on axis 1"},
      {CHANNELS "levels t:2 3 = 1 2 3; QuantizeLinear x s t -> q; DequantizeLinear q s t -> y; output y",
          UNSUPPORTED, "an activation with 3 zero points"},
      {CHANNELS "floats t 3 = 1 2 4; QuantizeLinear x s -> q; DequantizeLinear q t -> y; output y",
          UNSUPPORTED, "is read with other scales of its channels than it was made with"},
      {CHANNELS "floats t 1 = 3; QuantizeLinear x s -> q; DequantizeLinear q t -> y; output y",
          UNSUPPORTED, "is read with other scales of its channels than it was made with"},
      {CHANNELS "QuantizeLinear x s -> q; MaxPool q -> m kernel_shape=[2,2]; DequantizeLinear m s -> y; output y",
          UNSUPPORTED, "holds levels whose scale differs from channel to channel"},
      {CHANNELS "levels w 2 3 1 1; QuantizeLinear x s -> q; ConvInteger q w z -> i; Cast i -> y to=1; output y",
          UNSUPPORTED, "holds levels whose scale differs from channel to channel"},
      {LEVELS "QuantizeLinear x s z -> q; DequantizeLinear q s u -> y; output y", UNSUPPORTED,
          "is read with scale 0.5 and zero point -125, and was made with 0.5 and 3 (of int8)"},
      {LEVELS "floats t 1 = 0.25; QuantizeLinear x s z -> q; DequantizeLinear q t z -> y; output y",
          UNSUPPORTED, "is read with scale 0.25"},
      {LEVELS "QuantizeLinear x s z -> y; output y", UNSUPPORTED, "output \"y\" is integers"},
      {LEVELS "QuantizeLinear x s z -> q; Relu q -> y; output y", UNSUPPORTED,
          "node \"y\" (Relu): input 0 (\"q\") holds int8 or uint8 levels"},
      {LEVELS "QuantizeLinear x s z -> q; QuantizeLinear q s z -> y; output y", MODEL,
          "it quantises levels"},
      {LEVELS "DequantizeLinear x s z -> y; output y", MODEL,
          "holds real numbers where levels are needed"},
      {LEVELS "QuantizeLinear x s z -> q; QuantizeLinear x s u -> r; Concat q r -> c axis=1; "
              "DequantizeLinear c s z -> y; output y",
          MODEL, "it joins levels of different scales"},
      {"input x 1 3 8 8; floats s 1; levels z:5 1 = 0; QuantizeLinear x s z -> q; DequantizeLinear q s z -> y; output y",
          UNSUPPORTED, "is of type int16"},
      {"input x 1 3 8 8; floats s 1; levels z:22 1 = 0; QuantizeLinear x s z -> q; DequantizeLinear q s z -> y; output y",
          UNSUPPORTED, "is of type int4"},
      {"input x 1 3 8 8; floats s 1; levels z:17 1 = 0; QuantizeLinear x s z -> q; DequantizeLinear q s z -> y; output y",
          UNSUPPORTED, "is of type float8e4m3fn"},
      {"opset 21; input x 1 3 8 8; floats s 1; QuantizeLinear x s -> q output_dtype=5; DequantizeLinear q s -> y; output y",
          UNSUPPORTED, "levels of int16; int8 and uint8 can be done"},
      {"opset 21; input x 1 3 8 8; floats s 1; QuantizeLinear x s -> q block_size=2; DequantizeLinear q s -> y; output y",
          UNSUPPORTED, "scales for blocks of 2 elements"},
      {"input x 1 3 8 8; levels w 2 3 1 1; floats s 3; DequantizeLinear w s -> v axis=0; Conv x v -> y; output y",
          MODEL, "3 scales for 2 channels on axis 0"},
      {"input x 1 3 8 8; levels w 2 3 1 1; floats s 2; DequantizeLinear w s -> v axis=4; Conv x v -> y; output y",
          MODEL, "axis 4 does not exist"},
      {"input x 1 3 8 8; levels w 2 3 1 1; levels z:2 1; floats s 1; DequantizeLinear w s z -> v; Conv x v -> y; output y",
          MODEL, "levels and zero point differ in type"},
      {"input x 1 3 8 8; levels w 2 3 1 1 = 1 2 3 4 5 200; floats s 1; DequantizeLinear w s -> v; Conv x v -> y; output y",
          MODEL, "of type int8 holds 200"},
      {"input x 1 3 8 8; levels w 2 3 1 1; Conv x w -> y; output y", UNSUPPORTED,
          "input 1 (\"w\") holds int8 or uint8 levels"},
      {LEVELS
          "levels w 2 3 1 1; QuantizeLinear x s z -> q; ConvInteger q w u -> i; Cast i -> y to=1; output y",
          MODEL, "its input has another zero point than 3"},
      {"input x 1 3 8 8; levels w 2 3 1 1; DynamicQuantizeLinear x -> q s z; ConvInteger q w z -> i; Cast i -> r to=1; "
       "Relu r -> y; output y",
          UNSUPPORTED, "that DynamicQuantizeLinear decides"},
      {"input x 1 3 8 8; levels w 2 3 1 1; floats t 1; DynamicQuantizeLinear x -> q s z; ConvInteger q w z -> i; "
       "Cast i -> r to=1; Mul r t -> y; output y",
          UNSUPPORTED, "do not belong together"},
      {"input x 1 3 8 8; levels w 2 3 1 1; DynamicQuantizeLinear x -> q s z; ConvInteger q w z -> y; output y",
          UNSUPPORTED, "output \"y\" is integers"});
}

static void
test_attributes (void)
{
  CHECK_CASES ({"input x 1 3 8 8; Relu x -> y alpha=1; output y", UNSUPPORTED,
                   "node \"y\" (Relu): attribute \"alpha\" is not known"},
      {"input x 1 3 8 8; LeakyRelu x -> y alpha=1; output y", MODEL,
          "attribute \"alpha\" has type 2; 1 is needed"},
      {"input x 1 3 8 8; Softmax x -> y axis=1.0f; output y", MODEL,
          "attribute \"axis\" has type 1; 2 is needed"},
      {"input x 1 3 8 8; MaxPool x -> y kernel_shape=2; output y", MODEL,
          "has type 2; 7 is needed"},
      {"input x 1 3 8 8; MaxPool x -> y kernel_shape=[2,2] auto_pad=1; output y", MODEL,
          "has type 2; 3 is needed"},
      {"input x 1 3 8 8; LeakyRelu x -> y alpha=0.1f alpha=0.2f; output y", MODEL,
          "is there twice"},
      {"input x 1 3 8 8; Relu -> y; output y", MODEL, "0 inputs; 1 to 1 are possible"},
      {"input x 1 3 8 8; Add x x x -> y; output y", MODEL, "3 inputs; 2 to 2 are possible"},
      {"input x 1 3 8 8; Relu _ -> y; output y", MODEL, "input 0 is missing"},
      {"input x 1 3 8 8; MaxPool x -> y; output y", MODEL, "kernel_shape is missing"},
      {"input x 1 3 8 8; Concat x x -> y; output y", MODEL, "axis is missing"});
}

static void
test_tensors (void)
{
  CHECK_CASES ({"input x 1 3 8 8; claim w 1000 1000 1000; Add x w -> y; output y", MODEL,
                   "tensor \"w\" says it has 1000000000 elements of float, but its data has 1"},
      {"input x 1 3 8 8; claim w 4294967296 4294967296; Add x w -> y; output y", MODEL,
          "more than 2147483648 elements"},
      {"input x 1 3 8 8; claim w -1; Add x w -> y; output y", MODEL,
          "tensor \"w\" has a negative dim"},
      {"input x 1 3 8 8; claim w 1 1 1 1 1 1 1 1 1; Add x w -> y; output y", UNSUPPORTED,
          "tensor \"w\" has 9 axes"},
      {"input x 1 3 8 8; claim w:10 1; Add x w -> y; output y", MODEL,
          "tensor \"w\" says it has 1 elements of float16"},
      {"input x 1 3 8 8; claim w:8 1; Add x w -> y; output y", UNSUPPORTED, "is of type string"},
      {"input x 1 3 8 8; claim w:11 1; Add x w -> y; output y", MODEL, "1 elements of double"},
      {"input x 1 3 8 8; claim w:7 1; Add x w -> y; output y", MODEL,
          "1 elements of int64, but its data has 0"},
      {"input x 1 3 8 8; int w = 1; Add x w -> y; output y", MODEL, "integers and floats"},
      {"input x 1 3 8 8; floats w 2 = 1 1; Add x w -> y; output y", UNSUPPORTED,
          "axis 0 of the constant has size 2, the other input's 8"},
      {"input x 1 3 8 8; floats w 3 1 1 = 1 nan 1; Mul x w -> y; output y", MODEL,
          "node \"y\" (Mul): scale holds nan"},
      {"input x 1 3 8 8; floats w 1 3 1 1 = 1 inf 1; Conv x w -> y; output y", MODEL,
          "weights holds inf"});
}

/* What a shape and a number ask for is not allocated before it is allowed. */
static void
test_memory (void)
{
  CHECK_CASES (
      {"opset 11; input x 1 3 8 8; ints s = 1000 3 1000 1000; ConstantOfShape s -> w; Conv x w -> y; "
       "output y",
          MODEL, "more than 2147483648 elements"},
      {"opset 11; input x 1 3 8 8; ints s = 100 3 1000 1000; ConstantOfShape s -> w; Conv x w -> y "
       "pads=[500,500,500,500]; output y",
          MEMORY, "are allowed"},
      {"opset 11; input x 1 3 8 8; Flatten x -> f; ints s = 20000 20000; ConstantOfShape s -> w; "
       "Transpose w -> v; MatMul f v -> y; output y",
          MEMORY, "node \"v\" (Transpose): constants of 0 MiB and 1525 MiB more are needed"},
      {"opset 11; input x 1 3 8 8; int a = 0; int b = 1000000000; int c = 1; Range a b c -> w; "
       "Reshape x w -> y; output y",
          UNSUPPORTED, "node \"w\" (Range): an integer constant has"},
      {"opset 11; input x 1 3 8 8; ints s = -1; ConstantOfShape s -> w; Add x w -> y; output y",
          MODEL, "a negative dim"});
}

/* --- Ops ------------------------------------------------------------------------------------- */

static void
test_conv (void)
{
  CHECK_CASES ({"input x 1 3 8 8; Relu x -> w; Conv x w -> y; output y", UNSUPPORTED,
                   "input 1 (\"w\") is computed from the image"},
      {"input x 1 3 8 8; floats w 4 3 3 3; Conv w w -> y; output y", UNSUPPORTED,
          "input 0 (\"w\") is a constant"},
      {"input x 1 3 8 8; floats w 4 3 3 3 3; Conv x w -> y; output y", UNSUPPORTED,
          "input of 4 axes, weights of 5"},
      {"input x 1 3 8 8; floats w 4 2 3 3; Conv x w -> y; output y", MODEL,
          "the weights read 2 channels"},
      {"input x 1 3 8 8; floats w 4 1 3 3; Conv x w -> y group=2; output y", MODEL,
          "2 groups do not divide 3 input"},
      {"input x 1 3 8 8; floats w 4 3 3 3; Conv x w -> y group=0; output y", MODEL, "0 groups"},
      {"input x 1 3 8 8; floats w 4 3 0 3; Conv x w -> y; output y", MODEL,
          "axis 2 of the weights has size 0"},
      {"input x 1 3 8 8; floats w 4 3 9 9; Conv x w -> y; output y", MODEL,
          "reaches over 9 pixels, the padded input has 8"},
      {"input x 1 3 8 8; floats w 4 3 3 3; Conv x w -> y kernel_shape=[3,5]; output y", MODEL,
          "kernel_shape says 5, the weights 3"},
      {"input x 1 3 8 8; floats w 4 3 3 3; Conv x w -> y strides=[0,1]; output y", UNSUPPORTED,
          "strides holds 0"},
      {"input x 1 3 8 8; floats w 4 3 3 3; Conv x w -> y strides=[1]; output y", MODEL,
          "strides has 1 numbers; the input has 2"},
      {"input x 1 3 8 8; floats w 4 3 3 3; Conv x w -> y pads=[1,1]; output y", MODEL,
          "pads has 2 numbers; 4 are needed"},
      {"input x 1 3 8 8; floats w 4 3 3 3; Conv x w -> y pads=[-1,0,0,0]; output y", UNSUPPORTED,
          "pads holds -1"},
      {"input x 1 3 8 8; floats w 4 3 3 3; Conv x w -> y pads=[9223372036854775807,0,0,0]; output y",
          UNSUPPORTED, "pads holds 9223372036854775807"},
      {"input x 1 3 8 8; floats w 4 3 3 3; Conv x w -> y pads=[3,0,0,0]; output y", UNSUPPORTED,
          "a window lies in the padding as a whole"},
      {"input x 1 3 8 8; floats w 4 3 3 3; Conv x w -> y pads=[1,1,1,1] auto_pad=SAME_UPPER; "
       "output y",
          MODEL, "both pads and auto_pad"},
      {"input x 1 3 8 8; floats w 4 3 3 3; Conv x w -> y auto_pad=SAME; output y", MODEL,
          "auto_pad \"SAME\" does not exist"},
      {"input x 1 3 8 8; floats w 4 3 3 3; floats b 3; Conv x w b -> y; output y", MODEL,
          "the bias does not have one value for each of 4"},
      {"input x 1 3 300 300; floats w 1 3 300 300; Conv x w -> y; output y", UNSUPPORTED,
          "270000 products are summed"});
}

static void
test_fully_connected (void)
{
  CHECK_CASES ({"input x 1 3 8 8; Flatten x -> f; floats w 10 10; Gemm f w -> y; output y", MODEL,
                   "an input of 192 features and weights of 10 by 10"},
      {"input x 1 3 8 8; Flatten x -> f; floats w 192 10; Gemm f w -> y transA=1; output y",
          UNSUPPORTED, "transA moves the batch axis"},
      {"input x 1 3 8 8; floats w 192 10; Gemm x w -> y; output y", MODEL, "A has 4 axes, B 2"},
      {"input x 1 3 8 8; Flatten x -> f; floats w 192 10; floats c 3; Gemm f w c -> y; output y",
          UNSUPPORTED, "C has 3 elements"},
      {"input x 1 3 8 8; Flatten x -> f; Gemm f f -> y; output y", UNSUPPORTED,
          "input 1 (\"f\") is computed from the image"},
      {"input x 1 3 8 8; Flatten x -> f; MatMul f f -> y; output y", UNSUPPORTED,
          "2 axes times 2 axes, both computed"},
      {"input x 1 3 8 6; MatMul x x -> y; output y", MODEL, "matrices in equal numbers"},
      {"input x 1 3 8 8; Einsum x x -> y equation=ab,ab->ab; output y", MODEL, "labels ab for 4 axes"},
      {"input x 1 3 8 8; Einsum x x -> y equation=abcd,abcd; output y", UNSUPPORTED,
          "equation \"abcd,abcd\""},
      {"input x 1 3 8 8; Einsum x x -> y equation=abcc,abcc->abc; output y", UNSUPPORTED,
          "equation \"abcc,abcc->abc\""},
      {"input x 1 3 8 8; Einsum x x -> y equation=abcdefg,abcd->abcd; output y", UNSUPPORTED,
          "equation \"abcdefg"},
      {"input x 1 3 8 8; Einsum x x -> y equation=abcd,abce->abc; output y", UNSUPPORTED,
          "what one operand has alone"},
      {"input x 1 3 8 8; Einsum x x -> y equation=abcd,abcd->abz; output y", UNSUPPORTED,
          "what one operand has alone"},
      {"input x 1 3 8 6; Einsum x x -> y equation=abcd,abdc->abc; output y", MODEL,
          "label d has the sizes 6 and 8"},
      {"input x 1 3 8 8; Einsum x x -> y equation=abcd,ebcd->ae; output y", UNSUPPORTED,
          "the first label is no batch of both"},
      {"input x 1 3 8 8; Einsum x x -> y equation=abcd,abcd->bcd; output y", UNSUPPORTED,
          "the first label is no batch of both"},
      {"input x 1 3 8 8; floats w 3 8 8; Einsum x w -> y equation=abcd,bcd->abcd; output y",
          UNSUPPORTED, "weights that are the same for all"},
      {"input x 1 3 8 8; floats w 8 2; Einsum w x -> y equation=de,abcd->eabc; output y", UNSUPPORTED,
          "the images first"},
      {"input x 1 3 8 8; ints w = 1 2; Einsum x w -> y equation=abcd,e->abcde; output y", MODEL,
          "weights that are no floats"},
      {"input x 1 3 8 8; floats w 8 3; MatMul w x -> y; output y", UNSUPPORTED, "is a constant"},
      {"input x 1 3 8 8; floats w 1 8 3; MatMul x w -> y; output y", UNSUPPORTED,
          "4 axes times 3 axes"});
}

static void
test_other_functions (void)
{
  CHECK_CASES ({"input x 1 3 8 8; floats w 3; Pow x w -> y; output y", UNSUPPORTED,
                   "an exponent that is not one constant"},
      {"input x 1 3 8 8; Celu x -> y alpha=-1.0; output y", UNSUPPORTED,
          "positive ones can be done"},
      {"input x 1 3 8 8; floats w 5 = 1 2 3 4 5; PRelu x w -> y; output y", UNSUPPORTED,
          "the slope has 5"},
      {"input x 1 3 8 8; floats w 3 1 1; Max x w x -> y; output y", UNSUPPORTED,
          "constants among more than two inputs"},
      {"input x 1 3 8 8; LRN x -> y; output y", MODEL, "size 0"},
      {"input x 1 3 8 8; LpPool x -> y kernel_shape=[2,2] p=3; output y", UNSUPPORTED, "p is 3"},
      {"input x 1 3 8 8; Resize x -> y; output y", MODEL, "either scales or sizes"},
      {"input x 1 3 8 8; floats s 1; Resize x _ s -> y; output y", UNSUPPORTED, "of 1 axes; 4"},
      {"input x 1 3 8 8; floats s 2; Resize x _ s -> y axes=[2,4]; output y", MODEL, "axis 4"},
      {"input x 1 3 8 8; floats s 1; Resize x _ s -> y axes=[2,3,3,3,3]; output y", MODEL, "5 axes of 4"},
      {"input x 1 3 8 8; ints s = 1 3 4 9; Resize x _ _ s -> y keep_aspect_ratio_policy=not_larger; "
       "output y",
          UNSUPPORTED, "keep_aspect_ratio_policy \"not_larger\" cannot be done"},
      {"opset 7; input x 1 3 8 8; Upsample x -> y; output y", MODEL, "either scales or sizes"},
      {"opset 7; input x 1 3 8 8; Upsample x -> y scales=[2,2]; output y", MODEL,
          "scales of 0 axes"},
      {"input x 1 3 8 8; LayerNormalization x x -> y axis=1; output y", UNSUPPORTED, "input 1"},
      {"input x 1 3 8 8; floats g 8; LayerNormalization x g -> y axis=0; output y", UNSUPPORTED,
          "over the images of a batch"},
      {"input x 1 3 1 1; TopK x -> v i axis=1 k=1 largest=0; output v", UNSUPPORTED,
          "the smallest are the best"},
      {"input x 1 3 8 8; DepthToSpace x -> y blocksize=2; output y", MODEL, "3 channels in blocks"},
      {"input x 1 3 8 8; SpaceToDepth x -> y blocksize=3; output y", MODEL, "8 by 8 pixels"},
      {"input x 1 3 8 8; ArgMax x -> y axis=1; output y", UNSUPPORTED, "at every position"},
      {"input x 1 3 1 1; ArgMax x -> i axis=1; Relu i -> y; output y", UNSUPPORTED, "read again"});
}

static void
test_sums (void)
{
  CHECK_CASES (
      {"input x 1 3 8 8; floats w 1 = 0; Div x w -> y; output y", MODEL, "a division by zero"},
      {"input x 1 3 8 8; floats w 3 1 2; Add x w -> y; output y", UNSUPPORTED,
          "axis 2 of the constant has size 2"},
      {"input x 1 3 8 8; floats w 1 1 3 8 8; Add x w -> y; output y", UNSUPPORTED,
          "a constant with 5 axes"},
      {"input x 1 3 8 8; ReduceMean x -> r axes=[0,3]; output r", UNSUPPORTED,
          "it goes over the images of a batch"},
      {"input x 1 3 8 8; ReduceMax x -> r; output r", UNSUPPORTED, "it goes over the images of a batch"},
      {"input x 1 3 8 8; Slice x -> s starts=[0] ends=[2] axes=[2]; Add x s -> y; opset 9; output y", MODEL,
          "\"x\" and \"s\" have sizes 8 and 2 of axis 2"},
      {"input x 1 3 8 8; ReduceMean x -> r axes=[2,3] keepdims=0; Add x r -> y; output y", UNSUPPORTED,
          "differ in their number of axes"},
      {"input x 1 3 8 8; floats a 3; floats b 3; floats c 3; floats d 2; "
       "BatchNormalization x a b c d -> y; output y",
          MODEL, "input 4 has 2 values for 3 channels"},
      {"input x 1 3 8 8; floats a 3; floats v 3 = 1 -1 1; BatchNormalization x a a a v -> y; output y",
          MODEL, "scale holds"},
      {"input x 1 3 8 8; floats a 3; BatchNormalization x a a a a -> y training_mode=1; output y",
          UNSUPPORTED, "it is in training mode"},
      {"input x 1 3 8 8; floats a 3; BatchNormalization x a a a a -> y m v; output y", UNSUPPORTED,
          "it is in training mode"},
      {"input x 1 3 8 8; floats a 3; BatchNormalization x a a a a -> y spatial=0; output y",
          UNSUPPORTED, "spatial is 0"});
}

static void
test_functions (void)
{
  CHECK_CASES (
      {"input x 1 3 8 8; Clip x -> y min=1.0f max=0.0f; output y", MODEL, "min is 1 and max 0"},
      {"input x 1 3 8 8; floats a 1 = nan; Clip x a -> y; output y", MODEL, "min is nan"},
      {"input x 1 3 8 8; floats a 2; Clip x a -> y; output y", MODEL, "input 1 has 2 elements"},
      {"input x 1 3 8 8; LeakyRelu x -> y alpha=infinity; output y", MODEL, "has type 3; 1"},
      {"input x 1 3 8 8; Softmax x -> y axis=0; output y", UNSUPPORTED,
          "it sums over the images of a batch"},
      {"input x 1 3 8 8; Softmax x -> y axis=0; output y", UNSUPPORTED,
          "it sums over the images of a batch"},
      {"input x 1 3 8 8; Softmax x -> y axis=4; output y", MODEL,
          "axis 4 does not exist: there are 4"},
      {"input x 1 3 8 8; floats r 1; int t = 1; Dropout x r t -> y; output y", UNSUPPORTED,
          "it is in training mode"},
      {"input x 1 3 8 8; Cast x -> y to=7; output y", UNSUPPORTED, "an activation cast to int64"},
      {"input x 1 3 8 8; AveragePool x -> y kernel_shape=[2,2] dilations=[2,1]; output y",
          UNSUPPORTED, "an average with dilation"},
      {"input x 1 3 8 8; MaxPool x -> y kernel_shape=[70000,1]; output y", UNSUPPORTED,
          "kernel_shape holds 70000"},
      {"input x 1 3 8 8; MaxPool x -> y kernel_shape=[2,2] pads=[2,0,0,0]; output y", UNSUPPORTED,
          "a window lies in the padding"},
      {"input x 1 3 8 8; Flatten x -> f; GlobalMaxPool f -> y; output y", UNSUPPORTED,
          "the input has 2 axes"});
}

static void
test_moves (void)
{
  CHECK_CASES (
      {"input x 1 3 8 8; Concat x x -> y axis=4; output y", MODEL, "axis 4 does not exist"},
      {"input x 1 3 8 8; Concat x x -> y axis=0; output y", UNSUPPORTED,
          "it joins the images of batches"},
      {"input x 1 3 8 8; Flatten x -> f; Concat x f -> y axis=1; output y", MODEL,
          "input 1 has 2 axes, the first 4"},
      {"input x 1 3 8 8; MaxPool x -> p kernel_shape=[2,2]; Concat x p -> y axis=1; output y",
          MODEL, "input 1 differs from the first in more than axis"},
      {"input x 1 3 8 8; floats w 1 3 4 8; Concat x w -> y axis=1; output y", MODEL,
          "a constant input differs in axis 2"},
      {"input x 1 3 8 8; floats w 1 3 8 8; Concat x x w -> y axis=1; output y", UNSUPPORTED,
          "constants and several activations"},
      {"input x 1 3 8 8; Split x -> y z axis=1; output y", MODEL,
          "an axis of size 3 into 2 equal parts"},
      {"opset 18; input x 1 3 8 8; Split x -> a b c d axis=1 num_outputs=4; output a", MODEL,
          "part 3 has size 0"},
      {"input x 4 3 8 8; Split x -> y z axis=0; output y", UNSUPPORTED,
          "it splits the images of a batch"},
      {"input x 1 3 8 8; ints s = 1 3; Split x s -> y z axis=1; output y", MODEL,
          "the parts have 4 elements, the axis 3"},
      {"input x 1 3 8 8; ints s = 3; Split x s -> y z axis=1; output y", MODEL,
          "2 outputs, and another number of parts"},
      {"input x 1 3 8 8; Slice x -> y starts=[0] ends=[0] axes=[2]; output y", UNSUPPORTED,
          "axis 2 with step 1"},
      {"input x 1 3 8 8; ints a = -1; ints b = -9; ints c = 2; ints d = -1; Slice x a b c d -> y; "
       "output y",
          UNSUPPORTED, "axis 2 with step -1"},
      {"input x 1 3 8 8; ints s = 1 3 2 4 2 4; Reshape x s -> r; ints a = 0; ints b = 4; ints c = 3; "
       "ints d = 2; Slice r a b c d -> y; output y",
          UNSUPPORTED, "in steps of 2, of 6 axes; up to 5 axes"},
      {"input x 4 3 8 8; Slice x -> y starts=[0] ends=[1] axes=[0]; output y", UNSUPPORTED,
          "axis 0"},
      {"input x 1 3 8 8; Slice x -> y starts=[0] ends=[1,2]; output y", MODEL, "differ in number"},
      {"input x 1 3 8 8; Transpose x -> y; output y", UNSUPPORTED, "has its batch in axis 3"},
      {"input x 1 3 8 8; Transpose x -> y perm=[0,1,1,2]; output y", MODEL, "no permutation"},
      {"input x 1 3 8 8; Transpose x -> y perm=[0,1]; output y", MODEL, "perm has 2 numbers"},
      {"input x 1 3 8 8; ints p = 0 0 1 1 0 0 1 1; Pad x p -> y mode=wrap; output y", UNSUPPORTED,
          "mode \"wrap\"; constant, reflect and edge can be done"},
      {"input x 1 3 8 8; ints p = 0 0 8 0 0 0 0 0; Pad x p -> y mode=reflect; output y", UNSUPPORTED,
          "an axis of size 8 is padded by 8 and 0"},
      {"input x 1 3 8 8; ints p = 0 0 0 40 0 0 0 40; Pad x p -> y mode=edge; output y", UNSUPPORTED,
          "an axis of size 8 is padded by 40 and 40"},
      {"input x 1 3 8 8; ints p = 0 0 1 1 0 0 1 1; floats v 1 = -inf; Pad x p v -> p1; Relu p1 -> y; output y",
          MODEL, "padding with -inf"},
      {"input x 1 3 8 8; ints p = 1 0 1 1 0 0 1 1; floats v 1 = -inf; Pad x p v -> p1; "
       "MaxPool p1 -> y kernel_shape=[3,3]; output y",
          MODEL, "padding with -inf"},
      {"input x 1 3 8 8; ints p = 1 0 0 0 0 0 0 0; Pad x p -> y mode=edge; output y", UNSUPPORTED,
          "it repeats images of the batch"},
      {"input x 1 3 8 8; ints s = 1 3 16 8; Expand x s -> y; output y", UNSUPPORTED,
          "axis 2 becomes 16 from 8"},
      {"input x 1 3 8 8; ints s = 2 3 8 8; Expand x s -> y; output y", UNSUPPORTED,
          "axis 0 becomes 2 from 1"},
      {"input x 1 3 8 1; ints s = 8 0; Expand x s -> y; output y", UNSUPPORTED, "axis 3 becomes 0 from 1"},
      {"input x 1 3 8 1; ints s = 8 16777217; Expand x s -> y; output y", UNSUPPORTED,
          "axis 3 becomes 16777217 from 1"},
      {"input x 1 3 8 8; ints s = 1 1 3 8 8; Expand x s -> y; output y", UNSUPPORTED,
          "5 axes of a value with 4"},
      {"input x 1 3 8 8; ints r = 1 2; Tile x r -> y; output y", MODEL, "2 repeats for 4 axes"},
      {"input x 1 3 8 8; ints r = 2 1 1 1; Tile x r -> y; output y", UNSUPPORTED,
          "axis 0 is repeated 2 times"},
      {"input x 1 3 8 8; ints r = 1 1 0 1; Tile x r -> y; output y", UNSUPPORTED,
          "axis 2 is repeated 0 times"},
      {"input x 1 3 8 8; ints r = 1 1 16777216 1; Tile x r -> y; output y", MODEL,
          "axis 1 of the output has size 33554432"},
      {"input x 1 3 8 8; floats k 2 2; ints r = 1 -1; Tile k r -> t; Add x t -> y; output y", MODEL,
          "axis 1 is repeated -1 times"},
      {"input x 1 3 8 8; floats a 2 3; floats b 2 8; MatMul a b -> m; Add x m -> y; output y", UNSUPPORTED,
          "a product of constants"},
      {"input x 1 3 8 8; ints p = 0 0 -4 1 0 0 -4 1; Pad x p -> y; output y", UNSUPPORTED,
          "it cuts 8 elements off axis 1"},
      {"input x 1 3 8 8; ints p = 0 0 -65536 0 0 0 0 0; Pad x p -> y; output y", UNSUPPORTED,
          "padding by -65536"},
      {"input x 1 3 8 8; ints p = 1 0 0 0 0 0 0 0; Pad x p -> y; output y", UNSUPPORTED,
          "it pads the batch axis"},
      {"input x 1 3 8 8; ints p = 1 1; Pad x p -> y; output y", MODEL, "pads has 2 numbers; 8"},
      {"input x 1 3 8 8; ints p = 0 0 1 1 0 0 1 1; floats v 1 = inf; Pad x p v -> y; output y",
          MODEL, "padding with inf"});
}

static void
test_reshapes (void)
{
  CHECK_CASES (
      {"input x 1 3 8 8; ints s = 1 -1 -1; Reshape x s -> y; output y", MODEL, "two axes are -1"},
      {"input x 1 3 8 8; ints s = 1 -2; Reshape x s -> y; output y", MODEL, "axis 1 has size -2"},
      {"input x 1 3 8 8; ints s = 5 -1; Reshape x s -> y; output y", MODEL,
          "192 elements cannot be divided by 5"},
      {"input x 1 3 8 8; ints s = 1 100; Reshape x s -> y; output y", MODEL,
          "[1 3 8 8] does not have as many elements as [1 100]"},
      {"input x 1 3 8 8; ints s = 1 3 8 8 0; Reshape x s -> y; output y", MODEL,
          "axis 4 copies an axis that the input does not have"},
      {"input x 1 3 8 8; ints s = 0 -1; Reshape x s -> y allowzero=1; output y", MODEL,
          "cannot be divided by 0"},
      {"input x 1 3 8 8; ints s = 9223372036854775807 9223372036854775807 -1; Reshape x s -> y; "
       "output y",
          MODEL, "cannot be divided by -1"},
      {"input x 1 3 8 8; Transpose x -> t perm=[1,0,2,3]; ints s = 8389750312335835166 "
       "7018136992859126377; Reshape t s -> y; output y",
          UNSUPPORTED, "its output 2 axes of which none is the batch"},
      {"input x 1 3 8 8; ints s = 1 1 1 1 1 1 1 1 1; Reshape x s -> y; output y", UNSUPPORTED,
          "a shape of 9 axes"},
      {"input x 1 3 8 8; ints s = 1 3 2 2 2 2 2 2; Reshape x s -> y; output y", UNSUPPORTED,
          "the output has 8 axes"},
      {"input x 4 3 8 8; ints s = 3 -1; Reshape x s -> y; output y", UNSUPPORTED,
          "axis 0 becomes 3, no multiple of the batch of 4"},
      {"input x 1 3 8 8; floats s 2; Reshape x s -> y; output y", MODEL,
          "holds floats where integers"},
      {"input x 1 3 8 8; Flatten x -> y axis=0; output y", UNSUPPORTED,
          "axis 0 flattens the images"},
      {"input x 1 3 8 8; Flatten x -> y axis=5; output y", MODEL, "axis 5 does not exist"},
      {"input x 1 3 8 8; ints a = 0; Squeeze x a -> y; output y", UNSUPPORTED,
          "it takes the batch axis away"},
      {"input x 1 3 8 8; ints a = 2; Squeeze x a -> y; output y", MODEL, "axis 2 has size 8"},
      {"input x 1 3 8 8; ints a = 0; Unsqueeze x a -> y; output y", UNSUPPORTED,
          "has its batch in axis 1"},
      {"input x 1 3 8 8; ints a = 1 1; Unsqueeze x a -> y; output y", MODEL,
          "axis 1 is there twice"},
      {"input x 1 3 8 8; ints a = 1 2 3 4 5; Unsqueeze x a -> y; output y", UNSUPPORTED,
          "the output has 9 axes"},
      {"input x 1 3 8 8; Unsqueeze x -> y; output y", MODEL, "axes is missing"});
}

static void
test_constants (void)
{
  CHECK_CASES ({"input x 1 3 8 8; int i = 0; Gather x i -> y; output y", UNSUPPORTED,
                   "it takes images out of a batch"},
      {"input x 1 3 8 8; int a = 1; CumSum x a -> y; output y", UNSUPPORTED, "computed from the image"},
      {"input x 1 3 8 8; ReduceProd x -> y axes=[1]; output y", UNSUPPORTED, "computed from the image"},
      {"input x 1 3 8 8; Sin x -> y; output y", UNSUPPORTED, "input 0 (\"x\") is computed from the image"},
      {"input x 1 3 8 8; floats c 3; int a = 1; CumSum c a -> d; Add x d -> y; output y", MODEL, "axis 1"},
      {"input x 1 3 8 8; floats c 3; ints a = 0 0; CumSum c a -> d; Add x d -> y; output y", MODEL,
          "2 axes; one is needed"},
      {"input x 1 3 8 8; floats c 3; ReduceProd c -> d axes=[2]; Add x d -> y; output y", MODEL, "axis 2"},
      {"input x 1 3 8 8; floats a 1 = 0; floats b 1 = 5; Range a b a -> r; Add x r -> y; output y", MODEL,
          "inf elements"},
      {"input x 1 3 8 8; floats a 1 = 0; floats b 1 = 1e30; floats c 1; Range a b c -> r; Add x r -> y; "
       "output y",
          MODEL, "1e+30 elements"},
      {"input x 1 3 8 1; floats k 5 1 3; Mul x k -> y; output y", UNSUPPORTED,
          "axis 1 becomes 5 from 3"},
      {"input x 1 3 8 8; ints i = 0 3; Gather x i -> y axis=1; output y", MODEL,
          "index 3 of an axis of size 3"},
      {"input x 1 3 8 8; ints i = -9223372036854775807 9223372036854775807; Gather x i -> y axis=1; "
       "output y",
          MODEL, "of an axis of size 3"},
      {"input x 1 3 8 8; ints i = 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0; "
       "Gather x i -> y axis=1; output y",
          UNSUPPORTED, "more than 64 runs"},
      {"input x 1 3 8 8; floats g 8; LayerNormalization x g -> y axis=1; output y", MODEL,
          "scale has 8 values for 192 features"},
      {"input x 1 3 8 8; floats d 4; ints i = 0; floats u 1; ScatterND d i u -> y reduction=add; output y",
          UNSUPPORTED, "reduction \"add\""},
      {"input x 1 3 8 8; Relu x -> r; Where r x x -> y; output y", UNSUPPORTED,
          "is computed from the image"},
      {"input x 1 3 8 8; Shape x -> s; int i = 4; Gather s i -> t; Reshape x t -> y; output y",
          MODEL, "index 4 of an axis of size 4"},
      {"input x 1 3 8 8; int a = 1; int b = 0; Div a b -> t; Reshape x t -> y; output y", MODEL,
          "node \"t\" (Div): a division by zero"},
      {"input x 1 3 8 8; ints a = 1 2; ints b = 1 2 3; Add a b -> t; Reshape x t -> y; output y",
          MODEL, "the shapes of two constants do not fit"},
      {"input x 1 3 8 8; ints a = 1 2; floats b 1; Add a b -> t; Reshape x t -> y; output y", MODEL,
          "integers and floats"},
      {"input x 1 3 8 8; floats a 1 = nan; Cast a -> t to=7; Reshape x t -> y; output y", MODEL,
          "does not fit into an integer"},
      {"input x 1 3 8 8; floats a 1; Cast a -> t to=8; Reshape x t -> y; output y", UNSUPPORTED,
          "a constant cast to string"},
      {"input x 1 3 8 8; int a = 0; Range a a a -> t; Reshape x t -> y; output y", MODEL,
          "a step of 0"},
      {"input x 1 3 8 8; Constant -> t; Reshape x t -> y; output y", MODEL,
          "0 values; one is needed"},
      {"input x 1 3 8 8; Constant -> t value=1; Reshape x t -> y; output y", MODEL,
          "attribute \"value\" is no tensor"},
      {"input x 1 3 8 8; ints a = 1; floats b 1; Concat a b -> t axis=0; Reshape x t -> y; output y",
          MODEL, "input 1 differs from the first"});
}

/* --- External data ---------------------------------------------------------------------------- */

static void
test_external (void)
{
  g_autofree char *data = g_build_filename (folder, "data.bin", NULL);
  g_autofree char *link = g_build_filename (folder, "link.bin", NULL);
  g_autofree char *inside = g_build_filename (folder, "inside.bin", NULL);

  CHECK (g_file_set_contents (data, "\0\0\200\77\0\0\200\77", 8, NULL));
  CHECK_INT (symlink ("/etc/passwd", link), ==, 0);
  CHECK_INT (symlink ("data.bin", inside), ==, 0);

#define WITH(entries) "input x 1 3 8 8; file w 1 " entries "; Add x w -> y; output y"
  CHECK_CASES ({WITH ("location=/etc/passwd"), MODEL, "the name leads out of the model's folder"},
      {WITH ("location=../data.bin"), MODEL, "the name leads out of the model's folder"},
      {WITH ("location=a/../../data.bin"), MODEL, "the name leads out of the model's folder"},
      {WITH ("location="), MODEL, "the name leads out of the model's folder"},
      {WITH ("location=link.bin"), MODEL, "a link leads out of the model's folder"},
      {WITH ("location=none.bin"), MODEL, "No such file or directory; it belongs beside the model"},
      {WITH ("location=."), MODEL, "a link leads out of"},
      {WITH ("offset=0"), MODEL, "the tensor does not say in which file"},
      {WITH ("location=data.bin"), MODEL, "needs 4 bytes of external data and is given 8"},
      {WITH ("location=data.bin offset=8"), MODEL, "needs 4 bytes of external data and is given 0"},
      {WITH ("location=data.bin offset=9"), MODEL, "lies at 9 + 0, but the file has 8 bytes"},
      {WITH ("location=data.bin offset=-1"), MODEL, "lies at -1 + 0"},
      {WITH ("location=data.bin offset=4 length=5"), MODEL, "lies at 4 + 5, but the file has 8"},
      {WITH ("location=data.bin offset=18446744073709551615"), MODEL, "but the file has 8"},
      {"input x 1 3 8 8; file w 1000000 1000 location=data.bin; Add x w -> y; output y", MODEL,
          "needs 4000000000 bytes of external data and is given 8"});

  /* and what is allowed: an unaligned tensor, and a link that stays */
  g_autoptr (GByteArray) bytes =
      onnx_text ("input x 1 3 8 8; file w 1 location=data.bin offset=2 length=4; "
                 "file v 1 location=inside.bin offset=4; Mul x v -> z; Add z w -> y; output y");
  g_autofree char *path = g_build_filename (folder, "model.onnx", NULL);
  g_autoptr (GError) error = NULL;
  g_autoptr (EngineModel) model = NULL;

  CHECK (g_file_set_contents (path, (const char *) bytes->data, bytes->len, NULL));
  model = engine_model_load (path, &error);
  if (!model)
    CHECK_FAIL ("%s", error->message);
}

/* --- Size ------------------------------------------------------------------------------------ */

static void
test_many_nodes (void)
{
  g_autoptr (GString) text = g_string_new ("input x 1 1 1 1; Relu x -> a0");
  g_autoptr (GByteArray) bytes = NULL;

  for (int i = 1; i < 17000; i++)
    g_string_append_printf (text, "; Relu a%d -> a%d", i - 1, i);
  g_string_append (text, "; output a16999");
  bytes = onnx_text (text->str);
  check_refused ("17000 nodes", bytes->data, bytes->len, UNSUPPORTED, "17000 nodes with 34000");
}

int
main (void)
{
  folder = g_dir_make_tmp ("int8-onnx-XXXXXX", NULL);
  RUN (test_files);
  RUN (test_unreadable);
  RUN (test_truncated);
  RUN (test_wire);
  RUN (test_many_small_messages);
  RUN (test_opset);
  RUN (test_interface);
  RUN (test_names_and_order);
  RUN (test_unknown_ops);
  RUN (test_conv_transpose);
  RUN (test_quantised);
  RUN (test_attributes);
  RUN (test_tensors);
  RUN (test_memory);
  RUN (test_conv);
  RUN (test_fully_connected);
  RUN (test_other_functions);
  RUN (test_sums);
  RUN (test_functions);
  RUN (test_moves);
  RUN (test_reshapes);
  RUN (test_constants);
  RUN (test_external);
  RUN (test_many_nodes);
  test_folder_remove (folder);
  g_free (folder);
  return check_done ();
}
