# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Evaluation of the crack map against hand-made truths with hand-calculated results."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from evaluation_scenes import crack, mapped, square, truth_of

from crack_perception.evaluation.metrics.detections import ObservedLine
from crack_perception.evaluation.metrics.map_accuracy import MapAccuracy, measure_map
from crack_perception.mapping.mapped_crack import CrackState, MappedCrack
from crack_perception.simulation.flight.truth import Truth

SECOND_NS = 1_000_000_000


def evaluated(truth: Truth, *cracks: MappedCrack, observed: tuple[ObservedLine, ...] = ()) -> MapAccuracy:
    """Evaluate a map for which the node processed every frame."""
    return measure_map(cracks, truth, [frame.stamp_ns for frame in truth.frames], observed)


# 8 mm are 2 px; the image shows x from -1.28 to 1.28 and y from -0.96 to 0.96, cut to +-0.5 by the wall's size.
LONG = crack((-0.5, 0.0), (0.5, 0.0), 8.0)
TRUTH = truth_of([LONG])


def test_measure_map_exact_map_is_perfect() -> None:
    figures = evaluated(TRUTH, mapped((-0.5, 0.0), (0.5, 0.0))).figures
    assert figures["recall"] == pytest.approx(1.0)
    assert figures["duplicates"] == 0.0
    assert figures["false_objects_per_100m2"] == 0.0
    assert figures["position_error_m"]["p95"] == pytest.approx(0.0, abs=1e-9)
    assert figures["covariance_inside_95"] == 1.0
    assert figures["width_mae_mm"] == pytest.approx(0.0)
    assert figures["length_error"] == pytest.approx(0.0, abs=1e-6)
    assert figures["objects"] == {"new": 0, "confirmed": 1, "lost": 0}
    assert figures["visible_length_m"] == pytest.approx(1.0)
    # 640 px of 4 mm across, the whole height of the wall.
    assert figures["seen_area_m2"] == pytest.approx(2.56, rel=0.02)


def test_measure_map_recall_counts_cracks_wide_enough_in_best_image() -> None:
    fine, out_of_view = crack((-0.5, 0.2), (0.5, 0.2), 5.0, 1), crack((1.4, 0.0), (2.4, 0.0), 8.0, 2)
    half = mapped((-0.5, 0.0), (0.0, 0.0))
    figures = evaluated(truth_of([LONG, fine, out_of_view]), half).figures
    # 5 mm are 1.25 px: not counted. Half of the only visible crack is mapped, give or take the tolerance at its end.
    assert figures["visible_length_m"] == pytest.approx(1.0)
    assert figures["recall"] == pytest.approx(0.55, abs=0.006)
    assert figures["length_error"] == pytest.approx(0.0, abs=0.02)


@pytest.mark.parametrize("state", [CrackState.NEW, CrackState.LOST])
def test_measure_map_only_confirmed_objects_count(state: CrackState) -> None:
    figures = evaluated(TRUTH, mapped((-0.5, 0.0), (0.5, 0.0), state=state)).figures
    assert figures["recall"] == 0.0
    assert figures["objects"][state.value] == 1 and figures["objects"]["confirmed"] == 0
    assert figures["false_objects_per_100m2"] == 0.0 and figures["position_error_m"] is None


def test_measure_map_shifted_map_has_error_and_ellipse_result() -> None:
    near = evaluated(TRUTH, mapped((-0.5, 0.02), (0.5, 0.02), z_m=2.01)).figures
    assert near["position_error_m"]["median"] == pytest.approx(np.hypot(0.02, 0.01), rel=1e-3)
    assert near["position_error_in_surface_m"] == pytest.approx({"median": 0.02, "p95": 0.02}, rel=1e-3)
    assert near["position_error_along_normal_m"] == pytest.approx({"median": 0.01, "p95": 0.01}, rel=1e-3)
    # (2^2 + 1^2) standard deviations squared are below 5.99, (2.4^2 + 1^2) are not.
    assert near["covariance_inside_95"] == 1.0
    far = evaluated(TRUTH, mapped((-0.5, 0.024), (0.5, 0.024), z_m=2.01)).figures
    assert far["covariance_inside_95"] == 0.0
    # The offset along the crack is undefined, so a shift in that direction does not affect the ellipse.
    along = evaluated(TRUTH, mapped((-0.4, 0.0), (0.6, 0.0))).figures
    assert along["covariance_inside_95"] == 1.0
    assert along["length_error"] == pytest.approx(1.0 / 0.9 - 1, abs=0.01)


