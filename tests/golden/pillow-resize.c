/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * pillow-resize.c: resize_u8 and grey_u8 of every back end give Pillow's bytes; the other filters
 * give what kernels.h says.
 */
#include "tests/check.h"
#include "tests/golden/pillow-vectors.h"
#include "kernels/kernels.h"

#include <math.h>
#include <stdlib.h>

#define N(array) (sizeof (array) / sizeof *(array))

static KernelBackend *backend;
static KernelQueue *queue;

/* What is asked of one axis. */
typedef struct {
  int in, full, from, out;
} Cut;

static void *
make_axis (KernelResizeAxis *axis, Cut cut, KernelScaling scaling)
{
  void *memory = malloc (kernel_resize_filter_size (cut.in, cut.full, cut.out, scaling));

  kernel_resize_filter (axis, cut.in, cut.full, cut.from, cut.out, scaling, memory);
  return memory;
}

/* Host memory throughout: the back ends of this test have no other. */
static uint8_t *
resize (const uint8_t *x, int channels, Cut h, Cut v, KernelScaling scaling)
{
  KernelResizeAxis horizontal, vertical;
  void *h_memory = make_axis (&horizontal, h, scaling);
  void *v_memory = make_axis (&vertical, v, scaling);
  uint8_t *scratch = malloc (kernel_resize_scratch (&horizontal, &vertical, channels));
  uint8_t *y = malloc ((size_t) h.out * v.out * channels);
  const KernelResize args = {channels, &horizontal, &vertical, x, (ptrdiff_t) h.in * channels, y,
      (ptrdiff_t) h.out * channels, scratch};

  backend->ops->resize_u8 (&args, queue);
  CHECK (!backend->queue_wait (queue));
  free (h_memory);
  free (v_memory);
  free (scratch);
  return y;
}

static void
test_resize (void)
{
  for (size_t i = 0; i < N (PILLOW_RESIZE); i++) {
    const __typeof__ (PILLOW_RESIZE[0]) *t = &PILLOW_RESIZE[i];
    const size_t size = (size_t) t->out_w * t->out_h * t->channels;
    uint8_t *x = malloc ((size_t) t->in_w * t->in_h * t->channels);

    pillow_draw (x, t->picture, t->in_w, t->in_h, t->channels, t->seed);
    uint8_t *y = resize (x, t->channels, (Cut){t->in_w, t->out_w, 0, t->out_w},
        (Cut){t->in_h, t->out_h, 0, t->out_h}, KERNEL_SCALING_ANTIALIAS);
    if (pillow_crc32 (y, size) != t->crc)
      CHECK_FAIL ("%d channels, %d x %d to %d x %d: not Pillow's", t->channels, t->in_w, t->in_h,
          t->out_w, t->out_h);
    for (size_t k = 0; t->full >= 0 && k < size; k++)
      if (y[k] != PILLOW_FULL[t->full + k])
        CHECK_FAIL ("  byte %zu is %d, Pillow's %d", k, y[k], PILLOW_FULL[t->full + k]);
    free (x);
    free (y);
  }
}

static void
test_grey (void)
{
  for (size_t i = 0; i < N (PILLOW_GREY); i++) {
    const __typeof__ (PILLOW_GREY[0]) *t = &PILLOW_GREY[i];
    const size_t size = (size_t) t->w * t->h;
    uint8_t *x = malloc (3 * size), *y = malloc (size);
    KernelGrey args = {.width = t->w, .height = t->h, .y = y, .y_stride = t->w};

    pillow_draw (x, t->picture, t->w, t->h, 3, t->seed);
    for (int j = 0; j < 3; j++)
      args.in[j] = (KernelComponent){x + j, (ptrdiff_t) t->w * 3, 3};
    backend->ops->grey_u8 (&args, queue);
    CHECK (!backend->queue_wait (queue));
    if (pillow_crc32 (y, size) != t->crc)
      CHECK_FAIL ("%d x %d: not Pillow's", t->w, t->h);
    free (x);
    free (y);
  }
}

