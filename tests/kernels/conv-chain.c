/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * conv-chain.c: convolutions one behind the other, as in a residual block: on a device a kernel may
 * start before the one before it has ended, and has to wait for what it reads. The end of the block is
 *
 *     a = A (x);  r = B (x);  r = C (a) + r, in place
 *
 * with every way to compute B and C, many times, alone and recorded; each time the bytes must be
 * those of kernels that were waited for one by one. Skipped where there is no device.
 */
#include "kernels/kernels.h"
#include "tests/check.h"

#include <stdlib.h>

#define IMAGES 8
#define SIDE   14
#define NARROW 256
#define WIDE   1024
#define PIXELS (IMAGES * SIDE * SIDE)
#define TIMES  40

static KernelBackend *backend;
static KernelQueue *queue;

typedef struct {
  KernelConvS8 args;
  int8_t *w;
  void *packed; /* on the device, of args.shape.tactic */
} Conv;

static Conv convs[3]; /* A, B, C */
static int8_t *outputs[3], *scratch;
static size_t scratch_size;

static uint32_t
draw (void)
{
  static uint32_t state = 1;

  state = state * 1664525 + 1013904223;
  return state >> 8;
}

static void *
upload (const void *host, size_t size)
{
  void *device = backend->alloc (backend, size);

  if (!device) {
    printf ("no memory on the device\n");
    exit (1);
  }
  backend->upload (queue, device, host, size);
  CHECK (backend->queue_wait (queue) == NULL);
  return device;
}

/* --- The convolutions ----------------------------------------------------------------------- */

static void
make (Conv *conv, const int8_t *x, int8_t *y, int oc)
{
  const KernelConvShape shape = {IMAGES, SIDE, SIDE, NARROW, SIDE, SIDE, oc, 1, 1, 1, 1, 1, 1, 0, 0,
      1};
  float m[WIDE], b[WIDE];

  conv->w = malloc ((size_t) oc * NARROW);
  for (int i = 0; i < oc * NARROW; i++)
    conv->w[i] = (int8_t) ((int) (draw () % 255) - 127);
  for (int i = 0; i < oc; i++) {
    m[i] = 40.0f / (16 * 73 * 73);
    b[i] = (float) (draw () % 100) * 0.37f - 20;
  }
  conv->args = (KernelConvS8){.shape = shape,
      .x = x,
      .y = y,
      .m = upload (m, oc * sizeof *m),
      .b = upload (b, oc * sizeof *b),
      .lo = -128,
      .hi = 127};
}

static void
choose (Conv *conv, int tactic)
{
  KernelConvShape *shape = &conv->args.shape;
  size_t size;
  void *host;

  shape->tactic = tactic;
  size = backend->ops->conv_s8_pack (shape, 0, conv->w, NULL);
  host = malloc (size);
  backend->ops->conv_s8_pack (shape, 0, conv->w, host);
  if (conv->packed)
    backend->free (backend, conv->packed);
  conv->args.w = conv->packed = upload (host, size);
  free (host);
  size = backend->ops->conv_s8_scratch (shape, queue);
  if (size <= scratch_size)
    return;
  if (scratch)
    backend->free (backend, scratch);
  scratch = backend->alloc (backend, size);
  scratch_size = size;
  CHECK (scratch != NULL);
}

static void
call (Conv *conv)
{
  conv->args.scratch = scratch;
  backend->ops->conv_s8 (&conv->args, queue);
}

/* --- The block ------------------------------------------------------------------------------ */

static void
setup (void)
{
  int8_t *x = malloc ((size_t) PIXELS * NARROW), *device;
  int8_t *a = backend->alloc (backend, (size_t) PIXELS * NARROW);
  int8_t *r = backend->alloc (backend, (size_t) PIXELS * WIDE);

  CHECK (a && r);
  for (int i = 0; i < PIXELS * NARROW; i++)
    x[i] = (int8_t) draw ();
  device = upload (x, (size_t) PIXELS * NARROW);
  free (x);
  make (&convs[0], device, a, NARROW);
  make (&convs[1], device, r, WIDE);
  make (&convs[2], a, r, WIDE);
  convs[2].args.r = r;
  convs[2].args.mr = 0.7f;
  outputs[0] = a;
  outputs[1] = outputs[2] = r;
}

static void
fetch (int8_t *block)
{
  backend->download (queue, block, outputs[2], (size_t) PIXELS * WIDE);
  CHECK (backend->queue_wait (queue) == NULL);
}

static int
count_wrong (const int8_t *expected, KernelRecording *recording)
{
  int8_t *got = malloc ((size_t) PIXELS * WIDE);
  int wrong = 0;

  for (int i = 0; i < TIMES; i++) {
    memset (got, 0x11, (size_t) PIXELS * WIDE); /* what a kernel that does not wait may find */
    backend->upload (queue, outputs[0], got, (size_t) PIXELS * NARROW);
    backend->upload (queue, outputs[2], got, (size_t) PIXELS * WIDE);
    CHECK (backend->queue_wait (queue) == NULL);
    if (recording && i % 2)
      backend->replay (queue, recording);
    else
      for (int k = 0; k < 3; k++)
        call (&convs[k]);
    fetch (got);
    wrong += memcmp (got, expected, (size_t) PIXELS * WIDE) != 0;
  }
  free (got);
  return wrong;
}

static void
check_ways_of (int changed, const int8_t *expected)
{
  const char *name;

  for (int tactic = 1; (name = backend->ops->conv_s8_tactic (&convs[changed].args.shape, tactic));
       tactic++) {
    KernelRecording *recording = NULL;
    int wrong;

    for (int k = 0; k < 3; k++)
      choose (&convs[k], k == changed ? tactic : 0);
    call (&convs[changed]); /* what is made at the first call is made now */
    CHECK (backend->queue_wait (queue) == NULL);
    if (backend->record_begin) {
      backend->record_begin (queue);
      for (int k = 0; k < 3; k++)
        call (&convs[k]);
      recording = backend->record_end (queue);
      CHECK (recording != NULL);
    }
    wrong = count_wrong (expected, recording);
    if (wrong)
      CHECK_FAIL ("%s as convolution %c: %d of %d runs are wrong", name, "ABC"[changed], wrong,
          TIMES);
    if (recording)
      backend->recording_free (queue, recording);
  }
}

static void
test_chain (void)
{
  int8_t *expected = malloc ((size_t) PIXELS * WIDE);

  setup ();
  for (int k = 0; k < 3; k++) {
    choose (&convs[k], 0);
    call (&convs[k]);
    CHECK (backend->queue_wait (queue) == NULL);
  }
  fetch (expected);
  check_ways_of (1, expected);
  check_ways_of (2, expected);
  free (expected);
}

int
main (int argc, char **argv)
{
  char why[320];

  backend = kernel_open (argc > 1 ? argv[1] : "cuda", why, sizeof why);
  if (!backend) {
    printf ("SKIP %s\n0 passed, 0 failed, 1 skipped\n", why);
    return 77;
  }
  queue = backend->queue_new (backend, 0);
  printf ("%s, %s\n", backend->name, backend->description);
  RUN (test_chain);
  return check_done (); /* the process ends: what it allocated is not given back */
}
