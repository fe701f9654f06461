/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * merge-many.c: `gst-int8-1.0 merge` of a thousand files: exact, and in memory that does not depend on
 * their number. Usage: calib-merge-many TOOL
 */
#include "tests/calib/common.h"

#include <sys/resource.h>
#include <sys/wait.h>

#define N_FILES  1000
#define N_FEW    10
#define N_VALUES 600

static const char *tool;

static CalibStatistics *
make_part (guint i)
{
  const CalibProvenance provenance = {.model_sha256 = (char *) "m", .frames = i % 7};
  CalibStatistics *s = calib_statistics_new (&provenance, CALIB_HISTOGRAM_DEFAULT);
  Random r = {i};

  calib_statistics_keep_frames (s, 3);
  for (guint t = 0; t < 3; t++) {
    const char *name = (const char *[]){"data", "conv1", "prob"}[t];
    float x[N_VALUES];
    for (guint k = 0; k < N_VALUES; k++)
      x[k] = k % 5 == t ? 0 : (float) (random_normal (&r) * exp (random_normal (&r)));
    calib_histogram_add (calib_statistics_tensor (s, name, 2), x, N_VALUES);
    calib_statistics_offer_frame (s, x, N_VALUES);
  }
  return s;
}

/* Runs the tool; its peak of resident memory in KiB. 0 where it fails. */
static long
merge (const char *output, char *const *paths, guint n)
{
  g_autoptr (GPtrArray) argv = g_ptr_array_new ();
  struct rusage usage;
  int status;

  g_ptr_array_add (argv, (char *) tool);
  g_ptr_array_add (argv, (char *) "merge");
  g_ptr_array_add (argv, (char *) "--output");
  g_ptr_array_add (argv, (char *) output);
  for (guint i = 0; i < n; i++)
    g_ptr_array_add (argv, paths[i]);
  g_ptr_array_add (argv, NULL);
  fflush (stdout);
  const pid_t child = fork ();
  if (child == 0) {
    execv (tool, (char **) argv->pdata);
    _exit (127);
  }
  if (child < 0 || wait4 (child, &status, 0, &usage) != child || !WIFEXITED (status) ||
      WEXITSTATUS (status) != 0)
    return 0;
  return usage.ru_maxrss;
}

static void
test_many (void)
{
  g_autofree char *folder = test_folder ();
  g_autofree char *output = g_build_filename (folder, "sum", NULL);
  g_autoptr (GPtrArray) paths = g_ptr_array_new_with_free_func (g_free);
  g_autoptr (CalibStatistics) sum = make_part (0);
  g_autoptr (GError) error = NULL;

  for (guint i = 0; i < N_FILES; i++) {
    g_autoptr (CalibStatistics) part = make_part (i);
    char *path = g_strdup_printf ("%s/%u.int8stats", folder, i);
    g_ptr_array_add (paths, path);
    g_autoptr (GBytes) bytes =
        calib_statistics_to_bytes (part, &error); /* saving would sync each */
    CHECK_OK (g_file_set_contents (path, g_bytes_get_data (bytes, NULL),
                  (gssize) g_bytes_get_size (bytes), &error),
        error);
    if (i > 0)
      CHECK_OK (calib_statistics_merge (sum, part, &error), error);
  }
  const long few = merge (output, (char **) paths->pdata, N_FEW);
  const long many = merge (output, (char **) paths->pdata, N_FILES);
  printf ("peak memory: %ld KiB for %d files, %ld KiB for %d\n", few, N_FEW, many, N_FILES);
  CHECK_INT (few, >, 0);
  CHECK_INT (many, >, 0);
  CHECK_INT (many, <, few + 2048); /* a thousand paths, and what the heap leaves between blocks */

  g_autoptr (CalibStatistics) merged = calib_statistics_load (output, &error);
  CHECK_OK (merged != NULL, error);
  if (merged) {
    g_autoptr (GBytes) a = calib_statistics_to_bytes (merged, NULL);
    g_autoptr (GBytes) b = calib_statistics_to_bytes (sum, NULL);
    CHECK (g_bytes_equal (a, b));
    CHECK_INT (calib_statistics_n_kept (merged), ==, 3);
  }

  /* the same file twice would count twice; a path that is written otherwise is the same */
  char *twice[] = {paths->pdata[1], paths->pdata[2], NULL};
  g_autofree char *again = g_strdup_printf ("%s/./1.int8stats", folder);
  twice[1] = again;
  CHECK_INT (merge (output, twice, 2), ==, 0);
  test_folder_remove (folder);
}

int
main (int argc, char **argv)
{
  if (argc != 2) {
    fprintf (stderr, "usage: %s TOOL\n", argv[0]);
    return 2;
  }
  tool = argv[1];
  /* a sanitizer would keep what is freed, to find uses of it */
  g_setenv ("ASAN_OPTIONS", "quarantine_size_mb=0:detect_leaks=0", TRUE);
  RUN (test_many);
  return check_done ();
}
