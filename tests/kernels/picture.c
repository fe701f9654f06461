/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * picture.c: pictures to input tensors at once. That ref's are those of the passes, and Pillow's, is
 * tested in tests/engine/preprocess-pixels.c.
 */
#include "tests/kernels/pixels.h"

/* The planes of formats: where the components lie, in pixels of so many bytes. */
static const struct {
  const char *name;
  int n_planes, steps[3], n;
  struct {
    int plane, offset;
  } component[3];
  bool yuv;
} formats[] = {
    {"NV12", 2, {1, 2}, 3, {{0, 0}, {1, 0}, {1, 1}}, true},
    {"NV21", 2, {1, 2}, 3, {{0, 0}, {1, 1}, {1, 0}}, true},
    {"I420", 3, {1, 1, 1}, 3, {{0, 0}, {1, 0}, {2, 0}}, true},
    {"Y thrice", 1, {1}, 3, {{0, 0}, {0, 0}, {0, 0}}, true},
    {"two and one", 2, {2, 1}, 3, {{0, 1}, {0, 0}, {1, 0}}, true},
    {"one between two", 2, {2, 1}, 3, {{0, 1}, {1, 0}, {0, 0}}, true},
    {"RGB", 1, {3}, 3, {{0, 0}, {0, 1}, {0, 2}}, false},
    {"BGRx", 1, {4}, 3, {{0, 2}, {0, 1}, {0, 0}}, false},
    {"GBR planes", 3, {1, 1, 1}, 3, {{2, 0}, {0, 0}, {1, 0}}, false},
    {"grey", 1, {1}, 1, {{0, 0}}, false},
    {"grey of pairs", 1, {2}, 1, {{0, 1}}, false},
};

typedef struct {
  int format;
  Cut h, v;         /* of the first plane; others are half as large where the format is YUV */
  int right, below; /* how much larger the tensor is than the picture */
  bool grey, mean;
  KernelScaling scaling;
  HarnessData data;
} Shown;

typedef struct {
  KernelResizeAxis h, v;
  void *h_memory, *v_memory;
} Axes;

/* A plane of the format, with gaps between its rows, and its axes. */
static void
add_plane (Harness *h, HarnessCase *c, KernelPicture *a, Axes *axes, const Shown *s, int i)
{
  KernelPicturePlane *plane = &a->planes[i];
  Cut across = s->h, down = s->v;
  const int gap = harness_range (h, 0, 20);

  if (formats[s->format].yuv && i > 0) {
    across.in = (across.in + 1) / 2;
    down.in = (down.in + 1) / 2;
  }
  plane->step = formats[s->format].steps[i];
  plane->stride = across.in * plane->step + gap;
  const size_t size = (size_t) (down.in - 1) * plane->stride + (size_t) across.in * plane->step;
  harness_fill_u8 (h, harness_in (c, HARNESS_U8, size, &plane->x), size, s->data);
  axes->h_memory =
      malloc (kernel_resize_filter_size (across.in, across.full, across.out, s->scaling));
  axes->v_memory = malloc (kernel_resize_filter_size (down.in, down.full, down.out, s->scaling));
  add_axis (c, &axes->h, across, s->scaling, axes->h_memory);
  add_axis (c, &axes->v, down, s->scaling, axes->v_memory);
  plane->h = &axes->h;
  plane->v = &axes->v;
}

/* What the tensor takes of the picture, and its tables. */
static void
add_tensor (Harness *h, HarnessCase *c, KernelPicture *a, const Shown *s, HarnessType type)
{
  const bool bgr = harness_range (h, 0, 1);
  const size_t size = (size_t) a->width * a->height * a->channels;
  const size_t table =
      (size_t) a->channels * (s->mean ? KERNEL_INPUT_DIFFERENCES : KERNEL_INPUT_LEVELS);
  void *values = harness_in (c, type, table, &a->table);

  for (int k = 0; k < a->channels; k++)
    a->pick[k] = a->n_components == 1 || a->channels == 1 ? 0 : bgr ? 2 - k : k;
  if (type == HARNESS_S8)
    harness_fill_s8 (h, values, table, HARNESS_RANDOM);
  else
    harness_fill_f32 (h, values, table, HARNESS_WIDE);
  if (s->mean)
    harness_fill_u8 (h, harness_in (c, HARNESS_U8, size, &a->mean), size, HARNESS_RANDOM);
  harness_out (c, type, size, &a->y);
}

