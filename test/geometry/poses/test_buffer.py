# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Pose buffer: interpolation, waiting, and refusal to extrapolate."""

from __future__ import annotations

import contextlib
import threading
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from patience import PATIENCE_S
from rotation_angle import angle_between
from simulated_time import SimulatedTime

from crack_perception.geometry import rotations
from crack_perception.geometry.poses import buffer as buffer_module
from crack_perception.geometry.poses import track as track_module
from crack_perception.geometry.poses.buffer import PoseBuffer
from crack_perception.geometry.poses.motion import MotionLimits, MovingPose, PoseUnavailable
from crack_perception.geometry.poses.pose import Pose

SECOND_NS = 1_000_000_000
MS_NS = 1_000_000
START_NS = 1_700_000_000 * SECOND_NS
"""A present-day stamp, whose nanoseconds exceed the precision of a float."""


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> SimulatedTime:
    return SimulatedTime(monkeypatch, buffer_module, track_module)


def straight(seconds: float) -> Pose:
    """Moving along x at 2 m/s while turning left at 0.5 rad/s."""
    return Pose.of((2 * seconds, 1, 3), rotations.from_euler(0, 0, 0.5 * seconds))


def stamp(seconds: float) -> int:
    return START_NS + round(seconds * SECOND_NS)


def filled(*seconds: float, max_gap_s: float = 0.2, history_s: float = 10.0) -> PoseBuffer:
    buffer = PoseBuffer(MotionLimits(max_gap_s), history_s)
    for moment in seconds:
        buffer.push(stamp(moment), straight(moment))
    return buffer


@settings(deadline=None)
@given(st.floats(0, 0.9))
def test_at_between_stamps_interpolates_pose_and_motion(seconds: float) -> None:
    buffer = filled(*np.arange(10) / 10)
    moving = buffer.at(stamp(seconds))
    assert moving.pose.position_m == pytest.approx([2 * seconds, 1, 3], abs=1e-7)
    assert angle_between(moving.pose.quaternion, straight(seconds).quaternion) == pytest.approx(0, abs=1e-6)
    assert moving.velocity_m_s == pytest.approx([2, 0, 0], abs=1e-6)
    assert moving.angular_velocity_rad_s == pytest.approx([0, 0, 0.5], abs=1e-6)


@pytest.mark.parametrize("index", [0, 1, 2])
def test_at_stamp_of_a_pose_returns_it(index: int) -> None:
    moments = (0.0, 0.13, 0.2)
    moving = filled(*moments).at(stamp(moments[index]))
    assert moving.pose.position_m == pytest.approx(straight(moments[index]).position_m, abs=1e-9)


@pytest.mark.parametrize(("seconds", "problem"), [(-1e-9, "oldest pose is 0 ms younger"), (0.3, "100 ms older")])
def test_at_outside_history_is_refused(seconds: float, problem: str) -> None:
    with pytest.raises(PoseUnavailable, match=problem):
        filled(0.0, 0.1, 0.2).at(stamp(seconds))


def test_at_one_nanosecond_after_newest_is_refused() -> None:
    buffer = filled(0.0, 0.1)
    buffer.at(stamp(0.1))
    with pytest.raises(PoseUnavailable, match="older than the image"):
        buffer.at(stamp(0.1) + 1)


def test_expected_at_extrapolates_up_to_max_gap() -> None:
    buffer = filled(0.0, 0.1, 0.2)
    for seconds in (0.05, 0.2, 0.25, 0.4):
        expected = buffer.expected_at(stamp(seconds))
        assert expected.position_m == pytest.approx(straight(seconds).position_m, abs=1e-7)
        assert angle_between(expected.quaternion, straight(seconds).quaternion) < 1e-3
    for seconds in (-0.1, 0.41):
        with pytest.raises(PoseUnavailable, match="pose is"):
            buffer.expected_at(stamp(seconds))
    for poses in ((), (0.1,), (0.0, 0.3)):
        with pytest.raises(PoseUnavailable):
            filled(*poses).expected_at(stamp(0.31))


def test_at_empty_buffer_or_single_pose_gives_reason() -> None:
    with pytest.raises(PoseUnavailable, match="no pose has been received"):
        PoseBuffer().at(START_NS)
    with pytest.raises(PoseUnavailable, match="single pose"):
        filled(0.0).at(START_NS)


def test_at_wide_gap_is_refused() -> None:
    buffer = filled(0.0, 0.1, 0.4, 0.5, max_gap_s=0.2)
    buffer.at(stamp(0.05))
    with pytest.raises(PoseUnavailable, match="300 ms apart, more than 200 ms"):
        buffer.at(stamp(0.25))
    buffer.at(stamp(0.45))


