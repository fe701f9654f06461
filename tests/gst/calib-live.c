/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* calib-live.c: int8calib: stopping by itself, which frames it takes and what it says of them, objects. */
#include "tests/gst/common.h"

#include <glib/gstdio.h>
#include <string.h>

static const char *
text_field (const GstStructure *fields, const char *name)
{
  const char *text = gst_structure_get_string (fields, name);

  fail_unless (text != NULL, "no field %s", name);
  return text;
}

static double
number_field (const GstStructure *fields, const char *name)
{
  double x = 0;

  fail_unless (gst_structure_get_double (fields, name, &x), "no field %s", name);
  return x;
}

/* --- Stopping by itself ---------------------------------------------------------------------- */

/* Of a scene that repeats every 17 frames, so that all parts see all of it; returns how many were taken. */
static guint
push_until_late (TestCalib *c, guint most)
{
  for (guint i = 0; i < most; i++) {
    GstStructure *stats = NULL;
    guint64 late;

    fail_unless_equals_int (gst_harness_push (c->h, test_small_frame (i % 17)), GST_FLOW_OK);
    g_object_get (c->element, "calib-stats", &stats, NULL);
    late = test_field (stats, "late");
    gst_structure_free (stats);
    if (late)
      return i;
  }
  return most;
}

static void
wait_for_info (GstBus *bus, const char *expected)
{
  GstMessage *message = test_pop (bus, GST_MESSAGE_INFO, 30);
  g_autoptr (GError) said = NULL;

  fail_unless (message != NULL, "nothing was said");
  gst_message_parse_info (message, &said, NULL);
  fail_unless (strstr (said->message, expected) != NULL, "%s", said->message);
  gst_message_unref (message);
}

/* What is written is the same as without auto-stop and with that many frames. */
GST_START_TEST (test_auto_stop)
{
  const guint batch = __i__ == 0 ? 1 : 4;
  g_autofree char *a = NULL, *b = NULL, *expected = NULL, *got = NULL;
  gsize a_size, b_size;
  gboolean converged = FALSE;
  guint64 frames;
  GstStructure *done;
  TestCalib c = test_calib_new ("int8calib auto-stop=true max-frames=2000 checkpoint-interval=20 "
                                "method=percentile");

  g_object_set (c.element, "table", test_path ("a.table"), "statistics", test_path ("a.int8stats"),
      "batch-size", batch, NULL);
  test_calib_play (&c);
  fail_unless (push_until_late (&c, 2000) < 2000);
  wait_for_info (c.bus, "converged after");
  done = test_calib_done (&c);
  frames = test_field (done, "frames");
  fail_unless_equals_string (text_field (done, "reason"), "converged");
  fail_unless (gst_structure_get_boolean (done, "converged", &converged) && converged);
  fail_unless (number_field (done, "largest-change") < 0.02);
  fail_unless (number_field (done, "jackknife") < 0.02);
  fail_unless_equals_uint64 (test_field (done, "taken"), frames);
  gst_structure_free (done);
  test_calib_free (&c);
  fail_unless (frames >= 91 && frames < 2000);

  c = test_calib_new ("int8calib method=percentile");
  g_object_set (c.element, "table", test_path ("b.table"), "statistics", test_path ("b.int8stats"),
      "max-frames", (guint) frames, NULL);
  test_calib_play (&c);
  push_until_late (&c, (guint) frames + 1);
  gst_structure_free (test_calib_done (&c));
  test_calib_free (&c);
  fail_unless (g_file_get_contents (test_path ("a.int8stats"), &a, &a_size, NULL));
  fail_unless (g_file_get_contents (test_path ("b.int8stats"), &b, &b_size, NULL));
  fail_unless (a_size == b_size && memcmp (a, b, a_size) == 0);
  expected = test_contents (test_path ("b.table"));
  got = test_contents (test_path ("a.table"));
  fail_unless_equals_string (got, expected);
}
GST_END_TEST;

