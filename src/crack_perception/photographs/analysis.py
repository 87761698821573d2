# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Analysis of one photograph: detection, measurement, location in the map, and pictures of its cracks."""

from __future__ import annotations

import io
import json
import zipfile
import zlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from crack_perception.documents import parse_json
from crack_perception.geometry.camera.models import CameraModel
from crack_perception.geometry.line_lifting import largest_gsd_mm_per_px, outline_on_surface
from crack_perception.geometry.poses.motion import MovingPose
from crack_perception.geometry.poses.pose import Pose
from crack_perception.inspection.analysis import CrackDetection, SeverityConfig, analyse, without_scale
from crack_perception.inspection.evidence import Candidate, candidate_of, lines_of, record
from crack_perception.inspection.observation import observation_of
from crack_perception.mapping.coverage.view import CameraGeometry, InspectedView
from crack_perception.mapping.evidence.photograph import Photograph, photograph_of, plain_photograph
from crack_perception.mapping.evidence.self_describing import with_record
from crack_perception.mapping.observation import CrackObservation, FrameObservation
from crack_perception.mapping.storage.atomic_file import write_atomically
from crack_perception.photographs.photograph import PosedPhotograph
from crack_perception.photographs.surfaces.sources import SurfaceSources
from crack_perception.photographs.table import Unusable
from crack_perception.recognition.frame_detector import FrameDetector
from crack_perception.recognition.measurement import RegionMeasurement
from crack_perception.recognition.severity import SeverityScale
from crack_perception.vision.images.encodings import encode_jpeg
from crack_perception.vision.regions import OrientedBox
from crack_perception.vision.sharpness import sharpness

Array = npt.NDArray[np.float64]

MAP_FRAME = "map"
_MOST_PICTURES = 3
_QUALITY = 90
_ZERO = np.zeros(3)
_FIELDS = ("line_m", "width_mm", "width_sigma_mm", "normal", "covariance_m2")


@dataclass(frozen=True, eq=False)
class PhotographResult:
    """Result of one photograph.

    Attributes:
        name: Its name.
        observation: What the map is updated with.
        view: What the coverage is updated with; None where the surface that it shows is unknown.
        regions: Number of cracked regions.
        pictures: Record and JPEG of parts of it that show cracks, best first; they have neither file nor crack yet.
        faults: Kind -> number of regions without a location or scale.
    """

    name: str
    observation: FrameObservation
    view: InspectedView | None
    regions: int
    pictures: tuple[tuple[Photograph, bytes], ...] = ()
    faults: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True, eq=False)
class InspectedPhotograph:
    """Detections of one photograph.

    Attributes:
        frame: (H, W, 3) its pixels, BGR.
        tiles, processed_tiles: Numbers of tiles.
        detections: Cracked regions, strongest first.
        footprint_m: (M, 3) outline in the map of the surface that it shows; (0, 3) where it is unknown.
        view: The same surface with its resolution; None where it is unknown.
        faults: Number of regions without a location or scale by kind.
    """

    frame: npt.NDArray[np.uint8]
    tiles: int
    processed_tiles: int
    detections: list[CrackDetection]
    footprint_m: Array
    view: InspectedView | None
    faults: Counter[str]

    def located(self, photograph: PosedPhotograph) -> LocatedPhotograph:
        """Return what pictures of its cracks are made of."""
        return LocatedPhotograph(self.frame, self.detections, photograph.camera, photograph.pose, photograph.name)


@dataclass(frozen=True)
class LocatedPhotograph:
    """As in ``inspection.evidence.LocatedFrame``."""

    frame: npt.NDArray[np.uint8]
    detections: list[CrackDetection]
    camera: CameraModel | None
    pose: Pose | None
    camera_frame: str
    map_frame: str = MAP_FRAME


