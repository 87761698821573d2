# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Distance of the photographs from the surface, and the coordinate system of a surface that is nowhere near them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from crack_perception.errors import UserError
from crack_perception.geometry.surface.map_planes import MapPlanes
from crack_perception.mapping.export.geographic import GeographicOrigin
from crack_perception.photographs.earth import earth_centred, utm, utm_zone
from crack_perception.photographs.recording import PhotographRecording

Array = npt.NDArray[np.float64]

# Coordinates that agree with a system to this are in it; structures and surveys are smaller.
_SAME_PLACE_M = 20_000.0
_SAME_PLACE_DEG = 0.2
_NAMED = 3
_NO_PLANES = MapPlanes.of((), 0.0, 0.0)


def distances_m(recording: PhotographRecording, points_m: Array | None, planes: MapPlanes = _NO_PLANES) -> Array:
    """Return how far the photographs (N,) are at least from the surface: the box around its points, and its planes.

    Args:
        recording: The photographs.
        points_m: (P, 3) of a mesh or point cloud in the map; None without one.
        planes: In the map.
    """
    positions_m = np.array([photograph.pose.position_m for photograph in recording]).reshape(-1, 3)
    nearest_m = np.full(len(positions_m), np.inf)
    if points_m is not None:
        low_m, high_m = points_m.min(axis=0), points_m.max(axis=0)
        beside_m = np.maximum(np.maximum(low_m - positions_m, positions_m - high_m), 0.0)
        nearest_m = np.linalg.norm(beside_m, axis=1)
    for plane in planes.planes:
        nearest_m = np.minimum(nearest_m, np.abs(positions_m @ plane.normal - plane.offset_m))
    return nearest_m


def check_in_reach(recording: PhotographRecording, path: Path, points: Array, max_gsd_mm_per_px: float) -> None:
    """Check that a mesh or point cloud is in the coordinates of the photographs: that some are near enough to it.

    Args:
        recording: The photographs.
        path: File of the surface.
        points: (P, 3) its points in the coordinates of the poses.
        max_gsd_mm_per_px: Coarsest plausible ground sampling distance.

    Raises:
        UserError: None of them is.
    """
    points_m = recording.to_map(points)
    apart_m = distances_m(recording, points_m)
    reach_m = np.array([1e-3 * max_gsd_mm_per_px * photograph.camera.focal_px for photograph in recording])
    if (apart_m <= reach_m).any():
        return
    middle = np.median(points, axis=0)
    positions_m = np.array([photograph.pose.position_m for photograph in recording])
    poses = (recording.turn.inverse().transform(positions_m) + recording.shift_m) / recording.scale
    system = _system_of(middle, recording.origin)
    origin = recording.origin
    frame = "of the poses"
    if origin is not None and not np.any(recording.shift_m):
        place = f"{origin.latitude_deg:.7f},{origin.longitude_deg:.7f},{origin.altitude_m:.2f}"
        frame = f"of the photographs: metres east, north and up at {place} (--origin)"
    raise UserError(
        f"{path}: the surface is {apart_m.min():.0f} m or more from all {len(recording)} photographs ("
        f"{named([photograph.name for photograph in recording])}): it lies around {_text(middle)}, they lie around "
        f"{_text(np.median(poses, axis=0))}" + (f"; its coordinates look like {system}" if system else ""),
        f"Give it in the coordinates {frame}",
    )


def named(names: Sequence[str]) -> str:
    """Return the first of several names, for a message."""
    return ", ".join(names[:_NAMED]) + (", ..." if len(names) > _NAMED else "")


def _system_of(middle: Array, origin: GeographicOrigin | None) -> str:
    """Return the system in which coordinates (3,) are near the origin of a map; empty if there is none."""
    if origin is None:
        return ""
    latitude, longitude = origin.latitude_deg, origin.longitude_deg
    for zone in _zones_near(longitude):
        place_m = np.array(utm(latitude, longitude, zone))
        code = (32600 if latitude >= 0 else 32700) + zone
        name = f"UTM zone {zone} {'north' if latitude >= 0 else 'south'} (EPSG:{code})"
        if np.abs(middle[:2] - place_m).max() < _SAME_PLACE_M:
            return name
        if np.abs(middle[1::-1] - place_m).max() < _SAME_PLACE_M:
            return f"{name} with northing before easting"
    if np.linalg.norm(middle - earth_centred(latitude, longitude, origin.altitude_m)) < _SAME_PLACE_M:
        return "earth-centred coordinates (EPSG:4978)"
    for place, name in (((longitude, latitude), "longitude, latitude"), ((latitude, longitude), "latitude, longitude")):
        if np.abs(middle[:2] - place).max() < _SAME_PLACE_DEG:
            return f"degrees of {name} (EPSG:4326)"
    return ""


def _zones_near(longitude_deg: float) -> list[int]:
    """Return the UTM zone of a longitude and its neighbours, in which data at the border of a zone may be."""
    zone = utm_zone(longitude_deg)
    return [zone, (zone - 2) % 60 + 1, zone % 60 + 1]


def _text(point: Array) -> str:
    return "(" + ", ".join(f"{value:.6g}" if math.fabs(value) < 1000 else f"{value:.0f}" for value in point) + ")"
