"""A region with its measured lines, and its width from two witnesses: the model's reading and the measurement."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from crack_perception.recognition.detector import CrackRegion
from crack_perception.recognition.severity import WidthEstimate
from crack_perception.vision.crack_line import CrackLine

# What a measured mean width is worth at best, as a standard deviation of its logarithm: the blur and the depth that
# the measurement assumes are the same for every vertex, so that long lines do not average them away.
_MEASURED_LOG_SIGMA_FLOOR = 0.15

# Nobody knows a width better than that; keeps a model that claims certainty from dividing by zero.
_LEAST_LOG_SIGMA = 0.01


@dataclass(frozen=True)
class MeasuredRegion:
    """A cracked region with the lines that were measured in it.

    Attributes:
        crack: The region; its width is the best that model and measurement together can tell.
        lines: The crack lines, longest first; none where nothing was, or could be, measured.
    """

    crack: CrackRegion
    lines: tuple[CrackLine, ...] = ()


def measured_width(lines: Sequence[CrackLine]) -> WidthEstimate | None:
    """The mean width of all lines of a region, weighted by length, in pixels; None where nothing was measured."""
    if not lines:
        return None
    widths_px = np.concatenate([line.width_px for line in lines])
    sigmas_px = np.concatenate([line.width_sigma_px for line in lines])
    steps_px = [np.linalg.norm(np.diff(line.points_px, axis=0), axis=1) for line in lines]
    weights = np.concatenate([np.convolve(steps, [0.5, 0.5]) for steps in steps_px])
    known = np.isfinite(widths_px) & np.isfinite(sigmas_px) & (weights > 0)
    if not known.any():
        return None
    mean_px = float(np.average(widths_px[known], weights=weights[known]))
    if not mean_px > 0:
        return None
    # The errors along a line are alike, so the mean is as uncertain as its parts.
    sigma_px = float(np.average(sigmas_px[known], weights=weights[known]))
    return WidthEstimate(math.log(mean_px), max(_MEASURED_LOG_SIGMA_FLOOR, sigma_px / mean_px))


def combined_width(read: WidthEstimate, measured: WidthEstimate | None) -> WidthEstimate:
    """Both estimates weighted by their precision on the logarithmic scale.

    Where they contradict each other by more than their spreads allow, the spread grows with the contradiction (Birge's
    ratio: the scatter of the witnesses about their mean in units of what they claim, R. T. Birge, Phys. Rev. 40, 1932).
    """
    if measured is None:
        return read
    sigmas = np.maximum([read.log_sigma, measured.log_sigma], _LEAST_LOG_SIGMA)
    precisions = sigmas**-2.0
    mean = float(np.average([read.log_width, measured.log_width], weights=precisions))
    contradiction = (read.log_width - measured.log_width) ** 2 / float(np.sum(sigmas**2))
    sigma = float(precisions.sum() ** -0.5) * math.sqrt(max(1.0, contradiction))
    return WidthEstimate(mean, sigma)
