/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * explicit-wide.c: uint8 weights more than 128 levels from their zero point. The layer's sums are those of a
 * plain loop, on every back end, to the last unit: scales are powers of two and sums below 2^24, so that
 * its float outputs are exact.
 */
#include <glib/gstdio.h>

#include "engine/engine.h"
#include "engine/model.h"
#include "tests/check.h"
#include "tests/engine/onnx-text.h"

#define SCALE_X 0.5f
#define SCALE_W 0.25f

typedef struct {
  const char *name;
  int ic, ih, iw, oc, kh, kw, stride, dilation, groups;
  int top, left, bottom, right; /* padding */
  int zero_x, zero_w;           /* of uint8 */
  int one_in;                   /* weights are 0 or 255: one in so many; 1: each */
  gboolean matmul, anew;
} Case;

static const Case cases[] = {
    /* clang-format off: a table */
    {"3x3, channels", 32, 6, 5, 7, 3, 3, 1, 1, 1, 1, 1, 1, 1, 37, 100, 150, FALSE, FALSE},
    {"1x1, channels in many blocks", 96, 3, 3, 5, 1, 1, 1, 1, 1, 0, 0, 0, 0, 255, 170, 40, FALSE,
        FALSE},
    {"odd channels", 19, 4, 4, 3, 3, 3, 2, 1, 1, 0, 1, 1, 0, 0, 90, 60, FALSE, FALSE},
    {"255 levels up", 48, 4, 4, 3, 1, 1, 1, 1, 1, 0, 0, 0, 0, 11, 0, 30, FALSE, FALSE},
    {"255 levels down", 48, 4, 4, 3, 1, 1, 1, 1, 1, 0, 0, 0, 0, 11, 255, 30, FALSE, FALSE},
    {"all weights", 17, 4, 5, 4, 3, 3, 1, 1, 1, 1, 1, 1, 1, 200, 0, 1, FALSE, FALSE},
    {"dilation, channels", 3, 9, 8, 4, 3, 3, 1, 2, 1, 2, 2, 2, 2, 3, 77, 9, FALSE, FALSE},
    {"an image: lines", 3, 9, 8, 6, 3, 3, 2, 1, 1, 1, 0, 0, 1, 114, 130, 20, FALSE, FALSE},
    {"lines, 255 levels up", 3, 8, 8, 6, 5, 3, 1, 1, 1, 2, 1, 2, 1, 114, 0, 5, FALSE, FALSE},
    {"lines, a tap of distance 2", 3, 8, 8, 6, 1, 3, 2, 2, 1, 0, 2, 0, 2, 114, 60, 5, FALSE, FALSE},
    {"depthwise", 40, 7, 6, 40, 3, 3, 1, 1, 40, 1, 1, 1, 1, 128, 154, 50, FALSE, FALSE},
    {"depthwise, stride 2", 33, 8, 8, 66, 5, 5, 2, 1, 33, 1, 2, 2, 1, 128, 20, 90, FALSE, FALSE},
    {"groups", 12, 6, 6, 9, 3, 3, 1, 1, 3, 1, 1, 0, 0, 9, 255, 8, FALSE, FALSE},
    {"depthwise with dilation", 8, 9, 9, 8, 3, 3, 1, 2, 8, 2, 2, 2, 2, 0, 60, 9, FALSE, TRUE},
    {"matmul", 70, 1, 1, 9, 1, 1, 1, 1, 1, 0, 0, 0, 0, 128, 88, 30, TRUE, FALSE},
    {"more products than int32 holds", 60000, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 128, 0, 1, TRUE,
        TRUE},
    /* clang-format on */
};

typedef struct {
  const Case *c;
  GRand *rand;
  guint8 *w; /* as the file has it: [oc][ic / groups][kh][kw], of a matmul [ic][oc] */
  guint8 *x; /* [ic][ih][iw] */
} Layer;

static int
inputs_of_filter (const Case *c)
{
  return c->ic / c->groups;
}

