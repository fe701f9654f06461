#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Many videos, one network, one process: what each stream shows, how sure the network is, frames a second.

    classify-streams.py --model net.onnx --table net.table rtsp://gate/stream /dev/video0 shop.mp4 test:ball

Every stream has a pipeline of its own: one that fails or ends stops nobody else. Their int8infer elements
have the same instance-id, so that the network is in memory once. Results are read from the metadata
GstInt8ClassificationMeta of every buffer, in a pad probe. It is that of the whole frame; the objects
on a frame are more than Python can go through in GStreamer 1.22: post-messages=true puts each on the bus.
"""

import argparse
import os
import sys
import threading
import time

import gi

gi.require_version("Gst", "1.0")
from gi.repository import GLib, Gst  # noqa: E402

META = "GstInt8ClassificationMeta"


def quote(text):
    """A value in a launch line."""
    return '"' + str(text).replace("\\", "\\\\").replace('"', '\\"') + '"'


def source_line(text, fast):
    """What gives the video: a launch line that ends in raw frames."""
    if text == "test" or text.startswith("test:"):
        live = "" if fast else "is-live=true"
        return f"videotestsrc {live} pattern={quote(text[5:] or 'ball')}"
    if text.startswith("/dev/video"):
        return f"v4l2src device={quote(text)} ! decodebin"
    if not Gst.uri_is_valid(text):
        if not os.path.exists(text):
            sys.exit(f'classify-streams: there is no file "{text}"; --help tells what SOURCE may be')
        text = Gst.filename_to_uri(text)
    return f"uridecodebin uri={quote(text)} caps=video/x-raw(ANY) expose-all-streams=false"  # as source.c


class Stream:
    """A video on its way through the network. The lock guards what its streaming thread writes."""

    def __init__(self, name, args, ended):
        settings = {"instance-id": "classify-streams", "model": args.model}
        settings.update({"calibration-table": args.table} if args.table else {})
        settings.update({"labels": args.labels} if args.labels else {})
        settings.update(setting.partition("=")[::2] for setting in args.set)
        infer = " ".join(f"{key}={quote(value)}" for key, value in settings.items())
        self.name, self.ended = name, ended
        self.playing = self.failed = False
        self.lock = threading.Lock()
        self.frames = self.results = self.reported = 0
        self.label, self.confidence = None, 0.0
        self.pipeline = Gst.parse_launch(
            f"{source_line(name, args.fast)} ! videoconvert ! int8infer {infer} ! "
            f"fakesink name=end sync={not args.fast} num-buffers={args.frames}")
        pad = self.pipeline.get_by_name("end").get_static_pad("sink")
        pad.add_probe(Gst.PadProbeType.BUFFER, self.on_buffer)
        bus = self.pipeline.get_bus()
        bus.add_signal_watch()
        bus.connect("message::error", self.on_error)
        bus.connect("message::eos", lambda bus, message: self.stop())

    def on_buffer(self, pad, info):
        meta = info.get_buffer().get_custom_meta(META)
        with self.lock:
            self.frames += 1
            if meta:
                fields = meta.get_structure()
                self.results += 1
                self.label = fields.get_string("label")
                self.confidence = fields.get_double("confidence").value
        return Gst.PadProbeReturn.OK

    def on_error(self, bus, message):
        error, _ = message.parse_error()
        print(f"classify-streams: {self.name}: {error.message}", file=sys.stderr)
        self.failed = True
        self.stop()

    def play(self):
        self.playing = True
        self.pipeline.set_state(Gst.State.PLAYING)

    def stop(self):
        if self.playing:
            self.playing = False
            self.pipeline.set_state(Gst.State.NULL)
            self.pipeline.get_bus().remove_signal_watch()
            self.ended()

    def report(self, since_start, seconds):
        state = "" if self.playing else "  (failed)" if self.failed else "  (ended)"
        with self.lock:
            fps = (self.frames - self.reported) / seconds
            self.reported = self.frames
            shown = (f"{100 * self.confidence:5.1f} %  {self.label}" if self.label
                     else f"{'-':>7}  {'no class' if self.frames else 'no frame yet'}")
        print(f"{since_start:7.1f} s  {self.name:20} {fps:8.1f} fps  {shown}{state}", flush=True)


def parse_arguments():
    parser = argparse.ArgumentParser(
        description="Classify many videos with one network.", allow_abbrev=False,
        epilog="SOURCE is a file, a URI (rtsp://, http:// ...), a camera (/dev/video0), or a picture of "
               "videotestsrc: test, test:ball ... Default: four test pictures. Ctrl-C ends it.")
    parser.add_argument("--model", required=True, help="the classifier, ONNX")
    parser.add_argument("--table", help="its calibration table; --set precision=fp32 needs none")
    parser.add_argument("--labels", help="names of its classes, one a line")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE",
                        help="a property of int8infer, such as batch-size=4; may come several times")
    parser.add_argument("--period", type=float, default=1, metavar="S",
                        help="seconds from report to report (1)")
    parser.add_argument("--frames", type=int, default=-1, metavar="N", help="end each stream after so many")
    parser.add_argument("--fast", action="store_true",
                        help="files and test pictures as fast as it goes, not at the rate they have")
    parser.add_argument("sources", nargs="*", metavar="SOURCE",
                        default=["test:ball", "test:snow", "test:smpte", "test:circular"])
    args = parser.parse_args()
    if args.period <= 0 or args.frames == 0:
        parser.error("--period and --frames must be above 0")
    return args


def main():
    args = parse_arguments()
    Gst.init(None)
    if not Gst.ElementFactory.find("int8infer"):
        sys.exit("classify-streams: GStreamer has no element int8infer: set GST_PLUGIN_PATH to the folder "
                 "of libgstint8.so")
    loop = GLib.MainLoop()

    def ended():
        if not any(stream.playing for stream in streams):
            loop.quit()

    try:
        streams = [Stream(name, args, ended) for name in args.sources]
    except GLib.Error as error:
        sys.exit(f"classify-streams: {error.message}")
    begun = last = time.monotonic()

    def report():
        nonlocal last
        now = time.monotonic()
        for stream in streams:
            stream.report(now - begun, now - last)
        last = now
        return GLib.SOURCE_CONTINUE

    GLib.timeout_add(int(1000 * args.period), report)
    for stream in streams:
        stream.playing = True
    for stream in streams:
        stream.play()
    try:
        loop.run()
    except KeyboardInterrupt:
        print()
    for stream in streams:
        stream.stop()
    seconds = time.monotonic() - begun
    for stream in streams:
        print(f"{stream.name}: {stream.frames} frames, {stream.results} results, "
              f"{stream.frames / seconds:.1f} frames a second{', failed' if stream.failed else ''}")
    return any(stream.failed for stream in streams)


if __name__ == "__main__":
    sys.exit(main())
