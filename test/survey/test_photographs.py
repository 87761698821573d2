# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Folders of photographs with poses in a survey: the map of ``map-photos``, in one frame for a whole structure."""

from __future__ import annotations

import csv
import shutil
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from survey_inputs import survey

from crack_perception.errors import UserError
from crack_perception.geometry.poses.pose import Pose
from crack_perception.mapping.export.geographic import GeographicOrigin, read_origin
from crack_perception.mapping.observation import FrameObservation
from crack_perception.mapping.storage.snapshot import read_snapshot
from crack_perception.photographs.mapping_run import MappingOptions, map_photographs
from crack_perception.photographs.recording import RecordingOptions
from crack_perception.simulation.flight.photographs import PLACE, write_photographs
from crack_perception.simulation.flight.settings import FlightSettings
from crack_perception.simulation.flight.truth import load_truth
from crack_perception.survey.engine import Engine
from crack_perception.survey.placement import between, moved, structure_origin
from crack_perception.survey.sources import StructureTable, read_structure_table

ORIGIN = (PLACE.latitude_deg, PLACE.longitude_deg, PLACE.altitude_m)
SETTINGS = FlightSettings(
    seed=5,
    duration_s=6.0,
    fps=1.0,
    width=640,
    height=480,
    standoff_m=0.75,
    speed_m_s=0.12,
    cracks=3,
    pose_noise_m=0.003,
    attitude_noise_deg=0.1,
)


@pytest.fixture(scope="module")
def photographs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Photographs with DJI's tags in ``bridge/east``; the planes of the walls lie in ``bridge``."""
    top = tmp_path_factory.mktemp("photographs")
    folder = top / "bridge" / "east"
    write_photographs(SETTINGS, folder, 1, lambda done, total: None)
    equations = np.concatenate([[*s.normal, s.normal @ s.origin_m] for s in load_truth(folder).surfaces]).tolist()
    (top / "bridge" / "surface.yaml").write_text(f"map_planes:\n  equations: {equations}\n  sigma_m: 0.005\n")
    return top


