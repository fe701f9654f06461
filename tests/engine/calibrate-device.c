/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * calibrate-device.c: calibration where activations are not in the host's memory: the statistics of ref,
 * byte for byte. The device is ref behind memory that only its kernels and copies can reach; and CUDA,
 * where there is some.
 */
#include "calib/private.h"
#include "engine/build.h"
#include "engine/counts.h"
#include "engine/exec.h"
#include "engine/model.h"
#include "tests/check.h"
#include "tests/engine/net.h"

#include <math.h>
#include <sys/mman.h>

static KernelBackend *ref;

/* --- A device ------------------------------------------------------------------------------- */

#define MAX_BLOCKS 256

static struct {
  KernelBackend backend;
  KernelOps ops;
  struct {
    guint8 *memory;
    gsize size;
  } blocks[MAX_BLOCKS];
  gsize largest; /* what alloc gives */
  gsize downloaded;
  int counted;
  const char *failure; /* of the next queue_wait */
} device;

static void
protect (int how)
{
  for (int i = 0; i < MAX_BLOCKS; i++)
    if (device.blocks[i].memory)
      mprotect (device.blocks[i].memory, device.blocks[i].size, how);
}

#define KERNEL_OP(name, Args)                                                                      \
  static void device_##name (const Args *args, KernelQueue *queue)                                 \
  {                                                                                                \
    protect (PROT_READ | PROT_WRITE);                                                              \
    device.counted += ENGINE_SLOT_##name == ENGINE_SLOT_count_f32;                                 \
    ref->ops->name (args, queue);                                                                  \
    protect (PROT_NONE);                                                                           \
  }
#include "kernels/kernel-ops.inc"
#undef KERNEL_OP

static void
device_copy (KernelQueue *queue, void *to, const void *from, size_t size)
{
  protect (PROT_READ | PROT_WRITE);
  memcpy (to, from, size);
  protect (PROT_NONE);
}

static void
device_download (KernelQueue *queue, void *to, const void *from, size_t size)
{
  device.downloaded += size;
  device_copy (queue, to, from, size);
}

