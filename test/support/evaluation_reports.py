# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Hand-made recording with its truth, plan and crack map, for the report and page tests."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from evaluation_bags import IMAGE_TOPIC, image, write_bag
from evaluation_scenes import crack, detections, mapped, region, square, truth_of

from crack_perception.evaluation.metrics.accuracy import Accuracy, measure_accuracy
from crack_perception.evaluation.metrics.detections import ObservedLine
from crack_perception.evaluation.metrics.map_accuracy import MapAccuracy, measure_map
from crack_perception.evaluation.page.map_section import map_section
from crack_perception.evaluation.recordings.bag import open_bag
from crack_perception.evaluation.replay.input_topics import IMAGE, find_inputs
from crack_perception.evaluation.replay.plan import ReplayOptions, ReplayPlan
from crack_perception.evaluation.replay.player import Playback
from crack_perception.evaluation.replay.runner import severity_scale
from crack_perception.evaluation.replay.session import Recording
from crack_perception.evaluation.replay.timing import SentImage
from crack_perception.mapping.mapped_crack import MappedCrack
from crack_perception.simulation.flight.truth import Truth

SECOND_NS = 1_000_000_000


def flight(cells: bool = False) -> Truth:
    """Return a truth of three adjacent frames without overlap; the first and the third show a crack."""
    found = [square((-2.6, 0.0), 0.2, True), square((2.6, 0.2), 0.2, True)]
    cracks = [crack((-3.0, 0.0), (-2.2, 0.0), 8.0), crack((2.2, 0.2), (3.0, 0.2), 8.0, crack_id=1)]
    return truth_of([] if cells else cracks, found if cells else [], camera_x_m=(-2.6, 0.0, 2.6))


def recording() -> Recording:
    """Return a recording of three images: a detected crack, a false region, and no region."""
    here = region((0.0, 0.0), (0.8, 0.1), position_m=np.array([-2.6, 0.0, 2.0]), covariance_m2=np.eye(3) * 1e-4)
    false = region((0.3, -0.3), (0.1, 0.1), position_m=np.array([0.3, -0.3, 2.0]), covariance_m2=np.eye(3) * 1e-4)
    return Recording(
        playback=Playback([SentImage((i + 1) * SECOND_NS, 100.0 + i) for i in range(3)], 30, 0.004),
        frames=(detections(here, index=0), detections(false, index=1), detections(index=2)),
        arrived_s={SECOND_NS: 100.05, 2 * SECOND_NS: 101.07, 3 * SECOND_NS: 102.05},
        arrays=3,
        located_arrays=3,
        markers=3,
        status={
            "frames_received": "3",
            "frames_processed": "3",
            "frames_dropped": "0",
            "frames_failed": "0",
            "model_name": "standard",
            "model_sha256": "ab" * 32,
            "backend": "somewhere <fast>",
        },
        active_status={"pose_source": "pose", "range_source": "range"},
        parameters={"severity_preset": "ec2", "severity_edges_mm": [0.0], "map_frame": "map"},
        cpu_percent=40.0,
        rss_mb=200.0,
        input_sha256="cd" * 32,
        observed=(ObservedLine(SECOND_NS, np.array([[-3.0, 0.01, 2.0], [-2.2, 0.01, 2.0]]), np.eye(3) * 1e-4),),
        footprints_m=(np.array([[-4.0, -0.5, 2.0], [-1.0, -0.5, 2.0], [-1.0, 0.5, 2.0], [-4.0, 0.5, 2.0]]),),
        mapper_status={"mapping_ms_median": "1.25", "mapping_ms_p95": "2.50"},
        map_problem="",
        unused_inputs=(),
    )


def plan_of(tmp_path: Path) -> ReplayPlan:
    """Return a plan for a bag with one image topic."""
    path = write_bag(tmp_path / "bag", [(IMAGE_TOPIC, IMAGE, 0, image())])
    with open_bag(path) as bag:
        return ReplayPlan(find_inputs(bag, {}), flight(), {"image_transport": "raw"}, ("a note & more",))


def accuracy_of(truth: Truth) -> Accuracy:
    """Evaluate the recording against a truth."""
    accuracy = measure_accuracy(truth, recording().frames, severity_scale(recording().parameters))
    assert accuracy is not None
    return accuracy


def crack_map() -> tuple[MappedCrack, ...]:
    """Return a map with one object on the first crack and a false one."""
    return mapped((-3.0, 0.0), (-2.2, 0.0)), mapped((-0.2, 0.3), (0.2, 0.3), crack_id=2)


def map_accuracy_of(truth: Truth) -> MapAccuracy:
    """Evaluate that map against a truth."""
    return measure_map(crack_map(), truth, [frame.stamp_ns for frame in recording().frames], recording().observed)


def map_section_of(truth: Truth) -> str:
    """Return the page section of the map."""
    scale = severity_scale(recording().parameters)
    return map_section(crack_map(), map_accuracy_of(truth), truth, recording().footprints_m, scale, "map")


def options(tmp_path: Path) -> ReplayOptions:
    """Return the options of the plan's replay."""
    return ReplayOptions(bag=tmp_path / "bag", out=tmp_path / "out")


def changed(**fields: Any) -> Recording:
    """Return the recording with changed counters of the node or changed fields."""
    original = recording()
    counters = {name: fields.pop(name) for name in list(fields) if name.startswith("frames_")}
    return Recording(**{**vars(original), "status": {**original.status, **counters}, **fields})
