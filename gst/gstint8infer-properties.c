/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* gstint8infer-properties.c: the properties of int8infer, and the values behind them. */
#include "gst/gstint8infer-private.h"

enum {
  PROP_LABELS = GST_INT8_GUARD_LAST + 1,
  PROP_CALIBRATION_TABLE,
  PROP_FORCE_TABLE,
  PROP_DYNAMIC_RANGES,
  PROP_ENGINE,
  PROP_PRECISION,
  PROP_LAYER_PRECISION,
  PROP_STRICT,
  PROP_RANGES,
  PROP_BATCH_SIZE,
  PROP_INSTANCE_ID,
  PROP_DEVICE_ID,
  PROP_ASYNC,
  PROP_CONFIG_FILE,
  PROP_TUNE,
  PROP_STATS,
  PROP_OPTIONS,                                           /* the first of them */
  PROP_OBJECTS = PROP_OPTIONS + GST_INT8_INFER_N_OPTIONS, /* the first of them */
  PROP_LAST = PROP_OBJECTS + GST_INT8_OBJECTS_PROPERTIES - 1
};

#define DEFAULT_BATCH_SIZE 1
#define MAX_BATCH_SIZE     256

/* --- Settings -------------------------------------------------------------------------------- */

static void
take_string (char **field, const GValue *value)
{
  g_free (*field);
  *field = g_value_dup_string (value);
}

static gboolean
set_setting (GstInt8NetworkSettings *settings, guint id, const GValue *value)
{
  switch (id) {
  case PROP_LABELS:
    take_string (&settings->labels, value);
    return TRUE;
  case PROP_CALIBRATION_TABLE:
    take_string (&settings->table, value);
    return TRUE;
  case PROP_FORCE_TABLE:
    settings->force_table = g_value_get_boolean (value);
    return TRUE;
  case PROP_DYNAMIC_RANGES:
    take_string (&settings->dynamic_ranges, value);
    return TRUE;
  case PROP_ENGINE:
    take_string (&settings->engine, value);
    return TRUE;
  case PROP_PRECISION:
    settings->precision = g_value_get_enum (value);
    return TRUE;
  case PROP_LAYER_PRECISION:
    take_string (&settings->layer_precision, value);
    return TRUE;
  case PROP_STRICT:
    settings->strict = g_value_get_boolean (value);
    return TRUE;
  case PROP_RANGES:
    settings->ranges = g_value_get_enum (value);
    return TRUE;
  case PROP_BATCH_SIZE:
    settings->batch_size = g_value_get_uint (value);
    return TRUE;
  case PROP_TUNE:
    settings->tune = g_value_get_boolean (value);
    return TRUE;
  default:
    return gst_int8_guard_set_property (&settings->guard, id, value) ||
           gst_int8_config_set_property (&settings->config, id, value);
  }
}

static gboolean
get_setting (const GstInt8NetworkSettings *settings, guint id, GValue *value)
{
  switch (id) {
  case PROP_LABELS:
    g_value_set_string (value, settings->labels);
    return TRUE;
  case PROP_CALIBRATION_TABLE:
    g_value_set_string (value, settings->table);
    return TRUE;
  case PROP_FORCE_TABLE:
    g_value_set_boolean (value, settings->force_table);
    return TRUE;
  case PROP_DYNAMIC_RANGES:
    g_value_set_string (value, settings->dynamic_ranges);
    return TRUE;
  case PROP_ENGINE:
    g_value_set_string (value, settings->engine);
    return TRUE;
  case PROP_PRECISION:
    g_value_set_enum (value, settings->precision);
    return TRUE;
  case PROP_LAYER_PRECISION:
    g_value_set_string (value, settings->layer_precision);
    return TRUE;
  case PROP_STRICT:
    g_value_set_boolean (value, settings->strict);
    return TRUE;
  case PROP_RANGES:
    g_value_set_enum (value, settings->ranges);
    return TRUE;
  case PROP_BATCH_SIZE:
    g_value_set_uint (value, settings->batch_size);
    return TRUE;
  case PROP_TUNE:
    g_value_set_boolean (value, settings->tune);
    return TRUE;
  default:
    return gst_int8_guard_get_property (&settings->guard, id, value) ||
           gst_int8_config_get_property (&settings->config, id, value);
  }
}

