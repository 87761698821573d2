# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Several models or parameter sets on one recording: a replay each, and their figures side by side."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from crack_perception.errors import UsageError
from crack_perception.evaluation.replay.plan import ReplayOptions
from crack_perception.evaluation.replay.requirements import NAMES, Requirement
from crack_perception.evaluation.replay.runner import replay
from crack_perception.paths import write_json, write_text

COMPARISON_JSON, COMPARISON_MD = "comparison.json", "comparison.md"

_NAME = re.compile(r"[A-Za-z0-9][\w.-]{0,63}")
_MOST = 16


@dataclass(frozen=True)
class Variant:
    """One model or parameter set.

    Attributes:
        name: Name of its folder below the output folder.
        parameters: Parameters of the node.
        params_file: Parameter file of the node; None: that of all variants.
    """

    name: str
    parameters: Mapping[str, str]
    params_file: Path | None = None


def parse_variants(texts: Sequence[str]) -> tuple[Variant, ...]:
    """Parse ``NAME:PARAMETER=VALUE,PARAMETER=VALUE``; the parameter ``params`` names a parameter file.

    Raises:
        UsageError: A variant has another form, or a name is used twice.
    """
    variants = tuple(_parsed(text) for text in texts)
    names = [variant.name for variant in variants]
    double = next((name for name in names if names.count(name) > 1), None)
    if double is not None:
        raise UsageError(f"two variants are named {double}", "Give each its own name")
    if len(variants) == 1 or len(variants) > _MOST:
        raise UsageError(
            f"--variant is given {len(variants)} time{'s' * (len(variants) > 1)}", f"Compare 2 to {_MOST} variants"
        )
    return variants


def _parsed(text: str) -> Variant:
    name, separator, rest = text.partition(":")
    pairs = [part.partition("=") for part in rest.split(",") if part.strip()]
    if not separator or not _NAME.fullmatch(name) or not all(key.strip() and sign for key, sign, _ in pairs):
        raise UsageError(
            f"--variant {text} is not of the form NAME:PARAMETER=VALUE,...",
            "For example --variant fast:model=nano --variant fine:model=standard,threshold=0.7",
        )
    values = {key.strip(): value.strip() for key, _, value in pairs}
    params = values.pop("params", None)
    return Variant(name, values, None if params is None else Path(params))


def replay_variants(
    options: ReplayOptions, variants: Sequence[Variant], progress: Callable[[str], None]
) -> dict[str, dict[str, Any]]:
    """Replay a recording once for each variant, and write the comparison into ``options.out``.

    Returns:
        Report of each variant by name.

    Raises:
        UserError: As ``replay``.
    """
    reports: dict[str, dict[str, Any]] = {}
    for variant in variants:
        progress(f"variant {variant.name}")
        own = replace(
            options,
            out=options.out / variant.name,
            parameters={**options.parameters, **variant.parameters},
            params_file=variant.params_file or options.params_file,
        )
        reports[variant.name] = replay(own, progress)
    rows = comparison_rows(reports)
    write_json(
        options.out / COMPARISON_JSON,
        {
            "variants": {each.name: dict(each.parameters) for each in variants},
            "figures": {name: dict(zip(reports, values, strict=True)) for name, values in rows},
        },
    )
    write_text(options.out / COMPARISON_MD, "\n".join(comparison_table(list(reports), rows)) + "\n")
    return reports


Row = tuple[str, list[float | None]]


def comparison_rows(reports: Mapping[str, Mapping[str, Any]]) -> list[Row]:
    """Return name and values of the figures that at least one report knows."""
    rows: list[Row] = []
    for name, path in NAMES.items():
        figure = Requirement(name, path, "==", 0.0)
        values = [figure.check(report)[1] for report in reports.values()]
        if any(value is not None for value in values):
            rows.append((name, values))
    return rows


def comparison_table(names: Sequence[str], rows: Sequence[Row]) -> list[str]:
    """Return the lines of a Markdown table, a column a variant."""
    lines = [f"| figure | {' | '.join(names)} |", f"|---|{'---|' * len(names)}"]
    for name, values in rows:
        cells = ("unknown" if value is None else f"{value:.4g}" for value in values)
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return lines
