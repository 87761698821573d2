# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""The tree of transforms: chains at a stamp, gimbals, jumps in time, gaps, waiting, and broken trees."""

from __future__ import annotations

import threading
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rotation_angle import angle_between
from scipy.spatial.transform import Rotation, Slerp
from simulated_time import SimulatedTime

from crack_perception.geometry import rotations
from crack_perception.geometry.poses import buffer, track, transform_tree
from crack_perception.geometry.poses.motion import MotionLimits, PoseUnavailable
from crack_perception.geometry.poses.pose import Pose
from crack_perception.geometry.poses.transform_tree import MAX_FRAMES, TransformTree

SECOND_NS = 1_000_000_000
START_NS = 1_700_000_000 * SECOND_NS
MOUNT = Pose.of((0.1, 0.0, 0.05), rotations.FORWARD_LOOKING_OPTICAL)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> SimulatedTime:
    return SimulatedTime(monkeypatch, buffer, track, transform_tree)


def stamp(seconds: float) -> int:
    return START_NS + round(seconds * SECOND_NS)


def drone(seconds: float, offset_m: float = 0.0) -> Pose:
    """Along x at 2 m/s, turning left at 0.5 rad/s."""
    return Pose.of((2 * seconds + offset_m, 1, 3), rotations.from_euler(0, 0, 0.5 * seconds))


def gimbal(seconds: float) -> Pose:
    """Pitching at 0.3 rad/s."""
    return Pose.of((0.2, 0, -0.1), rotations.from_euler(0, 0.3 * seconds, 0))


def push(tree: TransformTree, seconds: float, offset_m: float = 0.0) -> None:
    tree.push("map", "base_link", stamp(seconds), drone(seconds, offset_m))
    tree.push("base_link", "gimbal", stamp(seconds), gimbal(seconds))


def mounted(limits: MotionLimits | None = None, history_s: float = 10.0) -> TransformTree:
    tree = TransformTree(limits, history_s)
    tree.push_static("gimbal", "camera", MOUNT)
    return tree


def flown(*seconds: float, offset_m: float = 0.0) -> TransformTree:
    tree = mounted()
    for moment in seconds:
        push(tree, moment, offset_m)
    return tree


def test_transform_tree_moving_gimbal_gives_camera_motion() -> None:
    moving = flown(*np.arange(11) / 10).at("map", "camera", stamp(0.53))

    def expected(seconds: float) -> Pose:
        return drone(seconds).compose(gimbal(seconds)).compose(MOUNT)

    step_s = 1e-4
    now, later = expected(0.53), expected(0.53 + step_s)
    assert moving.pose.position_m == pytest.approx(now.position_m, abs=1e-5)
    assert angle_between(moving.pose.quaternion, now.quaternion) < 1e-5
    assert moving.velocity_m_s == pytest.approx((later.position_m - now.position_m) / step_s, abs=2e-3)
    turn = rotations.multiply(later.quaternion, rotations.conjugate(now.quaternion))
    assert moving.angular_velocity_rad_s == pytest.approx(2 * turn[:3] * np.sign(turn[3]) / step_s, abs=2e-3)


@pytest.mark.parametrize(("target", "source"), [("/map", "camera"), ("map", "/camera"), ("/map", "/camera")])
def test_transform_tree_leading_slash_is_ignored(target: str, source: str) -> None:
    tree = mounted()
    for moment in (0.0, 0.1):
        tree.push("/map", "/base_link", stamp(moment), drone(moment))
        tree.push("base_link", "/gimbal", stamp(moment), gimbal(moment))
    assert tree.at(target, source, stamp(0.05)).pose.position_m[0] == pytest.approx(0.4, abs=0.02)


