/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * format-json.c: ONNX Runtime's calibration.json. Its versions have written two kinds:
 *
 *   {"name": [min, max], ...}
 *   {"CLS": "TensorsData", "calibration_method": {...}, "data": {"name": {"CLS": "TensorData",
 *     "lowest": {"data": min, "dtype": "float32", "CLS": "numpy.array"}, "highest": ...}, ...}}
 *
 * Both are read, with or without histograms beside the extremes, which are skipped; the second is
 * written, which its load_tensors_data() reads.
 */
#include "calib/private.h"

#include <json-glib/json-glib.h>
#include <math.h>

#define MAX_DEPTH 32

const char *
calib_json_problem (const char *text, gsize size)
{
  gboolean quoted = FALSE;
  gsize depth = 0;

  if (size == 0)
    return "it is empty, and so no JSON";
  if (!g_utf8_validate (text, size, NULL))
    return "it is no UTF-8 text, which JSON must be";
  for (gsize i = 0; i < size; i++) {
    const char c = text[i];
    if (c == '"')
      quoted = !quoted;
    else if (quoted)
      i += c == '\\';
    else if ((c == '[' || c == '{') && ++depth > MAX_DEPTH)
      return "it nests deeper than any calibration does";
    else if ((c == ']' || c == '}') && depth > 0)
      depth--;
    else if (!g_ascii_isspace (c) && !g_ascii_isalnum (c) && !strchr ("[]{},:+-._", c))
      return "it is no JSON: there is something outside of strings that cannot be";
  }
  return NULL;
}

/* --- Reading -------------------------------------------------------------------------------- */

typedef struct {
  const char *name; /* of the file */
  guint n_channels; /* tensors with a range for each channel */
} Reader;

/* The least and the largest number in an array of numbers, of arrays of numbers and so on; how many
 * there are, or 0 where something else is among them. */
static gsize
read_numbers (JsonNode *node, double *least, double *largest)
{
  if (node && JSON_NODE_HOLDS_VALUE (node)) {
    const GType type = json_node_get_value_type (node);
    if (type != G_TYPE_INT64 && type != G_TYPE_DOUBLE)
      return 0;
    const double x = json_node_get_double (node);
    if (!isfinite (x))
      return 0;
    *least = fmin (*least, x);
    *largest = fmax (*largest, x);
    return 1;
  }
  if (!node || !JSON_NODE_HOLDS_ARRAY (node))
    return 0;

  JsonArray *array = json_node_get_array (node);
  gsize n = 0;
  for (guint i = 0; i < json_array_get_length (array); i++) {
    const gsize more = read_numbers (json_array_get_element (array, i), least, largest);
    if (more == 0)
      return 0;
    n += more;
  }
  return n;
}

/* "lowest" or "highest": a number, or an array of numpy's as an object. */
static gsize
read_extreme (JsonObject *tensor, const char *member, double *least, double *largest)
{
  JsonNode *node = json_object_get_member (tensor, member);

  *least = INFINITY;
  *largest = -INFINITY;
  if (node && JSON_NODE_HOLDS_OBJECT (node))
    node = json_object_get_member (json_node_get_object (node), "data");
  return read_numbers (node, least, largest);
}

static gboolean
read_tensor (Reader *reader, CalibDynamicRanges *ranges, const char *tensor, JsonNode *node,
    GError **error)
{
  double lo = INFINITY, hi = -INFINITY, ignored;
  gsize n = 0;

  if (JSON_NODE_HOLDS_ARRAY (node)) {
    JsonArray *pair = json_node_get_array (node);
    if (json_array_get_length (pair) >= 2) {
      ignored = -INFINITY;
      n = read_numbers (json_array_get_element (pair, 0), &lo, &ignored);
      ignored = INFINITY;
      n = MIN (n, read_numbers (json_array_get_element (pair, 1), &ignored, &hi));
    }
  } else if (JSON_NODE_HOLDS_OBJECT (node)) {
    JsonObject *object = json_node_get_object (node);
    n = read_extreme (object, "lowest", &lo, &ignored);
    n = MIN (n, read_extreme (object, "highest", &ignored, &hi));
  }
  if (n == 0)
    return calib_format_fail (error, reader->name, 0,
        "'%s' has no finite range: expected [min, max], or an object with \"lowest\" and "
        "\"highest\"",
        tensor);
  if (lo > hi)
    return calib_format_fail (error, reader->name, 0,
        "the range of '%s', %g .. %g, is empty: its minimum is above its maximum", tensor, lo, hi);
  reader->n_channels += n > 1;
  calib_dynamic_ranges_set (ranges, tensor, lo, hi);
  return TRUE;
}

