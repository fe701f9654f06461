/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * pixels.c: resize, colour and input tables. That ref's resize is Pillow's is tested in
 * tests/golden/pillow-resize.c.
 */
#include "tests/kernels/pixels.h"

/* --- resize --------------------------------------------------------------------------------- */

/* What lies between the rows of y must stay. */
static void
run_resize (Harness *h, int channels, Cut hc, Cut vc, KernelScaling scaling, int gap,
    HarnessData data)
{
  KernelResizeAxis horizontal, vertical;
  KernelResize a = {.channels = channels, .h = &horizontal, .v = &vertical};
  void *h_memory = malloc (kernel_resize_filter_size (hc.in, hc.full, hc.out, scaling));
  void *v_memory = malloc (kernel_resize_filter_size (vc.in, vc.full, vc.out, scaling));
  HarnessCase *c =
      harness_case (h, &a, "%d channels, %d x %d to %d x %d of %d x %d at (%d, %d), %s, gap %d, %s",
          channels, hc.in, vc.in, hc.out, vc.out, hc.full, vc.full, hc.from, vc.from,
          scalings[scaling], gap, harness_data_name (data));
  size_t nx, ny, scratch;

  a.x_stride = (ptrdiff_t) hc.in * channels + gap;
  a.y_stride = (ptrdiff_t) hc.out * channels + gap;
  nx = (vc.in - 1) * a.x_stride + (size_t) hc.in * channels;
  ny = (vc.out - 1) * a.y_stride + (size_t) hc.out * channels;
  harness_fill_u8 (h, harness_in (c, HARNESS_U8, nx, &a.x), nx, data);
  harness_fill_u8 (h, harness_in_out (c, HARNESS_U8, ny, &a.y), ny, HARNESS_RANDOM);
  add_axis (c, &horizontal, hc, scaling, h_memory);
  add_axis (c, &vertical, vc, scaling, v_memory);
  scratch = kernel_resize_scratch (&horizontal, &vertical, channels);
  if (scratch > 0)
    harness_scratch (c, scratch, &a.scratch);
  harness_run (c);
  free (h_memory);
  free (v_memory);
}

static void
test_resize_u8 (Harness *h)
{
  static const int sizes[][4] = {{1, 1, 1, 1}, {1, 1, 9, 70}, {2, 2, 3, 3}, {640, 48, 224, 22},
      {224, 24, 224, 12}, {64, 64, 64, 64}, {48, 30, 96, 30}, {1000, 2, 3, 2}, {3, 1000, 1, 7},
      {4000, 3, 7, 3}, {300, 5, 299, 4}, {129, 65, 64, 33}};

  for (int channels = 1; channels <= 4; channels++)
    for (KernelScaling scaling = 0; scaling < KERNEL_SCALING_COUNT; scaling++)
      for (int i = 0; i < COUNT (sizes); i++)
        run_resize (h, channels, whole (sizes[i][0], sizes[i][2]), whole (sizes[i][1], sizes[i][3]),
            scaling, i % 3,
            scaling == KERNEL_SCALING_ANTIALIAS ? HARNESS_EXTREMES : HARNESS_RANDOM);
  for (int i = 0; i < 400; i++) {
    const int limit = i % 4 == 0 ? 9 : i % 4 == 1 ? 40 : i % 4 == 2 ? 100 : 250;

    const Cut columns = random_cut (h, limit), rows = random_cut (h, limit);

    run_resize (h, i % 4 + 1, columns, rows, (KernelScaling) (i % 7 < 5 ? 0 : i % 7 - 4),
        harness_range (h, 0, 40), (HarnessData) (i % HARNESS_DATA_COUNT));
  }
}

static void
bench_resize_u8 (Harness *h)
{
  static const struct {
    int channels, w, h, full_w, full_h, out_w, out_h;
  } frames[] = {
      {1, 1920, 1080, 224, 224, 224, 224}, /* NV12 */
      {2, 960, 540, 224, 224, 224, 224},
      {3, 1920, 1080, 224, 224, 224, 224},
      {3, 1920, 1080, 455, 256, 224, 224}, /* center-crop */
      {4, 1920, 1080, 224, 224, 224, 224},
      {3, 640, 480, 224, 224, 224, 224},
      {1, 28, 28, 32, 32, 32, 32},
  };

  for (int i = 0; i < COUNT (frames); i++)
    run_resize (h, frames[i].channels,
        (Cut){frames[i].w, frames[i].full_w, (frames[i].full_w - frames[i].out_w) / 2,
            frames[i].out_w},
        (Cut){frames[i].h, frames[i].full_h, (frames[i].full_h - frames[i].out_h) / 2,
            frames[i].out_h},
        KERNEL_SCALING_ANTIALIAS, 0, HARNESS_RANDOM);
}

