# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Cameras of Agisoft Metashape, exported as XML (File, Export, Export Cameras).

A camera's transform takes its optical frame to the chunk; the chunk's transform takes that to earth-centred
coordinates, or to the local system. Metashape's p1 belongs to ``r^2 + 2 x^2``, OpenCV's to ``r^2 + 2 y^2``; the
principal point is an offset from the middle of the picture. Source: Metashape user manual, appendix "Camera models".
"""

from __future__ import annotations

import math
import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np

from crack_perception.errors import UserError
from crack_perception.geometry import rotations
from crack_perception.geometry.camera.models import CameraModel
from crack_perception.geometry.poses.pose import Pose
from crack_perception.mapping.export.geographic import GeographicOrigin
from crack_perception.photographs.documents import number_in, numbers_in, read_xml
from crack_perception.photographs.earth import geodetic, is_earth_centred, map_from_earth
from crack_perception.photographs.lenses import brown_camera, fisheye_camera
from crack_perception.photographs.table import Array, PoseTable, TableEntry, Unusable, relative, shift_of, transformed

FORMAT = "Metashape"

_UNSCALED = "the Metashape chunk has no transform, so its unit is not a metre: reference the chunk, or give --scale"
_ROTATION_TOLERANCE = 1e-3
_NOTICED_PX = 0.5


def is_metashape(root: ET.Element) -> bool:
    """Return whether an XML document is an export of cameras."""
    return root.tag == "document" and root.find("chunk") is not None


def read(path: Path, scale: float, wanted: Array | None) -> PoseTable:
    """Read the cameras of all chunks.

    Args:
        path: The XML file.
        scale: Factor on all lengths, for a chunk without scale.
        wanted: Origin of the map: latitude, longitude and height for a chunk on the earth, else coordinates [m].

    Raises:
        UserError: The file is of another kind.
    """
    root = read_xml(path)
    if not is_metashape(root):
        raise UserError(f"{path}: is no export of cameras of Metashape", "Export the cameras as Agisoft XML")
    entries: dict[str, TableEntry] = {}
    unusable: dict[str, Unusable] = {}
    notes: list[str] = []
    repeated: set[str] = set()
    moved_px: list[tuple[float, str]] = []
    for chunk in root.findall("chunk"):
        if not _is_enabled(chunk):
            continue
        try:
            transforms, has_transform = _transforms(chunk)
        except ValueError as error:
            raise UserError(f"{path}: the chunk's transform is not usable ({error})", "Export it again") from error
        if not has_transform and scale == 1.0:
            notes.append(_UNSCALED)
        sensors = {sensor.get("id", ""): sensor for sensor in chunk.iter("sensor")}
        cameras = {number: _camera(sensor) for number, sensor in sensors.items()}
        moved_px += [(_left_out_px(sensor), sensor.get("label", "")) for sensor in sensors.values()]
        for element in chunk.iter("camera"):
            name = element.get("label", "")
            try:
                world_from_chunk = transforms.get(element.get("component_id", ""), transforms[""])
                pose, camera = _pose(element, world_from_chunk, scale, cameras)
                if name in entries:
                    repeated.add(name)
                else:
                    entries[name] = TableEntry(pose, camera, f"sensor {element.get('sensor_id', '')}")
            except Unusable as problem:
                unusable[name] = problem
    # A chunk is often a copy of another one, in which other photographs are aligned.
    unusable = {name: problem for name, problem in unusable.items() if name not in entries}
    if repeated:
        notes.append(f"{len(repeated)} labels are aligned several times: the first one of each is used")
    worst_px, label = max(moved_px, default=(0.0, ""))
    if worst_px > _NOTICED_PX:
        count = sum(each > _NOTICED_PX for each, _ in moved_px)
        notes.append(
            f"b2, p3 and p4 of {count} sensors are left out, which moves pixels by up to {worst_px:.1f} px ('{label}')"
        )
    positions_m = np.array([entry.pose.position_m for entry in entries.values()]).reshape(-1, 3)
    origin: GeographicOrigin | None = None
    shift_m = np.zeros(3)
    if is_earth_centred(positions_m):
        # Earth-centred coordinates have no "up": the map is east, north, up at an origin.
        latitude, longitude, height = geodetic(np.median(positions_m, axis=0)) if wanted is None else wanted.tolist()
        origin = GeographicOrigin(latitude, longitude, height)
        entries = transformed(entries, map_from_earth(origin))
    else:
        shift_m = shift_of(positions_m, wanted)
        entries = relative(entries, shift_m)
    return PoseTable(FORMAT, entries, unusable, origin, shift_m, tuple(notes))


def _transforms(chunk: ET.Element) -> tuple[dict[str, Array], bool]:
    """Return transforms (4, 4) to the world by component, "" for the chunk, and whether there is any.

    Since version 1.5 the parts of a chunk that are not connected have transforms of their own.
    """
    found = {each.get("id", ""): each.find("transform") for each in chunk.iterfind("components/component")}
    found[""] = chunk.find("transform")
    matrices = {name: _matrix(element) for name, element in found.items()}
    known = {name: matrix for name, matrix in matrices.items() if matrix is not None}
    return {"": np.eye(4)} | known, bool(known)


def _matrix(transform: ET.Element | None) -> Array | None:
    if transform is None or transform.find("rotation") is None:
        return None
    matrix = np.eye(4)
    rotation = np.array(numbers_in(transform.findtext("rotation"), 9, "the rotation")).reshape(3, 3)
    matrix[:3, :3] = number_in(transform, "scale", 1.0) * rotation
    if transform.find("translation") is not None:
        matrix[:3, 3] = numbers_in(transform.findtext("translation"), 3, "the translation")
    return matrix


def _pose(
    element: ET.Element, world_from_chunk: Array, scale: float, cameras: dict[str, CameraModel | Unusable]
) -> tuple[Pose, CameraModel]:
    text = element.findtext("transform")
    if text is None:
        raise Unusable("no_pose", "Metashape has not aligned it")
    if not _is_enabled(element):
        raise Unusable("no_pose", "it is disabled in Metashape")
    try:
        matrix = world_from_chunk @ np.array(numbers_in(text, 16, "its transform")).reshape(4, 4)
        axes = matrix[:3, :3] / np.cbrt(np.linalg.det(matrix[:3, :3]))
        if not np.allclose(axes @ axes.T, np.eye(3), atol=_ROTATION_TOLERANCE):
            raise ValueError("its transform is no rotation")
        pose = Pose.of(scale * matrix[:3, 3], rotations.from_matrix(axes))
    except (ValueError, FloatingPointError) as error:
        raise Unusable("implausible_pose", str(error)) from error
    camera = cameras.get(element.get("sensor_id", ""), Unusable("no_camera", "its sensor is not in the export"))
    if isinstance(camera, Unusable):
        raise camera
    return pose, camera


def _is_enabled(element: ET.Element) -> bool:
    return element.get("enabled", "1").lower() not in ("0", "false")


def _calibration(sensor: ET.Element) -> ET.Element | None:
    """Return the adjusted calibration, else the initial one."""
    calibrations = sensor.findall("calibration")
    adjusted = next((each for each in calibrations if each.get("class") == "adjusted"), None)
    return adjusted if adjusted is not None else next(iter(calibrations), None)


def _left_out_px(sensor: ET.Element) -> float:
    """Return how far terms of the lens that a camera of the package cannot have move pixels in the corners."""
    calibration = _calibration(sensor)
    resolution = None if calibration is None else calibration.find("resolution")
    if calibration is None or resolution is None:
        return 0.0
    try:
        focal_px, skew_px, p1, p2, p3, p4 = (
            number_in(calibration, name, 0.0) for name in ("f", "b2", "p1", "p2", "p3", "p4")
        )
        width, height = float(resolution.get("width", "0")), float(resolution.get("height", "0"))
    except ValueError:
        return 0.0
    if focal_px <= 0.0:
        return 0.0
    r2 = (width**2 + height**2) / (2 * focal_px) ** 2
    tangential_px = 3.0 * focal_px * math.hypot(p1, p2) * r2 * abs(p3 * r2 + p4 * r2**2)
    return abs(skew_px) * height / (2 * focal_px) + tangential_px


def _camera(sensor: ET.Element) -> CameraModel | Unusable:
    kind = sensor.get("type", "frame")
    calibration = _calibration(sensor)
    if calibration is None:
        return Unusable("no_camera", f"the sensor '{sensor.get('label', '')}' has no calibration")
    kind = calibration.get("type", kind)
    try:
        resolution = calibration.find("resolution")
        resolution = resolution if resolution is not None else sensor.find("resolution")
        if resolution is None:
            raise ValueError("the sensor has no resolution")
        width, height = int(resolution.get("width", "0")), int(resolution.get("height", "0"))
        fy = number_in(calibration, "fy", number_in(calibration, "f", 0.0))
        fx = number_in(calibration, "fx", fy + number_in(calibration, "b1", 0.0))
        centre_px = tuple(
            (size - 1) / 2 + number_in(calibration, name, 0.0) for name, size in (("cx", width), ("cy", height))
        )
        if calibration.find("fx") is not None:  # files of PhotoScan: from the corner of the picture
            centre_px = tuple(value - size / 2 for value, size in zip(centre_px, (width, height), strict=True))
        radial = [number_in(calibration, f"k{n}", 0.0) for n in (1, 2, 3, 4)]
        tangential = (number_in(calibration, "p2", 0.0), number_in(calibration, "p1", 0.0))
        if kind == "frame":
            return brown_camera((width, height), (fx, fy), (centre_px[0], centre_px[1]), radial, tangential)
        if kind in ("fisheye", "equidistant_fisheye"):
            return fisheye_camera((width, height), (fx, fy), (centre_px[0], centre_px[1]), radial)
    except Unusable as problem:
        return problem
    except ValueError as error:
        return Unusable("no_camera", str(error))
    return Unusable("unsupported_camera", f"the camera type '{kind}' is not supported")
