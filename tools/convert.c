/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* convert.c: ranges from one tool's file format to another's. */
#include "tools/tool.h"

#include <string.h>

#define MAX_FILE_SIZE  (64u << 20)
#define DEFAULT_HEADER "TRT-8601-MinMaxCalibration"

typedef struct {
  char *from, *to, *header; /* options */
  CalibFormat in, out;
  guint n;    /* tensors */
  gsize size; /* of what is written */
} Convert;

static char *
list_formats (void)
{
  GString *names = g_string_new (NULL);

  for (guint f = 0; f < CALIB_FORMAT_COUNT; f++)
    g_string_append_printf (names, "%s%s", f > 0 ? ", " : "", calib_format_name (f));
  return g_string_free (names, FALSE);
}

static gboolean
read_format (const char *option, const char *name, CalibFormat *format, GError **error)
{
  if (calib_format_from_name (name, format))
    return TRUE;
  g_autofree char *names = list_formats ();
  return tool_usage (error, "%s is one of %s; not %s", option, names, name);
}

/* Without --to: the suffix decides where it says something. */
static gboolean
output_format (Convert *convert, const char *path, GError **error)
{
  static const struct {
    const char *suffix;
    CalibFormat format;
  } suffixes[] = {
      {".json", CALIB_FORMAT_ORT_JSON},
      {".txt", CALIB_FORMAT_RANGES},
      {".flatbuffers", CALIB_FORMAT_ORT_FLATBUFFERS},
  };

  if (convert->to)
    return read_format ("--to", convert->to, &convert->out, error);
  for (guint i = 0; i < G_N_ELEMENTS (suffixes); i++)
    if (g_str_has_suffix (path, suffixes[i].suffix)) {
      convert->out = suffixes[i].format;
      return TRUE;
    }
  g_autofree char *names = list_formats ();
  return tool_usage (error, "--to is needed for %s: one of %s", path, names);
}

/* The header of a TensorRT table: as asked for, the input's, or one that TensorRT reads. */
static char *
choose_header (const Convert *convert, const char *text, gsize size)
{
  if (convert->header)
    return g_strdup (convert->header);
  if (convert->in == CALIB_FORMAT_TENSORRT) {
    g_autoptr (CalibTable) table = calib_table_parse (text, size, NULL, NULL);
    return g_strdup (calib_table_get_header (table)); /* it was read before */
  }
  return g_strdup (DEFAULT_HEADER);
}

/* A table with this first line is read as one that has it. */
static gboolean
check_header (const Convert *convert, GError **error)
{
  const char *header = convert->header;

  if (!header)
    return TRUE;
  if (convert->out != CALIB_FORMAT_TENSORRT)
    return tool_usage (error, "--header is the first line of a TensorRT table, which %s has not",
        calib_format_name (convert->out));
  g_autoptr (CalibTable) table = calib_table_parse (header, strlen (header), NULL, NULL);
  return (table && g_str_equal (calib_table_get_header (table), header)) ||
         tool_usage (error,
             "--header is one line, such as TRT-8601-EntropyCalibration2, and no entry");
}

/* Whether `path` has a provenance beside it; -1 with an error where it is damaged. */
static int
has_provenance (const char *path, GError **error)
{
  g_autoptr (GError) local = NULL;
  CalibProvenance provenance;
  const gboolean has = calib_provenance_load (path, &provenance, &local);

  if (local) {
    g_propagate_error (error, g_steal_pointer (&local));
    return -1;
  }
  calib_provenance_clear (&provenance);
  return has;
}

/* What is written must neither replace a provenance nor lie beside one of something else. */
static gboolean
check_output (const char *out, gboolean copies, GError **error)
{
  g_autofree char *stem =
      g_str_has_suffix (out, ".json") ? g_strndup (out, strlen (out) - 5) : NULL;

  if (stem && has_provenance (stem, NULL) > 0)
    return tool_usage (error, "%s is the provenance of %s: choose another name", out, stem);
  if (!copies && has_provenance (out, NULL) > 0)
    return tool_usage (error,
        "%s.json would no longer be the provenance of %s: remove it, or choose another name", out,
        out);
  return TRUE;
}

/* The side file goes with the ranges, as it is: it says where they come from. */
static gboolean
copy_provenance (const char *in, const char *out, GError **error)
{
  g_autofree char *from = g_strconcat (in, ".json", NULL), *to = g_strconcat (out, ".json", NULL);
  gsize size;
  g_autofree char *text = calib_file_read (from, MAX_FILE_SIZE, "provenance file", &size, error);

  return text && calib_file_replace (to, text, size, error);
}

