/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * onnx-errors.c: files that are no models, graphs that do not hold together, and tensors that are not what
 * they say. What is said of single ops: onnx-errors-ops.c and onnx-errors-moves.c.
 */
#include <unistd.h>

#include "tests/engine/onnx-refused.h"

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
  refused_begin ();
  RUN (test_files);
  RUN (test_unreadable);
  RUN (test_truncated);
  RUN (test_wire);
  RUN (test_many_small_messages);
  RUN (test_opset);
  RUN (test_interface);
  RUN (test_names_and_order);
  RUN (test_unknown_ops);
  RUN (test_attributes);
  RUN (test_tensors);
  RUN (test_memory);
  RUN (test_external);
  RUN (test_many_nodes);
  return refused_end ();
}
