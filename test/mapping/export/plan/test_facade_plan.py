# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Tests of the plan: valid SVG with every crack, PNG of the same sheet, correct figures, notes on omitted items."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from collections import Counter
from dataclasses import replace
from itertools import combinations
from pathlib import Path

import cv2
import numpy as np
import pytest
from map_cracks import EAST_WALL, SOFFIT, SOUTH_WALL, cracks_on, straight_crack

from crack_perception.mapping.export.plan.facade_plan import Plan, draw_plan
from crack_perception.mapping.export.plan.png import dashed, png
from crack_perception.mapping.export.plan.shapes import Drawing, Group, Text
from crack_perception.mapping.export.plan.shapes import Path as Line
from crack_perception.mapping.export.plan.sheet import DRAWING_AREA, FRAME, PlanNotes
from crack_perception.mapping.export.plan.symbols import LOST, class_texts
from crack_perception.mapping.mapped_crack import CrackState, MappedCrack
from crack_perception.recognition.severity import PRESETS_MM, SeverityScale
from crack_perception.vision.annotate import severity_colour

SVG = "{http://www.w3.org/2000/svg}"
EC2 = SeverityScale.of_preset("ec2")
NOTES = PlanNotes('Bridge <B17> & "deck"', "2026-05-09", "map")


def eighty() -> list[MappedCrack]:
    rng = np.random.default_rng(4)
    return [
        *cracks_on(SOUTH_WALL, rng, 36, (12, 6)),
        *cracks_on(EAST_WALL, rng, 24, (7, 6), 37),
        *cracks_on(SOFFIT, rng, 20, (12, 7), 61),
    ]


def drawn(cracks: list[MappedCrack], scale: SeverityScale = EC2, **more: object) -> Plan:
    return draw_plan(cracks, scale, NOTES, severity_colour, **more)


def parsed(plan: Plan) -> ElementTree.Element:
    return ElementTree.fromstring(plan.svg())


def ids(root: ElementTree.Element) -> list[str]:
    return [element.attrib["id"] for element in root.iter() if "id" in element.attrib]


def texts(plan: Plan) -> list[str]:
    return [element.text or "" for element in parsed(plan).iter(f"{SVG}text")]


def group(plan: Plan, name: str) -> Group:
    stack: list = list(plan.drawing.layers)
    while stack:
        item = stack.pop()
        if isinstance(item, Group):
            if item.name == name:
                return item
            stack.extend(item.items)
    raise AssertionError(f"no group {name}")


@pytest.mark.parametrize("preset", PRESETS_MM)
def test_plan_svg_valid_xml_with_all_cracks(preset: str) -> None:
    cracks = eighty()
    root = parsed(drawn(cracks, SeverityScale.of_preset(preset)))
    assert root.tag == f"{SVG}svg"
    assert (root.attrib["width"], root.attrib["height"], root.attrib["viewBox"]) == ("420mm", "297mm", "0 0 420 297")
    assert root.find(f"{SVG}title").text == NOTES.title
    found = ids(root)
    assert [name for name, count in Counter(found).items() if count > 1] == []
    for crack in cracks:
        assert f"crack-{crack.id}" in found
        assert f"label-{crack.id}" in found


@pytest.mark.parametrize("count", [1, 12, 80])
def test_plan_labels_inside_sheet_without_overlap(count: int) -> None:
    plan = drawn(eighty()[:count])
    assert sorted(label.key for label in plan.labels) == list(range(1, count + 1))
    for first, second in combinations([label.box for label in plan.labels], 2):
        assert (
            first.right <= second.left
            or second.right <= first.left
            or first.bottom <= second.top
            or second.bottom <= first.top
        )
    for shape in plan.drawing.shapes():
        if isinstance(shape, Text):
            left = shape.at_mm[0] - {"start": 0, "middle": 0.5, "end": 1}[shape.anchor] * shape.width_mm
            assert FRAME.left <= left
            assert left + shape.width_mm <= FRAME.right, shape.text
            assert FRAME.top <= shape.at_mm[1] - shape.size_mm * 0.7
            assert shape.at_mm[1] <= FRAME.bottom
            assert shape.text.isascii()
        else:
            assert np.all(shape.points_mm >= [FRAME.left - 0.5, FRAME.top - 0.5])
            assert np.all(shape.points_mm <= [FRAME.right + 0.5, FRAME.bottom + 0.5])


def test_plan_label_texts_inside_boxes() -> None:
    plan = drawn(eighty())
    for label in plan.labels:
        words = [item for item in group(plan, f"label-{label.key}").items if isinstance(item, Text)]
        assert max(text.at_mm[0] + text.width_mm for text in words) <= label.box.right


