# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""What PDF and HTML page share, made once: their contents as plain values, and a folder with the photographs."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from crack_perception.errors import file_error
from crack_perception.mapping.evidence.photograph import Photograph
from crack_perception.report.contents import Survey
from crack_perception.report.document.coverage_plan import coverage_values
from crack_perception.report.document.facet_plan import plan_values
from crack_perception.report.document.options import DocumentOptions
from crack_perception.report.document.payload import payload
from crack_perception.report.document.photographs import thumbnail
from crack_perception.report.georeference import Georeference

# Photographs of twice the size are decoded in half the time: see `thumbnail`.
_PHOTOGRAPH_PX = 640


@dataclass(frozen=True, eq=False)
class Prepared:
    """Contents of the documents.

    Attributes:
        contents: Plain values for the templates; photographs by ``file``, ``width`` and ``height``.
        folder: Where the photographs' files are, until the end of the block of ``prepare``.
    """

    contents: dict[str, Any]
    folder: Path


@contextmanager
def prepare(survey: Survey, georeference: Georeference, options: DocumentOptions) -> Iterator[Prepared]:
    """Make the contents of the documents in a temporary folder.

    Raises:
        UserError: No room for the photographs.
    """
    with tempfile.TemporaryDirectory(prefix="crack_report_") as name:
        folder = Path(name)
        (folder / "photographs").mkdir()
        files: list[str] = []

        def picture(photograph: Photograph) -> dict[str, Any] | None:
            small = thumbnail(survey.photograph_folder / photograph.file, photograph.size_px, _PHOTOGRAPH_PX)
            if small is None:
                return None
            file = f"photographs/{len(files)}.jpg"
            files.append(file)
            try:
                (folder / file).write_bytes(small.jpeg)
            except OSError as error:
                raise file_error(folder, error) from error
            return {"file": file, "width": small.width_px, "height": small.height_px}

        contents = payload(survey, georeference, options.photographed_cracks, picture)
        for facet in contents["facets"]:
            facet["plan"] = plan_values(survey, facet["letter"])
            facet["coverage"] = coverage_values(survey, facet["letter"])
        yield Prepared(contents, folder)
