/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* infer-drift.c: the drift guard of int8infer: what it says of frames it was calibrated for, and of others. */
#include "tests/gst/common.h"

#include <string.h>

#define CALIBRATED 32 /* frames */

/* --- Frames of two cameras ------------------------------------------------------------------- */

/* The picture of a seed with every pixel divided. */
static GstBuffer *
dimmed_frame (guint seed, guint divisor)
{
  GstBuffer *buffer = gst_buffer_make_writable (test_small_frame (seed));
  GstMapInfo map;

  fail_unless (gst_buffer_map (buffer, &map, GST_MAP_READWRITE));
  for (gsize i = 0; i < map.size; i++)
    map.data[i] = (guint8) (map.data[i] / divisor);
  gst_buffer_unmap (buffer, &map);
  return buffer;
}

/* The table of a camera in the dark. */
static const char *
dark_table (void)
{
  const char *path = test_path ("dark.table");
  g_autofree char *launch = g_strdup_printf ("int8calib method=minmax table=%s", path);
  TestCalib c = test_calib_new (launch);
  GstStructure *done;

  test_calib_play (&c);
  for (guint i = 0; i < CALIBRATED; i++)
    fail_unless_equals_int (gst_harness_push (c.h, dimmed_frame (i, 5)), GST_FLOW_OK);
  fail_unless (gst_harness_push_event (c.h, gst_event_new_eos ()));
  done = test_calib_done (&c);
  gst_structure_free (done);
  test_calib_free (&c);
  return path;
}

/* --- The guard ------------------------------------------------------------------------------- */

static gboolean
has_field (TestElement *test, const char *name)
{
  GstStructure *stats = NULL;
  gboolean has;

  g_object_get (test->element, "stats", &stats, NULL);
  has = gst_structure_has_field (stats, name);
  gst_structure_free (stats);
  return has;
}

static TestElement
play (const char *options)
{
  g_autofree char *launch = g_strdup_printf ("int8infer model=%s calibration-table=%s %s",
      test_model (), dark_table (), options);

  return test_infer_new (launch, test_small_caps ());
}

/* With the network in place. */
static TestElement
infer (const char *options)
{
  TestElement test = play (options);

  gst_structure_free (test_wait_message (test.bus, "int8-engine", 20));
  while (!has_field (&test, "drift-examined"))
    g_usleep (1000);
  return test;
}

static guint64
stat (TestElement *test, const char *name)
{
  GstStructure *stats = NULL;
  guint64 n;

  g_object_get (test->element, "stats", &stats, NULL);
  n = test_field (stats, name);
  gst_structure_free (stats);
  return n;
}

static void
push (TestElement *test, guint seed, guint divisor)
{
  GstBuffer *out = gst_harness_push_and_pull (test->h, dimmed_frame (seed, divisor));

  fail_unless_equals_int (test_result (out).n, 1);
  gst_buffer_unref (out);
}

/* Shows frames until so many more have been examined, and nothing is being. For drift-interval=1. */
static void
show (TestElement *test, guint frames, guint divisor)
{
  const guint64 end = stat (test, "drift-examined") + frames;
  const gint64 deadline = g_get_monotonic_time () + 100 * G_TIME_SPAN_SECOND;
  guint seed = 0;

  while (stat (test, "drift-examined") < end) {
    const guint64 done = stat (test, "drift-examined") + stat (test, "drift-missed");

    push (test, seed++ % CALIBRATED, divisor);
    while (stat (test, "drift-examined") + stat (test, "drift-missed") == done) {
      fail_unless (g_get_monotonic_time () < deadline, "the guard examines nothing");
      g_usleep (200);
    }
  }
}

/* All messages of a name that are on the bus; the fields of the first, or NULL. */
static GstStructure *
take_messages (TestElement *test, const char *name, guint *n)
{
  GstStructure *first = NULL;
  GstMessage *message;

  *n = 0;
  while ((message = gst_bus_pop (test->bus))) {
    fail_if (GST_MESSAGE_TYPE (message) == GST_MESSAGE_ERROR ||
             GST_MESSAGE_TYPE (message) == GST_MESSAGE_WARNING);
    if (gst_message_has_name (message, name) && (*n)++ == 0)
      first = gst_structure_copy (gst_message_get_structure (message));
    gst_message_unref (message);
  }
  return first;
}

static double
number (const GstStructure *fields, const char *name)
{
  double x;

  fail_unless (gst_structure_get_double (fields, name, &x), "no field %s", name);
  return x;
}

static double
element_of (const GstStructure *fields, const char *name, guint at)
{
  const GValue *array = gst_structure_get_value (fields, name);

  fail_unless (array && gst_value_array_get_size (array) > at, "no field %s", name);
  return g_value_get_double (gst_value_array_get_value (array, at));
}

/* --- Tests ----------------------------------------------------------------------------------- */

GST_START_TEST (test_calibrated_frames)
{
  TestElement test = infer ("drift-interval=1 drift-window=8");
  GstStructure *stats = NULL;
  guint n;

  show (&test, CALIBRATED, 5);
  fail_unless (take_messages (&test, "int8-drift", &n) == NULL);
  g_object_get (test.element, "stats", &stats, NULL);
  fail_unless (number (stats, "drift-agreement") >= 0.75);
  fail_unless (number (stats, "drift-logit-sqnr") > 15);
  fail_unless (number (stats, "drift-clip") < 0.01);
  fail_unless (gst_structure_has_field (stats, "drift-tensor"));
  gst_structure_free (stats);
  test_element_free (&test);
}
GST_END_TEST;

