/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * preprocess-run.c: values of the input tensor, what a frame costs, and pictures that cannot be.
 */
#include "tests/engine/picture.h"
#include "tests/sanitized.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>

/* --- Counting ------------------------------------------------------------------------------- */

/* Of the thread that runs the tests: a worker of the pool may still be starting, which allocates under
 * AddressSanitizer. */
static _Thread_local guint64 allocations;

#if SANITIZED_ADDRESS
/* <sanitizer/allocator_interface.h>, which GCC's packages do not always hold. */
extern int __sanitizer_install_malloc_and_free_hooks (void (*on_malloc) (const volatile void *,
                                                          size_t),
    void (*on_free) (const volatile void *));

static void
count_malloc (const volatile void *memory, size_t size)
{
  allocations++;
}
static void
count_free (const volatile void *memory)
{
}
#else
extern void *__libc_malloc (size_t size);
extern void *__libc_calloc (size_t n, size_t size);
extern void *__libc_realloc (void *memory, size_t size);
extern void *__libc_memalign (size_t alignment, size_t size);

void *
malloc (size_t size)
{
  allocations++;
  return __libc_malloc (size);
}

void *
calloc (size_t n, size_t size)
{
  allocations++;
  return __libc_calloc (n, size);
}

void *
realloc (void *memory, size_t size)
{
  allocations++;
  return __libc_realloc (memory, size);
}

int
posix_memalign (void **memory, size_t alignment, size_t size)
{
  allocations++;
  *memory = __libc_memalign (alignment, size);
  return *memory ? 0 : ENOMEM;
}
#endif

/* --- Values --------------------------------------------------------------------------------- */

/* Every byte in every channel, against the formula. */
static void
test_values (void)
{
  static const char *const texts[] = {"preprocess=imagenet resize-mode=stretch",
      "preprocess=imagenet-caffe resize-mode=stretch", "mean=127.5 std=64,32,16"};
  static const struct {
    float scale;
    int zero;
  } quant[] = {{0.0207f, 0}, {1.0f, -128}, {0.5f, 3}, {1e-6f, 127}, {1e6f, -5}};
  guint8 rgb[256 * 3];

  for (int i = 0; i < 256 * 3; i++)
    rgb[i] = (guint8) (i / 3);
  Picture p = rgb_picture (rgb, 16, 16, 3, "rgb");
  for (gsize t = 0; t < G_N_ELEMENTS (texts); t++) {
    EnginePreprocess preprocess;

    engine_preprocess_preset (&preprocess, "raw");
    engine_preprocess_parse (&preprocess, texts[t], NULL);
    g_autofree float *y =
        tensor_of (texts[t], ENGINE_TYPE_F32, 0, 0, 3, 16, 16, &p.image, NULL, NULL);
    for (int i = 0; i < 256 * 3; i++) {
      const double mean = preprocess.mean[preprocess.n_mean == 3 ? i % 3 : 0];
      const double std = preprocess.std[preprocess.n_std == 3 ? i % 3 : 0];

      CHECK (y[i] == (float) ((i / 3 * preprocess.scale_factor - mean) / std));
    }
    for (gsize q = 0; q < G_N_ELEMENTS (quant); q++) {
      g_autofree gint8 *s8 = tensor_of (texts[t], ENGINE_TYPE_S8, quant[q].scale, quant[q].zero, 3,
          16, 16, &p.image, NULL, NULL);

      for (int i = 0; i < 256 * 3; i++) {
        const double v = engine_preprocess_value (&preprocess, i % 3, i / 3);
        const double expected = rintf ((float) v / quant[q].scale) + quant[q].zero;

        CHECK_INT (s8[i], ==, (int) CLAMP (expected, -128.0, 127.0));
      }
    }
  }
  g_free (p.data);
}

/* x / 2 falls on k + 1/2 for odd x: halves go to even. */
static void
test_ties (void)
{
  guint8 grey[8] = {0, 1, 2, 3, 4, 5, 6, 7};
  static const int expected[8] = {0, 0, 1, 2, 2, 2, 3, 4};
  Picture p = grey_picture (grey, 8, 1);
  g_autofree gint8 *y =
      tensor_of ("color-format=gray", ENGINE_TYPE_S8, 2.0f, 0, 1, 1, 8, &p.image, NULL, NULL);

  for (int i = 0; i < 8; i++)
    CHECK_INT (y[i], ==, expected[i]);
  g_free (p.data);
}

