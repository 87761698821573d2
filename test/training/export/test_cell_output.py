# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Cell output: added to a real model from a small folder of tiles; the other outputs stay as they are."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from labelled_tiles import write_labelled_tiles

torch = pytest.importorskip("torch")

from crack_perception.recognition.backends.onnxruntime import OnnxRuntimeBackend  # noqa: E402
from crack_perception.recognition.backends.protocol import OUTPUT_NAMES  # noqa: E402
from crack_perception.recognition.backends.trial import trial_tiles  # noqa: E402
from crack_perception.recognition.models import inference_sha256, load_model, model_directory  # noqa: E402
from crack_perception.training.adaptation.onnx_file import OnnxFile  # noqa: E402
from crack_perception.training.data.cell_tiles import (  # noqa: E402
    CRACK,
    INTACT,
    RENDERED,
    UNKNOWN,
    WHOLE,
    CellSettings,
    cell_tiles,
    mask_cells,
)
from crack_perception.training.export.cell_output import write_cell_output  # noqa: E402

SETTINGS = CellSettings(whole=24, rendered=40, surfaces=2)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_labelled_tiles(tmp_path_factory.mktemp("data"))


def test_mask_cells_touched_cells_are_unknown() -> None:
    mask = np.zeros((256, 256), bool)
    mask[10:200, 60:63] = True
    cells = mask_cells(mask)
    assert (cells[:6, 1] == CRACK).all()
    assert (cells[:6, 2] == UNKNOWN).all() and cells[6, 1] == CRACK
    assert (cells[:, 3:] == INTACT).all() and (cells[:, 0] == INTACT).all() and cells[7, 1] == INTACT


def test_cell_tiles_rendered_cracks_are_located(data: Path) -> None:
    tiles = list(cell_tiles(data, SETTINGS, 7))
    rendered = [tile for tile in tiles if tile.kind == RENDERED]
    assert len(rendered) > 30
    assert all((tile.cells == CRACK).any() or (tile.cells == UNKNOWN).any() for tile in rendered)
    assert any(tile.stratum == "rendered/surface" for tile in rendered)
    whole = [tile for tile in tiles if tile.kind == WHOLE]
    assert all((tile.cells == (UNKNOWN if tile.is_cracked else INTACT)).all() for tile in whole)
    np.testing.assert_array_equal(next(cell_tiles(data, SETTINGS, 7)).pixels, tiles[0].pixels)


@pytest.mark.slow
def test_write_cell_output_other_outputs_unchanged(data: Path, tmp_path: Path) -> None:
    folder = tmp_path / "nano"
    shutil.copytree(model_directory("nano"), folder)
    before = load_model(str(folder))
    path = folder / "card.json"
    card = json.loads(path.read_text(encoding="utf-8"))
    graphs = []
    for _ in range(2):
        card |= write_cell_output(folder, card, data, 0.5, SETTINGS)
        card["inference_sha256"] = inference_sha256(card)
        path.write_text(json.dumps(card), encoding="utf-8")
        graphs.append(load_model(str(folder)).graph)
    assert graphs[0] == graphs[1], "a second run replaces the output and is reproducible"
    after = load_model(str(folder))
    tiles = trial_tiles(after, 6)
    expected, found = (OnnxRuntimeBackend(model, threads=1).run(tiles) for model in (before, after))
    for output in OUTPUT_NAMES:
        np.testing.assert_array_equal(getattr(found, output), getattr(expected, output))
    assert found.cell_score is not None
    assert found.cell_score.shape == (6, 64)
    figures = card["cells"]["validation"]
    assert figures["crack_cells_searched"] == pytest.approx(0.98, abs=0.02)
    assert figures["intact_cells_searched"] < figures["crack_cells_searched"]
    without = OnnxFile.decode(after.graph).without_output("cell_score")
    assert "cell_score" not in without.outputs
    assert len(without.nodes) == len(OnnxFile.decode(after.graph).nodes) - 3
