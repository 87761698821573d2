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
from crack_perception.report.comparison.alignment import ENOUGH_LINES, Alignment, Prior, align
from crack_perception.report.comparison.families import Family, Track, families
from crack_perception.report.comparison.growth import Bias, Difference
from crack_perception.report.comparison.lines import LineSet, runs_of, sampled
from crack_perception.report.comparison.measurements import Measured, length_bias, measure, width_bias
from crack_perception.report.comparison.survey import Survey

Array = npt.NDArray[np.float64]

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
        length: Change of the length along the common line, of what both surveys resolve.
        width_old_mm, width_new_mm: Mean widths along the common line, or of the crack where only one survey has it.
        width: Change of the mean width along the common line.
        common_m: Length that both surveys have.
        not_inspected_m: Length that one survey has and the other one's images do not show.
        not_resolved_m: Length that one survey has and that is too fine for the other one, so that it is no change.
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
    not_resolved_m: float
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
        is_reversed: The new map begins before the old one.
        agreeing_share: Length of the aligned lines as a share of what both surveys have mapped of the surfaces that
            both have inspected.
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
    is_reversed: bool
    agreeing_share: float

    def of(self, status: Status) -> tuple[CrackChange, ...]:
        """The cracks of a status."""
        return tuple(change for change in self.changes if change.status is status)


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
    found = [part for family in families(old, moved, alignment_sigma_m) for part in _without_spots(family, old, moved)]
    both = [measure(family, old, moved, alignment_sigma_m) for family in found if family.old and family.new]
    # A spot that both surveys have seen once or twice is no standard for the others.
    certain = [each for each in both if _is_confirmed(each.family.old, old) and _is_confirmed(each.family.new, moved)]
    biases = _Biases(width_bias(certain), length_bias(certain))
    level = 1 - (1 - confidence) / 2
    changes = [_compared(each, old, moved, biases, level, alignment) for each in both]
    one_sided = _OneSided(old, moved, alignment)
    changes += [change for family in found if (change := one_sided.change(family)) is not None]
    changes.sort(
        key=lambda change: (_URGENCY.index(change.status), -change.significance, change.old_ids, change.new_ids)
    )
    return Comparison(
        alignment=alignment,
        width_bias=biases.width,
        length_bias=biases.length,
        changes=tuple(replace(change, number=number) for number, change in enumerate(changes, 1)),
        confidence=confidence,
        rejected_again=tuple(one_sided.rejected_again),
        rejected_since=tuple(one_sided.rejected_since),
        unconfirmed=one_sided.unconfirmed,
        is_continuation=_is_continuation(old, new),
        is_reversed=_begin_ns(new) < _begin_ns(old),
        agreeing_share=_agreeing_share(old, moved, alignment),
    )


def _begin_ns(survey: Survey) -> int:
    return min((crack.first_seen_ns for crack in (*survey.cracks, *survey.rejected)), default=0)


def _agreeing_share(old: Survey, new: Survey, alignment: Alignment) -> float:
    """Length of the aligned lines as a share of the lines of the one survey where the other one has images.

    That of the survey which has mapped less there counts: the other one may resolve more. 1 where neither has
    any there.
    """
    lines = sorted((*new.cracks, *new.rejected), key=lambda crack: -crack.length_m)[:ENOUGH_LINES]
    inside_m = min(_inside_m(lines, old), _inside_m((*old.cracks, *old.rejected), new))
    return min(1.0, alignment.matched_m / inside_m) if inside_m > 0 else 1.0


def _inside_m(cracks: Sequence[MappedCrack], other: Survey) -> float:
    return sum(crack.length_m * float(other.shows(crack.line_m).mean()) for crack in cracks)


def _is_continuation(old: Survey, new: Survey) -> bool:
    first_ns = {crack.id: crack.first_seen_ns for crack in old.cracks}
    same = sum(first_ns.get(crack.id) == crack.first_seen_ns for crack in new.cracks)
    return same > 0.5 * len(old.cracks) > 0


def _is_confirmed(tracks: Sequence[Track], survey: Survey) -> bool:
    """Return whether a survey has confirmed a part of these tracks."""
    return any(survey.is_confirmed(index) for track in tracks for index in track.lines)


def _without_spots(family: Family, old: Survey, new: Survey) -> tuple[Family, ...]:
    """The family, divided where all that one survey has of the other one's crack is an unconfirmed spot.

    A crack that runs through such a spot, or begins beside it, is new or gone, not longer or shorter.
    """
    if not (family.old and family.new) or _is_confirmed(family.old, old) == _is_confirmed(family.new, new):
        return (family,)
    whole = family.new if _is_confirmed(family.new, new) else family.old
    if sum(track.covered_m for track in whole) >= _HALF * sum(track.length_m for track in whole):
        return (family,)
    return Family(old=family.old), Family(new=family.new)


@dataclass(frozen=True)
class _Biases:
    width: Bias
    length: Bias


def _compared(
    each: Measured, old: Survey, new: Survey, biases: _Biases, level: float, alignment: Alignment
) -> CrackChange:
    """A crack that both surveys have."""
    family = each.family
    length, width = each.length_difference(biases.length), each.width_difference(biases.width)
    probabilities = [each.growth_probability for each in (length, width) if each is not None]
    status, significance = Status.UNCHANGED, 2 * min(min(each, 1 - each) for each in probabilities)
    if max(probabilities) >= level:
        status, significance = Status.GROWN, max(probabilities)
    elif min(probabilities) <= 1 - level:
        status, significance = Status.REDUCED, 1 - min(probabilities)
    missing_m = sum(track.extra_m for track in family.old)
    hidden_m = sum(track.hidden_m for track in (*family.old, *family.new))
    unresolved_m = each.gained.unresolved_m + each.lost.unresolved_m
    remarks = []
    if length.growth_probability >= level and length.change > 0:
        remarks.append(f"longer by {100 * length.change:.1f} cm")
    if width is not None and width.growth_probability >= level:
        remarks.append(f"wider by {width.change:.2f} mm")
    if width is not None and width.growth_probability <= 1 - level:
        remarks.append(f"measured {-width.change:.2f} mm narrower than before")
    if length.growth_probability <= 1 - level and missing_m > _PARTLY_M:
        remarks.append(f"{100 * missing_m:.0f} cm of it were not found again")
    if hidden_m > _PARTLY_M:
        remarks.append(f"{100 * hidden_m:.0f} cm of it lie outside the images of one survey")
    if unresolved_m > _PARTLY_M:
        remarks.append(f"{100 * unresolved_m:.0f} cm of it are finer than one survey resolves")
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
        not_resolved_m=unresolved_m,
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
            not_resolved_m=0.0,
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
