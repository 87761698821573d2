"""Measures the crack lines inside a frame's cracked regions."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from crack_perception.recognition.frame_detector import CrackRegion
from crack_perception.recognition.line_score import least_strength, line_score
from crack_perception.recognition.measured_region import MeasuredRegion, measured_width
from crack_perception.vision.crack_line import CrackLine
from crack_perception.vision.crack_measurement import crack_line_batches
from crack_perception.vision.scratch import Scratch
from crack_perception.vision.tile_ownership import owned_boxes
from crack_perception.vision.tiling import TileGrid

# What is rather something else is left out: on simulated flights a third of the length that is no crack's, and 3 % of
# that of cracks, all of them thinner than 1.5 px.
_LEAST_LINE_SCORE = 0.5
_LEAST_STRENGTH = least_strength(_LEAST_LINE_SCORE)
_LONGEST_PAUSE_S = 0.2


class RegionMeasurement:
    """Measures region after region while there is time; those left out of one frame come first in the next.

    A crack stays in view for many frames, so that each is measured sooner or later, but a frame full of cracks must not
    make the camera's next frames wait. Regions overlap where their tiles do; what lies there belongs to one of them, so
    that no line is measured twice.
    """

    def __init__(self) -> None:
        self.left_out = 0
        """Regions that were not, or not wholly, measured for want of time, in all frames so far."""
        self._first = 0
        self._turn = 0
        self._last_s = -math.inf
        self._preparation_s = 0.0
        self._scratch = Scratch()

    def measure(
        self,
        frame: npt.NDArray[np.uint8],
        grid: TileGrid,
        regions: Sequence[CrackRegion],
        time_s: float = math.inf,
        is_late: Callable[[], bool] = lambda: False,
    ) -> list[MeasuredRegion]:
        """The regions of a BGR frame (H, W, 3) with their lines and the widths that follow, in the same order.

        Args:
            time_s: When this much time has passed, nothing further is begun, neither a region nor more lines of one,
                and no region before if the last one's lines took longer to be found than is left; some lines of one
                region are measured in any case.
            is_late: Whether the next frame waits already. Then no region is begun either, unless none was measured for
                a fifth of a second: a machine that is always late still measures something, and its map fills.
        """
        end_s = time.monotonic() + time_s
        measured = [MeasuredRegion(crack) for crack in regions]
        boxes: list[npt.NDArray[np.int32]] = []
        for done in range(len(regions)):
            now_s = time.monotonic()
            if (done and now_s + self._preparation_s >= end_s) or (
                now_s < self._last_s + _LONGEST_PAUSE_S and is_late()
            ):
                self.left_out += len(regions) - done
                self._first += done
                return measured
            boxes = boxes or owned_boxes(grid, [crack.region.tiles for crack in regions])
            index = (self._first + done) % len(regions)
            measured[index] = self._measured(frame, boxes[index], regions[index], end_s, must_find=not done)
            self._last_s = time.monotonic()
        self._first = 0
        return measured

    def _measured(
        self,
        frame: npt.NDArray[np.uint8],
        boxes: npt.NDArray[np.int32],
        crack: CrackRegion,
        end_s: float,
        must_find: bool,
    ) -> MeasuredRegion:
        """The region with its lines, or with some of them if the time is over before."""
        lines: list[CrackLine] = []
        is_whole = False
        begun_s = time.monotonic()
        for batch in crack_line_batches(frame, boxes, crack.width_px.width, _LEAST_STRENGTH, self._turn, self._scratch):
            lines += [line for line in batch.lines if line_score(line) >= _LEAST_LINE_SCORE]
            is_whole = batch.is_last
            now_s = time.monotonic()
            if batch.is_preparation:
                self._preparation_s = now_s - begun_s
            if now_s >= end_s and not (must_find and batch.is_preparation):
                break
        if not is_whole:
            self.left_out += 1
            self._turn += 1
        longest_first = tuple(sorted(lines, key=lambda line: -line.length_px))
        return MeasuredRegion(replace(crack, width_px=measured_width(lines) or crack.width_px), longest_first, is_whole)
