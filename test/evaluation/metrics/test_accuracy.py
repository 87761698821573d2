# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Accuracy metrics on scenes with hand-calculated results."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from evaluation_scenes import crack, detections, pixel, region, square, truth_of, view_of

from crack_perception.evaluation.metrics.accuracy import KIND_CELLS, KIND_LENGTH, measure_accuracy
from crack_perception.evaluation.metrics.cell_recall import CellRecall
from crack_perception.evaluation.metrics.crack_recall import CrackRecall
from crack_perception.evaluation.metrics.line_pieces import sample_crack
from crack_perception.evaluation.metrics.regions import mahalanobis_squared
from crack_perception.recognition.severity import SeverityScale

SCALE = SeverityScale((1.0, 5.0))


def test_sample_crack_divides_length_and_interpolates_width() -> None:
    samples = sample_crack(crack((0.0, 0.0), (0.102, 0.0), (1.0, 3.0)), spacing_m=0.01)
    assert len(samples.lengths_m) == 11
    assert samples.lengths_m.sum() == pytest.approx(0.102)
    assert samples.points_m[0] == pytest.approx([0.102 / 22, 0.0, 2.0])
    assert samples.widths_mm[0] == pytest.approx(1.0 + 2.0 / 22)
    assert samples.directions[5] == pytest.approx([1.0, 0.0, 0.0])


def test_sample_crack_skips_repeated_vertices() -> None:
    broken = crack((0.0, 0.0), (0.1, 0.0), 1.0)
    doubled = type(broken)(0, broken.polyline_m[[0, 0, 1]], np.ones(3), 1.0)
    samples = sample_crack(doubled)
    assert samples.lengths_m.sum() == pytest.approx(0.1)
    assert np.all(np.isfinite(samples.directions))


def test_frame_view_projects_widths_and_surface_points() -> None:
    view = view_of(truth_of())
    assert view.project(np.array([[0.4, -0.2, 2.0]]))[0] == pytest.approx(pixel(0.4, -0.2))
    assert view.surface_points(np.array([pixel(0.4, -0.2)]))[0] == pytest.approx([0.4, -0.2, 2.0])
    # 8 mm at 4 mm a pixel, whatever the direction of the crack.
    diagonal = sample_crack(crack((-0.1, -0.1), (0.1, 0.1), 8.0))
    assert view.widths_px(diagonal) == pytest.approx(2.0)


def test_frame_view_area_is_clipped_to_the_surface() -> None:
    # 640 px x 4 mm = 2.56 m wide; the wall is 1 m high, the image 1.92 m.
    assert view_of(truth_of()).visible_area_m2() == pytest.approx(2.56, rel=1e-4)


def test_frame_view_points_outside_a_distorted_view_are_nan() -> None:
    # This barrel polynomial folds points at 61 degrees back into the image.
    view = view_of(truth_of(distortion=(-0.2, 0.0, 0.0, 0.0, 0.0)))
    points = np.array([[0.0, 0.0, -2.0], [3.6, 0.0, 2.0], [0.0, 0.0, 2.0]])
    assert view.is_inside(view.project(points)).tolist() == [False, False, True]


def test_crack_recall_is_flagged_share_of_visible_length() -> None:
    truth = truth_of([crack((-0.4, 0.0), (0.4, 0.0), 8.0)])
    recall = CrackRecall([sample_crack(c) for c in truth.cracks])
    recall.add(view_of(truth), detections(region((-0.2, 0.0), (0.4, 0.1))))
    assert recall.visible_m == pytest.approx(0.8)
    assert recall.recall == pytest.approx(0.5)


def test_crack_recall_piece_under_two_boxes_counts_once() -> None:
    truth = truth_of([crack((-0.4, 0.0), (0.4, 0.0), 8.0)])
    recall = CrackRecall([sample_crack(c) for c in truth.cracks])
    recall.add(view_of(truth), detections(region((-0.2, 0.0), (0.4, 0.1)), region((-0.2, 0.01), (0.4, 0.1))))
    assert recall.recall == pytest.approx(0.5)


