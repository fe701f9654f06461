/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * runner.h: an engine with everything it needs to run on parts of frames: memory, preprocessing, scores.
 * Belongs to one thread at a time. Nothing is allocated while the frames keep their format.
 */
#pragma once

#include "gst/classify.h"
#include "gst/frame.h"

G_BEGIN_DECLS

typedef struct _GstInt8Runner GstInt8Runner;

/* For 1 .. max_batch pictures at once. Takes a reference to the engine; the back end must outlive the
 * runner, and so must context, the GstCudaContext that it works in (NULL: none). threads: 0 for all
 * CPUs. Two runners of one engine share its weights; each has a queue of its own, so that a device
 * computes for one while frames are made ready for the other. */
GstInt8Runner *gst_int8_runner_new (Engine *engine, const EnginePreprocess *preprocess,
    KernelBackend *backend, const GstObject *context, guint max_batch, guint threads,
    GError **error);
void gst_int8_runner_free (GstInt8Runner *runner); /* NULL is fine */
G_DEFINE_AUTOPTR_CLEANUP_FUNC (GstInt8Runner, gst_int8_runner_free)

/* For people: whose choice of ways to compute convolutions this is. */
const char *gst_int8_runner_tactics (const GstInt8Runner *runner);

/* A batch is made of pictures one by one, started and waited for.
 *
 * add(): the next picture of the batch, at most max_batch; region is the part of the frame that is taken,
 * NULL for all of it that is visible. The buffer must stay until wait(). After an add() that
 * failed the batch is as before: that picture is left out.
 * start() returns as soon as the device can go on by itself (on a CPU: when all is done), wait() when the
 * results are there. After a start() that failed the batch is empty, and nothing runs. */
gboolean gst_int8_runner_add (GstInt8Runner *runner, const GstInt8FrameFormat *format,
    GstBuffer *buffer, const EngineRect *region, GError **error);
gboolean gst_int8_runner_start (GstInt8Runner *runner, GError **error);
gboolean gst_int8_runner_wait (GstInt8Runner *runner, GError **error);

/* Whether AUTO applies softmax: the network does not end in one itself. */
typedef enum { GST_INT8_SOFTMAX_AUTO, GST_INT8_SOFTMAX_ON, GST_INT8_SOFTMAX_OFF } GstInt8Softmax;

/* What the network itself has said, before top-k, threshold and softmax of ours. */
typedef struct {
  float *values; /* n; NULL: not asked for */
  guint n;
  gboolean is_softmaxed; /* the network ends in a softmax */
} GstInt8Output;
/* A copy of that of one picture of the last run; g_free() its values. */
void gst_int8_runner_output (GstInt8Runner *runner, guint picture, GstInt8Output *output);

/* The best classes of one picture of the last run, best first; `best` is valid until the next call.
 * Returns how many there are. */
guint gst_int8_runner_classify (GstInt8Runner *runner, guint picture, guint top_k, double threshold,
    GstInt8Softmax softmax, const GstInt8Class **best);

G_END_DECLS
