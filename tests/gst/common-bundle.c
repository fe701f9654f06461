/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* common-bundle.c: see common-bundle.h. */
#include "tests/gst/common-bundle.h"

GstCaps *
test_bundle_caps (GstCaps *first, ...)
{
  GstCaps *caps = gst_caps_from_string (TEST_BUNDLE_CAPS);
  GValue streams = G_VALUE_INIT;
  va_list rest;

  gst_value_array_init (&streams, 4);
  va_start (rest, first);
  for (GstCaps *stream = first; stream; stream = va_arg (rest, GstCaps *)) {
    GValue value = G_VALUE_INIT;

    g_value_init (&value, GST_TYPE_CAPS);
    g_value_take_boxed (&value, stream);
    gst_value_array_append_and_take_value (&streams, &value);
  }
  va_end (rest);
  gst_caps_set_value (caps, "streams", &streams);
  g_value_unset (&streams);
  return caps;
}

static GstAnalyticsBatchStream *
stream_of (GstBuffer *bundle, guint stream)
{
  GstAnalyticsBatchMeta *meta = gst_buffer_get_analytics_batch_meta (bundle);

  fail_unless (meta != NULL && stream < meta->n_streams);
  return &meta->streams[stream];
}

GstBuffer *
test_bundle_new (guint n)
{
  GstBuffer *bundle = gst_buffer_new ();
  GstAnalyticsBatchMeta *meta = gst_buffer_add_analytics_batch_meta (bundle);

  meta->streams = g_new0 (GstAnalyticsBatchStream, n);
  meta->n_streams = n;
  for (guint i = 0; i < n; i++)
    meta->streams[i].index = i;
  return bundle;
}

void
test_bundle_add_sticky (GstBuffer *bundle, guint stream, GstEvent *event)
{
  GstAnalyticsBatchStream *into = stream_of (bundle, stream);

  into->sticky_events = g_renew (GstEvent *, into->sticky_events, into->n_sticky_events + 1);
  into->sticky_events[into->n_sticky_events++] = event;
}

void
test_bundle_begin (GstBuffer *bundle, guint stream, const char *id, GstCaps *caps,
    GstClockTime start)
{
  GstSegment segment;

  gst_segment_init (&segment, GST_FORMAT_TIME);
  segment.start = segment.time = start;
  test_bundle_add_sticky (bundle, stream, gst_event_new_stream_start (id));
  if (caps)
    test_bundle_add_sticky (bundle, stream, gst_event_new_caps (caps));
  gst_clear_caps (&caps);
  test_bundle_add_sticky (bundle, stream, gst_event_new_segment (&segment));
}

void
test_bundle_add (GstBuffer *bundle, guint stream, gpointer object)
{
  GstAnalyticsBatchStream *into = stream_of (bundle, stream);

  into->objects = g_renew (GstMiniObject *, into->objects, into->n_objects + 1);
  into->objects[into->n_objects++] = object;
}

guint
test_bundle_length (GstBuffer *bundle, guint stream)
{
  return (guint) stream_of (bundle, stream)->n_objects;
}

gpointer
test_bundle_get (GstBuffer *bundle, guint stream, guint object)
{
  fail_unless (object < test_bundle_length (bundle, stream));
  return stream_of (bundle, stream)->objects[object];
}

/* --- Elements, and what comes out of them ------------------------------------------------------- */

TestElement
test_bundle_infer (const char *launch)
{
  return test_infer_new (launch, test_bundle_caps (test_small_caps (), test_small_caps (), NULL));
}

GstBuffer *
test_bundle_of_two (void)
{
  GstBuffer *bundle = test_bundle_new (2);

  test_bundle_begin (bundle, 0, "left", test_small_caps (), 0);
  test_bundle_begin (bundle, 1, "right", test_small_caps (), 0);
  return bundle;
}

void
test_bundle_check_frame (GstBuffer *frame, int width, int height, guint seed, gboolean has_result)
{
  fail_unless (GST_IS_BUFFER (frame));
  fail_unless_equals_uint64 (GST_BUFFER_OFFSET (frame), seed);
  if (has_result) {
    const Classes expected = test_expected (ENGINE_PRECISION_INT8, width, height, seed, 1);

    test_check_classes (frame, &expected);
  } else {
    fail_unless_equals_int (test_result (frame).n, 0);
    fail_unless (gst_buffer_get_analytics_relation_meta (frame) == NULL);
  }
}

void
test_bundle_check (GstBuffer *bundle, guint stream, guint object, guint seed, gboolean has_result)
{
  test_bundle_check_frame (test_bundle_get (bundle, stream, object), 28, 28, seed, has_result);
}

typedef struct {
  guint stream, object, seed;
} Place;

static GArray *
places_of (GstBuffer *bundle)
{
  const gsize n_streams = gst_buffer_get_analytics_batch_meta (bundle)->n_streams;
  GArray *places = g_array_new (FALSE, FALSE, sizeof (Place));

  for (guint i = 0; i < n_streams; i++)
    for (guint k = 0; k < test_bundle_length (bundle, i); k++) {
      const Place place = {i, k, (guint) GST_BUFFER_OFFSET (test_bundle_get (bundle, i, k))};

      g_array_append_val (places, place);
    }
  return places;
}

void
test_bundle_pass (TestElement *test, GstBuffer *bundle)
{
  g_autoptr (GArray) before = places_of (bundle), after = NULL;

  bundle = gst_harness_push_and_pull (test->h, bundle);
  after = places_of (bundle);
  fail_unless_equals_int (after->len, before->len);
  for (guint i = 0; i < before->len; i++) {
    const Place *place = &g_array_index (before, Place, i);

    test_bundle_check (bundle, place->stream, place->object, place->seed, TRUE);
  }
  gst_buffer_unref (bundle);
}
