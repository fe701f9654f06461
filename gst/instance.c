/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* instance.c: who is in an instance, and the register of those that have an id. */
#include "gst/instance-private.h"

#include <string.h>

#define GST_CAT_DEFAULT gst_int8_infer_debug

/* Instances with an id, by it. An instance is here from its first member's joining until its last one's
 * leaving. The lock is taken before that of an instance. */
static GMutex register_lock;
static GHashTable *instances;

void
gst_int8_job_clear (GstInt8Job *job)
{
  g_clear_error (&job->error);
  g_clear_pointer (&job->labels, gst_int8_labels_unref);
}

guint
gst_int8_member_batch_size (const GstInt8Member *member)
{
  GstInt8Instance *instance = member->instance;
  guint batch_size;

  g_mutex_lock (&instance->lock);
  batch_size = MAX (instance->batch_size, member->settings.batch_size);
  g_mutex_unlock (&instance->lock);
  return batch_size;
}

guint
gst_int8_member_lanes (const GstInt8Member *member)
{
  GstInt8Instance *instance = member->instance;
  guint n_lanes;

  g_mutex_lock (&instance->lock);
  n_lanes = MAX (instance->n_lanes, 1);
  g_mutex_unlock (&instance->lock);
  return n_lanes;
}

GstInt8Guard *
gst_int8_member_guard (GstInt8Member *member)
{
  GstInt8Instance *instance = member->instance;
  GstInt8Guard *guard = NULL;

  g_mutex_lock (&instance->lock);
  if (instance->network && instance->network->guard)
    guard = gst_int8_guard_ref (instance->network->guard);
  g_mutex_unlock (&instance->lock);
  return guard;
}

void
gst_int8_member_add_stats (GstInt8Member *member, GstStructure *stats)
{
  GstInt8Instance *instance = member->instance;
  GValue pictures = G_VALUE_INIT, names = G_VALUE_INIT, value = G_VALUE_INIT;
  guint64 counts[GST_INT8_MAX_DEVICES];

  g_mutex_lock (&instance->lock);
  memcpy (counts, instance->n_pictures, sizeof counts);
  g_mutex_unlock (&instance->lock);
  if (instance->n_devices < 2)
    return;
  gst_value_array_init (&pictures, instance->n_devices);
  gst_value_array_init (&names, instance->n_devices);
  for (guint i = 0; i < instance->n_devices; i++) {
    g_value_init (&value, G_TYPE_UINT64);
    g_value_set_uint64 (&value, counts[i]);
    gst_value_array_append_and_take_value (&pictures, &value);
    g_value_init (&value, G_TYPE_STRING);
    g_value_take_string (&value, gst_int8_device_name (&instance->devices[i]));
    gst_value_array_append_and_take_value (&names, &value);
  }
  gst_structure_take_value (stats, "device-pictures", &pictures);
  gst_structure_take_value (stats, "devices", &names);
}

/* --- Instances ------------------------------------------------------------------------------- */

static void
drop_devices (GstInt8Instance *instance)
{
  while (instance->n_devices > 0) {
    GstInt8Device *device = &instance->devices[--instance->n_devices];

    engine_backend_close (device->backend);
    if (device->context)
      gst_object_unref ((GstObject *) device->context);
  }
}

static void
instance_free (GstInt8Instance *instance)
{
  drop_devices (instance);
  for (guint i = 0; i < instance->n_lanes; i++)
    g_free (instance->lanes[i].items);
  gst_int8_network_settings_clear (&instance->settings);
  g_ptr_array_unref (instance->members);
  g_mutex_clear (&instance->lock);
  g_mutex_clear (&instance->guard_lock);
  g_cond_clear (&instance->load_changed);
  g_free (instance->id);
  g_free (instance);
}

static GstInt8Instance *
instance_new (const char *id)
{
  GstInt8Instance *instance = g_new0 (GstInt8Instance, 1);

  instance->id = g_strdup (id);
  instance->members = g_ptr_array_new ();
  g_queue_init (&instance->active);
  g_queue_init (&instance->waiting);
  g_mutex_init (&instance->lock);
  g_mutex_init (&instance->guard_lock);
  g_cond_init (&instance->load_changed);
  return instance;
}

