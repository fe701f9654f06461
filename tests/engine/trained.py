#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""What INT8 costs trained transformers and mobile networks: small ones of ten families, on Fashion-MNIST.

    trained.py train FOLDER [--only GLOB] [--epochs N] [--seconds S] [--jobs N] [--threads N]
    trained.py measure TOOL RUN_MODEL FOLDER [--only GLOB] [--peers LIST] [--cache FOLDER] [--markdown]

train writes FOLDER/NAME.pt, the weights of a network, and goes on from those that are there: on a GPU where PyTorch
has one, all networks side by side, else one after the other. An epoch takes a core between 2 and 16 minutes, all ten
of them about an hour. Weights differ from machine to machine and, with --seconds, from run to run. The networks are
timm's; the transformers and ConvNeXt narrower and of fewer blocks than the published ones, the others as they are but
for their first stride, which is 1. Images are 32x32, 28x28 with a border. The 60,000 training images are trained on;
the test images are for measure only, and nothing was chosen by them.

measure exports them (FOLDER/NAME.onnx, opset 17, dynamic batch) and measures what a user gets:

    FP32     run-model against ONNX Runtime on 20 images: the largest difference relative to the largest output
    right    the labelled class, 10,000 test images: `gst-int8-1.0 evaluate`, FP32 and INT8
    same     FP32's class, the first --judge of them; SQNR of the logits and mean divergence, in nats:
             `gst-int8-1.0 compare`
    layers   in INT8 and in float: `gst-int8-1.0 build`

after `gst-int8-1.0 calibrate` with its defaults on --calibrate training images. The peers are those of
tests/bench/accuracy.py (quantisers.py), calibrated and judged on the same images, against the float network in ONNX
Runtime.