/* --- Components ----------------------------------------------------------------------------- */

typedef enum { PLANAR, INTERLEAVED, REVERSED, SEMIPLANAR, LAYOUT_COUNT } Layout;
static const char *const layouts[] = {"planar", "interleaved", "reversed", "semiplanar"};

/* n components of one size: each its own plane, all in pixels of `step` bytes, or the first alone
 * and the others in pairs. */
static void
add_components (Harness *h, HarnessCase *c, KernelComponent *in, int n, int width, int height,
    Layout layout, int step, HarnessData data)
{
  const uint8_t *plane = NULL;

  for (int j = 0; j < n; j++) {
    const int alone = layout == PLANAR || (layout == SEMIPLANAR && j == 0);
    const bool beside = layout == INTERLEAVED || layout == REVERSED;
    const int first = alone || (beside && j == 0) || (layout == SEMIPLANAR && j == 1);

    in[j].step = layout == PLANAR ? 1 : beside ? step : alone ? 1 : 2;
    if (first) {
      const int row = width * in[j].step;
      const int gap = harness_range (h, 0, 20);
      const size_t size = (size_t) (height - 1) * (row + gap) + row;

      in[j].stride = row + gap;
      plane = harness_in (c, HARNESS_U8, size, &in[j].data);
      harness_fill_u8 (h, (uint8_t *) plane, size, data);
    } else {
      in[j].stride = in[j - 1].stride;
      harness_point (c, &in[j].data, plane,
          layout == INTERLEAVED ? j
          : layout == REVERSED  ? n - 1 - j
                                : j - 1);
    }
    if (layout == REVERSED && j == 0)
      harness_point (c, &in[0].data, plane, n - 1);
  }
}

/* --- yuv, grey ------------------------------------------------------------------------------ */

static void
run_yuv (Harness *h, int width, int height, Layout layout, HarnessData data)
{
  static const int32_t matrices[][3][3] = {
      {{76309, 0, 104597}, {76309, -25675, -53279}, {76309, 132201, 0}}, /* BT.601 */
      {{65536, 0, 103206}, {65536, -12276, -30679}, {65536, 121609, 0}}, /* BT.709, full range */
  };
  KernelYuv a = {.width = width, .height = height};
  HarnessCase *c = harness_case (h, &a, "%d x %d, %s, %s", width, height, layouts[layout],
      harness_data_name (data));
  const int gap = harness_range (h, 0, 20), full = harness_range (h, 0, 1);
  const size_t size = (size_t) (height - 1) * (width * 3 + gap) + width * 3;

  memcpy (a.matrix, matrices[full], sizeof a.matrix);
  a.offset[0] = full ? 0 : 16;
  a.offset[1] = a.offset[2] = 128;
  a.y_stride = width * 3 + gap;
  add_components (h, c, a.in, 3, width, height, layout, 3, data);
  harness_fill_u8 (h, harness_in_out (c, HARNESS_U8, size, &a.y), size, HARNESS_RANDOM);
  harness_run (c);
}

static void
run_grey (Harness *h, int width, int height, Layout layout, HarnessData data)
{
  KernelGrey a = {.width = width, .height = height};
  const int gap = harness_range (h, 0, 20), step = harness_range (h, 3, 4);
  HarnessCase *c = harness_case (h, &a, "%d x %d, %s, step %d, %s", width, height, layouts[layout],
      step, harness_data_name (data));
  const size_t size = (size_t) (height - 1) * (width + gap) + width;

  a.y_stride = width + gap;
  add_components (h, c, a.in, 3, width, height, layout, step, data);
  harness_fill_u8 (h, harness_in_out (c, HARNESS_U8, size, &a.y), size, HARNESS_RANDOM);
  harness_run (c);
}