/* Too few frames, or frames that differ too much: the table is made, and a warning says what moved. */
GST_START_TEST (test_not_converged)
{
  static const struct {
    const char *launch, *text;
    guint frames;
  } cases[] = {
      {"int8calib auto-stop=true method=minmax max-frames=40", "the first check is at 64 frames",
          40},
      {"int8calib auto-stop=true method=minmax max-frames=70", "did not stand still", 70},
  };
  TestCalib c = test_calib_new (cases[__i__].launch);
  GstStructure *done;

  g_object_set (c.element, "table", test_path ("out.table"), NULL);
  test_calib_play (&c);
  for (guint i = 0; i < cases[__i__].frames; i++) {
    GstBuffer *buffer = test_small_frame (i);
    GstMapInfo map;

    /* it becomes brighter and brighter */
    fail_unless (gst_buffer_map (buffer, &map, GST_MAP_READWRITE));
    for (gsize k = 0; k < map.size; k++)
      map.data[k] = (guint8) (map.data[k] * (i + 1) / 80);
    gst_buffer_unmap (buffer, &map);
    fail_unless_equals_int (gst_harness_push (c.h, buffer), GST_FLOW_OK);
  }
  test_expect_warning (c.bus, "not converged after", cases[__i__].text, "max-frames", NULL);
  done = test_calib_done (&c);
  fail_unless_equals_string (text_field (done, "reason"), "max-frames");
  fail_unless (g_file_test (test_path ("out.table"), G_FILE_TEST_EXISTS));
  gst_structure_free (done);
  test_calib_free (&c);
}
GST_END_TEST;

/* The rule looks at new frames; what is written holds the old ones too, also when it is stopped. */
GST_START_TEST (test_auto_stop_continues)
{
  g_autofree char *expected = test_expected_table (0, 9, CALIB_METHOD_MSE, 1), *got = NULL;
  TestCalib c = test_calib_new ("int8calib auto-stop=true method=mse");

  g_object_set (c.element, "statistics", test_path ("s.int8stats"), "table",
      test_path ("out.table"), NULL);
  test_calib_play (&c);
  fail_unless_equals_int (test_calib_push (&c, 0, 4), GST_FLOW_OK);
  gst_element_set_state (c.element, GST_STATE_READY); /* a checkpoint of however many are done */
  {
    g_autoptr (CalibStatistics) s = calib_statistics_load (test_path ("s.int8stats"), NULL);
    const guint done = s ? (guint) calib_statistics_provenance (s)->frames : 0;

    gst_harness_play (c.h);
    gst_harness_set_src_caps (c.h, test_small_caps ());
    fail_unless_equals_int (test_calib_push (&c, done, 9 - done), GST_FLOW_OK);
  }
  gst_harness_push_event (c.h, gst_event_new_eos ());
  gst_structure_free (test_calib_done (&c));
  got = test_contents (test_path ("out.table"));
  fail_unless_equals_string (got, expected);
  test_calib_free (&c);
}
GST_END_TEST;

GST_START_TEST (test_auto_stop_needs_parts)
{
  TestCalib c = test_calib_new ("int8calib auto-stop=true method=entropy2-trt");

  g_object_set (c.element, "table", test_path ("out.table"), NULL);
  fail_unless_equals_int (gst_element_set_state (c.element, GST_STATE_PAUSED),
      GST_STATE_CHANGE_FAILURE);
  test_expect_error (c.bus, "auto-stop", "entropy2-trt", NULL);
  test_calib_free (&c);
}
GST_END_TEST;

/* --- Which frames ---------------------------------------------------------------------------- */

/* Seeds of a stream that stands still, changes, stands still. */
GST_START_TEST (test_scene_change)
{
  static const guint seeds[] = {1, 1, 1, 2, 2, 1, 3, 3, 3, 3};
  TestCalib c = test_calib_new ("int8calib method=minmax scene-change=0.01 max-frames=0");
  GstStructure *done;

  g_object_set (c.element, "table", test_path ("out.table"), NULL);
  test_calib_play (&c);
  for (guint i = 0; i < G_N_ELEMENTS (seeds); i++)
    fail_unless_equals_int (gst_harness_push (c.h, test_small_frame (seeds[i])), GST_FLOW_OK);
  gst_harness_push_event (c.h, gst_event_new_eos ());
  done = test_calib_done (&c);
  fail_unless_equals_uint64 (test_field (done, "frames"), 4);
  fail_unless_equals_uint64 (test_field (done, "seen"), 10);
  fail_unless_equals_uint64 (test_field (done, "taken"), 4);
  fail_unless_equals_uint64 (test_field (done, "skipped-similar"), 6);
  fail_unless_equals_string (text_field (done, "reason"), "eos");
  gst_structure_free (done);
  test_calib_free (&c);
}
GST_END_TEST;

