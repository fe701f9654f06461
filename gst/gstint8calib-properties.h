/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * gstint8calib-properties.h: numbers and defaults of int8calib's properties, for the file that declares
 * them (gstint8calib-properties.c) and the one that keeps their values (gstint8calib-settings.c).
 */
#pragma once

#include "gst/gstint8calib-private.h"

G_BEGIN_DECLS

enum {
  PROP_TABLE = GST_INT8_CONFIG_LAST + 1,
  PROP_TABLE_EXISTS,
  PROP_STATISTICS,
  PROP_MERGE,
  PROP_METHOD,
  PROP_BIAS_CORRECTION,
  PROP_EQUALISE,
  PROP_PERCENTILE,
  PROP_TRT_VERSION,
  PROP_BATCH_SIZE,
  PROP_MAX_FRAMES,
  PROP_AUTO_STOP,
  PROP_INTERVAL,
  PROP_MIN_GAP,
  PROP_SCENE_CHANGE,
  PROP_CALIB_STATS,
  PROP_CHECKPOINT_INTERVAL,
  PROP_EOS_WHEN_DONE,
  PROP_QDQ_MODEL,
  PROP_QDQ_TARGET,
  PROP_REPORT,
  PROP_KEEP_FRAMES,
  PROP_PRECISION_TARGET,
  PROP_CONFIG_FILE,
  PROP_OBJECTS /* the first of them */
};

#define DEFAULT_METHOD              CALIB_METHOD_MSE
#define DEFAULT_PERCENTILE          99.99
#define DEFAULT_TRT_VERSION         8601
#define DEFAULT_BATCH_SIZE          1
#define DEFAULT_MAX_FRAMES          500
#define DEFAULT_INTERVAL            1
#define DEFAULT_CHECKPOINT_INTERVAL 100

/* FALSE: there is no such property. The object lock is held. */
gboolean gst_int8_calib_settings_set (GstInt8CalibSettings *settings, guint id,
    const GValue *value);
gboolean gst_int8_calib_settings_get (const GstInt8CalibSettings *settings, guint id,
    GValue *value);

G_END_DECLS
