# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Base rows of a model: features of its validation tiles, which later adaptations to a site are fitted with."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from crack_perception.errors import UserError
from crack_perception.recognition.models import load_model
from crack_perception.training.adaptation.base_rows import (
    BASE_ROWS_NAME,
    CARD_ENTRY,
    BaseRows,
    base_rows_entry,
    encode_base_rows,
)
from crack_perception.training.adaptation.head import ModelHead
from crack_perception.training.data.manifest import LABELS, REFIT_ENTRY, Row, read_manifest
from crack_perception.training.data.rows import TILE_PX, trainable_rows, validation_groups
from crack_perception.training.heads.refit import LEAST_OF_CLASS
from crack_perception.vision.images.files import read_picture
from crack_perception.vision.tiling import pad_to_tile


def write_base_rows(directory: Path, data: Path, validation_share: float) -> dict[str, Any]:
    """Write the base rows of a model into its folder.

    The tiles are those of photographs that the backbone was not trained on, whose features are not overfitted: the
    validation photographs, and for a refitted model the added surfaces with tiles of both classes. The model's graph is
    not changed.

    Args:
        directory: Folder of the model.
        data: Folder with the manifest that the model was trained on.
        validation_share: Share of the photographs that the training kept for validation.

    Returns:
        The entry of the model card.

    Raises:
        UserError: The model or the data cannot be used, or the data are not those of the card.
    """
    model = load_model(str(directory))
    training = model.card["training"]
    rows = [row for row in trainable_rows(read_manifest(data)) if row.stratum in training["tiles"]]
    held_out = validation_groups(rows, validation_share, model.card["seed"])
    chosen = [row for row in rows if row.group_id in held_out]
    found, stated = (len(held_out), len(chosen)), (training["validation_photographs"], training["validation_tiles"])
    if found != stated:
        raise UserError(
            f"{data}: has {found[1]} validation tiles of {found[0]} photographs, the card of {directory} states "
            f"{stated[1]} of {stated[0]}",
            "Use the data that the model was trained on",
        )
    chosen += _refitted_rows(model.card, trainable_rows(read_manifest(data)))
    tiles = (pad_to_tile(read_picture(data / row.path), TILE_PX)[:TILE_PX, :TILE_PX] for row in chosen)
    features, _ = ModelHead(model).read(tiles)
    base = BaseRows(
        features,
        np.array([LABELS[row.label] for row in chosen], np.int64),
        np.array([row.stratum for row in chosen], np.str_),
    )
    content = encode_base_rows(base)
    (directory / BASE_ROWS_NAME).write_bytes(content)
    return {CARD_ENTRY: base_rows_entry(content, base)}


def _refitted_rows(card: dict[str, Any], rows: Sequence[Row]) -> list[Row]:
    """Select the rows of the surfaces with both classes that the head of a model was refitted on."""
    tiles = card.get(REFIT_ENTRY, {}).get("tiles", {})
    both = {stratum for stratum, counts in tiles.items() if min(counts.values()) >= LEAST_OF_CLASS}
    return [row for row in rows if row.stratum in both]
