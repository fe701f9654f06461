#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""This engine against ONNX Runtime and OpenVINO, on this machine, in one run.

    meson setup build && ninja -C build tests/bench/bench-worker
    python3 -m venv VENV && VENV/bin/pip install -r tests/bench/requirements.txt
    VENV/bin/python tests/bench/run.py --json bench.json --svg bench.svg

Every contender is a process of its own, pinned to the same CPUs. They take turns: a burst of runs each,
in an order that rotates, while all others are stopped (SIGSTOP), so that no idle thread that spins takes
time from who is measured. A time is the median over the alternations; a ratio is the median of the ratios
within one alternation, so that what slows the whole machine for a while cancels out.

Networks have seeded random weights, and all are calibrated on the same random images. What is made
once (models, tables) stays in --work.
"""

import argparse
import importlib.metadata
import json
import os
import signal
import subprocess
import sys
import time

import numpy as np

import chart
import networks
import table

HERE = os.path.dirname(os.path.abspath(__file__))
WORKER = os.path.join(HERE, "..", "..", "build", "tests", "bench", "bench-worker")
CACHE = os.path.join(os.environ.get("XDG_CACHE_HOME", os.path.expanduser("~/.cache")), "gst-int8-bench")
N_IMAGES = 16
CONTENDERS = ["int8", "fp32", "ort-int8", "ort-fp32", "openvino-int8", "openvino-fp32", "peak"]
WARM_UP_RUNS = 3


def say(text):
    print(text, file=sys.stderr, flush=True)


# --- What is made once ----------------------------------------------------------------------------


def make_once(path, command, fresh):
    """Runs command(new path) unless path is there; a broken-off run leaves nothing under path's name."""
    if os.path.exists(path) and not fresh:
        return path
    say(f"making {path}")
    folder, name = os.path.split(path)
    new = os.path.join(folder, "new-" + name)
    command(new)
    for ending in (".bin", ".xml") if name.endswith(".xml") else ("",):
        base = path[:-4] + ending if ending else path
        os.replace(os.path.join(folder, "new-" + os.path.basename(base)), base)
    return path


def make_images(path):
    rng = np.random.default_rng(1)
    rng.normal(0, 1, (N_IMAGES, 224, 224, 3)).astype(np.float32).tofile(path)


def run_peers(*arguments):
    subprocess.run([sys.executable, os.path.join(HERE, "peers.py"), *map(str, arguments)], check=True,
                   stdout=sys.stderr)


def prepare(name, options):
    """The files of one network that the chosen contenders need."""

    def path(ending):
        return os.path.join(options.work, name + ending)

    def model(new):
        net = networks.Net(name)
        net.save(networks.NETWORKS[name](net), new)

    def once(ending, command):
        return make_once(path(ending), command, options.fresh)

    files = {"images": os.path.join(options.work, "images.f32"), "fp32": once(".onnx", model)}
    make_once(files["images"], make_images, False)
    calibration = (files["fp32"], files["images"], N_IMAGES)
    if "int8" in options.contenders:
        files["int8"] = once(".table", lambda new: subprocess.run(
            [options.worker, "calibrate", *map(str, calibration), new], check=True))
    if "ort-int8" in options.contenders:
        version = importlib.metadata.version("onnxruntime")
        files["ort-int8"] = once(f".ort-{version}.onnx",
                                 lambda new: run_peers("quantise", "ort", *calibration, new))
    if "openvino-int8" in options.contenders:
        version = importlib.metadata.version("nncf")
        files["openvino-int8"] = once(f".nncf-{version}.xml",
                                      lambda new: run_peers("quantise", "openvino", *calibration, new))
    return files


