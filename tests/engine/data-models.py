#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Every float model of the data folder: FP32 against ONNX Runtime, and INT8 after calibration.

    data-models.py TOOL RUN_MODEL RUN_INT8 [--only GLOB] [--markdown]

FP32 is compared on 20 frames: the largest difference relative to the largest output, 1e-4 at most.
INT8 is calibrated on 100 frames, as int8calib and gst-int8-1.0 do where nothing else is said (method auto on
50 of the frames, fast bias correction, equalisation), and run on 200 others: the share on which its first class
is ONNX Runtime's in FP32, 97 % at least, and 95 % of mobile networks. The light_ models have constant weights:
all frames give the same scores but for the last digits, and their first class says nothing. Exits 1
where a number is missed, 77 without the data folder. Needs `pip install numpy onnx onnxruntime pillow`.
"""
import argparse
import fnmatch
import importlib.util
import os
import subprocess
import sys
import tempfile

import numpy as np
import onnx
import onnxruntime

HERE = os.path.dirname(os.path.abspath(__file__))
SPEC = importlib.util.spec_from_file_location("compare_qdq", os.path.join(HERE, "compare-qdq.py"))
QDQ = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(QDQ)

CALIBRATION, COMPARED, FLOAT = 100, 200, 20
TOLERANCE = 1e-4


def strips(data, count, size):
    """Photos as lines of text are given to a classifier of their direction: 192 by 48."""
    from PIL import Image
    images, labels = QDQ.photos(data, count, 224)
    return np.stack([np.asarray(Image.fromarray(i).resize((192, 48), Image.BILINEAR)) for i in images]), labels


HALF = QDQ.affine([0.5], [0.5])
UNIT = QDQ.affine([0], [1])
BYTES = QDQ.affine([0], [1], False, 1)
CAFFE = QDQ.affine([104, 117, 123], [1], True, 1)
CIFAR = QDQ.affine([0.4914, 0.4822, 0.4465], [0.247, 0.243, 0.262])
# file, frames, preprocessing, least agreement (None: says nothing), shape to give
MODELS = [
    ("SqueezeNet_fp16.onnx", QDQ.photos, QDQ.IMAGENET, 0.97, None),
    ("ch_ppocr_mobile_v2.0_cls_infer.onnx", strips, HALF, 0.95, "3;48;192"),
    ("light_densenet121.onnx", QDQ.photos, QDQ.IMAGENET, None, None),
    ("light_inception_v1.onnx", QDQ.photos, QDQ.IMAGENET, None, None),
    ("light_resnet50.onnx", QDQ.photos, QDQ.IMAGENET, None, None),
    ("light_squeezenet.onnx", QDQ.photos, QDQ.IMAGENET, None, None),
    ("mnist-1.onnx", QDQ.mnist, BYTES, 0.97, None),
    ("mnist-8.onnx", QDQ.mnist, BYTES, 0.97, None),
    ("mnist_pytorch.onnx", QDQ.mnist, UNIT, 0.97, "1;28;28"),
    ("mobilenetv2_fp32_op12.onnx", QDQ.photos, QDQ.IMAGENET, 0.95, None),
    ("resnet20_cifar10.onnx", QDQ.cifar10, CIFAR, 0.97, None),
    ("shufflenetv2_fp32_op12.onnx", QDQ.photos, QDQ.IMAGENET, 0.95, None),
    ("squeezenet1.0_fp32.onnx", QDQ.photos, CAFFE, 0.97, None),
    ("winml_ImageClassifier_cifar10.onnx", QDQ.cifar10, QDQ.affine([127.5], [127.5], False, 1), 0.97, None),
]


# ONNX Runtime has no Add of opset 1; the other file holds the same network.
SAME = {"mnist-1.onnx": "mnist-8.onnx"}


def program(*arguments, images, shape):
    environment = dict(os.environ, **({"SHAPE": shape} if shape else {}))
    done = subprocess.run(arguments, input=np.ascontiguousarray(images).tobytes(), capture_output=True,
                          env=environment)
    if done.returncode:
        raise RuntimeError(done.stderr.decode().strip().splitlines()[-1])
    return np.frombuffer(done.stdout, np.float32)


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


def calibrate(tool, run_int8, path, table, images, shape):
    """The method that was taken."""
    statistics = table + ".int8stats"
    program(run_int8, "statistics", path, statistics, images=images, shape=shape)
    said = subprocess.run([tool, "table", "--statistics", statistics, "--model", path, "--output", table,
                           *(["--shapes", shape] if shape else [])], stdout=subprocess.PIPE, check=True, text=True)
    return said.stdout.splitlines()[-1].split(", ")[1]


def compare(tool, run_model, run_int8, path, frames, prepare, least, shape, data):
    size = 28 if frames is QDQ.mnist else 224
    images = prepare(frames(data, CALIBRATION + (COMPARED if least else FLOAT), size)[0])
    expected = theirs(path, images[CALIBRATION:])
    ours = np.stack([program(run_model, path, "cpu", images=i, shape=shape)
                     for i in images[CALIBRATION:CALIBRATION + FLOAT]])
    difference = np.abs(ours - expected[:FLOAT]).max() / np.abs(expected[:FLOAT]).max()
    with tempfile.TemporaryDirectory() as folder:
        table = os.path.join(folder, "table")
        method = calibrate(tool, run_int8, path, table, images[:CALIBRATION], shape)
        levels = program(run_int8, "run", path, table, "full", images=images[CALIBRATION:], shape=shape)
    levels = levels.reshape(len(expected), -1)
    return difference, (levels.argmax(1) == expected.argmax(1)).mean(), method


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("tool")
    parser.add_argument("run_model")
    parser.add_argument("run_int8")
    parser.add_argument("--only", default="*", help="files that match this pattern")
    parser.add_argument("--markdown", action="store_true", help="print the table of docs/MODELS.md")
    options = parser.parse_args()
    data = os.environ.get("INT8_TEST_DATA", os.path.join(HERE, "..", "..", "..", "shared", "data"))
    if not os.path.isdir(os.path.join(data, "models")):
        print(f"SKIP no models in {data}")
        return 77
    failed = 0
    for name, frames, prepare, least, shape in MODELS:
        if not fnmatch.fnmatch(name, options.only):
            continue
        try:
            difference, agreement, method = compare(options.tool, options.run_model, options.run_int8,
                                                    os.path.join(data, "models", name), frames, prepare, least,
                                                    shape, data)
        except Exception as error:  # of a runtime, or of these programs
            failed += 1
            print(f"FAILED {name}: {str(error)[:200]}")
            continue
        good = difference <= TOLERANCE and (least is None or agreement >= least)
        failed += not good
        share = f"{100 * agreement:.1f} %" if least is not None else f"({100 * agreement:.1f} %)"
        if options.markdown:
            print(f"| {name} | {difference:.1e} | {share} | {method} |")
        else:
            print(f"{'ok' if good else 'MISSED':6} {name}: FP32 {difference:.1e}, INT8 {share}, {method}")
        sys.stdout.flush()
    return failed > 0


if __name__ == "__main__":
    sys.exit(main())
