# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Evaluation against boxes, masks and lines from outside, with hand-calculated results."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from evaluation_scenes import mapped

from crack_perception.errors import UserError
from crack_perception.evaluation.metrics.detections import FrameDetections, PublishedRegion
from crack_perception.evaluation.metrics.map_accuracy import measure_map_lines
from crack_perception.evaluation.metrics.marked_pictures import measure_marked, read_coco, read_masks
from crack_perception.evaluation.metrics.true_line_file import read_true_lines
from crack_perception.vision.regions import OrientedBox

STAMPS = [1_700_000_000_000_000_000 + 100_000_000 * index for index in range(4)]


def region(x: float, y: float, length: float, width: float, angle_rad: float = 0.0) -> PublishedRegion:
    return PublishedRegion(OrientedBox(np.array([x, y]), length, width, angle_rad), 0.9, "fine")


def coco(*images: tuple[str, list[list[float]]]) -> dict[str, Any]:
    return {
        "images": [{"id": number, "file_name": name} for number, (name, _) in enumerate(images)],
        "annotations": [
            {"image_id": number, "bbox": box, "category_id": 1}
            for number, (_, boxes) in enumerate(images)
            for box in boxes
        ],
    }


def test_coco_boxes_are_found_missed_and_false(tmp_path: Path) -> None:
    marked = read_coco(tmp_path, coco(("frame_0001.png", [[100, 100, 100, 100], [400, 400, 50, 50]]), ("2.png", [])))
    frames = [
        # Half of the first box; nothing of the second; one region far from both.
        FrameDetections(STAMPS[1], (region(125, 150, 100, 50, np.pi / 2), region(700, 700, 60, 60))),
        FrameDetections(STAMPS[2], (region(50, 50, 20, 20),)),
        FrameDetections(STAMPS[3], (region(50, 50, 20, 20),)),
    ]
    accuracy = measure_marked(marked, STAMPS, frames)
    assert accuracy is not None
    assert accuracy.figures["crack_recall"] == 0.5 and accuracy.figures["cracks_found"] == {"n": 2, "found": 1}
    assert accuracy.figures["frames_judged"] == 2, "the last frame was not marked"
    assert accuracy.figures["false_regions_per_frame"] == 1.0
    assert [score.on_crack for score in accuracy.frames] == [(True, False), (False,)]


def test_coco_diagonal_region_finds_its_upright_box(tmp_path: Path) -> None:
    marked = read_coco(tmp_path, coco(("0.png", [[0, 0, 400, 400]])))
    accuracy = measure_marked(marked, STAMPS, [FrameDetections(STAMPS[0], (region(200, 200, 500, 40, np.pi / 4),))])
    assert accuracy is not None and accuracy.figures["crack_recall"] == 1.0


@pytest.mark.parametrize(
    "name", ["1700000000.200000000.png", "frame_1700000000.2.jpg", "1700000000200000000.png", "img-2.png"]
)
def test_coco_pictures_are_found_by_stamp_or_number(tmp_path: Path, name: str) -> None:
    marked = read_coco(tmp_path, coco((name, [[0, 0, 10, 10]])))
    assert list(marked.by_stamp(STAMPS)) == [STAMPS[2]]


def test_coco_other_defects_are_no_cracks(tmp_path: Path) -> None:
    document = coco(("0.png", [[0, 0, 10, 10], [50, 50, 10, 10]]))
    document["annotations"][1]["category_id"] = 2
    document["categories"] = [{"id": 1, "name": "Crack"}, {"id": 2, "name": "spalling"}]
    assert read_coco(tmp_path, document).pictures[0].boxes.tolist() == [[0, 0, 10, 10]]
    document["categories"][0]["name"] = "rust"
    with pytest.raises(UserError, match="it has rust, spalling"):
        read_coco(tmp_path, document)


def test_pictures_marked_in_another_size_are_refused(tmp_path: Path) -> None:
    document = coco(("0.png", [[0, 0, 10, 10]]), ("1.png", []))
    document["images"][0] |= {"width": 640, "height": 480}
    cv2.imwrite(str(tmp_path / "0.png"), np.zeros((480, 640), np.uint8))
    for marked in (read_coco(tmp_path, document), read_masks(tmp_path)):
        marked.check_size((640, 480), tmp_path)
        with pytest.raises(UserError, match=r"640x480 px, the images of the recording have 1280x960 px"):
            marked.check_size((1280, 960), tmp_path)


