/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* classify.c: the best classes of an output. */
#include "gst/classify.h"

#include <math.h>

guint
gst_int8_top_k (const float *x, guint n, guint k, double threshold, GstInt8Class *best)
{
  guint found = 0;

  /* Insertion into a sorted list: for a small k nearly every value fails the first comparison. */
  for (guint i = 0; i < n && k > 0; i++) {
    guint at;

    if (isnan (x[i]) || (threshold > 0 && x[i] < threshold))
      continue;
    if (found == k && x[i] <= best[k - 1].confidence)
      continue;
    at = found < k ? found++ : k - 1;
    for (; at > 0 && best[at - 1].confidence < x[i]; at--)
      best[at] = best[at - 1];
    best[at] = (GstInt8Class){.index = i, .confidence = x[i]};
  }
  return found;
}
