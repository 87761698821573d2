# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""A folder of photographs as a recording: every picture with its camera, pose and time, or with the reason why not."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from crack_perception.errors import UsageError
from crack_perception.geometry.camera.calibration_file import read_camera_file
from crack_perception.geometry.poses.pose import Pose
from crack_perception.mapping.export.geographic import GeographicOrigin
from crack_perception.photographs.alignment import Similarity, align
from crack_perception.photographs.dji import ALTITUDES
from crack_perception.photographs.found import FoundPicture, pictures_in
from crack_perception.photographs.joining import joined, without_far, without_picture
from crack_perception.photographs.photograph import PosedPhotograph
from crack_perception.photographs.poses.find import read_poses
from crack_perception.photographs.table import Array, NameIndex, PoseTable, Unusable
from crack_perception.photographs.tagged import tagged_table

_UNCERTAIN_M = 0.25
_INTERVAL_NS = 1_000_000_000


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
        align: Scale, turn and place poses of another frame by the positions in the tags.
        excluded: Folder whose pictures are none of the recording, such as that of the results; None: no such folder.
    """

    poses: Path | None = None
    scale: float = 1.0
    origin: tuple[float, float, float] | None = None
    altitude: str = ALTITUDES[0]
    camera: Path | None = None
    recursive: bool = False
    align: bool = False
    excluded: Path | None = None


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
        turn: Rotation and shift to the map, after scale and origin: ``map = turn(scale * point - shift_m)``.
        notes: Remarks for the user.
    """

    folder: Path
    format: str
    photographs: tuple[PosedPhotograph, ...]
    unusable: tuple[tuple[str, Unusable], ...]
    origin: GeographicOrigin | None
    shift_m: Array
    scale: float
    turn: Pose
    notes: tuple[str, ...]

    def __iter__(self) -> Iterator[PosedPhotograph]:
        return iter(self.photographs)

    def __len__(self) -> int:
        return len(self.photographs)

    def to_map(self, points: Array) -> Array:
        """Return points (N, 3) of the coordinates of the poses in the map."""
        return self.turn.transform(points * self.scale - self.shift_m)


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
    files = pictures_in(folder, options.recursive, options.excluded)
    progress(f"reading the tags of {len(files)} photographs")
    found = {name: FoundPicture(path, name) for name, path in files.items()}
    wanted = None if options.origin is None or options.align else np.array(options.origin)
    table = read_poses(folder, options.poses, options.scale, wanted)
    scale, turn = options.scale, Pose.identity()
    if table is None:
        scale, table = 1.0, tagged_table(found, options.altitude, options.origin)
    elif options.align:
        table, similarity = _aligned(table, found, options)
        scale, turn = scale * similarity.scale, similarity.turn
    camera = None if options.camera is None else read_camera_file(options.camera)
    photographs, unusable = joined(found, table, camera)
    missing = without_picture(found, table, photographs, unusable)
    photographs, far = without_far(photographs)
    notes = [*table.notes, *missing, *_remarks(photographs)]
    return PhotographRecording(
        folder=folder,
        format=table.format,
        photographs=tuple(_timed(photographs, found)),
        unusable=tuple(sorted([*unusable, *far], key=lambda each: each[0])),
        origin=table.origin,
        shift_m=table.shift_m,
        scale=scale,
        turn=turn,
        notes=tuple(notes),
    )


def _check(options: RecordingOptions) -> None:
    if not 0 < options.scale < math.inf:
        raise UsageError(f"--scale {options.scale:g} is no length", "Give the metres per unit of the poses")
    if options.altitude not in ALTITUDES:
        raise UsageError(f"--altitude {options.altitude} is unknown", f"Known: {', '.join(ALTITUDES)}")


def _aligned(
    table: PoseTable, found: Mapping[str, FoundPicture], options: RecordingOptions
) -> tuple[PoseTable, Similarity]:
    """Return a table in the frame of the tags, and the similarity that leads there.

    Raises:
        UserError: The poses are on the earth already, or the positions do not determine the similarity.
    """
    if table.origin is not None and not np.any(table.shift_m):
        raise UsageError(f"--align: the poses of {table.format} are on the earth already", "Remove --align")
    # The origin of the user is that of the map, so it is not one of the poses.
    tagged = tagged_table(found, options.altitude, options.origin)
    index = NameIndex(table.entries)
    names = {name: key for name in found if (key := _key_of(index, name)) is not None}
    similarity = align(names, table.entries, tagged.entries)
    note = (
        f"aligned with {similarity.used} positions of the tags: {similarity.scale:.6g} m per unit, "
        f"{similarity.error_m:.3f} m root mean square error"
    )
    entries = {name: similarity.entry(entry) for name, entry in table.entries.items()}
    shift_m = similarity.scale * table.shift_m
    notes = (*(each for each in table.notes if "scale" not in each), note)
    return replace(table, entries=entries, origin=tagged.origin, shift_m=shift_m, notes=notes), similarity


def _key_of(index: NameIndex, name: str) -> str | None:
    try:
        return index.find(Path(name))
    except Unusable:
        return None


def _timed(photographs: Sequence[PosedPhotograph], found: Mapping[str, FoundPicture]) -> list[PosedPhotograph]:
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
    uncertain = [each for each in photographs if each.position_sigma_m.max() > _UNCERTAIN_M]
    if uncertain:
        most_m = max(float(each.position_sigma_m.max()) for each in uncertain)
        remarks.append(
            f"{len(uncertain)} positions are uncertain by up to {most_m:.1f} m: on planes or a mesh, scale and place "
            "of their cracks are as uncertain, and one crack may become several"
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
