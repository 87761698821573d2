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


GOOD = ["a.png", "metu", "test", "crack", "ship", "wall", "metu:3"]


def write_manifest(folder: Path, *rows: list[str], encoding: str = "utf-8") -> None:
    text = "\n".join(",".join(each) for each in (list(COLUMNS), *rows))
    (folder / "manifest.csv").write_bytes(text.encode(encoding))


def test_read_manifest_with_a_byte_order_mark_is_read(tmp_path: Path) -> None:
    write_manifest(tmp_path, GOOD, encoding="utf-8-sig")
    assert [each.path for each in read_manifest(tmp_path)] == ["a.png"]


@pytest.mark.parametrize("encoding", ["utf-16", "latin-1"])
def test_read_manifest_in_another_encoding_is_refused(tmp_path: Path, encoding: str) -> None:
    write_manifest(tmp_path, [*GOOD[:5], "wände", "g"], encoding=encoding)
    with pytest.raises(UserError, match="no CSV file in UTF-8"):
        read_manifest(tmp_path)


@pytest.mark.parametrize("cell", ["wa\0ll", "w" * 200_000])
def test_read_manifest_with_a_cell_that_is_no_text_is_refused_in_words(tmp_path: Path, cell: str) -> None:
    write_manifest(tmp_path, [*GOOD[:2], cell, *GOOD[3:]])
    with pytest.raises(UserError, match=r"no CSV file|unknown split"):
        read_manifest(tmp_path)


@pytest.mark.parametrize(
    ("row_", "words"),
    [
        (["b.png", "metu", "Test", "crack", "ship", "wall", "g"], "line 3, b.png: unknown split 'Test'"),
        (["b.png", "metu", "test", "Crack", "ship", "wall", "g"], "unknown label 'Crack', not crack or none"),
        (["b.png", "metu", "test", "other_defect", "ship", "wall", "g"], "unknown label 'other_defect'"),
        (["b.png", "metu", "test", "crack", "Ship", "wall", "g"], "unknown role 'Ship'"),
        (["b.png", "metu", "test", "crack", "ship", "wall", ""], "empty group_id"),
        (["b.png", "metu", "test", "crack", "ship", "wall"], "empty group_id"),
        (["b.png", "metu", "test", "crack", "ship", "wall", "g", "h"], "more cells than columns"),
        (["a.png", "metu", "test", "none", "ship", "wall", "g"], "line 3, a.png: the image of line 2 once more"),
    ],
)
def test_read_manifest_row_that_would_be_left_out_is_named(tmp_path: Path, row_: list[str], words: str) -> None:
    write_manifest(tmp_path, GOOD, row_)
    with pytest.raises(UserError) as caught:
        read_manifest(tmp_path)
    assert words in caught.value.problem


@pytest.mark.parametrize("width", ["wide", "nan", "-1"])
def test_read_manifest_width_that_is_none_is_named(tmp_path: Path, width: str) -> None:
    text = f"{','.join(COLUMNS)},width_px_mean\n{','.join(GOOD)},{width}\n"
    (tmp_path / "manifest.csv").write_text(text, encoding="utf-8")
    with pytest.raises(UserError, match=f"width_px_mean '{width}' is no width"):
        read_manifest(tmp_path)


def test_load_tiles_of_changed_or_other_files_are_decoded_again(tmp_path: Path, two_images: list[Row]) -> None:
    cache = tmp_path / "cache"
    before = load_tiles(two_images, tmp_path, cache)
    other = tmp_path / "other"
    for each in two_images:
        write_image(other / each.path, 256, 30)
    assert int(load_tiles(two_images, other, cache)[0, 0, 0, 0]) == 30
    write_image(tmp_path / "crack.png", 128, 60)
    assert int(before[0, 0, 0, 0]) == 90
    assert int(load_tiles(two_images, tmp_path, cache)[0, 0, 0, 0]) == 60


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
    (array,) = cache.iterdir()
    written_ns = array.stat().st_mtime_ns
    np.testing.assert_array_equal(load_tiles(two_images, tmp_path, cache), tiles)
    assert [each.stat().st_mtime_ns for each in cache.iterdir()] == [written_ns]


def test_load_tiles_damaged_images_raise(tmp_path: Path, two_images: list[Row]) -> None:
    (tmp_path / "broken.png").write_bytes(b"not an image")
    noise = np.random.default_rng(0).integers(0, 255, (256, 256, 3), dtype=np.uint8)
    whole = encode_jpeg(noise, 90).tobytes()
    (tmp_path / "short.jpg").write_bytes(whole[: len(whole) // 2] + b"\xff\xd9")
    with pytest.raises(UserError, match=r"(?s)broken\.png: is not a picture.*short\.jpg: is a damaged JPEG"):
        load_tiles([*two_images, row("broken.png"), row("short.jpg")], tmp_path, tmp_path / "cache")
    assert not list((tmp_path / "cache").glob("*.npy"))
