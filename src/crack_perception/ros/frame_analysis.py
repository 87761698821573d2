"""What is known of every region of a frame: severity, size and place, as far as range and pose allow."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from crack_perception.geometry.camera import CameraModel
from crack_perception.geometry.pose_buffer import MovingPose
from crack_perception.geometry.projection import LocatedRegion, NoiseModel, NotOnSurface, SurfacePatch, locate, patch_of
from crack_perception.geometry.surface import SurfacePlane
from crack_perception.recognition.detector import CrackRegion
from crack_perception.recognition.severity import Severity, SeverityScale, WidthEstimate
from crack_perception.recognition.summary import summary
from crack_perception.vision.regions import OrientedBox

# Gives the surface plane under a region's box, or None where no range is known.
PlaneUnder = Callable[[OrientedBox], SurfacePlane | None]


@dataclass(frozen=True)
class Finding:
    """One cracked region with everything that could be computed for it; None where it could not.

    Attributes:
        crack: The region and its width in pixels.
        severity: Verdict and class probabilities; undetermined without a range.
        width_mm: Crack width on the surface.
        patch: Ground sampling distance, incidence and length.
        plane: The surface that was assumed or measured there.
        location: Pose and covariance in the map.
    """

    crack: CrackRegion
    severity: Severity
    width_mm: WidthEstimate | None = None
    patch: SurfacePatch | None = None
    plane: SurfacePlane | None = None
    location: LocatedRegion | None = None

    def summary(self) -> str:
        """One short line: verdict, score, width."""
        return summary(self.severity.verdict, self.crack.region.score, self.crack.width_px, self.width_mm)


def analyse(
    regions: list[CrackRegion],
    scale: SeverityScale,
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
    return [_finding(region, scale, camera, plane_under, motion, noise) for region in regions]


def _finding(
    crack: CrackRegion,
    scale: SeverityScale,
    camera: CameraModel | None,
    plane_under: PlaneUnder,
    motion: MovingPose | None,
    noise: NoiseModel,
) -> Finding:
    unscaled = Finding(crack, scale.judge(None))
    if camera is None:
        return unscaled
    box = crack.region.box
    plane = plane_under(box)
    if plane is None:
        return unscaled
    try:
        patch = patch_of(camera, plane, box.centre_px, box.ends())
    except NotOnSurface:
        return Finding(crack, unscaled.severity, plane=plane)
    width_mm = crack.width_px.scaled(patch.gsd_mm_per_px, plane.range.sigma_m / plane.range.range_m)
    judged = Finding(crack, scale.judge(width_mm), width_mm, patch, plane)
    if motion is None:
        return judged
    try:
        location = locate(camera, plane, motion, box.centre_px, box.ends(), box.direction_sigma_rad(), noise)
    except NotOnSurface:
        return judged
    return replace(judged, location=location)
