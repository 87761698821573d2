# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Tree of moving coordinate frames from tf: one stamped history per edge, evaluated along chains at an image's stamp.

Unlike tf2's buffer it rejects gaps and implausible motion on every edge, and does not interpolate across a jump back in
time or a change of the parent frame. Positions and attitudes are interpolated as in tf2, edge by edge.
"""

from __future__ import annotations

import difflib
import threading
import time
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np

from crack_perception.geometry.poses.buffer import wait_for_pose
from crack_perception.geometry.poses.motion import MotionLimits, MovingPose, PoseUnavailable
from crack_perception.geometry.poses.pose import Pose
from crack_perception.geometry.poses.px4 import names_down
from crack_perception.geometry.poses.track import BEFORE_JUMP, NEVER_NS, PoseTrack

# Cosine from which an axis counts as pointing up.
_UP = 0.5
# Limit on the number of frames: frame names that never repeat must not fill the memory.
MAX_FRAMES = 512
_DEEPEST_CHAIN = 64


class MountedPose(NamedTuple):
    """Answer of the tree: the motion of a frame, the pose of what carries it, and its fixed pose on that."""

    motion: MovingPose
    carrier: Pose
    mount: Pose


class _Moment(NamedTuple):
    """Question for a chain: stamp, newest sequence number when it was first asked, time that is extrapolated."""

    stamp_ns: int
    asked_at: int
    beyond_ns: int = 0


class _Step(NamedTuple):
    """Edge of a chain: pose of the child in its parent, track (None: static), oldest sequence number."""

    child: str
    parent: str
    motion: MovingPose
    track: PoseTrack | None
    number: int


class _Missing(PoseUnavailable):
    """An edge has no pose; ``track`` may still receive it."""

    def __init__(self, text: str, track: PoseTrack | None = None, is_old: bool = False) -> None:
        super().__init__(text)
        self.track = track
        self.is_old = is_old


class TransformTree:
    """Thread-safe tree of frames, filled by one thread and queried by another.

    Args:
        limits: Plausible motion between two neighbouring poses of an edge.
        history_s: Time for which poses are kept [s].
        fetch: As in PoseBuffer.
    """

    def __init__(
        self,
        limits: MotionLimits | None = None,
        history_s: float = 10.0,
        fetch: Callable[[], object] | None = None,
    ) -> None:
        self._limits = limits or MotionLimits()
        self._history_s = history_s
        self._fetch = fetch
        self._fixed: dict[str, tuple[str, Pose]] = {}
        self._tracks: dict[str, PoseTrack] = {}
        # With two poses or more: a single one that names a frame by mistake does not put its static pose out of use.
        self._moving: set[str] = set()
        self._changed = threading.Condition()
        self._number = 0
        self._answered = (NEVER_NS, 0)
        self._used: tuple[PoseTrack, ...] = ()

    def push(self, parent: str, child: str, stamp_ns: int, pose: Pose) -> None:
        """Add a pose of a moving frame; from the second pose on a static pose of the same frame is ignored.

        Raises:
            ValueError: A frame without a name, a frame that is its own parent, or too many frames.
        """
        parent, child = self._checked(parent, child)
        with self._changed:
            track = self._tracks.get(child)
            if track is None:
                self._check_room(child)
                track = self._tracks[child] = PoseTrack(self._limits, self._history_s)
            else:
                self._moving.add(child)
            self._number += 1
            track.push(self._number, stamp_ns, pose, None, parent)
            self._changed.notify_all()

    def push_static(self, parent: str, child: str, pose: Pose) -> None:
        """Add or replace the pose of a frame that is fixed in its parent.

        Raises:
            ValueError: As in ``push``.
        """
        parent, child = self._checked(parent, child)
        with self._changed:
            self._check_room(child)
            self._fixed[child] = (parent, pose)
            self._changed.notify_all()

    def set_back(self, now_ns: int) -> None:
        """Drop moving poses from before the clock was set back to ``now_ns``."""
        with self._changed:
            for track in self._tracks.values():
                track.set_back(self._number + 1, now_ns)

    def clear(self) -> None:
        """Drop everything and end any wait in ``at``."""
        with self._changed:
            self._fixed.clear()
            self._tracks.clear()
            self._moving.clear()
            self._used = ()
            self._answered = (NEVER_NS, 0)
            self._changed.notify_all()

    @property
    def time_jumps(self) -> int:
        """Largest number of times the clock was set back on any edge."""
        with self._changed:
            return max((track.restarts for track in self._tracks.values()), default=0)

    @property
    def silence_s(self) -> float | None:
        """Longest time since the last arrival on an edge of the last answer [s]; None before the first answer."""
        with self._changed:
            now_s = time.monotonic()
            silences = [track.arrivals.silence_s(now_s) for track in self._used]
            return max((silence for silence in silences if silence is not None), default=None)

    @property
    def has_stopped(self) -> bool:
        """Whether an edge of the last answer no longer arrives."""
        with self._changed:
            now_s = time.monotonic()
            return any(not track.arrivals.patience_s(now_s) for track in self._used)

    def at(self, target: str, source: str, stamp_ns: int, timeout_s: float = 0.0) -> MovingPose:
        """Return the source frame in the target frame at a stamp; wait up to ``timeout_s`` for expected poses.

        Raises:
            PoseUnavailable: The frames are not connected, an edge between them has no pose at this stamp (as in
                ``PoseTrack.at``) or none since the clock was set back, or a frame between them is named for axes whose
                z points down and it points up.
        """
        return self.mounted_at(target, source, stamp_ns, timeout_s).motion

    def mounted_at(self, target: str, source: str, stamp_ns: int, timeout_s: float = 0.0) -> MountedPose:
        """Return the same with the moving and the fixed part of the chain.

        Raises:
            PoseUnavailable: As in ``at``.
        """
        target, source = stripped(target), stripped(source)
        with self._changed:
            asked_at = self._number
            return wait_for_pose(
                self._changed,
                timeout_s,
                lambda: self._answer(target, source, stamp_ns, asked_at),
                lambda left_s: self._patience_s(target, source, stamp_ns, asked_at, left_s),
                self._fetch,
            )

    def expected_at(self, target: str, source: str, stamp_ns: int) -> Pose:
        """Return the same without waiting, each edge extrapolated by at most ``max_gap_s``.

        Raises:
            PoseUnavailable: As in ``at``.
        """
        with self._changed:
            moment = _Moment(stamp_ns, -1, int(self._limits.max_gap_s * 1e9))
            return self._chain(stripped(target), stripped(source), moment)[0].motion.pose

    def _answer(self, target: str, source: str, stamp_ns: int, asked_at: int) -> MountedPose:
        found, steps = self._chain(target, source, _Moment(stamp_ns, asked_at))
        self._used = tuple(step.track for step in steps if step.track is not None)
        self._answered = (stamp_ns, self._number)
        return found

    def _patience_s(self, target: str, source: str, stamp_ns: int, asked_at: int, left_s: float) -> float:
        try:
            self._chain(target, source, _Moment(stamp_ns, asked_at))
        except _Missing as error:
            track = error.track
            if track is None or not (error.is_old or track.may_reach(stamp_ns, left_s)):
                return 0.0
            return track.arrivals.patience_s(time.monotonic())
        return 0.0

    def _chain(self, target: str, source: str, moment: _Moment) -> tuple[MountedPose, list[_Step]]:
        """Return the source in the target and the edges between them."""
        if not source:
            raise _Missing("the image has no frame_id, so tf cannot locate it")
        up, missing_above_source = self._climb(source, target, moment)
        reached = {source: 0} | {step.parent: index + 1 for index, step in enumerate(up)}
        down: list[_Step] = []
        if target not in reached:
            down, missing_above_target = self._climb(target, "", moment, reached)
            meeting = down[-1].parent if down else target
            if meeting not in reached:
                raise missing_above_source or missing_above_target or _Missing(self._not_connected(target, source))
        else:
            meeting = target
        up = up[: reached[meeting]]
        _check_same_time([*up, *down])
        _check_axes(up, down, target)
        fixed = next((index for index, step in enumerate(up) if step.track is not None), len(up))
        mount = _composed(up[:fixed]).pose
        carrier = _composed(up[fixed:])
        if down:
            carrier = _composed(down).inverse().compose_moving(carrier)
        return MountedPose(carrier.compose(mount), carrier.pose, mount), [*up, *down]

    def _climb(
        self, frame: str, goal: str, moment: _Moment, goals: dict[str, int] | None = None
    ) -> tuple[list[_Step], _Missing | None]:
        """Return the edges from a frame up to a goal, the root or an edge without a pose, and the error of the last."""
        steps: list[_Step] = []
        seen = {frame}
        while frame != goal and not (goals and frame in goals):
            try:
                step = self._edge_at(frame, moment)
            except _Missing as error:
                return steps, error
            if step is None:
                break
            steps.append(step)
            frame = step.parent
            if frame in seen or len(steps) > _DEEPEST_CHAIN:
                names = " -> ".join([steps[0].child, *(step.parent for step in steps[:8])])
                return steps[:-1], _Missing(f"the frames form a loop or a chain that is too long: {names}")
            seen.add(frame)
        return steps, None

    def _edge_at(self, child: str, moment: _Moment) -> _Step | None:
        """Return the edge above a frame; None for a root."""
        track, fixed = self._tracks.get(child), self._fixed.get(child)
        if fixed is not None and child not in self._moving:
            return _Step(child, fixed[0], MovingPose(fixed[1], np.zeros(3), np.zeros(3)), None, 0)
        if track is None:
            return None
        if track.is_from_before_jump(moment.stamp_ns, *self._answered, moment.asked_at):
            raise _Missing(f"'{child}': {BEFORE_JUMP}", track, True)
        try:
            found = track.at(moment.stamp_ns, moment.beyond_ns)
        except PoseUnavailable as error:
            raise _Missing(f"'{child}' in '{track.newest_parent}': {error}", track) from error
        return _Step(child, found.parent, found.motion, track, found.number)

    def _not_connected(self, target: str, source: str) -> str:
        known = set(self._frames())
        for frame in (source, target):
            if frame not in known:
                base = frame.rpartition("/")[2]
                alike = sorted(name for name in known if name.rpartition("/")[2] == base)
                alike += difflib.get_close_matches(frame, known - set(alike), 2)
                hint = f"; it has {', '.join(repr(name) for name in alike[:3])}" if alike else ""
                return f"tf has no frame '{frame}'{hint}" if known else "no transform has been received"
        return f"tf does not connect '{target}' and '{source}'"

    def _frames(self) -> Iterator[str]:
        """Names of all frames."""
        for child, (parent, _) in self._fixed.items():
            yield from (child, parent)
        for child, track in self._tracks.items():
            yield from (child, *filter(None, [track.newest_parent]))

    def _checked(self, parent: str, child: str) -> tuple[str, str]:
        parent, child = stripped(parent), stripped(child)
        if not parent or not child:
            raise ValueError(f"a transform from '{parent}' to '{child}' lacks a frame's name")
        if parent == child:
            raise ValueError(f"frame '{child}' is its own parent")
        return parent, child

    def _check_room(self, child: str) -> None:
        is_new = child not in self._tracks and child not in self._fixed
        if is_new and len(self._tracks) + len(self._fixed) >= MAX_FRAMES:
            raise ValueError(f"frame '{child}' exceeds the limit of {MAX_FRAMES} frames")


def stripped(frame: str) -> str:
    """Return a frame's name without the leading slash that ROS 1 allowed."""
    return frame.lstrip("/")


