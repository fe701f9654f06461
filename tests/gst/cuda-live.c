/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * cuda-live.c: what happens to frames that lie on an NVIDIA GPU while a pipeline plays: tables are
 * swapped, a drift guard looks on, frames are calibrated from, and several elements and decoders share
 * the device. Skipped where no device opens.
 */
#include "tests/gst/common-cuda.h"

#define FRAME_DURATION (GST_SECOND / 100)
#define ON_DEVICE      " ! cudaupload ! video/x-raw(memory:CUDAMemory)"

static char *
source (const char *buffers, const char *rest)
{
  return g_strdup_printf ("videotestsrc %s pattern=ball motion=wavy ! "
                          "video/x-raw,format=NV12,width=320,height=240,framerate=100/1%s",
      buffers, rest);
}

static char *
infer (const char *more)
{
  return g_strdup_printf ("model=%s calibration-table=%s backend=cuda %s", test_model (),
      test_table (), more);
}

static GstElement *
launch (const char *buffers, const char *more)
{
  g_autofree char *from = source (buffers, ON_DEVICE), *with = infer (more);
  g_autofree char *text =
      g_strdup_printf ("%s ! int8infer name=infer %s ! fakesink name=end", from, with);

  return test_launch (text);
}

static void
stop (GstElement *pipeline)
{
  gst_element_set_state (pipeline, GST_STATE_NULL);
  gst_object_unref (pipeline);
}

/* --- Swaps ----------------------------------------------------------------------------------- */

#define SWAPS 20

typedef struct {
  guint64 next;
  gboolean gap;
} Order;

static GstPadProbeReturn
check_order (GstPad *pad, GstPadProbeInfo *info, gpointer data)
{
  GstBuffer *buffer = GST_PAD_PROBE_INFO_BUFFER (info);
  Order *order = data;

  order->gap |=
      GST_BUFFER_PTS (buffer) != order->next++ * FRAME_DURATION || test_result (buffer).n == 0;
  return GST_PAD_PROBE_OK;
}

/* Every frame comes, in order and with classes, whatever tables come and go. */
GST_START_TEST (test_swaps)
{
  g_autofree char *copy = g_strdup (test_path ("copy.table"));
  g_autofree char *text = test_contents (test_table ());
  GstElement *pipeline, *element, *end;
  GstPad *pad;
  GstBus *bus;
  Order order = {0};

  if (!test_have ("cudaupload"))
    return;
  fail_unless (g_file_set_contents (copy, text, -1, NULL));
  pipeline = launch ("", "batch-size=3 qos=false");
  element = gst_bin_get_by_name (GST_BIN (pipeline), "infer");
  end = gst_bin_get_by_name (GST_BIN (pipeline), "end");
  pad = gst_element_get_static_pad (end, "sink");
  gst_pad_add_probe (pad, GST_PAD_PROBE_TYPE_BUFFER, check_order, &order, NULL);
  bus = gst_element_get_bus (pipeline);
  gst_element_set_state (pipeline, GST_STATE_PLAYING);
  for (guint i = 0; i <= SWAPS; i++) {
    GstStructure *fields = test_wait_message (bus, "int8-engine", 30);
    gboolean swapped = i == 0;

    fail_unless (fields != NULL, "engine %u did not come", i);
    fail_unless (gst_structure_get_boolean (fields, "swapped", &swapped));
    fail_unless_equals_int (swapped, i > 0);
    gst_structure_free (fields);
    if (i < SWAPS)
      g_object_set (element, "calibration-table", i % 2 ? test_table () : copy, NULL);
  }
  test_expect_no_error (bus);
  gst_element_set_state (pipeline, GST_STATE_NULL);
  fail_unless (!order.gap && order.next > SWAPS, "%" G_GUINT64_FORMAT " frames", order.next);
  gst_object_unref (bus);
  gst_object_unref (pad);
  gst_object_unref (end);
  gst_object_unref (element);
  stop (pipeline);
}
GST_END_TEST;

/* --- The drift guard ------------------------------------------------------------------------- */

/* It examines frames of the device, and what it watches computes what it computed without. */
GST_START_TEST (test_guard)
{
  g_autofree char *from = source ("num-buffers=24", ON_DEVICE), *alone = infer ("");
  GstElement *pipeline, *element;
  TestResults watched = {0}, expected;
  guint64 examined = 0;

  if (!test_have ("cudaupload"))
    return;
  expected = test_run (from, alone);
  for (guint round = 0; round < 50 && examined == 0; round++) {
    GstStructure *stats = NULL;

    watched.n = 0;
    pipeline = launch ("num-buffers=24 is-live=true", "top-k=8 drift-interval=1 drift-window=2");
    element = gst_bin_get_by_name (GST_BIN (pipeline), "infer");
    test_keep_results (pipeline, "end", &watched);
    test_play_to_end (pipeline);
    g_object_get (element, "stats", &stats, NULL);
    if (gst_structure_has_field (stats, "drift-examined"))
      examined = test_field (stats, "drift-examined");
    gst_structure_free (stats);
    gst_object_unref (element);
    stop (pipeline);
    test_compare (&watched, &expected, "with a drift guard");
    fail_unless (watched.on_device);
  }
  fail_unless (examined > 0, "the guard examines nothing");
}
GST_END_TEST;

