/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * fuzz.h: one fuzz target, two programs. With libFuzzer
 *
 *     tests/fuzz/libfuzzer table 600
 *
 * and, with INT8_FUZZ_MAIN defined, a regression test that mutates the target's own seeds: the same
 * inputs in every run, whatever the machine, so a debugger finds what a log shows. A finding is a
 * crash, a sanitizer's report or abort().
 *
 *     fuzz-table                     FUZZ_ROUNDS mutations of each seed
 *     fuzz-table --rounds N          N of them
 *     fuzz-table --seeds FOLDER      writes the seeds there: a corpus for libFuzzer
 *     fuzz-table FILE ...            runs files that libFuzzer found
 */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput (const uint8_t *data, size_t size);

/* A seed in memory from malloc(), or NULL when there is no such seed. */
uint8_t *fuzz_seed (unsigned index, size_t *size);
/* That of an array of texts. */
#define FUZZ_TEXT_SEEDS(texts)                                                                     \
  uint8_t *fuzz_seed (unsigned index, size_t *size)                                                \
  {                                                                                                \
    if (index >= sizeof (texts) / sizeof *(texts))                                                 \
      return NULL;                                                                                 \
    *size = strlen (texts[index]);                                                                 \
    return (uint8_t *) strdup (texts[index]);                                                      \
  }

/* A property that must hold for every input. */
#define FUZZ_REQUIRE(cond)                                                                         \
  do {                                                                                             \
    if (!(cond)) {                                                                                 \
      fprintf (stderr, "%s:%d: does not hold: %s\n", __FILE__, __LINE__, #cond);                   \
      abort ();                                                                                    \
    }                                                                                              \
  } while (0)

#ifdef INT8_FUZZ_MAIN

/* Seconds of work; a target with fast inputs says more before it includes this. */
#ifndef FUZZ_ROUNDS
#define FUZZ_ROUNDS 5000
#endif

static uint64_t fuzz_state = 1;

static uint32_t
fuzz_random (uint32_t below)
{
  fuzz_state = fuzz_state * 6364136223846793005u + 1442695040888963407u;
  return (uint32_t) ((fuzz_state >> 33) % below);
}

/* Changes data[0..size) in place, within capacity; returns the new size. */
static size_t
fuzz_mutate (uint8_t *data, size_t size, size_t capacity)
{
  static const uint8_t telling[] = {0x00, 0x01, 0x7f, 0x80, 0xff, '\n', ' ', ':', '[', '"'};
  const size_t at = size ? fuzz_random ((uint32_t) size) : 0;
  const size_t rest = size - at;
  size_t n = 1 + fuzz_random (16);

  switch (fuzz_random (7)) {
  case 0: /* a bit */
    if (size)
      data[at] ^= (uint8_t) (1u << fuzz_random (8));
    return size;
  case 1: /* a telling byte */
    if (size)
      data[at] = telling[fuzz_random (sizeof telling)];
    return size;
  case 2: /* a few random bytes */
    for (size_t i = 0; i < n && i < rest; i++)
      data[at + i] = (uint8_t) fuzz_random (256);
    return size;
  case 3: /* cut out */
    n = n < rest ? n : rest;
    memmove (data + at, data + at + n, rest - n);
    return size - n;
  case 4: /* double a part */
    n = n < rest ? n : rest;
    if (size + n > capacity)
      return size;
    memmove (data + at + n, data + at, rest);
    return size + n;
  case 5: /* move a part */
    n = n < rest ? n : rest;
    memmove (data + fuzz_random ((uint32_t) (size - n + 1)), data + at, n);
    return size;
  default: /* the end is missing */
    return fuzz_random (8) ? size : at;
  }
}

/* In memory of exactly this size, so that a sanitizer sees a read beyond it. */
static void
fuzz_run (const uint8_t *data, size_t size)
{
  uint8_t *copy = malloc (size ? size : 1);
  if (!copy)
    abort ();
  memcpy (copy, data, size);
  (void) LLVMFuzzerTestOneInput (copy, size);
  free (copy);
}

static int
fuzz_file (const char *path, const uint8_t *data, size_t size)
{
  FILE *file = fopen (path, data ? "wb" : "rb");
  if (!file) {
    perror (path);
    return 1;
  }
  if (data) {
    const int failed = fwrite (data, 1, size, file) != size;
    return fclose (file) || failed;
  }
  static uint8_t buffer[1 << 20];
  const size_t n = fread (buffer, 1, sizeof buffer, file);
  const int failed = ferror (file);
  fclose (file);
  if (!failed)
    fuzz_run (buffer, n);
  return failed;
}

static int
fuzz_seeds (const char *folder, long rounds)
{
  unsigned n_seeds = 0;
  size_t size;
  for (uint8_t *seed; (seed = fuzz_seed (n_seeds, &size)); n_seeds++, free (seed)) {
    if (folder) {
      char path[4096];
      snprintf (path, sizeof path, "%s/seed-%u", folder, n_seeds);
      if (fuzz_file (path, seed, size))
        return 1;
      continue;
    }
    const size_t capacity = size + 256;
    uint8_t *data = malloc (capacity);
    if (!data)
      abort ();
    fuzz_run (seed, size);
    for (long i = 0; i < rounds; i++) {
      memcpy (data, seed, size);
      size_t n = size;
      for (uint32_t k = 1 + fuzz_random (4); k > 0; k--)
        n = fuzz_mutate (data, n, capacity);
      fuzz_run (data, n);
    }
    free (data);
  }
  printf ("%u seeds, %ld mutations each\n", n_seeds, folder ? 0 : rounds);
  printf ("%u passed, 0 failed, 0 skipped\n", n_seeds);
  return n_seeds == 0;
}

int
main (int argc, char **argv)
{
  if (argc == 3 && strcmp (argv[1], "--seeds") == 0)
    return fuzz_seeds (argv[2], 0);
  if (argc == 3 && strcmp (argv[1], "--rounds") == 0)
    return fuzz_seeds (NULL, atol (argv[2]));
  if (argc == 1)
    return fuzz_seeds (NULL, FUZZ_ROUNDS);
  int failed = 0;
  for (int i = 1; i < argc; i++)
    failed |= fuzz_file (argv[i], NULL, 0);
  return failed;
}

#endif
