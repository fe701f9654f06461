/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * pillow-vectors.h: what Pillow 11.3.0 computes. Made by pillow-vectors.py; do not edit.
 */
#pragma once

#include "tests/golden/pillow-picture.h"

#define PILLOW_VERSION "11.3.0"

/* clang-format off */

/* Image.resize ((out_w, out_h), BILINEAR). full: index into PILLOW_FULL, or -1. */
static const struct {
  uint8_t channels, picture;
  uint32_t seed;
  int in_w, in_h, out_w, out_h;
  uint32_t crc;
  int full;
} PILLOW_RESIZE[] = {
    {1, PILLOW_NOISE, 1, 8, 8, 16, 16, 0x1d5c085c, -1},
    {1, PILLOW_NOISE, 2, 5, 7, 13, 11, 0x6fe793a9, -1},
    {3, PILLOW_NOISE, 3, 28, 28, 32, 32, 0x959e2f3d, -1},
    {3, PILLOW_NOISE, 4, 2, 2, 9, 9, 0xa062be7c, -1},
    {4, PILLOW_NOISE, 5, 3, 5, 17, 4, 0xa2abb2c2, -1},
    {1, PILLOW_EXTREMES, 6, 6, 6, 61, 61, 0x69e79e58, -1},
    {3, PILLOW_GRADIENT, 7, 16, 9, 224, 224, 0x7a107418, -1},
    {1, PILLOW_CHECKERS, 8, 7, 7, 50, 49, 0xe6b3e745, -1},
    {3, PILLOW_NOISE, 9, 31, 33, 64, 65, 0xcb0aecdf, -1},
    {4, PILLOW_GRADIENT, 10, 10, 10, 99, 101, 0x0d6ed3e7, -1},
    {1, PILLOW_GRADIENT, 11, 255, 3, 256, 4, 0x1477d91d, -1},
    {3, PILLOW_EXTREMES, 12, 20, 20, 21, 21, 0xaf68c747, -1},
    {1, PILLOW_NOISE, 13, 64, 64, 28, 28, 0x83a09e74, -1},
    {1, PILLOW_NOISE, 14, 56, 56, 28, 28, 0xaa446d56, -1},
    {3, PILLOW_NOISE, 15, 640, 480, 224, 224, 0x9b538137, -1},
    {3, PILLOW_NOISE, 16, 320, 240, 224, 224, 0xb908ce73, -1},
    {3, PILLOW_EXTREMES, 17, 333, 251, 77, 91, 0xc03a35dc, -1},
    {4, PILLOW_NOISE, 18, 320, 200, 96, 96, 0xeba2da5e, -1},
    {3, PILLOW_NOISE, 19, 256, 256, 224, 224, 0xd3bec290, -1},
    {3, PILLOW_GRADIENT, 20, 640, 360, 32, 32, 0x3cb4b941, -1},
    {1, PILLOW_CHECKERS, 21, 128, 128, 64, 64, 0xdc8581a5, -1},
    {1, PILLOW_CHECKERS, 22, 129, 127, 64, 64, 0x3fef9172, -1},
    {3, PILLOW_CHECKERS, 23, 101, 99, 100, 98, 0xcf4d79d9, -1},
    {1, PILLOW_CHECKERS, 24, 99, 99, 33, 33, 0xd3986291, -1},
    {1, PILLOW_NOISE, 25, 1280, 720, 224, 224, 0x5df7cbac, -1},
    {3, PILLOW_EXTREMES, 26, 65, 63, 64, 64, 0xc4f3cf66, -1},
    {4, PILLOW_EXTREMES, 27, 66, 62, 33, 31, 0xfccb50e0, -1},
    {3, PILLOW_NOISE, 28, 480, 270, 299, 299, 0x3d9f438a, -1},
    {1, PILLOW_NOISE, 29, 1000, 10, 3, 9, 0xf7ce7ee1, 0},
    {3, PILLOW_NOISE, 30, 227, 227, 224, 224, 0xa23faeb6, -1},
    {4, PILLOW_NOISE, 31, 225, 223, 112, 111, 0x0c1974db, -1},
    {1, PILLOW_GRADIENT, 32, 1024, 1024, 7, 7, 0x76a896ea, 27},
    {3, PILLOW_NOISE, 33, 1920, 108, 224, 224, 0x95345881, -1},
    {3, PILLOW_NOISE, 34, 100, 20, 50, 60, 0x3b3b0f03, -1},
    {1, PILLOW_NOISE, 35, 20, 100, 60, 50, 0x07546c47, -1},
    {3, PILLOW_NOISE, 36, 64, 40, 64, 20, 0x45e49a1a, -1},
    {3, PILLOW_NOISE, 37, 40, 64, 20, 64, 0xc04145ed, -1},
    {4, PILLOW_NOISE, 38, 30, 30, 30, 31, 0xa0504346, -1},
    {1, PILLOW_EXTREMES, 39, 33, 17, 34, 17, 0x64b7d292, -1},
    {3, PILLOW_NOISE, 40, 24, 24, 24, 24, 0xfa71c107, -1},
    {1, PILLOW_NOISE, 41, 1, 1, 1, 1, 0xd202ef8d, 76},
    {4, PILLOW_NOISE, 42, 15, 11, 15, 11, 0xb6f5f74c, -1},
    {1, PILLOW_NOISE, 43, 1, 1, 17, 5, 0x6b10f76e, -1},
    {3, PILLOW_NOISE, 44, 1, 1, 224, 224, 0xe19d4552, -1},
    {3, PILLOW_NOISE, 45, 1, 40, 9, 9, 0x3fbd468a, -1},
    {1, PILLOW_NOISE, 46, 40, 1, 9, 9, 0xb82bee99, -1},
    {1, PILLOW_NOISE, 47, 1000, 1, 1, 1, 0x48bd5c3b, 77},
    {1, PILLOW_EXTREMES, 48, 1, 1000, 1, 1, 0xa6b33d17, 78},
    {3, PILLOW_NOISE, 49, 77, 55, 1, 1, 0xe54d3674, 79},
    {3, PILLOW_EXTREMES, 50, 4000, 9, 7, 2, 0x3c721d56, 82},
    {1, PILLOW_NOISE, 51, 9, 4000, 2, 7, 0xf0ef5a49, 124},
    {1, PILLOW_NOISE, 52, 4000, 3, 7, 3, 0x7d81dc7f, 138},
    {4, PILLOW_NOISE, 53, 2, 2500, 3, 7, 0xc6d1cbd8, -1},
    {1, PILLOW_EXTREMES, 54, 32768, 1, 10, 1, 0x927bc932, 159},
    {1, PILLOW_WHITE, 55, 32768, 1, 1, 1, 0xff000000, 169},
    {1, PILLOW_NOISE, 56, 1, 32768, 1, 3, 0x76d7ed14, 170},
    {1, PILLOW_NOISE, 57, 2, 1, 32768, 1, 0x3c7d5ef7, -1},
    {3, PILLOW_NOISE, 58, 3, 2, 2000, 1, 0x6a24b5e4, -1},
    {1, PILLOW_NOISE, 59, 32768, 1, 32767, 1, 0xea3c946a, -1},
    {1, PILLOW_EXTREMES, 60, 999, 1, 1000, 1, 0xbb18ec76, -1},
    {1, PILLOW_WHITE, 61, 97, 89, 13, 17, 0x931a3ac6, -1},
    {3, PILLOW_WHITE, 62, 3, 7, 64, 64, 0xf1f68679, -1},
    {1, PILLOW_WHITE, 63, 4000, 2, 7, 3, 0x344d44fe, 173},
    {4, PILLOW_WHITE, 64, 123, 45, 100, 46, 0xb8003785, -1},
    {3, PILLOW_EXTREMES, 65, 123, 457, 31, 29, 0xa515326a, -1},
    {3, PILLOW_CHECKERS, 66, 500, 500, 499, 501, 0xf72cfdf5, -1},
};

