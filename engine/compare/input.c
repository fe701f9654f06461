/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* compare/input.c: a frame of floats as the input of the engine that is judged. */
#include "engine/compare/private.h"
#include "engine/quant.h"

#include <string.h>

/* A float of the input tensor, and the level that the preprocessor has for the byte behind it. The
 * preprocessor rounds once, from double; rounding the float again might end at a neighbour. */
typedef struct {
  float y;
  gint8 level;
} ByteLevel;

/* Of a channel, by y. Preparing is affine: y tells where its entry is, unless two have the same y. */
typedef struct {
  ByteLevel of[KERNEL_INPUT_DIFFERENCES];
  gsize n;     /* without a mean image 256 */
  float per_y; /* entries; NAN where two have the same y */
} ByteMap;

static int
compare_levels (gconstpointer a, gconstpointer b)
{
  const float x = ((const ByteLevel *) a)->y, y = ((const ByteLevel *) b)->y;

  return (x > y) - (x < y);
}

static void
fill_byte_map (ByteMap *map, const EnginePreprocess *preprocess, int channel,
    const EngineQuant *quant)
{
  const int least = engine_preprocess_least (preprocess);
  gboolean differ = TRUE;

  map->n = (gsize) (256 - least);
  for (int x = least; x < 256; x++) {
    const double y = engine_preprocess_value (preprocess, channel, x);

    map->of[x - least] = (ByteLevel){(float) y, engine_quant_level (quant, y)};
  }
  qsort (map->of, map->n, sizeof (ByteLevel), compare_levels);
  for (gsize i = 1; i < map->n; i++)
    differ = differ && map->of[i].y != map->of[i - 1].y;
  map->per_y = differ ? (float) (map->n - 1) / (map->of[map->n - 1].y - map->of[0].y) : NAN;
}

/* NULL for what no byte gives. */
static const ByteLevel *
find_level (const ByteMap *map, float y)
{
  const ByteLevel key = {y, 0};
  const float at = (y - map->of[0].y) * map->per_y + 0.5f;

  if (at >= 0 && at < (float) map->n && map->of[(gsize) at].y == y)
    return &map->of[(gsize) at];
  return bsearch (&key, map->of, map->n, sizeof key, compare_levels);
}

static void
quantise_input (const EngineComparison *comparison, const EngineQuant *quant, const float *frame,
    gint8 *levels)
{
  const guint channels = comparison->input_channels;
  g_autofree ByteMap *maps = comparison->has_preprocess ? g_new (ByteMap, channels) : NULL;

  for (guint k = 0; k < channels; k++) {
    if (maps)
      fill_byte_map (&maps[k], &comparison->preprocess, (int) k, quant);
    for (gsize i = k; i < comparison->input_elements; i += channels) {
      const ByteLevel *known = maps ? find_level (&maps[k], frame[i]) : NULL;

      levels[i] = known ? known->level : engine_quant_level (quant, frame[i]);
    }
  }
}

void
engine_comparison_fill (const EngineComparison *comparison, const float *frame)
{
  void *input = engine_exec_input (comparison->judged_exec, 0);
  EngineQuant quant = {0};

  if (engine_input_type (comparison->judged, &quant.scale, &quant.zero) == ENGINE_TYPE_S8)
    quantise_input (comparison, &quant, frame, input);
  else
    memcpy (input, frame, comparison->input_elements * sizeof *frame);
}
