# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Photographs of a simulated flight give the same map as its bag, played into the real nodes over DDS."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not installed")

from crack_perception.evaluation.metrics.map_accuracy import measure_map
from crack_perception.evaluation.replay.plan import ReplayOptions
from crack_perception.evaluation.replay.runner import replay
from crack_perception.mapping.export.geojson import load_map_geojson
from crack_perception.mapping.mapped_crack import CrackState
from crack_perception.mapping.storage.snapshot import read_snapshot
from crack_perception.photographs.mapping_run import MappingOptions, map_photographs
from crack_perception.photographs.recording import RecordingOptions
from crack_perception.simulation.flight.photographs import PLACE, write_photographs
from crack_perception.simulation.flight.settings import FlightSettings
from crack_perception.simulation.flight.simulation import write_flight
from crack_perception.simulation.flight.truth import load_truth

SETTINGS = FlightSettings(
    seed=5,
    duration_s=7.0,
    fps=2.0,
    width=640,
    height=480,
    standoff_m=0.75,
    speed_m_s=0.12,
    cracks=3,
    pose_noise_m=0.003,
    attitude_noise_deg=0.1,
)


@pytest.mark.slow
def test_photographs_give_the_same_map_as_the_bag(tmp_path: Path) -> None:
    bag, folder = tmp_path / "bag", tmp_path / "photographs"
    write_flight(SETTINGS, bag, False, lambda written, total: None)
    write_photographs(SETTINGS, folder, 1, lambda written, total: None)
    truth = load_truth(bag)
    equations = np.concatenate([[*s.normal, s.normal @ s.origin_m] for s in truth.surfaces]).tolist()
    parameters = {"map_planes.equations": str(equations), "map_planes.sigma_m": "0.005", "model": "nano"}
    options = ReplayOptions(bag, tmp_path / "replayed", parameters=parameters, video=False, wait_budget_s=300.0)
    replay(options, lambda line: None)
    planes = tmp_path / "planes.yaml"
    planes.write_text(f"map_planes:\n  equations: {equations}\n  sigma_m: 0.005\n")
    place = (PLACE.latitude_deg, PLACE.longitude_deg, PLACE.altitude_m)
    map_photographs(
        MappingOptions(
            folder, tmp_path / "mapped", RecordingOptions(origin=place), surface=(planes,), model="nano", jobs=1
        )
    )
    stamps = [frame.stamp_ns for frame in truth.frames]
    flown = [
        crack
        for crack in load_map_geojson(tmp_path / "replayed" / "map" / "crack_map.geojson")
        if crack.state is CrackState.CONFIRMED
    ]
    photographed = list(read_snapshot(tmp_path / "mapped" / "crack_map.sqlite").cracks)
    one, other = (measure_map(cracks, truth, stamps, []).figures for cracks in (flown, photographed))
    assert other["recall"] == pytest.approx(one["recall"], abs=0.1)
    # Duplicates of the drifting flight count once.
    lengths = [figures["mapped_length_m"] * (1 - figures["duplicates"]) for figures in (one, other)]
    assert lengths[1] == pytest.approx(lengths[0], rel=0.1)
    means = [
        np.average([c.mean_width_mm for c in cracks], weights=[c.length_m for c in cracks])
        for cracks in (flown, photographed)
    ]
    assert means[1] == pytest.approx(means[0], rel=0.1)
    for crack in photographed:
        if crack.length_m > 0.15:
            middle_m = crack.line_m[len(crack.line_m) // 2]
            assert min(np.linalg.norm(each.line_m - middle_m, axis=1).min() for each in flown) < 0.03
    same_coverage(*(tmp_path / each / "crack_map.sqlite" for each in ("replayed/map", "mapped")))


def same_coverage(one: Path, other: Path) -> None:
    """Check that seen area, resolution and camera of two maps agree within 10 %."""
    areas_m2, gsds_mm, cameras = [], [], []
    for path in (one, other):
        snapshot = read_snapshot(path)
        gsd_mm = np.concatenate([each.gsd_mm_per_px.ravel() for each in snapshot.coverage])
        gsds_mm.append(gsd_mm[~np.isnan(gsd_mm)])
        areas_m2.append(sum(np.isfinite(each.gsd_mm_per_px).sum() * each.cell_area_m2 for each in snapshot.coverage))
        assert snapshot.camera is not None
        cameras.append(snapshot.camera)
    assert areas_m2[1] == pytest.approx(areas_m2[0], rel=0.1)
    for share in (0.1, 0.5, 0.9):
        assert np.quantile(gsds_mm[1], share) == pytest.approx(np.quantile(gsds_mm[0], share), rel=0.1)
    assert cameras[1].focal_px == pytest.approx(cameras[0].focal_px, rel=0.1)
    assert cameras[1].footprint_m(1.0) == pytest.approx(cameras[0].footprint_m(1.0), rel=0.1)
