/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * caffe-model.h: Caffe's two files from a few lines, for tests: a prototxt as it is, and a caffemodel
 * from
 *
 *     conv1 20 1 5 5 | 20;  ip1 10 500 | 10
 *
 * layers with their blobs, each given by its dims; element i of blob b is caffe_weight (b, i). A dims
 * list behind "half", "double", "raw" or "legacy" is stored so; behind "positive" signs are left out.
 */
#pragma once

#include <glib.h>

float caffe_weight (int blob, int i); /* exact in a half, and not 0 */
/* v1: layers as the second generation stores them. */
GByteArray *caffe_weights (const char *layers, gboolean v1);
/* Writes model.prototxt and model.caffemodel; returns the path of the latter. */
char *caffe_files (const char *folder, const char *prototxt, GByteArray *weights);
