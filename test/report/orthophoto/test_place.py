# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Place of an orthophoto: GeoTIFF on the facet or on the earth, and under the plan of the report."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

pytest.importorskip("tifffile", reason="the extra `report` is not installed: run scripts/setup")
pytest.importorskip("rasterio", reason="rasterio is not installed: run scripts/setup")

import rasterio

from crack_perception.errors import UserError
from crack_perception.mapping.export.plan.layout import Box, PlacedFacet, extent
from crack_perception.mapping.export.plan.png import png
from crack_perception.mapping.export.plan.shapes import Drawing, Picture
from crack_perception.report.contents import Survey
from crack_perception.report.document.facet_plan import facet_plan, plan_values
from crack_perception.report.document.underlay import orthophoto_layer, orthophotos_of
from crack_perception.report.georeference import Georeference
from crack_perception.report.orthophoto.geotiff import write_picture
from crack_perception.report.orthophoto.index import FORMAT, INDEX, VERSION, FacetOrthophoto, read_index
from crack_perception.report.orthophoto.mosaic import TileFolder
from crack_perception.report.orthophoto.place import earth_place, facet_place
from crack_perception.report.orthophoto.raster import TILE_PX, Raster
from crack_perception.report.orthophoto.surface import fit_surface

CELL_M = 0.05


def level_facet(survey: Survey) -> str:
    return next(letter for letter, facet in survey.facets.items() if not facet.is_wall)


def raster_of(survey: Survey, letter: str, m_per_px: float = 0.005) -> Raster:
    low_m, high_m = extent(survey.facets[letter])
    return Raster.over(low_m, high_m, m_per_px, CELL_M)


def test_write_picture_soffit_with_epsg_is_where_its_map_points_are(
    tmp_path: Path, survey: Survey, utm: Georeference
) -> None:
    letter = level_facet(survey)
    facet, raster = survey.facets[letter], raster_of(survey, letter)
    surface = fit_surface(facet)
    place = earth_place(raster, letter, facet, surface, utm)
    write_picture(tmp_path / "a.tif", (raster.width_px, raster.height_px), lambda row, column: None, place)
    with rasterio.open(tmp_path / "a.tif") as file:
        assert file.crs.to_epsg() == 25832
        assert (file.width, file.height) == (raster.width_px, raster.height_px)
        for x_px, y_px in ((0, 0), (raster.width_px - 1, 7), (20, raster.height_px - 1)):
            point_m = surface.to_map(raster.flat_m(np.array([x_px]), np.array([y_px])))
            assert file.xy(y_px, x_px) == pytest.approx(utm.coordinates(point_m)[0, :2], abs=1e-3)


def test_earth_place_wall_stays_in_metres_on_the_facet(tmp_path: Path, survey: Survey, utm: Georeference) -> None:
    letter = next(letter for letter, facet in survey.facets.items() if facet.is_wall)
    raster = raster_of(survey, letter)
    place = earth_place(raster, letter, survey.facets[letter], fit_surface(survey.facets[letter]), utm)
    write_picture(tmp_path / "a.tif", (raster.width_px, raster.height_px), lambda row, column: None, place)
    with rasterio.open(tmp_path / "a.tif") as file:
        assert file.crs is None or not file.crs.is_projected
        assert file.xy(0, 0) == pytest.approx((raster.left_m + 0.0025, raster.top_m - 0.0025))


def test_write_picture_has_its_tiles_and_reduced_copies(tmp_path: Path) -> None:
    raster = Raster.over(np.zeros(2), np.array([2.5, 1.3]), 0.001, 0.03)
    rng = np.random.default_rng(0)
    tiles = TileFolder(tmp_path, {"A": raster})
    whole = np.zeros((raster.height_px, raster.width_px, 4), np.uint8)
    for row, column in ((0, 0), (1, 2), (0, 2)):
        tile = tiles.tile(("A", row, column))
        tile[:] = rng.integers(0, 256, tile.shape)
        whole[row * TILE_PX :, column * TILE_PX :][: tile.shape[0], : tile.shape[1]] = tile
    tiles.close()
    path = tmp_path / "a.tif"
    size_px = (raster.width_px, raster.height_px)
    write_picture(path, size_px, lambda row, column: tiles.stored(("A", row, column)), facet_place(raster, "A"))
    with rasterio.open(path) as file:
        assert np.array_equal(file.read().transpose(1, 2, 0)[..., [2, 1, 0, 3]], whole)
        assert file.overviews(1) == [4]
        assert file.colorinterp[3] == rasterio.enums.ColorInterp.alpha


