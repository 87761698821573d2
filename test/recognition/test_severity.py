# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Severity classes, the probabilities behind them, and when no class can be named."""

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
def test_presets_have_these_classes(preset: str, labels: tuple[str, ...]) -> None:
    assert SeverityScale.of_preset(preset).labels == labels
    assert set(PRESETS_MM) == {"gb50204", "fine", "aci224r", "ec2", "aashto"}


def test_paper_labels_come_with_the_papers_edge() -> None:
    assert SeverityScale((0.1,)).labels == ("minor", "obvious")
    assert SeverityScale((0.2,)).labels == ("<0.2mm", ">=0.2mm")


@pytest.mark.parametrize(
    ("width_mm", "index"), [(0.01, 0), (0.0999, 0), (0.1, 1), (0.19, 1), (0.2, 2), (0.39, 3), (0.4, 4), (9.0, 4)]
)
def test_known_width_belongs_to_one_class(width_mm: float, index: int) -> None:
    assert SeverityScale.of_preset("fine").index_of(width_mm) == index


def test_probabilities_are_those_of_a_log_normal_width() -> None:
    scale = SeverityScale.of_preset("ec2")
    judged = scale.classify(width(0.25, 0.2))
    normal = NormalDist(math.log(0.25), 0.2)
    below = [normal.cdf(math.log(edge)) for edge in (0.2, 0.3, 0.4)]
    assert judged.probabilities == pytest.approx(
        (below[0], below[1] - below[0], below[2] - below[1], 1 - below[2]), abs=1e-9
    )
    # 0.25 mm with a fifth of uncertainty: 69 % between 0.2 and 0.3 mm, which is not enough.
    assert judged.probabilities[1] == pytest.approx(0.687, abs=1e-3)
    assert judged.verdict == UNDETERMINED


def test_width_on_an_edge_is_undetermined() -> None:
    judged = SeverityScale((0.1,)).classify(width(0.1, 0.3))
    assert judged.probabilities == pytest.approx((0.5, 0.5))
    assert judged.verdict == UNDETERMINED


@pytest.mark.parametrize(("median_mm", "verdict"), [(0.05, "minor"), (0.2, "obvious"), (0.12, UNDETERMINED)])
def test_verdict_needs_the_confidence(median_mm: float, verdict: str) -> None:
    assert SeverityScale((0.1,), confidence=0.9).classify(width(median_mm, 0.3)).verdict == verdict


def test_lower_confidence_decides_more() -> None:
    estimate = width(0.12, 0.3)
    assert SeverityScale((0.1,), confidence=0.9).classify(estimate).verdict == UNDETERMINED
    assert SeverityScale((0.1,), confidence=0.7).classify(estimate).verdict == "obvious"


def test_without_a_scale_nothing_is_said() -> None:
    judged = SeverityScale.of_preset("fine").classify(None)
    assert (judged.verdict, judged.probabilities) == (UNDETERMINED, ())


@settings(deadline=None)
@given(st.sampled_from(sorted(PRESETS_MM)), WIDTHS_MM, LOG_SIGMAS)
def test_probabilities_are_a_distribution(preset: str, median_mm: float, log_sigma: float) -> None:
    scale = SeverityScale.of_preset(preset)
    judged = scale.classify(width(median_mm, log_sigma))
    assert len(judged.probabilities) == len(scale.labels)
    assert all(0 <= probability <= 1 for probability in judged.probabilities)
    assert sum(judged.probabilities) == pytest.approx(1)
    if judged.verdict == UNDETERMINED:
        assert max(judged.probabilities) < scale.confidence
    else:
        assert judged.probabilities[scale.labels.index(judged.verdict)] >= scale.confidence


@settings(deadline=None)
@given(st.sampled_from(sorted(PRESETS_MM)), WIDTHS_MM)
def test_exact_width_is_judged_as_a_known_one(preset: str, width_mm: float) -> None:
    scale = SeverityScale.of_preset(preset)
    if min(abs(width_mm / edge - 1) for edge in scale.edges_mm) > 1e-5:
        assert scale.classify(width(width_mm, 0.0)).verdict == scale.labels[scale.index_of(width_mm)]


@settings(deadline=None)
@given(WIDTHS_MM, WIDTHS_MM, st.floats(0.01, 1.0))
def test_wider_cracks_are_never_less_severe(one: float, other: float, log_sigma: float) -> None:
    scale = SeverityScale.of_preset("aashto")
    severe = [scale.classify(width(value, log_sigma)).probabilities[-1] for value in sorted((one, other))]
    assert severe[0] <= severe[1] + 1e-12


def test_estimate_in_pixels_becomes_millimetres() -> None:
    pixels = WidthEstimate(math.log(2.0), 0.3)
    millimetres = pixels.scaled(0.5, 0.4)
    assert millimetres.width == pytest.approx(1.0)
    assert millimetres.log_sigma == pytest.approx(0.5)
    assert millimetres.sigma == pytest.approx(0.5)
    assert pixels.scaled(1.0, 0.0) == pixels


def test_place_of_a_verdict_on_the_scale() -> None:
    scale = SeverityScale.of_preset("ec2")
    places = [scale.relative_severity(label) for label in scale.labels]
    assert places == pytest.approx([0, 1 / 3, 2 / 3, 1])
    assert scale.relative_severity(UNDETERMINED) is None
    assert SeverityScale((0.1,)).relative_severity("obvious") == 1.0


@pytest.mark.parametrize(
    "edges", [(), (0.0,), (-0.1, 0.2), (0.2, 0.1), (0.1, 0.1), (0.1, math.inf), (math.nan,), (0.1, math.nan, 0.3)]
)
def test_senseless_edges_are_refused(edges: tuple[float, ...]) -> None:
    with pytest.raises(UserError, match="not ascending widths") as caught:
        SeverityScale(edges)
    assert caught.value.remedy


@pytest.mark.parametrize("confidence", [0.0, 0.49, 1.0, 1.5, -1.0, math.nan])
def test_senseless_confidence_is_refused(confidence: float) -> None:
    with pytest.raises(UserError, match="confidence"):
        SeverityScale((0.1,), confidence)


def test_unknown_preset_names_the_known_ones() -> None:
    with pytest.raises(UserError, match=r"'din'.*gb50204, fine, aci224r, ec2, aashto"):
        SeverityScale.of_preset("din")


def test_what_the_camera_cannot_resolve_has_no_class_where_an_edge_lies_below() -> None:
    fine = SeverityScale.of_preset("fine")
    hairline = width(0.05, 0.1)
    assert fine.classify(hairline).verdict == "<0.1mm"
    assert fine.classify(hairline, resolvable_mm=0.31).verdict == UNDETERMINED
    assert fine.classify(hairline, resolvable_mm=0.31).probabilities == fine.classify(hairline).probabilities


def test_what_cannot_be_resolved_has_a_class_where_all_such_widths_share_it() -> None:
    coarse = SeverityScale.of_preset("aashto")
    assert coarse.classify(width(0.05, 0.1), resolvable_mm=0.3).verdict == "<0.3mm"
    assert coarse.classify(width(0.05, 0.1), resolvable_mm=0.301).verdict == UNDETERMINED


def test_resolution_does_not_touch_wider_cracks() -> None:
    fine = SeverityScale.of_preset("fine")
    assert fine.classify(width(0.35, 0.05), resolvable_mm=0.31) == fine.classify(width(0.35, 0.05))