def test_transform_tree_map_below_the_common_ancestor_is_inverted() -> None:
    tree = TransformTree()
    tree.push_static("base", "camera", MOUNT)
    for moment in (0.0, 0.1):
        tree.push("odom", "map", stamp(moment), gimbal(moment))
        tree.push("odom", "base", stamp(moment), drone(moment))
    moving = tree.at("map", "camera", stamp(0.05))
    expected = gimbal(0.05).inverse().compose(drone(0.05)).compose(MOUNT)
    assert moving.pose.position_m == pytest.approx(expected.position_m, abs=1e-5)
    later = gimbal(0.0501).inverse().compose(drone(0.0501)).compose(MOUNT)
    assert moving.velocity_m_s == pytest.approx((later.position_m - expected.position_m) / 1e-4, abs=5e-3)
    assert moving.angular_velocity_rad_s[1] == pytest.approx(-0.3, abs=1e-2)


def test_transform_tree_broken_edge_above_common_ancestor_is_ignored() -> None:
    tree = flown(0.0, 0.1)
    tree.push("utm", "map", stamp(-5.0), drone(0.0))
    assert tree.at("map", "camera", stamp(0.05)).pose.position_m[0] > 0


def test_transform_tree_several_drones_are_independent() -> None:
    tree = TransformTree()
    for number in (1, 2):
        tree.push_static(f"drone{number}/base", f"drone{number}/camera", MOUNT)
        for moment in (0.0, 0.1):
            tree.push("map", f"drone{number}/base", stamp(moment), drone(moment, 100.0 * number))
    for number in (1, 2):
        x_m = tree.at("map", f"drone{number}/camera", stamp(0.05)).pose.position_m[0]
        assert x_m == pytest.approx(100.0 * number + 0.2, abs=0.01)
    with pytest.raises(PoseUnavailable, match="no frame 'camera'; it has 'drone1/camera', 'drone2/camera'"):
        tree.at("map", "camera", stamp(0.05))


def test_transform_tree_unconnected_frames_are_reported() -> None:
    tree = flown(0.0, 0.1)
    tree.push_static("world", "wall", MOUNT)
    with pytest.raises(PoseUnavailable, match="does not connect 'world' and 'camera'"):
        tree.at("world", "camera", stamp(0.05))
    with pytest.raises(PoseUnavailable, match="no frame 'odom'"):
        tree.at("odom", "camera", stamp(0.05))
    with pytest.raises(PoseUnavailable, match="no frame_id"):
        tree.at("map", "", stamp(0.05))
    with pytest.raises(PoseUnavailable, match="no transform has been received"):
        TransformTree().at("map", "camera", stamp(0.05))


def test_transform_tree_loop_is_refused() -> None:
    tree = TransformTree()
    for parent, child in (("a", "b"), ("b", "c"), ("c", "a")):
        tree.push_static(parent, child, MOUNT)
    with pytest.raises(PoseUnavailable, match="form a loop"):
        tree.at("map", "c", stamp(0.0))


@pytest.mark.parametrize(("parent", "child"), [("", "b"), ("a", ""), ("/", "b"), ("a", "a"), ("/a", "a")])
def test_transform_tree_impossible_edge_is_refused(parent: str, child: str) -> None:
    tree = TransformTree()
    with pytest.raises(ValueError, match=r"lacks a frame's name|its own parent"):
        tree.push(parent, child, stamp(0), MOUNT)
    with pytest.raises(ValueError, match=r"lacks a frame's name|its own parent"):
        tree.push_static(parent, child, MOUNT)


def test_transform_tree_number_of_frames_is_bounded() -> None:
    tree = TransformTree()
    for number in range(MAX_FRAMES):
        tree.push("map", f"frame{number}", stamp(0), MOUNT)
    with pytest.raises(ValueError, match="exceeds the limit of 512 frames"):
        tree.push("map", "another", stamp(0), MOUNT)
    tree.push("map", "frame7", stamp(0.1), MOUNT)


def test_transform_tree_memory_of_a_fast_edge_is_bounded() -> None:
    tree = TransformTree(history_s=1e6)
    for number in range(5000):
        tree.push("map", "base", stamp(number / 1000), drone(number / 1000))
    (track,) = tree._tracks.values()
    assert len(track._history.items) == 2000


def test_transform_tree_gap_on_one_edge_is_refused() -> None:
    tree = mounted()
    for moment in (0.0, 0.1, 0.2, 0.3, 0.4):
        tree.push("map", "base_link", stamp(moment), drone(moment))
    for moment in (0.0, 0.4):
        tree.push("base_link", "gimbal", stamp(moment), gimbal(moment))
    with pytest.raises(PoseUnavailable, match="'gimbal' in 'base_link': the poses around the image are 400 ms apart"):
        tree.at("map", "camera", stamp(0.25))