static void *
device_alloc (KernelBackend *backend, size_t size)
{
  int i = 0;

  if (size > device.largest)
    return NULL;
  while (device.blocks[i].memory)
    g_assert (++i < MAX_BLOCKS);
  size = (size + 4096) / 4096 * 4096;
  device.blocks[i].memory = mmap (NULL, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  device.blocks[i].size = size;
  g_assert (device.blocks[i].memory != MAP_FAILED);
  return device.blocks[i].memory;
}

static void
device_free (KernelBackend *backend, void *memory)
{
  for (int i = 0; memory && i < MAX_BLOCKS; i++)
    if (device.blocks[i].memory == memory) {
      munmap (memory, device.blocks[i].size);
      device.blocks[i].memory = NULL;
    }
}

static const char *
device_wait (KernelQueue *queue)
{
  return g_steal_pointer (&device.failure);
}

static KernelBackend *
open_device (void)
{
  device.ops = *ref->ops;
#define KERNEL_OP(name, Args) device.ops.name = device_##name;
#include "kernels/kernel-ops.inc"
#undef KERNEL_OP
  device.backend = *ref;
  device.backend.name = "device";
  device.backend.ops = &device.ops;
  device.backend.host_memory = FALSE;
  device.backend.alloc = device_alloc;
  device.backend.free = device_free;
  device.backend.upload = device_copy;
  device.backend.download = device_download;
  device.backend.queue_lanes = NULL;
  device.backend.queue_each = NULL;
  device.backend.queue_wait = device_wait;
  device.largest = G_MAXSIZE;
  device.downloaded = 0;
  device.counted = 0;
  return &device.backend;
}

/* --- Calibrations --------------------------------------------------------------------------- */

/* Image i, whatever batch it is in; magnitudes grow with i, so that bins are folded. */
static void
fill (float *input, const EngineModel *model, int i, double growth)
{
  GRand *rand = g_rand_new_with_seed (i + 1);
  const double most = 2 * pow (growth, i);
  EngineInputInfo info;

  engine_model_input (model, &info);
  for (int k = 0; k < info.height * info.width * info.channels; k++)
    input[k] = (float) g_rand_double_range (rand, -most, most);
  g_rand_free (rand);
}

typedef struct {
  int batch, images;
  double growth;
  CalibHistogramFlags flags;
  gboolean not_finite; /* the third image has such values */
} How;

static CalibStatistics *
calibrate (EngineModel *model, KernelBackend *backend, const How *how)
{
  CalibStatistics *statistics = calib_statistics_new (NULL, how->flags);
  g_autoptr (GError) error = NULL;
  g_autoptr (EngineCalibrator) calibrator =
      engine_calibrator_new (model, backend, how->batch, 1, statistics, &error);

  if (!calibrator)
    g_error ("%s", error->message);
  calib_statistics_keep_frames (statistics, 3);
  for (int i = 0; i < how->images; i++) {
    float *input = engine_calibrator_input (calibrator);

    fill (input, model, i, how->growth);
    if (how->not_finite && i == 2)
      input[0] = NAN;
    CHECK (engine_calibrator_push (calibrator, &error));
  }
  CHECK (engine_calibrator_flush (calibrator, &error));
  CHECK (engine_calibrator_flush (calibrator, &error)); /* nothing is left to do */
  CHECK_INT (calib_statistics_provenance (statistics)->frames, ==, how->images);
  return statistics;
}

static void
check_same (const CalibStatistics *a, const CalibStatistics *b, guint seed)
{
  g_autoptr (GBytes) x = calib_statistics_to_bytes (a, NULL);
  g_autoptr (GBytes) y = calib_statistics_to_bytes (b, NULL);

  if (!g_bytes_equal (x, y))
    CHECK_FAIL ("network %u has other statistics than on ref", seed);
}

/* --- The same as ref ------------------------------------------------------------------------ */

static void
check_networks (KernelBackend *backend, guint last)
{
  for (guint seed = 1; seed <= last && !check_failures_in_test; seed++) {
    g_autoptr (EngineModel) model = net_model (net_random (seed));
    How how = {1, 7, seed % 3 == 0 ? 1 : seed % 3 == 1 ? 1.7 : 40, 0, seed % 5 == 0};
    g_autoptr (CalibStatistics) expected = calibrate (model, ref, &how);

    for (how.batch = 1; how.batch <= 16; how.batch += how.batch == 1 ? 2 : 13) {
      g_autoptr (CalibStatistics) statistics = calibrate (model, backend, &how);

      check_same (statistics, expected, seed);
    }
  }
}

static void
test_device (void)
{
  check_networks (open_device (), 40);
  CHECK (device.counted > 1000);
}

/* TensorRT's histograms want the values themselves, in their batches. */
static void
check_trt (KernelBackend *backend, guint last)
{
  for (guint seed = 1; seed <= last && !check_failures_in_test; seed++) {
    g_autoptr (EngineModel) model = net_model (net_random (seed));
    const How how = {1 + (int) seed % 4, 9, 1.3, CALIB_HISTOGRAM_TENSORRT, FALSE};
    g_autoptr (CalibStatistics) expected = calibrate (model, ref, &how);
    g_autoptr (CalibStatistics) statistics = calibrate (model, backend, &how);

    check_same (statistics, expected, seed);
  }
}

static void
test_device_trt (void)
{
  check_trt (open_device (), 20);
  CHECK_INT (device.counted, ==, 0);
}

/* Images go there and counts come back, once a flush: no activations. */
static void
test_what_is_downloaded (void)
{
  g_autoptr (Net) net = net_new (1);
  const int x = net_conv (net, net_input (net, 64, 64, 4), (NetConv){.oc = 8, .k = 3, .pad = 1});
  g_autoptr (EngineModel) model = net_model (net_finish (net, net_global_pool (net, x)));
  const How how = {4, 40, 1, 0, FALSE};
  const gsize states = kernel_counts_size (4) + 2 * kernel_counts_size (8) + 3 * KERNEL_ALIGN;
  g_autoptr (CalibStatistics) statistics = calibrate (model, open_device (), &how);

  CHECK_INT (calib_statistics_n_tensors (statistics), ==, 3);
  CHECK_INT (device.counted, ==, 10 * 3);
  CHECK_INT (device.downloaded, <=, states + 40 * 8 * sizeof (float));
}

/* --- Several statistics --------------------------------------------------------------------- */

static void
push (EngineCalibrator *calibrator, const EngineModel *model, int image)
{
  fill (engine_calibrator_input (calibrator), model, image, 1.2);
  CHECK (engine_calibrator_push (calibrator, NULL));
}

/* Behind each flush activations go elsewhere, or to two at once. */
static void
test_other_statistics (void)
{
  g_autoptr (EngineModel) model = net_model (net_random (7));
  const How how = {2, 6, 1.2, 0, FALSE};
  g_autoptr (CalibStatistics) once = calibrate (model, ref, &how);
  g_autoptr (CalibStatistics) a = calib_statistics_new (NULL, 0);
  g_autoptr (CalibStatistics) b = calib_statistics_new (NULL, 0);
  g_autoptr (CalibStatistics) also = calib_statistics_new (NULL, 0);
  g_autoptr (CalibStatistics) last = calib_statistics_new (NULL, 0);
  g_autoptr (EngineCalibrator) on_device =
      engine_calibrator_new (model, open_device (), 2, 1, a, NULL);
  g_autoptr (EngineCalibrator) on_ref = engine_calibrator_new (model, ref, 2, 1, last, NULL);

  CHECK (on_device && on_ref);
  calib_statistics_keep_frames (a, 3);
  calib_statistics_keep_frames (b, 3);
  for (int i = 0; i < 6; i++) {
    if (i == 2)
      engine_calibrator_set_statistics (on_device, b, NULL);
    if (i == 4)
      engine_calibrator_set_statistics (on_device, a, also);
    push (on_device, model, i);
    if (i >= 4)
      push (on_ref, model, i);
    if (i % 2)
      CHECK (engine_calibrator_flush (on_device, NULL));
  }
  check_same (also, last, 7);
  CHECK (calib_statistics_merge (a, b, NULL));
  check_same (a, once, 7);
}

static void
test_images_not_run_are_dropped (void)
{
  g_autoptr (EngineModel) model = net_model (net_random (3));
  g_autoptr (CalibStatistics) statistics = calib_statistics_new (NULL, 0);
  EngineCalibrator *calibrator =
      engine_calibrator_new (model, open_device (), 4, 1, statistics, NULL);

  push (calibrator, model, 0);
  engine_calibrator_free (calibrator);
  CHECK_INT (calib_statistics_provenance (statistics)->frames, ==, 0);
}

/* --- Limits --------------------------------------------------------------------------------- */

/* Sums hold 2^32 values of a channel: 64 of each image. */
static void
test_room (void)
{
  g_autoptr (Net) net = net_new (1);
  const int x = net_conv (net, net_input (net, 8, 8, 2), (NetConv){.oc = 3});
  g_autoptr (Engine) engine = net_engine (net_finish (net, x));
  const EngineCounted counted = {g_array_index (engine->graph->outputs, int, 0), 3};
  g_autoptr (EngineExec) exec =
      engine_exec_new_counting (engine, open_device (), 1, 1, &counted, 1, NULL);

  CHECK (exec);
  CHECK (engine_exec_has_room (exec, 1 << 26));
  CHECK (!engine_exec_has_room (exec, (1 << 26) + 1));
  CHECK (engine_exec_run (exec, 1, NULL));
  CHECK (!engine_exec_has_room (exec, 1 << 26));
}

static void
check_refused (EngineModel *model, CalibHistogramFlags flags, EngineError code, const char *message)
{
  g_autoptr (CalibStatistics) statistics = calib_statistics_new (NULL, flags);
  g_autoptr (GError) error = NULL;

  CHECK (!engine_calibrator_new (model, &device.backend, 1, 1, statistics, &error));
  CHECK (g_error_matches (error, ENGINE_ERROR, code));
  CHECK_STR (error ? error->message : NULL, message);
}

static void
test_refused (void)
{
  g_autoptr (Net) net = net_new (1);
  const int x = net_conv (net, net_input (net, 8, 8, 2), (NetConv){.oc = 3});
  g_autoptr (EngineModel) model = net_model (net_finish (net, x));

  open_device ();
  device.ops.count_f32 = NULL;
  check_refused (model, 0, ENGINE_ERROR_BACKEND,
      "back end 'device' has no kernel count_f32, which calibration needs; choose another back end");
  open_device ();
  device.largest = 300000;
  check_refused (model, 0, ENGINE_ERROR_MEMORY,
      "back end 'device' has no 0.5 MiB for the counts of 2 activations; free some, or calibrate on "
      "'cpu'");
}

static void
test_failure (void)
{
  g_autoptr (EngineModel) model = net_model (net_random (3));
  g_autoptr (CalibStatistics) statistics = calib_statistics_new (NULL, 0);
  g_autoptr (EngineCalibrator) calibrator =
      engine_calibrator_new (model, open_device (), 1, 1, statistics, NULL);
  g_autoptr (GError) error = NULL;

  push (calibrator, model, 0);
  device.failure = "the device fell off the bus";
  CHECK (!engine_calibrator_flush (calibrator, &error));
  CHECK (g_error_matches (error, ENGINE_ERROR, ENGINE_ERROR_BACKEND));
  CHECK_STR (error->message, "back end 'device' failed: the device fell off the bus");
}

/* --- CUDA ----------------------------------------------------------------------------------- */

static void
test_cuda (void)
{
  g_autoptr (GError) error = NULL;
  KernelBackend *cuda = engine_backend_open ("cuda", &error);

  if (!cuda)
    SKIP ("%s", error->message);
  check_networks (cuda, 40);
  check_trt (cuda, 20);
  engine_backend_close (cuda);
}

int
main (void)
{
  ref = net_backend ("ref");
  RUN (test_device);
  RUN (test_device_trt);
  RUN (test_what_is_downloaded);
  RUN (test_other_statistics);
  RUN (test_images_not_run_are_dropped);
  RUN (test_room);
  RUN (test_refused);
  RUN (test_failure);
  RUN (test_cuda);
  kernel_close (ref);
  return check_done ();
}
