"""A region with its measured lines: what they are worth, and the crack width that follows from them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from crack_perception.recognition.frame_detector import CrackRegion
from crack_perception.recognition.severity import WidthEstimate
from crack_perception.vision.crack_line import CrackLine
from crack_perception.vision.polylines import arc_lengths

# What a measured mean width is worth at best, as a share of it and in pixels. On simulated flights two thirds of the
# regions then lie inside one standard deviation and nine tenths inside two, from 1 px to 9 px. Most of it is not the
# widths' own error, which is far smaller, but which lines a region's mean should hold: faint cracks that were not
# measured beside wide ones, joints that were.
_LEAST_LOG_SIGMA = 0.15
_LEAST_SIGMA_PX = 0.25


@dataclass(frozen=True)
class MeasuredRegion:
    """A cracked region with the lines that were measured in it.

    Attributes:
        crack: The region; its width is the measured one where there is one, else what the model read.
        lines: The crack lines, longest first; none where nothing was, or could be, measured.
        is_measured: Whether it was looked for lines at all.
    """

    crack: CrackRegion
    lines: tuple[CrackLine, ...] = ()
    is_measured: bool = False


def measured_width(lines: Sequence[CrackLine]) -> WidthEstimate | None:
    """The mean width of all lines of a region, weighted by length, in pixels; None where nothing was measured.

    It stands alone: weighted with what the model reads from the tiles it would be further from the truth on simulated
    flights (0.38 instead of 0.35 px from 1.5 px width up; the model alone 0.56 px), because the model reads fine cracks
    too wide and does not say so in its spread.
    """
    if not lines:
        return None
    widths_px = np.concatenate([line.width_px for line in lines])
    sigmas_px = np.concatenate([line.width_sigma_px for line in lines])
    weights = np.concatenate([_length_of_vertices_px(arc_lengths(line.points_px)) for line in lines])
    known = np.isfinite(widths_px) & np.isfinite(sigmas_px) & (weights > 0)
    if not known.any():
        return None
    mean_px = float(np.average(widths_px[known], weights=weights[known]))
    if not mean_px > 0:
        return None
    # The errors along a line are alike, so the mean is as uncertain as its parts.
    sigma_px = float(np.average(sigmas_px[known], weights=weights[known]))
    relative_sigma = math.hypot(sigma_px, _LEAST_SIGMA_PX) / mean_px
    return WidthEstimate(math.log(mean_px), math.hypot(relative_sigma, _LEAST_LOG_SIGMA))


def _length_of_vertices_px(along_px: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Half of what lies between every vertex and its neighbours (N,), given their distances along the line."""
    middles = np.concatenate([along_px[:1], (along_px[1:] + along_px[:-1]) / 2, along_px[-1:]])
    return np.asarray(middles[1:] - middles[:-1])
