"""What is known of every region of a frame: severity, size and place, as far as range and pose allow."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from crack_perception.geometry.camera import CameraModel
from crack_perception.geometry.crack_line_lifting import LiftedLine, lift_lines
from crack_perception.geometry.pose_buffer import MovingPose
from crack_perception.geometry.projection import LocatedRegion, NoiseModel, NotOnSurface, SurfacePatch, locate, patch_of
from crack_perception.geometry.surface import SurfacePlane
from crack_perception.recognition.detector import CrackRegion
from crack_perception.recognition.measured_region import MeasuredRegion
from crack_perception.recognition.severity import Severity, SeverityScale, WidthEstimate
from crack_perception.recognition.summary import summary
from crack_perception.vision.crack_line import CrackLine
from crack_perception.vision.regions import OrientedBox

# Gives the surface plane under a region's box, or None where no range is known.
PlaneUnder = Callable[[OrientedBox], SurfacePlane | None]

_Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Judgement:
    """How widths are judged.

    Attributes:
        scale: The severity classes.
        resolvable_width_px: Thinner cracks look alike to this camera.
    """

    scale: SeverityScale
    resolvable_width_px: float


@dataclass(frozen=True)
class Finding:
    """One cracked region with everything that could be computed for it; None or empty where it could not.

    Attributes:
        crack: The region and its width in pixels.
        severity: Verdict and class probabilities; undetermined without a range.
        lines: Its measured lines in the image, longest first.
        is_measured: Whether these are all of them; else there was no time to look for lines everywhere.
        width_mm: Crack width on the surface.
        patch: Ground sampling distance and incidence in the middle of the longest line, or else of the box.
        plane: The surface that was assumed or measured there.
        surface_lines: The lines on that surface, in the optical frame.
        location: Pose and covariance in the map: the middle and the direction of the longest line, or else of the box.
        map_lines: The lines in the map, where the region has a location.
    """

    crack: CrackRegion
    severity: Severity
    lines: tuple[CrackLine, ...] = ()
    is_measured: bool = False
    width_mm: WidthEstimate | None = None
    patch: SurfacePatch | None = None
    plane: SurfacePlane | None = None
    surface_lines: tuple[LiftedLine, ...] = ()
    location: LocatedRegion | None = None
    map_lines: tuple[LiftedLine, ...] = ()

    @property
    def length_m(self) -> float:
        """Length of all measured lines, else that of the box; ``nan`` where no scale is known."""
        if self.surface_lines:
            return sum(line.length_m for line in self.surface_lines)
        return float("nan") if self.patch is None else self.patch.length_m

    def summary(self) -> str:
        """One short line: verdict, score, width, and the length of what was measured."""
        length_m = self.length_m if self.surface_lines else float("nan")
        return summary(self.severity.verdict, self.crack.region.score, self.crack.width_px, self.width_mm, length_m)


def placed(findings: Sequence[Finding]) -> Iterator[tuple[int, Finding, LocatedRegion]]:
    """The findings that have a place in the map: their rank among all of the frame's, themselves, and the place."""
    for rank, finding in enumerate(findings):
        if finding.location is not None:
            yield rank, finding, finding.location


def analyse(
    regions: Sequence[MeasuredRegion],
    judgement: Judgement,
    camera: CameraModel | None,
    plane_under: PlaneUnder,
    motion: MovingPose | None,
    noise: NoiseModel,
) -> list[Finding]:
    """Judge and locate the regions of one frame.

    Args:
        camera: None when no usable camera_info is known.
        plane_under: Gives the surface plane under a box, in the optical frame.
        motion: The optical frame in the map at the image's stamp; None when unknown.
    """
    return [_finding(region, judgement, camera, plane_under, motion, noise) for region in regions]


def _finding(
    region: MeasuredRegion,
    judgement: Judgement,
    camera: CameraModel | None,
    plane_under: PlaneUnder,
    motion: MovingPose | None,
    noise: NoiseModel,
) -> Finding:
    scale, crack = judgement.scale, region.crack
    unscaled = Finding(crack, scale.judge(None), region.lines, region.is_measured)
    if camera is None:
        return unscaled
    plane = plane_under(crack.region.box)
    if plane is None:
        return unscaled
    axis = _axis_of(region, noise)
    try:
        patch = patch_of(camera, plane, axis.centre_px, axis.ends_px)
    except NotOnSurface:
        return replace(unscaled, plane=plane)
    surface_lines = tuple(lift_lines(camera, plane, region.lines))
    gsd_mm_per_px, scale_sigma = _mean_scale(surface_lines, patch, plane)
    width_mm = crack.width_px.scaled(gsd_mm_per_px, scale_sigma)
    severity = scale.judge(width_mm, judgement.resolvable_width_px * gsd_mm_per_px)
    judged = replace(
        unscaled, severity=severity, width_mm=width_mm, patch=patch, plane=plane, surface_lines=surface_lines
    )
    if motion is None:
        return judged
    try:
        location = locate(camera, plane, motion, axis.centre_px, axis.ends_px, axis.direction_sigma_rad, noise)
    except NotOnSurface:
        return judged
    return replace(judged, location=location, map_lines=tuple(line.moved(motion.pose) for line in surface_lines))


@dataclass(frozen=True)
class _Axis:
    """Where a region is in the image: a point (2,), two ends (2, 2), and how well their direction is known."""

    centre_px: _Array
    ends_px: _Array
    direction_sigma_rad: float


def _axis_of(region: MeasuredRegion, noise: NoiseModel) -> _Axis:
    """The middle and the chord of the longest line; those of the box where there is no line, or it bends back."""
    box = region.crack.region.box
    if region.lines:
        ends_px = region.lines[0].points_px[[0, -1]]
        chord_px = float(np.linalg.norm(ends_px[1] - ends_px[0]))
        if chord_px > 0.5 * region.lines[0].length_px:
            sigma_rad = float(np.hypot(noise.pixel_px, noise.pixel_px)) / chord_px
            return _Axis(_middle_of(region.lines[0]), ends_px, sigma_rad)
    return _Axis(box.centre_px, box.ends(), box.direction_sigma_rad())


def _middle_of(line: CrackLine) -> _Array:
    """The point (2,) half-way along a line."""
    along_px = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(line.points_px, axis=0), axis=1))])
    return np.array([np.interp(along_px[-1] / 2, along_px, line.points_px[:, axis]) for axis in (0, 1)])


def _mean_scale(lines: Sequence[LiftedLine], patch: SurfacePatch, plane: SurfacePlane) -> tuple[float, float]:
    """Millimetres a pixel across the lines, averaged over their length, and its relative standard deviation.

    Those of the patch where no line tells of them.
    """
    scales = np.concatenate(
        [np.empty((0, 2)), *(np.column_stack([line.gsd_mm_per_px, line.scale_sigma]) for line in lines)]
    )
    weights = np.concatenate([np.empty(0), *(line.vertex_lengths_m for line in lines)])
    known = np.isfinite(scales).all(axis=1) & (weights > 0)
    if not known.any():
        return patch.gsd_mm_per_px, plane.range.sigma_m / plane.range.range_m
    gsd_mm_per_px, scale_sigma = np.average(scales[known], axis=0, weights=weights[known])
    return float(gsd_mm_per_px), float(scale_sigma)
