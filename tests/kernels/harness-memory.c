/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * harness-memory.c: buffers that notice what is written or read beside them.
 */
#include "tests/kernels/harness-private.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

/* What a guard byte is must depend on its place: a kernel might write a constant. */
static uint8_t
guard_byte (const uint8_t *address)
{
  return (uint8_t) ((uintptr_t) address * 37 + 11);
}

const char *
harness_place_name (HarnessPlace place)
{
  static const char *const names[HARNESS_PLACES] = {"at the start of a page",
      "at the end of a page", "unaligned"};

  return names[place];
}

void
harness_region_free (HarnessRegion *region)
{
  const size_t page = sysconf (_SC_PAGESIZE);

  if (region->pages)
    munmap (region->pages - page, region->size + 2 * page);
  *region = (HarnessRegion){0};
}

static void
region_reserve (HarnessRegion *region, size_t size)
{
  const size_t page = sysconf (_SC_PAGESIZE);
  uint8_t *memory;

  if (region->size >= size)
    return;
  harness_region_free (region);
  size = (size + page - 1) / page * page;
  memory = mmap (NULL, size + 2 * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED || mprotect (memory + page, size, PROT_READ | PROT_WRITE) != 0) {
    perror ("harness: memory for a buffer");
    exit (2);
  }
  region->pages = memory + page;
  region->size = size;
}

/* The guards of a buffer: up to HARNESS_GUARD bytes on each side, inside the region. */
static void
guards (const HarnessRegion *region, const uint8_t *buffer, size_t size, const uint8_t **first,
    const uint8_t **last)
{
  const size_t before = buffer - region->pages, behind = region->size - before - size;

  *first = buffer - (before < HARNESS_GUARD ? before : HARNESS_GUARD);
  *last = buffer + size + (behind < HARNESS_GUARD ? behind : HARNESS_GUARD);
}

uint8_t *
harness_place (HarnessRegion *region, HarnessPlace place, size_t size, size_t align)
{
  const uint8_t *first, *last;
  uint8_t *buffer;

  region_reserve (region, size + 2 * HARNESS_GUARD + KERNEL_ALIGN);
  if (place == HARNESS_AT_START)
    buffer = region->pages;
  else if (place == HARNESS_AT_END)
    buffer = region->pages + region->size - (size + align - 1) / align * align;
  else
    buffer = region->pages + HARNESS_GUARD + align;
  guards (region, buffer, size, &first, &last);
  for (uint8_t *p = (uint8_t *) first; p < last; p++)
    *p = guard_byte (p);
  return buffer;
}

bool
harness_guards_intact (const HarnessRegion *region, const uint8_t *buffer, size_t size,
    ptrdiff_t *where)
{
  const uint8_t *first, *last;

  guards (region, buffer, size, &first, &last);
  for (const uint8_t *p = first; p < last; p++) {
    if ((p < buffer || p >= buffer + size) && *p != guard_byte (p)) {
      *where = p - buffer;
      return false;
    }
  }
  return true;
}
