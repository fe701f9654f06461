/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * histogram.c: the streaming histogram against its definition, and the property that everything
 * rests on: the state depends on the values only.
 */
#include "tests/calib/common.h"

/* --- Against the definition ----------------------------------------------------------------- */

/* Bin by bin, from the final exponent, in double. */
static void
check_bins (const CalibHistogram *h, const float *x, gsize n)
{
  CalibSummary s;
  guint64 n_zero = 0, n_nonfinite = 0;
  double min = INFINITY, max = -INFINITY;
  g_autofree guint64 *expected = g_new0 (guint64, 2 * CALIB_BINS);

  for (gsize i = 0; i < n; i++) {
    if (!isfinite (x[i])) {
      n_nonfinite++;
      continue;
    }
    n_zero += x[i] == 0;
    min = fmin (min, x[i]);
    max = fmax (max, x[i]);
  }
  if (n_nonfinite == n)
    min = max = 0;

  const double r = fmax (-min, max);
  int exponent = -126;
  while (r >= ldexp (CALIB_BINS, exponent))
    exponent++;
  for (gsize i = 0; i < n; i++)
    if (isfinite (x[i]) && x[i] != 0)
      expected[(x[i] < 0 ? CALIB_BINS : 0) + (int) floor (ldexp (fabs (x[i]), -exponent))]++;

  calib_histogram_summary (h, &s);
  CHECK_INT (s.n, ==, n);
  CHECK_INT (s.n_zero, ==, n_zero);
  CHECK_INT (s.n_nonfinite, ==, n_nonfinite);
  CHECK (s.min == min && s.max == max && !signbit (s.min == 0 ? s.min : 1) &&
         !signbit (s.max == 0 ? s.max : 1));
  CHECK_INT (s.exponent, ==, r > 0 ? exponent : 0);
  CHECK (memcmp (calib_histogram_bins (h, FALSE), expected, CALIB_BINS * sizeof *expected) == 0);
  CHECK (memcmp (calib_histogram_bins (h, TRUE), expected + CALIB_BINS,
             CALIB_BINS * sizeof *expected) == 0);
  for (guint i = 0; i < CALIB_ZERO_CELLS; i++)
    CHECK_INT (h->bins[2 * CALIB_BINS + i], ==, 0);
}

static void
test_bins (void)
{
  for (guint seed = 0; seed < 60; seed++) {
    Random r = {seed};
    const gsize n = random_below (&r, 5000) + 1;
    g_autofree float *x = g_new (float, n);
    const double size = ldexp (1, (int) random_below (&r, 60) - 30);
    for (gsize i = 0; i < n; i++)
      x[i] = seed % 3 == 0   ? random_awkward (&r)
             : seed % 3 == 1 ? (float) (random_normal (&r) * size)
                             : (float) fmax (0, random_normal (&r) * size);
    g_autoptr (CalibHistogram) h = calib_histogram_new (0, 0);
    for (gsize i = 0; i < n;) {
      const gsize batch = random_batch (&r, n - i, 1500);
      calib_histogram_add (h, x + i, batch);
      i += batch;
    }
    check_bins (h, x, n);
  }
}

/* Many blocks at once: zeros before the first exponent, exponents that grow in between, and values that are
 * not finite. */
static void
test_many (void)
{
  for (guint seed = 0; seed < 24; seed++) {
    Random r = {700 + seed};
    const gsize n = 16384 + random_below (&r, 250000);
    const double growth = (double[]){1, 1, 3, 1e-3}[seed % 4];
    double size = ldexp (1, (int) random_below (&r, 40) - 30);
    g_autofree float *x = g_new (float, n);
    g_autoptr (CalibHistogram) h = calib_histogram_new (0, 0);

    for (gsize i = 0; i < n; i++) {
      if (i % 20000 == 0)
        size *= growth;
      x[i] = (float) (size * (seed % 3 ? random_normal (&r) : 1.0));
      if (seed % 5 == 0 && (i < 30000 || x[i] < 0))
        x[i] = i % 2 ? 0.0f : -0.0f;
      if (seed % 6 == 1 && random_below (&r, 3000) == 0)
        x[i] = i % 2 ? NAN : -INFINITY;
    }
    calib_histogram_add (h, x, n);
    check_bins (h, x, n);
  }
}

