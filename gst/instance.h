/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * instance.h: a network and everybody whose pictures go through it. Elements with the same instance-id
 * are members of one instance, whatever pipeline they are in: one engine, one set of weights, and batches
 * filled with the pictures of all. An element without an id has an instance of its own.
 *
 * Who works: there is no thread of the instance. A member that waits for its job runs whatever is due,
 * others' pictures among its own, and leaves the rest to the next who waits. So a lone element computes
 * on its own thread, and nobody who is held up downstream holds up others.
 *
 * Devices: a batch begins on that which has the fewest under way, of equal ones on that which has waited the
 * longest. Jobs end in any order, and each member takes its own in the order of submit().
 *
 * Batches: one begins when a device is free and enough pictures are queued to fill it, or one has waited
 * for its job's timeout (0: at once). Pictures are taken from the members in turn, one each, so that a
 * stream with many does not keep one with few waiting.
 *
 * Another network, made because settings have changed, takes over when no batch is under way; none
 * begins meanwhile.
 *
 * Threads: join() and leave() by who changes the element's state, submit() by one thread of the member at a time,
 * wait() by one, which may be another, cancel() while nobody does either, wake() and configure() by any. wait()
 * learns of what is submitted meanwhile from wake().
 */
#pragma once

#include "gst/network.h"

G_BEGIN_DECLS

typedef struct _GstInt8Member GstInt8Member;

/* A part of a frame to be classified. */
typedef struct {
  EngineRect region;     /* width 0: all of the frame that is visible */
  GstInt8Class *classes; /* room for the job's top_k; then the best, best first */
  guint n_classes;       /* how many there are: fewer with a threshold */
  GstInt8Output output;  /* where the job wants it; values are the member's to free */
} GstInt8Picture;

/* A frame with its pictures: memory of the member's that stays where it is from submit() until it is
 * done. */
typedef struct {
  /* set by the member */
  const GstInt8FrameFormat *format;
  GstBuffer *buffer; /* not owned */
  GstInt8Picture *pictures;
  guint n_pictures;
  guint top_k;
  double threshold;
  GstInt8Softmax softmax;
  gboolean wants_output; /* of each picture */
  gint64 timeout; /* µs that its pictures may wait for others to fill the batch */
  /* what became of it, once it is done: to be cleared with gst_int8_job_clear() */
  GError *error; /* of the first picture that failed, or NULL */
  GstInt8Labels *labels;
  const char *model_name; /* interned */
  guint batch;            /* pictures in the batch that took the last of them */
  gint64 begun, finished; /* g_get_monotonic_time(): first picture taken, last one ended */
  /* the instance's */
  gint64 due;
  guint n_taken, n_ended;
} GstInt8Job;
void gst_int8_job_clear (GstInt8Job *job); /* what became of it */

typedef enum {
  GST_INT8_JOB_DONE,
  GST_INT8_JOB_WOKEN, /* it goes on */
  GST_INT8_JOB_FAILED /* there is no network: its message has been posted */
} GstInt8JobState;

/* Joins the instance of that id (NULL or "": one of its own). The first member whose settings name
 * a model says what the network is, with its devices and batch size, and it begins to load; members
 * without a model wait for that, which a warning says where it takes long. Settings that name
 * another model are G_IO_ERROR_INVALID_ARGUMENT, and so are settings that cannot be. The element
 * posts the messages about the network; neither it nor its devices are referenced. */
GstInt8Member *gst_int8_instance_join (const char *id, GstElement *element,
    const GstInt8NetworkSettings *settings, const GstInt8Device *devices, guint n_devices,
    GError **error);
/* No job may be under way. The last who leaves ends the instance; a build is cancelled and waited for. */
void gst_int8_member_leave (GstInt8Member *member);
/* Puts what has changed into settings; called under a lock. */
typedef void (*GstInt8ChangeFn) (GstInt8NetworkSettings *settings, gpointer data);
/* Has a network made of changed settings instead, for all; batch-size and back ends stay as they are. Where
 * nobody has known the model so far and this member does now, it begins as in join(). FALSE: that cannot be,
 * or there is no network that could be changed. */
gboolean gst_int8_member_configure (GstInt8Member *member, GstInt8ChangeFn change, gpointer data,
    GError **error);

guint gst_int8_member_batch_size (const GstInt8Member *member);
/* Batches that may be under way at the same time, on all devices. */
guint gst_int8_member_lanes (const GstInt8Member *member);
/* A reference, or NULL. Any thread. */
GstInt8Guard *gst_int8_member_guard (GstInt8Member *member);
/* Of several devices: devices (array of string) and device-pictures (array of guint64, in their order), what each
 * has ended for all members. Any thread. */
void gst_int8_member_add_stats (GstInt8Member *member, GstStructure *stats);

void gst_int8_member_submit (GstInt8Member *member, GstInt8Job *job);
/* Works, or sleeps, until the job is done or wake() was called. urgent: nothing will come that could
 * fill the batch, so that no timeout is kept. */
GstInt8JobState gst_int8_member_wait (GstInt8Member *member, const GstInt8Job *job,
    gboolean urgent);
void gst_int8_member_wake (GstInt8Member *member);
/* Takes all jobs back; waits for what of them is under way. Then they are the member's again. */
void gst_int8_member_cancel (GstInt8Member *member);

G_END_DECLS
