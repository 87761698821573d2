# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""A folder of photographs as a recording: every picture with its camera, pose and time, or with the reason why not."""

from __future__ import annotations

import math
import os
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType

import cv2
import numpy as np
import numpy.typing as npt

from crack_perception.errors import UsageError, UserError
from crack_perception.geometry.camera.calibration_file import read_camera_file
from crack_perception.geometry.camera.models import CameraModel
from crack_perception.geometry.poses.pose import Pose
from crack_perception.geometry.projection import NoiseModel
from crack_perception.mapping.export.geographic import GeographicOrigin
from crack_perception.photographs.dji import (
    ALTITUDES,
    GIMBAL_SIGMA_RAD,
    TaggedPose,
    camera_in,
    check_visible,
    pose_in,
)
from crack_perception.photographs.earth import levelled_camera, local_position
from crack_perception.photographs.poses.find import read_poses
from crack_perception.photographs.table import Array, NameIndex, PoseTable, TableEntry, Unusable
from crack_perception.photographs.tags import PhotographTags, read_tags
from crack_perception.vision.images.files import PICTURE_SUFFIXES, read_picture
from crack_perception.vision.images.headers import read_picture_header

Image = npt.NDArray[np.uint8]

TAGS = "EXIF and XMP"

KINDS: Mapping[str, str] = MappingProxyType(
    {
        "no_pose": "have no pose in the table of poses",
        "no_position": "have no position in their tags",
        "no_direction": "have a position but no gimbal angles in their tags",
        "implausible_pose": "have an implausible pose",
        "ambiguous_name": "have a name that is not unique",
        "no_camera": "have no calibration and no focal length in their tags",
        "unsupported_camera": "have a camera that is not supported",
        "other_size": "have another size than their camera",
        "mirrored": "are mirrored by their orientation tag",
        "thermal": "are of a thermal camera",
        "damaged": "are damaged or no pictures",
        "too_large": "have too many pixels",
        "no_surface": "show no part of the surface",
        "failed": "could not be processed",
    }
)
"""Kind -> what its photographs have in common."""

_MOST_PIXELS = 400_000_000
_SIZE_TOLERANCE = 0.01
# Photographs farther from the middle of all than this, and than this multiple of the usual distance, are elsewhere.
_FAR_M, _FAR_FACTOR = 1000.0, 20.0
_TABLE_SIGMA_M, _TABLE_SIGMA_RAD = 0.02, math.radians(0.1)
_INTERVAL_NS = 1_000_000_000
# EXIF orientation -> degrees by which the picture is turned clockwise to be upright; others are mirrored.
_TURNS_DEG = {1: 0, 3: 180, 6: 90, 8: 270}
_UNTURN = {90: cv2.ROTATE_90_COUNTERCLOCKWISE, 180: cv2.ROTATE_180, 270: cv2.ROTATE_90_CLOCKWISE}
_LEVEL_ROLL_DEG = 45.0


@dataclass(frozen=True)
class RecordingOptions:
    """Options of a recording.

    Attributes:
        poses: File or folder with the poses; None: a known one in the folder of photographs, else the tags.
        scale: Metres per unit of the poses' positions.
        origin: Origin of the map: latitude, longitude and height for places on the earth, else coordinates; None:
            chosen from the photographs.
        altitude: One of ``ALTITUDES``.
        camera: Calibration file (YAML) of the photographs for which the poses give none; None: from their tags.
        recursive: Include subfolders.
    """

    poses: Path | None = None
    scale: float = 1.0
    origin: tuple[float, float, float] | None = None
    altitude: str = ALTITUDES[0]
    camera: Path | None = None
    recursive: bool = False


