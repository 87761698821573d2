"""Skips frames while the camera hovers: the same view thirty times a second adds nothing to the map."""

from __future__ import annotations

from std_msgs.msg import Header

from crack_perception.geometry.camera.view_motion import SurfaceView
from crack_perception.geometry.poses.buffer import PoseUnavailable
from crack_perception.ros.detector.camera_infos import stamp_ns
from crack_perception.ros.detector.camera_poses import FirstAvailable

# A view that stays within this share of the image's width counts as standing still: 0.15 m at 2.5 m from a wall, about
# how far a multicopter drifts while it holds its position. A strip as wide may come into view before the next frame is
# processed.
STILL_SHARE = 0.05
# So long every frame of a view is processed: regions and tiles that were skipped have their turn by then, the map has
# confirmed its cracks, and a flight that is only slow does not count as hovering.
SETTLING_S = 1.0


class HoverFilter:
    """Decides for each frame on arrival whether to skip it, by the newest pose that is known then."""

    def __init__(self, poses: FirstAvailable) -> None:
        self._poses = poses
        self._still: SurfaceView | None = None
        self._still_since_s = 0.0
        self._due_s = 0.0

    def leaves_out(self, header: Header, last: SurfaceView | None, rate_hz: float, now_s: float) -> bool:
        """Whether to skip a frame: it shows the same view as those before it, and none is due.

        Args:
            header: The image's.
            last: View of the last frame with results; None where its pose or range is not known.
            rate_hz: How many frames a second are due while the camera hovers; 0 for all.
            now_s: When the frame arrived, on a monotonic clock.
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