/* A cut is the same bytes as the whole, cut. */
static void
test_cut (void)
{
  enum { IN_W = 57, IN_H = 43, W = 40, H = 61 };
  static uint8_t x[IN_W * IN_H * 3];

  pillow_draw (x, PILLOW_NOISE, IN_W, IN_H, 3, 77);
  for (int scaling = 0; scaling < KERNEL_SCALING_COUNT; scaling++) {
    uint8_t *whole = resize (x, 3, (Cut){IN_W, W, 0, W}, (Cut){IN_H, H, 0, H}, scaling);

    for (int left = 0; left < W; left += 13)
      for (int top = 0; top < H; top += 12) {
        const int w = W - left < 15 ? W - left : 15, h = H - top < 20 ? H - top : 20;
        uint8_t *part = resize (x, 3, (Cut){IN_W, W, left, w}, (Cut){IN_H, H, top, h}, scaling);

        for (int row = 0; row < h; row++)
          CHECK (memcmp (part + row * w * 3, whole + ((top + row) * W + left) * 3, w * 3) == 0);
        free (part);
      }
    free (whole);
  }
}

/* Taps inside the picture, in order, and weights that sum to 1 but for their roundings. */
static void
check_axis (const KernelResizeAxis *axis)
{
  for (int i = 0; i < axis->out; i++) {
    const int32_t *weight = &axis->weight[i * axis->taps];
    int64_t sum = 0;

    CHECK (axis->first[i] >= 0 && axis->count[i] >= 1 && axis->count[i] <= axis->taps);
    CHECK (axis->first[i] + axis->count[i] <= axis->in);
    CHECK (i == 0 || axis->first[i] >= axis->first[i - 1]);
    for (int t = 0; t < axis->taps; t++) {
      CHECK (weight[t] >= 0 && (t < axis->count[i] || weight[t] == 0));
      sum += weight[t];
    }
    CHECK (llabs (sum - (1 << KERNEL_RESIZE_BITS)) <= (axis->count[i] + 1) / 2);
  }
}

/* Against the formulas in double, which are exact to far less than a unit of the weights. */
static void
test_filters (void)
{
  static const int sides[] = {1, 2, 3, 5, 8, 13, 31, 32, 100, 224, 1080, 32768};
  KernelResizeAxis axis;

  for (size_t a = 0; a < N (sides); a++)
    for (size_t b = 0; b < N (sides); b++) {
      const int in = sides[a], full = sides[b];
      const double one = 1 << KERNEL_RESIZE_BITS;
      void *memory = make_axis (&axis, (Cut){in, full, 0, full}, KERNEL_SCALING_ANTIALIAS);

      check_axis (&axis);
      free (memory);
      memory = make_axis (&axis, (Cut){in, full, 0, full}, KERNEL_SCALING_NEAREST);
      check_axis (&axis);
      for (int i = 0; i < full; i++)
        CHECK_INT (axis.first[i], ==, (long long) floor ((i + 0.5) * in / full));
      free (memory);
      memory = make_axis (&axis, (Cut){in, full, 0, full}, KERNEL_SCALING_BILINEAR);
      check_axis (&axis);
      for (int i = 0; i < full; i++) {
        const double at = fmin (fmax ((i + 0.5) * in / full - 0.5, 0.0), in - 1);
        double mean = 0.0;

        for (int t = 0; t < axis.count[i]; t++)
          mean += axis.weight[i * axis.taps + t] / one * (axis.first[i] + t);
        CHECK (fabs (mean - at) < 0.51 / one);
      }
      free (memory);
    }
}

int
main (void)
{
  static const char *const names[] = {"ref", "cpu"};

  printf ("Pillow " PILLOW_VERSION "\n");
  RUN (test_filters);
  for (size_t i = 0; i < N (names); i++) {
    char why[256] = "";

    backend = kernel_open (names[i], why, sizeof why);
    if (!backend) {
      printf ("SKIP back end %s: %s\n", names[i], why);
      check_skipped++;
      continue;
    }
    printf ("back end %s\n", names[i]);
    queue = backend->queue_new (backend, 2);
    RUN (test_resize);
    RUN (test_grey);
    RUN (test_cut);
    backend->queue_free (queue);
    kernel_close (backend);
  }
  return check_done ();
}
