/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* gstint8infer.h: the element int8infer. Its documentation is at the top of gstint8infer.c. */
#pragma once

#include <gst/gst.h>

G_BEGIN_DECLS

#define GST_TYPE_INT8_INFER (gst_int8_infer_get_type ())
G_DECLARE_FINAL_TYPE (GstInt8Infer, gst_int8_infer, GST, INT8_INFER, GstElement)
GST_ELEMENT_REGISTER_DECLARE (int8infer)

G_END_DECLS