def test_push_late_poses_are_accepted() -> None:
    moving = filled(0.2, 0.0, 0.3, 0.1, 0.4).at(stamp(0.15))
    assert moving.pose.position_m == pytest.approx([0.3, 1, 3])


@pytest.mark.parametrize("lap_s", [0.2, 0.4, 0.9, 1.0, 1.1])
def test_at_clock_set_back_gives_poses_of_the_present_lap(lap_s: float) -> None:
    buffer = PoseBuffer()
    moments = np.arange(0, lap_s, 0.02)
    answered = 0
    for lap in range(4):
        for moment in moments:
            # Each lap is flown 50 m further on.
            buffer.push(stamp(moment), Pose.of((2 * moment + 50.0 * lap, 1, 3), (0, 0, 0, 1)))
            try:
                x_m = buffer.at(stamp(moment - 0.01)).pose.position_m[0]
            except PoseUnavailable:
                continue
            assert x_m == pytest.approx(2 * (moment - 0.01) + 50.0 * lap, abs=1e-6), (lap, moment)
            answered += 1
    assert buffer.time_jumps == 3
    # At most three poses after each jump are needed to notice it.
    assert answered >= 4 * (len(moments) - 3)


def asked_until_answered(buffer: PoseBuffer, seconds: float, answers: list[MovingPose]) -> threading.Thread:
    """Ask in a thread; again where a busy machine pauses so long that the source counts as stopped."""

    def ask() -> None:
        while not answers:
            with contextlib.suppress(PoseUnavailable):
                answers.append(buffer.at(stamp(seconds), 60.0))

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    return thread


def test_at_image_after_small_step_back_waits_for_poses_that_show_its_lap() -> None:
    buffer = filled(*np.arange(0, 1, 0.02))
    buffer.at(stamp(0.97))
    with pytest.raises(PoseUnavailable, match="time was set back and no pose has been received since"):
        buffer.at(stamp(0.5))
    answers: list[MovingPose] = []
    asked = asked_until_answered(buffer, 0.5, answers)
    for moment in np.arange(0.44, 0.56, 0.02):
        buffer.push(stamp(moment), straight(9.0))
    asked.join(60.0)
    assert answers[0].pose.position_m == pytest.approx(straight(9.0).position_m)


def test_at_late_image_waits_for_the_pose_that_continues() -> None:
    buffer = filled(*np.arange(0, 1, 0.02))
    buffer.at(stamp(0.97))
    with pytest.raises(PoseUnavailable):
        buffer.at(stamp(0.5))
    answers: list[MovingPose] = []
    asked = asked_until_answered(buffer, 0.5, answers)
    moment = 1.0
    while asked.is_alive():
        buffer.push(stamp(moment), straight(moment))
        moment += 0.001
        time.sleep(0.001)
    assert answers[0].pose.position_m == pytest.approx(straight(0.5).position_m, abs=1e-6)
    assert buffer.time_jumps == 0


def test_push_same_stamp_replaces_pose() -> None:
    buffer = filled(0.0, 0.1)
    corrected = straight(0.1).position_m + [0.05, 0, 0]
    buffer.push(stamp(0.1), Pose.of(corrected, straight(0.1).quaternion))
    assert buffer.at(stamp(0.1)).pose.position_m == pytest.approx(corrected)


@pytest.mark.parametrize(("x_m", "yaw_rad"), [(3.0, 0.0), (0.0, 0.5)])
def test_at_two_contradictory_poses_of_one_stamp_are_refused(x_m: float, yaw_rad: float) -> None:
    buffer = filled(0.0, 0.1)
    other = Pose.of((x_m, 0, 0), rotations.from_euler(0, 0, yaw_rad))
    buffer.push(stamp(0.1), straight(0.1).compose(other))
    for seconds in (0.2, 0.3):
        buffer.push(stamp(seconds), straight(seconds))
    for seconds in (0.05, 0.1, 0.15):
        with pytest.raises(PoseUnavailable, match=r"two poses of one stamp differ by .*do two nodes publish it"):
            buffer.at(stamp(seconds))
    assert buffer.at(stamp(0.25)).pose.position_m == pytest.approx(straight(0.25).position_m)


def test_at_contradiction_is_forgotten_when_the_clock_is_set_back() -> None:
    buffer = filled(10.0, 10.1)
    buffer.push(stamp(10.1), Pose.of((50, 0, 0), (0, 0, 0, 1)))
    for seconds in (0.0, 0.1, 10.1, 10.2):
        buffer.push(stamp(seconds), straight(seconds))
    assert buffer.at(stamp(10.15)).pose.position_m == pytest.approx(straight(10.15).position_m)


