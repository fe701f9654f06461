/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* infer-queries.c: int8infer between its neighbours: queries, what downstream returns, links. */
#include "tests/gst/common.h"

#include <string.h>

static GstPadProbeReturn
answer_latency (GstPad *pad, GstPadProbeInfo *info, gpointer data)
{
  GstQuery *query = GST_PAD_PROBE_INFO_QUERY (info);
  const GstClockTime *max = data;

  if (GST_QUERY_TYPE (query) != GST_QUERY_LATENCY)
    return GST_PAD_PROBE_OK;
  gst_query_set_latency (query, TRUE, 30 * GST_MSECOND, *max);
  return GST_PAD_PROBE_HANDLED;
}

/* Nothing is added to the least latency; the greatest grows by what the queue can hold. */
GST_START_TEST (test_latency)
{
  TestElement test =
      test_infer_new (__i__ ? "int8infer batch-size=7" : "int8infer", test_small_caps ());
  const GstClockTime held = (__i__ ? 8 : 2) * TEST_FRAME_DURATION;
  GstClockTime upstream_max = 50 * GST_MSECOND, min, max;
  GstQuery *query = gst_query_new_latency ();
  gboolean live;

  gst_pad_add_probe (test.h->srcpad, GST_PAD_PROBE_TYPE_QUERY_UPSTREAM, answer_latency,
      &upstream_max, NULL);
  fail_unless (gst_pad_peer_query (test.h->sinkpad, query));
  gst_query_parse_latency (query, &live, &min, &max);
  fail_unless (live);
  fail_unless_equals_uint64 (min, 30 * GST_MSECOND);
  fail_unless_equals_uint64 (max, 50 * GST_MSECOND + held);

  upstream_max = GST_CLOCK_TIME_NONE;
  fail_unless (gst_pad_peer_query (test.h->sinkpad, query));
  gst_query_parse_latency (query, NULL, &min, &max);
  fail_unless_equals_uint64 (min, 30 * GST_MSECOND);
  fail_unless_equals_uint64 (max, GST_CLOCK_TIME_NONE);
  gst_query_unref (query);
  test_element_free (&test);
}
GST_END_TEST;

static GstPadProbeReturn
answer_allocation (GstPad *pad, GstPadProbeInfo *info, gpointer data)
{
  GstQuery *query = GST_PAD_PROBE_INFO_QUERY (info);

  if (GST_QUERY_TYPE (query) != GST_QUERY_ALLOCATION)
    return GST_PAD_PROBE_OK;
  gst_query_add_allocation_pool (query, NULL, 784, 2, 5);
  gst_query_add_allocation_meta (query, GST_VIDEO_META_API_TYPE, NULL);
  return GST_PAD_PROBE_HANDLED;
}

/* Downstream's answer, with the buffers added that the element holds; and an answer where
 * downstream has none. */
GST_START_TEST (test_allocation)
{
  TestElement test = test_infer_new (
      __i__ ? "int8infer batch-size=4 backend=cpu" : "int8infer backend=cpu", test_small_caps ());
  const guint held = __i__ ? 5 + 4 : 2 + 1; /* queued, and in a batch: a device may have two */
  GstCaps *caps = test_small_caps ();
  guint size, min, max;
  GstQuery *query;

  query = gst_query_new_allocation (caps, TRUE);
  fail_unless (gst_pad_peer_query (test.h->srcpad, query));
  fail_unless_equals_int (gst_query_get_n_allocation_pools (query), 1);
  gst_query_parse_nth_allocation_pool (query, 0, NULL, &size, &min, &max);
  fail_unless_equals_int (size, 28 * 28);
  fail_unless_equals_int (min, held);
  fail_unless_equals_int (max, 0);
  gst_query_unref (query);

  gst_pad_add_probe (test.h->sinkpad, GST_PAD_PROBE_TYPE_QUERY_DOWNSTREAM, answer_allocation, NULL,
      NULL);
  query = gst_query_new_allocation (caps, TRUE);
  fail_unless (gst_pad_peer_query (test.h->srcpad, query));
  fail_unless_equals_int (gst_query_get_n_allocation_pools (query), 1);
  gst_query_parse_nth_allocation_pool (query, 0, NULL, &size, &min, &max);
  fail_unless_equals_int (min, 2 + held);
  fail_unless_equals_int (max, 5 + held);
  fail_unless (gst_query_find_allocation_meta (query, GST_VIDEO_META_API_TYPE, NULL));
  gst_query_unref (query);
  gst_caps_unref (caps);
  test_element_free (&test);
}
GST_END_TEST;

