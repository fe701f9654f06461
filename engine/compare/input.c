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

/* Of one channel. */
typedef struct {
  ByteLevel of[KERNEL_INPUT_DIFFERENCES]; /* by y; without a mean image the first 256 */
} ByteMap;

static int
compare_levels (gconstpointer a, gconstpointer b)
{
  const float x = ((const ByteLevel *) a)->y, y = ((const ByteLevel *) b)->y;

  return (x > y) - (x < y);
}

static ByteMap *
make_byte_map (const EnginePreprocess *preprocess, guint channels, const EngineQuant *quant)
{
  ByteMap *map = g_new (ByteMap, channels);
  const int least = engine_preprocess_least (preprocess);

  for (guint k = 0; k < channels; k++) {
    for (int x = least; x < 256; x++) {
      const double y = engine_preprocess_value (preprocess, (int) k, x);

      map[k].of[x - least] = (ByteLevel){(float) y, engine_quant_level (quant, y)};
    }
    qsort (map[k].of, (gsize) (256 - least), sizeof (ByteLevel), compare_levels);
  }
  return map;
}

static void
quantise_input (const EngineComparison *comparison, const EngineQuant *quant, const float *frame,
    gint8 *levels)
{
  const guint channels = comparison->input_channels;
  g_autofree ByteMap *map =
      comparison->has_preprocess ? make_byte_map (&comparison->preprocess, channels, quant) : NULL;
  const gsize n_levels =
      map ? (gsize) (256 - engine_preprocess_least (&comparison->preprocess)) : 0;

  for (gsize i = 0; i < comparison->input_elements; i++) {
    const ByteLevel key = {frame[i], 0};
    const ByteLevel *known =
        map ? bsearch (&key, map[i % channels].of, n_levels, sizeof key, compare_levels) : NULL;

    levels[i] = known ? known->level : engine_quant_level (quant, frame[i]);
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
