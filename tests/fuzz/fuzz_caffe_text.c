/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* fuzz_caffe_text.c: prototxts from text that nobody vouches for, with the weights of their seeds. */
#include "tests/fuzz/caffe-seeds.h"

uint8_t *
fuzz_seed (unsigned index, size_t *size)
{
  if (index >= G_N_ELEMENTS (caffe_seeds))
    return NULL;
  *size = strlen (caffe_seeds[index].text);
  return (uint8_t *) strdup (caffe_seeds[index].text);
}

int
LLVMFuzzerTestOneInput (const uint8_t *data, size_t size)
{
  static GByteArray *weights[G_N_ELEMENTS (caffe_seeds)];

  for (gsize i = 0; i < G_N_ELEMENTS (caffe_seeds); i++) {
    if (!weights[i])
      weights[i] = caffe_weights (caffe_seeds[i].weights, caffe_seeds[i].v1);
    caffe_import (data, size, weights[i]->data, weights[i]->len);
  }
  return 0;
}
