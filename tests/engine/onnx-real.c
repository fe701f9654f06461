/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * onnx-real.c: models of the world, from the test data: each is loaded, or refused with the right
 * words. Names that tables use, and the outputs that came with the light_* models of ONNX.
 */
#include <math.h>
#include <stdlib.h>

#include "engine/engine.h"
#include "engine/model.h"
#include "engine/onnx/onnx.pb-c.h"
#include "tests/check.h"

static char *
data_path (const char *name)
{
  const char *data = g_getenv ("INT8_TEST_DATA"), *source = g_getenv ("INT8_SOURCE_DIR");

  return data ? g_build_filename (data, name, NULL)
              : g_build_filename (source ? source : ".", "../shared/data", name, NULL);
}

static gboolean
have_data (void)
{
  g_autofree char *path = data_path ("models");

  return g_file_test (path, G_FILE_TEST_IS_DIR);
}

/* --- Loaded or refused ------------------------------------------------------------------------ */

static const struct {
  const char *name;
  int height, width, channels, classes, softmax;
} loaded[] = {
    {"mnist/mnist_lenet.onnx", 28, 28, 1, 10, TRUE},
    {"models/light_densenet121.onnx", 224, 224, 3, 1000, FALSE},
    {"models/light_resnet50.onnx", 224, 224, 3, 1000, TRUE},
    {"models/light_inception_v1.onnx", 224, 224, 3, 1000, TRUE},
    {"models/light_squeezenet.onnx", 224, 224, 3, 1000, TRUE},
    {"models/SqueezeNet_fp16.onnx", 224, 224, 3, 1000, TRUE},
    {"models/mnist-1.onnx", 28, 28, 1, 10, FALSE},
    {"models/mnist-8.onnx", 28, 28, 1, 10, FALSE},
    {"models/mobilenet_v2_qdq_op12_lanznx.onnx", 224, 224, 3, 1000, FALSE},
    {"models/mobilenetv2_dynq_op12_goku.onnx", 224, 224, 3, 1000, FALSE},
    {"models/mobilenetv2_fp32_op12.onnx", 224, 224, 3, 1000, FALSE},
    {"models/resnet20_cifar10.onnx", 32, 32, 3, 10, FALSE},
    {"models/shufflenet-v2-12-int8.onnx", 224, 224, 3, 1000, FALSE},
    {"models/shufflenetv2_fp32_op12.onnx", 224, 224, 3, 1000, FALSE},
    {"models/squeezenet1.0_fp32.onnx", 224, 224, 3, 1000, TRUE},
    {"models/winml_ImageClassifier_cifar10.onnx", 32, 32, 3, 10, FALSE},
};

static const struct {
  const char *name, *message;
} refused[] = {
    {"models/ch_ppocr_mobile_v2.0_cls_infer.onnx",
        "input \"x\" is [-1 3 -1 -1]: height and width are not fixed"},
    {"models/mnist_pytorch.onnx", "input \"network_input\" is [1 784], which is no image"},
    {"models/light_input_0.pb", "this is not an ONNX file"},
    {"mnist/mnist_lenet.caffemodel", "is one of Caffe's two files"},
    {"mnist/nvidia_deploy.prototxt", "is one of Caffe's two files"},
    {"mnist/t10k-labels-idx1-ubyte.gz", "this is compressed with gzip"},
};

static void
test_loaded (void)
{
  if (!have_data ())
    SKIP ("there is no test data (INT8_TEST_DATA)");
  for (gsize i = 0; i < G_N_ELEMENTS (loaded); i++) {
    g_autofree char *path = data_path (loaded[i].name);
    g_autoptr (GError) error = NULL;
    g_autoptr (EngineModel) model = engine_model_load (path, &error);
    EngineInputInfo info;

    if (!model) {
      CHECK_FAIL ("%s", error->message);
      continue;
    }
    engine_model_input (model, &info);
    if (info.height != loaded[i].height || info.width != loaded[i].width ||
        info.channels != loaded[i].channels ||
        engine_model_n_classes (model) != loaded[i].classes ||
        engine_model_has_softmax (model) != loaded[i].softmax)
      CHECK_FAIL ("%s: %dx%dx%d, %d classes, softmax %d", loaded[i].name, info.height, info.width,
          info.channels, engine_model_n_classes (model), engine_model_has_softmax (model));
  }
}

