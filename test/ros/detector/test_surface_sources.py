# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""What tells of the surface under a region: depth, rangefinder, map planes, standoff, in this order."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not installed")

from builtin_interfaces.msg import Time
from sensor_msgs.msg import Image, Range
from std_msgs.msg import Header

from crack_perception.geometry import rotations
from crack_perception.geometry.camera.models import CameraModel
from crack_perception.geometry.poses.motion import MovingPose
from crack_perception.geometry.poses.pose import Pose
from crack_perception.geometry.surface.plane import SurfacePlane
from crack_perception.ros.common.health import Health
from crack_perception.ros.detector.parameters import SPECS, settings_from
from crack_perception.ros.detector.surface_sources import SurfaceSources
from crack_perception.vision.regions import OrientedBox

MS = 1_000_000
START_NS = 1_700_000_000_000_000_000
CAMERA = CameraModel.of(320, 240, [300, 0, 159.5, 0, 300, 119.5, 0, 0, 1], [], "")
FRAME = "camera"
MIDDLE = OrientedBox(np.array([159.5, 119.5]), 100.0, 60.0, 0.0)
AHEAD = Pose.of((0, 0, 1), rotations.FORWARD_LOOKING_OPTICAL)
"""One metre up, looking along the map's x axis."""
ROOM = [-1.0, 0.0, 0.0, -5.0, 0.0, 0.0, -1.0, -1.6]
"""A wall five metres ahead and a soffit at 1.6 m."""


class Rig:
    """Sources with their settings and the problems they reported."""

    def __init__(self, **changes: Any) -> None:
        self.said: list[str] = []
        self.health = Health(self.said.append)
        self.settings = settings_from({s.name: s.default for s in SPECS} | changes)
        self.sources = SurfaceSources(self.settings, self.health)

    def range(self, range_m: float, ms: int = 0) -> None:
        message = Range(header=header(ms), min_range=0.1, max_range=30.0, range=range_m)
        self.sources.push_range(message)

    def depth(
        self,
        depth_m: float,
        ms: int = 0,
        width: int = 320,
        height: int = 240,
        encoding: str = "32FC1",
        frame_id: str = "",
    ) -> None:
        unit, dtype = (1000, np.uint16) if encoding == "16UC1" else (1, np.float32)
        stored = np.full((height, width), depth_m * unit).astype(dtype)
        message = Image(
            header=header(ms, frame_id), height=height, width=width, encoding=encoding, step=width * stored.itemsize
        )
        message.data.frombytes(stored.tobytes())
        self.sources.push_depth(message)

    def plane(self, ms: int = 0, box: OrientedBox = MIDDLE, pose: Pose | None = AHEAD) -> SurfacePlane | None:
        motion = None if pose is None else MovingPose(pose, np.zeros(3), np.zeros(3))
        return self.sources.surface_at(START_NS + ms * MS, CAMERA, motion, self.settings, FRAME).plane_under(box)

    def source(self, ms: int = 0, **where: Any) -> tuple[str, float] | None:
        plane = self.plane(ms, **where)
        return plane and (plane.range.source, pytest.approx(plane.range.range_m, abs=1e-3))


