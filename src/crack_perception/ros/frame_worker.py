"""The two threads behind the node: one computes and publishes findings, one draws pictures for whoever looks.

The executor's thread only stores messages, so that poses and ranges keep flowing while a frame is being worked on; the
newest frame replaces one that waits, so that age stays bounded however slow the machine is.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from sensor_msgs.msg import CompressedImage, Image

from crack_perception.recognition.backend import InferenceFailed
from crack_perception.ros.camera_infos import stamp_ns
from crack_perception.ros.frame_processor import FrameProcessor, ProcessedFrame
from crack_perception.ros.frame_statistics import FrameStatistics
from crack_perception.ros.mailbox import Mailbox
from crack_perception.ros.parameters import Settings
from crack_perception.ros.problems import Problems
from crack_perception.ros.result_publisher import ResultPublisher
from crack_perception.vision.encodings import BadImage

_STOP_TIMEOUT_S = 5.0
# An image older than this, or from the future, speaks of clocks that disagree rather than of a slow pipeline.
_PLAUSIBLE_AGE_MS = (-1000.0, 10_000.0)
# A frame that had to wait this long shows that the worker is behind the camera.
_BEHIND_S = 0.02


class FrameWorker:
    """Takes frames, one at a time, from arrival to publication.

    Args:
        settings: Gives the settings for the next frame.
        clock_ns: The node's clock, which follows simulated time if asked to.
    """

    def __init__(
        self,
        processor: FrameProcessor,
        publisher: ResultPublisher,
        statistics: FrameStatistics,
        problems: Problems,
        settings: Callable[[], Settings],
        clock_ns: Callable[[], int],
    ) -> None:
        self._processor = processor
        self._publisher = publisher
        self._statistics = statistics
        self._problems = problems
        self._settings = settings
        self._clock_ns = clock_ns
        self._frames: Mailbox[tuple[Image | CompressedImage, float]] = Mailbox()
        self._pictures: Mailbox[tuple[ProcessedFrame, str]] = Mailbox()
        self._threads = [
            threading.Thread(target=self._work, name="crack_frames", daemon=True),
            threading.Thread(target=self._draw, name="crack_pictures", daemon=True),
        ]

    @property
    def dropped(self) -> int:
        """Frames that a newer one replaced before they were looked at."""
        return self._frames.dropped

    def start(self) -> None:
        """Begin to work."""
        for thread in self._threads:
            thread.start()

    def offer(self, message: Image | CompressedImage) -> None:
        """Hand over a frame; returns at once."""
        self._statistics.count_received()
        self._frames.put((message, time.monotonic()))

    def stop(self) -> None:
        """Finish the frame in hand and end both threads."""
        self._frames.close()
        self._threads[0].join(_STOP_TIMEOUT_S)
        self._pictures.close()
        self._threads[1].join(_STOP_TIMEOUT_S)

    def _work(self) -> None:
        while (item := self._frames.take()) is not None:
            try:
                self._work_on(*item)
            except BadImage as error:
                self._fail("bad_image", f"A frame was refused: {error}")
            except InferenceFailed as error:
                self._fail("inference", f"A frame could not be judged: {error}. Check the backend and the model")
            except Exception as error:  # one frame must never end the flight's perception
                if not self._publisher.is_open():
                    return
                self._fail("internal", f"A frame failed, please report it: {type(error).__name__}: {error}")

    def _fail(self, kind: str, text: str) -> None:
        self._statistics.count_failed()
        self._problems.report(kind, text)

    def _work_on(self, message: Image | CompressedImage, arrived_s: float) -> None:
        began_s = time.monotonic()
        is_behind = began_s - arrived_s > _BEHIND_S
        result = self._processor.process(message, self._settings(), lambda: is_behind or self._frames.is_waiting)
        self._publisher.publish_findings(result)
        done_s = time.monotonic()
        processing_ms = (done_s - began_s) * 1000.0
        age_ms = (self._clock_ns() - stamp_ns(message.header.stamp)) / 1e6
        if not _PLAUSIBLE_AGE_MS[0] <= age_ms <= _PLAUSIBLE_AGE_MS[1]:
            self._problems.report(
                "clock",
                f"The image's stamp is {age_ms / 1000.0:.1f} s behind the node's clock. Have the driver stamp its "
                "images, synchronise the clocks, or set use_sim_time when a bag is played",
            )
        self._statistics.count_processed(age_ms, processing_ms, done_s)
        self._publisher.publish_times(age_ms, processing_ms)
        if self._publisher.wants_pictures():
            self._pictures.put((result, f"{len(result.findings)} cracked regions, {processing_ms:.0f} ms"))

    def _draw(self) -> None:
        while (item := self._pictures.take()) is not None:
            try:
                self._publisher.publish_pictures(*item)
            except Exception as error:  # a picture must never end the others
                if not self._publisher.is_open():
                    return
                self._problems.report("picture", f"An annotated picture failed ({type(error).__name__}: {error})")