def test_transform_tree_gimbal_flip_is_refused() -> None:
    tree = flown(0.0, 0.1)
    tree.push("base_link", "gimbal", stamp(0.12), Pose.of((0.2, 0, 0), rotations.from_euler(0, np.pi, 0)))
    tree.push("map", "base_link", stamp(0.2), drone(0.2))
    with pytest.raises(PoseUnavailable, match="a gimbal flip"):
        tree.at("map", "camera", stamp(0.11))


def test_transform_tree_changed_parent_is_not_interpolated() -> None:
    tree = flown(0.0, 0.1)
    tree.push_static("odom", "map", Pose.identity())
    for moment in (0.2, 0.3):
        tree.push("base_link", "gimbal", stamp(moment), gimbal(moment))
        tree.push("odom", "base_link", stamp(moment), drone(moment))
    tree.at("map", "camera", stamp(0.05))
    with pytest.raises(PoseUnavailable, match="parent frame changes between 'map' and 'odom'"):
        tree.at("map", "camera", stamp(0.15))
    assert tree.at("map", "camera", stamp(0.25)).pose.position_m[0] == pytest.approx(0.8, abs=0.02)


def test_transform_tree_moving_frame_overrides_static() -> None:
    tree = flown(0.0, 0.1)
    tree.push_static("base_link", "gimbal", Pose.of((9, 9, 9), (0, 0, 0, 1)))
    assert tree.at("map", "camera", stamp(0.05)).pose.position_m[1] < 2
    tree.push("map", "base_link", stamp(0.2), drone(0.2))
    with pytest.raises(PoseUnavailable, match="'gimbal'"):
        tree.at("map", "camera", stamp(0.15))


def test_transform_tree_new_static_transform_replaces_old() -> None:
    tree = flown(0.0, 0.1)
    tree.push_static("gimbal", "camera", Pose.of((0, 0, 7), (0, 0, 0, 1)))
    assert tree.at("map", "camera", stamp(0.05)).pose.position_m[2] > 9


# Laps within the history, so that the poses of the lap before are still there at the same stamps.
@pytest.mark.parametrize("lap_s", [0.4, 0.9, 1.5, 4.0, 8.0])
@pytest.mark.parametrize("first", ["base_link", "gimbal"])
def test_transform_tree_looping_bag_gives_right_poses(lap_s: float, first: str) -> None:
    tree = mounted()
    moments = np.arange(0, lap_s, 0.05)
    answered = 0

    def ask(moment: float, offset_m: float) -> bool:
        """Whether there is a pose 20 ms before this moment; it must be that of this lap."""
        try:
            x_m = tree.at("map", "camera", stamp(moment - 0.02)).pose.position_m[0]
        except PoseUnavailable:
            return False
        assert x_m == pytest.approx(drone(moment - 0.02, offset_m).position_m[0], abs=0.5), (moment, offset_m)
        return True

    for lap in range(3):
        for moment in moments:
            edges = {"base_link": ("map", drone(moment, 50.0 * lap)), "gimbal": ("base_link", gimbal(moment))}
            for child in (first, *(edges.keys() - {first})):
                ask(moment, 50.0 * lap)
                parent, pose = edges[child]
                tree.push(parent, child, stamp(moment), pose)
            answered += ask(moment, 50.0 * lap)
    # A jump by less than a second is noticed with the third pose after it.
    missed = 1 if lap_s > 1.0 else 3
    assert answered >= 3 * len(moments) - 1 - 2 * missed
    assert tree.time_jumps == 2


def test_transform_tree_fetches_missing_transforms_while_it_waits() -> None:
    tree = TransformTree(fetch=lambda: push(tree, 0.2))
    tree.push_static("gimbal", "camera", MOUNT)
    for moment in (0.0, 0.1):
        push(tree, moment)
    motion = tree.at("map", "camera", stamp(0.15), timeout_s=20)
    expected = flown(0.0, 0.1, 0.2).at("map", "camera", stamp(0.15))
    assert motion.pose.position_m == pytest.approx(expected.pose.position_m)


