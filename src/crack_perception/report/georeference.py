# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Coordinates of the deliverables: of the map frame, of a projected system by EPSG code, or longitude and latitude."""

from __future__ import annotations

import math
import warnings
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from crack_perception.errors import UsageError, UserError
from crack_perception.mapping.export.geographic import GeographicOrigin

if TYPE_CHECKING:
    import pyproj

Array = npt.NDArray[np.float64]

_WGS84 = 4326
# A structure at the border of a zone is often mapped in the system of its neighbour.
_BORDER_DEG = 3.0
_LARGEST_SCALE_ERROR = 0.01
# Operations are chosen for this surrounding of a map's origin.
_AROUND_DEG = 0.01
# An accuracy worse than this is pointed out.
_COARSE_M = 1.0


class Georeference(ABC):
    """Transformation of map coordinates.

    Attributes:
        epsg: Code of the system of ``coordinates``; None for metres of the map frame.
        name: Of that system.
        axes: Names of the three coordinates, as table headings with units.
        statement: The transformation in words, for the documents.
        wkt: The system as WKT 1; "" for the map frame.
        transformation: Operation between that system and WGS 84 with its accuracy, in words; "" where there is none.
        warnings: What a reader of the coordinates must know about its accuracy.
    """

    epsg: int | None = None
    name: str = "map frame"
    axes: tuple[str, str, str] = ("x_m", "y_m", "z_m")
    statement: str = ""
    wkt: str = ""
    transformation: str = ""
    warnings: tuple[str, ...] = ()

    @abstractmethod
    def coordinates(self, points_m: Array) -> Array:
        """(N, 3) in the system ``epsg`` of map points (N, 3)."""

    @abstractmethod
    def geographic(self, points_m: Array) -> Array | None:
        """(N, 3) longitude, latitude [deg, WGS 84] and height of map points (N, 3); None where unknown."""

    def planar(self, points_m: Array) -> Array:
        """(N, 3) for drawings, in lengths: ``coordinates``, or metres of the map where those are degrees."""
        return self.coordinates(points_m)


class MapFrame(Georeference):
    """Coordinates as they are in the map."""

    statement = "Coordinates are metres in the frame of the map; its place on the earth is not known."

    def coordinates(self, points_m: Array) -> Array:
        """The points themselves."""
        return points_m

    def geographic(self, points_m: Array) -> Array | None:
        """Unknown."""
        return None


@dataclass(frozen=True)
class GridOrigin:
    """Place of the map in a projected system.

    Attributes:
        easting, northing, height: Of the map's origin, in the unit of the system.
        x_heading_deg: Direction of the map's x axis, clockwise from grid north.
        grid_scale: Length in the system of a length on the structure.
    """

    easting: float
    northing: float
    height: float
    x_heading_deg: float = 90.0
    grid_scale: float = 1.0


