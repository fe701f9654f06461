/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* fuzz_caffe.c: caffemodels from bytes that nobody vouches for, with the nets of their seeds. */
#include "tests/fuzz/caffe-seeds.h"

uint8_t *
fuzz_seed (unsigned index, size_t *size)
{
  g_autoptr (GByteArray) bytes = NULL;
  uint8_t *seed;

  if (index >= G_N_ELEMENTS (caffe_seeds))
    return NULL;
  bytes = caffe_weights (caffe_seeds[index].weights, caffe_seeds[index].v1);
  *size = bytes->len;
  seed = malloc (bytes->len);
  if (seed)
    memcpy (seed, bytes->data, bytes->len);
  return seed;
}

int
LLVMFuzzerTestOneInput (const uint8_t *data, size_t size)
{
  for (gsize i = 0; i < G_N_ELEMENTS (caffe_seeds); i++)
    caffe_import (caffe_seeds[i].text, strlen (caffe_seeds[i].text), data, size);
  return 0;
}
