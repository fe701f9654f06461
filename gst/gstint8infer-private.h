/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * gstint8infer-private.h: what the files of int8infer share.
 *
 *   gstint8infer.c             class and state changes
 *   gstint8infer-properties.c  properties
 *   gstint8infer-options.c     those that are not of the network
 *   gstint8infer-types.c       their enumerations
 *   gstint8infer-devices.c     where the network runs
 *   gstint8infer-stream.c      pads
 *   gstint8infer-queue.c       the bounded queue between the sink pad and the task
 *   gstint8infer-task.c        the task of the source pad: what comes next
 *   gstint8infer-entry.c       frames on their way through the network
 *   gstint8infer-async.c       frames that do not wait for their results
 *   gstint8infer-bundle.c      frames of several streams in one buffer
 *   gstint8infer-objects.c     which parts of a frame go through it, and what becomes of each
 *
 * The network itself, shared with other elements or not, is an instance (instance.h).
 *
 * Threads: upstream's streaming thread fills the queue, the task empties it, applications set properties.
 * `lock` guards what is marked so and is never held while anything is called that may block or call
 * back (a push, a query, a message). Lock order: the stream lock of a pad, `lock`, that of the instance,
 * the object lock.
 */
#pragma once

#include <gst/base/gstqueuearray.h>

#include "gst/bundle.h"
#include "gst/config.h"
#include "gst/config-file.h"
#include "gst/frame.h"
#include "gst/gstint8infer.h"
#include "gst/instance.h"
#include "gst/meta.h"
#include "gst/objects.h"
#include "gst/stats.h"
#include "gst/stream.h"

G_BEGIN_DECLS

GST_DEBUG_CATEGORY_EXTERN (gst_int8_infer_debug);

typedef enum {
  GST_INT8_METADATA_MODE_AUTO,
  GST_INT8_METADATA_MODE_ROI,
  GST_INT8_METADATA_MODE_CUSTOM,
  GST_INT8_METADATA_MODE_BOTH,
  GST_INT8_METADATA_MODE_NONE,
  GST_INT8_METADATA_MODE_ANALYTICS
} GstInt8MetadataMode;

/* What may change at any time; read once per frame. */
typedef struct {
  guint top_k;
  double threshold;
  GstInt8Softmax softmax;
  GstInt8MetadataMode metadata;
  const char *attribute_name; /* interned */
  gboolean post_messages, qos;
  gboolean output_tensors; /* only where HAVE_GST_TENSOR_META */
  GstClockTime batch_timeout;
  guint interval; /* frames that pass between two that are looked at */
  GstInt8ProcessMode process_mode;
  GstInt8TrackSettings tracks;
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
  guint n_frames; /* in a buffer, at least 1 */
  gint64 arrived; /* g_get_monotonic_time() */
} GstInt8Item;

/* An object on a frame. */
typedef struct {
  GstInt8Object object;
  GstInt8Track *track; /* a reference, or NULL: nobody follows it */
  int picture;         /* of the job, or -1: it is what its track is taken for */
} GstInt8EntryObject;

/* A frame on its way through the network. */
typedef struct {
  GstBuffer *buffer;     /* owned; NULL for a bundle without frames */
  GstInt8Stream *stream; /* a reference; NULL likewise */
  GstMiniObject **place; /* in a bundle, that it goes back to; or NULL */
  GstBuffer *bundle;     /* owned: its last frame takes it along; or NULL */
  gint64 arrived;
  GstInt8InferOptions options; /* as they were when it began */
  gboolean counted;            /* it passes without inference, and stats know why */
  GstSegment segment;          /* that it is in */
  GstInt8FrameFormat format;   /* the stream may go on with another */
  GstInt8Job job;
  guint n_objects; /* process-mode=objects */
  /* memory that grows to what was needed most */
  GstInt8EntryObject *objects;
  GstInt8Picture *pictures;
  GstInt8Class *classes;
  guint max_objects, max_pictures, max_classes;
} GstInt8Entry;

/* Bundles of several streams, where the caps say that these come. Belongs to the task. */
typedef struct {
  GstInt8Bundle walk; /* through the one whose frames are becoming entries */
  guint n_left;       /* of them */
  gint64 arrived;
  GPtrArray *streams; /* GstInt8Stream, in the order of the bundles */
} GstInt8InferBundle;

/* async=true: entries of the ring are looked at while the frames that they keep have gone on. A thread of its own
 * waits for them, in their order; the task takes what it has done. */
