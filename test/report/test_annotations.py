# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""COCO and labelme files of the photographs: their lines lie on the dark pixels of the pictures."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from crack_perception.mapping.evidence.photograph import PhotographedLine
from crack_perception.report.contents import Survey
from crack_perception.report.formats.annotations import outline, write_coco, write_labelme, write_photographs
from crack_perception.report.georeference import Georeference


def test_coco_polygons_cover_the_crack_in_the_picture(tmp_path: Path, survey: Survey, local: Georeference) -> None:
    write_coco(tmp_path / "coco.json", survey, local)
    collection = json.loads((tmp_path / "coco.json").read_text(encoding="utf-8"))
    images = {image["id"]: image for image in collection["images"]}
    assert sorted(image["file_name"] for image in images.values()) == sorted(
        photograph.file for _, photograph in survey.photographs()
    )
    assert len(collection["annotations"]) == len(images)
    for annotation in collection["annotations"]:
        image = images[annotation["image_id"]]
        picture = cv2.imread(str(survey.photograph_folder / image["file_name"]), cv2.IMREAD_GRAYSCALE)
        assert picture.shape == (image["height"], image["width"])
        polygon = np.array(annotation["segmentation"][0]).reshape(-1, 2)
        mask = np.zeros(picture.shape, np.uint8)
        cv2.fillPoly(mask, [np.round(polygon - 0.5).astype(np.int32)], 1)
        assert picture[mask > 0].mean() < picture[mask == 0].mean() - 30
        left, top, width, height = annotation["bbox"]
        assert polygon.min(axis=0) == pytest.approx([left, top])
        assert polygon.max(axis=0) == pytest.approx([left + width, top + height], abs=0.011)
        assert 0 < annotation["area"] <= width * height


def test_outline_is_as_wide_as_the_crack() -> None:
    line = PhotographedLine(
        np.array([[10.0, 50.0], [30.0, 50.0], [50.0, 50.0]]), np.array([2.0, np.nan, 4.0]), np.full(3, 0.1)
    )
    polygon = outline(line, 0.5, (100, 100))
    np.testing.assert_allclose(polygon[:3, 1] - polygon[:2:-1, 1], [4.0, 1.0, 8.0])


def test_outline_stays_inside_the_photograph() -> None:
    line = PhotographedLine(np.array([[-0.5, 0.0], [99.5, 0.0]]), np.array([8.0, 8.0]), np.full(2, 0.1))
    polygon = outline(line, 0.5, (100, 80))
    assert polygon.min() >= 0 and polygon[:, 0].max() <= 100


def test_labelme_files_stand_beside_their_photographs(tmp_path: Path, survey: Survey, local: Georeference) -> None:
    write_labelme(tmp_path / "photographs", survey, local)
    for crack, photograph in survey.photographs():
        content = json.loads((tmp_path / "photographs" / f"{Path(photograph.file).stem}.json").read_text("utf-8"))
        picture = cv2.imread(str(tmp_path / "photographs" / content["imagePath"]))
        assert picture.shape[:2] == (content["imageHeight"], content["imageWidth"])
        (shape,) = content["shapes"]
        assert (shape["shape_type"], shape["label"], shape["group_id"]) == ("linestrip", "crack", crack.id)
        np.testing.assert_allclose(np.array(shape["points"]) - 0.5, photograph.lines[0].points_px, atol=0.006)


def test_photographs_take_no_room_on_the_same_disk(tmp_path: Path, survey: Survey, local: Georeference) -> None:
    for _ in range(2):  # the second report finds them there
        write_photographs(tmp_path / "photographs", survey, local)
    for _, photograph in survey.photographs():
        copy, original = tmp_path / "photographs" / photograph.file, survey.photograph_folder / photograph.file
        assert copy.samefile(original) or copy.stat().st_dev != original.stat().st_dev
        assert copy.read_bytes() == original.read_bytes()