class PhotographAnalysis:
    """Analyse photographs one after the other.

    Args:
        detector: The model.
        surfaces: Sources of the surface.
        scale: Severity classes.
        has_pictures: Whether pictures of the cracks are cut out.
    """

    def __init__(
        self, detector: FrameDetector, surfaces: SurfaceSources, scale: SeverityScale, has_pictures: bool = True
    ) -> None:
        self._detector = detector
        self._surfaces = surfaces
        self._config = SeverityConfig(scale, surfaces.settings.resolvable_width_px)
        self._measurement = RegionMeasurement()
        self._has_pictures = has_pictures

    def analyse(self, photograph: PosedPhotograph) -> PhotographResult:
        """Analyse a photograph for the map.

        Raises:
            Unusable: It is damaged, or shows no part of the surface.
        """
        found = self.inspect(photograph)
        observation = observation_of(found.detections, photograph.stamp_ns, photograph.source, found.footprint_m)
        pictures = self._pictures(found.located(photograph), photograph) if self._has_pictures else ()
        faults = tuple(found.faults.items())
        return PhotographResult(photograph.name, observation, found.view, len(found.detections), pictures, faults)

    def inspect(self, photograph: PosedPhotograph) -> InspectedPhotograph:
        """Detect, measure and locate the cracks of a photograph.

        Raises:
            Unusable: It is damaged, or shows no part of the surface.
        """
        noise = replace(photograph.noise, pixel_px=self._surfaces.settings.pixel_px)
        plane_under = self._surfaces.under(photograph, noise)
        camera = photograph.camera
        centre = plane_under(_centre_box(camera))
        frame = photograph.read()
        if centre is None and not any(plane_under(box) for box in _corner_boxes(camera)):
            raise Unusable("no_surface", "no plane, mesh or point lies in its view within a plausible distance")
        output = self._detector.detect(frame)
        regions = self._measurement.measure(frame, output.grid, output.regions)
        motion = MovingPose(photograph.pose, _ZERO, _ZERO, photograph.covariance)
        detections = analyse(regions, self._config, camera, plane_under, motion, noise)
        detections, faults = self._checked(detections)
        footprint_m, view = np.empty((0, 3)), None
        if centre is not None:
            outline = outline_on_surface(camera, centre)
            footprint_m = photograph.pose.transform(outline.points_m)
            if len(footprint_m):
                gsd = largest_gsd_mm_per_px(camera, centre, outline.pixels)
                view = InspectedView.of(footprint_m, gsd, outline.pixels, photograph.pose.position_m)
        processed = int(output.looked.sum())
        return InspectedPhotograph(frame, output.grid.count, processed, detections, footprint_m, view, faults)

    def _checked(self, detections: Sequence[CrackDetection]) -> tuple[list[CrackDetection], Counter[str]]:
        """Remove the scale of detections that would be wider than any crack; count those without a location."""
        checked, faults = [], Counter[str]()
        for detection in detections:
            most_mm = self._surfaces.settings.max_crack_width_mm
            if detection.width_mm is not None and not detection.width_mm.width <= most_mm:
                detection = without_scale(detection, self._config.scale)
                faults["too_wide"] += 1
            elif detection.location is None:
                faults["not_located"] += 1
            checked.append(detection)
        return checked, faults

    def _pictures(self, frame: LocatedPhotograph, photograph: PosedPhotograph) -> tuple[tuple[Photograph, bytes], ...]:
        candidates = [each for line in lines_of(frame, 0) if (each := candidate_of(frame, line)) is not None]
        measured = [(sharpness(each.around_line), each) for each in candidates]
        measured.sort(key=lambda item: -item[1].view(item[0], photograph.stamp_ns).value)
        return tuple(self._picture(each, found, photograph) for found, each in measured[:_MOST_PICTURES])

    def _picture(
        self, candidate: Candidate[LocatedPhotograph], found: float, photograph: PosedPhotograph
    ) -> tuple[Photograph, bytes]:
        model = self._detector.model
        kept = record(candidate, found, photograph.stamp_ns, photograph.source, model.name, model.sha256)
        return kept, with_record(encode_jpeg(candidate.picture, _QUALITY).tobytes(), kept)


