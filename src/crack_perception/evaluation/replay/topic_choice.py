# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Choice between several topics for an input of the node, by name, rate, motion and frame."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from crack_perception.errors import UsageError
from crack_perception.evaluation.recordings.bag import BagTopic
from crack_perception.evaluation.replay.directions import agree, follows_height, named_directions
from crack_perception.evaluation.replay.topic_facts import TopicFacts
from crack_perception.vision.images.thermal import thermal_word

# A topic with less than this share of another topic's messages is an event, not a stream.
_SPARSE = 0.1
_CLEAR_RATE_RATIO = 3.0
_EVENT_HZ = 0.5

_GOAL = re.compile(
    r"goal|set_?point|target|way_?point|command|(^|[/_])cmd|desired|reference|planned|home|initial_?pose|clicked", re.I
)
_AUXILIARY = re.compile(
    r"depth|disparity|confidence|infra|(^|[/_])ir\d?([/_]|$)|mask|label|segment|annotat|overlay|debug|heat_?map"
    r"|preview|thumbnail|detection|marker|screenshot",
    re.I,
)
_LEAST_VALID_SHARE = 0.5
_WIDE_BEAM_RAD = 0.5


# Poses that PX4 receives over uXRCE-DDS, of motion capture or visual odometry.
_TO_AUTOPILOT = re.compile(r"(^|/)fmu/in/")


@dataclass(frozen=True)
class Criterion:
    """Criterion for preferring or requiring a topic.

    Attributes:
        holds: Returns whether a topic meets the criterion.
        otherwise: Reason given for rejecting a topic that does not.
    """

    holds: Callable[[TopicFacts], bool]
    otherwise: str


@dataclass(frozen=True)
class Choice:
    """Chosen topic, or None, with notes for the report."""

    topic: BagTopic | None
    notes: tuple[str, ...] = ()


def choose(
    name: str, candidates: Sequence[TopicFacts], criteria: Sequence[Criterion], required: Sequence[Criterion] = ()
) -> Choice:
    """Choose the topic of an input.

    Args:
        name: Name of the input.
        candidates: Topics of an accepted type.
        criteria: Preferences, most important first; one that no topic meets is ignored.
        required: Criteria that a topic must meet.

    Raises:
        UsageError: Several topics remain that no criterion distinguishes.
    """
    dropped: dict[str, str] = {}
    left = list(candidates)
    for criterion in required:
        left = _kept(left, criterion, dropped, required=True)
    for criterion in [*criteria, *(_rate_criteria(left) if len(left) > 1 else ())]:
        left = _kept(left, criterion, dropped)
    option = f"--topic {name}=/x"
    refused = ", ".join(f"{topic} ({why})" for topic, why in dropped.items())
    if not left:
        note = f"{name}: no topic is used, rejected are {refused}; {option} selects one"
        return Choice(None, (note,) if dropped else ())
    best = _alike(left, dropped)
    if best is None:
        listed = ", ".join(f"{item.topic.name} ({described(item)})" for item in left)
        raise UsageError(f"several topics fit the input `{name}`: {listed}", f"Choose one with {option}")
    if not dropped:
        return Choice(best.topic)
    refused = ", ".join(f"{topic} ({why})" for topic, why in dropped.items())
    note = f"{name}: {best.topic.name} was chosen ({described(best)}), rejected are {refused}; {option} selects another"
    return Choice(best.topic, (note,))


def described(facts: TopicFacts) -> str:
    """Describe a topic by type, rate, motion, frame and size."""
    words = [facts.topic.type_name.rpartition("/")[2]]
    if facts.rate_hz == facts.rate_hz:
        words.append(f"{facts.rate_hz:.1f} Hz")
    if facts.positions_m:
        words.append(f"moves {facts.moved_m:.2f} m" if facts.changes else "never moves")
    if facts.size_px:
        words.append("{}x{} px".format(*facts.size_px))
    if facts.frame:
        words.append(f"frame {facts.frame}")
    return ", ".join(words)


def pose_criteria(vehicle_frames: frozenset[str]) -> tuple[list[Criterion], list[Criterion]]:
    """Return the requirements on and preferences for a topic with the vehicle's pose.

    Args:
        vehicle_frames: Frames that move with the vehicle; a pose given in one of them is not the vehicle's.
    """
    required = [
        Criterion(lambda facts: not _GOAL.search(facts.topic.name), "named like a goal or command"),
        Criterion(lambda facts: not facts.rate_hz < _EVENT_HZ, f"less than {_EVENT_HZ:g} messages per second"),
        Criterion(lambda facts: facts.frame not in vehicle_frames, "given in a frame of the vehicle"),
    ]
    preferred = [
        Criterion(lambda facts: not _TO_AUTOPILOT.search(facts.topic.name), "sent to the autopilot"),
        Criterion(lambda facts: facts.changes, "never moves"),
        Criterion(lambda facts: facts.frame in ("map", "world", "earth"), "not given in a map frame"),
    ]
    return required, preferred