/* Black is the pixel 0, before mean and std. */
static void
test_letterbox_value (void)
{
  guint8 white[2 * 3] = {255, 255, 255, 255, 255, 255};
  Picture p = rgb_picture (white, 2, 1, 3, "rgb");
  g_autofree float *y = tensor_of ("preprocess=imagenet resize-mode=letterbox-centered",
      ENGINE_TYPE_F32, 0, 0, 3, 6, 4, &p.image, NULL, NULL);
  EnginePreprocess preprocess;

  engine_preprocess_preset (&preprocess, "imagenet");
  for (int i = 0; i < 6 * 4 * 3; i++) {
    const int row = i / 12;
    const int x = row >= 2 && row < 4 ? 255 : 0;

    CHECK (y[i] == (float) engine_preprocess_value (&preprocess, i % 3, x));
  }
  g_free (p.data);
}

/* --- What a frame costs --------------------------------------------------------------------- */

static guint64 device_allocations, uploads, resizes, pictures;
static gboolean only_passes; /* as if there were no kernel for a whole picture */
static KernelBackend counted;
static KernelOps counted_ops;
static gsize largest_allocation = G_MAXSIZE;

static void *
counted_alloc (KernelBackend *b, size_t size)
{
  device_allocations++;
  return size <= largest_allocation ? backend->alloc (backend, size) : NULL;
}

static void
counted_free (KernelBackend *b, void *memory)
{
  backend->free (backend, memory);
}

static void
counted_upload (KernelQueue *q, void *device, const void *host, size_t size)
{
  uploads++;
  backend->upload (q, device, host, size);
}

static void
counted_resize (const KernelResize *args, KernelQueue *q)
{
  resizes++;
  backend->ops->resize_u8 (args, q);
}

static void
counted_picture (const KernelPicture *args, KernelQueue *q)
{
  pictures++;
  backend->ops->picture_s8 (args, q);
}

static EnginePreprocessor *
counted_new (const char *text, int channels, int height, int width)
{
  EnginePreprocess preprocess;

  counted = *backend;
  counted_ops = *backend->ops;
  counted_ops.resize_u8 = counted_resize;
  counted_ops.picture_s8 = only_passes || !counted_ops.picture_s8 ? NULL : counted_picture;
  counted.ops = &counted_ops;
  counted.alloc = counted_alloc;
  counted.free = counted_free;
  counted.upload = counted_upload;
  device_allocations = uploads = resizes = pictures = 0;
  largest_allocation = G_MAXSIZE;
  engine_preprocess_preset (&preprocess, "raw");
  engine_preprocess_parse (&preprocess, text, NULL);
  return engine_preprocessor_new (&preprocess, channels, height, width, ENGINE_TYPE_S8, 1.0f, -128,
      &counted, NULL);
}

static void
test_steady (void)
{
  g_autofree guint8 *data = draw (PILLOW_NOISE, 120, 80, 3, 1);
  Picture rgb = rgb_picture (data, 120, 80, 4, "bgrx"), yuv = yuv_picture (data, 120, 80, NV12);
  gint8 y[3 * 32 * 32];
  g_autoptr (EnginePreprocessor) p = counted_new ("resize-mode=letterbox", 3, 32, 32);
  const EngineRect small = {3, 5, 60, 70};

  CHECK (engine_preprocessor_run (p, &rgb.image, NULL, queue, y, NULL));
  CHECK_INT (device_allocations, ==, 1);
  CHECK_INT (uploads, ==, 1);
  const guint64 before = allocations;
  for (int i = 0; i < 100; i++)
    CHECK (engine_preprocessor_run (p, &rgb.image, NULL, queue, y, NULL));
  CHECK_INT (allocations, ==, before);
  CHECK_INT (device_allocations, ==, 1);
  CHECK_INT (uploads, ==, 1);
  CHECK_INT (resizes + pictures, ==, 101);

  /* Another format costs a set-up, and no memory once the largest was seen. */
  CHECK (engine_preprocessor_run (p, &yuv.image, NULL, queue, y, NULL));
  CHECK_INT (uploads, ==, 2);
  CHECK (engine_preprocessor_run (p, &rgb.image, &small, queue, y, NULL));
  CHECK_INT (uploads, ==, 3);
  const guint64 largest = device_allocations, host = allocations;
  for (int i = 0; i < 10; i++) {
    CHECK (engine_preprocessor_run (p, &yuv.image, NULL, queue, y, NULL));
    CHECK (engine_preprocessor_run (p, &rgb.image, &small, queue, y, NULL));
  }
  CHECK_INT (device_allocations, ==, largest);
  CHECK_INT (allocations, ==, host);
  CHECK (!backend->queue_wait (queue));
  g_free (rgb.data);
  g_free (yuv.data);
}