def test_transform_tree_image_after_jump_waits_for_transforms() -> None:
    tree = flown(*np.arange(0, 5, 0.05))
    tree.at("map", "camera", stamp(4.9))
    with pytest.raises(PoseUnavailable, match="time was set back and no pose has been received since"):
        tree.at("map", "camera", stamp(0.52))
    for moment in (0.5, 0.55):
        push(tree, moment, 50.0)
    assert tree.at("map", "camera", stamp(0.52)).pose.position_m[0] == pytest.approx(51.3, abs=0.1)


def test_transform_tree_image_without_stamp_has_no_side_effect() -> None:
    tree = flown(*np.arange(0, 5, 0.05))
    tree.at("map", "camera", stamp(4.5))
    with pytest.raises(PoseUnavailable):
        tree.at("map", "camera", 0)
    assert tree.at("map", "camera", stamp(4.6)).pose.position_m[0] == pytest.approx(9.0, abs=0.1)


def test_transform_tree_short_clock_jump_drops_older_poses() -> None:
    tree = flown(*np.arange(0, 2, 0.05))
    tree.set_back(stamp(1.5))
    with pytest.raises(PoseUnavailable):
        tree.at("map", "camera", stamp(1.52))
    for moment in (1.5, 1.55):
        push(tree, moment, 50.0)
    assert tree.at("map", "camera", stamp(1.52)).pose.position_m[0] == pytest.approx(53.3, abs=0.1)
    assert tree.time_jumps == 1


def test_transform_tree_clock_of_other_drone_is_ignored() -> None:
    tree = flown()
    for moment in np.arange(0, 3, 0.05):
        push(tree, moment)
        # Two publishers whose clocks are 5 s apart broadcast the same frame of the other drone.
        tree.push("map", "drone2/base", stamp(moment - 5 * (round(moment * 20) % 2)), drone(moment))
        if moment > 0.1:
            tree.at("map", "camera", stamp(moment - 0.02))
    with pytest.raises(PoseUnavailable):
        tree.at("map", "drone2/base", stamp(2.9))


def test_transform_tree_late_transform_is_waited_for() -> None:
    tree = flown(0.0, 0.1)
    sender = threading.Timer(0.1, push, (tree, 0.2))
    sender.start()
    try:
        moving = tree.at("map", "camera", stamp(0.15), timeout_s=20)
    finally:
        sender.join()
    assert moving.pose.position_m[0] == pytest.approx(0.6, abs=0.02)


def test_transform_tree_missing_connection_is_not_waited_for(clock: SimulatedTime) -> None:
    tree = flown(0.0, 0.1)
    for target, source in (("world", "camera"), ("map", "lens")):
        with pytest.raises(PoseUnavailable):
            tree.at(target, source, stamp(0.05), timeout_s=30)
    assert clock.waits_s == []


def test_transform_tree_stopped_edge_is_not_waited_for(clock: SimulatedTime) -> None:
    tree = mounted(MotionLimits(max_gap_s=0.05))
    for moment in np.arange(0, 0.2, 0.01):
        push(tree, moment)
        clock.now_s += 0.01
    tree.at("map", "camera", stamp(0.15))
    with pytest.raises(PoseUnavailable, match="older than the image"):
        tree.at("map", "camera", stamp(0.9), timeout_s=30)
    # A few periods of the edge, then it counts as stopped.
    assert 0 < sum(clock.waits_s) < 1.0
    assert tree.has_stopped
    waited = len(clock.waits_s)
    for _ in range(50):
        with pytest.raises(PoseUnavailable):
            tree.at("map", "camera", stamp(0.9), timeout_s=30)
    assert len(clock.waits_s) == waited


def test_transform_tree_wait_ends_on_clear(clock: SimulatedTime) -> None:
    tree = flown(0.0, 0.1)
    clock.on_wait = tree.clear
    with pytest.raises(PoseUnavailable, match="no transform has been received"):
        tree.at("map", "camera", stamp(0.15), timeout_s=30)
    assert len(clock.waits_s) == 1


