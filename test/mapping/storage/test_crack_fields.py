# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Tests of the kinds of the stored fields of a mapped crack."""

from __future__ import annotations

from dataclasses import fields
from enum import Enum

import numpy as np
import pytest
from map_cracks import random_crack, straight_crack

from crack_perception.mapping.mapped_crack import CrackState, MappedCrack
from crack_perception.mapping.storage.crack_fields import CRACK_FIELDS, crack_of, matched_fields, plain_crack


def test_crack_fields_match_dataclass_order() -> None:
    assert [field.name for field in CRACK_FIELDS] == [field.name for field in fields(MappedCrack)]


def test_crack_fields_kinds_match_values() -> None:
    crack = straight_crack()
    for field in CRACK_FIELDS:
        value = getattr(crack, field.name)
        assert (value.dtype if isinstance(value, np.ndarray) else type(value)) == field.kind, field.name


def test_crack_fields_kinds_match_annotations() -> None:
    names = {float: "float", int: "int", CrackState: "CrackState", np.dtype(float): "Array", np.dtype(np.int64): "Ids"}
    annotations = {field.name: field.type for field in fields(MappedCrack)}
    assert annotations == {field.name: names[field.kind] for field in CRACK_FIELDS}


def test_crack_of_random_crack_restores_values_and_types() -> None:
    rng = np.random.default_rng(3)
    for number in range(1, 30):
        crack = random_crack(rng, number)
        restored = crack_of(plain_crack(crack))
        for field in CRACK_FIELDS:
            before, after = getattr(crack, field.name), getattr(restored, field.name)
            assert type(after) is type(before), field.name
            if isinstance(before, np.ndarray):
                assert (after.dtype, after.shape) == (field.kind, before.shape)
            if isinstance(before, Enum):
                assert after is before
            else:
                np.testing.assert_array_equal(after, before)


@pytest.mark.parametrize(("names", "kinds"), [(["id", "colour"], {"id": int}), (["id"], {"id": int, "colour": str})])
def test_matched_fields_missing_counterpart_named(names: list[str], kinds: dict[str, type]) -> None:
    with pytest.raises(TypeError, match="colour"):
        matched_fields(names, kinds)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("score", 17.0),
        ("score", -0.1),
        ("score", float("nan")),
        ("views", -5),
        ("misses", -1),
        ("line_m", [[0.0, 0.0, 0.0], [1e300, 0.0, 0.0]]),
        ("width_mm", [-1.0, 1.0]),
        ("width_mm", [1.0, 5e15]),
        ("width_sigma_mm", [-1.0, 1.0]),
        ("covariance_m2", [[-1.0, 0, 0], [0, 1, 0], [0, 0, 1]]),
    ],
)
def test_crack_of_numbers_that_no_crack_has_are_refused(name: str, value: object) -> None:
    plain = plain_crack(straight_crack())
    two_points = {"line_m": [[0.0, 0.0, 0.0], [1.0, 0.0, 0.0]], "width_mm": [1.0, None], "width_sigma_mm": [0.1, None]}
    assert crack_of(plain | two_points).width_mm[0] == 1.0
    with pytest.raises(ValueError, match=f"^{name}: "):
        crack_of(plain | two_points | {name: value})
