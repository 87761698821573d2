# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Poses and cameras of photographs as one format gives them, before they are joined with the files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath, PureWindowsPath

import numpy as np
import numpy.typing as npt

from crack_perception.geometry.camera.models import CameraModel
from crack_perception.geometry.poses.pose import Pose
from crack_perception.mapping.export.geographic import GeographicOrigin

Array = npt.NDArray[np.float64]

# Float32 files and messages hold such coordinates to half a millimetre, double precision is lost on none.
_FARTHEST_M = 4_000.0
_ROUND_M = 100.0


class Unusable(Exception):
    """A photograph that cannot be mapped.

    Args:
        kind: Name of the kind, a key of ``photograph.KINDS``.
        text: What is wrong with this one, with the value.
    """

    def __init__(self, kind: str, text: str) -> None:
        super().__init__(text)
        self.kind = kind


@dataclass(frozen=True, eq=False)
class TableEntry:
    """Pose and camera of one photograph.

    Attributes:
        pose: Optical frame (x right, y down, z forward in the picture) in the frame of the table.
        camera: Its camera; None: from the picture's own tags.
        camera_name: Name of the camera in the table.
        position_sigma_m: (3,) standard deviations of the position; None: not given.
        attitude_sigma_rad: Standard deviation of the attitude, each axis; None: not given.
        stamp_ns: Time of exposure; None: not given.
        range_m: Distance along the optical axis; None: not measured.
        is_level: The attitude is that of a levelled camera, whatever the picture's orientation tag.
    """

    pose: Pose
    camera: CameraModel | None = None
    camera_name: str = ""
    position_sigma_m: Array | None = None
    attitude_sigma_rad: float | None = None
    stamp_ns: int | None = None
    range_m: float | None = None
    is_level: bool = False


@dataclass(frozen=True, eq=False)
class PoseTable:
    """Poses of many photographs in one frame: metres, z up where the format knows it.

    Attributes:
        format: Name of the format.
        entries: Name of the file as the format gives it -> pose and camera.
        unusable: Name of the file -> why its pose or camera cannot be used.
        origin: Place of the frame's origin on the earth; None where it is not known.
        shift_m: (3,) coordinates of the frame's origin in the coordinates of the format.
        notes: Remarks for the user.
    """

    format: str
    entries: Mapping[str, TableEntry]
    unusable: Mapping[str, Unusable] = field(default_factory=dict)
    origin: GeographicOrigin | None = None
    shift_m: Array = field(default_factory=lambda: np.zeros(3))
    notes: tuple[str, ...] = ()


class NameIndex:
    """Look-up of table names for files: by relative path, then file name, then stem, each only where it is unique.

    Args:
        names: Names in the table, with folders of any operating system, with or without suffix.
    """

    def __init__(self, names: Mapping[str, object]) -> None:
        self._by_parts: dict[tuple[str, ...], set[str]] = {}
        self._by_stem: dict[str, set[str]] = {}
        for name in names:
            parts = tuple(part.lower() for part in _parts(name))
            for count in range(1, len(parts) + 1):
                self._by_parts.setdefault(parts[-count:], set()).add(name)
            self._by_stem.setdefault(_stem(parts[-1]) if parts else "", set()).add(name)

    def find(self, relative: Path) -> str | None:
        """Return the name in the table of a file, given by its path relative to the folder of photographs; None.

        Raises:
            Unusable: Several names match equally well.
        """
        parts = tuple(part.lower() for part in relative.parts)
        for count in range(len(parts), 0, -1):
            if found := self._by_parts.get(parts[-count:]):
                return _only(found, relative)
        found = self._by_stem.get(_stem(parts[-1]), set())
        # A name with another suffix (a TIFF beside its JPEG) is another picture.
        return _only({name for name in found if not _suffix(name)}, relative)


def _only(found: set[str], relative: Path) -> str | None:
    if len(found) > 1:
        raise Unusable(
            "ambiguous_name", f"the poses name {len(found)} pictures like {relative.name}: {sorted(found)[:2]}"
        )
    return next(iter(found), None)


def _parts(name: str) -> tuple[str, ...]:
    path = PureWindowsPath(name) if "\\" in name else PurePosixPath(name)
    return tuple(part for part in path.parts if part not in ("/", "\\", ".", ".."))


_SUFFIXES = (".jpg", ".jpeg", ".jpe", ".png", ".tif", ".tiff", ".bmp", ".webp", ".dng")


def _suffix(name: str) -> str:
    lower = name.lower()
    return next((suffix for suffix in _SUFFIXES if lower.endswith(suffix)), "")


def _stem(name: str) -> str:
    return name.lower().removesuffix(_suffix(name))


def shift_of(positions_m: Array, wanted_m: Array | None) -> Array:
    """Return the coordinates (3,) that become the origin of the map.

    Args:
        positions_m: (N, 3) camera positions.
        wanted_m: Coordinates chosen by the user; None: zero, or near the cameras where these are kilometres away, as
            in projected systems.
    """
    if wanted_m is not None:
        return wanted_m
    middle_m = np.median(positions_m, axis=0) if len(positions_m) else np.zeros(3)
    if np.abs(middle_m).max(initial=0.0) <= _FARTHEST_M:
        return np.zeros(3)
    return np.array([*(np.round(middle_m[:2] / _ROUND_M) * _ROUND_M), 0.0])


def transformed(entries: Mapping[str, TableEntry], to_map: Pose) -> dict[str, TableEntry]:
    """Return entries in another frame."""
    return {name: replace(entry, pose=to_map.compose(entry.pose)) for name, entry in entries.items()}


def relative(entries: Mapping[str, TableEntry], shift_m: Array) -> dict[str, TableEntry]:
    """Return entries relative to another origin with the same axes."""
    return {name: replace(entry, pose=shifted(entry.pose, shift_m)) for name, entry in entries.items()}


def shifted(pose: Pose, shift_m: Array) -> Pose:
    """Return a pose relative to another origin with the same axes."""
    return Pose.of(pose.position_m - shift_m, pose.quaternion)
