/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * networks.c: whole networks, FP32 and INT8: every CPU level and number of threads gives the bytes of
 * `ref`, and so does a GPU where one is; INT8 stays close to FP32. The project's own models always,
 * others where the test data is.
 */
#include "engine/model.h"
#include "tests/calib/common.h"
#include "tests/engine/net.h"

#include <math.h>

#define IMAGES 2

static KernelBackend *ref;
static KernelBackend *cuda; /* NULL where there is no device */

typedef struct {
  const char *name;
  double worst; /* relative error of the INT8 logits that is still accepted, with random images */
} Network;

static const Network own[] = {
    {"fashion-lenet.onnx", 0.1},
    {"fashion-resnet.onnx", 0.2},
};

static const Network others[] = {
    {"mnist/mnist_lenet.onnx", 0.1},
    {"models/mnist-8.onnx", 0.1},
    {"models/resnet20_cifar10.onnx", 0.3},
    {"models/winml_ImageClassifier_cifar10.onnx", 0.3},
    {"models/squeezenet1.0_fp32.onnx", 0.3},
    {"models/shufflenetv2_fp32_op12.onnx", 0.5},
    {"models/mobilenetv2_fp32_op12.onnx", 0.5},
};

/* Smooth pictures in [-2, 2]: networks are not made for noise. */
static void
fill_host (const Engine *engine, void *input, int image)
{
  float scale;
  int zero, i = 0;
  EngineInputInfo info;
  const EngineType type = engine_input_type (engine, &scale, &zero);
  engine_input (engine, &info);
  for (int y = 0; y < info.height; y++)
    for (int x = 0; x < info.width; x++)
      for (int c = 0; c < info.channels; c++, i++) {
        const double v = 2 * sin (0.11 * (x + 3 * image) + c) * cos (0.07 * (y + 5 * image));

        if (type == ENGINE_TYPE_S8)
          ((gint8 *) input)[i] = (gint8) CLAMP (rint (v / scale + zero), -128, 127);
        else
          ((float *) input)[i] = (float) v;
      }
}

static void
fill (const Engine *engine, EngineExec *exec, KernelBackend *backend, int at, int image)
{
  EngineInputInfo info;
  engine_input (engine, &info);
  const gsize size = (gsize) info.height * info.width * info.channels *
                     engine_type_size (engine_input_type (engine, NULL, NULL));
  g_autofree void *input = g_malloc (size);

  fill_host (engine, input, image);
  backend->upload (engine_exec_queue (exec), engine_exec_input (exec, at), input, size);
  CHECK (!backend->queue_wait (engine_exec_queue (exec)));
}

/* [IMAGES][classes] */
static float *
run (Engine *engine, KernelBackend *backend, int threads)
{
  const gsize n = engine_n_classes (engine);
  g_autoptr (GError) error = NULL;
  g_autoptr (EngineExec) exec = engine_exec_new (engine, backend, IMAGES, threads, &error);
  float *out = g_new (float, IMAGES *n);

  if (!exec)
    g_error ("%s", error->message);
  for (int i = 0; i < IMAGES; i++)
    fill (engine, exec, backend, i, i);
  if (!engine_exec_run (exec, IMAGES, &error))
    g_error ("%s", error->message);
  for (int i = 0; i < IMAGES; i++)
    memcpy (out + i * n, engine_exec_output (exec, i), n * sizeof (float));
  return out;
}

static void
check_levels (const char *what, Engine *engine, const float *expected)
{
  static const unsigned masks[] = {~0u, KERNEL_CPU_AVX2 | KERNEL_CPU_AVX512,
      KERNEL_CPU_AVX2 | KERNEL_CPU_AVX_VNNI, KERNEL_CPU_AVX2, 0};
  const gsize size = IMAGES * engine_n_classes (engine) * sizeof (float);

  for (gsize m = 0; m < G_N_ELEMENTS (masks); m++) {
    kernel_cpu_set_mask (masks[m]);
    KernelBackend *cpu = net_backend ("cpu");
    for (int threads = 1; threads <= 3; threads += 2) {
      g_autofree float *out = run (engine, cpu, threads);

      if (memcmp (out, expected, size) != 0)
        CHECK_FAIL ("%s: %s with %d threads differs from ref", what, cpu->description, threads);
    }
    kernel_close (cpu);
  }
  kernel_cpu_set_mask (~0u);
  if (cuda) {
    g_autofree float *out = run (engine, cuda, 0);

    if (memcmp (out, expected, size) != 0)
      CHECK_FAIL ("%s: %s differs from ref", what, cuda->description);
  }
}

