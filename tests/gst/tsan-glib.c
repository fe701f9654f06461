/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * tsan-glib.c: GLib's mutexes and conditions, as far as gst/mqtt.c, gst/instance*.c and their tests use them,
 * made of pthread's, for programs that ThreadSanitizer watches: GLib's own are futexes, of which it sees
 * nothing. Linked into such a program they take GLib's place for the program's code, not within
 * libraries.
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

/* One that is static has not been initialised. */
static pthread_mutex_t *
get_mutex (GMutex *mutex)
{
  gpointer none = NULL, made = __atomic_load_n (&mutex->p, __ATOMIC_ACQUIRE);

  if (made)
    return made;
  made = g_new (pthread_mutex_t, 1);
  pthread_mutex_init (made, NULL);
  if (__atomic_compare_exchange_n (&mutex->p, &none, made, FALSE, __ATOMIC_ACQ_REL,
          __ATOMIC_ACQUIRE))
    return made;
  pthread_mutex_destroy (made);
  g_free (made);
  return none;
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
  pthread_mutex_lock (get_mutex (mutex));
}

gboolean
g_mutex_trylock (GMutex *mutex)
{
  return pthread_mutex_trylock (get_mutex (mutex)) == 0;
}

void
g_mutex_unlock (GMutex *mutex)
{
  pthread_mutex_unlock (get_mutex (mutex));
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

void
g_cond_wait (GCond *cond, GMutex *mutex)
{
  pthread_cond_wait (cond->p, get_mutex (mutex));
}

gboolean
g_cond_wait_until (GCond *cond, GMutex *mutex, gint64 end)
{
  const struct timespec until = {end / G_USEC_PER_SEC, end % G_USEC_PER_SEC * 1000};

  return pthread_cond_clockwait (cond->p, get_mutex (mutex), CLOCK_MONOTONIC, &until) == 0;
}
