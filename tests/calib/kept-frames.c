/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * kept-frames.c: the sample of frames in the statistics: the k smallest hashes, whatever the order,
 * the split and the merges, and back from a file.
 */
#include "tests/calib/common.h"

/* Frame i of n values; some frames come twice. */
static void
make_frame (float *x, gsize n, guint i)
{
  Random r = {i % 90};
  for (gsize k = 0; k < n; k++)
    x[k] = random_awkward (&r);
}

#define N_FRAMES 120
#define N_VALUES 30

static void
offer (CalibStatistics *s, guint i)
{
  float x[N_VALUES];
  make_frame (x, N_VALUES, i);
  calib_statistics_offer_frame (s, x, N_VALUES);
}

static CalibStatistics *
keeping (guint k)
{
  CalibStatistics *s = calib_statistics_new (NULL, 0);
  calib_statistics_keep_frames (s, k);
  return s;
}

static gboolean
same (const CalibStatistics *a, const CalibStatistics *b)
{
  g_autoptr (GBytes) x = calib_statistics_to_bytes (a, NULL);
  g_autoptr (GBytes) y = calib_statistics_to_bytes (b, NULL);
  return g_bytes_equal (x, y);
}

static char *
sha256_of (const float *x, gsize n)
{
  return g_compute_checksum_for_data (G_CHECKSUM_SHA256, (const guchar *) x, n * sizeof *x);
}

static int
compare_texts (gconstpointer a, gconstpointer b)
{
  return strcmp (*(const char *const *) a, *(const char *const *) b);
}

static void
test_smallest_hashes (void)
{
  g_autoptr (CalibStatistics) s = keeping (7);
  g_autoptr (GPtrArray) hashes = g_ptr_array_new_with_free_func (g_free);

  for (guint i = 0; i < N_FRAMES; i++) {
    float x[N_VALUES];
    make_frame (x, N_VALUES, i);
    if (i < 90)
      g_ptr_array_add (hashes, sha256_of (x, N_VALUES));
    offer (s, i);
  }
  g_ptr_array_sort (hashes, compare_texts);
  CHECK_INT (calib_statistics_n_kept (s), ==, 7);
  for (guint i = 0; i < 7; i++) {
    gsize n = 0;
    const float *x = calib_statistics_kept (s, i, &n);
    g_autofree char *hash = sha256_of (x, n);
    CHECK_INT (n, ==, N_VALUES);
    CHECK_STR (hash, g_ptr_array_index (hashes, i));
  }
  calib_statistics_keep_frames (s, 3);
  CHECK_INT (calib_statistics_n_kept (s), ==, 3);
  calib_statistics_keep_frames (s, 0);
  CHECK_INT (calib_statistics_n_kept (s), ==, 0);
}

static void
test_none_by_default (void)
{
  g_autoptr (CalibStatistics) s = calib_statistics_new (NULL, 0);
  g_autoptr (GBytes) before = calib_statistics_to_bytes (s, NULL);
  offer (s, 1);
  g_autoptr (GBytes) after = calib_statistics_to_bytes (s, NULL);
  CHECK_INT (calib_statistics_n_kept (s), ==, 0);
  CHECK (g_bytes_equal (before, after)); /* files without frames are what they were */
}

/* Any order, any split, any tree of merges. */
static void
test_order_does_not_matter (void)
{
  g_autoptr (CalibStatistics) all = keeping (9);
  for (guint i = 0; i < N_FRAMES; i++)
    offer (all, i);
  for (guint seed = 0; seed < 100; seed++) {
    Random r = {seed};
    guint n = 1 + random_below (&r, 8);
    CalibStatistics *part[8];
    for (guint p = 0; p < n; p++)
      part[p] = keeping (9);
    guint order[N_FRAMES];
    for (guint i = 0; i < N_FRAMES; i++)
      order[i] = i;
    for (guint i = N_FRAMES; i > 1; i--) {
      const guint other = random_below (&r, i), last = order[i - 1];
      order[i - 1] = order[other];
      order[other] = last;
    }
    for (guint i = 0; i < N_FRAMES; i++)
      offer (part[random_below (&r, n)], order[i]);
    for (; n > 1; n--) {
      const guint into = random_below (&r, n - 1);
      CHECK (calib_statistics_merge (part[into], part[n - 1], NULL));
      calib_statistics_free (part[n - 1]);
    }
    CHECK (same (all, part[0]));
    calib_statistics_free (part[0]);
  }
}

