#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Every float model of the data folder: FP32 against ONNX Runtime, and INT8 after calibration.

    data-models.py TOOL RUN_MODEL [--only GLOB] [--folds N] [--markdown]
    data-models.py --preparations [--only GLOB]

FP32 is compared on 20 frames: the largest difference relative to the largest output, 1e-4 at most.

INT8 is what a user gets: 500 pictures in files, `gst-int8-1.0 calibrate` on every fifth (100) with its defaults (method
auto on a sample of them, fast bias correction, equalisation), `gst-int8-1.0 compare` on the 400 others, --preprocess
telling both what the model was trained with. So five times, every picture calibrating once: which hundred it is moves
the result by more than a percent. Asked for is the share with the first class of FP32, the mean of the five: 97 % at
least, and 95 % of mobile networks. The light_ models have constant weights: all frames give the same scores but for the
last digits, and their first class says nothing; they are done once. Exits 1 where a number is missed, 77 without the
data folder.

How a model is prepared is from the README of the data folder, which has it from where the model is from. --preparations
measures it: the share of 500 photos to which FP32, in ONNX Runtime, gives the labelled class, for the ways in use.
Needs `pip install numpy onnx onnxruntime pillow`; compare-qdq.py, whose frames these are, openvino, too.
"""
import argparse
import concurrent.futures
import fnmatch
import importlib.util
import json
import os
import subprocess
import sys
import tempfile
from typing import Callable, NamedTuple, Optional

import numpy as np
import onnx
import onnxruntime
from PIL import Image

HERE = os.path.dirname(os.path.abspath(__file__))


def load(name, file):
    spec = importlib.util.spec_from_file_location(name, os.path.join(HERE, file))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


QDQ, TEXT = load("compare_qdq", "compare-qdq.py"), load("text_lines", "text-lines.py")

FRAME_COUNT, FOLDS, FLOAT = 500, 5, 20
TOLERANCE = 1e-4


# --- Frames: uint8 [count h w c] of the model's size, and their classes ---------------------------


def read_photos(data, count, size):
    """Resized without regard to their aspect."""
    with open(os.path.join(data, "photos", "labels.tsv"), encoding="utf-8") as file:
        lines = [line.split("\t") for line in file.read().splitlines()[1:count + 1]]
    return (np.stack([np.asarray(Image.open(os.path.join(data, "photos", line[0])).convert("RGB").resize(
        size, Image.BILINEAR)) for line in lines]), np.array([int(line[1]) for line in lines]))


def crops(data, count):
    return QDQ.photos(data, count, 224)


def caffe_crops(data, count):
    """As Caffe's networks of ImageNet were trained: photos made 256x256, and the middle of them."""
    images, labels = read_photos(data, count, (256, 256))
    return images[:, 16:240, 16:240], labels


def whole(data, count):
    return read_photos(data, count, (224, 224))


def strips(data, count):
    """Crops squeezed into the shape of a line of text, which have no direction."""
    images, _ = crops(data, count)
    size = (TEXT.WIDTH, TEXT.HEIGHT)
    return np.stack([np.asarray(Image.fromarray(i).resize(size, Image.BILINEAR)) for i in images]), None


def mnist(data, count):
    return QDQ.mnist(data, count, 28)


def cifar10(data, count):
    return QDQ.cifar10(data, count, 32)


FRAMES = {crops: "torchvision's crops", caffe_crops: "256x256, its middle", whole: "whole photos", strips: "photos",
          TEXT.lines: "lines of text", mnist: "MNIST", cifar10: "CIFAR-10"}


# --- Preparations: (scale * byte - mean) / std -----------------------------------------------------


class Preparation(NamedTuple):
    scale: float
    mean: tuple
    std: tuple
    bgr: bool = False

    def floats(self, images):
        return QDQ.affine(self.mean, self.std, self.bgr, self.scale)(images)

    def properties(self, channels):
        colour = "gray" if channels == 1 else "bgr" if self.bgr else "rgb"
        numbers = [",".join(repr(v) for v in values) for values in (self.mean, self.std)]
        return (f"preprocess=raw resize-mode=stretch color-format={colour} scale-factor={self.scale!r} "
                f"mean={numbers[0]} std={numbers[1]}")