def test_push_old_poses_are_dropped() -> None:
    buffer = filled(*np.arange(0, 12, 0.1), history_s=5.0)
    with pytest.raises(PoseUnavailable, match="younger than the image"):
        buffer.at(stamp(6.0))
    assert buffer.at(stamp(8.05)).pose.position_m == pytest.approx([16.1, 1, 3])


def test_push_restarted_bag_is_followed() -> None:
    buffer = filled(*np.arange(0, 30, 0.1))
    for moment in (0.0, 0.1):
        buffer.push(stamp(moment), straight(moment))
    assert buffer.at(stamp(0.05)).pose.position_m == pytest.approx([0.1, 1, 3])
    with pytest.raises(PoseUnavailable, match="older than the image"):
        buffer.at(stamp(29.85))


def test_at_poses_from_before_clock_set_back_are_not_used() -> None:
    buffer = filled(*np.arange(0, 3, 0.1))
    buffer.push(stamp(0.5), straight(9.0))
    with pytest.raises(PoseUnavailable):
        buffer.at(stamp(0.45))
    buffer.push(stamp(0.6), straight(9.0))
    assert buffer.at(stamp(0.55)).pose.position_m == pytest.approx(straight(9.0).position_m)


def test_clear_empties_the_buffer() -> None:
    buffer = filled(0.0, 0.1)
    buffer.clear()
    with pytest.raises(PoseUnavailable, match="no pose has been received"):
        buffer.at(stamp(0.05))


def test_at_waits_for_following_pose() -> None:
    buffer = filled(0.0, 0.1)
    sender = threading.Timer(0.1, buffer.push, (stamp(0.2), straight(0.2)))
    sender.start()
    try:
        moving = buffer.at(stamp(0.15), timeout_s=20)
    finally:
        sender.join()
    assert moving.pose.position_m == pytest.approx([0.3, 1, 3])


def test_at_fetches_following_pose_while_another_thread_pushes() -> None:
    fetches: list[float] = []

    def fetch() -> None:
        fetches.append(time.monotonic())
        # Would wait for ever for the lock of a caller that holds it while it fetches.
        pushing = threading.Thread(target=buffer.push, args=(stamp(0.1), straight(0.1)))
        pushing.start()
        pushing.join()
        if len(fetches) == 3:
            buffer.push(stamp(0.2), straight(0.2))

    buffer = PoseBuffer(fetch=fetch)
    for moment in (0.0, 0.1):
        buffer.push(stamp(moment), straight(moment))
    assert buffer.at(stamp(0.15), timeout_s=20).pose.position_m == pytest.approx([0.3, 1, 3])
    assert len(fetches) == 3
    buffer.at(stamp(0.16), timeout_s=20)
    assert len(fetches) == 3


def test_at_fetch_without_new_pose_ends_at_timeout(clock: SimulatedTime) -> None:
    buffer = PoseBuffer(fetch=lambda: None)
    for moment in (0.0, 0.1):
        buffer.push(stamp(moment), straight(moment))
    with pytest.raises(PoseUnavailable, match="50 ms older than the image"):
        buffer.at(stamp(0.15), timeout_s=0.1)
    assert sum(clock.waits_s) == pytest.approx(0.1, abs=1e-3)


def test_at_wait_ends_on_clear(clock: SimulatedTime) -> None:
    buffer = filled(0.0, 0.1)
    clock.on_wait = buffer.clear
    with pytest.raises(PoseUnavailable, match="no pose has been received"):
        buffer.at(stamp(0.15), timeout_s=20)
    assert len(clock.waits_s) == 1


def test_clear_wakes_a_thread_that_waits() -> None:
    buffer = filled(0.0, 0.1)
    buffer.clear()
    with buffer._changed:
        end = threading.Timer(0.1, buffer.clear)
        end.start()
        assert buffer._changed.wait(PATIENCE_S)
    end.join()


def test_at_wait_ends_at_timeout(clock: SimulatedTime) -> None:
    with pytest.raises(PoseUnavailable, match="50 ms older than the image"):
        filled(0.0, 0.1).at(stamp(0.15), timeout_s=0.1)
    assert sum(clock.waits_s) == pytest.approx(0.1, abs=1e-3)


def test_at_without_source_or_with_pose_does_not_wait(clock: SimulatedTime) -> None:
    with pytest.raises(PoseUnavailable):
        PoseBuffer().at(START_NS, timeout_s=30)
    filled(0.0, 0.1).at(stamp(0.05), timeout_s=30)
    assert clock.waits_s == []


