/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* objects.c: see objects.h. */
#include "gst/objects.h"

enum {
  PROCESS_MODE,
  OBJECT_CLASS,
  OBJECT_MIN_WIDTH,
  OBJECT_MIN_HEIGHT,
  OBJECT_MAX_WIDTH,
  OBJECT_MAX_HEIGHT,
  RECLASSIFY_INTERVAL,
  RECLASSIFY_CONFIDENCE,
  TRACK_VOTES,
  N_PROPERTIES
};
G_STATIC_ASSERT (N_PROPERTIES == GST_INT8_OBJECTS_PROPERTIES);

static GType
process_mode_type (void)
{
  static const GEnumValue values[] = {
      {GST_INT8_PROCESS_FRAME, "The whole frame", "frame"},
      {GST_INT8_PROCESS_OBJECTS, "What a detector has marked on it, one by one", "objects"},
      {0, NULL, NULL},
  };
  static gsize type;

  if (g_once_init_enter (&type))
    g_once_init_leave (&type, g_enum_register_static ("GstInt8ProcessMode", values));
  return type;
}

void
gst_int8_object_settings_copy (const GstInt8ObjectSettings *from, GstInt8ObjectSettings *to)
{
  *to = *from;
  to->classes = g_strdup (from->classes);
}

void
gst_int8_object_settings_clear (GstInt8ObjectSettings *settings)
{
  g_clear_pointer (&settings->classes, g_free);
}

void
gst_int8_object_settings_filter (const GstInt8ObjectSettings *settings, GstInt8RegionFilter *filter)
{
  *filter = (GstInt8RegionFilter){.classes = settings->classes && *settings->classes
                                                 ? g_strsplit (settings->classes, ";", -1)
                                                 : NULL,
      .min_width = (int) settings->min_width,
      .min_height = (int) settings->min_height,
      .max_width = (int) settings->max_width,
      .max_height = (int) settings->max_height};
  for (char **name = filter->classes; name && *name; name++)
    g_strstrip (*name);
}

/* --- Properties ------------------------------------------------------------------------------ */

static void
install_side (GObjectClass *klass, guint id, const char *name, const char *nick, const char *blurb,
    GParamFlags flags)
{
  g_object_class_install_property (klass, id,
      g_param_spec_uint (name, nick, blurb, 0, ENGINE_MAX_SIDE, 0, flags));
}

static void
install_tracking (GObjectClass *klass, guint first, GParamFlags flags)
{
  g_object_class_install_property (klass, first + RECLASSIFY_INTERVAL,
      g_param_spec_uint ("reclassify-interval", "Reclassify interval",
          "process-mode=objects: frames after which an object that a tracker follows is classified again; in "
          "between, or earlier where its area has grown by 20 %, it has its last result (0 = in every frame, "
          "4294967295 = never again)",
          0, G_MAXUINT, 0, flags));
  g_object_class_install_property (klass, first + RECLASSIFY_CONFIDENCE,
      g_param_spec_double ("reclassify-confidence", "Reclassify confidence",
          "process-mode=objects: a tracked object is classified in every frame while it is taken for its class "
          "with less (0 = does not matter)",
          0, 1, 0, flags));
  g_object_class_install_property (klass, first + TRACK_VOTES,
      g_param_spec_uint ("track-votes", "Votes of a track",
          "process-mode=objects: a tracked object is taken for the class with the highest mean confidence over "
          "about so many classifications, and for another one only where that is clearly higher (0 or 1 = the "
          "last one counts)",
          0, 1000, 0, flags));
}

void
gst_int8_objects_install (GObjectClass *klass, guint first, gboolean tracking, GParamFlags flags)
{
  g_object_class_install_property (klass, first + PROCESS_MODE,
      g_param_spec_enum ("process-mode", "Process mode",
          "What goes through the network: frames, or the objects on them (GstAnalytics object detections "
          "or GstVideoRegionOfInterestMeta)",
          process_mode_type (), GST_INT8_PROCESS_FRAME, flags));
  g_object_class_install_property (klass, first + OBJECT_CLASS,
      g_param_spec_string ("object-class", "Object class",
          "process-mode=objects: only objects of these classes, separated by ';' (unset = all)",
          NULL, flags));
  install_side (klass, first + OBJECT_MIN_WIDTH, "object-min-width", "Least width of objects",
      "process-mode=objects: narrower ones are left out; in pixels of the frame, of the part inside it (0 = none are)",
      flags);
  install_side (klass, first + OBJECT_MIN_HEIGHT, "object-min-height", "Least height of objects",
      "process-mode=objects: lower ones are left out; in pixels of the frame, of the part inside it (0 = none are)",
      flags);
  install_side (klass, first + OBJECT_MAX_WIDTH, "object-max-width", "Greatest width of objects",
      "process-mode=objects: wider ones are left out; in pixels of the frame, of the part inside it (0 = none are)",
      flags);
  install_side (klass, first + OBJECT_MAX_HEIGHT, "object-max-height", "Greatest height of objects",
      "process-mode=objects: higher ones are left out; in pixels of the frame, of the part inside it (0 = none are)",
      flags);
  if (tracking)
    install_tracking (klass, first, flags);
}

gboolean
gst_int8_objects_set_property (GstInt8ObjectSettings *settings, guint first, guint id,
    const GValue *value)
{
  switch (id - first) {
  case PROCESS_MODE:
    settings->mode = g_value_get_enum (value);
    return TRUE;
  case OBJECT_CLASS:
    g_free (settings->classes);
    settings->classes = g_value_dup_string (value);
    return TRUE;
  case OBJECT_MIN_WIDTH:
    settings->min_width = g_value_get_uint (value);
    return TRUE;
  case OBJECT_MIN_HEIGHT:
    settings->min_height = g_value_get_uint (value);
    return TRUE;
  case OBJECT_MAX_WIDTH:
    settings->max_width = g_value_get_uint (value);
    return TRUE;
  case OBJECT_MAX_HEIGHT:
    settings->max_height = g_value_get_uint (value);
    return TRUE;
  case RECLASSIFY_INTERVAL:
    settings->tracks.interval = g_value_get_uint (value);
    return TRUE;
  case RECLASSIFY_CONFIDENCE:
    settings->tracks.confidence = g_value_get_double (value);
    return TRUE;
  case TRACK_VOTES:
    settings->tracks.votes = g_value_get_uint (value);
    return TRUE;
  default:
    return FALSE;
  }
}

gboolean
gst_int8_objects_get_property (const GstInt8ObjectSettings *settings, guint first, guint id,
    GValue *value)
{
  switch (id - first) {
  case PROCESS_MODE:
    g_value_set_enum (value, settings->mode);
    return TRUE;
  case OBJECT_CLASS:
    g_value_set_string (value, settings->classes);
    return TRUE;
  case OBJECT_MIN_WIDTH:
    g_value_set_uint (value, settings->min_width);
    return TRUE;
  case OBJECT_MIN_HEIGHT:
    g_value_set_uint (value, settings->min_height);
    return TRUE;
  case OBJECT_MAX_WIDTH:
    g_value_set_uint (value, settings->max_width);
    return TRUE;
  case OBJECT_MAX_HEIGHT:
    g_value_set_uint (value, settings->max_height);
    return TRUE;
  case RECLASSIFY_INTERVAL:
    g_value_set_uint (value, settings->tracks.interval);
    return TRUE;
  case RECLASSIFY_CONFIDENCE:
    g_value_set_double (value, settings->tracks.confidence);
    return TRUE;
  case TRACK_VOTES:
    g_value_set_uint (value, settings->tracks.votes);
    return TRUE;
  default:
    return FALSE;
  }
}
