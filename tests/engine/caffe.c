/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* caffe.c: what Caffe's layers compute, each in a net of its own, against loops written from what Caffe
 * documents. */
#include "tests/engine/caffe-check.h"

/* One layer "l" of a type, from data to y, with its parameters and weights. */
static void
check_layer (const char *type, const char *parameters, const char *blobs, const Blob *x,
    const Blob *expected)
{
  g_autofree char *text = g_strdup_printf (
      "name: 'one layer'\ninput: 'data'\ninput_dim: 1 input_dim: %d input_dim: %d input_dim: %d\n"
      "layer { name: 'l' type: '%s' bottom: 'data' top: 'y' %s }\n",
      x->c, x->h, x->w, type, parameters);
  g_autofree char *layers = g_strdup_printf ("l %s", blobs);
  g_autofree char *label = g_strdup_printf ("%s %s", type, parameters);

  check_model (label, text, caffe_weights (*blobs ? layers : "other 1", FALSE), x, expected);
}

/* --- Convolution and the fully connected layer ------------------------------------------------ */

typedef struct {
  int oc, group, kh, kw, sh, sw, ph, pw, dh, dw;
  gboolean bias;
} Conv;

static double
conv_at (const Blob *x, const Conv *p, int k, int oi, int oj)
{
  const int ic = x->c / p->group, g = k / (p->oc / p->group);
  double sum = p->bias ? caffe_weight (1, k) : 0;

  for (int c = 0; c < ic; c++)
    for (int a = 0; a < p->kh; a++)
      for (int b = 0; b < p->kw; b++) {
        const int i = oi * p->sh - p->ph + a * p->dh, j = oj * p->sw - p->pw + b * p->dw;

        if (i >= 0 && i < x->h && j >= 0 && j < x->w)
          sum +=
              AT (x, g * ic + c, i, j) * caffe_weight (0, ((k * ic + c) * p->kh + a) * p->kw + b);
      }
  return sum;
}

static Blob
conv (const Blob *x, const Conv *p)
{
  Blob y = {p->oc, (x->h + 2 * p->ph - p->dh * (p->kh - 1) - 1) / p->sh + 1,
      (x->w + 2 * p->pw - p->dw * (p->kw - 1) - 1) / p->sw + 1, {0}};

  for (int k = 0; k < y.c; k++)
    for (int i = 0; i < y.h; i++)
      for (int j = 0; j < y.w; j++)
        AT (&y, k, i, j) = conv_at (x, p, k, i, j);
  return y;
}

static void
test_convolution (void)
{
  static const struct {
    Conv p;
    const char *parameters, *blobs;
  } cases[] = {
      {{4, 1, 3, 3, 1, 1, 0, 0, 1, 1, TRUE}, "num_output: 4 kernel_size: 3", "4 3 3 3 | 4"},
      {{4, 1, 3, 3, 2, 2, 1, 1, 1, 1, TRUE}, "num_output: 4 kernel_size: 3 stride: 2 pad: 1",
          "legacy 4 3 3 3 | legacy 1 1 1 4"},
      {{6, 3, 3, 2, 1, 2, 2, 0, 1, 1, FALSE},
          "num_output: 6 bias_term: false kernel_h: 3 kernel_w: 2 stride_h: 1 stride_w: 2 pad_h: 2 "
          "group: 3 engine: CAFFE weight_filler { type: \"xavier\" }",
          "6 1 3 2"},
      {{2, 1, 2, 3, 1, 1, 1, 2, 2, 1, TRUE},
          "num_output: 2 kernel_size: [2, 3] pad: 1 pad: 2 dilation: 2 dilation: 1",
          "half 2 3 2 3 | raw 2"},
      {{3, 3, 3, 3, 1, 1, 1, 1, 1, 1, TRUE}, "num_output: 3 kernel_size: 3 pad: 1 group: 3",
          "double 3 1 3 3 | double 3"},
  };

  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_autofree char *parameters = g_strdup_printf ("convolution_param { %s }", cases[i].parameters);
    const Blob x = image (3, 7, 6), y = conv (&x, &cases[i].p);

    check_layer ("Convolution", parameters, cases[i].blobs, &x, &y);
  }
}

