# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Labelled tiles from reviewed photographs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from review_maps import level_crack, photograph_facing, write_map

from crack_perception.cli.main import main
from crack_perception.desk.tiles import export_tiles, tile_corners
from crack_perception.errors import UserError
from crack_perception.mapping.evidence.decisions import Action, Decision
from crack_perception.mapping.evidence.photograph import PhotographedLine, photograph_folder
from crack_perception.mapping.storage.snapshot import read_snapshot

ACCEPT_1_REJECT_2 = (Decision(1, Action.ACCEPT, {}, "Ana", 1), Decision(2, Action.REJECT, {}, "Ana", 2))


def tiles_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_export_tiles_of_accepted_show_the_crack_and_those_of_rejected_the_claimed_line(tmp_path: Path) -> None:
    cracks = [level_crack(1, 0.0, 0.6, 1.0), level_crack(2, 3.0, 3.6, 1.0), level_crack(3, 5.0, 5.5, 1.0)]
    photographs = [photograph_facing(crack) for crack in cracks]
    path = write_map(tmp_path / "map.sqlite", cracks, photographs, ACCEPT_1_REJECT_2)
    done = export_tiles(path, read_snapshot(path), tmp_path / "tiles")
    assert (done.crack, done.intact, done.photographs, done.unsure) == (3, 3, 2, 0)
    crack, intact = tmp_path / "tiles" / "crack", tmp_path / "tiles" / "intact"
    stems = {name.rpartition("_x")[0] for name in tiles_in(crack)}
    assert stems == {Path(photographs[0].file).stem}, "names group by photograph, and open cracks give no tiles"
    for folder, photograph in ((crack, photographs[0]), (intact, photographs[1])):
        for name in tiles_in(folder):
            tile = cv2.imread(str(folder / name))
            assert tile.shape == (256, 256, 3)
            left, top = (int(part[1:]) for part in name.removesuffix(".png").split("_")[-2:])
            source = cv2.imread(str(photograph_folder(path) / photograph.file))
            np.testing.assert_array_equal(tile, source[top : top + 256, left : left + 256])
            assert np.any(tile[:, :, 0] < 90), "the drawn line is in it"


def test_export_tiles_of_rejected_leaves_out_what_another_crack_may_cross(tmp_path: Path) -> None:
    """The rejected line runs through the whole picture, the open crack 3 through its left third."""
    cracks = [level_crack(1, 8.0, 8.6, 1.0), level_crack(2, 3.0, 3.6, 1.0), level_crack(3, 2.9, 3.0, 1.05)]
    photographs = [photograph_facing(crack) for crack in cracks[:2]]
    path = write_map(tmp_path / "map.sqlite", cracks, photographs, ACCEPT_1_REJECT_2)
    done = export_tiles(path, read_snapshot(path), tmp_path / "tiles")
    assert 0 < done.intact < 3 and done.intact + done.unsure == 3
    assert "another crack" in str(done)
    places = [int(name.rpartition("_x")[2].split("_")[0]) for name in tiles_in(tmp_path / "tiles" / "intact")]
    assert min(places) > 0