/* One preprocessor for pictures that differ in one thing each: as if it were new every time. */
static void
test_changes (void)
{
  static const EngineRect whole = {0, 0, 40, 30}, left = {0, 0, 20, 30}, low = {8, 7, 20, 23};
  static const EngineRect *const regions[] = {NULL, &left, &low};
  g_autofree guint8 *data = draw (PILLOW_NOISE, 40, 30, 3, 1);
  Picture pictures[] = {rgb_picture (data, 40, 30, 3, "rgb"), rgb_picture (data, 40, 30, 4, "rgbx"),
      rgb_picture (data, 40, 30, 4, "bgrx"), grey_picture (data, 40, 30),
      grey_picture (data, 30, 40), yuv_picture (data, 40, 30, Y444),
      yuv_picture (data, 40, 30, I420), yuv_picture (data, 40, 30, YV12),
      yuv_picture (data, 40, 30, YV12)};
  g_autoptr (EnginePreprocessor) p = counted_new ("resize-mode=letterbox", 3, 16, 16);

  engine_image_set_yuv (&pictures[8].image, 0.2126, 0.0722, FALSE);
  for (gsize i = 0; i < 3 * G_N_ELEMENTS (pictures); i++) {
    const EngineImage *image = &pictures[i % G_N_ELEMENTS (pictures)].image;
    const EngineRect *region = regions[i / G_N_ELEMENTS (pictures)];
    gint8 y[3 * 16 * 16];
    g_autofree gint8 *expected = tensor_of ("resize-mode=letterbox", ENGINE_TYPE_S8, 1.0f, -128, 3,
        16, 16, image, region, NULL);

    CHECK (engine_preprocessor_run (p, image, region, queue, y, NULL));
    CHECK (!backend->queue_wait (queue));
    CHECK (memcmp (y, expected, sizeof y) == 0);
  }
  /* A failure in between does not disturb. */
  g_autofree gint8 *expected = tensor_of ("resize-mode=letterbox", ENGINE_TYPE_S8, 1.0f, -128, 3,
      16, 16, &pictures[0].image, &whole, NULL);
  const EngineRect outside = {39, 0, 2, 1};
  gint8 y[3 * 16 * 16];
  CHECK (!engine_preprocessor_run (p, &pictures[0].image, &outside, queue, y, NULL));
  CHECK (engine_preprocessor_run (p, &pictures[0].image, NULL, queue, y, NULL));
  CHECK (!backend->queue_wait (queue));
  CHECK (memcmp (y, expected, sizeof y) == 0);
  for (gsize i = 0; i < G_N_ELEMENTS (pictures); i++)
    g_free (pictures[i].data);
}

static guint64 waits;

static const char *
counted_wait (KernelQueue *q)
{
  waits++;
  return backend->queue_wait (q);
}

/* Objects on a frame have a size each: a device works on while they are queued. */
static void
test_sizes_on_a_device (void)
{
  if (!backend->ops->picture_s8)
    SKIP ("%s is no device, nor can it stand for one", backend->name);
  g_autofree guint8 *data = draw (PILLOW_NOISE, 80, 60, 3, 4);
  Picture p = yuv_picture (data, 80, 60, NV12);
  g_autofree gint8 *y = g_malloc (64 * 3 * 16 * 16);

  engine_preprocessor_free (counted_new ("", 3, 16, 16)); /* sets up `counted` */
  counted.host_memory = FALSE;
  counted.queue_wait = counted_wait;
  EnginePreprocess preprocess;
  engine_preprocess_preset (&preprocess, "raw");
  g_autoptr (EnginePreprocessor) device = engine_preprocessor_new (&preprocess, 3, 16, 16,
      ENGINE_TYPE_S8, 1.0f, -128, &counted, NULL);
  waits = 0;
  for (int i = 0; i < 64; i++) {
    const EngineRect region = {i / 8, i % 8, 20 + i % 40, 50 - i % 31};

    CHECK (engine_preprocessor_run (device, &p.image, &region, queue, y + i * 3 * 16 * 16, NULL));
  }
  CHECK_INT (waits, ==, 3);
  CHECK_INT (uploads, ==, 64);
  CHECK_INT (device_allocations, <=, 16);
  for (int i = 0; i < 64; i++) {
    const EngineRect region = {i / 8, i % 8, 20 + i % 40, 50 - i % 31};
    g_autofree gint8 *expected =
        tensor_of ("", ENGINE_TYPE_S8, 1.0f, -128, 3, 16, 16, &p.image, &region, NULL);

    CHECK (memcmp (y + i * 3 * 16 * 16, expected, 3 * 16 * 16) == 0);
  }
  g_free (p.data);
}