@dataclass(frozen=True, eq=False)
class PosedPhotograph:
    """One photograph.

    Attributes:
        path: The file.
        name: Path relative to the folder.
        stamp_ns: Time of exposure [ns since 1970]; of photographs without one, an artificial time in order of names.
        camera: Camera of the pixels that ``read`` returns.
        pose: Optical frame of these pixels in the map.
        position_sigma_m: (3,) standard deviation of the position, map axes.
        attitude_sigma_rad: Standard deviation of the attitude, each axis.
        source: Name of the camera; errors of one camera are correlated in time.
        turned_deg: Clockwise turn that the orientation tag asks for; ``read`` undoes it.
        range_m: Distance along the optical axis; None where it was not measured.
        is_estimated: The camera is only estimated from its nominal focal length.
    """

    path: Path
    name: str
    stamp_ns: int
    camera: CameraModel
    pose: Pose
    position_sigma_m: Array
    attitude_sigma_rad: float
    source: str
    turned_deg: int = 0
    range_m: float | None = None
    is_estimated: bool = False

    @property
    def noise(self) -> NoiseModel:
        """Standard deviations of camera and pose."""
        return NoiseModel(
            attitude_rad=self.attitude_sigma_rad,
            position_m=float(np.sqrt(np.mean(self.position_sigma_m**2))),
            time_s=0.0,
        )

    @property
    def covariance(self) -> Array:
        """Covariance (6, 6) of position and attitude, map axes."""
        return np.diag([*self.position_sigma_m**2, *[self.attitude_sigma_rad**2] * 3])

    def read(self) -> Image:
        """Read the picture, BGR (H, W, 3), in the orientation of ``camera`` and ``pose``.

        Raises:
            Unusable: It is damaged, or has another size than its tags announce.
        """
        try:
            picture = read_picture(self.path)
        except UserError as error:
            raise Unusable("damaged", error.problem.replace(f"{self.path}: ", "")) from error
        if self.turned_deg:
            picture = np.asarray(cv2.rotate(picture, _UNTURN[self.turned_deg]), np.uint8)
        size_px = (picture.shape[1], picture.shape[0])
        if size_px != (self.camera.width_px, self.camera.height_px):
            raise Unusable("other_size", f"it has {size_px[0]}x{size_px[1]} px, its camera {_size_text(self.camera)}")
        return picture


@dataclass(frozen=True, eq=False)
class PhotographRecording:
    """The photographs of a folder in order of time; iterate it for those with a pose.

    Attributes:
        folder: The folder.
        format: Name of the format of the poses.
        photographs: Those with camera and pose.
        unusable: (Name, reason) of the others.
        origin: Place of the map's origin on the earth; None where it is not known.
        shift_m: (3,) coordinates of the map's origin in the coordinates of the poses.
        scale: Metres per unit of these coordinates.
        notes: Remarks for the user.
    """

    folder: Path
    format: str
    photographs: tuple[PosedPhotograph, ...]
    unusable: tuple[tuple[str, Unusable], ...]
    origin: GeographicOrigin | None
    shift_m: Array
    scale: float
    notes: tuple[str, ...]

    def __iter__(self) -> Iterator[PosedPhotograph]:
        return iter(self.photographs)

    def __len__(self) -> int:
        return len(self.photographs)


def open_recording(
    folder: Path, options: RecordingOptions | None = None, progress: Callable[[str], None] = lambda line: None
) -> PhotographRecording:
    """Find the photographs of a folder and join them with their poses; no picture is decoded.

    Raises:
        UserError: The folder holds no pictures, or the poses cannot be read.
        UsageError: An option is out of its range.
    """
    options = options or RecordingOptions()
    _check(options)
    files = _pictures(folder, options.recursive)
    progress(f"reading the tags of {len(files)} photographs")
    found = {name: _Found(path, name) for name, path in files.items()}
    wanted = None if options.origin is None else np.array(options.origin)
    table = read_poses(folder, options.poses, options.scale, wanted)
    if table is None:
        table = _tagged_table(found, options.altitude, options.origin)
    camera = None if options.camera is None else read_camera_file(options.camera)
    photographs, unusable = _joined(found, table, camera)
    photographs, far = _without_far(photographs)
    notes = [*table.notes, *_remarks(photographs)]
    return PhotographRecording(
        folder=folder,
        format=table.format,
        photographs=tuple(_timed(photographs, found)),
        unusable=tuple(sorted([*unusable, *far], key=lambda each: each[0])),
        origin=table.origin,
        shift_m=table.shift_m,
        scale=1.0 if table.format == TAGS else options.scale,
        notes=tuple(notes),
    )


class _Found:
    """A picture file with its tags, read when they are needed."""

    def __init__(self, path: Path, name: str) -> None:
        self.path, self.name = path, name
        self.problem: Unusable | None = None
        self.tags = PhotographTags()
        self.size_px = (0, 0)
        try:
            self.tags = read_tags(path)
            self.size_px = self.tags.size_px or _header_size(path)
        except (UserError, OSError, ValueError) as error:
            self.problem = Unusable("damaged", getattr(error, "problem", str(error)))
            return
        if min(self.size_px) <= 0:
            self.problem = Unusable("damaged", "its header is damaged")
        elif self.size_px[0] * self.size_px[1] > _MOST_PIXELS:
            self.problem = Unusable("too_large", f"it has {self.size_px[0]}x{self.size_px[1]} px")
        elif self.tags.orientation not in _TURNS_DEG:
            self.problem = Unusable("mirrored", f"its orientation is {self.tags.orientation}")
        else:
            try:
                check_visible(self.tags)
            except Unusable as problem:
                self.problem = problem

    @property
    def turned_deg(self) -> int:
        return _TURNS_DEG.get(self.tags.orientation, 0)


