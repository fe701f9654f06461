#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""What INT8 costs real networks: ours, ONNX Runtime's and NNCF's, calibrated and judged on the same pictures.

    accuracy.py [options] TOOL RUN_INT8

TOOL is gst-int8-1.0, RUN_INT8 the program built from tests/engine/run-int8.c. The networks and the 500 pictures of
each are those of tests/engine/data-models.py, prepared as the network was trained. Every fifth picture (100)
calibrates, the 400 others judge; so five times, every picture calibrating once, and the means are printed. All are
compared with the logits of the float network in ONNX Runtime without graph optimisation:

    dB   10 log10 (sum y^2 / sum (y - yq)^2) over all logits of all frames
    %    frames with the float network's class; bold where the best is not better by two standard errors (of the
         differences, picture by picture)

A softmax at the end is cut off for everybody. Contenders, each with its default options where nothing else is said:

    ours            what a user gets: `gst-int8-1.0 calibrate` on the pictures, and the engine that int8infer builds
                    with the same preprocessing
    ORT MinMax ...  ONNX Runtime's quantize_static after quant_pre_process: QDQ, uint8 activations, int8
                    weights per channel; Entropy with 2048 bins (its default of 128 is no histogram)
    NNCF            nncf.quantize of OpenVINO's model, run by OpenVINO

ONNX Runtime and NNCF (quantisers.py) get the pictures as floats, as they take them. Their logits can be kept
(--cache): they change with the pictures, the network and their versions only. ONNX Runtime's histograms take up to
7 GB in every job.

