/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* progress.c: posting progress messages. */
#include "gst/progress.h"

#define LEAST_GAP (G_USEC_PER_SEC / 4)

gboolean
gst_int8_pace_is_due (GstInt8Pace *pace, int percent)
{
  const gint64 now = g_get_monotonic_time ();

  if (pace->at && (percent == pace->percent || (percent < 100 && now - pace->at < LEAST_GAP)))
    return FALSE;
  *pace = (GstInt8Pace){now, percent};
  return TRUE;
}

static gboolean
add_field (GQuark name, const GValue *value, gpointer fields)
{
  gst_structure_id_set_value (fields, name, value);
  return TRUE;
}

void
gst_int8_progress_post (GstElement *element, GstProgressType type, const GstInt8Progress *progress)
{
  GstMessage *message =
      gst_message_new_progress (GST_OBJECT (element), type, progress->code, progress->text);
  GstStructure *fields = gst_message_writable_structure (message);

  if (progress->percent >= 0)
    gst_structure_set (fields, "percent", G_TYPE_INT, progress->percent, NULL);
  if (progress->reason)
    gst_structure_set (fields, "reason", G_TYPE_STRING, progress->reason, NULL);
  if (progress->layer)
    gst_structure_set (fields, "layer", G_TYPE_STRING, progress->layer, NULL);
  if (progress->fields)
    gst_structure_foreach (progress->fields, add_field, fields);
  gst_element_post_message (element, message);
}