def test_transform_tree_expected_at_extrapolates_up_to_max_gap() -> None:
    tree = flown(0.0, 0.1, 0.2)
    expected = drone(0.3).compose(gimbal(0.3)).compose(MOUNT)
    assert tree.expected_at("map", "camera", stamp(0.3)).position_m == pytest.approx(expected.position_m, abs=1e-3)
    with pytest.raises(PoseUnavailable):
        tree.expected_at("map", "camera", stamp(0.45))


ROTATIONS = st.tuples(*[st.floats(-3, 3)] * 3).map(lambda v: np.round(v, 6))
METRES = st.tuples(*[st.floats(-5, 5)] * 3).map(lambda v: np.round(v, 6))


@settings(deadline=None, max_examples=60)
@given(st.lists(st.tuples(METRES, ROTATIONS, METRES, ROTATIONS), min_size=1, max_size=5), st.floats(0, 1))
def test_transform_tree_chain_matches_matrices_and_slerp(chain: list, fraction: float) -> None:
    """Independent calculation with 4x4 matrices and SciPy's slerp."""
    unlimited = MotionLimits(1.0, np.inf, np.inf)
    tree = TransformTree(unlimited)
    expected = np.eye(4)
    now_ns = stamp(0.1 * fraction)
    exact = (now_ns - stamp(0.0)) / (stamp(0.1) - stamp(0.0))
    for index, (start_m, start_rad, end_m, end_rad) in enumerate(chain):
        ends = Rotation.from_rotvec([start_rad, end_rad])
        if (ends[0].inv() * ends[1]).magnitude() > 3.0:  # the direction of half a turn is ambiguous
            ends = Rotation.from_rotvec([start_rad, start_rad])
        for seconds, position, rotation in ((0.0, start_m, ends[0]), (0.1, end_m, ends[1])):
            tree.push(f"f{index}", f"f{index + 1}", stamp(seconds), Pose.of(position, rotation.as_quat()))
        step = np.eye(4)
        step[:3, :3] = Slerp([0, 1], ends)(exact).as_matrix()
        step[:3, 3] = (1 - exact) * start_m + exact * end_m
        expected = expected @ step
    last = f"f{len(chain)}"
    for pose, matrix in (
        (tree.at("f0", last, now_ns).pose, expected),
        (tree.at(last, "f0", now_ns).pose, np.linalg.inv(expected)),
    ):
        assert pose.position_m == pytest.approx(matrix[:3, 3], abs=1e-6)
        assert pose.rotation == pytest.approx(matrix[:3, :3], abs=1e-6)


@settings(deadline=None, max_examples=40)
@given(st.lists(st.tuples(st.sampled_from("abcde"), st.sampled_from("abcde"), st.integers(0, 4000)), max_size=60))
def test_transform_tree_any_sequence_gives_finite_pose_or_reason(edges: list) -> None:
    tree = TransformTree()
    for parent, child, ms in edges:
        if parent != child:
            tree.push(parent, child, START_NS + ms * 1_000_000, drone(ms / 1000))
    for before, after in pairwise("abcde"):
        try:
            moving = tree.at(before, after, START_NS + 2_000_000_000)
        except PoseUnavailable as error:
            assert str(error)
        else:
            assert np.all(np.isfinite(moving.pose.position_m)) and np.all(np.isfinite(moving.velocity_m_s))


def test_transform_tree_single_stray_pose_leaves_the_static_transform_in_use() -> None:
    tree = flown(0.0, 0.1)
    expected = tree.at("map", "camera", stamp(0.05)).pose
    tree.push("gimbal", "camera", stamp(0.05), Pose.of((9, 9, 9), (0, 0, 0, 1)))
    assert tree.at("map", "camera", stamp(0.05)).pose.position_m == pytest.approx(expected.position_m)
    tree.push("gimbal", "camera", stamp(0.07), Pose.of((9, 9, 9), (0, 0, 0, 1)))
    assert tree.at("map", "camera", stamp(0.06)).pose.position_m != pytest.approx(expected.position_m, abs=1.0)


