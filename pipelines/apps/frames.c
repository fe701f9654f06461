/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* frames.c: see frames.h. */
#include "frames.h"

static GstPadProbeReturn
on_frame_in (GstPad *pad, GstPadProbeInfo *info, gpointer data)
{
  Frames *frames = data;

  g_mutex_lock (&frames->lock);
  frames->in++;
  g_mutex_unlock (&frames->lock);
  return GST_PAD_PROBE_OK;
}

static void
read_result (Frames *frames, GstBuffer *buffer)
{
  GstCustomMeta *meta = gst_buffer_get_custom_meta (buffer, "GstInt8ClassificationMeta");
  const GstStructure *fields = meta ? gst_custom_meta_get_structure (meta) : NULL;

  if (!fields || !gst_structure_get_double (fields, "confidence", &frames->confidence))
    return;
  g_free (frames->label);
  frames->label = g_strdup (gst_structure_get_string (fields, "label"));
}

static GstPadProbeReturn
on_frame_out (GstPad *pad, GstPadProbeInfo *info, gpointer data)
{
  GstBuffer *buffer = GST_PAD_PROBE_INFO_BUFFER (info);
  const gint64 now = g_get_monotonic_time ();
  Frames *frames = data;

  g_mutex_lock (&frames->lock);
  frames->out++;
  frames->after += frames->phase == CALIBRATED;
  if (frames->left)
    frames->pause[frames->phase] = MAX (frames->pause[frames->phase], now - frames->left);
  frames->left = now;
  frames->disordered +=
      GST_CLOCK_TIME_IS_VALID (frames->newest) && GST_BUFFER_PTS (buffer) <= frames->newest;
  frames->newest = GST_BUFFER_PTS (buffer);
  read_result (frames, buffer);
  g_mutex_unlock (&frames->lock);
  return GST_PAD_PROBE_OK;
}

void
frames_init (Frames *frames, GstElement *infer)
{
  g_autoptr (GstPad) sink = gst_element_get_static_pad (infer, "sink");
  g_autoptr (GstPad) src = gst_element_get_static_pad (infer, "src");

  *frames = (Frames){.newest = GST_CLOCK_TIME_NONE};
  g_mutex_init (&frames->lock);
  gst_pad_add_probe (sink, GST_PAD_PROBE_TYPE_BUFFER, on_frame_in, frames, NULL);
  gst_pad_add_probe (src, GST_PAD_PROBE_TYPE_BUFFER, on_frame_out, frames, NULL);
}

void
frames_clear (Frames *frames)
{
  g_mutex_clear (&frames->lock);
  g_free (frames->label);
}

void
frames_set_phase (Frames *frames, Phase phase)
{
  g_mutex_lock (&frames->lock);
  frames->phase = phase;
  g_mutex_unlock (&frames->lock);
}

void
frames_restart (Frames *frames)
{
  g_mutex_lock (&frames->lock);
  frames->newest = GST_CLOCK_TIME_NONE;
  frames->left = 0;
  g_mutex_unlock (&frames->lock);
}

void
frames_print (Frames *frames)
{
  g_mutex_lock (&frames->lock);
  g_print ("frames: %" G_GUINT64_FORMAT " in, %" G_GUINT64_FORMAT " out, %" G_GUINT64_FORMAT
           " out of order\n",
      frames->in, frames->out, frames->disordered);
  if (frames->phase == CALIBRATED)
    g_print ("longest pause between two frames: %.0f ms while calibrating, %.0f ms while the INT8 "
             "network was made and exchanged, %.0f ms since\n",
        (double) frames->pause[CALIBRATING] * 1e-3, (double) frames->pause[EXCHANGING] * 1e-3,
        (double) frames->pause[CALIBRATED] * 1e-3);
  g_mutex_unlock (&frames->lock);
}
