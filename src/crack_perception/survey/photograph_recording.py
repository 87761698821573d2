# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Frames of a folder of photographs: located in the map where camera, pose and surface are known, else in pixels.

Poses and surfaces are found and used by the same code as in ``map-photos``.
"""

from __future__ import annotations

import functools
import hashlib
import json
import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from crack_perception.errors import UserError
from crack_perception.inspection.analysis import SeverityConfig, analyse
from crack_perception.photographs.analysis import PhotographAnalysis
from crack_perception.photographs.photograph import PosedPhotograph
from crack_perception.photographs.recording import PhotographRecording as PosedRecording
from crack_perception.photographs.recording import RecordingOptions, open_recording
from crack_perception.photographs.surfaces.files import SUFFIXES, Geometry, read_geometry
from crack_perception.photographs.surfaces.geometry import GeometrySurface, SurfaceError
from crack_perception.photographs.surfaces.settings import SurfaceSettings, read_values, settings_of
from crack_perception.photographs.surfaces.sources import SurfaceSources
from crack_perception.photographs.table import Unusable
from crack_perception.recognition.frame_detector import FrameDetector
from crack_perception.recognition.measurement import RegionMeasurement
from crack_perception.survey.frames import Faults, InspectedFrame, Part, RecordingPlan
from crack_perception.survey.settings import SurveySettings
from crack_perception.survey.sources import Source
from crack_perception.vision.images.files import PICTURE_SUFFIXES, read_masked_picture

SURFACE_FILE, CAMERA_FILE = "surface.yaml", "camera.yaml"
GEOMETRY_FILES = tuple(f"surface{suffix}" for suffix in SUFFIXES)


@dataclass(frozen=True, eq=False)
class _Photographs:
    """The photographs of a folder.

    Attributes:
        posed: The folder as ``map-photos`` opens it; None where it holds nothing that could have a pose.
        located: Those of them that can be located, because there is a surface, in order of time.
        others: The other pictures by name.
        settings: Settings of the surface.
        geometry: File of a mesh or point cloud; None without one.
        note: Why nothing can be located, or what was found.
    """

    posed: PosedRecording | None
    located: tuple[PosedPhotograph, ...]
    others: tuple[Path, ...]
    settings: SurfaceSettings
    geometry: Path | None
    note: str

    @property
    def count(self) -> int:
        return len(self.located) + len(self.others)


class PhotographRecording:
    """Recording of a folder of photographs.

    Args:
        source: Where it is.
        survey: Settings of the run.
        detector: Returns a new detector; called once a part.
    """

    def __init__(self, source: Source, survey: SurveySettings, detector: Any) -> None:
        self._source = source
        self._survey = survey
        self._new_detector = detector

    def plan(self) -> RecordingPlan:
        """See Recording."""
        found = self._open()
        step = self._survey.part_pictures
        parts = tuple(
            Part(number, start, min(start + step, found.count))
            for number, start in enumerate(range(0, found.count, step))
        )
        notes = (found.note, *(() if found.posed is None else found.posed.notes))
        origin = found.posed.origin if found.posed is not None and found.located else None
        content = self._source.content()
        digest = self._digest(found, content.sha256)
        return RecordingPlan(digest, found.count, parts, notes, origin, content.files, content.state)

    def frames(self, part: Part, faults: Faults) -> Iterator[InspectedFrame]:
        """See Recording."""
        found = self._open()
        settings = self._survey.node_settings({})
        detector = self._new_detector(settings)
        located = found.located[part.start : part.stop]
        analysis: PhotographAnalysis | None = None
        for photograph in located:
            assert found.posed is not None  # where something is located
            if analysis is None:
                surfaces = _surfaces(found, found.posed)
                analysis = PhotographAnalysis(detector, surfaces, settings.severity, has_pictures=False)
            try:
                shown = analysis.inspect(photograph)
            except Unusable as problem:
                if problem.kind != "no_surface":
                    faults.add("bad_image", f"{photograph.name}: {problem}")
                    continue
                faults.add("no_surface", f"{photograph.name}: {problem}")
                yield from self._in_pixels(photograph.path, detector, faults)
                continue
            for kind, count in shown.faults.items():
                faults.add(kind, f"{photograph.name}: regions that are {kind.replace('_', ' ')}", count)
            yield InspectedFrame(
                name=photograph.name,
                stamp_ns=photograph.stamp_ns,
                size_px=(photograph.camera.width_px, photograph.camera.height_px),
                tiles=shown.tiles,
                processed_tiles=shown.processed_tiles,
                detections=shown.detections,
                has_pose=True,
                footprint_m=shown.footprint_m,
                view=shown.view,
                shown=shown.located(photograph),
            )
        first = len(found.located)
        for path in found.others[max(0, part.start - first) : max(0, part.stop - first)]:
            yield from self._in_pixels(path, detector, faults)

    def _in_pixels(self, path: Path, detector: FrameDetector, faults: Faults) -> Iterator[InspectedFrame]:
        """Detect and measure in a photograph without pose or surface."""
        settings = self._survey.node_settings({})
        try:
            picture = read_masked_picture(path)
        except UserError as error:
            faults.add("bad_image", str(error))
            return
        output = detector.detect(picture.pixels, has_data=picture.has_data)
        regions = RegionMeasurement().measure(picture.pixels, output.grid, output.regions)
        config = SeverityConfig(settings.severity, settings.resolvable_width_px)
        detections = analyse(regions, config, None, lambda box: None, None, settings.noise)
        height, width = picture.pixels.shape[:2]
        yield InspectedFrame(path.name, 0, (width, height), output.grid.count, int(output.looked.sum()), detections)

    def _open(self) -> _Photographs:
        """Find the photographs with their poses and the surface; no picture is decoded.

        Raises:
            UserError: Poses, camera or surface cannot be read.
        """
        files = self._source.files()
        surface, camera = self._source.beside(SURFACE_FILE), self._source.beside(CAMERA_FILE)
        geometry = self._source.beside(*GEOMETRY_FILES)
        parameters = dict(self._survey.parameters) | ({} if surface is None else read_values(surface))
        settings = settings_of(parameters, str(surface or "the parameters"))
        posed = _posed(self._source, camera)
        photographs = posed.photographs if posed is not None else ()
        has_surface = (
            geometry is not None
            or bool(settings.equations)
            or settings.standoff_m is not None
            or any(each.range_m is not None for each in photographs)
        )
        if not photographs:
            note = "photographs without poses: detections stay in pixels"
        elif not has_surface:
            note = f"photographs with poses, but no {SURFACE_FILE} or surface.ply: detections stay in pixels"
        else:
            note = f"{len(photographs)} of {len(files)} photographs have a camera and a pose"
        located = tuple(photographs) if has_surface else ()
        taken = {each.path for each in located}
        unusable = () if posed is None else posed.unusable
        # No camera that shows cracks: what it finds would be warm pipes.
        thermal = {self._source.path / name for name, problem in unusable if problem.kind == "thermal"}
        others = tuple(path for path in files if path not in taken | thermal)
        note += f"; {len(thermal)} thermal ones are left out" if thermal else ""
        return _Photographs(posed, located, others, settings, geometry, note)

    def _digest(self, found: _Photographs, pictures: str) -> str:
        """Digest of the pictures and of everything else that their locations depend on."""
        digest = hashlib.sha256(pictures.encode())
        if found.located and found.posed is not None:
            posed = found.posed
            digest.update(json.dumps([each.plain for each in found.located]).encode())
            placed = [
                posed.scale,
                posed.shift_m.tolist(),
                posed.turn.position_m.tolist(),
                posed.turn.quaternion.tolist(),
            ]
            digest.update(json.dumps([placed, repr(found.settings), repr(posed.origin)]).encode())
            if found.geometry is not None:
                digest.update(replace(self._source, path=found.geometry).content_digest().encode())
        return digest.hexdigest()


def _posed(source: Source, camera: Path | None) -> PosedRecording | None:
    """The photographs with poses, in the frame at the structure's place on the earth where both have one.

    Raises:
        UserError: Poses or camera cannot be read.
    """
    if all(path.suffix.lower() not in PICTURE_SUFFIXES for path in source.files()):
        return None  # camera raw, which only the reader of pictures knows
    options = RecordingOptions(camera=camera)
    recording, place = open_recording(source.path, options), source.origin
    if recording.origin is None or place is None:
        return recording
    origin = (place.latitude_deg, place.longitude_deg, place.altitude_m)
    return open_recording(source.path, replace(options, origin=origin))


def _surfaces(found: _Photographs, posed: PosedRecording) -> SurfaceSources:
    """Sources of the surface in the map of the recording."""
    settings, geometry = found.settings, None
    if found.geometry is not None:
        status = found.geometry.stat()
        read = _read_geometry(found.geometry, status.st_size, status.st_mtime_ns)
        error = SurfaceError(settings.sigma_m, math.radians(settings.normal_sigma_deg))
        geometry = GeometrySurface(posed.to_map(read.points), read.triangles, error)
    return SurfaceSources(settings, settings.planes(posed.shift_m, posed.scale, posed.turn), geometry)


@functools.lru_cache(maxsize=1)
def _read_geometry(path: Path, size: int, changed_ns: int) -> Geometry:
    """Read a mesh or point cloud once for all parts that a process works on."""
    return read_geometry(path)
