/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * caffe-errors.c: prototxts and caffemodels that are wrong or not supported, and what is said about
 * each; and every truncation of a good pair.
 */
#include <glib/gstdio.h>
#include <unistd.h>

#include "engine/caffe/caffe.h"
#include "engine/engine.h"
#include "tests/check.h"
#include "tests/engine/caffe-model.h"

#define MODEL       ENGINE_ERROR_MODEL
#define UNSUPPORTED ENGINE_ERROR_UNSUPPORTED

#define INPUT "input: 'data' input_dim: [1, 3, 4, 4]\n"

/* NULL, or the message. */
static char *
load (const char *text, gsize text_size, const guint8 *weights, gsize weights_size, int *code)
{
  g_autoptr (GBytes) text_bytes = g_bytes_new (text, text_size);
  g_autoptr (GBytes) weights_bytes = g_bytes_new (weights, weights_size);
  g_autoptr (GError) error = NULL;
  g_autoptr (EngineOnnxFile) file =
      engine_caffe_new (weights_bytes, "a.caffemodel", text_bytes, "a.prototxt", &error);

  *code = error ? error->code : -1;
  if (file)
    return NULL;
  if (error->domain != ENGINE_ERROR || !g_utf8_validate (error->message, -1, NULL))
    CHECK_FAIL ("%s", error->message);
  return g_strdup (error->message);
}

static void
check_text (const char *text, const char *weights, int code, const char *message)
{
  g_autoptr (GByteArray) bytes = caffe_weights (weights, FALSE);
  int got;
  g_autofree char *said = load (text, strlen (text), bytes->data, bytes->len, &got);

  if (!said)
    CHECK_FAIL ("%s:\nloaded; expected: %s", text, message);
  else if (got != code || !strstr (said, message) ||
           !g_str_has_prefix (said, "model \"a.prototxt\": "))
    CHECK_FAIL ("%s:\n--- got %d\n%s\n--- expected %d\n%s", text, got, said, code, message);
}

/* --- Text ----------------------------------------------------------------------------------- */

static void
test_syntax (void)
{
  static const struct {
    const char *text, *message;
  } cases[] = {
      {"name: 'a'\ninput: 'data", "line 2: a text without its closing quote"},
      {"name: 'a\n'", "line 1: a text without its closing quote"},
      {"layer {\n name: 'x'\n", "line 3: the text ends where '}' is expected: it is truncated"},
      {"layer {\n name: 'x' >", "line 2: '>' where the name of a field is expected"},
      {"layer < name: 'x' }", "line 1: '}' where the name of a field is expected"},
      {"\n\nlayer: 3", "line 3: '3' where '{' is expected"},
      {"name 'a'", "line 1: 'a' where ':' is expected"},
      {"name:", "line 1: name is ''; a text in quotes is expected"},
      {"name: 3", "line 1: name is '3'; a text in quotes is expected"},
      {"name: 'a'\nname: 'b'", "line 2: name is there twice"},
      {"input_dim: 1.5", "line 1: input_dim is '1.5', which is no integer"},
      {"input_dim: 99999999999999999999", "which is no integer"},
      {"input_dim: [1, 2", "the text ends where ']' is expected"},
      {"input_dim: [1 2]", "line 1: '2' where ']' is expected"},
      {"name: ['a']", "a list, but name has one value"},
      {"unknown { a [ }", "line 1: '}' where ']' is expected"},
      {"unknown:", "the text ends where a value is expected"},
      {"unknown { {{{", "the text ends where '}' is expected"},
      {"name: 'a\\0b'", "a zero byte"},
      {"$", "line 1: '$' is not expected here"},
      {"name: 'a' \x01", "line 1: byte 1 is not text"},
      {"layer { pooling_param { pool: LARGEST } }", "pool cannot be 'LARGEST'"},
      {"layer { pooling_param { global_pooling: maybe } }", "it is true or false"},
      {"layer { relu_param { negative_slope: x } }", "negative_slope is 'x', which is no number"},
      {"layer {\n convolution_param {\n  num_outputs: 3 } }",
          "line 3: 'num_outputs' is not known here (Convolution), and might change what the layer "
          "computes"},
      {"version https://git-lfs.github.com/spec/v1\n", "git lfs pull"},
      {"", "this is an empty file"},
  };

  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++)
    check_text (cases[i].text, "none", MODEL, cases[i].message);
}

