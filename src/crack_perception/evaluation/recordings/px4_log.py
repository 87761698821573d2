# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Poses and ranges of a PX4 flight log (ULog), in ROS axes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from crack_perception.errors import UserError
from crack_perception.geometry.poses.pose import Pose
from crack_perception.geometry.poses.px4 import swap_conventions

Array = npt.NDArray[np.float64]
Stamps = npt.NDArray[np.int64]

FORWARD, DOWNWARD = 0, 25
"""Orientations of a distance sensor (MAV_SENSOR_ORIENTATION)."""

_TOPICS = ("vehicle_local_position", "vehicle_attitude", "distance_sensor", "vehicle_gps_position", "sensor_gps")
_MOST_BYTES = 8 << 30
_POSE_INTERVAL_NS = 20_000_000
# An attitude farther from any position has no pose.
_MOST_GAP_NS = 500_000_000
_LEAST_UTC_US = 1_000_000_000_000_000


@dataclass(frozen=True, eq=False)
class Px4Log:
    """Contents of a log.

    Attributes:
        stamps_ns: (N,) stamps of the poses, ascending.
        poses: Pose of the body (x forward, y left, z up) in the map (x east, y north, z up).
        range_stamps_ns, ranges_m: (R,) readings of the distance sensor.
        start_ns: Stamp of the start of the log.
        notes: Remarks for the user.
    """

    stamps_ns: Stamps
    poses: tuple[Pose, ...]
    range_stamps_ns: Stamps
    ranges_m: Array
    start_ns: int
    notes: tuple[str, ...]


def read_px4_log(path: Path, orientation: int = FORWARD) -> Px4Log:
    """Read a log.

    Args:
        path: The ``.ulg`` file.
        orientation: Direction of the distance sensor that is used.

    Raises:
        UserError: The file cannot be read, is no ULog, or holds no valid position and attitude.
    """
    try:
        from pyulog import ULog
    except ImportError as error:
        raise UserError("a flight log needs pyulog", "pip install 'crack_perception[ulog]'") from error
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise UserError(f"{path}: is larger than {_MOST_BYTES >> 30} GiB", "Give a shorter log")
        log = ULog(str(path), list(_TOPICS))
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})", "Check the path") from error
    except UserError:
        raise
    except Exception as error:  # pyulog has no error of its own for damaged files
        raise UserError(f"{path}: is no flight log of PX4 ({error})", "Give a .ulg file") from error
    notes = ["the log is damaged, what precedes the damage is used"] if log.file_corruption else []
    position, attitude = _topic(log, "vehicle_local_position"), _topic(log, "vehicle_attitude")
    if position is None or attitude is None:
        raise UserError(
            f"{path}: holds no vehicle_local_position or no vehicle_attitude",
            "Log them (SDLOG_PROFILE), or check the file",
        )
    offset_ns, note = _utc_offset_ns(log, path)
    notes.append(note)
    stamps, poses = _poses(position, attitude)
    if not len(stamps):
        raise UserError(f"{path}: holds no valid position", "Give a log of a flight with a position estimate")
    ranges = _ranges(log, orientation)
    if not len(ranges[0]):
        notes.append(f"there is no distance sensor of the orientation {orientation}: give planes or a standoff")
    return Px4Log(
        stamps + offset_ns,
        poses,
        ranges[0] + offset_ns,
        ranges[1],
        1000 * int(log.start_timestamp) + offset_ns,
        tuple(notes),
    )


def _topic(log: Any, name: str) -> dict[str, Any] | None:
    """Return the columns of the first instance of a topic that has rows."""
    for data in log.data_list:
        if data.name == name and len(data.data.get("timestamp", ())):
            return dict(data.data)
    return None


def _times_ns(columns: dict[str, Any]) -> Stamps:
    """Return the times of measurement [ns since boot]: those of the sample where they are logged."""
    sampled = columns.get("timestamp_sample")
    times = columns["timestamp"] if sampled is None or not np.any(sampled) else sampled
    return 1000 * np.asarray(times, np.int64)


def _poses(position: dict[str, Any], attitude: dict[str, Any]) -> tuple[Stamps, tuple[Pose, ...]]:
    """Return poses at the times of attitudes between valid positions, at most 50 a second."""
    at_ns, points_m = _times_ns(position), np.stack([np.asarray(position[axis], np.float64) for axis in "xyz"], axis=1)
    is_valid = np.isfinite(points_m).all(axis=1)
    for name in ("xy_valid", "z_valid"):
        if name in position:
            is_valid &= np.asarray(position[name], bool)
    at_ns, points_m = at_ns[is_valid], points_m[is_valid]
    times_ns = _times_ns(attitude)
    quaternions = np.stack([np.asarray(attitude[f"q[{n}]"], np.float64) for n in (1, 2, 3, 0)], axis=1)
    stamps: list[int] = []
    poses: list[Pose] = []
    if not len(at_ns):
        return np.empty(0, np.int64), ()
    for stamp, quaternion in zip(times_ns.tolist(), quaternions, strict=True):
        following = int(np.searchsorted(at_ns, stamp))
        inside = at_ns[0] <= stamp <= at_ns[-1]
        if not inside or (stamps and stamp - stamps[-1] < _POSE_INTERVAL_NS):
            continue
        following = max(following, 1)
        if len(at_ns) > 1 and at_ns[following] - at_ns[following - 1] > _MOST_GAP_NS:
            continue
        point = [float(np.interp(stamp, at_ns, points_m[:, axis])) for axis in range(3)]
        try:
            pose = swap_conventions(Pose.of(point, quaternion))
        except ValueError:
            continue
        stamps.append(stamp)
        poses.append(pose)
    return np.array(stamps, np.int64), tuple(poses)


def _ranges(log: Any, orientation: int) -> tuple[Stamps, Array]:
    for data in log.data_list:
        columns = data.data
        if data.name != "distance_sensor" or not len(columns.get("timestamp", ())):
            continue
        distances = np.asarray(columns["current_distance"], np.float64)
        is_used = np.isfinite(distances) & (distances > 0)
        if "orientation" in columns:
            is_used &= np.asarray(columns["orientation"]) == orientation
        for name, compare in (("min_distance", np.greater), ("max_distance", np.less)):
            if name in columns:
                is_used &= compare(distances, np.asarray(columns[name], np.float64))
        if "signal_quality" in columns:
            is_used &= np.asarray(columns["signal_quality"]) != 0
        if is_used.any():
            return _times_ns(columns)[is_used], distances[is_used]
    return np.empty(0, np.int64), np.empty(0)


def _utc_offset_ns(log: Any, path: Path) -> tuple[int, str]:
    """Return the time of boot [ns since 1970], and a remark about where it is from."""
    for name in ("vehicle_gps_position", "sensor_gps"):
        columns = _topic(log, name)
        if columns is not None and "time_utc_usec" in columns:
            utc, boot = np.asarray(columns["time_utc_usec"], np.int64), np.asarray(columns["timestamp"], np.int64)
            known = utc > _LEAST_UTC_US
            if known.any():
                return 1000 * int(np.median(utc[known] - boot[known])), "times are those of the GPS receiver"
    end_ns = 1000 * int(log.last_timestamp)
    return path.stat().st_mtime_ns - end_ns, "the log has no GPS time: times are taken from the date of the file"
