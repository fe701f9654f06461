#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Exports well-known classifiers with random weights and compares float results with PyTorch's.

    architectures.py RUN_MODEL [--sweep | --opsets] [--only GLOB] [--keep FOLDER] [--markdown]

RUN_MODEL is the program built from run-model.c. Networks come from torchvision, timm and, where these
have none, from architectures_own.py; each is exported in one of several opsets, by PyTorch's older
exporter (traced) or its newer one (dynamo). Statistics of batch normalisation are those of the test
images, scales and shifts random, so that activations are of a trained network's size. Prints a line
for each network: the largest difference relative to the largest output; exits 1 where one is refused
or exceeds 1e-4, or where the output does not depend on the image. Each has a process of its own, with at
most 10 minutes and 10 GiB. With --sweep the networks are those of architectures_sweep.py: one or more of
every family of timm, whether they can be read or not; with --opsets one network in every opset. Not part
of the test suite: it needs `pip install torch torchvision timm onnx onnxruntime onnxscript` (made with
2.8.0, 0.23.0, 1.0.31, 1.23.2, 1.31.1, 0.7.2).
"""
import argparse
import contextlib
import fnmatch
import io
import logging
import math
import multiprocessing
import os
import resource
import subprocess
import sys
import tempfile
import warnings

import numpy as np
import torch

import architectures_own
import architectures_sweep

MINUTES, GIBIBYTES = 10, 10  # that a network may take

TOLERANCE = 1e-4
DEPENDS = 1e-3  # how much outputs of two images differ at least, relative to the largest

# family, source, name, opset, exporter, side of the image
NETWORKS = [
    ("AlexNet", "torchvision", "alexnet", 7, "traced", 224),
    ("AlexNet", "own", "alexnet_lrn", 13, "traced", 227),
    ("ZFNet", "own", "zfnet", 13, "traced", 224),
    ("NiN", "own", "nin", 11, "traced", 128),
    ("VGG", "torchvision", "vgg11", 9, "traced", 224),
    ("VGG", "torchvision", "vgg16_bn", 13, "traced", 224),
    ("Inception v1", "torchvision", "googlenet", 11, "traced", 224),
    ("Inception v1", "own", "googlenet_lrn", 9, "traced", 224),
    ("Inception v2", "own", "bn_inception", 12, "traced", 224),
    ("Inception v3", "torchvision", "inception_v3", 13, "traced", 160),
    ("Inception v4", "timm", "inception_v4", 14, "traced", 160),
    ("Inception-ResNet", "timm", "inception_resnet_v2", 17, "traced", 160),
    ("ResNet v1.5", "torchvision", "resnet18", 8, "traced", 128),
    ("ResNet v1.5", "torchvision", "resnet50", 18, "dynamo", 128),
    ("ResNet v1", "own", "resnet50_v1", 13, "traced", 128),
    ("ResNet v2", "timm", "resnetv2_50", 13, "traced", 128),
    ("BiT", "timm", "resnetv2_50x1_bit", 13, "traced", 128),
    ("NFNet", "timm", "nf_resnet26", 13, "traced", 128),
    ("NFNet", "timm", "nf_regnet_b0", 13, "traced", 128),
    ("Wide ResNet", "torchvision", "wide_resnet50_2", 12, "traced", 128),
    ("ResNeXt", "torchvision", "resnext50_32x4d", 10, "traced", 128),
    ("SE-ResNet", "timm", "seresnet50", 14, "traced", 128),
    ("Res2Net", "timm", "res2net50_26w_4s", 13, "traced", 128),
    ("DenseNet", "torchvision", "densenet121", 9, "traced", 128),
    ("DPN", "timm", "dpn68", 13, "traced", 128),
    ("SqueezeNet", "torchvision", "squeezenet1_0", 7, "traced", 128),
    ("SqueezeNet", "torchvision", "squeezenet1_1", 18, "dynamo", 128),
    ("ShuffleNet v1", "own", "shufflenet_v1", 13, "traced", 128),
    ("ShuffleNet v2", "torchvision", "shufflenet_v2_x1_0", 11, "traced", 128),
    ("ShuffleNet v2", "torchvision", "shufflenet_v2_x0_5", 18, "dynamo", 128),
    ("MobileNet v1", "timm", "mobilenetv1_100", 13, "traced", 128),
    ("MobileNet v2", "torchvision", "mobilenet_v2", 10, "traced", 128),
    ("MobileNet v3", "torchvision", "mobilenet_v3_small", 11, "traced", 128),
    ("MobileNet v3", "torchvision", "mobilenet_v3_large", 18, "dynamo", 128),
    ("MobileNet v4", "timm", "mobilenetv4_conv_small", 16, "traced", 128),
    ("MobileNet v4", "timm", "mobilenetv4_hybrid_medium", 17, "traced", 224),
    ("MnasNet", "torchvision", "mnasnet1_0", 13, "traced", 128),
    ("EfficientNet", "torchvision", "efficientnet_b0", 11, "traced", 128),
    ("EfficientNet", "torchvision", "efficientnet_b1", 18, "dynamo", 128),
    ("EfficientNet", "timm", "tf_efficientnet_b2", 13, "traced", 128),
    ("EfficientNet", "timm", "efficientnet_b3", 14, "traced", 128),
    ("EfficientNet", "timm", "efficientnet_b4", 14, "traced", 128),
    ("EfficientNet", "torchvision", "efficientnet_b5", 14, "traced", 128),
    ("EfficientNet", "torchvision", "efficientnet_b6", 14, "traced", 128),
    ("EfficientNet", "torchvision", "efficientnet_b7", 14, "traced", 128),
    ("EfficientNet-Lite", "timm", "tf_efficientnet_lite0", 13, "traced", 128),
    ("EfficientNet-Lite", "timm", "efficientnet_lite4", 13, "traced", 128),
    ("EfficientNetV2", "torchvision", "efficientnet_v2_s", 14, "traced", 128),
    ("EfficientNetV2", "timm", "tf_efficientnetv2_b0", 15, "traced", 128),
    ("RegNet", "torchvision", "regnet_x_400mf", 13, "traced", 128),
    ("RegNet", "torchvision", "regnet_y_800mf", 18, "dynamo", 128),
    ("GhostNet", "timm", "ghostnet_100", 13, "traced", 128),
    ("GhostNet", "timm", "ghostnetv2_100", 13, "traced", 128),
    ("RepVGG", "timm", "repvgg_a0", 13, "traced", 224),
    ("MobileOne", "timm", "mobileone_s0", 13, "traced", 128),
    ("HRNet", "timm", "hrnet_w18_small", 13, "traced", 128),
    ("DLA", "timm", "dla34", 13, "traced", 128),
    ("Darknet", "timm", "darknet53", 13, "traced", 128),
    ("CSPResNet", "timm", "cspresnet50", 13, "traced", 128),
    ("VoVNet", "timm", "ese_vovnet19b_dw", 13, "traced", 128),
    ("MixNet", "timm", "mixnet_s", 13, "traced", 128),
    ("FBNet", "timm", "fbnetc_100", 13, "traced", 128),
    ("LCNet", "timm", "lcnet_100", 13, "traced", 128),
    ("HGNet", "timm", "hgnetv2_b0", 13, "traced", 128),
    ("ReXNet", "timm", "rexnet_100", 13, "traced", 128),
    ("Xception", "timm", "xception41", 13, "traced", 160),
    ("PoolFormer", "timm", "poolformer_s12", 17, "traced", 224),
    ("ConvNeXt", "torchvision", "convnext_tiny", 17, "traced", 128),
    ("ConvNeXt", "timm", "convnext_atto", 13, "traced", 128),
    ("ConvNeXt V2", "timm", "convnextv2_atto", 17, "traced", 128),
    ("ViT", "torchvision", "vit_b_32", 17, "traced", 224),
    ("ViT", "timm", "vit_tiny_patch16_224", 13, "traced", 224),
    ("ViT", "timm", "vit_tiny_patch16_224", 18, "dynamo", 224),
    ("DeiT", "timm", "deit_tiny_patch16_224", 17, "traced", 224),
    ("Swin", "torchvision", "swin_t", 17, "traced", 224),
    ("Swin", "timm", "swin_tiny_patch4_window7_224", 17, "traced", 224),
    ("MLP-Mixer", "timm", "mixer_s32_224", 13, "traced", 224),
]

# What --opsets exports: the same network in every opset that PyTorch's exporters can write.
OPSETS = [("ResNet v1.5", "torchvision", "resnet18", opset, exporter, 64)
          for opset, exporter in [(n, "traced") for n in range(7, 21)] + [(n, "dynamo") for n in range(18, 22)]]


def images(side):
    """Two, with smooth and noisy parts: of noise alone, deep networks make nothing."""
    rng = np.random.default_rng(1)
    y, x = np.mgrid[0:side, 0:side]
    smooth = [np.stack([np.sin(x / (5 + k + 3 * i)) + np.cos(y / (7 + k)) for k in range(3)])
              for i in range(2)]
    return torch.tensor(np.stack(smooth) + 0.5 * rng.standard_normal((2, 3, side, side)),
                        dtype=torch.float32)


def make(source, name):
    if source == "own":
        return getattr(architectures_own, name)()
    if source == "timm":
        import timm
        return timm.create_model(name, pretrained=False, scriptable=False, exportable=True)
    import torchvision
    options = {"init_weights": False} if name in ("googlenet", "inception_v3") else {}
    model = torchvision.models.get_model(name, weights=None, **options)
    for auxiliary in ("aux1", "aux2", "AuxLogits"):
        if hasattr(model, auxiliary):
            setattr(model, auxiliary, None)
            model.aux_logits = False
    return model


def randomise(model, x):
    """As the file's comment says. Weights that start at zero, or near it, get a size too."""
    norms = [m for m in model.modules() if isinstance(m, torch.nn.modules.batchnorm._BatchNorm)]
    with torch.no_grad():
        for name, p in model.named_parameters():
            if p.dim() >= 2 and p.abs().max() == 0:
                p.normal_(0, 1 / math.sqrt(p[0].numel()))
            elif p.dim() <= 1 and name.rsplit(".")[-1].startswith(("gamma", "layer_scale")):
                p.uniform_(0.1, 1.0)
        for m in model.modules():
            if isinstance(m, (torch.nn.Conv2d, torch.nn.Linear)) and not norms:
                torch.nn.init.kaiming_normal_(m.weight)
        for m in norms:
            if m.affine:
                m.weight.uniform_(0.6, 1.4)
                m.bias.normal_(0.5, 0.2)
            m.reset_running_stats()
            m.momentum = None  # the average of what follows
        for m in model.modules():
            m.training = m in norms
        few = set()  # that see a pixel of each image only: statistics of two numbers make signs of both
        hooks = [m.register_forward_pre_hook(
            lambda m, inputs: few.add(m) if inputs[0].numel() // inputs[0].shape[1] < 8 else None) for m in norms]
        if norms:
            model(x)
        for hook in hooks:
            hook.remove()
        for m in few:
            m.running_mean.zero_()
            m.running_var.fill_(1)
    return model.eval()


def export(model, x, path, opset, exporter):
    arguments = dict(input_names=["image"], output_names=["scores"])
    if exporter == "dynamo":
        torch.onnx.export(model, (x,), path, opset_version=opset, dynamo=True, external_data=False,
                          verbose=False, **arguments)
    else:
        torch.onnx.export(model, (x,), path, opset_version=opset, dynamo=False,
                          dynamic_axes={"image": {0: "n"}, "scores": {0: "n"}}, **arguments)


def run(program, path, x):
    done = subprocess.run([program, path, os.environ.get("BACKEND", "cpu")], capture_output=True,
                          input=x.permute(1, 2, 0).contiguous().numpy().tobytes())
    if done.returncode:
        raise RuntimeError(done.stderr.decode().strip())
    return np.frombuffer(done.stdout, np.float32)


@contextlib.contextmanager
def silence():
    """Exporters talk a lot."""
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()), \
            contextlib.redirect_stderr(io.StringIO()):
        warnings.simplefilter("ignore")
        yield


def compare(program, network, folder):
    """The difference, how much the outputs of two images differ, and, where the difference is large, that
    of ONNX Runtime: some random networks amplify every rounding, be it of the exporter."""
    _, source, name, opset, exporter, side = network
    path = os.path.join(folder, f"{source}-{name}-{opset}-{exporter}.onnx")
    torch.manual_seed(1)
    x = images(side)
    with silence():
        model = randomise(make(source, name), x)
        with torch.no_grad():
            expected = model(x).reshape(2, -1).numpy()
        if not os.path.exists(path):
            try:
                export(model, x[:1], path, opset, exporter)
            except Exception as error:  # whatever an exporter raises
                raise RuntimeError(f"not exported: {str(error).splitlines()[0]}") from error
    largest = np.abs(expected).max()
    worst = max(np.abs(run(program, path, x[i]) - expected[i]).max() for i in range(2))
    other = 0
    if worst > TOLERANCE * largest:
        import onnxruntime
        session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
        other = max(np.abs(session.run(None, {"image": x[i:i + 1].numpy()})[0].reshape(-1) - expected[i]).max()
                    for i in range(2))
    return worst / largest, np.abs(expected[0] - expected[1]).max() / largest, other / largest


def work(results, *arguments):
    """In a process of its own: compare(), or the last line of what went wrong."""
    logging.disable(logging.CRITICAL)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)  # some exporters print whole graphs
    os.dup2(nowhere, 2)
    torch.set_num_threads(1)  # more wait for each other where the machine does other things, too
    resource.setrlimit(resource.RLIMIT_DATA, (GIBIBYTES << 30, GIBIBYTES << 30))
    try:
        results.send(compare(*arguments))
    except Exception as error:
        results.send((str(error).strip() or repr(error)).splitlines()[-1])


