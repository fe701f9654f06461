/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * exec-alloc.c: nothing is allocated per frame. The program's own malloc counts while a run is in
 * progress, in any thread.
 */
#include "tests/check.h"
#include "tests/engine/net.h"
#include "tests/sanitized.h"

#include <errno.h>
#include <malloc.h>
#include <stdatomic.h>

#if SANITIZED_ADDRESS || !defined __GLIBC__

int
main (void)
{
  printf ("SKIP malloc cannot be replaced here: a sanitizer has done so, or the C library is not "
          "glibc\n0 passed, 0 failed, 1 skipped\n");
  return 77;
}

#else

/* glibc lets a program define these, and keeps its own under these names. */
void *__libc_malloc (size_t size);
void *__libc_calloc (size_t n, size_t size);
void *__libc_realloc (void *memory, size_t size);
void *__libc_memalign (size_t alignment, size_t size);

/* The libraries must find these: the project hides its symbols. */
#define EXPORTED __attribute__ ((visibility ("default")))

static atomic_bool counting;
static atomic_int allocations;

static void
count (void)
{
  if (counting)
    allocations++;
}

EXPORTED void *
malloc (size_t size)
{
  count ();
  return __libc_malloc (size);
}

EXPORTED void *
calloc (size_t n, size_t size)
{
  count ();
  return __libc_calloc (n, size);
}

EXPORTED void *
realloc (void *memory, size_t size)
{
  count ();
  return __libc_realloc (memory, size);
}

EXPORTED void *
memalign (size_t alignment, size_t size)
{
  count ();
  return __libc_memalign (alignment, size);
}

EXPORTED void *
aligned_alloc (size_t alignment, size_t size)
{
  count ();
  return __libc_memalign (alignment, size);
}

EXPORTED int
posix_memalign (void **memory, size_t alignment, size_t size)
{
  count ();
  *memory = __libc_memalign (alignment, size);
  return *memory ? 0 : ENOMEM;
}

/* --- */

static void
test_the_counter (void)
{
  counting = true;
  char *volatile memory = g_strdup ("x");
  counting = false;
  CHECK_INT (allocations, ==, 1);
  g_free (memory);
}

static void
check_runs (Engine *engine, KernelBackend *backend, guint32 seed)
{
  g_autoptr (EngineExec) exec = engine_exec_new (engine, backend, 4, 3, NULL);

  CHECK (exec);
  for (int i = 0; i < 4; i++)
    net_fill_input (engine, exec, i, seed, i);
  allocations = 0;
  counting = true;
  gboolean ok = TRUE;
  for (int batch = 1; batch <= 4; batch++)
    ok = ok && engine_exec_run (exec, batch, NULL);
  counting = false;
  CHECK (ok);
  CHECK_INT (allocations, ==, 0);
}

static void
check_backend (const char *name)
{
  KernelBackend *backend = net_backend (name);

  for (guint32 seed = 1; seed <= 100 && !check_failures_in_test; seed++) {
    g_autoptr (EngineGraph) graph = net_random (seed);
    g_autoptr (Engine) int8 = net_engine_int8 (graph, ENGINE_RANGES_FULL, seed);
    g_autoptr (Engine) fp32 = net_engine (g_steal_pointer (&graph));

    check_runs (int8, backend, seed);
    check_runs (fp32, backend, seed);
  }
  kernel_close (backend);
}

static void
test_ref (void)
{
  check_backend ("ref");
}

static void
test_cpu (void)
{
  check_backend ("cpu");
}

int
main (void)
{
  RUN (test_the_counter);
  RUN (test_ref);
  RUN (test_cpu);
  return check_done ();
}

#endif
