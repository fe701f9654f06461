/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * pillow-picture.h: the pictures that pillow-vectors.py fed to Pillow, drawn again in C, and the
 * CRC-32 that names a result. The functions mirror draw() and zlib.crc32() there.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

typedef enum {
  PILLOW_NOISE,    /* xorshift32, its top byte */
  PILLOW_EXTREMES, /* 0 or 255 at random */
  PILLOW_GRADIENT, /* smooth: across, down and both, by channel */
  PILLOW_CHECKERS, /* 0 and 255 in turn */
  PILLOW_WHITE     /* 255: weights must sum to 1 */
} PillowPicture;

static inline void
pillow_draw (uint8_t *y, PillowPicture picture, int width, int height, int channels, uint32_t seed)
{
  const int w = width > 1 ? width - 1 : 1, h = height > 1 ? height - 1 : 1;

  for (int row = 0; row < height; row++)
    for (int col = 0; col < width; col++)
      for (int k = 0; k < channels; k++) {
        const int across = col * 255 / w, down = row * 255 / h;

        seed ^= seed << 13;
        seed ^= seed >> 17;
        seed ^= seed << 5;
        switch (picture) {
        case PILLOW_NOISE:
          *y++ = (uint8_t) (seed >> 24);
          break;
        case PILLOW_EXTREMES:
          *y++ = seed >> 31 ? 255 : 0;
          break;
        case PILLOW_GRADIENT:
          *y++ = (uint8_t) (k == 0 ? across : k == 1 ? down : (across + down) / 2);
          break;
        case PILLOW_CHECKERS:
          *y++ = (row + col + k) & 1 ? 255 : 0;
          break;
        case PILLOW_WHITE:
          *y++ = 255;
          break;
        }
      }
}

static inline uint32_t
pillow_crc32 (const uint8_t *x, size_t size)
{
  uint32_t crc = 0xffffffff;

  for (size_t i = 0; i < size; i++) {
    crc ^= x[i];
    for (int bit = 0; bit < 8; bit++)
      crc = crc & 1 ? crc >> 1 ^ 0xedb88320 : crc >> 1;
  }
  return ~crc;
}
