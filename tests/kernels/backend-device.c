/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * backend-device.c: what a back end with memory of its own has besides: recordings, failures, and
 * threads that know nothing of its device. Skipped where there is none.
 */
#include "kernels/kernels.h"
#include "tests/check.h"

#include <dlfcn.h>
#include <pthread.h>

#define SIZE 1000

static KernelBackend *backend;

/* Device memory for y = lut[x]. */
typedef struct {
  int8_t *x, *y, *lut;
} Memory;

static Memory
memory_new (KernelQueue *queue)
{
  Memory m = {backend->alloc (backend, SIZE), backend->alloc (backend, SIZE),
      backend->alloc (backend, 256)};
  int8_t lut[256];

  for (int v = 0; v < 256; v++)
    lut[v] = (int8_t) (v - 127); /* x + 1 */
  backend->upload (queue, m.lut, lut, sizeof lut);
  CHECK (backend->queue_wait (queue) == NULL);
  return m;
}

static void
memory_free (Memory *m)
{
  backend->free (backend, m->x);
  backend->free (backend, m->y);
  backend->free (backend, m->lut);
}

static void
queue_lut (KernelQueue *queue, const Memory *m, const int8_t *x, int8_t *y)
{
  backend->upload (queue, m->x, x, SIZE);
  backend->ops->lut_s8 (&(KernelLutS8){.size = SIZE, .x = m->x, .lut = m->lut, .y = m->y}, queue);
  backend->download (queue, y, m->y, SIZE);
}

static void
fill (int8_t *x, int seed)
{
  for (int i = 0; i < SIZE; i++)
    x[i] = (int8_t) (i * 7 + seed);
}

static int
count_wrong (const int8_t *x, const int8_t *y)
{
  int wrong = 0;

  for (int i = 0; i < SIZE; i++)
    wrong += y[i] != (int8_t) (x[i] + 1);
  return wrong;
}

/* Recorded, not run; then as often as wanted, with what is in memory at the time. */
static void
test_recording (void)
{
  KernelQueue *queue = backend->queue_new (backend, 1);
  Memory m = memory_new (queue);
  int8_t x[SIZE], y[SIZE];
  KernelRecording *recording;

  memset (y, 99, sizeof y);
  fill (x, 0);
  backend->record_begin (queue);
  queue_lut (queue, &m, x, y);
  recording = backend->record_end (queue);
  CHECK (recording != NULL);
  CHECK_STR (backend->queue_wait (queue) ? "failed" : "fine", "fine");
  CHECK (y[0] == 99 && y[SIZE - 1] == 99);
  for (int seed = 0; recording && seed < 3; seed++) {
    fill (x, seed);
    backend->replay (queue, recording);
    CHECK (backend->queue_wait (queue) == NULL);
    CHECK_INT (count_wrong (x, y), ==, 0);
  }
  if (recording)
    backend->recording_free (queue, recording);
  memory_free (&m);
  backend->queue_free (queue);
}

/* Two recordings of one queue, replayed in turn between calls that are not recorded. */
static void
test_recordings_in_turn (void)
{
  KernelQueue *queue = backend->queue_new (backend, 1);
  Memory m = memory_new (queue);
  int8_t x[2][SIZE], y[2][SIZE], direct[SIZE];
  KernelRecording *recordings[2];

  for (int i = 0; i < 2; i++) {
    fill (x[i], i * 50);
    backend->record_begin (queue);
    queue_lut (queue, &m, x[i], y[i]);
    recordings[i] = backend->record_end (queue);
    CHECK (recordings[i] != NULL);
  }
  for (int i = 0; i < 4 && recordings[0] && recordings[1]; i++) {
    memset (y, 0, sizeof y);
    backend->replay (queue, recordings[i % 2]);
    queue_lut (queue, &m, x[1 - i % 2], direct);
    CHECK (backend->queue_wait (queue) == NULL);
    CHECK_INT (count_wrong (x[i % 2], y[i % 2]), ==, 0);
    CHECK_INT (count_wrong (x[1 - i % 2], direct), ==, 0);
  }
  for (int i = 0; i < 2; i++)
    if (recordings[i])
      backend->recording_free (queue, recordings[i]);
  memory_free (&m);
  backend->queue_free (queue);
}

/* A failure is told once, with what failed, and the queue works afterwards. */
static void
test_failure (void)
{
  KernelQueue *queue = backend->queue_new (backend, 1);
  Memory m = memory_new (queue);
  int8_t x[SIZE], y[SIZE] = {0};
  const char *failure;

  fill (x, 3);
  backend->upload (queue, (void *) 16, x, SIZE); /* nobody's memory */
  queue_lut (queue, &m, x, y);                   /* not run any more */
  failure = backend->queue_wait (queue);
  CHECK (failure && strstr (failure, "upload"));
  printf ("  \"%s\"\n", failure ? failure : "");
  CHECK (backend->queue_wait (queue) == NULL);
  CHECK (y[0] == 0 && y[SIZE - 1] == 0);
  queue_lut (queue, &m, x, y);
  CHECK (backend->queue_wait (queue) == NULL);
  CHECK_INT (count_wrong (x, y), ==, 0);
  memory_free (&m);
  backend->queue_free (queue);
}

