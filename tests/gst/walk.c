/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * walk.c: a random walk of both elements through states, seeks, caps, EOS, other settings, pads that are
 * unlinked and linked again, and a stream that comes and goes and shares the network. It must neither
 * hang nor crash nor leak, and the bus must tell of no error but the ones that are due.
 * INT8_TEST_SEED=n repeats a walk; INT8_TEST_STEPS=n makes it longer: 10000 is the long version.
 */
#include "tests/gst/common.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct {
  GstElement *pipeline, *filter, *tee, *infer, *sink, *calib;
  GstElement *branch; /* the stream that comes and goes, or NULL */
  GstPad *fork;       /* of the tee, for it */
  GRand *random;
  guint states, seeks, caps, ends, settings, links, branches; /* steps taken, by what they do */
} Walk;

static const struct {
  GstVideoFormat format;
  int width, height;
} frames[] = {{GST_VIDEO_FORMAT_NV12, 64, 48}, {GST_VIDEO_FORMAT_GRAY8, 28, 28},
    {GST_VIDEO_FORMAT_BGRx, 31, 77}, {GST_VIDEO_FORMAT_I420, 321, 243}};

static void
walk_new (Walk *walk, guint seed)
{
  g_autofree char *launch = g_strdup_printf (
      "videotestsrc name=source ! capsfilter name=filter ! tee name=t allow-not-linked=true "
      "t. ! int8infer name=infer instance-id=walk model=%s "
      "calibration-table=%s ! fakesink name=sink async=false sync=false "
      "t. ! queue max-size-buffers=3 ! int8calib name=calib model=%s table=%s statistics=%s "
      "table-exists=overwrite max-frames=0 async=false",
      test_model (), test_table (), test_model (), test_path ("out.table"),
      test_path ("s.int8stats"));
  g_autoptr (GError) error = NULL;

  walk->pipeline = gst_parse_launch (launch, &error);
  fail_unless (walk->pipeline && !error, "%s", error ? error->message : "?");
  walk->filter = gst_bin_get_by_name (GST_BIN (walk->pipeline), "filter");
  walk->tee = gst_bin_get_by_name (GST_BIN (walk->pipeline), "t");
  walk->infer = gst_bin_get_by_name (GST_BIN (walk->pipeline), "infer");
  walk->sink = gst_bin_get_by_name (GST_BIN (walk->pipeline), "sink");
  walk->calib = gst_bin_get_by_name (GST_BIN (walk->pipeline), "calib");
  walk->random = g_rand_new_with_seed (seed);
}

/* A branch of the tee that shares the network of the other. */
static void
add_branch (Walk *walk)
{
  g_autoptr (GstPad) sink = NULL;

  walk->branch = gst_parse_bin_from_description (
      "queue max-size-buffers=3 ! int8infer instance-id=walk ! fakesink async=false sync=false",
      TRUE, NULL);
  fail_unless (walk->branch != NULL);
  gst_bin_add (GST_BIN (walk->pipeline), walk->branch);
  gst_element_sync_state_with_parent (walk->branch);
  walk->fork = gst_element_request_pad_simple (walk->tee, "src_%u");
  sink = gst_element_get_static_pad (walk->branch, "sink");
  fail_unless_equals_int (gst_pad_link (walk->fork, sink), GST_PAD_LINK_OK);
}

/* At any instant: a frame may be on its way through it. */
static void
remove_branch (Walk *walk)
{
  GstElement *branch = g_steal_pointer (&walk->branch);

  gst_element_release_request_pad (walk->tee, walk->fork);
  gst_clear_object (&walk->fork);
  gst_element_set_locked_state (branch, TRUE);
  gst_element_set_state (branch, GST_STATE_NULL);
  gst_bin_remove (GST_BIN (walk->pipeline), branch);
}

static void
change_branch (Walk *walk)
{
  if (walk->branch)
    remove_branch (walk);
  else
    add_branch (walk);
  walk->branches++;
}

/* The source pad of int8infer leaves its sink for a moment. Not longer: a flush must reach a sink that holds
 * a frame in PAUSED. (There is no queue before that int8infer: where downstream is not linked, GStreamer
 * 1.22's keeps a serialised query that its sender has already freed.) */
static void
change_link (Walk *walk)
{
  g_autoptr (GstPad) src = gst_element_get_static_pad (walk->infer, "src");
  g_autoptr (GstPad) sink = gst_element_get_static_pad (walk->sink, "sink");

  fail_unless (gst_pad_unlink (src, sink));
  g_usleep (g_rand_int_range (walk->random, 0, 6000));
  fail_unless_equals_int (gst_pad_link (src, sink), GST_PAD_LINK_OK);
  walk->links++;
}

static void
walk_free (Walk *walk)
{
  if (walk->branch)
    remove_branch (walk);
  gst_element_set_state (walk->pipeline, GST_STATE_NULL);
  gst_object_unref (walk->filter);
  gst_object_unref (walk->tee);
  gst_object_unref (walk->infer);
  gst_object_unref (walk->sink);
  gst_object_unref (walk->calib);
  gst_object_unref (walk->pipeline);
  g_rand_free (walk->random);
}