static Layer
layer_new (const Case *c)
{
  const int n_w = c->oc * inputs_of_filter (c) * c->kh * c->kw, n_x = c->ih * c->iw * c->ic;
  Layer layer = {c, g_rand_new_with_seed (c - cases), g_new (guint8, n_w), g_new (guint8, n_x)};

  for (int i = 0; i < n_w; i++)
    layer.w[i] = g_rand_int_range (layer.rand, 0, c->one_in) == 0
                     ? (c->anew || g_rand_boolean (layer.rand) ? 255 : 0)
                     : CLAMP (c->zero_w + g_rand_int_range (layer.rand, -60, 61), 0, 255);
  for (int i = 0; i < n_x; i++)
    layer.x[i] = g_rand_int_range (layer.rand, 0, 256);
  return layer;
}

static void
layer_clear (Layer *layer)
{
  g_rand_free (layer->rand);
  g_free (layer->w);
  g_free (layer->x);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Layer, layer_clear)

/* Of output channel k at a pixel. */
static gint64
sum_at (const Layer *layer, int k, int oh, int ow)
{
  const Case *c = layer->c;
  const int n = inputs_of_filter (c), first = k / (c->oc / c->groups) * n;
  gint64 sum = 0;

  for (int kh = 0; kh < c->kh; kh++)
    for (int kw = 0; kw < c->kw; kw++) {
      const int ih = oh * c->stride + kh * c->dilation - c->top;
      const int iw = ow * c->stride + kw * c->dilation - c->left;

      if (ih < 0 || ih >= c->ih || iw < 0 || iw >= c->iw)
        continue;
      for (int i = 0; i < n; i++) {
        const int w =
            c->matmul ? layer->w[i * c->oc + k] : layer->w[((k * n + i) * c->kh + kh) * c->kw + kw];

        sum += (gint64) (w - c->zero_w) *
               (layer->x[((first + i) * c->ih + ih) * c->iw + iw] - c->zero_x);
      }
    }
  return sum;
}

static EngineModel *
model_of (const Layer *layer, GError **error)
{
  const Case *c = layer->c;
  const int n_w = c->oc * inputs_of_filter (c) * c->kh * c->kw;
  g_autofree char *folder = g_dir_make_tmp ("int8-wide-XXXXXX", NULL);
  g_autofree char *path = g_build_filename (folder, "model.onnx", NULL);
  g_autoptr (GString) text = g_string_new (NULL);
  g_autoptr (GByteArray) bytes = NULL;
  EngineModel *model = NULL;

  /* An image has few channels: it is a grey one of two lines, whose pixels become the channels'. */
  if (c->matmul)
    g_string_printf (text, "ints shape = 1 %d; levels w:2 %d %d =", c->ic, c->ic, c->oc);
  else
    g_string_printf (text, "ints shape = 1 %d %d %d; levels w:2 %d %d %d %d =", c->ic, c->ih, c->iw,
        c->oc, inputs_of_filter (c), c->kh, c->kw);
  for (int i = 0; i < n_w; i++)
    g_string_append_printf (text, " %d", layer->w[i]);
  g_string_append_printf (text,
      "; input x 1 1 %d %d; levels xz:2 1 = %d; floats xs 1 = %g; levels wz:2 1 = %d; floats ws 1 = "
      "%g; QuantizeLinear x xs xz -> q; Reshape q shape -> r; DequantizeLinear r xs xz -> d; "
      "DequantizeLinear w ws wz -> v; ",
      2, c->ic * c->ih * c->iw / 2, c->zero_x, SCALE_X, c->zero_w, SCALE_W);
  if (c->matmul)
    g_string_append (text, "MatMul d v -> y; output y");
  else
    g_string_append_printf (text,
        "Conv d v -> y group=%d pads=[%d,%d,%d,%d] strides=[%d,%d] dilations=[%d,%d]; output y",
        c->groups, c->top, c->left, c->bottom, c->right, c->stride, c->stride, c->dilation,
        c->dilation);
  bytes = onnx_text (text->str);
  if (g_file_set_contents (path, (const char *) bytes->data, bytes->len, error))
    model = engine_model_load (path, error);
  g_unlink (path);
  g_rmdir (folder);
  return model;
}

