"""Whether a line inside a cracked region is a crack: by how strong it is, and by how it runs."""

from __future__ import annotations

import functools
import math

from crack_perception.vision.crack_line import CrackLine
from crack_perception.vision.polylines import arc_lengths

# A winding line of this strength inside a flagged region is as likely a crack as a row of pores; on simulated flights
# the odds of a crack grow with the third power of the strength.
_EVEN_STRENGTH = 7.5
_ODDS_POWER = 3.0

# How far a line strays from a smooth curve (a straight line seen through a lens) tells formwork joints, cables and
# edges from cracks. Cracks, simulated ones and those in photographs of walls, stray by two hundredths of their length,
# 98 of 100 by more than one, until they have gone so far that they turn back. Joints stray by what the measurement
# errs, a fifth of a pixel, whatever their length.
_CRACK_STRAYS = 0.012
_TURNS_AFTER_PX = 150.0
_JOINT_SHARE = 0.25
_ERROR_PX = 0.1
# There are straight cracks too, so that straightness alone settles nothing: a strength of 17 makes up for it, one of 26
# where a line stays straight for long. Of cracks eight times as straight as usual 97 % of the length from 1.5 px width
# on is then still taken for cracks, and 62 % of that from 1 to 1.5 px.
_JOINT_LOG_ODDS = -2.5
_MOST_FOR_LENGTH = 1.5

_LINES_REMEMBERED = 256


@functools.lru_cache(_LINES_REMEMBERED)
def line_score(line: CrackLine) -> float:
    """Probability that a line inside a cracked region is a crack's.

    Remembered for the lines of the last frames, by identity: it is asked when a line is measured and when it is told.
    """
    log_odds = _ODDS_POWER * math.log(max(line.strength, 1e-6) / _EVEN_STRENGTH)
    for_length = min(max(line.length_px / _TURNS_AFTER_PX, 1.0), _MOST_FOR_LENGTH)
    log_odds += _JOINT_LOG_ODDS * for_length * joint_likeness(line)
    return 1.0 / (1.0 + math.exp(-log_odds))


def least_strength(score: float) -> float:
    """Weaker lines score less than this (0 to 1, exclusive), however they run."""
    return float(_EVEN_STRENGTH * (score / (1.0 - score)) ** (1.0 / _ODDS_POWER))


def joint_likeness(line: CrackLine) -> float:
    """0 for a line that strays as cracks do, 1 for one that is as straight as a joint, in between what may be either.

    A line of a few pixels is straight anyhow and says nothing: it counts as a crack's.
    """
    along = arc_lengths(line.points_px)
    if len(along) < 4 or along[-1] <= 0.0:
        return 0.0
    share = along / along[-1]
    # Without what it has of two orthonormal directions, and of a mean, no parabola is left in it.
    slope = share - share.sum() / len(share)
    slope /= math.sqrt(slope @ slope)
    bend = share * share
    bend -= bend.sum() / len(share) + (slope @ bend) * slope
    bend /= max(math.sqrt(bend @ bend), 1e-12)
    x, y = line.points_px.T
    strays_squared = 0.0
    for offsets_px in (x - x.sum() / len(x), y - y.sum() / len(y)):
        offsets_px = offsets_px - (slope @ offsets_px) * slope - (bend @ offsets_px) * bend
        strays_squared += float(offsets_px @ offsets_px) / len(along)
    strays_px = math.sqrt(strays_squared)
    expected_px = _CRACK_STRAYS * min(float(along[-1]), _TURNS_AFTER_PX)
    straightness = math.log(expected_px / math.hypot(strays_px, _ERROR_PX)) / math.log(1.0 / _JOINT_SHARE)
    return min(max(straightness, 0.0), 1.0)
