# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Labelled tiles from reviewed photographs: what people have decided, as examples to adapt a model with."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from crack_perception.desk.map_files import read_photograph
from crack_perception.errors import UserError, file_error
from crack_perception.mapping.evidence.decisions import Verdict
from crack_perception.mapping.evidence.photograph import Photograph
from crack_perception.mapping.evidence.reviewed import projected_px, reviewed_cracks
from crack_perception.mapping.storage.atomic_file import write_atomically
from crack_perception.mapping.storage.snapshot import Snapshot
from crack_perception.vision.images.jpeg.decoding import DamagedJpeg, decode_jpeg

Array = npt.NDArray[np.float64]
Image = npt.NDArray[np.uint8]

Tile = tuple[int, int, int]
"""Left, top and side in pixels."""

TILE_PX = 256
LEAST_TILE_PX = 224
"""Photographs that are smaller than a tile give smaller ones, down to this size."""

FOLDERS = {Verdict.ACCEPTED: "crack", Verdict.REJECTED: "intact"}

# Neighbouring tiles of a line share at most a quarter of a side.
_STEP = 0.75
# Other cracks may appear this far from where they are projected, in tile sides: the lens distortion is not known.
_MARGIN = 0.25
# Vertices between which a projected line can cross a tile unnoticed.
_FINE_PX = 16.0


@dataclass(frozen=True)
class TileExport:
    """Result of an export.

    Attributes:
        folder: Where the tiles are.
        crack, intact: Number of tiles by class.
        photographs: Number of photographs that they come from.
        unreadable: Photographs whose file is missing or damaged.
        unsure: Tiles of rejected cracks that another crack may cross; they were left out.
    """

    folder: Path
    crack: int
    intact: int
    photographs: int
    unreadable: int
    unsure: int

    def __str__(self) -> str:
        lines = [
            f"{self.crack} tiles with cracks and {self.intact} intact ones, from {self.photographs} photographs: "
            f"{self.folder}"
        ]
        if self.unsure:
            lines.append(f"{self.unsure} tiles of rejected cracks were left out: another crack may cross them")
        if self.unreadable:
            lines.append(f"{self.unreadable} photographs are missing or damaged")
        if not self.crack or not self.intact:
            lines.append("Adapting a model needs both classes: accept some cracks and reject some false ones")
        return "\n".join(lines)


def export_tiles(map_path: Path, snapshot: Snapshot, folder: Path) -> TileExport:
    """Cut tiles along the lines of accepted and rejected cracks.

    The names begin with the name of the photograph, so that tiles of one photograph can be kept together:
    ``crack/PHOTOGRAPH_x128_y40.png``. Tiles of rejected cracks that any other crack may cross are left out.

    Raises:
        UserError: The folder has tiles already, or cannot be written.
    """
    for name in FOLDERS.values():
        if any((folder / name).glob("*")):
            raise UserError(f"{folder / name}: is not empty", "Choose a new folder, so that no old verdicts remain")
        try:
            (folder / name).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise file_error(folder / name, error) from error
    reviewed = reviewed_cracks(snapshot.cracks, snapshot.photographs, snapshot.decisions)
    cracks_m = [each.crack.line_m for each in reviewed if not each.is_rejected]
    owners = Counter(photograph.file for each in reviewed for photograph in each.photographs)
    counts = dict.fromkeys(FOLDERS, 0)
    used, unreadable, unsure = set(), 0, 0
    for each in reviewed:
        verdict = each.review.verdict
        if verdict not in FOLDERS:
            continue
        for photograph in each.photographs:
            picture = _picture(map_path, photograph)
            if picture is None:
                unreadable += 1
                continue
            tiles = list(tile_corners(photograph, picture.shape[1], picture.shape[0]))
            if owners[photograph.file] > 1:  # parts of a crack that was split: its lines show the others as well
                tiles = _crossed(tiles, photograph, [each.crack.line_m], 0.0) or []
            if verdict is Verdict.REJECTED:
                crossed = _crossed(tiles, photograph, cracks_m, _MARGIN)
                intact = [] if crossed is None else [tile for tile in tiles if tile not in crossed]
                unsure += len(tiles) - len(intact)
                tiles = intact
            for left, top, side in tiles:
                name = f"{Path(photograph.file).stem}_x{left}_y{top}.png"
                png = cv2.imencode(".png", picture[top : top + side, left : left + side])[1]
                write_atomically(folder / FOLDERS[verdict] / name, png.tobytes())
            counts[verdict] += len(tiles)
            if tiles:
                used.add(photograph.file)
    return TileExport(folder, counts[Verdict.ACCEPTED], counts[Verdict.REJECTED], len(used), unreadable, unsure)


def tile_corners(photograph: Photograph, width_px: int, height_px: int) -> Iterator[Tile]:
    """Left, top and side of the tiles along the lines of a photograph, each inside it; none where it is too small."""
    side = min(TILE_PX, width_px, height_px)
    if side < LEAST_TILE_PX:
        return
    taken: list[tuple[int, int]] = []
    for line in photograph.lines:
        for x, y in _along(line.points_px, _STEP * side):
            if not (0 <= x < width_px and 0 <= y < height_px):
                continue
            left = int(np.clip(round(x - side / 2), 0, width_px - side))
            top = int(np.clip(round(y - side / 2), 0, height_px - side))
            if all(max(abs(left - other[0]), abs(top - other[1])) >= _STEP * side - 1 for other in taken):
                taken.append((left, top))
                yield left, top, side


def _along(points_px: Array, step_px: float) -> Iterator[tuple[float, float]]:
    """Places on a line at even distances, the first half a step from its beginning."""
    points_px = points_px[np.isfinite(points_px).all(axis=1)]
    if len(points_px) == 0:
        return
    along = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(points_px, axis=0).T))])
    count = max(1, int(along[-1] // step_px))
    for place in (np.arange(count) + 0.5) * along[-1] / count:
        yield float(np.interp(place, along, points_px[:, 0])), float(np.interp(place, along, points_px[:, 1]))


def _crossed(
    tiles: Sequence[Tile], photograph: Photograph, lines_m: Sequence[Array], margin: float
) -> list[Tile] | None:
    """The tiles that any of some lines crosses, or comes near within a margin in tile sides; None if the pose of the
    photograph is not known."""
    try:
        lines_px = [_fine(projected_px(photograph, line_m)) for line_m in lines_m]
    except ValueError:
        return None
    points_px = np.concatenate([np.zeros((0, 2)), *lines_px])
    crossed = []
    for left, top, side in tiles:
        low = np.array([left, top]) - margin * side
        inside = np.all((points_px > low) & (points_px < low + (1 + 2 * margin) * side), axis=1)
        if inside.any():
            crossed.append((left, top, side))
    return crossed


def _fine(points_px: Array) -> Array:
    """A line with vertices close to each other; parts behind the camera or far outside the picture are left out."""
    points_px = points_px[np.all(np.abs(points_px) < 1e5, axis=1)]
    if len(points_px) < 2:
        return points_px
    steps = np.hypot(*np.diff(points_px, axis=0).T)
    along = np.concatenate([[0.0], np.cumsum(steps)])
    places = np.linspace(0.0, along[-1], int(along[-1] / _FINE_PX) + 2)
    return np.column_stack([np.interp(places, along, points_px[:, 0]), np.interp(places, along, points_px[:, 1])])


def _picture(map_path: Path, photograph: Photograph) -> Image | None:
    content = read_photograph(map_path, photograph.file)
    if content is None:
        return None
    try:
        return decode_jpeg(np.frombuffer(content, np.uint8))
    except DamagedJpeg:
        return None
