# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Camera poses that settle what a flight has left open: uncertain and new cracks, and areas seen too coarsely.

Every pose looks straight at the surface from the distance at which the ground sampling distance (GSD) is fine enough:
for an undetermined crack, so that the standard deviation of its width fits between the width and the nearest edge of a
severity class; for a new crack and for an area, so that the wanted width is resolved. Of an undetermined crack only the
parts are proposed whose widths come from coarser views.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

from crack_perception.geometry import rotations
from crack_perception.geometry.poses.pose import Pose
from crack_perception.mapping.coverage.resolution import RELIABLE_WIDTH_PX, CellState, cell_states, gsd_for_width
from crack_perception.mapping.coverage.surface_grid import SurfaceCoverage, upright_axes
from crack_perception.mapping.coverage.tour import short_tour, tour_length_m
from crack_perception.mapping.coverage.view import CameraGeometry
from crack_perception.mapping.export.crack_report import width_of
from crack_perception.mapping.mapped_crack import CrackState, MappedCrack
from crack_perception.mapping.polylines import arc_lengths, interpolated
from crack_perception.recognition.severity import UNDETERMINED, SeverityScale

Array = npt.NDArray[np.float64]

# Share of the image that a target may fill; the rest is for errors of the pose.
_FILLED = 0.7
# Neighbouring views of an area overlap by this share.
_OVERLAP = 0.2
# Share of the computed standard deviation that is aimed at: the next estimate of the width may be nearer to the edge.
_MARGIN = 0.35
# A new view settles something only if it is this much finer than those before.
_FINER = 0.85
# Poses whose lines of sight differ by less (14 degrees) face the same surface, if it is as deep as this share of the
# standoff at most.
_SAME_DIRECTION = 0.97
_DEPTH_SHARE = 0.1
# Distance of the points along a crack that a view has to show.
_STEP_M = 0.02
# Share of a crack whose width a view must be able to improve: less hardly changes the mean width.
_LEAST_SHARE = 0.1
# Distance of a crack from a surface of the coverage that it lies on, and the cosine of the angle between their normals.
_ON_SURFACE_M, _ON_SURFACE = 0.2, 0.9


@dataclass(frozen=True)
class RevisitSettings:
    """Settings of a revisit.

    Attributes:
        wanted_width_mm: Crack width that areas have to be seen finely enough for.
        least_standoff_m: Least distance from the surface.
        most_poses: Largest number of poses; cracks take precedence over areas.
    """

    wanted_width_mm: float = 0.3
    least_standoff_m: float = 1.0
    most_poses: int = 500


@dataclass(frozen=True, eq=False)
class RevisitPose:
    """A camera pose to fly to.

    Attributes:
        position_m: (3,) of the camera in the map.
        axes: (3, 3) rows right, up and backwards of the camera: along the surface and its normal.
        standoff_m: Distance from the surface.
        gsd_mm_per_px: GSD from there.
        cracks: Ids of the cracks that it is for; empty for an area.
        targets_m: (N, 3) points of the surface that it has to show.
    """

    position_m: Array
    axes: Array
    standoff_m: float
    gsd_mm_per_px: float
    cracks: tuple[int, ...]
    targets_m: Array

    @property
    def forward(self) -> Array:
        """(3,) unit vector along the line of sight."""
        return -self.axes[2]

    @property
    def pose(self) -> Pose:
        """Pose with x along the line of sight, y to the left and z up, as of a vehicle (REP 103)."""
        right, up, backwards = self.axes
        return Pose(self.position_m, rotations.from_matrix(np.column_stack([-backwards, -right, up])))


