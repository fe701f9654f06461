/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* calib-report.c: int8calib: the page about a calibration, and frames kept for it. */
#include "tests/gst/common.h"

#include <string.h>

/* A calibration of so many frames to its end. */
static void
calibrate (TestCalib *c, int frames)
{
  test_calib_play (c);
  fail_unless_equals_int (test_calib_push (c, 0, frames), GST_FLOW_OK);
  gst_harness_push_event (c->h, gst_event_new_eos ());
  gst_structure_free (test_calib_done (c));
}

static gboolean
page_has (const char *text)
{
  g_autofree char *page = test_contents (test_path ("out.html"));

  return strstr (page, text) != NULL;
}

/* Without frames: the histograms. With some: what INT8 does to them as well. */
GST_START_TEST (test_report)
{
  const gboolean kept = __i__ == 1;
  TestCalib c = test_calib_new (kept ? "int8calib keep-frames=3" : "int8calib method=mse");

  g_object_set (c.element, "table", test_path ("out.table"), "report", test_path ("out.html"),
      NULL);
  calibrate (&c, 6);
  fail_unless (page_has ("<!DOCTYPE html>") && page_has ("</html>"));
  fail_unless (page_has ("class=\"histogram\"") && page_has ("in use"));
  fail_unless_equals_int (page_has ("No frames were compared"), !kept);
  fail_unless_equals_int (page_has (" of 3 frames</strong>"), kept);
  fail_unless_equals_int (page_has ("id=\"layers\""), kept);
  test_calib_free (&c);
}
GST_END_TEST;

/* The same frames are kept, whatever the batch, the sittings and the merging. */
GST_START_TEST (test_kept_frames)
{
  g_autoptr (CalibStatistics) whole = NULL, parts = NULL;
  TestCalib c = test_calib_new ("int8calib keep-frames=4 batch-size=3");

  g_object_set (c.element, "statistics", test_path ("whole.int8stats"), NULL);
  calibrate (&c, 10);
  test_calib_free (&c);

  c = test_calib_new ("int8calib keep-frames=4");
  g_object_set (c.element, "statistics", test_path ("parts.int8stats"), NULL);
  test_calib_play (&c);
  fail_unless_equals_int (test_calib_push (&c, 0, 6), GST_FLOW_OK);
  gst_harness_push_event (c.h, gst_event_new_eos ());
  gst_structure_free (test_calib_done (&c));
  test_calib_free (&c);
  c = test_calib_new ("int8calib"); /* goes on with as many as the file says */
  g_object_set (c.element, "statistics", test_path ("parts.int8stats"), NULL);
  test_calib_play (&c);
  fail_unless_equals_int (test_calib_push (&c, 6, 4), GST_FLOW_OK);
  gst_harness_push_event (c.h, gst_event_new_eos ());
  gst_structure_free (test_calib_done (&c));
  test_calib_free (&c);

  whole = calib_statistics_load (test_path ("whole.int8stats"), NULL);
  parts = calib_statistics_load (test_path ("parts.int8stats"), NULL);
  fail_unless (whole && parts);
  fail_unless_equals_uint64 (calib_statistics_provenance (parts)->frames, 10);
  fail_unless_equals_int (calib_statistics_n_kept (whole), 4);
  fail_unless_equals_int (calib_statistics_n_kept (parts), 4);
  for (guint i = 0; i < 4; i++) {
    gsize n, m;
    const float *x = calib_statistics_kept (whole, i, &n),
                *y = calib_statistics_kept (parts, i, &m);

    fail_unless (n == m && memcmp (x, y, n * sizeof *x) == 0);
  }
}
GST_END_TEST;

/* Before frames are spent. */
GST_START_TEST (test_refused)
{
  TestCalib c = test_calib_new ("int8calib");

  if (__i__ == 0)
    g_object_set (c.element, "table", test_path ("out.table"), "report", "/no/such/folder/r.html",
        NULL);
  else
    g_object_set (c.element, "statistics", test_path ("a.int8stats"), "report",
        test_path ("out.html"), NULL);
  fail_unless_equals_int (gst_element_set_state (c.element, GST_STATE_PAUSED),
      GST_STATE_CHANGE_FAILURE);
  if (__i__ == 0)
    test_expect_error (c.bus, "report=/no/such/folder/r.html", "make the folder", NULL);
  else
    test_expect_error (c.bus, "report is made with the table", "\"table\"", NULL);
  test_calib_free (&c);
}
GST_END_TEST;

static Suite *
make_suite (void)
{
  Suite *suite = suite_create ("int8calib report");
  TCase *tcase = tcase_create ("report");

  tcase_set_timeout (tcase, 60);
  tcase_add_checked_fixture (tcase, test_setup, test_teardown);
  tcase_add_loop_test (tcase, test_report, 0, 2);
  tcase_add_test (tcase, test_kept_frames);
  tcase_add_loop_test (tcase, test_refused, 0, 2);
  suite_add_tcase (suite, tcase);
  return suite;
}

int
main (int argc, char **argv)
{
  return test_main (argc, argv, "calib-report", make_suite);
}