/* What is skipped may nest, but not without end; without recursion. */
static void
test_nesting (void)
{
  g_autofree char *open = g_strnfill (100000, '{'), *text = g_strconcat ("x: ", open, NULL);
  g_autofree char *deep = g_strnfill (60, '{'), *close = g_strnfill (60, '}');
  g_autofree char *allowed = g_strconcat ("x ", deep, close, NULL);

  check_text (text, "none", MODEL, "nested more than 64 times");
  check_text (allowed, "none", MODEL, "it has no layers");
}

/* --- Nets ----------------------------------------------------------------------------------- */

static void
test_nets (void)
{
  static const struct {
    const char *text, *weights;
    int code;
    const char *message;
  } cases[] = {
      {"name: 'a'", "none", MODEL, "it has no layers"},
      {INPUT "layer { type: 'ReLU' }", "none", MODEL, "layer 0 has no name"},
      {INPUT "layers { layer { name: 'a' type: 'relu' } name: 'a' }", "none", MODEL,
          "upgrade_net_proto_text"},
      {INPUT "layer { name: 'a' type: 'ReLU' } layers { name: 'b' type: RELU }", "none", MODEL,
          "both `layer` and `layers`"},
      {INPUT
          "layer { name: 'a' type: 'Crop' bottom: 'data' bottom: 'b' top: 'c' } layer { name: 'd' "
          "type: 'Deconvolution' }",
          "none", UNSUPPORTED,
          "layers of types that are not supported: Crop (layer \"a\"), Deconvolution (layer \"d\"); "
          "docs/MODELS.md"},
      {"layer { name: 'mnist' type: 'Data' top: 'data' top: 'label' }", "none", UNSUPPORTED,
          "layer \"mnist\" (Data) reads a training set"},
      {"layer { name: 'a' type: 'ReLU' bottom: 'data' top: 'b' }", "none", MODEL,
          "layer \"a\" (ReLU): it reads blob \"data\", which no layer before it writes"},
      {INPUT "layer { name: 'a' type: 'ReLU' top: 'b' }", "none", MODEL, "0 bottoms"},
      {"input: 'data' layer { name: 'a' type: 'ReLU' bottom: 'data' top: 'b' }", "none", MODEL,
          "input \"data\" has no shape"},
      {"input: 'data' input_shape { dim: 1 dim: 784 } layer { name: 'a' type: 'ReLU' bottom: 'data' "
       "top: 'b' }",
          "none", UNSUPPORTED, "input \"data\" has 2 dims"},
      {"layer { name: 'data' type: 'Input' top: 'data' }", "none", MODEL, "it has no shape"},
      {"input: 'data' input_dim: [1, 3, 0, 4] layer { name: 'a' type: 'ReLU' bottom: 'data' top: 'b' }",
          "none", UNSUPPORTED, "input \"data\" has a dim of 0"},
      {INPUT
          "layer { name: 'a' type: 'ReLU' bottom: 'data' top: 'b' } layer { name: 'c' type: 'ReLU' "
          "bottom: 'data' top: 'b' }",
          "none", MODEL,
          "layer \"c\" (ReLU): it writes blob \"b\", which another layer has written"},
  };

  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++)
    check_text (cases[i].text, cases[i].weights, cases[i].code, cases[i].message);
}

/* --- Layers --------------------------------------------------------------------------------- */

