# SPDX-License-Identifier: LGPL-2.1-or-later
"""Classifiers that neither torchvision nor timm has, layer by layer as published, for architectures.py."""
import torch
from torch import nn


def conv(ic, oc, k, stride=1, pad=0, groups=1, norm=False, act=True):
    layers = [nn.Conv2d(ic, oc, k, stride, pad, groups=groups, bias=not norm)]
    layers += [nn.BatchNorm2d(oc)] if norm else []
    layers += [nn.ReLU(inplace=True)] if act else []
    return nn.Sequential(*layers)


class Lrn(torch.autograd.Function):
    """The op of ONNX: PyTorch would spell it out, with control flow."""

    @staticmethod
    def forward(context, x):
        return nn.functional.local_response_norm(x, 5, alpha=1e-4, beta=0.75, k=1.0)

    @staticmethod
    def symbolic(g, x):
        return g.op("LRN", x, size_i=5, alpha_f=1e-4, beta_f=0.75, bias_f=1.0)


class LrnLayer(nn.Module):
    def forward(self, x):
        return Lrn.apply(x)


def lrn():
    return LrnLayer()


def dense(*sizes):
    layers = [nn.Flatten()]
    for a, b in zip(sizes, sizes[1:]):
        layers += [nn.Linear(a, b), nn.ReLU(inplace=True), nn.Dropout()]
    return layers[:-2]


def alexnet_lrn():
    """Krizhevsky et al. 2012, as Caffe's reference model: two groups, normalisation after pooling."""
    return nn.Sequential(
        conv(3, 96, 11, 4), nn.MaxPool2d(3, 2), lrn(),
        conv(96, 256, 5, pad=2, groups=2), nn.MaxPool2d(3, 2), lrn(),
        conv(256, 384, 3, pad=1), conv(384, 384, 3, pad=1, groups=2),
        conv(384, 256, 3, pad=1, groups=2), nn.MaxPool2d(3, 2), *dense(9216, 4096, 4096, 1000))


def zfnet():
    """Zeiler and Fergus 2013."""
    return nn.Sequential(
        conv(3, 96, 7, 2, 1), nn.MaxPool2d(3, 2, 1), lrn(),
        conv(96, 256, 5, 2), nn.MaxPool2d(3, 2, 1), lrn(),
        conv(256, 384, 3, pad=1), conv(384, 384, 3, pad=1), conv(384, 256, 3, pad=1),
        nn.MaxPool2d(3, 2), *dense(9216, 4096, 4096, 1000))


def nin():
    """Lin et al. 2013, the network for ImageNet."""
    def block(ic, oc, k, stride, pad):
        return [conv(ic, oc, k, stride, pad), conv(oc, oc, 1), conv(oc, oc, 1)]

    return nn.Sequential(
        *block(3, 96, 11, 4, 0), nn.MaxPool2d(3, 2, ceil_mode=True),
        *block(96, 256, 5, 1, 2), nn.MaxPool2d(3, 2, ceil_mode=True),
        *block(256, 384, 3, 1, 1), nn.MaxPool2d(3, 2, ceil_mode=True), nn.Dropout(),
        conv(384, 1024, 3, pad=1), conv(1024, 1024, 1), conv(1024, 1000, 1),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Softmax(1))


class Branches(nn.Module):
    def __init__(self, *branches):
        super().__init__()
        self.branches = nn.ModuleList(branches)

    def forward(self, x):
        return torch.cat([branch(x) for branch in self.branches], 1)


def inception(ic, one, three, five, pool):
    return Branches(
        conv(ic, one, 1), nn.Sequential(conv(ic, three[0], 1), conv(*three, 3, pad=1)),
        nn.Sequential(conv(ic, five[0], 1), conv(*five, 5, pad=2)),
        nn.Sequential(nn.MaxPool2d(3, 1, 1, ceil_mode=True), conv(ic, pool, 1)))


def googlenet_lrn():
    """Szegedy et al. 2014, as in Caffe's model: no batch normalisation, two LRN."""
    def pool():
        return nn.MaxPool2d(3, 2, ceil_mode=True)

    return nn.Sequential(
        conv(3, 64, 7, 2, 3), pool(), lrn(), conv(64, 64, 1), conv(64, 192, 3, pad=1), lrn(), pool(),
        inception(192, 64, (96, 128), (16, 32), 32), inception(256, 128, (128, 192), (32, 96), 64),
        pool(),
        inception(480, 192, (96, 208), (16, 48), 64), inception(512, 160, (112, 224), (24, 64), 64),
        inception(512, 128, (128, 256), (24, 64), 64), inception(512, 112, (144, 288), (32, 64), 64),
        inception(528, 256, (160, 320), (32, 128), 128), pool(),
        inception(832, 256, (160, 320), (32, 128), 128),
        inception(832, 384, (192, 384), (48, 128), 128),
        nn.AvgPool2d(7), nn.Dropout(), nn.Flatten(), nn.Linear(1024, 1000))


