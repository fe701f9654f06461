#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Writes pillow-vectors.h: what Pillow makes of pictures that C can draw again.

    python3 -m venv /tmp/pillow && /tmp/pillow/bin/pip install Pillow==11.3.0
    /tmp/pillow/bin/python tests/golden/pillow-vectors.py > tests/golden/pillow-vectors.h

Pictures are drawn by a small generator (pillow-picture.h is its twin), so the header holds sizes,
CRC-32 of the outputs, and some small outputs in full.

Pillow resized horizontally first, always, until 12.1. 12.2 and 12.3 begin vertically where a picture
is more than 100 times as tall as wide, 13.0 where its height loses more than twice the pixels that
its width loses; the bytes between the passes are then rounded in another order, and results differ
by one level here and there. resize_u8 stays with the order that models in use were trained with.
"""
import zlib

import PIL
from PIL import Image

if tuple(int(n) for n in PIL.__version__.split(".")[:2]) >= (12, 2):
    raise SystemExit(f"Pillow {PIL.__version__} changes the order of the passes: use 11.3.0")

NOISE, EXTREMES, GRADIENT, CHECKERS, WHITE = range(5)
PICTURES = ["NOISE", "EXTREMES", "GRADIENT", "CHECKERS", "WHITE"]
# RGBX, not RGBA: Pillow multiplies by alpha before it resizes RGBA, and divides afterwards.
MODES = {1: "L", 3: "RGB", 4: "RGBX"}


def draw(picture, width, height, channels, seed):
    out = bytearray()
    w, h = max(width - 1, 1), max(height - 1, 1)
    for row in range(height):
        down = row * 255 // h
        for col in range(width):
            across = col * 255 // w
            for k in range(channels):
                seed ^= seed << 13 & 0xFFFFFFFF
                seed ^= seed >> 17
                seed ^= seed << 5 & 0xFFFFFFFF
                if picture == NOISE:
                    out.append(seed >> 24)
                elif picture == EXTREMES:
                    out.append(255 if seed >> 31 else 0)
                elif picture == GRADIENT:
                    out.append((across, down, (across + down) // 2, (across + down) // 2)[k])
                elif picture == CHECKERS:
                    out.append(255 if row + col + k & 1 else 0)
                else:
                    out.append(255)
    return Image.frombytes(MODES[channels], (width, height), bytes(out))


# channels, picture, width, height -> width, height
RESIZE = [
    # up
    (1, NOISE, 8, 8, 16, 16), (1, NOISE, 5, 7, 13, 11), (3, NOISE, 28, 28, 32, 32),
    (3, NOISE, 2, 2, 9, 9), (4, NOISE, 3, 5, 17, 4), (1, EXTREMES, 6, 6, 61, 61),
    (3, GRADIENT, 16, 9, 224, 224), (1, CHECKERS, 7, 7, 50, 49), (3, NOISE, 31, 33, 64, 65),
    (4, GRADIENT, 10, 10, 99, 101), (1, GRADIENT, 255, 3, 256, 4), (3, EXTREMES, 20, 20, 21, 21),
    # down
    (1, NOISE, 64, 64, 28, 28), (1, NOISE, 56, 56, 28, 28), (3, NOISE, 640, 480, 224, 224),
    (3, NOISE, 320, 240, 224, 224), (3, EXTREMES, 333, 251, 77, 91), (4, NOISE, 320, 200, 96, 96),
    (3, NOISE, 256, 256, 224, 224), (3, GRADIENT, 640, 360, 32, 32), (1, CHECKERS, 128, 128, 64, 64),
    (1, CHECKERS, 129, 127, 64, 64), (3, CHECKERS, 101, 99, 100, 98), (1, CHECKERS, 99, 99, 33, 33),
    (1, NOISE, 1280, 720, 224, 224), (3, EXTREMES, 65, 63, 64, 64), (4, EXTREMES, 66, 62, 33, 31),
    (3, NOISE, 480, 270, 299, 299), (1, NOISE, 1000, 10, 3, 9), (3, NOISE, 227, 227, 224, 224),
    (4, NOISE, 225, 223, 112, 111), (1, GRADIENT, 1024, 1024, 7, 7), (3, NOISE, 1920, 108, 224, 224),
    # one way up, the other down; one side kept
    (3, NOISE, 100, 20, 50, 60), (1, NOISE, 20, 100, 60, 50), (3, NOISE, 64, 40, 64, 20),
    (3, NOISE, 40, 64, 20, 64), (4, NOISE, 30, 30, 30, 31), (1, EXTREMES, 33, 17, 34, 17),
    (3, NOISE, 24, 24, 24, 24), (1, NOISE, 1, 1, 1, 1), (4, NOISE, 15, 11, 15, 11),
    # extreme ratios
    (1, NOISE, 1, 1, 17, 5), (3, NOISE, 1, 1, 224, 224), (3, NOISE, 1, 40, 9, 9),
    (1, NOISE, 40, 1, 9, 9), (1, NOISE, 1000, 1, 1, 1), (1, EXTREMES, 1, 1000, 1, 1),
    (3, NOISE, 77, 55, 1, 1), (3, EXTREMES, 4000, 9, 7, 2), (1, NOISE, 9, 4000, 2, 7),
    (1, NOISE, 4000, 3, 7, 3), (4, NOISE, 2, 2500, 3, 7), (1, EXTREMES, 32768, 1, 10, 1),
    (1, WHITE, 32768, 1, 1, 1), (1, NOISE, 1, 32768, 1, 3), (1, NOISE, 2, 1, 32768, 1),
    (3, NOISE, 3, 2, 2000, 1), (1, NOISE, 32768, 1, 32767, 1), (1, EXTREMES, 999, 1, 1000, 1),
    # saturated: the weights sum to 1 within rounding, whatever the ratio
    (1, WHITE, 97, 89, 13, 17), (3, WHITE, 3, 7, 64, 64), (1, WHITE, 4000, 2, 7, 3),
    (4, WHITE, 123, 45, 100, 46), (3, EXTREMES, 123, 457, 31, 29), (3, CHECKERS, 500, 500, 499, 501),
]
# Outputs up to this size are in the header in full: a difference can be read, not only noticed.
FULL = 64

GREY = [(NOISE, 61, 53), (EXTREMES, 40, 40), (GRADIENT, 256, 32), (WHITE, 3, 3)]

# width, height -> crop side, ratio: torchvision's Resize (round (side / ratio)), CenterCrop (side)
CROP = [
    (640, 480, 224, 0.875), (480, 640, 224, 0.875), (500, 375, 224, 0.875), (333, 500, 224, 0.875),
    (224, 224, 224, 0.875), (100, 37, 32, 0.875), (37, 100, 32, 0.875), (300, 300, 227, 0.875),
    (257, 256, 224, 0.875), (256, 259, 224, 0.875), (19, 301, 8, 1.0), (64, 63, 17, 0.5),
    (123, 77, 96, 0.95), (77, 123, 299, 0.875), (1, 90, 4, 0.875), (91, 1, 3, 0.96),
    (256, 224, 224, 1.0), (224, 256, 224, 1.0), (256, 256, 224, 0.875),
]
# width, height -> target; content size truncated, top left or centred, on black
LETTERBOX = [(640, 480, 224, 224), (90, 160, 64, 64), (33, 100, 40, 20), (7, 3, 50, 49),
             (1000, 3, 20, 20), (3, 700, 9, 9), (64, 48, 64, 64), (50, 50, 30, 30),
             (5, 9, 20, 20), (9, 5, 20, 20)]
# width, height, rectangle -> target: crop (), then resize ()
REGION = [(200, 120, 13, 7, 101, 55, 32, 32), (64, 64, 0, 0, 64, 32, 16, 16),
          (64, 64, 63, 63, 1, 1, 5, 5), (99, 77, 50, 20, 49, 57, 60, 60)]


def image_line(values):
    return "    " + ", ".join(str(v) for v in values) + ","


def crc(image):
    data = image.tobytes()
    if image.mode == "RGB" and len(data) != 3 * image.width * image.height:
        raise SystemExit("unexpected layout of RGB bytes")
    return f"0x{zlib.crc32(data):08x}"


def emit_resize():
    full = []
    print("""/* Image.resize ((out_w, out_h), BILINEAR). full: index into PILLOW_FULL, or -1. */
