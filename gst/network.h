/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * network.h: a network that is ready to run: its engine, its labels, and memory for batches on every
 * device that it runs on.
 */
#pragma once

#include "gst/config.h"
#include "gst/guard.h"
#include "gst/labels.h"
#include "gst/runner.h"

G_BEGIN_DECLS

/* What decides a network. */
typedef struct {
  GstInt8Config config;
  char *labels, *table, *engine, *dynamic_ranges, *layer_precision;
  gboolean force_table, strict, tune;
  EnginePrecision precision;
  EngineRanges ranges;
  guint batch_size; /* pictures */
  GstInt8GuardSettings guard;
} GstInt8NetworkSettings;

void gst_int8_network_settings_copy (const GstInt8NetworkSettings *from,
    GstInt8NetworkSettings *to); /* to: not initialised */
void gst_int8_network_settings_clear (GstInt8NetworkSettings *settings);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (GstInt8NetworkSettings, gst_int8_network_settings_clear)
/* What can be told without reading a file. */
gboolean gst_int8_network_settings_check (const GstInt8NetworkSettings *settings, GError **error);

/* Where networks run. Nothing is owned. */
typedef struct {
  KernelBackend *backend;
  const GstObject *context; /* the GstCudaContext that it works in, or NULL */
} GstInt8Device;

#define GST_INT8_MAX_DEVICES 8
/* Batches that may be under way on a device at the same time: while it works on one the next is made ready
 * and queued behind it. A CPU works on the caller's thread, one batch at a time. */
#define GST_INT8_DEVICE_LANES 2
guint gst_int8_device_lanes (const GstInt8Device *device);
/* For people: "cpu", "cuda:1". */
char *gst_int8_device_name (const GstInt8Device *device);

typedef struct {
  Engine *engine;
  GstInt8Runner *runners[GST_INT8_MAX_DEVICES * GST_INT8_DEVICE_LANES]; /* device by device */
  guint n_runners;
  GstInt8Labels *labels;
  const char *model_name; /* interned */
  GstInt8Guard *guard;    /* or NULL */
  EngineRequestReport report;
  double seconds;   /* it took to make it */
  gboolean swapped; /* it replaces another while playing */
} GstInt8Network;

/* Loads the engine, or builds and saves it. Progress and warnings are posted by the element; devices
 * must outlive the network. */
GstInt8Network *gst_int8_network_new (GstElement *element, const GstInt8NetworkSettings *settings,
    const GstInt8Device *devices, guint n_devices, GCancellable *cancellable, GError **error);
void gst_int8_network_free (GstInt8Network *network); /* NULL is fine */
G_DEFINE_AUTOPTR_CLEANUP_FUNC (GstInt8Network, gst_int8_network_free)

/* Posts the element message "int8-engine": what the network is (docs/ELEMENTS.md lists its fields). */
void gst_int8_network_post (GstElement *element, const GstInt8Network *network,
    const GstInt8Device *devices, guint n_devices);

G_END_DECLS
