/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * onnx/resize.c: Resize and Upsample to a fixed size. Each axis is a matrix of weights, in by out, and
 * so a convolution of pixels along that axis; where every pixel is repeated a whole number of times,
 * as `nearest` mostly does, a concat of copies, whose bytes pass through.
 */
#include <math.h>
#include <string.h>

#include "engine/onnx/import.h"

typedef struct {
  const char *mode;       /* nearest, linear, cubic */
  const char *coordinate; /* coordinate_transformation_mode */
  const char *nearest;    /* nearest_mode */
  float cubic;
} Filter;

/* Where output o lies on the input's axis. */
static double
position (const Filter *filter, int o, int in, int out, double scale)
{
  const char *c = filter->coordinate;

  if (strcmp (c, "asymmetric") == 0)
    return o / scale;
  if (strcmp (c, "align_corners") == 0)
    return out > 1 ? o * (in - 1.0) / (out - 1) : 0;
  if (strcmp (c, "pytorch_half_pixel") == 0 && out <= 1)
    return 0;
  if (strcmp (c, "half_pixel_symmetric") == 0)
    return in / 2.0 * (1 - out / (scale * in)) + (o + 0.5) / scale - 0.5;
  return (o + 0.5) / scale - (strcmp (c, "tf_half_pixel_for_nn") == 0 ? 0 : 0.5);
}

static int
nearest (const Filter *filter, double x)
{
  const char *n = filter->nearest;

  if (strcmp (n, "floor") == 0)
    return floor (x);
  if (strcmp (n, "ceil") == 0)
    return ceil (x);
  return strcmp (n, "round_prefer_ceil") == 0 ? floor (x + 0.5) : ceil (x - 0.5);
}

/* Keys' kernel at distance d. */
static double
cubic (double a, double d)
{
  d = fabs (d);
  if (d <= 1)
    return ((a + 2) * d - (a + 3)) * d * d + 1;
  return d < 2 ? ((a * d - 5 * a) * d + 8 * a) * d - 4 * a : 0;
}

/* Row o of the matrix: [in]. Pixels beyond the edge are those at the edge. */
static void
fill_row (const Filter *filter, float *row, double x, int in)
{
  const int below = floor (x);

  if (strcmp (filter->mode, "nearest") == 0) {
    row[CLAMP (nearest (filter, x), 0, in - 1)] = 1;
  } else if (strcmp (filter->mode, "linear") == 0) {
    row[CLAMP (below, 0, in - 1)] += 1 - (x - below);
    row[CLAMP (below + 1, 0, in - 1)] += x - below;
  } else {
    for (int k = below - 1; k <= below + 2; k++)
      row[CLAMP (k, 0, in - 1)] += cubic (filter->cubic, x - k);
  }
}

/* How often each pixel follows itself, or 0 where it is not as simple. */
static int
repeats (const float *matrix, int in, int out)
{
  if (out % in != 0)
    return 0;
  for (int o = 0; o < out; o++)
    if (matrix[(gsize) o * in + o / (out / in)] != 1)
      return 0;
  return out / in;
}

/* --- The graph's part ------------------------------------------------------------------------ */

static int
add_transpose (EngineOnnx *onnx, const EngineOnnxNode *node, int x, const int perm[4],
    GError **error)
{
  EngineNode *transpose = engine_onnx_add (onnx, node, ENGINE_OP_TRANSPOSE, 0, &x, 1);

  memcpy (transpose->transpose.perm, perm, 4 * sizeof *perm);
  return engine_onnx_infer (onnx, node, transpose, error);
}

