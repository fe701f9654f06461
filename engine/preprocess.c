/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * preprocess.c: the description of a preprocessing: presets, text in both directions, checks.
 */
#include "engine/mean-image.h"

#include <float.h>
#include <math.h>
#include <string.h>

#define INVALID(...) g_set_error (error, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT, __VA_ARGS__)

static const char *const color_formats[ENGINE_COLOR_COUNT] = {"rgb", "bgr", "gray"};
static const char *const resize_modes[ENGINE_RESIZE_COUNT] = {"stretch", "letterbox",
    "letterbox-centered", "center-crop"};
static const char *const scalings[KERNEL_SCALING_COUNT] = {"antialias", "bilinear", "nearest"};

static const struct {
  const char *name;
  EnginePreprocess preprocess;
} presets[] = {
    {"raw", {ENGINE_COLOR_RGB, 1.0, {0.0}, {1.0}, 1, 1, ENGINE_RESIZE_STRETCH, 0.875, 0, NULL}},
    {"unit",
        {ENGINE_COLOR_RGB, 1.0 / 255.0, {0.0}, {1.0}, 1, 1, ENGINE_RESIZE_STRETCH, 0.875, 0, NULL}},
    {"imagenet", {ENGINE_COLOR_RGB, 1.0 / 255.0, {0.485, 0.456, 0.406}, {0.229, 0.224, 0.225}, 3, 3,
                     ENGINE_RESIZE_CENTER_CROP, 0.875, KERNEL_SCALING_ANTIALIAS, NULL}},
    {"imagenet-caffe", {ENGINE_COLOR_BGR, 1.0, {103.939, 116.779, 123.68}, {1.0}, 3, 1,
                           ENGINE_RESIZE_CENTER_CROP, 0.875, KERNEL_SCALING_ANTIALIAS, NULL}},
};

const char *
engine_color_format_name (EngineColorFormat format)
{
  return color_formats[format];
}

const char *
engine_resize_mode_name (EngineResizeMode mode)
{
  return resize_modes[mode];
}

const char *
engine_scaling_name (KernelScaling scaling)
{
  return scalings[scaling];
}

gboolean
engine_preprocess_preset (EnginePreprocess *preprocess, const char *name)
{
  for (gsize i = 0; i < G_N_ELEMENTS (presets); i++)
    if (g_str_equal (name, presets[i].name)) {
      *preprocess = presets[i].preprocess;
      return TRUE;
    }
  return FALSE;
}

/* --- From text ------------------------------------------------------------------------------ */

static gboolean
parse_name (const char *key, const char *value, const char *const *names, int n_names, int *result,
    GError **error)
{
  g_autoptr (GString) all = g_string_new (NULL);

  for (int i = 0; i < n_names; i++) {
    if (g_str_equal (value, names[i])) {
      *result = i;
      return TRUE;
    }
    g_string_append_printf (all, "%s%s", i ? ", " : "", names[i]);
  }
  INVALID ("%s: \"%s\" is none of %s", key, value, all->str);
  return FALSE;
}

/* 1 to max numbers. One separator may trail, as in key files. */
static gboolean
parse_numbers (const char *key, const char *value, int max, double *numbers, int *n, GError **error)
{
  const char *s = value;
  int count = 0;

  for (;;) {
    char *end;

    while (g_ascii_isspace (*s))
      s++;
    if (*s == '\0')
      break;
    const double number = g_ascii_strtod (s, &end);
    const char *next = end;

    while (g_ascii_isspace (*next))
      next++;
    if (end == s || !isfinite (number) || (next == end && *next && !strchr (",;", *next))) {
      INVALID ("%s: \"%s\" is not a number at \"%s\"; numbers are written like 0.485", key, value,
          s);
      return FALSE;
    }
    if (count == max) {
      INVALID ("%s: \"%s\" holds more than %d number%s; decimals are written with a point", key,
          value, max, max > 1 ? "s" : "");
      return FALSE;
    }
    numbers[count++] = number + 0.0; /* -0 becomes 0: the text is canonical */
    s = *next && strchr (",;", *next) ? next + 1 : next;
  }
  if (count == 0) {
    INVALID ("%s: a number is needed, such as 0.485", key);
    return FALSE;
  }
  *n = count;
  return TRUE;
}

/* It takes the place of the means. */
static gboolean
set_mean_image (EnginePreprocess *preprocess, const char *path, GError **error)
{
  const EngineMeanImage *image;

  if (*path == '\0') {
    INVALID ("mean-file: a path is needed");
    return FALSE;
  }
  if (g_str_has_prefix (path, "sha256:")) {
    INVALID ("mean-file: %s is the content of an image, not the path of its file, which is wanted", path);
    return FALSE;
  }
  image = engine_mean_image_read (path, error);
  if (!image)
    return FALSE;
  preprocess->mean_image = image;
  memset (preprocess->mean, 0, sizeof preprocess->mean);
  preprocess->n_mean = 1;
  return TRUE;
}

