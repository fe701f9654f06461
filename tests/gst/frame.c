/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * frame.c: colours: a frame in any format, through gst/frame.c, gives the tensor that its picture
 * should give. The other tests' pictures are grey; a swapped channel or plane would not show there.
 */
#include <gst/video/video.h>

#include "gst/frame.h"
#include "tests/check.h"

#define W 24
#define H 16

/* Slopes, so that subsampled chroma loses next to nothing; different in every channel. */
static void
colour (double x, double y, double rgb[3])
{
  rgb[0] = 60 + 4 * x + y;
  rgb[1] = 200 - 3 * x + 2 * y;
  rgb[2] = 90 + 2 * x - 4 * y;
}

/* BT.601 or BT.709, full or limited range, in double: written down independently of the engine. */
static void
to_yuv (const double rgb[3], double kr, double kb, gboolean full, double yuv[3])
{
  const double r = rgb[0], g = rgb[1], b = rgb[2];
  const double y = kr * r + (1 - kr - kb) * g + kb * b;
  const double u = (b - y) / (2 * (1 - kb)), v = (r - y) / (2 * (1 - kr));

  yuv[0] = full ? y : 16 + y * 219 / 255;
  yuv[1] = 128 + u * (full ? 1 : 224 / 255.0);
  yuv[2] = 128 + v * (full ? 1 : 224 / 255.0);
}

typedef struct {
  const char *colorimetry;
  double kr, kb;
  gboolean full;
} Space;

static const Space spaces[] = {{"bt601", 0.299, 0.114, FALSE}, {"bt709", 0.2126, 0.0722, FALSE},
    {"1:4:0:0", 0.299, 0.114, TRUE}, {"1:3:5:1", 0.2126, 0.0722, TRUE},
    {"bt2020", 0.2627, 0.0593, FALSE}};

static void
put_pixel (GstVideoFrame *frame, int x, int y, const Space *space)
{
  for (int c = 0; c < 3; c++) {
    const gboolean chroma = space && c > 0;
    const int sx = chroma ? x / 2 : x, sy = chroma ? y / 2 : y;
    double values[3], rgb[3];

    /* A chroma sample lies in the middle of its four pixels. */
    colour (chroma ? 2 * sx + 0.5 : x, chroma ? 2 * sy + 0.5 : y, rgb);
    memcpy (values, rgb, sizeof rgb);
    if (space)
      to_yuv (rgb, space->kr, space->kb, space->full, values);
    GST_VIDEO_FRAME_COMP_DATA (frame, c)
    [sy * GST_VIDEO_FRAME_COMP_STRIDE (frame, c) + sx * GST_VIDEO_FRAME_COMP_PSTRIDE (frame, c)] =
        (guint8) (values[c] + 0.5);
  }
}

static GstCaps *
make_caps (const char *format, const Space *space)
{
  GstCaps *caps = gst_caps_new_simple ("video/x-raw", "format", G_TYPE_STRING, format, "width",
      G_TYPE_INT, W, "height", G_TYPE_INT, H, NULL);

  if (space)
    gst_caps_set_simple (caps, "colorimetry", G_TYPE_STRING, space->colorimetry, NULL);
  return caps;
}

static GstBuffer *
make_frame (const GstVideoInfo *info, const Space *space)
{
  GstBuffer *buffer = gst_buffer_new_allocate (NULL, GST_VIDEO_INFO_SIZE (info), NULL);
  GstVideoFrame frame;

  gst_buffer_memset (buffer, 0, 255, -1);
  gst_video_frame_map (&frame, (GstVideoInfo *) info, buffer, GST_MAP_WRITE);
  for (int y = 0; y < H; y++)
    for (int x = 0; x < W; x++)
      put_pixel (&frame, x, y, space);
  gst_video_frame_unmap (&frame);
  return buffer;
}

/* The largest difference between the tensor (RGB, raw) and the picture. */
static double
tensor_error (const char *format, const Space *space)
{
  KernelBackend *backend = kernel_open ("cpu", NULL, 0);
  KernelQueue *queue = backend->queue_new (backend, 1);
  float *tensor = backend->alloc (backend, sizeof (float) * W * H * 3);
  GstCaps *caps = make_caps (format, space);
  EnginePreprocessor *preprocessor;
  EnginePreprocess preprocess;
  GstInt8FrameFormat frame_format;
  g_autoptr (GError) error = NULL;
  GstInt8Frame frame;
  GstBuffer *buffer;
  double worst = 0;

  engine_preprocess_preset (&preprocess, "raw");
  preprocessor =
      engine_preprocessor_new (&preprocess, 3, H, W, ENGINE_TYPE_F32, 1, 0, backend, &error);
  CHECK (gst_int8_frame_format_init (&frame_format, caps, &error));
  buffer = make_frame (&frame_format.info, space);
  CHECK (gst_int8_frame_map (&frame, &frame_format, buffer, NULL, &error));
  CHECK (gst_int8_frame_preprocess (&frame, preprocessor, queue, tensor, &error));
  CHECK (backend->queue_wait (queue) == NULL);
  gst_int8_frame_unmap (&frame);
  /* Not the border, where chroma has no neighbour to be interpolated with. */
  for (int y = 1; y < H - 1; y++)
    for (int x = 1; x < W - 1; x++) {
      double rgb[3];

      colour (x, y, rgb);
      for (int c = 0; c < 3; c++)
        worst = MAX (worst, ABS (tensor[(y * W + x) * 3 + c] - rgb[c]));
    }
  gst_buffer_unref (buffer);
  gst_caps_unref (caps);
  engine_preprocessor_free (preprocessor);
  backend->free (backend, tensor);
  backend->queue_free (queue);
  kernel_close (backend);
  return worst;
}

static void
test_rgb (void)
{
  static const char *const formats[] = {"RGB", "BGR", "RGBx", "BGRx", "RGBA", "BGRA"};

  for (guint i = 0; i < G_N_ELEMENTS (formats); i++) {
    const double worst = tensor_error (formats[i], NULL);

    if (worst != 0)
      CHECK_FAIL ("%s: off by %g", formats[i], worst);
  }
}

/* Half a level in Y, one in U and V (rounded twice), times the steepest entry of a matrix, 2.2. */
static void
test_yuv (void)
{
  static const char *const formats[] = {"NV12", "I420", "YV12"};

  for (guint i = 0; i < G_N_ELEMENTS (formats); i++)
    for (guint s = 0; s < G_N_ELEMENTS (spaces); s++) {
      const double worst = tensor_error (formats[i], &spaces[s]);

      if (worst > 3.5)
        CHECK_FAIL ("%s %s: off by %g", formats[i], spaces[s].colorimetry, worst);
    }
}

static void
test_bad_caps (void)
{
  static const char *const bad[] = {"video/x-raw,format=Y42B,width=8,height=8",
      "video/x-raw,format=RGB,width=40000,height=8", "audio/x-raw", "video/x-raw,format=RGB"};

  for (guint i = 0; i < G_N_ELEMENTS (bad); i++) {
    GstCaps *caps = gst_caps_from_string (bad[i]);
    g_autoptr (GError) error = NULL;
    GstInt8FrameFormat format;

    CHECK (!gst_int8_frame_format_init (&format, caps, &error));
    CHECK (error && strstr (error->message, " ! "));
    gst_caps_unref (caps);
  }
}

int
main (int argc, char **argv)
{
  g_setenv ("GST_REGISTRY_DISABLE", "yes", TRUE); /* no plugin is needed */
  gst_init (&argc, &argv);
  RUN (test_rgb);
  RUN (test_yuv);
  RUN (test_bad_caps);
  return check_done ();
}
