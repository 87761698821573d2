# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""What has happened to every crack between two surveys."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from enum import Enum

import numpy as np
import numpy.typing as npt

from crack_perception.mapping.evidence.decisions import Review
from crack_perception.mapping.mapped_crack import MappedCrack
from crack_perception.report.comparison.alignment import Alignment, Prior, align
from crack_perception.report.comparison.families import CommonWidths, Family, Track, common_widths, families
from crack_perception.report.comparison.growth import Bias, Difference, difference, estimate_bias
from crack_perception.report.comparison.lines import LineSet, runs_of, sampled
from crack_perception.report.comparison.survey import Survey

Array = npt.NDArray[np.float64]

# Where a tip is found depends on the contrast of its last pixels, and on the step of mapped lines.
_TIP_SIGMA_PX = 8.0
_LEAST_TIP_SIGMA_M = 0.006
# A crack narrower than this fades out earlier or later by chance, and each gap in a line may hide a part of it.
_CLEAR_WIDTH_PX = 1.5
_GAP_SIGMA_M = 0.015
_SCALE_SIGMA = 0.01
_UNKNOWN_GSD_MM = 1.0
_UNKNOWN_POSITION_SIGMA_M = 0.05
# Standard deviations of the biases before any crack is compared.
_WIDTH_BIAS_PX = 0.1
_WIDTH_BIAS_SHARE = 0.03
_TIP_BIAS_M = 0.01
_LEAST_COMMON_WIDTHS_M = 0.03
_TRIMMED_SHARE = 0.1
_TAPER_M = 0.07
_PARTLY_M = 0.05
_HALF = 0.5
_REJECTED_REACH_M = 0.04


class Status(Enum):
    """What has happened to a crack."""

    NEW = "new"
    GROWN = "grown"
    REDUCED = "reduced"
    """Shorter or narrower: repaired in part, closed by temperature, or not found again in part."""
    UNCHANGED = "unchanged"
    GONE = "gone"
    NOT_INSPECTED = "not_inspected"
    """It was there, and the new survey cannot have found it: no images of the place, or too coarse ones."""
    FIRST_INSPECTED = "first_inspected"
    """It is there, and the old survey cannot have found it."""


@dataclass(frozen=True, eq=False)
class CrackChange:
    """One crack in two surveys; None where a value is not known or there is nothing to compare.

    Attributes:
        number: From 1 in this comparison, most important first.
        status: What has happened to it.
        significance: Of grown and reduced cracks, the probability that they are; of unchanged ones, the probability
            that a larger difference occurs by chance; of new and gone ones, the probability that it is a crack and
            would have been found in the other survey, had it been there; of others, that it would not.
        old_ids, new_ids: Ids in the maps; several where it was mapped in fragments.
        lines_m: Its lines (N, 3), new map's frame: of the new survey, or of the old one where it is not in the new one.
        added_m: Stretches (N, 3) that only the new survey has, new map's frame.
        missing_m: Stretches (N, 3) that only the old survey has, new map's frame.
        length_old_m, length_new_m: As mapped.
        length: Change of the length along the common line.
        width_old_mm, width_new_mm: Mean widths along the common line, or of the crack where only one survey has it.
        width: Change of the mean width along the common line.
        common_m: Length that both surveys have.
        not_inspected_m: Length that one survey has and the other one's images do not show.
        remarks: For readers.
        name: The reviewer's name of the crack, of the new map or else the old one.
    """

    number: int
    status: Status
    significance: float
    old_ids: tuple[int, ...]
    new_ids: tuple[int, ...]
    lines_m: tuple[Array, ...]
    added_m: tuple[Array, ...]
    missing_m: tuple[Array, ...]
    length_old_m: float | None
    length_new_m: float | None
    length: Difference | None
    width_old_mm: float | None
    width_new_mm: float | None
    width: Difference | None
    common_m: float
    not_inspected_m: float
    remarks: tuple[str, ...]
    name: str


