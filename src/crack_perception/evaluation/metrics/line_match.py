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

# A line is on a crack where it is nearer than this, or than three standard deviations up to a limit.
_LEAST_TOLERANCE_M = 0.05
_LARGEST_TOLERANCE_M = 0.2
_TOLERANCE_SIGMAS = 3.0
# 95 % quantile of chi-squared with 2 degrees of freedom.
_CHI2_95_2DOF = 5.991465
# A line is moved onto the cracks in so many steps; where all of it is straight, it is not moved along itself.
_FITTING_STEPS, _ALONG_SHARE = 5, 0.05
# The length of a line that follows several cracks has no counterpart.
_MAIN_SHARE = 0.8


@dataclass(frozen=True, eq=False)
class LineVerdict:
    """What a line of N pieces is worth.

    Attributes:
        pieces: The line, cut.
        tolerance_m: How near counts as on a crack.
        nearest: The nearest true pieces in any direction.
        along: The nearest true pieces in the line's direction.
    """

    pieces: LinePieces
    tolerance_m: float
    nearest: Nearest
    along: Nearest

    @property
    def length_m(self) -> float:
        """Length of the line."""
        return float(self.pieces.lengths_m.sum())

    @property
    def is_about_a_crack(self) -> bool:
        """At least half of it is near true cracks."""
        near = self.nearest.distance_m <= self.tolerance_m
        return bool(2 * self.pieces.lengths_m @ near >= self.length_m)

    @property
    def matched(self) -> npt.NDArray[np.bool_]:
        """Which pieces (N,) run along a true crack."""
        return np.asarray(self.along.distance_m <= self.tolerance_m)

    def fitted(self, truth: TrueLines) -> Nearest:
        """The nearest true pieces in the line's direction, once it is moved as a whole to where it fits them best.

        Which crack a line is about is told by its shape: a line that is off as a whole comes near others as well. The
        shift is found by iterated closest points (Besl and McKay 1992), and goes no further than the tolerance.
        """
        along, shift_m = self.along, np.zeros(3)
        for _ in range(_FITTING_STEPS):
            near = along.distance_m <= self.tolerance_m
            if not near.any():
                break
            weights, directions = self.pieces.lengths_m[near], self.pieces.directions[near]
            across = np.eye(3) - directions[:, :, None] * directions[:, None]
            total = np.einsum("n,nij->ij", weights, across)
            total += _ALONG_SHARE * np.trace(total) * np.eye(3)
            shift_m = shift_m + np.linalg.solve(total, weights @ along.offset_m[near])
            if np.linalg.norm(shift_m) > self.tolerance_m:
                break
            along = truth.nearest(replace(self.pieces, points_m=self.pieces.points_m - shift_m))[1]
        return along

    def is_inside_95(self, covariance_m2: FloatArray) -> bool | None:
        """Whether its mean offset across its direction lies in the 95 % ellipse of its covariance (3, 3), map axes.

        None where it runs along no crack.
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
        """Length of the stretch of the crack that it follows; None where it follows none or several."""
        matched = self.matched
        if not matched.any():
            return None
        cracks, lengths_m = truth.crack[self.along.piece[matched]], self.pieces.lengths_m[matched]
        shares = np.bincount(cracks, weights=lengths_m) / lengths_m.sum()
        main = int(np.argmax(shares))
        if shares[main] < _MAIN_SHARE:
            return None
        followed_m = self.along.along_m[matched][cracks == main]
        # From midpoint to midpoint, and half a piece beyond at either end.
        return float(np.ptp(followed_m) + self.pieces.lengths_m.max())


def judge_line(truth: TrueLines, line_m: FloatArray, covariance_m2: FloatArray) -> LineVerdict:
    """Set a line (M, 3), M >= 2 distinct vertices, against the truth; its covariance (3, 3) widens the tolerance."""
    pieces = cut_line(line_m, SPACING_M)
    return LineVerdict(pieces, _tolerance_m(covariance_m2), *truth.nearest(pieces))


def _tolerance_m(covariance_m2: FloatArray) -> float:
    if not np.all(np.isfinite(covariance_m2)):
        return _LEAST_TOLERANCE_M
    largest_m2 = float(np.linalg.eigvalsh(0.5 * (covariance_m2 + covariance_m2.T))[-1])
    sigma_m = float(np.sqrt(max(largest_m2, 0.0)))
    return float(np.clip(_TOLERANCE_SIGMAS * sigma_m, _LEAST_TOLERANCE_M, _LARGEST_TOLERANCE_M))