static gboolean
take_devices (GstInt8Instance *instance, const GstInt8Device *devices, guint n, GError **error)
{
  for (guint i = 0; i < n; i++) {
    KernelBackend *backend = engine_backend_open (devices[i].backend->name, error);

    if (!backend) {
      drop_devices (instance);
      return FALSE;
    }
    instance->devices[instance->n_devices++] = (GstInt8Device){.backend = backend,
        .context = devices[i].context ? gst_object_ref ((GstObject *) devices[i].context) : NULL};
  }
  return TRUE;
}

/* The first element that knows the model says what the network is; it begins to load. */
static gboolean
begin (GstInt8Instance *instance, const GstInt8NetworkSettings *settings,
    const GstInt8Device *devices, guint n_devices, GError **error)
{
  if (!gst_int8_network_settings_check (settings, error) ||
      !take_devices (instance, devices, n_devices, error))
    return FALSE;
  g_mutex_lock (&instance->lock);
  instance->batch_size = settings->batch_size;
  gst_int8_network_settings_copy (settings, &instance->settings);
  for (guint i = 0; i < n_devices; i++)
    for (guint k = gst_int8_device_lanes (&instance->devices[i]); k > 0; k--) {
      instance->lanes[instance->n_lanes] = (GstInt8Lane){.runner = instance->n_lanes,
          .device = i,
          .items = g_new0 (GstInt8BatchItem, instance->batch_size)};
      instance->n_lanes++;
    }
  g_mutex_unlock (&instance->lock);
  gst_int8_instance_load_start (instance);
  return TRUE;
}

/* --- Members --------------------------------------------------------------------------------- */

static GstInt8Member *
member_new (GstInt8Instance *instance, GstElement *element, const GstInt8NetworkSettings *settings,
    const GstInt8Device *devices, guint n_devices)
{
  GstInt8Member *member = g_new0 (GstInt8Member, 1);

  member->instance = instance;
  member->element = element;
  member->devices = devices;
  member->n_devices = n_devices;
  gst_int8_network_settings_copy (settings, &member->settings);
  member->turn.data = member->sleep.data = member;
  member->jobs = gst_queue_array_new_for_struct (sizeof (GstInt8Job *), 16);
  g_cond_init (&member->changed);
  g_mutex_lock (&instance->lock);
  g_ptr_array_add (instance->members, member);
  g_mutex_unlock (&instance->lock);
  return member;
}

void
gst_int8_instance_set_speaker_locked (GstInt8Instance *instance, GstInt8Network *network)
{
  const GstInt8Member *first = instance->members->len ? instance->members->pdata[0] : NULL;

  if (network && network->guard)
    gst_int8_guard_set_element (network->guard, first ? first->element : NULL);
}

/* Returns whether it was the last one. */
static gboolean
remove_member (GstInt8Member *member)
{
  GstInt8Instance *instance = member->instance;
  gboolean last;

  g_mutex_lock (&instance->lock);
  g_ptr_array_remove (instance->members, member);
  gst_int8_instance_set_speaker_locked (instance, instance->network);
  gst_int8_instance_set_speaker_locked (instance, instance->next);
  gst_int8_instance_set_speaker_locked (instance, instance->retired);
  last = instance->members->len == 0;
  g_mutex_unlock (&instance->lock);
  gst_queue_array_free (member->jobs);
  gst_int8_network_settings_clear (&member->settings);
  g_cond_clear (&member->changed);
  g_free (member);
  return last;
}

static gboolean
names_model (const GstInt8NetworkSettings *settings)
{
  return settings->config.model && *settings->config.model;
}

/* lock held */
static gboolean
has_failed_locked (const GstInt8Instance *instance, GError **error)
{
  if (instance->load_state != GST_INT8_LOAD_FAILING &&
      instance->load_state != GST_INT8_LOAD_FAILED)
    return FALSE;
  if (instance->id)
    g_set_error (error, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT,
        "the network of instance-id \"%s\" could not be made, as the element said that came first; set its "
        "pipeline to NULL, and all others with this instance-id",
        instance->id);
  else
    g_set_error_literal (error, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT,
        "the network could not be made; set the pipeline to NULL first");
  return TRUE;
}

