/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* common-cuda.h: what the tests on a device share: pipelines and their results. */
#pragma once

#include "tests/gst/common.h"

#define TEST_FRAMES 24 /* at most, of one pipeline */

typedef struct {
  guint n, contexts; /* frames; CUDA contexts that elements of the pipeline made */
  gboolean on_device;
  Classes classes[TEST_FRAMES];
} TestResults;

GstElement *test_launch (const char *launch) G_GNUC_WARN_UNUSED_RESULT;
/* Keeps what reaches the element of that name. */
void test_keep_results (GstElement *pipeline, const char *name, TestResults *results);
/* Until the end of all streams; the number of contexts that elements made. */
guint test_play_to_end (GstElement *pipeline);
/* source ! int8infer with these properties ! fakesink */
TestResults test_run (const char *source, const char *infer);
void test_compare (const TestResults *a, const TestResults *b, const char *what);

/* Says so where an element is missing. */
gboolean test_have (const char *element);
const char *test_decoder_name (void);
/* Says why not. */
gboolean test_device_opens (void);