/* Height and width, or all of an image, given. */
static void
test_shaped (void)
{
  static const struct {
    const char *name, *shape;
    int height, width, channels, classes;
    const char *message;
  } shaped[] = {
      {"models/ch_ppocr_mobile_v2.0_cls_infer.onnx", "3;48;192", 48, 192, 3, 2, NULL},
      {"models/ch_ppocr_mobile_v2.0_cls_infer.onnx", "x:1x3x64x100", 64, 100, 3, 2, NULL},
      {"models/ch_ppocr_mobile_v2.0_cls_infer.onnx", "y:1x3x64x100", 0, 0, 0, 0, "another name"},
      {"models/ch_ppocr_mobile_v2.0_cls_infer.onnx", "1;48;192", 0, 0, 0, 0, "does not fit input"},
      {"models/ch_ppocr_mobile_v2.0_cls_infer.onnx", "48;192", 0, 0, 0, 0, "has 2 numbers"},
      {"models/ch_ppocr_mobile_v2.0_cls_infer.onnx", "3;48;-1", 0, 0, 0, 0, "is no number from 1"},
      {"models/mnist_pytorch.onnx", "1;28;28", 28, 28, 1, 10, NULL},
      {"models/mnist_pytorch.onnx", "1;28;27", 0, 0, 0, 0, "does not fit input"},
      {"models/mnist-8.onnx", "1;28;28", 28, 28, 1, 10, NULL},
      {"models/mnist-8.onnx", "1;32;32", 0, 0, 0, 0, "does not fit input"},
  };
  g_autofree char *first = NULL;

  if (!have_data ())
    SKIP ("there is no test data (INT8_TEST_DATA)");
  for (gsize i = 0; i < G_N_ELEMENTS (shaped); i++) {
    const EngineModelOptions options = {.shape = shaped[i].shape};
    g_autofree char *path = data_path (shaped[i].name);
    g_autoptr (GError) error = NULL;
    g_autoptr (EngineModel) model = engine_model_load_with (path, &options, &error);
    EngineInputInfo info = {0};

    if (!model || shaped[i].message) {
      if (model || !shaped[i].message || !strstr (error->message, shaped[i].message))
        CHECK_FAIL ("%s as %s: %s", shaped[i].name, shaped[i].shape,
            model ? "loaded" : error->message);
      continue;
    }
    engine_model_input (model, &info);
    if (info.height != shaped[i].height || info.width != shaped[i].width ||
        info.channels != shaped[i].channels || engine_model_n_classes (model) != shaped[i].classes)
      CHECK_FAIL ("%s as %s: %dx%dx%d, %d classes", shaped[i].name, shaped[i].shape, info.height,
          info.width, info.channels, engine_model_n_classes (model));
    if (i == 0)
      first = g_strdup (engine_model_sha256 (model));
    else
      CHECK (strcmp (first, engine_model_sha256 (model)) != 0);
  }
}

static void
test_refused (void)
{
  if (!have_data ())
    SKIP ("there is no test data (INT8_TEST_DATA)");
  for (gsize i = 0; i < G_N_ELEMENTS (refused); i++) {
    g_autofree char *path = data_path (refused[i].name);
    g_autoptr (GError) error = NULL;
    g_autoptr (EngineModel) model = engine_model_load (path, &error);

    if (model)
      CHECK_FAIL ("%s: loaded", refused[i].name);
    else if (!strstr (error->message, refused[i].message) || !strstr (error->message, path))
      CHECK_FAIL ("%s\n--- expected\n%s", error->message, refused[i].message);
  }
}

/* --- Names and digest ------------------------------------------------------------------------- */

