/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * preprocess.h: from a picture to the input tensor. One description, one arithmetic, for
 * calibration and inference, in elements and tools. Part of engine.h; knows no GStreamer.
 *
 *   EnginePreprocess    what the network expects: a value, with a canonical text and its SHA-256
 *   EngineImage         a picture somewhere in memory: NV12, I420, RGB, BGRx, GRAY8 ...
 *   EnginePreprocessor  makes tensors of one size and type from pictures of any size and format
 *
 * Errors are GErrors: G_IO_ERROR_INVALID_ARGUMENT for a description or a picture that makes no
 * sense, ENGINE_ERROR_MEMORY, ENGINE_ERROR_BACKEND.
 *
 * Threads: a description is a value. A preprocessor and an upload belong to one thread at a time.
 */
#pragma once

#include <gio/gio.h>
#include "engine/tensor.h"
#include "kernels/kernels.h"

G_BEGIN_DECLS

#define ENGINE_MAX_CHANNELS 4
#define ENGINE_MAX_SIDE     32768 /* of pictures, of inputs, and of what a picture is resized to */

/* --- Description ---------------------------------------------------------------------------- */

typedef enum {
  ENGINE_COLOR_RGB,
  ENGINE_COLOR_BGR,
  ENGINE_COLOR_GRAY,
  ENGINE_COLOR_COUNT
} EngineColorFormat;

/* W x H is the input, w x h the picture (or the region of it that is asked for).
 *   stretch             to W x H
 *   letterbox           the aspect is kept, the picture lies at the top left, the rest is black
 *                       (pixel value 0, before mean and std):
 *                         W * h <= H * w: W x max (1, W * h / w), else max (1, H * w / h) x H,
 *                       divisions truncate, as in nvinfer's maintain-aspect-ratio
 *   letterbox-centered  the same, in the middle: (W - width) / 2, (H - height) / 2, truncated
 *   center-crop         torchvision's Resize and CenterCrop. For a square input: the short side
 *                       becomes s = round (W / crop-ratio), the long one s * long / short,
 *                       truncated; W x W are cut out at round ((width - W) / 2), round ((height -
 *                       W) / 2). round() takes halves to even. For other inputs: resized, with its
 *                       aspect, so that it just covers round (W / crop-ratio) x
 *                       round (H / crop-ratio). */
typedef enum {
  ENGINE_RESIZE_STRETCH,
  ENGINE_RESIZE_LETTERBOX,
  ENGINE_RESIZE_LETTERBOX_CENTERED,
  ENGINE_RESIZE_CENTER_CROP,
  ENGINE_RESIZE_COUNT
} EngineResizeMode;

/* "rgb", "bgr", "gray"; "stretch", "letterbox", "letterbox-centered", "center-crop"; "antialias",
 * "bilinear", "nearest". */
const char *engine_color_format_name (EngineColorFormat format);
const char *engine_resize_mode_name (EngineResizeMode mode);
const char *engine_scaling_name (KernelScaling scaling);

/* A picture of the input's size, in the tensor's channels, that is subtracted from every input; kept
 * for the life of the process, once for each content. */
typedef struct _EngineMeanImage EngineMeanImage;

/* Channel k of the tensor, with x the byte of that channel, less the mean image's where there is one:
 *
 *     y = (x * scale_factor - mean[k]) / std[k]
 *
 * mean and std are in the order of the tensor's channels (b, g, r for BGR); one value serves all.
 * nvinfer's y = f * (x - m) is scale_factor = f, mean = f * m. */
typedef struct {
  EngineColorFormat color_format;
  double scale_factor;
  double mean[ENGINE_MAX_CHANNELS], std[ENGINE_MAX_CHANNELS];
  int n_mean, n_std; /* how many are given: 1, or the number of channels */
  EngineResizeMode resize_mode;
  double crop_ratio; /* (0, 1]; center-crop only */
  KernelScaling scaling;
  const EngineMeanImage *mean_image; /* or NULL; then mean is 0 */
} EnginePreprocess;

