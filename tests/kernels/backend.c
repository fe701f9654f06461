/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * backend.c: opening back ends by name, their memory and their queues.
 */
#include "kernels/kernels.h"
#include "tests/check.h"
#include "tests/sanitized.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#if SANITIZED_ADDRESS
/* A request that no memory can serve is a part of the test, not an error. */
const char *__asan_default_options (void) __attribute__ ((visibility ("default")));

const char *
__asan_default_options (void)
{
  return "allocator_may_return_null=1";
}
#endif

/* The last one where this machine has it. */
static const char *const names[] = {"ref", "cpu", "cuda:0"};
static int n_names = 2;

static void
look_for_cuda (void)
{
  char why[320];
  KernelBackend *backend = kernel_open ("cuda:0", why, sizeof why);

  if (backend)
    n_names = 3;
  else
    printf ("SKIP cuda:0: %s\n", why);
  kernel_close (backend);
}

static void
test_open (void)
{
  for (int i = 0; i < n_names; i++) {
    char why[128] = "";
    KernelBackend *backend = kernel_open (names[i], why, sizeof why);

    CHECK (backend != NULL);
    CHECK_STR (backend->name, names[i]);
    CHECK (backend->description[0] != '\0');
    kernel_close (backend);
  }
}

static void
test_close_null (void)
{
  kernel_close (NULL);
}

static void
test_unknown_name (void)
{
  static const char *const unknown[] = {"", "gpu", "cpu ", "refx", "cudax", "CPU"};

  for (size_t i = 0; i < sizeof unknown / sizeof *unknown; i++) {
    char why[128] = "";

    CHECK (kernel_open (unknown[i], why, sizeof why) == NULL);
    CHECK (strstr (why, "no back end") != NULL && strstr (why, "ref, cpu") != NULL);
  }
}

/* The cause is cut to the caller's memory, and terminated. */
static void
test_why_is_cut (void)
{
  char why[8] = "xxxxxxx";

  CHECK (kernel_open ("something", why, 5) == NULL);
  CHECK_INT (strlen (why), ==, 4);
  CHECK (why[5] == 'x');
}

/* A device that is not there is refused with its name; one that is there opens. */
static void
test_cuda (void)
{
  static const char *const devices[] = {"cuda", "cuda:0", "cuda:7"};

  for (size_t i = 0; i < sizeof devices / sizeof *devices; i++) {
    char why[256] = "";
    KernelBackend *backend = kernel_open (devices[i], why, sizeof why);

    CHECK (backend || strlen (why) > 10);
    kernel_close (backend);
  }
}

static void
check_cuda_refused (const char *name, const char *words)
{
  char why[512] = "";
  KernelBackend *backend = kernel_open (name, why, sizeof why);

  CHECK (backend == NULL);
  if (!strstr (why, words))
    CHECK_FAIL ("%s: \"%s\" does not say \"%s\"", name, why, words);
  kernel_close (backend);
}

/* What is wrong with a name or with the module is told, whether there is a device or not. */
static void
test_cuda_module (void)
{
  static const char *const wrong[] = {"cuda:", "cuda:x", "cuda:-1", "cuda:1000", "cuda:0 "};
  const char *path = getenv ("INT8_CUDA_MODULE");
  char *kept = path ? strdup (path) : NULL;

  for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
    check_cuda_refused (wrong[i], "not a CUDA device");
  setenv ("INT8_CUDA_MODULE", "/nowhere/module.so", 1);
  check_cuda_refused ("cuda:0", "/nowhere/module.so, which cannot be read");
  setenv ("INT8_CUDA_MODULE", "/proc/self/exe", 1); /* a program, not a library */
  check_cuda_refused ("cuda:0", "does not load");
  unsetenv ("INT8_CUDA_MODULE");
  if (kept)
    setenv ("INT8_CUDA_MODULE", kept, 1);
  free (kept);
}

static bool
is_cuda (const char *name)
{
  return strncmp (name, "cuda", 4) == 0;
}

/* A NULL slot is an operation that the planner must refuse: `cpu` has no halves. Pictures are read at once
 * by devices, in passes by `cpu`; `ref` has all. */
