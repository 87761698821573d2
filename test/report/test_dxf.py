# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""DXF drawings by ezdxf's audit, and by GDAL, which had no part in writing them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from crack_perception.recognition.severity import PRESETS_MM, SeverityScale
from crack_perception.report.contents import Survey
from crack_perception.report.formats.dxf import crack_layer, write_elevations, write_lines
from crack_perception.report.georeference import Georeference

ezdxf = pytest.importorskip("ezdxf", reason="the extra `report` is not installed: run scripts/setup")
pyogrio = pytest.importorskip("pyogrio", reason="GDAL's reader is not installed: run scripts/setup")
shapely = pytest.importorskip("shapely")


def audited(path: Path) -> Any:
    document = ezdxf.readfile(path)
    assert [str(error) for error in document.audit().errors] == []
    return document


@pytest.fixture(scope="module")
def elevations(tmp_path_factory: pytest.TempPathFactory, survey: Survey, local: Georeference) -> Path:
    path = tmp_path_factory.mktemp("dxf") / "elevations.dxf"
    write_elevations(path, survey, local)
    return path


def gdal_entities(path: Path) -> list[tuple[str, str | None, Any]]:
    # GDAL goes by the code page in the header, which DXF from R2007 on, always UTF-8, keeps for older programs.
    pyogrio.set_gdal_config_options({"DXF_MERGE_BLOCK_GEOMETRIES": "FALSE", "DXF_ENCODING": "UTF-8"})
    meta, _, geometries, fields = pyogrio.raw.read(path)
    columns = dict(zip(meta["fields"], fields, strict=True))
    return list(zip(columns["Layer"], columns["Text"], shapely.from_wkb(geometries), strict=True))


def test_elevations_has_a_block_a_layer_and_a_layout_for_each_facet(elevations: Path) -> None:
    document = audited(elevations)
    inserts = {insert.dxf.name: insert.dxf.layer for insert in document.modelspace().query("INSERT")}
    assert inserts == {f"ELEVATION_{letter}": f"ELEVATION_{letter}" for letter in "ABC"}
    assert [name.split(" ")[:2] for name in document.layouts.names()[2:]] == [[letter, "1-50"] for letter in "ABC"]
    assert document.header["$INSUNITS"] == 6


def test_elevations_cracks_keep_their_length_on_the_layer_of_their_severity(elevations: Path, survey: Survey) -> None:
    block = audited(elevations).blocks["ELEVATION_A"]
    for crack in (crack for crack in survey.cracks if crack.facet == "A"):
        flat_m = survey.facets["A"].flat(crack.crack.line_m)
        lines = block.query(f'LWPOLYLINE[layer=="{crack_layer(crack.severity)}"]')
        distances = [
            np.abs(np.array(line.get_points("xy")) - flat_m).max() for line in lines if len(line) == len(flat_m)
        ]
        assert min(distances) < 1e-9


def test_elevations_texts_are_two_and_a_half_millimetres_high_at_1_to_50(elevations: Path, survey: Survey) -> None:
    document = audited(elevations)
    labels = [text for letter in "ABC" for text in document.blocks[f"ELEVATION_{letter}"].query('TEXT[layer=="LABEL"]')]
    assert len(labels) == len(survey.cracks)
    assert {text.dxf.height for text in labels} == {0.125}
    for letter in "ABC":
        layout = next(document.layouts.get(name) for name in document.layouts.names() if name.startswith(f"{letter} "))
        (viewport,) = [view for view in layout.query("VIEWPORT") if view.dxf.id != 1]
        assert viewport.dxf.height / viewport.dxf.view_height == pytest.approx(1000.0 / 50.0)


def test_elevations_no_text_is_too_small_to_read_at_1_to_50(elevations: Path) -> None:
    """ISO 3098: 1.8 mm is the least height of letters."""
    document = audited(elevations)
    drawn = [document.modelspace(), *(document.blocks[f"ELEVATION_{letter}"] for letter in "ABC")]
    heights_mm = {round(20 * text.dxf.height, 3) for part in drawn for text in part.query("TEXT")}
    assert heights_mm == {1.8, 2.5, 5.0}
    sheets = [document.layouts.get(name) for name in document.layouts.names()[2:]]
    assert {round(text.dxf.height, 3) for sheet in sheets for text in sheet.query("TEXT")} == {4.0, 2.5}


def test_elevations_classes_differ_by_colour_and_by_line_weight(elevations: Path, survey: Survey) -> None:
    layers = [audited(elevations).layers.get(crack_layer(name)) for name in survey.scale.labels]
    assert len({layer.dxf.true_color for layer in layers}) == len({layer.dxf.color for layer in layers}) == len(layers)
    weights = [layer.dxf.lineweight for layer in layers]
    assert weights == sorted(weights) and len(set(weights)) == len(weights)


def test_elevations_labels_do_not_cover_each_other(elevations: Path) -> None:
    for letter in "ABC":
        texts = audited(elevations).blocks[f"ELEVATION_{letter}"].query('TEXT[layer=="LABEL"]')
        boxes = []
        for text in texts:
            x, y, _ = text.dxf.insert
            boxes.append(shapely.box(x, y, x + 0.55 * len(text.dxf.text) * text.dxf.height, y + text.dxf.height))
        assert shapely.union_all(boxes).area == pytest.approx(sum(box.area for box in boxes))


def test_elevations_are_read_by_gdal_with_names_in_any_letters(elevations: Path, survey: Survey) -> None:
    entities = gdal_entities(elevations)
    total_m = sum(geometry.length for layer, _, geometry in entities if layer.startswith("CRACK_"))
    legend_m = 0.6 * len(survey.classes)
    expected_m = sum(
        np.linalg.norm(np.diff(survey.facets[crack.facet].flat(crack.crack.line_m), axis=0), axis=1).sum()
        for crack in survey.cracks
    )
    assert total_m == pytest.approx(expected_m + legend_m)
    texts = " ".join(text for _, text, _ in entities if text)
    assert "Pfeiler <1> " in texts and "桥" in texts and "Жидкий" in texts


def test_elevations_put_walls_at_their_true_heights_and_the_soffit_below(elevations: Path) -> None:
    document = audited(elevations)
    heights = {insert.dxf.name: insert.dxf.insert.y for insert in document.modelspace().query("INSERT")}
    assert heights["ELEVATION_A"] == heights["ELEVATION_B"] == 0.0
    assert heights["ELEVATION_C"] < -6.0


def test_lines_in_space_have_projected_coordinates(tmp_path: Path, survey: Survey, utm: Georeference) -> None:
    path = tmp_path / "lines.dxf"
    write_lines(path, survey, utm)
    audited(path)
    lines = [geometry for layer, _, geometry in gdal_entities(path) if layer.startswith("CRACK_")]
    assert len(lines) == len(survey.cracks)
    for crack, line in zip(survey.cracks, lines, strict=True):
        found = shapely.get_coordinates(line, include_z=True)
        np.testing.assert_allclose(found, utm.coordinates(crack.crack.line_m), rtol=0, atol=1e-6)


@pytest.mark.parametrize("preset", sorted(PRESETS_MM))
def test_crack_layers_are_valid_and_differ(preset: str) -> None:
    names = [crack_layer(label) for label in SeverityScale.of_preset(preset).labels]
    assert len(set(names)) == len(names)
    document = ezdxf.new("R2010")
    for name in names:
        document.layers.add(name)
    assert document.audit().errors == []
