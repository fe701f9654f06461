/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * idx.h: images and labels of MNIST's IDX format, gzipped: a header of 16 bytes for images of 28 x 28,
 * of 8 for labels, then bytes.
 */
#pragma once

#include <gio/gio.h>

#define IDX_PIXELS (28 * 28)
#define IDX_IMAGES 16 /* header */
#define IDX_LABELS 8

/* `size` bytes of a file behind its header and `skip` more. Stops the program on a broken file. */
static inline guint8 *
idx_read (const char *path, gsize header, gsize skip, gsize size)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (GFile) file = g_file_new_for_path (path);
  g_autoptr (GFileInputStream) packed = g_file_read (file, NULL, &error);
  gsize n_read;

  if (!packed)
    g_error ("%s: %s", path, error->message);
  g_autoptr (GZlibDecompressor) gunzip = g_zlib_decompressor_new (G_ZLIB_COMPRESSOR_FORMAT_GZIP);
  g_autoptr (GInputStream) stream =
      g_converter_input_stream_new (G_INPUT_STREAM (packed), G_CONVERTER (gunzip));
  g_autofree guint8 *bytes = g_malloc (header + skip + size);
  if (!g_input_stream_read_all (stream, bytes, header + skip + size, &n_read, NULL, &error) ||
      n_read != header + skip + size)
    g_error ("%s: %s", path, error ? error->message : "the file is too short");
  return g_memdup2 (bytes + header + skip, size);
}
