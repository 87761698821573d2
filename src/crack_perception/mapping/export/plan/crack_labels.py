# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Labels of cracks on a plan: which are labelled, with which words, and where."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from crack_perception.mapping.export.plan.facet_drawing import DrawnCrack, taken_boxes
from crack_perception.mapping.export.plan.labels import LabelSheet, PlacedLabel, Wish
from crack_perception.mapping.export.plan.layout import Box, PlacedFacet
from crack_perception.mapping.export.plan.shapes import SOFT_INK, Group, Path
from crack_perception.mapping.export.plan.sheet import TAG_HEIGHT_MM, tag, tag_width_mm
from crack_perception.mapping.export.plan.symbols import Symbols, metres, millimetres
from crack_perception.mapping.mapped_crack import CrackState

MOST_LABELS = 300
"""More labels than that on a sheet say less; the table and the files name every crack."""


def worst_first(drawn: Iterable[DrawnCrack]) -> list[DrawnCrack]:
    """By existing or lost, greatest width, length and id."""
    return sorted(
        drawn,
        key=lambda item: (
            item.report.state is CrackState.LOST,
            -(item.report.max_width_mm or 0.0),
            -item.report.length_m,
            item.report.id,
        ),
    )


def label_words(item: DrawnCrack) -> str:
    """Length and greatest width, which stand behind the name."""
    return f"{metres(item.report.length_m)}  {millimetres(item.report.max_width_mm)}"


LabelSize = Callable[[str, str], tuple[float, float]]
"""Width and height [mm] of a label, of its name and the words behind it."""


def tag_size_mm(name: str, words: str) -> tuple[float, float]:
    """Of the labels that ``label_layer`` draws."""
    return tag_width_mm(name, words), TAG_HEIGHT_MM


def place_labels(
    placed: Sequence[PlacedFacet],
    drawn: Sequence[DrawnCrack],
    area: Box,
    most: int = MOST_LABELS,
    size_mm: LabelSize = tag_size_mm,
) -> list[PlacedLabel]:
    """Find places for the labels of the first cracks, within an area of the sheet."""
    sheet = LabelSheet(area)
    for facet in placed:
        for box in taken_boxes(facet):
            sheet.block(box)
    for item in drawn:
        sheet.add_line(item.points_mm)
    wishes = []
    for item in drawn[:most]:
        sizes = tuple(size_mm(item.label, words) for words in (label_words(item), ""))
        wishes.append(Wish(item.report.id, item.anchor_mm, sizes))
    return sheet.place(wishes)


def label_layer(labels: Sequence[PlacedLabel], drawn: Sequence[DrawnCrack], symbols: Symbols) -> Group:
    """Labels and their leaders."""
    by_id = {item.report.id: item for item in drawn}
    leaders = tuple(Path(label.leader_mm, SOFT_INK, 0.14) for label in labels)
    tags = []
    for label in labels:
        item = by_id[label.key]
        words = label_words(item) if label.form == 0 else ""
        items = tuple(tag(label.box, item.label, words, symbols.tag_colour(item.report)))
        tags.append(Group(f"label-{label.key}", items))
    return Group("labels", (Group("leaders", leaders), *tags))