/* Every slice of an axis (1 or 2 of NHWC) `times` times. */
static int
repeat (EngineOnnx *onnx, const EngineOnnxNode *node, int x, int axis, int times, GError **error)
{
  const EngineValue *value = engine_graph_value (onnx->graph, x);
  const int h = value->dims[1], w = value->dims[2], c = value->dims[3];
  const int before[] = {1, axis == 1 ? h : h * w, 1, axis == 1 ? w * c : c};
  const int after[] = {1, axis == 1 ? h * times : h, axis == 1 ? w : w * times, c};
  g_autofree int *copies = g_new (int, times);
  EngineNode *concat;
  int y = engine_onnx_add_reshape (onnx, node, 0, x, 4, before, error);

  if (y == ENGINE_NONE)
    return ENGINE_NONE;
  for (int i = 0; i < times; i++)
    copies[i] = y;
  concat = engine_onnx_add (onnx, node, ENGINE_OP_CONCAT, 0, copies, times);
  concat->concat.axis = 2;
  y = engine_onnx_infer (onnx, node, concat, error);
  return y == ENGINE_NONE ? ENGINE_NONE
                          : engine_onnx_add_reshape (onnx, node, 0, y, 4, after, error);
}

/* The axis becomes the last one, is multiplied by the matrix [out][in] (taken), and goes back. */
static int
multiply (EngineOnnx *onnx, const EngineOnnxNode *node, int x, int axis, float *matrix, int in,
    int out, GError **error)
{
  static const int to[2][4] = {{0, 2, 3, 1}, {0, 1, 3, 2}},
                   back[2][4] = {{0, 3, 1, 2}, {0, 1, 3, 2}};
  const int dims[4] = {out, 1, 1, in};
  int inputs[ENGINE_CONV_INPUTS] = {ENGINE_NONE, ENGINE_NONE, ENGINE_NONE, ENGINE_NONE,
      ENGINE_NONE};
  int y;

  inputs[ENGINE_CONV_W] = engine_onnx_add_floats (onnx, node, "weights", 4, dims, matrix, error);
  if (inputs[ENGINE_CONV_W] == ENGINE_NONE)
    return ENGINE_NONE;
  inputs[ENGINE_CONV_X] = add_transpose (onnx, node, x, to[axis - 1], error);
  if (inputs[ENGINE_CONV_X] == ENGINE_NONE)
    return ENGINE_NONE;
  y = engine_onnx_infer (onnx, node,
      engine_onnx_add (onnx, node, ENGINE_OP_CONV, 0, inputs, ENGINE_CONV_INPUTS), error);
  return y == ENGINE_NONE ? ENGINE_NONE : add_transpose (onnx, node, y, back[axis - 1], error);
}

static int
resize_axis (EngineOnnx *onnx, const EngineOnnxNode *node, const Filter *filter, int x, int axis,
    int out, double scale, GError **error)
{
  const int in = engine_graph_value (onnx->graph, x)->dims[axis];
  float *matrix = engine_onnx_alloc (onnx, (gint64) in * out, sizeof (float), error);
  int times;

  if (!matrix)
    return ENGINE_NONE;
  memset (matrix, 0, (gsize) in * out * sizeof (float));
  for (int o = 0; o < out; o++)
    fill_row (filter, matrix + (gsize) o * in, position (filter, o, in, out, scale), in);
  times = repeats (matrix, in, out);
  if (times == 0)
    return multiply (onnx, node, x, axis, matrix, in, out, error);
  g_free (matrix);
  return times == 1 ? x : repeat (onnx, node, x, axis, times, error);
}

/* --- The node's part ------------------------------------------------------------------------- */

/* The axes that factors or sizes are of: all four, or, since opset 18, those that an attribute lists. */
typedef struct {
  int n, axis[4];
} Axes;

static gboolean
read_axes (const EngineOnnxNode *node, Axes *axes, GError **error)
{
  const gint64 *list;
  int n;

  *axes = (Axes){4, {0, 1, 2, 3}};
  if (!engine_onnx_ints (node, "axes", &list, &n, error))
    return FALSE;
  if (n < 0)
    return TRUE;
  if (n < 1 || n > 4)
    return ENGINE_ONNX_REFUSE ("%d axes of 4", n);
  axes->n = n;
  for (int i = 0; i < n; i++)
    if (!engine_onnx_axis (node, list[i], 4, &axes->axis[i], error))
      return FALSE;
  return TRUE;
}

