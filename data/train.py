#!/usr/bin/env python3
"""Train the two Fashion-MNIST classifiers of this directory and write them as ONNX.

    python3 data/train.py lenet --threads 1 | tee data/train-lenet.log
    python3 data/train.py resnet            | tee data/train-resnet.log

A network is described once, as a list of nodes that carry the ONNX names. The same list
is run by torch for the training and written out by export_onnx(), so that the names in
the file are the ones chosen here and do not depend on an exporter.

The first 55,000 training images are trained on. The last 5,000 are the validation split,
which is what settings were chosen on; the 10,000 test images are looked at once, after the
last epoch.
"""

import argparse
import copy
import gzip
import math
import os
import platform
import time
from collections import namedtuple

import numpy as np
import onnx
import onnxruntime
import torch
from onnx import TensorProto, helper
from torch import nn
from torch.nn import functional as F

# op is the ONNX operator; inputs are names of earlier nodes; attrs are keyword arguments
# read by make_module(), run_node() and onnx_node().
Node = namedtuple("Node", "name op inputs attrs")

VALIDATION = 5000
BATCHNORM_EPS = 1e-5

# What differs between the two trainings; every entry is also a command line option.
# LeNet with less of both shift and decay is as accurate but keeps fewer answers in int8.
SETTINGS = {
    "lenet": dict(epochs=30, batch=128, lr=0.05, weight_decay=5e-4, shift=1, erase=0.0),
    "resnet": dict(epochs=24, batch=128, lr=0.2, weight_decay=5e-4, shift=1, erase=0.1),
}


# ---------------------------------------------------------------- the networks

