# SPDX-License-Identifier: LGPL-2.1-or-later
"""Families of small models for models.py: functions of one value, local response normalisation,
resizing, norms, numbers that are not float, transposed convolutions, and control flow."""
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
    # as tf2onnx leaves Keras': neither ONNX nor ONNX Runtime has Erfc
    model("gelu-erfc", [node("Mul", "x half", "h"), node("Mul", "x r", "s"), node("Erfc", "s", "e"),
                        node("Mul", "h e", "y")],
          [const("r", -0.70710678, f), const("half", 0.5, f)], golden="gelu-half-first")
    model("gelu-keras", [node("Mul", "half x", "h"), node("Neg", "x", "n"), node("Mul", "n r", "s"),
                         node("Erfc", "s", "e"), node("Mul", "h e", "y")],
          [const("r", 0.70710678, f), const("half", 0.5, f)], golden="gelu-half-first")
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


def layer_norms(model, node, const, weights):
    """As tf2onnx writes Keras', and chains that are like it."""
    def keras(x, y, mean, scale="", shift="", copy="", **attributes):
        m = f"{y}_m"
        nodes = [node(mean, x, m, **attributes)] + ([node("Reshape", f"{m} {copy}", f"{y}_c")] if copy else [])
        nodes += [node("Neg", m, f"{y}_n"), node("Sub", f"{x} {y}_c" if copy else f"{x} {m}", f"{y}_d"),
                  node("Mul", f"{y}_d {y}_d", f"{y}_e"), node(mean, f"{y}_e", f"{y}_v", **attributes),
                  node("Add", f"{y}_v eps", f"{y}_a"), node("Sqrt", f"{y}_a", f"{y}_s"),
                  node("Reciprocal", f"{y}_s", f"{y}_r")]
        inverse, rest = f"{y}_i" if scale else f"{y}_r", f"{y}_t" if shift else f"{y}_q"
        nodes += [node("Mul", f"{y}_r {scale}", inverse)] if scale else []
        nodes += [node("Mul", f"{x} {inverse}", f"{y}_p"), node("Mul", f"{y}_n {inverse}", f"{y}_q")]
        nodes += [node("Add", f"{y}_q {shift}", rest)] if shift else []
        return nodes + [node("Add", f"{y}_p {rest}", y)]

    eps = const("eps", 1e-3, np.float32)
    gamma, beta = weights("gamma", 1, 3, 1, 1, low=0.5), weights("beta", 1, 3, 1, 1)
    over_channels = dict(axes=[1], keepdims=1)
    model("layernorm-keras", keras("x", "y", "ReduceMean", "gamma", "beta", "copy", **over_channels),
          [eps, gamma, beta, const("copy", [-1, 1, 6, 5])])
    tokens = [node("Reshape", "x s", "r"), node("Transpose", "r", "t", perm=[0, 2, 1])]
    model("layernorm-keras-pool", tokens + keras("t", "y", "GlobalAveragePool"), [eps, const("s", [1, 3, 30])])
    # none: means over other axes, or of what is moved, and a scale along another axis
    model("layernorm-like", keras("x", "a", "ReduceMean", "gamma", axes=[2, 3], keepdims=1) +
          keras("a", "b", "GlobalAveragePool", shift="beta") +
          keras("b", "y", "ReduceMean", "rows", **over_channels),
          [eps, gamma, beta, weights("rows", 1, 1, 6, 1)])
    model("layernorm-like-chain",
          [node("ReduceMean", "x", "m", axes=[2, 3]), node("Sub", "x m", "d"), node("Pow", "d two", "e"),
           node("ReduceMean", "e", "v", axes=[2, 3]), node("Add", "v eps", "a"), node("Sqrt", "a", "s"),
           node("Div", "d s", "q"), node("Mul", "q gamma", "g"), node("Add", "g beta", "y")],
          [eps, gamma, beta, const("two", 2, np.float32)])