def test_crack_recall_rotated_box_flags_only_its_area() -> None:
    truth = truth_of([crack((-0.2, -0.2), (0.2, 0.2), 8.0)])
    along, across = (CrackRecall([sample_crack(c) for c in truth.cracks]) for _ in range(2))
    along.add(view_of(truth), detections(region((0.0, 0.0), (0.6, 0.02), np.pi / 4)))
    across.add(view_of(truth), detections(region((0.0, 0.0), (0.6, 0.02), -np.pi / 4)))
    assert along.recall == pytest.approx(1.0)
    # The box crosses the crack at a right angle: 20 mm of 566 mm.
    assert across.recall == pytest.approx(0.02 / (0.4 * np.sqrt(2)), abs=0.005)


def test_crack_recall_thin_cracks_count_only_in_width_bins() -> None:
    # 8 mm is 2.0 px (bin 2-3), 4.8 mm is 1.2 px (bin 1-1.5) and below the visible 1.5 px.
    truth = truth_of([crack((-0.4, 0.0), (0.4, 0.0), 8.4), crack((-0.4, 0.2), (0.4, 0.2), 4.8, crack_id=1)])
    recall = CrackRecall([sample_crack(c) for c in truth.cracks])
    recall.add(view_of(truth), detections(region((0.0, 0.2), (0.4, 0.1))))
    assert recall.recall == pytest.approx(0.0)
    by_bin = {(item["from_px"], item["to_px"]): item for item in recall.by_width()}
    assert by_bin[1.0, 1.5]["recall"] == pytest.approx(0.5)
    assert by_bin[2.0, 3.0]["recall"] == pytest.approx(0.0)
    assert by_bin[2.0, 3.0]["length_m"] == pytest.approx(0.8)
    assert by_bin[5.0, None]["recall"] is None


def test_crack_recall_only_the_part_in_the_image_is_visible() -> None:
    # The image ends at x = 1.282 m (pixel 639.5).
    truth = truth_of([crack((1.082, 0.0), (1.482, 0.0), 8.0)])
    recall = CrackRecall([sample_crack(c) for c in truth.cracks])
    recall.add(view_of(truth), detections(region((1.082, 0.0), (0.2, 0.1))))
    assert recall.visible_m == pytest.approx(0.2, abs=0.006)
    assert recall.recall == pytest.approx(0.5, abs=0.03)


def test_crack_outcome_found_when_most_frames_flag_half() -> None:
    truth = truth_of([crack((-0.2, 0.0), (0.2, 0.0), 8.0)], camera_x_m=(0.0, 0.0, 0.0))
    recall = CrackRecall([sample_crack(c) for c in truth.cracks])
    half, less = region((-0.1, 0.0), (0.21, 0.1)), region((-0.1, 0.0), (0.15, 0.1))
    recall.add(view_of(truth, 0), detections(half, index=0))
    recall.add(view_of(truth, 1), detections(less, index=1))
    outcome = recall.outcomes[0]
    assert (outcome.seen_in, outcome.found_in, outcome.found) == (2, 1, False)
    recall.add(view_of(truth, 2), detections(half, index=2))
    assert (outcome.seen_in, outcome.found_in, outcome.found) == (3, 2, True)


def test_cell_recall_cell_is_found_by_its_inner_half() -> None:
    truth = truth_of(cells=[square((0.0, 0.0), 0.2, True), square((0.2, 0.0), 0.2, False)])
    view = view_of(truth)
    cells = CellRecall(truth)
    # Reaches 30 mm into the cracked square: not its inner half (from -50 mm on), but 15 % of its area.
    assert cells.add(view, detections(region((-0.17, 0.0), (0.2, 0.4)))) == [True]
    assert cells.recall == 0.0
    assert cells.add(view, detections(region((-0.14, 0.0), (0.2, 0.4)))) == [True]
    assert cells.recall == 0.5
    # Over the intact square only.
    assert cells.add(view, detections(region((0.25, 0.0), (0.2, 0.2)))) == [False]


def test_cell_recall_cell_at_image_border_does_not_count() -> None:
    truth = truth_of(cells=[square((1.28, 0.0), 0.2, True)])
    cells = CellRecall(truth)
    # The region is correct although the image border cuts its square.
    assert cells.add(view_of(truth), detections(region((1.25, 0.0), (0.06, 0.2)))) == [True]
    assert cells.recall is None