class Plan:
    """Collects nodes in order; every method returns the name of the node it adds."""

    def __init__(self):
        self.nodes = []
        self.last = "data"

    def add(self, name, op, inputs=None, **attrs):
        self.nodes.append(Node(name, op, inputs or [self.last], attrs))
        self.last = name
        return name

    def conv_bn(self, name, cin, cout, kernel, stride=1, groups=1, act=True):
        self.add(f"{name}/conv", "Conv", cin=cin, cout=cout, kernel=kernel, stride=stride,
                 pad=kernel // 2, groups=groups, bias=False)
        self.add(f"{name}/bn", "BatchNormalization", channels=cout)
        if act:
            self.add(f"{name}/relu6", "Clip")
        return self.last

    def inverted(self, name, cin, cout, expand, stride=1):
        """MobileNetV2 block: wide depthwise layer between two 1x1 layers, linear output."""
        start = self.last
        self.conv_bn(f"{name}/expand", cin, expand, 1)
        self.conv_bn(f"{name}/depthwise", expand, expand, 3, stride, groups=expand)
        out = self.conv_bn(f"{name}/project", expand, cout, 1, act=False)
        if stride == 1 and cin == cout:
            self.add(f"{name}/add", "Add", [start, out])

    def plain(self, name, channels):
        """ResNet basic block."""
        start = self.last
        self.conv_bn(f"{name}/conv1", channels, channels, 3)
        out = self.conv_bn(f"{name}/conv2", channels, channels, 3, act=False)
        self.add(f"{name}/add", "Add", [start, out])
        self.add(f"{name}/relu6", "Clip")


def lenet():
    """The LeNet of NVIDIA's sampleINT8, with its tensor names."""
    p = Plan()
    p.add("conv1", "Conv", cin=1, cout=20, kernel=5, stride=1, pad=0, groups=1, bias=True)
    p.add("pool1", "MaxPool", kernel=2)
    p.add("conv2", "Conv", cin=20, cout=50, kernel=5, stride=1, pad=0, groups=1, bias=True)
    p.add("pool2", "MaxPool", kernel=2)
    p.add("flatten", "Flatten")
    p.add("dropout0", "Dropout", p=0.25)
    p.add("ip1", "Gemm", cin=800, cout=500)
    p.add("relu1", "Relu")
    p.add("dropout1", "Dropout", p=0.5)
    p.add("ip2", "Gemm", cin=500, cout=10)
    p.add("prob", "Softmax")
    return p.nodes


def resnet():
    """Inverted residual blocks at 28x28, 14x14 and 7x7, and one plain residual block."""
    p = Plan()
    p.conv_bn("stem", 1, 16, 3)
    p.inverted("block1", 16, 32, 64, stride=2)
    p.inverted("block2", 32, 32, 96)
    p.inverted("block3", 32, 32, 96)
    p.inverted("block4", 32, 56, 128, stride=2)
    p.inverted("block5", 56, 56, 168)
    p.plain("block6", 56)
    p.conv_bn("head", 56, 160, 1)
    p.add("pool", "GlobalAveragePool")
    p.add("flatten", "Flatten")
    p.add("dropout", "Dropout", p=0.1)
    p.add("logits", "Gemm", cin=160, cout=10)
    return p.nodes


NETWORKS = {"lenet": lenet, "resnet": resnet}


# ---------------------------------------------------------------- running a plan in torch

def make_module(node):
    a = node.attrs
    if node.op == "Conv":
        return nn.Conv2d(a["cin"], a["cout"], a["kernel"], a["stride"], a["pad"],
                         groups=a["groups"], bias=a["bias"])
    if node.op == "BatchNormalization":
        return nn.BatchNorm2d(a["channels"], eps=BATCHNORM_EPS)
    if node.op == "Gemm":
        return nn.Linear(a["cin"], a["cout"])
    if node.op == "Dropout":
        return nn.Dropout(a["p"])
    return None


def run_node(node, module, x):
    if module is not None:
        return module(x[0])
    return {
        "MaxPool": lambda: F.max_pool2d(x[0], node.attrs.get("kernel", 2)),
        "Relu": lambda: F.relu(x[0]),
        "Clip": lambda: F.relu6(x[0]),
        "Add": lambda: x[0] + x[1],
        "GlobalAveragePool": lambda: x[0].mean((2, 3), keepdim=True),
        "Flatten": lambda: x[0].flatten(1),
        # The loss wants logits; verify() applies the softmax itself.
        "Softmax": lambda: x[0],
    }[node.op]()


class Net(nn.Module):
    def __init__(self, nodes):
        super().__init__()
        self.nodes = nodes
        # ModuleDict keys may not hold dots but slashes are fine.
        modules = {n.name: make_module(n) for n in nodes}
        self.layers = nn.ModuleDict({k: m for k, m in modules.items() if m is not None})

    def forward(self, data):
        values = {"data": data}
        for n in self.nodes:
            module = self.layers[n.name] if n.name in self.layers else None
            values[n.name] = run_node(n, module, [values[i] for i in n.inputs])
        return values[self.nodes[-1].name]


def initialise(net):
    for m in net.modules():
        if isinstance(m, nn.Conv2d):
            nn.init.kaiming_normal_(m.weight, mode="fan_out" if m.groups == 1 else "fan_in")
            if m.bias is not None:
                nn.init.zeros_(m.bias)


def count_macs(nodes):
    """Multiply-accumulates of one image, in the convolutions and the Gemms."""
    size, total = {"data": 28}, 0
    for n in nodes:
        a, s = n.attrs, size[n.inputs[0]]
        if n.op == "Conv":
            s = (s + 2 * a["pad"] - a["kernel"]) // a["stride"] + 1
            total += s * s * a["cout"] * a["cin"] // a["groups"] * a["kernel"] ** 2
        elif n.op == "MaxPool":
            s //= a["kernel"]
        elif n.op == "Gemm":
            total += a["cin"] * a["cout"]
        size[n.name] = s
    return total


# ---------------------------------------------------------------- the data

def read_idx(path):
    with gzip.open(path, "rb") as f:
        raw = f.read()
    dims = [int.from_bytes(raw[4 + 4 * i:8 + 4 * i], "big") for i in range(raw[3])]
    return np.frombuffer(raw, np.uint8, offset=4 + 4 * len(dims)).reshape(dims)


def load(directory, part):
    """Images as float 0..1 of shape [n,1,28,28] (preprocess=unit), labels as int64."""
    images = read_idx(os.path.join(directory, f"{part}-images-idx3-ubyte.gz"))
    labels = read_idx(os.path.join(directory, f"{part}-labels-idx1-ubyte.gz"))
    return (torch.from_numpy(images.astype(np.float32) / 255).unsqueeze(1),
            torch.from_numpy(labels.astype(np.int64)))


def augment(x, shift, erase, rng):
    """Mirror half of the images, move each by up to `shift` pixels, blank a box in some."""
    n = len(x)
    x = torch.where(torch.rand(n, 1, 1, 1, generator=rng) < 0.5, x.flip(3), x)
    if shift:
        padded = F.pad(x, (shift,) * 4)
        dy = torch.randint(0, 2 * shift + 1, (n, 1, 1), generator=rng)
        dx = torch.randint(0, 2 * shift + 1, (n, 1, 1), generator=rng)
        at = torch.arange(28)
        x = padded[torch.arange(n).view(n, 1, 1), 0, dy + at.view(1, 28, 1),
                   dx + at.view(1, 1, 28)].unsqueeze(1)
    if erase:
        at = torch.arange(28).view(1, 28)
        lo, size = (torch.randint(a, b, (2, n, 1), generator=rng)
                    for a, b in ((-4, 28), (4, 13)))
        inside = (at >= lo) & (at < lo + size)
        box = inside[0].unsqueeze(2) & inside[1].unsqueeze(1)
        hit = torch.rand(n, 1, 1, generator=rng) < erase
        x = x.masked_fill((box & hit).unsqueeze(1), 0.0)
    return x


# ---------------------------------------------------------------- training

@torch.no_grad()
def predict(net, x, batch=500):
    net.eval()
    return torch.cat([net(part) for part in x.split(batch)])


def top1(logits, labels):
    return 100.0 * (logits.argmax(1) == labels).float().mean().item()


@torch.no_grad()
def average_into(ema, net, decay):
    """Running mean of weights and of BatchNorm statistics alike: both are needed, since
    averaged weights do not fit the statistics of the last step."""
    for a, b in zip(ema.state_dict().values(), net.state_dict().values()):
        if a.is_floating_point():
            a.lerp_(b, 1 - decay)
        else:
            a.copy_(b)


def make_optimizer(net, opt):
    # No decay on biases and BatchNorm shifts: pulling those to zero only costs accuracy.
    decayed = [p for n, p in net.named_parameters() if n.endswith("weight")]
    free = [p for n, p in net.named_parameters() if not n.endswith("weight")]
    return torch.optim.SGD([{"params": decayed, "weight_decay": opt.weight_decay},
                            {"params": free, "weight_decay": 0.0}],
                           lr=opt.lr, momentum=0.9, nesterov=True)


def rate(step, steps, warm):
    """Linear warm-up, then a cosine down to zero, as a factor of the peak rate."""
    if step < warm:
        return (step + 1) / warm
    return 0.5 * (1 + math.cos(math.pi * (step - warm) / (steps - warm)))


def train(opt, nodes, x, y, x_val, y_val):
    rng = torch.Generator().manual_seed(opt.seed)
    net = Net(nodes).to(memory_format=torch.channels_last)
    initialise(net)
    ema = copy.deepcopy(net)
    optimizer = make_optimizer(net, opt)
    per_epoch = len(x) // opt.batch
    steps = per_epoch * opt.epochs
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda s: rate(s, steps, steps // 10))
    start = time.monotonic()
    for epoch in range(opt.epochs):
        net.train()
        order, total = torch.randperm(len(x), generator=rng), 0.0
        for i in range(per_epoch):
            pick = order[i * opt.batch:(i + 1) * opt.batch]
            loss = F.cross_entropy(net(augment(x[pick], opt.shift, opt.erase, rng)), y[pick])
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            schedule.step()
            # The mean starts short, so that the random start is soon forgotten.
            done = epoch * per_epoch + i + 1
            average_into(ema, net, min(opt.ema, done / (done + 10)))
            total += loss.item()
        print(f"epoch {epoch + 1:3d}/{opt.epochs}  loss {total / per_epoch:.4f}  "
              f"validation {top1(predict(ema, x_val), y_val):.2f} %  "
              f"{time.monotonic() - start:.0f} s", flush=True)
    return ema


# ---------------------------------------------------------------- the ONNX file

def onnx_node(node, module, inputs, constants):
    """One ONNX node; what it needs in weights is put into constants by name."""
    a, name = node.attrs, node.name

    def keep(suffix, tensor):
        constants[f"{name}/{suffix}"] = tensor.detach().numpy()
        inputs.append(f"{name}/{suffix}")

    attrs = {}
    if node.op == "Conv":
        keep("weight", module.weight)
        if a["bias"]:
            keep("bias", module.bias)
        attrs = dict(kernel_shape=[a["kernel"]] * 2, strides=[a["stride"]] * 2,
                     pads=[a["pad"]] * 4, dilations=[1, 1], group=a["groups"])
    elif node.op == "BatchNormalization":
        keep("scale", module.weight)
        keep("bias", module.bias)
        keep("mean", module.running_mean)
        keep("var", module.running_var)
        attrs = dict(epsilon=module.eps)
    elif node.op == "Gemm":
        keep("weight", module.weight)
        keep("bias", module.bias)
        attrs = dict(alpha=1.0, beta=1.0, transB=1)
    elif node.op == "MaxPool":
        attrs = dict(kernel_shape=[a["kernel"]] * 2, strides=[a["kernel"]] * 2)
    elif node.op == "Clip":
        constants.update({"relu6/min": np.float32(0), "relu6/max": np.float32(6)})
        inputs += ["relu6/min", "relu6/max"]
    elif node.op in ("Flatten", "Softmax"):
        attrs = dict(axis=1)
    return helper.make_node(node.op, inputs, [name], name=name, **attrs)


def export_onnx(net, title, path):
    constants, graph_nodes, alias = {}, [], {}
    for n in net.nodes:
        inputs = [alias.get(i, i) for i in n.inputs]
        if n.op == "Dropout":  # does nothing outside training
            alias[n.name] = inputs[0]
            continue
        module = net.layers[n.name] if n.name in net.layers else None
        graph_nodes.append(onnx_node(n, module, inputs, constants))
    # tobytes() is row-major whatever the memory format of the torch tensor was.
    initialisers = [helper.make_tensor(k, TensorProto.FLOAT, v.shape, v.tobytes(), raw=True)
                    for k, v in constants.items()]
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        graph_nodes, title, [value("data", TensorProto.FLOAT, ["N", 1, 28, 28])],
        [value(net.nodes[-1].name, TensorProto.FLOAT, ["N", 10])], initialisers)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)],
                              ir_version=8, producer_name="gst-int8 data/train.py")
    model = onnx.shape_inference.infer_shapes(model, strict_mode=True)
    onnx.checker.check_model(model, full_check=True)
    # Whole or not at all: somebody may be reading the file of an earlier training.
    onnx.save(model, path + ".new")
    os.replace(path + ".new", path)


