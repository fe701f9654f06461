/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* common.c: see common.h. */
#include "tests/gst/common.h"

#include <gio/gio.h>
#include <string.h>
#include <time.h>

#include "tests/folder.h"

static char *folder;

/* --- Files ----------------------------------------------------------------------------------- */

const char *
test_model (void)
{
  g_autofree char *path =
      g_build_filename (g_getenv ("INT8_SOURCE_DIR"), "data", "fashion-lenet.onnx", NULL);

  return g_intern_string (path);
}

const char *
test_folder (void)
{
  if (!folder)
    folder = g_dir_make_tmp ("int8-test-XXXXXX", NULL);
  return folder;
}

const char *
test_path (const char *name)
{
  g_autofree char *path = g_build_filename (test_folder (), name, NULL);

  return g_intern_string (path);
}

/* --- Fixtures -------------------------------------------------------------------------------- */

static GstTracer *
leaks_tracer (void)
{
  GList *tracers = gst_tracing_get_active_tracers ();
  GstTracer *found = NULL;

  for (GList *item = tracers; item; item = item->next)
    if (g_str_equal (G_OBJECT_TYPE_NAME (item->data), "GstLeaksTracer"))
      found = gst_object_ref (item->data);
  g_list_free_full (tracers, gst_object_unref);
  return found;
}

static guint objects_before;

/* How many objects are alive that may not leak. Fails the test when they are more than `most`. */
static guint
count_objects (guint most)
{
  GstTracer *tracer = leaks_tracer ();
  GstStructure *live = NULL;
  const GValue *list;
  guint n;

  fail_unless (tracer != NULL, "GStreamer's leaks tracer is not there");
  g_signal_emit_by_name (tracer, "get-live-objects", &live);
  list = gst_structure_get_value (live, "live-objects-list");
  n = gst_value_list_get_size (list);
  for (guint i = 0; n > most && i < n; i++) {
    g_autofree char *text = g_strdup_value_contents (gst_value_list_get_value (list, i));

    printf ("alive: %s\n", text);
  }
  fail_unless (n <= most, "%u objects leaked", n - most);
  gst_structure_free (live);
  gst_object_unref (tracer);
  return n;
}

void
test_setup (void)
{
  objects_before = count_objects (G_MAXUINT);
}

void
test_teardown (void)
{
  count_objects (objects_before);
  if (folder)
    test_folder_remove (folder);
  g_clear_pointer (&folder, g_free);
}

/* The plugin of this build, into this process: GStreamer's scanner is a program of its own, into which
 * nothing that a sanitizer has instrumented can be loaded. */
static void
load_plugin (const char *build)
{
  static const char *const elements[] = {"int8infer", "int8calib", "pipeline"};
  g_autofree char *path = g_build_filename (build, "gst", "libgstint8.so", NULL);
  g_autoptr (GError) error = NULL;
  GstPlugin *plugin = gst_plugin_load_file (path, &error);
  GList *features;

  if (!plugin)
    g_error ("%s: %s", path, error->message);
  features = gst_registry_get_feature_list_by_plugin (gst_registry_get (), "int8");
  for (GList *feature = features; feature; feature = feature->next)
    GST_OBJECT_FLAG_SET (feature->data, GST_OBJECT_FLAG_MAY_BE_LEAKED);
  GST_OBJECT_FLAG_SET (plugin, GST_OBJECT_FLAG_MAY_BE_LEAKED);
  gst_plugin_feature_list_free (features);
  gst_object_unref (plugin);
  /* What classes keep for good is there before the first test counts. */
  for (guint i = 0; i < G_N_ELEMENTS (elements); i++) {
    GstElement *element = gst_element_factory_make (elements[i], NULL);

    g_assert_true (element != NULL);
    gst_object_unref (element);
  }
}

int
test_main (int argc, char **argv, const char *name, Suite *(*make) (void) )
{
  const char *source = g_getenv ("INT8_SOURCE_DIR"), *build = g_getenv ("INT8_BUILD_DIR");
  g_autofree char *registry = NULL;

  if (!source || !build || !g_file_test (test_model (), G_FILE_TEST_EXISTS)) {
    printf (
        "SKIP %s: run it with \"meson test\", which sets INT8_SOURCE_DIR and INT8_BUILD_DIR, and "
        "with data/fashion-lenet.onnx in place\n",
        name);
    return 77;
  }
  registry = g_build_filename (build, "tests", "gst", "registry.bin", NULL);
  g_setenv ("GST_REGISTRY", registry, TRUE);
  g_unsetenv ("GST_PLUGIN_PATH");
  g_setenv ("GST_TRACERS", "leaks", TRUE);
  gst_check_init (&argc, &argv);
  load_plugin (build);
  return gst_check_run_suite (make (), name, __FILE__);
}

/* --- Elements -------------------------------------------------------------------------------- */

GstElement *
test_element_new (const char *launch, GstBus **bus)
{
  g_autoptr (GError) error = NULL;
  GstElement *element = gst_parse_launch_full (launch, NULL, GST_PARSE_FLAG_FATAL_ERRORS, &error);

  fail_unless (element != NULL, "%s: %s", launch, error ? error->message : "?");
  gst_object_ref_sink (element);
  *bus = gst_bus_new ();
  gst_element_set_bus (element, *bus);
  return element;
}

