/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * tsan-glib.c: GLib's mutexes and conditions, as far as gst/mqtt.c and its tests use them, made of pthread's,
 * for programs that ThreadSanitizer watches: GLib's own are futexes, of which it sees nothing. Linked
 * into such a program they take GLib's place for the program's code, not within libraries.
 */
#include <glib.h>
#include <pthread.h>
#include <time.h>

void
g_mutex_init (GMutex *mutex)
{
  mutex->p = g_new (pthread_mutex_t, 1);
  pthread_mutex_init (mutex->p, NULL);
}

void
g_mutex_clear (GMutex *mutex)
{
  pthread_mutex_destroy (mutex->p);
  g_clear_pointer (&mutex->p, g_free);
}

void
g_mutex_lock (GMutex *mutex)
{
  pthread_mutex_lock (mutex->p);
}

void
g_mutex_unlock (GMutex *mutex)
{
  pthread_mutex_unlock (mutex->p);
}

void
g_cond_init (GCond *cond)
{
  cond->p = g_new (pthread_cond_t, 1);
  pthread_cond_init (cond->p, NULL);
}

void
g_cond_clear (GCond *cond)
{
  pthread_cond_destroy (cond->p);
  g_clear_pointer (&cond->p, g_free);
}

void
g_cond_signal (GCond *cond)
{
  pthread_cond_signal (cond->p);
}

void
g_cond_broadcast (GCond *cond)
{
  pthread_cond_broadcast (cond->p);
}

gboolean
g_cond_wait_until (GCond *cond, GMutex *mutex, gint64 end)
{
  const struct timespec until = {end / G_USEC_PER_SEC, end % G_USEC_PER_SEC * 1000};

  return pthread_cond_clockwait (cond->p, mutex->p, CLOCK_MONOTONIC, &until) == 0;
}