def spread(model, node, const, weights):
    """Repeated, and sums and products of shapes that differ; reductions and softmax over any axis."""
    model("expand", [node("GlobalAveragePool", "x", "g"), node("Expand", "g shape", "e"),
                     node("Mul", "x e", "m"), node("Conv", "e w", "c", pads=[1, 1, 1, 1]),
                     node("Add", "m c", "y")], [const("shape", [1, 3, 6, 5]), weights("w", 3, 3, 3, 3)])
    model("expand-one-axis", [node("ReduceMean", "x", "r", axes=[2]), node("Expand", "r shape", "e"),
                              node("Relu", "e", "y")], [const("shape", [7, 1])])
    model("tile", [node("Tile", "x repeats", "t"), node("MaxPool", "t", "y", kernel_shape=[2, 2])],
          [const("repeats", [1, 2, 1, 3])])
    model("broadcast-channels", [node("Conv", "x w", "c"), node("Sigmoid", "c", "s"), node("Mul", "s x", "y")],
          [weights("w", 1, 3, 1, 1)])
    model("broadcast-both", [node("ReduceMean", "x", "r", axes=[2]), node("ReduceMax", "x", "m", axes=[3]),
                             node("Sub", "r m", "y")])
    # selective kernels: branches in a stack, weighted by a softmax over it
    model("stack", [node("Conv", "x w", "a", pads=[1, 1, 1, 1]), node("Relu", "x", "b"),
                    node("Unsqueeze", "a one", "a5"), node("Unsqueeze", "b one", "b5"),
                    node("Concat", "a5 b5", "s", axis=1), node("ReduceSum", "s one", "u", keepdims=0),
                    node("GlobalAveragePool", "u", "g"), node("Conv", "g v", "l"), node("Reshape", "l five", "r"),
                    node("Softmax", "r", "p", axis=1), node("Mul", "s p", "m"),
                    node("ReduceSum", "m one", "y", keepdims=0)],
          [weights("w", 3, 3, 3, 3), weights("v", 6, 3, 1, 1), const("one", [1]), const("five", [1, 2, 3, 1, 1])])
    model("reduce-last", [node("ReduceMean", "x", "y", axes=[3, 1], keepdims=0)])
    model("reduce-channels", [node("ReduceMax", "x", "a", axes=[1]), node("ReduceMean", "x", "b", axes=[1]),
                              node("Concat", "a b", "y", axis=1)])
    model("softmax-middle", [node("Softmax", "x", "y", axis=2)])
    model("pad-reflect", [node("Pad", "x pads", "p", mode="reflect"), node("Conv", "p w", "y")],
          [const("pads", [0, 0, 2, 1, 0, 0, 1, 3]), weights("w", 2, 3, 3, 3)])
    model("pad-edge", [node("Pad", "x pads", "y", mode="edge")], [const("pads", [0, 0, 0, 2, 0, 0, 3, 1])])
    model("pad-negative", [node("Pad", "x pads", "p"), node("AveragePool", "p", "y", kernel_shape=[1, 1],
                                                            strides=[2, 2])],
          [const("pads", [0, 0, -1, -1, 0, 0, 1, -2])])
    model("pad-lowest", [node("Pad", "x pads lowest", "p"), node("MaxPool", "p", "y", kernel_shape=[3, 3],
                                                                  strides=[2, 2])],
          [const("pads", [0, 0, 1, 0, 0, 0, 0, 1]), const("lowest", -np.inf, np.float32)])
    model("folded-tiles", [node("Tile", "k repeats", "t"), node("MatMul", "t w", "m"), node("Add", "x m", "y")],
          [weights("k", 2, 4), const("repeats", [3, 1]), weights("w", 4, 5)])


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


def positions(model, node, const, weights):
    """Constants that a small network would compute: of running sums, of angles; and sums that they widen."""
    f = np.float32
    model("positions", [node("CumSum", "mask one", "a", exclusive=1), node("CumSum", "mask zero", "b", reverse=1),
                        node("Add", "a b", "p"), node("Range", "start limit step", "w"), node("Mul", "p w", "q"),
                        node("Sin", "q", "s"), node("Cos", "q", "c"), node("Mul", "s c", "m"), node("Add", "x m", "t"),
                        node("Shape", "x", "dims"), node("Slice", "dims two end", "hw"),
                        node("ReduceProd", "hw", "n", keepdims=0), node("Cast", "n", "nf", to=1),
                        node("ReduceProd", "gains", "g", axes=[1]), node("Mul", "g nf", "k"), node("Mul", "t k", "y")],
          [const("mask", np.arange(30).reshape(6, 5) % 3 / 4, f), const("one", 1), const("zero", [0]),
           const("start", 0.25, f), const("limit", 1.5, f), const("step", 0.25, f), const("two", [2]), const("end", [4]),
           weights("gains", 3, 2, 1)], opset=13)
    model("wide-constants", [node("ReduceMean", "x", "m", axes=[1, 3]), node("Mul", "rows m", "r"), node("Sub", "r column", "s"),
                             node("Reshape", "x five", "v"), node("Sub", "v w", "d"), node("Sub", "d v", "e"),
                             node("ReduceSum", "e", "t", axes=[1, 2, 3, 4], keepdims=0), node("Flatten", "t", "u"),
                             node("Reshape", "s flat", "z"), node("Add", "z u", "y")],
          [weights("rows", 3, 1, 5), weights("column", 1, 6, 1), const("five", [0, 3, 2, 3, 5]), weights("w", 3, 1, 1, 5),
           const("flat", [0, 90])], opset=11)