/* Everything at once. FALSE where the name is none of these:
 *   raw             rgb, y = x, stretch
 *   unit            rgb, y = x / 255, stretch
 *   imagenet        rgb, y = (x / 255 - mean) / std, mean 0.485,0.456,0.406, std 0.229,0.224,0.225,
 *                   center-crop 0.875: torchvision
 *   imagenet-caffe  bgr, y = x - mean, mean 103.939,116.779,123.68, center-crop 0.875: Caffe's VGG
 *                   and ResNet, and Keras. Networks that were trained with the means rounded to
 *                   104,117,123 (GoogLeNet, SqueezeNet) want those set. */
gboolean engine_preprocess_preset (EnginePreprocess *preprocess, const char *name);

/* Sets one thing from text, by the name it has as a property of the elements:
 *   color-format, resize-mode, scaling   a name, as above
 *   scale-factor, crop-ratio             a number, with a point
 *   mean, std                            1 to 4 numbers between ',', ';' or spaces
 *   mean-file                            path of a mean image, a binary PPM (P6; of one channel PGM, P5) of
 *                                        the input's size, its bytes in the order of the tensor's
 *                                        channels, as nvinfer takes it; sets mean to 0
 *   preprocess                           the name of a preset
 * On an error, of which mean-file has G_FILE_ERROR too, nothing is changed. */
gboolean engine_preprocess_set (EnginePreprocess *preprocess, const char *key, const char *value,
    GError **error);

/* The canonical text: `key=value` between spaces, in one order, of all that decides the bytes of a
 * tensor. Numbers are the shortest that read back as the same double, in any locale; values that
 * are equal for all channels are written once, and a crop-ratio only where it is used. The text can
 * be pasted into a launch line, but for a mean image, which is named by its content
 * (mean-file=sha256:...). */
char *engine_preprocess_to_string (const EnginePreprocess *preprocess);
/* Reads any `key=value` text of the keys above; a value with spaces is quoted as in a shell. Errors as
 * above, and nothing is changed then. */
gboolean engine_preprocess_parse (EnginePreprocess *preprocess, const char *text, GError **error);
/* Of the canonical text, in hex: provenance of a table, part of an engine's key. */
char *engine_preprocess_sha256 (const EnginePreprocess *preprocess);

/* Whether it makes sense for an input of so many channels; else G_IO_ERROR_INVALID_ARGUMENT, here and below. */
gboolean engine_preprocess_check (const EnginePreprocess *preprocess, int channels, GError **error);
/* Whether a mean image has the size of the input. */
gboolean engine_preprocess_check_size (const EnginePreprocess *preprocess, int height, int width,
    GError **error);

/* The least x of the formula above: 0, or -255 where there is a mean image. The largest is 255. */
int engine_preprocess_least (const EnginePreprocess *preprocess);
/* y for such an x of a channel. */
double engine_preprocess_value (const EnginePreprocess *preprocess, int channel, int x);
/* The exact range of the tensor over all channels, pixel values 0..255 and places. */
void engine_preprocess_range (const EnginePreprocess *preprocess, int channels, double *lo,
    double *hi);

/* --- Pictures ------------------------------------------------------------------------------- */

typedef enum { ENGINE_IMAGE_GREY, ENGINE_IMAGE_RGB, ENGINE_IMAGE_YUV } EngineImageKind;

typedef struct {
  const guint8 *data; /* in the back end's memory space */
  gssize stride;      /* bytes from row to row */
  int width, height;  /* in pixels of this plane */
  int step;           /* bytes from pixel to pixel, 1 to 4 */
} EnginePlane;

/* RGB and grey planes have the size of the picture; so has the plane of Y; those of U and V may be
 * smaller. Chroma samples are taken to lie in the middle of the pixels they cover. */
typedef struct {
  EngineImageKind kind;
  int width, height;
  int n_planes;
  EnginePlane planes[3];
  struct {
    int plane, offset; /* in bytes, below the plane's step */
  } component[3];      /* grey; r, g, b; or y, u, v */
  /* YUV only, as KernelYuv: engine_image_set_yuv() */
  gint32 matrix[3][3], offset[3];
} EngineImage;

