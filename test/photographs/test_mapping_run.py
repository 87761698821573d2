# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Tests of maps from photographs of a simulated flight: accuracy, every kind of pose and surface, resumed runs."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pose_exports as exports
import pytest
from patience import wait_for

from crack_perception.cli.main import main
from crack_perception.errors import UserError
from crack_perception.evaluation.metrics.map_accuracy import measure_map
from crack_perception.geometry.poses.pose import Pose
from crack_perception.mapping.evidence.decisions import Action, Decision
from crack_perception.mapping.export.geographic import read_origin
from crack_perception.mapping.mapped_crack import MappedCrack
from crack_perception.mapping.storage.database import MapStore
from crack_perception.mapping.storage.snapshot import read_snapshot
from crack_perception.photographs.analysis import read_result, write_result
from crack_perception.photographs.earth import utm
from crack_perception.photographs.mapping_run import SUMMARY, MappingOptions, map_photographs, problems
from crack_perception.photographs.recording import RecordingOptions, open_recording
from crack_perception.photographs.surfaces.settings import read_settings
from crack_perception.photographs.workers import Task, WorkerSetup, analyse_all
from crack_perception.simulation.flight.photographs import PLACE, write_photographs
from crack_perception.simulation.flight.settings import FlightSettings
from crack_perception.simulation.flight.truth import Truth, load_truth

ORIGIN = (PLACE.latitude_deg, PLACE.longitude_deg, PLACE.altitude_m)
SETTINGS = FlightSettings(
    seed=5,
    duration_s=9.0,
    fps=1.0,
    width=640,
    height=480,
    standoff_m=0.75,
    speed_m_s=0.12,
    cracks=3,
    pose_noise_m=0.003,
    attitude_noise_deg=0.1,
)


class Survey:
    """Photographs of a flight with their truth, and the planes of its walls."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.flight = write_photographs(SETTINGS, folder, 1, lambda done, total: None)
        self.truth: Truth = load_truth(folder)
        self.planes = folder.parent / "planes.yaml"
        equations = [[*s.normal.tolist(), float(s.normal @ s.origin_m)] for s in self.truth.surfaces]
        self.planes.write_text(f"map_planes:\n  equations: {np.concatenate(equations).tolist()}\n  sigma_m: 0.005\n")

    def poses(self) -> dict[str, Pose]:
        names = sorted(path.name for path in self.folder.glob("*.JPG"))
        frames = self.truth.frames
        return {
            name: Pose.of(frame.position_m, frame.quaternion_xyzw) for name, frame in zip(names, frames, strict=True)
        }

    def options(self, out: Path, **changes: Any) -> MappingOptions:
        options = MappingOptions(
            folder=self.folder,
            out=out,
            recording=RecordingOptions(origin=ORIGIN),
            surface=(self.planes,),
            model="nano",
            jobs=1,
        )
        return replace(options, **changes)

    def figures(self, cracks: Sequence[MappedCrack]) -> dict[str, Any]:
        return measure_map(cracks, self.truth, [frame.stamp_ns for frame in self.truth.frames], []).figures


@pytest.fixture(scope="module")
def survey(tmp_path_factory: pytest.TempPathFactory) -> Survey:
    return Survey(tmp_path_factory.mktemp("survey") / "photographs")


@pytest.fixture(scope="module")
def mapped(survey: Survey, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Output folder of the photographs with DJI's tags and planes."""
    out = tmp_path_factory.mktemp("mapped")
    map_photographs(survey.options(out))
    return out


def cracks_in(out: Path) -> tuple[MappedCrack, ...]:
    return tuple(read_snapshot(out / "crack_map.sqlite").cracks)