/* The object that has the tensors as its members. */
static JsonObject *
find_tensors (JsonObject *root)
{
  JsonNode *data = json_object_get_member (root, "data");
  const gboolean is_class =
      json_object_has_member (root, "CLS") || json_object_has_member (root, "calibration_method");

  return is_class && data && JSON_NODE_HOLDS_OBJECT (data) ? json_node_get_object (data) : root;
}

static gboolean
is_provenance (JsonObject *root)
{
  JsonNode *format = json_object_get_member (root, "format");

  return format && JSON_NODE_HOLDS_VALUE (format) &&
         json_node_get_value_type (format) == G_TYPE_STRING &&
         g_str_equal (json_node_get_string (format), CALIB_PROVENANCE_FORMAT);
}

static char *
describe (const Reader *reader, JsonObject *root)
{
  JsonNode *smooth = json_object_get_member (root, "smooth_quant");
  g_autoptr (GString) note = g_string_new (NULL);

  if (reader->n_channels > 0)
    g_string_append_printf (note, "%u tensors have a range for each channel: all together count",
        reader->n_channels);
  if (smooth && JSON_NODE_HOLDS_VALUE (smooth) &&
      json_node_get_value_type (smooth) == G_TYPE_BOOLEAN && json_node_get_boolean (smooth))
    g_string_append_printf (note,
        "%sthe ranges are of a model that SmoothQuant changed, and of no use to the original",
        note->len ? "; " : "");
  return note->len > 0 ? g_strdup (note->str) : NULL;
}

CalibDynamicRanges *
calib_ort_json_parse (const char *text, gsize size, const char *name, char **note, GError **error)
{
  g_autoptr (CalibDynamicRanges) ranges = calib_dynamic_ranges_new ();
  g_autoptr (JsonParser) parser = json_parser_new ();
  g_autoptr (GError) local = NULL;
  Reader reader = {name, 0};

  if (size >= 3 && memcmp (text, "\xef\xbb\xbf", 3) == 0) { /* byte order mark */
    text += 3;
    size -= 3;
  }
  const char *problem = calib_json_problem (text, size);
  if (problem) {
    calib_format_fail (error, name, 0, "%s", problem);
    return NULL;
  }
  if (!json_parser_load_from_data (parser, text, size, &local)) {
    calib_format_fail (error, name, 0, "it is no JSON: %s", local->message);
    return NULL;
  }
  JsonNode *node = json_parser_get_root (parser);
  if (!node || !JSON_NODE_HOLDS_OBJECT (node)) {
    calib_format_fail (error, name, 0, "expected a JSON object of tensors and their ranges");
    return NULL;
  }
  JsonObject *root = json_node_get_object (node), *tensors = find_tensors (root);
  if (is_provenance (root)) {
    calib_format_fail (error, name, 0,
        "this is the provenance of a table: name the table, which has no .json at its end");
    return NULL;
  }
  JsonObjectIter iter;
  const char *tensor;
  json_object_iter_init_ordered (&iter, tensors);
  while (json_object_iter_next_ordered (&iter, &tensor, &node))
    if (!read_tensor (&reader, ranges, tensor, node, error))
      return NULL;
  *note = describe (&reader, root);
  return g_steal_pointer (&ranges);
}

/* --- Writing -------------------------------------------------------------------------------- */

/* By hand: json-glib 1.6 writes 1e-05 as "1e-05.0", which no parser takes. */
static void
append_extreme (GString *text, const char *member, double x)
{
  char number[CALIB_NUMBER_SIZE];

  g_string_append_printf (text,
      "\"%s\": {\"data\": %s, \"dtype\": \"float32\", \"CLS\": \"numpy.array\"}, ", member,
      calib_format_number (number, x));
}

static void
append_name (GString *text, const char *name)
{
  g_autoptr (JsonNode) node = json_node_init_string (json_node_alloc (), name);
  g_autofree char *quoted = json_to_string (node, FALSE);

  g_string_append (text, quoted);
}

/* Two numbers a tensor are what the method MinMax holds, however they were found. */
char *
calib_ort_json_to_string (const CalibDynamicRanges *ranges)
{
  GString *text = g_string_new ("{\"CLS\": \"TensorsData\",\n \"calibration_method\": "
                                "{\"CLS\": \"CalibrationMethod\", "
                                "\"value\": \"CalibrationMethod.MinMax\"},\n \"data\": {");

  for (guint i = 0; i < calib_dynamic_ranges_n_entries (ranges); i++) {
    double lo, hi;
    const char *name = calib_dynamic_ranges_entry (ranges, i, &lo, &hi);

    g_string_append (text, i > 0 ? ",\n  " : "\n  ");
    append_name (text, name);
    g_string_append (text, ": {");
    append_extreme (text, "lowest", lo);
    append_extreme (text, "highest", hi);
    g_string_append (text, "\"CLS\": \"TensorData\"}");
  }
  g_string_append (text, "\n }}\n");
  return g_string_free (text, FALSE);
}