/* Every frame that came is told of once, and why. */
GST_START_TEST (test_counts)
{
  TestCalib c =
      test_calib_new ("int8calib method=minmax interval=2 scene-change=0.001 max-frames=5");
  GstStructure *done, *stats = NULL;
  guint64 sum;

  g_object_set (c.element, "table", test_path ("out.table"), "min-gap",
      3 * (guint64) TEST_FRAME_DURATION, NULL);
  test_calib_play (&c);
  for (guint i = 0; i < 60; i++) {
    GstBuffer *buffer = test_small_frame (i / 12); /* each picture twelve times */

    GST_BUFFER_PTS (buffer) = i * TEST_FRAME_DURATION;
    fail_unless_equals_int (gst_harness_push (c.h, buffer), GST_FLOW_OK);
  }
  done = test_calib_done (&c);
  gst_structure_free (done);
  g_object_get (c.element, "calib-stats", &stats, NULL);
  sum = test_field (stats, "taken") + test_field (stats, "skipped-interval") +
        test_field (stats, "skipped-gap") + test_field (stats, "skipped-similar") +
        test_field (stats, "skipped-empty") + test_field (stats, "dropped") +
        test_field (stats, "late");
  fail_unless_equals_uint64 (test_field (stats, "seen"), 60);
  fail_unless_equals_uint64 (sum, 60);
  fail_unless_equals_uint64 (test_field (stats, "taken"), 5);
  fail_unless_equals_uint64 (test_field (stats, "skipped-interval"), 30);
  fail_unless (test_field (stats, "skipped-gap") > 0);
  fail_unless (test_field (stats, "skipped-similar") > 0);
  gst_structure_free (stats);
  test_calib_free (&c);
}
GST_END_TEST;

/* Places without a frame are counted, and are no error. */
GST_START_TEST (test_gaps)
{
  TestCalib c = test_calib_new ("int8calib method=minmax max-frames=4");
  GstStructure *done, *stats = NULL;

  g_object_set (c.element, "table", test_path ("out.table"), NULL);
  test_calib_play (&c);
  for (guint i = 0; i < 8; i++) {
    GstBuffer *buffer = i % 2 ? test_small_frame (i) : gst_buffer_new ();

    if (i % 2 == 0)
      GST_BUFFER_FLAG_SET (buffer, GST_BUFFER_FLAG_GAP);
    fail_unless_equals_int (gst_harness_push (c.h, buffer), GST_FLOW_OK);
  }
  done = test_calib_done (&c);
  gst_structure_free (done);
  g_object_get (c.element, "calib-stats", &stats, NULL);
  fail_unless_equals_uint64 (test_field (stats, "seen"), 8);
  fail_unless_equals_uint64 (test_field (stats, "taken"), 4);
  fail_unless_equals_uint64 (test_field (stats, "skipped-empty"), 4);
  gst_structure_free (stats);
  test_calib_free (&c);
}
GST_END_TEST;

/* The same frame again and again is one; different ones are many. */
GST_START_TEST (test_effective_frames)
{
  const gboolean same = __i__ == 0;
  TestCalib c = test_calib_new ("int8calib method=minmax max-frames=0");
  GstStructure *done;
  double effective;

  g_object_set (c.element, "table", test_path ("out.table"), NULL);
  test_calib_play (&c);
  for (guint i = 0; i < 40; i++)
    fail_unless_equals_int (gst_harness_push (c.h, test_small_frame (same ? 3 : i * 7919 % 1009)),
        GST_FLOW_OK);
  gst_harness_push_event (c.h, gst_event_new_eos ());
  done = test_calib_done (&c);
  effective = number_field (done, "effective-frames");
  if (same)
    fail_unless (effective == 1, "%g", effective);
  else
    fail_unless (effective > 15 && effective <= 40, "%g", effective);
  gst_structure_free (done);
  test_calib_free (&c);
}
GST_END_TEST;

