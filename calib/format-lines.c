/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * format-lines.c: formats of one `name number` a line: ONNX Runtime's calibration.cache and ncnn's
 * table. Also what all formats of lines share.
 */
#include "calib/private.h"

#include <math.h>

/* --- Lines, numbers, errors ------------------------------------------------------------------ */

gboolean
calib_format_fail (GError **error, const char *name, guint line, const char *format, ...)
{
  va_list args;
  va_start (args, format);
  g_autofree char *text = g_strdup_vprintf (format, args);
  va_end (args);
  g_autofree char *valid = g_utf8_make_valid (text, -1);
  g_autofree char *shown = g_filename_display_name (name);
  if (line > 0)
    g_set_error (error, CALIB_ERROR, CALIB_ERROR_FORMAT, "%s, line %u: %s", shown, line, valid);
  else
    g_set_error (error, CALIB_ERROR, CALIB_ERROR_FORMAT, "%s: %s", shown, valid);
  return FALSE;
}

static gboolean
is_blank (char c)
{
  return c == ' ' || c == '\t' || c == '\r';
}

void
calib_format_chomp (char *text)
{
  gsize n = strlen (text);

  while (n > 0 && is_blank (text[n - 1]))
    text[--n] = '\0';
}

gboolean
calib_format_lines (const char *text, gsize size, const char *name, CalibLineFn each, gpointer data,
    GError **error)
{
  const char *at = text, *const end = text + size;

  if (size >= 3 && memcmp (text, "\xef\xbb\xbf", 3) == 0) /* byte order mark */
    at += 3;
  for (guint line = 1; at < end; line++) {
    const char *feed = memchr (at, '\n', end - at);
    const char *stop = feed ? feed : end, *first = at, *last = stop;

    if (memchr (at, 0, stop - at))
      return calib_format_fail (error, name, line, "a zero byte: this is no text file");
    while (first < last && is_blank (*first))
      first++;
    while (last > first && is_blank (last[-1]))
      last--;
    if (last > first) {
      g_autofree char *copy = g_strndup (first, last - first);
      if (!each (copy, line, data, error))
        return FALSE;
    }
    at = feed ? feed + 1 : end;
  }
  return TRUE;
}

gboolean
calib_format_read_number (const char *text, double *number)
{
  char *end;

  /* strtod() takes much more for a number: "inf", "nan", "0x1p3", blanks in front */
  if (*text == '\0' || strspn (text, "0123456789+-.eE") != strlen (text))
    return FALSE;
  *number = g_ascii_strtod (text, &end);
  return *end == '\0' && isfinite (*number);
}

gboolean
calib_format_add (CalibDynamicRanges *ranges, const char *tensor, double lo, double hi,
    const char *name, guint line, GError **error)
{
  double old_lo, old_hi;

  if (calib_dynamic_ranges_lookup (ranges, tensor, &old_lo, &old_hi) &&
      (old_lo != lo || old_hi != hi))
    return calib_format_fail (error, name, line,
        "'%s' had another range, %g .. %g, further up: remove one of them", tensor, old_lo, old_hi);
  calib_dynamic_ranges_set (ranges, tensor, lo, hi);
  return TRUE;
}

/* --- ONNX Runtime's calibration.cache ---------------------------------------------------------- */

typedef struct {
  CalibDynamicRanges *ranges;
  const char *name;  /* of the file */
  guint n_weights;   /* ncnn: lines of weight scales */
  guint n_per_group; /* ncnn: layers with several scales */
} Reader;

#define ENDS_LIKE_TENSORRT "`%.80s` ends like a name of TensorRT's formats, which separate by `: `"

static gboolean
read_cache_line (char *text, guint line, gpointer data, GError **error)
{
  const Reader *reader = data;
  char *blank = strrchr (text, ' ');
  double t;

  if (!blank || !calib_format_read_number (blank + 1, &t) || t < 0)
    return calib_format_fail (error, reader->name, line,
        "expected `name T`, T being the largest magnitude of the tensor, got `%.80s`", text);
  *blank = '\0';
  calib_format_chomp (text);
  if (*text == '\0' || g_str_has_suffix (text, ":"))
    return calib_format_fail (error, reader->name, line, ENDS_LIKE_TENSORRT, text);
  return calib_format_add (reader->ranges, text, -t, t, reader->name, line, error);
}

CalibDynamicRanges *
calib_ort_cache_parse (const char *text, gsize size, const char *name, GError **error)
{
  g_autoptr (CalibDynamicRanges) ranges = calib_dynamic_ranges_new ();
  Reader reader = {ranges, name, 0, 0};

  if (!calib_format_lines (text, size, name, read_cache_line, &reader, error))
    return NULL;
  return g_steal_pointer (&ranges);
}

/* --- ncnn's table ------------------------------------------------------------------------------ */

/* `conv1_param_0 127.5 99.0 ...`: the scales of weights, one for each output channel. */
static gboolean
is_weights (const char *layer)
{
  const char *at = g_strrstr (layer, "_param_");

  if (!at)
    return FALSE;
  at += strlen ("_param_");
  return *at != '\0' && strspn (at, "0123456789") == strlen (at);
}

/* The scale of a layer's input is 127 / T. Where groups of channels have scales of their own, the
 * least of them belongs to the largest range, which holds all values. */
static gboolean
read_ncnn_line (char *text, guint line, gpointer data, GError **error)
{
  Reader *reader = data;
  g_auto (GStrv) words = g_strsplit_set (text, " \t\r\v\f", -1);
  double least = INFINITY;
  guint n = 0;

  for (char **word = words + 1; *word; word++) {
    double scale;

    if (**word == '\0')
      continue;
    if (!calib_format_read_number (*word, &scale) || scale < 0)
      return calib_format_fail (error, reader->name, line,
          "expected `layer scale`, scale being 127 / T, got `%.80s` in place of a number", *word);
    least = fmin (least, scale);
    n++;
  }
  if (n == 0 || **words == '\0')
    return calib_format_fail (error, reader->name, line,
        "expected `layer scale`, scale being 127 / T, got `%.80s`", text);
  if (g_str_has_suffix (*words, ":"))
    return calib_format_fail (error, reader->name, line, ENDS_LIKE_TENSORRT, *words);
  if (is_weights (*words)) {
    reader->n_weights++;
    return TRUE;
  }
  reader->n_per_group += n > 1;
  if (!isfinite (127 / least))
    return calib_format_fail (error, reader->name, line,
        "the scale of layer '%s' is %g, which belongs to no range: remove the line", *words, least);
  return calib_format_add (reader->ranges, *words, -127 / least, 127 / least, reader->name, line,
      error);
}

CalibDynamicRanges *
calib_ncnn_parse (const char *text, gsize size, const char *name, char **note, GError **error)
{
  g_autoptr (CalibDynamicRanges) ranges = calib_dynamic_ranges_new ();
  Reader reader = {ranges, name, 0, 0};
  g_autoptr (GString) notes = g_string_new (NULL);

  if (!calib_format_lines (text, size, name, read_ncnn_line, &reader, error))
    return NULL;
  if (reader.n_weights > 0)
    g_string_append_printf (notes, "the weight scales of %u layers (_param_) are left out",
        reader.n_weights);
  if (reader.n_per_group > 0)
    g_string_append_printf (notes, "%s%u layers have several scales: the least counts",
        notes->len ? "; " : "", reader.n_per_group);
  if (notes->len > 0)
    *note = g_strdup (notes->str);
  return g_steal_pointer (&ranges);
}
