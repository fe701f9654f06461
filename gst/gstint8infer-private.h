/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * gstint8infer-private.h: what the files of int8infer share.
 *
 *   gstint8infer.c             class and state changes
 *   gstint8infer-properties.c  properties
 *   gstint8infer-types.c       their enumerations
 *   gstint8infer-load.c        the thread that makes networks, the first and those that replace it
 *   gstint8infer-network.c     a network: engine, labels, memory for batches
 *   gstint8infer-stream.c      pads: the bounded queue between the sink pad and the task
 *   gstint8infer-task.c        the task of the source pad: what comes next
 *   gstint8infer-batch.c       the task's batches: inference, metadata, pushing
 *
 * Threads: upstream's streaming thread fills the queue, the task empties it, the loader makes the
 * network, applications set properties. `lock` guards what is marked so and is never held while
 * anything is called that may block or call back (a push, a query, a message). Lock order: the
 * stream lock of a pad, `lock`, the object lock.
 */
#pragma once

#include <gst/base/gstqueuearray.h>

#include "gst/config.h"
#include "gst/cuda-context.h"
#include "gst/frame.h"
#include "gst/gstint8infer.h"
#include "gst/guard.h"
#include "gst/meta.h"
#include "gst/runner.h"
#include "gst/stats.h"

G_BEGIN_DECLS

GST_DEBUG_CATEGORY_EXTERN (gst_int8_infer_debug);

typedef enum {
  GST_INT8_METADATA_MODE_AUTO,
  GST_INT8_METADATA_MODE_ROI,
  GST_INT8_METADATA_MODE_CUSTOM,
  GST_INT8_METADATA_MODE_BOTH,
  GST_INT8_METADATA_MODE_NONE
} GstInt8MetadataMode;

/* What decides the network; read when one is made. batch-size, back end: when the element starts. */
typedef struct {
  GstInt8Config config;
  char *labels, *table, *engine, *dynamic_ranges, *layer_precision;
  gboolean force_table, strict, tune;
  EnginePrecision precision;
  EngineRanges ranges;
  guint batch_size;
  GstInt8GuardSettings guard;
} GstInt8InferSettings;

/* What may change at any time; read once per frame. */
typedef struct {
  guint top_k;
  double threshold;
  GstInt8Softmax softmax;
  GstInt8MetadataMode metadata;
  const char *attribute_name; /* interned */
  gboolean post_messages, qos;
} GstInt8InferOptions;

/* A serialised query, on the stack of the thread that sent it and waits. */
typedef struct {
  GstQuery *query;
  gboolean done, result;
} GstInt8PendingQuery;

/* One entry of the queue. Both pointers are NULL for a query that was given up. */
typedef struct {
  GstMiniObject *object; /* a buffer or event; owned */
  GstInt8PendingQuery *pending;
  gint64 arrived; /* g_get_monotonic_time() */
} GstInt8Item;

typedef enum {
  GST_INT8_LOAD_NONE,
  GST_INT8_LOAD_BUSY,
  GST_INT8_LOAD_READY,
  GST_INT8_LOAD_FAILED /* its message has been posted */
} GstInt8LoadState;

#define GST_INT8_INFER_BATCHES 2 /* under way at the same time, at the most */

/* A network that is ready to run. Made by the loader, used by the task, freed by the loader. */
typedef struct {
  Engine *engine;
  GstInt8Runner *runners[GST_INT8_INFER_BATCHES]; /* one a batch */
  GstInt8Labels *labels;
  const char *model_name; /* interned */
  GstInt8Guard *guard;    /* or NULL */
  EngineRequestReport report;
  double seconds;   /* it took to make it */
  gboolean swapped; /* it replaces another while playing */
} GstInt8Network;

/* Frames that go through the network together. The arrays have batch-size places. */
typedef struct {
  GstInt8Runner *runner;       /* the network's, while under way */
  GstInt8InferOptions options; /* as they were when it began */
  GstBuffer **buffers;         /* owned */
  gint64 *arrived;
  guint n;
  GstBuffer **timely; /* those of `buffers` that are not late: what runs */
  guint n_timely;
  gint64 begun;
} GstInt8Batch;

struct _GstInt8Infer {
  GstElement parent;
  GstPad *sinkpad, *srcpad;

  /* object lock */
  GstInt8InferSettings settings;
  GstInt8InferOptions options;
  gboolean settings_changed; /* since the loader was last told */

  GstInt8Cuda cuda;
  /* from READY on */
  KernelBackend *backend;
  GstInt8Stats stats;

