#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""This engine against PyTorch on one GPU, in one run.

    tests/bench/gpu.py --tool build/tools/gst-int8-1.0 --worker build/tests/bench/bench-worker \\
        --engines FOLDER --markdown gpu.md

What FOLDER lacks is made: networks of networks.py, tables of 16 random images, engines in INT8, FP16 and FP32.
Without --worker only engines that are there are timed.

PyTorch runs torchvision's network of the same name with random weights in FP16, channels last, its input
on the device: recorded as a CUDA graph, and compiled with torch.compile, in the modes "reduce-overhead" and
"max-autotune", which takes minutes for every batch size. TORCHINDUCTOR_CACHE_DIR keeps what it found; with --ready
several processes fill it at once, and only their timings take turns:

    export TORCHINDUCTOR_CACHE_DIR=CACHE
    for network in resnet50 mobilenetv2; do for batch in 1 8 256; do
      tests/bench/gpu.py --ready --networks $network --batches $batch &
    done; done; wait

This engine runs FOLDER/<network>.int8engine, and <network>.fp16.int8engine and <network>.fp32.int8engine where they
are, as `gst-int8-1.0 bench` does; its first turn compares the results with those of the CPU, but for FP16, which the
CPU has not. They take turns: one burst of runs each, every run waited for, and one round that does not count, as what
torch.compile made may compile or record again when it comes back. A time is the median of the bursts' medians; a
ratio is the median of the ratios within a round.
"""

import argparse
import fcntl
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time

NETWORKS = {"resnet50": "resnet50", "mobilenetv2": "mobilenet_v2"}  # ours, torchvision's
PRECISIONS = {"int8": "", "fp16": ".fp16", "fp32": ".fp32"}
PEERS = {"torch-graph": None, "torch-reduce": "reduce-overhead", "torch-compile": "max-autotune"}  # modes of torch.compile
NAMES = {"int8": "INT8", "fp16": "FP16", "fp32": "FP32", "torch-graph": "PyTorch FP16, CUDA graph",
         "torch-reduce": "PyTorch FP16, reduce-overhead", "torch-compile": "PyTorch FP16, max-autotune"}
WARM_UP_RUNS = 5


def say(text):
    print(text, file=sys.stderr, flush=True)


# --- Engines --------------------------------------------------------------------------------------


def make_engines(options, network):
    """Model, table and engines of a network, as far as they are missing."""

    def path(ending):
        return os.path.join(options.engines, network + ending)

    def once(ending, *command):
        if not os.path.exists(path(ending)):
            run = subprocess.run([*command, path(ending)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
            if run.returncode:
                sys.exit(f"{' '.join(command)} {path(ending)}: {run.stderr.strip()}")

    os.makedirs(options.engines, exist_ok=True)
    if not os.path.exists(path(".onnx")):
        import networks

        net = networks.Net(network)
        net.save(networks.NETWORKS[network](net), path(".onnx"))
    if not os.path.exists(path(".table")):
        import run as cpu

        images = os.path.join(options.engines, "images.f32")
        cpu.make_images(images)
        once(".table", options.worker, "calibrate", path(".onnx"), images, str(cpu.N_IMAGES))
        os.remove(images)
    once(".int8engine", options.tool, "build", "-m", path(".onnx"), "-t", path(".table"), "-o")
    for precision in ("fp16", "fp32"):
        once(f".{precision}.int8engine", options.tool, "build", "-m", path(".onnx"), f"--precision={precision}", "-o")


# --- Contenders: a function that gives the median seconds of a burst -------------------------------


def ours(options, path, batch):
    checked = []

    def burst():
        with tempfile.NamedTemporaryFile(suffix=".json") as out:
            command = [options.tool, "bench", "--backend", options.backend, "--batch", str(batch), "--seconds",
                       str(options.seconds), "--json", out.name]
            if not checked and batch <= options.check and not path.endswith(PRECISIONS["fp16"] + ".int8engine"):
                command += ["--check", "cpu"]
            checked.append(True)
            run = subprocess.run(command + [path], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
            if run.returncode:
                sys.exit(f"{' '.join(command + [path])}: {run.stderr.strip()}")
            return json.load(open(out.name))["runs"]["median"]

    return burst


def prepare_compiling(options):
    """To be called before the first torch.compile."""
    import torch
    from torch._inductor.runtime.benchmarking import benchmarker

    # Its workers take PyTorch's ptxas. Where this process took Triton's, it would compile again all that they did.
    ptxas = os.path.join(os.path.dirname(torch.__file__), "bin", "ptxas")
    if os.path.exists(ptxas):
        os.environ.setdefault("TRITON_PTXAS_PATH", ptxas)
    if not options.ready:
        return
    time_kernel = benchmarker.benchmark_gpu

    def in_turn(kernel, *args, **kwargs):
        kernel()  # what is compiled and loaded for it first takes no turn
        torch.cuda.synchronize()
        with open(os.path.join(tempfile.gettempdir(), "int8-bench-gpu.lock"), "w") as turn:
            fcntl.flock(turn, fcntl.LOCK_EX)
            return time_kernel(kernel, *args, **kwargs)

    benchmarker.benchmark_gpu = in_turn


def torch_runs(options, network, batch, mode):
    import torch
    import torchvision

    torch.manual_seed(1)
    torch.backends.cudnn.benchmark = True
    model = getattr(torchvision.models, NETWORKS[network])(weights=None).cuda().half().eval()
    model = model.to(memory_format=torch.channels_last)
    x = torch.randn(batch, 3, 224, 224, device="cuda", dtype=torch.half).to(memory_format=torch.channels_last)
    with torch.inference_mode():
        if mode:
            torch._dynamo.reset()  # or the second size of batch would be compiled for any
            model = torch.compile(model, mode=mode, dynamic=False)
            run = lambda: model(x)
            for _ in range(WARM_UP_RUNS):
                run()
        else:
            stream = torch.cuda.Stream()
            with torch.cuda.stream(stream):
                for _ in range(WARM_UP_RUNS):
                    model(x)
            torch.cuda.synchronize()
            graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(graph):
                model(x)

            def run(kept=(model, x)):  # a graph keeps neither alive
                graph.replay()
    torch.cuda.synchronize()

    def burst():
        times = []
        end = time.perf_counter() + options.seconds
        with torch.inference_mode():
            while not times or time.perf_counter() < end:
                start = time.perf_counter()
                run()
                torch.cuda.synchronize()
                times.append(time.perf_counter() - start)
        return statistics.median(times)

    return burst


def torch_contenders(options, network, batch):
    found = {}
    for peer in options.peers:
        start = time.perf_counter()
        found[peer] = torch_runs(options, network, batch, PEERS[peer])
        say(f"{network}, batch {batch}: {NAMES[peer]} ready after {time.perf_counter() - start:.1f} s")
    return found


def contenders_of(options, network, batch):
    found = {}
    for precision, ending in PRECISIONS.items():
        path = os.path.join(options.engines, network + ending + ".int8engine")
        if os.path.exists(path):
            found[precision] = ours(options, path, batch)
    return found | torch_contenders(options, network, batch)


# --- The run --------------------------------------------------------------------------------------


def measure(options, network, batch):
    contenders = contenders_of(options, network, batch)
    if "int8" not in contenders:
        sys.exit(f"there is no {network}.int8engine in {options.engines}: make it with gst-int8-1.0 build, or with --worker")
    times = {name: [] for name in contenders}
    for turn in range(options.rounds + 1):
        names = list(contenders)
        for name in names[turn % len(names):] + names[:turn % len(names)]:
            seconds = contenders[name]()
            if turn > 0:
                times[name].append(seconds)
    return {"network": network, "batch": batch, "seconds": times}


def ratio(result, own, peer):
    pairs = zip(result["seconds"][peer], result["seconds"][own])
    return statistics.median(theirs / own for theirs, own in pairs)


def rows(options, results):
    names = [name for name in NAMES if any(name in r["seconds"] for r in results)]
    ratios = [("int8", peer) for peer in names if peer != "int8"]
    ratios += [("fp16", peer) for peer in names if peer in PEERS and "fp16" in names]
    yield ["network", "batch"] + [f"{NAMES[n]}: ms" for n in names] + ["INT8: images/s"] + \
        [f"{NAMES[own]} / {NAMES[peer]}" for own, peer in ratios]
    yield ["---"] + ["--:"] * (2 + len(names) + len(ratios))
    for r in results:
        ms = {n: 1e3 * statistics.median(r["seconds"][n]) for n in names if n in r["seconds"]}
        yield [r["network"], str(r["batch"])] + [f"{ms[n]:.3f}" if n in ms else "-" for n in names] + \
            [f"{1e3 * r['batch'] / ms['int8']:,.0f}"] + \
            [f"{ratio(r, own, peer):.2f}" if own in ms and peer in ms else "-" for own, peer in ratios]


def versions(peers):
    if not peers:
        return "PyTorch not asked for"
    import torch

    return f"{torch.cuda.get_device_name()}; PyTorch {torch.__version__}, cuDNN {torch.backends.cudnn.version()}"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tool", help="gst-int8-1.0")
    parser.add_argument("--engines", help="folder of the engine files")
    parser.add_argument("--ready", action="store_true", help="only have PyTorch compile, beside other processes that do")
    parser.add_argument("--worker", help="bench-worker, to make what the folder lacks")
    parser.add_argument("--backend", default="cuda")
    parser.add_argument("--networks", nargs="+", default=list(NETWORKS), choices=list(NETWORKS))
    parser.add_argument("--batches", nargs="+", type=int, default=[1, 8, 256])
    parser.add_argument("--peers", nargs="*", default=list(PEERS), choices=list(PEERS))
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--seconds", type=float, default=0.4, help="of a burst")
    parser.add_argument("--check", type=int, default=8, help="compare bytes with the CPU up to this batch; 0: never")
    parser.add_argument("--json")
    parser.add_argument("--markdown")
    options = parser.parse_args()
    if options.rounds < 1 or options.seconds <= 0:
        parser.error("--rounds and --seconds must be above 0")
    if not options.ready and not (options.tool and options.engines):
        parser.error("--tool and --engines are needed, but for --ready")

    if options.peers:
        prepare_compiling(options)
    if options.ready:
        for network in options.networks:
            for batch in options.batches:
                torch_contenders(options, network, batch)
        return
    results = []
    for network in options.networks:
        if options.worker:
            make_engines(options, network)
        for batch in options.batches:
            results.append(measure(options, network, batch))
            say(" | ".join(list(rows(options, results[-1:]))[-1]))  # what is measured is not lost with the rest
            if options.json:
                json.dump(results, open(options.json, "w"))
    text = versions(options.peers) + "\n\n" + "".join(f"| {' | '.join(row)} |\n" for row in rows(options, results))
    print(text, end="")
    if options.markdown:
        open(options.markdown, "w").write(text)


if __name__ == "__main__":
    main()
