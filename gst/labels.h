/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * labels.h: the names of a model's classes, read from a text file.
 *
 * Two layouts, told apart by the number of classes: one label per line, or DeepStream's single line
 * of labels separated by ';'. UTF-8, with or without a byte order mark; line ends of Unix or DOS.
 * When the number of labels is not the number of classes nobody knows which label belongs to which
 * class, so the class index serves as label everywhere and `warning` says so.
 */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

typedef struct _GstInt8Labels GstInt8Labels;

/* path: NULL gives the class indices as labels. warning (never NULL) is set to a sentence to be
 * freed by the caller, or to NULL. NULL with G_FILE_ERROR or G_CONVERT_ERROR when the file cannot
 * be read or is not UTF-8. */
GstInt8Labels *gst_int8_labels_load (const char *path, guint n_classes, char **warning,
    GError **error);
GstInt8Labels *gst_int8_labels_ref (GstInt8Labels *labels);
void gst_int8_labels_unref (GstInt8Labels *labels); /* NULL is fine */
G_DEFINE_AUTOPTR_CLEANUP_FUNC (GstInt8Labels, gst_int8_labels_unref)

/* Never NULL for index < n_classes; interned, so valid for good. */
const char *gst_int8_labels_get (const GstInt8Labels *labels, guint index);
/* The same as a quark. */
GQuark gst_int8_labels_get_quark (const GstInt8Labels *labels, guint index);

G_END_DECLS
