/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * rate.c: frames a second of a pipeline, from the first frame that reaches its sink to the last, so
 * that what comes before (engines, contexts, decoders) does not count.
 *
 *   bench-rate [--rounds N] 'LAUNCH LINE ! fakesink name=end' ['ANOTHER ...']...
 *
 * The lines take turns, N times (3); the medians are compared with the first line's.
 */
#include <gst/gst.h>
#include <stdlib.h>

typedef struct {
  guint64 frames;
  gint64 first, last;
} Count;

static GstPadProbeReturn
count (GstPad *pad, GstPadProbeInfo *info, gpointer data)
{
  Count *c = data;

  c->last = g_get_monotonic_time ();
  if (c->frames++ == 0)
    c->first = c->last;
  return GST_PAD_PROBE_OK;
}

/* Frames a second; -1 when the pipeline failed, which is told. */
static double
run (const char *line, guint64 *frames)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (GstElement) pipeline = gst_parse_launch (line, &error);
  g_autoptr (GstElement) end =
      pipeline && GST_IS_BIN (pipeline) ? gst_bin_get_by_name (GST_BIN (pipeline), "end") : NULL;
  g_autoptr (GstPad) pad = end ? gst_element_get_static_pad (end, "sink") : NULL;
  g_autoptr (GstBus) bus = NULL;
  g_autoptr (GstMessage) message = NULL;
  Count c = {0};

  if (!pad || error) {
    g_printerr ("%s: %s\n", line, error ? error->message : "no sink is named \"end\"");
    return -1;
  }
  bus = gst_element_get_bus (pipeline);
  gst_pad_add_probe (pad, GST_PAD_PROBE_TYPE_BUFFER, count, &c, NULL);
  gst_element_set_state (pipeline, GST_STATE_PLAYING);
  message =
      gst_bus_timed_pop_filtered (bus, GST_CLOCK_TIME_NONE, GST_MESSAGE_EOS | GST_MESSAGE_ERROR);
  gst_element_set_state (pipeline, GST_STATE_NULL);
  if (GST_MESSAGE_TYPE (message) == GST_MESSAGE_ERROR) {
    gst_message_parse_error (message, &error, NULL);
    g_printerr ("%s: %s\n", line, error->message);
    return -1;
  }
  if (c.frames < 2) {
    g_printerr ("%s: %" G_GUINT64_FORMAT " frames are too few\n", line, c.frames);
    return -1;
  }
  *frames = c.frames;
  return (double) (c.frames - 1) * 1e6 / (double) (c.last - c.first);
}

static int
compare (const void *a, const void *b)
{
  const double x = *(const double *) a, y = *(const double *) b;

  return (x > y) - (x < y);
}

int
main (int argc, char **argv)
{
  int rounds = 3, first = 1;
  double base = 0;

  gst_init (&argc, &argv);
  if (argc > 2 && g_str_equal (argv[1], "--rounds")) {
    rounds = atoi (argv[2]);
    first = 3;
  }
  if (rounds < 1 || first >= argc) {
    g_printerr ("usage: bench-rate [--rounds N] 'LAUNCH LINE ! fakesink name=end'...\n");
    return 2;
  }

  const int lines = argc - first;
  g_autofree double *rates = g_new0 (double, lines *rounds);
  g_autofree guint64 *frames = g_new0 (guint64, lines);

  for (int round = 0; round < rounds; round++)
    for (int i = 0; i < lines; i++) {
      rates[i * rounds + round] = run (argv[first + i], &frames[i]);
      if (rates[i * rounds + round] < 0)
        return 1;
    }
  for (int i = 0; i < lines; i++) {
    double *of = &rates[i * rounds];

    qsort (of, rounds, sizeof *of, compare);
    if (i == 0)
      base = of[rounds / 2];
    g_print ("%9.1f frames/s (%.1f .. %.1f), %5.1f %%, %" G_GUINT64_FORMAT " frames: %s\n",
        of[rounds / 2], of[0], of[rounds - 1], 100 * of[rounds / 2] / base, frames[i],
        argv[first + i]);
  }
  return 0;
}
