/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* caffe-nets.c: layers together, the names of tensors, and the two files; and NVIDIA's LeNet against the same
 * network as ONNX. */
#include "tests/engine/caffe-check.h"

/* The gate of squeeze-and-excitation: a vector of channels times a picture. */
static void
test_gate (void)
{
  const Blob x = image (3, 4, 5);
  Blob y = x;

  for (int c = 0; c < 3; c++) {
    double mean = 0;

    for (int i = 0; i < 20; i++)
      mean += x.v[c * 20 + i] / 20;
    for (int i = 0; i < 20; i++)
      y.v[c * 20 + i] = x.v[c * 20 + i] / (1 + exp (-mean));
  }
  check_model ("gate",
      "input: 'data' input_shape { dim: 1 dim: 3 dim: 4 dim: 5 }"
      "layer { name: 'mean' type: 'Pooling' bottom: 'data' top: 'mean' pooling_param { pool: AVE "
      "global_pooling: true } }"
      "layer { name: 'flat' type: 'Flatten' bottom: 'mean' top: 'flat' }"
      "layer { name: 'gate' type: 'Sigmoid' bottom: 'flat' top: 'flat' }"
      "layer { name: 'y' type: 'Scale' bottom: 'data' bottom: 'flat' top: 'y' scale_param { axis: 0 } }",
      caffe_weights ("none", FALSE), &x, &y);
}

/* The names of the tensors that a table has, between spaces. */
static char *
tensors (const char *prototxt, const char *weights, gboolean v1)
{
  g_autoptr (GByteArray) bytes = caffe_weights (weights, v1);
  g_autofree char *path = caffe_files (folder, prototxt, bytes);
  g_autoptr (GError) error = NULL;
  g_autoptr (EngineModel) model = engine_model_load (path, &error);
  g_autoptr (GPtrArray) names = model ? engine_model_tensors (model) : NULL;
  GString *text = g_string_new (error ? error->message : NULL);

  for (guint i = 0; names && i < names->len; i++)
    g_string_append_printf (text, "%s%s", i ? " " : "", (const char *) names->pdata[i]);
  return g_string_free (text, FALSE);
}

#define IN_PLACE                                                                                     \
  "layer { name: 'conv' type: 'Convolution' bottom: 'data' top: 'conv' convolution_param { "         \
  "num_output: 2 kernel_size: 1 } }"                                                                 \
  "layer { name: 'bn' type: 'BatchNorm' bottom: 'conv' top: 'conv' }"                                \
  "layer { name: 'scale' type: 'Scale' bottom: 'conv' top: 'conv' scale_param { bias_term: true } }" \
  "layer { name: 'relu' type: 'ReLU' bottom: 'conv' top: 'conv' }"                                   \
  "layer { name: 'drop' type: 'Dropout' bottom: 'conv' top: 'conv' }"                                \
  "layer { name: 'fc' type: 'InnerProduct' bottom: 'conv' top: 'fc' inner_product_param { "          \
  "num_output: 4 } }"

/* A blob's last version has its name, whatever was written in place; training is left out. */
static void
test_names (void)
{
  g_autofree char *plain = tensors (
      "input: 'data' input_dim: [1, 3, 2, 2]" IN_PLACE
      "layer { name: 'loss' type: 'SoftmaxWithLoss' bottom: 'fc' bottom: 'label' top: 'loss' }"
      "layer { name: 'top1' type: 'Accuracy' bottom: 'fc' bottom: 'label' top: 'top1' include { phase: "
      "TEST } }",
      "conv 2 3 1 1 | 2; bn 2 | positive 2 | positive 1; scale 2 | 2; fc 4 8 | 4", FALSE);
  g_autofree char *sigmoid_first =
      tensors ("input: 'data' input_dim: [1, 3, 2, 2]"
               "layer { name: 's' type: 'Sigmoid' bottom: 'data' top: 'data' }"
               "layer { name: 't' type: 'Sigmoid' bottom: 'data' top: 'data' }",
          "none", FALSE);

  CHECK_STR (plain, "data conv fc loss");
  CHECK (g_str_has_prefix (sigmoid_first, "data data@s data@t"));
}

/* `layers` of V1, and rules of phases. */
static void
test_v1_and_phases (void)
{
  g_autofree char *names = tensors (
      "name: 'old' # a comment\n"
      "input: \"data\" input_dim: 10 input_dim: 1 input_dim: 4 input_dim: 4\n"
      "layers { layers_note { deep < er: [1, 2] > } more: 'a' \"b\" name: \"train\" type: DATA top: \"data\" include: { "
      "phase: TRAIN } }\n"
      "layers { name: \"ip\" type: INNER_PRODUCT bottom: \"data\" top: \"ip\" blobs_lr: 1 "
      "weight_decay: 0.5 inner_product_param { num_output: 3 } }\n"
      "layers { name: \"noise\" type: DROPOUT bottom: \"ip\" top: \"ip\" exclude { phase: TEST } }\n"
      "layers { name: \"stage\" type: RELU bottom: \"ip\" top: \"ip\" include { stage: \"deploy\" } }\n"
      "layers { name: \"prob\" type: SOFTMAX bottom: \"ip\" top: \"prob\" }\n",
      "ip legacy 1 1 3 16 | legacy 1 1 1 3", TRUE);

  CHECK_STR (names, "data ip prob");
}