def test_tile_folder_many_tiles_keeps_all_with_few_in_memory(tmp_path: Path) -> None:
    raster = Raster.over(np.zeros(2), np.array([8.0, 8.0]), 0.001, 0.03)
    tiles = TileFolder(tmp_path, {"A": raster})
    places = [("A", row, column) for row in range(8) for column in range(8)]
    for value, place in enumerate([*places, *places]):
        tiles.tile(place)[value % 7, 3] = value
    assert len(tiles._open) < 30
    tiles.close()
    for index, place in enumerate(places):
        stored = tiles.stored(place)
        assert stored is not None
        assert {int(stored[index % 7, 3, 0]), int(stored[(index + 64) % 7, 3, 0])} == (
            {index, index + 64} if index % 7 != (index + 64) % 7 else {index + 64}
        )


def written_index(folder: Path, survey: Survey, letter: str) -> FacetOrthophoto:
    """An orthophoto over the extent of a facet, grey with a black square around pixel (30, 20) of its overview."""
    facet = survey.facets[letter]
    low_m, high_m = extent(facet)
    surface = fit_surface(facet)
    overview = np.full((100, 200, 4), 170, np.uint8)
    overview[..., 3] = 255
    overview[18:23, 28:33, :3] = 0
    folder.mkdir()
    cv2.imwrite(str(folder / "facet_A.png"), overview)
    corners = surface.to_map(np.array([[low_m[0], high_m[1]], high_m, low_m]))
    entry = {
        "facet": letter,
        "mm_per_px": 1.0,
        "covered_m2": 3.0,
        "gsd_mm_per_px": [0.4, 0.9],
        "left_m": float(low_m[0]),
        "top_m": float(high_m[1]),
        "tile_px": TILE_PX,
        "normal": surface.normal.tolist(),
        "origin_m": surface.origin_m.tolist(),
        "u_m": surface.u_m.tolist(),
        "v_m": surface.v_m.tolist(),
        "tiles": [],
        "overview": {"file": "facet_A.png", "corners_m": corners.tolist()},
        "frames": [{"stamp_ns": 1_700_000_000_000_000_000}],
    }
    document = {"format": FORMAT, "version": VERSION, "facets": [entry]}
    (folder / INDEX).write_text(json.dumps(document))
    (read,) = read_index(folder)
    return read


def test_orthophoto_layer_draws_the_picture_where_the_facet_is(tmp_path: Path, survey: Survey) -> None:
    letter = next(iter(survey.facets))
    orthophoto = written_index(tmp_path / "o", survey, letter)
    low_m, high_m = extent(survey.facets[letter])
    size_mm = 20.0 * (high_m - low_m)
    box = Box(10.0, 15.0, *size_mm.tolist())
    placed = PlacedFacet(letter, survey.facets[letter], box, low_m, high_m, 20.0)
    layer = orthophoto_layer(placed, [orthophoto])
    assert all(isinstance(item, Picture) for item in layer.items)
    drawn = cv2.imdecode(np.frombuffer(png(Drawing(300.0, 200.0, "", (layer,)), 127.0), np.uint8), cv2.IMREAD_GRAYSCALE)
    at_mm = np.array([box.left, box.top]) + size_mm * [30.5 / 200, 20.5 / 100]
    column, row = np.round(at_mm * 5 - 0.5).astype(int)
    assert drawn[row, column] < 120
    assert drawn[row + 40, column] > 150
    assert drawn[2, 2] == 255


def test_facet_plan_with_an_orthophoto_shows_it_and_names_its_day(tmp_path: Path, survey: Survey) -> None:
    letter, other = list(survey.facets)[:2]
    orthophoto = written_index(tmp_path / "o", survey, letter)
    with_it = replace(survey, orthophotos=(orthophoto,))
    assert orthophotos_of(with_it, survey.facets[other]) == []
    assert facet_plan(with_it, letter).svg.count("<image") == 1
    assert "<image" not in facet_plan(with_it, other).svg
    assert "of 2023-11-14, taken at 0.40 to 0.90 mm/px" in plan_values(with_it, letter)["note"]


@pytest.mark.parametrize("content", ["{", '{"format": "other", "version": 1}', '{"format": 1}'])
def test_read_index_damaged_names_the_remedy(tmp_path: Path, content: str) -> None:
    (tmp_path / INDEX).write_text(content)
    with pytest.raises(UserError, match=r"orthophoto\.json: .*Make the orthophoto again"):
        read_index(tmp_path)
