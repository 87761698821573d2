# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Choices of the user for the PDF and the HTML page."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

_MEGABYTE = 1_000_000


@dataclass(frozen=True)
class DocumentOptions:
    """Choices for the documents.

    Attributes:
        template: Folder with a ``report.typ`` in place of the one of this package; None for the latter.
        fonts: Folder with further fonts; None for none.
        photographed_cracks: Number of cracks, the most urgent first, that are shown with photographs.
        page_bytes: Bound of the photographs in the HTML page.
    """

    template: Path | None = None
    fonts: Path | None = None
    photographed_cracks: int = 150
    page_bytes: int = 16 * _MEGABYTE
