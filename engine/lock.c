/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * lock.c: a lock file beside the file that it protects.
 *
 * The holder removes the file before it lets go. Whoever gets a lock therefore looks whether the
 * name still means the file that was locked, and begins again where it does not.
 */
#include "engine/lock.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define POLL_MICROSECONDS 20000 /* how often a waiting builder looks whether it is cancelled */

struct _EngineLock {
  char *path;
  int fd;
};

static gboolean
fail (const char *path, const char *what, GError **error)
{
  const int saved = errno;
  g_autofree char *shown = g_filename_display_name (path);

  g_set_error (error, G_FILE_ERROR, g_file_error_from_errno (saved), "cannot %s '%s': %s", what,
      shown, g_strerror (saved));
  return FALSE;
}

static gboolean
still_named (const EngineLock *lock)
{
  struct stat locked, named;

  return fstat (lock->fd, &locked) == 0 && lstat (lock->path, &named) == 0 &&
         locked.st_dev == named.st_dev && locked.st_ino == named.st_ino;
}

static gboolean
wait_for (const EngineLock *lock, GCancellable *cancellable, GError **error)
{
  while (flock (lock->fd, LOCK_EX | LOCK_NB) < 0) {
    if (errno != EWOULDBLOCK && errno != EINTR)
      return fail (lock->path, "lock", error);
    if (g_cancellable_set_error_if_cancelled (cancellable, error))
      return FALSE;
    g_usleep (POLL_MICROSECONDS);
  }
  return TRUE;
}

EngineLock *
engine_lock_take (const char *path, GCancellable *cancellable, GError **error)
{
  g_autoptr (EngineLock) lock = g_new0 (EngineLock, 1);

  lock->path = g_strconcat (path, ".lock", NULL);
  lock->fd = -1;
  for (;;) {
    lock->fd = open (lock->path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0666);
    if (lock->fd < 0) {
      fail (lock->path, "make the lock", error);
      return NULL;
    }
    if (!wait_for (lock, cancellable, error))
      break;
    if (still_named (lock))
      return g_steal_pointer (&lock);
    close (lock->fd);
  }
  /* Not ours to remove. */
  close (lock->fd);
  lock->fd = -1;
  return NULL;
}

void
engine_lock_release (EngineLock *lock)
{
  if (!lock)
    return;
  if (lock->fd >= 0) {
    (void) unlink (lock->path); /* where that fails, an unlocked file stays, which is harmless */
    close (lock->fd);
  }
  g_free (lock->path);
  g_free (lock);
}
