# SPDX-License-Identifier: LGPL-2.1-or-later
"""The first table of accuracy.py as one SVG chart: frames that change their class, and the SQNR of the logits."""

import math

from chart import text

COLOURS = {"ours": "#c0392b", "NNCF": "#2e6da4", "ORT Percentile": "#5a9e5a", "ORT MinMax": "#b5d6b5",
           "ORT Entropy": "#8a6d3b"}
LABELS = {"ours": "gst-int8", "ORT Percentile": "ONNX Runtime, Percentile", "ORT MinMax": "ONNX Runtime, MinMax",
          "ORT Entropy": "ONNX Runtime, Entropy"}
BAR, GAP, LEFT, HEIGHT = 20, 22, 46, 150
PANELS = [("Frames that change their class, percent; lower is better", lambda mean: 100 - mean.percent),
          ("SQNR of the logits, dB; higher is better", lambda mean: mean.sqnr)]


def panel(rows, bars, top, title, figure):
    values = [[mean and figure(mean) for mean in (means[bar] for bar in bars)] for means in rows.values()]
    largest = max(v for row in values for v in row if v is not None)
    step = next(s for s in (1, 2, 5, 10, 20) if largest / s <= 8)
    limit = step * max(1, math.ceil(largest / step))
    group, base = BAR * len(bars) + GAP, top + HEIGHT
    out = [text(LEFT, top - 12, title, "start", 13, ' font-weight="bold"')]
    for tick in range(0, limit + 1, step):
        y = base - HEIGHT * tick / limit
        out.append(f'<line x1="{LEFT}" x2="{LEFT + group * len(rows)}" y1="{y:.1f}" y2="{y:.1f}" '
                   f'stroke="{"#555" if tick == 0 else "#ddd"}"/>')
        out.append(text(LEFT - 6, y + 4, str(tick), "end", 11))
    for i, (name, row) in enumerate(zip(rows, values)):
        left = LEFT + group * i + GAP / 2
        for j, (bar, value) in enumerate(zip(bars, row)):
            x, height = left + BAR * j, HEIGHT * max(0, value or 0) / limit
            if value is not None:
                out.append(f'<rect x="{x:.1f}" y="{base - height:.1f}" width="{BAR - 1}" height="{height:.1f}" '
                           f'fill="{COLOURS[bar]}"/>')
            out.append(text(x + BAR / 2, base - height - 3, "fails" if value is None else f"{value:.1f}", size=8))
        out.append(text(left + (group - GAP) / 2, base + 16, name.split(",")[0], size=10))
    return out


def svg(rows, title):
    """rows: means by network and contender."""
    bars = [bar for bar in COLOURS if all(bar in means for means in rows.values())]
    width = LEFT + 12 + max((BAR * len(bars) + GAP) * len(rows), 170 * len(bars))
    body = [text(LEFT, 22, "INT8 beside the float network", "start", 15, ' font-weight="bold"'),
            text(LEFT, 40, title, "start", 11)]
    for i, bar in enumerate(bars):
        x = LEFT + 170 * i
        body.append(f'<rect x="{x:.1f}" y="52" width="10" height="10" fill="{COLOURS[bar]}"/>')
        body.append(text(x + 14, 61, LABELS.get(bar, bar), "start", 11))
    top = 104
    for name, figure in PANELS:
        body += panel(rows, bars, top, name, figure)
        top += HEIGHT + 62
    height = top - 30
    return (f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
            f'font-family="sans-serif" fill="#222">\n<rect width="100%" height="100%" fill="#fff"/>\n'
            + "\n".join(body) + "\n</svg>\n")
