/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * mean-image.c: reads the mean image of nvinfer's mean-file: a binary PPM.
 */
#include "engine/mean-image.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define INVALID(...) g_set_error (error, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT, __VA_ARGS__)

G_DEFINE_AUTOPTR_CLEANUP_FUNC (FILE, fclose)

/* --- The header ------------------------------------------------------------------------------ */

/* The next character that is neither space nor part of a comment. */
static int
skip_blanks (FILE *file)
{
  int c = fgetc (file);

  while (g_ascii_isspace (c) || c == '#') {
    if (c == '#')
      while (c != '\n' && c != '\r' && c != EOF)
        c = fgetc (file);
    else
      c = fgetc (file);
  }
  return c;
}

/* A decimal number and the one character behind it, which has to be white space; -1 for anything else
 * and for what is beyond 65535, the most that the format has. */
static int
read_number (FILE *file)
{
  int c = skip_blanks (file), number = 0;

  if (!g_ascii_isdigit (c))
    return -1;
  for (; g_ascii_isdigit (c); c = fgetc (file)) {
    number = number * 10 + (c - '0');
    if (number > 65535)
      return -1;
  }
  return g_ascii_isspace (c) ? number : -1;
}

static gboolean
read_header (FILE *file, const char *path, EngineMeanImage *image, GError **error)
{
  char magic[2] = "";
  int most;

  if (fread (magic, 1, 2, file) != 2 || magic[0] != 'P' || (magic[1] != '5' && magic[1] != '6')) {
    INVALID (
        "mean-file: '%s' does not begin with P6: it is no binary PPM%s. ImageMagick's \"convert mean.png "
        "-depth 8 mean.ppm\" writes one; a .binaryproto of Caffe, which holds floats, has to be rounded to "
        "bytes and written as such",
        path, magic[0] == 'P' && magic[1] == '3' ? ", but one in ASCII" : "");
    return FALSE;
  }
  image->channels = magic[1] == '6' ? 3 : 1;
  image->width = read_number (file);
  image->height = read_number (file);
  most = read_number (file);
  if (image->width < 1 || image->height < 1 || image->width > ENGINE_MAX_SIDE ||
      image->height > ENGINE_MAX_SIDE || most < 1) {
    INVALID ("mean-file: the header of '%s' is not \"P%d WIDTH HEIGHT 255\" with sides of 1 to %d",
        path, image->channels == 3 ? 6 : 5, ENGINE_MAX_SIDE);
    return FALSE;
  }
  if (most != 255) {
    INVALID (
        "mean-file: the largest value of '%s' is %d, but pixels are bytes: it must be 255 (\"convert "
        "-depth 8\" writes such a file)",
        path, most);
    return FALSE;
  }
  return TRUE;
}

/* --- The pixels ------------------------------------------------------------------------------ */

static gboolean
read_failed (const char *path, GError **error)
{
  const int code = errno;

  g_set_error (error, G_FILE_ERROR, g_file_error_from_errno (code),
      "mean-file: '%s' cannot be read: %s", path, g_strerror (code));
  return FALSE;
}

/* The length is asked for first: nothing is allocated on a header's word alone. */
static gboolean
read_pixels (FILE *file, const char *path, EngineMeanImage *image, GError **error)
{
  const gsize size = (gsize) image->width * image->height * image->channels;
  const long at = ftell (file);
  struct stat status;

  if (at < 0 || fstat (fileno (file), &status) != 0)
    return read_failed (path, error);
  if (!S_ISREG (status.st_mode)) {
    INVALID ("mean-file: '%s' is no regular file", path);
    return FALSE;
  }
  if ((guint64) status.st_size < (guint64) at + size) {
    INVALID ("mean-file: '%s' is truncated: a picture of %dx%d has %" G_GSIZE_FORMAT
             " bytes behind its header, here are %" G_GINT64_FORMAT,
        path, image->width, image->height, size, (gint64) status.st_size - at);
    return FALSE;
  }
  image->pixels = g_try_malloc (size);
  if (!image->pixels) {
    errno = ENOMEM;
    return read_failed (path, error);
  }
  errno = EIO; /* where the file became shorter meanwhile */
  return fread (image->pixels, 1, size, file) == size || read_failed (path, error);
}

static void
describe (EngineMeanImage *image)
{
  const gsize size = (gsize) image->width * image->height * image->channels;
  g_autoptr (GChecksum) sum = g_checksum_new (G_CHECKSUM_SHA256);
  g_autofree char *header = g_strdup_printf ("P%d\n%d %d\n255\n", image->channels == 3 ? 6 : 5,
      image->width, image->height);

  g_checksum_update (sum, (const guchar *) header, -1);
  for (gsize at = 0; at < size;
       at += 1 << 30) /* a length is a gssize, and on some machines 32 bits */
    g_checksum_update (sum, image->pixels + at, (gssize) MIN (size - at, 1 << 30));
  g_strlcpy (image->sha256, g_checksum_get_string (sum), sizeof image->sha256);
  memset (image->lo, 255, sizeof image->lo);
  memset (image->hi, 0, sizeof image->hi);
  for (gsize i = 0; i < size; i++) {
    const gsize k = i % (gsize) image->channels;

    image->lo[k] = MIN (image->lo[k], image->pixels[i]);
    image->hi[k] = MAX (image->hi[k], image->pixels[i]);
  }
}

/* --- One for each content -------------------------------------------------------------------- */

/* Takes the image. */
static const EngineMeanImage *
intern (EngineMeanImage *image)
{
  static GMutex lock;
  static GHashTable *known; /* by sha256 */
  EngineMeanImage *kept;

  g_mutex_lock (&lock);
  if (!known)
    known = g_hash_table_new (g_str_hash, g_str_equal);
  kept = g_hash_table_lookup (known, image->sha256);
  if (!kept) {
    kept = image;
    g_hash_table_insert (known, kept->sha256, kept);
  }
  g_mutex_unlock (&lock);
  if (kept != image) {
    g_free (image->pixels);
    g_free (image);
  }
  return kept;
}

const EngineMeanImage *
engine_mean_image_read (const char *path, GError **error)
{
  g_autofree char *shown = g_filename_display_name (path);
  g_autoptr (FILE) file = fopen (path, "rbe");
  EngineMeanImage image = {0};

  if (!file) {
    read_failed (shown, error);
    return NULL;
  }
  if (!read_header (file, shown, &image, error) || !read_pixels (file, shown, &image, error)) {
    g_free (image.pixels);
    return NULL;
  }
  describe (&image);
  return intern (g_memdup2 (&image, sizeof image));
}
