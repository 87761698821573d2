# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Thousands of seeded bad messages through the real inputs, conversion, poses and surfaces of crack_node.

After each case the node has refused the message in words or has made a finite, plausible result; and the next good
frame has exactly the result that it has alone. ``CRACK_PERCEPTION_FAULT_CASES`` sets the number of cases (900 by
default, 10,000 for the full proof); ``CRACK_PERCEPTION_FAULT_CASE=tf:17`` runs a single one.
"""

from __future__ import annotations

import os
import random
import traceback
import zlib
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not installed")

from direct_inputs import (
    MS,
    START_NS,
    DirectNode,
    Inputs,
    S,
    check_result,
    check_text,
    compressed_image,
    fingerprint,
    good_camera_info,
    good_depth,
    good_image,
    good_pose,
    good_range,
    good_static,
    wall,
)
from faulty_messages import FLOATS, INTEGERS, NAMES, Mutation, picture_bytes
from flying_node import init_ros

from crack_perception.errors import UserError
from crack_perception.recognition.backends.selection import open_backend
from crack_perception.recognition.frame_detector import FrameDetector
from crack_perception.recognition.models import load_model
from crack_perception.ros.detector import parameters

Scene = list[tuple[str, Any]]

# Kind of case -> topic of the bad message, and the parameters that make the node listen to it.
KINDS: dict[str, tuple[str, dict[str, Any]]] = {
    "image": ("image", {}),
    "image_16_bit": ("image", {}),
    "compressed": ("image", {"image_transport": "compressed"}),
    "camera_info": ("camera_info", {}),
    "range": ("range", {}),
    "depth": ("depth", {}),
    "pose": ("pose", {"pose_source": "pose"}),
    "pose_with_covariance": ("pose", {"pose_source": "pose", "pose_type": "PoseWithCovarianceStamped"}),
    "odom": ("odom", {"pose_source": "odom"}),
    "tf": ("/tf", {"pose_source": "tf"}),
    "tf_static": ("/tf_static", {"pose_source": "tf"}),
}
# Problems that say that a message was not used at all.
REFUSED = frozenset({"bad_image", "pose_rejected", "tf_rejected", "range_rejected", "range_implausible"})
SINGLE = os.environ.get("CRACK_PERCEPTION_FAULT_CASE", "")
CASES = int(os.environ.get("CRACK_PERCEPTION_FAULT_CASES", "900"))
CASES_A_KIND = -(-CASES // (len(KINDS) + 1))
CHUNK = 50
NEXT_NS = 3 * S
"""From the frame with the bad message to the good one; no gap between poses is bridged that long."""


class Case:
    """One bad message in a scene, by kind and seed."""

    results_alone: ClassVar[dict[Any, Any]] = {}

    def __init__(self, kind: str, seed: int, node: DirectNode, detector: FrameDetector) -> None:
        self._random = random.Random(f"{kind}:{seed}")
        self.kind = kind
        self.topic, parameters_of_kind = KINDS[kind]
        self.mutation = Mutation(self._random)
        self._has_depth = kind == "depth" or self._random.random() < 0.2
        self.settings = dict(parameters_of_kind)
        if "pose_source" not in self.settings:
            self.settings["pose_source"] = self._random.choice(("pose", "odom", "tf"))
        self._poses = kind if kind == "pose_with_covariance" else self.settings["pose_source"]
        if self._poses in ("pose", "odom") and self._random.random() < 0.2:
            self.settings["pose_convention"] = "px4"
        self._depth_encoding = self._random.choice(("32FC1", "16UC1"))
        self._picture = picture_bytes(wall(), self._random)
        self._node, self._detector = node, detector

    def run(self) -> None:
        """Two frames, the first with the bad message; checks everything."""
        good = self.scene(START_NS)
        index = self._random.choice([i for i, (topic, _) in enumerate(good) if topic == self.topic])
        bad = self.scene(START_NS)[index][1]
        self.mutation.spoil(bad)
        mode = self._random.choice(("instead", "before", "after"))
        if self.topic == "image":
            mode = "instead"
        first = [*good[:index], (self.topic, bad)] if mode != "after" else [*good[: index + 1], (self.topic, bad)]
        rest = good[index:] if mode == "before" else good[index + 1 :]
        inputs = Inputs(self._node, self._detector, **self.settings)
        try:
            result = self._deliver(inputs, first)
            is_refused = bool(REFUSED & {kind for kind, _ in inputs.problems.texts})
            result = self._deliver(inputs, rest) or result
            self._check_first(inputs, result, is_refused and mode != "instead")
            # A sound 16-bit image with one bright pixel is no fault: it tells how many bits the camera has.
            next_images = [] if self.kind != "image_16_bit" or is_refused else ["bgr8"]
            scene = self.scene(START_NS + NEXT_NS, *next_images)
            again = self._deliver(inputs, scene)
            assert again is not None, f"the next good frame was refused: {inputs.problems.texts[-1:]}"
        finally:
            inputs.close()
        alone = self._alone(scene)
        assert fingerprint(again) == fingerprint(alone), (
            f"the next good frame differs: {again.detections}, alone {alone.detections}; {inputs.problems.texts[-2:]}"
        )

    def _check_first(self, inputs: Inputs, result: Any, must_be_unharmed: bool) -> None:
        for _, text in inputs.problems.texts:
            check_text(text)
        if result is None:
            assert inputs.problems.texts, "a frame vanished without a word"
            return
        check_result(result)
        if not result.has_pose or any(detection.location is None for detection in result.detections):
            assert inputs.problems.texts, "a frame stays 2D without a word"
        if must_be_unharmed and len(self.mutation.changes) == 1:
            alone = self._alone(self.scene(START_NS))
            assert fingerprint(result) == fingerprint(alone), "a refused message changed the result"

    def scene(self, stamp_ns: int, image_encoding: str = "") -> Scene:
        """Everything good that belongs to one frame, in the order of arrival."""
        static: Scene = [("/tf_static", good_static(stamp_ns))] if self._poses == "tf" else []
        topic = {"tf": "/tf", "pose_with_covariance": "pose"}.get(self._poses, self._poses)
        poses: Scene = [(topic, good_pose(stamp_ns + ms * MS, self._poses)) for ms in (-60, 0, 60)]
        depth: Scene = [("depth", good_depth(stamp_ns, self._depth_encoding))] if self._has_depth else []
        if self.kind == "compressed":
            image: Any = compressed_image(stamp_ns, *self._picture)
        else:
            image = good_image(stamp_ns, image_encoding or ("mono16" if self.kind == "image_16_bit" else "bgr8"))
        others: Scene = [("range", good_range(stamp_ns)), ("camera_info", good_camera_info(stamp_ns))]
        return [*static, *poses, *depth, *others, ("image", image)]

    def _alone(self, scene: Scene) -> Any:
        key = (
            repr(sorted(self.settings.items())),
            self._poses,
            self._has_depth,
            self._depth_encoding,
            _key_of(scene[-1][1]),
        )
        if key not in self.results_alone:
            self.results_alone[key] = self._made_alone(scene)
        return self.results_alone[key]

    def _made_alone(self, scene: Scene) -> Any:
        inputs = Inputs(self._node, self._detector, **self.settings)
        try:
            result = self._deliver(inputs, scene)
        finally:
            inputs.close()
        assert result is not None and result.has_pose and result.detections, f"no good scene: {inputs.problems.texts}"
        assert all(detection.location is not None for detection in result.detections), inputs.problems.texts
        return result

    @staticmethod
    def _deliver(inputs: Inputs, scene: Scene) -> Any:
        result = None
        for topic, message in scene:
            result = inputs.deliver(topic, message) or result
        return result


def _key_of(image: Any) -> tuple[Any, ...]:
    described = getattr(image, "encoding", None) or image.format
    return type(image), image.header.stamp.sec, described, zlib.crc32(image.data.tobytes())


@pytest.fixture(scope="module")
def node() -> Iterator[DirectNode]:
    init_ros()
    node = DirectNode()
    yield node
    node.destroy_node()


@pytest.fixture(scope="module")
def detector(tiny_model: Path) -> Iterator[FrameDetector]:
    model = load_model(str(tiny_model))
    detector = FrameDetector(model, open_backend("onnxruntime", model, 1))
    yield detector
    detector.backend.close()


def seeds(kind: str) -> range:
    """The seeds of a kind that are run now."""
    if SINGLE:
        wanted, _, seed = SINGLE.partition(":")
        return range(int(seed), int(seed) + 1) if wanted == kind else range(0)
    return range(CASES_A_KIND)


def chunks() -> list[tuple[str, range]]:
    return [(kind, seeds(kind)[i : i + CHUNK]) for kind in KINDS for i in range(0, len(seeds(kind)), CHUNK)]


def failure_text(case_id: str, changes: list[str], error: BaseException) -> str:
    where = traceback.extract_tb(error.__traceback__)[-1]
    change = "; ".join(changes)[:400]
    place = f"{Path(where.filename).name}:{where.lineno}"
    return f"{case_id} [{change}]: {type(error).__name__} at {place}: {str(error)[:600]}"


@pytest.mark.parametrize(("kind", "some_seeds"), chunks(), ids=lambda value: str(value).replace("range", "seeds"))
def test_inputs_any_bad_message_refused_or_plausible_and_leaves_no_trace(
    node: DirectNode, detector: FrameDetector, kind: str, some_seeds: range
) -> None:
    failures = []
    for seed in some_seeds:
        case = Case(kind, seed, node, detector)
        try:
            case.run()
        except Exception as error:
            failures.append(failure_text(f"{kind}:{seed}", case.mutation.changes, error))
    assert not failures, f"{len(failures)} of {len(some_seeds)} cases failed:\n" + "\n".join(failures[:8])


@lru_cache(maxsize=1)
def parameter_values() -> tuple[Any, ...]:
    """Values that a file or a command line may give to any parameter."""
    lists = ([], [0.0] * 3, [0.0] * 4, [float("nan")] * 4, [1.0, 0.0, 0.0, 1.0], [1e300] * 4, [1, 2, 3], ["a"], [True])
    return (*FLOATS, *INTEGERS, *NAMES, *lists, True, False, b"bytes", "0.5", "true")


LIMITS = ("max_gsd_mm_per_px", "max_crack_width_mm")
"""Parameters for which 0 means no limit."""


def parameter_changes() -> Iterator[dict[str, Any]]:
    """Every value for every parameter alone, then seeded values for seeded pairs of parameters."""
    names = sorted(spec.name for spec in parameters.SPECS)
    yield from ({name: value} for name in names for value in parameter_values())
    for seed in range(CASES_A_KIND):
        numbers = random.Random(f"parameters:{seed}")
        yield {name: numbers.choice(parameter_values()) for name in numbers.sample(names, 2)}


@pytest.mark.skipif(bool(SINGLE), reason="a single message is asked for")
def test_parameters_any_values_refused_by_name_or_finite() -> None:
    defaults = {spec.name: spec.default for spec in parameters.SPECS}
    failures = []
    for seed, changes in enumerate(parameter_changes()):
        try:
            settings = parameters.settings_from(defaults | changes)
        except UserError as error:
            if not any(name in str(error) or name.partition(".")[0] in str(error) for name in changes):
                failures.append(f"parameters:{seed} {changes!r:.200}: names no parameter: {error}")
            elif len(str(error)) > 600:
                failures.append(f"parameters:{seed} {changes!r:.200}: {len(str(error))} characters")
        except Exception as error:
            failures.append(failure_text(f"parameters:{seed}", [f"{changes!r:.200}"], error))
        else:
            floats = {name: value for name, value in vars(settings).items() if isinstance(value, float)}
            if not all(np.isfinite(value) or (name in LIMITS and value == np.inf) for name, value in floats.items()):
                failures.append(f"parameters:{seed} {changes!r:.200}: not finite")
    assert not failures, f"{len(failures)} cases failed:\n" + "\n".join(failures[:8])