/* --- Calibration ----------------------------------------------------------------------------- */

static char *
calibrate (const char *rest, const char *name, const char *more)
{
  const char *table = test_path (name);
  g_autofree char *from = source ("num-buffers=24", rest);
  g_autofree char *text =
      g_strdup_printf ("%s ! int8calib model=%s table=%s %s", from, test_model (), table, more);
  GstElement *pipeline = test_launch (text);

  test_play_to_end (pipeline);
  stop (pipeline);
  return test_contents (table);
}

/* Where the network runs, and whether frames are looked at before, makes no difference. */
static const char *const calibrations[] = {"", "scene-change=0.0001", "backend=cpu",
    "backend=cuda batch-size=8 keep-frames=4"};

GST_START_TEST (test_calibration)
{
  const char *more = calibrations[__i__];
  g_autofree char *expected = NULL, *got = NULL;

  if (!test_have ("cudaupload"))
    return;
  expected = calibrate ("", "host.table", more);
  got = calibrate (ON_DEVICE, "device.table", more);
  fail_unless_equals_string (got, expected);
}
GST_END_TEST;

/* --- Several elements ------------------------------------------------------------------------ */

#define ELEMENTS 4

/* Each behind a branch of a tee, with batches of its own. */
GST_START_TEST (test_four_elements)
{
  g_autofree char *from = source ("num-buffers=24", ON_DEVICE), *alone = infer ("");
  GString *text = g_string_new (from);
  TestResults results[ELEMENTS] = {0}, expected;
  GstElement *pipeline;

  if (test_have ("cudaupload")) {
    expected = test_run (from, alone);
    g_string_append (text, " ! tee name=t");
    for (guint i = 0; i < ELEMENTS; i++)
      g_string_append_printf (text,
          " t. ! queue ! int8infer top-k=8 batch-size=%u %s ! fakesink async=false name=end%u",
          1 + 3 * i, alone, i);
    pipeline = test_launch (text->str);
    for (guint i = 0; i < ELEMENTS; i++) {
      g_autofree char *name = g_strdup_printf ("end%u", i);

      test_keep_results (pipeline, name, &results[i]);
    }
    fail_unless_equals_int (test_play_to_end (pipeline), 1); /* one context for all */
    stop (pipeline);
    for (guint i = 0; i < ELEMENTS; i++) {
      g_autofree char *what = g_strdup_printf ("element %u of %u", i, ELEMENTS);

      test_compare (&results[i], &expected, what);
      fail_unless (results[i].on_device);
    }
  }
  g_string_free (text, TRUE);
}
GST_END_TEST;

/* As many decoders, each with an int8infer. */
GST_START_TEST (test_four_decoders)
{
  const char *decoder = test_decoder_name ();
  g_autofree char *alone = infer ("batch-size=4");
  g_autofree char *from = g_strdup_printf (
      "filesrc location=%s/tests/gst/clip.h264 ! h264parse ! %s ! video/x-raw(memory:CUDAMemory)",
      g_getenv ("INT8_SOURCE_DIR"), decoder);
  GString *text = g_string_new (NULL);
  TestResults results[ELEMENTS] = {0}, expected;
  GstElement *pipeline;

  if (test_have (decoder) && test_have ("h264parse")) {
    expected = test_run (from, alone);
    for (guint i = 0; i < ELEMENTS; i++)
      g_string_append_printf (text, "%s ! int8infer top-k=8 %s ! fakesink async=false name=end%u ",
          from, alone, i);
    pipeline = test_launch (text->str);
    for (guint i = 0; i < ELEMENTS; i++) {
      g_autofree char *name = g_strdup_printf ("end%u", i);

      test_keep_results (pipeline, name, &results[i]);
    }
    test_play_to_end (pipeline);
    stop (pipeline);
    for (guint i = 0; i < ELEMENTS; i++) {
      g_autofree char *what = g_strdup_printf ("decoder %u of %u", i, ELEMENTS);

      test_compare (&results[i], &expected, what);
      fail_unless (results[i].on_device);
    }
  }
  g_string_free (text, TRUE);
}
GST_END_TEST;

static Suite *
make_suite (void)
{
  Suite *suite = suite_create ("cuda, while it plays");
  TCase *tcase = tcase_create ("live");

  tcase_set_timeout (tcase, 120);
  tcase_add_checked_fixture (tcase, test_setup, test_teardown);
  tcase_add_test (tcase, test_swaps);
  tcase_add_test (tcase, test_guard);
  tcase_add_loop_test (tcase, test_calibration, 0, G_N_ELEMENTS (calibrations));
  tcase_add_test (tcase, test_four_elements);
  tcase_add_test (tcase, test_four_decoders);
  suite_add_tcase (suite, tcase);
  return suite;
}

int
main (int argc, char **argv)
{
  return test_device_opens () ? test_main (argc, argv, "cuda-live", make_suite) : 77;
}
