# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Quantities and damage records as tables."""

from __future__ import annotations

from crack_perception.report.condition_states import ConditionState
from crack_perception.report.quantities import Quantities

Cell = str | float | int | None
"""A cell of a table: a number stays a number, None is an empty cell."""


def element_table(result: Quantities) -> tuple[tuple[str, ...], tuple[tuple[Cell, ...], ...]]:
    """Header and rows, one an element and the total last; units in the header."""
    header = (
        "element",
        "concrete",
        "inspected_area_m2",
        "cracks",
        "length_m",
        "density_m_per_m2",
        "mean_spacing_m",
        *(f"length_{severity}_m" for severity in result.severities),
        *(f"length_{state.value}_m" for state in ConditionState),
        *(f"area_{state.value}_m2" for state in ConditionState),
    )
    rows = tuple(
        (
            part.element,
            None if part.material is None else part.material.value,
            _rounded(part.inspected_area_m2),
            part.cracks,
            _rounded(part.length_m),
            _rounded(part.density_m_per_m2),
            _rounded(part.mean_spacing_m),
            *(_rounded(part.length_by_severity_m[severity]) for severity in result.severities),
            *(_rounded(part.length_by_state_m[state]) for state in ConditionState),
            *(
                None if part.area_by_state_m2 is None else _rounded(part.area_by_state_m2[state])
                for state in ConditionState
            ),
        )
        for part in (*result.elements, result.total)
    )
    return header, rows


def damage_table(result: Quantities) -> tuple[tuple[str, ...], tuple[tuple[Cell, ...], ...]]:
    """Header and rows, one a crack; the inspector's columns (damage number, S, V, D) are empty."""
    header = (
        "damage_number",
        "crack_id",
        "name",
        "element",
        "facet",
        "damage",
        "direction",
        "from_horizontal_m",
        "from_height_m",
        "to_horizontal_m",
        "to_height_m",
        "length_m",
        "mean_width_mm",
        "mean_width_sigma_mm",
        "max_width_mm",
        "severity",
        "condition_state",
        "verdict",
        "first_seen",
        "last_seen",
        "S",
        "V",
        "D",
        "remarks",
    )
    rows = tuple(
        (
            None,
            each.crack_id,
            each.name or None,
            each.element,
            each.facet or None,
            "crack",
            each.direction,
            *(_rounded(value) for value in each.from_m or (None, None)),
            *(_rounded(value) for value in each.to_m or (None, None)),
            _rounded(each.length_m),
            _rounded(each.mean_width_mm),
            _rounded(each.mean_width_sigma_mm),
            _rounded(each.max_width_mm),
            each.severity,
            each.state.value,
            each.verdict.value,
            each.first_seen,
            each.last_seen,
            None,
            None,
            None,
            each.remarks or None,
        )
        for each in result.damages
    )
    return header, rows


def _rounded(value: float | None, digits: int = 3) -> float | None:
    return None if value is None else round(value, digits)