static void
test_tables_are_complete (void)
{
  for (int i = 0; i < n_names; i++) {
    char why[128];
    KernelBackend *backend = kernel_open (names[i], why, sizeof why);
    const KernelOps *ops = backend->ops;

    CHECK (ops->conv_s8_pack && ops->conv_f32_pack);
    CHECK (ops->conv_s8_scratch && ops->conv_f32_scratch);
#define KERNEL_OP(name, Args)     CHECK (ops->name != NULL);
#define KERNEL_OP_F16(name, Args) CHECK ((ops->name != NULL) == (strcmp (names[i], "cpu") != 0));
#define KERNEL_OP_PICTURE         KERNEL_OP_F16
#define KERNEL_OP_PASS(name, Args) CHECK ((ops->name != NULL) == !is_cuda (names[i]));
#include "kernels/kernel-ops.inc"
#undef KERNEL_OP
    kernel_close (backend);
  }
}

static void
test_memory (void)
{
  static const size_t sizes[] = {0, 1, 63, 64, 65, 100000};

  for (int i = 0; i < n_names; i++) {
    char why[128];
    KernelBackend *backend = kernel_open (names[i], why, sizeof why);
    KernelQueue *queue = backend->queue_new (backend, 1);

    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
      unsigned char *host = malloc (sizes[s] + 1), *back = calloc (1, sizes[s] + 1);
      void *memory = backend->alloc (backend, sizes[s]);

      CHECK (memory != NULL);
      CHECK_INT ((uintptr_t) memory % KERNEL_ALIGN, ==, 0);
      memset (host, 0x5a, sizes[s] + 1);
      backend->upload (queue, memory, host, sizes[s]);
      backend->download (queue, back, memory, sizes[s]);
      CHECK (backend->queue_wait (queue) == NULL);
      CHECK (memcmp (host, back, sizes[s]) == 0);
      CHECK_INT (back[sizes[s]], ==, 0);
      backend->free (backend, memory);
      free (host);
      free (back);
    }
    CHECK (backend->alloc (backend, SIZE_MAX / 2) == NULL);
    backend->queue_free (queue);
    kernel_close (backend);
  }
}

/* 0 threads takes what the process may use. Several queues live side by side. */
static void
test_queues (void)
{
  for (int i = 0; i < n_names; i++) {
    static const int8_t x[3] = {-128, 0, 127};
    int8_t lut[256], y[3];
    char why[128];
    KernelBackend *backend = kernel_open (names[i], why, sizeof why);
    int8_t *memory = backend->alloc (backend, 262); /* lut, x, y */
    KernelQueue *queues[5];

    for (int v = 0; v < 256; v++)
      lut[v] = (int8_t) (v - 127);
    for (int q = 0; q < 5; q++) {
      queues[q] = backend->queue_new (backend, q);
      CHECK (queues[q] != NULL);
    }
    for (int q = 0; q < 5; q++) {
      memset (y, 0, sizeof y);
      backend->upload (queues[q], memory, lut, 256);
      backend->upload (queues[q], memory + 256, x, 3);
      backend->ops->lut_s8 (
          &(KernelLutS8){.size = 3, .x = memory + 256, .lut = memory, .y = memory + 259},
          queues[q]);
      backend->download (queues[q], y, memory + 259, 3);
      CHECK (backend->queue_wait (queues[q]) == NULL);
      CHECK (y[0] == -127 && y[1] == 1 && y[2] == -128);
      backend->queue_free (queues[q]);
    }
    backend->free (backend, memory);
    kernel_close (backend);
  }
}

typedef struct {
  atomic_int done[100];
  atomic_int busy[8];
  int lanes;
  bool bad;
} Pieces;

/* Another piece on the same lane at the same time, or a queue that is not the lane's, shows. */
static void
one_piece (void *ctx, int piece, int lane, KernelQueue *queue)
{
  Pieces *pieces = ctx;

  if (lane < 0 || lane >= pieces->lanes || !queue || atomic_fetch_add (&pieces->busy[lane], 1) != 0)
    pieces->bad = true;
  atomic_fetch_add (&pieces->done[piece], 1);
  atomic_fetch_sub (&pieces->busy[lane], 1);
}

