# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Convert every field of a mapped crack to plain JSON values and back; the database and GeoJSON store these.

``_KINDS`` names the kind of each field. It is written out rather than read from the annotations of ``MappedCrack``:
what typing makes of an annotation such as ``NDArray[np.float64]`` differs between versions of Python and NumPy. A field
that is added to ``MappedCrack`` needs a line there, and a default, which cracks stored before it existed are read with.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, dataclass, fields
from enum import Enum
from typing import Any, TypeAlias

import numpy as np

from crack_perception.mapping.mapped_crack import CrackState, MappedCrack

_UNIT_TOLERANCE = 1e-3
# As for poses.
_FARTHEST_M = 1e8
_WIDEST_MM = 1e5

Plain: TypeAlias = Any
"""What JSON can hold: int, float, str, None or a list of these."""

Kind: TypeAlias = "type[Any] | np.dtype[Any]"
"""int, float, str, a subclass of Enum, or the dtype of an array."""

_FLOATS = np.dtype(np.float64)
_INTEGERS = np.dtype(np.int64)

_KINDS: Mapping[str, Kind] = {
    "id": int,
    "state": CrackState,
    "line_m": _FLOATS,
    "width_mm": _FLOATS,
    "width_sigma_mm": _FLOATS,
    "normal": _FLOATS,
    "covariance_m2": _FLOATS,
    "score": float,
    "gsd_mm_per_px": float,
    "views": int,
    "misses": int,
    "first_seen_ns": int,
    "last_seen_ns": int,
    "covariance_knots_m2": _FLOATS,
    "evidence": _FLOATS,
    "shape_weight": _FLOATS,
    "width_gsd_mm_per_px": _FLOATS,
    "width_views": _FLOATS,
    "coarsest_gsd_mm_per_px": float,
    "apart_from": _INTEGERS,
    "view_log_odds": float,
    "score_views": float,
    "shown_views": float,
    "missing_views": float,
}


@dataclass(frozen=True)
class CrackField:
    """One field of ``MappedCrack`` and its conversion to plain values.

    Attributes:
        name: As in the dataclass.
        kind: Decides the conversion.
    """

    name: str
    kind: Kind

    def plain(self, value: Any) -> Plain:
        """The value for JSON, which has neither ``nan`` nor infinity: they become null and "inf" or "-inf"."""
        if isinstance(self.kind, np.dtype):
            return _plain_array(np.asarray(value, dtype=self.kind))
        if issubclass(self.kind, Enum):
            return value.value
        if self.kind is float:
            return _plain_float(float(value))
        return self.kind(value)

    def value(self, plain: Plain) -> Any:
        """Inverse of ``plain``.

        Raises:
            ValueError: ``plain`` is not a value of this kind.
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


def matched_fields(names: Sequence[str], kinds: Mapping[str, Kind]) -> tuple[CrackField, ...]:
    """The fields of these names, each with its kind.

    Raises:
        TypeError: ``kinds`` does not name exactly these fields.
    """
    unmatched = sorted(set(names) ^ set(kinds))
    if unmatched:
        raise TypeError(f"the fields and the kinds of MappedCrack disagree on {', '.join(unmatched)}")
    return tuple(CrackField(name, kinds[name]) for name in names)


CRACK_FIELDS = matched_fields([field.name for field in fields(MappedCrack)], _KINDS)
"""The fields of a crack in the order of the dataclass."""

REQUIRED_FIELDS = tuple(
    field.name for field in fields(MappedCrack) if field.default is MISSING and field.default_factory is MISSING
)
"""The fields without a default: the map itself. The fusion needs the others to continue after a restart."""


_REQUIRED = tuple(field for field in CRACK_FIELDS if field.name in REQUIRED_FIELDS)


def plain_crack(crack: MappedCrack) -> dict[str, Plain]:
    """All fields by name, ready for JSON."""
    return {field.name: field.plain(getattr(crack, field.name)) for field in CRACK_FIELDS}


def plain_required(crack: MappedCrack) -> dict[str, Plain]:
    """The fields of ``REQUIRED_FIELDS`` by name, ready for JSON."""
    return {field.name: field.plain(getattr(crack, field.name)) for field in _REQUIRED}


def crack_of(plain: Mapping[str, Plain]) -> MappedCrack:
    """Inverse of ``plain_crack``; unknown names are ignored, missing ones take the field's default.

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
    _check_numbers(crack)


def _check_numbers(crack: MappedCrack) -> None:
    """Check for numbers that no crack has; they come from a damaged file or from another program."""
    farthest_m = float(np.abs(crack.line_m).max())
    if farthest_m > _FARTHEST_M:
        raise ValueError(f"line_m: has a point at {farthest_m:g} m")
    for name in ("width_mm", "width_sigma_mm"):
        widths = getattr(crack, name)
        known = widths[~np.isnan(widths)]
        if known.size and not 0.0 <= known.min() <= known.max() <= (_WIDEST_MM if name == "width_mm" else math.inf):
            raise ValueError(f"{name}: has {known.min():g} to {known.max():g} mm")
    if not 0.0 <= crack.score <= 1.0:
        raise ValueError(f"score: is {crack.score:g}, not from 0 to 1")
    for name in ("views", "misses"):
        if getattr(crack, name) < 0:
            raise ValueError(f"{name}: is {getattr(crack, name)}")
    if np.diag(crack.covariance_m2).min() < 0.0:
        raise ValueError("covariance_m2: has a negative variance")


def _plain_float(value: float) -> Plain:
    if math.isnan(value):
        return None
    return value if math.isfinite(value) else str(value)


def _plain_array(array: np.ndarray) -> Plain:
    if array.size == 0 and array.ndim > 1:
        return {"shape": list(array.shape)}
    if array.size == 0 or array.dtype.kind != "f" or np.isfinite(array).all():
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