@pytest.fixture(scope="module")
def mapped(photographs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Map of ``map-photos`` from the same photographs."""
    out = tmp_path_factory.mktemp("mapped")
    folder = photographs / "bridge"
    recording = RecordingOptions(origin=ORIGIN)
    map_photographs(
        MappingOptions(
            folder / "east", out, recording, (folder / "surface.yaml",), model="nano", evidence_bytes=0, jobs=1
        )
    )
    return out / "crack_map.sqlite"


def table_of(folder: Path, heading_deg: float) -> StructureTable:
    path = folder / "structures.csv"
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["path", "structure", "latitude", "longitude", "height", "heading"])
        writer.writerow(["bridge", "Bridge 7", *ORIGIN, heading_deg])
    return read_structure_table(path)


def test_survey_of_photographs_with_poses_gives_the_map_of_map_photos(
    photographs: Path, mapped: Path, engine: Engine, tmp_path: Path
) -> None:
    summary = survey([photographs], tmp_path / "out", engine, table_of(photographs, 90.0))
    (structure,) = summary["structures"]
    (recording,) = structure["recordings"]
    assert recording["posed_frames"] == recording["frames"] == 6
    folder = tmp_path / "out" / structure["folder"]
    cracks, expected = (read_snapshot(path).cracks for path in (folder / "map.sqlite", mapped))
    assert len(cracks) == len(expected) > 0
    for one, other in zip(cracks, expected, strict=True):
        np.testing.assert_array_equal(one.line_m, other.line_m)
        np.testing.assert_array_equal(one.width_mm, other.width_mm)
        assert one.state is other.state
    assert read_origin(folder / "map.sqlite") == PLACE
    surveyed, of_map_photos = (read_snapshot(path) for path in (folder / "map.sqlite", mapped))
    assert surveyed.camera == of_map_photos.camera is not None
    assert len(surveyed.coverage) == len(of_map_photos.coverage) > 0
    for surface, other in zip(surveyed.coverage, of_map_photos.coverage, strict=True):
        np.testing.assert_array_equal(surface.gsd_mm_per_px, other.gsd_mm_per_px)
    row = pq.read_table(tmp_path / "out" / "recordings" / recording["key"] / "frames.parquet").to_pylist()[0]
    assert row["has_pose"] and row["geometry"] and row["stamp_ns"] > 0 and row["name"].endswith(".JPG")
    assert survey([photographs], tmp_path / "out", engine, table_of(photographs, 90.0))["resumed"] == 1


@pytest.mark.slow
def test_survey_of_two_folders_without_a_given_place_has_one_frame(
    photographs: Path, mapped: Path, engine: Engine, tmp_path: Path
) -> None:
    """Each folder has its own origin, its first photograph; the structure's is that of the earlier one."""
    names = sorted(path.name for path in (photographs / "bridge" / "east").glob("*.JPG"))
    for place, chosen in (("first", names[:4]), ("second", names[2:])):
        folder = tmp_path / "in" / "bridge" / place
        folder.mkdir(parents=True)
        for name in chosen:
            shutil.copy(photographs / "bridge" / "east" / name, folder / name)
        (folder / "surface.yaml").write_text("standoff_m: 0.75\n")
    summary = survey([tmp_path / "in"], tmp_path / "out", engine)
    (structure,) = summary["structures"]
    assert structure["problem"] is None and structure["cracks"] > 0
    folder = tmp_path / "out" / structure["folder"]
    origin = read_origin(folder / "map.sqlite")
    assert origin is not None and origin != PLACE
    whole = between(origin, PLACE)
    assert whole is not None
    seen_m2, expected_m2 = (
        sum(np.isfinite(each.gsd_mm_per_px).sum() * each.cell_area_m2 for each in read_snapshot(path).coverage)
        for path in (folder / "map.sqlite", mapped)
    )
    assert seen_m2 == pytest.approx(expected_m2, rel=0.25)
    expected = np.concatenate([crack.line_m for crack in read_snapshot(mapped).cracks])
    for crack in read_snapshot(folder / "map.sqlite").cracks:
        points_m = whole.transform(crack.line_m)
        distances_m = np.linalg.norm(points_m[:, None] - expected, axis=2).min(axis=1)
        assert np.median(distances_m) < 0.05


def test_survey_of_photographs_without_a_surface_stays_in_pixels(
    photographs: Path, engine: Engine, tmp_path: Path
) -> None:
    folder = tmp_path / "in" / "bridge" / "east"
    folder.mkdir(parents=True)
    name = sorted(path.name for path in (photographs / "bridge" / "east").glob("*.JPG"))[0]
    shutil.copy(photographs / "bridge" / "east" / name, folder / name)
    summary = survey([tmp_path / "in"], tmp_path / "out", engine)
    (recording,) = summary["structures"][0]["recordings"]
    assert recording["frames"] == 1 and recording["posed_frames"] == 0
    assert "no surface.yaml" in recording["notes"][0]


@pytest.mark.parametrize("heading_deg", [90.0, 0.0, 217.0])
def test_between_origins_keeps_the_place_on_the_earth(heading_deg: float) -> None:
    one = GeographicOrigin(48.0, 11.0, 500.0)
    other = GeographicOrigin(48.001, 11.002, 520.0, heading_deg)
    points_m = np.random.default_rng(1).normal(0, 50, (20, 3))
    transform = between(one, other)
    assert transform is not None
    before, after = one.positions(points_m), other.positions(transform.transform(points_m))
    np.testing.assert_allclose(after[:, :2], before[:, :2], atol=1e-11)
    np.testing.assert_allclose(after[:, 2], before[:, 2], atol=1e-6)
    assert between(one, one) is None and between(None, other) is None


def test_moved_observation_turns_normals_and_covariances() -> None:
    from map_observations import segment

    line = segment((0, 0), (1, 0))
    quarter = Pose.of([1.0, 2.0, 3.0], [0.0, 0.0, np.sqrt(0.5), np.sqrt(0.5)])
    covariance = np.diag([1.0, 2.0, 3.0])
    observation = FrameObservation(1, "a", np.zeros((4, 3)), (segment((0, 0), (1, 0), covariance_m2=covariance),))
    result = moved(observation, quarter)
    np.testing.assert_allclose(result.footprint_m, np.tile([1.0, 2.0, 3.0], (4, 1)))
    np.testing.assert_allclose(result.observations[0].covariance_m2, np.diag([2.0, 1.0, 3.0]), atol=1e-12)
    np.testing.assert_allclose(result.observations[0].normal, quarter.rotation @ line.normal)
    np.testing.assert_allclose(result.observations[0].line_m, quarter.transform(line.line_m))


def test_structure_origin_of_mixed_recordings_is_refused_with_the_remedy() -> None:
    with pytest.raises(UserError, match="1 of 2 recordings have a place"):
        structure_origin("dam", None, [PLACE, None])
    assert structure_origin("dam", PLACE, [PLACE, None]) == PLACE
    assert structure_origin("dam", None, [None, None]) is None
