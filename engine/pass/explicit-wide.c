/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * pass/explicit-wide.c: weights of a quantised model that int8 does not hold: uint8 with a zero point other
 * than 128 has levels from -255 to 255. Such a level is the sum of two or three that int8 holds, and the
 * layer reads what it multiplies as often: sums of integers, so nothing is rounded anew.
 *
 * Few weights of a layer are that large, in few channels. These come once more behind the others. A layer
 * with groups (depthwise), whose channels would not stay neighbours, gets every line of its image twice
 * instead, and a stride of twice as many lines; so does one of few channels, where lines are moved faster.
 */
#include "engine/explicit.h"
#include "engine/quantise.h"
#include "engine/rewrite.h"

#include <string.h>

/* Levels of the largest distance from their zero point, and the parts that 255 takes. */
#define MOST       255
#define MOST_PARTS 3
/* Channels come in such blocks, where the layer's do: kernels are fastest with multiples of 16. */
#define BLOCK 16

static int
part_of (int level, int part)
{
  for (; part > 0; part--)
    level -= CLAMP (level, -128, 127);
  return CLAMP (level, -128, 127);
}

/* --- Levels --------------------------------------------------------------------------------- */

typedef struct {
  int oc, taps, channels; /* weights [oc][taps][channels] */
  int parts;              /* of the level that has most */
  gint16 *levels;
} Filters;

static void
filters_clear (Filters *filters)
{
  g_free (filters->levels);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Filters, filters_clear)

/* FALSE where a weight is no level: its filter will be quantised anew. */
static gboolean
read_levels (const EngineValue *weights, Filters *f)
{
  const float *w = g_bytes_get_data (weights->data, NULL);
  const float *scales = g_bytes_get_data (weights->scales, NULL);
  const gsize size = engine_value_elements (weights);

  f->oc = weights->dims[0];
  f->taps = weights->dims[1] * weights->dims[2];
  f->channels = weights->dims[3];
  f->parts = 1;
  f->levels = g_new (gint16, size);
  for (gsize i = 0; i < size; i++) {
    int level;

    if (!engine_quantise_own_level (w[i], scales[i / (size / f->oc)], &level) || ABS (level) > MOST)
      return FALSE;
    f->levels[i] = level;
    while (f->parts < MOST_PARTS && part_of (level, f->parts) != 0)
      f->parts++;
  }
  return TRUE;
}

static int
level_at (const Filters *f, int k, int tap, int channel)
{
  return f->levels[((gsize) k * f->taps + tap) * f->channels + channel];
}

static gboolean
needs (const Filters *f, int channel, int part)
{
  for (int k = 0; k < f->oc; k++)
    for (int tap = 0; tap < f->taps; tap++)
      if (part_of (level_at (f, k, tap, channel), part) != 0)
        return TRUE;
  return FALSE;
}

/* --- Nodes ---------------------------------------------------------------------------------- */

/* The int8 output of a node that only moves `like`; ENGINE_NONE on error. */
static int
moved (EngineGraph *graph, EngineNode *node, int like, GError **error)
{
  const int output = node->output;

  if (!engine_graph_infer_shape (graph, node, error))
    return ENGINE_NONE;
  engine_graph_value (graph, output)->type = ENGINE_TYPE_S8;
  engine_graph_value (graph, output)->quant = engine_graph_value (graph, like)->quant;
  return output;
}

static int
add_slice (EngineGraph *graph, const char *name, int x, int start, int size, GError **error)
{
  EngineNode *node = engine_graph_add_node (graph, ENGINE_OP_SLICE, name, &x, 1, name);

  node->slice.axis = engine_graph_value (graph, x)->rank - 1;
  node->slice.start = start;
  node->slice.size = size;
  return moved (graph, node, x, error);
}

static int
add_concat (EngineGraph *graph, const char *name, const int *inputs, int n, int axis,
    GError **error)
{
  EngineNode *node = engine_graph_add_node (graph, ENGINE_OP_CONCAT, name, inputs, n, name);

  node->concat.axis = axis;
  return moved (graph, node, inputs[0], error);
}

