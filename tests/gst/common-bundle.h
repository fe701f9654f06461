/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * common-bundle.h: buffers of several streams in one, made by hand: what analyticscombiner would send for
 * streams whose sticky events, frames and events a test says.
 */
#pragma once

#include "tests/gst/common.h"

#include <gst/analytics/analytics.h>

#define TEST_BUNDLE_CAPS "multistream/x-analytics-batch(meta:GstAnalyticsBatchMeta)"

/* The caps of streams with these; takes them. NULL ends the list. */
GstCaps *test_bundle_caps (GstCaps *first, ...) G_GNUC_NULL_TERMINATED;

/* Of n streams, with nothing in them yet. */
GstBuffer *test_bundle_new (guint n);
/* What the next bundle's streams begin with: stream-start, caps (NULL: none; taken), and a segment from `start` on. */
void test_bundle_begin (GstBuffer *bundle, guint stream, const char *id, GstCaps *caps,
    GstClockTime start);
/* Behind what is in the stream already. Takes it. */
void test_bundle_add (GstBuffer *bundle, guint stream, gpointer object);
void test_bundle_add_sticky (GstBuffer *bundle, guint stream, GstEvent *event);

/* What is in it. */
guint test_bundle_length (GstBuffer *bundle, guint stream);
gpointer test_bundle_get (GstBuffer *bundle, guint stream, guint object);

/* int8infer with caps of two streams of small grey frames; such a bundle, with the streams "left" and "right". */
TestElement test_bundle_infer (const char *launch);
GstBuffer *test_bundle_of_two (void);

/* The frame is that of the seed, of this size, with what the engine says of it, or without results. */
void test_bundle_check_frame (GstBuffer *frame, int width, int height, guint seed,
    gboolean has_result);
/* So is the small one in this place. */
void test_bundle_check (GstBuffer *bundle, guint stream, guint object, guint seed,
    gboolean has_result);
/* Pushes a bundle of small frames and pulls one, which must have the same frames in the same places, each with its
 * result, and nothing else. Takes it. */
void test_bundle_pass (TestElement *test, GstBuffer *bundle);
