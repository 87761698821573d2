# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Labelled tiles are found by the names of folders, or by outlines in COCO and labelme files."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from crack_perception.errors import UserError
from crack_perception.training.adaptation.annotations import BOX, LINE, RING, Outline, tile_labels
from crack_perception.training.adaptation.labelled_tiles import (
    LabelledTile,
    find_sources,
    photograph_of,
    read_tiles,
)
from crack_perception.vision.tiling import plan_tiles

TILE_PX = 256


def save(path: Path, width: int = 256, height: int = 256, level: int = 170) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), np.full((height, width, 3), level, np.uint8))
    return path


def read(folder: Path, crack_label: str | None = None) -> list[LabelledTile]:
    return list(read_tiles(find_sources(folder, crack_label), TILE_PX))


def labels_of(folder: Path, crack_label: str | None = None) -> dict[str, list[int]]:
    """Labels of the tiles by file name of their picture."""
    found: dict[str, list[int]] = {}
    for tile in read(folder, crack_label):
        found.setdefault(Path(tile.picture).name, []).append(tile.label)
    return found


@pytest.mark.parametrize(
    ("crack", "intact"),
    [("crack", "intact"), ("Positive", "Negative"), ("cracked", "non-cracked"), ("CD", "UD"), ("1", "0")],
)
def test_folders_give_labels_by_usual_names(tmp_path: Path, crack: str, intact: str) -> None:
    save(tmp_path / crack / "a.png")
    save(tmp_path / intact / "b.jpg")
    assert labels_of(tmp_path) == {"a.png": [1], "b.jpg": [0]}


def test_folders_of_classes_may_lie_anywhere_and_hold_folders_of_photographs(tmp_path: Path) -> None:
    save(tmp_path / "train" / "crack" / "IMG_7" / "a.png")
    save(tmp_path / "train" / "intact" / "IMG_7" / "b.png", level=160)
    save(tmp_path / "val" / "intact" / "IMG_8_x0_y256.png", level=150)
    assert sorted((tile.label, tile.group) for tile in read(tmp_path)) == [(0, "IMG_7"), (0, "IMG_8"), (1, "IMG_7")]


def test_pictures_outside_of_classes_are_counted_as_unlabelled(tmp_path: Path) -> None:
    save(tmp_path / "crack" / "a.png")
    save(tmp_path / "00000000000000000007_x0_y0.png")
    save(tmp_path / ".hidden" / "crack" / "b.png")
    sources = find_sources(tmp_path)
    assert (len(sources.pictures), sources.unlabelled) == (1, 1)


@pytest.mark.parametrize(
    ("stem", "photograph"),
    [
        ("00000000000000000007_x0_y512", "00000000000000000007"),
        ("wall-X12-Y7", "wall"),
        ("DJI_0042_tile_3", "DJI_0042"),
        ("north_crop_2_5", "north"),
        ("7069-101", "7069"),
        ("IMG_0001", "IMG_0001"),
        ("DJI_20260101_0002", "DJI_20260101_0002"),
    ],
)
def test_photograph_is_the_name_without_the_place_of_the_tile(stem: str, photograph: str) -> None:
    assert photograph_of(stem) == photograph


def test_small_pictures_are_padded_and_large_ones_cut(tmp_path: Path) -> None:
    save(tmp_path / "intact" / "small.png", 100, 80)
    save(tmp_path / "intact" / "large.png", 600, 256)
    save(tmp_path / "crack" / "photograph.png", 600, 300)
    tiles = read(tmp_path)
    assert all(tile.pixels.shape == (TILE_PX, TILE_PX, 3) for tile in tiles)
    assert labels_of(tmp_path) == {"small.png": [0], "large.png": [0] * 3, "photograph.png": [1] * 6}
    assert {Path(tile.picture).name for tile in tiles if tile.is_candidate} == {"photograph.png"}


def test_folder_without_labels_names_what_it_should_hold(tmp_path: Path) -> None:
    save(tmp_path / "a.png")
    with pytest.raises(UserError) as caught:
        find_sources(tmp_path)
    assert "crack and intact" in caught.value.remedy
    with pytest.raises(UserError, match="not a folder"):
        find_sources(tmp_path / "nowhere")


