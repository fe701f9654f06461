/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* nvtx.c: the ranges that int8infer shows a profiler (gst/stages.h): their names, what is in what, how many. */
#include "tests/gst/common.h"

#include <dlfcn.h>
#include <stdio.h>

#include "tests/gst/nvtx-tool.h"

static NvtxToolCountsFunction *counts_of;

static guint
ended (const char *path)
{
  return counts_of (path).ended;
}

/* So many of each since `before`; and nothing else, whatever it is called. */
static void
check_counts (const guint before[6], guint loads, guint batches)
{
  fail_unless_equals_int (ended ("int8 load") - before[0], loads);
  fail_unless_equals_int (ended ("int8 batch") - before[1], batches);
  fail_unless_equals_int (ended ("int8 batch/int8 preprocess") - before[2], batches);
  fail_unless_equals_int (ended ("int8 batch/int8 run") - before[3], batches);
  fail_unless_equals_int (ended ("int8 wait") - before[4], batches);
  fail_unless_equals_int (ended (NULL) - before[5], loads + 4 * batches);
  fail_unless_equals_int (counts_of (NULL).open, 0);
  fail_unless_equals_int (counts_of (NULL).unopened, 0);
}

static void
count (guint counts[6])
{
  counts[0] = ended ("int8 load");
  counts[1] = ended ("int8 batch");
  counts[2] = ended ("int8 batch/int8 preprocess");
  counts[3] = ended ("int8 batch/int8 run");
  counts[4] = ended ("int8 wait");
  counts[5] = ended (NULL);
}

/* Frame by frame each is a batch; a network that is exchanged is one more that is loaded. */
GST_START_TEST (test_frames)
{
  TestElement test;
  guint before[6];

  count (before);
  test = test_infer_new ("int8infer", test_small_caps ());
  for (guint i = 0; i < 10; i++)
    gst_buffer_unref (gst_harness_push_and_pull (test.h, test_small_frame (i)));
  gst_structure_free (test_wait_message (test.bus, "int8-engine", 20));
  g_object_set (test.element, "precision", ENGINE_PRECISION_FP32, NULL);
  gst_structure_free (test_wait_message (test.bus, "int8-engine", 20));
  gst_buffer_unref (gst_harness_push_and_pull (test.h, test_small_frame (10)));
  test_element_free (&test);
  check_counts (before, 2, 11);
}
GST_END_TEST;

/* Threads of two streams run each other's pictures. */
GST_START_TEST (test_shared)
{
  TestElement tests[2];
  guint before[6], batches;

  count (before);
  for (guint i = 0; i < 2; i++)
    tests[i] = test_infer_new ("int8infer instance-id=nvtx batch-size=3", test_small_caps ());
  for (guint i = 0; i < 60; i++)
    gst_harness_push (tests[i % 2].h, test_small_frame (i));
  for (guint i = 0; i < 60; i++)
    gst_buffer_unref (gst_harness_pull (tests[i % 2].h));
  for (guint i = 0; i < 2; i++)
    test_element_free (&tests[i]);
  batches = ended ("int8 batch") - before[1];
  fail_unless (batches >= 20 && batches <= 60, "%u batches", batches);
  check_counts (before, 1, batches);
}
GST_END_TEST;

/* What fails ends, too. */
GST_START_TEST (test_failures)
{
  TestElement test;
  guint before[6];

  count (before);
  test = test_infer_new ("int8infer dynamic-ranges=/nowhere/ranges", test_small_caps ());
  test_expect_error (test.bus, "/nowhere/ranges", NULL);
  test_element_free (&test);
  check_counts (before, 1, 0);
}
GST_END_TEST;

static Suite *
make_suite (void)
{
  Suite *suite = suite_create ("NVTX");
  TCase *tcase = tcase_create ("nvtx");

  tcase_set_timeout (tcase, 60);
  tcase_add_checked_fixture (tcase, test_setup, test_teardown);
  tcase_add_test (tcase, test_frames);
  tcase_add_test (tcase, test_shared);
  tcase_add_test (tcase, test_failures);
  suite_add_tcase (suite, tcase);
  return suite;
}

int
main (int argc, char **argv)
{
  const char *path = g_getenv ("NVTX_INJECTION64_PATH");
  void *library = path ? dlopen (path, RTLD_NOW) : NULL;

  if (!library) {
    printf ("SKIP nvtx: run it with \"meson test\", which sets NVTX_INJECTION64_PATH\n");
    return 77;
  }
  counts_of = (NvtxToolCountsFunction *) dlsym (library, "nvtx_tool_counts");
  g_assert_nonnull (counts_of);
  return test_main (argc, argv, "nvtx", make_suite);
}
