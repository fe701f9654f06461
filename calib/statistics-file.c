/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * statistics-file.c: the .int8stats file. Little-endian; u is an unsigned LEB128 integer in its
 * shortest form, z the same for a signed one (zigzag), string is u length + 1 and bytes (0: none).
 *
 *   0   8   magic 89 49 38 53 54 41 54 0a ("\x89I8STAT\n": a text-mode copy damages it visibly)
 *   8   4   version, 1
 *   12  4   flags: CalibHistogramFlags; 100 (hex): kept frames follow the tensors
 *   16  8   size of the whole file
 *   24      string model_sha256, preprocess_sha256, source, tool; u frames; u tensors
 *           each tensor:
 *             string name; u channels, n, n_zero, n_nonfinite; float32 min, max
 *             bins of the positive, then of the negative half (the exponent follows from min, max)
 *             channels times: z sum; where n_nonfinite > 0, channels times: u non-finite values
 *             u 0, or 1: TensorRT's histogram follows: float64 range; bins; or 2: the same, and the
 *             tensor is only there for it
 *           with flag 100: u frames kept at most; u frames kept
 *             each frame, in the order of their SHA-256: u values; each value: float32
 *   end-32  SHA-256 of all bytes before it
 *
 *   bins: u number of bins up to the last that is not empty; then for each: u count, where 0 is
 *         followed by u length - 1 of the run of empty bins that starts there
 *
 * There is one text for one state: what loads is written back byte for byte. A file needs at most
 * 272 KiB a tensor and 24 times its size to load, and what cannot have come from
 * calib_histogram_add() is refused, so that no later computation meets a contradiction.
 */
#include "calib/private.h"

#define MAGIC         "\x89I8STAT\n"
#define VERSION       1
#define HEADER        24
#define DIGEST        CALIB_DIGEST
#define MAX_FILE_SIZE (1024u * 1024 * 1024)
#define MAX_CONTENTS  (MAX_FILE_SIZE - DIGEST)
#define FRAMES        0x100
#define ALL_FLAGS     (CALIB_HISTOGRAM_TENSORRT | FRAMES)

/* --- Writing -------------------------------------------------------------------------------- */

static void
digest (const guint8 *data, gsize size, guint8 sha256[DIGEST])
{
  gsize length = DIGEST;
  GChecksum *checksum = g_checksum_new (G_CHECKSUM_SHA256);
  g_checksum_update (checksum, data, (gssize) size);
  g_checksum_get_digest (checksum, sha256, &length);
  g_checksum_free (checksum);
}

GBytes *
calib_statistics_to_bytes (const CalibStatistics *s, GError **error)
{
  if (s->tensors->len > CALIB_STATISTICS_MAX_TENSORS) {
    g_set_error (error, CALIB_ERROR, CALIB_ERROR_FORMAT,
        "%u tensors are more than the %u that a statistics file may hold", s->tensors->len,
        CALIB_STATISTICS_MAX_TENSORS);
    return NULL;
  }

  const gboolean with_frames = s->keep > 0 && !s->in_memory;
  GByteArray *out = g_byte_array_new ();
  g_byte_array_append (out, (const guint8 *) MAGIC, 8);
  calib_write_le (out, VERSION, 4);
  calib_write_le (out, s->flags | (with_frames ? FRAMES : 0), 4);
  calib_write_le (out, 0, 8);
  calib_write_string (out, s->provenance.model_sha256);
  calib_write_string (out, s->provenance.preprocess_sha256);
  calib_write_string (out, s->provenance.source);
  calib_write_string (out, s->provenance.tool);
  calib_write_varint (out, s->provenance.frames);
  calib_write_varint (out, s->tensors->len);
  const gsize frames = with_frames ? calib_statistics_frames_size (s) : 0;
  gboolean fits = frames <= MAX_CONTENTS;
  for (guint i = 0; fits && i < s->tensors->len; i++) {
    const CalibTensor *tensor = s->tensors->pdata[i];
    calib_write_string (out, tensor->name);
    calib_histogram_write (tensor->histogram, out);
    fits = out->len <= MAX_CONTENTS - frames;
  }
  if (fits && with_frames)
    calib_statistics_write_frames (s, out);
  if (!fits || out->len > MAX_CONTENTS) {
    g_set_error (error, CALIB_ERROR, CALIB_ERROR_FORMAT,
        "the statistics need more than the %u bytes that a file may have%s", MAX_FILE_SIZE,
        with_frames ? ": keep fewer frames" : "");
    g_byte_array_unref (out);
    return NULL;
  }

  const guint64 size = (guint64) out->len + DIGEST;
  for (guint i = 0; i < 8; i++)
    out->data[16 + i] = (guint8) (size >> (8 * i));
  guint8 sha256[DIGEST];
  digest (out->data, out->len, sha256);
  g_byte_array_append (out, sha256, DIGEST);
  return g_byte_array_free_to_bytes (out);
}

gboolean
calib_statistics_save (const CalibStatistics *s, const char *path, GError **error)
{
  g_autoptr (GBytes) bytes = calib_statistics_to_bytes (s, error);
  gsize size;
  if (!bytes)
    return FALSE;
  const void *data = g_bytes_get_data (bytes, &size);
  return calib_file_replace (path, data, size, error);
}

