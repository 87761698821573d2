# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""BlocksExchange XML of ContextCapture (iTwin Capture), which Metashape and RealityCapture write as well.

The rotation takes world axes to those of the camera, named by ``CameraOrientation``; the origin of the principal point
is the centre of the first pixel; P1 belongs to ``r^2 + 2 x^2``, OpenCV's p1 to ``r^2 + 2 y^2``. Source: ContextCapture
user guide, "BlocksExchange XML" and "Perspective camera model".
"""

from __future__ import annotations

import math
import re
import xml.etree.ElementTree as ET
from dataclasses import replace
from pathlib import Path

import numpy as np

from crack_perception.errors import UserError
from crack_perception.geometry import rotations
from crack_perception.geometry.camera.models import CameraModel
from crack_perception.geometry.poses.pose import Pose
from crack_perception.mapping.export.geographic import GeographicOrigin
from crack_perception.photographs.documents import number_in, read_xml
from crack_perception.photographs.earth import check_place, geodetic, is_earth_centred, local_position, map_from_earth
from crack_perception.photographs.lenses import brown_camera
from crack_perception.photographs.table import Array, PoseTable, TableEntry, Unusable, relative, shift_of, transformed

FORMAT = "ContextCapture"

# Columns: the right, down and forward axes of the picture in the camera's axes.
_ORIENTATIONS = {
    "XRightYDown": [[1, 0, 0], [0, 1, 0], [0, 0, 1]],
    "XRightYUp": [[1, 0, 0], [0, -1, 0], [0, 0, -1]],
    "XLeftYDown": [[-1, 0, 0], [0, 1, 0], [0, 0, -1]],
    "XLeftYUp": [[-1, 0, 0], [0, -1, 0], [0, 0, 1]],
    "XDownYRight": [[0, 1, 0], [1, 0, 0], [0, 0, -1]],
    "XDownYLeft": [[0, 1, 0], [-1, 0, 0], [0, 0, 1]],
    "XUpYLeft": [[0, -1, 0], [-1, 0, 0], [0, 0, -1]],
    "XUpYRight": [[0, -1, 0], [1, 0, 0], [0, 0, 1]],
}
# A code, possibly with that of the heights; codes of 4000 to 4999 are geographic or earth-centred systems.
_EPSG = re.compile(r"EPSG:\s*(\d+)(?:\+\d+)?", re.I)
_GEOGRAPHIC_TEXT = re.compile(r"WGS ?84$|GEOGCS\[|GEOGCRS\[|GEODCRS\[|.*\+proj=(?:longlat|latlong)\b", re.I)
_ENU = re.compile(r"ENU:\s*(-?[\d.]+)\s*,\s*(-?[\d.]+)", re.I)
_ROTATION_TOLERANCE = 1e-3


def is_context_capture(root: ET.Element) -> bool:
    """Return whether an XML document is a BlocksExchange file."""
    return root.tag == "BlocksExchange"


def read(path: Path, scale: float, wanted: Array | None) -> PoseTable:
    """Read the photographs of all blocks.

    Args:
        path: The XML file.
        scale: Factor on all lengths, for a block without scale.
        wanted: Origin of the map: latitude, longitude and height for a block on the earth, else coordinates [m].

    Raises:
        UserError: The file is of another kind.
    """
    root = read_xml(path)
    if not is_context_capture(root):
        raise UserError(f"{path}: is no BlocksExchange file", "Export the block as BlocksExchange XML")
    systems = {each.findtext("Id", ""): each.findtext("Definition", "").strip() for each in root.iter("SRS")}
    blocks = root.findall("Block")
    groups = [
        (group, systems.get(group.findtext("SRSId", block.findtext("SRSId", "")), ""))
        for block in blocks
        for group in block.iter("Photogroup")
    ]
    system = groups[0][1] if groups else ""
    entries: dict[str, TableEntry] = {}
    unusable: dict[str, Unusable] = {}
    for number, (group, own_system) in enumerate(groups):
        if own_system != system:
            raise UserError(
                f"{path}: its photogroups are in several coordinate systems ('{system}' and '{own_system}')",
                "Export the block in one system",
            )
        camera = _camera(group)
        to_optical = np.array(_ORIENTATIONS.get(group.findtext("CameraOrientation", "XRightYDown").strip(), np.eye(3)))
        for photo in group.findall("Photo"):
            name = photo.findtext("ImagePath", "").strip()
            try:
                if isinstance(camera, Unusable):
                    raise camera
                pose = _pose(photo.find("Pose"), to_optical.astype(np.float64), scale)
                entries[name] = TableEntry(pose, camera, f"photogroup {group.findtext('Name', str(number))}")
            except Unusable as problem:
                unusable[name] = problem
    entries, origin, shift_m = _placed(entries, unusable, system, wanted)
    notes = (f"the coordinates are those of {system}",) if system and origin is None else ()
    return PoseTable(FORMAT, entries, unusable, origin, shift_m, notes)


def _placed(
    entries: dict[str, TableEntry], unusable: dict[str, Unusable], system: str, wanted: Array | None
) -> tuple[dict[str, TableEntry], GeographicOrigin | None, Array]:
    """Return the entries in the frame of the map, the place of its origin and its coordinates in the file."""
    centres = np.array([entry.pose.position_m for entry in entries.values()]).reshape(-1, 3)
    zero = np.zeros(3)
    code = _EPSG.fullmatch(system)
    has_geodetic_code = code is not None and 4000 <= int(code[1]) < 5000
    if (has_geodetic_code or not system) and is_earth_centred(centres):
        latitude, longitude, height = geodetic(np.median(centres, axis=0)) if wanted is None else wanted.tolist()
        origin = GeographicOrigin(latitude, longitude, height)
        return transformed(entries, map_from_earth(origin)), origin, zero
    if has_geodetic_code or _GEOGRAPHIC_TEXT.match(system):
        return (*_from_geographic(entries, unusable, wanted), zero)
    local = _ENU.match(system)
    if local:
        return entries, GeographicOrigin(float(local[1]), float(local[2])), zero
    shift_m = shift_of(centres, wanted)
    return relative(entries, shift_m), None, shift_m


def _from_geographic(
    entries: dict[str, TableEntry], unusable: dict[str, Unusable], wanted: Array | None
) -> tuple[dict[str, TableEntry], GeographicOrigin | None]:
    """Return entries at longitude, latitude and height, whose rotation refers to east, north and up, at an origin."""
    places = {name: entry.pose.position_m[[1, 0, 2]] for name, entry in entries.items()}
    for name, place in list(places.items()):
        if problem := check_place(*place.tolist()):
            unusable[name] = Unusable("implausible_pose", problem)
            del places[name]
    if not places:
        return {}, None
    middle = np.median(list(places.values()), axis=0)
    origin = GeographicOrigin(*(middle if wanted is None else wanted).tolist())
    placed = {}
    for name, place in places.items():
        pose = Pose.of(local_position(origin, *place.tolist()), entries[name].pose.quaternion)
        placed[name] = replace(entries[name], pose=pose)
    return placed, origin


def _pose(element: ET.Element | None, to_optical: Array, scale: float) -> Pose:
    if element is None or element.find("Rotation") is None or element.find("Center") is None:
        raise Unusable("no_pose", "the block holds no pose for it")
    centre, rotation = element.find("Center"), element.find("Rotation")
    try:
        position_m = scale * np.array([number_in(centre, axis) for axis in "xyz"])
        # Rows: the camera's axes in the world.
        axes = _world_to_camera(rotation)
        if not np.allclose(axes @ axes.T, np.eye(3), atol=_ROTATION_TOLERANCE):
            raise ValueError("its rotation is none")
        return Pose.of(position_m, rotations.from_matrix(axes.T @ to_optical))
    except ValueError as error:
        raise Unusable("implausible_pose", str(error)) from error


def _world_to_camera(rotation: ET.Element | None) -> Array:
    if rotation is not None and rotation.find("M_00") is not None:
        return np.array([[number_in(rotation, f"M_{row}{column}") for column in range(3)] for row in range(3)])
    if rotation is not None and rotation.find("Omega") is not None:
        turns = [math.radians(number_in(rotation, name)) for name in ("Omega", "Phi", "Kappa")]
        about = [_turn(axis, angle) for axis, angle in enumerate(turns)]
        return (about[0] @ about[1] @ about[2]).T
    yaw, pitch, roll = (math.radians(number_in(rotation, name)) for name in ("Yaw", "Pitch", "Roll"))
    # Level and looking along y: right is x, down is -z, forward is y.
    level = np.array([[1.0, 0.0, 0.0], [0.0, 0.0, -1.0], [0.0, 1.0, 0.0]])
    return level @ (_turn(2, -yaw) @ _turn(0, pitch) @ _turn(1, roll)).T


def _turn(axis: int, angle_rad: float) -> Array:
    vector = np.zeros(3)
    vector[axis] = angle_rad
    return rotations.to_matrix(rotations.from_rotation_vector(vector))


def _camera(group: ET.Element) -> CameraModel | Unusable:
    if group.findtext("CameraModelBand", "").strip() == "Thermal":
        return Unusable("thermal", "the band of its photogroup is thermal")
    try:
        size = group.find("ImageDimensions")
        width, height = int(number_in(size, "Width")), int(number_in(size, "Height"))
        if group.find("FocalLengthPixels") is not None:
            focal_px = number_in(group, "FocalLengthPixels")
        else:
            focal_px = number_in(group, "FocalLength") / number_in(group, "SensorSize") * max(width, height)
        centre = group.find("PrincipalPoint")
        centre_px = (number_in(centre, "x", (width - 1) / 2), number_in(centre, "y", (height - 1) / 2))
        lens = group.find("Distortion")
        radial = [number_in(lens, name, 0.0) for name in ("K1", "K2", "K3")]
        tangential = (number_in(lens, "P2", 0.0), number_in(lens, "P1", 0.0))
        focal = (focal_px, focal_px * number_in(group, "AspectRatio", 1.0))
        kind = group.findtext("CameraModelType", "Perspective").strip()
        if kind == "Perspective":
            return brown_camera((width, height), focal, centre_px, radial, tangential)
        return Unusable("unsupported_camera", f"the camera type '{kind}' is not supported")
    except Unusable as problem:
        return problem
    except (ValueError, ZeroDivisionError) as error:
        return Unusable("no_camera", f"its photogroup has no usable camera: {error}")