/* A camera of 1000 frames a second, and a network that takes longer: it does not wait. */
GST_START_TEST (test_faster_than_the_worker)
{
  g_autofree char *launch = g_strdup_printf (
      "videotestsrc is-live=true num-buffers=400 pattern=snow ! "
      "video/x-raw,format=GRAY8,width=320,height=240,framerate=1000/1 ! "
      "int8calib name=calib backend=ref threads=1 method=minmax max-frames=0 auto-stop=true model=%s table=%s",
      test_model (), test_path ("out.table"));
  GstElement *pipeline = gst_parse_launch (launch, NULL);
  GstBus *bus = gst_element_get_bus (pipeline);
  const gint64 begin = g_get_monotonic_time ();
  GstStructure *done;
  guint64 seen;

  gst_element_set_state (pipeline, GST_STATE_PLAYING);
  done = test_wait_message (bus, "int8-calibration-done", 60);
  fail_unless (done != NULL);
  seen = test_field (done, "seen");
  fail_unless_equals_uint64 (seen, 400);
  fail_unless (test_field (done, "dropped") > 0);
  fail_unless_equals_uint64 (test_field (done, "taken") + test_field (done, "dropped"), 400);
  fail_unless_equals_uint64 (test_field (done, "taken"), test_field (done, "frames"));
  GST_INFO ("%.1f s, %" GST_PTR_FORMAT, (double) (g_get_monotonic_time () - begin) * 1e-6, done);
  gst_structure_free (done);
  gst_element_set_state (pipeline, GST_STATE_NULL);
  gst_object_unref (bus);
  gst_object_unref (pipeline);
}
GST_END_TEST;

/* --- Objects --------------------------------------------------------------------------------- */

#define WIDTH  120
#define HEIGHT 90

static void
add_object (GstBuffer *buffer, const char *class, guint x, guint y, guint width, guint height)
{
  fail_unless (gst_buffer_add_video_region_of_interest_meta (buffer, class, x, y, width, height));
}

/* A frame with two cars, a person, a car that is too small, and one that is outside but for 28 pixels. */
static GstBuffer *
frame_with_objects (guint seed)
{
  GstBuffer *buffer = test_frame (GST_VIDEO_FORMAT_GRAY8, WIDTH, HEIGHT, seed);

  add_object (buffer, "car", 5, 7, 28, 28);
  add_object (buffer, "person", 50, 20, 28, 28);
  add_object (buffer, "car", 0, 50, 10, 10);
  add_object (buffer, "car", WIDTH - 28, HEIGHT - 28, 300, 100);
  add_object (buffer, "car", WIDTH + 10, 3, 28, 28);
  return buffer;
}

/* The part of a frame as a frame of its own. */
static GstBuffer *
cut_out (guint seed, guint x, guint y)
{
  g_autoptr (GstBuffer) frame = test_frame (GST_VIDEO_FORMAT_GRAY8, WIDTH, HEIGHT, seed);
  GstBuffer *part = gst_buffer_new_allocate (NULL, 28 * 28, NULL);
  GstMapInfo map;

  fail_unless (gst_buffer_map (frame, &map, GST_MAP_READ));
  for (guint row = 0; row < 28; row++)
    gst_buffer_fill (part, row * 28, map.data + (y + row) * GST_ROUND_UP_4 (WIDTH) + x, 28);
  gst_buffer_unmap (frame, &map);
  return part;
}

/* The error tells what came, and what to look at. */
GST_START_TEST (test_no_object)
{
  TestCalib c = test_calib_new ("int8calib process-mode=objects");

  g_object_set (c.element, "table", test_path ("none.table"), NULL);
  test_calib_play (&c);
  fail_unless_equals_int (test_calib_push (&c, 0, 3), GST_FLOW_OK);
  gst_harness_push_event (c.h, gst_event_new_eos ());
  test_expect_error (c.bus, "3 frames came and none was taken; skipped 3 (3 without an object)",
      "none.table was not written. process-mode=objects takes what a detector", NULL);
  test_calib_free (&c);
}
GST_END_TEST;

