/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * streams.c: many live streams through one shared network, in one process: the rate of every stream, the
 * order of its frames, and memory over time.
 *
 *   bench-streams STREAMS FPS SECONDS MODEL TABLE [BATCH-SIZE]
 *
 * A stream is videotestsrc at 320x240 through int8infer with one instance-id to a fakesink. The table
 * printed has a line every tenth of the time; the last line says what was reached. Exit status 1 where a
 * stream was more than 1 % off its rate, or a frame came without result, twice, or out of order.
 */
#include <gst/gst.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct {
  guint64 frames, without, disordered; /* the stream's thread writes, main reads */
  GstClockTime last;
} Stream;

static GstPadProbeReturn
count (GstPad *pad, GstPadProbeInfo *info, gpointer data)
{
  GstBuffer *buffer = GST_PAD_PROBE_INFO_BUFFER (info);
  Stream *stream = data;

  stream->frames++;
  stream->without += gst_buffer_get_custom_meta (buffer, "GstInt8ClassificationMeta") == NULL;
  stream->disordered +=
      GST_CLOCK_TIME_IS_VALID (stream->last) && GST_BUFFER_PTS (buffer) <= stream->last;
  stream->last = GST_BUFFER_PTS (buffer);
  return GST_PAD_PROBE_OK;
}

/* Resident memory in KiB. */
static guint64
resident (void)
{
  g_autofree char *text = NULL;
  const char *line;

  if (!g_file_get_contents ("/proc/self/status", &text, NULL, NULL))
    return 0;
  line = strstr (text, "VmRSS:");
  return line ? g_ascii_strtoull (line + 6, NULL, 10) : 0;
}

static GstElement *
make_pipeline (char **argv, guint n, guint fps, const char *batch, Stream *streams)
{
  g_autoptr (GString) launch = g_string_new (NULL);
  g_autoptr (GError) error = NULL;
  GstElement *pipeline;

  for (guint i = 0; i < n; i++)
    g_string_append_printf (launch,
        "videotestsrc is-live=true pattern=%u ! video/x-raw,format=I420,width=320,height=240,framerate=%u/1 ! "
        "int8infer instance-id=bench model=%s calibration-table=%s batch-size=%s ! "
        "fakesink name=sink%u sync=true ",
        i % 20, fps, argv[4], argv[5], batch, i);
  pipeline = gst_parse_launch (launch->str, &error);
  if (!pipeline) {
    fprintf (stderr, "bench-streams: %s\n", error->message);
    exit (2);
  }
  for (guint i = 0; i < n; i++) {
    g_autofree char *name = g_strdup_printf ("sink%u", i);
    g_autoptr (GstElement) sink = gst_bin_get_by_name (GST_BIN (pipeline), name);
    g_autoptr (GstPad) pad = gst_element_get_static_pad (sink, "sink");

    streams[i].last = GST_CLOCK_TIME_NONE;
    gst_pad_add_probe (pad, GST_PAD_PROBE_TYPE_BUFFER, count, &streams[i], NULL);
  }
  return pipeline;
}

static void
check_bus (GstElement *pipeline)
{
  g_autoptr (GstBus) bus = gst_element_get_bus (pipeline);
  GstMessage *message = gst_bus_pop_filtered (bus, GST_MESSAGE_ERROR);
  g_autoptr (GError) error = NULL;

  if (!message)
    return;
  gst_message_parse_error (message, &error, NULL);
  fprintf (stderr, "bench-streams: %s\n", error->message);
  exit (2);
}

static guint64
total (const Stream *streams, guint n)
{
  guint64 frames = 0;

  for (guint i = 0; i < n; i++)
    frames += streams[i].frames;
  return frames;
}

int
main (int argc, char **argv)
{
  const guint n = argc > 3 ? (guint) atoi (argv[1]) : 0,
              fps = argc > 3 ? (guint) atoi (argv[2]) : 0;
  const double seconds = argc > 3 ? atof (argv[3]) : 0;
  double least = G_MAXDOUBLE, most = 0, elapsed;
  guint64 without = 0, disordered = 0;
  GstElement *pipeline;
  Stream *streams;
  gint64 begin;
  int bad = 0;

  gst_init (&argc, &argv);
  if (argc < 6 || n == 0 || fps == 0 || seconds <= 0) {
    fprintf (stderr, "usage: bench-streams STREAMS FPS SECONDS MODEL TABLE [BATCH-SIZE]\n");
    return 2;
  }
  streams = g_new0 (Stream, n);
  pipeline = make_pipeline (argv, n, fps, argc > 6 ? argv[6] : "8", streams);
  gst_element_set_state (pipeline, GST_STATE_PLAYING);
  while (total (streams, n) < 10 * n) { /* the network is there and every stream runs */
    check_bus (pipeline);
    g_usleep (20000);
  }

  for (guint i = 0; i < n; i++)
    streams[i].frames = streams[i].without = streams[i].disordered = 0;
  begin = g_get_monotonic_time ();
  printf ("%8s %12s %12s\n", "s", "frames/s", "resident MiB");
  for (guint i = 1; i <= 10; i++) {
    g_usleep ((gulong) (seconds * 1e5));
    check_bus (pipeline);
    elapsed = (double) (g_get_monotonic_time () - begin) * 1e-6;
    printf ("%8.1f %12.1f %12.1f\n", elapsed, (double) total (streams, n) / elapsed,
        (double) resident () / 1024);
    fflush (stdout);
  }
  elapsed = (double) (g_get_monotonic_time () - begin) * 1e-6;
  for (guint i = 0; i < n; i++) {
    const double rate = (double) streams[i].frames / elapsed;

    least = MIN (least, rate);
    most = MAX (most, rate);
    without += streams[i].without;
    disordered += streams[i].disordered;
  }
  bad = least < 0.99 * fps || most > 1.01 * fps || without > 0 || disordered > 0;
  printf ("%u streams of %u fps: %.3f to %.3f fps, %" G_GUINT64_FORMAT
          " frames without result, %" G_GUINT64_FORMAT " out of order: %s\n",
      n, fps, least, most, without, disordered, bad ? "NOT reached" : "reached");
  gst_element_set_state (pipeline, GST_STATE_NULL);
  gst_object_unref (pipeline);
  g_free (streams);
  return bad;
}