IMAGENET = Preparation(1 / 255, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
CAFFE = Preparation(1.0, (104.0, 117.0, 123.0), (1.0,), True)
CIFAR = Preparation(1 / 255, (0.4914, 0.4822, 0.4465), (0.247, 0.243, 0.262))
HALF = Preparation(1.0, (127.5,), (127.5,))
HALF_BGR = HALF._replace(bgr=True)  # PaddleOCR reads pictures with OpenCV
UNIT = Preparation(1 / 255, (0.0,), (1.0,))
BYTES = Preparation(1.0, (0.0,), (1.0,))
PREPARATIONS = {"RGB, ImageNet's mean and deviation": IMAGENET, "RGB / 255": UNIT, "BGR less Caffe's mean": CAFFE,
                "RGB less Caffe's mean": CAFFE._replace(mean=CAFFE.mean[::-1], bgr=False),
                "BGR": BYTES._replace(bgr=True), "RGB, -1 to 1": HALF}


# --- Models -----------------------------------------------------------------------------------------


class Row(NamedTuple):
    file: str
    frames: Callable
    preparation: Preparation
    least: Optional[float]  # agreement; None: says nothing
    shape: Optional[str] = None


ROWS = [
    Row("SqueezeNet_fp16.onnx", caffe_crops, CAFFE, 0.97),  # the weights of squeezenet1.0_fp32, rounded
    Row("ch_ppocr_mobile_v2.0_cls_infer.onnx", TEXT.lines, HALF_BGR, 0.95, "3;48;192"),
    Row("ch_ppocr_mobile_v2.0_cls_infer.onnx", strips, HALF_BGR, 0.95, "3;48;192"),
    Row("light_densenet121.onnx", crops, IMAGENET, None),
    Row("light_inception_v1.onnx", crops, IMAGENET, None),
    Row("light_resnet50.onnx", crops, IMAGENET, None),
    Row("light_squeezenet.onnx", crops, IMAGENET, None),
    Row("mnist-1.onnx", mnist, BYTES, 0.97),
    Row("mnist-8.onnx", mnist, BYTES, 0.97),
    Row("mnist_pytorch.onnx", mnist, UNIT, 0.97, "1;28;28"),
    Row("mobilenetv2_fp32_op12.onnx", crops, IMAGENET, 0.95),
    Row("resnet20_cifar10.onnx", cifar10, CIFAR, 0.97),
    Row("shufflenetv2_fp32_op12.onnx", crops, IMAGENET, 0.95),
    Row("squeezenet1.0_fp32.onnx", caffe_crops, CAFFE, 0.97),
    Row("squeezenet1.0_fp32.onnx", crops, CAFFE, 0.97),
    Row("winml_ImageClassifier_cifar10.onnx", cifar10, HALF, 0.97),
]

# ONNX Runtime has no Add of opset 1; the other file holds the same network.
SAME = {"mnist-1.onnx": "mnist-8.onnx"}


# --- ONNX Runtime -----------------------------------------------------------------------------------


def widened(path):
    """The model, with floats for halves: ONNX Runtime would round every result to a half."""
    folder, name = os.path.split(path)
    model = onnx.load(os.path.join(folder, SAME.get(name, name)))
    for tensor in model.graph.initializer:
        if tensor.data_type == onnx.TensorProto.FLOAT16:
            tensor.CopyFrom(onnx.numpy_helper.from_array(
                onnx.numpy_helper.to_array(tensor).astype(np.float32), tensor.name))
    for info in (*model.graph.input, *model.graph.output, *model.graph.value_info):
        if info.type.tensor_type.elem_type == onnx.TensorProto.FLOAT16:
            info.type.tensor_type.elem_type = onnx.TensorProto.FLOAT
    return model.SerializeToString()


def theirs(path, images):
    options = onnxruntime.SessionOptions()
    options.log_severity_level, options.intra_op_num_threads = 3, 2
    session = onnxruntime.InferenceSession(widened(path), options, providers=["CPUExecutionProvider"])
    entry = session.get_inputs()[0]
    x = images.transpose(0, 3, 1, 2) if len(entry.shape) != 4 or entry.shape[1] in (1, 3) else images
    x = x.reshape(len(x), -1) if len(entry.shape) == 2 else x
    return np.stack([session.run(None, {entry.name: i[None]})[0].reshape(-1) for i in x])


# --- Ours -------------------------------------------------------------------------------------------


def program(*arguments, shape=None, images=None):
    environment = dict(os.environ, **({"SHAPE": shape} if shape else {}))
    done = subprocess.run(arguments, input=None if images is None else np.ascontiguousarray(images).tobytes(),
                          capture_output=True, env=environment)
    if done.returncode:
        raise RuntimeError(done.stderr.decode().strip().splitlines()[-1])
    return done.stdout


def write_pictures(images, folder):
    """PNGs: their paths."""
    paths = [os.path.join(folder, f"{i:04d}.png") for i in range(len(images))]
    for image, path in zip(images, paths):
        Image.fromarray(image.squeeze(-1) if image.shape[-1] == 1 else image).save(path, compress_level=1)
    return paths


def write_list(folder, name, paths):
    path = os.path.join(folder, name)
    with open(path, "w", encoding="utf-8") as file:
        file.write("\n".join(paths) + "\n")
    return path


def fold(tool, row, path, paths, options, number):
    """One fifth calibrates: compare's figures on the others, and the method that was taken."""
    folder = os.path.dirname(paths[0])
    table, figures = os.path.join(folder, f"{number}.table"), os.path.join(folder, f"{number}.json")
    calibrating = write_list(folder, f"{number}-calibrate.txt", paths[number::FOLDS])
    others = [p for i, p in enumerate(paths) if i % FOLDS != number]
    judging = write_list(folder, f"{number}-compare.txt", others if row.least is not None else others[:FLOAT])
    said = program(tool, "calibrate", path, "-i", calibrating, "-t", table, *options).decode()
    program(tool, "compare", path, "-i", judging, "-t", table, "--alone", "0", "--json", figures, *options)
    with open(figures, encoding="utf-8") as file:
        return json.load(file)["calibrations"][0], said.splitlines()[-1].split(", ")[1]


def int8_columns(row, folds):
    """Agreement, SQNR and methods, and whether the agreement is enough."""
    shares = [100 * figures["top1"] for figures, _ in folds]
    methods = ", ".join(dict.fromkeys(method for _, method in folds))
    mean = np.mean(shares)
    if row.least is None:
        return (f"({mean:.1f} %)", "", methods), True
    spread = f"{mean:.1f} % ({min(shares):.1f} to {max(shares):.1f})" if len(shares) > 1 else f"{mean:.1f} %"
    return (spread, f"{np.mean([figures['sqnr'] for figures, _ in folds]):.1f} dB", methods), mean >= 100 * row.least


def compare(tool, run_model, row, data, n_folds):
    """The columns of the table behind model and frames, and whether all is as it should be."""
    path = os.path.join(data, "models", row.file)
    images, labels = row.frames(data, FRAME_COUNT)
    labelled = labels is not None and row.least is not None
    floats = row.preparation.floats(images if labelled else images[:FLOAT])
    expected = theirs(path, floats)
    ours = np.stack([np.frombuffer(program(run_model, path, "cpu", images=i, shape=row.shape), np.float32)
                     for i in floats[:FLOAT]])
    difference = np.abs(ours - expected[:FLOAT]).max() / np.abs(expected[:FLOAT]).max()
    right = f"{100 * (expected.argmax(1) == labels).mean():.1f} %" if labelled else ""
    options = ["-p", row.preparation.properties(images.shape[-1]), "--threads", "1",
               *(["--shapes", row.shape] if row.shape else [])]
    numbers = range(n_folds if row.least is not None else 1)
    with tempfile.TemporaryDirectory() as folder, concurrent.futures.ThreadPoolExecutor(len(numbers)) as threads:
        paths = write_pictures(images, folder)
        folds = list(threads.map(lambda i: fold(tool, row, path, paths, options, i), numbers))
    columns, good = int8_columns(row, folds)
    return (f"{difference:.1e}", right, *columns), good and difference <= TOLERANCE


def preparations(row, data):
    path = os.path.join(data, "models", row.file)
    for frames in (crops, caffe_crops, whole):
        images, labels = frames(data, FRAME_COUNT)
        for name, preparation in PREPARATIONS.items():
            right = (theirs(path, preparation.floats(images)).argmax(1) == labels).mean()
            print(f"{row.file}: {FRAMES[frames]}, {name}: {100 * right:.1f} %", flush=True)


# --- All of them ------------------------------------------------------------------------------------


def all_preparations(rows, data):
    files = {row.file: row for row in rows if row.frames in (crops, caffe_crops) and row.least is not None}
    for row in files.values():
        preparations(row, data)
    return 0


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("programs", nargs="*", metavar="TOOL RUN_MODEL",
                        help="gst-int8-1.0, and the program built from run-model.c")
    parser.add_argument("--only", default="*", help="files that match this pattern")
    parser.add_argument("--folds", type=int, default=FOLDS, choices=range(1, FOLDS + 1), metavar="N",
                        help="calibrate on the first N fifths only (default: %(default)s)")
    parser.add_argument("--markdown", action="store_true", help="print the table of docs/MODELS.md")
    parser.add_argument("--preparations", action="store_true", help="find out how photos are to be prepared")
    options = parser.parse_args()
    data = os.environ.get("INT8_TEST_DATA", os.path.join(HERE, "..", "..", "..", "shared", "data"))
    if not os.path.isdir(os.path.join(data, "models")):
        print(f"SKIP no models in {data}")
        return 77
    rows = [row for row in ROWS if fnmatch.fnmatch(row.file, options.only)]
    if options.preparations:
        return all_preparations(rows, data)
    if len(options.programs) != 2:
        parser.error("TOOL and RUN_MODEL are needed")
    failed = 0
    for row in rows:
        try:
            columns, good = compare(*options.programs, row, data, options.folds)
        except Exception as error:  # of a runtime, or of these programs
            failed += 1
            print(f"FAILED {row.file}: {str(error)[:200]}")
            continue
        failed += not good
        if options.markdown:
            print("|", " | ".join((row.file, FRAMES[row.frames], *columns)), "|", flush=True)
        else:
            print(f"{'ok' if good else 'MISSED':6} {row.file}, {FRAMES[row.frames]}: "
                  "FP32 {}, right {}, INT8 {}, {}, {}".format(*columns), flush=True)
    return failed > 0


if __name__ == "__main__":
    sys.exit(main())