def verify(net, path, x, y, what):
    """The file in onnxruntime against the network in torch, image by image."""
    want = predict(net, x)
    if net.nodes[-1].op == "Softmax":
        want = want.softmax(1)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    got = torch.cat([torch.from_numpy(session.run(None, {"data": part.numpy()})[0])
                     for part in x.split(500)])
    print(f"{what}: torch {top1(want, y):.2f} %, onnxruntime {top1(got, y):.2f} %, "
          f"max |difference| of {net.nodes[-1].name} {(want - got).abs().max().item():.2e}, "
          f"same top-1 in {(want.argmax(1) == got.argmax(1)).sum().item()} of {len(y)}",
          flush=True)


# ---------------------------------------------------------------- command line

def parse_arguments():
    parser = argparse.ArgumentParser(
        description="Train a Fashion-MNIST classifier and write it as ONNX.")
    parser.add_argument("model", choices=sorted(NETWORKS))
    parser.add_argument("--dataset", default="/usr/share/datasets/fashion-mnist",
                        help="directory of the four IDX .gz files (%(default)s)")
    parser.add_argument("--out", help="ONNX file to write (data/fashion-MODEL.onnx)")
    parser.add_argument("--tune", action="store_true",
                        help="stop after the validation split, leave the test set alone")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--ema", type=float, default=0.998,
                        help="decay per step of the weight average (%(default)s)")
    for name, kind, text in (("epochs", int, ""), ("batch", int, "images per step"),
                             ("lr", float, "peak learning rate"),
                             ("weight-decay", float, ""),
                             ("shift", int, "largest random shift in pixels"),
                             ("erase", float, "share of images with a box blanked")):
        parser.add_argument(f"--{name}", type=kind, help=text)
    opt = parser.parse_args()
    for key, value in SETTINGS[opt.model].items():
        if getattr(opt, key) is None:
            setattr(opt, key, value)
    if opt.out is None:
        opt.out = os.path.join(os.path.dirname(os.path.abspath(__file__)),
                               f"fashion-{opt.model}.onnx")
    return opt


