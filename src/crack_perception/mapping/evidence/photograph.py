# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""A photograph of a crack: a part of a camera image, stored as a JPEG beside the map, and all that is known of it."""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import numpy.typing as npt

from crack_perception.geometry import rotations
from crack_perception.geometry.poses.pose import Pose

Array = npt.NDArray[np.float64]


def photograph_folder(map_path: Path) -> Path:
    """Folder of a map's photographs: ``NAME.photographs`` beside ``NAME.sqlite``, or beside any other ``NAME``."""
    return map_path.with_name(f"{map_path.name.removesuffix('.sqlite')}.photographs")


@dataclass(frozen=True, eq=False)
class PhotographedLine:
    """A measured line of the crack in a photograph; drawn over it on request, never burnt in.

    Attributes:
        points_px: (N, 2) vertices in the photograph, x to the right and y down, (0, 0) the centre of its first pixel.
        width_mm: (N,) crack width at the vertices, ``nan`` where unknown.
        width_sigma_mm: (N,) its standard deviation.
        points_m: (N, 3) the vertices in the map frame, as this frame alone located them; (0, 3) where unknown.
    """

    points_px: Array
    width_mm: Array
    width_sigma_mm: Array
    points_m: Array = field(default_factory=lambda: np.empty((0, 3)))


@dataclass(frozen=True, eq=False)
class Photograph:
    """One photograph of a crack; numbers are ``nan`` where they are not known.

    Attributes:
        file: Name of the JPEG in ``photograph_folder``; unique in the map, without a folder in it.
        crack_id: The crack that it shows.
        stamp_ns: Time of the camera image.
        source: Name of the node that took it, such as ``/drone_1/crack_node``.
        camera_frame: Optical frame of the camera.
        model, model_sha256: Name of the recognition model and hash of its graph.
        size_px: Width and height of the photograph.
        offset_px: Column and row in the camera image of the photograph's first pixel.
        intrinsics_px: fx, fy, cx, cy of the photograph as a pinhole camera; lens distortion is left in the picture.
        position_m: (3,) camera centre in the map frame.
        orientation_xyzw: (4,) rotation from the optical frame to the map frame.
        gsd_mm_per_px: Ground sampling distance at the crack.
        obliquity_deg: Angle between the line of sight and the surface normal.
        sharpness: Contrast of the finest details relative to the picture's contrast, 0 (blurred) to 1.
        completeness: Share of the crack's length in the frame that the photograph shows, 0 to 1; less where the crack
            runs out of the camera image or was not measured whole.
        score: Probability that it shows a crack.
        lines: The measured lines.
        map_frame: Name of the map frame; "" where unknown.
    """

    file: str
    crack_id: int
    stamp_ns: int
    source: str
    camera_frame: str
    model: str
    model_sha256: str
    size_px: tuple[int, int]
    offset_px: tuple[int, int]
    intrinsics_px: tuple[float, float, float, float]
    position_m: Array
    orientation_xyzw: Array
    gsd_mm_per_px: float
    obliquity_deg: float
    sharpness: float
    completeness: float
    score: float
    lines: tuple[PhotographedLine, ...]
    map_frame: str = ""

    @property
    def quality(self) -> float:
        """How well it shows the crack: pixels per millimetre, reduced by blur, an oblique view and missing parts."""
        factors = (
            1.0 / self.gsd_mm_per_px,
            0.25 + 0.75 * self.sharpness,
            math.cos(math.radians(min(self.obliquity_deg, 85.0))),
            0.25 + 0.75 * self.completeness,
        )
        known = [factor for factor in factors if math.isfinite(factor)]
        return math.prod(known)

    def moved(self, transform: Pose) -> Photograph:
        """Return the photograph in another map frame."""
        return replace(
            self,
            position_m=transform.transform(self.position_m),
            orientation_xyzw=rotations.normalise(rotations.multiply(transform.quaternion, self.orientation_xyzw)),
            lines=tuple(replace(line, points_m=transform.transform(line.points_m)) for line in self.lines),
        )

    def of_its_crack(self, crack_along: Callable[[Array], int | None]) -> Photograph | None:
        """Return it with the crack of its first line, and the lines of that crack only; None where there is none.

        Args:
            crack_along: Returns the crack of the map that a line (N, 3) shows.
        """
        crack_id = crack_along(self.lines[0].points_m)
        if crack_id is None:
            return None
        others = [line for line in self.lines[1:] if crack_along(line.points_m) == crack_id]
        return replace(self, crack_id=crack_id, lines=(self.lines[0], *others))


