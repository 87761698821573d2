# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""The cracks of a map as reviewers see them: merges and splits applied, each with its review and its photographs.

Page, documents and comparisons all use this view. The map itself stays as it was measured, so that a decision can be
undone at any time and new flights continue with the cracks that they know.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from crack_perception.geometry.rotations import to_matrix
from crack_perception.mapping.evidence.decisions import Action, Decision, Review, Verdict, effective, reviews
from crack_perception.mapping.evidence.joining import beside_m, cut_vertex, joined_order, part_of, united
from crack_perception.mapping.evidence.photograph import Photograph
from crack_perception.mapping.mapped_crack import MappedCrack
from crack_perception.recognition.severity import UNDETERMINED, SeverityScale

Array = npt.NDArray[np.float64]
Ids = npt.NDArray[np.int64]

# Share of a photograph's size by which lens distortion may move a point beyond its border.
_DISTORTION = 0.05
_NEAREST_M = 1e-3


@dataclass(frozen=True, eq=False)
class ReviewedCrack:
    """One crack after all decisions.

    Attributes:
        crack: Merged with others or cut, where a reviewer decided so.
        review: Its state; the comments of all its parts are in it.
        photographs: Of all its parts, the best first; of a cut crack those that show this part.
        parts: Ids of the cracks in the map that it consists of, ascending.
    """

    crack: MappedCrack
    review: Review
    photographs: tuple[Photograph, ...]
    parts: tuple[int, ...]

    @property
    def id(self) -> int:
        """Id of the crack; a part that was split off has one of its own."""
        return self.crack.id

    @property
    def is_rejected(self) -> bool:
        """Return whether a reviewer rejected it."""
        return self.review.verdict is Verdict.REJECTED

    @property
    def name(self) -> str:
        """The reviewer's name, or the id."""
        return self.review.name or str(self.id)

    def severity(self, measured: str, scale: SeverityScale) -> str:
        """The reviewer's severity class, or the measured one where there is none.

        A class that the reviewer chose in another classification does not count in this one.
        """
        chosen = self.review.severity
        return chosen if chosen in (*scale.labels, UNDETERMINED) else measured


def reviewed_cracks(
    cracks: Iterable[MappedCrack], photographs: Iterable[Photograph] = (), decisions: Iterable[Decision] = ()
) -> tuple[ReviewedCrack, ...]:
    """Apply the decisions to the cracks of a map.

    A merge of two cracks that are not one line, and a split at an end, change nothing: new flights may have moved the
    lines since. Such a crack stays in the list and keeps ``review.merged_into``.

    Args:
        cracks: Of the map.
        photographs: Their photographs.
        decisions: All decisions, undone ones among them.

    Returns:
        By ascending id. Rejected cracks are among them, because they are still there when they are seen again: see
        ``without_rejected``.
    """
    counted = effective(decisions)
    states = reviews(counted)
    lines = _applied(cracks, counted)
    pictures: dict[int, list[Photograph]] = defaultdict(list)
    for photograph in photographs:
        pictures[photograph.crack_id].append(photograph)
    return tuple(
        ReviewedCrack(
            crack=each.crack,
            review=_review(each, states),
            photographs=_photographs(each, pictures),
            parts=tuple(sorted(each.parts)),
        )
        for _, each in sorted(lines.items())
    )


def without_rejected(reviewed: Iterable[ReviewedCrack]) -> tuple[ReviewedCrack, ...]:
    """The cracks that documents, tables and plans show."""
    return tuple(each for each in reviewed if not each.is_rejected)


@dataclass(eq=False)
class _Line:
    """A crack while decisions are applied.

    Attributes:
        crack: As it is now.
        origins: (N,) id of the map's crack that a vertex comes from.
        parts: Ids of the map's cracks.
        merged: Ids of the cracks that were merged into it, those of split-off parts among them.
        is_cut: Whether a part of it was split off.
    """

    crack: MappedCrack
    origins: Ids
    parts: set[int]
    merged: list[int] = field(default_factory=list)
    is_cut: bool = False


def _applied(cracks: Iterable[MappedCrack], counted: Iterable[Decision]) -> dict[int, _Line]:
    """Apply merges and splits in the order in which they were decided."""
    lines = {crack.id: _Line(crack, np.full(len(crack.line_m), crack.id), {crack.id}) for crack in cracks}
    waiting: list[tuple[int, int]] = []
    merged_into: dict[int, int] = {}
    for decision in counted:
        if decision.action is Action.MERGE:
            waiting.append((decision.crack_id, int(decision.value["into"])))
        elif decision.action is Action.SPLIT:
            _split(lines, decision)
        # A crack between two others joins them: what did not fit before may fit now.
        while (fitting := next((pair for pair in waiting if _merge(lines, merged_into, *pair)), None)) is not None:
            waiting.remove(fitting)
    return lines