static int
add_reshape (EngineGraph *graph, const char *name, int x, int rank, const int *dims, GError **error)
{
  EngineNode *node = engine_graph_add_node (graph, ENGINE_OP_RESHAPE, name, &x, 1, name);
  EngineValue *y = engine_graph_value (graph, node->output);

  y->rank = rank;
  memcpy (y->dims, dims, rank * sizeof *dims);
  return moved (graph, node, x, error);
}

/* The convolution reads x, with weights [oc][kh][kw][channels], which are taken. */
static void
read_instead (EngineGraph *graph, int conv, int x, int kh, int channels, float *w)
{
  const int from = engine_graph_node (graph, conv)->inputs[ENGINE_CONV_W];
  const EngineValue *weights = engine_graph_value (graph, from);
  const int dims[4] = {weights->dims[0], kh, weights->dims[2], channels};
  const int to = engine_rewrite_constant (graph, weights->name, 4, dims, w);

  engine_rewrite_keep_scales (graph, from, to, NULL);
  engine_graph_node (graph, conv)->inputs[ENGINE_CONV_X] = x;
  engine_graph_node (graph, conv)->inputs[ENGINE_CONV_W] = to;
}

/* --- Channels ------------------------------------------------------------------------------- */

/* A run of channels that is multiplied by one part of the levels. */
typedef struct {
  int start, size, part;
} Run;

static int
block_of (int channels)
{
  int block = BLOCK;

  while (channels % block != 0)
    block /= 2;
  return block;
}

/* All channels, and behind them those that are needed again. */
static GArray *
find_runs (const Filters *f, int *channels)
{
  const int block = block_of (f->channels);
  GArray *runs = g_array_new (FALSE, FALSE, sizeof (Run));
  Run run = {0, f->channels, 0};

  g_array_append_val (runs, run);
  *channels = f->channels;
  for (int part = 1; part < f->parts; part++)
    for (int start = 0; start < f->channels; start += block) {
      Run *last = &g_array_index (runs, Run, runs->len - 1);
      gboolean needed = FALSE;

      for (int c = start; c < start + block; c++)
        needed |= needs (f, c, part);
      if (!needed)
        continue;
      run = (Run){start, block, part};
      if (last->part == part && last->start + last->size == start)
        last->size += block;
      else
        g_array_append_val (runs, run);
      *channels += block;
    }
  return runs;
}

static float *
weights_of_runs (const Filters *f, const float *scales, const GArray *runs, int channels)
{
  float *w = g_new (float, (gsize) f->oc * f->taps * channels), *to = w;

  for (int k = 0; k < f->oc; k++)
    for (int tap = 0; tap < f->taps; tap++)
      for (guint r = 0; r < runs->len; r++) {
        const Run *run = &g_array_index (runs, Run, r);

        for (int c = run->start; c < run->start + run->size; c++)
          *to++ = part_of (level_at (f, k, tap, c), run->part) * scales[k];
      }
  return w;
}

static gboolean
repeat_channels (EngineGraph *graph, int conv, const Filters *f, GError **error)
{
  const EngineNode *node = engine_graph_node (graph, conv);
  const EngineValue *weights = engine_graph_value (graph, node->inputs[ENGINE_CONV_W]);
  const int x = node->inputs[ENGINE_CONV_X], rank = engine_graph_value (graph, x)->rank;
  const int kh = weights->dims[1];
  const float *scales = g_bytes_get_data (weights->scales, NULL);
  g_autofree char *name = g_strdup_printf ("%s (input)", node->name);
  int channels, repeated;
  g_autoptr (GArray) runs = find_runs (f, &channels);
  g_autofree int *inputs = g_new (int, runs->len);

  if ((gint64) f->taps * channels > ENGINE_MAX_ACCUMULATED)
    return TRUE;
  inputs[0] = x;
  for (guint r = 1; r < runs->len; r++) {
    const Run *run = &g_array_index (runs, Run, r);

    inputs[r] =
        run->size == f->channels ? x : add_slice (graph, name, x, run->start, run->size, error);
    if (inputs[r] == ENGINE_NONE)
      return FALSE;
  }
  repeated = add_concat (graph, name, inputs, runs->len, rank - 1, error);
  if (repeated == ENGINE_NONE)
    return FALSE;
  read_instead (graph, conv, repeated, kh, channels, weights_of_runs (f, scales, runs, channels));
  return TRUE;
}