static void
test_inner_product (void)
{
  const Blob x = image (3, 2, 2);
  Blob y = {5, 1, 1, {0}}, transposed = y;

  for (int k = 0; k < 5; k++)
    for (int i = 0; i < 12; i++) {
      y.v[k] += x.v[i] * caffe_weight (0, k * 12 + i);
      transposed.v[k] += x.v[i] * caffe_weight (0, i * 5 + k);
    }
  check_layer ("InnerProduct",
      "inner_product_param { num_output: 5 transpose: true bias_term: false }", "12 5", &x,
      &transposed);
  check_layer ("InnerProduct", "inner_product_param { num_output: 5 bias_term: false }",
      "legacy 1 1 5 12", &x, &y);
  for (int k = 0; k < 5; k++)
    y.v[k] += caffe_weight (1, k);
  check_layer ("InnerProduct", "inner_product_param { num_output: 5 }", "5 12 | 5", &x, &y);
}

/* --- Pools ---------------------------------------------------------------------------------- */

/* The loops of Caffe's pooling: the number of windows is rounded up, a last one that begins in the
 * padding falls away, averages divide by the window as far as the padding reaches. */
static Blob
pool (const Blob *x, gboolean max, int k, int s, int p, gboolean ceil)
{
  Blob y = {x->c, 0, 0, {0}};
  int out[2] = {x->h, x->w};

  for (int a = 0; a < 2; a++) {
    const int in = out[a], room = in + 2 * p - k;

    out[a] = (ceil ? (room + s - 1) / s : room / s) + 1;
    if (p > 0 && (out[a] - 1) * s >= in + p)
      out[a]--;
  }
  y.h = out[0];
  y.w = out[1];
  for (int c = 0; c < x->c; c++)
    for (int i = 0; i < y.h; i++)
      for (int j = 0; j < y.w; j++) {
        const int i0 = i * s - p, j0 = j * s - p;
        const int i1 = MIN (i0 + k, x->h + p), j1 = MIN (j0 + k, x->w + p);
        double sum = 0, largest = -INFINITY;

        for (int a = MAX (i0, 0); a < MIN (i1, x->h); a++)
          for (int b = MAX (j0, 0); b < MIN (j1, x->w); b++) {
            sum += AT (x, c, a, b);
            largest = fmax (largest, AT (x, c, a, b));
          }
        AT (&y, c, i, j) = max ? largest : sum / ((i1 - i0) * (j1 - j0));
      }
  return y;
}

static void
test_pooling (void)
{
  static const struct {
    int k, s, p;
  } windows[] = {{2, 2, 0}, {3, 2, 0}, {3, 2, 1}, {2, 2, 1}, {3, 3, 2}, {3, 1, 1}, {5, 3, 2}};

  for (int size = 6; size <= 8; size++)
    for (gsize i = 0; i < G_N_ELEMENTS (windows); i++)
      for (int max = 0; max < 2; max++)
        for (int ceil = 0; ceil < 2; ceil++) {
          g_autofree char *parameters =
              g_strdup_printf ("pooling_param { pool: %s kernel_size: %d stride: %d pad: %d %s}",
                  max ? "MAX" : "AVE", windows[i].k, windows[i].s, windows[i].p,
                  ceil       ? ""
                  : size % 2 ? "ceil_mode: false "
                             : "round_mode: FLOOR ");
          const Blob x = image (3, size, size + 1),
                     y = pool (&x, max, windows[i].k, windows[i].s, windows[i].p, ceil);

          check_layer ("Pooling", parameters, "", &x, &y);
        }
}

static void
test_global_pooling (void)
{
  const Blob x = image (3, 4, 5);
  Blob mean = {3, 1, 1, {0}}, largest = {3, 1, 1, {-INFINITY, -INFINITY, -INFINITY}};

  for (int i = 0; i < 60; i++) {
    mean.v[i / 20] += x.v[i] / 20;
    largest.v[i / 20] = fmax (largest.v[i / 20], x.v[i]);
  }
  check_layer ("Pooling", "pooling_param { pool: AVE global_pooling: true }", "", &x, &mean);
  check_layer ("Pooling", "pooling_param { global_pooling: true }", "", &x, &largest);
}

/* --- Of one value at a time ------------------------------------------------------------------- */

static double
relu (double x, int c)
{
  return fmax (x, 0);
}

static double
leaky (double x, int c)
{
  return x < 0 ? 0.125 * x : x;
}

static double
prelu (double x, int c)
{
  return x < 0 ? caffe_weight (0, c) * x : x;
}

static double
shared_prelu (double x, int c)
{
  return x < 0 ? caffe_weight (0, 0) * x : x;
}

static double
elu (double x, int c)
{
  return x < 0 ? 0.5 * expm1 (x) : x;
}

