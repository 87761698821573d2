# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""A picture that a folder of labelled tiles holds several times counts once, and has one label."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from crack_perception.errors import UserError
from crack_perception.training.adaptation.labelled_tiles import find_sources, read_tiles

RIGHT = {"label": "crack", "shape_type": "linestrip", "points": [[300, 10], [500, 230]]}
LEFT = {"label": "crack", "shape_type": "linestrip", "points": [[10, 10], [200, 230]]}
TILE_PX = 256


def save(path: Path, level: int) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), np.full((256, 512, 3), level, np.uint8))
    return path


def outlined(folder: Path, picture: str, name: str, *shapes: dict[str, Any], width: int = 512) -> None:
    """Write a labelme file of a picture."""
    content = {"imagePath": picture, "imageWidth": width, "imageHeight": 256, "shapes": shapes}
    (folder / f"{name}.json").write_text(json.dumps(content), encoding="utf-8")


def labels_of(folder: Path) -> dict[str, list[int]]:
    found: dict[str, list[int]] = {}
    for tile in read_tiles(find_sources(folder), TILE_PX):
        found.setdefault(Path(tile.picture).name, []).append(tile.label)
    return found


def test_copies_in_one_class_count_once(tmp_path: Path) -> None:
    first = save(tmp_path / "intact" / "a.png", 100)
    shutil.copy(first, first.with_name("copy of a.png"))
    save(tmp_path / "intact" / "other.png", 101)
    assert labels_of(tmp_path) == {"a.png": [0, 0], "other.png": [0, 0]}
    assert find_sources(tmp_path).repeated == 1


def test_copy_in_the_other_class_is_refused_with_both_names(tmp_path: Path) -> None:
    first, second = save(tmp_path / "crack" / "a.png", 100), tmp_path / "intact" / "b.png"
    second.parent.mkdir()
    shutil.copy(first, second)
    with pytest.raises(UserError) as caught:
        find_sources(tmp_path)
    assert str(first) in caught.value.problem
    assert str(second) in caught.value.problem


def test_outlines_of_one_picture_in_two_files_are_joined(tmp_path: Path) -> None:
    save(tmp_path / "wall.png", 100)
    outlined(tmp_path, "wall.png", "first", LEFT)
    outlined(tmp_path, "wall.png", "second", RIGHT)
    assert labels_of(tmp_path) == {"wall.png": [1, 1]}
    assert find_sources(tmp_path).repeated == 0
    outlined(tmp_path, "wall.png", "second", RIGHT, width=500)
    with pytest.raises(UserError, match="512x256 px and 500x256 px"):
        find_sources(tmp_path)


def test_outlines_take_precedence_over_the_folder_that_agrees(tmp_path: Path) -> None:
    save(tmp_path / "crack" / "wall.png", 100)
    outlined(tmp_path / "crack", "wall.png", "wall", RIGHT)
    assert labels_of(tmp_path) == {"wall.png": [0, 1]}


@pytest.mark.parametrize(("folder", "shapes"), [("crack", ()), ("intact", (RIGHT,))])
def test_outlines_that_contradict_the_folder_are_refused(
    tmp_path: Path, folder: str, shapes: tuple[dict[str, Any], ...]
) -> None:
    picture = save(tmp_path / folder / "wall.png", 100)
    outlined(tmp_path / folder, "wall.png", "wall", *shapes)
    with pytest.raises(UserError) as caught:
        find_sources(tmp_path)
    assert str(picture) in caught.value.problem


def test_empty_files_are_no_copies_and_named_when_they_are_read(tmp_path: Path) -> None:
    for label in ("crack", "intact"):
        (tmp_path / label).mkdir()
        (tmp_path / label / "a.png").touch()
    with pytest.raises(UserError, match="the file is empty"):
        labels_of(tmp_path)
