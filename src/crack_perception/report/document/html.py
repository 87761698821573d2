# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""The HTML page: one file with everything in it, without scripts, bounded in size; all text is escaped."""

from __future__ import annotations

import base64
from importlib import resources
from pathlib import Path

from crack_perception.report.document.options import DocumentOptions
from crack_perception.report.document.prepared import Prepared
from crack_perception.report.whole_file import whole_file

TEMPLATE = "report.html"


def write_html(path: Path, prepared: Prepared, options: DocumentOptions) -> None:
    """Write the page; photographs beyond ``options.page_bytes`` are left out, which the page says.

    Raises:
        UserError: The file cannot be written.
    """
    from jinja2 import Environment, StrictUndefined
    from markupsafe import Markup

    contents = prepared.contents
    shown = _shown_photographs(prepared, options.page_bytes)
    left_out = sum(len(crack["photographs"]) for crack in contents["cracks"]) - len(shown)
    note = contents["photograph_note"]
    if left_out:
        note += f" {left_out} photographs are left out to keep this page small."
    shipped = resources.files("crack_perception.report.document") / "templates" / TEMPLATE
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.globals["jpeg_uri"] = lambda name: _uri("image/jpeg", (prepared.folder / name).read_bytes())
    environment.globals["svg_uri"] = lambda text: _uri("image/svg+xml", text.encode())
    environment.globals["chip"] = lambda colour: Markup('<span class="chip" style="background: {}"></span>').format(
        colour
    )
    template = environment.from_string(shipped.read_text(encoding="utf-8"))
    with whole_file(path) as partial, partial.open("w", encoding="utf-8") as file:
        file.writelines(template.generate({**contents, "photograph_note": note, "shown": shown}))


def _shown_photographs(prepared: Prepared, most_bytes: int) -> frozenset[str]:
    """Files of the photographs that the page has room for, the most urgent cracks first."""
    shown: list[str] = []
    left_bytes = most_bytes
    for crack in prepared.contents["cracks"]:
        for photograph in crack["photographs"]:
            left_bytes -= (prepared.folder / photograph["file"]).stat().st_size
            if left_bytes < 0:
                return frozenset(shown)
            shown.append(photograph["file"])
    return frozenset(shown)


def _uri(kind: str, content: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode('ascii')}"
