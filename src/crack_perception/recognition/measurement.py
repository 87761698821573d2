# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Crack lines inside cracked regions: measured under a time limit, scored, and averaged to a width per region."""

from __future__ import annotations

import functools
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from crack_perception.recognition.frame_detector import CrackRegion
from crack_perception.recognition.severity import WidthEstimate
from crack_perception.vision.lines.line import CrackLine, arc_lengths
from crack_perception.vision.lines.measurement import crack_line_batches
from crack_perception.vision.scratch import Scratch
from crack_perception.vision.tiling import Boxes, TileGrid, owned_boxes

# Strength at which a winding line inside a flagged region is as likely a crack as a row of pores. On simulated flights
# the odds of a crack grow with the third power of the strength.
_EVEN_STRENGTH = 7.5
_ODDS_POWER = 3.0

# The deviation of a line from a smooth curve (a straight line seen through a lens) separates cracks from formwork
# joints, cables and edges. Cracks, simulated and photographed ones, deviate by two hundredths of their length, 98 % of
# them by more than one hundredth, up to a length where they turn back. Joints deviate by the measurement error, a
# fifth of a pixel, whatever their length.
_CRACK_DEVIATION = 0.012
_TURNS_AFTER_PX = 150.0
_JOINT_SHARE = 0.25
_ERROR_PX = 0.1
# Straight cracks exist, so straightness alone decides nothing: a strength of 17 outweighs it, one of 26 for long
# straight lines. Of cracks eight times as straight as usual, 97 % of the length from 1.5 px width on is still accepted,
# and 62 % from 1 to 1.5 px.
_JOINT_LOG_ODDS = -2.5
_MAX_LENGTH_FACTOR = 1.5

_CACHED_LINES = 256

# Lines that are more likely something else are discarded: on simulated flights that removes a third of the length that
# belongs to no crack, and 3 % of the crack length, all of it thinner than 1.5 px.
_MIN_LINE_SCORE = 0.5
_LONGEST_PAUSE_S = 0.2

# Lower limits of the uncertainty of a region's mean width, as a share of it and in pixels. With them two thirds of the
# regions of simulated flights lie inside one standard deviation and nine tenths inside two, from 1 px to 9 px. Most of
# it is not the error of single widths, which is far smaller, but the choice of lines: faint cracks that were not
# measured beside wide ones, or joints that were.
_MIN_LOG_SIGMA = 0.15
_MIN_SIGMA_PX = 0.25


@functools.lru_cache(_CACHED_LINES)
def line_score(line: CrackLine) -> float:
    """Return the probability that a line inside a cracked region is a crack.

    Cached by identity for the lines of the latest frames, since it is needed when a line is measured and again when it
    is published.
    """
    log_odds = _ODDS_POWER * math.log(max(line.strength, 1e-6) / _EVEN_STRENGTH)
    length_factor = min(max(line.length_px / _TURNS_AFTER_PX, 1.0), _MAX_LENGTH_FACTOR)
    log_odds += _JOINT_LOG_ODDS * length_factor * joint_likeness(line)
    return 1.0 / (1.0 + math.exp(-log_odds))


def least_strength(score: float) -> float:
    """Return the strength below which any line scores less than ``score`` (0 to 1, exclusive), whatever its shape."""
    return float(_EVEN_STRENGTH * (score / (1.0 - score)) ** (1.0 / _ODDS_POWER))


def joint_likeness(line: CrackLine) -> float:
    """Return 0 for a line that winds as cracks do, 1 for one as straight as a joint, and values between for both.

    A line of a few pixels is always straight, which is no evidence: it gets 0.
    """
    along = arc_lengths(line.points_px)
    if len(along) < 4 or along[-1] <= 0.0:
        return 0.0
    share = along / along[-1]
    # After removing the mean and two orthonormal directions, no parabola is left in the coordinates.
    slope = share - share.sum() / len(share)
    slope /= math.sqrt(slope @ slope)
    bend = share * share
    bend -= bend.sum() / len(share) + (slope @ bend) * slope
    bend /= max(math.sqrt(bend @ bend), 1e-12)
    x, y = line.points_px.T
    variance = 0.0
    for offsets_px in (x - x.sum() / len(x), y - y.sum() / len(y)):
        offsets_px = offsets_px - (slope @ offsets_px) * slope - (bend @ offsets_px) * bend
        variance += float(offsets_px @ offsets_px) / len(along)
    deviation_px = math.sqrt(variance)
    expected_px = _CRACK_DEVIATION * min(float(along[-1]), _TURNS_AFTER_PX)
    straightness = math.log(expected_px / math.hypot(deviation_px, _ERROR_PX)) / math.log(1.0 / _JOINT_SHARE)
    return min(max(straightness, 0.0), 1.0)


_MIN_STRENGTH = least_strength(_MIN_LINE_SCORE)


