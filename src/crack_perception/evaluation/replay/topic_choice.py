"""Choosing one of several topics for an input of the node: by name, rate, motion and frame, never by order alone."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from crack_perception.errors import UsageError
from crack_perception.evaluation.recordings.bag import BagTopic
from crack_perception.evaluation.replay.topic_facts import TopicFacts

# So much fewer messages than another topic has are an event, not a stream.
_SPARSE = 0.1
_DENSEST_BY_FAR = 3.0
_EVENT_HZ = 0.5

_GOAL = re.compile(
    r"goal|set_?point|target|way_?point|command|(^|[/_])cmd|desired|reference|planned|home|initial_?pose|clicked", re.I
)
_AUXILIARY = re.compile(
    r"depth|disparity|confidence|infra|(^|[/_])ir\d?([/_]|$)|thermal|mask|label|segment|annotat|overlay|debug|heat_?map"
    r"|preview|thumbnail|detection|marker|screenshot",
    re.I,
)
_OTHER_WAY = re.compile(
    r"down|ground|altitude|altimeter|(^|[/_])alt([/_]|$)|bottom|floor|height|(^|[/_])agl|terrain|(^|[/_])up(ward)?s?"
    r"([/_]|$)|rear|back|left|right|side",
    re.I,
)


@dataclass(frozen=True)
class Criterion:
    """One reason to prefer a topic.

    Attributes:
        holds: Whether a topic meets it.
        otherwise: What is said of a topic that does not.
    """

    holds: Callable[[TopicFacts], bool]
    otherwise: str


@dataclass(frozen=True)
class Choice:
    """A chosen topic, or None, and what a reader of the report should know about it."""

    topic: BagTopic | None
    notes: tuple[str, ...] = ()


def choose(
    name: str, candidates: Sequence[TopicFacts], criteria: Sequence[Criterion], required: Sequence[Criterion] = ()
) -> Choice:
    """Choose the topic of an input.

    Args:
        name: The input.
        candidates: Topics of a type that it takes.
        criteria: What to prefer, most important first; one that no topic meets is passed over.
        required: What a topic must meet to be used at all.

    Raises:
        UsageError: Several topics remain and nothing tells them apart.
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
        note = f"{name}: not used: {refused}; if one of them is right, give {option}"
        return Choice(None, (note,) if dropped else ())
    best = _alike(left, dropped)
    if best is None:
        listed = ", ".join(f"{item.topic.name} ({described(item)})" for item in left)
        raise UsageError(f"several topics may be the input `{name}`: {listed}", f"Choose one with {option}")
    if not dropped:
        return Choice(best.topic)
    refused = ", ".join(f"{topic} ({why})" for topic, why in dropped.items())
    note = f"{name}: {best.topic.name} was chosen ({described(best)}), not {refused}; {option} chooses another one"
    return Choice(best.topic, (note,))


def described(facts: TopicFacts) -> str:
    """A topic's type, rate, motion, frame and size in a few words."""
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
    """What a pose of the vehicle must be, and what is preferred.

    Args:
        vehicle_frames: Frames that move with the vehicle: a pose in one of them is that of something else.
    """
    required = [
        Criterion(lambda facts: not _GOAL.search(facts.topic.name), "named like a goal or a command"),
        Criterion(lambda facts: not facts.rate_hz < _EVENT_HZ, f"less than {_EVENT_HZ:g} messages a second"),
        Criterion(lambda facts: facts.frame not in vehicle_frames, "given in a frame of the vehicle itself"),
    ]
    preferred = [
        Criterion(lambda facts: facts.changes, "never moves"),
        Criterion(lambda facts: facts.frame in ("map", "world", "earth"), "not given in a map frame"),
    ]
    return required, preferred


IMAGE_CRITERIA = [
    Criterion(lambda facts: not _AUXILIARY.search(facts.topic.name), "named like something else than a camera's image")
]


def range_criteria(is_facing: Callable[[str], bool | None]) -> tuple[list[Criterion], list[Criterion]]:
    """What a rangefinder beside the camera must be, and what is preferred.

    Args:
        is_facing: Frame -> whether its x axis points where the camera looks; None when that is not known.
    """
    required = [
        Criterion(
            lambda facts: is_facing(facts.frame) is not False, "by /tf_static it does not look where the camera does"
        )
    ]
    preferred = [
        Criterion(lambda facts: is_facing(facts.frame) is True, "not known to look where the camera does"),
        Criterion(
            lambda facts: not _OTHER_WAY.search(facts.topic.name + "/" + facts.frame), "named for another direction"
        ),
        Criterion(lambda facts: facts.valid_share >= 0.5, "most of its readings are out of its own limits"),
        Criterion(lambda facts: getattr(facts.first, "field_of_view", 0.0) < 0.5, "its beam is wide"),
    ]
    return required, preferred


def depth_criteria(image: TopicFacts) -> list[Criterion]:
    """What is preferred of depth images that belong to an image topic."""
    size = image.size_px
    return [
        Criterion(lambda facts: facts.frame == image.frame, "in another frame than the image"),
        Criterion(lambda facts: size is None or facts.size_px == size, "of another size than the image"),
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
    """The densest of topics that say the same, or the one that is densest by far; None when neither is so."""
    best = max(left, key=lambda facts: facts.topic.count)
    for facts in left:
        if facts is best:
            continue
        if best.is_like(facts):
            dropped[facts.topic.name] = "says the same"
        elif best.topic.count >= _DENSEST_BY_FAR * facts.topic.count:
            dropped[facts.topic.name] = f"{best.topic.count / max(facts.topic.count, 1):.0f} times fewer messages"
        else:
            return None
    return best
