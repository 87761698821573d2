# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""All deliverables by the name of their format, and the writing of a chosen set of them."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from crack_perception.errors import UsageError, UserError, file_error
from crack_perception.report.contents import Survey
from crack_perception.report.document.options import DocumentOptions
from crack_perception.report.document.prepared import Prepared, prepare
from crack_perception.report.georeference import Georeference


@dataclass(frozen=True)
class Format:
    """A kind of deliverable.

    Attributes:
        file: Its file or folder in the output folder.
        module, function: Where it is written, below ``crack_perception.report``.
            Called with path, survey and georeference; of documents with path, prepared contents and options.
        needs: Modules of the extra ``report``.
        on_earth: Whether it needs the map's place on the earth.
        is_document: Whether it is one of the documents, which share their contents.
    """

    file: str
    module: str
    function: str
    needs: tuple[str, ...] = ()
    on_earth: bool = False
    is_document: bool = False


FORMATS: dict[str, Format] = {
    "pdf": Format("report.pdf", "document.pdf", "write_pdf", ("typst", "shapely"), is_document=True),
    "html": Format("report.html", "document.html", "write_html", ("jinja2", "shapely"), is_document=True),
    "xlsx": Format("cracks.xlsx", "formats.workbook", "write_workbook", ("shapely", "xlsxwriter")),
    "csv": Format("cracks.csv", "formats.csv_table", "write_csv"),
    "gpkg": Format("cracks.gpkg", "formats.geopackage", "write_geopackage"),
    "geojson": Format("cracks.geojson", "formats.geojson", "write_geojson"),
    "coverage": Format("coverage.geojson", "formats.coverage_geojson", "write_coverage_geojson"),
    "kml": Format("cracks.kml", "formats.kml", "write_kml", on_earth=True),
    "dxf": Format("cracks_elevations.dxf", "formats.dxf", "write_elevations", ("ezdxf", "shapely")),
    "dxf3d": Format("cracks_3d.dxf", "formats.dxf", "write_lines", ("ezdxf",)),
    "photographs": Format("photographs", "formats.annotations", "write_photographs"),
    "coco": Format("coco.json", "formats.annotations", "write_coco"),
    "labelme": Format("photographs", "formats.annotations", "write_labelme"),
}
"""Format -> how it is written, in the order in which they are written."""


def chosen_formats(text: str | None, georeference: Georeference) -> list[str]:
    """Formats of a comma-separated list; without one all that are possible.

    Raises:
        UsageError: An unknown format.
        UserError: A package is not installed.
    """
    if text is None:
        names = [name for name, kind in FORMATS.items() if georeference.epsg is not None or not kind.on_earth]
    else:
        names = [name.strip().lower() for name in text.split(",") if name.strip()]
    elsewhere = [name for name in names if name in FORMATS and FORMATS[name].on_earth and georeference.epsg is None]
    if elsewhere:
        raise UsageError(
            f"{', '.join(elsewhere)} needs the map's place on the earth", "Give --origin-wgs84, or --epsg with --origin"
        )
    unknown = [name for name in names if name not in FORMATS]
    if unknown or not names:
        raise UsageError(f"there is no format '{', '.join(unknown)}'", f"Choose from {', '.join(FORMATS)}")
    missing = sorted({module for name in names for module in FORMATS[name].needs if not _is_installed(module)})
    if missing:
        raise UserError(
            f"this needs {', '.join(missing)}",
            "Install them with: pip install 'crack_perception[report]', or choose --formats",
        )
    return list(dict.fromkeys(names))


def write_report(
    folder: Path,
    survey: Survey,
    georeference: Georeference,
    formats: Sequence[str],
    options: DocumentOptions,
    show: Callable[[str, Path], None] = lambda name, path: None,
) -> list[Path]:
    """Write the deliverables.

    Args:
        folder: Output folder; made where it does not exist.
        formats: Keys of ``FORMATS``.
        options: For the documents.
        show: Called with each format and its finished file.

    Returns:
        The files, in the order of the formats.

    Raises:
        UserError: A file cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise file_error(folder, error, "Choose another folder with --out") from error
    paths = []
    prepared: Prepared | None = None
    with ExitStack() as stack:
        for name in formats:
            kind = FORMATS[name]
            path = folder / kind.file
            write = getattr(importlib.import_module(f"crack_perception.report.{kind.module}"), kind.function)
            if kind.is_document:
                prepared = prepared or stack.enter_context(prepare(survey, georeference, options))
                write(path, prepared, options)
            else:
                write(path, survey, georeference)
            show(name, path)
            paths.append(path)
    return paths


def _is_installed(module: str) -> bool:
    return importlib.util.find_spec(module) is not None