def _header_size(path: Path) -> tuple[int, int]:
    if not path.stat().st_size:
        return 0, 0
    header = read_picture_header(np.memmap(path, np.uint8, "r"))
    return header.width_px, header.height_px


def _check(options: RecordingOptions) -> None:
    if not 0 < options.scale < math.inf:
        raise UsageError(f"--scale {options.scale:g} is no length", "Give the metres per unit of the poses")
    if options.altitude not in ALTITUDES:
        raise UsageError(f"--altitude {options.altitude} is unknown", f"Known: {', '.join(ALTITUDES)}")


def _pictures(folder: Path, recursive: bool) -> dict[str, Path]:
    """Return the pictures of a folder by their relative path, sorted.

    Raises:
        UserError: There are none.
    """
    if not folder.is_dir():
        raise UserError(f"{folder}: is no folder", "Give the folder of the photographs")
    found: dict[str, Path] = {}
    for parent, folders, names in os.walk(folder):
        folders.sort()
        if not recursive:
            folders.clear()
        for name in sorted(names):
            path = Path(parent) / name
            # Names in "._" are the resource forks of macOS.
            if path.suffix.lower() in PICTURE_SUFFIXES and not name.startswith("._"):
                found[path.relative_to(folder).as_posix()] = path
    if not found:
        raise UserError(
            f"{folder}: holds no pictures",
            "Check the path" + ("" if recursive else "; --recursive includes subfolders"),
        )
    return found


def _tagged_table(found: Mapping[str, _Found], altitude: str, wanted: tuple[float, float, float] | None) -> PoseTable:
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


def _joined(
    found: Mapping[str, _Found], table: PoseTable, camera: CameraModel | None
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


def _posed(each: _Found, entry: TableEntry, given: CameraModel | None) -> PosedPhotograph:
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
            raise Unusable("other_size", f"it has {stored[0]}x{stored[1]} px, its camera {_size_text(camera)}")
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


def _size_text(camera: CameraModel) -> str:
    return f"{camera.width_px}x{camera.height_px} px"


def _without_far(
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


def _timed(photographs: Sequence[PosedPhotograph], found: Mapping[str, _Found]) -> list[PosedPhotograph]:
    """Return the photographs in order of time, each camera's with ascending stamps.

    If one of a camera has no time, all of it are taken in order of names, a second apart.
    """
    timed: list[PosedPhotograph] = []
    for source in sorted({each.source for each in photographs}):
        own = [each for each in photographs if each.source == source]
        if all(each.stamp_ns for each in own):
            timed += _spread(sorted(own, key=lambda each: (each.stamp_ns, each.name)))
            continue
        known = [each.stamp_ns for each in own if each.stamp_ns]
        first_ns = min(known) if known else min(found[each.name].path.stat().st_mtime_ns for each in own)
        timed += [replace(each, stamp_ns=first_ns + index * _INTERVAL_NS) for index, each in enumerate(own)]
    return sorted(timed, key=lambda each: (each.stamp_ns, each.name))


def _spread(photographs: Sequence[PosedPhotograph]) -> list[PosedPhotograph]:
    """Spread photographs with the same stamp evenly over its second: many cameras note whole seconds only."""
    counts = Counter(each.stamp_ns for each in photographs)
    seen: Counter[int] = Counter()
    spread = []
    for each in photographs:
        step_ns = _INTERVAL_NS // counts[each.stamp_ns]
        spread.append(replace(each, stamp_ns=each.stamp_ns + seen[each.stamp_ns] * step_ns))
        seen[each.stamp_ns] += 1
    return spread


def _remarks(photographs: Sequence[PosedPhotograph]) -> list[str]:
    """Return remarks about what was assumed."""
    remarks = []
    sources = Counter(each.source for each in photographs)
    if len(sources) > 1:
        remarks.append(
            f"{len(sources)} cameras: " + "; ".join(f"{name} ({count})" for name, count in sorted(sources.items()))
        )
    turned = sum(each.turned_deg != 0 for each in photographs)
    if turned:
        remarks.append(f"{turned} photographs have an orientation tag that turns them, which is taken into account")
    untimed = sum(each.stamp_ns == 0 for each in photographs)
    if untimed:
        remarks.append(f"{untimed} photographs have no time: their cameras' photographs are taken in order of names")
    estimated = sum(each.is_estimated for each in photographs)
    if estimated:
        remarks.append(
            f"{estimated} photographs have no calibration: focal lengths are the nominal ones of their tags, without "
            "distortion, so widths and lengths may be several percent wrong"
        )
    return remarks