/* What has the input's size already is read where it lies, in passes. */
static void
test_direct (void)
{
  only_passes = TRUE;
  g_autofree guint8 *data = draw (PILLOW_NOISE, 32, 32, 3, 1);
  Picture rgb = rgb_picture (data, 32, 32, 3, "rgb"), yuv = yuv_picture (data, 32, 32, NV12);
  gint8 y[3 * 32 * 32];
  g_autoptr (EnginePreprocessor) p = counted_new ("resize-mode=letterbox", 3, 32, 32);

  CHECK (engine_preprocessor_run (p, &rgb.image, NULL, queue, y, NULL));
  CHECK_INT (resizes, ==, 0);
  for (int i = 0; i < 3 * 32 * 32; i++)
    CHECK_INT (y[i], ==, data[i] - 128);
  CHECK (engine_preprocessor_run (p, &yuv.image, NULL, queue, y, NULL));
  CHECK_INT (resizes, ==, 1); /* chroma */
  only_passes = FALSE;
  CHECK (!backend->queue_wait (queue));
  g_free (rgb.data);
  g_free (yuv.data);
}

/* --- What cannot be ------------------------------------------------------------------------- */

static void
check_refused (const EngineImage *image, const EngineRect *region, const char *says)
{
  g_autoptr (GError) error = NULL;
  g_autofree void *y =
      tensor_of ("resize-mode=center-crop", ENGINE_TYPE_F32, 0, 0, 3, 8, 8, image, region, &error);

  CHECK (!y);
  CHECK (g_error_matches (error, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT));
  if (error && !strstr (error->message, says))
    CHECK_FAIL ("\"%s\" does not say \"%s\"", error->message, says);
}

static void
test_refused_pictures (void)
{
  static const EngineRect regions[] = {{-1, 0, 2, 2}, {0, -1, 2, 2}, {0, 0, 0, 2}, {0, 0, 2, -2},
      {15, 0, 2, 2}, {0, 15, 2, 2}, {G_MAXINT, 0, 2, 2}, {0, 0, G_MAXINT, 2}};
  g_autofree guint8 *data = draw (PILLOW_NOISE, 16, 16, 3, 1);
  Picture rgb = rgb_picture (data, 16, 16, 3, "rgb"), yuv = yuv_picture (data, 16, 16, NV12);
  EngineImage image;

#define REFUSED(from, change, says)                                                                \
  do {                                                                                             \
    image = (from).image;                                                                          \
    change;                                                                                        \
    check_refused (&image, NULL, says);                                                            \
  } while (0)

  for (gsize i = 0; i < G_N_ELEMENTS (regions); i++)
    check_refused (&rgb.image, &regions[i], "does not lie in the picture of 16 x 16");
  REFUSED (rgb, image.width = 0, "sides are 1 to 32768");
  REFUSED (rgb, image.height = 32769, "sides are 1 to 32768");
  REFUSED (rgb, image.width = 15, "plane 0 of a picture of 15 x 16 cannot be 16 x 16");
  REFUSED (rgb, image.planes[0].width = 8, "cannot be 8 x 16");
  REFUSED (rgb, image.n_planes = 0, "1 to 3 planes, not 0");
  REFUSED (rgb, image.n_planes = 4, "1 to 3 planes, not 4");
  REFUSED (rgb, image.planes[0].data = NULL, "no data");
  REFUSED (rgb, image.planes[0].step = 0, "0 bytes a pixel");
  REFUSED (rgb, image.planes[0].step = 5, "5 bytes a pixel");
  REFUSED (rgb, image.planes[0].stride = 47, "47 bytes a row");
  REFUSED (rgb, image.component[2].plane = 1, "component 2 of a picture");
  REFUSED (rgb, image.component[1].offset = 3, "component 1 of a picture");
  REFUSED (yuv, image.component[0].plane = 1, "the plane of Y");
  REFUSED (yuv, image.planes[1].height = 17, "plane 1 of a picture");
  REFUSED (yuv, image.matrix[2][1] = G_MAXINT, "YUV matrix");
  REFUSED (yuv, image.offset[0] = -1, "YUV matrix");

  g_autofree guint8 *line = draw (PILLOW_NOISE, 32768, 1, 1, 1);
  Picture grey = grey_picture (line, 32768, 1);
  check_refused (&grey.image, NULL, "beyond 32768 pixels");
  g_free (rgb.data);
  g_free (yuv.data);
  g_free (grey.data);
}

