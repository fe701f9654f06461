/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * input_c.c: input_s8 and input_f32 over all threads, for every instruction set: loops for the layouts that
 * pictures have, in which the distance between pixels is known to the compiler.
 */
#include "kernels/cpu/cpu.h"

#define INPUT_INLINE static inline __attribute__ ((always_inline))

/* Values per part: some microseconds of work. */
#define GRAIN 16384

/* The distance that all components have from pixel to pixel; 0 where they differ. */
static int
common_step (const KernelInput *p)
{
  for (int k = 1; k < p->channels; k++)
    if (p->in[k].step != p->in[0].step)
      return 0;
  return p->in[0].step;
}

/* step 0: as the components say. */
#define DEFINE_INPUT(name, Value)                                                                  \
  INPUT_INLINE void name##_row (const KernelInput *p, size_t row, int channels, int step,          \
      bool mean)                                                                                   \
  {                                                                                                \
    const size_t at = row * (size_t) p->width * channels;                                          \
    Value *y = (Value *) p->y + at;                                                                \
                                                                                                   \
    for (int k = 0; k < channels; k++) {                                                           \
      const int levels = mean ? KERNEL_INPUT_DIFFERENCES : KERNEL_INPUT_LEVELS;                    \
      const Value *table = (const Value *) p->table + k * levels + (mean ? 255 : 0);               \
      const uint8_t *x = p->in[k].data + (ptrdiff_t) row * p->in[k].stride;                        \
      const ptrdiff_t by = step ? step : p->in[k].step;                                            \
                                                                                                   \
      for (ptrdiff_t col = 0; col < p->width; col++)                                               \
        y[col * channels + k] =                                                                    \
            table[x[col * by] - (mean ? p->mean[at + (size_t) (col * channels + k)] : 0)];         \
    }                                                                                              \
  }                                                                                                \
                                                                                                   \
  INPUT_INLINE void name##_layout (const KernelInput *p, size_t row, bool mean)                    \
  {                                                                                                \
    const int step = common_step (p);                                                              \
                                                                                                   \
    if (p->channels == 3 && step == 3)                                                             \
      name##_row (p, row, 3, 3, mean);                                                             \
    else if (p->channels == 3 && step == 4)                                                        \
      name##_row (p, row, 3, 4, mean);                                                             \
    else if (p->channels == 1 && step == 1)                                                        \
      name##_row (p, row, 1, 1, mean);                                                             \
    else                                                                                           \
      name##_row (p, row, p->channels, 0, mean);                                                   \
  }                                                                                                \
                                                                                                   \
  static void name##_range (const void *ctx, size_t begin, size_t end)                             \
  {                                                                                                \
    const KernelInput *p = ctx;                                                                    \
                                                                                                   \
    for (size_t row = begin; row < end; row++) {                                                   \
      if (p->mean)                                                                                 \
        name##_layout (p, row, true);                                                              \
      else                                                                                         \
        name##_layout (p, row, false);                                                             \
    }                                                                                              \
  }                                                                                                \
                                                                                                   \
  void kernel_##name##_c (const KernelInput *args, KernelQueue *queue)                             \
  {                                                                                                \
    kernel_pool_range (queue->pool, name##_range, args, (size_t) args->height,                     \
        1 + GRAIN / (1 + (size_t) args->width * args->channels));                                  \
  }

DEFINE_INPUT (input_s8, int8_t)
DEFINE_INPUT (input_f32, float)
