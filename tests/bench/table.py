# SPDX-License-Identifier: LGPL-2.1-or-later
"""The report of run.py as Markdown: one table for each number of threads and batch."""

import math
import statistics

NAMES = {"int8": "INT8", "fp32": "FP32", "ort-int8": "ORT INT8", "ort-fp32": "ORT FP32",
         "openvino-int8": "OpenVINO INT8", "openvino-fp32": "OpenVINO FP32"}
RATIOS = [("int8", "ort-int8"), ("int8", "openvino-int8"), ("fp32", "ort-fp32"), ("fp32", "openvino-fp32"),
          ("int8", "fp32")]


def throughput(result, contender):
    """Images a second, or None."""
    seconds = result["seconds"].get(contender)
    return result["batch"] / statistics.median(seconds) if seconds else None


def ratio(result, a, b):
    """How many times faster a is than b: the median over the alternations, or None."""
    seconds = result["seconds"]
    if a not in seconds or b not in seconds:
        return None
    return statistics.median(y / x for x, y in zip(seconds[a], seconds[b]))


def peak_share(result):
    """Operations a second of the INT8 network, and as a share of the register-only loop's; or Nones."""
    seconds = result["seconds"]
    if "int8" not in seconds:
        return None, None
    speed = result["operations"] / statistics.median(seconds["int8"])
    if "peak" not in seconds:
        return speed, None
    return speed, statistics.median(result["operations"] / x / (result["peak_operations"] / y)
                                    for x, y in zip(seconds["int8"], seconds["peak"]))


def geometric_mean(values):
    values = [v for v in values if v is not None]
    return math.exp(sum(map(math.log, values)) / len(values)) if values else None


def cell(value, form):
    return "-" if value is None else format(value, form)


def ratio_line(result):
    return ", ".join(f"{NAMES[a]}/{NAMES[b]} {cell(ratio(result, a, b), '.2f')}" for a, b in RATIOS)


def rows(results):
    contenders = [c for c in NAMES if any(c in r["seconds"] for r in results)]
    pairs = [p for p in RATIOS if set(p) <= set(contenders)]
    yield ["network", *(NAMES[c] for c in contenders), *(f"{NAMES[a]} / {NAMES[b]}" for a, b in pairs),
           "GOP/s", "of peak"]
    yield ["---"] + ["--:"] * (len(contenders) + len(pairs) + 2)
    for result in results:
        speed, share = peak_share(result)
        yield [result["network"], *(cell(throughput(result, c), ".1f") for c in contenders),
               *(cell(ratio(result, *p), ".2f") for p in pairs),
               cell(speed and speed / 1e9, ".0f"), cell(share, ".0%")]
    yield ["**geometric mean**", *[""] * len(contenders),
           *(cell(geometric_mean(ratio(r, *p) for r in results), ".2f") for p in pairs),
           "", cell(geometric_mean(peak_share(r)[1] for r in results), ".0%")]


def groups(report):
    """(threads, batch) and the results of it, in the order of the report."""
    found = {}
    for result in report["results"]:
        found.setdefault((result["threads"], result["batch"]), []).append(result)
    return found.items()


def title(threads, batch):
    return f"Batch {batch}, {threads} thread{'s' if threads > 1 else ''}"


def peak_line(results):
    peaks = [r["peak_operations"] / statistics.median(r["seconds"]["peak"]) for r in results
             if "peak" in r["seconds"]]
    return f" Peak: {statistics.median(peaks) / 1e9:.0f} GOP/s." if peaks else ""


def markdown(report):
    load = ", ".join(f"{x:.1f}" for x in report["load_before"])
    lines = [f"{report['cpu']}, {report['cpus']} CPUs, {report['date']}; load average before: {load}; "
             f"{report['rounds']} alternations.", "", "Versions: "
             + ", ".join(sorted(set(report["titles"].values()))) + ".",
             "", "Images a second (median), ratios of speed, and INT8 arithmetic."]
    for (threads, batch), results in groups(report):
        others = [r["others_cpus"] for r in results]
        lines += ["", f"### {title(threads, batch)}", "",
                  f"Other processes used {min(others):.1f} to {max(others):.1f} CPUs meanwhile.{peak_line(results)}", ""]
        lines += ["| " + " | ".join(row) + " |" for row in rows(results)]
    return "\n".join(lines)