IMAGE_CRITERIA = [
    Criterion(
        lambda facts: not (_AUXILIARY.search(facts.topic.name) or thermal_word(facts.topic.name)),
        "not named like a camera image",
    ),
    Criterion(lambda facts: not thermal_word(facts.frame), "its frame is named like a thermal camera"),
]


def range_criteria(
    is_aligned: Callable[[str], bool | None], camera: frozenset[str], poses: TopicFacts | None
) -> tuple[list[Criterion], list[Criterion]]:
    """Return the requirements on and preferences for a rangefinder along the camera's axis.

    Args:
        is_aligned: Frame -> whether its x axis is parallel to the camera's axis; None when unknown.
        camera: Directions of the camera, as in ``directions``.
        poses: Topic with the vehicle's pose, surveyed; None without one.
    """

    def may_point_there(facts: TopicFacts) -> bool:
        names = named_directions(f"{facts.topic.name}/{facts.frame}")
        return is_aligned(facts.frame) is True or agree(names, camera)

    def is_no_altimeter(facts: TopicFacts) -> bool:
        is_vertical = bool(camera & {"up", "down", "oblique"}) or is_aligned(facts.frame) is True
        return is_vertical or poses is None or not follows_height(facts, poses)

    required = [
        Criterion(
            lambda facts: is_aligned(facts.frame) is not False, "not aligned with the camera according to /tf_static"
        ),
        Criterion(may_point_there, "named for another direction than the camera's"),
        Criterion(is_no_altimeter, "its readings follow the height, as those of an altimeter"),
    ]
    preferred = [
        Criterion(lambda facts: is_aligned(facts.frame) is True, "not known to be aligned with the camera"),
        Criterion(lambda facts: facts.valid_share >= _LEAST_VALID_SHARE, "most readings are outside its limits"),
        Criterion(lambda facts: not hasattr(facts.first, "ranges"), "a scan, not a rangefinder"),
        Criterion(lambda facts: not _beam_rad(facts) >= _WIDE_BEAM_RAD, "wide beam"),
    ]
    return required, preferred


def range_doubts(facts: TopicFacts) -> list[str]:
    """Return notes on the rangefinder that was chosen, surveyed, where no better one was there."""
    doubts = []
    if facts.ranges_m and facts.valid_share < _LEAST_VALID_SHARE:
        doubts.append(f"{100 * (1 - facts.valid_share):.0f} % of its readings are outside its limits")
    if _beam_rad(facts) >= _WIDE_BEAM_RAD:
        doubts.append(
            f"its beam of {math.degrees(_beam_rad(facts)):.0f} degrees measures the nearest obstacle, not the surface "
            "on the camera's axis"
        )
    return [f"range: {facts.topic.name} is doubtful: {doubt}; --topic range= plays none" for doubt in doubts]


def _beam_rad(facts: TopicFacts) -> float:
    return float(getattr(facts.first, "field_of_view", 0.0))


def depth_criteria(image: TopicFacts) -> list[Criterion]:
    """Return the preferences for depth images that belong to an image topic."""
    size = image.size_px
    return [
        Criterion(lambda facts: facts.frame == image.frame, "frame differs from the image's"),
        Criterion(lambda facts: size is None or facts.size_px == size, "image size differs"),
        Criterion(
            lambda facts: bool(re.search(r"align|regist", facts.topic.name)), "not named as aligned with the image"
        ),
    ]


def _rate_criteria(candidates: Sequence[TopicFacts]) -> list[Criterion]:
    most = max(facts.topic.count for facts in candidates)
    return [Criterion(lambda facts: facts.topic.count >= _SPARSE * most, "few messages")]


def _kept(
    candidates: list[TopicFacts], criterion: Criterion, dropped: dict[str, str], required: bool = False
) -> list[TopicFacts]:
    kept = [facts for facts in candidates if criterion.holds(facts)]
    if not kept and not required:
        return candidates
    dropped.update({facts.topic.name: criterion.otherwise for facts in candidates if facts not in kept})
    return kept


def _alike(left: list[TopicFacts], dropped: dict[str, str]) -> TopicFacts | None:
    """Return the densest of equivalent topics, or a clearly densest one; None when there is neither."""
    best = max(left, key=lambda facts: facts.topic.count)
    for facts in left:
        if facts is best:
            continue
        if best.is_like(facts):
            dropped[facts.topic.name] = "same content"
        elif best.topic.count >= _CLEAR_RATE_RATIO * facts.topic.count:
            dropped[facts.topic.name] = f"{best.topic.count / max(facts.topic.count, 1):.0f} times fewer messages"
        else:
            return None
    return best