static void
run_picture (Harness *h, HarnessType type, const Shown *s)
{
  static const int32_t matrix[3][3] = {{76309, 0, 104597}, {76309, -25675, -53279},
      {76309, 132201, 0}};
  const int n = formats[s->format].n;
  Axes axes[3];
  KernelPicture a = {.n_planes = formats[s->format].n_planes,
      .n_components = n,
      .width = s->h.out + s->right,
      .height = s->v.out + s->below,
      .channels = s->grey ? 1 : 3,
      .offset = {16, 128, 128}};
  HarnessCase *c =
      harness_case (h, &a, "%s, %d x %d to %d x %d of %d x %d at (%d, %d) in %d x %d%s%s, %s, %s",
          formats[s->format].name, s->h.in, s->v.in, s->h.out, s->v.out, s->h.full, s->v.full,
          s->h.from, s->v.from, a.width, a.height, s->grey ? ", grey" : "",
          s->mean ? ", less a mean image" : "", scalings[s->scaling], harness_data_name (s->data));

  a.colour = formats[s->format].yuv ? KERNEL_COLOUR_YUV
             : s->grey && n == 3    ? KERNEL_COLOUR_GREY
                                    : KERNEL_COLOUR_PLAIN;
  memcpy (a.matrix, matrix, sizeof matrix);
  a.top = harness_range (h, 0, s->below);
  a.left = harness_range (h, 0, s->right);
  for (int j = 0; j < n; j++) {
    a.component[j].plane = formats[s->format].component[j].plane;
    a.component[j].offset = formats[s->format].component[j].offset;
  }
  for (int i = 0; i < a.n_planes; i++)
    add_plane (h, c, &a, &axes[i], s, i);
  add_tensor (h, c, &a, s, type);
  harness_run (c);
  for (int i = 0; i < a.n_planes; i++) {
    free (axes[i].h_memory);
    free (axes[i].v_memory);
  }
}

/* Sizes of their own, then any, then pictures that are made far smaller. */
static void
test_picture (Harness *h, HarnessType type)
{
  static const int sizes[][4] = {{1, 1, 1, 1}, {1, 1, 9, 70}, {2, 2, 3, 3}, {640, 48, 224, 22},
      {224, 24, 224, 12}, {64, 64, 64, 64}, {48, 30, 96, 30}, {1000, 2, 3, 2}, {3, 1000, 1, 7},
      {300, 5, 299, 4}, {129, 65, 64, 33}, {2000, 90, 40, 9}, {90, 2000, 40, 9}};

  for (int f = 0; f < COUNT (formats); f++)
    for (int i = 0; i < COUNT (sizes); i++) {
      const Shown s = {.format = f,
          .h = whole (sizes[i][0], sizes[i][2]),
          .v = whole (sizes[i][1], sizes[i][3]),
          .right = i % 3 == 0 ? 0 : i * 4,
          .below = i % 3 == 1 ? 0 : i,
          .grey = i % 4 == 1,
          .mean = i % 3 == 2,
          .scaling = (KernelScaling) (i % 5 < 3 ? 0 : i % 5 - 2),
          .data = i % 2 ? HARNESS_EXTREMES : HARNESS_RANDOM};

      run_picture (h, type, &s);
    }
  for (int i = 0; i < 200; i++) {
    const int limit = i % 4 == 0 ? 9 : i % 4 == 1 ? 40 : 150;
    Shown s = {.format = i % COUNT (formats),
        .grey = i % 3 == 0,
        .mean = i % 4 == 3,
        .scaling = (KernelScaling) (i % 7 < 5 ? 0 : i % 7 - 4),
        .data = (HarnessData) (i % HARNESS_DATA_COUNT)};

    s.h = random_cut (h, limit);
    s.v = random_cut (h, limit);
    if (i % 2) {
      s.right = harness_range (h, 0, 70);
      s.below = harness_range (h, 0, 30);
    }
    run_picture (h, type, &s);
  }
}

/* As bench_resize_u8: frames to 224 x 224. */
static void
bench_picture (Harness *h, HarnessType type)
{
  static const struct {
    int format, w, h;
  } frames[] = {{0, 1920, 1080}, {2, 1920, 1080}, {6, 1920, 1080}, {7, 1920, 1080}, {0, 640, 480}};

  for (int i = 0; i < COUNT (frames); i++) {
    const Shown s = {.format = frames[i].format,
        .h = whole (frames[i].w, 224),
        .v = whole (frames[i].h, 224),
        .data = HARNESS_RANDOM};

    run_picture (h, type, &s);
  }
}

static void
test_picture_s8 (Harness *h)
{
  test_picture (h, HARNESS_S8);
}

static void
test_picture_f32 (Harness *h)
{
  test_picture (h, HARNESS_F32);
}

static void
bench_picture_s8 (Harness *h)
{
  bench_picture (h, HARNESS_S8);
}

static void
bench_picture_f32 (Harness *h)
{
  bench_picture (h, HARNESS_F32);
}

const HarnessTest harness_picture[] = {
    {"picture_s8", test_picture_s8, bench_picture_s8},
    {"picture_f32", test_picture_f32, bench_picture_f32},
    {NULL},
};
