/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * file.c: calib_file_replace() gives the old file or the new one, whatever happens, and leaves
 * nothing else behind.
 */
#include "tests/calib/common.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static char *folder, *path;

static void
begin (void)
{
  folder = test_folder ();
  path = g_build_filename (folder, "file", NULL);
}

static void
end (void)
{
  test_folder_remove (folder);
  g_clear_pointer (&folder, g_free);
  g_clear_pointer (&path, g_free);
}

static void
check_contents (const char *name, const char *expected)
{
  g_autofree char *text = NULL;
  gsize size = 0;
  CHECK (g_file_get_contents (name, &text, &size, NULL));
  CHECK_STR (text, expected);
  CHECK_INT (size, ==, strlen (expected));
}

static void
test_replace (void)
{
  g_autoptr (GError) error = NULL;
  begin ();
  CHECK_OK (calib_file_replace (path, "one", 3, &error), error);
  check_contents (path, "one");
  CHECK_OK (calib_file_replace (path, "two and more", 12, &error), error);
  check_contents (path, "two and more");
  CHECK_OK (calib_file_replace (path, NULL, 0, &error), error);
  check_contents (path, "");
  CHECK_INT (test_n_files (folder), ==, 1);

  /* in the current folder, by a name of the greatest length */
  char name[256] = {0};
  g_autofree char *here = g_get_current_dir ();
  memset (name, 'n', 255);
  CHECK_INT (g_chdir (folder), ==, 0);
  CHECK_OK (calib_file_replace (name, "x", 1, &error), error);
  check_contents (name, "x");
  CHECK_INT (g_chdir (here), ==, 0);
  end ();
}

static void
test_permissions (void)
{
  g_autoptr (GError) error = NULL;
  struct stat st;
  begin ();
  const mode_t old = umask (027);
  CHECK_OK (calib_file_replace (path, "x", 1, &error), error);
  CHECK (stat (path, &st) == 0);
  CHECK_INT (st.st_mode & 07777, ==, 0640);
  CHECK_INT (chmod (path, 0604), ==, 0);
  CHECK_OK (calib_file_replace (path, "y", 1, &error), error);
  CHECK (stat (path, &st) == 0);
  CHECK_INT (st.st_mode & 07777, ==, 0604);
  if (geteuid () == 0) {
    CHECK_INT (chown (path, 1234, 2345), ==, 0);
    CHECK_OK (calib_file_replace (path, "z", 1, &error), error);
    CHECK (stat (path, &st) == 0 && st.st_uid == 1234 && st.st_gid == 2345);
    CHECK_INT (st.st_mode & 07777, ==, 0604);
  }
  umask (old);
  end ();
}

static void
test_links (void)
{
  g_autoptr (GError) error = NULL;
  begin ();
  g_autofree char *target = g_build_filename (folder, "target", NULL);
  g_autofree char *chain = g_build_filename (folder, "chain", NULL);
  g_autofree char *absolute = g_build_filename (folder, "absolute", NULL);
  CHECK (symlink ("target", path) == 0 && symlink ("file", chain) == 0 &&
         symlink (target, absolute) == 0);
  /* dangling, through two links, absolute: the target is replaced, the links stay */
  CHECK_OK (calib_file_replace (path, "1", 1, &error), error);
  check_contents (target, "1");
  CHECK_OK (calib_file_replace (chain, "2", 1, &error), error);
  check_contents (target, "2");
  CHECK_OK (calib_file_replace (absolute, "3", 1, &error), error);
  check_contents (target, "3");
  CHECK (g_file_test (path, G_FILE_TEST_IS_SYMLINK) &&
         g_file_test (chain, G_FILE_TEST_IS_SYMLINK) &&
         g_file_test (absolute, G_FILE_TEST_IS_SYMLINK));

  g_autofree char *loop = g_build_filename (folder, "loop", NULL);
  CHECK_INT (symlink ("loop", loop), ==, 0);
  CHECK (!calib_file_replace (loop, "x", 1, &error));
  CHECK_ERROR (error, G_FILE_ERROR, G_FILE_ERROR_LOOP, "loop");
  CHECK_INT (test_n_files (folder), ==, 5);
  end ();
}

/* --- Failures ------------------------------------------------------------------------------- */

static void
test_bad_places (void)
{
  g_autoptr (GError) error = NULL;
  begin ();
  g_autofree char *below = g_build_filename (path, "x", NULL);
  CHECK (!calib_file_replace (below, "x", 1, &error));
  CHECK_ERROR (error, G_FILE_ERROR, G_FILE_ERROR_NOENT, "make the folder first");
  CHECK_OK (calib_file_replace (path, "old", 3, &error), error);
  CHECK (!calib_file_replace (below, "x", 1, &error));
  CHECK_ERROR (error, G_FILE_ERROR, G_FILE_ERROR_NOTDIR, below);
  CHECK (!calib_file_replace (folder, "x", 1, &error));
  CHECK_ERROR (error, G_FILE_ERROR, G_FILE_ERROR_ISDIR, folder);
  CHECK (!calib_file_replace ("", "x", 1, &error));
  CHECK (error && error->domain == G_FILE_ERROR);
  g_clear_error (&error);
  /* root could rename a file over a device: a pipe of our own stands for one */
  g_autofree char *pipe_path = g_build_filename (folder, "pipe", NULL);
  CHECK_INT (mkfifo (pipe_path, 0600), ==, 0);
  CHECK (!calib_file_replace (pipe_path, "x", 1, &error));
  CHECK_ERROR (error, G_FILE_ERROR, G_FILE_ERROR_INVAL, "a device, a pipe or a socket");
  CHECK (!g_file_test (pipe_path, G_FILE_TEST_IS_REGULAR));
  CHECK_INT (g_unlink (pipe_path), ==, 0);
  check_contents (path, "old");
  CHECK_INT (test_n_files (folder), ==, 1);
  end ();
}

