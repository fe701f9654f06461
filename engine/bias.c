/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* bias.c: corrections of biases as an object and as a file. bias-fast.c makes them. */
#include "engine/bias.h"

#include <math.h>
#include <string.h>

#include <glib/gstdio.h>

#define FIRST_LINE "gst-int8 bias correction 1"
#define WITH_CHANNELS                                                                              \
  "gst-int8 bias correction 2" /* readers of 1 refuse what they would not obey */
#define CHANNELS_LINE "channels"
#define LAST_LINE     "end" /* a file that was cut off is noticed */

typedef struct {
  char *tensor;
  GArray *values; /* float */
} Layer;

struct _EngineBias {
  GPtrArray *layers;    /* Layer, in the order of setting */
  GHashTable *index;    /* tensor, the layer's own, to Layer */
  GPtrArray *equalised; /* Layer, its values T and a factor a channel */
};

static void
free_layer (gpointer data)
{
  Layer *layer = data;

  g_free (layer->tensor);
  g_array_unref (layer->values);
  g_free (layer);
}

EngineBias *
engine_bias_new (void)
{
  EngineBias *bias = g_new (EngineBias, 1);

  bias->layers = g_ptr_array_new_with_free_func (free_layer);
  bias->index = g_hash_table_new (g_str_hash, g_str_equal);
  bias->equalised = g_ptr_array_new_with_free_func (free_layer);
  return bias;
}

void
engine_bias_free (EngineBias *bias)
{
  if (!bias)
    return;
  g_hash_table_unref (bias->index);
  g_ptr_array_unref (bias->equalised);
  g_ptr_array_unref (bias->layers);
  g_free (bias);
}

void
engine_bias_set (EngineBias *bias, const char *tensor, const float *values, guint channels)
{
  Layer *layer = g_hash_table_lookup (bias->index, tensor);

  if (!layer) {
    layer = g_new (Layer, 1);
    *layer = (Layer){g_strdup (tensor), g_array_new (FALSE, FALSE, sizeof (float))};
    g_ptr_array_add (bias->layers, layer);
    g_hash_table_insert (bias->index, layer->tensor, layer);
  }
  g_array_set_size (layer->values, 0);
  g_array_append_vals (layer->values, values, channels);
}

/* They are few. */
static Layer *
find_equalised (const EngineBias *bias, const char *tensor)
{
  for (guint i = 0; i < bias->equalised->len; i++) {
    Layer *layer = bias->equalised->pdata[i];

    if (g_str_equal (layer->tensor, tensor))
      return layer;
  }
  return NULL;
}

const float *
engine_bias_lookup (const EngineBias *bias, const char *tensor, guint *channels)
{
  const Layer *layer = g_hash_table_lookup (bias->index, tensor);

  if (!layer)
    return NULL;
  *channels = layer->values->len;
  return (const float *) layer->values->data;
}

guint
engine_bias_n_layers (const EngineBias *bias)
{
  return bias->layers->len;
}

const char *
engine_bias_layer (const EngineBias *bias, guint layer)
{
  return ((const Layer *) bias->layers->pdata[layer])->tensor;
}

void
engine_bias_set_channels (EngineBias *bias, const char *tensor, float threshold,
    const float *factors, guint channels)
{
  Layer *layer = find_equalised (bias, tensor);

  if (!layer) {
    layer = g_new (Layer, 1);
    *layer = (Layer){g_strdup (tensor), g_array_new (FALSE, FALSE, sizeof (float))};
    g_ptr_array_add (bias->equalised, layer);
  }
  g_array_set_size (layer->values, 0);
  g_array_append_val (layer->values, threshold);
  g_array_append_vals (layer->values, factors, channels);
}

const float *
engine_bias_channels (const EngineBias *bias, const char *tensor, float *threshold, guint *channels)
{
  const Layer *layer = find_equalised (bias, tensor);

  if (!layer)
    return NULL;
  *threshold = g_array_index (layer->values, float, 0);
  *channels = layer->values->len - 1;
  return (const float *) layer->values->data + 1;
}

