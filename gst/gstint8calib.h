/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* gstint8calib.h: the element int8calib. Its documentation is at the top of gstint8calib.c. */
#pragma once

#include <gst/base/gstbasesink.h>

G_BEGIN_DECLS

#define GST_TYPE_INT8_CALIB (gst_int8_calib_get_type ())
G_DECLARE_FINAL_TYPE (GstInt8Calib, gst_int8_calib, GST, INT8_CALIB, GstBaseSink)
GST_ELEMENT_REGISTER_DECLARE (int8calib)

G_END_DECLS