Exits 1 where FP32 differs by more than 1e-4 or INT8 has FP32's class in less than 97 % (mobile networks: 95 %), never
for a peer; 77 where packages, weights or images are missing. Needs `pip install torch torchvision timm`, to measure
also -r tests/bench/requirements.txt and pillow; images: Debian's dataset-fashion-mnist.
"""
import argparse
import concurrent.futures
import fnmatch
import functools
import importlib.util
import json
import logging
import math
import multiprocessing
import os
import re
import sys
import tempfile
import time
import warnings
from typing import Callable, NamedTuple

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))

try:
    import numpy as np
    import timm
    import torch
    import torch.nn.functional as F
except ImportError as missing:
    print(f"SKIP {missing}: pip install torch timm, and have that python3 first in PATH")
    sys.exit(77)

SIDE, BORDER, BATCH, PEAK_RATE, DECAY, FLOAT, TOLERANCE = 32, 2, 512, 2e-3, 0.05, 20, 1e-4


@functools.lru_cache
def load(name, *path):
    spec = importlib.util.spec_from_file_location(name, os.path.join(ROOT, *path))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def models():
    """Writes pictures and runs programs."""
    return load("data_models", "tests", "engine", "data-models.py")


def quantisers():
    return load("quantisers", "tests", "bench", "quantisers.py")


# --- Networks ---------------------------------------------------------------------------------------

GREY = {"in_chans": 1, "num_classes": 10}
PATCHES = {**GREY, "img_size": SIDE, "patch_size": 4, "embed_dim": 128}


def vit():
    return timm.models.vision_transformer.VisionTransformer(**PATCHES, depth=6, num_heads=4, drop_path_rate=0.1)


def deit():
    return timm.models.deit.VisionTransformerDistilled(**PATCHES, depth=6, num_heads=4, drop_path_rate=0.1)


def mixer():
    return timm.models.mlp_mixer.MlpMixer(**PATCHES, num_blocks=6, drop_path_rate=0.1)


def swin():
    return timm.models.swin_transformer.SwinTransformer(
        **GREY, img_size=SIDE, patch_size=2, window_size=4, embed_dim=48, depths=(2, 4, 2), num_heads=(2, 4, 8))


def convnext():
    return timm.models.convnext.ConvNeXt(**GREY, patch_size=2, depths=(2, 2, 4, 2), dims=(32, 64, 128, 256))


def published(name):
    """As it is, but for the first stride."""
    def make():
        model = timm.create_model(name, **GREY)
        next(m for m in model.modules() if isinstance(m, torch.nn.Conv2d)).stride = (1, 1)
        return model
    return make


class Network(NamedTuple):
    family: str
    make: Callable
    least: float = 0.97  # of the images, that INT8 gives FP32's class


NETWORKS = {
    "vit": Network("ViT", vit),
    "deit": Network("DeiT, distilled", deit),
    "swin": Network("Swin", swin),
    "convnext": Network("ConvNeXt", convnext),
    "mixer": Network("MLP-Mixer", mixer),
    "mobilevit": Network("MobileViT-XXS", published("mobilevit_xxs"), 0.95),
    "mobilenetv3": Network("MobileNetV3-small", published("mobilenetv3_small_100"), 0.95),
    "mobilenetv4": Network("MobileNetV4-conv-small, half", published("mobilenetv4_conv_small_050"), 0.95),
    "efficientnet": Network("EfficientNet-B0", published("efficientnet_b0"), 0.95),
    "regnety": Network("RegNetY-200MF", published("regnety_002"), 0.95),
}


def weights_path(name, folder):
    return os.path.join(folder, name + ".pt")


def restored(name, folder):
    model = NETWORKS[name].make()
    model.load_state_dict(torch.load(weights_path(name, folder), map_location="cpu", weights_only=True))
    return model


# --- Images -----------------------------------------------------------------------------------------


def read(directory, part):
    """uint8 [n 32 32] and labels."""
    train = load("train", "data", "train.py")
    images, labels = (train.read_idx(os.path.join(directory, f"{part}-{what}-ubyte.gz"))
                      for what in ("images-idx3", "labels-idx1"))
    return np.pad(images, ((0, 0), (BORDER, BORDER), (BORDER, BORDER))), labels


def unit(images):
    """What preprocess=unit makes of them."""
    return (images.astype(np.float32) / 255)[:, None]


# --- Training ---------------------------------------------------------------------------------------


def augment(x):
    """Half of the images mirrored, all of a batch moved by what their border allows."""
    x = torch.where(torch.rand(len(x), 1, 1, 1, device=x.device) < 0.5, x.flip(3), x)
    return x.roll(torch.randint(-BORDER, BORDER + 1, (2,)).tolist(), (2, 3))


def rate(progress, warm=0.1):
    """A linear warm-up, then a cosine down to zero, as a factor of the peak rate."""
    return progress / warm if progress < warm else 0.5 * (1 + math.cos(math.pi * (progress - warm) / (1 - warm)))


def optimiser(model, device):
    decayed = [p for p in model.parameters() if p.dim() >= 2]
    free = [p for p in model.parameters() if p.dim() < 2]
    return torch.optim.AdamW([{"params": decayed, "weight_decay": DECAY}, {"params": free, "weight_decay": 0.0}],
                             lr=PEAK_RATE, fused=device == "cuda")


def fit(model, x, y, options):
    """Until all epochs are done or the time is up, the rate falling with whichever is further: epochs, last loss."""
    per_epoch, start, done = len(x) // BATCH, time.monotonic(), 0
    steps, adam = per_epoch * options.epochs, optimiser(model, x.device.type)
    while done < steps:
        for pick in torch.randperm(len(x), device=x.device)[:per_epoch * BATCH].view(-1, BATCH):
            spent = (time.monotonic() - start) / options.seconds
            if spent >= 1:
                return done / per_epoch, loss.item()
            for group in adam.param_groups:
                group["lr"] = PEAK_RATE * rate(max(done / steps, spent))
            with torch.autocast(x.device.type, torch.bfloat16, enabled=x.is_cuda):
                loss = F.cross_entropy(model(augment(x[pick])), y[pick])
            adam.zero_grad(set_to_none=True)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            adam.step()
            done += 1
    return done / per_epoch, loss.item()


def train_one(name, options):
    """In a process of its own: what there is to say."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    start = time.monotonic()
    torch.manual_seed(1)
    torch.set_num_threads(options.threads)
    torch.set_float32_matmul_precision("high")
    torch.backends.cudnn.benchmark = True
    images, labels = read(options.dataset, "train")
    x, y = torch.from_numpy(unit(images)).to(device), torch.from_numpy(labels.astype(np.int64)).to(device)
    path = weights_path(name, options.folder)
    model = restored(name, options.folder) if os.path.exists(path) else NETWORKS[name].make()
    epochs, loss = fit(model.to(device).train(), x, y, options)
    torch.save(model.cpu().state_dict(), path + ".new")
    os.replace(path + ".new", path)
    return f"{name}: {epochs:.1f} epochs, {time.monotonic() - start:.0f} s on {device}, last loss {loss:.3f}"


