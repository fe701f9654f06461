/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * bench-guard.c: what int8infer's drift guard costs. Two elements with the same network, one of them
 * with the guard, take turns of FRAMES frames. Prints the median of the ratios of neighbouring turns and
 * the middle half of them, and from it what one examined frame costs: a small INTERVAL makes that
 * greater than the noise, and the cost of any other follows.
 *
 *     gst-bench-guard MODEL TABLE THREADS INTERVAL FRAMES ROUNDS
 */
#include <gst/check/gstharness.h>

#include <stdlib.h>

typedef struct {
  GstHarness *h;
  GstBuffer *frame;
} Runner;

static GstBuffer *
make_frame (void)
{
  GstBuffer *frame = gst_buffer_new_allocate (NULL, 256 * 256 * 3, NULL);
  guint state = 1;
  GstMapInfo map;

  gst_buffer_map (frame, &map, GST_MAP_WRITE);
  for (gsize i = 0; i < map.size; i++) {
    state = state * 1664525 + 1013904223;
    map.data[i] = (guint8) (state >> 24);
  }
  gst_buffer_unmap (frame, &map);
  return frame;
}

static Runner
make_runner (char **argv, guint interval)
{
  g_autofree char *launch = g_strdup_printf (
      "int8infer backend=cpu force-table=true metadata=none model=%s calibration-table=%s threads=%s "
      "drift-interval=%u drift-clip=1 drift-agreement=0",
      argv[1], argv[2], argv[3], interval);
  const Runner runner = {gst_harness_new_parse (launch), make_frame ()};

  gst_harness_set_drop_buffers (runner.h, TRUE);
  gst_harness_set_src_caps_str (runner.h,
      "video/x-raw,format=RGB,width=256,height=256,framerate=0/1");
  return runner;
}

/* Seconds that n frames take. */
static double
run (const Runner *runner, guint n)
{
  const gint64 begin = g_get_monotonic_time ();

  for (guint i = 0; i < n; i++)
    if (gst_harness_push (runner->h, gst_buffer_ref (runner->frame)) != GST_FLOW_OK)
      g_error ("a frame was refused; GST_DEBUG=int8infer:2 tells why");
  return (double) (g_get_monotonic_time () - begin) * 1e-6;
}

static guint64
examined (const Runner *runner)
{
  GstElement *element = gst_harness_find_element (runner->h, "int8infer");
  GstStructure *stats = NULL;
  guint64 n = 0;

  g_object_get (element, "stats", &stats, NULL);
  gst_structure_get_uint64 (stats, "drift-examined", &n);
  gst_structure_free (stats);
  gst_object_unref (element);
  return n;
}

static int
compare_doubles (const void *a, const void *b)
{
  const double x = *(const double *) a, y = *(const double *) b;

  return (x > y) - (x < y);
}

static void
measure (const Runner *plain, const Runner *guarded, guint frames, guint rounds)
{
  g_autofree double *ratios = g_new (double, rounds);
  double seconds = 0;
  guint64 n;

  /* Until FP32 is there. */
  for (run (guarded, frames); examined (guarded) == 0; g_usleep (200000))
    run (guarded, frames);
  run (plain, frames);
  n = examined (guarded);
  for (guint i = 0; i < rounds; i++) {
    const gboolean first = i % 2;
    const double a = first ? run (guarded, frames) : run (plain, frames);
    const double b = first ? run (plain, frames) : run (guarded, frames);

    ratios[i] = first ? a / b : b / a;
    seconds += first ? b : a;
  }
  n = examined (guarded) - n;
  qsort (ratios, rounds, sizeof *ratios, compare_doubles);
  g_print ("%.0f frames/s; with the guard %.4f of the time (%.4f to %.4f), %" G_GUINT64_FORMAT
           " frames examined: one costs the stream %.1f ms\n",
      rounds * frames / seconds, ratios[rounds / 2], ratios[rounds / 4],
      ratios[rounds - 1 - rounds / 4], n,
      n ? (ratios[rounds / 2] - 1) * seconds * 1000 / (double) n : 0);
}

int
main (int argc, char **argv)
{
  const guint interval = argc > 4 ? (guint) atoi (argv[4]) : 0;
  const guint frames = argc > 5 ? (guint) atoi (argv[5]) : 0;
  const guint rounds = argc > 6 ? (guint) atoi (argv[6]) : 0;
  Runner plain, guarded;

  gst_init (NULL, NULL);
  if (argc != 7 || interval < 1 || frames < interval || rounds < 1) {
    g_printerr ("usage: %s MODEL TABLE THREADS INTERVAL FRAMES ROUNDS\n", argv[0]);
    return 2;
  }
  plain = make_runner (argv, 0);
  guarded = make_runner (argv, interval);
  measure (&plain, &guarded, frames, rounds);
  gst_harness_teardown (plain.h);
  gst_harness_teardown (guarded.h);
  gst_buffer_unref (plain.frame);
  gst_buffer_unref (guarded.frame);
  return 0;
}
