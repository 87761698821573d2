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

from sensor_msgs.msg import CompressedImage

from crack_perception.inspection.evidence import MOST_JPEG_BYTES, Candidate, encoded, record
from crack_perception.inspection.photograph_chooser import PhotographChooser
from crack_perception.mapping.evidence.self_describing import with_record
from crack_perception.ros.common.health import Health
from crack_perception.ros.common.stamps import stamp_ns
from crack_perception.ros.detector.image_messages import encoded_message
from crack_perception.ros.detector.processor import ProcessedFrame
from crack_perception.ros.detector.queues import Mailbox

_STOP_TIMEOUT_S = 5.0
# With a backlog, time between two photographs as a multiple of the processor time that the first one took.
_PAUSE = 50.0
# Seconds of the permitted rate that may be sent at once.
_BURST_S = 2.0
_LEAST_BURST_BYTES = 2 * MOST_JPEG_BYTES


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
        self._chooser = PhotographChooser[ProcessedFrame]()
        self._chosen: Mailbox[list[Candidate[ProcessedFrame]]] = Mailbox()
        self._thread = threading.Thread(target=self._work, name="crack_photographs", daemon=True)
        self._viewers = 0
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
            self._chooser.forget()  # the new one has none of them
        self._viewers = viewers
        if not viewers:
            return
        chosen = self._chooser.candidates(result, stamp_ns(result.header.stamp))
        if chosen and self._chosen.put(chosen):
            self._count(skipped=1)

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
        stamp = stamp_ns(candidate.result.header.stamp)
        found = self._chooser.measured(candidate, stamp)
        if found is None:
            self._count(blurred=1)
            return
        photograph = record(candidate, found.sharpness, stamp, self._source, self._model, self._model_sha256)
        jpeg = encoded(candidate.picture, candidate.result.settings.evidence_quality)
        data = with_record(jpeg, photograph)
        self._publisher.publish_photograph(encoded_message(data, candidate.result.header))
        self._chooser.add(found.view)
        self._credit_bytes -= len(data)
        self._count(sent=1, sent_bytes=len(data))

    def _count(self, sent: int = 0, sent_bytes: int = 0, skipped: int = 0, blurred: int = 0) -> None:
        with self._counting:
            before = self.figures
            self.figures = PhotographFigures(
                before.sent + sent, before.sent_bytes + sent_bytes, before.skipped + skipped, before.blurred + blurred
            )
