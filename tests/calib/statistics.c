/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * statistics.c: statistics by tensor name, their merging and their file.
 */
#include "tests/calib/make-statistics.h"
#include "tests/sanitized.h"

#include <sys/resource.h>

static void
test_tensors (void)
{
  g_autoptr (CalibStatistics) s = calib_statistics_new (NULL, CALIB_HISTOGRAM_TENSORRT);
  CHECK_INT (calib_statistics_n_tensors (s), ==, 0);
  CHECK (calib_statistics_lookup (s, "a") == NULL);
  CalibHistogram *b = calib_statistics_tensor (s, "b", 3);
  CalibHistogram *a = calib_statistics_tensor (s, "a", 0);
  CHECK (
      a != b && calib_statistics_tensor (s, "b", 3) == b && calib_statistics_lookup (s, "a") == a);
  CHECK_INT (calib_statistics_n_tensors (s), ==, 2);
  CHECK_STR (calib_statistics_name (s, 0), "b");
  CHECK_STR (calib_statistics_name (s, 1), "a");
  CHECK (b->trt != NULL);
  calib_statistics_add_frames (s, 5);
  calib_statistics_add_frames (s, 2);
  CHECK_INT (calib_statistics_provenance (s)->frames, ==, 7);
  CHECK (calib_statistics_provenance (s)->model_sha256 == NULL);
}

/* --- Merging -------------------------------------------------------------------------------- */

static void
test_merge (void)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (CalibStatistics) a = make_statistics (0, 1);
  g_autoptr (CalibStatistics) b = make_statistics (0, 2);
  g_autoptr (CalibStatistics) c = make_statistics (CALIB_HISTOGRAM_TENSORRT, 3);
  g_free (b->provenance.source);
  b->provenance.source = g_strdup ("camera 2");
  g_free (c->provenance.source);
  c->provenance.source = g_strdup ("camera 0, camera 2");

  g_autoptr (CalibStatistics) left = make_statistics (0, 1);
  CHECK_OK (calib_statistics_merge (left, b, &error), error);
  CHECK_OK (calib_statistics_merge (left, c, &error), error);
  const CalibProvenance empty = {(char *) MODEL, NULL, NULL, NULL, 0};
  g_autoptr (CalibStatistics) right = calib_statistics_new (&empty, CALIB_HISTOGRAM_TENSORRT);
  CHECK_OK (calib_statistics_merge (c, b, &error), error);
  CHECK_OK (calib_statistics_merge (right, c, &error), error);
  CHECK_OK (calib_statistics_merge (right, a, &error), error);

  CHECK_STR (left->provenance.source, "camera 0, camera 1, camera 2");
  CHECK_STR (left->provenance.tool, "test");
  CHECK_INT (left->provenance.frames, ==, 21);
  CHECK (left->flags == 0 && right->flags == 0);
  g_autoptr (GBytes) l = calib_statistics_to_bytes (left, &error);
  g_autoptr (GBytes) r = calib_statistics_to_bytes (right, &error);
  CHECK (g_bytes_equal (l, r));
}

/* Also with statistics that saw nothing: all tensors go the same way. */
static void
test_merge_drops_trt (void)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (CalibStatistics) s = make_statistics (CALIB_HISTOGRAM_TENSORRT, 1);
  g_autoptr (CalibStatistics) empty = calib_statistics_new (&s->provenance, 0);
  CHECK (calib_statistics_lookup (s, "zeros")->trt != NULL);
  CHECK_OK (calib_statistics_merge (s, empty, &error), error);
  CHECK (calib_statistics_lookup (s, "zeros")->trt == NULL);
  CHECK (calib_statistics_tensor (s, "new", 0)->trt == NULL);
}

/* Tensors that are only there for TensorRT's histogram take no part in a merge, whoever has them; and
 * they are what they were after saving. */