static void
test_special_values (void)
{
  static const struct {
    const char *what;
    float x[4];
    guint n;
  } cases[] = {
      {"nothing", {0}, 0},
      {"zeros", {0, -0.0f, 0, -0.0f}, 4},
      {"minus zero", {-0.0f}, 1},
      {"NaN", {NAN, NAN}, 2},
      {"infinities", {INFINITY, -INFINITY}, 2},
      {"NaN and zero", {NAN, 0}, 2},
      {"smallest denormal", {0x1p-149f}, 1},
      {"denormals", {0x1p-149f, -0x1p-140f, 0x1.8p-127f, 0}, 4},
      {"smallest normal", {G_MINFLOAT, -G_MINFLOAT}, 2},
      {"largest", {G_MAXFLOAT, -G_MAXFLOAT, 1}, 3},
      {"smallest and largest", {0x1p-149f, G_MAXFLOAT}, 2},
      {"a constant", {1.5f, 1.5f, 1.5f, 1.5f}, 4},
      {"a negative constant", {-3, -3}, 2},
      {"bin edges", {1, 0x1.fffffep-1f, 0x1p-13f, 0x1.fffffep-14f}, 4},
  };
  for (guint c = 0; c < G_N_ELEMENTS (cases); c++) {
    const int before = check_failures_in_test;
    g_autoptr (CalibHistogram) h = calib_histogram_new (0, 0);
    calib_histogram_add (h, cases[c].x, cases[c].n);
    check_bins (h, cases[c].x, cases[c].n);
    /* in descending order too: the exponent does not grow then */
    g_autoptr (CalibHistogram) reverse = calib_histogram_new (0, 0);
    for (guint i = cases[c].n; i-- > 0;)
      calib_histogram_add (reverse, &cases[c].x[i], 1);
    check_bins (reverse, cases[c].x, cases[c].n);
    if (check_failures_in_test != before)
      printf ("the case was: %s\n", cases[c].what);
  }
}

/* --- The property --------------------------------------------------------------------------- */

typedef struct {
  CalibHistogram *h;
  const float *x;
  const guint *rows; /* which rows, in which order */
  guint n_rows, channels;
  guint64 seed;
} Worker;

static gpointer
work (gpointer data)
{
  Worker *w = data;
  Random r = {w->seed};
  g_autofree float *batch = g_new (float, (gsize) w->n_rows * w->channels + 1);
  for (guint i = 0; i < w->n_rows;) {
    const guint n = random_batch (&r, w->n_rows - i, 200);
    for (guint k = 0; k < n; k++)
      memcpy (batch + (gsize) k * w->channels, w->x + (gsize) w->rows[i + k] * w->channels,
          w->channels * sizeof *batch);
    calib_histogram_add (w->h, batch, (gsize) n * w->channels);
    i += n;
  }
  return NULL;
}

/* Rows in a random order, split over threads at random, in random batches, merged as a random tree.
 */
static GBytes *
scrambled_state (const float *x, guint n_rows, guint channels, Random *r)
{
  const guint n_threads = 1 + random_below (r, 6);
  g_autofree guint *rows = g_new (guint, n_rows + 1);
  g_autofree Worker *workers = g_new0 (Worker, n_threads);
  g_autofree GThread **threads = g_new (GThread *, n_threads);

  for (guint i = 0; i < n_rows; i++) {
    const guint k = random_below (r, i + 1);
    rows[i] = rows[k];
    rows[k] = i;
  }
  for (guint t = 0, begin = 0; t < n_threads; t++) {
    const guint left = n_rows - begin;
    const guint n = t + 1 == n_threads ? left : random_below (r, left + 1);
    workers[t] =
        (Worker){calib_histogram_new (channels, 0), x, rows + begin, n, channels, random_bits (r)};
    threads[t] = g_thread_new ("add", work, &workers[t]);
    begin += n;
  }
  for (guint t = 0; t < n_threads; t++)
    g_thread_join (threads[t]);

  for (guint left = n_threads; left > 1; left--) {
    const guint a = random_below (r, left);
    guint b = random_below (r, left - 1);
    b += b >= a;
    CHECK (calib_histogram_merge (workers[a].h, workers[b].h, NULL));
    calib_histogram_free (workers[b].h);
    workers[b].h = workers[left - 1].h; /* which may be a's */
  }
  GBytes *state = state_of (workers[0].h);
  calib_histogram_free (workers[0].h);
  return state;
}

