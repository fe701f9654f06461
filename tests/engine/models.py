#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Makes the small models of tests/engine/models/ and what ONNX Runtime computes with them.

    models.py             writes models/*.onnx and models/golden.txt

Needs `pip install onnx onnxruntime` (made with onnx 1.23.2, onnxruntime 1.31.1). Each model has one
idea, a few nodes and weights that follow from their names, so that the files are the same every time.
golden.txt holds the first output of the first image, in ONNX's order of axes (of what ONNX Runtime does
not run: of ONNX's reference), for the image x[i] = ((29 i + 7) mod 61 - 30) / 16.
"""
import os
import zlib

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

import models_more

FOLDER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "models")
IMAGE = [1, 3, 6, 5]
MODELS = {}


def weights(name, *shape, low=-1.0, high=1.0):
    """Quarters between low and high: sums of their products are exact or nearly so."""
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    return numpy_helper.from_array(
        (np.round(rng.uniform(low, high, shape) * 16) / 16).astype(np.float32), name)


def const(name, value, dtype=np.int64):
    return numpy_helper.from_array(np.array(value, dtype), name)


def node(op, inputs, outputs, **attributes):
    return helper.make_node(op, inputs.split(" ") if inputs else [], outputs.split(), outputs.split()[0], **attributes)


def model(name, nodes, tensors=(), opset=13, shape=IMAGE, outputs="y", **kwargs):
    """Outputs have no shapes: the importer must not need them."""
    graph = helper.make_graph(
        nodes, name, [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info(o, TensorProto.FLOAT, None) for o in outputs.split()],
        list(tensors))
    MODELS[name] = (helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8,
        producer_name="gst-int8 tests"), kwargs)


def convolutions():
    w, b = weights("w", 4, 3, 3, 2), weights("b", 4)
    model("conv", [node("Conv", "x w b", "y")], [w, b])
    model("conv-no-bias", [node("Conv", "x w", "y", kernel_shape=[3, 2])], [w])
    model("conv-pads", [node("Conv", "x w b", "y", pads=[1, 0, 2, 1], strides=[2, 3],
                             dilations=[1, 2])], [w, b])
    model("conv-groups", [node("Conv", "x w", "a", pads=[1, 1, 1, 1]),
                          node("Conv", "a w2", "y", group=2)],
          [weights("w", 4, 3, 3, 3), weights("w2", 6, 2, 1, 1)])
    model("conv-depthwise", [node("Conv", "x w b", "y", group=3, strides=[2, 2])],
          [weights("w", 6, 1, 3, 3), weights("b", 6)])
    for pad in "SAME_UPPER", "SAME_LOWER", "VALID":
        model("conv-" + pad.lower().replace("_", "-"),
              [node("Conv", "x w", "y", auto_pad=pad, strides=[2, 2])], [weights("w", 2, 3, 2, 4)])
    model("conv-1d", [node("Reshape", "x s", "r"),
                      node("Conv", "r w b", "c", pads=[2, 1], strides=[2], dilations=[2]),
                      node("Relu", "c", "d"), node("MaxPool", "d", "y", kernel_shape=[3])],
          [const("s", [1, 3, 30]), weights("w", 2, 3, 3), weights("b", 2)])
    model("gemm", [node("Flatten", "x", "f"), node("Gemm", "f w b", "y", transB=1)],
          [weights("w", 4, 90), weights("b", 4)])
    model("gemm-alpha-beta", [node("Flatten", "x", "f"),
                              node("Gemm", "f w c", "y", alpha=0.5, beta=2.0)],
          [weights("w", 90, 4), weights("c", 1, 4)])
    model("gemm-scalar-c", [node("Flatten", "x", "f"), node("Gemm", "f w c", "g"),
                            node("Gemm", "g v", "y")],
          [weights("w", 90, 4), weights("c", 1), weights("v", 4, 3)], opset=11)
    model("matmul", [node("Reshape", "x s", "r"), node("MatMul", "r w", "m"),
                     node("Add", "m b", "y")],
          [const("s", [0, -1]), weights("w", 90, 4), weights("b", 4)])
    model("matmul-rank3", [node("Reshape", "x s", "r"), node("MatMul", "r w", "y")],
          [const("s", [1, 6, 15]), weights("w", 15, 4)])


def sums_and_products():
    c, d = weights("c", 3, 1, 1), weights("d", 1, low=1)
    model("constant-operands",
          [node("Add", "x c", "a"), node("Mul", "c a", "m"), node("Sub", "d m", "s"),
           node("Div", "s e", "q"), node("Sub", "q c", "y")], [c, d, weights("e", low=0.5)])
    model("channels-last-constant", [node("Reshape", "x s", "r"), node("Mul", "r c", "m"),
                                     node("Add", "m c", "y")],
          [const("s", [1, 2, 15, 3]), weights("c", 3)])
    model("uniform-constant", [node("Mul", "x c", "y")],
          [const("c", np.full([1, 3, 6, 5], 0.5), np.float32)])
    model("add", [node("Conv", "x w", "a"), node("Add", "x a", "s"), node("Relu", "s", "y")],
          [weights("w", 3, 3, 1, 1)])
    model("sub", [node("Conv", "x w", "a"), node("Sub", "x a", "y")], [weights("w", 3, 3, 1, 1)])
    model("squeeze-excite",
          [node("GlobalAveragePool", "x", "g"), node("Conv", "g w b", "c"),
           node("HardSigmoid", "c", "h"), node("Mul", "h x", "y")],
          [weights("w", 3, 3, 1, 1), weights("b", 3)])
    model("squeeze-excite-nhwc",
          [node("ReduceMean", "x", "g", axes=[1, 2]), node("Sigmoid", "g", "h"),
           node("Mul", "x h", "y")], shape=[1, 6, 5, 3])
    model("sum", [node("Conv", "x w", "a"), node("Sum", "a x a", "y")],
          [weights("w", 3, 3, 1, 1)])
    bn = [weights("gamma", 3), weights("beta", 3), weights("mean", 3), weights("var", 3, low=0.5)]
    model("batch-norm", [node("BatchNormalization", "x gamma beta mean var", "y", epsilon=1e-3)],
          bn)
    model("conv-batch-norm",
          [node("Conv", "x w", "c", pads=[1, 1, 1, 1]),
           node("BatchNormalization", "c gamma beta mean var", "n", momentum=0.9),
           node("Relu", "n", "y")], bn + [weights("w", 3, 3, 3, 3)], opset=7)
    model("batch-norm-flat",
          [node("Flatten", "x", "f"), node("Gemm", "f w", "g"),
           node("BatchNormalization", "g gamma beta mean var", "y")], bn + [weights("w", 90, 3)],
          opset=15)


def functions():
    model("relu", [node("Relu", "x", "y")])
    model("leaky-relu", [node("LeakyRelu", "x", "a", alpha=0.25), node("LeakyRelu", "a", "y")])
    model("clip-attributes", [node("Clip", "x", "y", min=-0.5, max=1.0)], opset=10)
    model("clip-inputs", [node("Clip", "x lo hi", "a"), helper.make_node("Clip", ["a", "", "one"],
                                                                         ["y"])],
          [const("lo", -0.75, np.float32), const("hi", 1.5, np.float32),
           const("one", 1, np.float32)])
    model("sigmoid", [node("Sigmoid", "x", "y")])
    model("hard-sigmoid", [node("HardSigmoid", "x", "y", alpha=0.3, beta=0.4)])
    model("hard-swish", [node("HardSwish", "x", "y")], opset=14)
    model("hard-swish-in-parts",
          [node("Add", "x three", "a"), node("Clip", "a zero six", "c"), node("Mul", "x c", "m"),
           node("Div", "m six", "y")],
          [const(n, v, np.float32) for n, v in (("zero", 0), ("three", 3), ("six", 6))])
    model("silu", [node("Sigmoid", "x", "s"), node("Mul", "x s", "y")])
    model("softmax", [node("Flatten", "x", "f"), node("Softmax", "f", "y")])
    model("softmax-channels", [node("Softmax", "x", "y", axis=1)])
    model("softmax-last", [node("Softmax", "x", "y")])
    model("softmax-rows", [node("Softmax", "x", "y", axis=2)], opset=11)
    model("softmax-vector", [node("GlobalAveragePool", "x", "g"), node("Softmax", "g", "y")],
          opset=9)
    model("log-softmax", [node("Flatten", "x", "f"), node("LogSoftmax", "f", "y")])
    model("as-it-is", [node("Identity", "x", "i"), node("Dropout", "i", "d mask"),
                       node("Cast", "d", "c", to=TensorProto.FLOAT), node("Relu", "c", "r"),
                       node("Identity", "r", "y")], opset=12)


def pools():
    model("maxpool", [node("MaxPool", "x", "y", kernel_shape=[3, 2], strides=[2, 2],
                           pads=[1, 0, 1, 1])])
    model("maxpool-ceil", [node("MaxPool", "x", "y", kernel_shape=[3, 3], strides=[2, 2],
                                ceil_mode=1)])
    model("maxpool-ceil-pads", [node("MaxPool", "x", "y", kernel_shape=[2, 2], strides=[3, 3],
                                     pads=[1, 1, 1, 1], ceil_mode=1)])
    model("maxpool-dilated", [node("MaxPool", "x", "y", kernel_shape=[2, 2], dilations=[2, 3])])
    model("maxpool-same", [node("MaxPool", "x", "y", kernel_shape=[3, 3], strides=[2, 2],
                                auto_pad="SAME_UPPER")], opset=8)
    model("avgpool", [node("AveragePool", "x", "y", kernel_shape=[3, 2], strides=[2, 1],
                           pads=[1, 1, 1, 1])])
    model("avgpool-include", [node("AveragePool", "x", "y", kernel_shape=[3, 2], strides=[2, 1],
                                   pads=[1, 1, 1, 1], count_include_pad=1)])
    model("avgpool-ceil", [node("AveragePool", "x", "y", kernel_shape=[3, 3], strides=[2, 2],
                                ceil_mode=1)], opset=19)
    model("avgpool-ceil-include",
          [node("AveragePool", "x", "y", kernel_shape=[3, 3], strides=[2, 2], ceil_mode=1,
                pads=[1, 1, 1, 1], count_include_pad=1)], opset=19)
    model("global-pools", [node("GlobalAveragePool", "x", "a"), node("GlobalMaxPool", "x", "m"),
                           node("Concat", "a m", "y", axis=1)])
    model("reduce-mean", [node("ReduceMean", "x", "r", axes=[2, 3], keepdims=0),
                          node("Gemm", "r w", "y")], [weights("w", 3, 4)])
    model("reduce-mean-keep", [node("ReduceMean", "x", "y", axes=[-1, -2])], opset=11)
    model("reduce-mean-input", [node("ReduceMean", "x axes", "y", keepdims=0)],
          [const("axes", [3])], opset=18)
    model("reduce-max", [node("ReduceMax", "x", "y", axes=[2], keepdims=1)])


def moves():
    model("concat", [node("Conv", "x w", "a"), node("Concat", "a x a", "y", axis=1)],
          [weights("w", 2, 3, 1, 1)])
    model("concat-width", [node("Relu", "x", "a"), node("Concat", "a x", "y", axis=-1)])
    model("split", [node("Split", "x parts", "a b", axis=2), node("Add", "a b", "y")],
          [const("parts", [3, 3])])
    model("split-equal", [node("Split", "x", "a b c", axis=1), node("Concat", "c a b", "y", axis=1)],
          opset=11)
    model("split-outputs", [node("Split", "x", "a b", axis=1, num_outputs=2),
                            node("Relu", "b", "y")], opset=18)
    model("slice", [node("Slice", "x starts ends axes", "y")],
          [const("starts", [1, -3]), const("ends", [1000, -1]), const("axes", [1, 2])])
    model("slice-attributes", [node("Slice", "x", "y", starts=[0, 1], ends=[1, 3], axes=[0, 3])],
          opset=9)
    model("pad", [node("Pad", "x pads value", "y", mode="constant")],
          [const("pads", [0, 1, 0, 2, 0, 0, 1, 0]), const("value", 0.5, np.float32)])
    model("pad-attributes", [node("Pad", "x", "p", pads=[0, 0, 1, 1, 0, 0, 2, 0]),
                             node("Conv", "p w", "y")], [weights("w", 2, 3, 3, 3)], opset=10)
    model("pad-axes", [node("Relu", "x", "r"), helper.make_node("Pad", ["r", "pads", "", "axes"],
                                                                ["p"]),
                       node("MaxPool", "p", "y", kernel_shape=[2, 2], strides=[2, 2])],
          [const("pads", [1, 0, 1, 1]), const("axes", [3, -2])], opset=18)
    model("transpose", [node("Transpose", "x", "t", perm=[0, 2, 1, 3]), node("Relu", "t", "r"),
                        node("Transpose", "r", "y", perm=[0, 2, 1, 3])])
    model("nhwc", [node("Transpose", "x", "t", perm=[0, 3, 1, 2]), node("Conv", "t w b", "c"),
                   node("Transpose", "c", "u", perm=[0, 2, 3, 1]), node("Add", "u d", "a"),
                   node("Relu", "a", "r"), node("ReduceMean", "r", "y", axes=[1, 2], keepdims=0)],
          [weights("w", 4, 3, 3, 3), weights("b", 4), weights("d", 4)], shape=[1, 6, 5, 3])
    model("channel-shuffle",
          [node("Conv", "x w", "a"), node("Reshape", "a s1", "r"),
           node("Transpose", "r", "t", perm=[0, 2, 1, 3, 4]), node("Reshape", "t s2", "u"),
           node("Conv", "u w2", "y", group=3)],
          [weights("w", 6, 3, 1, 1), const("s1", [1, 2, 3, 6, 5]), const("s2", [1, 6, 6, 5]),
           weights("w2", 3, 2, 1, 1)])
    model("squeeze", [node("ReduceMean", "x", "g", axes=[3]), node("Squeeze", "g", "s", axes=[3]),
                      node("Unsqueeze", "s", "u", axes=[2, -1]), node("Flatten", "u", "y")],
          opset=11)
    model("squeeze-all", [node("GlobalMaxPool", "x", "g"), node("Squeeze", "g axes", "s"),
                          node("Unsqueeze", "s axes", "u"), node("Squeeze", "u", "y")],
          [const("axes", [2, 3])])


def shapes():
    model("shape-chain",
          [node("GlobalAveragePool", "x", "g"), node("Shape", "g", "s"),
           node("Gather", "s zero", "n"), node("Unsqueeze", "n", "u", axes=[0]),
           node("Concat", "u minus", "t", axis=0), node("Reshape", "g t", "f"),
           node("Gemm", "f w", "y")],
          [const("zero", 0), const("minus", [-1]), weights("w", 3, 4)], opset=11,
          shape=["N", 3, 6, 5])
    model("shape-arithmetic",
          [node("Shape", "x", "s"), node("Cast", "s", "i", to=TensorProto.INT32),
           node("Slice", "i one four", "chw"), node("Split", "x", "a b c", axis=1),
           node("Gather", "chw indices", "hw"), node("Add", "hw hw", "d"), node("Sub", "d hw", "e"),
           node("Mul", "e two", "m"), node("Div", "m two", "q"), node("Squeeze", "row", "z", axes=[0]),
           node("Concat", "z q", "t", axis=0), node("Cast", "t", "t64", to=TensorProto.INT64),
           node("Cast", "all", "end", to=TensorProto.INT64), node("Slice", "t64 first end", "u"),
           node("Reshape", "a u", "y")],
          [const("one", [1]), const("four", [4]), const("indices", [1, -1]),
           const("two", 2, np.int32), const("row", [[1]], np.int32),
           const("all", [2**63 - 1]), const("first", [0])], opset=11)
    model("constant-of-shape",
          [node("ConstantOfShape", "dims", "w", value=const("v", [0.25], np.float32)),
           node("ConstantOfShape", "two", "s", value=const("v", [-1])),
           node("Mul", "s s", "ones"), node("Range", "zero limit one", "r"),
           node("Add", "r r", "d"), node("Sub", "ones d", "t"), node("Conv", "x w", "c"),
           node("Reshape", "c t", "y")],
          [const("dims", [4, 3, 1, 1]), const("two", [2]), const("zero", 0), const("limit", 2),
           const("one", 1)], opset=11)
    model("constants",
          [helper.make_node("Constant", [], ["k"], value=weights("k", 3, 1, 1)),
           helper.make_node("Constant", [], ["f"], value_float=0.5),
           helper.make_node("Constant", [], ["i"], value_ints=[1, -1]),
           node("Mul", "x k", "a"), node("Mul", "a f", "b"), node("Reshape", "b i", "y")])
    model("folded-weights",
          [node("Transpose", "w", "t", perm=[1, 0]), node("Unsqueeze", "t", "u", axes=[2, 3]),
           node("Mul", "u u", "v"), node("Concat", "v v", "vv", axis=0),
           node("Slice", "vv starts ends axes steps", "s"), node("Identity", "s", "i"),
           node("Conv", "x i", "y")],
          [weights("w", 3, 4), const("starts", [6]), const("ends", [-8]), const("axes", [0]),
           const("steps", [-2])], opset=11)
    model("batch-4", [node("Conv", "x w", "c"), node("Reshape", "c s", "r"),
                      node("Gemm", "r v", "g"), node("Reshape", "g t", "y")],
          [weights("w", 2, 3, 3, 3), const("s", [4, 24]), weights("v", 24, 6),
           const("t", [-1, 2, 3])], shape=[4, 3, 6, 5])
    model("batch-n", [node("Flatten", "x", "f"), node("Gemm", "f w", "g"), node("Shape", "g", "s"),
                      node("Reshape", "g s", "y")],
          [weights("w", 90, 5)], shape=["batch", 3, 6, 5])


def files():
    w = weights("w", 4, 3, 2, 2)
    typed = TensorProto(data_type=TensorProto.FLOAT, dims=w.dims, name="w")
    typed.float_data.extend(numpy_helper.to_array(w).ravel().tolist())
    shape = TensorProto(data_type=TensorProto.INT64, dims=[2], name="s")
    shape.int64_data.extend([1, -1])
    model("typed-fields", [node("Conv", "x w", "c"), node("Reshape", "c s", "y")], [typed, shape])
    model("initialiser-as-input", [node("Conv", "x w", "y")], [w, weights("unused", 2)], opset=8)
    graph = MODELS["initialiser-as-input"][0].graph
    graph.input.insert(0, helper.make_tensor_value_info("w", TensorProto.FLOAT, list(w.dims)))
    model("external", [node("Conv", "x w b", "y")], [w, weights("b", 4)], external="external.bin")
    model("outputs", [node("Conv", "x w", "c"), node("Relu", "c", "r"),
                      node("GlobalAveragePool", "r", "y"), node("Sigmoid", "c", "z")], [w],
          outputs="y z")
    model("grey", [node("Conv", "x v", "y")], [weights("v", 2, 1, 3, 3)], shape=[1, 1, 6, 5])


def levels(name, *shape, dtype=np.int8):
    """8 bits, away from the ends."""
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    middle = 0 if dtype == np.int8 else 128
    return numpy_helper.from_array((rng.integers(-100, 101, shape) + middle).astype(dtype), name)


def quant(name, scale, zero, dtype=np.uint8):
    """NAME_s and NAME_z"""
    return [const(name + "_s", scale, np.float32), const(name + "_z", zero, dtype)]


def pair(x, q, y):
    """QuantizeLinear and DequantizeLinear with the scale of q."""
    return [node("QuantizeLinear", f"{x} {q}_s {q}_z", f"{y}_q"),
            node("DequantizeLinear", f"{y}_q {q}_s {q}_z", y)]


def scales(n, step):
    return [step * (1 + 0.37 * k) for k in range(n)]


def between_pairs():
    """Scales are no multiples of each other: no sum lies between two levels."""
    x = quant("x", 0.0161, 121)
    w = [levels("w_q", 4, 3, 3, 3), const("w_s", scales(4, 0.0031), np.float32), const("w_z", [0] * 4, np.int8)]
    b = [const("b_q", [300, -200, 100, 0], np.int32),
         const("b_s", np.float32(0.0161) * np.array(scales(4, 0.0031), np.float32), np.float32)]
    conv = [*pair("x", "x", "xd"), node("DequantizeLinear", "w_q w_s w_z", "w", axis=0),
            node("DequantizeLinear", "b_q b_s", "b", axis=0), node("Conv", "xd w b", "c", pads=[1, 1, 1, 1])]
    model("quant-conv", [*conv, *pair("c", "c", "y")], [*x, *w, *b, *quant("c", 0.0173, 0)])
    model("quant-conv-float", [*conv, node("Relu", "c", "r"), node("GlobalAveragePool", "r", "y")], [*x, *w, *b])
    s8 = [*quant("x", 0.0161, -7, np.int8), levels("w_q", 3, 1, 3, 3), *quant("w", 0.0047, 0, np.int8)]
    model("quant-depthwise", [*pair("x", "x", "xd"), node("DequantizeLinear", "w_q w_s w_z", "w"),
                              node("Conv", "xd w", "c", group=3), node("Clip", "c lo hi", "k"),
                              *pair("k", "k", "kd"), node("AveragePool", "kd", "a", kernel_shape=[2, 2]),
                              *pair("a", "a", "y")],
          [*s8, const("lo", 0, np.float32), const("hi", 1, np.float32), *quant("k", 0.0039, -128, np.int8),
           *quant("a", 0.0037, -128, np.int8)], opset=12)
    model("quant-residual", [*conv[:-1], node("Conv", "xd w b", "c", pads=[1, 1, 1, 1]), *pair("c", "c", "cd"),
                             node("Conv", "cd v", "e"), *pair("e", "e", "ed"), node("Add", "ed cd", "s"),
                             node("Relu", "s", "r"), *pair("r", "r", "rd"), node("Sigmoid", "rd", "g"),
                             *pair("g", "g", "gd"), node("Mul", "rd gd", "m"), *pair("m", "m", "y")],
          [*x, *w, *b, *quant("c", 0.0341, 117), levels("v_q", 4, 4, 1, 1), *quant("v", 0.0029, 0, np.int8),
           *quant("e", 0.0271, 131), *quant("r", 0.0233, 0), *quant("g", 0.00391, 0), *quant("m", 0.0221, 0)])
    MODELS["quant-residual"][0].graph.node.insert(0, node("DequantizeLinear", "v_q v_s v_z", "v"))
    model("quant-moves", [*conv, *pair("c", "c", "cd"), node("Reshape", "cd five", "r5"), *pair("r5", "c", "r5d"),
                          node("Transpose", "r5d", "t", perm=[0, 2, 1, 3, 4]), *pair("t", "c", "td"),
                          node("Reshape", "td four", "r4"), *pair("r4", "c", "r4d"),
                          node("QuantizeLinear", "r4d c_s c_z", "rq"), node("Split", "rq", "p1 p2", axis=1),
                          node("MaxPool", "p1", "m1", kernel_shape=[2, 2]),
                          node("DequantizeLinear", "m1 c_s c_z", "m1d"), node("DequantizeLinear", "p2 c_s c_z", "p2d"),
                          node("AveragePool", "p2d", "a2", kernel_shape=[2, 2]), *pair("a2", "a", "a2d"),
                          node("Concat", "m1d a2d", "j", axis=1), *pair("j", "c", "y")],
          [*x, *w, *b, *quant("c", 0.0341, 117), *quant("a", 0.0213, 111), const("five", [1, 2, 2, 6, 5]),
           const("four", [1, 4, 6, 5])])
    model("quant-weights-node", [*pair("x", "x", "xd"), node("QuantizeLinear", "f w_s w_z", "f_q", axis=0),
                                 node("DequantizeLinear", "f_q w_s w_z", "w", axis=0),
                                 node("Conv", "xd w", "c"), *pair("c", "c", "y")],
          [*x, weights("f", 4, 3, 3, 3, low=-0.5, high=0.5), *w[1:], *quant("c", 0.0257, 119)])
    each = [const("r_s", scales(4, 0.0043), np.float32), const("r_z", [0] * 4, np.uint8)]
    model("quant-channels", [*conv, node("Clip", "c lo hi", "r"), node("QuantizeLinear", "r r_s r_z", "rd_q", axis=1),
                             node("DequantizeLinear", "rd_q r_s r_z", "rd", axis=1),
                             node("DequantizeLinear", "v_q w_s w_z", "v", axis=0),
                             node("Conv", "rd v", "d", group=4, pads=[0, 1, 1, 0]), *pair("d", "c", "y")],
          [*x, *w, *b, *each, const("lo", 0, np.float32), const("hi", 2.5, np.float32), levels("v_q", 4, 1, 3, 3),
           *quant("c", 0.0173, 113)])
    model("quant-gemm", [node("Flatten", "x", "f"), *pair("f", "x", "fd"),
                         node("DequantizeLinear", "w_q w_s w_z", "w", axis=0), node("Gemm", "fd w b", "y", transB=1)],
          [*x, levels("w_q", 4, 90), *w[1:], weights("b", 4)], opset=21)


def microsoft(op, *arguments, **attributes):
    return helper.make_node(op, arguments[0].split(), arguments[1].split(), arguments[1], domain="com.microsoft",
                            **attributes)


def on_levels():
    x = quant("q", 0.0161, 121)
    w = [levels("w", 4, 3, 3, 3), const("w_s", scales(4, 0.0031), np.float32), const("w_z", [0] * 4, np.int8)]
    first = [node("QuantizeLinear", "x q_s q_z", "q"),
             node("QLinearConv", "q q_s q_z w w_s w_z c_s c_z b", "c", pads=[1, 1, 1, 1])]
    tensors = [*x, *w, const("b", [300, -200, 100, 0], np.int32), *quant("c", 0.0341, 117)]
    last = [node("DequantizeLinear", "a a_s a_z", "y")]
    model("quant-qlinear-conv", [*first, node("DequantizeLinear", "c c_s c_z", "y")], tensors)
    far = [levels("w", 4, 3, 3, 3, dtype=np.uint8), *quant("w", 0.0031, 75)]  # up to 153 levels from it
    model("quant-qlinear-wide", [*first, node("DequantizeLinear", "c c_s c_z", "y")], [*x, *far, *tensors[-3:]])
    model("quant-qlinear-matmul", [node("Flatten", "x", "f"), node("QuantizeLinear", "f q_s q_z", "q"),
                                   node("QLinearMatMul", "q q_s q_z w w_s w_z a_s a_z", "a"), *last],
          [*x, levels("w", 90, 5), *quant("w", 0.0027, 0, np.int8), *quant("a", 0.0853, 124)])
    model("quant-qlinear-others",
          [*first, microsoft("QLinearLeakyRelu", "c c_s c_z l_s l_z", "l", alpha=0.1),
           microsoft("QLinearSigmoid", "c c_s c_z s_s s_z", "s"),
           microsoft("QLinearAdd", "l l_s l_z s s_s s_z d_s d_z", "d"),
           microsoft("QLinearMul", "d d_s d_z s s_s s_z m_s m_z", "m"),
           microsoft("QLinearConcat", "j_s j_z d d_s d_z m m_s m_z", "j", axis=1),
           microsoft("QLinearAveragePool", "j j_s j_z p_s p_z", "p", kernel_shape=[2, 2]),
           microsoft("QLinearGlobalAveragePool", "p p_s p_z g_s g_z", "g"),
           node("Flatten", "g", "h"), microsoft("QGemm", "h g_s g_z v v_s v_z u a_s a_z", "a", transB=1), *last],
          [*tensors, *quant("l", 0.0179, 17), *quant("s", 0.00392, 0), *quant("d", 0.0211, 13), *quant("m", 0.0203, 11),
           *quant("j", 0.0209, 12), *quant("p", 0.0187, 7), *quant("g", 0.0137, 3), levels("v", 6, 8),
           const("v_s", scales(6, 0.0053), np.float32), const("v_z", [0] * 6, np.int8),
           const("u", [10, 20, -30, 40, -50, 60], np.int32), *quant("a", 0.0311, 133)])
    MODELS["quant-qlinear-others"][0].opset_import.append(helper.make_opsetid("com.microsoft", 1))
    product = [node("Cast", "i", "r", to=TensorProto.FLOAT), node("Mul", "q_s w_s", "s"), node("Mul", "r s", "m"),
               node("Add", "m b", "y")]
    level = [levels("w", 4, 3, 3, 3), *quant("w", 0.0031, 0, np.int8), weights("b", 1, 4, 1, 1)]
    model("quant-integer", [first[0], node("ConvInteger", "q w q_z w_z", "i"), *product], [*x, *level])
    model("quant-dynamic", [helper.make_node("DynamicQuantizeLinear", ["x"], ["q", "q_s", "q_z"], "q"),
                            node("ConvInteger", "q w q_z w_z", "i"), *product], level, golden=False)
    model("quant-dynamic-matmul",
          [node("Flatten", "x", "f"), helper.make_node("DynamicQuantizeLinear", ["f"], ["q", "q_s", "q_z"], "q"),
           node("MatMulInteger", "q w q_z w_z", "i"), *product],
          [levels("w", 90, 5), *quant("w", 0.0031, 0, np.int8), weights("b", 5)], golden=False)


def save(name, built, external=None):
    path = os.path.join(FOLDER, name + ".onnx")
    if external:
        data = os.path.join(FOLDER, external)
        if os.path.exists(data):  # or it would be appended to
            os.remove(data)
        onnx.save(built, path, save_as_external_data=True, location=external, size_threshold=0)
        return path
    with open(path, "wb") as out:
        out.write(built.SerializeToString(deterministic=True))
    return path


def image(shape):
    n = int(np.prod(shape[1:]))
    return (((29 * np.arange(n) + 7) % 61 - 30) / 16).astype(np.float32).reshape(shape[1:])


def golden(path, reference):
    if reference:
        session = ReferenceEvaluator(path)
        shape = [d.dim_value for d in session.proto_.graph.input[0].type.tensor_type.shape.dim]
        return session.run(None, {"x": image(shape)[None]})[0].reshape(-1)
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    shape = [d if isinstance(d, int) else 1 for d in session.get_inputs()[0].shape]
    result = session.run(None, {"x": np.stack([image(shape)] * shape[0])})[0]
    return result.reshape(shape[0], -1)[0]


def attention():
    """Images are 30 tokens of 3 features here, and heads have 2."""
    tokens = [node("Reshape", "x s", "r"), node("Transpose", "r", "t", perm=[0, 2, 1])]
    qkv = [node("MatMul", "t w", "m"), node("Add", "b m", "qkv")]
    heads = [node("Reshape", "qkv five", "h"), node("Transpose", "h", "p", perm=[2, 0, 3, 1, 4])]
    scaled = [node("Mul", "q root", "qs"), node("Transpose", "k", "kt", perm=[0, 1, 3, 2]),
              node("Mul", "kt root", "ks"), node("MatMul", "qs ks", "scores"),
              node("Softmax", "scores", "a", axis=-1), node("MatMul", "a v", "z"),
              node("Transpose", "z", "zt", perm=[0, 2, 1, 3]), node("Reshape", "zt back", "y")]
    split = [node("Split", "p", "q1 k1 v1", axis=0), node("Squeeze", "q1 zero", "q"),
             node("Squeeze", "k1 zero", "k"), node("Squeeze", "v1 zero", "v")]
    tensors = [const("s", [1, 3, 30]), weights("w", 3, 12), weights("b", 12),
               const("five", [1, 30, 3, 2, 2]), const("zero", [0]), const("back", [1, 30, 4]),
               const("root", 0.84089642, np.float32)]
    model("attention", tokens + qkv + heads + split + scaled, tensors)

    gathered = [helper.make_node("Gather", ["p", "i" + o], [o], o, axis=0) for o in "qkv"]
    model("attention-gather", tokens + qkv + heads + gathered + scaled,
          tensors + [const("iq", 0), const("ik", 1), const("iv", 2)])

    # torch.nn.MultiheadAttention: the batch lies behind the tokens, then beside the heads
    moved = [node("Transpose", "t", "tn", perm=[1, 0, 2]), node("MatMul", "tn w", "m"),
             node("Add", "m b", "qkv"), node("Reshape", "qkv four", "h"),
             node("Unsqueeze", "h zero", "u"), node("Transpose", "u", "p", perm=[3, 1, 2, 0, 4]),
             node("Squeeze", "p three", "sq")]
    parts = []
    for o in "qkv":
        parts += [helper.make_node("Gather", ["sq", "i" + o], [o + "0"], o + "0", axis=0),
                  node("Reshape", f"{o}0 merged", o + "1"),
                  node("Transpose", o + "1", o + "2", perm=[1, 0, 2]),
                  node("Reshape", f"{o}2 apart", o)]
    end = [node("MatMul", "a v", "z"), node("Transpose", "z", "zt", perm=[2, 0, 1, 3]),
           node("Reshape", "zt rows", "zr"), node("Gemm", "zr w2 b2", "g"),
           node("Reshape", "g last", "gl"), node("Transpose", "gl", "y", perm=[1, 0, 2])]
    model("attention-moved-batch", tokens + moved + parts + scaled[:5] + end,
          [t for t in tensors if t.name not in ("five", "back")] +
          [const("four", [30, 1, 3, 4]), const("three", [3]), const("merged", [30, 2, 2]),
           const("apart", [1, 2, 30, 2]), const("rows", [30, 4]), const("last", [30, 1, 4]),
           weights("w2", 4, 4), weights("b2", 4), const("iq", 0), const("ik", 1), const("iv", 2)])

    model("einsum", tokens + [node("MatMul", "t w", "q"), node("MatMul", "t v", "k"),
                              node("Einsum", "q k", "s2", equation="b i d, b j d -> b i j"),
                              node("Softmax", "s2", "a", axis=-1),
                              node("Einsum", "a k", "y", equation="bij,bjd->bid")],
          [const("s", [1, 3, 30]), weights("w", 3, 4), weights("v", 3, 4)])
    # as Keras has it: layers to and from heads, which are the third axis
    model("einsum-heads", tokens + [
        node("Einsum", "t wq", "q", equation="abc,cde->abde"), node("Einsum", "t wk", "k", equation="abc,cde->abde"),
        node("Einsum", "k q", "s2", equation="aecd,abcd->acbe"), node("Softmax", "s2", "p", axis=-1),
        node("Einsum", "p k", "o", equation="acbe,aecd->abcd"), node("Einsum", "o wo", "y", equation="abcd,cde->abe")],
          [const("s", [1, 3, 30]), weights("wq", 3, 2, 4), weights("wk", 3, 2, 4), weights("wo", 2, 4, 5)])
    model("einsum-columns", [node("Einsum", "w x", "c", equation="ck,bkhw->bchw"),
                             node("Einsum", "c x", "y", equation="bcdi,bkdj->bjcik")], [weights("w", 4, 3)])
    # as SAM and MViT have it: positions that differ from row to row, and from column to column
    model("einsum-rows", [
        node("Transpose", "x", "t", perm=[0, 2, 3, 1]), node("Einsum", "t rows", "r", equation="bhwc,hkc->bhwk"),
        node("Einsum", "t columns", "c", equation="bhwc,wkc->bhwk"), node("Unsqueeze", "r last", "r5"),
        node("Unsqueeze", "c before", "c5"), node("Add", "r5 c5", "y")],
          [weights("rows", 6, 2, 3), weights("columns", 5, 4, 3), const("last", [-1]), const("before", [-2])])
    model("einsum-pixels", [node("Einsum", "x w", "p", equation="bchw,hcw->bwhc"),
                            node("Einsum", "v p", "y", equation="kwh,bwhc->bkhc")],
          [weights("w", 6, 3, 5), weights("v", 2, 5, 6)])
    model("shared-keys", tokens + [
        node("MatMul", "t w", "q"), node("Reshape", "q two", "q2"),
        node("Transpose", "q2", "q4", perm=[0, 2, 1, 3]), node("MatMul", "t v", "k"),
        node("Reshape", "k one", "k4"), node("Transpose", "k4", "kt", perm=[0, 1, 3, 2]),
        node("MatMul", "q4 kt", "y")],
          [const("s", [1, 3, 30]), weights("w", 3, 4), weights("v", 3, 2),
           const("two", [1, 30, 2, 2]), const("one", [1, 1, 30, 2])])

    mean = dict(axes=[-1], keepdims=1)
    chain = [node("ReduceMean", "t", "u", **mean), node("Sub", "t u", "d"), node("Pow", "d two", "e"),
             node("ReduceMean", "e", "var", **mean), node("Add", "var eps", "ve"),
             node("Sqrt", "ve", "sd"), node("Div", "d sd", "n"), node("Mul", "n gamma", "g"),
             node("Add", "g beta", "y")]
    constants = [const("s", [1, 3, 30]), const("two", 2, np.float32), const("eps", 1e-5, np.float32),
                 weights("gamma", 3), weights("beta", 3)]
    model("layernorm", tokens + [node("LayerNormalization", "t gamma beta", "y", epsilon=1e-5)],
          [constants[0]] + constants[3:], opset=17)
    model("layernorm-axes", [node("LayerNormalization", "x gamma beta", "n", axis=1),
                             node("LayerNormalization", "n gains", "y", axis=-2)],
          [weights("gamma", 3, 6, 5), weights("beta", 3, 6, 5), weights("gains", 6, 5)], opset=17)
    model("layernorm-chain", tokens + chain, constants)
    model("layernorm-alone", tokens + chain[:6] + [node("Div", "d sd", "y")], constants[:3])
    mean = dict(axes=[1], keepdims=1)
    model("layernorm-channels",
          [node("ReduceMean", "x", "u", **mean), node("Sub", "x u", "d"), node("Mul", "d d", "e"),
           node("ReduceMean", "e", "var", **mean), node("Add", "var eps", "ve"),
           node("Sqrt", "ve", "sd"), node("Div", "d sd", "n"), node("Mul", "gamma n", "g"),
           node("Add", "g beta", "y")],
          [constants[2], weights("gamma", 3, 1, 1), weights("beta", 3, 1, 1)])

    model("class-token", tokens + [node("Expand", "cls one", "c"),
                                   node("Concat", "c t", "j", axis=1), node("Add", "j pos", "p"),
                                   node("Gather", "p first", "y", axis=1)],
          [const("s", [1, 3, 30]), weights("cls", 1, 1, 3), const("one", [1, 1, 3]),
           weights("pos", 1, 31, 3), const("first", 0)])
    # Swin: windows of 3 x 5 pixels with a bias and a mask
    model("windows", [
        node("Transpose", "x", "n", perm=[0, 2, 3, 1]), node("Slice", "n one end h", "low"),
        node("Slice", "n begin one h", "high"), node("Concat", "low high", "rolled", axis=1),
        node("Reshape", "rolled six", "w6"), node("Transpose", "w6", "wt", perm=[0, 1, 3, 2, 4, 5]),
        node("Reshape", "wt win", "w"), node("Transpose", "w", "wk", perm=[0, 2, 1]),
        node("MatMul", "w wk", "scores"), node("Add", "scores bias", "biased"),
        node("Reshape", "biased grouped", "g"), node("Add", "g mask", "masked"),
        node("Reshape", "masked flat", "f"), node("Softmax", "f", "a", axis=-1),
        node("MatMul", "a w", "y")],
          [const("one", [1]), const("end", [2 ** 62]), const("begin", [0]), const("h", [1]),
           const("six", [1, 2, 3, 1, 5, 3]), const("win", [-1, 15, 3]), weights("bias", 1, 15, 15),
           const("grouped", [-1, 2, 15, 15]), weights("mask", 1, 2, 15, 15),
           const("flat", [-1, 15, 15])])
    model("slice-steps", [node("Slice", "x from to axes steps", "y")],
          [const("from", [0, 1]), const("to", [2 ** 62, 2 ** 62]), const("axes", [2, 3]),
           const("steps", [2, 2])])
    model("operands", [node("Add", "x full", "a"), node("Mul", "a line", "m"), node("Sub", "m full", "d"),
                       node("Div", "d three", "y")],
          [weights("full", 1, 3, 6, 5), weights("line", 6, 1), const("three", [[2], [4], [8]] * 2,
                                                                     np.float32)])
    model("selected", [
        node("Equal", "a b", "e"), node("Not", "e", "n"), node("Where", "n p q", "w"),
        node("Mod", "a b", "mod"), node("Greater", "mod b", "gt"), node("Where", "gt w q", "w2"),
        node("ScatterND", "w2 at up", "sc"), node("Expand", "sc four", "ex"), node("Add", "x ex", "y")],
          [const("a", [[1, 5, -7, 4, 9]]), const("b", [[1], [2], [3], [4], [5], [6]]),
           weights("p", 6, 5), weights("q", 1), const("at", [[1], [-1]]), weights("up", 2, 5),
           const("four", [1, 3, 6, 5])])


def main():
    os.makedirs(FOLDER, exist_ok=True)
    for family in convolutions, sums_and_products, functions, pools, moves, shapes, files, between_pairs, \
            on_levels, attention:
        family()
    models_more.functions_of_one(model, node, const)
    models_more.spelled_out(model, node, const)
    models_more.layer_norms(model, node, const, weights)
    models_more.spread(model, node, const, weights)
    models_more.norms(model, node, const, weights)
    models_more.positions(model, node, const, weights)
    models_more.constant_layers(model, node, const, weights)
    models_more.one_hot(model, node, const)
    models_more.scattered(model, node, const)
    models_more.gathered(model, node, const)
    models_more.sizes(model, node, const)
    models_more.other_numbers(model, node, weights)
    models_more.transposed(model, node, const, weights)
    models_more.standardised(model, node, const, weights)
    models_more.extremes(model, node, const, weights)
    models_more.control(model, node, const)
    with open(os.path.join(FOLDER, "golden.txt"), "w") as out:
        for name, (built, kwargs) in sorted(MODELS.items()):
            like, reference = kwargs.pop("golden", name), kwargs.pop("reference", False)
            path = save(name, built, **kwargs)
            if not like:
                continue
            # golden=NAME: that model, which is there, computes the same with ops that ONNX Runtime has
            values = golden(path if like == name else os.path.join(FOLDER, like + ".onnx"), reference)
            print(name + ":", *(f"{v:.9g}" for v in values), file=out)


if __name__ == "__main__":
    main()
