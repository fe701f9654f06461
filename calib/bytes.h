/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * bytes.h: little-endian numbers and LEB128 integers, written to a GByteArray and read from bytes
 * that nobody vouches for. A reader that failed once goes on failing and returns zeros, so callers
 * check once per group of fields. Integers must have their shortest form: one state, one text.
 */
#pragma once

#include <glib.h>
#include <string.h>

typedef struct {
  const guint8 *at, *end;
  gboolean failed;
} CalibReader;

static inline gsize
calib_reader_left (const CalibReader *r)
{
  return r->failed ? 0 : (gsize) (r->end - r->at);
}

static inline const guint8 *
calib_read_bytes (CalibReader *r, gsize n)
{
  if (calib_reader_left (r) < n) {
    r->failed = TRUE;
    return NULL;
  }
  r->at += n;
  return r->at - n;
}

static inline guint64
calib_read_le (CalibReader *r, guint n_bytes)
{
  const guint8 *bytes = calib_read_bytes (r, n_bytes);
  guint64 value = 0;
  for (guint i = n_bytes; bytes && i-- > 0;)
    value = value << 8 | bytes[i];
  return value;
}

static inline void
calib_write_le (GByteArray *out, guint64 value, guint n_bytes)
{
  for (guint i = 0; i < n_bytes; i++, value >>= 8)
    g_byte_array_append (out, &(guint8){(guint8) value}, 1);
}

__extension__ typedef unsigned __int128 CalibUint128;

/* `bits` is 64 or 128: the width that the value must fit in. */
static inline CalibUint128
calib_read_varint_wide (CalibReader *r, guint bits)
{
  CalibUint128 value = 0;
  for (guint shift = 0; shift < bits; shift += 7) {
    const guint8 *byte = calib_read_bytes (r, 1);
    if (!byte)
      return 0;
    const CalibUint128 seven = *byte & 0x7f;
    if (bits - shift < 7 && seven >> (bits - shift) != 0)
      break; /* does not fit */
    value |= seven << shift;
    if (*byte & 0x80)
      continue;
    if (*byte == 0 && shift > 0)
      break; /* not the shortest form */
    return value;
  }
  r->failed = TRUE;
  return 0;
}

static inline guint64
calib_read_varint (CalibReader *r)
{
  return (guint64) calib_read_varint_wide (r, 64);
}

static inline void
calib_write_varint (GByteArray *out, CalibUint128 value)
{
  for (; value >= 0x80; value >>= 7)
    g_byte_array_append (out, &(guint8){(guint8) (value | 0x80)}, 1);
  g_byte_array_append (out, &(guint8){(guint8) value}, 1);
}

/* Length + 1 and the bytes; 0 stands for NULL. */
static inline void
calib_write_string (GByteArray *out, const char *text)
{
  const gsize n = text ? strlen (text) : 0;
  calib_write_varint (out, text ? (CalibUint128) n + 1 : 0);
  if (n > 0)
    g_byte_array_append (out, (const guint8 *) text, n);
}

static inline char *
calib_read_string (CalibReader *r)
{
  const guint64 n = calib_read_varint (r);
  if (n == 0)
    return NULL;
  const guint8 *bytes = n - 1 <= calib_reader_left (r) ? calib_read_bytes (r, n - 1) : NULL;
  if (!bytes || memchr (bytes, 0, n - 1)) {
    r->failed = TRUE;
    return NULL;
  }
  return g_strndup ((const char *) bytes, n - 1);
}
