/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * infer-devices.c: one network on several devices: which ones the properties name, that all of them get
 * batches, that frames keep their order, and that an error says whose it is.
 */
#include "tests/gst/linked.h"

#include <stdio.h>
#include <string.h>

/* Pictures of one device, of as many devices as there should be. */
static guint64
device_pictures (TestElement *test, guint device, guint n_devices, const char *name)
{
  GstStructure *stats;
  const GValue *names, *pictures;
  guint64 n;

  g_object_get (test->element, "stats", &stats, NULL);
  names = gst_structure_get_value (stats, "devices");
  pictures = gst_structure_get_value (stats, "device-pictures");
  fail_unless (names && pictures);
  fail_unless_equals_int (gst_value_array_get_size (names), n_devices);
  fail_unless_equals_int (gst_value_array_get_size (pictures), n_devices);
  fail_unless_equals_string (g_value_get_string (gst_value_array_get_value (names, device)), name);
  n = g_value_get_uint64 (gst_value_array_get_value (pictures, device));
  gst_structure_free (stats);
  return n;
}

static void
check_backend_of_message (TestElement *test, const char *expected)
{
  GstStructure *fields = test_wait_message (test->bus, "int8-engine", 20);

  fail_unless (fields != NULL);
  fail_unless_equals_string (gst_structure_get_string (fields, "backend"), expected);
  gst_structure_free (fields);
}

/* --- Batches --------------------------------------------------------------------------------- */

#define N_FRAMES 24

/* One stream: its batches take turns between the devices, its frames come in order with the same results. */
GST_START_TEST (test_one_stream)
{
  static const char *const launches[] = {"int8infer backend=cpu,cpu",
      "int8infer backend=cpu,cpu,cpu,cpu batch-size=4", "int8infer backend=cpu,ref batch-size=2"};
  static const char *const lists[] = {"cpu,cpu", "cpu,cpu,cpu,cpu", "cpu,ref"};
  static const guint counts[] = {2, 4, 2};
  TestElement test = test_infer_new (launches[__i__], test_small_caps ());
  guint64 sum = 0, least = G_MAXUINT64;

  check_backend_of_message (&test, lists[__i__]);
  for (guint i = 0; i < N_FRAMES; i++) {
    test_push (&test, i);
    if (i % 8 == 7)
      for (guint k = i - 7; k <= i; k++)
        test_check_next (&test, k);
  }
  for (guint i = 0; i < counts[__i__]; i++) {
    const guint64 n = device_pictures (&test, i, counts[__i__], i && __i__ == 2 ? "ref" : "cpu");

    sum += n;
    least = MIN (least, n);
  }
  fail_unless_equals_uint64 (sum, N_FRAMES);
  fail_unless (least > 0, "a device had nothing to do");
  if (__i__ == 0)
    fail_unless_equals_uint64 (least, N_FRAMES / 2);
  test_expect_no_error (test.bus);
  test_element_free (&test);
}
GST_END_TEST;

static gpointer
stream (gpointer data)
{
  TestElement *test = data;

  for (guint i = 0; i < 100; i++) {
    GstBuffer *out;

    test_push (test, i);
    out = gst_harness_pull (test->h);
    fail_unless_equals_uint64 (GST_BUFFER_OFFSET (out), i);
    fail_unless_equals_int (test_result (out).n, 1);
    gst_buffer_unref (out);
  }
  return NULL;
}

/* Streams of one network on two devices, at the same time. */
GST_START_TEST (test_many_streams)
{
  TestElement tests[4];
  GThread *threads[4];

  for (guint i = 0; i < G_N_ELEMENTS (tests); i++)
    tests[i] = test_infer_new (
        "int8infer backend=cpu,cpu instance-id=devices threads=1 batch-size=2", test_small_caps ());
  for (guint i = 0; i < G_N_ELEMENTS (tests); i++)
    threads[i] = g_thread_new ("stream", stream, &tests[i]);
  for (guint i = 0; i < G_N_ELEMENTS (tests); i++)
    g_thread_join (threads[i]);
  fail_unless_equals_uint64 (
      device_pictures (&tests[3], 0, 2, "cpu") + device_pictures (&tests[3], 1, 2, "cpu"), 400);
  fail_unless (device_pictures (&tests[3], 0, 2, "cpu") > 0);
  fail_unless (device_pictures (&tests[3], 1, 2, "cpu") > 0);
  for (guint i = 0; i < G_N_ELEMENTS (tests); i++) {
    test_expect_no_error (tests[i].bus);
    test_element_free (&tests[i]);
  }
}
GST_END_TEST;