def same_map(one: Sequence[MappedCrack], other: Sequence[MappedCrack], share: float) -> None:
    """Check that total length, widths and positions of two maps agree within a share; positions within 2 cm."""
    lengths = [sum(crack.length_m for crack in cracks) for cracks in (one, other)]
    assert lengths[0] == pytest.approx(lengths[1], rel=share)
    for crack in one:
        if crack.length_m < 0.15:
            continue
        middle = crack.line_m[len(crack.line_m) // 2]
        near = min(other, key=lambda each: float(np.linalg.norm(each.line_m - middle, axis=1).min()))
        assert np.linalg.norm(near.line_m - middle, axis=1).min() < 0.02
        assert near.mean_width_mm == pytest.approx(crack.mean_width_mm, rel=share)


def test_map_of_photographs_agrees_with_the_truth(survey: Survey, mapped: Path) -> None:
    figures = survey.figures(cracks_in(mapped))
    assert figures["recall"] >= 0.9
    assert figures["length_error"] <= 0.1
    assert figures["position_error_m"]["median"] <= 0.01
    summary = json.loads((mapped / SUMMARY).read_text())
    assert summary["mapped"] == len(survey.truth.frames) and summary["unusable"] == {}
    assert not (mapped / "unfinished").exists()


def test_map_of_photographs_has_evidence_place_and_exports(survey: Survey, mapped: Path) -> None:
    snapshot = read_snapshot(mapped / "crack_map.sqlite")
    long = {crack.id for crack in snapshot.cracks if crack.length_m > 0.3}
    assert long <= {photograph.crack_id for photograph in snapshot.photographs}
    for photograph in snapshot.photographs:
        assert (mapped / "crack_map.photographs" / photograph.file).is_file()
        assert photograph.camera_frame.startswith("DJI_")
    assert snapshot.inspected_areas_m
    assert read_origin(mapped / "crack_map.sqlite") == PLACE
    place = json.loads((mapped / "crack_map_wgs84.geojson").read_text())["features"][0]["geometry"]["coordinates"][0]
    assert place[:2] == pytest.approx([PLACE.longitude_deg, PLACE.latitude_deg], abs=1e-3)


def test_map_of_photographs_has_coverage_and_camera(survey: Survey, mapped: Path) -> None:
    snapshot = read_snapshot(mapped / "crack_map.sqlite")
    camera = survey.flight.camera
    # The focal length is that of a pinhole with the same angle of view; the lens is distorted.
    assert snapshot.camera is not None and snapshot.camera.focal_px == pytest.approx(camera.focal_px, rel=0.06)
    assert (snapshot.camera.width_px, snapshot.camera.height_px) == pytest.approx((640, 480))
    gsd_mm = np.concatenate([each.gsd_mm_per_px.ravel() for each in snapshot.coverage])
    gsd_mm = gsd_mm[~np.isnan(gsd_mm)]
    # Every cell is seen from the standoff, more or less straight ahead.
    expected_mm = 1000.0 * SETTINGS.standoff_m / camera.focal_px
    assert np.median(gsd_mm) == pytest.approx(expected_mm, rel=0.15) and gsd_mm.max() < 3.0 * expected_mm
    summary = json.loads((mapped / SUMMARY).read_text())
    assert summary["photographs_without_coverage"] == 0


def test_map_result_of_a_photograph_is_read_as_it_was_written(survey: Survey, tmp_path: Path) -> None:
    options = survey.options(tmp_path)
    recording = open_recording(survey.folder, options.recording)
    settings = read_settings(survey.planes)
    planes = settings.planes(recording.shift_m, 1.0, recording.turn)
    analysis = WorkerSetup("nano", "auto", None, "gb50204", settings, planes, None, None, has_pictures=False).open()
    result = analysis.analyse(recording.photographs[0])
    write_result(tmp_path / "result.npz", result, "digest")
    read = read_result(tmp_path / "result.npz", "digest")
    assert read is not None and read.view is not None and result.view is not None
    assert read.view.camera == result.view.camera
    for name in ("gsd_mm_per_px", "viewpoint_m"):
        np.testing.assert_array_equal(getattr(read.view, name), getattr(result.view, name))
    np.testing.assert_array_equal(read.view.footprint.normal, result.view.footprint.normal)
    assert read_result(tmp_path / "result.npz", "another") is None


def test_map_of_photographs_reports_at_its_place(mapped: Path, tmp_path: Path) -> None:
    arguments = ["report", str(mapped / "crack_map.sqlite"), "--out", str(tmp_path), "--formats", "geojson,csv"]
    assert main(arguments) == 0
    features = json.loads((tmp_path / "cracks.geojson").read_text())["features"]
    coordinates = np.concatenate([np.ravel(each["geometry"]["coordinates"]) for each in features])
    assert coordinates[0] == pytest.approx(PLACE.longitude_deg, abs=1e-3)
    assert coordinates[1] == pytest.approx(PLACE.latitude_deg, abs=1e-3)


def write_mesh(survey: Survey, path: Path) -> Path:
    """Write the walls as a PLY of two triangles each."""
    points = np.concatenate(
        [
            s.to_map(np.array([[0, 0], [1, 0], [1, 1], [0, 1]]) * s.size_m * 1.5 - 0.25 * s.size_m)
            for s in survey.truth.surfaces
        ]
    )
    faces = [f"4 {4 * n} {4 * n + 1} {4 * n + 2} {4 * n + 3}" for n in range(len(survey.truth.surfaces))]
    head = f"ply\nformat ascii 1.0\nelement vertex {len(points)}\n"
    head += "".join(f"property double {axis}\n" for axis in "xyz")
    head += f"element face {len(faces)}\nproperty list uchar int vertex_indices\nend_header\n"
    path.write_text(head + "".join(" ".join(map(str, p)) + "\n" for p in points.tolist()) + "\n".join(faces) + "\n")
    return path


def write_cloud(survey: Survey, path: Path) -> Path:
    """Write 20,000 points a square metre of the walls with 2 mm noise."""
    rng = np.random.default_rng(0)
    parts = []
    for surface in survey.truth.surfaces:
        count = int(20_000 * np.prod(surface.size_m))
        points = surface.to_map(rng.uniform(-0.1, 1.1, (count, 2)) * surface.size_m)
        parts.append(points + rng.normal(0, 0.002, (count, 1)) * surface.normal)
    np.savetxt(path, np.concatenate(parts), fmt="%.4f")
    return path


@pytest.mark.parametrize("kind", ["colmap and mesh", "opendronemap and cloud"])
def test_map_is_the_same_for_other_poses_and_surfaces(survey: Survey, mapped: Path, tmp_path: Path, kind: str) -> None:
    camera = survey.flight.camera
    if kind == "colmap and mesh":
        poses = exports.write_colmap_binary(tmp_path / "sparse", survey.poses(), camera)
        surface = write_mesh(survey, tmp_path / "wall.ply")
    else:
        poses = exports.write_opendronemap(tmp_path, survey.poses(), camera, np.zeros(3), None)
        surface = write_cloud(survey, tmp_path / "wall.xyz")
    out = tmp_path / "out"
    map_photographs(survey.options(out, recording=RecordingOptions(poses=poses), surface=(surface,)))
    same_map(cracks_in(mapped), cracks_in(out), 0.1)


@pytest.mark.slow
def test_map_killed_run_goes_on_and_gives_the_same_map(survey: Survey, mapped: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "crack_perception.cli.main", "map-photos", str(survey.folder)]
    command += ["--out", str(tmp_path), "--surface", str(survey.planes), "--model", "nano", "--jobs", "2"]
    command += [f"--origin={','.join(map(str, ORIGIN))}"]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL, start_new_session=True)
    unfinished = tmp_path / "unfinished"
    try:
        wait_for(lambda: len(list(unfinished.glob("*.npz"))) >= 2)
    finally:
        process.kill()
        process.wait()
    # The processes of the killed run end by themselves.
    wait_for(lambda: not _lives(process.pid))
    assert not (tmp_path / "crack_map.sqlite").exists()
    lines: list[str] = []
    map_photographs(survey.options(tmp_path), lines.append)
    assert any(line.startswith("resuming: ") for line in lines)
    for one, other in zip(cracks_in(mapped), cracks_in(tmp_path), strict=True):
        assert one.id == other.id
        np.testing.assert_allclose(one.line_m, other.line_m, atol=1e-6)