/* The system call that writes stops in the middle: the limit on the size of files. */
static void
test_file_size_limit (void)
{
  g_autoptr (GError) error = NULL;
  struct rlimit before, limit;
  g_autofree char *data = g_malloc0 (200000);
  begin ();
  CHECK_OK (calib_file_replace (path, "old", 3, &error), error);
  CHECK_INT (getrlimit (RLIMIT_FSIZE, &before), ==, 0);
  limit = before;
  limit.rlim_cur = 100000;
  void (*handler) (int) = signal (SIGXFSZ, SIG_IGN);
  CHECK_INT (setrlimit (RLIMIT_FSIZE, &limit), ==, 0);
  CHECK (!calib_file_replace (path, data, 200000, &error));
  CHECK_INT (setrlimit (RLIMIT_FSIZE, &before), ==, 0);
  signal (SIGXFSZ, handler);
  CHECK_ERROR (error, G_FILE_ERROR, G_FILE_ERROR_FAILED, "nothing was changed; free some space");
  check_contents (path, "old");
  CHECK_INT (test_n_files (folder), ==, 1);
  end ();
}

/* A file system of 64 KiB: the first file fits, its replacement does not. */
static void
test_disk_full (void)
{
  g_autoptr (GError) error = NULL;
  g_autofree char *data = g_malloc0 (200000);
  begin ();
  if (mount ("none", folder, "tmpfs", 0, "size=64k") < 0) {
    const char *why = g_strerror (errno);
    end ();
    SKIP ("a small file system cannot be mounted here: %s", why);
  }
  CHECK_OK (calib_file_replace (path, "old", 3, &error), error);
  CHECK (!calib_file_replace (path, data, 200000, &error));
  CHECK_ERROR (error, G_FILE_ERROR, G_FILE_ERROR_NOSPC, "nothing was changed; free some space");
  check_contents (path, "old");
  CHECK_INT (test_n_files (folder), ==, 1);

  /* a table, a side file and statistics go the same way */
  g_autoptr (CalibTable) table = calib_table_new ("H");
  for (guint i = 0; i < 6000; i++) {
    g_autofree char *name = g_strdup_printf ("tensor %u", i);
    calib_table_set (table, name, 1);
  }
  CHECK (!calib_table_save (table, path, &error));
  CHECK_ERROR (error, G_FILE_ERROR, G_FILE_ERROR_NOSPC, "nothing was changed");
  g_autoptr (CalibStatistics) statistics = calib_statistics_new (NULL, 0);
  g_autofree float *x = g_new (float, 100000);
  Random r = {1};
  for (guint t = 0; t < 5; t++) {
    g_autofree char *name = g_strdup_printf ("%u", t);
    for (guint i = 0; i < 100000; i++)
      x[i] = (float) random_normal (&r);
    calib_histogram_add (calib_statistics_tensor (statistics, name, 0), x, 100000);
  }
  CHECK (!calib_statistics_save (statistics, path, &error));
  CHECK_ERROR (error, G_FILE_ERROR, G_FILE_ERROR_NOSPC, "nothing was changed");
  check_contents (path, "old");
  CHECK_INT (test_n_files (folder), ==, 1);

  /* read-only: not even a temporary file can be made */
  CHECK_INT (mount ("none", folder, "tmpfs", MS_REMOUNT | MS_RDONLY, "size=64k"), ==, 0);
  CHECK (!calib_file_replace (path, "new", 3, &error));
  CHECK_ERROR (error, G_FILE_ERROR, G_FILE_ERROR_ROFS, "choose a folder that you may write to");
  check_contents (path, "old");
  CHECK_INT (umount (folder), ==, 0);
  end ();
}

/* Readers see one of the files, whole, at any time; a writer that is killed does not change that.
 */
static void
test_never_torn (void)
{
  enum { SIZE = 100000 };
  g_autoptr (GError) error = NULL;
  g_autofree char *data = g_malloc (SIZE);
  begin ();
  memset (data, 'a', SIZE);
  CHECK_OK (calib_file_replace (path, data, SIZE, &error), error);
  for (guint round = 0; round < 5; round++) {
    const pid_t writer = fork ();
    if (writer == 0) {
      for (guint i = 0;; i++) {
        memset (data, 'a' + i % 26, SIZE);
        if (!calib_file_replace (path, data, SIZE, NULL))
          _exit (1);
      }
    }
    CHECK (writer > 0);
    for (guint i = 0; i < 200; i++) {
      g_autofree char *text = NULL;
      gsize size = 0;
      CHECK (g_file_get_contents (path, &text, &size, NULL));
      CHECK_INT (size, ==, SIZE);
      for (gsize k = 1; k < size; k++) {
        if (text[k] != text[0]) {
          CHECK_FAIL ("two files in one");
          break;
        }
      }
    }
    int status = 0;
    CHECK (kill (writer, SIGKILL) == 0 && waitpid (writer, &status, 0) == writer);
    CHECK (WIFSIGNALED (status)); /* it did not give up before */
  }
  end ();
}

int
main (void)
{
  RUN (test_replace);
  RUN (test_permissions);
  RUN (test_links);
  RUN (test_bad_places);
  RUN (test_file_size_limit);
  RUN (test_disk_full);
  RUN (test_never_torn);
  return check_done ();
}