/* Two GPUs, where there are two: the same bytes, in order, and both have worked. */
GST_START_TEST (test_gpus)
{
  KernelBackend *second = engine_backend_open ("cuda:1", NULL);
  TestElement test;

  if (!second) {
    printf ("SKIP test_gpus: there are no two GPUs\n");
    return;
  }
  test = test_infer_new (__i__ ? "int8infer backend=cuda device-id=0,1 batch-size=4"
                               : "int8infer backend=cuda:0,cuda:1",
      test_small_caps ());
  check_backend_of_message (&test, "cuda:0,cuda:1");
  for (guint i = 0; i < 200; i++) {
    test_push (&test, i);
    if (i % 20 == 19)
      for (guint k = i - 19; k <= i; k++)
        test_check_next (&test, k);
  }
  fail_unless (device_pictures (&test, 0, 2, "cuda:0") > 20);
  fail_unless (device_pictures (&test, 1, 2, "cuda:1") > 20);
  printf ("two GPUs: %u and %u of 200 frames\n", (guint) device_pictures (&test, 0, 2, "cuda:0"),
      (guint) device_pictures (&test, 1, 2, "cuda:1"));
  test_expect_no_error (test.bus);
  test_element_free (&test);
  engine_backend_close (second);
}
GST_END_TEST;

/* --- Stages ---------------------------------------------------------------------------------- */

static GMutex stages_lock;
static GPtrArray *stages; /* GstStructure */

static void
note_stage (GstDebugCategory *category, GstDebugLevel level, const char *file, const char *function,
    int line, GObject *object, GstDebugMessage *message, gpointer data)
{
  GstStructure *stage;

  if (!g_str_equal (gst_debug_category_get_name (category), "int8stages"))
    return;
  stage = gst_structure_from_string (gst_debug_message_get (message), NULL);
  fail_unless (stage != NULL, "%s", gst_debug_message_get (message));
  g_mutex_lock (&stages_lock);
  g_ptr_array_add (stages, stage);
  g_mutex_unlock (&stages_lock);
}

/* Pictures of all stages of that name on that device. */
static guint
pictures_of_stage (const char *name, const char *device, guint *n)
{
  guint sum = 0;

  *n = 0;
  for (guint i = 0; i < stages->len; i++) {
    const GstStructure *stage = stages->pdata[i];
    guint64 duration;
    guint pictures;

    fail_unless (gst_structure_has_name (stage, "int8-stage"));
    fail_unless (gst_structure_get_uint (stage, "pictures", &pictures));
    fail_unless (gst_structure_get_uint64 (stage, "duration", &duration));
    fail_unless (duration < 60 * GST_SECOND);
    if (g_str_equal (gst_structure_get_string (stage, "stage"), name) &&
        g_str_equal (gst_structure_get_string (stage, "device"), device)) {
      sum += pictures;
      (*n)++;
    }
  }
  return sum;
}

/* The debug category int8stages tells how long everything took, where. */
GST_START_TEST (test_stages)
{
  static const char *const names[] = {"batch", "preprocess", "run", "wait"};
  TestElement test;
  guint n;

  stages = g_ptr_array_new_with_free_func ((GDestroyNotify) gst_structure_free);
  gst_debug_set_threshold_for_name ("int8stages", GST_LEVEL_TRACE);
  gst_debug_add_log_function (note_stage, NULL, NULL);
  gst_debug_set_active (TRUE);
  test = test_infer_new ("int8infer backend=cpu,ref", test_small_caps ());
  for (guint i = 0; i < 6; i++) {
    test_push (&test, i);
    test_check_next (&test, i);
  }
  test_element_free (&test);
  gst_debug_remove_log_function (note_stage);

  fail_unless_equals_int (pictures_of_stage ("load", "cpu", &n), 0);
  fail_unless_equals_int (n, 1);
  for (guint i = 0; i < G_N_ELEMENTS (names); i++)
    fail_unless_equals_int (
        pictures_of_stage (names[i], "cpu", &n) + pictures_of_stage (names[i], "ref", &n), 6);
  fail_unless_equals_int (pictures_of_stage ("run", "ref", &n), 3);
  fail_unless_equals_int (n, 3);
  g_ptr_array_unref (stages);
}
GST_END_TEST;

