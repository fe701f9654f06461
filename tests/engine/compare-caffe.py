#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Caffe networks with random weights in float, here and in OpenCV's dnn module.

  compare-caffe.py RUN-MODEL CAFFE.PROTO PROTOTXT...

RUN-MODEL is build/tests/engine/run-model, CAFFE.PROTO Caffe's own src/caffe/proto/caffe.proto (protoc
compiles it), a PROTOTXT a network for deployment. Weights are made for it, so that activations stay in
range, and both are given the same two files. Prints the largest difference relative to the largest output.
Needs protoc, and numpy, protobuf and opencv-python-headless below version 5.
"""
import os
import subprocess
import sys
import tempfile

import cv2
import numpy as np
from google.protobuf import text_format

LIMIT = 1e-4


def compile_proto(path, folder):
    subprocess.run(["protoc", "--python_out=" + folder, "-I" + os.path.dirname(os.path.abspath(path)),
                    os.path.abspath(path)], check=True)
    sys.path.insert(0, folder)
    import caffe_pb2
    return caffe_pb2


def input_shape(net):
    if net.input_shape:
        return list(net.input_shape[0].dim)
    if net.input_dim:
        return list(net.input_dim[:4])
    return next(list(x.input_param.shape[0].dim) for x in net.layer if x.type == "Input")


def pair(values, h, w, otherwise):
    if h or w:
        return h, w
    values = [values or otherwise] if isinstance(values, int) else list(values) or [otherwise]
    return values[0], values[-1]


class Shapes:
    """Follows [c, h, w] of every blob, to know how many weights a layer has."""

    def __init__(self, net):
        self.of = {}
        shape = input_shape(net)[1:]
        for name in net.input or [t for x in net.layer if x.type == "Input" for t in x.top]:
            self.of[name] = shape

    def window(self, p, c, out, ceil):
        kernel = pair(p.kernel_size, p.kernel_h, p.kernel_w, 1)
        stride = pair(p.stride, p.stride_h, p.stride_w, 1)
        pad = pair(p.pad, p.pad_h, p.pad_w, 0)
        dilation = list(getattr(p, "dilation", [])) or [1]
        size = []
        for i in range(2):
            room = c[1 + i] + 2 * pad[i] - dilation[0] * (kernel[i] - 1) - 1
            n = (-(-room // stride[i]) if ceil else room // stride[i]) + 1
            if ceil and pad[i] and (n - 1) * stride[i] >= c[1 + i] + pad[i]:
                n -= 1
            size.append(n)
        return [out] + size, kernel

    def step(self, layer):
        """The shapes of the layer's blobs of weights."""
        x = self.of[layer.bottom[0]] if layer.bottom else None
        y, weights = x, []
        if layer.type == "Input":
            return []
        if layer.type == "Convolution":
            p = layer.convolution_param
            y, kernel = self.window(p, x, p.num_output, False)
            weights = [[p.num_output, x[0] // p.group, *kernel]] + [[p.num_output]] * p.bias_term
        elif layer.type == "InnerProduct":
            p = layer.inner_product_param
            weights = [[p.num_output, int(np.prod(x))]] + [[p.num_output]] * p.bias_term
            y = [p.num_output, 1, 1]
        elif layer.type == "Pooling":
            p = layer.pooling_param
            y = [x[0], 1, 1] if p.global_pooling else self.window(p, x, x[0], True)[0]
        elif layer.type == "BatchNorm":
            weights = [[x[0]], [x[0]], [1]]
        elif layer.type == "Scale":
            weights = [[x[0]]] + [[x[0]]] * layer.scale_param.bias_term
        elif layer.type == "Concat":
            y = [sum(self.of[b][0] for b in layer.bottom), *x[1:]]
        for top in layer.top:
            self.of[top] = y
        return weights


def values(layer, i, shape, random):
    if layer.type == "BatchNorm":
        return [random.normal(0, 0.1, shape), random.uniform(0.5, 1.5, shape), np.ones(shape)][i]
    if layer.type == "Scale":
        return random.uniform(0.5, 1.0, shape) if i == 0 else random.normal(0, 0.1, shape)
    if i == 1:
        return random.normal(0, 0.1, shape)
    return random.normal(0, (2 / np.prod(shape[1:])) ** 0.5, shape)


def make_weights(caffe, net, random):
    weights, shapes = caffe.NetParameter(), Shapes(net)
    for layer in net.layer:
        copy = weights.layer.add()
        copy.name, copy.type = layer.name, layer.type
        for i, shape in enumerate(shapes.step(layer)):
            blob = copy.blobs.add()
            blob.shape.dim.extend(shape)
            blob.data.extend(values(layer, i, shape, random).ravel().astype(np.float32).tolist())
    return weights


def compare(run_model, caffe, prototxt, folder):
    net = caffe.NetParameter()
    random = np.random.default_rng(1)
    with open(prototxt) as file:
        text_format.Parse(file.read(), net)
    text, weights = folder + "/net.prototxt", folder + "/net.caffemodel"
    with open(text, "w") as file:
        file.write(open(prototxt).read())
    with open(weights, "wb") as file:
        file.write(make_weights(caffe, net, random).SerializeToString())
    image = random.uniform(-1, 1, [1, *input_shape(net)[1:]]).astype(np.float32)
    ours = np.frombuffer(subprocess.run([run_model, weights, "cpu"], check=True, stdout=subprocess.PIPE,
                                        input=image[0].transpose(1, 2, 0).tobytes()).stdout, np.float32)
    reference = cv2.dnn.readNetFromCaffe(text, weights)
    reference.setInput(image)
    theirs = reference.forward().ravel()
    difference = float(np.abs(ours - theirs).max() / np.abs(theirs).max()) if ours.size == theirs.size else 1
    print("%-28s %d values, %.2g" % (os.path.basename(prototxt), ours.size, difference), flush=True)
    return difference <= LIMIT


def main():
    if len(sys.argv) < 4:
        sys.exit(__doc__)
    with tempfile.TemporaryDirectory() as folder:
        caffe = compile_proto(sys.argv[2], folder)
        good = [compare(sys.argv[1], caffe, p, folder) for p in sys.argv[3:]]
    sys.exit(0 if all(good) else 1)


if __name__ == "__main__":
    main()