def test_measure_map_object_away_from_cracks_is_false() -> None:
    accuracy = evaluated(TRUTH, mapped((-0.5, 0.0), (0.5, 0.0)), mapped((0.0, 0.3), (0.3, 0.3), crack_id=2))
    figures = accuracy.figures
    assert figures["false_objects"] == 1
    assert figures["false_objects_per_100m2"] == pytest.approx(100 / figures["seen_area_m2"])
    assert figures["position_error_m"]["p95"] == pytest.approx(0.0, abs=1e-9)
    assert {outcome.id: outcome.is_true for outcome in accuracy.outcomes} == {1: True, 2: False}


def test_measure_map_object_across_a_crack_is_false() -> None:
    figures = evaluated(TRUTH, mapped((0.0, -0.4), (0.0, 0.4))).figures
    assert figures["false_objects"] == 1
    assert figures["recall"] == 0.0


def test_measure_map_shorter_of_two_objects_is_duplicate() -> None:
    accuracy = evaluated(
        TRUTH, mapped((0.1, 0.01), (0.3, 0.01), crack_id=1), mapped((-0.5, 0.0), (0.5, 0.0), crack_id=2)
    )
    assert accuracy.figures["duplicates"] == pytest.approx(0.2 / 1.2, abs=0.01)
    assert accuracy.figures["false_objects"] == 0
    assert [outcome.duplicate_share for outcome in accuracy.outcomes] == [1.0, 0.0]


def test_measure_map_offset_object_is_no_duplicate_of_neighbour() -> None:
    # A zigzag with another crack 10 cm below its first leg, each mapped once, the zigzag 5.5 cm too low.
    x_m = np.linspace(-0.5, 0.5, 6)
    zigzag = np.column_stack([x_m, np.tile([0.0, 0.12], 3), np.full(6, 2.0)])
    leg = zigzag[:2] - [0.0, 0.1, 0.0]
    cracks = [
        replace(crack((0, 0), (1, 0), 8.0, number), polyline_m=line, width_mm=np.full(len(line), 8.0))
        for number, line in enumerate((zigzag, leg))
    ]
    truth = truth_of(cracks)

    def found(line_m: np.ndarray, crack_id: int) -> MappedCrack:
        at_m = [(x, y) for x, y, _ in line_m.tolist()]
        return replace(mapped(*at_m, crack_id=crack_id), covariance_m2=0.05**2 * np.eye(3))

    low = found(zigzag - [0.0, 0.055, 0.0], 1)
    assert evaluated(truth, low, found(leg, 2)).figures["duplicates"] < 0.03
    # A real duplicate counts whatever its offset is.
    again = evaluated(truth, low, found(leg, 2), found(leg - [0.0, 0.04, 0.0], 3)).figures
    assert again["duplicates"] == pytest.approx(1 / 7, abs=0.03)


def test_measure_map_line_amid_two_cracks_belongs_to_the_one_of_its_shape() -> None:
    # Two waves of different length 10 cm apart, each mapped once; the lower one 6 cm too high.
    x_m = np.linspace(-0.5, 0.5, 41)
    waves = [0.02 * np.sin(2 * np.pi * x_m / length_m) + y_m for length_m, y_m in ((0.5, 0.1), (0.35, 0.0))]
    cracks = [
        replace(crack((0, 0), (1, 0), 8.0, number), polyline_m=line, width_mm=np.full(len(line), 8.0))
        for number, line in enumerate(np.column_stack([x_m, y_m, np.full(41, 2.0)]) for y_m in waves)
    ]
    found = [
        replace(
            mapped(*zip(x_m.tolist(), y_m.tolist(), strict=True), crack_id=number), covariance_m2=0.05**2 * np.eye(3)
        )
        for number, y_m in enumerate((waves[0], waves[1] + 0.06))
    ]
    assert evaluated(truth_of(cracks), *found).figures["duplicates"] < 0.02


