# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Estimates the errors of measured lines (``line_errors.json``) from pairs of rendered flights with known cracks.

python test/support/line_records.py --seeds 201 202 203    # writes line_errors.json, prints it
"""

from __future__ import annotations

import argparse
import itertools
import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from line_errors import LEVELS, REFERENCE_CONTRAST, LineErrors, SeenCrack, seen_crack
from survey_pairs import Conditions, FrameObserver, settings_of, survey_settings, wall_pair

from crack_perception.geometry.projection import NoiseModel
from crack_perception.simulation.camera.surface_view import SurfaceView
from crack_perception.simulation.flight.simulation import Flight
from crack_perception.vision.lines.line import CrackLine

_EDGES_PX = (0.7, 1.2, 1.8, 2.6, 4.0, 6.0, 12.0)
_LEAST_SEEN_STEPS = 12
_LEAST_IMAGES = 3


@dataclass(frozen=True, eq=False)
class Record:
    """The lines of a crack in one image.

    Attributes:
        crack: (seed, survey, crack).
        seen: The true crack.
        is_covered: (N,) places with a line.
        error_px, sigma_px: (N,) measured minus true width, and the stated standard deviation; ``nan`` without a line.
        ends_px: By how much the lines go beyond the crack's ends in the image; ``nan`` where they end earlier.
        lines: Those of the crack.
    """

    crack: tuple[int, int, int]
    seen: SeenCrack
    is_covered: np.ndarray
    error_px: np.ndarray
    sigma_px: np.ndarray
    ends_px: tuple[float, float]
    lines: tuple[CrackLine, ...]


def records(seed: int, conditions: Conditions) -> Iterator[Record]:
    """Render both flights of a pair and compare the lines of each image with the true cracks."""
    *plans, _ = wall_pair(seed, conditions)
    for survey, plan in enumerate(plans):
        flight = Flight(survey_settings(settings_of(seed, conditions), survey), plan)
        facet = plan.facets[0]
        observer = FrameObserver(flight.camera, facet.wall.surface, NoiseModel())
        for index, pose in enumerate(plan.trajectory.camera_poses(flight.times_s)):
            view = SurfaceView(flight.camera, facet.wall.surface, pose)
            lines = [line for region in observer.regions(flight.image(index)) for line in region.lines]
            for crack in facet.cracks:
                seen = seen_crack(crack, view)
                if seen is not None and seen.inside.sum() >= _LEAST_SEEN_STEPS:
                    yield compared((seed, survey, crack.id), seen, lines)


def compared(crack: tuple[int, int, int], seen: SeenCrack, lines: Sequence[CrackLine]) -> Record:
    """The lines of an image that lie along a crack, compared with it."""
    count = len(seen.width_px)
    covered, error_px, sigma_px = np.zeros(count, bool), np.full(count, np.nan), np.full(count, np.nan)
    ends_px = [math.nan, math.nan]
    own = []
    for line in lines:
        distance_px = np.linalg.norm(line.points_px[:, None] - seen.points_px[None], axis=2)
        place, nearest_px = distance_px.argmin(axis=1), distance_px.min(axis=1)
        near = nearest_px < 3 + 0.3 * seen.width_px[place]
        # The ends of a line may lie beyond the crack.
        if near.mean() < 0.7 or near.sum() < 2:
            continue
        own.append(line)
        order = np.argsort(place[near], kind="stable")
        at, first = np.unique(place[near][order], return_index=True)
        part = np.arange(at[0], at[-1] + 1)
        for values, measured in (
            (error_px, line.width_px[near][order][first]),
            (sigma_px, line.width_sigma_px[near][order][first]),
        ):
            values[part] = np.interp(part, at, measured)
        error_px[part] -= seen.width_px[part]
        covered[part] = True
        for end, step in ((0, 1), (count - 1, -1)):
            if seen.inside[end] and end in (at[0], at[-1]):
                tip, inner = seen.points_px[end], seen.points_px[end + 2 * step]
                outward = (tip - inner) / max(float(np.linalg.norm(tip - inner)), 1e-9)
                beyond = ((line.points_px - tip) @ outward)[nearest_px < 20]
                ends_px[0 if end == 0 else 1] = float(beyond.max())
    return Record(crack, seen, covered & seen.inside, error_px, sigma_px, (ends_px[0], ends_px[1]), tuple(own))


def estimated(found: Sequence[Record], seeds: Sequence[int]) -> LineErrors:
    """The errors of measured lines from records."""
    by_crack: dict[tuple[int, int, int], list[Record]] = defaultdict(list)
    for record in found:
        by_crack[record.crack].append(record)
    edges = list(itertools.pairwise(_EDGES_PX))
    cracks = [_Crack.of(members) for members in by_crack.values()]
    measured = [each for each in cracks if each is not None]
    bias = [_median([x.error_px for x in measured if low <= x.mean_px < high], 0.0) for low, high in edges]
    stated = [_median([x.stated_px for x in measured if low <= x.mean_px < high], 0.2) for low, high in edges]
    classes_px = [math.sqrt(low * high) for low, high in edges]

    def at(values: Sequence[float], width_px: float) -> float:
        return float(np.interp(math.log(width_px), np.log(classes_px), values))

    z = np.array([(each.error_px - at(bias, each.mean_px)) / each.stated_px for each in measured])
    image_z = np.concatenate([each.image_errors / each.stated_px for each in measured])
    images = np.array([len(each.image_errors) for each in measured])
    # The mean over few images still holds a part of what differs between them.
    own_variance = max(float(z.var() - image_z.var() * np.mean(1 / images)), 0.1 * float(z.var()))
    z_of = {each.key: value for each, value in zip(measured, z, strict=True)}
    pairs = [(z_of[key], z_of[other]) for key in z_of if key[1] == 0 and (other := (key[0], 1, key[2])) in z_of]
    shared = float(np.corrcoef(np.array(pairs).T)[0, 1]) if len(pairs) > 5 else 0.0
    scatter = [math.log(each.stated_px / at(stated, each.mean_px)) for each in measured]
    fade = _fade(found, by_crack)
    lengths_px = [line.length_px for record in found for line in record.lines]
    ends_px = np.array([end for record in found for end in record.ends_px if math.isfinite(end)])
    return LineErrors(
        seeds=tuple(seeds),
        cracks=len(measured),
        images=int(images.sum()),
        classes_px=_rounded(classes_px),
        bias_px=_rounded(bias),
        stated_px=_rounded(stated),
        stated_scatter=_round(float(np.std(scatter))),
        crack_quantiles=_rounded(np.quantile(z, LEVELS) * math.sqrt(own_variance / z.var())),
        image_quantiles=_rounded(np.quantile(image_z, LEVELS)),
        shared=_round(min(max(shared, 0.0), 0.95)),
        step=_round(float(np.sqrt(np.mean([each.step_variance / each.stated_px**2 for each in measured])))),
        step_correlation=_round(float(np.median([each.step_correlation for each in measured]))),
        missed=_rounded([_missed(found, low, high) for low, high in edges]),
        fade_px=_round(fade[0]),
        fade_contrast=_round(fade[1]),
        fade_sigma=_round(fade[2]),
        fade_common=_round(fade[3]),
        fade_steps=_round(_fade_steps(found)),
        end_px=(_round(float(ends_px.mean())), _round(float(ends_px.std()))),
        least_px=_round(float(np.quantile(lengths_px, 0.02))),
        strength=_rounded([_strength(found, low, high) for low, high in edges]),
    )


@dataclass(frozen=True, eq=False)
class _Crack:
    """Errors of the width of one crack in one survey."""

    key: tuple[int, int, int]
    mean_px: float
    error_px: float
    stated_px: float
    image_errors: np.ndarray
    step_variance: float
    step_correlation: float

    @classmethod
    def of(cls, members: Sequence[Record]) -> _Crack | None:
        """None where too few images have a line."""
        used = [each for each in members if each.is_covered.sum() >= _LEAST_SEEN_STEPS]
        if len(used) < _LEAST_IMAGES:
            return None
        errors = [each.error_px[each.is_covered] for each in used]
        means = np.array([part.mean() for part in errors])
        rest = [part - part.mean() for part in errors]
        variance = float(np.mean([part.var() for part in errors]))
        together = float(np.mean([np.mean(part[1:] * part[:-1]) for part in rest]))
        count = len(used)
        return cls(
            used[0].crack,
            float(np.mean([each.seen.width_px[each.is_covered].mean() for each in used])),
            float(means.mean()),
            float(np.mean([each.sigma_px[each.is_covered].mean() for each in used])),
            (means - means.mean()) * math.sqrt(count / (count - 1)),
            variance,
            min(max(together / max(variance, 1e-9), 0.0), 0.98),
        )


def _missed(found: Sequence[Record], low_px: float, high_px: float) -> float:
    """Share of images with most of a crack above the width at which it fades out, and no line on it."""
    of = [record for record in found if low_px <= record.seen.mean_px < high_px]
    return float(np.mean([not record.is_covered.any() for record in of])) if of else 0.0


def _strength(found: Sequence[Record], low_px: float, high_px: float) -> float:
    values = [
        line.strength * REFERENCE_CONTRAST / record.seen.contrast
        for record in found
        if low_px <= record.seen.mean_px < high_px
        for line in record.lines
    ]
    return _median(values, 10.0)


def _fade(
    found: Sequence[Record], by_crack: dict[tuple[int, int, int], list[Record]]
) -> tuple[float, float, float, float]:
    """Width, exponent of the contrast, spread, and common share of the width at which cracks fade out."""
    seen = [record for record in found if record.is_covered.any()]
    x = np.concatenate([np.log(record.seen.width_px[record.seen.inside]) for record in seen])
    c = np.concatenate(
        [np.full(record.seen.inside.sum(), math.log(record.seen.contrast / REFERENCE_CONTRAST)) for record in seen]
    )
    y = np.concatenate([record.is_covered[record.seen.inside] for record in seen]).astype(float)
    design = np.column_stack([np.ones(len(x)), x, c])
    beta = np.array([0.0, 1.0, 0.0])
    for _ in range(50):  # logistic regression by Newton's method
        share = 1 / (1 + np.exp(-np.clip(design @ beta, -30, 30)))
        weight = np.maximum(share * (1 - share), 1e-6)
        beta = beta + np.linalg.solve((design * weight[:, None]).T @ design, design.T @ (y - share))
    fade_px, sigma = math.exp(-beta[0] / beta[1]), 1.7 / beta[1]
    binary: list[tuple[float, float, int]] = []
    for members in by_crack.values():
        used = [each for each in members if each.is_covered.any()]
        if len(used) < _LEAST_IMAGES:
            continue
        for place in np.linspace(0.02, 0.98, 49):
            votes = []
            for each in used:
                step = int(np.abs(each.seen.position - place).argmin())
                if not each.seen.inside[step]:
                    continue
                row = [1.0, math.log(each.seen.width_px[step]), math.log(each.seen.contrast / REFERENCE_CONTRAST)]
                if 0.25 < 1 / (1 + math.exp(-float(np.array(row) @ beta))) < 0.75:
                    votes.append(bool(each.is_covered[step]))
            if len(votes) >= _LEAST_IMAGES:
                binary.append((float(np.mean(votes)), 1 / len(votes), len(votes)))
    if len(binary) < 10:
        return fade_px, -float(beta[2] / beta[1]), sigma, 0.5
    means = np.array([each[0] for each in binary])
    p = float(means.mean())
    within = p * (1 - p)
    inverse = float(np.mean([each[1] for each in binary]))
    icc = (float(means.var()) / within - inverse) / (1 - inverse)
    common = math.sin(math.pi / 2 * min(max(icc, 0.0), 0.95))
    return fade_px, -float(beta[2] / beta[1]), sigma, common


def _fade_steps(found: Sequence[Record]) -> float:
    """Correlation length of coverage in steps: from how often it changes from one place to the next."""
    changes = both = 0.0
    for record in found:
        if not record.is_covered.any():
            continue
        inside = record.seen.inside
        pairs = inside[1:] & inside[:-1]
        mixed = record.is_covered[inside].mean()
        changes += float((record.is_covered[1:] != record.is_covered[:-1])[pairs].sum())
        both += 2 * mixed * (1 - mixed) * float(pairs.sum())
    kept = min(max(1 - changes / max(both, 1e-9), 0.05), 0.99)
    return -1 / math.log(math.sin(math.pi / 2 * kept))


def _median(values: Sequence[float], otherwise: float) -> float:
    return float(np.median(values)) if len(values) else otherwise


def _round(value: float) -> float:
    return float(f"{value:.4g}")


def _rounded(values: Sequence[float] | np.ndarray) -> tuple[float, ...]:
    return tuple(_round(float(value)) for value in values)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, nargs="+", required=True)
    parser.add_argument("--standoffs", type=float, nargs="+", default=[0.6, 0.4])
    arguments = parser.parse_args()
    found = []
    for seed, standoff_m in itertools.product(arguments.seeds, arguments.standoffs):
        found += records(seed, Conditions(standoff_m=(standoff_m, 0.95 * standoff_m)))
        print(f"seed {seed}, {standoff_m} m: {len(found)} records", flush=True)
    errors = estimated(found, arguments.seeds)
    errors.save()
    print(errors)


if __name__ == "__main__":
    main()