/* --- Reading -------------------------------------------------------------------------------- */

static gboolean fail (GError **error, CalibError code, const char *name, const char *format, ...)
    G_GNUC_PRINTF (4, 5);

static gboolean
fail (GError **error, CalibError code, const char *name, const char *format, ...)
{
  va_list args;
  va_start (args, format);
  g_autofree char *text = g_strdup_vprintf (format, args);
  va_end (args);
  g_autofree char *shown = g_filename_display_name (name);
  g_set_error (error, CALIB_ERROR, code, "%s: %s", shown, text);
  return FALSE;
}

static gboolean
read_tensors (CalibReader *r, CalibStatistics *s, const char *name, GError **error)
{
  const guint64 n = calib_read_varint (r);
  if (r->failed || n > CALIB_STATISTICS_MAX_TENSORS)
    return fail (error, CALIB_ERROR_FORMAT, name,
        "the provenance or the number of tensors (at most %u) makes no sense",
        CALIB_STATISTICS_MAX_TENSORS);
  for (guint i = 0; i < n; i++) {
    g_autofree char *tensor_name = calib_read_string (r);
    if (!tensor_name || g_hash_table_contains (s->index, tensor_name))
      return fail (error, CALIB_ERROR_FORMAT, name, "tensor %u has %s", i,
          tensor_name ? "the name of another" : "no name");
    CalibHistogram *h = calib_histogram_read (r, s->flags);
    if (!h) {
      g_autofree char *shown = g_utf8_make_valid (tensor_name, -1);
      return fail (error, CALIB_ERROR_FORMAT, name,
          "tensor %u, '%s': its numbers contradict each other or do not fit into the file", i,
          shown);
    }
    CalibTensor *tensor = g_new (CalibTensor, 1);
    tensor->name = g_steal_pointer (&tensor_name);
    tensor->histogram = h;
    g_ptr_array_add (s->tensors, tensor);
    g_hash_table_insert (s->index, tensor->name, tensor);
  }
  return TRUE;
}

/* Magic, version, size and checksum: from here on the file is whole. */
static gboolean
check_envelope (const guint8 *data, gsize size, const char *name, GError **error)
{
  if (size > 0 && memcmp (data, MAGIC, MIN (size, 8)) != 0)
    return fail (error, CALIB_ERROR_FORMAT, name, "this is no .int8stats file");
  if (size < HEADER + DIGEST)
    return fail (error, CALIB_ERROR_TRUNCATED, name,
        "the file ends after %" G_GSIZE_FORMAT " bytes, within its header", size);
  CalibReader header = {data + 8, data + HEADER, FALSE};
  const guint32 version = calib_read_le (&header, 4);
  const guint32 flags = calib_read_le (&header, 4);
  const guint64 stated = calib_read_le (&header, 8);
  if (version != VERSION || (flags & ~(guint32) ALL_FLAGS))
    return fail (error, CALIB_ERROR_FORMAT, name,
        "version %u (flags %x) of the format is not known: this program reads version %u; use the "
        "program that wrote it, or calibrate again",
        version, flags, VERSION);
  if (size < stated)
    return fail (error, CALIB_ERROR_TRUNCATED, name,
        "the file ends after %" G_GSIZE_FORMAT " of %" G_GUINT64_FORMAT " bytes", size, stated);
  guint8 sha256[DIGEST];
  digest (data, size - DIGEST, sha256);
  if (size > stated || memcmp (sha256, data + size - DIGEST, DIGEST) != 0)
    return fail (error, CALIB_ERROR_FORMAT, name,
        "the file is damaged (%s): restore it from a copy or calibrate again",
        size > stated ? "it is longer than it says" : "its SHA-256 is another");
  return TRUE;
}

CalibStatistics *
calib_statistics_parse (const void *data, gsize size, const char *name, GError **error)
{
  const guint8 *bytes = data;
  if (!check_envelope (bytes, size, name, error))
    return NULL;

  CalibReader r = {bytes + 12, bytes + size - DIGEST, FALSE};
  const guint32 flags = (guint32) calib_read_le (&r, 4);
  g_autoptr (CalibStatistics) s = calib_statistics_new (NULL, flags & ~(guint32) FRAMES);
  (void) calib_read_le (&r, 8);
  s->provenance.model_sha256 = calib_read_string (&r);
  s->provenance.preprocess_sha256 = calib_read_string (&r);
  s->provenance.source = calib_read_string (&r);
  s->provenance.tool = calib_read_string (&r);
  s->provenance.frames = calib_read_varint (&r);
  if (!read_tensors (&r, s, name, error))
    return NULL;
  if ((flags & FRAMES) && !calib_statistics_read_frames (&r, s)) {
    fail (error, CALIB_ERROR_FORMAT, name,
        "the kept frames contradict each other or do not fit into the file");
    return NULL;
  }
  if (r.at != r.end) {
    fail (error, CALIB_ERROR_FORMAT, name, "there are bytes after the last part");
    return NULL;
  }
  return g_steal_pointer (&s);
}

CalibStatistics *
calib_statistics_load (const char *path, GError **error)
{
  gsize size;
  g_autofree char *data = calib_file_read (path, MAX_FILE_SIZE, "statistics file", &size, error);
  return data ? calib_statistics_parse (data, size, path, error) : NULL;
}
