# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Cell output of a model: fitted on the last feature map of its unchanged trunk, added to its graph and card."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from crack_perception.errors import UserError
from crack_perception.recognition.backends.protocol import CELL_OUTPUT, INPUT_NAME
from crack_perception.recognition.models import COMPACT_GRAPH_NAME, LoadedModel, load_model, write_graph
from crack_perception.training.adaptation.head import graph_session
from crack_perception.training.adaptation.onnx_file import OnnxFile, make_constant, make_node
from crack_perception.training.data.cell_tiles import (
    CRACK,
    INTACT,
    RENDERED,
    WHOLE,
    CellSettings,
    CellTile,
    cell_tiles,
)
from crack_perception.training.data.manifest import Row, read_manifest
from crack_perception.training.data.rows import trainable_rows, validation_groups
from crack_perception.training.export.card import sources_of
from crack_perception.training.heads.cells import RECALL, CellHead, fit_cells, searched, threshold_for
from crack_perception.vision.tiling import in_channels

_BATCH = 4
_POOLING = "GlobalMaxPool"
# So many significant bits of a weight are stored; the graph compresses better.
_KEPT_BITS = 9


def write_cell_output(
    directory: Path, card: dict[str, Any], data: Path, validation_share: float, settings: CellSettings
) -> dict[str, Any]:
    """Fit the cell output of a model and write it into its graph, instead of the one that is there.

    Args:
        directory: Folder of the model.
        card: Its card.
        data: Folder with the manifest that the model was trained on.
        validation_share: Share of the photographs that determine the threshold and the figures.
        settings: Numbers of tiles.

    Returns:
        Changed entries of the card, which the caller writes.

    Raises:
        UserError: The model or the data cannot be used.
    """
    model = load_model(str(directory))
    file = OnnxFile.decode(model.graph).without_output(CELL_OUTPUT)
    pooled = [node.inputs[0] for node in file.nodes if node.operator == _POOLING]
    if len(pooled) != 1:
        raise UserError(f"{directory}: the graph has no single {_POOLING}", "Train the model again")
    session = graph_session(file.with_outputs(pooled[0]).encode())
    seed = int(card["seed"])
    held_out = _held_out(trainable_rows(read_manifest(data)), set(card["training"]["tiles"]), validation_share, seed)
    features, crack_score, tiles = read_features(session, pooled[0], model, cell_tiles(data, settings, seed))
    cells = np.stack([tile.cells for tile in tiles])
    is_cracked = np.array([tile.is_cracked for tile in tiles])
    unseen = np.array([tile.group in held_out for tile in tiles])
    head = fit_cells(features[~unseen], cells[~unseen], is_cracked[~unseen], seed)
    # The cells of tiles without a detection are never searched.
    counted = unseen & is_cracked & (crack_score >= model.threshold)
    counted &= np.array([tile.kind != WHOLE for tile in tiles])
    if not counted.any():
        raise UserError(
            f"{data}: the model finds no crack whose place is known on the validation photographs",
            "Add images with masks, or more intact ones, on which cracks are rendered",
        )
    logits = head.logits(features[counted])
    threshold = threshold_for(logits, cells[counted])
    head = CellHead(_rounded(head.weights), float(_rounded(np.array([head.bias - threshold], np.float32))[0]))
    graph = graph_with_cells(file, pooled[0], head, features.shape[2] * features.shape[3])
    flagged = unseen & ~is_cracked & (crack_score >= model.threshold)
    entry = {
        "per_side": features.shape[2],
        "macs_per_tile": int(np.prod(features.shape[1:])),
        "tiles": dict(sorted(Counter(f"{tile.stratum}, {tile.kind}" for tile in tiles).items())),
        "seed": seed,
        "threshold_rule": f"{RECALL:.1%} of the cells with a crack are searched, with a margin of one cell",
        "validation": cell_figures(head, features[counted], cells[counted], features[flagged]),
    }
    return {
        **write_graph(directory, graph, COMPACT_GRAPH_NAME in card["files"]),
        "outputs": {
            **card["outputs"],
            CELL_OUTPUT: f"float32 (N, {features.shape[2] * features.shape[3]}), score of every cell of the tile, row "
            "by row; a cell that holds a crack has at least 0.5",
        },
        "sources": {**card["sources"], **sources_of(tile.stratum for tile in tiles if tile.kind != RENDERED)},
        "cells": entry,
    }