/* With other k the smaller one counts, and those that keep none do not. */
static void
test_merge_of_unequal (void)
{
  g_autoptr (CalibStatistics) all = keeping (4), a = keeping (9), b = keeping (4), c = keeping (0);
  for (guint i = 0; i < N_FRAMES; i++) {
    offer (all, i);
    offer (i % 3 == 0 ? a : i % 3 == 1 ? b : c, i);
    if (i % 3 == 2)
      offer (b, i);
  }
  CHECK (calib_statistics_merge (c, a, NULL));
  CHECK_INT (calib_statistics_keeps (c), ==, 9);
  CHECK (calib_statistics_merge (c, b, NULL));
  CHECK_INT (calib_statistics_keeps (c), ==, 4);
  CHECK (same (c, all));
  CHECK (calib_statistics_merge (b, a, NULL));
  CHECK (same (b, all));
  CHECK (calib_statistics_merge (b, b, NULL));
  CHECK_INT (calib_statistics_n_kept (b), ==, 4);
}

static void
test_save_and_load (void)
{
  g_autofree char *folder = test_folder ();
  g_autofree char *path = g_build_filename (folder, "x.int8stats", NULL);
  g_autoptr (CalibStatistics) s = keeping (5);
  g_autoptr (GError) error = NULL;

  const float one = -0.0f;
  calib_statistics_offer_frame (s, &one, 1); /* frames may differ in size */
  calib_histogram_add (calib_statistics_tensor (s, "x", 1), &one, 1);
  for (guint i = 0; i < 20; i++) {
    CHECK_OK (calib_statistics_save (s, path, &error), error);
    g_autoptr (CalibStatistics) loaded = calib_statistics_load (path, &error);
    CHECK_OK (loaded != NULL, error);
    CHECK (loaded && same (s, loaded) && calib_statistics_keeps (loaded) == 5);
    offer (s, i);
    if (!loaded)
      break;
    offer (loaded, i); /* goes on as if nothing had happened */
    CHECK (same (s, loaded));
  }
  test_folder_remove (folder);
}

/* What stays in memory is the same sample, and its file that of statistics without any. */
static void
test_in_memory (void)
{
  g_autoptr (CalibStatistics) kept = keeping (5), none = keeping (0), private = keeping (0);
  g_autoptr (CalibStatistics) sum = keeping (0), kept_too = keeping (5);
  g_autoptr (GError) error = NULL;

  calib_statistics_keep_in_memory (private, 5);
  for (guint i = 0; i < 20; i++) {
    offer (kept, i);
    offer (private, i);
    offer (kept_too, i + 20);
  }
  CHECK_INT (calib_statistics_n_kept (private), ==, 5);
  for (guint i = 0; i < 5; i++) {
    gsize n, m;
    const float *a = calib_statistics_kept (kept, i, &n);
    const float *b = calib_statistics_kept (private, i, &m);

    CHECK (n == m && memcmp (a, b, n * sizeof *a) == 0);
  }
  CHECK (same (private, none) && !same (private, kept));

  /* merging makes no file of them, whoever is merged into whom */
  CHECK_OK (calib_statistics_merge (sum, private, &error), error);
  CHECK (calib_statistics_n_kept (sum) == 5 && same (sum, none));
  CHECK_OK (calib_statistics_merge (kept_too, private, &error), error);
  CHECK (calib_statistics_n_kept (kept_too) == 5 && same (kept_too, none));
  CHECK_OK (calib_statistics_merge (private, kept, &error), error);
  CHECK (calib_statistics_n_kept (private) == 5 && same (private, none));
}

/* --- Damage --------------------------------------------------------------------------------- */