def bn_inception():
    """Ioffe and Szegedy 2015, Inception v2: two 3x3 in place of 5x5; some blocks halve the picture."""
    def chain(*layers):
        return nn.Sequential(*layers)

    def block(ic, one, three, double, pool, average=True):
        pooling = nn.AvgPool2d(3, 1, 1) if average else nn.MaxPool2d(3, 1, 1)
        return Branches(
            conv(ic, one, 1, norm=True),
            chain(conv(ic, three[0], 1, norm=True), conv(*three, 3, pad=1, norm=True)),
            chain(conv(ic, double[0], 1, norm=True), conv(*double, 3, pad=1, norm=True),
                  conv(double[1], double[1], 3, pad=1, norm=True)),
            chain(pooling, conv(ic, pool, 1, norm=True)))

    def halve(ic, three, double):
        return Branches(
            chain(conv(ic, three[0], 1, norm=True), conv(*three, 3, 2, 1, norm=True)),
            chain(conv(ic, double[0], 1, norm=True), conv(*double, 3, pad=1, norm=True),
                  conv(double[1], double[1], 3, 2, 1, norm=True)),
            nn.MaxPool2d(3, 2, 1))

    return chain(
        conv(3, 64, 7, 2, 3, norm=True), nn.MaxPool2d(3, 2, 1),
        conv(64, 64, 1, norm=True), conv(64, 192, 3, pad=1, norm=True), nn.MaxPool2d(3, 2, 1),
        block(192, 64, (64, 64), (64, 96), 32), block(256, 64, (64, 96), (64, 96), 64),
        halve(320, (128, 160), (64, 96)),
        block(576, 224, (64, 96), (96, 128), 128), block(576, 192, (96, 128), (96, 128), 128),
        block(576, 160, (128, 160), (128, 160), 96), block(576, 96, (128, 192), (160, 192), 96),
        halve(576, (128, 192), (192, 256)),
        block(1024, 352, (192, 320), (160, 224), 128),
        block(1024, 352, (192, 320), (192, 224), 128, average=False),
        nn.AvgPool2d(7), nn.Flatten(), nn.Linear(1024, 1000))


def resnet50_v1():
    """He et al. 2015: the stride is in the first convolution of a block, not in its 3x3."""
    import torchvision

    model = torchvision.models.resnet50(weights=None)
    for block in model.modules():
        if isinstance(block, torchvision.models.resnet.Bottleneck):
            block.conv1.stride, block.conv2.stride = block.conv2.stride, (1, 1)
    return model


class ShuffleUnit(nn.Module):
    def __init__(self, ic, oc, groups, stride, first):
        super().__init__()
        out = oc - ic if stride == 2 else oc
        middle = oc // 4
        self.groups, self.stride = groups, stride
        self.squeeze = conv(ic, middle, 1, groups=1 if first else groups, norm=True)
        self.depthwise = conv(middle, middle, 3, stride, 1, middle, norm=True, act=False)
        self.expand = conv(middle, out, 1, groups=groups, norm=True, act=False)

    def forward(self, x):
        y = self.squeeze(x)
        n, c, h, w = y.shape
        y = y.view(n, self.groups, c // self.groups, h, w).transpose(1, 2).reshape(n, c, h, w)
        y = self.expand(self.depthwise(y))
        if self.stride == 1:
            return torch.relu(x + y)
        return torch.relu(torch.cat([nn.functional.avg_pool2d(x, 3, 2, 1), y], 1))


def shufflenet_v1(groups=3, widths=(240, 480, 960)):
    """Zhang et al. 2017, width 1, three groups."""
    layers, ic = [conv(3, 24, 3, 2, 1, norm=True), nn.MaxPool2d(3, 2, 1)], 24
    for oc, count in zip(widths, (4, 8, 4)):
        for i in range(count):
            layers.append(ShuffleUnit(ic, oc, groups, 2 if i == 0 else 1, ic == 24))
            ic = oc
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(ic, 1000))