@dataclass(frozen=True, eq=False)
class RevisitPlan:
    """Poses in the order in which to fly them.

    Attributes:
        poses: Camera poses.
        left_out: Number of poses beyond the largest number.
        settled_cracks: Number of cracks that need no other view.
        unsettled_cracks: Number of cracks that no pose is for although they are undetermined: the camera cannot settle
            them from the least standoff, and has been as close already.
        resolvable_mm: Finest width that the camera resolves from the least standoff; ``nan`` without a camera.
    """

    poses: tuple[RevisitPose, ...] = ()
    left_out: int = 0
    settled_cracks: int = 0
    unsettled_cracks: int = 0
    resolvable_mm: float = float("nan")

    @property
    def length_m(self) -> float:
        """Length of the path through all poses."""
        if not self.poses:
            return 0.0
        return tour_length_m(np.array([pose.position_m for pose in self.poses]))


def plan_revisit(
    cracks: Sequence[MappedCrack],
    surfaces: Sequence[SurfaceCoverage],
    camera: CameraGeometry | None,
    scale: SeverityScale,
    settings: RevisitSettings,
    start_m: Array | None = None,
) -> RevisitPlan:
    """Plan the poses for all cracks and areas that are open.

    Args:
        cracks: Of the map; lost ones need no view.
        surfaces: Coverage of the surfaces.
        camera: That flies; without one there is no plan.
        scale: Severity classes.
        settings: Wanted width and least standoff.
        start_m: (3,) where the path begins.
    """
    if camera is None:
        return RevisitPlan()
    finest = camera.gsd_mm_per_px(settings.least_standoff_m)
    needs = [(crack, _need_of(crack, surfaces, scale, settings, finest)) for crack in cracks]
    candidates = [pose for crack, need in needs if need.asks_for_view for pose in _crack_poses(crack, need, camera)]
    poses = _joined_poses(candidates, camera)
    for surface in surfaces:
        poses += _without_shown(list(_area_poses(surface, camera, settings)), poses, camera)
    chosen = poses[: settings.most_poses]
    order = short_tour(np.array([pose.position_m for pose in chosen]).reshape(-1, 3), start_m)
    return RevisitPlan(
        poses=tuple(chosen[index] for index in order),
        left_out=len(poses) - len(chosen),
        settled_cracks=sum(need.gsd_mm_per_px == math.inf for _, need in needs),
        unsettled_cracks=sum(need.gsd_mm_per_px == 0.0 for _, need in needs),
        resolvable_mm=RELIABLE_WIDTH_PX * finest,
    )


@dataclass(frozen=True, eq=False)
class _Need:
    """View that a crack needs.

    Attributes:
        gsd_mm_per_px: GSD from which it has to be seen once more. Infinite where it needs no view; 0 where it needs a
            finer view than the finest one of the camera, which it has had.
        is_open: (N,) vertices that the view has to show.
    """

    gsd_mm_per_px: float
    is_open: npt.NDArray[np.bool_]

    @property
    def asks_for_view(self) -> bool:
        """True if a camera pose is proposed for it."""
        return 0.0 < self.gsd_mm_per_px < math.inf


def _need_of(
    crack: MappedCrack,
    surfaces: Sequence[SurfaceCoverage],
    scale: SeverityScale,
    settings: RevisitSettings,
    finest: float,
) -> _Need:
    everywhere = np.ones(len(crack.line_m), np.bool_)
    if crack.state is CrackState.LOST:
        return _Need(math.inf, ~everywhere)
    is_new = crack.state is CrackState.NEW
    if scale.classify(width_of(crack)).verdict != UNDETERMINED:
        seen = crack.gsd_mm_per_px if math.isfinite(crack.gsd_mm_per_px) else math.inf
        gsd = max(min(seen, gsd_for_width(settings.wanted_width_mm)), finest) if is_new else math.inf
        return _Need(gsd, everywhere)
    measured = _width_gsd(crack)
    # The error of the mean width is that of all its views, not that of the finest one.
    of_width = measured[np.isfinite(measured)]
    usual = float(of_width.mean()) if len(of_width) else math.inf
    target = max(min(_settling_gsd(crack, scale, usual), _FINER * usual), finest)
    is_coarse = ~(_FINER * np.fmin(measured, _covered_gsd(crack, surfaces)) < target)
    if is_coarse.mean() >= _LEAST_SHARE:
        return _Need(target, is_coarse)
    return _Need(target, everywhere) if is_new else _Need(0.0, ~everywhere)


