# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Hover filter: skips frames while the camera hovers, because repeated views add nothing to the map."""

from __future__ import annotations

from std_msgs.msg import Header

from crack_perception.geometry.camera.view_motion import SurfaceView
from crack_perception.geometry.poses.motion import PoseUnavailable
from crack_perception.ros.common.stamps import stamp_ns
from crack_perception.ros.detector.camera_poses import FirstAvailable

# A view that stays within this share of the image's width counts as standing still: 0.15 m at 2.5 m from a wall, about
# how far a multicopter drifts while it holds its position. A strip as wide may come into view before the next frame is
# processed.
STILL_SHARE = 0.05
# All frames of a new view are processed for this long: by then, skipped regions and tiles have been processed, the map
# has confirmed its cracks, and a slow flight is not mistaken for hovering.
SETTLING_S = 1.0


class HoverFilter:
    """Decide for each frame on arrival whether to skip it, by the newest known pose."""

    def __init__(self, poses: FirstAvailable) -> None:
        self._poses = poses
        self._still: SurfaceView | None = None
        self._still_since_s = 0.0
        self._due_s = 0.0

    def skips(self, header: Header, last: SurfaceView | None, rate_hz: float, now_s: float) -> bool:
        """Return whether to skip a frame: it shows the same view as the frames before it, and none is due.

        Args:
            header: Header of the image.
            last: View of the last frame with results; None where its pose or range is unknown.
            rate_hz: Frame rate while the camera hovers [Hz]; 0: process all frames.
            now_s: Arrival of the frame on a monotonic clock.
        """
        if not rate_hz:
            return False
        if not self._stands_still(header):
            self._still, self._still_since_s = last, now_s
        hovers = now_s - self._still_since_s >= SETTLING_S
        if hovers and now_s < self._due_s:
            return True
        # Counted from when it was due, so that the rate does not depend on the camera's.
        self._due_s = max(self._due_s + 1.0 / rate_hz, now_s) if hovers else now_s + 1.0 / rate_hz
        return False

    def _stands_still(self, header: Header) -> bool:
        if self._still is None:
            return False
        try:
            pose = self._poses.expected_at(stamp_ns(header.stamp), header.frame_id)
        except PoseUnavailable:
            return False
        return self._still.shift_share(pose) <= STILL_SHARE
