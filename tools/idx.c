/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* idx.c: see idx.h. */
#include "tools/idx.h"

#include <string.h>

static GBytes *
read_all (const char *path, GError **error)
{
  g_autoptr (GFile) file = g_file_new_for_path (path);
  g_autoptr (GFileInputStream) raw = g_file_read (file, NULL, error);
  if (!raw)
    return NULL;

  g_autoptr (GOutputStream) memory = g_memory_output_stream_new_resizable ();
  g_autoptr (GInputStream) buffered = g_buffered_input_stream_new (G_INPUT_STREAM (raw));
  g_autoptr (GInputStream) stream = NULL;
  gsize n = 0;
  if (g_buffered_input_stream_fill (G_BUFFERED_INPUT_STREAM (buffered), 2, NULL, error) < 0)
    return NULL;
  const guint8 *begin =
      g_buffered_input_stream_peek_buffer (G_BUFFERED_INPUT_STREAM (buffered), &n);
  if (n >= 2 && begin[0] == 0x1f && begin[1] == 0x8b) {
    g_autoptr (GConverter) gunzip =
        G_CONVERTER (g_zlib_decompressor_new (G_ZLIB_COMPRESSOR_FORMAT_GZIP));
    stream = g_converter_input_stream_new (buffered, gunzip);
  } else {
    stream = g_object_ref (buffered);
  }
  if (g_output_stream_splice (memory, stream, G_OUTPUT_STREAM_SPLICE_CLOSE_TARGET, NULL, error) <
      0) {
    g_prefix_error (error, "%s cannot be read to its end: ", path);
    return NULL;
  }
  return g_memory_output_stream_steal_as_bytes (G_MEMORY_OUTPUT_STREAM (memory));
}

static int
read_dim (const guint8 *header, int i)
{
  guint32 dim;

  memcpy (&dim, header + 4 + 4 * i, 4);
  return (int) MIN (GUINT32_FROM_BE (dim), 1 << 24);
}

gboolean
idx_load (const char *path, Idx *idx, GError **error)
{
  g_autoptr (GBytes) file = read_all (path, error);
  if (!file)
    return FALSE;

  gsize size;
  const guint8 *p = g_bytes_get_data (file, &size);
  const int rank = size >= 4 ? p[3] : 0;
  if (size < 4 || p[0] || p[1] || p[2] != 8 || (rank != 1 && rank != 3) ||
      size < 4 + 4 * (gsize) rank) {
    g_set_error (error, G_IO_ERROR, G_IO_ERROR_INVALID_DATA,
        "%s is not an IDX file of bytes with rank 1 or 3", path);
    return FALSE;
  }
  idx->rank = rank;
  idx->n = read_dim (p, 0);
  idx->height = rank == 3 ? read_dim (p, 1) : 1;
  idx->width = rank == 3 ? read_dim (p, 2) : 1;
  const gsize header = 4 + 4 * (gsize) rank;
  gsize body; /* the product of the first two is below 2^49 */
  if (!g_size_checked_mul (&body, (gsize) idx->n * idx->height, (gsize) idx->width) ||
      size - header != body) {
    g_set_error (error, G_IO_ERROR, G_IO_ERROR_INVALID_DATA,
        "%s: %" G_GSIZE_FORMAT " bytes follow the header, which announces %d x %d x %d", path,
        size - header, idx->n, idx->height, idx->width);
    return FALSE;
  }
  idx->bytes = g_bytes_new_from_bytes (file, header, body);
  return TRUE;
}

void
idx_clear (Idx *idx)
{
  g_clear_pointer (&idx->bytes, g_bytes_unref);
}

const guint8 *
idx_item (const Idx *idx, int i)
{
  const guint8 *data = g_bytes_get_data (idx->bytes, NULL);

  return data + (gsize) i * idx->height * idx->width;
}
