#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""architectures.py for exporters of other frameworks: Keras (tf2onnx), PaddlePaddle (paddle2onnx), MXNet
and Caffe2; and the models of Caffe2 that come with the package onnx.

    architectures_elsewhere.py keras|paddle|mxnet|caffe2|light RUN_MODEL [--only GLOB] [--markdown]

Exports classifiers with random weights and compares float results with the framework's own, on two
images. `light` takes the models that onnx has for its tests, whose weights are one number each, gives them
random ones and compares with ONNX Runtime. Exits 1 where a network is refused or differs by more than 1e-4
of the largest output. Not part of the test suite. It needs, each in an environment of its own:

    keras   tensorflow-cpu tf2onnx (made with 2.21.0, 1.17.0)
    paddle  paddlepaddle paddle2onnx (3.3.1, 2.1.0)
    mxnet   mxnet gluoncv "onnx<1.13" "numpy<1.24" (1.9.1, 0.10.5, 1.12.0, 1.23.5; Python 3.8)
    caffe2  torch "onnx<1.7" "protobuf<4" future (1.4.0, 1.6.0; Python 3.7)
    light   onnx onnxruntime (1.23.2, 1.31.1)
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
         ("NASNetMobile", 13, 96), ("EfficientNetB0", 13, 96), ("EfficientNetV2B0", 17, 96),
         ("ConvNeXtTiny", 13, 64), ("ConvNeXtSmall", 17, 64), ("ViT", 13, 64)]
PADDLE = [("alexnet", 11, 224), ("vgg11", 9, 224), ("resnet18", 11, 96), ("resnet50", 13, 96),
          ("resnext50_32x4d", 11, 96), ("wide_resnet50_2", 12, 96), ("mobilenet_v1", 11, 96), ("mobilenet_v2", 13, 96),
          ("mobilenet_v3_small", 11, 96), ("mobilenet_v3_large", 15, 96), ("squeezenet1_0", 11, 96),
          ("squeezenet1_1", 13, 96), ("densenet121", 11, 96), ("googlenet", 11, 224), ("inception_v3", 13, 139),
          ("shufflenet_v2_x1_0", 11, 96)]
MXNET = [("alexnet", 13, 224), ("vgg11", 13, 64), ("vgg11_bn", 13, 64), ("resnet18_v1", 13, 128),
         ("resnet50_v1", 13, 128), ("resnet50_v1d", 13, 128), ("resnet18_v2", 13, 128), ("resnet50_v2", 13, 128),
         ("resnext50_32x4d", 13, 128), ("se_resnet18_v1", 13, 128), ("densenet121", 13, 224),
         ("squeezenet1.0", 13, 224), ("squeezenet1.1", 13, 224), ("mobilenet1.0", 13, 128),
         ("mobilenetv2_1.0", 13, 128), ("mobilenetv3_small", 13, 128), ("mobilenetv3_large", 13, 128),
         ("googlenet", 13, 224), ("inceptionv3", 13, 299), ("xception", 13, 299),
         ("darknet53", 13, 128), ("dla34", 13, 128), ("hrnet_w18_small_v1_c", 13, 128),
         ("residualattentionnet56", 13, 224)]
CAFFE2 = [("alexnet", 9, 227), ("vgg11", 9, 64), ("googlenet", 9, 128), ("squeezenet", 9, 128),
          ("resnet20", 9, 32), ("resnet50", 9, 128), ("resnext50", 9, 128), ("densenet", 9, 128),
          ("mobilenet", 9, 128), ("shufflenet_v2", 9, 224)]
LIGHT = [(name, 9, 224) for name in ("bvlc_alexnet", "densenet121", "inception_v1", "inception_v2", "resnet50",
                                     "shufflenet", "squeezenet", "vgg19", "zfnet512")]