def test_measure_map_fragments_are_no_duplicates() -> None:
    fragments = [mapped((-0.5, 0.0), (-0.02, 0.0), crack_id=1), mapped((0.02, 0.0), (0.5, 0.0), crack_id=2)]
    figures = evaluated(TRUTH, *fragments).figures
    assert figures["duplicates"] == 0.0
    assert figures["recall"] == pytest.approx(1.0)
    assert figures["length_error"] < 0.03


def test_measure_map_widths_compare_only_visible_parts() -> None:
    truth = truth_of([crack((-0.5, 0.0), (0.5, 0.0), (8.0, 16.0)), crack((-0.5, 0.3), (0.5, 0.3), 4.0, 1)])
    figures = evaluated(truth, mapped((-0.5, 0.0), (0.5, 0.0), width_mm=10.0), mapped((-0.5, 0.3), (0.5, 0.3))).figures
    # The mean of 8 to 16 mm is 12; the second crack is 1 px wide and not compared.
    assert figures["width_mae_mm"] == pytest.approx(2.0, rel=0.01)


def test_measure_map_single_frames_are_evaluated_before_fusion() -> None:
    observed = [
        ObservedLine(SECOND_NS, np.array([[-0.5, y_m, 2.0], [0.5, y_m, 2.0]]), np.eye(3) * 0.05**2)
        for y_m in (-0.06, 0.0, 0.04, 0.13, 0.45)
    ]
    figures = evaluated(TRUTH, mapped((-0.5, 0.0), (0.5, 0.0)), observed=tuple(observed)).figures
    # The last one lies on no crack; the one before is 2.6 standard deviations off, outside the ellipse's 2.45.
    assert figures["position_error_before_m"] == pytest.approx({"median": 0.04, "p95": 0.13}, abs=1e-6)
    assert figures["position_error_in_surface_before_m"] == figures["position_error_before_m"]
    assert figures["position_error_along_normal_before_m"] == pytest.approx({"median": 0.0, "p95": 0.0}, abs=1e-9)
    assert figures["covariance_inside_95_before"] == pytest.approx(3 / 4)


def test_measure_map_invalid_covariances_are_outside() -> None:
    broken = mapped((-0.5, 0.0), (0.5, 0.01))
    broken.covariance_m2[:] = np.nan
    figures = evaluated(TRUTH, broken).figures
    assert figures["covariance_inside_95"] == 0.0
    assert figures["recall"] == pytest.approx(1.0)


def test_measure_map_area_is_union_of_frames() -> None:
    once, twice = truth_of([LONG]), truth_of([LONG], camera_x_m=(0.0, 0.1))
    area_m2 = [evaluated(truth).figures["seen_area_m2"] for truth in (once, twice)]
    assert area_m2[1] - area_m2[0] == pytest.approx(0.1, abs=0.03)


def test_measure_map_only_processed_frames_count() -> None:
    truth = truth_of([LONG, crack((1.5, 0.0), (2.5, 0.0), 8.0, 1)], camera_x_m=(0.0, 2.0))
    assert measure_map([], truth, [SECOND_NS], ()).figures["visible_length_m"] == pytest.approx(1.0)
    assert measure_map([], truth, [SECOND_NS, 2 * SECOND_NS], ()).figures["visible_length_m"] == pytest.approx(2.0)


@pytest.mark.parametrize(
    ("truth", "known"),
    [
        (None, set()),
        (truth_of([], [square((0.0, 0.0), 0.2, True)]), set()),
        (truth_of([LONG], complete=False), {"recall", "duplicates", "position_error_m"}),
        (truth_of([]), {"false_objects_per_100m2"}),
    ],
)
def test_measure_map_undefined_figures_are_none(truth: Truth | None, known: set[str]) -> None:
    figures = measure_map([mapped((-0.5, 0.0), (0.5, 0.0))], truth, [SECOND_NS], ()).figures
    judged_keys = {"recall", "duplicates", "false_objects_per_100m2", "position_error_m"}
    assert {name for name in judged_keys if figures[name] is not None} == known
    assert figures["objects"]["confirmed"] == 1 and figures["mapped_length_m"] == pytest.approx(1.0)
