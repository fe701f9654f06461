#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""What INT8 costs real networks: ours, ONNX Runtime's and NNCF's, calibrated and judged on the same frames.

    accuracy.py [options] TOOL RUN_INT8

TOOL is gst-int8-1.0, RUN_INT8 the program built from tests/engine/run-int8.c. Every fifth frame calibrates
(at most --calibrate of them), all others judge (at most --judge). Everybody gets the same float tensors.
All are compared with the logits of the float network in ONNX Runtime without graph optimisation:

    dB   10 log10 (sum y^2 / sum (y - yq)^2) over all logits of all frames
    %    frames with the float network's class

Networks that end in a softmax are cut before it, for everybody. Contenders, each with its default options where
nothing else is said:

    ours            the defaults: gst-int8-1.0 table --method auto on as many of the frames that calibrate as are kept
                    by default (50 of 224x224, all of small ones), bias correction fast, equalisation, full ranges
    ORT MinMax ...  ONNX Runtime's quantize_static after quant_pre_process: QDQ, uint8 activations, int8
                    weights per channel; Entropy with 2048 bins (its default of 128 is no histogram)
    NNCF            nncf.quantize of OpenVINO's model, run by OpenVINO

Exits 1 where one of our own engines does not run, never because somebody is better; 77 where a package or the data
are missing (pip install onnx onnxruntime openvino nncf pillow).
"""

import argparse
import contextlib
import functools
import importlib.util
import io
import logging
import os
import subprocess
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
METHODS = ["auto", "mse", "mse-relative", "minmax", "entropy2", "entropy", "percentile", "entropy2-trt", "legacy"]

try:
    import numpy as np
    import onnx
    import onnx.version_converter
    import onnxruntime
    import openvino
    import nncf
    from onnxruntime import quantization
    from onnxruntime.quantization.shape_inference import quant_pre_process
except ImportError as missing:
    print(f"SKIP {missing}: pip install onnx onnxruntime openvino nncf pillow, and have that python3 first in PATH")
    print("0 passed, 0 failed, 1 skipped")
    sys.exit(77)

quantize_module = sys.modules["onnxruntime.quantization.quantize"]  # the package has a function of that name


def load(name, path):
    spec = importlib.util.spec_from_file_location(name, os.path.join(ROOT, *path))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


compare_qdq = load("compare_qdq", ["tests", "engine", "compare-qdq.py"])  # its networks, frames and preprocessing


def photos_of_lines(data, count, size):
    """Photos in the shape of a line of text, 192x48, for the classifier of text direction."""
    from PIL import Image
    images, labels = compare_qdq.photos(data, count, 192)
    return np.stack([np.asarray(Image.fromarray(i).resize((192, 48), Image.BILINEAR)) for i in images]), labels


NETWORKS = compare_qdq.DATA_NETWORKS + [
    ("PP-OCR direction", "models/ch_ppocr_mobile_v2.0_cls_infer.onnx", photos_of_lines,
     compare_qdq.affine([0.5], [0.5], True)),
]
LEFT_OUT = {
    "SqueezeNet_fp16.onnx": "float16, not imported",
    "mnist-1.onnx": "opset 1; the network of mnist-8",
    "mnist_pytorch.onnx": "its input is no image",
    "light_*.onnx": "constant weights, no classes to agree on",
    "mobilenet_v2_qdq_op12_lanznx.onnx, shufflenet-v2-12-int8.onnx, mobilenetv2_dynq_op12_goku.onnx":
        "INT8 already",
}


# --- Models ---------------------------------------------------------------------------------------


def prepare_model(path, shape, out):
    """One image [1 c h w], and no softmax at the end: names of what is cut with it."""
    model = onnx.load(path)
    graph = model.graph
    nodes = {name: node for node in graph.node for name in node.output}
    last, cut = nodes[graph.output[0].name], []
    while last.op_type in ("Softmax", "Identity") or (cut and last.op_type in ("Reshape", "Flatten")):
        if last.op_type == "Softmax" or cut or nodes[last.input[0]].op_type == "Softmax":
            cut.append(last)
            last = nodes[last.input[0]]
        else:
            break
    if cut:
        for node in cut:
            graph.node.remove(node)
        del graph.output[:]
        graph.output.append(onnx.helper.make_empty_tensor_value_info(last.output[0]))
        graph.output[0].type.tensor_type.elem_type = onnx.TensorProto.FLOAT
    constants = {tensor.name for tensor in graph.initializer}
    image = next(value for value in graph.input if value.name not in constants)
    for dim, size in zip(image.type.tensor_type.shape.dim, shape):
        dim.dim_value = size
    if not cut:
        graph.output[0].type.tensor_type.shape.dim[0].dim_value = 1
    model = onnx.shape_inference.infer_shapes(model)
    onnx.save(model, out)


# --- Contenders: a function of a prepared model and frames [n c h w], that gives logits of others ------


def run_onnx(path, frames, optimise=True):
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads, options.inter_op_num_threads = 2, 1
    if not optimise:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return np.stack([session.run(None, {name: x[None]})[0].reshape(-1) for x in frames])


class Reader(quantization.CalibrationDataReader):
    def __init__(self, path, frames):
        name = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"]).get_inputs()[0].name
        self.feeds = iter([{name: x[None]} for x in frames])

    def get_next(self):
        return next(self.feeds, None)


def quantise_ort(method, prepared, calibrating, out, per_channel):
    plain = quantize_module.create_calibrator

    def with_bins(*arguments, extra_options, **more):
        return plain(*arguments, extra_options={**extra_options, "num_bins": 2048}, **more)

    if method == "Entropy":
        quantize_module.create_calibrator = with_bins
    try:
        quantization.quantize_static(
            prepared, out, Reader(prepared, calibrating), quant_format=quantization.QuantFormat.QDQ,
            per_channel=per_channel, activation_type=quantization.QuantType.QUInt8,
            weight_type=quantization.QuantType.QInt8,
            calibrate_method=getattr(quantization.CalibrationMethod, method))
    finally:
        quantize_module.create_calibrator = plain


def ort(method, path, calibrating, judging, folder):
    prepared, out = os.path.join(folder, "ort-prepared.onnx"), os.path.join(folder, f"ort-{method}.onnx")
    model = onnx.load(path)
    if model.opset_import[0].version < 13:  # of which scales per channel are
        path = os.path.join(folder, "opset13.onnx")
        onnx.save(onnx.version_converter.convert_version(model, 13), path)
    try:
        quant_pre_process(path, prepared)
    except AssertionError:  # its symbolic shapes do not know every op of older opsets; ONNX's do
        quant_pre_process(path, prepared, skip_symbolic_shape=True)
    try:
        quantise_ort(method, prepared, calibrating, out, True)
    except ValueError as error:  # of its adjustment of biases, which takes one scale for granted
        print(f"NOTE {method}: scales per channel fail in its quantiser ({error}): per tensor", file=sys.__stdout__)
        quantise_ort(method, prepared, calibrating, out, False)
    return run_onnx(out, judging)


def nncf_default(path, calibrating, judging, folder):
    core = openvino.Core()
    model = nncf.quantize(core.read_model(path), nncf.Dataset([x[None] for x in calibrating]),
                          subset_size=len(calibrating))
    # float32 where it is not int8: bfloat16, which OpenVINO would take on some machines, is less accurate
    compiled = core.compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": 2})
    return np.stack([compiled(x[None])[0].reshape(-1).copy() for x in judging])


PEERS = {
    "ORT MinMax": functools.partial(ort, "MinMax"),
    "ORT Entropy": functools.partial(ort, "Entropy"),
    "ORT Percentile": functools.partial(ort, "Percentile"),
    "NNCF": nncf_default,
}


class Ours:
    def __init__(self, options):
        self.tool, self.run_int8 = options.tool, options.run_int8

    def feed(self, *arguments, frames):
        images = np.ascontiguousarray(frames.transpose(0, 2, 3, 1), np.float32)
        return subprocess.run([self.run_int8, *arguments], input=images.tobytes(), stdout=subprocess.PIPE,
                              check=True).stdout

    def statistics(self, path, calibrating, folder):
        for command in ("statistics", "statistics-trt"):
            self.feed(command, path, os.path.join(folder, command), frames=calibrating)

    def logits(self, path, method, judging, folder, correction="fast", ranges="full"):
        table = os.path.join(folder, f"{method}-{correction}.table")
        stats = os.path.join(folder, "statistics-trt" if method in ("entropy2-trt", "legacy") else "statistics")
        said = subprocess.run([self.tool, "table", "--statistics", stats, "--model", path, "--method", method, "-o", table,
                               "--bias-correction", correction], check=True, stdout=subprocess.PIPE, text=True).stdout
        if method == "auto":
            print(f"NOTE auto took {said.splitlines()[2].split()[0]}", flush=True)
        return np.frombuffer(self.feed("run", path, table, ranges, frames=judging), np.float32).reshape(
            len(judging), -1)


# --- Judging --------------------------------------------------------------------------------------


def score(exact, judged):
    noise = np.sum((exact.astype(np.float64) - judged) ** 2)
    signal = np.sum(exact.astype(np.float64) ** 2)
    return (10 * np.log10(signal / noise) if noise else np.inf,
            100 * np.mean(exact.argmax(1) == judged.argmax(1)))


def cells(scores):
    """The best of a row is bold, dB and % apart."""
    best = [max(round(s[i], 1) for s in scores if s) for i in (0, 1)]
    return " | ".join(" / ".join(f"**{v:.1f}**" if round(v, 1) == b else f"{v:.1f}" for v, b in zip(s, best))
                      if s else "fails" for s in scores)


def quietly(call, *arguments):
    """The libraries print progress and advice; it is shown where they fail."""
    said = io.StringIO()
    try:
        with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
            return call(*arguments)
    except Exception:
        print(said.getvalue()[-2000:], file=sys.stderr)
        raise


def peer_score(peer, path, exact, calibrating, judging, folder):
    """None where it cannot do this network, which is its row's result and not ours to repair."""
    try:
        return score(exact, quietly(PEERS[peer], path, calibrating, judging, folder))
    except Exception as error:  # the libraries have exceptions of their own
        print(f"NOTE {peer} fails: {str(error).splitlines()[0]}", flush=True)
        return None


