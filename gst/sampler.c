/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* sampler.c: see sampler.h. */
#include "gst/sampler.h"

#include <math.h>

#define GRID GST_INT8_SIGNATURE_GRID

/* --- Signatures ------------------------------------------------------------------------------ */

static float
mean_of_cell (const float *tensor, int width, int channels, int y0, int y1, int x0, int x1)
{
  double sum = 0;

  for (int y = y0; y < y1; y++)
    for (int x = x0; x < x1; x++)
      sum += tensor[((gsize) y * width + x) * channels];
  return (float) (sum / ((y1 - y0) * (x1 - x0)));
}

void
gst_int8_signature_make (GstInt8Signature *signature, const float *tensor, int height, int width,
    int channels)
{
  const int rows = MIN (GRID, height), columns = MIN (GRID, width);

  g_return_if_fail (channels >= 1 && channels <= 4);

  signature->n = 0;
  for (int r = 0; r < rows; r++)
    for (int c = 0; c < columns; c++)
      for (int k = 0; k < channels; k++)
        signature->x[signature->n++] = mean_of_cell (tensor + k, width, channels, r * height / rows,
            (r + 1) * height / rows, c * width / columns, (c + 1) * width / columns);
}

/* --- Which frames ---------------------------------------------------------------------------- */

void
gst_int8_sampler_init (GstInt8Sampler *sampler, const GstInt8SamplerSettings *settings)
{
  *sampler = (GstInt8Sampler){.settings = *settings, .last_time = GST_CLOCK_TIME_NONE};
}

static gboolean
is_too_early (const GstInt8Sampler *sampler, GstClockTime time)
{
  const GstClockTime last = sampler->last_time, gap = sampler->settings.min_gap;

  if (gap == 0 || !GST_CLOCK_TIME_IS_VALID (time) || !GST_CLOCK_TIME_IS_VALID (last))
    return FALSE;
  /* Time that runs backwards is a seek. */
  return time >= last && time - last < gap;
}

gboolean
gst_int8_sampler_is_wanted (GstInt8Sampler *sampler, GstClockTime time)
{
  if (sampler->counts.seen++ % sampler->settings.interval != 0) {
    sampler->counts.interval++;
    return FALSE;
  }
  if (is_too_early (sampler, time)) {
    sampler->counts.gap++;
    return FALSE;
  }
  return TRUE;
}

gboolean
gst_int8_sampler_is_new (GstInt8Sampler *sampler, const GstInt8Signature *scene)
{
  const GstInt8Signature *last = &sampler->last_scene;
  double difference = 0;

  if (last->n != scene->n)
    return TRUE;
  for (guint i = 0; i < scene->n; i++)
    difference += fabs ((double) scene->x[i] - last->x[i]);
  if (difference > sampler->settings.scene_change * sampler->settings.range * scene->n)
    return TRUE;
  sampler->counts.similar++;
  return FALSE;
}

void
gst_int8_sampler_take (GstInt8Sampler *sampler, GstClockTime time, const GstInt8Signature *scene)
{
  sampler->last_time = time;
  if (scene)
    sampler->last_scene = *scene;
}

/* --- How many different ones ----------------------------------------------------------------- */

void
gst_int8_sampler_count (GstInt8Sampler *sampler, const GstInt8Signature *tensor)
{
  sampler->counts.taken++;
  if (sampler->n++ == 0)
    sampler->first = *tensor;
  for (guint i = 0; i < tensor->n; i++) {
    const double x = (double) tensor->x[i] - sampler->first.x[i];

    sampler->sum[i] += x;
    sampler->squares += x * x;
    if (sampler->n > 1)
      sampler->products += x * ((double) sampler->previous.x[i] - sampler->first.x[i]);
  }
  sampler->previous = *tensor;
}

double
gst_int8_sampler_effective (const GstInt8Sampler *sampler)
{
  const double n = (double) sampler->n;
  double mean_squared = 0, variance, covariance, r;

  if (sampler->n < 2)
    return n;
  for (guint i = 0; i < sampler->first.n; i++)
    mean_squared += sampler->sum[i] / n * (sampler->sum[i] / n);
  variance = sampler->squares / n - mean_squared;
  covariance = sampler->products / (n - 1) - mean_squared;
  /* All the same, but for what rounding leaves. */
  if (variance <= 1e-12 * sampler->squares / n)
    return 1;
  r = CLAMP (covariance / variance, 0, 1);
  return MAX (1, n * (1 - r) / (1 + r));
}