def test_unreadable_picture_is_named(tmp_path: Path) -> None:
    (tmp_path / "crack").mkdir()
    (tmp_path / "crack" / "broken.png").write_bytes(b"\x89PNG nothing")
    with pytest.raises(UserError, match=r"broken\.png"):
        read(tmp_path)


def test_all_unreadable_pictures_are_named_at_once(tmp_path: Path) -> None:
    save(tmp_path / "intact" / "whole.png")
    (tmp_path / "crack").mkdir()
    for number in range(12):
        (tmp_path / "crack" / f"broken_{number:02d}.png").write_bytes(b"\x89PNG nothing" + bytes([number]))
    tiles = read_tiles(find_sources(tmp_path), TILE_PX)
    assert next(tiles).label == 0
    with pytest.raises(UserError) as raised:
        list(tiles)
    text = str(raised.value)
    assert "12 pictures" in text and "broken_00.png" in text and "broken_09.png" in text
    assert "broken_10.png" not in text and "and 2 more" in text


def coco(folder: Path, **changes: Any) -> Path:
    """A picture of two by one tiles with a crack through the left one, and an intact picture."""
    save(folder / "images" / "wall.png", 512, 256)
    save(folder / "images" / "clean.png", 256, 256)
    content = {
        "images": [
            {"id": 1, "file_name": "wall.png", "width": 512, "height": 256},
            {"id": 2, "file_name": "clean.png", "width": 256, "height": 256},
        ],
        "categories": [{"id": 0, "name": "surface"}, {"id": 3, "name": "Crack"}, {"id": 4, "name": "spalling"}],
        "annotations": [
            {"image_id": 1, "category_id": 3, "segmentation": [[20, 100, 200, 104, 200, 108, 20, 104]]},
            {"image_id": 1, "category_id": 4, "bbox": [300, 10, 100, 100], "segmentation": []},
        ],
        **changes,
    }
    path = folder / "annotations" / "instances.json"
    path.parent.mkdir()
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


def test_coco_outlines_label_tiles_and_other_defects_are_no_cracks(tmp_path: Path) -> None:
    coco(tmp_path)
    assert labels_of(tmp_path) == {"wall.png": [1, 0], "clean.png": [0]}


def test_coco_run_length_mask_labels_tiles_by_its_pixels(tmp_path: Path) -> None:
    # A diagonal crack, whose box covers both tiles, is drawn in the left one only and just reaches into the right one.
    runs = pytest.importorskip("pycocotools.mask", reason="pycocotools is not installed: run scripts/setup")
    mask = np.zeros((256, 512), np.uint8)
    cv2.line(mask, (10, 10), (240, 240), 1, 3)
    cv2.line(mask, (240, 240), (300, 246), 1, 3)
    packed = runs.encode(np.asfortranarray(mask))
    entry = {
        "image_id": 1,
        "category_id": 3,
        "bbox": [9, 9, 293, 240],
        "segmentation": {"size": packed["size"], "counts": packed["counts"].decode()},
        "iscrowd": 1,
    }
    coco(tmp_path, annotations=[entry])
    assert labels_of(tmp_path) == {"wall.png": [1], "clean.png": [0]}


def test_coco_category_of_cracks_can_be_named(tmp_path: Path) -> None:
    coco(tmp_path)
    assert labels_of(tmp_path, "spalling") == {"wall.png": [0, 1], "clean.png": [0]}
    with pytest.raises(UserError, match="no category is named 'fissure'") as caught:
        find_sources(tmp_path, "fissure")
    assert "--crack-label" in caught.value.remedy


def test_coco_with_several_other_categories_asks_for_the_one_of_cracks(tmp_path: Path) -> None:
    coco(tmp_path, categories=[{"id": 3, "name": "fissure"}, {"id": 4, "name": "no-crack"}])
    with pytest.raises(UserError, match="fissure"):
        find_sources(tmp_path)


def test_coco_with_one_category_needs_no_name(tmp_path: Path) -> None:
    annotations = [{"image_id": 1, "category_id": 3, "bbox": [260, 20, 200, 200]}]
    coco(tmp_path, categories=[{"id": 3, "name": "fissure"}], annotations=annotations)
    # The left tile is too near to the crack to be intact.
    assert labels_of(tmp_path) == {"wall.png": [1], "clean.png": [0]}


