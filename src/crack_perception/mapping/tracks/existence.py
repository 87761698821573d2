"""Whether an object of the map is a crack at all: what its looks say, and how regularly frames show it.

Views of one object err alike: what looks like a crack from one place does so from the next, however many look. So the
evidence of many views does not add up as that of independent ones would. Both parts are models with an effect that all
views of an object have in common; the evidence of either stops growing with the number of views.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

# Share of the variance of a view's log-odds that all views of an object have in common.
_COMMON_SHARE = 0.4
_CERTAIN_LOG_ODDS = 4.6
"""No object is believed or disbelieved beyond 99 %."""


@dataclass
class ExistenceProbability:
    """What the views of one object have said so far.

    Attributes:
        log_odds: Mean over the views of the log-odds that it is a crack.
        views: Independent views that this comes from; frames that follow each other quickly count for less than one.
        shown: Independent views that should have shown it and did, parts of it as parts of a view.
        missing: Independent views that should have shown it and did not.
        expected_s: When one of these was counted last, ``-inf`` if not since the start.
    """

    log_odds: float = 0.0
    views: float = 0.0
    shown: float = 0.0
    missing: float = 0.0
    expected_s: float = -math.inf

    @classmethod
    def of(cls, score: float) -> ExistenceProbability:
        """What a single view that gives it this probability says."""
        return cls(log_odds(score), 1.0)

    def see(self, score: float, weight: float) -> None:
        """Take in a view that gives it this probability, and counts as ``weight`` independent ones."""
        if weight <= 0.0:
            return
        self.log_odds = (self.views * self.log_odds + weight * log_odds(score)) / (self.views + weight)
        self.views += weight

    def expect(self, shown_share: float, weight: float) -> None:
        """Take in a view that should have shown it and shows this share of it."""
        self.shown += weight * shown_share
        self.missing += weight * (1.0 - shown_share)

    @property
    def score(self) -> float:
        """Probability that it is a crack.

        The mean of n log-odds whose variance is in part common to all weighs n / (1 + (n - 1) * share) as much as a
        single one. That frames show it h times of h + m speaks for it with odds of (1 + h) / (1 + m): the ratio of the
        marginal likelihoods if the rate at which frames show a crack has the distribution Beta(2, 1), and that of
        anything else Beta(1, 2).
        """
        looks = self.log_odds * self.views / (1.0 + (self.views - 1.0) * _COMMON_SHARE) if self.views > 0.0 else 0.0
        regularity = math.log((1.0 + self.shown) / (1.0 + self.missing))
        return 1.0 / (1.0 + math.exp(-min(max(looks + regularity, -_CERTAIN_LOG_ODDS), _CERTAIN_LOG_ODDS)))

    def joined(self, other: ExistenceProbability) -> ExistenceProbability:
        """What the views of two pieces say of the object that they are parts of."""
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
