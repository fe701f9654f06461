/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* infer-swap.c: tables, precision and labels that are set while int8infer plays. */
#include "tests/gst/common.h"

#define SWAPS 200

/* Under valgrind and the like fewer will do; 1000 is the long version. */
static guint
n_swaps (void)
{
  const char *text = g_getenv ("INT8_TEST_SWAPS");

  return text ? (guint) g_ascii_strtoull (text, NULL, 10) : SWAPS;
}

/* A table as test_table(), with every range times `factor`. */
static const char *
write_table (const char *name, double factor)
{
  const char *path = test_path (name);
  g_autoptr (CalibTable) table = calib_table_load (test_table (), NULL);
  g_autoptr (GError) error = NULL;

  fail_unless (table != NULL);
  for (guint i = 0; i < calib_table_n_entries (table); i++) {
    float scale;
    const char *tensor = calib_table_entry (table, i, &scale);

    calib_table_set (table, tensor, (float) (scale * factor));
  }
  fail_unless (calib_table_save (table, path, &error), "%s", error ? error->message : "?");
  return path;
}

static Classes
classify (TestElement *test, guint seed)
{
  GstBuffer *out = gst_harness_push_and_pull (test->h, test_small_frame (seed));
  const Classes classes = test_result (out);

  fail_unless_equals_uint64 (GST_BUFFER_OFFSET (out), seed);
  fail_unless_equals_int (classes.n, 1);
  gst_buffer_unref (out);
  return classes;
}

/* What an element says that never had another table. */
static Classes
classify_with (const char *table, guint seed)
{
  g_autofree char *launch =
      g_strdup_printf ("int8infer model=%s calibration-table=%s", test_model (), table);
  TestElement test = test_infer_new (launch, test_small_caps ());
  const Classes classes = classify (&test, seed);

  test_element_free (&test);
  return classes;
}

static void
wait_for_engine (TestElement *test, gboolean swapped)
{
  GstStructure *fields = test_wait_message (test->bus, "int8-engine", 20);
  gboolean is = !swapped;

  fail_unless (fields != NULL, "no engine came");
  fail_unless (gst_structure_get_boolean (fields, "swapped", &is));
  fail_unless_equals_int (is, swapped);
  gst_structure_free (fields);
}

/* --- Frames that never stop ------------------------------------------------------------------ */

typedef struct {
  GstHarness *h;
  gint stop; /* atomic */
  guint pushed, pulled;
} Stream;

static void
pull (Stream *stream)
{
  GstBuffer *out = gst_harness_pull (stream->h);

  /* Its minute may have been one in which this process was stopped. */
  if (!out)
    out = gst_harness_pull (stream->h);
  fail_unless (out != NULL, "frame %u was lost", stream->pulled);
  fail_unless_equals_uint64 (GST_BUFFER_OFFSET (out), stream->pulled++);
  fail_unless_equals_int (test_result (out).n, 1);
  gst_buffer_unref (out);
}

/* Pushes frames, a few ahead of what it pulls. */
static gpointer
keep_pushing (gpointer data)
{
  Stream *stream = data;

  while (!g_atomic_int_get (&stream->stop)) {
    fail_unless_equals_int (gst_harness_push (stream->h, test_small_frame (stream->pushed++)),
        GST_FLOW_OK);
    if (stream->pushed - stream->pulled > 5)
      pull (stream);
  }
  while (stream->pulled < stream->pushed)
    pull (stream);
  return NULL;
}

/* Every swap is in before the next is asked for; each builds an engine. */
static void
swap_while_playing (const char *launch, guint swaps)
{
  g_autofree char *full = g_strdup_printf ("%s engine=%s", launch, test_path ("swap.engine"));
  TestElement test = test_infer_new (full, test_small_caps ());
  const char *tables[] = {write_table ("a.table", 1), write_table ("b.table", 0.5)};
  Stream stream = {.h = test.h};
  GThread *thread;

  wait_for_engine (&test, FALSE);
  thread = g_thread_new ("stream", keep_pushing, &stream);
  for (guint i = 0; i < swaps; i++) {
    g_object_set (test.element, "calibration-table", tables[i % 2], NULL);
    wait_for_engine (&test, TRUE);
  }
  g_atomic_int_set (&stream.stop, 1);
  g_thread_join (thread);
  fail_unless (stream.pushed > swaps, "%u frames for %u swaps", stream.pushed, swaps);
  fail_unless_equals_int (gst_harness_buffers_in_queue (test.h), 0);
  test_expect_no_error (test.bus);
  test_element_free (&test);
}

GST_START_TEST (test_many)
{
  swap_while_playing ("int8infer", n_swaps ());
}
GST_END_TEST;

GST_START_TEST (test_many_in_batches)
{
  swap_while_playing ("int8infer batch-size=3 qos=true", n_swaps () / 4);
}
GST_END_TEST;