def test_annotation_of_another_size_is_refused(tmp_path: Path) -> None:
    coco(tmp_path, images=[{"id": 1, "file_name": "wall.png", "width": 256, "height": 512}])
    with pytest.raises(UserError, match=r"wall\.png: has 512x256 px"):
        read(tmp_path)


@pytest.mark.parametrize(
    "changes",
    [
        {"annotations": [{"image_id": 1, "category_id": 3}]},
        {"annotations": [{"image_id": 1, "category_id": 99, "bbox": [0, 0, 1, 1]}]},
        {"annotations": [{"image_id": 1, "category_id": 3, "segmentation": [[1, 2, 3]]}]},
        {"annotations": [{"image_id": 1, "category_id": 3, "bbox": [0, 0, float("nan"), 1]}]},
        {"annotations": ["crack"]},
        {"images": [{"id": 1}]},
    ],
)
def test_malformed_annotation_names_the_file(tmp_path: Path, changes: dict[str, Any]) -> None:
    path = coco(tmp_path, **changes)
    with pytest.raises(UserError) as caught:
        find_sources(tmp_path)
    assert str(path) in caught.value.problem


def test_missing_picture_of_an_annotation_is_named(tmp_path: Path) -> None:
    coco(tmp_path, images=[{"id": 1, "file_name": "gone.png"}])
    with pytest.raises(UserError, match=r"gone\.png"):
        find_sources(tmp_path)


def labelme(folder: Path, shapes: list[dict[str, Any]], name: str = "wall") -> None:
    save(folder / f"{name}.png", 512, 256, level=sum(name.encode()) % 256)
    content = {"imagePath": f"{name}.png", "imageWidth": 512, "imageHeight": 256, "shapes": shapes}
    (folder / f"{name}.json").write_text(json.dumps(content), encoding="utf-8")


def test_labelme_mask_labels_the_tiles_of_its_pixels_only(tmp_path: Path) -> None:
    """Of a mask, the points are only the corners of its box: here the crack runs along two of its sides."""
    mask = np.zeros((241, 501), np.uint8)
    mask[:, 2:4] = mask[238:240, :] = 255
    packed = base64.b64encode(cv2.imencode(".png", mask)[1].tobytes()).decode()
    shape = {"label": "crack", "shape_type": "mask", "points": [[5.0, 6.0], [505.0, 246.0]], "mask": packed}
    labelme(tmp_path, [shape])
    assert labels_of(tmp_path)["wall.png"] == [1, 1]
    mask[:] = 0
    mask[:, 2:4] = 255
    shape["mask"] = base64.b64encode(cv2.imencode(".png", mask)[1].tobytes()).decode()
    labelme(tmp_path, [shape])
    assert labels_of(tmp_path)["wall.png"] == [1, 0]
    labelme(tmp_path, [shape | {"mask": "AAAA"}])
    with pytest.raises(UserError, match="no PNG picture"):
        read(tmp_path)


def test_labelme_lines_and_boxes_label_tiles(tmp_path: Path) -> None:
    labelme(tmp_path, [{"label": "crack", "shape_type": "linestrip", "points": [[300, 10], [400, 200], [500, 230]]}])
    labelme(tmp_path, [{"label": "crack", "shape_type": "rectangle", "points": [[10, 10], [200, 30]]}], "deck")
    labelme(tmp_path, [{"label": "joint", "shape_type": "rectangle", "points": [[10, 10], [200, 30]]}], "joint")
    labelme(tmp_path, [], "clean")
    assert labels_of(tmp_path) == {"wall.png": [0, 1], "deck.png": [1, 0], "joint.png": [0, 0], "clean.png": [0, 0]}
    assert find_sources(tmp_path).unlabelled == 0


def test_other_json_files_are_ignored(tmp_path: Path) -> None:
    save(tmp_path / "crack" / "a.png")
    (tmp_path / "detections.json").write_text("[1, 2]", encoding="utf-8")
    (tmp_path / "settings.json").write_text("{}", encoding="utf-8")
    assert labels_of(tmp_path) == {"a.png": [1]}


