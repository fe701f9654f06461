/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* guard-settings.c: the properties of the drift guard. */
#include "gst/guard.h"

#define DEFAULT_WINDOW    32
#define MAX_WINDOW        10000
#define DEFAULT_CLIP      0.02
#define DEFAULT_AGREEMENT 0.7

void
gst_int8_guard_install (GObjectClass *klass)
{
  const GParamFlags flags = G_PARAM_READWRITE | G_PARAM_STATIC_STRINGS | GST_PARAM_MUTABLE_PLAYING;

  g_object_class_install_property (klass, GST_INT8_GUARD_INTERVAL,
      g_param_spec_uint ("drift-interval", "Drift interval",
          "Every so many frames one is also run in FP32, on a thread of low priority, to see whether "
          "the calibration still fits what the camera sees; \"stats\" tells, and the message int8-drift "
          "when it does not: then calibrate on such frames with int8calib and set calibration-table. 500 "
          "is a good value (0 = never)",
          0, G_MAXUINT, 0, flags));
  g_object_class_install_property (klass, GST_INT8_GUARD_WINDOW,
      g_param_spec_uint ("drift-window", "Drift window",
          "How many examined frames int8-drift is about, and how many have to be examined before it "
          "comes again",
          1, MAX_WINDOW, DEFAULT_WINDOW, flags));
  g_object_class_install_property (klass, GST_INT8_GUARD_CLIP,
      g_param_spec_double ("drift-clip", "Drift clip",
          "int8-drift comes where a greater share of the values of some tensor lies beyond its calibrated "
          "range, in the mean over the window (1 = never)",
          0, 1, DEFAULT_CLIP, flags));
  g_object_class_install_property (klass, GST_INT8_GUARD_AGREEMENT,
      g_param_spec_double ("drift-agreement", "Drift agreement",
          "int8-drift comes where a smaller share of the frames of the window has the same best class as "
          "in FP32 (0 = never)",
          0, 1, DEFAULT_AGREEMENT, flags));
}

void
gst_int8_guard_settings_init (GstInt8GuardSettings *settings)
{
  *settings = (GstInt8GuardSettings){
      .limits = {.window = DEFAULT_WINDOW, .clip = DEFAULT_CLIP, .agreement = DEFAULT_AGREEMENT}};
}

gboolean
gst_int8_guard_set_property (GstInt8GuardSettings *settings, guint id, const GValue *value)
{
  switch (id) {
  case GST_INT8_GUARD_INTERVAL:
    settings->interval = g_value_get_uint (value);
    return TRUE;
  case GST_INT8_GUARD_WINDOW:
    settings->limits.window = g_value_get_uint (value);
    return TRUE;
  case GST_INT8_GUARD_CLIP:
    settings->limits.clip = g_value_get_double (value);
    return TRUE;
  case GST_INT8_GUARD_AGREEMENT:
    settings->limits.agreement = g_value_get_double (value);
    return TRUE;
  default:
    return FALSE;
  }
}

gboolean
gst_int8_guard_get_property (const GstInt8GuardSettings *settings, guint id, GValue *value)
{
  switch (id) {
  case GST_INT8_GUARD_INTERVAL:
    g_value_set_uint (value, settings->interval);
    return TRUE;
  case GST_INT8_GUARD_WINDOW:
    g_value_set_uint (value, settings->limits.window);
    return TRUE;
  case GST_INT8_GUARD_CLIP:
    g_value_set_double (value, settings->limits.clip);
    return TRUE;
  case GST_INT8_GUARD_AGREEMENT:
    g_value_set_double (value, settings->limits.agreement);
    return TRUE;
  default:
    return FALSE;
  }
}