static void
test_order_does_not_matter (void)
{
  for (guint seed = 0; seed < 100; seed++) {
    Random r = {1000 + seed};
    const guint channels = (guint[]){1, 2, 3, 7, 64, 1500}[random_below (&r, 6)];
    const guint n_rows = random_below (&r, 20000 / channels) + 1;
    const gsize n = (gsize) n_rows * channels;
    g_autofree float *x = g_new (float, n);
    const double size = ldexp (1, (int) random_below (&r, 40) - 20);
    for (gsize i = 0; i < n; i++)
      x[i] = seed % 4 == 0 || random_below (&r, 500) == 0
                 ? random_awkward (&r)
                 : (float) (random_normal (&r) * size * (seed % 2 ? fabs (random_normal (&r)) : 1));
    if (seed % 4 == 1)
      for (gsize i = 0; i < n; i++)
        x[i] = fmaxf (x[i], 0);

    g_autoptr (CalibHistogram) h = calib_histogram_new (channels, 0);
    calib_histogram_add (h, x, n);
    check_bins (h, x, n);
    g_autoptr (GBytes) expected = state_of (h);
    for (guint k = 0; k < 3; k++) {
      g_autoptr (GBytes) got = scrambled_state (x, n_rows, channels, &r);
      if (!g_bytes_equal (expected, got))
        CHECK_FAIL ("seed %u: the state depends on the order", seed);
    }
  }
}

static void
test_merge (void)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (CalibHistogram) empty = calib_histogram_new (2, 0);
  g_autoptr (CalibHistogram) one = calib_histogram_new (2, 0);
  g_autoptr (CalibHistogram) other = calib_histogram_new (3, 0);
  const float x[] = {1, -2, 300, NAN};
  calib_histogram_add (one, x, 4);

  g_autoptr (GBytes) before = state_of (one);
  CHECK_OK (calib_histogram_merge (one, empty, &error), error);
  g_autoptr (GBytes) after = state_of (one);
  CHECK (g_bytes_equal (before, after));
  CHECK (!calib_histogram_merge (one, other, &error));
  CHECK_ERROR (error, CALIB_ERROR, CALIB_ERROR_MISMATCH, "channels");

  /* the extrema of values of one sign are not 0, which an empty histogram shows */
  for (int sign = -1; sign <= 1; sign += 2) {
    g_autoptr (CalibHistogram) first = calib_histogram_new (0, 0);
    g_autoptr (CalibHistogram) values = calib_histogram_new (0, 0);
    calib_histogram_add (values, (const float[]){(float) sign, (float) sign * 2}, 2);
    CHECK_OK (calib_histogram_merge (first, values, &error), error);
    CHECK (first->min == values->min && first->max == values->max && first->min * first->max > 0);
  }

  /* with itself: everything twice */
  CHECK_OK (calib_histogram_merge (one, one, &error), error);
  g_autoptr (CalibHistogram) twice = calib_histogram_new (2, 0);
  calib_histogram_add (twice, x, 4);
  calib_histogram_add (twice, x, 4);
  g_autoptr (GBytes) self = state_of (one), expected = state_of (twice);
  CHECK (g_bytes_equal (self, expected));

  empty->n = empty->n_nonfinite = G_MAXUINT64 - 7;
  CHECK (!calib_histogram_merge (one, empty, &error));
  CHECK_ERROR (error, CALIB_ERROR, CALIB_ERROR_FORMAT, "2^64");
  g_autoptr (GBytes) unchanged = state_of (one);
  CHECK (g_bytes_equal (self, unchanged));
}

