/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * format-flatbuffers.c: ONNX Runtime's calibration.flatbuffers, the form of its table that its TensorRT
 * provider reads. A FlatBuffer of this schema, values being numbers as text:
 *
 *   table TrtTable { dict: [KeyValue]; }
 *   table KeyValue { key: string; value: string; }     root_type TrtTable
 *
 * Little-endian. A table begins with the (signed, backward) distance of its vtable, two bytes each: the
 * vtable's size, the table's, and where in the table the fields are, 0 being absent. Tables, strings and
 * vectors are referred to by unsigned distances forward; strings and vectors begin with their length.
 */
#include "calib/private.h"

#define MAX_ENTRIES (1u << 20)

/* --- Reading: every distance comes from the file --------------------------------------------- */

typedef struct {
  const guint8 *data;
  gsize size;
} Buffer;

/* n bytes at `at`, little-endian; FALSE where they are not all in the buffer. */
static gboolean
get (const Buffer *b, gsize at, guint n, guint32 *value)
{
  if (at > b->size || b->size - at < n)
    return FALSE;
  *value = 0;
  for (guint i = n; i-- > 0;)
    *value = *value << 8 | b->data[at + i];
  return TRUE;
}

/* What the distance at `at` leads to. */
static gboolean
follow (const Buffer *b, gsize at, gsize *target)
{
  guint32 distance;

  if (!get (b, at, 4, &distance) || distance == 0)
    return FALSE;
  *target = at + distance;
  return *target < b->size;
}

/* What a field of the table at `table` refers to. */
static gboolean
follow_field (const Buffer *b, gsize table, guint field, gsize *target)
{
  guint32 back, vtable_size, offset;

  if (!get (b, table, 4, &back))
    return FALSE;
  const gint64 vtable = (gint64) table - (gint32) back;
  if (vtable < 0 || !get (b, (gsize) vtable, 2, &vtable_size) || vtable_size < 6 + 2 * field ||
      !get (b, (gsize) vtable + 4 + 2 * field, 2, &offset) || offset < 4)
    return FALSE;
  return follow (b, table + offset, target);
}

static char *
get_string (const Buffer *b, gsize table, guint field)
{
  gsize at;
  guint32 n;

  if (!follow_field (b, table, field, &at) || !get (b, at, 4, &n) || n > b->size - at - 4 ||
      memchr (b->data + at + 4, 0, n))
    return NULL;
  return g_strndup ((const char *) b->data + at + 4, n);
}

CalibDynamicRanges *
calib_ort_flatbuffers_parse (const char *data, gsize size, const char *name, GError **error)
{
  g_autoptr (CalibDynamicRanges) ranges = calib_dynamic_ranges_new ();
  const Buffer b = {(const guint8 *) data, size};
  gsize root, dict, entry;
  guint32 n;

  if (!follow (&b, 0, &root) || !follow_field (&b, root, 0, &dict) || !get (&b, dict, 4, &n) ||
      n > MAX_ENTRIES || n > (size - dict) / 4) {
    calib_format_fail (error, name, 0,
        "this is no calibration.flatbuffers, or it ends early: its list of tensors is not in it");
    return NULL;
  }
  for (guint32 i = 0; i < n; i++) {
    const gboolean found = follow (&b, dict + 4 + 4 * (gsize) i, &entry);
    g_autofree char *key = found ? get_string (&b, entry, 0) : NULL;
    g_autofree char *value = found ? get_string (&b, entry, 1) : NULL;
    double t;

    if (!key || !*key || !value || !calib_format_read_number (value, &t) || t < 0) {
      calib_format_fail (error, name, 0,
          "entry %u has no name, or no largest magnitude (`%.40s`): the file is damaged", i,
          value ? value : "");
      return NULL;
    }
    if (!calib_format_add (ranges, key, -t, t, name, 0, error))
      return NULL;
  }
  return g_steal_pointer (&ranges);
}

/* --- Writing: front to back, so that all distances are known or made good --------------------- */

static void
put_distance (GByteArray *out, guint at)
{
  const guint32 distance = GUINT32_TO_LE (out->len - at);
  memcpy (out->data + at, &distance, 4);
}

static void
put_string (GByteArray *out, const char *text)
{
  const guint n = (guint) strlen (text);

  calib_write_le (out, n, 4);
  g_byte_array_append (out, (const guint8 *) text, n);
  calib_write_le (out, 0, 4 - n % 4); /* a zero at the end, and to a multiple of 4 */
}

char *
calib_ort_flatbuffers_write (const CalibDynamicRanges *ranges, gsize *size)
{
  /* the root's distance; vtables of TrtTable (with 2 bytes to fill) and of KeyValue; TrtTable */
  static const guint8 head[] = {24, 0, 0, 0, 6, 0, 8, 0, 4, 0, 0, 0, 8, 0, 12, 0, 4, 0, 8, 0, 0, 0,
      0, 0, 20, 0, 0, 0, 4, 0, 0, 0};
  enum { VTABLE = 12 };
  const guint n = calib_dynamic_ranges_n_entries (ranges);
  GByteArray *out = g_byte_array_new ();

  g_byte_array_append (out, head, sizeof head);
  calib_write_le (out, n, 4);
  const guint list = out->len;
  for (guint i = 0; i < n; i++)
    calib_write_le (out, 0, 4);
  for (guint i = 0; i < n; i++) {
    char number[CALIB_NUMBER_SIZE];
    double lo, hi;
    const char *name = calib_dynamic_ranges_entry (ranges, i, &lo, &hi);
    const guint table = out->len;

    put_distance (out, list + 4 * i);
    calib_write_le (out, table - VTABLE, 4);
    calib_write_le (out, 0, 8);
    put_distance (out, table + 4);
    put_string (out, name);
    put_distance (out, table + 8);
    put_string (out, calib_format_number (number, MAX (ABS (lo), ABS (hi))));
  }
  *size = out->len;
  return (char *) g_byte_array_free (out, FALSE);
}
