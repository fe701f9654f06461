/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * upload.c: pictures in host memory give the tensor that they give in the back end's, also when they
 * change as soon as the work is queued. On `ref`, and on a device where there is one.
 */
#include "tests/engine/picture.h"

static const char *const texts[] = {"resize-mode=letterbox", "resize-mode=center-crop",
    "resize-mode=stretch scaling=nearest",
    "resize-mode=center-crop color-format=bgr crop-ratio=0.3"};
static const EngineRect left = {0, 0, 20, 30}, low = {9, 7, 21, 23};
static const EngineRect *const regions[] = {NULL, &left, &low};

/* The tensor that `ref` makes of the picture. */
static gint8 *
expected_of (const char *text, int side, const EngineImage *image, const EngineRect *region)
{
  KernelBackend *tested = backend;
  KernelQueue *tested_queue = queue;
  gint8 *tensor;

  backend = kernel_open ("ref", NULL, 0);
  queue = backend->queue_new (backend, 1);
  tensor = tensor_of (text, ENGINE_TYPE_S8, 1.0f, -128, 3, side, side, image, region, NULL);
  backend->queue_free (queue);
  kernel_close (backend);
  backend = tested;
  queue = tested_queue;
  return tensor;
}

static void
check_picture (Picture *picture, gsize size, const char *text, int side, const EngineRect *region,
    EngineUpload *upload)
{
  const gsize n = (gsize) 3 * side * side;
  g_autofree gint8 *expected = expected_of (text, side, &picture->image, region);
  g_autofree gint8 *got = g_malloc (n);
  g_autofree guint8 *kept = g_memdup2 (picture->data, size);
  EnginePreprocess preprocess;
  void *tensor = backend->alloc (backend, n);

  engine_preprocess_preset (&preprocess, "raw");
  CHECK (engine_preprocess_parse (&preprocess, text, NULL));
  g_autoptr (EnginePreprocessor) p = engine_preprocessor_new (&preprocess, 3, side, side,
      ENGINE_TYPE_S8, 1.0f, -128, backend, NULL);
  for (int round = 0; round < 2; round++) {
    CHECK (engine_preprocessor_run_from_host (p, &picture->image, region, upload, queue, tensor,
        NULL));
    memset (picture->data, 0x5a, size);
    backend->download (queue, got, tensor, n);
    CHECK (!backend->queue_wait (queue));
    memcpy (picture->data, kept, size);
    CHECK (memcmp (got, expected, n) == 0);
  }
  backend->free (backend, tensor);
}

static gsize
bytes_of (const EngineImage *image)
{
  gsize size = 0;

  for (int i = 0; i < image->n_planes; i++)
    size += (gsize) image->planes[i].stride * (gsize) image->planes[i].height;
  return size;
}

/* One upload for all: it grows. */
static void
test_upload (void)
{
  g_autofree guint8 *data = draw (PILLOW_NOISE, 40, 30, 3, 1);
  Picture pictures[] = {rgb_picture (data, 40, 30, 3, "rgb"), rgb_picture (data, 40, 30, 4, "bgrx"),
      rgb_picture (data, 40, 30, 1, "bgr"), grey_picture (data, 40, 30),
      yuv_picture (data, 40, 30, NV12), yuv_picture (data, 40, 30, I420),
      yuv_picture (data, 40, 30, Y444)};
  g_autoptr (EngineUpload) upload = engine_upload_new (backend);

  for (gsize i = 0; i < G_N_ELEMENTS (pictures); i++) {
    for (gsize t = 0; t < G_N_ELEMENTS (texts); t++)
      for (gsize r = 0; r < G_N_ELEMENTS (regions); r++)
        for (int side = 10; side <= 30; side += 10)
          check_picture (&pictures[i], bytes_of (&pictures[i].image), texts[t], side, regions[r],
              upload);
    g_free (pictures[i].data);
  }
}

static void
tests (void)
{
  RUN (test_upload);
}

int
main (void)
{
  return picture_main_on ((const char *const[]){"ref", "cuda", NULL}, tests);
}