TestElement
test_infer_new (const char *launch, GstCaps *caps)
{
  const char *backend = g_getenv ("INT8_TEST_BACKEND");
  TestElement test;

  test.element = test_element_new (launch, &test.bus);
  if (backend && !strstr (launch, "backend="))
    g_object_set (test.element, "backend", backend, NULL);
  if (!strstr (launch, "model="))
    g_object_set (test.element, "model", test_model (), "calibration-table", test_table (), NULL);
  test.h = gst_harness_new_with_element (test.element, "sink", "src");
  gst_harness_set_src_caps (test.h, caps);
  return test;
}

void
test_element_free (TestElement *test)
{
  if (test->h)
    gst_harness_teardown (test->h);
  gst_element_set_state (test->element, GST_STATE_NULL);
  gst_element_set_bus (test->element, NULL);
  gst_object_unref (test->element);
  gst_bus_set_flushing (test->bus, TRUE);
  gst_object_unref (test->bus);
}

guint64
test_stat (const TestElement *test, const char *name)
{
  GstStructure *stats;
  guint64 value;

  g_object_get (test->element, "stats", &stats, NULL);
  value = test_field (stats, name);
  gst_structure_free (stats);
  return value;
}

double
test_batch_fill (const TestElement *test)
{
  GstStructure *stats;
  double fill = 0;

  g_object_get (test->element, "stats", &stats, NULL);
  fail_unless (gst_structure_get_double (stats, "batch-fill", &fill));
  gst_structure_free (stats);
  return fill;
}

/* --- Messages -------------------------------------------------------------------------------- */

static void
fail_with_error (GstMessage *message)
{
  g_autoptr (GError) error = NULL;
  g_autofree char *debug = NULL;

  gst_message_parse_error (message, &error, &debug);
  fail ("%s: %s (%s)", GST_MESSAGE_SRC_NAME (message), error->message, debug ? debug : "");
}

#define IDLE_CPU_SECONDS 0.01

GstMessage *
test_pop (GstBus *bus, GstMessageType types, guint seconds)
{
  const char *multiplier = g_getenv ("CK_TIMEOUT_MULTIPLIER"); /* check's own, for valgrind */
  const double most = seconds * (multiplier ? g_ascii_strtod (multiplier, NULL) : 1);
  clock_t before = clock ();
  double silent = 0;

  while (silent < most) {
    GstMessage *message;
    clock_t now;
    double used;

    while ((message = gst_bus_timed_pop (bus, GST_SECOND))) {
      if (GST_MESSAGE_TYPE (message) & types)
        return message;
      silent = 0;
      gst_message_unref (message);
    }
    now = clock ();
    used = (double) (now - before) / CLOCKS_PER_SEC;
    silent += used < IDLE_CPU_SECONDS ? 1 : MIN (used, 1);
    before = now;
  }
  return NULL;
}

GstStructure *
test_wait_message (GstBus *bus, const char *name, guint seconds)
{
  GstStructure *found = NULL;
  GstMessage *message;

  while (!found && (message = test_pop (bus, GST_MESSAGE_ELEMENT | GST_MESSAGE_ERROR, seconds))) {
    if (GST_MESSAGE_TYPE (message) == GST_MESSAGE_ERROR)
      fail_with_error (message);
    if (gst_message_has_name (message, name))
      found = gst_structure_copy (gst_message_get_structure (message));
    gst_message_unref (message);
  }
  return found;
}

static void
expect_texts (GstMessage *message, const char *got, const char *debug, va_list texts)
{
  const char *text;

  while ((text = va_arg (texts, const char *)))
    fail_unless (strstr (got, text) != NULL, "\"%s\" is not in \"%s\" (%s)", text, got, debug);
  gst_message_unref (message);
}

void
test_expect_error (GstBus *bus, ...)
{
  GstMessage *message = test_pop (bus, GST_MESSAGE_ERROR, 20);
  g_autoptr (GError) error = NULL;
  g_autofree char *debug = NULL;
  va_list texts;

  fail_unless (message != NULL, "no error came");
  gst_message_parse_error (message, &error, &debug);
  va_start (texts, bus);
  expect_texts (message, error->message, debug, texts);
  va_end (texts);
  message = gst_bus_pop_filtered (bus, GST_MESSAGE_ERROR);
  if (message)
    fail_with_error (message); /* one failure, one error */
}

void
test_expect_warning (GstBus *bus, ...)
{
  GstMessage *message = test_pop (bus, GST_MESSAGE_WARNING, 20);
  g_autoptr (GError) error = NULL;
  g_autofree char *debug = NULL;
  va_list texts;

  fail_unless (message != NULL, "no warning came");
  gst_message_parse_warning (message, &error, &debug);
  va_start (texts, bus);
  expect_texts (message, error->message, debug, texts);
  va_end (texts);
}