def test_flagged_area_all_flagged_includes_all_background() -> None:
    truth = truth_of([crack((-0.4, 0.0), (0.4, 0.0), 8.0)])
    figures = []
    for boxes in ([region((0.0, 0.0), (2.6, 2.0))], [region((0.0, 0.0), (0.8, 0.1))]):
        accuracy = measure_accuracy(truth, [detections(*boxes)], SCALE)
        assert accuracy is not None
        figures.append(accuracy.figures)
    assert [item["crack_recall"] for item in figures] == [1.0, 1.0]
    assert [item["sound_flagged_share"] for item in figures] == [1.0, 0.0]
    assert figures[0]["flagged_share"] == 1.0


def test_flagged_area_only_the_surface_is_background() -> None:
    # The grid has 20 columns; the box covers 3 of them. Only the wall (1 m of 1.92 m high) counts as background.
    accuracy = measure_accuracy(truth_of(), [detections(region((-1.08, 0.0), (0.4, 2.0)))], SCALE)
    assert accuracy is not None
    assert accuracy.figures["flagged_share"] == pytest.approx(3 / 20)
    assert accuracy.figures["sound_flagged_share"] == pytest.approx(3 / 20)
    beside = measure_accuracy(truth_of(), [detections(region((0.0, 0.8), (2.6, 0.4)))], SCALE)
    assert beside is not None
    assert beside.figures["sound_flagged_share"] == 0.0


def test_measure_accuracy_true_and_false_region_match_hand_calculation() -> None:
    truth = truth_of([crack((-0.4, 0.0), (0.4, 0.0), 8.0)])
    found = region(
        (0.0, 0.0),
        (0.8, 0.1),
        severity=">=5mm",
        width_mm=9.0,
        length_m=1.0,
        position_m=np.array([0.03, 0.0, 2.04]),
        covariance_m2=np.diag([0.02, 0.02, 0.02]) ** 2,
    )
    accuracy = measure_accuracy(truth, [detections(found, region((0.0, 0.3), (0.2, 0.1)))], SCALE)
    assert accuracy is not None
    figures = accuracy.figures
    assert figures["kind"] == KIND_LENGTH
    assert figures["crack_recall"] == pytest.approx(1.0)
    assert figures["cracks_found"] == {"n": 1, "found": 1}
    assert figures["false_regions_per_frame"] == 1.0
    assert figures["false_regions_per_m2"] == pytest.approx(1 / 2.56, rel=1e-3)
    assert figures["position_error_m"]["median"] == pytest.approx(0.05)
    # (0.05 / 0.02)^2 = 6.25 is below the 95 % quantile 7.81.
    assert figures["position_inside_95"] == 1.0
    assert figures["length_error"] == pytest.approx(0.25)
    # 1 mm at 4 mm a pixel.
    assert figures["width_mae_px"] == pytest.approx(0.25)
    assert figures["width_mae_mm"] == pytest.approx(1.0)
    assert figures["severity_accuracy"] == 1.0
    assert figures["undetermined_rate"] == 0.0
    assert [(score.visible, score.found, score.false_regions) for score in accuracy.frames] == [
        (pytest.approx(0.8), pytest.approx(0.8), 1)
    ]


def test_measure_accuracy_undetermined_severity_is_not_an_error() -> None:
    truth = truth_of([crack((-0.4, 0.0), (0.4, 0.0), 8.0)])
    here = ((0.0, 0.0), (0.8, 0.1))
    frame = detections(region(*here), region(*here, severity="<1mm"), region(*here, severity=">=5mm"))
    accuracy = measure_accuracy(truth, [frame], SCALE)
    assert accuracy is not None
    assert accuracy.figures["severity_accuracy"] == 0.5
    assert accuracy.figures["undetermined_rate"] == pytest.approx(1 / 3)


