# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Report of a soak test as JSON and as a Markdown table."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from crack_perception.documents import parse_json
from crack_perception.errors import UserError
from crack_perception.evaluation.machine import processor_text


def read_document(path: Path) -> dict[str, Any]:
    """Read the report of an earlier run.

    Raises:
        UserError: The file is missing or is not a report of a soak test.
    """
    try:
        document = parse_json(path.read_text(encoding="utf-8"))
        if isinstance(document, dict) and isinstance(document.get("rows"), list):
            return document
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: cannot be read ({error})", "Give a file that soak --out has written") from error
    raise UserError(f"{path} is no report of a soak test", "Give a file that soak --out has written")


def soak_markdown(document: Mapping[str, Any]) -> str:
    """Format a sentence on the run and a table with one row per fault (expected, seen, result of all rounds)."""
    options, machine = document["options"], document["machine"]
    width = f"{options['rate_hz']:g} images/s of {options['size']}"
    lines = [
        f"{document['seconds'] / 60:.0f} minutes with {width}, model {options['model']}, seed {options['seed']}, on "
        f"{processor_text(machine)} (load {machine['load_before']:.1f} before): "
        f"{document['images_sent']} images published, {document['frames_answered']} answered, "
        f"{document['diagnostics']} diagnostics checked.",
        *([f"\n**Incomplete**: {_cell(document['incomplete'])}."] if document.get("incomplete") else []),
        "",
        "| Fault | Expected | Seen | Result |",
        "| --- | --- | --- | --- |",
    ]
    for name, rows in _by_fault(document["rows"]):
        failed = [row for row in rows if not row["passed"]]
        shown = failed[0] if failed else rows[-1]
        result = "pass" if not failed else "FAIL"
        if len(rows) > 1:
            result += f" ({len(rows) - len(failed)} of {len(rows)})"
        cells = (name, shown["expected"], _with_range(shown["seen"], rows), result)
        lines.append("| " + " | ".join(_cell(cell) for cell in cells) + " |")
    return "\n".join(lines) + "\n"


def _by_fault(rows: Iterable[Mapping[str, Any]]) -> list[tuple[str, list[Mapping[str, Any]]]]:
    found: dict[str, list[Mapping[str, Any]]] = {}
    for row in rows:
        found.setdefault(row["fault"], []).append(row)
    return list(found.items())


def _with_range(seen: str, rows: list[Mapping[str, Any]]) -> str:
    """Return the observed behaviour with the slowest report of all rounds."""
    times = [row["reported_s"] for row in rows if "reported_s" in row]
    return f"{seen}; slowest report {max(times):.2f} s" if len(times) > 1 else seen


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
