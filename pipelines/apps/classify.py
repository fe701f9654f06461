#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Classify a video (or a test picture) and print a line per frame.

    classify.py MODEL TABLE [URI]

Reads the metadata GstInt8ClassificationMeta from the buffers, in an appsink's callback.
"""

import sys

import gi

gi.require_version("Gst", "1.0")
from gi.repository import Gst  # noqa: E402


def print_result(sink):
    sample = sink.emit("pull-sample")
    buffer = sample.get_buffer()
    meta = buffer.get_custom_meta("GstInt8ClassificationMeta")
    if meta:
        result = meta.get_structure()
        _, confidence = result.get_double("confidence")
        print(f"{buffer.pts / Gst.SECOND:8.3f} s  {result.get_string('label')}  {100 * confidence:.1f} %")
    return Gst.FlowReturn.OK


def main():
    if len(sys.argv) not in (3, 4):
        sys.exit(__doc__)
    Gst.init(None)
    model, table = sys.argv[1:3]
    source = f'uridecodebin uri="{sys.argv[3]}"' if len(sys.argv) == 4 else "videotestsrc num-buffers=30"
    pipeline = Gst.parse_launch(
        f'{source} ! videoconvert ! int8infer model="{model}" calibration-table="{table}" ! '
        "appsink name=end sync=false emit-signals=true")
    pipeline.get_by_name("end").connect("new-sample", print_result)
    pipeline.set_state(Gst.State.PLAYING)
    message = pipeline.get_bus().timed_pop_filtered(
        Gst.CLOCK_TIME_NONE, Gst.MessageType.EOS | Gst.MessageType.ERROR)
    pipeline.set_state(Gst.State.NULL)
    if message.type == Gst.MessageType.ERROR:
        sys.exit(f"classify: {message.parse_error()[0].message}")


if __name__ == "__main__":
    main()
