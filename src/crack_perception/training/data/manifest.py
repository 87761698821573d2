# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Manifest of labelled images for training and evaluation."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from crack_perception.errors import UserError, file_error, printable

LABELS = {"crack": 1, "none": 0}
OTHER_DEFECT = "other_defect"
"""Label of images of role ``evaluate`` that are neither cracked nor intact."""
_SPLITS = ("train", "test")
_SHIP = "ship"
_ROLES = (_SHIP, "evaluate")
_PROBLEMS_SHOWN = 12
WHOLE_PHOTOGRAPHS = "sdnet2018_mosaics"
HARD_NEGATIVES = "sdnet2018_hardneg"
SURFACES = "cc0_surfaces"
"""Source of pictures that show one intact surface all over."""
NO_STRUCTURE = "other"
"""Surface of rows that show no building material (soil, wood, sheet metal): no cracks are rendered on them."""
NATURAL_PREVALENCE = {
    "sdnet2018/wall": 3851 / 18138,
    "sdnet2018/deck": 2025 / 13620,
    "sdnet2018/pavement": 2608 / 24334,
}
"""Share of cracked tiles among all tiles of the photographs (Dorafshan, Thomas & Maguire 2018, table 1)."""
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


def is_surface_picture(row: Row) -> bool:
    """Return whether a row is a picture that shows an intact building material in all of its parts."""
    return row.source == SURFACES and row.label == "none" and row.surface != NO_STRUCTURE


def read_manifest(directory: Path) -> list[Row]:
    """Read all rows of ``directory/manifest.csv``.

    Raises:
        UserError: The manifest does not exist or is no CSV file in UTF-8, columns are missing, or rows cannot be used;
            these are listed.
    """
    manifest = directory / "manifest.csv"
    if not manifest.is_file():
        raise UserError(f"{manifest} does not exist", "Set --data to a folder that contains manifest.csv")
    rows: list[Row] = []
    problems: list[str] = []
    lines: dict[str, int] = {}
    try:
        with manifest.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            missing = [name for name in _REQUIRED_COLUMNS if name not in (reader.fieldnames or ())]
            if missing:
                raise UserError(
                    f"{manifest} lacks the columns {', '.join(missing)}", "Add them to the file; separate with commas"
                )
            names = Row.__dataclass_fields__
            for record in reader:
                row = Row(**{name: (record[name] or "").strip() for name in names if name in record})
                first = lines.setdefault(row.path, reader.line_num)
                found = list(_problems(row))
                if None in record:
                    found.append("more cells than columns; quote cells with commas")
                if first != reader.line_num:
                    found.append(f"the image of line {first} once more")
                problems += [f"line {reader.line_num}, {printable(row.path, 120)}: {problem}" for problem in found]
                rows.append(row)
    except OSError as error:
        raise file_error(manifest, error, "Check the path", "read") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise UserError(
            f"{manifest}: is no CSV file in UTF-8 ({error})", "Save it as CSV with commas, in UTF-8"
        ) from error
    raise_for(problems, directory)
    return rows


def _problems(row: Row) -> Iterator[str]:
    """Yield what is wrong with a row on its own; a value that no part knows would leave the row out silently."""
    empty = [name for name in _REQUIRED_COLUMNS if not getattr(row, name)]
    if empty:
        yield f"empty {', '.join(empty)}"
        return
    if row.split not in _SPLITS:
        yield f"unknown split {printable(row.split, 40)!r}, not {' or '.join(_SPLITS)}"
    if row.role not in _ROLES:
        yield f"unknown role {printable(row.role, 40)!r}, not {' or '.join(_ROLES)}"
        return
    labels = tuple(LABELS) if row.role == _SHIP else (*LABELS, OTHER_DEFECT)
    if row.label not in labels:
        yield f"unknown label {printable(row.label, 40)!r}, not {' or '.join(labels)}"
    if row.width_px_mean:
        try:
            width_px = float(row.width_px_mean)
        except ValueError:
            width_px = math.nan
        if not 0.0 < width_px < math.inf:
            yield f"width_px_mean {printable(row.width_px_mean, 40)!r} is no width"


def raise_for(problems: Sequence[str], directory: Path) -> None:
    """Raise an error that lists the first problems of a manifest, if there are any.

    Raises:
        UserError: There are.
    """
    if not problems:
        return
    shown = "\n  ".join(problems[:_PROBLEMS_SHOWN])
    more = f"\n  and {len(problems) - _PROBLEMS_SHOWN} more" if len(problems) > _PROBLEMS_SHOWN else ""
    raise UserError(f"the manifest in {directory} cannot be used:\n  {shown}{more}", "Fix these rows")