def _width_gsd(crack: MappedCrack) -> Array:
    """GSD (N,) of the views that the widths at the vertices come from; ``nan`` where unknown."""
    if len(crack.width_gsd_mm_per_px) == len(crack.line_m):
        return crack.width_gsd_mm_per_px
    return np.full(len(crack.line_m), crack.gsd_mm_per_px)


def _covered_gsd(crack: MappedCrack, surfaces: Sequence[SurfaceCoverage]) -> Array:
    """Finest GSD (N,) of the images that have shown the vertices, with a width or without; ``nan`` where unknown."""
    covered = np.full(len(crack.line_m), np.nan)
    for surface in surfaces:
        if float(surface.normal @ crack.normal) >= _ON_SURFACE:
            covered = np.fmin(covered, surface.gsd_at(crack.line_m, _ON_SURFACE_M))
    return covered


def _settling_gsd(crack: MappedCrack, scale: SeverityScale, seen: float) -> float:
    """GSD at which the error of the width, in pixels as it was so far, reaches no edge of a class."""
    width = width_of(crack)
    if width is None or not math.isfinite(seen):
        return gsd_for_width(scale.edges_mm[0])
    distance = min(abs(width.log_width - math.log(edge)) for edge in scale.edges_mm)
    wanted_sigma = distance / NormalDist().inv_cdf(scale.confidence)
    return _MARGIN * seen * wanted_sigma / max(width.log_sigma, 1e-9)


def _crack_poses(crack: MappedCrack, need: _Need, camera: CameraGeometry) -> Iterator[RevisitPose]:
    """Poses along the open parts of a crack, each for as much of them as fits into its image."""
    length = np.linalg.norm(crack.normal)
    if not length > 0 or not np.isfinite(crack.line_m).all():
        return
    axes = upright_axes(crack.normal / length)
    standoff_m = camera.distance_m(need.gsd_mm_per_px)
    room = _FILLED * np.array(camera.footprint_m(standoff_m))
    along_m = arc_lengths(crack.line_m)
    count = max(2, math.ceil(float(along_m[-1]) / _STEP_M) + 1)
    places = np.interp(np.linspace(0, along_m[-1], count), along_m, np.arange(len(along_m)))
    places = places[need.is_open[np.rint(places).astype(int)]]
    points_m = interpolated(crack.line_m, places)
    flat = points_m @ axes[:2].T
    first = 0
    while first < len(flat):
        part = flat[first:]
        spread = np.maximum.accumulate(part, axis=0) - np.minimum.accumulate(part, axis=0)
        fits = (spread <= room).all(axis=1)
        end = first + (int(fits.argmin()) if not fits.all() else len(part))
        yield _facing(points_m[first:end], axes, standoff_m, need.gsd_mm_per_px, (crack.id,))
        first = end


