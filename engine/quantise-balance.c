/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * quantise-balance.c: which weights are rounded the other way, so that rounding errors cancel where they add up.
 *
 * What an activation and its neighbours share, and what the channels of a bright picture share, meets the sum of a
 * filter's rounding errors: over the taps of a channel, and over all. Rounded one by one, n of them add up to
 * sqrt (n / 12) levels. Here, of those that were nearly half a level off, as many go to the next level as
 * bring every channel's sum within half a level, and then the filter's (the idea of Guo et al., "SQuant: On-the-Fly
 * Data-Free Quantization via Diagonal Hessian Approximation", 2022). No data is needed.
 */
#include "engine/quantise.h"

#include <math.h>

/* The largest errors are told apart to 1 / 256 of a level; of equals the first is taken. */
#define BUCKETS 256

typedef struct {
  int taps, channels; /* levels: channels of the first tap, of the second ... */
  gint8 *levels;
  double *errors; /* a level less what was to be rounded */
  double *keys;   /* of taps or channels: how far each is off in one direction */
  int *chosen;    /* taps or channels */
} Filter;

static int
bucket_of (double key)
{
  return key > 0 ? MIN ((int) (key * BUCKETS), BUCKETS - 1) : -1;
}

/* Into chosen: the n of the largest keys above 0. Returns how many there are. */
static int
choose (Filter *f, int n_keys, int n)
{
  int counts[BUCKETS] = {0}, last = BUCKETS, above = 0, n_chosen = 0;

  for (int i = 0; i < n_keys; i++)
    if (bucket_of (f->keys[i]) >= 0)
      counts[bucket_of (f->keys[i])]++;
  while (last > 0 && above + counts[last - 1] <= n)
    above += counts[--last];
  int of_next = n - above; /* of the bucket below */
  for (int i = 0; i < n_keys; i++) {
    const int bucket = bucket_of (f->keys[i]);

    if (bucket >= last || (bucket >= 0 && bucket == last - 1 && of_next-- > 0))
      f->chosen[n_chosen++] = i;
  }
  return n_chosen;
}

/* Errors that are no numbers, as of weights that are none, are left alone. */
static int
moves_for (double sum)
{
  return isfinite (sum) ? (int) rint (fabs (sum)) : 0;
}

/* A level that is off in a direction is no last one: it can go back. */
static void
move (Filter *f, int at, int direction)
{
  f->levels[at] = (gint8) (f->levels[at] - direction);
  f->errors[at] -= direction;
}

/* Returns the sum that is left. */
static double
balance_channel (Filter *f, int channel)
{
  double sum = 0;

  for (int t = 0; t < f->taps; t++)
    sum += f->errors[t * f->channels + channel];
  const int direction = sum > 0 ? 1 : -1, n = moves_for (sum);
  if (n == 0)
    return sum;
  for (int t = 0; t < f->taps; t++)
    f->keys[t] = direction * f->errors[t * f->channels + channel];
  const int n_chosen = choose (f, f->taps, n);
  for (int i = 0; i < n_chosen; i++)
    move (f, f->chosen[i] * f->channels + channel, direction);
  return sum - direction * n_chosen;
}

static void
move_in_channel (Filter *f, int channel, int direction)
{
  int worst = channel;

  for (int t = 1; t < f->taps; t++)
    if (direction * f->errors[t * f->channels + channel] > direction * f->errors[worst])
      worst = t * f->channels + channel;
  move (f, worst, direction);
}

static void
balance (Filter *f)
{
  double sum = 0;

  for (int c = 0; c < f->channels; c++)
    sum += f->keys[c];
  const int direction = sum > 0 ? 1 : -1, n = moves_for (sum);
  if (n == 0)
    return;
  for (int c = 0; c < f->channels; c++)
    f->keys[c] *= direction;
  const int n_chosen = choose (f, f->channels, n);
  for (int i = 0; i < n_chosen; i++)
    move_in_channel (f, f->chosen[i], direction);
}

void
engine_quantise_balance (const float *w, double scale, int taps, int channels, gint8 *levels)
{
  const gsize n = (gsize) taps * channels;
  g_autofree double *errors = g_new (double, n), *keys = g_new (double, MAX (taps, channels));
  g_autofree double *sums = g_new (double, channels);
  g_autofree int *chosen = g_new (int, MAX (taps, channels));
  Filter f = {taps, channels, levels, errors, keys, chosen};

  for (gsize i = 0; i < n; i++)
    errors[i] = levels[i] - w[i] / scale;
  for (int c = 0; c < channels; c++)
    sums[c] = balance_channel (&f, c);
  f.keys = sums;
  balance (&f);
}
