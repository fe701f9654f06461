/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* backend.c: back ends that are shared within the process, because what lies in their memory is. */
#include "engine/exec.h"

#include <string.h>

typedef struct {
  char *asked; /* the name that it was opened by: "cuda" for "cuda:0" */
  KernelBackend *backend;
  int users;
} Open;

static GMutex lock;
static GPtrArray *opened; /* Open */

/* A back end in a context of somebody else's ("cuda:0@5581d3a0") has the same name as one in the
 * device's own, and shares nothing with it. */
static gboolean
names_context (const char *asked)
{
  return strchr (asked, '@') != NULL;
}

static Open *
find_locked (const char *name)
{
  for (guint i = 0; i < opened->len; i++) {
    Open *open = g_ptr_array_index (opened, i);

    if (g_str_equal (open->asked, name) ||
        (!names_context (open->asked) && g_str_equal (open->backend->name, name)))
      return open;
  }
  return NULL;
}

static Open *
open_locked (const char *name, GError **error)
{
  char why[256] = "";
  KernelBackend *backend = kernel_open (name, why, sizeof why);
  Open *open;

  if (!backend) {
    g_set_error (error, ENGINE_ERROR, ENGINE_ERROR_BACKEND, "back end '%s' cannot be opened: %s",
        name, why);
    return NULL;
  }
  open = names_context (name) ? NULL : find_locked (backend->name);
  if (open) {
    kernel_close (backend);
    return open;
  }
  open = g_new0 (Open, 1);
  open->asked = g_strdup (name);
  open->backend = backend;
  g_ptr_array_add (opened, open);
  return open;
}

KernelBackend *
engine_backend_open (const char *name, GError **error)
{
  KernelBackend *backend = NULL;
  Open *open;

  g_mutex_lock (&lock);
  if (!opened)
    opened = g_ptr_array_new ();
  open = find_locked (name);
  if (!open)
    open = open_locked (name, error);
  if (open) {
    open->users++;
    backend = open->backend;
  }
  g_mutex_unlock (&lock);
  return backend;
}

void
engine_backend_close (KernelBackend *backend)
{
  if (!backend)
    return;
  g_mutex_lock (&lock);
  for (guint i = 0; i < opened->len; i++) {
    Open *open = g_ptr_array_index (opened, i);

    if (open->backend != backend)
      continue;
    if (--open->users == 0) {
      kernel_close (backend);
      g_free (open->asked);
      g_free (open);
      g_ptr_array_remove_index (opened, i);
    }
    break;
  }
  g_mutex_unlock (&lock);
}

int
engine_backend_lanes (KernelBackend *backend, int threads)
{
  KernelQueue *queue = backend->queue_new (backend, threads);
  const int lanes = queue ? backend->queue_lanes (queue) : 1;

  if (queue)
    backend->queue_free (queue);
  return lanes;
}
