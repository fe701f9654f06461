/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * self-test.c: plants errors and requires that the harness finds them. The errors of a kernel are
 * those that one makes: a product rounded before its sum, another rounding, a write past the end,
 * a NaN lost. Besides, for every kernel, an output with one bit flipped and the bytes around it.
 */
#include "kernels/backend.h"
#include "kernels/float-math.h"
#include "kernels/requant.h"
#include "tests/kernels/harness-private.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define COUNT(array) ((int) (sizeof (array) / sizeof *(array)))

/* --- Wrong kernels -------------------------------------------------------------------------- */

static size_t
conv_outputs (const KernelConvShape *s)
{
  return (size_t) s->n * s->oh * s->ow * s->oc;
}

static void
conv_s8_flips (const KernelConvS8 *a, KernelQueue *queue)
{
  kernel_conv_s8_ref (a, queue);
  ((int8_t *) a->y)[conv_outputs (&a->shape) - 1] ^= 1;
}

static void
conv_s8_past_end (const KernelConvS8 *a, KernelQueue *queue)
{
  kernel_conv_s8_ref (a, queue);
  ((int8_t *) a->y)[conv_outputs (&a->shape)] = 0;
}

static void
conv_s8_past_input (const KernelConvS8 *a, KernelQueue *queue)
{
  const KernelConvShape *s = &a->shape;
  static volatile int8_t sink;

  kernel_conv_s8_ref (a, queue);
  sink = a->x[(size_t) s->n * s->ih * s->iw * s->ic];
  (void) sink;
}

static void
conv_s8_into_input (const KernelConvS8 *a, KernelQueue *queue)
{
  kernel_conv_s8_ref (a, queue);
  ((int8_t *) a->x)[0] ^= 1;
}

/* The reference's sum, by way of its float output. */
static void
conv_s8_rounds (const KernelConvS8 *a, bool fused, bool fused_residual, bool half_to_even)
{
  const size_t size = conv_outputs (&a->shape);
  float *t = malloc (size * sizeof *t), *one = malloc (a->shape.oc * sizeof *one);
  float *zero = calloc (a->shape.oc, sizeof *zero);
  KernelConvS8 sums = *a;

  for (int k = 0; k < a->shape.oc; k++)
    one[k] = 1.0f;
  sums.m = one;
  sums.b = zero;
  sums.y = t;
  kernel_conv_s8_f32_ref (&sums, NULL);
  for (size_t i = 0; i < size; i++) {
    const float m = a->m[i % a->shape.oc], b = a->b[i % a->shape.oc];

    t[i] = fused ? fmaf (t[i], m, b) : t[i] * m + b;
    if (a->r)
      t[i] = fused_residual ? fmaf (a->r[i], a->mr, t[i]) : a->r[i] * a->mr + t[i];
    t[i] = half_to_even ? rintf (t[i]) : roundf (t[i]);
    ((int8_t *) a->y)[i] = kernel_round_s8 (t[i], a->lo, a->hi);
  }
  free (t);
  free (one);
  free (zero);
}

static void
conv_s8_unfused (const KernelConvS8 *a, KernelQueue *queue)
{
  conv_s8_rounds (a, false, true, true);
}

static void
conv_s8_residual_unfused (const KernelConvS8 *a, KernelQueue *queue)
{
  conv_s8_rounds (a, true, false, true);
}

static void
conv_s8_half_away (const KernelConvS8 *a, KernelQueue *queue)
{
  conv_s8_rounds (a, true, true, false);
}

static void
conv_s8_pads_with_0 (const KernelConvS8 *a, KernelQueue *queue)
{
  KernelConvS8 copy = *a;

  copy.zero_x = 0;
  kernel_conv_s8_ref (&copy, queue);
}

static size_t
scratch_of_16 (const KernelConvShape *shape, KernelQueue *queue)
{
  return 16;
}

static void
conv_s8_past_scratch (const KernelConvS8 *a, KernelQueue *queue)
{
  memset (a->scratch, 0, 17);
  kernel_conv_s8_ref (a, queue);
}