def main():
    opt = parse_arguments()
    torch.manual_seed(opt.seed)
    torch.set_num_threads(opt.threads)
    torch.use_deterministic_algorithms(True)
    # That also fills every fresh tensor with NaN: slow, and no tensor here is read unwritten.
    torch.utils.deterministic.fill_uninitialized_memory = False
    nodes = NETWORKS[opt.model]()
    params = sum(p.numel() for p in Net(nodes).parameters())
    torch.manual_seed(opt.seed)
    print(f"python {platform.python_version()}, torch {torch.__version__}, numpy "
          f"{np.__version__}, onnx {onnx.__version__}, onnxruntime {onnxruntime.__version__}")
    settings = {k: v for k, v in sorted(vars(opt).items())
                if k not in ("out", "dataset", "tune")}
    print("settings:", ", ".join(f"{k}={v}" for k, v in settings.items()))
    print(f"{params} parameters, {count_macs(nodes) / 1e6:.2f} MMAC per image", flush=True)

    x, y = load(opt.dataset, "train")
    x_val, y_val = x[-VALIDATION:], y[-VALIDATION:]
    net = train(opt, nodes, x[:-VALIDATION], y[:-VALIDATION], x_val, y_val)

    export_onnx(net, f"fashion-{opt.model}", opt.out)
    print(f"wrote {os.path.basename(opt.out)}, {os.path.getsize(opt.out)} bytes")
    verify(net, opt.out, x_val, y_val, "validation (5,000 images)")
    if not opt.tune:
        verify(net, opt.out, *load(opt.dataset, "t10k"), "test (10,000 images)")


if __name__ == "__main__":
    main()
