# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Photographs of cracks: cut out of the frames that show them better than before, encoded and published.

Whether a frame is worth a photograph is decided after its results are published, from numbers that are known anyway.
What is chosen is encoded in a separate thread. While the next frame waits, no more than a fiftieth of the time is spent
on that: a machine that is always late still gets evidence.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt
from sensor_msgs.msg import CompressedImage

from crack_perception.inspection.evidence import Candidate, candidate_of, lines_of, record
from crack_perception.mapping.evidence.choice import choose
from crack_perception.mapping.evidence.photograph import Photograph
from crack_perception.mapping.evidence.self_describing import with_record
from crack_perception.mapping.evidence.sent_photographs import SentPhotographs
from crack_perception.ros.common.health import Health
from crack_perception.ros.common.stamps import stamp_ns
from crack_perception.ros.detector.image_messages import encoded_message
from crack_perception.ros.detector.parameters import Settings
from crack_perception.ros.detector.processor import ProcessedFrame
from crack_perception.ros.detector.queues import Mailbox
from crack_perception.vision.images.encodings import encode_jpeg
from crack_perception.vision.sharpness import sharpness

_STOP_TIMEOUT_S = 5.0
_MOST_OF_A_FRAME = 3
# A crack is in view for seconds, so that not every frame need be considered.
_INTERVAL_NS = 300_000_000
# A line that was not worth a photograph is not compared again for this long, unless it has become better.
_SETTLED_NS = 1_000_000_000
_MOST_SETTLED = 4096
# With a backlog, time between two photographs as a multiple of the processor time that the first one took.
_PAUSE = 50.0
# The shared memory of Fast DDS has 512 KiB by default; larger messages are slow, or lost.
_MAX_BYTES = 480_000
_LEAST_QUALITY, _QUALITY_STEP = 40, 15
# Sharpness that a photograph is expected to have before it is measured: a running mean.
_FIRST_SHARPNESS = 0.5
_NEW_SHARPNESS_SHARE = 0.2
# Seconds of the permitted rate that may be sent at once.
_BURST_S = 2.0
_LEAST_BURST_BYTES = 2 * _MAX_BYTES


@dataclass(frozen=True)
class PhotographFigures:
    """Counters for the diagnostics since activation.

    Attributes:
        sent: Photographs that were published.
        sent_bytes: Their size.
        skipped: Photographs that were worth it, but not taken: the next frame waited, or the rate was reached.
        blurred: Photographs that turned out to be no improvement when their sharpness was measured.
    """

    sent: int = 0
    sent_bytes: int = 0
    skipped: int = 0
    blurred: int = 0


class PhotographPublisher(Protocol):
    """Where photographs go."""

    def is_open(self) -> bool:
        """Return whether ROS still accepts messages."""
        ...

    def photograph_viewers(self) -> int:
        """Return the number of subscribers."""
        ...

    def publish_photograph(self, message: CompressedImage) -> None:
        """Publish a photograph."""
        ...


