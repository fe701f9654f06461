/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* weights.c: the constants that are in use in this process. */
#include "engine/weights.h"

#include <string.h>

struct _EngineConstant {
  EngineConstantKey key;
  int users;
  gboolean ready; /* else somebody is making it */
  void *memory;
  gsize size;
};

static GMutex lock;
static GCond made;
static GHashTable *constants; /* EngineConstant, a set: its key is its beginning */

static guint
hash_key (gconstpointer data)
{
  const EngineConstantKey *key = data;
  guint hash = g_direct_hash (key->owner);

  hash = hash * 31 + g_direct_hash (key->backend);
  hash = hash * 31 + (guint) key->node;
  hash = hash * 31 + (guint) key->input;
  return hash * 31 + (guint) key->way;
}

static gboolean
equal_keys (gconstpointer a, gconstpointer b)
{
  const EngineConstantKey *x = a, *y = b;

  return x->owner == y->owner && x->backend == y->backend && x->node == y->node &&
         x->input == y->input && x->way == y->way && x->type == y->type &&
         memcmp (&x->shape, &y->shape, sizeof x->shape) == 0; /* ints only: no padding */
}

/* The constant for one more user; NULL where there is none, and then the caller is to make it and
 * *mine is its entry. */
static EngineConstant *
claim (const EngineConstantKey *key, EngineConstant **mine)
{
  EngineConstant *constant;

  g_mutex_lock (&lock);
  if (!constants)
    constants = g_hash_table_new (hash_key, equal_keys);
  while ((constant = g_hash_table_lookup (constants, key)) && !constant->ready)
    g_cond_wait (&made, &lock);
  if (constant) {
    constant->users++;
  } else {
    *mine = g_new0 (EngineConstant, 1);
    (*mine)->key = *key;
    (*mine)->users = 1;
    g_hash_table_add (constants, *mine);
  }
  g_mutex_unlock (&lock);
  return constant;
}

EngineConstant *
engine_constant_get (const EngineConstantKey *key, EngineConstantFn make, gpointer data,
    GError **error)
{
  EngineConstant *mine = NULL, *there = claim (key, &mine);
  void *memory;
  gsize size = 0;

  if (there)
    return there;
  memory = make (data, &size, error);
  g_mutex_lock (&lock);
  mine->memory = memory;
  mine->size = size;
  mine->ready = TRUE;
  if (!memory)
    g_hash_table_remove (constants, mine);
  g_cond_broadcast (&made);
  g_mutex_unlock (&lock);
  if (memory)
    return mine;
  g_free (mine);
  return NULL;
}

void
engine_constant_release (EngineConstant *constant)
{
  gboolean last;

  g_mutex_lock (&lock);
  last = --constant->users == 0;
  if (last)
    g_hash_table_remove (constants, constant);
  g_mutex_unlock (&lock);
  if (!last)
    return;
  constant->key.backend->free (constant->key.backend, constant->memory);
  g_free (constant);
}

const void *
engine_constant_memory (const EngineConstant *constant)
{
  return constant->memory;
}

gsize
engine_constant_size (const EngineConstant *constant)
{
  return constant->size;
}
