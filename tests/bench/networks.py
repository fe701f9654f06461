#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Write well-known classifiers as ONNX with seeded random weights.

    python3 tests/bench/networks.py OUT [NAME...]

The topologies are the published ones, layer by layer, so that times are those of the real networks;
the printed numbers of parameters are the published ones less batch normalisation's.
Weights are He-normal, batch norms are folded into the convolutions (as every engine does before it
runs), the batch is dynamic ("N"), the input 224x224, the output 1000 logits.
"""

import argparse
import os

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper


class Net:
    """A network being written; every method takes and returns the name of a tensor."""

    def __init__(self, name, seed=1):
        self.name, self.rng = name, np.random.default_rng(seed)
        self.nodes, self.weights, self.channels = [], [], {"data": 3}

    def op(self, kind, inputs, channels, **attributes):
        out = f"t{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, inputs, [out], name=f"{kind}{len(self.nodes)}", **attributes))
        self.channels[out] = channels
        return out

    def constant(self, array):
        name = f"w{len(self.weights)}"
        self.weights.append(numpy_helper.from_array(array, name))
        return name

    def conv(self, x, oc, k, stride=1, groups=1, act=None, pad=None):
        ic = self.channels[x] // groups
        kh, kw = (k, k) if isinstance(k, int) else k
        std = np.sqrt(2.0 / (ic * kh * kw))
        w = self.constant(self.rng.normal(0, std, (oc, ic, kh, kw)).astype(np.float32))
        b = self.constant(self.rng.normal(0, 0.05, oc).astype(np.float32))
        p = [(kh - 1) // 2, (kw - 1) // 2] if pad is None else [pad, pad]
        y = self.op("Conv", [x, w, b], oc, kernel_shape=[kh, kw], strides=[stride, stride],
                    pads=p + p, group=groups)
        return self.act(y, act)

    def act(self, x, kind):
        c = self.channels[x]
        if kind == "relu":
            return self.op("Relu", [x], c)
        if kind == "relu6":
            return self.op("Clip", [x, self.constant(np.float32(0)), self.constant(np.float32(6))], c)
        if kind == "hswish":
            return self.op("HardSwish", [x], c)
        if kind == "silu":
            return self.op("Mul", [x, self.op("Sigmoid", [x], c)], c)
        return x

    def maxpool(self, x, k=3, stride=2, pad=1, ceil=0):
        return self.op("MaxPool", [x], self.channels[x], kernel_shape=[k, k], strides=[stride, stride],
                       pads=[pad] * 4, ceil_mode=ceil)

    def add(self, a, b):
        return self.op("Add", [a, b], self.channels[a])

    def squeeze_excite(self, x, squeezed, inner, gate):
        s = self.op("GlobalAveragePool", [x], self.channels[x])
        s = self.conv(s, squeezed, 1, act=inner)
        s = self.conv(s, self.channels[x], 1)
        if gate == "hsigmoid":
            s = self.op("HardSigmoid", [s], self.channels[x], alpha=1 / 6, beta=0.5)
        else:
            s = self.op("Sigmoid", [s], self.channels[x])
        return self.op("Mul", [x, s], self.channels[x])

    def linear(self, x, oc, act=None):
        ic = self.channels[x]
        w = self.constant(self.rng.normal(0, np.sqrt(1.0 / ic), (oc, ic)).astype(np.float32))
        b = self.constant(np.zeros(oc, np.float32))
        return self.act(self.op("Gemm", [x, w, b], oc, transB=1), act)

    def head(self, x):
        x = self.op("GlobalAveragePool", [x], self.channels[x])
        return self.op("Flatten", [x], self.channels[x])

    def save(self, x, path):
        self.nodes[-1].output[0] = "logits"
        data = helper.make_tensor_value_info("data", TensorProto.FLOAT, ["N", 3, 224, 224])
        logits = helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["N", 1000])
        graph = helper.make_graph(self.nodes, self.name, [data], [logits], self.weights)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 14)], ir_version=8)
        onnx.checker.check_model(model)
        onnx.save(model, path)


def resnet(n, blocks, bottleneck):
    x = n.maxpool(n.conv("data", 64, 7, 2, act="relu"))
    for stage, count in enumerate(blocks):
        for i in range(count):
            stride = 2 if stage and i == 0 else 1
            width, short = 64 << stage, x
            oc = width * (4 if bottleneck else 1)
            if bottleneck:
                y = n.conv(x, width, 1, act="relu")
                y = n.conv(y, width, 3, stride, act="relu")
                y = n.conv(y, oc, 1)
            else:
                y = n.conv(n.conv(x, width, 3, stride, act="relu"), width, 3)
            if stride != 1 or n.channels[x] != oc:
                short = n.conv(x, oc, 1, stride)
            x = n.act(n.add(y, short), "relu")
    return n.linear(n.head(x), 1000)


def inverted(n, x, k, expanded, oc, stride, act, se=None):
    y = x if expanded == n.channels[x] else n.conv(x, expanded, 1, act=act)
    y = n.conv(y, expanded, k, stride, groups=expanded, act=act)
    if se:
        y = n.squeeze_excite(y, *se)
    y = n.conv(y, oc, 1)
    return n.add(x, y) if stride == 1 and n.channels[x] == oc else y


def mobilenet_v2(n):
    x = n.conv("data", 32, 3, 2, act="relu6")
    for t, c, count, s in [(1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1),
                           (6, 160, 3, 2), (6, 320, 1, 1)]:
        for i in range(count):
            x = inverted(n, x, 3, t * n.channels[x], c, s if i == 0 else 1, "relu6")
    return n.linear(n.head(n.conv(x, 1280, 1, act="relu6")), 1000)


def mobilenet_v3_large(n):
    def divisible(v):
        q = max(8, int(v + 4) // 8 * 8)
        return q + 8 if q < 0.9 * v else q

    x = n.conv("data", 16, 3, 2, act="hswish")
    for k, e, c, se, act, s in [
            (3, 16, 16, 0, "relu", 1), (3, 64, 24, 0, "relu", 2), (3, 72, 24, 0, "relu", 1),
            (5, 72, 40, 1, "relu", 2), (5, 120, 40, 1, "relu", 1), (5, 120, 40, 1, "relu", 1),
            (3, 240, 80, 0, "hswish", 2), (3, 200, 80, 0, "hswish", 1), (3, 184, 80, 0, "hswish", 1),
            (3, 184, 80, 0, "hswish", 1), (3, 480, 112, 1, "hswish", 1), (3, 672, 112, 1, "hswish", 1),
            (5, 672, 160, 1, "hswish", 2), (5, 960, 160, 1, "hswish", 1), (5, 960, 160, 1, "hswish", 1)]:
        x = inverted(n, x, k, e, c, s, act, (divisible(e / 4), "relu", "hsigmoid") if se else None)
    x = n.head(n.conv(x, 960, 1, act="hswish"))
    return n.linear(n.linear(x, 1280, "hswish"), 1000)


def efficientnet_b0(n):
    x = n.conv("data", 32, 3, 2, act="silu")
    for t, k, s, c, count in [(1, 3, 1, 16, 1), (6, 3, 2, 24, 2), (6, 5, 2, 40, 2), (6, 3, 2, 80, 3),
                              (6, 5, 1, 112, 3), (6, 5, 2, 192, 4), (6, 3, 1, 320, 1)]:
        for i in range(count):
            ic = n.channels[x]
            x = inverted(n, x, k, t * ic, c, s if i == 0 else 1, "silu", (ic // 4, "silu", "sigmoid"))
    return n.linear(n.head(n.conv(x, 1280, 1, act="silu")), 1000)


def squeezenet_1_1(n):
    def fire(x, squeeze, expand):
        s = n.conv(x, squeeze, 1, act="relu")
        a, b = n.conv(s, expand, 1, act="relu"), n.conv(s, expand, 3, act="relu")
        return n.op("Concat", [a, b], 2 * expand, axis=1)

    x = n.maxpool(n.conv("data", 64, 3, 2, act="relu", pad=0), pad=0, ceil=1)
    x = n.maxpool(fire(fire(x, 16, 64), 16, 64), pad=0, ceil=1)
    x = n.maxpool(fire(fire(x, 32, 128), 32, 128), pad=0, ceil=1)
    x = fire(fire(fire(fire(x, 48, 192), 48, 192), 64, 256), 64, 256)
    return n.head(n.conv(x, 1000, 1, act="relu"))


def shufflenet_v2(n):
    def shuffle(x, hw):
        c = n.channels[x]
        x = n.op("Reshape", [x, n.constant(np.array([-1, 2, c // 2, hw, hw]))], c)
        x = n.op("Transpose", [x], c, perm=[0, 2, 1, 3, 4])
        return n.op("Reshape", [x, n.constant(np.array([-1, c, hw, hw]))], c)

    def branch(x, oc, stride):
        y = n.conv(x, oc, 1, act="relu")
        return n.conv(n.conv(y, oc, 3, stride, groups=oc), oc, 1, act="relu")

    x, hw = n.maxpool(n.conv("data", 24, 3, 2, act="relu")), 56
    for oc, count in [(116, 4), (232, 8), (464, 4)]:
        hw //= 2
        for i in range(count):
            half = oc // 2
            if i == 0:
                ic = n.channels[x]
                a = n.conv(n.conv(x, ic, 3, 2, groups=ic), half, 1, act="relu")
                b = branch(x, half, 2)
            else:
                a, b = f"a{len(n.nodes)}", f"b{len(n.nodes)}"
                n.nodes.append(helper.make_node("Split", [x, n.constant(np.array([half, half]))], [a, b], axis=1))
                n.channels[a] = n.channels[b] = half
                b = branch(b, half, 1)
            x = shuffle(n.op("Concat", [a, b], oc, axis=1), hw)
    return n.linear(n.head(n.conv(x, 1024, 1, act="relu")), 1000)


def vgg16(n):
    x = "data"
    for oc, count in [(64, 2), (128, 2), (256, 3), (512, 3), (512, 3)]:
        for _ in range(count):
            x = n.conv(x, oc, 3, act="relu")
        x = n.maxpool(x, 2, 2, 0)
    x = n.op("Flatten", [x], 512 * 7 * 7)
    return n.linear(n.linear(n.linear(x, 4096, "relu"), 4096, "relu"), 1000)


NETWORKS = {
    "resnet18": lambda n: resnet(n, [2, 2, 2, 2], False),
    "resnet50": lambda n: resnet(n, [3, 4, 6, 3], True),
    "mobilenetv2": mobilenet_v2,
    "mobilenetv3": mobilenet_v3_large,
    "efficientnet-b0": efficientnet_b0,
    "squeezenet1.1": squeezenet_1_1,
    "shufflenetv2": shufflenet_v2,
    "vgg16": vgg16,
}


def operations(path):
    """Multiplications and additions of convolutions and fully connected layers, for one image."""
    model = onnx.load(path)
    for value in (*model.graph.input, *model.graph.output):
        value.type.tensor_type.shape.dim[0].dim_value = 1
    weights = {w.name: list(w.dims) for w in model.graph.initializer}
    graph = onnx.shape_inference.infer_shapes(model).graph
    outputs = {v.name: [d.dim_value for d in v.type.tensor_type.shape.dim]
               for v in (*graph.value_info, *graph.output)}
    return sum(2 * int(np.prod(outputs[node.output[0]])) * int(np.prod(weights[node.input[1]][1:]))
               for node in graph.node if node.op_type in ("Conv", "Gemm"))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", help="folder for the .onnx files")
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(NETWORKS))
    options = parser.parse_args()
    os.makedirs(options.out, exist_ok=True)
    for name in options.names or NETWORKS:
        net = Net(name)
        path = os.path.join(options.out, name + ".onnx")
        net.save(NETWORKS[name](net), path)
        parameters = sum(int(np.prod(w.dims)) for w in net.weights)
        print(f"{path}: {len(net.nodes)} nodes, {parameters / 1e6:.2f} M parameters")


if __name__ == "__main__":
    main()