GST_START_TEST (test_objects)
{
  static const struct {
    const char *launch;
    gboolean persons;
  } cases[] = {
      {"int8calib method=mse process-mode=objects object-min-width=20 object-min-height=20", TRUE},
      {"int8calib method=mse process-mode=objects object-class=truck;car object-min-width=11",
          FALSE},
  };
  const gboolean persons = cases[__i__].persons;
  g_autofree char *expected = NULL, *got = NULL;
  GstStructure *done;
  TestCalib c = test_calib_new (cases[__i__].launch);

  g_object_set (c.element, "table", test_path ("objects.table"), NULL);
  test_calib_play (&c);
  gst_harness_set_src_caps (c.h, test_caps (GST_VIDEO_FORMAT_GRAY8, WIDTH, HEIGHT));
  for (guint i = 0; i < 6; i++)
    fail_unless_equals_int (gst_harness_push (c.h, frame_with_objects (i)), GST_FLOW_OK);
  fail_unless_equals_int (
      gst_harness_push (c.h, test_frame (GST_VIDEO_FORMAT_GRAY8, WIDTH, HEIGHT, 7)), GST_FLOW_OK);
  gst_harness_push_event (c.h, gst_event_new_eos ());
  done = test_calib_done (&c);
  fail_unless_equals_uint64 (test_field (done, "frames"), persons ? 18 : 12);
  fail_unless_equals_uint64 (test_field (done, "seen"), 7);
  fail_unless_equals_uint64 (test_field (done, "skipped-empty"), 1);
  gst_structure_free (done);
  test_calib_free (&c);

  c = test_calib_new ("int8calib method=mse");
  g_object_set (c.element, "table", test_path ("parts.table"), NULL);
  test_calib_play (&c);
  for (guint i = 0; i < 6; i++) {
    fail_unless_equals_int (gst_harness_push (c.h, cut_out (i, 5, 7)), GST_FLOW_OK);
    if (persons)
      fail_unless_equals_int (gst_harness_push (c.h, cut_out (i, 50, 20)), GST_FLOW_OK);
    fail_unless_equals_int (gst_harness_push (c.h, cut_out (i, WIDTH - 28, HEIGHT - 28)),
        GST_FLOW_OK);
  }
  gst_harness_push_event (c.h, gst_event_new_eos ());
  gst_structure_free (test_calib_done (&c));
  test_calib_free (&c);
  expected = test_contents (test_path ("parts.table"));
  got = test_contents (test_path ("objects.table"));
  fail_unless_equals_string (got, expected);
}
GST_END_TEST;

/* The scene is the whole frame's; max-frames counts objects. */
GST_START_TEST (test_objects_and_scenes)
{
  TestCalib c = test_calib_new (
      "int8calib method=minmax process-mode=objects scene-change=0.001 max-frames=5 "
      "object-min-width=20 eos-when-done=true");
  GstStructure *done;

  g_object_set (c.element, "table", test_path ("out.table"), NULL);
  test_calib_play (&c);
  gst_harness_set_src_caps (c.h, test_caps (GST_VIDEO_FORMAT_GRAY8, WIDTH, HEIGHT));
  fail_unless_equals_int (gst_harness_push (c.h, frame_with_objects (1)), GST_FLOW_OK);
  fail_unless_equals_int (gst_harness_push (c.h, frame_with_objects (1)), GST_FLOW_OK);
  fail_unless_equals_int (gst_harness_push (c.h, frame_with_objects (2)), GST_FLOW_EOS);
  done = test_calib_done (&c);
  fail_unless_equals_uint64 (test_field (done, "frames"), 5);
  fail_unless_equals_uint64 (test_field (done, "taken"), 5);
  fail_unless_equals_uint64 (test_field (done, "skipped-similar"), 1);
  fail_unless_equals_uint64 (test_field (done, "late"), 1);
  gst_structure_free (done);
  test_calib_free (&c);
}
GST_END_TEST;

static Suite *
make_suite (void)
{
  Suite *suite = suite_create ("int8calib live");
  TCase *tcase = tcase_create ("calibration");

  tcase_set_timeout (tcase, 60);
  tcase_add_checked_fixture (tcase, test_setup, test_teardown);
  tcase_add_loop_test (tcase, test_auto_stop, 0, 2);
  tcase_add_loop_test (tcase, test_not_converged, 0, 2);
  tcase_add_test (tcase, test_auto_stop_continues);
  tcase_add_test (tcase, test_auto_stop_needs_parts);
  tcase_add_test (tcase, test_scene_change);
  tcase_add_test (tcase, test_counts);
  tcase_add_test (tcase, test_gaps);
  tcase_add_loop_test (tcase, test_effective_frames, 0, 2);
  tcase_add_test (tcase, test_faster_than_the_worker);
  tcase_add_loop_test (tcase, test_objects, 0, 2);
  tcase_add_test (tcase, test_no_object);
  tcase_add_test (tcase, test_objects_and_scenes);
  suite_add_tcase (suite, tcase);
  return suite;
}

int
main (int argc, char **argv)
{
  return test_main (argc, argv, "calib-live", make_suite);
}
