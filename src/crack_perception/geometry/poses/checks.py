# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Checks of received poses: axes that contradict the ranges, and positions too far from the map's origin.

Poses in the wrong axes (NED for ENU) contradict the range when a downward-looking camera climbs, or when a camera that
looks to the side flies towards a wall. A forward-looking camera gives no evidence, because both conventions predict the
same range along its axis. Only cameras within 20 degrees of the vertical or of the horizontal are evaluated, the latter
while they move along their axis: the direction of the wall is unknown.
"""

from __future__ import annotations

import threading
from collections import deque
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from crack_perception.geometry.poses.history import StampedHistory
from crack_perception.geometry.poses.motion import PoseUnavailable
from crack_perception.geometry.poses.pose import Pose
from crack_perception.geometry.poses.px4 import swap_conventions

Array = npt.NDArray[np.float64]

_SAMPLE_NS = 200_000_000
_LONGEST_STEP_NS = 1_000_000_000
_RANGE_AGE_NS = 60_000_000
_LEAST_VERTICAL = np.cos(np.deg2rad(20.0))
_MOST_HORIZONTAL = np.sin(np.deg2rad(20.0))
# Motion across the axis, as a share of the motion along it, up to which a wall at an angle does not matter.
_MOST_ACROSS = 0.5
_LEAST_PARALLEL = np.cos(np.deg2rad(3.0))
_EVIDENCES = 20
_LEAST_EVIDENCES = 6
# Predictions that differ by less than this are not evidence.
_LEAST_DIFFERENCE_M = 0.06
_LEAST_TOTAL_M = 1.5
# Ratio of squared errors, configured axes to swapped axes, from which the axes count as wrong.
_WORSE = 9.0
# Largest coordinate of a camera.
FARTHEST_M = 10_000.0
# Largest coordinate of what cameras see; up to it the rounding error of float32 is at most half a millimetre.
FARTHEST_POINT_M = 16_000.0


class _Sample(NamedTuple):
    stamp_ns: int
    range_m: float
    camera: Pose
    swapped: Pose


class AxesCheck:
    """Compare ranges along the optical axis with the motion of one pose source; thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._ranges: StampedHistory[float] = StampedHistory(2.0)
        self._last: _Sample | None = None
        self._evidence: deque[tuple[float, float, float]] = deque(maxlen=_EVIDENCES)

    def push_range(self, stamp_ns: int, range_m: float) -> None:
        """Add a valid range [m]."""
        with self._lock:
            self._ranges.push(stamp_ns, range_m)

    def contradicts(self, stamp_ns: int, pose: Pose, body_from_camera: Pose) -> bool:
        """Return whether the ranges contradict the axes of the poses, including this one.

        Args:
            stamp_ns: Stamp of the pose [ns].
            pose: Body in the map, in ROS axes.
            body_from_camera: Optical frame in the body.
        """
        with self._lock:
            last = self._last
            if last is None or not 0 <= stamp_ns - last.stamp_ns < _SAMPLE_NS:
                self._sample(stamp_ns, pose, body_from_camera)
            return self._is_contradicted()

    def _sample(self, stamp_ns: int, pose: Pose, body_from_camera: Pose) -> None:
        nearest = self._ranges.nearest(stamp_ns)
        if nearest is None or nearest[0] > _RANGE_AGE_NS:
            return
        camera, swapped = pose.compose(body_from_camera), swap_conventions(pose).compose(body_from_camera)
        last, now = self._last, _Sample(stamp_ns, nearest[1], camera, swapped)
        self._last = now
        if last is not None and 0 < stamp_ns - last.stamp_ns <= _LONGEST_STEP_NS:
            expected_m, swapped_m = _change(last.camera, now.camera), _change(last.swapped, now.swapped)
            if expected_m is None or swapped_m is None or abs(expected_m - swapped_m) < _LEAST_DIFFERENCE_M:
                return
            self._evidence.append((now.range_m - last.range_m, expected_m, swapped_m))

    def _is_contradicted(self) -> bool:
        if len(self._evidence) < _LEAST_EVIDENCES:
            return False
        measured, expected, swapped = np.array(self._evidence).T
        if np.sum(np.abs(expected - swapped)) < _LEAST_TOTAL_M:
            return False
        return bool(np.sum((measured - expected) ** 2) > _WORSE * np.sum((measured - swapped) ** 2))


def _change(before: Pose, after: Pose) -> float | None:
    """Return the change of range [m] to the surface that is faced; None if it is unknown.

    It is known for a vertical axis, and for a horizontal one while the camera moves along it.
    """
    axis, later = before.rotation[:, 2], after.rotation[:, 2]
    if float(axis @ later) < _LEAST_PARALLEL:
        return None
    moved_m = after.position_m - before.position_m
    along_m = float(moved_m @ axis)
    if abs(axis[2]) >= _LEAST_VERTICAL:
        return -along_m
    across_m = float(np.linalg.norm(moved_m - along_m * axis))
    is_known = abs(axis[2]) <= _MOST_HORIZONTAL and across_m <= _MOST_ACROSS * abs(along_m)
    return -along_m if is_known else None


def float32_error_m(coordinate_m: float) -> float:
    """Return the largest rounding error of a coordinate of this size in float32 [m]; infinite beyond its range."""
    if abs(coordinate_m) > np.finfo(np.float32).max:
        return float("inf")
    return float(np.spacing(np.float32(abs(coordinate_m)))) / 2


def check_near_origin(position_m: npt.NDArray[np.float64]) -> None:
    """Check that a position (3,) is near enough to the map's origin.

    Raises:
        PoseUnavailable: The rounding error in float32 would exceed half a millimetre.
    """
    farthest_m = float(np.max(np.abs(position_m)))
    if farthest_m > FARTHEST_M:
        raise PoseUnavailable(
            f"the camera is {farthest_m / 1000:.6g} km from the map's origin, where crack_points and footprint "
            f"(float32) have rounding errors of up to {1000 * float32_error_m(farthest_m):.3g} mm. "
            f"Use a map_frame whose origin is within {FARTHEST_M / 1000:.0f} km, not UTM or ECEF"
        )


def too_far_from_origin(points_m: npt.NDArray[np.float64]) -> str:
    """Return why points (N, 3) are too far from the map's origin for float32 messages; empty if they are not."""
    farthest_m = float(np.max(np.abs(points_m), initial=0.0))
    if farthest_m <= FARTHEST_POINT_M:
        return ""
    return (
        f"it lies {farthest_m / 1000:.6g} km from the map's origin, where crack_points, footprint and map_points "
        f"(float32) have rounding errors of up to {1000 * float32_error_m(farthest_m):.3g} mm. "
        f"Use a map_frame whose origin is within {FARTHEST_M / 1000:.0f} km, not UTM or ECEF"
    )
