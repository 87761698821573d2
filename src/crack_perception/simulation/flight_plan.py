"""Which wall and which path belong together, so that the camera never looks past the wall's edge."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from crack_perception.errors import UserError
from crack_perception.geometry.pose import Pose
from crack_perception.geometry.rotations import FORWARD_LOOKING_OPTICAL
from crack_perception.simulation import wall as walls
from crack_perception.simulation.crack_drawing import draw_cracks
from crack_perception.simulation.crack_layout import ImageScale, WallCrack, plan_cracks
from crack_perception.simulation.presets import DEFAULT_CRACKS, DEFAULT_SPEED_M_S, DEFAULT_STANDOFF_M
from crack_perception.simulation.settings import FlightSettings
from crack_perception.simulation.surface_view import SurfaceView
from crack_perception.simulation.trajectory import HoverPath, SerpentinePath, Trajectory
from crack_perception.simulation.truth import TruthSurface
from crack_perception.simulation.wall import Wall

FloatArray = NDArray[np.float64]

# The camera sits ahead of and above the drone's centre and looks straight ahead.
BASE_FROM_CAMERA = Pose.of((0.10, 0.0, 0.05), FORWARD_LOOKING_OPTICAL)

_ROW_OVERLAP = 0.25
_LONGEST_ROW_M = 3.0
_WALL_MARGIN_M = 0.01
_COARSEST_WALL_MM_PER_PX = 0.5
_WALL_PX_PER_IMAGE_PX = 1.45
# A procedural wall of this many pixels takes about 2 GB while it is made; longer flights go back and forth over it.
_LARGEST_WALL_PX = 100e6
_TEXTURE_PX_PER_IMAGE_PX = 1.1


@dataclass(frozen=True, eq=False)
class FlightPlan:
    """A wall with its cracks drawn and the trajectory along it."""

    wall: Wall
    cracks: tuple[WallCrack, ...]
    complete: bool
    trajectory: Trajectory


@dataclass(frozen=True, eq=False)
class _Overhang:
    """How far the images reach beyond the path: least and greatest (u, v), (2,) each, in metres."""

    low_m: FloatArray
    high_m: FloatArray

    @property
    def size_m(self) -> FloatArray:
        return self.high_m - self.low_m


def plan_flight(settings: FlightSettings) -> FlightPlan:
    """Make the wall and lay a path over it.

    Raises:
        UserError: The texture or its labels are unusable, or an image is larger than the texture.
    """
    if settings.texture is None:
        wall, path = _concrete(settings)
        standoff_m = settings.standoff_m or DEFAULT_STANDOFF_M
    else:
        assert settings.texture_mm_per_px is not None
        wall = walls.photograph_wall(settings.texture, settings.texture_mm_per_px, settings.texture_labels)
        standoff_m = settings.standoff_m or _standoff_for(settings, wall.mm_per_px)
        path = _path_over(settings, wall, standoff_m)
    count = settings.cracks if settings.cracks is not None else (DEFAULT_CRACKS if settings.texture is None else 0)
    looked_at_m = path.at(np.linspace(0, settings.duration_s, 500))
    gsd_m = standoff_m / settings.camera.focal_px
    scale = ImageScale(1000 * gsd_m, settings.width * gsd_m, settings.height * gsd_m)
    cracks = plan_cracks(settings.random("cracks"), count, looked_at_m, scale, wall.size_m)
    draw_cracks(settings.random("drawing"), wall.texture, wall.mm_per_px, cracks)
    complete = settings.texture is None or wall.labels is not None
    return FlightPlan(wall, cracks, complete, _trajectory(settings, path, wall.surface, standoff_m))


def _trajectory(
    settings: FlightSettings, path: HoverPath | SerpentinePath, surface: TruthSurface, standoff_m: float
) -> Trajectory:
    """Sway and attitude depend on the seed alone: they are the same along every path."""
    attitude_rad = float(np.deg2rad(settings.attitude_deg))
    return Trajectory(settings.random("motion"), path, surface, standoff_m, attitude_rad, BASE_FROM_CAMERA)


def _standoff_for(settings: FlightSettings, mm_per_px: float) -> float:
    """The distance at which the image is slightly coarser than the texture."""
    return settings.camera.focal_px * mm_per_px * _TEXTURE_PX_PER_IMAGE_PX / 1000


def _overhang(settings: FlightSettings, standoff_m: float) -> _Overhang:
    """Measured on a hovering flight with the sway and attitude of the real one, image by image."""
    surface = Wall(np.zeros((1, 1, 3), np.uint8), 1.0, None, None).surface
    trajectory = _trajectory(settings, HoverPath(0.0, 0.0), surface, standoff_m)
    low, high = np.full(2, np.inf), np.full(2, -np.inf)
    for pose in trajectory.camera_poses(settings.image_times_s):
        view = SurfaceView(settings.camera, surface, pose)
        seen_m = view.seen_at(view.outline_px)
        low, high = np.minimum(low, seen_m.min(axis=0)), np.maximum(high, seen_m.max(axis=0))
    return _Overhang(low - _WALL_MARGIN_M, high + _WALL_MARGIN_M)


def _row_spacing_m(settings: FlightSettings, standoff_m: float) -> float:
    return settings.height * standoff_m / settings.camera.focal_px * (1 - _ROW_OVERLAP)


def _concrete(settings: FlightSettings) -> tuple[Wall, SerpentinePath]:
    """Rows that take the flight's length, and a wall that is just large enough for them."""
    standoff_m = settings.standoff_m or DEFAULT_STANDOFF_M
    speed_m_s = DEFAULT_SPEED_M_S if settings.speed_m_s is None else settings.speed_m_s
    gsd_mm = 1000 * standoff_m / settings.camera.focal_px
    mm_per_px = min(_COARSEST_WALL_MM_PER_PX, gsd_mm / _WALL_PX_PER_IMAGE_PX)
    overhang = _overhang(settings, standoff_m)
    spacing_m = _row_spacing_m(settings, standoff_m)
    length_m = speed_m_s * settings.duration_s
    turn_m = np.pi * spacing_m / 2
    rows = max(1, int(np.ceil((length_m + turn_m) / (_LONGEST_ROW_M + turn_m))))
    row_m = max(0.0, (length_m - (rows - 1) * turn_m) / rows)
    bulge_m = spacing_m / 2 if rows > 1 else 0.0
    width_m = overhang.size_m[0] + row_m + 2 * bulge_m
    largest_m2 = _LARGEST_WALL_PX * mm_per_px**2 * 1e-6
    rows = max(1, min(rows, 1 + int((largest_m2 / width_m - overhang.size_m[1]) / spacing_m)))
    size_m = np.array([width_m, overhang.size_m[1] + (rows - 1) * spacing_m])
    path = SerpentinePath(-overhang.low_m[0] + bulge_m, -overhang.low_m[1], row_m, spacing_m, rows, speed_m_s)
    return walls.concrete_wall(settings.random("wall"), size_m, mm_per_px), path


