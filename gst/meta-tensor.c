/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* meta-tensor.c: the network's output itself as GstTensorMeta; the layout is described in meta.h. */
#include <gst/analytics/analytics.h>

#include "gst/meta.h"

/* The names by which GStreamer's decoders of classifiers look for their input. */
static GQuark
tensor_id (gboolean is_softmaxed)
{
  return is_softmaxed ? g_quark_from_static_string ("classification-generic-softmaxed-out")
                      : g_quark_from_static_string ("classification-generic-out");
}

void
gst_int8_meta_attach_tensor (GstBuffer *buffer, float *values, guint n, gboolean is_softmaxed)
{
  GstBuffer *data = gst_buffer_new_wrapped (values, n * sizeof *values);
  gsize dims[] = {1, n};
  GstTensor *tensor = gst_tensor_new_simple (tensor_id (is_softmaxed), GST_TENSOR_DATA_TYPE_FLOAT32,
      data, GST_TENSOR_DIM_ORDER_ROW_MAJOR, G_N_ELEMENTS (dims), dims);
  GstTensorMeta *meta = gst_buffer_get_tensor_meta (buffer);
  GstTensor **tensors;

  /* Readers ask for the first metadata only: another network's tensor goes where its is. */
  if (meta) {
    meta->tensors = g_renew (GstTensor *, meta->tensors, meta->num_tensors + 1);
    meta->tensors[meta->num_tensors++] = tensor;
    return;
  }
  tensors = g_new (GstTensor *, 1);
  tensors[0] = tensor;
  gst_tensor_meta_set (gst_buffer_add_tensor_meta (buffer), 1, tensors);
}