def test_buffer_concurrent_push_and_at_is_consistent() -> None:
    buffer = filled(0.0, 0.1, history_s=60.0)
    moments = np.arange(0.2, 20, 0.1)
    sender = threading.Thread(target=lambda: [buffer.push(stamp(m), straight(m)) for m in moments])
    sender.start()
    answers = []
    for moment in moments[:-1:10]:
        answers.append(buffer.at(stamp(moment), timeout_s=20).pose.position_m[0] / moment)
        assert answers[-1] == pytest.approx(2)
    sender.join()
    assert len(answers) == 20


def flown(*poses: tuple[float, Pose], limits: MotionLimits | None = None) -> PoseBuffer:
    buffer = PoseBuffer(limits)
    for seconds, pose in poses:
        buffer.push(stamp(seconds), pose)
    return buffer


def facing(yaw_deg: float, x_m: float = 0.0) -> Pose:
    return Pose.of((x_m, 0, 0), rotations.from_euler(0, 0, np.deg2rad(yaw_deg)))


def test_at_gimbal_flip_is_refused_only_across_it() -> None:
    flip = flown((0.0, facing(0)), (0.1, facing(1)), (0.12, facing(178)), (0.22, facing(177)))
    with pytest.raises(PoseUnavailable, match=r"turn by 177 deg in 20 ms \(a gimbal flip\?\), faster than 360 deg/s"):
        flip.at(stamp(0.11))
    assert np.rad2deg(angle_between(flip.at(stamp(0.05)).pose.quaternion, facing(0.5).quaternion)) < 0.01
    assert np.rad2deg(angle_between(flip.at(stamp(0.17)).pose.quaternion, facing(177.5).quaternion)) < 0.01


def test_at_position_jump_is_refused() -> None:
    jump = flown((0.0, facing(0, 0)), (0.1, facing(0, 0.5)), (0.2, facing(0, 12.0)), (0.3, facing(0, 12.5)))
    with pytest.raises(PoseUnavailable, match=r"11\.50 m apart in 100 ms \(a jump of the estimate\?\).* 50 m/s"):
        jump.at(stamp(0.15))
    assert jump.at(stamp(0.25)).velocity_m_s == pytest.approx([5, 0, 0])


@settings(deadline=None)
@given(st.floats(0, 350), st.floats(0, 49), st.floats(0.001, 0.2))
def test_at_fast_plausible_motion_is_interpolated(rate_deg_s: float, speed_m_s: float, gap_s: float) -> None:
    buffer = flown((0.0, facing(0)), (gap_s, facing(rate_deg_s * gap_s, speed_m_s * gap_s)))
    assert buffer.at(stamp(gap_s / 2)).pose.position_m[0] == pytest.approx(speed_m_s * gap_s / 2, abs=1e-5)


def test_at_scatter_of_close_estimates_is_accepted() -> None:
    buffer = flown((0.0, facing(0)), (1e-4, facing(2.0, 0.05)))
    assert buffer.at(stamp(5e-5)).pose.position_m[0] == pytest.approx(0.025, abs=1e-3)


def test_at_configured_limits_apply() -> None:
    slow = MotionLimits(max_turn_rate_rad_s=np.deg2rad(90), max_speed_m_s=1.0)
    with pytest.raises(PoseUnavailable, match="faster than 90 deg/s"):
        flown((0.0, facing(0)), (0.1, facing(13)), limits=slow).at(stamp(0.05))
    with pytest.raises(PoseUnavailable, match="faster than 1 m/s"):
        flown((0.0, facing(0)), (0.1, facing(0, 0.3)), limits=slow).at(stamp(0.05))


def test_at_different_clock_epochs_are_reported() -> None:
    since_boot = flown((0.0, facing(0)), (0.1, facing(0)))
    with pytest.raises(PoseUnavailable, match=r"1700000000 s \(do both use the same clock\?\) younger than the image"):
        since_boot.at(0)


def test_at_returns_estimator_covariance() -> None:
    buffer = PoseBuffer()
    for seconds, factor in ((0.0, 1.0), (0.1, 3.0), (0.2, 3.0)):
        buffer.push(stamp(seconds), facing(0), factor * np.eye(6))
    buffer.push(stamp(0.3), facing(0))
    assert buffer.at(stamp(0.05)).covariance == pytest.approx(2 * np.eye(6))
    at_camera = buffer.at(stamp(0.15)).compose(Pose.of((0, 0, 1), (0, 0, 0, 1))).covariance
    assert buffer.at(stamp(0.25)).covariance is None
    assert at_camera is not None
    assert np.diag(at_camera) == pytest.approx([6, 6, 3, 3, 3, 3])