def constant_layers(model, node, const, weights):
    """Positions that a small network computes, of numbers that are in the model."""
    model("constant-layers", [
        node("Gemm", "table w1 b1", "g", transB=1, alpha=0.5), node("Relu", "g", "h"),
        node("Gemm", "w2 h b2", "o", transA=1, transB=1, beta=2.0), node("Softmax", "o", "p", axis=0),
        node("Reshape", "p image", "i"), node("Conv", "i w3 b3", "c"), node("LogSoftmax", "c", "l", axis=1),
        node("Conv", "l w4", "q", pads=[0, 0, 0, 0]), node("Add", "x q", "y")],
          [weights("table", 30, 2), weights("w1", 4, 2), weights("b1", 4), weights("w2", 4, 3),
           weights("b2", 3, 1), const("image", [1, 3, 6, 5]), weights("w3", 4, 3, 1, 1), weights("b3", 4),
           weights("w4", 3, 4, 1, 1)])
    model("constant-rows", [node("Softmax", "w", "s"), node("Mul", "x s", "y")], [weights("w", 1, 3, 6, 5)],
          opset=11)


def one_hot(model, node, const):
    model("one-hot", [node("OneHot", "at depth repeats", "r"), node("Reshape", "r flat", "f"),
                      node("Tile", "x f", "t"), node("OneHot", "rows three values", "m", axis=1),
                      node("Mul", "t m", "y")],
          [const("at", [-1]), const("depth", 4), const("repeats", [1, 2]), const("flat", [-1]),
           const("rows", [[[0, 1, 2, 3, 4, -1, 1, -3, -4, 2]] * 6]), const("three", 3),
           const("values", [0.5, -2], np.float32)])


def scattered(model, node, const):
    """x[:, :, :, :] = y, as PyTorch exports it, and x[0, :] = y."""
    places = np.stack(np.meshgrid(*[np.arange(n) for n in (1, 3, 6, 5)], indexing="ij"), -1)
    model("scatter-all", [node("Abs", "x", "a"), node("ScatterND", "x places a", "b"), node("Neg", "b", "n"),
                          node("ScatterND", "b channels n", "y")],
          [const("places", places), const("channels", places[:, :, 0, 0, :2])])


def gathered(model, node, const):
    """Indices that are no range: reversed and repeated, and the patches of an unfold."""
    model("gather-order", [node("Gather", "x channels", "c", axis=1), node("Gather", "c columns", "y", axis=-1)],
          [const("channels", [2, 0, 0, -1, 1]), const("columns", [4, 3, 0, 2, 4])])
    model("gather-patches", [node("Gather", "x rows", "r", axis=2), node("Gather", "r columns", "c", axis=4),
                             node("Transpose", "c", "t", perm=[0, 1, 2, 4, 3, 5]), node("Reshape", "t s", "y")],
          [const("rows", [[0, 2, 4], [1, 3, 5]]), const("columns", [[0, 2], [1, 3], [2, 4]]), const("s", [0, 18, 6])])


def sizes(model, node, const):
    f = np.float32
    model("resize-nearest", [node("Resize", "x  scales", "y", coordinate_transformation_mode="asymmetric",
                                  nearest_mode="floor")], [const("scales", [1, 1, 2, 3], f)])
    model("resize-linear", [node("Resize", "x   sizes", "y", mode="linear")], [const("sizes", [1, 3, 9, 4])])
    model("resize-corners", [node("Resize", "x   sizes", "y", mode="linear",
                                  coordinate_transformation_mode="align_corners")],
          [const("sizes", [1, 3, 11, 5])])
    model("resize-cubic", [node("Resize", "x  scales", "y", mode="cubic")], [const("scales", [1, 1, 1.5, 2], f)])
    model("resize-axes", [node("Resize", "x  scales", "r", mode="linear", axes=[-1]),
                          node("Resize", "r   sizes", "y", axes=[3, 2])],
          [const("scales", [2], f), const("sizes", [5, 9])], opset=18)
    model("upsample", [node("Upsample", "x scales", "y")], [const("scales", [1, 1, 2, 2], f)], opset=9)
    model("upsample-attribute", [node("Upsample", "x", "u", scales=[1.0, 1.0, 2.0, 3.0]),
                                 node("Upsample", "u", "y", mode="linear", scales=[1.0, 1.0, 1.5, 1.0])], opset=7)
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


