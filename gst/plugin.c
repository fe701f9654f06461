/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* plugin.c: the plugin "int8", in libgstint8.so. */
#include "gst/gstint8calib.h"
#include "gst/gstint8infer.h"
#include "gst/gstint8metajson.h"
#include "gst/gstint8overlay.h"
#include "gst/meta.h"

#define PACKAGE "gst-int8"

static gboolean
plugin_init (GstPlugin *plugin)
{
  return gst_int8_meta_register () && GST_ELEMENT_REGISTER (int8calib, plugin) &&
         GST_ELEMENT_REGISTER (int8infer, plugin) && GST_ELEMENT_REGISTER (int8metajson, plugin) &&
         GST_ELEMENT_REGISTER (int8overlay, plugin);
}

GST_PLUGIN_DEFINE (GST_VERSION_MAJOR, GST_VERSION_MINOR, int8,
    "Calibrates and runs INT8 image classifiers from ONNX", plugin_init, INT8_VERSION, "LGPL",
    PACKAGE, PACKAGE)
