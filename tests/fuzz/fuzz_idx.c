/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * fuzz_idx.c: IDX files, gzipped or not, from bytes that nobody vouches for. The items of what is
 * read are what it holds.
 */
#include "tests/fuzz/fuzz-file.h"
#include "tools/idx.h"

/* clang-format off */
#define SEED(bytes) {bytes, sizeof bytes - 1}

static const struct {
  const char *bytes;
  size_t size;
} seeds[] = {
    SEED ("\0\0\x08\1\0\0\0\3\7\2\1"),                       /* labels */
    SEED ("\0\0\x08\3\0\0\0\2\0\0\0\2\0\0\0\3ghijklmnopqr"), /* images of 2 x 3 */
    SEED ("\0\0\x08\3\1\0\0\0\1\0\0\0\0\1\0\0"),             /* 2^64 bytes are announced */
    /* labels, gzipped */
    SEED ("\x1f\x8b\x08\0\0\0\0\0\2\3\x63\x60\xe0\x60\x64\x60\x60\x60\x4e\x4c\x4a\6\0\x54\x24\x25\xc4\x0b\0\0\0"),
};
/* clang-format on */

uint8_t *
fuzz_seed (unsigned index, size_t *size)
{
  uint8_t *seed;

  if (index >= G_N_ELEMENTS (seeds))
    return NULL;
  *size = seeds[index].size;
  seed = malloc (*size);
  if (seed)
    memcpy (seed, seeds[index].bytes, *size);
  return seed;
}

int
LLVMFuzzerTestOneInput (const uint8_t *data, size_t size)
{
  g_autoptr (GError) error = NULL;
  Idx idx = {0};

  FUZZ_REQUIRE (idx_load (fuzz_path (data, size), &idx, &error) == !error);
  if (error) {
    FUZZ_REQUIRE (!idx.bytes && g_utf8_validate (error->message, -1, NULL));
    return 0;
  }
  const gsize item = (gsize) idx.height * idx.width, bytes = g_bytes_get_size (idx.bytes);
  FUZZ_REQUIRE (idx.rank == 3 || (idx.rank == 1 && item == 1));
  FUZZ_REQUIRE (item == 0 || ((gsize) idx.n <= bytes / item && idx.n * item == bytes));
  if (bytes > 0)
    FUZZ_REQUIRE (idx_item (&idx, idx.n - 1) + item == idx_item (&idx, 0) + bytes);
  idx_clear (&idx);
  return 0;
}