def test_export_tiles_missing_and_damaged_photographs_are_counted(tmp_path: Path) -> None:
    cracks = [level_crack(1, 0.0, 0.6, 1.0), level_crack(2, 3.0, 3.6, 1.0)]
    photographs = [photograph_facing(crack) for crack in cracks]
    path = write_map(tmp_path / "map.sqlite", cracks, photographs, ACCEPT_1_REJECT_2)
    (photograph_folder(path) / photographs[0].file).unlink()
    whole = (photograph_folder(path) / photographs[1].file).read_bytes()
    (photograph_folder(path) / photographs[1].file).write_bytes(whole[: len(whole) // 3])
    done = export_tiles(path, read_snapshot(path), tmp_path / "tiles")
    assert (done.crack, done.intact, done.unreadable) == (0, 0, 2)
    assert "needs both classes" in str(done)


def test_export_tiles_of_unknown_pose_gives_no_intact_ones(tmp_path: Path) -> None:
    cracks = [level_crack(1, 0.0, 0.6, 1.0), level_crack(2, 3.0, 3.6, 1.0)]
    unknown = replace(photograph_facing(cracks[1]), orientation_xyzw=np.full(4, np.nan))
    path = write_map(tmp_path / "map.sqlite", cracks, [photograph_facing(cracks[0]), unknown], ACCEPT_1_REJECT_2)
    done = export_tiles(path, read_snapshot(path), tmp_path / "tiles")
    assert done.crack == 3 and done.intact == 0 and done.unsure == 3


def test_export_tiles_of_a_split_crack_follow_the_verdict_of_each_part(tmp_path: Path) -> None:
    """The right half is rejected; the photograph shows both."""
    crack = level_crack(1, 3.0, 3.6, 1.0)
    split = Decision(1, Action.SPLIT, {"at_m": [3.3, 0.0, 1.0], "new_id": 9, "new_part_m": [3.5, 0.0, 1.0]}, "Ana", 1)
    verdicts = (Decision(1, Action.ACCEPT, {}, "Ana", 2), Decision(9, Action.REJECT, {}, "Ana", 3))
    path = write_map(tmp_path / "map.sqlite", [crack], [photograph_facing(crack)], (split, *verdicts))
    done = export_tiles(path, read_snapshot(path), tmp_path / "tiles")
    lefts = [int(name.rpartition("_x")[2].split("_")[0]) for name in tiles_in(tmp_path / "tiles" / "crack")]
    assert done.crack == 2 and max(lefts) + 256 <= 520, "the tile at the right shows only the rejected part"
    assert done.intact + done.unsure >= 1 and not set(tiles_in(tmp_path / "tiles" / "intact")) & set(
        tiles_in(tmp_path / "tiles" / "crack")
    )


def test_export_tiles_into_a_folder_with_tiles_is_refused(tmp_path: Path) -> None:
    crack = level_crack(1, 0.0, 0.6, 1.0)
    path = write_map(tmp_path / "map.sqlite", [crack], [photograph_facing(crack)], ACCEPT_1_REJECT_2[:1])
    export_tiles(path, read_snapshot(path), tmp_path / "tiles")
    with pytest.raises(UserError, match="is not empty"):
        export_tiles(path, read_snapshot(path), tmp_path / "tiles")


@pytest.mark.parametrize(
    ("size", "expected"),
    [((640, 480), {256}), ((300, 240), {240}), ((224, 900), {224}), ((223, 900), set()), ((100, 100), set())],
)
def test_tile_corners_are_inside_and_apart_whatever_the_size(size: tuple[int, int], expected: set[int]) -> None:
    rng = np.random.default_rng(3)
    crack = level_crack(1, 0.0, 0.6, 1.0)
    for _ in range(20):
        points = np.cumsum(rng.normal(0, 40, (30, 2)), axis=0) + np.array(size) / 2
        points[rng.random(30) < 0.1] = np.nan
        line = PhotographedLine(points, np.full(30, 0.3), np.full(30, 0.1))
        tiles = list(tile_corners(replace(photograph_facing(crack), lines=(line, line)), *size))
        assert {side for _, _, side in tiles} <= expected
        for left, top, side in tiles:
            assert 0 <= left <= size[0] - side and 0 <= top <= size[1] - side
        for index, one in enumerate(tiles):
            for other in tiles[:index]:
                assert max(abs(one[0] - other[0]), abs(one[1] - other[1])) >= 0.75 * one[2] - 1


@pytest.mark.parametrize("points", [[], [[10.0, 10.0]], [[np.nan, 1.0], [2.0, np.nan]], [[5.0, 5.0], [5.0, 5.0]]])
def test_tile_corners_of_degenerate_lines(points: Any) -> None:
    array = np.array(points, np.float64).reshape(-1, 2)
    line = PhotographedLine(array, np.zeros(len(array)), np.zeros(len(array)))
    photograph = replace(photograph_facing(level_crack(1, 0, 1, 1)), lines=(line,))
    assert len(list(tile_corners(photograph, 640, 480))) == np.isfinite(array).all(axis=1).any()


def test_desk_export_tiles_verb_needs_no_server(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    crack = level_crack(1, 0.0, 0.6, 1.0)
    path = write_map(tmp_path / "map.sqlite", [crack], [photograph_facing(crack)], ACCEPT_1_REJECT_2[:1])
    assert main(["desk", str(path), "--export-tiles", str(tmp_path / "out")]) == 0
    assert capsys.readouterr().out.startswith("3 tiles with cracks and 0 intact ones, from 1 photographs")
