# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Added sources: larger pictures give several tiles, views are reproducible, cracks are rendered on materials only."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from crack_perception.training.data.added_tiles import load_added_tiles, load_surface_tiles
from crack_perception.training.data.manifest import Row


def picture(folder: Path, name: str, height: int, width: int) -> None:
    pixels = np.random.default_rng(1).normal(170.0, 3.0, (height, width, 3))
    cv2.imwrite(str(folder / name), np.clip(pixels, 0, 255).astype(np.uint8))


def row(path: str, source: str, surface: str, label: str = "none") -> Row:
    return Row(path, source, surface, "train", label, "ship", f"{source}:{path}")


def test_load_added_tiles_cuts_larger_pictures_and_pads_smaller_ones(tmp_path: Path) -> None:
    picture(tmp_path, "large.png", 512, 700)
    picture(tmp_path, "small.png", 227, 227)
    added = [row("large.png", "cc0_surfaces", "wall"), row("small.png", "uavcrack", "deck", "crack")]
    tiles = load_added_tiles(added, tmp_path)
    assert [tile.shape for tile in tiles.pixels] == [(256, 256, 3)] * 7
    assert tiles.labels.tolist() == [0] * 6 + [1]
    assert tiles.strata.tolist() == ["cc0_surfaces/wall"] * 6 + ["uavcrack/deck"]
    assert len(set(tiles.groups)) == 2


def test_load_surface_tiles_takes_intact_materials_at_several_scales(tmp_path: Path) -> None:
    for name in ("wall.png", "soil.png", "crack.png", "deck.png"):
        picture(tmp_path, name, 512, 512)
    added = [
        row("wall.png", "cc0_surfaces", "wall"),
        row("soil.png", "cc0_surfaces", "other"),
        row("crack.png", "cc0_surfaces", "pavement", "crack"),
        row("deck.png", "uavcrack", "deck"),
    ]
    tiles = load_surface_tiles(added, tmp_path)
    assert set(tiles.strata) == {"cc0_surfaces/wall"}
    assert len(tiles.pixels) == 4 + 4 + 1


def test_views_of_a_tile_are_reproducible_and_differ_by_number_and_seed(tmp_path: Path) -> None:
    picture(tmp_path, "wall.png", 256, 256)
    tiles = load_added_tiles([row("wall.png", "cc0_surfaces", "wall")], tmp_path)
    for view in (tiles.view, tiles.intact, tiles.cracked):
        np.testing.assert_array_equal(view(0, 7), view(0, 7))
        assert (view(0, 7) != view(1, 7)).any()
        assert (view(0, 7) != view(0, 8)).any()


def test_cracked_views_hold_dark_lines_that_intact_ones_lack(tmp_path: Path) -> None:
    picture(tmp_path, "wall.png", 256, 256)
    tiles = load_added_tiles([row("wall.png", "cc0_surfaces", "wall")], tmp_path)

    def dark_lines(view: np.ndarray) -> float:
        grey = cv2.cvtColor(view, cv2.COLOR_BGR2GRAY).astype(np.float32)
        return float((cv2.GaussianBlur(grey, (0, 0), 8.0) - grey).max())

    cracked = np.median([dark_lines(tiles.cracked(i, 7)) for i in range(12)])
    assert cracked > 1.5 * np.median([dark_lines(tiles.intact(i, 7)) for i in range(12)])
