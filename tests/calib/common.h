/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * common.h: random numbers, folders and comparisons for the tests of calib/.
 */
#pragma once

#include "calib/private.h"
#include "tests/check.h"
#include "tests/folder.h"

#include <gio/gio.h>
#include <math.h>
#include <stdlib.h>

/* --- Random numbers: splitmix64, so a seed in a message reproduces a failure ----------------- */

typedef struct {
  guint64 state;
} Random;

static inline guint64
random_bits (Random *r)
{
  guint64 z = r->state += 0x9e3779b97f4a7c15;
  z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
  z = (z ^ z >> 27) * 0x94d049bb133111eb;
  return z ^ z >> 31;
}

/* 0 <= result < n */
static inline guint
random_below (Random *r, guint n)
{
  return (guint) (random_bits (r) % n);
}

/* 1 <= result <= most, but never more than `left` */
static inline guint
random_batch (Random *r, guint left, guint most)
{
  const guint n = 1 + random_below (r, most);
  return MIN (n, left);
}

/* 0 < result < 1 */
static inline double
random_unit (Random *r)
{
  return ((double) (random_bits (r) >> 12) + 0.5) * 0x1p-52;
}

static inline double
random_normal (Random *r)
{
  return sqrt (-2 * log (random_unit (r))) * cos (2 * G_PI * random_unit (r));
}

/* Floats of any bit pattern, special ones more often than chance has it. */
static inline float
random_awkward (Random *r)
{
  static const float special[] = {0.0f, -0.0f, INFINITY, -INFINITY, NAN, G_MAXFLOAT, -G_MAXFLOAT,
      G_MINFLOAT, -G_MINFLOAT, 0x1p-149f, -0x1p-149f, 0x1p-126f, 1.0f, 0x1.fffffep0f, 0x1p-40f,
      0x1.8p-41f, 0x1p21f, -0x1.fffffep20f, 0x1p10f};
  if (random_below (r, 4) == 0)
    return special[random_below (r, G_N_ELEMENTS (special))];
  const guint32 bits = (guint32) random_bits (r);
  float x;
  memcpy (&x, &bits, sizeof x);
  return x;
}

/* --- Files ---------------------------------------------------------------------------------- */

/* A path in the test data, or NULL where the data is not there. */
static inline char *
test_data (const char *name)
{
  const char *data = g_getenv ("INT8_TEST_DATA"), *source = g_getenv ("INT8_SOURCE_DIR");
  g_autofree char *path =
      data ? g_build_filename (data, name, NULL)
           : g_build_filename (source ? source : ".", "..", "shared", "data", name, NULL);
  return g_file_test (path, G_FILE_TEST_EXISTS) ? g_steal_pointer (&path) : NULL;
}

static inline char *
test_folder (void)
{
  g_autoptr (GError) error = NULL;
  char *folder = g_dir_make_tmp ("int8-calib-XXXXXX", &error);
  if (!folder)
    g_error ("%s", error->message);
  return folder;
}

static inline guint
test_n_files (const char *folder)
{
  guint n = 0;
  g_autoptr (GDir) dir = g_dir_open (folder, 0, NULL);
  while (dir && g_dir_read_name (dir))
    n++;
  return n;
}

/* --- Checks --------------------------------------------------------------------------------- */

/* The call failed with this error, and the message contains `text`. Clears the error. */
#define CHECK_ERROR(error, error_domain, error_code, text)                                         \
  do {                                                                                             \
    if (!g_error_matches (error, error_domain, error_code) || !strstr ((error)->message, text))    \
      CHECK_FAIL ("expected " #error_code " with \"%s\", got %s", text,                            \
          (error) ? (error)->message : "no error");                                                \
    g_clear_error (&(error));                                                                      \
  } while (0)

#define CHECK_OK(call, error)                                                                      \
  do {                                                                                             \
    if (!(call))                                                                                   \
      CHECK_FAIL ("%s: %s", #call, (error) ? (error)->message : "failed without an error");        \
    else if (error)                                                                                \
      CHECK_FAIL ("%s succeeded with an error set: %s", #call, (error)->message);                  \
    g_clear_error (&(error));                                                                      \
  } while (0)

static inline guint32
word_of (float x)
{
  guint32 word;
  memcpy (&word, &x, sizeof word);
  return word;
}

/* Everything that a histogram knows, as the bytes of a file. */
static inline GBytes *
state_of (const CalibHistogram *h)
{
  g_autoptr (CalibStatistics) s = calib_statistics_new (NULL, 0);
  calib_histogram_merge (calib_statistics_tensor (s, "x", h->channels), h, NULL);
  return calib_statistics_to_bytes (s, NULL);
}
