# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Distance to the surface from a rangefinder over time and from registered depth images."""

from __future__ import annotations

import bisect
import math
import threading
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from crack_perception.geometry.poses.history import StampedHistory

# With more points a fit is limited by the flatness of the surface, and undistorting them takes milliseconds.
_MAX_DEPTH_POINTS = 1000
_HISTORY_S = 5.0
# No camera focuses on a surface nearer than this [m].
LEAST_RANGE_M = 0.03
# Units that sensors and drivers use instead of metres. A range below half a metre is not flown.
_SMALLER_UNITS = (("millimetres", 1e-3), ("centimetres", 1e-2))
_USUAL_RANGE_M = 0.5
# Sensors without an echo report their limit, some of them rounded.
_AT_LIMIT = 1e-4
# A reading with a larger relative standard deviation carries no information.
_MOST_RELATIVE_SIGMA = 0.5
# Wider beams (rad) report the nearest obstacle in them, not the surface on the optical axis.
_WIDEST_BEAM_RAD = 0.8
# Value of a saturated pixel of 16 bits, and what it becomes where a driver has converted millimetres to metres.
_SATURATED_DEPTH = 65535
_SATURATED_DEPTH_M = np.float32(65.535)
# A sensor reports its limit for pixels without an echo: one value for many of them, far behind all others. Noise and
# tilt give a real surface several values.
_LEAST_LIMIT_SHARE, _LEAST_LIMIT_PIXELS, _LEAST_LIMIT_GAP = 0.01, 16, 1.5
# A beam that deviates more from the axis of its scanner is no range along that axis.
_MOST_DEVIATION_RAD = math.radians(3.0)
_UNITS_PER_METRE = {"16UC1": 1000.0, "mono16": 1000.0, "32FC1": 1.0}
"""Unit of a depth image by its encoding (REP 118)."""


class ImplausibleRange(ValueError):
    """Range or depth at which no crack can be photographed; the text asks for the likely cause."""


class RangeUnavailable(Exception):
    """No range is available for a stamp; the text gives the reason."""


@dataclass(frozen=True)
class RangeReading:
    """Distance along the optical axis, with its source.

    Attributes:
        range_m: Metres along the optical axis to a point of the surface.
        sigma_m: Standard deviation in metres.
        source: ``depth``, ``range``, ``range+surface`` (surface learnt in flight), ``map_plane`` or ``standoff``.
    """

    range_m: float
    sigma_m: float
    source: str


def _unit_question(range_m: float) -> str:
    """Question after the unit of a range that is too long in metres."""
    unit = next((name for name, size in _SMALLER_UNITS if range_m * size >= _USUAL_RANGE_M), "millimetres")
    return f"is it in {unit}?"


def check_plausible(range_m: float, farthest_m: float) -> None:
    """Check that a range can be the distance of an inspected surface.

    Raises:
        ImplausibleRange: The range exceeds the longest plausible range, or is nearer than a camera can focus.
    """
    if math.isfinite(range_m) and range_m > farthest_m:
        raise ImplausibleRange(f"the range is {range_m:g} m, more than {farthest_m:g} m: {_unit_question(range_m)}")
    if 0 < range_m < LEAST_RANGE_M:
        raise ImplausibleRange(f"the range is {range_m:g} m: is it in kilometres, or that of another sensor?")


def check_range(range_m: float, min_range_m: float, max_range_m: float) -> None:
    """Check that a rangefinder's reading is a measurement; the arguments are as in sensor_msgs/Range.

    A reading at a limit is not a measurement: many sensors report the limit without an echo or for objects that are too
    near (REP 117 has infinities for both). Limits that are not finite or do not ascend count as unknown.

    Raises:
        ValueError: The reading is not a measurement.
    """
    limits = f"{round(min_range_m, 4)}..{round(max_range_m, 4)} m"
    has_limits = math.isfinite(min_range_m) and max_range_m > min_range_m
    is_within = not has_limits or min_range_m <= range_m <= max_range_m
    if not (math.isfinite(range_m) and range_m > 0 and is_within):
        raise ValueError(f"range {range_m:g} m is outside the sensor's limits {limits}")
    if has_limits and not min_range_m * (1 + _AT_LIMIT) < range_m < max_range_m * (1 - _AT_LIMIT):
        raise ValueError(f"range {range_m:g} m is one of the sensor's limits {limits}: nothing was measured")


