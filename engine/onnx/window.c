/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * onnx/window.c: kernel_shape, strides, dilations, pads and auto_pad, which convolutions and pools
 * share. Inputs of rank 3 have a width only.
 */
#include <string.h>

#include "engine/onnx/import.h"

#define MAX_EXTENT 65535

/* One integer for each spatial axis, from .. MAX_EXTENT, into result[2 - n ..]. */
static gboolean
read_extents (const EngineOnnxNode *node, const char *name, int n, int from, const gint64 *values,
    int *result, GError **error)
{
  for (int i = 0; i < n; i++) {
    if (values[i] < from || values[i] > MAX_EXTENT)
      return ENGINE_ONNX_UNSUPPORTED ("%s holds %" G_GINT64_FORMAT "; %d to %d can be done", name,
          values[i], from, MAX_EXTENT);
    result[2 - n + i] = values[i];
  }
  return TRUE;
}

static gboolean
read_attribute (const EngineOnnxNode *node, const char *name, int n, int *result, GError **error)
{
  const gint64 *values;
  int count;

  if (!engine_onnx_ints (node, name, &values, &count, error))
    return FALSE;
  if (count < 0)
    return TRUE;
  if (count != n)
    return ENGINE_ONNX_REFUSE ("%s has %d numbers; the input has %d spatial axes", name, count, n);
  return read_extents (node, name, n, 1, values, result, error);
}

static gboolean
read_kernel (const EngineOnnxNode *node, int n, const int *kernel, EngineOnnxWindow *window,
    GError **error)
{
  if (!kernel && !engine_onnx_attribute (node, "kernel_shape"))
    return ENGINE_ONNX_REFUSE ("kernel_shape is missing");
  if (!read_attribute (node, "kernel_shape", n, window->kernel, error))
    return FALSE;
  if (!kernel)
    return TRUE;
  for (int i = 2 - n; i < 2; i++)
    if (engine_onnx_attribute (node, "kernel_shape") && window->kernel[i] != kernel[i])
      return ENGINE_ONNX_REFUSE ("kernel_shape says %d, the weights %d", window->kernel[i],
          kernel[i]);
  memcpy (window->kernel, kernel, sizeof window->kernel);
  return TRUE;
}

static gboolean
read_pads (const EngineOnnxNode *node, int n, EngineOnnxWindow *window, GError **error)
{
  const gint64 *values;
  int count;

  if (!engine_onnx_ints (node, "pads", &values, &count, error))
    return FALSE;
  if (count < 0)
    return TRUE;
  if (count != 2 * n)
    return ENGINE_ONNX_REFUSE ("pads has %d numbers; %d are needed", count, 2 * n);
  return read_extents (node, "pads", n, 0, values, window->before, error) &&
         read_extents (node, "pads", n, 0, values + n, window->after, error);
}

/* As many outputs as strides fit into the input, the padding split in two. */
static void
pad_same (const EngineOnnxValue *x, int n, gboolean upper, EngineOnnxWindow *window)
{
  for (int i = 2 - n; i < 2; i++) {
    const int in = x->dims[x->rank - 2 + i], stride = window->stride[i];
    const gint64 reach = (gint64) (window->kernel[i] - 1) * window->dilation[i] + 1;
    const gint64 out = (in + (gint64) stride - 1) / stride;
    const gint64 total = MIN (MAX ((out - 1) * stride + reach - in, 0), G_MAXINT);

    window->before[i] = upper ? total / 2 : total - total / 2;
    window->after[i] = total - window->before[i];
  }
}

gboolean
engine_onnx_window (const EngineOnnxNode *node, const EngineOnnxValue *x, const int *kernel,
    EngineOnnxWindow *window, GError **error)
{
  const int n = x->rank - 2;
  g_autofree char *auto_pad = NULL;

  if (n < 1 || n > 2)
    return ENGINE_ONNX_UNSUPPORTED ("the input has %d axes; 3 and 4 can be done", x->rank);
  *window = (EngineOnnxWindow){{1, 1}, {1, 1}, {1, 1}, {0, 0}, {0, 0}};
  if (!read_kernel (node, n, kernel, window, error) ||
      !read_attribute (node, "strides", n, window->stride, error) ||
      !read_attribute (node, "dilations", n, window->dilation, error) ||
      !read_pads (node, n, window, error) ||
      !engine_onnx_string (node, "auto_pad", "NOTSET", &auto_pad, error))
    return FALSE;
  if (strcmp (auto_pad, "NOTSET") == 0 || auto_pad[0] == '\0')
    return TRUE;
  for (int i = 0; i < 2; i++)
    if (window->before[i] || window->after[i])
      return ENGINE_ONNX_REFUSE ("both pads and auto_pad");
  if (strcmp (auto_pad, "SAME_UPPER") == 0 || strcmp (auto_pad, "SAME_LOWER") == 0)
    pad_same (x, n, auto_pad[5] == 'U', window);
  else if (strcmp (auto_pad, "VALID") != 0)
    return ENGINE_ONNX_REFUSE ("auto_pad \"%.32s\" does not exist", auto_pad);
  return TRUE;
}