static void
check_new (int channels, int height, int width, float scale, int zero, const char *says)
{
  g_autoptr (GError) error = NULL;
  EnginePreprocess preprocess;

  engine_preprocess_preset (&preprocess, "raw");
  CHECK (!engine_preprocessor_new (&preprocess, channels, height, width, ENGINE_TYPE_S8, scale,
      zero, backend, &error));
  CHECK (g_error_matches (error, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT));
  if (error && !strstr (error->message, says))
    CHECK_FAIL ("\"%s\" does not say \"%s\"", error->message, says);
}

static void
test_refused_inputs (void)
{
  check_new (1, 8, 8, 1.0f, 0, "set color-format to gray");
  check_new (3, 0, 8, 1.0f, 0, "an input of 8 x 0 pixels");
  check_new (3, 8, 32769, 1.0f, 0, "an input of 32769 x 8 pixels");
  check_new (3, 8, 8, 0.0f, 0, "scale 0 and zero point 0");
  check_new (3, 8, 8, NAN, 0, "cannot have scale");
  check_new (3, 8, 8, INFINITY, 0, "cannot have scale");
  check_new (3, 8, 8, 1.0f, 128, "zero point 128");

  g_autoptr (GError) error = NULL;
  EnginePreprocess preprocess;
  engine_preprocess_preset (&preprocess, "raw");
  engine_preprocessor_free (counted_new ("", 3, 8, 8));
  counted_ops.picture_s8 = NULL;
  counted_ops.grey_u8 = NULL;
  CHECK (
      !engine_preprocessor_new (&preprocess, 3, 8, 8, ENGINE_TYPE_S8, 1.0f, 0, &counted, &error));
  CHECK (g_error_matches (error, ENGINE_ERROR, ENGINE_ERROR_BACKEND));
  CHECK (error && strstr (error->message, "has no kernel grey_u8"));
}

static void
test_no_memory (void)
{
  g_autofree guint8 *data = draw (PILLOW_NOISE, 32, 20, 3, 1);
  Picture rgb = rgb_picture (data, 32, 20, 3, "rgb");
  gint8 y[3 * 16 * 16];
  g_autoptr (EnginePreprocessor) p = counted_new ("", 3, 16, 16);
  g_autoptr (GError) error = NULL;

  largest_allocation = 100;
  CHECK (!engine_preprocessor_run (p, &rgb.image, NULL, queue, y, &error));
  CHECK (g_error_matches (error, ENGINE_ERROR, ENGINE_ERROR_MEMORY));
  CHECK (error && strstr (error->message, "preprocessing to 16 x 16 needs"));
  largest_allocation = G_MAXSIZE;
  CHECK (engine_preprocessor_run (p, &rgb.image, NULL, queue, y, NULL));
  CHECK (!backend->queue_wait (queue));
  g_free (rgb.data);
}

static void
tests (void)
{
  RUN (test_values);
  RUN (test_ties);
  RUN (test_letterbox_value);
  RUN (test_steady);
  RUN (test_changes);
  RUN (test_sizes_on_a_device);
  RUN (test_direct);
  RUN (test_refused_pictures);
  RUN (test_refused_inputs);
  RUN (test_no_memory);
}

int
main (void)
{
#if SANITIZED_ADDRESS
  __sanitizer_install_malloc_and_free_hooks (count_malloc, count_free);
#endif
  return picture_main (tests);
}