class ProjectedFrame(Georeference):
    """A projected system with a surveyed origin: rotation, scale and shift in the plane, shift in height.

    Raises:
        UserError: Unknown code, not a projected system, or an origin outside its area of use.
    """

    def __init__(self, epsg: int, origin: GridOrigin) -> None:
        numbers = (origin.easting, origin.northing, origin.height, origin.x_heading_deg, origin.grid_scale)
        if not all(map(math.isfinite, numbers)) or abs(origin.grid_scale - 1) > _LARGEST_SCALE_ERROR:
            raise UsageError(
                f"the origin {list(numbers)} is no easting, northing, height, heading and scale",
                "Give finite numbers, and a grid scale near 1",
            )
        crs = projected_crs(epsg)
        unit = crs.axis_info[0]
        self.epsg, self.name, self.wkt = epsg, f"{crs.name} (EPSG:{epsg})", crs.to_wkt("WKT1_GDAL")
        suffix = {"metre": "m", "foot": "ft", "US survey foot": "ftUS"}.get(unit.unit_name, unit.unit_name)
        self.axes = (f"easting_{suffix}", f"northing_{suffix}", f"height_{suffix}")
        self._origin = origin
        self._units_per_m = 1.0 / unit.unit_conversion_factor
        operation = _operation(crs, _WGS84, *self._checked_place(crs))
        self._to_geographic = operation.transformer
        self.transformation, self.warnings = operation.words, operation.warnings
        heading = math.radians(origin.x_heading_deg)
        self._east = origin.grid_scale * self._units_per_m * np.array([math.sin(heading), -math.cos(heading)])
        self._north = origin.grid_scale * self._units_per_m * np.array([math.cos(heading), math.sin(heading)])
        self.statement = (
            f"Coordinates are {self.name}. The map's origin is at E {origin.easting:.3f}, N {origin.northing:.3f}, "
            f"H {origin.height:.3f}; its x axis points {origin.x_heading_deg:g}° clockwise from grid north; the grid "
            f"scale is {origin.grid_scale:.8g}. Heights are H plus the height in the map, in the same unit and the "
            "same height system as H."
            + _stated("Longitudes and latitudes (GeoJSON, KML) are computed from them", operation)
        )

    def coordinates(self, points_m: Array) -> Array:
        """Easting, northing and height."""
        origin = self._origin
        return np.column_stack(
            [
                origin.easting + points_m[:, :2] @ self._east,
                origin.northing + points_m[:, :2] @ self._north,
                origin.height + points_m[:, 2] * self._units_per_m,
            ]
        )

    def geographic(self, points_m: Array) -> Array | None:
        """Longitude, latitude, and the height in metres in the height system of the origin."""
        grid = self.coordinates(points_m)
        longitude, latitude = self._to_geographic.transform(grid[:, 0], grid[:, 1])
        return np.column_stack([longitude, latitude, grid[:, 2] / self._units_per_m])

    def _checked_place(self, crs: pyproj.CRS) -> tuple[float, float]:
        """Longitude and latitude of the origin, near enough to choose the operation of this place."""
        from pyproj import Transformer

        rough = Transformer.from_crs(crs, _WGS84, always_xy=True)
        longitude, latitude = rough.transform(self._origin.easting, self._origin.northing)
        area = crs.area_of_use
        if not (math.isfinite(longitude) and math.isfinite(latitude)):
            where = "nowhere on the earth"
        elif area is None or _is_near(area, longitude, latitude):
            return longitude, latitude
        else:
            where = f"at latitude {latitude:.3f}, longitude {longitude:.3f}, outside the area of use ({area.name})"
        raise UserError(
            f"the origin E {self._origin.easting:g}, N {self._origin.northing:g} lies {where} of {self.name}",
            "Check the EPSG code and the order E,N,H",
        )


class GeographicFrame(Georeference):
    """An origin by WGS 84 latitude, longitude and ellipsoidal height; optionally projected by an EPSG code.

    Raises:
        UserError: Unknown code, not a projected system, or an origin outside its area of use.
    """

    def __init__(self, origin: GeographicOrigin, epsg: int | None = None) -> None:
        self._origin = origin
        self._project: Any = None
        place = (
            f"The map's origin is at latitude {origin.latitude_deg:.8f}°, longitude {origin.longitude_deg:.8f}°, "
            f"{origin.altitude_m:.3f} m above the ellipsoid of WGS 84; its x axis points {origin.x_heading_deg:g}° "
            "clockwise from true north. Heights are above the ellipsoid, not above the sea."
        )
        if epsg is None:
            self.epsg, self.name, self.axes = _WGS84, "WGS 84", ("longitude_deg", "latitude_deg", "height_m")
            self.wkt = WGS84_WKT
            self.statement = f"Coordinates are longitude and latitude (WGS 84). {place}"
            return
        crs = projected_crs(epsg)
        if abs(crs.axis_info[0].unit_conversion_factor - 1) > 1e-12:
            raise UserError(
                f"EPSG:{epsg} has the unit {crs.axis_info[0].unit_name}, and heights above the ellipsoid are in metres",
                "Give the origin in that system with --origin E,N,H",
            )
        self.epsg, self.name, self.wkt = epsg, f"{crs.name} (EPSG:{epsg})", crs.to_wkt("WKT1_GDAL")
        self.axes = ("easting_m", "northing_m", "height_m")
        operation = _operation(_WGS84, crs, origin.longitude_deg, origin.latitude_deg)
        self._project = operation.transformer
        self.transformation, self.warnings = operation.words, operation.warnings
        area = crs.area_of_use
        if area is not None and not _is_near(area, origin.longitude_deg, origin.latitude_deg):
            raise UserError(
                f"latitude {origin.latitude_deg:g}, longitude {origin.longitude_deg:g} lies outside the area of use "
                f"({area.name}) of {self.name}",
                "Check the EPSG code and the order lat,lon,alt",
            )
        self.statement = f"Coordinates are {self.name}, from WGS 84.{_stated('They are computed', operation)} {place}"

    def coordinates(self, points_m: Array) -> Array:
        """Projected, or longitude, latitude and height."""
        positions = self._origin.positions(points_m)
        if self._project is None:
            return positions
        easting, northing = self._project.transform(positions[:, 0], positions[:, 1])
        return np.column_stack([easting, northing, positions[:, 2]])

    def geographic(self, points_m: Array) -> Array | None:
        """Longitude, latitude and ellipsoidal height."""
        return self._origin.positions(points_m)

    def planar(self, points_m: Array) -> Array:
        """Projected, or metres of the map."""
        return points_m if self._project is None else self.coordinates(points_m)


