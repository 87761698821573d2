# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Comparison of one crack line, of the map or of a single frame, with the true cracks."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from crack_perception.evaluation.metrics.detections import FloatArray
from crack_perception.evaluation.metrics.line_pieces import LinePieces, cut_line
from crack_perception.evaluation.metrics.regions import mahalanobis_squared
from crack_perception.evaluation.metrics.true_lines import Nearest, TrueLines

SPACING_M = 0.01

# Tolerance within which a line counts as on a crack: three standard deviations between these limits.
_MIN_TOLERANCE_M = 0.05
_MAX_TOLERANCE_M = 0.2
_TOLERANCE_SIGMAS = 3.0
# 95 % quantile of chi-squared with 2 degrees of freedom.
_CHI2_95_2DOF = 5.991465
# Steps of the shift onto the cracks; the share keeps a straight line from being shifted along itself.
_FITTING_STEPS, _ALONG_SHARE = 5, 0.05
# A line that follows several cracks has no true length to compare with.
_MAIN_SHARE = 0.8


@dataclass(frozen=True, eq=False)
class LineMatch:
    """Match of a line, cut into N pieces, with the true cracks.

    Attributes:
        pieces: Pieces of the line.
        tolerance_m: Distance within which a piece counts as on a crack.
        nearest: Nearest true pieces of any direction.
        along: Nearest true pieces of the line's direction.
    """

    pieces: LinePieces
    tolerance_m: float
    nearest: Nearest
    along: Nearest

    @property
    def length_m(self) -> float:
        """Length of the line [m]."""
        return float(self.pieces.lengths_m.sum())

    @property
    def is_true(self) -> bool:
        """True when at least half of the line lies on true cracks."""
        near = self.nearest.distance_m <= self.tolerance_m
        return bool(2 * self.pieces.lengths_m @ near >= self.length_m)

    @property
    def matched(self) -> npt.NDArray[np.bool_]:
        """Mask (N,) of the pieces that run along a true crack."""
        return np.asarray(self.along.distance_m <= self.tolerance_m)

    def fitted(self, truth: TrueLines) -> Nearest:
        """Return the nearest true pieces of the line's direction after the line is shifted to its best fit.

        The shape decides which crack a line belongs to: a line with a constant offset comes close to others too. The
        shift is found by iterative closest points (Besl and McKay 1992), from the line's place and from the best fit to
        each crack that it runs along, and limited to the tolerance; the closest fit counts.
        """
        fits = [self._fit(truth, np.zeros(3), self.along)]
        cracks = np.unique(truth.crack[self.along.piece[self.matched]])
        for crack in cracks.tolist() if len(cracks) > 1 else ():
            shift_m = np.zeros(3)
            for _ in range(_FITTING_STEPS):
                along = truth.nearest(self._moved(shift_m), crack)[1]
                near = along.distance_m <= self.tolerance_m
                if not near.any():
                    break
                shift_m = shift_m + self._step(along, near)
            if np.linalg.norm(shift_m) <= self.tolerance_m:
                fits.append(self._fit(truth, shift_m, truth.nearest(self._moved(shift_m))[1]))
        return min(
            fits, key=lambda along: float(self.pieces.lengths_m @ np.minimum(along.distance_m, self.tolerance_m))
        )

    def _fit(self, truth: TrueLines, shift_m: FloatArray, along: Nearest) -> Nearest:
        """Return the nearest pieces after a fit that starts at a shift (3,), where the nearest ones are these."""
        for _ in range(_FITTING_STEPS):
            near = along.distance_m <= self.tolerance_m
            if not near.any():
                break
            shift_m = shift_m + self._step(along, near)
            if np.linalg.norm(shift_m) > self.tolerance_m:
                break
            along = truth.nearest(self._moved(shift_m))[1]
        return along

    def _step(self, along: Nearest, near: npt.NDArray[np.bool_]) -> FloatArray:
        """Return the shift (3,) of the line that fits some of its pieces best, across the line."""
        weights, directions = self.pieces.lengths_m[near], self.pieces.directions[near]
        across = np.eye(3) - directions[:, :, None] * directions[:, None]
        total = np.einsum("n,nij->ij", weights, across)
        total += _ALONG_SHARE * np.trace(total) * np.eye(3)
        return np.asarray(np.linalg.solve(total, weights @ along.offset_m[near]))

    def _moved(self, shift_m: FloatArray) -> LinePieces:
        return replace(self.pieces, points_m=self.pieces.points_m - shift_m)

    def is_inside_95(self, covariance_m2: FloatArray) -> bool | None:
        """Return whether the mean offset across the line lies in the 95 % ellipse of its covariance (3, 3), map axes.

        None when the line runs along no crack.
        """
        matched = self.matched
        if not matched.any():
            return None
        weights = self.pieces.lengths_m[matched]
        offset_m = weights @ self.along.offset_m[matched] / weights.sum()
        _, _, axes = np.linalg.svd((self.pieces.directions * self.pieces.lengths_m[:, None]).T @ self.pieces.directions)
        across = axes[1:]
        if not np.all(np.isfinite(covariance_m2)):
            return False
        return mahalanobis_squared(across @ offset_m, across @ covariance_m2 @ across.T) <= _CHI2_95_2DOF

    def true_length_m(self, truth: TrueLines) -> float | None:
        """Return the length of the crack section that the line follows [m]; None when it follows none or several."""
        matched = self.matched
        if not matched.any():
            return None
        cracks, lengths_m = truth.crack[self.along.piece[matched]], self.pieces.lengths_m[matched]
        shares = np.bincount(cracks, weights=lengths_m) / lengths_m.sum()
        main = int(np.argmax(shares))
        if shares[main] < _MAIN_SHARE:
            return None
        followed_m = self.along.along_m[matched][cracks == main]
        # From the first midpoint to the last, plus half a piece at either end.
        return float(np.ptp(followed_m) + self.pieces.lengths_m.max())


def match_line(truth: TrueLines, line_m: FloatArray, covariance_m2: FloatArray) -> LineMatch:
    """Match a line (M, 3), M >= 2 distinct vertices, with the truth; its covariance (3, 3) widens the tolerance."""
    pieces = cut_line(line_m, SPACING_M)
    return LineMatch(pieces, _tolerance_m(covariance_m2), *truth.nearest(pieces))


def _tolerance_m(covariance_m2: FloatArray) -> float:
    if not np.all(np.isfinite(covariance_m2)):
        return _MIN_TOLERANCE_M
    largest_m2 = float(np.linalg.eigvalsh(0.5 * (covariance_m2 + covariance_m2.T))[-1])
    sigma_m = float(np.sqrt(max(largest_m2, 0.0)))
    return float(np.clip(_TOLERANCE_SIGMAS * sigma_m, _MIN_TOLERANCE_M, _MAX_TOLERANCE_M))