@dataclass(frozen=True, eq=False)
class Comparison:
    """Two surveys compared.

    Attributes:
        alignment: Place of the new map in the old one.
        width_bias: By how much the new survey measures wider: a constant [mm] and a share of the width.
        length_bias: By how much it sees the end of a crack farther [m].
        changes: One a crack, by number.
        confidence: Probability from which on growth is reported.
        rejected_again: (new id, old id) of cracks that a reviewer had rejected in the old map and that were mapped
            again; left out.
        rejected_since: Ids of the old map's cracks whose counterpart in the new map was rejected; left out.
        unconfirmed: Number of unconfirmed cracks that only one survey has; left out.
        is_continuation: The new map goes on from the old one, so that its widths contain the old views.
    """

    alignment: Alignment
    width_bias: Bias
    length_bias: Bias
    changes: tuple[CrackChange, ...]
    confidence: float
    rejected_again: tuple[tuple[int, int], ...]
    rejected_since: tuple[int, ...]
    unconfirmed: int
    is_continuation: bool

    def of(self, status: Status) -> tuple[CrackChange, ...]:
        """The cracks of a status."""
        return tuple(change for change in self.changes if change.status is status)


@dataclass(frozen=True, eq=False)
class _Measured:
    """A crack that both surveys have, before the bias is known."""

    family: Family
    widths: CommonWidths | None
    gsd_mm: float
    length_m: float
    length_change_m: float  # as far as the other survey would have found it
    missed_sigma_m: float  # of what it may have missed, and of the place along the line

    @property
    def length_sigma_m(self) -> float:
        tip_m = max(_LEAST_TIP_SIGMA_M, _TIP_SIGMA_PX * self.gsd_mm / 1000)
        if self.widths is not None:
            tip_m *= max(1.0, _CLEAR_WIDTH_PX * self.gsd_mm / max(float(self.widths.old_mm.mean()), 0.01))
        pieces = max(sum(len(track.lines) for track in tracks) for tracks in (self.family.old, self.family.new))
        gaps_m = _GAP_SIGMA_M * math.sqrt(pieces - 1)
        return math.hypot(2 * tip_m, gaps_m, _SCALE_SIGMA * self.length_m, self.missed_sigma_m)

    @property
    def width_change_mm(self) -> float:
        assert self.widths is not None
        return _trimmed_mean(self.widths.new_mm - self.widths.old_mm)

    @property
    def width_sigma_mm(self) -> float:
        """Errors along a line are alike, so the mean is as uncertain as its parts."""
        assert self.widths is not None
        return max(math.hypot(float(self.widths.old_sigma_mm.mean()), float(self.widths.new_sigma_mm.mean())), 1e-3)

    @property
    def width_predictors(self) -> Array:
        assert self.widths is not None
        return np.array([1.0, float(self.widths.old_mm.mean())])


_TIP_PREDICTORS = np.array([2.0])
_URGENCY = (
    Status.GROWN,
    Status.NEW,
    Status.GONE,
    Status.REDUCED,
    Status.NOT_INSPECTED,
    Status.FIRST_INSPECTED,
    Status.UNCHANGED,
)


def compare(old: Survey, new: Survey, prior: Prior, confidence: float = 0.95) -> Comparison:
    """Compare two surveys of one structure.

    Args:
        old, new: The surveys, each in its own frame.
        prior: What is known of the place of the new map in the old one.
        confidence: Probability from which on growth is reported: of all cracks that have not changed, the remaining
            share is reported as grown by chance. It is divided between the two tests, of length and of width.

    Raises:
        UserError: The maps cannot be aligned.
    """
    alignment = align((*old.cracks, *old.rejected), (*new.cracks, *new.rejected), prior)
    moved = new.moved(alignment.to_old, alignment.rotation)
    alignment_sigma_m = float(alignment.sigma_m.max())
    found = families(old, moved, alignment_sigma_m)
    both = [_measured(family, old, moved, alignment_sigma_m) for family in found if family.old and family.new]
    width_bias, length_bias = _width_bias(both), _length_bias(both)
    level = 1 - (1 - confidence) / 2
    changes = [_compared(each, old, moved, width_bias, length_bias, level, alignment) for each in both]
    one_sided = _OneSided(old, moved, alignment)
    changes += [change for family in found if (change := one_sided.change(family)) is not None]
    changes.sort(
        key=lambda change: (_URGENCY.index(change.status), -change.significance, change.old_ids, change.new_ids)
    )
    return Comparison(
        alignment=alignment,
        width_bias=width_bias,
        length_bias=length_bias,
        changes=tuple(replace(change, number=number) for number, change in enumerate(changes, 1)),
        confidence=confidence,
        rejected_again=tuple(one_sided.rejected_again),
        rejected_since=tuple(one_sided.rejected_since),
        unconfirmed=one_sided.unconfirmed,
        is_continuation=_is_continuation(old, new),
    )


