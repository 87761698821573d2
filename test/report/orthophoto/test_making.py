# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Orthophotos of a simulated wall, compared with its texture and read again by GDAL."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from flown_facets import flight_settings, fly, shifts_px, true_picture

pytest.importorskip("tifffile", reason="the extra `report` is not installed: run scripts/setup")
pytest.importorskip("rosbags", reason="the extra `replay` is not installed: run scripts/setup")
pytest.importorskip("rasterio", reason="rasterio is not installed: run scripts/setup")

import rasterio

from crack_perception.cli.main import main
from crack_perception.evaluation.recordings.bag import open_bag
from crack_perception.geometry.camera.models import CameraModel
from crack_perception.geometry.poses.pose import Pose
from crack_perception.report.orthophoto.index import INDEX, read_index
from crack_perception.report.orthophoto.joined_frames import JoinedFrames
from crack_perception.report.orthophoto.recorded_frames import RecordedFrames
from crack_perception.simulation.flight.truth import load_truth
from crack_perception.simulation.wall.facet import Wall


@dataclass(frozen=True)
class Made:
    """An orthophoto of a flight with exact poses."""

    folder: Path
    bag: Path
    map_path: Path
    wall: Wall
    facet: dict[str, Any]

    @property
    def picture(self) -> np.ndarray:
        """(H, W, 4) blue, green, red, opacity."""
        with rasterio.open(self.folder / self.facet["files"]["picture"]) as file:
            return np.ascontiguousarray(file.read().transpose(1, 2, 0)[..., [2, 1, 0, 3]])

    @property
    def points_m(self) -> np.ndarray:
        """(H, W, 3) map points of its pixels."""
        step_m = self.facet["mm_per_px"] / 1000
        u_m = self.facet["left_m"] + (np.arange(self.facet["width_px"]) + 0.5) * step_m
        v_m = self.facet["top_m"] - (np.arange(self.facet["height_px"]) + 0.5) * step_m
        origin_m, along, up = (np.array(self.facet[name]) for name in ("origin_m", "u_m", "v_m"))
        return origin_m + u_m[None, :, None] * along + v_m[:, None, None] * up


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    folder = tmp_path_factory.mktemp("flight")
    settings = flight_settings(pose_noise_m=0.0, attitude_noise_deg=0.0)
    bag, map_path, walls = fly(settings, folder)
    assert main(["orthophoto", str(bag), "--map", str(map_path), "--mm-per-px", "0.8"]) == 0
    out = folder / "map.orthophoto"
    (facet,) = json.loads((out / INDEX).read_text())["facets"]
    return Made(out, bag, map_path, walls[0], facet)


def test_orthophoto_exact_poses_agrees_with_the_wall_within_a_pixel(made: Made) -> None:
    truth = true_picture(made.wall, made.points_m, made.facet["mm_per_px"])
    shifts = shifts_px(made.picture, truth)
    assert len(shifts) > 50
    errors = np.linalg.norm(shifts, axis=1)
    # The first image lies between a pose at rest and one in motion: 3 px off as recorded, spread by the adjustment.
    assert np.median(errors) < 0.7
    assert np.quantile(errors, 0.95) < 1.2


def test_orthophoto_covers_what_the_images_show(made: Made) -> None:
    opaque = made.picture[..., 3] > 0
    truth = load_truth(made.bag)
    camera = CameraModel.of(
        truth.camera.width, truth.camera.height, truth.camera.k, truth.camera.d, truth.camera.distortion_model
    )
    points_m = made.points_m[::8, ::8].reshape(-1, 3)
    seen = np.zeros(len(points_m), bool)
    for frame in truth.frames:
        pose = Pose.of(frame.position_m, frame.quaternion_xyzw)
        pixels = camera.project((points_m - pose.position_m) @ pose.rotation)
        seen |= ((pixels > 0) & (pixels < [camera.width_px - 1, camera.height_px - 1])).all(axis=1)
    drawn = opaque[::8, ::8].ravel()
    assert drawn[seen].mean() > 0.97
    assert drawn[~seen].mean() < 0.01
    assert made.facet["covered_m2"] == pytest.approx(opaque.sum() * (made.facet["mm_per_px"] / 1000) ** 2, rel=0.03)