/* Asked for faster than they can be had: the last one is what remains. */
GST_START_TEST (test_faster_than_built)
{
  const char *tables[] = {write_table ("a.table", 1), write_table ("b.table", 0.5)};
  const Classes expected = classify_with (tables[1], 3);
  TestElement test = test_infer_new ("int8infer", test_small_caps ());
  Stream stream = {.h = test.h};
  GThread *thread = g_thread_new ("stream", keep_pushing, &stream);
  GstBuffer *out;

  for (guint i = 0; i < 200; i++) {
    g_object_set (test.element, "calibration-table", tables[i % 2], NULL);
    g_usleep (i % 7 * 100);
  }
  /* What comes from here on is the last one's, or followed by a message. */
  for (;;) {
    GstStructure *fields = test_wait_message (test.bus, "int8-engine", 1);

    if (!fields)
      break;
    gst_structure_free (fields);
  }
  g_atomic_int_set (&stream.stop, 1);
  g_thread_join (thread);
  out = gst_harness_push_and_pull (test.h, test_small_frame (3));
  test_check_classes (out, &expected);
  gst_buffer_unref (out);
  test_element_free (&test);
}
GST_END_TEST;

/* --- What is in it --------------------------------------------------------------------------- */

GST_START_TEST (test_results_are_the_new_ones)
{
  const char *narrow = write_table ("narrow.table", 0.25);
  const Classes before = classify_with (test_table (), 3), after = classify_with (narrow, 3);
  TestElement test = test_infer_new ("int8infer", test_small_caps ());
  const Classes fp32 = test_expected (ENGINE_PRECISION_FP32, 28, 28, 3, 1);
  GstStructure *fields;
  GstBuffer *out;

  fail_unless (before.confidences[0] != after.confidences[0]);
  fail_unless (classify (&test, 3).confidences[0] == before.confidences[0]);
  wait_for_engine (&test, FALSE);
  g_object_set (test.element, "calibration-table", narrow, NULL);
  wait_for_engine (&test, TRUE); /* no frame is needed for it */
  fail_unless (classify (&test, 3).confidences[0] == after.confidences[0]);

  /* The same path, where another table lies now. */
  write_table ("narrow.table", 1);
  g_object_set (test.element, "calibration-table", narrow, NULL);
  wait_for_engine (&test, TRUE);
  fail_unless (classify (&test, 3).confidences[0] == before.confidences[0]);

  g_object_set (test.element, "precision", ENGINE_PRECISION_FP32, NULL);
  fields = test_wait_message (test.bus, "int8-engine", 20);
  fail_unless_equals_string (gst_structure_get_string (fields, "precision"), "fp32");
  gst_structure_free (fields);
  out = gst_harness_push_and_pull (test.h, test_small_frame (3));
  fail_unless_equals_int (test_result (out).ids[0], fp32.ids[0]);
  fail_unless (ABS (test_result (out).confidences[0] - fp32.confidences[0]) < 1e-5);
  gst_buffer_unref (out);
  test_element_free (&test);
}
GST_END_TEST;

/* One g_object_set() is one network, however much it sets; options are none. */
GST_START_TEST (test_one_set_is_one_engine)
{
  TestElement test = test_infer_new ("int8infer", test_small_caps ());

  wait_for_engine (&test, FALSE);
  g_object_set (test.element, "calibration-table", write_table ("b.table", 0.5), "layer-precision",
      "*:fp32", "ranges", ENGINE_RANGES_SYMMETRIC, "top-k", 1, NULL);
  wait_for_engine (&test, TRUE);
  g_object_set (test.element, "top-k", 3, "threshold", 0.0, "batch-size", 4, NULL);
  fail_unless (test_wait_message (test.bus, "int8-engine", 1) == NULL);
  test_element_free (&test);
}
GST_END_TEST;

GST_START_TEST (test_broken_table)
{
  const char *table = write_table ("c.table", 0.25);
  const Classes before = classify_with (test_table (), 5), after = classify_with (table, 5);
  TestElement test = test_infer_new ("int8infer", test_small_caps ());

  wait_for_engine (&test, FALSE);
  fail_unless (g_file_set_contents (table, "TRT-8601-EntropyCalibration2\nconv1: zz\n", -1, NULL));
  g_object_set (test.element, "calibration-table", table, NULL);
  test_expect_warning (test.bus, "the engine in use goes on", "c.table", NULL);
  fail_unless (classify (&test, 5).confidences[0] == before.confidences[0]);

  g_object_set (test.element, "calibration-table", test_path ("none.table"), NULL);
  test_expect_warning (test.bus, "the engine in use goes on", "none.table", NULL);
  g_object_set (test.element, "calibration-table", NULL, NULL);
  test_expect_warning (test.bus, "the engine in use goes on", "calibration table", NULL);
  fail_unless (classify (&test, 5).confidences[0] == before.confidences[0]);

  write_table ("c.table", 0.25);
  g_object_set (test.element, "calibration-table", table, NULL);
  wait_for_engine (&test, TRUE);
  fail_unless (classify (&test, 5).confidences[0] == after.confidences[0]);
  test_expect_no_error (test.bus);
  test_element_free (&test);
}
GST_END_TEST;

