# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Manifests, their checks, the validation split and decoded tiles."""

from __future__ import annotations

import csv
from pathlib import Path

import cv2
import numpy as np
import pytest

from crack_perception.errors import UserError
from crack_perception.training.data.manifest import Row, read_manifest
from crack_perception.training.data.rows import check_rows, load_tiles, trainable_rows, validation_groups
from crack_perception.vision.images.encodings import encode_jpeg
from crack_perception.vision.tiling import pad_to_tile

COLUMNS = ("path", "source", "split", "label", "role", "surface", "group_id")


def row(path: str, label: str = "none", group: str = "photo:1", **changes: str) -> Row:
    values = {"source": "sdnet2018", "surface": "wall", "split": "train", "role": "ship", **changes}
    return Row(path=path, label=label, group_id=group, **values)


def write_image(path: Path, size_px: int, level: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    image = np.full((size_px, size_px, 3), level, np.uint8)
    image[:, -1] = 0
    cv2.imwrite(str(path), image)


@pytest.fixture
def two_images(tmp_path: Path) -> list[Row]:
    write_image(tmp_path / "crack.png", 256, 90)
    write_image(tmp_path / "none.png", 227, 200)
    return [row("crack.png", "crack"), row("none.png", "none", "photo:2")]


def test_read_manifest_returns_columns(tmp_path: Path) -> None:
    with (tmp_path / "manifest.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow([*COLUMNS, "notes"])
        writer.writerow(["a.png", "metu", "test", "crack", "ship", "wall", "metu:3", "anything"])
    (only,) = read_manifest(tmp_path)
    assert (only.stratum, only.split, only.group_id, only.mask_path) == ("metu/wall", "test", "metu:3", "")


def test_read_manifest_missing_column_raises(tmp_path: Path) -> None:
    (tmp_path / "manifest.csv").write_text("path,label\na.png,crack\n", encoding="utf-8")
    with pytest.raises(UserError, match="group_id"):
        read_manifest(tmp_path)


def test_read_manifest_missing_file_raises(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"manifest\.csv does not exist"):
        read_manifest(tmp_path)


def test_trainable_rows_returns_licensed_train_tiles() -> None:
    kept = row("a.png")
    others = [row("b.png", split="test"), row("c.png", role="evaluate"), row("d.png", source="sdnet2018_mosaics")]
    assert trainable_rows([kept, *others]) == [kept]


def test_check_rows_valid_rows_pass(tmp_path: Path, two_images: list[Row]) -> None:
    check_rows(two_images, tmp_path)


def test_check_rows_lists_all_problems(tmp_path: Path, two_images: list[Row]) -> None:
    bad = [row("gone.png", "crack"), row("none.png", "spalling"), row("none.png", "none", "photo:1", split="test")]
    with pytest.raises(UserError) as caught:
        check_rows([*two_images, *bad], tmp_path)
    for problem in ("gone.png: no such file", "'spalling'", "photo:1: photograph in test and train"):
        assert problem in str(caught.value)


def test_check_rows_empty_class_raises(tmp_path: Path, two_images: list[Row]) -> None:
    with pytest.raises(UserError, match="no train row is labelled crack"):
        check_rows(two_images[1:], tmp_path)


def test_validation_groups_takes_share_of_every_surface() -> None:
    rows = [
        row(f"{s}{g}{t}", "none", f"sdnet:{s}{g}", surface=s) for s in ("wall", "deck") for g in range(20) for t in "ab"
    ]
    rows += [row(f"hard{g}", "none", f"sdnet:wall{g}", source="sdnet2018_hardneg") for g in range(20)]
    chosen = validation_groups(rows, 0.12, seed=1)
    assert sum(name.startswith("sdnet:wall") for name in chosen) == 3
    assert sum(name.startswith("sdnet:deck") for name in chosen) == 3
    assert chosen == validation_groups(rows, 0.12, seed=1)
    assert chosen != validation_groups(rows, 0.12, seed=2)


def test_load_tiles_pads_small_images_and_caches(tmp_path: Path, two_images: list[Row]) -> None:
    cache = tmp_path / "cache"
    tiles = load_tiles(two_images, tmp_path, cache)
    assert tiles.shape == (2, 256, 256, 3)
    small = np.asarray(cv2.imread(str(tmp_path / "none.png")), np.uint8)
    np.testing.assert_array_equal(tiles[1], pad_to_tile(small, 256))
    (tmp_path / "none.png").unlink()
    np.testing.assert_array_equal(load_tiles(two_images, tmp_path, cache), tiles)


def test_load_tiles_damaged_images_raise(tmp_path: Path, two_images: list[Row]) -> None:
    (tmp_path / "broken.png").write_bytes(b"not an image")
    noise = np.random.default_rng(0).integers(0, 255, (256, 256, 3), dtype=np.uint8)
    whole = encode_jpeg(noise, 90).tobytes()
    (tmp_path / "short.jpg").write_bytes(whole[: len(whole) // 2] + b"\xff\xd9")
    with pytest.raises(UserError, match=r"(?s)broken\.png: is not a picture.*short\.jpg: is a damaged JPEG"):
        load_tiles([*two_images, row("broken.png"), row("short.jpg")], tmp_path, tmp_path / "cache")
    assert not list((tmp_path / "cache").glob("*.npy"))
