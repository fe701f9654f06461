/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* gstint8overlay.h: the element int8overlay. */
#pragma once

#include <gst/video/gstvideofilter.h>

G_BEGIN_DECLS

#define GST_TYPE_INT8_OVERLAY (gst_int8_overlay_get_type ())
G_DECLARE_FINAL_TYPE (GstInt8Overlay, gst_int8_overlay, GST, INT8_OVERLAY, GstVideoFilter)
GST_ELEMENT_REGISTER_DECLARE (int8overlay)

G_END_DECLS
