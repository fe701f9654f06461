# SPDX-License-Identifier: LGPL-2.1-or-later
"""Classifiers in Caffe2, for architectures_elsewhere.py: its own models, and others built with brew."""
import numpy as np
from caffe2.python import brew, model_helper, utils, workspace
from caffe2.python.models import resnet, shufflenet
from caffe2.python.onnx import frontend
from onnx import helper, numpy_helper

CLASSES = 1000


def conv(m, x, name, ic, oc, kernel, **options):
    y = brew.conv(m, x, name, ic, oc, kernel=kernel, weight_init=("MSRAFill", {}), **options)
    return brew.relu(m, y, y)


def conv_bn(m, x, name, ic, oc, kernel, relu=True, **options):
    y = brew.conv(m, x, name, ic, oc, kernel=kernel, weight_init=("MSRAFill", {}), no_bias=1, **options)
    y = brew.spatial_bn(m, y, name + "_bn", oc, epsilon=1e-5, is_test=True)
    return brew.relu(m, y, y) if relu else y


def head(m, x, features, name="fc"):
    return brew.fc(m, x, name, features, CLASSES)


def hidden(m, x, name, ic, oc):
    y = brew.relu(m, brew.fc(m, x, name, ic, oc), name)
    return brew.dropout(m, y, name + "_dropout", ratio=0.5, is_test=1)


def alexnet(m, x, side):
    x = brew.max_pool(m, conv(m, x, "c1", 3, 96, 11, stride=4), "p1", kernel=3, stride=2)
    x = brew.lrn(m, x, "n1", size=5, alpha=1e-4, beta=0.75, bias=1.0)
    x = brew.max_pool(m, conv(m, x, "c2", 96, 256, 5, pad=2, group=2), "p2", kernel=3, stride=2)
    x = brew.lrn(m, x, "n2", size=5, alpha=1e-4, beta=0.75, bias=1.0)
    x = conv(m, x, "c3", 256, 384, 3, pad=1)
    x = conv(m, x, "c4", 384, 384, 3, pad=1, group=2)
    x = brew.max_pool(m, conv(m, x, "c5", 384, 256, 3, pad=1, group=2), "p5", kernel=3, stride=2)
    x = hidden(m, x, "fc6", 256 * 6 * 6, 4096)
    return head(m, hidden(m, x, "fc7", 4096, 4096), 4096)


