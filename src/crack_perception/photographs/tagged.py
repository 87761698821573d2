# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Poses in the tags of photographs, as a table in east, north and up."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from crack_perception.geometry.poses.pose import Pose
from crack_perception.mapping.export.geographic import GeographicOrigin
from crack_perception.photographs.dji import GIMBAL_SIGMA_RAD, TaggedPose, pose_in
from crack_perception.photographs.earth import levelled_camera, local_position
from crack_perception.photographs.found import FoundPicture
from crack_perception.photographs.table import PoseTable, TableEntry, Unusable

TAGS = "EXIF and XMP"
"""Format of tables from tags."""


def tagged_table(
    found: Mapping[str, FoundPicture], altitude: str, wanted: tuple[float, float, float] | None
) -> PoseTable:
    """Return the poses in the tags, in east, north and up at an origin."""
    poses: dict[str, TaggedPose] = {}
    unusable: dict[str, Unusable] = {}
    for name, each in found.items():
        if each.problem is None:
            try:
                poses[name] = pose_in(each.tags)
            except Unusable as problem:
                unusable[name] = problem
    heights_m, note = _heights(poses, altitude)
    for name in [name for name in poses if name not in heights_m]:
        unusable[name] = Unusable("no_position", f"its tags hold no {altitude} height")
        del poses[name]
    if not poses:
        return PoseTable(TAGS, {}, unusable)
    first = next(iter(poses))
    origin = GeographicOrigin(*(wanted or (poses[first].latitude_deg, poses[first].longitude_deg, heights_m[first])))
    entries = {
        name: TableEntry(
            pose=Pose.of(
                local_position(origin, pose.latitude_deg, pose.longitude_deg, heights_m[name]),
                levelled_camera(pose.yaw_deg, pose.pitch_deg, pose.roll_deg),
            ),
            position_sigma_m=np.array(pose.sigma_m),
            attitude_sigma_rad=GIMBAL_SIGMA_RAD,
            is_level=True,
            range_m=pose.range_m,
        )
        for name, pose in poses.items()
    }
    fixed = sum(pose.has_rtk for pose in poses.values())
    rtk = f"{fixed} of {len(poses)} positions have a fixed RTK solution"
    return PoseTable(
        TAGS, entries, unusable, origin, notes=(rtk, note, *_take_off(poses, heights_m, origin.altitude_m))
    )


def _take_off(poses: Mapping[str, TaggedPose], heights_m: Mapping[str, float], origin_m: float) -> list[str]:
    """Return a remark about the height of the take-off place in the map, where the tags hold the one above it."""
    found_m = [heights_m[name] - pose.relative_m for name, pose in poses.items() if pose.relative_m is not None]
    if not found_m:
        return []
    height_m = float(np.median(found_m)) - origin_m
    return [f"the take-off place is at a height of {height_m:.2f} m in the map (mission --home-height={height_m:.2f})"]


def _heights(poses: Mapping[str, TaggedPose], altitude: str) -> tuple[dict[str, float], str]:
    """Return the heights that are used by name, and a remark about them.

    Without RTK, the barometric height above the take-off is more consistent than the absolute one; the difference of
    both, the height of the take-off, brings it to the datum of the absolute heights.
    """
    if altitude != "auto":
        chosen = {name: pose.relative_m if altitude == "relative" else pose.absolute_m for name, pose in poses.items()}
        return {name: height_m for name, height_m in chosen.items() if height_m is not None}, (
            "heights are above the take-off" if altitude == "relative" else "heights are absolute"
        )
    both = [pose for pose in poses.values() if pose.absolute_m is not None and pose.relative_m is not None]
    trusted = [pose for pose in both if pose.has_rtk] or both
    if not trusted:
        only = {name: pose.absolute_m for name, pose in poses.items()}
        if not any(height_m is not None for height_m in only.values()):
            return {name: pose.relative_m or 0.0 for name, pose in poses.items()}, "heights are above the take-off"
        return {name: height_m for name, height_m in only.items() if height_m is not None}, "heights are absolute"
    take_off_m = float(np.median([(pose.absolute_m or 0.0) - (pose.relative_m or 0.0) for pose in trusted]))
    heights_m: dict[str, float] = {}
    barometric = 0
    for name, pose in poses.items():
        if pose.relative_m is not None and (pose.absolute_m is None or not pose.has_rtk):
            heights_m[name] = take_off_m + pose.relative_m
            barometric += 1
        elif pose.absolute_m is not None:
            heights_m[name] = pose.absolute_m
    if not barometric:
        return heights_m, "heights are absolute"
    return heights_m, (
        f"{barometric} heights are those above the take-off, which lies {take_off_m:.2f} m high by the absolute heights"
    )