/* --- While it is built ----------------------------------------------------------------------- */

/* An element that plays, and whose second network stands at the gate. */
static TestElement
swap_at_gate (TestGate *gate)
{
  g_autofree char *launch = g_strdup_printf ("int8infer engine=%s", test_path ("gate.engine"));
  TestElement test = test_infer_new (launch, test_small_caps ());

  wait_for_engine (&test, FALSE);
  test_gate_init (gate, test.bus, "engine");
  g_object_set (test.element, "calibration-table", write_table ("g.table", 0.25), NULL);
  test_gate_wait_for_visitor (gate);
  return test;
}

GST_START_TEST (test_frames_flow_meanwhile)
{
  const Classes before = classify_with (test_table (), 7);
  TestGate gate;
  TestElement test = swap_at_gate (&gate);

  for (guint i = 0; i < 20; i++)
    fail_unless (classify (&test, 7).confidences[0] == before.confidences[0]);
  test_gate_open (&gate);
  wait_for_engine (&test, TRUE);
  fail_unless (classify (&test, 7).confidences[0] != before.confidences[0]);
  test_gate_clear (&gate, test.bus);
  test_element_free (&test);
}
GST_END_TEST;

static gpointer
open_later (gpointer gate)
{
  g_usleep (50000);
  test_gate_open (gate);
  return NULL;
}

/* The build that is not wanted any more is given up, and no swap is reported. */
GST_START_TEST (test_stop_meanwhile)
{
  TestGate gate;
  TestElement test = swap_at_gate (&gate);
  gboolean cancelled = FALSE;
  GstMessage *message;
  GThread *thread = g_thread_new ("open", open_later, &gate);

  fail_unless_equals_int (gst_element_set_state (test.element, GST_STATE_READY),
      GST_STATE_CHANGE_SUCCESS);
  g_thread_join (thread);
  test_gate_clear (&gate, test.bus);
  while ((message = gst_bus_pop (test.bus))) {
    GstProgressType type;

    fail_if (GST_MESSAGE_TYPE (message) == GST_MESSAGE_ERROR ||
             GST_MESSAGE_TYPE (message) == GST_MESSAGE_WARNING);
    fail_if (gst_message_has_name (message, "int8-engine"));
    if (GST_MESSAGE_TYPE (message) == GST_MESSAGE_PROGRESS) {
      gst_message_parse_progress (message, &type, NULL, NULL);
      cancelled |= type == GST_PROGRESS_TYPE_CANCELED;
    }
    gst_message_unref (message);
  }
  fail_unless (cancelled);

  fail_unless (gst_element_set_state (test.element, GST_STATE_PLAYING) != GST_STATE_CHANGE_FAILURE);
  wait_for_engine (&test, FALSE);
  test_element_free (&test);
}
GST_END_TEST;

/* A table that is set while the first network is built is what it is built with. */
GST_START_TEST (test_set_before_the_first)
{
  const char *table = write_table ("f.table", 0.25);
  const Classes expected = classify_with (table, 2);
  g_autofree char *launch = g_strdup_printf ("int8infer engine=%s", test_path ("first.engine"));
  TestGate gate;
  TestElement test;
  GstBuffer *out;

  test.element = test_element_new (launch, &test.bus);
  g_object_set (test.element, "model", test_model (), "calibration-table", test_table (), NULL);
  test_gate_init (&gate, test.bus, "engine");
  test.h = gst_harness_new_with_element (test.element, "sink", "src");
  gst_harness_set_src_caps (test.h, test_small_caps ());
  test_gate_wait_for_visitor (&gate);
  g_object_set (test.element, "calibration-table", table, NULL);
  test_gate_open (&gate);
  out = gst_harness_push_and_pull (test.h, test_small_frame (2));
  test_check_classes (out, &expected);
  gst_buffer_unref (out);
  wait_for_engine (&test, FALSE);
  fail_unless (test_wait_message (test.bus, "int8-engine", 1) == NULL);
  test_gate_clear (&gate, test.bus);
  test_element_free (&test);
}
GST_END_TEST;

static Suite *
make_suite (void)
{
  Suite *suite = suite_create ("int8infer swap");
  TCase *tcase = tcase_create ("swap");

  tcase_set_timeout (tcase, 100 + n_swaps ());
  tcase_add_checked_fixture (tcase, test_setup, test_teardown);
  tcase_add_test (tcase, test_many);
  tcase_add_test (tcase, test_many_in_batches);
  tcase_add_test (tcase, test_faster_than_built);
  tcase_add_test (tcase, test_results_are_the_new_ones);
  tcase_add_test (tcase, test_one_set_is_one_engine);
  tcase_add_test (tcase, test_broken_table);
  tcase_add_test (tcase, test_frames_flow_meanwhile);
  tcase_add_test (tcase, test_stop_meanwhile);
  tcase_add_test (tcase, test_set_before_the_first);
  suite_add_tcase (suite, tcase);
  return suite;
}

int
main (int argc, char **argv)
{
  return test_main (argc, argv, "infer-swap", make_suite);
}
