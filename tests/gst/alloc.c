/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * alloc.c: int8infer allocates nothing per frame: every malloc between two frames in the steady state
 * is traced to who asked for it. What GStreamer allocates on the element's behalf (a GstMeta, the
 * GstStructure in it) is counted apart and printed; the project's own code must ask for nothing.
 */
#include "tests/gst/common.h"
#include "tests/sanitized.h"

#include <errno.h>
#include <execinfo.h>
#include <stdio.h>
#include <string.h>

#if !defined(__GLIBC__) || SANITIZED_ADDRESS || SANITIZED_THREAD

int
main (void)
{
  printf ("SKIP alloc: malloc can be watched with glibc, and without sanitizers\n");
  return 77;
}

#else

extern void *__libc_malloc (size_t size);
extern void *__libc_calloc (size_t n, size_t size);
extern void *__libc_realloc (void *memory, size_t size);
extern void *__libc_memalign (size_t alignment, size_t size);

/* Seen by all libraries of the process, though the project hides its symbols by default. */
#define EXPORT __attribute__ ((visibility ("default")))
EXPORT void *malloc (size_t size);
EXPORT void *calloc (size_t n, size_t size);
EXPORT void *realloc (void *memory, size_t size);
EXPORT void *aligned_alloc (size_t alignment, size_t size);
EXPORT int posix_memalign (void **memory, size_t alignment, size_t size);

typedef enum { OWNER_OURS, OWNER_GSTREAMER, OWNER_OTHER, OWNER_COUNT } Owner;

/* Where a library's code lies. */
typedef struct {
  guintptr from, to;
  Owner owner;
} Range;

static Range ranges[64];
static guint n_ranges;
static int watching; /* atomic */
static int counts[OWNER_COUNT];
static void *first_ours[24]; /* the stack of the first allocation of ours, to be printed */
static int n_first_ours;
static __thread gboolean inside;

/* The innermost caller that is neither the C library nor GLib answers for an allocation. */
static Owner
find_owner (void **stack, int n)
{
  for (int i = 0; i < n; i++)
    for (guint r = 0; r < n_ranges; r++)
      if ((guintptr) stack[i] >= ranges[r].from && (guintptr) stack[i] < ranges[r].to)
        return ranges[r].owner;
  return OWNER_OTHER;
}

static void
note (void)
{
  void *stack[24];
  Owner owner;
  int n;

  if (!g_atomic_int_get (&watching) || inside)
    return;
  inside = TRUE;
  n = backtrace (stack, G_N_ELEMENTS (stack));
  owner = find_owner (stack, n);
  if (g_atomic_int_add (&counts[owner], 1) == 0 && owner == OWNER_OURS) {
    memcpy (first_ours, stack, sizeof stack);
    n_first_ours = n;
  }
  inside = FALSE;
}

void *
malloc (size_t size)
{
  note ();
  return __libc_malloc (size);
}

void *
calloc (size_t n, size_t size)
{
  note ();
  return __libc_calloc (n, size);
}

void *
realloc (void *memory, size_t size)
{
  note ();
  return __libc_realloc (memory, size);
}

void *
aligned_alloc (size_t alignment, size_t size)
{
  note ();
  return __libc_memalign (alignment, size);
}

int
posix_memalign (void **memory, size_t alignment, size_t size)
{
  note ();
  *memory = __libc_memalign (alignment, size);
  return *memory ? 0 : ENOMEM;
}

static void
read_ranges (void)
{
  static const struct {
    const char *library;
    Owner owner;
  } owners[] = {{"/libgstint8.so", OWNER_OURS}, {"/libgstreamer-1.0.so", OWNER_GSTREAMER},
      {"/libgstbase-1.0.so", OWNER_GSTREAMER}, {"/libgstvideo-1.0.so", OWNER_GSTREAMER},
      {"/libgstcheck-1.0.so", OWNER_OTHER}};
  FILE *maps = fopen ("/proc/self/maps", "r");
  char line[1024];

  n_ranges = 0;
  while (maps && fgets (line, sizeof line, maps))
    for (guint o = 0; o < G_N_ELEMENTS (owners); o++) {
      unsigned long from, to;
      char flags[8];

      if (strstr (line, owners[o].library) &&
          sscanf (line, "%lx-%lx %7s", &from, &to, flags) == 3 && strchr (flags, 'x') &&
          n_ranges < G_N_ELEMENTS (ranges))
        ranges[n_ranges++] = (Range){from, to, owners[o].owner};
    }
  fail_unless (maps != NULL);
  fclose (maps);
}

