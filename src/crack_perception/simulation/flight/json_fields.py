# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Typed, checked access to the fields of a JSON object; errors give the path of the field in the file."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from crack_perception.errors import UserError


class Fields:
    """Fields of one JSON object, checked when read.

    Args:
        value: The parsed object.
        where: File and path within it, used as prefix of every message.

    Raises:
        UserError: ``value`` is not an object.
    """

    def __init__(self, value: Any, where: str) -> None:
        if not isinstance(value, dict):
            raise UserError(f"{where}: must be a JSON object", "Generate the file again")
        self._value = value
        self._where = where

    def wrong(self, name: str, what: str) -> UserError:
        """Return the error for a field; ``what`` completes the sentence."""
        return UserError(f"{self._where}: {name} {what}", "Generate the file again")

    def _get(self, name: str) -> Any:
        if name not in self._value:
            raise self.wrong(name, "is missing")
        return self._value[name]

    def text(self, name: str) -> str:
        """Return a string field."""
        value = self._get(name)
        if not isinstance(value, str):
            raise self.wrong(name, "must be a string")
        return value

    def optional_text(self, name: str) -> str | None:
        """Return a string field that may be null."""
        return None if self._get(name) is None else self.text(name)

    def boolean(self, name: str) -> bool:
        """Return a true/false field."""
        value = self._get(name)
        if not isinstance(value, bool):
            raise self.wrong(name, "must be true or false")
        return value

    def integer(self, name: str, minimum: int | None = None, maximum: int | None = None) -> int:
        """Return an integer field, at least ``minimum`` and at most ``maximum``."""
        value = self._get(name)
        if not isinstance(value, int) or isinstance(value, bool):
            raise self.wrong(name, "must be a whole number")
        if minimum is not None and value < minimum:
            raise self.wrong(name, f"must be at least {minimum}")
        if maximum is not None and value > maximum:
            raise self.wrong(name, f"must be at most {maximum}")
        return value

    def number(self, name: str, above: float | None = None) -> float:
        """Return a finite number field, greater than ``above``."""
        value = self._get(name)
        if not isinstance(value, (int, float)) or isinstance(value, bool) or not math.isfinite(value):
            raise self.wrong(name, "must be a finite number")
        if above is not None and value <= above:
            raise self.wrong(name, f"must be greater than {above:g}")
        return float(value)

    def numbers(self, name: str, shape: tuple[int | None, ...]) -> NDArray[np.float64]:
        """Return nested lists of finite numbers as float64 of a shape; None allows any length."""
        described = "x".join("N" if length is None else str(length) for length in shape)
        try:
            values = np.asarray(self._get(name), np.float64)
        except (TypeError, ValueError):
            raise self.wrong(name, f"must be {described} numbers") from None
        if values.size == 0 and shape[0] is None:
            return values.reshape([length or 0 for length in shape])
        fits = values.ndim == len(shape) and all(n in (None, m) for n, m in zip(shape, values.shape, strict=True))
        if not fits or not np.isfinite(values).all():
            raise self.wrong(name, f"must be {described} finite numbers")
        return values

    def unit_vector(self, name: str, length: int) -> NDArray[np.float64]:
        """Return a vector field whose norm is 1 to within 1e-6."""
        values = self.numbers(name, (length,))
        if abs(float(np.linalg.norm(values)) - 1.0) > 1e-6:
            raise self.wrong(name, "must have the length 1")
        return values

    def child(self, name: str) -> Fields:
        """Return a nested object."""
        return Fields(self._get(name), f"{self._where}: {name}")

    def children(self, name: str) -> list[Fields]:
        """Return a list of objects."""
        value = self._get(name)
        if not isinstance(value, list):
            raise self.wrong(name, "must be a list")
        return [Fields(item, f"{self._where}: {name}[{index}]") for index, item in enumerate(value)]