NED_IN_ENU = Pose.of((0, 0, 0), rotations.ENU_FROM_NED)
FRD_IN_FLU = Pose.of((0, 0, 0), rotations.FLU_FROM_FRD)
LEVEL = Pose.of((1, 2, -3), (0, 0, 0, 1))


def named(*edges: tuple[str, str, Pose]) -> TransformTree:
    tree = TransformTree()
    for parent, child, pose in edges:
        for moment in (0.0, 0.1):
            tree.push(parent, child, stamp(moment), pose)
    return tree


@pytest.mark.parametrize(
    "edges",
    [
        [("map", "odom_ned", Pose.identity()), ("odom_ned", "base_link_frd", LEVEL)],
        [("map", "base_link_frd", LEVEL)],
        [("map", "odom_ned", NED_IN_ENU), ("odom_ned", "base_link_frd", FRD_IN_FLU)],
        [("odom_ned", "map", Pose.identity()), ("odom_ned", "base_link", LEVEL)],
        [("map", "uav1/map_NED", Pose.identity()), ("uav1/map_NED", "base_link", LEVEL)],
    ],
)
def test_transform_tree_frames_named_ned_or_frd_with_z_upwards_are_refused(
    edges: list[tuple[str, str, Pose]],
) -> None:
    tree = named(*edges, (edges[-1][1], "camera", MOUNT))
    with pytest.raises(PoseUnavailable, match=r"named for axes whose z points down .* but it points up in 'map'"):
        tree.at("map", "camera", stamp(0.05), 30.0)
    with pytest.raises(PoseUnavailable, match="REP 103"):
        tree.expected_at("map", "camera", stamp(0.05))


@pytest.mark.parametrize(
    "edges",
    [
        [("map", "map_ned", NED_IN_ENU), ("map_ned", "base_link_frd", LEVEL)],
        [("map_ned", "map", NED_IN_ENU.inverse()), ("map_ned", "base_link_frd", LEVEL)],
        [("map", "base_link", LEVEL), ("base_link", "base_link_frd", FRD_IN_FLU)],
        [("map", "planned_frame", LEVEL)],
    ],
)
def test_transform_tree_frames_named_ned_or_frd_that_are_rotated_are_used(edges: list[tuple[str, str, Pose]]) -> None:
    tree = named(*edges, (edges[-1][1], "camera", MOUNT))
    expected = Pose.identity()
    for _, child, pose in edges:
        expected = expected.compose(pose.inverse() if child == "map" else pose)
    found = tree.at("map", "camera", stamp(0.05)).pose
    assert found.position_m == pytest.approx(expected.compose(MOUNT).position_m)


def test_transform_tree_frame_beside_the_chain_is_not_questioned() -> None:
    tree = named(("map", "base_link", LEVEL), ("map", "odom_ned", Pose.identity()), ("base_link", "camera", MOUNT))
    assert tree.at("map", "camera", stamp(0.05)).pose.position_m[0] == pytest.approx(1.1)


def test_transform_tree_mounted_at_separates_what_moves_from_what_is_fixed() -> None:
    tree = flown(*np.arange(11) / 10)
    tree.push_static("camera", "lens", MOUNT)
    found = tree.mounted_at("map", "lens", stamp(0.5))
    expected = drone(0.5).compose(gimbal(0.5))
    assert found.carrier.position_m == pytest.approx(expected.position_m, abs=1e-5)
    assert found.mount.position_m == pytest.approx(MOUNT.compose(MOUNT).position_m)
    assert found.motion.pose.position_m == pytest.approx(expected.compose(MOUNT).compose(MOUNT).position_m, abs=1e-5)


def test_transform_tree_two_parents_at_one_stamp_are_refused() -> None:
    tree = mounted()
    for seconds in (0.0, 0.1):
        push(tree, seconds)
        tree.push("world", "base_link", stamp(seconds), drone(seconds, 5.0))
    for target in ("map", "world"):
        with pytest.raises(PoseUnavailable, match="has the parents 'map' and 'world' at one stamp"):
            tree.at(target, "camera", stamp(0.05))
