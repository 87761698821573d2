# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Results of OpenDroneMap: ``shots.geojson`` with ``cameras.json``.

A shot's rotation vector takes map axes to the optical frame, its translation is the camera's position in the projected
system of the project (UTM). Lengths of the cameras are shares of the longer side of the picture.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from crack_perception.errors import UserError
from crack_perception.geometry import rotations
from crack_perception.geometry.camera.models import CameraModel
from crack_perception.geometry.poses.pose import Pose
from crack_perception.mapping.export.geographic import GeographicOrigin
from crack_perception.photographs.documents import read_json
from crack_perception.photographs.earth import check_place, grid_convergence_deg
from crack_perception.photographs.lenses import brown_camera, fisheye_camera
from crack_perception.photographs.table import Array, PoseTable, TableEntry, Unusable, shift_of, shifted

FORMAT = "OpenDroneMap"
NAMES = ("shots.geojson",)

_CAMERAS = "cameras.json"
_BROWN = ("perspective", "simple_radial", "radial", "brown")
_FISHEYE = ("fisheye", "fisheye_opencv")


def read(path: Path, scale: float, wanted_m: Array | None) -> PoseTable:
    """Read the shots of a project.

    Args:
        path: ``shots.geojson``; ``cameras.json`` lies beside it or in the folder of the project.
        scale: Factor on all lengths, 1 for a georeferenced project.
        wanted_m: Coordinates [m] that become the origin; None: see ``shift_of``.

    Raises:
        UserError: A file is missing or is of another kind.
    """
    cameras = _cameras(path)
    document = read_json(path)
    features = document.get("features") if isinstance(document, dict) else None
    if not isinstance(features, list):
        raise UserError(f"{path}: has no list of features", "Give shots.geojson of OpenDroneMap")
    poses: dict[str, tuple[Pose, CameraModel, str, int | None]] = {}
    places: list[tuple[Array, Array]] = []
    unusable: dict[str, Unusable] = {}
    for feature in features:
        name = ""
        try:
            shot = feature["properties"]
            name = str(shot["filename"])
            to_camera = rotations.from_rotation_vector(np.array(shot["rotation"], np.float64).reshape(3))
            position_m = scale * np.array(shot["translation"], np.float64).reshape(3)
            pose = Pose.of(position_m, rotations.conjugate(to_camera))
            camera_name = str(shot.get("camera", ""))
            taken = shot.get("capture_time")
            stamp_ns = round(float(taken) * 1e9) if isinstance(taken, int | float) and taken > 0 else None
            poses[name] = pose, _camera_of(shot, camera_name, cameras), camera_name, stamp_ns
            place = np.array(feature["geometry"]["coordinates"], np.float64).reshape(-1)
            if len(place) == 3 and not check_place(place[1], place[0], place[2]):
                places.append((position_m, place))
        except Unusable as problem:
            unusable[name] = problem
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            unusable[name or f"feature {len(unusable)}"] = Unusable(
                "implausible_pose", f"its shot is not usable: {error!r}"
            )
    shift_m = shift_of(np.array([pose.position_m for pose, *_ in poses.values()]).reshape(-1, 3), wanted_m)
    entries = {
        name: TableEntry(shifted(pose, shift_m), camera, camera_name, stamp_ns=stamp_ns)
        for name, (pose, camera, camera_name, stamp_ns) in poses.items()
    }
    return PoseTable(FORMAT, entries, unusable, _origin(places, shift_m), shift_m)


def _cameras(path: Path) -> Mapping[str, Any]:
    places = [path.with_name(_CAMERAS), path.parent.parent / _CAMERAS]
    found = next((place for place in places if place.is_file()), None)
    if found is None:
        raise UserError(f"{path}: there is no {_CAMERAS} beside it", "Copy it from the folder of the project")
    document = read_json(found)
    if not isinstance(document, dict) or not document:
        raise UserError(f"{found}: holds no cameras", "Copy it from the folder of the project")
    return document


def _camera_of(shot: Mapping[str, Any], name: str, cameras: Mapping[str, Any]) -> CameraModel:
    """Return the camera of a shot; where it names none, the only one of its size.

    Raises:
        Unusable: There is none, or it is not supported.
    """
    size_px = (int(shot.get("width", 0)), int(shot.get("height", 0)))
    fitting = [each for each in cameras.values() if (each.get("width"), each.get("height")) == size_px]
    camera = cameras.get(name) or (fitting[0] if len(fitting) == 1 else None)
    if camera is None and len(cameras) == 1:
        camera = next(iter(cameras.values()))
    if camera is None:
        raise Unusable(
            "no_camera", f"{_CAMERAS} has no camera '{name}' and {len(fitting)} of {size_px[0]}x{size_px[1]} px"
        )
    width_px, height_px = int(camera.get("width") or size_px[0]), int(camera.get("height") or size_px[1])
    kind = str(camera.get("projection_type", "perspective"))
    longest_px = max(width_px, height_px)

    def value(*names: str) -> float:
        return float(next((camera[each] for each in names if each in camera), 0.0))

    focal_px = (longest_px * value("focal_x", "focal"), longest_px * value("focal_y", "focal_x", "focal"))
    centre_px = (
        (width_px - 1) / 2 + longest_px * value("c_x"),
        (height_px - 1) / 2 + longest_px * value("c_y"),
    )
    if kind in _BROWN:
        radial = [value("k1"), value("k2"), value("k3")]
        return brown_camera((width_px, height_px), focal_px, centre_px, radial, (value("p1"), value("p2")))
    if kind in _FISHEYE:
        return fisheye_camera((width_px, height_px), focal_px, centre_px, [value(f"k{n}") for n in (1, 2, 3, 4)])
    raise Unusable("unsupported_camera", f"the projection '{kind}' is not supported")


def _origin(places: list[tuple[Array, Array]], shift_m: Array) -> GeographicOrigin | None:
    """Return the place of the map's origin, from the shot nearest to it and the direction of its grid."""
    if not places:
        return None
    position_m, (longitude, latitude, height) = min(places, key=lambda each: float(np.linalg.norm(each[0] - shift_m)))
    heading_deg = 90.0 + grid_convergence_deg(float(latitude), float(longitude))
    at_shot = GeographicOrigin(float(latitude), float(longitude), float(height), heading_deg)
    there = at_shot.positions((shift_m - position_m)[None])[0]
    return GeographicOrigin(float(there[1]), float(there[0]), float(there[2]), heading_deg)
