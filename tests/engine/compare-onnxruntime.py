#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Compares float results with ONNX Runtime's, on random images.

    compare-onnxruntime.py RUN_MODEL MODEL.onnx ...

RUN_MODEL is the program built from run-model.c. Prints the largest difference relative to the
largest output of each model; exits 1 where it exceeds 1e-4 (sums of thousands of products, in
another order). Not part of the test suite: it needs `pip install onnx onnxruntime`.
"""
import os
import subprocess
import sys

import numpy as np
import onnxruntime

TOLERANCE = 1e-4


def image(h, w, c):
    """Smooth and noisy parts: of noise alone, deep networks make nothing."""
    rng = np.random.default_rng(1)
    y, x = np.mgrid[0:h, 0:w]
    smooth = np.stack([np.sin(x / (5 + k)) + np.cos(y / (7 + k)) for k in range(c)], -1)
    return (smooth + 0.5 * rng.standard_normal((h, w, c))).astype(np.float32)


def compare(run_model, path):
    shape = subprocess.run([run_model, path], capture_output=True, text=True)
    if shape.returncode:
        return None, shape.stderr.strip()
    h, w, c, classes = map(int, shape.stdout.split())
    x = image(h, w, c)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    model_input = session.get_inputs()[0]
    nchw = model_input.shape[1] in (1, 3, 4)
    batch = model_input.shape[0] if isinstance(model_input.shape[0], int) else 1
    one = x.transpose(2, 0, 1) if nchw else x
    expected = session.run(None, {model_input.name: np.stack([one] * max(batch, 1))})[0]
    expected = expected.reshape(max(batch, 1), -1)[0]
    worst = 0
    for backend in os.environ.get("BACKENDS", "ref cpu").split():
        run = subprocess.run([run_model, path, backend], input=x.tobytes(), capture_output=True)
        if run.returncode:
            return None, run.stderr.decode().strip()
        result = np.frombuffer(run.stdout, np.float32)
        if result.shape != expected.shape:
            return None, f"{result.shape} outputs, expected {expected.shape}"
        worst = max(worst, np.abs(result - expected).max() / max(np.abs(expected).max(), 1e-9))
    return worst, f"{classes} outputs, largest {np.abs(expected).max():.4g}"


def main():
    failed = 0
    for path in sys.argv[2:]:
        worst, text = compare(sys.argv[1], path)
        name = os.path.basename(path)
        if worst is None:
            print(f"refused  {name}: {text}")
            continue
        failed += not worst <= TOLERANCE
        print(f"{'ok' if worst <= TOLERANCE else 'DIFFERS':8} {name}: {worst:.2e} ({text})")
    return failed > 0


if __name__ == "__main__":
    sys.exit(main())