def _held_out(rows: Sequence[Row], trained_strata: set[str], share: float, seed: int) -> frozenset[str]:
    """Return the validation photographs of the training, and as many of the sources that it did not use."""
    trained = [row for row in rows if row.stratum in trained_strata]
    photographs = {row.group_id for row in trained}
    others = [row for row in rows if row.stratum not in trained_strata and row.group_id not in photographs]
    return validation_groups(trained, share, seed) | validation_groups(others, share, seed)


def read_features(
    session: Any, feature_map: str, model: LoadedModel, found_tiles: Iterable[CellTile]
) -> tuple[npt.NDArray[np.float16], npt.NDArray[np.float32], list[CellTile]]:
    """Compute the last feature map and the crack score of every tile.

    Returns:
        Feature maps ``(N, C, H, W)``, crack scores ``(N,)``, and the tiles without their pixels.
    """
    maps: list[npt.NDArray[np.float16]] = []
    scores: list[npt.NDArray[np.float32]] = []
    tiles: list[CellTile] = []
    pending: list[CellTile] = []

    def read() -> None:
        if pending:
            pixels = in_channels(np.stack([tile.pixels for tile in pending]), model.channels)
            found, crack_score = session.run([feature_map, "crack_score"], {INPUT_NAME: pixels})
            maps.append(found.astype(np.float16))
            scores.append(np.ravel(crack_score))
            tiles.extend(replace(tile, pixels=tile.pixels[:0]) for tile in pending)
            pending.clear()

    for tile in found_tiles:
        pending.append(tile)
        if len(pending) == _BATCH:
            read()
    read()
    return np.concatenate(maps), np.concatenate(scores), tiles


def graph_with_cells(file: OnnxFile, feature_map: str, head: CellHead, cells: int) -> bytes:
    """Return a graph with the cell output, computed from a tensor ``(N, C, H, W)`` with H * W cells."""
    names = {stem: file.unused_name(f"cell_{stem}_") for stem in ("weights", "bias", "map", "logits")}
    nodes = (
        make_node("Conv", [feature_map, names["weights"], names["bias"]], names["map"]),
        make_node("Flatten", [names["map"]], names["logits"]),
        make_node("Sigmoid", [names["logits"]], CELL_OUTPUT),
    )
    constants = {
        names["weights"]: make_constant(names["weights"], head.weights[None, :, None, None]),
        names["bias"]: make_constant(names["bias"], np.array([head.bias], np.float32)),
    }
    added = replace(file, nodes=(*file.nodes, *nodes), constants={**file.constants, **constants})
    return added.with_outputs(CELL_OUTPUT, size=cells).encode()


def cell_figures(
    head: CellHead,
    cracked: npt.NDArray[np.float16],
    cells: npt.NDArray[np.int8],
    false_alarms: npt.NDArray[np.float16],
) -> dict[str, Any]:
    """Compute shares of the searched cells on validation tiles that the model flags.

    Args:
        head: The head, with its threshold at 0.
        cracked: ``(N, C, H, W)`` feature maps of tiles with located cracks.
        cells: ``(N, H, W)`` their labels.
        false_alarms: Feature maps of intact tiles.
    """
    found = searched(head.logits(cracked), 0.0)
    figures: dict[str, Any] = {
        "tiles": len(cracked),
        "crack_cells_searched": round(float(found[cells == CRACK].mean()), 4),
        "intact_cells_searched": round(float(found[cells == INTACT].mean()), 4),
        "cells_searched": round(float(found.mean()), 4),
    }
    if len(false_alarms):
        figures["false_alarms"] = len(false_alarms)
        figures["cells_searched_in_false_alarms"] = round(float(searched(head.logits(false_alarms), 0.0).mean()), 4)
    return figures


def _rounded(values: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    fractions, exponents = np.frexp(values)
    return np.ldexp(np.rint(fractions * 2.0**_KEPT_BITS) / 2.0**_KEPT_BITS, exponents).astype(np.float32)
