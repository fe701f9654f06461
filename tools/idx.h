/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * idx.h: MNIST's IDX format, gzipped or plain: a big-endian header (0, 0, type 8 for bytes, rank;
 * then the dims), then the bytes. Source: "The MNIST database", Y. LeCun, C. Cortes, C. Burges.
 */
#pragma once

#include <gio/gio.h>

typedef struct {
  int rank;             /* 1: labels; 3: images */
  int n, height, width; /* labels: height and width 1 */
  GBytes *bytes;        /* n * height * width */
} Idx;

/* FALSE with the file's name in the error when it cannot be read or is not IDX of rank 1 or 3. */
gboolean idx_load (const char *path, Idx *idx, GError **error);
void idx_clear (Idx *idx);
const guint8 *idx_item (const Idx *idx, int i);
