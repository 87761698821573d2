# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Threads of crack_node: one scores frames, one classifies and publishes them; two draw images and take photographs.

The executor's thread only stores messages, so that poses and ranges are received while a frame is processed. The newest
frame replaces a waiting one, which bounds the age of the results on a slow machine.

Inference releases Python's global interpreter lock: with a spare core, one frame is scored while the cracks of the
previous one are measured and published (pipeline). On two cores that are shared with the camera driver and the
transport, the pipeline was slower than sequential processing: the rate was a tenth lower and the age a fifth higher.
There, both steps run in one thread.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from crack_perception.cores import usable_cores
from crack_perception.recognition.backends.protocol import InferenceFailed
from crack_perception.ros.common.frame_statistics import FrameStatistics
from crack_perception.ros.common.health import Health
from crack_perception.ros.common.stamps import stamp_ns
from crack_perception.ros.detector.hover_filter import HoverFilter
from crack_perception.ros.detector.image_conversion import ImageInput
from crack_perception.ros.detector.parameters import Settings
from crack_perception.ros.detector.photographer import Photographer, PhotographFigures
from crack_perception.ros.detector.processor import FrameProcessor, ProcessedFrame, ScoredFrame
from crack_perception.ros.detector.publisher import ResultPublisher
from crack_perception.ros.detector.queues import Mailbox, RendezvousQueue
from crack_perception.ros.detector.timing import FrameTiming, LoadControl
from crack_perception.vision.images.encodings import BadImage

_STOP_TIMEOUT_S = 5.0
# An image older than this, or from the future, indicates clocks that disagree rather than a slow pipeline.
_PLAUSIBLE_AGE_MS = (-1000.0, 10_000.0)
_CORES_OF_A_PIPELINE = 3

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(frozen=True)
class _Published:
    """A published frame: its result, and its age [ms] and the monotonic time at publication."""

    result: ProcessedFrame
    age_ms: float
    done_s: float


def can_pipeline() -> bool:
    """Return whether this process may use enough cores for two frames at a time."""
    return usable_cores() >= _CORES_OF_A_PIPELINE


