"""Threads of crack_node: one runs the model, one measures and publishes detections, one draws annotated pictures.

The executor's thread only stores messages, so that poses and ranges are received while a frame is processed. The newest
frame replaces one that waits, which bounds the age of the results on a slow machine. Inference runs outside Python's
lock: with a spare core, one frame is scored while the cracks of the previous one are measured, placed and published. On
two cores, which the camera driver and the transport share, that was measured as slower than one frame after the other,
by a tenth of the rate and a fifth of the age; there both steps run in one thread.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from sensor_msgs.msg import CompressedImage, Image

from crack_perception.cores import usable_cores
from crack_perception.recognition.backends.protocol import InferenceFailed
from crack_perception.ros.common.frame_statistics import FrameStatistics
from crack_perception.ros.common.health import Problems
from crack_perception.ros.detector.camera_infos import stamp_ns
from crack_perception.ros.detector.hover_filter import HoverFilter
from crack_perception.ros.detector.mailbox import Mailbox
from crack_perception.ros.detector.measurement_budget import MeasuringTime
from crack_perception.ros.detector.parameters import Settings
from crack_perception.ros.detector.processor import FrameProcessor, JudgedFrame, ProcessedFrame
from crack_perception.ros.detector.publisher import ResultPublisher
from crack_perception.ros.detector.rendezvous import Handover
from crack_perception.vision.images.encodings import BadImage

_STOP_TIMEOUT_S = 5.0
# An image older than this, or from the future, speaks of clocks that disagree rather than of a slow pipeline.
_PLAUSIBLE_AGE_MS = (-1000.0, 10_000.0)
# A scored frame that had to wait this long shows that measuring is slower than the model.
_BEHIND_S = 0.01

_CORES_OF_A_PIPELINE = 3

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(frozen=True)
class _Judged:
    """A frame between the two steps; when (monotonic) it arrived, and when the first step began and ended."""

    frame: JudgedFrame
    arrived_s: float
    began_s: float
    ended_s: float


@dataclass(frozen=True)
class _Completed:
    """A frame whose findings are published, its age and processing time then, and when (monotonic) that was."""

    result: ProcessedFrame
    age_ms: float
    processing_ms: float
    done_s: float


def can_pipeline() -> bool:
    """Whether this process may use enough cores for two frames at a time."""
    return usable_cores() >= _CORES_OF_A_PIPELINE


class FrameWorker:
    """Processes frames from arrival to publication, in order.

    Args:
        settings: Gives the settings for the next frame.
        clock_ns: The node's clock, which follows simulated time if asked to.
        is_pipelined: Score one frame while the previous one is completed.
    """

    def __init__(
        self,
        hover_filter: HoverFilter,
        processor: FrameProcessor,
        publisher: ResultPublisher,
        statistics: FrameStatistics,
        problems: Problems,
        settings: Callable[[], Settings],
        clock_ns: Callable[[], int],
        is_pipelined: bool,
    ) -> None:
        self._hover_filter = hover_filter
        self._processor = processor
        self._publisher = publisher
        self._statistics = statistics
        self._problems = problems
        self._settings = settings
        self._clock_ns = clock_ns
        self._is_pipelined = is_pipelined
        self._measuring = MeasuringTime()
        self._frames: Mailbox[tuple[Image | CompressedImage, float]] = Mailbox()
        self._judged: Handover[_Judged] = Handover()
        self._pictures: Mailbox[tuple[ProcessedFrame, str]] = Mailbox()
        self._workers = [threading.Thread(target=self._judge_frames, name="crack_model", daemon=True)]
        self._pass_on: Callable[[_Judged], object] = self._finish
        if is_pipelined:
            self._workers.append(threading.Thread(target=self._complete_frames, name="crack_findings", daemon=True))
            self._pass_on = self._judged.give
        self._painter = threading.Thread(target=self._draw, name="crack_pictures", daemon=True)
        self._stopping = False
        # Thread -> when (monotonic) its present step began.
        self._steps_began_s: dict[int, float] = {}

    def blocked_s(self) -> float:
        """How long the step that has taken longest by now has been at work on its frame; 0 if none is."""
        now_s = time.monotonic()
        return max((now_s - began_s for began_s in list(self._steps_began_s.values())), default=0.0)

    def start(self) -> None:
        """Begin to work."""
        for thread in (*self._workers, self._painter):
            thread.start()

    def offer(self, message: Image | CompressedImage) -> None:
        """Hand over a frame; returns at once."""
        now_s = time.monotonic()
        self._statistics.count_received()
        try:
            self._measuring.note_arrival(now_s)
            rate_hz = self._settings().hover_rate_hz
            is_skipped = self._hover_filter.leaves_out(message.header, self._processor.view, rate_hz, now_s)
        except Exception as error:  # this is the executor's thread: raised here, it would end the node
            self._fail("internal", f"A frame failed on arrival, please report it: {type(error).__name__}: {error}")
            return
        if is_skipped:
            self._statistics.count_skipped()
        else:
            self._statistics.count_dropped(self._frames.put((message, now_s)))

    def stop(self) -> None:
        """Finish the frames in progress and end the threads."""
        self._stopping = True
        self._statistics.count_dropped(self._frames.close())
        for thread in self._workers:
            thread.join(_STOP_TIMEOUT_S)
        self._pictures.close()
        self._painter.join(_STOP_TIMEOUT_S)

    def _judge_frames(self) -> None:
        while self._judge_next():
            pass
        self._judged.close()

    def _judge_next(self) -> bool:
        """Wait for a frame and score it, without keeping a reference to it; False at the end."""
        arrival = self._frames.take()
        if arrival is None:
            return False
        judged = self._attempt(self._judge, arrival)
        if judged is not None:
            self._pass_on(judged)
        return True

    def _complete_frames(self) -> None:
        while (judged := self._judged.take()) is not None:
            self._finish(judged)

    def _attempt(self, step: Callable[[Item], Result], item: Item) -> Result | None:
        """The step's result; None where it failed, which is counted and reported."""
        thread = threading.get_ident()
        self._steps_began_s[thread] = time.monotonic()
        try:
            return step(item)
        except BadImage as error:
            self._fail("bad_image", f"A frame was refused: {error}")
        except InferenceFailed as error:
            self._fail("inference", f"Inference failed on a frame: {error}. Check the backend and the model")
        except Exception as error:  # one frame must never end perception
            if self._publisher.is_open():
                self._fail("internal", f"A frame failed, please report it: {type(error).__name__}: {error}")
            else:  # the process was told to end
                self._statistics.count_failed()
        finally:
            self._steps_began_s.pop(thread, None)
        return None

    def _fail(self, kind: str, text: str) -> None:
        self._statistics.count_failed()
        self._problems.report(kind, text)

    def _judge(self, arrival: tuple[Image | CompressedImage, float]) -> _Judged:
        message, arrived_s = arrival
        began_s = time.monotonic()
        frame = self._processor.judge(message, self._settings(), lambda: self._frames.is_waiting)
        return _Judged(frame, arrived_s, began_s, time.monotonic())

    def _finish(self, judged: _Judged) -> None:
        """Complete a frame and count it; nothing that fails after that makes it a failed one."""
        done = self._attempt(self._complete, judged)
        if done is None:
            return
        self._statistics.count_processed(done.age_ms, done.processing_ms, done.done_s)
        try:
            self._publisher.publish_times(done.age_ms, done.processing_ms)
            if self._publisher.wants_pictures():
                self._pictures.put((done.result, _caption(done.result, done.processing_ms)))
        except Exception as error:
            if self._publisher.is_open():
                self._problems.report("debug_output", f"Times were not published: {type(error).__name__}: {error}")

    def _complete(self, judged: _Judged) -> _Completed:
        now_s = time.monotonic()
        had_to_wait = now_s - judged.ended_s > _BEHIND_S
        # In a pipeline the next frame is scored meanwhile; else it waits for this one to end.
        since_s = judged.ended_s if self._is_pipelined else judged.arrived_s
        spare_s = self._measuring.left_s(since_s, now_s)

        def is_late() -> bool:
            # On an overloaded machine no core is idle: measuring would delay the model too.
            return not spare_s or had_to_wait or self._stopping or self._judged.is_waiting or self._frames.is_waiting

        result = self._processor.complete(judged.frame, is_late, spare_s)
        self._publisher.publish_findings(result)
        done_s = time.monotonic()
        # What was measured beyond its time counts with what follows; what a late frame measures in any case does not.
        must_end_s = now_s + spare_s if spare_s else done_s
        self._measuring.note_closing(done_s - min(self._processor.measured_s, must_end_s))
        processing_ms = (done_s - judged.began_s) * 1000.0
        age_ms = (self._clock_ns() - stamp_ns(result.header.stamp)) / 1e6
        if not _PLAUSIBLE_AGE_MS[0] <= age_ms <= _PLAUSIBLE_AGE_MS[1]:
            self._problems.report(
                "clock",
                f"The image's stamp is {abs(age_ms) / 1000.0:.1f} s {'behind' if age_ms > 0 else 'ahead of'} the "
                "node's clock. Have the driver stamp its images, synchronise the clocks, or set use_sim_time when a "
                "bag is played",
            )
        return _Completed(result, age_ms, processing_ms, done_s)

    def _draw(self) -> None:
        while (item := self._pictures.take()) is not None:
            try:
                self._publisher.publish_pictures(*item)
            except Exception as error:  # a picture must never end the others
                if not self._publisher.is_open():
                    return
                self._problems.report("picture", f"An annotated picture failed ({type(error).__name__}: {error})")


def _caption(result: ProcessedFrame, processing_ms: float) -> str:
    caption = f"{len(result.findings)} cracked regions, {processing_ms:.0f} ms"
    if result.looked.all():
        return caption
    return f"{caption}, {np.count_nonzero(result.looked)} of {len(result.looked)} tiles processed"
