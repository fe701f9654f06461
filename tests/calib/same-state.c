/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * same-state.c: a whole network calibrated in 100 random ways: order of the frames, split over machines,
 * batch size, threads, tree of merges, by way of files or not. The statistics, frames kept included,
 * are the same bytes every time.
 */
#include "engine/engine.h"
#include "tests/calib/common.h"

#define N_FRAMES  32
#define N_ROUNDS  100
#define MAX_PARTS 8
#define N_KEPT    5

static EngineModel *model;
static KernelBackend *backend;
static gsize n_values; /* of one frame */

static void
make_frame (float *x, guint i)
{
  Random r = {i};
  const double level = random_unit (&r) * 2 - 1;
  for (gsize k = 0; k < n_values; k++)
    x[k] = (float) (level + random_normal (&r));
}

/* What one machine sees: some frames, in its order, its batches and its threads. */
static CalibStatistics *
calibrate (const guint *frames, guint n, guint batch, guint threads)
{
  const CalibProvenance provenance = {.model_sha256 = (char *) engine_model_sha256 (model),
      .source = (char *) "same-state",
      .tool = (char *) "test"};
  CalibStatistics *statistics = calib_statistics_new (&provenance, CALIB_HISTOGRAM_DEFAULT);
  g_autoptr (GError) error = NULL;
  g_autoptr (EngineCalibrator) calibrator =
      engine_calibrator_new (model, backend, (int) batch, (int) threads, statistics, &error);

  if (!calibrator)
    g_error ("%s", error->message);
  calib_statistics_keep_frames (statistics, N_KEPT);
  for (guint i = 0; i < n; i++) {
    float *input = engine_calibrator_input (calibrator);
    make_frame (input, frames[i]);
    calib_statistics_offer_frame (statistics, input, n_values);
    CHECK (engine_calibrator_push (calibrator, &error));
  }
  CHECK (engine_calibrator_flush (calibrator, &error));
  return statistics;
}

/* Through a file, as from another machine. */
static CalibStatistics *
travel (CalibStatistics *statistics, const char *folder)
{
  g_autofree char *path = g_build_filename (folder, "part.int8stats", NULL);
  g_autoptr (GError) error = NULL;
  CalibStatistics *loaded;

  CHECK_OK (calib_statistics_save (statistics, path, &error), error);
  calib_statistics_free (statistics);
  loaded = calib_statistics_load (path, &error);
  if (!loaded)
    g_error ("%s", error->message);
  return loaded;
}

static CalibStatistics *
calibrate_somehow (guint seed, const char *folder)
{
  Random r = {seed};
  CalibStatistics *part[MAX_PARTS];
  guint order[N_FRAMES], n_parts = 1 + random_below (&r, MAX_PARTS), done = 0;

  for (guint i = 0; i < N_FRAMES; i++)
    order[i] = i;
  for (guint i = N_FRAMES; i > 1; i--) {
    const guint other = random_below (&r, i), last = order[i - 1];
    order[i - 1] = order[other];
    order[other] = last;
  }
  for (guint p = 0; p < n_parts; p++) {
    const guint left = N_FRAMES - done;
    const guint n = p == n_parts - 1 ? left : random_below (&r, left + 1); /* may be none */
    const guint batch = 1 + random_below (&r, 9), threads = 1 + random_below (&r, 4);

    part[p] = calibrate (order + done, n, batch, threads);
    done += n;
    if (random_below (&r, 2))
      part[p] = travel (part[p], folder);
  }
  for (; n_parts > 1; n_parts--) {
    const guint into = random_below (&r, n_parts), from = (into + 1) % n_parts;
    g_autoptr (GError) error = NULL;

    CHECK_OK (calib_statistics_merge (part[into], part[from], &error), error);
    calib_statistics_free (part[from]);
    part[from] = part[n_parts - 1];
  }
  return part[0];
}

static void
test_same_bytes (void)
{
  g_autofree char *folder = test_folder ();
  guint order[N_FRAMES], same = 0;

  for (guint i = 0; i < N_FRAMES; i++)
    order[i] = i;
  g_autoptr (CalibStatistics) reference = calibrate (order, N_FRAMES, 1, 1);
  g_autoptr (GBytes) expected = calib_statistics_to_bytes (reference, NULL);
  CHECK_INT (calib_statistics_n_kept (reference), ==, N_KEPT);
  for (guint seed = 1; seed <= N_ROUNDS; seed++) {
    g_autoptr (CalibStatistics) statistics = calibrate_somehow (seed, folder);
    g_autoptr (GBytes) bytes = calib_statistics_to_bytes (statistics, NULL);
    if (g_bytes_equal (bytes, expected))
      same++;
    else
      CHECK_FAIL ("seed %u gives other statistics", seed);
  }
  g_autofree char *sha256 = g_compute_checksum_for_bytes (G_CHECKSUM_SHA256, expected);
  printf (
      "%u tensors, %u frames: %u of %u random orders, splits, batches, threads and merges give the "
      "same %" G_GSIZE_FORMAT " bytes, SHA-256 %.16s...\n",
      calib_statistics_n_tensors (reference), N_FRAMES, same, N_ROUNDS, g_bytes_get_size (expected),
      sha256);
  test_folder_remove (folder);
}

int
main (void)
{
  const char *source = g_getenv ("INT8_SOURCE_DIR");
  g_autofree char *path =
      g_build_filename (source ? source : ".", "data", "fashion-resnet.onnx", NULL);
  g_autoptr (GError) error = NULL;
  EngineInputInfo input;
  char why[256];

  model = engine_model_load (path, &error);
  backend = kernel_open ("cpu", why, sizeof why);
  if (!model || !backend)
    g_error ("%s", model ? why : error->message);
  engine_model_input (model, &input);
  n_values = (gsize) input.width * input.height * input.channels;
  RUN (test_same_bytes);
  kernel_close (backend);
  engine_model_unref (model);
  return check_done ();
}
