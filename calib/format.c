/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * format.c: the formats in which ranges travel between tools: which one a file is in, and from any
 * to any by way of CalibDynamicRanges.
 */
#include "calib/private.h"

#include <math.h>

static const char *const format_names[CALIB_FORMAT_COUNT] = {
    [CALIB_FORMAT_TENSORRT] = "tensorrt",
    [CALIB_FORMAT_RANGES] = "ranges",
    [CALIB_FORMAT_ORT_JSON] = "onnxruntime-json",
    [CALIB_FORMAT_ORT_CACHE] = "onnxruntime-cache",
    [CALIB_FORMAT_ORT_FLATBUFFERS] = "onnxruntime-flatbuffers",
    [CALIB_FORMAT_NCNN] = "ncnn",
};

const char *
calib_format_name (CalibFormat format)
{
  g_return_val_if_fail ((guint) format < CALIB_FORMAT_COUNT, NULL);
  return format_names[format];
}

gboolean
calib_format_from_name (const char *name, CalibFormat *format)
{
  for (guint f = 0; f < CALIB_FORMAT_COUNT; f++) {
    if (g_str_equal (name, format_names[f])) {
      *format = f;
      return TRUE;
    }
  }
  return FALSE;
}

/* --- Which format ---------------------------------------------------------------------------- */

/* A header that does not say TRT is a number; one with a colon would be the first entry of another
 * format. */
static gboolean
has_header (const char *text, gsize size)
{
  const char *feed = size > 0 ? memchr (text, '\n', size) : NULL;

  return feed && !memchr (text, ':', feed - text);
}

static gboolean
reads_as (CalibFormat format, const char *text, gsize size)
{
  if (format == CALIB_FORMAT_TENSORRT && !has_header (text, size))
    return FALSE;
  g_autofree char *note = NULL;
  g_autoptr (CalibDynamicRanges) ranges =
      calib_format_parse (format, text, size, NULL, &note, NULL);

  return ranges && calib_dynamic_ranges_n_entries (ranges) > 0;
}

/* The suffix by which a format's own tools name their files; NULL where they have none. */
static const char *
usual_suffix (CalibFormat format)
{
  switch (format) {
  case CALIB_FORMAT_ORT_CACHE:
    return ".cache";
  case CALIB_FORMAT_NCNN:
    return ".table";
  default:
    return NULL;
  }
}

/* The beginning decides where it can: a damaged file is then told what is wrong with it, by line. */
static gboolean
guess_from_start (const char *text, gsize size, CalibFormat *format)
{
  if (size >= 3 && memcmp (text, "\xef\xbb\xbf", 3) == 0) { /* byte order mark */
    text += 3;
    size -= 3;
  }
  while (size > 0 && g_ascii_isspace (*text)) {
    text++;
    size--;
  }
  if (size >= 4 && memcmp (text, "TRT-", 4) == 0)
    *format = CALIB_FORMAT_TENSORRT;
  else if (size >= 1 && *text == '{')
    *format = CALIB_FORMAT_ORT_JSON;
  else
    return FALSE;
  return TRUE;
}

static gboolean
is_blank (const char *text, gsize size)
{
  for (gsize i = 0; i < size; i++)
    if (!g_ascii_isspace (text[i]))
      return FALSE;
  return TRUE;
}

gboolean
calib_format_guess (const char *text, gsize size, const char *path, CalibFormat *format,
    GError **error)
{
  gboolean fits[CALIB_FORMAT_COUNT] = {FALSE};
  g_autoptr (GString) names = g_string_new (NULL);
  guint n = 0;

  if (guess_from_start (text, size, format))
    return TRUE;
  for (guint f = 0; f < CALIB_FORMAT_COUNT; f++) {
    if (f == CALIB_FORMAT_ORT_JSON || !reads_as (f, text, size))
      continue;
    fits[f] = TRUE;
    *format = f;
    g_string_append_printf (names, "%s%s", n++ > 0 ? " or " : "", format_names[f]);
  }
  for (guint f = 0; path && n > 1 && f < CALIB_FORMAT_COUNT; f++) {
    if (!fits[f] || !usual_suffix (f) || !g_str_has_suffix (path, usual_suffix (f)))
      continue;
    *format = f;
    return TRUE;
  }
  if (n == 1)
    return TRUE;
  if (is_blank (text, size)) {
    calib_format_fail (error, path ? path : "ranges", 0, "it is empty");
    if (error)
      (*error)->code = CALIB_ERROR_EMPTY;
    return FALSE;
  }
  return calib_format_fail (error, path ? path : "ranges", 0,
      n > 1
          ? "the contents can be of %s, which mean different things: say which it is"
          : "the contents are of no format that is known here%s: say which it is, to be told what "
            "is wrong with it",
      names->str);
}

