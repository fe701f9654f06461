/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * file.c: whole files, read with a limit and replaced atomically; the error domain.
 */
#include "calib/private.h"

#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <limits.h>
#include <sys/stat.h>
#include <unistd.h>

/* clang-format off */
G_DEFINE_QUARK (calib-error-quark, calib_error)
/* clang-format on */

/* --- Reading -------------------------------------------------------------------------------- */

static void
set_errno (GError **error, int saved, const char *what, const char *path)
{
  g_autofree char *shown = g_filename_display_name (path);
  g_set_error (error, G_FILE_ERROR, g_file_error_from_errno (saved), "%s '%s': %s", what, shown,
      g_strerror (saved));
}

char *
calib_file_read (const char *path, gsize limit, const char *what, gsize *size, GError **error)
{
  g_autofree char *reading = g_strdup_printf ("cannot read the %s", what);
  const int fd = g_open (path, O_RDONLY | O_CLOEXEC, 0);
  if (fd < 0) {
    set_errno (error, errno, reading, path);
    return NULL;
  }

  /* Grows with what was really read: a file's stated size is a promise, a pipe has none. */
  g_autoptr (GByteArray) bytes = g_byte_array_new ();
  gsize used = 0;
  for (;;) {
    g_byte_array_set_size (bytes, used + CLAMP (used, 65536, 1 << 24));
    const ssize_t n = read (fd, bytes->data + used, bytes->len - used - 1);
    if (n < 0 && errno == EINTR)
      continue;
    if (n < 0) {
      set_errno (error, errno, reading, path);
      close (fd);
      return NULL;
    }
    if (n == 0)
      break;
    used += n;
    if (used > limit) {
      g_autofree char *shown = g_filename_display_name (path);
      g_set_error (error, CALIB_ERROR, CALIB_ERROR_FORMAT,
          "'%s' is larger than %" G_GSIZE_FORMAT " bytes: it cannot be a %s", shown, limit, what);
      close (fd);
      return NULL;
    }
  }
  close (fd);
  bytes->data[used] = '\0';
  *size = used;
  return (char *) g_byte_array_free (g_steal_pointer (&bytes), FALSE);
}

/* --- Replacing ------------------------------------------------------------------------------ */

static gboolean
fail (GError **error, int saved, const char *path)
{
  g_autofree char *shown = g_filename_display_name (path);
  const char *hint = "";
  switch (saved) {
  case ENOSPC:
  case EDQUOT:
  case EFBIG:
    hint = "; free some space or write elsewhere";
    break;
  case EINVAL:
    hint = "; it is a device, a pipe or a socket: name a file";
    break;
  case ENOENT:
  case ENOTDIR:
    hint = "; make the folder first";
    break;
  case EACCES:
  case EPERM:
  case EROFS:
    hint = "; choose a folder that you may write to";
    break;
  default:
    break;
  }
  g_set_error (error, G_FILE_ERROR, g_file_error_from_errno (saved),
      "cannot write '%s': %s (nothing was changed%s)", shown, g_strerror (saved), hint);
  return FALSE;
}

/* The file that path names in the end: a link stays a link, and what it points to is replaced, as
 * an editor does. It may not exist. NULL with errno on a loop. */
static char *
follow_links (const char *path)
{
  g_autofree char *target = g_strdup (path);
  for (int i = 0; i < 40; i++) {
    char link[PATH_MAX];
    const ssize_t n = readlink (target, link, sizeof link - 1);
    if (n < 0)
      return g_steal_pointer (&target); /* no link; any other trouble shows when it is used */
    link[n] = '\0';
    g_autofree char *folder = g_path_get_dirname (target);
    g_free (target);
    target = g_path_is_absolute (link) ? g_strdup (link) : g_build_filename (folder, link, NULL);
  }
  errno = ELOOP;
  return NULL;
}

/* A new file in the folder, with the permissions that any new file gets. */
static int
make_temporary (int folder, char name[32])
{
  for (int i = 0; i < 100; i++) {
    g_snprintf (name, 32, ".int8-%08x%08x.tmp", g_random_int (), g_random_int ());
    const int fd =
        openat (folder, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0666);
    if (fd >= 0 || errno != EEXIST)
      return fd;
  }
  return -1;
}

/* 0 or an errno. */
static int
write_all (int fd, const char *data, gsize size)
{
  while (size > 0) {
    const ssize_t n = write (fd, data, MIN (size, 1 << 30));
    if (n < 0 && errno == EINTR)
      continue;
    if (n < 0)
      return errno;
    data += n;
    size -= n;
  }
  return 0;
}

/* The permissions of the old file; its owner too, where this process may give files away. */
static int
copy_permissions (int fd, const struct stat *old)
{
  struct stat now;
  if (fstat (fd, &now) < 0)
    return errno;
  if ((now.st_uid != old->st_uid || now.st_gid != old->st_gid) &&
      fchown (fd, old->st_uid, old->st_gid) < 0 && errno != EPERM)
    return errno;
  return fchmod (fd, old->st_mode & 0777) < 0 ? errno : 0;
}

/* Writes the temporary file and puts it in place of `name`. 0 or an errno; then nothing is left. */
static int
replace_in (int folder, const char *name, const void *data, gsize size)
{
  char temporary[32];
  struct stat old;
  const gboolean exists = fstatat (folder, name, &old, AT_SYMLINK_NOFOLLOW) == 0;
  if (!exists && errno != ENOENT)
    return errno;
  /* Renaming would put a file in the place of a device or a pipe. */
  if (exists && !S_ISREG (old.st_mode))
    return S_ISDIR (old.st_mode) ? EISDIR : EINVAL;

  const int fd = make_temporary (folder, temporary);
  if (fd < 0)
    return errno;
  int failed = write_all (fd, data, size);
  if (!failed && exists)
    failed = copy_permissions (fd, &old);
  if (!failed && fsync (fd) < 0)
    failed = errno;
  if (close (fd) < 0 && !failed)
    failed = errno;
  if (!failed && renameat (folder, temporary, folder, name) < 0)
    failed = errno;
  if (failed)
    (void) unlinkat (folder, temporary, 0);
  return failed;
}

gboolean
calib_file_replace (const char *path, const void *data, gsize size, GError **error)
{
  g_autofree char *target = follow_links (path);
  if (!target)
    return fail (error, errno, path);
  g_autofree char *folder_name = g_path_get_dirname (target);
  g_autofree char *name = g_path_get_basename (target);

  const int folder = open (folder_name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (folder < 0)
    return fail (error, errno, path);
  const int failed = replace_in (folder, name, data, size);
  /* Makes the new name survive a loss of power. Some file systems have no such thing (EINVAL). */
  const int unsynced = !failed && fsync (folder) < 0 && errno != EINVAL ? errno : 0;
  close (folder);
  if (failed)
    return fail (error, failed, path);
  if (unsynced) {
    set_errno (error, unsynced, "written, but a loss of power may bring back the old", path);
    return FALSE;
  }
  return TRUE;
}