static const uint8_t PILLOW_FULL[] = {
    129, 123, 128, 131, 128, 124, 127, 128, 127, 127, 128, 128, 129, 130, 133, 130, 125, 130, 127, 125,
    125, 124, 128, 124, 125, 125, 123, 21, 54, 91, 127, 163, 200, 233, 21, 54, 91, 127, 163, 200,
    233, 21, 54, 91, 127, 163, 200, 233, 21, 54, 91, 127, 163, 200, 233, 21, 54, 91, 127, 163,
    200, 233, 21, 54, 91, 127, 163, 200, 233, 21, 54, 91, 127, 163, 200, 233, 0, 129, 131, 128,
    128, 127, 129, 126, 126, 126, 128, 127, 127, 127, 125, 128, 129, 126, 129, 129, 128, 126, 131, 128,
    128, 125, 128, 131, 128, 125, 127, 127, 126, 127, 126, 129, 128, 129, 129, 128, 127, 126, 125, 128,
    127, 129, 128, 124, 127, 127, 129, 126, 127, 126, 127, 127, 127, 129, 130, 129, 128, 128, 131, 130,
    131, 129, 129, 128, 130, 130, 130, 133, 131, 126, 125, 131, 131, 128, 126, 126, 126, 126, 125, 129,
    126, 126, 125, 129, 127, 129, 127, 131, 127, 255, 127, 128, 128, 255, 255, 255, 255, 255, 255, 255,
    255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255,
};