static void
conv_s8_depends_on_threads (const KernelConvS8 *a, KernelQueue *queue)
{
  kernel_conv_s8_ref (a, queue);
  if (queue == (KernelQueue *) 3)
    ((int8_t *) a->y)[0] ^= 1;
}

static void
conv_f32_adds_bias_last (const KernelConvF32 *a, KernelQueue *queue)
{
  const size_t size = conv_outputs (&a->shape);
  float *zero = calloc (a->shape.oc, sizeof *zero);
  KernelConvF32 copy = *a;

  copy.b = zero;
  kernel_conv_f32_ref (&copy, queue);
  for (size_t i = 0; i < size; i++)
    a->y[i] += a->b[i % a->shape.oc];
  free (zero);
}

static void
add_s8_unfused (const KernelBinaryS8 *a, KernelQueue *queue)
{
  for (size_t i = 0; i < (size_t) a->n * a->rows * a->c; i++) {
    const size_t j = a->x2_broadcast ? i / a->c / a->rows * a->c + i % a->c : i;
    const float t = a->x1[i] * a->m1 + (a->x2[j] * a->m2 + a->b);

    a->y[i] = kernel_round_s8 (t, a->lo, a->hi);
  }
}

static void
mul_s8_unfused (const KernelBinaryS8 *a, KernelQueue *queue)
{
  for (size_t i = 0; i < (size_t) a->n * a->rows * a->c; i++) {
    const size_t j = a->x2_broadcast ? i / a->c / a->rows * a->c + i % a->c : i;
    const float t = (a->x1[i] - a->zero1) * (a->x2[j] - a->zero2) * a->m1 + a->b;

    a->y[i] = kernel_round_s8 (t, a->lo, a->hi);
  }
}

static void
lut_s8_forgets_127 (const KernelLutS8 *a, KernelQueue *queue)
{
  for (size_t i = 0; i < a->size; i++)
    a->y[i] = a->lut[a->x[i] == 127 ? 254 : a->x[i] + 128];
}

static void
quantise_s8_unfused (const KernelConvert *a, KernelQueue *queue)
{
  for (size_t i = 0; i < a->size; i++)
    ((int8_t *) a->y)[i] = kernel_round_s8 (((const float *) a->x)[i] * a->m + a->zero, -128, 127);
}

static void
unary_f32_loses_nan (const KernelUnaryF32 *a, KernelQueue *queue)
{
  kernel_unary_f32_ref (a, queue);
  for (size_t i = 0; i < a->size; i++)
    a->y[i] = isnan (a->y[i]) ? 0.0f : a->y[i];
}

static void
maxpool_f32_loses_nan (const KernelPoolF32 *a, KernelQueue *queue)
{
  const KernelPoolShape *s = &a->shape;

  kernel_maxpool_f32_ref (a, queue);
  for (size_t i = 0; i < (size_t) s->n * s->oh * s->ow * s->c; i++)
    a->y[i] = isnan (a->y[i]) ? -INFINITY : a->y[i];
}

static void
avgpool_s8_counts_pad (const KernelPoolS8 *a, KernelQueue *queue)
{
  KernelPoolS8 copy = *a;

  copy.shape.include_pad = true;
  kernel_avgpool_s8_ref (&copy, queue);
}

static void
copy_s8_fills_gap (const KernelCopy *a, KernelQueue *queue)
{
  kernel_copy_s8_ref (a, queue);
  if (a->rows > 1 && a->y_stride > a->width)
    ((int8_t *) a->y)[a->width] ^= 1;
}

static void
transpose_f32_inverts (const KernelTranspose *a, KernelQueue *queue)
{
  KernelTranspose copy = *a;

  for (int i = 0; i < a->rank; i++)
    copy.perm[a->perm[i]] = i;
  kernel_transpose_f32_ref (&copy, queue);
}

static void
pad_s8_with_0 (const KernelPad *a, KernelQueue *queue)
{
  KernelPad copy = *a;

  copy.value_s8 = 0;
  kernel_pad_s8_ref (&copy, queue);
}

