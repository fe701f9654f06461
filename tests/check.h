/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * check.h: the little that a plain C test program needs.
 *
 *     CHECK (cond);  CHECK_INT (a, ==, b);  CHECK_STR (a, b);
 *     int main (void) { RUN (test_this); RUN (test_that); return check_done (); }
 *
 * A test passes when none of its checks failed. The last line is "N passed, N failed[, N skipped]",
 * the exit status 0, 1, or 77 when everything was skipped.
 */
#pragma once

#include <stdio.h>
#include <string.h>

static int check_passed, check_failed, check_skipped;
static int check_failures_in_test, check_skip_in_test;

#define CHECK_FAIL(...)                                                                            \
  do {                                                                                             \
    printf ("%s:%d: ", __FILE__, __LINE__);                                                        \
    printf (__VA_ARGS__);                                                                          \
    printf ("\n");                                                                                 \
    check_failures_in_test++;                                                                      \
  } while (0)

#define CHECK(cond)                                                                                \
  do {                                                                                             \
    if (!(cond))                                                                                   \
      CHECK_FAIL ("%s", #cond);                                                                    \
  } while (0)

#define CHECK_INT(a, op, b)                                                                        \
  do {                                                                                             \
    const long long check_a = (a), check_b = (b);                                                  \
    if (!(check_a op check_b))                                                                     \
      CHECK_FAIL ("%s %s %s: %lld and %lld", #a, #op, #b, check_a, check_b);                       \
  } while (0)

#define CHECK_STR(a, b)                                                                            \
  do {                                                                                             \
    const char *check_a = (a), *check_b = (b);                                                     \
    if (!check_a || !check_b || strcmp (check_a, check_b) != 0)                                    \
      CHECK_FAIL ("%s == %s:\n--- got\n%s\n--- expected\n%s", #a, #b,                              \
          check_a ? check_a : "(null)", check_b ? check_b : "(null)");                             \
  } while (0)

/* Inside a test: it does not count as passed, and the reason is printed. */
#define SKIP(...)                                                                                  \
  do {                                                                                             \
    printf ("SKIP ");                                                                              \
    printf (__VA_ARGS__);                                                                          \
    printf ("\n");                                                                                 \
    check_skip_in_test = 1;                                                                        \
    return;                                                                                        \
  } while (0)

#define RUN(test) check_run (#test, test)

static inline void
check_run (const char *name, void (*test) (void))
{
  check_failures_in_test = check_skip_in_test = 0;
  test ();
  if (check_failures_in_test)
    check_failed++;
  else if (check_skip_in_test)
    check_skipped++;
  else
    check_passed++;
  printf ("%-6s %s\n", check_failures_in_test ? "FAIL" : check_skip_in_test ? "skip" : "ok", name);
  fflush (stdout);
}

static inline int
check_done (void)
{
  printf ("%d passed, %d failed, %d skipped\n", check_passed, check_failed, check_skipped);
  return check_failed ? 1 : check_passed ? 0 : 77;
}