void
engine_bias_copy_channels (EngineBias *bias, const EngineBias *from)
{
  for (guint i = 0; i < from->equalised->len; i++) {
    const Layer *layer = from->equalised->pdata[i];
    const float *values = (const float *) layer->values->data;

    engine_bias_set_channels (bias, layer->tensor, values[0], values + 1, layer->values->len - 1);
  }
}

void
engine_bias_copy (EngineBias *bias, const EngineBias *from)
{
  for (guint i = 0; i < from->layers->len; i++) {
    const Layer *layer = from->layers->pdata[i];

    engine_bias_set (bias, layer->tensor, (const float *) layer->values->data, layer->values->len);
  }
  engine_bias_copy_channels (bias, from);
}

guint
engine_bias_n_equalised (const EngineBias *bias)
{
  return bias->equalised->len;
}

const char *
engine_bias_equalised (const EngineBias *bias, guint tensor)
{
  return ((const Layer *) bias->equalised->pdata[tensor])->tensor;
}

char *
engine_bias_path (const char *table_path)
{
  return g_strconcat (table_path, ".bias", NULL);
}

/* --- Text ----------------------------------------------------------------------------------- */

static void
write_layers (GString *text, const GPtrArray *layers)
{
  for (guint i = 0; i < layers->len; i++) {
    const Layer *layer = layers->pdata[i];

    g_string_append_printf (text, "%s:", layer->tensor);
    for (guint k = 0; k < layer->values->len; k++) {
      char number[G_ASCII_DTOSTR_BUF_SIZE];

      g_ascii_formatd (number, sizeof number, "%.9g", g_array_index (layer->values, float, k));
      g_string_append_printf (text, " %s", number);
    }
    g_string_append_c (text, '\n');
  }
}

char *
engine_bias_to_string (const EngineBias *bias, const char *table_sha256)
{
  const gboolean channels = bias->equalised->len > 0;
  GString *text = g_string_new (channels ? WITH_CHANNELS "\n" : FIRST_LINE "\n");

  g_string_append_printf (text, "table %s\n", table_sha256);
  write_layers (text, bias->layers);
  if (channels)
    g_string_append (text, CHANNELS_LINE "\n");
  write_layers (text, bias->equalised);
  g_string_append (text, LAST_LINE "\n");
  return g_string_free (text, FALSE);
}

static gboolean
refuse (const char *name, guint line, const char *cause, GError **error)
{
  g_set_error (error, ENGINE_ERROR, ENGINE_ERROR_FILE,
      "bias correction '%s', line %u: %s; calibrate again, or delete the file", name, line, cause);
  return FALSE;
}

/* A threshold above 0, and factors above 0 and at most 1. */
static gboolean
are_channels (const GArray *values)
{
  for (guint i = 0; i < values->len; i++) {
    const float value = g_array_index (values, float, i);

    if (!(value > 0) || (i > 0 && value > 1))
      return FALSE;
  }
  return values->len > 1;
}

/* "NAME: v v v", split at the last ':'. */
static gboolean
read_layer (EngineBias *bias, gboolean channels, const char *line, guint number, const char *name,
    GError **error)
{
  const char *colon = strrchr (line, ':'), *at = colon ? colon + 1 : NULL;
  g_autoptr (GArray) values = g_array_new (FALSE, FALSE, sizeof (float));
  g_autofree char *tensor = NULL;
  char *end;

  if (!colon || colon == line)
    return refuse (name, number, "expected `tensor: numbers`", error);
  while (*at == ' ') {
    const float value = (float) g_ascii_strtod (at + 1, &end);

    if (end == at + 1 || !isfinite (value))
      break;
    g_array_append_val (values, value);
    at = end;
  }
  if (*at || values->len == 0)
    return refuse (name, number, "expected finite numbers behind the last ':', a blank before each",
        error);
  tensor = g_strndup (line, colon - line);
  if (channels ? find_equalised (bias, tensor) : g_hash_table_lookup (bias->index, tensor))
    return refuse (name, number, "a second line for the same tensor", error);
  if (channels && !are_channels (values))
    return refuse (name, number, "expected T above 0, and factors above 0 and at most 1", error);
  if (channels)
    engine_bias_set_channels (bias, tensor, g_array_index (values, float, 0),
        (const float *) values->data + 1, values->len - 1);
  else
    engine_bias_set (bias, tensor, (const float *) values->data, values->len);
  return TRUE;
}

