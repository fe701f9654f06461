/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * common.h: what the tests of the elements share: a model and a table for it, frames of a grey
 * picture in any format, elements under a harness, messages, and a watch for leaked objects.
 */
#pragma once

#include <gst/check/gstcheck.h>
#include <gst/check/gstharness.h>
#include <gst/video/video.h>

#include "engine/engine.h"

/* Files: all of a test lie in test_folder(), which test_teardown() removes. */
const char *test_model (void); /* data/fashion-lenet.onnx: 28x28, grey, 10 classes */
const char *test_folder (void);
const char *test_path (const char *name); /* in test_folder(); interned */
/* A calibration table of the model; made on first use, by the engine itself. */
const char *test_table (void);
/* What int8infer and int8calib take by default for the model. */
void test_preprocess (EnginePreprocess *preprocess);

/* For tcase_add_checked_fixture(): teardown fails when GStreamer objects are alive. */
void test_setup (void);
void test_teardown (void);
/* Runs a suite; GST_TRACERS and the like are set before GStreamer starts. */
int test_main (int argc, char **argv, const char *name, Suite *(*make) (void) );

/* --- Frames ---------------------------------------------------------------------------------- */

/* The picture of one seed: soft shapes, the same in every format and the same bytes at equal size.
 * YUV is full range, so that the luma is the grey value. */
GstCaps *test_caps (GstVideoFormat format, int width, int height);
GstBuffer *test_frame (GstVideoFormat format, int width, int height, guint seed);
/* As the network wants it: grey, 28x28. */
GstCaps *test_small_caps (void);
GstBuffer *test_small_frame (guint seed);
#define TEST_FRAME_DURATION (GST_SECOND / 25) /* frame n begins at n times that: n is the seed */

/* --- Elements -------------------------------------------------------------------------------- */

/* An element under test, with a bus of its own. properties: as in a launch line. */
typedef struct {
  GstHarness *h; /* NULL for int8calib */
  GstElement *element;
  GstBus *bus;
} TestElement;
GstElement *test_element_new (const char *launch, GstBus **bus) G_GNUC_WARN_UNUSED_RESULT;
/* int8infer in PLAYING with src caps set. launch: "int8infer precision=fp32 ..."; model and table
 * are set unless it says model= , and the back end of INT8_TEST_BACKEND (environment) unless it says
 * backend= . */
TestElement test_infer_new (const char *launch, GstCaps *caps);
void test_element_free (TestElement *test);
/* Fields of the element's statistics: one that counts, which must be there; how full batches were. */
guint64 test_stat (const TestElement *test, const char *name);
double test_batch_fill (const TestElement *test);

/* int8calib in PLAYING, at the end of a harness that is not live. */
typedef struct {
  GstElement *element;
  GstBus *bus;
  GstHarness *h; /* from test_calib_play() on */
} TestCalib;
TestCalib test_calib_new (const char *launch); /* with the model set */
void test_calib_play (TestCalib *c);
void test_calib_free (TestCalib *c);
/* Frames first .. first + n - 1 of the grey picture, 28x28, until one is refused. */
GstFlowReturn test_calib_push (TestCalib *c, guint first, guint n);
/* "int8-calibration-done"; errors fail the test. */
GstStructure *test_calib_done (TestCalib *c);
guint64 test_field (const GstStructure *fields, const char *name); /* must be there */
char *test_contents (const char *path);
/* The text of the table that the engine makes of these frames, without the element. */
char *test_expected_table (guint first, guint n, CalibMethod method, guint batch);

/* --- Messages -------------------------------------------------------------------------------- */

/* The next message of these types, or NULL once the bus was silent for `seconds`. What counts of a second is
 * the CPU time that this process got in it, so that neither a busy machine nor one that was stopped takes any
 * away; where it asked for none, all of it counts. CK_TIMEOUT_MULTIPLIER holds here, too. Other messages are
 * dropped. */
GstMessage *test_pop (GstBus *bus, GstMessageType types, guint seconds);
/* The structure of the next element message of that name, or NULL, as above; errors fail the test. */
GstStructure *test_wait_message (GstBus *bus, const char *name, guint seconds);
/* The next error, which must contain all of the texts (NULL-terminated). */
void test_expect_error (GstBus *bus, ...) G_GNUC_NULL_TERMINATED;
void test_expect_warning (GstBus *bus, ...) G_GNUC_NULL_TERMINATED;
/* No error may be on the bus. */
void test_expect_no_error (GstBus *bus);

/* --- Holding the loader ---------------------------------------------------------------------- */

/* Makes every thread that posts a progress message of a code wait until test_gate_open(): a build
 * that takes as long as the test wants. */
typedef struct {
  GMutex lock;
  GCond changed;
  const char *code;
  gboolean open;
  guint waiting;
} TestGate;
void test_gate_init (TestGate *gate, GstBus *bus, const char *code);
void test_gate_wait_for_visitor (TestGate *gate);
void test_gate_open (TestGate *gate);
/* As test_infer_new(), with an engine that has to be built, whose loader stands at the gate. */
TestElement test_infer_at_gate (TestGate *gate, const char *launch, GstCaps *caps);
void test_gate_clear (TestGate *gate, GstBus *bus);

/* --- Results --------------------------------------------------------------------------------- */

typedef struct {
  guint n;
  int ids[16];
  double confidences[16];
} Classes;
/* From the custom metadata; n is 0 without. */
Classes test_result (GstBuffer *buffer);
void test_check_classes (GstBuffer *buffer, const Classes *expected);
/* The small frame of a seed; and what comes out next, which must be that one with the classes of the INT8
 * network. */
void test_push (TestElement *test, guint seed);
void test_check_next (TestElement *test, guint seed);
/* What an element says of a part of a frame (taken) that comes as the visible part of it. */
Classes test_classes_of_part (const char *launch, GstCaps *caps, GstBuffer *frame, guint x, guint y,
    guint width, guint height);
/* What the engine says of the same frame, computed without the element. */
Classes test_expected (EnginePrecision precision, int width, int height, guint seed, guint top_k);
