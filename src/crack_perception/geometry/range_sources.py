"""How far the surface is: a rangefinder's readings over time, and registered depth images."""

from __future__ import annotations

import bisect
import math
import threading
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from crack_perception.geometry.stamped_history import StampedHistory

# A fit through more is no better than the surface is plane, and undistorting them takes milliseconds.
_MAX_DEPTH_POINTS = 1000
_HISTORY_S = 5.0


class RangeUnavailable(Exception):
    """The range to the surface is not known for this stamp; the text says why."""


@dataclass(frozen=True)
class RangeReading:
    """Distance along the optical axis and where it comes from.

    Attributes:
        range_m: Metres along the optical axis to a point of the surface.
        sigma_m: Standard deviation in metres.
        source: ``depth``, ``range``, ``range+surface`` (with what was learnt in flight), ``map_plane`` or ``standoff``.
    """

    range_m: float
    sigma_m: float
    source: str


class RangeBuffer:
    """Recent readings of a rangefinder that looks along the optical axis.

    Args:
        max_age_s: How far from an image's stamp the nearest reading may lie.
        relative_sigma: Standard deviation as a share of the range.
        floor_sigma_m: Standard deviation at range zero, independent of the other.
    """

    def __init__(self, max_age_s: float, relative_sigma: float, floor_sigma_m: float) -> None:
        self._max_age_ns = int(max_age_s * 1e9)
        self._relative_sigma = relative_sigma
        self._floor_sigma_m = floor_sigma_m
        self._history: StampedHistory[float] = StampedHistory(_HISTORY_S)
        self._lock = threading.Lock()

    @property
    def has_any(self) -> bool:
        """Whether anything was ever received since time began (again)."""
        with self._lock:
            return bool(self._history.stamps_ns)

    def push(self, stamp_ns: int, range_m: float, min_range_m: float, max_range_m: float) -> None:
        """Add a reading; time that is set back restarts the history.

        Raises:
            ValueError: The reading is not a number, not positive or outside the sensor's limits (REP 117).
        """
        upper = max_range_m if max_range_m > min_range_m else np.inf
        if not (np.isfinite(range_m) and range_m > 0 and min_range_m <= range_m <= upper):
            raise ValueError(f"range {range_m} m is outside the sensor's limits {min_range_m}..{max_range_m} m")
        with self._lock:
            self._history.push(stamp_ns, range_m)

    def since(self, after_ns: int, stamp_ns: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
        """Stamps (N,) and ranges (N,) in metres of the readings after one stamp and within ``max_age_s`` of another."""
        with self._lock:
            stamps, ranges = np.array(self._history.stamps_ns, np.int64), np.array(self._history.items, np.float64)
        wanted = (stamps > after_ns) & (np.abs(stamps - stamp_ns) <= self._max_age_ns)
        return stamps[wanted], ranges[wanted]

    def at(self, stamp_ns: int) -> RangeReading:
        """The range at a stamp: interpolated between close neighbours, else the nearest one that is young enough.

        Raises:
            RangeUnavailable: No reading lies within ``max_age_s``.
        """
        with self._lock:
            stamps, ranges = list(self._history.stamps_ns), list(self._history.items)
        if not stamps:
            raise RangeUnavailable("no range has been received")
        after = bisect.bisect_left(stamps, stamp_ns)
        near = [i for i in (after - 1, after) if 0 <= i < len(stamps) and abs(stamps[i] - stamp_ns) <= self._max_age_ns]
        if not near:
            age_ms = min(abs(stamp_ns - s) for s in stamps) / 1e6
            raise RangeUnavailable(
                f"the nearest range is {age_ms:.0f} ms from the image, more than {self._max_age_ns / 1e6:.0f} ms"
            )
        range_m = float(
            np.interp(stamp_ns - stamps[0], [stamps[i] - stamps[0] for i in near], [ranges[i] for i in near])
        )
        return RangeReading(range_m, math.hypot(self._floor_sigma_m, self._relative_sigma * range_m), "range")


def depth_in_metres(depth: npt.NDArray[np.generic], encoding: str) -> npt.NDArray[np.float32]:
    """A depth image (H, W) in metres with NaN where nothing was measured (REP 118: 16UC1 is mm, 32FC1 is m).

    Raises:
        ValueError: Any other encoding.
    """
    if encoding in ("16UC1", "mono16"):
        metres = depth.astype(np.float32) / 1000.0
    elif encoding == "32FC1":
        metres = depth.astype(np.float32)
    else:
        raise ValueError(f"depth encoding '{encoding}' is unknown; 16UC1 (millimetres) and 32FC1 (metres) are")
    metres[~(np.isfinite(metres) & (metres > 0))] = np.nan
    return metres


def check_registered(depth_size_px: tuple[int, int], image_size_px: tuple[int, int]) -> None:
    """Whether a depth image (width, height) can be the colour image at another scale, pixel upon pixel.

    Raises:
        ValueError: Its sides are not in the same proportion, so that it shows another part of the scene.
    """
    # Rounding a scaled side to whole pixels changes it by less than one.
    least = max((depth - 1) / image for depth, image in zip(depth_size_px, image_size_px, strict=True))
    most = min((depth + 1) / image for depth, image in zip(depth_size_px, image_size_px, strict=True))
    if least >= most:
        raise ValueError(
            f"its {depth_size_px[0]}x{depth_size_px[1]} px have other proportions than the image's "
            f"{image_size_px[0]}x{image_size_px[1]} px; publish depth that is registered to the colour image"
        )


def depth_points(
    depth_m: npt.NDArray[np.float32], polygon_px: npt.NDArray[np.float64], image_size_px: tuple[int, int]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Pixels (N, 2) of the colour image and their depths (N,) inside a polygon, about 1,000 of them at most.

    Args:
        depth_m: Registered depth (h, w) in metres, NaN for holes; may be smaller than the colour image.
        polygon_px: Corners (M, 2) in pixels of the colour image.
        image_size_px: (width, height) of the colour image.
    """
    height, width = depth_m.shape
    scale = np.array([width / image_size_px[0], height / image_size_px[1]])
    # Pixel centres are integers, so scaling happens about the image corner at (-0.5, -0.5).
    corners = (np.asarray(polygon_px) + 0.5) * scale - 0.5
    mask = np.zeros(depth_m.shape, np.uint8)
    cv2.fillConvexPoly(mask, np.round(corners).astype(np.int32), 1)
    rows, columns = np.nonzero(mask.astype(bool) & np.isfinite(depth_m))
    # Thinned in both directions: every n-th sample alone could come from a single column, which spans no plane.
    spacing = max(1, math.ceil(math.sqrt(len(rows) / _MAX_DEPTH_POINTS)))
    if spacing > 1:
        kept = ((rows - rows.min()) % spacing == 0) & ((columns - columns.min()) % spacing == 0)
        rows, columns = rows[kept], columns[kept]
    pixels = (np.column_stack([columns, rows]) + 0.5) / scale - 0.5
    return pixels, depth_m[rows, columns].astype(np.float64)