static void
test_pieces (void)
{
  for (int i = 0; i < n_names; i++) {
    char why[128];
    KernelBackend *backend = kernel_open (names[i], why, sizeof why);

    CHECK ((backend->queue_lanes != NULL) == backend->host_memory);
    for (int threads = 1; backend->queue_lanes && threads <= 8; threads += 3) {
      KernelQueue *queue = backend->queue_new (backend, threads);
      Pieces pieces = {.lanes = backend->queue_lanes (queue)};

      CHECK (pieces.lanes == threads || pieces.lanes == 1);
      for (int count = 0; count <= 100; count += 25) {
        memset (pieces.done, 0, sizeof pieces.done);
        backend->queue_each (queue, one_piece, &pieces, count);
        for (int p = 0; p < 100; p++)
          CHECK_INT (pieces.done[p], ==, p < count);
      }
      CHECK (!pieces.bad);
      backend->queue_free (queue);
    }
    kernel_close (backend);
  }
}

/* Every shape has a way, the numbers end, and each name stands for one way, whatever the images. */
static void
check_tactics (KernelConvTacticFn name, KernelConvShape shape)
{
  const char *names[32] = {0};
  int count = 0;

  CHECK (name (&shape, 0) && !name (&shape, -1) && !name (&shape, 1000));
  while (count < 31 && (names[count] = name (&shape, count + 1)))
    count++;
  CHECK (count < 31);
  shape.n = 16;
  for (int i = 0; i < count; i++) {
    CHECK_STR (name (&shape, i + 1), names[i]);
    for (int k = 0; k < i; k++)
      CHECK (strcmp (names[i], names[k]) != 0);
  }
}

static void
test_tactics (void)
{
  static const KernelConvShape shapes[] = {
      {1, 8, 8, 16, 8, 8, 32, 3, 3, 1, 1, 1, 1, 1, 1, 1},
      {1, 56, 56, 64, 56, 56, 256, 1, 1, 1, 1, 1, 1, 0, 0, 1},
      {1, 7, 7, 512, 7, 7, 512, 3, 3, 1, 1, 1, 1, 1, 1, 1},
      {1, 9, 9, 24, 9, 9, 24, 3, 3, 1, 1, 2, 2, 2, 2, 24},
      {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 1},
  };

  for (int i = 0; i < n_names; i++) {
    char why[128];
    KernelBackend *backend = kernel_open (names[i], why, sizeof why);

    for (size_t k = 0; k < sizeof shapes / sizeof *shapes; k++) {
      KernelConvShape shape = shapes[k];

      for (shape.threads = 0; shape.threads <= 4; shape.threads++) {
        check_tactics (backend->ops->conv_s8_tactic, shape);
        check_tactics (backend->ops->conv_f32_tactic, shape);
      }
    }
    kernel_close (backend);
  }
}

/* The mask hides features; it never adds one. */
static void
test_cpu_mask (void)
{
  const unsigned all = kernel_cpu_flags ();

  for (unsigned mask = 0; mask < 32; mask++) {
    kernel_cpu_set_mask (mask);
    CHECK_INT (kernel_cpu_flags () & ~(all & mask), ==, 0);
  }
  for (int bit = 0; bit < 32; bit++) {
    const unsigned mask = ~(1u << bit);

    kernel_cpu_set_mask (mask);
    CHECK_INT (kernel_cpu_flags () & ~(all & mask), ==, 0);
  }
  kernel_cpu_set_mask (~(unsigned) KERNEL_CPU_NEON);
  CHECK_INT (kernel_cpu_flags () & KERNEL_CPU_NEON_DOT, ==, 0); /* it stands on the other */
  kernel_cpu_set_mask (~0u);
  CHECK_INT (kernel_cpu_flags (), ==, all);
}

int
main (void)
{
  look_for_cuda ();
  RUN (test_open);
  RUN (test_close_null);
  RUN (test_unknown_name);
  RUN (test_why_is_cut);
  RUN (test_cuda);
  RUN (test_cuda_module);
  RUN (test_tables_are_complete);
  RUN (test_memory);
  RUN (test_queues);
  RUN (test_pieces);
  RUN (test_tactics);
  RUN (test_cpu_mask);
  return check_done ();
}
