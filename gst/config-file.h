/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * config-file.h: the property "config-file": a file of DeepStream's nvinfer (INI or YAML) sets properties
 * of an element. What was set by hand, in a launch line or by an application, goes before the file.
 *
 *   [property]    keys of nvinfer: docs/FROM-DEEPSTREAM.md lists each with what becomes of it
 *   [int8]        properties of the element by their own names, and a few names of old
 *   other groups  are a detector's; not looked at, and said so
 *
 * YAML: the same two levels, as nvinfer reads them; a list is what INI writes with ';'.
 * Paths are relative to the file. Nothing is passed over in silence: keys that change nothing are named
 * at the level INFO, those that are not obeyed in one warning, those that cannot be in an error.
 */
#pragma once

#include <gst/gst.h>

G_BEGIN_DECLS

typedef struct {
  char *path;
  GHashTable *by_hand; /* names of properties, interned */
  gboolean reading;    /* properties that are set now are the file's */
} GstInt8ConfigFile;

void gst_int8_config_file_init (GstInt8ConfigFile *file);
void gst_int8_config_file_clear (GstInt8ConfigFile *file);
void gst_int8_config_file_install (GObjectClass *klass, guint id);
/* A property of the element has been set. Under its object lock. */
void gst_int8_config_file_note (GstInt8ConfigFile *file, const GParamSpec *pspec);

/* Reads the file, if there is one, and sets the element's properties; warns. In NULL→READY. foreign:
 * properties that mean something else to nvinfer, NULL at the end; they are taken from [int8] only. G_FILE_ERROR,
 * G_KEY_FILE_ERROR, or G_IO_ERROR_INVALID_ARGUMENT with the key, what is wrong with it, and what to do. */
gboolean gst_int8_config_file_apply (GstInt8ConfigFile *file, GstElement *element,
    const char *const *foreign, GError **error);

/* --- Reading, and what keys mean -------------------------------------------------------------- */

typedef struct {
  char *group, *key, *value;
} GstInt8ConfigEntry;

/* All entries in their order, of GstInt8ConfigEntry, to be freed with g_ptr_array_unref(). YAML where the
 * name ends in .yml or .yaml. At most 1 MB. */
GPtrArray *gst_int8_config_file_read (const char *path, GError **error);
/* The same of a text, which ends in a NUL behind its `size` bytes. */
GPtrArray *gst_int8_config_file_parse (const char *text, gsize size, gboolean is_yaml,
    GError **error);

/* How a key of the group [int8] is called. */
#define GST_INT8_CONFIG_OWN "[int8] "

/* What becomes of the entries. To be cleared with gst_int8_config_settings_clear(). */
typedef struct {
  GPtrArray *properties; /* name, value, key, name, value, key ...: texts */
  GPtrArray *infos, *warnings;
} GstInt8ConfigSettings;
void gst_int8_config_settings_clear (GstInt8ConfigSettings *settings);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (GstInt8ConfigSettings, gst_int8_config_settings_clear)
/* folder: of the file. */
gboolean gst_int8_config_settings_make (const GPtrArray *entries, const char *folder,
    GstInt8ConfigSettings *settings, GError **error);

G_END_DECLS
