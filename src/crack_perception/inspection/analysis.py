# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Severity, size and location of the regions of a frame, as far as range and pose are known."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from crack_perception.geometry.camera.models import CameraModel
from crack_perception.geometry.line_lifting import LiftedLine, lift_lines, moved
from crack_perception.geometry.poses.motion import MovingPose
from crack_perception.geometry.projection import (
    ImageAxes,
    LocatedRegion,
    NoiseModel,
    SurfacePatch,
    locate,
    patches_of,
)
from crack_perception.geometry.surface.plane import PlaneStack, SurfacePlane
from crack_perception.recognition.frame_detector import CrackRegion
from crack_perception.recognition.measurement import MeasuredRegion
from crack_perception.recognition.severity import Severity, SeverityScale, WidthEstimate
from crack_perception.recognition.summary import summary
from crack_perception.vision.lines.line import CrackLine, arc_lengths
from crack_perception.vision.regions import OrientedBox

PlaneUnder = Callable[[OrientedBox], SurfacePlane | None]
"""Return the surface plane under a region's box; None where no range is known."""

_Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class SeverityConfig:
    """Settings of the severity classification.

    Attributes:
        scale: Severity classes.
        resolvable_width_px: Finest crack width that the camera resolves [px].
    """

    scale: SeverityScale
    resolvable_width_px: float


@dataclass(frozen=True)
class CrackDetection:
    """One cracked region with its measurements; None or empty where one could not be made.

    Attributes:
        crack: Region and its width in pixels.
        severity: Verdict and class probabilities; undetermined without a range.
        lines: Measured lines in the image, longest first.
        is_measured: True if the lines are complete; False if the time was too short to measure the whole region.
        width_mm: Crack width on the surface.
        patch: Ground sampling distance and incidence in the middle of the longest line, or else of the box.
        plane: Surface that was assumed or measured there.
        surface_lines: Lines on that surface, in the optical frame.
        location: Pose and covariance in the map: middle and direction of the longest line, or else of the box.
        map_lines: Lines in the map, where the region has a location.
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
        """Length of all measured lines, or else of the box [m]; ``nan`` where no scale is known."""
        if self.surface_lines:
            return sum(line.length_m for line in self.surface_lines)
        return float("nan") if self.patch is None else self.patch.length_m

    def summary(self) -> str:
        """Return one short line: verdict, score, width and measured length."""
        length_m = self.length_m if self.surface_lines else float("nan")
        return summary(self.severity.verdict, self.crack.region.score, self.crack.width_px, self.width_mm, length_m)


def without_scale(detection: CrackDetection, scale: SeverityScale) -> CrackDetection:
    """Return the detection in pixels only, without scale and location, its severity undetermined."""
    return CrackDetection(detection.crack, scale.classify(None), detection.lines, detection.is_measured)


def located(detections: Sequence[CrackDetection]) -> Iterator[tuple[int, CrackDetection, LocatedRegion]]:
    """Yield (rank in the frame, detection, location) of the detections that have a location in the map."""
    for rank, detection in enumerate(detections):
        if detection.location is not None:
            yield rank, detection, detection.location


def analyse(
    regions: Sequence[MeasuredRegion],
    config: SeverityConfig,
    camera: CameraModel | None,
    plane_under: PlaneUnder,
    motion: MovingPose | None,
    noise: NoiseModel,
) -> list[CrackDetection]:
    """Classify and locate the regions of one frame.

    Args:
        regions: Regions of the frame with their measured lines.
        config: Severity classes and the resolution of the camera.
        camera: None when no usable camera_info is known.
        plane_under: Returns the surface plane under a box, in the optical frame.
        motion: Optical frame in the map at the image's stamp; None when unknown.
        noise: Standard deviations of camera and pose.
    """
    unknown = config.scale.classify(None)
    detections = [CrackDetection(region.crack, unknown, region.lines, region.is_measured) for region in regions]
    if camera is None:
        return detections
    known = [(rank, plane) for rank, region in enumerate(regions) if (plane := plane_under(region.crack.region.box))]
    if not known:
        return detections
    planes = PlaneStack.of([plane for _, plane in known])
    axes = _axes_of([regions[rank] for rank, _ in known], noise)
    patches = patches_of(camera, planes, axes)
    lines = lift_lines(camera, planes, [regions[rank].lines for rank, _ in known])
    locations = [None] * len(known) if motion is None else locate(camera, planes, motion, axes, noise)
    for (rank, plane), patch, lifted, location in zip(known, patches, lines, locations, strict=True):
        if patch is None:
            detections[rank] = replace(detections[rank], plane=plane)
            continue
        gsd_mm_per_px, scale_sigma = _mean_scale(lifted, patch, plane)
        width_mm = regions[rank].crack.width_px.scaled(gsd_mm_per_px, scale_sigma)
        detections[rank] = replace(
            detections[rank],
            severity=config.scale.classify(width_mm, config.resolvable_width_px * gsd_mm_per_px),
            width_mm=width_mm,
            patch=patch,
            plane=plane,
            surface_lines=lifted,
            location=location,
            map_lines=moved(lifted, motion.pose) if motion is not None and location is not None else (),
        )
    return detections


def _axes_of(regions: Sequence[MeasuredRegion], noise: NoiseModel) -> ImageAxes:
    """Return the positions and directions of the regions in the image."""
    axes = [_axis_of(region, noise) for region in regions]
    centres_px, ends_px, sigmas_rad = zip(*axes, strict=True)
    return ImageAxes(np.array(centres_px), np.array(ends_px), np.array(sigmas_rad))


def _axis_of(region: MeasuredRegion, noise: NoiseModel) -> tuple[_Array, _Array, float]:
    """Return a point (2,) and two ends (2, 2) in pixels, and the standard deviation of their direction [rad].

    They are the middle and the chord of the longest line; those of the box where there is no line, or it bends back.
    """
    box = region.crack.region.box
    if region.lines:
        points_px = region.lines[0].points_px
        along_px = arc_lengths(points_px)
        ends_px = points_px[[0, -1]]
        chord_px = math.dist(*ends_px.tolist())
        if chord_px > 0.5 * along_px[-1]:
            middle_px = [np.interp(along_px[-1] / 2, along_px, points_px[:, axis]) for axis in (0, 1)]
            return np.array(middle_px), ends_px, math.hypot(noise.pixel_px, noise.pixel_px) / chord_px
    return box.centre_px, box.ends(), box.direction_sigma_rad()


def _mean_scale(lines: Sequence[LiftedLine], patch: SurfacePatch, plane: SurfacePlane) -> tuple[float, float]:
    """Return the scale across the lines [mm/px], averaged over their length, and its relative standard deviation.

    Where no line has a scale, return that of the patch.
    """
    if lines:
        gsds_mm = np.concatenate([line.gsd_mm_per_px for line in lines])
        sigmas = np.concatenate([line.scale_sigma for line in lines])
        lengths_m = np.concatenate([line.vertex_lengths_m for line in lines])
        known = np.isfinite(gsds_mm) & np.isfinite(sigmas) & (lengths_m > 0)
        if known.any():
            weights = lengths_m[known] / lengths_m[known].sum()
            return float(weights @ gsds_mm[known]), float(weights @ sigmas[known])
    return patch.gsd_mm_per_px, plane.range.sigma_m / plane.range.range_m
