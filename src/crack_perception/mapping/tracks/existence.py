# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Existence probability of a mapped object, from the scores of its views and from how regularly frames show it.

The scores of several views of one object are correlated, so their evidence does not add up as that of independent views
would. Both parts are models with an effect that all views of an object have in common; the evidence of either is
bounded however many views there are.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

# Share of the variance of a view's log-odds that all views of an object have in common.
_COMMON_SHARE = 0.4
_CERTAIN_LOG_ODDS = 4.6
"""Limits the probability to 1 to 99 %."""


@dataclass
class ExistenceProbability:
    """Existence probability of one object.

    Attributes:
        log_odds: Mean over the views of the log-odds that it is a crack.
        views: Independent views that this comes from; frames in quick succession count for less than one.
        shown: Independent views that should have shown it and did, parts of it as parts of a view.
        missing: Independent views that should have shown it and did not.
        expected_s: Time of the last of these, ``-inf`` if there was none since the start.
    """

    log_odds: float = 0.0
    views: float = 0.0
    shown: float = 0.0
    missing: float = 0.0
    expected_s: float = -math.inf

    @classmethod
    def of(cls, score: float) -> ExistenceProbability:
        """Probability after a single view with this score."""
        return cls(log_odds(score), 1.0)

    def add_view(self, score: float, weight: float) -> None:
        """Update with the score of a view that counts as ``weight`` independent ones."""
        if weight <= 0.0:
            return
        self.log_odds = (self.views * self.log_odds + weight * log_odds(score)) / (self.views + weight)
        self.views += weight

    def add_expected_view(self, shown_share: float, weight: float) -> None:
        """Update with a view that should have shown the object and shows this share of it."""
        self.shown += weight * shown_share
        self.missing += weight * (1.0 - shown_share)

    @property
    def score(self) -> float:
        """Probability that it is a crack.

        The mean of n log-odds whose variance is in part common to all weighs n / (1 + (n - 1) * share) as much as a
        single one. An object that h of h + m frames show has odds of (1 + h) / (1 + m): the ratio of the marginal
        likelihoods if the rate at which frames show a crack has the distribution Beta(2, 1), and that of anything else
        Beta(1, 2).
        """
        scores = self.log_odds * self.views / (1.0 + (self.views - 1.0) * _COMMON_SHARE) if self.views > 0.0 else 0.0
        regularity = math.log((1.0 + self.shown) / (1.0 + self.missing))
        return 1.0 / (1.0 + math.exp(-min(max(scores + regularity, -_CERTAIN_LOG_ODDS), _CERTAIN_LOG_ODDS)))

    def joined(self, other: ExistenceProbability) -> ExistenceProbability:
        """Existence probability of an object that two pieces are parts of."""
        views = self.views + other.views
        mean = (self.views * self.log_odds + other.views * other.log_odds) / views if views > 0.0 else 0.0
        return ExistenceProbability(
            mean,
            views,
            self.shown + other.shown,
            self.missing + other.missing,
            max(self.expected_s, other.expected_s),
        )


def log_odds(probability: float) -> float:
    """Natural log-odds of a probability, finite for 0 and 1 too."""
    p = min(max(probability, 1e-3), 1 - 1e-3)
    return math.log(p / (1 - p))