static void
test_layers (void)
{
  static const struct {
    const char *layer, *weights;
    int code;
    const char *message;
  } cases[] = {
      {"type: 'Convolution'", "none", MODEL, "no convolution_param"},
      {"type: 'Convolution' convolution_param { num_output: 2 }", "none", MODEL,
          "kernel_size is missing"},
      {"type: 'Convolution' convolution_param { num_output: 2 kernel_size: 3 kernel_h: 3 }", "none",
          MODEL, "kernel_size is given both for all axes and by axis"},
      {"type: 'Convolution' convolution_param { num_output: 2 kernel_size: [1, 1, 1] }", "none",
          UNSUPPORTED, "kernel_size has 3 numbers"},
      {"type: 'Convolution' convolution_param { num_output: 2 kernel_size: 1 group: 2 }", "none",
          MODEL, "2 outputs of 3 channels in 2 groups"},
      {"type: 'Convolution' convolution_param { num_output: 2 kernel_size: 5 }", "none", MODEL,
          "the window is larger than the input"},
      {"type: 'Convolution' convolution_param { num_output: 2 kernel_size: 1 }", "other 1", MODEL,
          "the caffemodel has 0 blobs of a layer of this name, and 1 are needed"},
      {"type: 'Convolution' convolution_param { num_output: 2 kernel_size: 1 }", "a 2 3 1 1", MODEL,
          "the caffemodel has 1 blobs of a layer of this name, and 2 are needed"},
      {"type: 'Convolution' convolution_param { num_output: 2 kernel_size: 1 }", "a 3 2 1 1 | 2",
          MODEL,
          "blob 0 of the caffemodel is 3 x 2 x 1 x 1 with 6 numbers (double, float and float16 are "
          "read), and 2 x 3 x 1 x 1 is needed"},
      {"type: 'InnerProduct' inner_product_param { num_output: 2 axis: 2 }", "none", UNSUPPORTED,
          "axis 2; 1, all but the batch, can be done"},
      {"type: 'InnerProduct' inner_product_param { num_output: 0 }", "none", MODEL,
          "num_output is 0"},
      {"type: 'Pooling' pooling_param { pool: STOCHASTIC kernel_size: 2 }", "none", UNSUPPORTED,
          "pool STOCHASTIC"},
      {"type: 'Pooling' pooling_param { kernel_size: 2 pad: 2 }", "none", MODEL,
          "the padding, 2, is not less than the window, 2"},
      {"type: 'Pooling' pooling_param { kernel_size: 1 stride: 5 }", "none", UNSUPPORTED,
          "the last window lies outside of the input"},
      {"type: 'Pooling' pooling_param { global_pooling: true pad: 1 }", "none", MODEL,
          "global_pooling with padding or a stride"},
      {"type: 'BatchNorm' batch_norm_param { use_global_stats: false }", "none", UNSUPPORTED,
          "use_global_stats is false"},
      {"type: 'Scale' scale_param { axis: 0 }", "none", UNSUPPORTED,
          "axis 0: one value for each image"},
      {"type: 'Scale' scale_param { axis: 4 }", "none", MODEL, "axis 4 of an input with 4"},
      {"type: 'Eltwise' bottom: 'data' eltwise_param { coeff: 1 }", "none", MODEL,
          "1 coefficients for 2 bottoms"},
      {"type: 'Eltwise' bottom: 'data' eltwise_param { operation: MAX coeff: 1 coeff: 1 }", "none",
          MODEL, "coefficients, which sums alone have"},
      {"type: 'LRN' lrn_param { norm_region: WITHIN_CHANNEL }", "none", UNSUPPORTED,
          "norm_region WITHIN_CHANNEL"},
      {"type: 'LRN' lrn_param { local_size: 4 }", "none", MODEL, "local_size is 4"},
      {"type: 'Concat' concat_param { axis: 0 }", "none", UNSUPPORTED,
          "axis 0 goes over the images"},
      {"type: 'Slice' top: 'c'", "none", MODEL, "3 values in 2 equal parts"},
      {"type: 'Slice' top: 'c' slice_param { slice_point: 3 }", "none", MODEL,
          "slice point 3 after 3 of 3"},
      {"type: 'Slice' top: 'c' slice_param { slice_point: [1, 2] }", "none", MODEL,
          "2 slice points for 2 tops"},
      {"type: 'Flatten' flatten_param { axis: 3 end_axis: 2 }", "none", MODEL,
          "end_axis 2 is before axis 3"},
      {"type: 'Reshape'", "none", MODEL, "no reshape_param"},
      {"type: 'Reshape' reshape_param { shape { dim: -1 dim: -1 } }", "none", MODEL, "dim 1 is -1"},
      {"type: 'Reshape' reshape_param { shape { dim: 0 dim: 7 } }", "none", MODEL,
          "the output would not have the input's number of values"},
      {"type: 'Reshape' reshape_param { shape { dim: 2 dim: 24 } }", "none", UNSUPPORTED,
          "it mixes the images of a batch"},
  };

  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_autofree char *text = g_strconcat (INPUT "layer { name: 'a' bottom: 'data' top: 'b' ",
        cases[i].layer, " }", NULL);

    check_text (text, cases[i].weights, cases[i].code, cases[i].message);
  }
}

