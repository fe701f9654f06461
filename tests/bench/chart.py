# SPDX-License-Identifier: LGPL-2.1-or-later
"""The report of run.py as one SVG chart: speed, ONNX Runtime's FP32 being 1, a panel for each table."""

import math
from xml.sax.saxutils import escape

import table

BARS = {"int8": "#c0392b", "openvino-int8": "#2e6da4", "ort-int8": "#5a9e5a",
        "fp32": "#e6a49c", "openvino-fp32": "#a3c1dd", "ort-fp32": "#b5d6b5"}
LABELS = table.NAMES | {"int8": "gst-int8 INT8", "fp32": "gst-int8 FP32", "ort-int8": "ONNX Runtime INT8",
                        "ort-fp32": "ONNX Runtime FP32"}
BASE = "ort-fp32"
BAR, GAP, LEFT, HEIGHT = 13, 18, 46, 200


def text(x, y, words, anchor="middle", size=12, more=""):
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="{size}"{more}>{escape(words)}</text>'


def panel(results, bars, top, title):
    group = BAR * len(bars) + GAP
    speeds = [[table.ratio(r, bar, BASE) for bar in bars] for r in results]
    limit = max(math.ceil(max(v for row in speeds for v in row)), 2)
    step = max(1, math.ceil(limit / 6))

    def height(value):
        return HEIGHT * value / limit

    base = top + HEIGHT
    out = [text(LEFT, top - 10, title, "start", 13, ' font-weight="bold"')]
    for tick in range(0, limit + 1, step):
        y = base - height(tick)
        out.append(f'<line x1="{LEFT}" x2="{LEFT + group * len(results)}" y1="{y:.1f}" y2="{y:.1f}" '
                   f'stroke="{"#555" if tick == 0 else "#ddd"}"/>')
        out.append(text(LEFT - 6, y + 4, f"{tick}x", "end", 11))
    for i, (result, row) in enumerate(zip(results, speeds)):
        left = LEFT + group * i + GAP / 2
        for j, (bar, value) in enumerate(zip(bars, row)):
            x, y = left + BAR * j, base - height(value)
            out.append(f'<rect x="{x:.1f}" y="{y:.1f}" width="{BAR - 1}" height="{height(value):.1f}" '
                       f'fill="{BARS[bar]}"><title>{escape(LABELS[bar])}: {value:.2f}x</title></rect>')
            if bar == "int8":
                out.append(text(x + BAR / 2, y - 3, f"{value:.1f}", size=10))
        out.append(text(left + (group - GAP) / 2, base + 16, result["network"], size=11))
    return out


def svg(report):
    panels = [(key, [r for r in results if BASE in r["seconds"]]) for key, results in table.groups(report)]
    panels = [(key, results) for key, results in panels if results]
    if not panels:
        raise SystemExit("no chart: ONNX Runtime's FP32, which it is drawn against, was not measured")
    bars = [b for b in BARS if all(b in r["seconds"] for _, results in panels for r in results)]
    width = LEFT + 12 + max((BAR * len(bars) + GAP) * len(results) for _, results in panels)
    width = max(width, LEFT + 145 * len(bars))
    top = 84
    body = [text(LEFT, 22, "Speed against ONNX Runtime FP32", "start", 15, ' font-weight="bold"'),
            text(LEFT, 40, f"{report['cpu']}, {report['date']}; higher is better", "start", 11)]
    for (threads, batch), results in panels:
        body += panel(results, bars, top + 20, table.title(threads, batch))
        top += HEIGHT + 70
    for i, bar in enumerate(bars):
        x = LEFT + 145 * i
        body.append(f'<rect x="{x:.1f}" y="52" width="10" height="10" fill="{BARS[bar]}"/>')
        body.append(text(x + 14, 61, LABELS[bar], "start", 11))
    return (f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {top}" width="{width}" height="{top}" '
            f'font-family="sans-serif" fill="#222">\n<rect width="100%" height="100%" fill="#fff"/>\n'
            + "\n".join(body) + "\n</svg>\n")
