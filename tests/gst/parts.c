/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* parts.c: what the elements are made of, without GStreamer running: labels, top k, statistics. */
#include <glib.h>
#include <glib/gstdio.h>
#include <gst/gst.h>
#include <math.h>

#include "gst/classify.h"
#include "gst/labels.h"
#include "gst/stats.h"
#include "tests/check.h"

/* --- Labels ---------------------------------------------------------------------------------- */

static char *path;

/* contents: NULL leaves the file out. Returns the labels between '|', or the error's text. */
static char *
load (const char *contents, gssize size, guint n, char **warning)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (GString) text = g_string_new (NULL);
  GstInt8Labels *labels;

  g_unlink (path);
  if (contents)
    g_file_set_contents (path, contents, size, NULL);
  labels = gst_int8_labels_load (path, n, warning, &error);
  if (!labels)
    return g_strdup (error->message);
  for (guint i = 0; i < n; i++)
    g_string_append_printf (text, "%s%s", i ? "|" : "", gst_int8_labels_get (labels, i));
  gst_int8_labels_unref (labels);
  return g_strdup (text->str);
}

static void
test_label_layouts (void)
{
  static const struct {
    const char *contents;
    guint n;
    const char *labels;
  } cases[] = {
      {"cat\ndog\n", 2, "cat|dog"},
      {"cat\ndog", 2, "cat|dog"},
      {"cat\r\ndog\r\n\r\n", 2, "cat|dog"},
      {"\xef\xbb\xbf"
       "cat\ndog\n",
          2, "cat|dog"},
      {"  a cat \n dog, wild\n\n\n", 2, "a cat|dog, wild"},
      {"cat\n\nowl\n", 3, "cat|1|owl"},
      {"cat;dog;owl\n", 3, "cat|dog|owl"},
      {"cat;dog;owl;\r\n", 3, "cat|dog|owl"},
      {"cat;;owl", 3, "cat|1|owl"},
      {"cat; dog ;owl\n\n", 3, "cat|dog|owl"},
      {"a;b\n", 1, "a;b"},
      {"a;b\nc;d\n", 2, "a;b|c;d"},
      {"Gr\xc3\xbc\xc3\x9f"
       "e\n",
          1,
          "Gr\xc3\xbc\xc3\x9f"
          "e"},
  };

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_autofree char *warning = NULL;
    g_autofree char *labels = load (cases[i].contents, -1, cases[i].n, &warning);

    CHECK_STR (labels, cases[i].labels);
    CHECK (warning == NULL);
  }
}

static void
test_label_mismatch (void)
{
  static const struct {
    const char *contents;
    guint n;
    const char *labels, *warning;
  } cases[] = {
      {"cat\ndog\n", 3, "0|1|2", "2 labels"},
      {"", 2, "0|1", "0 labels"},
      {"cat;dog;owl\n", 2, "0|1", "3 labels"},
      {"background\ncat\ndog\n", 2, "0|1", "background"},
      {"cat;dog\nowl\n", 3, "0|1|2", "2 labels"},
  };

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_autofree char *warning = NULL;
    g_autofree char *labels = load (cases[i].contents, -1, cases[i].n, &warning);

    CHECK_STR (labels, cases[i].labels);
    CHECK (warning && strstr (warning, cases[i].warning) && strstr (warning, path));
  }
}

static void
test_label_errors (void)
{
  g_autofree char *warning = NULL;
  g_autofree char *missing = load (NULL, 0, 2, &warning);
  g_autofree char *latin1 = load ("cat\ncaf\xe9\n", -1, 2, &warning);
  g_autofree char *nul = load ("cat\0\ndog\n", 9, 2, &warning);

  CHECK (strstr (missing, path) != NULL);
  CHECK (strstr (latin1, path) && strstr (latin1, "line 2") && strstr (latin1, "iconv"));
  CHECK (strstr (nul, path) && strstr (nul, "line 1"));
}

static void
test_no_labels (void)
{
  char *warning;
  g_autoptr (GError) error = NULL;
  g_autoptr (GstInt8Labels) labels = gst_int8_labels_load (NULL, 1001, &warning, &error);

  CHECK (labels && !warning && !error);
  CHECK_STR (gst_int8_labels_get (labels, 1000), "1000");
}

/* --- Top k ----------------------------------------------------------------------------------- */