def test_measure_accuracy_position_is_compared_along_its_ray() -> None:
    truth = truth_of([crack((-0.8, 0.1), (0.8, 0.1), 10.0)])
    # The centre of the box is on the optical axis, its crack is 10 cm below; the range is 4 cm too long.
    seen_at_m = np.array([0.0, 0.102, 2.04])
    found = region((0.0, 0.0), (0.4, 0.4), position_m=np.array([0.0, 0.102, 2.04]), seen_at_m=seen_at_m)
    accuracy = measure_accuracy(truth, [detections(found)], SCALE)
    assert accuracy is not None
    assert accuracy.figures["position_error_m"]["median"] == pytest.approx(np.hypot(0.002, 0.04))


def test_measure_accuracy_thin_crack_is_true_but_not_measured() -> None:
    truth = truth_of([crack((-0.4, 0.0), (0.4, 0.0), 2.0)])
    accuracy = measure_accuracy(truth, [detections(region((0.0, 0.0), (0.8, 0.1), severity=">=5mm"))], SCALE)
    assert accuracy is not None
    assert accuracy.figures["false_regions_per_frame"] == 0.0
    assert accuracy.figures["severity_accuracy"] is None
    assert accuracy.figures["crack_recall"] is None


def test_measure_accuracy_incomplete_truth_has_no_false_regions() -> None:
    truth = truth_of([crack((-0.4, 0.0), (0.4, 0.0), 8.0)], complete=False)
    accuracy = measure_accuracy(truth, [detections(region((0.0, 0.3), (0.2, 0.1)))], SCALE)
    assert accuracy is not None
    assert accuracy.figures["false_regions_per_frame"] is None
    assert accuracy.figures["false_regions_per_m2"] is None


def test_measure_accuracy_without_cracks_uses_cells() -> None:
    truth = truth_of(cells=[square((0.0, 0.0), 0.2, True), square((0.4, 0.0), 0.2, True)])
    accuracy = measure_accuracy(truth, [detections(region((0.0, 0.0), (0.1, 0.1)))], SCALE)
    assert accuracy is not None
    assert (accuracy.figures["kind"], accuracy.figures["crack_recall"]) == (KIND_CELLS, 0.5)
    assert accuracy.figures["cracks_found"] is None
    assert accuracy.figures["false_regions_per_frame"] == 0.0


def test_measure_accuracy_unknown_stamps_return_none() -> None:
    truth = truth_of([crack((-0.4, 0.0), (0.4, 0.0), 8.0)])
    assert measure_accuracy(truth, [detections(index=7)], SCALE) is None


def test_mahalanobis_squared_singular_covariance_excludes_its_axis() -> None:
    assert mahalanobis_squared(np.array([3.0, 0.0, 0.0]), np.diag([9.0, 1.0, 1.0])) == pytest.approx(1.0)
    # A covariance without variance along an axis excludes every error along it, and only along it.
    flat = np.diag([1.0, 1.0, 0.0])
    assert mahalanobis_squared(np.array([1.0, 0.0, 0.0]), flat) == pytest.approx(1.0)
    assert mahalanobis_squared(np.array([1.0, 0.0, 0.1]), flat) == float("inf")
    assert mahalanobis_squared(np.array([1.0, 0.0, 0.0]), np.full((3, 3), np.nan)) == float("inf")


def test_measure_accuracy_frame_shows_only_its_surface() -> None:
    """Two cracks in one line of sight: the second one is on a parallel surface 1 m behind that no frame shows."""
    near, far = crack((-0.5, 0.0), (0.5, 0.0), 8.0), crack((-0.5, 0.1), (0.5, 0.1), 16.0, 1)
    truth = truth_of([near, replace(far, polyline_m=far.polyline_m + [0, 0, 1.0], surface=1)])
    behind = replace(truth.surfaces[0], origin_m=truth.surfaces[0].origin_m + [0, 0, 1.0])
    truth = replace(truth, surfaces=(truth.surfaces[0], behind))
    frames = [detections(region((0.0, 0.0), (1.0, 0.04)), region((0.0, 0.07), (1.0, 0.02)))]
    accuracy = measure_accuracy(truth, frames, SCALE)
    assert accuracy is not None
    assert accuracy.figures["crack_recall"] == pytest.approx(1.0)
    assert [outcome.seen_in for outcome in accuracy.cracks] == [1, 0]
    # The second region is where the hidden crack would appear through the wall.
    assert accuracy.frames[0].on_crack == (True, False)