/* Somebody has switched on the light. */
GST_START_TEST (test_brighter_frames)
{
  TestElement test = infer ("drift-interval=1 drift-window=8");
  GstStructure *fields;
  guint n;

  show (&test, 8, 5);
  fail_unless (take_messages (&test, "int8-drift", &n) == NULL);
  show (&test, 24, 1);
  fields = take_messages (&test, "int8-drift", &n);
  fail_unless (fields != NULL, "no drift");
  /* One a window, of which the first begins before the whole window is bright. */
  fail_unless (n >= 2 && n <= 4, "%u messages", n);
  fail_unless (strstr (gst_structure_get_string (fields, "reason"), "clipping") != NULL);
  fail_unless (strstr (gst_structure_get_string (fields, "text"), "int8calib") != NULL);
  fail_unless (test_field (fields, "examined") > 8 && test_field (fields, "examined") <= 16);
  fail_unless (number (fields, "agreement") >= 0 && number (fields, "agreement") <= 1);
  fail_unless (element_of (fields, "clipped", 0) > 0.02);
  fail_unless (element_of (fields, "clipped", 0) >= element_of (fields, "clipped", 1));
  fail_unless (element_of (fields, "largest", 0) > element_of (fields, "range-max", 0));
  gst_structure_free (fields);

  /* A table for these frames ends it. */
  g_object_set (test.element, "calibration-table", test_table (), NULL);
  fields = test_wait_message (test.bus, "int8-engine", 20);
  fail_unless (fields != NULL);
  gst_structure_free (fields);
  show (&test, 24, 1);
  fail_unless (take_messages (&test, "int8-drift", &n) == NULL);
  test_element_free (&test);
}
GST_END_TEST;

/* Limits that nothing exceeds. */
GST_START_TEST (test_never)
{
  TestElement test = infer ("drift-interval=1 drift-window=4 drift-clip=1 drift-agreement=0");
  guint n;

  show (&test, 12, 1);
  fail_unless (take_messages (&test, "int8-drift", &n) == NULL);
  test_element_free (&test);
}
GST_END_TEST;

GST_START_TEST (test_interval)
{
  TestElement test = infer ("drift-interval=5 batch-size=2");

  for (guint i = 0; i < 24; i++)
    push (&test, i, 5);
  fail_unless (stat (&test, "drift-examined") + stat (&test, "drift-missed") <= 4);
  push (&test, 24, 5); /* the 25th: the 20th has been counted, or is being examined */
  while (stat (&test, "drift-examined") + stat (&test, "drift-missed") < 5)
    g_usleep (1000);
  fail_unless_equals_int (stat (&test, "drift-examined") + stat (&test, "drift-missed"), 5);

  g_object_set (test.element, "drift-interval", 0, NULL);
  gst_structure_free (test_wait_message (test.bus, "int8-engine", 20));
  push (&test, 0, 5);
  fail_if (has_field (&test, "drift-examined"));
  test_element_free (&test);
}
GST_END_TEST;

GST_START_TEST (test_not_for_floats)
{
  TestElement test = play ("drift-interval=1 precision=fp32");

  test_expect_warning (test.bus, "drift-interval", "fp32", NULL);
  push (&test, 0, 5);
  test_element_free (&test);
}
GST_END_TEST;

/* While frames are examined, networks come and go, and the element stops without waiting. */
GST_START_TEST (test_swaps_and_stops)
{
  TestElement test = infer ("drift-interval=1 drift-window=4");

  for (guint i = 0; i < 30; i++) {
    GstStructure *fields;

    push (&test, i, 1);
    push (&test, i, 5);
    g_object_set (test.element, "calibration-table", i % 2 ? dark_table () : test_table (), NULL);
    if (i % 3 == 0) {
      fields = test_wait_message (test.bus, "int8-engine", 20);
      fail_unless (fields != NULL);
      gst_structure_free (fields);
    }
    if (i % 5 == 4) {
      fail_unless_equals_int (gst_element_set_state (test.element, GST_STATE_READY),
          GST_STATE_CHANGE_SUCCESS);
      fail_unless (
          gst_element_set_state (test.element, GST_STATE_PLAYING) != GST_STATE_CHANGE_FAILURE);
      gst_harness_set_src_caps (test.h, test_small_caps ());
    }
  }
  push (&test, 0, 5); /* the network is there */
  show (&test, 4, 5);
  g_usleep (100000); /* guards that were stopped let go of the element */
  test_expect_no_error (test.bus);
  test_element_free (&test);
}
GST_END_TEST;

static Suite *
make_suite (void)
{
  Suite *suite = suite_create ("int8infer drift");
  TCase *tcase = tcase_create ("drift");

  tcase_set_timeout (tcase, 110);
  tcase_add_checked_fixture (tcase, test_setup, test_teardown);
  tcase_add_test (tcase, test_calibrated_frames);
  tcase_add_test (tcase, test_brighter_frames);
  tcase_add_test (tcase, test_never);
  tcase_add_test (tcase, test_interval);
  tcase_add_test (tcase, test_not_for_floats);
  tcase_add_test (tcase, test_swaps_and_stops);
  suite_add_tcase (suite, tcase);
  return suite;
}

int
main (int argc, char **argv)
{
  return test_main (argc, argv, "infer-drift", make_suite);
}