class Photographer:
    """Take photographs of the cracks of frames.

    Args:
        publisher: Where they go.
        source: Name of the node.
        model, model_sha256: Of the recognition model.
        has_backlog: Return whether a frame waits.
        health: Fault counters.
    """

    def __init__(
        self,
        publisher: PhotographPublisher,
        source: str,
        model: str,
        model_sha256: str,
        has_backlog: Callable[[], bool],
        health: Health,
    ) -> None:
        self._publisher = publisher
        self._source = source
        self._model, self._model_sha256 = model, model_sha256
        self._has_backlog = has_backlog
        self._health = health
        self._sent = SentPhotographs()
        self._chosen: Mailbox[list[Candidate[ProcessedFrame]]] = Mailbox()
        self._thread = threading.Thread(target=self._work, name="crack_photographs", daemon=True)
        # Rough place and value of a line -> stamp of the frame in which it was not worth a photograph.
        self._refused: dict[tuple[int, ...], int] = {}
        self._viewers = 0
        self._turn = 0
        self._considered_ns = -_INTERVAL_NS
        self._sharpness = _FIRST_SHARPNESS
        self._paused_until_s = 0.0
        self._credit_bytes, self._credit_s = float(_LEAST_BURST_BYTES), time.monotonic()
        self._counting = threading.Lock()
        self.figures = PhotographFigures()

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Finish the photograph in progress, then end the thread."""
        self._chosen.close()
        if self._thread.is_alive():
            self._thread.join(_STOP_TIMEOUT_S)

    def consider(self, result: ProcessedFrame) -> None:
        """Choose what is worth a photograph in a frame; return at once."""
        if not result.settings.evidence or result.pose is None or not result.detections:
            return
        viewers = self._publisher.photograph_viewers()
        if viewers > self._viewers:
            self._sent.clear()  # the new one has none of them
            self._refused.clear()
        self._viewers = viewers
        if not viewers:
            return
        stamp = stamp_ns(result.header.stamp)
        if 0 <= stamp - self._considered_ns < _INTERVAL_NS:
            return
        self._considered_ns = stamp
        self._turn += 1
        worth: list[tuple[int, float, Candidate[ProcessedFrame]]] = []
        height, width = result.frame.shape[:2]
        for line in lines_of(result, self._turn):
            key = line.rough_key(width, height)
            if 0 <= stamp - self._refused.get(key, -_SETTLED_NS) < _SETTLED_NS:
                continue
            each = candidate_of(result, line)
            if each is None:
                continue
            view = each.view(self._sharpness, stamp)
            near = self._sent.near(view)
            if choose(near, view).is_kept:
                worth.append((len(near), -view.value, each))
            else:
                self._note_refused(key, stamp)
        if worth:
            worth.sort(key=lambda item: item[:2])  # what has no photograph yet comes first
            if self._chosen.put([each for _, _, each in worth[:_MOST_OF_A_FRAME]]):
                self._count(skipped=1)

    def _note_refused(self, key: tuple[int, ...], stamp: int) -> None:
        if len(self._refused) >= _MOST_SETTLED:
            self._refused.clear()
        self._refused[key] = stamp

    def _work(self) -> None:
        while (chosen := self._chosen.take()) is not None:
            for candidate in chosen:
                try:
                    self._take(candidate)
                except Exception as error:  # one photograph must not end the others
                    if not self._publisher.is_open():  # the process is ending
                        return
                    self._health.report(
                        "photograph", f"A photograph was not taken, please report it: {type(error).__name__}: {error}"
                    )

    def _take(self, candidate: Candidate[ProcessedFrame]) -> None:
        """Take a photograph if the load and the data rate allow it."""
        settings = candidate.result.settings
        now_s = time.monotonic()
        rate = settings.evidence_max_bytes_s
        burst = max(_BURST_S * rate, _LEAST_BURST_BYTES)
        self._credit_bytes = min(self._credit_bytes + (now_s - self._credit_s) * rate, burst)
        self._credit_s = now_s
        if self._credit_bytes < 0.0 or (self._has_backlog() and now_s < self._paused_until_s):
            self._count(skipped=1)
            return
        began_s = time.thread_time()
        self._photograph(candidate)
        self._paused_until_s = time.monotonic() + _PAUSE * (time.thread_time() - began_s)

    def _photograph(self, candidate: Candidate[ProcessedFrame]) -> None:
        """Measure the sharpness of a photograph, encode and publish it."""
        settings = candidate.result.settings
        found = sharpness(candidate.around_line)
        self._sharpness += _NEW_SHARPNESS_SHARE * (found - self._sharpness)
        stamp = stamp_ns(candidate.result.header.stamp)
        view = candidate.view(found, stamp)
        if not self._sent.wants(view):
            self._count(blurred=1)
            return
        photograph = record(candidate, found, stamp, self._source, self._model, self._model_sha256)
        data = _encoded(candidate.picture, photograph, settings)
        self._publisher.publish_photograph(encoded_message(data, candidate.result.header))
        self._sent.add(view)
        self._credit_bytes -= len(data)
        self._count(sent=1, sent_bytes=len(data))

    def _count(self, sent: int = 0, sent_bytes: int = 0, skipped: int = 0, blurred: int = 0) -> None:
        with self._counting:
            before = self.figures
            self.figures = PhotographFigures(
                before.sent + sent, before.sent_bytes + sent_bytes, before.skipped + skipped, before.blurred + blurred
            )


def _encoded(picture: npt.NDArray[np.uint8], photograph: Photograph, settings: Settings) -> bytes:
    """Return the JPEG with its record, at less quality where it would be too large."""
    quality = settings.evidence_quality
    while True:
        jpeg = encode_jpeg(picture, quality).tobytes()
        if len(jpeg) <= _MAX_BYTES or quality <= _LEAST_QUALITY:
            return with_record(jpeg, photograph)
        quality = max(quality - _QUALITY_STEP, _LEAST_QUALITY)
