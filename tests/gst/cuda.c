/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * cuda.c: frames on an NVIDIA GPU, from system memory and where they lie in memory:CUDAMemory: the
 * same classes and scores, bit for bit, as the CPU gives for the same frames. Skipped where no device
 * opens. The other programs of this folder run on a device, too: INT8_TEST_BACKEND=cuda.
 */
#include "tests/gst/common.h"

#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#define FRAMES 24

/* Colours matter to this one: three channels, many outputs, none of them nearly equal. */
static const char *
colour_model (void)
{
  g_autofree char *path = g_build_filename (g_getenv ("INT8_SOURCE_DIR"), "tests", "engine",
      "models", "batch-n.onnx", NULL);

  return g_intern_string (path);
}

/* --- Pipelines ------------------------------------------------------------------------------- */

typedef struct {
  guint n, contexts; /* frames; CUDA contexts that elements of the pipeline made */
  gboolean on_device;
  Classes classes[FRAMES];
} Results;

static GstPadProbeReturn
keep_result (GstPad *pad, GstPadProbeInfo *info, gpointer data)
{
  g_autoptr (GstCaps) caps = gst_pad_get_current_caps (pad);
  Results *results = data;

  fail_unless (results->n < FRAMES);
  results->on_device =
      gst_caps_features_contains (gst_caps_get_features (caps, 0), "memory:CUDAMemory");
  results->classes[results->n++] = test_result (GST_PAD_PROBE_INFO_BUFFER (info));
  return GST_PAD_PROBE_OK;
}

static void
play (GstElement *pipeline, Results *results)
{
  GstBus *bus = gst_element_get_bus (pipeline);
  gboolean end = FALSE;

  gst_element_set_state (pipeline, GST_STATE_PLAYING);
  while (!end) {
    GstMessage *message = gst_bus_timed_pop_filtered (bus, 60 * GST_SECOND,
        GST_MESSAGE_EOS | GST_MESSAGE_ERROR | GST_MESSAGE_HAVE_CONTEXT);
    g_autoptr (GError) error = NULL;

    fail_unless (message != NULL, "the pipeline hangs");
    if (GST_MESSAGE_TYPE (message) == GST_MESSAGE_ERROR)
      gst_message_parse_error (message, &error, NULL);
    fail_unless (!error, "%s", error ? error->message : "");
    results->contexts += GST_MESSAGE_TYPE (message) == GST_MESSAGE_HAVE_CONTEXT;
    end = GST_MESSAGE_TYPE (message) == GST_MESSAGE_EOS;
    gst_message_unref (message);
  }
  gst_object_unref (bus);
}

/* source ! int8infer with these properties ! fakesink */
static Results
run (const char *source, const char *infer)
{
  g_autofree char *launch =
      g_strdup_printf ("%s ! int8infer top-k=8 %s ! fakesink name=end", source, infer);
  g_autoptr (GError) error = NULL;
  GstElement *pipeline = gst_parse_launch_full (launch, NULL, GST_PARSE_FLAG_FATAL_ERRORS, &error);
  GstElement *end;
  Results results = {0};
  GstPad *pad;

  fail_unless (pipeline != NULL, "%s: %s", launch, error ? error->message : "?");
  end = gst_bin_get_by_name (GST_BIN (pipeline), "end");
  pad = gst_element_get_static_pad (end, "sink");
  gst_pad_add_probe (pad, GST_PAD_PROBE_TYPE_BUFFER, keep_result, &results, NULL);
  play (pipeline, &results);
  gst_element_set_state (pipeline, GST_STATE_NULL);
  gst_object_unref (pad);
  gst_object_unref (end);
  gst_object_unref (pipeline);
  return results;
}

static void
compare (const Results *a, const Results *b, const char *what)
{
  fail_unless (a->n > 0);
  fail_unless_equals_int (a->n, b->n);
  for (guint i = 0; i < a->n; i++) {
    fail_unless (a->classes[i].n > 0);
    fail_unless (a->classes[i].n == b->classes[i].n, "%s, frame %u", what, i);
    for (guint k = 0; k < a->classes[i].n; k++)
      fail_unless (a->classes[i].ids[k] == b->classes[i].ids[k] &&
                       a->classes[i].confidences[k] == b->classes[i].confidences[k],
          "%s, frame %u, place %u: %d %.9g, expected %d %.9g", what, i, k, a->classes[i].ids[k],
          a->classes[i].confidences[k], b->classes[i].ids[k], b->classes[i].confidences[k]);
  }
}