/* NVIDIA's table of its LeNet lists these, in this order. */
static void
test_names (void)
{
  static const char *const names[] = {"data", "conv1", "pool1", "conv2", "pool2", "ip1", "ip2",
      "prob"};
  g_autofree char *path = data_path ("mnist/mnist_lenet.onnx"), *digest = NULL, *contents = NULL;
  g_autoptr (EngineModel) model = NULL;
  gsize size, n = 0;

  if (!have_data ())
    SKIP ("there is no test data (INT8_TEST_DATA)");
  model = engine_model_load (path, NULL);
  CHECK (model != NULL);
  for (guint i = 0; model && i < model->graph->values->len; i++) {
    const EngineValue *value = engine_graph_value (model->graph, i);

    if (value->data)
      continue;
    CHECK_STR (value->name, n < G_N_ELEMENTS (names) ? names[n] : "nothing more");
    n++;
  }
  CHECK_INT (n, ==, G_N_ELEMENTS (names));
  CHECK (g_file_get_contents (path, &contents, &size, NULL));
  digest = g_compute_checksum_for_data (G_CHECKSUM_SHA256, (const guchar *) contents, size);
  CHECK_STR (engine_model_sha256 (model), digest);
}

/* --- Outputs that came with the models -------------------------------------------------------- */

/* The floats of a TensorProto in a file; NULL if it does not have `n`. */
static float *
read_tensor (const char *name, gsize n)
{
  g_autofree char *path = data_path (name), *contents = NULL;
  EngineOnnx__TensorProto *tensor;
  float *floats = NULL;
  gsize size;

  if (!g_file_get_contents (path, &contents, &size, NULL))
    return NULL;
  tensor = engine_onnx__tensor_proto__unpack (NULL, size, (const guint8 *) contents);
  if (tensor && tensor->raw_data.len == n * sizeof (float))
    floats = g_memdup2 (tensor->raw_data.data, n * sizeof (float));
  else if (tensor && tensor->n_float_data == n)
    floats = g_memdup2 (tensor->float_data, n * sizeof (float));
  if (tensor)
    engine_onnx__tensor_proto__free_unpacked (tensor, NULL);
  return floats;
}

static void
fill_input (float *to, const float *nchw, const EngineInputInfo *info)
{
  const int pixels = info->height * info->width;

  for (int p = 0; p < pixels; p++)
    for (int c = 0; c < info->channels; c++)
      to[p * info->channels + c] = nchw[c * pixels + p];
}

static void
check_outputs (const char *name, KernelBackend *backend)
{
  const EngineBuildOptions options = {.precision = ENGINE_PRECISION_FP32};
  g_autofree char *file = g_strdup_printf ("models/%s.onnx", name), *path = data_path (file);
  g_autofree char *output = g_strdup_printf ("models/%s_output_0.pb", name);
  g_autofree float *image = read_tensor ("models/light_input_0.pb", 3 * 224 * 224);
  g_autofree float *expected = read_tensor (output, 1000);
  EngineBuildReport report = {0};
  g_autoptr (GError) error = NULL;
  g_autoptr (EngineModel) model = engine_model_load (path, &error);
  g_autoptr (Engine) engine =
      model ? engine_build (model, &options, &report, NULL, NULL, NULL, &error) : NULL;
  g_autoptr (EngineExec) exec = engine ? engine_exec_new (engine, backend, 1, 0, &error) : NULL;
  EngineInputInfo info;
  double largest = 0, worst = 0;

  engine_build_report_clear (&report);
  if (!exec)
    CHECK_FAIL ("%s", error->message);
  CHECK (image && expected);
  if (!exec || !image || !expected)
    return;
  engine_input (engine, &info);
  fill_input (engine_exec_input (exec, 0), image, &info);
  CHECK (engine_exec_run (exec, 1, NULL));
  for (int i = 0; i < 1000; i++) {
    largest = fmax (largest, fabs (expected[i]));
    worst = fmax (worst, fabs (engine_exec_output (exec, 0)[i] - expected[i]));
  }
  if (!(worst <= 1e-4 * largest))
    CHECK_FAIL ("%s: differs by %g, the largest output is %g", name, worst, largest);
}

static void
test_outputs (void)
{
  char why[256] = "";
  KernelBackend *backend;

  if (!have_data ())
    SKIP ("there is no test data (INT8_TEST_DATA)");
  backend = kernel_open ("cpu", why, sizeof why);
  CHECK_STR (why, "");
  check_outputs ("light_squeezenet", backend);
  check_outputs ("light_resnet50", backend);
  check_outputs ("light_densenet121", backend);
  kernel_close (backend);
}

int
main (void)
{
  RUN (test_loaded);
  RUN (test_shaped);
  RUN (test_refused);
  RUN (test_names);
  RUN (test_outputs);
  return check_done ();
}