static void
softmax_f32_multiplies (const KernelSoftmax *a, KernelQueue *queue)
{
  if (a->log) {
    kernel_softmax_f32_ref (a, queue);
    return;
  }
  for (size_t row = 0; row < a->rows; row++) {
    const float *x = a->x + row * a->c;
    float *y = a->y + row * a->c, max = x[0], sum = 0.0f;

    for (int i = 1; i < a->c; i++)
      max = x[i] > max ? x[i] : max;
    for (int i = 0; i < a->c; i++) {
      y[i] = kernel_expf (x[i] - max);
      sum += y[i];
    }
    for (int i = 0; i < a->c; i++)
      y[i] *= 1.0f / sum;
  }
}

/* --- The back end that has them ------------------------------------------------------------- */

static KernelOps planted_ops;

/* Queues are their number of threads. */
static KernelQueue *
planted_queue_new (KernelBackend *backend, int threads)
{
  return (KernelQueue *) (intptr_t) threads;
}

static void
planted_queue_free (KernelQueue *queue)
{
}

static const char *
planted_queue_wait (KernelQueue *queue)
{
  return NULL;
}

/* Where host_memory is false: memory like a device's, though kernels of ref can reach it. */
static void *
planted_alloc (KernelBackend *backend, size_t size)
{
  return aligned_alloc (KERNEL_ALIGN, (size + KERNEL_ALIGN - 1) / KERNEL_ALIGN * KERNEL_ALIGN);
}

static void
planted_free (KernelBackend *backend, void *memory)
{
  free (memory);
}

static void
planted_copy (KernelQueue *queue, void *to, const void *from, size_t size)
{
  memcpy (to, from, size);
}

static KernelBackend planted_backend = {
    .name = "planted",
    .description = "ref with an error",
    .ops = &planted_ops,
    .host_memory = true,
    .alloc = planted_alloc,
    .free = planted_free,
    .upload = planted_copy,
    .download = planted_copy,
    .queue_new = planted_queue_new,
    .queue_free = planted_queue_free,
    .queue_wait = planted_queue_wait,
};

#define PLANTED(X)                                                                                 \
  X (conv_s8, conv_s8_flips)                                                                       \
  X (conv_s8, conv_s8_past_end)                                                                    \
  X (conv_s8, conv_s8_past_scratch)                                                                \
  X (conv_s8, conv_s8_into_input)                                                                  \
  X (conv_s8, conv_s8_unfused)                                                                     \
  X (conv_s8, conv_s8_residual_unfused)                                                            \
  X (conv_s8, conv_s8_half_away)                                                                   \
  X (conv_s8, conv_s8_pads_with_0)                                                                 \
  X (conv_s8, conv_s8_depends_on_threads)                                                          \
  X (conv_f32, conv_f32_adds_bias_last)                                                            \
  X (add_s8, add_s8_unfused)                                                                       \
  X (mul_s8, mul_s8_unfused)                                                                       \
  X (lut_s8, lut_s8_forgets_127)                                                                   \
  X (unary_f32, unary_f32_loses_nan)                                                               \
  X (quantise_s8, quantise_s8_unfused)                                                             \
  X (maxpool_f32, maxpool_f32_loses_nan)                                                           \
  X (avgpool_s8, avgpool_s8_counts_pad)                                                            \
  X (copy_s8, copy_s8_fills_gap)                                                                   \
  X (transpose_f32, transpose_f32_inverts)                                                         \
  X (pad_s8, pad_s8_with_0)                                                                        \
  X (softmax_f32, softmax_f32_multiplies)

/* These touch the page beside a buffer. */
#define PLANTED_CRASHES(X)                                                                         \
  X (conv_s8, conv_s8_past_end)                                                                    \
  X (conv_s8, conv_s8_past_input)

typedef struct {
  const char *kernel, *what;
  void (*plant) (void);
} Planted;

#define PLANT(slot, function)                                                                      \
  static void plant_##function (void)                                                              \
  {                                                                                                \
    planted_ops = kernel_ops_ref;                                                                  \
    planted_ops.conv_s8_scratch = scratch_of_16;                                                   \
    planted_ops.slot = function;                                                                   \
  }
PLANTED (PLANT)
PLANT (conv_s8, conv_s8_past_input)

