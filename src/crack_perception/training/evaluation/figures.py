# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Formatting of metrics for reports: rounding, undefined values, intervals and Markdown tables."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from crack_perception.evaluation.metrics.classification import grouped_share_interval


def number(value: float) -> float | None:
    """Round a value to four decimals; ``None`` for ``nan``, which JSON cannot represent."""
    return None if math.isnan(value) else round(float(value), 4)


def interval(ends: tuple[float, float]) -> list[float | None]:
    """Round both ends of a bootstrap interval."""
    return [number(end) for end in ends]


def share(hits: npt.NDArray[np.bool_], groups: npt.NDArray[np.str_]) -> dict[str, Any]:
    """Compute the share of hits with its 95 % bootstrap interval.

    Args:
        hits: ``(N,)`` True for a hit.
        groups: ``(N,)`` photographs, the unit of the bootstrap.

    Returns:
        ``n``, ``share`` and ``interval``; without rows the last two are ``None``.
    """
    if not len(hits):
        return {"n": 0, "share": None, "interval": None}
    ends = grouped_share_interval(hits, groups)
    return {"n": len(hits), "share": number(float(hits.mean())), "interval": interval(ends)}


def cell(value: Any) -> str:
    """Format a value as a table cell."""
    if value is None:
        return "–"
    if isinstance(value, list):
        return " – ".join(cell(end) for end in value)
    return f"{value:.3f}" if isinstance(value, float) else str(value)


def markdown_table(head: tuple[str, ...], rows: list[tuple[Any, ...]]) -> str:
    """Format rows as a Markdown table."""
    lines = [f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    return "\n".join(lines + [f"| {' | '.join(cell(value) for value in row)} |" for row in rows])