def _check_same_time(steps: list[_Step]) -> None:
    """Check that no edge's poses are from before the clock was set back on another edge of the chain.

    Raises:
        PoseUnavailable: An edge has such poses.
    """
    tracks = [step.track for step in steps if step.track is not None]
    latest = max(tracks, key=lambda track: track.restarted_at, default=None)
    if latest is None or not latest.restarted_at:
        return
    for step in steps:
        if step.track is not None and step.track.predates_jump_of(latest, step.number):
            raise _Missing(f"'{step.child}' in '{step.parent}': {BEFORE_JUMP}", step.track, True)


def _check_axes(up: list[_Step], down: list[_Step], target: str) -> None:
    """Check that the z axis points down in the target for every frame between the ends that is named so.

    Raises:
        PoseUnavailable: The transforms of such a frame are not rotated against those of frames with z upwards.
    """
    for index, step in enumerate(up):
        if index and names_down(step.child):
            pose = _composed(up[index:]).pose
            _check_down(step.child, _composed(down).pose.inverse().compose(pose) if down else pose, target)
    for index, step in enumerate(down):
        if step.parent != target and names_down(step.parent):
            _check_down(step.parent, _composed(down[: index + 1]).pose.inverse(), target)


def _check_down(frame: str, pose: Pose, target: str) -> None:
    if pose.rotation[2, 2] > _UP:
        raise _Missing(
            f"frame '{frame}' is named for axes whose z points down (NED or FRD), but it points up in '{target}'. "
            f"Publish '{frame}' rotated against its parent, or all transforms in ENU and FLU axes (REP 103)"
        )


def _composed(steps: list[_Step]) -> MovingPose:
    """Compose a chain of edges, given from the bottom up: lowest child in highest parent."""
    if not steps:
        return MovingPose(Pose.identity(), np.zeros(3), np.zeros(3))
    motion = steps[-1].motion
    for step in reversed(steps[:-1]):
        motion = motion.compose(step.motion.pose) if step.track is None else motion.compose_moving(step.motion)
    return motion