@pytest.mark.parametrize("bold", [False, True])
@pytest.mark.parametrize("text", ["1.43 m  0.45 mm", "1111 m", "wwwwmmmm", "Facet [m]"])
def test_plan_png_texts_fit_their_boxes(text: str, bold: bool) -> None:
    shape = Text((10.0, 10.0), text, 5.0, bold=bold)
    sheet = Drawing(100.0, 20.0, "text", (Group("text", (shape,)),))
    picture = cv2.imdecode(np.frombuffer(png(sheet, dots_per_inch=254.0), np.uint8), cv2.IMREAD_GRAYSCALE)
    inked = np.flatnonzero((picture < 128).any(axis=0)) / 10
    assert inked[0] >= 9.8
    assert 10.0 + 0.6 * shape.width_mm < inked[-1] <= 10.2 + shape.width_mm


def test_plan_png_has_requested_resolution() -> None:
    plan = drawn([straight_crack()])
    picture = cv2.imdecode(np.frombuffer(plan.png(dots_per_inch=127.0), np.uint8), cv2.IMREAD_COLOR)
    assert picture.shape == (1485, 2100, 3)  # 297 x 420 mm at 5 dots a millimetre
    line = group(plan, "crack-1").items[1]
    middle = np.round(line.points_mm.mean(axis=0) * 5).astype(int)
    assert tuple(picture[middle[1], middle[0]].tolist()) == severity_colour(1.0)
    assert tuple(picture[2, 2].tolist()) == (255, 255, 255)


def test_plan_crack_true_to_scale_with_id() -> None:
    plan = drawn([straight_crack(7)])
    start, end = group(plan, "crack-7").items[1].points_mm[[0, -1]]
    denominator = next(int(text.removeprefix("1:")) for text in texts(plan) if text.startswith("1:"))
    assert np.linalg.norm(end - start) == pytest.approx(2000 / denominator, abs=0.02)
    assert end[0] > start[0]
    assert "2.00 m  0.60 mm" in texts(plan)
    assert group(plan, "crack-7").items[1].width_mm == pytest.approx(0.5)
    assert group(plan, "crack-7").title == "crack 7, confirmed: 2.00 m long, 0.50 mm wide on average, >=0.4mm"


def test_plan_label_points_to_widest_place() -> None:
    plan = drawn([straight_crack(width_mm=np.array([0.9, 0.3, np.nan]))])
    np.testing.assert_allclose(plan.labels[0].leader_mm[1], group(plan, "crack-1").items[1].points_mm[0], atol=0.01)


def test_plan_states_have_distinct_styles() -> None:
    cracks = [
        straight_crack(index + 1, state=state, line_m=straight_crack().line_m + [0, 0, index])
        for index, state in enumerate(CrackState)
    ]
    plan = drawn(cracks)
    new, confirmed, lost = (group(plan, f"crack-{crack.id}").items[-1] for crack in cracks)
    assert (new.dash_mm is None, confirmed.dash_mm is None, lost.dash_mm is None) == (False, True, True)
    assert new.stroke == confirmed.stroke == severity_colour(1.0)[::-1]
    assert lost.stroke == LOST


def test_plan_title_block_counts_cracks() -> None:
    cracks = eighty()
    found = texts(drawn(cracks))
    states = Counter(crack.state for crack in cracks)
    total_m = sum(crack.length_m for crack in cracks if crack.state is not CrackState.LOST)
    assert f"{total_m:.2f} m" in found
    assert any(text.startswith(f"80: {states[CrackState.CONFIRMED]} confirmed") for text in found)
    assert "preset ec2, edges 0.2, 0.3, 0.4 mm, at 90 % confidence" in found
    assert "2026-05-09" in found


def test_plan_legend_lists_class_widths() -> None:
    assert class_texts(SeverityScale.of_preset("gb50204")) == ["minor (<0.1 mm)", "obvious (>=0.1 mm)"]
    assert set(EC2.labels) <= set(texts(drawn([])))


@pytest.mark.parametrize("areas", [[], [np.array([[0.0, 0, 2], [3, 0, 2], [3, 0, 0], [0, 0, 0]])]])
def test_plan_empty_map_is_drawn(areas: list[np.ndarray]) -> None:
    plan = drawn([], seen_areas_m=areas)
    assert "There are no cracks in the map." in texts(plan)
    assert ("inspected surface" in texts(plan)) is bool(areas)
    assert ("seen-A" in ids(parsed(plan))) is bool(areas)
    assert cv2.imdecode(np.frombuffer(plan.png(), np.uint8), cv2.IMREAD_COLOR) is not None