class FrameWorker:
    """Process frames from arrival to publication, in order.

    Args:
        settings: Returns the settings for the next frame.
        clock_ns: Returns the time of the node's clock, which may be simulated.
        is_pipelined: True to score one frame while the previous one is classified and published.
        make_photographer: Makes the part that takes photographs, given a function that returns whether a frame waits.
        collect: Called with every frame after its results are published.
    """

    def __init__(
        self,
        hover_filter: HoverFilter,
        processor: FrameProcessor,
        publisher: ResultPublisher,
        statistics: FrameStatistics,
        health: Health,
        settings: Callable[[], Settings],
        clock_ns: Callable[[], int],
        is_pipelined: bool,
        make_photographer: Callable[[Callable[[], bool]], Photographer],
        collect: Callable[[ScoredFrame, ProcessedFrame], object] | None = None,
    ) -> None:
        self._hover_filter = hover_filter
        self._processor = processor
        self._publisher = publisher
        self._statistics = statistics
        self._health = health
        self._settings = settings
        self._clock_ns = clock_ns
        self._collect = collect
        self._load = LoadControl(is_pipelined, lambda: self._frames.is_waiting, self._has_backlog)
        self._frames: Mailbox[tuple[ImageInput, FrameTiming]] = Mailbox()
        self._scored: RendezvousQueue[ScoredFrame] = RendezvousQueue()
        self._pictures: Mailbox[tuple[ProcessedFrame, str]] = Mailbox()
        self._workers = [threading.Thread(target=self._score_frames, name="crack_model", daemon=True)]
        self._pass_on: Callable[[ScoredFrame], object] = self._finish
        if is_pipelined:
            self._workers.append(threading.Thread(target=self._publish_frames, name="crack_detections", daemon=True))
            self._pass_on = self._scored.put
        self._photographer = make_photographer(self._has_backlog)
        self._painter = threading.Thread(target=self._draw, name="crack_pictures", daemon=True)
        self._stopping = False
        # Start (monotonic clock) of the present step of each thread.
        self._steps_began_s: dict[int, float] = {}

    @property
    def photographs(self) -> PhotographFigures:
        """Counters of photographs."""
        return self._photographer.figures

    def blocked_s(self) -> float:
        """Return the longest time that a step has been processing its present frame [s]; 0 if none is active."""
        now_s = time.monotonic()
        return max((now_s - began_s for began_s in list(self._steps_began_s.values())), default=0.0)

    def start(self) -> None:
        """Start the threads."""
        for thread in (*self._workers, self._painter):
            thread.start()
        self._photographer.start()

    def offer(self, message: ImageInput) -> None:
        """Accept a frame; return at once."""
        now_s = time.monotonic()
        self._statistics.count_received()
        try:
            timing = self._load.note_arrival(now_s)
            rate_hz = self._settings().hover_rate_hz
            is_skipped = self._hover_filter.skips(message.header, self._processor.view, rate_hz, now_s)
        except Exception as error:  # an exception in the executor's thread would end the node
            self._fail("internal", f"A frame failed on arrival, please report it: {type(error).__name__}: {error}")
            return
        if is_skipped:
            self._statistics.count_skipped()
        else:
            self._statistics.count_dropped(self._frames.put((message, timing)))

    def refuse(self, reason: str) -> None:
        """Count a frame that arrived in a state from which no image can be made."""
        self._statistics.count_received()
        self._fail("bad_image", f"A frame was refused: {reason}")

    def stop(self) -> None:
        """Finish the frames in progress, then end the threads."""
        self._stopping = True
        self._statistics.count_dropped(self._frames.close())
        for thread in self._workers:
            thread.join(_STOP_TIMEOUT_S)
        self._pictures.close()
        self._painter.join(_STOP_TIMEOUT_S)
        self._photographer.stop()

    def _score_frames(self) -> None:
        while self._score_next():
            pass
        self._scored.close()

    def _score_next(self) -> bool:
        """Wait for a frame and score it, without keeping a reference to it; return False at the end."""
        arrival = self._frames.take()
        if arrival is None:
            return False
        scored = self._attempt(self._score, arrival)
        if scored is not None:
            self._pass_on(scored)
        return True

    def _publish_frames(self) -> None:
        while (scored := self._scored.take()) is not None:
            self._finish(scored)

    def _has_backlog(self) -> bool:
        """Return whether a frame waits for either step, or the threads must end."""
        return self._stopping or self._scored.is_waiting or self._frames.is_waiting

    def _attempt(self, step: Callable[[Item], Result], item: Item) -> Result | None:
        """Return the result of a step; None if it failed, which is counted and reported."""
        thread = threading.get_ident()
        self._steps_began_s[thread] = time.monotonic()
        try:
            return step(item)
        except BadImage as error:
            self._fail("bad_image", f"A frame was refused: {error}")
        except InferenceFailed as error:
            self._fail("inference", f"Inference failed on a frame: {error}. Check the backend and the model")
        except Exception as error:  # one bad frame must not end the node
            if self._publisher.is_open():
                self._fail("internal", f"A frame failed, please report it: {type(error).__name__}: {error}")
            else:  # the process is ending
                self._statistics.count_failed()
        finally:
            self._steps_began_s.pop(thread, None)
        return None

    def _fail(self, kind: str, text: str) -> None:
        self._statistics.count_failed()
        self._health.report(kind, text)

    def _score(self, arrival: tuple[ImageInput, FrameTiming]) -> ScoredFrame:
        message, timing = arrival
        return self._processor.score(message, self._settings(), timing)

    def _finish(self, scored: ScoredFrame) -> None:
        """Classify, publish and count a frame; a later failure does not make it a failed frame."""
        published = self._attempt(self._publish, scored)
        if published is None:
            return
        processing_ms = scored.timing.processing_s * 1000.0
        self._statistics.count_processed(published.age_ms, processing_ms, published.done_s)
        try:
            self._publisher.publish_times(published.age_ms, processing_ms)
            if self._publisher.wants_pictures():
                self._pictures.put((published.result, _caption(published.result, processing_ms)))
            self._photographer.consider(published.result)
            if self._collect is not None:
                self._collect(scored, published.result)
        except Exception as error:
            if self._publisher.is_open():
                self._health.report("debug_output", f"Work after publishing failed: {type(error).__name__}: {error}")

    def _publish(self, scored: ScoredFrame) -> _Published:
        """Classify and publish a frame."""
        result = self._processor.classify(scored)
        self._publisher.publish_detections(result)
        done_s = scored.timing.finish()
        age_ms = (self._clock_ns() - stamp_ns(result.header.stamp)) / 1e6
        if not _PLAUSIBLE_AGE_MS[0] <= age_ms <= _PLAUSIBLE_AGE_MS[1]:
            self._health.report(
                "clock",
                f"The image's stamp is {abs(age_ms) / 1000.0:.1f} s {'behind' if age_ms > 0 else 'ahead of'} the "
                "node's clock. Have the driver stamp its images, synchronise the clocks, or set use_sim_time when a "
                "bag is played",
            )
        return _Published(result, age_ms, done_s)

    def _draw(self) -> None:
        while (item := self._pictures.take()) is not None:
            try:
                self._publisher.publish_pictures(*item)
            except Exception as error:  # one failed image must not end the thread
                if not self._publisher.is_open():
                    return
                self._health.report("picture", f"An annotated image failed ({type(error).__name__}: {error})")


def _caption(result: ProcessedFrame, processing_ms: float) -> str:
    caption = f"{len(result.detections)} cracked regions, {processing_ms:.0f} ms"
    if result.processed_tiles.all():
        return caption
    return f"{caption}, {np.count_nonzero(result.processed_tiles)} of {len(result.processed_tiles)} tiles processed"