static void
test_merge_drops_tensors_for_trt (void)
{
  g_autofree char *folder = test_folder ();
  g_autofree char *path = g_build_filename (folder, "x.int8stats", NULL);
  g_autoptr (GError) error = NULL;
  const float x[] = {1, 2};

  for (guint with = 0; with < 4; with++) {
    CalibStatistics *s[2];
    for (guint i = 0; i < 2; i++) {
      const gboolean trt = with >> i & 1;
      s[i] = calib_statistics_new (NULL, trt ? CALIB_HISTOGRAM_TENSORRT : 0);
      calib_histogram_add (calib_statistics_tensor (s[i], "a", 1), x, 2);
      if (trt)
        calib_histogram_add (calib_statistics_tensor_for_trt (s[i], "pool", 1), x, 2);
      calib_histogram_add (calib_statistics_tensor (s[i], "b", 1), x, 2);
      CHECK_INT (calib_statistics_n_tensors (s[i]), ==, trt ? 3 : 2);
      CHECK_OK (calib_statistics_save (s[i], path, &error), error);
      calib_statistics_free (s[i]);
      s[i] = calib_statistics_load (path, &error);
      CHECK_OK (s[i] && calib_statistics_n_tensors (s[i]) == (trt ? 3 : 2), error);
    }
    CHECK_OK (calib_statistics_merge (s[0], s[1], &error), error);
    CHECK_INT (calib_statistics_flags (s[0]), ==, 0);
    CHECK_INT (calib_statistics_n_tensors (s[0]), ==, 2);
    CHECK (!calib_statistics_lookup (s[0], "pool"));
    CHECK_STR (calib_statistics_name (s[0], 1), "b");
    calib_statistics_free (s[0]);
    calib_statistics_free (s[1]);
  }
  test_folder_remove (folder);
}

static void
test_mismatches (void)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (CalibStatistics) a = make_statistics (CALIB_HISTOGRAM_TENSORRT, 1);
  g_autoptr (GBytes) before = calib_statistics_to_bytes (a, NULL);

  g_autoptr (CalibStatistics) b = make_statistics (0, 2);
  b->provenance.model_sha256[0] = 'f';
  CHECK (!calib_statistics_merge (a, b, &error));
  CHECK_ERROR (error, CALIB_ERROR, CALIB_ERROR_MISMATCH, "models");
  b->provenance.model_sha256[0] = '0';
  b->provenance.preprocess_sha256 = g_strdup ("abc");
  CHECK (!calib_statistics_merge (a, b, &error));
  CHECK_ERROR (error, CALIB_ERROR, CALIB_ERROR_MISMATCH,
      "preprocessing cannot be merged: SHA-256 unknown and abc");
  g_clear_pointer (&b->provenance.preprocess_sha256, g_free);

  calib_statistics_tensor (b, "one more", 0);
  CHECK (!calib_statistics_merge (a, b, &error));
  CHECK_ERROR (error, CALIB_ERROR, CALIB_ERROR_MISMATCH, "'one more'");
  g_autoptr (CalibStatistics) more = make_statistics (0, 2);
  CHECK (!calib_statistics_merge (b, more, &error));
  CHECK_ERROR (error, CALIB_ERROR, CALIB_ERROR_MISMATCH, "'one more'");

  g_autoptr (CalibStatistics) channels = calib_statistics_new (&a->provenance, 0);
  calib_statistics_tensor (channels, "input:0", 3);
  CHECK (!calib_statistics_merge (a, channels, &error));
  CHECK_ERROR (error, CALIB_ERROR, CALIB_ERROR_MISMATCH, "'input:0' has 0 channels");

  g_autoptr (CalibStatistics) many = make_statistics (0, 2);
  calib_statistics_add_frames (many, G_MAXUINT64 - 10);
  CHECK (!calib_statistics_merge (a, many, &error));
  CHECK_ERROR (error, CALIB_ERROR, CALIB_ERROR_FORMAT, "frames");

  g_autoptr (GBytes) after = calib_statistics_to_bytes (a, NULL);
  CHECK (g_bytes_equal (before, after));
}

/* --- The file ------------------------------------------------------------------------------- */

static void
test_save_and_load (void)
{
  g_autofree char *folder = test_folder ();
  g_autofree char *path = g_build_filename (folder, "x.int8stats", NULL);
  g_autoptr (GError) error = NULL;

  for (guint flags = 0; flags < 2; flags++) {
    g_autoptr (CalibStatistics) s = make_statistics (flags, 4);
    CHECK_OK (calib_statistics_save (s, path, &error), error);
    g_autoptr (CalibStatistics) loaded = calib_statistics_load (path, &error);
    CHECK_OK (loaded != NULL, error);
    if (!loaded)
      continue;
    g_autoptr (GBytes) a = calib_statistics_to_bytes (s, NULL);
    g_autoptr (GBytes) b = calib_statistics_to_bytes (loaded, NULL);
    CHECK (g_bytes_equal (a, b));
    CHECK_STR (loaded->provenance.model_sha256, MODEL);
    CHECK (loaded->provenance.preprocess_sha256 == NULL);

    /* what is loaded goes on as if nothing had happened */
    const float x[] = {9, -0.5f, NAN, 1, 2};
    for (guint t = 0; t < calib_statistics_n_tensors (s); t++) {
      const guint channels = t == 1 ? 0 : t + 1;
      const char *name = calib_statistics_name (s, t);
      calib_histogram_add (calib_statistics_tensor (s, name, channels), x, channels);
      calib_histogram_add (calib_statistics_tensor (loaded, name, channels), x, channels);
    }
    g_autoptr (GBytes) c = calib_statistics_to_bytes (s, NULL);
    g_autoptr (GBytes) d = calib_statistics_to_bytes (loaded, NULL);
    CHECK (g_bytes_equal (c, d) && !g_bytes_equal (a, c));
  }

  g_autoptr (CalibStatistics) empty = calib_statistics_new (NULL, 0);
  CHECK_OK (calib_statistics_save (empty, path, &error), error);
  g_autoptr (CalibStatistics) loaded = calib_statistics_load (path, &error);
  CHECK_OK (loaded && calib_statistics_n_tensors (loaded) == 0, error);
  test_folder_remove (folder);
}

