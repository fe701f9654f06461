/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* mqtt-sender.h: int8metajson at work, with a broker of common-mqtt.h. */
#pragma once

#include <string.h>

#include "tests/gst/common.h"
#include "tests/gst/common-mqtt.h"

#define TOPIC "cameras/gate 3"

typedef struct {
  GstElement *element;
  GstBus *bus;
  GstHarness *h;
  guint next; /* the frame */
} Sender;

static inline void
sender_init (Sender *s, const TestBroker *broker, const char *properties)
{
  g_autofree char *launch =
      g_strdup_printf ("int8metajson add-empty-results=true "
                       "mqtt-address=127.0.0.1:%u mqtt-topic=\"" TOPIC "\" %s",
          broker->port, properties);

  s->element = test_element_new (launch, &s->bus);
  s->h = gst_harness_new_with_element (s->element, "sink", "src");
  s->next = 0;
  gst_harness_set_src_caps (s->h, test_small_caps ());
}

static inline void
sender_push (Sender *s, guint n)
{
  for (guint i = 0; i < n; i++)
    gst_buffer_unref (gst_harness_push_and_pull (s->h, test_small_frame (s->next++)));
}

static inline guint64
sender_stat (Sender *s, const char *name)
{
  GstStructure *stats = NULL;
  guint64 value = 0;
  guint queued = 0;

  g_object_get (s->element, "mqtt-stats", &stats, NULL);
  if (gst_structure_get_uint (stats, name, &queued))
    value = queued;
  else
    fail_unless (gst_structure_get_uint64 (stats, name, &value));
  gst_structure_free (stats);
  return value;
}

static inline void
sender_wait (Sender *s, const char *stat, guint64 least)
{
  for (guint i = 0; i < 2000 && sender_stat (s, stat) < least; i++)
    g_usleep (10000);
  fail_unless (sender_stat (s, stat) >= least, "%s stays %" G_GUINT64_FORMAT, stat,
      sender_stat (s, stat));
}

static inline void
sender_stop (Sender *s)
{
  gst_element_set_state (s->element, GST_STATE_READY); /* not NULL, whose bus forgets */
}

/* Stops it, and everything is delivered in time. */
static inline void
sender_drain (Sender *s)
{
  GstMessage *message;

  sender_stop (s);
  test_expect_no_error (s->bus);
  while ((message = gst_bus_pop_filtered (s->bus, GST_MESSAGE_WARNING))) {
    g_autoptr (GError) warning = NULL;

    gst_message_parse_warning (message, &warning, NULL);
    fail_if (strstr (warning->message, "not delivered"), "%s", warning->message);
    gst_message_unref (message);
  }
}

static inline void
sender_clear (Sender *s)
{
  gst_harness_teardown (s->h);
  gst_element_set_bus (s->element, NULL);
  gst_object_unref (s->element);
  gst_object_unref (s->bus);
}
