/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * gstint8overlay.c: results drawn over the frames, where they lie.
 */
/**
 * SECTION:element-int8overlay
 * @title: int8overlay
 * @short_description: draws classification results over the video
 *
 * Draws what int8infer (metadata=auto, both or custom) has found: labels with bars of their probabilities, and
 * a rectangle around every object. Frames in system memory, BGRx or BGRA (alpha is taken as premultiplied, which is the
 * same where frames are opaque).
 *
 * |[
 * gst-launch-1.0 v4l2src ! videoconvert ! int8infer model=model.onnx calibration-table=model.table
 * labels=labels.txt top-k=5 ! videoconvert ! int8overlay ! videoconvert ! autovideosink
 * ]|
 */
#include "gst/gstint8overlay.h"

#include "gst/draw.h"
#include "gst/meta.h"

GST_DEBUG_CATEGORY_STATIC (gst_int8_overlay_debug);
#define GST_CAT_DEFAULT gst_int8_overlay_debug

#define DEFAULT_FONT "Sans"

enum { PROP_FONT = 1, PROP_SCALE };

struct _GstInt8Overlay {
  GstVideoFilter parent;
  /* object lock */
  char *font;
  double scale;
  /* the streaming thread's */
  gboolean warned; /* of results that it does not read */
};

G_DEFINE_FINAL_TYPE (GstInt8Overlay, gst_int8_overlay, GST_TYPE_VIDEO_FILTER)
GST_ELEMENT_REGISTER_DEFINE (int8overlay, "int8overlay", GST_RANK_NONE, GST_TYPE_INT8_OVERLAY)

/* What Cairo's 32 bits a pixel are in memory. */
#if G_BYTE_ORDER == G_LITTLE_ENDIAN
#define CAPS GST_VIDEO_CAPS_MAKE ("{ BGRx, BGRA }")
#else
#define CAPS GST_VIDEO_CAPS_MAKE ("{ xRGB, ARGB }")
#endif

static GstStaticPadTemplate sink_template =
    GST_STATIC_PAD_TEMPLATE ("sink", GST_PAD_SINK, GST_PAD_ALWAYS, GST_STATIC_CAPS (CAPS));
static GstStaticPadTemplate src_template =
    GST_STATIC_PAD_TEMPLATE ("src", GST_PAD_SRC, GST_PAD_ALWAYS, GST_STATIC_CAPS (CAPS));

static void
draw_results (GstInt8Overlay *self, GstVideoFrame *frame, cairo_surface_t *surface)
{
  g_autofree char *font = NULL;
  const GstStructure *fields;
  gpointer state = NULL;
  GstInt8Draw draw;
  double scale;

  GST_OBJECT_LOCK (self);
  font = g_strdup (self->font && *self->font ? self->font : DEFAULT_FONT);
  scale = self->scale;
  GST_OBJECT_UNLOCK (self);
  gst_int8_draw_begin (&draw, surface, GST_VIDEO_FRAME_WIDTH (frame),
      GST_VIDEO_FRAME_HEIGHT (frame), font, scale);
  while ((fields = gst_int8_meta_next (frame->buffer, &state)))
    gst_int8_draw_result (&draw, fields);
  gst_int8_draw_end (&draw);
}

static GstFlowReturn
transform_frame_ip (GstVideoFilter *filter, GstVideoFrame *frame)
{
  GstInt8Overlay *self = GST_INT8_OVERLAY (filter);
  const gboolean has_alpha = GST_VIDEO_INFO_HAS_ALPHA (&frame->info);
  GstFlowReturn result = GST_FLOW_OK;
  cairo_surface_t *surface;
  gpointer state = NULL;

  if (!gst_int8_meta_next (frame->buffer, &state)) {
    gst_int8_meta_warn_of_others (GST_ELEMENT (self), frame->buffer, &self->warned);
    return GST_FLOW_OK;
  }
  surface = cairo_image_surface_create_for_data (GST_VIDEO_FRAME_PLANE_DATA (frame, 0),
      has_alpha ? CAIRO_FORMAT_ARGB32 : CAIRO_FORMAT_RGB24, GST_VIDEO_FRAME_WIDTH (frame),
      GST_VIDEO_FRAME_HEIGHT (frame), GST_VIDEO_FRAME_PLANE_STRIDE (frame, 0));
  if (cairo_surface_status (surface) == CAIRO_STATUS_SUCCESS)
    draw_results (self, frame, surface);
  cairo_surface_flush (surface);
  if (cairo_surface_status (surface) != CAIRO_STATUS_SUCCESS) {
    GST_ELEMENT_ERROR (self, LIBRARY, FAILED,
        ("cannot draw: %s", cairo_status_to_string (cairo_surface_status (surface))), (NULL));
    result = GST_FLOW_ERROR;
  }
  cairo_surface_destroy (surface);
  return result;
}

static void
set_property (GObject *object, guint id, const GValue *value, GParamSpec *pspec)
{
  GstInt8Overlay *self = GST_INT8_OVERLAY (object);

  GST_OBJECT_LOCK (self);
  if (id == PROP_FONT) {
    g_free (self->font);
    self->font = g_value_dup_string (value);
  } else {
    self->scale = g_value_get_double (value);
  }
  GST_OBJECT_UNLOCK (self);
}

static void
get_property (GObject *object, guint id, GValue *value, GParamSpec *pspec)
{
  GstInt8Overlay *self = GST_INT8_OVERLAY (object);

  GST_OBJECT_LOCK (self);
  if (id == PROP_FONT)
    g_value_set_string (value, self->font);
  else
    g_value_set_double (value, self->scale);
  GST_OBJECT_UNLOCK (self);
}

static void
finalize (GObject *object)
{
  g_free (GST_INT8_OVERLAY (object)->font);
  G_OBJECT_CLASS (gst_int8_overlay_parent_class)->finalize (object);
}

static void
gst_int8_overlay_class_init (GstInt8OverlayClass *klass)
{
  const GParamFlags flags = G_PARAM_READWRITE | G_PARAM_STATIC_STRINGS | GST_PARAM_MUTABLE_PLAYING;
  GObjectClass *object_class = G_OBJECT_CLASS (klass);
  GstElementClass *element_class = GST_ELEMENT_CLASS (klass);

  GST_DEBUG_CATEGORY_INIT (gst_int8_overlay_debug, "int8overlay", 0, "results drawn over frames");
  object_class->set_property = set_property;
  object_class->get_property = get_property;
  object_class->finalize = finalize;
  g_object_class_install_property (object_class, PROP_FONT,
      g_param_spec_string ("font", "Font", "Family of the font, as Pango knows it", DEFAULT_FONT,
          flags));
  g_object_class_install_property (object_class, PROP_SCALE,
      g_param_spec_double ("scale", "Scale",
          "Size of the text: 1 is a 24th of the frame's height or a 16th of its width, whichever is less, at least "
          "10 pixels",
          0.2, 10, 1, flags));
  GST_VIDEO_FILTER_CLASS (klass)->transform_frame_ip = transform_frame_ip;
  gst_element_class_add_static_pad_template (element_class, &sink_template);
  gst_element_class_add_static_pad_template (element_class, &src_template);
  gst_element_class_set_static_metadata (element_class, "INT8 results as a picture",
      "Filter/Editor/Video",
      "Draws the results of int8infer over the video: labels, bars, rectangles",
      "The gst-int8 authors");
}

static void
gst_int8_overlay_init (GstInt8Overlay *self)
{
  self->font = g_strdup (DEFAULT_FONT);
  self->scale = 1;
}
