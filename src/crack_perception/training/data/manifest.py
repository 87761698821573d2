# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Manifest of labelled images for training and evaluation."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from crack_perception.errors import UserError

LABELS = {"crack": 1, "none": 0}
WHOLE_PHOTOGRAPHS = "sdnet2018_mosaics"
HARD_NEGATIVES = "sdnet2018_hardneg"
_REQUIRED_COLUMNS = ("path", "source", "split", "label", "role", "surface", "group_id")


REFIT_ENTRY = "refit"
"""Entry of the card of a model whose head was refitted on sources that its backbone was not trained on."""


def trained_strata(card: dict[str, Any]) -> set[str]:
    """Return the sources and surfaces that the backbone or the head of a model was fitted on, from its card."""
    return set(card["training"]["tiles"]) | set(card.get(REFIT_ENTRY, {}).get("tiles", ()))


@dataclass(frozen=True)
class Row:
    """One image of a manifest.

    ``split`` is ``train`` or ``test``; ``group_id`` is the name of the photograph that the image was cut from.
    """

    path: str
    source: str
    surface: str
    split: str
    label: str
    role: str
    group_id: str
    mask_path: str = ""
    width_px_mean: str = ""

    @property
    def stratum(self) -> str:
        """Source and surface, for example ``sdnet2018/wall``; figures are reported for each."""
        return f"{self.source}/{self.surface}"


def read_manifest(directory: Path) -> list[Row]:
    """Read all rows of ``directory/manifest.csv``.

    Raises:
        UserError: The manifest does not exist, or columns are missing.
    """
    manifest = directory / "manifest.csv"
    if not manifest.is_file():
        raise UserError(f"{manifest} does not exist", "Set --data to a folder that contains manifest.csv")
    with manifest.open(newline="", encoding="utf-8") as file:
        reader = csv.DictReader(file)
        missing = [name for name in _REQUIRED_COLUMNS if name not in (reader.fieldnames or ())]
        if missing:
            raise UserError(f"{manifest} lacks the columns {', '.join(missing)}", "Add them to the file")
        names = Row.__dataclass_fields__
        return [Row(**{name: record[name] or "" for name in names if name in record}) for record in reader]