def test_orthophoto_tiles_are_the_picture_with_world_files(made: Made) -> None:
    picture = made.picture
    tile_px = made.facet["tile_px"]
    for tile in made.facet["tiles"]:
        path = made.folder / tile["file"]
        left, top = tile["column"] * tile_px, tile["row"] * tile_px
        expected = picture[top : top + tile_px, left : left + tile_px]
        assert np.array_equal(cv2.imread(str(path), cv2.IMREAD_UNCHANGED), expected)
        with rasterio.open(path) as file:
            step_m = made.facet["mm_per_px"] / 1000
            corner = (made.facet["left_m"] + left * step_m, made.facet["top_m"] - top * step_m)
            assert (file.transform.c, file.transform.f) == pytest.approx(corner, abs=1e-9)
        assert 0 < tile["gsd_mm_per_px"][0] <= tile["gsd_mm_per_px"][1]
        assert tile["frames"]


def test_orthophoto_images_layer_names_the_image_of_each_cell(made: Made) -> None:
    with rasterio.open(made.folder / made.facet["files"]["images"]) as file:
        numbers, transform = file.read(1), file.transform
    assert transform.a == pytest.approx(made.facet["cell_px"] * made.facet["mm_per_px"] / 1000)
    counts = np.bincount(numbers.ravel(), minlength=len(made.facet["frames"]) + 1)
    assert counts[1:].tolist() == [frame["cells"] for frame in made.facet["frames"]]
    assert all(frame["stamp_ns"] >= 1_700_000_000 * 10**9 for frame in made.facet["frames"])
    with rasterio.open(made.folder / made.facet["files"]["gsd"]) as file:
        gsd_um = file.read(1)
    assert ((gsd_um > 0) == (numbers > 0)).all()
    finest, coarsest = made.facet["gsd_mm_per_px"]
    assert gsd_um[gsd_um > 0].min() == pytest.approx(1000 * finest, abs=1)
    assert gsd_um.max() == pytest.approx(1000 * coarsest, abs=1)


def test_orthophoto_index_places_the_overview_on_the_wall(made: Made) -> None:
    (read,) = read_index(made.folder)
    small = cv2.imread(str(read.overview), cv2.IMREAD_UNCHANGED)
    assert small.shape[2] == 4
    upper_left, upper_right, lower_left = read.corners_m
    size_m = np.array([np.linalg.norm(upper_right - upper_left), np.linalg.norm(lower_left - upper_left)])
    assert size_m == pytest.approx(np.array(small.shape[1::-1]) * made.facet["overview"]["mm_per_px"] / 1000, rel=1e-6)
    assert abs(read.normal @ made.wall.surface.normal) > 0.999


def test_orthophoto_of_two_recordings_uses_the_images_of_both(made: Made, tmp_path: Path) -> None:
    command = ["orthophoto", str(made.bag), str(made.bag), "--map", str(made.map_path), "--out", str(tmp_path / "out")]
    assert main([*command, "--mm-per-px", "4", "--as-recorded"]) == 0
    both = json.loads((tmp_path / "out" / INDEX).read_text())
    alone = json.loads((made.folder / INDEX).read_text())
    assert both["images"]["with_pose"] == 2 * alone["images"]["with_pose"] > 0
    (facet,) = both["facets"]
    assert facet["covered_m2"] == pytest.approx(made.facet["covered_m2"], rel=0.05)
    with open_bag(made.bag) as bag:
        frames = JoinedFrames([RecordedFrames(bag, {}), RecordedFrames(bag, {})])
        numbers = [frame.number for frame, _ in frames.posed()]
        count = len(numbers) // 2
        assert numbers == sorted(set(numbers))
        found = list(frames.pictures([numbers[1], numbers[count + 1]]))
    assert [number for number, _ in found] == [numbers[1], numbers[count + 1]]
    assert np.array_equal(found[0][1], found[1][1])


def test_orthophoto_replaces_an_earlier_one_and_nothing_else(
    made: Made, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "letter.txt").write_text("mine")
    wanted = ["orthophoto", str(made.bag), "--map", str(made.map_path), "--mm-per-px", "4", "--out"]
    assert main([*wanted, str(tmp_path)]) == 1
    assert "holds something else than orthophotos" in capsys.readouterr().err
    assert main([*wanted, str(tmp_path / "out")]) == 0
    (tmp_path / "out" / "old.png").write_bytes(b"")
    assert main([*wanted, str(tmp_path / "out")]) == 0
    assert not (tmp_path / "out" / "old.png").exists()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--facets", "Q"], "there is no facet Q"),
        (["--mm-per-px", "0"], "--mm-per-px 0 is out of range"),
        (["--epsg", "25832"], "has no origin"),
    ],
)
def test_orthophoto_wrong_option_is_usage_error(
    made: Made, tmp_path: Path, options: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["orthophoto", str(made.bag), "--map", str(made.map_path), "--out", str(tmp_path / "out"), *options]
    assert main(command) == 2
    assert words in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