static const struct {
  uint8_t channels, picture;
  uint32_t seed;
  int in_w, in_h, out_w, out_h;
  uint32_t crc;
  int full;
} PILLOW_RESIZE[] = {""")
    for i, (channels, picture, w, h, ow, oh) in enumerate(RESIZE):
        image = draw(picture, w, h, channels, i + 1)
        out = image.resize((ow, oh), Image.Resampling.BILINEAR)
        data, index = out.tobytes(), -1
        if len(data) <= FULL:
            index = sum(map(len, full))
            full.append(data)
        print(f"    {{{channels}, PILLOW_{PICTURES[picture]}, {i + 1}, {w}, {h}, {ow}, {oh}, "
              f"{crc(out)}, {index}}},")
    print("};\n\nstatic const uint8_t PILLOW_FULL[] = {")
    flat = b"".join(full)
    for i in range(0, len(flat), 20):
        print(image_line(flat[i:i + 20]))
    print("};\n")


def emit_grey():
    print("""/* RGB pictures, convert ("L"). */
static const struct {
  uint8_t picture;
  uint32_t seed;
  int w, h;
  uint32_t crc;
} PILLOW_GREY[] = {""")
    for i, (picture, w, h) in enumerate(GREY):
        out = draw(picture, w, h, 3, 100 + i).convert("L")
        print(f"    {{PILLOW_{PICTURES[picture]}, {100 + i}, {w}, {h}, {crc(out)}}},")
    print("};\n")


def centre_crop(image, side, ratio):
    """torchvision's sizes and offsets, written out."""
    short, long = min(image.size), max(image.size)
    resize = round(side / ratio)
    new = int(resize * long / short)
    size = (resize, new) if image.width <= image.height else (new, resize)
    image = image.resize(size, Image.Resampling.BILINEAR)
    left, top = (int(round((n - side) / 2.0)) for n in image.size)
    return image.crop((left, top, left + side, top + side))


def emit_crop():
    print("""/* RGB noise: short side to round (side / ratio), centre cut out; and the same then convert ("L"). */
static const struct {
  uint32_t seed;
  int w, h, side;
  double ratio;
  uint32_t crc, crc_grey;
} PILLOW_CENTRE_CROP[] = {""")
    for i, (w, h, side, ratio) in enumerate(CROP):
        out = centre_crop(draw(NOISE, w, h, 3, 200 + i), side, ratio)
        print(f"    {{{200 + i}, {w}, {h}, {side}, {ratio}, {crc(out)}, {crc(out.convert('L'))}}},")
    print("};\n")


def emit_letterbox():
    print("""/* RGB noise, aspect kept, on black: top left, and centred. */
static const struct {
  uint32_t seed;
  int w, h, out_w, out_h;
  uint32_t crc, crc_centred;
} PILLOW_LETTERBOX[] = {""")
    for i, (w, h, ow, oh) in enumerate(LETTERBOX):
        image = draw(NOISE, w, h, 3, 300 + i)
        if ow * h <= oh * w:
            size = (ow, max(1, ow * h // w))
        else:
            size = (max(1, oh * w // h), oh)
        image = image.resize(size, Image.Resampling.BILINEAR)
        crcs = []
        for place in ((0, 0), ((ow - size[0]) // 2, (oh - size[1]) // 2)):
            out = Image.new("RGB", (ow, oh))
            out.paste(image, place)
            crcs.append(crc(out))
        print(f"    {{{300 + i}, {w}, {h}, {ow}, {oh}, {crcs[0]}, {crcs[1]}}},")
    print("};\n")


def emit_region():
    print("""/* RGB noise: crop (), then resize (). */
static const struct {
  uint32_t seed;
  int w, h, x, y, rect_w, rect_h, out_w, out_h;
  uint32_t crc;
} PILLOW_REGION[] = {""")
    for i, (w, h, x, y, rw, rh, ow, oh) in enumerate(REGION):
        image = draw(NOISE, w, h, 3, 400 + i).crop((x, y, x + rw, y + rh))
        out = image.resize((ow, oh), Image.Resampling.BILINEAR)
        print(f"    {{{400 + i}, {w}, {h}, {x}, {y}, {rw}, {rh}, {ow}, {oh}, {crc(out)}}},")
    print("};\n")


print(f"""/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * pillow-vectors.h: what Pillow {PIL.__version__} computes. Made by pillow-vectors.py; do not edit.
 */
#pragma once

#include "tests/golden/pillow-picture.h"

#define PILLOW_VERSION "{PIL.__version__}"

/* clang-format off */
""")
emit_resize()
emit_grey()
emit_crop()
emit_letterbox()
emit_region()
print("/* clang-format on */")
