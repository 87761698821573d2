# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Benchmark document: format and reading."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from crack_perception.documents import parse_json
from crack_perception.errors import UserError
from crack_perception.evaluation.benchmark.tile_times import RATIOS

FORMAT, FORMAT_VERSION = "crack_perception/benchmark", 1
NODE_OVER_INFERENCE = "node_over_inference"


def read_document(path: Path) -> dict[str, Any]:
    """Read the document of an earlier run.

    Raises:
        UserError: The file cannot be read or is not a benchmark document.
    """
    remedy = "Give a file written by `crack_perception benchmark --out FILE`"
    try:
        document = parse_json(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})", remedy) from None
    except ValueError as error:
        raise UserError(f"{path} is not JSON: {error}", remedy) from None
    version = (document.get("format"), document.get("format_version")) if isinstance(document, dict) else None
    if version != (FORMAT, FORMAT_VERSION) or not set(empty_document()) <= set(document):
        raise UserError(f"{path} is not a benchmark document of version {FORMAT_VERSION}", remedy)
    return dict(document)


def empty_document() -> dict[str, Any]:
    """Return a document without measurements."""
    return {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "machine": {},
        "model": {},
        "parts": [],
        "tile_ms": {},
        "ratios": dict.fromkeys((*RATIOS, NODE_OVER_INFERENCE)),
        "ratio_spread": {},
        "missing": "",
        "sustained": {},
        "fixed_rates": {},
        "stages_ms": {},
        NODE_OVER_INFERENCE: None,
        "overload": None,
        "idle": None,
        "soak": None,
    }