gboolean
engine_preprocess_set (EnginePreprocess *preprocess, const char *key, const char *value,
    GError **error)
{
  double numbers[ENGINE_MAX_CHANNELS] = {0.0};
  int n = 0;

  if (g_str_equal (key, "preprocess")) {
    if (engine_preprocess_preset (preprocess, value))
      return TRUE;
    INVALID ("preprocess: there is no preset \"%s\"; there are raw, unit, imagenet, imagenet-caffe",
        value);
    return FALSE;
  }
  if (g_str_equal (key, "color-format")) {
    if (!parse_name (key, value, color_formats, ENGINE_COLOR_COUNT, &n, error))
      return FALSE;
    preprocess->color_format = n;
  } else if (g_str_equal (key, "resize-mode")) {
    if (!parse_name (key, value, resize_modes, ENGINE_RESIZE_COUNT, &n, error))
      return FALSE;
    preprocess->resize_mode = n;
  } else if (g_str_equal (key, "scaling")) {
    if (!parse_name (key, value, scalings, KERNEL_SCALING_COUNT, &n, error))
      return FALSE;
    preprocess->scaling = n;
  } else if (g_str_equal (key, "scale-factor") || g_str_equal (key, "crop-ratio")) {
    if (!parse_numbers (key, value, 1, numbers, &n, error))
      return FALSE;
    *(*key == 's' ? &preprocess->scale_factor : &preprocess->crop_ratio) = numbers[0];
  } else if (g_str_equal (key, "mean") || g_str_equal (key, "std")) {
    if (!parse_numbers (key, value, ENGINE_MAX_CHANNELS, numbers, &n, error))
      return FALSE;
    memcpy (*key == 'm' ? preprocess->mean : preprocess->std, numbers, sizeof numbers);
    *(*key == 'm' ? &preprocess->n_mean : &preprocess->n_std) = n;
  } else if (g_str_equal (key, "mean-file")) {
    return set_mean_image (preprocess, value, error);
  } else {
    INVALID ("preprocessing has no key \"%s\"; there are preprocess, color-format, scale-factor, "
             "mean, mean-file, std, resize-mode, crop-ratio, scaling",
        key);
    return FALSE;
  }
  return TRUE;
}

gboolean
engine_preprocess_parse (EnginePreprocess *preprocess, const char *text, GError **error)
{
  EnginePreprocess result = *preprocess;
  g_autoptr (GError) unpaired = NULL;
  g_auto (GStrv) words = NULL;

  if (!g_shell_parse_argv (text, NULL, &words, &unpaired) &&
      !g_error_matches (unpaired, G_SHELL_ERROR, G_SHELL_ERROR_EMPTY_STRING)) {
    INVALID ("preprocessing: %s", unpaired->message);
    return FALSE;
  }
  for (int i = 0; words && words[i]; i++) {
    char *value = strchr (words[i], '=');

    if (*words[i] == '\0')
      continue;
    if (!value) {
      INVALID ("preprocessing: \"%s\" is not key=value", words[i]);
      return FALSE;
    }
    *value++ = '\0';
    if (!engine_preprocess_set (&result, words[i], value, error))
      return FALSE;
  }
  *preprocess = result;
  return TRUE;
}

/* --- To text -------------------------------------------------------------------------------- */

static void
append_double (GString *text, double x)
{
  char number[G_ASCII_DTOSTR_BUF_SIZE], format[] = "%.17g";

  for (int digits = 1; digits <= 17; digits++) {
    g_snprintf (format, sizeof format, "%%.%dg", digits);
    g_ascii_formatd (number, sizeof number, format, x);
    if (g_ascii_strtod (number, NULL) == x)
      break;
  }
  g_string_append (text, number);
}

static void
append_list (GString *text, const char *key, const double *x, int n)
{
  gboolean equal = TRUE;

  for (int i = 1; i < n; i++)
    equal = equal && x[i] == x[0];
  g_string_append (text, key);
  for (int i = 0; i < (equal ? 1 : n); i++) {
    if (i > 0)
      g_string_append_c (text, ',');
    append_double (text, x[i]);
  }
}

char *
engine_preprocess_to_string (const EnginePreprocess *preprocess)
{
  const EnginePreprocess *p = preprocess;
  GString *text = g_string_new (NULL);

  g_string_append_printf (text, "color-format=%s", color_formats[p->color_format]);
  append_list (text, " scale-factor=", &p->scale_factor, 1);
  append_list (text, " mean=", p->mean, p->n_mean);
  if (p->mean_image)
    g_string_append_printf (text, " mean-file=sha256:%s", p->mean_image->sha256);
  append_list (text, " std=", p->std, p->n_std);
  g_string_append_printf (text, " resize-mode=%s", resize_modes[p->resize_mode]);
  if (p->resize_mode == ENGINE_RESIZE_CENTER_CROP)
    append_list (text, " crop-ratio=", &p->crop_ratio, 1);
  g_string_append_printf (text, " scaling=%s", scalings[p->scaling]);
  return g_string_free (text, FALSE);
}

