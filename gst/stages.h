/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * stages.h: where the time of int8infer goes, for profilers and for the log:
 *
 *   load         a network is loaded, or built, and put onto its devices
 *   batch        a batch is made and started: of it
 *     preprocess   frames become input tensors, or are queued for that
 *     run          the network is started; on a CPU that is all of it
 *   wait         for a device, and for the classes of what it has computed
 *
 * Each is an NVTX range of the thread that is in it ("int8 run"), where nvtx3/nvToolsExt.h was there to build
 * with, and a line of the debug category "int8stages" at level TRACE when it ends, which
 * gst_structure_from_string() reads, as it reads those of GStreamer's tracers:
 *
 *   int8-stage, stage=(string)run, device=(string)cpu, pictures=(uint)4, duration=(guint64)1234567;
 *
 * Without a profiler and with the category off a stage costs two comparisons.
 */
#pragma once

#include <gst/gst.h>

#ifdef HAVE_NVTX
#include <nvtx3/nvToolsExt.h>
#endif

G_BEGIN_DECLS

GST_DEBUG_CATEGORY_EXTERN (gst_int8_stages_debug);

typedef struct {
  const char *name;
  GstClockTime begun; /* GST_CLOCK_TIME_NONE: nobody wants to know */
} GstInt8Stage;

#ifdef HAVE_NVTX
#define GST_INT8_STAGE_PUSH(name) nvtxRangePushA ("int8 " name)
#define GST_INT8_STAGE_POP()      nvtxRangePop ()
#else
#define GST_INT8_STAGE_PUSH(name)                                                                  \
  do {                                                                                             \
  } while (0)
#define GST_INT8_STAGE_POP()                                                                       \
  do {                                                                                             \
  } while (0)
#endif

/* name: a literal. Stages of a thread end in the reverse order. */
#define GST_INT8_STAGE_BEGIN(stage, literal)                                                       \
  do {                                                                                             \
    GST_INT8_STAGE_PUSH (literal);                                                                 \
    gst_int8_stage_begin (stage, literal);                                                         \
  } while (0)

void gst_int8_stages_init (void); /* once, before the first */
static inline void
gst_int8_stage_begin (GstInt8Stage *stage, const char *name)
{
  stage->name = name;
  stage->begun =
      G_UNLIKELY (gst_debug_category_get_threshold (gst_int8_stages_debug) >= GST_LEVEL_TRACE)
          ? gst_util_get_timestamp ()
          : GST_CLOCK_TIME_NONE;
}

/* device: the name of a back end. */
void gst_int8_stage_log (const GstInt8Stage *stage, const char *device, guint pictures);
static inline void
gst_int8_stage_end (const GstInt8Stage *stage, const char *device, guint pictures)
{
  GST_INT8_STAGE_POP ();
  if (G_UNLIKELY (stage->begun != GST_CLOCK_TIME_NONE))
    gst_int8_stage_log (stage, device, pictures);
}

G_END_DECLS
