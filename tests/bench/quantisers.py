# SPDX-License-Identifier: LGPL-2.1-or-later
"""ONNX Runtime's and NNCF's quantisers, each with its default options: the others of accuracy.py."""

import contextlib
import functools
import hashlib
import io
import os
import sys

import numpy as np
import onnx
import onnx.version_converter
import onnxruntime
import openvino
import nncf
from onnxruntime import quantization
from onnxruntime.quantization.shape_inference import quant_pre_process

quantize_module = sys.modules["onnxruntime.quantization.quantize"]  # the package has a function of that name
VERSIONS = (f"ONNX Runtime {onnxruntime.__version__}, OpenVINO {openvino.__version__.split('-')[0]}, "
            f"NNCF {nncf.__version__}, onnx {onnx.__version__}")


def prepare_model(path, shape, out):
    """One image [1 c h w], and no softmax at the end."""
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


def run_onnx(path, frames, optimise=True):
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads, options.inter_op_num_threads = 1, 1
    if not optimise:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return np.stack([session.run(None, {name: x[None]})[0].reshape(-1) for x in frames])


# --- Quantisers: a function of a prepared model, and of frames [n c h w] that calibrate and that are judged ---


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


def ort(method, path, calibrating, frames, folder):
    prepared, out = os.path.join(folder, "ort-prepared.onnx"), os.path.join(folder, f"ort-{method}.onnx")
    model = onnx.load(path)
    if model.opset_import[0].version < 13:  # of which scales per channel are
        path = os.path.join(folder, "opset13.onnx")
        onnx.save(onnx.version_converter.convert_version(model, 13), path)
    try:
        quant_pre_process(path, prepared)
    except Exception as error:  # its symbolic shapes do not know every op of older opsets, nor Swin's; ONNX's do
        print(f"NOTE {method}: without symbolic shapes, which fail ({error})", file=sys.__stdout__)
        quant_pre_process(path, prepared, skip_symbolic_shape=True)
    try:
        quantise_ort(method, prepared, calibrating, out, True)
    except ValueError as error:  # of its adjustment of biases, which takes one scale for granted
        print(f"NOTE {method}: scales per channel fail in its quantiser ({error}): per tensor", file=sys.__stdout__)
        quantise_ort(method, prepared, calibrating, out, False)
    return run_onnx(out, frames)


def nncf_default(path, calibrating, frames, _folder):
    core = openvino.Core()
    model = nncf.quantize(core.read_model(path), nncf.Dataset([x[None] for x in calibrating]),
                          subset_size=len(calibrating))
    # float32 where it is not int8: bfloat16, which OpenVINO would take on some machines, is less accurate
    compiled = core.compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": 1})
    return np.stack([compiled(x[None])[0].reshape(-1).copy() for x in frames])


def floats(path, _calibrating, frames, _folder):
    """The network itself, as it is in its file."""
    return run_onnx(path, frames, optimise=False)


PEERS = {
    "ORT MinMax": functools.partial(ort, "MinMax"),
    "ORT Entropy": functools.partial(ort, "Entropy"),
    "ORT Percentile": functools.partial(ort, "Percentile"),
    "NNCF": nncf_default,
}
SLOW = ("ORT Entropy",)  # as long as all others together


def quietly(call, *arguments):
    """The libraries print progress and advice; it is shown where they fail."""
    said = io.StringIO()
    try:
        with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
            return call(*arguments)
    except Exception:
        print(said.getvalue()[-2000:], file=sys.stderr)
        raise


def cached(folder, name, call, path, calibrating, frames, work):
    """Its logits, kept in the folder, if one is given. None where it cannot do this network, which is its row's result
    and not ours to repair."""
    digest = hashlib.sha256(f"{name}, {VERSIONS}".encode())
    with open(path, "rb") as file:
        digest.update(file.read())
    digest.update(calibrating.tobytes())
    digest.update(frames.tobytes())
    kept = os.path.join(folder, digest.hexdigest() + ".npy") if folder else ""
    if os.path.exists(kept):
        return np.load(kept)
    try:
        logits = quietly(call, path, calibrating, frames, work)
    except Exception as error:  # the libraries have exceptions of their own
        print(f"NOTE {name} fails: {str(error).splitlines()[0]}", flush=True)
        return None
    if kept:
        np.save(kept, logits)
    return logits