/* One factor, or size, for each of the axes; others stay as they are. n 0 where the input is not there or
 * empty. */
static gboolean
read_numbers (EngineOnnx *onnx, const EngineOnnxNode *node, guint input, const Axes *axes,
    double values[4], int *n, GError **error)
{
  const EngineOnnxValue *value;

  *n = 0;
  if (!engine_onnx_has_input (node, input))
    return TRUE;
  value = engine_onnx_input (onnx, node, input, error);
  if (!value)
    return FALSE;
  if (!value->constant)
    return ENGINE_ONNX_UNSUPPORTED ("a size that is computed from the image");
  if (value->constant->n == 0)
    return TRUE;
  if (value->constant->n != axes->n)
    return ENGINE_ONNX_UNSUPPORTED ("scales or sizes of %" G_GINT64_FORMAT " axes; %d can be done",
        value->constant->n, axes->n);
  for (int i = 0; i < axes->n; i++)
    values[axes->axis[i]] = value->constant->f ? engine_onnx_f (value->constant, i)
                                               : (double) engine_onnx_i (value->constant, i);
  *n = axes->n;
  return TRUE;
}

/* As Upsample has them before opset 9. */
static gboolean
read_scales_attribute (const EngineOnnxNode *node, double values[4], int *n, GError **error)
{
  const EngineOnnx__AttributeProto *scales = engine_onnx_attribute (node, "scales");

  if (scales->n_floats != 4)
    return ENGINE_ONNX_REFUSE ("scales of %" G_GSIZE_FORMAT " axes; 4 can be done",
        scales->n_floats);
  for (int i = 0; i < 4; i++)
    values[i] = scales->floats[i];
  *n = 4;
  return TRUE;
}

/* Scales or sizes, of axes as ONNX orders them, to those of height and width. */
static gboolean
read_target (EngineOnnx *onnx, const EngineOnnxNode *node, const EngineOnnxValue *x, guint scales,
    guint sizes, int out[4], double scale[4], GError **error)
{
  double given[4] = {1, 1, 1, 1}, wanted[4];
  int n_scales, n_sizes = 0;
  Axes axes;

  wanted[0] = x->dims[0] * (double) onnx->batch;
  for (int i = 1; i < 4; i++)
    wanted[i] = x->dims[i];
  if (!read_axes (node, &axes, error) ||
      !(engine_onnx_attribute (node, "scales")
              ? read_scales_attribute (node, given, &n_scales, error)
              : read_numbers (onnx, node, scales, &axes, given, &n_scales, error)) ||
      (sizes && !read_numbers (onnx, node, sizes, &axes, wanted, &n_sizes, error)))
    return FALSE;
  if (!n_scales == !n_sizes)
    return ENGINE_ONNX_REFUSE ("either scales or sizes are needed");
  for (int i = 0; i < 4; i++) {
    const double in = i == 0 ? x->dims[0] * (double) onnx->batch : x->dims[i];
    const double size = n_sizes ? wanted[i] : floor (in * given[i]);

    if (!(size >= 1 && size <= 65535))
      return ENGINE_ONNX_REFUSE ("axis %d becomes %g pixels", i, size);
    if (i < 2 && size != in)
      return ENGINE_ONNX_UNSUPPORTED ("it resizes axis %d; height and width can be done", i);
    out[i] = size;
    scale[i] = n_sizes ? size / in : given[i];
  }
  return TRUE;
}