def beam_warning(field_of_view_rad: float) -> str:
    """Return a warning if a rangefinder's beam is too wide to measure on the optical axis; else an empty string."""
    if not field_of_view_rad > _WIDEST_BEAM_RAD:
        return ""
    return (
        f"The rangefinder's field of view is {math.degrees(field_of_view_rad):.0f} degrees: it reports the nearest "
        "obstacle in it. Is 'range' remapped to the rangefinder along the optical axis?"
    )


def forward_beam(angle_min_rad: float, angle_increment_rad: float, count: int) -> int:
    """Return the index of a laser scanner's beam along its forward axis (angle 0, or any number of full turns).

    Args:
        angle_min_rad: Angle of the first beam.
        angle_increment_rad: Angle between two beams; negative for a scanner that turns clockwise.
        count: Number of beams.

    Raises:
        ValueError: No beam lies within 3 degrees of the axis, or the angles are invalid.
    """
    if count < 1:
        raise ValueError("the scan has no beams")
    if not (math.isfinite(angle_min_rad) and math.isfinite(angle_increment_rad)):
        raise ValueError(
            f"the angles of the scan are invalid (from {angle_min_rad:g} in steps of {angle_increment_rad:g})"
        )
    if count > 1 and not 0 < abs(angle_increment_rad) < math.pi:
        raise ValueError(f"the step of the scan's angles is {angle_increment_rad:g} rad")
    angles = angle_min_rad + angle_increment_rad * np.arange(count)
    deviations = np.abs((angles + np.pi) % (2 * np.pi) - np.pi)
    index = int(np.argmin(deviations))
    if deviations[index] > _MOST_DEVIATION_RAD:
        first, last = math.degrees(angles[0]), math.degrees(angles[-1])
        raise ValueError(
            f"no beam of the scan points along its forward axis: they cover {first:.0f} to {last:.0f} degrees, the "
            f"nearest is {math.degrees(deviations[index]):.0f} degrees off"
        )
    return index


@dataclass(frozen=True)
class _Measured:
    """Range and its standard deviation from the driver, 0 if unknown."""

    range_m: float
    sigma_m: float


