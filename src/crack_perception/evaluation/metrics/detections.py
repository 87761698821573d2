# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Published detections and crack lines as plain data, without ROS messages."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from crack_perception.vision.regions import OrientedBox

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class PublishedRegion:
    """One published region of cracked surface.

    Attributes:
        box: Oriented box in pixels of the original image.
        score: Probability that the region is cracked.
        severity: Severity class, or ``undetermined``.
        width_mm: Crack width in millimetres; None without a scale.
        length_m: Crack length; None without a scale.
        position_m: Position (3,) in the map frame; None without a pose.
        covariance_m2: Covariance (3, 3) of the position; None without a pose.
        seen_at_m: The same point (3,) in the optical frame; None where it is the centre of the box.
    """

    box: OrientedBox
    score: float
    severity: str
    width_mm: float | None = None
    length_m: float | None = None
    position_m: FloatArray | None = None
    covariance_m2: FloatArray | None = None
    seen_at_m: FloatArray | None = None


@dataclass(frozen=True)
class FrameDetections:
    """All regions of one processed frame.

    Attributes:
        stamp_ns: Stamp of its image.
        regions: Its regions.
        lap_offset_ns: Added to the stamp it gives the key of the image; not zero in later laps of a recording that
            loops, whose images have the stamps of the first lap.
    """

    stamp_ns: int
    regions: tuple[PublishedRegion, ...]
    lap_offset_ns: int = 0

    @property
    def key_ns(self) -> int:
        """Key of the image (``SentImage.key_ns``)."""
        return self.stamp_ns + self.lap_offset_ns

    def cover(self, points_px: FloatArray) -> npt.NDArray[np.bool_]:
        """Return which points (N, 2) lie in the box of at least one region, as (N,) bool."""
        inside = np.zeros(len(points_px), dtype=bool)
        for region in self.regions:
            inside |= region.box.contains(points_px)
        return inside


@dataclass(frozen=True, eq=False)
class ObservedLine:
    """Crack line published for a single frame: vertices (M, 3) and position covariance (3, 3) in the map frame."""

    stamp_ns: int
    line_m: FloatArray
    covariance_m2: FloatArray