/* --- Sums ----------------------------------------------------------------------------------- */

static void
test_channel_sums (void)
{
  for (guint seed = 0; seed < 40; seed++) {
    Random r = {50 + seed};
    const guint channels = (guint[]){1, 3, 16, 1100}[seed % 4];
    const guint n_rows = 1 + random_below (&r, 60000 / channels);
    const double size = (double[]){1e-9, 0.3, 900, 1e5, 1e9}[seed % 5];
    g_autofree float *x = g_new (float, (gsize) n_rows *channels);
    g_autofree CalibSum *sums = g_new0 (CalibSum, channels);
    gboolean clamped = FALSE;
    for (guint i = 0; i < n_rows * channels; i++) {
      x[i] = (float) (size * (random_unit (&r) + (seed % 3 ? -0.5 : 0)));
      if (i % 7 == 0) /* half units: a tie */
        x[i] = (float) ldexp (2 * (int) random_below (&r, 1000) - 999, -41);
      clamped |= fabsf (x[i]) >= 0x1p21f;
      sums[i % channels] += (gint64) rint (ldexp (CLAMP (x[i], -0x1p21, 0x1p21), 40));
    }
    g_autoptr (CalibHistogram) h = calib_histogram_new (channels, 0);
    for (guint row = 0; row < n_rows;) {
      const guint n = random_batch (&r, n_rows - row, n_rows);
      calib_histogram_add (h, x + (gsize) row * channels, (gsize) n * channels);
      row += n;
    }
    for (guint c = 0; c < channels; c++) {
      CHECK (calib_histogram_sum (h, c) == sums[c]);
      const double mean = calib_histogram_channel_mean (h, c);
      CHECK (clamped ? isnan (mean) : mean == (double) sums[c] * 0x1p-40 / n_rows);
    }
  }
}

static void
test_channel_means (void)
{
  const float x[] = {1, -2, 0, 2, NAN, 0, 3, 7, -INFINITY, 0.1f, 0.2f, 0.3f};
  g_autoptr (CalibHistogram) h = calib_histogram_new (3, 0);
  CHECK (isnan (calib_histogram_channel_mean (h, 0)));
  calib_histogram_add (h, x, 9);
  CHECK (calib_histogram_channel_mean (h, 0) == 2);
  CHECK (calib_histogram_channel_mean (h, 1) == 2.5); /* without the NaN */
  CHECK (calib_histogram_channel_mean (h, 2) == 0);
  CHECK (isnan (calib_histogram_channel_mean (h, 3)));

  g_autoptr (CalibHistogram) none = calib_histogram_new (0, 0);
  calib_histogram_add (none, x, 3);
  CHECK (isnan (calib_histogram_channel_mean (none, 0)));

  /* a channel of which nothing finite was seen */
  g_autoptr (CalibHistogram) nan = calib_histogram_new (2, 0);
  calib_histogram_add (nan, (const float[]){NAN, 1, INFINITY, 2}, 4);
  CHECK (isnan (calib_histogram_channel_mean (nan, 0)));
  CHECK (calib_histogram_channel_mean (nan, 1) == 1.5);
}

/* --- Memory --------------------------------------------------------------------------------- */

static void
test_memory (void)
{
  const gsize limit = 300 * 1024;
  g_autoptr (CalibHistogram) plain = calib_histogram_new (2048, 0);
  g_autoptr (CalibHistogram) trt = calib_histogram_new (1536, CALIB_HISTOGRAM_TENSORRT);
  g_autofree float *x = g_new (float, 6144);
  Random r = {3};

  for (guint frame = 0; frame < 50; frame++) {
    for (guint i = 0; i < 6144; i++)
      x[i] = (float) (random_normal (&r) * (frame + 1));
    calib_histogram_add (plain, x, 6144);
    calib_histogram_add (trt, x, 6144);
  }
  CHECK_INT (calib_histogram_memory (plain), <=, limit);
  CHECK_INT (calib_histogram_memory (trt), <=, limit);
  /* what is counted is what is allocated */
  CHECK_INT (calib_histogram_memory (plain), ==, sizeof *plain + 16 * 2048);
  CHECK_INT (calib_histogram_memory (trt), ==, sizeof *trt + 16 * 1536 + sizeof *trt->trt);
}