def _is_continuation(old: Survey, new: Survey) -> bool:
    first_ns = {crack.id: crack.first_seen_ns for crack in old.cracks}
    same = sum(first_ns.get(crack.id) == crack.first_seen_ns for crack in new.cracks)
    return same > 0.5 * len(old.cracks) > 0


def _measured(family: Family, old: Survey, new: Survey, alignment_sigma_m: float) -> _Measured:
    points_m = np.concatenate([track.points_m for track in family.new])
    gsds_mm = [survey.gsd_mm_per_px_at(points_m.mean(axis=0)) for survey in (old, new)]
    gsd_mm = max((gsd for gsd in gsds_mm if math.isfinite(gsd)), default=_UNKNOWN_GSD_MM)
    widths = common_widths(family, old, new)
    if widths is not None and len(widths.old_mm) * widths.step_m < _LEAST_COMMON_WIDTHS_M:
        widths = None
    length_m = max(sum(track.covered_m for track in tracks) for tracks in (family.old, family.new))
    gained_m, gained_variance_m2 = _findable(family.new, new, old)
    lost_m, lost_variance_m2 = _findable(family.old, old, new)
    change_m = gained_m - lost_m
    variance_m2 = gained_variance_m2 + lost_variance_m2
    hidden_m = sum(track.hidden_m for track in (family.old if change_m > 0 else family.new))
    if hidden_m > 0:
        variance_m2 += min(_place_variance_m2(family, old, new, alignment_sigma_m), hidden_m**2)
    return _Measured(family, widths, gsd_mm, length_m, change_m, math.sqrt(variance_m2))


def _place_variance_m2(family: Family, old: Survey, new: Survey, alignment_sigma_m: float) -> float:
    """Variance of the place of one line along the other.

    A shift along the line adds at one end what it takes at the other; where images do not show the latter, it looks
    like growth.
    """
    points_m = np.concatenate([track.points_m for track in family.new])
    along = points_m[-1] - points_m[0]
    along = along / max(float(np.linalg.norm(along)), 1e-9)
    variance_m2 = alignment_sigma_m**2
    for tracks, survey in ((family.old, old), (family.new, new)):
        cracks = [survey.cracks[index] for track in tracks for index in track.lines]
        known = [crack.covariance_m2 for crack in cracks if np.isfinite(crack.covariance_m2).all()]
        variance_m2 += float(along @ np.mean(known, axis=0) @ along) if known else _UNKNOWN_POSITION_SIGMA_M**2
    return variance_m2


def _findable(tracks: Sequence[Track], own: Survey, other: Survey) -> tuple[float, float]:
    """Expectation [m] and variance [m^2] of the length that only one survey has and the other one would have found.

    A piece that is too fine for the other survey is no change. Every crack tapers to its tip; there, its mean width
    decides.
    """
    expected_m, variance_m2 = 0.0, 0.0
    for track in tracks:
        taper = round(_TAPER_M / track.step_m)
        for start, stop, is_end in track.extra_runs():
            length_m = float(track.shown[start:stop].sum()) * track.step_m
            if length_m == 0:
                continue
            first, last = start, stop
            if is_end:
                first, last = (start + taper, stop) if start == 0 else (start, stop - taper)
            if first >= last:
                first, last = 0, len(track.line)
            widths_mm = track.widths_mm(own, first, last)
            width_mm = float(np.median(widths_mm)) if len(widths_mm) else math.nan
            share = other.probability_to_show(width_mm, track.points_m[start:stop].mean(axis=0))
            expected_m += share * length_m
            variance_m2 += share * (1 - share) * length_m**2
    return expected_m, variance_m2


def _trimmed_mean(values: Array) -> float:
    """Mean without the tenth of the values at either end: one place where another crack crosses does not decide."""
    cut = int(_TRIMMED_SHARE * len(values))
    return float(np.sort(values)[cut : len(values) - cut].mean())


def _width_bias(both: Sequence[_Measured]) -> Bias:
    known = [each for each in both if each.widths is not None]
    gsd_mm = float(np.median([each.gsd_mm for each in known])) if known else _UNKNOWN_GSD_MM
    return estimate_bias(
        np.array([each.width_change_mm for each in known]),
        np.array([each.width_sigma_mm for each in known]),
        np.array([each.width_predictors for each in known]).reshape(-1, 2),
        np.array([_WIDTH_BIAS_PX * gsd_mm, _WIDTH_BIAS_SHARE]),
    )