/* --- Changes ---------------------------------------------------------------------------------- */

typedef struct {
  guint id;
  GValue value;
} Change;

static void
change_clear (gpointer data)
{
  g_value_unset (&((Change *) data)->value);
}

static GArray *
changes_new (void)
{
  GArray *changes = g_array_new (FALSE, FALSE, sizeof (Change));

  g_array_set_clear_func (changes, change_clear);
  return changes;
}

static void
note_change (GArray *changes, guint id, const GValue *value)
{
  Change change = {.id = id};

  g_value_init (&change.value, G_VALUE_TYPE (value));
  g_value_copy (value, &change.value);
  g_array_append_val (changes, change);
}

GArray *
gst_int8_infer_take_changes (GstInt8Infer *self)
{
  GArray *taken;

  GST_OBJECT_LOCK (self);
  taken = self->changes;
  self->changes = changes_new ();
  GST_OBJECT_UNLOCK (self);
  return taken;
}

void
gst_int8_infer_apply_changes (GstInt8NetworkSettings *settings, gpointer changes)
{
  const GArray *array = changes;

  for (guint i = 0; i < array->len; i++) {
    const Change *change = &g_array_index (array, Change, i);

    set_setting (settings, change->id, &change->value);
  }
}

/* --- Both ------------------------------------------------------------------------------------ */

/* Where the text of a property is that is the element's own and settled in READY; else NULL. */
static char **
text_of (GstInt8Infer *self, guint id)
{
  switch (id) {
  case PROP_INSTANCE_ID:
    return &self->instance_id;
  case PROP_DEVICE_ID:
    return &self->device_id;
  case PROP_CONFIG_FILE:
    return &self->config_file.path;
  default:
    return NULL;
  }
}

static void
set_property (GObject *object, guint id, const GValue *value, GParamSpec *pspec)
{
  GstInt8Infer *self = GST_INT8_INFER (object);
  GstClockTime timeout;
  gboolean known, latency_changed;

  GST_OBJECT_LOCK (self);
  timeout = self->options.batch_timeout;
  gst_int8_config_file_note (&self->config_file, pspec);
  known = gst_int8_infer_option_set (&self->options, id - PROP_OPTIONS, value);
  if (text_of (self, id)) {
    take_string (text_of (self, id), value);
    known = TRUE;
  }
  if (id == PROP_ASYNC) {
    self->wants_async = g_value_get_boolean (value);
    known = TRUE;
  }
  if (!known && gst_int8_objects_set_property (&self->objects, PROP_OBJECTS, id, value))
    known = self->objects_changed = TRUE;
  if (!known && set_setting (&self->settings, id, value)) {
    known = TRUE;
    if (pspec->flags & GST_PARAM_MUTABLE_PLAYING)
      note_change (self->changes, id, value);
  }
  latency_changed = self->options.batch_timeout != timeout;
  GST_OBJECT_UNLOCK (self);
  if (!known)
    G_OBJECT_WARN_INVALID_PROPERTY_ID (object, id, pspec);
  if (latency_changed) /* the pipeline asks anew */
    gst_element_post_message (GST_ELEMENT (self), gst_message_new_latency (GST_OBJECT (self)));
  gst_int8_config_warn_if_late (GST_ELEMENT (self), pspec);
}

static GstStructure *
make_stats (GstInt8Infer *self)
{
  GstStructure *stats = gst_int8_stats_to_structure (&self->stats);
  g_autoptr (GstInt8Guard) guard = NULL;

  g_mutex_lock (&self->lock);
  if (self->member) {
    guard = gst_int8_member_guard (self->member);
    gst_int8_member_add_stats (self->member, stats);
  }
  g_mutex_unlock (&self->lock);
  if (guard)
    gst_int8_guard_add_stats (guard, stats);
  return stats;
}

