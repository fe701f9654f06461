/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* gstint8metajson.h: the element int8metajson. */
#pragma once

#include <gst/base/gstbasetransform.h>

G_BEGIN_DECLS

#define GST_TYPE_INT8_META_JSON (gst_int8_meta_json_get_type ())
G_DECLARE_FINAL_TYPE (GstInt8MetaJson, gst_int8_meta_json, GST, INT8_META_JSON, GstBaseTransform)
GST_ELEMENT_REGISTER_DECLARE (int8metajson)

G_END_DECLS
