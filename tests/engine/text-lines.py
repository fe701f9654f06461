#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Lines of text, upright and upside down, for a classifier of text direction.

    text-lines.py FOLDER [--count N] [--data DIR]

Words of the photos' label file (data folder, INT8_TEST_DATA), in fonts of DejaVu, Liberation and Noto, of many sizes and
colours, on plain paper or on a piece of a photo, slightly turned, blurred and noisy. As PaddleOCR prepares a line for its
classifier of direction: resized to a height of 48 with its aspect, at most 192 wide, the rest of 192 grey (0 behind the
normalisation). The same fonts and the same Pillow give the same lines. Writes PNGs and labels.tsv (file, class: 0 upright,
1 upside down). Needs `pip install numpy pillow`.
"""
import argparse
import os
import random
import sys

import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageFont

WIDTH, HEIGHT, GREY = 192, 48, 128
FONTS = ["DejaVuSans.ttf", "DejaVuSans-Bold.ttf", "DejaVuSerif.ttf", "DejaVuSansMono.ttf",
         "DejaVuSansCondensed-Oblique.ttf", "LiberationSans-Regular.ttf", "LiberationSerif-Regular.ttf",
         "LiberationSerif-BoldItalic.ttf", "LiberationMono-Regular.ttf", "NotoSansMono-Regular.ttf"]
LEAST_FONTS = 3


def find_fonts():
    found = []
    for name in FONTS:
        try:
            ImageFont.truetype(name, 32)
            found.append(name)
        except OSError:  # not on this machine
            continue
    if len(found) < LEAST_FONTS:
        raise FileNotFoundError(f"{len(found)} of the fonts {', '.join(FONTS)} are here, {LEAST_FONTS} are needed: "
                                "install fonts-dejavu and fonts-liberation")
    return found


def read_photos(data):
    """Names of photos, and the words of their labels."""
    with open(os.path.join(data, "photos", "labels.tsv"), encoding="utf-8") as file:
        lines = [line.split("\t") for line in file.read().splitlines()[1:]]
    return ([os.path.join(data, "photos", line[0]) for line in lines],
            [word.strip(",") for line in lines for word in line[2].split()])


def words_of(rng, words):
    text = " ".join(rng.choice(words) for _ in range(rng.randint(1, 3)))
    text = rng.choice([text, text.upper(), text.title()])
    return f"{text} {rng.randint(1, 9999)}" if rng.random() < 0.3 else text


def paper(rng, size, photos):
    """Plain, or a piece of a photo; and a colour that stands out from it."""
    if rng.random() < 0.5:
        image = Image.new("RGB", size, tuple(rng.randrange(256) for _ in range(3)))
    else:
        photo = Image.open(rng.choice(photos)).convert("RGB")
        x, y = rng.random(), rng.random()
        w, h = photo.width / 2, photo.height / 2
        image = photo.crop((int(x * w), int(y * h), int(x * w + w), int(y * h + h))).resize(size, Image.BILINEAR)
    bright = np.asarray(image.convert("L")).mean() > 127
    level = rng.randrange(0, 50) if bright else rng.randrange(205, 256)
    return image, tuple(min(255, max(0, level + rng.randint(-30, 30))) for _ in range(3))


def draw(rng, words, fonts, photos):
    font = ImageFont.truetype(rng.choice(fonts), rng.randint(20, 48))
    text = words_of(rng, words)
    left, top, right, bottom = font.getbbox(text)
    margin = rng.randint(2, 8)
    size = (right - left + 2 * margin, bottom - top + 2 * margin)
    image, ink = paper(rng, size, photos)
    mask = Image.new("L", size, 0)
    ImageDraw.Draw(mask).text((margin - left, margin - top), text, fill=255, font=font)
    mask = mask.rotate(rng.uniform(-2, 2), Image.BILINEAR)
    image.paste(ink, mask=mask)
    if rng.random() < 0.5:
        image = image.filter(ImageFilter.GaussianBlur(rng.uniform(0.3, 1.2)))
    noise = np.random.default_rng(rng.randrange(1 << 32)).normal(0, rng.uniform(0, 12), (size[1], size[0], 3))
    return Image.fromarray((np.asarray(image) + noise).clip(0, 255).astype(np.uint8))


def fit(line):
    """As PaddleOCR does; what is left of the width is grey."""
    width = min(WIDTH, -(-HEIGHT * line.width // line.height))
    out = Image.new("RGB", (WIDTH, HEIGHT), (GREY, GREY, GREY))
    out.paste(line.resize((width, HEIGHT), Image.BILINEAR), (0, 0))
    return np.asarray(out)


def lines(data, count, seed=1):
    """Every other one is upside down: uint8 [count 48 192 3] and their classes."""
    rng, fonts = random.Random(seed), find_fonts()
    photos, words = read_photos(data)
    drawn = [draw(rng, words, fonts, photos) for _ in range(count)]
    return (np.stack([fit(line.transpose(Image.ROTATE_180) if i % 2 else line) for i, line in enumerate(drawn)]),
            np.arange(count) % 2)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", metavar="FOLDER")
    parser.add_argument("--count", type=int, default=500, help="default: %(default)s")
    parser.add_argument("--data", default=os.environ.get("INT8_TEST_DATA", os.path.join(
        os.path.dirname(os.path.abspath(__file__)), "..", "..", "..", "shared", "data")))
    options = parser.parse_args()
    if not os.path.isdir(os.path.join(options.data, "photos")):
        print(f"SKIP no photos in {options.data}")
        return 77
    os.makedirs(options.folder, exist_ok=True)
    images, classes = lines(options.data, options.count)
    with open(os.path.join(options.folder, "labels.tsv"), "w", encoding="utf-8") as file:
        file.write("file\tclass\n")
        for i, image in enumerate(images):
            Image.fromarray(image).save(os.path.join(options.folder, f"{i:04d}.png"))
            file.write(f"{i:04d}.png\t{classes[i]}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