/* The matrix of a colour space, rounded once from double: kr and kb are the luma weights of red and
 * blue (0.299, 0.114 for BT.601; 0.2126, 0.0722 for BT.709; 0.2627, 0.0593 for BT.2020); full_range
 * is 0..255, else 16..235 and 16..240. */
void engine_image_set_yuv (EngineImage *image, double kr, double kb, gboolean full_range);

typedef struct {
  int x, y, width, height;
} EngineRect;

/* --- Preprocessor --------------------------------------------------------------------------- */

typedef struct _EnginePreprocessor EnginePreprocessor;

/* The way of one picture from host memory to a back end with memory of its own. */
typedef struct _EngineUpload EngineUpload;
EngineUpload *engine_upload_new (KernelBackend *backend); /* which must outlive it */
void engine_upload_free (EngineUpload *upload);           /* NULL is fine */
G_DEFINE_AUTOPTR_CLEANUP_FUNC (EngineUpload, engine_upload_free)

/* For tensors of one image, NHWC. ENGINE_TYPE_S8: q = clamp (rint (y / scale + zero), -128, 127),
 * computed in double; ENGINE_TYPE_F32 ignores scale and zero. The description is copied; the back
 * end must outlive the preprocessor. channels: as the colour format says; sides: 1 to ENGINE_MAX_SIDE.
 * G_IO_ERROR_INVALID_ARGUMENT for what is not so, ENGINE_ERROR_BACKEND for a back end without the kernels. */
EnginePreprocessor *engine_preprocessor_new (const EnginePreprocess *preprocess, int channels,
    int height, int width, EngineType type, float scale, int zero, KernelBackend *backend,
    GError **error);
void engine_preprocessor_free (EnginePreprocessor *preprocessor); /* NULL is fine */
G_DEFINE_AUTOPTR_CLEANUP_FUNC (EnginePreprocessor, engine_preprocessor_free)

/* Queues the work that writes `tensor`, in the back end's memory. Picture and tensor must stay
 * until queue_wait(); always the same queue for one preprocessor. region: the part of the picture
 * that is taken, as if it were a picture of its own; NULL for all of it. Of subsampled planes it
 * takes every sample that it touches, so an odd edge moves chroma by half a sample at most.
 *
 * Colour: pictures are resized first, each plane by the same filter, and converted at the small
 * size.
 *   RGB to RGB, grey to grey   exactly Pillow's resize()
 *   RGB to grey                Pillow's resize(), then convert ("L"), exactly
 *   grey to RGB                three times the grey value
 *   YUV to RGB                 by the picture's matrix; as if converted first, but for rounding and
 *                              for colours that the matrix clips
 *   YUV to grey                Y at full range: the luma of the picture's own colour space
 *
 * Nothing is allocated while size and format of pictures (or regions) stay the same; when they
 * change, the queue is waited for (on a device at every 16th change), and memory grows to the largest
 * yet seen. G_IO_ERROR_INVALID_ARGUMENT for a picture or region that makes no sense, ENGINE_ERROR_MEMORY, and
 * _BACKEND where a device has failed. */
gboolean engine_preprocessor_run (EnginePreprocessor *preprocessor, const EngineImage *image,
    const EngineRect *region, KernelQueue *queue, void *tensor, GError **error);
/* The same for a picture in host memory and a device that has its own: what of it is read is copied at
 * once, so that the picture may go, and brought there. Nothing else of the picture is, so that the back
 * end's resize must read begin .. end - 1 of its axes and no more: ref and cuda do, cpu, which has
 * no need of it, does not. One upload serves one picture until queue_wait(). NULL is run(). */
gboolean engine_preprocessor_run_from_host (EnginePreprocessor *preprocessor,
    const EngineImage *image, const EngineRect *region, EngineUpload *upload, KernelQueue *queue,
    void *tensor, GError **error);

G_END_DECLS