/* A table as a table: words that are no range stay what they are. */
static char *
rewrite_table (Convert *convert, const char *text, gsize size, const char *in, GError **error)
{
  g_autoptr (CalibTable) table = calib_table_parse (text, size, in, error);
  g_autofree char *same = table ? calib_table_to_string (table) : NULL;
  char *written;

  if (!table)
    return NULL;
  written = convert->header ? g_strconcat (convert->header, strchr (same, '\n'), NULL)
                            : g_steal_pointer (&same);
  convert->n = calib_table_n_entries (table);
  convert->size = strlen (written);
  return written;
}

static char *
convert_text (Convert *convert, const char *text, gsize size, const char *in, GError **error)
{
  g_autofree char *read_note = NULL, *write_note = NULL, *header = NULL;
  g_autoptr (CalibDynamicRanges) ranges =
      calib_format_parse (convert->in, text, size, in, &read_note, error);
  char *output;

  if (!ranges)
    return NULL;
  if (convert->in == CALIB_FORMAT_TENSORRT && convert->out == CALIB_FORMAT_TENSORRT)
    return rewrite_table (convert, text, size, in, error);
  if (read_note)
    g_print ("%s: %s\n", in, read_note);
  convert->n = calib_dynamic_ranges_n_entries (ranges);
  if (convert->n == 0) {
    g_set_error (error, CALIB_ERROR, CALIB_ERROR_EMPTY,
        "%s has no range of any tensor, so there is nothing to convert", in);
    return NULL;
  }
  header = choose_header (convert, text, size);
  output = calib_format_write (convert->out, ranges, header, &convert->size, &write_note, error);
  if (output && write_note)
    g_print ("%s\n", write_note);
  return output;
}

static gboolean
convert_file (Convert *convert, const char *in, const char *out, GError **error)
{
  g_autofree char *text = NULL, *output = NULL;
  const int copies = has_provenance (in, error);
  gsize size;

  if (copies < 0 || !check_output (out, copies, error))
    return FALSE;
  text = calib_file_read (in, MAX_FILE_SIZE, "file of ranges", &size, error);
  if (!text)
    return FALSE;
  if (!convert->from && !calib_format_guess (text, size, in, &convert->in, error)) {
    if (!g_error_matches (*error, CALIB_ERROR, CALIB_ERROR_EMPTY))
      g_prefix_error (error, "--from is needed: ");
    return FALSE;
  }
  output = convert_text (convert, text, size, in, error);
  if (!output || !calib_file_replace (out, output, convert->size, error) ||
      (copies && !copy_provenance (in, out, error)))
    return FALSE;
  g_print ("%s: %u tensors, %s%s to %s%s\n", out, convert->n, calib_format_name (convert->in),
      convert->from ? "" : " (by its contents)", calib_format_name (convert->out),
      copies ? ", with the provenance beside it" : "");
  if (convert->out == CALIB_FORMAT_TENSORRT && convert->in != CALIB_FORMAT_TENSORRT &&
      !convert->header)
    g_print ("its first line is " DEFAULT_HEADER
             ", which only TensorRT's min-max calibrator reads: --header says "
             "another\n");
  if (convert->out == CALIB_FORMAT_NCNN)
    g_print (
        "ncnn's tables are by layer, and have the scale of its input: rename the tensors to the "
        "layers that read them, and add the weight scales (_param_0) of ncnn2table\n");
  return TRUE;
}

gboolean
tool_convert (int argc, char **argv, GError **error)
{
  g_autofree char *names = list_formats ();
  g_autofree char *summary = g_strdup_printf (
      "Converts calibration tables and files of ranges. FORMAT is one of\n%s.\nThat of IN is told from "
      "its contents, that of OUT from .json (onnxruntime-json),\n.flatbuffers "
      "(onnxruntime-flatbuffers) or .txt (ranges).",
      names);
  Convert convert = {0};
  const GOptionEntry entries[] = {
      {"from", 'f', 0, G_OPTION_ARG_STRING, &convert.from, "What IN is", "FORMAT"},
      {"to", 't', 0, G_OPTION_ARG_STRING, &convert.to, "What OUT becomes", "FORMAT"},
      {"header", 0, 0, G_OPTION_ARG_STRING, &convert.header,
          "First line of a TensorRT table; default IN's, or " DEFAULT_HEADER ". TensorRT "
          "ignores tables whose algorithm is not its calibrator's",
          "TEXT"},
      {NULL},
  };
  const ToolSyntax syntax = {.arguments = "IN OUT",
      .summary = summary,
      .entries = entries,
      .example = "calib.table ranges.txt"};
  gboolean ok = tool_parse (&argc, &argv, &syntax, NULL, error);

  if (ok && argc != 3)
    ok = tool_usage (error, "one file to read and one to write are needed");
  if (ok && convert.from)
    ok = read_format ("--from", convert.from, &convert.in, error);
  ok = ok && output_format (&convert, argv[2], error) && check_header (&convert, error) &&
       convert_file (&convert, argv[1], argv[2], error);
  g_free (convert.from);
  g_free (convert.to);
  g_free (convert.header);
  return ok;
}