def _path_over(settings: FlightSettings, wall: Wall, standoff_m: float) -> SerpentinePath:
    """Rows that cover a given wall, flown once in the flight's duration unless a speed was chosen."""
    overhang = _overhang(settings, standoff_m)
    room_m = wall.size_m - overhang.size_m
    if (room_m < 0).any():
        picture, image = wall.size_m, overhang.size_m
        raise UserError(
            f"{wall.source}: the texture is {picture[0]:.2f} x {picture[1]:.2f} m, the camera's view with its motion "
            f"takes {image[0]:.2f} x {image[1]:.2f} m",
            f"Fly closer than --standoff {standoff_m:.2f}, or choose a smaller --hfov, --width or --height",
        )
    spacing_m = _row_spacing_m(settings, standoff_m)
    gaps = int(np.ceil(room_m[1] / spacing_m))
    # Turns bulge sideways by half the spacing: where there is no room for that, one row in the middle has to do.
    spacing_m = room_m[1] / gaps if gaps and room_m[1] / gaps <= room_m[0] else 0.0
    rows, bulge_m = (gaps + 1, spacing_m / 2) if spacing_m > 0 else (1, 0.0)
    top_m = -overhang.low_m[1] + (0.0 if rows > 1 else room_m[1] / 2)
    row_m = room_m[0] - 2 * bulge_m
    once = SerpentinePath(-overhang.low_m[0] + bulge_m, top_m, row_m, spacing_m, rows, 0.0)
    speed_m_s = settings.speed_m_s
    if speed_m_s is None:
        speed_m_s = min(DEFAULT_SPEED_M_S, once.length_m / settings.duration_s)
    return SerpentinePath(once.left_m, top_m, row_m, spacing_m, rows, speed_m_s)
