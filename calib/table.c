/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * table.c: TensorRT's calibration table. An entry keeps the 32 bits of its word, so a table in
 * TensorRT's own spelling is written back byte for byte, words that are no range included.
 */
#include "calib/private.h"

#include <math.h>
#include <string.h>

#define MAX_FILE_SIZE (64u * 1024 * 1024)

typedef struct {
  char *name;
  guint32 word;
} Entry;

struct _CalibTable {
  char *header;
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

/* Takes the header. */
static CalibTable *
table_new_take (char *header)
{
  CalibTable *table = g_new (CalibTable, 1);
  table->header = header;
  table->entries = g_ptr_array_new_with_free_func (free_entry);
  table->index = g_hash_table_new (g_str_hash, g_str_equal);
  return table;
}

CalibTable *
calib_table_new (const char *header)
{
  return table_new_take (g_strdup (header));
}

void
calib_table_free (CalibTable *table)
{
  if (!table)
    return;
  g_free (table->header);
  g_hash_table_unref (table->index);
  g_ptr_array_unref (table->entries);
  g_free (table);
}

char *
calib_table_header (CalibMethod method, guint version)
{
  static const char *const algorithms[CALIB_METHOD_COUNT] = {
      [CALIB_METHOD_ENTROPY2] = "EntropyCalibration2",
      [CALIB_METHOD_ENTROPY2_TRT] = "EntropyCalibration2",
      [CALIB_METHOD_ENTROPY] = "EntropyCalibration",
      [CALIB_METHOD_LEGACY] = "LegacyCalibration",
  };

  g_return_val_if_fail ((guint) method < CALIB_METHOD_COUNT, NULL);
  return g_strdup_printf ("TRT-%u-%s", version,
      algorithms[method] ? algorithms[method] : "MinMaxCalibration");
}

/* Takes the name. */
static void
set_word (CalibTable *table, char *name, guint32 word)
{
  Entry *entry = g_hash_table_lookup (table->index, name);
  if (entry) {
    g_free (name);
    entry->word = word;
    return;
  }
  entry = g_new (Entry, 1);
  *entry = (Entry){name, word};
  g_ptr_array_add (table->entries, entry);
  g_hash_table_insert (table->index, entry->name, entry);
}

void
calib_table_set (CalibTable *table, const char *name, float scale)
{
  guint32 word;
  memcpy (&word, &scale, sizeof word);
  set_word (table, g_strdup (name), word);
}

static float
scale_of (guint32 word)
{
  float scale;
  memcpy (&scale, &word, sizeof scale);
  return isfinite (scale) && scale >= 0 ? fabsf (scale) : NAN;
}

gboolean
calib_table_lookup (const CalibTable *table, const char *name, float *scale)
{
  const Entry *entry = g_hash_table_lookup (table->index, name);
  if (!entry || isnan (scale_of (entry->word)))
    return FALSE;
  *scale = scale_of (entry->word);
  return TRUE;
}

const char *
calib_table_get_header (const CalibTable *table)
{
  return table->header;
}

guint
calib_table_n_entries (const CalibTable *table)
{
  return table->entries->len;
}

const char *
calib_table_entry (const CalibTable *table, guint index, float *scale)
{
  g_return_val_if_fail (index < table->entries->len, NULL);
  const Entry *entry = table->entries->pdata[index];
  if (scale)
    *scale = scale_of (entry->word);
  return entry->name;
}

/* --- Reading -------------------------------------------------------------------------------- */

static gboolean
fail (GError **error, const char *name, guint line, const char *cause)
{
  g_autofree char *shown = g_filename_display_name (name ? name : "table");
  g_set_error (error, CALIB_ERROR, CALIB_ERROR_FORMAT, "%s, line %u: %s", shown, line, cause);
  return FALSE;
}

/* "name: word" in [text, text + n). NULL when the line has another form; `cause` then says why. */
static const char *
split_entry (const char *text, gsize n, guint32 *word, const char **cause)
{
  while (n > 0 && (text[n - 1] == ' ' || text[n - 1] == '\t'))
    n--; /* so `: ` at the end is never found below: there is a digit behind it */
  gsize digits = 0;
  guint64 value = 0;
  while (digits < n && g_ascii_isxdigit (text[n - 1 - digits]))
    digits++;
  for (gsize i = n - digits; i < n; i++)
    value = (value << 4 | g_ascii_xdigit_value (text[i])) & 0xffffffffffff;
  *word = (guint32) value;

  const char *colon = text + n - digits - 2;
  if (n < digits + 2 || colon[0] != ':' || colon[1] != ' ')
    *cause = "expected `name: hex`, the bits of a float32 scale";
  else if (digits > 8)
    *cause = "the number after the last `: ` has more than 8 hexadecimal digits";
  else if (colon == text)
    *cause = "there is no name before `: `";
  else
    return colon;
  return NULL;
}

/* A scale of 2^-95 and more has eight digits: a last line with fewer, and without its end, is what is left
 * of a file that was cut off there. */
static gboolean
is_cut (guint32 word, gboolean ended)
{
  return !ended && word != 0 && word < 0x10000000;
}

static gboolean
parse_line (CalibTable **table, const char *text, gsize n, gboolean ended, guint line,
    const char *name, GError **error)
{
  guint32 word;
  const char *cause;

  while (n > 0 && text[n - 1] == '\r')
    n--;
  while (!*table && n >= 3 && memcmp (text, "\xef\xbb\xbf", 3) == 0) { /* byte order marks */
    text += 3;
    n -= 3;
  }
  if (n == 0)
    return TRUE;
  if (memchr (text, 0, n))
    return fail (error, name, line, "a zero byte: this is no text file");

  const char *colon = split_entry (text, n, &word, &cause);
  if (!*table) {
    /* Any text is a header, but an entry in its place would be lost silently. */
    if (colon)
      return fail (error, name, line,
          "an entry where the header belongs: put a line such as TRT-8601-EntropyCalibration2 "
          "before it");
    *table = table_new_take (g_strndup (text, n));
    return TRUE;
  }
  if (!colon)
    return fail (error, name, line, cause);
  if (is_cut (word, ended))
    return fail (error, name, line, "the file ends within this line: copy it, or calibrate, again");
  set_word (*table, g_strndup (text, colon - text), word);
  return TRUE;
}

CalibTable *
calib_table_parse (const char *text, gsize size, const char *name, GError **error)
{
  g_autoptr (CalibTable) table = NULL;
  const char *at = text, *const end = text + size;
  guint line = 0;

  while (at < end) {
    const char *feed = memchr (at, '\n', end - at);
    const char *stop = feed ? feed : end;
    if (!parse_line (&table, at, stop - at, feed != NULL, ++line, name, error))
      return NULL;
    at = feed ? feed + 1 : end;
  }
  if (!table) {
    fail (error, name, 1, "the table is empty: it should begin with a header line");
    return NULL;
  }
  return g_steal_pointer (&table);
}

CalibTable *
calib_table_load (const char *path, GError **error)
{
  gsize size;
  g_autofree char *text = calib_file_read (path, MAX_FILE_SIZE, "calibration table", &size, error);
  return text ? calib_table_parse (text, size, path, error) : NULL;
}

/* --- Writing -------------------------------------------------------------------------------- */

char *
calib_table_to_string (const CalibTable *table)
{
  GString *text = g_string_new (table->header);
  g_string_append_c (text, '\n');
  for (guint i = 0; i < table->entries->len; i++) {
    const Entry *entry = table->entries->pdata[i];
    g_string_append_printf (text, "%s: %x\n", entry->name, entry->word);
  }
  return g_string_free (text, FALSE);
}

/* What would be read back as something else is not written. */
static gboolean
check_writable (const CalibTable *table, const char *path, GError **error)
{
  g_autoptr (CalibTable) header =
      calib_table_parse (table->header, strlen (table->header), NULL, NULL);
  if (!header || !g_str_equal (header->header, table->header))
    return fail (error, path, 1, "this text cannot be the header of a table");
  for (guint i = 0; i < table->entries->len; i++) {
    const Entry *entry = table->entries->pdata[i];
    if (*entry->name == '\0' || strchr (entry->name, '\n'))
      return fail (error, path, i + 2,
          "a tensor's name is empty or has a line feed in it, which a table cannot hold: rename "
          "the tensor in the model");
  }
  return TRUE;
}

gboolean
calib_table_save (const CalibTable *table, const char *path, GError **error)
{
  if (!check_writable (table, path, error))
    return FALSE;
  g_autofree char *text = calib_table_to_string (table);
  return calib_file_replace (path, text, strlen (text), error);
}