/* --- Weights -------------------------------------------------------------------------------- */

static void
test_weights (void)
{
  static const struct {
    const char *bytes, *message;
  } files[] = {
      {"", "this is an empty file"},
      {"name: 'LeNet'\nlayer {", "this is a text file, not a caffemodel"},
      {"\x89PNG\r\n\x1a\n", "this is a PNG picture"},
      {"\xa2\x06\x7f\x0a\x01", "the file is truncated: field \"layer\""},
      {"\xa2\x06\x01\x01", "this is not a caffemodel: "},
  };
  static const char text[] = INPUT "layer { name: 'a' type: 'ReLU' bottom: 'data' top: 'b' }";

  for (gsize i = 0; i < G_N_ELEMENTS (files); i++) {
    int code;
    g_autofree char *said =
        load (text, strlen (text), (const guint8 *) files[i].bytes, strlen (files[i].bytes), &code);

    if (!said || code != MODEL || !strstr (said, files[i].message) ||
        !g_str_has_prefix (said, "model \"a.caffemodel\": "))
      CHECK_FAIL ("--- got %d\n%s\n--- expected\n%s", code, said ? said : "(loaded)",
          files[i].message);
  }
}

/* A file that lacks its end is never the whole one: an error, or, where a last layer is missing, a net
 * without it. */
static void
test_truncations (void)
{
  static const char text[] = INPUT
      "layer { name: 'c' type: 'Convolution' bottom: 'data' top: 'c' convolution_param { num_output: 2 "
      "kernel_size: 3 } }\n"
      "layer { name: 'ip' type: 'InnerProduct' bottom: 'c' top: 'ip' inner_product_param { num_output: "
      "2 bias_term: false } }";
  g_autoptr (GByteArray) weights = caffe_weights ("c 2 3 3 3 | 2; ip 2 8", FALSE);
  int code, loaded = 0;
  g_autofree char *whole = load (text, strlen (text), weights->data, weights->len, &code);

  CHECK (!whole);
  for (gsize n = 0; n < weights->len; n++) {
    g_autofree char *said = load (text, strlen (text), weights->data, n, &code);

    CHECK (said != NULL);
  }
  for (gsize n = 0; n < strlen (text); n++) {
    g_autofree char *said = load (text, n, weights->data, weights->len, &code);

    loaded += said == NULL;
  }
  CHECK_INT (loaded, ==, 2); /* the first layer alone, with its line's end and without */
}

int
main (void)
{
  RUN (test_syntax);
  RUN (test_nesting);
  RUN (test_nets);
  RUN (test_layers);
  RUN (test_weights);
  RUN (test_truncations);
  return check_done ();
}