def projected_crs(epsg: int) -> pyproj.CRS:
    """The projected system of a code; of a compound system its horizontal part.

    Raises:
        UserError: Unknown code, or another kind of system.
    """
    from pyproj import CRS
    from pyproj.exceptions import CRSError

    try:
        crs = CRS.from_epsg(epsg)
    except CRSError as error:
        raise UsageError(f"there is no coordinate system EPSG:{epsg}", "Look the code up at epsg.io") from error
    if crs.is_compound:
        crs = crs.sub_crs_list[0]
    if not crs.is_projected:
        raise UsageError(
            f"EPSG:{epsg} ({crs.name}) is not a projected system", "Give one with eastings and northings, such as 25832"
        )
    if {axis.direction for axis in crs.axis_info} != {"east", "north"}:
        raise UsageError(
            f"EPSG:{epsg} ({crs.name}) counts its coordinates to the west or south", "Give one to the east and north"
        )
    return crs


@dataclass(frozen=True)
class _Operation:
    """A coordinate operation of PROJ.

    Attributes:
        transformer: Of pyproj, longitude or easting first.
        words: Its name and accuracy.
        warnings: Missing grids, and an accuracy that is unknown or worse than ``_COARSE_M``.
    """

    transformer: Any
    words: str
    warnings: tuple[str, ...]


def _operation(source: object, target: object, longitude: float, latitude: float) -> _Operation:
    """The most accurate operation at a place that this machine can compute; one for the whole map."""
    from pyproj.transformer import AreaOfInterest, TransformerGroup

    west, east = max(longitude - _AROUND_DEG, -180.0), min(longitude + _AROUND_DEG, 180.0)
    south, north = max(latitude - _AROUND_DEG, -90.0), min(latitude + _AROUND_DEG, 90.0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about missing grids, which are reported below
        group = TransformerGroup(
            source, target, always_xy=True, area_of_interest=AreaOfInterest(west, south, east, north)
        )
    transformer = min(group.transformers, key=lambda each: _error_m(each.accuracy))
    error_m = _error_m(transformer.accuracy)
    accuracy = f"accuracy {error_m:g} m" if math.isfinite(error_m) else "accuracy unknown"
    found = []
    if error_m > _COARSE_M:
        found.append(
            f"the transformation '{transformer.description}' has an "
            + (accuracy if math.isfinite(error_m) else "unknown accuracy; it can be wrong by more than 100 m")
        )
    better = min(group.unavailable_operations, key=lambda each: _error_m(each.accuracy), default=None)
    if better is not None and _error_m(better.accuracy) < error_m:
        grids = ", ".join(grid.short_name for grid in better.grids if not grid.available)
        found.append(
            f"a transformation with an accuracy of {better.accuracy:g} m needs the grid {grids}, which is not "
            "installed; get it with 'pyproj sync --file' and its name"
        )
    return _Operation(transformer, f"{transformer.description} ({accuracy})", tuple(found))


def _error_m(accuracy_m: float) -> float:
    """Accuracy as PROJ gives it, negative where unknown, as a number that can be compared."""
    return accuracy_m if accuracy_m >= 0.0 else math.inf


def _stated(words: str, operation: _Operation) -> str:
    """Sentences about an operation, each after a blank."""
    return f" {words} by: {operation.words}." + "".join(f" Caution: {each}." for each in operation.warnings)


def _is_near(area: Any, longitude: float, latitude: float) -> bool:
    west, east = area.west - _BORDER_DEG, area.east + _BORDER_DEG
    if area.east < area.west:  # across the date line
        east += 360.0
    turned = (longitude - west) % 360.0
    return turned <= east - west and area.south - _BORDER_DEG <= latitude <= area.north + _BORDER_DEG


WGS84_WKT = (
    'GEOGCS["WGS 84",DATUM["WGS_1984",SPHEROID["WGS 84",6378137,298.257223563,AUTHORITY["EPSG","7030"]],'
    'AUTHORITY["EPSG","6326"]],PRIMEM["Greenwich",0,AUTHORITY["EPSG","8901"]],UNIT["degree",0.0174532925199433,'
    'AUTHORITY["EPSG","9122"]],AXIS["Latitude",NORTH],AXIS["Longitude",EAST],AUTHORITY["EPSG","4326"]]'
)