typedef struct {
  GThread *thread; /* from READY→PAUSED on; NULL: frames wait for their results */
  /* lock, and so is the ring */
  guint n_done;            /* of the ring, the oldest: to be taken by the task */
  gboolean busy;           /* the thread waits for one */
  gboolean held, stopping; /* the thread is to let go; to end */
  gboolean urgent;         /* somebody waits for all */
  gboolean failed;         /* there is no network */
  /* the task */
  GstInt8Entry passing;  /* the frame that goes on, with what it is given */
  GstInt8Class *classes; /* the newest result of a frame */
  guint n_classes, max_classes;
  GstInt8Labels *labels; /* NULL: there is none yet */
  const char *model_name;
  GstInt8Output output; /* where frames are given it */
  GstClockTime pts;     /* of the frame that it is of */
  gboolean warned;      /* of objects that nobody follows */
} GstInt8Async;

struct _GstInt8Infer {
  GstElement parent;
  GstPad *sinkpad, *srcpad;

  /* object lock */
  GstInt8NetworkSettings settings;
  GstInt8InferOptions options;
  char *instance_id, *device_id;
  GstInt8ConfigFile config_file;
  GstInt8ObjectSettings objects;
  gboolean wants_async;
  gboolean objects_changed;  /* since the task last looked */
  GArray *changes;           /* of settings, since the instance was last told */

  GstInt8Cuda cuda;
  /* from READY on */
  GstInt8Device devices[GST_INT8_MAX_DEVICES];
  guint n_devices;
  GstInt8Stats stats;

  GMutex lock;
  GCond changed; /* broadcast whenever something below changes */
  /* lock: the queue */
  GstQueueArray *items;
  guint n_frames;       /* in items */
  guint capacity;       /* frames that items may hold; a bundle with more comes alone */
  GstFlowReturn result; /* of the source pad; OK while data flows */
  gboolean eos;         /* EOS was queued: upstream will not learn of errors from us any more */
  gboolean done;        /* downstream wants no more buffers; events still pass */
  gboolean error_posted;
  GstClockTime frame_duration; /* of the newest caps; NONE when unknown */
  GstClockTime earliest;       /* running time before which frames are late (QoS) */
  /* lock: from READY→PAUSED to PAUSED→READY */
  GstInt8Member *member;

  /* the task */
  GstInt8Stream *stream;
  gboolean in_bundles; /* instead, there are those of the bundle */
  GstInt8InferBundle bundle;
  /* a ring of those under way, from READY→PAUSED on */
  GstInt8Entry **entries;
  guint window, first_entry, n_entries;
  GstInt8RegionFilter filter;
  gboolean warned_of_tensors; /* of objects, which are given none */
  GstInt8Async async;
};

/* types: of properties */
GType gst_int8_infer_precision_type (void);
GType gst_int8_infer_ranges_type (void);
GType gst_int8_infer_softmax_type (void);
GType gst_int8_infer_metadata_type (void);

/* properties */
void gst_int8_infer_properties_install (GObjectClass *klass);
void gst_int8_infer_properties_init (GstInt8Infer *self);
/* What was set since the last call that a network can follow while playing, and what it does to settings (a
 * GstInt8ChangeFn). */
GArray *gst_int8_infer_take_changes (GstInt8Infer *self);
void gst_int8_infer_apply_changes (GstInt8NetworkSettings *settings, gpointer changes);
/* options: ids from 0. FALSE: not one of these. Under the object lock. */
#define GST_INT8_INFER_N_OPTIONS 10
void gst_int8_infer_options_install (GObjectClass *klass, guint first);
void gst_int8_infer_options_init (GstInt8InferOptions *options);
gboolean gst_int8_infer_option_set (GstInt8InferOptions *options, guint id, const GValue *value);
gboolean gst_int8_infer_option_get (const GstInt8InferOptions *options, guint id, GValue *value);
/* devices: opens what the properties name; closes it */
gboolean gst_int8_infer_devices_open (GstInt8Infer *self, GError **error);
void gst_int8_infer_devices_close (GstInt8Infer *self);
/* stream */
void gst_int8_infer_pads_install (GstElementClass *klass);
void gst_int8_infer_pads_init (GstInt8Infer *self);

/* queue, lock held. Something has changed, for whoever waits. */
void gst_int8_infer_tell_locked (GstInt8Infer *self);
/* Behind all others: a buffer or event, which it takes, or else a query, whose sender goes on waiting
 * until it is done. */
void gst_int8_infer_push_locked (GstInt8Infer *self, GstMiniObject *object,
    GstInt8PendingQuery *pending);
/* Empties the queue; sticky events that must not get lost stay on the source pad. */
void gst_int8_infer_flush_locked (GstInt8Infer *self);
/* Wakes the senders of queued queries with FALSE. */
void gst_int8_infer_release_queries_locked (GstInt8Infer *self);
/* Downstream has returned EOS. Drops what it would refuse, up to an event that it would
 * not; upstream is told with its next buffer. */
void gst_int8_infer_end_locked (GstInt8Infer *self);

/* task */
void gst_int8_infer_loop (gpointer self);
void gst_int8_infer_reset_task (GstInt8Infer *self);
/* What a serialised event says of the buffers to come. FALSE for caps that cannot be taken. */
gboolean gst_int8_infer_take_event (GstInt8Infer *self, GstEvent *event, GError **error);
/* Posts an error of the task and returns `result`. The pipeline stops; upstream is told with its next
 * buffer. */