def one_network(name, file, frames, prepare, options, ours):
    height = compare_qdq.Comparison.height(os.path.join(options.data, file))
    images, _ = frames(options.data, options.calibrate * 5 + options.judge, height)
    x = np.ascontiguousarray(prepare(images).transpose(0, 3, 1, 2))
    chosen = np.zeros(len(x), bool)
    chosen[::5] = True
    calibrating, judging = x[chosen][:options.calibrate], x[~chosen][:options.judge]
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "model.onnx")
        prepare_model(os.path.join(options.data, file), [1, *x.shape[1:]], path)
        exact = run_onnx(path, judging, optimise=False)
        ours.statistics(path, calibrating, folder)
        methods = [score(exact, ours.logits(path, m, judging, folder)) for m in METHODS]
        variants = [score(exact, ours.logits(path, "mse", judging, folder, c, r))
                    for c, r in (("off", "full"), ("full", "full"), ("fast", "symmetric"))]
        peers = [peer_score(p, path, exact, calibrating, judging, folder) for p in options.peers]
    counts = f"{len(calibrating)} + {len(judging)}"
    return (f"| {name} | {counts} | {cells(methods[:1] + peers)} |",
            f"| {name} | {cells(methods + variants)} |")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tool", metavar="TOOL")
    parser.add_argument("run_int8", metavar="RUN_INT8")
    parser.add_argument("--data", default=os.environ.get("INT8_TEST_DATA", os.path.join(ROOT, "..", "shared", "data")),
                        help="networks and frames (default: INT8_TEST_DATA)")
    parser.add_argument("--only", default="", help="networks with this in their name")
    parser.add_argument("--peers", default=",".join(PEERS), type=lambda text: [p for p in text.split(",") if p],
                        help="of the others, these (default: %(default)s)")
    parser.add_argument("--calibrate", type=int, default=100, help="at most so many frames (default: %(default)s)")
    parser.add_argument("--judge", type=int, default=1000, help="at most so many frames (default: %(default)s)")
    options = parser.parse_args()
    unknown = [p for p in options.peers if p not in PEERS]
    if unknown:
        parser.error(f"no peer {unknown[0]}: take some of {', '.join(PEERS)}")
    logging.disable(logging.WARNING)
    print(f"ONNX Runtime {onnxruntime.__version__}, OpenVINO {openvino.__version__.split('-')[0]}, "
          f"NNCF {nncf.__version__}, onnx {onnx.__version__}\n")
    rows, skipped, failed = [], 0, 0
    for network in NETWORKS:
        if options.only not in network[0]:
            continue
        try:
            rows.append(one_network(*network, options, Ours(options)))
            print(*rows[-1], sep="\n", flush=True)
        except FileNotFoundError as missing:
            print(f"SKIP {network[0]}: {missing}", flush=True)
            skipped += 1
        except (subprocess.CalledProcessError, ValueError) as error:
            print(f"FAIL {network[0]}: {error}", flush=True)
            failed += 1
    print(f"\ndB / %. calibrating + judging frames.\n\n| network | frames | ours | {' | '.join(options.peers)} |")
    print("|---" * (3 + len(options.peers)) + "|")
    print("\n".join(row[0] for row in rows))
    titles = METHODS + ["mse, bias off", "mse, bias full", "mse, symmetric"]
    print(f"\nOurs, by method:\n\n| network | {' | '.join(titles)} |\n" + "|---" * (1 + len(titles)) + "|")
    print("\n".join(row[1] for row in rows))
    print("\nLeft out: " + "; ".join(f"{file} ({why})" for file, why in LEFT_OUT.items()))
    print(f"{len(rows)} passed, {failed} failed, {skipped} skipped")
    return 1 if failed else 0 if rows else 77


if __name__ == "__main__":
    sys.exit(main())
