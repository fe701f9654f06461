/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * nvinfer.h: what the files share that make properties of nvinfer's keys.
 *
 *   nvinfer.c          one key after the other
 *   nvinfer-special.c  keys that are read together, when all are known
 */
#pragma once

#include "gst/config-file.h"

G_BEGIN_DECLS

/* While entries are gone through. */
typedef struct {
  GstInt8ConfigSettings *settings;
  const char *folder;
  GHashTable *specials; /* key to value: SPECIAL ones */
  gboolean has_table;
  gboolean names_classes; /* [int8] says which objects, in their names */
} GstInt8Nvinfer;

/* A property gets a value from a key; a later one goes before an earlier one. */
void gst_int8_nvinfer_set (GstInt8Nvinfer *maker, const char *property, const char *value,
    const char *key);
/* Sets error, and returns FALSE. */
gboolean gst_int8_nvinfer_refuse (const char *key, const char *value, const char *why,
    GError **error);
gboolean gst_int8_nvinfer_is_off (const char *value); /* empty, 0 or -1 */
char *gst_int8_nvinfer_resolve (const GstInt8Nvinfer *maker, const char *path);

/* What the special keys say together, and nvinfer's defaults where they say nothing. */
gboolean gst_int8_nvinfer_take_specials (GstInt8Nvinfer *maker, GError **error);

G_END_DECLS