GST_START_TEST (test_caps_query)
{
  TestElement test = test_infer_new ("int8infer", test_small_caps ());
  GstCaps *wanted = gst_caps_from_string ("video/x-raw,format={I420,Y42B},width=100"), *caps;

  gst_harness_set_sink_caps (test.h, gst_caps_ref (wanted));
  caps = gst_pad_peer_query_caps (test.h->srcpad, NULL);
  fail_unless_equals_int (gst_caps_get_size (caps), 1);
  fail_unless_equals_string (gst_structure_get_string (gst_caps_get_structure (caps, 0), "format"),
      "I420");
  gst_caps_unref (caps);
  gst_caps_unref (wanted);
  test_element_free (&test);
}
GST_END_TEST;

/* Downstream has had enough: EOS goes upstream as a flow, and comes back as an event. */
GST_START_TEST (test_downstream_ends)
{
  g_autofree char *launch =
      g_strdup_printf ("videotestsrc ! video/x-raw,format=GRAY8,width=28,height=28 ! "
                       "int8infer model=%s precision=fp32 batch-size=%d ! %s",
          test_model (), __i__ % 2 ? 4 : 1,
          __i__ < 2 ? "identity eos-after=3 ! fakesink" : "fakesink num-buffers=5");
  GstElement *pipeline = gst_parse_launch (launch, NULL);
  GstBus *bus = gst_element_get_bus (pipeline);
  GstMessage *message;

  gst_element_set_state (pipeline, GST_STATE_PLAYING);
  message = test_pop (bus, GST_MESSAGE_EOS | GST_MESSAGE_ERROR, 20);
  fail_unless (message && GST_MESSAGE_TYPE (message) == GST_MESSAGE_EOS);
  gst_message_unref (message);
  gst_element_set_state (pipeline, GST_STATE_NULL);
  gst_object_unref (bus);
  gst_object_unref (pipeline);
}
GST_END_TEST;

/* Without a peer upstream is told; linked later, the element goes on with what it has queued. */
GST_START_TEST (test_not_linked)
{
  GstFlowReturn result = GST_FLOW_OK;
  GstElement *element;
  GstBuffer *out;
  GstHarness *h;
  GstPad *src;
  GstBus *bus;

  element = test_element_new ("int8infer precision=fp32", &bus);
  g_object_set (element, "model", test_model (), NULL);
  h = gst_harness_new_with_element (element, "sink", NULL);
  gst_harness_set_src_caps (h, test_small_caps ());
  for (guint i = 0; i < 10 && result == GST_FLOW_OK; i++)
    result = gst_harness_push (h, test_small_frame (i));
  fail_unless_equals_int (result, GST_FLOW_NOT_LINKED);

  src = gst_element_get_static_pad (element, "src");
  gst_harness_add_element_src_pad (h, src);
  gst_object_unref (src);
  out = gst_harness_push_and_pull (h, test_small_frame (20));
  fail_unless (out != NULL);
  gst_buffer_unref (out);
  test_expect_no_error (bus);
  gst_harness_teardown (h);
  gst_element_set_bus (element, NULL);
  gst_object_unref (element);
  gst_bus_set_flushing (bus, TRUE);
  gst_object_unref (bus);
}
GST_END_TEST;

static Suite *
make_suite (void)
{
  Suite *suite = suite_create ("int8infer queries");
  TCase *tcase = tcase_create ("queries");

  tcase_set_timeout (tcase, 60);
  tcase_add_checked_fixture (tcase, test_setup, test_teardown);
  tcase_add_loop_test (tcase, test_latency, 0, 2);
  tcase_add_loop_test (tcase, test_allocation, 0, 2);
  tcase_add_test (tcase, test_caps_query);
  tcase_add_loop_test (tcase, test_downstream_ends, 0, 4);
  tcase_add_test (tcase, test_not_linked);
  suite_add_tcase (suite, tcase);
  return suite;
}

int
main (int argc, char **argv)
{
  return test_main (argc, argv, "infer-queries", make_suite);
}