/* --- Lines ---------------------------------------------------------------------------------- */

/* [oc][kh][parts][kw][channels] */
static float *
weights_of_parts (const Filters *f, const float *scales, int kh)
{
  const gsize line = (gsize) f->taps / kh * f->channels, size = line * kh * f->oc;
  float *w = g_new (float, size * f->parts), *to = w;

  for (int k = 0; k < f->oc; k++)
    for (int h = 0; h < kh; h++)
      for (int part = 0; part < f->parts; part++)
        for (gsize i = 0; i < line; i++)
          *to++ = part_of (f->levels[((gsize) k * kh + h) * line + i], part) * scales[k];
  return w;
}

static gboolean
repeat_lines (EngineGraph *graph, int conv, const Filters *f, GError **error)
{
  const EngineNode *node = engine_graph_node (graph, conv);
  const EngineValue *weights = engine_graph_value (graph, node->inputs[ENGINE_CONV_W]);
  const EngineValue *image = engine_graph_value (graph, node->inputs[ENGINE_CONV_X]);
  const int kh = weights->dims[1], *d = image->dims;
  const int lines[5] = {d[0], d[1], 1, d[2], d[3]};
  const int all_lines[4] = {d[0], d[1] * f->parts, d[2], d[3]};
  g_autofree char *name = g_strdup_printf ("%s (input)", node->name);
  int x = node->inputs[ENGINE_CONV_X], inputs[MOST_PARTS];
  EngineConvParams *p;

  if ((gint64) f->taps * f->parts * f->channels > ENGINE_MAX_ACCUMULATED)
    return TRUE;
  x = add_reshape (graph, name, x, 5, lines, error);
  for (int part = 0; part < f->parts; part++)
    inputs[part] = x;
  if (x != ENGINE_NONE)
    x = add_concat (graph, name, inputs, f->parts, 2, error);
  if (x != ENGINE_NONE)
    x = add_reshape (graph, name, x, 4, all_lines, error);
  if (x == ENGINE_NONE)
    return FALSE;
  weights = engine_graph_value (graph, engine_graph_node (graph, conv)->inputs[ENGINE_CONV_W]);
  read_instead (graph, conv, x, kh * f->parts, f->channels,
      weights_of_parts (f, g_bytes_get_data (weights->scales, NULL), kh));
  p = &engine_graph_node (graph, conv)->conv;
  p->dilation_h = 1;
  p->stride_h *= f->parts;
  p->pad_top *= f->parts;
  p->pad_bottom *= f->parts;
  return TRUE;
}

/* --- The pass ------------------------------------------------------------------------------- */

static gboolean
widen (EngineGraph *graph, int conv, const Filters *f, GError **error)
{
  const EngineNode *node = engine_graph_node (graph, conv);
  const EngineValue *x = engine_graph_value (graph, node->inputs[ENGINE_CONV_X]);
  const int kh = engine_graph_value (graph, node->inputs[ENGINE_CONV_W])->dims[1];

  if (x->rank == 4 && (kh == 1 || node->conv.dilation_h == 1) &&
      (node->conv.groups > 1 || f->channels < BLOCK))
    return repeat_lines (graph, conv, f, error);
  return node->conv.groups > 1 || repeat_channels (graph, conv, f, error);
}

gboolean
engine_explicit_widen (EngineGraph *graph, GError **error)
{
  const guint n = graph->nodes->len;

  for (guint i = 0; i < n; i++) {
    const EngineNode *node = engine_graph_node (graph, i);
    g_auto (Filters) filters = {0};
    const EngineValue *weights;

    if (node->op != ENGINE_OP_CONV ||
        engine_graph_value (graph, node->inputs[ENGINE_CONV_X])->type != ENGINE_TYPE_S8)
      continue;
    weights = engine_graph_value (graph, node->inputs[ENGINE_CONV_W]);
    if (!weights->scales || !read_levels (weights, &filters) || filters.parts == 1)
      continue;
    if (!widen (graph, i, &filters, error))
      return FALSE;
  }
  engine_graph_compact (graph);
  return TRUE;
}
