# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Parameter files as flat dictionaries."""

from __future__ import annotations


def flat(tree: dict, prefix: str = "") -> dict:
    """Flatten a nested dictionary; nested keys are joined by dots."""
    leaves = {}
    for key, value in tree.items():
        leaves |= flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {prefix + key: value}
    return leaves
