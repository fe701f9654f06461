/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * picture.h: pictures in every layout, and tensors made of them, for tests of preprocessing.
 */
#pragma once

#include "engine/engine.h"
#include "tests/check.h"
#include "tests/golden/pillow-vectors.h"

static KernelBackend *backend;
static KernelQueue *queue;

/* --- Pictures ------------------------------------------------------------------------------- */

/* A picture of bytes between others; `data` is freed by the test. */
typedef struct {
  EngineImage image;
  guint8 *data;
} Picture;

static inline void
add_plane (Picture *p, int width, int height, int step)
{
  EnginePlane *plane = &p->image.planes[p->image.n_planes++];
  const int padding = 3 * p->image.n_planes;

  plane->width = width;
  plane->height = height;
  plane->step = step;
  plane->stride = width * step + padding;
}

static inline void
allocate (Picture *p)
{
  gsize size = 0;

  for (int i = 0; i < p->image.n_planes; i++)
    size += p->image.planes[i].stride * p->image.planes[i].height;
  p->data = g_malloc (size);
  memset (p->data, 0xa5, size);
  size = 0;
  for (int i = 0; i < p->image.n_planes; i++) {
    p->image.planes[i].data = p->data + size;
    size += p->image.planes[i].stride * p->image.planes[i].height;
  }
}

static inline guint8 *
byte_at (const Picture *p, int component, int row, int col)
{
  const int plane = p->image.component[component].plane;
  const EnginePlane *from = &p->image.planes[plane];

  return (guint8 *) from->data + row * from->stride + col * from->step +
         p->image.component[component].offset;
}

/* order: where r, g and b lie in a pixel of `step` bytes; step 1: three planes in this order. */
static inline Picture
rgb_picture (const guint8 *rgb, int width, int height, int step, const char *order)
{
  Picture p = {.image = {.kind = ENGINE_IMAGE_RGB, .width = width, .height = height}};

  for (int i = 0; i < (step == 1 ? 3 : 1); i++)
    add_plane (&p, width, height, step);
  allocate (&p);
  for (int j = 0; j < 3; j++) {
    const int at = (int) (strchr (order, "rgb"[j]) - order);

    p.image.component[j].plane = step == 1 ? at : 0;
    p.image.component[j].offset = step == 1 ? 0 : at;
    for (int i = 0; i < width * height; i++)
      *byte_at (&p, j, i / width, i % width) = rgb[i * 3 + j];
  }
  return p;
}

static inline Picture
grey_picture (const guint8 *grey, int width, int height)
{
  Picture p = {.image = {.kind = ENGINE_IMAGE_GREY, .width = width, .height = height}};

  add_plane (&p, width, height, 1);
  allocate (&p);
  for (int i = 0; i < width * height; i++)
    *byte_at (&p, 0, i / width, i % width) = grey[i];
  return p;
}

typedef enum { NV12, NV21, I420, YV12, Y444 } Layout;

/* yuv: three bytes a pixel; chroma is that of the upper left pixel of each block. */
static inline Picture
yuv_picture (const guint8 *yuv, int width, int height, Layout layout)
{
  Picture p = {.image = {.kind = ENGINE_IMAGE_YUV, .width = width, .height = height}};
  const int sub = layout == Y444 ? 1 : 2, step = layout == NV12 || layout == NV21 ? 2 : 1;
  const int swap = layout == NV21 || layout == YV12;

  engine_image_set_yuv (&p.image, 0.299, 0.114, FALSE);
  add_plane (&p, width, height, 1);
  for (int i = 0; i < 3 - step; i++)
    add_plane (&p, (width + sub - 1) / sub, (height + sub - 1) / sub, step);
  allocate (&p);
  for (int j = 1; j < 3; j++) {
    p.image.component[j].plane = step == 2 ? 1 : swap ? 3 - j : j;
    p.image.component[j].offset = step == 2 ? (j - 1) ^ swap : 0;
  }
  for (int row = 0; row < height; row++)
    for (int col = 0; col < width; col++)
      for (int j = 0; j < 3; j++)
        if (j == 0 || (row % sub == 0 && col % sub == 0))
          *byte_at (&p, j, j ? row / sub : row, j ? col / sub : col) =
              yuv[(row * width + col) * 3 + j];
  return p;
}

static inline guint8 *
draw (PillowPicture picture, int width, int height, int channels, guint32 seed)
{
  guint8 *data = g_malloc ((gsize) width * height * channels);

  pillow_draw (data, picture, width, height, channels, seed);
  return data;
}

/* --- Tensors -------------------------------------------------------------------------------- */

/* The tensor of a picture, on the host. NULL with an error. */
static inline void *
tensor_of (const char *text, EngineType type, float scale, int zero, int channels, int height,
    int width, const EngineImage *image, const EngineRect *region, GError **error)
{
  const gsize size = (gsize) channels * height * width * (type == ENGINE_TYPE_S8 ? 1 : 4);
  EnginePreprocess preprocess;
  void *tensor = NULL;

  engine_preprocess_preset (&preprocess, "raw");
  if (!engine_preprocess_parse (&preprocess, text, error))
    return NULL;
  g_autoptr (EnginePreprocessor) p = engine_preprocessor_new (&preprocess, channels, height, width,
      type, scale, zero, backend, error);
  if (!p)
    return NULL;
  void *device = backend->alloc (backend, size);
  if (engine_preprocessor_run (p, image, region, queue, device, error)) {
    tensor = g_malloc (size);
    backend->download (queue, tensor, device, size);
    if (backend->queue_wait (queue))
      CHECK_FAIL ("the queue failed");
  }
  backend->free (backend, device);
  return tensor;
}

/* Runs `tests` on every back end of these that there is. */
static inline int
picture_main_on (const char *const *names, void (*tests) (void))
{
  for (gsize i = 0; names[i]; i++) {
    char why[256] = "";

    backend = kernel_open (names[i], why, sizeof why);
    if (!backend) {
      printf ("SKIP back end %s: %s\n", names[i], why);
      check_skipped++;
      continue;
    }
    printf ("back end %s\n", names[i]);
    queue = backend->queue_new (backend, 2);
    tests ();
    backend->queue_free (queue);
    kernel_close (backend);
  }
  return check_done ();
}

static inline int
picture_main (void (*tests) (void))
{
  return picture_main_on ((const char *const[]){"ref", "cpu", NULL}, tests);
}