/* --- Files ------------------------------------------------------------------------------------ */

static void
test_files (void)
{
  g_autoptr (GByteArray) weights = caffe_weights ("none", FALSE);
  g_autofree char *path = caffe_files (folder,
      "input: 'data' input_dim: [1, 1, 2, 2] layer { name: 'r' type: 'ReLU' bottom: 'data' top: 'r' }",
      weights);
  g_autofree char *text = g_build_filename (folder, "model.prototxt", NULL);
  g_autofree char *moved = g_build_filename (folder, "deploy.txt", NULL);
  const EngineModelOptions options = {.proto = moved}, reversed = {.proto = path};
  g_autoptr (GError) error = NULL;
  g_autoptr (EngineModel) by_weights = engine_model_load (path, NULL);
  g_autoptr (EngineModel) by_text = engine_model_load (text, NULL);
  g_autoptr (EngineModel) with_weights = engine_model_load_with (text, &reversed, NULL);

  CHECK (by_weights && by_text && with_weights);
  CHECK (g_rename (text, moved) == 0);
  g_autoptr (EngineModel) by_proto = engine_model_load_with (path, &options, NULL);
  g_autoptr (EngineModel) alone = engine_model_load (path, &error);

  CHECK (by_proto && !alone);
  CHECK (g_error_matches (error, G_FILE_ERROR, G_FILE_ERROR_NOENT) &&
         strstr (error->message, "model.prototxt\", is not beside it"));
  if (by_weights && by_text && by_proto) {
    CHECK_STR (engine_model_sha256 (by_weights), engine_model_sha256 (by_text));
    CHECK_STR (engine_model_sha256 (by_weights), engine_model_sha256 (by_proto));
  }
}

/* Another prototxt is another key, with the hashes remembered and without. */
static void
test_key (void)
{
  g_autoptr (GByteArray) weights = caffe_weights ("none", FALSE);
  g_autofree char *path = caffe_files (folder,
      "input: 'data' input_dim: [1, 1, 2, 2] layer { name: 'r' type: 'ReLU' bottom: 'data' top: 'r' }",
      weights);
  g_autofree char *other = g_build_filename (folder, "other.prototxt", NULL);
  EngineRequest request = {.model = path, .precision = ENGINE_PRECISION_FP32};
  g_autofree char *first_key = engine_request_key (&request, NULL);

  CHECK (g_file_set_contents (other,
      "input: 'data' input_dim: [1, 1, 2, 2] layer { name: 'r' type: 'TanH' bottom: 'data' top: 'r' }",
      -1, NULL));
  request.model_options.proto = other;
  g_autofree char *second_key = engine_request_key (&request, NULL);

  CHECK (first_key && second_key && strcmp (first_key, second_key) != 0);
}

static void
test_lenet (void)
{
  const char *data = g_getenv ("INT8_TEST_DATA");
  g_autofree char *mnist = g_build_filename (data ? data : "../shared/data", "mnist", NULL);
  g_autofree char *weights = g_build_filename (mnist, "mnist_lenet.caffemodel", NULL);
  g_autofree char *onnx = g_build_filename (mnist, "mnist_lenet.onnx", NULL);
  g_autofree char *text = g_build_filename (mnist, "nvidia_deploy.prototxt", NULL);
  const EngineModelOptions options = {.proto = text};
  g_autoptr (GError) error = NULL;
  g_autoptr (Engine) a = NULL, b = NULL;
  const Blob x = image (1, 28, 28);
  Blob of_caffe = {10, 1, 1, {0}}, of_onnx = of_caffe;

  if (!g_file_test (weights, G_FILE_TEST_EXISTS))
    SKIP ("%s is not there", weights);
  a = build (weights, &options, &error);
  b = a ? build (onnx, NULL, &error) : NULL;
  if (b) {
    run (a, &x, &of_caffe, &error);
    run (b, &x, &of_onnx, &error);
  }
  if (error)
    CHECK_FAIL ("%s", error->message);
  CHECK (of_caffe.v[0] > 0 && memcmp (of_caffe.v, of_onnx.v, sizeof of_caffe.v) == 0);
}

int
main (void)
{
  caffe_begin ();
  RUN (test_gate);
  RUN (test_names);
  RUN (test_v1_and_phases);
  RUN (test_files);
  RUN (test_key);
  RUN (test_lenet);
  return caffe_end ();
}
