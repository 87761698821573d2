"""How decision values fare on labelled tiles of several strata, with intervals over photographs."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from crack_perception.evaluation.metrics.classification import grouped_bootstrap_interval
from crack_perception.training.evaluation.stratum_figures import (
    Called,
    Labels,
    mean_auc,
    mean_f1,
    mean_false_alarm_rate,
    mean_miss_rate,
)

Array = npt.NDArray[np.float64]
Interval = tuple[float, float]

DRAWS = 400


@dataclass(frozen=True)
class OperatingFigures:
    """Means over the strata at one threshold; the interval covers 95 % over photographs drawn with replacement."""

    f1: float
    f1_interval: Interval
    auc: float
    false_alarm_rate: float
    miss_rate: float


class JudgedRows:
    """Tiles to judge on.

    Args:
        labels: ``(N,)`` 0/1.
        groups: ``(N,)`` photographs.
        strata: ``(N,)`` names that figures are averaged over.
    """

    def __init__(self, labels: Labels, groups: npt.NDArray[np.str_], strata: npt.NDArray[np.str_]) -> None:
        self.labels = labels
        self._groups = groups
        # Numbers compare faster than names, and the bootstrap compares often.
        self._strata = np.unique(strata, return_inverse=True)[1]

    def figures(self, decisions: Array, threshold: float) -> OperatingFigures:
        """Figures of decision values ``(N,)``; a tile is called cracked from the threshold on."""
        called = decisions >= threshold
        return OperatingFigures(
            self.f1(called),
            grouped_bootstrap_interval(lambda rows: self._f1_of(rows, called), self._groups, DRAWS),
            mean_auc(self.labels, decisions, self._strata),
            mean_false_alarm_rate(self.labels, called, self._strata),
            mean_miss_rate(self.labels, called, self._strata),
        )

    def f1(self, called: Called) -> float:
        """Mean F1 over the strata."""
        return mean_f1(self.labels, called, self._strata)

    def compared(self, decisions: Array, threshold: float, reference: Called) -> dict[str, Any]:
        """Figures as plain data, with ``f1_loss`` and ``f1_loss_interval`` against other verdicts ``(N,)``."""
        figures = self.figures(decisions, threshold)
        return {
            **asdict(figures),
            "f1_loss": self.f1(reference) - figures.f1,
            "f1_loss_interval": self.f1_loss_interval(reference, decisions >= threshold),
        }

    def f1_loss_interval(self, reference: Called, called: Called) -> Interval:
        """Interval of how much lower the F1 of some verdicts is than that of others on the same photographs."""
        return grouped_bootstrap_interval(
            lambda rows: self._f1_of(rows, reference) - self._f1_of(rows, called), self._groups, DRAWS
        )

    def _f1_of(self, rows: npt.NDArray[np.intp], called: Called) -> float:
        return mean_f1(self.labels[rows], called[rows], self._strata[rows])