def _centre_box(camera: CameraModel) -> OrientedBox:
    return _box(camera, 0.5, 0.5)


def _corner_boxes(camera: CameraModel) -> list[OrientedBox]:
    return [_box(camera, x, y) for x in (0.2, 0.8) for y in (0.2, 0.8)]


def _box(camera: CameraModel, x: float, y: float) -> OrientedBox:
    side_px = min(camera.width_px, camera.height_px) / 8
    return OrientedBox(np.array([x * (camera.width_px - 1), y * (camera.height_px - 1)]), side_px, side_px, 0.0)


def write_result(path: Path, result: PhotographResult, digest: str) -> None:
    """Write a result atomically as one file, for a run that goes on later.

    Args:
        path: The file.
        result: The result.
        digest: Of all that the result depends on.

    Raises:
        UserError: No room or no permission.
    """
    observation = result.observation
    arrays: dict[str, Any] = {"footprint_m": observation.footprint_m, **_view_arrays(result.view)}
    for number, each in enumerate(observation.observations):
        arrays |= {f"{name}_{number}": getattr(each, name) for name in _FIELDS}
        arrays[f"numbers_{number}"] = np.array([each.gsd_mm_per_px, each.score])
    for number, (_, jpeg) in enumerate(result.pictures):
        arrays[f"jpeg_{number}"] = np.frombuffer(jpeg, np.uint8)
    header = {
        "digest": digest,
        "name": result.name,
        "stamp_ns": observation.stamp_ns,
        "source": observation.source,
        "is_complete": observation.is_complete,
        "lines": len(observation.observations),
        "regions": result.regions,
        "faults": dict(result.faults),
        "pictures": [{**plain_photograph(kept), "file": "picture.jpg"} for kept, _ in result.pictures],
    }
    buffer = io.BytesIO()
    arrays["header"] = np.frombuffer(json.dumps(header).encode(), np.uint8)
    np.savez(buffer, **arrays)
    write_atomically(path, buffer.getvalue())


def read_result(path: Path, digest: str) -> PhotographResult | None:
    """Read a result; None where there is none, it is damaged, or it was computed from something else."""
    try:
        with np.load(path, allow_pickle=False) as stored:
            header = parse_json(stored["header"].tobytes())
            if header["digest"] != digest:
                return None
            lines = []
            for number in range(header["lines"]):
                gsd, score = stored[f"numbers_{number}"].tolist()
                fields = {name: stored[f"{name}_{number}"] for name in _FIELDS}
                lines.append(CrackObservation(**fields, gsd_mm_per_px=gsd, score=score))
            pictures = tuple(
                (photograph_of(plain), stored[f"jpeg_{number}"].tobytes())
                for number, plain in enumerate(header["pictures"])
            )
            observation = FrameObservation(
                header["stamp_ns"], header["source"], stored["footprint_m"], tuple(lines), header["is_complete"]
            )
            faults = tuple((str(kind), int(count)) for kind, count in header["faults"].items())
            view = _stored_view(observation.footprint_m, stored)
            return PhotographResult(header["name"], observation, view, header["regions"], pictures, faults)
    except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile, zlib.error):
        return None


def _view_arrays(view: InspectedView | None) -> dict[str, Array]:
    """Return what a view holds besides its outline; empty arrays for None."""
    if view is None or view.viewpoint_m is None:
        return {"view_gsd": np.empty(0), "view_camera": np.empty(0), "viewpoint_m": np.empty(0)}
    camera = np.empty(0) if view.camera is None else np.array(astuple(view.camera))
    return {"view_gsd": view.gsd_mm_per_px, "view_camera": camera, "viewpoint_m": view.viewpoint_m}


def _stored_view(footprint_m: Array, stored: Mapping[str, Array]) -> InspectedView | None:
    if not len(stored["view_gsd"]):
        return None
    camera = CameraGeometry(*stored["view_camera"].tolist()) if len(stored["view_camera"]) else None
    return InspectedView.by_camera(footprint_m, stored["view_gsd"], camera, stored["viewpoint_m"])