/* record_end() gives nothing when something between failed, and queue_wait() says what. */
static void
test_failed_recording (void)
{
  KernelQueue *queue = backend->queue_new (backend, 1);
  Memory m = memory_new (queue);
  int8_t x[SIZE], y[SIZE];
  const char *failure;

  fill (x, 4);
  backend->record_begin (queue);
  backend->upload (queue, (void *) 16, x, SIZE);
  KernelRecording *recording = backend->record_end (queue);
  failure = backend->queue_wait (queue);
  CHECK (recording == NULL);
  CHECK (failure && strlen (failure) > 10);
  printf ("  \"%s\"\n", failure ? failure : "");
  if (recording)
    backend->recording_free (queue, recording);
  queue_lut (queue, &m, x, y);
  CHECK (backend->queue_wait (queue) == NULL);
  CHECK_INT (count_wrong (x, y), ==, 0);
  memory_free (&m);
  backend->queue_free (queue);
}

#define THREADS 4

static void *
run_thread (void *data)
{
  int *wrong = data;
  KernelQueue *queue = backend->queue_new (backend, 1);
  int8_t x[SIZE], y[SIZE];

  if (!queue)
    return NULL;
  *wrong = 0;
  for (int seed = 0; seed < 20; seed++) {
    Memory m = memory_new (queue);

    fill (x, seed);
    queue_lut (queue, &m, x, y);
    if (backend->queue_wait (queue))
      *wrong += SIZE;
    *wrong += count_wrong (x, y);
    memory_free (&m);
  }
  backend->queue_free (queue);
  return NULL;
}

/* Each thread has a queue of its own, and allocates while the others run. */
static void
test_threads (void)
{
  pthread_t threads[THREADS];
  int wrong[THREADS];

  for (int i = 0; i < THREADS; i++) {
    wrong[i] = -1;
    CHECK_INT (pthread_create (&threads[i], NULL, run_thread, &wrong[i]), ==, 0);
  }
  for (int i = 0; i < THREADS; i++) {
    pthread_join (threads[i], NULL);
    CHECK_INT (wrong[i], ==, 0);
  }
}

/* A context that the caller has made current, as GStreamer's elements do, is not used and stays. The
 * driver's own functions; handles are pointers. */
static void
test_other_context (void)
{
  void *driver = dlopen ("libcuda.so.1", RTLD_NOW);
  int (*create) (void **context, unsigned flags, int device);
  int (*get) (void **context);
  int (*destroy) (void *context);
  void *context = NULL, *current = NULL;
  int wrong = -1;

  CHECK (driver != NULL);
  if (!driver)
    return;
  *(void **) &create = dlsym (driver, "cuCtxCreate_v2");
  *(void **) &get = dlsym (driver, "cuCtxGetCurrent");
  *(void **) &destroy = dlsym (driver, "cuCtxDestroy_v2");
  CHECK (create && get && destroy);
  if (!create || !get || !destroy)
    return;
  CHECK_INT (create (&context, 0, 0), ==, 0);
  run_thread (&wrong);
  CHECK_INT (wrong, ==, 0);
  test_recording ();
  CHECK_INT (get (&current), ==, 0);
  CHECK (current == context);
  CHECK_INT (destroy (context), ==, 0);
  run_thread (&wrong);
  CHECK_INT (wrong, ==, 0);
}

/* Another object for the same device does not disturb the first, and works after it was closed. */
static void
test_open_again (void)
{
  KernelBackend *first = backend;
  char why[320];

  for (int round = 0; round < 2; round++) {
    backend = kernel_open ("cuda:0", why, sizeof why);
    CHECK (backend != NULL);
    if (backend) {
      test_recording ();
      kernel_close (backend);
    }
    if (round == 0)
      kernel_close (first);
  }
  backend = kernel_open ("cuda:0", why, sizeof why);
  CHECK (backend != NULL);
}

int
main (void)
{
  char why[320];

  backend = kernel_open ("cuda:0", why, sizeof why);
  if (!backend) {
    printf ("SKIP cuda:0: %s\n0 passed, 0 failed, 1 skipped\n", why);
    return 77;
  }
  printf ("%s, %s\n", backend->name, backend->description);
  RUN (test_recording);
  RUN (test_recordings_in_turn);
  RUN (test_failure);
  RUN (test_failed_recording);
  RUN (test_threads);
  RUN (test_other_context);
  RUN (test_open_again);
  kernel_close (backend);
  return check_done ();
}
