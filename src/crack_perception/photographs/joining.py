# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Join picture files with the poses and cameras of a table."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from crack_perception.geometry.camera.models import CameraModel
from crack_perception.geometry.poses.pose import Pose
from crack_perception.photographs.dji import camera_in
from crack_perception.photographs.found import FoundPicture
from crack_perception.photographs.photograph import PosedPhotograph, size_text
from crack_perception.photographs.table import NameIndex, PoseTable, TableEntry, Unusable
from crack_perception.photographs.tagged import TAGS

_SIZE_TOLERANCE = 0.01
# Photographs farther from the middle of all than this, and than this multiple of the usual distance, are elsewhere.
_FAR_M, _FAR_FACTOR = 1000.0, 20.0
_TABLE_SIGMA_M, _TABLE_SIGMA_RAD = 0.02, math.radians(0.1)
_LEVEL_ROLL_DEG = 45.0


def joined(
    found: Mapping[str, FoundPicture], table: PoseTable, camera: CameraModel | None
) -> tuple[list[PosedPhotograph], list[tuple[str, Unusable]]]:
    """Join files with the entries of a table."""
    index = NameIndex({**table.entries, **table.unusable})
    photographs: list[PosedPhotograph] = []
    unusable: list[tuple[str, Unusable]] = []
    taken: dict[str, str] = {}
    for name, each in found.items():
        try:
            if each.problem is not None:
                raise each.problem
            key = name if name in table.entries or name in table.unusable else index.find(Path(name))
            if key is None:
                raise Unusable("no_pose", f"{table.format} has no entry for it")
            if key in table.unusable:
                raise table.unusable[key]
            if key in taken:
                raise Unusable("ambiguous_name", f"{taken[key]} has the same pose in the table")
            photographs.append(_posed(each, table.entries[key], camera))
            taken[key] = name
        except Unusable as problem:
            unusable.append((name, problem))
    return photographs, unusable


def without_picture(
    found: Mapping[str, FoundPicture],
    table: PoseTable,
    photographs: Sequence[PosedPhotograph],
    unusable: Sequence[tuple[str, Unusable]],
) -> list[str]:
    """Return a remark about poses whose pictures are not in the folder."""
    if table.format == TAGS:
        return []
    with_pose = len(photographs) + sum(problem.kind != "no_pose" for name, problem in unusable if name in found)
    left = len(table.entries) - with_pose
    return [f"{left} of {len(table.entries)} poses are of pictures that are not in the folder"] if left > 0 else []


def _posed(each: FoundPicture, entry: TableEntry, given: CameraModel | None) -> PosedPhotograph:
    """Return a photograph with camera and pose of its stored pixels, or of the upright ones if the camera is theirs."""
    stored, turned = each.size_px, each.turned_deg
    upright = stored[::-1] if turned in (90, 270) else stored
    known = entry.camera or given
    camera, is_estimated = camera_in(each.tags, stored) if known is None else (known, False)
    size = (camera.width_px, camera.height_px)
    reads_upright = size != stored and _is_scaled(size, upright) and not _is_scaled(size, stored)
    wanted = upright if reads_upright else stored
    if size != wanted:
        if not _is_scaled(size, wanted):
            raise Unusable("other_size", f"it has {stored[0]}x{stored[1]} px, its camera {size_text(camera)}")
        camera = _scaled(camera, wanted)
    pose = entry.pose
    if turned and not reads_upright and entry.is_level and _is_upright(pose):
        # The attitude is that of the upright picture: turn it to that of the stored pixels.
        half_rad = math.radians(turned) / 2
        pose = pose.compose(Pose(np.zeros(3), np.array([0.0, 0.0, math.sin(half_rad), math.cos(half_rad)])))
    name = entry.camera_name or each.tags.camera_name or "camera"
    sigma_m = entry.position_sigma_m
    return PosedPhotograph(
        path=each.path,
        name=each.name,
        stamp_ns=entry.stamp_ns or each.tags.taken_ns or 0,
        camera=camera,
        pose=pose,
        position_sigma_m=np.full(3, _TABLE_SIGMA_M) if sigma_m is None else sigma_m,
        attitude_sigma_rad=entry.attitude_sigma_rad or _TABLE_SIGMA_RAD,
        source=f"{name} {camera.width_px}x{camera.height_px}",
        turned_deg=0 if reads_upright else turned,
        range_m=entry.range_m,
        is_estimated=is_estimated,
    )


def _is_upright(pose: Pose) -> bool:
    """Return whether the horizontal axis of the picture is nearly level: the camera is not on its side."""
    right, down = pose.rotation[:, 0], pose.rotation[:, 1]
    return abs(right[2]) < math.sin(math.radians(_LEVEL_ROLL_DEG)) or abs(right[2]) < abs(down[2])


def _is_scaled(size_px: tuple[int, int], other_px: tuple[int, int]) -> bool:
    """Return whether two sizes have the same proportions."""
    ratio = (other_px[0] / size_px[0]) / (other_px[1] / size_px[1])
    return abs(ratio - 1.0) <= _SIZE_TOLERANCE


def _scaled(camera: CameraModel, size_px: tuple[int, int]) -> CameraModel:
    x, y = size_px[0] / camera.width_px, size_px[1] / camera.height_px
    k = camera.k.copy()
    k[0, 0], k[1, 1] = x * k[0, 0], y * k[1, 1]
    k[0, 2], k[1, 2] = x * (k[0, 2] + 0.5) - 0.5, y * (k[1, 2] + 0.5) - 0.5
    return CameraModel(size_px[0], size_px[1], k, camera.d, camera.distortion_model)


def without_far(
    photographs: Sequence[PosedPhotograph],
) -> tuple[list[PosedPhotograph], list[tuple[str, Unusable]]]:
    """Remove photographs that are far from all others."""
    if not photographs:
        return [], []
    positions_m = np.array([each.pose.position_m for each in photographs])
    distances_m = np.linalg.norm(positions_m - np.median(positions_m, axis=0), axis=1)
    limit_m = max(_FAR_M, _FAR_FACTOR * float(np.median(distances_m)))
    far = [
        (each.name, Unusable("implausible_pose", f"it lies {distance_m:.0f} m from the others"))
        for each, distance_m in zip(photographs, distances_m.tolist(), strict=True)
        if distance_m > limit_m
    ]
    names = {name for name, _ in far}
    return [each for each in photographs if each.name not in names], far