static void
get_property (GObject *object, guint id, GValue *value, GParamSpec *pspec)
{
  GstInt8Infer *self = GST_INT8_INFER (object);
  gboolean known;

  if (id == PROP_STATS) {
    g_value_take_boxed (value, make_stats (self));
    return;
  }
  GST_OBJECT_LOCK (self);
  known = gst_int8_infer_option_get (&self->options, id - PROP_OPTIONS, value) ||
          get_setting (&self->settings, id, value) ||
          gst_int8_objects_get_property (&self->objects, PROP_OBJECTS, id, value);
  if (text_of (self, id)) {
    g_value_set_string (value, *text_of (self, id));
    known = TRUE;
  }
  if (id == PROP_ASYNC) {
    g_value_set_boolean (value, self->wants_async);
    known = TRUE;
  }
  GST_OBJECT_UNLOCK (self);
  if (!known)
    G_OBJECT_WARN_INVALID_PROPERTY_ID (object, id, pspec);
}

/* --- Installation ---------------------------------------------------------------------------- */

static void
install_settings (GObjectClass *klass)
{
  const GParamFlags flags = G_PARAM_READWRITE | G_PARAM_STATIC_STRINGS | GST_PARAM_MUTABLE_PLAYING;

  g_object_class_install_property (klass, PROP_LABELS,
      g_param_spec_string ("labels", "Labels",
          "Path of the class names: one per line, or one line separated by ';' (unset = the "
          "class index is the label)",
          NULL, flags));
  g_object_class_install_property (klass, PROP_CALIBRATION_TABLE,
      g_param_spec_string ("calibration-table", "Calibration table",
          "Path of the table that int8calib or TensorRT wrote for this model; needed for "
          "precision=int8, unless dynamic-ranges has them all or the model is quantised already. Set while playing (the same path, where "
          "the file is another now): the network is made anew aside and replaces the old one between two frames",
          NULL, flags));
  g_object_class_install_property (klass, PROP_FORCE_TABLE,
      g_param_spec_boolean ("force-table", "Force table",
          "Use the calibration table although its provenance (<table>.json) says that it was made for another model or preprocessing",
          FALSE, flags));
  g_object_class_install_property (klass, PROP_DYNAMIC_RANGES,
      g_param_spec_string ("dynamic-ranges", "Dynamic ranges",
          "Path of ranges by hand, which go before those of the table: a line \"TENSOR: T\" or "
          "\"TENSOR: MIN MAX\" each. \"gst-int8-1.0 build --write-tensors\" writes the names",
          NULL, flags));
  g_object_class_install_property (klass, PROP_ENGINE,
      g_param_spec_string ("engine", "Engine file",
          "Where the built engine is kept (unset = in the user's cache folder, named by the "
          "content of model, table and settings). It is rebuilt when any of them changes; a "
          "file of another program is never overwritten",
          NULL, flags));
  g_object_class_install_property (klass, PROP_PRECISION,
      g_param_spec_enum ("precision", "Precision", "Arithmetic of the network",
          gst_int8_infer_precision_type (), ENGINE_PRECISION_INT8, flags));
  g_object_class_install_property (klass, PROP_LAYER_PRECISION,
      g_param_spec_string ("layer-precision", "Layer precision",
          "Precision and output type of single layers, as in \"*:fp32,conv1:int8,fc:output=fp32\": "
          "names of layers or of their output tensors, with * and ?; later entries win. Or @ and the "
          "path of a file with an entry a line. Goes before <calibration-table>.precision",
          NULL, flags));
  g_object_class_install_property (klass, PROP_STRICT,
      g_param_spec_boolean ("strict", "Strict",
          "What layer-precision and dynamic-ranges ask for and cannot have is an error, rather than "
          "named in the message int8-engine: a name that nothing has, a precision without a kernel",
          FALSE, flags));
  g_object_class_install_property (klass, PROP_RANGES,
      g_param_spec_enum ("ranges", "Ranges", "How the 256 levels of an INT8 tensor are spent",
          gst_int8_infer_ranges_type (), ENGINE_RANGES_FULL, flags));
  g_object_class_install_property (klass, PROP_BATCH_SIZE,
      g_param_spec_uint ("batch-size", "Batch size",
          "Frames, or objects, that go through the network at once when so many are waiting (see "
          "batch-timeout). Of elements with one instance-id, that of the first",
          1, MAX_BATCH_SIZE, DEFAULT_BATCH_SIZE,
          G_PARAM_READWRITE | G_PARAM_STATIC_STRINGS | GST_PARAM_MUTABLE_READY));
  g_object_class_install_property (klass, PROP_INSTANCE_ID,
      g_param_spec_string ("instance-id", "Instance id",
          "Elements of a process with the same id share one network, its weights and its batches, "
          "which are filled from all their streams in turn. The properties of the first that has a model say what "
          "it is; the others may leave \"model\" unset (unset = not shared)",
          NULL, G_PARAM_READWRITE | G_PARAM_STATIC_STRINGS | GST_PARAM_MUTABLE_READY));
  g_object_class_install_property (klass, PROP_DEVICE_ID,
      g_param_spec_string ("device-id", "Device id",
          "Numbers of the GPUs of backend=cuda (or auto) that share the batches, as in \"0,1\"; backend takes a list, "
          "too: \"cuda:0,cuda:1\" is the same, \"cpu,cpu\" lets two elements of an instance-id run batches at the same "
          "time (unset = as backend says)",
          NULL, G_PARAM_READWRITE | G_PARAM_STATIC_STRINGS | GST_PARAM_MUTABLE_READY));
  g_object_class_install_property (klass, PROP_ASYNC,
      g_param_spec_boolean ("async", "Asynchronous",
          "Frames do not wait for their results but go on with the newest one there is, which says as \"result_timestamp\" "
          "whose it is; while the network is at work frames are not looked at. Of objects those with the id of a tracker",
          FALSE, G_PARAM_READWRITE | G_PARAM_STATIC_STRINGS | GST_PARAM_MUTABLE_READY));
  g_object_class_install_property (klass, PROP_TUNE,
      g_param_spec_boolean ("tune", "Tune",
          "Time the ways to compute every convolution with this batch-size and these threads, "
          "unless the engine file has that for this machine, and keep the fastest there; INT8 "
          "results do not change",
          FALSE, flags));
}

