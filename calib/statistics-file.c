/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * statistics-file.c: the .int8stats file. Little-endian; u is an unsigned LEB128 integer in its
 * shortest form, z the same for a signed one (zigzag), string is u length + 1 and bytes (0: none).
 *
 *   0   8   magic 89 49 38 53 54 41 54 0a ("\x89I8STAT\n": a text-mode copy damages it visibly)
 *   8   4   version, 1
 *   12  4   flags: CalibHistogramFlags
 *   16  8   size of the whole file
 *   24      string model_sha256, preprocess_sha256, source, tool; u frames; u tensors
 *           each tensor:
 *             string name; u channels, n, n_zero, n_nonfinite; float32 min, max
 *             bins of the positive, then of the negative half (the exponent follows from min, max)
 *             channels times: z sum; where n_nonfinite > 0, channels times: u non-finite values
 *             u 0 or 1: TensorRT's histogram follows: float64 range; bins
 *   end-32  SHA-256 of all bytes before it
 *
 *   bins: u number of bins up to the last that is not empty; then for each: u count, where 0 is
 *         followed by u length - 1 of the run of empty bins that starts there
 *
 * There is one text for one state: what loads is written back byte for byte. A file needs at most
 * 272 KiB a tensor and 24 times its size to load, and what cannot have come from
 * calib_histogram_add() is refused, so that no later computation meets a contradiction.
 */
#include "calib/bytes.h"
#include "calib/private.h"

#include <math.h>

#define MAGIC         "\x89I8STAT\n"
#define VERSION       1
#define HEADER        24
#define DIGEST        32
#define MAX_FILE_SIZE (1024u * 1024 * 1024)
#define ALL_FLAGS     CALIB_HISTOGRAM_TENSORRT

/* --- Writing -------------------------------------------------------------------------------- */

static guint64
float_bits (float x)
{
  guint32 bits;
  memcpy (&bits, &x, sizeof bits);
  return bits;
}

static void
write_bins (GByteArray *out, const guint64 *bins, guint n)
{
  while (n > 0 && bins[n - 1] == 0)
    n--;
  calib_write_varint (out, n);
  for (guint j = 0; j < n; j++) {
    calib_write_varint (out, bins[j]);
    if (bins[j] != 0)
      continue;
    guint run = 1;
    while (bins[j + run] == 0) /* ends: bins[n - 1] is not empty */
      run++;
    calib_write_varint (out, run - 1);
    j += run - 1;
  }
}

static void
write_tensor (GByteArray *out, const CalibTensor *tensor)
{
  const CalibHistogram *h = tensor->histogram;

  calib_write_string (out, tensor->name);
  calib_write_varint (out, h->channels);
  calib_write_varint (out, h->n);
  calib_write_varint (out, h->n_zero);
  calib_write_varint (out, h->n_nonfinite);
  calib_write_le (out, float_bits (h->min), 4);
  calib_write_le (out, float_bits (h->max), 4);
  write_bins (out, h->bins, CALIB_BINS);
  write_bins (out, h->bins + CALIB_BINS, CALIB_BINS);
  for (guint c = 0; c < h->channels; c++) {
    const CalibSum sum = calib_histogram_sum (h, c);
    calib_write_varint (out, (CalibUint128)sum << 1 ^ (CalibUint128)(sum >> 127));
  }
  for (guint c = 0; h->n_nonfinite > 0 && c < h->channels; c++)
    calib_write_varint (out, h->channel_nonfinite[c]);
  calib_write_varint (out, h->trt != NULL);
  if (h->trt) {
    guint64 bits;
    memcpy (&bits, &h->trt->range, sizeof bits);
    calib_write_le (out, bits, 8);
    write_bins (out, h->trt->bins, CALIB_TRT_BINS);
  }
}