def photograph_name(photograph: Photograph, jpeg: bytes) -> str:
    """Return the name of the file of a photograph, which no other one of the map has."""
    return f"crack-{photograph.crack_id}-{photograph.stamp_ns}-{zlib.crc32(jpeg):08x}.jpg"


def plain_photograph(photograph: Photograph) -> dict[str, Any]:
    """All fields by name, ready for JSON: arrays as lists, ``nan`` as null."""
    plain = {each.name: _plain(getattr(photograph, each.name)) for each in fields(Photograph) if each.name != "lines"}
    plain["lines"] = [
        {each.name: _plain(getattr(line, each.name)) for each in fields(PhotographedLine)} for line in photograph.lines
    ]
    return plain


def photograph_of(plain: Mapping[str, Any]) -> Photograph:
    """Inverse of ``plain_photograph``; unknown names are ignored.

    Raises:
        ValueError: A field is missing or wrong.
    """
    try:
        photograph = Photograph(
            file=str(plain["file"]),
            crack_id=int(plain["crack_id"]),
            stamp_ns=int(plain["stamp_ns"]),
            source=str(plain["source"]),
            camera_frame=str(plain["camera_frame"]),
            model=str(plain["model"]),
            model_sha256=str(plain["model_sha256"]),
            size_px=(int(plain["size_px"][0]), int(plain["size_px"][1])),
            offset_px=(int(plain["offset_px"][0]), int(plain["offset_px"][1])),
            intrinsics_px=tuple(_array(plain["intrinsics_px"], (4,)).tolist()),
            position_m=_array(plain["position_m"], (3,)),
            orientation_xyzw=_array(plain["orientation_xyzw"], (4,)),
            gsd_mm_per_px=_number(plain["gsd_mm_per_px"]),
            obliquity_deg=_number(plain["obliquity_deg"]),
            sharpness=_number(plain["sharpness"]),
            completeness=_number(plain["completeness"]),
            score=_number(plain["score"]),
            lines=tuple(_line(line) for line in plain["lines"]),
            map_frame=str(plain.get("map_frame", "")),
        )
    except (KeyError, TypeError, IndexError, OverflowError, ValueError) as error:
        raise ValueError(f"photograph: {error}") from error
    name = photograph.file
    if not name or name.startswith(".") or "\\" in name or PurePosixPath(name).name != name:
        raise ValueError(f"photograph: {name!r} is not the name of a file in the map's folder")
    return photograph


def _line(plain: Mapping[str, Any]) -> PhotographedLine:
    points_px = _array(plain["points_px"], (-1, 2))
    count = (len(points_px),)
    points_m = _array(plain.get("points_m") or [], (-1, 3))
    if len(points_m) not in (0, len(points_px)):
        raise ValueError(f"a line of {len(points_px)} vertices has {len(points_m)} of them in the map")
    return PhotographedLine(
        points_px, _array(plain["width_mm"], count), _array(plain["width_sigma_mm"], count), points_m
    )


def _plain(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        value = value.tolist()
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _number(plain: Any) -> float:
    return math.nan if plain is None else float(plain)


def _array(plain: Any, shape: tuple[int, ...]) -> Array:
    values = np.array(plain, np.float64)  # None becomes nan
    return values.reshape(shape)
