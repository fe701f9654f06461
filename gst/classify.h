/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * classify.h: from the values of a classifier's output to its best classes.
 * Pure functions on memory of the caller; nothing is allocated.
 */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

typedef struct {
  guint index;
  float confidence; /* a probability after softmax, else the network's own value */
} GstInt8Class;

/* The k greatest of x[n], best first; of equal values the lower index is better. NaN is no class.
 * With threshold > 0, values below it are left out. Returns how many there are: at most k,
 * and at most n. */
guint gst_int8_top_k (const float *x, guint n, guint k, double threshold, GstInt8Class *best);

G_END_DECLS
