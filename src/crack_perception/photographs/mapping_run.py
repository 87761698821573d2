# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Crack map from a folder of photographs: analysis on all cores, resumed where it was interrupted, then the map."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from crack_perception import __version__
from crack_perception.cores import usable_cores
from crack_perception.errors import UsageError, UserError, file_error
from crack_perception.interrupts import uninterrupted
from crack_perception.mapping.settings import MapSettings
from crack_perception.paths import write_json
from crack_perception.photographs.analysis import PhotographResult, read_result
from crack_perception.photographs.fusion import check_replaceable, fuse, map_path, write_exports, write_map
from crack_perception.photographs.photograph import KINDS, PosedPhotograph
from crack_perception.photographs.reach import check_in_reach, distances_m, named
from crack_perception.photographs.recording import PhotographRecording, RecordingOptions, open_recording
from crack_perception.photographs.surfaces.files import is_geometry, read_geometry
from crack_perception.photographs.surfaces.settings import SurfaceSettings, read_settings
from crack_perception.photographs.table import Unusable
from crack_perception.photographs.workers import Task, WorkerSetup, analyse_all
from crack_perception.recognition.models import load_model
from crack_perception.recognition.severity import SeverityScale

SUMMARY = "photographs.json"
_WORK = "unfinished"
_MOST_JOBS = 256
# Kinds of photographs that are no fault of the recording; that a few show the sky is none either.
_HARMLESS = {"no_surface", "thermal"}
# If more than this share of the analysed photographs show no surface, it is not where they look.
_MOST_WITHOUT_SURFACE = 0.9


@dataclass(frozen=True)
class MappingOptions:
    """Options of a run.

    Attributes:
        folder: The photographs.
        out: Output folder.
        recording: Poses of the photographs.
        surface: Files of the surface: settings (YAML), and a mesh or a point cloud.
        standoff_m: Distance where nothing else gives one; None: that of the settings.
        model, backend, threshold, preset: Model and severity classes.
        evidence_bytes: Limit for the photographs of cracks; 0: none are kept.
        confirm_views: Photographs that must show a crack before it is confirmed.
        jobs: Number of processes; 0: one a core.
        title: Title of the plan.
    """

    folder: Path
    out: Path
    recording: RecordingOptions = field(default_factory=RecordingOptions)
    surface: tuple[Path, ...] = ()
    standoff_m: float | None = None
    model: str = "standard"
    backend: str = "auto"
    threshold: float | None = None
    preset: str = "gb50204"
    evidence_bytes: int = 1_000_000_000
    confirm_views: int = 2
    jobs: int = 0
    title: str = "Crack map"


