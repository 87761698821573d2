# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Time limits of a frame: tiles and line measurements are skipped where they would delay the camera's next frame."""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable
from statistics import median

_KEPT = 15
_LEAST_INTERVALS = 3
# Quantile of the past closing times that is reserved for closing the present frame.
_QUANTILE = 0.8
# Share of the frame interval that is kept free, because the arrival times of frames vary.
_SLACK = 0.1
# Largest share of the frame interval that is reserved for closing a frame: one delay of the machine must not end all
# measurements.
_MOST_CLOSING = 0.5
# Share that is assumed before the first frame was closed.
_FIRST_CLOSING = 0.1
# Share of the frame interval after which no tile is scored again.
_REFINING_SHARE = 0.5
# A scored frame that waited longer than this indicates that measuring is slower than the model.
_BEHIND_S = 0.01


class LoadControl:
    """Plan the time limits of a stream of frames from the frame interval and the time that closing a frame takes.

    Measuring lines is the one step that can stop at any time. Closing a frame, that is to locate and publish what was
    measured, follows it and must end before the next frame arrives.

    Args:
        is_pipelined: True if one frame is scored while the previous one is measured.
        next_frame_waits: Returns whether a newer frame waits to be scored.
        has_backlog: Returns whether any frame waits, or the threads must end.
    """

    def __init__(
        self,
        is_pipelined: bool = False,
        next_frame_waits: Callable[[], bool] = lambda: False,
        has_backlog: Callable[[], bool] = lambda: False,
    ) -> None:
        self.is_pipelined = is_pipelined
        self.next_frame_waits = next_frame_waits
        self.has_backlog = has_backlog
        self.interval_s = math.inf
        """Median time between frames [s], insensitive to pauses and bursts; infinite until a few frames arrived."""
        self._last_arrival_s: float | None = None
        self._intervals_s: deque[float] = deque(maxlen=_KEPT)
        self._closings_s: deque[float] = deque(maxlen=_KEPT)

    def note_arrival(self, now_s: float) -> FrameTiming:
        """Record the arrival of a frame at ``now_s`` on a monotonic clock; return the timing of this frame."""
        if self._last_arrival_s is not None:
            self._intervals_s.append(now_s - self._last_arrival_s)
        self._last_arrival_s = now_s
        if len(self._intervals_s) >= _LEAST_INTERVALS:
            self.interval_s = median(self._intervals_s)
        return FrameTiming(self, now_s)

    def note_closing(self, seconds: float) -> None:
        """Record the time from the end of measuring to the end of a frame."""
        self._closings_s.append(seconds)

    def left_s(self, since_s: float, now_s: float) -> float:
        """Return the time left for measuring; infinite until the frame interval is known.

        Args:
            since_s: Start of the present frame's interval, on a monotonic clock.
            now_s: Present time on the same clock.
        """
        if self.interval_s == math.inf:
            return math.inf
        closing_s = _FIRST_CLOSING * self.interval_s
        if self._closings_s:
            closing_s = sorted(self._closings_s)[int(_QUANTILE * (len(self._closings_s) - 1))]
        reserve_s = _SLACK * self.interval_s + min(closing_s, _MOST_CLOSING * self.interval_s)
        return max(since_s + self.interval_s - reserve_s - now_s, 0.0)


class FrameTiming:
    """Times and time limits of one frame, from arrival to publication.

    Attributes:
        measuring_s: Time for measuring lines, set by ``begin_measuring``; infinite if there is no limit.
        processing_s: Time from the start of scoring to publication, set by ``finish``.
    """

    def __init__(self, control: LoadControl, arrived_s: float) -> None:
        self._control = control
        self._arrived_s = self._began_s = self._scored_s = self._measured_s = arrived_s
        self._tiles_end_s = self._measuring_end_s = math.inf
        self._had_to_wait = False
        self.measuring_s = math.inf
        self.processing_s = 0.0

    def begin_scoring(self, budget_s: float) -> None:
        """Start the time limit for scoring tiles; 0 means no limit."""
        self._began_s = time.monotonic()
        self._tiles_end_s = self._began_s + (budget_s or math.inf)

    def skips_tiles(self) -> bool:
        """Return whether to skip the remaining tiles: the budget is used up and the next frame waits."""
        return time.monotonic() >= self._tiles_end_s and self._control.next_frame_waits()

    def is_busy(self) -> bool:
        """Return whether to omit work that only refines scores: a frame waits, or half of the interval is used."""
        if self._control.next_frame_waits():
            return True
        return time.monotonic() - self._began_s > _REFINING_SHARE * self._control.interval_s

    def end_scoring(self) -> None:
        """Record the end of scoring."""
        self._scored_s = time.monotonic()

    def begin_measuring(self) -> None:
        """Start the time limit for measuring lines."""
        now_s = time.monotonic()
        self._had_to_wait = now_s - self._scored_s > _BEHIND_S
        # In a pipeline the next frame is scored meanwhile; else it waits for this one to end.
        since_s = self._scored_s if self._control.is_pipelined else self._arrived_s
        self.measuring_s = self._control.left_s(since_s, now_s)
        if self.measuring_s:
            self._measuring_end_s = now_s + self.measuring_s

    def skips_regions(self) -> bool:
        """Return whether to leave the remaining regions to a later frame."""
        # On an overloaded machine no core is idle: measuring would delay the model too.
        return not self.measuring_s or self._had_to_wait or self._control.has_backlog()

    def end_measuring(self) -> None:
        """Record the end of measuring."""
        self._measured_s = time.monotonic()

    def finish(self) -> float:
        """Record the publication of the frame; return its time on a monotonic clock."""
        done_s = time.monotonic()
        # Time beyond the limit of measuring counts as closing, except for regions that were measured despite a backlog.
        self._control.note_closing(done_s - min(self._measured_s, self._measuring_end_s))
        self.processing_s = done_s - self._began_s
        return done_s


class UnlimitedTiming(FrameTiming):
    """Timing of a frame that nothing waits for, as of a recording: all tiles and regions are processed."""

    def __init__(self) -> None:
        super().__init__(LoadControl(), 0.0)

    def skips_tiles(self) -> bool:
        """Return False: no time limit applies."""
        return False

    def begin_measuring(self) -> None:
        """Set no time limit."""
        self.measuring_s = math.inf

    def skips_regions(self) -> bool:
        """Return False: no frame waits."""
        return False