/* --- TensorRT's tables as ranges -------------------------------------------------------------- */

static CalibDynamicRanges *
ranges_of_table (const CalibTable *table, char **note)
{
  CalibDynamicRanges *ranges = calib_dynamic_ranges_new ();
  guint without = 0;

  for (guint i = 0; i < calib_table_n_entries (table); i++) {
    float scale;
    const char *name = calib_table_entry (table, i, &scale);

    if (isnan (scale))
      without++;
    else
      calib_dynamic_ranges_set (ranges, name, -127.0 * (double) scale, 127.0 * (double) scale);
  }
  if (without > 0)
    *note = g_strdup_printf ("%u tensors are listed without a range (their words are no finite "
                             "numbers) and left out",
        without);
  return ranges;
}

static double
magnitude (double lo, double hi)
{
  return fmax (fabs (lo), fabs (hi));
}

static char *
table_of_ranges (const CalibDynamicRanges *ranges, const char *header, GError **error)
{
  g_autoptr (CalibTable) table = calib_table_new (header);

  for (guint i = 0; i < calib_dynamic_ranges_n_entries (ranges); i++) {
    double lo, hi;
    const char *name = calib_dynamic_ranges_entry (ranges, i, &lo, &hi);
    const float scale = (float) (magnitude (lo, hi) / 127);

    if (!isfinite (scale)) {
      calib_format_fail (error, "tensorrt", 0,
          "the range of '%s', %g .. %g, is beyond float32: correct it", name, lo, hi);
      return NULL;
    }
    calib_table_set (table, name, scale);
  }
  return calib_table_to_string (table);
}

/* --- From and to text ------------------------------------------------------------------------- */

CalibDynamicRanges *
calib_format_parse (CalibFormat format, const char *text, gsize size, const char *name, char **note,
    GError **error)
{
  g_return_val_if_fail ((guint) format < CALIB_FORMAT_COUNT, NULL);
  *note = NULL;
  if (!name)
    name = format_names[format];
  switch (format) {
  case CALIB_FORMAT_TENSORRT: {
    g_autoptr (CalibTable) table = calib_table_parse (text, size, name, error);
    return table ? ranges_of_table (table, note) : NULL;
  }
  case CALIB_FORMAT_RANGES:
    return calib_dynamic_ranges_parse (text, size, name, error);
  case CALIB_FORMAT_ORT_JSON:
    return calib_ort_json_parse (text, size, name, note, error);
  case CALIB_FORMAT_ORT_CACHE:
    return calib_ort_cache_parse (text, size, name, error);
  case CALIB_FORMAT_ORT_FLATBUFFERS:
    return calib_ort_flatbuffers_parse (text, size, name, error);
  case CALIB_FORMAT_NCNN:
    return calib_ncnn_parse (text, size, name, note, error);
  case CALIB_FORMAT_COUNT:
    break;
  }
  return NULL;
}

/* Why the name cannot stand in a file of the format, or NULL. */
static const char *
name_problem (CalibFormat format, const char *name)
{
  const gsize n = strlen (name);

  if (n == 0)
    return "it is empty";
  if (format == CALIB_FORMAT_ORT_FLATBUFFERS)
    return NULL;
  if (format == CALIB_FORMAT_ORT_JSON)
    return g_utf8_validate (name, n, NULL) ? NULL : "it is no UTF-8, which JSON must be";
  if (strchr (name, '\n'))
    return "there is a line feed in it";
  if (format == CALIB_FORMAT_TENSORRT)
    return NULL;
  if (strpbrk (name, " \t\r") == name || strchr (" \t\r", name[n - 1]))
    return "it has blanks at its ends";
  if (*name == '#' || g_str_has_prefix (name, "\xef\xbb\xbf"))
    return "a line would begin with it, and not be read as an entry";
  if (format != CALIB_FORMAT_RANGES && name[n - 1] == ':')
    return "it ends with ':', as names of other formats do";
  if (format == CALIB_FORMAT_NCNN && strpbrk (name, " \t\r\v\f"))
    return "ncnn takes what is before the first blank for the name";
  return NULL;
}