/* Whatever was seen: what is checked on loading is true of every state. */
static void
test_any_state_loads (void)
{
  for (guint seed = 0; seed < 300; seed++) {
    Random r = {seed};
    g_autoptr (GError) error = NULL;
    g_autoptr (CalibStatistics) s = calib_statistics_new (NULL, seed % 2);
    const guint channels = random_below (&r, 4);
    CalibHistogram *h = calib_statistics_tensor (s, "x", channels);
    const guint n_batches = random_below (&r, 4);
    for (guint batch = 0; batch < n_batches; batch++) {
      float x[12];
      const float one = random_awkward (&r);
      for (guint i = 0; i < 12; i++)
        x[i] = seed % 3 ? random_awkward (&r) : random_below (&r, 2) ? one : 0;
      calib_histogram_add (h, x, 12);
    }
    g_autoptr (GBytes) bytes = calib_statistics_to_bytes (s, NULL);
    gsize size;
    const void *data = g_bytes_get_data (bytes, &size);
    g_autoptr (CalibStatistics) loaded = calib_statistics_parse (data, size, "x", &error);
    if (!loaded) {
      CHECK_FAIL ("seed %u: %s", seed, error->message);
      continue;
    }
    g_autoptr (GBytes) again = calib_statistics_to_bytes (loaded, NULL);
    CHECK (g_bytes_equal (bytes, again));
  }
}

static void
test_file_is_small (void)
{
  g_autoptr (CalibStatistics) s = calib_statistics_new (NULL, 0);
  CalibHistogram *h = calib_statistics_tensor (s, "x", 64);
  g_autofree float *x = g_new (float, 640000);
  Random r = {1};
  for (guint i = 0; i < 640000; i++)
    x[i] = (float) fmax (0, random_normal (&r));
  calib_histogram_add (h, x, 640000);
  g_autoptr (GBytes) bytes = calib_statistics_to_bytes (s, NULL);
  CHECK_INT (g_bytes_get_size (bytes), <, 20000); /* of 256 KiB */
}

static void
test_load_errors (void)
{
  g_autofree char *folder = test_folder ();
  g_autofree char *path = g_build_filename (folder, "absent.int8stats", NULL);
  g_autoptr (GError) error = NULL;
  CHECK (!calib_statistics_load (path, &error));
  CHECK_ERROR (error, G_FILE_ERROR, G_FILE_ERROR_NOENT, "absent.int8stats");
  CHECK (!calib_statistics_load (folder, &error));
  CHECK_ERROR (error, G_FILE_ERROR, G_FILE_ERROR_ISDIR, folder);
  test_folder_remove (folder);

  g_autoptr (CalibStatistics) many = calib_statistics_new (NULL, 0);
  g_autoptr (CalibHistogram) one = calib_histogram_new (0, 0);
  CalibTensor tensor = {(char *) "", one};
  g_ptr_array_set_free_func (many->tensors, NULL);
  for (guint i = 0; i <= CALIB_STATISTICS_MAX_TENSORS; i++)
    g_ptr_array_add (many->tensors, &tensor);
  CHECK (!calib_statistics_to_bytes (many, &error));
  CHECK_ERROR (error, CALIB_ERROR, CALIB_ERROR_FORMAT, "8193 tensors");
}

/* --- One spelling for one state -------------------------------------------------------------- */