/* A file of these flags and this section of frames, its size and checksum put right. */
static GBytes *
file_of (guint32 flags, const guint8 *section, gsize size)
{
  g_autoptr (CalibStatistics) empty = calib_statistics_new (NULL, 0);
  g_autoptr (GBytes) bytes = calib_statistics_to_bytes (empty, NULL);
  g_autoptr (GChecksum) checksum = g_checksum_new (G_CHECKSUM_SHA256);
  GByteArray *file = g_byte_array_new ();
  guint8 sha256[CALIB_DIGEST];
  gsize length = CALIB_DIGEST;

  g_byte_array_append (file, g_bytes_get_data (bytes, NULL),
      g_bytes_get_size (bytes) - CALIB_DIGEST);
  g_byte_array_append (file, section, size);
  const guint64 total = file->len + CALIB_DIGEST;
  for (guint i = 0; i < 8; i++)
    file->data[16 + i] = (guint8) (total >> 8 * i);
  for (guint i = 0; i < 4; i++)
    file->data[12 + i] = (guint8) (flags >> 8 * i);
  g_checksum_update (checksum, file->data, file->len);
  g_checksum_get_digest (checksum, sha256, &length);
  g_byte_array_append (file, sha256, CALIB_DIGEST);
  return g_byte_array_free_to_bytes (file);
}

static void
test_damage (void)
{
  /* two frames of one value, 2 and 1, in the order of their hashes */
  static const guint8 good[] = {2, 2, 1, 0, 0, 0, 0x40, 1, 0, 0, 0x80, 0x3f};
  static const struct {
    guint32 flags;
    const char *what;
    gsize size;
    guint8 bytes[16];
  } cases[] = {
      {0x100, "nothing", 0, {0}},
      {0x100, "k = 0", 2, {0, 0}},
      {0x100, "k is too large", 5, {0x81, 0x80, 0x04, 0, 0}},
      {0x100, "more frames than k", 12, {1, 2, 1, 0, 0, 0, 0x40, 1, 0, 0, 0x80, 0x3f}},
      {0x100, "a frame of no values", 3, {2, 1, 0}},
      {0x100, "a frame beyond the file", 6, {2, 1, 2, 0, 0, 0}},
      {0x100, "2^62 values", 11, {2, 1, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x40}},
      {0x100, "hashes in another order", 12, {2, 2, 1, 0, 0, 0x80, 0x3f, 1, 0, 0, 0, 0x40}},
      {0x100, "the same frame twice", 12, {2, 2, 1, 0, 0, 0x80, 0x3f, 1, 0, 0, 0x80, 0x3f}},
      {0x100, "bytes behind it", 13, {2, 2, 1, 0, 0, 0, 0x40, 1, 0, 0, 0x80, 0x3f, 0}},
      {0, "no flag", 12, {2, 2, 1, 0, 0, 0, 0x40, 1, 0, 0, 0x80, 0x3f}},
      {0x200, "another flag", 12, {2, 2, 1, 0, 0, 0, 0x40, 1, 0, 0, 0x80, 0x3f}},
  };
  g_autoptr (GError) error = NULL;
  g_autoptr (GBytes) file = file_of (0x100, good, sizeof good);
  g_autoptr (CalibStatistics) loaded =
      calib_statistics_parse (g_bytes_get_data (file, NULL), g_bytes_get_size (file), "x", &error);
  CHECK_OK (loaded && calib_statistics_n_kept (loaded) == 2, error);

  for (gsize n = 0; n < sizeof good; n++) { /* cut, and the size and checksum put right */
    g_autoptr (GBytes) cut = file_of (0x100, good, n);
    CHECK (!calib_statistics_parse (g_bytes_get_data (cut, NULL), g_bytes_get_size (cut), "x",
        &error));
    CHECK_ERROR (error, CALIB_ERROR, CALIB_ERROR_FORMAT, "kept frames");
  }
  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_autoptr (GBytes) bad = file_of (cases[i].flags, cases[i].bytes, cases[i].size);
    g_autoptr (CalibStatistics) s =
        calib_statistics_parse (g_bytes_get_data (bad, NULL), g_bytes_get_size (bad), "x", &error);
    if (s || !g_error_matches (error, CALIB_ERROR, CALIB_ERROR_FORMAT))
      CHECK_FAIL ("%s: %s", cases[i].what, error ? error->message : "was loaded");
    g_clear_error (&error);
  }
}

int
main (void)
{
  RUN (test_smallest_hashes);
  RUN (test_none_by_default);
  RUN (test_order_does_not_matter);
  RUN (test_merge_of_unequal);
  RUN (test_save_and_load);
  RUN (test_in_memory);
  RUN (test_damage);
  return check_done ();
}