static CalibTable *
calibrate (EngineModel *model)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (CalibStatistics) statistics = calib_statistics_new (NULL, CALIB_HISTOGRAM_DEFAULT);
  g_autoptr (Engine) fp32 = engine_build (model,
      &(EngineBuildOptions){.precision = ENGINE_PRECISION_FP32}, NULL, NULL, NULL, NULL, &error);
  KernelBackend *cpu = net_backend ("cpu");
  EngineCalibrator *calibrator = engine_calibrator_new (model, cpu, 1, 0, statistics, &error);

  if (!calibrator)
    g_error ("%s", error->message);
  for (int i = 0; i < 6; i++) {
    fill_host (fp32, engine_calibrator_input (calibrator), i);
    CHECK (engine_calibrator_push (calibrator, &error));
  }
  CHECK (engine_calibrator_flush (calibrator, &error));
  CalibTable *table =
      engine_calibration_table (model, statistics, CALIB_METHOD_MINMAX, 0, 8601, &error);
  if (!table)
    g_error ("%s", error->message);
  engine_calibrator_free (calibrator);
  kernel_close (cpu);
  return table;
}

static double
relative_error (const float *x, const float *expected, gsize n)
{
  double noise = 0, signal = 0;

  for (gsize i = 0; i < n; i++) {
    noise += (x[i] - expected[i]) * (x[i] - expected[i]);
    signal += expected[i] * expected[i];
  }
  return sqrt (noise / signal);
}

static void
check_network (const char *path, const Network *network)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (EngineModel) model = engine_model_load (path, &error);

  if (!model)
    g_error ("%s", error->message);
  g_autoptr (Engine) fp32 = engine_build (model,
      &(EngineBuildOptions){.precision = ENGINE_PRECISION_FP32}, NULL, NULL, NULL, NULL, &error);
  if (!fp32)
    g_error ("%s", error->message);
  g_autofree float *expected = run (fp32, ref, 1);
  check_levels (network->name, fp32, expected);

  /* one that is quantised already has its own scales, and its own choice of ranges */
  const gboolean quantised = engine_model_is_quantised (model);
  g_autoptr (CalibTable) table = quantised ? NULL : calibrate (model);
  for (int ranges = 0; ranges < (quantised ? 1 : 2); ranges++) {
    const EngineBuildOptions options = {.precision = ENGINE_PRECISION_INT8,
        .ranges = (EngineRanges) ranges,
        .table = table};
    EngineBuildReport report = {0};
    g_autoptr (Engine) int8 = engine_build (model, &options, &report, NULL, NULL, NULL, &error);

    if (!int8)
      g_error ("%s", error->message);
    g_autofree float *logits = run (int8, ref, 1);
    check_levels (network->name, int8, logits);
    const double off = relative_error (logits, expected, (gsize) IMAGES * engine_n_classes (int8));
    printf ("%-46s %-9s %d layers int8, %d fp32, relative error %.4f\n", network->name,
        quantised                      ? "its own"
        : ranges == ENGINE_RANGES_FULL ? "full"
                                       : "symmetric",
        report.layers_int8, report.layers_fp32, off);
    CHECK (off < network->worst);
    engine_build_report_clear (&report);
  }
}

static void
test_own_networks (void)
{
  const char *source = g_getenv ("INT8_SOURCE_DIR");

  for (gsize i = 0; i < G_N_ELEMENTS (own); i++) {
    g_autofree char *path = g_build_filename (source ? source : ".", "data", own[i].name, NULL);

    check_network (path, &own[i]);
  }
}

/* Of the models of the importer's tests. */
static double
worst_of (const char *name)
{
  /* a normalisation that is imported node by node: its mean and its variance are int8 */
  return g_str_equal (name, "layernorm-like.onnx") ? 0.15 : 0.05;
}

/* Every op, one at a time, in int8 too. */
static void
test_single_ops (void)
{
  const char *source = g_getenv ("INT8_SOURCE_DIR");
  g_autofree char *folder =
      g_build_filename (source ? source : ".", "tests", "engine", "models", NULL);
  g_autoptr (GError) error = NULL;
  g_autoptr (GDir) dir = g_dir_open (folder, 0, &error);
  const char *name;
  int n = 0;

  if (!dir)
    g_error ("%s", error->message);
  while ((name = g_dir_read_name (dir))) {
    g_autofree char *path = g_build_filename (folder, name, NULL);

    if (!g_str_has_suffix (name, ".onnx"))
      continue;
    check_network (path, &(Network){name, worst_of (name)});
    n++;
  }
  CHECK_INT (n, >=, 60);
}

static void
test_other_networks (void)
{
  for (gsize i = 0; i < G_N_ELEMENTS (others); i++) {
    g_autofree char *path = test_data (others[i].name);

    if (!path)
      SKIP ("%s is not in INT8_TEST_DATA", others[i].name);
    check_network (path, &others[i]);
  }
}

/* The other tests compare with a device, too, where this one finds it. */
static void
test_find_device (void)
{
  char why[320];

  cuda = kernel_open ("cuda:0", why, sizeof why);
  if (!cuda)
    SKIP ("cuda:0: %s", why);
}

int
main (void)
{
  ref = net_backend ("ref");
  RUN (test_find_device);
  RUN (test_own_networks);
  RUN (test_single_ops);
  RUN (test_other_networks);
  kernel_close (cuda);
  kernel_close (ref);
  return check_done ();
}