#define ENTRY(slot, function) {#slot, #function, plant_##function},
static const Planted planted[] = {PLANTED (ENTRY)};
static const Planted planted_crashes[] = {PLANTED_CRASHES (ENTRY)};

/* --- The test ------------------------------------------------------------------------------- */

static int passed, failed;

static void
verdict (bool good, const char *kernel, const char *what)
{
  printf ("%-6s %s: %s\n", good ? "ok" : "FAIL", kernel, what);
  fflush (stdout);
  if (good)
    passed++;
  else
    failed++;
}

static int
count_failures (Harness *h, const char *kernel)
{
  h->devices[0].state = HARNESS_COMPARED;
  harness_test (h, harness_find_test (kernel));
  return h->devices[0].failures;
}

/* A read that the pages around a buffer catch ends the process, so it happens in another. */
static bool
crashes (Harness *h, const char *kernel)
{
  const pid_t child = fork ();
  int status;

  if (child == 0) {
    signal (SIGSEGV, SIG_DFL);
    signal (SIGBUS, SIG_DFL);
    count_failures (h, kernel);
    _exit (0);
  }
  return child > 0 && waitpid (child, &status, 0) == child && WIFSIGNALED (status) &&
         (WTERMSIG (status) == SIGSEGV || WTERMSIG (status) == SIGBUS);
}

static void
test_planted (Harness *h)
{
  h->only_case = -1;
  h->stop_after = 1;
  h->only_place = HARNESS_UNALIGNED; /* what is written beside a buffer hits guards, not pages */
  for (int i = 0; i < COUNT (planted); i++) {
    planted[i].plant ();
    verdict (count_failures (h, planted[i].kernel) > 0, planted[i].kernel, planted[i].what);
  }
  h->only_place = HARNESS_AT_END;
  for (int i = 0; i < COUNT (planted_crashes); i++) {
    planted_crashes[i].plant ();
    verdict (crashes (h, planted_crashes[i].kernel), planted_crashes[i].kernel,
        planted_crashes[i].what);
  }
  h->only_place = HARNESS_PLACES;
}

/* Every kernel: nothing is found where nothing is wrong, and the least error
 * in its output or beside it is. */
static void
test_sabotage (Harness *h, const char *kernel)
{
  static const struct {
    HarnessSabotage how;
    const char *what;
  } sabotages[] = {{HARNESS_FLIP, "one bit flipped"}, {HARNESS_BEFORE, "the byte before"},
      {HARNESS_BEHIND, "the byte behind"}};

  if (!harness_find_test (kernel)) {
    verdict (false, kernel, "no family tests it");
    return;
  }
  planted_ops = kernel_ops_ref;
  h->only_case = 1;
  verdict (count_failures (h, kernel) == 0 && h->ref.failures == 0, kernel, "no error");
  planted_backend.host_memory = false;
  verdict (count_failures (h, kernel) == 0, kernel, "no error in memory of a device");
  planted_backend.host_memory = true;
  h->only_case = -1; /* one case is not enough: a NaN with a flipped bit is as good as before */
  h->stop_after = 1;
  for (int i = 0; i < COUNT (sabotages); i++) {
    h->sabotage = sabotages[i].how;
    verdict (count_failures (h, kernel) > 0, kernel, sabotages[i].what);
    h->sabotage = HARNESS_HONEST;
  }
}

int
harness_self_test (Harness *h)
{
  HarnessDevice *device = &h->devices[0];
  char why[256];

  h->quiet = true;
  h->n_devices = 1;
  h->ref.backend = kernel_open ("ref", why, sizeof why);
  device->backend = &planted_backend;
  harness_require (h->ref.backend && harness_open_queues (&h->ref, 1, 1) &&
                       harness_open_queues (device, 1, HARNESS_QUEUES),
      "the self-test has no queue");
  test_planted (h);
  for (int i = 0; i < harness_n_ops; i++)
    test_sabotage (h, harness_ops[i].name);
  printf ("%d passed, %d failed, 0 skipped\n", passed, failed);
  return failed ? 1 : 0;
}
