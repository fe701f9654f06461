/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* labels.c: reading label files; the layouts are described in labels.h. */
#include "gst/labels.h"

#include <string.h>

struct _GstInt8Labels {
  gatomicrefcount references;
  guint n;
  struct {
    const char *name; /* interned: metadata refers to it as long as it likes */
    GQuark quark;
  } classes[]; /* n */
};

/* Splits and trims; empty items at the end do not count, empty items between do. */
static char **
split (const char *text, const char *separator)
{
  char **items = g_strsplit (text, separator, -1);
  guint n = g_strv_length (items);

  for (guint i = 0; i < n; i++)
    g_strstrip (items[i]);
  while (n > 0 && items[n - 1][0] == '\0')
    g_clear_pointer (&items[--n], g_free);
  return items;
}

static guint
count_filled (char **items)
{
  guint filled = 0;

  for (; *items; items++)
    filled += (*items)[0] != '\0';
  return filled;
}

/* The file as text, without its byte order mark. */
static char *
read_text (const char *path, GError **error)
{
  static const char bom[] = "\xef\xbb\xbf";
  g_autofree char *text = NULL;
  const char *bad = NULL;
  gsize size = 0, skip;

  if (!g_file_get_contents (path, &text, &size, error)) {
    g_prefix_error (error, "labels: ");
    return NULL;
  }
  if (!g_utf8_validate_len (text, size, &bad)) {
    guint line = 1;

    for (const char *c = text; c < bad; c++)
      line += *c == '\n';
    g_set_error (error, G_CONVERT_ERROR, G_CONVERT_ERROR_ILLEGAL_SEQUENCE,
        "labels: %s is not UTF-8 text (line %u); convert it with: iconv -f latin1 -t utf-8", path,
        line);
    return NULL;
  }
  skip = g_str_has_prefix (text, bom) ? sizeof bom - 1 : 0;
  return g_strdup (text + skip);
}

/* The labels of a file when there are n of them, else NULL and `found`, how many there are. */
static char **
pick_layout (const char *text, guint n, guint *found)
{
  g_auto (GStrv) lines = split (text, "\n");
  const guint n_lines = g_strv_length (lines);

  *found = n_lines;
  if (n_lines == n)
    return g_steal_pointer (&lines);
  if (count_filled (lines) == 1 && strchr (lines[n_lines - 1], ';')) {
    g_auto (GStrv) items = split (lines[n_lines - 1], ";");

    *found = g_strv_length (items);
    if (*found == n)
      return g_steal_pointer (&items);
  }
  return NULL;
}

/* names: n of them, or NULL. What has no name is called by its index. */
static GstInt8Labels *
make_labels (guint n, char **names)
{
  GstInt8Labels *labels = g_malloc0 (sizeof *labels + n * sizeof *labels->classes);

  g_atomic_ref_count_init (&labels->references);
  labels->n = n;
  for (guint i = 0; i < n; i++) {
    char index[16];

    g_snprintf (index, sizeof index, "%u", i);
    labels->classes[i].quark = g_quark_from_string (names && *names[i] ? names[i] : index);
    labels->classes[i].name = g_quark_to_string (labels->classes[i].quark);
  }
  return labels;
}

GstInt8Labels *
gst_int8_labels_load (const char *path, guint n_classes, char **warning, GError **error)
{
  g_autofree char *text = NULL;
  g_auto (GStrv) names = NULL;
  guint found;

  *warning = NULL;
  if (!path)
    return make_labels (n_classes, NULL);
  text = read_text (path, error);
  if (!text)
    return NULL;
  names = pick_layout (text, n_classes, &found);
  if (!names)
    *warning = g_strdup_printf (
        "%s has %u labels, but the model has %u classes: class indices are used as labels%s", path,
        found, n_classes,
        found == n_classes + 1 ? " (is the first line \"background\"? then remove it)" : "");
  return make_labels (n_classes, names);
}

GstInt8Labels *
gst_int8_labels_ref (GstInt8Labels *labels)
{
  g_atomic_ref_count_inc (&labels->references);
  return labels;
}

void
gst_int8_labels_unref (GstInt8Labels *labels)
{
  if (labels && g_atomic_ref_count_dec (&labels->references))
    g_free (labels);
}

const char *
gst_int8_labels_get (const GstInt8Labels *labels, guint index)
{
  g_return_val_if_fail (index < labels->n, "");
  return labels->classes[index].name;
}

GQuark
gst_int8_labels_get_quark (const GstInt8Labels *labels, guint index)
{
  g_return_val_if_fail (index < labels->n, 0);
  return labels->classes[index].quark;
}
