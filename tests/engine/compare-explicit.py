#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Models that are quantised already: our INT8 engine without a table beside ONNX Runtime, same frames.

    compare-explicit.py [options] TOOL RUN_INT8 [MODEL.onnx...]

TOOL is gst-int8-1.0, RUN_INT8 the program built from run-int8.c. Without MODELs: those of the data
folder, and its float networks as ONNX Runtime's quantize_static and NNCF quantise them here. Both sides
get the same floats, so that only the network is compared. A line tells

    same     frames with ONNX Runtime's class, in percent
    level    frames that keep their class when one pixel of every frame is about one level off, ours and
             ONNX Runtime's: what rounding alone may change in this network
    right    frames with the labelled class, ours and ONNX Runtime's
    SQNR     of our outputs against theirs
    layers   int8 and float; "anew": filters whose weights int8 does not hold

Models with DynamicQuantizeLinear get a table as the commands make it, calibrated on the first 64 frames; a
second line has our FP32 engine, whose weights are the model's integers and whose activations are floats.
Exits 1 where we refuse a model, and where less than 99 % of the frames have the same class, and also 2 % less
than keep theirs with the pixel moved (rounding differs in every layer, the pixel in the first only); 77 where
a package or the data is missing (pip install onnx onnxruntime openvino nncf pillow).
"""

import argparse
import importlib.util
import os
import re
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
LEAST_SAME, BELOW_STEADY, CALIBRATION = 0.99, 0.02, 64

spec = importlib.util.spec_from_file_location("compare_qdq", os.path.join(HERE, "compare-qdq.py"))
qdq = importlib.util.module_from_spec(spec)
spec.loader.exec_module(qdq)

np, onnx, onnxruntime = qdq.np, qdq.onnx, qdq.onnxruntime

GIVEN = [("mobilenet_v2_qdq_op12_lanznx", "given (QDQ, int8)"), ("shufflenet-v2-12-int8", "given (QLinear)"),
         ("mobilenetv2_dynq_op12_goku", "given (dynamic)")]


# --- Quantised here -------------------------------------------------------------------------------


class Reader:
    def __init__(self, name, images):
        self.name, self.images = name, iter(images)

    def get_next(self):
        image = next(self.images, None)
        return None if image is None else {self.name: nchw(image[None])}


def nchw(images):
    return np.ascontiguousarray(images.transpose(0, 3, 1, 2))


def input_name(model):
    constants = {tensor.name for tensor in model.graph.initializer}
    return next(value.name for value in model.graph.input if value.name not in constants)


def prepared(path, folder):
    """Batch norms folded, and an opset that has scales per channel."""
    from onnxruntime.quantization.shape_inference import quant_pre_process
    ready = os.path.join(folder, "prepared.onnx")
    quant_pre_process(path, ready, skip_symbolic_shape=True)
    model = onnx.load(ready)
    if max(o.version for o in model.opset_import if o.domain in ("", "ai.onnx")) < 13:
        model = onnx.version_converter.convert_version(model, 13)
        onnx.save(model, ready)
    return ready, model


def by_onnxruntime(path, images, folder, form, activations, weights, per_channel, **extra):
    from onnxruntime import quantization as q
    ready, model = prepared(path, folder)
    result = os.path.join(folder, "quantised.onnx")
    q.quantize_static(ready, result, Reader(input_name(model), images[:CALIBRATION]),
                      quant_format=getattr(q.QuantFormat, form), activation_type=getattr(q.QuantType, activations),
                      weight_type=getattr(q.QuantType, weights), per_channel=per_channel, extra_options=extra)
    return result


def by_nncf(path, images, folder):
    import nncf
    _, model = prepared(path, folder)
    name = input_name(model)
    data = nncf.Dataset([{name: nchw(image[None])} for image in images[:CALIBRATION]])
    result = os.path.join(folder, "quantised.onnx")
    onnx.save(nncf.quantize(model, data, subset_size=CALIBRATION), result)
    return result


WAYS = {
    "ORT QDQ u8": lambda *a: by_onnxruntime(*a, "QDQ", "QUInt8", "QInt8", True),
    "ORT QDQ s8, per tensor": lambda *a: by_onnxruntime(*a, "QDQ", "QInt8", "QInt8", False),
    "ORT QDQ u8, ReLUs kept": lambda *a: by_onnxruntime(*a, "QDQ", "QUInt8", "QInt8", True,
                                                        QDQKeepRemovableActivations=True),
    "ORT QLinear u8": lambda *a: by_onnxruntime(*a, "QOperator", "QUInt8", "QInt8", True),
    "ORT QLinear u8, weights u8": lambda *a: by_onnxruntime(*a, "QOperator", "QUInt8", "QUInt8", False),
    "NNCF": by_nncf,
}


# --- Comparison -----------------------------------------------------------------------------------


def one_level(images):
    y, x = images.shape[1] // 2, images.shape[2] // 2
    level = (images.max() - images.min()) / 255
    moved = images.copy()
    moved[:, y, x, 0] += np.where(moved[:, y, x, 0] > (images.max() + images.min()) / 2, -level, level)
    return moved


class Comparison:
    def __init__(self, options):
        self.options, self.failures, self.compared = options, [], 0

    def theirs(self, path, images):
        settings = onnxruntime.SessionOptions()
        settings.log_severity_level, settings.intra_op_num_threads = 3, self.options.threads
        if self.options.int8_kernels:
            settings.add_session_config_entry("session.qdqisint8allowed", "1")
        if self.options.plain:
            settings.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        session = onnxruntime.InferenceSession(path, settings, providers=["CPUExecutionProvider"])
        name = session.get_inputs()[0].name
        return np.concatenate([session.run(None, {name: nchw(images[i:i + 1])})[0].reshape(1, -1)
                               for i in range(len(images))])

    def ours(self, path, images, *how):
        result = subprocess.run([self.options.run_int8, how[0], path, *how[1:]], input=images.tobytes(),
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False)
        if result.returncode:
            raise RuntimeError(result.stderr.decode().strip())
        return np.frombuffer(result.stdout, np.float32).reshape(len(images), -1)

    def layers(self, path, table, folder):
        result = subprocess.run([self.options.tool, "build", "-m", path, "-o", os.path.join(folder, "a.int8engine")] +
                                (["-t", table, "--force"] if table != "-" else []),
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False, text=True)
        if result.returncode:
            raise RuntimeError(result.stderr.strip())
        int8, fp32 = re.search(r"(\d+) layers int8, (\d+) fp32", result.stdout).groups()
        anew = sum(int(n) for n in re.findall(r"(\d+) of \d+ filters have weights", result.stdout))
        return f"{int8}, {fp32}" + (f"; {anew} anew" if anew else "")

    def table(self, path, images, folder):
        """As the commands make it by default: method auto, bias correction, equalisation."""
        statistics, table = os.path.join(folder, "a.int8stats"), os.path.join(folder, "a.table")
        subprocess.run([self.options.run_int8, "statistics", path, statistics], input=images[:CALIBRATION].tobytes(),
                       check=True)
        subprocess.run([self.options.tool, "table", "-s", statistics, "-m", path, "-o", table], check=True,
                       stdout=subprocess.DEVNULL)
        return table

    def row(self, name, how, path, frames, run, layers):
        """run: what RUN_INT8 does. Returns the share of frames with the same class, and whether that is enough."""
        images, labels = frames
        theirs, ours = self.theirs(path, images), self.ours(path, images, *run)
        moved = one_level(images)
        same = (theirs.argmax(1) == ours.argmax(1)).mean()
        steady = [(self.ours(path, moved, *run).argmax(1) == ours.argmax(1)).mean(),
                  (self.theirs(path, moved).argmax(1) == theirs.argmax(1)).mean()]
        noise = np.linalg.norm(ours - theirs)
        sqnr = f"{20 * np.log10(np.linalg.norm(theirs) / noise):.1f}" if noise else "equal"
        right = [(outputs.argmax(1) == labels).mean() for outputs in (ours, theirs)]
        print(f"| {name} | {how} | {len(images)} | {100 * same:.2f} | {100 * steady[0]:.1f}, {100 * steady[1]:.1f} | "
              f"{100 * right[0]:.1f}, {100 * right[1]:.1f} | {sqnr} | {layers} |", flush=True)
        return same, same >= min(LEAST_SAME, min(steady) - BELOW_STEADY)

    def network(self, name, how, path, frames, folder):
        dynamic = any(n.op_type == "DynamicQuantizeLinear" for n in onnx.load(path).graph.node)
        self.compared += 1
        try:
            table = self.table(path, frames[0], folder) if dynamic else "-"
            same, fine = self.row(name, how, path, frames, ("run", table, "full"), self.layers(path, table, folder))
            if dynamic:  # what is left where only ONNX Runtime rounds activations
                self.row(name, how + ", ours in FP32", path, frames, ("float",), "all float")
            elif not fine:
                self.failures.append(f"{name}, {how}: the same class in {100 * same:.2f} % of the frames")
        except (RuntimeError, subprocess.CalledProcessError) as cause:
            print(f"| {name} | {how} | refused: {cause} |", flush=True)
            self.failures.append(f"{name}, {how}: {cause}")

    def given(self, data, paths):
        images, labels = qdq.photos(data, self.options.frames, 224)
        images = qdq.IMAGENET(images)
        for path, how in paths:
            with tempfile.TemporaryDirectory() as folder:
                self.network(os.path.basename(path)[:-5], how, path, (images, labels), folder)

    def quantised(self, data):
        for name, path, frames, prepare in qdq.DATA_NETWORKS:
            if self.options.only not in name:
                continue
            model = os.path.join(data, path)
            images, labels = frames(data, self.options.frames, qdq.Comparison.height(model))
            images = prepare(images)
            for how, way in WAYS.items():
                if not any(part in how for part in self.options.ways.split(";")):
                    continue
                with tempfile.TemporaryDirectory() as folder:
                    try:
                        result = way(model, images, folder)
                        self.theirs(result, images[:1])
                    except Exception as cause:  # a quantiser that cannot, or that writes what its own runtime refuses
                        print(f"| {name} | {how} | not made: {str(cause).splitlines()[0][:80]} |", flush=True)
                        continue
                    self.network(name, how, result, (images, labels), folder)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tool", metavar="TOOL")
    parser.add_argument("run_int8", metavar="RUN_INT8")
    parser.add_argument("models", metavar="MODEL", nargs="*", help="of ImageNet's classes, with torchvision's preprocessing")
    parser.add_argument("--data", default=os.environ.get("INT8_TEST_DATA", os.path.join(ROOT, "..", "shared", "data")),
                        help="labelled photos and networks (default: INT8_TEST_DATA)")
    parser.add_argument("--frames", type=int, default=500, help="at most so many of a network (default: %(default)s)")
    parser.add_argument("--only", default="", help="networks with this in their name, quantised here")
    parser.add_argument("--ways", default="", help="quantised in ways with one of these in their name (a;b)")
    parser.add_argument("--int8-kernels", action="store_true",
                        help="of ONNX Runtime for int8 activations, too: it leaves layers to float kernels otherwise")
    parser.add_argument("--plain", action="store_true", help="ONNX Runtime without optimisations: all in float")
    parser.add_argument("--threads", type=int, default=2, help="of ONNX Runtime (default: %(default)s)")
    options = parser.parse_args()
    if not os.path.exists(os.path.join(options.data, "photos", "labels.tsv")):
        print(f"SKIP there is no test data in {options.data}\n0 passed, 0 failed, 1 skipped")
        return 77
    compare = Comparison(options)
    print("| network | quantised by | frames | same, % | level, % | right, % | SQNR, dB | layers |")
    print("|---|---|---|---|---|---|---|---|")
    if options.models:
        compare.given(options.data, [(path, "given") for path in options.models])
    elif not options.only:
        compare.given(options.data, [(os.path.join(options.data, "models", name + ".onnx"), how) for name, how in GIVEN])
    if not options.models:
        compare.quantised(options.data)
    for failure in compare.failures:
        print(f"FAIL {failure}")
    print(f"{compare.compared - len(compare.failures)} passed, {len(compare.failures)} failed")
    return 1 if compare.failures else 0


if __name__ == "__main__":
    sys.exit(main())
