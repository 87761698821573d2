# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Bounded reading of JSON and XML files from other programs."""

from __future__ import annotations

import math
import re
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

from crack_perception.documents import parse_json
from crack_perception.errors import UserError

MOST_BYTES = 512 << 20
"""Largest file that is read."""

_DECLARATION = re.compile(r"<!(?!--|\[CDATA\[)")


def read_text(path: Path) -> str:
    """Read a text file as UTF-8, or as UTF-16 where it says so.

    Raises:
        UserError: The file cannot be read or is too large.
    """
    try:
        if path.stat().st_size > MOST_BYTES:
            raise UserError(
                f"{path}: is larger than {MOST_BYTES >> 20} MiB", "Export poses and cameras without tie points"
            )
        data = path.read_bytes()
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})", "Check the path and its permissions") from error
    encoding = "utf-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    return data.decode(encoding, "replace")


def read_json(path: Path) -> Any:
    """Read a JSON file.

    Raises:
        UserError: The file cannot be read or is no JSON.
    """
    try:
        return parse_json(read_text(path))
    except ValueError as error:
        raise UserError(f"{path}: is no JSON ({error})", "Export it again") from error


def read_xml(path: Path) -> ET.Element:
    """Read an XML file; one with a document type is refused, since entities can grow without bounds.

    Raises:
        UserError: The file cannot be read, is no XML or declares a document type.
    """
    text = re.sub(r"^\s*<\?xml[^>]*\?>", "", read_text(path), count=1)
    if _DECLARATION.search(text):
        raise UserError(f"{path}: declares a document type or entities", "Export it again without them")
    try:
        return ET.fromstring(text)
    except ET.ParseError as error:
        raise UserError(f"{path}: is no XML ({error})", "Export it again") from error


def number_in(element: ET.Element | None, name: str, default: float | None = None) -> float:
    """Return the number in a child of an element.

    Raises:
        ValueError: It is missing without a default, or no finite number.
    """
    text = None if element is None else element.findtext(name)
    if text is None:
        if default is None:
            raise ValueError(f"<{name}> is missing")
        return default
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"<{name}> is {text}")
    return value


def numbers_in(text: str | None, count: int, what: str) -> list[float]:
    """Return the numbers of a text separated by spaces.

    Raises:
        ValueError: There are more or fewer, or one is not finite.
    """
    values = [float(part) for part in (text or "").split()]
    if len(values) != count or not all(map(math.isfinite, values)):
        raise ValueError(f"{what} has {len(values)} of {count} finite numbers")
    return values