Exits 1 where one of our own engines does not run, never because somebody is better; 77 where a package or the data
are missing (pip install -r tests/bench/requirements.txt, and pillow).
"""

import argparse
import concurrent.futures
import functools
import importlib.util
import logging
import os
import subprocess
import sys
import tempfile
import time
from typing import NamedTuple

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

try:
    import numpy as np
    import accuracy_chart
    import quantisers
except ImportError as missing:
    print(f"SKIP {missing}: pip install onnx onnxruntime openvino nncf pillow, and have that python3 first in PATH")
    print("0 passed, 0 failed, 1 skipped")
    sys.exit(77)


def load(name, *path):
    spec = importlib.util.spec_from_file_location(name, os.path.join(ROOT, *path))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


models = load("data_models", "tests", "engine", "data-models.py")  # networks, pictures, preparations
FOLDS = models.FOLDS


def row_of(file):
    return next(row for row in models.ROWS if row.file == file)


NETWORKS = {
    "SqueezeNet 1.0": row_of("squeezenet1.0_fp32.onnx"),
    "ShuffleNetV2 x1.0": row_of("shufflenetv2_fp32_op12.onnx"),
    "MobileNetV2 1.0": row_of("mobilenetv2_fp32_op12.onnx"),
    "PP-OCR direction": row_of("ch_ppocr_mobile_v2.0_cls_infer.onnx"),
    "ResNet-20, CIFAR-10": row_of("resnet20_cifar10.onnx"),
    "WinML, CIFAR-10": row_of("winml_ImageClassifier_cifar10.onnx"),
    "mnist-8": row_of("mnist-8.onnx"),
    "LeNet, MNIST": models.Row("../mnist/mnist_lenet.onnx", models.mnist, models.UNIT, None),
}
LEFT_OUT = {
    "SqueezeNet_fp16.onnx": "the weights of SqueezeNet 1.0, rounded",
    "mnist-1.onnx": "opset 1; the network of mnist-8",
    "mnist_pytorch.onnx": "its input is no image",
    "light_*.onnx": "constant weights, no classes to agree on",
    "mobilenet_v2_qdq_op12_lanznx.onnx, shufflenet-v2-12-int8.onnx, mobilenetv2_dynq_op12_goku.onnx":
        "INT8 already",
}


# --- Networks and pictures ------------------------------------------------------------------------


@functools.lru_cache(maxsize=1)
def pictures(title, data):
    """The bytes, and the same as floats [n c h w]."""
    row = NETWORKS[title]
    images, _ = row.frames(data, models.FRAME_COUNT)
    return images, np.ascontiguousarray(row.preparation.floats(images).transpose(0, 3, 1, 2))


def model_path(title, data):
    return os.path.join(data, "models", NETWORKS[title].file)


def judging(number, count):
    return np.arange(count) % FOLDS != number


# --- Ours -----------------------------------------------------------------------------------------


class Way(NamedTuple):
    options: tuple  # of gst-int8-1.0 calibrate
    ranges: str = "full"
    as_auto: bool = False  # with the method that auto takes


AUTO = "ours"
METHODS = {name: Way(("--method", name)) for name in
           ("mse", "mse-relative", "minmax", "entropy2", "percentile", "entropy2-trt", "legacy")}
CHANGES = {
    "bias correction off": Way(("--bias-correction", "off"), as_auto=True),
    "bias correction full": Way(("--bias-correction", "full"), as_auto=True),
    "equalisation off": Way(("--equalise", "off"), as_auto=True),
    "ranges symmetric": Way((), "symmetric", as_auto=True),
}


class Ours:
    """One fold of one network: pictures in files, calibrated as users do."""

    def __init__(self, options, title, number, model, folder):
        images, floats = pictures(title, options.data)
        self.options, self.model, self.folder = options, model, folder
        self.properties = NETWORKS[title].preparation.properties(images.shape[-1])
        self.images = models.write_list(folder, "calibrate.txt",
                                        models.write_pictures(images[~judging(number, len(images))], folder))
        self.frames = np.ascontiguousarray(floats[judging(number, len(floats))].transpose(0, 2, 3, 1))

    def calibrate(self, name, *how):
        """The table, and the method that was taken."""
        table = os.path.join(self.folder, name.replace(" ", "-") + ".table")
        said = models.program(self.options.tool, "calibrate", self.model, "-i", self.images, "-t", table, "-p",
                              self.properties, "--threads", "1", *how)
        return table, said.decode().splitlines()[-1].split(", ")[1]

    def logits(self, table, ranges="full"):
        result = subprocess.run([self.options.run_int8, "run", self.model, table, ranges], input=self.frames.tobytes(),
                                stdout=subprocess.PIPE, check=True, env={**os.environ, "PREPROCESS": self.properties})
        return np.frombuffer(result.stdout, np.float32).reshape(len(self.frames), -1)

    def all(self, ways):
        """Logits by name, and the method that auto took."""
        table, method = self.calibrate("auto")
        found = {AUTO: self.logits(table)}
        for name, way in ways.items():
            how = (*(("--method", method) if way.as_auto else ()), *way.options)
            found[name] = self.logits(self.calibrate(name, *how)[0], way.ranges)
        return found, method


# --- Judging --------------------------------------------------------------------------------------


class Score(NamedTuple):
    sqnr: float
    same: np.ndarray  # of every frame that judged


def score(exact, judged):
    noise = np.sum((exact.astype(np.float64) - judged) ** 2)
    signal = np.sum(exact.astype(np.float64) ** 2)
    return Score(10 * np.log10(signal / noise) if noise else np.inf, exact.argmax(1) == judged.argmax(1))


def one_fold(title, number, options):
    """Scores by contender, and the method that auto took."""
    _, floats = pictures(title, options.data)
    judges = judging(number, len(floats))
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "model.onnx")
        quantisers.prepare_model(model_path(title, options.data), [1, *floats.shape[1:]], path)
        frames = path, floats[~judges], floats[judges], folder
        exact = quantisers.cached(options.cache, "float", quantisers.floats, *frames)
        logits, method = {}, ""
        if options.ours:
            logits, method = Ours(options, title, number, path, folder).all(options.ways)
        for peer in options.peers:
            logits[peer] = quantisers.cached(options.cache, peer, quantisers.PEERS[peer], *frames)
    return {name: None if values is None else score(exact, values) for name, values in logits.items()}, method


class Mean(NamedTuple):
    sqnr: float
    same: np.ndarray  # share of every picture, over the folds that it judged in

    @property
    def percent(self):
        return 100 * np.mean(self.same)


def mean_of(scores, folds):
    """None where a fold failed. Every picture judges equally often where all folds are there."""
    if any(s is None for s in scores):
        return None
    count = len(scores[0].same) * FOLDS // (FOLDS - 1)
    hits, times = np.zeros(count), np.zeros(count)
    for number, s in zip(folds, scores):
        hits[judging(number, count)] += s.same
        times[judging(number, count)] += 1
    return Mean(float(np.mean([s.sqnr for s in scores])), hits[times > 0] / times[times > 0])


def as_good(mean, best):
    lead = best.same - mean.same
    return lead.mean() <= 2 * lead.std() / np.sqrt(len(lead))


def cells(means):
    there = [m for m in means if m]
    top, best = max(round(m.sqnr, 1) for m in there), max(there, key=lambda m: m.percent)

    def cell(m):
        bold = ["**" if b else "" for b in (round(m.sqnr, 1) == top, as_good(m, best))]
        return f"{bold[0]}{m.sqnr:.1f}{bold[0]} / {bold[1]}{m.percent:.1f}{bold[1]}"

    return " | ".join(cell(m) if m else "fails" for m in means)


# --- All of them ------------------------------------------------------------------------------------


def table(title, columns, rows):
    print(f"\n{title}\n\n| network | {' | '.join(columns)} |\n" + "|---" * (1 + len(columns)) + "|")
    for name, means in rows.items():
        print(f"| {name} | {cells([means[c] for c in columns])} |")


def collect(options, pool):
    """Means by network and contender, the methods that auto took, and how many networks failed or were skipped."""
    folds = range(options.folds)
    wanted = [title for title in NETWORKS if options.only in title]
    jobs = {title: [pool.submit(one_fold, title, number, options) for number in folds] for title in wanted}
    rows, methods, skipped, failed = {}, {}, 0, 0
    for title, running in jobs.items():
        try:
            results = [job.result() for job in running]
        except FileNotFoundError as missing:
            print(f"SKIP {title}: {missing}", flush=True)
            skipped += 1
            continue
        except (RuntimeError, subprocess.CalledProcessError, ValueError) as error:
            print(f"FAIL {title}: {error}", flush=True)
            failed += 1
            continue
        rows[title] = {name: mean_of([scores[name] for scores, _ in results], folds) for name in results[0][0]}
        methods[title] = ", ".join(dict.fromkeys(method for _, method in results))
        print(f"{title} ({methods[title]}): " + cells(list(rows[title].values())), flush=True)
    return rows, methods, skipped, failed


def parse():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tool", metavar="TOOL")
    parser.add_argument("run_int8", metavar="RUN_INT8")
    parser.add_argument("--data", default=os.environ.get("INT8_TEST_DATA", os.path.join(ROOT, "..", "shared", "data")),
                        help="networks and frames (default: INT8_TEST_DATA)")
    parser.add_argument("--only", default="", help="networks with this in their name")
    parser.add_argument("--peers", default=",".join(p for p in quantisers.PEERS if p not in quantisers.SLOW),
                        type=lambda text: [p for p in text.split(",") if p],
                        help=f"of the others, these (default: %(default)s; slow: {', '.join(quantisers.SLOW)})")
    parser.add_argument("--ours", default="all", choices=("all", "changes", "defaults", "none"),
                        help="the defaults, with every method and with one thing changed; with the latter; alone "
                             "(default: %(default)s)")
    parser.add_argument("--cache", metavar="FOLDER", help="keeps the logits of the others there")
    parser.add_argument("--folds", type=int, default=FOLDS, choices=range(1, FOLDS + 1), metavar="N",
                        help="calibrate on the first N fifths only (default: %(default)s)")
    parser.add_argument("--svg", metavar="FILE", help="draws the first table (docs/accuracy.svg)")
    parser.add_argument("--jobs", type=int, default=2, help="folds at once (default: %(default)s)")
    options = parser.parse_args()
    unknown = [p for p in options.peers if p not in quantisers.PEERS]
    if unknown:
        parser.error(f"no peer {unknown[0]}: take some of {', '.join(quantisers.PEERS)}")
    options.ways = {"all": {**METHODS, **CHANGES}, "changes": CHANGES}.get(options.ours, {})
    options.ours = options.ours != "none"
    if options.cache:
        os.makedirs(options.cache, exist_ok=True)
    return options


def main():
    options = parse()
    logging.disable(logging.WARNING)
    print(quantisers.VERSIONS, flush=True)
    with concurrent.futures.ProcessPoolExecutor(options.jobs) as pool:
        rows, methods, skipped, failed = collect(options, pool)
    ours = [AUTO] if options.ours else []
    table("dB / %", ours + options.peers, rows)
    for title, ways in (("Ours, by method", METHODS), ("Ours, one thing changed", CHANGES)):
        if ways.keys() <= options.ways.keys():
            table(title, ours + list(ways), rows)
    if options.ways:
        print("\nMethods taken: " + "; ".join(f"{title}: {taken}" for title, taken in methods.items()))
    if options.svg and rows:
        with open(options.svg, "w", encoding="utf-8") as file:
            file.write(accuracy_chart.svg(rows, f"{models.FRAME_COUNT} pictures, of which every fifth calibrates, in "
                                                f"turns; {time.strftime('%Y-%m-%d')}, {quantisers.VERSIONS}"))
    print("\nLeft out: " + "; ".join(f"{file} ({why})" for file, why in LEFT_OUT.items()))
    print(f"{len(rows)} passed, {failed} failed, {skipped} skipped")
    return 1 if failed else 0 if rows else 77


if __name__ == "__main__":
    sys.exit(main())