/* --- Errors ---------------------------------------------------------------------------------- */

/* A device that fails is one error of the element, which says which it is. */
GST_START_TEST (test_failing_device)
{
  GstFlowReturn result = GST_FLOW_OK;
  TestDevice device;
  TestElement test;

  test_device_init (&device);
  test = test_infer_new ("int8infer backend=cpu,ref", test_small_caps ());
  for (guint i = 0; i < 4; i++) {
    test_push (&test, i);
    test_check_next (&test, i);
  }
  fail_unless (device_pictures (&test, 1, 2, "ref") > 0);
  test_device_break (&device, 2, "the fan has stopped");
  for (guint i = 4; i < 1000 && result == GST_FLOW_OK; i++)
    result = gst_harness_push (test.h, test_small_frame (i));
  fail_unless_equals_int (result, GST_FLOW_ERROR);
  test_expect_error (test.bus, "device ref (number 2 of 2)", "the fan has stopped", NULL);
  test_element_free (&test);
  test_device_clear (&device);
}
GST_END_TEST;

static const struct {
  const char *launch, *first, *second;
} wrong[] = {
    {"int8infer backend=cpu,nonsense", "nonsense", "backend=auto"},
    {"int8infer backend=auto,cpu", "auto,cpu", "auto is one device"},
    {"int8infer backend=cpu device-id=0", "device-id=\"0\"", "backend is \"cpu\""},
    {"int8infer device-id=0,one", "\"one\"", "number of a device"},
    {"int8infer device-id=\";\"", "names 0 devices", "1 to 8"},
    {"int8infer backend=cpu,cpu,cpu,cpu,cpu,cpu,cpu,cpu,cpu", "names 9 devices", "1 to 8"},
    {"int8infer backend=cuda device-id=998,999", "cuda:998", "backend=auto"},
};

/* NULL→READY refuses what cannot be, and says why. */
GST_START_TEST (test_wrong_names)
{
  GstBus *bus;
  GstElement *element = test_element_new (wrong[__i__].launch, &bus);

  fail_unless_equals_int (gst_element_set_state (element, GST_STATE_READY),
      GST_STATE_CHANGE_FAILURE);
  test_expect_error (bus, wrong[__i__].first, wrong[__i__].second, NULL);
  gst_element_set_state (element, GST_STATE_NULL);
  gst_element_set_bus (element, NULL);
  gst_object_unref (element);
  gst_object_unref (bus);
}
GST_END_TEST;

/* auto takes GPUs by their numbers where there are such, and else the CPU. */
GST_START_TEST (test_auto)
{
  KernelBackend *cuda = engine_backend_open ("cuda:0", NULL);
  TestElement test;

  test.element = test_element_new ("int8infer device-id=0", &test.bus);
  g_object_set (test.element, "model", test_model (), "calibration-table", test_table (), NULL);
  test.h = gst_harness_new_with_element (test.element, "sink", "src");
  gst_harness_set_src_caps (test.h, test_small_caps ());
  check_backend_of_message (&test, cuda ? "cuda:0" : "cpu");
  test_push (&test, 1);
  test_check_next (&test, 1);
  test_element_free (&test);
  engine_backend_close (cuda);
}
GST_END_TEST;

static Suite *
make_suite (void)
{
  Suite *suite = suite_create ("int8infer devices");
  TCase *tcase = tcase_create ("devices");

  tcase_set_timeout (tcase, 60);
  tcase_add_checked_fixture (tcase, test_setup, test_teardown);
  tcase_add_loop_test (tcase, test_one_stream, 0, 3);
  tcase_add_test (tcase, test_many_streams);
  tcase_add_loop_test (tcase, test_gpus, 0, 2);
  tcase_add_test (tcase, test_stages);
  tcase_add_test (tcase, test_failing_device);
  tcase_add_loop_test (tcase, test_wrong_names, 0, G_N_ELEMENTS (wrong));
  tcase_add_test (tcase, test_auto);
  suite_add_tcase (suite, tcase);
  return suite;
}

int
main (int argc, char **argv)
{
  return test_main_linked (argc, argv, "infer-devices", make_suite);
}
