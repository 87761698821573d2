# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""COCO and labelme files of the photographs: their lines lie on the dark pixels of the pictures."""

from __future__ import annotations

import json
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from reported_maps import write_bridge

from crack_perception.mapping.evidence.decisions import Action, Decision
from crack_perception.mapping.evidence.photograph import PhotographedLine
from crack_perception.mapping.storage.database import MapStore
from crack_perception.recognition.severity import SeverityScale
from crack_perception.report.contents import Notes, Survey, read_survey
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


def test_labelme_files_have_what_its_reader_requires(tmp_path: Path, survey: Survey, local: Georeference) -> None:
    """Check what labelme's reader requires; version 6.3.1 opened files of this writer with the same shapes."""
    write_labelme(tmp_path, survey, local)
    files = sorted(tmp_path.glob("*.json"))
    assert files
    for file in files:
        content = json.loads(file.read_text("utf-8"))
        assert set(content) == {"version", "flags", "shapes", "imagePath", "imageData", "imageHeight", "imageWidth"}
        assert content["imageData"] is None and content["flags"] == {}
        # A name relative to the file; a picture that must not be turned, since the points are those of its pixels.
        picture = (file.parent / content["imagePath"]).read_bytes()
        assert "/" not in content["imagePath"] and b"Exif" not in picture[:4096]
        for shape in content["shapes"]:
            assert isinstance(shape["label"], str) and isinstance(shape["description"], str)
            assert type(shape["group_id"]) is int and shape["flags"] == {}
            assert shape["shape_type"] == "linestrip" and len(shape["points"]) >= 2
            for point in shape["points"]:
                assert isinstance(point, list) and [type(part) for part in point] == [float, float]
                assert 0 <= point[0] <= content["imageWidth"] and 0 <= point[1] <= content["imageHeight"]


def test_labelme_line_of_one_vertex_is_a_point(tmp_path: Path, survey: Survey, local: Georeference) -> None:
    crack = next(crack for crack in survey.cracks if crack.photographs)
    lone = PhotographedLine(np.array([[10.0, 50.0]]), np.array([2.0]), np.full(1, 0.1))
    photograph = replace(crack.photographs[0], lines=(lone,))
    reviewed = replace(crack.reviewed, photographs=(photograph,))
    only = replace(survey, cracks=(replace(crack, reviewed=reviewed),))
    write_labelme(tmp_path, only, local)
    (shape,) = json.loads((tmp_path / f"{Path(photograph.file).stem}.json").read_text("utf-8"))["shapes"]
    assert (shape["shape_type"], shape["points"]) == ("point", [[10.5, 50.5]])


def test_photographs_are_copies_that_leave_the_evidence_alone(
    tmp_path: Path, survey: Survey, local: Georeference
) -> None:
    folder = tmp_path / "photographs"
    write_photographs(folder, survey, local)
    _, photograph = next(survey.photographs())
    copy, original = folder / photograph.file, survey.photograph_folder / photograph.file
    content = original.read_bytes()
    assert copy.read_bytes() == content and not copy.samefile(original)
    copy.write_bytes(content[::-1])  # as a program that rotates a picture in place
    assert original.read_bytes() == content
    write_photographs(folder, survey, local)
    assert copy.read_bytes() == content


def test_photographs_unchanged_ones_are_not_copied_again(tmp_path: Path, survey: Survey, local: Georeference) -> None:
    write_photographs(tmp_path, survey, local)
    before = {path.name: path.stat().st_ino for path in tmp_path.glob("*.jpg")}
    write_photographs(tmp_path, survey, local)
    assert {path.name: path.stat().st_ino for path in tmp_path.glob("*.jpg")} == before


def test_report_after_a_rejection_removes_its_own_files_only(tmp_path: Path, local: Georeference) -> None:
    path, out = tmp_path / "map.sqlite", tmp_path / "photographs"
    write_bridge(path, count=9, photographs_each=1)
    scale = SeverityScale.of_preset("gb50204")
    write_labelme(out, read_survey(path, scale, Notes()), local)
    (out / "3-0.txt").write_text("a note about this crack")
    (out / "4-0.json").write_text("labelled by hand since")
    (out / "overview.jpg").write_bytes(b"another photograph")
    with closing(MapStore(path)) as store:
        store.add_decisions([Decision(crack_id, Action.REJECT, {}, "Ana", 1) for crack_id in (3, 4)])
    write_labelme(out, read_survey(path, scale, Notes()), local)
    names = {entry.name for entry in out.iterdir()}
    assert not names & {"3-0.jpg", "3-0.json", "4-0.jpg"}
    assert {"3-0.txt", "4-0.json", "overview.jpg", "5-0.jpg", "5-0.json"} <= names


def test_report_replaces_and_removes_hard_links_of_earlier_versions(tmp_path: Path, local: Georeference) -> None:
    path, out = tmp_path / "map.sqlite", tmp_path / "photographs"
    write_bridge(path, count=3, photographs_each=1)
    survey = read_survey(path, SeverityScale.of_preset("gb50204"), Notes())
    out.mkdir()
    for name in ("1-0.jpg", "2-0.jpg"):  # the second one is rejected
        (out / name).hardlink_to(survey.photograph_folder / name)
    write_photographs(out, survey, local)
    assert not (out / "1-0.jpg").samefile(survey.photograph_folder / "1-0.jpg")
    assert not (out / "2-0.jpg").exists() and (survey.photograph_folder / "2-0.jpg").exists()


def test_coco_is_read_by_its_reference_reader(tmp_path: Path, survey: Survey, local: Georeference) -> None:
    coco = pytest.importorskip("pycocotools.coco", reason="pycocotools is not installed: run scripts/setup")
    write_coco(tmp_path / "coco.json", survey, local)
    read = coco.COCO(str(tmp_path / "coco.json"))
    assert [each["name"] for each in read.loadCats(read.getCatIds())] == ["crack"]
    for annotation in read.loadAnns(read.getAnnIds()):
        (image,) = read.loadImgs([annotation["image_id"]])
        mask = read.annToMask(annotation)
        assert mask.shape == (image["height"], image["width"])
        assert mask.sum() == pytest.approx(annotation["area"], rel=0.35)
        rows, columns = np.nonzero(mask)
        left, top, width, height = annotation["bbox"]
        assert columns.min() >= left - 1 and columns.max() <= left + width
        assert rows.min() >= top - 1 and rows.max() <= top + height
