"""The highest rate at which a node loses almost nothing, found by doubling and bisection."""

from __future__ import annotations

from collections.abc import Callable


def highest_rate(holds: Callable[[float], bool], first_hz: float, most_hz: float, resolution: float) -> float | None:
    """The highest rate that holds, to within a relative resolution.

    Args:
        holds: Tries a rate.
        first_hz: The first one tried.
        most_hz: No higher one is tried.
        resolution: Ends the search when the bracket is narrower than this share of its lower end.

    Returns:
        The highest rate that was tried and held; None when none did, down to a sixteenth of the first.
    """
    low, high = 0.0, float("inf")
    rate = first_hz
    while high > low * (1.0 + resolution):
        if holds(rate):
            low = rate
            if low >= most_hz:
                break
        else:
            high = rate
            if low == 0.0 and high < first_hz / 10:
                return None
        if high == float("inf"):
            rate = min(2.0 * low, most_hz)
        elif low == 0.0:
            rate = high / 2.0
        else:
            rate = (low * high) ** 0.5
    return low
