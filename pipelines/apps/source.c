/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* source.c: see source.h. */
#include "source.h"

#include <string.h>

/* A bin of a launch line whose last element is called "video": its source pad is the bin's. */
static GstElement *
parse (const char *launch, GError **error)
{
  GstElement *bin = gst_parse_bin_from_description (launch, FALSE, error);

  if (bin) {
    g_autoptr (GstElement) last = gst_bin_get_by_name (GST_BIN (bin), "video");
    g_autoptr (GstPad) pad = gst_element_get_static_pad (last, "src");

    gst_element_add_pad (bin, gst_ghost_pad_new ("src", pad));
  }
  return bin;
}

/* A file's name or a URI. */
static char *
make_uri (const char *text, GError **error)
{
  if (gst_uri_is_valid (text))
    return g_strdup (text);
  if (g_file_test (text, G_FILE_TEST_EXISTS))
    return gst_filename_to_uri (text, error);
  g_set_error (error, GST_RESOURCE_ERROR, GST_RESOURCE_ERROR_NOT_FOUND,
      "there is no file \"%s\". %s", text, SOURCE_HELP);
  return NULL;
}

GstElement *
source_new (const char *text, gboolean live, GError **error)
{
  /* Sound would have nobody who takes it. (ANY): without, decoders that also write into a device's memory, as
   * those of H.264 do, are passed over. */
  const char *launch = "uridecodebin name=source caps=video/x-raw(ANY) expose-all-streams=false ! "
                       "videoconvert name=video";
  g_autofree char *property = NULL;
  g_autoptr (GstElement) source = NULL;
  GstElement *bin;

  if (strcmp (text, "test") == 0 || g_str_has_prefix (text, "test:")) {
    launch = live ? "videotestsrc name=source is-live=true ! videoconvert name=video"
                  : "videotestsrc name=source ! videoconvert name=video";
    property = g_strconcat ("pattern=", text[4] ? text + 5 : "ball", NULL);
  } else if (g_str_has_prefix (text, "/dev/video")) {
    launch = "v4l2src name=source ! decodebin ! videoconvert name=video";
    property = g_strconcat ("device=", text, NULL);
  } else {
    g_autofree char *uri = make_uri (text, error);

    if (!uri)
      return NULL;
    property = g_strconcat ("uri=", uri, NULL);
  }
  bin = parse (launch, error);
  if (!bin)
    return NULL;
  source = gst_bin_get_by_name (GST_BIN (bin), "source");
  if (!source_set_property (property, &source, 1, error))
    g_clear_pointer (&bin, gst_object_unref);
  return bin;
}

/* Whether a text is a value of a property: texts of enumerations and numbers are parsed. */
static gboolean
set_text (GstElement *element, GParamSpec *spec, const char *text)
{
  g_auto (GValue) value = G_VALUE_INIT;

  g_value_init (&value, spec->value_type);
  if (!gst_value_deserialize (&value, text) || g_param_value_validate (spec, &value))
    return FALSE;
  g_object_set_property (G_OBJECT (element), spec->name, &value);
  return TRUE;
}

gboolean
source_set_property (const char *assignment, GstElement **elements, guint n, GError **error)
{
  const char *value = strchr (assignment, '=');
  g_autofree char *name = value ? g_strndup (assignment, (gsize) (value - assignment)) : NULL;
  gboolean known = FALSE;

  for (guint i = 0; name && i < n; i++) {
    GParamSpec *spec = g_object_class_find_property (G_OBJECT_GET_CLASS (elements[i]), name);

    if (!spec)
      continue;
    known = TRUE;
    if (!set_text (elements[i], spec, value + 1)) {
      g_set_error (error, GST_CORE_ERROR, GST_CORE_ERROR_FAILED,
          "\"%s\" is no value of the property %s: see gst-inspect-1.0 %s", value + 1, name,
          GST_OBJECT_NAME (gst_element_get_factory (elements[i])));
      return FALSE;
    }
  }
  if (!known)
    g_set_error (error, GST_CORE_ERROR, GST_CORE_ERROR_FAILED,
        "\"%s\": NAME=VALUE is wanted, with a property of %s (gst-inspect-1.0 %s lists them)",
        assignment, GST_OBJECT_NAME (gst_element_get_factory (elements[0])),
        GST_OBJECT_NAME (gst_element_get_factory (elements[0])));
  return known;
}

GstElement *
source_make_element (const char *factory, const char *name, GError **error)
{
  GstElement *element = gst_element_factory_make (factory, name);

  if (!element)
    g_set_error (error, GST_CORE_ERROR, GST_CORE_ERROR_MISSING_PLUGIN,
        "GStreamer has no element %s: %s", factory,
        g_str_has_prefix (factory, "int8")
            ? "set GST_PLUGIN_PATH to the folder of libgstint8.so"
            : "install gstreamer1.0-plugins-base and gstreamer1.0-plugins-good");
  return element;
}

/* The first line of what follows the place in the source code, which elements put before it. */
static char *
first_detail (const char *debug)
{
  const char *line = debug ? strchr (debug, '\n') : NULL;

  return line ? g_strndup (line + 1, strcspn (line + 1, "\n")) : NULL;
}

char *
source_describe (GstMessage *message)
{
  g_autoptr (GError) error = NULL;
  g_autofree char *debug = NULL, *detail = NULL;

  if (GST_MESSAGE_TYPE (message) == GST_MESSAGE_ERROR)
    gst_message_parse_error (message, &error, &debug);
  else
    gst_message_parse_warning (message, &error, &debug);
  detail = first_detail (debug);
  return detail && *detail ? g_strdup_printf ("%s (%s)", error->message, detail)
                           : g_strdup (error->message);
}