def _merge(lines: dict[int, _Line], merged_into: dict[int, int], crack_id: int, into: int) -> bool:
    """Return whether the two were one line, and are one crack now."""
    while into in merged_into:
        into = merged_into[into]
    if crack_id not in lines or into not in lines or crack_id == into:
        return False
    kept, other = lines[into], lines[crack_id]
    order = joined_order(kept.crack.line_m, other.crack.line_m, beside_m(kept.crack, other.crack))
    if order is None:
        return False
    lines[into] = _Line(
        united(kept.crack, other.crack, order),
        np.concatenate([kept.origins, other.origins])[order],
        kept.parts | other.parts,
        [*kept.merged, crack_id, *other.merged],
        kept.is_cut or other.is_cut,
    )
    del lines[crack_id]
    merged_into[crack_id] = into
    return True


def _split(lines: dict[int, _Line], decision: Decision) -> None:
    new_id = int(decision.value["new_id"])
    line = lines.get(decision.crack_id)
    at_m = np.asarray(decision.value["at_m"], np.float64)
    if line is None or new_id in lines or at_m.shape != (3,):
        return
    cut = cut_vertex(line.crack.line_m, at_m)
    if cut is None:
        return
    last = len(line.crack.line_m) - 1
    stays, leaves = (0, cut), (cut, last)
    if _begins_with_new_part(line.crack.line_m, cut, decision):
        stays, leaves = leaves, stays
    lines[line.crack.id] = _cut(line, *stays, line.crack.id, line.merged)
    lines[new_id] = _cut(line, *leaves, new_id, [])


def _begins_with_new_part(line_m: Array, cut: int, decision: Decision) -> bool:
    """Whether the part that leaves is the one before the cut: new flights may turn a line round."""
    inside_m = np.asarray(decision.value.get("new_part_m", ()), np.float64)
    return inside_m.shape == (3,) and int(np.square(line_m - inside_m).sum(axis=1).argmin()) < cut


def _cut(line: _Line, first: int, last: int, crack_id: int, merged: list[int]) -> _Line:
    origins = line.origins[first : last + 1]
    # The vertex of the cut belongs to both; a crack that ends there is no part of this one.
    inner = origins[1:] if first else origins[:-1]
    # Cracks that lay beside another one have no vertices left.
    beside = line.parts - set(line.origins.tolist())
    return _Line(part_of(line.crack, first, last, crack_id), origins, set(inner.tolist()) | beside, merged, True)


def _review(line: _Line, states: dict[int, Review]) -> Review:
    own = states.get(line.crack.id, Review())
    others = [states[crack_id] for crack_id in line.merged if crack_id in states]
    if not others:
        return own
    comments = [comment for review in (own, *others) for comment in review.comments]
    return Review(
        verdict=own.verdict,
        name=own.name or next((review.name for review in others if review.name), ""),
        severity=own.severity,
        comments=tuple(sorted(comments, key=lambda comment: comment.id)),
        structural_review=any(review.structural_review for review in (own, *others)),
        merged_into=own.merged_into,
    )


def _photographs(line: _Line, pictures: dict[int, list[Photograph]]) -> tuple[Photograph, ...]:
    found = [photograph for crack_id in sorted(line.parts) for photograph in pictures.get(crack_id, ())]
    if line.is_cut:
        found = [photograph for photograph in found if shows(photograph, line.crack.line_m)]
    return tuple(sorted(found, key=lambda photograph: -photograph.quality))


def projected_px(photograph: Photograph, points_m: Array) -> Array:
    """Where points of the map (N, 3) appear in a photograph, (N, 2) without lens distortion; ``nan`` behind it.

    Raises:
        ValueError: The photograph's orientation is not known.
    """
    rotation = to_matrix(photograph.orientation_xyzw)
    camera_m = (points_m - photograph.position_m) @ rotation
    fx, fy, cx, cy = photograph.intrinsics_px
    depth_m = np.where(camera_m[:, 2] > _NEAREST_M, camera_m[:, 2], np.nan)
    return np.column_stack([fx * camera_m[:, 0] / depth_m + cx, fy * camera_m[:, 1] / depth_m + cy])


def shows(photograph: Photograph, line_m: Array) -> bool:
    """Whether any part of a line (N, 3) is in a photograph; True where its pose is not known."""
    try:
        points_px = projected_px(photograph, line_m)
    except ValueError:
        return True
    if not np.isfinite(photograph.position_m).all():
        return True
    size_px = np.array(photograph.size_px, np.float64)
    with np.errstate(invalid="ignore"):
        inside = (points_px > -_DISTORTION * size_px) & (points_px < (1 + _DISTORTION) * size_px)
    return bool(inside.all(axis=1).any())