/* A histogram of the one value 1, with these bytes for its positive bins. */
static CalibHistogram *
read_bins (const guint8 *bins, guint n_bytes)
{
  const guint32 words[] = {GUINT32_TO_LE (word_of (1)), GUINT32_TO_LE (word_of (1))};
  g_autoptr (GByteArray) bytes = g_byte_array_new ();
  g_byte_array_append (bytes, (const guint8[]){0, 1, 0, 0}, 4);
  g_byte_array_append (bytes, (const guint8 *) words, 8);
  g_byte_array_append (bytes, bins, n_bytes);
  g_byte_array_append (bytes, (const guint8[]){0, 0}, 2); /* no negative bins, not TensorRT's */
  CalibReader r = {bytes->data, bytes->data + bytes->len, FALSE};
  CalibHistogram *h = calib_histogram_read (&r, 0);
  CHECK (!h || (!r.failed && r.at == r.end));
  return h;
}

static void
test_one_spelling (void)
{
  /* the value 1 is in bin 8192 of the exponent -13: 8193 bins, a run of 8192 empty ones, a count */
#define USED  0x81, 0x40
#define EMPTY 0x00, 0xff, 0x3f
  static const struct {
    const char *what;
    guint8 bytes[16], n, good;
  } cases[] = {
      {"as it is written", {USED, EMPTY, 1}, 6, TRUE},
      {"two runs, one after the other", {USED, 0, 0xfe, 0x3f, 0, 0, 1}, 8, FALSE},
      {"a run at the end", {0x82, 0x40, EMPTY, 1, 0, 0}, 8, FALSE},
      {"a run up to the end", {USED, 0, 0x80, 0x40}, 5, FALSE},
      {"a run beyond the end", {USED, 0, 0xff, 0x7f}, 5, FALSE},
      {"more bins than there are", {0x81, 0x80, 0x01, EMPTY, 1}, 7, FALSE},
      {"a count in two bytes that fits in one", {USED, EMPTY, 0x81, 0}, 7, FALSE},
      {"a count above 64 bits",
          {USED, EMPTY, 0x81, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 2}, 15, FALSE},
      {"nothing", {0}, 0, FALSE},
  };
  for (guint c = 0; c < G_N_ELEMENTS (cases); c++) {
    g_autoptr (CalibHistogram) h = read_bins (cases[c].bytes, cases[c].n);
    if ((h != NULL) != cases[c].good)
      CHECK_FAIL ("%s: %s", cases[c].what, h ? "accepted" : "refused");
  }
}

/* Numbers of values by channel that do not add up, or wrap around 2^64 so that they seem to. */
static void
test_nonfinite_counts (void)
{
  for (guint kind = 0; kind < 3; kind++) {
    g_autoptr (CalibHistogram) h = calib_histogram_new (2, 0);
    g_autoptr (GByteArray) bytes = g_byte_array_new ();
    calib_histogram_add (h, (const float[]){NAN, 1, NAN, 1}, 4);
    h->channel_nonfinite[0] = (guint64[]){2, 1, G_MAXUINT64 - 7}[kind];
    h->channel_nonfinite[1] = (guint64[]){0, 0, 10}[kind];
    calib_histogram_write (h, bytes);
    CalibReader r = {bytes->data, bytes->data + bytes->len, FALSE};
    g_autoptr (CalibHistogram) read = calib_histogram_read (&r, 0);
    CHECK ((read != NULL) == (kind == 0));
  }
}

/* Few bytes that ask for 32 GiB. */
static void
test_memory_is_bounded (void)
{
  const guint8 bytes[] = {0xff, 0xff, 0xff, 0xff, 0x07, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0};
#if !SANITIZED_ADDRESS /* which reserves more address space than that */
  struct rlimit before, limit;
  CHECK_INT (getrlimit (RLIMIT_AS, &before), ==, 0);
  limit = before;
  limit.rlim_cur = 1 << 30;
  CHECK_INT (setrlimit (RLIMIT_AS, &limit), ==, 0);
#endif
  CalibReader r = {bytes, bytes + sizeof bytes, FALSE};
  CHECK (calib_histogram_read (&r, 0) == NULL);
#if !SANITIZED_ADDRESS
  CHECK_INT (setrlimit (RLIMIT_AS, &before), ==, 0);
#endif
}

int
main (void)
{
  RUN (test_tensors);
  RUN (test_merge);
  RUN (test_merge_drops_trt);
  RUN (test_merge_drops_tensors_for_trt);
  RUN (test_mismatches);
  RUN (test_save_and_load);
  RUN (test_any_state_loads);
  RUN (test_file_is_small);
  RUN (test_load_errors);
  RUN (test_one_spelling);
  RUN (test_nonfinite_counts);
  RUN (test_memory_is_bounded);
  return check_done ();
}