def _lives(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


def test_map_damaged_and_strange_photographs_are_counted(survey: Survey, tmp_path: Path) -> None:
    folder = tmp_path / "photographs"
    folder.mkdir()
    names = sorted(path.name for path in survey.folder.glob("*.JPG"))
    for name in names[:3]:
        os.link(survey.folder / name, folder / name)
    whole = (survey.folder / names[3]).read_bytes()
    (folder / "half.JPG").write_bytes(whole[: len(whole) // 2])
    (folder / "empty.JPG").write_bytes(b"")
    (folder / "sky.JPG").write_bytes(turned_round(whole))
    arguments = ["map-photos", str(folder), "--out", str(tmp_path / "out"), "--surface", str(survey.planes)]
    arguments += ["--model", "nano", "--jobs", "1", f"--origin={','.join(map(str, ORIGIN))}"]
    assert main(arguments) == 1
    summary = json.loads((tmp_path / "out" / SUMMARY).read_text())
    assert summary["mapped"] == 3 and summary["photographs"] == 6
    assert {kind: list(each["photographs"]) for kind, each in summary["unusable"].items()} == {
        "damaged": ["empty.JPG", "half.JPG"],
        "no_surface": ["sky.JPG"],
    }


def test_map_surface_in_another_coordinate_system_is_refused_with_its_name(
    survey: Survey, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cloud = np.loadtxt(write_cloud(survey, tmp_path / "wall.xyz"))[::50]
    np.savetxt(tmp_path / "wall.xyz", cloud + [*utm(*ORIGIN[:2], 32), ORIGIN[2]], fmt="%.3f")
    arguments = ["map-photos", str(survey.folder), "--out", str(tmp_path / "out"), "--model", "nano", "--jobs", "1"]
    assert main([*arguments, "--surface", str(tmp_path / "wall.xyz")]) == 1
    shown = capsys.readouterr().err
    assert "UTM zone 32 north (EPSG:32632)" in shown and "DJI_0000.JPG" in shown and "--origin" in shown
    assert not (tmp_path / "out" / "crack_map.sqlite").exists()


def test_map_surface_elsewhere_is_refused_with_both_places(survey: Survey, tmp_path: Path) -> None:
    cloud = np.loadtxt(write_cloud(survey, tmp_path / "wall.xyz"))[::50]
    np.savetxt(tmp_path / "wall.xyz", cloud + [0.0, 5000.0, 0.0], fmt="%.3f")
    with pytest.raises(UserError, match=r"is \d+ m or more from all .* lies around .* they lie around"):
        map_photographs(survey.options(tmp_path / "out", surface=(tmp_path / "wall.xyz",)))


def test_map_of_photographs_that_miss_the_surface_is_a_problem(
    survey: Survey, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The planes face away from the cameras."""
    equations = np.concatenate([[*(-s.normal), -float(s.normal @ s.origin_m)] for s in survey.truth.surfaces])
    planes = tmp_path / "planes.yaml"
    planes.write_text(f"map_planes:\n  equations: {equations.tolist()}\n")
    arguments = ["map-photos", str(survey.folder), "--out", str(tmp_path / "out"), "--surface", str(planes)]
    arguments += ["--model", "nano", "--jobs", "1", f"--origin={','.join(map(str, ORIGIN))}"]
    assert main(arguments) == 1
    count = len(survey.truth.frames)
    shown = capsys.readouterr().err
    assert f"warning: {count} of {count} photographs (DJI_0000.JPG, " in shown and " m from them" in shown
    summary = json.loads((tmp_path / "out" / SUMMARY).read_text())
    assert summary["unusable"]["no_surface"]["count"] == count and problems(summary) == count


def test_problems_leave_out_the_few_photographs_of_the_sky() -> None:
    def summary(mapped: int, without: int) -> dict[str, Any]:
        return {"mapped": mapped, "unusable": {"no_surface": {"count": without}, "thermal": {"count": 3}}}

    assert problems(summary(5, 4)) == 0 and problems(summary(1, 9)) == 0
    assert problems(summary(1, 10)) == 10 and problems(summary(0, 1)) == 1
    assert problems({"mapped": 0, "unusable": {}}) == 0


def turned_round(data: bytes) -> bytes:
    """Return a photograph with the tags of one to the other side, of the same length."""
    key = b'GimbalYawDegree="'
    at = data.index(key) + len(key)
    end = data.index(b'"', at)
    yaw = float(data[at:end])
    turned = f"{yaw + (180 if yaw < 0 else -180):+.2f}".encode()
    turned = turned[: end - at].ljust(end - at)
    return data[:at] + turned + data[end:]


@pytest.mark.slow
def test_map_process_that_ends_costs_one_photograph(survey: Survey, tmp_path: Path) -> None:
    options = survey.options(tmp_path)
    recording = open_recording(survey.folder, options.recording)
    settings = read_settings(survey.planes)
    planes = settings.planes(recording.shift_m, 1.0, recording.turn)
    setup = WorkerSetup("nano", "auto", None, "gb50204", settings, planes, None, None, has_pictures=False)
    tasks = [
        Task(photograph, tmp_path / f"{number}.npz", "") for number, photograph in enumerate(recording.photographs[:3])
    ]
    tasks[1] = replace(tasks[1], photograph=replace(tasks[1].photograph, path=_Deadly(tasks[1].photograph.path)))
    outcomes = {task.photograph.name: problem for task, problem in analyse_all(tasks, setup, 2)}
    failed = [name for name, problem in outcomes.items() if problem is not None]
    assert failed == [tasks[1].photograph.name] and outcomes[failed[0]].kind == "failed"
    assert all(task.result.is_file() for task in (tasks[0], tasks[2]))


class _Deadly(type(Path())):
    """A path whose use in another process ends that process, as a lack of memory does."""

    def __reduce__(self) -> Any:
        return (_end_process, (os.getpid(), str(self)))


def _end_process(parent: int, path: str) -> Path:
    if os.getpid() != parent:
        os.kill(os.getpid(), signal.SIGKILL)
    return Path(path)


def test_map_with_decisions_is_not_replaced(survey: Survey, mapped: Path, tmp_path: Path) -> None:
    shutil.copy(mapped / "crack_map.sqlite", tmp_path)
    with closing(MapStore(tmp_path / "crack_map.sqlite")) as store:
        store.add_decision(Decision(store.load()[0].id, Action.ACCEPT, author="a", time_ns=1))
    with pytest.raises(UserError, match="decisions of a reviewer"):
        map_photographs(survey.options(tmp_path))
