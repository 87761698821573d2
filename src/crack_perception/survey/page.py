# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Index page of a survey: all structures, the worst cracks first; one file without scripts, all text escaped."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from importlib import resources
from typing import Any
from urllib.parse import quote

from crack_perception.survey.structure_map import CRACKS_FILE, MAP_FILE, worst_first

PAGE = "index.html"
_TEMPLATE = "index.html"


def index_page(summary: dict[str, Any], plans: Mapping[str, bytes]) -> str:
    """Return the page of a run's summary.

    Args:
        plans: Structure -> its small plan as SVG.
    """
    from jinja2 import Environment, StrictUndefined

    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters["number"] = _number
    environment.filters["link"] = lambda path: quote(path)
    template = environment.from_string(
        (resources.files("crack_perception.survey") / "templates" / _TEMPLATE).read_text(encoding="utf-8")
    )
    structures = sorted(summary["structures"], key=_rank)
    return template.render(
        summary=summary,
        structures=[
            {**structure, "anchor": f"s{number}", "plan": _data_uri(plans.get(structure["structure"]))}
            for number, structure in enumerate(structures)
        ],
        map_file=MAP_FILE,
        cracks_file=CRACKS_FILE,
    )


def _rank(structure: dict[str, Any]) -> tuple[Any, ...]:
    """Return the key that sorts structures: those with the worst crack first, those without a map last."""
    worst = structure["worst"]
    return (not worst, worst_first(worst[0]) if worst else (), structure["structure"])


def _data_uri(plan: bytes | None) -> str | None:
    """An SVG as a picture of its own, so that its ids meet no others and none of its content runs."""
    return None if plan is None else f"data:image/svg+xml;base64,{base64.b64encode(plan).decode()}"


def _number(value: float | None, digits: int = 2) -> str:
    return "–" if value is None else f"{value:.{digits}f}"
