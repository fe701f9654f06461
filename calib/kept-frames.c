/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * kept-frames.c: the k frames with the smallest SHA-256 of all that were offered. A hash is as good
 * as a draw at random, and a set's smallest k elements do not depend on who looks at them in which
 * order: sampling that merges exactly.
 */
#include "calib/private.h"

#define BLOCK 1024

struct _CalibFrame {
  guint8 sha256[CALIB_DIGEST];
  gsize n;
  float x[];
};

/* The first values, at most BLOCK of them; returns their size in bytes. */
static gsize
to_little_endian (const float *x, gsize n, guint32 words[BLOCK])
{
  const gsize count = MIN (n, BLOCK);

  memcpy (words, x, count * sizeof *words);
  for (gsize k = 0; k < count; k++)
    words[k] = GUINT32_TO_LE (words[k]);
  return count * sizeof *words;
}

static void
digest_of (const float *x, gsize n, guint8 sha256[CALIB_DIGEST])
{
  g_autoptr (GChecksum) checksum = g_checksum_new (G_CHECKSUM_SHA256);
  gsize length = CALIB_DIGEST;

  for (gsize i = 0; i < n; i += BLOCK) {
    guint32 words[BLOCK];
    const gsize bytes = to_little_endian (x + i, n - i, words);
    g_checksum_update (checksum, (const guchar *) words, (gssize) bytes);
  }
  g_checksum_get_digest (checksum, sha256, &length);
}

static const CalibFrame *
frame_at (const CalibStatistics *s, guint index)
{
  return s->frames->pdata[index];
}

static CalibFrame *
frame_new (const guint8 sha256[CALIB_DIGEST], const float *x, gsize n)
{
  CalibFrame *frame = g_malloc (sizeof *frame + n * sizeof *x);
  memcpy (frame->sha256, sha256, CALIB_DIGEST);
  frame->n = n;
  memcpy (frame->x, x, n * sizeof *x);
  return frame;
}

/* Where the hash is or belongs; *found says which. */
static guint
position (const CalibStatistics *s, const guint8 sha256[CALIB_DIGEST], gboolean *found)
{
  guint low = 0, high = s->frames->len;

  *found = FALSE;
  while (low < high) {
    const guint middle = low + (high - low) / 2;
    const int order = memcmp (frame_at (s, middle)->sha256, sha256, CALIB_DIGEST);
    if (order == 0) {
      *found = TRUE;
      return middle;
    }
    if (order < 0)
      low = middle + 1;
    else
      high = middle;
  }
  return low;
}

static void
offer (CalibStatistics *s, const guint8 sha256[CALIB_DIGEST], const float *x, gsize n)
{
  gboolean found;
  const guint at = position (s, sha256, &found);

  if (found || at >= s->keep)
    return;
  if (s->frames->len == s->keep)
    g_ptr_array_set_size (s->frames, (int) s->keep - 1);
  g_ptr_array_insert (s->frames, (int) at, frame_new (sha256, x, n));
}

void
calib_statistics_keep_frames (CalibStatistics *s, guint k)
{
  g_return_if_fail (k <= CALIB_MAX_KEPT);
  s->keep = k;
  s->in_memory = FALSE;
  if (s->frames->len > k)
    g_ptr_array_set_size (s->frames, (int) k);
}

void
calib_statistics_keep_in_memory (CalibStatistics *s, guint k)
{
  calib_statistics_keep_frames (s, k);
  s->in_memory = TRUE;
}

guint
calib_statistics_keeps (const CalibStatistics *s)
{
  return s->keep;
}

void
calib_statistics_offer_frame (CalibStatistics *s, const float *x, gsize n)
{
  guint8 sha256[CALIB_DIGEST];

  g_return_if_fail (n > 0);
  if (s->keep == 0)
    return;
  digest_of (x, n, sha256);
  offer (s, sha256, x, n);
}

guint
calib_statistics_n_kept (const CalibStatistics *s)
{
  return s->frames->len;
}

const float *
calib_statistics_kept (const CalibStatistics *s, guint index, gsize *n)
{
  g_return_val_if_fail (index < s->frames->len, NULL);
  *n = frame_at (s, index)->n;
  return frame_at (s, index)->x;
}

void
calib_statistics_merge_frames (CalibStatistics *s, const CalibStatistics *from)
{
  if (s == from || from->keep == 0)
    return;
  const gboolean in_memory = (s->keep > 0 && s->in_memory) || from->in_memory;
  calib_statistics_keep_frames (s, s->keep > 0 ? MIN (s->keep, from->keep) : from->keep);
  s->in_memory = in_memory;
  for (guint i = 0; i < from->frames->len; i++) {
    const CalibFrame *frame = frame_at (from, i);
    offer (s, frame->sha256, frame->x, frame->n);
  }
}

/* --- In a file ------------------------------------------------------------------------------ */

void
calib_statistics_write_frames (const CalibStatistics *s, GByteArray *out)
{
  calib_write_varint (out, s->keep);
  calib_write_varint (out, s->frames->len);
  for (guint i = 0; i < s->frames->len; i++) {
    const CalibFrame *frame = frame_at (s, i);
    calib_write_varint (out, frame->n);
    for (gsize k = 0; k < frame->n; k += BLOCK) {
      guint32 words[BLOCK];
      const gsize bytes = to_little_endian (frame->x + k, frame->n - k, words);
      g_byte_array_append (out, (const guint8 *) words, (guint) bytes);
    }
  }
}

gsize
calib_statistics_frames_size (const CalibStatistics *s)
{
  gsize size = 0;
  for (guint i = 0; i < s->frames->len; i++)
    size += 4 * frame_at (s, i)->n;
  return size;
}

gboolean
calib_statistics_read_frames (CalibReader *r, CalibStatistics *s)
{
  const guint64 keep = calib_read_varint (r), n_frames = calib_read_varint (r);

  if (r->failed || keep == 0 || keep > CALIB_MAX_KEPT || n_frames > keep)
    return FALSE;
  s->keep = (guint) keep;
  for (guint i = 0; i < n_frames; i++) {
    const guint64 n = calib_read_varint (r);
    guint8 sha256[CALIB_DIGEST];

    if (n == 0 || n > calib_reader_left (r) / 4)
      return FALSE;
    const guint8 *bytes = calib_read_bytes (r, 4 * n);
    CalibFrame *frame = g_malloc (sizeof *frame + n * sizeof (float));
    memcpy (frame->x, bytes, 4 * n);
    for (gsize k = 0; k < n; k++)
      frame->x[k] = calib_float (GUINT32_FROM_LE (calib_bits (frame->x[k])));
    frame->n = n;
    digest_of (frame->x, n, sha256);
    memcpy (frame->sha256, sha256, CALIB_DIGEST);
    const gboolean rises = i == 0 || memcmp (frame_at (s, i - 1)->sha256, sha256, CALIB_DIGEST) < 0;
    g_ptr_array_add (s->frames, frame);
    if (!rises)
      return FALSE;
  }
  return TRUE;
}
