# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Parsing of JSON and YAML that others wrote, where nesting too deep is an error as any other in the text.

The parsers of Python raise RecursionError instead, which no caller expects from a file.
"""

from __future__ import annotations

import json
from typing import Any

_BYTE_ORDER_MARK = "\ufeff"
_TOO_DEEP = "it is nested too deeply"


def parse_json(text: str | bytes | bytearray) -> Any:
    """Parse JSON; a mark of the byte order, with which some editors begin a text, is skipped.

    Raises:
        ValueError: It is no JSON, is not UTF-8, or is nested too deeply.
    """
    try:
        return json.loads(text.removeprefix(_BYTE_ORDER_MARK) if isinstance(text, str) else text)
    except RecursionError:
        raise ValueError(_TOO_DEEP) from None


def parse_yaml(text: str | bytes) -> Any:
    """Parse one document of plain YAML, without tags that construct objects.

    Raises:
        yaml.YAMLError: It is no plain YAML, or is nested too deeply.
        ValueError: A date or number in it does not exist.
    """
    import yaml

    try:
        # The parser in C is ten times as fast: a bag's metadata may be long.
        return yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    except RecursionError:
        raise yaml.YAMLError(_TOO_DEEP) from None