def test_plan_truth_drawn_at_its_position() -> None:
    crack = straight_crack()
    beyond = np.array([[-50.0, 0, 1], [-49.0, 0, 1], [0.0, 0, 1.1], [1.0, 0, 1.1]])
    elsewhere = crack.line_m + [0, 30.0, 0]
    plan = drawn([crack], truth_m=[crack.line_m + [0, 0.02, 0.01], beyond, elsewhere])
    lines = group(plan, "truth").items
    assert [len(line.points_mm) for line in lines] == [2, 2]
    assert "true centreline of a crack" in texts(plan)
    for line in lines:
        assert np.all(line.points_mm[:, 0] > DRAWING_AREA.left)


def test_plan_unlabelled_cracks_are_counted() -> None:
    plan = drawn(cracks_on(SOUTH_WALL, np.random.default_rng(0), 330, (40, 15)))
    assert len([name for name in ids(parsed(plan)) if name.startswith("crack-")]) == 330
    left_out = 330 - len(plan.labels)
    assert any(text.startswith(f"{left_out} cracks have no label") for text in texts(plan))
    assert any(text.endswith("more, see the CSV file") for text in texts(plan))


def test_plan_undrawable_cracks_are_counted() -> None:
    around = []
    for index, angle in enumerate(np.arange(14) * 2 * np.pi / 14):
        normal = np.array([np.cos(angle), np.sin(angle), 0])
        along = np.array([-np.sin(angle), np.cos(angle), 0])
        around.append(straight_crack(index + 1, line_m=20 * normal + np.outer([-1.0, 1.0], along), normal=normal))
    plan = drawn([*around, straight_crack(99, normal=np.full(3, np.nan))])
    found = [name for name in ids(parsed(plan)) if name.startswith("crack-")]
    assert 10 <= len(found) <= 14
    assert any(text.startswith(f"{15 - len(found)} cracks are not drawn") for text in texts(plan))
    assert any(text.startswith("15: 15 confirmed") for text in texts(plan))


def test_plan_known_north_gives_compass_headings() -> None:
    notes = replace(NOTES, x_heading_deg=90.0)
    plan = draw_plan(eighty(), EC2, notes, severity_colour)
    assert {"wall facing S (180 deg)", "wall facing E (90 deg)", "soffit seen from below", "N"} <= set(texts(plan))
    assert {"wall facing -y", "wall facing +x"} <= set(texts(drawn(eighty())))


def test_plan_unknown_widths_drawn_and_marked() -> None:
    unknown = np.full(3, np.nan)
    plan = drawn([straight_crack(width_mm=unknown, width_sigma_mm=unknown)])
    assert "2.00 m  ?" in texts(plan)
    assert group(plan, "crack-1").items[1].stroke == severity_colour(None)[::-1]


def test_plan_any_title_keeps_files_valid() -> None:
    plan = draw_plan([straight_crack()], EC2, replace(NOTES, title="Brücke\x00 \x1b<7> – “Süd”"), severity_colour)
    assert parsed(plan).find(f"{SVG}title").text == "Brücke <7> – “Süd”"
    assert cv2.imdecode(np.frombuffer(plan.png(), np.uint8), cv2.IMREAD_COLOR) is not None


def test_dashes_cover_share_of_line() -> None:
    line = np.array([[0.0, 0], [3.0, 4.0], [3.0, 9.0]])
    strokes = dashed(line, (1.0, 1.0))
    assert [round(float(np.linalg.norm(np.diff(stroke, axis=0), axis=1).sum()), 6) for stroke in strokes] == [1.0] * 5
    np.testing.assert_allclose(strokes[0], [[0, 0], [0.6, 0.8]])


def test_plan_files_written_atomically(tmp_path: Path) -> None:
    plan = drawn([straight_crack()])
    plan.write(tmp_path / "plans" / "plan.svg", tmp_path / "plans" / "plan.png")
    assert (tmp_path / "plans" / "plan.svg").read_text() == plan.svg()
    assert (tmp_path / "plans" / "plan.png").read_bytes() == plan.png()
    assert len(list((tmp_path / "plans").iterdir())) == 2


def test_plan_lines_have_at_least_two_points() -> None:
    speck = straight_crack(line_m=np.array([[0.0, 0, 1], [1e-7, 0, 1], [2e-7, 0, 1]]))
    for shape in drawn([speck]).drawing.shapes():
        if isinstance(shape, Line):
            assert len(shape.points_mm) >= 2