def _length_bias(both: Sequence[_Measured]) -> Bias:
    return estimate_bias(
        np.array([each.length_change_m for each in both]),
        np.array([each.length_sigma_m for each in both]),
        np.tile(_TIP_PREDICTORS, (len(both), 1)),
        np.array([_TIP_BIAS_M]),
    )


def _compared(
    each: _Measured,
    old: Survey,
    new: Survey,
    width_bias: Bias,
    length_bias: Bias,
    level: float,
    alignment: Alignment,
) -> CrackChange:
    """A crack that both surveys have."""
    family = each.family
    length = difference(each.length_change_m, each.length_sigma_m, _TIP_PREDICTORS, length_bias)
    width = None
    if each.widths is not None:
        width = difference(each.width_change_mm, each.width_sigma_mm, each.width_predictors, width_bias)
    probabilities = [each.growth_probability for each in (length, width) if each is not None]
    status, significance = Status.UNCHANGED, 2 * min(min(each, 1 - each) for each in probabilities)
    if max(probabilities) >= level:
        status, significance = Status.GROWN, max(probabilities)
    elif min(probabilities) <= 1 - level:
        status, significance = Status.REDUCED, 1 - min(probabilities)
    missing_m = sum(track.extra_m for track in family.old)
    hidden_m = sum(track.hidden_m for track in (*family.old, *family.new))
    remarks = []
    if length.growth_probability >= level:
        remarks.append(f"longer by {100 * length.change:.1f} cm")
    if width is not None and width.growth_probability >= level:
        remarks.append(f"wider by {width.change:.2f} mm")
    if width is not None and width.growth_probability <= 1 - level:
        remarks.append(f"measured {-width.change:.2f} mm narrower than before")
    if length.growth_probability <= 1 - level and missing_m > _PARTLY_M:
        remarks.append(f"{100 * missing_m:.0f} cm of it were not found again")
    if hidden_m > _PARTLY_M:
        remarks.append(f"{100 * hidden_m:.0f} cm of it lie outside the images of one survey")
    if len(_ids(family.old, old)) > 1 or len(_ids(family.new, new)) > 1:
        remarks.append("mapped in fragments")
    return CrackChange(
        number=0,
        status=status,
        significance=significance,
        old_ids=_ids(family.old, old),
        new_ids=_ids(family.new, new),
        lines_m=_lines(family.new, new, alignment),
        added_m=_extra(family.new, alignment),
        missing_m=_extra(family.old, alignment),
        length_old_m=_mapped_m(family.old, old),
        length_new_m=_mapped_m(family.new, new),
        length=length,
        width_old_mm=None if each.widths is None else float(each.widths.old_mm.mean()),
        width_new_mm=None if each.widths is None else float(each.widths.new_mm.mean()),
        width=width,
        common_m=each.length_m,
        not_inspected_m=hidden_m,
        remarks=tuple(remarks),
        name=_name(family, old, new),
    )


