# SPDX-License-Identifier: LGPL-2.1-or-later
"""Families of small models for models.py: functions of one value, local response normalisation,
resizing, norms, and numbers that are not float."""
import numpy as np
from onnx import TensorProto, helper, numpy_helper


def functions_of_one(model, node, const):
    for op, attributes in {"Tanh": {}, "Erf": {}, "Exp": {}, "Abs": {}, "Softplus": {}, "Softsign": {},
                           "Elu": {"alpha": 0.7}, "Selu": {}, "Celu": {"alpha": 0.5},
                           "ThresholdedRelu": {"alpha": 0.3}, "Mish": {}, "Neg": {}}.items():
        model(f"function-{op.lower()}", [node(op, "x", "y", **attributes)], opset=18)
    model("function-gelu", [node("Gelu", "x", "y")], opset=20)
    model("function-gelu-tanh", [node("Gelu", "x", "y", approximate="tanh")], opset=20)
    # of what is positive
    model("function-roots", [node("Exp", "x", "e"), node("Sqrt", "e", "s"), node("Log", "s", "l"),
                             node("Reciprocal", "s", "r"), node("Pow", "r p", "q"),
                             node("Sum", "l q", "y")], [const("p", 1.5, np.float32)])
    model("function-pow", [node("Pow", "x two", "a"), node("Pow", "x three", "b"), node("Sub", "a b", "y")],
          [const("two", 2, np.float32), const("three", 3, np.float32)])
    model("min-max", [node("Max", "x lo", "a"), node("Min", "hi a", "b"), node("Mul", "x k", "c"),
                      node("Max", "b c", "d"), node("Min", "d x", "y")],
          [const("lo", -0.5, np.float32), const("hi", 1.5, np.float32), const("k", 0.5, np.float32)])
    model("prelu", [node("PRelu", "x one", "a"), node("PRelu", "a each", "y")],
          [const("one", [0.25], np.float32), const("each", [[[0.5]], [[-0.25]], [[2]]], np.float32)])
    model("divide", [node("Exp", "x", "e"), node("Div", "x e", "a"), node("Div", "one e", "b"),
                     node("Add", "a b", "y")], [const("one", 1, np.float32)])


def spelled_out(model, node, const):
    """GELU as exporters write it."""
    f = np.float32
    model("gelu-erf", [node("Div", "x r", "s"), node("Erf", "s", "e"), node("Add", "e one", "g"),
                       node("Mul", "x g", "p"), node("Mul", "p half", "y")],
          [const("r", 1.41421356, f), const("one", 1, f), const("half", 0.5, f)])
    model("gelu-half-first", [node("Mul", "x half", "h"), node("Mul", "x r", "s"), node("Erf", "s", "e"),
                              node("Add", "e one", "g"), node("Mul", "h g", "y")],
          [const("r", 0.70710678, f), const("one", 1, f), const("half", 0.5, f)])
    model("gelu-tanh-powers", [node("Pow", "x three", "c"), node("Mul", "c k", "s"), node("Add", "x s", "a"),
                               node("Mul", "a r", "t"), node("Tanh", "t", "h"), node("Add", "h one", "g"),
                               node("Mul", "x g", "p"), node("Mul", "p half", "y")],
          [const("three", 3, f), const("k", 0.044715, f), const("r", 0.7978845608, f), const("one", 1, f),
           const("half", 0.5, f)])
    model("gelu-tanh-products", [node("Mul", "x x", "q"), node("Mul", "q x", "c"), node("Mul", "k c", "s"),
                                 node("Add", "x s", "a"), node("Mul", "r a", "t"), node("Tanh", "t", "h"),
                                 node("Add", "one h", "g"), node("Mul", "x half", "p"),
                                 node("Mul", "p g", "y")],
          [const("k", 0.044715, f), const("r", 0.7978845608, f), const("one", 1, f), const("half", 0.5, f)])


def norms(model, node, const, weights):
    model("lrn", [node("LRN", "x", "y", size=5, alpha=0.5, beta=0.75, bias=1.0)])
    model("lrn-other", [node("LRN", "x", "y", size=3, alpha=0.25, beta=0.6, bias=2.0)])
    model("instance-norm", [node("InstanceNormalization", "x g b", "y")], [weights("g", 3), weights("b", 3)])
    model("group-norm", [node("Concat", "x x", "c", axis=1),
                         node("GroupNormalization", "c g b", "y", num_groups=3)],
          [weights("g", 6), weights("b", 6)], opset=21)
    model("norm-l2", [node("ReduceL2", "x axes", "l"), node("ReduceSum", "x axes", "s"),
                      node("Sub", "l s", "y")], [const("axes", [2, 3])], opset=18)
    model("lp-pool", [node("LpPool", "x", "p", kernel_shape=[2, 3], strides=[2, 1], p=2),
                      node("GlobalLpPool", "p", "y", p=1)], opset=18)


def sizes(model, node, const):
    f = np.float32
    model("resize-nearest", [node("Resize", "x  scales", "y", coordinate_transformation_mode="asymmetric",
                                  nearest_mode="floor")], [const("scales", [1, 1, 2, 3], f)])
    model("resize-linear", [node("Resize", "x   sizes", "y", mode="linear")], [const("sizes", [1, 3, 9, 4])])
    model("resize-corners", [node("Resize", "x   sizes", "y", mode="linear",
                                  coordinate_transformation_mode="align_corners")],
          [const("sizes", [1, 3, 11, 5])])
    model("resize-cubic", [node("Resize", "x  scales", "y", mode="cubic")], [const("scales", [1, 1, 1.5, 2], f)])
    model("upsample", [node("Upsample", "x scales", "y")], [const("scales", [1, 1, 2, 2], f)], opset=9)
    model("depth-to-space", [node("Concat", "x x x x", "c", axis=1),
                             node("DepthToSpace", "c", "d", blocksize=2),
                             node("DepthToSpace", "c", "e", blocksize=2, mode="CRD"), node("Sub", "d e", "y")])
    model("space-to-depth", [node("Slice", "x from to axes", "s"), node("SpaceToDepth", "s", "y", blocksize=2)],
          [const("from", [0]), const("to", [4]), const("axes", [3])])


def other_numbers(model, node, weights):
    """Halves and doubles, and an answer behind the scores."""
    half = numpy_helper.from_array(numpy_helper.to_array(weights("w", 4, 3, 3, 2)).astype(np.float16), "w")
    typed = helper.make_tensor("b", TensorProto.FLOAT16, [4], [0.5, -1, 0.25, 2])
    model("float16", [node("Cast", "x", "h", to=TensorProto.FLOAT16), node("Conv", "h w b", "c"),
                      node("Cast", "c", "y", to=TensorProto.FLOAT)], [half, typed])
    double = numpy_helper.from_array(np.array([0.5, -0.25, 2]).reshape(3, 1, 1), "k")
    model("double", [node("Cast", "k", "f", to=TensorProto.FLOAT), node("Mul", "x f", "y")], [double])
    model("scores-and-answer", [node("GlobalAveragePool", "x", "p"), node("Flatten", "p", "scores"),
                                node("ArgMax", "scores", "answer", axis=1)], outputs="scores answer",
          golden=False)