static char *
colours (const char *backend, const char *more)
{
  return g_strdup_printf ("model=%s precision=fp32 preprocess=unit softmax=off backend=%s %s",
      colour_model (), backend, more);
}

static gboolean
have (const char *element)
{
  GstElementFactory *factory = gst_element_factory_find (element);

  if (!factory)
    printf ("SKIP part: GStreamer has no %s here\n", element);
  else
    gst_object_unref (factory);
  return factory != NULL;
}

/* --- Tests ----------------------------------------------------------------------------------- */

static const char *const formats[] = {"NV12", "I420", "YV12", "RGB", "BGR", "RGBx", "BGRx", "RGBA",
    "BGRA", "GRAY8"};

static const struct {
  int width, height;
} sizes[] = {{6, 5}, {1, 1}, {37, 21}, {322, 242}, {1280, 720}};

static char *
source_of (guint format, guint size, const char *upload)
{
  return g_strdup_printf (
      "videotestsrc num-buffers=12 pattern=ball motion=wavy background-color=0xff308060 "
      "foreground-color=0xffe0a010 ! video/x-raw,format=%s,width=%d,height=%d%s",
      formats[format], sizes[size].width, sizes[size].height, upload);
}

GST_START_TEST (test_system_memory)
{
  g_autofree char *cuda = colours ("cuda", "batch-size=4"), *cpu = colours ("cpu", "");

  for (guint f = 0; f < G_N_ELEMENTS (formats); f++) {
    g_autofree char *source = source_of (f, __i__, "");
    const Results got = run (source, cuda), expected = run (source, cpu);

    compare (&got, &expected, source);
    fail_unless (!got.on_device);
  }
}
GST_END_TEST;

/* Whether cudaupload takes the format. */
static gboolean
can_upload (const char *format)
{
  GstElement *upload = gst_element_factory_make ("cudaupload", NULL);
  GstPad *pad = gst_element_get_static_pad (upload, "sink");
  g_autoptr (GstCaps) all = gst_pad_query_caps (pad, NULL);
  g_autoptr (GstCaps) one =
      gst_caps_new_simple ("video/x-raw", "format", G_TYPE_STRING, format, NULL);
  const gboolean can = gst_caps_can_intersect (all, one);

  gst_object_unref (pad);
  gst_object_unref (upload);
  return can;
}

static gboolean
three_planes (const char *format)
{
  const GstVideoFormatInfo *info =
      gst_video_format_get_info (gst_video_format_from_string (format));

  return GST_VIDEO_FORMAT_INFO_N_PLANES (info) == 3;
}

/* The frames stay on the device from cudaupload on, and lie there with GstCudaMemory's own strides. */
GST_START_TEST (test_uploaded)
{
  g_autofree char *cuda = colours ("cuda", "batch-size=4"), *cpu = colours ("cpu", "");
  guint n = 0;

  if (!have ("cudaupload"))
    return;
  for (guint f = 0; f < G_N_ELEMENTS (formats); f++) {
    g_autofree char *on_device =
        source_of (f, __i__, " ! cudaupload ! video/x-raw(memory:CUDAMemory)");
    g_autofree char *on_host = source_of (f, __i__, "");
    Results got, expected;

    if (!can_upload (formats[f]))
      continue;
    n++;
    got = run (on_device, cuda);
    expected = run (on_host, cpu);
    compare (&got, &expected, on_device);
    fail_unless (got.on_device);
    fail_unless_equals_int (got.contexts, 1); /* one for both elements */
    /* Copied to the host by GStreamer; 1.22 maps three planes of an odd height wrongly there, though
     * its cudadownload gives the right bytes. */
    if (sizes[__i__].height % 2 && three_planes (formats[f]))
      continue;
    got = run (on_device, cpu);
    compare (&got, &expected, on_device);
  }
  fail_unless (n >= 2, "cudaupload takes %u formats", n);
}
GST_END_TEST;

/* Before GStreamer 1.24 nvh264dec is another element, which wants an OpenGL display. */
static const char *
decoder_name (void)
{
  GstElementFactory *old = gst_element_factory_find ("nvh264sldec");

  if (!old)
    return "nvh264dec";
  gst_object_unref (old);
  return "nvh264sldec";
}

/* What the decoder makes is taken where it lies. The clip: 24 frames of 200x120, B-frames among
 * them. */
