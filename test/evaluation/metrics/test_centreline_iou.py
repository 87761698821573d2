# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Tests of the overlap of mapped and true centrelines."""

from __future__ import annotations

import numpy as np
import pytest

from crack_perception.evaluation.metrics.centreline_iou import average_precision_50, centreline_iou


def line(x_m: float, length_m: float, y_m: float = 0.0) -> np.ndarray:
    return np.array([[x_m, y_m, 0.0], [x_m + length_m, y_m, 0.0]])


def test_centreline_iou_same_line_within_tolerance_is_one() -> None:
    assert centreline_iou([line(0, 1, 0.03)], [line(0, 1)]) == pytest.approx(1.0)


def test_centreline_iou_beyond_tolerance_is_zero() -> None:
    assert centreline_iou([line(0, 1, 0.05)], [line(0, 1)]) == 0.0


def test_centreline_iou_counts_missing_and_false_length() -> None:
    # Half a metre is missing, one metre is false: 0.5 of 1 + 1.
    mapped = [line(0, 0.5), line(5, 1)]
    assert centreline_iou(mapped, [line(0, 1)]) == pytest.approx(0.25, abs=0.03)
    assert centreline_iou(mapped, [line(0, 1)], ignored_m=[line(5, 1)]) == pytest.approx(0.5, abs=0.05)


def test_centreline_iou_nothing_to_compare_is_unknown() -> None:
    assert centreline_iou([], []) is None
    assert centreline_iou([], [line(0, 1)]) == 0.0


def test_average_precision_all_found_is_one() -> None:
    true = [line(0, 1), line(0, 1, 1.0)]
    assert average_precision_50(true, [0.9, 0.8], true) == pytest.approx(1.0)


def test_average_precision_second_object_on_a_crack_is_false() -> None:
    true = [line(0, 1), line(0, 1, 1.0)]
    mapped = [line(0, 1), line(0, 1, 0.01), line(0, 1, 1.0)]
    # Correct, false, correct: precision 1 at recall 0.5, 2/3 at recall 1.
    assert average_precision_50(mapped, [0.9, 0.8, 0.7], true) == pytest.approx(0.5 + 0.5 * 2 / 3)


def test_average_precision_ignored_crack_is_no_error() -> None:
    mapped = [line(0, 1, 5.0), line(0, 1)]
    assert average_precision_50(mapped, [0.9, 0.8], [line(0, 1)], ignored_m=[line(0, 1, 5.0)]) == pytest.approx(1.0)
    assert average_precision_50(mapped, [0.9, 0.8], [line(0, 1)]) == pytest.approx(0.5)


def test_average_precision_without_truth_is_unknown() -> None:
    assert average_precision_50([line(0, 1)], [0.9], []) is None