def header(ms: int, frame_id: str = "") -> Header:
    stamp_ns = START_NS + ms * MS
    return Header(stamp=Time(sec=stamp_ns // 10**9, nanosec=stamp_ns % 10**9), frame_id=frame_id)


def test_plane_under_sources_take_precedence_in_order() -> None:
    rig = Rig(**{"map_planes.equations": ROOM, "standoff_m": 4.0})
    assert rig.source(pose=None) == ("standoff", 4.0)
    assert rig.source() == ("map_plane", 5.0)
    rig.range(3.0)
    assert rig.source() == ("range", 3.0)
    rig.depth(2.0)
    assert rig.source() == ("depth", 2.0)
    assert not rig.said


def test_plane_under_range_takes_the_direction_of_the_map_plane() -> None:
    rig = Rig(**{"map_planes.equations": ROOM})
    rig.range(3.0)
    turned = Pose.of((0, 0, 1), rotations.multiply(rotations.from_euler(0, 0, 0.5), AHEAD.quaternion))
    plane = rig.plane(pose=turned)
    assert plane is not None and plane.range.range_m == 3.0
    assert turned.rotation @ plane.normal == pytest.approx([-1, 0, 0])


def test_plane_under_other_map_plane_keeps_its_place() -> None:
    rig = Rig(**{"map_planes.equations": ROOM})
    rig.range(3.0)
    above = OrientedBox(np.array([159.5, 10.0]), 60.0, 20.0, 0.0)
    plane = rig.plane(box=above)
    assert plane is not None and plane.range.source == "map_plane"
    assert AHEAD.transform(plane.point_m)[2] == pytest.approx(1.6)


def test_plane_under_depth_holes_falls_back_to_the_next_source() -> None:
    rig = Rig(standoff_m=4.0)
    rig.depth(float("nan"))
    assert rig.source() == ("standoff", 4.0)


@pytest.mark.parametrize("encoding", ["16UC1", "32FC1"])
def test_push_depth_units_are_converted(encoding: str) -> None:
    rig = Rig()
    rig.depth(2.5, width=160, height=120, encoding=encoding)
    assert rig.source() == ("depth", 2.5)


@pytest.mark.parametrize(
    ("width", "height", "encoding", "reason"),
    [(320, 180, "32FC1", "another aspect ratio"), (320, 240, "32FC2", "32FC2")],
)
def test_push_depth_unusable_is_refused_with_the_reason(width: int, height: int, encoding: str, reason: str) -> None:
    rig = Rig(standoff_m=4.0)
    rig.depth(2.0, width=width, height=height, encoding=encoding)
    assert rig.source() == ("standoff", 4.0)
    assert rig.health.counts() == {"depth_rejected": 1}
    assert "A depth image was refused" in rig.said[0] and reason in rig.said[0]


def test_plane_under_stale_depth_and_range_are_reported() -> None:
    rig = Rig(standoff_m=4.0)
    rig.depth(2.0)
    rig.range(3.0)
    assert rig.source(ms=150) == ("depth", 2.0)
    assert rig.source(ms=900) == ("standoff", 4.0)
    assert rig.health.counts() == {"depth_stale": 1, "range_stale": 1}
    assert "nearest is 900 ms from the image, more than 200 ms" in rig.said[0]
    assert "nearest range is 900 ms from the image, more than 200 ms" in rig.said[1]


def test_plane_under_time_set_back_drops_earlier_data() -> None:
    rig = Rig()
    for ms in (0, 30_000):
        rig.depth(2.0, ms)
        rig.range(3.0, ms)
    # The bag starts again: the first pass told 2 m at this moment.
    rig.range(7.0, 100)
    assert rig.source(ms=30_000) == ("depth", 2.0)
    rig.depth(6.0, 100)
    assert rig.source(ms=0) == ("depth", 6.0)
    assert rig.source(ms=30_000) is None


def test_plane_under_no_source_lists_all_reasons() -> None:
    rig = Rig()
    assert rig.source() is None
    assert rig.said == ["No scale and no position: no range has been received, standoff_m is not set"]
    rig = Rig(**{"map_planes.equations": ROOM})
    assert rig.source(pose=None) is None
    assert "the map planes need the pose" in rig.said[0]
    backwards = Pose.of((0, 0, 1), rotations.multiply(rotations.from_euler(0, 0, np.pi), AHEAD.quaternion))
    rig = Rig(**{"map_planes.equations": ROOM})
    assert rig.source(pose=backwards) is None
    assert "no map plane lies ahead" in rig.said[0]


@pytest.mark.parametrize(("learn_surface", "source"), [(True, "range+surface"), (False, "range")])
def test_plane_under_learn_surface_uses_several_ranges(learn_surface: bool, source: str) -> None:
    rig = Rig(learn_surface=learn_surface)
    sigmas_m = []
    for index in range(12):
        # Along a wall five metres ahead, seen straight.
        rig.range(5.0, 250 * index)
        plane = rig.plane(250 * index, pose=Pose.of((0, 0.3 * index, 1), rotations.FORWARD_LOOKING_OPTICAL))
        assert plane is not None and plane.range.range_m == pytest.approx(5.0)
        assert plane.range.source == (source if index else "range")
        sigmas_m.append(plane.range.sigma_m)
    assert (sigmas_m[-1] < 0.5 * sigmas_m[0]) == learn_surface


def test_plane_under_map_plane_takes_precedence_over_learnt() -> None:
    rig = Rig(**{"map_planes.equations": ROOM})
    for index in range(6):
        rig.range(5.0, 250 * index)
        assert rig.source(250 * index) == ("range", 5.0)
    rig = Rig()
    for index in range(6):
        rig.range(5.0, 250 * index)
        rig.plane(250 * index)
    rig.range(8.0, 1500)
    assert rig.source(1500) == ("range", 8.0)


@pytest.mark.parametrize(
    ("range_m", "kind", "question"),
    [
        (30.0, "range_rejected", "one of the sensor's limits"),
        (0.1, "range_rejected", "one of the sensor's limits"),
        (2000.0, "range_implausible", "in millimetres"),
        (float("inf"), "range_rejected", "outside the sensor's limits"),
    ],
)
def test_push_range_invalid_falls_back_to_the_next_source(range_m: float, kind: str, question: str) -> None:
    rig = Rig(standoff_m=4.0)
    rig.range(range_m)
    assert rig.source() == ("standoff", 4.0)
    assert rig.health.counts() == {kind: 1} and question in rig.said[0]


def test_push_range_wide_beam_is_used_and_reported() -> None:
    rig = Rig()
    rig.sources.push_range(Range(header=header(0), min_range=0.1, max_range=30.0, range=3.0, field_of_view=1.2))
    assert rig.source() == ("range", 3.0)
    assert rig.health.counts() == {"range_doubt": 1}


@pytest.mark.parametrize(
    ("changes", "source", "remedy"),
    [
        ({"standoff_m": 60.0}, "standoff", "standoff_m"),
        ({"map_planes.equations": [-1.0, 0.0, 0.0, -60.0]}, "map_plane", "map_planes.equations"),
    ],
)
def test_surface_at_implausible_scale_has_no_plane(changes: dict[str, Any], source: str, remedy: str) -> None:
    rig = Rig(**changes)
    assert rig.source() is None
    assert rig.health.counts()["scale_implausible"] == 1
    assert f"GSD is 200 mm/px at 60.0 m (from {source}" in rig.said[0] and f"{remedy} " in rig.said[0]
    assert Rig(**changes, max_gsd_mm_per_px=0.0).source() == (source, 60.0)
    assert Rig(**changes, max_gsd_mm_per_px=250.0).source() == (source, 60.0)


def test_surface_at_range_in_centimetres_is_too_coarse() -> None:
    rig = Rig(learn_surface=True)
    for ms in (0, 50):
        rig.sources.push_range(Range(header=header(ms), range=90.0))
        assert rig.source(ms) is None
    assert "GSD is 300 mm/px at 90.0 m" in rig.said[0] and "Is the range in metres?" in rig.said[0]


def test_surface_at_implausible_range_leaves_it_to_the_map_plane() -> None:
    rig = Rig(**{"map_planes.equations": ROOM})
    rig.sources.push_range(Range(header=header(0), range=90.0))
    assert rig.source() == ("map_plane", 5.0)
    assert rig.health.counts() == {"scale_implausible": 1}


def test_surface_at_depth_in_millimetres_is_asked_about_and_its_unit_can_be_set() -> None:
    rig = Rig(standoff_m=4.0)
    rig.depth(2000.0)
    assert rig.source() == ("standoff", 4.0)
    assert rig.health.counts() == {"depth_implausible": 1} and "depth_unit_m" in rig.said[0]
    rig = Rig(depth_unit_m=0.001)
    rig.depth(2000.0)
    assert rig.source() == ("depth", 2.0)


def test_surface_at_saturated_depth_is_a_hole() -> None:
    rig = Rig(standoff_m=4.0)
    rig.depth(65.535, encoding="16UC1")
    assert rig.source() == ("standoff", 4.0)


@pytest.mark.parametrize(("frame_id", "is_used"), [("", True), ("camera", True), ("/camera", True), ("rear", False)])
def test_surface_at_depth_of_another_camera_is_refused(frame_id: str, is_used: bool) -> None:
    rig = Rig(standoff_m=4.0)
    rig.depth(2.0, frame_id=frame_id)
    assert rig.source() == (("depth", 2.0) if is_used else ("standoff", 4.0))
    assert rig.health.counts() == ({} if is_used else {"depth_rejected": 1})