def command_of(contender, files, options, threads, batch):
    peers = [sys.executable, os.path.join(HERE, "peers.py"), "serve"]
    command = {
        "int8": lambda: [options.worker, "serve", files["fp32"], files["int8"]],
        "fp32": lambda: [options.worker, "serve", files["fp32"], "-"],
        "ort-int8": lambda: [*peers, "ort", files["ort-int8"]],
        "ort-fp32": lambda: [*peers, "ort", files["fp32"]],
        "openvino-int8": lambda: [*peers, "openvino", files["openvino-int8"]],
        "openvino-fp32": lambda: [*peers, "openvino-f32", files["fp32"]],
        "peak": lambda: [options.worker, "peak"],
    }[contender]()
    command.append(str(threads))
    return command if contender == "peak" else [*command, str(batch), files["images"]]


# --- Taking turns ---------------------------------------------------------------------------------


class Contender:
    """A process that answers "N" with the seconds of N runs; stopped while it is not asked."""

    def __init__(self, name, command, cpus):
        self.name, self.command, self.title = name, command, None
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                                        preexec_fn=lambda: os.sched_setaffinity(0, cpus))

    def answer(self):
        line = self.process.stdout.readline()
        if not line:
            sys.exit(f"{self.name} ended with status {self.process.wait()}: {' '.join(self.command)}")
        return line.strip()

    def wait_ready(self):
        self.title = self.answer().removeprefix("ready ")
        self.process.send_signal(signal.SIGSTOP)

    def time(self, runs, warm_up=0):
        """Seconds a run."""
        self.process.send_signal(signal.SIGCONT)
        for n in [warm_up, runs] if warm_up else [runs]:
            self.process.stdin.write(f"{n}\n")
            self.process.stdin.flush()
            seconds = float(self.answer())
        self.process.send_signal(signal.SIGSTOP)
        return seconds / runs

    def cpu_seconds(self):
        with open(f"/proc/{self.process.pid}/stat") as stat:
            fields = stat.read().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def end(self):
        self.process.send_signal(signal.SIGCONT)
        self.process.stdin.close()
        self.process.wait()


def busy_seconds():
    """Of all CPUs of the machine: user, nice, system, irq, softirq, steal."""
    with open("/proc/stat") as stat:
        ticks = [int(f) for f in stat.readline().split()[1:9]]
    return sum(ticks[i] for i in (0, 1, 2, 5, 6, 7)) / os.sysconf("SC_CLK_TCK")


def alternate(contenders, rounds, burst):
    """Seconds a run, one for each round, of every contender; and how many CPUs other processes used."""
    for contender in contenders:
        contender.wait_ready()
    bursts = {}
    for c in contenders:
        c.time(WARM_UP_RUNS)
        bursts[c.name] = max(1, round(burst / c.time(1)))
    seconds = {c.name: [] for c in contenders}
    start, busy = time.monotonic(), busy_seconds()
    own = sum(c.cpu_seconds() for c in contenders)
    for r in range(rounds):
        shift = r % len(contenders)
        for c in contenders[shift:] + contenders[:shift]:
            runs = bursts[c.name]
            seconds[c.name].append(c.time(runs, warm_up=1 if runs > 1 else 0))
    own = sum(c.cpu_seconds() for c in contenders) - own
    return seconds, (busy_seconds() - busy - own) / (time.monotonic() - start)


def measure(name, files, options, threads, batch):
    cpus = options.cpus[:threads]
    contenders = []
    try:
        for c in options.contenders:
            contenders.append(Contender(c, command_of(c, files, options, threads, batch), cpus))
        seconds, others = alternate(contenders, options.rounds, options.burst)
        result = {"network": name, "threads": threads, "batch": batch, "others_cpus": round(others, 2),
                  "seconds": seconds}
        titles = {c.name: c.title for c in contenders}
        if "peak" in titles:
            result["peak_operations"] = float(titles.pop("peak").split()[0])
        for c in contenders:
            c.end()
        return result, titles
    finally:
        for c in contenders:
            if c.process.poll() is None:
                c.process.kill()


# --- The run --------------------------------------------------------------------------------------


def cpu_model():
    with open("/proc/cpuinfo") as info:
        for line in info:
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return "unknown CPU"


