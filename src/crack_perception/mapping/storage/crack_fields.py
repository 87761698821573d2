"""Every field of a crack of the map as numbers, texts and lists, and back: what the database and GeoJSON are made of.

The table of fields comes from the dataclass itself, so a field that is added to ``MappedCrack`` is stored without a
line here, as long as it is a number, a text, an enumeration or an array of numbers. Give it a default: cracks that
were stored before it existed are read with that.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields
from enum import Enum
from typing import Any, get_args, get_origin, get_type_hints

import numpy as np

from crack_perception.mapping.mapped_crack import MappedCrack

_UNIT_TOLERANCE = 1e-3

Plain = Any
"""What JSON can hold: int, float, str, None or a list of these."""


@dataclass(frozen=True)
class CrackField:
    """One field of ``MappedCrack`` and how it becomes plain.

    Attributes:
        name: As in the dataclass.
        kind: int, float, str, a subclass of Enum, or the dtype of an array.
    """

    name: str
    kind: type[Any] | np.dtype[Any]

    def plain(self, value: Any) -> Plain:
        """The value for JSON: ``nan`` is null, an infinity the text "inf" or "-inf", since JSON knows neither."""
        if isinstance(self.kind, np.dtype):
            return _plain_array(np.asarray(value, dtype=self.kind))
        if issubclass(self.kind, Enum):
            return value.value
        if self.kind is float:
            return _plain_float(float(value))
        return self.kind(value)

    def value(self, plain: Plain) -> Any:
        """The opposite of ``plain``.

        Raises:
            ValueError: It is not what ``plain`` makes.
        """
        try:
            if isinstance(self.kind, np.dtype):
                return _array(plain, self.kind)
            if self.kind is float:
                return math.nan if plain is None else float(plain)
            if self.kind is int and isinstance(plain, float):
                raise TypeError(f"{plain} is not a whole number")
            return self.kind(plain)
        except (TypeError, ValueError, KeyError, OverflowError) as error:
            raise ValueError(f"{self.name}: {error}") from error


def _crack_fields() -> tuple[CrackField, ...]:
    hints = get_type_hints(MappedCrack)
    return tuple(CrackField(field.name, _kind(field.name, hints[field.name])) for field in fields(MappedCrack))


def _kind(name: str, hint: Any) -> type[Any] | np.dtype[Any]:
    if get_origin(hint) is np.ndarray:
        return np.dtype(get_args(get_args(hint)[1])[0])
    if isinstance(hint, type) and (hint in (int, float, str) or issubclass(hint, Enum)):
        return hint
    raise TypeError(f"MappedCrack.{name}: fields of type {hint} cannot be stored; use numbers, texts, enums or arrays")


CRACK_FIELDS = _crack_fields()
"""The fields of a crack in the order of the dataclass."""

REQUIRED_FIELDS = tuple(
    field.name for field in fields(MappedCrack) if field.default is MISSING and field.default_factory is MISSING
)
"""The fields without a default: the map itself. The others are what the fusion needs to go on."""


def plain_crack(crack: MappedCrack) -> dict[str, Plain]:
    """All fields by name, ready for JSON."""
    return {field.name: field.plain(getattr(crack, field.name)) for field in CRACK_FIELDS}


def crack_of(plain: Mapping[str, Plain]) -> MappedCrack:
    """The crack of ``plain_crack``, exactly; unknown names are ignored, missing ones take the field's default.

    Raises:
        ValueError: A field is missing or wrong, or the arrays do not belong together; the message names the field.
    """
    values = {field.name: field.value(plain[field.name]) for field in CRACK_FIELDS if field.name in plain}
    missing = [name for name in REQUIRED_FIELDS if name not in values]
    if missing:
        raise ValueError(f"{missing[0]} is missing")
    crack = MappedCrack(**values)
    _check(crack)
    return crack


def default_of(name: str) -> Plain:
    """The plain default of a field.

    Raises:
        KeyError: The field has none.
    """
    field = next(field for field in fields(MappedCrack) if field.name == name)
    value = field.default_factory() if field.default_factory is not MISSING else field.default
    if value is MISSING:
        raise KeyError(name)
    return next(field for field in CRACK_FIELDS if field.name == name).plain(value)


def _check(crack: MappedCrack) -> None:
    count = len(crack.line_m)
    if crack.line_m.ndim != 2 or crack.line_m.shape[1] != 3 or count < 2 or not np.all(np.isfinite(crack.line_m)):
        raise ValueError("line_m: is not a line of at least two finite points")
    for name, shape in {
        "width_mm": (count,),
        "width_sigma_mm": (count,),
        "normal": (3,),
        "covariance_m2": (3, 3),
    }.items():
        found = getattr(crack, name).shape
        if found != shape:
            raise ValueError(f"{name}: has the shape {found}, not {shape}")
    if not abs(np.linalg.norm(crack.normal) - 1.0) < _UNIT_TOLERANCE:
        raise ValueError("normal: is not of length 1")


def _plain_float(value: float) -> Plain:
    if math.isnan(value):
        return None
    return value if math.isfinite(value) else str(value)


def _plain_array(array: np.ndarray) -> Plain:
    if array.size == 0 and array.ndim > 1:
        return {"shape": list(array.shape)}
    if array.dtype.kind != "f" or np.all(np.isfinite(array)):
        return array.tolist()
    plain = array.astype(object)
    plain[np.isnan(array)] = None
    plain[np.isposinf(array)] = "inf"
    plain[np.isneginf(array)] = "-inf"
    return plain.tolist()


def _array(plain: Plain, dtype: np.dtype[Any]) -> np.ndarray:
    if isinstance(plain, dict):
        return np.zeros([int(length) for length in plain["shape"]], dtype)
    if not isinstance(plain, list):
        raise ValueError("is not a list")
    return np.array(plain, dtype=dtype)
