/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* images.c: files, folders and lists of pictures, and GStreamer to decode them. */
#include "tools/images.h"

#include <gst/app/gstappsink.h>
#include <gst/video/video.h>
#include <string.h>

/* --- Finding -------------------------------------------------------------------------------- */

static gboolean
is_list (const char *path)
{
  return g_str_has_suffix (path, ".txt");
}

/* What lies beside pictures: labels and notes. */
static gboolean
is_beside (const char *name)
{
  static const char *const suffixes[] = {".txt", ".tsv", ".csv", ".json", ".md"};

  for (guint i = 0; i < G_N_ELEMENTS (suffixes); i++)
    if (g_str_has_suffix (name, suffixes[i]))
      return TRUE;
  return name[0] == '.';
}

/* Numbers in names by their value: batch2 is before batch10. */
static int
compare_names (gconstpointer a, gconstpointer b)
{
  const char *x = *(char *const *) a, *y = *(char *const *) b;

  while (*x && *y) {
    if (g_ascii_isdigit (*x) && g_ascii_isdigit (*y)) {
      const gsize zeros_x = strspn (x, "0"), zeros_y = strspn (y, "0");
      const gsize n_x = strspn (x + zeros_x, "0123456789"), n_y = strspn (y + zeros_y, "0123456789");
      const int order = n_x != n_y ? (n_x < n_y ? -1 : 1) : strncmp (x + zeros_x, y + zeros_y, n_x);

      if (order)
        return order;
      x += zeros_x + n_x;
      y += zeros_y + n_y;
    } else if (*x != *y) {
      break;
    } else {
      x++;
      y++;
    }
  }
  return *x || *y ? (guchar) *x - (guchar) *y : strcmp (*(char *const *) a, *(char *const *) b);
}

static gboolean
find_in_folder (GPtrArray *found, const char *folder, GError **error)
{
  g_autoptr (GDir) dir = g_dir_open (folder, 0, error);
  g_autoptr (GPtrArray) paths = g_ptr_array_new_with_free_func (g_free);
  const char *name;

  if (!dir)
    return FALSE;
  while ((name = g_dir_read_name (dir)))
    if (!is_beside (name))
      g_ptr_array_add (paths, g_build_filename (folder, name, NULL));
  g_ptr_array_sort (paths, compare_names);
  for (guint i = 0; i < paths->len; i++) {
    const char *path = g_ptr_array_index (paths, i);

    if (g_file_test (path, G_FILE_TEST_IS_REGULAR))
      g_ptr_array_add (found, g_strdup (path));
    else if (g_file_test (path, G_FILE_TEST_IS_DIR) &&
             !g_file_test (path, G_FILE_TEST_IS_SYMLINK) && !find_in_folder (found, path, error))
      return FALSE;
  }
  return TRUE;
}

static gboolean
find_in_list (GPtrArray *found, const char *list, GError **error)
{
  g_autofree char *text = NULL, *folder = g_path_get_dirname (list);
  g_auto (GStrv) lines = NULL;

  if (!g_file_get_contents (list, &text, NULL, error))
    return FALSE;
  lines = g_strsplit (text, "\n", -1);
  for (guint i = 0; lines[i]; i++) {
    g_strstrip (lines[i]);
    if (lines[i][0] == '\0' || lines[i][0] == '#')
      continue;
    g_ptr_array_add (found, g_path_is_absolute (lines[i])
                                ? g_strdup (lines[i])
                                : g_build_filename (folder, lines[i], NULL));
  }
  return TRUE;
}

GPtrArray *
tool_images_find (char *const *places, GError **error)
{
  g_autoptr (GPtrArray) found = g_ptr_array_new_with_free_func (g_free);

  for (guint i = 0; places[i]; i++) {
    gboolean ok = TRUE;

    if (g_file_test (places[i], G_FILE_TEST_IS_DIR))
      ok = find_in_folder (found, places[i], error);
    else if (is_list (places[i]))
      ok = find_in_list (found, places[i], error);
    else
      g_ptr_array_add (found, g_strdup (places[i]));
    if (!ok)
      return NULL;
  }
  if (found->len > 0)
    return g_steal_pointer (&found);
  g_set_error (error, G_FILE_ERROR, G_FILE_ERROR_NOENT, "there are no pictures in '%s'", places[0]);
  return NULL;
}

/* --- Decoding ------------------------------------------------------------------------------- */

/* The caps of int8calib and int8infer: what decoders give in these formats reaches them as it is. */
#define CAPS GST_VIDEO_CAPS_MAKE ("{ NV12, I420, YV12, RGB, BGR, RGBx, BGRx, RGBA, BGRA, GRAY8 }")

