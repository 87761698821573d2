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
    uses_relative, note = _uses_relative(poses, altitude)
    heights_m = {name: pose.relative_m if uses_relative else pose.absolute_m for name, pose in poses.items()}
    for name in [name for name, height_m in heights_m.items() if height_m is None]:
        unusable[name] = Unusable(
            "no_position", f"its tags hold no {'relative' if uses_relative else 'absolute'} height"
        )
        del poses[name]
    if not poses:
        return PoseTable(TAGS, {}, unusable)
    first = next(iter(poses))
    origin = GeographicOrigin(
        *(wanted or (poses[first].latitude_deg, poses[first].longitude_deg, float(heights_m[first] or 0.0)))
    )
    entries = {
        name: TableEntry(
            pose=Pose.of(
                local_position(origin, pose.latitude_deg, pose.longitude_deg, float(heights_m[name] or 0.0)),
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
    if uses_relative:
        origin_note = (
            "heights are above the take-off, so the height of the map's origin is not that above the ellipsoid"
        )
        return PoseTable(TAGS, entries, unusable, origin, notes=(rtk, note, origin_note))
    return PoseTable(TAGS, entries, unusable, origin, notes=(rtk, note))


def _uses_relative(poses: Mapping[str, TaggedPose], altitude: str) -> tuple[bool, str]:
    """Return whether heights are those above the take-off, and a remark about it."""
    if altitude != "auto":
        return altitude == "relative", f"heights are {altitude}, as asked"
    has_absolute = all(pose.absolute_m is not None for pose in poses.values())
    has_relative = all(pose.relative_m is not None for pose in poses.values())
    if has_absolute and (all(pose.has_rtk for pose in poses.values()) or not has_relative):
        return False, "heights are absolute"
    if has_relative:
        return True, "heights are relative to the take-off, since not all positions have RTK"
    return False, "heights are absolute; photographs without one are not used"
