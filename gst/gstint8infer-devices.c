/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * gstint8infer-devices.c: which devices `backend` and `device-id` name, and opening them. A network runs on
 * all of them at once; see instance.h.
 */
#include "gst/gstint8infer-private.h"

#define GST_CAT_DEFAULT gst_int8_infer_debug

void
gst_int8_infer_devices_close (GstInt8Infer *self)
{
  while (self->n_devices > 0)
    engine_backend_close (self->devices[--self->n_devices].backend);
  gst_int8_cuda_drop (&self->cuda);
}

/* --- Names ----------------------------------------------------------------------------------- */

/* The entries of a list; NULL: there are none, or too many. */
static char **
split (const char *property, const char *text, const char *separators, GError **error)
{
  char **items = g_strsplit_set (text, separators, -1);
  guint n = 0;

  for (char **item = items; *item; item++) {
    if (*g_strstrip (*item))
      items[n++] = *item;
    else
      g_free (*item);
  }
  items[n] = NULL;
  if (n > 0 && n <= GST_INT8_MAX_DEVICES)
    return items;
  g_set_error (error, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT,
      "%s=\"%s\" names %u devices: 1 to %d can be had", property, text, n, GST_INT8_MAX_DEVICES);
  g_strfreev (items);
  return NULL;
}

/* "0,1" to "cuda:0", "cuda:1". */
static gboolean
number_names (char **names, GError **error)
{
  for (char **name = names; *name; name++) {
    char *number = *name;
    guint64 value;

    if (!g_ascii_string_to_unsigned (number, 10, 0, G_MAXINT, &value, NULL)) {
      g_set_error (error, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT,
          "device-id: \"%s\" is no number of a device; the list is one such as \"0,1\"", number);
      return FALSE;
    }
    *name = g_strdup_printf ("cuda:%u", (guint) value);
    g_free (number);
  }
  return TRUE;
}

/* Of `backend` by itself a list, or of `device-id`. */
static char **
device_names (const char *backend, const char *ids, GError **error)
{
  g_auto (GStrv) names = NULL;

  if (!ids || !*ids) {
    names = split ("backend", backend, ",", error);
    if (names && names[1] && g_strv_contains ((const char *const *) names, "auto")) {
      g_set_error (error, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT,
          "backend=\"%s\": auto is one device, whichever there is; a list names each", backend);
      return NULL;
    }
    return g_steal_pointer (&names);
  }
  if (!g_str_equal (backend, "auto") && !g_str_equal (backend, "cuda")) {
    g_set_error (error, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT,
        "device-id=\"%s\" numbers the GPUs of backend=cuda, but backend is \"%s\": leave one of them unset",
        ids, backend);
    return NULL;
  }
  names = split ("device-id", ids, ",;", error);
  return names && number_names (names, error) ? g_steal_pointer (&names) : NULL;
}

/* --- Opening --------------------------------------------------------------------------------- */

/* The pipeline's context is that of the first GPU in the list. */
static gboolean
add_device (GstInt8Infer *self, const char *name, GError **error)
{
  GstInt8Device device = {0};

  if (g_str_has_prefix (name, "cuda") && !self->cuda.context) {
    device.backend = gst_int8_cuda_open (&self->cuda, GST_ELEMENT (self), name, error);
    device.context = self->cuda.context;
  } else {
    device.backend = engine_backend_open (name, error);
  }
  if (!device.backend)
    return FALSE;
  GST_INFO_OBJECT (self, "back end %s: %s", device.backend->name, device.backend->description);
  self->devices[self->n_devices++] = device;
  return TRUE;
}

static gboolean
add_devices (GstInt8Infer *self, char **names, GError **error)
{
  for (char **name = names; *name; name++)
    if (!add_device (self, *name, error)) {
      gst_int8_infer_devices_close (self);
      return FALSE;
    }
  return TRUE;
}

static gboolean
has_cuda (void)
{
  KernelBackend *backend = engine_backend_open ("cuda", NULL);

  engine_backend_close (backend);
  return backend != NULL;
}

/* auto: GPUs, else the CPU; but not the CPU in place of one of several GPUs. */
static gboolean
open_all (GstInt8Infer *self, const char *backend, const char *ids, GError **error)
{
  const gboolean any = g_str_equal (backend, "auto");
  g_auto (GStrv) names = device_names (backend, ids, error);
  g_autoptr (GError) local = NULL;

  if (!names)
    return FALSE;
  if (any && g_str_equal (names[0], "auto")) {
    g_free (names[0]);
    names[0] = g_strdup ("cuda");
  }
  if (add_devices (self, names, &local))
    return TRUE;
  if (any && !(names[1] && has_cuda ())) {
    GST_INFO_OBJECT (self, "the CPU computes: %s", local->message);
    return add_device (self, "cpu", error);
  }
  g_set_error (error, local->domain, local->code, "%s; backend=auto takes what this machine has",
      local->message);
  return FALSE;
}

gboolean
gst_int8_infer_devices_open (GstInt8Infer *self, GError **error)
{
  g_autofree char *backend = NULL, *ids = NULL;

  GST_OBJECT_LOCK (self);
  backend = g_strdup (self->settings.config.backend);
  ids = g_strdup (self->device_id);
  GST_OBJECT_UNLOCK (self);
  return open_all (self, backend && *backend ? backend : "auto", ids, error);
}
