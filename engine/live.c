/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* live.c: the engines that are alive in this process, by name. */
#include "engine/live.h"

#define POLL_MICROSECONDS 20000 /* how often a waiting thread looks whether it is cancelled */

static GMutex lock;
static GCond ended;
static GHashTable *engines; /* name to Engine, without a reference */
static GHashTable *busy;    /* names */

/* lock held */
static void
init_locked (void)
{
  if (engines)
    return;
  engines = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
  busy = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
}

Engine *
engine_live_find (const char *name)
{
  Engine *engine;

  g_mutex_lock (&lock);
  init_locked ();
  engine = g_hash_table_lookup (engines, name);
  if (engine)
    engine_ref (engine);
  g_mutex_unlock (&lock);
  return engine;
}

Engine *
engine_live_share (const char *name, Engine *engine)
{
  Engine *there;

  g_mutex_lock (&lock);
  init_locked ();
  there = g_hash_table_lookup (engines, name);
  if (!there)
    g_hash_table_insert (engines, g_strdup (name), engine);
  else
    engine_ref (there);
  g_mutex_unlock (&lock);
  if (!there)
    return engine;
  engine_unref (engine);
  return there;
}

static gboolean
is_engine (gpointer name, gpointer value, gpointer engine)
{
  return value == engine;
}

gboolean
engine_live_unref (Engine *engine, gatomicrefcount *references)
{
  gboolean last;

  g_mutex_lock (&lock);
  last = g_atomic_ref_count_dec (references);
  if (last && engines)
    g_hash_table_foreach_remove (engines, is_engine, engine);
  g_mutex_unlock (&lock);
  return last;
}

gboolean
engine_live_begin (const char *name, GCancellable *cancellable, GError **error)
{
  gboolean cancelled = FALSE;

  g_mutex_lock (&lock);
  init_locked ();
  while (g_hash_table_contains (busy, name) && !cancelled) {
    g_cond_wait_until (&ended, &lock, g_get_monotonic_time () + POLL_MICROSECONDS);
    cancelled = g_cancellable_is_cancelled (cancellable);
  }
  if (!cancelled)
    g_hash_table_add (busy, g_strdup (name));
  g_mutex_unlock (&lock);
  return !cancelled || !g_cancellable_set_error_if_cancelled (cancellable, error);
}

void
engine_live_end (const char *name)
{
  g_mutex_lock (&lock);
  g_hash_table_remove (busy, name);
  g_cond_broadcast (&ended);
  g_mutex_unlock (&lock);
}