static void
change_caps (Walk *walk)
{
  const int i = g_rand_int_range (walk->random, 0, G_N_ELEMENTS (frames));
  GstCaps *caps = test_caps (frames[i].format, frames[i].width, frames[i].height);

  g_object_set (walk->filter, "caps", caps, NULL);
  gst_caps_unref (caps);
  walk->caps++;
}

static void
change_property (Walk *walk)
{
  GRand *r = walk->random;

  walk->settings++;
  switch (g_rand_int_range (r, 0, 5)) {
  case 0: /* takes effect with the next start */
    g_object_set (walk->infer, "batch-size", g_rand_int_range (r, 1, 6), NULL);
    break;
  case 1:
    g_object_set (walk->infer, "top-k", g_rand_int_range (r, 1, 12), NULL);
    break;
  case 2:
    g_object_set (walk->infer, "post-messages", g_rand_boolean (r), NULL);
    break;
  case 3: /* another network, aside */
    g_object_set (walk->infer, "precision",
        g_rand_boolean (r) ? ENGINE_PRECISION_FP32 : ENGINE_PRECISION_INT8, NULL);
    break;
  default:
    g_signal_emit_by_name (walk->calib, "finish");
    break;
  }
}

static void
step (Walk *walk)
{
  static const GstState states[] = {GST_STATE_NULL, GST_STATE_READY, GST_STATE_PAUSED,
      GST_STATE_PLAYING, GST_STATE_PLAYING, GST_STATE_PLAYING};

  switch (g_rand_int_range (walk->random, 0, 12)) {
  case 0:
  case 1:
  case 2:
  case 3:
    gst_element_set_state (walk->pipeline,
        states[g_rand_int_range (walk->random, 0, G_N_ELEMENTS (states))]);
    walk->states++;
    break;
  case 4:
  case 5:
    gst_element_seek_simple (walk->pipeline, GST_FORMAT_TIME, GST_SEEK_FLAG_FLUSH, 0);
    walk->seeks++;
    break;
  case 6:
    change_caps (walk);
    break;
  case 7:
    /* In PAUSED a source whose frame waits in the sink would keep us waiting. */
    if (GST_STATE (walk->pipeline) == GST_STATE_PLAYING)
      gst_element_send_event (walk->pipeline, gst_event_new_eos ());
    walk->ends++;
    break;
  case 8:
    change_link (walk);
    break;
  case 9:
    change_branch (walk);
    break;
  default:
    change_property (walk);
    break;
  }
  g_usleep (g_rand_int_range (walk->random, 0, 6000));
}

/* An end before the first frame is an error of int8calib's, an end where nobody is linked is one of
 * int8infer's; any other is one of ours. */
static void
check_bus (Walk *walk)
{
  GstBus *bus = gst_element_get_bus (walk->pipeline);
  GstMessage *message;

  while ((message = gst_bus_pop_filtered (bus, GST_MESSAGE_ERROR))) {
    g_autoptr (GError) error = NULL;
    g_autofree char *debug = NULL;

    gst_message_parse_error (message, &error, &debug);
    /* The source repeats as an error what int8calib has returned to it. */
    fail_unless (strstr (error->message, "nothing was calibrated") ||
                     strstr (debug, "reason not-linked") ||
                     strcmp (GST_MESSAGE_SRC_NAME (message), "source") == 0 ||
                     g_str_has_prefix (GST_MESSAGE_SRC_NAME (message), "queue"),
        "%s: %s (%s)", GST_MESSAGE_SRC_NAME (message), error->message, debug);
    gst_message_unref (message);
  }
  gst_object_unref (bus);
}

static guint
n_steps (void)
{
  const char *text = g_getenv ("INT8_TEST_STEPS");

  return text ? (guint) atoi (text) : 300;
}

GST_START_TEST (test_walk)
{
  const char *given = g_getenv ("INT8_TEST_SEED");
  const guint seed = given ? atoi (given) : g_random_int ();
  const guint n = n_steps ();
  Walk walk = {0};

  printf ("INT8_TEST_SEED=%u\n", seed);
  fflush (stdout);
  walk_new (&walk, seed);
  change_caps (&walk);
  for (guint i = 0; i < n; i++) {
    step (&walk);
    check_bus (&walk);
  }
  walk_free (&walk);
  printf (
      "%u states, %u seeks, %u caps, %u ends, %u settings, %u links, %u streams that came or went\n",
      walk.states, walk.seeks, walk.caps, walk.ends, walk.settings, walk.links, walk.branches);
}
GST_END_TEST;

static Suite *
make_suite (void)
{
  Suite *suite = suite_create ("random walk");
  TCase *tcase = tcase_create ("walk");

  tcase_set_timeout (tcase, 100 + n_steps ());
  tcase_add_checked_fixture (tcase, test_setup, test_teardown);
  tcase_add_test (tcase, test_walk);
  suite_add_tcase (suite, tcase);
  return suite;
}

int
main (int argc, char **argv)
{
  return test_main (argc, argv, "walk", make_suite);
}