GST_START_TEST (test_decoded)
{
  const char *decoder = decoder_name ();
  g_autofree char *source = g_strdup_printf (
      "filesrc location=%s/tests/gst/clip.h264 ! h264parse ! %s ! video/x-raw(memory:CUDAMemory)",
      g_getenv ("INT8_SOURCE_DIR"), decoder);
  g_autofree char *through_host = g_strconcat (source, " ! cudadownload ! video/x-raw", NULL);
  g_autofree char *cpu = colours ("cpu", "");
  Results expected;

  if (!have (decoder) || !have ("h264parse") || !have ("cudadownload"))
    return;
  expected = run (through_host, cpu);
  fail_unless_equals_int (expected.n, FRAMES);
  fail_unless (!expected.on_device);
  for (int batch = 1; batch <= 8; batch += 7) {
    g_autofree char *more = g_strdup_printf ("batch-size=%d", batch);
    g_autofree char *cuda = colours ("cuda", more);
    Results got = run (source, cuda);

    compare (&got, &expected, source);
    fail_unless (got.on_device);
    fail_unless_equals_int (got.contexts, 1);
    got = run (through_host, cuda);
    compare (&got, &expected, through_host);
  }
}
GST_END_TEST;

/* INT8, too, with the metadata's labels; and elements that start and stop. */
GST_START_TEST (test_int8)
{
  g_autofree char *shared =
      g_strdup_printf ("model=%s calibration-table=%s", test_model (), test_table ());
  g_autofree char *cuda = g_strconcat (shared, " backend=cuda batch-size=3", NULL);
  g_autofree char *ref = g_strconcat (shared, " backend=ref", NULL);
  g_autofree char *source = source_of (0, 3, "");
  const Results expected = run (source, ref);

  for (int i = 0; i < 3; i++) {
    const Results got = run (source, cuda);

    compare (&got, &expected, source);
  }
}
GST_END_TEST;

/* A flush finds two batches under way; what comes after it is as if nothing had been before. */
GST_START_TEST (test_flush)
{
  const Classes expected = test_expected (ENGINE_PRECISION_INT8, 64, 48, 9, 3);
  TestElement test = test_infer_new ("int8infer backend=cuda batch-size=2 top-k=3",
      test_caps (GST_VIDEO_FORMAT_I420, 64, 48));
  GstBuffer *out;

  for (int round = 0; round < 20; round++) {
    for (guint i = 0; i < 5; i++)
      gst_harness_push (test.h, test_frame (GST_VIDEO_FORMAT_I420, 64, 48, i));
    gst_harness_push_event (test.h, gst_event_new_flush_start ());
    gst_harness_push_event (test.h, gst_event_new_flush_stop (TRUE));
    while ((out = gst_harness_try_pull (test.h)))
      gst_buffer_unref (out);
    {
      GstSegment segment;

      gst_segment_init (&segment, GST_FORMAT_TIME);
      gst_harness_push_event (test.h, gst_event_new_segment (&segment));
    }
    out = gst_harness_push_and_pull (test.h, test_frame (GST_VIDEO_FORMAT_I420, 64, 48, 9));
    fail_unless (out != NULL);
    test_check_classes (out, &expected);
    gst_buffer_unref (out);
  }
  test_expect_no_error (test.bus);
  test_element_free (&test);
}
GST_END_TEST;

/* --- Program --------------------------------------------------------------------------------- */

static Suite *
make_suite (void)
{
  Suite *suite = suite_create ("cuda");
  TCase *tcase = tcase_create ("frames");

  tcase_set_timeout (tcase, 120);
  tcase_add_checked_fixture (tcase, test_setup, test_teardown);
  tcase_add_loop_test (tcase, test_system_memory, 0, G_N_ELEMENTS (sizes));
  tcase_add_loop_test (tcase, test_uploaded, 0, G_N_ELEMENTS (sizes));
  tcase_add_test (tcase, test_decoded);
  tcase_add_test (tcase, test_int8);
  tcase_add_test (tcase, test_flush);
  suite_add_tcase (suite, tcase);
  return suite;
}

/* In a process of its own: every test is one, and a driver does not survive its process's fork. */
static gboolean
device_opens (void)
{
  const pid_t child = fork ();
  int status = -1;

  if (child == 0) {
    char why[256] = "";
    KernelBackend *backend = kernel_open ("cuda", why, sizeof why);

    if (!backend) {
      printf ("SKIP cuda: %s\n", why);
      fflush (stdout);
    }
    _exit (backend ? 0 : 77);
  }
  g_assert_true (child > 0 && waitpid (child, &status, 0) == child);
  return WIFEXITED (status) && WEXITSTATUS (status) == 0;
}

int
main (int argc, char **argv)
{
  return device_opens () ? test_main (argc, argv, "cuda", make_suite) : 77;
}