static double
sigmoid (double x, int c)
{
  return 1 / (1 + exp (-x));
}

static double
hyperbolic (double x, int c)
{
  return tanh (x);
}

static double
squared (double x, int c)
{
  return (1 + 0.5 * x) * (1 + 0.5 * x);
}

static double
line (double x, int c)
{
  return 0.25 * x - 2;
}

static double
scale (double x, int c)
{
  return x * caffe_weight (0, c);
}

static double
scale_and_bias (double x, int c)
{
  return x * caffe_weight (0, c) + caffe_weight (1, c);
}

static double
bias (double x, int c)
{
  return x + caffe_weight (0, c);
}

/* All blobs without signs. */
static double
batch_norm (double x, int c)
{
  const double factor = fabsf (caffe_weight (2, 0));

  return (x - fabsf (caffe_weight (0, c)) / factor) /
         sqrt (fabsf (caffe_weight (1, c)) / factor + 0.001);
}

static void
test_pointwise (void)
{
  static const struct {
    double (*f) (double x, int c);
    const char *type, *parameters, *blobs;
  } cases[] = {
      {relu, "ReLU", "", ""},
      {leaky, "ReLU", "relu_param { negative_slope: 0.125 }", ""},
      {prelu, "PReLU", "", "3"},
      {shared_prelu, "PReLU", "prelu_param { channel_shared: true }", "1"},
      {elu, "ELU", "elu_param { alpha: 0.5 }", ""},
      {sigmoid, "Sigmoid", "sigmoid_param { engine: CUDNN }", ""},
      {hyperbolic, "TanH", "", ""},
      {squared, "Power", "power_param { power: 2 scale: 0.5 shift: 1 }", ""},
      {line, "Power", "power_param { scale: 0.25 shift: -2 }", ""},
      {scale, "Scale", "", "3"},
      {scale_and_bias, "Scale", "scale_param { bias_term: true axis: -3 }", "3 | 3"},
      {bias, "Bias", "bias_param { filler { value: 1 } }", "3"},
      {batch_norm, "BatchNorm", "batch_norm_param { use_global_stats: true eps: 0.001 }",
          "positive 3 | positive 3 | positive 1"},
  };

  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++) {
    const Blob x = image (3, 4, 5);
    Blob y = x;

    for (int k = 0; k < 60; k++)
      y.v[k] = cases[i].f (x.v[k], k / 20);
    check_layer (cases[i].type, cases[i].parameters, cases[i].blobs, &x, &y);
  }
}

/* --- Over channels ---------------------------------------------------------------------------- */

static void
test_lrn (void)
{
  const Blob x = image (4, 3, 2);
  Blob y = x;

  for (int c = 0; c < 4; c++)
    for (int i = 0; i < 6; i++) {
      double sum = 0;

      for (int k = MAX (c - 1, 0); k <= MIN (c + 1, 3); k++)
        sum += x.v[k * 6 + i] * x.v[k * 6 + i];
      y.v[c * 6 + i] = x.v[c * 6 + i] / pow (2 + 0.5 / 3 * sum, 0.75);
    }
  check_layer ("LRN", "lrn_param { local_size: 3 alpha: 0.5 beta: 0.75 k: 2 }", "", &x, &y);
}

static void
test_softmax (void)
{
  const Blob x = image (4, 2, 2);
  Blob y = x;

  for (int i = 0; i < 4; i++) {
    double sum = 0;

    for (int c = 0; c < 4; c++)
      sum += exp (x.v[c * 4 + i]);
    for (int c = 0; c < 4; c++)
      y.v[c * 4 + i] = exp (x.v[c * 4 + i]) / sum;
  }
  check_layer ("Softmax", "", "", &x, &y);
}

/* --- Several blobs ---------------------------------------------------------------------------- */

/* Layers that read data and a = 0.25 data - 2, and write y. */
static void
check_two (const char *layer, double (*f) (double x, double a))
{
  g_autofree char *text = g_strdup_printf (
      "layer { name: 'data' type: 'Input' top: 'data' input_param { shape { dim: 8 dim: 3 dim: 4 dim: "
      "5 } } }\nlayer { name: 'a' type: 'Power' bottom: 'data' top: 'a' power_param { scale: 0.25 "
      "shift: -2 } }\n%s",
      layer);
  const Blob x = image (3, 4, 5);
  Blob y = x;

  for (int i = 0; i < 60; i++)
    y.v[i] = f (x.v[i], 0.25 * x.v[i] - 2);
  check_model (layer, text, caffe_weights ("none", FALSE), &x, &y);
}