def judge(*arguments):
    """Whether a network is as it should be, and the difference or what went wrong."""
    context = multiprocessing.get_context("spawn")
    results, end = context.Pipe(duplex=False)
    process = context.Process(target=work, args=(end, *arguments))
    process.start()
    end.close()
    try:
        result = results.recv() if results.poll(MINUTES * 60) else f"no result after {MINUTES} minutes"
    except EOFError:
        result = f"the process ended: {process.exitcode}"
    process.kill()
    process.join()
    if isinstance(result, str):
        return False, result
    difference, depends, other = result
    if not depends >= DEPENDS:
        return False, "the output is constant"
    if difference <= TOLERANCE:
        return True, f"{difference:.1e}"
    return False, f"{difference:.1e}, and ONNX Runtime's is {other:.1e}"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run_model")
    parser.add_argument("--only", default="*", help="names that match this pattern")
    parser.add_argument("--keep", help="leave the models in this folder, and use those that are there")
    parser.add_argument("--markdown", action="store_true", help="print the table of docs/MODELS.md")
    parser.add_argument("--sweep", action="store_true", help="one network of every family of timm")
    parser.add_argument("--opsets", action="store_true", help="one network in every opset")
    options = parser.parse_args()
    networks = architectures_sweep.networks() if options.sweep else OPSETS if options.opsets else NETWORKS
    failed = 0
    with tempfile.TemporaryDirectory() as temporary:
        for network in networks:
            family, source, name, opset, exporter, side = network
            if not fnmatch.fnmatch(name, options.only):
                continue
            good, text = judge(options.run_model, network, options.keep or temporary)
            failed += not good
            if options.markdown:
                print(f"| {family} | {source} {name} | {opset} {exporter} | {side} | {text} |")
            else:
                print(f"{'ok' if good else 'FAILED':6} {source} {name} ({opset}, {exporter}): {text}")
            sys.stdout.flush()
            if not options.keep:
                for left in os.listdir(temporary):
                    os.remove(os.path.join(temporary, left))
    return failed > 0


if __name__ == "__main__":
    sys.exit(main())