static void
compare (const Layer *layer, Engine *engine, KernelBackend *backend)
{
  const Case *c = layer->c;
  g_autoptr (GError) error = NULL;
  g_autoptr (EngineExec) exec = engine_exec_new (engine, backend, 1, 2, &error);
  const int oh = (c->ih + c->top + c->bottom - (c->kh - 1) * c->dilation - 1) / c->stride + 1;
  const int ow = (c->iw + c->left + c->right - (c->kw - 1) * c->dilation - 1) / c->stride + 1;
  const int n_x = c->ic * c->ih * c->iw;
  g_autofree gint8 *x = g_new (gint8, n_x);

  CHECK_INT (engine_n_classes (engine), ==, c->oc * oh * ow);
  for (int i = 0; i < n_x; i++)
    x[i] = (gint8) (layer->x[i] - 128);
  if (exec)
    backend->upload (engine_exec_queue (exec), engine_exec_input (exec, 0), x, n_x);
  if (!exec || !engine_exec_run (exec, 1, &error)) {
    CHECK_FAIL ("%s, %s: %s", c->name, backend->name, error->message);
  } else {
    const float *y = engine_exec_output (exec, 0);

    for (int i = 0; i < c->oc * oh * ow; i++) {
      const float expected = sum_at (layer, i / (oh * ow), i / ow % oh, i % ow) * SCALE_X * SCALE_W;

      if (y[i] != expected) {
        CHECK_FAIL ("%s, %s: output %d is %.9g, expected %.9g", c->name, backend->name, i, y[i],
            expected);
        break;
      }
    }
  }
}

static void
check_sums (const char *name)
{
  char why[320];
  KernelBackend *backend = kernel_open (name, why, sizeof why);

  if (!backend)
    SKIP ("%s: %s", name, why);
  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++) {
    const EngineBuildOptions options = {.precision = ENGINE_PRECISION_INT8, .strict = TRUE};
    g_auto (Layer) layer = layer_new (&cases[i]);
    g_autoptr (GError) error = NULL;
    g_autoptr (EngineModel) model = NULL;
    g_autoptr (Engine) engine = NULL;

    if (cases[i].anew)
      continue;
    model = model_of (&layer, &error);
    engine = model ? engine_build (model, &options, NULL, NULL, NULL, NULL, &error) : NULL;
    if (!engine) {
      CHECK_FAIL ("%s: %s", cases[i].name, error->message);
      continue;
    }
    compare (&layer, engine, backend);
  }
  kernel_close (backend);
}

static void
test_ref (void)
{
  check_sums ("ref");
}

static void
test_cpu (void)
{
  check_sums ("cpu");
}

static void
test_cuda (void)
{
  check_sums ("cuda:0");
}

/* What cannot be done so is quantised anew, and the report says it; strict makes it an error. */
static void
test_others (void)
{
  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++) {
    EngineBuildOptions options = {.precision = ENGINE_PRECISION_INT8};
    g_auto (Layer) layer = layer_new (&cases[i]);
    g_autoptr (GError) error = NULL;
    g_autoptr (EngineModel) model = NULL;
    g_autoptr (Engine) engine = NULL, refused = NULL;
    EngineBuildReport report = {0};

    if (!cases[i].anew)
      continue;
    model = model_of (&layer, &error);
    engine = model ? engine_build (model, &options, &report, NULL, NULL, NULL, &error) : NULL;
    if (!engine)
      CHECK_FAIL ("%s: %s", cases[i].name, error->message);
    else if (!report.refused || !strstr (report.refused->pdata[0], "they are quantised anew"))
      CHECK_FAIL ("%s: nothing was reported", cases[i].name);
    engine_build_report_clear (&report);
    options.strict = TRUE;
    refused = model ? engine_build (model, &options, NULL, NULL, NULL, NULL, &error) : NULL;
    CHECK (!refused && strstr (error->message, "quantised anew"));
  }
}

int
main (void)
{
  RUN (test_ref);
  RUN (test_cpu);
  RUN (test_cuda);
  RUN (test_others);
  return check_done ();
}