static gboolean
check_names (CalibFormat format, const CalibDynamicRanges *ranges, GError **error)
{
  for (guint i = 0; i < calib_dynamic_ranges_n_entries (ranges); i++) {
    const char *name = calib_dynamic_ranges_entry (ranges, i, NULL, NULL);
    const char *problem = name_problem (format, name);

    if (problem)
      return calib_format_fail (error, format_names[format], 0,
          "tensor '%s' cannot be written in this format: %s; rename it in the model, or take "
          "another format",
          name, problem);
  }
  return TRUE;
}

/* One `name number` a line, the number being T, or 127 / T where there is one. */
static char *
numbers_to_string (const CalibDynamicRanges *ranges, gboolean inverse, guint *zero)
{
  GString *text = g_string_new (NULL);

  for (guint i = 0; i < calib_dynamic_ranges_n_entries (ranges); i++) {
    char number[CALIB_NUMBER_SIZE];
    double lo, hi;
    const char *name = calib_dynamic_ranges_entry (ranges, i, &lo, &hi);
    const double t = magnitude (lo, hi);

    if (inverse && !(isfinite (127 / t) && 127 / t > 0))
      (*zero)++;
    else
      g_string_append_printf (text, "%s %s\n", name,
          calib_format_number (number, inverse ? 127 / t : t));
  }
  return g_string_free (text, FALSE);
}

/* What the format does not say of these ranges; NULL where it says all. */
static char *
describe_losses (CalibFormat format, const CalibDynamicRanges *ranges, guint zero)
{
  g_autoptr (GString) note = g_string_new (NULL);
  guint asymmetric = 0;

  if (format == CALIB_FORMAT_RANGES || format == CALIB_FORMAT_ORT_JSON)
    return NULL;
  for (guint i = 0; i < calib_dynamic_ranges_n_entries (ranges); i++) {
    double lo, hi;

    calib_dynamic_ranges_entry (ranges, i, &lo, &hi);
    asymmetric += lo != -hi;
  }
  if (asymmetric > 0)
    g_string_append_printf (note,
        "%u ranges are not symmetric, which this format cannot say: the larger magnitude counts",
        asymmetric);
  if (zero > 0)
    g_string_append_printf (note,
        "%s%u tensors that are always 0 are left out: they have no 127 / T", note->len ? "; " : "",
        zero);
  return note->len > 0 ? g_strdup (note->str) : NULL;
}

char *
calib_format_write (CalibFormat format, const CalibDynamicRanges *ranges, const char *header,
    gsize *size, char **note, GError **error)
{
  guint zero = 0;
  char *text = NULL;

  g_return_val_if_fail ((guint) format < CALIB_FORMAT_COUNT, NULL);
  *note = NULL;
  if (!check_names (format, ranges, error))
    return NULL;
  switch (format) {
  case CALIB_FORMAT_TENSORRT:
    text = table_of_ranges (ranges, header, error);
    break;
  case CALIB_FORMAT_RANGES:
    text = calib_dynamic_ranges_to_string (ranges);
    break;
  case CALIB_FORMAT_ORT_JSON:
    text = calib_ort_json_to_string (ranges);
    break;
  case CALIB_FORMAT_ORT_FLATBUFFERS:
    text = calib_ort_flatbuffers_write (ranges, size);
    break;
  case CALIB_FORMAT_ORT_CACHE:
  case CALIB_FORMAT_NCNN:
    text = numbers_to_string (ranges, format == CALIB_FORMAT_NCNN, &zero);
    break;
  case CALIB_FORMAT_COUNT:
    break;
  }
  if (text && format != CALIB_FORMAT_ORT_FLATBUFFERS)
    *size = strlen (text);
  if (text)
    *note = describe_losses (format, ranges, zero);
  return text;
}