static void
describe (EngineImage *image, const GstVideoInfo *info)
{
  double kr = 0.299, kb = 0.114;

  *image = (EngineImage){.kind = GST_VIDEO_INFO_IS_YUV (info)    ? ENGINE_IMAGE_YUV
                                 : GST_VIDEO_INFO_IS_GRAY (info) ? ENGINE_IMAGE_GREY
                                                                 : ENGINE_IMAGE_RGB,
      .width = GST_VIDEO_INFO_WIDTH (info),
      .height = GST_VIDEO_INFO_HEIGHT (info),
      .n_planes = (int) GST_VIDEO_INFO_N_PLANES (info)};
  if (image->kind == ENGINE_IMAGE_YUV) {
    gst_video_color_matrix_get_Kr_Kb (info->colorimetry.matrix, &kr, &kb);
    engine_image_set_yuv (image, kr, kb, info->colorimetry.range == GST_VIDEO_COLOR_RANGE_0_255);
  }
  for (guint c = 0; c < MIN (GST_VIDEO_INFO_N_COMPONENTS (info), 3); c++) {
    EnginePlane *plane = &image->planes[GST_VIDEO_INFO_COMP_PLANE (info, c)];

    image->component[c].plane = GST_VIDEO_INFO_COMP_PLANE (info, c);
    image->component[c].offset = GST_VIDEO_INFO_COMP_POFFSET (info, c);
    plane->width = GST_VIDEO_INFO_COMP_WIDTH (info, c);
    plane->height = GST_VIDEO_INFO_COMP_HEIGHT (info, c);
    plane->step = GST_VIDEO_INFO_COMP_PSTRIDE (info, c);
  }
}

static gboolean
show_sample (GstSample *sample, const char *path, ToolImageFn show, gpointer data, GError **error)
{
  GstVideoInfo info;
  GstVideoFrame frame;
  EngineImage image;

  if (!gst_video_info_from_caps (&info, gst_sample_get_caps (sample)) ||
      !gst_video_frame_map (&frame, &info, gst_sample_get_buffer (sample), GST_MAP_READ)) {
    g_set_error (error, G_IO_ERROR, G_IO_ERROR_INVALID_DATA, "'%s' was decoded to no picture",
        path);
    return FALSE;
  }
  describe (&image, &info);
  for (int p = 0; p < image.n_planes; p++) {
    image.planes[p].data = GST_VIDEO_FRAME_PLANE_DATA (&frame, p);
    image.planes[p].stride = GST_VIDEO_FRAME_PLANE_STRIDE (&frame, p);
  }
  const gboolean ok = show (&image, path, data, error);
  gst_video_frame_unmap (&frame);
  return ok;
}

/* What the pipeline says went wrong, or FALSE without error where it only came to its end. */
static gboolean
find_failure (GstElement *pipeline, const char *path, GError **error)
{
  g_autoptr (GstBus) bus = gst_element_get_bus (pipeline);
  g_autoptr (GstMessage) message = gst_bus_timed_pop_filtered (bus, 0, GST_MESSAGE_ERROR);
  g_autoptr (GError) cause = NULL;

  if (!message)
    return FALSE;
  gst_message_parse_error (message, &cause, NULL);
  g_set_error (error, G_IO_ERROR, G_IO_ERROR_INVALID_DATA, "cannot decode '%s': %s", path,
      cause->message);
  return TRUE;
}

/* Shows up to max frames of a file; returns how many, or -1. */
static gint64
read_file (const char *path, gint64 max, ToolImageFn show, gpointer data, GError **error)
{
  g_autoptr (GstElement) pipeline = gst_parse_launch (
      "filesrc name=src ! decodebin ! videoconvert ! appsink name=sink sync=false "
      "max-buffers=4 caps=\"" CAPS "\"",
      error);
  gint64 frames = 0;
  gboolean ok = TRUE;

  if (!pipeline)
    return -1;
  g_autoptr (GstElement) src = gst_bin_get_by_name (GST_BIN (pipeline), "src");
  g_autoptr (GstElement) sink = gst_bin_get_by_name (GST_BIN (pipeline), "sink");
  g_object_set (src, "location", path, NULL);
  gst_element_set_state (pipeline, GST_STATE_PLAYING);
  while (ok && frames < max) {
    g_autoptr (GstSample) sample =
        gst_app_sink_try_pull_sample (GST_APP_SINK (sink), 100 * GST_MSECOND);

    if (sample) {
      ok = show_sample (sample, path, show, data, error);
      frames++;
    } else if (find_failure (pipeline, path, error)) {
      ok = FALSE;
    } else if (gst_app_sink_is_eos (GST_APP_SINK (sink))) {
      break;
    }
  }
  gst_element_set_state (pipeline, GST_STATE_NULL);
  if (ok && frames > 0)
    return frames;
  if (ok)
    g_set_error (error, G_IO_ERROR, G_IO_ERROR_INVALID_DATA, "there is no picture in '%s'", path);
  return -1;
}

gboolean
tool_images_read (const GPtrArray *paths, guint max, ToolImageFn show, gpointer data,
    GError **error)
{
  gint64 left = max > 0 ? max : G_MAXINT64;

  if (!gst_is_initialized () && !gst_init_check (NULL, NULL, error))
    return FALSE;
  for (guint i = 0; i < paths->len && left > 0; i++) {
    const gint64 frames = read_file (g_ptr_array_index (paths, i), left, show, data, error);

    if (frames < 0)
      return FALSE;
    left -= frames;
  }
  return TRUE;
}