@dataclass(frozen=True)
class MeasuredRegion:
    """A cracked region with the lines that were measured in it.

    Attributes:
        crack: The region; its width is the measured one where there is one, else the model's estimate.
        lines: The crack lines, longest first; empty where nothing was, or could be, measured.
        is_measured: Whether the whole region was searched for lines.
    """

    crack: CrackRegion
    lines: tuple[CrackLine, ...] = ()
    is_measured: bool = False


class RegionMeasurement:
    """Measures regions one after the other within a time limit; regions skipped in one frame come first in the next.

    A crack stays in view for many frames, so each is measured sooner or later, but a frame full of cracks must not
    delay the next frames of the camera. Regions overlap where their tiles do; pixels in the overlap belong to exactly
    one region, so that no line is measured twice.
    """

    def __init__(self) -> None:
        self.skipped = 0
        """Regions that were not, or only partly, measured for lack of time, in all frames so far."""
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
        """Measure the lines and widths of the regions of a BGR frame (H, W, 3).

        Args:
            frame: The frame.
            grid: Its tiles.
            regions: Cracked regions of these tiles.
            time_s: Time limit [s]. After it no further region and no further lines of a region are started, nor is a
                region started before it when the search for the last region's lines took longer than what is left.
                Some lines of one region are measured in any case.
            is_late: Whether the next frame is waiting. Then no region is started either, unless nothing was measured
                for 0.2 s: a machine that is always late still measures something, and its map still fills.

        Returns:
            One measured region per region, in the same order.
        """
        end_s = time.monotonic() + time_s
        measured = [MeasuredRegion(crack) for crack in regions]
        boxes: list[Boxes] = []
        for done in range(len(regions)):
            now_s = time.monotonic()
            if (done and now_s + self._preparation_s >= end_s) or (
                now_s < self._last_s + _LONGEST_PAUSE_S and is_late()
            ):
                self.skipped += len(regions) - done
                self._first += done
                return measured
            boxes = boxes or _searched(grid, regions)
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
        """Measure one region; only some of its lines if the time limit is reached."""
        lines: list[CrackLine] = []
        is_whole = False
        started_s = time.monotonic()
        for batch in crack_line_batches(frame, boxes, crack.width_px.width, _MIN_STRENGTH, self._turn, self._scratch):
            lines += [line for line in batch.lines if line_score(line) >= _MIN_LINE_SCORE]
            is_whole = batch.is_last
            now_s = time.monotonic()
            if batch.is_preparation:
                self._preparation_s = now_s - started_s
            if now_s >= end_s and not (must_find and batch.is_preparation):
                break
        if not is_whole:
            self.skipped += 1
            self._turn += 1
        longest_first = tuple(sorted(lines, key=lambda line: -line.length_px))
        return MeasuredRegion(replace(crack, width_px=measured_width(lines) or crack.width_px), longest_first, is_whole)


def _searched(grid: TileGrid, regions: Sequence[CrackRegion]) -> list[Boxes]:
    """Return the disjoint boxes that are searched for the lines of every region."""
    areas = [crack.region.areas for crack in regions]
    located = [boxes for boxes in areas if boxes is not None]
    return located if len(located) == len(areas) else owned_boxes(grid, [crack.region.tiles for crack in regions])


def measured_width(lines: Sequence[CrackLine]) -> WidthEstimate | None:
    """Return the mean width of all lines of a region, weighted by length [px]; None where nothing was measured.

    The model's estimate is not mixed in: on simulated flights the mixture has a larger error (0.38 instead of 0.35 px
    from 1.5 px width up; the model alone 0.56 px), because the model overestimates fine cracks without a larger
    standard deviation.
    """
    if not lines:
        return None
    widths_px = np.concatenate([line.width_px for line in lines])
    sigmas_px = np.concatenate([line.width_sigma_px for line in lines])
    weights = np.concatenate([_vertex_lengths_px(arc_lengths(line.points_px)) for line in lines])
    known = np.isfinite(widths_px) & np.isfinite(sigmas_px) & (weights > 0)
    if not known.any():
        return None
    mean_px = float(np.average(widths_px[known], weights=weights[known]))
    if not mean_px > 0:
        return None
    # Errors along a line are correlated, so the mean is as uncertain as its parts.
    sigma_px = float(np.average(sigmas_px[known], weights=weights[known]))
    relative_sigma = math.hypot(sigma_px, _MIN_SIGMA_PX) / mean_px
    return WidthEstimate(math.log(mean_px), math.hypot(relative_sigma, _MIN_LOG_SIGMA))


def _vertex_lengths_px(along_px: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return the length that each vertex represents (N,): half of each adjacent segment, from arc lengths."""
    middles = np.concatenate([along_px[:1], (along_px[1:] + along_px[:-1]) / 2, along_px[-1:]])
    return np.asarray(middles[1:] - middles[:-1])
