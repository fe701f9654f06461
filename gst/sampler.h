/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * sampler.h: which frames of a stream are worth calibrating on, why the others are not, and how many
 * different ones there were. Knows times and tensors; the caller's lock guards it.
 */
#pragma once

#include <gst/gst.h>

G_BEGIN_DECLS

/* A tensor in small: means over a grid of 8 x 8 cells, of at most four channels. */
#define GST_INT8_SIGNATURE_GRID 8
typedef struct {
  float x[GST_INT8_SIGNATURE_GRID * GST_INT8_SIGNATURE_GRID * 4];
  guint n;
} GstInt8Signature;

/* tensor: NHWC, height x width x channels (1 to 4). */
void gst_int8_signature_make (GstInt8Signature *signature, const float *tensor, int height,
    int width, int channels);

typedef struct {
  guint interval;       /* every so many-th frame */
  GstClockTime min_gap; /* between two that are taken */
  double scene_change;  /* mean difference of signatures, as part of `range`; 0: not looked at */
  double range;         /* of the values of tensors: highest - lowest */
} GstInt8SamplerSettings;

/* Of frames: seen = interval + gap + similar + empty + what became of the rest, one by one. */
typedef struct {
  guint64 seen;
  guint64 interval, gap, similar; /* skipped for that reason */
  guint64 empty;                  /* without an object that is wanted */
  guint64 taken, dropped, late;   /* tensors: late ones come after the end */
} GstInt8SamplerCounts;

typedef struct {
  GstInt8SamplerSettings settings;
  GstInt8SamplerCounts counts;
  GstClockTime last_time;
  GstInt8Signature last_scene; /* of the newest frame that was taken; n is 0 before it */
  /* sums over the signatures of what was taken, less the first of them: x, x * x, x * previous x */
  GstInt8Signature first, previous;
  double sum[G_N_ELEMENTS (((GstInt8Signature *) 0)->x)], squares, products;
  guint64 n;
} GstInt8Sampler;

void gst_int8_sampler_init (GstInt8Sampler *sampler, const GstInt8SamplerSettings *settings);

/* The next frame has come: is it its turn? Counts it as seen, and as skipped where it is not. */
gboolean gst_int8_sampler_is_wanted (GstInt8Sampler *sampler, GstClockTime time);
/* Does it differ enough from the last one that was taken? Counts it as similar where it does not. */
gboolean gst_int8_sampler_is_new (GstInt8Sampler *sampler, const GstInt8Signature *scene);
/* It is taken. scene may be NULL where is_new() is not asked. */
void gst_int8_sampler_take (GstInt8Sampler *sampler, GstClockTime time,
    const GstInt8Signature *scene);
/* A tensor of it is taken. */
void gst_int8_sampler_count (GstInt8Sampler *sampler, const GstInt8Signature *tensor);

/* How many independent tensors would tell as much: n (1 - r) / (1 + r), r being the correlation of one
 * with the next (a first-order autoregressive process); between 1 and n. */
double gst_int8_sampler_effective (const GstInt8Sampler *sampler);

G_END_DECLS