  GMutex lock;
  GCond changed; /* broadcast whenever something below changes */
  /* lock: the queue */
  GstQueueArray *items;
  guint n_buffers;      /* in items */
  guint capacity;       /* buffers that items may hold */
  guint batch_size;     /* buffers of one batch */
  guint n_batches;      /* that the task may hold */
  GstFlowReturn result; /* of the source pad; OK while data flows */
  gboolean eos;         /* EOS was queued: upstream will not learn of errors from us any more */
  gboolean done;        /* downstream wants no more buffers; events still pass */
  gboolean error_posted;
  GstClockTime frame_duration; /* of the newest caps; NONE when unknown */
  GstClockTime earliest;       /* running time before which frames are late (QoS) */
  /* lock: loading */
  GstInt8LoadState load_state;
  GThread *loader;
  GCond load_changed;        /* signalled when the loader has something to do */
  gboolean reload;           /* settings have changed */
  gboolean stopping;         /* the loader is to end */
  GCancellable *cancellable; /* of what the loader is doing */
  GstInt8Network *network;   /* what runs; the task's while it works, and exchanged by it only */
  GstInt8Network *next;      /* for the task to take between two batches */
  GstInt8Network *retired;   /* for the loader to free */

  /* a ring of n_batches, from READY→PAUSED on; the task's */
  GstInt8Batch batches[GST_INT8_INFER_BATCHES];

  /* the task */
  GstInt8FrameFormat format;
  gboolean has_format;
  GstSegment segment;
  guint first_batch, n_running; /* of the ring: those under way */
};

/* load: start() posts the error where it returns FALSE; again() has a network made of the settings as
 * they are now, and does nothing before start(); cancel() returns at once; join() waits and frees
 * what was loaded. */
gboolean gst_int8_infer_load_start (GstInt8Infer *self);
void gst_int8_infer_load_again (GstInt8Infer *self);
void gst_int8_infer_load_cancel (GstInt8Infer *self);
void gst_int8_infer_load_join (GstInt8Infer *self);
/* The task takes the next network; no batch is under way. lock held */
void gst_int8_infer_exchange_locked (GstInt8Infer *self);

/* network, in the loader: new() posts progress and warnings; post() says what it is. */
GstInt8Network *gst_int8_infer_network_new (GstInt8Infer *self,
    const GstInt8InferSettings *settings, GCancellable *cancellable, GError **error);
void gst_int8_infer_network_free (GstInt8Network *network); /* NULL is fine */
G_DEFINE_AUTOPTR_CLEANUP_FUNC (GstInt8Network, gst_int8_infer_network_free)
void gst_int8_infer_network_post (GstInt8Infer *self, const GstInt8Network *network);
/* What can be told without reading a file. */
gboolean gst_int8_infer_settings_check (const GstInt8InferSettings *settings, GError **error);

/* types: of properties */
GType gst_int8_infer_precision_type (void);
GType gst_int8_infer_ranges_type (void);
GType gst_int8_infer_softmax_type (void);
GType gst_int8_infer_metadata_type (void);

/* properties */
void gst_int8_infer_properties_install (GObjectClass *klass);
void gst_int8_infer_properties_init (GstInt8Infer *self);
void gst_int8_infer_settings_copy (const GstInt8InferSettings *from, GstInt8InferSettings *to);
void gst_int8_infer_settings_clear (GstInt8InferSettings *settings);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (GstInt8InferSettings, gst_int8_infer_settings_clear)

/* stream */
void gst_int8_infer_pads_install (GstElementClass *klass);
void gst_int8_infer_pads_init (GstInt8Infer *self);
/* lock held: empties the queue; sticky events that must not get lost stay on the source pad. */
void gst_int8_infer_flush_locked (GstInt8Infer *self);
/* lock held: wakes the senders of queued queries with FALSE. */
void gst_int8_infer_release_queries_locked (GstInt8Infer *self);
/* lock held: downstream has returned EOS. Drops what it would refuse, up to an event that it would
 * not; upstream is told with its next buffer. */
void gst_int8_infer_end_locked (GstInt8Infer *self);

/* task */
void gst_int8_infer_loop (gpointer self);
/* Takes the format of frames to come from a CAPS event. FALSE when it cannot be taken. */
gboolean gst_int8_infer_set_caps (GstInt8Infer *self, const GstCaps *caps, GError **error);
void gst_int8_infer_reset_task (GstInt8Infer *self);
/* Posts an error of the task and returns `result`. The pipeline stops; upstream is told with its next
 * buffer. */
GstFlowReturn gst_int8_infer_fail (GstInt8Infer *self, const GError *error, GstFlowReturn result);

/* batch: new() and free() when no task runs, the others in the task, or when it is stopped. */
void gst_int8_infer_batches_new (GstInt8Infer *self, guint batch_size);
void gst_int8_infer_batches_free (GstInt8Infer *self);
/* Begins one with the buffers at the head of the queue, as many as it takes. */
GstFlowReturn gst_int8_infer_batch_start (GstInt8Infer *self);
/* Waits for the oldest and pushes it. */
GstFlowReturn gst_int8_infer_batch_finish (GstInt8Infer *self);
/* Waits for all and drops them. */
void gst_int8_infer_batches_drop (GstInt8Infer *self);

G_END_DECLS