/* The line at *text, which is set behind it. */
static char *
next_line (const char **text)
{
  const gsize n = strcspn (*text, "\n");
  char *line = g_strndup (*text, n);

  *text += n + ((*text)[n] == '\n');
  return line;
}

EngineBias *
engine_bias_parse (const char *text, const char *table_sha256, const char *name, GError **error)
{
  g_autoptr (EngineBias) bias = engine_bias_new ();
  g_autofree char *first = next_line (&text), *table = next_line (&text);

  const gboolean may_have_channels = g_str_equal (first, WITH_CHANNELS);
  gboolean channels = FALSE;

  if (!may_have_channels && !g_str_equal (first, FIRST_LINE)) {
    refuse (name, 1, "expected `" FIRST_LINE "`, or 2", error);
    return NULL;
  }
  if (!g_str_has_prefix (table, "table ") || strlen (table) != strlen ("table ") + 64) {
    refuse (name, 2, "expected `table` and a SHA-256", error);
    return NULL;
  }
  if (table_sha256 && !g_str_equal (table + strlen ("table "), table_sha256)) {
    g_set_error (error, ENGINE_ERROR, ENGINE_ERROR_MISMATCH,
        "bias correction '%s' was made with another calibration table than the one beside it: "
        "calibrate again, or delete the file",
        name);
    return NULL;
  }
  for (guint number = 3;; number++) {
    g_autofree char *line = next_line (&text);

    if (g_str_equal (line, LAST_LINE) && !*text)
      return g_steal_pointer (&bias);
    if (may_have_channels && !channels && g_str_equal (line, CHANNELS_LINE)) {
      channels = TRUE;
      continue;
    }
    if (!read_layer (bias, channels, line, number, name, error))
      return NULL;
  }
}

/* --- Files ---------------------------------------------------------------------------------- */

gboolean
engine_bias_save (const EngineBias *bias, const CalibTable *table, const char *table_path,
    GError **error)
{
  g_autofree char *path = engine_bias_path (table_path), *shown = g_filename_display_name (path);
  g_autofree char *text = NULL, *contents = NULL, *sha256 = NULL;

  if (!bias || (bias->layers->len == 0 && bias->equalised->len == 0)) {
    if (g_unlink (path) == 0 || !g_file_test (path, G_FILE_TEST_EXISTS))
      return TRUE;
    g_set_error (error, G_FILE_ERROR, G_FILE_ERROR_FAILED,
        "'%s' corrects biases for an older table and cannot be removed: do so", shown);
    return FALSE;
  }
  contents = calib_table_to_string (table);
  sha256 = g_compute_checksum_for_string (G_CHECKSUM_SHA256, contents, -1);
  text = engine_bias_to_string (bias, sha256);
  return calib_file_replace (path, text, strlen (text), error);
}

EngineBias *
engine_bias_load (const char *table_path, GError **error)
{
  g_autofree char *path = engine_bias_path (table_path), *shown = g_filename_display_name (path);
  g_autofree char *text = NULL, *table = NULL, *sha256 = NULL;
  gsize size;

  if (!g_file_test (path, G_FILE_TEST_EXISTS))
    return NULL;
  if (!g_file_get_contents (table_path, &table, &size, error))
    return NULL;
  sha256 = g_compute_checksum_for_data (G_CHECKSUM_SHA256, (const guchar *) table, size);
  if (!g_file_get_contents (path, &text, NULL, error))
    return NULL;
  return engine_bias_parse (text, sha256, shown, error);
}