def map_photographs(
    options: MappingOptions,
    report: Callable[[str], None] = lambda line: None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> dict[str, Any]:
    """Map the cracks that the photographs of a folder show; write map, evidence and exports into ``options.out``.

    Args:
        options: Options.
        report: Called with each line for the user.
        progress: Called with the number of photographs that are done, and their total.

    Returns:
        The summary, as written to ``photographs.json``.

    Raises:
        UserError: Photographs, poses, surface or model cannot be used, or the output cannot be written.
        UsageError: An option is out of its range.
    """
    jobs = _jobs(options.jobs)
    map_settings = MapSettings(confirm_views=options.confirm_views)
    scale = SeverityScale.of_preset(options.preset)
    settings, geometry_path = _surface(options)
    model = load_model(options.model)
    recording = open_recording(options.folder, replace(options.recording, excluded=options.out), report)
    for line in describe(recording):
        report(line)
    if not recording.photographs:
        raise UserError(
            f"{options.folder}: none of {len(recording.unusable)} photographs can be mapped: "
            + "; ".join(_counted(recording.unusable)),
            "Give the poses with --poses",
        )
    work = options.out / _WORK
    try:
        check_replaceable(options.out)
        work.mkdir(parents=True, exist_ok=True)
        setup, key = _setup(options, settings, geometry_path, recording, work, model.sha256)
        tasks = [_task(photograph, key, work) for photograph in recording]
        failed = _analyse(tasks, setup, jobs, report, progress)

        def results() -> Iterator[PhotographResult]:
            for task in tasks:
                result = read_result(task.result, task.digest)
                if result is not None:
                    yield result

        fused = fuse(results, map_settings, options.evidence_bytes)
        with uninterrupted():
            write_map(options.out, fused, results)
            paths = write_exports(options.out, fused.cracks, fused.areas, scale, recording.origin, options.title)
        if fused.coverage.refused:
            report(f"note: {fused.coverage.refused} photographs show too large a surface to be in the coverage")
        unusable = [*recording.unusable, *failed]
        without = [name for name, problem in failed if problem.kind == "no_surface"]
        if _misses_surface(len(recording) - len(failed), len(without)):
            report(_missed_surface(recording, without, setup))
        summary = _summary(options, recording, unusable, model.name, model.sha256)
        summary |= {
            "map": str(map_path(options.out)),
            "cracks": len(fused.cracks),
            "states": {
                state: sum(c.state.value == state for c in fused.cracks) for state in ("confirmed", "new", "lost")
            },
            "length_m": round(sum(crack.length_m for crack in fused.cracks), 4),
            "lines": fused.lines,
            "regions_without_location": fused.faults,
            "photographs_without_coverage": fused.coverage.refused,
            "files": [str(path) for path in paths],
        }
        write_json(options.out / SUMMARY, summary)
        shutil.rmtree(work, ignore_errors=True)
        return summary
    except OSError as error:
        raise file_error(error.filename or options.out, error, "Choose another folder with --out") from error


def describe(recording: PhotographRecording) -> list[str]:
    """Return lines about what is used and what is not, by kind, with an example each."""
    total = len(recording.photographs) + len(recording.unusable)
    lines = [f"{len(recording.photographs)} of {total} photographs have a camera and a pose ({recording.format})"]
    lines += [f"note: {note}" for note in recording.notes]
    if np.any(recording.shift_m):
        lines.append(
            f"note: the map's origin is at {', '.join(f'{v:g}' for v in recording.shift_m)} of these coordinates"
        )
    return lines + [f"not used: {line}" for line in _counted(recording.unusable)]


def problems(summary: dict[str, Any]) -> int:
    """Return the number of photographs that were not used although they should be usable.

    Those without surface are among them if nearly all are: then the surface is not where they look.
    """
    counts = {kind: each["count"] for kind, each in summary["unusable"].items()}
    misses = _misses_surface(summary["mapped"], counts.get("no_surface", 0))
    harmless = _HARMLESS - {"no_surface"} if misses else _HARMLESS
    return sum(count for kind, count in counts.items() if kind not in harmless)


def _misses_surface(mapped: int, without: int) -> bool:
    """Return whether nearly all of the photographs that were mapped or show no surface do the latter."""
    return without > _MOST_WITHOUT_SURFACE * (mapped + without)


def _missed_surface(recording: PhotographRecording, without: Sequence[str], setup: WorkerSetup) -> str:
    """Return a warning about photographs that show no surface, with their distance from it."""
    points_m = None if setup.points is None else np.load(setup.points, mmap_mode="r")
    apart_m = distances_m(recording, points_m, setup.planes)
    apart_m = apart_m[[photograph.name in set(without) for photograph in recording]]
    distance = f", which is {np.median(apart_m):.1f} m from them or more" if np.isfinite(apart_m).all() else ""
    return (
        f"warning: {len(without)} of {len(recording)} photographs ({named(without)}) show no part of the "
        f"surface{distance}. Check the coordinates of poses and surface, the direction of normals (towards the camera) "
        "and max_gsd_mm_per_px"
    )


def _counted(unusable: Sequence[tuple[str, Unusable]]) -> list[str]:
    lines = []
    for kind, text in KINDS.items():
        own = [(name, problem) for name, problem in unusable if problem.kind == kind]
        if own:
            lines.append(f"{len(own)} photographs {text}, such as {own[0][0]} ({own[0][1]})")
    return lines


def _jobs(wanted: int) -> int:
    if not 0 <= wanted <= _MOST_JOBS:
        raise UsageError(f"--jobs {wanted} is out of range", f"Give 1 to {_MOST_JOBS}, or 0 for one a core")
    return wanted or usable_cores()


def _surface(options: MappingOptions) -> tuple[SurfaceSettings, Path | None]:
    """Read the settings of the surface; return them with the path of a mesh or a point cloud.

    Raises:
        UserError: There is no source of the surface, or a file cannot be used.
    """
    geometries = [path for path in options.surface if is_geometry(path)]
    files = [path for path in options.surface if path not in geometries]
    if len(geometries) > 1 or len(files) > 1:
        raise UsageError(
            f"--surface is given {len(options.surface)} times", "Give one mesh or point cloud, and one file of settings"
        )
    for path in options.surface:
        if not path.is_file():
            raise UserError(f"{path}: no such file", "Check --surface")
    settings = read_settings(files[0]) if files else SurfaceSettings()
    if options.standoff_m is not None:
        if not 0.05 <= options.standoff_m <= 1000.0:
            raise UsageError(f"--standoff {options.standoff_m:g} is no distance", "Give metres from 0.05 to 1000")
        settings = replace(settings, standoff_m=options.standoff_m)
    return settings, geometries[0] if geometries else None


def _setup(
    options: MappingOptions,
    settings: SurfaceSettings,
    geometry_path: Path | None,
    recording: PhotographRecording,
    work: Path,
    model_sha256: str,
) -> tuple[WorkerSetup, str]:
    """Return what the processes need, and a text of all that every result depends on."""
    planes = settings.planes(recording.shift_m, recording.scale, recording.turn)
    has_range = any(photograph.range_m is not None for photograph in recording)
    if geometry_path is None and not planes.planes and settings.standoff_m is None and not has_range:
        raise UserError(
            "there is no surface: neither planes nor a mesh, a point cloud or a distance",
            "Give --surface FILE (YAML with map_planes.equations, PLY, OBJ, LAS) or --standoff METRES",
        )
    points = triangles = None
    stamp: list[Any] = []
    if geometry_path is not None:
        geometry = read_geometry(geometry_path)
        check_in_reach(recording, geometry_path, geometry.points, settings.max_gsd_mm_per_px)
        points, triangles = work / "points.npy", work / "triangles.npy"
        np.save(points, recording.to_map(geometry.points))
        np.save(triangles, geometry.triangles)
        status = geometry_path.stat()
        stamp = [str(geometry_path.resolve()), status.st_size, status.st_mtime_ns]
    setup = WorkerSetup(
        model=options.model,
        backend=options.backend,
        threshold=options.threshold,
        preset=options.preset,
        settings=settings,
        planes=planes,
        points=points,
        triangles=triangles,
        has_pictures=options.evidence_bytes > 0,
    )
    key = json.dumps(
        [
            __version__,
            model_sha256,
            options.threshold,
            options.preset,
            asdict(settings),
            stamp,
            recording.scale,
            recording.shift_m.tolist(),
            [*recording.turn.position_m.tolist(), *recording.turn.quaternion.tolist()],
            options.evidence_bytes > 0,
        ]
    )
    return setup, key


def _task(photograph: PosedPhotograph, key: str, work: Path) -> Task:
    status = photograph.path.stat()
    parts = [status.st_size, status.st_mtime_ns, photograph.stamp_ns, *photograph.plain]
    digest = hashlib.sha256((key + json.dumps(parts)).encode()).hexdigest()
    file = hashlib.sha256(photograph.name.encode("utf-8", "surrogateescape")).hexdigest()[:24]
    return Task(photograph, work / f"{file}.npz", digest)


def _analyse(
    tasks: Sequence[Task],
    setup: WorkerSetup,
    jobs: int,
    report: Callable[[str], None],
    progress: Callable[[int, int], None],
) -> list[tuple[str, Unusable]]:
    """Analyse the photographs without a result; return name and reason of those that have none afterwards."""
    left = [task for task in tasks if read_result(task.result, task.digest) is None]
    if len(left) < len(tasks):
        report(f"resuming: {len(tasks) - len(left)} of {len(tasks)} photographs are already analysed")
    failed: list[tuple[str, Unusable]] = []
    done = len(tasks) - len(left)
    progress(done, len(tasks))
    for task, problem in analyse_all(left, setup, min(jobs, max(1, len(left)))):
        done += 1
        if problem is not None:
            failed.append((task.photograph.name, problem))
        progress(done, len(tasks))
    for line in _counted(failed):
        report(f"not used: {line}")
    return failed


def _summary(
    options: MappingOptions,
    recording: PhotographRecording,
    unusable: Sequence[tuple[str, Unusable]],
    model: str,
    model_sha256: str,
) -> dict[str, Any]:
    by_kind = {
        kind: {"count": len(own), "what": text, "photographs": own}
        for kind, text in KINDS.items()
        if (own := {name: str(problem) for name, problem in unusable if problem.kind == kind})
    }
    failed = {name for name, _ in unusable}
    return {
        "folder": str(options.folder),
        "poses": recording.format,
        "photographs": len(recording.photographs) + len(recording.unusable),
        "mapped": sum(photograph.name not in failed for photograph in recording),
        "unusable": by_kind,
        "notes": list(recording.notes),
        "origin": None if recording.origin is None else asdict(recording.origin),
        "origin_in_poses_m": recording.shift_m.tolist(),
        "scale": recording.scale,
        "model": {"name": model, "sha256": model_sha256},
    }