/* Whether an element may join: it says nothing of the model, or the same. */
static gboolean
is_alike (GstInt8Instance *instance, const GstInt8NetworkSettings *settings, GError **error)
{
  const char *model = settings->config.model;
  gboolean alike, failed;

  g_mutex_lock (&instance->lock);
  failed = has_failed_locked (instance, error);
  alike = !names_model (settings) || g_strcmp0 (model, instance->settings.config.model) == 0;
  if (!failed && !alike)
    g_set_error (error, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT,
        "instance-id \"%s\" is of model %s, not %s: give other models other ids, or leave \"model\" unset to "
        "share what is there",
        instance->id, instance->settings.config.model, model);
  g_mutex_unlock (&instance->lock);
  return alike && !failed;
}

/* The instance of an id, which is registered with it; NULL: a new one. */
static GstInt8Instance *
find_or_add (const char *id)
{
  GstInt8Instance *instance = id && instances ? g_hash_table_lookup (instances, id) : NULL;

  if (instance)
    return instance;
  instance = instance_new (id);
  if (id) {
    if (!instances)
      instances = g_hash_table_new (g_str_hash, g_str_equal);
    g_hash_table_insert (instances, instance->id, instance);
  }
  return instance;
}

/* An instance that nobody is in. */
static void
drop (GstInt8Instance *instance)
{
  if (instance->id) {
    g_hash_table_remove (instances, instance->id);
    if (g_hash_table_size (instances) == 0)
      g_clear_pointer (&instances, g_hash_table_unref);
  }
}

GstInt8Member *
gst_int8_instance_join (const char *id, GstElement *element, const GstInt8NetworkSettings *settings,
    const GstInt8Device *devices, guint n_devices, GError **error)
{
  const gboolean shared = id && *id;
  const gboolean knows = names_model (settings);
  GstInt8Instance *instance;
  GstInt8Member *member;
  gboolean ok, empty = FALSE;

  g_mutex_lock (&register_lock);
  instance = find_or_add (shared ? id : NULL);
  /* Before it begins, so that there is somebody to speak for it. */
  member = member_new (instance, element, settings, devices, n_devices);
  if (instance->n_lanes > 0)
    ok = is_alike (instance, settings, error);
  else if (knows || !shared)
    ok = begin (instance, settings, devices, n_devices, error);
  else
    ok = TRUE; /* until one comes that knows the model */
  if (ok)
    gst_int8_instance_load_tell (instance);
  else
    empty = remove_member (member);
  if (!ok && empty)
    drop (instance);
  g_mutex_unlock (&register_lock);
  if (ok && shared && !knows)
    GST_INFO_OBJECT (element, "the model is that of another element with instance-id %s", id);
  if (!ok && empty)
    instance_free (instance);
  return ok ? member : NULL;
}

void
gst_int8_member_leave (GstInt8Member *member)
{
  GstInt8Instance *instance = member->instance;
  gboolean last;

  g_mutex_lock (&register_lock);
  last = remove_member (member);
  if (last)
    drop (instance);
  g_mutex_unlock (&register_lock);
  if (last) {
    gst_int8_instance_load_cancel (instance);
    gst_int8_instance_load_join (instance);
    instance_free (instance);
  }
}

gboolean
gst_int8_member_configure (GstInt8Member *member, GstInt8ChangeFn change, gpointer data,
    GError **error)
{
  GstInt8Instance *instance = member->instance;
  gboolean known, ok;

  g_mutex_lock (&register_lock);
  g_mutex_lock (&instance->lock);
  change (&member->settings, data);
  known = instance->n_lanes > 0;
  ok = !has_failed_locked (instance, error);
  if (known && ok)
    change (&instance->settings, data);
  g_mutex_unlock (&instance->lock);
  if (known && ok)
    gst_int8_instance_load_again (instance);
  else if (ok && names_model (&member->settings))
    ok = begin (instance, &member->settings, member->devices, member->n_devices, error);
  g_mutex_unlock (&register_lock);
  return ok;
}
