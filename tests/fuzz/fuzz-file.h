/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * fuzz-file.h: an input as a file in memory, for readers that take a path.
 */
#pragma once

#include <sys/mman.h>
#include <unistd.h>

#include "tests/fuzz/fuzz.h"

/* The path of a regular file with these bytes, which is another file's after the next call. */
static inline const char *
fuzz_path (const uint8_t *data, size_t size)
{
  static char path[32];
  static int fd = -1;

  if (fd < 0) {
    fd = memfd_create ("fuzz", MFD_CLOEXEC);
    snprintf (path, sizeof path, "/proc/self/fd/%d", fd);
  }
  FUZZ_REQUIRE (ftruncate (fd, 0) == 0);
  FUZZ_REQUIRE (pwrite (fd, data, size, 0) == (ssize_t) size);
  return path;
}
