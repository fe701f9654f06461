/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* instance-run.c: jobs of members, who wait for them and do the instance's work meanwhile. */
#include "gst/instance-private.h"

#define GST_CAT_DEFAULT gst_int8_infer_debug

/* How long frames wait for somebody who has a model before a warning says so. */
#define PATIENCE (5 * G_TIME_SPAN_SECOND)

/* --- Who is woken, lock held ----------------------------------------------------------------- */

static void
wake_locked (GstInt8Member *member)
{
  g_cond_signal (&member->changed);
}

void
gst_int8_instance_wake_all_locked (GstInt8Instance *instance)
{
  for (GList *l = instance->waiting.head; l; l = l->next)
    wake_locked (l->data);
}

void
gst_int8_instance_pass_on_locked (GstInt8Instance *instance)
{
  if (instance->waiting.head && gst_int8_instance_has_work_locked (instance))
    wake_locked (instance->waiting.head->data);
}

void
gst_int8_member_set_active_locked (GstInt8Member *member, gboolean active)
{
  GstInt8Instance *instance = member->instance;

  if (active && !member->is_active)
    g_queue_push_tail_link (&instance->active, &member->turn);
  else if (!active && member->is_active)
    g_queue_unlink (&instance->active, &member->turn);
  member->is_active = active;
}

/* --- Waiting --------------------------------------------------------------------------------- */

/* Until somebody wakes the member, or a time has come. lock held, given back in between */
static void
sleep_locked (GstInt8Member *member, gint64 until)
{
  GstInt8Instance *instance = member->instance;

  g_queue_push_tail_link (&instance->waiting, &member->sleep);
  member->is_waiting = TRUE;
  if (until == G_MAXINT64)
    g_cond_wait (&member->changed, &instance->lock);
  else
    g_cond_wait_until (&member->changed, &instance->lock, until);
  member->is_waiting = FALSE;
  g_queue_unlink (&instance->waiting, &member->sleep);
}

static gboolean
is_done (const GstInt8Job *job)
{
  return job->n_ended == job->n_pictures;
}

void
gst_int8_member_submit (GstInt8Member *member, GstInt8Job *job)
{
  GstInt8Instance *instance = member->instance;

  gst_int8_job_clear (job);
  job->n_taken = job->n_ended = 0;
  job->due = job->timeout ? g_get_monotonic_time () + job->timeout : 0;
  if (job->n_pictures == 0)
    return;
  g_mutex_lock (&instance->lock);
  gst_queue_array_push_tail_struct (member->jobs, &job);
  instance->n_queued += job->n_pictures;
  gst_int8_member_set_active_locked (member, TRUE);
  g_mutex_unlock (&instance->lock);
}

static void
hurry_locked (GstInt8Member *member)
{
  const guint n = gst_queue_array_get_length (member->jobs);

  for (guint i = 0; i < n; i++)
    (*(GstInt8Job **) gst_queue_array_peek_nth_struct (member->jobs, i))->due = 0;
}

/* When it is time to say that nobody has said what the network is; G_MAXINT64: never. lock held */
static gint64
complaint_due_locked (GstInt8Member *member)
{
  if (member->instance->n_lanes > 0 || member->complained)
    return G_MAXINT64;
  if (member->waits_since == 0)
    member->waits_since = g_get_monotonic_time ();
  return member->waits_since + PATIENCE;
}

/* lock held, given back in between */
static void
complain_locked (GstInt8Member *member)
{
  GstInt8Instance *instance = member->instance;

  member->complained = TRUE;
  g_mutex_unlock (&instance->lock);
  GST_ELEMENT_WARNING (member->element, RESOURCE, SETTINGS,
      ("no element with instance-id \"%s\" has a model yet: frames have been waiting for %d s, and go on waiting "
       "until one starts",
          instance->id, (int) (PATIENCE / G_TIME_SPAN_SECOND)),
      ("set \"model\" on one of them, in this process; is the id spelt alike?"));
  g_mutex_lock (&instance->lock);
}

/* Until there is something to do, or to say. lock held, given back in between */
static void
rest_locked (GstInt8Member *member, const GstInt8Job *job)
{
  const gint64 now = g_get_monotonic_time (), complaint = complaint_due_locked (member);
  /* Once its time has come, who frees a lane wakes it. */
  const gint64 due = job->n_taken < job->n_pictures && job->due > now ? job->due : G_MAXINT64;

  if (complaint <= now)
    complain_locked (member);
  else
    sleep_locked (member, MIN (due, complaint));
}

GstInt8JobState
gst_int8_member_wait (GstInt8Member *member, const GstInt8Job *job, gboolean urgent)
{
  GstInt8Instance *instance = member->instance;
  GstInt8JobState state = GST_INT8_JOB_DONE;

  g_mutex_lock (&instance->lock);
  if (urgent)
    hurry_locked (member);
  while (!is_done (job)) {
    if (instance->load_state == GST_INT8_LOAD_FAILED)
      state = GST_INT8_JOB_FAILED;
    else if (gst_int8_instance_work_locked (instance, TRUE))
      continue;
    else if (member->woken)
      state = GST_INT8_JOB_WOKEN;
    if (state != GST_INT8_JOB_DONE)
      break;
    rest_locked (member, job);
  }
  member->woken = FALSE;
  gst_int8_instance_pass_on_locked (instance);
  g_mutex_unlock (&instance->lock);
  return state;
}

void
gst_int8_member_wake (GstInt8Member *member)
{
  g_mutex_lock (&member->instance->lock);
  member->woken = TRUE;
  if (member->is_waiting)
    wake_locked (member);
  g_mutex_unlock (&member->instance->lock);
}

void
gst_int8_member_cancel (GstInt8Member *member)
{
  GstInt8Instance *instance = member->instance;
  GstInt8Job **job;

  g_mutex_lock (&instance->lock);
  while ((job = gst_queue_array_pop_head_struct (member->jobs))) {
    instance->n_queued -= (*job)->n_pictures - (*job)->n_taken;
    (*job)->n_pictures = (*job)->n_taken;
  }
  gst_int8_member_set_active_locked (member, FALSE);
  while (member->n_under_way > 0)
    if (!gst_int8_instance_work_locked (instance, FALSE))
      sleep_locked (member, G_MAXINT64);
  member->woken = FALSE;
  gst_int8_instance_pass_on_locked (instance);
  g_mutex_unlock (&instance->lock);
}