def test_broken_json_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text("{", encoding="utf-8")
    with pytest.raises(UserError, match=r"a\.json"):
        find_sources(tmp_path)


def test_annotation_of_a_picture_that_is_not_listed_is_refused(tmp_path: Path) -> None:
    """Otherwise the cracks of this picture would be lost, and its tiles intact."""
    path = coco(tmp_path, annotations=[{"image_id": "1", "category_id": 3, "bbox": [10, 10, 200, 100]}])
    with pytest.raises(UserError, match="'1', which is not listed") as caught:
        find_sources(tmp_path)
    assert str(path) in caught.value.problem


def test_two_pictures_of_one_id_are_refused(tmp_path: Path) -> None:
    coco(tmp_path, images=[{"id": 1, "file_name": "wall.png"}, {"id": 1, "file_name": "clean.png"}])
    with pytest.raises(UserError, match="two pictures have one id"):
        find_sources(tmp_path)


@pytest.mark.parametrize(("label", "words"), [(None, "named like a crack"), ("Ris", "named 'Ris'")])
def test_labelme_without_a_name_of_cracks_asks_for_it(tmp_path: Path, label: str | None, words: str) -> None:
    labelme(tmp_path, [{"label": "Riss", "shape_type": "linestrip", "points": [[300, 10], [500, 230]]}])
    labelme(tmp_path, [{"label": "Fuge", "shape_type": "linestrip", "points": [[10, 10], [200, 230]]}], "joint")
    save(tmp_path / "crack" / "a.png", level=90)
    with pytest.raises(UserError, match=f"{words}; the names are Fuge, Riss") as caught:
        find_sources(tmp_path, label)
    assert "--crack-label" in caught.value.remedy
    assert labels_of(tmp_path, "Riss")["wall.png"] == [0, 1]
    assert find_sources(tmp_path, "Riss").intact_names == ("Fuge",)


def test_only_category_that_denies_cracks_is_none(tmp_path: Path) -> None:
    coco(
        tmp_path,
        categories=[{"id": 3, "name": "no crack"}],
        annotations=[{"image_id": 1, "category_id": 3, "bbox": [260, 20, 200, 200]}],
    )
    with pytest.raises(UserError, match="no category name contains 'crack'; it has no crack"):
        find_sources(tmp_path)


def test_file_that_begins_with_a_byte_order_mark_is_read(tmp_path: Path) -> None:
    path = coco(tmp_path)
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert labels_of(tmp_path) == {"wall.png": [1, 0], "clean.png": [0]}


def test_linked_folders_are_read_once(tmp_path: Path) -> None:
    save(tmp_path / "elsewhere" / "a.png")
    (tmp_path / "tiles").mkdir()
    for name in ("crack", "cracks"):
        (tmp_path / "tiles" / name).symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere" / "loop").symlink_to(tmp_path / "tiles")
    assert labels_of(tmp_path / "tiles") == {"a.png": [1]}


def outline(kind: str, *points: tuple[float, float]) -> tuple[Outline, ...]:
    return (Outline(np.array(points, np.float64), kind),)


@pytest.mark.parametrize(
    ("cracks", "expected"),
    [
        ((), [0, 0]),
        (outline(LINE, (10, 10), (200, 200)), [1, 0]),
        # Through both tiles, and only just into the right one.
        (outline(LINE, (100, 100), (400, 100)), [1, 1]),
        (outline(LINE, (20, 100), (276, 100)), [1, -1]),
        # Near the edge of the right tile, but not in it.
        (outline(LINE, (20, 100), (250, 100)), [1, -1]),
        # A short crack counts where half of it is.
        (outline(LINE, (30, 30), (50, 40)), [1, 0]),
        (outline(RING, (300, 50), (400, 60), (400, 64), (300, 54)), [0, 1]),
        # The centre of a box is in the left tile; its right part may show nothing.
        (outline(BOX, (20, 20), (300, 200)), [1, -1]),
        (outline(BOX, (110, 20), (402, 200)), [-1, 1]),
    ],
)
def test_tile_is_a_crack_tile_where_enough_of_the_crack_is(cracks: tuple[Outline, ...], expected: list[int]) -> None:
    assert tile_labels(plan_tiles(512, 256, TILE_PX), cracks).tolist() == expected
