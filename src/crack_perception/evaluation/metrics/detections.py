"""Published detections and crack lines as plain data, without ROS messages."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from crack_perception.vision.regions import OrientedBox

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class PublishedRegion:
    """One detected region of cracked concrete.

    Attributes:
        box: Its oriented box in pixels of the original image.
        score: Probability that the region is cracked.
        severity: Severity class, or ``undetermined``.
        width_mm: Crack width in millimetres; None without a scale.
        length_m: Crack length; None without a scale.
        position_m: Position (3,) in the map frame; None without a pose.
        covariance_m2: Covariance (3, 3) of the position; None without a pose.
        seen_at_m: The same point (3,) in the optical frame; None where it is not told: then it is the box's middle.
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
    """All regions of one processed frame; ``stamp_ns`` is the stamp of its image."""

    stamp_ns: int
    regions: tuple[PublishedRegion, ...]

    def cover(self, points_px: FloatArray) -> npt.NDArray[np.bool_]:
        """Which of the points (N, 2) lie in at least one region's box."""
        inside = np.zeros(len(points_px), dtype=bool)
        for region in self.regions:
            inside |= region.box.contains(points_px)
        return inside


@dataclass(frozen=True, eq=False)
class ObservedLine:
    """A crack line as a single frame published it: vertices (M, 3) and covariance (3, 3) of the position, map axes."""

    stamp_ns: int
    line_m: FloatArray
    covariance_m2: FloatArray
