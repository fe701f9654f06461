#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""What ONNX Runtime and OpenVINO make of our Q/DQ exports, beside our INT8 engine on the same frames.

    compare-qdq.py [options] TOOL RUN_INT8

TOOL is gst-int8-1.0, RUN_INT8 the program built from run-int8.c. For every network and every rule set
of `gst-int8-1.0 export --for`: the file passes the ONNX checker, both runtimes load and run it, and a
line tells

    same     frames with our INT8's class, in percent, and (our INT8's with itself when one pixel of
             every frame is about one level off: what rounding alone may change in this network)
    right    frames with the labelled class, theirs and (ours)
    SQNR     of their logits against our INT8's
    int8     convolutions and fully connected layers that run on int8 kernels, of all
    ms       an image on one thread, batch 1, and (our INT8 engine's), with --time

"exact" is `export --for onnxruntime --exact`, which OpenVINO is not given. Exits 1 where a file does not load, or a runtime has our class in
less than 99.5 % of the frames: of "exact" and "openvino" always, of "onnxruntime" where no sums with residuals are (it quantises
them once more) or the one level changes less than one class in a thousand; 77 where a package or every data set is missing (pip install onnx
onnxruntime openvino pillow). Python computes nothing of ours: it prepares images and compares.
"""

import argparse
import gzip
import json
import os
import subprocess
import sys
import tempfile
import time

LEAST_SAME, STEADY = 0.995, 0.999
ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
FASHION = "/usr/share/datasets/fashion-mnist"

try:
    import numpy as np
    import onnx
    import onnxruntime
    import openvino
except ImportError as missing:
    print(f"SKIP {missing}: pip install onnx onnxruntime openvino, and have that python3 first in PATH")
    print("0 passed, 0 failed, 1 skipped")
    sys.exit(77)


# --- Frames ---------------------------------------------------------------------------------------


def idx(folder, name, header, count):
    with gzip.open(os.path.join(folder, name)) as file:
        data = np.frombuffer(file.read(), np.uint8)[header:]
    return data.reshape(-1, *((28, 28, 1) if header == 16 else ()))[:count]


def mnist(data, count, size):
    folder = os.path.join(data, "mnist")
    return (idx(folder, "t10k-images-idx3-ubyte.gz", 16, count),
            idx(folder, "t10k-labels-idx1-ubyte.gz", 8, count))


def fashion(data, count, size):
    return (idx(FASHION, "t10k-images-idx3-ubyte.gz", 16, count),
            idx(FASHION, "t10k-labels-idx1-ubyte.gz", 8, count))


def cifar10(data, count, size):
    folder = os.path.join(data, "cifar10")
    return (np.fromfile(os.path.join(folder, "images-2000x32x32x3.rgb"), np.uint8).reshape(-1, 32, 32, 3)[:count],
            np.fromfile(os.path.join(folder, "labels-2000.u8"), np.uint8)[:count])


def photos(data, count, size):
    """torchvision's Resize (short side, size / 0.875) and CenterCrop; as bytes."""
    from PIL import Image
    folder = os.path.join(data, "photos")
    with open(os.path.join(folder, "labels.tsv"), encoding="utf-8") as file:
        lines = [line.split("\t") for line in file.read().splitlines()[1:count + 1]]
    images = []
    for name, *_ in lines:
        image = Image.open(os.path.join(folder, name)).convert("RGB")
        short = round(size / 0.875)
        w, h = image.size
        w, h = (short, int(short * h / w)) if w < h else (int(short * w / h), short)
        x, y = round((w - size) / 2), round((h - size) / 2)
        images.append(np.asarray(image.resize((w, h), Image.BILINEAR).crop((x, y, x + size, y + size))))
    return np.stack(images), np.array([int(line[1]) for line in lines])


def affine(mean, std, bgr=False, scale=1 / 255):
    def prepare(images):
        x = images[..., ::-1] if bgr else images
        return ((x.astype(np.float32) * np.float32(scale) - np.array(mean, np.float32)) /
                np.array(std, np.float32)).astype(np.float32)
    return prepare


IMAGENET = affine([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
DATA_NETWORKS = [  # name, file, frames, preprocessing
    ("SqueezeNet 1.0", "models/squeezenet1.0_fp32.onnx", photos, affine([104, 117, 123], [1], True, 1)),
    ("ShuffleNetV2 x1.0", "models/shufflenetv2_fp32_op12.onnx", photos, IMAGENET),
    ("MobileNetV2 1.0", "models/mobilenetv2_fp32_op12.onnx", photos, IMAGENET),
    ("ResNet-20, CIFAR-10", "models/resnet20_cifar10.onnx", cifar10,
     affine([0.4914, 0.4822, 0.4465], [0.247, 0.243, 0.262])),
    ("WinML, CIFAR-10", "models/winml_ImageClassifier_cifar10.onnx", cifar10, affine([127.5], [127.5], False, 1)),
    ("mnist-8", "models/mnist-8.onnx", mnist, affine([0], [1], False, 1)),
    ("LeNet, MNIST", "mnist/mnist_lenet.onnx", mnist, affine([0], [1])),
]
OWN_NETWORKS = [
    ("fashion-lenet", "data/fashion-lenet.onnx", fashion, affine([0], [1])),
    ("fashion-resnet", "data/fashion-resnet.onnx", fashion, affine([0], [1])),
]


# --- Runtimes -------------------------------------------------------------------------------------


def batches(x, run):
    return np.concatenate([run(x[i:i + 8]).reshape(len(x[i:i + 8]), -1) for i in range(0, len(x), 8)])


class OnnxRuntime:
    name = "onnxruntime"
    INT8 = {"QLinearConv", "QGemm", "QLinearMatMul", "MatMulIntegerToFloat"}
    FLOAT = {"Conv", "FusedConv", "Gemm", "FusedGemm", "MatMul"}

    def __init__(self, path, threads, optimised=True):
        options = onnxruntime.SessionOptions()
        if not optimised:
            options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        options.log_severity_level = 3
        options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
        with tempfile.TemporaryDirectory() as folder:
            options.optimized_model_filepath = os.path.join(folder, "optimised.onnx")
            self.session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
            ops = [node.op_type for node in onnx.load(options.optimized_model_filepath).graph.node]
        self.input = self.session.get_inputs()[0].name
        self.int8 = sum(op in self.INT8 for op in ops)
        self.layers = self.int8 + sum(op in self.FLOAT for op in ops)

    def __call__(self, x):
        return self.session.run(None, {self.input: x})[0]


class OpenVino:
    name = "openvino"

    def __init__(self, path, threads):
        settings = {"INFERENCE_NUM_THREADS": threads, "NUM_STREAMS": 1, "PERFORMANCE_HINT": "LATENCY"}
        core = openvino.Core()
        self.model = core.compile_model(core.read_model(path), "CPU", settings)
        fixed = core.read_model(path)
        fixed.reshape([1, *(d.get_length() for d in list(fixed.input(0).partial_shape)[1:])])
        self.single = core.compile_model(fixed, "CPU", settings)
        layers = [self.text(op.get_rt_info(), "runtimePrecision")
                  for op in self.single.get_runtime_model().get_ops()
                  if self.text(op.get_rt_info(), "layerType") in ("Convolution", "FullyConnected", "MatMul")]
        self.int8, self.layers = sum(p in ("i8", "u8") for p in layers), len(layers)

    @staticmethod
    def text(info, key):
        return info[key] if isinstance(info[key], str) else info[key].astype(str)

    def __call__(self, x):
        return (self.single if len(x) == 1 else self.model)(x)[0]


RUNTIMES = [OnnxRuntime, OpenVino]
VERSIONS = (f"ONNX Runtime {onnxruntime.__version__}, OpenVINO {openvino.__version__.split('-')[0]}, "
            f"onnx {onnx.__version__}")


def milliseconds(run, x, seconds=0.5):
    times, end = [], time.perf_counter() + seconds
    while len(times) < 5 or time.perf_counter() < end:
        start = time.perf_counter()
        run(x)
        times.append(time.perf_counter() - start)
    return 1000 * float(np.median(times))


# --- Comparing ------------------------------------------------------------------------------------


class Comparison:
    def __init__(self, options):
        self.options, self.failures, self.compared = options, [], 0

    def ours(self, command, *arguments, images):
        result = subprocess.run([self.options.run_int8, command, *arguments], input=images.tobytes(),
                                capture_output=True)
        if result.returncode:
            raise RuntimeError(result.stderr.decode().strip())
        return np.frombuffer(result.stdout, np.float32).reshape(len(images), -1)

    def table(self, model, images, folder):
        path = os.path.join(folder, "table")
        result = subprocess.run([self.options.run_int8, "calibrate", model, path],
                                input=np.ascontiguousarray(images[::5][:200]).tobytes(), capture_output=True)
        if result.returncode:
            raise RuntimeError(result.stderr.decode().strip())
        return path

    def export(self, model, table, target, folder):
        path = os.path.join(folder, target + ".onnx")
        ranges = "symmetric" if target == "tensorrt" else self.options.ranges
        rules = ["onnxruntime", "--exact"] if target == "exact" else [target]
        subprocess.run([self.options.tool, "export", model, "--table", table, "-o", path, "--ranges", ranges,
                        "--force", "--for", *rules], check=True, stdout=subprocess.DEVNULL)
        onnx.checker.check_model(path, full_check=True)
        return path, ranges

    def our_milliseconds(self, model, table, ranges, folder):
        engine, report = os.path.join(folder, ranges + ".int8engine"), os.path.join(folder, "bench.json")
        for command in (["build", "-m", model, "-t", table, "-o", engine, "--ranges", ranges, "--force"],
                        ["bench", "--threads", "1", "--seconds", "0.5", "--json", report, engine]):
            subprocess.run([self.options.tool, *command], check=True, stdout=subprocess.DEVNULL)
        with open(report, encoding="utf-8") as file:
            return 1000 * json.load(file)["runs"]["median"]

    @staticmethod
    def adds(path):
        return any(node.op_type == "Add" for node in onnx.load(path).graph.node)

    def line(self, name, target, path, runtime, theirs, ours, steady, labels, time_taken):
        same = (theirs.argmax(1) == ours.argmax(1)).mean()
        noise = np.linalg.norm(theirs - ours)
        sqnr = 20 * np.log10(np.linalg.norm(ours) / noise) if noise else np.inf
        right = "" if labels is None else (f"{100 * (theirs.argmax(1) == labels).mean():.1f} "
                                           f"({100 * (ours.argmax(1) == labels).mean():.1f})")
        print(f"| {name} | {target} | {runtime.name} | {len(ours)} | {100 * same:.2f} ({100 * steady:.2f}) | "
              f"{right} | {sqnr:.1f} | {runtime.int8} of {runtime.layers} | {time_taken} |", flush=True)
        judged = (target in ("exact", "openvino") or
                  target == "onnxruntime" and (steady >= STEADY or not self.adds(path)))
        if judged and same < LEAST_SAME:
            self.failures.append(f"{name} in {runtime.name}, for {target}: the same class in {100 * same:.2f} %")

    def one_level(self, model, table, ranges, images, ours):
        """How often our INT8 keeps its class when a pixel in the middle is about one level off."""
        y, x = images.shape[1] // 2, images.shape[2] // 2
        level = (images.max() - images.min()) / 255
        moved = images.copy()
        moved[:, y, x, 0] += np.where(moved[:, y, x, 0] > (images.max() + images.min()) / 2, -level, level)
        return (self.ours("run", model, table, ranges, images=moved).argmax(1) == ours.argmax(1)).mean()

    def network(self, name, model, images, labels, table=None):
        with tempfile.TemporaryDirectory() as folder:
            table = table or self.table(model, images, folder)
            nchw = np.ascontiguousarray(images.transpose(0, 3, 1, 2))
            outputs, own_time = {}, {}
            for target in self.options.targets.split(","):
                path, ranges = self.export(model, table, target, folder)
                if ranges not in outputs:
                    ours = self.ours("run", model, table, ranges, images=images)
                    outputs[ranges] = ours, self.one_level(model, table, ranges, images, ours)
                    if self.options.time:
                        own_time[ranges] = self.our_milliseconds(model, table, ranges, folder)
                for runtime in RUNTIMES[:1] if target == "exact" else RUNTIMES:
                    run = runtime(path, 1)
                    taken = (f"{milliseconds(run, nchw[:1]):.2f} ({own_time[ranges]:.2f})"
                             if self.options.time else "")
                    theirs = batches(nchw, run)
                    self.line(name, target, path, run, theirs, *outputs[ranges], labels, taken)
                    if self.options.itself and runtime is OnnxRuntime:
                        plain = batches(nchw, OnnxRuntime(path, 1, optimised=False)).argmax(1)
                        print(f"{name}, {target}: ONNX Runtime without optimisations has its own class in "
                              f"{100 * (plain == theirs.argmax(1)).mean():.2f} %, ours in "
                              f"{100 * (plain == outputs[ranges][0].argmax(1)).mean():.2f} %", flush=True)
            self.compared += 1

    def passed(self):
        return self.compared - len({failure.split(" in ")[0] for failure in self.failures})

    @staticmethod
    def height(model):
        graph = onnx.load(model).graph
        constants = {tensor.name for tensor in graph.initializer}
        image = next(value for value in graph.input if value.name not in constants)
        return image.type.tensor_type.shape.dim[2].dim_value

    def labelled(self, networks, data):
        for name, path, frames, prepare in networks:
            model = os.path.join(data, path)
            if self.options.only and self.options.only not in name:
                continue
            try:
                images, labels = frames(data, self.options.frames, self.height(model))
            except FileNotFoundError as missing:
                print(f"SKIP {name}: {missing}", flush=True)
                continue
            self.network(name, model, prepare(images), labels)

    def folder(self, folder, data):
        """Networks with random weights: on photos, if there are any, for the sake of real values."""
        images, _ = photos(data, min(self.options.frames, 100), 224)
        for file in sorted(os.listdir(folder)):
            name, table = file[:-5], os.path.join(folder, file[:-5] + ".table")
            if not file.endswith(".onnx") or not os.path.exists(table) or (self.options.only or "") not in name:
                continue
            self.network(name, os.path.join(folder, file), IMAGENET(images), None, table)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tool", metavar="TOOL")
    parser.add_argument("run_int8", metavar="RUN_INT8")
    parser.add_argument("--data", default=os.environ.get("INT8_TEST_DATA", os.path.join(ROOT, "..", "shared", "data")),
                        help="labelled photos and networks (default: INT8_TEST_DATA)")
    parser.add_argument("--networks", help="also all NAME.onnx with a NAME.table of a folder (tests/bench/networks.py)")
    parser.add_argument("--own", action="store_true", help="only the networks of data/ (on Fashion-MNIST)")
    parser.add_argument("--only", help="networks with this in their name")
    parser.add_argument("--targets", default="onnxruntime,exact,openvino,tensorrt", help="rule sets (default: %(default)s)")
    parser.add_argument("--ranges", default="full", help="full or symmetric, but for tensorrt")
    parser.add_argument("--frames", type=int, default=2000, help="at most so many of a network (default: %(default)s)")
    parser.add_argument("--itself", action="store_true", help="also ONNX Runtime beside itself without optimisations")
    parser.add_argument("--time", action="store_true", help="also time them")
    options = parser.parse_args()
    compare = Comparison(options)
    print(VERSIONS)
    print("| network | for | runtime | frames | same, % | right (ours), % | SQNR, dB | int8 layers | ms (ours) |")
    print("|---|---|---|---|---|---|---|---|---|")
    compare.labelled(OWN_NETWORKS, ROOT)
    if not options.own:
        compare.labelled(DATA_NETWORKS, options.data)
    if options.networks:
        compare.folder(options.networks, options.data)
    for failure in compare.failures:
        print(f"FAIL {failure}")
    print(f"{compare.passed()} passed, {len(compare.failures)} failed")
    return 1 if compare.failures else 0 if compare.compared else 77


if __name__ == "__main__":
    sys.exit(main())