void
gst_int8_infer_properties_install (GObjectClass *klass)
{
  klass->set_property = set_property;
  klass->get_property = get_property;
  gst_int8_config_install (klass, GST_PARAM_MUTABLE_PLAYING);
  gst_int8_config_file_install (klass, PROP_CONFIG_FILE);
  install_settings (klass);
  gst_int8_guard_install (klass);
  gst_int8_infer_options_install (klass, PROP_OPTIONS);
  gst_int8_objects_install (klass, PROP_OBJECTS, TRUE,
      G_PARAM_READWRITE | G_PARAM_STATIC_STRINGS | GST_PARAM_MUTABLE_PLAYING);
  g_object_class_install_property (klass, PROP_STATS,
      g_param_spec_boxed ("stats", "Statistics",
          "frames: all that passed; dropped: those without inference (qos); pictures: frames or objects "
          "that were classified; fps, latency (from "
          "the sink pad to the result) and inference (preprocessing and network) in ns, batch-fill (frames or objects "
          "in a batch): of the last " G_STRINGIFY (
              GST_INT8_STATS_WINDOW) " frames; with drift-interval drift-examined, "
                                     "drift-missed (frames), drift-agreement, drift-logit-sqnr (dB), drift-clip of drift-tensor: of "
                                     "the last drift-window examined frames",
          GST_TYPE_STRUCTURE, G_PARAM_READABLE | G_PARAM_STATIC_STRINGS));
}

void
gst_int8_infer_properties_init (GstInt8Infer *self)
{
  gst_int8_config_init (&self->settings.config);
  self->settings.precision = ENGINE_PRECISION_INT8;
  self->settings.ranges = ENGINE_RANGES_FULL;
  self->settings.batch_size = DEFAULT_BATCH_SIZE;
  gst_int8_guard_settings_init (&self->settings.guard);
  self->changes = changes_new ();
  gst_int8_infer_options_init (&self->options);
}
