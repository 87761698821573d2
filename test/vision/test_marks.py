# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Cracks that people marked: names of categories, and masks in COCO's run lengths."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from crack_perception.errors import UserError
from crack_perception.vision.marks import crack_names, means_crack, outlines_of, run_length_mask

MASKS = arrays.arrays(np.uint8, arrays.array_shapes(min_dims=2, max_dims=2, max_side=40), elements=st.integers(0, 1))


def run_lengths(mask: np.ndarray[Any, Any]) -> list[int]:
    """Lengths of runs down the columns, of background first."""
    values = np.concatenate([[0], mask.T.reshape(-1)])
    changes = np.flatnonzero(np.diff(values))
    edges = np.concatenate([[0], changes, [mask.size]])
    return list(map(int, np.diff(edges)))


@given(MASKS)
def test_run_lengths_give_the_mask_back(mask: np.ndarray[Any, Any]) -> None:
    decoded = run_length_mask({"size": list(mask.shape), "counts": run_lengths(mask)})
    np.testing.assert_array_equal(decoded, mask)


@given(MASKS)
def test_compressed_run_lengths_are_read_as_pycocotools_writes_them(mask: np.ndarray[Any, Any]) -> None:
    coco = pytest.importorskip("pycocotools.mask", reason="pycocotools is not installed: run scripts/setup")
    written = coco.encode(np.asfortranarray(mask))
    np.testing.assert_array_equal(run_length_mask(written), mask)
    np.testing.assert_array_equal(run_length_mask({**written, "counts": written["counts"].decode()}), mask)


@pytest.mark.parametrize(
    "segmentation",
    [
        {"size": [2, 3], "counts": [1, 2]},
        {"size": [2, 3], "counts": [-1, 7]},
        {"size": [0, 3], "counts": []},
        {"size": [100_000, 100_000], "counts": [10**10]},
        {"size": [2, 3], "counts": "\x01"},
        {"size": [2, 3], "counts": "é"},
        {"size": [2, 3], "counts": "o"},
        {"size": [2], "counts": [6]},
        {"size": [2, 3]},
        {"size": [2, 3], "counts": {"a": 1}},
    ],
)
def test_malformed_masks_are_refused(segmentation: dict[str, Any]) -> None:
    with pytest.raises((KeyError, TypeError, ValueError)):
        run_length_mask(segmentation)


def test_outlines_of_a_mask_enclose_its_parts() -> None:
    mask = np.zeros((60, 80), np.uint8)
    mask[5:12, 10:50] = 255
    mask[40:42, 3:70] = 1
    drawn = np.zeros_like(mask)
    outlines = outlines_of(mask)
    cv2.fillPoly(drawn, [outline.astype(np.int32) for outline in outlines], 1)
    assert len(outlines) == 2
    np.testing.assert_array_equal(drawn, mask > 0)


@pytest.mark.parametrize(
    ("name", "expected"), [("Crack", True), ("fine_cracks", True), ("no-crack", False), ("uncracked", False)]
)
def test_names_mean_a_crack_unless_they_negate_it(name: str, expected: bool) -> None:
    assert means_crack(name) is expected


def test_names_of_cracks_are_chosen_or_asked_for() -> None:
    path = Path("marks.json")
    assert crack_names({"crack", "spalling"}, None, path, "") == {"crack"}
    assert crack_names({"fissure"}, None, path, "") == {"fissure"}
    assert crack_names({"fissure", "spalling"}, "fissure", path, "") == {"fissure"}
    assert crack_names(set(), None, path, "") == set()
    with pytest.raises(UserError, match="no category name contains 'crack'; it has fissure, spalling"):
        crack_names({"fissure", "spalling"}, None, path, "Name it")
    with pytest.raises(UserError, match="no category is named 'rust'"):
        crack_names({"fissure"}, "rust", path, "Name it")