def transposed(model, node, const, weights):
    """The convolution's shape backwards."""
    b = weights("b", 4)
    model("conv-transpose", [node("ConvTranspose", "x w b", "y", pads=[1, 0, 2, 1], strides=[2, 3])],
          [weights("w", 3, 4, 3, 4), b])
    model("conv-transpose-1", [node("ConvTranspose", "x w", "y")], [weights("w", 3, 2, 3, 3)])
    model("conv-transpose-groups", [node("Conv", "x v", "c"),
                                    node("ConvTranspose", "c w b", "y", group=2, strides=[2, 2], dilations=[2, 1],
                                         output_padding=[1, 0])],
          [weights("v", 6, 3, 1, 1), weights("w", 6, 2, 2, 3), b])
    model("conv-transpose-same", [node("ConvTranspose", "x w", "u", auto_pad="SAME_UPPER", strides=[2, 2]),
                                  node("ConvTranspose", "u v", "y", auto_pad="SAME_LOWER", strides=[3, 1])],
          [weights("w", 3, 2, 3, 3), weights("v", 2, 2, 4, 2)])
    model("conv-transpose-stated", [node("ConvTranspose", "x w", "y", output_shape=[13, 12], strides=[2, 2])],
          [weights("w", 3, 2, 4, 4)])
    model("conv-transpose-gaps", [node("ConvTranspose", "x w b", "y", strides=[3, 2])],
          [weights("w", 3, 4, 1, 1), b])
    model("conv-transpose-1d", [node("Reshape", "x s", "r"), node("ConvTranspose", "r w", "y", strides=[2])],
          [const("s", [1, 3, 30]), weights("w", 3, 2, 3)])


def standardised(model, node, const, weights):
    """Weights that are normalised in every run, as NFNet and BiT are exported."""
    model("weights-by-batch-norm",
          [node("Reshape", "w flat", "r"), node("BatchNormalization", "r g b m v", "n", training_mode=1),
           node("Reshape", "n back", "s"), node("Conv", "x s", "y")],
          [weights("w", 4, 3, 3, 2), const("flat", [1, 4, 18]), const("back", [4, 3, 3, 2]), weights("g", 4),
           weights("b", 4), weights("m", 4), weights("v", 4, low=0.5)], opset=15, reference=True)
    model("weights-by-means",
          [node("ReduceMean", "w", "m", axes=[1, 2, 3]), node("Sub", "w m", "d"), node("Mul", "d d", "q"),
           node("ReduceSum", "q axes", "v"), node("ReduceMax", "d", "t", keepdims=0), node("Add", "v t", "u"),
           node("Sqrt", "u", "s"), node("Div", "d s", "n"), node("Conv", "x n", "y")],
          [weights("w", 4, 3, 3, 2), const("axes", [1, 2, 3])])


def extremes(model, node, const, weights):
    model("max-constants", [node("Max", "x c", "a"), node("Min", "d a", "b"), node("Max", "b e", "y")],
          [weights("c", 3, 1, 1), weights("d", 1, 3, 1, 5, low=0.5), weights("e", 5)])


def control(model, node, const):
    """What shapes decide, as exporters leave it behind."""
    def graph(name, nodes, tensors=(), inputs=(), outputs=("o",)):
        return helper.make_graph(nodes, name,
                                 [helper.make_tensor_value_info(n, t, []) for n, t in inputs],
                                 [helper.make_tensor_value_info(n, TensorProto.FLOAT, None) for n in outputs],
                                 list(tensors))

    def tensor(name, value):
        return numpy_helper.from_array(np.array(value, np.float32), name)

    by_shape = [node("Shape", "x", "s"), node("Gather", "s one", "c"), node("Equal", "c three", "is")]
    numbers = [const("one", 1), const("three", 3)]
    model("if", by_shape + [node("Relu", "x", "r"),
                            node("If", "is", "i",
                                 then_branch=graph("taken", [node("Mul", "r half", "o")], [tensor("half", 0.5)]),
                                 else_branch=graph("other", [node("Sin", "r", "o2")], outputs=("o2",))),
                            node("Add", "i x", "y")], numbers)
    model("if-nested", by_shape + [
        node("Not", "is", "no"),
        node("If", "no", "y",
             then_branch=graph("never", [node("Identity", "x", "n")], outputs=("n",)),
             else_branch=graph("outer", [
                 node("Sigmoid", "x", "g"),
                 node("If", "is", "inner",
                      then_branch=graph("deep", [node("Mul", "x g", "d")], outputs=("d",)),
                      else_branch=graph("not", [node("Identity", "g", "e")], outputs=("e",))),
                 node("Relu", "inner", "o")]))], numbers)
    body = graph("body", [node("Mul", "v k", "m"), node("Add", "m x", "after"),
                          node("Identity", "go", "on")], [tensor("k", 0.5)],
                 [("i", TensorProto.INT64), ("go", TensorProto.BOOL), ("v", TensorProto.FLOAT)], ("on", "after"))
    body.output[0].type.tensor_type.elem_type = TensorProto.BOOL
    model("loop", [node("Relu", "x", "r"), node("Loop", "n go0 r", "l", body=body), node("Abs", "l", "y")],
          [const("n", 3), const("go0", True, np.bool_)])
