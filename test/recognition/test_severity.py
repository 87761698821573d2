# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Tests of severity classes, their probabilities, and undetermined results."""

from __future__ import annotations

import math
from statistics import NormalDist

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crack_perception.errors import UserError
from crack_perception.recognition.severity import PRESETS_MM, UNDETERMINED, SeverityScale, WidthEstimate

WIDTHS_MM = st.floats(0.005, 20.0)
LOG_SIGMAS = st.floats(0.0, 1.5)


def width(median_mm: float, log_sigma: float) -> WidthEstimate:
    return WidthEstimate(math.log(median_mm), log_sigma)


@pytest.mark.parametrize(
    ("preset", "labels"),
    [
        ("gb50204", ("minor", "obvious")),
        ("fine", ("<0.1mm", "0.1-0.2mm", "0.2-0.3mm", "0.3-0.4mm", ">=0.4mm")),
        ("aci224r", ("<0.1mm", "0.1-0.15mm", "0.15-0.18mm", "0.18-0.3mm", "0.3-0.41mm", ">=0.41mm")),
        ("ec2", ("<0.2mm", "0.2-0.3mm", "0.3-0.4mm", ">=0.4mm")),
        ("aashto", ("<0.3mm", "0.3-1.27mm", ">=1.27mm")),
    ],
)
def test_presets_expected_classes(preset: str, labels: tuple[str, ...]) -> None:
    assert SeverityScale.of_preset(preset).labels == labels
    assert set(PRESETS_MM) == {"gb50204", "fine", "aci224r", "ec2", "aashto"}


def test_scale_paper_edge_has_paper_labels() -> None:
    assert SeverityScale((0.1,)).labels == ("minor", "obvious")
    assert SeverityScale((0.2,)).labels == ("<0.2mm", ">=0.2mm")


@pytest.mark.parametrize(
    ("width_mm", "index"), [(0.01, 0), (0.0999, 0), (0.1, 1), (0.19, 1), (0.2, 2), (0.39, 3), (0.4, 4), (9.0, 4)]
)
def test_classify_known_width_one_class(width_mm: float, index: int) -> None:
    assert SeverityScale.of_preset("fine").index_of(width_mm) == index


def test_probabilities_equal_log_normal_distribution() -> None:
    scale = SeverityScale.of_preset("ec2")
    classified = scale.classify(width(0.25, 0.2))
    normal = NormalDist(math.log(0.25), 0.2)
    below = [normal.cdf(math.log(edge)) for edge in (0.2, 0.3, 0.4)]
    assert classified.probabilities == pytest.approx(
        (below[0], below[1] - below[0], below[2] - below[1], 1 - below[2]), abs=1e-9
    )
    # 0.25 mm with a standard deviation of a fifth: 69 % between 0.2 and 0.3 mm, below the confidence.
    assert classified.probabilities[1] == pytest.approx(0.687, abs=1e-3)
    assert classified.verdict == UNDETERMINED


def test_classify_width_on_edge_undetermined() -> None:
    classified = SeverityScale((0.1,)).classify(width(0.1, 0.3))
    assert classified.probabilities == pytest.approx((0.5, 0.5))
    assert classified.verdict == UNDETERMINED


@pytest.mark.parametrize(("median_mm", "verdict"), [(0.05, "minor"), (0.2, "obvious"), (0.12, UNDETERMINED)])
def test_classify_below_confidence_undetermined(median_mm: float, verdict: str) -> None:
    assert SeverityScale((0.1,), confidence=0.9).classify(width(median_mm, 0.3)).verdict == verdict


def test_classify_lower_confidence_more_classified() -> None:
    estimate = width(0.12, 0.3)
    assert SeverityScale((0.1,), confidence=0.9).classify(estimate).verdict == UNDETERMINED
    assert SeverityScale((0.1,), confidence=0.7).classify(estimate).verdict == "obvious"


def test_classify_without_scale_undetermined() -> None:
    classified = SeverityScale.of_preset("fine").classify(None)
    assert (classified.verdict, classified.probabilities) == (UNDETERMINED, ())