def vgg11(m, x, side):
    ic = 3
    for i, (oc, n) in enumerate([(64, 1), (128, 1), (256, 2), (512, 2), (512, 2)]):
        for k in range(n):
            x = conv(m, x, "c%d_%d" % (i, k), ic, oc, 3, pad=1)
            ic = oc
        x = brew.max_pool(m, x, "p%d" % i, kernel=2, stride=2)
    return head(m, hidden(m, x, "fc6", 512 * (side // 32) ** 2, 1024), 1024)


def squeezenet(m, x, side):
    x = brew.max_pool(m, conv(m, x, "c1", 3, 64, 3, stride=2), "p1", kernel=3, stride=2)
    ic = 64
    for i, width in enumerate([16, 16, 32, 32, 48, 48, 64, 64]):
        squeezed = conv(m, x, "s%d" % i, ic, width, 1)
        x = brew.concat(m, [conv(m, squeezed, "e%d" % i, width, 4 * width, 1),
                            conv(m, squeezed, "f%d" % i, width, 4 * width, 3, pad=1)], "fire%d" % i)
        ic = 8 * width
        if i in (1, 3):
            x = brew.max_pool(m, x, "p%d" % (i + 1), kernel=3, stride=2)
    x = brew.dropout(m, x, "dropout", ratio=0.5, is_test=1)
    x = brew.average_pool(m, conv(m, x, "c10", ic, CLASSES, 1), "pool", global_pooling=1)
    return brew.softmax(m, x, "softmax")


def inception(m, x, name, ic, a, b, c, d):
    """Widths: of the 1x1; of the 3x3 and 5x5 branches before and after; of the pool's."""
    pool = brew.max_pool(m, x, name + "_pool", kernel=3, stride=1, pad=1)
    branches = [conv(m, x, name + "_1", ic, a, 1),
                conv(m, conv(m, x, name + "_3r", ic, b[0], 1), name + "_3", b[0], b[1], 3, pad=1),
                conv(m, conv(m, x, name + "_5r", ic, c[0], 1), name + "_5", c[0], c[1], 5, pad=2),
                conv(m, pool, name + "_p", ic, d, 1)]
    return brew.concat(m, branches, name), a + b[1] + c[1] + d


def googlenet(m, x, side):
    x = brew.max_pool(m, conv(m, x, "c1", 3, 64, 7, stride=2, pad=3), "p1", kernel=3, stride=2, pad=1)
    x = brew.lrn(m, x, "n1", size=5, alpha=1e-4, beta=0.75, bias=1.0)
    x = conv(m, conv(m, x, "c2r", 64, 64, 1), "c2", 64, 192, 3, pad=1)
    x = brew.lrn(m, x, "n2", size=5, alpha=1e-4, beta=0.75, bias=1.0)
    x, ic = brew.max_pool(m, x, "p2", kernel=3, stride=2, pad=1), 192
    for name, *widths in [("3a", 64, (96, 128), (16, 32), 32), ("3b", 128, (128, 192), (32, 96), 64),
                          ("4a", 192, (96, 208), (16, 48), 64), ("5b", 384, (192, 384), (48, 128), 128)]:
        x, ic = inception(m, x, name, ic, *widths)
        if name in ("3b", "4a"):
            x = brew.max_pool(m, x, name + "_p", kernel=3, stride=2, pad=1)
    return head(m, brew.average_pool(m, x, "pool", global_pooling=1), ic)


def mobilenet(m, x, side):
    x, ic = conv_bn(m, x, "c0", 3, 32, 3, stride=2, pad=1), 32
    for i, (oc, stride) in enumerate([(64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), (512, 1),
                                      (1024, 2), (1024, 1)]):
        x = conv_bn(m, x, "d%d" % i, ic, ic, 3, group=ic, stride=stride, pad=1)
        x, ic = conv_bn(m, x, "c%d" % (i + 1), ic, oc, 1), oc
    return head(m, brew.average_pool(m, x, "pool", global_pooling=1), ic)


def densenet(m, x, side):
    """Normalised before convolutions, as that of the ONNX zoo: 4 dense blocks of 4."""
    x = brew.max_pool(m, conv_bn(m, x, "c0", 3, 64, 7, stride=2, pad=3), "p0", kernel=3, stride=2, pad=1)
    ic, growth = 64, 32
    for block in range(4):
        for i in range(4):
            name = "b%d_%d" % (block, i)
            y = brew.relu(m, brew.spatial_bn(m, x, name + "_n", ic, is_test=True), name + "_r")
            y = conv_bn(m, y, name + "_1", ic, 4 * growth, 1)
            y = brew.conv(m, y, name + "_3", 4 * growth, growth, kernel=3, pad=1, no_bias=1)
            x, ic = brew.concat(m, [x, y], name), ic + growth
        if block < 3:
            x = conv_bn(m, x, "t%d" % block, ic, ic // 2, 1)
            x, ic = brew.average_pool(m, x, "tp%d" % block, kernel=2, stride=2), ic // 2
    return head(m, brew.average_pool(m, x, "pool", global_pooling=1), ic)


def resnet50(m, x, side):
    return resnet.create_resnet50(m, x, 3, CLASSES, is_test=True, no_loss=True, final_avg_kernel=side // 32)


def resnext50(m, x, side):
    return resnet.create_resnext(m, x, 3, CLASSES, 50, 32, 4, is_test=True, no_loss=True)


def resnet20(m, x, side):
    return resnet.create_resnet_32x32(m, x, 3, 3, CLASSES, is_test=True)


def shufflenet_v2(m, x, side):
    return shufflenet.create_shufflenet(m, x, 3, CLASSES, is_test=True, no_loss=True)


def normalise(net):
    """Runs the network op by op; statistics of batch normalisation are those of what it is given."""
    for op in net.op:
        if op.type == "SpatialBN":
            x = workspace.FetchBlob(op.input[0])
            c = x.shape[1]
            values = (np.random.uniform(0.6, 1.4, c), np.random.normal(0.5, 0.2, c),
                      x.mean((0, 2, 3)), x.var((0, 2, 3)) + 1e-3)
            for blob, value in zip(op.input[1:], values):
                workspace.FeedBlob(blob, value.astype(np.float32))
        workspace.RunOperatorOnce(op)


def make(name, nchw):
    """The ONNX model, and what Caffe2 computes."""
    workspace.ResetWorkspace()
    m = model_helper.ModelHelper(name, arg_scope={"order": "NCHW"})
    output = globals()[name](m, "image", nchw.shape[2])
    workspace.RunNetOnce(m.param_init_net)
    workspace.FeedBlob("image", nchw)
    net = m.net.Proto()
    normalise(net)
    expected = workspace.FetchBlob(str(output))
    net.external_output[:] = [str(output)]
    for op in net.op:
        if op.type == "Split":  # along channels; the exporter leaves it to ONNX's default, the images
            op.arg.extend([utils.MakeArgument("axis", 1)])
    weights = {blob: workspace.FetchBlob(blob) for blob in net.external_input if blob != "image"}
    info = {blob: (1, value.shape) for blob, value in weights.items()}
    info["image"] = (1, (1,) + nchw.shape[1:])
    graph = frontend.caffe2_net_to_onnx_graph(net, value_info=info)
    graph.initializer.extend(numpy_helper.from_array(value, blob) for blob, value in weights.items())
    # as caffe2_net_to_onnx_model() does, but for onnx's checker: it crashes in a process with Caffe2
    opset = helper.make_opsetid("", frontend.Caffe2Frontend.target_opset_version)
    return helper.make_model(graph, opset_imports=[opset], producer_name="onnx-caffe2"), expected