def test_masks_count_marked_pixels(tmp_path: Path) -> None:
    mask = np.zeros((300, 400), np.uint8)
    mask[100:102, 0:400] = 255
    cv2.imwrite(str(tmp_path / "0000.png"), mask)
    cv2.imwrite(str(tmp_path / "0001.png"), np.zeros((300, 400), np.uint8))
    frames = [
        FrameDetections(STAMPS[0], (region(99.5, 100, 200, 40), region(200, 250, 40, 40))),
        FrameDetections(STAMPS[1], (region(99.5, 100, 200, 40),)),
    ]
    accuracy = measure_marked(read_masks(tmp_path), STAMPS, frames)
    assert accuracy is not None
    assert accuracy.figures["crack_recall"] == pytest.approx(0.5, abs=0.01)
    assert [score.false_regions for score in accuracy.frames] == [1, 1]


def test_marked_pictures_of_another_recording_give_no_accuracy(tmp_path: Path) -> None:
    marked = read_coco(tmp_path, coco(("1800000000.0.png", [[0, 0, 10, 10]])))
    assert measure_marked(marked, STAMPS, [FrameDetections(STAMPS[0], ())]) is None


@pytest.mark.parametrize(
    "document",
    [
        {"images": [], "annotations": []},
        {"images": [{"id": 0, "file_name": "no number.png"}], "annotations": []},
        {"images": [{"id": 0, "file_name": "0.png"}], "annotations": [{"image_id": 7, "bbox": [0, 0, 1, 1]}]},
        {"images": [{"id": 0, "file_name": "0.png"}], "annotations": [{"image_id": 0, "bbox": [0, 0, -1, 1]}]},
        {"images": 3, "annotations": []},
        {"images": [3], "annotations": []},
        {"images": [{"id": 0, "file_name": "0.png"}], "annotations": [], "categories": [7]},
    ],
)
def test_coco_wrong_document_names_the_file(tmp_path: Path, document: dict[str, Any]) -> None:
    with pytest.raises(UserError, match=r"coco\.json"):
        read_coco(tmp_path / "coco.json", document)


def test_masks_that_are_none_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no masks"):
        read_masks(tmp_path)
    (tmp_path / "0.png").write_bytes(b"nothing")
    with pytest.raises(UserError, match="no mask"):
        read_masks(tmp_path)


def lines(*features: tuple[list[list[float]], Any]) -> dict[str, Any]:
    return {
        "type": "FeatureCollection",
        "features": [
            {"geometry": {"type": "LineString", "coordinates": line}, "properties": {"width_mm": width}}
            for line, width in features
        ],
    }


def test_true_lines_in_the_inspected_part_count(tmp_path: Path) -> None:
    true = read_true_lines(
        tmp_path,
        lines(([[-0.5, 0, 0], [0.5, 0, 0]], 8.0), ([[-0.5, 0.3, 0], [0.5, 0.3, 0]], None), ([[5, 0, 0], [6, 0, 0]], 1)),
    )
    footprint = np.array([[-1.0, -1, 0], [1, -1, 0], [1, 1, 0], [-1, 1, 0]])
    cracks = [mapped((-0.5, y), (0.5, y), z_m=0.0) for y in (0.0, -0.8)]
    figures = measure_map_lines(cracks, true, [footprint], []).figures
    assert figures["visible_length_m"] == pytest.approx(2.0)
    assert figures["recall"] == pytest.approx(0.5, abs=0.01)
    assert figures["width_mae_mm"] == pytest.approx(0.0, abs=1e-9)
    assert figures["false_objects"] is None, "cracks that are not listed may exist"
    # The own map as truth is found completely.
    assert measure_map_lines(cracks, true[:1], [footprint], []).figures["recall"] == pytest.approx(1.0)


@pytest.mark.parametrize(
    "document",
    [
        {"features": []},
        lines(([[0, 0], [1, 1]], 1.0)),
        lines(([[0, 0, 0]], 1.0)),
        lines(([[0, 0, float("nan")], [1, 1, 1]], 1.0)),
        {"features": 1},
    ],
)
def test_true_lines_wrong_document_names_the_file(tmp_path: Path, document: dict[str, Any]) -> None:
    with pytest.raises(UserError, match=r"lines\.geojson"):
        read_true_lines(tmp_path / "lines.geojson", json.loads(json.dumps(document)))
