#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""architectures.py for exporters of other frameworks: Keras (tf2onnx) and PaddlePaddle (paddle2onnx).

    architectures_elsewhere.py keras|paddle RUN_MODEL [--only GLOB] [--markdown]

Exports classifiers with random weights and compares float results with the framework's own, on one
image. Exits 1 where a network is refused or differs by more than 1e-4 of the largest output. Not part of
the test suite: it needs `pip install tensorflow-cpu tf2onnx` (made with 2.21.0, 1.17.0), or
`pip install paddlepaddle paddle2onnx` (3.3.1, 2.1.0).
"""
import argparse
import contextlib
import fnmatch
import io
import os
import subprocess
import sys
import tempfile

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np

TOLERANCE = 1e-4
DEPENDS = 1e-3  # as in architectures.py

# name, opset, side of the image
KERAS = [("VGG16", 13, 64), ("ResNet50", 13, 96), ("ResNet50V2", 15, 96), ("InceptionV3", 12, 107),
         ("InceptionResNetV2", 13, 107), ("Xception", 14, 96), ("MobileNet", 11, 96), ("MobileNetV2", 13, 96),
         ("MobileNetV3Small", 15, 96), ("MobileNetV3Large", 13, 96), ("DenseNet121", 12, 96),
         ("NASNetMobile", 13, 96), ("EfficientNetV2B0", 17, 96)]
PADDLE = [("alexnet", 11, 224), ("vgg11", 9, 224), ("resnet18", 11, 96), ("resnet50", 13, 96),
          ("resnext50_32x4d", 11, 96), ("wide_resnet50_2", 12, 96), ("mobilenet_v1", 11, 96), ("mobilenet_v2", 13, 96),
          ("mobilenet_v3_small", 11, 96), ("mobilenet_v3_large", 15, 96), ("squeezenet1_0", 11, 96),
          ("squeezenet1_1", 13, 96), ("densenet121", 11, 96), ("googlenet", 11, 224), ("inception_v3", 13, 139),
          ("shufflenet_v2_x1_0", 11, 96)]


def images(side):
    """Two of them, [2 h w 3], smooth enough that pools do not see noise alone."""
    rng = np.random.default_rng(1)
    coarse = rng.normal(size=(2, side // 8 + 1, side // 8 + 1, 3))
    return np.ascontiguousarray(coarse.repeat(8, 1).repeat(8, 2)[:, :side, :side], np.float32)


def keras(name, opset, x, path):
    import tensorflow as tf
    import tf2onnx

    options = {"weights": None, "input_shape": x.shape[1:], "classifier_activation": None}
    if name.startswith("EfficientNetV2"):  # its constants would be inputs of the exported model
        options["include_preprocessing"] = False
    tf.keras.utils.set_random_seed(1)
    model = getattr(tf.keras.applications, name)(**options)
    norms = [layer for layer in model.layers if isinstance(layer, tf.keras.layers.BatchNormalization)]
    for layer in norms:
        layer.momentum = 0.0  # statistics are those of what follows
        if layer.scale:
            layer.gamma.assign(np.random.uniform(0.6, 1.4, layer.gamma.shape))
        if layer.center:
            layer.beta.assign(np.random.normal(0.5, 0.2, layer.beta.shape))
    for layer in model.layers:
        if hasattr(layer, "rate"):
            layer.rate = 0.0
    if norms:
        model(x, training=True)
    call = tf.function(lambda image: model(image, training=False))
    tf2onnx.convert.from_function(call, [tf.TensorSpec((None,) + x.shape[1:], tf.float32, name="image")],
                                  opset=opset, output_path=path)
    return np.asarray(model(x, training=False))


def paddle(name, opset, x, path):
    import paddle as pd

    pd.seed(1)
    model = getattr(pd.vision.models, name)(pretrained=False)
    norms = [m for m in model.sublayers() if isinstance(m, pd.nn.BatchNorm2D)]
    nchw = pd.to_tensor(np.ascontiguousarray(x.transpose(0, 3, 1, 2)))
    model.eval()
    for m in norms:
        m._momentum = 0.0
        m.weight.set_value(np.random.uniform(0.6, 1.4, m.weight.shape).astype(np.float32))
        m.bias.set_value(np.random.normal(0.5, 0.2, m.bias.shape).astype(np.float32))
        m.train()
    if norms:
        model(nchw)
        model.eval()
    result = model(nchw)
    if isinstance(result, (list, tuple)):  # auxiliary heads, which are outputs to the importer
        result = result[0]
    spec = pd.static.InputSpec([None, 3, x.shape[1], x.shape[2]], "float32", "image")
    pd.onnx.export(model, path[:-len(".onnx")], input_spec=[spec], opset_version=opset)
    return result.numpy()


def run(program, path, x):
    done = subprocess.run([program, path, os.environ.get("BACKEND", "cpu")], capture_output=True, input=x.tobytes())
    if done.returncode:
        raise RuntimeError(done.stderr.decode().strip())
    return np.frombuffer(done.stdout, np.float32)


def compare(program, make, name, opset, side, folder):
    path = os.path.join(folder, name + ".onnx")
    x = images(side)
    np.random.seed(1)
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        expected = make(name, opset, x, path).reshape(2, -1)
    largest = np.abs(expected).max()
    difference = max(np.abs(run(program, path, x[i]) - expected[i]).max() for i in range(2)) / largest
    return difference, np.abs(expected[0] - expected[1]).max() / largest


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("framework", choices=["keras", "paddle"])
    parser.add_argument("run_model")
    parser.add_argument("--only", default="*", help="names that match this pattern")
    parser.add_argument("--markdown", action="store_true", help="print rows for docs/MODELS.md")
    options = parser.parse_args()
    make, networks = {"keras": (keras, KERAS), "paddle": (paddle, PADDLE)}[options.framework]
    failed = 0
    for name, opset, side in networks:
        if not fnmatch.fnmatch(name, options.only):
            continue
        with tempfile.TemporaryDirectory() as folder:
            try:
                difference, depends = compare(options.run_model, make, name, opset, side, folder)
                good = difference <= TOLERANCE and depends >= DEPENDS
                text = f"{difference:.1e}" if depends >= DEPENDS else "the output is constant"
            except (Exception, SystemExit) as error:  # whatever an exporter raises
                good, text = False, (str(error).strip().splitlines() or [type(error).__name__])[-1]
        failed += not good
        if options.markdown:
            print(f"| {options.framework} {name} | {opset} | {side} | {text} |", flush=True)
        else:
            print(f"{'ok' if good else 'FAILED':6} {options.framework} {name} ({opset}): {text}", flush=True)
    return failed > 0


if __name__ == "__main__":
    sys.exit(main())