/* RGB pictures, convert ("L"). */
static const struct {
  uint8_t picture;
  uint32_t seed;
  int w, h;
  uint32_t crc;
} PILLOW_GREY[] = {
    {PILLOW_NOISE, 100, 61, 53, 0x8e1babf0},
    {PILLOW_EXTREMES, 101, 40, 40, 0x649479dc},
    {PILLOW_GRADIENT, 102, 256, 32, 0x8aeec0a7},
    {PILLOW_WHITE, 103, 3, 3, 0xeb201890},
};

/* RGB noise: short side to round (side / ratio), centre cut out; and the same then convert ("L"). */
static const struct {
  uint32_t seed;
  int w, h, side;
  double ratio;
  uint32_t crc, crc_grey;
} PILLOW_CENTRE_CROP[] = {
    {200, 640, 480, 224, 0.875, 0x537bf1f6, 0x02ae511e},
    {201, 480, 640, 224, 0.875, 0x2cb3fb6f, 0xf3cb265d},
    {202, 500, 375, 224, 0.875, 0x527f5220, 0xc5f9a1af},
    {203, 333, 500, 224, 0.875, 0x19e6dfc6, 0x8f2ab753},
    {204, 224, 224, 224, 0.875, 0x1434621e, 0xbc350903},
    {205, 100, 37, 32, 0.875, 0x07d0c82f, 0xe8ba82ab},
    {206, 37, 100, 32, 0.875, 0xa3278879, 0xecce0dcc},
    {207, 300, 300, 227, 0.875, 0x574c66e1, 0xbac76695},
    {208, 257, 256, 224, 0.875, 0xfea3b252, 0x286b306d},
    {209, 256, 259, 224, 0.875, 0x44df106e, 0xd496716f},
    {210, 19, 301, 8, 1.0, 0x8414915c, 0x41113b87},
    {211, 64, 63, 17, 0.5, 0x92c5720e, 0xf9694978},
    {212, 123, 77, 96, 0.95, 0xfcac9465, 0xaffa836e},
    {213, 77, 123, 299, 0.875, 0x029fecce, 0xe795c34b},
    {214, 1, 90, 4, 0.875, 0x2d7ba4c1, 0xb67fa18e},
    {215, 91, 1, 3, 0.96, 0xefadb9e8, 0xcc734b89},
    {216, 256, 224, 224, 1.0, 0x7b909534, 0x01818f50},
    {217, 224, 256, 224, 1.0, 0xa5b793fc, 0x8bbb9a65},
    {218, 256, 256, 224, 0.875, 0x39052284, 0x18494009},
};

/* RGB noise, aspect kept, on black: top left, and centred. */
static const struct {
  uint32_t seed;
  int w, h, out_w, out_h;
  uint32_t crc, crc_centred;
} PILLOW_LETTERBOX[] = {
    {300, 640, 480, 224, 224, 0xbfe16349, 0x4002b083},
    {301, 90, 160, 64, 64, 0xf8ac77bc, 0x8752d37f},
    {302, 33, 100, 40, 20, 0x73f89369, 0xe90a4d92},
    {303, 7, 3, 50, 49, 0xca243e1e, 0x23cfba9a},
    {304, 1000, 3, 20, 20, 0x4f475487, 0x919545d9},
    {305, 3, 700, 9, 9, 0x9667853c, 0x5ae32688},
    {306, 64, 48, 64, 64, 0x831f6961, 0xb96c4c9e},
    {307, 50, 50, 30, 30, 0x4f0e8562, 0x4f0e8562},
    {308, 5, 9, 20, 20, 0x0655ffbc, 0x610820f3},
    {309, 9, 5, 20, 20, 0xac66d024, 0x2ce2efcc},
};

/* RGB noise: crop (), then resize (). */
static const struct {
  uint32_t seed;
  int w, h, x, y, rect_w, rect_h, out_w, out_h;
  uint32_t crc;
} PILLOW_REGION[] = {
    {400, 200, 120, 13, 7, 101, 55, 32, 32, 0xa41192b8},
    {401, 64, 64, 0, 0, 64, 32, 16, 16, 0xa5c9969f},
    {402, 64, 64, 63, 63, 1, 1, 5, 5, 0xa1c4c6a7},
    {403, 99, 77, 50, 20, 49, 57, 60, 60, 0x2efad417},
};

/* clang-format on */