class RangeBuffer:
    """Recent readings of a rangefinder along the optical axis; thread-safe.

    Args:
        max_age_s: Largest difference between the stamps of an image and its nearest reading [s].
        relative_sigma: Standard deviation as a share of the range.
        floor_sigma_m: Standard deviation at range zero, added in quadrature [m].
    """

    def __init__(self, max_age_s: float, relative_sigma: float, floor_sigma_m: float) -> None:
        self._max_age_ns = int(max_age_s * 1e9)
        self._relative_sigma = relative_sigma
        self._floor_sigma_m = floor_sigma_m
        self._history: StampedHistory[_Measured] = StampedHistory(_HISTORY_S)
        self._lock = threading.Lock()

    @property
    def has_any(self) -> bool:
        """Whether a reading was received since the start or since the clock was set back."""
        with self._lock:
            return bool(self._history.stamps_ns)

    def push(
        self,
        stamp_ns: int,
        range_m: float,
        min_range_m: float,
        max_range_m: float,
        variance_m2: float = 0.0,
    ) -> None:
        """Add a reading; a clock that was set back restarts the history.

        Args:
            stamp_ns: Stamp of the reading.
            range_m, min_range_m, max_range_m: As in ``check_range``.
            variance_m2: Variance of the range, which takes precedence over the configured sigmas; 0 if unknown.

        Raises:
            ValueError: As in ``check_range``, or an invalid or too large variance.
        """
        check_range(range_m, min_range_m, max_range_m)
        if not (math.isfinite(variance_m2) and variance_m2 >= 0):
            raise ValueError(f"range {range_m:g} m has the variance {variance_m2:g} m^2")
        sigma_m = math.sqrt(variance_m2)
        if sigma_m > _MOST_RELATIVE_SIGMA * range_m:
            raise ValueError(f"range {range_m:g} m has a standard deviation of {sigma_m:g} m")
        with self._lock:
            self._history.push(stamp_ns, _Measured(range_m, sigma_m))

    def set_back(self, now_ns: int) -> None:
        """Drop readings from before the clock was set back to ``now_ns``."""
        with self._lock:
            self._history.set_back(now_ns)

    def since(self, after_ns: int, stamp_ns: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
        """Return stamps and ranges [m] (N,) of readings after ``after_ns`` and within ``max_age_s`` of ``stamp_ns``."""
        with self._lock:
            stamps = np.array(self._history.stamps_ns, np.int64)
            ranges = np.array([measured.range_m for measured in self._history.items], np.float64)
        wanted = (stamps > after_ns) & (np.abs(stamps - stamp_ns) <= self._max_age_ns)
        return stamps[wanted], ranges[wanted]

    def at(self, stamp_ns: int) -> RangeReading:
        """Return the range at a stamp: interpolated between close neighbours, else the nearest recent one.

        Raises:
            RangeUnavailable: No reading lies within ``max_age_s``.
        """
        with self._lock:
            stamps, measured = list(self._history.stamps_ns), list(self._history.items)
        if not stamps:
            raise RangeUnavailable("no range has been received")
        after = bisect.bisect_left(stamps, stamp_ns)
        near = [i for i in (after - 1, after) if 0 <= i < len(stamps) and abs(stamps[i] - stamp_ns) <= self._max_age_ns]
        if not near:
            age_ms = min(abs(stamp_ns - s) for s in stamps) / 1e6
            raise RangeUnavailable(
                f"the nearest range is {age_ms:.0f} ms from the image, more than {self._max_age_ns / 1e6:.0f} ms"
            )
        later_ns = [stamps[i] - stamps[0] for i in near]
        range_m = float(np.interp(stamp_ns - stamps[0], later_ns, [measured[i].range_m for i in near]))
        sigma_m = float(np.interp(stamp_ns - stamps[0], later_ns, [measured[i].sigma_m for i in near]))
        sigma_m = sigma_m or math.hypot(self._floor_sigma_m, self._relative_sigma * range_m)
        return RangeReading(range_m, sigma_m, "range")


def depth_in_metres(
    depth: npt.NDArray[np.generic], encoding: str, unit_m: float = 0.0, farthest_m: float = math.inf
) -> npt.NDArray[np.float32]:
    """Convert a depth image (H, W) to metres, NaN for holes (REP 118: 16UC1 is mm, 32FC1 is m).

    A pixel is a hole if its value is 0, negative, NaN, infinite, saturated, or farther than plausible. Saturated are
    65535 and, in metres, 65.535, and a maximum that many pixels share if all others are much nearer.

    Args:
        depth: Values as stored in the message.
        encoding: Encoding of the message.
        unit_m: Unit of the values [m]; 0 uses that of the encoding.
        farthest_m: Longest plausible depth [m].

    Raises:
        ImplausibleRange: Most values are farther than plausible, or nearer than a camera can focus.
        ValueError: The encoding is unknown.
    """
    if encoding not in _UNITS_PER_METRE:
        raise ValueError(
            f"depth encoding '{encoding}' is not supported; supported are 16UC1 (millimetres) and 32FC1 (metres)"
        )
    metres = depth.astype(np.float32) / np.float32(1.0 / unit_m if unit_m else _UNITS_PER_METRE[encoding])
    # NaN compares false, and infinity exceeds the largest float.
    is_usable = (metres >= LEAST_RANGE_M) & (metres <= min(farthest_m, float(np.finfo(np.float32).max)))
    is_saturated = depth == _SATURATED_DEPTH
    if depth.dtype != np.uint16:
        is_saturated |= np.abs(metres - _SATURATED_DEPTH_M) < 5e-5
    is_usable &= ~is_saturated
    if 2 * np.count_nonzero(is_usable) < depth.size:
        is_rejected = ~is_usable & ~is_saturated & np.isfinite(metres) & (metres > 0)
        _check_depth(metres[is_rejected], int(np.count_nonzero(is_usable)), farthest_m)
    metres[~is_usable] = np.nan
    _remove_limit(metres)
    return metres


def _remove_limit(metres: npt.NDArray[np.float32]) -> None:
    """Replace the values (H, W) at a limit of the sensor by NaN: a shared maximum far behind all others."""
    limit_m = np.fmax.reduce(metres, axis=None)
    is_at_limit = metres == limit_m
    count = np.count_nonzero(is_at_limit)
    if count < max(_LEAST_LIMIT_PIXELS, _LEAST_LIMIT_SHARE * metres.size):
        return
    others = metres[metres < limit_m]
    if others.size and others.max() * _LEAST_LIMIT_GAP < limit_m:
        metres[is_at_limit] = np.nan


def _check_depth(unusable_m: npt.NDArray[np.float32], usable: int, farthest_m: float) -> None:
    """Check that rejected values (N,) [m] do not outnumber the usable ones because of a wrong unit.

    Raises:
        ImplausibleRange: Most values are too far, or too near.
    """
    far, near = unusable_m[unusable_m > farthest_m], unusable_m[unusable_m < LEAST_RANGE_M]
    measured = usable + len(far) + len(near)
    remedy = "Set depth_unit_m to the size of one unit in metres"
    if 2 * len(far) > measured:
        raise ImplausibleRange(
            f"most of it is farther than {farthest_m:g} m (median {np.median(far):g} m): "
            f"{_unit_question(float(np.median(far)))} {remedy}"
        )
    if 2 * len(near) > measured:
        raise ImplausibleRange(
            f"most of it is nearer than {LEAST_RANGE_M:g} m (median {np.median(near):g} m): is it in metres? {remedy}"
        )


def check_registered(depth_size_px: tuple[int, int], image_size_px: tuple[int, int]) -> None:
    """Check that a depth image (width, height) can be registered to the colour image, at any scale.

    Raises:
        ValueError: The aspect ratios differ, so that it shows another part of the scene.
    """
    # Rounding a scaled side to whole pixels changes it by less than one.
    least = max((depth - 1) / image for depth, image in zip(depth_size_px, image_size_px, strict=True))
    most = min((depth + 1) / image for depth, image in zip(depth_size_px, image_size_px, strict=True))
    if least >= most:
        raise ValueError(
            f"its {depth_size_px[0]}x{depth_size_px[1]} px have another aspect ratio than the image's "
            f"{image_size_px[0]}x{image_size_px[1]} px; publish depth that is registered to the colour image"
        )


def check_same_frame(depth_frame: str, camera_frame: str) -> None:
    """Check that a depth image has the frame of the colour image; an empty frame_id counts as unknown.

    Raises:
        ValueError: The frames differ, so that the pixels do not correspond.
    """
    depth_frame, camera_frame = depth_frame.lstrip("/"), camera_frame.lstrip("/")
    if depth_frame and camera_frame and depth_frame != camera_frame:
        raise ValueError(
            f"its frame is '{depth_frame}' but the image's is '{camera_frame}'; publish depth that is registered to "
            "the colour image, in its frame"
        )


def depth_points(
    depth_m: npt.NDArray[np.float32], polygon_px: npt.NDArray[np.float64], image_size_px: tuple[int, int]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return pixels (N, 2) of the colour image inside a polygon and their depths (N,), at most about 1,000.

    Args:
        depth_m: Registered depth (h, w) in metres, NaN for holes; may be smaller than the colour image.
        polygon_px: Corners (M, 2) in pixels of the colour image.
        image_size_px: (width, height) of the colour image.
    """
    height, width = depth_m.shape
    scale = np.array([width / image_size_px[0], height / image_size_px[1]])
    # Pixel centres are integers, so scaling is about the image corner at (-0.5, -0.5).
    corners = (np.asarray(polygon_px) + 0.5) * scale - 0.5
    mask = np.zeros(depth_m.shape, np.uint8)
    cv2.fillConvexPoly(mask, np.round(corners).astype(np.int32), 1)
    rows, columns = np.nonzero(mask.astype(bool) & np.isfinite(depth_m))
    # Thinned in both directions: every n-th sample alone could come from a single column, which does not span a plane.
    spacing = max(1, math.ceil(math.sqrt(len(rows) / _MAX_DEPTH_POINTS)))
    if spacing > 1:
        kept = ((rows - rows.min()) % spacing == 0) & ((columns - columns.min()) % spacing == 0)
        rows, columns = rows[kept], columns[kept]
    pixels = (np.column_stack([columns, rows]) + 0.5) / scale - 0.5
    return pixels, depth_m[rows, columns].astype(np.float64)