GstFlowReturn gst_int8_infer_fail (GstInt8Infer *self, const GError *error, GstFlowReturn result);

/* entry: new() and free() when no task runs, the others in the task, or when it is stopped. */
void gst_int8_infer_entries_new (GstInt8Infer *self);
void gst_int8_infer_entries_free (GstInt8Infer *self);
/* Begins with the buffers at the head of the queue, as many as may be under way. */
GstFlowReturn gst_int8_infer_entries_begin (GstInt8Infer *self);
/* Waits for the oldest and pushes it, unless there is something new in the queue before. urgent: as for
 * gst_int8_member_wait(). */
GstFlowReturn gst_int8_infer_entries_advance (GstInt8Infer *self, gboolean urgent);
/* The buffer at the head of the queue, or NULL. */
GstBuffer *gst_int8_infer_take_buffer (GstInt8Infer *self, gint64 *arrived);
/* Fills the next free entry of the ring, but neither counts nor submits it: options, and pictures of the buffer, which it
 * takes. NULL where the stream has no caps: the error is posted. */
GstInt8Entry *gst_int8_infer_entry_begin (GstInt8Infer *self, GstBuffer *buffer, gint64 arrived);
/* The parts of that: the next free entry, empty; a frame in it. */
GstInt8Entry *gst_int8_infer_entry_new (GstInt8Infer *self);
void gst_int8_infer_entry_fill (GstInt8Infer *self, GstInt8Entry *entry, GstInt8Stream *stream,
    GstBuffer *buffer, gint64 arrived);
/* The options as they are now. */
void gst_int8_infer_read_options (GstInt8Infer *self, GstInt8InferOptions *options);
/* The ring as large as the network wants it. */
void gst_int8_infer_entries_grow (GstInt8Infer *self);
/* Frees the memory of an entry, which may be used again. */
void gst_int8_infer_entry_release (GstInt8Entry *entry);
/* Drops all. */
void gst_int8_infer_entries_drop (GstInt8Infer *self);

/* objects: makes the pictures of an entry, whose options are set; its buffer is made writable where they
 * are objects. */
void gst_int8_infer_entry_pictures (GstInt8Infer *self, GstInt8Entry *entry);
/* Puts the results onto the frame. */
void gst_int8_infer_entry_results (GstInt8Infer *self, GstInt8Entry *entry);
/* Lets go of the objects' tracks, and of the stream. */
void gst_int8_infer_entry_clear (GstInt8Entry *entry);
/* Puts one result onto the entry's frame, and posts it, as its options say. */
void gst_int8_infer_entry_give (GstInt8Infer *self, GstInt8Entry *entry, GstInt8Result *result);
/* Puts the network's output itself onto the entry's frame, where there is one; takes its values. */
void gst_int8_infer_entry_give_output (GstInt8Entry *entry, GstInt8Output *output);
/* Puts onto each object of the entry's frame what its track is taken for. */
void gst_int8_infer_entry_give_tracks (GstInt8Infer *self, GstInt8Entry *entry);

/* bundle */
void gst_int8_infer_bundle_init (GstInt8InferBundle *bundle);
void gst_int8_infer_bundle_clear (GstInt8InferBundle *bundle);
void gst_int8_infer_bundle_forget (GstInt8InferBundle *bundle); /* the streams: others come now */
void gst_int8_infer_bundle_clear_tracks (GstInt8InferBundle *bundle);
/* Takes the bundle; the error is posted where it is none. While it has frames left the next ones become entries. */
gboolean gst_int8_infer_bundle_open (GstInt8Infer *self, GstBuffer *buffer, gint64 arrived);
GstInt8Entry *gst_int8_infer_bundle_begin (GstInt8Infer *self);
/* Whether an entry's error is that of a frame in a bundle, which passes: it is a warning then. */
gboolean gst_int8_infer_bundle_excuses (GstInt8Infer *self, const GstInt8Entry *entry);

/* async: start() and stop() when no task runs. advance_locked() in the task does what there is to do: results,
 * the next frame, event or query. lock held, given back in between */
void gst_int8_infer_async_start (GstInt8Infer *self);
void gst_int8_infer_async_stop (GstInt8Infer *self);
GstFlowReturn gst_int8_infer_async_advance_locked (GstInt8Infer *self);
/* Around a cancel of all: the thread lets go of the member, and nothing is left of what it has done. */
void gst_int8_infer_async_hold (GstInt8Infer *self);
void gst_int8_infer_async_resume (GstInt8Infer *self);
/* task: the event or query at the head of the queue. lock held, given back in between */
GstFlowReturn gst_int8_infer_pass_item_locked (GstInt8Infer *self);

G_END_DECLS