class _OneSided:
    """Cracks that only one survey has."""

    def __init__(self, old: Survey, new: Survey, alignment: Alignment) -> None:
        self._old, self._new, self._alignment = old, new, alignment
        self._rejected = {
            True: (old.rejected, _line_set(old.rejected)),
            False: (new.rejected, _line_set(new.rejected)),
        }
        self.rejected_again: list[tuple[int, int]] = []
        self.rejected_since: list[int] = []
        self.unconfirmed = 0

    def change(self, family: Family) -> CrackChange | None:
        """The change of a family; None where both surveys have it, or it does not count."""
        if family.old and family.new:
            return None
        is_new = bool(family.new)
        tracks = family.new or family.old
        own, other = (self._new, self._old) if is_new else (self._old, self._new)
        indices = [index for track in tracks for index in track.lines]
        counterpart = self._counterpart(tracks, own, is_new)
        if counterpart is not None:
            if is_new:
                self.rejected_again += [(own.cracks[index].id, counterpart) for index in indices]
            else:
                self.rejected_since += [own.cracks[index].id for index in indices]
            return None
        if not any(own.is_confirmed(index) for index in indices):
            self.unconfirmed += len(indices)
            return None
        return self._described(family, tracks, [own.cracks[index] for index in indices], own, other, is_new)

    def _counterpart(self, tracks: Sequence[Track], own: Survey, is_new: bool) -> int | None:
        """Id of the rejected crack of the other survey that these tracks lie along."""
        cracks, lines = self._rejected[is_new]
        if not cracks:
            return None
        beside: list[int] = []
        for track in tracks:
            normal = own.cracks[track.lines[0]].normal
            steps = sampled(track.points_m, track.step_m) if len(track.points_m) > 1 else None
            if steps is not None:
                beside += lines.feet(steps.points_m, steps.directions, normal, _REJECTED_REACH_M).line.tolist()
        found = [index for index in beside if index >= 0]
        if len(found) <= _HALF * len(beside):
            return None
        return cracks[max(set(found), key=found.count)].id

    def _described(
        self,
        family: Family,
        tracks: Sequence[Track],
        cracks: Sequence[MappedCrack],
        own: Survey,
        other: Survey,
        is_new: bool,
    ) -> CrackChange:
        shown = np.concatenate([track.shown for track in tracks])
        points_m = np.concatenate([track.points_m for track in tracks])
        length_m = sum(crack.length_m for crack in cracks)
        width_mm = _mean_width(cracks)
        findable = other.probability_to_show(math.nan if width_mm is None else width_mm, points_m.mean(axis=0))
        exists = max((crack.score for crack in cracks if math.isfinite(crack.score)), default=1.0)
        status = Status.NEW if is_new else Status.GONE
        significance, remarks = findable * exists, []
        which = "earlier" if is_new else "later"
        if shown.mean() < _HALF:
            remarks.append(f"the {which} survey has no image of the place")
        elif findable < _HALF:
            remarks.append(f"finer than the {which} survey resolves")
        if remarks:
            status = Status.FIRST_INSPECTED if is_new else Status.NOT_INSPECTED
            significance = 1.0 - findable if shown.mean() >= _HALF else 1.0 - float(shown.mean())
        ids = tuple(crack.id for crack in cracks)
        return CrackChange(
            number=0,
            status=status,
            significance=significance,
            old_ids=() if is_new else ids,
            new_ids=ids if is_new else (),
            lines_m=_lines(tracks, own, self._alignment),
            added_m=(),
            missing_m=(),
            length_old_m=None if is_new else length_m,
            length_new_m=length_m if is_new else None,
            length=None,
            width_old_mm=None if is_new else width_mm,
            width_new_mm=width_mm if is_new else None,
            width=None,
            common_m=0.0,
            not_inspected_m=float((~shown).mean()) * length_m,
            remarks=tuple(remarks),
            name=_name(family, self._old, self._new),
        )


def _line_set(cracks: Sequence[MappedCrack]) -> LineSet:
    return LineSet([crack.line_m for crack in cracks], [crack.normal for crack in cracks])


def _mean_width(cracks: Sequence[MappedCrack]) -> float | None:
    known = [crack for crack in cracks if math.isfinite(crack.mean_width_mm)]
    length_m = sum(crack.length_m for crack in known)
    return sum(crack.mean_width_mm * crack.length_m for crack in known) / length_m if length_m > 0 else None


def _ids(tracks: Sequence[Track], survey: Survey) -> tuple[int, ...]:
    return tuple(sorted({survey.cracks[index].id for track in tracks for index in track.lines}))


def _mapped_m(tracks: Sequence[Track], survey: Survey) -> float:
    return sum(survey.cracks[index].length_m for track in tracks for index in track.lines)


def _lines(tracks: Sequence[Track], survey: Survey, alignment: Alignment) -> tuple[Array, ...]:
    return tuple(alignment.to_new(survey.cracks[index].line_m) for track in tracks for index in track.lines)


def _extra(tracks: Sequence[Track], alignment: Alignment) -> tuple[Array, ...]:
    return tuple(alignment.to_new(points_m) for track in tracks for points_m in _extra_lines(track))


def _extra_lines(track: Track) -> Iterator[Array]:
    """Lines (N, 3) that only this survey has, where the other one has looked."""
    for start, stop, _ in track.extra_runs():
        for is_shown, first, last in runs_of(track.shown[start:stop].tolist()):
            if is_shown and last - first >= 2:
                yield track.points_m[start + first : start + last]


def _name(family: Family, old: Survey, new: Survey) -> str:
    for tracks, survey in ((family.new, new), (family.old, old)):
        for crack_id in _ids(tracks, survey):
            name = survey.reviews.get(crack_id, Review()).name
            if name:
                return name
    return ""