/* Against sorting everything. */
static void
test_top_k (void)
{
  GRand *random = g_rand_new_with_seed (5);
  float x[64];
  GstInt8Class best[64];

  for (guint round = 0; round < 2000; round++) {
    const guint n = g_rand_int_range (random, 1, 64), k = g_rand_int_range (random, 0, n + 1);
    gboolean taken[64] = {FALSE};
    guint found;

    for (guint i = 0; i < n; i++)
      x[i] = (float) g_rand_int_range (random, -9, 10); /* many equal values */
    found = gst_int8_top_k (x, n, k, 0, best);
    CHECK_INT (found, ==, k);
    for (guint i = 0; i < found; i++) {
      guint expected = n;

      for (guint j = 0; j < n; j++)
        if (!taken[j] && (expected == n || x[j] > x[expected]))
          expected = j;
      taken[expected] = TRUE;
      CHECK_INT (best[i].index, ==, expected);
      CHECK (best[i].confidence == x[expected]);
    }
  }
  g_rand_free (random);
}

static void
test_top_k_threshold (void)
{
  const float x[] = {0.5f, NAN, 0.25f, -1, INFINITY, 0.5f};
  GstInt8Class best[6];

  CHECK_INT (gst_int8_top_k (x, 6, 6, 0, best), ==, 5); /* NaN is no class */
  CHECK_INT (best[0].index, ==, 4);
  CHECK_INT (best[1].index, ==, 0);
  CHECK_INT (best[4].index, ==, 3);
  CHECK_INT (gst_int8_top_k (x, 6, 6, 0.5, best), ==, 3);
  CHECK_INT (best[2].index, ==, 5);
  CHECK_INT (gst_int8_top_k (x, 6, 2, 0.5, best), ==, 2);
  CHECK_INT (gst_int8_top_k (x, 4, 4, 2, best), ==, 0);
}

/* --- Statistics ------------------------------------------------------------------------------ */

static guint64
number (const GstStructure *fields, const char *name)
{
  guint64 value = G_MAXUINT64;

  gst_structure_get_uint64 (fields, name, &value);
  return value;
}

/* Latencies 1, 2, 3 ... µs, one frame a millisecond. */
static void
test_stats (void)
{
  static GstInt8Stats stats;
  GstStructure *fields;
  double fps = 0;

  gst_int8_stats_init (&stats);
  for (gint64 i = 1; i <= 101; i++)
    gst_int8_stats_add (&stats, i * 1000, i * 1000 + i / 2, i * 1000 + i, 2, 4);
  gst_int8_stats_drop (&stats);
  fields = gst_int8_stats_to_structure (&stats);
  CHECK_INT (number (fields, "frames"), ==, 102);
  CHECK_INT (number (fields, "dropped"), ==, 1);
  CHECK_INT (number (fields, "pictures"), ==, 202);
  CHECK_INT (number (fields, "latency-p50"), ==, 51 * 1000);
  CHECK_INT (number (fields, "latency-p99"), ==, 100 * 1000);
  CHECK_INT (number (fields, "inference-p50"), ==, 26 * 1000);
  gst_structure_get_double (fields, "fps", &fps);
  CHECK (fabs (fps - 1e6 / 1001) < 1e-6);
  gst_structure_free (fields);

  /* Only the newest count. */
  for (gint64 i = 0; i < 3 * GST_INT8_STATS_WINDOW; i++)
    gst_int8_stats_add (&stats, i * 500, i * 500, i * 500 + 7, 1, 1);
  fields = gst_int8_stats_to_structure (&stats);
  CHECK_INT (number (fields, "latency-p99"), ==, 7 * 1000);
  gst_structure_get_double (fields, "fps", &fps);
  CHECK (fabs (fps - 2000) < 1e-6);
  gst_structure_free (fields);

  gst_int8_stats_reset (&stats);
  fields = gst_int8_stats_to_structure (&stats);
  CHECK_INT (number (fields, "frames"), ==, 0);
  CHECK_INT (number (fields, "latency-p50"), ==, 0);
  gst_structure_free (fields);
  gst_int8_stats_clear (&stats);
}

int
main (int argc, char **argv)
{
  g_autofree char *folder = g_dir_make_tmp ("int8-test-XXXXXX", NULL);

  g_setenv ("GST_REGISTRY_DISABLE", "yes", TRUE); /* no plugin is needed */
  gst_init (&argc, &argv);
  path = g_build_filename (folder, "labels.txt", NULL);
  RUN (test_label_layouts);
  RUN (test_label_mismatch);
  RUN (test_label_errors);
  RUN (test_no_labels);
  RUN (test_top_k);
  RUN (test_top_k_threshold);
  RUN (test_stats);
  g_unlink (path);
  g_rmdir (folder);
  g_free (path);
  return check_done ();
}