def _area_poses(surface: SurfaceCoverage, camera: CameraGeometry, settings: RevisitSettings) -> Iterator[RevisitPose]:
    """Poses for the cells of a surface that were seen too coarsely, in rows."""
    finest = camera.gsd_mm_per_px(settings.least_standoff_m)
    gsd = max(gsd_for_width(settings.wanted_width_mm), finest)
    cells = surface.gsd_mm_per_px
    is_open = (cell_states(cells, settings.wanted_width_mm) == CellState.TOO_COARSE) & (_FINER * cells > finest)
    rows, columns = np.nonzero(is_open)
    if not len(rows):
        return
    standoff_m = camera.distance_m(gsd)
    room = (1 - _OVERLAP) * np.array(camera.footprint_m(standoff_m))
    axes = np.stack([surface.u_axis, surface.v_axis, surface.normal])
    points_m = surface.centres_m(rows, columns)
    flat = np.column_stack([columns, rows]) * surface.cell_m
    low = flat.min(axis=0)
    # As many equal parts as fit, so that the last row is not a sliver.
    parts = np.maximum(1, np.ceil((np.ptp(flat, axis=0) + surface.cell_m) / room))
    size = (np.ptp(flat, axis=0) + surface.cell_m) / parts
    blocks = np.minimum((flat - low) // size, parts - 1).astype(int)
    keys, block_of = np.unique(blocks[:, 1] * int(parts[0]) + blocks[:, 0], return_inverse=True)
    for index in range(len(keys)):
        yield _facing(points_m[block_of == index], axes, standoff_m, gsd, ())


def _facing(
    targets_m: Array, axes: Array, standoff_m: float, gsd_mm_per_px: float, cracks: tuple[int, ...]
) -> RevisitPose:
    """A pose straight in front of the middle of the box around its targets."""
    local = targets_m @ axes.T
    middle = 0.5 * (local.min(axis=0) + local.max(axis=0))
    middle[2] = local[:, 2].mean() + standoff_m
    return RevisitPose(middle @ axes, axes, standoff_m, gsd_mm_per_px, cracks, targets_m)


def _joined_poses(poses: Sequence[RevisitPose], camera: CameraGeometry) -> list[RevisitPose]:
    """Fewer poses for the same targets: one for those that fit into one image, from the finer one's distance."""
    kept: list[RevisitPose] = []
    for pose in sorted(poses, key=lambda pose: pose.gsd_mm_per_px):
        for index, other in enumerate(kept):
            joined = _joined(other, pose, camera)
            if joined is not None:
                kept[index] = joined
                break
        else:
            kept.append(pose)
    return kept


def _joined(finer: RevisitPose, other: RevisitPose, camera: CameraGeometry) -> RevisitPose | None:
    """One pose for the targets of two; None where they do not fit into one image."""
    if not _is_near(finer, other, camera):
        return None
    targets_m = np.vstack([finer.targets_m, other.targets_m])
    spread = np.ptp(targets_m @ finer.axes.T, axis=0)
    room = _FILLED * np.array(camera.footprint_m(finer.standoff_m))
    if not (spread[:2] <= room).all() or spread[2] > _DEPTH_SHARE * finer.standoff_m:
        return None
    cracks = tuple(sorted({*finer.cracks, *other.cracks}))
    return _facing(targets_m, finer.axes, finer.standoff_m, finer.gsd_mm_per_px, cracks)


def _is_near(pose: RevisitPose, other: RevisitPose, camera: CameraGeometry) -> bool:
    """Return whether two poses face the same way and may show the same place."""
    reach_m = sum(camera.footprint_m(pose.standoff_m)) + other.standoff_m
    gap_m2 = float(((pose.position_m - other.position_m) ** 2).sum())
    return gap_m2 <= reach_m**2 and float(pose.axes[2] @ other.axes[2]) >= _SAME_DIRECTION


def _without_shown(
    poses: Sequence[RevisitPose], others: Sequence[RevisitPose], camera: CameraGeometry
) -> list[RevisitPose]:
    return [pose for pose in poses if not any(_shows(other, pose, camera) for other in others)]


def _shows(pose: RevisitPose, other: RevisitPose, camera: CameraGeometry) -> bool:
    """Return whether a pose shows all targets of another one, as finely and not more obliquely."""
    if pose.gsd_mm_per_px > 1.001 * other.gsd_mm_per_px or not _is_near(pose, other, camera):
        return False
    local = (other.targets_m - pose.position_m) @ pose.axes.T
    room = 0.5 * (1 - _OVERLAP) * np.array(camera.footprint_m(pose.standoff_m))
    depth_m = np.abs(local[:, 2] + pose.standoff_m)
    return bool((np.abs(local[:, :2]) <= room).all() and (depth_m <= _DEPTH_SHARE * pose.standoff_m).all())
