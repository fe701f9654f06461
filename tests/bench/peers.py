#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""ONNX Runtime and OpenVINO as contenders of run.py: their INT8 models, and their side of its protocol.

    peers.py quantise ort|openvino MODEL.onnx IMAGES N OUT
    peers.py serve ort|openvino|openvino-f32 MODEL THREADS BATCH IMAGES

openvino-f32 forbids bfloat16, which OpenVINO otherwise takes on CPUs that have it: for FP32 models.
"serve" prints "ready ..." and then answers every line "N" on standard input with the seconds that N
runs took. IMAGES is float32, NHWC, without a header; both take them as NCHW, transposed before any time
is taken.
"""

import os
import sys
import tempfile
import time

import numpy as np

SIZE = 224


def load_images(path, count):
    images = np.fromfile(path, np.float32, count * 3 * SIZE * SIZE)
    return np.ascontiguousarray(images.reshape(count, SIZE, SIZE, 3).transpose(0, 3, 1, 2))


# --- INT8 models ----------------------------------------------------------------------------------


def quantise_ort(model, images, out):
    """As ONNX Runtime's documentation recommends for x86 with VNNI: QDQ, uint8 activations, int8 weights
    for each channel, no reduced range."""
    from onnxruntime import quantization
    from onnxruntime.quantization.shape_inference import quant_pre_process

    class Reader(quantization.CalibrationDataReader):
        def __init__(self):
            self.feeds = iter([{"data": image[None]} for image in images])

        def get_next(self):
            return next(self.feeds, None)

    with tempfile.TemporaryDirectory() as folder:
        prepared = os.path.join(folder, "prepared.onnx")
        quant_pre_process(model, prepared)
        quantization.quantize_static(
            prepared, out, Reader(), quant_format=quantization.QuantFormat.QDQ, per_channel=True,
            activation_type=quantization.QuantType.QUInt8, weight_type=quantization.QuantType.QInt8,
            calibrate_method=quantization.CalibrationMethod.MinMax)


def quantise_openvino(model, images, out):
    """NNCF's post-training quantisation as it comes."""
    import nncf
    import openvino

    dataset = nncf.Dataset([image[None] for image in images])
    openvino.save_model(
        nncf.quantize(openvino.Core().read_model(model), dataset, subset_size=len(images)), out)


# --- Sessions: a function that runs once, and what to call it --------------------------------------


def session_ort(model, threads, images):
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.add_free_dimension_override_by_name("N", len(images))
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    binding = session.io_binding()
    binding.bind_cpu_input("data", images)
    binding.bind_output("logits", "cpu")
    return lambda: session.run_with_iobinding(binding), f"ONNX Runtime {onnxruntime.__version__}"


def session_openvino(model, threads, images, f32=False):
    import openvino
    from openvino import properties

    core = openvino.Core()
    network = core.read_model(model)
    network.reshape(list(images.shape))
    settings = {
        properties.hint.performance_mode(): properties.hint.PerformanceMode.LATENCY,
        properties.num_streams(): 1,
        properties.inference_num_threads(): threads,
    }
    if f32:
        settings[properties.hint.inference_precision()] = openvino.Type.f32
    compiled = core.compile_model(network, "CPU", settings)
    request = compiled.create_infer_request()
    request.set_input_tensor(openvino.Tensor(images, shared_memory=True))
    return request.infer, f"OpenVINO {openvino.__version__.split('-')[0]}"


def serve(run, title):
    run()
    print(f"ready {title}", flush=True)
    for line in sys.stdin:
        start = time.perf_counter()
        for _ in range(int(line)):
            run()
        print(f"{time.perf_counter() - start:.9f}", flush=True)


def main():
    quantisers = {"ort": quantise_ort, "openvino": quantise_openvino}
    sessions = {"ort": session_ort, "openvino": session_openvino,
                "openvino-f32": lambda *arguments: session_openvino(*arguments, f32=True)}
    command, peer, model, a, b, c = sys.argv[1:] if len(sys.argv) == 7 else [None] * 6
    if command == "quantise" and peer in quantisers:
        quantisers[peer](model, load_images(a, int(b)), c)
    elif command == "serve" and peer in sessions:
        images = load_images(c, int(b))  # neither library keeps a reference to what it reads
        serve(*sessions[peer](model, int(a), images))
    else:
        sys.exit(__doc__)


if __name__ == "__main__":
    main()
