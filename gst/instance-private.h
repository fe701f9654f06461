/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * instance-private.h: what the files of an instance share.
 *
 *   instance.c       who is in it, and the register of those with an id
 *   instance-load.c  the thread that makes networks, the first and those that replace it
 *   instance-run.c   jobs, and who waits for them
 *   instance-batch.c pictures into batches, and batches through the network
 *
 * `lock` guards everything that changes and is never held while anything is called that may block or
 * call back. It may be taken under an element's own lock, never the other way round.
 */
#pragma once

#include <gst/base/gstqueuearray.h>

#include "gst/instance.h"

G_BEGIN_DECLS

GST_DEBUG_CATEGORY_EXTERN (gst_int8_infer_debug);

typedef enum {
  GST_INT8_LOAD_BUSY,
  GST_INT8_LOAD_READY,
  GST_INT8_LOAD_FAILING, /* its message is being posted: no change helps any more */
  GST_INT8_LOAD_FAILED   /* and has been */
} GstInt8LoadState;

typedef enum {
  GST_INT8_LANE_FREE,
  GST_INT8_LANE_STARTING, /* somebody makes its batch ready */
  GST_INT8_LANE_RUNNING,  /* to be waited for, by anybody */
  GST_INT8_LANE_ENDING    /* somebody waits for it */
} GstInt8LaneState;

typedef struct {
  GstInt8Member *member;
  GstInt8Job *job;
  guint picture;
} GstInt8BatchItem;

/* A batch that is under way, or the place for one. */
typedef struct {
  GstInt8LaneState state;
  guint runner;            /* of the network */
  guint device;            /* of the instance, that the runner is on */
  GstInt8BatchItem *items; /* batch-size places */
  guint n_items;
  guint64 number; /* in the order in which batches began to run */
} GstInt8Lane;

typedef struct {
  char *id;                                    /* NULL: of one element alone */
  GstInt8Device devices[GST_INT8_MAX_DEVICES]; /* references */
  guint n_devices;
  guint batch_size, n_lanes; /* 0 until somebody knows the model */

  GMutex lock;
  GPtrArray *members; /* GstInt8Member; the first one speaks for the network */
  /* running */
  GstInt8Lane lanes[GST_INT8_MAX_DEVICES * GST_INT8_DEVICE_LANES];
  guint64 n_begun;
  guint64 n_pictures[GST_INT8_MAX_DEVICES]; /* that each device has ended */
  GQueue active;     /* members with queued pictures, in turn: their `turn` links */
  GQueue waiting;    /* members that sleep in wait() or cancel(): their `sleep` links */
  guint n_queued;    /* pictures */
  GMutex guard_lock; /* of feeding the guard; taken without waiting */
  /* loading */
  GstInt8NetworkSettings settings; /* of the network that is wanted */
  GstInt8LoadState load_state;
  GThread *loader;
  GCond load_changed;        /* signalled when the loader has something to do */
  gboolean reload;           /* settings have changed */
  gboolean stopping;         /* the loader is to end */
  GCancellable *cancellable; /* of what the loader is doing */
  GstInt8Network *network;   /* what runs */
  GstInt8Network *next;      /* to be taken when no batch is under way */
  GstInt8Network *retired;   /* for the loader to free */
} GstInt8Instance;

struct _GstInt8Member {
  GstInt8Instance *instance;
  GstElement *element;
  const GstInt8Device *devices; /* its element's */
  guint n_devices;
  /* instance lock */
  GstInt8NetworkSettings settings; /* what its element asks for */
  GCond changed;
  GstQueueArray *jobs; /* GstInt8Job *, with pictures that are not yet taken */
  GList turn, sleep;   /* in `active` and `waiting`; data is the member */
  gboolean is_active, is_waiting;
  guint n_under_way; /* pictures taken and not ended */
  gboolean woken;
  gint64 waits_since; /* for somebody who knows the model; 0: it never did */
  gboolean complained;
  gboolean announced; /* its element has posted what the network is */
};

/* load: start() when the instance is new; tell() when somebody has joined; again() has a network made of the
 * settings as they are now; cancel() returns at once; join() waits and frees all networks. */
void gst_int8_instance_load_start (GstInt8Instance *instance);
void gst_int8_instance_load_tell (GstInt8Instance *instance);
void gst_int8_instance_load_again (GstInt8Instance *instance);
void gst_int8_instance_load_cancel (GstInt8Instance *instance);
void gst_int8_instance_load_join (GstInt8Instance *instance);

/* run, lock held */
void gst_int8_instance_wake_all_locked (GstInt8Instance *instance);
/* What the caller leaves undone is for one who sleeps. */
void gst_int8_instance_pass_on_locked (GstInt8Instance *instance);
/* Whether the member has pictures that are not yet taken. */
void gst_int8_member_set_active_locked (GstInt8Member *member, gboolean active);

/* batch, lock held */
void gst_int8_instance_exchange_locked (GstInt8Instance *instance); /* if it can be done now */
/* A batch that is due, or one to be waited for. */
gboolean gst_int8_instance_has_work_locked (GstInt8Instance *instance);
/* Takes one step of what there is to do, for whomever it is; FALSE when there is nothing. The lock is given
 * back in between. */
gboolean gst_int8_instance_work_locked (GstInt8Instance *instance, gboolean may_start);

/* The first member's element speaks for the network's guard. lock held */
void gst_int8_instance_set_speaker_locked (GstInt8Instance *instance, GstInt8Network *network);

G_END_DECLS