#define WARM_UP 20
#define FRAMES  50

static void
push_and_pull (TestElement *test, GstBuffer **buffers, guint n, guint burst)
{
  for (guint i = 0; i < n; i += burst) {
    for (guint j = i; j < MIN (i + burst, n); j++)
      fail_unless_equals_int (gst_harness_push (test->h, g_steal_pointer (&buffers[j])),
          GST_FLOW_OK);
    for (guint j = i; j < MIN (i + burst, n); j++)
      gst_buffer_unref (gst_harness_pull (test->h));
  }
}

static const struct {
  const char *launch;
  GstVideoFormat format;
  guint burst;
} cases[] = {
    {"int8infer metadata=none", GST_VIDEO_FORMAT_I420, 1},
    {"int8infer metadata=none precision=fp32", GST_VIDEO_FORMAT_RGB, 1},
    /* A device records each size of batch when it first comes, which may be late. */
    {"int8infer metadata=none batch-size=4 backend=cpu", GST_VIDEO_FORMAT_NV12, 4},
    {"int8infer metadata=roi top-k=5", GST_VIDEO_FORMAT_BGRx, 1},
    {"int8infer metadata=custom top-k=5", GST_VIDEO_FORMAT_GRAY8, 1},
    {"int8infer metadata=both top-k=1", GST_VIDEO_FORMAT_I420, 1},
};

GST_START_TEST (test_no_allocation)
{
  TestElement test =
      test_infer_new (cases[__i__].launch, test_caps (cases[__i__].format, 320, 240));
  GstBuffer *buffers[WARM_UP + FRAMES];
  void *stack[4];

  for (guint i = 0; i < G_N_ELEMENTS (buffers); i++)
    buffers[i] = test_frame (cases[__i__].format, 320, 240, i);
  backtrace (stack, G_N_ELEMENTS (stack)); /* the first one loads a library */
  push_and_pull (&test, buffers, WARM_UP, cases[__i__].burst);
  read_ranges ();

  g_atomic_int_set (&watching, TRUE);
  push_and_pull (&test, buffers + WARM_UP, FRAMES, cases[__i__].burst);
  g_atomic_int_set (&watching, FALSE);

  printf ("%-42s %d of ours, %.1f of GStreamer's, %.1f of the harness per frame\n",
      cases[__i__].launch, counts[OWNER_OURS], (double) counts[OWNER_GSTREAMER] / FRAMES,
      (double) counts[OWNER_OTHER] / FRAMES);
  fflush (stdout);
  if (n_first_ours)
    backtrace_symbols_fd (first_ours, n_first_ours, 1);
  fail_unless_equals_int (counts[OWNER_OURS], 0);
  /* The watch is awake: the harness allocates for every frame. */
  fail_unless (counts[OWNER_OTHER] + counts[OWNER_GSTREAMER] >= FRAMES);
  test_element_free (&test);
}
GST_END_TEST;

/* The watch sees an allocation of ours where there is one: new caps make new tables. */
GST_START_TEST (test_watch)
{
  TestElement test =
      test_infer_new ("int8infer metadata=none", test_caps (GST_VIDEO_FORMAT_I420, 64, 48));
  GstBuffer *buffer = test_frame (GST_VIDEO_FORMAT_I420, 64, 48, 1);
  void *stack[4];

  backtrace (stack, G_N_ELEMENTS (stack));
  push_and_pull (&test, &buffer, 1, 1);
  read_ranges ();
  buffer = test_frame (GST_VIDEO_FORMAT_I420, 640, 480, 1);
  gst_harness_set_src_caps (test.h, test_caps (GST_VIDEO_FORMAT_I420, 640, 480));
  g_atomic_int_set (&watching, TRUE);
  push_and_pull (&test, &buffer, 1, 1);
  g_atomic_int_set (&watching, FALSE);
  fail_unless (counts[OWNER_OURS] > 0);
  test_element_free (&test);
}
GST_END_TEST;

static Suite *
make_suite (void)
{
  Suite *suite = suite_create ("allocations");
  TCase *tcase = tcase_create ("allocations");

  tcase_set_timeout (tcase, 60);
  tcase_add_checked_fixture (tcase, test_setup, test_teardown);
  tcase_add_loop_test (tcase, test_no_allocation, 0, G_N_ELEMENTS (cases));
  tcase_add_test (tcase, test_watch);
  suite_add_tcase (suite, tcase);
  return suite;
}

int
main (int argc, char **argv)
{
  return test_main (argc, argv, "alloc", make_suite);
}

#endif