def images(side):
    """Two of them, [2 h w 3], smooth enough that pools do not see noise alone."""
    rng = np.random.default_rng(1)
    coarse = rng.normal(size=(2, side // 8 + 1, side // 8 + 1, 3))
    return np.ascontiguousarray(coarse.repeat(8, 1).repeat(8, 2)[:, :side, :side], np.float32)


def keras_vit(shape):
    """A small one of Keras' own layers, whose attention is Einsums and whose GELU is TensorFlow's."""
    from tensorflow.keras import Input, Model, layers

    image = Input(shape)
    x = layers.Reshape((-1, 48))(layers.Conv2D(48, 16, strides=16)(image))
    for _ in range(2):
        y = layers.LayerNormalization()(x)
        x = layers.Add()([x, layers.MultiHeadAttention(3, 16)(y, y)])
        y = layers.Dense(192, activation="gelu")(layers.LayerNormalization()(x))
        x = layers.Add()([x, layers.Dense(48)(y)])
    return Model(image, layers.Dense(10)(layers.GlobalAveragePooling1D()(x)))


def keras(name, opset, x, path):
    import tensorflow as tf
    import tf2onnx

    options = {"weights": None, "input_shape": x.shape[1:], "classifier_activation": None}
    tf.keras.utils.set_random_seed(1)
    model = keras_vit(x.shape[1:]) if name == "ViT" else getattr(tf.keras.applications, name)(**options)
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
        if isinstance(layer, tf.keras.layers.LayerNormalization):
            layer.beta.assign(np.random.normal(0.0, 0.2, layer.beta.shape))
        if type(layer).__name__ in ("LayerNormalization", "LayerScale"):  # the latter starts at nearly 0
            layer.gamma.assign(np.random.uniform(0.6, 1.4, layer.gamma.shape))
    if norms:
        model(x, training=True)
    tf.config.run_functions_eagerly(name.startswith("ConvNeXt"))  # or convolutions with groups stay functions
    if name.startswith(("ConvNeXt", "EfficientNet", "ViT")):  # whose constants would be inputs of a function's export
        folder = path[:-len(".onnx")]
        model.export(folder, verbose=False)
        subprocess.run([sys.executable, "-m", "tf2onnx.convert", "--saved-model", folder, "--output", path,
                        "--opset", str(opset)], check=True, capture_output=True)
        return np.asarray(model(x, training=False))
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


def mxnet(name, opset, x, path):
    import mxnet as mx
    from gluoncv.model_zoo import get_model

    mx.random.seed(1)
    net = get_model(name, pretrained=False)
    net.initialize(mx.init.Xavier(rnd_type="gaussian", factor_type="in", magnitude=2))
    nchw = mx.nd.array(np.ascontiguousarray(x.transpose(0, 3, 1, 2)))
    net(nchw)  # makes the parameters
    layers = []
    net.apply(layers.append)
    norms = [layer for layer in layers if isinstance(layer, mx.gluon.nn.BatchNorm)]
    for layer in norms:
        layer._kwargs["momentum"] = 0.0
        layer.gamma.set_data(mx.nd.array(np.random.uniform(0.6, 1.4, layer.gamma.shape)))
        layer.beta.set_data(mx.nd.array(np.random.normal(0.5, 0.2, layer.beta.shape)))
    for layer in layers:
        if isinstance(layer, mx.gluon.nn.Dropout):
            layer._rate = 0.0
    if norms:
        with mx.autograd.record(train_mode=True):
            net(nchw)
        mx.nd.waitall()
    net.hybridize()
    result = net(nchw)
    prefix = path[:-len(".onnx")]
    net.export(prefix)
    mx.onnx.export_model(prefix + "-symbol.json", prefix + "-0000.params", [(1,) + nchw.shape[1:]], np.float32,
                         path)
    return (result[0] if isinstance(result, list) else result).asnumpy()


def caffe2(name, opset, x, path):
    import architectures_caffe2
    import onnx

    model, expected = architectures_caffe2.make(name, np.ascontiguousarray(x.transpose(0, 3, 1, 2)))
    onnx.save(model, path)
    return expected


def light(name, opset, x, path):
    import onnx
    import onnxruntime

    folder = os.path.join(os.path.dirname(onnx.__file__), "backend", "test", "data", "light")
    model = onnx.load(os.path.join(folder, f"light_{name}.onnx"))
    shapes = {t.name: onnx.numpy_helper.to_array(t) for t in model.graph.initializer}
    readers = {i: (n, k) for n in model.graph.node for k, i in enumerate(n.input)}
    for node in [n for n in model.graph.node if n.op_type == "ConstantOfShape"]:
        shape = shapes[node.input[0]]
        value = np.random.normal(0, np.sqrt(2 / max(np.prod(shape[1:]), 1)), shape)
        reader, k = readers[node.output[0]]
        if reader.op_type == "Unsqueeze":  # Caffe's scales, and shifts
            reader, k = readers[reader.output[0]]
        if reader.op_type == "Mul" or (reader.op_type == "BatchNormalization" and k in (1, 4)):
            value = np.random.uniform(0.6, 1.4, shape)  # and variances
        elif len(shape) == 1:
            value = np.random.normal(0, 0.2, shape)
        model.graph.initializer.append(onnx.numpy_helper.from_array(value.astype(np.float32), node.output[0]))
        model.graph.node.remove(node)
    if model.graph.node[-1].op_type == "Softmax":  # of scores of any size, which would hide all but one
        model.graph.output[0].name = model.graph.node.pop().input[0]
        model.graph.output[0].type.tensor_type.ClearField("shape")
    onnx.save(model, path)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # not about inputs that have an initialiser
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    image = session.get_inputs()[0].name
    return np.concatenate([session.run(None, {image: one[None]})[0] for one in x.transpose(0, 3, 1, 2)])


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


FRAMEWORKS = {"keras": (keras, KERAS), "paddle": (paddle, PADDLE), "mxnet": (mxnet, MXNET),
              "caffe2": (caffe2, CAFFE2), "light": (light, LIGHT)}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("framework", choices=sorted(FRAMEWORKS))
    parser.add_argument("run_model")
    parser.add_argument("--only", default="*", help="names that match this pattern")
    parser.add_argument("--markdown", action="store_true", help="print rows for docs/MODELS.md")
    options = parser.parse_args()
    make, networks = FRAMEWORKS[options.framework]
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