def train(names, options):
    os.makedirs(options.folder, exist_ok=True)
    jobs = options.jobs or (len(names) if torch.cuda.is_available() else 1)
    with concurrent.futures.ProcessPoolExecutor(jobs, multiprocessing.get_context("spawn")) as pool:
        for done in concurrent.futures.as_completed([pool.submit(train_one, name, options) for name in names]):
            print(done.result(), flush=True)
    return 0


# --- Measuring --------------------------------------------------------------------------------------


def export(name, folder):
    """The model as ONNX, and its parameters."""
    model, path = restored(name, folder).eval(), os.path.join(folder, name + ".onnx")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the tracer, about shapes that it takes for constants
        torch.onnx.export(model, (torch.zeros(1, 1, SIDE, SIDE),), path, opset_version=17, dynamo=False,
                          input_names=["image"], output_names=["scores"],
                          dynamic_axes={"image": {0: "n"}, "scores": {0: "n"}})
    return path, sum(p.numel() for p in model.parameters())


class Frames(NamedTuple):
    """Images and where their pictures are listed."""
    calibrating: np.ndarray
    judging: np.ndarray
    calibrating_list: str
    judging_list: str
    test_list: str
    labels_list: str


def frames(options, folder):
    (train_images, _), (images, labels) = (read(options.dataset, part) for part in ("train", "t10k"))
    calibrating = train_images[::len(train_images) // options.calibrate][:options.calibrate]
    paths = {}
    for name, some in (("calibrate", calibrating), ("test", images)):
        os.mkdir(os.path.join(folder, name))
        paths[name] = models().write_pictures(some[..., None], os.path.join(folder, name))
    lines = {"calibrate.txt": paths["calibrate"], "judge.txt": paths["test"][:options.judge], "test.txt": paths["test"],
             "labels.txt": [f"{os.path.basename(path)} {label}" for path, label in zip(paths["test"], labels)]}
    return Frames(unit(calibrating), unit(images[:options.judge]),
                  *(models().write_list(folder, name, some) for name, some in lines.items()))


def ours(tool, path, some, folder):
    """Right in FP32 and INT8, same, layers, method; and the share that is the same."""
    table, figures, engine = (os.path.join(folder, name) for name in ("table", "figures.json", "engine"))
    options = ["-p", "preprocess=unit", "--threads", "1", "-t", table]

    def run(command, *arguments):
        return models().program(tool, command, path, *arguments).decode()

    said = run("calibrate", "-i", some.calibrating_list, *options)
    counted = run("evaluate", "-i", some.test_list, "-l", some.labels_list, *options)
    run("compare", "-i", some.judging_list, "--alone", "0", "--json", figures, *options)
    layers = re.search(r"(\d+) layers int8, (\d+) fp32", run("build", "-t", table, "-o", engine))
    right = dict(line.split()[:2] for line in counted.splitlines() if line.startswith(("fp32", "int8")))
    with open(figures, encoding="utf-8") as file:
        compared = json.load(file)["calibrations"][0]
    columns = [*(f"{100 * float(right[precision]):.2f} %" for precision in ("fp32", "int8")),
               cell(compared["top1"], compared["sqnr"], compared["kl-mean"]), " / ".join(layers.groups()),
               said.splitlines()[-1].split(", ")[1]]
    return columns, compared["top1"]


def cell(same, sqnr, divergence):
    return f"{100 * same:.2f} %, {sqnr:.1f} dB, {divergence:.4f}"


def theirs(peer, options, path, exact, some, folder):
    logits = quantisers().cached(options.cache, peer, quantisers().PEERS[peer], path, some.calibrating, some.judging,
                                 folder)
    if logits is None:
        return "fails"
    noise = np.linalg.norm(exact.astype(np.float64) - logits)
    of_exact, of_logits = (F.log_softmax(torch.from_numpy(values), 1) for values in (exact, logits))
    return cell(np.mean(exact.argmax(1) == logits.argmax(1)), 20 * np.log10(np.linalg.norm(exact) / noise),
                F.kl_div(of_logits, of_exact, log_target=True, reduction="batchmean").item())


def measure_one(name, options, some, folder):
    """The columns of a row, and whether all is as it should be."""
    prepared = os.path.join(folder, "prepared.onnx")
    path, parameters = export(name, options.folder)
    quantisers().prepare_model(path, [1, 1, SIDE, SIDE], prepared)
    exact = quantisers().run_onnx(prepared, some.judging, optimise=False)
    mine = np.stack([np.frombuffer(models().program(options.run_model, path, "cpu", images=image), np.float32)
                     for image in some.judging[:FLOAT]])
    difference = np.abs(mine - exact[:FLOAT]).max() / np.abs(exact[:FLOAT]).max()
    columns, same = ours(options.tool, path, some, folder)
    peers = [theirs(peer, options, prepared, exact, some, folder) for peer in options.peers]
    return ([NETWORKS[name].family, f"{parameters / 1e6:.2f} M", f"{difference:.1e}", *columns, *peers],
            difference <= TOLERANCE and same >= NETWORKS[name].least)


def measure(names, options):
    missing = [name for name in names if not os.path.exists(weights_path(name, options.folder))]
    if missing:
        print(f"SKIP no weights of {', '.join(missing)} in {options.folder}: trained.py train {options.folder}")
        return 77
    try:
        quantisers()
        models()
    except ImportError as absent:
        print(f"SKIP {absent}: pip install -r tests/bench/requirements.txt, and pillow")
        return 77
    logging.disable(logging.WARNING)
    titles = ["network", "parameters", "FP32", "right, FP32", "right, INT8", "same", "layers", "method", *options.peers]
    if options.markdown:
        print("|", " | ".join(titles), "|\n" + "|---" * len(titles) + "|", flush=True)
    failed = 0
    with tempfile.TemporaryDirectory() as folder:
        some = frames(options, folder)
        for name in names:
            try:
                columns, good = measure_one(name, options, some, folder)
            except Exception as error:  # of an exporter, a runtime or these programs
                columns, good = [NETWORKS[name].family, f"FAILED {str(error).splitlines()[0]}"], False
            failed += not good
            if options.markdown:
                print("|", " | ".join(columns), "|", flush=True)
            else:
                said = "; ".join(f"{title}: {column}" for title, column in zip(titles, columns))
                print(f"{'ok' if good else 'MISSED':6} {said}", flush=True)
    return failed > 0


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    both = argparse.ArgumentParser(add_help=False)
    both.add_argument("--only", default="*", help=f"networks that match this pattern, of {', '.join(NETWORKS)}")
    both.add_argument("--dataset", default="/usr/share/datasets/fashion-mnist",
                      help="folder of the four IDX files (default: %(default)s)")
    training = commands.add_parser("train", parents=[both])
    training.add_argument("--epochs", type=int, default=25, help="(default: %(default)s)")
    training.add_argument("--seconds", type=float, default=float("inf"), help="at most so long for a network")
    training.add_argument("--jobs", type=int, help="networks at once (default: all on a GPU, else 1)")
    training.add_argument("--threads", type=int, default=1, help="of each (default: %(default)s)")
    measuring = commands.add_parser("measure", parents=[both])
    measuring.add_argument("tool", metavar="TOOL", help="gst-int8-1.0")
    measuring.add_argument("run_model", metavar="RUN_MODEL", help="the program built from run-model.c")
    measuring.add_argument("--calibrate", type=int, default=100, help="training images (default: %(default)s)")
    measuring.add_argument("--judge", type=int, default=2000,
                           help="test images for compare and the peers (default: %(default)s)")
    measuring.add_argument("--peers", default="ORT MinMax,ORT Percentile,NNCF",
                           type=lambda text: [peer for peer in text.split(",") if peer],
                           help="of those of accuracy.py (default: %(default)s)")
    measuring.add_argument("--cache", help="keep the peers' logits in this folder")
    measuring.add_argument("--markdown", action="store_true", help="print the table of docs/MODELS.md")
    for command in (training, measuring):
        command.add_argument("folder", metavar="FOLDER", help="of the weights")
    options = parser.parse_args()
    names = [name for name in NETWORKS if fnmatch.fnmatch(name, options.only)]
    if not names:
        parser.error(f"--only {options.only}: there are {', '.join(NETWORKS)}")
    if not os.path.isdir(options.dataset):
        print(f"SKIP no images in {options.dataset}: apt install dataset-fashion-mnist")
        return 77
    return (train if options.command == "train" else measure)(names, options)


if __name__ == "__main__":
    sys.exit(main())
