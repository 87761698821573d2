# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""The HTML page: one file with everything in it, without scripts, bounded in size; all text is escaped."""

from __future__ import annotations

import base64
from importlib import resources
from pathlib import Path
from typing import Any

from crack_perception.mapping.evidence.photograph import Photograph
from crack_perception.report.contents import Survey
from crack_perception.report.document.facet_plan import plan_values
from crack_perception.report.document.options import DocumentOptions
from crack_perception.report.document.payload import payload
from crack_perception.report.document.photographs import thumbnail
from crack_perception.report.georeference import Georeference
from crack_perception.report.whole_file import whole_file

TEMPLATE = "report.html"
_PHOTOGRAPH_PX = 640


def write_html(path: Path, survey: Survey, georeference: Georeference, options: DocumentOptions) -> None:
    """Write the page.

    Raises:
        UserError: The file cannot be written.
    """
    from jinja2 import Environment, StrictUndefined
    from markupsafe import Markup

    left_bytes = options.page_bytes
    left_out = 0

    def picture(photograph: Photograph) -> dict[str, Any] | None:
        nonlocal left_bytes, left_out
        file = survey.photograph_folder / photograph.file
        small = thumbnail(file, photograph.size_px, _PHOTOGRAPH_PX) if left_bytes > 0 else None
        # The best photograph of a crack stands there twice.
        if small is None or 2 * len(small.jpeg) > left_bytes:
            left_out += 1
            left_bytes = min(left_bytes, 0) if small is not None else left_bytes
            return None
        left_bytes -= 2 * len(small.jpeg)
        return {"file": _uri("image/jpeg", small.jpeg), "width": small.width_px, "height": small.height_px}

    contents = payload(survey, georeference, options.photographed_cracks, picture)
    for facet in contents["facets"]:
        facet["plan"] = plan_values(survey, facet["letter"])
    if left_out:
        contents["photograph_note"] += f" {left_out} photographs are left out to keep this page small."
    shipped = resources.files("crack_perception.report.document") / "templates" / TEMPLATE
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.globals["svg_uri"] = lambda text: _uri("image/svg+xml", text.encode())
    environment.globals["chip"] = lambda colour: Markup('<span class="chip" style="background: {}"></span>').format(
        colour
    )
    template = environment.from_string(shipped.read_text(encoding="utf-8"))
    with whole_file(path) as partial, partial.open("w", encoding="utf-8") as file:
        file.writelines(template.generate(contents))


def _uri(kind: str, content: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode('ascii')}"