static double
sum (double x, double a)
{
  return x + a;
}

static double
weighted (double x, double a)
{
  return x - 0.5 * a + 2 * x;
}

static double
product (double x, double a)
{
  return x * a;
}

static double
maximum (double x, double a)
{
  return fmax (x, a);
}

static double
first (double x, double a)
{
  return x;
}

static void
test_eltwise (void)
{
#define LAYER(bottoms, parameters)                                                                 \
  "layer { name: 'y' type: 'Eltwise' " bottoms " top: 'y' eltwise_param { " parameters " } }"
  check_two (LAYER ("bottom: 'data' bottom: 'a'", ""), sum);
  check_two (LAYER ("bottom: 'data' bottom: 'a' bottom: 'data'",
                 "operation: SUM coeff: 1 coeff: -0.5 coeff: 2"),
      weighted);
  check_two (LAYER ("bottom: 'data' bottom: 'a'", "operation: PROD"), product);
  check_two (LAYER ("bottom: 'data' bottom: 'a'", "operation: MAX"), maximum);
#undef LAYER
  check_two (
      "layer { name: 'y' type: 'Scale' bottom: 'data' bottom: 'a' top: 'y' scale_param { axis: "
      "0 } }",
      product);
  check_two (
      "layer { name: 'y' type: 'Bias' bottom: 'data' bottom: 'a' top: 'y' bias_param { axis: 0 "
      "} }",
      sum);
}

static void
test_concat_and_slice (void)
{
  check_two ("layer { name: 'c' type: 'Concat' bottom: 'data' bottom: 'a' top: 'c' }"
             "layer { name: 's' type: 'Slice' bottom: 'c' top: 'y' top: 'z' }"
             "layer { name: 'end' type: 'Eltwise' bottom: 'y' bottom: 'z' top: 'end' }",
      sum);
  check_two ("layer { name: 'c' type: 'Concat' bottom: 'data' bottom: 'a' top: 'c' concat_param { "
             "axis: 2 } }"
             "layer { name: 's' type: 'Slice' bottom: 'c' top: 'z' top: 'y' slice_param { axis: 2 "
             "slice_point: 4 } }"
             "layer { name: 'quiet' type: 'Silence' bottom: 'y' }"
             "layer { name: 'end' type: 'Power' bottom: 'z' top: 'end' }",
      first);
}

static void
test_reshape (void)
{
  check_two (
      "layer { name: 'y' type: 'Reshape' bottom: 'data' top: 'y' reshape_param { shape { dim: "
      "0 dim: -1 dim: 4 } } }",
      first);
  check_two (
      "layer { name: 'y' type: 'Reshape' bottom: 'data' top: 'y' reshape_param { shape { dim: "
      "8 dim: 60 } } }",
      first);
  check_two (
      "layer { name: 'y' type: 'Reshape' bottom: 'data' top: 'y' reshape_param { shape { dim: "
      "20 } axis: -3 num_axes: 2 } }",
      first);
  check_two ("layer { name: 'y' type: 'Flatten' bottom: 'data' top: 'y' }", first);
  check_two ("layer { name: 'y' type: 'Flatten' bottom: 'data' top: 'y' flatten_param { axis: 2 "
             "end_axis: -1 } }",
      first);
}

/* What changes nothing, on the way to a sum. */
static void
test_identities (void)
{
  static const char *const layers[] = {
      "type: 'Dropout' bottom: 'data' top: 'd' dropout_param { dropout_ratio: 0.5 }",
      "type: 'Split' bottom: 'data' top: 'd' top: 'e'", "type: 'Power' bottom: 'data' top: 'd'",
      "type: 'Eltwise' bottom: 'data' top: 'd'"};

  for (gsize i = 0; i < G_N_ELEMENTS (layers); i++) {
    g_autofree char *text = g_strdup_printf (
        "layer { name: 'l' %s } layer { name: 'y' type: 'Eltwise' bottom: 'd' bottom: 'a' top: 'y' }",
        layers[i]);

    check_two (text, sum);
  }
}

int
main (void)
{
  caffe_begin ();
  RUN (test_convolution);
  RUN (test_inner_product);
  RUN (test_pooling);
  RUN (test_global_pooling);
  RUN (test_pointwise);
  RUN (test_lrn);
  RUN (test_softmax);
  RUN (test_eltwise);
  RUN (test_concat_and_slice);
  RUN (test_reshape);
  RUN (test_identities);
  return caffe_end ();
}