static void
each_picture (Harness *h,
    void (*run) (Harness *h, int width, int height, Layout layout, HarnessData data))
{
  for (int width = 1; width <= 70; width += width < 36 ? 1 : 7)
    for (Layout layout = 0; layout < LAYOUT_COUNT; layout++)
      run (h, width, harness_range (h, 1, 9), layout, (HarnessData) (width % HARNESS_DATA_COUNT));
  for (Layout layout = 0; layout < LAYOUT_COUNT; layout++) /* enough for several threads */
    run (h, 223, 224, layout, HARNESS_RANDOM);
}

static void
test_yuv_rgb_u8 (Harness *h)
{
  each_picture (h, run_yuv);
}

static void
bench_yuv_rgb_u8 (Harness *h)
{
  run_yuv (h, 224, 224, SEMIPLANAR, HARNESS_RANDOM);
  run_yuv (h, 224, 224, PLANAR, HARNESS_RANDOM);
}

static void
test_grey_u8 (Harness *h)
{
  each_picture (h, run_grey);
}

static void
bench_grey_u8 (Harness *h)
{
  run_grey (h, 224, 224, INTERLEAVED, HARNESS_RANDOM);
}

/* --- input ---------------------------------------------------------------------------------- */

static void
run_input (Harness *h, HarnessType type, int channels, int width, int height, Layout layout,
    int step, bool mean)
{
  KernelInput a = {.width = width, .height = height, .channels = channels};
  HarnessCase *c = harness_case (h, &a, "%d channels, %d x %d, %s, step %d%s", channels, width,
      height, layouts[layout], step, mean ? ", less a mean image" : "");
  const size_t table =
      (size_t) channels * (mean ? KERNEL_INPUT_DIFFERENCES : KERNEL_INPUT_LEVELS);
  const size_t size = (size_t) width * height * channels;
  void *values = harness_in (c, type, table, &a.table);

  if (type == HARNESS_S8)
    harness_fill_s8 (h, values, table, HARNESS_RANDOM);
  else
    harness_fill_f32 (h, values, table, HARNESS_WIDE);
  add_components (h, c, a.in, channels, width, height, layout, step, HARNESS_RANDOM);
  if (mean)
    harness_fill_u8 (h, harness_in (c, HARNESS_U8, size, &a.mean), size, HARNESS_RANDOM);
  harness_out (c, type, size, &a.y);
  harness_run (c);
}

static void
test_input (Harness *h, HarnessType type)
{
  for (int channels = 1; channels <= 4; channels++)
    for (int width = 1; width <= 70; width += width < 18 ? 1 : 5) {
      const int height = harness_range (h, 1, 7);

      run_input (h, type, channels, width, height, PLANAR, 1, width % 2);
      run_input (h, type, channels, width, height, INTERLEAVED, harness_range (h, channels, 4),
          width % 3 == 0);
      run_input (h, type, channels, width, height, REVERSED, harness_range (h, channels, 4), false);
    }
}

static void
bench_input (Harness *h, HarnessType type)
{
  run_input (h, type, 3, 224, 224, INTERLEAVED, 3, false);
  run_input (h, type, 3, 224, 224, INTERLEAVED, 3, true);
  run_input (h, type, 3, 224, 224, INTERLEAVED, 4, false);
  run_input (h, type, 1, 224, 224, PLANAR, 1, false);
}

static void
test_input_s8 (Harness *h)
{
  test_input (h, HARNESS_S8);
}

static void
test_input_f32 (Harness *h)
{
  test_input (h, HARNESS_F32);
}

static void
bench_input_s8 (Harness *h)
{
  bench_input (h, HARNESS_S8);
}

static void
bench_input_f32 (Harness *h)
{
  bench_input (h, HARNESS_F32);
}

const HarnessTest harness_pixels[] = {
    {"resize_u8", test_resize_u8, bench_resize_u8},
    {"yuv_rgb_u8", test_yuv_rgb_u8, bench_yuv_rgb_u8},
    {"grey_u8", test_grey_u8, bench_grey_u8},
    {"input_s8", test_input_s8, bench_input_s8},
    {"input_f32", test_input_f32, bench_input_f32},
    {NULL},
};
