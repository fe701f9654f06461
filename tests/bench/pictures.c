/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * pictures.c: how long preprocessing takes that lies in the back end's memory: pictures of some formats and
 * sizes to int8 inputs of 224x224, a batch queued and waited for, again and again. Prints for each the
 * median of a picture, in microseconds, and how much of it the host needs to queue it.
 *
 *     bench-pictures [BACK END [BATCH]]      default: cuda, 64
 */
#include "engine/engine.h"

#include <stdlib.h>
#include <string.h>

#define ROUNDS 101
#define SIDE   224

static KernelBackend *backend;
static KernelQueue *queue;
static int batch = 64;

static void
stop (const char *what)
{
  g_printerr ("bench-pictures: %s\n", what);
  exit (1);
}

/* --- Pictures -------------------------------------------------------------------------------- */

typedef enum { NV12, I420, RGBX } Format;
static const char *const formats[] = {"NV12", "I420", "RGBx"};

static void
add_plane (EngineImage *image, int width, int height, int step)
{
  image->planes[image->n_planes++] = (EnginePlane){.stride = (width * step + 255) / 256 * 256,
      .width = width,
      .height = height,
      .step = step};
}

static EngineImage
make_image (Format format, int width, int height)
{
  EngineImage image = {.kind = format == RGBX ? ENGINE_IMAGE_RGB : ENGINE_IMAGE_YUV,
      .width = width,
      .height = height};

  add_plane (&image, width, height, format == RGBX ? 4 : 1);
  for (int i = 0; i < (format == RGBX ? 0 : format == NV12 ? 1 : 2); i++)
    add_plane (&image, (width + 1) / 2, (height + 1) / 2, format == NV12 ? 2 : 1);
  for (int j = 0; j < 3; j++) {
    image.component[j].plane = format == RGBX ? 0 : format == NV12 ? j > 0 : j;
    image.component[j].offset = format == RGBX ? j : format == NV12 ? j == 2 : 0;
  }
  engine_image_set_yuv (&image, 0.2126, 0.0722, FALSE);
  return image;
}

/* Random bytes in the back end's memory, which the caller frees. */
static guint8 *
fill (EngineImage *image)
{
  guint8 *host, *device;
  gsize size = 0, at = 0;

  for (int i = 0; i < image->n_planes; i++)
    size += (gsize) image->planes[i].stride * image->planes[i].height;
  host = g_malloc (size);
  device = backend->alloc (backend, size);
  if (!device)
    stop ("no memory");
  for (gsize i = 0; i < size; i++)
    host[i] = (guint8) (i * 2654435761u >> 13);
  backend->upload (queue, device, host, size);
  if (backend->queue_wait (queue))
    stop ("uploading failed");
  for (int i = 0; i < image->n_planes; i++) {
    image->planes[i].data = device + at;
    at += (gsize) image->planes[i].stride * image->planes[i].height;
  }
  g_free (host);
  return device;
}

/* --- Time ------------------------------------------------------------------------------------ */

static int
compare (gconstpointer a, gconstpointer b)
{
  const double x = *(const double *) a, y = *(const double *) b;

  return (x > y) - (x < y);
}

static double
median (double *times)
{
  qsort (times, ROUNDS, sizeof *times, compare);
  return times[ROUNDS / 2] / batch;
}

typedef enum { WHOLE, OBJECTS, ANY_OBJECTS } What;
static const char *const whats[] = {"whole", "objects of 200", "objects of 180 to 211"};

/* Objects are regions, each at a place of its own. */
static void
measure (Format format, int width, int height, What what)
{
  g_autoptr (GError) error = NULL;
  EngineImage image = make_image (format, width, height);
  guint8 *device = fill (&image);
  gint8 *tensors = backend->alloc (backend, (gsize) batch * SIDE * SIDE * 3);
  double queued[ROUNDS], done[ROUNDS];
  EnginePreprocess preprocess;

  engine_preprocess_preset (&preprocess, "unit");
  g_autoptr (EnginePreprocessor) p = engine_preprocessor_new (&preprocess, 3, SIDE, SIDE,
      ENGINE_TYPE_S8, 1 / 255.0f, -128, backend, &error);
  if (!p || !tensors)
    stop (error ? error->message : "no memory");
  for (int round = -5; round < ROUNDS; round++) {
    const gint64 start = g_get_monotonic_time ();
    gint64 middle;

    for (int i = 0; i < batch; i++) {
      const int side = what == OBJECTS ? 200 : 180 + i % 32;
      const EngineRect region = {i % 16 * 2, i / 16 % 64 * 2, side, side};

      if (!engine_preprocessor_run (p, &image, what == WHOLE ? NULL : &region, queue,
              tensors + (gsize) i * SIDE * SIDE * 3, &error))
        stop (error->message);
    }
    middle = g_get_monotonic_time ();
    if (backend->queue_wait (queue))
      stop ("preprocessing failed");
    if (round >= 0) {
      queued[round] = (double) (middle - start);
      done[round] = (double) (g_get_monotonic_time () - start);
    }
  }
  g_print ("%-5s %4d x %-4d %-21s %8.2f us, %6.2f of them to queue\n", formats[format], width,
      height, whats[what], median (done), median (queued));
  backend->free (backend, tensors);
  backend->free (backend, device);
}

int
main (int argc, char **argv)
{
  char why[256];

  backend = kernel_open (argc > 1 ? argv[1] : "cuda", why, sizeof why);
  if (!backend)
    stop (why);
  if (argc > 2)
    batch = atoi (argv[2]);
  if (batch < 1 || batch > 4096)
    stop ("a batch is 1 to 4096");
  queue = backend->queue_new (backend, 1);
  if (!queue)
    stop ("no queue");
  g_print ("%s: %s; batches of %d\n", backend->name, backend->description, batch);
  for (Format format = NV12; format <= RGBX; format++) {
    measure (format, 1920, 1080, WHOLE);
    measure (format, 640, 480, WHOLE);
    measure (format, 1920, 1080, OBJECTS);
    measure (format, 1920, 1080, ANY_OBJECTS);
  }
  backend->queue_free (queue);
  kernel_close (backend);
  return 0;
}