static gboolean
resize (EngineOnnx *onnx, const EngineOnnxNode *node, const Filter *filter, guint scales,
    guint sizes, GError **error)
{
  EngineOnnxValue *x = engine_onnx_activation (onnx, node, 0, error);
  double scale[4];
  int out[4], value;

  if (!x)
    return FALSE;
  if (x->rank != 4)
    return ENGINE_ONNX_UNSUPPORTED ("the input has %d axes; 4 can be done", x->rank);
  if (!read_target (onnx, node, x, scales, sizes, out, scale, error))
    return FALSE;
  if (out[2] == x->dims[2] && out[3] == x->dims[3])
    return engine_onnx_define_alias (onnx, node, x);
  value = engine_onnx_stored (onnx, node, x, ENGINE_ONNX_CHANNELS_LAST, error);
  for (int axis = 1; axis <= 2 && value != ENGINE_NONE; axis++)
    value = resize_axis (onnx, node, filter, value, axis, out[axis + 1], scale[axis + 1], error);
  if (value == ENGINE_NONE)
    return FALSE;
  engine_graph_rename (onnx->graph, value, node->proto->output[0]);
  return engine_onnx_define (onnx, node, 0, value, ENGINE_ONNX_CHANNELS_LAST);
}

static gboolean
check_word (const EngineOnnxNode *node, const char *what, const char *word,
    const char *const *possible, GError **error)
{
  return g_strv_contains (possible, word) ||
         ENGINE_ONNX_UNSUPPORTED ("%s \"%.32s\" cannot be done", what, word);
}

static const char *const modes[] = {"nearest", "linear", "cubic", NULL};

gboolean
engine_onnx_import_resize (EngineOnnx *onnx, const EngineOnnxNode *node, GError **error)
{
  static const char *const coordinates[] = {"half_pixel", "half_pixel_symmetric",
      "pytorch_half_pixel", "align_corners", "asymmetric", "tf_half_pixel_for_nn", NULL};
  static const char *const roundings[] = {"round_prefer_floor", "round_prefer_ceil", "floor",
      "ceil", NULL};
  static const char *const policies[] = {"stretch", NULL};
  g_autofree char *mode = NULL, *coordinate = NULL, *rounding = NULL, *policy = NULL;
  gint64 exclude, antialias;
  float a;

  if (onnx->opset < 11) /* X, scales: Upsample's meaning */
    return engine_onnx_import_upsample (onnx, node, error);
  if (!engine_onnx_string (node, "mode", "nearest", &mode, error) ||
      !engine_onnx_string (node, "coordinate_transformation_mode", "half_pixel", &coordinate,
          error) ||
      !engine_onnx_string (node, "nearest_mode", "round_prefer_floor", &rounding, error) ||
      !engine_onnx_string (node, "keep_aspect_ratio_policy", "stretch", &policy, error) ||
      !engine_onnx_float (node, "cubic_coeff_a", -0.75f, &a, error) ||
      !engine_onnx_int (node, "exclude_outside", 0, &exclude, error) ||
      !engine_onnx_int (node, "antialias", 0, &antialias, error) ||
      !check_word (node, "mode", mode, modes, error) ||
      !check_word (node, "coordinate_transformation_mode", coordinate, coordinates, error) ||
      !check_word (node, "nearest_mode", rounding, roundings, error) ||
      !check_word (node, "keep_aspect_ratio_policy", policy, policies, error))
    return FALSE;
  if (exclude || antialias)
    return ENGINE_ONNX_UNSUPPORTED ("exclude_outside or antialias");
  return resize (onnx, node, &(Filter){mode, coordinate, rounding, a}, 2, 3, error);
}

gboolean
engine_onnx_import_upsample (EngineOnnx *onnx, const EngineOnnxNode *node, GError **error)
{
  g_autofree char *mode = NULL;

  if (!engine_onnx_string (node, "mode", "nearest", &mode, error) ||
      !check_word (node, "mode", mode, modes, error))
    return FALSE;
  return resize (onnx, node, &(Filter){mode, "asymmetric", "floor", -0.75f}, 1, 0, error);
}
