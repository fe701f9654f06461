/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* stages.c: see stages.h. */
#include "gst/stages.h"

#include <string.h>

GST_DEBUG_CATEGORY (gst_int8_stages_debug);

void
gst_int8_stages_init (void)
{
  GST_DEBUG_CATEGORY_INIT (gst_int8_stages_debug, "int8stages", 0,
      "durations of what int8infer does, at level TRACE");
}

void
gst_int8_stage_log (const GstInt8Stage *stage, const char *device, guint pictures)
{
  /* Of a device in a context of the pipeline without its address. */
  GST_CAT_TRACE (gst_int8_stages_debug,
      "int8-stage, stage=(string)%s, device=(string)%.*s, pictures=(uint)%u, duration=(guint64)%" G_GUINT64_FORMAT
      ";",
      stage->name, (int) strcspn (device, "@"), device, pictures,
      gst_util_get_timestamp () - stage->begun);
}