def run(options):
    os.makedirs(options.work, exist_ok=True)
    if "peak" in options.contenders:
        probe = subprocess.run([options.worker, "peak", "1"], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        if probe.returncode:
            say("no peak is measured")
            options.contenders.remove("peak")
    report = {"date": time.strftime("%Y-%m-%d"), "cpu": cpu_model(), "cpus": len(options.cpus),
              "load_before": os.getloadavg(), "rounds": options.rounds, "burst": options.burst,
              "titles": {}, "results": []}
    for name in options.networks:
        files = prepare(name, options)
        operations = networks.operations(files["fp32"])
        for threads in options.threads:
            for batch in options.batches:
                start = time.monotonic()
                result, titles = measure(name, files, options, threads, batch)
                result["operations"] = operations * batch
                report["titles"].update(titles)
                report["results"].append(result)
                say(f"{name}, {table.title(threads, batch).lower()}: {time.monotonic() - start:.0f} s; "
                    f"{table.ratio_line(result)}; others used {result['others_cpus']:.1f} CPUs")
                if options.json:
                    with open(options.json, "w") as out:
                        json.dump(report, out, indent=1)
    return report


def parse():
    def numbers(text):
        return [int(n) for n in text.split(",")]

    cpus = sorted(os.sched_getaffinity(0))
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("networks", nargs="*", metavar="NETWORK",
                        help=f"default: all of {', '.join(networks.NETWORKS)}")
    parser.add_argument("--worker", default=WORKER, help="bench-worker; default: that of the folder build")
    parser.add_argument("--work", default=CACHE, metavar="DIR", help=f"for models; default {CACHE}")
    parser.add_argument("--fresh", action="store_true", help="make the models and tables anew")
    parser.add_argument("--rounds", type=int, default=20, help="alternations; default 20")
    parser.add_argument("--burst", type=float, default=0.05, metavar="SECONDS", help="of a turn; default 0.05")
    parser.add_argument("--batches", type=numbers, default=[1, 16], metavar="N,N", help="default 1,16")
    parser.add_argument("--threads", type=numbers, metavar="N,N",
                        help="default: 1 and all CPUs of this process; with --from-json all that are there")
    parser.add_argument("--contenders", default=",".join(CONTENDERS), metavar="A,B", help="default: %(default)s")
    parser.add_argument("--json", metavar="FILE", help="every sample; written after every measurement")
    parser.add_argument("--svg", metavar="FILE", help="a chart")
    parser.add_argument("--from-json", metavar="FILE", nargs="+", help="measure nothing, show files of --json")
    options = parser.parse_args()
    options.cpus = cpus
    options.shown = options.threads
    options.threads = options.threads or sorted({1, len(cpus)})
    options.networks = options.networks or list(networks.NETWORKS)
    options.contenders = options.contenders.split(",")
    for kind, chosen, known in (("network", options.networks, networks.NETWORKS),
                                ("contender", options.contenders, CONTENDERS)):
        for name in chosen:
            if name not in known:
                parser.error(f"there is no {kind} {name}; there are {', '.join(known)}")
    if not options.from_json and max(options.threads) > len(cpus) or min(options.threads) < 1:
        parser.error(f"--threads must be from 1 to {len(cpus)}, the CPUs of this process")
    if min(options.batches) < 1 or max(options.batches) > N_IMAGES:
        parser.error(f"--batches must be from 1 to {N_IMAGES}")
    if options.rounds < 1 or options.burst <= 0:
        parser.error("--rounds and --burst must be above 0")
    if not options.from_json and not os.access(options.worker, os.X_OK):
        parser.error(f"{options.worker} is not there: ninja -C build tests/bench/bench-worker, or --worker")
    return options


def main():
    options = parse()
    if options.from_json:
        reports = []
        for path in options.from_json:
            with open(path) as file:
                reports.append(json.load(file))
        report = reports[0]
        for other in reports[1:]:
            report["results"] += other["results"]
        shown = options.shown or {r["threads"] for r in report["results"]}
        report["results"] = [r for r in report["results"] if r["threads"] in shown]
    else:
        report = run(options)
    print(table.markdown(report))
    if options.svg:
        with open(options.svg, "w") as out:
            out.write(chart.svg(report))


if __name__ == "__main__":
    main()