char *
engine_preprocess_sha256 (const EnginePreprocess *preprocess)
{
  g_autofree char *text = engine_preprocess_to_string (preprocess);

  return g_compute_checksum_for_string (G_CHECKSUM_SHA256, text, -1);
}

/* --- Meaning -------------------------------------------------------------------------------- */

int
engine_preprocess_least (const EnginePreprocess *preprocess)
{
  return preprocess->mean_image ? -255 : 0;
}

double
engine_preprocess_value (const EnginePreprocess *preprocess, int channel, int x)
{
  const EnginePreprocess *p = preprocess;
  const double mean = p->mean[channel < p->n_mean ? channel : 0];
  const double std = p->std[channel < p->n_std ? channel : 0];

  return (x * p->scale_factor - mean) / std;
}

void
engine_preprocess_range (const EnginePreprocess *preprocess, int channels, double *lo, double *hi)
{
  const EngineMeanImage *mean = preprocess->mean_image;

  *lo = INFINITY;
  *hi = -INFINITY;
  for (int k = 0; k < channels; k++) {
    const int of = mean && k < mean->channels ? k : 0;
    const int least = mean ? -mean->hi[of] : 0, most = mean ? 255 - mean->lo[of] : 255;

    *lo = MIN (*lo, engine_preprocess_value (preprocess, k, least));
    *hi = MAX (*hi, engine_preprocess_value (preprocess, k, most));
  }
}

static gboolean
check_list (const char *key, const double *x, int n, int channels, double floor, GError **error)
{
  if (n != 1 && n != channels) {
    INVALID ("%s has %d values, but the network's input has %d channel%s: give %s", key, n,
        channels, channels > 1 ? "s" : "", channels > 1 ? "one for each, or one for all" : "one");
    return FALSE;
  }
  for (int i = 0; i < n; i++)
    if (!isfinite (x[i]) || x[i] <= floor) {
      INVALID ("%s: %g cannot be used; it must be finite%s", key, x[i],
          floor == 0.0 ? " and above 0" : "");
      return FALSE;
    }
  return TRUE;
}

static gboolean
check_mean_image (const EnginePreprocess *p, int channels, GError **error)
{
  if (!p->mean_image)
    return TRUE;
  for (int i = 0; i < p->n_mean; i++)
    if (p->mean[i] != 0.0) {
      INVALID ("mean and mean-file are both given, and either takes the place of the other: remove one");
      return FALSE;
    }
  if (p->mean_image->channels != channels) {
    INVALID ("mean-file: the image has %d channel%s, the network's input %d: %s is wanted",
        p->mean_image->channels, p->mean_image->channels > 1 ? "s" : "", channels,
        channels > 1 ? "a binary PPM (P6)" : "a binary PGM (P5)");
    return FALSE;
  }
  return TRUE;
}

gboolean
engine_preprocess_check_size (const EnginePreprocess *preprocess, int height, int width,
    GError **error)
{
  const EngineMeanImage *mean = preprocess->mean_image;

  if (!mean || (mean->width == width && mean->height == height))
    return TRUE;
  INVALID ("mean-file: the image is %dx%d, but the network's input %dx%d: it must have the input's size",
      mean->width, mean->height, width, height);
  return FALSE;
}

gboolean
engine_preprocess_check (const EnginePreprocess *preprocess, int channels, GError **error)
{
  const EnginePreprocess *p = preprocess;
  const int wanted = p->color_format == ENGINE_COLOR_GRAY ? 1 : 3;
  double lo, hi;

  if (channels != wanted) {
    INVALID ("color-format %s makes %d channel%s, but the network's input has %d; %s",
        color_formats[p->color_format], wanted, wanted > 1 ? "s" : "", channels,
        channels == 1   ? "set color-format to gray"
        : channels == 3 ? "set it to rgb or bgr"
                        : "only 1 and 3 channels can be made from pictures");
    return FALSE;
  }
  if (!check_list ("scale-factor", &p->scale_factor, 1, channels, 0.0, error) ||
      !check_list ("mean", p->mean, p->n_mean, channels, -INFINITY, error) ||
      !check_list ("std", p->std, p->n_std, channels, 0.0, error))
    return FALSE;
  if (!(p->crop_ratio > 0.0 && p->crop_ratio <= 1.0)) {
    INVALID ("crop-ratio: %g is not in (0, 1]; 0.875 is usual", p->crop_ratio);
    return FALSE;
  }
  if (!check_mean_image (p, channels, error))
    return FALSE;
  engine_preprocess_range (p, channels, &lo, &hi);
  if (lo < -FLT_MAX || hi > FLT_MAX) {
    INVALID ("scale-factor, mean and std take pixels to %g .. %g, beyond float32", lo, hi);
    return FALSE;
  }
  return TRUE;
}
