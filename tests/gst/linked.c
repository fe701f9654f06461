/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* linked.c: see linked.h. */
#include "tests/gst/linked.h"

#include <stdio.h>

extern void gst_plugin_int8_register (void);

/* --- The back end ---------------------------------------------------------------------------- */

static TestDevice *current;
static const char *(*real_wait) (KernelQueue *queue);

static const char *
asking_wait (KernelQueue *queue)
{
  const char *failure = real_wait (queue);
  TestDevice *device = current;

  if (device->owner == g_thread_self ())
    return failure;
  g_mutex_lock (&device->lock);
  device->n_waiting++;
  g_cond_broadcast (&device->changed);
  while (device->held)
    g_cond_wait (&device->changed, &device->lock);
  device->n_waiting--;
  if (device->left == 0)
    failure = device->failure;
  else if (device->left > 0)
    device->left--;
  g_mutex_unlock (&device->lock);
  return failure;
}

void
test_device_init (TestDevice *device)
{
  *device = (TestDevice){.left = -1, .owner = g_thread_self ()};
  device->backend = engine_backend_open ("ref", NULL); /* the one that elements will have */
  fail_unless (device->backend != NULL);
  g_mutex_init (&device->lock);
  g_cond_init (&device->changed);
  current = device;
  real_wait = device->backend->queue_wait;
  device->backend->queue_wait = asking_wait;
}

void
test_device_clear (TestDevice *device)
{
  device->backend->queue_wait = real_wait;
  engine_backend_close (device->backend);
  current = NULL;
  g_mutex_clear (&device->lock);
  g_cond_clear (&device->changed);
}

static void
set_held (TestDevice *device, gboolean held)
{
  g_mutex_lock (&device->lock);
  device->held = held;
  g_cond_broadcast (&device->changed);
  g_mutex_unlock (&device->lock);
}

void
test_device_hold (TestDevice *device)
{
  set_held (device, TRUE);
}

void
test_device_release (TestDevice *device)
{
  set_held (device, FALSE);
}

void
test_device_wait_for_visitor (TestDevice *device)
{
  g_mutex_lock (&device->lock);
  while (device->n_waiting == 0)
    g_cond_wait (&device->changed, &device->lock);
  g_mutex_unlock (&device->lock);
}

void
test_device_break (TestDevice *device, int left, const char *failure)
{
  g_mutex_lock (&device->lock);
  device->left = left;
  device->failure = failure;
  g_mutex_unlock (&device->lock);
}

/* --- Program --------------------------------------------------------------------------------- */

/* The registry has them for good. */
static void
keep_plugin (void)
{
  GList *features = gst_registry_get_feature_list_by_plugin (gst_registry_get (), "int8");
  GstPlugin *plugin = gst_registry_find_plugin (gst_registry_get (), "int8");

  for (GList *feature = features; feature; feature = feature->next)
    GST_OBJECT_FLAG_SET (feature->data, GST_OBJECT_FLAG_MAY_BE_LEAKED);
  GST_OBJECT_FLAG_SET (plugin, GST_OBJECT_FLAG_MAY_BE_LEAKED);
  gst_plugin_feature_list_free (features);
  gst_object_unref (plugin);
}

int
test_main_linked (int argc, char **argv, const char *name, Suite *(*make) (void) )
{
  if (!g_getenv ("INT8_SOURCE_DIR")) {
    printf ("SKIP %s: run it with \"meson test\", which sets INT8_SOURCE_DIR\n", name);
    return 77;
  }
  g_unsetenv ("GST_PLUGIN_PATH"); /* the plugin is here */
  g_unsetenv ("GST_REGISTRY");
  g_setenv ("GST_REGISTRY_UPDATE", "no", TRUE);
  g_setenv ("GST_TRACERS", "leaks", TRUE);
  gst_check_init (&argc, &argv);
  gst_plugin_int8_register ();
  keep_plugin ();
  gst_object_unref (gst_element_factory_make ("int8infer", NULL)); /* what its class keeps */
  return gst_check_run_suite (make (), name, __FILE__);
}
