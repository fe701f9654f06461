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

static gboolean fail (GError **error, const char *name, guint line, const char *format, ...)
    G_GNUC_PRINTF (4, 5);

static gboolean
fail (GError **error, const char *name, guint line, const char *format, ...)
{
  va_list args;
  va_start (args, format);
  g_autofree char *text = g_strdup_vprintf (format, args);
  va_end (args);
  g_autofree char *valid = g_utf8_make_valid (text, -1);
  g_autofree char *shown = g_filename_display_name (name ? name : "dynamic ranges");
  g_set_error (error, CALIB_ERROR, CALIB_ERROR_FORMAT, "%s, line %u: %s", shown, line, valid);
  return FALSE;
}

static gboolean
is_blank (char c)
{
  return c == ' ' || c == '\t' || c == '\r';
}

/* One or two numbers and nothing else. Returns how many, 0 where the text is something else. */
static int
read_numbers (const char *text, double number[2])
{
  int n = 0;
  for (;;) {
    char *end;
    while (is_blank (*text))
      text++;
    if (*text == '\0')
      return n;
    if (n == 2 || !(g_ascii_isdigit (*text) || strchr ("+-.", *text)))
      return 0;
    number[n] = g_ascii_strtod (text, &end);
    if (end == text || !(*end == '\0' || is_blank (*end)) || !isfinite (number[n]))
      return 0;
    text = end;
    n++;
  }
}

static gboolean
parse_line (CalibDynamicRanges *ranges, const char *text, gsize n, guint line, const char *name,
    GError **error)
{
  double number[2], lo, hi;

  if (line == 1 && n >= 3 && memcmp (text, "\xef\xbb\xbf", 3) == 0) { /* byte order mark */
    text += 3;
    n -= 3;
  }
  if (memchr (text, 0, n))
    return fail (error, name, line, "a zero byte: this is no text file");
  while (n > 0 && is_blank (text[n - 1]))
    n--;
  while (n > 0 && is_blank (*text)) {
    text++;
    n--;
  }
  if (n == 0 || *text == '#')
    return TRUE;

  g_autofree char *copy = g_strndup (text, n);
  char *colon = strrchr (copy, ':');
  const int numbers = colon ? read_numbers (colon + 1, number) : 0;
  if (numbers == 0)
    return fail (error, name, line,
        "expected `name: T` or `name: min max` with finite numbers, got `%.80s`", copy);
  while (colon > copy && is_blank (colon[-1]))
    colon--;
  *colon = '\0';
  if (*copy == '\0')
    return fail (error, name, line, "there is no tensor's name before the last `:`");
  if (numbers == 1 && number[0] < 0)
    return fail (error, name, line, "the range of '%s' is negative: -T .. T is meant, T >= 0",
        copy);
  if (numbers == 2 && number[0] > number[1])
    return fail (error, name, line, "the range of '%s' is empty: its minimum is above its maximum",
        copy);

  const double min = numbers == 1 ? -number[0] : number[0], max = number[numbers - 1];
  if (calib_dynamic_ranges_lookup (ranges, copy, &lo, &hi) && (lo != min || hi != max))
    return fail (error, name, line,
        "'%s' had another range, %g .. %g, further up: remove one of them", copy, lo, hi);
  calib_dynamic_ranges_set (ranges, copy, min, max);
  return TRUE;
}

CalibDynamicRanges *
calib_dynamic_ranges_parse (const char *text, gsize size, const char *name, GError **error)
{
  g_autoptr (CalibDynamicRanges) ranges = calib_dynamic_ranges_new ();
  const char *at = text, *const end = text + size;
  guint line = 0;

  while (at < end) {
    const char *feed = memchr (at, '\n', end - at);
    const char *stop = feed ? feed : end;
    if (!parse_line (ranges, at, stop - at, ++line, name, error))
      return NULL;
    at = feed ? feed + 1 : end;
  }
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
  for (guint i = 0; i < ranges->entries->len; i++) {
    const char *name = ((const Entry *) ranges->entries->pdata[i])->name;
    if (*name == '\0' || *name == '#' || strchr (name, '\n') || is_blank (*name) ||
        is_blank (name[strlen (name) - 1]) || g_str_has_prefix (name, "\xef\xbb\xbf"))
      return fail (error, path, i + 1,
          "the tensor's name '%s' cannot be written in this format: it is empty, has a line feed "
          "in it or blanks at its ends, or begins with '#'; rename the tensor in the model",
          name);
  }
  g_autofree char *text = calib_dynamic_ranges_to_string (ranges);
  return calib_file_replace (path, text, strlen (text), error);
}