static void
digest (const guint8 *data, gsize size, guint8 sha256[DIGEST])
{
  gsize length = DIGEST;
  GChecksum *checksum = g_checksum_new (G_CHECKSUM_SHA256);
  for (gsize done = 0; done < size;) {
    const gsize n = MIN (size - done, 1 << 30);
    g_checksum_update (checksum, data + done, n);
    done += n;
  }
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

  GByteArray *out = g_byte_array_new ();
  g_byte_array_append (out, (const guint8 *)MAGIC, 8);
  calib_write_le (out, VERSION, 4);
  calib_write_le (out, s->flags, 4);
  calib_write_le (out, 0, 8);
  calib_write_string (out, s->provenance.model_sha256);
  calib_write_string (out, s->provenance.preprocess_sha256);
  calib_write_string (out, s->provenance.source);
  calib_write_string (out, s->provenance.tool);
  calib_write_varint (out, s->provenance.frames);
  calib_write_varint (out, s->tensors->len);
  for (guint i = 0; i < s->tensors->len && out->len <= MAX_FILE_SIZE - DIGEST; i++)
    write_tensor (out, s->tensors->pdata[i]);
  if (out->len > MAX_FILE_SIZE - DIGEST) {
    g_set_error (error, CALIB_ERROR, CALIB_ERROR_FORMAT,
        "the statistics need more than the %u bytes that a file may have", MAX_FILE_SIZE);
    g_byte_array_unref (out);
    return NULL;
  }

  const guint64 size = (guint64)out->len + DIGEST;
  for (guint i = 0; i < 8; i++)
    out->data[16 + i] = (guint8)(size >> (8 * i));
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

/* The sum of the counts is added to *total; FALSE when it overflows. */
static gboolean
read_bins (CalibReader *r, guint64 *bins, guint n_bins, guint64 *total)
{
  const guint64 used = calib_read_varint (r);
  gboolean after_run = FALSE;
  if (used > n_bins)
    return FALSE;
  for (guint j = 0; j < used && !r->failed; j++) {
    bins[j] = calib_read_varint (r);
    if (bins[j] == 0) {
      const guint64 more = calib_read_varint (r);
      /* a run does not follow a run, and a bin follows it that is not empty */
      if (after_run || more >= used - 1 - j)
        return FALSE;
      j += more;
      after_run = TRUE;
      continue;
    }
    after_run = FALSE;
    if (!g_uint64_checked_add (total, *total, bins[j]))
      return FALSE;
  }
  return !r->failed;
}

/* Whether the outermost bins are those that the extrema fall into. */
static gboolean
bins_fit (const CalibHistogram *h)
{
  const float low = h->min > 0 ? h->min : h->max < 0 ? -h->max : 0;
  const float high[2] = {h->max, -h->min};

  for (int half = 0; half < 2; half++) {
    const guint64 *bins = h->bins + half * CALIB_BINS;
    const int last = high[half] > 0 ? (int)ldexpf (high[half], -h->exponent) : -1;
    const int first = low > 0 && last >= 0 ? (int)ldexpf (low, -h->exponent) : 0;
    for (int j = 0; j < CALIB_BINS; j++)
      if (bins[j] != 0 && (j < first || j > last))
        return FALSE;
    if (last >= 0 && (bins[last] == 0 || (low > 0 && bins[first] == 0)))
      return FALSE;
  }
  return TRUE;
}

static gboolean
is_plain (float x)
{
  return isfinite (x) && !(x == 0 && signbit (x));
}

/* What every sequence of calib_histogram_add() and _merge() keeps true. */
static gboolean
is_consistent (const CalibHistogram *h, guint64 n_binned)
{
  if (h->n_nonfinite > h->n || h->n_zero > h->n - h->n_nonfinite ||
      n_binned != calib_histogram_n_binned (h) || (h->channels > 0 && h->n % h->channels != 0) ||
      !is_plain (h->min) || !is_plain (h->max) || h->min > h->max)
    return FALSE;
  if (h->n_zero > 0 && (h->min > 0 || h->max < 0))
    return FALSE;
  /* an extremum of 0 is a zero that was counted, or there is no finite value */
  if (h->n_zero == 0 && n_binned > 0 && (h->min == 0 || h->max == 0))
    return FALSE;
  if (n_binned == 0)
    return h->min == 0 && h->max == 0;
  return calib_histogram_max_abs (h) > 0;
}

static gboolean
read_sums (CalibReader *r, CalibHistogram *h)
{
  guint64 n_nonfinite = 0;

  for (guint c = 0; c < h->channels; c++) {
    const CalibUint128 z = calib_read_varint_wide (r, 128);
    const CalibSum sum = (CalibSum)(z >> 1 ^ -(z & 1));
    /* within what n values can sum up to, and so within high and low */
    const CalibSum most = (CalibSum)(h->n / h->channels) << 61;
    if (sum > most || sum < -most)
      return FALSE;
    calib_histogram_set_sum (h, c, sum);
  }
  if (h->n_nonfinite > 0 && h->channels > 0) {
    h->channel_nonfinite = g_new0 (guint64, h->channels);
    for (guint c = 0; c < h->channels; c++) {
      h->channel_nonfinite[c] = calib_read_varint (r);
      if (h->channel_nonfinite[c] > h->n / h->channels)
        return FALSE;
      n_nonfinite += h->channel_nonfinite[c]; /* at most n */
    }
    if (n_nonfinite != h->n_nonfinite)
      return FALSE;
  }
  return !r->failed;
}

static gboolean
read_trt (CalibReader *r, CalibHistogram *h, CalibHistogramFlags flags)
{
  const guint64 present = calib_read_varint (r);
  if (present == 0)
    return !r->failed;
  if (present != 1 || !(flags & CALIB_HISTOGRAM_TENSORRT))
    return FALSE;

  guint64 n = 0;
  const guint64 bits = calib_read_le (r, 8);
  h->trt = g_new0 (CalibTrtHistogram, 1);
  memcpy (&h->trt->range, &bits, sizeof bits);
  if (!read_bins (r, h->trt->bins, CALIB_TRT_BINS, &n) || n != calib_histogram_n_finite (h))
    return FALSE;
  if (calib_histogram_n_binned (h) == 0)
    return bits == 0;
  /* a float32, doubled until it holds the largest value */
  const double range = h->trt->range;
  return range >= calib_histogram_max_abs (h) && range < 0x1p129 &&
         (double)(float)(range / 2) * 2 == range;
}

/* NULL with nothing said: the caller names the tensor. */
static CalibHistogram *
read_histogram (CalibReader *r, CalibHistogramFlags flags)
{
  const guint64 channels = calib_read_varint (r);
  guint64 n_binned = 0;
  /* every channel takes a byte at least: what is allocated is bounded by the size of the file */
  if (channels > MIN (calib_reader_left (r), G_MAXINT32))
    return NULL;

  g_autoptr (CalibHistogram) h = calib_histogram_new (channels, CALIB_HISTOGRAM_DEFAULT);
  h->n = calib_read_varint (r);
  h->n_zero = calib_read_varint (r);
  h->n_nonfinite = calib_read_varint (r);
  const guint32 min = calib_read_le (r, 4), max = calib_read_le (r, 4);
  memcpy (&h->min, &min, 4);
  memcpy (&h->max, &max, 4);
  if (!read_bins (r, h->bins, CALIB_BINS, &n_binned) ||
      !read_bins (r, h->bins + CALIB_BINS, CALIB_BINS, &n_binned) || !is_consistent (h, n_binned))
    return NULL;
  if (n_binned > 0)
    h->exponent = calib_histogram_exponent_for (calib_histogram_max_abs (h));
  if (!bins_fit (h) || !read_sums (r, h) || !read_trt (r, h, flags))
    return NULL;
  return g_steal_pointer (&h);
}

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
    CalibHistogram *h = read_histogram (r, s->flags);
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
  if (r->at != r->end)
    return fail (error, CALIB_ERROR_FORMAT, name, "there are bytes after the last tensor");
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
  if (version != VERSION || (flags & ~(guint32)ALL_FLAGS))
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
  g_autoptr (CalibStatistics) s = calib_statistics_new (NULL, calib_read_le (&r, 4));
  (void)calib_read_le (&r, 8);
  s->provenance.model_sha256 = calib_read_string (&r);
  s->provenance.preprocess_sha256 = calib_read_string (&r);
  s->provenance.source = calib_read_string (&r);
  s->provenance.tool = calib_read_string (&r);
  s->provenance.frames = calib_read_varint (&r);
  if (!read_tensors (&r, s, name, error))
    return NULL;
  return g_steal_pointer (&s);
}

CalibStatistics *
calib_statistics_load (const char *path, GError **error)
{
  gsize size;
  g_autofree char *data = calib_file_read (path, MAX_FILE_SIZE, "statistics file", &size, error);
  return data ? calib_statistics_parse (data, size, path, error) : NULL;
}