@settings(deadline=None)
@given(st.sampled_from(sorted(PRESETS_MM)), WIDTHS_MM, LOG_SIGMAS)
def test_probabilities_sum_to_one(preset: str, median_mm: float, log_sigma: float) -> None:
    scale = SeverityScale.of_preset(preset)
    classified = scale.classify(width(median_mm, log_sigma))
    assert len(classified.probabilities) == len(scale.labels)
    assert all(0 <= probability <= 1 for probability in classified.probabilities)
    assert sum(classified.probabilities) == pytest.approx(1)
    if classified.verdict == UNDETERMINED:
        assert max(classified.probabilities) < scale.confidence
    else:
        assert classified.probabilities[scale.labels.index(classified.verdict)] >= scale.confidence


@settings(deadline=None)
@given(st.sampled_from(sorted(PRESETS_MM)), WIDTHS_MM)
def test_classify_exact_width_certain(preset: str, width_mm: float) -> None:
    scale = SeverityScale.of_preset(preset)
    if min(abs(width_mm / edge - 1) for edge in scale.edges_mm) > 1e-5:
        assert scale.classify(width(width_mm, 0.0)).verdict == scale.labels[scale.index_of(width_mm)]


@settings(deadline=None)
@given(WIDTHS_MM, WIDTHS_MM, st.floats(0.01, 1.0))
def test_classify_wider_crack_not_less_severe(one: float, other: float, log_sigma: float) -> None:
    scale = SeverityScale.of_preset("aashto")
    severe = [scale.classify(width(value, log_sigma)).probabilities[-1] for value in sorted((one, other))]
    assert severe[0] <= severe[1] + 1e-12


def test_width_pixels_to_millimetres() -> None:
    pixels = WidthEstimate(math.log(2.0), 0.3)
    millimetres = pixels.scaled(0.5, 0.4)
    assert millimetres.width == pytest.approx(1.0)
    assert millimetres.log_sigma == pytest.approx(0.5)
    assert millimetres.sigma == pytest.approx(0.5)
    assert pixels.scaled(1.0, 0.0) == pixels


def test_class_position_on_scale() -> None:
    scale = SeverityScale.of_preset("ec2")
    places = [scale.relative_severity(label) for label in scale.labels]
    assert places == pytest.approx([0, 1 / 3, 2 / 3, 1])
    assert scale.relative_severity(UNDETERMINED) is None
    assert SeverityScale((0.1,)).relative_severity("obvious") == 1.0


@pytest.mark.parametrize(
    "edges", [(), (0.0,), (-0.1, 0.2), (0.2, 0.1), (0.1, 0.1), (0.1, math.inf), (math.nan,), (0.1, math.nan, 0.3)]
)
def test_scale_invalid_edges_refused(edges: tuple[float, ...]) -> None:
    with pytest.raises(UserError, match="not ascending widths") as caught:
        SeverityScale(edges)
    assert caught.value.remedy


@pytest.mark.parametrize("confidence", [0.0, 0.49, 1.0, 1.5, -1.0, math.nan])
def test_scale_invalid_confidence_refused(confidence: float) -> None:
    with pytest.raises(UserError, match="confidence"):
        SeverityScale((0.1,), confidence)


def test_preset_unknown_name_lists_known() -> None:
    with pytest.raises(UserError, match=r"'din'.*gb50204, fine, aci224r, ec2, aashto"):
        SeverityScale.of_preset("din")


def test_classify_unresolvable_width_with_edge_below_undetermined() -> None:
    fine = SeverityScale.of_preset("fine")
    hairline = width(0.05, 0.1)
    assert fine.classify(hairline).verdict == "<0.1mm"
    assert fine.classify(hairline, resolvable_mm=0.31).verdict == UNDETERMINED
    assert fine.classify(hairline, resolvable_mm=0.31).probabilities == fine.classify(hairline).probabilities


def test_classify_unresolvable_width_with_one_class_classified() -> None:
    coarse = SeverityScale.of_preset("aashto")
    assert coarse.classify(width(0.05, 0.1), resolvable_mm=0.3).verdict == "<0.3mm"
    assert coarse.classify(width(0.05, 0.1), resolvable_mm=0.301).verdict == UNDETERMINED


def test_classify_resolvable_width_unaffected() -> None:
    fine = SeverityScale.of_preset("fine")
    assert fine.classify(width(0.35, 0.05), resolvable_mm=0.31) == fine.classify(width(0.35, 0.05))