/* --- TensorRT's histogram ------------------------------------------------------------------- */

/* The pseudo-code of docs/CALIBRATION.md, a value at a time. */
static void
trt_add (float *range, guint64 *bins, const float *x, gsize n)
{
  float max = 0;
  for (gsize i = 0; i < n; i++)
    max = isfinite (x[i]) ? fmaxf (max, fabsf (x[i])) : max;
  if (*range == 0)
    *range = max;
  for (; max > *range; *range *= 2)
    for (guint b = 0; b < 2048; b++)
      bins[b] = b < 1024 ? bins[2 * b] + bins[2 * b + 1] : 0;
  for (gsize i = 0; i < n; i++) {
    const float scale = 2048.0f / *range;
    const float position = fabsf (x[i]) * scale;
    if (isfinite (x[i]))
      bins[x[i] == 0 ? 0 : (int) fminf (2047, truncf (position))]++;
  }
}

static void
test_trt_bins (void)
{
  for (guint seed = 0; seed < 40; seed++) {
    Random r = {9000 + seed};
    g_autoptr (CalibHistogram) h = calib_histogram_new (0, CALIB_HISTOGRAM_TENSORRT);
    g_autofree guint64 *bins = g_new0 (guint64, 2048);
    float range = 0;
    for (guint batch = 0; batch < 8; batch++) {
      float x[1000];
      const double size = exp (random_normal (&r) * 2);
      for (guint i = 0; i < 1000; i++)
        x[i] = batch == 0 && seed % 4 == 0 ? 0
               : seed % 5 == 0 && i == 7   ? NAN
                                           : (float) (random_normal (&r) * size);
      calib_histogram_add (h, x, 1000);
      trt_add (&range, bins, x, 1000);
    }
    CHECK (h->trt->range == range);
    CHECK (memcmp (h->trt->bins, bins, 2048 * sizeof *bins) == 0);
  }
}

/* Where 2048 / R or the doubled range leaves float32. */
static void
test_trt_extremes (void)
{
  g_autoptr (CalibHistogram) tiny = calib_histogram_new (0, CALIB_HISTOGRAM_TENSORRT);
  calib_histogram_add (tiny, (const float[]){0x1p-149f, 0, NAN, 0x1p-140f}, 4);
  CHECK_INT (tiny->trt->bins[0], ==, 1);
  CHECK_INT (tiny->trt->bins[2047], ==, 2);

  g_autoptr (CalibHistogram) huge = calib_histogram_new (0, CALIB_HISTOGRAM_TENSORRT);
  calib_histogram_add (huge, (const float[]){2e38f}, 1);
  calib_histogram_add (huge, (const float[]){G_MAXFLOAT}, 1);
  CHECK (huge->trt->range == 2 * (double) 2e38f);
  CHECK_INT (huge->trt->bins[1023], ==, 1);
  CHECK_INT (huge->trt->bins[1742], ==, 1);

  /* merging drops it */
  CHECK (calib_histogram_merge (huge, tiny, NULL));
  CHECK (huge->trt == NULL);
}

/* Once more with what every CPU has: above, bins may be found by AVX-512. */
static void
test_portable (void)
{
  calib_set_portable (TRUE);
  test_bins ();
  test_many ();
  test_special_values ();
  test_order_does_not_matter ();
  test_channel_sums ();
  test_channel_means ();
  calib_set_portable (FALSE);
}

int
main (void)
{
  RUN (test_bins);
  RUN (test_many);
  RUN (test_special_values);
  RUN (test_order_does_not_matter);
  RUN (test_portable);
  RUN (test_merge);
  RUN (test_channel_sums);
  RUN (test_channel_means);
  RUN (test_memory);
  RUN (test_trt_bins);
  RUN (test_trt_extremes);
  return check_done ();
}
