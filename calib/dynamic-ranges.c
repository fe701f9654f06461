/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * dynamic-ranges.c: ranges by tensor name, given by hand, in the text format of NVIDIA's
 * sampleINT8API. Other formats (format.c) are read into the same object.
 */
#include "calib/private.h"

#include <math.h>

#define MAX_FILE_SIZE (64u * 1024 * 1024)

typedef struct {
  char *name;
  double lo, hi;
} Entry;

struct _CalibDynamicRanges {
  GPtrArray *entries; /* of Entry */
  GHashTable *index;  /* name, owned by the entry -> Entry */
};

static void
free_entry (gpointer data)
{
  Entry *entry = data;
  g_free (entry->name);
  g_free (entry);
}

CalibDynamicRanges *
calib_dynamic_ranges_new (void)
{
  CalibDynamicRanges *ranges = g_new (CalibDynamicRanges, 1);
  ranges->entries = g_ptr_array_new_with_free_func (free_entry);
  ranges->index = g_hash_table_new (g_str_hash, g_str_equal);
  return ranges;
}

void
calib_dynamic_ranges_free (CalibDynamicRanges *ranges)
{
  if (!ranges)
    return;
  g_hash_table_unref (ranges->index);
  g_ptr_array_unref (ranges->entries);
  g_free (ranges);
}

void
calib_dynamic_ranges_set (CalibDynamicRanges *ranges, const char *name, double lo, double hi)
{
  g_return_if_fail (isfinite (lo) && isfinite (hi) && lo <= hi);
  Entry *entry = g_hash_table_lookup (ranges->index, name);
  if (!entry) {
    entry = g_new (Entry, 1);
    entry->name = g_strdup (name);
    g_ptr_array_add (ranges->entries, entry);
    g_hash_table_insert (ranges->index, entry->name, entry);
  }
  entry->lo = lo;
  entry->hi = hi;
}

gboolean
calib_dynamic_ranges_lookup (const CalibDynamicRanges *ranges, const char *name, double *lo,
    double *hi)
{
  const Entry *entry = g_hash_table_lookup (ranges->index, name);
  if (!entry)
    return FALSE;
  *lo = entry->lo;
  *hi = entry->hi;
  return TRUE;
}

guint
calib_dynamic_ranges_n_entries (const CalibDynamicRanges *ranges)
{
  return ranges->entries->len;
}

const char *
calib_dynamic_ranges_entry (const CalibDynamicRanges *ranges, guint index, double *lo, double *hi)
{
  g_return_val_if_fail (index < ranges->entries->len, NULL);
  const Entry *entry = ranges->entries->pdata[index];
  if (lo)
    *lo = entry->lo;
  if (hi)
    *hi = entry->hi;
  return entry->name;
}

/* --- Reading -------------------------------------------------------------------------------- */

typedef struct {
  CalibDynamicRanges *ranges;
  const char *name; /* of the file */
} Reader;

/* One or two numbers and nothing else. Returns how many, 0 where the text is something else. */
static int
read_numbers (const char *text, double number[2])
{
  g_auto (GStrv) words = g_strsplit_set (text, " \t\r", -1);
  int n = 0;

  for (char **word = words; *word; word++) {
    if (**word == '\0')
      continue;
    if (n == 2 || !calib_format_read_number (*word, &number[n]))
      return 0;
    n++;
  }
  return n;
}

static gboolean
read_line (char *text, guint line, gpointer data, GError **error)
{
  const Reader *reader = data;
  char *colon = strrchr (text, ':');
  double number[2];

  if (*text == '#')
    return TRUE;
  const int n = colon ? read_numbers (colon + 1, number) : 0;
  if (n == 0)
    return calib_format_fail (error, reader->name, line,
        "expected `name: T` or `name: min max` with finite numbers, got `%.80s`", text);
  *colon = '\0';
  calib_format_chomp (text);
  if (*text == '\0')
    return calib_format_fail (error, reader->name, line,
        "there is no tensor's name before the last `:`");
  if (n == 1 && number[0] < 0)
    return calib_format_fail (error, reader->name, line,
        "the range of '%s' is negative: -T .. T is meant, T >= 0", text);
  if (n == 2 && number[0] > number[1])
    return calib_format_fail (error, reader->name, line,
        "the range of '%s' is empty: its minimum is above its maximum", text);
  const double lo = n == 1 ? -number[0] : number[0], hi = n == 1 ? number[0] : number[1];
  return calib_format_add (reader->ranges, text, lo, hi, reader->name, line, error);
}

CalibDynamicRanges *
calib_dynamic_ranges_parse (const char *text, gsize size, const char *name, GError **error)
{
  g_autoptr (CalibDynamicRanges) ranges = calib_dynamic_ranges_new ();
  Reader reader = {ranges, name ? name : "dynamic ranges"};

  if (!calib_format_lines (text, size, reader.name, read_line, &reader, error))
    return NULL;
  return g_steal_pointer (&ranges);
}

CalibDynamicRanges *
calib_dynamic_ranges_load (const char *path, GError **error)
{
  gsize size;
  g_autofree char *text =
      calib_file_read (path, MAX_FILE_SIZE, "file of dynamic ranges", &size, error);
  return text ? calib_dynamic_ranges_parse (text, size, path, error) : NULL;
}

/* --- Writing -------------------------------------------------------------------------------- */

const char *
calib_format_number (char buffer[CALIB_NUMBER_SIZE], double x)
{
  for (int digits = 6; digits <= 17; digits++) {
    char format[8];
    g_snprintf (format, sizeof format, "%%.%dg", digits);
    g_ascii_formatd (buffer, CALIB_NUMBER_SIZE, format, x);
    if (g_ascii_strtod (buffer, NULL) == x)
      break;
  }
  return buffer;
}

char *
calib_dynamic_ranges_to_string (const CalibDynamicRanges *ranges)
{
  GString *text = g_string_new (NULL);
  for (guint i = 0; i < ranges->entries->len; i++) {
    const Entry *entry = ranges->entries->pdata[i];
    char lo[CALIB_NUMBER_SIZE], hi[CALIB_NUMBER_SIZE];
    if (entry->lo == -entry->hi)
      g_string_append_printf (text, "%s: %s\n", entry->name, calib_format_number (hi, entry->hi));
    else
      g_string_append_printf (text, "%s: %s %s\n", entry->name, calib_format_number (lo, entry->lo),
          calib_format_number (hi, entry->hi));
  }
  return g_string_free (text, FALSE);
}

gboolean
calib_dynamic_ranges_save (const CalibDynamicRanges *ranges, const char *path, GError **error)
{
  gsize size;
  g_autofree char *note = NULL;
  g_autofree char *text =
      calib_format_write (CALIB_FORMAT_RANGES, ranges, NULL, &size, &note, error);
  if (!text) {
    g_autofree char *shown = g_filename_display_name (path);
    g_prefix_error (error, "%s: ", shown);
    return FALSE;
  }
  return calib_file_replace (path, text, size, error);
}