void
test_expect_no_error (GstBus *bus)
{
  GstMessage *message = gst_bus_pop_filtered (bus, GST_MESSAGE_ERROR);

  if (message)
    fail_with_error (message);
}

/* --- Gate ------------------------------------------------------------------------------------ */

static GstBusSyncReply
stop_at_gate (GstBus *bus, GstMessage *message, gpointer data)
{
  TestGate *gate = data;
  g_autofree char *code = NULL;

  if (GST_MESSAGE_TYPE (message) != GST_MESSAGE_PROGRESS)
    return GST_BUS_PASS;
  gst_message_parse_progress (message, NULL, &code, NULL);
  if (!g_str_equal (code, gate->code))
    return GST_BUS_PASS;
  g_mutex_lock (&gate->lock);
  gate->waiting++;
  g_cond_broadcast (&gate->changed);
  while (!gate->open)
    g_cond_wait (&gate->changed, &gate->lock);
  gate->waiting--;
  g_mutex_unlock (&gate->lock);
  return GST_BUS_PASS;
}

void
test_gate_init (TestGate *gate, GstBus *bus, const char *code)
{
  *gate = (TestGate){.code = code};
  g_mutex_init (&gate->lock);
  g_cond_init (&gate->changed);
  gst_bus_set_sync_handler (bus, stop_at_gate, gate, NULL);
}

void
test_gate_wait_for_visitor (TestGate *gate)
{
  g_mutex_lock (&gate->lock);
  while (!gate->waiting)
    g_cond_wait (&gate->changed, &gate->lock);
  g_mutex_unlock (&gate->lock);
}

void
test_gate_open (TestGate *gate)
{
  g_mutex_lock (&gate->lock);
  gate->open = TRUE;
  g_cond_broadcast (&gate->changed);
  g_mutex_unlock (&gate->lock);
}

TestElement
test_infer_at_gate (TestGate *gate, const char *launch, GstCaps *caps)
{
  g_autofree char *full = g_strdup_printf ("%s engine=%s", launch, test_path ("gate.engine"));
  TestElement test;

  test.element = test_element_new (full, &test.bus);
  g_object_set (test.element, "model", test_model (), "calibration-table", test_table (), NULL);
  test_gate_init (gate, test.bus, "engine");
  test.h = gst_harness_new_with_element (test.element, "sink", "src");
  gst_harness_set_src_caps (test.h, caps);
  test_gate_wait_for_visitor (gate);
  return test;
}

void
test_gate_clear (TestGate *gate, GstBus *bus)
{
  gst_bus_set_sync_handler (bus, NULL, NULL, NULL);
  g_mutex_clear (&gate->lock);
  g_cond_clear (&gate->changed);
}

/* --- Results --------------------------------------------------------------------------------- */

Classes
test_result (GstBuffer *buffer)
{
  GstCustomMeta *meta = gst_buffer_get_custom_meta (buffer, "GstInt8ClassificationMeta");
  Classes result = {0};
  const GValue *ids, *confidences;
  GstStructure *fields;
  double confidence;
  int best;

  if (!meta)
    return result;
  fields = gst_custom_meta_get_structure (meta);
  ids = gst_structure_get_value (fields, "label_ids");
  confidences = gst_structure_get_value (fields, "confidences");
  result.n = gst_value_array_get_size (ids);
  fail_unless (result.n <= G_N_ELEMENTS (result.ids));
  fail_unless_equals_int (gst_value_array_get_size (confidences), result.n);
  fail_unless (gst_structure_get (fields, "label_id", G_TYPE_INT, &best, "confidence",
      G_TYPE_DOUBLE, &confidence, NULL));
  for (guint i = 0; i < result.n; i++) {
    result.ids[i] = g_value_get_int (gst_value_array_get_value (ids, i));
    result.confidences[i] = g_value_get_double (gst_value_array_get_value (confidences, i));
  }
  fail_unless_equals_int (best, result.ids[0]);
  fail_unless (confidence == result.confidences[0]);
  return result;
}

void
test_check_classes (GstBuffer *buffer, const Classes *expected)
{
  const Classes got = test_result (buffer);

  fail_unless_equals_int (got.n, expected->n);
  for (guint k = 0; k < got.n; k++) {
    /* Of equal confidences either may come first in another implementation. */
    fail_unless (got.confidences[k] == expected->confidences[k], "%u: %.9g, expected %.9g", k,
        got.confidences[k], expected->confidences[k]);
    fail_unless_equals_int (got.ids[k], expected->ids[k]);
  }
}

Classes
test_classes_of_part (const char *launch, GstCaps *caps, GstBuffer *frame, guint x, guint y,
    guint width, guint height)
{
  TestElement test = test_infer_new (launch, caps);
  GstVideoCropMeta *crop = gst_buffer_add_video_crop_meta (frame);
  GstBuffer *out;
  Classes classes;

  crop->x = x;
  crop->y = y;
  crop->width = width;
  crop->height = height;
  out = gst_harness_push_and_pull (test.h, frame);
  classes = test_result (out);
  gst_buffer_unref (out);
  test_element_free (&test);
  return classes;
}
