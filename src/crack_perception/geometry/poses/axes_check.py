"""Poses in the wrong axes (NED for ENU), found by the ranges: a camera that looks down and climbs must see more range.

A camera that looks ahead gives no evidence: along its axis both readings of the poses predict the same range. So only
cameras within 20 degrees of the vertical are evaluated.
"""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from crack_perception.geometry.poses.pose import Pose
from crack_perception.geometry.poses.px4 import swap_conventions
from crack_perception.geometry.poses.stamped_history import StampedHistory

Array = npt.NDArray[np.float64]

_SAMPLE_NS = 200_000_000
_LONGEST_STEP_NS = 1_000_000_000
_RANGE_AGE_NS = 60_000_000
_LEAST_VERTICAL = np.cos(np.deg2rad(20.0))
_LEAST_PARALLEL = np.cos(np.deg2rad(3.0))
_EVIDENCES = 20
_LEAST_EVIDENCES = 6
# Two predictions nearer to each other than this are no evidence.
_LEAST_DIFFERENCE_M = 0.06
_LEAST_TOTAL_M = 1.5
# The axes as configured predict the ranges so many times worse (sum of squares) than the others.
_WORSE = 9.0


class _Sample(NamedTuple):
    stamp_ns: int
    range_m: float
    camera: Pose
    swapped: Pose


class AxesCheck:
    """Compares ranges along the optical axis with the motion of one source of poses; used by one thread.

    Args:
        body_from_camera: Optical frame in the frame that the poses locate.
    """

    def __init__(self, body_from_camera: Pose) -> None:
        self._body_from_camera = body_from_camera
        self._ranges: StampedHistory[float] = StampedHistory(2.0)
        self._last: _Sample | None = None
        self._evidence: deque[tuple[float, float, float]] = deque(maxlen=_EVIDENCES)

    def push_range(self, stamp_ns: int, range_m: float) -> None:
        """Add a valid range [m]."""
        self._ranges.push(stamp_ns, range_m)

    def contradicts(self, stamp_ns: int, pose: Pose) -> bool:
        """Whether the ranges so far contradict the axes of the poses, this one (in ROS axes) included."""
        last = self._last
        if last is None or not 0 <= stamp_ns - last.stamp_ns < _SAMPLE_NS:
            self._sample(stamp_ns, pose)
        return self._is_contradicted()

    def _sample(self, stamp_ns: int, pose: Pose) -> None:
        nearest = self._ranges.nearest(stamp_ns)
        if nearest is None or nearest[0] > _RANGE_AGE_NS:
            return
        last, now = self._last, _Sample(stamp_ns, nearest[1], *self._both(pose))
        self._last = now
        if last is not None and 0 < stamp_ns - last.stamp_ns <= _LONGEST_STEP_NS:
            expected_m, swapped_m = _change(last.camera, now.camera), _change(last.swapped, now.swapped)
            if expected_m is None or swapped_m is None or abs(expected_m - swapped_m) < _LEAST_DIFFERENCE_M:
                return
            self._evidence.append((now.range_m - last.range_m, expected_m, swapped_m))

    def _both(self, pose: Pose) -> tuple[Pose, Pose]:
        return pose.compose(self._body_from_camera), swap_conventions(pose).compose(self._body_from_camera)

    def _is_contradicted(self) -> bool:
        if len(self._evidence) < _LEAST_EVIDENCES:
            return False
        measured, expected, swapped = np.array(self._evidence).T
        if np.sum(np.abs(expected - swapped)) < _LEAST_TOTAL_M:
            return False
        return bool(np.sum((measured - expected) ** 2) > _WORSE * np.sum((measured - swapped) ** 2))


def _change(before: Pose, after: Pose) -> float | None:
    """Change of the range to a surface square to the axis [m]; None where the axis tilts or is not vertical."""
    axis, later = before.rotation[:, 2], after.rotation[:, 2]
    if abs(axis[2]) < _LEAST_VERTICAL or float(axis @ later) < _LEAST_PARALLEL:
        return None
    return -float((after.position_m - before.position_m) @ axis)
